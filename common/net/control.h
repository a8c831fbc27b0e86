/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_CONTROL_H
#define TZ_CONTROL_H

/*
 * Questions to a running program of the same user, over a unix socket (mode 0600): one request line, one reply, then
 * the end.
 *
 *   asker     request, without newline, at most 4 KiB, then "\n"
 *             (and stays; an asker that ends its sending side has left)
 *   program   reply, at most 1 MiB, then "\n" and EOF; a reply that does not end so was cut off
 */

#include "buf.h"

enum { TZ_CONTROL_LINE_MAX = 4 * 1024, TZ_CONTROL_REPLY_MAX = 1024 * 1024, TZ_CONTROL_ASKERS_MAX = 16 };

struct uv_loop_s;
struct tz_control;

/** Names one question; it stays good after its asker left, replying then does nothing. */
struct tz_control_token {
    uint64_t id;
};

/** @line is borrowed. Answer with tz_control_reply, during this call or any time later, once. */
typedef void tz_control_request_cb(void *ctx, const char *line, struct tz_control_token token);

/**
 * Serve @path. A socket file that nobody listens on is removed; TZ_E_ADDRESS when somebody does, or when something else
 * lies there. Long paths are fine. Belongs to the loop's thread.
 */
TZ_MUST_USE int tz_control_listen(struct uv_loop_s *loop, const char *path, tz_control_request_cb *cb, void *ctx,
                                  struct tz_control **out, struct tz_err *err);
/** Send the reply (copies) and end that connection. TZ_E_LIMIT over 1 MiB: the asker is then hung up on. TZ_E_NOMEM
 * likewise. */
TZ_MUST_USE int tz_control_reply(struct tz_control *c, struct tz_control_token token, struct tz_bytes reply);
/** Remove the socket file, hang up on all; @on_stopped (may be NULL) runs later on the loop and @c is gone then. Call
 * once. */
void tz_control_stop(struct tz_control *c, void (*on_stopped)(void *ctx), void *ctx);

/**
 * Ask and wait; blocks, for programs without a loop. Appends the reply without its newline to @reply.
 * TZ_E_NOT_FOUND when nobody listens, TZ_E_TIMEOUT, TZ_E_GONE (cut off), TZ_E_LIMIT, TZ_E_IO.
 */
TZ_MUST_USE int tz_control_ask(const char *path, const char *request, struct tz_buf *reply, uint32_t timeout_ms,
                               struct tz_err *err);

#endif
