/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log as this device remembers it: the newest entry that a checkpoint showed, and whether the server still
 * has it.
 *
 *   remembered ──Welcome: SAME──> moves on with each checkpoint
 *        └──────Welcome: CHANGED──> marked: the pair stays as it is, evidence ──confirmed by a person──> nothing
 * remembered
 *
 * A restore that the server tells of (Welcome.lost) explains a difference: the entry is forgotten, and nothing marked.
 *
 * A mark stops nothing: what is synced is safe, what was rewritten is the past. Only a person can know whether the
 * server was restored or somebody was at its log, so only a person takes the mark away.
 */
#include "log.h"
#include "office_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char KEY[] = "audit.changed"; /* "entry ms": since when it differs */

int tz_audit_mark(struct tz_office *o, struct tz_audit_mark *out, struct tz_err *err)
{
    memset(out, 0, sizeof *out);
    struct tz_stmt *s = tz_office_sql(o, OS_META_GET, "SELECT value FROM meta WHERE key = ?", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_text(s, 1, KEY);
    int rc = tz_stmt_step(s, err);
    const char *text = rc == 1 ? tz_stmt_text(s, 0) : NULL;
    out->changed = rc == 1;
    if (text && sscanf(text, "%" SCNu64 " %" SCNd64, &out->n, &out->since_ms) != 2)
        out->n = 0; /* that it is marked is what counts */
    tz_stmt_reset(s);
    return rc < 0 ? rc : 0;
}

int tz_audit_take(struct tz_office *o, enum tz_audit_answer answer, struct tz_err *err)
{
    struct tz_audit_mark was;
    char text[48];
    int rc = answer == TZ_AUDIT_CHANGED ? tz_audit_mark(o, &was, err) : 0;
    if (rc || answer != TZ_AUDIT_CHANGED || was.changed)
        return rc;
    if (o->st.audit_n == 0) /* the same Welcome told of a restore, and the entry was forgotten with it (lost.c) */
        return 0;
    tz_log(TZ_LOG_WARN, "office", "audit-changed", "n=%" PRIu64, o->st.audit_n);
    struct tz_stmt *s = tz_office_sql(o, OS_META_SET, "INSERT OR REPLACE INTO meta VALUES(?, ?)", err);
    if (!s)
        return tz_office_code(err);
    (void)snprintf(text, sizeof text, "%" PRIu64 " %" PRId64, o->st.audit_n, tz_clock_wall(&o->clock).ms);
    tz_stmt_bind_text(s, 1, KEY);
    tz_stmt_bind_text(s, 2, text);
    return tz_stmt_run(s, err);
}

int tz_audit_move(struct tz_office *o, const struct tz_msg_checkpoint *c, struct tz_err *err)
{
    struct tz_audit_mark mark;
    int rc = tz_audit_mark(o, &mark, err);
    if (rc || mark.changed)
        return rc;
    o->st.audit_n = c->audit_n;
    memcpy(o->st.audit_hash, c->audit_hash, sizeof o->st.audit_hash);
    return 0;
}

int tz_office_audit_confirm(struct tz_office *o, struct tz_err *err)
{
    int rc = tz_office_begin(o, err);
    if (rc)
        return rc;
    struct tz_stmt *s = tz_office_sql(o, OS_META_DEL, "DELETE FROM meta WHERE key = ?", err);
    if (s) {
        tz_stmt_bind_text(s, 1, KEY);
        rc = tz_stmt_run(s, err);
    } else {
        rc = tz_office_code(err);
    }
    if (!rc && tz_db_changes(o->db) > 0) { /* the next checkpoint's pair is remembered instead */
        o->st.audit_n = 0;
        memset(o->st.audit_hash, 0, sizeof o->st.audit_hash);
    }
    return tz_office_end(o, rc, err);
}
