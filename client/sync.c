/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's side of a session. No I/O: frames and finished jobs in, frames and jobs out.
 *
 *            start                Welcome          job done
 *   NEW ──> SAYING (job: Hello) ──> GREETING ──> ENTERING (job: grant, cursors) ──> RUNNING      any ──> CLOSED
 *
 *   UP    LOAD job ─> ReOffer, then Push (see enum up_phase) … Results (one a Push, or more) ─> RESULTS job ─> LOAD
 * again, until the outbox is empty DOWN  Pull … Rows  ─ delta ──> held in memory, Ack at once ──┐ ─ filling ─> FILL
 * job, Ack when done      ├─ Checkpoint ─> CHECKPOINT job, Ack when done
 *
 *   GREETING ──WipeOrder──> LEAVING: hand in, erase everything, say so, close (the device is revoked)
 *   RUNNING, all handed in and shown: wipe what left the grant, say so
 *
 * Invariants
 *  1. The lanes never wait for each other, but once: behind a purge the own edits are handed in before everything is
 * fetched anew.
 *  2. Jobs of one lane run in the order they were submitted (the owner has one thread for them), so a checkpoint
 * follows its fills.
 *  3. Nothing a server sends makes this hold more than its caps: held rows, jobs under way per lane, one verify, one
 * repair (repair.c).
 *  4. What is held in memory was acknowledged but is not durable: that is safe because the cursor has not moved, so the
 * next session asks for it again.
 *  5. After close no callback is made; jobs that come back later are freed.
 */
#include "log.h"
#include "sync_int.h"

#include <stdlib.h>
#include <string.h>

enum {
    HELD_BYTES_DEFAULT = 8 * 1024 * 1024,
    HELD_MESSAGES_MAX = 65536, /* many tiny frames cost more than their bytes */
    DOWN_JOBS_SLACK = 2,       /* beyond the announced window: the server may not know yet that we acknowledged */
    RESULT_JOBS_SLACK = 8,     /* beyond the Push window: Results that say they answer none; honest is one at a time */
    SILENCE_MS = 60 * 1000,
};

/* ---- session ---- */

/**
 * What goes up, in this order: saves that the server has forgotten; saves under numbers that it has judged, whose
 * answers tell whether these are ours; everything else. When some are another installation's, numbers of our own are
 * asked for before anything else is sent.
 */
enum up_phase { UP_REOFFER, UP_PROVE, UP_NEW };
enum { RENUMBERED_MAX = 2 }; /* in one session: a server that never agrees must not keep us here */

enum sync_state { SYNC_NEW, SYNC_SAYING, SYNC_GREETING, SYNC_ENTERING, SYNC_RUNNING, SYNC_LEAVING, SYNC_CLOSED };

struct tz_sync {
    struct tz_sync_config cfg;
    struct tz_sync_io io;
    enum sync_state state;
    struct tz_cjob_chain *chain;
    struct tz_sync_counters count;
    struct tz_mono heard; /* last frame */
    bool pinged;
    uint64_t nonce;
    /* up */
    uint32_t in_flight; /* Push frames whose Results are not taken in: each gets one */
    uint32_t push_max;
    uint64_t after_seq; /* everything up to here went out in this session */
    bool loading, look_again, empty;
    enum up_phase phase;
    bool drained;     /* PROVE: everything is out */
    uint64_t judged;  /* greatest number that the server has judged */
    bool forked;      /* some are not ours */
    bool renumbering; /* asked */
    unsigned renumbered;
    struct tz_reoffer_place offered;
    uint32_t result_jobs;
    tz_ver own_ver; /* greatest version of an own result */
    /* down */
    bool filling;
    struct tz_buf pull;    /* kept back until the outbox is handed in; empty when it went out */
    struct tz_bytes *held; /* owned */
    size_t nheld, held_cap, held_bytes;
    size_t down_jobs;
    uint32_t rows_max;
    /* rows that only we may still have, offered when everything else is done */
    bool lost_done, lost_under_way, window_open;
    struct tz_lost_key lost_at;
    struct tz_lost_key *lost_keys; /* on their way; owned */
    size_t nlost_keys;
    /* what must not be here any more */
    bool wiping;         /* a job is under way, or its receipt is not noted yet */
    bool wiped;          /* nothing was left when last looked */
    bool erasing;        /* LEAVING: nothing is handed in any more */
    uint64_t saves_held; /* LEAVING: what the server took */
    uint64_t waited_at;  /* after_seq when wiping last had to wait, + 1 */
    /* once */
    bool caught_up;
    void (*verified)(void *ctx, const struct tz_msg_verified *v);
    void *verified_ctx;
    struct tz_repair *repair; /* owned; NULL when none is under way */
    void (*repaired)(void *ctx, const struct tz_repair_report *r);
    void *repaired_ctx;
    void (*told)(void *ctx, struct tz_bytes history);
    void *told_ctx;
};

static void held_clear(struct tz_sync *s)
{
    for (size_t i = 0; i < s->nheld; i++)
        free((void *)(uintptr_t)s->held[i].p);
    free(s->held);
    s->held = NULL;
    s->nheld = s->held_cap = s->held_bytes = 0;
}

static void sync_close(struct tz_sync *s, const struct tz_err *err)
{
    if (s->state == SYNC_CLOSED)
        return;
    s->state = SYNC_CLOSED;
    s->verified = NULL;
    s->told = NULL;
    held_clear(s);
    s->io.close(s->io.ctx, err);
}

static void sync_fail(struct tz_sync *s, int code, const char *arg)
{
    struct tz_err err = {0};
    tz_err_set(&err, code, arg, NULL, NULL, NULL);
    sync_close(s, &err);
}

int tz_sync_new(const struct tz_sync_config *c, const struct tz_sync_io *io, struct tz_sync **out)
{
    struct tz_sync *s = calloc(1, sizeof *s);
    struct tz_cjob_chain *chain = calloc(1, sizeof *chain);
    *out = NULL;
    if (!s || !chain) {
        free(s);
        free(chain);
        return TZ_E_NOMEM;
    }
    *out = s;
    atomic_init(&chain->refs, 1);
    s->chain = chain;
    s->cfg = *c;
    s->io = *io;
    if (s->cfg.held_bytes_max == 0)
        s->cfg.held_bytes_max = HELD_BYTES_DEFAULT;
    s->heard = tz_clock_mono(&s->cfg.clock);
    tz_buf_init(&s->pull, TZ_FRAME_BODY_MAX);
    return 0;
}

void tz_sync_free(struct tz_sync *s)
{
    if (!s)
        return;
    held_clear(s);
    tz_buf_deinit(&s->pull);
    free(s->lost_keys);
    tz_repair_free(s->repair);
    tz_cjob_chain_unref(s->chain);
    free(s);
}

/** A new job with a copy of @frame (may be none). NULL: the session was closed for want of memory. */
static struct tz_cjob *job_new(struct tz_sync *s, enum tz_cjob_kind kind, const struct tz_bytes *frame)
{
    struct tz_cjob *j = calloc(1, sizeof *j);
    if (j) {
        j->kind = kind;
        j->chain = s->chain;
        atomic_fetch_add(&s->chain->refs, 1);
        tz_buf_init(&j->out, TZ_FRAME_BODY_MAX);
    }
    if (j && frame) {
        uint8_t *copy = malloc(frame->n ? frame->n : 1);
        j->frames = calloc(1, sizeof *j->frames);
        if (copy && j->frames) {
            if (frame->n)
                memcpy(copy, frame->p, frame->n);
            j->frames[0] = tz_bytes_of(copy, frame->n);
            j->nframes = 1;
        } else {
            free(copy);
            tz_cjob_free(j);
            j = NULL;
        }
    }
    if (!j)
        sync_fail(s, TZ_E_NOMEM, NULL);
    return j;
}

static void send_ack(struct tz_sync *s, uint32_t frames)
{
    struct tz_buf b;
    if (!frames)
        return;
    tz_buf_init(&b, 64);
    if (tz_msg_put_ack(&b, frames))
        sync_fail(s, TZ_E_NOMEM, NULL);
    else
        s->io.send(s->io.ctx, TZ_MSG_ACK, TZ_LANE_DOWN, tz_buf_unread(&b));
    tz_buf_deinit(&b);
}

/* ---- up ---- */

static bool answered(const struct tz_sync *s)
{
    return !s->loading && s->in_flight == 0 && s->result_jobs == 0;
}

/** There are numbers to be asked for, and a server that may still give them. */
static bool wants_numbers(const struct tz_sync *s)
{
    return s->forked && s->renumbered < RENUMBERED_MAX && s->phase != UP_REOFFER &&
           (s->phase != UP_PROVE || s->drained);
}

static void ask_for_numbers(struct tz_sync *s)
{
    struct tz_cjob *j = answered(s) ? job_new(s, TZ_CJOB_RENUMBER, NULL) : NULL;
    if (!j)
        return;
    s->renumbering = true;
    s->renumbered++;
    s->io.submit(s->io.ctx, j);
}

static void up_load(struct tz_sync *s)
{
    struct tz_cjob *j = job_new(s, TZ_CJOB_LOAD, NULL);
    if (!j)
        return;
    j->after_seq = s->after_seq;
    j->upto_seq = s->phase == UP_PROVE ? s->judged : UINT64_MAX;
    j->reoffer = s->phase == UP_REOFFER;
    j->place = s->offered;
    s->loading = true;
    s->look_again = false;
    s->io.submit(s->io.ctx, j);
}

static void send_pull(struct tz_sync *s, struct tz_bytes body)
{
    s->io.send(s->io.ctx, TZ_MSG_PULL, TZ_LANE_DOWN, body);
    tz_buf_clear(&s->pull);
}

static void up_pump(struct tz_sync *s)
{
    bool open = s->state == SYNC_RUNNING || (s->state == SYNC_LEAVING && !s->erasing);
    if (!open || s->loading || s->renumbering)
        return;
    if (wants_numbers(s)) {
        ask_for_numbers(s);
        return;
    }
    if (s->phase == UP_PROVE && s->drained && answered(s)) {
        s->phase = UP_NEW;
        s->look_again = true;
    }
    if (s->look_again && s->in_flight < s->push_max)
        up_load(s);
}

static void offer_lost(struct tz_sync *s)
{
    struct tz_cjob *j = s->lost_under_way ? NULL : job_new(s, TZ_CJOB_LOST_LOAD, NULL);
    if (!j)
        return;
    j->at = s->lost_at;
    j->window_open = s->window_open;
    s->lost_under_way = true;
    s->io.submit(s->io.ctx, j);
}

/* ---- what must not be here any more ---- */

static void start_wiping(struct tz_sync *s)
{
    struct tz_cjob *j = job_new(s, TZ_CJOB_WIPE, NULL);
    if (!j)
        return;
    s->wiping = true;
    s->io.submit(s->io.ctx, j);
}

static void start_erasing(struct tz_sync *s)
{
    struct tz_cjob *j = job_new(s, TZ_CJOB_ERASE, NULL);
    if (!j)
        return;
    s->erasing = true;
    s->io.submit(s->io.ctx, j);
}

static void send_receipt(struct tz_sync *s, tz_ver ver, bool all)
{
    const struct tz_msg_wipe_receipt m = {.ver = ver, .all = all};
    struct tz_buf b;
    tz_buf_init(&b, 64);
    if (tz_msg_put_wipe_receipt(&b, &m))
        sync_fail(s, TZ_E_NOMEM, NULL);
    else
        s->io.send(s->io.ctx, TZ_MSG_WIPE_RECEIPT, TZ_LANE_CONTROL, tz_buf_unread(&b));
    tz_buf_deinit(&b);
}

static void check_caught_up(struct tz_sync *s);

static void on_wiped(struct tz_sync *s, struct tz_cjob *j)
{
    if (j->wiped.waits) {                              /* somebody saved meanwhile: that goes first */
        bool again = s->waited_at != s->after_seq + 1; /* else its answer did not come: the next session sends it */
        s->waited_at = s->after_seq + 1;
        s->wiping = false;
        s->wiped = !again;
        s->look_again = again;
        up_pump(s);
        check_caught_up(s);
        return;
    }
    if (j->wiped.receipt) {
        send_receipt(s, j->wiped.ver, false);
        return;
    }
    s->wiping = false;
    s->wiped = true;
    check_caught_up(s);
}

static void on_wipe_noted(struct tz_sync *s, const struct tz_frame *f)
{
    struct tz_err err = {0};
    bool noted = false;
    if (tz_msg_read_wipe_noted(f->body, &noted, &err)) {
        sync_close(s, &err);
    } else if (s->state == SYNC_LEAVING && s->erasing) {
        tz_err_setf(&err, TZ_E_WIPED, "%llu", (unsigned long long)s->saves_held);
        sync_close(s, &err);
    } else if (!s->wiping) {
        sync_fail(s, TZ_E_PROTOCOL, "WipeNoted nobody asked for");
    } else if (!noted) { /* the grant changed meanwhile: the next session tells what is to go */
        s->wiping = false;
        s->wiped = true;
        check_caught_up(s);
    } else {
        struct tz_cjob *j = job_new(s, TZ_CJOB_WIPED, NULL);
        if (j)
            s->io.submit(s->io.ctx, j);
    }
}

static void on_wipe_order(struct tz_sync *s, const struct tz_frame *f)
{
    struct tz_cjob *j = job_new(s, TZ_CJOB_REVOKED, &f->body);
    if (!j)
        return;
    s->state = SYNC_ENTERING;
    s->io.submit(s->io.ctx, j);
}

static void on_revoked(struct tz_sync *s, struct tz_cjob *j)
{
    s->state = SYNC_LEAVING;
    s->push_max = j->push_max;
    s->phase = UP_NEW; /* all that is unsent, as it is */
    s->forked = false;
    s->empty = !j->taking;
    s->look_again = j->taking;
    up_pump(s);
    check_caught_up(s);
}

static void on_erased(struct tz_sync *s, struct tz_cjob *j)
{
    s->saves_held = j->n;
    send_receipt(s, j->ver, true);
}

static void check_caught_up(struct tz_sync *s)
{
    bool up = s->empty && !s->look_again && answered(s) && !s->renumbering && !wants_numbers(s);
    if (s->state == SYNC_RUNNING && up && s->pull.len)
        send_pull(s, tz_buf_unread(&s->pull));
    if (s->state == SYNC_LEAVING && up && !s->erasing)
        start_erasing(s);
    if (s->state != SYNC_RUNNING || !up || s->filling)
        return;
    if (s->count.checkpoint < s->count.head || s->count.checkpoint < s->own_ver)
        return;
    if (!s->lost_done) {
        offer_lost(s);
        return;
    }
    if (!s->wiped && !s->wiping)
        start_wiping(s);
    if (s->caught_up || !s->wiped)
        return;
    s->caught_up = true;
    s->io.event(s->io.ctx, TZ_SYNC_CAUGHT_UP);
}

static void on_loaded(struct tz_sync *s, struct tz_cjob *j)
{
    s->loading = false;
    s->empty = j->n == 0 && s->phase == UP_NEW;
    s->drained = s->drained || (j->n == 0 && s->phase == UP_PROVE);
    if (j->n == 0 && s->phase == UP_REOFFER) {
        s->phase = UP_PROVE;
        s->look_again = true;
    }
    if (j->n) {
        if (j->reoffer)
            s->offered = j->place;
        else
            s->after_seq = j->last_seq;
        s->in_flight++;
        s->count.changesets_sent += j->reoffer ? 0 : j->n;
        s->look_again = true; /* there may be more */
        s->io.send(s->io.ctx, j->reoffer ? TZ_MSG_REOFFER : TZ_MSG_PUSH, TZ_LANE_UP, tz_buf_unread(&j->out));
        s->io.event(s->io.ctx, TZ_SYNC_PROGRESS);
    }
    up_pump(s);
    check_caught_up(s);
}

static void send_number(struct tz_sync *s, uint8_t type, uint64_t nonce);

static void on_results_done(struct tz_sync *s, struct tz_cjob *j)
{
    s->result_jobs--;
    if (j->unasked) { /* only now: the server may send the next */
        send_number(s, TZ_MSG_PING, ++s->nonce);
        if (s->state != SYNC_RUNNING)
            return;
    }
    if (!j->unasked && s->in_flight == 0) {
        sync_fail(s, TZ_E_PROTOCOL, "results without a push");
        return;
    }
    s->in_flight -= !j->unasked;
    s->count.results += j->n;
    s->count.applied += j->taken.applied;
    s->count.reviewed += j->taken.reviewed;
    s->count.handed_back += j->taken.handed_back;
    s->forked = s->forked || j->taken.forked;
    if (j->taken.ver > s->own_ver)
        s->own_ver = j->taken.ver;
    s->io.event(s->io.ctx, TZ_SYNC_RESULTS);
    up_pump(s);
    check_caught_up(s);
}

static void on_results(struct tz_sync *s, const struct tz_frame *f)
{
    if (s->result_jobs >= s->push_max + RESULT_JOBS_SLACK) {
        sync_fail(s, TZ_E_PROTOCOL, "more results than pushes");
        return;
    }
    struct tz_cjob *j = job_new(s, TZ_CJOB_RESULTS, &f->body);
    if (!j)
        return;
    s->result_jobs++;
    s->io.submit(s->io.ctx, j);
}

/* ---- repair ---- */

static void repair_send(void *ctx, uint8_t type, struct tz_bytes body)
{
    struct tz_sync *s = ctx;
    s->io.send(s->io.ctx, type, TZ_LANE_CONTROL, body);
}

static void repair_submit(void *ctx, struct tz_cjob *job)
{
    struct tz_sync *s = ctx;
    s->io.submit(s->io.ctx, job);
}

static tz_ver repair_checkpoint(void *ctx)
{
    return ((struct tz_sync *)ctx)->count.checkpoint;
}

static void repair_done(void *ctx, const struct tz_repair_report *r)
{
    struct tz_sync *s = ctx;
    s->repaired(s->repaired_ctx, r);
}

/** One that has told its owner is freed when none of its functions is running. */
static void repair_reap(struct tz_sync *s)
{
    if (!s->repair || !tz_repair_is_done(s->repair))
        return;
    tz_repair_free(s->repair);
    s->repair = NULL;
}

int tz_sync_repair(struct tz_sync *s, bool dry, void (*cb)(void *ctx, const struct tz_repair_report *r), void *ctx)
{
    struct tz_repair_io io = {repair_send, repair_submit, repair_checkpoint, repair_done, s};
    repair_reap(s);
    if (s->state != SYNC_RUNNING)
        return TZ_E_GONE;
    if (s->repair || s->verified)
        return TZ_E_DB_BUSY;
    s->repaired = cb;
    s->repaired_ctx = ctx;
    return tz_repair_new(dry, &io, &s->repair);
}

void tz_sync_repair_cancel(struct tz_sync *s)
{
    tz_repair_free(s->repair);
    s->repair = NULL;
}

static void repair_moved(struct tz_sync *s)
{
    repair_reap(s);
    if (s->state == SYNC_RUNNING) /* the owner may have ended it when it was told */
        s->io.event(s->io.ctx, TZ_SYNC_REPAIR);
}

static void on_digest(struct tz_sync *s, const struct tz_frame *f)
{
    struct tz_err err = {0};
    int rc = s->repair ? tz_repair_on_answer(s->repair, f->type, f->body, &err)
                       : tz_err_set(&err, TZ_E_PROTOCOL, "an answer nobody asked for", NULL, NULL, NULL);
    if (rc) {
        sync_close(s, &err);
        return;
    }
    repair_moved(s);
}

static void on_repair_job(struct tz_sync *s, struct tz_cjob *j)
{
    if (s->repair)
        tz_repair_on_job(s->repair, j);
    else
        tz_cjob_free(j);
    repair_moved(s);
}

/* ---- down ---- */

static void submit_down(struct tz_sync *s, struct tz_cjob *j)
{
    s->down_jobs++;
    s->io.submit(s->io.ctx, j);
}

/** Hand the held messages to a job. */
static void give_held(struct tz_sync *s, struct tz_cjob *j)
{
    free(j->frames);
    j->frames = s->held;
    j->nframes = s->nheld;
    s->held = NULL;
    s->nheld = s->held_cap = s->held_bytes = 0;
}

/** More than is held back: show what there is, and go on as in a first sync until the checkpoint. */
static void start_filling(struct tz_sync *s)
{
    s->filling = true;
    if (s->nheld == 0)
        return;
    struct tz_cjob *j = job_new(s, TZ_CJOB_FILL, NULL);
    if (!j)
        return;
    give_held(s, j); /* acknowledged when it was held */
    submit_down(s, j);
}

static bool hold(struct tz_sync *s, struct tz_bytes body)
{
    if (s->nheld == s->held_cap) {
        size_t cap = s->held_cap ? s->held_cap * 2 : 16;
        struct tz_bytes *grown = realloc(s->held, cap * sizeof *grown);
        if (!grown)
            return false;
        s->held = grown;
        s->held_cap = cap;
    }
    uint8_t *copy = malloc(body.n ? body.n : 1);
    if (!copy)
        return false;
    if (body.n)
        memcpy(copy, body.p, body.n);
    s->held[s->nheld++] = tz_bytes_of(copy, body.n);
    s->held_bytes += body.n;
    return true;
}

static void on_rows(struct tz_sync *s, const struct tz_frame *f)
{
    if (s->down_jobs > s->rows_max + DOWN_JOBS_SLACK) {
        sync_fail(s, TZ_E_PROTOCOL, "more rows than acknowledged");
        return;
    }
    if (!s->filling && (s->held_bytes + f->body.n > s->cfg.held_bytes_max || s->nheld >= HELD_MESSAGES_MAX))
        start_filling(s);
    if (s->state != SYNC_RUNNING)
        return;
    if (!s->filling) {
        if (hold(s, f->body))
            send_ack(s, 1);
        else
            sync_fail(s, TZ_E_NOMEM, NULL);
        return;
    }
    struct tz_cjob *j = job_new(s, TZ_CJOB_FILL, &f->body);
    if (!j)
        return;
    j->acks = 1;
    submit_down(s, j);
}

static void on_checkpoint(struct tz_sync *s, const struct tz_frame *f)
{
    struct tz_msg_checkpoint c;
    struct tz_err err = {0};
    if (tz_msg_read_checkpoint(f->body, &c, &err)) {
        sync_close(s, &err);
        return;
    }
    if (s->down_jobs > s->rows_max + DOWN_JOBS_SLACK) {
        sync_fail(s, TZ_E_PROTOCOL, "more checkpoints than acknowledged");
        return;
    }
    struct tz_cjob *j = job_new(s, TZ_CJOB_CHECKPOINT, NULL);
    if (!j)
        return;
    give_held(s, j);
    j->checkpoint = c;
    j->acks = 1;
    s->filling = false; /* rows after this belong to the next delta; the job queue keeps the order */
    submit_down(s, j);
}

static void on_down_done(struct tz_sync *s, struct tz_cjob *j)
{
    s->down_jobs--;
    s->count.rows += j->n;
    send_ack(s, j->acks);
    if (s->state != SYNC_RUNNING)
        return;
    if (j->kind == TZ_CJOB_CHECKPOINT) {
        s->count.checkpoints++;
        s->count.checkpoint = j->checkpoint.ver;
        s->wiped = s->wiped && !j->due;
        s->io.event(s->io.ctx, TZ_SYNC_CHECKPOINT);
        if (s->repair)
            tz_repair_on_checkpoint(s->repair);
        repair_reap(s);
        check_caught_up(s);
    } else {
        s->io.event(s->io.ctx, TZ_SYNC_PROGRESS);
    }
}

/* ---- greeting ---- */

void tz_sync_start(struct tz_sync *s)
{
    if (s->state != SYNC_NEW)
        return;
    struct tz_cjob *j = job_new(s, TZ_CJOB_HELLO, NULL);
    if (!j)
        return;
    j->software = s->cfg.software;
    s->state = SYNC_SAYING;
    s->heard = tz_clock_mono(&s->cfg.clock);
    s->io.submit(s->io.ctx, j);
}

static void on_welcome(struct tz_sync *s, const struct tz_frame *f)
{
    struct tz_cjob *j = job_new(s, TZ_CJOB_ENTER, &f->body);
    if (!j)
        return;
    s->state = SYNC_ENTERING;
    s->io.submit(s->io.ctx, j);
}

static void on_entered(struct tz_sync *s, struct tz_cjob *j)
{
    s->state = SYNC_RUNNING;
    s->push_max = j->push_max;
    s->rows_max = j->rows_max;
    s->filling = j->filling;
    s->count.head = j->head;
    s->count.checkpoint = j->ver;
    s->look_again = true;
    s->judged = j->upto_seq;
    s->forked = j->behind;
    s->window_open = j->window_open;
    s->io.event(s->io.ctx, TZ_SYNC_WELCOMED);
    if (s->state == SYNC_RUNNING && !j->refreshing)
        send_pull(s, tz_buf_unread(&j->out));
    else if (s->state == SYNC_RUNNING && tz_buf_put(&s->pull, j->out.p + j->out.pos, j->out.len - j->out.pos))
        sync_fail(s, TZ_E_NOMEM, NULL);
    up_pump(s);
}

/* ---- numbers of our own ---- */

static void on_asked(struct tz_sync *s, struct tz_cjob *j)
{
    s->io.send(s->io.ctx, TZ_MSG_RENUMBER, TZ_LANE_CONTROL, tz_buf_unread(&j->out));
}

static void on_renumbered(struct tz_sync *s, const struct tz_frame *f)
{
    struct tz_cjob *j = NULL;
    if (!s->renumbering)
        sync_fail(s, TZ_E_PROTOCOL, "Renumbered nobody asked for");
    else
        j = job_new(s, TZ_CJOB_MAKE_OVER, &f->body);
    if (j)
        s->io.submit(s->io.ctx, j);
}

static void on_made_over(struct tz_sync *s, struct tz_cjob *j)
{
    s->renumbering = false;
    s->forked = false;
    s->count.renumbered++;
    s->count.made_over += j->n;
    s->phase = UP_NEW;
    s->after_seq = 0; /* what waits under the old numbers is asked about once more */
    s->look_again = true;
    up_pump(s);
}

/* ---- rows of lost versions ---- */

static void on_lost_loaded(struct tz_sync *s, struct tz_cjob *j)
{
    if (j->nkeys == 0) {
        s->lost_under_way = false;
        s->lost_done = true;
        check_caught_up(s);
        return;
    }
    free(s->lost_keys);
    s->lost_keys = j->keys;
    s->nlost_keys = j->nkeys;
    s->lost_at = j->keys[j->nkeys - 1];
    j->keys = NULL;
    s->io.send(s->io.ctx, TZ_MSG_LOST_ROWS, TZ_LANE_CONTROL, tz_buf_unread(&j->out));
}

static void on_lost_taken(struct tz_sync *s, const struct tz_frame *f)
{
    struct tz_cjob *j = NULL;
    if (!s->lost_keys)
        sync_fail(s, TZ_E_PROTOCOL, "LostTaken nobody asked for");
    else
        j = job_new(s, TZ_CJOB_LOST_TAKE, &f->body);
    if (!j)
        return;
    j->keys = s->lost_keys;
    j->nkeys = s->nlost_keys;
    j->window_open = s->window_open;
    s->lost_keys = NULL;
    s->io.submit(s->io.ctx, j);
}

static void on_lost_noted(struct tz_sync *s)
{
    s->lost_under_way = false;
    check_caught_up(s);
}

/* ---- small messages ---- */

static void send_number(struct tz_sync *s, uint8_t type, uint64_t nonce)
{
    struct tz_buf b;
    tz_buf_init(&b, 64);
    if (tz_msg_put_ping(&b, nonce))
        sync_fail(s, TZ_E_NOMEM, NULL);
    else
        s->io.send(s->io.ctx, type, TZ_LANE_CONTROL, tz_buf_unread(&b));
    tz_buf_deinit(&b);
}

static void on_ping(struct tz_sync *s, const struct tz_frame *f)
{
    uint64_t nonce;
    struct tz_err err = {0};
    if (tz_msg_read_ping(f->body, &nonce, &err))
        sync_close(s, &err);
    else if (f->type == TZ_MSG_PING)
        send_number(s, TZ_MSG_PONG, nonce);
}

static void on_error(struct tz_sync *s, const struct tz_frame *f)
{
    struct tz_msg_error m;
    struct tz_err err = {0};
    struct tz_arena a;
    tz_arena_init(&a, 64 * 1024);
    if (tz_msg_read_error(f->body, &a, &m, &err)) {
        sync_close(s, &err);
    } else {
        tz_err_set(&err, m.code, m.nargs > 0 ? m.args[0] : NULL, m.nargs > 1 ? m.args[1] : NULL,
                   m.nargs > 2 ? m.args[2] : NULL, m.nargs > 3 ? m.args[3] : NULL);
        if (m.fatal)
            sync_close(s, &err);
        else
            tz_log(TZ_LOG_WARN, "sync", "server-error", "code=%d lane=%u", -m.code, f->lane);
    }
    tz_arena_deinit(&a);
}

static void on_verified(struct tz_sync *s, const struct tz_frame *f)
{
    struct tz_msg_verified v;
    struct tz_err err = {0};
    if (tz_msg_read_verified(f->body, &v, &err)) {
        sync_close(s, &err);
        return;
    }
    void (*cb)(void *ctx, const struct tz_msg_verified *v) = s->verified;
    s->verified = NULL;
    if (cb)
        cb(s->verified_ctx, &v);
    else
        sync_fail(s, TZ_E_PROTOCOL, "Verified nobody asked for");
}

void tz_sync_verify(struct tz_sync *s, const struct tz_msg_verify *ask,
                    void (*cb)(void *ctx, const struct tz_msg_verified *v), void *ctx)
{
    struct tz_buf b;
    if (s->state != SYNC_RUNNING)
        return;
    s->verified = cb;
    s->verified_ctx = ctx;
    tz_buf_init(&b, 1024);
    if (tz_msg_put_verify(&b, ask))
        sync_fail(s, TZ_E_NOMEM, NULL);
    else
        s->io.send(s->io.ctx, TZ_MSG_VERIFY, TZ_LANE_CONTROL, tz_buf_unread(&b));
    tz_buf_deinit(&b);
}

static void on_history(struct tz_sync *s, const struct tz_frame *f)
{
    void (*cb)(void *ctx, struct tz_bytes history) = s->told;
    s->told = NULL;
    if (cb)
        cb(s->told_ctx, f->body);
    else
        sync_fail(s, TZ_E_PROTOCOL, "History nobody asked for");
}

void tz_sync_history(struct tz_sync *s, const struct tz_msg_history_ask *ask,
                     void (*cb)(void *ctx, struct tz_bytes history), void *ctx)
{
    struct tz_buf b;
    if (s->state != SYNC_RUNNING)
        return;
    s->told = cb;
    s->told_ctx = ctx;
    tz_buf_init(&b, 1024);
    if (tz_msg_put_history_ask(&b, ask))
        sync_fail(s, TZ_E_NOMEM, NULL);
    else
        s->io.send(s->io.ctx, TZ_MSG_HISTORY_ASK, TZ_LANE_CONTROL, tz_buf_unread(&b));
    tz_buf_deinit(&b);
}

/* ---- dispatch ---- */

struct handler {
    uint8_t type;
    uint16_t lane;
    void (*handle)(struct tz_sync *s, const struct tz_frame *f);
};
static const struct handler running[] = {
    {TZ_MSG_RESULTS, TZ_LANE_UP, on_results},
    {TZ_MSG_ROWS, TZ_LANE_DOWN, on_rows},
    {TZ_MSG_CHECKPOINT, TZ_LANE_DOWN, on_checkpoint},
    {TZ_MSG_VERIFIED, TZ_LANE_CONTROL, on_verified},
    {TZ_MSG_DIGEST, TZ_LANE_CONTROL, on_digest},
    {TZ_MSG_DAMAGE_NOTED, TZ_LANE_CONTROL, on_digest},
    {TZ_MSG_HISTORY, TZ_LANE_CONTROL, on_history},
    {TZ_MSG_RENUMBERED, TZ_LANE_CONTROL, on_renumbered},
    {TZ_MSG_LOST_TAKEN, TZ_LANE_CONTROL, on_lost_taken},
    {TZ_MSG_WIPE_NOTED, TZ_LANE_CONTROL, on_wipe_noted},
};

void tz_sync_on_frame(struct tz_sync *s, const struct tz_frame *f)
{
    if (s->state == SYNC_CLOSED)
        return;
    s->heard = tz_clock_mono(&s->cfg.clock);
    s->pinged = false;
    if (f->type == TZ_MSG_ERROR) {
        on_error(s, f);
        return;
    }
    if (s->state == SYNC_GREETING && f->type == TZ_MSG_WELCOME && f->lane == TZ_LANE_CONTROL) {
        on_welcome(s, f);
        return;
    }
    if (s->state == SYNC_GREETING && f->type == TZ_MSG_WIPE_ORDER && f->lane == TZ_LANE_CONTROL) {
        on_wipe_order(s, f);
        return;
    }
    if (s->state == SYNC_LEAVING && f->type == TZ_MSG_RESULTS && f->lane == TZ_LANE_UP) {
        on_results(s, f);
        return;
    }
    if (s->state == SYNC_LEAVING && f->type == TZ_MSG_WIPE_NOTED && f->lane == TZ_LANE_CONTROL) {
        on_wipe_noted(s, f);
        return;
    }
    bool greeted = s->state == SYNC_RUNNING || s->state == SYNC_ENTERING || s->state == SYNC_LEAVING;
    if (greeted && (f->type == TZ_MSG_PING || f->type == TZ_MSG_PONG)) {
        on_ping(s, f);
        return;
    }
    for (size_t i = 0; s->state == SYNC_RUNNING && i < sizeof running / sizeof *running; i++)
        if (running[i].type == f->type && running[i].lane == f->lane) {
            running[i].handle(s, f);
            return;
        }
    struct tz_err err = {0};
    tz_err_setf(&err, TZ_E_PROTOCOL, "%s (%u) out of turn", tz_msg_name(f->type), f->type);
    sync_close(s, &err);
}

void tz_sync_on_job(struct tz_sync *s, struct tz_cjob *j)
{
    if (s->state == SYNC_CLOSED) {
        tz_cjob_free(j);
        return;
    }
    if (j->code) {
        sync_close(s, &j->err);
        tz_cjob_free(j);
        return;
    }
    switch (j->kind) {
    case TZ_CJOB_HELLO:
        s->state = SYNC_GREETING;
        s->io.send(s->io.ctx, TZ_MSG_HELLO, TZ_LANE_CONTROL, tz_buf_unread(&j->out));
        break;
    case TZ_CJOB_ENTER:
        on_entered(s, j);
        break;
    case TZ_CJOB_LOAD:
        on_loaded(s, j);
        break;
    case TZ_CJOB_RESULTS:
        on_results_done(s, j);
        break;
    case TZ_CJOB_RENUMBER:
        on_asked(s, j);
        break;
    case TZ_CJOB_MAKE_OVER:
        on_made_over(s, j);
        break;
    case TZ_CJOB_LOST_LOAD:
        on_lost_loaded(s, j);
        break;
    case TZ_CJOB_LOST_TAKE:
        on_lost_noted(s);
        break;
    case TZ_CJOB_WIPE:
        on_wiped(s, j);
        break;
    case TZ_CJOB_WIPED:
        s->wiping = false;
        check_caught_up(s); /* looks once more */
        break;
    case TZ_CJOB_REVOKED:
        on_revoked(s, j);
        break;
    case TZ_CJOB_ERASE:
        on_erased(s, j);
        break;
    case TZ_CJOB_REPAIR: /* takes the job */
        on_repair_job(s, j);
        return;
    case TZ_CJOB_FILL:
    case TZ_CJOB_CHECKPOINT:
    default:
        on_down_done(s, j);
        break;
    }
    tz_cjob_free(j);
}

void tz_sync_on_outbox(struct tz_sync *s)
{
    s->look_again = true;
    up_pump(s);
}

void tz_sync_stop(struct tz_sync *s)
{
    struct tz_err clean = {0};
    sync_close(s, &clean);
}

bool tz_sync_caught_up(const struct tz_sync *s)
{
    return s->caught_up;
}

const struct tz_sync_counters *tz_sync_counters(const struct tz_sync *s)
{
    return &s->count;
}

/* ---- time ---- */

struct tz_mono tz_sync_deadline(const struct tz_sync *s)
{
    bool may_ping = s->state == SYNC_RUNNING && !s->pinged;
    return (struct tz_mono){s->heard.ms + (may_ping ? SILENCE_MS / 2 : SILENCE_MS)};
}

void tz_sync_on_timer(struct tz_sync *s)
{
    if (s->state == SYNC_CLOSED || tz_clock_mono(&s->cfg.clock).ms < tz_sync_deadline(s).ms)
        return;
    if (s->state != SYNC_RUNNING || s->pinged) {
        sync_fail(s, TZ_E_TIMEOUT, "server");
        return;
    }
    s->pinged = true;
    send_number(s, TZ_MSG_PING, ++s->nonce);
}
