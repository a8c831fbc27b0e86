/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection that comes back. The thinking is in sync.c; here are a stream, two timers and a thread.
 *
 * Invariants
 *  1. The loop thread never touches the office: everything goes through jobs on `thread`.
 *  2. One session at a time. A job remembers the session it was made for; a result that comes back to another one is
 * dropped (sync.c then asks again, nothing depends on it).
 *  3. The stream ends before the next attempt begins, so there are never two sessions of one device.
 *  4. Stopping: stream, then thread (which finishes its jobs), then timers; the last close callback frees.
 *
 * It does not judge what is synced and does not know who asked for it.
 */
#include "conn.h"
#include "addr.h"
#include "backoff.h"
#include "dbthread.h"
#include "folder.h"
#include "hash.h"
#include "log.h"
#include "pki.h"
#include "stream.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum {
    BACKOFF_BASE_MS = 1000,
    BACKOFF_MAX_MS = 60 * 1000,
    JOBS_MAX = 1024,
    PIN_HEX_BYTES = 2 * TZ_PKI_PIN_BYTES,
};

/* What travels through the thread: a job of sync.c, or a call. */
struct conn_job {
    struct tz_job node;
    uint64_t session;
    struct tz_cjob *cjob; /* owned; NULL for a call */
    void (*run)(void *ctx, struct tz_office *o);
    void (*done)(void *ctx);
    void *ctx;
};

struct tz_conn {
    struct tz_conn_cb cb;
    uv_loop_t *loop;
    struct tz_office *office;
    const char *software;
    bool retry, renew;
    enum tz_conn_state state;
    struct tz_addr address;
    struct tz_tls_config *tls;
    struct tz_stream *stream; /* NULL when there is none */
    struct tz_sync *sync;     /* from on_open until the stream's end */
    uint64_t session;
    bool in_frame, from_server; /* an error that sync.c reports now is the server's word */
    struct tz_err why;          /* how the session ended */
    struct tz_sync_counters last;
    struct tz_dbthread *thread;
    struct tz_backoff backoff;
    uv_timer_t deadline, again;
    unsigned open_handles;
};

bool tz_conn_passes(int code, bool from_server)
{
    const struct tz_err_info *info = tz_err_info(code);
    if (code == 0 || info->cls == TZ_ERR_RETRY || code == TZ_E_TLS || code == TZ_E_DISK_FULL)
        return true;                                 /* TZ_E_TLS: a captive portal answers in the server's place */
    return from_server && info->cls == TZ_ERR_LOCAL; /* its machine, not ours */
}

/* ---- jobs ---- */

static void run_batch(void *ctx, struct tz_job *head)
{
    struct tz_conn *c = ctx;
    for (struct tz_job *j = head; j != NULL; j = j->next) {
        struct conn_job *job = (struct conn_job *)j; /* first member */
        if (job->cjob != NULL)
            tz_cjob_run(job->cjob, c->office);
        else
            job->run(job->ctx, c->office);
    }
}

static void arm_deadline(struct tz_conn *c);

static void job_done(void *ctx, struct tz_job *j)
{
    struct tz_conn *c = ctx;
    struct conn_job *job = (struct conn_job *)j;
    if (job->cjob == NULL) {
        job->done(job->ctx);
    } else if (c->sync != NULL && job->session == c->session) {
        tz_sync_on_job(c->sync, job->cjob);
        arm_deadline(c);
    } else {
        tz_cjob_free(job->cjob);
    }
    free(job);
}

static const struct tz_dbthread_ops thread_ops = {.run_batch = run_batch, .done = job_done};

/** Takes @job, also on error. */
static int submit(struct tz_conn *c, struct conn_job *job)
{
    int rc = tz_dbthread_submit(c->thread, &job->node);
    if (rc != 0)
        free(job);
    return rc;
}

int tz_conn_call(struct tz_conn *c, void (*run)(void *ctx, struct tz_office *o), void (*done)(void *ctx), void *ctx)
{
    struct conn_job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return TZ_E_NOMEM;
    job->run = run;
    job->done = done;
    job->ctx = ctx;
    return submit(c, job);
}

/* ---- what sync.c asks for ---- */

static void end_session(struct tz_conn *c, const struct tz_err *err)
{
    if (c->state != TZ_CONN_UP && c->state != TZ_CONN_CONNECTING)
        return; /* the first reason stays */
    c->state = TZ_CONN_CLOSING;
    c->why = *err;
    c->from_server = c->in_frame;
    if (c->stream != NULL)
        tz_stream_close(c->stream, err->code);
}

static void fail_session(struct tz_conn *c, int code, const char *arg)
{
    struct tz_err err = {0};
    (void)tz_err_set(&err, code, arg, NULL, NULL, NULL);
    end_session(c, &err);
}

static void sync_send(void *ctx, uint8_t type, uint16_t lane, struct tz_bytes body)
{
    struct tz_conn *c = ctx;
    if (c->state != TZ_CONN_UP)
        return;
    int rc = tz_stream_send(c->stream, type, lane, body);
    if (rc != 0)
        fail_session(c, rc, "send");
}

static void sync_submit(void *ctx, struct tz_cjob *cjob)
{
    struct tz_conn *c = ctx;
    struct conn_job *job = calloc(1, sizeof *job);
    int rc = TZ_E_NOMEM;
    if (job != NULL) {
        job->session = c->session;
        job->cjob = cjob;
        rc = submit(c, job);
    }
    if (rc == 0)
        return;
    tz_cjob_free(cjob);
    fail_session(c, rc, "job");
}

static void sync_event(void *ctx, enum tz_sync_event e)
{
    struct tz_conn *c = ctx;
    if (e == TZ_SYNC_WELCOMED)
        tz_backoff_reset(&c->backoff);
    if (c->state == TZ_CONN_UP && c->cb.on_event != NULL)
        c->cb.on_event(c->cb.ctx, e);
}

static void sync_close(void *ctx, const struct tz_err *err)
{
    end_session(ctx, err);
}

/* ---- deadlines ---- */

static void on_deadline_cb(uv_timer_t *h)
{
    struct tz_conn *c = h->data;
    if (c->sync == NULL)
        return;
    tz_sync_on_timer(c->sync);
    arm_deadline(c);
}

static void arm_deadline(struct tz_conn *c)
{
    if (c->state != TZ_CONN_UP) {
        (void)uv_timer_stop(&c->deadline);
        return;
    }
    int64_t left = tz_sync_deadline(c->sync).ms - tz_clock_mono(&tz_clock_system).ms;
    (void)uv_timer_start(&c->deadline, on_deadline_cb, left > 0 ? (uint64_t)left : 1, 0);
}

/* ---- the stream ---- */

static void on_open(void *ctx, const struct tz_tls_peer *peer)
{
    struct tz_conn *c = ctx;
    (void)peer; /* the TLS configuration has judged it */
    const struct tz_sync_config cfg = {.software = c->software, .clock = tz_clock_system};
    const struct tz_sync_io io = {sync_send, sync_submit, sync_event, sync_close, c};
    if (c->state != TZ_CONN_CONNECTING)
        return;
    int rc = tz_sync_new(&cfg, &io, &c->sync);
    if (rc != 0) {
        fail_session(c, rc, NULL);
        return;
    }
    c->state = TZ_CONN_UP;
    c->session++;
    tz_sync_start(c->sync);
    arm_deadline(c);
}

static void on_frame(void *ctx, const struct tz_frame *f)
{
    struct tz_conn *c = ctx;
    if (c->state != TZ_CONN_UP)
        return;
    c->in_frame = f->type == TZ_MSG_ERROR;
    tz_sync_on_frame(c->sync, f);
    c->in_frame = false;
    arm_deadline(c);
}

static void connect_now(struct tz_conn *c);
static void stop_thread(struct tz_conn *c);

static void on_again_cb(uv_timer_t *h)
{
    struct tz_conn *c = h->data;
    if (c->state == TZ_CONN_WAITING)
        connect_now(c);
}

/** The session is over: what comes next? */
static void after_end(struct tz_conn *c)
{
    bool again = c->renew || (c->retry && tz_conn_passes(c->why.code, c->from_server));
    if (c->renew) {
        c->renew = false;
        c->state = TZ_CONN_WAITING;
        connect_now(c);
        return;
    }
    if (again) {
        c->state = TZ_CONN_WAITING;
        (void)uv_timer_start(&c->again, on_again_cb, tz_backoff_next_ms(&c->backoff), 0);
    } else {
        c->state = TZ_CONN_DOWN;
    }
    if (c->cb.on_end != NULL)
        c->cb.on_end(c->cb.ctx, &c->why, !again);
}

static void on_close(void *ctx, int reason, const struct tz_err *err)
{
    struct tz_conn *c = ctx;
    bool stopping = c->state == TZ_CONN_STOPPING;
    if (c->state == TZ_CONN_UP || c->state == TZ_CONN_CONNECTING) {
        c->why = *err; /* the stream ended by itself */
        c->from_server = false;
        if (reason == 0)
            (void)tz_err_set(&c->why, TZ_E_GONE, NULL, NULL, NULL, NULL);
    }
    if (!stopping)
        c->state = TZ_CONN_CLOSING; /* so that sync.c's close does not count */
    c->stream = NULL;
    if (c->sync != NULL) {
        c->last = *tz_sync_counters(c->sync);
        tz_sync_free(c->sync);
        c->sync = NULL;
    }
    (void)uv_timer_stop(&c->deadline);
    if (stopping)
        stop_thread(c);
    else
        after_end(c);
}

static void connect_now(struct tz_conn *c)
{
    const struct tz_stream_opts opts = {.body_max = TZ_FRAME_BODY_MAX, .queue_bytes_max = 8 * 1024 * 1024};
    const struct tz_stream_cb cb = {.on_open = on_open, .on_frame = on_frame, .on_close = on_close};
    struct tz_err err = {0};
    (void)uv_timer_stop(&c->again);
    memset(&c->why, 0, sizeof c->why);
    c->from_server = false;
    c->state = TZ_CONN_CONNECTING;
    int rc = tz_stream_connect(c->loop, c->tls, c->address.host, c->address.port, &opts, &cb, c, &c->stream, &err);
    if (rc == 0)
        return;
    c->stream = NULL;
    c->why = err;
    c->state = TZ_CONN_CLOSING;
    after_end(c);
}

/* ---- start ---- */

/** The key, the certificate, the CA and the pin of the folder, as a TLS configuration. */
static int load_tls(struct tz_conn *c, const char *dir, struct tz_err *err)
{
    struct tz_buf key, cert, ca, pin_text;
    uint8_t pin[TZ_PKI_PIN_BYTES];
    char hex[PIN_HEX_BYTES + 1];
    tz_buf_init(&key, TZ_PKI_PEM_MAX);
    tz_buf_init(&cert, TZ_PKI_PEM_MAX);
    tz_buf_init(&ca, TZ_PKI_PEM_MAX);
    tz_buf_init(&pin_text, 1024);
    int rc = tz_folder_read(dir, TZ_FOLDER_KEY, &key, err);
    if (rc == 0)
        rc = tz_folder_read(dir, TZ_FOLDER_CERT, &cert, err);
    if (rc == 0)
        rc = tz_folder_read(dir, TZ_FOLDER_CA, &ca, err);
    if (rc == 0)
        rc = tz_folder_read(dir, TZ_FOLDER_PIN, &pin_text, err);
    if (rc == TZ_E_NOT_FOUND)
        rc = tz_err_set(err, TZ_E_NOT_ENROLLED, NULL, NULL, NULL, NULL);
    struct tz_bytes text = tz_buf_unread(&pin_text);
    if (rc == 0 && text.n < PIN_HEX_BYTES)
        rc = tz_err_set(err, TZ_E_FORMAT, TZ_FOLDER_PIN, NULL, NULL, NULL);
    if (rc == 0) {
        memcpy(hex, text.p, PIN_HEX_BYTES);
        hex[PIN_HEX_BYTES] = '\0';
        rc = tz_hex_decode(hex, pin, sizeof pin);
        if (rc != 0)
            (void)tz_err_set(err, rc, TZ_FOLDER_PIN, NULL, NULL, NULL);
    }
    if (rc == 0) {
        const struct tz_tls_client_opts opts = {.alpn = TZ_TLS_ALPN_SESSION,
                                                .cert = tz_buf_unread(&cert),
                                                .key = tz_buf_unread(&key),
                                                .ca_cert = tz_buf_unread(&ca),
                                                .pin = pin};
        rc = tz_tls_config_client(&opts, &c->tls, err);
    }
    tz_buf_deinit_secret(&key);
    tz_buf_deinit(&cert);
    tz_buf_deinit(&ca);
    tz_buf_deinit(&pin_text);
    return rc;
}

static void start_timer(struct tz_conn *c, uv_timer_t *t)
{
    (void)uv_timer_init(c->loop, t); /* cannot fail */
    t->data = c;
    c->open_handles++;
}

int tz_conn_start(const struct tz_conn_options *opt, const struct tz_conn_cb *cb, struct tz_conn **out,
                  struct tz_err *err)
{
    struct tz_conn *c = calloc(1, sizeof *c);
    *out = NULL;
    if (c == NULL)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    c->cb = *cb;
    c->loop = opt->loop;
    c->office = opt->office;
    c->software = opt->software;
    c->retry = opt->retry;
    tz_backoff_init(&c->backoff, BACKOFF_BASE_MS, BACKOFF_MAX_MS, tz_random_u32, NULL);
    int rc = tz_addr_parse(tz_office_identity(opt->office)->address, &c->address, err);
    if (rc == 0)
        rc = load_tls(c, opt->dir, err);
    if (rc == 0)
        rc = tz_dbthread_start(c->loop, &thread_ops, c, JOBS_MAX, 64, &c->thread, err);
    if (rc != 0) {
        tz_tls_config_free(c->tls);
        free(c);
        return rc;
    }
    start_timer(c, &c->deadline);
    start_timer(c, &c->again);
    c->state = TZ_CONN_WAITING; /* the first attempt starts on the loop, so that no callback runs inside this call */
    (void)uv_timer_start(&c->again, on_again_cb, 0, 0);
    *out = c;
    return 0;
}

/* ---- stop ---- */

static void on_timer_closed_cb(uv_handle_t *h)
{
    struct tz_conn *c = h->data;
    if (--c->open_handles > 0)
        return;
    struct tz_conn_cb cb = c->cb;
    tz_tls_config_free(c->tls);
    free(c);
    cb.on_stopped(cb.ctx);
}

static void on_thread_stopped(void *data)
{
    struct tz_conn *c = data;
    uv_close((uv_handle_t *)&c->deadline, on_timer_closed_cb);
    uv_close((uv_handle_t *)&c->again, on_timer_closed_cb);
}

static void stop_thread(struct tz_conn *c)
{
    tz_dbthread_stop(c->thread, on_thread_stopped, c);
}

void tz_conn_stop(struct tz_conn *c)
{
    if (c->state == TZ_CONN_STOPPING)
        return;
    c->state = TZ_CONN_STOPPING; /* before sync.c's close callback, which then does nothing */
    if (c->sync != NULL)
        tz_sync_stop(c->sync);
    if (c->stream != NULL)
        tz_stream_close(c->stream, 0);
    else
        stop_thread(c);
}

/* ---- requests ---- */

void tz_conn_poke(struct tz_conn *c)
{
    if (c->state == TZ_CONN_UP)
        tz_sync_on_outbox(c->sync);
}

void tz_conn_renew(struct tz_conn *c)
{
    struct tz_err none = {0};
    switch (c->state) {
    case TZ_CONN_UP:
    case TZ_CONN_CLOSING:
        c->renew = true;
        end_session(c, &none);
        break;
    case TZ_CONN_WAITING:
    case TZ_CONN_DOWN:
        connect_now(c);
        break;
    case TZ_CONN_CONNECTING: /* it looks into the outbox when it is up */
    case TZ_CONN_STOPPING:
    default:
        break;
    }
}

enum tz_conn_state tz_conn_state(const struct tz_conn *c)
{
    return c->state;
}

struct tz_sync *tz_conn_sync(struct tz_conn *c)
{
    return c->state == TZ_CONN_UP ? c->sync : NULL;
}

const struct tz_sync_counters *tz_conn_counters(const struct tz_conn *c)
{
    return c->sync != NULL ? tz_sync_counters(c->sync) : &c->last;
}

const struct tz_err *tz_conn_error(const struct tz_conn *c)
{
    return &c->why;
}
