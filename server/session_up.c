/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a peer brings and asks: saves, questions of which one of a kind may be under way, and results that nobody asked
 * for.
 */
#include "session_state.h"

#include <string.h>

/* ---- unasked results ---- */

static void tell(struct tz_session *s)
{
    if (s->telling || s->nuntold == 0)
        return;
    if (tz_msg_put_results_unasked(&s->untold)) {
        tz_session_fail_code(s, TZ_E_NOMEM, NULL, TZ_LANE_UP);
        return;
    }
    s->telling = true;
    s->io.send(s->io.ctx, TZ_MSG_RESULTS, TZ_LANE_UP, tz_buf_unread(&s->untold));
    tz_buf_clear(&s->untold);
    s->nuntold = 0;
}

/** Keep @n more serialised results to tell; those that have no room come when the device sends again. */
static void note_untold(struct tz_session *s, struct tz_bytes results, size_t n)
{
    enum { UNASKED_BYTES = 8 };
    if (s->nuntold + n <= TZ_MSG_RESULTS_MAX && s->untold.len + results.n + UNASKED_BYTES <= TZ_FRAME_BODY_MAX &&
        !tz_buf_put(&s->untold, results.p, results.n))
        s->nuntold += n;
}

/* ---- saves ---- */

static int read_push(struct tz_sjob *j, struct tz_bytes body)
{
    return tz_msg_read_push(body, &j->a, &j->changesets, &j->nchangesets, &j->err);
}

static int read_reoffer(struct tz_sjob *j, struct tz_bytes body)
{
    return tz_msg_read_reoffer(body, &j->a, &j->offered, &j->nchangesets, &j->err);
}

/** Changesets, new or handed in again. */
static void on_up(struct tz_session *s, struct tz_bytes body, int (*read)(struct tz_sjob *j, struct tz_bytes body))
{
    if (s->pushes >= TZ_PUSH_IN_FLIGHT_MAX) {
        tz_session_fail_code(s, TZ_E_PROTOCOL, "push", TZ_LANE_UP);
        return;
    }
    struct tz_sjob *j = tz_session_job(s, TZ_JOB_PUSH);
    if (!j)
        return;
    const void *copy = tz_arena_dup(&j->a, body.p, body.n);
    int rc = copy ? read(j, tz_bytes_of(copy, body.n)) : TZ_E_NOMEM;
    if (!rc && !tz_session_copy_grant(s, j))
        rc = TZ_E_NOMEM;
    if (rc) {
        tz_session_unreadable(s, j, rc, TZ_LANE_UP);
        return;
    }
    j->offset_ms = s->offset_ms;
    j->received = tz_clock_wall(&s->c.clock);
    s->pushes++;
    tz_session_submit(s, j);
}

/* ---- questions ---- */

static int read_verify(struct tz_sjob *j, struct tz_bytes body)
{
    return tz_msg_read_verify(body, &j->ask, &j->err);
}

static int read_digest_request(struct tz_sjob *j, struct tz_bytes body)
{
    return tz_msg_read_digest_request(body, &j->buckets, &j->err);
}

static int read_damage(struct tz_sjob *j, struct tz_bytes body)
{
    return tz_msg_read_damage(body, &j->damage, &j->err);
}

static int read_renumber(struct tz_sjob *j, struct tz_bytes body)
{
    return tz_msg_read_renumber(body, &j->renumber, &j->err);
}

static int read_lost_rows(struct tz_sjob *j, struct tz_bytes body)
{
    const void *copy = tz_arena_dup(&j->a, body.p, body.n);
    return copy ? tz_msg_read_lost_rows(tz_bytes_of(copy, body.n), &j->a, &j->lost_rows, &j->nlost_rows, &j->err)
                : TZ_E_NOMEM;
}

static int read_receipt(struct tz_sjob *j, struct tz_bytes body)
{
    return tz_msg_read_wipe_receipt(body, &j->receipt, &j->err);
}

static int read_history_ask(struct tz_sjob *j, struct tz_bytes body)
{
    return tz_msg_read_history_ask(body, &j->history, &j->err);
}

struct question {
    uint8_t type;
    enum tz_job_kind kind;
    uint8_t answer;
    bool *(*busy)(struct tz_session *s); /* of those that share one, one may be under way: an answer is bounded, a queue
                                            of them would not be */
    int (*read)(struct tz_sjob *j, struct tz_bytes body);
};

static bool *asking(struct tz_session *s)
{
    return &s->asking;
}

static bool *verifying(struct tz_session *s)
{
    return &s->verifying;
}

static bool *recounting(struct tz_session *s)
{
    return &s->recounting;
}

static const struct question QUESTIONS[] = {
    {TZ_MSG_VERIFY, TZ_JOB_VERIFY, TZ_MSG_VERIFIED, verifying, read_verify},
    {TZ_MSG_DIGEST_REQUEST, TZ_JOB_DIGEST, TZ_MSG_DIGEST, verifying, read_digest_request},
    {TZ_MSG_DAMAGE, TZ_JOB_DAMAGE, TZ_MSG_DAMAGE_NOTED, verifying, read_damage},
    {TZ_MSG_WIPE_RECEIPT, TZ_JOB_RECEIPT, TZ_MSG_WIPE_NOTED, verifying, read_receipt},
    {TZ_MSG_LOST_ROWS, TZ_JOB_LOST_ROWS, TZ_MSG_LOST_TAKEN, asking, read_lost_rows},
    {TZ_MSG_RENUMBER, TZ_JOB_RENUMBER, TZ_MSG_RENUMBERED, asking, read_renumber},
    {TZ_MSG_HISTORY_ASK, TZ_JOB_HISTORY, TZ_MSG_HISTORY, recounting, read_history_ask},
};
enum { NQUESTIONS = sizeof QUESTIONS / sizeof *QUESTIONS };

static void ask_store(struct tz_session *s, const struct question *q, struct tz_bytes body)
{
    struct tz_sjob *j = tz_session_job(s, q->kind);
    if (!j)
        return;
    int rc = q->read(j, body);
    if (!rc && !tz_session_copy_grant(s, j))
        rc = TZ_E_NOMEM;
    if (rc) {
        tz_session_unreadable(s, j, rc, TZ_LANE_CONTROL);
        return;
    }
    j->received = tz_clock_wall(&s->c.clock);
    *q->busy(s) = true;
    tz_session_submit(s, j);
}

static void on_question(struct tz_session *s, const struct tz_frame *f)
{
    const struct question *q = NULL;
    bool leaving = s->sm.state == S_LEAVING;
    for (size_t i = 0; i < NQUESTIONS && !q; i++)
        if (QUESTIONS[i].type == f->type && (!leaving || f->type == TZ_MSG_WIPE_RECEIPT))
            q = &QUESTIONS[i];
    if (!q)
        tz_session_fail_code(s, TZ_E_PROTOCOL, tz_msg_name(f->type), f->lane);
    else if (*q->busy(s))
        tz_session_fail_code(s, TZ_E_PROTOCOL, "one at a time", TZ_LANE_CONTROL);
    else if (q->kind == TZ_JOB_RENUMBER && s->pushes) /* what is on its way has the old numbers: it is answered first */
        tz_session_fail_code(s, TZ_E_PROTOCOL, "renumber", TZ_LANE_CONTROL);
    else
        ask_store(s, q, f->body);
    if (q && q->kind == TZ_JOB_VERIFY) { /* the peer compares at a version: bring its checkpoint up to the head */
        s->dirty = true;
        tz_session_pump_down(s);
    }
}

static void on_ping(struct tz_session *s, struct tz_bytes body)
{
    struct tz_err err = {0};
    struct tz_buf b;
    uint64_t nonce = 0;
    if (tz_msg_read_ping(body, &nonce, &err)) {
        tz_session_fail(s, &err, TZ_LANE_CONTROL);
        return;
    }
    tz_buf_init(&b, TZ_FRAME_BODY_MAX_ANON);
    if (!tz_msg_put_ping(&b, nonce))
        s->io.send(s->io.ctx, TZ_MSG_PONG, TZ_LANE_CONTROL, tz_buf_unread(&b));
    tz_buf_deinit(&b);
    s->telling = false; /* it has taken in the last unasked Results */
    tell(s);
}

void tz_session_on_asked(struct tz_session *s, const struct tz_frame *f)
{
    if (f->type == TZ_MSG_PUSH)
        on_up(s, f->body, read_push);
    else if (f->type == TZ_MSG_REOFFER && s->sm.state == S_READY)
        on_up(s, f->body, read_reoffer);
    else if (f->type == TZ_MSG_PING)
        on_ping(s, f->body);
    else
        on_question(s, f);
}

/* ---- answers ---- */

void tz_session_on_pushed(struct tz_session *s, struct tz_sjob *j)
{
    s->pushes--;
    s->io.send(s->io.ctx, TZ_MSG_RESULTS, TZ_LANE_UP, tz_buf_unread(&j->reply));
    if (j->changed)
        s->dirty = true; /* its own edits become visible at a checkpoint */
    tz_session_pump_down(s);
}

void tz_session_on_answer(struct tz_session *s, struct tz_sjob *j)
{
    const struct question *q = NULL;
    for (size_t i = 0; i < NQUESTIONS && !q; i++)
        if (QUESTIONS[i].kind == j->kind)
            q = &QUESTIONS[i];
    if (!q)
        return;
    *q->busy(s) = false;
    if (j->kind == TZ_JOB_RENUMBER)
        s->grant->incarnation = j->incarnation;
    s->io.send(s->io.ctx, q->answer, TZ_LANE_CONTROL, tz_buf_unread(&j->reply));
    /* After a digest the peer waits until it is where that holds, and may have been told of nothing that would bring it
     * there. */
    if ((j->kind == TZ_JOB_DIGEST && s->checkpoint.ver < j->since) || (j->kind == TZ_JOB_DAMAGE && j->changed))
        s->dirty = true;
    tz_session_pump_down(s);
}

void tz_session_on_released(struct tz_session *s, const struct tz_sjob *job)
{
    if (s->sm.state != S_READY || s->grant->device != tz_sjob_released_device(job) || job->reply.len == 0)
        return;
    note_untold(s, tz_buf_unread(&job->reply), job->nresults);
    tell(s);
    s->dirty = s->dirty || job->changed;
    tz_session_pump_down(s);
}
