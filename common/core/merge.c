/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The merge of one SET, or of one ADD or REMOVE of set elements, into one record.
 *
 * Invariants
 *  1. Causality first: an edit that saw what stands is a successor and applies; no clock is asked.
 *  2. Nothing is dropped: of two concurrent, different values one stands and the other is in `loss`.
 *  3. Order-free where nothing is shared: a field's result depends on that field's value, stamp and (in a group) the
 * as-of date only.
 *  4. Writing one field never changes another's stamp.
 *
 * What this does not do: rights, areas, life and death of records, cases. See server/judge.c.
 */
#include "merge.h"

#include "planted.h"
#include "set.h"

#include <string.h>

/* ---- merge ---- */

/** Is number @seq of @incarnation one of the line that the edit's installation goes on? */
static bool is_own(const struct tz_edit *e, uint32_t incarnation, uint64_t seq)
{
    bool own = incarnation == e->incarnation;
    for (size_t i = 0; i < e->nancestors && !own; i++)
        own = incarnation == e->ancestors[i].incarnation && seq <= e->ancestors[i].upto_seq;
    return own;
}

bool tz_merge_saw(const struct tz_edit *e, struct tz_stamp stamp, tz_commit_of_fn of, void *ctx)
{
    if (stamp.ver <= e->base_ver)
        return true;
    struct tz_commit c = of(ctx, stamp.ver);
    if (c.old_ver && c.old_ver <= e->old_base)
        return true;
    return c.ver != 0 && c.device == e->device && c.seq <= e->base_seq && is_own(e, c.incarnation, c.seq);
}

enum tz_overtaken tz_merge_overtaken(const struct tz_edit *e, struct tz_stamp stamp, const struct tz_bytes *element,
                                     void *ctx)
{
    return e->overtaken ? e->overtaken(ctx, stamp.field, element) : TZ_OVERTAKEN_NOT;
}

struct merge {
    const struct tz_type *type;
    const struct tz_record *cur;
    const struct tz_record *in;
    const bool *names;
    const struct tz_edit *e;
    struct tz_stamps *stamps;
    tz_ver born;
    tz_commit_of_fn of;
    void *ctx;
    struct tz_merge_out *out;
};

/** What stands now of one field, and how the edit relates to it. */
struct standing {
    struct tz_stamp stamp;
    struct tz_commit author;
    bool saw;
    bool edit_is_later; /* (effective, device) */
    enum tz_overtaken overtaken;
};

static struct standing look(const struct merge *m, size_t i)
{
    struct standing s = {.stamp = tz_stamps_get(m->stamps, m->type->fields[i].id, 0, m->born),
                         .overtaken = TZ_OVERTAKEN_NOT};
    bool empty_since_birth = m->e->birth && s.stamp.ver == m->e->birth && m->cur->v[i].kind == TZ_V_NULL;
    s.saw = empty_since_birth || tz_merge_saw(m->e, s.stamp, m->of, m->ctx);
    if (s.saw)
        return s;
    s.author = m->of(m->ctx, tz_stamps_said(m->stamps, m->type->fields[i].id, m->born));
    s.overtaken = tz_merge_overtaken(m->e, s.stamp, NULL, m->ctx);
    s.edit_is_later =
        m->e->effective != s.author.effective ? m->e->effective > s.author.effective : m->e->device > s.author.device;
    if (s.overtaken)
        s.edit_is_later = false;
    return s;
}

static int write_field(struct merge *m, size_t i)
{
    m->out->v[i] = m->in->v[i];
    m->out->changed = true;
    return tz_stamps_set(m->stamps, (struct tz_stamp){.field = m->type->fields[i].id, .ver = m->e->ver});
}

/** @by_edit: the edit's value lost, else the standing one did. */
static void lose(struct merge *m, size_t i, bool by_edit, struct tz_commit author, const char *rule)
{
    uint16_t group = m->type->fields[i].group;
    uint32_t f = m->type->fields[i].id;
    struct tz_loss l = {
        .field = (uint16_t)i, .value = by_edit ? m->in->v[i] : m->cur->v[i], .author = author, .rule = rule};
    l.merged = !by_edit && tz_stamps_said(m->stamps, f, m->born) != tz_stamps_get(m->stamps, f, 0, m->born).ver;
    if (group) {
        size_t as_of = m->type->groups[group - 1].as_of;
        l.as_of = by_edit && m->names[as_of] ? m->in->v[as_of] : m->cur->v[as_of];
    }
    m->out->loss[m->out->nlosses++] = l;
}

static struct tz_commit edit_as_commit(const struct tz_edit *e)
{
    return (struct tz_commit){.ver = e->ver,
                              .device = e->device,
                              .incarnation = e->incarnation,
                              .seq = e->seq,
                              .user = e->user,
                              .effective = e->effective};
}

/** Equal concurrent values open no case; the stamp becomes the version of the later one. */
static int agree(struct merge *m, size_t i, const struct standing *s)
{
    if (!s->edit_is_later || s->stamp.resolved)
        return 0;
    m->out->changed = true;
    return tz_stamps_set(m->stamps, (struct tz_stamp){.field = m->type->fields[i].id, .ver = m->e->ver});
}

static int conflict(struct merge *m, size_t i, const struct standing *s, bool edit_wins, const char *rule)
{
    if (s->stamp.resolved && !TZ_PLANTED(DECISION_BEATEN)) {
        edit_wins = false;
        rule = "resolved";
    }
    if (!edit_wins) {
        m->out->superseded = true;
        lose(m, i, true, edit_as_commit(m->e), rule);
        return 0;
    }
    if (!TZ_PLANTED(LOSS_DROPPED))
        lose(m, i, false, s->author, rule);
    return write_field(m, i);
}

/** @by_date: >0 the edit's as-of date is later, <0 earlier, 0 no say. */
static int merge_field(struct merge *m, size_t i, int by_date)
{
    struct standing s = look(m, i);
    bool equal = tz_value_eq(m->cur->v[i], m->in->v[i]);
    if (s.saw)
        return equal ? 0 : write_field(m, i);
    if (equal)
        return agree(m, i, &s);
    if (s.overtaken == TZ_OVERTAKEN_QUIETLY)
        return 0;
    if (s.overtaken)
        return conflict(m, i, &s, false, "later");
    return by_date ? conflict(m, i, &s, by_date > 0, "as_of") : conflict(m, i, &s, s.edit_is_later, "later");
}

static int date_order(struct tz_value a, struct tz_value b)
{
    uint32_t da = 0;
    uint32_t db = 0;
    unsigned pa = 0;
    unsigned pb = 0;
    tz_date_key(a, &da, &pa);
    tz_date_key(b, &db, &pb);
    if (da != db)
        return da > db ? 1 : -1;
    return pa == pb ? 0 : pa > pb ? 1 : -1;
}

static bool group_is_concurrent(const struct merge *m, uint16_t group)
{
    for (size_t i = 0; i < m->type->nfields; i++)
        if (m->names[i] && m->type->fields[i].group == group && !look(m, i).saw)
            return true;
    return false;
}

/** The as-of date of a group with a concurrent edit becomes the later of the two; it never makes a case of its own. */
static int merge_as_of(struct merge *m, size_t i, int by_date)
{
    struct standing s = look(m, i);
    if ((!s.saw && s.stamp.resolved) || s.overtaken)
        return 0;
    if (by_date > 0)
        return write_field(m, i);
    return by_date == 0 && !s.saw ? agree(m, i, &s) : 0;
}

static int merge_group(struct merge *m, uint16_t group)
{
    size_t as_of = m->type->groups[group - 1].as_of;
    int by_date = m->names[as_of] && !TZ_PLANTED(AS_OF_IGNORED) ? date_order(m->in->v[as_of], m->cur->v[as_of]) : 0;
    bool concurrent = group_is_concurrent(m, group);
    for (size_t i = 0; i < m->type->nfields; i++) {
        if (!m->names[i] || m->type->fields[i].group != group)
            continue;
        int rc = i == as_of && concurrent ? merge_as_of(m, i, by_date) : merge_field(m, i, by_date);
        if (rc)
            return rc;
    }
    return 0;
}

static bool group_named(const struct merge *m, uint16_t group)
{
    for (size_t i = 0; i < m->type->nfields; i++)
        if (m->names[i] && m->type->fields[i].group == group)
            return true;
    return false;
}

int tz_merge_set(const struct tz_type *type, const struct tz_record *cur, tz_ver born, struct tz_stamps *stamps,
                 const struct tz_record *in, const bool *names, const struct tz_edit *e, tz_commit_of_fn of, void *ctx,
                 struct tz_merge_out *out)
{
    struct merge m = {type, cur, in, names, e, stamps, born, of, ctx, out};
    out->changed = false;
    out->superseded = false;
    out->nlosses = 0;
    memcpy(out->v, cur->v, type->nfields * sizeof *out->v);
    for (size_t i = 0; i < type->nfields; i++) {
        int rc = names[i] && type->fields[i].group == 0 ? merge_field(&m, i, 0) : 0;
        if (rc)
            return rc;
    }
    for (uint16_t g = 1; g <= type->ngroups; g++) {
        int rc = group_named(&m, g) ? merge_group(&m, g) : 0;
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- sets ---- */

/** An ADD restamps what is there already: a REMOVE that did not see it must not take it away. */
static int stamp_added(const struct tz_field *f, struct tz_stamps *stamps, const struct tz_bytes *el, size_t n,
                       const struct tz_edit *e)
{
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++)
        rc = tz_stamps_set(stamps, (struct tz_stamp){.field = f->id, .element = tz_element_hash(el[i]), .ver = e->ver});
    return rc;
}

/** Handed in again after a restore: did who put it in last do so later in the old order? Then his stamp stays, or a
 * REMOVE that saw this ADD and not his would take the element away. */
static bool added_later(const struct tz_edit *e, struct tz_stamp stamp, tz_commit_of_fn of, void *ctx)
{
    if (!e->old_ver)
        return false;
    struct tz_commit c = of(ctx, stamp.ver);
    return (c.old_ver ? c.old_ver : c.ver) > e->old_ver;
}

int tz_merge_elements(const struct tz_field *f, struct tz_value cur, tz_ver born, struct tz_stamps *stamps, bool add,
                      const struct tz_bytes *el, size_t n, const struct tz_edit *e, tz_commit_of_fn of, void *ctx,
                      struct tz_arena *a, struct tz_elements_out *out)
{
    struct tz_bytes *take = tz_arena_calloc(a, n ? n : 1, sizeof *take);
    size_t ntake = 0;
    *out = (struct tz_elements_out){.v = cur};
    if (!take)
        return TZ_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        struct tz_stamp stamp = tz_stamps_get(stamps, f->id, tz_element_hash(el[i]), born);
        if (!add && !tz_set_has(cur, el[i]))
            continue;
        if (add && tz_merge_overtaken(e, stamp, &el[i], ctx))
            continue; /* somebody who had seen it took it out again */
        if (add && tz_set_has(cur, el[i]) && added_later(e, stamp, of, ctx))
            continue;
        if (add || tz_merge_saw(e, stamp, of, ctx) || TZ_PLANTED(REMOVE_UNSEEN))
            take[ntake++] = el[i];
        else
            out->superseded = true;
    }
    out->changed = ntake > 0;
    if (!out->changed)
        return 0;
    int rc = tz_set_put(cur, take, ntake, add, a, &out->v);
    if (!rc && add)
        return stamp_added(f, stamps, take, ntake, e);
    for (size_t i = 0; i < ntake; i++)
        tz_stamps_drop(stamps, f->id, tz_element_hash(take[i]));
    return rc ? rc : tz_stamps_set(stamps, (struct tz_stamp){.field = f->id, .ver = e->ver});
}
