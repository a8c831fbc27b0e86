/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The asking side of the control socket: plain sockets and poll, one deadline over all steps. A reply counts only when
 * it ends with a newline and EOF; anything shorter was cut off and is reported as such, with nothing appended to the
 * caller's buffer.
 */
#include "control.h"

#include "unixsock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int fail(struct tz_err *err, int code, const char *arg, int errno_value)
{
    (void)tz_err_set(err, code, arg, NULL, NULL, NULL);
    if (errno_value != 0)
        (void)tz_err_prefix(err, "%s", strerror(errno_value));
    return code;
}

static int wait_for(int fd, short events, int64_t deadline_ms, struct tz_err *err)
{
    for (;;) {
        int64_t left = deadline_ms - now_ms();
        struct pollfd p = {.fd = fd, .events = events};
        int rc = left > 0 ? poll(&p, 1, left > INT32_MAX ? INT32_MAX : (int)left) : 0;
        if (rc > 0)
            return 0;
        if (rc == 0)
            return fail(err, TZ_E_TIMEOUT, "control", 0);
        if (errno != EINTR)
            return fail(err, TZ_E_IO, "control", errno);
    }
}

static int open_socket(const char *path, int *out, struct tz_err *err)
{
    struct tz_unixsock u;
    int rc = tz_unixsock_open(&u, path);
    if (rc < 0)
        return fail(err, TZ_E_NOT_FOUND, path, -rc);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    rc = fd >= 0 ? connect(fd, (const struct sockaddr *)&u.sa, sizeof u.sa) : -1;
    int e = errno;
    tz_unixsock_close(&u);
    if (rc == 0) {
        *out = fd;
        return 0;
    }
    if (fd >= 0)
        (void)close(fd);
    bool nobody = e == ENOENT || e == ECONNREFUSED || e == ENOTDIR;
    return fail(err, nobody ? TZ_E_NOT_FOUND : e == EAGAIN ? TZ_E_TIMEOUT : TZ_E_IO, path, e);
}

static int send_all(int fd, const char *p, size_t n, int64_t deadline_ms, struct tz_err *err)
{
    while (n > 0) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent > 0) {
            p += sent;
            n -= (size_t)sent;
        } else if (errno == EAGAIN) {
            int rc = wait_for(fd, POLLOUT, deadline_ms, err);
            if (rc != 0)
                return rc;
        } else if (errno != EINTR) {
            return fail(err, TZ_E_GONE, NULL, errno);
        }
    }
    return 0;
}

/* Until EOF, into a buffer of our own. */
static int receive_all(int fd, struct tz_buf *in, int64_t deadline_ms, struct tz_err *err)
{
    char chunk[16 * 1024];
    for (;;) {
        int rc = wait_for(fd, POLLIN, deadline_ms, err);
        if (rc != 0)
            return rc;
        ssize_t n = recv(fd, chunk, sizeof chunk, 0);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return fail(err, TZ_E_GONE, NULL, errno);
        if (n > 0 && (rc = tz_buf_put(in, chunk, (size_t)n)) != 0)
            return fail(err, rc, "control reply", 0);
    }
}

static int exchange(int fd, const char *request, struct tz_buf *in, int64_t deadline_ms, struct tz_err *err)
{
    int rc = send_all(fd, request, strlen(request), deadline_ms, err);
    if (rc == 0)
        rc = send_all(fd, "\n", 1, deadline_ms, err);
    if (rc == 0)
        rc = receive_all(fd, in, deadline_ms, err);
    if (rc == 0 && (in->len == 0 || in->p[in->len - 1] != '\n'))
        rc = fail(err, TZ_E_GONE, NULL, 0);
    return rc;
}

int tz_control_ask(const char *path, const char *request, struct tz_buf *reply, uint32_t timeout_ms, struct tz_err *err)
{
    int64_t deadline_ms = now_ms() + timeout_ms;
    int fd = -1;
    if (strlen(request) > TZ_CONTROL_LINE_MAX - 1 || strchr(request, '\n') != NULL)
        return fail(err, TZ_E_LIMIT, "control request", 0);
    int rc = open_socket(path, &fd, err);
    if (rc != 0)
        return rc;
    struct tz_buf in;
    tz_buf_init(&in, TZ_CONTROL_REPLY_MAX + 1);
    rc = exchange(fd, request, &in, deadline_ms, err);
    if (rc == 0 && (rc = tz_buf_put(reply, in.p, in.len - 1)) != 0)
        rc = fail(err, rc, "control reply", 0);
    tz_buf_deinit(&in);
    (void)close(fd);
    return rc;
}
