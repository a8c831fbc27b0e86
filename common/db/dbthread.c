/* SPDX-License-Identifier: Apache-2.0
 *
 * The database thread (see dbthread.h).
 *
 *   loop thread                      |          this thread
 *   submit --> queue  ---------------|--> take up to batch_max --> run_batch
 *   done  <-- returning <-- finished-|<-- append, uv_async_send
 *
 * Invariants
 *  1. `queue`, `finished`, `stopping` and `exited` are touched under the mutex only; `returning`, `pending` and the
 * rest belong to the loop. A job is in one list at a time, and lists keep the order of submit.
 *  2. uv_async_send may be merged with others, so the callback takes all there is and never counts.
 *  3. The thread's last act is to set `exited` and wake the loop; the loop then joins (which cannot wait long) and
 * closes.
 *
 * It knows nothing of SQLite, and a batch cannot be cancelled: who no longer wants a result ignores it in done.
 */
#include "dbthread.h"

#include <assert.h>
#include <stdlib.h>

enum { DONE_PER_TURN = 256 }; /* then other callbacks of the loop get their turn */

struct job_list {
    struct tz_job *head, *tail;
};

struct tz_dbthread {
    const struct tz_dbthread_ops *ops;
    void *ctx;
    uint32_t jobs_max, batch_max;

    uv_mutex_t mutex;
    uv_cond_t wake;
    struct job_list queue, finished;
    bool stopping, exited;

    uv_thread_t thread;
    uv_async_t async;
    struct job_list returning;
    uint32_t pending;
    bool closing;
    tz_dbthread_stopped_cb stopped;
    void *stopped_data;
};

static void list_append(struct job_list *l, struct job_list *more)
{
    if (!more->head)
        return;
    if (l->tail)
        l->tail->next = more->head;
    else
        l->head = more->head;
    l->tail = more->tail;
    *more = (struct job_list){0};
}

/* Cut up to @max jobs off the front. */
static struct job_list list_take(struct job_list *l, uint32_t max)
{
    struct job_list front = {l->head, l->head};
    if (!l->head)
        return front;
    for (uint32_t n = 1; n < max && front.tail->next; n++)
        front.tail = front.tail->next;
    l->head = front.tail->next;
    if (!l->head)
        l->tail = NULL;
    front.tail->next = NULL;
    return front;
}

/* --- on this thread --- */

/* Wait for jobs; an empty list means that it is time to end. */
static struct job_list next_batch(struct tz_dbthread *t)
{
    uv_mutex_lock(&t->mutex);
    while (!t->queue.head && !t->stopping)
        uv_cond_wait(&t->wake, &t->mutex);
    struct job_list batch = list_take(&t->queue, t->batch_max);
    uv_mutex_unlock(&t->mutex);
    return batch;
}

static void thread_main(void *arg)
{
    struct tz_dbthread *t = arg;
    for (;;) {
        struct job_list batch = next_batch(t);
        if (!batch.head)
            break;
        t->ops->run_batch(t->ctx, batch.head);
        uv_mutex_lock(&t->mutex);
        list_append(&t->finished, &batch);
        uv_mutex_unlock(&t->mutex);
        uv_async_send(&t->async);
    }
    if (t->ops->finish)
        t->ops->finish(t->ctx);
    uv_mutex_lock(&t->mutex);
    t->exited = true;
    uv_mutex_unlock(&t->mutex);
    uv_async_send(&t->async);
}

/* --- on the loop --- */

static void dbthread_free(struct tz_dbthread *t)
{
    uv_cond_destroy(&t->wake);
    uv_mutex_destroy(&t->mutex);
    free(t);
}

static void on_closed_cb(uv_handle_t *h)
{
    struct tz_dbthread *t = h->data;
    if (t->stopped)
        t->stopped(t->stopped_data);
    dbthread_free(t);
}

static void end_thread(struct tz_dbthread *t)
{
    assert(t->pending == 0);
    t->closing = true;
    uv_thread_join(&t->thread);
    uv_close((uv_handle_t *)&t->async, on_closed_cb);
}

static void on_async_cb(uv_async_t *h)
{
    struct tz_dbthread *t = h->data;
    if (t->closing)
        return;
    uv_mutex_lock(&t->mutex);
    list_append(&t->returning, &t->finished);
    bool exited = t->exited;
    uv_mutex_unlock(&t->mutex);

    struct job_list now = list_take(&t->returning, DONE_PER_TURN);
    while (now.head) {
        struct tz_job *job = list_take(&now, 1).head;
        t->pending--;
        t->ops->done(t->ctx, job);
    }
    if (t->returning.head)
        uv_async_send(&t->async);
    else if (exited)
        end_thread(t);
}

int tz_dbthread_submit(struct tz_dbthread *t, struct tz_job *job)
{
    if (t->stopping) /* written by this thread only */
        return TZ_E_DRAINING;
    if (t->pending >= t->jobs_max)
        return TZ_E_TOO_MANY;
    t->pending++;
    job->next = NULL;
    struct job_list one = {job, job};
    uv_mutex_lock(&t->mutex);
    list_append(&t->queue, &one);
    uv_cond_signal(&t->wake);
    uv_mutex_unlock(&t->mutex);
    return 0;
}

uint32_t tz_dbthread_pending(const struct tz_dbthread *t)
{
    return t->pending;
}

void tz_dbthread_stop(struct tz_dbthread *t, tz_dbthread_stopped_cb stopped, void *data)
{
    assert(!t->stopping);
    t->stopped = stopped;
    t->stopped_data = data;
    uv_mutex_lock(&t->mutex);
    t->stopping = true;
    uv_cond_signal(&t->wake);
    uv_mutex_unlock(&t->mutex);
}

/* Staged: what was set up is taken down in reverse; the async handle, once with the loop, can only be closed through
 * it. */
int tz_dbthread_start(uv_loop_t *loop, const struct tz_dbthread_ops *ops, void *ctx, uint32_t jobs_max,
                      uint32_t batch_max, struct tz_dbthread **out, struct tz_err *err)
{
    int rc;
    *out = NULL;
    struct tz_dbthread *t = calloc(1, sizeof *t);
    if (!t)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    t->ops = ops;
    t->ctx = ctx;
    t->jobs_max = jobs_max;
    t->batch_max = batch_max;
    if ((rc = uv_mutex_init(&t->mutex)) != 0)
        goto fail;
    if ((rc = uv_cond_init(&t->wake)) != 0)
        goto fail_mutex;
    if ((rc = uv_async_init(loop, &t->async, on_async_cb)) != 0)
        goto fail_cond;
    t->async.data = t;
    if ((rc = uv_thread_create(&t->thread, thread_main, t)) != 0) {
        t->closing = true;
        uv_close((uv_handle_t *)&t->async, on_closed_cb); /* frees */
        return tz_err_setf(err, TZ_E_INTERNAL, "database thread: %s", uv_strerror(rc));
    }
    *out = t;
    return 0;

fail_cond:
    uv_cond_destroy(&t->wake);
fail_mutex:
    uv_mutex_destroy(&t->mutex);
fail:
    free(t);
    return tz_err_setf(err, TZ_E_INTERNAL, "database thread: %s", uv_strerror(rc));
}
