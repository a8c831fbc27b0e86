/* SPDX-License-Identifier: Apache-2.0 */
/* A decision about a case. */
#include "save_int.h"

#include <stdlib.h>
#include <string.h>

static int typed_choice(const struct tz_case_view *cv, const struct tz_record *typed, const bool *names,
                        struct tz_record *out, bool *used, struct tz_err *err)
{
    tz_record_init(out, cv->type);
    for (size_t i = 0; i < cv->type->nfields; i++) {
        const struct tz_field *f = &cv->type->fields[i];
        if (!names[i])
            continue;
        if (cv->life || !cv->names[i])
            return tz_check_wrong(TZ_E_BAD_OP, f->label[TZ_LANG_ZH], f->name, err);
        int rc = tz_value_check(f, typed->v[i], true, err);
        if (rc)
            return rc;
        out->v[i] = typed->v[i];
        used[i] = true;
    }
    return 0;
}

/** May the author decide this case? Whoever may edit its fields. */
static int resolve_rights(const struct tz_save *s, const struct tz_case_view *cv, const struct tz_row *target,
                          const bool *used, struct tz_err *err)
{
    if (!tz_check_in_area(&s->who, &target->area))
        return tz_check_wrong(TZ_E_AREA, cv->type->label[TZ_LANG_ZH], cv->type->name, err);
    if (cv->late && !s->who.role->supervises)
        return tz_check_wrong(TZ_E_NO_RIGHT_TYPE, "转交审核", "late_scope", err);
    if (cv->late) /* the author had the right to what is said yes to; anything else the server judges */
        return 0;
    if (cv->life && !(cv->type->deleters & s->who.role->editor))
        return tz_check_wrong(TZ_E_NO_RIGHT_TYPE, cv->type->label[TZ_LANG_ZH], cv->type->name, err);
    for (size_t i = 0; i < cv->type->nfields; i++)
        if (used[i] && !tz_check_may_edit(s->o, &s->who, target, &cv->type->fields[i]))
            return tz_check_wrong(TZ_E_NO_RIGHT_FIELD, cv->type->fields[i].label[TZ_LANG_ZH], cv->type->fields[i].name,
                                  err);
    return 0;
}

/** Does the choice say what the record holds? */
static bool says_what_stands(const struct tz_row *target, const struct tz_record *chosen, const bool *used)
{
    for (size_t i = 0; i < target->rec.type->nfields; i++)
        if (used[i] && !tz_value_eq(chosen->v[i], target->rec.v[i]))
            return false;
    return true;
}

/** Was the record last changed by a save of this folder? */
static int last_changed_here(struct tz_save *s, tz_ver ver, struct tz_err *err)
{
    struct tz_stmt st = {0};
    int rc = tz_db_prepare(s->o->db, &st, "SELECT 1 FROM outbox WHERE ver = ? AND outcome IN (1, 2)", err);
    if (!rc) {
        tz_stmt_bind_int(&st, 1, (int64_t)ver);
        rc = tz_stmt_step(&st, err);
    }
    tz_stmt_finalize(&st);
    return rc;
}

/** No other value is written to a deleted record by who had seen that it is: by its version, or as it was done here.
 * Who had not brings it back, and a case about that tells the others (MERGE.md, Cases). */
static int check_lives(struct tz_save *s, const struct tz_row *row, const struct tz_case_view *cv,
                       const struct tz_row *target, const struct tz_record *chosen, const bool *used,
                       struct tz_arena *a, struct tz_err *err)
{
    char id[TZ_ID_HEX + 1];
    char about[TZ_ID_HEX + 1];
    if (cv->life || !target->deleted || says_what_stands(target, chosen, used))
        return 0;
    struct tz_image *now = tz_arena_alloc(a, sizeof *now);
    int seen = now ? tz_overlay_confirmed(s->o, cv->type, cv->target, a, now, NULL, err) : tz_office_nomem(err);
    if (!seen) /* alive but for a deletion that is still here; or an older one */
        seen = now->state == TZ_IMAGE_LIVE || now->row.ver <= row->ver ? 1 : last_changed_here(s, now->row.ver, err);
    if (seen <= 0)
        return seen;
    tz_id_print(cv->target, about);
    tz_id_print(row->id, id);
    return tz_err_set(err, TZ_E_CASE_DELETED, cv->type->name, about, id, NULL);
}

static int push_resolve(struct tz_save *s, const struct tz_row *row, const struct tz_case_view *cv,
                        const struct tz_row *target, struct tz_op *op, const struct tz_record *chosen, const bool *used,
                        struct tz_err *err)
{
    struct tz_bases bases;
    struct tz_seen seen = {target->ver, s->cs.seq, s->o->st.checkpoint};
    uint32_t *cleared = tz_arena_calloc(&s->a, cv->type->nfields, sizeof *cleared);
    int rc = cleared ? tz_overlay_base(s->o, cv->type, cv->target, &seen, &bases, err)
                     : tz_err_set(err, TZ_E_LIMIT, cv->type->name, NULL, NULL, NULL);
    if (rc)
        return rc;
    op->type = row->rec.type->id;
    op->id = row->id;
    op->generation = cv->generation;
    op->field = cv->field;
    op->cleared = cleared;
    op->base_seq = s->cs.seq;
    op->base_ver = row->ver;
    for (size_t i = 0; i < cv->type->nfields; i++) {
        if (used[i] && chosen->v[i].kind == TZ_V_NULL)
            cleared[op->ncleared++] = cv->type->fields[i].id;
        if (cv->names[i] && bases.ver[i] < seen.ver && bases.ver[i] < op->base_ver)
            op->base_ver = bases.ver[i]; /* an own pending value hides what stands */
    }
    rc = tz_save_encode(s, chosen, &op->values, err);
    if (!rc)
        rc = tz_save_room(s, 1, op->values.n + 4 * cv->type->nfields, err);
    if (rc)
        return rc;
    size_t at = tz_save_push(s, op, s->o->st.checkpoint);
    rc = tz_save_show(s, at, row->rec.type, row->id, err);
    return rc ? rc : tz_save_show(s, at, cv->type, cv->target, err);
}

/** The open case, its target, and what they are about. */
static int load_case(struct tz_save *s, struct tz_id case_id, struct tz_arena *a, struct tz_row *row,
                     struct tz_row *target, struct tz_case_view *cv, struct tz_err *err)
{
    const struct tz_type *ct = tz_catalogue_type(s->o->cat, "case");
    if (!ct)
        return tz_err_set(err, TZ_E_UNKNOWN_TYPE, "case", NULL, NULL, NULL);
    int rc = tz_save_view(s, ct, case_id, a, row, err);
    if (!rc)
        rc = tz_case_read(s->o, row, cv, err);
    if (rc)
        return rc;
    if (!cv->open)
        return tz_err_set(err, TZ_E_CASE_STALE, NULL, NULL, NULL, NULL);
    if (cv->words) /* there is none */
        return 0;
    rc = tz_replica_get(s->o->rep, cv->type, cv->target, a, target, err);
    if (rc == 0 && cv->whole)
        return 0;
    if (rc == 0)
        return tz_err_set(err, TZ_E_UNKNOWN_RECORD, NULL, NULL, NULL, NULL);
    return rc < 0 ? rc : 0;
}

/** May the author close a case that is about no value? */
static bool may_close(const struct tz_save *s, const struct tz_case_view *cv)
{
    return cv->duplicate ? s->who.role->supervises : (cv->type->deleters & s->who.role->editor) != 0;
}

/** Two records claim one key, and both stay; or the words about a record that is gone were seen. */
static int keep_as_is(struct tz_save *s, const struct tz_row *row, const struct tz_case_view *cv, enum tz_choice choice,
                      struct tz_err *err)
{
    struct tz_op op = {.kind = TZ_OP_RESOLVE,
                       .type = row->rec.type->id,
                       .id = row->id,
                       .choice = TZ_CHOICE_MINE,
                       .generation = cv->generation,
                       .base_ver = row->ver,
                       .base_seq = s->cs.seq};
    if (choice != TZ_CHOICE_MINE && cv->words)
        return tz_err_set(err, TZ_E_PURGED, NULL, NULL, NULL, NULL);
    if (choice != TZ_CHOICE_MINE)
        return tz_check_wrong(TZ_E_BAD_OP, row->rec.type->label[TZ_LANG_ZH], row->rec.type->name, err);
    if (!may_close(s, cv) || !tz_check_in_area(&s->who, &row->area))
        return tz_check_wrong(TZ_E_NO_RIGHT_TYPE, row->rec.type->label[TZ_LANG_ZH], row->rec.type->name, err);
    int rc = tz_save_room(s, 1, 0, err);
    return rc ? rc : tz_save_show(s, tz_save_push(s, &op, s->o->st.checkpoint), row->rec.type, row->id, err);
}

/** Yes or no to a record that somebody was to make. */
static int make_or_not(struct tz_save *s, const struct tz_row *row, const struct tz_case_view *cv,
                       enum tz_choice choice, unsigned candidate, struct tz_arena *a, struct tz_err *err)
{
    bool used[TZ_FIELDS_MAX] = {false};
    bool ignored = false;
    struct tz_record *chosen = tz_arena_alloc(a, sizeof *chosen);
    struct tz_op op = {.kind = TZ_OP_RESOLVE,
                       .type = row->rec.type->id,
                       .id = row->id,
                       .choice = choice,
                       .generation = cv->generation,
                       .base_ver = row->ver,
                       .base_seq = s->cs.seq};
    if (!chosen)
        return tz_office_nomem(err);
    if (choice == TZ_CHOICE_TYPED || choice == TZ_CHOICE_NONE)
        return tz_check_wrong(TZ_E_BAD_OP, row->rec.type->label[TZ_LANG_ZH], row->rec.type->name, err);
    if (!s->who.role->supervises || !tz_check_in_area(&s->who, &row->area))
        return tz_check_wrong(TZ_E_NO_RIGHT_TYPE, row->rec.type->label[TZ_LANG_ZH], row->rec.type->name, err);
    int rc = choice == TZ_CHOICE_THEIRS ? tz_case_values(row, cv, (int)candidate, a, chosen, used, &ignored, err) : 0;
    if (!rc && choice == TZ_CHOICE_THEIRS)
        rc = tz_save_encode(s, chosen, &op.values, err);
    if (!rc)
        rc = tz_save_room(s, 1, op.values.n, err);
    return rc ? rc : tz_save_show(s, tz_save_push(s, &op, s->o->st.checkpoint), row->rec.type, row->id, err);
}

int tz_save_resolve(struct tz_save *s, struct tz_id case_id, enum tz_choice choice, unsigned candidate,
                    const struct tz_record *typed, const bool *names, struct tz_err *err)
{
    struct tz_arena a;
    struct tz_case_view cv = {0};
    struct tz_op op = {.kind = TZ_OP_RESOLVE, .choice = choice};
    bool used[TZ_FIELDS_MAX] = {false};
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    struct tz_row *row = tz_arena_alloc(&a, sizeof *row);
    struct tz_row *target = tz_arena_alloc(&a, sizeof *target);
    struct tz_record *chosen = tz_arena_alloc(&a, sizeof *chosen);
    int rc = row && target && chosen ? load_case(s, case_id, &a, row, target, &cv, err) : tz_office_nomem(err);
    if (!rc && (cv.duplicate || cv.words)) {
        rc = keep_as_is(s, row, &cv, choice, err);
        tz_arena_deinit(&a);
        return rc;
    }
    if (!rc && cv.whole) {
        rc = make_or_not(s, row, &cv, choice, candidate, &a, err);
        tz_arena_deinit(&a);
        return rc;
    }
    if (!rc && choice != TZ_CHOICE_TYPED)
        rc = tz_case_values(row, &cv, choice == TZ_CHOICE_MINE ? -1 : (int)candidate, &a, chosen, used, &op.deleted,
                            err);
    else if (!rc && typed && names)
        rc = typed_choice(&cv, typed, names, chosen, used, err);
    else if (!rc)
        rc = tz_err_set(err, TZ_E_USAGE, "value", NULL, NULL, NULL);
    if (!rc)
        rc = resolve_rights(s, &cv, target, used, err);
    if (!rc)
        rc = check_lives(s, row, &cv, target, chosen, used, &a, err);
    if (!rc)
        rc = push_resolve(s, row, &cv, target, &op, chosen, used, err);
    tz_arena_deinit(&a);
    return rc;
}
