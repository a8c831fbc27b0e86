/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A catalogue file as a table of strings, and the small readers of single cells. Everything that can be wrong with one
 * cell on its own is said here, always with file, line and column, because the files are edited by people in a
 * spreadsheet.
 */
#include "catalogue_impl.h"
#include "csvread.h"
#include "utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIELD_BYTES_MAX = 64 * 1024, ROW_BYTES_MAX = 256 * 1024 };

struct reading {
    struct tz_table *t;
    struct tz_arena *scratch;
    struct tz_err *err;
    size_t *position; /* by file column: index into t->columns */
    size_t rows_max;
    bool header_done;
    bool all;
};

static int TZ_PRINTF(5, 0)
    fail_va(const char *file, size_t line, size_t number, struct tz_err *err, const char *fmt, va_list ap)
{
    char text[TZ_ERR_ARG_BYTES];
    (void)vsnprintf(text, sizeof text, fmt, ap);
    size_t n = strlen(text);
    uint32_t cp = 0;
    for (size_t i = 0, k = 0; i < n; i += k) { /* a quoted cell may be cut inside a character, or be no text at all */
        k = tz_utf8_next((const uint8_t *)text + i, n - i, &cp);
        if (k == 0) {
            text[i] = '?';
            k = 1;
        }
    }
    return tz_err_setf(err, TZ_E_CATALOGUE, "%s:%zu:%zu: %s", file, line, number, text);
}

int tz_table_fail_at(const char *file, size_t line, size_t number, struct tz_err *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = fail_va(file, line, number, err, fmt, ap);
    va_end(ap);
    return rc;
}

static int read_header(struct reading *r, size_t line, const struct tz_bytes *cells, size_t n)
{
    struct tz_table *t = r->t;
    t->file_columns = n;
    r->position = tz_arena_calloc(r->scratch, n, sizeof *r->position);
    if (r->position == NULL)
        return TZ_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (k < t->ncolumns && !tz_bytes_eq(tz_bytes_str(t->columns[k]), cells[i]))
            k++;
        if (k == t->ncolumns)
            return tz_table_fail_at(t->name, line, i + 1, r->err, "unknown column '%.40s'", (const char *)cells[i].p);
        if (t->number[k] != 0)
            return tz_table_fail_at(t->name, line, i + 1, r->err, "column '%s' is there twice", t->columns[k]);
        t->number[k] = i + 1;
        r->position[i] = k;
    }
    for (size_t k = 0; r->all && k < t->ncolumns; k++)
        if (t->number[k] == 0)
            return tz_table_fail_at(t->name, line, n + 1, r->err, "column '%s' is missing", t->columns[k]);
    r->header_done = true;
    return 0;
}

static const char *cell_wrong(struct tz_bytes s)
{
    uint32_t cp = 0;
    for (size_t i = 0, k = 0; i < s.n; i += k) {
        k = tz_utf8_next(s.p + i, s.n - i, &cp);
        if (k == 0)
            return "not valid UTF-8";
        if ((cp < 0x20 && cp != '\n' && cp != '\t' && cp != '\r') || cp == 0x7F)
            return "a control character";
    }
    return NULL;
}

static int row_cb(void *ctx, size_t line, const struct tz_bytes *cells, size_t n)
{
    struct reading *r = ctx;
    struct tz_table *t = r->t;
    for (size_t i = 0; i < n; i++) {
        const char *reason = cell_wrong(cells[i]);
        if (reason != NULL)
            return tz_table_fail_at(t->name, line, i + 1, r->err, "%s", reason);
    }
    if (!r->header_done)
        return read_header(r, line, cells, n);
    if (n != t->file_columns)
        return tz_table_fail_at(t->name, line, n < t->file_columns ? n + 1 : t->file_columns + 1, r->err,
                                "%zu cells where the header has %zu", n, t->file_columns);
    if (t->nrows >= r->rows_max)
        return tz_table_fail_at(t->name, line, 1, r->err, "more than %d rows", TZ_TABLE_ROWS_MAX);
    struct tz_row *row = &t->rows[t->nrows];
    row->line = line;
    row->cell = tz_arena_calloc(r->scratch, t->ncolumns, sizeof *row->cell);
    if (row->cell == NULL)
        return TZ_E_NOMEM;
    for (size_t k = 0; k < t->ncolumns; k++)
        row->cell[k] = "";
    for (size_t i = 0; i < n; i++) {
        row->cell[r->position[i]] = tz_arena_dup(r->scratch, cells[i].p, cells[i].n);
        if (row->cell[r->position[i]] == NULL)
            return TZ_E_NOMEM;
    }
    t->nrows++;
    return 0;
}

/** Upper bound of rows, so that they are one array. */
static size_t count_breaks(struct tz_bytes s)
{
    size_t n = 1;
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '\n' || s.p[i] == '\r';
    return n < TZ_TABLE_ROWS_MAX ? n : TZ_TABLE_ROWS_MAX;
}

int tz_table_read(const struct tz_catalogue_file *file, const char *const *columns, size_t ncolumns, bool all,
                  struct tz_arena *scratch, struct tz_table *out, struct tz_err *err)
{
    static const struct tz_csv_limits limits = {TZ_TABLE_COLUMNS_MAX, FIELD_BYTES_MAX, ROW_BYTES_MAX};
    *out = (struct tz_table){.name = file->name, .columns = columns, .ncolumns = ncolumns};
    struct reading r = {.t = out, .scratch = scratch, .err = err, .all = all, .rows_max = count_breaks(file->text)};
    out->number = tz_arena_calloc(scratch, ncolumns, sizeof *out->number);
    out->rows = tz_arena_calloc(scratch, r.rows_max, sizeof *out->rows);
    if (out->number == NULL || out->rows == NULL)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    struct tz_csv_pos pos = {0, 0};
    int rc = tz_csv_read(file->text, &limits, row_cb, &r, &pos);
    if (rc == TZ_E_FORMAT)
        return tz_table_fail_at(file->name, pos.line, pos.column, err, "quotes do not match");
    if (rc == TZ_E_LIMIT)
        return tz_table_fail_at(file->name, pos.line, pos.column, err, "too many or too long cells");
    if (rc == TZ_E_NOMEM)
        return tz_err_set(err, rc, NULL, NULL, NULL, NULL);
    if (rc == 0 && !r.header_done)
        return tz_table_fail_at(file->name, 1, 1, err, "the header row is missing");
    return rc;
}

int tz_cell_fail(const struct tz_cell *c, size_t column, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = fail_va(c->t->name, c->row->line, c->t->number[column], c->ld->err, fmt, ap);
    va_end(ap);
    return rc;
}

int tz_loader_nomem(struct tz_loader *ld)
{
    return tz_err_set(ld->err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
}

const char *tz_cell(const struct tz_cell *c, size_t column)
{
    return c->row->cell[column];
}

const char *tz_cell_dup(const struct tz_cell *c, size_t column)
{
    const char *s = tz_arena_strdup(c->ld->arena, tz_cell(c, column));
    if (s == NULL)
        (void)tz_loader_nomem(c->ld);
    return s;
}

int tz_cell_yes_no(const struct tz_cell *c, size_t column, bool *out)
{
    static const char *const words[] = {"no", "yes", NULL};
    unsigned i = 0;
    int rc = tz_cell_choice(c, column, words, &i);
    *out = i == 1;
    return rc;
}

int tz_cell_number(const struct tz_cell *c, size_t column, uint32_t least, uint32_t most, uint32_t *out)
{
    const char *s = tz_cell(c, column);
    size_t n = strspn(s, "0123456789");
    unsigned long v = n > 0 && n < 10 && s[n] == '\0' ? strtoul(s, NULL, 10) : 0;
    if (n == 0 || n >= 10 || s[n] != '\0' || v < least || v > most)
        return tz_cell_fail(c, column, "'%.40s' is not a number from %u to %u", s, least, most);
    *out = (uint32_t)v;
    return 0;
}

int tz_cell_name(const struct tz_cell *c, size_t column, const char **out)
{
    const char *s = tz_cell(c, column);
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (n == 0 || n > TZ_NAME_MAX || s[n] != '\0' || s[0] < 'a' || s[0] > 'z')
        return tz_cell_fail(c, column, "'%.40s' is not a name (a-z, 0-9 and _, a letter first)", s);
    *out = tz_cell_dup(c, column);
    return *out == NULL ? TZ_E_NOMEM : 0;
}

int tz_cell_label(const struct tz_cell *c, size_t column, const char **out)
{
    const char *s = tz_cell(c, column);
    if (*s == '\0' || strlen(s) > TZ_ERR_ARG_BYTES - 1)
        return tz_cell_fail(c, column, *s == '\0' ? "the label is empty" : "the label is too long");
    *out = tz_cell_dup(c, column);
    return *out == NULL ? TZ_E_NOMEM : 0;
}

int tz_cell_choice(const struct tz_cell *c, size_t column, const char *const *words, unsigned *out)
{
    for (unsigned i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], tz_cell(c, column)) == 0) {
            *out = i;
            return 0;
        }
    }
    return tz_cell_fail(c, column, "'%.40s' is not a value of %s", tz_cell(c, column), c->t->columns[column]);
}

int tz_cell_editors(const struct tz_cell *c, size_t column, unsigned *out)
{
    static const char letters[] = "FCDS"; /* bit i is enum tz_editor */
    *out = 0;
    for (const char *s = tz_cell(c, column); *s != '\0'; s++) {
        const char *at = strchr(letters, *s);
        unsigned bit = at != NULL ? 1U << (at - letters) : 0;
        if (bit == 0 || (*out & bit) != 0)
            return tz_cell_fail(c, column, "'%.40s' is not made of the letters F C D S", tz_cell(c, column));
        *out |= bit;
    }
    return 0;
}
