/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_DBTHREAD_H
#define TZ_DBTHREAD_H

/*
 * One thread that owns a connection: jobs go in from a loop, run in order, and come back on that loop.
 *
 * The thread takes everything queued at once, so that the group in one transaction (one fsync) is whatever came in
 * during the last one. Start, submit and stop belong to the loop's thread; run_batch and finish run on this thread and
 * nothing else does.
 */

#include "err.h"

#include <uv.h>

/** Embed in the job's own struct. @next belongs to the thread from submit until done; run_batch walks it. */
struct tz_job {
    struct tz_job *next;
};

struct tz_dbthread_ops {
    /** On the thread: jobs in the order they were submitted, at least one, linked by @next (borrowed, leave the links
     * alone). */
    void (*run_batch)(void *ctx, struct tz_job *head);
    /** On the loop, once per job, in order: the job is the owner's again (and may be freed or submitted anew). */
    void (*done)(void *ctx, struct tz_job *job);
    /** On the thread, after the last batch, for example to close the connection. May be NULL. */
    void (*finish)(void *ctx);
};

struct tz_dbthread;
typedef void (*tz_dbthread_stopped_cb)(void *data);

/**
 * @ops and @ctx are borrowed until stopped. @jobs_max bounds jobs submitted and not yet done; @batch_max those of one
 * batch. TZ_E_NOMEM; TZ_E_INTERNAL with libuv's text (then the loop must turn once more before it is closed).
 */
TZ_MUST_USE int tz_dbthread_start(uv_loop_t *loop, const struct tz_dbthread_ops *ops, void *ctx, uint32_t jobs_max,
                                  uint32_t batch_max, struct tz_dbthread **out, struct tz_err *err);
/** Takes @job on success. TZ_E_TOO_MANY when jobs_max are under way, TZ_E_DRAINING after stop: @job stays the caller's.
 */
TZ_MUST_USE int tz_dbthread_submit(struct tz_dbthread *t, struct tz_job *job);
/** Jobs submitted and not yet done. */
uint32_t tz_dbthread_pending(const struct tz_dbthread *t);
/**
 * Asynchronous: runs what is queued, gives every job back through done, ends the thread, then calls @stopped (may be
 * NULL) on the loop; @t is freed after it. Once only; may be called from done.
 */
void tz_dbthread_stop(struct tz_dbthread *t, tz_dbthread_stopped_cb stopped, void *data);

#endif
