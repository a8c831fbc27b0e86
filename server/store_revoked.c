/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device that is shut out hands in: kept whole for the administrator, bounded, judged by nobody until he says so
 * (store_backlog.c).
 *
 * Where the bound is reached the session ends with an error. Nothing is answered that would let the device erase the
 * save: it keeps the rest, and hands it in when the administrator has settled some of what is here.
 */
#include "apply_int.h"

#include <stdio.h>

enum { REVOKED_SAVES_MAX = 64 * 1024, REVOKED_BYTES_MAX = 64 * 1024 * 1024 };

int tz_store_held_full(struct tz_store *s, uint32_t device, bool *full, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_BACKLOG_SIZE, err);
    *full = false;
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, device);
    int rc = tz_stmt_step(st, err);
    *full = rc == 1 && (tz_stmt_int(st, 0) >= REVOKED_SAVES_MAX ||
                        tz_stmt_int(st, 1) > REVOKED_BYTES_MAX - TZ_CHANGESET_BYTES_MAX);
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
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

/** It was taken before. 1, 0, negative. */
static int here_already(struct apply *p)
{
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_BACKLOG_HAS, p->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_int(st, 2, p->cs->incarnation);
    tz_stmt_bind_int(st, 3, (int64_t)p->cs->seq);
    tz_stmt_bind_blob(st, 4, p->hash, TZ_HASH_BYTES);
    int rc = tz_stmt_step(st, p->err);
    tz_stmt_reset(st);
    return rc;
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
    bool full = false;
    int rc = known == 0 ? tz_store_held_full(p->s, p->device, &full, p->err) : 0;
    if (known < 0 || rc)
        return known < 0 ? known : rc;
    int here = full ? here_already(p) : 0;
    if (here < 0)
        return here;
    if (full && !here)
        return tz_err_set(p->err, TZ_E_HELD_FULL, p->dev.name, NULL, NULL, NULL);
    rc = known ? 0 : tz_apply_prepare(p); /* its place in time is that of its receipt */
    if (!rc && !known)
        rc = tz_results_keep(p, TZ_OUT_HELD, 0);
    if (!rc && !known)
        rc = note_held(p);
    return rc ? rc : tz_results_whole(p, TZ_OUT_HELD, TZ_E_HELD_REVOKED, false, own);
}
