/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executor on a real loop with a real database: groups commit whole, a job that cannot work takes no other along,
 * and stopping gives every job back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "catalogue_dir.h"
#include "exec.h"
#include "loop.h"
#include "memvfs.h"
#include "session_int.h"

#include <sqlite3.h>
#include <uv.h>

enum { JOBS = 40, KINDS_MAX = 32 };

struct fixture {
    char dir[64], path[96];
    struct tz_memdisk *disk; /* NULL: real files */
    struct tz_catalogue cat;
    struct tz_store_options so;
    struct tz_loop *loop;
    struct tz_exec *exec;
    struct tz_metrics metrics;
    struct tz_admin_env env;
    int code[JOBS]; /* by token; 1 = not answered */
    unsigned answered, stopped;
    enum tz_job_kind kinds[KINDS_MAX]; /* of questions, as they were answered */
    unsigned nkinds, refused;
};

static int setup_on(void **state, bool memory)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct tz_err err = {0};
    assert_non_null(f);
    *state = f;
    (void)snprintf(f->dir, sizeof f->dir, "%s", "test-exec-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof f->path, "%s/server.db", f->dir);
    assert_int_equal(tz_catalogue_load_dir(TZ_SOURCE_DIR "/common/catalogue", &f->cat, &err), 0);
    f->disk = memory ? tz_memdisk_new() : NULL;
    f->so = (struct tz_store_options){.catalogue = &f->cat, .clock = tz_clock_system};
    if (f->disk) {
        tz_memvfs_register();
        (void)tz_memdisk_path(f->disk, "server.db", f->path, sizeof f->path);
        f->so.db = (struct tz_db_options){.vfs = TZ_MEMVFS_NAME, .exclusive = true};
    }
    f->env.address = "127.0.0.1:7700";
    assert_int_equal(tz_store_create(f->path, &f->so, &err), 0);
    assert_int_equal(tz_loop_new(NULL, NULL, &f->loop, &err), 0);
    for (int i = 0; i < JOBS; i++)
        f->code[i] = 1;
    return 0;
}

static int setup(void **state)
{
    return setup_on(state, false);
}

/** One connection only, so no readers. */
static int setup_memory(void **state)
{
    return setup_on(state, true);
}

static int teardown(void **state)
{
    static const char *const names[] = {"server.db", "server.db-wal", "server.db-shm"};
    struct fixture *f = *state;
    char path[128];
    tz_loop_free(f->loop);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", f->dir, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(f->dir);
    tz_memdisk_free(f->disk);
    tz_catalogue_deinit(&f->cat);
    free(f);
    return 0;
}

static void on_sjob(void *ctx, struct tz_sjob *job)
{
    struct fixture *f = ctx;
    if (f->nkinds < KINDS_MAX)
        f->kinds[f->nkinds++] = tz_sjob_kind(job);
    tz_sjob_free(job);
}

static void on_admin(void *ctx, struct tz_control_token token, struct tz_admin_outcome *out, const struct tz_err *err)
{
    struct fixture *f = ctx;
    assert_int_equal(out->reply == NULL, err->code != 0);
    json_decref(out->reply);
    f->code[token.id] = err->code;
    f->answered++;
    assert_int_equal(f->stopped, 0);
}

static void on_stopped(void *ctx)
{
    struct fixture *f = ctx;
    f->stopped++;
}

static void start(struct fixture *f, unsigned readers)
{
    const struct tz_exec_cb cb = {on_sjob, on_admin, on_stopped};
    const struct tz_exec_options o = {f->path, &f->so, readers, &f->env, &f->metrics};
    struct tz_err err = {0};
    assert_int_equal(tz_exec_start(tz_loop_uv(f->loop), &o, &cb, f, &f->exec, &err), 0);
}

static void user_add(struct fixture *f, unsigned n, const char *role)
{
    char code[16];
    (void)snprintf(code, sizeof code, "u%u", n);
    json_t *q = json_pack("{s:s,s:s,s:s,s:s,s:s}", "command", "user add", "code", code, "name", code, "role", role,
                          "area", "120101");
    assert_int_equal(tz_exec_admin(f->exec, q, (struct tz_control_token){n}), 0);
}

static int count_user(void *ctx, const struct tz_user *u)
{
    unsigned *n = ctx;
    (void)u;
    ++*n;
    return 1;
}

static unsigned users_stored(struct fixture *f)
{
    struct tz_store *s = NULL;
    struct tz_err err = {0};
    uint64_t entries = 0;
    unsigned n = 0;
    assert_int_equal(tz_store_open(f->path, &f->so, &s, &err), 0);
    assert_int_equal(tz_store_users(s, count_user, &n, &err), 0);
    assert_int_equal(tz_store_audit_check(s, &entries, &err), 0);
    tz_store_close(s);
    return n;
}

static void one_bad_job_takes_no_other_along(void **state)
{
    struct fixture *f = *state;
    start(f, 1);
    tz_ver before = tz_exec_head(f->exec);
    for (unsigned i = 0; i < JOBS; i++) /* every fourth cannot work */
        user_add(f, i, i % 4 == 3 ? "NO_SUCH_ROLE" : "D_CLERK");
    tz_exec_stop(f->exec);
    tz_loop_run(f->loop);
    assert_int_equal(f->stopped, 1);
    assert_int_equal(f->answered, JOBS);
    for (unsigned i = 0; i < JOBS; i++)
        assert_int_equal(f->code[i], i % 4 == 3 ? TZ_E_VALUE : 0);
    assert_true(atomic_load(&f->metrics.rollbacks) >= JOBS / 4);
    assert_true(before != 0);
    assert_int_equal(users_stored(f), JOBS - JOBS / 4);
}

static void good_jobs_share_groups(void **state)
{
    struct fixture *f = *state;
    start(f, 4);
    for (unsigned i = 0; i < JOBS; i++)
        user_add(f, i, "D_CLERK");
    tz_exec_stop(f->exec);
    tz_loop_run(f->loop);
    assert_int_equal(f->answered, JOBS);
    assert_int_equal(atomic_load(&f->metrics.rollbacks), 0);
    assert_int_equal(atomic_load(&f->metrics.grouped_jobs), JOBS);
    assert_true(atomic_load(&f->metrics.groups) <
                JOBS); /* what came in during the first commit went out with the second */
    assert_int_equal(users_stored(f), JOBS);
}

static void stopping_without_work_ends(void **state)
{
    struct fixture *f = *state;
    start(f, 2);
    tz_exec_stop(f->exec);
    tz_loop_run(f->loop);
    assert_int_equal(f->stopped, 1);
    assert_int_equal(users_stored(f), 0);
}

static void run_until_answered(struct fixture *f, unsigned answers)
{
    while (f->answered < answers)
        (void)uv_run(tz_loop_uv(f->loop), UV_RUN_ONCE);
}

static void full_disk_settles_all_and_later_works_again(void **state)
{
    struct fixture *f = *state;
    start(f, 0);
    tz_ver before = tz_exec_head(f->exec);
    tz_memdisk_capacity_set(f->disk, 1);
    for (unsigned i = 0; i < 3; i++)
        user_add(f, i, "D_CLERK");
    run_until_answered(f, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(f->code[i], TZ_E_DISK_FULL);
    assert_int_equal(tz_exec_head(f->exec), before);
    tz_memdisk_capacity_set(f->disk, 0);
    for (unsigned i = 0; i < 3; i++)
        user_add(f, i, "D_CLERK");
    run_until_answered(f, 6);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(f->code[i], 0);
    assert_true(tz_exec_head(f->exec) > before);
    tz_exec_stop(f->exec);
    tz_loop_run(f->loop);
    assert_int_equal(users_stored(f), 3);
}

/** A session's question that walks, or a page of rows: as a session would make it. */
static void ask(struct fixture *f, enum tz_job_kind kind, uint32_t device)
{
    struct tz_sjob *j = NULL;
    assert_int_equal(tz_sjob_new(kind, 1, &j), 0);
    j->grant = calloc(1, sizeof *j->grant);
    assert_non_null(j->grant);
    j->grant->device = device;
    j->grant->nareas = 1;
    j->buckets.round = TZ_DIGEST_AREAS;
    j->cursors = tz_arena_calloc(&j->a, 1, sizeof *j->cursors); /* none */
    int rc = tz_exec_submit(f->exec, j);
    if (rc) {
        assert_int_equal(rc, TZ_E_TOO_MANY);
        f->refused++;
        tz_sjob_free(j);
    }
}

static void who_asks_often_is_in_nobodys_way(void **state)
{
    struct fixture *f = *state;
    start(f, 2);
    for (int i = 0; i < 100; i++)
        ask(f, TZ_JOB_VERIFY, 7);
    ask(f, TZ_JOB_DIGEST, 8);
    ask(f, TZ_JOB_PULL, 7);
    assert_int_equal(f->refused, 100 - 1 - 8);
    while (f->nkinds < 1 + 8 + 2)
        (void)uv_run(tz_loop_uv(f->loop), UV_RUN_ONCE);
    unsigned digest = 0;
    for (unsigned i = 0; i < f->nkinds; i++)
        digest = f->kinds[i] == TZ_JOB_DIGEST ? i : digest;
    assert_in_range(digest, 1, 2); /* after the one under way; the page of rows may have been before both */
    tz_exec_stop(f->exec);
    tz_loop_run(f->loop);
    assert_int_equal(f->stopped, 1);
}

static void questions_that_wait_are_answered_when_it_stops(void **state)
{
    struct fixture *f = *state;
    start(f, 1);
    for (int i = 0; i < 5; i++)
        ask(f, TZ_JOB_DIGEST, 7);
    tz_exec_stop(f->exec);
    tz_loop_run(f->loop);
    assert_int_equal(f->nkinds, 5);
    assert_int_equal(f->stopped, 1);
}

/** In a process of its own: it ends there. */
static int serve_on_a_lying_disk(void)
{
    void *state = NULL;
    if (setup_memory(&state))
        return 100;
    struct fixture *f = state;
    (void)rmdir(f->dir);
    start(f, 0);
    tz_memdisk_fail_at(f->disk, TZ_MEMDISK_SYNC, 1, SQLITE_IOERR_FSYNC);
    user_add(f, 0, "D_CLERK");
    run_until_answered(f, 1);
    return 101; /* it answered: whatever it said, it could not know */
}

static void failed_fsync_ends_the_process_without_an_answer(void **state)
{
    int status = 0;
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(serve_on_a_lying_disk());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
}

static void missing_database_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    const struct tz_exec_cb cb = {on_sjob, on_admin, on_stopped};
    const struct tz_exec_options o = {"no-such-folder/server.db", &f->so, 1, &f->env, &f->metrics};
    struct tz_err err = {0};
    assert_true(tz_exec_start(tz_loop_uv(f->loop), &o, &cb, f, &f->exec, &err) < 0);
    assert_null(f->exec);
    tz_loop_run(f->loop);
    assert_int_equal(f->stopped, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_bad_job_takes_no_other_along, setup, teardown),
        cmocka_unit_test_setup_teardown(good_jobs_share_groups, setup, teardown),
        cmocka_unit_test_setup_teardown(stopping_without_work_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(full_disk_settles_all_and_later_works_again, setup_memory, teardown),
        cmocka_unit_test_setup_teardown(who_asks_often_is_in_nobodys_way, setup, teardown),
        cmocka_unit_test_setup_teardown(questions_that_wait_are_answered_when_it_stops, setup, teardown),
        cmocka_unit_test(failed_fsync_ends_the_process_without_an_answer),
        cmocka_unit_test_setup_teardown(missing_database_leaves_nothing_behind, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
