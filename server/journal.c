/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invariants
 *  1. A line is one write and one fsync. After a failure the file is cut back, so that nothing ever follows half a
 * line.
 *  2. A power cut leaves a last line without its line feed, or with blocks of zeros that never reached the disk: that
 * one is cut off. Its group never committed. Any other damaged line was whole once, and stays, wherever it stands.
 *  3. Damage anywhere else keeps no server from running, and is told by the line's number to whoever restores.
 */
#include "journal.h"

#include "grow.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 17 * 1024 * 1024, BLOCK_BYTES = 64 * 1024 };
static const char NAME[] = "journal";

static int io_error(struct tz_err *err, const char *path)
{
    bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
    return tz_err_setf(err, full ? TZ_E_DISK_FULL : TZ_E_IO, "%s: %s", path, strerror(errno));
}

/* ---- lines of a file ---- */

struct reader {
    int fd;
    struct tz_buf b;
    bool at_end;
};

static int read_block(struct reader *r)
{
    uint8_t block[BLOCK_BYTES];
    ssize_t n = read(r->fd, block, sizeof block);
    r->at_end = n == 0;
    if (n < 0)
        return errno == EINTR ? 0 : TZ_E_IO;
    return tz_buf_put(&r->b, block, (size_t)n);
}

/** 1 and the next line with its line feed; the last one may lack it, and one that is longer than any line comes in
 * pieces. 0 the end, negative. Borrowed until the next call; the caller consumes it. */
static int next_line(struct reader *r, struct tz_bytes *line)
{
    for (;;) {
        struct tz_bytes b = tz_buf_unread(&r->b);
        const uint8_t *lf = b.n ? memchr(b.p, '\n', b.n) : NULL;
        *line = lf ? tz_bytes_of(b.p, (size_t)(lf - b.p) + 1) : b;
        if (lf || (r->at_end && b.n))
            return 1;
        if (r->at_end)
            return 0;
        int rc = read_block(r);
        if (rc == TZ_E_LIMIT)
            return 1;
        if (rc)
            return rc;
    }
}

/** What a walk over all lines found. */
struct walk {
    tz_journal_cb cb; /* NULL = only look */
    void *ctx;
    const char *path;
    uint64_t lines, bad;
    off_t end;   /* of what was read */
    off_t torn;  /* where the last line begins when it was cut off, else -1 */
    bool piece;  /* the last one had no line feed */
    bool strict; /* a damaged line is an error */
    struct tz_journal_head known;
};

static void learn(struct tz_journal_head *known, const struct tz_journal_line *l)
{
    if (l->epoch > known->epoch)
        *known = (struct tz_journal_head){l->epoch, l->base_n};
    else if (l->epoch == known->epoch && l->base_n > known->audit_n)
        known->audit_n = l->base_n;
}

static int walk_line(struct walk *w, struct tz_bytes line, struct tz_err *err)
{
    struct tz_journal_line l;
    char number[24];
    bool ended = line.p[line.n - 1] == '\n';
    bool written = ended && memchr(line.p, 0, line.n) == NULL;
    bool piece = w->piece; /* of one that is longer than any line */
    w->piece = !ended;
    w->lines += !piece;
    int rc = written && !piece ? tz_journal_line_read(line, &l) : TZ_E_FORMAT;
    if (rc && rc != TZ_E_FORMAT)
        return tz_err_set(err, rc, NULL, NULL, NULL, NULL);
    bool more = w->torn >= 0 && !piece; /* a line follows the one that seemed cut off */
    w->bad += more || (rc && written);
    if (w->strict && (more || (rc && written))) {
        (void)snprintf(number, sizeof number, "%llu", (unsigned long long)w->lines - more);
        return tz_err_set(err, TZ_E_JOURNAL_BAD, w->path, number, NULL, NULL);
    }
    if (!piece)
        w->torn = rc && !written ? w->end : -1;
    w->end += (off_t)line.n;
    if (rc)
        return 0;
    learn(&w->known, &l);
    return w->cb ? w->cb(w->ctx, &l) : 0;
}

static int walk_file(int fd, struct walk *w, struct tz_err *err)
{
    struct reader r = {.fd = fd};
    struct tz_bytes line;
    int rc;
    w->torn = -1;
    tz_buf_init(&r.b, LINE_BYTES_MAX);
    while ((rc = next_line(&r, &line)) == 1) {
        rc = walk_line(w, line, err);
        tz_buf_consume(&r.b, line.n);
        if (rc)
            break;
    }
    tz_buf_deinit(&r.b);
    if (rc == TZ_E_IO && (!err || err->code != rc))
        return io_error(err, w->path);
    return rc == TZ_E_NOMEM ? tz_err_set(err, rc, NULL, NULL, NULL, NULL) : rc;
}

static int walk_folder(const struct tz_datadir *d, struct walk *w, struct tz_err *err)
{
    char path[PATH_MAX];
    w->path = tz_datadir_file(d, NAME, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : io_error(err, path);
    int rc = walk_file(fd, w, err);
    (void)close(fd);
    return rc;
}

/* ---- which of them happened ---- */

/** A line goes out before its group commits, so the group may have failed. Then a later line of that epoch says that
 * less was durable than the group would have made. */
struct told {
    uint32_t epoch;
    uint64_t base_n, audit_n;
    bool failed;
};
struct telling {
    struct told *v;
    size_t n, cap, next;
    tz_journal_cb cb;
    void *ctx;
};

static int tell(void *ctx, const struct tz_journal_line *line)
{
    struct telling *t = ctx;
    struct told *v = tz_grow(t->v, t->n, &t->cap, 256, sizeof *v);
    if (!v)
        return TZ_E_NOMEM;
    t->v = v;
    t->v[t->n++] = (struct told){line->epoch, line->base_n, line->audit_n, false};
    return 0;
}

static void find_failed(struct telling *t)
{
    uint64_t least = UINT64_MAX; /* base_n of the later lines of the epoch */
    for (size_t i = t->n; i-- > 0;) {
        if (i + 1 < t->n && t->v[i + 1].epoch != t->v[i].epoch)
            least = UINT64_MAX;
        t->v[i].failed = least < t->v[i].audit_n;
        least = t->v[i].base_n < least ? t->v[i].base_n : least;
    }
}

static int pass_on(void *ctx, const struct tz_journal_line *line)
{
    struct telling *t = ctx;
    size_t i = t->next++;
    return i < t->n && t->v[i].failed ? 0 : t->cb(t->ctx, line); /* more than were counted: a server writes on */
}

int tz_journal_each(const struct tz_datadir *d, tz_journal_cb cb, void *ctx, struct tz_err *err)
{
    struct telling t = {.cb = cb, .ctx = ctx};
    struct walk first = {.cb = tell, .ctx = &t, .strict = true};
    struct walk second = {.cb = pass_on, .ctx = &t, .strict = true};
    int rc = walk_folder(d, &first, err);
    if (!rc) {
        find_failed(&t);
        rc = walk_folder(d, &second, err);
    }
    free(t.v);
    return rc;
}

int tz_journal_known(const struct tz_datadir *d, struct tz_journal_head *out, struct tz_err *err)
{
    struct walk w = {.cb = NULL};
    int rc = walk_folder(d, &w, err);
    *out = w.known;
    return rc;
}

/* ---- appending ---- */

static int cut(struct tz_journal *j, off_t at)
{
    return ftruncate(j->fd, at) || fsync(j->fd) ? -1 : 0;
}

static int read_and_mend(const struct tz_datadir *d, struct tz_journal *j, struct tz_err *err)
{
    char path[PATH_MAX];
    struct walk w = {.path = tz_datadir_file(d, NAME, path)};
    int rc = walk_file(j->fd, &w, err);
    if (rc)
        return rc;
    if (w.bad)
        tz_log(TZ_LOG_WARN, "journal", "damaged lines", "lines=%llu", (unsigned long long)w.bad);
    j->size = w.torn >= 0 ? w.torn : w.end;
    j->known = w.known;
    if (w.torn < 0)
        return 0;
    tz_log(TZ_LOG_WARN, "journal", "cut-off line removed", "bytes=%lld", (long long)(w.end - w.torn));
    return cut(j, j->size) ? io_error(err, path) : 0;
}

int tz_journal_open(const struct tz_datadir *d, struct tz_journal *out, struct tz_err *err)
{
    char path[PATH_MAX];
    *out =
        (struct tz_journal){.fd = open(tz_datadir_file(d, NAME, path), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
    if (out->fd < 0)
        return io_error(err, path);
    int rc = tz_datadir_sync(d, err); /* it may be new */
    if (!rc)
        rc = read_and_mend(d, out, err);
    if (rc)
        tz_journal_close(out);
    return rc;
}

void tz_journal_close(struct tz_journal *j)
{
    if (j->fd >= 0)
        (void)close(j->fd);
    j->fd = -1;
}

static int write_all(int fd, struct tz_bytes b)
{
    while (b.n) {
        ssize_t n = write(fd, b.p, b.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        b = tz_bytes_of(b.p + n, b.n - (size_t)n);
    }
    return 0;
}

int tz_journal_append(void *journal, struct tz_bytes line, struct tz_err *err)
{
    struct tz_journal *j = journal;
    if (j->broken)
        return tz_err_set(err, TZ_E_IO, NAME, NULL, NULL, NULL);
    if (write_all(j->fd, line)) {
        int rc = io_error(err, NAME);
        j->broken = cut(j, j->size) != 0;
        return rc;
    }
    if (fsync(j->fd)) /* what the disk holds is unknown now: as with the database, nobody asks twice */
        return tz_err_set(err, TZ_E_DB_FSYNC, NULL, NULL, NULL, NULL);
    j->size += (off_t)line.n;
    return 0;
}
