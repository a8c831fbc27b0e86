/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's side of a session. No I/O: frames and finished jobs in, frames and jobs out.
 *
 *            start                Welcome          job done
 *   NEW ──> SAYING (job: Hello) ──> GREETING ──> ENTERING (job: grant, cursors) ──> RUNNING      any ──> CLOSED
 *
 *   UP    LOAD job ─> ReOffer, then Push (see enum up_phase) … Results (one a Push, or more) ─> RESULTS job
 *         ─> LOAD again, until the outbox is empty
 *   DOWN  Pull … Rows  ─ delta ──> held in memory, Ack at once ──┐
 *                      ─ filling ─> FILL job, Ack when done      ├─ Checkpoint ─> CHECKPOINT job, Ack when done
 *
 *   GREETING ──WipeOrder──> LEAVING: hand in, erase everything, say so, close (the device is revoked)
 *   RUNNING, all handed in and shown: wipe what left the grant, say so; empty old own saves
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
#include "sync_state.h"

#include <stdlib.h>
#include <string.h>

enum { HELD_BYTES_DEFAULT = 8 * 1024 * 1024, SILENCE_MS = 60 * 1000 };

/* ---- session ---- */

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
    tz_sync_held_clear(s);
    tz_buf_deinit(&s->pull);
    free(s->lost_keys);
    tz_repair_free(s->repair);
    tz_cjob_chain_unref(s->chain);
    free(s);
}

/* ---- greeting ---- */

void tz_sync_start(struct tz_sync *s)
{
    if (s->state != SYNC_NEW)
        return;
    struct tz_cjob *j = tz_sync_job(s, TZ_CJOB_HELLO, NULL);
    if (!j)
        return;
    j->software = s->cfg.software;
    s->state = SYNC_SAYING;
    s->heard = tz_clock_mono(&s->cfg.clock);
    s->io.submit(s->io.ctx, j);
}

static void on_welcome(struct tz_sync *s, const struct tz_frame *f)
{
    struct tz_cjob *j = tz_sync_job(s, TZ_CJOB_ENTER, &f->body);
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
    s->compact_upto = j->compact_upto;
    s->io.event(s->io.ctx, TZ_SYNC_WELCOMED);
    if (s->state == SYNC_RUNNING && !j->refreshing) {
        tz_sync_send_pull(s, tz_buf_unread(&j->out));
    } else if (s->state == SYNC_RUNNING) {
        s->pull_waits = true;
        if (tz_buf_put(&s->pull, j->out.p + j->out.pos, j->out.len - j->out.pos))
            tz_sync_fail(s, TZ_E_NOMEM, NULL);
    }
}

/* ---- small messages ---- */

static void on_ping(struct tz_sync *s, const struct tz_frame *f)
{
    uint64_t nonce;
    struct tz_err err = {0};
    if (tz_msg_read_ping(f->body, &nonce, &err))
        tz_sync_close(s, &err);
    else if (f->type == TZ_MSG_PING)
        tz_sync_send_number(s, TZ_MSG_PONG, nonce);
}

static void on_error(struct tz_sync *s, const struct tz_frame *f)
{
    struct tz_msg_error m;
    struct tz_err err = {0};
    struct tz_arena a;
    tz_arena_init(&a, 64 * 1024);
    if (tz_msg_read_error(f->body, &a, &m, &err)) {
        tz_sync_close(s, &err);
    } else {
        tz_err_set(&err, m.code, m.nargs > 0 ? m.args[0] : NULL, m.nargs > 1 ? m.args[1] : NULL,
                   m.nargs > 2 ? m.args[2] : NULL, m.nargs > 3 ? m.args[3] : NULL);
        if (m.fatal)
            tz_sync_close(s, &err);
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
        tz_sync_close(s, &err);
        return;
    }
    void (*cb)(void *ctx, const struct tz_msg_verified *v) = s->verified;
    s->verified = NULL;
    if (cb)
        cb(s->verified_ctx, &v);
    else
        tz_sync_fail(s, TZ_E_PROTOCOL, "Verified nobody asked for");
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
        tz_sync_fail(s, TZ_E_NOMEM, NULL);
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
        tz_sync_fail(s, TZ_E_PROTOCOL, "History nobody asked for");
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
        tz_sync_fail(s, TZ_E_NOMEM, NULL);
    else
        s->io.send(s->io.ctx, TZ_MSG_HISTORY_ASK, TZ_LANE_CONTROL, tz_buf_unread(&b));
    tz_buf_deinit(&b);
}

/* ---- what is next ---- */

static void check_caught_up(struct tz_sync *s)
{
    bool up = s->empty && !s->look_again && tz_sync_answered(s) && !s->renumbering && !tz_sync_wants_numbers(s);
    if (s->state == SYNC_RUNNING && up && s->pull_waits)
        tz_sync_send_pull(s, tz_buf_unread(&s->pull));
    if (s->state == SYNC_LEAVING && up && !s->erasing)
        tz_sync_start_erasing(s);
    if (s->state != SYNC_RUNNING || !up || s->filling)
        return;
    if (s->count.checkpoint < s->count.head || s->count.checkpoint < s->own_ver)
        return;
    if (!s->lost_done) {
        tz_sync_offer_lost(s);
        return;
    }
    if (!s->wiped && !s->wiping)
        tz_sync_start_wiping(s);
    if (s->wiped && tz_sync_compact(s) && !s->caught_up)
        return;
    if (s->caught_up || !s->wiped)
        return;
    s->caught_up = true;
    s->io.event(s->io.ctx, TZ_SYNC_CAUGHT_UP);
}

/** Whatever happened: send what may go up now, and do what is next when nothing is left to send. */
static void go_on(struct tz_sync *s)
{
    tz_sync_up_pump(s);
    check_caught_up(s);
}

/* ---- dispatch ---- */

struct handler {
    uint8_t type;
    uint16_t lane;
    void (*handle)(struct tz_sync *s, const struct tz_frame *f);
};
static const struct handler running[] = {
    {TZ_MSG_RESULTS, TZ_LANE_UP, tz_sync_on_results},
    {TZ_MSG_ROWS, TZ_LANE_DOWN, tz_sync_on_rows},
    {TZ_MSG_CHECKPOINT, TZ_LANE_DOWN, tz_sync_on_checkpoint},
    {TZ_MSG_VERIFIED, TZ_LANE_CONTROL, on_verified},
    {TZ_MSG_DIGEST, TZ_LANE_CONTROL, tz_sync_on_digest},
    {TZ_MSG_DAMAGE_NOTED, TZ_LANE_CONTROL, tz_sync_on_digest},
    {TZ_MSG_HISTORY, TZ_LANE_CONTROL, on_history},
    {TZ_MSG_RENUMBERED, TZ_LANE_CONTROL, tz_sync_on_renumbered},
    {TZ_MSG_LOST_TAKEN, TZ_LANE_CONTROL, tz_sync_on_lost_taken},
    {TZ_MSG_WIPE_NOTED, TZ_LANE_CONTROL, tz_sync_on_wipe_noted},
};

static void take_frame(struct tz_sync *s, const struct tz_frame *f)
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
        tz_sync_on_wipe_order(s, f);
        return;
    }
    bool entering =
        s->state == SYNC_ENTERING; /* unasked ones may be right behind the Welcome; their job is behind its */
    if ((entering || s->state == SYNC_LEAVING) && f->type == TZ_MSG_RESULTS && f->lane == TZ_LANE_UP) {
        tz_sync_on_results(s, f);
        return;
    }
    if (s->state == SYNC_LEAVING && f->type == TZ_MSG_WIPE_NOTED && f->lane == TZ_LANE_CONTROL) {
        tz_sync_on_wipe_noted(s, f);
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
    tz_sync_close(s, &err);
}

static void take_job(struct tz_sync *s, struct tz_cjob *j)
{
    if (s->state == SYNC_CLOSED) {
        tz_cjob_free(j);
        return;
    }
    if (j->code) {
        tz_sync_close(s, &j->err);
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
        tz_sync_on_loaded(s, j);
        break;
    case TZ_CJOB_RESULTS:
        tz_sync_on_results_done(s, j);
        break;
    case TZ_CJOB_RENUMBER:
        tz_sync_on_asked(s, j);
        break;
    case TZ_CJOB_MAKE_OVER:
        tz_sync_on_made_over(s, j);
        break;
    case TZ_CJOB_LOST_LOAD:
        tz_sync_on_lost_loaded(s, j);
        break;
    case TZ_CJOB_LOST_TAKE:
        tz_sync_on_lost_noted(s);
        break;
    case TZ_CJOB_WIPE:
        tz_sync_on_wiped(s, j);
        break;
    case TZ_CJOB_WIPED:
        s->wiping = false; /* and is looked at once more */
        break;
    case TZ_CJOB_COMPACT:
        tz_sync_on_compacted(s, j);
        break;
    case TZ_CJOB_REVOKED:
        tz_sync_on_revoked(s, j);
        break;
    case TZ_CJOB_ERASE:
        tz_sync_on_erased(s, j);
        break;
    case TZ_CJOB_REPAIR: /* takes the job */
        tz_sync_on_repair_job(s, j);
        return;
    case TZ_CJOB_FILL:
    case TZ_CJOB_CHECKPOINT:
    default:
        tz_sync_on_down_done(s, j);
        break;
    }
    tz_cjob_free(j);
}

void tz_sync_on_frame(struct tz_sync *s, const struct tz_frame *f)
{
    take_frame(s, f);
    go_on(s);
}

void tz_sync_on_job(struct tz_sync *s, struct tz_cjob *j)
{
    take_job(s, j);
    go_on(s);
}

void tz_sync_on_outbox(struct tz_sync *s)
{
    s->look_again = true;
    go_on(s);
}

void tz_sync_stop(struct tz_sync *s)
{
    struct tz_err clean = {0};
    tz_sync_close(s, &clean);
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
        tz_sync_fail(s, TZ_E_TIMEOUT, "server");
        return;
    }
    s->pinged = true;
    tz_sync_send_number(s, TZ_MSG_PING, ++s->nonce);
}
