/* SPDX-License-Identifier: Apache-2.0 */
/* Sentences that several connected commands say. */
#include "told.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { CLOCK_WARN_MS = 5 * 60 * 1000, MINUTE_MS = 60 * 1000, HOUR_MIN = 60, DAY_MIN = 24 * 60 };

static const char *span(int64_t minutes, char *out, size_t n)
{
    if (minutes < 2 * HOUR_MIN)
        (void)snprintf(out, n, tr("%" PRId64 " 分钟", "%" PRId64 " minutes"), minutes);
    else if (minutes < 2 * DAY_MIN)
        (void)snprintf(out, n, tr("%" PRId64 " 小时", "%" PRId64 " hours"), minutes / HOUR_MIN);
    else
        (void)snprintf(out, n, tr("%" PRId64 " 天", "%" PRId64 " days"), minutes / DAY_MIN);
    return out;
}

void told_clock(int64_t offset_ms)
{
    char text[48];
    if (offset_ms >= -CLOCK_WARN_MS && offset_ms <= CLOCK_WARN_MS)
        return;
    (void)span((offset_ms < 0 ? -offset_ms : offset_ms) / MINUTE_MS, text, sizeof text);
    if (offset_ms > 0)
        out_warn(tr("本机时钟与服务器相差 %s（本机慢）。同步照常进行，请校正本机时间。",
                    "this machine's clock is %s behind the server's. Syncing goes on; please set the clock."),
                 text);
    else
        out_warn(tr("本机时钟与服务器相差 %s（本机快）。同步照常进行，请校正本机时间。",
                    "this machine's clock is %s ahead of the server's. Syncing goes on; please set the clock."),
                 text);
}

void told_unsent(struct tz_office *o)
{
    struct tz_office_status st;
    struct tz_err err = {0};
    if (tz_office_status(o, &st, &err) != 0 || st.unsent_changesets == 0)
        return;
    out_note(tr("  本机还有 %" PRIu64 " 次保存未送出，都完好保存在这里。",
                "  %" PRIu64 " saves are not sent; all of them are safe on this machine."),
             st.unsent_changesets);
}

void told_audit(bool changed)
{
    if (!changed)
        return;
    out_warn("%s", tr("服务器的审计记录与本机记得的不一致：服务器从备份恢复过，或者有人改动、删减了审计记录。"
                      "同步照常进行，数据是安全的。",
                      "the server's audit log is not the one this machine remembers: the server was restored from a "
                      "backup, or somebody changed or shortened the log. Syncing goes on; the data is safe."));
    out_note("%s", tr("  下一步：请告诉管理员；查明原因后执行 taizhang verify --confirm-audit",
                      "  next: tell the administrator; once the reason is known, run taizhang verify --confirm-audit"));
}
