/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two records become one, and come apart again.
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
#include "case_int.h"
#include "set.h"

#include <stdio.h>
#include <string.h>

enum { LINKS_MAX = 8192, CHILD_REFS_MAX = 256, LINK_BYTES = 4 * 1024 * 1024, PARENTS_MAX = 64 };

bool tz_merge_right(const struct tz_judge *j, const struct tz_type *t)
{
    bool kind = !t || (!t->append && !t->local && (t->creators & (TZ_ED_F | TZ_ED_D | TZ_ED_C)));
    return kind && j->role->supervises;
}

/* ---- aliases ---- */

int tz_alias_get(struct tz_store *s, const struct tz_type *t, struct tz_id id, struct tz_id *survivor,
                 struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_ALIAS_GET, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, t->id);
    tz_stmt_bind_id(st, 2, &id);
    int rc = tz_stmt_step(st, err);
    if (rc == 1 && survivor)
        (void)tz_stmt_id(st, 0, survivor);
    tz_stmt_reset(st);
    return rc;
}

static int alias_run(struct tz_judge *j, enum tz_sql which, const struct tz_type *t, struct tz_id id,
                     struct tz_id survivor)
{
    struct tz_stmt *st = tz_store_sql(j->s, which, j->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, t->id);
    tz_stmt_bind_id(st, 2, &id);
    tz_stmt_bind_id(st, 3, &survivor);
    tz_stmt_bind_int(st, 4, (int64_t)j->edit.ver);
    return tz_stmt_run(st, j->err);
}

static struct tz_id alias_id(const struct tz_type *t, struct tz_id id)
{
    uint8_t key[4 + TZ_ID_BYTES];
    for (int i = 0; i < 4; i++)
        key[i] = (uint8_t)(t->id >> (24 - 8 * i));
    memcpy(key + 4, id.b, TZ_ID_BYTES);
    return tz_store_fixed_id("redirect", tz_bytes_of(key, sizeof key));
}

/** The record that says where @gone went; @keep NULL: nowhere any more. */
static int alias_record(struct tz_judge *j, const struct tz_row *gone, const struct tz_row *keep)
{
    const struct tz_type *t = j->s->redirect_type;
    struct tz_row *a = tz_arena_calloc(j->a, 1, sizeof *a);
    struct tz_stamps none;
    char hex[TZ_ID_HEX + 1];
    if (!a)
        return TZ_E_NOMEM;
    tz_stamps_init(&none, j->a);
    int rc = tz_replica_get(j->s->rep, t, alias_id(gone->rec.type, gone->id), j->a, a, j->err);
    if (rc < 0 || (rc == 0 && !keep))
        return rc;
    a->deleted = !keep;
    if (keep) {
        const struct tz_row *ids = tz_arena_dup(j->a, keep, sizeof *keep);
        uint8_t *user = tz_arena_dup(j->a, j->edit.user.b, TZ_ID_BYTES);
        tz_id_print(gone->id, hex);
        char *old = tz_arena_strdup(j->a, hex);
        if (!ids || !user || !old)
            return TZ_E_NOMEM;
        tz_record_init(&a->rec, t);
        a->id = alias_id(gone->rec.type, gone->id);
        a->born = j->edit.ver;
        a->area = keep->area;
        a->rec.v[tz_type_field(t, "target_type")->index] = tz_value_text(keep->rec.type->name);
        a->rec.v[tz_type_field(t, "target_id")->index] = tz_value_blob(ids->id.b, TZ_ID_BYTES);
        a->rec.v[tz_type_field(t, "old_id")->index] = tz_value_text(old);
        a->rec.v[tz_type_field(t, "merged_at")->index] = tz_value_int(j->received.ms);
        a->rec.v[tz_type_field(t, "merged_by")->index] = tz_value_blob(user, TZ_ID_BYTES);
    }
    return tz_judge_put(j, a, &none);
}

/* ---- fields ---- */

/** Both, with their stamps. */
struct pair {
    const struct tz_type *t;
    struct tz_row *keep, *gone;
    struct tz_stamps keep_stamps, gone_stamps;
    struct tz_loss *losses; /* nfields */
    size_t nlosses;
};

static bool merges(const struct tz_type *t, size_t i)
{
    const struct tz_field *f = &t->fields[i];
    bool place = t->district_field == (int)i || t->street_field == (int)i || t->area_field == (int)i;
    return !place && f->merge == TZ_MERGE_FIELD && f->editors != TZ_ED_S;
}

/** Did anybody ever say anything about the field? A value that the catalogue gives by itself is nobody's word. */
static bool named(const struct tz_row *row, const struct tz_stamps *stamps, size_t i)
{
    const struct tz_field *f = &row->rec.type->fields[i];
    bool stamped = tz_stamps_get(stamps, f->id, 0, 0).ver != 0;
    return stamped || (row->rec.v[i].kind != TZ_V_NULL && !tz_value_eq(row->rec.v[i], f->dflt));
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

/** One field or group of the record that goes, laid over the survivor. */
static int merge_subject(struct tz_judge *j, struct pair *p, const bool *names, bool saw)
{
    struct tz_merge_out *out = tz_arena_alloc(j->a, sizeof *out);
    tz_ver newest = 0;
    bool any = false;
    for (size_t i = 0; i < p->t->nfields; i++) {
        tz_ver ver = tz_stamps_get(&p->gone_stamps, p->t->fields[i].id, 0, p->gone->born).ver;
        any = any || names[i];
        newest = names[i] && ver > newest ? ver : newest;
    }
    if (!any)
        return 0;
    struct tz_edit e = as_edit(j, newest, saw);
    int rc = out ? tz_merge_set(p->t, &p->keep->rec, p->keep->born, &p->keep_stamps, &p->gone->rec, names, &e,
                                tz_judge_commit_of, j, out)
                 : TZ_E_NOMEM;
    if (rc)
        return rc;
    memcpy(p->keep->rec.v, out->v, p->t->nfields * sizeof *out->v);
    for (size_t i = 0; i < out->nlosses; i++)
        p->losses[p->nlosses++] = out->loss[i];
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
    int rc = 0;
    for (size_t i = 0; i < p->t->nfields && !rc; i++) {
        bool alone[TZ_FIELDS_MAX] = {false};
        bool both[TZ_FIELDS_MAX] = {false};
        bool any_both = false;
        if (done[i] || !merges(p->t, i))
            continue;
        for (size_t k = i; k < p->t->nfields; k++) {
            if (!of_subject(p->t, i, k) || !merges(p->t, k))
                continue;
            done[k] = true;
            if (!named(p->gone, &p->gone_stamps, k))
                continue;
            bool here = named(p->keep, &p->keep_stamps, k);
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

static int restamp(struct tz_judge *j, struct pair *p)
{
    int rc = 0;
    for (size_t i = 0; i < p->t->nfields && !rc; i++) {
        struct tz_stamp st = tz_stamps_get(&p->keep_stamps, p->t->fields[i].id, 0, p->keep->born);
        st.ver = j->edit.ver;
        if (named(p->keep, &p->keep_stamps, i))
            rc = tz_stamps_set(&p->keep_stamps, st);
    }
    return rc;
}

/* ---- links ---- */

struct links {
    struct tz_id *ids;
    size_t n, cap;
    struct tz_arena *a;
    const struct tz_child_ref *ref;
    const struct tz_type *target;
    const struct tz_catalogue *cat;
};

static int collect(void *ctx, const struct tz_row *row)
{
    struct links *l = ctx;
    if (l->ref->field->ftype == TZ_FT_REF_ANY && tz_rows_ref_type(l->cat, &row->rec, l->ref->field) != l->target)
        return 1;
    if (l->n == LINKS_MAX)
        return TZ_E_LIMIT;
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 16;
        struct tz_id *v = tz_arena_calloc(l->a, cap, sizeof *v);
        if (!v)
            return TZ_E_NOMEM;
        if (l->n)
            memcpy(v, l->ids, l->n * sizeof *v);
        l->ids = v;
        l->cap = cap;
    }
    l->ids[l->n++] = row->id;
    return 1;
}

static int link_note(struct tz_judge *j, const struct tz_row *gone, const struct tz_child_ref *ref, struct tz_id id)
{
    struct tz_stmt *st = tz_store_sql(j->s, TZ_SQL_LINK_PUT, j->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, gone->rec.type->id);
    tz_stmt_bind_id(st, 2, &gone->id);
    tz_stmt_bind_int(st, 3, ref->type->id);
    tz_stmt_bind_id(st, 4, &id);
    tz_stmt_bind_int(st, 5, ref->field->id);
    tz_stmt_bind_int(st, 6, (int64_t)j->edit.ver);
    return tz_stmt_run(st, j->err);
}

/** An alias record points elsewhere: so does the index. */
static int alias_turned(struct tz_judge *j, const struct tz_row *a, struct tz_id to)
{
    const struct tz_type *of = tz_rows_ref_type(j->s->cat, &a->rec, tz_type_field(a->rec.type, "target_id"));
    struct tz_value old = a->rec.v[tz_type_field(a->rec.type, "old_id")->index];
    char hex[TZ_ID_HEX + 1] = "";
    struct tz_id id;
    if (!of || old.kind != TZ_V_TEXT || old.n != TZ_ID_HEX)
        return 0;
    memcpy(hex, old.p, TZ_ID_HEX);
    return tz_id_parse(hex, &id) ? 0 : alias_run(j, TZ_SQL_ALIAS_PUT, of, id, to);
}

/** Point field @f of the record at @to, if it points at @from (and, @since, nobody has touched it since). */
static int link_turn(struct tz_judge *j, const struct tz_type *t, const struct tz_field *f, struct tz_id id,
                     struct tz_id from, struct tz_id to, tz_ver since)
{
    struct tz_row *row = tz_arena_alloc(j->a, sizeof *row);
    uint8_t *value = tz_arena_dup(j->a, to.b, TZ_ID_BYTES);
    struct tz_stamps stamps;
    int rc = row && value ? tz_replica_get(j->s->rep, t, id, j->a, row, j->err) : TZ_E_NOMEM;
    if (rc <= 0)
        return rc;
    tz_stamps_init(&stamps, j->a);
    rc = tz_stamps_decode(&stamps, row->stamps);
    if (rc)
        return rc;
    struct tz_value v = row->rec.v[f->index];
    if (v.kind != TZ_V_BLOB || memcmp(v.p, from.b, TZ_ID_BYTES) != 0 ||
        (since && tz_stamps_get(&stamps, f->id, 0, row->born).ver != since))
        return 0;
    row->rec.v[f->index] = tz_value_blob(value, TZ_ID_BYTES);
    rc = tz_stamps_set(&stamps, (struct tz_stamp){.field = f->id, .ver = j->edit.ver});
    if (!rc)
        rc = tz_rows_area(j->s, &row->rec, j->a, &row->area, j->err);
    if (rc >= 0)
        rc = tz_judge_put(j, row, &stamps);
    return rc || t != j->s->redirect_type ? rc : alias_turned(j, row, to);
}

/** In memory of its own: there may be thousands. */
static int link_turn_apart(struct tz_judge *j, const struct tz_type *t, const struct tz_field *f, struct tz_id id,
                           struct tz_id from, struct tz_id to, tz_ver since)
{
    struct tz_arena *const outer = j->a;
    struct tz_arena a;
    tz_arena_init(&a, LINK_BYTES);
    j->a = &a;
    int rc = tz_rows_code(&a, link_turn(j, t, f, id, from, to, since));
    j->a = outer;
    tz_arena_deinit(&a);
    return rc;
}

/** Cases stay with the record they are about; lists of references keep what was written. */
static bool link_moves(const struct tz_judge *j, const struct tz_child_ref *ref)
{
    return ref->type != j->s->case_type && (ref->field->ftype == TZ_FT_REF || ref->field->ftype == TZ_FT_REF_ANY);
}

static int move_links(struct tz_judge *j, const struct tz_row *gone, const struct tz_row *keep)
{
    struct tz_child_ref refs[CHILD_REFS_MAX];
    size_t n = tz_rows_child_refs(j->s->cat, gone->rec.type, refs, CHILD_REFS_MAX);
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++) {
        struct links l = {.a = j->a, .ref = &refs[i], .target = gone->rec.type, .cat = j->s->cat};
        if (!link_moves(j, &refs[i]))
            continue;
        rc = tz_replica_find(j->s->rep, refs[i].field, refs[i].type, tz_value_blob(gone->id.b, TZ_ID_BYTES), collect,
                             &l, j->err);
        for (size_t k = 0; k < l.n && !rc; k++) {
            rc = link_turn_apart(j, refs[i].type, refs[i].field, l.ids[k], gone->id, keep->id, 0);
            if (!rc)
                rc = link_note(j, gone, &refs[i], l.ids[k]);
        }
    }
    return rc;
}

/* ---- together ---- */

static int load_row(struct tz_judge *j, const struct tz_type *t, struct tz_id id, struct tz_row **row,
                    struct tz_stamps *stamps)
{
    *row = tz_arena_alloc(j->a, sizeof **row);
    tz_stamps_init(stamps, j->a);
    int rc = *row ? tz_replica_get(j->s->rep, t, id, j->a, *row, j->err) : TZ_E_NOMEM;
    if (rc == 1)
        rc = tz_stamps_decode(stamps, (*row)->stamps) ? TZ_E_DB_CORRUPT : 1;
    return rc == 0 ? tz_err_set(j->err, TZ_E_INTERNAL, "merge", NULL, NULL, NULL) : rc < 0 ? rc : 0;
}

/** The survivor as it was before. */
static int merged_note(struct tz_judge *j, const struct pair *p)
{
    struct tz_buf b;
    tz_buf_init(&b, TZ_ROW_BYTES_MAX);
    int rc = tz_record_encode(&p->keep->rec, &b);
    struct tz_stmt *st = rc ? NULL : tz_store_sql(j->s, TZ_SQL_MERGED_PUT, j->err);
    if (st) {
        tz_stmt_bind_int(st, 1, p->t->id);
        tz_stmt_bind_id(st, 2, &p->gone->id);
        tz_stmt_bind_id(st, 3, &p->keep->id);
        tz_stmt_bind_int(st, 4, (int64_t)j->edit.ver);
        tz_stmt_bind_blob(st, 5, b.len ? b.p : (const uint8_t *)"", b.len);
        rc = tz_stmt_run(st, j->err);
    } else if (!rc) {
        rc = TZ_E_DB;
    }
    tz_buf_deinit(&b);
    return rc;
}

/** Whoever made the record that went is told where. */
static int merged_tell(struct tz_judge *j, struct tz_id gone, struct tz_id keep)
{
    struct tz_merged *m = tz_arena_alloc(j->out, sizeof *m);
    if (!m)
        return TZ_E_NOMEM;
    *m = (struct tz_merged){j->merged, gone, keep};
    j->merged = m;
    return 0;
}

int tz_merge_records(struct tz_judge *j, const struct tz_type *t, struct tz_id keep, struct tz_id gone)
{
    struct pair p = {.t = t};
    int rc = load_row(j, t, keep, &p.keep, &p.keep_stamps);
    if (!rc)
        rc = load_row(j, t, gone, &p.gone, &p.gone_stamps);
    p.losses = tz_arena_calloc(j->a, t->nfields, sizeof *p.losses);
    if (!rc)
        rc = p.losses ? merged_note(j, &p) : TZ_E_NOMEM;
    if (!rc)
        rc = merge_fields(j, &p);
    if (!rc)
        rc = merge_sets(j, &p);
    if (!rc)
        rc = restamp(j, &p);
    if (!rc)
        rc = tz_judge_put(j, p.keep, &p.keep_stamps);
    if (!rc)
        rc = tz_case_losses(j, p.keep, p.losses, p.nlosses);
    if (!rc)
        rc = tz_case_hand_over(j, p.gone, p.keep);
    if (!rc)
        rc = tz_case_refresh(j, p.keep);
    if (!rc)
        rc = move_links(j, p.gone, p.keep);
    if (!rc) {
        p.gone->deleted = true;
        rc = tz_stamps_set(&p.gone_stamps, (struct tz_stamp){.field = TZ_FIELD_DELETED, .ver = j->edit.ver});
    }
    if (!rc)
        rc = tz_judge_put(j, p.gone, &p.gone_stamps);
    if (!rc)
        rc = alias_run(j, TZ_SQL_ALIAS_PUT, t, gone, keep);
    if (!rc)
        rc = alias_record(j, p.gone, p.keep);
    return rc ? rc : merged_tell(j, gone, keep);
}

/* ---- MERGE ---- */

static bool is_parent(const struct tz_type *t, const struct tz_field *f)
{
    return f->ref == t && f->ftype == TZ_FT_REF && f->on_delete == TZ_OD_BLOCKS;
}

/** Up from @id by its references to its own type: does the way meet @other? 1 yes, 0 no, negative. */
static int leads_to(struct tz_judge *j, const struct tz_type *t, struct tz_id id, struct tz_id other)
{
    struct tz_row *row = tz_arena_alloc(j->a, sizeof *row);
    int rc = row ? 1 : TZ_E_NOMEM;
    for (size_t i = 0; i < t->nfields && rc == 1; i++) {
        const struct tz_field *f = &t->fields[i];
        struct tz_id at = id;
        if (!is_parent(t, f))
            continue;
        for (int up = 0; up < PARENTS_MAX && rc == 1; up++) {
            rc = tz_replica_get(j->s->rep, t, at, j->a, row, j->err);
            if (rc != 1 || row->rec.v[f->index].kind != TZ_V_BLOB)
                break;
            memcpy(at.b, row->rec.v[f->index].p, TZ_ID_BYTES);
            if (tz_id_eq(at, other))
                return 1;
        }
        rc = rc < 0 ? rc : 1;
    }
    return rc < 0 ? rc : 0;
}

int tz_merge_circle(struct tz_judge *j, const struct tz_row *row, const bool *names)
{
    const struct tz_type *t = row->rec.type;
    for (size_t i = 0; i < t->nfields; i++) {
        struct tz_id up;
        if (!names[i] || !is_parent(t, &t->fields[i]) || row->rec.v[i].kind != TZ_V_BLOB)
            continue;
        memcpy(up.b, row->rec.v[i].p, TZ_ID_BYTES);
        int rc = tz_id_eq(up, row->id) ? 1 : leads_to(j, t, up, row->id);
        if (rc)
            return rc < 0 ? rc : (tz_judge_refuse(j, TZ_E_CYCLE, t->fields[i].name, NULL), 1);
    }
    return 0;
}

/** References to what was merged away lead to the survivor, as far as the author may read it. */
int tz_merge_redirect(struct tz_judge *j, struct tz_record *rec, const bool *names)
{
    const struct tz_type *t = rec->type;
    for (size_t i = 0; i < t->nfields; i++) {
        const struct tz_field *f = &t->fields[i];
        if (!names[i] || (f->ftype != TZ_FT_REF && f->ftype != TZ_FT_REF_ANY) || rec->v[i].kind != TZ_V_BLOB)
            continue;
        const struct tz_type *target = tz_rows_ref_type(j->s->cat, rec, f);
        struct tz_id id;
        struct tz_id survivor;
        memcpy(id.b, rec->v[i].p, TZ_ID_BYTES);
        int rc = target ? tz_alias_get(j->s, target, id, &survivor, j->err) : 0;
        if (rc < 0)
            return rc;
        if (rc == 0)
            continue;
        uint8_t *copy = tz_arena_dup(j->a, survivor.b, TZ_ID_BYTES);
        if (!copy)
            return TZ_E_NOMEM;
        rec->v[i] = tz_value_blob(copy, TZ_ID_BYTES); /* if the author may not read it, the check refuses it */
    }
    return 0;
}

/** Both records of a MERGE, where aliases lead. 0 good, 1 answered, negative. */
static int load_both(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t, struct tz_row **keep,
                     struct tz_row **gone)
{
    struct tz_stamps ignored;
    *keep = tz_arena_alloc(j->a, sizeof **keep);
    *gone = tz_arena_alloc(j->a, sizeof **gone);
    if (!*keep || !*gone)
        return TZ_E_NOMEM;
    if (!tz_merge_right(j, t))
        return tz_judge_refuse(j, TZ_E_NO_RIGHT_TYPE, t->name, NULL), 1;
    int rc = tz_judge_load(j, t, op->id, *keep, &ignored);
    if (rc == 1)
        rc = tz_judge_in_area(j, &(*keep)->area) ? tz_judge_load(j, t, op->other_id, *gone, &ignored) : 0;
    if (rc < 0)
        return rc;
    if (rc == 0 || !tz_judge_in_area(j, &(*gone)->area))
        return tz_judge_refuse(j, TZ_E_UNKNOWN_RECORD, NULL, NULL), 1;
    return 0;
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
    rc = leads_to(j, t, keep->id, gone->id);
    rc = rc ? rc : leads_to(j, t, gone->id, keep->id);
    if (rc)
        return rc < 0 ? rc : tz_judge_refuse(j, TZ_E_CYCLE, t->name, NULL);
    return tz_merge_records(j, t, keep->id, gone->id);
}

/* ---- UNMERGE ---- */

/** What stands of the survivor as the merge left it goes back to what it was. */
static int give_back_fields(struct tz_judge *j, const struct tz_type *t, struct tz_id keep, struct tz_bytes body,
                            tz_ver since)
{
    struct tz_row *row = NULL;
    struct tz_stamps stamps;
    struct tz_record *was = tz_arena_alloc(j->a, sizeof *was);
    int rc = was ? load_row(j, t, keep, &row, &stamps) : TZ_E_NOMEM;
    if (!rc)
        rc = tz_record_decode(t, body, j->a, was, j->err);
    for (size_t i = 0; i < t->nfields && !rc; i++) {
        const struct tz_field *f = &t->fields[i];
        if ((!merges(t, i) && f->merge != TZ_MERGE_SET) || tz_value_eq(row->rec.v[i], was->v[i]) ||
            tz_stamps_get(&stamps, f->id, 0, row->born).ver != since)
            continue;
        row->rec.v[i] = was->v[i];
        rc = tz_stamps_set(&stamps, (struct tz_stamp){.field = f->id, .ver = j->edit.ver});
    }
    return rc ? rc : tz_judge_put(j, row, &stamps);
}

struct link {
    uint32_t type, field;
    struct tz_id id;
    tz_ver ver;
};

static int read_links(struct tz_judge *j, const struct tz_type *t, struct tz_id gone, struct link **out, size_t *n)
{
    struct tz_stmt *st = tz_store_sql(j->s, TZ_SQL_LINK_ALL, j->err);
    *out = tz_arena_calloc(j->a, LINKS_MAX, sizeof **out);
    *n = 0;
    if (!st || !*out)
        return st ? TZ_E_NOMEM : TZ_E_DB;
    tz_stmt_bind_int(st, 1, t->id);
    tz_stmt_bind_id(st, 2, &gone);
    int rc;
    while ((rc = tz_stmt_step(st, j->err)) == 1 && *n < LINKS_MAX) {
        struct link *l = &(*out)[(*n)++];
        *l = (struct link){
            (uint32_t)tz_stmt_int(st, 0), (uint32_t)tz_stmt_int(st, 2), {{0}}, (tz_ver)tz_stmt_int(st, 3)};
        (void)tz_stmt_id(st, 1, &l->id);
    }
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

static int give_back_links(struct tz_judge *j, const struct tz_type *t, struct tz_id keep, struct tz_id gone)
{
    struct link *l = NULL;
    size_t n = 0;
    int rc = read_links(j, t, gone, &l, &n);
    for (size_t i = 0; i < n && !rc; i++) {
        const struct tz_type *lt = tz_catalogue_type_id(j->s->cat, l[i].type);
        const struct tz_field *f = lt ? tz_type_field_id(lt, l[i].field) : NULL;
        if (f)
            rc = link_turn_apart(j, lt, f, l[i].id, keep, gone, l[i].ver);
    }
    return rc;
}

/** Version and old survivor of a merge: 1, 0 none, negative. */
static int merged_get(struct tz_judge *j, const struct tz_type *t, struct tz_id gone, struct tz_bytes *body,
                      tz_ver *ver)
{
    struct tz_stmt *st = tz_store_sql(j->s, TZ_SQL_MERGED_GET, j->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, t->id);
    tz_stmt_bind_id(st, 2, &gone);
    int rc = tz_stmt_step(st, j->err);
    if (rc == 1) {
        struct tz_bytes b = tz_stmt_blob(st, 1);
        *ver = (tz_ver)tz_stmt_int(st, 0);
        *body = tz_bytes_of(tz_arena_dup(j->a, b.p, b.n), b.n);
        rc = body->p ? 1 : TZ_E_NOMEM;
    }
    tz_stmt_reset(st);
    return rc;
}

static int come_apart(struct tz_judge *j, const struct tz_type *t, struct tz_id keep, struct tz_id gone)
{
    struct tz_row *row = NULL;
    struct tz_stamps stamps;
    struct tz_bytes body = {0};
    tz_ver since = 0;
    int rc = merged_get(j, t, gone, &body, &since);
    if (rc != 1)
        return rc < 0 ? rc : tz_err_set(j->err, TZ_E_DB_CORRUPT, "merged", NULL, NULL, NULL);
    rc = load_row(j, t, gone, &row, &stamps);
    row->deleted = false;
    if (!rc)
        rc = tz_stamps_set(&stamps, (struct tz_stamp){.field = TZ_FIELD_DELETED, .ver = j->edit.ver});
    if (!rc)
        rc = alias_run(j, TZ_SQL_ALIAS_DROP, t, gone, keep);
    if (!rc)
        rc = tz_judge_put(j, row, &stamps);
    if (!rc)
        rc = alias_record(j, row, NULL);
    if (!rc)
        rc = give_back_links(j, t, keep, gone);
    if (!rc)
        rc = give_back_fields(j, t, keep, body, since);
    return rc;
}

int tz_judge_unmerge(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t)
{
    struct tz_row *keep = NULL;
    struct tz_row *gone = NULL;
    struct tz_id survivor;
    int rc = load_both(j, op, t, &keep, &gone); /* an alias leads to its survivor */
    if (rc)
        return rc < 0 ? rc : 0;
    rc = tz_alias_get(j->s, t, op->other_id, &survivor, j->err);
    if (rc <= 0 || !tz_id_eq(survivor, keep->id))
        return rc < 0 ? rc : tz_judge_refuse(j, TZ_E_NOT_DELETED, NULL, NULL);
    j->parting = true;
    return come_apart(j, t, keep->id, op->other_id);
}
