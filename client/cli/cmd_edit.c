/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `taizhang edit TYPE ID field=value …`: change fields of a record. Only what differs from what was seen is sent;
 * --seen names what the person had on the screen (as `show --json` printed it), else it is the record as it is now.
 */
#include "desk.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static int parse_seen(const char *token, struct tz_seen *out, struct tz_err *err)
{
    unsigned long long ver;
    unsigned long long seq;
    unsigned long long checkpoint;
    int end = 0;
    if (sscanf(token, "%llu.%llu.%llu%n", &ver, &seq, &checkpoint, &end) != 3 || token[end] != '\0')
        return tz_err_set(err, TZ_E_USAGE, token, NULL, NULL, NULL);
    *out = (struct tz_seen){ver, seq, checkpoint};
    return 0;
}

static json_t *changes_json(const struct tz_record *was, const struct tz_record *now, const bool *names)
{
    json_t *list = json_array();
    for (size_t i = 0; i < was->type->nfields; i++) {
        const struct tz_field *f = &was->type->fields[i];
        if (names[i] && !tz_value_eq(was->v[i], now->v[i]))
            json_array_append_new(list, json_pack("{s:s,s:o,s:o}", "field", f->name, "from", desk_json(f, was->v[i]),
                                                  "to", desk_json(f, now->v[i])));
    }
    return list;
}

static int report(struct desk *d, struct tz_id id, const struct tz_record *was, const struct tz_record *now,
                  const bool *names, uint64_t seq)
{
    char hex[TZ_ID_HEX + 1];
    tz_id_print(id, hex);
    if (out_json_mode())
        return out_json(json_pack("{s:s,s:s,s:I,s:o}", "type", was->type->name, "id", hex, "seq", (json_int_t)seq,
                                  "changes", changes_json(was, now, names)));
    for (size_t i = 0; i < was->type->nfields; i++) {
        const struct tz_field *f = &was->type->fields[i];
        if (!names[i] || tz_value_eq(was->v[i], now->v[i]))
            continue;
        const char *from = desk_value(d, f, was, was->v[i]);
        const char *to = desk_value(d, f, now, now->v[i]);
        const char *empty = tr("（空）", "(empty)");
        (void)printf("%s: %s → %s\n", desk_label(f), *from ? from : empty, *to ? to : empty);
    }
    if (seq)
        out_note(tr("已保存（第 %llu 次保存，等待送出）", "saved (save %llu, waiting to be sent)"),
                 (unsigned long long)seq);
    else
        out_note("%s", tr("没有要修改的内容", "nothing to change"));
    return 0;
}

struct edit_args {
    const char *type, *id, *reason, *seen;
    const char *const *fields;
    size_t nfields;
};

static int edit(struct desk *d, const struct edit_args *in)
{
    const struct tz_type *t;
    struct tz_id id;
    struct tz_row *row;
    struct tz_seen seen;
    struct tz_save *s;
    uint64_t seq;
    bool names[TZ_FIELDS_MAX] = {false};
    unsigned warnings = 0;
    int rc = desk_target(d, in->type, in->id, &t, &id);
    if (!rc)
        rc = desk_current(d, t, &id);
    if (!rc)
        rc = desk_read(d, t, id, &row, &seen, NULL);
    if (!rc && row->deleted)
        rc = tz_err_set(&d->err, TZ_E_DELETED, NULL, NULL, NULL, NULL);
    if (!rc && in->seen)
        rc = parse_seen(in->seen, &seen, &d->err);
    struct tz_record *rec = rc ? NULL : tz_arena_dup(&d->a, &row->rec, sizeof *rec);
    if (rc || !rec)
        return rc ? rc : tz_err_set(&d->err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    rc = tz_entry_fields(d->entry, in->fields, in->nfields, &d->a, rec, names, &warnings, &d->err);
    if (!rc)
        rc = desk_begin(d, in->reason, &s);
    if (rc)
        return rc;
    rc = tz_save_set(s, id, &seen, rec, names, &d->err);
    rc = desk_finish(d, s, rc, &seq);
    if (rc)
        return rc;
    desk_warn(warnings);
    return report(d, id, &row->rec, rec, names, seq);
}

int cmd_edit(struct cli *c, int argc, char **argv)
{
    static const struct option options[] = {
        {"reason", required_argument, NULL, 'r'}, {"seen", required_argument, NULL, 's'}, {NULL, 0, NULL, 0}};
    struct edit_args in = {0};
    struct desk d;
    for (int k; (k = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (k == 'r')
            in.reason = optarg;
        else if (k == 's')
            in.seen = optarg;
        else
            return cli_usage_error(c, "%s", tr("不认识的选项", "unknown option"));
    }
    if (argc - optind < 3)
        return cli_usage_error(
            c, "%s", tr("需要记录类型、编号和至少一个 字段=值", "a record type, an id and at least one field=value"));
    in.type = argv[optind];
    in.id = argv[optind + 1];
    in.fields = (const char *const *)argv + optind + 2;
    in.nfields = (size_t)(argc - optind - 2);
    int rc = desk_open(&d, c);
    if (!rc)
        rc = edit(&d, &in);
    return desk_close(&d, rc);
}
