/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Late edits of records that were purged: somebody was away for longer than a deleted record is kept.
 *
 *   the author could not read it           unknown record, as if it had never been
 *   the author had seen the deletion       refused, as for any deleted record
 *   DELETE, REMOVE                         nothing: it is gone
 *   SET, ADD, RESTORE                      superseded; a case of kind `purged` in the area where the record was last
 *                                          keeps the words. The record does not come back by itself
 *   anything else                          refused, with a code that says why
 */
#include "case_int.h"
#include "set.h"

#include <jansson.h>
#include <string.h>

static const char SUBJECT[] = "_purged";
static const char LIFE[] = "_deleted";

int tz_purged_get(struct tz_store *s, const struct tz_type *t, struct tz_id id, struct tz_row *ghost,
                  struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_PURGED_GET, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, t->id);
    tz_stmt_bind_id(st, 2, &id);
    int rc = tz_stmt_step(st, err);
    if (rc != 1)
        return rc;
    const char *district = tz_stmt_text(st, 0);
    const char *street = tz_stmt_text(st, 1);
    *ghost = (struct tz_row){.id = id, .ver = (tz_ver)tz_stmt_int(st, 2), .deleted = true};
    tz_record_init(&ghost->rec, t);
    memcpy(ghost->area.district, district, strnlen(district, TZ_DISTRICT_BYTES - 1));
    memcpy(ghost->area.street, street, strnlen(street, TZ_STREET_BYTES - 1));
    tz_stmt_reset(st);
    return 1;
}

/* ---- words ---- */

/** What the author may not edit anywhere is not his to say here either; his own unverified record is not known to be
 * one any more. */
static bool may_say(const struct tz_judge *j, const struct tz_field *f)
{
    return (f->editors & j->role->editor) || (j->role->editor == TZ_ED_F && (f->editors & ~(unsigned)TZ_ED_S));
}

/** The values of a SET or ADD, by who may read them. 0, 1 refused, negative. */
static int take_words(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t, json_t *open, json_t *secret)
{
    struct tz_record *in = tz_arena_alloc(j->a, sizeof *in);
    const struct tz_field *added = op->kind == TZ_OP_ADD ? tz_type_field_id(t, op->field) : NULL;
    bool names[TZ_FIELDS_MAX] = {false};
    int rc = in ? tz_judge_values(j, op, t, in, names) : TZ_E_NOMEM;
    if (!rc && op->kind == TZ_OP_ADD && (!added || added->merge != TZ_MERGE_SET || op->nelements == 0))
        return tz_judge_refuse(j, TZ_E_BAD_OP, t->name, NULL), 1;
    for (size_t i = 0; i < op->nelements && !rc && added; i++)
        if (tz_set_element_wrong(added, op->elements[i]))
            return tz_judge_refuse(j, TZ_E_VALUE, added->name, NULL), 1;
    if (!rc && added) {
        names[added->index] = true;
        rc = tz_set_put(tz_value_null(), op->elements, op->nelements, true, j->a, &in->v[added->index]);
    }
    for (size_t i = 0; i < t->nfields && !rc; i++) {
        const struct tz_field *f = &t->fields[i];
        if (!names[i])
            continue;
        if (!may_say(j, f))
            return tz_judge_refuse(j, TZ_E_NO_RIGHT_FIELD, f->name, NULL), 1;
        if (json_object_set_new(f->visibility == TZ_VIS_SECRET ? secret : open, f->name, tz_case_value_json(in->v[i])))
            rc = TZ_E_NOMEM;
    }
    return rc;
}

/** One author's words into the case about @ghost. @values is taken. */
static int join_words(struct tz_judge *j, const struct tz_row *ghost, bool secret, json_t *values)
{
    struct tz_case_subject s = {.words = true, .secret = secret, .field = -1};
    memcpy(s.name, SUBJECT, sizeof SUBJECT);
    json_t *cand = tz_case_candidate(j, tz_judge_author(j), "purged", values);
    return cand ? tz_case_join(j, ghost, &s, "purged", "purged", cand) : TZ_E_NOMEM;
}

static int keep_words(struct tz_judge *j, const struct tz_op *op, const struct tz_row *ghost)
{
    json_t *open = json_object();
    json_t *secret = json_object();
    int rc = open && secret ? 0 : TZ_E_NOMEM;
    if (!rc && op->kind == TZ_OP_RESTORE)
        rc = json_object_set_new(open, LIFE, json_integer(0)) ? TZ_E_NOMEM : 0;
    else if (!rc)
        rc = take_words(j, op, ghost->rec.type, open, secret);
    bool hidden = !rc && json_object_size(secret) > 0;
    if (!hidden) {
        json_decref(secret);
        secret = NULL;
    }
    if (rc || (!hidden && json_object_size(open) == 0)) { /* nothing was said */
        json_decref(open);
        return rc < 0 ? rc : 0;
    }
    j->res.outcome = TZ_OUT_SUPERSEDED;
    rc = join_words(j, ghost, false, open);
    if (!rc && secret)
        return join_words(j, ghost, true, secret);
    json_decref(secret);
    return rc;
}

/* ---- ops ---- */

/** Also of a record that became part of one that was purged later. */
static int find_ghost(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t, struct tz_row *ghost)
{
    struct tz_id survivor;
    int rc = tz_purged_get(j->s, t, op->id, ghost, j->err);
    if (rc)
        return rc;
    rc = tz_alias_get(j->s, t, op->id, &survivor, j->err);
    return rc == 1 ? tz_purged_get(j->s, t, survivor, ghost, j->err) : rc;
}

/** Did the author know of the deletion? */
static bool saw(struct tz_judge *j, const struct tz_row *ghost)
{
    return tz_merge_saw(&j->edit, (struct tz_stamp){.ver = ghost->ver}, tz_judge_commit_of, j);
}

int tz_purged_op(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t)
{
    struct tz_row *ghost = tz_arena_alloc(j->a, sizeof *ghost);
    int rc = ghost ? find_ghost(j, op, t, ghost) : TZ_E_NOMEM;
    if (rc < 0)
        return rc;
    if (rc == 0 || !tz_judge_in_area(j, &ghost->area))
        return tz_judge_refuse(j, TZ_E_UNKNOWN_RECORD, NULL, NULL);
    switch ((int)op->kind) {
    case TZ_OP_DELETE:
    case TZ_OP_REMOVE:
        return 0;
    case TZ_OP_SET:
    case TZ_OP_ADD:
    case TZ_OP_RESTORE:
        if (op->kind != TZ_OP_RESTORE && saw(j, ghost))
            return tz_judge_refuse(j, TZ_E_DELETED, NULL, NULL);
        return keep_words(j, op, ghost);
    default:
        return tz_judge_refuse(j, TZ_E_PURGED, NULL, NULL);
    }
}

/* ---- the case ---- */

bool tz_purged_case(const struct tz_judge *j, const struct tz_row *c)
{
    return tz_value_is_text(c->rec.v[tz_case_field(j, "kind")->index], "purged");
}

int tz_purged_resolve(struct tz_judge *j, const struct tz_op *op, struct tz_row *c)
{
    const struct tz_type *t = tz_rows_ref_type(j->s->cat, &c->rec, tz_case_field(j, "target_id"));
    struct tz_row *ghost = tz_arena_calloc(j->a, 1, sizeof *ghost);
    struct tz_case_head h = {.case_id = c->id};
    uint8_t *user = tz_arena_dup(j->a, j->edit.user.b, TZ_ID_BYTES);
    if (!ghost || !user)
        return TZ_E_NOMEM;
    h.generation = (uint32_t)c->rec.v[tz_case_field(j, "generation")->index].i;
    if (!tz_judge_in_area(j, &c->area))
        return tz_judge_refuse(j, TZ_E_UNKNOWN_RECORD, NULL, NULL);
    if (!t || !(t->deleters & j->role->editor))
        return tz_judge_refuse(j, TZ_E_NO_RIGHT_TYPE, t ? t->name : "case", NULL);
    if (op->generation != h.generation)
        return tz_judge_refuse(j, TZ_E_CASE_STALE, NULL, NULL);
    if (op->choice != TZ_CHOICE_MINE || op->values.n || op->ncleared)
        return tz_judge_refuse(j, TZ_E_PURGED, NULL, NULL);
    if (tz_value_is_text(c->rec.v[tz_case_field(j, "state")->index], "closed"))
        return 0;
    ghost->rec.type = t;
    memcpy(ghost->id.b, c->rec.v[tz_case_field(j, "target_id")->index].p, TZ_ID_BYTES);
    tz_case_put_text(j, c, "state", "closed");
    tz_case_put_text(j, c, "choice", "mine");
    tz_case_put_int(j, c, "closed_at", j->received.ms);
    c->rec.v[tz_case_field(j, "closed_by")->index] = tz_value_blob(user, TZ_ID_BYTES);
    int rc = tz_case_store(j, c);
    return rc ? rc : tz_case_head_put(j, ghost, SUBJECT, &h);
}
