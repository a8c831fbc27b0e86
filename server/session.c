/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One peer's session: see session.h for the diagram.
 *
 * Invariants
 *  1. At most one job of each lane is at the store at a time; a lane never waits for the other.
 *  2. A Checkpoint is sent only after every Rows frame before it, and its version is the snapshot those rows were read
 * from.
 *  3. Memory of the down lane: one page of frames, which end between versions, so that it is bounded by what one
 * version may write; of the up lane: TZ_PUSH_IN_FLIGHT_MAX Push frames. A peer that asks for more breaks the protocol
 * and is closed.
 *  4. Each Push and ReOffer is answered by one Results, or by an Error.
 *  5. At most one unasked Results is out: the next waits for the peer's Ping. What comes meanwhile is kept for it as
 * far as one frame goes; the rest is learned by sending again.
 */
#include "log.h"
#include "session_int.h"
#include "sm.h"

#include <stdlib.h>
#include <string.h>

enum { GREETING_MS = 5000, IDLE_MS = 120000, ACKED_MS = 3600 * 1000, READ_ARENA_BYTES = 8 * 1024 * 1024 };
enum { S_GREETING, S_OPENING, S_READY, S_LEAVING, S_ENROLLING, S_CLOSED, S_COUNT };

static const struct tz_sm_state STATES[S_COUNT] = {
    [S_GREETING] = {"greeting", 1u << S_OPENING | 1u << S_ENROLLING | 1u << S_CLOSED},
    [S_OPENING] = {"opening", 1u << S_READY | 1u << S_LEAVING | 1u << S_CLOSED},
    [S_LEAVING] = {"leaving", 1u << S_CLOSED},
    [S_READY] = {"ready", 1u << S_CLOSED},
    [S_ENROLLING] = {"enrolling", 1u << S_CLOSED},
    [S_CLOSED] = {"closed", 0},
};

struct tz_session {
    struct tz_session_config c;
    struct tz_session_io io;
    struct tz_sm sm;
    struct tz_mono heard; /* last frame of the peer, or the start */
    unsigned jobs;        /* at the store */

    struct tz_grant *grant; /* READY; owned */
    int64_t offset_ms;

    unsigned pushes;      /* Push frames not answered yet */
    bool asking;          /* a Renumber or LostRows is not answered yet; one at a time */
    bool verifying;       /* a Verify, DigestRequest or Damage is not answered yet; one at a time */
    bool recounting;      /* a HistoryAsk is not answered yet; one at a time */
    bool telling;         /* an unasked Results is out: no other before the peer's next Ping */
    struct tz_buf untold; /* results for that one, as many as one frame holds */
    size_t nuntold;

    /* down */
    struct tz_cursor *cursors; /* what the peer pulls; owned */
    size_t ncursors;
    bool pulling;              /* a Pull was received */
    bool job_pull;             /* a page is being read */
    bool dirty;                /* the head moved, or the last page was not the end */
    unsigned unacked;          /* Rows and Checkpoint frames without Ack */
    struct frame_node *frames; /* read and not sent; owned */
    bool have_checkpoint;
    struct tz_msg_checkpoint checkpoint; /* to send after the frames */
    tz_ver acking; /* newest Checkpoint sent; the peer holds it when nothing is unacknowledged: a Rows frame after it
                      may be acknowledged before it */
    bool acked;    /* the store was told of one; once an hour is enough for a lease */
    struct tz_wall acked_at; /* when */
};

/* ---- ending ---- */

static void session_close(struct tz_session *s, int code)
{
    if (s->sm.state == S_CLOSED)
        return;
    tz_sm_move(&s->sm, S_CLOSED, "close");
    s->io.close(s->io.ctx, code);
}

static void send_error(struct tz_session *s, const struct tz_err *err, uint16_t lane)
{
    struct tz_buf b;
    struct tz_msg_error m = {.code = err->code, .nargs = err->nargs, .fatal = true};
    for (unsigned i = 0; i < err->nargs && i < TZ_ERR_ARGS_MAX; i++)
        m.args[i] = err->args[i];
    /* What went wrong on this machine is for its log, not for the peer. */
    if (tz_err_info(err->code)->cls == TZ_ERR_LOCAL) {
        m.code = TZ_E_SERVER_TROUBLE;
        m.nargs = 0;
    }
    tz_buf_init(&b, TZ_FRAME_BODY_MAX_ANON);
    if (!tz_msg_put_error(&b, &m))
        s->io.send(s->io.ctx, TZ_MSG_ERROR, lane, tz_buf_unread(&b));
    tz_buf_deinit(&b);
}

/** Tell the peer why, then close. */
static void fail(struct tz_session *s, const struct tz_err *err, uint16_t lane)
{
    char quoted[TZ_ERR_ARG_BYTES];
    char text[256];
    if (s->sm.state == S_CLOSED)
        return;
    tz_log(TZ_LOG_INFO, "session", "refused", "session=%llu device=%u code=%s err=%s", (unsigned long long)s->c.id,
           tz_session_device(s), tz_err_info(err->code)->symbol,
           tz_log_quote(tz_err_text(err, TZ_LANG_EN, text, sizeof text), quoted, sizeof quoted));
    send_error(s, err, lane);
    session_close(s, err->code);
}

static void fail_code(struct tz_session *s, int code, const char *what, uint16_t lane)
{
    struct tz_err err;
    tz_err_set(&err, code, what, NULL, NULL, NULL);
    fail(s, &err, lane);
}

static void submit(struct tz_session *s, struct tz_sjob *j)
{
    s->jobs++;
    s->io.submit(s->io.ctx, j);
}

/** A job, or NULL after closing the session. */
static struct tz_sjob *job_new(struct tz_session *s, enum tz_job_kind kind)
{
    struct tz_sjob *j = NULL;
    if (tz_sjob_new(kind, s->c.id, &j))
        fail_code(s, TZ_E_NOMEM, NULL, TZ_LANE_CONTROL);
    return j;
}

static bool copy_grant(struct tz_session *s, struct tz_sjob *j)
{
    j->grant = malloc(sizeof *j->grant);
    if (j->grant)
        *j->grant = *s->grant;
    return j->grant != NULL;
}

/* ---- down ---- */

static void send_down(struct tz_session *s, uint8_t type, struct tz_bytes body)
{
    s->unacked++;
    s->io.send(s->io.ctx, type, TZ_LANE_DOWN, body);
}

static void send_frames(struct tz_session *s)
{
    while (s->frames && s->unacked < TZ_ROWS_IN_FLIGHT_MAX) {
        struct frame_node *f = s->frames;
        s->frames = f->next;
        send_down(s, TZ_MSG_ROWS, tz_bytes_of(f->bytes, f->n));
        free(f);
    }
    if (s->frames || !s->have_checkpoint || s->unacked >= TZ_ROWS_IN_FLIGHT_MAX)
        return;
    struct tz_buf b;
    tz_buf_init(&b, TZ_FRAME_BODY_MAX_ANON);
    s->have_checkpoint = false;
    if (!tz_msg_put_checkpoint(&b, &s->checkpoint))
        send_down(s, TZ_MSG_CHECKPOINT, tz_buf_unread(&b));
    s->acking = s->checkpoint.ver;
    tz_buf_deinit(&b);
}

/** A grant that ran out in mid-session: the next session is told what is left of it. */
static bool ran_out(struct tz_session *s)
{
    if (s->grant->until_ms == 0 || s->grant->nareas == 0 || tz_clock_wall(&s->c.clock).ms < s->grant->until_ms)
        return false;
    fail_code(s, TZ_E_GRANT_CHANGED, NULL, TZ_LANE_CONTROL);
    return true;
}

/** Send what may be sent, read more when there is room. */
static void pump_down(struct tz_session *s)
{
    if (s->sm.state != S_READY || !s->pulling || ran_out(s))
        return;
    send_frames(s);
    if (s->frames || s->have_checkpoint || s->job_pull || !s->dirty || s->unacked >= TZ_ROWS_IN_FLIGHT_MAX)
        return;
    struct tz_sjob *j = job_new(s, TZ_JOB_PULL);
    if (!j)
        return;
    j->ncursors = s->ncursors;
    j->cursors = tz_arena_dup(&j->a, s->cursors, s->ncursors * sizeof *s->cursors);
    if (!j->cursors || !copy_grant(s, j)) {
        tz_sjob_free(j);
        fail_code(s, TZ_E_NOMEM, NULL, TZ_LANE_DOWN);
        return;
    }
    s->job_pull = true;
    s->dirty = false;
    submit(s, j);
}

static void on_page(struct tz_session *s, struct tz_sjob *j)
{
    s->job_pull = false;
    memcpy(s->cursors, j->cursors, s->ncursors * sizeof *s->cursors);
    s->frames = j->frames;
    j->frames = NULL;
    s->have_checkpoint = j->done;
    s->checkpoint = j->head;
    s->dirty = s->dirty || !j->done;
    pump_down(s);
}

/* ---- unasked results ---- */

static void tell(struct tz_session *s)
{
    if (s->telling || s->nuntold == 0)
        return;
    if (tz_msg_put_results_unasked(&s->untold)) {
        fail_code(s, TZ_E_NOMEM, NULL, TZ_LANE_UP);
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

/* ---- messages ---- */

static void on_hello(struct tz_session *s, struct tz_bytes body)
{
    struct tz_sjob *j = job_new(s, TZ_JOB_OPEN);
    if (!j)
        return;
    /* The message is read into the job's own memory: the frame is gone when the job runs. */
    const void *copy = tz_arena_dup(&j->a, body.p, body.n);
    int rc = copy ? tz_msg_read_hello(tz_bytes_of(copy, body.n), &j->a, &j->hello, &j->err) : TZ_E_NOMEM;
    if (!rc && j->hello.protocol != TZ_PROTOCOL_VERSION)
        rc = tz_err_setf(&j->err, TZ_E_VERSION, "%u", j->hello.protocol);
    if (rc) {
        if (!j->err.code)
            tz_err_set(&j->err, rc, NULL, NULL, NULL, NULL);
        struct tz_err err = j->err;
        tz_sjob_free(j);
        fail(s, &err, TZ_LANE_CONTROL);
        return;
    }
    memcpy(j->fingerprint, s->c.fingerprint, sizeof j->fingerprint);
    j->software = s->c.software;
    j->catalogue_version = s->c.catalogue->version;
    j->received = tz_clock_wall(&s->c.clock);
    tz_sm_move(&s->sm, S_OPENING, "hello");
    submit(s, j);
}

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
        fail_code(s, TZ_E_PROTOCOL, "push", TZ_LANE_UP);
        return;
    }
    struct tz_sjob *j = job_new(s, TZ_JOB_PUSH);
    if (!j)
        return;
    const void *copy = tz_arena_dup(&j->a, body.p, body.n);
    int rc = copy ? read(j, tz_bytes_of(copy, body.n)) : TZ_E_NOMEM;
    if (!rc && !copy_grant(s, j))
        rc = TZ_E_NOMEM;
    if (rc) {
        struct tz_err err = j->err;
        if (!err.code)
            tz_err_set(&err, rc, NULL, NULL, NULL, NULL);
        tz_sjob_free(j);
        fail(s, &err, TZ_LANE_UP);
        return;
    }
    j->offset_ms = s->offset_ms;
    j->received = tz_clock_wall(&s->c.clock);
    s->pushes++;
    submit(s, j);
}

static void on_pull(struct tz_session *s, struct tz_bytes body)
{
    struct tz_arena a;
    struct tz_err err = {0};
    struct tz_cursor *cursors = NULL;
    size_t n = 0;
    if (s->pulling) {
        fail_code(s, TZ_E_PROTOCOL, "pull", TZ_LANE_DOWN);
        return;
    }
    tz_arena_init(&a, READ_ARENA_BYTES);
    int rc = tz_msg_read_pull(body, &a, &cursors, &n, &err);
    if (!rc) {
        s->cursors = calloc(n ? n : 1, sizeof *s->cursors);
        rc = s->cursors ? 0 : tz_err_set(&err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    }
    if (!rc && n)
        memcpy(s->cursors, cursors, n * sizeof *cursors);
    tz_arena_deinit(&a);
    if (rc) {
        fail(s, &err, TZ_LANE_DOWN);
        return;
    }
    s->ncursors = n;
    s->pulling = true;
    s->dirty = true;
    pump_down(s);
}

/** The peer holds a whole checkpoint durably: its lease begins anew. */
static void note_acked(struct tz_session *s)
{
    struct tz_wall now = tz_clock_wall(&s->c.clock);
    tz_ver ver = s->acking;
    s->acking = 0;
    if (s->acked && now.ms >= s->acked_at.ms && now.ms - s->acked_at.ms < ACKED_MS)
        return;
    struct tz_sjob *j = job_new(s, TZ_JOB_ACKED);
    if (!j)
        return;
    j->device = s->grant->device;
    j->acked = ver;
    s->acked = true;
    s->acked_at = now;
    submit(s, j);
}

static void on_ack(struct tz_session *s, struct tz_bytes body)
{
    struct tz_err err = {0};
    uint32_t frames = 0;
    if (tz_msg_read_ack(body, &frames, &err) || frames > s->unacked) {
        fail_code(s, TZ_E_PROTOCOL, "ack", TZ_LANE_DOWN);
        return;
    }
    s->unacked -= frames;
    if (s->acking && s->unacked == 0)
        note_acked(s);
    pump_down(s);
}

/** Of each kind of question one may be under way. */
static bool *busy_of(struct tz_session *s, enum tz_job_kind kind)
{
    return kind == TZ_JOB_RENUMBER || kind == TZ_JOB_LOST_ROWS ? &s->asking : &s->verifying;
}

/** A message of which one at a time may be under way: @read it into a job and submit that. */
static void on_single(struct tz_session *s, enum tz_job_kind kind, struct tz_bytes body,
                      int (*read)(struct tz_sjob *j, struct tz_bytes body))
{
    bool *busy = busy_of(s, kind);
    if (*busy) {
        fail_code(s, TZ_E_PROTOCOL, "one at a time", TZ_LANE_CONTROL);
        return;
    }
    struct tz_sjob *j = job_new(s, kind);
    if (!j)
        return;
    int rc = read(j, body);
    if (!rc && !copy_grant(s, j))
        rc = tz_err_set(&j->err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    if (rc) {
        struct tz_err err = j->err;
        tz_sjob_free(j);
        fail(s, &err, TZ_LANE_CONTROL);
        return;
    }
    j->received = tz_clock_wall(&s->c.clock);
    *busy = true;
    submit(s, j);
}

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

/** What is on its way has the old numbers: it is answered first. */
static void on_renumber(struct tz_session *s, struct tz_bytes body)
{
    if (s->pushes)
        fail_code(s, TZ_E_PROTOCOL, "renumber", TZ_LANE_CONTROL);
    else
        on_single(s, TZ_JOB_RENUMBER, body, read_renumber);
}

static int read_receipt(struct tz_sjob *j, struct tz_bytes body)
{
    return tz_msg_read_wipe_receipt(body, &j->receipt, &j->err);
}

static void on_verify(struct tz_session *s, struct tz_bytes body)
{
    on_single(s, TZ_JOB_VERIFY, body, read_verify);
    s->dirty = true; /* the peer compares at a version: bring its checkpoint up to the head */
    pump_down(s);
}

static void on_history_ask(struct tz_session *s, struct tz_bytes body)
{
    if (s->recounting) { /* a page is bounded, a queue of them would not be */
        fail_code(s, TZ_E_PROTOCOL, "history", TZ_LANE_CONTROL);
        return;
    }
    struct tz_sjob *j = job_new(s, TZ_JOB_HISTORY);
    if (!j)
        return;
    int rc = tz_msg_read_history_ask(body, &j->history, &j->err);
    if (!rc && !copy_grant(s, j))
        rc = tz_err_set(&j->err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    if (rc) {
        struct tz_err err = j->err;
        tz_sjob_free(j);
        fail(s, &err, TZ_LANE_CONTROL);
        return;
    }
    s->recounting = true;
    submit(s, j);
}

static void on_ping(struct tz_session *s, struct tz_bytes body)
{
    struct tz_err err = {0};
    struct tz_buf b;
    uint64_t nonce = 0;
    if (tz_msg_read_ping(body, &nonce, &err)) {
        fail(s, &err, TZ_LANE_CONTROL);
        return;
    }
    tz_buf_init(&b, TZ_FRAME_BODY_MAX_ANON);
    if (!tz_msg_put_ping(&b, nonce))
        s->io.send(s->io.ctx, TZ_MSG_PONG, TZ_LANE_CONTROL, tz_buf_unread(&b));
    tz_buf_deinit(&b);
    s->telling = false; /* it has taken in the last unasked Results */
    tell(s);
}

static void on_enrol(struct tz_session *s, struct tz_bytes body)
{
    struct tz_sjob *j = job_new(s, TZ_JOB_ENROL);
    if (!j)
        return;
    const void *copy = tz_arena_dup(&j->a, body.p, body.n);
    int rc = copy ? tz_msg_read_enrol(tz_bytes_of(copy, body.n), &j->a, &j->enrol, &j->err) : TZ_E_NOMEM;
    if (!rc && j->enrol.protocol != TZ_PROTOCOL_VERSION)
        rc = tz_err_setf(&j->err, TZ_E_VERSION, "%u", j->enrol.protocol);
    if (rc) {
        struct tz_err err = j->err;
        if (!err.code)
            tz_err_set(&err, rc, NULL, NULL, NULL, NULL);
        tz_sjob_free(j);
        fail(s, &err, TZ_LANE_CONTROL);
        return;
    }
    j->ca = s->c.ca;
    j->sign = s->c.sign;
    j->sign_ctx = s->c.sign_ctx;
    tz_sm_move(&s->sm, S_ENROLLING, "enrol");
    submit(s, j);
}

static void on_ready_frame(struct tz_session *s, const struct tz_frame *f)
{
    if (ran_out(s))
        return;
    switch (f->type) {
    case TZ_MSG_PUSH:
        on_up(s, f->body, read_push);
        break;
    case TZ_MSG_REOFFER:
        on_up(s, f->body, read_reoffer);
        break;
    case TZ_MSG_PULL:
        on_pull(s, f->body);
        break;
    case TZ_MSG_ACK:
        on_ack(s, f->body);
        break;
    case TZ_MSG_VERIFY:
        on_verify(s, f->body);
        break;
    case TZ_MSG_DIGEST_REQUEST:
        on_single(s, TZ_JOB_DIGEST, f->body, read_digest_request);
        break;
    case TZ_MSG_DAMAGE:
        on_single(s, TZ_JOB_DAMAGE, f->body, read_damage);
        break;
    case TZ_MSG_LOST_ROWS:
        on_single(s, TZ_JOB_LOST_ROWS, f->body, read_lost_rows);
        break;
    case TZ_MSG_RENUMBER:
        on_renumber(s, f->body);
        break;
    case TZ_MSG_HISTORY_ASK:
        on_history_ask(s, f->body);
        break;
    case TZ_MSG_WIPE_RECEIPT:
        on_single(s, TZ_JOB_RECEIPT, f->body, read_receipt);
        break;
    case TZ_MSG_PING:
        on_ping(s, f->body);
        break;
    case TZ_MSG_PONG:
        break;
    case TZ_MSG_ERROR: /* the peer says why it leaves */
        session_close(s, TZ_E_GONE);
        break;
    default:
        fail_code(s, TZ_E_PROTOCOL, tz_msg_name(f->type), f->lane);
        break;
    }
}

/** A revoked device may hand in, say what it wiped, and nothing else. */
static void on_leaving_frame(struct tz_session *s, const struct tz_frame *f)
{
    switch (f->type) {
    case TZ_MSG_PUSH:
        on_up(s, f->body, read_push);
        break;
    case TZ_MSG_WIPE_RECEIPT:
        on_single(s, TZ_JOB_RECEIPT, f->body, read_receipt);
        break;
    case TZ_MSG_PING:
        on_ping(s, f->body);
        break;
    case TZ_MSG_PONG:
        break;
    case TZ_MSG_ERROR:
        session_close(s, TZ_E_GONE);
        break;
    default:
        fail_code(s, TZ_E_PROTOCOL, tz_msg_name(f->type), f->lane);
        break;
    }
}

static uint16_t lane_of(uint8_t type)
{
    switch (type) {
    case TZ_MSG_PUSH:
    case TZ_MSG_REOFFER:
        return TZ_LANE_UP;
    case TZ_MSG_PULL:
    case TZ_MSG_ACK:
        return TZ_LANE_DOWN;
    default:
        return TZ_LANE_CONTROL;
    }
}

void tz_session_on_frame(struct tz_session *s, const struct tz_frame *f)
{
    s->heard = tz_clock_mono(&s->c.clock);
    if (f->type != TZ_MSG_ERROR && f->lane != lane_of(f->type)) {
        fail_code(s, TZ_E_PROTOCOL, "lane", TZ_LANE_CONTROL);
        return;
    }
    switch (s->sm.state) {
    case S_GREETING:
        if (!s->c.enrolling && f->type == TZ_MSG_HELLO)
            on_hello(s, f->body);
        else if (s->c.enrolling && f->type == TZ_MSG_ENROL)
            on_enrol(s, f->body);
        else
            fail_code(s, TZ_E_PROTOCOL, tz_msg_name(f->type), TZ_LANE_CONTROL);
        break;
    case S_READY:
        on_ready_frame(s, f);
        break;
    case S_LEAVING:
        on_leaving_frame(s, f);
        break;
    case S_CLOSED:
        break;
    default: /* OPENING, ENROLLING: one frame, then the answer */
        fail_code(s, TZ_E_PROTOCOL, tz_msg_name(f->type), TZ_LANE_CONTROL);
        break;
    }
}

/* ---- answers from the store ---- */

static void on_opened(struct tz_session *s, struct tz_sjob *j)
{
    s->grant = j->grant;
    j->grant = NULL;
    s->offset_ms = j->offset_ms;
    if (j->leaving) {
        tz_sm_move(&s->sm, S_LEAVING, "revoked");
        s->io.authenticated(s->io.ctx); /* its saves may be long */
        tz_log(TZ_LOG_INFO, "session", "revoked", "session=%llu device=%u", (unsigned long long)s->c.id,
               s->grant->device);
        s->io.send(s->io.ctx, TZ_MSG_WIPE_ORDER, TZ_LANE_CONTROL, tz_buf_unread(&j->reply));
        return;
    }
    tz_sm_move(&s->sm, S_READY, "opened");
    s->io.authenticated(s->io.ctx);
    tz_log(TZ_LOG_INFO, "session", "ready", "session=%llu device=%u offset_ms=%lld", (unsigned long long)s->c.id,
           s->grant->device, (long long)s->offset_ms);
    s->io.send(s->io.ctx, TZ_MSG_WELCOME, TZ_LANE_CONTROL, tz_buf_unread(&j->reply));
}

static void on_pushed(struct tz_session *s, struct tz_sjob *j)
{
    s->pushes--;
    s->io.send(s->io.ctx, TZ_MSG_RESULTS, TZ_LANE_UP, tz_buf_unread(&j->reply));
    if (j->changed)
        s->dirty = true; /* its own edits become visible at a checkpoint */
    pump_down(s);
}

static void on_single_done(struct tz_session *s, struct tz_sjob *j, uint8_t type)
{
    *busy_of(s, j->kind) = false;
    s->io.send(s->io.ctx, type, TZ_LANE_CONTROL, tz_buf_unread(&j->reply));
}

/** The peer waits until it is where the answer holds, and may have been told of nothing that would bring it there. */
static void on_digested(struct tz_session *s, struct tz_sjob *j)
{
    on_single_done(s, j, TZ_MSG_DIGEST);
    s->dirty = s->dirty || s->checkpoint.ver < j->since;
    pump_down(s);
}

static void job_answer(struct tz_session *s, struct tz_sjob *j)
{
    switch (j->kind) {
    case TZ_JOB_OPEN:
        on_opened(s, j);
        break;
    case TZ_JOB_PUSH:
        on_pushed(s, j);
        break;
    case TZ_JOB_PULL:
        on_page(s, j);
        break;
    case TZ_JOB_VERIFY:
        on_single_done(s, j, TZ_MSG_VERIFIED);
        break;
    case TZ_JOB_DIGEST:
        on_digested(s, j);
        break;
    case TZ_JOB_DAMAGE:
        on_single_done(s, j, TZ_MSG_DAMAGE_NOTED);
        s->dirty = s->dirty || j->changed;
        pump_down(s);
        break;
    case TZ_JOB_LOST_ROWS:
        on_single_done(s, j, TZ_MSG_LOST_TAKEN);
        break;
    case TZ_JOB_RENUMBER:
        s->grant->incarnation = j->incarnation;
        on_single_done(s, j, TZ_MSG_RENUMBERED);
        break;
    case TZ_JOB_RECEIPT:
        on_single_done(s, j, TZ_MSG_WIPE_NOTED);
        break;
    case TZ_JOB_HISTORY:
        s->recounting = false;
        s->io.send(s->io.ctx, TZ_MSG_HISTORY, TZ_LANE_CONTROL, tz_buf_unread(&j->reply));
        break;
    case TZ_JOB_ENROL:
        s->io.send(s->io.ctx, TZ_MSG_ENROLLED, TZ_LANE_CONTROL, tz_buf_unread(&j->reply));
        session_close(s, 0);
        break;
    case TZ_JOB_ACKED:
    case TZ_JOB_RELEASE: /* the owner's, like the next */
    case TZ_JOB_PURGE:
        break;
    }
}

void tz_session_on_released(struct tz_session *s, const struct tz_sjob *job)
{
    if (s->sm.state != S_READY || s->grant->device != tz_sjob_released_device(job) || job->reply.len == 0)
        return;
    note_untold(s, tz_buf_unread(&job->reply), job->nresults);
    tell(s);
    s->dirty = s->dirty || job->changed;
    pump_down(s);
}

void tz_session_on_job(struct tz_session *s, struct tz_sjob *job)
{
    s->jobs--;
    if (s->sm.state != S_CLOSED) {
        if (job->code && job->kind == TZ_JOB_PUSH && job->reply.len && tz_err_info(job->code)->cls != TZ_ERR_LOCAL)
            on_pushed(s, job); /* those before the bad one were judged and are durable */
        if (job->code)
            fail(s, &job->err, lane_of(job->kind == TZ_JOB_PUSH ? TZ_MSG_PUSH : TZ_MSG_HELLO));
        else
            job_answer(s, job);
    }
    tz_sjob_free(job);
}

void tz_session_on_head(struct tz_session *s, tz_ver head, const struct tz_area *areas, size_t n)
{
    if (s->sm.state != S_READY || head == 0)
        return;
    bool ours = n == 0;
    for (size_t i = 0; i < n && !ours; i++)
        for (size_t k = 0; k < s->grant->nareas && !ours; k++)
            ours = tz_area_covers(&s->grant->areas[k], &areas[i]);
    if (!ours)
        return;
    s->dirty = true;
    pump_down(s);
}

/* ---- life ---- */

int tz_session_new(const struct tz_session_config *c, const struct tz_session_io *io, struct tz_session **out)
{
    struct tz_session *s = calloc(1, sizeof *s);
    *out = s;
    if (!s)
        return TZ_E_NOMEM;
    s->c = *c;
    s->io = *io;
    s->heard = tz_clock_mono(&c->clock);
    tz_buf_init(&s->untold, TZ_FRAME_BODY_MAX);
    tz_sm_init(&s->sm, "session", c->id, STATES, S_COUNT);
    return 0;
}

void tz_session_free(struct tz_session *s)
{
    if (!s)
        return;
    while (s->frames) {
        struct frame_node *next = s->frames->next;
        free(s->frames);
        s->frames = next;
    }
    tz_buf_deinit(&s->untold);
    free(s->grant);
    free(s->cursors);
    free(s);
}

void tz_session_kick(struct tz_session *s, int code)
{
    fail_code(s, code, NULL, TZ_LANE_CONTROL);
}

uint32_t tz_session_device(const struct tz_session *s)
{
    return s->grant ? s->grant->device : 0;
}

bool tz_session_idle(const struct tz_session *s)
{
    return s->jobs == 0 && !s->frames && !s->have_checkpoint;
}

const char *tz_session_state_name(const struct tz_session *s)
{
    return STATES[s->sm.state].name;
}

struct tz_mono tz_session_deadline(const struct tz_session *s)
{
    struct tz_mono t = s->heard;
    t.ms += s->sm.state == S_READY || s->sm.state == S_LEAVING ? IDLE_MS : GREETING_MS;
    if (s->sm.state == S_OPENING || s->sm.state == S_ENROLLING)
        t.ms += IDLE_MS; /* the store's turn, not the peer's */
    return t;
}
