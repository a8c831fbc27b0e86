/* SPDX-License-Identifier: Apache-2.0 */
/* `taizhang add TYPE field=value …`: a new record, as one save. Prints its id. */
#include "desk.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static int report(const struct tz_type *t, struct tz_id id, uint64_t seq)
{
    char hex[TZ_ID_HEX + 1];
    tz_id_print(id, hex);
    if (out_json_mode())
        return out_json(json_pack("{s:s,s:s,s:I}", "type", t->name, "id", hex, "seq", (json_int_t)seq));
    (void)printf("%s\n", hex);
    out_note(tr("已保存%s（第 %llu 次保存，等待送出）", "saved a %s (save %llu, waiting to be sent)"),
             t->label[out_lang()], (unsigned long long)seq);
    return 0;
}

static int add(struct desk *d, const char *type, const char *const *args, size_t nargs, const char *reason)
{
    const struct tz_type *t;
    struct tz_record rec;
    bool names[TZ_FIELDS_MAX] = {false};
    unsigned warnings = 0;
    struct tz_save *s;
    struct tz_id id;
    uint64_t seq;
    int rc = desk_type(d, type, &t);
    if (rc)
        return rc;
    tz_record_init(&rec, t);
    rc = tz_entry_fields(d->entry, args, nargs, &d->a, &rec, names, &warnings, &d->err);
    if (!rc)
        rc = desk_begin(d, reason, &s);
    if (rc)
        return rc;
    rc = tz_save_create(s, &rec, &id, &d->err);
    rc = desk_finish(d, s, rc, &seq);
    if (rc)
        return rc;
    desk_warn(warnings);
    return report(t, id, seq);
}

int cmd_add(struct cli *c, int argc, char **argv)
{
    const char *reason = NULL;
    struct desk d;
    if (!desk_reason(argc, argv, &reason))
        return cli_usage_error(c, "%s", tr("不认识的选项", "unknown option"));
    if (argc - optind < 2)
        return cli_usage_error(c, "%s",
                               tr("需要记录类型和至少一个 字段=值", "a record type and at least one field=value"));
    int rc = desk_open(&d, c);
    if (!rc)
        rc = add(&d, argv[optind], (const char *const *)argv + optind + 1, (size_t)(argc - optind - 1), reason);
    return desk_close(&d, rc);
}
