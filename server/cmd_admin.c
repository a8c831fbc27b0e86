/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that change something: invite, device revoke, user add, user disable. A running server is asked through its
 * control socket; without one the command takes the lock and does the same on the store itself. Which of the two is
 * found out by trying, because a server may start or stop meanwhile.
 */
#include "admin.h"
#include "cli.h"
#include "control.h"
#include "identity.h"
#include "journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ASK_MS = 30000, LOCK_WAIT_MS = 300, TRIES = 10 };

/** Add an option's value under its name; without one nothing, and admin.c says what is missing. */
static void put_opt(const struct tz_cli *c, json_t *q, const char *key, enum tz_opt o)
{
    if (c->opt[o] && c->opt[o][0])
        (void)json_object_set_new(q, key, json_string(c->opt[o]));
}

static int ask_server(struct tz_cli *c, const json_t *q, json_t **reply)
{
    char path[PATH_MAX];
    struct tz_buf b;
    char *line = json_dumps(q, JSON_COMPACT);
    tz_buf_init(&b, TZ_CONTROL_REPLY_MAX);
    int rc =
        line ? tz_control_ask(tz_datadir_file(&c->dir, "control.sock", path), line, &b, ASK_MS, &c->err) : TZ_E_NOMEM;
    free(line);
    if (!rc) {
        *reply = json_loadb((const char *)b.p + b.pos, b.len - b.pos, 0, NULL);
        rc = *reply ? tz_admin_error_read(*reply, &c->err)
                    : tz_err_set(&c->err, TZ_E_FORMAT, "control", NULL, NULL, NULL);
    }
    if (rc) {
        json_decref(*reply);
        *reply = NULL;
    }
    tz_buf_deinit(&b);
    return rc;
}

int tz_cli_ask(struct tz_cli *c, const char *command, json_t **reply)
{
    json_t *q = json_pack("{s:s}", "command", command);
    *reply = NULL;
    int rc = ask_server(c, q, reply);
    json_decref(q);
    return rc == TZ_E_NOT_FOUND || rc == TZ_E_GONE ? tz_err_set(&c->err, TZ_E_NOT_RUNNING, NULL, NULL, NULL, NULL) : rc;
}

/* ---- without a server ---- */

static int run_in_group(struct tz_cli *c, struct tz_store *s, const struct tz_admin_env *env, const json_t *q,
                        json_t **reply)
{
    struct tz_admin_outcome out;
    int rc = tz_store_group_begin(s, &c->err);
    if (rc)
        return rc;
    rc = tz_admin_run(s, env, q, &out, &c->err);
    if (rc) {
        tz_store_group_rollback(s);
        return rc;
    }
    rc = tz_store_group_commit(s, &c->err);
    if (rc)
        json_decref(out.reply);
    else
        *reply = out.reply;
    return rc;
}

void tz_cli_purge_rules(const struct tz_cli *c, struct tz_purge_rules *out)
{
    *out = tz_purge_rules_of(tz_config_number(&c->config, TZ_CONFIG_LEASE_DAYS),
                             tz_config_number(&c->config, TZ_CONFIG_PURGE_DAYS),
                             tz_config_number(&c->config, TZ_CONFIG_COMPACT_DAYS));
}

static int run_here(struct tz_cli *c, const json_t *q, json_t **reply)
{
    const char *public_address = tz_config_text(&c->config, TZ_CONFIG_PUBLIC_ADDRESS);
    struct tz_admin_env env = {.address =
                                   public_address[0] ? public_address : tz_config_text(&c->config, TZ_CONFIG_LISTEN)};
    struct tz_store_options o = {.catalogue = &c->catalogue, .clock = tz_clock_system, .journal = tz_journal_append};
    struct tz_journal journal = {.fd = -1};
    struct tz_store *s = NULL;
    char path[PATH_MAX];
    int rc = tz_identity_pin(&c->dir, env.pin, &c->err);
    if (!rc)
        rc = tz_journal_open(&c->dir, &journal, &c->err);
    o.journal_ctx = &journal;
    o.known = journal.known;
    tz_cli_purge_rules(c, &env.purge);
    if (!rc)
        rc = tz_store_open(tz_datadir_file(&c->dir, "server.db", path), &o, &s, &c->err);
    if (!rc)
        rc = run_in_group(c, s, &env, q, reply);
    tz_store_close(s);
    tz_journal_close(&journal);
    return rc;
}

int tz_cli_change(struct tz_cli *c, json_t *q, json_t **reply)
{
    int rc = tz_cli_open(c, false);
    bool loaded = false;
    *reply = NULL;
    for (int i = 0; i < TRIES && !rc; i++) {
        rc = ask_server(c, q, reply);
        if (rc != TZ_E_NOT_FOUND || strstr(c->err.args[0], "control.sock") == NULL)
            break; /* done, or the server's own answer */
        if (!loaded && (rc = tz_cli_catalogue(c)) != 0)
            break;
        loaded = true;
        rc = tz_datadir_lock(&c->dir, LOCK_WAIT_MS, &c->err);
        if (!rc) {
            rc = run_here(c, q, reply);
            break;
        }
        if (rc == TZ_E_DB_BUSY && i + 1 < TRIES)
            rc = 0; /* a server that is starting will answer soon */
    }
    json_decref(q);
    return rc;
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *v = json_string_value(json_object_get(o, key));
    return v ? v : "";
}

/** Print the answer as JSON, or leave it to the caller: 1 not printed, 0 printed, negative. Takes @reply when it is
 * not 1. */
static int print_json(struct tz_cli *c, json_t *reply)
{
    return c->json ? tz_cli_json(c, reply) : 1;
}

/* ---- the commands ---- */

int tz_cmd_invite(struct tz_cli *c)
{
    json_t *q = json_pack("{s:s}", "command", "invite");
    json_t *r = NULL;
    put_opt(c, q, "role", TZ_OPT_ROLE);
    put_opt(c, q, "area", TZ_OPT_AREA);
    put_opt(c, q, "name", TZ_OPT_NAME);
    put_opt(c, q, "address", TZ_OPT_ADDRESS);
    int rc = tz_cli_change(c, q, &r);
    if (rc || (rc = print_json(c, r)) != 1)
        return rc;
    (void)printf("%s\n", text_of(r, "code"));
    tz_cli_say(c,
               tr(c,
                  "请通过可靠的途径把上面的邀请码交给“%s”，只能用一次。对方在自己的机器上输入：\n"
                  "  taizhang join 邀请码 --data 文件夹\n服务器地址：%s",
                  "Give the code above to \"%s\" in a way you trust; it works once. On their machine they type:\n"
                  "  taizhang join CODE --data DIR\nServer address: %s"),
               text_of(r, "name"), text_of(r, "address"));
    json_decref(r);
    return 0;
}

int tz_cmd_device_revoke(struct tz_cli *c)
{
    json_t *q = json_pack("{s:s,s:s}", "command", "device revoke", "name", c->arg);
    json_t *r = NULL;
    int rc = tz_cli_change(c, q, &r);
    if (rc || (rc = print_json(c, r)) != 1)
        return rc;
    tz_cli_say(
        c,
        tr(c, "已停用设备“%s”；它下次连接时交出未送出的内容（taizhangd backlog 查看），然后清除全部资料",
           "device \"%s\" is shut out; when it connects it hands in what is unsent (see taizhangd backlog) and wipes"
           " everything"),
        text_of(r, "name"));
    json_decref(r);
    return 0;
}

int tz_cmd_device_grant(struct tz_cli *c)
{
    json_t *q = json_pack("{s:s,s:s}", "command", "device grant", "name", c->arg);
    json_t *r = NULL;
    char when[32];
    put_opt(c, q, "role", TZ_OPT_ROLE);
    put_opt(c, q, "area", TZ_OPT_AREA);
    put_opt(c, q, "until", TZ_OPT_UNTIL);
    int rc = tz_cli_change(c, q, &r);
    if (rc || (rc = print_json(c, r)) != 1)
        return rc;
    int64_t until = json_integer_value(json_object_get(r, "until_ms"));
    tz_cli_say(c,
               tr(c,
                  "设备“%s”现在的权限：%s，%s，%s%s\n它下次连接时先送出未送的内容，再清除不再归它的记录；"
                  "用 taizhangd device show %s 查看是否已清除",
                  "device \"%s\" is now: %s, %s, %s%s\nWhen it connects it hands in what is unsent, then wipes what is"
                  " no longer its own; taizhangd device show %s tells whether it has"),
               text_of(r, "name"), text_of(r, "role"), text_of(r, "area"),
               until ? tr(c, "截至 ", "until ") : tr(c, "长期", "open"), until ? tz_cli_time(until, when) : "", c->arg);
    json_decref(r);
    return 0;
}

int tz_cmd_user_grant(struct tz_cli *c)
{
    json_t *q = json_pack("{s:s,s:s}", "command", "user grant", "code", c->arg);
    json_t *r = NULL;
    put_opt(c, q, "role", TZ_OPT_ROLE);
    put_opt(c, q, "area", TZ_OPT_AREA);
    int rc = tz_cli_change(c, q, &r);
    if (rc || (rc = print_json(c, r)) != 1)
        return rc;
    tz_cli_say(c, tr(c, "用户“%s”现在的权限：%s，%s", "user \"%s\" is now: %s, %s"), text_of(r, "code"),
               text_of(r, "role"), text_of(r, "area"));
    json_decref(r);
    return 0;
}

int tz_cmd_user_add(struct tz_cli *c)
{
    json_t *q = json_pack("{s:s,s:s}", "command", "user add", "code", c->arg);
    json_t *r = NULL;
    put_opt(c, q, "name", TZ_OPT_NAME);
    put_opt(c, q, "role", TZ_OPT_ROLE);
    put_opt(c, q, "area", TZ_OPT_AREA);
    put_opt(c, q, "unit", TZ_OPT_UNIT);
    int rc = tz_cli_change(c, q, &r);
    if (rc || (rc = print_json(c, r)) != 1)
        return rc;
    (void)printf("%s\n", text_of(r, "id"));
    json_decref(r);
    return 0;
}

int tz_cmd_user_unit(struct tz_cli *c)
{
    json_t *q = json_pack("{s:s,s:s}", "command", "user unit", "code", c->arg);
    json_t *r = NULL;
    put_opt(c, q, "unit", TZ_OPT_UNIT);
    int rc = tz_cli_change(c, q, &r);
    if (rc || (rc = print_json(c, r)) != 1)
        return rc;
    tz_cli_say(c, tr(c, "用户“%s”的所属单位现在是 %s", "user \"%s\" now acts for unit %s"), text_of(r, "code"),
               text_of(r, "unit"));
    json_decref(r);
    return 0;
}

int tz_cmd_user_disable(struct tz_cli *c)
{
    json_t *q = json_pack("{s:s,s:s}", "command", "user disable", "code", c->arg);
    json_t *r = NULL;
    int rc = tz_cli_change(c, q, &r);
    if (rc || (rc = print_json(c, r)) != 1)
        return rc;
    tz_cli_say(c, tr(c, "已停用用户“%s”", "user \"%s\" is disabled"), text_of(r, "code"));
    json_decref(r);
    return 0;
}

/** What this command could not do, and how to go on. */
static void say_left(struct tz_cli *c, const json_t *r)
{
    long long copies = (long long)json_integer_value(json_object_get(r, "copies"));
    long long more = (long long)json_integer_value(json_object_get(r, "more"));
    if (copies)
        tz_cli_say(c,
                   tr(c, "其中 %lld 次来自复制的文件夹，没有处理；单独处理：taizhangd backlog discard %s/序号",
                      "%lld are of a copied folder and are left; one by one: taizhangd backlog discard %s/SEQ"),
                   copies, text_of(r, "name"));
    if (more)
        tz_cli_say(c, tr(c, "还有 %lld 次没有处理，请再运行一次", "%lld are left: run this again"), more);
}

/** A number of at most @digits digits at *@text, which moves behind it. */
static bool take_number(const char **text, size_t digits, long long *out)
{
    size_t n = strspn(*text, "0123456789");
    *out = strtoll(*text, NULL, 10);
    *text += n;
    return n > 0 && n <= digits;
}

/** Into @q: NAME, NAME/SEQ or, where copies of its folder have the same numbers, NAME/COPY.SEQ as `backlog` prints it. */
static void put_save(json_t *q, const char *arg)
{
    const char *slash = strrchr(arg, '/');
    const char *at = slash ? slash + 1 : "";
    long long copy = 0;
    long long seq = 0;
    bool one = take_number(&at, 18, &seq);
    if (one && *at == '.') {
        copy = seq;
        at++;
        one = copy > 0 && copy <= UINT32_MAX && take_number(&at, 18, &seq);
    }
    one = one && *at == '\0';
    (void)json_object_set_new(q, "name", json_stringn(arg, one ? (size_t)(slash - arg) : strlen(arg)));
    if (one)
        (void)json_object_set_new(q, "seq", json_integer(seq));
    if (one && copy)
        (void)json_object_set_new(q, "incarnation", json_integer(copy));
}

static int settle_backlog(struct tz_cli *c, const char *command)
{
    json_t *q = json_pack("{s:s}", "command", command);
    json_t *r = NULL;
    put_save(q, c->arg);
    put_opt(c, q, "reason", TZ_OPT_REASON);
    int rc = tz_cli_change(c, q, &r);
    if (rc || (rc = print_json(c, r)) != 1)
        return rc;
    tz_cli_say(c,
               tr(c, "“%s”的 %lld 次保存：生效 %lld，转交审核 %lld，未采用 %lld",
                  "%s: of %lld saves %lld took effect, %lld are under review, %lld were refused"),
               text_of(r, "name"), (long long)json_integer_value(json_object_get(r, "saves")),
               (long long)json_integer_value(json_object_get(r, "applied")),
               (long long)json_integer_value(json_object_get(r, "under_review")),
               (long long)(json_integer_value(json_object_get(r, "refused")) +
                           json_integer_value(json_object_get(r, "put_away"))));
    say_left(c, r);
    json_decref(r);
    return 0;
}

int tz_cmd_backlog_apply(struct tz_cli *c)
{
    return settle_backlog(c, "backlog apply");
}

int tz_cmd_backlog_discard(struct tz_cli *c)
{
    return settle_backlog(c, "backlog discard");
}

int tz_cmd_restore_close(struct tz_cli *c)
{
    json_t *r = NULL;
    int rc = tz_cli_change(c, json_pack("{s:s}", "command", "restore close"), &r);
    if (rc || (rc = print_json(c, r)) != 1)
        return rc;
    tz_cli_say(c, "%s", tr(c, "恢复期已结束", "the recovery window is closed"));
    json_decref(r);
    return 0;
}
