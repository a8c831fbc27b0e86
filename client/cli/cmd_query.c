/* SPDX-License-Identifier: Apache-2.0 */
/* `taizhang query SQL`: one SELECT over the replica, as a table, JSON Lines or --csv. Blobs (ids) print as hex. */
#include "desk.h"
#include "query.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct printer {
    struct out_table table;
    bool csv;
    char **names; /* owned */
    size_t n;
};

static int take_columns(void *ctx, const char *const *names, size_t n)
{
    struct printer *p = ctx;
    out_table_init(&p->table, names, n);
    p->names = calloc(n ? n : 1, sizeof *p->names);
    if (!p->names)
        return TZ_E_NOMEM;
    p->n = n;
    for (size_t i = 0; i < n; i++) {
        p->names[i] = strdup(names[i]);
        if (!p->names[i])
            return TZ_E_NOMEM;
        if (p->csv && !out_json_mode())
            desk_csv_cell(names[i], strlen(names[i]), false, i + 1 == n);
    }
    return 0;
}

/** Text of a cell in @b, NUL-terminated. */
static int cell_text(const struct tz_cell *c, struct tz_buf *b)
{
    int rc = 0;
    tz_buf_clear(b);
    switch (c->kind) {
    case TZ_CELL_INT:
        rc = tz_buf_printf(b, "%lld", (long long)c->i);
        break;
    case TZ_CELL_REAL:
        rc = tz_buf_printf(b, "%.15g", c->real);
        break;
    case TZ_CELL_TEXT:
        rc = tz_buf_put(b, c->bytes.p, c->bytes.n);
        break;
    case TZ_CELL_BLOB:
        for (size_t i = 0; i < c->bytes.n && !rc; i++)
            rc = tz_buf_printf(b, "%02x", c->bytes.p[i]);
        break;
    case TZ_CELL_NULL:
    default:
        break;
    }
    return rc ? rc : tz_buf_putc(b, 0);
}

static json_t *cell_json(const struct tz_cell *c, const struct tz_buf *text)
{
    json_t *j = NULL;
    if (c->kind == TZ_CELL_INT)
        j = json_integer(c->i);
    else if (c->kind == TZ_CELL_REAL)
        j = json_real(c->real);
    else if (c->kind != TZ_CELL_NULL)
        j = json_stringn((const char *)text->p, text->len - 1); /* NULL where text is not UTF-8 */
    return j ? j : json_null();
}

static int print_cell(struct printer *p, const struct tz_cell *c, const struct tz_buf *text, size_t i, json_t *object)
{
    if (object)
        return json_object_set_new(object, p->names[i], cell_json(c, text)) ? TZ_E_NOMEM : 0;
    if (p->csv)
        desk_csv_cell((const char *)text->p, text->len - 1, c->kind == TZ_CELL_TEXT, i + 1 == p->n);
    else
        out_table_cell(&p->table, (const char *)text->p);
    return 0;
}

static int take_row(void *ctx, const struct tz_cell *cells, size_t n)
{
    struct printer *p = ctx;
    struct tz_buf b;
    json_t *object = out_json_mode() ? json_object() : NULL;
    int rc = 0;
    tz_buf_init(&b, 64U << 20);
    for (size_t i = 0; i < n && !rc; i++) {
        rc = cell_text(&cells[i], &b);
        if (!rc)
            rc = print_cell(p, &cells[i], &b, i, object);
    }
    tz_buf_deinit(&b);
    if (object && rc)
        json_decref(object);
    else if (object)
        rc = out_json(object);
    return rc;
}

int cmd_query(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {{"csv", no_argument, NULL, 'v'}, {NULL, 0, NULL, 0}};
    struct printer p = {0};
    struct desk d;
    for (int k; (k = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (k != 'v')
            return cli_usage_error(c, "%s", tr("不认识的选项", "unknown option"));
        p.csv = true;
    }
    if (argc - optind != 1)
        return cli_usage_error(c, "%s", tr("需要一条 SQL 语句（加引号）", "one SQL statement, in quotes"));
    struct tz_query_handler h = {take_columns, take_row, &p};
    int rc = desk_open(&d, c);
    if (!rc)
        rc = tz_query_run(d.o, argv[optind], &h, &d.err);
    int printed = out_table_print(&p.table);
    for (size_t i = 0; i < p.n; i++)
        free(p.names[i]);
    free(p.names);
    return desk_close(&d, rc ? rc : printed);
}
