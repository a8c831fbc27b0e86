/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server: real sessions and store; what the loop, the writer thread and the readers do in taizhangd is done here by
 * events.
 *
 * Writer jobs wait until a group is due; a group takes some of them, commits, settles them, and hands them back later.
 * Reader jobs run one by one at times of their own and never inside a group: one handle serves as writer and reader. A
 * crash throws sessions, jobs and the store handle away and keeps what the disk made durable.
 */
#include "planted.h"
#include "session_int.h"
#include "sim.h"

#include <stdlib.h>
#include <string.h>

enum { GROUP_MAX = 12 };
/* small ones split what is sent into pages; 0 as in taizhangd */
static const size_t FRAME_BYTES[] = {0, 200, 700, 2500, 9000};

/* ---- job lists ---- */

static void jobs_push(struct sim_jobs *l, struct sim_job j)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 16;
        struct sim_job *v = realloc(l->v, cap * sizeof *v);
        if (!v)
            abort();
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = j;
}

static struct sim_job jobs_take(struct sim_jobs *l, size_t i)
{
    struct sim_job j = l->v[i];
    memmove(&l->v[i], &l->v[i + 1], (l->n - i - 1) * sizeof *l->v);
    l->n--;
    return j;
}

static void jobs_drop(struct sim_jobs *l)
{
    for (size_t i = 0; i < l->n; i++)
        tz_sjob_free(l->v[i].job); /* NULL: the administrator's */
    free(l->v);
    memset(l, 0, sizeof *l);
}

/* ---- a session's surroundings ---- */

/** Connection handles are the sessions' ids; the context carries both without allocation per session. */
struct session_ctx {
    struct sim *w;
    uint64_t handle;
};
static struct session_ctx contexts[SIM_CONNS_MAX];

static void on_send(void *ctx, uint8_t type, uint16_t lane, struct tz_bytes body)
{
    struct session_ctx *s = ctx;
    struct sim_conn *c = sim_net_conn(s->w, s->handle);
    if (!c)
        return;
    sim_trace(s->w, "  server -> %u: %s %zu bytes", c->client, tz_msg_name(type), body.n);
    sim_check_taint(&s->w->clients[c->client], body, tz_msg_name(type));
    s->w->n.rows_sent += type == TZ_MSG_ROWS;
    sim_net_send(s->w, s->handle, SIM_SERVER, type, lane, body);
}

static void submit_writer(struct sim *w, struct sim_job j)
{
    struct sim_server *v = &w->server;
    jobs_push(&v->writer, j);
    if (!v->group_due)
        sim_at(w, sim_delay(w, 300), SIM_EV_GROUP, v->life, 0);
    v->group_due = true;
}

static void on_submit(void *ctx, struct tz_sjob *job)
{
    struct session_ctx *s = ctx;
    struct sim_server *v = &s->w->server;
    struct sim_job j = {job, s->handle, 0, sim_net_conn(s->w, s->handle)->client};
    if (tz_sjob_where(job) == TZ_JOB_WRITER) {
        submit_writer(s->w, j);
        return;
    }
    jobs_push(&v->reader, j);
    sim_at(s->w, sim_delay(s->w, 400), SIM_EV_READER, v->life, 0);
}

void sim_server_submit(struct sim *w, struct tz_sjob *job)
{
    submit_writer(w, (struct sim_job){job, 0, 0, SIM_NOBODY});
}

/** As taizhangd does: one job that judges what was freed is under way while there is more of it. */
static void release_more(struct sim *w)
{
    struct sim_job j = {NULL, 0, 0, SIM_NOBODY};
    if (w->server.releasing || tz_sjob_release_new(&j.job))
        return;
    w->server.releasing = true;
    submit_writer(w, j);
}

void sim_server_release(struct sim *w)
{
    release_more(w);
}

static void on_authenticated(void *ctx)
{
    struct session_ctx *s = ctx;
    struct sim_conn *c = sim_net_conn(s->w, s->handle);
    if (c)
        tz_frame_reader_limit(&c->reader[SIM_SERVER], TZ_FRAME_BODY_MAX);
}

static void on_close(void *ctx, int code)
{
    struct session_ctx *s = ctx;
    struct sim_conn *c = sim_net_conn(s->w, s->handle);
    if (!c)
        return;
    sim_trace(s->w, "  server closes %u: %d", c->client, code);
    if (code == TZ_E_INTERNAL || code == TZ_E_DB || code == TZ_E_DB_CORRUPT || code == TZ_E_PROTOCOL)
        if (!tz_memdisk_is_off(s->w->server.disk) && !s->w->clients[c->client].dev->raw)
            sim_fail(s->w, "the server closed the session of %s with code %d", s->w->clients[c->client].name, code);
    c->session_closing = true;
}

/** Not from inside a callback of the session. */
static void end_session(struct sim *w, uint64_t handle)
{
    struct sim_conn *c = sim_net_conn(w, handle);
    if (!c || !c->session)
        return;
    tz_session_free(c->session);
    c->session = NULL;
    sim_net_close(w, handle, SIM_SERVER);
}

static void reap(struct sim *w, uint64_t handle)
{
    struct sim_conn *c = sim_net_conn(w, handle);
    if (c && c->session && c->session_closing)
        end_session(w, handle);
}

bool sim_server_accept(struct sim *w, uint64_t handle)
{
    if (!w->server.up)
        return false;
    struct sim_conn *c = sim_net_conn(w, handle);
    struct session_ctx *s = &contexts[c - w->conns];
    *s = (struct session_ctx){w, handle};
    struct tz_session_config cfg = {
        .id = handle, .clock = sim_server_clock(w), .software = "sim", .catalogue = w->server.cat};
    memcpy(cfg.fingerprint, w->clients[c->client].dev->fingerprint, sizeof cfg.fingerprint);
    struct tz_session_io io = {on_send, on_submit, on_authenticated, on_close, s};
    if (tz_session_new(&cfg, &io, &c->session)) {
        sim_fail(w, "tz_session_new");
        return false;
    }
    return true;
}

void sim_server_on_frame(struct sim *w, uint64_t handle, const struct tz_frame *f)
{
    struct sim_conn *c = sim_net_conn(w, handle);
    if (c && c->session && !c->session_closing)
        tz_session_on_frame(c->session, f);
    reap(w, handle);
}

void sim_server_on_lost(struct sim *w, uint64_t handle)
{
    struct sim_conn *c = sim_net_conn(w, handle);
    if (!c || !c->session)
        return;
    tz_session_free(c->session);
    c->session = NULL;
}

void sim_server_tick(struct sim *w, uint64_t handle)
{
    struct sim_conn *c = sim_net_conn(w, handle);
    if (!c || !c->session || c->session_closing)
        return;
    if (tz_session_deadline(c->session).ms <= w->now_ms)
        tz_session_kick(c->session, TZ_E_TIMEOUT);
    reap(w, handle);
}

/* ---- start, crash ---- */

static void machine_random(void *ctx, uint8_t *p, size_t n)
{
    struct sim *w = ctx;
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)sim_rand(&w->machine);
}

static uint32_t disk_random(void *ctx)
{
    return (uint32_t)sim_rand(&((struct sim *)ctx)->machine);
}

struct tz_store_options sim_server_options(struct sim *w)
{
    return (struct tz_store_options){.catalogue = w->server.cat,
                                     .db = {.vfs = TZ_MEMVFS_NAME, .exclusive = true, .cache_kib = 2048},
                                     .clock = sim_server_clock(w),
                                     .random = machine_random,
                                     .random_ctx = w,
                                     .rows_frame_bytes =
                                         FRAME_BYTES[w->opt.seed % (sizeof FRAME_BYTES / sizeof *FRAME_BYTES)],
                                     .journal = sim_restore_note,
                                     .journal_ctx = w,
                                     .known = sim_restore_known(w)};
}

int sim_server_start(struct sim *w)
{
    struct sim_server *v = &w->server;
    struct tz_err err = {0};
    char path[128];
    struct tz_store_options o = sim_server_options(w);
    int rc = tz_store_open(tz_memdisk_path(v->disk, "server.db", path, sizeof path), &o, &v->store, &err);
    if (!rc)
        rc = tz_replica_open(tz_store_db(v->store), v->cat, TZ_SIDE_SERVER, false, &v->look, &err);
    if (rc && tz_memdisk_is_off(v->disk)) { /* the power went again, in the middle of recovery */
        v->life++;
        sim_server_crash(w, true);
        return 0;
    }
    if (rc && sim_full_explains(w, v->disk_full, rc)) {
        sim_server_stop(w);
        v->life++;
        sim_at(w, 500 + sim_delay(w, 6000), SIM_EV_SERVER_UP, v->life, 0);
        return 0;
    }
    if (rc) {
        sim_fail(w, "the server does not start: %d %s", rc, err.trail);
        return -1;
    }
    v->up = true;
    v->life++;
    sim_restore_prune(w);
    sim_check_commits(w);
    sim_restore_check(w);
    sim_grants_forget_asked(w);
    release_more(w);
    return w->failed ? -1 : 0;
}

void sim_server_stop(struct sim *w)
{
    struct sim_server *v = &w->server;
    v->up = false;
    v->group_due = false;
    v->releasing = false;
    v->purging = false;
    jobs_drop(&v->writer);
    jobs_drop(&v->reader);
    jobs_drop(&v->back);
    for (size_t i = 0; i < w->nclients; i++)
        w->clients[i].nfed_before = 0; /* no session is left */
    tz_replica_close(v->look);
    v->look = NULL;
    tz_store_close(v->store);
    v->store = NULL;
}

void sim_server_crash(struct sim *w, bool power)
{
    if (power)
        w->n.server_crashes++;
    else
        w->n.server_kills++;
    sim_trace(w, "server %s", power ? "loses power" : "is killed");
    if (power)
        tz_memdisk_crash(w->server.disk, disk_random, w);
    else
        tz_memdisk_kill(w->server.disk);
    for (size_t i = 0; i < SIM_CONNS_MAX; i++) {
        struct sim_conn *c = &w->conns[i];
        if (!c->used || !c->session)
            continue;
        tz_session_free(c->session);
        c->session = NULL;
        sim_net_close(w, (uint64_t)c->generation << 16 | (i + 1), SIM_SERVER);
    }
    sim_server_stop(w);
    sim_at(w, 100 + sim_delay(w, 6000), SIM_EV_SERVER_UP, w->server.life, 0);
}

/** True when the disk lost power under the last call: then the server is gone. */
static bool power_lost(struct sim *w)
{
    if (!tz_memdisk_is_off(w->server.disk))
        return false;
    sim_server_crash(w, true);
    return true;
}

/* ---- jobs ---- */

static void back_later(struct sim *w, struct sim_job j)
{
    jobs_push(&w->server.back, j);
    sim_at(w, sim_delay(w, 200), SIM_EV_JOBS_BACK, w->server.life, 0);
}

static void wake_each(struct sim *w, const struct tz_area *areas, size_t n)
{
    for (size_t i = 0; i < SIM_CONNS_MAX; i++) {
        struct sim_conn *c = &w->conns[i];
        if (!c->used || !c->session || c->session_closing)
            continue;
        tz_session_on_head(c->session, tz_store_head(w->server.store), areas, n);
        reap(w, (uint64_t)c->generation << 16 | (i + 1));
    }
}

/** Wake the sessions that may read what a push changed. */
static void wake(struct sim *w, const struct tz_sjob *job)
{
    const struct tz_area *areas = NULL;
    size_t n = 0;
    if (tz_sjob_changed(job, &areas, &n))
        wake_each(w, areas, n);
}

static void wake_all(struct sim *w)
{
    wake_each(w, NULL, 0);
}

/** A RELEASE job goes to whoever it concerns. */
static void give_released(struct sim *w, struct tz_sjob *job)
{
    w->server.releasing = false;
    for (size_t i = 0; i < SIM_CONNS_MAX; i++) {
        struct sim_conn *c = &w->conns[i];
        if (c->used && c->session && !c->session_closing)
            tz_session_on_released(c->session, job);
    }
    if (tz_sjob_release_left(job))
        release_more(w);
    tz_sjob_free(job);
}

static void give_back(struct sim *w, struct sim_job j)
{
    if (!j.job) {
        sim_grants_cut(w, j.cut);
        for (size_t i = 0; i < SIM_CONNS_MAX; i++)
            reap(w, (uint64_t)w->conns[i].generation << 16 | (i + 1));
        wake_all(w);
        return;
    }
    if (tz_sjob_kind(j.job) == TZ_JOB_RELEASE) {
        give_released(w, j.job);
        return;
    }
    if (tz_sjob_kind(j.job) == TZ_JOB_PURGE) {
        sim_purge_done(w, j.job);
        return;
    }
    if (tz_sjob_release_left(j.job))
        release_more(w);
    struct sim_conn *c = sim_net_conn(w, j.conn);
    if (!c || !c->session || c->session_closing) {
        tz_sjob_free(j.job);
        return;
    }
    tz_session_on_job(c->session, j.job);
    reap(w, j.conn);
}

/** The clocks of those whose saves are judged now, as their sessions measured them. */
static void note_offsets(struct sim *w, const struct sim_job *group, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct tz_sjob *j = group[i].job;
        if (!j || tz_sjob_kind(j) != TZ_JOB_PUSH || group[i].client >= w->nclients)
            continue;
        for (size_t k = 0; k < j->nchangesets; k++)
            sim_saves_brought(&w->clients[group[i].client], j->offered ? j->offered[k].changeset : j->changesets[k],
                              j->offset_ms, w->n.groups);
    }
}

/** Run the group's jobs between begin and commit. 0, or the error everybody of the group is told. */
static int run_group(struct sim *w, struct sim_job *group, size_t n)
{
    struct tz_store *s = w->server.store;
    struct tz_err err = {0};
    int rc = tz_store_group_begin(s, &err);
    note_offsets(w, group, n);
    if (rc) {
        if (!tz_memdisk_is_off(w->server.disk) && !sim_full_explains(w, w->server.disk_full, rc))
            sim_fail(w, "a group did not begin: %d %s", rc, err.trail);
        return rc;
    }
    for (size_t i = 0; i < n && !rc; i++)
        rc = tz_sjob_run(group[i].job, s, &err);
    if (rc) {
        tz_store_group_rollback(s);
        if (!tz_memdisk_is_off(w->server.disk) && !sim_full_explains(w, w->server.disk_full, rc))
            sim_fail(w, "a writer job failed: %d %s", rc, err.trail);
        return rc;
    }
    if (TZ_PLANTED(TOLD_BEFORE_COMMIT) &&
        sim_chance(&w->rng, 30)) { /* the planted bug: answers leave, the commit never happens */
        tz_store_group_rollback(s);
        return 0;
    }
    rc = tz_store_group_commit(s, &err);
    if (rc && !tz_memdisk_is_off(w->server.disk) && !sim_full_explains(w, w->server.disk_full, rc))
        sim_fail(w, "a group did not commit: %d %s", rc, err.trail);
    return rc;
}

static void run_writers(struct sim *w)
{
    struct sim_server *v = &w->server;
    struct sim_job group[GROUP_MAX];
    size_t n = 1 + sim_below(&w->rng, v->writer.n < GROUP_MAX ? v->writer.n : GROUP_MAX);
    v->group_due = false;
    if (v->writer.n == 0)
        return;
    for (size_t i = 0; i < n; i++)
        group[i] = jobs_take(&v->writer, 0);
    w->n.groups++;
    w->n.group_jobs += n;
    if (n > w->n.group_max)
        w->n.group_max = n;
    sim_trace(w, "group of %zu", n);
    int rc = run_group(w, group, n);
    if (tz_memdisk_is_off(w->server.disk)) {
        w->n.torn_groups++;
        for (size_t i = 0; i < n; i++)
            tz_sjob_free(group[i].job);
        power_lost(w);
        return;
    }
    if (rc)
        sim_restore_prune(w);
    sim_check_commits(w);
    for (size_t i = 0; i < n; i++) {
        tz_sjob_settle(group[i].job, rc);
        if (rc == 0)
            wake(w, group[i].job);
        back_later(w, group[i]);
    }
    if (v->writer.n) {
        v->group_due = true;
        sim_at(w, sim_delay(w, 300), SIM_EV_GROUP, v->life, 0);
    }
}

int sim_server_admin(struct sim *w, int (*change)(struct sim *w, void *ctx, struct tz_err *err), void *ctx,
                     uint32_t cut)
{
    struct tz_err err = {0};
    int rc = tz_store_group_begin(w->server.store, &err);
    if (!rc) {
        rc = change(w, ctx, &err);
        if (rc)
            tz_store_group_rollback(w->server.store);
        else
            rc = tz_store_group_commit(w->server.store, &err);
    }
    if (power_lost(w)) /* whether it was done, the log says */
        return TZ_E_IO;
    if (rc && !sim_full_explains(w, w->server.disk_full, rc))
        sim_fail(w, "the administrator was refused: %d %s %s", rc, err.nargs ? err.args[0] : "", err.trail);
    sim_restore_prune(w);
    sim_check_commits(w);
    if (!rc)
        back_later(w, (struct sim_job){NULL, 0, cut, SIM_NOBODY});
    return rc;
}

static void run_reader(struct sim *w)
{
    struct sim_server *v = &w->server;
    if (v->reader.n == 0)
        return;
    struct sim_job j = jobs_take(&v->reader, sim_below(&w->rng, v->reader.n));
    struct tz_err err = {0};
    int rc = tz_sjob_run(j.job, v->store, &err);
    if (power_lost(w)) {
        tz_sjob_free(j.job);
        return;
    }
    if (rc && !sim_full_explains(w, w->server.disk_full, rc))
        sim_fail(w, "a reader job failed: %d %s", rc, err.trail);
    back_later(w, j);
}

void sim_server_event(struct sim *w, const struct sim_event *e)
{
    if (e->a != w->server.life)
        return;
    if (e->kind == SIM_EV_SERVER_UP) {
        if (!w->server.up)
            (void)sim_server_start(w);
        return;
    }
    if (!w->server.up)
        return;
    if (e->kind == SIM_EV_GROUP)
        run_writers(w);
    else if (e->kind == SIM_EV_READER)
        run_reader(w);
    else if (w->server.back.n)
        give_back(w, jobs_take(&w->server.back, 0));
}
