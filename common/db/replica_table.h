/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_REPLICA_TABLE_H
#define TZ_REPLICA_TABLE_H

/* Inside the replica: the table of one record type. Rows are replica.c's. */

#include "replica.h"

/**
 * Make the table of @t, the columns it lacks and its indexes; what is there already stays. Returns how many columns an
 * existing table was given, or an error with @err set. Inside the caller's transaction; on the connection's thread.
 */
TZ_MUST_USE int tz_replica_table(struct tz_db *db, enum tz_side side, const struct tz_type *t, struct tz_err *err);

#endif
