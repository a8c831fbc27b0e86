/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a row of a lost version says that nobody has handed in again: into cases.
 *
 *   the record is not here               written as a deleted one, with a case of kind `lost` about its life
 *   it is here, and lives                fields that differ are candidates of ordinary cases (rule `lost`), so is a
 *                                        deletion
 *   it is here, and was deleted          a case of kind `lost` about its life, which names the values that differ
 *   it became part of another record     candidates of that one's cases, as said of this one
 *
 * A row's version is that of its last change only, and its author may come while others do not. So each field is asked
 * about by itself. What came in since the restore tells:
 *
 *   handed in again, no later than the row, with the row's value   it was judged: nothing is lost
 *   named the field, and had seen the row's version                it was replaced by who knew it
 *   neither                                                        nobody knows of it here
 *
 * Of a set the elements are asked about one by one.
 */
#include "history_int.h"
#include "lost_int.h"
#include "set.h"

#include <string.h>

static const char RULE[] = "lost";

/* ---- what is nowhere else ---- */

/** Elements of a set, ascending. What is taken out needs no memory: of a record there may be any number of edits. */
struct elements {
    struct tz_bytes *v;
    size_t n;
};

struct search {
    struct tz_store *s;
    const struct tz_row *was, *now;
    struct tz_lost_words *out;
    struct elements *missing, *extra; /* of sets, by field: elements that the row has and the record has not; and the
                                         other way round */
    bool knowingly;                   /* somebody deleted it who had seen the row */
    struct tz_arena *a;
    struct tz_err *err;
};

static int elements_of(struct search *w, struct tz_value set, struct elements *out)
{
    struct tz_bytes rest = tz_bytes_of(set.p, set.kind == TZ_V_TEXT ? set.n : 0);
    *out = (struct elements){.v = tz_arena_calloc(w->a, tz_set_count(set) + 1, sizeof *out->v)};
    while (out->v && tz_set_next(&rest, &out->v[out->n]))
        out->n++;
    return out->v ? 0 : TZ_E_NOMEM;
}

static void less_one(struct elements *set, struct tz_bytes el)
{
    size_t lo = 0;
    size_t hi = set->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (tz_bytes_cmp(set->v[mid], el) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == set->n || !tz_bytes_eq(set->v[lo], el))
        return;
    set->n--;
    memmove(&set->v[lo], &set->v[lo + 1], (set->n - lo) * sizeof *set->v);
}

static void less(struct elements *set, const struct tz_bytes *el, size_t n)
{
    for (size_t i = 0; i < n; i++)
        less_one(set, el[i]);
}

static void less_of(struct elements *set, struct tz_value others)
{
    struct tz_bytes rest = tz_bytes_of(others.p, others.kind == TZ_V_TEXT ? others.n : 0);
    struct tz_bytes el;
    while (tz_set_next(&rest, &el))
        less_one(set, el);
}

/** Every field that differs, as if nothing had come in since. A secret value that the reader was not told says nothing.
 */
static int find_differences(struct search *w)
{
    const struct tz_type *t = w->was->rec.type;
    int rc = 0;
    for (size_t i = 0; i < t->nfields && !rc; i++) {
        const struct tz_field *f = &t->fields[i];
        struct tz_value was = w->was->rec.v[i];
        struct tz_value now = w->now->rec.v[i];
        bool untold = f->visibility == TZ_VIS_SECRET && was.kind == TZ_V_NULL;
        w->out->field[i] = !untold && !tz_value_eq(was, now);
        if (!w->out->field[i] || f->merge != TZ_MERGE_SET)
            continue;
        rc = elements_of(w, was, &w->missing[i]);
        rc = rc ? rc : elements_of(w, now, &w->extra[i]);
        less_of(&w->missing[i], now);
        less_of(&w->extra[i], was);
    }
    w->out->life = w->was->deleted != w->now->deleted;
    return rc;
}

/** Is the op about the record: it, or a case of it? 1, 0, negative. */
static int is_about(struct search *w, const struct tz_op *op)
{
    struct tz_history_case c;
    if (op->kind == TZ_OP_WITHDRAW)
        return 0;
    if (op->kind != TZ_OP_RESOLVE)
        return op->type == w->was->rec.type->id && tz_id_eq(op->id, w->was->id);
    int rc = tz_history_case_of(w->s, op->id, &c, w->err);
    return rc == 1 ? c.type == w->was->rec.type && tz_id_eq(c.target, w->was->id) : rc;
}

/** An op that says values: @came of before the restore, @saw the row. */
static int take_values(struct search *w, const struct tz_since *one, bool came, bool saw)
{
    const struct tz_type *t = w->was->rec.type;
    const struct tz_op *op = one->op;
    struct tz_record *in = tz_arena_alloc(one->a, sizeof *in);
    bool made = op->kind == TZ_OP_CREATE || op->kind == TZ_OP_APPEND;
    int rc = in ? tz_record_decode(t, op->values, one->a, in, NULL) : TZ_E_NOMEM;
    if (rc)
        return rc == TZ_E_NOMEM ? rc : 0; /* it was judged by an older catalogue */
    for (size_t i = 0; i < t->nfields; i++) {
        bool named = in->v[i].kind != TZ_V_NULL;
        for (size_t k = 0; k < op->ncleared && !named; k++)
            named = op->cleared[k] == t->fields[i].id;
        if (made && came && t->fields[i].merge == TZ_MERGE_SET)
            less_of(&w->missing[i], in->v[i]);
        else if (named && (saw || (came && tz_value_eq(in->v[i], w->was->rec.v[i]))))
            w->out->field[i] = false;
    }
    return 0;
}

static void take_elements(struct search *w, const struct tz_op *op, bool came, bool saw)
{
    const struct tz_field *f = tz_type_field_id(w->was->rec.type, op->field);
    bool add = op->kind == TZ_OP_ADD;
    if (!f || f->merge != TZ_MERGE_SET)
        return;
    if (saw || (add && came))
        less(&w->missing[f->index], op->elements, op->nelements);
    if (saw || came || add) /* what somebody puts in now is no removal that was lost */
        less(&w->extra[f->index], op->elements, op->nelements);
}

static int take_op(void *ctx, const struct tz_since *one)
{
    struct search *w = ctx;
    const struct tz_op *op = one->op;
    bool came = tz_lost_is(w->s, one->place) && one->place <= w->was->ver;
    bool saw = tz_lost_is(w->s, op->base_ver) && op->base_ver >= w->was->ver;
    int rc = is_about(w, op);
    if (rc != 1)
        return rc;
    switch ((int)op->kind) {
    case TZ_OP_DELETE:
        w->knowingly = w->knowingly || saw;
        w->out->life = w->out->life && !came && !saw;
        return 0;
    case TZ_OP_RESTORE:
        w->out->life = w->out->life && !came && !saw;
        return 0;
    case TZ_OP_ADD:
    case TZ_OP_REMOVE:
        take_elements(w, op, came, saw);
        return 0;
    default:
        return take_values(w, one, came, saw);
    }
}

/** The record was deleted: since the restore, or was it so in the backup? Then it was a lost change that brought it
 * back. 1 since, 0, negative. */
static int died_since(struct search *w)
{
    struct tz_stamps stamps;
    tz_stamps_init(&stamps, w->a);
    int rc = tz_stamps_decode(&stamps, w->now->stamps);
    tz_ver died = tz_stamps_get(&stamps, TZ_FIELD_DELETED, 0, w->now->born).ver;
    return rc ? rc : died > tz_lost_floor(w->s, w->was->ver);
}

/** What is left, when all that came in since was looked at. */
static int sum_up(struct search *w)
{
    const struct tz_type *t = w->was->rec.type;
    bool over = w->now->deleted && (w->was->deleted || w->knowingly);
    int since = w->now->deleted && w->out->life ? died_since(w) : 0;
    w->out->life = w->out->life && !over && since == 0;
    for (size_t i = 0; i < t->nfields; i++) {
        bool set = t->fields[i].merge == TZ_MERGE_SET;
        bool left = !set || w->missing[i].n || w->extra[i].n;
        w->out->field[i] = w->out->field[i] && left && !over;
        w->out->n += w->out->field[i];
    }
    return since < 0 ? since : 0;
}

int tz_lost_words(struct tz_store *s, const struct tz_row *was, const struct tz_row *now, struct tz_arena *a,
                  struct tz_lost_words *out, struct tz_err *err)
{
    const struct tz_type *t = was->rec.type;
    struct search w = {.s = s, .was = was, .now = now, .out = out, .a = a, .err = err};
    memset(out, 0, sizeof *out);
    w.missing = tz_arena_calloc(a, t->nfields + 1, sizeof *w.missing);
    w.extra = tz_arena_calloc(a, t->nfields + 1, sizeof *w.extra);
    int rc = w.missing && w.extra ? find_differences(&w) : TZ_E_NOMEM;
    bool any = out->life;
    for (size_t i = 0; i < t->nfields; i++)
        any = any || out->field[i];
    if (!rc && any)
        rc = tz_late_each(s, t, was->id, was->ver, take_op, &w, err);
    return rc ? rc : sum_up(&w);
}

/* ---- asking ---- */

int tz_lost_bury(struct tz_judge *j, struct tz_row *was, tz_ver born, struct tz_commit by)
{
    struct tz_stamps stamps;
    bool lived = !was->deleted;
    tz_stamps_init(&stamps, j->a);
    was->deleted = true;
    was->born = born;
    /* Its content is of before, its deletion is not: an edit by somebody who had it brings it back. */
    int rc = tz_stamps_set(&stamps, (struct tz_stamp){.field = TZ_FIELD_DELETED, .ver = j->edit.ver});
    if (!rc)
        rc = tz_judge_put(j, was, &stamps);
    return rc || !lived ? rc
                        : tz_case_lost(j, was, &was->rec, NULL, by); /* had it been deleted, that is how it is now */
}

/** Candidates about @row; @of: said of another record, that became part of it. */
static int ask_fields(struct tz_judge *j, const struct tz_row *was, const struct tz_row *row,
                      const struct tz_lost_words *words, struct tz_commit by, struct tz_id of)
{
    const struct tz_type *t = was->rec.type;
    struct tz_loss *loss = tz_arena_calloc(j->a, t->nfields + 1, sizeof *loss);
    size_t n = 0;
    if (!loss)
        return TZ_E_NOMEM;
    for (size_t i = 0; i < t->nfields; i++) {
        const struct tz_field *f = &t->fields[i];
        if (!words->field[i] || tz_value_eq(was->rec.v[i], row->rec.v[i]))
            continue;
        loss[n++] = (struct tz_loss){.field = (uint16_t)i,
                                     .value = was->rec.v[i],
                                     .as_of = f->group ? was->rec.v[t->groups[f->group - 1].as_of] : tz_value_null(),
                                     .author = by,
                                     .rule = RULE,
                                     .of = of};
    }
    return tz_case_losses(j, row, loss, n);
}

/** Its survivor, when it became part of one: 1, 0, negative. */
static int survivor_of(struct tz_judge *j, const struct tz_row *now, struct tz_row **out)
{
    struct tz_id id;
    int rc = tz_alias_get(j->s, now->rec.type, now->id, &id, j->err);
    if (rc != 1)
        return rc;
    *out = tz_arena_alloc(j->a, sizeof **out);
    return *out ? tz_replica_get(j->s->rep, now->rec.type, id, j->a, *out, j->err) : TZ_E_NOMEM;
}

int tz_lost_ask(struct tz_judge *j, const struct tz_row *was, const struct tz_row *now,
                const struct tz_lost_words *words, struct tz_commit by)
{
    static const struct tz_id of_this = {{0}};
    struct tz_row *survivor = NULL;
    int rc = now->deleted ? survivor_of(j, now, &survivor) : 0;
    if (rc < 0)
        return rc;
    if (rc == 1)
        return ask_fields(j, was, survivor, words, by, was->id);
    if (now->deleted)
        return tz_case_lost(j, now, &was->rec, words->field, by);
    rc = ask_fields(j, was, now, words, by, of_this);
    return rc || !words->life ? rc : tz_case_deletion(j, now, by, RULE);
}

/* ---- its maker comes after all ---- */

/** Was the record written from a lost row, and by nobody else? */
static bool was_buried(const struct tz_judge *j, const struct tz_row *old)
{
    struct tz_commit born = tz_store_commit_of(j->s, old->born);
    return born.ver && born.device == 0 && born.old_ver && tz_lost_is(j->s, born.old_ver);
}

int tz_lost_make(struct tz_judge *j, const struct tz_row *row, const struct tz_row *old, const bool *names)
{
    struct tz_stamps stamps;
    if (!j->edit.old_ver || !was_buried(j, old))
        return tz_judge_refuse(j, TZ_E_EXISTS, NULL, NULL);
    if (!old->deleted) /* people have brought it back, with what it held since */
        return 0;
    tz_stamps_init(&stamps, j->a);
    int rc = tz_stamps_decode(&stamps, old->stamps);
    struct tz_stamp died = tz_stamps_get(&stamps, TZ_FIELD_DELETED, 0, old->born);
    if (rc || (!died.resolved && tz_judge_commit_of(j, died.ver).device == 0))
        return rc ? rc : 1;
    j->res.outcome = TZ_OUT_SUPERSEDED; /* somebody has said that it shall not be */
    return tz_case_edit_of_deleted(j, old, &row->rec, names);
}

int tz_lost_made(struct tz_judge *j, const struct tz_row *row, const struct tz_row *old)
{
    static const struct tz_id of_this = {{0}};
    struct tz_lost_words *words = tz_arena_calloc(j->a, 1, sizeof *words);
    struct tz_row *was = tz_arena_dup(j->a, old, sizeof *old);
    if (!words || !was)
        return TZ_E_NOMEM;
    struct tz_commit by = tz_store_commit_of(j->s, old->born);
    was->ver = by.old_ver;
    was->deleted = false;
    int rc = tz_lost_words(j->s, was, row, j->a, words, j->err);
    return rc ? rc : ask_fields(j, was, row, words, by, of_this);
}

/* ---- what was asked has its answer ---- */

/** Does the word say what stands? */
static bool stands(const json_t *cand, const struct tz_row *row)
{
    const char *rule = json_string_value(json_object_get(cand, "rule"));
    const json_t *values = json_object_get(cand, "values");
    bool same = rule && strcmp(rule, RULE) == 0;
    const char *name;
    const json_t *value;
    void *at = json_object_iter((json_t *)(uintptr_t)values);
    for (; same && at; at = json_object_iter_next((json_t *)(uintptr_t)values, at)) {
        name = json_object_iter_key(at);
        value = json_object_iter_value(at);
        const struct tz_field *f = tz_type_field(row->rec.type, name);
        json_t *now = strcmp(name, TZ_CASE_LIFE) == 0 ? json_integer(row->deleted)
                      : f                             ? tz_case_value_json(row->rec.v[f->index])
                                                      : NULL;
        same = now && json_equal(now, value);
        json_decref(now);
    }
    return same;
}

/** The case without the words that stand now; without any it closes. */
static int answer_case(struct tz_judge *j, const struct tz_row *row, const struct tz_case_ref *ref)
{
    struct tz_row *c = NULL;
    int rc = tz_case_load(j, ref->id, &c);
    if (rc)
        return rc;
    json_t *list = tz_case_words(j, row->rec.type, &ref->s, c);
    size_t had = json_array_size(list);
    for (size_t i = had; i-- > 0;)
        if (stands(json_array_get(list, i), row))
            (void)json_array_remove(list, i);
    size_t left = json_array_size(list);
    bool none = left == 0 && tz_case_get_int(j, c, "hidden_count") == 0;
    if (left < had) {
        rc = tz_case_put_words(j, row->rec.type, &ref->s, c, list);
        rc = rc ? rc : tz_case_set_standing(j, c, row, &ref->s);
        rc = rc < 0 ? rc : none ? tz_case_close(j, row, c, "gone") : tz_case_store(j, c);
    }
    json_decref(list);
    return rc;
}

int tz_lost_answered(struct tz_judge *j)
{
    struct tz_row *row = j->edit.old_ver && j->target_type ? tz_arena_alloc(j->a, sizeof *row) : NULL;
    struct tz_case_ref *open = row ? tz_arena_calloc(j->a, TZ_CASE_SUBJECTS_MAX, sizeof *open) : NULL;
    size_t n = 0;
    if (!j->edit.old_ver || !j->target_type)
        return 0;
    int rc = open ? tz_replica_get(j->s->rep, j->target_type, j->target, j->a, row, j->err) : TZ_E_NOMEM;
    rc = rc == 1 ? tz_case_about(j, row, true, open, &n) : rc;
    for (size_t i = 0; i < n && !rc; i++)
        rc = answer_case(j, row, &open[i]);
    return rc;
}
