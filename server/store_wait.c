/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What depends on what: marks of refused and waiting ops, and the look-up that makes a later own changeset wait for
 * them.
 *
 * A mark is (device, type, id, subject, seq): subject 0 when the op would have made the record, else the field, or of a
 * group its as-of field. A changeset waits for the least seq before its own whose mark it needs or writes over. Other
 * devices never wait.
 *
 * What became free is judged by the call that freed it, as far as the budget of its Push goes; device.release_after
 * says where the next call of the device, or tz_store_release, goes on: the device may never come back. Each candidate
 * is read in memory of its own, so that any number may wait.
 *
 * What this does not do: judging. See store_apply.c.
 */
#include "apply_int.h"
#include "planted.h"

#include <stdlib.h>
#include <string.h>

enum {
    RELEASE_MAX = 256,
    RELEASE_LOOKS_MAX = 4096,
    RELEASE_MARKS_MAX = 32 * 1024,
    RELEASE_BYTES_MAX = 1024 * 1024,
    CANDIDATE_BYTES = 64 * 1024 * 1024 /* as much as it had when it came */
};
enum { SEQ_BITS = 40 }; /* of a place in the backlog; above them is the incarnation */

/** Subject 0 = the record as a whole; else the field, or of a group its as-of field. */
static uint32_t subject_id(const struct tz_type *t, const struct tz_field *f)
{
    return f->group ? t->fields[t->groups[f->group - 1].as_of].id : f->id;
}

typedef int (*touch_fn)(struct apply *p, uint32_t type, struct tz_id id, uint32_t subject, void *ctx);

static bool makes_record(enum tz_op_kind k)
{
    return k == TZ_OP_CREATE || k == TZ_OP_APPEND || k == TZ_OP_RESTORE;
}

/** Every (record, subject) that an op writes. A subject may come more than once. */
static int each_write(struct apply *p, const struct tz_op *op, touch_fn fn, void *ctx)
{
    const struct tz_type *t = tz_catalogue_type_id(p->s->cat, op->type);
    struct tz_wire_iter it = {op->values};
    struct tz_wire_field w;
    int rc = makes_record(op->kind) ? fn(p, op->type, op->id, 0, ctx) : 0;
    if (t && (op->kind == TZ_OP_ADD || op->kind == TZ_OP_REMOVE)) {
        const struct tz_field *f = tz_type_field_id(t, op->field);
        return f ? fn(p, op->type, op->id, subject_id(t, f), ctx) : 0;
    }
    if (t && op->kind == TZ_OP_EVENT && t->nsteps) /* the next step builds on where this one leads */
        return fn(p, op->type, op->id, t->fields[t->state_field].id, ctx);
    if (!t || op->kind != TZ_OP_SET)
        return rc;
    while (!rc && tz_wire_next(&it, &w) == 1) {
        const struct tz_field *f = tz_type_field_id(t, w.number);
        rc = f ? fn(p, op->type, op->id, subject_id(t, f), ctx) : 0;
    }
    for (size_t i = 0; i < op->ncleared && !rc; i++) {
        const struct tz_field *f = tz_type_field_id(t, op->cleared[i]);
        rc = f ? fn(p, op->type, op->id, subject_id(t, f), ctx) : 0;
    }
    return rc;
}

/** A list of references: ["32 hex",…]. */
static int each_listed(struct apply *p, const struct tz_type *target, struct tz_value list, touch_fn fn, void *ctx)
{
    int rc = 0;
    for (size_t at = 2; at + TZ_ID_HEX <= list.n && !rc; at += TZ_ID_HEX + 3) {
        char hex[TZ_ID_HEX + 1] = "";
        struct tz_id id;
        memcpy(hex, list.p + at, TZ_ID_HEX);
        rc = tz_id_parse(hex, &id) ? 0 : fn(p, target->id, id, 0, ctx);
    }
    return rc;
}

/** Records that an ADD puts into a list of references. */
static int each_element(struct apply *p, const struct tz_op *op, const struct tz_type *t, touch_fn fn, void *ctx)
{
    const struct tz_field *f = tz_type_field_id(t, op->field);
    int rc = 0;
    for (size_t i = 0; i < op->nelements && !rc && f && f->ftype == TZ_FT_REFS; i++) {
        char hex[TZ_ID_HEX + 1] = "";
        struct tz_id id;
        if (op->elements[i].n == TZ_ID_HEX)
            memcpy(hex, op->elements[i].p, TZ_ID_HEX);
        rc = tz_id_parse(hex, &id) ? 0 : fn(p, f->ref->id, id, 0, ctx);
    }
    return rc;
}

/** Every record that an op needs to exist: itself, and what its values refer to. */
static int each_need(struct apply *p, const struct tz_op *op, touch_fn fn, void *ctx)
{
    const struct tz_type *t = tz_catalogue_type_id(p->s->cat, op->type);
    int rc = op->kind == TZ_OP_CREATE || op->kind == TZ_OP_APPEND ? 0 : fn(p, op->type, op->id, 0, ctx);
    if (!rc && t && op->kind == TZ_OP_ADD)
        rc = each_element(p, op, t, fn, ctx);
    struct tz_record *rec = t ? tz_arena_alloc(p->j->a, sizeof *rec) : NULL;
    if (rc || !rec || !op->values.n || tz_record_decode(t, op->values, p->j->a, rec, NULL))
        return rc;
    for (size_t i = 0; i < t->nfields && !rc; i++) {
        const struct tz_field *f = &t->fields[i];
        const struct tz_type *target =
            f->ftype == TZ_FT_REF || f->ftype == TZ_FT_REF_ANY ? tz_rows_ref_type(p->s->cat, rec, f) : NULL;
        struct tz_id id;
        if (f->ftype == TZ_FT_REFS && rec->v[i].kind == TZ_V_TEXT)
            rc = each_listed(p, f->ref, rec->v[i], fn, ctx);
        if (!target || rec->v[i].kind != TZ_V_BLOB || rec->v[i].n != TZ_ID_BYTES)
            continue;
        memcpy(id.b, rec->v[i].p, TZ_ID_BYTES);
        rc = fn(p, target->id, id, 0, ctx);
    }
    return rc;
}

/** What is stored under a number. */
struct judged {
    enum tz_outcome outcome; /* NONE: nothing */
    uint8_t hash[TZ_HASH_BYTES];
};

static int judged_get(struct apply *p, uint64_t seq, struct judged *out)
{
    uint32_t owner = 0;
    *out = (struct judged){TZ_OUT_NONE, {0}};
    int rc = tz_installation_owner(p->s, &p->dev, seq, &owner, p->err);
    if (rc)
        return rc;
    struct tz_stmt *st = tz_answer_stmt(p->s, p->device, owner, seq, p->err);
    if (!st)
        return TZ_E_DB;
    rc = tz_stmt_step(st, p->err);
    struct tz_bytes hash = rc == 1 ? tz_stmt_blob(st, 0) : (struct tz_bytes){0};
    if (hash.n == TZ_HASH_BYTES) {
        out->outcome = (enum tz_outcome)tz_stmt_int(st, 1);
        memcpy(out->hash, hash.p, TZ_HASH_BYTES);
    }
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

/** A look for what stands in the way. */
struct look {
    uint64_t first;  /* the least seq so far; 0 none */
    uint64_t *taken; /* ascending: what the changeset itself takes back does not count */
    size_t ntaken;
};

static bool is_taken(const struct look *l, uint64_t seq)
{
    size_t lo = 0;
    size_t hi = l->ntaken;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (l->taken[mid] < seq)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < l->ntaken && l->taken[lo] == seq;
}

/** Is (incarnation, seq) of the line of numbers that p's installation goes on? 1, 0, negative. */
static int is_own(struct apply *p, uint64_t seq, uint32_t incarnation)
{
    uint32_t owner = 0;
    int rc = tz_installation_owner(p->s, &p->dev, seq, &owner, p->err);
    return rc ? rc : owner == incarnation;
}

/** @ctx: struct look. */
static int find_blocker(struct apply *p, uint32_t type, struct tz_id id, uint32_t subject, void *ctx)
{
    struct look *l = ctx;
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_BLOCKED_GET, p->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_int(st, 2, type);
    tz_stmt_bind_id(st, 3, &id);
    tz_stmt_bind_int(st, 4, subject);
    tz_stmt_bind_int(st, 5, (int64_t)(l->first ? l->first : p->cs->seq));
    int rc = 1;
    int own = 0;
    p->budget->marks++;
    while (!own && (rc = tz_stmt_step(st, p->err)) == 1) {
        uint64_t seq = (uint64_t)tz_stmt_int(st, 0);
        own = is_taken(l, seq) ? 0 : is_own(p, seq, (uint32_t)tz_stmt_int(st, 1));
        if (own == 1)
            l->first = seq;
    }
    tz_stmt_reset(st);
    return own < 0 ? own : rc < 0 ? rc : 0;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return *x < *y ? -1 : *x > *y;
}

/** What the changeset's own withdrawals would lift: saves under their number with their very bytes. */
static int note_taken(struct apply *p, struct look *l)
{
    l->taken = tz_arena_calloc(p->a, p->cs->nops + 1, sizeof *l->taken);
    if (!l->taken)
        return TZ_E_NOMEM;
    for (size_t i = 0; i < p->cs->nops; i++) {
        const struct tz_op *op = &p->cs->ops[i];
        struct judged was;
        if (op->kind != TZ_OP_WITHDRAW || op->target_seq >= p->cs->seq)
            continue;
        int rc = judged_get(p, op->target_seq, &was);
        if (rc)
            return rc;
        if (was.outcome != TZ_OUT_NONE && tz_bytes_eq(tz_bytes_of(was.hash, TZ_HASH_BYTES), op->target_hash))
            l->taken[l->ntaken++] = op->target_seq;
    }
    qsort(l->taken, l->ntaken, sizeof *l->taken, by_number);
    return 0;
}

int tz_wait_find(struct apply *p, uint64_t *first)
{
    struct look l = {0};
    int rc = note_taken(p, &l);
    for (size_t i = 0; i < p->cs->nops && !rc; i++) {
        const struct tz_op *op = &p->cs->ops[i];
        if (op->kind == TZ_OP_WITHDRAW)
            continue;
        tz_arena_reset(p->j->a);
        rc = each_need(p, op, find_blocker, &l);
        /* A later CREATE of the same id is the mended one: it waits for nobody. */
        if (!rc && op->kind != TZ_OP_CREATE && op->kind != TZ_OP_APPEND)
            rc = each_write(p, op, find_blocker, &l);
    }
    *first = l.first;
    return rc;
}

static int mark_blocked(struct apply *p, uint32_t type, struct tz_id id, uint32_t subject, void *ctx)
{
    (void)ctx;
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_BLOCKED_PUT, p->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_int(st, 2, type);
    tz_stmt_bind_id(st, 3, &id);
    tz_stmt_bind_int(st, 4, subject);
    tz_stmt_bind_int(st, 5, p->cs->incarnation);
    tz_stmt_bind_int(st, 6, (int64_t)p->cs->seq);
    return tz_stmt_run(st, p->err);
}

/** Does the op make a record of this device that exists all the same? Then nobody waits for it: only this op did not
 * happen. Of other makers' ids nothing may show whether they exist. 1, 0, negative. */
static int made_already(struct apply *p, const struct tz_op *op)
{
    const struct tz_type *t = tz_catalogue_type_id(p->s->cat, op->type);
    struct tz_row *row = NULL;
    if (!t || (op->kind != TZ_OP_CREATE && op->kind != TZ_OP_APPEND) || tz_id_device(op->id) != p->device)
        return 0;
    tz_arena_reset(p->j->a);
    row = tz_arena_alloc(p->j->a, sizeof *row);
    return row ? tz_replica_get(p->s->rep, t, op->id, p->j->a, row, p->err) : TZ_E_NOMEM;
}

int tz_wait_mark(struct apply *p)
{
    for (size_t i = 0; i < p->cs->nops; i++) {
        enum tz_outcome o = p->ops[i].outcome;
        if (o != TZ_OUT_REFUSED && (o != TZ_OUT_WAITING || TZ_PLANTED(WAITING_BLOCKS_NOBODY)) && o != TZ_OUT_HELD)
            continue;
        int rc = made_already(p, &p->cs->ops[i]);
        if (rc == 0)
            rc = each_write(p, &p->cs->ops[i], mark_blocked, NULL);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int run_seq(struct apply *p, enum tz_sql which, uint64_t seq)
{
    uint32_t owner = 0;
    int rc = tz_installation_owner(p->s, &p->dev, seq, &owner, p->err);
    struct tz_stmt *st = rc ? NULL : tz_store_sql(p->s, which, p->err);
    if (!st)
        return rc ? rc : TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_int(st, 2, owner);
    tz_stmt_bind_int(st, 3, (int64_t)seq);
    return tz_stmt_run(st, p->err);
}

int tz_wait_mend(struct apply *p, bool *released)
{
    for (size_t i = 0; i < p->cs->nops; i++) {
        const struct tz_op *op = &p->cs->ops[i];
        if (!makes_record(op->kind) || p->ops[i].outcome == TZ_OUT_REFUSED)
            continue;
        struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_BLOCKED_MENDED, p->err);
        if (!st)
            return TZ_E_DB;
        tz_stmt_bind_int(st, 1, p->device);
        tz_stmt_bind_int(st, 2, op->type);
        tz_stmt_bind_id(st, 3, &op->id);
        tz_stmt_bind_int(st, 4, (int64_t)p->cs->seq);
        int rc = tz_stmt_run(st, p->err);
        if (rc)
            return rc;
        *released = *released || tz_db_changes(p->s->db) > 0;
    }
    return 0;
}

/* ---- withdraw ---- */

/** The waiting changeset @seq ends as withdrawn. What it said goes into the log whole: nothing was judged of it yet. */
static int end_as_withdrawn(struct apply *p, uint64_t seq, const uint8_t hash[TZ_HASH_BYTES], struct tz_results *out)
{
    struct tz_arena a;
    struct tz_signed_result one;
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_BACKLOG_RAW, p->err);
    struct apply w = {.s = p->s, .device = p->device, .received = p->received, .a = &a, .err = p->err};
    struct tz_bytes raw = {0};
    uint32_t owner = 0;
    int rc = st ? tz_installation_owner(p->s, &p->dev, seq, &owner, p->err) : TZ_E_DB;
    if (rc)
        return rc;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_int(st, 2, owner);
    tz_stmt_bind_int(st, 3, (int64_t)seq);
    tz_arena_init(&a, CANDIDATE_BYTES);
    rc = tz_stmt_step(st, p->err);
    if (rc == 1)
        rc = tz_results_copy(&a, tz_stmt_blob(st, 0), &raw);
    else if (rc == 0)
        rc = tz_err_set(p->err, TZ_E_DB_CORRUPT, "backlog", NULL, NULL, NULL);
    tz_stmt_reset(st);
    if (!rc)
        rc = tz_apply_init(&w, raw);
    if (!rc)
        rc = tz_results_whole(&w, TZ_OUT_WITHDRAWN, TZ_E_WITHDRAWN, true, &one);
    if (!rc && memcmp(w.hash, hash, TZ_HASH_BYTES) != 0)
        rc = tz_err_set(p->err, TZ_E_DB_CORRUPT, "backlog", NULL, NULL, NULL);
    if (!rc)
        rc = run_seq(p, TZ_SQL_BACKLOG_DROP, seq);
    if (!rc)
        rc = tz_apply_audit(&w);
    if (!rc)
        rc = tz_results_copy(out->a, one.result, &one.result);
    if (!rc)
        rc = tz_results_copy(out->a, one.mac, &one.mac);
    tz_arena_deinit(&a);
    return rc ? rc : tz_results_add(out, one);
}

int tz_wait_withdraw(struct apply *p, const struct tz_op *op, bool *released, struct tz_results *out)
{
    struct judged was;
    if (op->target_seq >= p->cs->seq)
        return 0; /* nothing that it could have known of */
    int rc = judged_get(p, op->target_seq, &was);
    if (rc)
        return rc;
    if (!tz_bytes_eq(tz_bytes_of(was.hash, TZ_HASH_BYTES),
                     op->target_hash)) /* a copy's save under that number; the one judged here is another */
        return tz_results_withdraw_held(p, op->target_seq, op->target_hash, out);
    if (was.outcome == TZ_OUT_WAITING)
        rc = end_as_withdrawn(p, op->target_seq, was.hash, out);
    if (!rc && !TZ_PLANTED(WITHDRAWAL_FREES_NOBODY))
        rc = run_seq(p, TZ_SQL_BLOCKED_DROP_SEQ, op->target_seq);
    *released = *released || tz_db_changes(p->s->db) > 0;
    return rc;
}

/* ---- release ---- */

/** Where a call goes on, and how much of it is left to do. */
struct release {
    int64_t after;   /* incarnation and seq; -1: nothing to do */
    bool again;      /* this pass freed something: one more from the start */
    uint64_t behind; /* what the present candidate was waiting for */
    bool recovers;   /* it was waiting for what others may hand in again */
    struct tz_release_budget *spent;
};

static int release_load(struct apply *p, struct release *r)
{
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_RELEASE_GET, p->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    int rc = tz_stmt_step(st, p->err);
    r->after = rc == 1 ? tz_stmt_int(st, 0) : -1;
    r->again = rc == 1 && tz_stmt_int(st, 1) != 0;
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

static int release_save(struct apply *p, const struct release *r)
{
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_RELEASE_PUT, p->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_int(st, 2, r->after);
    tz_stmt_bind_int(st, 3, r->again);
    return tz_stmt_run(st, p->err);
}

/** The next waiting one after r->after into @p: 1, 0 no more, negative. */
static int candidate_read(struct apply *p, struct release *r)
{
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_BACKLOG_NEXT, p->err);
    struct tz_bytes raw = {0};
    struct tz_bytes was = {0};
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_int(st, 2, r->after >> SEQ_BITS);
    tz_stmt_bind_int(st, 3, r->after & ((INT64_C(1) << SEQ_BITS) - 1));
    tz_stmt_bind_int(st, 4, TZ_OUT_WAITING);
    int rc = tz_stmt_step(st, p->err);
    if (rc == 1) {
        r->after = tz_stmt_int(st, 8) << SEQ_BITS | tz_stmt_int(st, 0);
        p->received.ms = tz_stmt_int(st, 2);
        p->offset_ms = tz_stmt_int(st, 3);
        p->effective = (tz_hlc)tz_stmt_int(st, 4);
        p->waited = true;
        r->behind = (uint64_t)tz_stmt_int(st, 5);
        r->recovers = tz_stmt_int(st, 6) != 0;
        rc = tz_results_copy(p->a, tz_stmt_blob(st, 1), &raw);
        rc = rc ? rc : tz_results_copy(p->a, tz_stmt_blob(st, 7), &was);
        rc = rc ? rc : 1;
    }
    tz_stmt_reset(st);
    if (rc != 1)
        return rc;
    rc = tz_apply_init(p, raw);
    if (!rc)
        rc = tz_reoffer_kept(p, was);
    return rc ? rc : tz_store_installation(p->s, &p->dev, p->cs->incarnation, p->err);
}

/** Out of the candidate's memory into that of the answers. */
static int hand_out(struct release *r, const struct tz_signed_result *one, struct tz_results *out)
{
    struct tz_signed_result kept;
    int rc = tz_results_copy(out->a, one->result, &kept.result);
    if (!rc)
        rc = tz_results_copy(out->a, one->mac, &kept.mac);
    r->spent->judged++;
    r->spent->bytes += one->result.n;
    return rc ? rc : tz_results_add(out, kept);
}

/** It waits on, for another save than before, or (0) for what others may hand in again: people are told. */
static int still_waiting(struct apply *p, uint64_t blocker, struct release *r, struct tz_results *out)
{
    struct tz_signed_result one;
    int rc = blocker ? tz_apply_behind(p, blocker) : tz_reoffer_behind(p);
    if (!rc)
        rc = tz_results_store(p->s, p->device, &p->res, p->a, &one, p->err);
    struct tz_stmt *st = rc ? NULL : tz_store_sql(p->s, TZ_SQL_BACKLOG_BEHIND, p->err);
    if (!st)
        return rc ? rc : TZ_E_DB;
    tz_stmt_bind_int(st, 1, (int64_t)blocker);
    tz_stmt_bind_int(st, 2, p->device);
    tz_stmt_bind_int(st, 3, p->cs->incarnation);
    tz_stmt_bind_int(st, 4, (int64_t)p->cs->seq);
    rc = tz_stmt_run(st, p->err);
    return rc ? rc : hand_out(r, &one, out);
}

static int stop_waiting(struct apply *p)
{
    int rc = run_seq(p, TZ_SQL_BACKLOG_DROP, p->cs->seq);
    return rc ? rc : run_seq(p, TZ_SQL_BLOCKED_DROP_SEQ, p->cs->seq);
}

/** Another copy's took effect meanwhile: this has its answer. */
static int answered(struct apply *p, struct release *r, const struct tz_signed_result *one, struct tz_results *out)
{
    int rc = stop_waiting(p);
    r->again = true; /* whoever waits for it goes on */
    return rc ? rc : hand_out(r, one, out);
}

/** Judge @p if nothing blocks it any more. */
static int candidate_judge(struct apply *p, struct release *r, struct tz_results *out)
{
    struct tz_results others = {.a = p->a};
    struct tz_signed_result one;
    uint64_t blocker = 0;
    int rc = tz_former_answer(p, &one);
    if (rc)
        return rc < 0 ? rc : answered(p, r, &one, out);
    rc = tz_apply_try(p, &blocker, &r->again, &others);
    bool waits = blocker || p->recovers;
    if (!rc && waits && (blocker != r->behind || p->recovers != r->recovers))
        rc = still_waiting(p, blocker, r, out);
    if (rc || waits)
        return rc;
    rc = stop_waiting(p);
    if (!rc)
        rc = tz_apply_conclude(p, &one, &r->again);
    if (!rc)
        rc = tz_former_note(p);
    if (!rc)
        rc = hand_out(r, &one, out);
    if (!rc && p->was) { /* who waited for what it made may be judged now */
        r->again = true;
        rc = tz_reoffer_wake(p->s, p->device, p->err);
    }
    for (size_t i = 0; i < others.n && !rc; i++)
        rc = hand_out(r, &others.v[i], out);
    return rc;
}

static bool release_full(const struct release *r)
{
    const struct tz_release_budget *b = r->spent;
    return b->looks >= RELEASE_LOOKS_MAX || b->marks >= RELEASE_MARKS_MAX || b->judged >= RELEASE_MAX ||
           b->bytes >= RELEASE_BYTES_MAX;
}

/** Passes in seq order, until one frees nothing more: a released CREATE may free earlier ones than itself. */
static int release_some(struct apply *p, struct release *r, struct tz_arena *scratch, struct tz_results *out)
{
    while (r->after >= 0 && !release_full(r)) {
        struct apply c = {
            .s = p->s, .device = p->device, .dev = p->dev, .budget = p->budget, .a = scratch, .err = p->err, .j = p->j};
        tz_arena_reset(scratch);
        r->spent->looks++;
        int rc = candidate_read(&c, r);
        if (rc == 1)
            rc = candidate_judge(&c, r, out);
        else if (rc == 0) {
            r->after = r->again ? 0 : -1;
            r->again = false;
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

int tz_wait_release(struct apply *p, bool fresh, struct tz_results *out)
{
    struct release r = {.spent = p->budget};
    struct tz_arena scratch;
    int rc = release_load(p, &r);
    if (rc || (r.after < 0 && !fresh))
        return rc;
    bool under_way = r.after >= 0;
    r.again = under_way && (r.again || fresh);
    if (!under_way)
        r.after = 0;
    tz_arena_init(&scratch, CANDIDATE_BYTES);
    rc = release_some(p, &r, &scratch, out);
    tz_arena_deinit(&scratch);
    if (rc)
        return rc;
    p->s->release_left = p->s->release_left || r.after >= 0;
    return under_way || r.after >= 0 ? release_save(p, &r) : 0;
}
