/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_QUERY_H
#define TZ_QUERY_H

/* One SELECT over the replica, by whoever knows SQL. Reads only: nothing the statement says can change the file. */

#include "office.h"

enum tz_cell_kind { TZ_CELL_NULL, TZ_CELL_INT, TZ_CELL_REAL, TZ_CELL_TEXT, TZ_CELL_BLOB };

struct tz_cell {
    enum tz_cell_kind kind;
    int64_t i;
    double real;
    struct tz_bytes bytes; /* TEXT, BLOB; borrowed for the call */
};

enum { TZ_QUERY_COLUMNS_MAX = 2000 };

struct tz_query_handler {
    int (*columns)(void *ctx, const char *const *names, size_t n); /* once, before the rows. 0 goes on */
    int (*row)(void *ctx, const struct tz_cell *cells, size_t n);  /* 0 goes on; an error ends it */
    void *ctx;
};

/**
 * Run @sql on a connection of its own that can only read. TZ_E_SQL (what SQLite says, or why not) for anything but one
 * statement that reads: writes, several statements, PRAGMA, ATTACH.
 */
TZ_MUST_USE int tz_query_run(struct tz_office *o, const char *sql, const struct tz_query_handler *h,
                             struct tz_err *err);

#endif
