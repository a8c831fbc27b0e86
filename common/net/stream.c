/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection on the loop.
 *
 *   CONNECTING ──> HANDSHAKE ──> OPEN ──> CLOSING ──> DEAD ──> on_close, freed
 *   look-up, one    TLS           frames   flush, then  handles close,
 *   address after                          shutdown,    requests end
 *   the other                              wait for EOF
 *
 * Invariants:
 *  1. States only move to the right; enter_closing and kill are the only ways out of the first three.
 *  2. `refs` counts initialised handles that are not closed; the look-up counts with `resolving`. on_close runs, and
 * the memory goes, when the state is DEAD and both are zero.
 *  3. One uv_write is under way at most; its bytes are in `flight`. What is encrypted meanwhile waits in the engine and
 * leaves as one write, so small frames are batched without a timer.
 *  4. The socket is read only when everything read before was handed out. So a slow owner stops the peer by TCP's own
 * means, and EOF is never seen before the data in front of it.
 *  5. One timer, whose meaning follows from the state: handshake, idle, close.
 *
 * CLOSING waits for the peer's EOF because closing a socket with unread input sends a reset, which can destroy the
 * alert or the last frame on its way to the peer.
 *
 * Not here: what frames mean, reconnecting (backoff.c and the owner).
 */
#include "stream.h"

#include "addr.h"
#include "uvaddr.h"
#include "uverr.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum {
    READ_BYTES = 64 * 1024,
    TLS_IN_MAX = 2 * READ_BYTES, /* one read on top of an unfinished record */
    TLS_OUT_SLACK = 64 * 1024,   /* record overhead, alerts, handshake */
    FLIGHT_KEEP = 64 * 1024,
    REMOTE_BYTES = 64,
};

enum state { CONNECTING, HANDSHAKE, OPEN, CLOSING, DEAD };

struct tz_stream {
    uv_loop_t *loop;
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_idle_t more; /* active while frames wait for the next turn */
    uv_getaddrinfo_t resolve;
    uv_connect_t connect;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct addrinfo *addrs; /* owned, from the look-up */
    struct addrinfo *next_addr;

    const struct tz_tls_config *tls_config; /* borrowed */
    struct tz_tls *tls;                     /* NULL until connected */
    struct tz_frame_reader frames;
    struct tz_buf scratch; /* the frame being sent, in plaintext */
    struct tz_buf flight;  /* invariant 3 */

    struct tz_stream_opts opts;
    struct tz_stream_cb cb;
    void *ctx;

    enum state state;
    unsigned refs;
    bool tcp_usable; /* initialised and not closing */
    bool resolving, writing, shutting, saw_eof, paused, above_high, started;
    int connect_rc; /* libuv's code of the last address that failed */
    size_t body_max;
    uint64_t active_ms; /* loop time of the last byte in or out */
    int reason;
    struct tz_err err;
    char remote[REMOTE_BYTES]; /* peer address once connected */
    char target[TZ_HOST_BYTES + 16];
};

static void flush(struct tz_stream *s);
static void process(struct tz_stream *s);
static void connect_next(struct tz_stream *s);
static void read_on(struct tz_stream *s);

/* ---- the end ---- */

static void finish_if_done(struct tz_stream *s)
{
    if (s->state != DEAD || s->refs > 0 || s->resolving)
        return;
    if (s->addrs != NULL)
        uv_freeaddrinfo(s->addrs);
    if (s->started)
        s->cb.on_close(s->ctx, s->reason, &s->err);
    tz_tls_free(s->tls);
    tz_frame_reader_deinit(&s->frames);
    tz_buf_deinit(&s->scratch);
    tz_buf_deinit(&s->flight);
    free(s);
}

static void on_closed_cb(uv_handle_t *h)
{
    struct tz_stream *s = h->data;
    s->refs--;
    finish_if_done(s);
}

static void kill_stream(struct tz_stream *s)
{
    if (s->state == DEAD)
        return;
    s->state = DEAD;
    if (s->resolving)
        (void)uv_cancel((uv_req_t *)&s->resolve); /* its callback comes either way */
    if (s->tcp_usable) {
        s->tcp_usable = false;
        uv_close((uv_handle_t *)&s->tcp, on_closed_cb);
    }
    uv_close((uv_handle_t *)&s->timer, on_closed_cb);
    uv_close((uv_handle_t *)&s->more, on_closed_cb);
}

static void on_timer_cb(uv_timer_t *h);

static void arm(struct tz_stream *s, uint64_t ms)
{
    (void)uv_timer_start(&s->timer, on_timer_cb, ms, 0); /* fails only on a closing handle or without callback */
}

/* s->reason and s->err are set by the callers below. */
static void enter_closing(struct tz_stream *s, bool polite)
{
    assert(s->state < CLOSING);
    bool connected = s->tls != NULL;
    s->state = CLOSING;
    (void)uv_idle_stop(&s->more);
    if (!polite || !connected) {
        kill_stream(s);
        return;
    }
    tz_tls_close(s->tls);
    arm(s, s->opts.close_ms);
    read_on(s); /* for the peer's EOF, also when we had stopped */
    flush(s);
}

static void end_with(struct tz_stream *s, const struct tz_err *err, bool polite)
{
    if (s->state < CLOSING) {
        s->err = *err;
        s->reason = err->code;
        enter_closing(s, polite);
    } else if (!polite) {
        kill_stream(s);
    }
}

static void end_code(struct tz_stream *s, int code, const char *arg, bool polite)
{
    struct tz_err err = {0};
    if (code != 0)
        (void)tz_err_set(&err, code, arg, NULL, NULL, NULL);
    end_with(s, &err, polite);
}

static void end_uv(struct tz_stream *s, int uv_code)
{
    struct tz_err err = {0};
    (void)tz_err_from_uv(&err, uv_code);
    end_with(s, &err, false);
}

static void idle_check(struct tz_stream *s)
{
    uint64_t now_ms = uv_now(s->loop);
    uint64_t until_ms = s->active_ms + s->opts.idle_ms;
    if (s->paused)
        arm(s, s->opts.idle_ms);
    else if (now_ms < until_ms)
        arm(s, until_ms - now_ms);
    else
        end_code(s, TZ_E_TIMEOUT, "idle", true);
}

static void on_timer_cb(uv_timer_t *h)
{
    struct tz_stream *s = h->data;
    switch (s->state) {
    case CONNECTING:
        end_code(s, TZ_E_UNREACHABLE, s->target, false);
        break;
    case HANDSHAKE:
        end_code(s, TZ_E_TIMEOUT, "handshake", false);
        break;
    case OPEN:
        idle_check(s);
        break;
    case CLOSING:
        kill_stream(s);
        break;
    case DEAD:
        break;
    }
}

/* ---- out ---- */

size_t tz_stream_queued(const struct tz_stream *s)
{
    return s->flight.len + (s->tls != NULL ? tz_tls_out(s->tls).n : 0);
}

static void on_shutdown_cb(uv_shutdown_t *req, int status)
{
    struct tz_stream *s = req->data;
    if (status < 0 || s->saw_eof)
        kill_stream(s);
}

/* Everything is out: say so to the peer, and wait for its EOF (on_read_cb) or the timer. */
static void shut_down(struct tz_stream *s)
{
    if (s->shutting)
        return;
    s->shutting = true;
    s->shutdown.data = s;
    if (uv_shutdown(&s->shutdown, (uv_stream_t *)&s->tcp, on_shutdown_cb) < 0)
        kill_stream(s);
}

static void tell_drained(struct tz_stream *s)
{
    if (s->state != OPEN || !s->above_high || tz_stream_queued(s) > s->opts.low_bytes)
        return;
    s->above_high = false;
    if (s->cb.on_drain != NULL)
        s->cb.on_drain(s->ctx);
}

static void on_write_cb(uv_write_t *req, int status)
{
    struct tz_stream *s = req->data;
    s->writing = false;
    if (s->state == DEAD)
        return;
    if (status < 0) {
        end_uv(s, status);
        return;
    }
    s->active_ms = uv_now(s->loop);
    if (s->flight.cap > FLIGHT_KEEP)
        tz_buf_deinit(&s->flight); /* a thousand idle connections should not each keep their largest burst */
    tz_buf_clear(&s->flight);
    flush(s);
    tell_drained(s);
}

/* Hand what the engine holds to the socket, unless a write is under way: then its end comes back here. */
static void flush(struct tz_stream *s)
{
    if (s->state == DEAD || s->writing || s->tls == NULL)
        return;
    struct tz_bytes out = tz_tls_out(s->tls);
    if (out.n == 0) {
        if (s->state == CLOSING)
            shut_down(s);
        return;
    }
    int rc = tz_buf_put(&s->flight, out.p, out.n);
    if (rc != 0) {
        end_code(s, rc, "output", false);
        return;
    }
    tz_tls_out_consume(s->tls, out.n);
    uv_buf_t buf = uv_buf_init((char *)s->flight.p, (unsigned)s->flight.len);
    s->write.data = s;
    s->writing = true;
    rc = uv_write(&s->write, (uv_stream_t *)&s->tcp, &buf, 1, on_write_cb);
    if (rc < 0) {
        s->writing = false;
        end_uv(s, rc);
    }
}

int tz_stream_send(struct tz_stream *s, uint8_t type, uint16_t lane, struct tz_bytes body)
{
    if (s->state >= CLOSING)
        return TZ_E_GONE;
    if (s->state != OPEN)
        return TZ_E_INTERNAL;
    if (body.n > TZ_FRAME_BODY_MAX || tz_stream_queued(s) + body.n + TZ_FRAME_HEADER_BYTES > s->opts.queue_bytes_max)
        return TZ_E_LIMIT;
    struct tz_err err = {0};
    tz_buf_clear(&s->scratch);
    int rc = tz_frame_put(&s->scratch, type, lane, body);
    if (rc == 0)
        rc = tz_tls_write(s->tls, tz_buf_unread(&s->scratch), &err);
    else
        (void)tz_err_set(&err, rc, "frame", NULL, NULL, NULL);
    if (rc != 0) {
        end_with(s, &err, true);
        return rc;
    }
    flush(s);
    if (tz_stream_queued(s) >= s->opts.high_bytes)
        s->above_high = true;
    return 0;
}

bool tz_stream_writable(const struct tz_stream *s)
{
    return s->state == OPEN && tz_stream_queued(s) < s->opts.high_bytes;
}

/* ---- in ---- */

/* One buffer per thread serves all its streams: its content is copied out before the callback returns. */
static void on_alloc_cb(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    static _Thread_local char shared[READ_BYTES];
    (void)h, (void)suggested;
    *buf = uv_buf_init(shared, sizeof shared);
}

static void take_input(struct tz_stream *s, struct tz_bytes in)
{
    struct tz_err err = {0};
    int rc = tz_tls_feed(s->tls, in, &err);
    if (rc != 0)
        end_with(s, &err, true); /* politely: an alert waits in the engine */
    else
        process(s);
}

static void on_read_cb(uv_stream_t *h, ssize_t n, const uv_buf_t *buf)
{
    struct tz_stream *s = h->data;
    if (s->state == DEAD || n == 0)
        return;
    if (n > 0) {
        s->active_ms = uv_now(s->loop);
        if (s->state != CLOSING) /* then input is only drained, to avoid a reset */
            take_input(s, tz_bytes_of(buf->base, (size_t)n));
        return;
    }
    if (n != UV_EOF) {
        end_uv(s, (int)n);
    } else if (s->state == CLOSING) {
        s->saw_eof = true;
        if (s->shutting)
            kill_stream(s);
    } else {
        struct tz_err err = {0};
        int rc = tz_tls_feed_eof(s->tls, &err);
        assert(rc != 0); /* after close_notify the state is CLOSING */
        (void)rc;
        end_with(s, &err, false);
    }
}

static void on_more_cb(uv_idle_t *h)
{
    process(h->data);
}

static void stop_reading(struct tz_stream *s)
{
    (void)uv_read_stop((uv_stream_t *)&s->tcp);
}

static void read_on(struct tz_stream *s)
{
    int rc = uv_read_start((uv_stream_t *)&s->tcp, on_alloc_cb, on_read_cb);
    if (rc < 0 && rc != UV_EALREADY)
        end_uv(s, rc);
}

static void opened(struct tz_stream *s)
{
    s->state = OPEN;
    s->active_ms = uv_now(s->loop);
    arm(s, s->opts.idle_ms);
    if (s->cb.on_open != NULL)
        s->cb.on_open(s->ctx, tz_tls_peer(s->tls));
}

/* More plaintext into the frame reader. 1: some came, 0: the engine is empty, negative: the stream is ending. */
static int refill(struct tz_stream *s)
{
    uint8_t plain[TZ_TLS_RECORD_PLAIN_MAX];
    size_t got = 0;
    struct tz_err err = {0};
    int rc = tz_tls_read(s->tls, plain, sizeof plain, &got, &err);
    if (rc == 0 && got > 0 && (rc = tz_frame_feed(&s->frames, tz_bytes_of(plain, got))) != 0)
        (void)tz_err_set(&err, rc, "frame", NULL, NULL, NULL);
    if (rc != 0) {
        end_with(s, &err, true);
        return rc;
    }
    return got > 0 ? 1 : 0;
}

/* One frame to the owner. 1: done, 0: none is complete, negative: the stream is ending. */
static int hand_out(struct tz_stream *s)
{
    struct tz_frame frame;
    tz_frame_reader_limit(&s->frames, s->body_max); /* here, so that no owner moves a body it is still reading */
    int rc = tz_frame_next(&s->frames, &frame);
    if (rc == 1)
        s->cb.on_frame(s->ctx, &frame);
    else if (rc < 0)
        end_code(s, rc, "frame", true);
    return rc;
}

/* The engine is empty: go on reading, or end when the peer has. Half a frame before close_notify is a broken end. */
static void caught_up(struct tz_stream *s)
{
    (void)uv_idle_stop(&s->more);
    if (tz_tls_state(s->tls) != TZ_TLS_CLOSED)
        read_on(s);
    else if (tz_buf_unread(&s->frames.buf).n > 0)
        end_code(s, TZ_E_GONE, NULL, true);
    else
        end_code(s, 0, NULL, true);
}

/* Hand out what has come, frames_per_turn at most; the rest waits for the next turn of the loop, and the socket with
 * it. */
static void process(struct tz_stream *s)
{
    flush(s); /* the handshake and alerts produce output of their own */
    if (s->state == HANDSHAKE && tz_tls_state(s->tls) != TZ_TLS_HANDSHAKE)
        opened(s);
    unsigned left = s->opts.frames_per_turn;
    int rc = 1;
    while (s->state == OPEN && !s->paused && left > 0 && rc > 0) {
        rc = hand_out(s);
        if (rc == 1)
            left--;
        else if (rc == 0 && (rc = refill(s)) == 0)
            break;
    }
    if (s->state != OPEN)
        return;
    flush(s); /* reading may have produced answers (KeyUpdate) */
    if (s->state != OPEN)
        return;
    if (s->paused) {
        (void)uv_idle_stop(&s->more);
        stop_reading(s);
    } else if (rc == 0) {
        caught_up(s);
    } else {
        stop_reading(s);
        (void)uv_idle_start(&s->more, on_more_cb);
    }
}

void tz_stream_pause(struct tz_stream *s)
{
    s->paused = true;
    if (s->state != OPEN)
        return;
    stop_reading(s);
    (void)uv_idle_stop(&s->more);
}

void tz_stream_resume(struct tz_stream *s)
{
    if (!s->paused)
        return;
    s->paused = false;
    s->active_ms = uv_now(s->loop);
    if (s->state == OPEN)
        (void)uv_idle_start(&s->more, on_more_cb); /* never a callback inside this call */
}

void tz_stream_limit(struct tz_stream *s, size_t body_max)
{
    s->body_max = body_max;
}

/* ---- the beginning ---- */

static int tcp_init(struct tz_stream *s)
{
    int rc = uv_tcp_init(s->loop, &s->tcp);
    if (rc < 0)
        return rc;
    s->tcp.data = s;
    s->tcp_usable = true;
    s->refs++;
    return 0;
}

static struct tz_stream *stream_new(uv_loop_t *loop, const struct tz_tls_config *tls, const struct tz_stream_opts *opts,
                                    const struct tz_stream_cb *cb, void *ctx)
{
    struct tz_stream *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->loop = loop;
    s->tls_config = tls;
    s->opts = tz_stream_opts_fill(opts);
    s->cb = *cb;
    s->ctx = ctx;
    s->body_max = s->opts.body_max;
    tz_frame_reader_init(&s->frames, s->body_max);
    tz_buf_init(&s->scratch, TZ_FRAME_HEADER_BYTES + TZ_FRAME_BODY_MAX);
    tz_buf_init(&s->flight, s->opts.queue_bytes_max + TLS_OUT_SLACK);
    (void)uv_timer_init(loop, &s->timer); /* these two cannot fail */
    (void)uv_idle_init(loop, &s->more);
    s->timer.data = s;
    s->more.data = s;
    s->refs = 2;
    arm(s, s->opts.handshake_ms);
    return s;
}

/* The socket is connected: start TLS. Errors end the stream and come back in @err. */
static int start_tls(struct tz_stream *s, struct tz_err *err)
{
    int rc = tz_tls_new(s->tls_config, TLS_IN_MAX, s->opts.queue_bytes_max + TLS_OUT_SLACK, &s->tls, err);
    if (rc != 0)
        return rc;
    (void)uv_tcp_nodelay(&s->tcp, 1);
    tz_uv_peer_name(&s->tcp, s->remote, sizeof s->remote);
    s->state = HANDSHAKE;
    rc = uv_read_start((uv_stream_t *)&s->tcp, on_alloc_cb, on_read_cb);
    if (rc < 0)
        return tz_err_from_uv(err, rc);
    flush(s);
    return 0;
}

int tz_stream_accept(struct uv_loop_s *loop, const struct tz_tls_config *tls, struct uv_stream_s *server,
                     const struct tz_stream_opts *opts, const struct tz_stream_cb *cb, void *ctx,
                     struct tz_stream **out, struct tz_err *err)
{
    *out = NULL;
    struct tz_stream *s = stream_new(loop, tls, opts, cb, ctx);
    if (s == NULL)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    int rc = tcp_init(s);
    if (rc == 0)
        rc = uv_accept(server, (uv_stream_t *)&s->tcp);
    rc = rc < 0 ? tz_err_from_uv(err, rc) : start_tls(s, err);
    if (rc != 0) {
        kill_stream(s); /* silently: it was never handed out */
        return rc;
    }
    s->started = true;
    *out = s;
    return 0;
}

static void connect_failed(struct tz_stream *s)
{
    struct tz_err err = {0};
    (void)tz_err_from_uv_connect(&err, s->connect_rc, s->target);
    end_with(s, &err, false);
}

/* A uv_tcp_t cannot be used again after a failed connect, so each address gets a new one in the same place. */
static void on_retry_closed_cb(uv_handle_t *h)
{
    struct tz_stream *s = h->data;
    s->refs--;
    if (s->state == DEAD)
        finish_if_done(s);
    else
        connect_next(s);
}

static void try_another(struct tz_stream *s, int uv_code)
{
    s->connect_rc = uv_code;
    if (s->next_addr == NULL) {
        connect_failed(s);
        return;
    }
    s->tcp_usable = false;
    uv_close((uv_handle_t *)&s->tcp, on_retry_closed_cb);
}

static void on_connect_cb(uv_connect_t *req, int status)
{
    struct tz_stream *s = req->data;
    if (s->state != CONNECTING)
        return;
    if (status < 0) {
        try_another(s, status);
        return;
    }
    struct tz_err err = {0};
    if (start_tls(s, &err) != 0)
        end_with(s, &err, false);
}

static void connect_next(struct tz_stream *s)
{
    const struct addrinfo *a = s->next_addr;
    s->next_addr = a->ai_next;
    int rc = tcp_init(s);
    if (rc < 0) {
        s->connect_rc = rc;
        connect_failed(s);
        return;
    }
    s->connect.data = s;
    rc = uv_tcp_connect(&s->connect, &s->tcp, a->ai_addr, on_connect_cb);
    if (rc < 0)
        try_another(s, rc);
}

static void on_resolved_cb(uv_getaddrinfo_t *req, int status, struct addrinfo *res)
{
    struct tz_stream *s = req->data;
    s->resolving = false;
    s->addrs = res;
    s->next_addr = res;
    if (s->state != CONNECTING) {
        finish_if_done(s);
    } else if (status < 0 || res == NULL) {
        s->connect_rc = status < 0 ? status : UV_EAI_NONAME;
        connect_failed(s);
    } else {
        connect_next(s);
    }
}

int tz_stream_connect(struct uv_loop_s *loop, const struct tz_tls_config *tls, const char *host, uint16_t port,
                      const struct tz_stream_opts *opts, const struct tz_stream_cb *cb, void *ctx,
                      struct tz_stream **out, struct tz_err *err)
{
    *out = NULL;
    struct tz_stream *s = stream_new(loop, tls, opts, cb, ctx);
    if (s == NULL)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    struct tz_addr addr = {.port = port};
    char service[8];
    (void)snprintf(addr.host, sizeof addr.host, "%s", host);
    (void)tz_addr_print(&addr, s->target, sizeof s->target);
    (void)snprintf(service, sizeof service, "%u", (unsigned)port);
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    s->resolve.data = s;
    int rc = uv_getaddrinfo(loop, &s->resolve, on_resolved_cb, host, service, &hints);
    if (rc < 0) {
        rc = tz_err_from_uv_connect(err, rc, s->target);
        kill_stream(s);
        return rc;
    }
    s->resolving = true;
    s->started = true;
    *out = s;
    return 0;
}

/* ---- the owner's end ---- */

void tz_stream_close(struct tz_stream *s, int reason)
{
    end_code(s, reason, NULL, true);
}

void tz_stream_abort(struct tz_stream *s, int reason)
{
    end_code(s, reason, NULL, false);
}

const char *tz_stream_remote(const struct tz_stream *s)
{
    return s->remote;
}
