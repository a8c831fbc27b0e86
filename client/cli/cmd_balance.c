/* SPDX-License-Identifier: Apache-2.0 */
/* taizhang balance: every change made on this device, by what became of it. The sum must come out. */
#include "cli.h"
#include "out.h"

#include <inttypes.h>
#include <stdio.h>

struct entry {
    const char *key;
    const char *label[2];
    uint64_t n;
};

static int print_json(const struct tz_office_balance *b, const struct entry *e, size_t n, int64_t unaccounted)
{
    json_t *j = json_pack("{s:I, s:I}", "made", (json_int_t)b->made, "undone_saves", (json_int_t)b->undone_saves);
    int bad = 0;
    for (size_t i = 0; i < n; i++)
        bad |= json_object_set_new(j, e[i].key, json_integer((json_int_t)e[i].n));
    bad |= json_object_set_new(j, "unaccounted", json_integer(unaccounted));
    if (bad != 0) {
        json_decref(j);
        j = NULL;
    }
    return out_json(j);
}

static void print_text(uint64_t made, const struct entry *e, size_t n, int64_t unaccounted)
{
    (void)printf("%s %" PRIu64 " =", tr("修改", "made"), made);
    for (size_t i = 0; i < n; i++)
        (void)printf("%s %s %" PRIu64, i == 0 ? "" : " +", e[i].label[out_lang()], e[i].n);
    (void)printf("\n%s %" PRId64 "\n", tr("去向不明", "unaccounted"), unaccounted);
}

int cmd_balance(struct cli *c, int argc, char **argv)
{
    struct tz_err err = {0};
    struct tz_office *o;
    struct tz_office_balance b;
    (void)argv;
    if (argc != 1)
        return cli_usage_error(c, "%s", tr("不需要其他内容", "no arguments are needed"));
    int rc = cli_open_office(c, &o, &err);
    if (rc == 0)
        rc = tz_office_balance(o, &b, &err);
    if (rc != 0)
        return out_error(&err);
    const struct entry e[] = {
        {"unsent", {"未送出", "unsent"}, b.unsent},
        {"applied", {"已生效", "applied"}, b.applied},
        {"superseded", {"已被覆盖并立案", "superseded"}, b.superseded},
        {"refused", {"被拒", "refused"}, b.refused},
        {"waiting", {"等待", "waiting"}, b.waiting},
        {"held", {"暂存", "held"}, b.held},
        {"under_review", {"待审", "under review"}, b.under_review},
        {"withdrawn", {"已撤回", "withdrawn"}, b.withdrawn},
        {"undone", {"恢复后未交回", "undone by a restore"}, b.undone},
        {"lost", {"已申报丢失", "lost"}, b.lost},
    };
    enum { N = sizeof e / sizeof *e };
    uint64_t sum = 0;
    for (size_t i = 0; i < N; i++)
        sum += e[i].n;
    int64_t unaccounted = (int64_t)b.made - (int64_t)sum;
    if (!c->json)
        print_text(b.made, e, N, unaccounted);
    else if (print_json(&b, e, N, unaccounted) != 0)
        return CLI_FAILED;
    if (unaccounted == 0)
        return CLI_DONE;
    (void)tz_err_setf(&err, TZ_E_VERIFY, "balance: %" PRId64, unaccounted);
    return out_error(&err);
}
