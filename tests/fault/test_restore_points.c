/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A restore, killed before each link, rename, removal and sync that it makes, SQLite's own among them. Whatever was cut
 * off, server.db is the former database with all that its WAL held, or the restored one; a former one that is no
 * database any more is whole with its WAL there or under its other name. The command, given again, then succeeds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "catalogue_dir.h"
#include "restore.h"
#include "store_int.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 16 * 1024 * 1024, STEPS_MAX = 400, KILLED = 9 };

/* ---- the kill ---- */

static long steps_left = -1; /* -1: nobody is killed */

static void step(void)
{
    if (steps_left == 0)
        _exit(KILLED);
    if (steps_left > 0)
        steps_left--;
}

int __real_link(const char *a, const char *b);
int __real_rename(const char *a, const char *b);
int __real_unlink(const char *a);
int __real_fsync(int fd);
int __real_fdatasync(int fd);
int __wrap_link(const char *a, const char *b);
int __wrap_rename(const char *a, const char *b);
int __wrap_unlink(const char *a);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);

int __wrap_link(const char *a, const char *b)
{
    step();
    return __real_link(a, b);
}

int __wrap_rename(const char *a, const char *b)
{
    step();
    return __real_rename(a, b);
}

int __wrap_unlink(const char *a)
{
    step();
    return __real_unlink(a);
}

int __wrap_fsync(int fd)
{
    step();
    return __real_fsync(fd);
}

int __wrap_fdatasync(int fd)
{
    step();
    return __real_fdatasync(fd);
}

/* ---- the folder ---- */

struct content {
    uint8_t *p;
    size_t n;
};

static struct {
    struct tz_catalogue cat;
    struct tz_store_options options;
    struct tz_datadir dir;
    struct content db, wal; /* the former ones */
    char backup[PATH_MAX];
    struct tz_err err;
} T;

static struct content read_path(const char *path)
{
    struct content c = {0};
    FILE *f = fopen(path, "rb");
    if (!f)
        return c;
    c.p = malloc(FILE_MAX_BYTES);
    assert_non_null(c.p);
    c.n = fread(c.p, 1, FILE_MAX_BYTES, f);
    (void)fclose(f);
    return c;
}

static void write_file(const char *name, const struct content *c)
{
    char path[PATH_MAX];
    FILE *f = fopen(tz_datadir_file(&T.dir, name, path), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(c->p, 1, c->n, f), c->n);
    assert_int_equal(fclose(f), 0);
}

static bool file_is(const char *name, const struct content *want)
{
    char path[PATH_MAX];
    struct content c = read_path(tz_datadir_file(&T.dir, name, path));
    bool same = c.p && c.n == want->n && memcmp(c.p, want->p, c.n) == 0;
    free(c.p);
    return same;
}

/** Every file of the folder whose name has @part in it goes; NULL: those of former databases and copies are counted. */
static int each_name(const char *part, int (*f)(const char *name))
{
    int n = 0;
    DIR *d = opendir(T.dir.path);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (strstr(e->d_name, part))
            n += f(e->d_name);
    (void)closedir(d);
    return n;
}

static int drop(const char *name)
{
    char path[PATH_MAX];
    return __real_unlink(tz_datadir_file(&T.dir, name, path)) == 0;
}

/** Is it a former database, whole with its WAL? */
static int whole_aside(const char *name)
{
    char wal[NAME_MAX + 8];
    if (strstr(name, "-wal"))
        return 0;
    (void)snprintf(wal, sizeof wal, "%s-wal", name);
    return file_is(name, &T.db) && file_is(wal, &T.wal);
}

/** Put the folder as it was before the restore. */
static void begin_again(void)
{
    each_name("server.db", drop);
    each_name("journal", drop);
    write_file("server.db", &T.db);
    write_file("server.db-wal", &T.wal);
}

/** 1 former with all it had, 2 restored, 0 neither. */
static int what_is_there(void)
{
    char path[PATH_MAX];
    struct tz_db *db = NULL;
    struct tz_err err = {0};
    int64_t after = 0;
    int64_t epoch = 0;
    int rc = tz_db_open(tz_datadir_file(&T.dir, "server.db", path), TZ_DB_READ, &T.options.db, &db, &err);
    if (!rc)
        rc = tz_db_query_int(db, "SELECT count(*) FROM user_grant WHERE code='after'", &after, &err);
    if (!rc && tz_db_query_int(db, "SELECT max(epoch) FROM audit", &epoch, &err))
        epoch = 0;
    tz_db_close(db);
    return rc ? 0 : epoch > 1 && !after ? 2 : after == 1 ? 1 : 0;
}

static int restore_once(void)
{
    struct tz_restore_done done;
    struct tz_restore_spec spec = {.dir = &T.dir, .file = T.backup, .options = &T.options};
    struct tz_err err = {0};
    return tz_restore_run(&spec, &done, &err);
}

/** In a process of its own, killed at its @at-th step. False: it got to its end. */
static bool killed_at(long at)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        steps_left = at;
        _exit(restore_once() ? 1 : 0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) != KILLED)
        assert_int_equal(WEXITSTATUS(status), 0);
    return WEXITSTATUS(status) == KILLED;
}

/** @is_database: the former one can be opened. */
static void cut_everywhere(bool is_database)
{
    int former = 0;
    int restored = 0;
    long at = 0;
    for (;; at++) {
        assert_true(at < STEPS_MAX);
        begin_again();
        if (!killed_at(at))
            break;
        int there = what_is_there();
        if (there == 0 && is_database)
            fail_msg("step %ld left no whole database", at);
        if (there == 0 && !(file_is("server.db", &T.db) &&
                            (file_is("server.db-wal", &T.wal) || each_name("before-restore", whole_aside) > 0)))
            fail_msg("step %ld left neither the former files nor the restored database", at);
        former += there != 2;
        restored += there == 2;
        assert_false(killed_at(-1)); /* given again, it succeeds */
        assert_int_equal(what_is_there(), 2);
        if (!is_database)
            assert_true(each_name("before-restore", whole_aside) > 0 || there == 2);
    }
    assert_true(former > 5 && restored > 0);
    assert_int_equal(what_is_there(), 2);
    print_message("%ld steps, %d left the former one, %d the restored one\n", at, former, restored);
}

/* ---- what is there before ---- */

static void add_user(struct tz_store *s, const char *code)
{
    struct tz_id id;
    assert_int_equal(tz_store_group_begin(s, &T.err), 0);
    assert_int_equal(tz_store_user_add(s, code, code, "D_CLERK", "120101", &id, &T.err), 0);
    assert_int_equal(tz_store_group_commit(s, &T.err), 0);
}

/** A database with a backup, and after that with something that is in its WAL only. @also: more for the WAL. */
static void make_former(const char *also)
{
    char path[PATH_MAX];
    char wal[PATH_MAX];
    char to[PATH_MAX];
    struct tz_store *s = NULL;
    struct tz_backup_made made;
    tz_datadir_file(&T.dir, "server.db", path);
    tz_datadir_file(&T.dir, "server.db-wal", wal);
    tz_datadir_file(&T.dir, "backups", to);
    assert_int_equal(tz_store_create(path, &T.options, &T.err), 0);
    assert_int_equal(tz_store_open(path, &T.options, &s, &T.err), 0);
    struct tz_backup_spec spec = {.store = s, .options = &T.options, .to = to, .keep = 2, .software = "test"};
    assert_int_equal(tz_backup_make(&spec, &made, &T.err), 0);
    memcpy(T.backup, made.file, sizeof T.backup);
    add_user(s, "after");
    if (also)
        assert_int_equal(tz_db_exec(tz_store_db(s), also, &T.err), 0);
    T.db = read_path(path);
    T.wal = read_path(wal);
    assert_true(T.db.n > 0 && T.wal.n > 0);
    tz_store_close(s);
}

static int setup(void **state)
{
    char template[] = "/tmp/tz-restore-XXXXXX";
    (void)state;
    memset(&T, 0, sizeof T);
    assert_non_null(mkdtemp(template));
    assert_int_equal(tz_datadir_init(&T.dir, template, &T.err), 0);
    assert_int_equal(tz_catalogue_load_dir(TZ_SOURCE_DIR "/common/catalogue", &T.cat, &T.err), 0);
    T.options = (struct tz_store_options){.catalogue = &T.cat, .clock = tz_clock_system};
    return 0;
}

static int teardown(void **state)
{
    char command[PATH_MAX + 16];
    (void)state;
    free(T.db.p);
    free(T.wal.p);
    tz_catalogue_deinit(&T.cat);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", T.dir.path);
    return system(command) == 0 ? 0 : -1;
}

/* ---- tests ---- */

static void over_a_good_database(void **state)
{
    (void)state;
    make_former(NULL);
    cut_everywhere(true);
}

/** SQLite can open it, the program cannot read it. */
static void over_one_whose_tables_are_not_known(void **state)
{
    (void)state;
    make_former("ALTER TABLE meta RENAME TO former_meta");
    cut_everywhere(true);
}

/** Its first page is gone. */
static void over_one_that_is_no_database(void **state)
{
    (void)state;
    make_former(NULL);
    memset(T.db.p, 'x', 4096);
    cut_everywhere(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(over_a_good_database, setup, teardown),
        cmocka_unit_test_setup_teardown(over_one_whose_tables_are_not_known, setup, teardown),
        cmocka_unit_test_setup_teardown(over_one_that_is_no_database, setup, teardown),
    };
    return cmocka_run_group_tests_name("restore_points", tests, NULL, NULL);
}
