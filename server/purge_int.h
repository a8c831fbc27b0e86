/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_PURGE_INT_H
#define TZ_PURGE_INT_H

/* What is taken away for good: store_purge.c (deleted records, leaving entries), and who asks about what went. */

#include "store_int.h"

/** The newest version of which something was purged; 0: never. */
TZ_MUST_USE int tz_purge_horizon(struct tz_store *s, tz_ver *out, struct tz_err *err);
TZ_MUST_USE int tz_purge_horizon_raise(struct tz_store *s, tz_ver to, struct tz_err *err);
/** The newest version that is @age_ms old; where the walk got to is kept in meta under @key. @more: it goes on. */
TZ_MUST_USE int tz_purge_aged(struct tz_store *s, const char *key, int64_t age_ms, tz_ver *aged, bool *more,
                              struct tz_err *err);
/** Everything that hangs on this record goes, whatever state it is in. */
TZ_MUST_USE int tz_purge_record(struct tz_store *s, const struct tz_row *row, struct tz_err *err);
/** The journal says that it was purged: in a restore, before the commit that begins the epoch's work. */
TZ_MUST_USE int tz_purge_again(struct tz_store *s, uint32_t type, struct tz_id id, struct tz_arena *a,
                               struct tz_err *err);

/* store_compact.c */
/** In a step of purging: one step of what is written shorter. @lowest: the least checkpoint that a device in lease has
 * acknowledged, 0 none is. @more: it goes on. */
TZ_MUST_USE int tz_compact_step(struct tz_store *s, const struct tz_purge_rules *r, tz_ver lowest,
                                struct tz_purge_done *done, bool *more, struct tz_err *err);

#endif
