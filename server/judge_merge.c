/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two records become one (judge_link.c: what points at them; judge_unmerge.c: how they come apart again).
 *
 * The survivor keeps its id. The other is deleted, and a `redirect` record says where it went; it lies where the
 * survivor lies, so that redirection never crosses a grant. Aliases are flat: whoever pointed at the record that goes
 * points at the survivor afterwards. Links move in the same version.
 *
 * Invariants
 *  1. Nothing that was said is dropped: a field that only one of the two named keeps that value; any other difference
 *     is a concurrent edit (the later stands, the other goes into a case of the survivor); open cases go along.
 *  2. Every field of the survivor that anybody ever named is stamped anew: an edit that did not see the merge cannot
 *     have seen what stands, since it may have been about the other record.
 *  3. Coming apart gives back what nobody has changed since: `merged` holds the survivor as it was, `merge_link` what
 *     moved.
 *  4. Where a record lies and what its procedure says is never merged: the survivor's stands.
 */
#include "merge_int.h"
#include "planted.h"
#include "set.h"

#include <string.h>

bool tz_merge_right(const struct tz_judge *j, const struct tz_type *t)
{
    bool kind = !t || (!t->append && !t->local && t->nsteps == 0 && (t->creators & (TZ_ED_F | TZ_ED_D | TZ_ED_C)));
    return kind && j->role->supervises;
}

/* ---- fields ---- */

/** Both, with their stamps. */
struct pair {
    const struct tz_type *t;
    struct tz_row *keep, *gone;
    struct tz_stamps keep_stamps, gone_stamps;
    bool by_itself;                        /* the author's rights hold for each field */
    struct tz_stamps keep_told, gone_told; /* by who said what stands and when, not by who merged it there */
    struct tz_bytes body, before;          /* the survivor as it was, its stamps */
    tz_ver said[TZ_FIELDS_MAX];            /* whose word stands in the survivor */
    struct tz_loss *losses;                /* nfields */
    size_t nlosses;
};

bool tz_merge_takes(const struct tz_type *t, size_t i)
{
    const struct tz_field *f = &t->fields[i];
    bool place = t->district_field == (int)i || t->street_field == (int)i || t->area_field == (int)i;
    return !place && f->merge == TZ_MERGE_FIELD && f->editors != TZ_ED_S;
}

/** Did anybody ever say anything about the field? A value that the catalogue gives by itself is nobody's word. */
static bool named(const struct tz_row *row, const struct tz_stamps *stamps, size_t i)
{
    const struct tz_field *f = &row->rec.type->fields[i];
    tz_ver ver = tz_stamps_get(stamps, f->id, 0, row->born).ver;
    return ver != row->born || (row->rec.v[i].kind != TZ_V_NULL && !tz_value_eq(row->rec.v[i], f->dflt));
}

/** The stamps of a row as they would be without earlier merges. */
static int words_of(struct tz_judge *j, const struct tz_row *row, struct tz_stamps *stamps)
{
    const struct tz_type *t = row->rec.type;
    tz_ver born = row->born;
    tz_stamps_init(stamps, j->a);
    int rc = tz_stamps_decode(stamps, row->stamps);
    for (size_t i = 0; i < t->nfields && !rc; i++) {
        uint32_t f = t->fields[i].id;
        struct tz_stamp st = tz_stamps_get(stamps, f, 0, born);
        tz_ver said = tz_stamps_said(stamps, f, born);
        if (said == st.ver)
            continue;
        st.ver = said;
        rc = tz_stamps_set(stamps, st);
    }
    return rc;
}

/** The word of the record that goes, as an edit by whoever wrote it. @saw: there was nothing to be seen. */
static struct tz_edit as_edit(struct tz_judge *j, tz_ver stamp, bool saw)
{
    struct tz_commit c = tz_judge_commit_of(j, stamp);
    return (struct tz_edit){.device = c.device,
                            .incarnation = c.incarnation,
                            .seq = c.seq,
                            .user = c.user,
                            .effective = c.effective,
                            .base_ver = saw ? UINT64_MAX : 0,
                            .ver = j->edit.ver};
}

static bool may_write(const struct tz_judge *j, const struct pair *p, const bool *names)
{
    bool may = true;
    for (size_t i = 0; i < p->t->nfields; i++)
        may = may && (!names[i] || tz_judge_may_merge(j, p->keep, &p->t->fields[i]));
    return may;
}

/** What stands is not the author's to change: all that the one that goes says otherwise is a candidate. */
static void keep_words(struct pair *p, const bool *names, const struct tz_edit *e)
{
    for (size_t i = 0; i < p->t->nfields; i++) {
        uint16_t g = p->t->fields[i].group;
        size_t as_of = g ? p->t->groups[g - 1].as_of : i;
        if (!names[i] || (g && i == as_of) || tz_value_eq(p->gone->rec.v[i], p->keep->rec.v[i]))
            continue;
        p->losses[p->nlosses++] =
            (struct tz_loss){.field = (uint16_t)i,
                             .value = p->gone->rec.v[i],
                             .as_of = names[as_of] ? p->gone->rec.v[as_of] : p->keep->rec.v[as_of],
                             .author = {e->ver, e->device, e->incarnation, e->seq, e->user, e->effective},
                             .rule = "right",
                             .of = p->gone->id};
    }
}

/** Does the survivor's value stand by an earlier merge? */
static bool brought(const struct pair *p, size_t i)
{
    uint32_t f = p->t->fields[i].id;
    tz_ver born = p->keep->born;
    return tz_stamps_said(&p->keep_stamps, f, born) != tz_stamps_get(&p->keep_stamps, f, 0, born).ver;
}

/** After a subject was merged into @out: of @names, what the one that goes said and now stands. */
static void take_words(struct tz_judge *j, struct pair *p, const bool *names, const struct tz_merge_out *out,
                       const tz_ver *was)
{
    for (size_t i = 0; i < p->t->nfields; i++) {
        uint32_t f = p->t->fields[i].id;
        tz_ver is = tz_stamps_get(&p->keep_told, f, 0, p->keep->born).ver;
        bool written = was[i] != is || !tz_value_eq(out->v[i], p->keep->rec.v[i]);
        if (names[i] && is == j->edit.ver && written)
            p->said[i] = tz_stamps_get(&p->gone_told, f, 0, p->gone->born).ver;
    }
}

/** One field or group of the record that goes, laid over the survivor. */
static int merge_subject(struct tz_judge *j, struct pair *p, const bool *names, bool saw)
{
    struct tz_merge_out *out = tz_arena_alloc(j->a, sizeof *out);
    tz_ver was[TZ_FIELDS_MAX];
    tz_ver newest = 0;
    bool any = false;
    for (size_t i = 0; i < p->t->nfields; i++) {
        tz_ver ver = tz_stamps_get(&p->gone_told, p->t->fields[i].id, 0, p->gone->born).ver;
        was[i] = tz_stamps_get(&p->keep_told, p->t->fields[i].id, 0, p->keep->born).ver;
        any = any || names[i];
        newest = names[i] && ver > newest ? ver : newest;
    }
    if (!any)
        return 0;
    struct tz_edit e = as_edit(j, newest, saw);
    if (p->by_itself && !may_write(j, p, names)) {
        keep_words(p, names, &e);
        return 0;
    }
    int rc = out ? tz_merge_set(p->t, &p->keep->rec, p->keep->born, &p->keep_told, &p->gone->rec, names, &e,
                                tz_judge_commit_of, j, out)
                 : TZ_E_NOMEM;
    if (rc)
        return rc;
    take_words(j, p, names, out, was);
    for (size_t i = 0; i < out->nlosses; i++) {
        struct tz_loss l = out->loss[i];
        if (tz_value_eq(out->v[l.field], p->keep->rec.v[l.field])) /* the survivor's stands */
            l.of = p->gone->id;
        else
            l.merged = brought(p, l.field);
        p->losses[p->nlosses++] = l;
    }
    memcpy(p->keep->rec.v, out->v, p->t->nfields * sizeof *out->v);
    return 0;
}

static bool of_subject(const struct tz_type *t, size_t first, size_t i)
{
    return i == first || (t->fields[first].group && t->fields[i].group == t->fields[first].group);
}

/** Members that only the one that goes named keep their value; the others are concurrent. */
static int merge_fields(struct tz_judge *j, struct pair *p)
{
    bool done[TZ_FIELDS_MAX] = {false};
    int rc = words_of(j, p->keep, &p->keep_told);
    if (!rc)
        rc = words_of(j, p->gone, &p->gone_told);
    for (size_t i = 0; i < p->t->nfields; i++)
        p->said[i] = tz_stamps_get(&p->keep_told, p->t->fields[i].id, 0, p->keep->born).ver;
    for (size_t i = 0; i < p->t->nfields && !rc; i++) {
        bool alone[TZ_FIELDS_MAX] = {false};
        bool both[TZ_FIELDS_MAX] = {false};
        bool any_both = false;
        if (done[i] || !tz_merge_takes(p->t, i))
            continue;
        for (size_t k = i; k < p->t->nfields; k++) {
            if (!of_subject(p->t, i, k) || !tz_merge_takes(p->t, k))
                continue;
            done[k] = true;
            if (!named(p->gone, &p->gone_told, k))
                continue;
            bool here = named(p->keep, &p->keep_told, k);
            alone[k] = !here;
            both[k] = here;
            any_both = any_both || here;
        }
        if (any_both && p->t->fields[i].group) { /* the date goes with what it dates */
            size_t as_of = p->t->groups[p->t->fields[i].group - 1].as_of;
            both[as_of] = both[as_of] || alone[as_of];
            alone[as_of] = false;
        }
        rc = merge_subject(j, p, both, false);
        rc = rc ? rc : merge_subject(j, p, alone, true);
    }
    return rc;
}

static int merge_sets(struct tz_judge *j, struct pair *p)
{
    int rc = 0;
    for (size_t i = 0; i < p->t->nfields && !rc; i++) {
        const struct tz_field *f = &p->t->fields[i];
        struct tz_value v = p->gone->rec.v[i];
        size_t n = tz_set_count(v);
        if (f->merge != TZ_MERGE_SET || n == 0)
            continue;
        struct tz_bytes rest = tz_bytes_of(v.p, v.n);
        struct tz_bytes *el = tz_arena_calloc(j->a, n, sizeof *el);
        struct tz_elements_out out;
        for (size_t k = 0; el && k < n; k++)
            (void)tz_set_next(&rest, &el[k]);
        rc = el ? tz_merge_elements(f, p->keep->rec.v[i], p->keep->born, &p->keep_stamps, true, el, n, &j->edit,
                                    tz_judge_commit_of, j, j->a, &out)
                : TZ_E_NOMEM;
        if (!rc)
            p->keep->rec.v[i] = out.v;
    }
    return rc;
}

/** Anew, so that nobody has seen what stands; it stays the word of whoever said it. */
static int restamp(struct tz_judge *j, struct pair *p)
{
    int rc = 0;
    for (size_t i = 0; i < p->t->nfields && !rc; i++) {
        const struct tz_field *f = &p->t->fields[i];
        struct tz_stamp st = tz_stamps_get(&p->keep_told, f->id, 0, p->keep->born);
        if (!named(p->keep, &p->keep_told, i))
            continue;
        st.ver = j->edit.ver;
        rc = tz_stamps_set(&p->keep_stamps, st);
        if (!rc && f->merge != TZ_MERGE_SET && p->said[i] != st.ver)
            rc = tz_stamps_say(&p->keep_stamps, f->id, p->said[i]);
    }
    return rc;
}

/* ---- together ---- */

int tz_merge_load(struct tz_judge *j, const struct tz_type *t, struct tz_id id, struct tz_row **row,
                  struct tz_stamps *stamps)
{
    *row = tz_arena_alloc(j->a, sizeof **row);
    tz_stamps_init(stamps, j->a);
    int rc = *row ? tz_replica_get(j->s->rep, t, id, j->a, *row, j->err) : TZ_E_NOMEM;
    if (rc == 1)
        rc = tz_stamps_decode(stamps, (*row)->stamps) ? TZ_E_DB_CORRUPT : 1;
    return rc == 0 ? tz_err_set(j->err, TZ_E_INTERNAL, "merge", NULL, NULL, NULL) : rc < 0 ? rc : 0;
}

/** The survivor as it is before the merge, in the arena. */
static int keep_old(struct tz_judge *j, struct pair *p)
{
    struct tz_buf b;
    tz_buf_init(&b, TZ_ROW_BYTES_MAX);
    int rc = tz_record_encode(&p->keep->rec, &b);
    uint8_t *copy = rc ? NULL : tz_arena_dup(j->a, b.len ? b.p : (const uint8_t *)"", b.len);
    p->body = tz_bytes_of(copy, b.len);
    p->before = p->keep->stamps;
    tz_buf_deinit(&b);
    return rc || copy ? rc : TZ_E_NOMEM;
}

/** What this merge stamped in the survivor: who finds it changed at UNMERGE knows that somebody has been there. */
static int stamps_left(struct tz_judge *j, const struct pair *p, struct tz_buf *out)
{
    struct tz_stamps left;
    tz_stamps_init(&left, j->a);
    int rc = 0;
    for (size_t i = 0; i < p->keep_stamps.n && !rc; i++) {
        struct tz_stamp st = p->keep_stamps.v[i];
        if (st.field & TZ_STAMP_SAID)
            rc = tz_stamps_say(&left, st.field & ~TZ_STAMP_SAID, st.ver);
        else if (st.ver == j->edit.ver)
            rc = tz_stamps_set(&left, st);
    }
    return rc ? rc : tz_stamps_encode(&left, out);
}

static int merged_note(struct tz_judge *j, const struct pair *p)
{
    struct tz_buf after;
    tz_buf_init(&after, TZ_ROW_BYTES_MAX);
    int rc = stamps_left(j, p, &after);
    struct tz_stmt *st = rc ? NULL : tz_store_sql(j->s, TZ_SQL_MERGED_PUT, j->err);
    if (st) {
        tz_stmt_bind_int(st, 1, p->t->id);
        tz_stmt_bind_id(st, 2, &p->gone->id);
        tz_stmt_bind_id(st, 3, &p->keep->id);
        tz_stmt_bind_int(st, 4, (int64_t)j->edit.ver);
        tz_stmt_bind_blob(st, 5, p->body.p, p->body.n);
        tz_stmt_bind_blob(st, 6, p->before.n ? p->before.p : (const uint8_t *)"", p->before.n);
        tz_stmt_bind_blob(st, 7, after.len ? after.p : (const uint8_t *)"", after.len);
        rc = tz_stmt_run(st, j->err);
    } else if (!rc) {
        rc = TZ_E_DB;
    }
    tz_buf_deinit(&after);
    return rc;
}

/** Whoever made the record that went is told where. */
static int merged_tell(struct tz_judge *j, const struct tz_type *t, struct tz_id gone, struct tz_id keep)
{
    struct tz_merged *m = tz_arena_alloc(j->out, sizeof *m);
    if (!m)
        return TZ_E_NOMEM;
    *m = (struct tz_merged){j->merged, t, gone, keep};
    j->merged = m;
    return 0;
}

int tz_merge_records(struct tz_judge *j, const struct tz_type *t, struct tz_id keep, struct tz_id gone, bool by_itself)
{
    struct pair p = {.t = t, .by_itself = by_itself};
    int rc = tz_merge_load(j, t, keep, &p.keep, &p.keep_stamps);
    if (!rc)
        rc = tz_merge_load(j, t, gone, &p.gone, &p.gone_stamps);
    p.losses = tz_arena_calloc(j->a, t->nfields, sizeof *p.losses);
    if (!rc)
        rc = p.losses ? keep_old(j, &p) : TZ_E_NOMEM;
    if (!rc)
        rc = merge_fields(j, &p);
    if (!rc)
        rc = merge_sets(j, &p);
    if (!rc && tz_rows_bytes(&p.keep->rec) > TZ_ROW_BYTES_MAX)
        rc = tz_err_set(j->err, TZ_E_LIMIT, t->name, NULL, NULL, NULL);
    if (!rc)
        rc = restamp(j, &p);
    if (!rc)
        rc = merged_note(j, &p);
    if (!rc)
        rc = tz_judge_put(j, p.keep, &p.keep_stamps);
    if (!rc)
        rc = tz_case_losses(j, p.keep, p.losses, p.nlosses);
    if (!rc)
        rc = tz_case_hand_over(j, p.gone, p.keep);
    if (!rc)
        rc = tz_case_refresh(j, p.keep);
    if (!rc && !TZ_PLANTED(LINKS_STAY))
        rc = tz_links_move(j, p.gone, p.keep);
    if (!rc) {
        p.gone->deleted = true;
        rc = tz_stamps_set(&p.gone_stamps, (struct tz_stamp){.field = TZ_FIELD_DELETED, .ver = j->edit.ver});
    }
    if (!rc)
        rc = tz_judge_put(j, p.gone, &p.gone_stamps);
    if (!rc)
        rc = tz_alias_run(j, TZ_SQL_ALIAS_PUT, t, gone, keep);
    if (!rc)
        rc = tz_alias_record(j, p.gone, p.keep);
    return rc || !by_itself ? rc : merged_tell(j, t, gone, keep);
}

/* ---- MERGE ---- */

/** Both records, where aliases lead. 0 good, 1 answered, negative. */
static int load_both(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t, struct tz_row **keep,
                     struct tz_row **gone)
{
    int rc = tz_merge_survivor(j, op, t, keep);
    struct tz_stamps ignored;
    *gone = tz_arena_alloc(j->a, sizeof **gone);
    if (rc || !*gone)
        return rc ? rc : TZ_E_NOMEM;
    rc = tz_judge_load(j, t, op->other_id, *gone, &ignored);
    if (rc < 0)
        return rc;
    return rc && tz_judge_in_area(j, &(*gone)->area) ? 0 : (tz_judge_refuse(j, TZ_E_UNKNOWN_RECORD, NULL, NULL), 1);
}

int tz_merge_survivor(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t, struct tz_row **keep)
{
    struct tz_stamps ignored;
    *keep = tz_arena_alloc(j->a, sizeof **keep);
    if (!*keep)
        return TZ_E_NOMEM;
    if (!tz_merge_right(j, t))
        return tz_judge_refuse(j, TZ_E_NO_RIGHT_TYPE, t->name, NULL), 1;
    int rc = tz_judge_load(j, t, op->id, *keep, &ignored);
    if (rc < 0)
        return rc;
    return rc && tz_judge_in_area(j, &(*keep)->area) ? 0 : (tz_judge_refuse(j, TZ_E_UNKNOWN_RECORD, NULL, NULL), 1);
}

int tz_judge_merge(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t)
{
    struct tz_row *keep = NULL;
    struct tz_row *gone = NULL;
    int rc = load_both(j, op, t, &keep, &gone);
    if (rc)
        return rc < 0 ? rc : 0;
    if (tz_id_eq(keep->id, gone->id)) /* they are one already */
        return 0;
    if (keep->deleted || gone->deleted)
        return tz_judge_refuse(j, TZ_E_DELETED, NULL, NULL);
    rc = tz_merge_leads_to(j, t, keep->id, gone->id);
    rc = rc ? rc : tz_merge_leads_to(j, t, gone->id, keep->id);
    if (rc)
        return rc < 0 ? rc : tz_judge_refuse(j, TZ_E_CYCLE, t->name, NULL);
    return tz_merge_records(j, t, keep->id, gone->id, false);
}
