/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's disk is copied and the copy goes to work as well, or takes the place of the disk: the machine was put back
 * to what it had been. Both have one certificate, one identity and the same numbers; the product finds out when they
 * sync.
 *
 *   copied      first ───────●────────────────────── both go on, with saves of their own under the same numbers
 *                            └──── …later ──●─────
 *   put back    first ───────●──── saves, answered and not ──X
 *                            └───────────────────────────────●──── as if it had never made those
 *
 * A client of the simulator is an installation: the copy is one more, of the same device, asleep until it is started.
 * Whoever was put back ends, and what it had said counts as far as it had reached the server. An action is done by one
 * of those that are there.
 */
#include "sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool present(const struct sim_client *c)
{
    return !c->asleep && !c->gone;
}

bool sim_copies_any(const struct sim *w, uint32_t device)
{
    unsigned n = 0;
    for (size_t i = 0; i < w->nclients; i++)
        n += w->clients[i].dev->number == device;
    return n > 1;
}

struct sim_client *sim_copies_pick(struct sim_client *c, uint64_t seed)
{
    struct sim *w = c->w;
    struct sim_rng r = {(seed ^ UINT64_C(0xC0B1E5)) | 1};
    size_t n = 0;
    struct sim_client *found = c;
    for (size_t i = 0; i < w->nclients; i++)
        if (w->clients[i].dev == c->dev && present(&w->clients[i]) && sim_below(&r, ++n) == 0)
            found = &w->clients[i];
    return found;
}

void sim_copies_plan(struct sim *w)
{
    struct sim_rng r = sim_rng_of(w->opt.seed, 5);
    if (w->restores || w->opt.ops || sim_below(&r, 6) != 0)
        return;
    int64_t end = w->end_ms;
    for (uint64_t n = 1 + sim_below(&r, SIM_COPIES_MAX); n > 0; n--)
        w->actions[w->nactions++] = (struct sim_action){.at_ms = (int64_t)sim_below(&r, (uint64_t)end * 6 / 10),
                                                        .kind = sim_chance(&r, 60) ? SIM_ACT_COPY : SIM_ACT_PUT_BACK,
                                                        .client = (unsigned)sim_below(&r, w->nclients),
                                                        .seed = sim_rand(&r)};
}

/** A disk that is whole, of somebody who is let in. */
static bool may_copy(const struct sim_client *c)
{
    return !c->dev->raw && present(c) && !c->damaged && !c->disk_full && !c->shut_out && !c->erased &&
           !tz_memdisk_is_off(c->disk) && c->w->nclients < c->w->clients_cap;
}

void sim_copies_act(struct sim_client *c, struct sim_rng *r, bool put_back)
{
    struct sim *w = c->w;
    if (!may_copy(c))
        return;
    struct sim_client *copy = &w->clients[w->nclients];
    sim_client_copy(w, (unsigned)w->nclients++, c);
    copy->puts_back = put_back ? c : NULL;
    for (size_t i = 0; i < w->nrecords; i++) /* what is on the one disk is on the other */
        if (w->records[i].maker == c->index || (w->records[i].readers >> c->index & 1))
            w->records[i].readers |= UINT64_C(1) << copy->index;
    sim_trace(w, "  the disk of %s is copied at %" PRIu64, c->name, (uint64_t)c->nsaved);
    int64_t later = 1 + (int64_t)sim_below(r, sim_chance(r, 50) ? 20000 : 120000);
    if (w->now_ms + later > w->end_ms * 9 / 10)
        later = 1 + (int64_t)sim_below(r, 5000);
    sim_at(w, later, SIM_EV_COPY_UP, copy->index, 0);
}

void sim_copies_event(struct sim *w, const struct sim_event *e)
{
    struct sim_client *copy = &w->clients[e->a];
    struct sim_client *was = copy->puts_back;
    if (!copy->asleep)
        return;
    copy->asleep = false;
    if (w->draining || copy->shut_out || (was && was->gone)) { /* nobody needs it any more */
        copy->gone = true;
        return;
    }
    if (was) {
        sim_trace(w, "  %s ends, and is put back", was->name);
        sim_client_end(was);
        w->n.put_back++;
    } else {
        w->n.copies++;
    }
    sim_client_start(copy);
}

/** What one of them has freed, the others hear of when they next ask. */
void sim_copies_ask_again(struct sim *w)
{
    for (size_t i = 0; i < w->nclients; i++) {
        struct sim_client *c = &w->clients[i];
        if (c->conn && !c->dev->raw && sim_copies_any(w, c->dev->number))
            sim_client_on_lost(w, c->conn);
    }
}

void sim_copies_drain(struct sim *w)
{
    for (size_t i = 0; i < w->nclients; i++) {
        struct sim_client *c = &w->clients[i];
        c->gone = c->gone || c->asleep;
        c->asleep = false;
    }
}
