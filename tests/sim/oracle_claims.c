/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle's word on business keys: who claims what another claims, and which of them become one. From the rules:
 * lists and texts, no hashes, no tables.
 */
#include "oracle_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- keys as texts ---- */

/** The key's conditions: every one names a field that is empty, or holds one of the codes. */
static bool holds(const struct oracle_row *r, const struct tz_key *key)
{
    size_t met = 0;
    for (size_t i = 0; i < key->nwhen; i++) {
        struct tz_value v = r->v[key->when[i].field];
        bool hit = key->when[i].ncodes == 0 && v.kind == TZ_V_NULL;
        for (size_t c = 0; c < key->when[i].ncodes; c++)
            hit = hit || tz_value_is_text(v, key->when[i].codes[c]);
        met += hit;
    }
    return met == key->nwhen;
}

/** What @r claims by its key @k, NULL nothing. */
static const char *claim_of(struct oracle *o, const struct oracle_row *r, size_t k)
{
    const struct tz_key *key = &r->type->keys[k];
    struct tz_buf b;
    bool any = false;
    if (r->deleted || !holds(r, key))
        return NULL;
    tz_buf_init(&b, 1 << 20);
    for (size_t i = 0; i < key->nfields; i++) {
        bool empty = r->v[key->fields[i]].kind == TZ_V_NULL;
        bool needed = r->type->fields[key->fields[i]].required == TZ_REQ_SAVE;
        any = empty && needed ? false : any || !empty;
        if (empty && needed)
            break;
        oracle_spell(&b, "", r->v[key->fields[i]]);
    }
    if (tz_buf_putc(&b, 0))
        abort();
    const char *s = any ? tz_arena_dup(&o->arena, b.p, b.len) : NULL;
    tz_buf_deinit(&b);
    return s;
}

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static bool still_clash(struct oracle *o, const struct oracle_row *a, const struct oracle_row *b)
{
    bool hit = false;
    for (size_t k = 0; k < a->type->nkeys; k++)
        hit = hit || same(claim_of(o, a, k), claim_of(o, b, k));
    return hit;
}

static bool born_before(const struct oracle_row *a, const struct oracle_row *b)
{
    return a->born != b->born ? a->born < b->born : memcmp(a->id.b, b->id.b, TZ_ID_BYTES) < 0;
}

/* ---- cases of two ---- */

static const char *subject_for(struct oracle *o, struct tz_id other)
{
    char text[64];
    char hex[TZ_ID_HEX + 1];
    tz_id_print(other, hex);
    (void)snprintf(text, sizeof text, "duplicate:%s", hex);
    return tz_arena_strdup(&o->arena, text);
}

static void case_of_two(struct oracle *o, struct oracle_row *a, struct oracle_row *b, bool open)
{
    struct oracle_row *first = born_before(a, b) ? a : b;
    struct oracle_row *second = first == a ? b : a;
    const char *subject = subject_for(o, second->id);
    const struct oracle_case *was = ora_case_newest(o, first, subject);
    if (was && (was->open || !open || was->kept))
        return;
    struct oracle_case *c = ora_case_new(o, first, subject, was ? was->generation + 1 : 1, "duplicate");
    c->other = second->id;
    c->open = open;
    o->wrote = true;
}

static void close_gone(struct oracle *o, struct oracle_row *r)
{
    for (size_t i = 0; i < o->ncases; i++) {
        struct oracle_case *c = o->cases[i];
        bool first = c->type == r->type && tz_id_eq(c->id, r->id);
        if (!c->open || strcmp(c->kind, "duplicate") != 0 || c->type != r->type ||
            (!first && !tz_id_eq(c->other, r->id)))
            continue;
        struct oracle_row *x = ora_find(o, r->type, first ? c->other : c->id);
        if (x && !x->deleted && !r->deleted && still_clash(o, r, x))
            continue;
        ora_case_close(o, c);
        if (x)
            x->recheck = true;
    }
}

/* ---- the check ---- */

static bool same_name(struct oracle *o, const struct oracle_row *a, const struct oracle_row *b)
{
    const struct tz_field *f = tz_type_field(a->type, "name");
    if (!f || a->v[f->index].kind != TZ_V_TEXT || b->v[f->index].kind != TZ_V_TEXT)
        return false;
    const char *x = tz_name_fold(&o->arena, a->v[f->index]);
    const char *y = tz_name_fold(&o->arena, b->v[f->index]);
    return x && y && *x && strcmp(x, y) == 0;
}

static const struct oracle_case *case_of_pair(struct oracle *o, const struct oracle_row *a, const struct oracle_row *b)
{
    const struct oracle_row *first = born_before(a, b) ? a : b;
    return ora_case_newest(o, first, subject_for(o, first == a ? b->id : a->id));
}

static bool came_apart(const struct oracle *o, struct tz_id a, struct tz_id b)
{
    bool did = false;
    for (size_t i = 0; i < o->naliases; i++) {
        const struct oalias *x = &o->aliases[i];
        bool pair = (tz_id_eq(x->id, a) && tz_id_eq(x->first, b)) || (tz_id_eq(x->id, b) && tz_id_eq(x->first, a));
        did = did || (pair && x->until != UINT64_MAX);
    }
    return did;
}

/** Nobody has ever had to do with the two as a pair, and the author wrote and may end what he makes one of. */
static bool may_become_one(struct oracle *o, const struct oracle_row *keep, const struct oracle_row *gone)
{
    bool new_pair = !case_of_pair(o, keep, gone) && !came_apart(o, keep->id, gone->id);
    bool own = keep->own == o->round || gone->own == o->round;
    bool his = ora_in_area(o, &keep->area) && ora_in_area(o, &gone->area);
    bool may_end = (gone->type->deleters & o->who.role->editor) || ora_draft(gone);
    return keep->type->auto_merge && new_pair && own && his && may_end && same_name(o, keep, gone);
}

static bool both_stay(struct oracle *o, const struct oracle_row *a, const struct oracle_row *b)
{
    const struct oracle_case *c = case_of_pair(o, a, b);
    return c && c->kept;
}

static bool fields_equal(const struct oracle_row *a, const struct oracle_row *b, const struct tz_key *key)
{
    for (size_t i = 0; i < key->nfields; i++)
        if (!tz_value_eq(a->v[key->fields[i]], b->v[key->fields[i]]))
            return false;
    return true;
}

static struct oracle_row *find_other(struct oracle *o, const struct oracle_row *r, size_t k, bool dead)
{
    struct oracle_row *best = NULL;
    for (size_t i = 0; i < o->nrows; i++) {
        struct oracle_row *x = o->rows[i];
        if (x == r || x->type != r->type || x->deleted != dead || !fields_equal(r, x, &r->type->keys[k]) ||
            (dead && ora_alias(o, x->type, x->id)))
            continue;
        x->deleted = false; /* what a tombstone claimed when it lived */
        bool hit = same(claim_of(o, r, k), claim_of(o, x, k));
        x->deleted = dead;
        if (hit && !(!dead && both_stay(o, r, x)) && (!best || memcmp(x->id.b, best->id.b, TZ_ID_BYTES) < 0))
            best = x;
    }
    return best;
}

/** @r claims something new: who else does? */
static void check_row(struct oracle *o, struct oracle_row *r, bool all)
{
    close_gone(o, r);
    for (size_t k = 0; k < r->type->nkeys; k++) {
        const char *was = r->claims ? r->claims[k] : NULL;
        const char *is = claim_of(o, r, k);
        if (!is || (!all && same(was, is)))
            continue;
        struct oracle_row *x = find_other(o, r, k, false);
        struct oracle_row *tomb = x ? NULL : find_other(o, r, k, true);
        if (tomb)
            case_of_two(o, r, tomb, false);
        if (!x)
            continue;
        struct oracle_row *keep = born_before(r, x) ? r : x;
        if (!may_become_one(o, keep, keep == r ? x : r)) {
            case_of_two(o, r, x, true);
            continue;
        }
        ora_become_one(o, keep, keep == r ? x : r, true);
        if (keep != r) {
            close_gone(o, r);
            return;
        }
    }
}

static bool changed(struct oracle *o, const struct oracle_row *r)
{
    bool any = false;
    for (size_t k = 0; k < r->type->nkeys; k++) {
        const char *was = r->claims ? r->claims[k] : NULL;
        const char *is = claim_of(o, r, k);
        any = any || (was || is ? !same(was, is) : false);
    }
    return any;
}

void ora_own_claims(struct oracle *o)
{
    if (o->target && o->target->type->nkeys && o->target->ver == o->me.ver && changed(o, o->target))
        o->target->own = o->round;
}

static void remember(struct oracle *o, struct oracle_row *r)
{
    r->claims = tz_arena_calloc(&o->arena, r->type->nkeys + 1, sizeof *r->claims);
    for (size_t k = 0; k < r->type->nkeys; k++)
        r->claims[k] = claim_of(o, r, k);
    r->recheck = false;
}

void ora_check_claims(struct oracle *o)
{
    for (size_t round = 0; round < 64 + 4 * o->nrows; round++) {
        struct oracle_row *todo = NULL;
        bool all = false;
        for (size_t i = 0; i < o->nrows && !todo; i++) {
            struct oracle_row *r = o->rows[i];
            bool mine = r->ver == o->me.ver && changed(o, r);
            if (r->type->nkeys && (mine || r->recheck)) {
                todo = r;
                all = r->recheck;
            }
        }
        if (!todo)
            return;
        ora_touch(o, todo);
        check_row(o, todo, all);
        remember(o, todo);
    }
    abort(); /* the claims do not come to rest */
}

/* ---- deciding ---- */

int ora_keep_both(struct oracle *o, const struct tz_op *op, struct oracle_case *c)
{
    const struct oracle_row *a = ora_find(o, c->type, c->id);
    const struct oracle_row *b = ora_find(o, c->type, c->other);
    struct tz_area area = ora_common_area(&a->area, &b->area);
    if (!ora_in_area(o, &area) && !(area.district[0] == '\0'))
        return TZ_E_UNKNOWN_RECORD;
    if (!ora_in_area(o, &area) || !o->who.role->supervises)
        return TZ_E_NO_RIGHT_TYPE;
    if (op->choice != TZ_CHOICE_MINE || op->values.n || op->ncleared || op->field)
        return TZ_E_BAD_OP;
    if (op->generation != c->generation)
        return TZ_E_CASE_STALE;
    if (c->open) {
        ora_case_close(o, c);
        c->kept = true;
    }
    return 0;
}

struct tz_area ora_common_area(const struct tz_area *x, const struct tz_area *y)
{
    struct tz_area out = *x;
    if (tz_area_eq(x, y) || !y->district[0])
        return out;
    if (!x->district[0])
        return *y;
    memset(&out, 0, sizeof out);
    memcpy(out.district, strcmp(x->district, y->district) == 0 ? x->district : "120000", 6);
    return out;
}

size_t oracle_parts(const struct oracle *o, struct tz_id id, struct tz_id *out, size_t max)
{
    size_t n = 1;
    out[0] = id;
    for (size_t at = 0; at < n; at++)
        for (size_t i = 0; i < o->naliases; i++) {
            const struct oalias *a = &o->aliases[i];
            bool known = !tz_id_eq(a->first, out[at]);
            for (size_t k = 0; k < n && !known; k++)
                known = tz_id_eq(out[k], a->id);
            if (!known && n < max)
                out[n++] = a->id;
        }
    return n;
}
