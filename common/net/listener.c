/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accepting. Above the cap a connection is taken off the backlog and closed, so that peers learn at once instead of
 * waiting in a queue that nobody serves. The same happens when the owner does not take one: libuv stops listening while
 * a connection waits. Which peers may talk is not decided here; that is TLS and the session.
 */
#include "listener.h"

#include "addr.h"
#include "uverr.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <uv.h>

enum { BACKLOG = 128 };

struct tz_listener {
    uv_tcp_t tcp;
    struct tz_listener_cb cb;
    void *ctx;
    size_t connections_max;
    uint64_t refused;
    uint16_t port;
    void (*on_stopped)(void *ctx);
    void *stopped_ctx;
};

static void free_handle_cb(uv_handle_t *h)
{
    free(h);
}

/* uv_accept fails with EAGAIN when the owner took the connection already; then there is nothing to turn away. */
static bool turn_away(struct tz_listener *l)
{
    uv_tcp_t *tcp = calloc(1, sizeof *tcp);
    if (tcp == NULL)
        return false;
    if (uv_tcp_init(l->tcp.loop, tcp) < 0) {
        free(tcp);
        return false;
    }
    bool waited = uv_accept((uv_stream_t *)&l->tcp, (uv_stream_t *)tcp) == 0;
    uv_close((uv_handle_t *)tcp, free_handle_cb);
    return waited;
}

static void on_connection_cb(uv_stream_t *server, int status)
{
    struct tz_listener *l = server->data;
    if (status < 0)
        return; /* the peer left, or descriptors ran out: the listener lives on */
    if (l->cb.count(l->ctx) < l->connections_max)
        l->cb.on_accept(l->ctx, server);
    if (!uv_is_closing((uv_handle_t *)server) && turn_away(l)) /* finds nothing when the owner took it */
        l->refused++;
}

static int bind_to(struct tz_listener *l, const struct tz_addr *a)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    const struct sockaddr *sa = NULL;
    if (uv_ip4_addr(a->host, a->port, &v4) == 0)
        sa = (const struct sockaddr *)&v4;
    else if (uv_ip6_addr(a->host, a->port, &v6) == 0)
        sa = (const struct sockaddr *)&v6;
    return sa != NULL ? uv_tcp_bind(&l->tcp, sa, 0) : UV_EINVAL;
}

static int read_port(struct tz_listener *l)
{
    struct sockaddr_storage sa = {0};
    int n = (int)sizeof sa;
    int rc = uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&sa, &n);
    if (rc == 0 && sa.ss_family == AF_INET)
        l->port = ntohs(((const struct sockaddr_in *)(const void *)&sa)->sin_port);
    else if (rc == 0)
        l->port = ntohs(((const struct sockaddr_in6 *)(const void *)&sa)->sin6_port);
    return rc;
}

static void on_closed_cb(uv_handle_t *h)
{
    struct tz_listener *l = h->data;
    if (l->on_stopped != NULL)
        l->on_stopped(l->stopped_ctx);
    free(l);
}

int tz_listener_start(struct uv_loop_s *loop, const char *address, size_t connections_max,
                      const struct tz_listener_cb *cb, void *ctx, struct tz_listener **out, struct tz_err *err)
{
    *out = NULL;
    struct tz_addr addr;
    int rc = tz_addr_parse(address, &addr, err);
    if (rc != 0)
        return rc;
    struct tz_listener *l = calloc(1, sizeof *l);
    if (l == NULL)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    l->cb = *cb;
    l->ctx = ctx;
    l->connections_max = connections_max;
    if ((rc = uv_tcp_init(loop, &l->tcp)) < 0) {
        free(l);
        return tz_err_from_uv_bind(err, rc, address);
    }
    l->tcp.data = l;
    rc = bind_to(l, &addr);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&l->tcp, BACKLOG, on_connection_cb);
    if (rc == 0)
        rc = read_port(l);
    if (rc < 0) {
        uv_close((uv_handle_t *)&l->tcp, on_closed_cb);
        return tz_err_from_uv_bind(err, rc, address);
    }
    *out = l;
    return 0;
}

uint16_t tz_listener_port(const struct tz_listener *l)
{
    return l->port;
}

uint64_t tz_listener_refused(const struct tz_listener *l)
{
    return l->refused;
}

void tz_listener_stop(struct tz_listener *l, void (*on_stopped)(void *ctx), void *ctx)
{
    l->on_stopped = on_stopped;
    l->stopped_ctx = ctx;
    uv_close((uv_handle_t *)&l->tcp, on_closed_cb);
}
