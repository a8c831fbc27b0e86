/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of an import.
 *
 *   0. a regular file of a size that somebody meant
 *   1. read the file once: digest, encoding, the kept copy      FOLDER/<id>/source.csv
 *   2. read it as CSV to its end, so that a broken quote in the last row leaves nothing half done
 *   3. with all_or_nothing: judge every row as a dry run does; one bad row ends it here
 *   4. rows into changesets: each of at most 256 ops, independent, its own transaction
 *   5. what stayed behind stands in FOLDER/<id>/rejected.csv with its reason; the account in FOLDER/<id>/import.json
 *
 * An open changeset holds the database's write lock, so it is committed after so many rows even when few of them
 * changed anything. Counts of rows follow commits: what a failed changeset held is not counted.
 */
#include "folder.h"
#include "import_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An open changeset holds the write lock also while rows are read that change nothing; looking one up costs about eight
 * times as much as passing it over for a filter. The sum bounds the lock to well under a second. */
enum { LOOKED_UP_COST = 8, OTHER_COST = 1, SAVE_COST_MAX = 32768 };

static int io_error(const char *path, struct tz_err *err)
{
    return tz_err_setf(err, errno == ENOSPC ? TZ_E_DISK_FULL : TZ_E_IO, "%.80s: %.40s", path, strerror(errno));
}

/* ---- changesets ---- */

static int save_open(struct tz_import *im, struct tz_err *err)
{
    struct tz_save_options o = {.user = im->opt->user, .independent = true, .import_id = im->opt->import_id};
    if (im->save)
        return 0;
    im->save_cost = 0;
    return tz_save_begin(im->o, &o, &im->save, err);
}

static int save_close(struct tz_import *im, struct tz_err *err)
{
    uint64_t seq = 0;
    if (!im->save)
        return 0;
    int rc = tz_save_commit(im->save, &seq, err);
    im->save = NULL;
    if (!rc) {
        im->res->created += im->pending_created;
        im->res->edited += im->pending_edited;
        im->res->accepted += im->pending_created + im->pending_edited;
        im->res->warned += im->pending_warned;
        im->res->changesets += seq != 0;
    }
    im->pending_created = im->pending_edited = im->pending_warned = 0;
    return rc;
}

static int carry_out(struct tz_import *im, struct tz_err *e)
{
    struct tz_row_plan *p = &im->plan;
    if (p->exists)
        return tz_save_set(im->save, p->id, &p->seen, &p->rec, p->names, e);
    return tz_save_create(im->save, &p->rec, &p->id, e);
}

/** Save what the plan says; a refusal becomes the row's verdict. Negative when the import cannot go on. */
static int save_row(struct tz_import *im, struct tz_err *err)
{
    struct tz_err e = {0};
    int rc = save_open(im, err);
    if (rc)
        return rc;
    rc = carry_out(im, &e);
    if (rc == TZ_E_LIMIT && tz_save_ops(im->save) > 0) { /* full: once more in a new one */
        rc = save_close(im, err);
        if (!rc)
            rc = save_open(im, err);
        if (rc)
            return rc;
        rc = carry_out(im, &e);
    }
    if (!rc) {
        im->pending_created += !im->plan.exists;
        im->pending_edited += im->plan.exists;
        im->pending_warned += im->plan.verdict == TZ_IMPORT_WARN;
        return 0;
    }
    if (tz_err_info(rc)->cls != TZ_ERR_USAGE && rc != TZ_E_LIMIT && rc != TZ_E_FORMAT) {
        *err = e;
        return rc;
    }
    tz_plan_reject(im, &e);
    return 0;
}

/* ---- what stays behind ---- */

static void put_cell(FILE *f, const char *p, size_t n)
{
    if (!memchr(p, '"', n) && !memchr(p, ',', n) && !memchr(p, '\n', n) && !memchr(p, '\r', n)) {
        fwrite(p, 1, n, f);
        return;
    }
    fputc('"', f);
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '"')
            fputc('"', f);
        fputc(p[i], f);
    }
    fputc('"', f);
}

static int rejected_open(struct tz_import *im, struct tz_err *err)
{
    char path[640];
    (void)snprintf(path, sizeof path, "%s/rejected.csv", im->res->kept);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    im->rejected = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (!im->rejected) {
        int rc = io_error(path, err);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    fputs("\xEF\xBB\xBF", im->rejected); /* spreadsheets take it for another encoding without */
    for (size_t i = 0; i < im->columns.n; i++) {
        put_cell(im->rejected, im->columns.headings[i], strlen(im->columns.headings[i]));
        fputc(',', im->rejected);
    }
    fputs("错误说明\r\n", im->rejected);
    return 0;
}

static int keep_rejected(struct tz_import *im, const struct tz_bytes *cells, size_t n, struct tz_err *err)
{
    char reason[IMPORT_REASON_BYTES + 200];
    if (im->opt->dry_run)
        return 0;
    if (!im->rejected) {
        int rc = rejected_open(im, err);
        if (rc)
            return rc;
    }
    const struct tz_row_plan *p = &im->plan;
    for (size_t i = 0; i < im->columns.n; i++) {
        if (i < n)
            put_cell(im->rejected, (const char *)cells[i].p, cells[i].n);
        fputc(',', im->rejected);
    }
    (void)snprintf(reason, sizeof reason, "%.120s%s%s", p->column, p->column[0] ? "：" : "", p->reason);
    put_cell(im->rejected, reason, strlen(reason));
    fputs("\r\n", im->rejected);
    return ferror(im->rejected) ? io_error("rejected.csv", err) : 0;
}

/* ---- rows ---- */

static void tell(const struct tz_import *im, size_t line)
{
    const struct tz_row_plan *p = &im->plan;
    bool good = p->verdict == TZ_IMPORT_ACCEPT || p->verdict == TZ_IMPORT_WARN;
    if (good && p->exists && im->opt->edited)
        im->opt->edited(im->opt->ctx, p->title ? p->title : "", p->diff);
    bool worth = p->verdict == TZ_IMPORT_WARN || p->verdict == TZ_IMPORT_REVIEW || p->verdict == TZ_IMPORT_REJECT;
    if (!worth || !im->opt->note)
        return;
    struct tz_import_note n = {line, p->column, p->verdict, p->reason};
    im->opt->note(im->opt->ctx, &n);
}

static void count(struct tz_import *im)
{
    struct tz_import_result *r = im->res;
    switch (im->plan.verdict) {
    case TZ_IMPORT_ACCEPT:
    case TZ_IMPORT_WARN:
        if (im->dry) { /* else counted with its changeset */
            r->accepted++;
            r->created += !im->plan.exists;
            r->edited += im->plan.exists;
            r->warned += im->plan.verdict == TZ_IMPORT_WARN;
        }
        break;
    case TZ_IMPORT_SKIP:
        r->skipped++;
        break;
    case TZ_IMPORT_REVIEW:
        r->review++;
        r->differ += im->plan.differs;
        break;
    case TZ_IMPORT_REJECT:
        r->rejected++;
        break;
    case TZ_IMPORT_OTHER:
    default:
        r->other++;
        break;
    }
}

static int settle(struct tz_import *im, const struct tz_bytes *cells, size_t n, size_t line, struct tz_err *err)
{
    struct tz_row_plan *p = &im->plan;
    bool good = p->verdict == TZ_IMPORT_ACCEPT || p->verdict == TZ_IMPORT_WARN;
    int rc = good && !im->dry ? save_row(im, err) : 0;
    if (rc)
        return rc;
    if (p->verdict == TZ_IMPORT_ACCEPT || p->verdict == TZ_IMPORT_WARN)
        tz_plan_done(im);
    tz_plan_seen(im);
    tell(im, line);
    count(im);
    if (p->verdict == TZ_IMPORT_REJECT || p->verdict == TZ_IMPORT_REVIEW)
        rc = keep_rejected(im, cells, n, err);
    im->save_cost += p->verdict == TZ_IMPORT_OTHER ? OTHER_COST : LOOKED_UP_COST;
    if (!rc && im->save && (im->save_cost >= SAVE_COST_MAX || tz_save_ops(im->save) >= TZ_INDEPENDENT_OPS_MAX))
        rc = save_close(im, err);
    return rc;
}

static bool is_empty(const struct tz_bytes *cells, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (cells[i].n)
            return false;
    return true;
}

static int on_row(void *ctx, size_t line, const struct tz_bytes *cells, size_t n)
{
    struct tz_import *im = ctx;
    if (!im->header_done) {
        im->header_done = true;
        return im->columns.n ? 0 : tz_columns_read(&im->columns, im->opt, cells, n, im->err);
    }
    if (is_empty(cells, n))
        return 0;
    im->res->rows++;
    im->line = line;
    int rc = tz_plan_row(im, cells, n, im->err);
    return rc ? rc : settle(im, cells, n, line, im->err);
}

static int on_any(void *ctx, size_t line, const struct tz_bytes *cells, size_t n)
{
    (void)line;
    *(size_t *)ctx += !is_empty(cells, n);
    return 0;
}

/** One pass over all rows. */
static int pass(struct tz_import *im, const char *path, const struct tz_source_info *info, bool dry, struct tz_err *err)
{
    char kept[sizeof im->res->kept];
    memcpy(kept, im->res->kept, sizeof kept);
    *im->res = (struct tz_import_result){.encoding = info->encoding};
    memcpy(im->res->kept, kept, sizeof kept);
    memcpy(im->res->sha256, info->sha256, sizeof info->sha256);
    im->header_done = false;
    im->dry = dry;
    int rc = tz_plan_start(im, err);
    if (!rc)
        rc = tz_source_rows(path, info, on_row, im, im->opt->progress, im->opt->ctx, err);
    if (!rc)
        rc = save_close(im, err);
    if (im->save) {
        tz_save_cancel(im->save);
        im->save = NULL;
    }
    return rc;
}

/* ---- the account ---- */

/** As durable as the rows that were committed beside it. */
static int rejected_close(struct tz_import *im, int rc, struct tz_err *err)
{
    FILE *f = im->rejected;
    im->rejected = NULL;
    if (!f)
        return rc;
    bool lost = fflush(f) != 0 || fsync(fileno(f)) != 0;
    int why = lost ? io_error("rejected.csv", err) : 0;
    if (fclose(f) != 0 && !lost)
        why = io_error("rejected.csv", err);
    return rc ? rc : why;
}

static int write_account(const struct tz_import *im, const char *source, struct tz_err *err)
{
    const struct tz_import_result *r = im->res;
    char id[TZ_ID_HEX + 1];
    struct tz_buf b;
    tz_buf_init(&b, 16 * 1024);
    tz_id_print(im->opt->import_id, id);
    int rc =
        tz_buf_printf(&b, "{\"import_id\":\"%s\",\"type\":\"%s\",\"sha256\":\"%s\",\"encoding\":\"%s\",\"file\":", id,
                      im->type->name, r->sha256, r->encoding == TZ_IMPORT_UTF8 ? "utf-8" : "gb18030");
    if (!rc)
        rc = tz_json_string(&b, source, strlen(source));
    if (!rc)
        rc =
            tz_buf_printf(&b,
                          ",\"rows\":%llu,\"accepted\":%llu,\"skipped\":%llu,\"warned\":%llu,\"review\":%llu,"
                          "\"rejected\":%llu,\"filtered\":%llu,\"changesets\":%llu}\n",
                          (unsigned long long)r->rows, (unsigned long long)r->accepted, (unsigned long long)r->skipped,
                          (unsigned long long)r->warned, (unsigned long long)r->review, (unsigned long long)r->rejected,
                          (unsigned long long)r->other, (unsigned long long)r->changesets);
    rc = rc ? tz_err_set(err, rc, "import.json", NULL, NULL, NULL)
            : tz_folder_write(r->kept, "import.json", tz_buf_unread(&b), err);
    tz_buf_deinit(&b);
    return rc;
}

/* ---- run ---- */

static int read_filters(struct tz_import *im, struct tz_err *err)
{
    tz_record_init(&im->filter, im->type);
    tz_arena_init(&im->filter_arena, 256 * 1024);
    return tz_entry_fields(im->entry, im->opt->filters, im->opt->nfilters, &im->filter_arena, &im->filter, im->filtered,
                           NULL, err);
}

static int run(struct tz_import *im, struct tz_err *err)
{
    struct tz_source_info info;
    char copy[640] = "";
    const char *path = im->opt->path;
    size_t rows = 0;
    int rc = tz_source_check(path, err); /* before anything is made for it */
    if (!rc && im->opt->nfilters)
        rc = read_filters(im, err);
    if (!rc && !im->opt->dry_run)
        rc = tz_import_folder_make(im, copy, sizeof copy, err);
    if (!rc)
        rc = tz_source_scan(path, copy[0] ? copy : NULL, im->opt->encoding, &info, err);
    if (!rc && copy[0])
        path = copy;
    if (!rc)
        rc = tz_source_rows(path, &info, on_any, &rows, NULL, NULL, err);
    if (!rc && rows == 0)
        rc = tz_err_set(err, TZ_E_CSV, "1", "文件是空的 / the file is empty", NULL, NULL);
    if (!rc && (im->opt->dry_run || im->opt->all_or_nothing))
        rc = pass(im, path, &info, true, err);
    bool stop = im->opt->dry_run;
    if (!rc && !stop && im->opt->all_or_nothing && im->res->rejected + im->res->review > 0) {
        stop = true;
        im->res->held = im->res->accepted;
        im->res->accepted = im->res->created = im->res->edited = im->res->warned = 0;
    }
    if (!rc && !stop) {
        /* what the dry pass told is not told twice */
        struct tz_import_options silent = *im->opt;
        const struct tz_import_options *loud = im->opt;
        silent.note = im->opt->all_or_nothing ? NULL : silent.note;
        silent.edited = im->opt->all_or_nothing ? NULL : silent.edited;
        im->opt = &silent;
        rc = pass(im, path, &info, false, err);
        im->opt = loud;
    }
    if (!rc)
        rc = rejected_close(im, 0, err);
    if (!rc && !im->opt->dry_run)
        rc = write_account(im, im->opt->path, err);
    return rc;
}

int tz_import_run(struct tz_office *o, const struct tz_import_options *opt, struct tz_import_result *out,
                  struct tz_err *err)
{
    struct tz_err mine = {0};
    struct tz_import *im = calloc(1, sizeof *im);
    memset(out, 0, sizeof *out);
    if (!im)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    im->opt = opt;
    im->o = o;
    im->type = opt->type;
    im->res = out;
    im->err = &mine;
    im->folder_fd = -1;
    tz_arena_init(&im->plan.a, IMPORT_ROW_ARENA_BYTES);
    int rc = tz_entry_new(o, &im->entry, &mine);
    if (!rc)
        rc = run(im, &mine);
    if (im->rejected) { /* cut short: what was rejected until then is kept, the first error is the one to tell */
        struct tz_err second = {0};
        rc = rejected_close(im, rc, rc ? &second : &mine);
    }
    tz_import_folder_done(im, rc);
    if (rc && err)
        *err = mine.code ? mine : (struct tz_err){.code = rc};
    tz_entry_free(im->entry);
    tz_columns_deinit(&im->columns);
    tz_hashes_deinit(&im->names);
    tz_hashes_deinit(&im->keys);
    tz_arena_deinit(&im->plan.a);
    tz_arena_deinit(&im->filter_arena);
    free(im);
    return rc;
}
