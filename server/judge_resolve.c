/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RESOLVE: somebody decides a case. The choice is written with stamps that say so, and the case closes; what its maker
 * had not seen (candidates that joined since, a value that stands since) is asked again in the next generation.
 */
#include "case_int.h"

#include <stdlib.h>
#include <string.h>

struct resolve {
    struct tz_row *c;   /* the case */
    struct tz_row *row; /* its target */
    struct tz_stamps stamps;
    struct tz_case_subject s;
    struct tz_record in;
    bool names[TZ_FIELDS_MAX];
    bool deleted;             /* about life: the choice */
    struct tz_id standing_of; /* the record that unseen_standing was said of, where that is another */
};

static json_t *chosen_json(const struct resolve *r);

/** A supervisor may say yes to what somebody else had the right to write. */
static bool says_yes(const struct tz_judge *j, const struct resolve *r)
{
    if (!tz_case_late_kind(j, r->c))
        return false;
    json_t *values = chosen_json(r);
    bool found = tz_case_has_word(j, r->c, values);
    json_decref(values);
    return found;
}

/** About a record that a restore undid and only replicas had? */
static bool is_lost(const struct tz_judge *j, const struct tz_row *c)
{
    return tz_value_is_text(c->rec.v[tz_case_field(j, "kind")->index], "lost");
}

/** The chosen values, checked against the subject and the author's rights. 0, 1 refused, negative. */
static int resolve_values(struct tz_judge *j, const struct tz_op *op, struct resolve *r)
{
    const struct tz_type *t = r->row->rec.type;
    r->deleted = op->deleted;
    if (r->s.life != (op->field == TZ_FIELD_DELETED))
        return tz_judge_refuse(j, TZ_E_BAD_OP, "case", NULL), 1;
    if (r->s.life && is_lost(j, r->c)) /* nobody's deletion: a supervisor knows what his people had */
        return tz_merge_right(j, NULL) ? 0 : (tz_judge_refuse(j, TZ_E_NO_RIGHT_TYPE, t->name, NULL), 1);
    if (r->s.life)
        return (t->deleters & j->role->editor) || says_yes(j, r)
                   ? 0
                   : (tz_judge_refuse(j, TZ_E_NO_RIGHT_TYPE, t->name, NULL), 1);
    if (tz_record_decode(t, op->values, j->a, &r->in, NULL))
        return tz_judge_refuse(j, TZ_E_BAD_OP, "case", NULL), 1;
    int rc = tz_judge_known_fields(j, op, t, &r->in);
    if (rc)
        return rc;
    for (size_t i = 0; i < t->nfields; i++)
        r->names[i] = r->in.v[i].kind != TZ_V_NULL;
    for (size_t i = 0; i < op->ncleared; i++) {
        const struct tz_field *f = tz_type_field_id(t, op->cleared[i]);
        if (f)
            r->names[f->index] = true;
    }
    bool any = false;
    bool yes = says_yes(j, r);
    rc = tz_merge_redirect(j, &r->in, r->names);
    if (rc)
        return rc;
    for (size_t i = 0; i < t->nfields; i++) {
        if (!r->names[i])
            continue;
        any = true;
        if (!tz_case_in_subject(t, &r->s, i) || tz_value_check(&t->fields[i], r->in.v[i], false, NULL))
            return tz_judge_refuse(j, TZ_E_VALUE, t->fields[i].name, NULL), 1;
        if (!yes && !tz_judge_may_edit(j, r->row, &t->fields[i]))
            return tz_judge_refuse(j, TZ_E_NO_RIGHT_FIELD, t->fields[i].name, NULL), 1;
        if (r->in.v[i].kind == TZ_V_NULL && tz_judge_required(j, &t->fields[i]))
            return tz_judge_refuse(j, TZ_E_REQUIRED, t->fields[i].name, NULL), 1;
    }
    return any ? 0 : (tz_judge_refuse(j, TZ_E_BAD_OP, "case", NULL), 1);
}

/** Case and target, if the author may see them. 0, 1 refused, negative. */
static int resolve_load(struct tz_judge *j, const struct tz_op *op, struct resolve *r)
{
    struct tz_stamps ignored;
    const struct tz_type *t = NULL;
    struct tz_id target = {{0}};
    r->c = tz_arena_alloc(j->a, sizeof *r->c);
    r->row = tz_arena_alloc(j->a, sizeof *r->row);
    if (!r->c || !r->row)
        return TZ_E_NOMEM;
    int rc = tz_judge_load(j, j->s->case_type, op->id, r->c, &ignored);
    if (rc == 1 && tz_duplicate_case(j, r->c)) {
        rc = tz_duplicate_resolve(j, op, r->c);
        return rc ? rc : 1;
    }
    if (rc == 1 && tz_late_new_case(j, r->c)) {
        rc = tz_late_resolve(j, op, r->c);
        return rc ? rc : 1;
    }
    if (rc == 1 && tz_purged_case(j, r->c)) {
        rc = tz_purged_resolve(j, op, r->c);
        return rc ? rc : 1;
    }
    if (rc == 0) {
        rc = tz_purged_op(j, op, j->s->case_type);
        return rc ? rc : 1;
    }
    if (rc == 1) {
        t = tz_rows_ref_type(j->s->cat, &r->c->rec, tz_case_field(j, "target_id"));
        memcpy(target.b, r->c->rec.v[tz_case_field(j, "target_id")->index].p, TZ_ID_BYTES);
        rc = t ? tz_judge_load(j, t, target, r->row, &r->stamps) : 0;
    }
    if (rc < 0)
        return rc;
    if (rc == 0 && t) { /* the record is gone, the case about it not yet */
        struct tz_op about = {.kind = TZ_OP_RESOLVE, .id = target};
        rc = tz_purged_op(j, &about, t);
        return rc ? rc : 1;
    }
    if (rc == 0 || !tz_judge_in_area(j, &r->row->area) ||
        !tz_case_subject_parse(t, r->c->rec.v[tz_case_field(j, "subject")->index], &r->s))
        return tz_judge_refuse(j, TZ_E_UNKNOWN_RECORD, NULL, NULL), 1;
    if (tz_case_late_kind(j, r->c) && !j->role->supervises)
        return tz_judge_refuse(j, TZ_E_NO_RIGHT_TYPE, "case", NULL), 1;
    if (op->generation != (uint32_t)tz_case_get_int(j, r->c, "generation"))
        return tz_judge_refuse(j, TZ_E_CASE_STALE, NULL, NULL), 1;
    bool closed = tz_value_is_text(r->c->rec.v[tz_case_field(j, "state")->index], "closed");
    if (!tz_id_eq(r->row->id, target) && (r->s.life || !closed)) /* it became part of another */
        return tz_judge_refuse(j, TZ_E_CASE_STALE, NULL, NULL), 1;
    tz_judge_writes(j, r->row);
    return 0;
}

static bool choice_stands(const struct resolve *r)
{
    if (r->s.life)
        return r->row->deleted == r->deleted;
    for (size_t i = 0; i < r->row->rec.type->nfields; i++)
        if (r->names[i] && !tz_value_eq(r->row->rec.v[i], r->in.v[i]))
            return false;
    return true;
}

static json_t *chosen_json(const struct resolve *r)
{
    json_t *values = json_object();
    if (r->s.life)
        json_object_set_new(values, TZ_CASE_LIFE, json_integer(r->deleted));
    for (size_t i = 0; i < r->row->rec.type->nfields; i++)
        if (r->names[i])
            json_object_set_new(values, r->row->rec.type->fields[i].name, tz_case_value_json(r->in.v[i]));
    return values;
}

/** The standing values that the resolver had not seen and did not choose, as {field: value}; NULL when there are none.
 */
static json_t *unseen_standing(struct tz_judge *j, struct resolve *r, struct tz_commit *author)
{
    const struct tz_type *t = r->row->rec.type;
    json_t *values = NULL;
    struct tz_stamp life = tz_stamps_get(&r->stamps, TZ_FIELD_DELETED, 0, r->row->born);
    if (r->s.life && r->row->deleted != r->deleted && !tz_merge_saw(&j->edit, life, tz_judge_commit_of, j)) {
        *author = tz_judge_commit_of(j, life.ver);
        return json_pack("{s:i}", TZ_CASE_LIFE, (int)r->row->deleted);
    }
    for (size_t i = 0; i < t->nfields; i++) {
        if (!r->names[i] || tz_value_eq(r->row->rec.v[i], r->in.v[i]))
            continue;
        struct tz_stamp st = tz_stamps_get(&r->stamps, t->fields[i].id, 0, r->row->born);
        if (tz_merge_saw(&j->edit, st, tz_judge_commit_of, j))
            continue;
        if (!values)
            values = json_object();
        tz_ver said = tz_stamps_said(&r->stamps, t->fields[i].id, r->row->born);
        *author = tz_judge_commit_of(j, said);
        if (said != st.ver && tz_alias_speaker(j, r->row, i, r->row->rec.v[i], said, &r->standing_of))
            break;
        json_object_set_new(values, t->fields[i].name, tz_case_value_json(r->row->rec.v[i]));
    }
    return values;
}

/** Write the choice with stamps that say so. 0, 1 refused, negative. */
static int resolve_write(struct tz_judge *j, struct resolve *r)
{
    const struct tz_type *t = r->row->rec.type;
    bool back = r->s.life && r->row->deleted && !r->deleted;
    int rc = 0;
    if (r->s.life) {
        char example[TZ_ID_HEX + 1];
        uint64_t count = 0;
        if (r->deleted && !r->row->deleted) {
            rc = tz_judge_children(j, t, r->row->id, tz_judge_checkpoint(j), example, &count);
            if (rc > 0)
                return tz_judge_refuse_children(j, count, example) ? TZ_E_NOMEM : 1;
        }
        r->row->deleted = r->deleted;
        if (!rc)
            rc = tz_stamps_set(&r->stamps,
                               (struct tz_stamp){.field = TZ_FIELD_DELETED, .ver = j->edit.ver, .resolved = true});
    }
    for (size_t i = 0; i < t->nfields && !rc; i++) {
        if (!r->names[i])
            continue;
        r->row->rec.v[i] = r->in.v[i];
        rc = tz_stamps_set(&r->stamps,
                           (struct tz_stamp){.field = t->fields[i].id, .ver = j->edit.ver, .resolved = true});
    }
    if (!rc && !r->s.life) /* the choice may move the record, or point somewhere */
        rc = tz_judge_area(j, r->row);
    if (!rc && !r->s.life)
        rc = tz_merge_circle(j, r->row, r->names);
    if (!rc && !r->s.life)
        rc = tz_judge_size(j, &r->row->rec);
    if (!rc && !r->s.life)
        rc = tz_judge_refs(j, t, &r->row->rec, r->names);
    if (!rc)
        rc = tz_judge_put(j, r->row, &r->stamps);
    return rc || !back ? rc : tz_judge_revive_parents(j, r->row, 0);
}

static int resolve_close(struct tz_judge *j, const struct tz_op *op, struct resolve *r)
{
    static const char *const choice[] = {"typed", "mine", "theirs", "typed"};
    struct tz_case_head h;
    uint8_t *user = tz_arena_dup(j->a, j->edit.user.b, TZ_ID_BYTES);
    if (!user)
        return TZ_E_NOMEM;
    tz_case_place(j, r->c, r->row);
    tz_case_put_text(j, r->c, "state", "closed");
    tz_case_put_int(j, r->c, "closed_at", j->received.ms);
    r->c->rec.v[tz_case_field(j, "closed_by")->index] = tz_value_blob(user, TZ_ID_BYTES);
    tz_case_put_text(j, r->c, "choice", choice[(unsigned)op->choice <= 3 ? op->choice : 0]);
    int rc = tz_case_set_standing(j, r->c, r->row, &r->s);
    rc = rc < 0 ? rc : tz_case_store(j, r->c);
    if (!rc)
        rc = tz_case_head_get(j, r->row, r->s.name, &h);
    h.open = false;
    return rc ? rc : tz_case_head_put(j, r->row, r->s.name, &h);
}

/** Candidates that joined after the resolver looked open the next generation. */
static int reopen_unseen(struct tz_judge *j, const struct resolve *r, json_t *standing,
                         struct tz_commit standing_author)
{
    const char *field = tz_case_subject_secret(r->row->rec.type, &r->s) ? "candidates_secret" : "candidates";
    const char *kind = r->s.life ? "deleted" : "conflict";
    json_t *list = tz_case_list(r->c->rec.v[tz_case_field(j, field)->index]);
    int rc = 0;
    for (size_t i = 0; i < json_array_size(list) && !rc; i++) {
        json_t *cand = json_array_get(list, i);
        const char *since = json_string_value(json_object_get(cand, "since"));
        if (!since || strtoull(since, NULL, 10) <= j->edit.base_ver)
            continue;
        const char *rule = json_string_value(json_object_get(cand, "rule"));
        rc = tz_case_join(j, r->row, &r->s, rule && strcmp(rule, TZ_CASE_LATE) == 0 ? TZ_CASE_LATE : kind, "resolved",
                          tz_case_again(j, cand));
    }
    json_decref(list);
    if (rc || !standing)
        return rc;
    json_t *word = tz_case_candidate(j, standing_author, "resolved", json_incref(standing));
    if (!tz_id_is_zero(r->standing_of))
        word = tz_case_said_of(word, r->standing_of);
    return tz_case_join(j, r->row, &r->s, kind, "resolved", word);
}

static int resolve_late(struct tz_judge *j, const struct resolve *r)
{
    struct tz_commit author = tz_judge_author(j);
    if (choice_stands(r))
        return 0;
    j->res.outcome = TZ_OUT_SUPERSEDED;
    return tz_case_join(j, r->row, &r->s, r->s.life ? "deleted" : "conflict", "resolved",
                        tz_case_candidate(j, author, "resolved", chosen_json(r)));
}

int tz_judge_resolve(struct tz_judge *j, const struct tz_op *op)
{
    struct resolve *r = tz_arena_calloc(j->a, 1, sizeof *r);
    struct tz_commit author = {0};
    if (!r)
        return TZ_E_NOMEM;
    int rc = resolve_load(j, op, r);
    if (!rc)
        rc = resolve_values(j, op, r);
    if (rc)
        return rc < 0 ? rc : 0;
    if (tz_value_is_text(r->c->rec.v[tz_case_field(j, "state")->index], "closed"))
        return resolve_late(j, r);
    if (!choice_stands(r) && (r->deleted || !r->s.life))
        rc = tz_judge_decision_on_life(j, r->row, &r->stamps, r->s.life ? NULL : &r->in, r->names);
    if (rc)
        return rc < 0 ? rc : 0;
    json_t *standing = unseen_standing(j, r, &author);
    rc = resolve_write(j, r);
    if (!rc)
        rc = resolve_close(j, op, r);
    if (!rc)
        rc = reopen_unseen(j, r, standing, author);
    json_decref(standing);
    if (!rc)
        rc = tz_case_refresh(j, r->row);
    return rc < 0 ? rc : 0;
}
