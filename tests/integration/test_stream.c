/* SPDX-License-Identifier: Apache-2.0 */
/* Streams over loopback on a real loop, ephemeral ports; every test ends with an empty loop (tz_loop_free aborts
 * otherwise).
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "listener.h"
#include "loop.h"
#include "stream.h"

#include "pki_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

static struct pki_fixture pki;
static struct tz_tls_config *server_tls, *client_tls;

struct world;

struct end {
    struct world *w;
    struct tz_stream *s;
    unsigned opened, frames, drained, closed;
    size_t body_bytes;
    int reason;
    struct tz_err err;
};

struct world {
    struct tz_loop *loop;
    struct tz_listener *listener;
    struct end server, client;
    struct tz_stream_opts server_opts, client_opts;
    size_t connections_max;
    unsigned accepted;
    bool echo;
    void (*on_server_open)(struct world *w);
    void (*on_client_open)(struct world *w);
    void (*on_client_frame)(struct world *w, const struct tz_frame *f);
    void (*on_server_frame)(struct world *w, const struct tz_frame *f);
    void (*on_drain)(struct world *w);
};

static void on_open(void *ctx, const struct tz_tls_peer *peer)
{
    struct end *e = ctx;
    assert_int_equal(peer->alpn, TZ_TLS_ALPN_SESSION);
    assert_int_equal(e->closed, 0);
    e->opened++;
    void (*then)(struct world *) = e == &e->w->server ? e->w->on_server_open : e->w->on_client_open;
    if (then != NULL)
        then(e->w);
}

static void on_frame(void *ctx, const struct tz_frame *f)
{
    struct end *e = ctx;
    assert_int_equal(e->opened, 1);
    assert_int_equal(e->closed, 0);
    e->frames++;
    e->body_bytes += f->body.n;
    if (e == &e->w->server && e->w->echo)
        assert_int_equal(tz_stream_send(e->s, f->type, f->lane, f->body), 0);
    if (e == &e->w->server && e->w->on_server_frame != NULL)
        e->w->on_server_frame(e->w, f);
    if (e == &e->w->client && e->w->on_client_frame != NULL)
        e->w->on_client_frame(e->w, f);
}

static void on_drain(void *ctx)
{
    struct end *e = ctx;
    e->drained++;
    if (e->w->on_drain != NULL)
        e->w->on_drain(e->w);
}

static void on_close(void *ctx, int reason, const struct tz_err *err)
{
    struct end *e = ctx;
    assert_int_equal(reason, err->code);
    e->closed++;
    e->reason = reason;
    e->err = *err;
    e->s = NULL;
    if (e == &e->w->server && e->w->listener != NULL) {
        tz_listener_stop(e->w->listener, NULL, NULL);
        e->w->listener = NULL;
    }
}

static const struct tz_stream_cb callbacks = {
    .on_open = on_open, .on_frame = on_frame, .on_drain = on_drain, .on_close = on_close};

static void on_accept(void *ctx, struct uv_stream_s *server)
{
    struct world *w = ctx;
    w->accepted++;
    assert_int_equal(tz_stream_accept(tz_loop_uv(w->loop), server_tls, server, &w->server_opts, &callbacks, &w->server,
                                      &w->server.s, NULL),
                     0);
}

static size_t count(void *ctx)
{
    const struct world *w = ctx;
    return w->server.s != NULL ? 1 : 0;
}

static const struct tz_listener_cb listener_callbacks = {.on_accept = on_accept, .count = count};

static void world_init(struct world *w)
{
    *w = (struct world){.connections_max = 1};
    w->server.w = w;
    w->client.w = w;
    w->client_opts.close_ms = w->server_opts.close_ms = 300;
}

static void world_listen(struct world *w)
{
    struct tz_err err = {0};
    assert_int_equal(tz_loop_new(NULL, NULL, &w->loop, &err), 0);
    assert_int_equal(tz_listener_start(tz_loop_uv(w->loop), "127.0.0.1:0", w->connections_max, &listener_callbacks, w,
                                       &w->listener, &err),
                     0);
    assert_int_not_equal(tz_listener_port(w->listener), 0);
}

static void connect_client(struct world *w)
{
    assert_int_equal(tz_stream_connect(tz_loop_uv(w->loop), client_tls, "127.0.0.1", tz_listener_port(w->listener),
                                       &w->client_opts, &callbacks, &w->client, &w->client.s, NULL),
                     0);
}

static void world_run(struct world *w)
{
    world_listen(w);
    connect_client(w);
    tz_loop_run(w->loop);
    tz_loop_free(w->loop);
    assert_int_equal(w->client.closed, 1);
    assert_int_equal(w->server.closed, 1);
}

/* A plain TCP client that says @text, or nothing, and waits until it is hung up on. */
struct plain {
    uv_tcp_t tcp;
    uv_connect_t connect;
    const char *text;
    bool ended;
};

static void plain_alloc(uv_handle_t *h, size_t n, uv_buf_t *buf)
{
    static char sink[4096];
    (void)h, (void)n;
    *buf = uv_buf_init(sink, sizeof sink);
}

static void plain_read(uv_stream_t *h, ssize_t n, const uv_buf_t *buf)
{
    struct plain *p = h->data;
    (void)buf;
    if (n < 0 && !p->ended) {
        p->ended = true;
        uv_close((uv_handle_t *)h, NULL);
    }
}

static void plain_connected(uv_connect_t *req, int status)
{
    struct plain *p = req->data;
    assert_int_equal(status, 0);
    if (p->text != NULL) {
        uv_buf_t buf = uv_buf_init((char *)(uintptr_t)p->text, (unsigned)strlen(p->text));
        assert_int_equal(uv_try_write((uv_stream_t *)&p->tcp, &buf, 1), (int)buf.len);
    }
    assert_int_equal(uv_read_start((uv_stream_t *)&p->tcp, plain_alloc, plain_read), 0);
}

static void plain_start(struct plain *p, struct world *w)
{
    struct sockaddr_in sa;
    assert_int_equal(uv_ip4_addr("127.0.0.1", tz_listener_port(w->listener), &sa), 0);
    assert_int_equal(uv_tcp_init(tz_loop_uv(w->loop), &p->tcp), 0);
    p->tcp.data = p;
    p->connect.data = p;
    assert_int_equal(uv_tcp_connect(&p->connect, &p->tcp, (const struct sockaddr *)&sa, plain_connected), 0);
}

static void expect_plain_end(struct world *w, const char *text, int reason)
{
    struct plain p = {.text = text};
    world_listen(w);
    plain_start(&p, w);
    tz_loop_run(w->loop);
    tz_loop_free(w->loop);
    assert_true(p.ended);
    assert_int_equal(w->server.closed, 1);
    assert_int_equal(w->server.opened, 0);
    assert_int_equal(w->server.reason, reason);
}

/* ---- tests ---- */

enum { ECHOES = 500 };

static void send_echoes(struct world *w)
{
    uint8_t body[1000];
    memset(body, 'e', sizeof body);
    for (unsigned i = 0; i < ECHOES; i++)
        assert_int_equal(tz_stream_send(w->client.s, 9, (uint16_t)i, tz_bytes_of(body, i * 2)), 0);
}

static void check_echo(struct world *w, const struct tz_frame *f)
{
    assert_int_equal(f->type, 9);
    assert_int_equal(f->lane, w->client.frames - 1);
    assert_int_equal(f->body.n, (size_t)f->lane * 2);
    if (w->client.frames == ECHOES)
        tz_stream_close(w->client.s, 0);
}

static void frames_are_echoed_in_order_and_both_ends_close_cleanly(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    w.echo = true;
    w.server_opts.frames_per_turn = 7;
    w.on_client_open = send_echoes;
    w.on_client_frame = check_echo;
    world_run(&w);
    assert_int_equal(w.client.frames, ECHOES);
    assert_int_equal(w.client.reason, 0);
    assert_int_equal(w.server.reason, 0);
}

enum { BULK_FRAMES = 400, BULK_BODY = 64 * 1024 };
static unsigned bulk_sent;

static void send_bulk(struct world *w)
{
    static const uint8_t body[BULK_BODY];
    while (bulk_sent < BULK_FRAMES && tz_stream_writable(w->server.s)) {
        assert_int_equal(tz_stream_send(w->server.s, 1, 0, tz_bytes_of(body, sizeof body)), 0);
        bulk_sent++;
    }
    assert_in_range(tz_stream_queued(w->server.s), 0, 1024 * 1024 + 2 * BULK_BODY);
}

static void raise_limit(struct world *w)
{
    tz_stream_limit(w->client.s, TZ_FRAME_BODY_MAX);
}

static void close_timer_cb(uv_handle_t *h)
{
    free(h);
}

static void resume_cb(uv_timer_t *t)
{
    struct world *w = t->data;
    if (w->client.s != NULL)
        tz_stream_resume(w->client.s);
    uv_close((uv_handle_t *)t, close_timer_cb);
}

static void pause_now_and_then(struct world *w, const struct tz_frame *f)
{
    assert_int_equal(f->body.n, BULK_BODY);
    if (w->client.frames == BULK_FRAMES) {
        tz_stream_close(w->client.s, 0);
    } else if (w->client.frames % 100 == 0) {
        uv_timer_t *t = calloc(1, sizeof *t);
        tz_stream_pause(w->client.s);
        assert_int_equal(uv_timer_init(tz_loop_uv(w->loop), t), 0);
        t->data = w;
        assert_int_equal(uv_timer_start(t, resume_cb, 20, 0), 0);
    }
}

static void slow_reader_holds_the_sender_at_the_high_mark(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    bulk_sent = 0;
    w.on_client_open = raise_limit;
    w.on_server_open = send_bulk;
    w.on_drain = send_bulk;
    w.on_client_frame = pause_now_and_then;
    world_run(&w);
    assert_int_equal(w.client.frames, BULK_FRAMES);
    assert_true(w.server.drained > 0);
    assert_int_equal(w.client.reason, 0);
}

static void send_past_the_queue(struct world *w)
{
    uint8_t body[4096] = {0};
    assert_int_equal(tz_stream_send(w->client.s, 1, 0, tz_bytes_of(body, sizeof body)), TZ_E_LIMIT);
    assert_int_equal(tz_stream_send(w->client.s, 1, 0, tz_bytes_of(body, 100)), 0);
    tz_stream_close(w->client.s, TZ_E_DRAINING);
    assert_int_equal(tz_stream_send(w->client.s, 1, 0, tz_bytes_of(body, 1)), TZ_E_GONE);
    tz_stream_close(w->client.s, TZ_E_INTERNAL);
}

static void full_queue_refuses_and_close_still_delivers(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    w.client_opts.queue_bytes_max = 2048;
    w.on_client_open = send_past_the_queue;
    world_run(&w);
    assert_int_equal(w.server.frames, 1);
    assert_int_equal(w.client.reason, TZ_E_DRAINING);
    assert_int_equal(w.server.reason, 0);
}

static void silent_peer_meets_the_handshake_deadline(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    w.server_opts.handshake_ms = 100;
    expect_plain_end(&w, NULL, TZ_E_TIMEOUT);
}

static void garbage_ends_with_a_tls_error(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    expect_plain_end(&w, "GET / HTTP/1.1\r\nHost: taizhang\r\n\r\n", TZ_E_TLS);
}

static void send_oversized(struct world *w)
{
    uint8_t body[TZ_FRAME_BODY_MAX_ANON + 1] = {0};
    assert_int_equal(tz_stream_send(w->client.s, 1, 0, tz_bytes_of(body, sizeof body)), 0);
}

static void oversized_frame_closes(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    w.on_client_open = send_oversized;
    world_run(&w);
    assert_int_equal(w.server.frames, 0);
    assert_int_equal(w.server.reason, TZ_E_LIMIT);
    assert_int_equal(w.client.reason, 0);
}

static void abort_client(struct world *w)
{
    tz_stream_abort(w->client.s, TZ_E_INTERRUPTED);
}

static void abort_is_gone_for_the_peer(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    w.on_client_open = abort_client;
    world_run(&w);
    assert_int_equal(w.client.reason, TZ_E_INTERRUPTED);
    assert_int_equal(w.server.reason, TZ_E_GONE);
}

static void idle_stream_times_out(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    w.server_opts.idle_ms = 100;
    world_run(&w);
    assert_int_equal(w.server.reason, TZ_E_TIMEOUT);
    assert_int_equal(w.client.reason, 0);
}

static void connection_over_the_cap_is_hung_up_on(void **state)
{
    (void)state;
    struct world w;
    struct plain p = {.text = NULL};
    world_init(&w);
    w.connections_max = 0;
    world_listen(&w);
    plain_start(&p, &w);
    while (!p.ended)
        (void)uv_run(tz_loop_uv(w.loop), UV_RUN_ONCE);
    assert_int_equal(w.accepted, 0);
    assert_int_equal(tz_listener_refused(w.listener), 1);
    tz_listener_stop(w.listener, NULL, NULL);
    tz_loop_free(w.loop);
}

static void nobody_listening_is_unreachable(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    world_listen(&w);
    uint16_t port = tz_listener_port(w.listener);
    tz_listener_stop(w.listener, NULL, NULL);
    w.listener = NULL;
    tz_loop_run(w.loop);
    assert_int_equal(tz_stream_connect(tz_loop_uv(w.loop), client_tls, "localhost", port, NULL, &callbacks, &w.client,
                                       &w.client.s, NULL),
                     0);
    tz_loop_run(w.loop);
    tz_loop_free(w.loop);
    assert_int_equal(w.client.closed, 1);
    assert_int_equal(w.client.reason, TZ_E_UNREACHABLE);
}

static void closing_during_the_look_up_is_clean(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    assert_int_equal(tz_loop_new(NULL, NULL, &w.loop, NULL), 0);
    assert_int_equal(tz_stream_connect(tz_loop_uv(w.loop), client_tls, "localhost", 1, NULL, &callbacks, &w.client,
                                       &w.client.s, NULL),
                     0);
    tz_stream_close(w.client.s, TZ_E_INTERRUPTED);
    assert_int_equal(w.client.closed, 0);
    tz_loop_run(w.loop);
    tz_loop_free(w.loop);
    assert_int_equal(w.client.closed, 1);
    assert_int_equal(w.client.reason, TZ_E_INTERRUPTED);
}

static void address_in_use_is_reported(void **state)
{
    (void)state;
    struct world w;
    struct tz_listener *second = NULL;
    char address[32];
    world_init(&w);
    world_listen(&w);
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", (unsigned)tz_listener_port(w.listener));
    assert_int_equal(tz_listener_start(tz_loop_uv(w.loop), address, 1, &listener_callbacks, &w, &second, NULL),
                     TZ_E_ADDRESS);
    assert_int_equal(tz_listener_start(tz_loop_uv(w.loop), "nonsense", 1, &listener_callbacks, &w, &second, NULL),
                     TZ_E_ADDRESS);
    tz_listener_stop(w.listener, NULL, NULL);
    tz_loop_free(w.loop);
}

static int setup(void **state)
{
    (void)state;
    pki_fixture_init(&pki);
    const struct tz_tls_server_opts server = {.ca_cert = tz_buf_unread(&pki.ca_cert),
                                              .cert = tz_buf_unread(&pki.server_cert),
                                              .key = tz_buf_unread(&pki.server_key)};
    const struct tz_tls_client_opts client = {.alpn = TZ_TLS_ALPN_SESSION,
                                              .cert = tz_buf_unread(&pki.device_cert),
                                              .key = tz_buf_unread(&pki.device_key),
                                              .ca_cert = tz_buf_unread(&pki.ca_cert)};
    int rc = tz_tls_config_server(&server, &server_tls, NULL);
    return rc != 0 ? rc : tz_tls_config_client(&client, &client_tls, NULL);
}

static int teardown(void **state)
{
    (void)state;
    tz_tls_config_free(server_tls);
    tz_tls_config_free(client_tls);
    pki_fixture_deinit(&pki);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_echoed_in_order_and_both_ends_close_cleanly),
        cmocka_unit_test(slow_reader_holds_the_sender_at_the_high_mark),
        cmocka_unit_test(full_queue_refuses_and_close_still_delivers),
        cmocka_unit_test(silent_peer_meets_the_handshake_deadline),
        cmocka_unit_test(garbage_ends_with_a_tls_error),
        cmocka_unit_test(oversized_frame_closes),
        cmocka_unit_test(abort_is_gone_for_the_peer),
        cmocka_unit_test(idle_stream_times_out),
        cmocka_unit_test(connection_over_the_cap_is_hung_up_on),
        cmocka_unit_test(nobody_listening_is_unreachable),
        cmocka_unit_test(closing_during_the_look_up_is_clean),
        cmocka_unit_test(address_in_use_is_reported),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
