/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of the data folder. The lock is an flock on a file of its own: the kernel drops it when the process dies, so a
 * crashed server leaves nothing behind that somebody has to clean up. Everything here blocks.
 */
#include "datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOCK_RETRY_MS = 20, NAME_ROOM = 32 };

static int io_error(struct tz_err *err, const char *path)
{
    return tz_err_setf(err, errno == ENOSPC ? TZ_E_DISK_FULL : TZ_E_IO, "%s: %s", path, strerror(errno));
}

int tz_datadir_init(struct tz_datadir *d, const char *path, struct tz_err *err)
{
    size_t n = strlen(path);
    d->lock = -1;
    d->path[0] = '\0';
    if (n == 0 || n + NAME_ROOM > sizeof d->path)
        return tz_err_set(err, TZ_E_IO, path, NULL, NULL, NULL);
    memcpy(d->path, path, n + 1);
    return 0;
}

void tz_datadir_deinit(struct tz_datadir *d)
{
    if (d->lock >= 0)
        (void)close(d->lock);
    d->lock = -1;
}

const char *tz_datadir_file(const struct tz_datadir *d, const char *name, char out[PATH_MAX])
{
    int n = snprintf(out, PATH_MAX, "%s/%s", d->path, name);
    if (n < 0 || n >= PATH_MAX)
        out[0] = '\0';
    return out;
}

bool tz_datadir_has(const struct tz_datadir *d, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    return lstat(tz_datadir_file(d, name, path), &st) == 0;
}

/* ---- lock ---- */

static int open_lock(struct tz_datadir *d, struct tz_err *err)
{
    char path[PATH_MAX];
    d->lock = open(tz_datadir_file(d, "lock", path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (d->lock >= 0)
        return 0;
    if (errno == ENOENT || errno == ENOTDIR)
        return tz_err_set(err, TZ_E_DB_MISSING, d->path, NULL, NULL, NULL);
    return io_error(err, path);
}

int tz_datadir_lock(struct tz_datadir *d, unsigned wait_ms, struct tz_err *err)
{
    const struct timespec pause = {.tv_nsec = LOCK_RETRY_MS * 1000000L};
    int rc = open_lock(d, err);
    if (rc)
        return rc;
    for (unsigned waited = 0;; waited += LOCK_RETRY_MS) {
        if (flock(d->lock, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno != EWOULDBLOCK && errno != EINTR) {
            rc = io_error(err, "lock");
            break;
        }
        if (waited >= wait_ms) {
            rc = tz_err_set(err, TZ_E_DB_BUSY, NULL, NULL, NULL, NULL);
            break;
        }
        (void)nanosleep(&pause, NULL);
    }
    tz_datadir_deinit(d);
    return rc;
}

/* ---- small files ---- */

int tz_datadir_read(const struct tz_datadir *d, const char *name, struct tz_buf *out, struct tz_err *err)
{
    char path[PATH_MAX];
    uint8_t block[4096];
    ssize_t n = 0;
    int rc = 0;
    tz_buf_init(out, TZ_FILE_BYTES_MAX);
    int fd = open(tz_datadir_file(d, name, path), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return io_error(err, path);
    while (!rc && (n = read(fd, block, sizeof block)) > 0)
        rc = tz_buf_put(out, block, (size_t)n);
    explicit_bzero(block, sizeof block); /* it may have been a key */
    if (n < 0)
        rc = io_error(err, path);
    else if (rc)
        (void)tz_err_set(err, rc, path, NULL, NULL, NULL);
    (void)close(fd);
    return rc;
}

static int write_all(int fd, struct tz_bytes text)
{
    while (text.n) {
        ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        text.p += n;
        text.n -= (size_t)n;
    }
    return fsync(fd);
}

static int sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int rc = fsync(fd);
    (void)close(fd);
    return rc;
}

int tz_datadir_sync(const struct tz_datadir *d, struct tz_err *err)
{
    return sync_folder(d->path) ? io_error(err, d->path) : 0;
}

int tz_datadir_write_new(const struct tz_datadir *d, const char *name, unsigned mode, struct tz_bytes text,
                         struct tz_err *err)
{
    char path[PATH_MAX];
    int fd = open(tz_datadir_file(d, name, path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)mode);
    if (fd < 0)
        return errno == EEXIST ? tz_err_set(err, TZ_E_DATA_EXISTS, d->path, NULL, NULL, NULL) : io_error(err, path);
    int rc = write_all(fd, text) ? io_error(err, path) : 0;
    (void)close(fd);
    if (!rc)
        rc = tz_datadir_sync(d, err);
    if (rc)
        (void)unlink(path);
    return rc;
}
