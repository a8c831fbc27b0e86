/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executor.
 *
 *   loop ── submit ──> writer:  begin, run all, COMMIT ──> settle all ──> done on the loop
 *                      readers: run, settle ──────────────────────────> done on the loop
 *
 * Invariants
 *  1. Nothing is settled with 0 before the group's COMMIT returned 0, so nobody hears of a change that could still be
 * lost.
 *  2. A job that fails for this machine's reasons rolls its group back; then each runs in a group of its own, so that
 * one that cannot work takes no other along. A full disk or a failed COMMIT concerns all alike: they are settled with
 * it together.
 *  3. fsync failed: what the disk holds is unknown and asking again would lie (the kernel forgets the error). The
 * process ends.
 *  4. Readers stop before the writer, so that it can empty the WAL.
 *  5. Of the jobs that walk through a device's whole scope one at a time is run, by one reader, and devices take turns:
 * however often one asks, others' downloads have the other readers, and others' questions come next.
 */
#include "exec.h"

#include "dbthread.h"
#include "log.h"
#include "turns.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WRITER_JOBS_MAX = 16384, READER_JOBS_MAX = 16384, BATCH_MAX = 512, READER_BATCH = 16, READERS_MAX = 4 };
enum { WALKS_WAITING_MAX = 8 }; /* of one device: its sessions may have gone since they asked */

struct node;

/** What the writer does with one kind of job. */
struct work {
    int (*run)(struct node *n, struct tz_store *s, struct tz_err *err);
    void (*settle)(struct node *n, int code, const struct tz_err *err);
    void (*done)(struct tz_exec *e, struct node *n);
};

/** First member of every job; fits the room that tz_sjob_node promises (five pointers). */
struct node {
    struct tz_job job;
    const struct work *work;
    struct tz_turn turn; /* of one that walks, until it is its turn */
};
_Static_assert(sizeof(struct node) <= 5 * sizeof(void *), "room in struct tz_sjob");

struct tz_admin_job {
    struct node node;
    const struct tz_admin_env *env;
    json_t *request;
    struct tz_control_token token;
    struct tz_admin_outcome out;
    struct tz_err err; /* code 0: done */
};

struct reader {
    struct tz_exec *e;
    struct tz_dbthread *thread;
    struct tz_store *store;
};

struct tz_exec {
    struct tz_exec_cb cb;
    void *ctx;
    const struct tz_admin_env *env;
    struct tz_metrics *metrics;
    struct tz_dbthread *writer;
    struct tz_store *store; /* the writer's */
    bool disk_full;         /* the writer's; so that it is logged once */
    _Atomic uint64_t head;
    int64_t recovery_until_ms; /* the loop's */
    struct reader readers[READERS_MAX];
    unsigned nreaders, running_readers;
    struct tz_turns walks;   /* jobs that wait for their turn; the loop's */
    struct tz_sjob *walking; /* at the last reader */
};

/* ---- kinds of work ---- */

static int sjob_run(struct node *n, struct tz_store *s, struct tz_err *err)
{
    return tz_sjob_run((struct tz_sjob *)(void *)n, s, err);
}

static void sjob_settle(struct node *n, int code, const struct tz_err *err)
{
    (void)err;
    tz_sjob_settle((struct tz_sjob *)(void *)n, code);
}

static void sjob_done(struct tz_exec *e, struct node *n)
{
    e->cb.sjob_done(e->ctx, (struct tz_sjob *)(void *)n);
}

static const struct work SJOB = {sjob_run, sjob_settle, sjob_done};

static int admin_run(struct node *n, struct tz_store *s, struct tz_err *err)
{
    struct tz_admin_job *j = (struct tz_admin_job *)(void *)n;
    json_decref(j->out.reply); /* of a group that was rolled back */
    return tz_admin_run(s, j->env, j->request, &j->out, err);
}

static void admin_settle(struct node *n, int code, const struct tz_err *err)
{
    struct tz_admin_job *j = (struct tz_admin_job *)(void *)n;
    if (!code)
        return;
    json_decref(j->out.reply);
    memset(&j->out, 0, sizeof j->out);
    if (err && err->code == code)
        j->err = *err;
    else
        (void)tz_err_set(&j->err, code, NULL, NULL, NULL, NULL);
}

static void admin_free(struct tz_admin_job *j)
{
    json_decref(j->request);
    free(j);
}

static void admin_done(struct tz_exec *e, struct node *n)
{
    struct tz_admin_job *j = (struct tz_admin_job *)(void *)n;
    if (!j->err.code && j->out.recovery_closed)
        e->recovery_until_ms = 0;
    e->cb.admin_done(e->ctx, j->token, &j->out, &j->err);
    admin_free(j);
}

static const struct work ADMIN = {admin_run, admin_settle, admin_done};

/* ---- the writer's thread ---- */

static void fail_stop(int code)
{
    if (code != TZ_E_DB_FSYNC)
        return;
    tz_log(TZ_LOG_ERROR, "exec", "stop", "code=%s", tz_err_info(code)->symbol);
    _exit(1);
}

static void log_failure(struct tz_exec *e, const char *event, const struct tz_err *err)
{
    char text[512];
    char quoted[512];
    char trail[TZ_ERR_TRAIL_BYTES];
    bool repeated = err->code == TZ_E_DISK_FULL && e->disk_full;
    e->disk_full = err->code == TZ_E_DISK_FULL;
    if (repeated || tz_err_info(err->code)->cls == TZ_ERR_USAGE) /* the administrator is told; nothing happened here */
        return;
    tz_log(TZ_LOG_ERROR, "exec", event, "code=%s err=%s trail=%s", tz_err_info(err->code)->symbol,
           tz_log_quote(tz_err_text(err, TZ_LANG_EN, text, sizeof text), quoted, sizeof quoted),
           tz_log_quote(err->trail, trail, sizeof trail));
}

static uint64_t changesets_in(struct tz_job *head, const struct tz_job *end)
{
    uint64_t n = 0;
    for (struct tz_job *j = head; j != end; j = j->next)
        if (((struct node *)(void *)j)->work == &SJOB)
            n += tz_sjob_changesets((struct tz_sjob *)(void *)j);
    return n;
}

/**
 * One group of the jobs from @head up to @end. *@alone: the failure is that of one job, so the others may be tried
 * without it.
 */
static int run_group(struct tz_exec *e, struct tz_job *head, const struct tz_job *end, bool *alone, struct tz_err *err)
{
    uint64_t n = 0;
    memset(err, 0, sizeof *err);
    *alone = false;
    int rc = tz_store_group_begin(e->store, err);
    if (rc)
        return rc;
    for (struct tz_job *j = head; j != end && !rc; j = j->next, n++) {
        struct node *nd = (struct node *)(void *)j;
        rc = nd->work->run(nd, e->store, err);
    }
    if (rc) {
        tz_store_group_rollback(e->store);
        *alone = rc != TZ_E_DISK_FULL && rc != TZ_E_DB_FSYNC;
    } else {
        rc = tz_store_group_commit(e->store, err);
    }
    if (rc) {
        atomic_fetch_add_explicit(&e->metrics->rollbacks, 1, memory_order_relaxed);
        return rc;
    }
    atomic_store(&e->head, tz_store_head(e->store));
    tz_metrics_group(e->metrics, n);
    atomic_fetch_add_explicit(&e->metrics->changesets, changesets_in(head, end), memory_order_relaxed);
    return 0;
}

static void settle(struct tz_job *head, const struct tz_job *end, int code, const struct tz_err *err)
{
    for (struct tz_job *j = head; j != end; j = j->next) {
        struct node *n = (struct node *)(void *)j;
        n->work->settle(n, code, err);
    }
}

static int finish_group(struct tz_exec *e, struct tz_job *head, const struct tz_job *end, bool *alone)
{
    struct tz_err err;
    int rc = run_group(e, head, end, alone, &err);
    if (rc && err.code != rc)
        (void)tz_err_set(&err, rc, NULL, NULL, NULL, NULL);
    fail_stop(rc);
    if (rc && *alone && head->next != end)
        return rc; /* not the last word */
    if (rc)
        log_failure(e, "group failed", &err);
    else if (e->disk_full) {
        e->disk_full = false;
        tz_log(TZ_LOG_WARN, "exec", "disk has room again", NULL);
    }
    settle(head, end, rc, &err);
    return 0;
}

static void writer_batch(void *ctx, struct tz_job *head)
{
    struct tz_exec *e = ctx;
    bool alone = false;
    if (!finish_group(e, head, NULL, &alone))
        return;
    for (struct tz_job *j = head; j; j = j->next)
        (void)finish_group(e, j, j->next, &alone);
}

static void writer_done(void *ctx, struct tz_job *job)
{
    struct node *n = (struct node *)(void *)job;
    n->work->done(ctx, n);
}

static void writer_finish(void *ctx)
{
    struct tz_exec *e = ctx;
    struct tz_err err = {0};
    if (tz_store_mark(e->store, &err)) /* an older copy put here while nobody runs may then pass for this one */
        log_failure(e, "journal", &err);
    if (tz_db_checkpoint(tz_store_db(e->store), true, &err)) /* harmless: the next start reads the WAL */
        log_failure(e, "checkpoint", &err);
    tz_store_close(e->store);
    e->store = NULL;
}

static const struct tz_dbthread_ops WRITER = {writer_batch, writer_done, writer_finish};

/* ---- the readers' threads ---- */

static void reader_batch(void *ctx, struct tz_job *head)
{
    struct reader *r = ctx;
    for (struct tz_job *j = head; j; j = j->next) {
        struct tz_err err = {0};
        struct tz_sjob *job = (struct tz_sjob *)(void *)j;
        int rc = tz_sjob_run(job, r->store, &err);
        if (rc)
            tz_log(TZ_LOG_ERROR, "exec", "read failed", "code=%s", tz_err_info(rc)->symbol);
        tz_sjob_settle(job, rc);
    }
}

static void walk_next(struct tz_exec *e);

static void reader_done(void *ctx, struct tz_job *job)
{
    struct reader *r = ctx;
    struct tz_exec *e = r->e;
    if (e->walking == (struct tz_sjob *)(void *)job) {
        e->walking = NULL;
        walk_next(e);
    }
    e->cb.sjob_done(e->ctx, (struct tz_sjob *)(void *)job);
}

static void reader_finish(void *ctx)
{
    struct reader *r = ctx;
    tz_store_close(r->store);
    r->store = NULL;
}

static const struct tz_dbthread_ops READER = {reader_batch, reader_done, reader_finish};

/* ---- submitting ---- */

/** Not the one that walks, where there is another. */
static struct reader *least_busy(struct tz_exec *e)
{
    unsigned n = e->walking && e->nreaders > 1 ? e->nreaders - 1 : e->nreaders;
    struct reader *best = &e->readers[0];
    for (unsigned i = 1; i < n; i++)
        if (tz_dbthread_pending(e->readers[i].thread) < tz_dbthread_pending(best->thread))
            best = &e->readers[i];
    return best;
}

/** One that cannot be run is answered so. */
static void give_back(struct tz_exec *e, struct tz_sjob *job, int code)
{
    tz_sjob_settle(job, code);
    e->cb.sjob_done(e->ctx, job);
}

static void walk_next(struct tz_exec *e)
{
    struct tz_turn *turn;
    while (!e->walking && (turn = tz_turns_next(&e->walks)) != NULL) {
        struct node *n = TZ_LIST_ENTRY(turn, struct node, turn);
        struct tz_sjob *job = (struct tz_sjob *)(void *)n;
        int rc = tz_dbthread_submit(e->readers[e->nreaders - 1].thread, &n->job);
        e->walking = rc ? NULL : job;
        if (rc)
            give_back(e, job, rc);
    }
}

int tz_exec_submit(struct tz_exec *e, struct tz_sjob *job)
{
    struct node *n = tz_sjob_node(job);
    uint32_t who = tz_sjob_walks(job);
    n->work = &SJOB;
    if (who && e->walking) {
        if (tz_turns_count(&e->walks, who) >= WALKS_WAITING_MAX)
            return TZ_E_TOO_MANY;
        tz_turns_put(&e->walks, &n->turn, who);
        return 0;
    }
    if (tz_sjob_where(job) == TZ_JOB_WRITER)
        return tz_dbthread_submit(e->writer, &n->job);
    int rc = tz_dbthread_submit(who ? e->readers[e->nreaders - 1].thread : least_busy(e)->thread, &n->job);
    if (!rc && who) {
        e->walking = job;
        e->walks.last = who;
    }
    return rc;
}

int tz_exec_admin(struct tz_exec *e, json_t *request, struct tz_control_token token)
{
    struct tz_admin_job *j = calloc(1, sizeof *j);
    if (!j) {
        json_decref(request);
        return TZ_E_NOMEM;
    }
    j->node.work = &ADMIN;
    j->env = e->env;
    j->request = request;
    j->token = token;
    int rc = tz_dbthread_submit(e->writer, &j->node.job);
    if (rc)
        admin_free(j);
    return rc;
}

uint32_t tz_exec_writer_pending(const struct tz_exec *e)
{
    return tz_dbthread_pending(e->writer);
}

uint32_t tz_exec_reader_pending(const struct tz_exec *e)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < e->nreaders; i++)
        n += tz_dbthread_pending(e->readers[i].thread);
    return n;
}

tz_ver tz_exec_head(const struct tz_exec *e)
{
    return atomic_load(&e->head);
}

int64_t tz_exec_recovery_until(const struct tz_exec *e)
{
    return e->recovery_until_ms;
}

/* ---- life ---- */

/** What a killed process left in the WAL goes into the file before anybody is served. Whoever reads beside may be in
 * the way of that: then it waits. */
static int empty_wal(struct tz_exec *e, struct tz_err *err)
{
    int rc = tz_db_checkpoint(tz_store_db(e->store), true, err);
    if (rc != TZ_E_DB_BUSY)
        return rc;
    tz_log(TZ_LOG_WARN, "exec", "checkpoint put off", NULL);
    memset(err, 0, sizeof *err);
    return 0;
}

static int open_stores(struct tz_exec *e, const struct tz_exec_options *o, struct tz_err *err)
{
    struct tz_store_options ro = *o->store;
    ro.readonly = true;
    int rc = tz_store_open(o->path, o->store, &e->store, err);
    if (!rc)
        rc = empty_wal(e, err);
    struct tz_recovery recovery = {0};
    if (!rc)
        rc = tz_store_recovery(e->store, &recovery, err);
    e->recovery_until_ms = recovery.until_ms;
    if (!rc)
        atomic_store(&e->head, tz_store_head(e->store));
    for (; e->nreaders < o->readers && e->nreaders < READERS_MAX && !rc; e->nreaders += !rc) {
        e->readers[e->nreaders].e = e;
        rc = tz_store_open(o->path, &ro, &e->readers[e->nreaders].store, err);
    }
    return rc;
}

static void close_stores(struct tz_exec *e)
{
    for (unsigned i = 0; i < e->nreaders; i++)
        tz_store_close(e->readers[i].store);
    tz_store_close(e->store);
    free(e);
}

/** Threads that started own their stores and end on their own; they need @e no longer than that. */
static int start_threads(struct tz_exec *e, struct uv_loop_s *loop, struct tz_err *err)
{
    int rc = tz_dbthread_start(loop, &WRITER, e, WRITER_JOBS_MAX, BATCH_MAX, &e->writer, err);
    for (unsigned i = 0; i < e->nreaders && !rc; i++) {
        rc =
            tz_dbthread_start(loop, &READER, &e->readers[i], READER_JOBS_MAX, READER_BATCH, &e->readers[i].thread, err);
        e->running_readers += !rc;
    }
    return rc;
}

static void no_sjob(void *ctx, struct tz_sjob *job)
{
    (void)ctx;
    tz_sjob_free(job);
}

static void no_stopped(void *ctx)
{
    (void)ctx;
}

int tz_exec_start(struct uv_loop_s *loop, const struct tz_exec_options *o, const struct tz_exec_cb *cb, void *ctx,
                  struct tz_exec **out, struct tz_err *err)
{
    struct tz_exec *e = calloc(1, sizeof *e);
    *out = NULL;
    if (!e)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    e->cb = *cb;
    e->ctx = ctx;
    e->env = o->env;
    e->metrics = o->metrics;
    tz_turns_init(&e->walks);
    int rc = open_stores(e, o, err);
    if (rc) {
        close_stores(e);
        return rc;
    }
    rc = start_threads(e, loop, err);
    if (rc && !e->writer) {
        close_stores(e);
    } else if (rc) { /* let those that run end; their callbacks find nobody to tell */
        for (unsigned i = e->running_readers; i < e->nreaders; i++)
            tz_store_close(e->readers[i].store);
        e->nreaders = e->running_readers;
        e->cb = (struct tz_exec_cb){.sjob_done = no_sjob, .stopped = no_stopped};
        tz_exec_stop(e);
    } else {
        *out = e;
    }
    return rc;
}

static void on_writer_stopped(void *data)
{
    struct tz_exec *e = data;
    void (*stopped)(void *) = e->cb.stopped;
    void *ctx = e->ctx;
    free(e);
    stopped(ctx);
}

static void on_reader_stopped(void *data)
{
    struct tz_exec *e = data;
    if (--e->running_readers == 0)
        tz_dbthread_stop(e->writer, on_writer_stopped, e);
}

void tz_exec_stop(struct tz_exec *e)
{
    for (struct tz_turn *t; (t = tz_turns_next(&e->walks)) != NULL;)
        give_back(e, (struct tz_sjob *)(void *)TZ_LIST_ENTRY(t, struct node, turn), TZ_E_DRAINING);
    if (e->running_readers == 0) {
        tz_dbthread_stop(e->writer, on_writer_stopped, e);
        return;
    }
    for (unsigned i = 0; i < e->nreaders; i++)
        tz_dbthread_stop(e->readers[i].thread, on_reader_stopped, e);
}
