/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   verify FILE ─> read the journal ─> settle the present database ─> copy FILE to server.db.restoring
 *     ─> epoch, window, journal's changes in one transaction there ─> present one aside, copy into its place ─> open it
 *
 * Invariants
 *  1. All that can fail for reasons of the data fails before the present database is touched. Its WAL goes into it
 * first, also of one that cannot be read any more: left behind, SQLite would lay it over the restored file.
 *  2. server.db is at every moment one of the two, whole; a crash between leaves the former one, and the command may be
 * given again. Of a former one that is no database to SQLite the WAL cannot go into it: it is removed between two
 * steps, after both have been kept, whole, under the other name.
 *  3. The new epoch is above that of the backup, of the present database and of every line of the journal. Where there
 * is no database nobody knows which epochs there were since the backup (a journal beside it may be a copy as old as
 * that): then a random number of them is left out, so that two such restores hardly ever make one epoch twice, and the
 * administrator can name one.
 */
#include "restore.h"

#include "hash.h"
#include "journal.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char DB[] = "server.db";
static const char COPY[] = "server.db.restoring";
static const int64_t DAY_MS = INT64_C(86400000);

static int io_error(struct tz_err *err, const char *path)
{
    return tz_err_setf(err, errno == ENOSPC ? TZ_E_DISK_FULL : TZ_E_IO, "%s: %s", path, strerror(errno));
}

/** "<folder>/<name><tail>" */
static const char *tail_of(const struct tz_datadir *d, const char *name, const char *tail, char out[PATH_MAX])
{
    char both[NAME_MAX + 1];
    (void)snprintf(both, sizeof both, "%s%s", name, tail);
    return tz_datadir_file(d, both, out);
}

static void remove_copy(const struct tz_datadir *d)
{
    static const char *const tails[] = {"", "-wal", "-shm"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++)
        (void)unlink(tail_of(d, COPY, tails[i], path));
}

/* ---- the copy ---- */

static int write_all(int fd, const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return -1;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

/** Copies and hashes in one go: what is restored is what was verified. */
static int copy_bytes(int from, int to, const uint8_t sha256[32], const char *file, struct tz_err *err)
{
    uint8_t block[64 * 1024];
    uint8_t sha[32];
    struct tz_sha256 h = {0};
    ssize_t n = 0;
    int rc = tz_sha256_init(&h);
    while (!rc && (n = read(from, block, sizeof block)) > 0) {
        rc = tz_sha256_update(&h, tz_bytes_of(block, (size_t)n));
        if (!rc && write_all(to, block, (size_t)n))
            rc = io_error(err, COPY);
    }
    if (!rc && n < 0)
        rc = io_error(err, file);
    if (!rc)
        rc = tz_sha256_final(&h, sha);
    tz_sha256_deinit(&h);
    if (!rc && memcmp(sha, sha256, sizeof sha) != 0)
        rc = tz_err_set(err, TZ_E_BACKUP_BAD, file, "SHA-256", NULL, NULL);
    return rc;
}

static int make_copy(const struct tz_restore_spec *spec, const struct tz_backup_info *info, struct tz_err *err)
{
    char path[PATH_MAX];
    remove_copy(spec->dir);
    int from = open(spec->file, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return io_error(err, spec->file);
    int to = open(tz_datadir_file(spec->dir, COPY, path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int rc = to < 0 ? io_error(err, path) : copy_bytes(from, to, info->sha256, spec->file, err);
    if (!rc && fsync(to))
        rc = io_error(err, path);
    if (to >= 0)
        (void)close(to);
    (void)close(from);
    return rc;
}

struct replay {
    struct tz_restoring *r;
    struct tz_err *err;
};

static int replay_line(void *ctx, const struct tz_journal_line *line)
{
    struct replay *p = ctx;
    return tz_restore_line(p->r, line, p->err);
}

/** The copy becomes the newest state. */
static int renew_copy(const struct tz_restore_spec *spec, struct tz_restore_done *out, struct tz_err *err)
{
    struct tz_restoring r;
    struct replay p = {&r, err};
    char path[PATH_MAX];
    int rc =
        tz_restore_begin(tz_datadir_file(spec->dir, COPY, path), spec->options, out->epoch, out->until_ms, &r, err);
    if (!rc)
        rc = tz_journal_each(spec->dir, replay_line, &p, err);
    rc = tz_restore_end(&r, rc, err);
    out->replayed = r.replayed;
    int fd = rc ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (!rc && (fd < 0 || fsync(fd)))
        rc = io_error(err, path);
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* ---- the exchange ---- */

/** A copy where the file system has no second names. */
static int copy_plain(const char *file, const char *to_path, struct tz_err *err)
{
    uint8_t block[64 * 1024];
    ssize_t n = 0;
    int from = open(file, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return io_error(err, file);
    int to = open(to_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int rc = to < 0 ? io_error(err, to_path) : 0;
    while (!rc && (n = read(from, block, sizeof block)) > 0)
        rc = write_all(to, block, (size_t)n) ? io_error(err, to_path) : 0;
    if (!rc && n < 0)
        rc = io_error(err, file);
    if (!rc && fsync(to))
        rc = io_error(err, to_path);
    if (to >= 0)
        (void)close(to);
    (void)close(from);
    return rc;
}

static bool no_second_names(int code)
{
    return code == EPERM || code == ENOTSUP || code == EOPNOTSUPP || code == EMLINK;
}

/** The former database with its WAL also under @aside, durably: both are whole then. */
static int keep_former(const struct tz_datadir *d, const char *aside, struct tz_err *err)
{
    static const char *const tails[] = {"", "-wal"};
    char from[PATH_MAX];
    char to[PATH_MAX];
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        int n = snprintf(to, sizeof to, "%s%s", aside, tails[i]);
        if (n < 0 || (size_t)n >= sizeof to)
            return tz_err_set(err, TZ_E_IO, aside, NULL, NULL, NULL);
        if (link(tail_of(d, DB, tails[i], from), to) == 0 || (i > 0 && errno == ENOENT))
            continue;
        int rc = no_second_names(errno) ? copy_plain(from, to, err) : io_error(err, to);
        if (rc)
            return rc;
    }
    return tz_datadir_sync(d, err);
}

/** Of one that could not be settled: it must not be laid over the restored file. */
static int drop_wal(const struct tz_datadir *d, struct tz_err *err)
{
    static const char *const tails[] = {"-wal", "-shm"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++)
        if (unlink(tail_of(d, DB, tails[i], path)) && errno != ENOENT)
            return io_error(err, path);
    return tz_datadir_sync(d, err);
}

static int exchange(const struct tz_datadir *d, struct tz_restore_done *out, struct tz_err *err)
{
    char from[PATH_MAX];
    char to[PATH_MAX];
    char name[64];
    char stamp[32];
    int rc = 0;
    if (tz_datadir_has(d, DB)) {
        tz_backup_stamp(tz_clock_wall(&tz_clock_system).ms, stamp);
        (void)snprintf(name, sizeof name, "%s.before-restore-%s", DB, stamp);
        rc = keep_former(d, tz_datadir_file(d, name, out->aside), err);
    }
    if (!rc)
        rc = drop_wal(d, err);
    if (!rc && rename(tz_datadir_file(d, COPY, from), tz_datadir_file(d, DB, to)))
        rc = io_error(err, to);
    return rc ? rc : tz_datadir_sync(d, err);
}

/* ---- all of it ---- */

/** Does the file begin as SQLite's do? Of one that does not, SQLite may throw the WAL away. */
static bool begins_well(const char *path)
{
    static const char magic[16] = "SQLite format 3";
    char head[sizeof magic] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, head, sizeof head);
    if (fd >= 0)
        (void)close(fd);
    return n == (ssize_t)sizeof head && memcmp(head, magic, sizeof magic) == 0;
}

static int present_epoch(const struct tz_restore_spec *spec, uint32_t *epoch)
{
    char path[PATH_MAX];
    struct tz_err why = {0};
    *epoch = 0;
    if (!tz_datadir_has(spec->dir, DB))
        return 0;
    tz_datadir_file(spec->dir, DB, path);
    int rc = begins_well(path) ? tz_store_settle(path, spec->options, epoch, &why) : TZ_E_DB_CORRUPT;
    if (rc) /* damaged: that may be why somebody restores */
        tz_log(TZ_LOG_WARN, "restore", "present database unreadable", "code=%s", tz_err_info(rc)->symbol);
    return rc == TZ_E_NOMEM || rc == TZ_E_DISK_FULL || rc == TZ_E_DB_BUSY ? rc : 0;
}

static int no_line(void *ctx, const struct tz_journal_line *line)
{
    (void)ctx;
    (void)line;
    return 0;
}

enum { GAP_LEAST = 16, GAP_MORE = 256 };

/** Epochs left out where nothing is known of the last ones. */
static uint32_t unknown_gap(void)
{
    return GAP_LEAST + tz_random_u32(NULL) % GAP_MORE;
}

static uint32_t greatest(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t most = a > b ? a : b;
    return most > c ? most : c;
}

/** As a server would: shipped rows of a newer catalogue, and the journal hears of the new epoch. */
static int open_once(const struct tz_restore_spec *spec, struct tz_err *err)
{
    struct tz_journal journal;
    struct tz_store_options o = *spec->options;
    struct tz_store *s = NULL;
    char path[PATH_MAX];
    int rc = tz_journal_open(spec->dir, &journal, err);
    if (rc)
        return rc;
    o.journal = tz_journal_append;
    o.journal_ctx = &journal;
    o.known = journal.known;
    rc = tz_store_open(tz_datadir_file(spec->dir, DB, path), &o, &s, err);
    tz_store_close(s);
    tz_journal_close(&journal);
    return rc;
}

int tz_restore_run(const struct tz_restore_spec *spec, struct tz_restore_done *out, struct tz_err *err)
{
    struct tz_journal_head known = {0};
    uint32_t present = 0;
    memset(out, 0, sizeof *out);
    int rc = tz_backup_verify(spec->file, spec->options, &out->backup, err);
    if (!rc)
        rc = tz_journal_each(spec->dir, no_line, NULL, err);
    if (!rc)
        rc = tz_journal_known(spec->dir, &known, err);
    if (!rc && (rc = present_epoch(spec, &present)) != 0)
        (void)tz_err_set(err, rc, NULL, NULL, NULL, NULL);
    if (rc)
        return rc;
    out->epoch = greatest(out->backup.facts.epoch, known.epoch, present) + 1;
    bool last_known = tz_datadir_has(spec->dir, DB) && (known.epoch || present);
    if (!last_known && spec->epoch == 0)
        out->epoch += unknown_gap();
    if (spec->epoch > out->epoch)
        out->epoch = spec->epoch;
    if (spec->recovery_days)
        out->until_ms = tz_clock_wall(&tz_clock_system).ms + (int64_t)spec->recovery_days * DAY_MS;
    rc = make_copy(spec, &out->backup, err);
    if (!rc)
        rc = renew_copy(spec, out, err);
    if (!rc)
        rc = exchange(spec->dir, out, err);
    if (rc) {
        remove_copy(spec->dir);
        return rc;
    }
    return open_once(spec, err);
}
