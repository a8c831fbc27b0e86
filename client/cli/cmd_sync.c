/* SPDX-License-Identifier: Apache-2.0 */
/* taizhang sync: one round with the server, or through the agent when one is running. */
#include "out.h"
#include "request.h"
#include "told.h"

#include <inttypes.h>
#include <stdio.h>

struct shown {
    struct out_progress bar;
    uint64_t to_send;
};

static void on_progress(void *ctx, const struct tz_sync_counters *n)
{
    struct shown *s = ctx;
    if (s->to_send > 0 && n->results < s->to_send)
        out_progress_step(&s->bar, n->results, s->to_send);
    else
        out_progress_step(&s->bar, n->rows, 0);
}

/** Where what came too late is to be seen: it lies where its record lies now, which may not be here any more. */
static const char *where_reviewed(struct tz_office *o)
{
    int64_t here = 0;
    struct tz_err ignored = {0};
    int rc = tz_db_query_int(
        tz_office_db(o), "SELECT count(*) FROM \"case\" WHERE state = 'open' AND kind = 'late_scope'", &here, &ignored);
    return rc == 0 && here > 0
               ? tr("在本机辖区内的用 taizhang cases 查看", "those in the area of this machine: taizhang cases")
               : tr("本机没有它们：记录现在归哪个辖区，就在那里的主管的电脑上用 taizhang cases 查看",
                    "they are not on this machine: a supervisor of the area that has the record now finds "
                    "them with taizhang cases");
}

static void print_text(struct tz_office *o, const struct tz_round_report *r)
{
    (void)printf(tr("同步完成：送出 %" PRIu64 " 次保存（生效 %" PRIu64 "），收到 %" PRIu64 " 条记录\n",
                    "synced: %" PRIu64 " saves sent (%" PRIu64 " applied), %" PRIu64 " records received\n"),
                 r->sent, r->applied, r->rows);
    if (r->renumbered > 0)
        (void)printf(
            tr("本机资料是复制来的，或曾被还原到较早的样子：服务器已给它单独编号，%" PRIu64
               " 次保存按新编号送出，没有丢失也没有重复。以后每台机器请各用一份邀请码加入。\n",
               "this data folder is a copy, or was put back to an older state: the server gave it numbers of its "
               "own, %" PRIu64 " saves went out under them, none lost and none twice. From now on let each machine "
               "join with an invitation of its own.\n"),
            r->made_over);
    if (r->handed_back > 0)
        (void)printf(tr("服务器恢复过备份：已交回它缺的保存 %" PRIu64 " 次\n",
                        "the server went back to a backup: %" PRIu64 " saves that it lacked were handed back\n"),
                     r->handed_back);
    if (r->reviewed > 0)
        (void)printf(tr("%" PRIu64 " 次保存送到时权限已有变动：内容都已收下，待主管审核（%s）\n",
                        "%" PRIu64 " saves came when the right to make them had gone: all of it is kept for a "
                        "supervisor to decide (%s)\n"),
                     r->reviewed, where_reviewed(o));
    if (r->refused + r->waiting + r->held > 0)
        (void)printf(tr("需要处理：被拒 %" PRIu64 "，等待 %" PRIu64 "，暂存 %" PRIu64 "（taizhang status 查看原因）\n",
                        "attention: %" PRIu64 " refused, %" PRIu64 " waiting, %" PRIu64
                        " held (see taizhang status)\n"),
                     r->refused, r->waiting, r->held);
    if (r->partly == 1)
        (void)printf(tr("第 %" PRIu64 " 次保存有 %" PRIu64 " 行被拒，其余已生效（taizhang status 逐行说明）\n",
                        "save %" PRIu64 ": %" PRIu64
                        " rows were refused, the others took effect (taizhang status names "
                        "them)\n"),
                     r->partly_seq, r->partly_ops);
    else if (r->partly > 1)
        (void)printf(tr("%" PRIu64 " 次保存共有 %" PRIu64 " 行被拒，其余已生效（taizhang status 逐行说明）\n",
                        "%" PRIu64 " saves: %" PRIu64
                        " rows were refused, the others took effect (taizhang status names "
                        "them)\n"),
                     r->partly, r->partly_ops);
    if (r->cases > 0)
        (void)printf(tr("未处理的冲突 %" PRIu64 " 件（taizhang cases 查看）\n",
                        "%" PRIu64 " open conflicts (see taizhang cases)\n"),
                     r->cases);
}

int cmd_sync(struct cli *c, int argc, char **argv)
{
    struct tz_err err = {0};
    struct shown shown = {0};
    struct tz_round_report r = {0};
    struct tz_office_status st;
    struct tz_round_options opt = {
        .software = "taizhang " TZ_VERSION, .signals = true, .progress = on_progress, .ctx = &shown};
    (void)argv;
    if (argc != 1)
        return cli_usage_error(c, "%s", tr("不需要其他内容", "no arguments are needed"));
    int rc = cli_open_office(c, &opt.office, &err);
    if (rc == 0)
        rc = cli_data(c, &opt.dir, &err);
    if (rc == 0)
        rc = tz_office_status(opt.office, &st, &err);
    if (rc != 0)
        return out_error(&err);
    shown.to_send = st.unsent_changesets;
    out_progress_start(&shown.bar, tr("同步", "syncing"));
    rc = tz_request_round(&opt, &r, &err);
    out_progress_end(&shown.bar);
    if (rc != 0) {
        rc = out_error(&err);
        told_unsent(opt.office);
        return rc;
    }
    told_clock(r.offset_ms);
    told_audit(r.audit_changed);
    if (!c->json)
        print_text(opt.office, &r);
    else if (out_json(tz_round_json(&r)) != 0)
        return CLI_FAILED;
    return r.refused + r.waiting + r.held + r.partly + r.reviewed > 0 ? CLI_PARTLY : CLI_DONE;
}
