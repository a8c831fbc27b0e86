/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_CONN_H
#define TZ_CONN_H

/*
 * The shell around sync.h: connects, gives the state machine frames, timers and a thread with the office, and connects
 * again.
 *
 *   start ──> CONNECTING ──on_open──> UP ──end──> WAITING (backoff) ──> CONNECTING …      any ──stop──> STOPPING ──> gone
 *                                      └─ an error that only a person can mend, or retry off: DOWN
 *
 * All functions belong to the loop's thread. The office belongs to the connection's own thread from start until
 * on_stopped: reach it through tz_conn_call.
 */

#include "sync.h"

struct uv_loop_s;
struct tz_conn;

enum tz_conn_state {
    TZ_CONN_CONNECTING, /* name look-up to the end of the handshake */
    TZ_CONN_UP,         /* the session runs */
    TZ_CONN_CLOSING,    /* the session ended, its stream not yet */
    TZ_CONN_WAITING,    /* until the next attempt */
    TZ_CONN_DOWN,       /* no further attempt by itself */
    TZ_CONN_STOPPING,
};

struct tz_conn_cb {
    /** Something moved in the session; may be NULL. */
    void (*on_event)(void *ctx, enum tz_sync_event e);
    /** A session or an attempt ended; @final: there will be no other one. May be NULL. */
    void (*on_end)(void *ctx, const struct tz_err *err, bool final);
    /** After tz_conn_stop: last callback; the office is the owner's again and the connection is gone. */
    void (*on_stopped)(void *ctx);
    void *ctx;
};

struct tz_conn_options {
    struct uv_loop_s *loop;
    struct tz_office *office; /* borrowed until on_stopped */
    const char *dir;          /* keys and certificates are read at start; borrowed for the call */
    const char *software;     /* borrowed until on_stopped */
    bool retry;               /* connect again after errors that pass */
};

/** TZ_E_NOT_ENROLLED without key or certificates, TZ_E_ADDRESS, TZ_E_TLS, TZ_E_NOMEM. On error no callback comes. */
TZ_MUST_USE int tz_conn_start(const struct tz_conn_options *opt, const struct tz_conn_cb *cb, struct tz_conn **out,
                              struct tz_err *err);
/** Asynchronous, idempotent. Jobs under way are finished. */
void tz_conn_stop(struct tz_conn *c);
/** Somebody saved: look into the outbox; when waiting for the next attempt, leave it at that. */
void tz_conn_poke(struct tz_conn *c);
/** A fresh session, now: its TZ_SYNC_CAUGHT_UP covers everything saved before this call. Not while STOPPING. */
void tz_conn_renew(struct tz_conn *c);
/** Run @run with the office on its thread, then @done on the loop. TZ_E_NOMEM, TZ_E_TOO_MANY: nothing happens. */
TZ_MUST_USE int tz_conn_call(struct tz_conn *c, void (*run)(void *ctx, struct tz_office *o), void (*done)(void *ctx),
                             void *ctx);

enum tz_conn_state tz_conn_state(const struct tz_conn *c);
/** The running session, NULL when there is none. Do not stop or free it. */
struct tz_sync *tz_conn_sync(struct tz_conn *c);
/** Counters of the running session, else of the last one. */
const struct tz_sync_counters *tz_conn_counters(const struct tz_conn *c);
/** How the last session ended; code 0: there was none, or it was ended from here. */
const struct tz_err *tz_conn_error(const struct tz_conn *c);
/** Does trying again later help with @code? @from_server: the server said it. */
bool tz_conn_passes(int code, bool from_server);

#endif
