/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network: connections as two byte pipes. A pipe keeps order and loses nothing while it lives; loss is
 * disconnection. What varies: delay, where the stream is cut into chunks, when each end hears of a hang-up, whether it
 * ever does (deadlines find out).
 */
#include "sim.h"

#include <string.h>

enum { TICK_MS = 1500, PIPE_BYTES_MAX = 64 * 1024 * 1024 };

static uint64_t handle_of(const struct sim *w, const struct sim_conn *c)
{
    return (uint64_t)c->generation << 16 | (uint64_t)(c - w->conns + 1);
}

struct sim_conn *sim_net_conn(struct sim *w, uint64_t handle)
{
    uint64_t slot = handle & 0xFFFF;
    if (slot == 0 || slot > SIM_CONNS_MAX)
        return NULL;
    struct sim_conn *c = &w->conns[slot - 1];
    return c->used && c->generation == handle >> 16 ? c : NULL;
}

static void release(struct sim_conn *c)
{
    for (int side = 0; side < 2; side++) {
        tz_buf_deinit(&c->pipe[side].bytes);
        tz_frame_reader_deinit(&c->reader[side]);
    }
    c->used = false;
    c->generation++;
}

static void release_when_closed(struct sim_conn *c)
{
    if (!c->open[0] && !c->open[1] && !c->session)
        release(c);
}

uint64_t sim_net_connect(struct sim *w, unsigned client)
{
    for (size_t i = 0; i < SIM_CONNS_MAX; i++) {
        struct sim_conn *c = &w->conns[i];
        if (c->used)
            continue;
        uint32_t generation = c->generation;
        *c = (struct sim_conn){.used = true, .generation = generation, .client = client, .open = {true, true}};
        for (int side = 0; side < 2; side++) {
            tz_buf_init(&c->pipe[side].bytes, PIPE_BYTES_MAX);
            tz_frame_reader_init(&c->reader[side], side == SIM_CLIENT ? TZ_FRAME_BODY_MAX : TZ_FRAME_BODY_MAX_ANON);
        }
        uint64_t h = handle_of(w, c);
        if (!sim_server_accept(w, h)) {
            c->open[0] = c->open[1] = false;
            release_when_closed(c);
            return 0;
        }
        sim_at(w, TICK_MS, SIM_EV_TICK, h, 0);
        return h;
    }
    sim_fail(w, "out of connections: ends are not closed");
    return 0;
}

static void schedule(struct sim *w, uint64_t handle, struct sim_conn *c, enum sim_side from, size_t n)
{
    struct sim_pipe *p = &c->pipe[from];
    int64_t at = w->now_ms + sim_delay(w, 1200);
    if (at < p->last_ms)
        at = p->last_ms;
    p->last_ms = at;
    sim_at(w, at - w->now_ms, SIM_EV_DELIVER, handle, (uint64_t)from << 32 | n);
}

void sim_net_send(struct sim *w, uint64_t handle, enum sim_side from, uint8_t type, uint16_t lane, struct tz_bytes body)
{
    struct sim_conn *c = sim_net_conn(w, handle);
    if (!c || !c->open[from] || c->black_hole || c->pipe[from].deaf)
        return;
    struct sim_pipe *p = &c->pipe[from];
    size_t had = p->bytes.len - p->bytes.pos;
    if (tz_frame_put(&p->bytes, type, lane, body)) {
        sim_fail(w, "a pipe holds more than %d MiB", PIPE_BYTES_MAX >> 20);
        return;
    }
    w->n.frames++;
    w->n.frame_bytes += body.n;
    sim_hash(w, body.p, body.n);
    size_t n = p->bytes.len - p->bytes.pos - had;
    while (n > 0) {
        size_t chunk = sim_chance(&w->rng, 70) ? n : 1 + sim_below(&w->rng, n);
        if (chunk > TZ_FRAME_FEED_MAX)
            chunk = TZ_FRAME_FEED_MAX;
        schedule(w, handle, c, from, chunk);
        n -= chunk;
    }
}

static void lost(struct sim *w, uint64_t handle, enum sim_side side)
{
    if (side == SIM_SERVER)
        sim_server_on_lost(w, handle);
    else
        sim_client_on_lost(w, handle);
}

static void hand_over(struct sim *w, uint64_t handle, enum sim_side to, const uint8_t *p, size_t n)
{
    struct sim_conn *c = sim_net_conn(w, handle);
    int rc = tz_frame_feed(&c->reader[to], tz_bytes_of(p, n));
    struct tz_frame f;
    while (rc >= 0 && (rc = tz_frame_next(&c->reader[to], &f)) == 1) {
        if (to == SIM_SERVER)
            sim_server_on_frame(w, handle, &f);
        else
            sim_client_on_frame(w, handle, &f);
        c = sim_net_conn(w, handle);
        if (!c || !c->open[to])
            return;
    }
    if (rc < 0)
        sim_fail(w, "framing broke: %d", rc);
}

void sim_net_deliver(struct sim *w, uint64_t handle, uint64_t b)
{
    struct sim_conn *c = sim_net_conn(w, handle);
    if (!c)
        return;
    enum sim_side from = (enum sim_side)(b >> 32);
    enum sim_side to = from == SIM_CLIENT ? SIM_SERVER : SIM_CLIENT;
    size_t n = (size_t)(b & 0xFFFFFFFF);
    struct tz_bytes all = tz_buf_unread(&c->pipe[from].bytes);
    if (all.n < n) /* dropped by a cut */
        return;
    if (c->open[to] && !c->black_hole) {
        static uint8_t chunk[TZ_FRAME_FEED_MAX];
        memcpy(chunk, all.p, n);
        tz_buf_consume(&c->pipe[from].bytes, n);
        hand_over(w, handle, to, chunk, n);
    } else {
        tz_buf_consume(&c->pipe[from].bytes, n);
    }
}

void sim_net_close(struct sim *w, uint64_t handle, enum sim_side side)
{
    struct sim_conn *c = sim_net_conn(w, handle);
    if (!c || !c->open[side])
        return;
    c->open[side] = false;
    enum sim_side other = side == SIM_CLIENT ? SIM_SERVER : SIM_CLIENT;
    if (c->open[other] && !c->black_hole) {
        int64_t at = w->now_ms + sim_delay(w, 1200);
        if (at < c->pipe[side].last_ms)
            at = c->pipe[side].last_ms;
        sim_at(w, at - w->now_ms, SIM_EV_CLOSE_SEEN, handle, other);
    }
    release_when_closed(c);
}

void sim_net_close_seen(struct sim *w, uint64_t handle, enum sim_side side)
{
    struct sim_conn *c = sim_net_conn(w, handle);
    if (!c || !c->open[side])
        return;
    c->open[side] = false;
    lost(w, handle, side);
    c = sim_net_conn(w, handle);
    if (c)
        release_when_closed(c);
}

void sim_net_cut(struct sim *w, uint64_t handle, enum sim_cut how)
{
    struct sim_conn *c = sim_net_conn(w, handle);
    if (!c)
        return;
    w->n.disconnects++;
    if (how == SIM_CUT_BLACK_HOLE) {
        w->n.half_open++;
        c->black_hole = true;
        return;
    }
    if (sim_chance(&w->rng, 70)) { /* what was under way is gone, at least in one direction */
        struct sim_pipe *p = &c->pipe[sim_below(&w->rng, 2)];
        tz_buf_clear(&p->bytes);
        p->deaf = true;
    }
    int64_t late = how == SIM_CUT_HALF_OPEN ? 8000 : 300;
    w->n.half_open += how == SIM_CUT_HALF_OPEN;
    c->black_hole = c->black_hole || how == SIM_CUT_HALF_OPEN; /* what it swallowed is not followed by anything */
    sim_at(w, sim_delay(w, 300), SIM_EV_CLOSE_SEEN, handle, sim_below(&w->rng, 2));
    sim_at(w, 1 + (int64_t)sim_below(&w->rng, (uint64_t)late), SIM_EV_CLOSE_SEEN, handle, SIM_CLIENT);
    sim_at(w, 1 + (int64_t)sim_below(&w->rng, (uint64_t)late), SIM_EV_CLOSE_SEEN, handle, SIM_SERVER);
}

void sim_net_tick(struct sim *w, uint64_t handle)
{
    struct sim_conn *c = sim_net_conn(w, handle);
    if (!c)
        return;
    if (c->open[SIM_CLIENT])
        sim_client_tick(w, handle);
    c = sim_net_conn(w, handle);
    if (c && c->open[SIM_SERVER])
        sim_server_tick(w, handle);
    if (sim_net_conn(w, handle))
        sim_at(w, TICK_MS, SIM_EV_TICK, handle, 0);
}

void sim_net_deinit(struct sim *w)
{
    for (size_t i = 0; i < SIM_CONNS_MAX; i++)
        if (w->conns[i].used) {
            tz_session_free(w->conns[i].session);
            w->conns[i].session = NULL;
            release(&w->conns[i]);
        }
}
