/* SPDX-License-Identifier: Apache-2.0 */
/* See unixsock.h. The name itself must still fit behind the descriptor's path; that is about 80 bytes. */
#include "unixsock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_folder(const char *path, const char *slash)
{
    char folder[4096];
    size_t n = (size_t)(slash - path);
    if (n >= sizeof folder)
        return -ENAMETOOLONG;
    memcpy(folder, path, n);
    folder[n] = '\0';
    int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

int tz_unixsock_open(struct tz_unixsock *u, const char *path)
{
    *u = (struct tz_unixsock){.dir_fd = -1};
    u->sa.sun_family = AF_UNIX;
    size_t n = strlen(path);
    if (n == 0)
        return -EINVAL;
    if (n < sizeof u->sa.sun_path) {
        memcpy(u->sa.sun_path, path, n + 1);
        return 0;
    }
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path)
        return -ENAMETOOLONG;
    int fd = open_folder(path, slash);
    if (fd < 0)
        return fd;
    u->dir_fd = fd;
    int len = snprintf(u->sa.sun_path, sizeof u->sa.sun_path, "/proc/self/fd/%d%s", fd, slash);
    if (len > 0 && (size_t)len < sizeof u->sa.sun_path)
        return 0;
    tz_unixsock_close(u);
    return -ENAMETOOLONG;
}

void tz_unixsock_close(struct tz_unixsock *u)
{
    if (u->dir_fd >= 0)
        (void)close(u->dir_fd);
    u->dir_fd = -1;
}
