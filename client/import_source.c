/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file on disk as UTF-8 rows, in pieces of 64 KiB.
 *
 * The encoding is what the file says (byte order mark), else UTF-8 if every byte of it is, else GB18030, which every
 * spreadsheet of the offices writes. The first reading decides that, takes the digest and makes the copy that is kept;
 * later readings use the copy, so that a file that changes meanwhile is not half one thing and half another.
 */
#include "hash.h"
#include "import_int.h"
#include "text.h"
#include "utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 64 * 1024, CHAR_BYTES_MAX = 4 };

static int io_error(const char *path, struct tz_err *err)
{
    return tz_err_setf(err, errno == ENOSPC ? TZ_E_DISK_FULL : TZ_E_IO, "%.80s: %.40s", path, strerror(errno));
}

/* ---- the first reading ---- */

struct scan {
    FILE *in, *copy;
    uint8_t head[CHAR_BYTES_MAX]; /* the first bytes, which tell other kinds of files */
    struct tz_sha256 sha;
    bool utf8, first;
    uint8_t tail[CHAR_BYTES_MAX]; /* a character cut by the end of a piece */
    size_t ntail;
};

/** Is @p UTF-8 but for a cut character at its end? That one goes to the tail. */
static bool utf8_piece(struct scan *s, const uint8_t *p, size_t n)
{
    uint32_t cp;
    size_t i = 0;
    while (i < n) {
        size_t k = tz_utf8_next(p + i, n - i, &cp);
        if (k == 0)
            break;
        i += k;
    }
    s->ntail = n - i;
    if (s->ntail >= CHAR_BYTES_MAX)
        return false;
    memcpy(s->tail, p + i, s->ntail);
    return true;
}

static int too_big(const char *path, struct tz_err *err)
{
    char most[24];
    (void)snprintf(most, sizeof most, "%lld", (long long)(TZ_IMPORT_FILE_BYTES_MAX / 1024 / 1024));
    return tz_err_set(err, TZ_E_FILE_TOO_BIG, path, most, NULL, NULL);
}

static int scan_piece(struct scan *s, uint8_t *buf, size_t n, const char *copy, struct tz_err *err)
{
    if (s->utf8) {
        uint8_t joined[PIECE_BYTES + CHAR_BYTES_MAX];
        memcpy(joined, s->tail, s->ntail);
        memcpy(joined + s->ntail, buf, n);
        s->utf8 = utf8_piece(s, joined, s->ntail + n);
    }
    int rc = tz_sha256_update(&s->sha, tz_bytes_of(buf, n));
    if (!rc && s->copy && fwrite(buf, 1, n, s->copy) != n)
        rc = io_error(copy, err);
    return rc;
}

static int scan_all(struct scan *s, const char *path, const char *copy, struct tz_source_info *out, struct tz_err *err)
{
    uint8_t buf[PIECE_BYTES];
    size_t n;
    int rc = 0;
    while (!rc && (n = fread(buf, 1, sizeof buf, s->in)) > 0) {
        if (out->bytes == 0)
            memcpy(s->head, buf, n < sizeof s->head ? n : sizeof s->head);
        rc = scan_piece(s, buf, n, copy, err);
        out->bytes += n;
        if (!rc && out->bytes > TZ_IMPORT_FILE_BYTES_MAX) /* it grew meanwhile */
            rc = too_big(path, err);
    }
    if (!rc && ferror(s->in))
        rc = io_error(path, err);
    if (!rc && s->copy && (fflush(s->copy) || fsync(fileno(s->copy))))
        rc = io_error(copy, err);
    return rc;
}

/** Why the file is no sheet of text at all; NULL when it may be one. */
static const char *no_sheet(const struct scan *s, uint64_t bytes)
{
    static const uint8_t zip[] = {'P', 'K', 3, 4};
    static const uint8_t ole[] = {0xD0, 0xCF, 0x11, 0xE0};
    static const uint8_t bom[] = {0xEF, 0xBB, 0xBF};
    if (bytes == 0 || (bytes == sizeof bom && memcmp(s->head, bom, sizeof bom) == 0))
        return "文件是空的 / the file is empty";
    if (memcmp(s->head, zip, sizeof zip) == 0 || memcmp(s->head, ole, sizeof ole) == 0)
        return "这是 Excel 工作簿，不是 CSV / this is an Excel workbook, not CSV";
    if ((s->head[0] == 0xFF && s->head[1] == 0xFE) || (s->head[0] == 0xFE && s->head[1] == 0xFF))
        return "文件是 UTF-16（“Unicode 文本”）编码 / the file is in UTF-16 (“Unicode text”)";
    return NULL;
}

/** A new file that only its owner reads: rows hold what the roles protect. */
static FILE *private_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *f = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (!f && fd >= 0)
        close(fd);
    return f;
}

/** Open a file that somebody may have meant: /dev/zero never ends, and a pipe cannot be read twice. */
static int open_regular(const char *path, int *fd, struct tz_err *err)
{
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int rc = *fd < 0 || fstat(*fd, &st) ? io_error(path, err) : 0;
    if (!rc && !S_ISREG(st.st_mode))
        rc = tz_err_set(err, TZ_E_NOT_A_FILE, path, NULL, NULL, NULL);
    if (!rc && st.st_size > TZ_IMPORT_FILE_BYTES_MAX)
        rc = too_big(path, err);
    if (rc && *fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
    return rc;
}

int tz_source_check(const char *path, struct tz_err *err)
{
    int fd;
    int rc = open_regular(path, &fd, err);
    if (!rc)
        (void)close(fd);
    return rc;
}

int tz_source_scan(const char *path, const char *copy, enum tz_import_encoding asked, struct tz_source_info *out,
                   struct tz_err *err)
{
    struct scan s = {.utf8 = true};
    uint8_t digest[TZ_SHA256_BYTES];
    memset(out, 0, sizeof *out);
    int fd;
    int rc = open_regular(path, &fd, err);
    if (rc)
        return rc;
    s.in = fdopen(fd, "rb");
    if (!s.in) {
        rc = io_error(path, err);
        (void)close(fd);
        return rc;
    }
    s.copy = copy ? private_file(copy) : NULL;
    rc = copy && !s.copy ? io_error(copy, err) : tz_sha256_init(&s.sha);
    if (!rc)
        rc = scan_all(&s, path, copy, out, err);
    if (!rc)
        rc = tz_sha256_final(&s.sha, digest);
    if (!rc) {
        tz_hex_encode(tz_bytes_of(digest, sizeof digest), out->sha256);
        bool utf8 = s.utf8 && s.ntail == 0;
        out->encoding = asked != TZ_IMPORT_DETECT ? asked : utf8 ? TZ_IMPORT_UTF8 : TZ_IMPORT_GB18030;
        const char *why = no_sheet(&s, out->bytes);
        rc = why ? tz_err_set(err, TZ_E_CSV, "1", why, NULL, NULL) : 0;
    }
    if (s.copy && fclose(s.copy) && !rc)
        rc = io_error(copy, err);
    fclose(s.in);
    tz_sha256_deinit(&s.sha);
    return rc;
}

/* ---- rows ---- */

struct rows {
    FILE *in;
    iconv_t cd; /* (iconv_t)-1: no conversion */
    struct tz_csv_reader *csv;
    char raw[PIECE_BYTES];
    size_t nraw; /* bytes not converted yet */
    uint64_t done;
    const char *bad; /* why the encoding is wrong */
};

/** Convert what is in `raw` and feed it. @last: nothing follows. */
static int convert(struct rows *r, bool last)
{
    char out[PIECE_BYTES * 2];
    char *from = r->raw;
    size_t left = r->nraw;
    int rc = 0;
    while (left && !rc) {
        char *to = out;
        size_t room = sizeof out;
        size_t k = iconv(r->cd, &from, &left, &to, &room);
        int e = errno;
        rc = tz_csv_reader_feed(r->csv, tz_bytes_of(out, sizeof out - room));
        if (k == (size_t)-1 && e == EINVAL && !last)
            break; /* a character cut by the end of the piece */
        if (k == (size_t)-1 && e != E2BIG && !rc) {
            r->bad = "不是 GB18030 编码 / not in GB18030";
            rc = TZ_E_FORMAT;
        }
    }
    memmove(r->raw, from, left);
    r->nraw = left;
    return rc;
}

static int feed(struct rows *r, size_t n)
{
    bool plain = r->cd == (iconv_t)-1;
    r->nraw += n;
    r->done += n;
    if (!plain)
        return convert(r, n == 0);
    int rc = n ? tz_csv_reader_feed(r->csv, tz_bytes_of(r->raw, r->nraw)) : 0;
    r->nraw = 0;
    return rc;
}

static const char *reason_of(const struct rows *r, int rc)
{
    if (r->bad)
        return r->bad;
    return rc == TZ_E_LIMIT ? "行或单元格太长 / a row or cell is too long" : "引号不成对 / quotes do not match";
}

struct guard { /* tells the callback's errors from the reader's own */
    tz_csv_row_cb cb;
    void *ctx;
    int rc;
};

static int guarded(void *ctx, size_t line, const struct tz_bytes *fields, size_t n)
{
    struct guard *g = ctx;
    g->rc = g->cb(g->ctx, line, fields, n);
    return g->rc;
}

int tz_source_rows(const char *path, const struct tz_source_info *info, tz_csv_row_cb row_cb, void *ctx,
                   void (*progress)(void *ctx, uint64_t done, uint64_t all), void *progress_ctx, struct tz_err *err)
{
    static const struct tz_csv_limits limits = {IMPORT_COLUMNS_MAX, TZ_TEXT_BYTES_MAX, TZ_ROW_BYTES_MAX};
    struct guard g = {row_cb, ctx, 0};
    struct rows *r = calloc(1, sizeof *r);
    if (!r)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    bool gb = info->encoding == TZ_IMPORT_GB18030;
    r->in = fopen(path, "rb");
    r->cd = gb ? iconv_open("UTF-8", "GB18030") : (iconv_t)-1;
    r->csv = tz_csv_reader_new(&limits, guarded, &g);
    int rc = !r->csv ? tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL) : 0;
    if (!rc && (!r->in || (gb && r->cd == (iconv_t)-1)))
        rc = io_error(r->in ? "GB18030" : path, err);
    bool ready = rc == 0;
    bool more = ready;
    while (!rc && more) {
        size_t n = fread(r->raw + r->nraw, 1, sizeof r->raw - r->nraw, r->in);
        if (n == 0 && ferror(r->in)) {
            rc = io_error(path, err);
            ready = false; /* not the CSV's fault */
            break;
        }
        more = n > 0;
        rc = feed(r, n);
        if (progress && !rc)
            progress(progress_ctx, r->done, info->bytes);
    }
    if (!rc)
        rc = tz_csv_reader_end(r->csv);
    if (rc && ready && !g.rc) {
        char line[24];
        (void)snprintf(line, sizeof line, "%zu", tz_csv_reader_pos(r->csv).line);
        rc = tz_err_set(err, TZ_E_CSV, line, reason_of(r, rc), NULL, NULL);
    }
    if (r->in)
        fclose(r->in);
    if (r->cd != (iconv_t)-1)
        iconv_close(r->cd);
    tz_csv_reader_free(r->csv);
    free(r);
    return rc;
}
