/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UNMERGE: a record that became part of another comes out again, with what nobody has changed since.
 *
 * `merged` holds the survivor as it was, its stamps then (before) and the stamps the merge left (after); `merge_link`
 * what was turned.
 *
 * Invariants
 *  1. What came last comes apart first: what an earlier merge left could not be told from what a later one made of it.
 *     `after` of the earlier one follows when the later one is undone.
 *  2. A field, a group as a whole, an element of a set is given back when its stamps are still those that the merge
 *     left; whatever else was said since stays. It is again the word of whoever said it before the merge.
 *  3. What returns refers to live records, and makes no circle.
 */
#include "merge_int.h"
#include "planted.h"
#include "set.h"

#include <string.h>

/** Two that come apart. */
struct parting {
    const struct tz_type *t;
    struct tz_id keep, gone;
    tz_ver since;
    bool noted_before;     /* by a server that did not keep `after` yet: what has the merge's version is what it left */
    struct tz_record *was; /* the survivor */
    struct tz_stamps before, after;
    struct tz_row *row; /* the survivor now */
    struct tz_stamps now;
    bool given[TZ_FIELDS_MAX]; /* its fields that went back */
    /* the merge into the same survivor before this one, if any */
    bool earlier;
    struct tz_id earlier_gone;
    struct tz_stamps earlier_before, earlier_after;
};

/* ---- what was noted ---- */

static int take_stamps(struct tz_judge *j, struct tz_bytes packed, struct tz_stamps *out)
{
    tz_stamps_init(out, j->a);
    return tz_stamps_decode(out, packed) ? tz_err_set(j->err, TZ_E_DB_CORRUPT, "merged", NULL, NULL, NULL) : 0;
}

/** Of the merge that took @gone: its version, the survivor's old body (@was may be NULL) and stamps. */
static int merged_get(struct tz_judge *j, const struct tz_type *t, struct tz_id gone, tz_ver *ver,
                      struct tz_record *was, struct tz_stamps *before, struct tz_stamps *after)
{
    struct tz_stmt *st = tz_store_sql(j->s, TZ_SQL_MERGED_GET, j->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, t->id);
    tz_stmt_bind_id(st, 2, &gone);
    int rc = tz_stmt_step(st, j->err);
    if (rc == 1) {
        struct tz_bytes b = tz_stmt_blob(st, 1);
        uint8_t *body = tz_arena_dup(j->a, b.n ? b.p : (const uint8_t *)"", b.n);
        *ver = (tz_ver)tz_stmt_int(st, 0);
        rc = body ? 0 : TZ_E_NOMEM;
        if (!rc && was)
            rc = tz_record_decode(t, tz_bytes_of(body, b.n), j->a, was, j->err);
        if (!rc)
            rc = take_stamps(j, tz_stmt_blob(st, 2), before);
        if (!rc)
            rc = take_stamps(j, tz_stmt_blob(st, 3), after);
    } else if (rc == 0) {
        rc = tz_err_set(j->err, TZ_E_DB_CORRUPT, "merged", NULL, NULL, NULL);
    }
    tz_stmt_reset(st);
    return rc;
}

/** The last that became part of @keep: 1, 0 none did, negative. */
static int merged_last(struct tz_judge *j, const struct tz_type *t, struct tz_id keep, struct tz_id *gone)
{
    struct tz_stmt *st = tz_store_sql(j->s, TZ_SQL_MERGED_LAST, j->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, t->id);
    tz_stmt_bind_id(st, 2, &keep);
    int rc = tz_stmt_step(st, j->err);
    if (rc == 1)
        (void)tz_stmt_id(st, 0, gone);
    tz_stmt_reset(st);
    return rc;
}

static int merged_forget(struct tz_judge *j, const struct parting *p)
{
    struct tz_stmt *st = tz_store_sql(j->s, TZ_SQL_MERGED_DROP, j->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->t->id);
    tz_stmt_bind_id(st, 2, &p->gone);
    return tz_stmt_run(st, j->err);
}

/** What the earlier merge left, as it stands after this one was undone. */
static int earlier_put(struct tz_judge *j, const struct parting *p)
{
    struct tz_buf b;
    tz_buf_init(&b, TZ_ROW_BYTES_MAX);
    int rc = tz_stamps_encode(&p->earlier_after, &b);
    struct tz_stmt *st = rc ? NULL : tz_store_sql(j->s, TZ_SQL_MERGED_AFTER, j->err);
    if (st) {
        tz_stmt_bind_int(st, 1, p->t->id);
        tz_stmt_bind_id(st, 2, &p->earlier_gone);
        tz_stmt_bind_blob(st, 3, b.len ? b.p : (const uint8_t *)"", b.len);
        rc = tz_stmt_run(st, j->err);
    } else if (!rc) {
        rc = TZ_E_DB;
    }
    tz_buf_deinit(&b);
    return rc;
}

/* ---- fields ---- */

/** The same stamp, by the same word? */
static bool same_stamp(const struct tz_stamps *a, const struct tz_stamps *b, uint32_t field, uint32_t element,
                       tz_ver born)
{
    if (tz_stamps_get(a, field, element, born).ver != tz_stamps_get(b, field, element, born).ver)
        return false;
    return element || tz_stamps_said(a, field, born) == tz_stamps_said(b, field, born);
}

/** Did the merge stamp it? */
static bool stamped(const struct tz_stamps *s, uint32_t field, uint32_t element)
{
    return tz_stamps_get(s, field, element, 0).ver != 0;
}

static bool untouched(const struct parting *p, uint32_t field, uint32_t element)
{
    const struct tz_stamps *left = stamped(&p->after, field, element) ? &p->after : &p->before;
    return same_stamp(left, &p->now, field, element, p->row->born);
}

/** What the earlier merge had left there is there again. Of a field that it left as it was, too: a group goes back as a
 * whole. */
static int earlier_follows(struct parting *p, uint32_t field, uint32_t element)
{
    bool its = stamped(&p->earlier_after, field, element);
    const struct tz_stamps *left = its ? &p->earlier_after : &p->earlier_before;
    bool told = its || (!element && p->earlier_after.n); /* without any, it is the note of a server that kept none */
    if (!p->earlier || !told || !same_stamp(left, &p->before, field, element, p->row->born) ||
        same_stamp(left, &p->now, field, element, p->row->born))
        return 0;
    struct tz_stamp st = tz_stamps_get(&p->now, field, element, p->row->born);
    int rc = tz_stamps_set(&p->earlier_after, st);
    if (!rc && !element)
        rc = tz_stamps_say(&p->earlier_after, field, tz_stamps_said(&p->now, field, p->row->born));
    return rc;
}

static int give_back_one(struct tz_judge *j, struct parting *p, size_t i)
{
    uint32_t f = p->t->fields[i].id;
    struct tz_stamp st = tz_stamps_get(&p->before, f, 0, p->row->born);
    int rc = 0;
    if (!tz_value_eq(p->row->rec.v[i], p->was->v[i])) {
        tz_ver said = tz_stamps_said(&p->before, f, p->row->born);
        p->given[i] = true;
        p->row->rec.v[i] = p->was->v[i];
        st.ver = j->edit.ver;
        rc = tz_stamps_set(&p->now, st);
        if (!rc)
            rc = tz_stamps_say(&p->now, f, said);
    }
    return rc ? rc : earlier_follows(p, f, 0);
}

static bool of_subject(const struct tz_type *t, size_t first, size_t i)
{
    return i == first || (t->fields[first].group && t->fields[i].group == t->fields[first].group);
}

/** Counts and their date go back together or not at all. */
static int give_back_fields(struct tz_judge *j, struct parting *p)
{
    bool done[TZ_FIELDS_MAX] = {false};
    int rc = 0;
    for (size_t i = 0; i < p->t->nfields && !rc; i++) {
        bool whole = true;
        if (done[i] || !tz_merge_takes(p->t, i))
            continue;
        for (size_t k = i; k < p->t->nfields; k++)
            whole = whole && (!of_subject(p->t, i, k) || untouched(p, p->t->fields[k].id, 0));
        for (size_t k = i; k < p->t->nfields && !rc; k++) {
            if (!of_subject(p->t, i, k))
                continue;
            done[k] = true;
            rc = whole ? give_back_one(j, p, k) : 0;
        }
    }
    return rc;
}

/** Out of the set go the elements that the merge brought and nobody has added since. */
static int give_back_set(struct tz_judge *j, struct parting *p, size_t i)
{
    const struct tz_field *f = &p->t->fields[i];
    struct tz_value *v = &p->row->rec.v[i];
    struct tz_value rest = *v;
    struct tz_bytes walk = tz_bytes_of(v->p, v->kind == TZ_V_TEXT ? v->n : 0);
    struct tz_bytes el;
    int rc = 0;
    while (!rc && tz_set_next(&walk, &el)) {
        uint32_t hash = tz_element_hash(el);
        if (!stamped(&p->after, f->id, hash) || !untouched(p, f->id, hash))
            continue;
        rc = tz_set_has(p->was->v[i], el) ? earlier_follows(p, f->id, hash)
                                          : tz_set_put(rest, &el, 1, false, j->a, &rest);
    }
    if (rc || tz_value_eq(rest, *v) || (rest.kind == TZ_V_NULL && tz_judge_required(j, f)))
        return rc;
    walk = tz_bytes_of(v->p, v->n);
    while (tz_set_next(&walk, &el))
        if (!tz_set_has(rest, el))
            tz_stamps_drop(&p->now, f->id, tz_element_hash(el));
    *v = rest;
    return tz_stamps_set(&p->now, (struct tz_stamp){.field = f->id, .ver = j->edit.ver});
}

/** What stands of the survivor as the merge left it goes back to what it was. */
static int give_back(struct tz_judge *j, struct parting *p)
{
    bool all[TZ_FIELDS_MAX];
    memset(all, true, sizeof all);
    int rc = tz_merge_load(j, p->t, p->keep, &p->row, &p->now);
    for (size_t i = 0; i < p->now.n && !rc && p->noted_before; i++)
        if (p->now.v[i].ver == p->since)
            rc = tz_stamps_set(&p->after, p->now.v[i]);
    if (!rc)
        rc = tz_merge_redirect(j, p->was, all); /* what it referred to may be part of another by now */
    if (!rc)
        rc = give_back_fields(j, p);
    for (size_t i = 0; i < p->t->nfields && !rc; i++)
        if (p->t->fields[i].merge == TZ_MERGE_SET)
            rc = give_back_set(j, p, i);
    if (!rc && tz_rows_bytes(&p->row->rec) > TZ_ROW_BYTES_MAX)
        rc = tz_err_set(j->err, TZ_E_LIMIT, p->t->name, NULL, NULL, NULL);
    if (!rc)
        rc = tz_judge_put(j, p->row, &p->now);
    if (!rc && p->earlier)
        rc = earlier_put(j, p);
    return rc ? rc : tz_case_refresh(j, p->row);
}

/* ---- together ---- */

static int parting_load(struct tz_judge *j, struct parting *p)
{
    tz_ver ignored = 0;
    p->was = tz_arena_alloc(j->a, sizeof *p->was);
    int rc = p->was ? merged_get(j, p->t, p->gone, &p->since, p->was, &p->before, &p->after) : TZ_E_NOMEM;
    p->noted_before = p->after.n == 0;
    if (!rc)
        rc = merged_forget(j, p);
    if (!rc)
        rc = merged_last(j, p->t, p->keep, &p->earlier_gone);
    p->earlier = rc == 1;
    if (rc == 1)
        rc = merged_get(j, p->t, p->earlier_gone, &ignored, NULL, &p->earlier_before, &p->earlier_after);
    return rc;
}

/** What the survivor refers to again is live. */
static int revive_given(struct tz_judge *j, const struct parting *p)
{
    struct tz_row *only = tz_arena_dup(j->a, p->row, sizeof *only);
    if (!only || p->row->deleted)
        return only ? 0 : TZ_E_NOMEM;
    for (size_t i = 0; i < p->t->nfields; i++) {
        enum tz_ftype type = p->t->fields[i].ftype;
        if (!p->given[i] && (type == TZ_FT_REF || type == TZ_FT_REF_ANY))
            only->rec.v[i] = tz_value_null();
    }
    return tz_judge_revive_parents(j, only, 0);
}

/** What is live again stands on live ground, and not above itself. 0, 1 refused, negative. */
static int settle(struct tz_judge *j, const struct parting *p, const struct tz_row *back)
{
    int rc = tz_judge_revive_parents(j, back, 0);
    if (!rc)
        rc = revive_given(j, p);
    if (!rc)
        rc = tz_merge_leads_to(j, p->t, p->gone, p->gone);
    if (!rc)
        rc = tz_merge_leads_to(j, p->t, p->keep, p->keep);
    return rc == 1 ? (tz_judge_refuse(j, TZ_E_CYCLE, p->t->name, NULL), 1) : rc;
}

static int come_apart(struct tz_judge *j, struct parting *p)
{
    struct tz_row *back = NULL;
    struct tz_stamps stamps;
    int rc = parting_load(j, p);
    if (!rc)
        rc = tz_merge_load(j, p->t, p->gone, &back, &stamps);
    if (!rc)
        rc = tz_stamps_set(&stamps, (struct tz_stamp){.field = TZ_FIELD_DELETED, .ver = j->edit.ver});
    if (!rc)
        rc = tz_alias_run(j, TZ_SQL_ALIAS_DROP, p->t, p->gone, p->keep);
    if (rc)
        return rc;
    back->deleted = false;
    rc = tz_judge_put(j, back, &stamps);
    if (!rc)
        rc = tz_alias_record(j, back, NULL);
    if (!rc && !TZ_PLANTED(LINKS_NOT_BACK))
        rc = tz_links_give_back(j, p->t, p->keep, p->gone);
    if (!rc)
        rc = give_back(j, p);
    if (!rc)
        rc = tz_case_hand_back(j, p->row, back, p->since);
    return rc ? rc : settle(j, p, back);
}

/** The record that went, itself, if the author may write it. 0 good, 1 answered, negative. */
static int load_gone(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t)
{
    struct tz_row *gone = tz_arena_alloc(j->a, sizeof *gone);
    int rc = gone ? tz_replica_get(j->s->rep, t, op->other_id, j->a, gone, j->err) : TZ_E_NOMEM;
    if (rc < 0)
        return rc;
    return rc && tz_judge_in_area(j, &gone->area) ? 0 : (tz_judge_refuse(j, TZ_E_UNKNOWN_RECORD, NULL, NULL), 1);
}

/** 1 refused: another one has to come out first. 0, negative. */
static int check_order(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t, struct tz_id keep)
{
    char hex[TZ_ID_HEX + 1];
    struct tz_id last;
    int rc = merged_last(j, t, keep, &last);
    if (rc < 0 || (rc == 1 && tz_id_eq(last, op->other_id)))
        return rc < 0 ? rc : 0;
    if (rc == 0)
        return tz_err_set(j->err, TZ_E_DB_CORRUPT, "merged", NULL, NULL, NULL);
    tz_id_print(last, hex);
    char *arg = tz_arena_strdup(j->out, hex);
    return arg ? (tz_judge_refuse(j, TZ_E_UNMERGE_ORDER, arg, NULL), 1) : TZ_E_NOMEM;
}

int tz_judge_unmerge(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t)
{
    struct tz_row *keep = NULL;
    struct tz_id survivor;
    int rc = tz_merge_survivor(j, op, t, &keep);
    if (!rc)
        rc = load_gone(j, op, t);
    if (rc)
        return rc < 0 ? rc : 0;
    rc = tz_alias_get(j->s, t, op->other_id, &survivor, j->err);
    if (rc <= 0 || !tz_id_eq(survivor, keep->id))
        return rc < 0 ? rc : tz_judge_refuse(j, TZ_E_NOT_DELETED, NULL, NULL);
    rc = check_order(j, op, t, keep->id);
    if (rc)
        return rc < 0 ? rc : 0;
    struct parting *p = tz_arena_calloc(j->a, 1, sizeof *p);
    if (!p)
        return TZ_E_NOMEM;
    p->t = t;
    p->keep = keep->id;
    p->gone = op->other_id;
    rc = come_apart(j, p);
    if (!rc)
        rc = tz_duplicate_parted(j, t, p->keep, p->gone);
    return rc < 0 ? rc : 0;
}
