/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. Printing never fails a command: what cannot be looked up is shown by its id or code. */
#include "desk.h"
#include "history.h"
#include "office_int.h"
#include "redirect.h"
#include "step.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { DESK_ARENA_BYTES = 512 * 1024 * 1024, VALUE_BYTES_MAX = 256 * 1024, TITLE_DEPTH_MAX = 3 };

int desk_open(struct desk *d, struct cli *c)
{
    memset(d, 0, sizeof *d);
    d->cli = c;
    tz_arena_init(&d->a, DESK_ARENA_BYTES);
    int rc = cli_catalogue(c, &d->cat, &d->err);
    if (!rc)
        rc = cli_open_office(c, &d->o, &d->err);
    if (!rc)
        rc = tz_entry_new(d->o, &d->entry, &d->err);
    if (!rc && tz_office_filling(d->o))
        out_warn("%s", tr("首次同步还没有完成，数据还不完整",
                          "the first sync has not finished; the data is not complete yet"));
    return rc;
}

int desk_close(struct desk *d, int rc)
{
    if (rc < 0) {
        if (d->err.code == 0)
            (void)tz_err_set(&d->err, rc, NULL, NULL, NULL, NULL);
        tz_step_words(d->cat, d->o, out_lang(), &d->err);
        rc = out_error(&d->err);
    }
    tz_entry_free(d->entry);
    tz_arena_deinit(&d->a);
    return rc;
}

int desk_type(struct desk *d, const char *name, const struct tz_type **out)
{
    *out = tz_entry_type(d->cat, name);
    return *out ? 0 : tz_err_set(&d->err, TZ_E_UNKNOWN_TYPE, name, NULL, NULL, NULL);
}

int desk_target(struct desk *d, const char *type, const char *id, const struct tz_type **t, struct tz_id *out)
{
    int rc = desk_type(d, type, t);
    return rc ? rc : tz_entry_find(d->entry, *t, id, out, &d->err);
}

int desk_current(struct desk *d, const struct tz_type *t, struct tz_id *id)
{
    char hex[TZ_ID_HEX + 1];
    int rc = tz_redirect_follow(d->o, t, id, &d->err);
    if (rc <= 0)
        return rc;
    tz_id_print(*id, hex);
    out_note(tr("该记录已并入 %s", "that record went into %s"), hex);
    return 0;
}

int desk_read(struct desk *d, const struct tz_type *t, struct tz_id id, struct tz_row **row, struct tz_seen *seen,
              bool *pending)
{
    *row = tz_arena_alloc(&d->a, sizeof **row);
    if (!*row)
        return tz_err_set(&d->err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    int rc = tz_office_read(d->o, t, id, &d->a, *row, seen, pending, &d->err);
    return rc == 0 ? tz_err_set(&d->err, TZ_E_UNKNOWN_RECORD, NULL, NULL, NULL, NULL) : rc < 0 ? rc : 0;
}

/* ---- saving ---- */

int desk_begin(struct desk *d, const char *reason, struct tz_save **s)
{
    struct tz_save_options opt = {.reason = reason};
    int rc = cli_user(d->cli, &opt.user, &d->err);
    return rc ? rc : tz_save_begin(d->o, &opt, s, &d->err);
}

int desk_finish(struct desk *d, struct tz_save *s, int rc, uint64_t *seq)
{
    if (rc) {
        tz_save_cancel(s);
        return rc;
    }
    rc = tz_save_commit(s, seq, &d->err);
    if (!rc)
        cli_poke(d->cli);
    return rc;
}

bool desk_reason(int argc, char **argv, const char **reason)
{
    static const struct option options[] = {{"reason", required_argument, NULL, 'r'}, {NULL, 0, NULL, 0}};
    for (int k; (k = getopt_long(argc, argv, "", options, NULL)) != -1; *reason = optarg)
        if (k != 'r')
            return false;
    return true;
}

/* ---- values ---- */

static const char *print(struct desk *d, const struct tz_field *f, struct tz_value v)
{
    struct tz_buf b;
    tz_buf_init(&b, VALUE_BYTES_MAX);
    int rc = tz_value_print(f, v, out_lang(), true, &b);
    char *out = rc ? NULL : tz_arena_dup(&d->a, b.p, b.len);
    tz_buf_deinit(&b);
    return out ? out : "";
}

static const char *join(struct desk *d, const char *x, const char *y)
{
    struct tz_buf b;
    tz_buf_init(&b, VALUE_BYTES_MAX);
    int rc = tz_buf_printf(&b, "%s %s", x, y);
    char *out = rc ? NULL : tz_arena_dup(&d->a, b.p, b.len);
    tz_buf_deinit(&b);
    return out ? out : x;
}

static bool read_row(struct desk *d, const struct tz_type *t, struct tz_value id, struct tz_row **row)
{
    struct tz_id key;
    struct tz_err ignored = {0};
    if (!t || id.kind != TZ_V_BLOB || id.n != sizeof key.b)
        return false;
    memcpy(key.b, id.p, sizeof key.b);
    *row = tz_arena_alloc(&d->a, sizeof **row);
    return *row && tz_office_read(d->o, t, key, &d->a, *row, NULL, NULL, &ignored) == 1;
}

static const struct tz_type *target_type(struct desk *d, const struct tz_field *f, const struct tz_record *rec)
{
    char name[TZ_NAME_MAX + 1] = "";
    if (f->ref || !rec || f->ftype != TZ_FT_REF_ANY)
        return f->ref;
    struct tz_value v = rec->v[f->any_type_field];
    if (v.kind == TZ_V_TEXT && v.n < sizeof name)
        memcpy(name, v.p, v.n);
    return tz_catalogue_type(d->cat, name);
}

/** The title's own field; through references, but not for ever. */
static const char *title_of(struct desk *d, const struct tz_row *row, unsigned depth)
{
    int at = row->rec.type->title_field;
    char hex[TZ_ID_HEX + 1];
    struct tz_row *next;
    if (at >= 0 && row->rec.v[at].kind != TZ_V_NULL) {
        const struct tz_field *f = &row->rec.type->fields[at];
        const struct tz_type *t = target_type(d, f, &row->rec);
        if (!t)
            return print(d, f, row->rec.v[at]);
        if (depth < TITLE_DEPTH_MAX && read_row(d, t, row->rec.v[at], &next))
            return title_of(d, next, depth + 1);
    }
    tz_id_print(row->id, hex);
    const char *out = tz_arena_strdup(&d->a, hex);
    return out ? out : "";
}

const char *desk_title(struct desk *d, const struct tz_row *row)
{
    return title_of(d, row, 0);
}

const char *desk_value(struct desk *d, const struct tz_field *f, const struct tz_record *rec, struct tz_value v)
{
    struct tz_row *row;
    const char *text = print(d, f, v);
    if (v.kind == TZ_V_NULL)
        return "";
    if (f->ftype == TZ_FT_REF || f->ftype == TZ_FT_REF_ANY)
        return read_row(d, target_type(d, f, rec), v, &row)
                   ? join(d, title_of(d, row, 0), text)
                   : join(d, tr("（不在本机）", "(not on this machine)"), text);
    if (f->ftype == TZ_FT_CODE && (f->limit == 6 || f->limit == 9)) {
        const char *name = tz_divisions_name(tz_entry_divisions(d->entry), text);
        return name ? join(d, name, text) : text;
    }
    return text;
}

const char *desk_user(struct desk *d, const char *hex)
{
    struct tz_id id;
    struct tz_row *row;
    const struct tz_type *t = tz_catalogue_type(d->cat, "user");
    if (!hex || tz_id_parse(hex, &id))
        return "?";
    if (read_row(d, t, tz_value_blob(id.b, sizeof id.b), &row))
        return title_of(d, row, 0);
    char *out = tz_arena_dup(&d->a, hex, 8);
    return out ? out : "?";
}

const char *desk_nobody(struct desk *d, const char *rule, long long device)
{
    char text[320];
    if (!rule || strcmp(rule, "lost") != 0)
        return tr("服务器", "the server");
    (void)snprintf(
        text, sizeof text,
        tr("服务器恢复备份后，已查不到是谁、何时写的；由设备 %lld 保留下来",
           "who wrote it and when is not known any more, since the server went back to a backup; device %lld "
           "had kept it"),
        device);
    const char *out = tz_arena_strdup(&d->a, text);
    return out ? out : "";
}

const char *desk_label(const struct tz_field *f)
{
    return f->label[out_lang()];
}

const char *desk_case_rule(const char *rule)
{
    static const struct {
        const char *rule;
        const char *text[2];
    } rules[] = {
        {"later", {"后改的为准", "the later edit stands"}},
        {"as_of", {"截至日期晚的为准", "the later as-of date stands"}},
        {"resolved", {"已处理的值为准", "the resolved value stands"}},
        {"right", {"提交人无权改这一项，原值为准", "its author may not edit this field, so what stood stands"}},
        {"late_scope",
         {"送达时提交人已没有这项权限，请主管审核", "its author had no right to it any more: a supervisor decides"}},
        {"unseen", {"删除时没有见到的修改保留记录", "an edit that the deletion had not seen keeps the record"}},
        {"purged",
         {"记录很久以前已删除并清除，不会自行恢复",
          "the record was deleted long ago and purged; it does not come back"}},
        {"revived", {"删除后送到的修改恢复了记录", "an edit that arrived after the deletion brought the record back"}},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strcmp(rules[i].rule, rule) == 0)
            return rules[i].text[out_lang()];
    return rule;
}

void desk_print_fields(struct desk *d, const struct tz_row *row)
{
    const struct tz_type *t = row->rec.type;
    size_t width = 0;
    for (size_t i = 0; i < t->nfields; i++) {
        size_t w = out_width(desk_label(&t->fields[i]));
        if (row->rec.v[i].kind != TZ_V_NULL && w > width)
            width = w;
    }
    for (size_t i = 0; i < t->nfields; i++) {
        const struct tz_field *f = &t->fields[i];
        if (row->rec.v[i].kind == TZ_V_NULL)
            continue;
        const char *label = desk_label(f);
        (void)printf("  %s%*s  %s\n", label, (int)(width - out_width(label)), "",
                     desk_value(d, f, &row->rec, row->rec.v[i]));
    }
}

json_t *desk_json(const struct tz_field *f, struct tz_value v)
{
    return tz_history_value_json(f, v);
}

void desk_warn(unsigned warnings)
{
    for (unsigned bit = 1; bit && bit <= warnings; bit <<= 1)
        if (warnings & bit)
            out_warn("%s", tz_entry_warning_text(bit, out_lang()));
}

void desk_csv_cell(const char *s, size_t n, bool text_cell, bool last)
{
    bool formula = text_cell && n && strchr("=+-@", s[0]);
    bool quote = formula || memchr(s, '"', n) || memchr(s, ',', n) || memchr(s, '\n', n) || memchr(s, '\r', n);
    if (quote)
        (void)fputc('"', stdout);
    if (formula)
        (void)fputc('\'', stdout);
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '"')
            (void)fputc('"', stdout);
        (void)fputc(s[i], stdout);
    }
    if (quote)
        (void)fputc('"', stdout);
    (void)fputs(last ? "\r\n" : ",", stdout);
}
