/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of the sample's shape without end: the organisations of one district of deploy/sample/organisations.csv again
 * and again, each time with a name and a credit code of its own (GB 32100-2015, check character included).
 */
#include "bench.h"
#include "csvread.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEMPLATES_MAX = 4096, COLUMNS_MAX = 32 };

struct bench_rows {
    char *column[COLUMNS_MAX];
    size_t ncolumns, usci, name, district, employees;
    char **cell[TEMPLATES_MAX]; /* NULL-terminated texts of ncolumns cells */
    size_t n;
};

static size_t column_of(const struct bench_rows *r, const char *name)
{
    for (size_t i = 0; i < r->ncolumns; i++)
        if (strcmp(r->column[i], name) == 0)
            return i;
    bench_die("the sample has no column %s", name);
}

static int on_row(void *ctx, size_t line, const struct tz_bytes *fields, size_t n)
{
    struct bench_rows *r = ctx;
    if (line == 1) {
        for (size_t i = 0; i < n && i < COLUMNS_MAX; i++)
            r->column[r->ncolumns++] = strdup((const char *)fields[i].p);
        r->usci = column_of(r, "usci");
        r->name = column_of(r, "name");
        r->district = column_of(r, "district_code");
        r->employees = column_of(r, "employees");
        return 0;
    }
    if (r->n == TEMPLATES_MAX || n != r->ncolumns || strcmp((const char *)fields[r->district].p, BENCH_DISTRICT) != 0)
        return 0;
    char **cells = calloc(n, sizeof *cells);
    bench_check(cells != NULL, "out of memory");
    for (size_t i = 0; i < n; i++)
        cells[i] = strdup((const char *)fields[i].p);
    r->cell[r->n++] = cells;
    return 0;
}

static char *read_file(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    bench_check(f && fseek(f, 0, SEEK_END) == 0, "cannot read %s", path);
    long size = ftell(f);
    rewind(f);
    char *text = malloc((size_t)size + 1);
    bench_check(text && fread(text, 1, (size_t)size, f) == (size_t)size, "cannot read %s", path);
    fclose(f);
    *n = (size_t)size;
    return text;
}

struct bench_rows *bench_rows_open(void)
{
    static const struct tz_csv_limits limits = {COLUMNS_MAX, 4096, 65536};
    struct bench_rows *r = calloc(1, sizeof *r);
    size_t n;
    char *text = read_file(TZ_SOURCE_DIR "/deploy/sample/organisations.csv", &n);
    bench_check(r && tz_csv_read(tz_bytes_of(text, n), &limits, on_row, r, NULL) == 0, "the sample cannot be read");
    free(text);
    bench_check(r->n > 100, "the sample has %zu rows of district " BENCH_DISTRICT, r->n);
    return r;
}

void bench_rows_close(struct bench_rows *r)
{
    for (size_t i = 0; i < r->n; i++) {
        for (size_t c = 0; c < r->ncolumns; c++)
            free(r->cell[i][c]);
        free(r->cell[i]);
    }
    for (size_t c = 0; c < r->ncolumns; c++)
        free(r->column[c]);
    free(r);
}

/** Codes come in no order, as those of a city do: that is what an index on them costs. */
static void credit_code(char out[19], size_t row)
{
    static const uint64_t codes = UINT64_C(26439622160671); /* 31^9 */
    uint64_t i = (uint64_t)row % 10000000 * UINT64_C(987654321017) % codes;
    static const char alphabet[] = "0123456789ABCDEFGHJKLMNPQRTUWXY";
    static const unsigned weight[17] = {1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28};
    unsigned sum = 0;
    memcpy(out, "91" BENCH_DISTRICT "000000000", 17);
    for (int at = 16; at >= 8; at--, i /= 31)
        out[at] = alphabet[i % 31];
    for (int k = 0; k < 17; k++)
        sum += (unsigned)(strchr(alphabet, out[k]) - alphabet) * weight[k];
    out[17] = alphabet[(31 - sum % 31) % 31];
    out[18] = '\0';
}

static void put_row(const struct bench_rows *r, FILE *f, size_t i, bool edited)
{
    char **cell = r->cell[i % r->n];
    char code[19];
    credit_code(code, i);
    for (size_t c = 0; c < r->ncolumns; c++) {
        if (c)
            fputc(',', f);
        if (c == r->usci)
            fputs(code, f);
        else if (c == r->name)
            fprintf(f, "\"%s%zu号\"", cell[c], i);
        else if (c == r->employees && edited)
            fprintf(f, "%d", atoi(cell[c]) + 1);
        else
            fprintf(f, "\"%s\"", cell[c]);
    }
    fputc('\n', f);
}

void bench_rows_csv(const struct bench_rows *r, const char *path, size_t from, size_t n, bool edited)
{
    FILE *f = fopen(path, "w");
    bench_check(f != NULL, "cannot write %s", path);
    for (size_t c = 0; c < r->ncolumns; c++)
        fprintf(f, "%s%s", c ? "," : "", r->column[c]);
    fputc('\n', f);
    for (size_t i = from; i < from + n; i++)
        put_row(r, f, i, edited);
    bench_check(fclose(f) == 0, "cannot write %s", path);
}
