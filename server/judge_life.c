/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life and death of records: DELETE, RESTORE, and bringing back what should not have gone.
 *
 * `_deleted` is a register with a stamp of its own. A DELETE stands only when it saw everything it deletes; whoever did
 * not see a deletion and writes to the record, or hangs something on it, brings it back, and a case keeps the deleter's
 * word.
 */
#include "planted.h"
#include "store_int.h"

#include <stdio.h>
#include <string.h>

enum { CHILD_REFS_MAX = 256 };

/* ---- children ---- */

struct children {
    struct tz_judge *j;
    const struct tz_type *target;
    const struct tz_child_ref *ref;
    tz_ver base_checkpoint;
    uint64_t blocking, unseen;
    struct tz_id example;
};

static bool saw_child(struct tz_judge *j, tz_ver child, tz_ver base_checkpoint)
{
    struct tz_edit e = j->edit;
    e.base_ver = base_checkpoint;
    e.old_base = tz_lost_is(j->s, j->cs->base_checkpoint) ? j->cs->base_checkpoint : 0;
    return tz_merge_saw(&e, (struct tz_stamp){.ver = child}, tz_judge_commit_of, j);
}

static int on_child(void *ctx, const struct tz_row *row)
{
    struct children *c = ctx;
    if (c->ref->field->ftype == TZ_FT_REF_ANY && tz_rows_ref_type(c->j->s->cat, &row->rec, c->ref->field) != c->target)
        return 1;
    if (!tz_judge_in_area(c->j, &row->area)) /* not the author's to see: the reference will show a tombstone */
        return 1;
    if (!saw_child(c->j, row->ver, c->base_checkpoint)) {
        c->unseen++;
        if (!c->blocking)
            c->example = row->id;
    } else if (c->ref->field->on_delete == TZ_OD_BLOCKS) {
        c->blocking++;
        c->example = row->id;
    }
    return 1;
}

int tz_judge_children(struct tz_judge *j, const struct tz_type *t, struct tz_id id, tz_ver base_checkpoint,
                      char example[TZ_ID_HEX + 1], uint64_t *count)
{
    struct tz_child_ref refs[CHILD_REFS_MAX];
    size_t n = tz_rows_child_refs(j->s->cat, t, refs, CHILD_REFS_MAX);
    struct children c = {.j = j, .target = t, .base_checkpoint = base_checkpoint};
    for (size_t i = 0; i < n; i++) {
        if (refs[i].field->on_delete == TZ_OD_IGNORES)
            continue;
        c.ref = &refs[i];
        int rc = tz_replica_find(j->s->rep, refs[i].field, refs[i].type, tz_value_blob(id.b, TZ_ID_BYTES), on_child, &c,
                                 j->err);
        if (rc)
            return rc;
    }
    *count = c.blocking ? c.blocking : c.unseen;
    tz_id_print(c.example, example);
    return c.blocking ? 1 : c.unseen ? 2 : 0;
}

/* ---- delete ---- */

static bool saw_all(struct tz_judge *j, const struct tz_row *row, const struct tz_stamps *stamps)
{
    struct tz_stamp born = {.ver = row->born};
    if (!tz_merge_saw(&j->edit, born, tz_judge_commit_of, j))
        return false;
    for (size_t i = 0; i < stamps->n; i++)
        if (!(stamps->v[i].field & TZ_STAMP_SAID) && !tz_merge_saw(&j->edit, stamps->v[i], tz_judge_commit_of, j))
            return false;
    return true;
}

struct tz_commit tz_judge_author(const struct tz_judge *j)
{
    const struct tz_edit *e = &j->edit;
    return (struct tz_commit){e->ver, e->device, e->incarnation, e->seq, e->user, e->effective, e->old_ver};
}

/** Common to DELETE and RESTORE: 0 go on, 1 answered, negative. */
static int load_for_life(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t, struct tz_row *row,
                         struct tz_stamps *stamps)
{
    if (t->append)
        return tz_judge_refuse(j, TZ_E_APPEND_ONLY, t->name, NULL), 1;
    if (t->local || !(t->deleters & j->role->editor))
        return tz_judge_refuse(j, TZ_E_NO_RIGHT_TYPE, t->name, NULL), 1;
    int rc = tz_judge_load(j, t, op->id, row, stamps);
    if (rc < 0)
        return rc;
    if (rc == 0) {
        rc = tz_purged_op(j, op, t);
        return rc ? rc : 1;
    }
    if (!tz_judge_in_area(j, &row->area))
        return tz_judge_refuse(j, TZ_E_UNKNOWN_RECORD, NULL, NULL), 1;
    tz_judge_writes(j, row);
    return 0;
}

static int delete_superseded(struct tz_judge *j, const struct tz_row *row)
{
    j->res.outcome = TZ_OUT_SUPERSEDED;
    return tz_case_deletion(j, row, tz_judge_author(j), "unseen");
}

int tz_judge_refuse_children(struct tz_judge *j, uint64_t count, const char *example)
{
    char number[24];
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)count);
    char *n = tz_arena_strdup(j->out, number);
    char *e = tz_arena_strdup(j->out, example);
    return n && e ? tz_judge_refuse(j, TZ_E_HAS_CHILDREN, n, e) : TZ_E_NOMEM;
}

int tz_judge_delete(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t)
{
    struct tz_row *row = tz_arena_alloc(j->a, sizeof *row);
    struct tz_stamps stamps;
    char example[TZ_ID_HEX + 1];
    uint64_t count = 0;
    if (!row)
        return TZ_E_NOMEM;
    int rc = load_for_life(j, op, t, row, &stamps);
    if (rc)
        return rc < 0 ? rc : 0;
    if (row->deleted) /* both deleted it: equal values */
        return 0;
    if (tz_merge_overtaken(&j->edit, (struct tz_stamp){.field = TZ_FIELD_DELETED}, NULL, j))
        return 0; /* handed in again: who brought the record back had seen it */
    rc = tz_judge_children(j, t, row->id, tz_judge_checkpoint(j), example, &count);
    if (rc < 0)
        return rc;
    if (rc == 1)
        return tz_judge_refuse_children(j, count, example);
    if (rc == 2 || (!saw_all(j, row, &stamps) && !TZ_PLANTED(DELETE_UNSEEN)))
        return delete_superseded(j, row);
    row->deleted = true;
    rc = tz_stamps_set(&stamps, (struct tz_stamp){.field = TZ_FIELD_DELETED, .ver = j->edit.ver});
    if (!rc)
        rc = tz_judge_put(j, row, &stamps);
    return rc ? rc : tz_case_refresh(j, row);
}

/* ---- coming back ---- */

int tz_judge_revive_parents(struct tz_judge *j, const struct tz_row *row, unsigned depth)
{
    const struct tz_type *t = row->rec.type;
    for (size_t i = 0; i < t->nfields; i++) {
        const struct tz_field *f = &t->fields[i];
        struct tz_value v = row->rec.v[i];
        if ((f->ftype != TZ_FT_REF && f->ftype != TZ_FT_REF_ANY) || f->on_delete == TZ_OD_IGNORES ||
            v.kind != TZ_V_BLOB)
            continue;
        const struct tz_type *pt = tz_rows_ref_type(j->s->cat, &row->rec, f);
        struct tz_row *parent = tz_arena_alloc(j->a, sizeof *parent);
        struct tz_stamps stamps;
        struct tz_id id;
        memcpy(id.b, v.p, TZ_ID_BYTES);
        if (!parent)
            return TZ_E_NOMEM;
        int rc = pt ? tz_judge_load(j, pt, id, parent, &stamps) : 0;
        if (rc == 1)
            rc = parent->deleted && tz_judge_in_area(j, &parent->area) ? tz_judge_revive(j, parent, &stamps, depth + 1)
                                                                       : 0;
        if (rc)
            return rc;
    }
    return 0;
}

int tz_judge_revive(struct tz_judge *j, struct tz_row *row, struct tz_stamps *stamps, unsigned depth)
{
    if (depth > TZ_REVIVE_DEPTH_MAX)
        return tz_err_set(j->err, TZ_E_LIMIT, row->rec.type->name, NULL, NULL, NULL);
    struct tz_stamp died = tz_stamps_get(stamps, TZ_FIELD_DELETED, 0, row->born);
    row->deleted = false;
    int rc = tz_stamps_set(stamps, (struct tz_stamp){.field = TZ_FIELD_DELETED, .ver = j->edit.ver});
    if (!rc)
        rc = tz_judge_put(j, row, stamps);
    if (!rc)
        rc = tz_judge_revive_parents(j, row, depth);
    return rc ? rc : tz_case_deletion(j, row, tz_judge_commit_of(j, died.ver), "revived");
}

/** @op names a record that became part of @row, and its author knew that: 1 refused, 0 not so, negative. */
static int restores_merged(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t,
                           const struct tz_row *row)
{
    struct tz_row *gone = tz_arena_alloc(j->a, sizeof *gone);
    struct tz_stamps stamps;
    char hex[TZ_ID_HEX + 1];
    if (tz_id_eq(row->id, op->id))
        return 0;
    tz_stamps_init(&stamps, j->a);
    int rc = gone ? tz_replica_get(j->s->rep, t, op->id, j->a, gone, j->err) : TZ_E_NOMEM;
    rc = rc == 1 ? tz_stamps_decode(&stamps, gone->stamps) : rc < 0 ? rc : TZ_E_INTERNAL;
    if (rc || !tz_merge_saw(&j->edit, tz_stamps_get(&stamps, TZ_FIELD_DELETED, 0, gone->born), tz_judge_commit_of, j))
        return rc;
    tz_id_print(row->id, hex);
    char *survivor = tz_arena_strdup(j->out, hex);
    return survivor ? (tz_judge_refuse(j, TZ_E_MERGED, survivor, NULL), 1) : TZ_E_NOMEM;
}

int tz_judge_restore(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t)
{
    struct tz_row *row = tz_arena_alloc(j->a, sizeof *row);
    struct tz_stamps stamps;
    if (!row)
        return TZ_E_NOMEM;
    int rc = load_for_life(j, op, t, row, &stamps);
    if (!rc)
        rc = restores_merged(j, op, t, row);
    if (rc)
        return rc < 0 ? rc : 0;
    if (!row->deleted) /* both want it alive: equal values */
        return 0;
    if (tz_merge_overtaken(&j->edit, (struct tz_stamp){.field = TZ_FIELD_DELETED}, NULL, j))
        return 0; /* handed in again: who deleted the record had seen that it was back */
    struct tz_stamp died = tz_stamps_get(&stamps, TZ_FIELD_DELETED, 0, row->born);
    if (!tz_merge_saw(&j->edit, died, tz_judge_commit_of, j))
        return tz_judge_revive(j, row, &stamps, 0);
    row->deleted = false;
    rc = tz_stamps_set(&stamps, (struct tz_stamp){.field = TZ_FIELD_DELETED, .ver = j->edit.ver});
    if (!rc)
        rc = tz_judge_put(j, row, &stamps);
    if (!rc)
        rc = tz_judge_revive_parents(j, row, 0);
    if (!rc)
        rc = tz_case_refresh(j, row);
    return rc < 0 ? rc : 0;
}

int tz_judge_decision_on_life(struct tz_judge *j, struct tz_row *row, struct tz_stamps *stamps,
                              const struct tz_record *in, const bool *names)
{
    struct tz_stamp life = tz_stamps_get(stamps, TZ_FIELD_DELETED, 0, row->born);
    if (in ? !row->deleted : saw_all(j, row, stamps))
        return 0;
    if (in && tz_merge_saw(&j->edit, life, tz_judge_commit_of, j))
        return tz_judge_refuse(j, TZ_E_DELETED, NULL, NULL), 1;
    if (in && !life.resolved)
        return tz_judge_revive(j, row, stamps, 0);
    int rc = in ? tz_case_edit_of_deleted(j, row, in, names) : delete_superseded(j, row);
    j->res.outcome = TZ_OUT_SUPERSEDED;
    return rc ? rc : 1;
}
