/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle's word on two records that become one, and on how they come apart: lists, no tables, no packed stamps.
 */
#include "oracle_int.h"

#include <stdlib.h>
#include <string.h>

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

struct tz_id ora_speaker(const struct oracle *o, const struct oracle_row *r, size_t i, struct oracle_stamp s)
{
    const struct oracle_row *best = NULL;
    for (size_t k = 0; k < o->naliases && ora_said(s) != s.ver; k++) {
        const struct oalias *a = &o->aliases[k];
        if (a->type != r->type || !tz_id_eq(a->survivor, r->id) || a->until <= o->me.ver)
            continue;
        const struct oracle_row *g = ora_find(o, a->type, a->id);
        bool his = ora_said(g->stamp[i]) == ora_said(s) && tz_value_eq(g->v[i], r->v[i]);
        if (his && (!best || memcmp(g->id.b, best->id.b, TZ_ID_BYTES) < 0))
            best = g;
    }
    return best ? best->id : (struct tz_id){{0}};
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

/* ---- together ---- */

static bool merges(const struct tz_type *t, size_t i)
{
    const struct tz_field *f = &t->fields[i];
    return t->district_field != (int)i && t->street_field != (int)i && t->area_field != (int)i &&
           f->merge == TZ_MERGE_FIELD && f->editors != TZ_ED_S;
}

/** Somebody's word: said after birth, or a value that the catalogue does not give by itself. */
static bool said(const struct oracle_row *r, size_t i)
{
    return ora_said(r->stamp[i]) != r->born ||
           (r->v[i].kind != TZ_V_NULL && !tz_value_eq(r->v[i], r->type->fields[i].dflt));
}

static tz_ver newest_of(const struct oracle_row *r, const bool *which)
{
    tz_ver newest = 0;
    for (size_t i = 0; i < r->type->nfields; i++)
        if (which[i] && ora_said(r->stamp[i]) > newest)
            newest = ora_said(r->stamp[i]);
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
    struct oracle_row was = *keep;
    was.v = tz_arena_dup(&o->arena, keep->v, keep->type->nfields * sizeof *keep->v);
    was.stamp = tz_arena_dup(&o->arena, keep->stamp, keep->type->nfields * sizeof *keep->stamp);
    const struct ocommit *c = ora_commit(o, newest);
    struct ocommit author = c ? *c : (struct ocommit){0};
    author.ver = me.ver;
    o->real = &me;
    o->laid = gone->id;
    o->me = author;
    o->base_ver = saw ? UINT64_MAX : 0;
    o->base_seq = 0;
    ora_merge_set(o, keep, gone->v, which);
    for (size_t i = 0; i < keep->type->nfields; i++) { /* what now stands by it is the word of whoever said it there */
        const struct oracle_stamp *s = &keep->stamp[i];
        bool taken = s->ver == me.ver &&
                     (was.stamp[i].ver != me.ver || was.stamp[i].said != s->said || !tz_value_eq(was.v[i], keep->v[i]));
        if (which[i] && taken)
            keep->stamp[i].said = ora_said(gone->stamp[i]);
    }
    o->real = NULL;
    o->laid = (struct tz_id){{0}};
    o->me = me;
    o->base_ver = base_ver;
    o->base_seq = base_seq;
    o->superseded = superseded;
}

bool ora_draft(const struct oracle_row *r)
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
        bool as_maker = o->who.role->editor == TZ_ED_F && ora_draft(keep) &&
                        strcmp(keep->type->fields[i].name, "status") && (editors & ~(unsigned)TZ_ED_S);
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
        bool words_both = by_itself && !may_write(o, keep, both);
        bool words_alone = by_itself && !may_write(o, keep, alone);
        if (words_both && words_alone && newest_of(gone, both) == newest_of(gone, alone)) { /* one person's one word */
            for (size_t k = 0; k < t->nfields; k++)
                both[k] = both[k] || alone[k];
            memset(alone, 0, sizeof alone);
        }
        if (words_both)
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
        c->went = true;
    }
}

/** Does the word name field @i? Their names come in front, each behind the end of the one before. */
static bool names(const char *values, const char *field)
{
    size_t n = strlen(field);
    for (const char *at = values; (at = strstr(at, field)) != NULL; at++)
        if ((at == values || at[-1] == ';') && at[n] == '=')
            return true;
    return false;
}

/** The survivor's own word, that lost when the two became one and stands again. */
static bool stands_again(struct oracle *o, const struct oracle_row *keep, const struct oracle_candidate *w,
                         const struct oalias *a)
{
    bool which[TZ_FIELDS_MAX] = {false};
    for (size_t i = 0; i < keep->type->nfields; i++)
        which[i] = names(w->values, keep->type->fields[i].name);
    return w->since == a->since && tz_id_is_zero(w->of) &&
           strcmp(w->values, ora_values(o, keep->type, keep->v, which)) == 0;
}

/** What was said of the one that comes out, or of what is part of it, is its own again. */
static void hand_back_cases(struct oracle *o, const struct oalias *a, const struct oracle_row *keep,
                            const struct oracle_row *back)
{
    for (size_t i = 0; i < o->ncases; i++) {
        struct oracle_case *c = o->cases[i];
        if (c->type != keep->type || strcmp(c->kind, "duplicate") == 0)
            continue;
        if (c->went && tz_id_eq(c->id, back->id) && c == ora_case_newest(o, back, c->subject)) {
            ora_touch_case(o, c);
            c->went = false;
            c->open = true;
        }
        if (!c->open || !tz_id_eq(c->id, keep->id))
            continue;
        ora_touch_case(o, c);
        size_t had = c->ncand;
        c->ncand = 0;
        for (size_t k = 0; k < had; k++) {
            const struct oalias *of = ora_alias(o, c->type, c->cand[k].of);
            bool his = tz_id_eq(c->cand[k].of, back->id) || (of && tz_id_eq(of->survivor, back->id));
            if (!his && !stands_again(o, keep, &c->cand[k], a))
                c->cand[c->ncand++] = c->cand[k];
        }
        if (c->ncand == 0 && had && !c->hidden)
            ora_case_close(o, c);
    }
}

static bool points_at(const struct oracle *o, const struct oracle_row *r, size_t i, const struct oracle_row *target)
{
    const struct tz_field *f = &r->type->fields[i];
    return (f->ftype == TZ_FT_REF || f->ftype == TZ_FT_REF_ANY) && r->v[i].kind == TZ_V_BLOB &&
           memcmp(r->v[i].p, target->id.b, TZ_ID_BYTES) == 0 && ora_ref_type(o, r->type, r->v, f) == target->type;
}

/** The reference leads to @to from now on, as the word of whoever said it. */
static void turn(struct oracle *o, struct oracle_row *r, size_t i, const struct oracle_row *to)
{
    struct tz_area a = r->area;
    ora_touch(o, r);
    r->v[i] = tz_value_blob(to->id.b, TZ_ID_BYTES);
    r->stamp[i] = (struct oracle_stamp){o->me.ver, r->stamp[i].resolved, ora_said(r->stamp[i])};
    ora_wrote(o, r);
    if (ora_area_of(o, r->type, r->v, &a) && !tz_area_eq(&a, &r->area)) {
        r->area = a;
        ora_move_dependants(o, r);
    }
}

/** Of the deleted ones too: they may come back. */
static void move_links(struct oracle *o, struct oalias *a, struct oracle_row *gone, struct oracle_row *keep)
{
    size_t n = 0;
    for (size_t k = 0; k < o->nrows; k++)
        for (size_t i = 0; i < o->rows[k]->type->nfields; i++)
            n += points_at(o, o->rows[k], i, gone);
    a->links = tz_arena_calloc(&o->arena, n + 1, sizeof *a->links);
    for (size_t k = 0; k < o->nrows; k++)
        for (size_t i = 0; i < o->rows[k]->type->nfields; i++) {
            if (!points_at(o, o->rows[k], i, gone))
                continue;
            a->links[a->nlinks++] = (struct olink){o->rows[k], i, o->rows[k]->stamp[i].ver, o->me.ver};
            turn(o, o->rows[k], i, keep);
        }
}

static void merge_sets(struct oracle *o, struct oracle_row *keep, const struct oracle_row *gone)
{
    struct tz_bytes v[2 * TZ_SET_ELEMENTS_MAX];
    struct tz_bytes more[TZ_SET_ELEMENTS_MAX];
    size_t at = 0;
    for (size_t i = 0; i < keep->type->nfields; i++) {
        if (keep->type->fields[i].merge != TZ_MERGE_SET)
            continue;
        size_t n = ora_split(keep->v[i], v, TZ_SET_ELEMENTS_MAX);
        size_t nmore = ora_split(gone->v[i], more, TZ_SET_ELEMENTS_MAX);
        for (size_t k = 0; k < nmore; k++) {
            if (!ora_has(v, n, more[k], &at))
                v[n++] = more[k];
            ora_stamp_element(o, keep, i, more[k], o->me.ver);
        }
        keep->v[i] = ora_join(o, v, n);
    }
}

/** What the merge stamped, to see later who has been there since. */
static void note_after(struct oracle *o, const struct oracle_row *keep, struct oalias *a)
{
    size_t n = keep->type->nfields;
    a->after = tz_arena_calloc(&o->arena, n, sizeof *a->after);
    a->el_after = tz_arena_calloc(&o->arena, keep->nel + 1, sizeof *a->el_after);
    for (size_t i = 0; i < n; i++)
        if (keep->stamp[i].ver == o->me.ver)
            a->after[i] = keep->stamp[i];
    for (size_t i = 0; i < keep->nel; i++)
        if (keep->el[i].ver == o->me.ver)
            a->el_after[a->nel_after++] = keep->el[i];
}

void ora_become_one(struct oracle *o, struct oracle_row *keep, struct oracle_row *gone, bool by_itself)
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
    a.before = tz_arena_dup(&o->arena, keep->stamp, n * sizeof *keep->stamp);
    a.el_before = keep->el;
    a.nel_before = keep->nel;
    ora_touch(o, keep);
    ora_touch(o, gone);
    merge_fields(o, keep, gone, by_itself);
    merge_sets(o, keep, gone);
    for (size_t i = 0; i < n; i++)
        if (said(keep, i))
            keep->stamp[i] = (struct oracle_stamp){o->me.ver, keep->stamp[i].resolved, ora_said(keep->stamp[i])};
    note_after(o, keep, &a);
    ora_wrote(o, keep);
    hand_over_cases(o, gone, keep);
    move_links(o, &a, gone, keep);
    gone->deleted = true;
    gone->life = (struct oracle_stamp){.ver = o->me.ver};
    ora_wrote(o, gone);
    a.behind = tz_arena_calloc(&o->arena, o->naliases + 1, sizeof *a.behind);
    for (size_t i = 0; i < o->naliases; i++) /* flat */
        if (o->aliases[i].type == keep->type && tz_id_eq(o->aliases[i].survivor, gone->id) &&
            o->aliases[i].until > o->me.ver) {
            o->aliases[i].survivor = keep->id;
            a.behind[a.nbehind++] = i;
        }
    o->aliases[o->naliases++] = a;
}

/* ---- MERGE ---- */

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

static int op_merge(struct oracle *o, const struct tz_op *op, const struct tz_type *t, struct oracle_row *keep)
{
    struct oracle_row *gone = ora_target(o, t, op->other_id);
    if (!gone || !ora_in_area(o, &gone->area))
        return TZ_E_UNKNOWN_RECORD;
    if (keep == gone)
        return 0;
    if (keep->deleted || gone->deleted)
        return TZ_E_DELETED;
    if (leads_to(o, keep, gone->id) || leads_to(o, gone, keep->id))
        return TZ_E_CYCLE;
    ora_become_one(o, keep, gone, false);
    return 0;
}

/* ---- UNMERGE ---- */

/** The last that became part of @keep and still is. */
static struct oalias *last_into(const struct oracle *o, const struct oracle_row *keep)
{
    for (size_t i = o->naliases; i > 0; i--) {
        struct oalias *a = &o->aliases[i - 1];
        if (a->type == keep->type && tz_id_eq(a->first, keep->id) && a->until > o->me.ver)
            return a;
    }
    return NULL;
}

static bool same_stamp(struct oracle_stamp a, struct oracle_stamp b)
{
    return a.ver == b.ver && ora_said(a) == ora_said(b);
}

static bool untouched(const struct oalias *a, const struct oracle_row *keep, size_t i)
{
    return same_stamp(a->after[i].ver ? a->after[i] : a->before[i], keep->stamp[i]);
}

/** Copies, since a refusal goes back to the old ones. */
static void own_after(struct oracle *o, struct oalias *a, size_t nfields)
{
    a->after = tz_arena_dup(&o->arena, a->after, nfields * sizeof *a->after);
    if (a->nel_after)
        a->el_after = tz_arena_dup(&o->arena, a->el_after, a->nel_after * sizeof *a->el_after);
}

static void give_back_field(struct oracle *o, const struct oalias *a, struct oalias *earlier, struct oracle_row *keep,
                            size_t i, bool *given)
{
    if (!tz_value_eq(keep->v[i], a->was[i])) {
        *given = true;
        keep->v[i] = a->was[i];
        keep->stamp[i] = (struct oracle_stamp){o->me.ver, a->before[i].resolved, ora_said(a->before[i])};
    }
    if (earlier && same_stamp(earlier->after[i].ver ? earlier->after[i] : earlier->before[i], a->before[i]))
        earlier->after[i] = keep->stamp[i]; /* as that one left it, whether or not it wrote there */
}

static void give_back_fields(struct oracle *o, const struct oalias *a, struct oalias *earlier, struct oracle_row *keep,
                             bool *given)
{
    const struct tz_type *t = keep->type;
    for (size_t i = 0; i < t->nfields; i++) {
        bool whole = merges(t, i);
        for (size_t k = 0; k < t->nfields; k++)
            if (k == i || (t->fields[i].group && t->fields[k].group == t->fields[i].group && k > i))
                whole = whole && untouched(a, keep, k);
        for (size_t k = 0; k < i; k++) /* a group was seen to with its first member */
            whole = whole && !(t->fields[i].group && t->fields[k].group == t->fields[i].group);
        for (size_t k = i; k < t->nfields && whole; k++)
            if (k == i || (t->fields[i].group && t->fields[k].group == t->fields[i].group))
                give_back_field(o, a, earlier, keep, k, &given[k]);
    }
}

static struct oracle_element *element(struct oracle_element *v, size_t n, size_t f, struct tz_bytes text)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].field == f && tz_bytes_eq(v[i].text, text))
            return &v[i];
    return NULL;
}

static void give_back_set(struct oracle *o, const struct oalias *a, struct oalias *earlier, struct oracle_row *keep,
                          size_t f)
{
    struct oracle_row before = {.born = keep->born, .el = a->el_before, .nel = a->nel_before};
    struct tz_bytes is[TZ_SET_ELEMENTS_MAX];
    struct tz_bytes was[TZ_SET_ELEMENTS_MAX];
    struct tz_bytes stay[TZ_SET_ELEMENTS_MAX];
    size_t n = ora_split(keep->v[f], is, TZ_SET_ELEMENTS_MAX);
    size_t nwas = ora_split(a->was[f], was, TZ_SET_ELEMENTS_MAX);
    size_t nstay = 0;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const struct oracle_element *left = element(a->el_after, a->nel_after, f, is[i]);
        bool ours = left && left->ver == ora_element_ver(keep, f, is[i]);
        if (!ours || ora_has(was, nwas, is[i], &at))
            stay[nstay++] = is[i];
        struct oracle_element *e = earlier ? element(earlier->el_after, earlier->nel_after, f, is[i]) : NULL;
        if (ours && e && ora_has(was, nwas, is[i], &at) && e->ver == ora_element_ver(&before, f, is[i]))
            e->ver = ora_element_ver(keep, f, is[i]);
    }
    if (nstay == n || (nstay == 0 && keep->type->fields[f].required == TZ_REQ_SAVE))
        return;
    for (size_t i = 0; i < n; i++)
        if (!ora_has(stay, nstay, is[i], &at))
            ora_stamp_element(o, keep, f, is[i], 0);
    keep->v[f] = ora_join(o, stay, nstay);
    keep->stamp[f].ver = o->me.ver;
}

/** Merge @x, an earlier one, finds the reference as it left it. A copy, since a refusal goes back to the old ones. */
static void link_follows(struct oracle *o, struct oalias *x, const struct olink *back)
{
    for (size_t n = 0; n < x->nlinks; n++) {
        if (x->links[n].row != back->row || x->links[n].field != back->field || x->links[n].ver != back->before)
            continue;
        x->links = tz_arena_dup(&o->arena, x->links, x->nlinks * sizeof *x->links);
        x->links[n].ver = o->me.ver;
    }
}

static void give_back_links(struct oracle *o, struct oalias *a, struct oracle_row *keep, struct oracle_row *back)
{
    for (size_t i = 0; i < a->nlinks; i++) {
        struct oracle_row *r = a->links[i].row;
        size_t f = a->links[i].field;
        if (r->stamp[f].ver != a->links[i].ver || !points_at(o, r, f, keep) || ora_gone(o, r->type, r->id))
            continue;
        turn(o, r, f, back);
        for (size_t k = 0; k < o->naliases; k++)
            if (&o->aliases[k] != a)
                link_follows(o, &o->aliases[k], &a->links[i]);
    }
}

/** What the survivor refers to again lives, and so does what the returning record refers to. */
static void settle(struct oracle *o, struct oracle_row *keep, struct oracle_row *back, const bool *given)
{
    struct oracle_row only = *keep;
    only.v = tz_arena_dup(&o->arena, keep->v, keep->type->nfields * sizeof *keep->v);
    for (size_t i = 0; i < keep->type->nfields; i++) {
        enum tz_ftype f = keep->type->fields[i].ftype;
        if (!given[i] && (f == TZ_FT_REF || f == TZ_FT_REF_ANY))
            only.v[i] = tz_value_null();
    }
    o->depth = 1;
    ora_revive_parents(o, back);
    if (!keep->deleted)
        ora_revive_parents(o, &only);
}

static int op_unmerge(struct oracle *o, const struct tz_op *op, const struct tz_type *t, struct oracle_row *keep)
{
    struct oracle_row *back = ora_find(o, t, op->other_id);
    bool given[TZ_FIELDS_MAX] = {false};
    bool all[TZ_FIELDS_MAX];
    if (!back || !ora_in_area(o, &back->area))
        return TZ_E_UNKNOWN_RECORD;
    struct oalias *a = ora_alias(o, t, op->other_id);
    if (!a || !tz_id_eq(a->survivor, keep->id))
        return TZ_E_NOT_DELETED;
    if (last_into(o, keep) != a)
        return TZ_E_UNMERGE_ORDER;
    ora_touch(o, back);
    ora_touch(o, keep);
    back->deleted = false;
    back->life = (struct oracle_stamp){.ver = o->me.ver};
    ora_wrote(o, back);
    a->until = o->me.ver;
    struct oalias *earlier = last_into(o, keep);
    if (earlier)
        own_after(o, earlier, t->nfields);
    give_back_links(o, a, keep, back);
    for (size_t i = 0; i < a->nbehind; i++)
        if (tz_id_eq(o->aliases[a->behind[i]].survivor, keep->id))
            o->aliases[a->behind[i]].survivor = back->id;
    memset(all, true, sizeof all);
    a->was = tz_arena_dup(&o->arena, a->was, t->nfields * sizeof *a->was);
    ora_redirect(o, t, a->was, all);
    give_back_fields(o, a, earlier, keep, given);
    for (size_t i = 0; i < t->nfields; i++)
        if (t->fields[i].merge == TZ_MERGE_SET)
            give_back_set(o, a, earlier, keep, i);
    ora_wrote(o, keep);
    hand_back_cases(o, a, keep, back);
    settle(o, keep, back, given);
    return leads_to(o, back, back->id) || leads_to(o, keep, keep->id) ? TZ_E_CYCLE : 0;
}

int ora_op_merge(struct oracle *o, const struct tz_op *op, const struct tz_type *t)
{
    if (!may_merge(o, t) || t->nsteps)
        return TZ_E_NO_RIGHT_TYPE;
    struct oracle_row *keep = ora_target(o, t, op->id);
    if (!keep || !ora_in_area(o, &keep->area))
        return TZ_E_UNKNOWN_RECORD;
    return op->kind == TZ_OP_MERGE ? op_merge(o, op, t, keep) : op_unmerge(o, op, t, keep);
}
