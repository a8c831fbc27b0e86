/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_RESTORE_H
#define TZ_RESTORE_H

/* A backup takes the place of a data folder's database. Everything here blocks. */

#include "backup.h"

struct tz_restore_spec {
    const struct tz_datadir *dir; /**< locked by the caller */
    const char *file;
    const struct tz_store_options *options; /**< without a journal */
    unsigned recovery_days;                 /**< 0: no window */
    uint32_t epoch;                         /**< the new epoch is at least this; 0: whatever follows */
};

struct tz_restore_done {
    struct tz_backup_info backup;
    uint32_t epoch;
    int64_t until_ms;
    size_t replayed;
    char aside[PATH_MAX]; /**< where the former database is; "" when there was none */
};

/**
 * Verify the backup, make it the newest state on a copy of its own (new epoch, recovery window, the journal's later
 * changes), then put that copy in the place of server.db, which stays under another name. Whatever happens, server.db
 * is the former database or the restored one.
 *
 * TZ_E_BACKUP_BAD, TZ_E_JOURNAL_BAD, TZ_E_DISK_FULL, TZ_E_IO; nothing was changed then.
 */
TZ_MUST_USE int tz_restore_run(const struct tz_restore_spec *spec, struct tz_restore_done *out, struct tz_err *err);

#endif
