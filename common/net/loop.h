/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_LOOP_H
#define TZ_LOOP_H

/* The event loop of a program: set-up, SIGTERM and SIGINT as a callback, a clean end. One per thread that needs one. */

#include "err.h"

struct uv_loop_s;
struct tz_loop;

/** @signum is SIGTERM or SIGINT; called on the loop, each time one arrives. */
typedef void tz_loop_signal_cb(void *ctx, int signum);

/**
 * Make a loop. With @cb the two signals are caught (only one loop of a process should); without, they keep their
 * effect. SIGPIPE is ignored in the whole process from here on. Waiting for signals alone does not keep the loop
 * running.
 */
TZ_MUST_USE int tz_loop_new(tz_loop_signal_cb *cb, void *ctx, struct tz_loop **out, struct tz_err *err);
struct uv_loop_s *tz_loop_uv(struct tz_loop *l);
/** Run until nothing is active. */
void tz_loop_run(struct tz_loop *l);
/** Frees; NULL is allowed. Everything on the loop must have been closed: otherwise uv_loop_close is not 0 and the
 * program aborts. */
void tz_loop_free(struct tz_loop *l);

#endif
