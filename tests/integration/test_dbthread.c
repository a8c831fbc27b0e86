/* SPDX-License-Identifier: Apache-2.0
 *
 * The database thread on a real loop. Batches are steered with a semaphore, not with time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "dbthread.h"

enum { JOBS = 1000 };

struct test_job {
    struct tz_job node;
    unsigned number, batch;
};

struct fixture {
    uv_loop_t loop;
    struct tz_dbthread *thread;
    uv_sem_t gate; /* run_batch waits here before its first batch when gated */
    bool gated;
    unsigned batches, ran, finished; /* on the thread; read on the loop after it has stopped */
    unsigned longest, wrong;         /* an assertion on the thread could not end the test */
    unsigned done, stopped, resubmit;
    struct test_job jobs[JOBS];
};

static void run_batch(void *ctx, struct tz_job *head)
{
    struct fixture *f = ctx;
    unsigned n = 0;
    if (f->gated && f->batches == 0)
        uv_sem_wait(&f->gate);
    for (struct tz_job *j = head; j; j = j->next, n++) {
        struct test_job *t = (struct test_job *)j;
        f->wrong += t->number != f->ran % JOBS;
        f->ran++;
        t->batch = f->batches;
    }
    f->wrong += n == 0;
    f->longest = n > f->longest ? n : f->longest;
    f->batches++;
}

static void done(void *ctx, struct tz_job *job)
{
    struct fixture *f = ctx;
    struct test_job *t = (struct test_job *)job;
    assert_int_equal(t->number, f->done % JOBS); /* in order */
    assert_int_equal(f->stopped, 0);
    f->done++;
    if (f->resubmit) {
        f->resubmit--;
        assert_int_equal(tz_dbthread_submit(f->thread, job), 0);
    } else if (tz_dbthread_pending(f->thread) == 0) {
        uv_stop(&f->loop);
    }
}

static void finish(void *ctx)
{
    struct fixture *f = ctx;
    f->finished++;
}

static void on_stopped_cb(void *data)
{
    struct fixture *f = data;
    f->stopped++;
}

static const struct tz_dbthread_ops ops = {.run_batch = run_batch, .done = done, .finish = finish};

static struct fixture *start(uint32_t jobs_max, uint32_t batch_max, bool gated)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    assert_int_equal(uv_sem_init(&f->gate, 0), 0);
    f->gated = gated;
    for (unsigned i = 0; i < JOBS; i++)
        f->jobs[i].number = i;
    assert_int_equal(tz_dbthread_start(&f->loop, &ops, f, jobs_max, batch_max, &f->thread, NULL), 0);
    return f;
}

static void submit(struct fixture *f, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        assert_int_equal(tz_dbthread_submit(f->thread, &f->jobs[i].node), 0);
}

static void stop_and_free(struct fixture *f)
{
    uv_run(&f->loop, UV_RUN_DEFAULT); /* until nothing is open */
    assert_int_equal(f->stopped, 1);
    assert_int_equal(f->wrong, 0);
    assert_int_equal(f->finished, 1);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    uv_sem_destroy(&f->gate);
    free(f);
}

static void jobs_come_back_in_order(void **state)
{
    (void)state;
    struct fixture *f = start(JOBS, 64, false);
    submit(f, 0, JOBS);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->done, JOBS);
    assert_int_equal(tz_dbthread_pending(f->thread), 0);
    tz_dbthread_stop(f->thread, on_stopped_cb, f);
    stop_and_free(f);
}

static void what_waits_becomes_one_batch(void **state)
{
    (void)state;
    struct fixture *f = start(JOBS, 50, true);
    submit(f, 0, 120); /* the first batch waits at the gate while the rest queues up */
    uv_sem_post(&f->gate);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->done, 120);
    tz_dbthread_stop(f->thread, on_stopped_cb, f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->longest, 50);
    assert_true(f->batches <= 4);
    stop_and_free(f);
}

static void stop_drains_first(void **state)
{
    (void)state;
    struct fixture *f = start(JOBS, 7, true);
    submit(f, 0, JOBS);
    tz_dbthread_stop(f->thread, on_stopped_cb, f);
    struct tz_job late;
    assert_int_equal(tz_dbthread_submit(f->thread, &late), TZ_E_DRAINING);
    uv_sem_post(&f->gate);
    while (f->done < JOBS)
        uv_run(&f->loop, UV_RUN_ONCE);
    stop_and_free(f);
}

static void full_queue_refuses(void **state)
{
    (void)state;
    struct fixture *f = start(3, 10, true);
    submit(f, 0, 3);
    assert_int_equal(tz_dbthread_submit(f->thread, &f->jobs[3].node), TZ_E_TOO_MANY);
    uv_sem_post(&f->gate);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    submit(f, 3, 4);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->done, 4);
    tz_dbthread_stop(f->thread, on_stopped_cb, f);
    stop_and_free(f);
}

static void done_may_submit_again(void **state)
{
    (void)state;
    struct fixture *f = start(JOBS, 100, false);
    f->resubmit = 3 * JOBS;
    submit(f, 0, JOBS);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->done, 4 * JOBS);
    tz_dbthread_stop(f->thread, on_stopped_cb, f);
    stop_and_free(f);
}

static void idle_thread_stops(void **state)
{
    (void)state;
    struct fixture *f = start(1, 1, false);
    tz_dbthread_stop(f->thread, on_stopped_cb, f);
    stop_and_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_come_back_in_order), cmocka_unit_test(what_waits_becomes_one_batch),
        cmocka_unit_test(stop_drains_first),       cmocka_unit_test(full_queue_refuses),
        cmocka_unit_test(done_may_submit_again),   cmocka_unit_test(idle_thread_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
