/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_REQUEST_H
#define TZ_REQUEST_H

/* A round, whoever does it: this process, or the agent that holds the folder's lease. */

#include "agent.h"

/**
 * As tz_round_run; when the lease is taken, asks the agent, and when no agent answers, waits for the lease for a while
 * before TZ_E_LEASE.
 */
TZ_MUST_USE int tz_request_round(const struct tz_round_options *opt, struct tz_round_report *r, struct tz_err *err);

/**
 * The server's history of a record into @pages (empty before; tz_pages_free after, also on error): after a round of
 * one's own, or from the agent's session. Errors as tz_request_round.
 */
TZ_MUST_USE int tz_request_history(const struct tz_round_options *opt, const struct tz_msg_history_ask *ask,
                                   struct tz_pages *pages, struct tz_err *err);

#endif
