/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One changeset from its bytes to its outcome.
 *
 *   known (device, incarnation, seq)? --same hash--> the stored result      --other hash--> held: kept in the backlog
 *   next seq? --no--> error, nothing stored
 *   depends on an own refused, waiting or held one? --> waiting: kept whole in the backlog
 *   judge every op (each alone when independent) --> applied / refused --> result, audit entry, blocked marks
 *   released others? --> judge them too, in seq order
 *   after a restore: refused, but what it needs may be handed in yet? --> waiting for the others (store_reoffer.c)
 *
 * Invariants
 *  1. A (device, incarnation, seq) has one result row from the moment it was judged or put aside; a resend is answered
 * from it.
 *  2. A judged changeset has one audit entry; a waiting one gets it when it is judged or withdrawn.
 *  3. Withdrawals of a changeset happen when it is judged and not refused, never when it is put aside.
 *  4. A refused changeset leaves nothing but its result, its audit entry and its marks in `blocked`.
 */
#include "apply_int.h"
#include "planted.h"

#include <stdio.h>
#include <string.h>

enum { OP_SCRATCH_BYTES = 8 * 1024 * 1024 };

/* ---- its end ---- */

int tz_apply_audit(struct apply *p)
{
    char meta[192];
    int n = snprintf(meta, sizeof meta, "changeset device=%u incarnation=%u seq=%llu outcome=%d ver=%llu received=%lld",
                     p->device, p->res.incarnation, (unsigned long long)p->res.seq, (int)p->res.outcome,
                     (unsigned long long)p->res.ver, (long long)p->received.ms);
    if (p->old_ver && n > 0 && (size_t)n < sizeof meta)
        (void)snprintf(meta + n, sizeof meta - (size_t)n, " was=%llu", (unsigned long long)p->old_ver);
    int rc = tz_audit_add(p->s, meta, p->raw, p->err);
    return rc ? rc : tz_history_note(p->s, p->s->group_audit_n, p->cs, p->ops, p->err);
}

int tz_apply_note_judged(struct apply *p)
{
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_DEVICE_JUDGED, p->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_int(st, 2, (int64_t)p->cs->seq);
    tz_stmt_bind_int(st, 3, (int64_t)p->j->edit.effective);
    tz_stmt_bind_int(st, 4, p->cs->incarnation);
    tz_stmt_bind_int(st, 5, p->cs->seq > p->dev.last_seq); /* one less of those that it spoke of */
    int rc = tz_stmt_run(st, p->err);
    return rc || p->cs->incarnation == 1
               ? rc
               : tz_installation_judged(p->s, p->device, p->cs->incarnation, p->cs->seq, p->err);
}

int tz_apply_conclude(struct apply *p, struct tz_signed_result *out, bool *released)
{
    p->res.ops = p->ops;
    p->res.nops = p->cs->nops;
    int rc = tz_reoffer_done(p);
    if (!rc)
        rc = tz_wait_mark(p);
    if (!rc)
        rc = tz_wait_mend(p, released);
    if (!rc)
        rc = tz_results_store(p->s, p->device, &p->res, p->a, out, p->err);
    if (!rc && !(TZ_PLANTED(REFUSED_UNLOGGED) && p->res.outcome == TZ_OUT_REFUSED))
        rc = tz_apply_audit(p);
    return rc ? rc : tz_apply_note_judged(p);
}

int tz_apply_behind(struct apply *p, uint64_t blocked_by)
{
    char number[24];
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)blocked_by);
    p->res.outcome = TZ_OUT_WAITING;
    p->res.blocked_by = blocked_by;
    p->res.code = TZ_E_DEPENDS;
    p->res.args[0] = tz_arena_strdup(p->a, number);
    p->res.nargs = 1;
    for (size_t i = 0; i < p->cs->nops; i++)
        p->ops[i].outcome = TZ_OUT_WAITING;
    p->res.ops = p->ops;
    p->res.nops = p->cs->nops;
    return p->res.args[0] ? 0 : TZ_E_NOMEM;
}

/** @blocked_by 0: until others have handed in what it needs. */
static int put_aside(struct apply *p, uint64_t blocked_by, struct tz_signed_result *out)
{
    int rc = blocked_by ? tz_apply_behind(p, blocked_by) : tz_reoffer_behind(p);
    rc = rc ? rc : tz_apply_prepare(p); /* its place in time is that of its receipt */
    if (!rc)
        rc = tz_wait_mark(p);
    if (!rc)
        rc = tz_results_store(p->s, p->device, &p->res, p->a, out, p->err);
    if (!rc)
        rc = tz_results_keep(p, TZ_OUT_WAITING, blocked_by);
    return rc ? rc : tz_apply_note_judged(p);
}

/* ---- its way ---- */

int tz_apply_init(struct apply *p, struct tz_bytes raw)
{
    p->raw = raw;
    p->cs = tz_arena_calloc(p->a, 1, sizeof *p->cs);
    if (!p->cs)
        return TZ_E_NOMEM;
    int rc = raw.n > TZ_CHANGESET_BYTES_MAX ? TZ_E_LIMIT : tz_msg_read_changeset(raw, p->a, p->cs, p->err);
    if (!rc && p->cs->nops > (p->cs->independent ? TZ_INDEPENDENT_OPS_MAX : TZ_CHANGESET_OPS_MAX))
        rc = tz_err_set(p->err, TZ_E_LIMIT, "ops", NULL, NULL, NULL);
    if (!rc)
        rc = tz_sha256(raw, p->hash);
    p->ops = rc ? NULL : tz_arena_calloc(p->a, p->cs->nops ? p->cs->nops : 1, sizeof *p->ops);
    if (!p->ops)
        return rc ? rc : TZ_E_NOMEM;
    p->res = (struct tz_result){.incarnation = p->cs->incarnation, .seq = p->cs->seq};
    memcpy(p->res.hash, p->hash, TZ_HASH_BYTES);
    return 0;
}

/** The first seq that must have been judged: behind those that were, and that a restore forgot. */
static int first_owed(struct apply *p, uint64_t *out)
{
    uint64_t forgotten = 0;
    int rc = tz_installation_forgotten(p->s, &p->dev, &forgotten, p->err);
    *out = (forgotten > p->dev.last_seq ? forgotten : p->dev.last_seq) + 1;
    return rc;
}

int tz_apply_seq_lost(struct apply *p, uint64_t seq)
{
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_LOST_GET, p->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_int(st, 2, p->cs->incarnation);
    tz_stmt_bind_int(st, 3, (int64_t)seq);
    int rc = tz_stmt_step(st, p->err);
    tz_stmt_reset(st);
    return rc;
}

static int check_seq(struct apply *p)
{
    uint64_t first = 0;
    int owed = p->cs->seq > p->dev.last_seq + 1 ? first_owed(p, &first) : 0;
    if (owed || first == 0)
        return owed;
    for (uint64_t seq = first; seq < p->cs->seq; seq++) {
        int rc = tz_apply_seq_lost(p, seq);
        if (rc < 0)
            return rc;
        if (rc == 0)
            return tz_err_setf(p->err, TZ_E_SEQ_HOLE, "%llu", (unsigned long long)seq);
    }
    return 0;
}

struct tz_group_state tz_group_save(const struct tz_store *s)
{
    struct tz_group_state g = {.head = s->group_head, .eff_max = s->group_eff_max, .audit_n = s->group_audit_n};
    memcpy(g.audit_hash, s->group_audit_hash, sizeof g.audit_hash);
    return g;
}

void tz_group_restore(struct tz_store *s, const struct tz_group_state *was)
{
    s->group_head = was->head;
    s->group_eff_max = was->eff_max;
    s->group_audit_n = was->audit_n;
    memcpy(s->group_audit_hash, was->audit_hash, sizeof was->audit_hash);
    s->ndistricts = 0; /* one of them may have been made meanwhile */
}

/** Withdrawals first, since they may free the rest. */
int tz_apply_withdraw_and_judge(struct apply *p, bool *freed, struct tz_results *others)
{
    int rc = 0;
    for (size_t i = 0; i < p->cs->nops && !rc; i++)
        if (p->cs->ops[i].kind == TZ_OP_WITHDRAW)
            rc = tz_wait_withdraw(p, &p->cs->ops[i], freed, others);
    if (!rc)
        rc = tz_apply_judge(p);
    if (!rc && p->s->read_err.code) { /* a merge was decided on what could not be read */
        *p->err = p->s->read_err;
        rc = p->err->code;
    }
    return rc;
}

int tz_apply_try(struct apply *p, uint64_t *blocker, bool *released, struct tz_results *others)
{
    struct tz_group_state before = tz_group_save(p->s);
    size_t nothers = others->n;
    bool freed = false;
    int rc = tz_wait_find(p, blocker);
    if (rc || *blocker)
        return rc; /* put aside: its withdrawals do not happen */
    rc = tz_db_savepoint(p->s->db, p->err);
    if (rc)
        return rc;
    rc = tz_apply_withdraw_and_judge(p, &freed, others);
    int waits = rc ? rc : tz_reoffer_waits(p);
    if (waits < 0)
        return tz_apply_undo(p, waits);
    p->recovers = waits == 1;
    if (!p->recovers && p->res.outcome != TZ_OUT_REFUSED) {
        *released = *released || freed;
        tz_reoffer_keep_outcomes(p);
        return tz_db_release(p->s->db, p->err);
    }
    tz_group_restore(p->s, &before); /* its withdrawals did not happen */
    others->n = nothers;
    return tz_db_rollback_to(p->s->db, p->err);
}

static int apply_new(struct apply *p, struct tz_signed_result *own, struct tz_results *others)
{
    uint64_t blocker = 0;
    bool released = false;
    int rc = p->was ? tz_reoffer_settled(p, own) : check_seq(p);
    if (!rc)
        rc = tz_former_answer(p, own);
    if (rc)
        return rc < 0 ? rc : 0;
    rc = tz_apply_try(p, &blocker, &released, others);
    if (!rc)
        rc = blocker || p->recovers ? put_aside(p, blocker, own) : tz_apply_conclude(p, own, &released);
    if (!rc)
        rc = tz_former_note(p);
    if (!rc && p->was && !blocker && !p->recovers)
        rc = tz_reoffer_wake(p->s, 0, p->err);
    return rc || !released ? rc : tz_wait_release(p, true, others);
}

/** The changeset is the session's own, or of the history that it shares with the installation it comes from, or proved
 * to be of this device. 1, 0, negative; p->dev is the installation that it names. */
static int may_bring(struct apply *p)
{
    struct tz_device named = p->dev;
    uint32_t owner = p->cs->incarnation;
    if (p->cs->device != p->device || p->cs->seq == 0)
        return 0;
    int rc = p->incarnation ? tz_store_installation(p->s, &p->dev, p->incarnation, p->err) : 1;
    if (rc == 1 && p->incarnation && !p->was)
        rc = tz_installation_owner(p->s, &p->dev, p->cs->seq, &owner, p->err) ? TZ_E_DB : 1;
    if (rc != 1 || owner != p->cs->incarnation)
        return rc < 0 ? rc : 0;
    p->dev = named;
    return tz_store_installation(p->s, &p->dev, p->cs->incarnation, p->err);
}

static int apply_checked(struct apply *p, struct tz_results *out)
{
    struct tz_signed_result own;
    struct tz_results others = {.a = p->a};
    int rc = tz_store_device_by_number(p->s, p->device, &p->dev, p->err);
    if (rc != 1)
        return rc < 0 ? rc : tz_err_set(p->err, TZ_E_REVOKED, NULL, NULL, NULL, NULL);
    if (p->dev.revoked) {
        if (p->cs->device != p->device || p->cs->seq == 0 || p->cs->seq > INT64_MAX)
            return tz_err_set(p->err, TZ_E_PROTOCOL, "changeset of another device", NULL, NULL, NULL);
        rc = tz_store_installation(p->s, &p->dev, p->cs->incarnation, p->err);
        if (rc != 1)
            return rc < 0 ? rc : tz_err_set(p->err, TZ_E_PROTOCOL, "incarnation", NULL, NULL, NULL);
        rc = tz_apply_hold_revoked(p, &own);
        return rc ? rc : tz_results_add(out, own);
    }
    rc = tz_store_device_expire(p->s, &p->dev, p->received.ms, p->err);
    if (rc)
        return rc;
    rc = may_bring(p);
    if (rc != 1)
        return rc < 0 ? rc : tz_err_set(p->err, TZ_E_PROTOCOL, "changeset of another device", NULL, NULL, NULL);
    rc = tz_wait_release(p, false, &others); /* what earlier calls left: a resend then gets its newest answer */
    if (!rc)
        rc = tz_results_resend(p, &own);
    if (rc == 0)
        rc = apply_new(p, &own, &others);
    rc = rc < 0 ? rc : tz_results_add(out, own);
    for (size_t i = 0; i < others.n && !rc; i++)
        rc = tz_results_add(out, others.v[i]);
    return rc;
}

/** The peer's bytes were read before: whatever cannot be read now is stored here. */
static int as_ours(struct apply *p, int rc)
{
    char what[32];
    if (rc != TZ_E_FORMAT && rc != TZ_E_LIMIT && rc != TZ_E_VALUE)
        return rc;
    (void)snprintf(what, sizeof what, "stored data: %s", tz_err_info(rc)->symbol);
    return tz_err_set(p->err, TZ_E_DB_CORRUPT, what, NULL, NULL, NULL);
}

/** An error leaves no trace: one peer's bad bytes must not undo the group. */
static int apply_or_nothing(struct apply *p, struct tz_results *out, const struct tz_group_state *was)
{
    int rc = as_ours(p, apply_checked(p, out));
    if (!rc)
        return tz_db_release(p->s->db, p->err);
    struct tz_err ignored;
    if (tz_db_rollback_to(p->s->db, &ignored))
        return rc; /* the connection is beyond help; the group will be rolled back */
    tz_group_restore(p->s, was);
    return rc;
}

int tz_apply_begin(struct apply *p, struct tz_arena *scratch, struct tz_apply_out *out)
{
    tz_arena_init(scratch, OP_SCRATCH_BYTES);
    p->s->ntouched = 0;
    p->s->read_err = (struct tz_err){0};
    *out = (struct tz_apply_out){0};
    p->j = tz_arena_calloc(p->a, 1, sizeof *p->j);
    if (!p->j)
        return TZ_E_NOMEM;
    p->j->a = scratch;
    return 0;
}

static void hand_over(struct tz_store *s, const struct tz_results *results, const struct tz_group_state *was,
                      struct tz_apply_out *out)
{
    out->results = results->v;
    out->n = results->n;
    out->changed = s->group_head != was->head;
    out->areas = s->touched;
    out->nareas = s->ntouched <= TZ_TOUCHED_MAX ? s->ntouched : 0;
}

int tz_store_apply(struct tz_store *s, const struct tz_apply_ctx *ctx, struct tz_bytes raw, struct tz_arena *a,
                   struct tz_apply_out *out, struct tz_err *err)
{
    struct tz_err local = {0};
    struct tz_arena scratch;
    struct tz_results results = {.a = a};
    struct tz_release_budget own = {0};
    struct apply p = {.s = s,
                      .device = ctx->device,
                      .incarnation = ctx->incarnation,
                      .session = ctx->session,
                      .offset_ms = ctx->offset_ms,
                      .received = ctx->received,
                      .budget = ctx->budget ? ctx->budget : &own,
                      .a = a,
                      .err = err ? err : &local};
    struct tz_group_state was = tz_group_save(s);
    int rc = tz_apply_begin(&p, &scratch, out);
    if (!rc)
        rc = tz_apply_init(&p, raw);
    if (!rc && ctx->was)
        rc = tz_reoffer_read(&p, ctx->was);
    if (!rc)
        rc = tz_db_savepoint(s->db, p.err);
    if (!rc)
        rc = apply_or_nothing(&p, &results, &was);
    tz_arena_deinit(&scratch);
    if (rc)
        return p.err->code ? rc : tz_err_set(err, rc, NULL, NULL, NULL, NULL);
    hand_over(s, &results, &was, out);
    return 0;
}

/* ---- what earlier calls left ---- */

static int next_to_release(struct tz_store *s, uint32_t *device, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_RELEASE_NEXT, err);
    *device = 0;
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, s->release_turn);
    int rc = tz_stmt_step(st, err);
    *device = rc == 1 ? (uint32_t)tz_stmt_int(st, 0) : 0;
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

bool tz_store_release_left(const struct tz_store *s)
{
    return s->release_left;
}

int tz_store_release(struct tz_store *s, struct tz_arena *a, uint32_t *device, struct tz_apply_out *out,
                     struct tz_err *err)
{
    struct tz_err local = {0};
    struct tz_arena scratch;
    struct tz_results results = {.a = a};
    struct tz_release_budget budget = {0};
    struct apply p = {.s = s, .budget = &budget, .a = a, .err = err ? err : &local};
    struct tz_group_state was = tz_group_save(s);
    int rc = tz_apply_begin(&p, &scratch, out);
    bool more = false;
    if (!rc)
        rc = tz_lost_settle(s, &more, p.err);
    if (!rc && !more)
        rc = tz_reoffer_end(s, p.err);
    if (!rc && !more)
        rc = next_to_release(s, &p.device, p.err);
    s->release_turn = p.device; /* one that cannot be judged must not keep the others waiting */
    if (!rc && p.device)
        rc = tz_store_device_by_number(s, p.device, &p.dev, p.err);
    *device = rc == 1 ? p.device : 0;
    s->release_left = rc == 1 || more;
    if (rc == 1)
        rc = as_ours(&p, tz_wait_release(&p, false, &results));
    tz_arena_deinit(&scratch);
    if (rc)
        return p.err->code ? rc : tz_err_set(err, rc, NULL, NULL, NULL, NULL);
    hand_over(s, &results, &was, out);
    return 0;
}
