/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop set-up and end. The signal handles are unreferenced, so that the loop ends when all work has ended; tz_loop_free
 * closes them and lets their close callbacks run before the loop itself is closed.
 */
#include "loop.h"

#include "log.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct tz_loop {
    uv_loop_t uv;
    uv_signal_t signals[2];
    unsigned nsignals; /* initialised ones */
    tz_loop_signal_cb *cb;
    void *ctx;
};

static void on_signal_cb(uv_signal_t *h, int signum)
{
    struct tz_loop *l = h->data;
    l->cb(l->ctx, signum);
}

static int catch_signal(struct tz_loop *l, int signum)
{
    uv_signal_t *h = &l->signals[l->nsignals];
    int rc = uv_signal_init(&l->uv, h);
    if (rc < 0)
        return rc;
    l->nsignals++;
    h->data = l;
    uv_unref((uv_handle_t *)h);
    return uv_signal_start(h, on_signal_cb, signum);
}

static void ignore_sigpipe(void)
{
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &sa, NULL);
}

int tz_loop_new(tz_loop_signal_cb *cb, void *ctx, struct tz_loop **out, struct tz_err *err)
{
    *out = NULL;
    struct tz_loop *l = calloc(1, sizeof *l);
    if (l == NULL)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    ignore_sigpipe();
    int rc = uv_loop_init(&l->uv);
    if (rc < 0) {
        free(l);
        return tz_err_set(err, TZ_E_INTERNAL, uv_strerror(rc), NULL, NULL, NULL);
    }
    l->cb = cb;
    l->ctx = ctx;
    if (cb != NULL && ((rc = catch_signal(l, SIGTERM)) < 0 || (rc = catch_signal(l, SIGINT)) < 0)) {
        tz_loop_free(l);
        return tz_err_set(err, TZ_E_INTERNAL, uv_strerror(rc), NULL, NULL, NULL);
    }
    *out = l;
    return 0;
}

struct uv_loop_s *tz_loop_uv(struct tz_loop *l)
{
    return &l->uv;
}

void tz_loop_run(struct tz_loop *l)
{
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
}

void tz_loop_free(struct tz_loop *l)
{
    if (l == NULL)
        return;
    for (unsigned i = 0; i < l->nsignals; i++)
        uv_close((uv_handle_t *)&l->signals[i], NULL);
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    if (uv_loop_close(&l->uv) !=
        0) { /* a handle was left open: not an assert, because builds with NDEBUG must see it too */
        tz_log(TZ_LOG_ERROR, "loop", "handles left open", "%s", "");
        abort();
    }
    free(l);
}
