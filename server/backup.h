/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_BACKUP_H
#define TZ_BACKUP_H

/*
 * Backups as files: <folder>/server-YYYYMMDDTHHMMSSmmmZ.db and the same with .json, which says what the first one must
 * be. Keys are in neither. Everything here blocks.
 */

#include "datadir.h"
#include "dbcopy.h"
#include "store.h"

#include <jansson.h>

enum { TZ_BACKUPS_KEPT_LEAST = 2, TZ_BACKUP_SOFTWARE_BYTES = 64 };

/** What stands in the .json. */
struct tz_backup_info {
    struct tz_backup_facts facts;
    uint64_t bytes;
    uint8_t sha256[32];
    int64_t made_ms, verified_ms;
    char software[TZ_BACKUP_SOFTWARE_BYTES];
};

struct tz_backup_spec {
    struct tz_store *store;                 /**< open for reading; borrowed */
    const struct tz_store_options *options; /**< to look at the copy */
    const char *to;                         /**< folder; made when it is not there */
    unsigned keep;                          /**< generations; never fewer than TZ_BACKUPS_KEPT_LEAST stay */
    const char *software;
    tz_db_copy_cb progress; /**< may be NULL */
    void *progress_ctx;
};

struct tz_backup_made {
    char file[PATH_MAX];
    struct tz_backup_info info;
    unsigned kept, deleted;
};

/**
 * Copy, sync, verify, then give it its name, then delete what is over @keep. A half copy never has the name of a
 * backup; what an interrupted one left is removed by the next. TZ_E_DB_BUSY when another backup into that folder is
 * under way.
 */
TZ_MUST_USE int tz_backup_make(const struct tz_backup_spec *spec, struct tz_backup_made *out, struct tz_err *err);
/** Size, SHA-256, every page, the audit chain, and that it is as far as its .json says. TZ_E_BACKUP_BAD (file, what).
 */
TZ_MUST_USE int tz_backup_verify(const char *file, const struct tz_store_options *o, struct tz_backup_info *out,
                                 struct tz_err *err);
/** Each backup that stands in folder @path and was verified when it was made, in no order. One that is damaged since
 * but has its size counts as well: who asks wants to know how far back somebody may yet go. TZ_E_IO. */
TZ_MUST_USE int tz_backup_each(const char *path, void (*cb)(void *ctx, const struct tz_backup_facts *f), void *ctx,
                               struct tz_err *err);
/** Keys, certificates and settings of @from into @to/keys (0700). TZ_E_IO, TZ_E_DISK_FULL. */
TZ_MUST_USE int tz_backup_keys(const struct tz_datadir *from, const char *to, struct tz_err *err);
/** As in the file. NULL: no memory. */
json_t *tz_backup_json(const struct tz_backup_info *i);
/** "20261127T001543123Z" */
void tz_backup_stamp(int64_t ms, char out[32]);

#endif
