/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `taizhang cases` shows what stands and what was kept aside; `taizhang resolve` decides. Case rows carry their values
 * as JSON (client/case_view.c says how); what this catalogue cannot read is shown as it came.
 *
 * A number means what the last list showed under it: the list is remembered, so that working down a printed page never
 * hits another case. Ids are for scripts. "mine" and "theirs" are what was saved on this machine and what was not.
 */
#include "desk.h"
#include "office_int.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_DIGITS_MAX = 4, LIST_MAX = 999 };
static const char LAST_LIST[] = "cases.last_list";
static const char NO_CASE[] = "-";

struct case_item {
    struct tz_row *row;
    struct tz_case_view view;
    bool known;            /* view is valid */
    struct tz_row *target; /* NULL: not on this machine */
    struct tz_row *other;  /* of a duplicate, the other record; NULL: not on this machine */
    unsigned number;
    char hex[TZ_ID_HEX + 1];
};

static struct tz_value field_of(const struct tz_row *row, const char *name)
{
    const struct tz_field *f = tz_type_field(row->rec.type, name);
    return f ? row->rec.v[f->index] : tz_value_null();
}

static const char *text_of(struct desk *d, const struct tz_row *row, const char *name)
{
    struct tz_value v = field_of(row, name);
    const char *s = v.kind == TZ_V_TEXT ? tz_arena_dup(&d->a, v.p, v.n) : NULL;
    return s ? s : "";
}

static int64_t int_of(const struct tz_row *row, const char *name)
{
    struct tz_value v = field_of(row, name);
    return v.kind == TZ_V_INT ? v.i : 0;
}

static json_t *json_of(const struct tz_row *row, const char *name, const char *secret)
{
    struct tz_value v = field_of(row, name);
    if (v.kind != TZ_V_TEXT)
        v = field_of(row, secret);
    return v.kind == TZ_V_TEXT ? json_loadb((const char *)v.p, v.n, 0, NULL) : NULL;
}

static int load(struct desk *d, struct tz_id id, struct case_item *out)
{
    struct tz_err ignored = {0};
    memset(out, 0, sizeof *out);
    int rc = desk_read(d, tz_catalogue_type(d->cat, "case"), id, &out->row, NULL, NULL);
    if (rc)
        return rc;
    tz_id_print(id, out->hex);
    out->known = tz_case_read(d->o, out->row, &out->view, &ignored) == 0;
    struct tz_row *target = out->known ? tz_arena_alloc(&d->a, sizeof *target) : NULL;
    if (target && tz_office_read(d->o, out->view.type, out->view.target, &d->a, target, NULL, NULL, &ignored) == 1)
        out->target = target;
    if (!out->known || !out->view.duplicate)
        return 0;
    struct tz_row *other = tz_arena_alloc(&d->a, sizeof *other);
    if (other && tz_office_read(d->o, out->view.type, out->view.other, &d->a, other, NULL, NULL, &ignored) == 1)
        out->other = other;
    return 0;
}

typedef int (*case_fn)(struct desk *d, const struct case_item *item, void *ctx);

/** Cases in the order they were opened; open ones only unless @all. What @fn is given lives until it returns. */
static int each_case(struct desk *d, bool all, case_fn fn, void *ctx)
{
    struct tz_stmt st = {0};
    struct case_item item;
    unsigned number = 0;
    int rc = tz_db_prepare(tz_office_db(d->o), &st,
                           all ? "SELECT _id FROM \"case\" ORDER BY state <> 'open', opened_at, _id"
                               : "SELECT _id FROM \"case\" WHERE state = 'open' ORDER BY opened_at, _id",
                           &d->err);
    struct tz_arena keep = d->a;
    tz_arena_init(&d->a, keep.budget_bytes);
    while (!rc && (rc = tz_stmt_step(&st, &d->err)) == 1) {
        struct tz_id id;
        tz_arena_reset(&d->a);
        rc = tz_stmt_id(&st, 0, &id) ? load(d, id, &item) : TZ_E_DB_CORRUPT;
        item.number = ++number;
        if (!rc)
            rc = fn(d, &item, ctx);
    }
    tz_arena_deinit(&d->a);
    d->a = keep;
    tz_stmt_finalize(&st);
    return rc;
}

/* ---- names of things ---- */

/** A group has no label of its own: that of its only count, else its as-of date's, says best what it is about. */
static const char *group_label(const struct tz_type *t, uint16_t group)
{
    size_t as_of = t->groups[group - 1].as_of;
    size_t only = as_of;
    for (size_t i = 0; i < t->nfields; i++)
        if (t->fields[i].group == group && i != as_of)
            only = only == as_of ? i : t->nfields;
    return desk_label(&t->fields[only < t->nfields ? only : as_of]);
}

static const char *subject_label(struct desk *d, const struct case_item *c)
{
    const char *subject = text_of(d, c->row, "subject");
    if (!c->known)
        return subject;
    if (c->view.life)
        return tr("删除与修改", "deletion and edit");
    if (c->view.duplicate)
        return tr("重复登记", "registered twice");
    if (c->view.words)
        return tr("记录已清除后的修改", "edited after it was purged");
    if (c->view.whole)
        return tr("待审核的新记录", "a new record to be approved");
    const struct tz_field *f = tz_type_field_id(c->view.type, c->view.field);
    if (f && f->group)
        return group_label(c->view.type, f->group);
    return f ? desk_label(f) : subject;
}

/** Of a group, only members that somebody named are worth showing. */
static void disputed(struct desk *d, const struct case_item *c, bool *out)
{
    struct tz_record rec;
    bool named[TZ_FIELDS_MAX];
    bool deleted = false;
    struct tz_err ignored = {0};
    memset(out, 0, TZ_FIELDS_MAX * sizeof *out);
    for (size_t k = 0; k < c->view.ncandidates; k++)
        if (tz_case_values(c->row, &c->view, (int)k, &d->a, &rec, named, &deleted, &ignored) == 0)
            for (size_t i = 0; i < c->view.type->nfields; i++)
                out[i] = out[i] || named[i];
}

/** "地址（…taizhang history organisation 7f00…）" of a candidate whose words are in the audit log. */
static const char *emptied_text(struct desk *d, const struct case_item *c, const bool *named)
{
    char hex[TZ_ID_HEX + 1];
    struct tz_buf b;
    tz_buf_init(&b, TZ_ROW_BYTES_MAX);
    int rc = 0;
    for (size_t i = 0; i < c->view.type->nfields && !rc; i++)
        if (named[i])
            rc = tz_buf_printf(&b, "%s%s", b.len ? " · " : "", desk_label(&c->view.type->fields[i]));
    tz_id_print(c->view.target, hex);
    rc = rc ? rc
            : tz_buf_printf(&b,
                            tr("（当时的值在历史里：taizhang history %s %s）",
                               " (the value is in the history: taizhang history %s %s)"),
                            c->view.type->name, hex);
    const char *out = rc ? NULL : tz_arena_dup(&d->a, b.p, b.len);
    tz_buf_deinit(&b);
    return out ? out : "";
}

/** "地址=乙路 2 号 · …" of the standing value (@candidate −1) or of a candidate. */
static const char *values_text(struct desk *d, const struct case_item *c, int candidate, const json_t *raw)
{
    struct tz_record rec;
    bool named[TZ_FIELDS_MAX];
    bool deleted = false;
    struct tz_err ignored = {0};
    struct tz_buf b;
    bool shown[TZ_FIELDS_MAX];
    if (c->known && !c->view.life && candidate >= 0 && tz_case_emptied(c->row, &c->view, (size_t)candidate, named))
        return emptied_text(d, c, named);
    tz_buf_init(&b, TZ_ROW_BYTES_MAX);
    disputed(d, c, shown);
    bool readable =
        c->known && tz_case_values(c->row, &c->view, candidate, &d->a, &rec, named, &deleted, &ignored) == 0;
    int rc = 0;
    if (!readable) {
        char *text = raw ? json_dumps(raw, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) : NULL;
        rc = tz_buf_puts(&b, text ? text : "");
        free(text);
    } else if (c->view.life) {
        rc = tz_buf_puts(&b, deleted ? tr("删除", "deleted") : tr("保留", "kept"));
    }
    for (size_t i = 0; !rc && readable && !c->view.life && i < c->view.type->nfields; i++) {
        const struct tz_field *f = &c->view.type->fields[i];
        if (!named[i] || (!shown[i] && rec.v[i].kind == TZ_V_NULL))
            continue;
        const char *v = desk_value(d, f, &rec, rec.v[i]);
        rc = tz_buf_printf(&b, "%s%s=%s", b.len ? " · " : "", desk_label(f), *v ? v : tr("（空）", "(empty)"));
    }
    const char *out = rc || !b.len ? NULL : tz_arena_dup(&d->a, b.p, b.len);
    tz_buf_deinit(&b);
    return out ? out : "";
}

/** Whose word it is; NULL nobody's. */
static const char *user_of(const json_t *j)
{
    const char *user = json_string_value(json_object_get(j, "user"));
    return user && strspn(user, "0") < strlen(user) ? user : NULL;
}

/** "张三，设备 7，2017-03-05 14:03"; and of which record, when that is part of this one now. */
static const char *author_text(struct desk *d, const json_t *j)
{
    char when[32];
    char text[320];
    const char *of = json_string_value(json_object_get(j, "of"));
    const char *user = user_of(j);
    long long device = (long long)json_integer_value(json_object_get(j, "device"));
    if (user)
        (void)snprintf(text, sizeof text, tr("%.120s，设备 %lld，%s", "%.120s, device %lld, %s"), desk_user(d, user),
                       device, out_time(json_integer_value(json_object_get(j, "at")), when, sizeof when));
    else
        (void)snprintf(text, sizeof text, "%s", desk_nobody(d, json_string_value(json_object_get(j, "rule")), device));
    size_t n = strlen(text);
    if (of)
        (void)snprintf(text + n, sizeof text - n,
                       tr("，说的是并入的 %.8s", ", said of %.8s, which is part of this record"), of);
    const char *out = tz_arena_strdup(&d->a, text);
    return out ? out : "";
}

/* ---- printing ---- */

static json_t *with_name(struct desk *d, json_t *j)
{
    const char *user = user_of(j);
    if (j)
        json_object_set_new(j, "user_name", json_string(user ? desk_user(d, user) : ""));
    return j ? j : json_null();
}

static int print_json(struct desk *d, const struct case_item *c)
{
    char target[TZ_ID_HEX + 1] = "";
    char other[TZ_ID_HEX + 1] = "";
    json_t *standing = json_of(c->row, "standing", "standing_secret");
    json_t *candidates = json_of(c->row, "candidates", "candidates_secret");
    for (size_t i = 0; i < json_array_size(candidates); i++)
        (void)with_name(d, json_array_get(candidates, i));
    if (c->known)
        tz_id_print(c->view.target, target);
    if (c->known && c->view.duplicate)
        tz_id_print(c->view.other, other);
    return out_json(
        json_pack("{s:s,s:I,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:s,s:o,s:o,s:I,s:I}", "other", other, "number",
                  (json_int_t)c->number, "id", c->hex, "type", text_of(d, c->row, "target_type"), "target", target,
                  "title", c->target ? desk_title(d, c->target) : "", "subject", text_of(d, c->row, "subject"), "label",
                  subject_label(d, c), "kind", text_of(d, c->row, "kind"), "generation",
                  (json_int_t)int_of(c->row, "generation"), "state", text_of(d, c->row, "state"), "standing",
                  with_name(d, standing), "candidates", candidates ? candidates : json_array(), "hidden_count",
                  (json_int_t)int_of(c->row, "hidden_count"), "opened_at", (json_int_t)int_of(c->row, "opened_at")));
}

/** Two records and what can be done about them, as commands to copy. */
static void print_duplicate(struct desk *d, const struct case_item *c, bool open)
{
    char hex[2][TZ_ID_HEX + 1];
    const struct tz_row *rows[] = {c->target, c->other};
    tz_id_print(c->view.target, hex[0]);
    tz_id_print(c->view.other, hex[1]);
    for (int i = 0; i < 2; i++)
        (void)printf("    %s  %s\n", hex[i],
                     rows[i] ? desk_title(d, rows[i]) : tr("（不在本机）", "(not on this machine)"));
    if (open)
        (void)printf(tr("    是同一家：taizhang merge %s %s %s；不是：taizhang resolve %u keep\n",
                        "    the same: taizhang merge %s %s %s; not the same: taizhang resolve %u keep\n"),
                     c->view.type->name, hex[0], hex[1], c->number);
}

static int print_text(struct desk *d, const struct case_item *c)
{
    char when[32];
    json_t *standing = json_of(c->row, "standing", "standing_secret");
    json_t *list = json_of(c->row, "candidates", "candidates_secret");
    const struct tz_type *t = c->known ? c->view.type : NULL;
    bool open = strcmp(text_of(d, c->row, "state"), "open") == 0;
    (void)printf("#%u  %.8s  %s · %s%s · %s  %s%s\n", c->number, c->hex, t ? t->label[out_lang()] : "",
                 c->target ? desk_title(d, c->target) : tr("（不在本机）", "(not on this machine)"),
                 c->target && c->target->deleted ? tr("（已删除）", " (deleted)") : "", subject_label(d, c),
                 out_time(int_of(c->row, "opened_at"), when, sizeof when), open ? "" : tr("  已处理", "  closed"));
    if (c->known && c->view.duplicate) {
        print_duplicate(d, c, open);
        json_decref(standing);
        json_decref(list);
        return 0;
    }
    if (c->known && c->view.whole)
        (void)printf(
            tr("    还没有这条记录。建立：taizhang resolve %u theirs；不建立：taizhang resolve %u keep\n",
               "    there is no such record yet. Make it: taizhang resolve %u theirs; or not: taizhang resolve %u"
               " keep\n"),
            c->number, c->number);
    else if (standing)
        (void)printf(tr("    现值    %s\n            %s\n", "    stands  %s\n            %s\n"),
                     values_text(d, c, -1, json_object_get(standing, "values")), author_text(d, standing));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *j = json_array_get(list, i);
        const char *rule = json_string_value(json_object_get(j, "rule"));
        (void)printf("    %-6zu  %s\n            %s%s%s\n", i + 1,
                     values_text(d, c, (int)i, json_object_get(j, "values")), author_text(d, j),
                     rule ? tr("；", "; ") : "", rule ? desk_case_rule(rule) : "");
    }
    if (int_of(c->row, "hidden_count"))
        (void)printf(tr("    另有 %lld 个值未列出\n", "    and %lld more values\n"),
                     (long long)int_of(c->row, "hidden_count"));
    json_decref(standing);
    json_decref(list);
    return 0;
}

struct print_ctx {
    unsigned count;
    const char *only;   /* NULL: all */
    struct tz_buf list; /* ids as shown, 32 hex digits each */
};

/** What was typed, as the beginning of an id: a number stands for the id that the last list showed under it. */
static const char *id_of_name(struct desk *d, const char *name)
{
    const char *digits = name[0] == '#' ? name + 1 : name;
    size_t len = strlen(digits);
    if (len == 0 || len > NUMBER_DIGITS_MAX || strspn(digits, "0123456789") != len)
        return name;
    const char *list = tz_office_meta(d->o, LAST_LIST, &d->a);
    unsigned long n = strtoul(digits, NULL, 10);
    if (n == 0 || n > strlen(list) / TZ_ID_HEX)
        return NO_CASE; /* no such number was shown: never the beginning of an id */
    char *hex = tz_arena_dup(&d->a, list + (n - 1) * TZ_ID_HEX, TZ_ID_HEX);
    return hex ? hex : NO_CASE;
}

static bool is_named(const struct case_item *c, const char *name)
{
    return strncmp(name, c->hex, strlen(name)) == 0;
}

static int print_case(struct desk *d, const struct case_item *c, void *ctx)
{
    struct print_ctx *p = ctx;
    if (p->only && !is_named(c, p->only))
        return 0;
    if (p->count++ < LIST_MAX && !p->only && tz_buf_puts(&p->list, c->hex))
        return tz_err_set(&d->err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    return out_json_mode() ? print_json(d, c) : print_text(d, c);
}

int cmd_cases(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {{"all", no_argument, NULL, 'a'}, {NULL, 0, NULL, 0}};
    struct print_ctx p = {0};
    bool all = false;
    struct desk d;
    for (int k; (k = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (k != 'a')
            return cli_usage_error(c, "%s", tr("不认识的选项", "unknown option"));
        all = true;
    }
    if (argc - optind > 1)
        return cli_usage_error(c, "%s", tr("多余的参数", "too many arguments"));
    int rc = desk_open(&d, c);
    if (!rc && argv[optind])
        p.only = id_of_name(&d, argv[optind]);
    tz_buf_init(&p.list, (size_t)(LIST_MAX + 1) * TZ_ID_HEX);
    if (!rc)
        rc = each_case(&d, all, print_case, &p);
    if (!rc && !p.only)
        rc = tz_buf_putc(&p.list, 0);
    if (!rc && !p.only)
        rc = tz_office_meta_set(d.o, LAST_LIST, (const char *)p.list.p, &d.err);
    tz_buf_deinit(&p.list);
    if (!rc && p.only && p.count == 0)
        rc = tz_err_set(&d.err, TZ_E_NOT_FOUND, p.only, NULL, NULL, NULL);
    if (!rc && p.count == 0)
        out_note("%s", tr("没有待处理的冲突", "no open cases"));
    return desk_close(&d, rc);
}

/* ---- resolve ---- */

struct pick {
    const char *name;
    unsigned hits;
    struct tz_id id;
};

static int pick_case(struct desk *d, const struct case_item *c, void *ctx)
{
    struct pick *p = ctx;
    (void)d;
    if (!is_named(c, p->name))
        return 0;
    p->id = c->row->id;
    p->hits++;
    return 0;
}

/** It is not open any more: who closed it, and when. */
static int say_closed(struct desk *d, const struct case_item *c)
{
    char when[32];
    char by[TZ_ID_HEX + 1];
    struct tz_value user = field_of(c->row, "closed_by");
    (void)out_time(int_of(c->row, "closed_at"), when, sizeof when);
    if (user.kind != TZ_V_BLOB || user.n != TZ_ID_BYTES)
        return tz_err_set(&d->err, TZ_E_CASE_GONE, when, c->hex, NULL, NULL);
    struct tz_id id;
    memcpy(id.b, user.p, TZ_ID_BYTES);
    tz_id_print(id, by);
    return tz_err_set(&d->err, TZ_E_CASE_CLOSED, desk_user(d, by), when, c->hex, NULL);
}

static int find_case(struct desk *d, const char *name, struct case_item *out)
{
    struct pick p = {.name = id_of_name(d, name)};
    int rc = each_case(d, false, pick_case, &p);
    bool closed = !rc && p.hits == 0;
    if (closed)
        rc = each_case(d, true, pick_case, &p);
    if (rc)
        return rc;
    if (p.hits == 0)
        return tz_err_set(&d->err, TZ_E_NOT_FOUND, name, NULL, NULL, NULL);
    if (p.hits == 1 && closed)
        return (rc = load(d, p.id, out)) ? rc : say_closed(d, out);
    if (p.hits > 1)
        return tz_err_set(&d->err, TZ_E_AMBIGUOUS, name, NULL, NULL, NULL);
    return load(d, p.id, out);
}

struct decision {
    enum tz_choice choice;
    unsigned candidate;
    struct tz_record rec;
    bool names[TZ_FIELDS_MAX];
    unsigned warnings;
};

/** Was this value saved on this machine? */
static bool is_own(struct desk *d, const json_t *value)
{
    return json_integer_value(json_object_get(value, "device")) == (json_int_t)tz_office_identity(d->o)->device;
}

static int take_candidate(struct desk *d, const struct case_item *c, const char *said, struct decision *out)
{
    char *end = NULL;
    unsigned long n = strtoul(said, &end, 10);
    if (*end || end == said || n == 0 || n > c->view.ncandidates)
        return tz_err_set(&d->err, TZ_E_NOT_FOUND, said, NULL, NULL, NULL);
    out->choice = TZ_CHOICE_THEIRS;
    out->candidate = (unsigned)n - 1;
    return 0;
}

/** Nobody's word: made by the server, or no value at all. Beside a candidate it is no second thing to choose. */
static bool says_nothing(const json_t *value)
{
    const json_t *values = json_object_get(value, "values");
    bool empty = true;
    for (void *at = json_object_iter((json_t *)(uintptr_t)values); at && empty;
         at = json_object_iter_next((json_t *)(uintptr_t)values, at))
        empty = json_is_null(json_object_iter_value(at));
    return empty || !user_of(value);
}

/** The one value that is (@own) or is not of this machine; none or several: the person must say which. */
static int take_side(struct desk *d, const struct case_item *c, bool own, struct decision *out)
{
    json_t *standing = json_of(c->row, "standing", "standing_secret");
    json_t *list = json_of(c->row, "candidates", "candidates_secret");
    unsigned hits = 0;
    bool only_candidate =
        !own && json_array_size(list) == 1 && !is_own(d, json_array_get(list, 0)) && says_nothing(standing);
    if (is_own(d, standing) == own && !only_candidate) {
        out->choice = TZ_CHOICE_MINE; /* on the wire: what stands */
        hits++;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (is_own(d, json_array_get(list, i)) != own)
            continue;
        out->choice = TZ_CHOICE_THEIRS;
        out->candidate = (unsigned)i;
        hits++;
    }
    json_decref(standing);
    json_decref(list);
    if (hits == 1)
        return 0;
    return tz_err_set(
        &d->err, TZ_E_USAGE,
        hits ? tr("这样的值不止一个，请写 keep（现值）或 theirs:序号", "several such values: say keep or theirs:N")
        : own ? tr("没有一个值是本机保存的，请写 keep（现值）或 theirs:序号",
                   "none of the values was saved here: say keep or theirs:N")
              : tr("没有别人的值", "there is no value of somebody else"),
        NULL, NULL, NULL);
}

static bool is_group(const struct case_item *c)
{
    const struct tz_field *f = tz_type_field_id(c->view.type, c->view.field);
    return f && f->group;
}

static bool names_field(const struct case_item *c, const char *arg)
{
    const struct tz_field *f;
    const char *text;
    struct tz_err ignored = {0};
    return tz_entry_split(c->view.type, arg, &f, &text, &ignored) == 0 && c->view.names[f->index];
}

static int read_typed(struct desk *d, const struct case_item *c, const char *const *args, size_t n,
                      struct decision *out)
{
    const struct tz_field *f = tz_type_field_id(c->view.type, c->view.field);
    out->choice = TZ_CHOICE_TYPED;
    out->rec = c->target->rec;
    if (is_group(c) || names_field(c, args[0]))
        return tz_entry_fields(d->entry, args, n, &d->a, &out->rec, out->names, &out->warnings, &d->err);
    if (!f || n != 1)
        return tz_err_set(&d->err, TZ_E_USAGE, args[0], NULL, NULL, NULL);
    out->names[f->index] = true;
    return tz_entry_value(d->entry, &out->rec, f, args[0], &d->a, &out->rec.v[f->index], &out->warnings, &d->err);
}

struct resolve_args {
    const char *name, *reason, *candidate;
    const char *const *words; /* mine, theirs, or what was typed */
    size_t nwords;
};

static int decide(struct desk *d, const struct case_item *c, const struct resolve_args *in, struct decision *out)
{
    const char *const *args = in->words;
    size_t n = in->nwords;
    if (!c->known || (!c->target && !c->view.whole && !c->view.words))
        return tz_err_set(&d->err, TZ_E_UNKNOWN_RECORD, NULL, NULL, NULL, NULL);
    if (n == 1 && strcmp(args[0], "keep") == 0) {
        out->choice = TZ_CHOICE_MINE;
        return 0;
    }
    if (c->view.words)
        return tz_err_set(&d->err, TZ_E_PURGED, NULL, NULL, NULL, NULL);
    if (c->view.duplicate)
        return tz_err_set(&d->err, TZ_E_USAGE,
                          tr("重复登记只能写 keep（两条都留），或用 taizhang merge 合为一条",
                             "of a record registered twice: keep (both stay), or taizhang merge makes one of them"),
                          NULL, NULL, NULL);
    if (n == 1 && c->view.whole && strcmp(args[0], "theirs") == 0 && !in->candidate)
        return take_candidate(d, c, "1", out);
    if (c->view.whole && (n != 1 || strncmp(args[0], "theirs", 6) != 0))
        return tz_err_set(&d->err, TZ_E_USAGE,
                          tr("待审核的新记录只能写 theirs（建立）或 keep（不建立）",
                             "of a record to be approved: theirs (make it) or keep (do not)"),
                          NULL, NULL, NULL);
    if (n == 1 && strcmp(args[0], "mine") == 0)
        return take_side(d, c, true, out);
    if (n == 1 && strncmp(args[0], "theirs:", 7) == 0)
        return take_candidate(d, c, args[0] + 7, out);
    if (n == 1 && strcmp(args[0], "theirs") == 0)
        return in->candidate ? take_candidate(d, c, in->candidate, out) : take_side(d, c, false, out);
    if (strcmp(args[0], "typed") == 0 && n > 1)
        return read_typed(d, c, args + 1, n - 1, out);
    return read_typed(d, c, args, n, out);
}

/** What was decided, for the person to check. */
static const char *chosen_text(struct desk *d, const struct case_item *c, const struct decision *what)
{
    json_t *from = NULL;
    int which = -1;
    if (what->choice == TZ_CHOICE_TYPED)
        return tr("填写的值", "what was typed");
    if (c->view.duplicate)
        return tr("两条都留", "both stay");
    if (c->view.words)
        return tr("已阅，不恢复", "seen; it stays gone");
    if (c->view.whole && what->choice == TZ_CHOICE_MINE)
        return tr("不建立", "do not make it");
    if (what->choice == TZ_CHOICE_MINE) {
        from = json_of(c->row, "standing", "standing_secret");
    } else {
        json_t *list = json_of(c->row, "candidates", "candidates_secret");
        from = json_incref(json_array_get(list, what->candidate));
        json_decref(list);
        which = (int)what->candidate;
    }
    const char *text = values_text(d, c, which, json_object_get(from, "values"));
    json_decref(from);
    return text;
}

static int resolve(struct desk *d, const struct resolve_args *in)
{
    struct case_item c;
    struct tz_save *s;
    uint64_t seq;
    struct decision *what = tz_arena_calloc(&d->a, 1, sizeof *what);
    if (!what)
        return tz_err_set(&d->err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    int rc = find_case(d, in->name, &c);
    if (!rc)
        rc = decide(d, &c, in, what);
    if (!rc)
        rc = desk_begin(d, in->reason, &s);
    if (rc)
        return rc;
    rc = tz_save_resolve(s, c.row->id, what->choice, what->candidate, &what->rec, what->names, &d->err);
    rc = desk_finish(d, s, rc, &seq);
    if (rc)
        return rc;
    desk_warn(what->warnings);
    if (out_json_mode())
        return out_json(json_pack("{s:s,s:I}", "case", c.hex, "seq", (json_int_t)seq));
    out_note(tr("%s · %s：采用 %s", "%s · %s: took %s"), c.target ? desk_title(d, c.target) : "", subject_label(d, &c),
             chosen_text(d, &c, what));
    out_note(tr("已保存（第 %llu 次保存，等待送出）", "saved (save %llu, waiting to be sent)"),
             (unsigned long long)seq);
    return 0;
}

int cmd_resolve(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {
        {"reason", required_argument, NULL, 'r'}, {"candidate", required_argument, NULL, 'c'}, {NULL, 0, NULL, 0}};
    struct resolve_args in = {0};
    struct desk d;
    for (int k; (k = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (k == 'r')
            in.reason = optarg;
        else if (k == 'c')
            in.candidate = optarg;
        else
            return cli_usage_error(c, "%s", tr("不认识的选项", "unknown option"));
    }
    if (argc - optind < 2)
        return cli_usage_error(
            c, "%s", tr("需要冲突编号和 mine、theirs[:序号] 或一个值", "a case, then mine, theirs[:N] or a value"));
    in.name = argv[optind];
    in.words = (const char *const *)argv + optind + 1;
    in.nwords = (size_t)(argc - optind - 1);
    int rc = desk_open(&d, c);
    if (!rc)
        rc = resolve(&d, &in);
    return desk_close(&d, rc);
}
