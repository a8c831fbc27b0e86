/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a person must see, worked out from the saves of the device and the oracle's answers alone: an own save stays on
 * the screen until a checkpoint has brought its rows, and an edit made under it claims no more than its author saw.
 *
 * Nothing is said where the device may or may not know the answer already (a refusal on its way), where the save was
 * taken back, or where a decision about a case came after it.
 */
#include "sim.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct sim_write {
    const struct tz_type *type;
    struct tz_id id;
    const struct tz_field *field;
    uint64_t seq;
    size_t op;
    tz_ver base_ver;
    uint64_t sum; /* of the value; a set's elements have none */
    bool element;
};

static uint64_t sum_of(struct tz_value v)
{
    uint64_t h = 14695981039346656037U ^ (uint64_t)v.kind;
    if (v.kind == TZ_V_INT)
        return (h ^ (uint64_t)v.i) * 1099511628211U;
    for (size_t i = 0; v.kind != TZ_V_NULL && i < v.n; i++)
        h = (h ^ v.p[i]) * 1099511628211U;
    return h;
}

static void add(struct sim_client *c, struct sim_write w)
{
    if (c->nwrites == c->writes_cap) {
        c->writes_cap = c->writes_cap ? c->writes_cap * 2 : 64;
        c->writes = realloc(c->writes, c->writes_cap * sizeof *c->writes);
        if (!c->writes)
            abort();
    }
    c->writes[c->nwrites++] = w;
}

static void note_values(struct sim_client *c, struct sim_write w, const struct tz_op *op, struct tz_arena *a)
{
    struct tz_record *in = tz_arena_alloc(a, sizeof *in);
    struct tz_err err = {0};
    if (tz_record_decode(w.type, op->values, a, in, &err))
        abort();
    for (size_t i = 0; i < w.type->nfields; i++) {
        w.field = &w.type->fields[i];
        w.sum = sum_of(in->v[i]);
        if (in->v[i].kind != TZ_V_NULL)
            add(c, w);
    }
    for (size_t i = 0; i < op->ncleared; i++) {
        w.field = tz_type_field_id(w.type, op->cleared[i]);
        w.sum = sum_of(tz_value_null());
        add(c, w);
    }
}

static void trace(const struct sim_client *c, uint64_t seq, const struct sim_write *w, const struct tz_op *op)
{
    char id[TZ_ID_HEX + 1];
    char other[TZ_ID_HEX + 1];
    tz_id_print(op->id, id);
    tz_id_print(op->other_id, other);
    sim_trace(c->w, "  %u seq %" PRIu64 " op kind %d %s %s%s%s", c->index, seq, (int)op->kind,
              w->type ? w->type->name : "", id, tz_id_is_zero(op->other_id) ? "" : " other ",
              tz_id_is_zero(op->other_id) ? "" : other);
}

void sim_screen_note(struct sim_client *c, uint64_t seq, const struct tz_changeset *cs)
{
    struct tz_arena a;
    tz_arena_init(&a, 8 << 20);
    for (size_t i = 0; i < cs->nops; i++) {
        const struct tz_op *op = &cs->ops[i];
        struct sim_write w = {.type = tz_catalogue_type_id(c->w->cat, op->type),
                              .id = op->id,
                              .seq = seq,
                              .op = i,
                              .base_ver = op->base_ver};
        trace(c, seq, &w, op);
        if (op->kind == TZ_OP_RESOLVE || op->kind == TZ_OP_WITHDRAW)
            c->resolved = seq;
        if (op->kind == TZ_OP_CREATE || op->kind == TZ_OP_APPEND || op->kind == TZ_OP_SET)
            note_values(c, w, op, &a);
        if (op->kind == TZ_OP_ADD || op->kind == TZ_OP_REMOVE) {
            *(op->kind == TZ_OP_ADD ? &c->w->n.adds : &c->w->n.removes) += 1;
            w.field = tz_type_field_id(w.type, op->field);
            w.element = true;
            add(c, w);
        }
    }
    tz_arena_deinit(&a);
}

void sim_screen_copy(struct sim_client *to, const struct sim_client *from)
{
    to->writes = malloc((from->nwrites + 1) * sizeof *to->writes);
    if (!to->writes)
        abort();
    if (from->nwrites)
        memcpy(to->writes, from->writes, from->nwrites * sizeof *to->writes);
    to->nwrites = from->nwrites;
    to->writes_cap = from->nwrites + 1;
}

/** Is the write surely on top of what came down, for somebody who looks at @seen? */
static bool on_top(const struct sim_client *c, const struct sim_write *x, const struct tz_seen *seen)
{
    if (x->seq > c->nsaved || c->saved[x->seq - 1].withdrawn)
        return false;
    const struct oracle_outcome *o = sim_saved_outcome(c, &c->saved[x->seq - 1]);
    if (!o || o->outcome == TZ_OUT_WAITING)
        return true;
    bool good = o->outcome == TZ_OUT_APPLIED || o->outcome == TZ_OUT_SUPERSEDED;
    return good && x->op < o->nops && o->ver > seen->checkpoint &&
           (o->ops[x->op] == TZ_OUT_APPLIED || o->ops[x->op] == TZ_OUT_SUPERSEDED);
}

static bool same_subject(const struct tz_field *a, const struct tz_field *b)
{
    return a == b || (a->group && a->group == b->group);
}

void sim_screen_check(struct sim_client *c, const struct tz_row *row, const struct tz_seen *seen)
{
    bool done[TZ_FIELDS_MAX] = {false};
    if (c->saving || c->w->blind) /* in the middle of a save, which shows itself */
        return;
    for (size_t i = c->nwrites; i > 0 && !row->deleted && !c->w->failed; i--) {
        const struct sim_write *x = &c->writes[i - 1];
        if (x->type != row->rec.type || !tz_id_eq(x->id, row->id) || done[x->field->index])
            continue;
        done[x->field->index] = true;
        if (x->element || x->seq <= c->resolved || !on_top(c, x, seen))
            continue;
        c->w->n.screens++;
        if (sum_of(row->rec.v[x->field->index]) != x->sum)
            sim_fail(c->w,
                     "P5: %s does not show its own save %" PRIu64 " of %s at checkpoint %" PRIu64
                     " (row version %" PRIu64 ")",
                     c->name, x->seq, x->field->name, seen->checkpoint & 0xFFFFFF, seen->ver & 0xFFFFFF);
    }
}

/** The newest own write of the field (or its group) that was on the screen at @seen; NULL when that is not certain. */
static const struct sim_write *shown(const struct sim_client *c, const struct tz_op *op, const struct tz_field *f,
                                     const struct tz_seen *seen)
{
    for (size_t i = c->nwrites; i > 0; i--) {
        const struct sim_write *x = &c->writes[i - 1];
        if (x->seq <= seen->seq && x->type->id == op->type && tz_id_eq(x->id, op->id) && same_subject(x->field, f))
            return on_top(c, x, seen) ? x : NULL;
    }
    return NULL;
}

static void check_field(struct sim_client *c, const struct tz_op *op, const struct tz_field *f,
                        const struct tz_seen *seen)
{
    const struct sim_write *x = shown(c, op, f, seen);
    if (x && op->base_ver > x->base_ver)
        sim_fail(c->w,
                 "P4: %s says it saw version %" PRIu64 " of %s, but its own save %" PRIu64
                 " was on the screen, which had seen %" PRIu64,
                 c->name, op->base_ver & 0xFFFFFF, f->name, x->seq, x->base_ver & 0xFFFFFF);
}

void sim_screen_check_base(struct sim_client *c, const struct tz_op *op, const struct tz_seen *seen)
{
    const struct tz_type *t = tz_catalogue_type_id(c->w->cat, op->type);
    struct tz_arena a;
    struct tz_err err = {0};
    if (c->w->blind)
        return;
    tz_arena_init(&a, 8 << 20);
    struct tz_record *in = tz_arena_alloc(&a, sizeof *in);
    if (op->kind == TZ_OP_SET && tz_record_decode(t, op->values, &a, in, &err) == 0) {
        for (size_t i = 0; i < t->nfields; i++)
            if (in->v[i].kind != TZ_V_NULL)
                check_field(c, op, &t->fields[i], seen);
        for (size_t i = 0; i < op->ncleared; i++)
            check_field(c, op, tz_type_field_id(t, op->cleared[i]), seen);
    }
    tz_arena_deinit(&a);
}
