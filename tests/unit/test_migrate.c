/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "memvfs.h"
#include "migrate.h"

static const struct tz_db_options options = {.vfs = TZ_MEMVFS_NAME, .exclusive = true};

struct fixture {
    struct tz_memdisk *disk;
    struct tz_db *db;
};

static int setup(void **state)
{
    static struct fixture f;
    char path[64];
    tz_memvfs_register();
    f.disk = tz_memdisk_new();
    *state = &f;
    return tz_db_open(tz_memdisk_path(f.disk, "t.db", path, sizeof path), TZ_DB_CREATE, &options, &f.db, NULL);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    tz_db_close(f->db);
    tz_memdisk_free(f->disk);
    return 0;
}

static int insert_ctx(struct tz_db *db, void *ctx, struct tz_err *err)
{
    struct tz_stmt s;
    int rc = tz_db_prepare(db, &s, "INSERT INTO t VALUES(?)", err);
    if (rc < 0)
        return rc;
    tz_stmt_bind_int(&s, 1, *(int *)ctx);
    rc = tz_stmt_run(&s, err);
    tz_stmt_finalize(&s);
    return rc;
}

static int fail_planned(struct tz_db *db, void *ctx, struct tz_err *err)
{
    (void)db, (void)ctx;
    return tz_err_set(err, TZ_E_DB, "planned", NULL, NULL, NULL);
}

static const struct tz_migration good[] = {
    {.sql = "CREATE TABLE t(a INTEGER) STRICT; CREATE TABLE u(a INTEGER) STRICT;"},
    {.run = insert_ctx},
    {.sql = "INSERT INTO t VALUES(1)", .run = insert_ctx},
};

static int64_t query(struct tz_db *db, const char *sql)
{
    int64_t n = -1;
    assert_int_equal(tz_db_query_int(db, sql, &n, NULL), 0);
    return n;
}

static void steps_run_once_and_in_order(void **state)
{
    struct fixture *f = *state;
    int ten = 10;
    assert_int_equal(tz_migrate(f->db, good, 1, &ten, NULL), 0);
    assert_int_equal(query(f->db, "PRAGMA user_version"), 1);
    assert_int_equal(tz_migrate(f->db, good, 3, &ten, NULL), 0);
    assert_int_equal(tz_migrate(f->db, good, 3, &ten, NULL), 0);
    assert_int_equal(query(f->db, "PRAGMA user_version"), 3);
    assert_int_equal(query(f->db, "SELECT sum(a) FROM t"), 21);
}

static void failing_step_leaves_the_one_before(void **state)
{
    struct fixture *f = *state;
    int ten = 10;
    const struct tz_migration bad[] = {good[0], {.sql = "INSERT INTO t VALUES(5)", .run = fail_planned}};
    struct tz_err err = {0};
    assert_int_equal(tz_migrate(f->db, bad, 2, &ten, &err), TZ_E_DB);
    assert_non_null(strstr(err.trail, "migrate 2"));
    assert_false(tz_db_in_transaction(f->db));
    assert_int_equal(query(f->db, "PRAGMA user_version"), 1);
    assert_int_equal(query(f->db, "SELECT count(*) FROM t"), 0);
    assert_int_equal(tz_migrate(f->db, good, 3, &ten, NULL), 0);
}

static void bad_sql_inside_a_step_undoes_all_of_it(void **state)
{
    struct fixture *f = *state;
    const struct tz_migration bad[] = {{.sql = "CREATE TABLE t(a INTEGER) STRICT; CREATE TABEL u(a);"}};
    assert_int_equal(tz_migrate(f->db, bad, 1, NULL, NULL), TZ_E_DB);
    assert_int_equal(query(f->db, "SELECT count(*) FROM sqlite_schema"), 0);
    assert_int_equal(query(f->db, "PRAGMA user_version"), 0);
}

static void newer_database_is_refused_with_both_numbers(void **state)
{
    struct fixture *f = *state;
    struct tz_err err = {0};
    assert_int_equal(tz_db_exec(f->db, "PRAGMA user_version=9", NULL), 0);
    assert_int_equal(tz_migrate(f->db, good, 3, NULL, &err), TZ_E_DB_NEWER);
    assert_string_equal(err.args[0], "9");
    assert_string_equal(err.args[1], "3");
    assert_int_equal(tz_migrate_check(f->db, 3, NULL), TZ_E_DB_NEWER);
    assert_int_equal(query(f->db, "SELECT count(*) FROM sqlite_schema"), 0);
}

static void check_wants_the_exact_version(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(tz_migrate_check(f->db, 0, NULL), 0);
    assert_int_equal(tz_migrate_check(f->db, 1, NULL), TZ_E_DB);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(steps_run_once_and_in_order),
        TEST(failing_step_leaves_the_one_before),
        TEST(bad_sql_inside_a_step_undoes_all_of_it),
        TEST(newer_database_is_refused_with_both_numbers),
        TEST(check_wants_the_exact_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
