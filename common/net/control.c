/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answering side of the control socket.
 *
 *   asker: READING ──line──> WAITING (for the owner) ──reply──> WRITING ──> closed
 *
 * Invariants:
 *  1. An asker is found by its token's id; an owner that answers late meets either the asker or nobody.
 *  2. The socket gets its mode before it gets its name, so that no moment exists in which others could connect.
 *  3. An asker may take 5 s to say its line; from then on only its own hanging up or the owner ends it.
 *  4. The control block is freed when stopping and no handle is left (`refs`).
 *
 * Not here: what requests mean; who may ask (the file's mode is the rule).
 */
#include "control.h"

#include "list.h"
#include "unixsock.h"
#include "uverr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

enum { LINE_DEADLINE_MS = 5000, BACKLOG = 128, READ_BYTES = 1024 };

struct tz_control {
    uv_pipe_t pipe;
    uv_loop_t *loop;
    struct tz_list askers;
    unsigned naskers;
    unsigned refs; /* the pipe and every asker */
    bool waiting;  /* somebody knocked while all places were taken */
    uint64_t next_id;
    tz_control_request_cb *cb;
    void *ctx;
    char *path;
    void (*on_stopped)(void *ctx);
    void *stopped_ctx;
};

struct asker {
    struct tz_link link;
    struct tz_control *control;
    uv_pipe_t pipe;
    uv_timer_t timer;
    uv_write_t write;
    unsigned refs;
    uint64_t id;
    bool asked, replied;
    char chunk[READ_BYTES];
    struct tz_buf line;
    struct tz_buf reply;
};

static void release(struct tz_control *c)
{
    if (--c->refs > 0)
        return;
    if (c->on_stopped != NULL)
        c->on_stopped(c->stopped_ctx);
    free(c->path);
    free(c);
}

static void on_asker_closed_cb(uv_handle_t *h)
{
    struct asker *a = h->data;
    if (--a->refs > 0)
        return;
    struct tz_control *c = a->control;
    tz_buf_deinit(&a->line);
    tz_buf_deinit(&a->reply);
    free(a);
    release(c);
}

static void take_next(struct tz_control *c);

static void hang_up(struct asker *a)
{
    if (!tz_link_linked(&a->link))
        return;
    tz_list_remove(&a->link);
    a->control->naskers--;
    uv_close((uv_handle_t *)&a->pipe, on_asker_closed_cb);
    uv_close((uv_handle_t *)&a->timer, on_asker_closed_cb);
    take_next(a->control);
}

static void on_deadline_cb(uv_timer_t *h)
{
    hang_up(h->data);
}

static void on_written_cb(uv_write_t *req, int status)
{
    (void)status; /* sent or not, this connection is over */
    hang_up(req->data);
}

static struct asker *find(struct tz_control *c, uint64_t id)
{
    for (struct tz_link *l = tz_list_first(&c->askers); l != NULL; l = tz_list_next(&c->askers, l)) {
        struct asker *a = TZ_LIST_ENTRY(l, struct asker, link);
        if (a->id == id)
            return a;
    }
    return NULL;
}

int tz_control_reply(struct tz_control *c, struct tz_control_token token, struct tz_bytes reply)
{
    struct asker *a = find(c, token.id);
    if (a == NULL || a->replied)
        return 0;
    a->replied = true;
    int rc = reply.n > TZ_CONTROL_REPLY_MAX ? TZ_E_LIMIT : tz_buf_put(&a->reply, reply.p, reply.n);
    if (rc == 0)
        rc = tz_buf_putc(&a->reply, '\n');
    if (rc == 0) {
        uv_buf_t buf = uv_buf_init((char *)a->reply.p, (unsigned)a->reply.len);
        a->write.data = a;
        if (uv_write(&a->write, (uv_stream_t *)&a->pipe, &buf, 1, on_written_cb) == 0)
            return 0;
    }
    hang_up(a);
    return rc;
}

static void on_alloc_cb(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct asker *a = h->data;
    (void)suggested;
    *buf = uv_buf_init(a->chunk, sizeof a->chunk);
}

/* The whole line is there: end it, and let the owner answer now or later. */
static void ask_owner(struct asker *a, uint8_t *newline)
{
    *newline = '\0';
    a->asked = true;
    (void)uv_timer_stop(&a->timer);
    const char *line = (const char *)a->line.p;
    a->control->cb(a->control->ctx, line, (struct tz_control_token){.id = a->id});
}

static void on_read_cb(uv_stream_t *h, ssize_t n, const uv_buf_t *buf)
{
    struct asker *a = h->data;
    if (n == 0 || (n > 0 && a->asked))
        return; /* nothing, or chatter after the line */
    if (n < 0 || tz_buf_put(&a->line, buf->base, (size_t)n) != 0) {
        hang_up(a);
        return;
    }
    uint8_t *newline = memchr(a->line.p, '\n', a->line.len);
    if (newline != NULL)
        ask_owner(a, newline);
}

static void asker_start(struct tz_control *c, struct asker *a)
{
    a->control = c;
    a->id = ++c->next_id;
    a->refs = 2;
    a->pipe.data = a;
    a->timer.data = a;
    tz_buf_init(&a->line, TZ_CONTROL_LINE_MAX + 1);
    tz_buf_init(&a->reply, TZ_CONTROL_REPLY_MAX + 1);
    (void)uv_timer_init(c->loop, &a->timer);
    (void)uv_timer_start(&a->timer, on_deadline_cb, LINE_DEADLINE_MS, 0);
    tz_list_push_back(&c->askers, &a->link);
    c->naskers++;
    c->refs++;
    if (uv_accept((uv_stream_t *)&c->pipe, (uv_stream_t *)&a->pipe) < 0 ||
        uv_read_start((uv_stream_t *)&a->pipe, on_alloc_cb, on_read_cb) < 0)
        hang_up(a);
}

static void take_asker(struct tz_control *c)
{
    struct asker *a = calloc(1, sizeof *a);
    if (a == NULL)
        return;
    if (uv_pipe_init(c->loop, &a->pipe, 0) == 0)
        asker_start(c, a);
    else
        free(a);
}

/* With all places taken the next one waits: libuv listens on only after uv_accept, so the rest queue in the kernel. */
static void on_connection_cb(uv_stream_t *server, int status)
{
    struct tz_control *c = server->data;
    if (status != 0)
        return;
    c->waiting = c->naskers >= TZ_CONTROL_ASKERS_MAX;
    if (!c->waiting)
        take_asker(c);
}

static void take_next(struct tz_control *c)
{
    if (!c->waiting || uv_is_closing((uv_handle_t *)&c->pipe))
        return;
    c->waiting = false;
    take_asker(c);
}

/* True when somebody listens behind @u; connecting to a socket file without a listener is refused at once. */
static bool somebody_listens(const struct tz_unixsock *u)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return true;
    int rc = connect(fd, (const struct sockaddr *)&u->sa, sizeof u->sa);
    bool listens = rc == 0 || errno != ECONNREFUSED;
    (void)close(fd);
    return listens;
}

/* Remove what a crash left. 0 when the name is free. */
static int clear_stale(const struct tz_unixsock *u, const char *path)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode) || somebody_listens(u))
        return -EADDRINUSE;
    return unlink(path) == 0 ? 0 : -errno;
}

/* A bound socket with mode 0600, or a negative errno (libuv's codes are the same numbers). */
static int bind_socket(const char *path)
{
    struct tz_unixsock u;
    int rc = tz_unixsock_open(&u, path);
    if (rc < 0)
        return rc;
    int fd = -1;
    rc = clear_stale(&u, path);
    if (rc == 0 && (fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
        rc = -errno;
    if (rc == 0 && (fchmod(fd, S_IRUSR | S_IWUSR) < 0 || bind(fd, (const struct sockaddr *)&u.sa, sizeof u.sa) < 0))
        rc = -errno;
    tz_unixsock_close(&u);
    if (rc < 0 && fd >= 0)
        (void)close(fd);
    return rc < 0 ? rc : fd;
}

static int start(struct tz_control *c, const char *path)
{
    int fd = bind_socket(path);
    if (fd < 0)
        return fd;
    int rc = uv_pipe_open(&c->pipe, fd);
    if (rc < 0)
        (void)close(fd);
    else
        rc = uv_listen((uv_stream_t *)&c->pipe, BACKLOG, on_connection_cb);
    if (rc < 0)
        (void)unlink(path);
    return rc;
}

static void on_pipe_closed_cb(uv_handle_t *h)
{
    release(h->data);
}

int tz_control_listen(struct uv_loop_s *loop, const char *path, tz_control_request_cb *cb, void *ctx,
                      struct tz_control **out, struct tz_err *err)
{
    *out = NULL;
    struct tz_control *c = calloc(1, sizeof *c);
    char *copy = strdup(path);
    if (c == NULL || copy == NULL || uv_pipe_init(loop, &c->pipe, 0) < 0) {
        free(c);
        free(copy);
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    }
    c->loop = loop;
    c->path = copy;
    c->cb = cb;
    c->ctx = ctx;
    c->refs = 1;
    c->pipe.data = c;
    tz_list_init(&c->askers);
    int rc = start(c, path);
    if (rc < 0) {
        uv_close((uv_handle_t *)&c->pipe, on_pipe_closed_cb);
        return tz_err_from_uv_bind(err, rc, path);
    }
    *out = c;
    return 0;
}

void tz_control_stop(struct tz_control *c, void (*on_stopped)(void *ctx), void *ctx)
{
    c->on_stopped = on_stopped;
    c->stopped_ctx = ctx;
    (void)unlink(c->path);
    struct tz_link *l;
    while ((l = tz_list_first(&c->askers)) != NULL)
        hang_up(TZ_LIST_ENTRY(l, struct asker, link));
    uv_close((uv_handle_t *)&c->pipe, on_pipe_closed_cb);
}
