/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_AGENT_H
#define TZ_AGENT_H

/*
 * The agent: holds the sync lease and a live session, comes back after every loss, and answers requests on
 * DIR/agent.sock:
 *
 *   poke     ok                            somebody saved
 *   status   {"connected": …, "state": …, "pid": …, "error": …}
 *   sync     a report (round.h) when everything saved before the request is judged, or {"error": …}
 *   verify, verify-only
 *            a report with "verify", or {"error": …}; the latter puts nothing right
 *   history TYPE ID FIELD BEFORE (numbers, ID in hex)
 *            {"page": …} a History body in base64, from the session that there is, or {"error": …}
 *   stop     ok
 *
 * {"error": {"code": n, "args": […]}} carries a number of errors.def.
 */

#include "round.h"

struct tz_agent_options {
    const char *dir;
    struct tz_office *office; /* borrowed for the call; used on another thread meanwhile */
    const char *software;
    void (*on_ready)(void *ctx);                         /* listening; the first attempt begins */
    void (*on_end)(void *ctx, const struct tz_err *err); /* a session ended and will be tried again; may be NULL */
    void *ctx;
};

/**
 * Runs until SIGTERM, SIGINT or "stop" (0), or until an error that only a person can mend: TZ_E_REVOKED and its like.
 * TZ_E_LEASE when another program is syncing.
 */
TZ_MUST_USE int tz_agent_run(const struct tz_agent_options *opt, struct tz_err *err);

/** Ask the agent of @dir. TZ_E_NOT_FOUND when none runs; the error it reports; else *@out is its reply, owned by the
 * caller. */
TZ_MUST_USE int tz_agent_ask(const char *dir, const char *request, uint32_t timeout_ms, json_t **out,
                             struct tz_err *err);

#endif
