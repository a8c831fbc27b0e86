/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open cases of two records that become one, and come apart again.
 *
 * What was said of the one that goes joins the cases of the survivor under its name (`of`), and its own cases close,
 * `gone`. When it comes out they open again, and what was said of it leaves the survivor's cases; so does the
 * survivor's own word that only the merge had made a loser. A case without words closes.
 *
 * Each case is seen to in memory of its own: a record may have as many as it has fields, and each as many words.
 */
#include "case_int.h"

#include <stdio.h>
#include <string.h>

/** One case of a record that goes or comes out, and the survivor. */
struct handover {
    const struct tz_row *gone, *keep;
    const struct tz_case_ref *ref;
    tz_ver since; /* apart: of the merge */
};

/* ---- together ---- */

/** The candidates of one case of @gone go into the case of the same subject of @keep. */
static int hand_over_words(struct tz_judge *j, const struct tz_row *gone, const struct tz_row *keep,
                           const struct tz_case_subject *s, const struct tz_row *c)
{
    json_t *list = tz_case_words(j, keep->rec.type, s, c);
    json_t *again = json_array();
    int rc = list && again ? 0 : TZ_E_NOMEM;
    for (size_t i = 0; i < json_array_size(list) && !rc; i++) {
        json_t *cand = tz_case_again(j, json_array_get(list, i));
        if (!json_object_get(cand, "of"))
            cand = tz_case_said_of(cand, gone->id);
        rc = json_array_append_new(again, cand) ? TZ_E_NOMEM : 0;
    }
    json_decref(list);
    if (!rc)
        return tz_case_join_all(j, keep, s, tz_case_late_kind(j, c) ? TZ_CASE_LATE : "conflict", "merged", again);
    json_decref(again);
    return rc;
}

static int close_as_gone(struct tz_judge *j, const struct tz_row *row, const struct tz_case_subject *s,
                         struct tz_row *c)
{
    struct tz_case_head h;
    tz_case_put_text(j, c, "state", "closed");
    tz_case_put_text(j, c, "choice", "gone");
    tz_case_put_int(j, c, "closed_at", j->received.ms);
    int rc = tz_case_store(j, c);
    if (!rc)
        rc = tz_case_head_get(j, row, s->name, &h);
    h.open = false;
    return rc ? rc : tz_case_head_put(j, row, s->name, &h);
}

static int hand_over_one(struct tz_judge *j, void *ctx)
{
    const struct handover *h = ctx;
    const struct tz_case_subject *s = &h->ref->s;
    struct tz_row *c = NULL;
    int rc = tz_case_load(j, h->ref->id, &c);
    if (!rc && !s->life) /* whether it lives is no question any more, and says nothing about the survivor */
        rc = hand_over_words(j, h->gone, h->keep, s, c);
    return rc ? rc : close_as_gone(j, h->gone, s, c);
}

int tz_case_hand_over(struct tz_judge *j, const struct tz_row *gone, const struct tz_row *keep)
{
    struct tz_case_ref open[TZ_CASE_SUBJECTS_MAX];
    size_t n = 0;
    int rc = tz_case_about(j, gone, true, open, &n);
    for (size_t i = 0; i < n && !rc; i++)
        rc = tz_judge_apart(j, hand_over_one, &(struct handover){gone, keep, &open[i], 0});
    return rc;
}

/* ---- apart ---- */

static int reopen(struct tz_judge *j, const struct tz_row *row, const struct tz_case_subject *s, struct tz_row *c)
{
    struct tz_case_head h;
    tz_case_put_text(j, c, "state", "open");
    c->rec.v[tz_case_field(j, "choice")->index] = tz_value_null();
    c->rec.v[tz_case_field(j, "closed_at")->index] = tz_value_null();
    int rc = tz_case_set_standing(j, c, row, s);
    rc = rc < 0 ? rc : tz_case_store(j, c);
    if (!rc)
        rc = tz_case_head_get(j, row, s->name, &h);
    h.open = true;
    if (!rc)
        rc = tz_case_head_put(j, row, s->name, &h);
    if (!rc)
        tz_case_note(j, c->id);
    return rc;
}

static int reopen_one(struct tz_judge *j, void *ctx)
{
    const struct handover *h = ctx;
    const struct tz_row *back = h->gone;
    struct tz_row *c = tz_arena_alloc(j->a, sizeof *c);
    int rc = c ? tz_replica_get(j->s->rep, j->s->case_type, h->ref->id, j->a, c, j->err) : TZ_E_NOMEM;
    if (rc <= 0)
        return rc;
    json_t *words = tz_case_words(j, back->rec.type, &h->ref->s, c);
    bool gone = !c->deleted && tz_value_is_text(c->rec.v[tz_case_field(j, "choice")->index], "gone");
    bool has_words = json_array_size(words) || tz_case_get_int(j, c, "hidden_count") != 0;
    rc = gone && has_words ? reopen(j, back, &h->ref->s, c) : 0;
    json_decref(words);
    return rc;
}

/** The newest cases of the returning record that the merge has closed. */
static int reopen_gone(struct tz_judge *j, const struct tz_row *back)
{
    struct tz_case_ref shut[TZ_CASE_SUBJECTS_MAX];
    size_t n = 0;
    int rc = tz_case_about(j, back, false, shut, &n);
    for (size_t i = 0; i < n && !rc; i++)
        rc = tz_judge_apart(j, reopen_one, &(struct handover){back, NULL, &shut[i], 0});
    return rc;
}

/** Said of @back, or of what is part of it again? 1, 0, negative. */
static int said_of_it(struct tz_judge *j, const struct tz_row *back, const json_t *word)
{
    const char *of = json_string_value(json_object_get(word, "of"));
    struct tz_id id;
    struct tz_id survivor;
    if (!of || tz_id_parse(of, &id))
        return 0;
    if (tz_id_eq(id, back->id))
        return 1;
    int rc = tz_alias_get(j->s, back->rec.type, id, &survivor, j->err);
    return rc == 1 ? tz_id_eq(survivor, back->id) : rc;
}

/** The survivor's own word, which the merge of version @since made a loser, and which stands again. */
static bool stands_again(const struct tz_row *keep, const json_t *word, tz_ver since)
{
    char ver[24];
    const char *joined = json_string_value(json_object_get(word, "since"));
    json_t *values = json_object_get(word, "values");
    const char *name;
    json_t *value;
    (void)snprintf(ver, sizeof ver, "%llu", (unsigned long long)since);
    bool same = joined && strcmp(joined, ver) == 0 && !json_object_get(word, "of");
    json_object_foreach(values, name, value)
    {
        const struct tz_field *f = tz_type_field(keep->rec.type, name);
        json_t *is = f ? tz_case_value_json(keep->rec.v[f->index]) : NULL;
        same = same && is && json_equal(is, value);
        json_decref(is);
    }
    return same;
}

/** What is left of one open case of the survivor. */
static int thin_out(struct tz_judge *j, void *ctx)
{
    const struct handover *h = ctx;
    const struct tz_row *keep = h->keep;
    const struct tz_case_subject *s = &h->ref->s;
    struct tz_row *c = NULL;
    int rc = tz_case_load(j, h->ref->id, &c);
    if (rc)
        return rc;
    json_t *words = tz_case_words(j, keep->rec.type, s, c);
    size_t had = json_array_size(words);
    for (size_t i = had; i > 0 && rc >= 0; i--) {
        const json_t *word = json_array_get(words, i - 1);
        rc = said_of_it(j, h->gone, word);
        if (rc == 1 || (rc == 0 && stands_again(keep, word, h->since)))
            json_array_remove(words, i - 1);
    }
    size_t left = json_array_size(words);
    rc = rc < 0 ? rc : left == had ? 0 : tz_case_put_words(j, keep->rec.type, s, c, words);
    json_decref(words);
    if (rc || left == had)
        return rc;
    bool empty = left == 0 && tz_case_get_int(j, c, "hidden_count") == 0;
    return empty ? close_as_gone(j, keep, s, c) : tz_case_store(j, c);
}

int tz_case_hand_back(struct tz_judge *j, const struct tz_row *keep, const struct tz_row *back, tz_ver since)
{
    struct tz_case_ref open[TZ_CASE_SUBJECTS_MAX];
    size_t n = 0;
    int rc = reopen_gone(j, back);
    if (!rc)
        rc = tz_case_about(j, keep, true, open, &n);
    for (size_t i = 0; i < n && !rc; i++)
        rc = tz_judge_apart(j, thin_out, &(struct handover){back, keep, &open[i], since});
    return rc;
}
