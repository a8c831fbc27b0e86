/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle's RESOLVE: a decision about a case. What nobody has seen yet is not decided by it: that goes on in the
 * case's next generation.
 */
#include "oracle_int.h"

#include <string.h>

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
    if (ora_names_unknown(op, t, &rec))
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
        if (!yes && !ora_may_edit(o, x->r, &t->fields[i]))
            return TZ_E_NO_RIGHT_FIELD;
        if (x->in[i].kind == TZ_V_NULL && ora_required(o, t, i))
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
        return ora_set_on_deleted(o, x->r, x->in, x->names, done);
    if (x->life && x->deleted && !x->r->deleted && !ora_saw_everything(o, x->r)) {
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
    if (x->life && x->deleted && !r->deleted && ora_children(o, r))
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

int ora_op_resolve(struct oracle *o, const struct tz_op *op)
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
