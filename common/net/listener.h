/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_LISTENER_H
#define TZ_LISTENER_H

/* A listening TCP socket on "ADDR:PORT" with a cap on what it lets in. Belongs to its loop's thread. */

#include "err.h"

struct uv_loop_s;
struct uv_stream_s;
struct tz_listener;

struct tz_listener_cb {
    /** A connection waits: take it with tz_stream_accept(…, @server, …). If it is not taken, it is closed. */
    void (*on_accept)(void *ctx, struct uv_stream_s *server);
    /** How many connections the owner holds now; at connections_max a new one is accepted and closed at once. */
    size_t (*count)(void *ctx);
};

/**
 * Bind and listen. @address is a number, not a name: "127.0.0.1:7700", "[::]:7700"; port 0 takes a free one. @cb is
 * copied. TZ_E_ADDRESS, TZ_E_NOMEM.
 */
TZ_MUST_USE int tz_listener_start(struct uv_loop_s *loop, const char *address, size_t connections_max,
                                  const struct tz_listener_cb *cb, void *ctx, struct tz_listener **out,
                                  struct tz_err *err);
uint16_t tz_listener_port(const struct tz_listener *l);
/** Connections turned away at the cap. */
uint64_t tz_listener_refused(const struct tz_listener *l);
/** Close; @on_stopped (may be NULL) runs later on the loop, and @l is gone then. Call once. */
void tz_listener_stop(struct tz_listener *l, void (*on_stopped)(void *ctx), void *ctx);

#endif
