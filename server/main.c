/* SPDX-License-Identifier: Apache-2.0 */
/*
 * taizhangd: the command table, options, help, exit codes. What a command does is in cmd_*.c.
 *
 * The language is settled before anything else, so that even a wrong option is reported in it: --lang, LC_ALL, LANG,
 * else Chinese.
 */
#include "cli.h"
#include "log.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2, HELP_COLUMN = 34 };

struct option_info {
    const char *name;
    const char *arg; /* NULL = a switch */
    const char *help[2];
};

static const struct option_info OPTIONS[TZ_OPT_COUNT] = {
    [TZ_OPT_DATA] = {"data", "DIR", {"服务器的数据文件夹", "the server's data folder"}},
    [TZ_OPT_LISTEN] = {"listen", "ADDR:PORT", {"监听的地址和端口", "address and port to listen on"}},
    [TZ_OPT_PUBLIC_ADDRESS] = {"public-address", "HOST:PORT", {"写进邀请码的地址", "address written into invitations"}},
    [TZ_OPT_CONNECTIONS_MAX] = {"connections-max", "N", {"同时连接的上限", "connections at the same time"}},
    [TZ_OPT_UNAUTHENTICATED_MAX] = {"unauthenticated-max",
                                    "N",
                                    {"尚未证明身份的连接的上限", "connections that have not proven who they are"}},
    [TZ_OPT_READERS] = {"readers", "N", {"读数据库的线程数", "threads that read the database"}},
    [TZ_OPT_LOG_LEVEL] = {"log-level", "LEVEL", {"error、warn、info 或 debug", "error, warn, info or debug"}},
    [TZ_OPT_CATALOGUE] = {"catalogue", "DIR", {"记录目录所在文件夹", "folder of the catalogue"}},
    [TZ_OPT_NAME] = {"name", "NAME", {"名称", "name"}},
    [TZ_OPT_ROLE] = {"role", "ROLE", {"角色，例如 D_CLERK", "role, for example D_CLERK"}},
    [TZ_OPT_AREA] = {"area", "CODE", {"区划代码；120000 表示全市", "division code; 120000 is the whole city"}},
    [TZ_OPT_UNIT] = {"unit",
                     "CODE",
                     {"所属单位的代码；不填则为本区（市）的工委",
                      "code of the user's unit; without it the area's committee"}},
    [TZ_OPT_UNTIL] = {"until",
                      "DAY",
                      {"权限的最后一天，如 2027-03-31；none 为长期；不填则不变",
                       "last day of the grant, 2027-03-31; none: open; without it: as it was"}},
    [TZ_OPT_REASON] = {"reason", "TEXT", {"理由，写入审计记录", "why; it goes into the audit log"}},
    [TZ_OPT_ADDRESS] = {"address",
                        "HOST:PORT",
                        {"这份邀请码里的服务器地址", "the server's address in this invitation"}},
    [TZ_OPT_DEVICE] = {"device", "NAME", {"只看这台设备", "this device only"}},
    [TZ_OPT_AS_DEVICE] = {"as-device", "NAME", {"只输出这台设备应有的内容", "what this device should hold"}},
    [TZ_OPT_TO] = {"to",
                   "DIR",
                   {"备份存放的文件夹；不填则为数据文件夹下的 backups",
                    "folder of the backups; without it DIR/backups"}},
    [TZ_OPT_KEEP] = {"keep", "N", {"保留的份数（默认 7，至少保留 2 份）", "how many stay (7; never fewer than 2)"}},
    [TZ_OPT_WITH_KEYS] = {"with-keys",
                          NULL,
                          {"同时把密钥和设置复制到备份文件夹的 keys（仅本用户可读）",
                           "also copy keys and settings into the folder's keys/ (for this user alone)"}},
    [TZ_OPT_VERIFY] = {"verify", "FILE", {"只检查这份备份", "only check this backup"}},
    [TZ_OPT_FORGET] = {"forget",
                       "DIR",
                       {"这个文件夹里的备份不再算数（已不在，或不会再用）",
                        "the backups of this folder do not count any more: it is gone, or will not be used"}},
    [TZ_OPT_CLOSE] = {"close", NULL, {"提前结束恢复期", "end the recovery window now"}},
    [TZ_OPT_RECOVERY_DAYS] = {"recovery-days",
                              "N",
                              {"恢复期的天数；0 表示没有", "days of the recovery window; 0: none"}},
    [TZ_OPT_EPOCH] = {"epoch",
                      "N",
                      {"新的代数至少为 N（设备提示服务器较旧时使用）",
                       "the new epoch is at least N (when devices say that the server is older)"}},
    [TZ_OPT_ORIGIN] = {"origin", NULL, {"同时显示每个值的来源", "also where each value comes from"}},
    [TZ_OPT_PROTO] = {"proto", NULL, {"输出记录类型的 .proto", "print the .proto of the record types"}},
    [TZ_OPT_JSON] = {"json", NULL, {"输出 JSON", "print JSON"}},
    [TZ_OPT_LANG] = {"lang", "zh|en", {"语言", "language"}},
    [TZ_OPT_HELP] = {"help", NULL, {"显示帮助", "show this help"}},
    [TZ_OPT_VERSION] = {"version", NULL, {"显示版本", "show the version"}},
};

#define B(o) TZ_OPT_BIT(TZ_OPT_##o)
#define SETTINGS \
    (B(LISTEN) | B(PUBLIC_ADDRESS) | B(CONNECTIONS_MAX) | B(UNAUTHENTICATED_MAX) | B(READERS) | B(LOG_LEVEL))
#define ALWAYS (B(DATA) | B(CATALOGUE) | B(JSON) | B(LANG) | B(HELP) | B(VERSION))

static const struct tz_command COMMANDS[] = {
    {"init", NULL, {NULL}, B(NAME), {"建立服务器的数据文件夹", "make a server's data folder"}, tz_cmd_init},
    {"serve", NULL, {NULL}, SETTINGS, {"运行服务器（前台）", "run the server, in the foreground"}, tz_cmd_serve},
    {"status", NULL, {NULL}, 0, {"服务器现在怎样", "how the server is doing"}, tz_cmd_status},
    {"invite",
     NULL,
     {NULL},
     B(ROLE) | B(AREA) | B(NAME) | B(ADDRESS),
     {"签发邀请码", "make an invitation"},
     tz_cmd_invite},
    {"device list", NULL, {NULL}, 0, {"列出设备", "list the devices"}, tz_cmd_device_list},
    {"device show", "NAME", {NULL}, 0, {"显示一台设备", "show one device"}, tz_cmd_device_show},
    {"device grant",
     "NAME",
     {NULL},
     B(ROLE) | B(AREA) | B(UNTIL),
     {"改变一台设备的角色、辖区或期限", "change a device's role, area or last day"},
     tz_cmd_device_grant},
    {"device revoke", "NAME", {NULL}, 0, {"停用一台设备", "shut a device out"}, tz_cmd_device_revoke},
    {"user add", "CODE", {NULL}, B(NAME) | B(ROLE) | B(AREA) | B(UNIT), {"增加用户", "add a user"}, tz_cmd_user_add},
    {"user unit", "CODE", {NULL}, B(UNIT), {"登记用户的所属单位", "say which unit a user acts for"}, tz_cmd_user_unit},
    {"user grant",
     "CODE",
     {NULL},
     B(ROLE) | B(AREA),
     {"改变用户的角色和辖区", "change a user's role and area"},
     tz_cmd_user_grant},
    {"user list", NULL, {NULL}, 0, {"列出用户", "list the users"}, tz_cmd_user_list},
    {"user disable", "CODE", {NULL}, 0, {"停用用户", "disable a user"}, tz_cmd_user_disable},
    {"config", NULL, {"show"}, B(ORIGIN) | SETTINGS, {"显示设置", "show the settings"}, tz_cmd_config},
    {"dump", NULL, {NULL}, B(AS_DEVICE), {"输出全部记录", "print all records"}, tz_cmd_dump},
    {"verify", NULL, {NULL}, 0, {"检查数据库和审计链", "check the database and the audit chain"}, tz_cmd_verify},
    {"backup",
     NULL,
     {NULL},
     B(TO) | B(KEEP) | B(WITH_KEYS) | B(VERIFY) | B(FORGET),
     {"备份数据库（服务器可以在运行），或检查一份备份",
      "back the database up, beside a running server too; or check a backup"},
     tz_cmd_backup},
    {"restore",
     "[FILE]",
     {NULL},
     B(CLOSE) | B(RECOVERY_DAYS) | B(EPOCH),
     {"用备份恢复数据库（服务器须停止），或结束恢复期",
      "put a backup in place of the database, server stopped; or end the window"},
     tz_cmd_restore},
    {"purge",
     NULL,
     {NULL},
     0,
     {"清除很久以前删除的记录（运行中的服务器每天自动做）",
      "take away what was deleted long ago (a running server does so daily)"},
     tz_cmd_purge},
    {"backlog apply",
     "NAME[/[COPY.]SEQ]",
     {NULL},
     B(REASON),
     {"采用一台设备等待或暂存的保存", "judge what waits or is held of a device"},
     tz_cmd_backlog_apply},
    {"backlog discard",
     "NAME[/[COPY.]SEQ]",
     {NULL},
     B(REASON),
     {"不采用一台设备等待或暂存的保存", "refuse what waits or is held of a device"},
     tz_cmd_backlog_discard},
    {"backlog", NULL, {NULL}, 0, {"列出等待和暂存的修改", "list waiting and held changes"}, tz_cmd_backlog},
    {"balance",
     NULL,
     {NULL},
     B(DEVICE),
     {"每台设备的修改去向", "what became of each device's changes"},
     tz_cmd_balance},
    {"catalogue", NULL, {NULL}, B(PROTO), {"列出记录类型", "list the record types"}, tz_cmd_catalogue},
};
_Static_assert(TZ_OPT_COUNT <= 32, "options are bits of a uint32_t");
enum { NCOMMANDS = sizeof COMMANDS / sizeof COMMANDS[0] };

/* ---- help ---- */

static void print_padded(FILE *f, const char *left, const char *right)
{
    size_t n = strlen(left);
    (void)fprintf(f, "  %s%*s%s\n", left, (int)(n < HELP_COLUMN ? HELP_COLUMN - n : 1), "", right);
}

static void print_options(FILE *f, const struct tz_cli *c, uint32_t which)
{
    char left[64];
    (void)fprintf(f, "%s\n", tr(c, "选项：", "Options:"));
    for (int o = 0; o < TZ_OPT_COUNT; o++) {
        if (!(which & TZ_OPT_BIT(o)))
            continue;
        (void)snprintf(left, sizeof left, "--%s%s%s", OPTIONS[o].name, OPTIONS[o].arg ? " " : "",
                       OPTIONS[o].arg ? OPTIONS[o].arg : "");
        print_padded(f, left, OPTIONS[o].help[c->lang]);
    }
}

static void print_help(FILE *f, const struct tz_cli *c, const struct tz_command *cmd)
{
    if (cmd) {
        (void)fprintf(f, "%s taizhangd %s%s%s --data DIR …\n%s\n\n", tr(c, "用法：", "Usage:"), cmd->name,
                      cmd->arg ? " " : "", cmd->arg ? cmd->arg : "", cmd->help[c->lang]);
        print_options(f, c, cmd->options | ALWAYS);
        return;
    }
    (void)fprintf(f, "%s taizhangd %s --data DIR …\n\n%s\n", tr(c, "用法：", "Usage:"), tr(c, "命令", "COMMAND"),
                  tr(c, "命令：", "Commands:"));
    for (size_t i = 0; i < NCOMMANDS; i++) {
        char left[64];
        (void)snprintf(left, sizeof left, "%s%s%s", COMMANDS[i].name, COMMANDS[i].arg ? " " : "",
                       COMMANDS[i].arg ? COMMANDS[i].arg : "");
        print_padded(f, left, COMMANDS[i].help[c->lang]);
    }
    (void)fprintf(f, "\n");
    print_options(f, c, ALWAYS);
    (void)fprintf(
        f, "\n%s\n",
        tr(c,
           "退出码：0 完成，1 失败，2 用法，5 服务器没有运行，6 被占用，7 数据损坏，8 输入有误，9 版本不符，130 中断",
           "Exit codes: 0 done, 1 failed, 2 usage, 5 server not running, 6 busy, 7 integrity, 8 bad input, 9 "
           "incompatible, 130 interrupted"));
}

/* ---- errors ---- */

static void print_error(const struct tz_cli *c)
{
    char text[1024];
    char next[512];
    const struct tz_err_info *info = tz_err_info(c->err.code);
    (void)tz_err_text(&c->err, c->lang, text, sizeof text);
    (void)tz_err_next(&c->err, c->lang, next, sizeof next);
    if (c->json) {
        json_t *o = json_pack("{s:{s:s,s:s,s:s,s:s}}", "error", "code", info->symbol, "text", text, "next", next,
                              "detail", c->err.trail);
        if (o && !json_dumpf(o, stderr, JSON_COMPACT))
            (void)fputc('\n', stderr);
        json_decref(o);
        return;
    }
    (void)fprintf(stderr, "%s (%s)\n", text, info->symbol);
    if (c->err.trail[0])
        (void)fprintf(stderr, "  %s\n", c->err.trail);
    if (next[0])
        (void)fprintf(stderr, "%s\n", next);
}

static int wrong_usage(struct tz_cli *c, const char *what)
{
    (void)tz_err_set(&c->err, TZ_E_USAGE, what, NULL, NULL, NULL);
    print_error(c);
    return EXIT_USAGE;
}

/* ---- parsing ---- */

static enum tz_lang language_of(const char *v)
{
    return v && strncmp(v, "en", 2) == 0 ? TZ_LANG_EN : TZ_LANG_ZH;
}

/** Before options are parsed: their errors have a language too. */
static void settle_language(struct tz_cli *c, int argc, char **argv)
{
    const char *lc_all = getenv("LC_ALL");
    bool says = lc_all && lc_all[0] && strcmp(lc_all, "POSIX") != 0 && strncmp(lc_all, "C.", 2) != 0 &&
                strcmp(lc_all, "C") != 0; /* "C" is about bytes, not about a language */
    c->lang = language_of(says ? lc_all : getenv("LANG"));
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "--lang=", 7) == 0)
            c->lang = language_of(argv[i] + 7);
        else if (strcmp(argv[i], "--lang") == 0 && i + 1 < argc)
            c->lang = language_of(argv[i + 1]);
        else if (strcmp(argv[i], "--json") == 0)
            c->json = true;
}

/** 0, or an exit code. Words end up in argv[optind…]. */
static int parse_options(struct tz_cli *c, int argc, char **argv)
{
    struct option longs[TZ_OPT_COUNT + 1];
    memset(longs, 0, sizeof longs);
    for (int o = 0; o < TZ_OPT_COUNT; o++)
        longs[o] = (struct option){OPTIONS[o].name, OPTIONS[o].arg ? required_argument : no_argument, NULL, 256 + o};
    opterr = 0;
    for (;;) {
        int o = getopt_long(argc, argv, "", longs, NULL);
        if (o < 0)
            return 0;
        if (o < 256 || o >= 256 + TZ_OPT_COUNT)
            return wrong_usage(c, argv[optind - 1]);
        c->opt[o - 256] = optarg ? optarg : "";
    }
}

/** How many of the words at @w name @cmd: 0 = not this one. */
static int match_words(const struct tz_command *cmd, char **w, int n)
{
    const char *space = strchr(cmd->name, ' ');
    if (!space)
        return n >= 1 && strcmp(w[0], cmd->name) == 0;
    size_t first = (size_t)(space - cmd->name);
    return n >= 2 && strlen(w[0]) == first && strncmp(w[0], cmd->name, first) == 0 && strcmp(w[1], space + 1) == 0 ? 2
                                                                                                                   : 0;
}

static const struct tz_command *find_command(char **w, int n, int *used)
{
    for (size_t i = 0; i < NCOMMANDS; i++) {
        *used = match_words(&COMMANDS[i], w, n);
        if (*used)
            return &COMMANDS[i];
    }
    return NULL;
}

/** The command's own words and options; 0 or an exit code. */
static int check_use(struct tz_cli *c, const struct tz_command *cmd, char **w, int n)
{
    if (n && cmd->next[0] && strcmp(w[0], cmd->next[0]) == 0) {
        w++;
        n--;
    }
    if (cmd->arg && n) {
        c->arg = *w++;
        n--;
    }
    if (n)
        return wrong_usage(c, w[0]);
    if (cmd->arg && cmd->arg[0] != '[' && !c->arg)
        return wrong_usage(c, cmd->arg);
    for (int o = 0; o < TZ_OPT_COUNT; o++)
        if (c->opt[o] && !((cmd->options | ALWAYS) & TZ_OPT_BIT(o)))
            return wrong_usage(c, OPTIONS[o].name);
    return 0;
}

static int run_command(struct tz_cli *c, const struct tz_command *cmd)
{
    int rc = cmd->run(c);
    tz_datadir_deinit(&c->dir);
    tz_catalogue_deinit(&c->catalogue);
    if (!rc && (fflush(stdout) || ferror(stdout)))
        rc = tz_err_set(&c->err, TZ_E_IO, "stdout", NULL, NULL, NULL);
    if (!rc)
        return 0;
    if (c->err.code != rc)
        (void)tz_err_set(&c->err, rc, NULL, NULL, NULL, NULL);
    print_error(c);
    return tz_err_info(rc)->exit_code;
}

int main(int argc, char **argv)
{
    struct tz_cli c = {.dir = {.lock = -1}};
    int used = 0;
    settle_language(&c, argc, argv);
    int rc = parse_options(&c, argc, argv);
    if (rc)
        return rc;
    if (c.opt[TZ_OPT_VERSION])
        return printf("taizhangd %s\n", TZ_VERSION) < 0;
    const struct tz_command *cmd = find_command(argv + optind, argc - optind, &used);
    if (c.opt[TZ_OPT_HELP]) {
        print_help(stdout, &c, cmd);
        return 0;
    }
    if (!cmd && optind == argc) {
        print_help(stderr, &c, NULL);
        return EXIT_USAGE;
    }
    if (!cmd)
        return wrong_usage(&c, argv[optind]);
    rc = check_use(&c, cmd, argv + optind + used, argc - optind - used);
    return rc ? rc : run_command(&c, cmd);
}
