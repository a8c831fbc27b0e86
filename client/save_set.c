/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An edit: which fields the person changed, and into which ops they go, since fields with different bases never share
 * one (invariant 3 of save.c).
 */
#include "save_int.h"

#include "set.h"

#include <string.h>

/** The edit as it will be sent: what really changes, and the as-of dates that belong to it. */
struct edit {
    const struct tz_record *was; /* the view: what sets differ from */
    struct tz_record in;
    bool names[TZ_FIELDS_MAX];
    char today[11];
};

static bool later(struct tz_value a, struct tz_value b)
{
    uint32_t da;
    uint32_t db;
    unsigned pa;
    unsigned pb;
    tz_date_key(a, &da, &pa);
    tz_date_key(b, &db, &pb);
    return da > db || (da == db && pa > pb);
}

/** Members of a group changed: their as-of date goes along, today's when the person gave none. */
static void date_groups(struct edit *e, const struct tz_row *row, const bool *named)
{
    const struct tz_type *t = row->rec.type;
    for (size_t g = 0; g < t->ngroups; g++) {
        size_t as_of = t->groups[g].as_of;
        bool member = false;
        for (size_t i = 0; i < t->nfields; i++)
            member = member || (e->names[i] && i != as_of && t->fields[i].group == g + 1);
        if (!member)
            continue;
        e->names[as_of] = true;
        if (named[as_of])
            continue;
        struct tz_value today = tz_value_text(e->today);
        struct tz_value was = row->rec.v[as_of];
        e->in.v[as_of] = was.kind == TZ_V_NULL || later(today, was) ? today : was;
    }
}

static bool pick_changes(struct edit *e, const struct tz_office *o, const struct tz_row *row,
                         const struct tz_record *in, const bool *names)
{
    bool any = false;
    e->was = &row->rec;
    tz_record_init(&e->in, row->rec.type);
    memset(e->names, 0, sizeof e->names);
    for (size_t i = 0; i < row->rec.type->nfields; i++) {
        if (!names[i])
            continue;
        e->in.v[i] = in->v[i];
        e->names[i] = !tz_value_eq(in->v[i], row->rec.v[i]);
        any = any || e->names[i];
    }
    tz_clock_today(tz_office_now(o), e->today);
    if (any)
        date_groups(e, row, names);
    return any;
}

/** One op of the fields in @e whose base is @base; takes them out of @left. */
static int set_op(struct tz_save *s, const struct edit *e, const struct tz_bases *bases, tz_ver base, bool *left,
                  struct tz_op *op, struct tz_err *err)
{
    const struct tz_type *t = e->in.type;
    struct tz_record *part = tz_arena_alloc(&s->a, sizeof *part);
    uint32_t *cleared = tz_arena_calloc(&s->a, t->nfields, sizeof *cleared);
    if (!part || !cleared)
        return tz_err_set(err, TZ_E_LIMIT, t->name, NULL, NULL, NULL);
    tz_record_init(part, t);
    op->base_ver = base;
    op->cleared = cleared;
    op->ncleared = 0;
    for (size_t i = 0; i < t->nfields; i++) {
        if (!left[i] || bases->ver[i] != base || t->fields[i].merge == TZ_MERGE_SET)
            continue;
        left[i] = false;
        part->v[i] = e->in.v[i];
        if (part->v[i].kind == TZ_V_NULL)
            cleared[op->ncleared++] = t->fields[i].id;
    }
    return tz_save_encode(s, part, &op->values, err);
}

/** The elements of @v that @other lacks, copied. */
static int elements_of(struct tz_save *s, struct tz_value v, struct tz_value other, struct tz_op *op,
                       struct tz_err *err)
{
    struct tz_bytes rest = v.kind == TZ_V_TEXT ? tz_bytes_of(v.p, v.n) : tz_bytes_of(NULL, 0);
    struct tz_bytes *el = tz_arena_calloc(&s->a, tz_set_count(v) + 1, sizeof *el);
    struct tz_bytes at;
    op->elements = el;
    while (el && tz_set_next(&rest, &at)) {
        if (tz_set_has(other, at))
            continue;
        el[op->nelements] = tz_bytes_of(tz_arena_dup(&s->a, at.p, at.n), at.n);
        if (!el[op->nelements++].p)
            el = NULL;
    }
    return el ? 0 : tz_err_set(err, TZ_E_LIMIT, "elements", NULL, NULL, NULL);
}

/** Ops of one save that are made together, before any of them is shown. */
struct parts {
    struct tz_op ops[2 * TZ_FIELDS_MAX];
    size_t n, bytes;
};

/** ADD and REMOVE of a set field; takes it out of @left. */
static int set_elements(struct tz_save *s, const struct edit *e, size_t i, const struct tz_op *like, bool *left,
                        struct parts *p, struct tz_err *err)
{
    left[i] = false;
    for (int k = 0; k < 2; k++) {
        struct tz_op *op = &p->ops[p->n];
        struct tz_value now = e->in.v[i];
        struct tz_value was = e->was->v[i];
        *op = *like;
        op->kind = k ? TZ_OP_REMOVE : TZ_OP_ADD;
        op->field = e->in.type->fields[i].id;
        int rc = elements_of(s, k ? was : now, k ? now : was, op, err);
        if (rc)
            return rc;
        p->n += op->nelements > 0;
    }
    return 0;
}

static int push_sets(struct tz_save *s, struct tz_id id, const struct edit *e, const struct tz_seen *seen,
                     struct tz_err *err)
{
    const struct tz_type *t = e->in.type;
    struct tz_bases bases;
    struct parts *p = tz_arena_calloc(&s->a, 1, sizeof *p);
    bool left[TZ_FIELDS_MAX];
    struct tz_seen mine = tz_save_seen(s, id, seen);
    int rc =
        p ? tz_overlay_base(s->o, t, id, &mine, &bases, err) : tz_err_set(err, TZ_E_LIMIT, t->name, NULL, NULL, NULL);
    memcpy(left, e->names, sizeof left);
    for (size_t i = 0; i < t->nfields && !rc; i++) {
        struct tz_op like = {.kind = TZ_OP_SET, .type = t->id, .id = id, .base_seq = mine.seq};
        like.base_ver = bases.ver[i];
        if (!left[i])
            continue;
        if (t->fields[i].merge == TZ_MERGE_SET) {
            rc = set_elements(s, e, i, &like, left, p, err);
        } else {
            p->ops[p->n] = like;
            rc = set_op(s, e, &bases, bases.ver[i], left, &p->ops[p->n++], err);
        }
    }
    if (rc)
        return rc;
    for (size_t i = 0; i < p->n; i++)
        p->bytes += tz_save_op_bytes(&p->ops[i]);
    rc = tz_save_room(s, p->n, p->bytes, err);
    for (size_t i = 0; i < p->n && !rc; i++)
        rc = tz_save_show(s, tz_save_push(s, &p->ops[i], seen->checkpoint), t, id, err);
    return rc;
}

int tz_save_set(struct tz_save *s, struct tz_id id, const struct tz_seen *seen, const struct tz_record *in,
                const bool *names, struct tz_err *err)
{
    struct tz_arena a;
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    struct tz_row *row = tz_arena_alloc(&a, sizeof *row);
    struct edit *e = tz_arena_alloc(&a, sizeof *e);
    int rc = row && e ? tz_save_view(s, in->type, id, &a, row, err) : tz_office_nomem(err);
    if (!rc && pick_changes(e, s->o, row, in, names)) {
        rc = tz_check_set(s->o, &s->who, row, &e->in, e->names, &a, err);
        if (!rc)
            rc = push_sets(s, id, e, seen, err);
    }
    tz_arena_deinit(&a);
    return rc;
}
