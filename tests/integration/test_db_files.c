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
#include "dbcopy.h"

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

/* --- copies --- */

static int64_t count_of(const char *path, const struct tz_db_options *opt)
{
    struct tz_db *db;
    assert_int_equal(tz_db_open(path, TZ_DB_READ, opt, &db, NULL), 0);
    int64_t n = query(db, "SELECT count(*) FROM t");
    assert_int_equal(tz_db_check(db, false, NULL), 0);
    tz_db_close(db);
    return n;
}

struct beside {
    struct fixture *f;
    unsigned steps;
    int stop;
};

/** Another connection commits between any two steps. */
static int write_beside(void *ctx, uint64_t done, uint64_t total)
{
    struct beside *b = ctx;
    assert_true(done <= total);
    assert_int_equal(tz_db_exec(b->f->writer, "INSERT INTO t VALUES(3)", NULL), 0);
    assert_true(++b->steps < 1000); /* it does not start anew for that */
    return b->stop;
}

static void a_copy_beside_a_writer_is_one_snapshot(void **state)
{
    struct fixture *f = *state;
    struct beside b = {f, 0, 0};
    struct tz_db *reader;
    struct tz_db_options still = {.immutable = true};
    char path[96];
    snprintf(path, sizeof path, "%s/copy 100%%?#.db", f->folder);
    assert_int_equal(tz_db_exec(f->writer,
                                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<20000)"
                                " INSERT INTO t SELECT i FROM n",
                                NULL),
                     0);
    assert_int_equal(tz_db_open(f->path, TZ_DB_READ, NULL, &reader, NULL), 0);
    assert_int_equal(tz_db_copy(reader, path, 4, write_beside, &b, NULL), 0);
    assert_true(b.steps > 5);
    assert_int_equal(count_of(path, &still), 20001);
    assert_int_equal(tz_db_copy(reader, path, 4, NULL, NULL, NULL), TZ_E_DATA_EXISTS);
    assert_false(tz_db_in_transaction(reader));
    tz_db_close(reader);
    assert_int_equal(unlink(path), 0); /* and nothing was made beside it: teardown removes the folder */
}

static void a_copy_that_is_stopped_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct beside b = {f, 0, TZ_E_INTERRUPTED};
    struct tz_db *reader;
    char path[96];
    snprintf(path, sizeof path, "%s/copy.db", f->folder);
    assert_int_equal(tz_db_open(f->path, TZ_DB_READ, NULL, &reader, NULL), 0);
    assert_int_equal(tz_db_copy(reader, path, 1, write_beside, &b, NULL), TZ_E_INTERRUPTED);
    assert_int_equal(b.steps, 1);
    assert_int_equal(access(path, F_OK), -1);
    snprintf(path, sizeof path, "%s/no/folder.db", f->folder);
    assert_int_equal(tz_db_copy(reader, path, 1, NULL, NULL, NULL), TZ_E_IO);
    tz_db_close(reader);
}

static void an_immutable_file_cannot_be_written(void **state)
{
    struct fixture *f = *state;
    struct tz_db_options still = {.immutable = true};
    struct tz_db *db;
    char path[96];
    snprintf(path, sizeof path, "%s/copy.db", f->folder);
    assert_int_equal(tz_db_copy(f->writer, path, 100, NULL, NULL, NULL), 0);
    assert_int_equal(tz_db_open(path, TZ_DB_WRITE, &still, &db, NULL), 0);
    assert_true(tz_db_readonly(db));
    assert_true(tz_db_exec(db, "INSERT INTO t VALUES(9)", NULL) < 0);
    tz_db_close(db);
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
        TEST(a_copy_beside_a_writer_is_one_snapshot),
        TEST(a_copy_that_is_stopped_leaves_nothing),
        TEST(an_immutable_file_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
