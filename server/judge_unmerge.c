/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UNMERGE: a record that became part of another comes out again, with what nobody has changed since.
 */
#include "merge_int.h"
#include "planted.h"
#include "set.h"

#include <string.h>

enum { LINKS_MAX = TZ_MERGE_LINKS_MAX };

/** Elements that the merge brought, and nobody has added since, go; the others are somebody's word. */
static int give_back_elements(struct tz_judge *j, const struct tz_field *f, struct tz_row *row,
                              struct tz_stamps *stamps, struct tz_value was, tz_ver since)
{
    struct tz_value *at = &row->rec.v[f->index];
    struct tz_bytes rest = tz_bytes_of(at->p, at->kind == TZ_V_TEXT ? at->n : 0);
    struct tz_bytes *el = tz_arena_calloc(j->a, tz_set_count(*at) + 1, sizeof *el);
    struct tz_value left;
    size_t n = 0;
    if (!el)
        return TZ_E_NOMEM;
    while (tz_set_next(&rest, &el[n]))
        n += !tz_set_has(was, el[n]) && tz_stamps_get(stamps, f->id, tz_element_hash(el[n]), row->born).ver == since;
    int rc = n ? tz_set_put(*at, el, n, false, j->a, &left) : 0;
    if (rc || n == 0 || (left.kind == TZ_V_NULL && tz_judge_required(j, f)))
        return rc;
    for (size_t i = 0; i < n; i++)
        tz_stamps_drop(stamps, f->id, tz_element_hash(el[i]));
    *at = left;
    return tz_stamps_set(stamps, (struct tz_stamp){.field = f->id, .ver = j->edit.ver});
}

/** What stands of the survivor as the merge left it goes back to what it was. */
static int give_back_fields(struct tz_judge *j, const struct tz_type *t, struct tz_id keep, struct tz_bytes body,
                            tz_ver since)
{
    struct tz_row *row = NULL;
    struct tz_stamps stamps;
    struct tz_record *was = tz_arena_alloc(j->a, sizeof *was);
    int rc = was ? tz_merge_load(j, t, keep, &row, &stamps) : TZ_E_NOMEM;
    if (!rc)
        rc = tz_record_decode(t, body, j->a, was, j->err);
    for (size_t i = 0; i < t->nfields && !rc; i++) {
        const struct tz_field *f = &t->fields[i];
        if (f->merge == TZ_MERGE_SET)
            rc = give_back_elements(j, f, row, &stamps, was->v[i], since);
        if (rc || !tz_merge_takes(t, i) || tz_value_eq(row->rec.v[i], was->v[i]) ||
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
            rc = tz_link_turn(j, lt, f, l[i].id, keep, gone, l[i].ver);
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
    rc = tz_merge_load(j, t, gone, &row, &stamps);
    row->deleted = false;
    if (!rc)
        rc = tz_stamps_set(&stamps, (struct tz_stamp){.field = TZ_FIELD_DELETED, .ver = j->edit.ver});
    if (!rc)
        rc = tz_alias_run(j, TZ_SQL_ALIAS_DROP, t, gone, keep);
    if (!rc)
        rc = tz_judge_put(j, row, &stamps);
    if (!rc)
        rc = tz_alias_record(j, row, NULL);
    if (!rc && !TZ_PLANTED(LINKS_NOT_BACK))
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
    int rc = tz_merge_both(j, op, t, &keep, &gone); /* an alias leads to its survivor */
    if (rc)
        return rc < 0 ? rc : 0;
    rc = tz_alias_get(j->s, t, op->other_id, &survivor, j->err);
    if (rc <= 0 || !tz_id_eq(survivor, keep->id))
        return rc < 0 ? rc : tz_judge_refuse(j, TZ_E_NOT_DELETED, NULL, NULL);
    rc = come_apart(j, t, keep->id, op->other_id);
    return rc ? rc : tz_duplicate_parted(j, t, keep->id, op->other_id);
}
