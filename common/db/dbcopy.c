/* SPDX-License-Identifier: Apache-2.0
 *
 * SQLite's backup interface (https://www.sqlite.org/backup.html) under a read transaction.
 *
 * Invariants
 *  1. The source's snapshot is taken before the first page and kept to the end. Without it the copy would start anew at
 * every commit of another connection, and beside a busy server it would never end.
 *  2. The target is written without a journal and without syncs: until the caller has synced and renamed it, it is
 * nobody's database.
 */
#include "dbcopy.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

/** An empty file that nobody had before. */
static int make_file(const char *path, struct tz_err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return tz_err_set(err, TZ_E_DATA_EXISTS, path, NULL, NULL, NULL);
    if (fd < 0)
        return tz_err_setf(err, errno == ENOSPC ? TZ_E_DISK_FULL : TZ_E_IO, "%s: %s", path, strerror(errno));
    (void)close(fd);
    return 0;
}

/** What went wrong in @to; the copy's own step reports there too. */
static int copy_error(sqlite3 *to, const char *path, int rc, struct tz_err *err)
{
    int code = (rc & 0xff) == SQLITE_FULL ? TZ_E_DISK_FULL : (rc & 0xff) == SQLITE_NOMEM ? TZ_E_NOMEM : TZ_E_IO;
    return tz_err_setf(err, code, "%s: %s", path, to ? sqlite3_errmsg(to) : sqlite3_errstr(rc));
}

static int run_steps(sqlite3_backup *b, int pages, tz_db_copy_cb cb, void *ctx, int *stopped)
{
    int rc;
    do {
        rc = sqlite3_backup_step(b, pages);
        uint64_t total = (uint64_t)sqlite3_backup_pagecount(b);
        if (cb && (rc == SQLITE_OK || rc == SQLITE_DONE))
            *stopped = cb(ctx, total - (uint64_t)sqlite3_backup_remaining(b), total);
    } while (rc == SQLITE_OK && !*stopped);
    return rc == SQLITE_OK ? SQLITE_DONE : rc;
}

static int copy_pages(struct tz_db *from, sqlite3 *to, const char *path, int pages, tz_db_copy_cb cb, void *ctx,
                      struct tz_err *err)
{
    int stopped = 0;
    int rc = sqlite3_exec(to, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", NULL, NULL, NULL);
    sqlite3_backup *b = rc == SQLITE_OK ? sqlite3_backup_init(to, "main", tz_db_handle(from), "main") : NULL;
    if (!b)
        return copy_error(to, path, rc == SQLITE_OK ? sqlite3_errcode(to) : rc, err);
    rc = run_steps(b, pages, cb, ctx, &stopped);
    int end = sqlite3_backup_finish(b);
    if (stopped)
        return tz_err_set(err, stopped, NULL, NULL, NULL, NULL);
    if (rc == SQLITE_DONE && end == SQLITE_OK)
        return 0;
    return copy_error(to, path, rc == SQLITE_DONE ? end : rc, err);
}

int tz_db_copy(struct tz_db *from, const char *path, int pages, tz_db_copy_cb cb, void *ctx, struct tz_err *err)
{
    sqlite3 *to = NULL;
    int rc = make_file(path, err);
    if (rc)
        return rc;
    rc = tz_db_begin_read(from, err);
    if (!rc) {
        int opened = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
        rc = opened == SQLITE_OK ? copy_pages(from, to, path, pages, cb, ctx, err) : copy_error(to, path, opened, err);
        tz_db_rollback(from);
    }
    if (sqlite3_close(to) != SQLITE_OK && !rc)
        rc = tz_err_set(err, TZ_E_INTERNAL, "dbcopy", NULL, NULL, NULL);
    if (rc)
        (void)unlink(path);
    return rc;
}
