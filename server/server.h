/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_SERVER_H
#define TZ_SERVER_H

/* The running server: everything from the first accept to the last close. */

#include "config.h"
#include "datadir.h"
#include "err.h"

#include <stdio.h>

struct tz_catalogue;

struct tz_server_options {
    const struct tz_datadir *dir; /**< its lock is held by the caller */
    const struct tz_config *config;
    const struct tz_catalogue *catalogue;
    FILE *out; /**< gets the one line that says ready */
    bool json;
};

/**
 * Serve until SIGTERM or SIGINT, then drain and return 0; a negative value means that it did not start. One at a time.
 */
TZ_MUST_USE int tz_server_run(const struct tz_server_options *o, struct tz_err *err);

#endif
