/* SPDX-License-Identifier: Apache-2.0
 *
 * The same door on real files: a writer with readers beside it, as on the server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "db.h"

struct fixture {
    char folder[64], path[80];
    struct tz_db *writer;
};

static int setup(void **state)
{
    static struct fixture f;
    const char *tmp = getenv("TMPDIR");
    snprintf(f.folder, sizeof f.folder, "%s/tz-db-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    if (!mkdtemp(f.folder))
        return -1;
    snprintf(f.path, sizeof f.path, "%s/t.db", f.folder);
    *state = &f;
    if (tz_db_open(f.path, TZ_DB_CREATE, NULL, &f.writer, NULL) < 0)
        return -1;
    return tz_db_exec(f.writer, "CREATE TABLE t(a INTEGER) STRICT; INSERT INTO t VALUES(1)", NULL);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    static const char *const suffix[] = {"", "-wal", "-shm"};
    char path[96];
    tz_db_close(f->writer);
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s%s", f->path, suffix[i]);
        unlink(path);
    }
    return rmdir(f->folder);
}

static int64_t query(struct tz_db *db, const char *sql)
{
    int64_t n = -1;
    assert_int_equal(tz_db_query_int(db, sql, &n, NULL), 0);
    return n;
}

static void reader_keeps_its_snapshot(void **state)
{
    struct fixture *f = *state;
    struct tz_db *reader;
    assert_int_equal(tz_db_open(f->path, TZ_DB_READ, NULL, &reader, NULL), 0);
    assert_int_equal(tz_db_begin_read(reader, NULL), 0);
    assert_int_equal(tz_db_exec(f->writer, "INSERT INTO t VALUES(2)", NULL), 0); /* after begin_read, before a read */
    assert_int_equal(query(reader, "SELECT count(*) FROM t"), 1);
    tz_db_rollback(reader);
    assert_int_equal(query(reader, "SELECT count(*) FROM t"), 2);
    assert_true(tz_db_begin_immediate(reader, NULL) < 0 || tz_db_exec(reader, "DELETE FROM t", NULL) < 0);
    tz_db_rollback(reader);
    tz_db_close(reader);
}

static void writer_holds_its_pragmas_on_files(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(query(f->writer, "PRAGMA synchronous"), 2);
    assert_int_equal(query(f->writer, "PRAGMA foreign_keys"), 1);
    assert_int_equal(query(f->writer, "PRAGMA trusted_schema"), 0);
    assert_string_equal(tz_db_path(f->writer), f->path);
}

static void missing_and_unreachable_files_differ(void **state)
{
    struct fixture *f = *state;
    char path[96];
    struct tz_db *db;
    struct tz_err err = {0};
    snprintf(path, sizeof path, "%s/none.db", f->folder);
    assert_int_equal(tz_db_open(path, TZ_DB_READ, NULL, &db, &err), TZ_E_DB_MISSING);
    assert_int_equal(tz_db_open(path, TZ_DB_WRITE, NULL, &db, &err), TZ_E_DB_MISSING);
    assert_int_equal(access(path, F_OK), -1);
    snprintf(path, sizeof path, "%s/no/folder.db", f->folder);
    assert_int_equal(tz_db_open(path, TZ_DB_CREATE, NULL, &db, &err), TZ_E_IO);
    assert_string_equal(err.args[0], path);
}

static void empty_file_is_no_database_yet(void **state)
{
    struct fixture *f = *state;
    char path[96];
    struct tz_db *db;
    snprintf(path, sizeof path, "%s/empty.db", f->folder);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(tz_db_open(path, TZ_DB_WRITE, NULL, &db, NULL), TZ_E_DB_MISSING);
    assert_int_equal(tz_db_open(path, TZ_DB_CREATE, NULL, &db, NULL), 0);
    tz_db_close(db);
    assert_int_equal(unlink(path), 0);
}

static void text_is_not_a_database(void **state)
{
    struct fixture *f = *state;
    char path[96];
    struct tz_db *db;
    struct tz_err err = {0};
    snprintf(path, sizeof path, "%s/text.db", f->folder);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (int i = 0; i < 500; i++)
        fputs("plain text\n", file);
    fclose(file);
    assert_int_equal(tz_db_open(path, TZ_DB_CREATE, NULL, &db, &err), TZ_E_DB_CORRUPT);
    assert_int_equal(unlink(path), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reader_keeps_its_snapshot),
        TEST(writer_holds_its_pragmas_on_files),
        TEST(missing_and_unreachable_files_differ),
        TEST(empty_file_is_no_database_yet),
        TEST(text_is_not_a_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
