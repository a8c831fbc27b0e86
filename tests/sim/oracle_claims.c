/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle's word on business keys: who claims what another claims, which of them become one, and how they come
 * apart. From the rules: lists and texts, no hashes, no tables.
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

/* ---- aliases ---- */

struct oalias *ora_alias(const struct oracle *o, const struct tz_type *t, struct tz_id id)
{
    for (size_t i = 0; i < o->naliases; i++)
        if (o->aliases[i].type == t && tz_id_eq(o->aliases[i].id, id) && o->aliases[i].until > o->me.ver)
            return &o->aliases[i];
    return NULL;
}

struct oracle_row *ora_target(const struct oracle *o, const struct tz_type *t, struct tz_id id)
{
    struct oracle_row *r = ora_find(o, t, id);
    const struct oalias *a = r && r->deleted ? ora_alias(o, t, id) : NULL;
    return a ? ora_find(o, t, a->survivor) : r;
}

void ora_redirect(struct oracle *o, const struct tz_type *t, struct tz_value *v, const bool *names)
{
    for (size_t i = 0; i < t->nfields; i++) {
        const struct tz_field *f = &t->fields[i];
        if (!names[i] || (f->ftype != TZ_FT_REF && f->ftype != TZ_FT_REF_ANY) || v[i].kind != TZ_V_BLOB)
            continue;
        const struct tz_type *target = ora_ref_type(o, t, v, f);
        struct tz_id id;
        memcpy(id.b, v[i].p, TZ_ID_BYTES);
        const struct oalias *a = target ? ora_alias(o, target, id) : NULL;
        if (a)
            v[i] = tz_value_blob(tz_arena_dup(&o->arena, a->survivor.b, TZ_ID_BYTES), TZ_ID_BYTES);
    }
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

/* ---- together ---- */

static bool merges(const struct tz_type *t, size_t i)
{
    const struct tz_field *f = &t->fields[i];
    return t->district_field != (int)i && t->street_field != (int)i && t->area_field != (int)i &&
           f->merge == TZ_MERGE_FIELD && f->editors != TZ_ED_S;
}

/** Somebody's word: written after birth, or a value that the catalogue does not give by itself. */
static bool said(const struct oracle_row *r, size_t i)
{
    return r->stamp[i].ver != r->born || (r->v[i].kind != TZ_V_NULL && !tz_value_eq(r->v[i], r->type->fields[i].dflt));
}

static tz_ver newest_of(const struct oracle_row *r, const bool *which)
{
    tz_ver newest = 0;
    for (size_t i = 0; i < r->type->nfields; i++)
        if (which[i] && r->stamp[i].ver > newest)
            newest = r->stamp[i].ver;
    return newest;
}

/** The fields @which of @gone, as a word of whoever wrote them, laid over @keep. */
static void lay_over(struct oracle *o, struct oracle_row *keep, const struct oracle_row *gone, const bool *which,
                     bool saw)
{
    struct ocommit me = o->me;
    tz_ver base_ver = o->base_ver;
    uint64_t base_seq = o->base_seq;
    bool superseded = o->superseded;
    tz_ver newest = newest_of(gone, which);
    if (!newest)
        return;
    const struct ocommit *c = ora_commit(o, newest);
    struct ocommit author = c ? *c : (struct ocommit){0};
    author.ver = me.ver;
    o->real = &me;
    o->laid = gone->id;
    o->me = author;
    o->base_ver = saw ? UINT64_MAX : 0;
    o->base_seq = 0;
    ora_merge_set(o, keep, gone->v, which);
    o->real = NULL;
    o->laid = (struct tz_id){{0}};
    o->me = me;
    o->base_ver = base_ver;
    o->base_seq = base_seq;
    o->superseded = superseded;
}

/** Nobody has taken it over from who made it. */
static bool draft(const struct oracle_row *r)
{
    const struct tz_field *status = tz_type_field(r->type, "status");
    return status && status->dflt.kind != TZ_V_NULL && tz_value_eq(r->v[status->index], status->dflt);
}

/** May the author, by what he did to one of two records, change @which of the one that stays? */
static bool may_write(const struct oracle *o, const struct oracle_row *keep, const bool *which)
{
    bool may = true;
    for (size_t i = 0; i < keep->type->nfields; i++) {
        unsigned editors = keep->type->fields[i].editors;
        bool as_maker = o->who.role->editor == TZ_ED_F && draft(keep) && strcmp(keep->type->fields[i].name, "status") &&
                        (editors & ~(unsigned)TZ_ED_S);
        may = may && (!which[i] || (editors & o->who.role->editor) || as_maker);
    }
    return may;
}

/** What the survivor says stays; the other's words, where they differ, are one candidate for each field or group. */
static void only_words(struct oracle *o, struct oracle_row *keep, const struct oracle_row *gone, const bool *which)
{
    const struct tz_type *t = keep->type;
    struct tz_value v[TZ_FIELDS_MAX];
    bool differs[TZ_FIELDS_MAX] = {false};
    const char *subject = NULL;
    const struct tz_group *date = NULL;
    for (size_t i = 0; i < t->nfields; i++) {
        uint16_t g = t->fields[i].group;
        v[i] = gone->v[i];
        if (!which[i] || (g && t->groups[g - 1].as_of == i) || tz_value_eq(keep->v[i], v[i]))
            continue;
        differs[i] = true;
        subject = ora_subject(t, i);
        date = g ? &t->groups[g - 1] : NULL;
    }
    if (!subject)
        return;
    if (date) { /* the date goes with what it dates */
        differs[date->as_of] = true;
        v[date->as_of] = which[date->as_of] ? gone->v[date->as_of] : keep->v[date->as_of];
    }
    const struct ocommit *c = ora_commit(o, newest_of(gone, which));
    struct oracle_candidate word = ora_candidate(o, c, ora_values(o, t, v, differs));
    word.ver = o->me.ver;
    word.of = gone->id;
    ora_case_join(o, keep, subject, "conflict", word);
}

static void merge_fields(struct oracle *o, struct oracle_row *keep, const struct oracle_row *gone, bool by_itself)
{
    const struct tz_type *t = keep->type;
    bool done[TZ_FIELDS_MAX] = {false};
    for (size_t i = 0; i < t->nfields; i++) {
        bool alone[TZ_FIELDS_MAX] = {false};
        bool both[TZ_FIELDS_MAX] = {false};
        bool any = false;
        uint16_t g = t->fields[i].group;
        if (done[i] || !merges(t, i))
            continue;
        for (size_t k = i; k < t->nfields; k++) {
            if ((k != i && (!g || t->fields[k].group != g)) || !merges(t, k))
                continue;
            done[k] = true;
            if (!said(gone, k))
                continue;
            alone[k] = !said(keep, k);
            both[k] = !alone[k];
            any = any || both[k];
        }
        if (any && g) {
            size_t as_of = t->groups[g - 1].as_of;
            both[as_of] = both[as_of] || alone[as_of];
            alone[as_of] = false;
        }
        if (by_itself && !may_write(o, keep, both))
            only_words(o, keep, gone, both);
        else
            lay_over(o, keep, gone, both, false);
        if (by_itself && !may_write(o, keep, alone))
            only_words(o, keep, gone, alone);
        else
            lay_over(o, keep, gone, alone, true);
    }
}

static void hand_over_cases(struct oracle *o, struct oracle_row *gone, struct oracle_row *keep)
{
    for (size_t i = 0, n = o->ncases; i < n; i++) {
        struct oracle_case *c = o->cases[i];
        if (!c->open || c->type != gone->type || !tz_id_eq(c->id, gone->id) || strcmp(c->kind, "duplicate") == 0)
            continue;
        for (size_t k = 0; k < c->ncand && strcmp(c->subject, "_deleted") != 0; k++) {
            struct oracle_candidate again = c->cand[k];
            again.since = o->me.ver;
            if (tz_id_is_zero(again.of))
                again.of = gone->id;
            ora_case_join(o, keep, c->subject, strcmp(c->kind, "late_scope") == 0 ? c->kind : "conflict", again);
        }
        ora_case_close(o, c);
    }
}

static bool points_at(const struct oracle *o, const struct oracle_row *r, size_t i, const struct oracle_row *target)
{
    const struct tz_field *f = &r->type->fields[i];
    return (f->ftype == TZ_FT_REF || f->ftype == TZ_FT_REF_ANY) && r->v[i].kind == TZ_V_BLOB &&
           memcmp(r->v[i].p, target->id.b, TZ_ID_BYTES) == 0 && ora_ref_type(o, r->type, r->v, f) == target->type;
}

static void turn(struct oracle *o, struct oracle_row *r, size_t i, const struct oracle_row *to)
{
    struct tz_area a = r->area;
    ora_touch(o, r);
    r->v[i] = tz_value_blob(to->id.b, TZ_ID_BYTES);
    r->stamp[i] = (struct oracle_stamp){o->me.ver, false};
    ora_wrote(o, r);
    if (ora_area_of(o, r->type, r->v, &a) && !tz_area_eq(&a, &r->area)) {
        r->area = a;
        ora_move_dependants(o, r);
    }
}

static void move_links(struct oracle *o, struct oalias *a, struct oracle_row *gone, struct oracle_row *keep)
{
    for (size_t n = 0; n < o->nrows; n++)
        for (size_t i = 0; i < o->rows[n]->type->nfields; i++) {
            if (o->rows[n]->deleted || !points_at(o, o->rows[n], i, gone))
                continue;
            turn(o, o->rows[n], i, keep);
            ORACLE_GROW(a->links, a->nlinks, a->links_cap);
            a->links[a->nlinks++] = (struct olink){o->rows[n], i};
        }
}

static void become_one(struct oracle *o, struct oracle_row *keep, struct oracle_row *gone, bool by_itself)
{
    size_t n = keep->type->nfields;
    ORACLE_GROW(o->aliases, o->naliases, o->aliases_cap);
    struct oalias a = {.type = keep->type,
                       .id = gone->id,
                       .survivor = keep->id,
                       .first = keep->id,
                       .since = o->me.ver,
                       .until = UINT64_MAX};
    a.was = tz_arena_dup(&o->arena, keep->v, n * sizeof *keep->v);
    ora_touch(o, keep);
    ora_touch(o, gone);
    merge_fields(o, keep, gone, by_itself);
    for (size_t i = 0; i < n; i++)
        if (said(keep, i))
            keep->stamp[i].ver = o->me.ver;
    ora_wrote(o, keep);
    hand_over_cases(o, gone, keep);
    move_links(o, &a, gone, keep);
    gone->deleted = true;
    gone->life = (struct oracle_stamp){o->me.ver, false};
    ora_wrote(o, gone);
    for (size_t i = 0; i < o->naliases; i++) /* flat */
        if (o->aliases[i].type == keep->type && tz_id_eq(o->aliases[i].survivor, gone->id) &&
            o->aliases[i].until > o->me.ver) {
            o->aliases[i].survivor = keep->id;
            a.behind |= UINT64_C(1) << (i & 63);
        }
    o->aliases[o->naliases++] = a;
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
    bool may_end = (gone->type->deleters & o->who.role->editor) || draft(gone);
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
        become_one(o, keep, keep == r ? x : r, true);
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

/* ---- MERGE, UNMERGE ---- */

static bool may_merge(const struct oracle *o, const struct tz_type *t)
{
    return o->who.role->supervises && !t->append && !t->local && (t->creators & (TZ_ED_F | TZ_ED_D | TZ_ED_C));
}

static bool is_parent(const struct tz_type *t, size_t i)
{
    return t->fields[i].ref == t && t->fields[i].ftype == TZ_FT_REF && t->fields[i].on_delete == TZ_OD_BLOCKS;
}

static bool leads_to(const struct oracle *o, const struct oracle_row *r, struct tz_id other)
{
    for (size_t i = 0; i < r->type->nfields; i++) {
        const struct oracle_row *at = r;
        for (int up = 0; up < 64 && at && is_parent(r->type, i) && at->v[i].kind == TZ_V_BLOB; up++) {
            struct tz_id id;
            memcpy(id.b, at->v[i].p, TZ_ID_BYTES);
            if (tz_id_eq(id, other))
                return true;
            at = ora_find(o, r->type, id);
        }
    }
    return false;
}

bool ora_circle(const struct oracle *o, const struct oracle_row *r, const bool *names)
{
    for (size_t i = 0; i < r->type->nfields; i++) {
        struct tz_id up;
        if (!names[i] || !is_parent(r->type, i) || r->v[i].kind != TZ_V_BLOB)
            continue;
        memcpy(up.b, r->v[i].p, TZ_ID_BYTES);
        const struct oracle_row *p = ora_find(o, r->type, up);
        if (tz_id_eq(up, r->id) || (p && leads_to(o, p, r->id)))
            return true;
    }
    return false;
}

int ora_op_merge(struct oracle *o, const struct tz_op *op, const struct tz_type *t)
{
    if (!may_merge(o, t))
        return TZ_E_NO_RIGHT_TYPE;
    struct oracle_row *keep = ora_target(o, t, op->id);
    struct oracle_row *gone = ora_target(o, t, op->other_id);
    if (!keep || !ora_in_area(o, &keep->area) || !gone || !ora_in_area(o, &gone->area))
        return TZ_E_UNKNOWN_RECORD;
    if (op->kind == TZ_OP_MERGE) {
        if (keep == gone)
            return 0;
        if (keep->deleted || gone->deleted)
            return TZ_E_DELETED;
        if (leads_to(o, keep, gone->id) || leads_to(o, gone, keep->id))
            return TZ_E_CYCLE;
        become_one(o, keep, gone, false);
        return 0;
    }
    struct oalias *a = ora_alias(o, t, op->other_id);
    struct oracle_row *back = ora_find(o, t, op->other_id);
    if (!a || !tz_id_eq(a->survivor, keep->id))
        return TZ_E_NOT_DELETED;
    ora_touch(o, back);
    ora_touch(o, keep);
    back->deleted = false;
    back->life = (struct oracle_stamp){o->me.ver, false};
    ora_wrote(o, back);
    a->until = o->me.ver;
    for (size_t i = 0; i < a->nlinks; i++) {
        struct oracle_row *r = a->links[i].row;
        size_t f = a->links[i].field;
        if (r->stamp[f].ver == a->since && points_at(o, r, f, keep)) /* a deleted one too: it may come back */
            turn(o, r, f, back);
    }
    for (size_t i = 0; i < o->naliases; i++)
        if (&o->aliases[i] != a && (a->behind >> (i & 63) & 1) && tz_id_eq(o->aliases[i].survivor, keep->id))
            o->aliases[i].survivor = back->id;
    for (size_t i = 0; i < t->nfields; i++) {
        if ((!merges(t, i) && t->fields[i].merge != TZ_MERGE_SET) || tz_value_eq(keep->v[i], a->was[i]) ||
            keep->stamp[i].ver != a->since)
            continue;
        keep->v[i] = a->was[i];
        keep->stamp[i] = (struct oracle_stamp){o->me.ver, false};
    }
    ora_wrote(o, keep);
    return 0;
}

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
