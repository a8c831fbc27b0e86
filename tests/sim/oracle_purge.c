/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records that were purged, in the oracle: out of every list, but for who they were and where. The checker says when;
 * whether it was time is its affair, whether something still refers to the record is looked at here.
 */
#include "oracle_int.h"

#include <stdlib.h>
#include <string.h>

struct oracle_row *ora_gone(const struct oracle *o, const struct tz_type *t, struct tz_id id)
{
    for (size_t i = 0; i < o->ngone; i++)
        if (o->gone[i]->type == t && tz_id_eq(o->gone[i]->id, id))
            return o->gone[i];
    return NULL;
}

bool oracle_is_purged(const struct oracle *o, const struct tz_type *t, struct tz_id id)
{
    return ora_gone(o, t, id) != NULL;
}

static bool needed(const struct oracle *o, const struct oracle_row *r)
{
    for (size_t i = 0; i < o->nrows; i++)
        for (size_t k = 0; k < o->rows[i]->type->nfields; k++) {
            const struct tz_field *f = &o->rows[i]->type->fields[k];
            struct tz_value v = o->rows[i]->v[k];
            if (!o->rows[i]->deleted && (f->ftype == TZ_FT_REF || f->ftype == TZ_FT_REF_ANY) && v.kind == TZ_V_BLOB &&
                memcmp(v.p, r->id.b, TZ_ID_BYTES) == 0)
                return true;
        }
    for (size_t i = 0; i < o->ncases; i++)
        if (o->cases[i]->type == r->type && (tz_id_eq(o->cases[i]->id, r->id) || tz_id_eq(o->cases[i]->other, r->id)))
            return true;
    return ora_alias(o, r->type, r->id) != NULL;
}

bool oracle_purge(struct oracle *o, const struct tz_type *t, struct tz_id id)
{
    for (size_t i = 0; i < o->nrows; i++) {
        struct oracle_row *r = o->rows[i];
        if (r->type != t || !tz_id_eq(r->id, id))
            continue;
        if (!r->deleted || needed(o, r))
            return false;
        memmove(&o->rows[i], &o->rows[i + 1], (o->nrows - i - 1) * sizeof *o->rows);
        o->nrows--;
        ora_rows_moved(o);
        ORACLE_GROW(o->gone, o->ngone, o->gone_cap);
        o->gone[o->ngone++] = r;
        return true;
    }
    return false;
}

/* ---- late ops ---- */

static bool may_say(const struct oracle *o, const struct tz_field *f)
{
    unsigned who = o->who.role->editor;
    return (f->editors & who) || (who == TZ_ED_F && (f->editors & ~(unsigned)TZ_ED_S));
}

static int keep_word(struct oracle *o, const struct oracle_row *g, const char *values)
{
    o->superseded = true;
    ora_case_join(o, g, "_purged", "purged", ora_candidate(o, &o->me, values));
    return 0;
}

int ora_op_gone(struct oracle *o, const struct tz_op *op, const struct tz_type *t, const struct tz_value *in,
                const bool *names)
{
    struct oracle_row *g = ora_gone(o, t, op->id);
    bool shown[TZ_FIELDS_MAX] = {false};
    bool any = false;
    if (!g || !ora_in_area(o, &g->area))
        return TZ_E_UNKNOWN_RECORD;
    if (op->kind == TZ_OP_DELETE || op->kind == TZ_OP_REMOVE)
        return 0;
    if (op->kind == TZ_OP_RESTORE)
        return keep_word(o, g, "_deleted=0;");
    if (ora_saw(o, g->ver, o->base_ver, o->base_seq))
        return TZ_E_DELETED;
    for (size_t i = 0; i < t->nfields; i++) {
        if (!names[i])
            continue;
        any = true;
        if (!may_say(o, &t->fields[i]))
            return TZ_E_NO_RIGHT_FIELD;
        shown[i] = t->fields[i].visibility != TZ_VIS_SECRET;
    }
    return any ? keep_word(o, g, ora_values(o, t, in, shown)) : 0;
}

static bool is_code(struct tz_bytes e)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
    for (size_t i = 0; i < e.n; i++)
        if (!memchr(letters, e.p[i], sizeof letters - 1))
            return false;
    return e.n > 0 && e.n <= 63;
}

int ora_elements_gone(struct oracle *o, const struct tz_op *op, const struct tz_type *t)
{
    struct tz_value in[TZ_FIELDS_MAX];
    bool names[TZ_FIELDS_MAX] = {false};
    const struct tz_field *f = tz_type_field_id(t, op->field);
    if (op->kind == TZ_OP_REMOVE)
        return ora_op_gone(o, op, t, in, names);
    if (!f || f->merge != TZ_MERGE_SET || op->nelements == 0)
        return TZ_E_BAD_OP;
    for (size_t i = 0; i < op->nelements; i++)
        if (!is_code(op->elements[i]))
            return TZ_E_VALUE;
    names[f->index] = true;
    in[f->index] = ora_wished(o, op, tz_value_null());
    return ora_op_gone(o, op, t, in, names);
}

int ora_resolve_gone(struct oracle *o, const struct tz_op *op, struct oracle_case *c)
{
    const struct oracle_row *g = ora_gone(o, c->type, c->id);
    if (!g || !ora_in_area(o, &g->area))
        return TZ_E_UNKNOWN_RECORD;
    if (!(c->type->deleters & o->who.role->editor))
        return TZ_E_NO_RIGHT_TYPE;
    if (op->generation != c->generation)
        return TZ_E_CASE_STALE;
    if (op->choice != TZ_CHOICE_MINE || op->values.n || op->ncleared)
        return TZ_E_PURGED;
    if (c->open)
        ora_case_close(o, c);
    return 0;
}
