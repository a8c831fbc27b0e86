/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program `taizhang`: global options, the command table, help made from it. Global options may stand anywhere on
 * the line, before or after the command; they are taken out here and the command parses the rest with getopt_long.
 */
#include "cli.h"
#include "out.h"

#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_command commands[] = {
    {"join", "CODE", {"用邀请码加入（一次）", "join with an invitation (once)"}, cmd_join},
    {"sync", "", {"与服务器同步一次", "sync with the server once"}, cmd_sync},
    {"agent", "[--stop]", {"保持连接，随存随送，直到停止", "stay connected and sync live until stopped"}, cmd_agent},
    {"status", "", {"有什么还没送到、需要处理什么", "what is not yet sent, and what needs attention"}, cmd_status},
    {"add", "TYPE field=value … [--reason TEXT]", {"登记一条新记录", "add a record"}, cmd_add},
    {"edit",
     "TYPE ID field=value|set+=value|set-=value … [--seen TOKEN] [--reason TEXT]",
     {"修改记录；field= 清空该项", "change a record; field= clears a field"},
     cmd_edit},
    {"show", "TYPE ID", {"显示一条记录", "show one record"}, cmd_show},
    {"history",
     "TYPE ID [--server | --offline]",
     {"记录的全部修改，最新的在前", "every change of a record, newest first"},
     cmd_history},
    {"why",
     "TYPE ID [FIELD] [--server | --offline]",
     {"每一项的每个值：谁、何时、为什么、在哪件冲突里", "every value of each field: who, when, why, in which case"},
     cmd_why},
    {"list",
     "[TYPE [field=value …]] [--fields] [--columns A,B] [--sort FIELD] [--limit N] [--csv]",
     {"列出记录；不带参数时列出记录类型", "list records; without arguments the record types"},
     cmd_list},
    {"delete", "TYPE ID [--reason TEXT]", {"删除记录", "delete a record"}, cmd_delete},
    {"restore", "TYPE ID [--reason TEXT]", {"恢复已删除的记录", "bring a deleted record back"}, cmd_restore},
    {"withdraw", "SEQ", {"撤回自己的一次保存", "take back one of your own saves"}, cmd_withdraw},
    {"cases", "[ID] [--all]", {"列出冲突，或显示一件", "list conflicts, or show one"}, cmd_cases},
    {"resolve",
     "ID mine|theirs[:N]|keep|VALUE|field=value … [--reason TEXT]",
     {"处理一件冲突：mine 本机保存的值，theirs 别人的值，theirs:N 第 N 个，keep 现值，或直接写值",
      "settle a conflict: mine = saved here, theirs = not, theirs:N the Nth, keep = what stands, or a value"},
     cmd_resolve},
    {"ledger",
     "list [--all] [--state STATE] | show ITEM | open field=value … | ACTION ITEM [field=value …] [--opinion TEXT] "
     "[--evidence FILE]… [--seen TOKEN] | again SEQ",
     {"台账：列出、查看、立账、办理（交办、签收、反馈进展、报结、核实通过、退回、销账、挂账……）、按现状重新提交",
      "the ledger: list, show, open, take a step (assign, sign, report, submit, verify, return, write_off, hang …), "
      "offer "
      "a refused one again"},
     cmd_ledger},
    {"merge",
     "TYPE KEEP GONE [--reason TEXT]",
     {"把重复登记的两条记录合为一条（主管）", "make one of two records of the same thing (supervisors)"},
     cmd_merge},
    {"unmerge", "TYPE KEEP GONE [--reason TEXT]", {"把合并的记录分开", "take merged records apart again"}, cmd_unmerge},
    {"import",
     "TYPE FILE [--update] [--dry-run] [--all-or-nothing] [--encoding NAME] [--map HEADING=FIELD] [--filter …] | TYPE "
     "--template",
     {"导入 CSV 表格；不改动已有记录，除非加 --update",
      "import a CSV table; records that are there are not changed without --update"},
     cmd_import},
    {"dump",
     "[--view] [--partial]",
     {"逐行输出全部记录（规范形式）", "print every record in canonical form"},
     cmd_dump},
    {"query", "SQL [--csv]", {"用 SQL 只读查询本机数据", "read the local data with SQL"}, cmd_query},
    {"verify",
     "[--offline] [--no-repair] [--confirm-audit]",
     {"检查数据库，与服务器核对，并修复不一致的记录；加 --no-repair 只核对；"
      "--confirm-audit 确认审计记录改变的原因已查明",
      "check the database, compare with the server and put right what differs; with --no-repair only tell; "
      "--confirm-audit: why the audit log changed is known"},
     cmd_verify},
    {"lost",
     "[--declare]",
     {"本机因磁盘损坏丢失的保存；--declare 申报丢失，服务器不再等它们",
      "own saves that a disk has lost; --declare: the server need not wait for them"},
     cmd_lost},
    {"balance", "", {"本机每一项修改的去向", "account for every change made here"}, cmd_balance},
    {NULL, NULL, {NULL, NULL}, NULL},
};

const struct cli_command *cli_commands(void)
{
    return commands;
}

enum global { OPT_DATA, OPT_JSON, OPT_LANG, OPT_USER, OPT_CATALOGUE, OPT_HELP, OPT_VERSION, OPT_NONE };

static const struct {
    const char *name;
    const char *arg; /* NULL: takes none */
    const char *help[2];
} globals[OPT_NONE] = {
    [OPT_DATA] = {"data", "DIR", {"数据文件夹（或环境变量 TAIZHANG_DATA）", "data folder (or $TAIZHANG_DATA)"}},
    [OPT_JSON] = {"json", NULL, {"输出 JSON", "print JSON"}},
    [OPT_LANG] = {"lang", "zh|en", {"语言", "language"}},
    [OPT_USER] = {"user", "NAME", {"以本设备的另一用户身份保存", "act as another user of this device"}},
    [OPT_CATALOGUE] = {"catalogue", "DIR", {"记录目录所在文件夹", "folder of the record catalogue"}},
    [OPT_HELP] = {"help", NULL, {"显示用法", "show this help"}},
    [OPT_VERSION] = {"version", NULL, {"显示版本", "show the version"}},
};

static void print_help(FILE *out, const struct cli_command *one)
{
    if (one != NULL) {
        (void)fprintf(out, tr("用法：taizhang %s %s\n  %s\n", "usage: taizhang %s %s\n  %s\n"), one->name, one->usage,
                      one->help[out_lang()]);
        return;
    }
    (void)fprintf(
        out, "%s",
        tr("用法：taizhang 命令 … --data DIR\n\n命令\n", "usage: taizhang COMMAND … --data DIR\n\ncommands\n"));
    for (const struct cli_command *c = commands; c->name != NULL; c++)
        (void)fprintf(out, "  %-9s %s\n            %s\n", c->name, c->usage, c->help[out_lang()]);
    (void)fprintf(out, "%s", tr("\n选项（可放在任何位置）\n", "\noptions (anywhere on the line)\n"));
    for (size_t i = 0; i < OPT_NONE; i++)
        (void)fprintf(out, "  --%-9s %-6s %s\n", globals[i].name, globals[i].arg == NULL ? "" : globals[i].arg,
                      globals[i].help[out_lang()]);
}

/** Which global option @arg is; *@value is set behind a "=". */
static enum global match_global(const char *arg, const char **value)
{
    *value = NULL;
    if (strncmp(arg, "--", 2) != 0)
        return strcmp(arg, "-h") == 0 ? OPT_HELP : OPT_NONE;
    for (unsigned i = 0; i < OPT_NONE; i++) {
        size_t n = strlen(globals[i].name);
        if (strncmp(arg + 2, globals[i].name, n) != 0)
            continue;
        if (arg[2 + n] == '\0')
            return (enum global)i;
        if (arg[2 + n] == '=' && globals[i].arg != NULL) {
            *value = arg + 2 + n + 1;
            return (enum global)i;
        }
    }
    return OPT_NONE;
}

struct parsed {
    bool help, version;
    const char *missing; /* option without its argument */
    const char *lang;
    int argc;    /* what is left */
    char **argv; /* in place */
};

static void take_global(struct cli *c, struct parsed *p, enum global which, const char *value)
{
    switch (which) {
    case OPT_DATA:
        c->data = value;
        break;
    case OPT_JSON:
        c->json = true;
        break;
    case OPT_LANG:
        p->lang = value;
        break;
    case OPT_USER:
        c->user = value;
        break;
    case OPT_CATALOGUE:
        c->catalogue_dir = value;
        break;
    case OPT_HELP:
        p->help = true;
        break;
    case OPT_VERSION:
        p->version = true;
        break;
    case OPT_NONE:
    default:
        break;
    }
}

/** Take the global options out of @argv; everything behind "--" is left alone. */
static void parse_globals(struct cli *c, struct parsed *p, int argc, char **argv)
{
    int i = 1;
    p->argv = argv + 1;
    for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const char *value;
        enum global which = match_global(argv[i], &value);
        if (which == OPT_NONE) {
            p->argv[p->argc++] = argv[i];
            continue;
        }
        if (globals[which].arg != NULL && value == NULL) {
            if (i + 1 == argc) {
                p->missing = globals[which].name;
                continue;
            }
            value = argv[++i];
        }
        take_global(c, p, which, value);
    }
    for (; i < argc; i++)
        p->argv[p->argc++] = argv[i];
    p->argv[p->argc] = NULL;
}

static enum tz_lang choose_lang(const char *flag)
{
    const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    for (size_t i = 0; flag == NULL && i < sizeof names / sizeof *names; i++) {
        const char *v = getenv(names[i]);
        if (v != NULL && v[0] != '\0')
            flag = v;
    }
    return flag != NULL && strncmp(flag, "en", 2) == 0 ? TZ_LANG_EN : TZ_LANG_ZH;
}

static const struct cli_command *find_command(const char *name)
{
    for (const struct cli_command *k = commands; k->name != NULL; k++)
        if (strcmp(k->name, name) == 0)
            return k;
    return NULL;
}

static int run_command(struct cli *c, struct parsed *p)
{
    c->command = p->argc > 0 ? find_command(p->argv[0]) : NULL;
    if (p->version) {
        (void)printf("taizhang %s\n", TZ_VERSION);
        return CLI_DONE;
    }
    if (p->help && (c->command != NULL || p->argc == 0)) {
        print_help(stdout, c->command);
        return CLI_DONE;
    }
    if (p->missing != NULL)
        return cli_usage_error(c, tr("--%s 后面缺少内容", "--%s needs a value"), p->missing);
    if (p->argc == 0) {
        print_help(stderr, NULL);
        return CLI_USAGE;
    }
    if (c->command == NULL)
        return cli_usage_error(c, tr("没有命令 %s", "no command %s"), p->argv[0]);
    optind = 0; /* glibc: start over */
    return c->command->run(c, p->argc, p->argv);
}

int main(int argc, char **argv)
{
    struct cli c = {.data = getenv("TAIZHANG_DATA")};
    struct parsed p = {0};
    parse_globals(&c, &p, argc, argv);
    c.lang = choose_lang(p.lang);
    out_init(c.lang, c.json);
    (void)signal(SIGPIPE, SIG_IGN);
    int rc = run_command(&c, &p);
    if (fflush(stdout) != 0 && rc == CLI_DONE) {
        struct tz_err err = {0};
        (void)tz_err_set(&err, TZ_E_IO, "stdout", NULL, NULL, NULL);
        rc = out_error(&err);
    }
    tz_office_close(c.office);
    if (c.catalogue_loaded)
        tz_catalogue_deinit(&c.catalogue);
    return rc;
}
