/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_DBCOPY_H
#define TZ_DBCOPY_H

/* An online copy of a database into a file of its own, while others write to it. */

#include "db.h"

/** After each step, in pages. 0 goes on; negative ends the copy with that error. */
typedef int (*tz_db_copy_cb)(void *ctx, uint64_t done, uint64_t total);

/**
 * Copy what one snapshot of @from holds into a new file @path, in steps of @pages. Nobody waits for it: readers never
 * block the writer; only the WAL is not emptied meanwhile. @from has no transaction open. The file is complete and with
 * the system when this returns 0, but not synced; on an error nothing of it is left. @cb may be NULL.
 *
 * Errors as in db.h; TZ_E_DATA_EXISTS (path) when there is a file.
 */
TZ_MUST_USE int tz_db_copy(struct tz_db *from, const char *path, int pages, tz_db_copy_cb cb, void *ctx,
                           struct tz_err *err);

#endif
