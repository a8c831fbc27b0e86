/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle's judgement of one op: rights, references, areas, then what becomes of the record. Returns the code of a
 * refusal or 0; what changed is undone by the caller when the op is refused.
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

static bool may_edit(const struct oracle *o, const struct oracle_row *r, const struct tz_field *f)
{
    if (f->editors & o->who.role->editor)
        return true;
    const struct tz_field *status = tz_type_field(r->type, "status");
    return creators_field(o, r->type, f) && tz_id_device(r->id) == o->me.device &&
           (o->late || tz_value_eq(r->v[status->index], status->dflt));
}

/** The server's catalogue lacks it: whose right it would be, and what it would win against, nobody can say. */
static bool names_unknown(const struct tz_op *op, const struct tz_type *t, const struct tz_record *rec)
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
    if (names_unknown(op, t, &rec))
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
        if (in[i].kind == TZ_V_NULL && f->required == TZ_REQ_SAVE && !(f->editors & TZ_ED_S))
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

static int set_on_deleted(struct oracle *o, struct oracle_row *r, const struct tz_value *in, const bool *names,
                          bool *done)
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
        if (!may_edit(o, r, &t->fields[i]))
            return TZ_E_NO_RIGHT_FIELD;
        if (in[i].kind == TZ_V_NULL && t->fields[i].required == TZ_REQ_SAVE && !(t->fields[i].editors & TZ_ED_S))
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
        rc = set_on_deleted(o, r, in, names, &done);
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

/* ---- ADD, REMOVE ---- */

size_t ora_split(struct tz_value set, struct tz_bytes *out, size_t max)
{
    size_t n = 0;
    const char *p = set.kind == TZ_V_TEXT ? (const char *)set.p : NULL;
    const char *end = p ? p + set.n : NULL;
    while (p && n < max && (p = memchr(p, '"', (size_t)(end - p))) != NULL) {
        const char *close = memchr(p + 1, '"', (size_t)(end - p - 1));
        out[n++] = tz_bytes_of(p + 1, (size_t)(close - p - 1));
        p = close + 1;
    }
    return n;
}

static int by_text(const void *a, const void *b)
{
    return tz_bytes_cmp(*(const struct tz_bytes *)a, *(const struct tz_bytes *)b);
}

struct tz_value ora_join(struct oracle *o, struct tz_bytes *v, size_t n)
{
    struct tz_buf b;
    int rc = 0;
    tz_buf_init(&b, 1 << 20);
    qsort(v, n, sizeof *v, by_text);
    for (size_t i = 0; i < n; i++)
        rc |= tz_buf_printf(&b, "%s\"%.*s\"", i ? "," : "[", (int)v[i].n, (const char *)v[i].p);
    if (rc || tz_buf_putc(&b, ']'))
        abort();
    struct tz_value out = n ? tz_value_textn(tz_arena_dup(&o->arena, b.p, b.len), b.len) : tz_value_null();
    tz_buf_deinit(&b);
    return out;
}

bool ora_has(const struct tz_bytes *v, size_t n, struct tz_bytes el, size_t *at)
{
    for (size_t i = 0; i < n; i++)
        if (tz_bytes_eq(v[i], el)) {
            *at = i;
            return true;
        }
    return false;
}

void ora_stamp_element(struct oracle *o, struct oracle_row *r, size_t f, struct tz_bytes el, tz_ver ver)
{
    struct oracle_element *v = tz_arena_calloc(&o->arena, r->nel + 1, sizeof *v);
    size_t n = 0;
    for (size_t i = 0; i < r->nel; i++)
        if (r->el[i].field != f || !tz_bytes_eq(r->el[i].text, el))
            v[n++] = r->el[i];
    if (ver)
        v[n++] = (struct oracle_element){f, el, ver};
    r->el = v;
    r->nel = n;
}

tz_ver ora_element_ver(const struct oracle_row *r, size_t f, struct tz_bytes el)
{
    for (size_t i = 0; i < r->nel; i++)
        if (r->el[i].field == f && tz_bytes_eq(r->el[i].text, el))
            return r->el[i].ver;
    return r->born;
}

static void change_elements(struct oracle *o, const struct tz_op *op, struct oracle_row *r, size_t f)
{
    struct tz_bytes v[2 * TZ_SET_ELEMENTS_MAX];
    size_t n = ora_split(r->v[f], v, TZ_SET_ELEMENTS_MAX);
    size_t at = 0;
    ora_touch(o, r);
    for (size_t i = 0; i < op->nelements; i++) {
        bool there = ora_has(v, n, op->elements[i], &at);
        if (op->kind == TZ_OP_ADD) {
            if (!there)
                v[n++] = op->elements[i];
            ora_stamp_element(o, r, f, op->elements[i], o->me.ver);
            ora_wrote(o, r);
        } else if (there && ora_saw(o, ora_element_ver(r, f, op->elements[i]), o->base_ver, o->base_seq)) {
            v[at] = v[--n];
            ora_stamp_element(o, r, f, op->elements[i], 0);
            r->stamp[f].ver = o->me.ver;
            ora_wrote(o, r);
        } else if (there) {
            o->superseded = true; /* somebody put it there whom the author had not heard of */
        }
    }
    r->v[f] = ora_join(o, v, n);
}

/** What the set would be if nobody else had touched it. */
struct tz_value ora_wished(struct oracle *o, const struct tz_op *op, struct tz_value was)
{
    struct tz_bytes v[2 * TZ_SET_ELEMENTS_MAX];
    size_t n = ora_split(was, v, TZ_SET_ELEMENTS_MAX);
    size_t at = 0;
    for (size_t i = 0; i < op->nelements; i++) {
        bool there = ora_has(v, n, op->elements[i], &at);
        if (there && op->kind == TZ_OP_REMOVE)
            v[at] = v[--n];
        else if (!there && op->kind == TZ_OP_ADD)
            v[n++] = op->elements[i];
    }
    return ora_join(o, v, n);
}

int ora_elements_rights(const struct oracle *o, const struct tz_op *op, const struct oracle_row *r,
                        const struct tz_field **out)
{
    const struct tz_field *f = tz_type_field_id(r->type, op->field);
    *out = f;
    if (f && f->merge == TZ_MERGE_EVENTS)
        return TZ_E_EVENTS_LATER;
    if (!f || f->merge != TZ_MERGE_SET || op->nelements == 0)
        return TZ_E_BAD_OP;
    for (size_t i = 0; i < op->nelements; i++)
        for (size_t k = 0; k < op->elements[i].n || k == 0; k++)
            if (op->elements[i].n == 0 || op->elements[i].n > 63 ||
                !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.", op->elements[i].p[k]))
                return TZ_E_VALUE;
    if (!may_edit(o, r, f))
        return TZ_E_NO_RIGHT_FIELD;
    return 0;
}

static int op_elements(struct oracle *o, const struct tz_op *op, const struct tz_type *t)
{
    struct tz_value in[TZ_FIELDS_MAX];
    bool names[TZ_FIELDS_MAX] = {false};
    bool done = false;
    if (t->append)
        return TZ_E_APPEND_ONLY;
    if (t->local)
        return TZ_E_NO_RIGHT_TYPE;
    struct oracle_row *r = o->target = ora_target(o, t, op->id);
    const struct tz_field *f = NULL;
    if (!r)
        return ora_elements_gone(o, op, t);
    if (!ora_in_area(o, &r->area))
        return TZ_E_UNKNOWN_RECORD;
    int rc = ora_elements_rights(o, op, r, &f);
    if (rc)
        return rc;
    names[f->index] = true;
    in[f->index] = ora_wished(o, op, r->v[f->index]);
    rc = r->deleted ? set_on_deleted(o, r, in, names, &done) : 0;
    if (rc || done)
        return rc;
    change_elements(o, op, r, f->index);
    return r->v[f->index].kind == TZ_V_NULL && f->required == TZ_REQ_SAVE ? TZ_E_REQUIRED : 0;
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
static int children(const struct oracle *o, const struct oracle_row *r)
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

static bool saw_everything(const struct oracle *o, const struct oracle_row *r)
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
    int child = children(o, r);
    if (child == 1)
        return TZ_E_HAS_CHILDREN;
    if (child == 2 || !saw_everything(o, r)) {
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

/* ---- RESOLVE ---- */

struct resolving {
    struct oracle_case *c;
    struct oracle_row *r;
    struct tz_value in[TZ_FIELDS_MAX];
    bool names[TZ_FIELDS_MAX];
    bool life, deleted;
};

static int resolve_find(struct oracle *o, const struct tz_op *op, struct resolving *x)
{
    const struct tz_type *t = NULL;
    const char *subject = NULL;
    struct tz_id target;
    uint32_t generation = 0;
    if (!o->case_of || !o->case_of(o->case_ctx, op->id, &t, &target, &subject, &generation))
        return TZ_E_UNKNOWN_RECORD;
    x->r = ora_target(o, t, target);
    for (size_t i = 0; i < o->ncases; i++)
        if (o->cases[i]->type == t && tz_id_eq(o->cases[i]->id, target) && o->cases[i]->generation == generation &&
            strcmp(o->cases[i]->subject, subject) == 0)
            x->c = o->cases[i];
    if (x->c && (strcmp(x->c->kind, "purged") == 0 || strcmp(x->c->kind, "duplicate") == 0))
        return 0;
    if (x->c && strcmp(x->c->subject, "_created") == 0)
        return 0;
    const struct oracle_row *about = oracle_find(o, t, target); /* the case lies where that is, also when it went */
    if (!x->r || !x->c || !ora_in_area(o, &x->r->area) || (about->area.district[0] && !ora_in_area(o, &about->area)))
        return TZ_E_UNKNOWN_RECORD;
    o->target = x->r;
    if (strcmp(x->c->kind, "late_scope") == 0 && !o->who.role->supervises)
        return TZ_E_NO_RIGHT_TYPE;
    bool moved_on = !tz_id_eq(x->r->id, target) && (x->c->open || strcmp(subject, "_deleted") == 0);
    return op->generation != generation || moved_on ? TZ_E_CASE_STALE : 0;
}

/** A supervisor says yes to a word whose author had lost the right to it. */
static bool says_yes(const struct resolving *x, const char *values)
{
    bool yes = false;
    for (size_t i = 0; i < x->c->ncand; i++)
        yes = yes || (x->c->cand[i].late && strcmp(x->c->cand[i].values, values) == 0);
    return yes && strcmp(x->c->kind, "late_scope") == 0;
}

static int resolve_values(struct oracle *o, const struct tz_op *op, struct resolving *x)
{
    const struct tz_type *t = x->r->type;
    struct tz_record rec;
    struct tz_err err;
    bool any = false;
    x->life = strcmp(x->c->subject, "_deleted") == 0;
    x->deleted = op->deleted;
    if (x->life != (op->field == TZ_FIELD_DELETED))
        return TZ_E_BAD_OP;
    if (x->life)
        return (t->deleters & o->who.role->editor) || says_yes(x, x->deleted ? "_deleted=1;" : "_deleted=0;")
                   ? 0
                   : TZ_E_NO_RIGHT_TYPE;
    if (tz_record_decode(t, op->values, &o->arena, &rec, &err))
        return TZ_E_BAD_OP;
    if (names_unknown(op, t, &rec))
        return TZ_E_UNKNOWN_FIELD;
    for (size_t i = 0; i < t->nfields; i++) {
        x->in[i] = rec.v[i];
        x->names[i] = rec.v[i].kind != TZ_V_NULL;
        for (size_t k = 0; k < op->ncleared; k++)
            x->names[i] = x->names[i] || op->cleared[k] == t->fields[i].id;
    }
    bool yes = says_yes(x, ora_values(o, t, x->in, x->names));
    ora_redirect(o, t, x->in, x->names);
    for (size_t i = 0; i < t->nfields; i++) {
        if (!x->names[i])
            continue;
        any = true;
        if (strcmp(ora_subject(t, i), x->c->subject) != 0 || tz_value_check(&t->fields[i], x->in[i], false, &err))
            return TZ_E_VALUE;
        if (!yes && !may_edit(o, x->r, &t->fields[i]))
            return TZ_E_NO_RIGHT_FIELD;
        if (x->in[i].kind == TZ_V_NULL && t->fields[i].required == TZ_REQ_SAVE && !(t->fields[i].editors & TZ_ED_S))
            return TZ_E_REQUIRED;
    }
    return any ? 0 : TZ_E_BAD_OP;
}

static bool stands(const struct resolving *x)
{
    bool same = true;
    if (x->life)
        same = x->r->deleted == x->deleted;
    for (size_t i = 0; i < x->r->type->nfields; i++)
        same = same && (x->life || !x->names[i] || tz_value_eq(x->r->v[i], x->in[i]));
    return same;
}

/** A second decision about a closed case: the same is nothing, another one is kept. */
static int resolve_late(struct oracle *o, struct resolving *x)
{
    if (stands(x))
        return 0;
    o->superseded = true;
    const char *values =
        x->life ? (x->deleted ? "_deleted=1;" : "_deleted=0;") : ora_values(o, x->r->type, x->in, x->names);
    ora_case_join(o, x->r, x->c->subject, x->life ? "deleted" : "conflict", ora_candidate(o, &o->me, values));
    return 0;
}

/** No decision deletes what its maker did not see, and none writes into a record that went meanwhile. */
static int resolve_life(struct oracle *o, struct resolving *x, bool *done)
{
    if (!x->life && x->r->deleted && !stands(x))
        return set_on_deleted(o, x->r, x->in, x->names, done);
    if (x->life && x->deleted && !x->r->deleted && !saw_everything(o, x->r)) {
        *done = o->superseded = true;
        ora_case_life(o, x->r, &o->me, "_deleted=1;");
    }
    return 0;
}

/** What stands, was not seen and not chosen: its author's word goes on in the next generation. */
static const char *unseen_standing(struct oracle *o, struct resolving *x, const struct ocommit **author,
                                   struct tz_id *of)
{
    const struct tz_type *t = x->r->type;
    bool which[TZ_FIELDS_MAX] = {false};
    bool any = false;
    if (x->life) {
        if (x->r->deleted == x->deleted || ora_saw(o, x->r->life.ver, o->base_ver, o->base_seq))
            return NULL;
        *author = ora_commit(o, x->r->life.ver);
        return x->r->deleted ? "_deleted=1;" : "_deleted=0;";
    }
    for (size_t i = 0; i < t->nfields; i++) {
        if (!x->names[i] || tz_value_eq(x->r->v[i], x->in[i]) ||
            ora_saw(o, x->r->stamp[i].ver, o->base_ver, o->base_seq))
            continue;
        which[i] = any = true;
        *author = ora_commit(o, ora_said(x->r->stamp[i]));
        if (ora_said(x->r->stamp[i]) != x->r->stamp[i].ver)
            *of = ora_speaker(o, x->r, i, x->r->stamp[i]);
    }
    return any ? ora_values(o, t, x->r->v, which) : NULL;
}

static int resolve_write(struct oracle *o, struct resolving *x)
{
    struct oracle_row *r = x->r;
    struct tz_area was = r->area;
    if (x->life && x->deleted && !r->deleted && children(o, r))
        return TZ_E_HAS_CHILDREN;
    ora_touch(o, r);
    bool comes_back = x->life && r->deleted && !x->deleted;
    if (x->life) {
        r->deleted = x->deleted;
        r->life = (struct oracle_stamp){.ver = o->me.ver, .resolved = true};
    }
    for (size_t i = 0; i < r->type->nfields; i++)
        if (!x->life && x->names[i]) {
            r->v[i] = x->in[i];
            r->stamp[i] = (struct oracle_stamp){.ver = o->me.ver, .resolved = true};
        }
    ora_wrote(o, r);
    o->depth = comes_back;
    if (comes_back)
        ora_revive_parents(o, r);
    if (x->life)
        return 0;
    int rc = ora_check_area(o, r->type, r->v, &r->area);
    rc = rc ? rc : ora_circle(o, r, x->names) ? TZ_E_CYCLE : 0;
    rc = rc ? rc : ora_check_refs(o, r->type, r->v, x->names);
    if (!rc && !tz_area_eq(&was, &r->area))
        ora_move_dependants(o, r);
    return rc;
}

static int op_resolve(struct oracle *o, const struct tz_op *op)
{
    struct resolving *x = tz_arena_calloc(&o->arena, 1, sizeof *x);
    const struct ocommit *author = NULL;
    int rc = resolve_find(o, op, x);
    if (!rc && strcmp(x->c->kind, "duplicate") == 0)
        return ora_keep_both(o, op, x->c);
    if (!rc && strcmp(x->c->kind, "purged") == 0)
        return ora_resolve_gone(o, op, x->c);
    if (!rc && strcmp(x->c->subject, "_created") == 0)
        return ora_resolve_new(o, op, x->c);
    rc = rc ? rc : resolve_values(o, op, x);
    if (rc)
        return rc;
    if (!x->c->open)
        return resolve_late(o, x);
    bool done = false;
    struct tz_id of = {{0}};
    rc = resolve_life(o, x, &done);
    if (rc || done)
        return rc;
    const char *standing = unseen_standing(o, x, &author, &of);
    rc = resolve_write(o, x);
    if (rc)
        return rc;
    ora_case_close(o, x->c);
    for (size_t i = 0; i < x->c->ncand; i++)
        if (x->c->cand[i].since > o->base_ver) {
            struct oracle_candidate again = x->c->cand[i];
            again.since = o->me.ver;
            ora_case_join(o, x->r, x->c->subject, again.late ? "late_scope" : x->life ? "deleted" : "conflict", again);
        }
    if (!standing)
        return 0;
    struct oracle_candidate word = ora_candidate(o, author, standing);
    word.of = of;
    ora_case_join(o, x->r, x->c->subject, x->life ? "deleted" : "conflict", word);
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
        return op_resolve(o, op);
    case TZ_OP_EVENT:
        return op_event(o, op, t);
    case TZ_OP_ADD:
    case TZ_OP_REMOVE:
        return op_elements(o, op, t);
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
