/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Catalogue changes under way: the server takes the next version while devices go on with theirs, and each device takes
 * it at a time of its own, or jumps over one. A device is never ahead of the server.
 *
 *   server   K ──────────● K+1 ────────────● K+2 ─────
 *   a        K ──────────────●  K+1 ─────────────────
 *   b        K ─────────────────────────────────●  K+2
 *   c        K ────────────────────────────────────── until the end, where everybody takes the newest
 *
 * The world, its oracle and its history know the newest catalogue of all from the beginning; a version only ever adds
 * to the one before (sim_setup.c), so a row of an older one is raised before anything looks at it: what that catalogue
 * lacked has its place then, and has to have the value that it has at the server.
 */
#include "sim.h"

#include <stdlib.h>

enum { STEPS_MAX = 5 };

void sim_catalogues_init(struct sim *w)
{
    struct sim_rng r = sim_rng_of(w->opt.seed, 6);
    const struct tz_catalogue *first = &w->tpl->cat;
    w->catalogues = !w->restores && !w->opt.ops && sim_below(&r, 6) == 0 ? 1 + (unsigned)sim_below(&r, 2) : 0;
    w->cat = w->catalogues ? &w->tpl->later[w->catalogues - 1] : first;
    w->server.cat = first;
    w->raised = 0;
}

void sim_catalogues_plan(struct sim *w)
{
    struct sim_rng r = sim_rng_of(w->opt.seed, 7);
    for (unsigned i = 0; i < w->catalogues; i++)
        w->actions[w->nactions++] = (struct sim_action){.at_ms = (int64_t)sim_below(&r, (uint64_t)w->end_ms * 6 / 10),
                                                        .kind = SIM_ACT_SERVER_CATALOGUE,
                                                        .seed = sim_rand(&r)};
    for (uint64_t n = w->catalogues ? 1 + sim_below(&r, STEPS_MAX) : 0; n > 0; n--)
        w->actions[w->nactions++] = (struct sim_action){
            .at_ms = (int64_t)(sim_below(&r, (uint64_t)w->end_ms * 7 / 10) + (uint64_t)w->end_ms / 5),
            .kind = SIM_ACT_CATALOGUE,
            .client = (unsigned)sim_below(&r, w->nclients),
            .seed = sim_rand(&r)};
}

void sim_catalogues_server(struct sim *w)
{
    if (!w->server.up || w->raised == w->catalogues)
        return;
    w->n.catalogues++;
    w->server.cat = &w->tpl->later[w->raised++];
    sim_trace(w, "the server has catalogue %u", w->server.cat->version);
    oracle_catalogue(w->oracle, w->server.cat);
    sim_server_crash(w, false);
}

void sim_catalogues_client(struct sim_client *c)
{
    if (c->cat == c->w->server.cat || c->dev->raw || !c->up || c->erased)
        return;
    c->w->n.catalogues_taken++;
    c->cat = c->w->server.cat;
    sim_trace(c->w, "  %u has catalogue %u", c->index, c->cat->version);
    sim_client_crash(c, false);
}

void sim_catalogues_finish(struct sim *w)
{
    for (size_t i = 0; i < w->nclients; i++)
        sim_catalogues_client(&w->clients[i]);
}

const struct tz_type *sim_type_in(const struct tz_catalogue *cat, const struct tz_type *t)
{
    return tz_catalogue_type_id(cat, t->id);
}

void sim_row_raise(struct sim *w, struct tz_row *row, struct tz_arena *a)
{
    const struct tz_type *t = sim_type_in(w->cat, row->rec.type);
    struct tz_err err = {0};
    struct tz_buf b;
    if (t == row->rec.type)
        return;
    tz_buf_init(&b, TZ_ROW_BYTES_MAX);
    if (tz_record_encode(&row->rec, &b))
        abort();
    void *copy = tz_arena_dup(a, b.p, b.len);
    if (!copy || tz_record_decode(t, tz_bytes_of(copy, b.len), a, &row->rec, &err))
        sim_fail(w, "a %s does not decode in the newest catalogue: %d", t->name, err.code);
    tz_buf_deinit(&b);
}
