/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_JOIN_H
#define TZ_JOIN_H

/*
 * Enrolment of one data folder, once (proto/README.md 3). Blocks; runs a loop of its own.
 */

#include "office.h"

struct tz_join_options {
    const char *dir;
    const char *code;                     /* the invitation, as it was pasted */
    const struct tz_catalogue *catalogue; /* borrowed for the call */
    const char *software;
};

/**
 * Join and make the office. A repeat with the same invitation goes on where the last one stopped, and on a folder that
 * has joined by it returns 0 again without asking the server; @again then is true.
 *
 * TZ_E_INVITE (a slip in the code, found before any connection, or the server's no), TZ_E_JOINED (by another
 * invitation), TZ_E_SERVER_KEY, TZ_E_UNREACHABLE and other network errors, TZ_E_IO, TZ_E_DISK_FULL. The key is kept on
 * every error.
 */
TZ_MUST_USE int tz_join(const struct tz_join_options *opt, struct tz_identity *out, bool *again, struct tz_err *err);

#endif
