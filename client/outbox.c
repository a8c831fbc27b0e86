/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Own saves on their way: kept as the bytes that are sent, judged once, never thrown away.
 *
 * Invariants
 *  1. `raw` never changes once `sent` is 1: same (device, incarnation, seq) with other bytes would be a fork. `sent` is
 * set in the transaction that hands the bytes out.
 *  2. A result is stored, then the overlay follows from (outcome, version, visible checkpoint):
 *
 *       none, waiting, held            stays on top
 *       refused, withdrawn             leaves at once; in an independent changeset op by op
 *       applied, superseded, review    leaves when the checkpoint reaches its version; at once when nothing was written
 *
 *  3. A final outcome is never replaced: a late duplicate of a result changes nothing. Only where the server has
 * forgotten it (reoffer.c) the next one counts.
 *  4. Ops are counted by their first final outcome (waiting and held are counted as such until then).
 *  5. Nobody looks into `raw` for what a form may have shown: a withdrawn save has lost it. outbox_touch knows.
 *  6. A save that is settled may have lost raw, result and mac (wipe.c, compact.c): whoever reads them looks first.
 */
#include "office_int.h"

#include "hash.h"
#include "log.h"
#include "planted.h"

#include <string.h>

/* What one Push takes. Its Results have room for as many again that it releases. */
enum { LOAD_MAX = TZ_MSG_CHANGESETS_MAX };

static bool is_final(enum tz_outcome outcome)
{
    return outcome != TZ_OUT_NONE && outcome != TZ_OUT_WAITING && outcome != TZ_OUT_HELD;
}

/* ---- in ---- */

static int serialise(const struct tz_changeset *cs, struct tz_buf *raw, uint8_t hash[TZ_HASH_BYTES], struct tz_err *err)
{
    tz_buf_init(raw, TZ_CHANGESET_BYTES_MAX);
    int rc = tz_msg_put_changeset(raw, cs);
    if (!rc)
        rc = tz_sha256(tz_buf_unread(raw), hash);
    return rc ? tz_err_setf(err, rc, "%d", TZ_CHANGESET_BYTES_MAX) : 0;
}

/** Run @sql with the changeset's content: ?1 seq, ?2 incarnation, ?3 raw, ?4 hash; for a @fresh one ?5 time, ?6 ops, ?7
 * import. */
static int put_content(struct tz_office *o, const struct tz_changeset *cs, enum tz_office_stmt which, const char *sql,
                       bool fresh, struct tz_err *err)
{
    struct tz_buf raw;
    uint8_t hash[TZ_HASH_BYTES];
    int rc = serialise(cs, &raw, hash, err);
    struct tz_stmt *s = rc ? NULL : tz_office_sql(o, which, sql, err);
    if (s) {
        tz_stmt_bind_int(s, 1, (int64_t)cs->seq);
        tz_stmt_bind_int(s, 2, cs->incarnation);
        tz_stmt_bind_blob(s, 3, raw.p, raw.len);
        tz_stmt_bind_blob(s, 4, hash, sizeof hash);
        if (fresh) {
            tz_stmt_bind_int(s, 5, tz_clock_wall(&o->clock).ms);
            tz_stmt_bind_int(s, 6, (int64_t)cs->nops);
            if (!tz_id_is_zero(cs->import_id))
                tz_stmt_bind_id(s, 7, &cs->import_id);
        }
        rc = tz_stmt_run(s, err);
    } else if (!rc) {
        rc = tz_office_code(err);
    }
    tz_buf_deinit(&raw);
    return rc;
}

int tz_outbox_add(struct tz_office *o, const struct tz_changeset *cs, struct tz_err *err)
{
    return put_content(o, cs, OS_BOX_ADD,
                       "INSERT INTO outbox(seq, incarnation, raw, hash, saved_ms, nops, import_id)"
                       " VALUES(?, ?, ?, ?, ?, ?, ?)",
                       true, err);
}

int tz_outbox_empty(struct tz_office *o, uint64_t seq, struct tz_err *err)
{
    const struct tz_changeset *was;
    int rc = tz_overlay_changeset(o, seq, &was, err);
    if (rc)
        return rc;
    struct tz_op op = {.kind = TZ_OP_WITHDRAW, .target_seq = seq};
    struct tz_changeset cs = *was;
    cs.ops = &op;
    cs.nops = 1;
    /* nops stays what the person made; the touches keep the bases (invariant 5) */
    rc = put_content(o, &cs, OS_BOX_EMPTIED,
                     "UPDATE outbox SET incarnation = ?2, raw = ?3, hash = ?4, withdrawn_by = ?1, n_withdrawn = nops"
                     " WHERE seq = ?1 AND sent = 0",
                     false, err);
    tz_overlay_cache_drop(o); /* it may hold the ops that are gone */
    return rc;
}

int tz_outbox_make_over(struct tz_office *o, const struct tz_changeset *cs, struct tz_err *err)
{
    return put_content(
        o, cs, OS_BOX_MADE_OVER,
        "UPDATE outbox SET incarnation = ?2, raw = ?3, hash = ?4, sent = 0, reoffer = 0, outcome = 0, ver ="
        " 0, code = 0, result = NULL, mac = NULL, blocked_by = 0, n_applied = 0, n_superseded = 0,"
        " n_refused = 0, n_waiting = 0, n_held = 0, n_under_review = 0, n_withdrawn = iif(withdrawn_by = seq,"
        " nops, 0) WHERE seq = ?1",
        false, err);
}

/* ---- out ---- */

static int load_raw(struct tz_office *o, uint64_t after_seq, uint64_t upto_seq, size_t bytes_max, struct tz_arena *a,
                    struct tz_bytes *raw, uint64_t *seqs, size_t *n, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(
        o, OS_BOX_LOAD, "SELECT seq, raw FROM outbox WHERE outcome IN (0, 4, 5) AND seq > ? AND seq <= ? ORDER BY seq",
        err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, (int64_t)after_seq);
    tz_stmt_bind_int(s, 2, (int64_t)upto_seq);
    size_t bytes = 0;
    int rc = 0;
    while (*n < LOAD_MAX && (rc = tz_stmt_step(s, err)) == 1) {
        struct tz_bytes b = tz_stmt_blob(s, 1);
        bytes += b.n;
        if (*n && bytes > bytes_max)
            break;
        raw[*n] = (struct tz_bytes){tz_arena_dup(a, b.p, b.n), b.n};
        seqs[*n] = (uint64_t)tz_stmt_int(s, 0);
        if (!raw[*n].p) {
            rc = tz_office_nomem(err);
            break;
        }
        (*n)++;
    }
    tz_stmt_reset(s);
    return rc < 0 ? rc : 0;
}

int tz_office_outbox(struct tz_office *o, uint64_t after_seq, uint64_t upto_seq, size_t bytes_max, struct tz_arena *a,
                     struct tz_bytes **raw, uint64_t **seqs, size_t *n, struct tz_err *err)
{
    *n = 0;
    *raw = tz_arena_calloc(a, LOAD_MAX, sizeof **raw);
    *seqs = tz_arena_calloc(a, LOAD_MAX, sizeof **seqs);
    if (!*raw || !*seqs)
        return tz_office_nomem(err);
    int rc = tz_office_begin(o, err);
    if (rc)
        return rc;
    rc = load_raw(o, after_seq, upto_seq < INT64_MAX ? upto_seq : INT64_MAX, bytes_max, a, *raw, *seqs, n, err);
    if (!rc && *n && !TZ_PLANTED(SENT_FORGOTTEN)) {
        struct tz_stmt *s = tz_office_sql(
            o, OS_BOX_SENT,
            "UPDATE outbox SET sent = 1 WHERE sent = 0 AND outcome IN (0, 4, 5) AND seq BETWEEN ? AND ?", err);
        if (s) {
            tz_stmt_bind_int(s, 1, (int64_t)(*seqs)[0]);
            tz_stmt_bind_int(s, 2, (int64_t)(*seqs)[*n - 1]);
        }
        rc = s ? tz_stmt_run(s, err) : tz_office_code(err);
    }
    rc = tz_office_end(o, rc, err);
    if (rc)
        *n = 0;
    return rc;
}

/* ---- judged ---- */

struct op_counts {
    int64_t n[TZ_OUT_WITHDRAWN + 1]; /* by enum tz_outcome */
};

static struct op_counts count_ops(const struct tz_result *r, size_t nops)
{
    struct op_counts c = {0};
    bool per_op = r->nops == nops && (is_final(r->outcome) && r->outcome != TZ_OUT_REFUSED);
    for (size_t i = 0; i < nops; i++) {
        enum tz_outcome oc = per_op && r->ops[i].outcome != TZ_OUT_NONE ? r->ops[i].outcome : r->outcome;
        if ((unsigned)oc <= TZ_OUT_WITHDRAWN)
            c.n[oc]++;
    }
    return c;
}

static int store_result(struct tz_office *o, const struct tz_signed_result *raw, const struct tz_result *r, size_t nops,
                        bool count, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(
        o, OS_BOX_RESULT,
        "UPDATE outbox SET reoffer = 0, outcome = ?2, ver = ?3, code = ?4, result = ?5, mac = ?6, blocked_by = ?7,"
        " n_applied = iif(?15, ?8, n_applied), n_superseded = iif(?15, ?9, n_superseded),"
        " n_refused = iif(?15, ?10, n_refused), n_waiting = iif(?15, ?11, n_waiting),"
        " n_held = iif(?15, ?12, n_held), n_under_review = iif(?15, ?13, n_under_review),"
        " n_withdrawn = iif(?15, ?14, n_withdrawn) WHERE seq = ?1",
        err);
    if (!s)
        return tz_office_code(err);
    struct op_counts c = count_ops(r, nops);
    tz_stmt_bind_int(s, 1, (int64_t)r->seq);
    tz_stmt_bind_int(s, 2, r->outcome);
    tz_stmt_bind_int(s, 3, (int64_t)r->ver);
    tz_stmt_bind_int(s, 4, r->code);
    tz_stmt_bind_blob(s, 5, raw->result.p, raw->result.n);
    tz_stmt_bind_blob(s, 6, raw->mac.p, raw->mac.n);
    tz_stmt_bind_int(s, 7, (int64_t)r->blocked_by);
    for (int i = TZ_OUT_APPLIED; i <= TZ_OUT_WITHDRAWN; i++)
        tz_stmt_bind_int(s, 7 + i, c.n[i]);
    tz_stmt_bind_int(s, 15, count);
    return tz_stmt_run(s, err);
}

/** The overlay follows the outcome (invariant 2). */
static int follow(struct tz_office *o, const struct tz_result *r, size_t nops, struct tz_err *err)
{
    tz_ver now = o->st.checkpoint;
    if (!is_final(r->outcome))
        return 0;
    if (r->outcome == TZ_OUT_REFUSED || r->outcome == TZ_OUT_WITHDRAWN || r->ver <= now || TZ_PLANTED(LEAVES_EARLY))
        return tz_overlay_leave(o, r->seq, -1, now, err);
    for (size_t i = 0; r->nops == nops && i < nops; i++) {
        if (r->ops[i].outcome != TZ_OUT_REFUSED && r->ops[i].outcome != TZ_OUT_WITHDRAWN)
            continue;
        int rc = tz_overlay_leave(o, r->seq, (int)i, now, err);
        if (rc)
            return rc;
    }
    return 0;
}

/** What we hold under the result's seq. */
struct held {
    uint32_t incarnation;
    size_t nops;
    enum tz_outcome outcome;
    bool same_bytes, emptied, reoffer;
};

static int held_get(struct tz_office *o, const struct tz_result *r, struct held *out, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(
        o, OS_BOX_HELD,
        "SELECT incarnation, nops, outcome, hash, withdrawn_by = seq, reoffer FROM outbox WHERE seq = ?", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, (int64_t)r->seq);
    int rc = tz_stmt_step(s, err);
    if (rc == 1) {
        out->incarnation = (uint32_t)tz_stmt_int(s, 0);
        out->nops = (size_t)tz_stmt_int(s, 1);
        out->outcome = (enum tz_outcome)tz_stmt_int(s, 2);
        out->same_bytes = tz_bytes_eq(tz_stmt_blob(s, 3), tz_bytes_of(r->hash, sizeof r->hash));
        out->emptied = tz_stmt_int(s, 4) != 0;
        out->reoffer = tz_stmt_int(s, 5) != 0;
    }
    tz_stmt_reset(s);
    return rc;
}

static bool is_good(enum tz_outcome outcome)
{
    return outcome == TZ_OUT_APPLIED || outcome == TZ_OUT_SUPERSEDED || outcome == TZ_OUT_UNDER_REVIEW;
}

static int take_result(struct tz_office *o, const struct tz_signed_result *raw, struct tz_arena *a,
                       struct tz_results_taken *taken, struct tz_err *err)
{
    struct tz_result r;
    struct held h = {0};
    int rc = tz_msg_read_result(raw->result, a, &r, err);
    if (rc)
        return rc;
    rc = held_get(o, &r, &h, err);
    if (rc < 0)
        return rc;
    if (rc == 0 || h.incarnation != r.incarnation) /* of an earlier incarnation, or of the copy we were made from */
        return 0;
    if (!h.same_bytes) { /* of the copy's save under our number: not ours to take, and no reason to lose the others */
        tz_log(TZ_LOG_WARN, "office", "result of other bytes", "seq=%llu outcome=%d", (unsigned long long)r.seq,
               (int)r.outcome);
        return 0;
    }
    if (r.ver > taken->ver)
        taken->ver = r.ver;
    if ((is_final(h.outcome) && !h.reoffer) || r.outcome == TZ_OUT_NONE)
        return 0;
    taken->handed_back += h.reoffer;
    taken->forked = taken->forked || (r.outcome == TZ_OUT_HELD && r.code == TZ_E_FORKED);
    taken->applied += is_good(r.outcome) && r.outcome != TZ_OUT_UNDER_REVIEW && !h.reoffer;
    taken->reviewed += r.outcome == TZ_OUT_UNDER_REVIEW && !h.reoffer;
    rc = store_result(o, raw, &r, h.nops, !h.emptied, err);
    if (!rc)
        rc = follow(o, &r, h.nops, err);
    if (!rc && is_final(r.outcome))
        rc = tz_wipe_settled(o, err);
    bool nothing_happened = r.outcome == TZ_OUT_REFUSED || r.outcome == TZ_OUT_WITHDRAWN;
    return rc || !nothing_happened ? rc : tz_withdrawal_undo(o, r.seq, err);
}

int tz_office_results(struct tz_office *o, const struct tz_signed_result *r, size_t n, struct tz_results_taken *out,
                      struct tz_err *err)
{
    struct tz_results_taken taken = {0};
    int rc = tz_office_begin(o, err);
    if (rc)
        return rc;
    struct tz_arena a;
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    for (size_t i = 0; i < n && !rc; i++) {
        tz_arena_reset(&a);
        rc = take_result(o, &r[i], &a, &taken, err);
    }
    tz_arena_deinit(&a);
    rc = tz_office_end(o, rc, err);
    if (!rc && out)
        *out = taken;
    return rc;
}

int tz_outbox_settle(struct tz_office *o, tz_ver checkpoint, tz_ver until, struct tz_err *err)
{
    for (;;) { /* one at a time: leaving runs statements of its own */
        struct tz_stmt *s =
            tz_office_sql(o, OS_BOX_REACHED,
                          "SELECT seq FROM outbox WHERE in_overlay = 1 AND outcome IN (1, 2, 6) AND ver <= ?"
                          " AND reoffer = 0 ORDER BY seq LIMIT 1",
                          err);
        if (!s)
            return tz_office_code(err);
        tz_stmt_bind_int(s, 1, (int64_t)checkpoint);
        int rc = tz_stmt_step(s, err);
        uint64_t seq = rc == 1 ? (uint64_t)tz_stmt_int(s, 0) : 0;
        tz_stmt_reset(s);
        if (rc != 1)
            return rc;
        rc = tz_overlay_leave(o, seq, -1, until, err);
        if (!rc)
            rc = tz_wipe_settled(o, err);
        if (rc)
            return rc;
    }
}

/* ---- telling ---- */

/** Took effect, but for ops of an import that were refused alone, and nobody has said that he knows. */
#define PARTLY "outcome IN (1, 2, 6) AND n_refused > 0 AND withdrawn_by = 0"

static int count_open(void *ctx, const struct tz_row *row)
{
    (void)row;
    ++*(uint64_t *)ctx;
    return 1;
}

static int count_records(struct tz_office *o, struct tz_office_status *out, struct tz_err *err)
{
    for (size_t i = 0; i < o->cat->ntypes; i++) {
        int64_t n = tz_replica_count(o->rep, &o->cat->types[i]);
        if (n < 0)
            return tz_err_set(err, (int)n, o->cat->types[i].name, NULL, NULL, NULL);
        out->rows += (uint64_t)n;
    }
    const struct tz_type *ct = tz_catalogue_type(o->cat, "case");
    const struct tz_field *state = ct ? tz_type_field(ct, "state") : NULL;
    return state ? tz_replica_find(o->rep, state, ct, tz_value_text("open"), count_open, &out->open_cases, err) : 0;
}

int tz_office_status(struct tz_office *o, struct tz_office_status *out, struct tz_err *err)
{
    memset(out, 0, sizeof *out);
    int rc = tz_office_load(o, err);
    if (rc)
        return rc;
    out->last_seq = o->st.last_seq;
    out->checkpoint = o->st.checkpoint;
    out->filling = o->st.filling;
    out->last_sync_ms = o->st.last_sync_ms;
    out->offset_ms = o->st.offset_ms;
    struct tz_stmt *s = tz_office_sql(o, OS_BOX_STATUS,
                                      "SELECT count(*) FILTER (WHERE outcome = 0),"
                                      " coalesce(sum(nops) FILTER (WHERE outcome = 0 AND withdrawn_by = 0), 0),"
                                      " count(*) FILTER (WHERE outcome = 3 AND withdrawn_by = 0),"
                                      " count(*) FILTER (WHERE outcome = 4 AND withdrawn_by = 0),"
                                      " count(*) FILTER (WHERE outcome = 5 AND withdrawn_by = 0),"
                                      " count(*) FILTER (WHERE " PARTLY "),"
                                      " coalesce(sum(n_refused) FILTER (WHERE " PARTLY "), 0),"
                                      " coalesce(min(seq) FILTER (WHERE " PARTLY "), 0),"
                                      " (SELECT count(*) FROM set_aside WHERE code <> " TZ_REPAIRED_CODE "),"
                                      " (SELECT count(*) FROM lost_row),"
                                      " NOT EXISTS (SELECT 1 FROM grant_area) FROM outbox",
                                      err);
    if (!s)
        return tz_office_code(err);
    rc = tz_stmt_step(s, err);
    if (rc == 1) {
        out->unsent_changesets = (uint64_t)tz_stmt_int(s, 0);
        out->unsent_ops = (uint64_t)tz_stmt_int(s, 1);
        out->refused_changesets = (uint64_t)tz_stmt_int(s, 2);
        out->waiting_changesets = (uint64_t)tz_stmt_int(s, 3);
        out->held_changesets = (uint64_t)tz_stmt_int(s, 4);
        out->partly_changesets = (uint64_t)tz_stmt_int(s, 5);
        out->partly_ops = (uint64_t)tz_stmt_int(s, 6);
        out->partly_seq = (uint64_t)tz_stmt_int(s, 7);
        out->set_aside = (uint64_t)tz_stmt_int(s, 8);
        out->lost_rows = (uint64_t)tz_stmt_int(s, 9);
        out->no_areas = o->st.welcomed && tz_stmt_int(s, 10) != 0;
    }
    tz_stmt_reset(s);
    if (rc >= 0)
        rc = tz_lost_saves(o, &out->lost_saves, &out->lost_words, err);
    struct tz_audit_mark mark = {0};
    rc = rc < 0 ? rc : tz_audit_mark(o, &mark, err);
    out->audit_changed = mark.changed;
    out->audit_n = mark.n;
    out->audit_changed_ms = mark.since_ms;
    return rc < 0 ? rc : count_records(o, out, err);
}

int tz_office_balance(struct tz_office *o, struct tz_office_balance *out, struct tz_err *err)
{
    memset(out, 0, sizeof *out);
    struct tz_stmt *s =
        tz_office_sql(o, OS_BOX_BALANCE,
                      "SELECT sum(nops), sum(nops) FILTER (WHERE outcome = 0 AND withdrawn_by <> seq),"
                      " sum(nops) FILTER (WHERE undone), count(*) FILTER (WHERE undone),"
                      " sum(n_applied) FILTER (WHERE NOT undone), sum(n_superseded) FILTER (WHERE NOT undone),"
                      " sum(n_refused) FILTER (WHERE NOT undone), sum(n_waiting) FILTER (WHERE NOT undone),"
                      " sum(n_held) FILTER (WHERE NOT undone), sum(n_under_review) FILTER (WHERE NOT undone),"
                      " sum(n_withdrawn) FILTER (WHERE NOT undone)"
                      " FROM (SELECT *, reoffer <> 0 OR " TZ_ANSWER_LOST " AS undone FROM outbox b)",
                      err);
    if (!s)
        return tz_office_code(err);
    int rc = tz_stmt_step(s, err);
    uint64_t *const field[] = {&out->made,    &out->unsent,       &out->undone,   &out->undone_saves,
                               &out->applied, &out->superseded,   &out->refused,  &out->waiting,
                               &out->held,    &out->under_review, &out->withdrawn};
    for (size_t i = 0; rc == 1 && i < sizeof field / sizeof *field; i++)
        *field[i] = (uint64_t)tz_stmt_int(s, (int)i);
    tz_stmt_reset(s);
    int64_t lost = 0;
    if (rc >= 0)
        rc = tz_db_query_int(o->db, "SELECT coalesce(sum(nops), 0) FROM lost_seq", &lost, err);
    out->lost = (uint64_t)lost;
    out->made += out->lost;
    return rc < 0 ? rc : 0;
}

/** The record's own words: those of the op, else those on the screen. */
static const char *title_of(struct tz_office *o, const struct tz_type *t, const struct tz_op *op, struct tz_arena *a)
{
    struct tz_err ignored = {0};
    struct tz_row *row = tz_arena_alloc(a, sizeof *row);
    if (!row || t->title_field < 0)
        return "";
    const struct tz_value *v = &row->rec.v[t->title_field];
    bool said = !tz_record_decode(t, op->values, a, &row->rec, &ignored) && v->kind == TZ_V_TEXT;
    if (!said && (tz_replica_get(o->rep, t, op->id, a, row, &ignored) != 1 || v->kind != TZ_V_TEXT))
        return "";
    const char *title = tz_arena_dup(a, v->p, v->n);
    return title ? title : "";
}

static int fill_refused(struct tz_office *o, struct tz_bytes raw, const struct tz_result *r, struct tz_arena *a,
                        struct tz_outbox_entry *e, struct tz_err *err)
{
    struct tz_changeset cs;
    if (raw.n == 0) /* its words were wiped */
        return 0;
    int rc = tz_msg_read_changeset(raw, a, &cs, err);
    struct tz_refused_op *v = rc ? NULL : tz_arena_calloc(a, r->nops + 1, sizeof *v);
    if (!v)
        return rc ? rc : tz_office_nomem(err);
    for (size_t i = 0; i < r->nops && i < cs.nops; i++) {
        const struct tz_op_result *why = &r->ops[i];
        if (why->outcome != TZ_OUT_REFUSED || why->code == 0)
            continue;
        struct tz_refused_op *x = &v[e->nrefused++];
        x->type = tz_catalogue_type_id(o->cat, cs.ops[i].type);
        x->id = cs.ops[i].id;
        x->title = x->type ? title_of(o, x->type, &cs.ops[i], a) : "";
        x->code = why->code;
        x->nargs = why->nargs;
        memcpy(x->args, why->args, sizeof x->args);
    }
    e->refused = v;
    return 0;
}

/** Why: the whole's code and arguments, or those of the first op that was refused alone; and each such op. */
static int fill_reason(struct tz_office *o, struct tz_bytes raw, struct tz_bytes result, struct tz_arena *a,
                       struct tz_outbox_entry *e, struct tz_err *err)
{
    struct tz_result r;
    int rc = tz_msg_read_result(result, a, &r, err);
    if (!rc)
        rc = fill_refused(o, raw, &r, a, e, err);
    if (rc)
        return rc;
    const struct tz_refused_op *first = r.code == 0 && e->nrefused ? e->refused : NULL;
    e->code = first ? first->code : r.code;
    e->nargs = first ? first->nargs : r.nargs;
    for (size_t i = 0; i < e->nargs; i++)
        e->args[i] = first ? first->args[i] : r.args[i];
    return 0;
}

int tz_office_outbox_each(struct tz_office *o, bool attention_only,
                          int (*cb)(void *ctx, const struct tz_outbox_entry *e), void *ctx, struct tz_err *err)
{
    struct tz_stmt s = {0}; /* of its own: the callback may use the office */
    struct tz_arena a;
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    int rc = tz_db_prepare(o->db, &s,
                           "SELECT seq, outcome, blocked_by, saved_ms, nops, raw, result FROM outbox WHERE ?1 = 0 OR"
                           " (withdrawn_by = 0 AND outcome IN (3, 4, 5)) OR (" PARTLY ") ORDER BY seq",
                           err);
    if (!rc)
        tz_stmt_bind_int(&s, 1, attention_only);
    while (!rc && (rc = tz_stmt_step(&s, err)) == 1) {
        tz_arena_reset(&a);
        struct tz_outbox_entry e = {.seq = (uint64_t)tz_stmt_int(&s, 0),
                                    .outcome = (enum tz_outcome)tz_stmt_int(&s, 1),
                                    .blocked_by = (uint64_t)tz_stmt_int(&s, 2),
                                    .saved_ms = tz_stmt_int(&s, 3),
                                    .nops = (size_t)tz_stmt_int(&s, 4)};
        rc = tz_stmt_is_null(&s, 6) ? 0 : fill_reason(o, tz_stmt_blob(&s, 5), tz_stmt_blob(&s, 6), &a, &e, err);
        if (rc)
            break;
        int go = cb(ctx, &e);
        if (go != 1) {
            rc = go;
            break;
        }
    }
    tz_stmt_finalize(&s);
    tz_arena_deinit(&a);
    return rc;
}
