/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which audit entries touched a record: the table `history`, written with each audit entry of a changeset.
 *
 * Invariants
 *  1. A row (type, id, only, n) says that an op of the changeset in audit entry n was about the record: named it as its
 * own, decided a case about it, was carried out on it because what it named is part of it, or made the two one. What a
 * change cascades to is not in it.
 *  2. `only` is 0 where the op was carried out. What was refused or held never concerned the record, only the device
 * that tried: `only` is its number, and nobody else is shown it. So a stranger who names a record as often as he likes
 * neither appears in its history nor makes reading it any slower.
 *  3. It can be rebuilt from the audit bodies, except for those that were erased since.
 */
#include "history_int.h"

#include <stdio.h>
#include <string.h>

enum { BACKFILL_ARENA_BYTES = 64 * 1024 * 1024 };

bool tz_audit_meta_parse(const char *meta, struct tz_audit_meta *out)
{
    unsigned long long seq = 0;
    unsigned long long ver = 0;
    long long received = 0;
    unsigned long long old = 0;
    int outcome = 0;
    int n = meta
                ? sscanf(meta, "changeset device=%u incarnation=%u seq=%llu outcome=%d ver=%llu received=%lld was=%llu",
                         &out->device, &out->incarnation, &seq, &outcome, &ver, &received, &old)
                : 0;
    out->seq = seq;
    out->outcome = (enum tz_outcome)outcome;
    out->ver = ver;
    out->old_ver = old;
    out->received_ms = received;
    return n >= 6 && outcome >= TZ_OUT_NONE && outcome <= TZ_OUT_WITHDRAWN;
}

bool tz_history_is_public(enum tz_outcome o)
{
    return o == TZ_OUT_APPLIED || o == TZ_OUT_SUPERSEDED || o == TZ_OUT_UNDER_REVIEW;
}

bool tz_history_pairs(enum tz_op_kind k)
{
    return k == TZ_OP_MERGE || k == TZ_OP_UNMERGE;
}

static void copy_text(char *out, size_t cap, const char *in)
{
    size_t n = in ? strnlen(in, cap - 1) : 0;
    if (n)
        memcpy(out, in, n);
    out[n] = '\0';
}

/** By the table itself: a migration has no replica yet. */
int tz_history_case_of(struct tz_store *s, struct tz_id id, struct tz_history_case *out, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_CASE_TARGET, err);
    *out = (struct tz_history_case){0};
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_id(st, 1, &id);
    int rc = tz_stmt_step(st, err);
    if (rc == 1) {
        const char *name = tz_stmt_text(st, 0);
        out->type = name ? tz_catalogue_type(s->cat, name) : NULL;
        rc = tz_stmt_id(st, 1, &out->target) && out->type;
        copy_text(out->area.district, sizeof out->area.district, tz_stmt_text(st, 2));
        copy_text(out->area.street, sizeof out->area.street, tz_stmt_text(st, 3));
    }
    tz_stmt_reset(st);
    return rc;
}

/* ---- writing ---- */

static int put(struct tz_store *s, uint32_t type, struct tz_id id, uint32_t only, uint64_t n, struct tz_err *err)
{
    if (type == 0 || tz_id_is_zero(id))
        return 0;
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_HISTORY_PUT, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, type);
    tz_stmt_bind_id(st, 2, &id);
    tz_stmt_bind_int(st, 3, only);
    tz_stmt_bind_int(st, 4, (int64_t)n);
    return tz_stmt_run(st, err);
}

/** The record whose case was decided. */
static int put_target(struct tz_store *s, struct tz_id case_id, uint64_t n, struct tz_err *err)
{
    struct tz_history_case c;
    int rc = tz_history_case_of(s, case_id, &c, err);
    return rc == 1 ? put(s, c.type->id, c.target, 0, n, err) : rc;
}

int tz_history_note(struct tz_store *s, uint64_t n, const struct tz_changeset *cs, const struct tz_op_result *results,
                    struct tz_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < cs->nops && !rc; i++) {
        const struct tz_op *op = &cs->ops[i];
        bool done = tz_history_is_public(results[i].outcome);
        uint32_t only = done ? 0 : cs->device;
        if (op->kind == TZ_OP_WITHDRAW) /* names no record */
            continue;
        rc = put(s, op->type, op->id, only, n, err);
        if (!rc && tz_history_pairs(op->kind))
            rc = put(s, op->type, op->other_id, only, n, err);
        if (!rc && done)
            rc = put(s, op->type, results[i].alias_of, 0, n, err);
        if (!rc && done)
            rc = put(s, op->type, results[i].absorbed, 0, n, err);
        if (!rc && done && op->kind == TZ_OP_RESOLVE)
            rc = put_target(s, op->id, n, err);
    }
    return rc;
}

/* ---- outcomes ---- */

int tz_history_outcomes(struct tz_store *s, const struct tz_changeset *cs, struct tz_bytes raw, struct tz_arena *a,
                        enum tz_outcome *whole, struct tz_op_result **ops, struct tz_err *err)
{
    uint8_t hash[TZ_HASH_BYTES];
    struct tz_answer was = {0};
    int rc = tz_sha256(raw, hash);
    *whole = TZ_OUT_HELD;
    *ops = tz_arena_calloc(a, cs->nops ? cs->nops : 1, sizeof **ops);
    if (rc || !*ops)
        return rc ? tz_err_set(err, rc, NULL, NULL, NULL, NULL) : TZ_E_NOMEM;
    rc = tz_answer_get(s, cs->device, cs->incarnation, cs->seq, a, &was, err);
    bool same = rc == 1 && memcmp(was.r.hash, hash, sizeof hash) == 0;
    if (same)
        *whole = was.r.outcome;
    for (size_t i = 0; i < cs->nops && rc >= 0; i++) {
        (*ops)[i].outcome = *whole;
        if (same && i < was.r.nops)
            (*ops)[i] = was.r.ops[i];
    }
    return rc < 0 ? rc : 0;
}

/* ---- backfill ---- */

static int backfill_one(struct tz_store *s, const struct tz_stmt *st, struct tz_arena *a, struct tz_err *err)
{
    struct tz_audit_meta m;
    struct tz_changeset cs;
    struct tz_op_result *ops = NULL;
    enum tz_outcome whole;
    struct tz_bytes raw = tz_stmt_blob(st, 2);
    if (!tz_audit_meta_parse(tz_stmt_text(st, 1), &m) || raw.n == 0)
        return 0;
    tz_arena_reset(a);
    int rc = tz_msg_read_changeset(raw, a, &cs, err);
    if (!rc)
        rc = tz_history_outcomes(s, &cs, raw, a, &whole, &ops, err);
    return rc ? rc : tz_history_note(s, (uint64_t)tz_stmt_int(st, 0), &cs, ops, err);
}

int tz_history_backfill(struct tz_db *db, void *store, struct tz_err *err)
{
    struct tz_store *s = store;
    struct tz_stmt st = {0};
    struct tz_arena a;
    int rc =
        tz_db_prepare(db, &st, "SELECT a.n,a.meta,b.body FROM audit a JOIN audit_body b ON b.n=a.n ORDER BY a.n", err);
    tz_arena_init(&a, BACKFILL_ARENA_BYTES);
    while (!rc && (rc = tz_stmt_step(&st, err)) == 1)
        rc = backfill_one(s, &st, &a, err);
    tz_arena_deinit(&a);
    tz_stmt_finalize(&st);
    return rc;
}
