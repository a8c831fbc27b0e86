/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of the data folder. Every file is written beside its place, made durable, and renamed, so that a power cut
 * leaves the old one or the new one. All of them are private to their owner (0600 in a 0700 folder): the key because it
 * is a key, the database because of what is in it.
 */
#include "folder.h"
#include "hash.h"
#include "import.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int io_error(struct tz_err *err, const char *path)
{
    if (errno == ENOSPC || errno == EDQUOT)
        return tz_err_set(err, TZ_E_DISK_FULL, NULL, NULL, NULL, NULL);
    return tz_err_setf(err, TZ_E_IO, "%s: %s", path, strerror(errno));
}

int tz_folder_path(const char *dir, const char *name, char out[PATH_MAX], struct tz_err *err)
{
    int n = snprintf(out, PATH_MAX, "%s/%s", dir, name);
    return n > 0 && n < PATH_MAX ? 0 : tz_err_setf(err, TZ_E_LIMIT, "%.60s…: path", dir);
}

/** Ours, one being written, or hidden (file managers leave those). */
static bool is_ours(const char *name)
{
    static const char *const ours[] = {TZ_FOLDER_DB,     TZ_FOLDER_DB "-wal", TZ_FOLDER_DB "-shm", TZ_FOLDER_KEY,
                                       TZ_FOLDER_CERT,   TZ_FOLDER_CA,        TZ_FOLDER_PIN,       TZ_FOLDER_LEASE,
                                       TZ_FOLDER_SOCKET, TZ_FOLDER_IMPORTS,   TZ_FOLDER_REVOKED};
    if (name[0] == '.')
        return true;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        size_t n = strlen(ours[i]);
        if (strncmp(name, ours[i], n) == 0 && (name[n] == '\0' || strcmp(name + n, ".new") == 0))
            return true;
    }
    return false;
}

/** A folder with somebody else's files (a server's, a home folder) is not taken over. */
static int check_ours(const char *dir, struct tz_err *err)
{
    DIR *d = opendir(dir);
    int rc = 0;
    if (d == NULL)
        return io_error(err, dir);
    for (struct dirent *e; rc == 0 && (e = readdir(d)) != NULL;)
        if (!is_ours(e->d_name))
            rc = tz_err_set(err, TZ_E_FOLDER, dir, e->d_name, NULL, NULL);
    (void)closedir(d);
    return rc;
}

int tz_folder_make(const char *dir, struct tz_err *err)
{
    struct stat st;
    if (mkdir(dir, 0700) == 0)
        return 0;
    if (errno != EEXIST)
        return io_error(err, dir);
    if (stat(dir, &st) != 0)
        return io_error(err, dir);
    if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return io_error(err, dir);
    }
    int rc = check_ours(dir, err);
    if (rc != 0)
        return rc;
    if ((st.st_mode & 077) != 0 && chmod(dir, 0700) != 0) /* made by hand, readable by others */
        return io_error(err, dir);
    return 0;
}

int tz_folder_read(const char *dir, const char *name, struct tz_buf *out, struct tz_err *err)
{
    char path[PATH_MAX];
    uint8_t piece[4096];
    int rc = tz_folder_path(dir, name, path, err);
    if (rc != 0)
        return rc;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? tz_err_set(err, TZ_E_NOT_FOUND, path, NULL, NULL, NULL) : io_error(err, path);
    ssize_t n = 1;
    while (rc == 0 && n > 0) {
        n = read(fd, piece, sizeof piece);
        if (n > 0)
            rc = tz_buf_put(out, piece, (size_t)n);
        else if (n < 0)
            rc = io_error(err, path);
    }
    (void)close(fd);
    tz_secret_zero(piece, sizeof piece);
    if (rc != 0 && n > 0)
        (void)tz_err_set(err, rc, path, NULL, NULL, NULL);
    return rc;
}

static int write_all(int fd, struct tz_bytes text)
{
    while (text.n > 0) {
        ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        text.p += n;
        text.n -= (size_t)n;
    }
    return fsync(fd);
}

int tz_folder_sync(const char *dir, struct tz_err *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return io_error(err, dir);
    int rc = fsync(fd) != 0 ? io_error(err, dir) : 0;
    (void)close(fd);
    return rc;
}

int tz_folder_write(const char *dir, const char *name, struct tz_bytes text, struct tz_err *err)
{
    char path[PATH_MAX];
    char beside[PATH_MAX];
    int rc = tz_folder_path(dir, name, path, err);
    if (rc != 0)
        return rc;
    int len = snprintf(beside, sizeof beside, "%s.new", path);
    if (len < 0 || (size_t)len >= sizeof beside)
        return tz_err_setf(err, TZ_E_LIMIT, "%.60s…: path", dir);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return io_error(err, beside);
    rc = write_all(fd, text);
    if (rc != 0)
        rc = io_error(err, beside);
    if (close(fd) != 0 && rc == 0)
        rc = io_error(err, beside);
    if (rc == 0 && rename(beside, path) != 0)
        rc = io_error(err, path);
    if (rc == 0) /* the rename itself is durable only when the folder is */
        return tz_folder_sync(dir, err);
    if (rc != 0)
        (void)unlink(beside);
    return rc;
}

struct tz_office_options tz_folder_office_options(const struct tz_catalogue *catalogue)
{
    return (struct tz_office_options){.catalogue = catalogue, .clock = tz_clock_system, .random = tz_random_u32};
}

/* ---- a revoked device ---- */

/** Overwritten, then removed; what is not there is gone already. */
static int shred(const char *dir, const char *name, struct tz_err *err)
{
    static const uint8_t zeros[4096];
    char path[PATH_MAX];
    struct stat st;
    int rc = tz_folder_path(dir, name, path, err);
    if (rc != 0)
        return rc;
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : io_error(err, path);
    bool sized = strncmp(name, TZ_FOLDER_DB, strlen(TZ_FOLDER_DB)) != 0 && /* emptied already, and maybe open */
                 fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    for (off_t left = sized ? st.st_size : 0; left > 0;) {
        ssize_t n = write(fd, zeros, left > (off_t)sizeof zeros ? sizeof zeros : (size_t)left);
        if (n <= 0)
            break;
        left -= n;
    }
    (void)fsync(fd);
    (void)close(fd);
    return unlink(path) != 0 && errno != ENOENT ? io_error(err, path) : 0;
}

int tz_folder_erase(const char *dir, const char *saves, struct tz_err *err)
{
    static const char *const files[] = {TZ_FOLDER_DB "-wal", TZ_FOLDER_DB "-shm", TZ_FOLDER_DB, TZ_FOLDER_PIN,
                                        TZ_FOLDER_CA,        TZ_FOLDER_CERT,      TZ_FOLDER_KEY};
    char imports[PATH_MAX];
    int rc = tz_folder_path(dir, TZ_FOLDER_IMPORTS, imports, err);
    if (rc == 0) /* first of all: whoever opens the folder now finishes this */
        rc = tz_folder_write(dir, TZ_FOLDER_REVOKED, tz_bytes_str(saves), err);
    if (rc == 0) {
        tz_import_forget_all(imports);
        (void)rmdir(imports);
    }
    for (size_t i = 0; i < sizeof files / sizeof *files && rc == 0; i++) /* the keys last */
        rc = shred(dir, files[i], err);
    return rc != 0 ? rc : tz_folder_sync(dir, err);
}

/** TZ_E_WIPED when the folder was a revoked device's; what a crash left of it goes now. 0 otherwise. */
static int check_revoked(const char *dir, struct tz_err *err)
{
    struct tz_buf text;
    struct tz_err ignored = {0};
    char saves[24] = "";
    tz_buf_init(&text, sizeof saves - 1);
    int rc = tz_folder_read(dir, TZ_FOLDER_REVOKED, &text, &ignored);
    if (rc == 0 && text.len - text.pos < sizeof saves)
        memcpy(saves, text.p + text.pos, text.len - text.pos);
    tz_buf_deinit(&text);
    if (rc != 0) /* there is no such file, or nobody can say */
        return 0;
    rc = tz_folder_erase(dir, saves, err);
    return rc != 0 ? rc : tz_err_set(err, TZ_E_WIPED, saves, NULL, NULL, NULL);
}

int tz_folder_forget_revoked(const char *dir, struct tz_err *err)
{
    struct tz_err was = {0};
    if (check_revoked(dir, &was) == 0)
        return 0;
    return was.code == TZ_E_WIPED ? shred(dir, TZ_FOLDER_REVOKED, err) : (*err = was, was.code);
}

static int open_office(const char *dir, const struct tz_catalogue *catalogue, bool alone, struct tz_office **out,
                       struct tz_err *err)
{
    char path[PATH_MAX];
    char imports[PATH_MAX];
    struct tz_office_options opt = tz_folder_office_options(catalogue);
    *out = NULL;
    opt.db.exclusive = alone;
    opt.imports = imports;
    int rc = check_revoked(dir, err);
    if (rc == 0)
        rc = tz_folder_path(dir, TZ_FOLDER_IMPORTS, imports, err);
    if (rc == 0)
        rc = tz_folder_path(dir, TZ_FOLDER_DB, path, err);
    if (rc == 0)
        rc = tz_office_open(path, &opt, out, err);
    if (rc == TZ_E_DB_MISSING) /* what the person did not do is join; the file is our business */
        rc = tz_err_set(err, TZ_E_NOT_ENROLLED, NULL, NULL, NULL, NULL);
    return rc;
}

int tz_folder_office(const char *dir, const struct tz_catalogue *catalogue, struct tz_office **out, struct tz_err *err)
{
    return open_office(dir, catalogue, false, out, err);
}

int tz_folder_office_alone(const char *dir, const struct tz_catalogue *catalogue, struct tz_office **out,
                           struct tz_err *err)
{
    return open_office(dir, catalogue, true, out, err);
}

int tz_folder_lease(const char *dir, int *fd, struct tz_err *err)
{
    char path[PATH_MAX];
    *fd = -1;
    int rc = tz_folder_path(dir, TZ_FOLDER_LEASE, path, err);
    if (rc != 0)
        return rc;
    int got = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (got < 0)
        return io_error(err, path);
    if (flock(got, LOCK_EX | LOCK_NB) != 0) {
        rc = errno == EWOULDBLOCK ? tz_err_set(err, TZ_E_LEASE, NULL, NULL, NULL, NULL) : io_error(err, path);
        (void)close(got);
        return rc;
    }
    *fd = got;
    return 0;
}

void tz_folder_lease_release(int fd)
{
    if (fd >= 0)
        (void)close(fd); /* the lock falls with its last descriptor */
}
