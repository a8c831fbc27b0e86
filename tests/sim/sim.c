/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The world: events in (virtual time, number) order, random numbers, the trace hash, one seed from start to end.
 *
 * Invariants
 *  1. Everything that happens follows from the seed: no clock, no address, no hash order of the machine reaches a
 * decision.
 *  2. The trace hash covers every event and the bytes of every frame, so that two runs that differ show it.
 *  3. Each action has random numbers of its own: masking one out leaves what the others do (not when the network lets
 * them) alone.
 *
 * A seed has two parts: until end_ms the actions happen; then everything is healed and the world runs on until it is
 * quiet, and the end is checked.
 */
#include "sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIM_START_MS_DAYS = 17167 }; /* 2017-01-01 */
enum { SIM_QUIET_LIMIT_MS = 10 * 60 * 1000, SIM_EVENTS_MAX = 400000, SIM_EVENTS_PER_OP = 200 };

/* ---- delays ---- */

int64_t sim_delay(struct sim *w, int64_t max_ms)
{
    uint64_t pick = sim_below(&w->rng, 16);
    int64_t top = pick == 0 ? max_ms : pick < 4 ? max_ms / 4 : max_ms / 16;
    return 1 + (int64_t)sim_below(&w->rng, (uint64_t)(top > 1 ? top : 1));
}

/* ---- hash and failure ---- */

void sim_hash(struct sim *w, const void *p, size_t n)
{
    const uint8_t *b = p;
    uint64_t h = w->hash;
    for (; n >= 8; n -= 8, b += 8) {
        uint64_t x;
        memcpy(&x, b, 8);
        h = (h ^ x) * 0x9E3779B97F4A7C15U;
        h ^= h >> 29;
    }
    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 1099511628211U;
    w->hash = h;
}

void sim_fail(struct sim *w, const char *fmt, ...)
{
    if (w->failed)
        return;
    w->failed = true;
    int n = snprintf(w->why, sizeof w->why, "t=%" PRId64 " ", w->now_ms);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(w->why + n, sizeof w->why - (size_t)n, fmt, ap);
    va_end(ap);
}

void sim_trace(struct sim *w, const char *fmt, ...)
{
    if (!w->opt.trace)
        return;
    va_list ap;
    va_start(ap, fmt);
    printf("%9" PRId64 " ", w->now_ms);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
}

/* ---- clocks ---- */

struct tz_wall sim_server_wall(const struct sim *w)
{
    return (struct tz_wall){(int64_t)SIM_START_MS_DAYS * 86400000 + w->now_ms + w->warp_ms};
}

static struct tz_wall server_wall(void *ctx)
{
    return sim_server_wall(ctx);
}

static struct tz_mono server_mono(void *ctx)
{
    return (struct tz_mono){((struct sim *)ctx)->now_ms};
}

struct tz_clock sim_server_clock(struct sim *w)
{
    return (struct tz_clock){server_wall, server_mono, w};
}

/* ---- event heap ---- */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->number < b->number;
}

void sim_at(struct sim *w, int64_t delay_ms, enum sim_event_kind kind, uint64_t a, uint64_t b)
{
    if (w->nheap == w->heap_cap) {
        size_t cap = w->heap_cap ? w->heap_cap * 2 : 256;
        struct sim_event *h = realloc(w->heap, cap * sizeof *h);
        if (!h)
            abort();
        w->heap = h;
        w->heap_cap = cap;
    }
    struct sim_event e = {w->now_ms + delay_ms, w->next_number++, kind, a, b};
    size_t i = w->nheap++;
    while (i > 0 && before(&e, &w->heap[(i - 1) / 2])) {
        w->heap[i] = w->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w->heap[i] = e;
}

static bool take_event(struct sim *w, struct sim_event *out)
{
    if (w->nheap == 0)
        return false;
    *out = w->heap[0];
    struct sim_event last = w->heap[--w->nheap];
    size_t i = 0;
    for (;;) {
        size_t child = i * 2 + 1;
        if (child >= w->nheap)
            break;
        if (child + 1 < w->nheap && before(&w->heap[child + 1], &w->heap[child]))
            child++;
        if (!before(&w->heap[child], &last))
            break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = last;
    return true;
}

/* ---- the plan of a seed ---- */

static const struct {
    enum sim_action_kind kind;
    unsigned weight;
} PLAN[] = {
    {SIM_ACT_USER, 760},       {SIM_ACT_RAW, 60},        {SIM_ACT_CUT, 55},          {SIM_ACT_DUPLICATE, 25},
    {SIM_ACT_OFFLINE, 70},     {SIM_ACT_PARTITION, 8},   {SIM_ACT_CLIENT_CRASH, 12}, {SIM_ACT_CLIENT_KILL, 10},
    {SIM_ACT_SERVER_CRASH, 7}, {SIM_ACT_SERVER_KILL, 6}, {SIM_ACT_CLOCK, 12},        {SIM_ACT_WITHDRAW, 15},
    {SIM_ACT_DAMAGE, 10},      {SIM_ACT_DISK_FULL, 6},   {SIM_ACT_PURGE, 4},         {SIM_ACT_ABSENCE, 6},
    {SIM_ACT_GRANT, 5},        {SIM_ACT_REVOKE, 1},      {SIM_ACT_BACKLOG, 3},       {SIM_ACT_BACKUP, 8},
    {SIM_ACT_RESTORE, 4},
};

static bool is_fault(enum sim_action_kind kind)
{
    return kind != SIM_ACT_USER && kind != SIM_ACT_RAW && kind != SIM_ACT_WITHDRAW;
}

static unsigned weight_of(enum sim_mode mode, size_t i)
{
    return PLAN[i].weight * (mode == SIM_SAFETY && is_fault(PLAN[i].kind) ? 3 : 1);
}

static enum sim_action_kind pick_kind(struct sim_rng *r, enum sim_mode mode)
{
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof PLAN / sizeof *PLAN; i++)
        sum += weight_of(mode, i);
    uint64_t at = sim_below(r, sum);
    for (size_t i = 0; i < sizeof PLAN / sizeof *PLAN; i++) {
        if (at < weight_of(mode, i))
            return PLAN[i].kind;
        at -= weight_of(mode, i);
    }
    return SIM_ACT_USER;
}

static void plan_actions(struct sim *w)
{
    struct sim_rng r = sim_rng_of(w->opt.seed, 2);
    w->nactions = 100 + sim_below(&r, 400);
    if (w->opt.ops) /* an upper bound: the seed ends when so many ops were made */
        w->nactions = w->opt.ops * 8;
    w->actions = calloc(w->nactions + SIM_MORE_ACTIONS, sizeof *w->actions);
    if (!w->actions)
        abort();
    int64_t gap = sim_chance(&r, 30) ? 200 : 2500; /* crowded or spread out */
    if (w->opt.ops)                                /* many people */
        gap = 300;
    int64_t at = 0;
    for (size_t i = 0; i < w->nactions; i++) {
        at += (int64_t)sim_below(&r, (uint64_t)gap * 2);
        int64_t days = sim_below(&r, 150) == 0 ? (int64_t)sim_below(&r, 60) : 0;
        w->actions[i] = (struct sim_action){at, pick_kind(&r, w->opt.mode), (unsigned)sim_below(&r, w->nclients),
                                            sim_rand(&r), days};
    }
    w->end_ms = at + 1000;
    if (w->opt.mode == SIM_LIVENESS)
        w->calm_ms = at / 2;
    sim_copies_plan(w);
    sim_catalogues_plan(w);
    for (size_t i = 0; i < w->nactions; i++)
        if (!w->opt.mask || (i < w->opt.nmask && w->opt.mask[i]))
            sim_at(w, w->actions[i].at_ms, SIM_EV_ACTION, i, 0);
}

/** Mostly the devices of one district, so that people meet. */
static void pick_clients(struct sim *w, bool chosen[SIM_DEVICES])
{
    struct sim_rng r = sim_rng_of(w->opt.seed, 3);
    memset(chosen, 0, SIM_DEVICES * sizeof *chosen);
    unsigned want = 2 + (unsigned)sim_below(&r, 5);
    if (sim_below(&r, 16) == 0)
        want = 12;
    if (w->opt.clients)
        want = w->opt.clients;
    for (unsigned n = 0; n < want;) {
        unsigned d = (unsigned)sim_below(&r, sim_chance(&r, 60) ? 5 : w->tpl->ndevices);
        n += !chosen[d];
        chosen[d] = true;
    }
}

static int make_clients(struct sim *w)
{
    bool chosen[SIM_DEVICES];
    pick_clients(w, chosen);
    for (unsigned d = 0; d < SIM_DEVICES; d++)
        w->nclients += chosen[d];
    w->clients_cap = w->nclients + SIM_COPIES_MAX;
    w->clients = calloc(w->clients_cap, sizeof *w->clients);
    if (!w->clients)
        abort();
    unsigned at = 0;
    for (unsigned d = 0; d < SIM_DEVICES; d++)
        if (chosen[d] && sim_client_init(w, at++, &w->tpl->devices[d]))
            return -1;
    return 0;
}

/* ---- actions ---- */

static void act_offline(struct sim_client *c, struct sim_rng *r)
{
    int64_t ms = 2000 + (int64_t)sim_below(r, sim_chance(r, 40) ? 200000 : 30000);
    c->offline_until_ms = c->w->now_ms + ms;
    sim_net_cut(c->w, c->conn, SIM_CUT_CLEAN);
    sim_client_connect_later(c, ms);
}

static void act_partition(struct sim *w, struct sim_rng *r)
{
    w->n.partitions++;
    for (size_t i = 0; i < w->nclients; i++)
        if (sim_chance(r, 50)) {
            w->clients[i].offline_until_ms = w->now_ms + 3000 + (int64_t)sim_below(r, 30000);
            sim_net_cut(w, w->clients[i].conn, SIM_CUT_HALF_OPEN);
        }
}

static void act_clock(struct sim_client *c, struct sim_rng *r)
{
    static const int64_t SKEWS[] = {
        0, 90000, -90000, 3600000, -86400000, INT64_C(315360000000), INT64_C(-315360000000)};
    c->w->n.clock_jumps++;
    c->skew_ms = SKEWS[sim_below(r, sizeof SKEWS / sizeof *SKEWS)];
}

static void crash_server(struct sim *w, struct sim_rng *r)
{
    if (!w->server.up)
        return;
    if (sim_chance(r, 60)) /* in the middle of a later write, else between two groups */
        tz_memdisk_crash_at(w->server.disk, TZ_MEMDISK_ANY, 1 + sim_below(r, 60));
    else
        sim_server_crash(w, true);
}

static void crash_client(struct sim_client *c, struct sim_rng *r)
{
    if (!c->up || c->dev->raw)
        return;
    if (sim_chance(r, 60))
        tz_memdisk_crash_at(c->disk, TZ_MEMDISK_ANY, 1 + sim_below(r, 60));
    else
        sim_client_crash(c, true);
}

static void cut(struct sim_client *c, struct sim_rng *r)
{
    static const enum sim_cut HOW[] = {SIM_CUT_CLEAN, SIM_CUT_HALF_OPEN, SIM_CUT_BLACK_HOLE};
    sim_net_cut(c->w, c->conn, HOW[sim_below(r, 3)]);
}

/** A second connection while the first still lives at the server: what the client abandons may still arrive. */
static void duplicate(struct sim_client *c)
{
    if (!c->conn || !c->up)
        return;
    c->w->n.duplicates++;
    sim_client_on_lost(c->w, c->conn);
    sim_client_connect_later(c, 1);
}

static void act(struct sim *w, size_t index)
{
    const struct sim_action *a = &w->actions[index];
    struct sim_client *c = sim_copies_pick(&w->clients[a->client], a->seed);
    struct sim_rng r = {a->seed | 1};
    if (w->draining) /* of more that were planned than people had to make */
        return;
    w->n.actions++;
    if (w->calm_ms && w->now_ms > w->calm_ms && is_fault(a->kind))
        return;
    w->warp_ms += a->days_before * 86400000; /* days in which nothing happened, on every clock */
    sim_trace(w, "action %zu kind %d client %u", index, (int)a->kind, a->client);
    switch (a->kind) {
    case SIM_ACT_USER:
    case SIM_ACT_RAW:
        if (c->dev->raw)
            sim_raw_act(c, &r);
        else
            sim_user_act(c, &r);
        break;
    case SIM_ACT_CUT:
        cut(c, &r);
        break;
    case SIM_ACT_DUPLICATE:
        duplicate(c);
        break;
    case SIM_ACT_OFFLINE:
        act_offline(c, &r);
        break;
    case SIM_ACT_PARTITION:
        act_partition(w, &r);
        break;
    case SIM_ACT_CLIENT_CRASH:
        crash_client(c, &r);
        break;
    case SIM_ACT_CLIENT_KILL:
        if (c->up && !c->dev->raw)
            sim_client_crash(c, false);
        break;
    case SIM_ACT_SERVER_CRASH:
        crash_server(w, &r);
        break;
    case SIM_ACT_SERVER_KILL:
        if (w->server.up)
            sim_server_crash(w, false);
        break;
    case SIM_ACT_CLOCK:
        act_clock(c, &r);
        break;
    case SIM_ACT_WITHDRAW:
        (void)sim_user_withdraw(c, &r, false);
        break;
    case SIM_ACT_DAMAGE:
        sim_damage_act(c, &r);
        break;
    case SIM_ACT_DISK_FULL:
        sim_disk_full(w, c, &r);
        break;
    case SIM_ACT_PURGE:
        sim_purge_start(w);
        break;
    case SIM_ACT_ABSENCE:
        sim_purge_absence(c, &r);
        break;
    case SIM_ACT_GRANT:
        sim_grants_act(c, &r);
        break;
    case SIM_ACT_BACKUP:
        sim_restore_backup(w);
        break;
    case SIM_ACT_RESTORE:
        sim_restore_act(w, &r);
        break;
    case SIM_ACT_REVOKE:
        if (sim_below(&r, 1 + w->opt.ops / 300) == 0) /* in a large world somebody must be left */
            sim_grants_revoke(c);
        break;
    case SIM_ACT_BACKLOG:
        (void)sim_grants_settle(w, NULL, &r);
        break;
    case SIM_ACT_COPY:
    case SIM_ACT_PUT_BACK:
        sim_copies_act(c, &r, a->kind == SIM_ACT_PUT_BACK);
        break;
    case SIM_ACT_SERVER_CATALOGUE:
        sim_catalogues_server(w);
        break;
    case SIM_ACT_CATALOGUE:
        sim_catalogues_client(c);
        break;
    case SIM_ACT_KINDS:
        break;
    }
}

/* ---- running ---- */

static void dispatch(struct sim *w, const struct sim_event *e)
{
    switch (e->kind) {
    case SIM_EV_ACTION:
        act(w, e->a);
        break;
    case SIM_EV_DELIVER:
        sim_net_deliver(w, e->a, e->b);
        break;
    case SIM_EV_CLOSE_SEEN:
        sim_net_close_seen(w, e->a, (enum sim_side)e->b);
        break;
    case SIM_EV_TICK:
        sim_net_tick(w, e->a);
        break;
    case SIM_EV_GROUP:
    case SIM_EV_READER:
    case SIM_EV_JOBS_BACK:
    case SIM_EV_SERVER_UP:
        sim_server_event(w, e);
        break;
    case SIM_EV_CONNECT:
    case SIM_EV_CLIENT_JOB:
    case SIM_EV_CLIENT_BACK:
    case SIM_EV_CLIENT_UP:
        sim_client_event(w, e);
        break;
    case SIM_EV_FORM_SAVE:
        sim_user_form_save(&w->clients[e->a], (unsigned)e->b);
        break;
    case SIM_EV_ROOM_AGAIN:
        sim_room_again(w, e->a);
        break;
    case SIM_EV_PURGE:
        sim_purge_event(w, e);
        break;
    case SIM_EV_PURGE_NOW:
        sim_purge_start(w);
        break;
    case SIM_EV_COPY_UP:
        sim_copies_event(w, e);
        break;
    case SIM_EV_CHECK:
        break;
    }
}

static bool step(struct sim *w)
{
    struct sim_event e;
    if (w->failed || !take_event(w, &e))
        return false;
    w->now_ms = e.at_ms;
    tz_memvfs_time_set(sim_server_wall(w).ms);
    uint64_t h[4] = {(uint64_t)e.at_ms, (uint64_t)e.kind, e.a, e.b};
    sim_hash(w, h, sizeof h);
    w->n.events++;
    if (w->n.events > SIM_EVENTS_MAX + w->opt.ops * SIM_EVENTS_PER_OP)
        sim_fail(w, "more than %d events: something goes round in circles; %s", (int)SIM_EVENTS_MAX, w->noise);
    dispatch(w, &e);
    return !w->failed;
}

static bool all_quiet(struct sim *w)
{
    if (!w->server.up || w->server.writer.n || w->server.reader.n || w->server.back.n)
        return false;
    for (size_t i = 0; i < w->nclients; i++)
        if (!sim_client_quiet(&w->clients[i]))
            return false;
    return true;
}

/** From now on everything works. */
static void heal(struct sim *w)
{
    tz_memdisk_crash_at(w->server.disk, 0, 0);
    for (size_t i = 0; i < w->nclients; i++) {
        struct sim_client *c = &w->clients[i];
        c->offline_until_ms = 0;
        c->live = true;
        if (c->disk)
            tz_memdisk_crash_at(c->disk, 0, 0);
        sim_room_again(w, i);
        sim_client_connect_later(c, 1);
    }
    sim_room_again(w, SIM_OF_SERVER);
}

/** Nobody makes anything new; what is under way goes to its end. */
static void drain(struct sim *w)
{
    w->draining = true;
    sim_copies_drain(w);
    for (size_t i = 0; i < w->nclients; i++)
        for (unsigned f = 0; f < SIM_FORMS_MAX; f++)
            w->clients[i].forms[f].open = false;
    heal(w);
}

static void run_until_quiet(struct sim *w)
{
    int64_t since = w->now_ms;
    int64_t limit = since + SIM_QUIET_LIMIT_MS;
    int64_t next = 0;
    while (!w->failed) {
        if (w->now_ms >= next) {
            if (all_quiet(w)) {
                uint64_t took = (uint64_t)(w->now_ms - since);
                w->n.quiet_ms_max = took > w->n.quiet_ms_max ? took : w->n.quiet_ms_max;
                return;
            }
            next = w->now_ms + 50;
            sim_at(w, 60, SIM_EV_CHECK, 0, 0);
        }
        if (w->now_ms > limit)
            sim_fail(w, "not quiet %d min after everything was healed: %s", SIM_QUIET_LIMIT_MS / 60000, w->noise);
        else if (!step(w) && !w->failed)
            sim_fail(w, "nothing left to do, but not quiet");
    }
}

static void ask_again(struct sim *w)
{
    if (w->failed)
        return;
    sim_copies_ask_again(w);
    run_until_quiet(w);
}

static void withdraw_all(struct sim *w)
{
    for (bool left = true; left && !w->failed;) {
        left = false;
        for (size_t i = 0; i < w->nclients && !w->failed; i++) {
            struct sim_rng r = sim_rng_of(w->opt.seed, 100 + i);
            left = sim_user_withdraw(&w->clients[i], &r, true) || left;
        }
        run_until_quiet(w);
    }
}

static int start(struct sim *w, struct sim_template *tpl, const struct sim_options *opt)
{
    w->opt = *opt;
    w->tpl = tpl;
    w->rng = sim_rng_of(opt->seed, 0);
    w->machine = sim_rng_of(opt->seed, 1);
    w->hash = 14695981039346656037U;
    w->n.seeds = 1;
    tz_memvfs_seed((uint32_t)opt->seed * 2654435761U + 1);
    tz_memvfs_time_set(sim_server_wall(w).ms);
    w->history = sim_history_new();
    struct sim_rng r = sim_rng_of(opt->seed, 4);
    w->restores = sim_below(&r, 6) == 0;
    sim_catalogues_init(w);
    w->oracle = oracle_new(w->cat);
    oracle_catalogue(w->oracle, w->server.cat);
    sim_grants_init(w);
    w->epoch = 1;
    w->server.disk = tz_memdisk_clone(tpl->server);
    if (sim_server_start(w) || make_clients(w))
        return -1;
    plan_actions(w);
    return 0;
}

/** Did people make as many ops as they were asked to? */
static bool enough(const struct sim *w)
{
    return w->opt.ops && w->n.ops + w->n.raw_ops >= w->opt.ops;
}

int sim_run(struct sim *w, struct sim_template *tpl, const struct sim_options *opt)
{
    memset(w, 0, sizeof *w);
    if (start(w, tpl, opt))
        return -1;
    bool calm = false;
    while (!w->failed && w->now_ms < w->end_ms && !enough(w) && step(w))
        if (w->calm_ms && w->now_ms > w->calm_ms && !calm) {
            calm = true;
            heal(w);
        }
    if (opt->mode == SIM_SAFETY) {
        if (!w->failed)
            sim_check_safe(w);
        return w->failed ? -1 : 0;
    }
    if (!w->failed && w->opt.ops && !enough(w))
        sim_fail(w, "only %" PRIu64 " of %" PRIu64 " ops were made", w->n.ops + w->n.raw_ops, w->opt.ops);
    drain(w);
    run_until_quiet(w);
    if (w->nlost) {
        sim_restore_settle(w);
        run_until_quiet(w);
    }
    ask_again(w);
    if (!w->failed)
        sim_check_end(w, false);
    sim_catalogues_finish(w);
    run_until_quiet(w);
    withdraw_all(w);
    ask_again(w);
    if (!w->failed)
        sim_check_end(w, true);
    return w->failed ? -1 : 0;
}

void sim_deinit(struct sim *w)
{
    sim_net_deinit(w);
    for (size_t i = 0; i < w->nclients; i++)
        sim_client_deinit(&w->clients[i]);
    sim_server_stop(w);
    tz_memdisk_free(w->server.disk);
    sim_history_free(w->history);
    sim_grants_deinit(w);
    sim_restore_deinit(w);
    tz_arena_deinit(&w->scratch);
    oracle_free(w->oracle);
    free(w->clients);
    free(w->actions);
    free(w->records);
    free(w->heap);
}
