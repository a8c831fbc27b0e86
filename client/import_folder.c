/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FOLDER/<import id>/: the kept copy and what stayed behind.
 *
 * An import that came to nothing leaves nothing: the person still has the file. One that was killed cannot clean up
 * after itself, so each import first removes folders of imports that saved nothing and are not under way: who is under
 * way holds an flock on its folder, and import.json or a save that names the import say that it came to something.
 */
#include "folder.h"
#include "import_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char ACCOUNT[] = "import.json";
static const char *const FILES[] = {"source.csv", "rejected.csv", "import.json.new", ACCOUNT};

static int io_error(const char *path, struct tz_err *err)
{
    return tz_err_setf(err, errno == ENOSPC ? TZ_E_DISK_FULL : TZ_E_IO, "%.80s: %.40s", path, strerror(errno));
}

static void remove_all(const char *folder)
{
    char path[640];
    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, FILES[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

/** 1 when a save here belongs to the import, 0 none, negative. */
static int was_saved(struct tz_office *o, struct tz_id import, struct tz_err *err)
{
    struct tz_stmt s = {0};
    int rc = tz_db_prepare(tz_office_db(o), &s, "SELECT 1 FROM outbox WHERE import_id = ? LIMIT 1", err);
    if (!rc) {
        tz_stmt_bind_id(&s, 1, &import);
        rc = tz_stmt_step(&s, err);
    }
    tz_stmt_finalize(&s);
    return rc;
}

static int sweep_one(struct tz_import *im, const char *name, struct tz_err *err)
{
    char folder[600];
    struct tz_id id;
    int rc = 0;
    (void)snprintf(folder, sizeof folder, "%s/%s", im->opt->folder, name);
    if (strlen(name) != TZ_ID_HEX || tz_id_parse(name, &id))
        return 0; /* not ours */
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    if (faccessat(fd, ACCOUNT, F_OK, 0) != 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        rc = was_saved(im->o, id, err);
        if (rc == 0)
            remove_all(folder);
    }
    (void)close(fd);
    return rc < 0 ? rc : 0;
}

static int sweep(struct tz_import *im, struct tz_err *err)
{
    DIR *d = opendir(im->opt->folder);
    int rc = 0;
    for (struct dirent *e; d && !rc && (e = readdir(d)) != NULL;)
        rc = sweep_one(im, e->d_name, err);
    if (d)
        (void)closedir(d);
    return rc;
}

int tz_import_folder_make(struct tz_import *im, char *copy, size_t copy_bytes, struct tz_err *err)
{
    char id[TZ_ID_HEX + 1];
    char above[600]; /* the folder's own name must last as well */
    tz_id_print(im->opt->import_id, id);
    int n = snprintf(im->res->kept, sizeof im->res->kept, "%s/%s", im->opt->folder, id);
    if (n < 0 || (size_t)n >= sizeof im->res->kept)
        return tz_err_set(err, TZ_E_LIMIT, im->opt->folder, NULL, NULL, NULL);
    if (mkdir(im->opt->folder, 0700) && errno != EEXIST)
        return io_error(im->opt->folder, err);
    int rc = sweep(im, err);
    if (rc)
        return rc;
    if (mkdir(im->res->kept, 0700))
        return io_error(im->res->kept, err);
    im->folder_fd = open(im->res->kept, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (im->folder_fd < 0 || flock(im->folder_fd, LOCK_EX | LOCK_NB))
        return io_error(im->res->kept, err);
    (void)snprintf(above, sizeof above, "%s/..", im->opt->folder);
    rc = tz_folder_sync(above, err);
    if (!rc)
        rc = tz_folder_sync(im->opt->folder, err);
    if (rc)
        return rc;
    (void)snprintf(copy, copy_bytes, "%s/source.csv", im->res->kept);
    return 0;
}

void tz_import_folder_done(struct tz_import *im, int rc)
{
    if (rc && im->res->kept[0] && im->res->changesets == 0) {
        remove_all(im->res->kept);
        im->res->kept[0] = '\0';
    }
    if (im->folder_fd >= 0)
        (void)close(im->folder_fd);
    im->folder_fd = -1;
}

/* ---- what must not be here any more ---- */

/** Its bytes are overwritten first: the name alone would leave them to whoever reads the disk. */
static void shred(const char *path)
{
    static const uint8_t zeros[4096];
    struct stat st;
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        for (off_t left = st.st_size; left > 0;) {
            size_t n = left > (off_t)sizeof zeros ? sizeof zeros : (size_t)left;
            ssize_t wrote = write(fd, zeros, n);
            if (wrote <= 0)
                break;
            left -= wrote;
        }
        (void)fsync(fd);
    }
    if (fd >= 0)
        (void)close(fd);
    (void)unlink(path);
}

static void forget(const char *folder)
{
    char path[640];
    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, FILES[i]);
        shred(path);
    }
    (void)rmdir(folder);
}

/** Unless an import reads it just now. True: nothing of it is there any more. */
static bool forget_idle(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool idle = fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (fd >= 0 && idle)
        forget(folder);
    if (fd >= 0)
        (void)close(fd);
    return idle;
}

static bool left_rows_behind(const char *folder)
{
    char path[640];
    (void)snprintf(path, sizeof path, "%s/rejected.csv", folder);
    return access(path, F_OK) == 0;
}

bool tz_import_forget(const char *folder, struct tz_id import)
{
    char path[600];
    char hex[TZ_ID_HEX + 1];
    tz_id_print(import, hex);
    (void)snprintf(path, sizeof path, "%s/%s", folder, hex);
    return forget_idle(path);
}

/** Each import of @folder. */
static bool forget_each(const char *folder, bool (*one)(const char *path))
{
    DIR *d = opendir(folder);
    char path[600];
    struct tz_id id;
    bool gone = true;
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        if (strlen(e->d_name) != TZ_ID_HEX || tz_id_parse(e->d_name, &id))
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        gone = one(path) && gone;
    }
    if (d)
        (void)closedir(d);
    return gone;
}

static bool forget_finished(const char *folder)
{
    return left_rows_behind(folder) || forget_idle(folder);
}

static bool forget_now(const char *folder)
{
    forget(folder);
    return true;
}

bool tz_import_forget_idle(const char *folder, bool unfinished)
{
    return forget_each(folder, unfinished ? forget_idle : forget_finished);
}

void tz_import_forget_all(const char *folder)
{
    (void)forget_each(folder, forget_now);
}
