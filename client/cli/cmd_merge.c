/* SPDX-License-Identifier: Apache-2.0 */
/* `taizhang merge` and `unmerge`: two records of one thing become one, or come apart again. The server works it out. */
#include "desk.h"

#include <getopt.h>

static int merge(struct desk *d, char **names, const char *reason, bool together)
{
    const struct tz_type *t;
    struct tz_id keep;
    struct tz_id gone;
    struct tz_save *s;
    uint64_t seq;
    char hex[2][TZ_ID_HEX + 1];
    int rc = desk_target(d, names[0], names[1], &t, &keep);
    if (!rc) /* the record that went is named by its own id, not by what became of it */
        rc = together ? desk_target(d, names[0], names[2], &t, &gone)
                      : tz_entry_find(d->entry, t, names[2], &gone, &d->err);
    if (!rc)
        rc = desk_begin(d, reason, &s);
    if (rc)
        return rc;
    rc = tz_save_merge(s, t, keep, gone, together, &d->err);
    rc = desk_finish(d, s, rc, &seq);
    if (rc)
        return rc;
    tz_id_print(keep, hex[0]);
    tz_id_print(gone, hex[1]);
    if (out_json_mode())
        return out_json(
            json_pack("{s:s,s:s,s:I}", "id", hex[0], together ? "merged" : "unmerged", hex[1], "seq", (json_int_t)seq));
    out_note(tr("已保存（第 %llu 次保存，等待送出）；由服务器办理，同步后可见",
                "saved (save %llu, waiting to be sent); the server does it, it shows after a sync"),
             (unsigned long long)seq);
    return 0;
}

static int run(struct cli *c, int argc, char **argv, bool together)
{
    const char *reason = NULL;
    struct desk d;
    if (!desk_reason(argc, argv, &reason))
        return cli_usage_error(c, "%s", tr("不认识的选项", "unknown option"));
    if (argc - optind != 3)
        return cli_usage_error(c, "%s",
                               together
                                   ? tr("需要记录类型、保留的记录和并入的记录",
                                        "a record type, the record that stays and the one that goes into it")
                                   : tr("需要记录类型、现记录和要分出的记录的编号",
                                        "a record type, the record that is there and the id that comes out of it"));
    int rc = desk_open(&d, c);
    if (!rc)
        rc = merge(&d, argv + optind, reason, together);
    return desk_close(&d, rc);
}

int cmd_merge(struct cli *c, int argc, char **argv)
{
    return run(c, argc, argv, true);
}

int cmd_unmerge(struct cli *c, int argc, char **argv)
{
    return run(c, argc, argv, false);
}
