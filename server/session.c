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
#include "session_state.h"

#include <stdlib.h>
#include <string.h>

enum { GREETING_MS = 5000, IDLE_MS = 120000 };

static const struct tz_sm_state STATES[S_COUNT] = {
    [S_GREETING] = {"greeting", 1u << S_OPENING | 1u << S_ENROLLING | 1u << S_CLOSED},
    [S_OPENING] = {"opening", 1u << S_READY | 1u << S_LEAVING | 1u << S_CLOSED},
    [S_LEAVING] = {"leaving", 1u << S_CLOSED},
    [S_READY] = {"ready", 1u << S_CLOSED},
    [S_ENROLLING] = {"enrolling", 1u << S_CLOSED},
    [S_CLOSED] = {"closed", 0},
};

/* ---- ending ---- */

void tz_session_close(struct tz_session *s, int code)
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
void tz_session_fail(struct tz_session *s, const struct tz_err *err, uint16_t lane)
{
    char quoted[TZ_ERR_ARG_BYTES];
    char text[256];
    if (s->sm.state == S_CLOSED)
        return;
    tz_log(TZ_LOG_INFO, "session", "refused", "session=%llu device=%u code=%s err=%s", (unsigned long long)s->c.id,
           tz_session_device(s), tz_err_info(err->code)->symbol,
           tz_log_quote(tz_err_text(err, TZ_LANG_EN, text, sizeof text), quoted, sizeof quoted));
    send_error(s, err, lane);
    tz_session_close(s, err->code);
}

void tz_session_fail_code(struct tz_session *s, int code, const char *what, uint16_t lane)
{
    struct tz_err err;
    tz_err_set(&err, code, what, NULL, NULL, NULL);
    tz_session_fail(s, &err, lane);
}

void tz_session_submit(struct tz_session *s, struct tz_sjob *j)
{
    s->jobs++;
    s->io.submit(s->io.ctx, j);
}

/** A job, or NULL after closing the session. */
struct tz_sjob *tz_session_job(struct tz_session *s, enum tz_job_kind kind)
{
    struct tz_sjob *j = NULL;
    if (tz_sjob_new(kind, s->c.id, &j))
        tz_session_fail_code(s, TZ_E_NOMEM, NULL, TZ_LANE_CONTROL);
    return j;
}

void tz_session_unreadable(struct tz_session *s, struct tz_sjob *j, int rc, uint16_t lane)
{
    struct tz_err err = j->err;
    if (!err.code)
        tz_err_set(&err, rc, NULL, NULL, NULL, NULL);
    tz_sjob_free(j);
    tz_session_fail(s, &err, lane);
}

bool tz_session_copy_grant(struct tz_session *s, struct tz_sjob *j)
{
    j->grant = malloc(sizeof *j->grant);
    if (j->grant)
        *j->grant = *s->grant;
    return j->grant != NULL;
}

/* ---- opening ---- */

static void on_hello(struct tz_session *s, struct tz_bytes body)
{
    struct tz_sjob *j = tz_session_job(s, TZ_JOB_OPEN);
    if (!j)
        return;
    /* The message is read into the job's own memory: the frame is gone when the job runs. */
    const void *copy = tz_arena_dup(&j->a, body.p, body.n);
    int rc = copy ? tz_msg_read_hello(tz_bytes_of(copy, body.n), &j->a, &j->hello, &j->err) : TZ_E_NOMEM;
    if (!rc && j->hello.protocol != TZ_PROTOCOL_VERSION)
        rc = tz_err_setf(&j->err, TZ_E_VERSION, "%u", j->hello.protocol);
    if (rc) {
        tz_session_unreadable(s, j, rc, TZ_LANE_CONTROL);
        return;
    }
    memcpy(j->fingerprint, s->c.fingerprint, sizeof j->fingerprint);
    j->software = s->c.software;
    j->catalogue_version = s->c.catalogue->version;
    j->received = tz_clock_wall(&s->c.clock);
    tz_sm_move(&s->sm, S_OPENING, "hello");
    tz_session_submit(s, j);
}

static void on_enrol(struct tz_session *s, struct tz_bytes body)
{
    struct tz_sjob *j = tz_session_job(s, TZ_JOB_ENROL);
    if (!j)
        return;
    const void *copy = tz_arena_dup(&j->a, body.p, body.n);
    int rc = copy ? tz_msg_read_enrol(tz_bytes_of(copy, body.n), &j->a, &j->enrol, &j->err) : TZ_E_NOMEM;
    if (!rc && j->enrol.protocol != TZ_PROTOCOL_VERSION)
        rc = tz_err_setf(&j->err, TZ_E_VERSION, "%u", j->enrol.protocol);
    if (rc) {
        tz_session_unreadable(s, j, rc, TZ_LANE_CONTROL);
        return;
    }
    j->ca = s->c.ca;
    j->sign = s->c.sign;
    j->sign_ctx = s->c.sign_ctx;
    tz_sm_move(&s->sm, S_ENROLLING, "enrol");
    tz_session_submit(s, j);
}

/* ---- dispatch ---- */

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

/** A revoked device (LEAVING) may hand in, say what it wiped, and nothing else. */
static void on_open_frame(struct tz_session *s, const struct tz_frame *f)
{
    bool ready = s->sm.state == S_READY;
    if (ready && tz_session_ran_out(s))
        return;
    if (f->type == TZ_MSG_ERROR) /* the peer says why it leaves */
        tz_session_close(s, TZ_E_GONE);
    else if (ready && f->type == TZ_MSG_PULL)
        tz_session_on_pull(s, f->body);
    else if (ready && f->type == TZ_MSG_ACK)
        tz_session_on_ack(s, f->body);
    else if (f->type != TZ_MSG_PONG)
        tz_session_on_asked(s, f);
}

void tz_session_on_frame(struct tz_session *s, const struct tz_frame *f)
{
    s->heard = tz_clock_mono(&s->c.clock);
    if (f->type != TZ_MSG_ERROR && f->lane != lane_of(f->type)) {
        tz_session_fail_code(s, TZ_E_PROTOCOL, "lane", TZ_LANE_CONTROL);
        return;
    }
    switch (s->sm.state) {
    case S_GREETING:
        if (!s->c.enrolling && f->type == TZ_MSG_HELLO)
            on_hello(s, f->body);
        else if (s->c.enrolling && f->type == TZ_MSG_ENROL)
            on_enrol(s, f->body);
        else
            tz_session_fail_code(s, TZ_E_PROTOCOL, tz_msg_name(f->type), TZ_LANE_CONTROL);
        break;
    case S_READY:
    case S_LEAVING:
        on_open_frame(s, f);
        break;
    case S_CLOSED:
        break;
    default: /* OPENING, ENROLLING: one frame, then the answer */
        tz_session_fail_code(s, TZ_E_PROTOCOL, tz_msg_name(f->type), TZ_LANE_CONTROL);
        break;
    }
}

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

static void job_answer(struct tz_session *s, struct tz_sjob *j)
{
    switch (j->kind) {
    case TZ_JOB_OPEN:
        on_opened(s, j);
        break;
    case TZ_JOB_PUSH:
        tz_session_on_pushed(s, j);
        break;
    case TZ_JOB_PULL:
        tz_session_on_page(s, j);
        break;
    case TZ_JOB_ENROL:
        s->io.send(s->io.ctx, TZ_MSG_ENROLLED, TZ_LANE_CONTROL, tz_buf_unread(&j->reply));
        tz_session_close(s, 0);
        break;
    case TZ_JOB_ACKED:
    case TZ_JOB_RELEASE: /* the owner's, like the next */
    case TZ_JOB_PURGE:
        break;
    case TZ_JOB_VERIFY:
    case TZ_JOB_DIGEST:
    case TZ_JOB_DAMAGE:
    case TZ_JOB_LOST_ROWS:
    case TZ_JOB_RENUMBER:
    case TZ_JOB_RECEIPT:
    case TZ_JOB_HISTORY:
        tz_session_on_answer(s, j);
        break;
    }
}

void tz_session_on_job(struct tz_session *s, struct tz_sjob *job)
{
    s->jobs--;
    if (s->sm.state != S_CLOSED) {
        if (job->code && job->kind == TZ_JOB_PUSH && job->reply.len && tz_err_info(job->code)->cls != TZ_ERR_LOCAL)
            tz_session_on_pushed(s, job); /* those before the bad one were judged and are durable */
        if (job->code)
            tz_session_fail(s, &job->err, lane_of(job->kind == TZ_JOB_PUSH ? TZ_MSG_PUSH : TZ_MSG_HELLO));
        else
            job_answer(s, job);
    }
    tz_sjob_free(job);
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
    tz_session_fail_code(s, code, NULL, TZ_LANE_CONTROL);
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
