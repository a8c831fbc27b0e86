/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_UNIXSOCK_H
#define TZ_UNIXSOCK_H

/*
 * Unix socket addresses for paths of any length. sockaddr_un holds 107 bytes; a longer path is reached through its
 * folder's descriptor, "/proc/self/fd/N/name". Linux only, like the rest of the server side.
 */

#include <sys/un.h>

struct tz_unixsock {
    struct sockaddr_un sa;
    int dir_fd; /**< keeps sa valid; -1 when not needed */
};

/** 0 or a negative errno. Close with tz_unixsock_close after bind or connect. */
int tz_unixsock_open(struct tz_unixsock *u, const char *path);
void tz_unixsock_close(struct tz_unixsock *u);

#endif
