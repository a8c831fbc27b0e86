/* SPDX-License-Identifier: Apache-2.0 */
/* The administrator's word on what a device left behind: judge it after all, or put it away with a reason. Both are in
 * the audit log. */
#include "apply_int.h"
#include "utf8.h"

#include <stdio.h>
#include <string.h>

enum { REASON_LOGGED_BYTES = 120 };

/** Copies of a device's folder give the same numbers: TZ_E_BACKLOG_COPIES when more than one of them has @seq here. */
static int only_one(struct apply *p, uint64_t seq)
{
    char names[TZ_ERR_ARG_BYTES] = "";
    char number[24];
    size_t n = 0;
    size_t found = 0;
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_BACKLOG_COPIES, p->err);
    int rc;
    if (!st)
        return TZ_E_DB;
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)seq);
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_int(st, 2, (int64_t)seq);
    while ((rc = tz_stmt_step(st, p->err)) == 1) {
        found++;
        if (n < sizeof names)
            n += (size_t)snprintf(names + n, sizeof names - n, "%s%s/%lld.%s", n ? " " : "", p->dev.name,
                                  (long long)tz_stmt_int(st, 0), number);
    }
    tz_stmt_reset(st);
    return rc || found < 2 ? rc : tz_err_set(p->err, TZ_E_BACKLOG_COPIES, p->dev.name, number, names, NULL);
}

/** What the backlog holds of one save, into @p. @incarnation: of that one; 0 of the only one, which is put there.
 * 1, 0 none, negative. */
static int backlog_read(struct apply *p, uint64_t seq, enum tz_outcome *was, uint32_t *incarnation)
{
    struct tz_bytes raw = {0};
    int several = *incarnation ? 0 : only_one(p, seq);
    if (several)
        return several;
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_BACKLOG_ONE, p->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_int(st, 2, (int64_t)seq);
    tz_stmt_bind_int(st, 3, *incarnation);
    int rc = tz_stmt_step(st, p->err);
    if (rc == 1) {
        *was = (enum tz_outcome)tz_stmt_int(st, 0);
        *incarnation = (uint32_t)tz_stmt_int(st, 1);
        p->received.ms = tz_stmt_int(st, 3);
        p->offset_ms = tz_stmt_int(st, 4);
        p->effective = (tz_hlc)tz_stmt_int(st, 5);
        rc = tz_results_copy(p->a, tz_stmt_blob(st, 2), &raw);
        rc = rc ? rc : 1;
    }
    tz_stmt_reset(st);
    if (rc != 1)
        return rc;
    rc = tz_apply_init(p, raw);
    return rc ? rc : tz_store_installation(p->s, &p->dev, p->cs->incarnation, p->err);
}

/** There is none to be settled by hand: why. */
static int not_there(struct apply *p, uint64_t seq)
{
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_BACKLOG_RECOVERS, p->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_int(st, 2, (int64_t)seq);
    int rc = tz_stmt_step(st, p->err);
    tz_stmt_reset(st);
    if (rc < 0)
        return rc;
    return tz_err_setf(p->err, rc ? TZ_E_RECOVERING : TZ_E_NOT_FOUND, "%u/%llu", p->device, (unsigned long long)seq);
}

/** Out of the backlog, with its marks. */
static int backlog_drop(struct apply *p)
{
    static const enum tz_sql which[] = {TZ_SQL_BACKLOG_GONE, TZ_SQL_BLOCKED_DROP_SEQ};
    for (size_t i = 0; i < 2; i++) {
        struct tz_stmt *st = tz_store_sql(p->s, which[i], p->err);
        if (!st)
            return TZ_E_DB;
        tz_stmt_bind_int(st, 1, p->device);
        tz_stmt_bind_int(st, 2, p->cs->incarnation);
        tz_stmt_bind_int(st, 3, (int64_t)p->cs->seq);
        if (which[i] == TZ_SQL_BACKLOG_GONE)
            tz_stmt_bind_blob(st, 4, p->hash, TZ_HASH_BYTES);
        int rc = tz_stmt_run(st, p->err);
        if (rc)
            return rc;
    }
    return 0;
}

static int settle_one(struct apply *p, bool judge, const char *reason, enum tz_outcome *outcome)
{
    struct tz_signed_result own;
    struct tz_results others = {.a = p->a};
    bool freed = false;
    int rc = backlog_drop(p);
    if (!rc && judge)
        rc = tz_apply_withdraw_and_judge(p, &freed, &others);
    if (!rc && !judge) {
        rc = tz_apply_prepare(p);
        tz_apply_refuse_all(p, p->cs->nops);
        p->res.code = TZ_E_DISCARDED;
        p->res.args[0] = reason;
        p->res.nargs = 1;
    }
    if (!rc)
        rc = tz_apply_conclude(p, &own, &freed);
    *outcome = p->res.outcome;
    return rc || !freed ? rc : tz_wait_release(p, true, &others);
}

/** Does the save have the number of another, which was judged? Then it is a copy's. 1, 0, negative. */
static int number_taken(struct apply *p, uint64_t seq, uint32_t incarnation)
{
    struct tz_stmt *st = tz_answer_stmt(p->s, p->device, incarnation, seq, p->err);
    if (!st)
        return TZ_E_DB;
    int rc = tz_stmt_step(st, p->err);
    tz_stmt_reset(st);
    return rc;
}

/** It can have no answer of its own under that number: it counts as taken back, and what it said is in the log. */
static int put_copy_away(struct apply *p, enum tz_outcome *outcome)
{
    struct tz_signed_result nobody_gets;
    int rc = tz_results_whole(p, TZ_OUT_WITHDRAWN, TZ_E_WITHDRAWN, false, &nobody_gets);
    if (!rc)
        rc = tz_apply_audit(p);
    struct tz_stmt *st = rc ? NULL : tz_store_sql(p->s, TZ_SQL_BACKLOG_WITHDRAW, p->err);
    if (!st)
        return rc ? rc : TZ_E_DB;
    *outcome = TZ_OUT_WITHDRAWN;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_int(st, 2, p->cs->incarnation);
    tz_stmt_bind_int(st, 3, (int64_t)p->cs->seq);
    tz_stmt_bind_blob(st, 4, p->hash, TZ_HASH_BYTES);
    return tz_stmt_run(st, p->err);
}

int tz_store_backlog_settle(struct tz_store *s, uint32_t device, uint32_t incarnation, uint64_t seq, bool judge,
                            const char *reason, enum tz_outcome *outcome, struct tz_err *err)
{
    struct tz_err local = {0};
    struct tz_arena a;
    struct tz_arena scratch;
    struct tz_release_budget budget = {0};
    struct tz_apply_out out;
    struct apply p = {.s = s, .device = device, .budget = &budget, .a = &a, .err = err ? err : &local};
    enum tz_outcome was = TZ_OUT_NONE;
    int copy = 0;
    size_t reason_bytes = strlen(reason);
    char meta[256];
    tz_arena_init(&a, 64 * 1024 * 1024);
    int rc = tz_apply_begin(&p, &scratch, &out);
    if (!rc)
        rc = tz_store_device_by_number(s, device, &p.dev, p.err);
    if (rc == 1)
        rc = backlog_read(&p, seq, &was, &incarnation);
    if (rc == 0)
        rc = not_there(&p, seq);
    bool copied = rc == 1 && was == TZ_OUT_HELD && (copy = number_taken(&p, seq, incarnation)) == 1;
    rc = copy < 0 ? copy : rc;
    if (copied && (judge || !p.dev.revoked)) /* that machine gets numbers of its own when it syncs; or is gone */
        rc = tz_err_setf(p.err, p.dev.revoked ? TZ_E_COPY_GONE : TZ_E_COPY_HELD, "%llu", (unsigned long long)seq);
    (void)snprintf(meta, sizeof meta, "backlog %s device=%u seq=%llu reason=%.*s", judge ? "apply" : "discard", device,
                   (unsigned long long)seq,
                   (int)(reason_bytes > REASON_LOGGED_BYTES ? tz_utf8_cut(reason, REASON_LOGGED_BYTES) : reason_bytes),
                   reason);
    if (rc == 1)
        rc = tz_audit_add(s, meta, tz_bytes_of(p.hash, TZ_HASH_BYTES), p.err);
    if (!rc && copied)
        rc = put_copy_away(&p, outcome);
    else if (!rc)
        rc = settle_one(&p, judge, reason, outcome);
    tz_arena_deinit(&scratch);
    tz_arena_deinit(&a);
    return rc;
}
