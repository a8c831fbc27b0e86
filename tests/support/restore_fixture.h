/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_RESTORE_FIXTURE_H
#define TZ_RESTORE_FIXTURE_H

/* The store fixture with a journal in memory, backups of its disk, and restores to them. For one test program each. */

#include "store_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_MAX = 1024 };

/** A journal in memory: never lost, and it may refuse. */
static struct {
    char *line[LINES_MAX];
    size_t n;
    int refuse;
} book;

static int keep_line(void *ctx, struct tz_bytes line, struct tz_err *err)
{
    (void)ctx;
    if (book.refuse)
        return tz_err_set(err, book.refuse, "journal", NULL, NULL, NULL);
    assert_true(book.n < LINES_MAX);
    assert_true(line.n > 1 && line.p[line.n - 1] == '\n');
    book.line[book.n++] = strndup((const char *)line.p, line.n);
    return 0;
}

static struct tz_journal_line line_of(size_t i)
{
    struct tz_journal_line l;
    assert_int_equal(tz_journal_line_read(tz_bytes_str(book.line[i]), &l), 0);
    return l;
}

static struct tz_journal_head known(void)
{
    struct tz_journal_head k = {0};
    for (size_t i = 0; i < book.n; i++) {
        struct tz_journal_line l = line_of(i);
        if (l.epoch > k.epoch || (l.epoch == k.epoch && l.base_n > k.audit_n))
            k = (struct tz_journal_head){l.epoch, l.base_n};
    }
    return k;
}

static struct tz_store_options options(struct sx *f)
{
    struct tz_store_options o = sx_options(f);
    o.journal = keep_line;
    o.known = known();
    return o;
}

static void open_again(struct sx *f)
{
    struct tz_store_options o = options(f);
    tz_store_close(f->s);
    f->s = NULL;
    assert_int_equal(tz_store_open(f->path, &o, &f->s, &f->err), 0);
}

static int setup(void **state)
{
    int rc = sx_setup(state);
    book.n = 0;
    book.refuse = 0;
    open_again(*state);
    return rc;
}

static int teardown(void **state)
{
    for (size_t i = 0; i < book.n; i++)
        free(book.line[i]);
    return sx_teardown(state);
}

/** The disk as it is now, for a later restore; the caller gives it to restore_to or frees it. */
static inline struct tz_memdisk *backup(struct sx *f)
{
    tz_store_close(f->s);
    f->s = NULL;
    struct tz_memdisk *b = tz_memdisk_clone(f->disk);
    open_again(f);
    return b;
}

/** Put @b (taken) in the place of the store's disk. Returns how many changes came from the journal. */
static inline size_t restore_to(struct sx *f, struct tz_memdisk *b, uint32_t epoch, int64_t until_ms)
{
    struct tz_restoring r;
    struct tz_store_options o = sx_options(f);
    tz_store_close(f->s);
    f->s = NULL;
    tz_memdisk_free(f->disk);
    f->disk = b;
    tz_memdisk_path(b, "central.db", f->path, sizeof f->path);
    assert_int_equal(tz_restore_begin(f->path, &o, epoch, until_ms, &r, &f->err), 0);
    for (size_t i = 0; i < book.n; i++) {
        struct tz_journal_line l = line_of(i);
        assert_int_equal(tz_restore_line(&r, &l, &f->err), 0);
    }
    assert_int_equal(tz_restore_end(&r, 0, &f->err), 0);
    open_again(f);
    return r.replayed;
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
