/* SPDX-License-Identifier: Apache-2.0 */
/* What concerns a record as a whole: deleted, restored, made one with another. */
#include "save_int.h"

#include <string.h>

static int life_rights(const struct tz_save *s, const struct tz_row *row, struct tz_err *err)
{
    const struct tz_type *t = row->rec.type;
    const char *label = t->label[TZ_LANG_ZH];
    if (s->o->st.filling)
        return tz_err_set(err, TZ_E_INCOMPLETE, NULL, NULL, NULL, NULL);
    if (t->append)
        return tz_check_wrong(TZ_E_APPEND_ONLY, label, t->name, err);
    if (t->local || !(t->deleters & s->who.role->editor))
        return tz_check_wrong(TZ_E_NO_RIGHT_TYPE, label, t->name, err);
    return tz_check_in_area(&s->who, &row->area) ? 0 : tz_check_wrong(TZ_E_AREA, label, t->name, err);
}

/** DELETE and RESTORE judge the record as a whole: they saw it only as far as the least base of what was on top of it.
 */
static int push_life(struct tz_save *s, enum tz_op_kind kind, const struct tz_type *t, struct tz_id id,
                     const struct tz_seen *seen, struct tz_err *err)
{
    struct tz_bases bases;
    struct tz_seen mine = tz_save_seen(s, id, seen);
    int rc = tz_overlay_base(s->o, t, id, &mine, &bases, err);
    if (!rc)
        rc = tz_save_room(s, 1, 0, err);
    if (rc)
        return rc;
    struct tz_op op = {.kind = kind, .type = t->id, .id = id, .base_ver = bases.least, .base_seq = mine.seq};
    return tz_save_show(s, tz_save_push(s, &op, seen->checkpoint), t, id, err);
}

int tz_save_delete(struct tz_save *s, const struct tz_type *t, struct tz_id id, const struct tz_seen *seen,
                   struct tz_err *err)
{
    struct tz_arena a;
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    struct tz_row *row = tz_arena_alloc(&a, sizeof *row);
    int rc = row ? tz_save_view(s, t, id, &a, row, err) : tz_office_nomem(err);
    if (!rc)
        rc = life_rights(s, row, err);
    if (!rc)
        rc = tz_check_children(s->o, t, id, err);
    if (!rc)
        rc = push_life(s, TZ_OP_DELETE, t, id, seen, err);
    tz_arena_deinit(&a);
    return rc;
}

int tz_save_restore(struct tz_save *s, const struct tz_type *t, struct tz_id id, const struct tz_seen *seen,
                    struct tz_err *err)
{
    struct tz_arena a;
    struct tz_err live = {0};
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    struct tz_row *row = tz_arena_alloc(&a, sizeof *row);
    int rc = row ? tz_save_view(s, t, id, &a, row, &live) : tz_office_nomem(&live);
    if (rc == 0)
        rc = tz_err_set(err, TZ_E_NOT_DELETED, NULL, NULL, NULL, NULL);
    else if (rc != TZ_E_DELETED) {
        if (err)
            *err = live;
    } else {
        rc = life_rights(s, row, err);
        if (!rc)
            rc = push_life(s, TZ_OP_RESTORE, t, id, seen, err);
    }
    tz_arena_deinit(&a);
    return rc;
}

int tz_save_merge(struct tz_save *s, const struct tz_type *t, struct tz_id keep, struct tz_id gone, bool together,
                  struct tz_err *err)
{
    struct tz_arena a;
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    struct tz_row *one = tz_arena_alloc(&a, sizeof *one);
    struct tz_row *two = tz_arena_alloc(&a, sizeof *two);
    int rc = one && two ? tz_save_view(s, t, keep, &a, one, err) : tz_office_nomem(err);
    if (!rc && together)
        rc = tz_save_view(s, t, gone, &a, two, err);
    if (!rc && (t->append || t->local || t->nsteps || !s->who.role->supervises))
        rc = tz_check_wrong(TZ_E_NO_RIGHT_TYPE, t->label[TZ_LANG_ZH], t->name, err);
    if (!rc && (!tz_check_in_area(&s->who, &one->area) || (together && !tz_check_in_area(&s->who, &two->area))))
        rc = tz_check_wrong(TZ_E_AREA, t->label[TZ_LANG_ZH], t->name, err);
    if (!rc && tz_id_eq(keep, gone))
        rc = tz_err_set(err, TZ_E_USAGE, "merge", NULL, NULL, NULL);
    if (!rc)
        rc = tz_save_room(s, 1, TZ_ID_BYTES, err);
    struct tz_op op = {.kind = together ? TZ_OP_MERGE : TZ_OP_UNMERGE,
                       .type = t->id,
                       .id = keep,
                       .other_id = gone,
                       .base_seq = s->cs.seq};
    if (!rc) {
        op.base_ver = together && two->ver < one->ver ? two->ver : one->ver;
        (void)tz_save_push(s, &op,
                           s->o->st.checkpoint); /* what it does is the server's to work out: nothing is shown */
    }
    tz_arena_deinit(&a);
    return rc;
}
