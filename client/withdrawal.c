/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Own saves taken back, and what becomes of them when that does not happen after all.
 *
 *   a save          taken back by
 *   never sent      an empty save under its own number: the numbers keep no hole
 *   refused         a WITHDRAW in a later save: the server lifts what waited for it
 *   waiting, held   the same; the save leaves the overlay at once
 *   partly refused  the same, about the refused ops only; what was applied stands and leaves the overlay by itself
 *
 * Invariants
 *  1. withdrawn_by names a save whose WITHDRAW may still happen or has. When that save is refused or taken back itself,
 * its targets are open again: they need attention, and what is not final is back on top of the confirmed rows.
 *  2. A save that is open again takes back what it had taken back.
 */
#include "save_int.h"

#include <string.h>

/* ---- targets ---- */

static int mark(struct tz_office *o, uint64_t seq, uint64_t by, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_BOX_WITHDRAW, "UPDATE outbox SET withdrawn_by = ?2 WHERE seq = ?1", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, (int64_t)seq);
    tz_stmt_bind_int(s, 2, (int64_t)by);
    return tz_stmt_run(s, err);
}

/** What is known of an own changeset. */
struct box_entry {
    enum tz_outcome outcome;
    bool sent;
    uint64_t withdrawn_by, refused; /* refused: ops */
    uint8_t hash[TZ_HASH_BYTES];
};

/** 1 found, 0 none. */
static int box_get(struct tz_office *o, uint64_t seq, struct box_entry *out, struct tz_err *err)
{
    struct tz_stmt *q = tz_office_sql(
        o, OS_BOX_GET, "SELECT outcome, sent, withdrawn_by, n_refused, hash FROM outbox WHERE seq = ?", err);
    memset(out, 0, sizeof *out);
    if (!q)
        return tz_office_code(err);
    tz_stmt_bind_int(q, 1, (int64_t)seq);
    int rc = tz_stmt_step(q, err);
    if (rc == 1) {
        struct tz_bytes hash = tz_stmt_blob(q, 4);
        out->outcome = (enum tz_outcome)tz_stmt_int(q, 0);
        out->sent = tz_stmt_int(q, 1) != 0;
        out->withdrawn_by = (uint64_t)tz_stmt_int(q, 2);
        out->refused = (uint64_t)tz_stmt_int(q, 3);
        if (hash.n == TZ_HASH_BYTES)
            memcpy(out->hash, hash.p, TZ_HASH_BYTES);
    }
    tz_stmt_reset(q);
    return rc;
}

/** The server has answered, and not in the end: it can be taken back by a WITHDRAW. */
static bool is_open(const struct box_entry *e)
{
    return e->outcome == TZ_OUT_REFUSED || e->outcome == TZ_OUT_WAITING || e->outcome == TZ_OUT_HELD ||
           (e->refused > 0 && e->outcome != TZ_OUT_NONE && e->outcome != TZ_OUT_WITHDRAWN);
}

/** Nothing of it stands: the view goes on without it. */
static bool hides_nothing_applied(const struct box_entry *e)
{
    return e->outcome == TZ_OUT_REFUSED || e->outcome == TZ_OUT_WAITING || e->outcome == TZ_OUT_HELD;
}

/** Mark @seq as taken back by @by, and what it had taken back itself as open. */
static int take_back(struct tz_office *o, uint64_t seq, uint64_t by, const struct box_entry *e, struct tz_err *err)
{
    int rc = mark(o, seq, by, err);
    if (!rc && hides_nothing_applied(e))
        rc = tz_overlay_leave(o, seq, -1, o->st.checkpoint, err);
    return rc ? rc : tz_withdrawal_undo(o, seq, err);
}

/* ---- open again ---- */

/** The record a case is about, for a decision about it; no type when the case is not here any more. */
static int case_target(struct tz_office *o, const struct tz_type *t, const struct tz_op *op, struct tz_arena *a,
                       struct tz_case_view *cv, struct tz_err *err)
{
    struct tz_err ignored = {0};
    struct tz_row *row = tz_arena_alloc(a, sizeof *row);
    memset(cv, 0, sizeof *cv);
    int rc = row ? tz_replica_get(o->rep, t, op->id, a, row, err) : tz_office_nomem(err);
    if (rc == 1 && tz_case_read(o, row, cv, &ignored))
        cv->type = NULL;
    return rc < 0 ? rc : 0;
}

static int show_again(struct tz_office *o, const struct tz_type *t, struct tz_id id, uint64_t seq, size_t at,
                      const struct tz_op *op, struct tz_err *err)
{
    int rc = tz_overlay_touch(o, t, id, seq, at, op, err);
    return rc ? rc : tz_overlay_recompute(o, t, id, err);
}

static int op_again(struct tz_office *o, uint64_t seq, size_t at, const struct tz_op *op, struct tz_arena *a,
                    struct tz_err *err)
{
    const struct tz_type *t = tz_catalogue_type_id(o->cat, op->type);
    struct tz_case_view cv;
    struct box_entry e;
    int rc = 0;
    if (op->kind == TZ_OP_WITHDRAW) {
        rc = box_get(o, op->target_seq, &e, err);
        return rc == 1 && is_open(&e) && !e.withdrawn_by ? take_back(o, op->target_seq, seq, &e, err) : rc < 0 ? rc : 0;
    }
    if (!t) /* a newer catalogue's */
        return 0;
    rc = show_again(o, t, op->id, seq, at, op, err);
    if (rc || op->kind != TZ_OP_RESOLVE)
        return rc;
    rc = case_target(o, t, op, a, &cv, err);
    return rc || !cv.type ? rc : show_again(o, cv.type, cv.target, seq, at, op, err);
}

static bool did_not_happen(const struct tz_result *r, size_t op)
{
    return r && op < r->nops && (r->ops[op].outcome == TZ_OUT_REFUSED || r->ops[op].outcome == TZ_OUT_WITHDRAWN);
}

int tz_withdrawal_back_on_top(struct tz_office *o, uint64_t seq, const struct tz_result *r, struct tz_err *err)
{
    struct tz_arena a;
    const struct tz_changeset *cs;
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    struct tz_stmt *s = tz_office_sql(o, OS_BOX_IN, "UPDATE outbox SET in_overlay = 1 WHERE seq = ?", err);
    if (s)
        tz_stmt_bind_int(s, 1, (int64_t)seq);
    int rc = s ? tz_stmt_run(s, err) : tz_office_code(err);
    for (size_t i = 0, n = 1; i < n && !rc; i++) { /* read anew each time: what the cache lends may be gone by then */
        rc = tz_overlay_changeset(o, seq, &cs, err);
        n = rc ? 0 : cs->nops;
        const struct tz_op *op = rc || !n ? NULL : tz_overlay_keep_op(&cs->ops[i], &a);
        if (!rc && n && !op)
            rc = tz_office_nomem(err);
        if (op && !did_not_happen(r, i))
            rc = op_again(o, seq, i, op, &a, err);
    }
    tz_arena_deinit(&a);
    return rc;
}

/** The first save that @by took back, not finally. 1, 0 none. */
static int next_target(struct tz_office *o, uint64_t by, uint64_t *seq, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(
        o, OS_BOX_TARGET, "SELECT seq FROM outbox WHERE withdrawn_by = ?1 AND seq <> ?1 AND outcome <> 7 LIMIT 1", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, (int64_t)by);
    int rc = tz_stmt_step(s, err);
    *seq = rc == 1 ? (uint64_t)tz_stmt_int(s, 0) : 0;
    tz_stmt_reset(s);
    return rc;
}

int tz_withdrawal_undo(struct tz_office *o, uint64_t by, struct tz_err *err)
{
    uint64_t seq = 0;
    int rc;
    while ((rc = next_target(o, by, &seq, err)) == 1) {
        struct box_entry e;
        rc = box_get(o, seq, &e, err);
        rc = rc == 1 ? mark(o, seq, 0, err) : rc;
        if (!rc && (e.outcome == TZ_OUT_WAITING || e.outcome == TZ_OUT_HELD))
            rc = tz_withdrawal_back_on_top(o, seq, NULL, err);
        if (rc)
            return rc;
    }
    return rc;
}

/* ---- by hand ---- */

static int cannot(uint64_t seq, int found, const struct box_entry *e, struct tz_err *err)
{
    int code = !found                           ? TZ_E_NO_SAVE
               : e->outcome == TZ_OUT_WITHDRAWN ? TZ_E_WITHDRAWN_BEFORE
               : e->withdrawn_by                ? TZ_E_WITHDRAWN_BEFORE
               : e->outcome == TZ_OUT_NONE      ? TZ_E_ON_ITS_WAY
                                                : TZ_E_SETTLED;
    return tz_err_setf(err, code, "%llu", (unsigned long long)seq);
}

static int push_withdraw(struct tz_save *s, uint64_t seq, const struct box_entry *e, struct tz_err *err)
{
    const uint8_t *hash = tz_arena_dup(&s->a, e->hash, sizeof e->hash);
    struct tz_op op = {.kind = TZ_OP_WITHDRAW,
                       .target_seq = seq,
                       .target_hash = tz_bytes_of(hash, sizeof e->hash),
                       .base_seq = s->cs.seq};
    if (!hash)
        return tz_err_set(err, TZ_E_LIMIT, "save", NULL, NULL, NULL);
    tz_save_push(s, &op, s->o->st.checkpoint);
    return take_back(s->o, seq, s->cs.seq, e, err);
}

/** It never left this machine: the server gets an empty save under its number. */
static int empty(struct tz_office *o, uint64_t seq, struct tz_err *err)
{
    int rc = tz_outbox_empty(o, seq, err);
    if (!rc)
        rc = tz_overlay_leave(o, seq, -1, o->st.checkpoint, err);
    return rc ? rc : tz_withdrawal_undo(o, seq, err);
}

int tz_save_withdraw(struct tz_save *s, uint64_t seq, struct tz_err *err)
{
    struct box_entry e;
    int rc = box_get(s->o, seq, &e, err);
    if (rc < 0)
        return rc;
    bool unsent = rc == 1 && e.outcome == TZ_OUT_NONE && !e.sent;
    if (rc == 0 || e.withdrawn_by || !(unsent || is_open(&e)))
        return cannot(seq, rc, &e, err);
    rc = tz_save_room(s, 1, TZ_HASH_BYTES, err);
    if (rc)
        return rc;
    rc = unsent ? empty(s->o, seq, err) : push_withdraw(s, seq, &e, err);
    s->wrote = s->wrote || unsent;
    if (rc)
        s->failed = rc;
    return rc;
}
