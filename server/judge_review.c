/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Edits that arrive when the right to make them has gone: the record was moved, the device's area changed, its grant
 * ended, the person has another role. They are not refused; their words wait in a case for a supervisor of where the
 * record lies now.
 *
 * Invariants
 *  1. Whether an op is late follows from its bytes and from what was so up to the version its author had seen: who had
 *     which grant then, where the record was then. Nothing of today's row, of its cases or of its children has a say,
 *     so the answer tells nothing that a foreign row would not tell.
 *  2. The answer is the outcome alone: no case id, and a version is taken whatever the edit says, also when that is
 *     what stands already.
 *  3. A record that its author never could see stays unknown, byte for byte.
 *  4. What was to be made stays with its author's later words about it, in one case (late_new knows it).
 */
#include "case_int.h"
#include "event_rule.h"
#include "planted.h"
#include "set.h"

#include <string.h>

/* ---- who could do what ---- */

int tz_late_author(struct tz_judge *j)
{
    struct tz_device d;
    if (j->past_known)
        return 0;
    int rc = tz_store_device_by_number(j->s, j->edit.device, &d, j->err);
    if (rc == 1)
        rc = tz_grant_at(j->s, &d, j->edit.user, tz_judge_checkpoint(j), j->received.ms, &j->past, &j->past_until,
                         j->err);
    if (TZ_PLANTED(LATE_REFUSED))
        j->past = (struct tz_rights){0};
    j->past_known = rc >= 0;
    return rc < 0 ? rc : 0;
}

/** Refusals that a right which is gone may explain. */
static bool for_want_of_rights(int code)
{
    switch (code) {
    case TZ_E_UNKNOWN_RECORD:
    case TZ_E_AREA:
    case TZ_E_NO_RIGHT_FIELD:
    case TZ_E_NO_RIGHT_TYPE:
    case TZ_E_REF:
    case TZ_E_USER_DISABLED:
        return true;
    default:
        return false;
    }
}

/** One op under a late look. */
struct late {
    struct tz_judge *j;
    const struct tz_op *op;
    const struct tz_type *t;
    struct tz_rights today;
    tz_ver at;           /* what its author had seen */
    struct tz_row *row;  /* as it is today, the survivor when it was merged; only what is to be made: a ghost */
    struct tz_area then; /* where the record was */
    bool fresh;          /* it does not exist but in a case */
    bool lost;           /* a right is gone: without that the refusal has another reason */
};

static bool same_rights(const struct tz_rights *x, const struct tz_rights *y)
{
    return x->role == y->role && x->city == y->city && tz_area_eq(&x->area, &y->area);
}

static bool covers(const struct tz_rights *r, const struct tz_area *area)
{
    return r->role && (r->city || tz_area_covers(&r->area, area));
}

/** Where the record was when the author saw it: his own he had seen since he made it. 1, 0, negative. */
static int seen_area(const struct late *l, const struct tz_row *row, struct tz_area *out)
{
    struct tz_commit born = tz_judge_commit_of(l->j, row->born);
    bool own = born.device == l->j->edit.device && tz_id_device(row->id) == born.device;
    return tz_area_at(l->j->s, row, own && row->born > l->at ? row->born : l->at, out, l->j->err);
}

/** Is the record one that this device was to make, and that waits in a case? 1, 0, negative. */
static int waits(struct late *l, const struct tz_type *t, struct tz_id id)
{
    struct tz_stmt *st = tz_store_sql(l->j->s, TZ_SQL_LATE_NEW_GET, l->j->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, t->id);
    tz_stmt_bind_id(st, 2, &id);
    int rc = tz_stmt_step(st, l->j->err);
    bool his = rc == 1 && (uint32_t)tz_stmt_int(st, 0) == l->j->edit.device;
    l->lost = l->lost || his; /* it is late like what made it */
    tz_stmt_reset(st);
    return rc < 0 ? rc : his;
}

static int visible_here(struct late *l, const struct tz_type *t, struct tz_id id)
{
    struct tz_row *row = tz_arena_alloc(l->j->a, sizeof *row);
    struct tz_area then;
    if (!row)
        return TZ_E_NOMEM;
    int rc = tz_replica_get(l->j->s->rep, t, id, l->j->a, row, l->j->err);
    if (rc <= 0)
        return rc < 0 ? rc : waits(l, t, id);
    if (row->area.district[0] == '\0' || covers(&l->today, &row->area))
        return 1;
    l->lost = true;
    rc = seen_area(l, row, &then);
    return rc == 1 ? then.district[0] == '\0' || covers(&l->j->past, &then) : rc;
}

/** Could the author name the record? 1, 0, negative. In memory of its own: a list may name a thousand. */
static int visible(struct late *l, const struct tz_type *t, struct tz_id id)
{
    struct tz_arena *const outer = l->j->a;
    struct tz_arena a;
    tz_arena_init(&a, 8 * 1024 * 1024);
    l->j->a = &a;
    int rc = tz_rows_code(&a, visible_here(l, t, id));
    l->j->a = outer;
    tz_arena_deinit(&a);
    return rc;
}

/** References that the author could not have made. 0 good, 1 such a one, negative. */
static int check_refs(struct late *l, const struct tz_record *rec, const bool *names)
{
    for (size_t i = 0; i < rec->type->nfields; i++) {
        const struct tz_field *f = &rec->type->fields[i];
        bool single = f->ftype == TZ_FT_REF || f->ftype == TZ_FT_REF_ANY;
        if (!names[i] || rec->v[i].kind == TZ_V_NULL || (!single && f->ftype != TZ_FT_REFS))
            continue;
        const struct tz_type *t = single ? tz_rows_ref_type(l->j->s->cat, rec, f) : f->ref;
        size_t step = single ? TZ_ID_BYTES : TZ_ID_HEX + 3;
        for (size_t at = single ? 0 : 2; t && at + (single ? TZ_ID_BYTES : TZ_ID_HEX) <= rec->v[i].n; at += step) {
            char hex[TZ_ID_HEX + 1] = "";
            struct tz_id id;
            memcpy(single ? (void *)id.b : (void *)hex, rec->v[i].p + at, single ? TZ_ID_BYTES : TZ_ID_HEX);
            if (!single && tz_id_parse(hex, &id))
                return 1;
            int rc = visible(l, t, id);
            if (rc != 1)
                return rc < 0 ? rc : 1;
        }
        if (!t)
            return 1;
    }
    return 0;
}

/** The place that the named values give the record, if they give it one, was the author's. */
static bool place_was_his(const struct late *l, const struct tz_record *in, const bool *names)
{
    int d = l->t->area == TZ_AREA_OWN ? l->t->district_field : -1;
    int s = l->t->area == TZ_AREA_OWN ? l->t->street_field : -1;
    struct tz_area to = l->then;
    if ((d < 0 || !names[d]) && (s < 0 || !names[s]))
        return true;
    if (d >= 0 && names[d]) {
        memset(&to, 0, sizeof to);
        if (in->v[d].kind == TZ_V_TEXT && in->v[d].n == TZ_DISTRICT_BYTES - 1)
            memcpy(to.district, in->v[d].p, in->v[d].n);
    }
    if (s >= 0 && names[s] && in->v[s].kind == TZ_V_TEXT && in->v[s].n == TZ_STREET_BYTES - 1) {
        if (to.district[0] == '\0')
            memcpy(to.district, in->v[s].p, TZ_DISTRICT_BYTES - 1);
        memcpy(to.street, in->v[s].p, in->v[s].n);
    }
    return covers(&l->j->past, &to);
}

/* ---- the record ---- */

/** A record that stands only in a case, where that lies. 0, negative. */
static int ghost(struct late *l, const struct tz_area *area)
{
    l->row = tz_arena_calloc(l->j->a, 1, sizeof *l->row);
    if (!l->row)
        return TZ_E_NOMEM;
    tz_record_init(&l->row->rec, l->t);
    l->row->id = l->op->id;
    l->row->area = *area;
    l->fresh = true;
    return 0;
}

/** The area of the case about the record @id of type @t that is to be made. 1, 0, negative. */
static int waiting_area(struct late *l, const struct tz_type *t, struct tz_id id, struct tz_area *out)
{
    struct tz_row row = {.id = id};
    struct tz_case_head h;
    struct tz_row *c = NULL;
    row.rec.type = t;
    int rc = tz_case_head_get(l->j, &row, TZ_CASE_NEW, &h);
    if (rc || h.generation == 0)
        return rc;
    rc = tz_case_load(l->j, h.case_id, &c);
    *out = rc ? *out : c->area;
    return rc ? rc : 1;
}

/** The record of an edit as its author saw it. 1 and l->row, 0 he could not see it, negative. */
static int load(struct late *l)
{
    struct tz_judge *j = l->j;
    struct tz_id survivor;
    struct tz_area area = {0};
    l->row = tz_arena_alloc(j->a, sizeof *l->row);
    if (!l->row)
        return TZ_E_NOMEM;
    int rc = tz_replica_get(j->s->rep, l->t, l->op->id, j->a, l->row, j->err);
    if (rc == 0) {
        rc = waits(l, l->t, l->op->id);
        rc = rc == 1 ? waiting_area(l, l->t, l->op->id, &area) : rc;
        l->then = area;
        return rc == 1 ? (rc = ghost(l, &area)) ? rc : 1 : rc;
    }
    if (rc == 1)
        rc = seen_area(l, l->row, &l->then);
    int waited = rc == 0 ? waits(l, l->t, l->op->id) : 0; /* made since, as he said */
    if (waited == 1)
        l->then = l->row->area;
    if (rc != 1 && waited != 1)
        return rc < 0 ? rc : waited;
    if (waited != 1 && !covers(&j->past, &l->then))
        return 0;
    l->lost = l->lost || !covers(&l->today, &l->row->area);
    rc = l->row->deleted ? tz_alias_get(j->s, l->t, l->op->id, &survivor, j->err) : 0;
    return rc == 1 ? tz_replica_get(j->s->rep, l->t, survivor, j->a, l->row, j->err) : rc < 0 ? rc : 1;
}

/* ---- kinds ---- */

/** Each: 1 the words are in a case, 0 the author could not have done it, negative. */

static int late_create(struct late *l)
{
    struct tz_judge *j = l->j;
    struct tz_record *in = tz_arena_calloc(j->a, 1, sizeof *in);
    struct tz_area area = {0};
    struct tz_id parent;
    bool names[TZ_FIELDS_MAX];
    if (!in)
        return TZ_E_NOMEM;
    if (tz_id_device(l->op->id) != j->edit.device || (l->op->kind == TZ_OP_APPEND) != l->t->append)
        return 0;
    int rc = tz_judge_values(j, l->op, l->t, in, names);
    struct tz_record said = *in; /* without the defaults: a later catalogue may have others */
    if (!rc)
        rc = tz_judge_new_rights(j, l->t, in, names);
    if (!rc && l->t->nsteps && !tz_event_may_open(l->t, j->role))
        return 0;
    if (!rc)
        rc = tz_judge_size(j, in);
    if (!rc)
        rc = check_refs(l, in, names);
    if (rc)
        return rc < 0 ? rc : 0;
    const struct tz_field *up = l->t->area == TZ_AREA_PARENT ? &l->t->fields[l->t->area_field] : NULL;
    rc = tz_rows_area(j->s, in, j->a, &area, j->err);
    if (rc == 0 && up && in->v[up->index].kind == TZ_V_BLOB) {
        memcpy(parent.b, in->v[up->index].p, TZ_ID_BYTES);
        rc = waiting_area(l, tz_rows_ref_type(j->s->cat, in, up), parent, &area);
    }
    if (rc != 1)
        return rc;
    l->then = area;
    if (!up && !covers(&j->past, &area))
        return 0;
    rc = tz_judge_district_known(j, &area);
    if (rc != 1)
        return rc;
    if (!l->lost)
        return 0;
    rc = ghost(l, &area);
    struct tz_stmt *st = rc ? NULL : tz_store_sql(j->s, TZ_SQL_LATE_NEW_PUT, j->err);
    if (!st)
        return rc ? rc : TZ_E_DB;
    tz_stmt_bind_int(st, 1, l->t->id);
    tz_stmt_bind_id(st, 2, &l->op->id);
    tz_stmt_bind_int(st, 3, j->edit.device);
    rc = tz_stmt_run(st, j->err);
    if (!rc)
        rc = tz_case_late_new(j, l->row, &said, names);
    return rc ? rc : 1;
}

static int put_words(struct late *l, const struct tz_record *in, const bool *names)
{
    if (!l->lost)
        return 0;
    int rc = l->fresh ? tz_case_late_new(l->j, l->row, in, names) : tz_case_late(l->j, l->row, in, names, false);
    return rc ? rc : 1;
}

static int late_set(struct late *l)
{
    struct tz_judge *j = l->j;
    struct tz_record *in = tz_arena_calloc(j->a, 1, sizeof *in);
    bool names[TZ_FIELDS_MAX];
    if (!in)
        return TZ_E_NOMEM;
    int rc = l->t->append || l->t->local ? 1 : 0;
    if (!rc)
        rc = tz_judge_values(j, l->op, l->t, in, names);
    if (!rc)
        rc = tz_judge_set_rights(j, l->row, in, names);
    if (!rc && !place_was_his(l, in, names))
        rc = 1;
    if (!rc)
        rc = check_refs(l, in, names);
    return rc ? (rc < 0 ? rc : 0) : put_words(l, in, names);
}

/** The set as it would be: nobody can decide about elements. */
static int late_elements(struct late *l)
{
    struct tz_judge *j = l->j;
    const struct tz_field *f = NULL;
    bool names[TZ_FIELDS_MAX] = {false};
    int rc = l->t->append || l->t->local ? 1 : tz_judge_elements_rights(j, l->op, l->row, &f);
    if (rc)
        return rc < 0 ? rc : 0;
    struct tz_record *in = tz_arena_dup(j->a, &l->row->rec, sizeof *in);
    if (!in)
        return TZ_E_NOMEM;
    names[f->index] = true;
    rc = tz_set_put(l->row->rec.v[f->index], l->op->elements, l->op->nelements, l->op->kind == TZ_OP_ADD, j->a,
                    &in->v[f->index]);
    if (rc == TZ_E_LIMIT) /* what stands there today has no say: the elements alone */
        rc = tz_set_put(tz_value_null(), l->op->elements, l->op->nelements, true, j->a, &in->v[f->index]);
    if (!rc && l->op->kind == TZ_OP_ADD) {
        struct tz_record *added = tz_arena_calloc(j->a, 1, sizeof *added);
        if (!added)
            return TZ_E_NOMEM;
        tz_record_init(added, l->t);
        rc = tz_set_put(tz_value_null(), l->op->elements, l->op->nelements, true, j->a, &added->v[f->index]);
        rc = rc ? rc : check_refs(l, added, names);
    }
    return rc ? (rc < 0 ? rc : 0) : put_words(l, in, names);
}

/** A record that is only to be made need not be: its case closes. */
static int never_mind(struct late *l)
{
    struct tz_case_head h;
    struct tz_row *c = NULL;
    int rc = tz_case_head_get(l->j, l->row, TZ_CASE_NEW, &h);
    if (!rc && h.open)
        rc = tz_case_load(l->j, h.case_id, &c);
    if (!rc && c)
        rc = tz_case_close(l->j, l->row, c, "gone");
    return rc ? rc : 1;
}

static int late_life(struct late *l)
{
    bool del = l->op->kind == TZ_OP_DELETE;
    if (l->t->append || l->t->local || !(l->t->deleters & l->j->role->editor) || (l->fresh && !del) || !l->lost)
        return 0;
    int rc = l->fresh ? never_mind(l) : tz_case_late(l->j, l->row, NULL, NULL, del);
    return rc < 0 ? rc : 1;
}

/** A decision about a case that he could see then. One about a record that is to be made is no word about that, be it
 * his own: what is in its way he is told. */
static int late_decision(struct late *l)
{
    struct tz_judge *j = l->j;
    struct late of = *l;
    struct tz_op op = *l->op;
    const struct tz_row *c = l->row;
    struct tz_value target = c->rec.v[tz_case_field(j, "target_id")->index];
    of.t = tz_rows_ref_type(j->s->cat, &c->rec, tz_case_field(j, "target_id"));
    bool supervisors = covers(&l->today, &c->area) && tz_case_late_kind(j, c) && !j->role->supervises;
    if (l->fresh || !of.t || target.n != TZ_ID_BYTES || supervisors || tz_duplicate_case(j, c) ||
        tz_late_new_case(j, c))
        return 0;
    memcpy(op.id.b, target.p, TZ_ID_BYTES);
    op.kind = l->op->field != TZ_FIELD_DELETED ? TZ_OP_SET : l->op->deleted ? TZ_OP_DELETE : TZ_OP_RESTORE;
    of.op = &op;
    int rc = load(&of);
    return rc != 1 ? rc : op.kind == TZ_OP_SET ? late_set(&of) : late_life(&of);
}

static int late_known(struct late *l)
{
    enum tz_op_kind k = l->op->kind;
    if (k == TZ_OP_CREATE || k == TZ_OP_APPEND)
        return late_create(l);
    if (k != TZ_OP_SET && k != TZ_OP_ADD && k != TZ_OP_REMOVE && k != TZ_OP_DELETE && k != TZ_OP_RESTORE &&
        k != TZ_OP_RESOLVE) /* steps of procedures and merges are decisions of the moment: their author hears no */
        return 0;
    int rc = load(l);
    if (rc != 1)
        return rc;
    return k == TZ_OP_SET                            ? late_set(l)
           : k == TZ_OP_RESOLVE                      ? late_decision(l)
           : k == TZ_OP_DELETE || k == TZ_OP_RESTORE ? late_life(l)
                                                     : late_elements(l);
}

int tz_late_op(struct tz_judge *j, const struct tz_op *op)
{
    const struct tz_op_result refusal = j->res;
    tz_ver base = op->base_ver <= j->s->group_head ? tz_lost_floor(j->s, op->base_ver) : 0;
    struct late l = {.j = j,
                     .op = op,
                     .t = tz_catalogue_type_id(j->s->cat, op->type),
                     .today = {j->role, j->area, j->city},
                     .at = tz_judge_checkpoint(j)};
    if (!l.t || !for_want_of_rights(refusal.code))
        return 0;
    int rc = tz_late_author(j);
    if (rc || !j->past.role)
        return rc;
    l.at = base > l.at ? base : l.at; /* while a first sync fills, rows are shown before any checkpoint */
    l.at = l.at < j->past_until ? l.at : j->past_until;
    j->role = j->past.role;
    j->area = j->past.area;
    j->city = j->past.city;
    j->late = true;
    j->target_type = NULL;
    l.lost = !same_rights(&l.today, &j->past);
    rc = late_known(&l);
    j->late = false;
    j->role = l.today.role;
    j->area = l.today.area;
    j->city = l.today.city;
    j->res = refusal;
    j->wrote = j->wrote || rc == 1;
    if (rc == 1)
        j->res = (struct tz_op_result){.outcome = TZ_OUT_UNDER_REVIEW, .code = TZ_E_LATE_SCOPE, .cases = j->case_ids};
    return rc;
}

/* ---- the supervisor's word ---- */

bool tz_late_new_case(const struct tz_judge *j, const struct tz_row *c)
{
    return tz_value_is_text(c->rec.v[tz_case_field(j, "subject")->index], TZ_CASE_NEW);
}

/** The record as its author said it. 0, 1 refused, negative. */
static int make(struct tz_judge *j, const struct tz_op *op, const struct tz_row *c, struct tz_row *row)
{
    const struct tz_type *t = row->rec.type;
    bool names[TZ_FIELDS_MAX];
    struct tz_stamps none;
    j->late = true; /* the values as they were said */
    int rc = tz_judge_values(j, op, t, &row->rec, names);
    j->late = false;
    if (!rc && !tz_case_has_new(j, c, &row->rec, names)) /* another one is made by hand */
        rc = (tz_judge_refuse(j, TZ_E_BAD_OP, "case", NULL), 1);
    if (!rc)
        rc = tz_merge_redirect(j, &row->rec, names);
    for (size_t i = 0; i < t->nfields && !rc; i++)
        if (row->rec.v[i].kind == TZ_V_NULL)
            row->rec.v[i] = t->fields[i].dflt;
    if (!rc)
        rc = tz_judge_size(j, &row->rec);
    if (!rc)
        rc = tz_judge_refs(j, t, &row->rec, names);
    if (!rc)
        rc = tz_judge_area(j, row);
    if (rc)
        return rc;
    struct tz_row *old = tz_arena_alloc(j->a, sizeof *old);
    int exists = old ? tz_replica_get(j->s->rep, t, row->id, j->a, old, j->err) : TZ_E_NOMEM;
    if (exists)
        return exists < 0 ? exists : (tz_judge_refuse(j, TZ_E_EXISTS, NULL, NULL), 1);
    row->born = j->edit.ver;
    tz_judge_writes(j, row);
    if (t->nsteps) { /* its number and first step come with it */
        rc = tz_judge_opening(j, row, true);
        return rc ? rc : j->res.outcome == TZ_OUT_REFUSED;
    }
    tz_stamps_init(&none, j->a);
    return tz_judge_put(j, row, &none);
}

int tz_late_resolve(struct tz_judge *j, const struct tz_op *op, struct tz_row *c)
{
    const struct tz_field *f = tz_case_field(j, "target_id");
    struct tz_row *row = tz_arena_calloc(j->a, 1, sizeof *row);
    if (!row)
        return TZ_E_NOMEM;
    row->rec.type = tz_rows_ref_type(j->s->cat, &c->rec, f);
    if (!row->rec.type || c->rec.v[f->index].n != TZ_ID_BYTES || !tz_judge_in_area(j, &c->area))
        return tz_judge_refuse(j, TZ_E_UNKNOWN_RECORD, NULL, NULL);
    if (!j->role->supervises)
        return tz_judge_refuse(j, TZ_E_NO_RIGHT_TYPE, "case", NULL);
    if (op->generation != (uint32_t)c->rec.v[tz_case_field(j, "generation")->index].i ||
        tz_value_is_text(c->rec.v[tz_case_field(j, "state")->index], "closed"))
        return tz_judge_refuse(j, TZ_E_CASE_STALE, NULL, NULL);
    memcpy(row->id.b, c->rec.v[f->index].p, TZ_ID_BYTES);
    bool yes = op->choice != TZ_CHOICE_MINE;
    int rc = yes ? make(j, op, c, row) : 0;
    if (!rc && yes) /* what it refers to may have moved since the words came in */
        tz_case_place(j, c, row);
    if (!rc)
        rc = tz_case_close(j, row, c, yes ? "theirs" : "mine");
    return rc < 0 ? rc : 0;
}
