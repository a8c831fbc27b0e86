/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which column holds which field. Headings are names, labels or aliases in any order; what the person maps by hand
 * comes first. Columns nobody knows are told and left out. Two columns may name one field (a code and its label); their
 * values must then agree, which is judged row by row.
 */
#include "import_int.h"

#include <stdlib.h>
#include <string.h>

enum { COLUMNS_ARENA_BYTES = 1024 * 1024 };

/** The column of our own reports: a mended sheet may still carry it. */
static const char REPORT_COLUMN[] = "错误说明";

static bool same_heading(struct tz_columns *c, const char *heading, const char *name, size_t n)
{
    const char *a = tz_name_fold(&c->a, tz_value_text(heading));
    const char *b = tz_name_fold(&c->a, tz_value_textn(name, n));
    return a && b && strcmp(a, b) == 0;
}

static int apply_map(struct tz_columns *c, const struct tz_import_options *opt, const char *map, bool *mapped,
                     struct tz_err *err)
{
    const char *eq = strrchr(map, '=');
    if (!eq || eq == map)
        return tz_err_set(err, TZ_E_USAGE, map, NULL, NULL, NULL);
    const struct tz_field *f = eq[1] ? tz_type_field_heading(opt->type, eq + 1) : NULL;
    if (eq[1] && !f)
        return tz_err_set(err, TZ_E_UNKNOWN_FIELD, opt->type->name, eq + 1, NULL, NULL);
    bool any = false;
    for (size_t i = 0; i < c->n; i++) {
        if (!same_heading(c, c->headings[i], map, (size_t)(eq - map)))
            continue;
        c->fields[i] = f;
        mapped[i] = any = true;
    }
    return any ? 0 : tz_err_set(err, TZ_E_USAGE, map, NULL, NULL, NULL);
}

/** A street is read after its district and a ref(any) after its type; two columns of one field: the first as it stands.
 */
static void put_in_order(struct tz_columns *c, const struct tz_type *t)
{
    c->used = 0;
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < c->n; i++) {
            const struct tz_field *f = c->fields[i];
            if (f && (f->ftype == TZ_FT_REF_ANY || t->street_field == f->index) == (round == 1))
                c->order[c->used++] = i;
        }
}

/** A sheet saved with another separator is one wide column. */
static const char *why_unknown(const struct tz_columns *c)
{
    const char *first = c->n ? c->headings[0] : "";
    if (c->n == 1 && strchr(first, ';'))
        return "列之间是分号，应为逗号；请另存为“CSV UTF-8（逗号分隔）” / separated by semicolons, not commas";
    if (c->n == 1 && strchr(first, '\t'))
        return "列之间是制表符，应为逗号；请另存为“CSV UTF-8（逗号分隔）” / separated by tabs, not commas";
    return "没有认得的列，第一行应是列名 / no known column; the first row must hold headings";
}

static int tell(const struct tz_columns *c, const struct tz_import_options *opt, struct tz_err *err)
{
    bool any = false;
    for (size_t i = 0; i < c->n; i++) {
        any = any || c->fields[i];
        if (opt->column && strcmp(c->headings[i], REPORT_COLUMN) != 0)
            opt->column(opt->ctx, c->headings[i], c->fields[i]);
    }
    return any ? 0 : tz_err_set(err, TZ_E_CSV, "1", why_unknown(c), NULL, NULL);
}

int tz_columns_read(struct tz_columns *c, const struct tz_import_options *opt, const struct tz_bytes *cells, size_t n,
                    struct tz_err *err)
{
    bool mapped[IMPORT_COLUMNS_MAX] = {false};
    tz_arena_init(&c->a, COLUMNS_ARENA_BYTES);
    c->n = n;
    int rc = 0;
    for (size_t i = 0; i < n; i++) {
        c->headings[i] = tz_arena_dup(&c->a, cells[i].p, cells[i].n);
        if (!c->headings[i])
            return tz_err_set(err, TZ_E_CSV, "1", "标题行太长 / the header is too long", NULL, NULL);
        if (cells[i].n)
            c->width = i + 1;
        if (!tz_utf8_valid(cells[i]))
            return tz_err_set(err, TZ_E_CSV, "1", "不是 UTF-8 编码 / not in UTF-8", NULL, NULL);
    }
    for (size_t i = 0; i < opt->nmaps && !rc; i++)
        rc = apply_map(c, opt, opt->maps[i], mapped, err);
    for (size_t i = 0; i < n && !rc; i++)
        if (!mapped[i])
            c->fields[i] = tz_type_field_heading(opt->type, c->headings[i]);
    put_in_order(c, opt->type);
    return rc ? rc : tell(c, opt, err);
}

void tz_columns_deinit(struct tz_columns *c)
{
    tz_arena_deinit(&c->a);
    memset(c, 0, sizeof *c);
}
