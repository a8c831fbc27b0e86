/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_EXEC_H
#define TZ_EXEC_H

/*
 * Where jobs run: one writer thread that owns the write connection and commits groups, and one or more reader threads
 * with read-only connections of their own. All functions and callbacks belong to the loop's thread.
 */

#include "admin.h"
#include "control.h"
#include "metrics.h"
#include "session.h"

struct uv_loop_s;
struct tz_exec;

/** One administrator's change on its way through the writer. */
struct tz_admin_job;

struct tz_exec_cb {
    /** A job came back, settled: hand it to its session, or free it when that is gone. */
    void (*sjob_done)(void *ctx, struct tz_sjob *job);
    /** @out: reply or error for whoever asked as @token. The reply is the callee's. */
    void (*admin_done)(void *ctx, struct tz_control_token token, struct tz_admin_outcome *out,
                       const struct tz_err *err);
    void (*stopped)(void *ctx);
};

struct tz_exec_options {
    const char *path;                     /**< of the database; borrowed for the call */
    const struct tz_store_options *store; /**< borrowed for the call, what it points to for longer */
    unsigned readers;
    const struct tz_admin_env *env; /**< borrowed */
    struct tz_metrics *metrics;     /**< borrowed */
};

/**
 * Open the stores (blocking: before the loop runs) and start the threads. On an error nothing is left, but the loop
 * must turn once more. After TZ_E_DB_FSYNC in the writer the process ends at once with exit code 1: nothing it could
 * still do is safe.
 */
TZ_MUST_USE int tz_exec_start(struct uv_loop_s *loop, const struct tz_exec_options *o, const struct tz_exec_cb *cb,
                              void *ctx, struct tz_exec **out, struct tz_err *err);
/** Takes @job on success. TZ_E_TOO_MANY, TZ_E_DRAINING: the job stays the caller's. */
TZ_MUST_USE int tz_exec_submit(struct tz_exec *e, struct tz_sjob *job);
/** Takes @request in any case; the answer comes through admin_done unless this returns an error. */
TZ_MUST_USE int tz_exec_admin(struct tz_exec *e, json_t *request, struct tz_control_token token);
uint32_t tz_exec_writer_pending(const struct tz_exec *e);
uint32_t tz_exec_reader_pending(const struct tz_exec *e);
/** Newest durable version. */
tz_ver tz_exec_head(const struct tz_exec *e);
/** End of the recovery window of the newest restore, by the server's wall clock; 0: none, or closed by hand. */
int64_t tz_exec_recovery_until(const struct tz_exec *e);
/** Runs what is queued, gives it back, empties the WAL, closes the stores, then cb.stopped; @e is gone after it. Once.
 */
void tz_exec_stop(struct tz_exec *e);

#endif
