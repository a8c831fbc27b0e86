/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `taizhang list`: the record types; the fields of one; or its records, filtered, sorted and cut by SQL made from
 * catalogue names (never from what was typed: values are bound).
 */
#include "desk.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_DEFAULT = 6, SQL_BYTES_MAX = 64 * 1024 };

struct list {
    struct desk *d;
    const struct tz_type *t;
    const struct tz_field *columns[TZ_FIELDS_MAX];
    size_t ncolumns;
    struct tz_value binds[TZ_FIELDS_MAX];
    size_t nbinds;
    long long limit; /* -1 none */
    const char *columns_arg, *sort_arg;
    bool fields, csv;
    struct out_table table;
};

/* ---- types ---- */

static int list_types(struct desk *d, bool csv)
{
    const char *head[] = {tr("类型", "type"), tr("名称", "label"), tr("条数", "records")};
    struct out_table table;
    out_table_init(&table, head, 3);
    int rc = 0;
    for (size_t i = 0; i < d->cat->ntypes && !rc; i++) {
        const struct tz_type *t = &d->cat->types[i];
        char count[24];
        long long n = (long long)tz_replica_count(tz_office_replica(d->o), t);
        if (out_json_mode()) {
            rc = out_json(json_pack("{s:s,s:s,s:s,s:I}", "type", t->name, "label_zh", t->label[TZ_LANG_ZH], "label_en",
                                    t->label[TZ_LANG_EN], "count", (json_int_t)n));
            continue;
        }
        (void)snprintf(count, sizeof count, "%lld", n);
        if (csv) {
            (void)printf("%s,%s,%s\r\n", t->name, t->label[out_lang()], count);
            continue;
        }
        out_table_cell(&table, t->name);
        out_table_cell(&table, t->label[out_lang()]);
        out_table_cell(&table, count);
    }
    int printed = out_table_print(&table);
    return rc ? rc : printed;
}

/* ---- fields ---- */

static const char *const FTYPES[] = {
    [TZ_FT_ENUM] = "enum",        [TZ_FT_STR] = "str",       [TZ_FT_CODE] = "code",       [TZ_FT_TEXT] = "text",
    [TZ_FT_SECRET] = "secret",    [TZ_FT_DATE] = "date",     [TZ_FT_BOOL] = "bool",       [TZ_FT_INT] = "int",
    [TZ_FT_DEC1] = "dec1",        [TZ_FT_MONEY] = "money",   [TZ_FT_INSTANT] = "instant", [TZ_FT_REF] = "ref",
    [TZ_FT_REF_ANY] = "ref(any)", [TZ_FT_DIGEST] = "digest", [TZ_FT_SET] = "set",         [TZ_FT_REFS] = "refs",
    [TZ_FT_JSON] = "json",
};

static const char *field_type(struct desk *d, const struct tz_field *f)
{
    char text[160];
    if (f->ref)
        (void)snprintf(text, sizeof text, "%s(%s)", FTYPES[f->ftype], f->ref->name);
    else if (f->limit)
        (void)snprintf(text, sizeof text, "%s%lld", FTYPES[f->ftype], (long long)f->limit);
    else
        (void)snprintf(text, sizeof text, "%s", FTYPES[f->ftype]);
    const char *out = tz_arena_strdup(&d->a, text);
    return out ? out : "";
}

static const char *choices(struct desk *d, const struct tz_enum *e)
{
    struct tz_buf b;
    tz_buf_init(&b, SQL_BYTES_MAX);
    int rc = 0;
    for (size_t i = 0; e && i < e->nvalues && !rc; i++)
        if (!e->values[i].retired)
            rc = tz_buf_printf(&b, "%s%s %s", b.len ? " · " : "", e->values[i].code, e->values[i].label[out_lang()]);
    const char *out = tz_arena_dup(&d->a, b.len ? (const char *)b.p : "", b.len);
    tz_buf_deinit(&b);
    return out ? out : "";
}

static json_t *choices_json(const struct tz_enum *e)
{
    json_t *list = json_array();
    for (size_t i = 0; e && i < e->nvalues; i++)
        json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:b}", "code", e->values[i].code, "label_zh",
                                              e->values[i].label[TZ_LANG_ZH], "label_en",
                                              e->values[i].label[TZ_LANG_EN], "retired", (int)e->values[i].retired));
    return list;
}

static int list_fields(struct desk *d, const struct tz_type *t)
{
    static const char *const required[] = {[TZ_REQ_NO] = "no", [TZ_REQ_SAVE] = "yes", [TZ_REQ_VERIFY] = "verify"};
    const char *head[] = {tr("字段", "field"), tr("名称", "label"), tr("类型", "type"), tr("必填", "required"),
                          tr("可选值", "choices")};
    struct out_table table;
    out_table_init(&table, head, 5);
    int rc = 0;
    for (size_t i = 0; i < t->nfields && !rc; i++) {
        const struct tz_field *f = &t->fields[i];
        if (out_json_mode()) {
            rc = out_json(json_pack("{s:s,s:s,s:s,s:s,s:s,s:o}", "field", f->name, "label_zh", f->label[TZ_LANG_ZH],
                                    "label_en", f->label[TZ_LANG_EN], "type", field_type(d, f), "required",
                                    required[f->required], "choices", choices_json(f->en)));
            continue;
        }
        out_table_cell(&table, f->name);
        out_table_cell(&table, desk_label(f));
        out_table_cell(&table, field_type(d, f));
        out_table_cell(&table, required[f->required]);
        out_table_cell(&table, choices(d, f->en));
    }
    int printed = out_table_print(&table);
    return rc ? rc : printed;
}

/* ---- which columns ---- */

static void add_column(struct list *l, int at)
{
    for (size_t i = 0; i < l->ncolumns; i++)
        if (at >= 0 && l->columns[i] == &l->t->fields[at])
            return;
    if (at >= 0)
        l->columns[l->ncolumns++] = &l->t->fields[at];
}

/** Title, keys, area, then what is required: enough to tell records apart. With JSON and CSV: everything. */
static void default_columns(struct list *l)
{
    const struct tz_type *t = l->t;
    bool all = out_json_mode() || l->csv;
    if (!all) {
        add_column(l, t->title_field);
        for (size_t k = 0; k < t->nkeys && l->ncolumns < COLUMNS_DEFAULT; k++)
            add_column(l, t->keys[k].fields[0]);
        add_column(l, t->district_field);
        add_column(l, t->street_field);
    }
    for (size_t i = 0; i < t->nfields && (all || l->ncolumns < COLUMNS_DEFAULT); i++)
        if (all || t->fields[i].required == TZ_REQ_SAVE)
            add_column(l, (int)i);
}

static int choose_columns(struct list *l)
{
    if (!l->columns_arg) {
        default_columns(l);
        return 0;
    }
    for (const char *at = l->columns_arg; *at;) {
        size_t n = strcspn(at, ",");
        const char *name = tz_arena_dup(&l->d->a, at, n);
        const struct tz_field *f = name ? tz_type_field_heading(l->t, name) : NULL;
        if (!f)
            return tz_err_set(&l->d->err, TZ_E_UNKNOWN_FIELD, l->t->name, name, NULL, NULL);
        add_column(l, f->index);
        at += n + (at[n] == ',');
    }
    return 0;
}

/* ---- the query ---- */

/** `district_code=` and `street_code=` work for every type: where a type has no such field, by the area of the record.
 */
static int area_filter(struct list *l, const char *arg, struct tz_buf *where, bool *done)
{
    static const struct {
        const char *name, *column;
        unsigned chars;
    } areas[] = {{"district_code=", "_district", 6}, {"street_code=", "_street", 9}};
    *done = false;
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(areas[i].name);
        const char *reason;
        if (strncmp(arg, areas[i].name, n) != 0 || (i == 0 ? l->t->district_field : l->t->street_field) >= 0)
            continue;
        const char *code = tz_divisions_find(tz_entry_divisions(l->d->entry), areas[i].chars, "", arg + n, &reason);
        if (!code)
            return tz_err_set(&l->d->err, TZ_E_VALUE, areas[i].column + 1, arg + n, reason, NULL);
        l->binds[l->nbinds++] = tz_value_text(code);
        *done = true;
        return tz_buf_printf(where, " AND %s=?", areas[i].column);
    }
    return 0;
}

static int add_filter(struct list *l, struct tz_record *rec, const char *arg, struct tz_buf *where)
{
    const struct tz_field *f;
    const char *text;
    bool done;
    int rc = area_filter(l, arg, where, &done);
    if (rc || done)
        return rc;
    rc = tz_entry_split(l->t, arg, &f, &text, &l->d->err);
    if (!rc)
        rc = tz_entry_value(l->d->entry, rec, f, text, &l->d->a, &rec->v[f->index], NULL, &l->d->err);
    if (rc)
        return rc;
    if (rec->v[f->index].kind == TZ_V_NULL)
        return tz_buf_printf(where, " AND \"%s\" IS NULL", f->name);
    l->binds[l->nbinds++] = rec->v[f->index];
    return tz_buf_printf(where, " AND \"%s\"=?", f->name);
}

static int make_sql(struct list *l, const char *const *filters, size_t n, struct tz_buf *sql)
{
    struct tz_record *rec = tz_arena_alloc(&l->d->a, sizeof *rec);
    if (!rec || n > TZ_FIELDS_MAX)
        return tz_err_set(&l->d->err, TZ_E_LIMIT, l->t->name, NULL, NULL, NULL);
    tz_record_init(rec, l->t);
    int rc = tz_buf_printf(sql, "SELECT _id FROM \"%s\" WHERE 1", l->t->name);
    for (size_t i = 0; i < n && !rc; i++)
        rc = add_filter(l, rec, filters[i], sql);
    if (!rc && l->sort_arg) {
        bool down = l->sort_arg[0] == '-';
        const struct tz_field *f = tz_type_field_heading(l->t, l->sort_arg + down);
        rc = f ? tz_buf_printf(sql, " ORDER BY \"%s\"%s, _id", f->name, down ? " DESC" : "")
               : tz_err_set(&l->d->err, TZ_E_UNKNOWN_FIELD, l->t->name, l->sort_arg + down, NULL, NULL);
    } else if (!rc) {
        rc = tz_buf_puts(sql, " ORDER BY _id");
    }
    if (!rc)
        rc = tz_buf_printf(sql, " LIMIT %lld", l->limit);
    return rc ? rc : tz_buf_putc(sql, 0);
}

/* ---- records ---- */

static int print_json_row(const struct list *l, const struct tz_row *row, const char *hex, bool pending)
{
    json_t *j = json_pack("{s:s,s:b}", "id", hex, "pending", (int)pending);
    for (size_t i = 0; i < l->ncolumns; i++) {
        struct tz_value v = row->rec.v[l->columns[i]->index];
        if (v.kind != TZ_V_NULL || l->columns_arg)
            json_object_set_new(j, l->columns[i]->name, desk_json(l->columns[i], v));
    }
    return out_json(j);
}

/** Values as stored, but a person's types in a person's form: codes, ISO dates, money in 元. */
static void print_csv_row(const struct list *l, const struct tz_row *row, const char *hex)
{
    desk_csv_cell(hex, TZ_ID_HEX, false, l->ncolumns == 0);
    for (size_t i = 0; i < l->ncolumns; i++) {
        const struct tz_field *f = l->columns[i];
        struct tz_value v = row->rec.v[f->index];
        struct tz_buf b;
        tz_buf_init(&b, TZ_ROW_BYTES_MAX);
        bool text = v.kind == TZ_V_TEXT;
        int rc = text ? tz_buf_put(&b, v.p, v.n) : tz_value_print(f, v, out_lang(), false, &b);
        desk_csv_cell(rc || !b.len ? "" : (const char *)b.p, rc ? 0 : b.len, text, i + 1 == l->ncolumns);
        tz_buf_deinit(&b);
    }
}

static int print_row(struct list *l, struct tz_id id)
{
    struct tz_row *row;
    bool pending = false;
    char hex[TZ_ID_HEX + 1];
    int rc = desk_read(l->d, l->t, id, &row, NULL, &pending);
    if (rc)
        return rc;
    tz_id_print(id, hex);
    if (out_json_mode())
        return print_json_row(l, row, hex, pending);
    if (l->csv) {
        print_csv_row(l, row, hex);
        return 0;
    }
    out_table_cell(&l->table, hex);
    for (size_t i = 0; i < l->ncolumns; i++)
        out_table_cell(&l->table, desk_value(l->d, l->columns[i], &row->rec, row->rec.v[l->columns[i]->index]));
    out_table_cell(&l->table, pending ? tr("待送", "pending") : "");
    return 0;
}

static void print_head(struct list *l)
{
    const char *head[TZ_FIELDS_MAX + 2];
    size_t n = 0;
    head[n++] = tr("编号", "id");
    for (size_t i = 0; i < l->ncolumns; i++)
        head[n++] = desk_label(l->columns[i]);
    head[n++] = "";
    out_table_init(&l->table, head, n);
    if (!l->csv || out_json_mode())
        return;
    desk_csv_cell("_id", 3, false, l->ncolumns == 0);
    for (size_t i = 0; i < l->ncolumns; i++)
        desk_csv_cell(l->columns[i]->name, strlen(l->columns[i]->name), false, i + 1 == l->ncolumns);
}

static int print_rows(struct list *l, const char *sql)
{
    struct tz_stmt st = {0};
    int rc = tz_db_prepare(tz_office_db(l->d->o), &st, sql, &l->d->err);
    for (size_t i = 0; i < l->nbinds && !rc; i++)
        tz_stmt_bind_value(&st, (int)i + 1, l->binds[i]);
    struct tz_arena keep = l->d->a; /* columns and filters stay; what a row needs goes after it */
    tz_arena_init(&l->d->a, keep.budget_bytes);
    while (!rc && (rc = tz_stmt_step(&st, &l->d->err)) == 1) {
        struct tz_id id;
        tz_arena_reset(&l->d->a);
        rc = tz_stmt_id(&st, 0, &id) ? print_row(l, id) : 0;
        if (rc == TZ_E_UNKNOWN_RECORD) { /* gone since: another process synced */
            l->d->err = (struct tz_err){0};
            rc = 0;
        }
    }
    tz_arena_deinit(&l->d->a);
    l->d->a = keep;
    tz_stmt_finalize(&st);
    return rc;
}

static int list_records(struct list *l, const char *const *filters, size_t n)
{
    struct tz_buf sql;
    tz_buf_init(&sql, SQL_BYTES_MAX);
    int rc = choose_columns(l);
    if (!rc)
        rc = make_sql(l, filters, n, &sql);
    if (!rc) {
        print_head(l);
        rc = print_rows(l, (const char *)sql.p);
        int printed = out_table_print(&l->table);
        rc = rc ? rc : printed;
    }
    tz_buf_deinit(&sql);
    return rc;
}

/** Options into @l; false when one is wrong. */
static bool read_options(struct list *l, int argc, char **argv)
{
    static const struct option options[] = {
        {"limit", required_argument, NULL, 'l'}, {"columns", required_argument, NULL, 'c'},
        {"sort", required_argument, NULL, 's'},  {"fields", no_argument, NULL, 'f'},
        {"csv", no_argument, NULL, 'v'},         {NULL, 0, NULL, 0}};
    char *end = NULL;
    l->limit = -1;
    for (int k; (k = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (k == 'l') {
            errno = 0;
            l->limit = strtoll(optarg, &end, 10);
            if (errno || end == optarg || *end || l->limit < 0)
                return false;
        } else if (k == 'c') {
            l->columns_arg = optarg;
        } else if (k == 's') {
            l->sort_arg = optarg;
        } else if (k == 'f') {
            l->fields = true;
        } else if (k == 'v') {
            l->csv = true;
        } else {
            return false;
        }
    }
    return true;
}

int cmd_list(struct cli *c, int argc, char **argv)
{
    struct desk d;
    struct list *l = calloc(1, sizeof *l);
    if (!l || !read_options(l, argc, argv)) {
        free(l);
        return cli_usage_error(c, "%s", tr("不认识的选项或数值", "unknown option or number"));
    }
    l->d = &d;
    int rc = desk_open(&d, c);
    if (!rc && optind < argc)
        rc = desk_type(&d, argv[optind], &l->t);
    if (!rc && !l->t)
        rc = list_types(&d, l->csv);
    else if (!rc && l->fields)
        rc = list_fields(&d, l->t);
    else if (!rc)
        rc = list_records(l, (const char *const *)argv + optind + 1, (size_t)(argc - optind - 1));
    free(l);
    return desk_close(&d, rc);
}
