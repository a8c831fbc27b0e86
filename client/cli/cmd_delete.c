/* SPDX-License-Identifier: Apache-2.0 */
/* `taizhang delete`, `restore` and `withdraw`: take a record out, bring it back, take a save back. */
#include "desk.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static int report(const char *key, const char *what, uint64_t seq)
{
    if (out_json_mode())
        return out_json(json_pack("{s:s,s:I}", key, what, "seq", (json_int_t)seq));
    out_note(tr("已保存（第 %llu 次保存，等待送出）", "saved (save %llu, waiting to be sent)"),
             (unsigned long long)seq);
    return 0;
}

typedef int (*life_fn)(struct tz_save *s, const struct tz_type *t, struct tz_id id, const struct tz_seen *seen,
                       struct tz_err *err);

static int life(struct desk *d, const char *type, const char *key, const char *reason, life_fn change)
{
    const struct tz_type *t;
    struct tz_id id;
    struct tz_row *row;
    struct tz_seen seen;
    struct tz_save *s;
    uint64_t seq;
    char hex[TZ_ID_HEX + 1];
    int rc = desk_target(d, type, key, &t, &id);
    if (!rc)
        rc = desk_read(d, t, id, &row, &seen, NULL);
    if (!rc)
        rc = desk_begin(d, reason, &s);
    if (rc)
        return rc;
    rc = change(s, t, id, &seen, &d->err);
    rc = desk_finish(d, s, rc, &seq);
    tz_id_print(id, hex);
    return rc ? rc : report("id", hex, seq);
}

static int run_life(struct cli *c, int argc, char **argv, life_fn change)
{
    const char *reason = NULL;
    struct desk d;
    if (!desk_reason(argc, argv, &reason))
        return cli_usage_error(c, "%s", tr("不认识的选项", "unknown option"));
    if (argc - optind != 2)
        return cli_usage_error(c, "%s", tr("需要记录类型和编号", "a record type and an id"));
    int rc = desk_open(&d, c);
    if (!rc)
        rc = life(&d, argv[optind], argv[optind + 1], reason, change);
    return desk_close(&d, rc);
}

int cmd_delete(struct cli *c, int argc, char **argv)
{
    return run_life(c, argc, argv, tz_save_delete);
}

int cmd_restore(struct cli *c, int argc, char **argv)
{
    return run_life(c, argc, argv, tz_save_restore);
}

struct asked {
    uint64_t seq;
    bool partly; /* it took effect, but for some rows */
};

static int find_partly(void *ctx, const struct tz_outbox_entry *e)
{
    struct asked *a = ctx;
    if (e->seq == a->seq)
        a->partly = e->outcome != TZ_OUT_REFUSED && e->outcome != TZ_OUT_WAITING && e->outcome != TZ_OUT_HELD;
    return 1;
}

static int withdraw(struct desk *d, const char *number)
{
    char *end;
    struct tz_save *s;
    uint64_t seq;
    struct asked asked = {0};
    errno = 0;
    unsigned long long target = strtoull(number, &end, 10);
    if (errno || end == number || *end || number[0] == '-')
        return tz_err_set(&d->err, TZ_E_USAGE, number, NULL, NULL, NULL);
    asked.seq = target;
    int rc = tz_office_outbox_each(d->o, true, find_partly, &asked, &d->err);
    if (!rc)
        rc = desk_begin(d, NULL, &s);
    if (rc)
        return rc;
    rc = tz_save_withdraw(s, target, &d->err);
    rc = desk_finish(d, s, rc, &seq);
    if (rc || out_json_mode())
        return rc ? rc : out_json(json_pack("{s:I,s:I}", "withdrawn", (json_int_t)target, "seq", (json_int_t)seq));
    out_note(asked.partly ? tr("第 %llu 次保存中被拒的行不再提示；其余各行已生效，不变",
                               "the refused rows of save %llu are put aside; the others took effect and stay")
                          : tr("第 %llu 次保存已撤回", "save %llu is withdrawn"),
             target);
    return 0;
}

int cmd_withdraw(struct cli *c, int argc, char **argv)
{
    struct desk d;
    if (argc != 2)
        return cli_usage_error(c, "%s", tr("需要保存的序号", "the number of a save"));
    int rc = desk_open(&d, c);
    if (!rc)
        rc = withdraw(&d, argv[1]);
    return desk_close(&d, rc);
}
