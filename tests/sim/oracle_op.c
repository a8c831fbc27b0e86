/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle's judgement of one op: rights, references, areas, then what becomes of the record by CREATE, APPEND, SET,
 * DELETE, RESTORE and EVENT; the other kinds have files of their own. Returns the code of a refusal or 0; what changed
 * is undone by the caller when the op is refused.
 */
#include "oracle_int.h"

#include <stdlib.h>
#include <string.h>

bool ora_in_area(const struct oracle *o, const struct tz_area *a)
{
    if (o->who.city)
        return true;
    if (strcmp(o->who.area.district, a->district) != 0)
        return false;
    return o->who.area.street[0] == '\0' || strcmp(o->who.area.street, a->street) == 0;
}

static bool readable(const struct oracle *o, const struct tz_area *a)
{
    return a->district[0] == '\0' || ora_in_area(o, a);
}

const struct tz_type *ora_ref_type(const struct oracle *o, const struct tz_type *t, const struct tz_value *v,
                                   const struct tz_field *f)
{
    (void)t;
    if (f->ref)
        return f->ref;
    char name[TZ_NAME_MAX + 1] = "";
    struct tz_value n = v[f->any_type_field];
    if (n.kind != TZ_V_TEXT || n.n > TZ_NAME_MAX)
        return NULL;
    memcpy(name, n.p, n.n);
    return tz_catalogue_type(o->cat, name);
}

static bool all_digits(struct tz_value v, size_t n)
{
    if (v.n != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (v.p[i] < '0' || v.p[i] > '9')
            return false;
    return true;
}

bool ora_area_of(const struct oracle *o, const struct tz_type *t, const struct tz_value *v, struct tz_area *out)
{
    memset(out, 0, sizeof *out);
    if (t->area == TZ_AREA_CITY)
        return true;
    if (t->area == TZ_AREA_PARENT) {
        const struct tz_type *pt = ora_ref_type(o, t, v, &t->fields[t->area_field]);
        struct tz_value ref = v[t->area_field];
        struct tz_id id;
        if (!pt || ref.kind != TZ_V_BLOB)
            return false;
        memcpy(id.b, ref.p, TZ_ID_BYTES);
        const struct oracle_row *p = ora_find(o, pt, id);
        if (p)
            *out = p->area;
        return p != NULL;
    }
    const struct tz_value *d = t->district_field >= 0 ? &v[t->district_field] : NULL;
    const struct tz_value *s = t->street_field >= 0 ? &v[t->street_field] : NULL;
    if (d && d->kind == TZ_V_TEXT && !all_digits(*d, 6))
        return false;
    if (s && s->kind == TZ_V_TEXT && !all_digits(*s, 9))
        return false;
    if (d && d->kind == TZ_V_TEXT)
        memcpy(out->district, d->p, 6);
    else if (s && s->kind == TZ_V_TEXT)
        memcpy(out->district, s->p, 6);
    if (s && s->kind == TZ_V_TEXT && memcmp(s->p, out->district, 6) == 0)
        memcpy(out->street, s->p, 9);
    return true;
}

/* ---- rights ---- */

/** A field inspector may fill in anything of a record he made, until somebody changes its status. */
static bool creators_field(const struct oracle *o, const struct tz_type *t, const struct tz_field *f)
{
    const struct tz_field *status = tz_type_field(t, "status");
    return o->who.role->editor == TZ_ED_F && status && status->dflt.kind != TZ_V_NULL && f != status &&
           (f->editors & ~(unsigned)TZ_ED_S);
}

bool ora_may_edit(const struct oracle *o, const struct oracle_row *r, const struct tz_field *f)
{
    if (f->editors & o->who.role->editor)
        return true;
    const struct tz_field *status = tz_type_field(r->type, "status");
    return creators_field(o, r->type, f) && tz_id_device(r->id) == o->me.device &&
           (o->late || tz_value_eq(r->v[status->index], status->dflt));
}

/** The server's catalogue lacks it: whose right it would be, and what it would win against, nobody can say. */
bool ora_names_unknown(const struct tz_op *op, const struct tz_type *t, const struct tz_record *rec)
{
    bool unknown = rec->extra.n > 0;
    for (size_t k = 0; k < op->ncleared; k++)
        unknown = unknown || !tz_type_field_id(t, op->cleared[k]);
    return unknown;
}

int ora_take(struct oracle *o, const struct tz_op *op, const struct tz_type *t, struct tz_value *in, bool *names)
{
    struct tz_record rec;
    struct tz_err err;
    memset(names, 0, t->nfields * sizeof *names);
    if (tz_record_decode(t, op->values, &o->arena, &rec, &err))
        return TZ_E_BAD_OP;
    if (ora_names_unknown(op, t, &rec))
        return TZ_E_UNKNOWN_FIELD;
    for (size_t i = 0; i < t->nfields; i++) {
        in[i] = rec.v[i];
        names[i] = rec.v[i].kind != TZ_V_NULL;
        if (names[i] && tz_value_check(&t->fields[i], in[i], false, &err))
            return TZ_E_VALUE;
    }
    for (size_t k = 0; k < op->ncleared; k++) {
        const struct tz_field *f = tz_type_field_id(t, op->cleared[k]);
        if (names[f->index])
            return TZ_E_BAD_OP;
        names[f->index] = true;
    }
    if (!o->late)
        ora_redirect(o, t, in, names);
    return 0;
}

/** A record that takes its area from another, and that from another, at most eight times. */
int ora_check_area(struct oracle *o, const struct tz_type *t, const struct tz_value *v, struct tz_area *out)
{
    enum { UP_MAX = 8 };
    if (!ora_area_of(o, t, v, out) || !ora_in_area(o, out))
        return TZ_E_AREA;
    for (int up = 0; t->area == TZ_AREA_PARENT; up++) {
        struct tz_id id;
        const struct tz_type *pt = ora_ref_type(o, t, v, &t->fields[t->area_field]);
        if (up == UP_MAX)
            return TZ_E_LIMIT;
        memcpy(id.b, v[t->area_field].p, TZ_ID_BYTES);
        const struct oracle_row *p = pt ? ora_find(o, pt, id) : NULL;
        if (!p)
            return 0;
        t = p->type;
        v = p->v;
    }
    return 0;
}

/* ---- references ---- */

/** A checkpoint that does not exist yet was not seen. */
static tz_ver checkpoint_seen(const struct oracle *o)
{
    return o->cs->base_checkpoint <= o->head ? o->cs->base_checkpoint : 0;
}

static int check_ref(struct oracle *o, const struct tz_type *t, const struct tz_value *v, const struct tz_field *f,
                     struct tz_id id)
{
    const struct tz_type *target = ora_ref_type(o, t, v, f);
    struct oracle_row *r = target ? ora_target(o, target, id) : NULL;
    if (!r || !readable(o, &r->area))
        return TZ_E_REF;
    if (!r->deleted || f->on_delete == TZ_OD_IGNORES)
        return 0;
    if (ora_saw(o, r->life.ver, checkpoint_seen(o), o->cs->seq - 1))
        return TZ_E_REF;
    if (ora_in_area(o, &r->area)) /* nobody brings back what he may not write */
        ora_revive(o, r);
    return 0;
}

int ora_check_refs(struct oracle *o, const struct tz_type *t, const struct tz_value *v, const bool *names)
{
    for (size_t i = 0; i < t->nfields; i++) {
        const struct tz_field *f = &t->fields[i];
        if (!names[i] || v[i].kind == TZ_V_NULL || (f->ftype != TZ_FT_REF && f->ftype != TZ_FT_REF_ANY))
            continue;
        struct tz_id id;
        memcpy(id.b, v[i].p, TZ_ID_BYTES);
        int rc = check_ref(o, t, v, f, id);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- CREATE, APPEND ---- */

int ora_create_rights(const struct oracle *o, const struct tz_type *t, const struct tz_value *in, const bool *names)
{
    const struct tz_field *status = tz_type_field(t, "status");
    if (t->local || !(t->creators & o->who.role->editor))
        return TZ_E_NO_RIGHT_TYPE;
    for (size_t i = 0; i < t->nfields; i++) {
        const struct tz_field *f = &t->fields[i];
        bool fine = !names[i] || (f->editors & o->who.role->editor) || creators_field(o, t, f) ||
                    (f == status && tz_value_eq(in[i], f->dflt)) || (t->append && (f->editors & TZ_ED_S)) ||
                    t->district_field == (int)i || ora_reopens(t, i);
        if (!fine)
            return TZ_E_NO_RIGHT_FIELD;
    }
    return 0;
}

void ora_make(struct oracle *o, const struct tz_type *t, struct tz_id id, const struct tz_value *v,
              const struct tz_area *area)
{
    struct oracle_row *r = tz_arena_calloc(&o->arena, 1, sizeof *r);
    r->type = t;
    r->id = id;
    r->v = tz_arena_dup(&o->arena, v, t->nfields * sizeof *v);
    r->stamp = tz_arena_calloc(&o->arena, t->nfields, sizeof *r->stamp);
    for (size_t i = 0; i < t->nfields; i++)
        r->stamp[i].ver = o->me.ver;
    r->born = r->life.ver = o->me.ver;
    r->area = *area;
    r->journal = o->mark;
    ora_row_add(o, r);
    o->target = r;
    ora_wrote(o, r);
}

static int op_create(struct oracle *o, const struct tz_op *op, const struct tz_type *t)
{
    struct tz_value in[TZ_FIELDS_MAX];
    bool names[TZ_FIELDS_MAX];
    struct tz_area area;
    if (tz_id_device(op->id) != o->me.device)
        return TZ_E_ID_MAKER;
    if ((op->kind == TZ_OP_APPEND) != t->append)
        return TZ_E_BAD_OP;
    int rc = ora_take(o, op, t, in, names);
    rc = rc ? rc : ora_create_rights(o, t, in, names);
    for (size_t i = 0; i < t->nfields && !rc; i++) {
        const struct tz_field *f = &t->fields[i];
        if (in[i].kind == TZ_V_NULL)
            in[i] = f->dflt;
        if (in[i].kind == TZ_V_NULL && ora_required(o, t, i))
            rc = TZ_E_REQUIRED;
    }
    rc = rc ? rc : ora_check_refs(o, t, in, names);
    if (rc)
        return rc;
    rc = ora_check_area(o, t, in, &area);
    if (rc)
        return rc;
    if (ora_find(o, t, op->id) || ora_gone(o, t, op->id))
        return TZ_E_EXISTS;
    ora_make(o, t, op->id, in, &area);
    return t->nsteps ? ora_opening(o, o->rows[o->nrows - 1], false) : 0;
}

/* ---- SET ---- */

int ora_set_on_deleted(struct oracle *o, struct oracle_row *r, const struct tz_value *in, const bool *names, bool *done)
{
    bool differs = false;
    if (ora_saw(o, r->life.ver, o->base_ver, o->base_seq))
        return TZ_E_DELETED;
    for (size_t i = 0; i < r->type->nfields; i++)
        differs = differs || (names[i] && !tz_value_eq(r->v[i], in[i]));
    *done = !differs || r->life.resolved;
    if (differs && r->life.resolved) { /* somebody decided that it goes: his word stands, the edit is kept */
        struct tz_buf b;
        bool open[TZ_FIELDS_MAX];
        for (size_t i = 0; i < r->type->nfields; i++)
            open[i] = names[i] && r->type->fields[i].visibility != TZ_VIS_SECRET;
        tz_buf_init(&b, 1 << 20);
        const char *rest = ora_values(o, r->type, in, open);
        if (tz_buf_puts(&b, "_deleted=0;") || tz_buf_put(&b, rest, strlen(rest) + 1))
            abort();
        o->superseded = true;
        ora_case_life(o, r, &o->me, tz_arena_dup(&o->arena, b.p, b.len));
        tz_buf_deinit(&b);
    } else if (differs) {
        ora_revive(o, r);
    }
    return 0;
}

/** In another district there is no such street: it is cleared with the move, unless the edit says which. */
static void leave_street(struct oracle *o, struct oracle_row *r, struct tz_value district, const bool *names)
{
    struct tz_value none[TZ_FIELDS_MAX];
    bool only[TZ_FIELDS_MAX] = {false};
    int d = r->type->district_field;
    int s = r->type->street_field;
    bool superseded = o->superseded;
    if (d < 0 || s < 0 || names[s] || r->type->fields[s].required == TZ_REQ_SAVE || tz_value_eq(r->v[d], district) ||
        r->v[d].kind != TZ_V_TEXT || r->v[s].kind != TZ_V_TEXT ||
        strncmp((const char *)r->v[s].p, (const char *)r->v[d].p, 6) == 0)
        return;
    for (size_t i = 0; i < r->type->nfields; i++)
        none[i] = tz_value_null();
    only[s] = true;
    ora_merge_set(o, r, none, only);
    o->superseded = superseded;
}

int ora_set_rights(const struct oracle *o, const struct oracle_row *r, const struct tz_value *in, const bool *names)
{
    const struct tz_type *t = r->type;
    for (size_t i = 0; i < t->nfields; i++) {
        if (!names[i])
            continue;
        if (t->fields[i].merge == TZ_MERGE_EVENTS)
            return TZ_E_EVENTS_LATER;
        if (t->fields[i].merge == TZ_MERGE_SET)
            return TZ_E_BAD_OP;
        if (!ora_may_edit(o, r, &t->fields[i]))
            return TZ_E_NO_RIGHT_FIELD;
        if (in[i].kind == TZ_V_NULL && ora_required(o, t, i))
            return TZ_E_REQUIRED;
    }
    return 0;
}

static int op_set(struct oracle *o, const struct tz_op *op, const struct tz_type *t)
{
    struct tz_value in[TZ_FIELDS_MAX];
    bool names[TZ_FIELDS_MAX];
    bool done = false;
    if (t->append)
        return TZ_E_APPEND_ONLY;
    if (t->local)
        return TZ_E_NO_RIGHT_TYPE;
    struct oracle_row *r = o->target = ora_target(o, t, op->id);
    if (r && !ora_in_area(o, &r->area))
        return TZ_E_UNKNOWN_RECORD;
    int rc = ora_take(o, op, t, in, names);
    if (!r)
        return rc ? rc : ora_op_gone(o, op, t, in, names);
    rc = rc ? rc : ora_set_rights(o, r, in, names);
    if (!rc && r->deleted)
        rc = ora_set_on_deleted(o, r, in, names, &done);
    if (rc || done)
        return rc;
    struct tz_area was = r->area;
    struct tz_value district = t->district_field >= 0 ? r->v[t->district_field] : tz_value_null();
    ora_merge_set(o, r, in, names);
    leave_street(o, r, district, names);
    rc = ora_check_area(o, t, r->v, &r->area);
    rc = rc ? rc : ora_circle(o, r, names) ? TZ_E_CYCLE : 0;
    rc = rc ? rc : ora_check_refs(o, t, r->v, names);
    if (!rc && !tz_area_eq(&was, &r->area))
        ora_move_dependants(o, r);
    return rc;
}

/* ---- DELETE, RESTORE ---- */

static int life_rights(struct oracle *o, const struct tz_op *op, const struct tz_type *t, struct oracle_row **out)
{
    if (t->append)
        return TZ_E_APPEND_ONLY;
    if (t->local || !(t->deleters & o->who.role->editor))
        return TZ_E_NO_RIGHT_TYPE;
    *out = o->target = ora_target(o, t, op->id);
    if (!*out)
        return ora_op_gone(o, op, t, NULL, NULL);
    return ora_in_area(o, &(*out)->area) ? 0 : TZ_E_UNKNOWN_RECORD;
}

/** 1 a child the deleter saw blocks, 2 there is one he did not see, 0 none. */
int ora_children(const struct oracle *o, const struct oracle_row *r)
{
    int found = 0;
    for (size_t i = 0; i < o->nrows; i++) {
        const struct oracle_row *c = o->rows[i];
        if (c->deleted || !ora_in_area(o, &c->area))
            continue;
        for (size_t k = 0; k < c->type->nfields; k++) {
            const struct tz_field *f = &c->type->fields[k];
            if ((f->ftype != TZ_FT_REF && f->ftype != TZ_FT_REF_ANY) || f->on_delete == TZ_OD_IGNORES ||
                c->v[k].kind != TZ_V_BLOB || memcmp(c->v[k].p, r->id.b, TZ_ID_BYTES) != 0 ||
                ora_ref_type(o, c->type, c->v, f) != r->type)
                continue;
            if (!ora_saw(o, c->ver, checkpoint_seen(o), o->base_seq))
                found = found ? found : 2;
            else if (f->on_delete == TZ_OD_BLOCKS)
                found = 1;
        }
    }
    return found;
}

bool ora_saw_everything(const struct oracle *o, const struct oracle_row *r)
{
    bool all = ora_saw(o, r->born, o->base_ver, o->base_seq) && ora_saw(o, r->life.ver, o->base_ver, o->base_seq);
    for (size_t i = 0; i < r->type->nfields; i++)
        all = all && ora_saw(o, r->stamp[i].ver, o->base_ver, o->base_seq);
    for (size_t i = 0; i < r->nel; i++)
        all = all && ora_saw(o, r->el[i].ver, o->base_ver, o->base_seq);
    return all;
}

static int op_delete(struct oracle *o, const struct tz_op *op, const struct tz_type *t)
{
    struct oracle_row *r;
    int rc = life_rights(o, op, t, &r);
    if (rc || !r || r->deleted)
        return rc;
    int child = ora_children(o, r);
    if (child == 1)
        return TZ_E_HAS_CHILDREN;
    if (child == 2 || !ora_saw_everything(o, r)) {
        o->superseded = true;
        ora_case_life(o, r, &o->me, "_deleted=1;");
        return 0;
    }
    ora_touch(o, r);
    r->deleted = true;
    r->life = (struct oracle_stamp){.ver = o->me.ver};
    ora_wrote(o, r);
    return 0;
}

static int op_restore(struct oracle *o, const struct tz_op *op, const struct tz_type *t)
{
    struct oracle_row *r;
    int rc = life_rights(o, op, t, &r);
    if (!rc && r && !tz_id_eq(r->id, op->id) && ora_saw(o, ora_find(o, t, op->id)->life.ver, o->base_ver, o->base_seq))
        return TZ_E_MERGED; /* he knows that it is part of another */
    if (rc || !r || !r->deleted)
        return rc;
    if (!ora_saw(o, r->life.ver, o->base_ver, o->base_seq)) {
        ora_revive(o, r);
        return 0;
    }
    ora_touch(o, r);
    r->deleted = false;
    r->life = (struct oracle_stamp){.ver = o->me.ver};
    ora_wrote(o, r);
    o->depth = 1; /* below the record itself */
    ora_revive_parents(o, r);
    return 0;
}

/* ---- EVENT ---- */

static int op_event(struct oracle *o, const struct tz_op *op, const struct tz_type *t)
{
    struct tz_value in[TZ_FIELDS_MAX];
    bool names[TZ_FIELDS_MAX];
    int rc = ora_take(o, op, t, in, names);
    if (rc)
        return rc;
    rc = ora_op_event(o, op, t, in, names);
    struct oracle_row *r = rc ? NULL : ora_target(o, t, op->id);
    return rc ? rc : ora_check_refs(o, t, r->v, names);
}

/* ---- dispatch ---- */

static int judge_kind(struct oracle *o, const struct tz_op *op, const struct tz_type *t)
{
    switch (op->kind) {
    case TZ_OP_CREATE:
    case TZ_OP_APPEND:
        return op_create(o, op, t);
    case TZ_OP_SET:
        return op_set(o, op, t);
    case TZ_OP_DELETE:
        return op_delete(o, op, t);
    case TZ_OP_RESTORE:
        return op_restore(o, op, t);
    case TZ_OP_RESOLVE:
        return ora_op_resolve(o, op);
    case TZ_OP_EVENT:
        return op_event(o, op, t);
    case TZ_OP_ADD:
    case TZ_OP_REMOVE:
        return ora_op_elements(o, op, t);
    case TZ_OP_MERGE:
    case TZ_OP_UNMERGE:
        return ora_op_merge(o, op, t);
    case TZ_OP_NONE:
    case TZ_OP_VOID:
    case TZ_OP_WITHDRAW:
        break;
    }
    return TZ_E_BAD_OP;
}

int ora_judge_op(struct oracle *o, const struct tz_op *op)
{
    const struct tz_type *t = tz_catalogue_type_id(o->cat, op->type);
    if (op->kind == TZ_OP_WITHDRAW)
        return 0;
    if (!t)
        return TZ_E_UNKNOWN_TYPE;
    o->too_deep = false;
    o->depth = 0;
    int rc = judge_kind(o, op, t);
    return rc ? rc : o->too_deep ? TZ_E_LIMIT : 0;
}
