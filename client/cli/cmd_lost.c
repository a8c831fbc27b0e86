/* SPDX-License-Identifier: Apache-2.0 */
/* taizhang lost: own saves that a disk has lost. The server waits for them until somebody says that they are gone. */
#include "cli.h"
#include "out.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LOST_AT_ONCE = 300 };

static int print_json(const uint64_t *seqs, size_t n, bool declared)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_integer((json_int_t)seqs[i]));
    return out_json(json_pack("{s:o,s:b}", "lost", list, "declared", declared));
}

static void print_text(const uint64_t *seqs, size_t n, bool declared)
{
    if (n == 0)
        (void)printf("%s", tr("本机的保存都在\n", "every save of this machine is here\n"));
    for (size_t i = 0; i < n; i++)
        (void)printf(tr("第 %" PRIu64 " 次保存已损坏或丢失\n", "save %" PRIu64 " is damaged or gone\n"), seqs[i]);
    if (n && declared)
        (void)printf("%s", tr("已申报丢失；下次同步后服务器不再等它们。请凭记忆重新登记其中的内容。\n",
                              "declared lost: after the next sync the server does not wait for them. Enter again what "
                              "they held.\n"));
    else if (n)
        (void)printf("%s", tr("先找备份；确实找不回时运行 taizhang lost --declare，其余的保存才能送出。\n",
                              "Look for a backup first. If there is none, taizhang lost --declare lets the others go "
                              "out.\n"));
}

int cmd_lost(struct cli *c, int argc, char **argv)
{
    struct tz_err err = {0};
    struct tz_office *o;
    uint64_t seqs[LOST_AT_ONCE];
    size_t n = 0;
    bool declare = argc == 2 && strcmp(argv[1], "--declare") == 0;
    if (argc > 2 || (argc == 2 && !declare))
        return cli_usage_error(c, "%s", tr("只有 --declare 一个选项", "the only option is --declare"));
    int rc = cli_open_office(c, &o, &err);
    if (rc == 0)
        rc = tz_office_missing(o, seqs, LOST_AT_ONCE, &n, &err);
    if (rc == 0 && declare && n)
        rc = tz_office_give_up(o, seqs, n, &err);
    if (rc != 0)
        return out_error(&err);
    if (!c->json)
        print_text(seqs, n, declare);
    else if (print_json(seqs, n, declare && n) != 0)
        return CLI_FAILED;
    return n && !declare ? CLI_PARTLY : CLI_DONE;
}
