/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalogue's folder on disk. Reads every *.csv of the folder and of rows/ into memory, sorted by name so that the
 * result does not depend on the file system's order, and hands the texts to the loader, which opens nothing.
 */
#include "catalogue_dir.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILES_MAX = 8 + TZ_TYPES_MAX, FILE_BYTES_MAX = 16 * 1024 * 1024, NAME_BYTES = 300, PATH_BYTES = 4096 };

struct folder {
    char (*names)[NAME_BYTES]; /* FILES_MAX of them: "types.csv", "rows/unit.csv" */
    struct tz_buf *texts;
    size_t n;
};

static int io_error(struct tz_err *err, const char *path)
{
    return tz_err_setf(err, TZ_E_IO, "%s: %s", path, strerror(errno));
}

static int name_cmp(const void *a, const void *b)
{
    return strcmp(a, b);
}

static bool is_csv(const char *name)
{
    size_t n = strlen(name);
    return n > 4 && name[0] != '.' && strcmp(name + n - 4, ".csv") == 0; /* editors leave dot files behind */
}

static int list_dir(struct folder *f, const char *path, const char *prefix, bool optional, struct tz_err *err)
{
    DIR *d = opendir(path);
    if (d == NULL)
        return optional && errno == ENOENT ? 0 : io_error(err, path);
    int rc = 0;
    for (const struct dirent *e = readdir(d); e != NULL && rc == 0; e = readdir(d)) {
        if (!is_csv(e->d_name))
            continue;
        if (f->n == FILES_MAX)
            rc = tz_err_setf(err, TZ_E_LIMIT, "%s: more than %d files", path, FILES_MAX);
        else
            (void)snprintf(f->names[f->n++], NAME_BYTES, "%s%s", prefix, e->d_name);
    }
    (void)closedir(d);
    return rc;
}

static int read_file(const char *dir, const char *name, struct tz_buf *out, struct tz_err *err)
{
    char path[PATH_BYTES];
    char piece[8192];
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return tz_err_setf(err, TZ_E_LIMIT, "%.60s: the path is too long", dir);
    FILE *in = fopen(path, "rb");
    if (in == NULL)
        return io_error(err, path);
    tz_buf_init(out, FILE_BYTES_MAX);
    int rc = 0;
    for (size_t got = 1; rc == 0 && got > 0;) {
        got = fread(piece, 1, sizeof piece, in);
        if (got > 0)
            rc = tz_buf_put(out, piece, got);
    }
    if (rc == 0 && ferror(in) != 0)
        rc = io_error(err, path);
    else if (rc != 0)
        rc = tz_err_setf(err, rc, "%s", path);
    (void)fclose(in);
    return rc;
}

static int load_folder(struct folder *f, const char *dir, struct tz_catalogue *out, struct tz_err *err)
{
    char rows[PATH_BYTES];
    int n = snprintf(rows, sizeof rows, "%s/rows", dir);
    if (n < 0 || (size_t)n >= sizeof rows)
        return tz_err_setf(err, TZ_E_LIMIT, "%.60s: the path is too long", dir);
    int rc = list_dir(f, dir, "", false, err);
    if (rc == 0)
        rc = list_dir(f, rows, "rows/", true, err);
    if (rc == 0)
        qsort(f->names, f->n, sizeof *f->names, name_cmp);
    for (size_t i = 0; i < f->n && rc == 0; i++)
        rc = read_file(dir, f->names[i], &f->texts[i], err);
    if (rc != 0)
        return rc;
    struct tz_catalogue_file *files = calloc(f->n + 1, sizeof *files);
    if (files == NULL)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    for (size_t i = 0; i < f->n; i++)
        files[i] = (struct tz_catalogue_file){f->names[i], tz_buf_unread(&f->texts[i])};
    rc = tz_catalogue_load(files, f->n, out, err);
    free(files);
    return rc;
}

int tz_catalogue_load_dir(const char *dir, struct tz_catalogue *out, struct tz_err *err)
{
    struct folder f = {.names = calloc(FILES_MAX, sizeof *f.names), .texts = calloc(FILES_MAX, sizeof *f.texts)};
    int rc = TZ_E_NOMEM;
    *out = (struct tz_catalogue){0};
    if (f.names == NULL || f.texts == NULL)
        (void)tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    else
        rc = load_folder(&f, dir, out, err);
    for (size_t i = 0; f.texts != NULL && i < f.n; i++)
        tz_buf_deinit(&f.texts[i]);
    free(f.names);
    free(f.texts);
    return rc;
}
