/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What points at records that became one: aliases, the `redirect` records that tell about them, references.
 *
 * Aliases are flat: whoever pointed at the record that goes points at the survivor afterwards. Links move in the same
 * version.
 */
#include "merge_int.h"

#include <string.h>

enum {
    LINKS_MAX = TZ_CHANGESET_ROW_BYTES_MAX / 64, /* more than one changeset may write, however small they are */
    CHILD_REFS_MAX = 256,
    PARENTS_MAX = 64,
    PAGE = 512,
    ALIASES = 64 /* a page of them */
};

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

int tz_alias_run(struct tz_judge *j, enum tz_sql which, const struct tz_type *t, struct tz_id id, struct tz_id survivor)
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

/** The ids behind @after of what became part of @row, ascending, a page of them. */
static int aliases_of(struct tz_judge *j, const struct tz_row *row, struct tz_id after, struct tz_id *out, size_t *n)
{
    struct tz_stmt *st = tz_store_sql(j->s, TZ_SQL_ALIAS_OF, j->err);
    *n = 0;
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, row->rec.type->id);
    tz_stmt_bind_id(st, 2, &row->id);
    tz_stmt_bind_id(st, 3, &after);
    int rc;
    while ((rc = tz_stmt_step(st, j->err)) == 1 && *n < ALIASES)
        *n += tz_stmt_id(st, 0, &out[*n]);
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

/** Did this one say it? */
struct speaker {
    const struct tz_type *t;
    struct tz_id id;
    size_t field;
    struct tz_value value;
    tz_ver said;
};

/** 1, 0, negative. */
static int it_said(struct tz_judge *j, void *ctx)
{
    const struct speaker *p = ctx;
    struct tz_row *gone = tz_arena_alloc(j->a, sizeof *gone);
    struct tz_stamps stamps;
    int rc = gone ? tz_replica_get(j->s->rep, p->t, p->id, j->a, gone, j->err) : TZ_E_NOMEM;
    if (rc <= 0)
        return rc;
    tz_stamps_init(&stamps, j->a);
    rc = tz_stamps_decode(&stamps, gone->stamps);
    return rc ? rc
              : tz_value_eq(gone->rec.v[p->field], p->value) &&
                    tz_stamps_said(&stamps, p->t->fields[p->field].id, gone->born) == p->said;
}

int tz_alias_speaker(struct tz_judge *j, const struct tz_row *row, size_t i, struct tz_value value, tz_ver said,
                     struct tz_id *of)
{
    struct tz_id ids[ALIASES];
    struct tz_id after = {{0}};
    size_t n = ALIASES;
    int rc = 0;
    *of = (struct tz_id){{0}};
    while (n == ALIASES && !rc) {
        rc = aliases_of(j, row, after, ids, &n);
        for (size_t k = 0; k < n && !rc; k++) {
            rc = tz_judge_apart(j, it_said, &(struct speaker){row->rec.type, ids[k], i, value, said});
            if (rc == 1)
                *of = ids[k];
            after = ids[k];
        }
    }
    return rc < 0 ? rc : 0;
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
int tz_alias_record(struct tz_judge *j, const struct tz_row *gone, const struct tz_row *keep)
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
/* ---- links ---- */

struct links {
    struct tz_id *ids;
    size_t n, cap;
    struct tz_arena *a;
};

static int collect_id(struct links *l, struct tz_id id)
{
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
    l->ids[l->n++] = id;
    return 1;
}

static int collect(void *ctx, const struct tz_row *row)
{
    return collect_id(ctx, row->id);
}

/** Deleted ones whose body holds the id somewhere: what comes back must lead where the others lead. */
static int collect_deleted(struct tz_judge *j, const struct tz_type *t, struct tz_id id, struct links *l)
{
    struct tz_stmt *st = tz_store_sql(j->s, TZ_SQL_TOMBSTONE_NAMING, j->err);
    struct tz_id found;
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, t->id);
    tz_stmt_bind_id(st, 2, &id);
    int rc;
    while ((rc = tz_stmt_step(st, j->err)) == 1) {
        rc = tz_stmt_id(st, 0, &found) ? collect_id(l, found) : 1;
        if (rc < 0)
            break;
    }
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
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
    return tz_id_parse(hex, &id) ? 0 : tz_alias_run(j, TZ_SQL_ALIAS_PUT, of, id, to);
}

/** References on their way from one record to another. */
struct turn {
    const struct tz_type *t; /* of the record that refers */
    const struct tz_field *f;
    const struct tz_type *target;
    struct tz_id from, to;
    tz_ver since;  /* back again, where nobody has touched it since this version; 0: away, whatever it is */
    tz_ver before; /* back: the stamp it had before */
};

/** @u has turned a reference of record @id whose stamp was @before. */
static int link_note(struct tz_judge *j, const struct turn *u, struct tz_id id, tz_ver before)
{
    struct tz_stmt *st = tz_store_sql(j->s, TZ_SQL_LINK_PUT, j->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, u->target->id);
    tz_stmt_bind_id(st, 2, &u->from);
    tz_stmt_bind_int(st, 3, u->t->id);
    tz_stmt_bind_id(st, 4, &id);
    tz_stmt_bind_int(st, 5, u->f->id);
    tz_stmt_bind_int(st, 6, (int64_t)j->edit.ver);
    tz_stmt_bind_int(st, 7, (int64_t)before);
    return tz_stmt_run(st, j->err);
}

/** @u has turned a reference back: notes of earlier merges that left it with the stamp @before find it as they left it.
 */
static int link_follows(struct tz_judge *j, const struct turn *u, struct tz_id id)
{
    struct tz_stmt *st = tz_store_sql(j->s, TZ_SQL_LINK_FOLLOWS, j->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, u->t->id);
    tz_stmt_bind_id(st, 2, &id);
    tz_stmt_bind_int(st, 3, u->f->id);
    tz_stmt_bind_int(st, 4, (int64_t)u->before);
    tz_stmt_bind_int(st, 5, (int64_t)j->edit.ver);
    return tz_stmt_run(st, j->err);
}

/** One record, in memory of its own. */
struct turning {
    const struct turn *u;
    struct tz_id id;
};

/** The record, if it refers so. It stays the word of whoever said it, under a new stamp. */
static int link_turn(struct tz_judge *j, void *ctx)
{
    const struct turning *one = ctx;
    const struct turn *u = one->u;
    const struct tz_id id = one->id;
    const struct tz_field *f = u->f;
    struct tz_row *row = tz_arena_alloc(j->a, sizeof *row);
    uint8_t *value = tz_arena_dup(j->a, u->to.b, TZ_ID_BYTES);
    struct tz_stamps stamps;
    int rc = row && value ? tz_replica_get(j->s->rep, u->t, id, j->a, row, j->err) : TZ_E_NOMEM;
    if (rc <= 0)
        return rc;
    tz_stamps_init(&stamps, j->a);
    rc = tz_stamps_decode(&stamps, row->stamps);
    if (rc)
        return rc;
    struct tz_value v = row->rec.v[f->index];
    if (v.kind != TZ_V_BLOB || memcmp(v.p, u->from.b, TZ_ID_BYTES) != 0 ||
        tz_rows_ref_type(j->s->cat, &row->rec, f) != u->target ||
        (u->since && tz_stamps_get(&stamps, f->id, 0, row->born).ver != u->since))
        return 0;
    struct tz_stamp st = tz_stamps_get(&stamps, f->id, 0, row->born);
    tz_ver said = tz_stamps_said(&stamps, f->id, row->born);
    rc = u->since ? link_follows(j, u, id) : link_note(j, u, id, st.ver);
    row->rec.v[f->index] = tz_value_blob(value, TZ_ID_BYTES);
    st.ver = j->edit.ver;
    if (!rc)
        rc = tz_stamps_set(&stamps, st);
    if (!rc && said != st.ver)
        rc = tz_stamps_say(&stamps, f->id, said);
    struct tz_area area;
    if (!rc)
        rc = tz_rows_area(j->s, &row->rec, j->a, &area, j->err);
    if (rc == 1)
        row->area = area;
    if (rc >= 0)
        rc = tz_judge_put(j, row, &stamps);
    return rc || u->t != j->s->redirect_type ? rc : alias_turned(j, row, u->to);
}

/** Cases stay with the record they are about; lists of references keep what was written. */
static bool link_moves(const struct tz_judge *j, const struct tz_child_ref *ref)
{
    return ref->type != j->s->case_type && (ref->field->ftype == TZ_FT_REF || ref->field->ftype == TZ_FT_REF_ANY);
}

/** All that refer by one field. */
static int links_of_field(struct tz_judge *j, void *ctx)
{
    const struct turn *u = ctx;
    struct links l = {.a = j->a};
    int rc = tz_replica_find(j->s->rep, u->f, u->t, tz_value_blob(u->from.b, TZ_ID_BYTES), collect, &l, j->err);
    if (!rc && u->t != j->s->redirect_type) /* a deleted redirect says nothing any more */
        rc = collect_deleted(j, u->t, u->from, &l);
    for (size_t k = 0; k < l.n && !rc; k++)
        rc = tz_judge_apart(j, link_turn, &(struct turning){u, l.ids[k]});
    return rc;
}

int tz_links_move(struct tz_judge *j, const struct tz_row *gone, const struct tz_row *keep)
{
    struct tz_child_ref refs[CHILD_REFS_MAX];
    size_t n = tz_rows_child_refs(j->s->cat, gone->rec.type, refs, CHILD_REFS_MAX);
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++) {
        struct turn u = {refs[i].type, refs[i].field, gone->rec.type, gone->id, keep->id, 0, 0};
        if (link_moves(j, &refs[i]))
            rc = tz_judge_apart(j, links_of_field, &u);
    }
    return rc;
}

struct link {
    uint32_t type, field;
    struct tz_id id;
    tz_ver ver, before;
};

/** The notes behind @after, at most PAGE of them. */
static int read_links(struct tz_judge *j, const struct tz_type *t, struct tz_id gone, const struct link *after,
                      struct link *out, size_t *n)
{
    struct tz_stmt *st = tz_store_sql(j->s, TZ_SQL_LINK_PAGE, j->err);
    *n = 0;
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, t->id);
    tz_stmt_bind_id(st, 2, &gone);
    tz_stmt_bind_int(st, 3, after->type);
    tz_stmt_bind_id(st, 4, &after->id);
    tz_stmt_bind_int(st, 5, after->field);
    tz_stmt_bind_int(st, 6, PAGE);
    int rc;
    while ((rc = tz_stmt_step(st, j->err)) == 1 && *n < PAGE) {
        struct link *l = &out[(*n)++];
        *l = (struct link){.type = (uint32_t)tz_stmt_int(st, 0),
                           .field = (uint32_t)tz_stmt_int(st, 2),
                           .ver = (tz_ver)tz_stmt_int(st, 3),
                           .before = (tz_ver)tz_stmt_int(st, 4)};
        (void)tz_stmt_id(st, 1, &l->id);
    }
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

static int links_forget(struct tz_judge *j, const struct tz_type *t, struct tz_id gone)
{
    struct tz_stmt *st = tz_store_sql(j->s, TZ_SQL_LINK_DROP, j->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, t->id);
    tz_stmt_bind_id(st, 2, &gone);
    return tz_stmt_run(st, j->err);
}

int tz_links_give_back(struct tz_judge *j, const struct tz_type *t, struct tz_id keep, struct tz_id gone)
{
    struct link *l = tz_arena_calloc(j->a, PAGE, sizeof *l);
    struct link last = {0};
    size_t n = PAGE;
    int rc = l ? 0 : TZ_E_NOMEM;
    while (!rc && n == PAGE) {
        rc = read_links(j, t, gone, &last, l, &n);
        for (size_t i = 0; i < n && !rc; i++) {
            const struct tz_type *lt = tz_catalogue_type_id(j->s->cat, l[i].type);
            const struct tz_field *f = lt ? tz_type_field_id(lt, l[i].field) : NULL;
            struct turn u = {lt, f, t, keep, gone, l[i].ver, l[i].before};
            rc = f ? tz_judge_apart(j, link_turn, &(struct turning){&u, l[i].id}) : 0;
            last = l[i];
        }
    }
    return rc ? rc : links_forget(j, t, gone);
}

/* ---- circles ---- */

static bool is_parent(const struct tz_type *t, const struct tz_field *f)
{
    return f->ref == t && f->ftype == TZ_FT_REF && f->on_delete == TZ_OD_BLOCKS;
}

/** Up from @id by its references to its own type: does the way meet @other? 1 yes, 0 no, negative. */
int tz_merge_leads_to(struct tz_judge *j, const struct tz_type *t, struct tz_id id, struct tz_id other)
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
        int rc = tz_id_eq(up, row->id) ? 1 : tz_merge_leads_to(j, t, up, row->id);
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
