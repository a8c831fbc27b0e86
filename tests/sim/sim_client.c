/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client: real sync and office. Its jobs run one after the other at times of their own, as on the database thread;
 * what a crash interrupts is gone, what the disk kept is there afterwards.
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- clock, randomness ---- */

static struct tz_wall client_wall(void *ctx)
{
    const struct sim_client *c = ctx;
    return (struct tz_wall){sim_server_wall(c->w).ms + c->skew_ms};
}

static struct tz_mono client_mono(void *ctx)
{
    return (struct tz_mono){((const struct sim_client *)ctx)->w->now_ms};
}

struct tz_clock sim_client_clock(struct sim_client *c)
{
    return (struct tz_clock){client_wall, client_mono, c};
}

static uint32_t id_random(void *ctx)
{
    return (uint32_t)sim_rand(&((struct sim_client *)ctx)->w->machine);
}

/* ---- job queue ---- */

static void push_job(struct tz_cjob ***v, size_t *n, size_t *cap, struct tz_cjob *j)
{
    if (*n == *cap) {
        *cap = *cap ? *cap * 2 : 8;
        struct tz_cjob **more = realloc(*v, *cap * sizeof *more);
        if (!more)
            abort();
        *v = more;
    }
    (*v)[(*n)++] = j;
}

static struct tz_cjob *pop_job(struct tz_cjob **v, size_t *n)
{
    struct tz_cjob *j = v[0];
    memmove(v, v + 1, (*n - 1) * sizeof *v);
    (*n)--;
    return j;
}

static void drop_jobs(struct sim_client *c)
{
    while (c->njobs)
        tz_cjob_free(pop_job(c->jobs, &c->njobs));
    while (c->ndone)
        tz_cjob_free(pop_job(c->done, &c->ndone));
}

/* ---- sync's surroundings ---- */

static void on_send(void *ctx, uint8_t type, uint16_t lane, struct tz_bytes body)
{
    struct sim_client *c = ctx;
    sim_trace(c->w, "  %u -> server: %s %zu bytes", c->index, tz_msg_name(type), body.n);
    sim_net_send(c->w, c->conn, SIM_CLIENT, type, lane, body);
}

static void on_submit(void *ctx, struct tz_cjob *job)
{
    struct sim_client *c = ctx;
    push_job(&c->jobs, &c->njobs, &c->jobs_cap, job);
    sim_at(c->w, sim_delay(c->w, 250), SIM_EV_CLIENT_JOB, c->index, c->sync_number);
}

static void on_event(void *ctx, enum tz_sync_event e)
{
    struct sim_client *c = ctx;
    sim_trace(c->w, "  %u event %d", c->index, (int)e);
    if (e == TZ_SYNC_WELCOMED) {
        c->w->n.refreshes += sim_purge_refreshing(c);
        sim_grants_told(c);
    }
    if (e == TZ_SYNC_CHECKPOINT) {
        c->w->n.checkpoints++;
        c->checkpoint_check = true;
    }
    bool over = e == TZ_SYNC_CAUGHT_UP || (e == TZ_SYNC_REPAIR && !c->repairing);
    if (over && !c->live && !c->damaged)
        c->sync_closed = true; /* stopped after the callback */
}

static void on_close(void *ctx, const struct tz_err *err)
{
    struct sim_client *c = ctx;
    sim_trace(c->w, "  %u sync closes: %d %s", c->index, err ? err->code : 0, err ? err->trail : "");
    c->sync_closed = true;
    if (err && err->code == TZ_E_WIPED && !c->erased) {
        c->erased = true;
        c->w->n.erased++;
    }
    if (err && (err->code == TZ_E_PROTOCOL || err->code == TZ_E_FORMAT || err->code == TZ_E_INTERNAL ||
                err->code == TZ_E_AREA))
        sim_fail(c->w, "%s closed its session: %d %s %s", c->name, err->code, err->nargs ? err->args[0] : "",
                 err->trail);
}

static void end_sync(struct sim_client *c)
{
    tz_sync_free(c->sync);
    c->sync = NULL;
    c->sync_number++;
    c->sync_closed = false;
    c->repairing = false;
    drop_jobs(c);
    uint64_t conn = c->conn;
    c->conn = 0;
    sim_net_close(c->w, conn, SIM_CLIENT);
}

void sim_client_connect_later(struct sim_client *c, int64_t delay_ms)
{
    sim_at(c->w, delay_ms, SIM_EV_CONNECT, c->index, c->life);
}

/** Outside every callback of sync: hang up when it is over, look at a new checkpoint. */
static void after_sync(struct sim_client *c)
{
    if (sim_client_power(c))
        return;
    if ((c->checkpoint_check || c->repaired) && c->office && !c->damaged) {
        if (c->repaired || sim_below(&c->w->rng, c->w->opt.ops ? 100 : 10) == 0) /* it reads every row */
            sim_check_checkpoint(c);
        c->repaired = false;
    }
    c->checkpoint_check = false;
    sim_damage_repair(c);
    if (c->sync && c->sync_closed) {
        if (!c->live)
            tz_sync_stop(c->sync);
        end_sync(c);
        sim_client_connect_later(c, c->live ? sim_delay(c->w, 3000) : 500 + sim_delay(c->w, 120000));
    }
}

static void connect_now(struct sim_client *c)
{
    struct sim *w = c->w;
    if (!c->up || c->conn || w->now_ms < c->offline_until_ms || c->erased)
        return;
    c->conn = sim_net_connect(w, c->index);
    if (!c->conn) {
        sim_client_connect_later(c, 200 + sim_delay(w, 5000));
        return;
    }
    if (c->dev->raw) {
        sim_raw_start(c);
        return;
    }
    struct tz_sync_config cfg = {.software = "sim", .clock = sim_client_clock(c)};
    if (sim_chance(&w->rng, 20))
        cfg.held_bytes_max = 2000;
    struct tz_sync_io io = {on_send, on_submit, on_event, on_close, c};
    if (tz_sync_new(&cfg, &io, &c->sync)) {
        sim_fail(w, "tz_sync_new");
        return;
    }
    c->sync_closed = false;
    tz_sync_start(c->sync);
    after_sync(c);
}

void sim_client_on_frame(struct sim *w, uint64_t handle, const struct tz_frame *f)
{
    struct sim_client *c = &w->clients[sim_net_conn(w, handle)->client];
    if (c->conn != handle)
        return;
    if (c->dev->raw) {
        sim_raw_on_frame(c, f);
        return;
    }
    if (c->sync && !c->sync_closed)
        tz_sync_on_frame(c->sync, f);
    after_sync(c);
}

void sim_client_on_lost(struct sim *w, uint64_t handle)
{
    struct sim_conn *conn = sim_net_conn(w, handle);
    struct sim_client *c = &w->clients[conn->client];
    if (c->conn != handle)
        return;
    if (c->dev->raw) {
        c->conn = 0;
        sim_net_close(w, handle, SIM_CLIENT);
    } else {
        end_sync(c);
    }
    sim_client_connect_later(c, sim_delay(w, 3000));
}

void sim_client_tick(struct sim *w, uint64_t handle)
{
    struct sim_conn *conn = sim_net_conn(w, handle);
    struct sim_client *c = &w->clients[conn->client];
    if (c->dev->raw && conn->black_hole) /* it has no deadline of its own */
        sim_client_on_lost(w, handle);
    if (c->conn != handle || !c->sync || c->sync_closed)
        return;
    if (tz_sync_deadline(c->sync).ms <= w->now_ms)
        tz_sync_on_timer(c->sync);
    after_sync(c);
}

/* ---- disk ---- */

static uint32_t disk_random(void *ctx)
{
    return (uint32_t)sim_rand(&((struct sim *)ctx)->machine);
}

static int open_office(struct sim_client *c)
{
    struct tz_err err = {0};
    char path[128];
    struct tz_office_options o = {.catalogue = c->cat,
                                  .db = {.vfs = TZ_MEMVFS_NAME, .exclusive = true, .cache_kib = 1024},
                                  .clock = sim_client_clock(c),
                                  .random = id_random,
                                  .random_ctx = c};
    int rc = tz_office_open(tz_memdisk_path(c->disk, "office.db", path, sizeof path), &o, &c->office, &err);
    if (rc && tz_memdisk_is_off(c->disk)) { /* the power went again, in the middle of recovery */
        sim_client_crash(c, true);
        return -1;
    }
    if (rc && sim_full_explains(c->w, c->disk_full, rc)) {
        tz_office_close(c->office);
        c->office = NULL;
        c->life++;
        sim_at(c->w, 500 + sim_delay(c->w, 6000), SIM_EV_CLIENT_UP, c->index, c->life);
        return -1;
    }
    if (rc) {
        sim_fail(c->w, "%s: the office does not open: %d %s", c->name, rc, err.trail);
        return -1;
    }
    c->up = true;
    sim_grants_told(c);
    sim_client_record(c, 0);
    sim_client_renumbered(c);
    sim_client_emptied(c);
    return sim_client_power(c) ? -1 : 0;
}

void sim_client_crash(struct sim_client *c, bool power)
{
    struct sim *w = c->w;
    if (power)
        w->n.client_crashes++;
    else
        w->n.client_kills++;
    sim_trace(w, "client %u %s", c->index, power ? "loses power" : "is killed");
    if (power)
        tz_memdisk_crash(c->disk, disk_random, w);
    else
        tz_memdisk_kill(c->disk);
    if (c->sync)
        end_sync(c);
    tz_office_close(c->office);
    c->office = NULL;
    c->up = false;
    c->life++;
    memset(c->forms, 0, sizeof c->forms);
    sim_at(w, 100 + sim_delay(w, 10000), SIM_EV_CLIENT_UP, c->index, c->life);
}

bool sim_client_power(struct sim_client *c)
{
    if (!c->disk || !c->up || !tz_memdisk_is_off(c->disk))
        return false;
    sim_client_crash(c, true);
    return true;
}

/* ---- events ---- */

static void run_job(struct sim_client *c)
{
    if (!c->njobs)
        return;
    push_job(&c->done, &c->ndone, &c->done_cap, pop_job(c->jobs, &c->njobs));
    tz_cjob_run(c->done[c->ndone - 1], c->office);
    sim_client_renumbered(c);
    if (!sim_client_power(c))
        sim_at(c->w, sim_delay(c->w, 150), SIM_EV_CLIENT_BACK, c->index, c->sync_number);
}

void sim_client_event(struct sim *w, const struct sim_event *e)
{
    struct sim_client *c = &w->clients[e->a];
    bool same_sync = e->b == c->sync_number && c->sync;
    bool same_life = e->b == c->life;
    if (e->kind == SIM_EV_CONNECT && same_life) {
        connect_now(c);
    } else if (e->kind == SIM_EV_CLIENT_UP && same_life && !c->up) {
        if (!open_office(c))
            sim_client_connect_later(c, sim_delay(w, 2000));
    } else if (e->kind == SIM_EV_CLIENT_JOB && same_sync) {
        run_job(c);
    } else if (e->kind == SIM_EV_CLIENT_BACK && same_sync && c->ndone) {
        tz_sync_on_job(c->sync, pop_job(c->done, &c->ndone));
        after_sync(c);
    }
}

/* ---- life ---- */

int sim_client_init(struct sim *w, unsigned index, struct sim_device *d)
{
    struct sim_client *c = &w->clients[index];
    struct sim_rng r = sim_rng_of(w->opt.seed, 10 + index);
    c->w = w;
    c->index = index;
    c->dev = d;
    c->incarnation = 1;
    c->cat = w->server.cat;
    (void)snprintf(c->name, sizeof c->name, "%s", d->name);
    c->live = sim_chance(&r, 50);
    if (sim_chance(&r, 30))
        c->skew_ms = (int64_t)sim_below(&r, 7200000) - 3600000;
    if (sim_chance(&r, 8))
        c->skew_ms = sim_chance(&r, 50) ? INT64_C(315360000000) : INT64_C(-315360000000);
    sim_grants_begin(c);
    sim_client_connect_later(c, (int64_t)sim_below(&r, 5000));
    if (d->raw) {
        c->up = true;
        c->raw.next_seq = 1;
        c->raw.maker = (struct tz_id_maker){.device = d->number, .random = id_random, .random_ctx = c};
        return 0;
    }
    c->disk = tz_memdisk_clone(sim_template_office(w->tpl, d));
    return open_office(c);
}

void sim_client_copy(struct sim *w, unsigned index, const struct sim_client *from)
{
    struct sim_client *c = &w->clients[index];
    struct sim_rng r = sim_rng_of(w->opt.seed, 10 + index);
    *c = (struct sim_client){.w = w,
                             .index = index,
                             .dev = from->dev,
                             .incarnation = from->incarnation,
                             .cat = from->cat,
                             .asleep = true,
                             .skew_ms = from->skew_ms,
                             .live = sim_chance(&r, 50),
                             .held_ver = from->held_ver,
                             .hurt = from->hurt,
                             .resolved = from->resolved,
                             .nareas = from->nareas,
                             .reads_secret = from->reads_secret,
                             .nfed = from->nfed};
    (void)snprintf(c->name, sizeof c->name, "%s#%u", from->dev->name, index);
    memcpy(c->role, from->role, sizeof c->role);
    memcpy(c->area, from->area, sizeof c->area);
    memcpy(c->areas, from->areas, sizeof c->areas);
    memcpy(c->fed, from->fed, sizeof c->fed);
    sim_saves_copy(c, from);
    c->disk = tz_memdisk_clone(from->disk);
}

void sim_client_start(struct sim_client *c)
{
    if (!open_office(c))
        sim_client_connect_later(c, sim_delay(c->w, 5000));
}

void sim_client_end(struct sim_client *c)
{
    sim_purge_held(c);
    tz_memdisk_kill(c->disk);
    if (c->sync)
        end_sync(c);
    tz_office_close(c->office);
    c->office = NULL;
    c->up = false;
    c->gone = true;
    c->life++;
}

void sim_client_deinit(struct sim_client *c)
{
    tz_sync_free(c->sync);
    drop_jobs(c);
    tz_office_close(c->office);
    tz_memdisk_free(c->disk);
    sim_saves_deinit(c);
    free(c->writes);
    free(c->jobs);
    free(c->done);
}

/** Has the server the session, too? One that it ended while the line was dead still runs at the client's end. */
static bool served(const struct sim_client *c)
{
    const struct sim_conn *n = sim_net_conn(c->w, c->conn);
    return n && n->session && !n->session_closing;
}

bool sim_client_quiet(struct sim_client *c)
{
    struct sim *w = c->w;
    if (c->gone)
        return true;
    if (c->dev->raw) {
        (void)snprintf(w->noise, sizeof w->noise, "%s next %llu answered %llu connected %d", c->name,
                       (unsigned long long)c->raw.next_seq, (unsigned long long)c->raw.answered, c->conn != 0);
        return sim_raw_quiet(c);
    }
    if (c->shut_out) {
        (void)snprintf(w->noise, sizeof w->noise, "%s shut out, erased %d", c->name, c->erased);
        return sim_grants_left(c);
    }
    bool wipe_due = false;
    bool idle =
        c->up && c->sync && !c->sync_closed && !c->njobs && !c->ndone && tz_sync_caught_up(c->sync) && served(c);
    struct tz_office_status st = {0};
    struct tz_err err = {0};
    if (idle && !c->damaged && tz_office_status(c->office, &st, &err)) /* it counts every table: not before the rest */
        sim_fail(w, "%s: status: %d %s", c->name, err.code, err.trail);
    if (idle && !c->damaged && tz_office_wipe_due(c->office, &wipe_due, &err))
        sim_fail(w, "%s: wipe: %d %s", c->name, err.code, err.trail);
    (void)snprintf(w->noise, sizeof w->noise,
                   "%s up %d sync %d caught up %d jobs %zu damaged %d unsent %llu filling %d wipe %d at %llu of %llu",
                   c->name, c->up, c->sync != NULL, c->sync && tz_sync_caught_up(c->sync), c->njobs, c->damaged,
                   (unsigned long long)st.unsent_changesets, st.filling, wipe_due,
                   (unsigned long long)st.checkpoint & 0xFFFFFF,
                   (unsigned long long)tz_store_head(w->server.store) & 0xFFFFFF);
    return idle && !c->damaged && !wipe_due && sim_restore_heard(c) && !sim_grants_due(c) &&
           st.unsent_changesets == 0 && !st.filling && sim_check_has_all(c, st.checkpoint);
}
