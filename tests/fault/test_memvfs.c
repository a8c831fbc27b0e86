/* SPDX-License-Identifier: Apache-2.0
 *
 * Power cuts at every operation of a small workload, many ways each. What SQLite promised with synchronous=FULL must be
 * there, what was never committed must not, and the file must be whole. It tests the medium as much as SQLite: a medium
 * that loses too little or too much would make the simulator's findings worthless, so the last tests look at the medium
 * itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "db.h"
#include "memvfs.h"

static const struct tz_db_options options = {.vfs = TZ_MEMVFS_NAME, .exclusive = true};

enum { TRANSACTIONS = 12, WAYS = 8 };

static uint32_t random32(void *ctx)
{
    uint64_t *x = ctx; /* xorshift64* */
    *x ^= *x >> 12;
    *x ^= *x << 25;
    *x ^= *x >> 27;
    return (uint32_t)((*x * 0x2545F4914F6CDD1Du) >> 32);
}

/* One transaction: a row with its number, a blob over several pages, the counter; every third is rolled back. */
static int run_transaction(struct tz_db *db, int n)
{
    struct tz_stmt s;
    int rc = tz_db_begin_immediate(db, NULL);
    if (rc < 0)
        return rc;
    rc = tz_db_prepare(db, &s, "INSERT INTO t VALUES(?1, randomblob(6000))", NULL);
    if (rc == 0) {
        tz_stmt_bind_int(&s, 1, n);
        rc = tz_stmt_run(&s, NULL);
        tz_stmt_finalize(&s);
    }
    if (rc == 0)
        rc = tz_db_exec(db, "UPDATE c SET n=n+1", NULL);
    if (rc == 0 && n % 3 != 0)
        return tz_db_commit(db, NULL);
    tz_db_rollback(db);
    return rc;
}

struct outcome {
    int acked;     /* last transaction that was acknowledged, 0 none */
    int in_flight; /* one whose commit failed: it may be there or not */
    bool schema_acked;
};

static struct outcome run_workload(const char *path)
{
    struct outcome o = {0};
    struct tz_db *db = NULL;
    if (tz_db_open(path, TZ_DB_CREATE, &options, &db, NULL) < 0)
        return o;
    int rc = tz_db_exec(
        db,
        "PRAGMA wal_autocheckpoint=12; BEGIN IMMEDIATE; CREATE TABLE t(n INTEGER PRIMARY KEY, b BLOB) STRICT;"
        "CREATE TABLE c(n INTEGER) STRICT; INSERT INTO c VALUES(0); COMMIT",
        NULL);
    tz_db_rollback(db);
    o.schema_acked = rc == 0;
    for (int n = 1; rc == 0 && n <= TRANSACTIONS; n++) {
        rc = run_transaction(db, n);
        if (rc == 0 && n % 3 != 0)
            o.acked = n;
        else if (rc < 0)
            o.in_flight = n;
        if (rc == 0 && n == 8)
            rc = tz_db_checkpoint(db, true, NULL);
    }
    tz_db_close(db);
    return o;
}

static int64_t query(struct tz_db *db, const char *sql)
{
    int64_t n = -1;
    assert_int_equal(tz_db_query_int(db, sql, &n, NULL), 0);
    return n;
}

static int committed_up_to(int n)
{
    return n - n / 3;
}

static void check_after_crash(const char *path, struct outcome o)
{
    struct tz_db *db = NULL;
    struct tz_err err = {0};
    int rc = tz_db_open(path, TZ_DB_CREATE, &options, &db, &err);
    if (rc < 0)
        print_error("open: %s\n", err.trail);
    assert_int_equal(rc, 0);
    assert_int_equal(tz_db_check(db, false, NULL), 0);
    int64_t tables = query(db, "SELECT count(*) FROM sqlite_schema WHERE type='table'");
    assert_true(tables == 2 || (tables == 0 && !o.schema_acked));
    if (tables == 2) {
        int64_t rows = query(db, "SELECT count(*) FROM t"), last = query(db, "SELECT max(n) FROM t");
        assert_int_equal(rows, query(db, "SELECT n FROM c"));
        assert_int_equal(rows, committed_up_to((int)last));
        assert_int_equal(query(db, "SELECT count(*) FROM t WHERE n%3=0"), 0);
        assert_true(last >= o.acked);
        assert_true(last == o.acked || last == o.in_flight);
        assert_int_equal(query(db, "SELECT count(*) FROM t WHERE length(b)<>6000"), 0);
    }
    tz_db_close(db);
}

static void crash_everywhere(unsigned mask)
{
    uint64_t rng = 7;
    unsigned points = 0;
    for (uint64_t k = 1;; k++) {
        bool reached = false;
        for (unsigned way = 0; way < WAYS; way++) {
            struct tz_memdisk *disk = tz_memdisk_new();
            char path[64];
            tz_memdisk_path(disk, "t.db", path, sizeof path);
            tz_memvfs_seed((uint32_t)k);
            tz_memdisk_crash_at(disk, mask, k);
            struct outcome o = run_workload(path);
            reached = tz_memdisk_is_off(disk);
            tz_memdisk_crash(disk, random32, &rng);
            check_after_crash(path, o);
            tz_memdisk_free(disk);
        }
        if (!reached)
            break;
        points++;
    }
    assert_true(points > 20);
}

static void acknowledged_survives_a_cut_at_every_write(void **state)
{
    (void)state;
    crash_everywhere(TZ_MEMDISK_WRITE);
}

static void acknowledged_survives_a_cut_at_every_sync_truncate_and_delete(void **state)
{
    (void)state;
    crash_everywhere(TZ_MEMDISK_SYNC | TZ_MEMDISK_TRUNCATE | TZ_MEMDISK_DELETE);
}

/* The process dies at a cut, the page cache stays: nothing acknowledged or in flight is torn. */
static void killed_process_loses_nothing_acknowledged(void **state)
{
    (void)state;
    struct tz_memdisk *disk = tz_memdisk_new();
    char path[64];
    struct tz_db *db;
    tz_memdisk_path(disk, "t.db", path, sizeof path);
    struct outcome o = run_workload(path);
    assert_int_equal(tz_db_open(path, TZ_DB_WRITE, &options, &db, NULL), 0);
    assert_int_equal(run_transaction(db, TRANSACTIONS + 1), 0);
    o.acked = TRANSACTIONS + 1;
    assert_int_equal(tz_db_begin_immediate(db, NULL), 0);
    assert_int_equal(tz_db_exec(db, "DELETE FROM t", NULL), 0);
    tz_memdisk_kill(disk);
    assert_true(tz_db_commit(db, NULL) < 0);
    tz_db_close(db);
    check_after_crash(path, o);
    tz_memdisk_free(disk);
}

/* Every failing write, sync or truncate: an error or none, never damage; and the program goes on after a full disk. */
static void every_failing_operation_is_survived(void **state)
{
    (void)state;
    const int codes[] = {SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC};
    for (size_t c = 0; c < 3; c++) {
        uint64_t total = 1;
        for (uint64_t k = 1; k <= total; k++) {
            struct tz_memdisk *disk = tz_memdisk_new();
            char path[64];
            tz_memdisk_path(disk, "t.db", path, sizeof path);
            tz_memdisk_fail_at(disk, TZ_MEMDISK_ANY, k, codes[c]);
            struct outcome o = run_workload(path);
            if (k == 1)
                total = 400; /* more than a whole run has; past its end nothing fails */
            uint64_t ops = tz_memdisk_ops(disk, TZ_MEMDISK_ANY);
            if (k > ops)
                total = k;
            check_after_crash(path, o);
            tz_memdisk_free(disk);
        }
    }
}

/* --- the medium itself --- */

struct raw {
    struct tz_memdisk *disk;
    _Alignas(16) unsigned char room[256];
    sqlite3_file *file;
};

static void raw_open(struct raw *r, int flags)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(TZ_MEMVFS_NAME);
    char path[64];
    tz_memdisk_path(r->disk, "f", path, sizeof path);
    r->file = (sqlite3_file *)(void *)r->room;
    assert_int_equal(vfs->xOpen(vfs, path, r->file, flags | SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
}

static void raw_fill(struct raw *r, int byte, int from, int n)
{
    uint8_t bytes[8192];
    memset(bytes, byte, sizeof bytes);
    assert_int_equal(r->file->pMethods->xWrite(r->file, bytes, n, from), SQLITE_OK);
}

static void synced_bytes_stay_and_unsynced_ones_vary(void **state)
{
    (void)state;
    uint64_t rng = 3;
    unsigned kept = 0, lost = 0, torn = 0;
    for (unsigned i = 0; i < 200; i++) {
        struct raw r = {.disk = tz_memdisk_new()};
        raw_open(&r, SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_DB);
        raw_fill(&r, 'a', 0, 2048);
        assert_int_equal(r.file->pMethods->xSync(r.file, SQLITE_SYNC_FULL), SQLITE_OK);
        raw_fill(&r, 'b', 512, 512);
        tz_memdisk_crash(r.disk, random32, &rng);
        uint8_t got[2048];
        assert_int_equal(r.file->pMethods->xRead(r.file, got, 2048, 0), SQLITE_IOERR_READ); /* from before the cut */
        r.file->pMethods->xClose(r.file);
        raw_open(&r, SQLITE_OPEN_MAIN_DB);
        assert_int_equal(r.file->pMethods->xRead(r.file, got, 2048, 0), SQLITE_OK);
        unsigned b = 0;
        for (unsigned j = 0; j < 2048; j++) {
            assert_true(got[j] == 'a' || (got[j] == 'b' && j >= 512 && j < 1024));
            b += got[j] == 'b';
        }
        kept += b == 512;
        lost += b == 0;
        torn += b > 0 && b < 512;
        r.file->pMethods->xClose(r.file);
        tz_memdisk_free(r.disk);
    }
    assert_true(kept > 20 && lost > 20 && torn > 20);
}

static void unsynced_growth_and_cut_vary_in_size(void **state)
{
    (void)state;
    uint64_t rng = 5;
    unsigned old_size = 0, new_size = 0, between = 0;
    for (unsigned i = 0; i < 200; i++) {
        struct raw r = {.disk = tz_memdisk_new()};
        raw_open(&r, SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_DB);
        raw_fill(&r, 'a', 0, 3000);
        assert_int_equal(r.file->pMethods->xSync(r.file, SQLITE_SYNC_FULL), SQLITE_OK);
        bool grow = i % 2 == 0;
        if (grow)
            raw_fill(&r, 'b', 3000, 3000);
        else
            assert_int_equal(r.file->pMethods->xTruncate(r.file, 1000), SQLITE_OK);
        tz_memdisk_crash(r.disk, random32, &rng);
        r.file->pMethods->xClose(r.file);
        raw_open(&r, SQLITE_OPEN_MAIN_DB);
        int64_t size = tz_memdisk_size(r.disk, "f");
        old_size += size == 3000;
        new_size += size == (grow ? 6000 : 1000);
        between += size != 3000 && size != (grow ? 6000 : 1000);
        uint8_t got[8192];
        r.file->pMethods->xRead(r.file, got, 8192, 0);
        for (int64_t j = 0; j < size && j < 3000; j++)
            assert_int_equal(got[j], 'a'); /* an undone cut brings the old bytes, not zeros */
        for (int64_t j = size; j < 8192; j++)
            assert_int_equal(got[j], 0);
        r.file->pMethods->xClose(r.file);
        tz_memdisk_free(r.disk);
    }
    assert_true(old_size > 20 && new_size > 20 && between > 20);
}

static void deleted_file_may_come_back_until_the_directory_is_synced(void **state)
{
    (void)state;
    uint64_t rng = 9;
    sqlite3_vfs *vfs = sqlite3_vfs_find(TZ_MEMVFS_NAME);
    unsigned back[2] = {0, 0};
    for (unsigned i = 0; i < 200; i++) {
        struct raw r = {.disk = tz_memdisk_new()};
        char path[64];
        raw_open(&r, SQLITE_OPEN_CREATE | SQLITE_OPEN_WAL);
        raw_fill(&r, 'a', 0, 100);
        assert_int_equal(r.file->pMethods->xSync(r.file, SQLITE_SYNC_FULL), SQLITE_OK);
        r.file->pMethods->xClose(r.file);
        assert_int_equal(vfs->xDelete(vfs, tz_memdisk_path(r.disk, "f", path, sizeof path), (int)(i % 2)), SQLITE_OK);
        assert_int_equal(tz_memdisk_size(r.disk, "f"), -1);
        tz_memdisk_crash(r.disk, random32, &rng);
        back[i % 2] += tz_memdisk_size(r.disk, "f") == 100;
        tz_memdisk_free(r.disk);
    }
    assert_true(back[0] > 20 && back[0] < 80);
    assert_int_equal(back[1], 0);
}

/* The same seed gives the same bytes: copy the finished files of two runs and compare. */
static void same_seed_same_bytes(void **state)
{
    (void)state;
    uint8_t *bytes[2];
    int64_t size[2];
    for (unsigned i = 0; i < 2; i++) {
        struct raw r = {.disk = tz_memdisk_new()};
        struct tz_db *db;
        char path[64];
        tz_memvfs_seed(11);
        tz_memvfs_time_set(1500000000000);
        assert_int_equal(tz_db_open(tz_memdisk_path(r.disk, "f", path, sizeof path), TZ_DB_CREATE, &options, &db, NULL),
                         0);
        assert_int_equal(
            tz_db_exec(db, "CREATE TABLE t(a BLOB, b TEXT); INSERT INTO t VALUES(randomblob(64), datetime())", NULL),
            0);
        assert_int_equal(query(db, "SELECT b='2017-07-14 02:40:00' FROM t"), 1);
        tz_db_close(db);
        size[i] = tz_memdisk_size(r.disk, "f");
        bytes[i] = malloc((size_t)size[i]);
        assert_non_null(bytes[i]);
        raw_open(&r, SQLITE_OPEN_MAIN_DB);
        assert_int_equal(r.file->pMethods->xRead(r.file, bytes[i], (int)size[i], 0), SQLITE_OK);
        r.file->pMethods->xClose(r.file);
        tz_memdisk_free(r.disk);
    }
    assert_int_equal(size[0], size[1]);
    assert_int_equal(memcmp(bytes[0], bytes[1], (size_t)size[0]), 0);
    free(bytes[0]);
    free(bytes[1]);
}

static void file_can_be_put_back(void **state)
{
    (void)state;
    struct tz_memdisk *disk = tz_memdisk_new();
    char path[64];
    struct tz_db *db;
    tz_memdisk_path(disk, "t.db", path, sizeof path);
    struct outcome o = run_workload(path);
    struct tz_memdisk *backup = tz_memdisk_clone(disk);
    assert_int_equal(tz_db_open(path, TZ_DB_WRITE, &options, &db, NULL), 0);
    assert_int_equal(tz_db_exec(db, "DELETE FROM t", NULL), 0);
    tz_db_close(db);
    tz_memdisk_copy_file(disk, backup, "t.db");
    tz_memdisk_copy_file(disk, backup, "t.db-wal");
    check_after_crash(path, o);
    tz_memdisk_free(backup);
    tz_memdisk_free(disk);
}

static int setup(void **state)
{
    (void)state;
    tz_memvfs_register();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_survives_a_cut_at_every_write),
        cmocka_unit_test(acknowledged_survives_a_cut_at_every_sync_truncate_and_delete),
        cmocka_unit_test(killed_process_loses_nothing_acknowledged),
        cmocka_unit_test(every_failing_operation_is_survived),
        cmocka_unit_test(synced_bytes_stay_and_unsynced_ones_vary),
        cmocka_unit_test(unsynced_growth_and_cut_vary_in_size),
        cmocka_unit_test(deleted_file_may_come_back_until_the_directory_is_synced),
        cmocka_unit_test(same_seed_same_bytes),
        cmocka_unit_test(file_can_be_put_back),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
