/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may be kept in fewer bytes: up to which version devices may empty own saves.
 *
 *   upto = the least of: for each folder with backups, how far all of them agree with this database
 *                        the newest version that is compact_days old, by this machine's clock
 *          0 while no backup is known, and while a recovery window is open
 *
 * A backup agrees up to its head where this database goes on from it. Where one of them went back to an older state
 * since, they agree up to there: this database's epochs are followed back to the backup's. A backup whose epoch is not
 * among them is of a time line that was given up itself; then nothing is said to agree.
 *
 * Why a device that empties a save of a version <= upto can never be asked for it again: what is asked again is what a
 * restore has undone, and a restore to a backup that is kept undoes nothing up to `upto`. Backups that are made later
 * reach farther. A database that was restored says what its backup said, which is less or the same. Versions of a range
 * that is lost here are marked by the device before it looks at `upto` (client/lost.c), and keep their words. Whoever
 * goes back to a copy that was not kept loses what is only there: the devices count it (lost saves).
 */
#include "purge_int.h"

#include <string.h>

/* ---- backups ---- */

/** Up to where a backup and this database are the same. */
static int agrees(struct tz_store *s, const struct tz_backup_state *b, tz_ver *upto, struct tz_err *err)
{
    uint32_t epoch = s->epoch;
    int rc = 1;
    *upto = b->head;
    while (epoch != b->epoch && rc == 1) {
        struct tz_stmt *st = tz_store_sql(s, TZ_SQL_EPOCH_FROM, err);
        if (!st)
            return TZ_E_DB;
        tz_stmt_bind_int(st, 1, epoch);
        rc = tz_stmt_step(st, err);
        if (rc == 1) {
            tz_ver above = (tz_ver)tz_stmt_int(st, 1);
            uint32_t older = (uint32_t)tz_stmt_int(st, 0);
            *upto = above < *upto ? above : *upto;
            rc = older < epoch; /* else it is damaged */
            epoch = older;
        }
        tz_stmt_reset(st);
    }
    if (rc != 1)
        *upto = 0;
    return rc < 0 ? rc : 0;
}

static int put_folder(struct tz_store *s, const char *folder, unsigned kept, tz_ver upto, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, kept ? TZ_SQL_FOLDER_PUT : TZ_SQL_FOLDER_DROP, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_text(st, 1, folder);
    if (kept) {
        tz_stmt_bind_int(st, 2, kept);
        tz_stmt_bind_int(st, 3, (int64_t)upto);
        tz_stmt_bind_int(st, 4, tz_clock_wall(&s->clock).ms);
    }
    return tz_stmt_run(st, err);
}

int tz_store_backups_told(struct tz_store *s, const char *folder, const struct tz_backup_state *held, size_t n,
                          unsigned kept, struct tz_err *err)
{
    tz_ver least = 0;
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++) {
        tz_ver upto = 0;
        rc = agrees(s, &held[i], &upto, err);
        least = i == 0 || upto < least ? upto : least;
    }
    return rc ? rc : put_folder(s, folder, n ? kept : 0, least, err);
}

int tz_store_backup_oldest(struct tz_store *s, struct tz_backup_folder *out, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_FOLDER_OLDEST, err);
    *out = (struct tz_backup_folder){.upto = 0};
    if (!st)
        return TZ_E_DB;
    int rc = tz_stmt_step(st, err);
    if (rc == 1) {
        const char *path = tz_stmt_text(st, 0);
        memcpy(out->path, path, strnlen(path, sizeof out->path - 1));
        out->upto = (tz_ver)tz_stmt_int(st, 1);
        out->told_ms = tz_stmt_int(st, 2);
    }
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

/* ---- how far ---- */

int tz_store_compact_upto(struct tz_store *s, tz_ver *upto, struct tz_err *err)
{
    struct tz_recovery recovery = {0};
    struct tz_backup_folder oldest;
    int64_t aged = 0;
    *upto = 0;
    int rc = tz_store_recovery(s, &recovery, err);
    if (!rc)
        rc = tz_store_backup_oldest(s, &oldest, err);
    if (!rc)
        rc = tz_store_meta_int(s, "compact_aged", &aged, err);
    if (!rc && !recovery.open)
        *upto = oldest.upto < (tz_ver)aged ? oldest.upto : (tz_ver)aged;
    return rc;
}

int tz_compact_step(struct tz_store *s, const struct tz_purge_rules *r, bool *more, struct tz_err *err)
{
    tz_ver aged = 0;
    return tz_purge_aged(s, "compact_aged", r->compact_ms, &aged, more, err);
}
