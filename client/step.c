/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands of a record with a procedure, and the own steps on top of it.
 *
 *   confirmed record + recorded steps ──> own steps in the overlay, in order ──> the rule: does each still fit?
 *   refused own saves that nobody has put aside ──> told beside it; a further step would wait for the first of them
 *
 * Own steps are replayed by the rule itself: it says which state each leads to, and which can not be taken any more
 * because somebody else was first. Nothing here writes.
 */
#include "step_int.h"

#include <stdlib.h>
#include <string.h>

/* ---- own ops on one record ---- */

/** Where an own op stands. */
struct place {
    uint64_t seq, op;
    enum tz_outcome outcome;
};

static int by_place(const void *a, const void *b)
{
    const struct place *x = a;
    const struct place *y = b;
    if (x->seq != y->seq)
        return x->seq < y->seq ? -1 : 1;
    return x->op < y->op ? -1 : x->op > y->op;
}

struct places {
    struct place *v;
    size_t n, cap;
    struct tz_arena *a;
};

static int place_add(struct places *p, struct place one, struct tz_err *err)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 16;
        struct place *v = tz_arena_calloc(p->a, cap, sizeof *v);
        if (!v)
            return tz_office_nomem(err);
        if (p->n)
            memcpy(v, p->v, p->n * sizeof *v);
        p->v = v;
        p->cap = cap;
    }
    p->v[p->n++] = one;
    return 0;
}

static int find_overlaid(struct tz_office *o, const struct tz_type *t, struct tz_id id, struct places *p,
                         struct tz_err *err)
{
    struct tz_stmt s = {0};
    int rc =
        tz_db_prepare(o->db, &s,
                      "SELECT t.seq, t.op, coalesce(b.outcome, 0) FROM outbox_touch t LEFT JOIN outbox b ON b.seq ="
                      " t.seq WHERE t.type = ? AND t.id = ? AND t.until IS NULL",
                      err);
    if (!rc) {
        tz_stmt_bind_int(&s, 1, t->id);
        tz_stmt_bind_id(&s, 2, &id);
    }
    while (!rc && (rc = tz_stmt_step(&s, err)) == 1)
        rc = place_add(p,
                       (struct place){(uint64_t)tz_stmt_int(&s, 0), (uint64_t)tz_stmt_int(&s, 1),
                                      (enum tz_outcome)tz_stmt_int(&s, 2)},
                       err);
    tz_stmt_finalize(&s);
    return rc;
}

/** Saves that were refused and that nobody has put aside. They are few. One whose words were wiped says nothing. */
static int find_refused(struct tz_office *o, struct places *p, struct tz_err *err)
{
    struct tz_stmt s = {0};
    int rc = tz_db_prepare(o->db, &s,
                           "SELECT seq FROM outbox WHERE outcome = 3 AND withdrawn_by = 0 AND length(raw) > 0", err);
    while (!rc && (rc = tz_stmt_step(&s, err)) == 1)
        rc = place_add(p, (struct place){(uint64_t)tz_stmt_int(&s, 0), 0, TZ_OUT_REFUSED}, err);
    tz_stmt_finalize(&s);
    return rc;
}

static int keep_refused(struct tz_office *o, const struct tz_type *t, struct tz_id id, struct places *p,
                        struct tz_err *err)
{
    struct places refused = {.a = p->a};
    int rc = find_refused(o, &refused, err);
    for (size_t i = 0; i < refused.n && !rc; i++) {
        const struct tz_changeset *cs;
        rc = tz_overlay_changeset(o, refused.v[i].seq, &cs, err);
        for (size_t k = 0; !rc && k < cs->nops; k++)
            if (cs->ops[k].kind == TZ_OP_EVENT && cs->ops[k].type == t->id && tz_id_eq(cs->ops[k].id, id))
                rc = place_add(p, (struct place){refused.v[i].seq, k, TZ_OUT_REFUSED}, err);
    }
    return rc;
}

/** Why the server refused the op, into @own. */
static int read_reason(struct tz_office *o, const struct place *p, struct tz_arena *a, struct tz_step_own *own,
                       struct tz_err *err)
{
    struct tz_stmt s = {0};
    struct tz_result r = {0};
    int rc = tz_db_prepare(o->db, &s, "SELECT result FROM outbox WHERE seq = ? AND result IS NOT NULL", err);
    if (!rc) {
        tz_stmt_bind_int(&s, 1, (int64_t)p->seq);
        rc = tz_stmt_step(&s, err);
    }
    struct tz_bytes raw = rc == 1 ? tz_stmt_blob(&s, 0) : (struct tz_bytes){0};
    raw.p = tz_arena_dup(a, raw.p, raw.n);
    tz_stmt_finalize(&s);
    if (rc != 1 || !raw.p)
        return rc < 0 ? rc : raw.p ? 0 : tz_office_nomem(err);
    rc = tz_msg_read_result(raw, a, &r, err);
    const struct tz_op_result *op = !rc && p->op < r.nops && r.ops[p->op].code ? &r.ops[p->op] : NULL;
    own->code = op ? op->code : r.code;
    own->nargs = op ? op->nargs : r.nargs;
    memcpy(own->args, op ? op->args : r.args, sizeof own->args);
    return rc;
}

/* ---- laying them on top ---- */

/** A view being made. */
struct laying {
    struct tz_office *o;
    const struct tz_type *t;
    struct tz_arena *a;
    struct tz_step_view *v;
    struct tz_err *err;
    char today[11];
    bool broken; /* one does not fit: what builds on it does not either */
};

int tz_step_author(struct tz_office *o, struct tz_id user, struct tz_event_author *out, struct tz_err *err)
{
    struct tz_author who;
    int rc = tz_check_author(o, user, &who, err);
    *out = (struct tz_event_author){.user = user, .role = who.role, .area = who.area, .city = who.city};
    return rc;
}

/** An opening that the server has not seen gets here what it will get there, but for the number. */
static int lay_opening(struct laying *l, struct tz_id user)
{
    struct tz_event_author who;
    struct tz_event_out out;
    int rc = tz_step_author(l->o, user, &who, l->err);
    if (rc == TZ_E_USER_DISABLED) {
        l->broken = true;
        return 0;
    }
    if (!rc)
        rc = tz_event_open(l->o->rep, &who, &l->v->row->rec, l->today, l->a, &out, l->err);
    if (rc)
        return rc;
    l->broken = out.code != 0;
    if (l->broken)
        return 0;
    rc = tz_trail_add(&l->v->trail, out.step->action, -1, user);
    return rc ? tz_office_nomem(l->err) : 0;
}

int tz_step_ask(const struct tz_type *t, const struct tz_op *op, struct tz_arena *a, struct tz_event_ask *out,
                struct tz_err *err)
{
    const struct tz_type *e = t->event_type;
    struct tz_record *in = tz_arena_alloc(a, sizeof *in);
    struct tz_record *note = tz_arena_alloc(a, sizeof *note);
    bool *names = tz_arena_calloc(a, TZ_FIELDS_MAX, sizeof *names);
    int rc = in && note && names ? tz_record_decode(t, op->values, a, in, err) : tz_office_nomem(err);
    if (!rc)
        rc = tz_record_decode(e, op->note, a, note, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < t->nfields; i++)
        names[i] = in->v[i].kind != TZ_V_NULL;
    out->action = op->action;
    out->expected_state = op->expected_state;
    out->expected_seq = op->expected_seq;
    out->in = in;
    out->names = names;
    out->opinion = note->v[tz_type_field(e, "opinion")->index].kind != TZ_V_NULL;
    out->evidence = tz_event_evidence(note->v[tz_type_field(e, "evidence")->index]);
    return 0;
}

static int lay_event(struct laying *l, const struct tz_op *op, struct tz_step_own *own)
{
    struct tz_event_author who;
    struct tz_event_out out = {0};
    struct tz_event_ask ask = {0};
    own->to = -1;
    if (l->broken)
        return 0;
    int rc = tz_step_author(l->o, own->user, &who, l->err);
    if (rc == TZ_E_USER_DISABLED) {
        l->broken = true;
        own->code = rc;
        return 0;
    }
    memcpy(ask.today, l->today, sizeof ask.today);
    if (!rc)
        rc = tz_step_ask(l->t, op, l->a, &ask, l->err);
    if (!rc)
        rc = tz_event_judge(l->o->rep, &who, l->v->row, &l->v->trail, &ask, l->a, &out, l->err);
    if (rc)
        return rc;
    own->fits = out.code == 0;
    l->broken = !own->fits;
    if (own->fits) {
        own->to = out.to;
        return tz_trail_add(&l->v->trail, op->action, out.from, own->user) ? tz_office_nomem(l->err) : 0;
    }
    own->code = out.code;
    own->nargs = out.nargs;
    memcpy(own->args, out.args, out.nargs * sizeof *out.args);
    return 0;
}

static int lay_one(struct laying *l, const struct place *p)
{
    const struct tz_changeset *cs;
    int rc = tz_overlay_changeset(l->o, p->seq, &cs, l->err);
    if (rc || p->op >= cs->nops)
        return rc;
    const struct tz_op *op = &cs->ops[p->op];
    struct tz_id user = cs->user;
    if (op->kind == TZ_OP_CREATE && p->outcome != TZ_OUT_REFUSED)
        return l->v->confirmed < 0 ? lay_opening(l, user) : 0;
    if (op->kind != TZ_OP_EVENT)
        return 0;
    op = tz_overlay_keep_op(op, l->a); /* the cache may make room while the rule reads */
    struct tz_step_own *own = &l->v->own[l->v->nown++];
    if (!op)
        return tz_office_nomem(l->err);
    *own = (struct tz_step_own){.seq = p->seq, .outcome = p->outcome, .user = user, .action = op->action, .to = -1};
    rc = p->outcome == TZ_OUT_REFUSED ? read_reason(l->o, p, l->a, own, l->err) : lay_event(l, op, own);
    bool stuck = p->outcome == TZ_OUT_REFUSED || p->outcome == TZ_OUT_WAITING || !own->fits;
    if (stuck && !l->v->behind)
        l->v->behind = p->seq;
    return rc;
}

int tz_step_view(struct tz_office *o, const struct tz_type *t, struct tz_id id, struct tz_arena *a,
                 struct tz_step_view *out, struct tz_err *err)
{
    struct laying l = {.o = o, .t = t, .a = a, .v = out, .err = err};
    struct places p = {.a = a};
    memset(out, 0, sizeof *out);
    out->row = tz_arena_alloc(a, sizeof *out->row);
    int rc = out->row ? tz_replica_get(o->rep, t, id, a, out->row, err) : tz_office_nomem(err);
    if (rc != 1 || out->row->deleted)
        return rc < 0 ? rc : 0;
    out->confirmed = tz_type_state(t, out->row->rec.v[t->state_field]);
    tz_clock_today(tz_office_now(o), l.today);
    rc = tz_trail_read(o->rep, t, id, a, &out->trail, err);
    out->nrecorded = out->trail.n;
    if (!rc)
        rc = find_overlaid(o, t, id, &p, err);
    if (!rc)
        rc = keep_refused(o, t, id, &p, err);
    out->own = rc ? NULL : tz_arena_calloc(a, p.n + 1, sizeof *out->own);
    if (!out->own)
        return rc ? rc : tz_office_nomem(err);
    if (p.n)
        qsort(p.v, p.n, sizeof *p.v, by_place);
    for (size_t i = 0; i < p.n && !rc; i++)
        rc = lay_one(&l, &p.v[i]);
    return rc ? rc : 1;
}

/* ---- which records ---- */

struct ids {
    struct tz_id *v;
    size_t n, cap;
    struct tz_arena *a;
};

static int id_add(struct ids *l, struct tz_id id, struct tz_err *err)
{
    for (size_t i = 0; i < l->n; i++)
        if (tz_id_eq(l->v[i], id))
            return 0;
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 16;
        struct tz_id *v = tz_arena_calloc(l->a, cap, sizeof *v);
        if (!v)
            return tz_office_nomem(err);
        if (l->n)
            memcpy(v, l->v, l->n * sizeof *v);
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = id;
    return 0;
}

int tz_step_open_ids(struct tz_office *o, const struct tz_type *t, struct tz_arena *a, struct tz_id **out, size_t *n,
                     struct tz_err *err)
{
    struct tz_stmt s = {0};
    struct places refused = {.a = a};
    struct ids l = {.a = a};
    int rc = tz_db_prepare(o->db, &s,
                           "SELECT DISTINCT id FROM outbox_touch WHERE type = ? AND until IS NULL ORDER BY id", err);
    if (!rc)
        tz_stmt_bind_int(&s, 1, t->id);
    while (!rc && (rc = tz_stmt_step(&s, err)) == 1) {
        struct tz_id id;
        rc = tz_stmt_id(&s, 0, &id) ? id_add(&l, id, err) : 0;
    }
    tz_stmt_finalize(&s);
    if (!rc)
        rc = find_refused(o, &refused, err);
    for (size_t i = 0; i < refused.n && !rc; i++) {
        const struct tz_changeset *cs;
        rc = tz_overlay_changeset(o, refused.v[i].seq, &cs, err);
        for (size_t k = 0; !rc && k < cs->nops; k++)
            if (cs->ops[k].kind == TZ_OP_EVENT && cs->ops[k].type == t->id)
                rc = id_add(&l, cs->ops[k].id, err);
    }
    *out = l.v;
    *n = l.n;
    return rc;
}
