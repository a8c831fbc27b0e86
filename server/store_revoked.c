/* SPDX-License-Identifier: Apache-2.0 */
/* What a device that is shut out hands in: kept whole for the administrator, bounded, judged by nobody until he says
 * so (store_backlog.c). */
#include "apply_int.h"

#include <stdio.h>

enum { REVOKED_SAVES_MAX = 64 * 1024, REVOKED_BYTES_MAX = 64 * 1024 * 1024 };

/** Is there no more room for what a revoked device hands in? 1, 0, negative. */
static int held_full(struct apply *p)
{
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_BACKLOG_SIZE, p->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    int rc = tz_stmt_step(st, p->err);
    bool full = rc == 1 &&
                (tz_stmt_int(st, 0) >= REVOKED_SAVES_MAX || tz_stmt_int(st, 1) + (int64_t)p->raw.n > REVOKED_BYTES_MAX);
    tz_stmt_reset(st);
    return rc < 0 ? rc : full;
}

static int known_already(struct apply *p)
{
    struct tz_stmt *st = tz_answer_stmt(p->s, p->device, p->cs->incarnation, p->cs->seq, p->err);
    if (!st)
        return TZ_E_DB;
    int rc = tz_stmt_step(st, p->err);
    bool same = rc == 1 && tz_bytes_eq(tz_stmt_blob(st, 0), tz_bytes_of(p->hash, TZ_HASH_BYTES));
    tz_stmt_reset(st);
    return rc < 0 ? rc : same;
}

static int note_held(struct apply *p)
{
    char meta[96];
    if (tz_db_changes(p->s->db) == 0) /* here before */
        return 0;
    (void)snprintf(meta, sizeof meta, "held of revoked device=%u incarnation=%u seq=%llu", p->device,
                   p->cs->incarnation, (unsigned long long)p->cs->seq);
    return tz_audit_add(p->s, meta, tz_bytes_of(p->hash, TZ_HASH_BYTES), p->err);
}

/** Kept whole for the administrator, judged by nobody until he says so; also after a receipt, which speaks of one
 * folder: what comes then is a copy's, and perhaps nowhere else. The answer is always the same: nothing that happened
 * since is told, nor what became of what was sent before. */
int tz_apply_hold_revoked(struct apply *p, struct tz_signed_result *own)
{
    int known = known_already(p);
    int full = known == 0 ? held_full(p) : 0;
    if (known < 0 || full < 0)
        return known < 0 ? known : full;
    if (full) /* this is no honest device */
        return tz_results_whole(p, TZ_OUT_REFUSED, TZ_E_LIMIT, false, own);
    int rc = known ? 0 : tz_apply_prepare(p); /* its place in time is that of its receipt */
    if (!rc && !known)
        rc = tz_results_keep(p, TZ_OUT_HELD, 0);
    if (!rc && !known)
        rc = note_held(p);
    return rc ? rc : tz_results_whole(p, TZ_OUT_HELD, TZ_E_HELD_REVOKED, false, own);
}
