/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a session asks of the office: each job is one call into it, with the messages read and written around it. Runs
 * on the thread that owns the office; touches nothing of the session. Whatever a peer sent is read here for the first
 * time: a damaged message is the job's error, and nothing of it was taken in.
 */
#include "planted.h"
#include "repair_int.h"

#include <stdlib.h>

enum { PUSH_BYTES_MAX = 256 * 1024, JOB_ARENA_BYTES = 128 * 1024 * 1024 };

void tz_cjob_chain_unref(struct tz_cjob_chain *c)
{
    if (c && atomic_fetch_sub(&c->refs, 1) == 1)
        free(c);
}

void tz_cjob_free(struct tz_cjob *j)
{
    if (!j)
        return;
    tz_cjob_chain_unref(j->chain);
    for (size_t i = 0; i < j->nframes; i++)
        free((void *)(uintptr_t)j->frames[i].p);
    free(j->frames);
    free(j->keys);
    tz_repair_step_free(j->step);
    tz_buf_deinit(&j->out);
    free(j);
}

static int run_hello(struct tz_cjob *j, struct tz_office *o, struct tz_arena *a)
{
    struct tz_msg_hello hello;
    int rc = tz_office_hello(o, j->software, a, &hello, &j->err);
    return rc ? rc : tz_msg_put_hello(&j->out, &hello);
}

static uint32_t cap_of(uint32_t announced, uint32_t ours)
{
    return announced == 0 ? 1 : (announced < ours ? announced : ours);
}

static int run_enter(struct tz_cjob *j, struct tz_office *o, struct tz_arena *a)
{
    struct tz_msg_welcome w;
    struct tz_cursor *cursors;
    size_t n;
    int rc = tz_msg_read_welcome(j->frames[0], a, &w, &j->err);
    if (!rc)
        rc = tz_office_welcome(o, &w, &j->err);
    if (!rc)
        rc = tz_office_cursors(o, a, &cursors, &n, &j->err);
    if (!rc)
        rc = tz_msg_put_pull(&j->out, cursors, n);
    if (!rc)
        rc = tz_refresh_under_way(o, &j->refreshing, &j->err);
    if (rc)
        return rc;
    j->head = w.head;
    j->push_max = cap_of(w.push_in_flight_max, TZ_PUSH_IN_FLIGHT_MAX);
    j->rows_max = cap_of(w.rows_in_flight_max, 64);
    j->filling = o->st.filling; /* as of the Welcome that was just taken in */
    j->ver = o->st.checkpoint;
    j->compact_upto = w.compact_upto;
    j->upto_seq = w.judged_seq;
    j->window_open = w.recovery_until_ms != 0;
    j->behind = w.judged_seq > o->st.last_seq;
    return 0;
}

static int run_reoffer(struct tz_cjob *j, struct tz_office *o, struct tz_arena *a)
{
    struct tz_offered *saves;
    /* a save has at most 256 KiB, its answer as well */
    int rc = tz_office_reoffer(o, &j->place, PUSH_BYTES_MAX, a, &saves, &j->n, &j->err);
    return rc || j->n == 0 ? rc : tz_msg_put_reoffer(&j->out, saves, j->n);
}

static int run_load(struct tz_cjob *j, struct tz_office *o, struct tz_arena *a)
{
    if (j->reoffer)
        return run_reoffer(j, o, a);
    struct tz_bytes *raw;
    uint64_t *seqs;
    /* the frame adds a few bytes for each changeset */
    size_t room = PUSH_BYTES_MAX - TZ_MSG_CHANGESETS_MAX * 8;
    int rc = tz_office_outbox(o, j->after_seq, j->upto_seq, room, a, &raw, &seqs, &j->n, &j->err);
    if (rc || j->n == 0)
        return rc;
    j->last_seq = seqs[j->n - 1];
    return tz_msg_put_push(&j->out, raw, j->n);
}

static int run_results(struct tz_cjob *j, struct tz_office *o, struct tz_arena *a)
{
    struct tz_signed_result *r;
    int rc = tz_msg_read_results(j->frames[0], a, &r, &j->n, &j->err);
    if (rc)
        return rc;
    j->unasked = tz_msg_results_unasked(j->frames[0]);
    rc = tz_office_results(o, r, j->n, &j->taken, &j->err);
    return rc ? rc : tz_office_wipe_due(o, &j->due, &j->err);
}

static int run_renumber(struct tz_cjob *j, struct tz_office *o)
{
    struct tz_msg_renumber m;
    int rc = tz_office_renumber_ask(o, &m, &j->err);
    return rc ? rc : tz_msg_put_renumber(&j->out, &m);
}

static int run_make_over(struct tz_cjob *j, struct tz_office *o)
{
    uint32_t incarnation = 0;
    uint64_t n = 0;
    int rc = tz_msg_read_renumbered(j->frames[0], &incarnation, &j->err);
    if (!rc)
        rc = tz_office_renumbered(o, incarnation, &n, &j->err);
    j->n = (size_t)n;
    return rc;
}

static int run_lost_load(struct tz_cjob *j, struct tz_office *o)
{
    j->keys = calloc(TZ_LOST_KEYS_MAX, sizeof *j->keys);
    return j->keys ? tz_office_lost_rows(o, &j->at, j->window_open, &j->out, j->keys, &j->nkeys, &j->err) : TZ_E_NOMEM;
}

static int run_lost_take(struct tz_cjob *j, struct tz_office *o, struct tz_arena *a)
{
    uint32_t *verdicts;
    size_t n;
    int rc = tz_msg_read_lost_taken(j->frames[0], a, &verdicts, &n, &j->err);
    if (!rc && n != j->nkeys)
        rc = tz_err_set(&j->err, TZ_E_PROTOCOL, "LostTaken of other rows", NULL, NULL, NULL);
    return rc ? rc : tz_office_lost_taken(o, j->keys, n, verdicts, j->window_open, &j->err);
}

static int run_fill(struct tz_cjob *j, struct tz_office *o, struct tz_arena *a)
{
    int rc = 0;
    for (size_t i = 0; i < j->nframes && !rc; i++) {
        struct tz_msg_rows rows;
        tz_arena_reset(a);
        rc = tz_msg_read_rows(j->frames[i], a, &rows, &j->err);
        if (!rc)
            rc = tz_office_fill(o, &rows, &j->err);
        if (!rc)
            j->n += rows.nrows;
    }
    return rc;
}

/** Rows in a Rows message that was taken in: its fields number 1. */
static size_t count_rows(struct tz_bytes message)
{
    struct tz_wire_iter it = {message};
    struct tz_wire_field f;
    size_t n = 0;
    while (tz_wire_next(&it, &f) == 1)
        n += f.number == 1;
    return n;
}

static int run_checkpoint(struct tz_cjob *j, struct tz_office *o)
{
    int rc = tz_office_checkpoint(o, j->frames, j->nframes, &j->checkpoint, &j->err);
    for (size_t i = 0; i < j->nframes && !rc; i++)
        j->n += count_rows(j->frames[i]);
    return rc ? rc : tz_office_wipe_due(o, &j->due, &j->err);
}

static int run_revoked(struct tz_cjob *j, struct tz_office *o)
{
    struct tz_msg_wipe_order order;
    int rc = tz_msg_read_wipe_order(j->frames[0], &order, &j->err);
    if (!rc)
        rc = tz_office_revoked(o, &order, &j->err);
    j->push_max = cap_of(order.push_in_flight_max, TZ_PUSH_IN_FLIGHT_MAX);
    j->taking = order.taking;
    return rc;
}

static int run_erase(struct tz_cjob *j, struct tz_office *o)
{
    uint64_t saves = 0;
    int rc = tz_office_erase(o, &saves, &j->err);
    j->n = (size_t)saves;
    j->ver = o->st.checkpoint;
    return rc;
}

static int run_kind(struct tz_cjob *j, struct tz_office *o, struct tz_arena *a)
{
    switch (j->kind) {
    case TZ_CJOB_HELLO:
        return run_hello(j, o, a);
    case TZ_CJOB_ENTER:
        return run_enter(j, o, a);
    case TZ_CJOB_LOAD:
        return run_load(j, o, a);
    case TZ_CJOB_RESULTS:
        return run_results(j, o, a);
    case TZ_CJOB_FILL:
        return run_fill(j, o, a);
    case TZ_CJOB_RENUMBER:
        return run_renumber(j, o);
    case TZ_CJOB_MAKE_OVER:
        return run_make_over(j, o);
    case TZ_CJOB_LOST_LOAD:
        return run_lost_load(j, o);
    case TZ_CJOB_LOST_TAKE:
        return run_lost_take(j, o, a);
    case TZ_CJOB_WIPE:
        return tz_office_wipe(o, &j->wiped, &j->err);
    case TZ_CJOB_WIPED:
        return tz_office_wipe_noted(o, &j->err);
    case TZ_CJOB_COMPACT:
        return tz_office_compact(o, j->compact_upto, &j->more, &j->err);
    case TZ_CJOB_REVOKED:
        return run_revoked(j, o);
    case TZ_CJOB_ERASE:
        return run_erase(j, o);
    case TZ_CJOB_REPAIR:
        return tz_repair_step_run(j->step, j->nframes ? &j->frames[0] : NULL, o, a, &j->err);
    case TZ_CJOB_CHECKPOINT:
    default:
        return run_checkpoint(j, o);
    }
}

void tz_cjob_run(struct tz_cjob *j, struct tz_office *o)
{
    struct tz_arena a;
    tz_arena_init(&a, JOB_ARENA_BYTES);
    j->code = j->chain && j->chain->broken ? j->chain->broken : run_kind(j, o, &a);
    if (j->code && !j->err.code)
        tz_err_set(&j->err, j->code, "sync", NULL, NULL, NULL);
    if (j->chain && !TZ_PLANTED(JOBS_GO_ON))
        j->chain->broken = j->code;
    tz_arena_deinit(&a);
}
