/* SPDX-License-Identifier: Apache-2.0 */
/*
 * taizhang status: first one sentence that answers "is my work safe and is there something for me to do?", then
 * numbers, then what needs attention, with its reason and next step. Works offline.
 */
#include "agent.h"
#include "out.h"
#include "step.h"
#include "told.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ASK_AGENT_MS = 500, REFUSED_SHOWN_MAX = 20 };

struct agent_state {
    bool running, connected;
    char error[32]; /* symbol of what keeps it from the server, "" none */
};

static void ask_agent(const char *dir, struct agent_state *s)
{
    json_t *reply = NULL;
    struct tz_err err = {0};
    memset(s, 0, sizeof *s);
    if (tz_agent_ask(dir, "status", ASK_AGENT_MS, &reply, &err) != 0)
        return;
    const char *symbol = json_string_value(json_object_get(reply, "error"));
    s->running = true;
    s->connected = json_is_true(json_object_get(reply, "connected"));
    (void)snprintf(s->error, sizeof s->error, "%s", symbol == NULL ? "" : symbol);
    json_decref(reply);
}

/** What the listing of saves needs. */
struct listing {
    const struct tz_catalogue *cat;
    struct tz_office *o;
    json_t *list;
};

static void entry_error(const struct listing *l, const struct tz_outbox_entry *e, struct tz_err *err)
{
    const char *a[4] = {NULL};
    char seq[24];
    for (size_t i = 0; i < e->nargs && i < 4; i++)
        a[i] = e->args[i];
    (void)snprintf(seq, sizeof seq, "%" PRIu64, e->blocked_by);
    if (e->code != 0)
        (void)tz_err_set(err, e->code, a[0], a[1], a[2], a[3]);
    else if (e->outcome == TZ_OUT_WAITING)
        (void)tz_err_set(err, TZ_E_DEPENDS, seq, NULL, NULL, NULL);
    else
        (void)tz_err_set(err, TZ_E_FORKED, NULL, NULL, NULL, NULL);
    tz_step_words(l->cat, l->o, out_lang(), err);
}

static const char *outcome_text(enum tz_outcome o)
{
    return o == TZ_OUT_REFUSED   ? tr("被拒", "refused")
           : o == TZ_OUT_WAITING ? tr("等待", "waiting")
           : o == TZ_OUT_HELD    ? tr("暂存", "held")
                                 : tr("部分被拒", "refused in part");
}

static const char *outcome_key(enum tz_outcome o)
{
    return o == TZ_OUT_REFUSED   ? "refused"
           : o == TZ_OUT_WAITING ? "waiting"
           : o == TZ_OUT_HELD    ? "held"
                                 : "partly_refused";
}

static bool is_partly(const struct tz_outbox_entry *e)
{
    return e->outcome != TZ_OUT_REFUSED && e->outcome != TZ_OUT_WAITING && e->outcome != TZ_OUT_HELD;
}

static void op_error(const struct listing *l, const struct tz_refused_op *x, struct tz_err *err)
{
    const char *a[TZ_RESULT_ARGS_MAX] = {NULL};
    for (size_t i = 0; i < x->nargs && i < TZ_RESULT_ARGS_MAX; i++)
        a[i] = x->args[i];
    (void)tz_err_set(err, x->code, a[0], a[1], a[2], a[3]);
    tz_step_words(l->cat, l->o, out_lang(), err);
}

/** The first of them, each with its record, its reason and what to do. */
static void print_refused(const struct listing *l, const struct tz_outbox_entry *e)
{
    char hex[TZ_ID_HEX + 1], text[512], next[256];
    for (size_t i = 0; i < e->nrefused && i < REFUSED_SHOWN_MAX; i++) {
        const struct tz_refused_op *x = &e->refused[i];
        struct tz_err err = {0};
        op_error(l, x, &err);
        tz_id_print(x->id, hex);
        (void)printf("  %s %s (%s)：%s [%s]\n", x->type ? x->type->label[out_lang()] : "?", x->title, hex,
                     tz_err_text(&err, out_lang(), text, sizeof text), tz_err_info(err.code)->symbol);
        if (*tz_err_next(&err, out_lang(), next, sizeof next) != '\0')
            (void)printf(tr("    下一步：%s\n", "    next: %s\n"), next);
    }
    if (e->nrefused > REFUSED_SHOWN_MAX)
        (void)printf(tr("  ……另有 %zu 行（--json 列出全部）\n", "  … and %zu more (--json lists them all)\n"),
                     e->nrefused - REFUSED_SHOWN_MAX);
    (void)printf(tr("  其余各行已生效。改好后另行保存被拒的行；知道了就不再提示：taizhang withdraw %" PRIu64 "\n",
                    "  The other rows took effect. Save the refused ones again corrected; when you have seen this: "
                    "taizhang withdraw %" PRIu64 "\n"),
                 e->seq);
}

static int print_entry(void *ctx, const struct tz_outbox_entry *e)
{
    struct tz_err err = {0};
    const struct listing *l = ctx;
    char when[32], text[512], next[256];
    if (is_partly(e)) {
        (void)printf(tr("\n第 %" PRIu64 " 次保存（%s，%zu 项修改）%s：%zu 项\n",
                        "\nsave %" PRIu64 " (%s, %zu changes) %s: %zu of them\n"),
                     e->seq, out_time(e->saved_ms, when, sizeof when), e->nops, outcome_text(e->outcome), e->nrefused);
        print_refused(l, e);
        return 1;
    }
    entry_error(l, e, &err);
    const struct tz_err_info *info = tz_err_info(err.code);
    (void)printf(tr("\n第 %" PRIu64 " 次保存（%s，%zu 项修改）%s：%s [%s]\n",
                    "\nsave %" PRIu64 " (%s, %zu changes) %s: %s [%s]\n"),
                 e->seq, out_time(e->saved_ms, when, sizeof when), e->nops, outcome_text(e->outcome),
                 tz_err_text(&err, out_lang(), text, sizeof text), info->symbol);
    if (*tz_err_next(&err, out_lang(), next, sizeof next) != '\0')
        (void)printf(tr("  下一步：%s\n", "  next: %s\n"), next);
    (void)printf(
        e->outcome == TZ_OUT_REFUSED
            ? tr("  改好后重新保存，或撤回：taizhang withdraw %" PRIu64 "\n",
                 "  Save it again corrected, or take it back: taizhang withdraw %" PRIu64 "\n")
            : tr("  也可以撤回：taizhang withdraw %" PRIu64 "\n", "  Or take it back: taizhang withdraw %" PRIu64 "\n"),
        e->seq);
    return 1; /* and the next */
}

static json_t *refused_json(const struct listing *l, const struct tz_outbox_entry *e)
{
    json_t *list = json_array();
    char hex[TZ_ID_HEX + 1], text[512], next[256];
    for (size_t i = 0; i < e->nrefused; i++) {
        const struct tz_refused_op *x = &e->refused[i];
        struct tz_err err = {0};
        op_error(l, x, &err);
        tz_id_print(x->id, hex);
        (void)json_array_append_new(list,
                                    json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "type", x->type ? x->type->name : "",
                                              "id", hex, "title", x->title, "code", tz_err_info(err.code)->symbol,
                                              "text", tz_err_text(&err, out_lang(), text, sizeof text), "next",
                                              tz_err_next(&err, out_lang(), next, sizeof next)));
    }
    return list;
}

static int add_entry(void *ctx, const struct tz_outbox_entry *e)
{
    const struct listing *l = ctx;
    struct tz_err err = {0};
    char text[512], next[256];
    entry_error(l, e, &err);
    const struct tz_err_info *info = tz_err_info(err.code);
    json_t *j = json_pack(
        "{s:I, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:o}", "seq", (json_int_t)e->seq, "outcome", outcome_key(e->outcome),
        "code", info->symbol, "text", tz_err_text(&err, out_lang(), text, sizeof text), "next",
        tz_err_next(&err, out_lang(), next, sizeof next), "blocked_by", (json_int_t)e->blocked_by, "saved_ms",
        (json_int_t)e->saved_ms, "ops", (json_int_t)e->nops, "refused", refused_json(l, e));
    return json_array_append_new(l->list, j) == 0 ? 1 : TZ_E_NOMEM;
}

static uint64_t attention(const struct tz_office_status *st)
{
    return st->refused_changesets + st->waiting_changesets + st->held_changesets + st->partly_changesets +
           st->open_cases;
}

static void sentence(const struct tz_office_status *st, char *out, size_t n)
{
    uint64_t todo = attention(st);
    if (st->unsent_changesets > 0 && todo > 0)
        (void)snprintf(out, n,
                       tr("还有 %" PRIu64 " 项未送出，有 %" PRIu64 " 件需要处理（都保存在本机）",
                          "%" PRIu64 " not yet sent and %" PRIu64 " need attention (all safe on this machine)"),
                       st->unsent_ops, todo);
    else if (st->unsent_changesets > 0)
        (void)snprintf(out, n,
                       tr("还有 %" PRIu64 " 项未送出（保存在本机，连上后送出）",
                          "%" PRIu64 " not yet sent (safe on this machine, sent when connected)"),
                       st->unsent_ops);
    else if (todo > 0)
        (void)snprintf(out, n, tr("有 %" PRIu64 " 件需要处理", "%" PRIu64 " need attention"), todo);
    else if (st->last_sync_ms == 0)
        (void)snprintf(out, n, "%s", tr("还没有同步过", "never synced yet"));
    else if (st->lost_rows > 0 || st->lost_saves > 0)
        (void)snprintf(out, n, "%s",
                       tr("服务器恢复到了较早的备份，还缺少本机曾经送到的内容（见下）",
                          "the server went back to a backup and lacks some of what had reached it (below)"));
    else
        (void)snprintf(out, n, "%s", tr("一切都已送到服务器", "everything has reached the server"));
}

static int print_text(struct tz_office *o, const struct tz_office_status *st, const struct agent_state *a,
                      struct tz_err *err)
{
    char line[256], when[32];
    const struct tz_identity *id = tz_office_identity(o);
    sentence(st, line, sizeof line);
    (void)printf("%s\n", line);
    (void)printf(tr("  设备 %u（%s） %s %s  服务器 %s\n", "  device %u (%s) %s %s  server %s\n"), id->device, id->name,
                 id->role, id->area, id->address);
    (void)printf(
        tr("  未送出 %" PRIu64 " 次保存  被拒 %" PRIu64 "  等待 %" PRIu64 "  暂存 %" PRIu64 "  冲突 %" PRIu64 "\n",
           "  unsent saves %" PRIu64 "  refused %" PRIu64 "  waiting %" PRIu64 "  held %" PRIu64 "  conflicts %" PRIu64
           "\n"),
        st->unsent_changesets, st->refused_changesets, st->waiting_changesets, st->held_changesets, st->open_cases);
    (void)printf(tr("  本机记录 %" PRIu64 "%s  上次同步 %s\n", "  records here %" PRIu64 "%s  last sync %s\n"),
                 st->rows, st->filling ? tr("（首次同步未完成）", " (first sync not finished)") : "",
                 st->last_sync_ms == 0 ? tr("无", "never") : out_time(st->last_sync_ms, when, sizeof when));
    if (st->partly_changesets > 0)
        (void)printf(tr("  部分被拒 %" PRIu64 " 次保存，共 %" PRIu64 " 行\n",
                        "  refused in part: %" PRIu64 " saves, %" PRIu64 " rows\n"),
                     st->partly_changesets, st->partly_ops);
    if (st->no_areas)
        (void)printf("%s", tr("  本设备的角色没有辖区，不取回记录\n",
                              "  this device's role has no area: no records are received\n"));
    (void)printf(tr("  后台同步 %s%s%s\n", "  agent %s%s%s\n"),
                 !a->running    ? tr("未运行", "not running")
                 : a->connected ? tr("已连接", "connected")
                                : tr("未连接", "not connected"),
                 a->error[0] != '\0' ? " " : "", a->error);
    if (st->audit_changed)
        (void)printf(
            tr("  审计记录不一致：第 %" PRIu64 " 条，%s 起\n", "  audit log differs: entry %" PRIu64 ", since %s\n"),
            st->audit_n, out_time(st->audit_changed_ms, when, sizeof when));
    if (st->set_aside > 0)
        (void)printf(tr("  搁置的收到记录 %" PRIu64 "\n", "  received rows set aside %" PRIu64 "\n"), st->set_aside);
    if (st->lost_rows > 0 || st->lost_saves > st->lost_words)
        (void)printf(tr("  服务器恢复到了较早的备份：本机留存它没有的记录 %" PRIu64 "，已送出的保存 %" PRIu64 "\n",
                        "  the server went back to a backup: kept here of what it lacks: %" PRIu64 " records, %" PRIu64
                        " sent saves\n"),
                     st->lost_rows, st->lost_saves - st->lost_words);
    if (st->lost_words > 0)
        (void)printf(
            tr("  服务器恢复后缺少的 %" PRIu64 " 次保存，原文本机也没有了：请告诉管理员，恢复前的数据库里还有\n",
               "  the words of %" PRIu64 " sent saves are not here any more either: tell the administrator, the "
               "database from before the restore has them\n"),
            st->lost_words);
    if (st->open_cases > 0)
        (void)printf("%s", tr("  冲突：taizhang cases 查看，taizhang resolve 处理\n",
                              "  conflicts: see taizhang cases, settle with taizhang resolve\n"));
    struct listing l = {tz_replica_catalogue(tz_office_replica(o)), o, NULL};
    return tz_office_outbox_each(o, true, print_entry, &l, err);
}

static int print_json(struct tz_office *o, const struct tz_office_status *st, const struct agent_state *a,
                      struct tz_err *err)
{
    char line[256];
    const struct tz_identity *id = tz_office_identity(o);
    json_t *list = json_array();
    struct listing l = {tz_replica_catalogue(tz_office_replica(o)), o, list};
    int rc = tz_office_outbox_each(o, true, add_entry, &l, err);
    if (rc != 0) {
        json_decref(list);
        return err->code != 0 ? err->code : tz_err_set(err, rc, NULL, NULL, NULL, NULL);
    }
    sentence(st, line, sizeof line);
    json_t *j = json_pack("{s:s, s:i, s:s, s:s, s:s, s:s}", "summary", line, "device", (int)id->device, "name",
                          id->name, "role", id->role, "area", id->area, "server", id->address);
    json_t *n =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:I, s:I}",
                  "unsent", (json_int_t)st->unsent_changesets, "unsent_ops", (json_int_t)st->unsent_ops, "refused",
                  (json_int_t)st->refused_changesets, "waiting", (json_int_t)st->waiting_changesets, "held",
                  (json_int_t)st->held_changesets, "partly_refused", (json_int_t)st->partly_changesets, "refused_rows",
                  (json_int_t)st->partly_ops, "cases", (json_int_t)st->open_cases, "set_aside",
                  (json_int_t)st->set_aside, "lost_rows", (json_int_t)st->lost_rows, "lost_saves",
                  (json_int_t)st->lost_saves, "lost_words", (json_int_t)st->lost_words, "rows", (json_int_t)st->rows,
                  "checkpoint", (json_int_t)st->checkpoint, "filling", st->filling, "no_areas", st->no_areas,
                  "last_sync_ms", (json_int_t)st->last_sync_ms, "offset_ms", (json_int_t)st->offset_ms);
    json_object_set_new(n, "audit_changed", json_boolean(st->audit_changed));
    json_t *agent = json_pack("{s:b, s:b, s:s}", "running", a->running, "connected", a->connected, "error", a->error);
    int bad = json_object_update(j, n);
    json_decref(n);
    bad |= json_object_set_new(j, "agent", agent);
    bad |= json_object_set_new(j, "attention", list);
    if (bad != 0) {
        json_decref(j);
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    }
    return out_json(j);
}

int cmd_status(struct cli *c, int argc, char **argv)
{
    struct tz_err err = {0};
    struct tz_office *o;
    struct tz_office_status st;
    struct agent_state agent;
    const char *dir;
    (void)argv;
    if (argc != 1)
        return cli_usage_error(c, "%s", tr("不需要其他内容", "no arguments are needed"));
    int rc = cli_data(c, &dir, &err);
    if (rc == 0)
        rc = cli_open_office(c, &o, &err);
    if (rc == 0)
        rc = tz_office_status(o, &st, &err);
    if (rc == 0) {
        ask_agent(dir, &agent);
        rc = c->json ? print_json(o, &st, &agent, &err) : print_text(o, &st, &agent, &err);
    }
    if (rc != 0)
        return out_error(&err);
    told_clock(st.offset_ms);
    told_audit(st.audit_changed);
    return CLI_DONE;
}
