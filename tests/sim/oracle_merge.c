/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle's merge: fields, groups, life, cases. Written from the rules, not from the product: who saw what goes
 * first; then as-of dates for groups; then (effective time, device); whatever loses goes into a case.
 */
#include "oracle_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct ocommit *ora_commit(const struct oracle *o, tz_ver ver)
{
    if (o->cs && ver == o->me.ver)
        return o->real ? o->real : &o->me;
    size_t lo = 0; /* they are in the order of versions */
    size_t hi = o->ncommits;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (o->commits[mid].ver < ver)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < o->ncommits && o->commits[lo].ver == ver ? &o->commits[lo] : NULL;
}

bool ora_saw(const struct oracle *o, tz_ver stamp, tz_ver base_ver, uint64_t base_seq)
{
    if (stamp <= base_ver)
        return true;
    const struct ocommit *c = ora_commit(o, stamp);
    return c && c->device == o->me.device && c->seq <= base_seq &&
           c->incarnation == oracle_owner(o, o->me.device, o->me.incarnation, c->seq);
}

static bool saw(const struct oracle *o, tz_ver stamp)
{
    return ora_saw(o, stamp, o->base_ver, o->base_seq);
}

tz_ver ora_said(struct oracle_stamp s)
{
    return s.said ? s.said : s.ver;
}

/* ---- undo ---- */

void ora_touch(struct oracle *o, struct oracle_row *r)
{
    if (r->journal == o->mark)
        return;
    ORACLE_GROW(o->undo, o->nundo, o->undo_cap);
    struct oundo *u = &o->undo[o->nundo++];
    *u = (struct oundo){.row = r, .was = *r};
    size_t n = r->type->nfields;
    u->was.v = tz_arena_dup(&o->arena, r->v, n * sizeof *r->v);
    u->was.stamp = tz_arena_dup(&o->arena, r->stamp, n * sizeof *r->stamp);
    r->journal = o->mark;
}

void ora_touch_case(struct oracle *o, struct oracle_case *c)
{
    if (c->journal == o->mark)
        return;
    ORACLE_GROW(o->undo, o->nundo, o->undo_cap);
    struct oundo *u = &o->undo[o->nundo++];
    *u = (struct oundo){.cas = c, .cwas = *c};
    if (c->ncand)
        u->cwas.cand = tz_arena_dup(&o->arena, c->cand, c->ncand * sizeof *c->cand);
    u->cwas.cap = c->ncand;
    c->journal = o->mark;
}

/** Rows and cases made since are emptied of meaning by type NULL; they are dropped by the caller's counts. */
void ora_undo_to(struct oracle *o, size_t at)
{
    while (o->nundo > at) {
        struct oundo *u = &o->undo[--o->nundo];
        if (u->row)
            *u->row = u->was;
        else
            *u->cas = u->cwas;
    }
    o->mark++;
}

void ora_wrote(struct oracle *o, struct oracle_row *r)
{
    r->ver = o->me.ver;
    o->wrote = true;
}

/* ---- areas ---- */

static bool descend(struct oracle *o, unsigned max)
{
    o->too_deep = o->too_deep || o->depth >= max;
    o->depth += !o->too_deep;
    return !o->too_deep;
}

void ora_move_dependants(struct oracle *o, struct oracle_row *r)
{
    enum { DOWN_MAX = 16 };
    if (!descend(o, DOWN_MAX))
        return;
    for (size_t i = 0; i < o->nrows; i++) {
        struct oracle_row *c = o->rows[i];
        if (c->type->area != TZ_AREA_PARENT)
            continue;
        struct tz_value v = c->v[c->type->area_field];
        if (v.kind != TZ_V_BLOB || memcmp(v.p, r->id.b, TZ_ID_BYTES) != 0 ||
            ora_ref_type(o, c->type, c->v, &c->type->fields[c->type->area_field]) != r->type)
            continue;
        struct tz_area a;
        if (!ora_area_of(o, c->type, c->v, &a) || tz_area_eq(&a, &c->area))
            continue;
        ora_touch(o, c);
        c->area = a;
        ora_wrote(o, c);
        ora_move_dependants(o, c);
    }
    o->depth--;
}

/* ---- cases ---- */

void oracle_spell(struct tz_buf *out, const char *name, struct tz_value v)
{
    int rc = tz_buf_printf(out, "%s=", name);
    if (v.kind == TZ_V_INT)
        rc |= tz_buf_printf(out, "%lld;", (long long)v.i);
    else if (v.kind == TZ_V_TEXT)
        rc |= tz_buf_printf(out, "\"%.*s\";", (int)v.n, (const char *)v.p);
    else if (v.kind == TZ_V_NULL)
        rc |= tz_buf_puts(out, "null;");
    else {
        rc |= tz_buf_puts(out, "\"");
        for (size_t i = 0; i < v.n; i++)
            rc |= tz_buf_printf(out, "%02x", v.p[i]);
        rc |= tz_buf_puts(out, "\";");
    }
    if (rc)
        abort();
}

const char *ora_values(struct oracle *o, const struct tz_type *t, const struct tz_value *v, const bool *which)
{
    bool done[TZ_FIELDS_MAX] = {false};
    struct tz_buf b;
    tz_buf_init(&b, 1 << 20);
    for (;;) {
        size_t best = t->nfields;
        for (size_t i = 0; i < t->nfields; i++)
            if (which[i] && !done[i] && (best == t->nfields || strcmp(t->fields[i].name, t->fields[best].name) < 0))
                best = i;
        if (best == t->nfields)
            break;
        done[best] = true;
        oracle_spell(&b, t->fields[best].name, v[best]);
    }
    if (tz_buf_putc(&b, 0))
        abort();
    const char *s = tz_arena_dup(&o->arena, b.p, b.len);
    tz_buf_deinit(&b);
    return s;
}

const char *ora_subject(const struct tz_type *t, size_t field)
{
    uint16_t g = t->fields[field].group;
    return g ? t->groups[g - 1].name : t->fields[field].name;
}

struct oracle_case *ora_case_newest(const struct oracle *o, const struct oracle_row *r, const char *subject)
{
    struct oracle_case *best = NULL;
    for (size_t i = 0; i < o->ncases; i++) {
        struct oracle_case *c = o->cases[i];
        if (c->type == r->type && tz_id_eq(c->id, r->id) && strcmp(c->subject, subject) == 0 &&
            (!best || c->generation > best->generation))
            best = c;
    }
    return best;
}

struct oracle_candidate ora_candidate(const struct oracle *o, const struct ocommit *author, const char *values)
{
    struct oracle_candidate c = {.since = o->me.ver, .values = values};
    if (author) {
        c.device = author->device;
        c.incarnation = author->incarnation;
        c.seq = author->seq;
        c.user = author->user;
        c.ver = author->ver;
    }
    return c;
}

struct oracle_case *ora_case_new(struct oracle *o, const struct oracle_row *r, const char *subject, uint32_t generation,
                                 const char *kind)
{
    struct oracle_case *c = tz_arena_calloc(&o->arena, 1, sizeof *c);
    ORACLE_GROW(o->cases, o->ncases, o->cases_cap);
    *c = (struct oracle_case){.type = r->type,
                              .id = r->id,
                              .subject = subject,
                              .generation = generation,
                              .open = true,
                              .kind = kind,
                              .born = o->me.ver,
                              .area = r->area,
                              .journal = o->mark};
    o->cases[o->ncases++] = c;
    return c;
}

void ora_case_join(struct oracle *o, const struct oracle_row *r, const char *subject, const char *kind,
                   struct oracle_candidate cand)
{
    struct oracle_case *c = ora_case_newest(o, r, subject);
    if (!c || !c->open)
        c = ora_case_new(o, r, subject, c ? c->generation + 1 : 1, kind);
    o->wrote = true;
    ora_touch_case(o, c);
    if (strcmp(kind, "late_scope") == 0)
        c->kind = kind;
    for (size_t i = 0; i < c->ncand; i++)
        if (c->cand[i].device == cand.device && c->cand[i].incarnation == cand.incarnation &&
            tz_id_eq(c->cand[i].user, cand.user) && tz_id_eq(c->cand[i].of, cand.of) && c->cand[i].ver <= cand.ver) {
            c->cand[i] = cand;
            return;
        }
    if (c->ncand == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 4;
        struct oracle_candidate *v = tz_arena_calloc(&o->arena, c->cap, sizeof *v);
        if (c->ncand)
            memcpy(v, c->cand, c->ncand * sizeof *v);
        c->cand = v;
    }
    if (c->ncand < 64)
        c->cand[c->ncand++] = cand;
    else
        c->hidden++;
}

void ora_case_close(struct oracle *o, struct oracle_case *c)
{
    ora_touch_case(o, c);
    c->open = false;
    o->wrote = true;
}

void ora_case_life(struct oracle *o, const struct oracle_row *r, const struct ocommit *author, const char *values)
{
    ora_case_join(o, r, "_deleted", "deleted", ora_candidate(o, author, values));
}

/* ---- fields and groups ---- */

struct loss {
    bool lost_by_edit[TZ_FIELDS_MAX], lost_standing[TZ_FIELDS_MAX];
    tz_ver author[TZ_FIELDS_MAX];   /* of a standing value that lost */
    struct tz_id of[TZ_FIELDS_MAX]; /* the record it was said of, where that is another */
    struct tz_value was[TZ_FIELDS_MAX], was_as_of[TZ_FIELDS_MAX];
};

static bool edit_is_later(const struct oracle *o, tz_ver stamp)
{
    const struct ocommit *c = ora_commit(o, stamp);
    tz_hlc eff = c ? c->effective : 0;
    uint32_t device = c ? c->device : 0;
    return o->me.effective != eff ? o->me.effective > eff : o->me.device > device;
}

static void write_field(struct oracle *o, struct oracle_row *r, size_t i, struct tz_value v)
{
    r->v[i] = v;
    r->stamp[i] = (struct oracle_stamp){.ver = o->me.ver};
    ora_wrote(o, r);
}

/** Did the edit see field @i? Also what its author left empty when he made the record anew while the edit waited. */
static bool saw_field(const struct oracle *o, const struct oracle_row *r, size_t i)
{
    const struct ocommit *born = ora_commit(o, r->born);
    bool anew = o->waited && born && born->device == o->me.device && born->incarnation == o->me.incarnation &&
                born->seq > o->me.seq;
    return saw(o, r->stamp[i].ver) || (anew && r->stamp[i].ver == r->born && r->v[i].kind == TZ_V_NULL);
}

/** @date: 1 the edit's as-of is later, -1 earlier, 0 nothing. */
static void merge_one(struct oracle *o, struct oracle_row *r, size_t i, struct tz_value v, int date, struct loss *l)
{
    bool same = tz_value_eq(r->v[i], v);
    struct oracle_stamp s = r->stamp[i];
    if (saw_field(o, r, i)) {
        if (!same)
            write_field(o, r, i, v);
        return;
    }
    bool later = edit_is_later(o, ora_said(s));
    if (same) {
        if (later && !s.resolved)
            write_field(o, r, i, v);
        return;
    }
    if (!s.resolved && (date ? date > 0 : later)) {
        l->lost_standing[i] = true;
        l->author[i] = ora_said(s);
        l->of[i] = ora_speaker(o, r, i, s);
        l->was[i] = r->v[i];
        write_field(o, r, i, v);
        return;
    }
    l->lost_by_edit[i] = true;
    o->superseded = true;
}

static int date_cmp(struct tz_value a, struct tz_value b)
{
    /* canonical dates compare as text once the missing parts are the first day; then the finer one is greater */
    char x[11] = "0000-00-00";
    char y[11] = "0000-00-00";
    static const char FIRST[] = "0000-01-01";
    if (a.kind == TZ_V_TEXT) {
        memcpy(x, FIRST, 10);
        memcpy(x, a.p, a.n < 10 ? a.n : 10);
    }
    if (b.kind == TZ_V_TEXT) {
        memcpy(y, FIRST, 10);
        memcpy(y, b.p, b.n < 10 ? b.n : 10);
    }
    int c = memcmp(x, y, 10);
    if (c)
        return c > 0 ? 1 : -1;
    size_t na = a.kind == TZ_V_TEXT ? a.n : 0;
    size_t nb = b.kind == TZ_V_TEXT ? b.n : 0;
    return na == nb ? 0 : na > nb ? 1 : -1;
}

static void merge_group(struct oracle *o, struct oracle_row *r, uint16_t g, const struct tz_value *in,
                        const bool *names, struct loss *l)
{
    const struct tz_type *t = r->type;
    size_t as_of = t->groups[g - 1].as_of;
    struct tz_value had = r->v[as_of];
    struct oracle_stamp had_stamp = r->stamp[as_of];
    bool had_saw = saw_field(o, r, as_of);
    int date = names[as_of] ? date_cmp(in[as_of], had) : 0;
    bool concurrent = false;
    for (size_t i = 0; i < t->nfields; i++)
        if (names[i] && t->fields[i].group == g && !saw_field(o, r, i))
            concurrent = true;
    for (size_t i = 0; i < t->nfields; i++)
        if (names[i] && t->fields[i].group == g && i != as_of) {
            merge_one(o, r, i, in[i], date, l);
            l->was_as_of[i] = had;
        }
    if (!names[as_of])
        return;
    if (!concurrent) {
        if (!tz_value_eq(had, in[as_of]))
            write_field(o, r, as_of, in[as_of]);
    } else if (!had_saw && had_stamp.resolved) {
        return;
    } else if (date > 0 || (date == 0 && !had_saw && edit_is_later(o, ora_said(had_stamp)))) {
        write_field(o, r, as_of, in[as_of]);
    }
}

/** One candidate per (subject, author). */
static void losses_to_cases(struct oracle *o, struct oracle_row *r, const struct tz_value *in, const bool *names,
                            struct loss *l)
{
    const struct tz_type *t = r->type;
    for (size_t i = 0; i < t->nfields; i++) {
        if (!l->lost_by_edit[i] && !l->lost_standing[i])
            continue;
        bool mine = l->lost_by_edit[i];
        uint16_t g = t->fields[i].group;
        bool which[TZ_FIELDS_MAX] = {false};
        struct tz_value v[TZ_FIELDS_MAX];
        const struct ocommit *author = mine ? &o->me : ora_commit(o, l->author[i]);
        tz_ver author_ver = mine ? 0 : l->author[i];
        struct tz_id of = mine ? o->laid : l->of[i];
        for (size_t k = i; k < t->nfields; k++) {
            bool same = k == i || (g && t->fields[k].group == g);
            if (!same || (mine ? !l->lost_by_edit[k]
                               : !l->lost_standing[k] || l->author[k] != author_ver || !tz_id_eq(l->of[k], of)))
                continue;
            which[k] = true;
            v[k] = mine ? in[k] : l->was[k];
            if (mine)
                l->lost_by_edit[k] = false;
            else
                l->lost_standing[k] = false;
        }
        if (g) {
            size_t as_of = t->groups[g - 1].as_of;
            which[as_of] = true;
            v[as_of] = mine && names[as_of] ? in[as_of] : l->was_as_of[i];
        }
        struct oracle_candidate word = ora_candidate(o, author, ora_values(o, t, v, which));
        word.of = of;
        ora_case_join(o, r, ora_subject(t, i), "conflict", word);
    }
}

void ora_merge_set(struct oracle *o, struct oracle_row *r, const struct tz_value *in, const bool *names)
{
    const struct tz_type *t = r->type;
    struct loss l;
    memset(&l, 0, sizeof l);
    ora_touch(o, r);
    for (size_t i = 0; i < t->nfields; i++)
        if (names[i] && !t->fields[i].group)
            merge_one(o, r, i, in[i], 0, &l);
    for (uint16_t g = 1; g <= t->ngroups; g++)
        merge_group(o, r, g, in, names, &l);
    losses_to_cases(o, r, in, names, &l);
}

/* ---- life ---- */

void ora_revive_parents(struct oracle *o, struct oracle_row *r)
{
    const struct tz_type *t = r->type;
    for (size_t i = 0; i < t->nfields; i++) {
        const struct tz_field *f = &t->fields[i];
        if ((f->ftype != TZ_FT_REF && f->ftype != TZ_FT_REF_ANY) || f->on_delete == TZ_OD_IGNORES ||
            r->v[i].kind != TZ_V_BLOB)
            continue;
        const struct tz_type *pt = ora_ref_type(o, t, r->v, f);
        struct tz_id id;
        memcpy(id.b, r->v[i].p, TZ_ID_BYTES);
        struct oracle_row *p = pt ? ora_target(o, pt, id) : NULL;
        if (p && p->deleted && ora_in_area(o, &p->area))
            ora_revive(o, p);
    }
}

void ora_revive(struct oracle *o, struct oracle_row *r)
{
    enum { UP_MAX = 17 };
    if (!descend(o, UP_MAX))
        return;
    ora_touch(o, r);
    const struct ocommit *deleter = ora_commit(o, r->life.ver);
    r->deleted = false;
    r->life = (struct oracle_stamp){.ver = o->me.ver};
    ora_wrote(o, r);
    ora_revive_parents(o, r);
    o->depth--;
    ora_case_life(o, r, deleter, "_deleted=1;");
}
