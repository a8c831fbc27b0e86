/* SPDX-License-Identifier: Apache-2.0
 *
 * The door to SQLite: pragmas, refusals, error mapping, statements, transactions. All on disks in memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "db.h"
#include "memvfs.h"

static const struct tz_db_options options = {.vfs = TZ_MEMVFS_NAME, .exclusive = true};

struct fixture {
    struct tz_memdisk *disk;
    char path[64];
    struct tz_db *db;
};

static int setup(void **state)
{
    static struct fixture f;
    tz_memvfs_register();
    tz_memvfs_seed(1);
    f.disk = tz_memdisk_new();
    tz_memdisk_path(f.disk, "t.db", f.path, sizeof f.path);
    *state = &f;
    return tz_db_open(f.path, TZ_DB_CREATE, &options, &f.db, NULL);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    tz_db_close(f->db);
    tz_memdisk_free(f->disk);
    f->db = NULL;
    return 0;
}

static void must_exec(struct tz_db *db, const char *sql)
{
    struct tz_err err = {0};
    int rc = tz_db_exec(db, sql, &err);
    if (rc < 0)
        print_error("%s: %s\n", sql, err.trail);
    assert_int_equal(rc, 0);
}

static int64_t query(struct tz_db *db, const char *sql)
{
    int64_t n = -1;
    assert_int_equal(tz_db_query_int(db, sql, &n, NULL), 0);
    return n;
}

static void reopen(struct fixture *f, enum tz_db_mode mode)
{
    tz_db_close(f->db);
    f->db = NULL;
    assert_int_equal(tz_db_open(f->path, mode, &options, &f->db, NULL), 0);
}

static void pragmas_are_in_force(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(query(f->db, "PRAGMA synchronous"), 2);
    assert_int_equal(query(f->db, "PRAGMA foreign_keys"), 1);
    assert_int_equal(query(f->db, "PRAGMA busy_timeout"), 5000);
    assert_int_equal(query(f->db, "PRAGMA trusted_schema"), 0);
    assert_int_equal(query(f->db, "PRAGMA cell_size_check"), 1);
    assert_int_equal(query(f->db, "PRAGMA temp_store"), 2);
    assert_int_equal(query(f->db, "PRAGMA cache_size"), -8192);
    assert_int_equal(query(f->db, "PRAGMA application_id"), TZ_DB_APPLICATION_ID);
    struct tz_stmt s;
    assert_int_equal(tz_db_prepare(f->db, &s, "PRAGMA journal_mode", NULL), 0);
    assert_int_equal(tz_stmt_step(&s, NULL), 1);
    assert_string_equal(tz_stmt_text(&s, 0), "wal");
    tz_stmt_finalize(&s);
}

static void foreign_keys_bite(void **state)
{
    struct fixture *f = *state;
    must_exec(f->db,
              "CREATE TABLE p(id INTEGER PRIMARY KEY) STRICT; CREATE TABLE c(p INTEGER REFERENCES p(id)) STRICT;");
    assert_int_equal(tz_db_exec(f->db, "INSERT INTO c VALUES(7)", NULL), TZ_E_DB);
}

static void content_survives_closing(void **state)
{
    struct fixture *f = *state;
    must_exec(f->db, "CREATE TABLE t(a INTEGER) STRICT; INSERT INTO t VALUES(42)");
    reopen(f, TZ_DB_WRITE);
    assert_int_equal(query(f->db, "SELECT a FROM t"), 42);
    reopen(f, TZ_DB_READ);
    assert_true(tz_db_readonly(f->db));
    assert_int_equal(query(f->db, "SELECT a FROM t"), 42);
    assert_true(tz_db_exec(f->db, "DELETE FROM t", NULL) < 0);
}

static void missing_database_is_said(void **state)
{
    struct fixture *f = *state;
    char path[64];
    struct tz_err err = {0};
    struct tz_db *db;
    tz_memdisk_path(f->disk, "other.db", path, sizeof path);
    assert_int_equal(tz_db_open(path, TZ_DB_WRITE, &options, &db, &err), TZ_E_DB_MISSING);
    assert_null(db);
    assert_string_equal(err.args[0], path);
    assert_int_equal(tz_memdisk_size(f->disk, "other.db"), -1);
}

static void foreign_file_is_refused_and_left_alone(void **state)
{
    struct fixture *f = *state;
    const char *made[] = {"PRAGMA application_id=77", "CREATE TABLE x(a)"};
    for (size_t i = 0; i < 2; i++) {
        char path[64], name[16];
        snprintf(name, sizeof name, "f%zu.db", i);
        tz_memdisk_path(f->disk, name, path, sizeof path);
        sqlite3 *raw;
        assert_int_equal(sqlite3_open_v2(path, &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, TZ_MEMVFS_NAME), 0);
        assert_int_equal(sqlite3_exec(raw, made[i], NULL, NULL, NULL), 0);
        sqlite3_close(raw);
        uint64_t writes = tz_memdisk_ops(f->disk, TZ_MEMDISK_ANY);
        struct tz_err err = {0};
        struct tz_db *db;
        assert_int_equal(tz_db_open(path, TZ_DB_CREATE, &options, &db, &err), TZ_E_DB_FOREIGN);
        assert_string_equal(err.args[0], path);
        assert_int_equal(tz_memdisk_ops(f->disk, TZ_MEMDISK_ANY), writes);
    }
}

static void not_a_database_is_corrupt(void **state)
{
    struct fixture *f = *state;
    must_exec(f->db, "CREATE TABLE t(a BLOB) STRICT; INSERT INTO t VALUES(randomblob(20000))");
    tz_db_close(f->db);
    sqlite3_vfs *vfs = sqlite3_vfs_find(TZ_MEMVFS_NAME);
    _Alignas(16) unsigned char room[256];
    assert_true((size_t)vfs->szOsFile <= sizeof room);
    sqlite3_file *file = (sqlite3_file *)(void *)room;
    assert_int_equal(vfs->xOpen(vfs, f->path, file, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(file->pMethods->xWrite(file, "garbage!", 8, 0), SQLITE_OK);
    file->pMethods->xClose(file);
    struct tz_err err = {0};
    assert_int_equal(tz_db_open(f->path, TZ_DB_WRITE, &options, &f->db, &err), TZ_E_DB_CORRUPT);
    assert_non_null(strstr(err.trail, "not a database"));
}

static void second_connection_is_busy(void **state)
{
    struct fixture *f = *state;
    struct tz_db *db;
    assert_int_equal(tz_db_open(f->path, TZ_DB_WRITE, &options, &db, NULL), TZ_E_DB_BUSY);
}

static void full_disk_is_said_and_nothing_is_lost(void **state)
{
    struct fixture *f = *state;
    must_exec(f->db, "CREATE TABLE t(a BLOB) STRICT; INSERT INTO t VALUES(x'01')");
    tz_memdisk_capacity_set(f->disk, 64 * 1024);
    struct tz_err err = {0};
    assert_int_equal(tz_db_begin_immediate(f->db, NULL), 0);
    int rc = tz_db_exec(f->db, "INSERT INTO t VALUES(zeroblob(200000))", &err);
    if (rc == 0)
        rc = tz_db_commit(f->db, &err);
    assert_int_equal(rc, TZ_E_DISK_FULL);
    assert_int_equal(err.code, TZ_E_DISK_FULL);
    tz_db_rollback(f->db);
    assert_false(tz_db_in_transaction(f->db));
    assert_int_equal(query(f->db, "SELECT count(*) FROM t"), 1);
    tz_memdisk_capacity_set(f->disk, 0);
    must_exec(f->db, "INSERT INTO t VALUES(zeroblob(200000))");
}

static void failed_sync_is_its_own_error(void **state)
{
    struct fixture *f = *state;
    must_exec(f->db, "CREATE TABLE t(a INTEGER) STRICT");
    assert_int_equal(tz_db_begin_immediate(f->db, NULL), 0);
    must_exec(f->db, "INSERT INTO t VALUES(1)");
    tz_memdisk_fail_at(f->disk, TZ_MEMDISK_SYNC, 1, SQLITE_IOERR_FSYNC);
    struct tz_err err = {0};
    assert_int_equal(tz_db_commit(f->db, &err), TZ_E_DB_FSYNC);
    assert_false(tz_db_in_transaction(f->db));
    assert_non_null(strstr(err.trail, "disk I/O error"));
}

static void failed_write_is_an_error_with_text(void **state)
{
    struct fixture *f = *state;
    tz_memdisk_fail_at(f->disk, TZ_MEMDISK_WRITE, 1, SQLITE_IOERR_WRITE);
    struct tz_err err = {0};
    assert_int_equal(tz_db_exec(f->db, "CREATE TABLE t(a INTEGER) STRICT", &err), TZ_E_DB);
    assert_string_equal(err.args[0], "disk I/O error");
}

static void values_come_back_as_they_went(void **state)
{
    struct fixture *f = *state;
    struct tz_id id = {{1, 2, 3}}, got_id;
    struct tz_stmt put, get;
    must_exec(f->db, "CREATE TABLE t(i INTEGER, s TEXT, b BLOB, id BLOB, n TEXT, e TEXT, z BLOB) STRICT");
    assert_int_equal(tz_db_prepare(f->db, &put, "INSERT INTO t VALUES(?,?,?,?,?,?,?)", NULL), 0);
    tz_stmt_bind_int(&put, 1, INT64_MIN);
    tz_stmt_bind_text(&put, 2, "天津");
    tz_stmt_bind_value(&put, 3, tz_value_blob("\0\1", 2));
    tz_stmt_bind_id(&put, 4, &id);
    tz_stmt_bind_value(&put, 5, tz_value_null());
    tz_stmt_bind_textn(&put, 6, NULL, 0);
    tz_stmt_bind_blob(&put, 7, NULL, 0);
    assert_int_equal(tz_stmt_run(&put, NULL), 0);
    assert_int_equal(tz_db_changes(f->db), 1);
    assert_int_equal(tz_db_prepare(f->db, &get, "SELECT * FROM t", NULL), 0);
    assert_int_equal(tz_stmt_step(&get, NULL), 1);
    assert_true(tz_stmt_int(&get, 0) == INT64_MIN);
    assert_true(tz_value_is_text(tz_stmt_value(&get, 1), "天津"));
    assert_true(tz_value_eq(tz_stmt_value(&get, 2), tz_value_blob("\0\1", 2)));
    assert_true(tz_stmt_id(&get, 3, &got_id) && tz_id_eq(id, got_id));
    assert_true(tz_stmt_is_null(&get, 4) && tz_stmt_value(&get, 4).kind == TZ_V_NULL);
    assert_true(tz_stmt_value(&get, 5).kind == TZ_V_TEXT && tz_stmt_blob(&get, 5).n == 0);
    assert_true(tz_stmt_value(&get, 6).kind == TZ_V_BLOB);
    assert_false(tz_stmt_id(&get, 2, &got_id));
    struct tz_value v;
    assert_int_equal(tz_stmt_value_as(&get, 1, TZ_FT_STR, &v, NULL), 0);
    assert_int_equal(tz_stmt_value_as(&get, 1, TZ_FT_INT, &v, NULL), TZ_E_DB_CORRUPT);
    assert_int_equal(tz_stmt_step(&get, NULL), 0);
    tz_stmt_finalize(&get);
    tz_stmt_finalize(&put);
    tz_stmt_finalize(&put);
}

static void bindings_do_not_outlive_a_run(void **state)
{
    struct fixture *f = *state;
    struct tz_stmt put;
    must_exec(f->db, "CREATE TABLE t(a INTEGER) STRICT");
    assert_int_equal(tz_db_prepare(f->db, &put, "INSERT INTO t VALUES(?)", NULL), 0);
    tz_stmt_bind_int(&put, 1, 5);
    assert_int_equal(tz_stmt_run(&put, NULL), 0);
    assert_int_equal(tz_stmt_run(&put, NULL), 0);
    assert_int_equal(query(f->db, "SELECT count(*) FROM t WHERE a IS NULL"), 1);
    tz_stmt_bind_int(&put, 2, 5); /* no such parameter: the run says so, the next is clean */
    assert_int_equal(tz_stmt_run(&put, NULL), TZ_E_DB);
    assert_int_equal(tz_stmt_run(&put, NULL), 0);
    tz_stmt_finalize(&put);
}

static void bad_sql_names_the_statement(void **state)
{
    struct fixture *f = *state;
    struct tz_stmt s;
    struct tz_err err = {0};
    assert_int_equal(tz_db_prepare(f->db, &s, "SELEC 1", &err), TZ_E_DB);
    assert_non_null(strstr(err.trail, "SELEC 1"));
    assert_non_null(strstr(err.trail, "syntax error"));
    assert_int_equal(tz_db_prepare(f->db, &s, "SELEC 1", NULL), TZ_E_DB);
}

static void statements_that_are_taken_up_again_are_as_new(void **state)
{
    struct fixture *f = *state;
    struct tz_stmt a, b;
    must_exec(f->db, "CREATE TABLE t(a INTEGER) STRICT; INSERT INTO t VALUES(1),(2)");
    static const char sql[] = "SELECT *, ?1 FROM t ORDER BY a";
    assert_int_equal(tz_db_prepare(f->db, &a, sql, NULL), 0);
    tz_stmt_bind_int(&a, 1, 7);
    assert_int_equal(tz_stmt_step(&a, NULL), 1); /* and it stands on a row */
    tz_stmt_finalize(&a);
    /* Unbound, from the first row, and with the table as it is now */
    must_exec(f->db, "ALTER TABLE t ADD COLUMN b INTEGER");
    assert_int_equal(tz_db_prepare(f->db, &a, sql, NULL), 0);
    assert_int_equal(tz_stmt_step(&a, NULL), 1);
    assert_int_equal(tz_stmt_int(&a, 0), 1);
    assert_true(tz_stmt_is_null(&a, 1));
    assert_true(tz_stmt_is_null(&a, 2));
    /* Two of one text are two */
    assert_int_equal(tz_db_prepare(f->db, &b, sql, NULL), 0);
    assert_int_equal(tz_stmt_step(&b, NULL), 1);
    assert_int_equal(tz_stmt_step(&a, NULL), 1);
    assert_int_equal(tz_stmt_int(&a, 0), 2);
    assert_int_equal(tz_stmt_int(&b, 0), 1);
    tz_stmt_finalize(&a);
    tz_stmt_finalize(&b);
    /* More than are kept */
    for (int i = 0; i < 100; i++) {
        char other[40];
        snprintf(other, sizeof other, "SELECT %d", i);
        assert_int_equal(tz_db_prepare(f->db, &a, other, NULL), 0);
        assert_int_equal(tz_stmt_step(&a, NULL), 1);
        assert_int_equal(tz_stmt_int(&a, 0), i);
        tz_stmt_finalize(&a);
    }
}

static void savepoints_nest(void **state)
{
    struct fixture *f = *state;
    must_exec(f->db, "CREATE TABLE t(a INTEGER) STRICT");
    assert_int_equal(tz_db_begin_immediate(f->db, NULL), 0);
    must_exec(f->db, "INSERT INTO t VALUES(1)");
    assert_int_equal(tz_db_savepoint(f->db, NULL), 0);
    must_exec(f->db, "INSERT INTO t VALUES(2)");
    assert_int_equal(tz_db_savepoint(f->db, NULL), 0);
    must_exec(f->db, "INSERT INTO t VALUES(4)");
    assert_int_equal(tz_db_rollback_to(f->db, NULL), 0);
    assert_int_equal(tz_db_release(f->db, NULL), 0);
    assert_int_equal(tz_db_commit(f->db, NULL), 0);
    assert_int_equal(query(f->db, "SELECT sum(a) FROM t"), 3);
}

static void rollback_forgets_and_may_be_repeated(void **state)
{
    struct fixture *f = *state;
    must_exec(f->db, "CREATE TABLE t(a INTEGER) STRICT");
    assert_int_equal(tz_db_begin_immediate(f->db, NULL), 0);
    must_exec(f->db, "INSERT INTO t VALUES(1)");
    tz_db_rollback(f->db);
    tz_db_rollback(f->db);
    assert_int_equal(query(f->db, "SELECT count(*) FROM t"), 0);
    assert_int_equal(tz_db_begin_read(f->db, NULL), 0);
    assert_true(tz_db_in_transaction(f->db));
    tz_db_rollback(f->db);
}

static void checkpoint_empties_the_wal_and_check_is_content(void **state)
{
    struct fixture *f = *state;
    must_exec(f->db, "CREATE TABLE t(a BLOB) STRICT; INSERT INTO t VALUES(zeroblob(50000))");
    assert_true(tz_memdisk_size(f->disk, "t.db-wal") > 50000);
    assert_int_equal(tz_db_checkpoint(f->db, true, NULL), 0);
    assert_int_equal(tz_memdisk_size(f->disk, "t.db-wal"), 0);
    assert_int_equal(tz_db_check(f->db, false, NULL), 0);
    assert_int_equal(tz_db_check(f->db, true, NULL), 0);
}

static void a_clone_goes_its_own_way(void **state)
{
    struct fixture *f = *state;
    must_exec(f->db, "CREATE TABLE t(a INTEGER) STRICT; INSERT INTO t VALUES(1)");
    struct tz_memdisk *copy = tz_memdisk_clone(f->disk);
    struct tz_db *db;
    char path[64];
    tz_memdisk_path(copy, "t.db", path, sizeof path);
    assert_int_equal(tz_db_open(path, TZ_DB_WRITE, &options, &db, NULL), 0);
    must_exec(db, "UPDATE t SET a=2");
    assert_int_equal(query(db, "SELECT a FROM t"), 2);
    tz_db_close(db);
    assert_int_equal(query(f->db, "SELECT a FROM t"), 1);
    tz_memdisk_free(copy);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pragmas_are_in_force),
        TEST(foreign_keys_bite),
        TEST(content_survives_closing),
        TEST(missing_database_is_said),
        TEST(foreign_file_is_refused_and_left_alone),
        TEST(not_a_database_is_corrupt),
        TEST(second_connection_is_busy),
        TEST(full_disk_is_said_and_nothing_is_lost),
        TEST(failed_sync_is_its_own_error),
        TEST(failed_write_is_an_error_with_text),
        TEST(values_come_back_as_they_went),
        TEST(bindings_do_not_outlive_a_run),
        TEST(bad_sql_names_the_statement),
        TEST(statements_that_are_taken_up_again_are_as_new),
        TEST(savepoints_nest),
        TEST(rollback_forgets_and_may_be_repeated),
        TEST(checkpoint_empties_the_wal_and_check_is_content),
        TEST(a_clone_goes_its_own_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
