/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CSV rows: a thin, capped layer over libcsv.
 *
 * 1. libcsv is fed at most one physical line (and at most FEED_BYTES) at a time. So the line counter is right inside
 * quoted line breaks, and a field that never ends is noticed at field_bytes_max, not when memory is gone.
 * 2. libcsv trims spaces of unquoted fields by default; RFC 4180 says they belong to the field, so no byte counts as
 * space here.
 * 3. After an error nothing is parsed any more: libcsv keeps calling back until its input ends, and those calls are
 * ignored.
 *
 * It does not decode text, know headers or guess separators.
 */
#include "csvread.h"

#include <csv.h>
#include <stdlib.h>
#include <string.h>

enum { FEED_BYTES = 4096, ROW_NOT_BEGUN = 0 /* libcsv's parser state between rows */ };

struct tz_csv_reader {
    struct csv_parser parser;
    struct tz_csv_limits limits;
    tz_csv_row_cb row_cb;
    void *ctx;
    struct tz_buf bytes;     /* fields of the row being read, each with a NUL */
    struct tz_bytes *fields; /* fields_max of them; p is set when the row is complete, because bytes may move */
    size_t nfields;
    size_t line;     /* the line being read */
    size_t row_line; /* where the row being read began */
    size_t bad_column;
    unsigned bom_seen; /* bytes of a byte order mark consumed; 3 = past it or there is none */
    int rc;
};

static int not_a_space(unsigned char c)
{
    (void)c;
    return 0;
}

static void fail(struct tz_csv_reader *r, int rc, size_t column)
{
    if (r->rc != 0)
        return;
    r->rc = rc;
    r->bad_column = column;
}

static void field_cb(void *p, size_t n, void *ctx)
{
    struct tz_csv_reader *r = ctx;
    if (r->rc != 0)
        return;
    if (r->nfields >= r->limits.fields_max || n > r->limits.field_bytes_max) {
        fail(r, TZ_E_LIMIT, r->nfields + 1);
        return;
    }
    int rc = n > 0 ? tz_buf_put(&r->bytes, p, n) : 0;
    if (rc == 0)
        rc = tz_buf_putc(&r->bytes, 0);
    if (rc != 0) {
        fail(r, rc, r->nfields + 1);
        return;
    }
    r->fields[r->nfields++].n = n;
}

static void row_end_cb(int c, void *ctx)
{
    (void)c;
    struct tz_csv_reader *r = ctx;
    if (r->rc != 0)
        return;
    const uint8_t *p = r->bytes.p;
    for (size_t i = 0; i < r->nfields; i++) {
        r->fields[i].p = p;
        p += r->fields[i].n + 1;
    }
    int rc = r->row_cb(r->ctx, r->row_line, r->fields, r->nfields);
    r->nfields = 0;
    tz_buf_clear(&r->bytes);
    r->row_line = r->line; /* a lone CR ends a row without ending the line */
    if (rc != 0)
        fail(r, rc, 0);
}

struct tz_csv_reader *tz_csv_reader_new(const struct tz_csv_limits *limits, tz_csv_row_cb row_cb, void *ctx)
{
    struct tz_csv_reader *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return NULL;
    r->limits = *limits;
    r->row_cb = row_cb;
    r->ctx = ctx;
    r->line = r->row_line = 1;
    tz_buf_init(&r->bytes, limits->row_bytes_max);
    r->fields = calloc(limits->fields_max, sizeof(*r->fields));
    if (r->fields == NULL || csv_init(&r->parser, CSV_STRICT | CSV_STRICT_FINI) != 0) {
        free(r->fields);
        free(r);
        return NULL;
    }
    csv_set_space_func(&r->parser, not_a_space);
    return r;
}

void tz_csv_reader_free(struct tz_csv_reader *r)
{
    if (r == NULL)
        return;
    csv_free(&r->parser);
    tz_buf_deinit(&r->bytes);
    free(r->fields);
    free(r);
}

/** Length of the next piece: up to and including the line break, at most FEED_BYTES. */
static size_t piece_len(const uint8_t *p, size_t n)
{
    size_t most = n < FEED_BYTES ? n : FEED_BYTES;
    const uint8_t *nl = memchr(p, '\n', most);
    return nl != NULL ? (size_t)(nl - p) + 1 : most;
}

static int parser_error(struct tz_csv_reader *r)
{
    int status = csv_error(&r->parser);
    return status == CSV_ENOMEM ? TZ_E_NOMEM : status == CSV_ETOOBIG ? TZ_E_LIMIT : TZ_E_FORMAT;
}

static void feed_piece(struct tz_csv_reader *r, const uint8_t *p, size_t n)
{
    if (r->parser.pstate == ROW_NOT_BEGUN)
        r->row_line = r->line;
    if (csv_parse(&r->parser, p, n, field_cb, row_end_cb, r) != n)
        fail(r, parser_error(r), r->nfields + 1);
    if (r->parser.entry_pos > r->limits.field_bytes_max + 1) /* libcsv keeps the closing quote for a moment */
        fail(r, TZ_E_LIMIT, r->nfields + 1);
    if (r->rc == 0 && p[n - 1] == '\n')
        r->line++;
}

/** Drop a byte order mark that may arrive in pieces. A false start (EF without BB BF) is fed on as it was. */
static struct tz_bytes skip_bom(struct tz_csv_reader *r, struct tz_bytes in)
{
    static const uint8_t bom[3] = {0xEF, 0xBB, 0xBF};
    while (r->bom_seen < 3 && in.n > 0) {
        if (in.p[0] != bom[r->bom_seen]) {
            unsigned seen = r->bom_seen;
            r->bom_seen = 3;
            if (seen > 0)
                feed_piece(r, bom, seen);
            break;
        }
        r->bom_seen++;
        in.p++;
        in.n--;
    }
    return in;
}

int tz_csv_reader_feed(struct tz_csv_reader *r, struct tz_bytes in)
{
    in = skip_bom(r, in);
    while (in.n > 0 && r->rc == 0) {
        size_t n = piece_len(in.p, in.n);
        feed_piece(r, in.p, n);
        in.p += n;
        in.n -= n;
    }
    return r->rc;
}

int tz_csv_reader_end(struct tz_csv_reader *r)
{
    if (r->bom_seen > 0 && r->bom_seen < 3) { /* the input ends inside what looked like a byte order mark */
        unsigned seen = r->bom_seen;
        r->bom_seen = 3;
        feed_piece(r, (const uint8_t *)"\xEF\xBB", seen);
    }
    if (r->rc == 0 && csv_fini(&r->parser, field_cb, row_end_cb, r) != 0)
        fail(r, parser_error(r), r->nfields + 1);
    return r->rc;
}

struct tz_csv_pos tz_csv_reader_pos(const struct tz_csv_reader *r)
{
    return (struct tz_csv_pos){.line = r->bad_column > 0 ? r->line : r->row_line, .column = r->bad_column};
}

int tz_csv_read(struct tz_bytes text, const struct tz_csv_limits *limits, tz_csv_row_cb row_cb, void *ctx,
                struct tz_csv_pos *pos)
{
    struct tz_csv_reader *r = tz_csv_reader_new(limits, row_cb, ctx);
    if (r == NULL)
        return TZ_E_NOMEM;
    int rc = tz_csv_reader_feed(r, text);
    if (rc == 0)
        rc = tz_csv_reader_end(r);
    if (pos != NULL)
        *pos = tz_csv_reader_pos(r);
    tz_csv_reader_free(r);
    return rc;
}
