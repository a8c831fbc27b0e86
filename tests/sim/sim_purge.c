/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Purging at random times, and devices that were away meanwhile for longer than their lease.
 *
 * What went is checked against the leases, as this file reads them out of the device table before and after the group:
 * a record that a device in lease has not acknowledged the deletion of must not be gone. Then the oracle is told: from
 * here on late edits of it become cases there, too. That nobody shows what is gone, and nobody lacks what is not,
 * the checkpoints say.
 */
#include "sim_check_int.h"

#include <inttypes.h>
#include <string.h>

enum { DEVICES_MAX = 64, LEASE_DAYS = 20, PURGE_DAYS = 8, COMPACT_DAYS = 3, DAY_MS = 24 * 3600 * 1000 };

struct sim_lease {
    uint32_t device;
    tz_ver checkpoint;
    int64_t acked_ms;
};
struct sim_leases {
    struct sim_lease v[DEVICES_MAX];
    size_t n;
};
/** As of the last group that was looked at; one world at a time. */
static struct sim_leases before;

/* ---- acting ---- */

void sim_purge_start(struct sim *w)
{
    static const struct tz_purge_rules rules = {.lease_ms = INT64_C(1) * LEASE_DAYS * DAY_MS,
                                                .purge_ms = INT64_C(1) * PURGE_DAYS * DAY_MS,
                                                .compact_ms = INT64_C(1) * COMPACT_DAYS * DAY_MS};
    struct tz_sjob *job = NULL;
    if (!w->server.up || w->server.purging)
        return;
    sim_compact_before_purge(w);
    if (!w->server.up || tz_sjob_purge_new(&rules, &job))
        return;
    w->n.purges++;
    w->server.purging = true;
    sim_server_submit(w, job);
}

void sim_purge_done(struct sim *w, struct tz_sjob *job)
{
    bool more = tz_sjob_purge_left(job);
    w->server.purging = false;
    tz_sjob_free(job);
    if (more)
        sim_purge_start(w);
}

/** The device is cut off, weeks pass, and the others go on; twice in that time the server purges. */
void sim_purge_absence(struct sim_client *c, struct sim_rng *r)
{
    struct sim *w = c->w;
    int64_t away = 40000 + (int64_t)sim_below(r, 120000);
    c->offline_until_ms = w->now_ms + away;
    sim_net_cut(w, c->conn, SIM_CUT_CLEAN);
    sim_client_connect_later(c, away);
    w->warp_ms += (int64_t)sim_below(r, 12) * DAY_MS;
    sim_at(w, 5000 + sim_delay(w, 20000), SIM_EV_PURGE, 8 + sim_below(r, 20), 0);
    sim_at(w, 25000 + sim_delay(w, 60000), SIM_EV_PURGE, sim_below(r, 20), 0);
}

void sim_purge_event(struct sim *w, const struct sim_event *e)
{
    if (w->draining || (w->calm_ms && w->now_ms >= w->calm_ms))
        return;
    w->warp_ms += (int64_t)e->a * DAY_MS;
    for (size_t i = 0; i < w->nclients; i++) /* who is there comes back and says how far he is */
        if (!w->clients[i].dev->raw && w->clients[i].offline_until_ms <= w->now_ms)
            sim_net_cut(w, w->clients[i].conn, SIM_CUT_CLEAN);
    sim_at(w, 4000 + sim_delay(w, 9000), SIM_EV_PURGE_NOW, 0, 0);
}

bool sim_purge_refreshing(const struct sim_client *c)
{
    struct tz_err err = {0};
    int64_t noted = 0;
    int rc = tz_db_query_int(tz_office_db(c->office), "SELECT EXISTS (SELECT 1 FROM refresh)", &noted, &err);
    return !rc && noted;
}

/* ---- checking ---- */

static void read_leases(struct sim *w, struct sim_leases *out)
{
    struct tz_err err = {0};
    struct tz_stmt st = {0};
    out->n = 0;
    int rc =
        tz_db_prepare(tz_store_db(w->server.store), &st,
                      "SELECT number, checkpoint, acked_ms FROM device WHERE revoked = 0 AND checkpoint > 0", &err);
    while (!rc && out->n < DEVICES_MAX && (rc = tz_stmt_step(&st, &err)) == 1) {
        out->v[out->n++] =
            (struct sim_lease){(uint32_t)tz_stmt_int(&st, 0), (tz_ver)tz_stmt_int(&st, 1), tz_stmt_int(&st, 2)};
        rc = 0;
    }
    tz_stmt_finalize(&st);
    if (rc < 0)
        sim_fail(w, "devices: %d %s", rc, err.trail);
}

/** Was some device waited for that had not got so far as @ver? */
static const struct sim_lease *waited_for(struct sim *w, const struct sim_leases *l, tz_ver ver)
{
    int64_t since = sim_server_wall(w).ms - INT64_C(1) * LEASE_DAYS * DAY_MS;
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].acked_ms >= since && l->v[i].checkpoint < ver)
            return &l->v[i];
    return NULL;
}

bool sim_purge_waits(struct sim *w, tz_ver ver)
{
    struct sim_leases after;
    read_leases(w, &after);
    return waited_for(w, &before, ver) && waited_for(w, &after, ver);
}

/** The server's own records, which the oracle does not know. */
static bool apart(const struct tz_type *t)
{
    return strcmp(t->name, "case") == 0 || strcmp(t->name, "redirect") == 0 || strcmp(t->name, "incident") == 0;
}

static void check_one(struct sim *w, const struct sim_leases *after, const struct tz_type *t, struct tz_id id,
                      tz_ver ver)
{
    char hex[TZ_ID_HEX + 1];
    const struct past *p = sim_past_of(w->history, t, id, false);
    const struct snapshot *s = p ? &p->v[p->n - 1] : NULL;
    const struct sim_lease *l = waited_for(w, &before, ver);
    tz_id_print(id, hex);
    w->n.purged++;
    if (!s || !s->deleted || s->ver != ver)
        sim_fail(w, "%s %s was purged, which %s", t->name, hex, !s ? "never was" : "was not deleted like that");
    else if (l && waited_for(w, after, ver))
        sim_fail(w, "%s %s was purged at version %" PRIu64 ", and device %u in its lease is at %" PRIu64, t->name, hex,
                 ver & 0xFFFFFF, l->device, l->checkpoint & 0xFFFFFF);
    else if (!apart(t) && !oracle_purge(w->oracle, t, id))
        sim_fail(w, "%s %s was purged, and something refers to it", t->name, hex);
}

/** What the office itself says; more than was known before it was asked only while it is up. */
tz_ver sim_purge_held(struct sim_client *c)
{
    struct tz_office_status st;
    struct tz_err err = {0};
    if (c->office && !tz_office_status(c->office, &st, &err) && st.checkpoint > c->held_ver)
        c->held_ver = st.checkpoint;
    return c->held_ver;
}

/** A device cannot have acknowledged more than it ever held, on any of its disks. */
static void check_ack(struct sim *w, const struct sim_lease *l)
{
    struct sim_client *c = NULL;
    tz_ver most = 0;
    for (size_t k = 0; k < w->nclients; k++) {
        struct sim_client *x = &w->clients[k];
        if (x->dev->number != l->device || x->dev->raw)
            continue;
        if (!x->office && !x->gone && !x->asleep && l->checkpoint > x->held_ver)
            return; /* it is down, and cannot be asked */
        tz_ver v = l->checkpoint > x->held_ver ? sim_purge_held(x) : x->held_ver;
        most = v > most ? v : most;
        c = x;
    }
    if (c && l->checkpoint > most)
        sim_fail(w, "the server takes %s to be at %" PRIu64 ", which never got beyond %" PRIu64, c->name,
                 l->checkpoint & 0xFFFFFF, most & 0xFFFFFF);
}

/** Those that are gone are remembered by what the history says of them. A redirect may be made anew under its id, and
 * go again. */
static bool known_apart(struct sim *w, const struct tz_type *t, struct tz_id id, tz_ver ver)
{
    struct past *p = apart(t) ? sim_past_of(w->history, t, id, false) : NULL;
    bool known = p && p->purged == ver;
    if (p)
        p->purged = ver;
    return known;
}

void sim_purge_look(struct sim *w, bool stepped)
{
    struct tz_err err = {0};
    struct tz_stmt st = {0};
    struct sim_leases after;
    if (w->blind)
        return;
    read_leases(w, &after);
    for (size_t i = 0; i < after.n; i++)
        check_ack(w, &after.v[i]);
    int rc = stepped ? tz_db_prepare(tz_store_db(w->server.store), &st, "SELECT type, id, ver FROM purged", &err) : 0;
    while (stepped && !rc && !w->failed && (rc = tz_stmt_step(&st, &err)) == 1) {
        const struct tz_type *t = tz_catalogue_type_id(w->cat, (uint32_t)tz_stmt_int(&st, 0));
        tz_ver ver = (tz_ver)tz_stmt_int(&st, 2);
        struct tz_id id;
        tz_stmt_id(&st, 1, &id);
        if (!oracle_is_purged(w->oracle, t, id) && !known_apart(w, t, id, ver))
            check_one(w, &after, t, id, ver);
        rc = 0;
    }
    tz_stmt_finalize(&st);
    if (rc < 0)
        sim_fail(w, "purged: %d %s", rc, err.trail);
    before = after;
}
