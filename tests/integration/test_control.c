/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket: a thread asks with the blocking helper, a loop answers at once or later. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "control.h"
#include "loop.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

struct world {
    char folder[256];
    char path[400];
    struct tz_loop *loop;
    struct tz_control *control;
    uv_timer_t later;
    struct tz_control_token kept;
    unsigned asked;
};

struct question {
    const char *path;
    const char *text;
    uint32_t timeout_ms;
    struct tz_buf reply;
    struct tz_err err;
    int rc;
};

static void answer_later_cb(uv_timer_t *t)
{
    struct world *w = t->data;
    assert_int_equal(tz_control_reply(w->control, w->kept, tz_bytes_str("{\"late\":true}")), 0);
    assert_int_equal(tz_control_reply(w->control, w->kept, tz_bytes_str("twice")), 0);
}

static void on_request(void *ctx, const char *line, struct tz_control_token token)
{
    static const uint8_t big[TZ_CONTROL_REPLY_MAX + 1];
    struct world *w = ctx;
    w->asked++;
    if (strcmp(line, "status") == 0) {
        assert_int_equal(tz_control_reply(w->control, token, tz_bytes_str("{\"ok\":1}")), 0);
    } else if (strcmp(line, "later") == 0) {
        w->kept = token;
        assert_int_equal(uv_timer_start(&w->later, answer_later_cb, 30, 0), 0);
    } else if (strcmp(line, "big") == 0) {
        assert_int_equal(tz_control_reply(w->control, token, tz_bytes_of(big, sizeof big - 1)), 0);
    } else if (strcmp(line, "too big") == 0) {
        assert_int_equal(tz_control_reply(w->control, token, tz_bytes_of(big, sizeof big)), TZ_E_LIMIT);
    } else if (strcmp(line, "stop") == 0) {
        uv_close((uv_handle_t *)&w->later, NULL);
        tz_control_stop(w->control, NULL, NULL);
    }
}

static void world_start(struct world *w)
{
    *w = (struct world){.asked = 0};
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(w->folder, sizeof w->folder, "%s/tz-control-XXXXXX", tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(w->folder));
    (void)snprintf(w->path, sizeof w->path, "%s/control.sock", w->folder);
    assert_int_equal(tz_loop_new(NULL, NULL, &w->loop, NULL), 0);
    assert_int_equal(uv_timer_init(tz_loop_uv(w->loop), &w->later), 0);
    w->later.data = w;
}

static void listen_at(struct world *w)
{
    struct stat st;
    assert_int_equal(tz_control_listen(tz_loop_uv(w->loop), w->path, on_request, w, &w->control, NULL), 0);
    assert_int_equal(stat(w->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void world_end(struct world *w)
{
    tz_loop_free(w->loop);
    assert_int_equal(access(w->path, F_OK), -1);
    assert_int_equal(rmdir(w->folder), 0);
}

static void ask(struct question *q)
{
    tz_buf_init(&q->reply, 2 * TZ_CONTROL_REPLY_MAX);
    q->rc = tz_control_ask(q->path, q->text, &q->reply, q->timeout_ms, &q->err);
}

static void *ask_all(void *list)
{
    for (struct question *q = list; q->text != NULL; q++)
        ask(q);
    return NULL;
}

/* Run the loop while a thread asks; the last question must be "stop". */
static void converse(struct world *w, struct question *list)
{
    pthread_t t;
    for (struct question *q = list; q->text != NULL; q++)
        q->path = w->path;
    assert_int_equal(pthread_create(&t, NULL, ask_all, list), 0);
    tz_loop_run(w->loop);
    assert_int_equal(pthread_join(t, NULL), 0);
}

static void expect_reply(const struct question *q, const char *text)
{
    assert_int_equal(q->rc, 0);
    assert_true(tz_bytes_eq(tz_buf_unread(&q->reply), tz_bytes_str(text)));
}

static void questions_are_answered_now_or_later(void **state)
{
    (void)state;
    struct world w;
    struct question q[] = {{.text = "status", .timeout_ms = 5000},
                           {.text = "later", .timeout_ms = 5000},
                           {.text = "big", .timeout_ms = 5000},
                           {.text = "too big", .timeout_ms = 5000},
                           {.text = "never", .timeout_ms = 50},
                           {.text = "stop", .timeout_ms = 5000},
                           {.text = NULL}};
    world_start(&w);
    listen_at(&w);
    converse(&w, q);
    expect_reply(&q[0], "{\"ok\":1}");
    expect_reply(&q[1], "{\"late\":true}");
    assert_int_equal(q[2].rc, 0);
    assert_int_equal(q[2].reply.len, TZ_CONTROL_REPLY_MAX);
    assert_int_equal(q[3].rc, TZ_E_GONE);
    assert_int_equal(q[4].rc, TZ_E_TIMEOUT);
    assert_int_equal(q[5].rc, TZ_E_GONE);
    assert_int_equal(w.asked, 6);
    for (size_t i = 0; i < 6; i++)
        tz_buf_deinit(&q[i].reply);
    world_end(&w);
}

static void stale_socket_is_replaced_and_a_live_one_is_not(void **state)
{
    (void)state;
    struct world w;
    struct tz_control *second = NULL;
    struct tz_err err = {0};
    world_start(&w);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    assert_true(strlen(w.path) < sizeof sa.sun_path);
    memcpy(sa.sun_path, w.path, strlen(w.path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(close(fd), 0);
    listen_at(&w);
    assert_int_equal(tz_control_listen(tz_loop_uv(w.loop), w.path, on_request, &w, &second, &err), TZ_E_ADDRESS);
    assert_null(second);
    struct question q[] = {{.text = "stop", .timeout_ms = 5000}, {.text = NULL}};
    converse(&w, q);
    tz_buf_deinit(&q[0].reply);
    world_end(&w);
}

static void other_files_are_left_alone(void **state)
{
    (void)state;
    struct world w;
    struct tz_err err = {0};
    world_start(&w);
    FILE *f = fopen(w.path, "w");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(tz_control_listen(tz_loop_uv(w.loop), w.path, on_request, &w, &w.control, &err), TZ_E_ADDRESS);
    assert_int_equal(unlink(w.path), 0);
    uv_close((uv_handle_t *)&w.later, NULL);
    world_end(&w);
}

static void long_paths_work(void **state)
{
    (void)state;
    struct world w;
    char parent[256];
    world_start(&w);
    memcpy(parent, w.folder, sizeof parent);
    size_t n = strlen(w.folder);
    w.folder[n] = '/';
    memset(w.folder + n + 1, 'd', 120);
    w.folder[n + 121] = '\0';
    assert_int_equal(mkdir(w.folder, 0700), 0);
    (void)snprintf(w.path, sizeof w.path, "%s/control.sock", w.folder);
    listen_at(&w);
    struct question q[] = {
        {.text = "status", .timeout_ms = 5000}, {.text = "stop", .timeout_ms = 5000}, {.text = NULL}};
    converse(&w, q);
    expect_reply(&q[0], "{\"ok\":1}");
    tz_buf_deinit(&q[0].reply);
    tz_buf_deinit(&q[1].reply);
    world_end(&w);
    assert_int_equal(rmdir(parent), 0);
}

static void *ask_one(void *question)
{
    ask(question);
    return NULL;
}

/* More at once than there are places: the rest wait their turn instead of being turned away. */
static void a_crowd_is_served_to_the_last(void **state)
{
    enum { CROWD = 3 * TZ_CONTROL_ASKERS_MAX };
    (void)state;
    struct world w;
    static struct question q[CROWD];
    pthread_t t[CROWD];
    struct question stop[] = {{.text = "stop", .timeout_ms = 5000}, {0}};
    world_start(&w);
    listen_at(&w);
    memset(q, 0, sizeof q);
    for (size_t i = 0; i < CROWD; i++) { /* they all knock before the loop turns */
        q[i] = (struct question){.path = w.path, .text = "status", .timeout_ms = 5000};
        assert_int_equal(pthread_create(&t[i], NULL, ask_one, &q[i]), 0);
    }
    while (w.asked < CROWD)
        (void)uv_run(tz_loop_uv(w.loop), UV_RUN_ONCE);
    converse(&w, stop);
    for (size_t i = 0; i < CROWD; i++) {
        assert_int_equal(pthread_join(t[i], NULL), 0);
        expect_reply(&q[i], "{\"ok\":1}");
        tz_buf_deinit(&q[i].reply);
    }
    tz_buf_deinit(&stop[0].reply);
    world_end(&w);
}

static void nobody_there_is_not_found(void **state)
{
    (void)state;
    struct question q = {.path = "/nonexistent/control.sock", .text = "status", .timeout_ms = 100};
    ask(&q);
    assert_int_equal(q.rc, TZ_E_NOT_FOUND);
    q.text = "two\nlines";
    ask(&q);
    assert_int_equal(q.rc, TZ_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions_are_answered_now_or_later),
        cmocka_unit_test(stale_socket_is_replaced_and_a_live_one_is_not),
        cmocka_unit_test(other_files_are_left_alone),
        cmocka_unit_test(long_paths_work),
        cmocka_unit_test(a_crowd_is_served_to_the_last),
        cmocka_unit_test(nobody_there_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
