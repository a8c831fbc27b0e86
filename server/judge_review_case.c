/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cases of kind "late_scope": words that arrived when the right to say them had gone, for a supervisor to say yes or no
 * to. About a field or a life they are ordinary cases, and a conflict that such a word joins becomes one. About a
 * record that was to be made there is one case for all of it, with the subject "_created"; later words of the same
 * person complete what he said.
 */
#include "case_int.h"

#include <string.h>

static const struct tz_case_subject WHOLE = {.whole = true, .name = TZ_CASE_NEW, .field = -1};

/** The named values of @s, as far as it holds them; @done: those that are in. */
static json_t *named_json(const struct tz_record *in, const bool *names, const struct tz_case_subject *s, bool *done)
{
    const struct tz_type *t = in->type;
    json_t *values = json_object();
    for (size_t i = 0; i < t->nfields; i++) {
        if (!names[i] || done[i] || !tz_case_in_subject(t, s, i))
            continue;
        done[i] = true;
        json_object_set_new(values, t->fields[i].name, tz_case_value_json(in->v[i]));
    }
    return values;
}

static int late_word(struct tz_judge *j, const struct tz_row *row, const struct tz_case_subject *s, json_t *values)
{
    return tz_case_join(j, row, s, TZ_CASE_LATE, TZ_CASE_LATE,
                        tz_case_candidate(j, tz_judge_author(j), TZ_CASE_LATE, values));
}

int tz_case_late(struct tz_judge *j, const struct tz_row *row, const struct tz_record *in, const bool *names,
                 bool deleted)
{
    bool done[TZ_FIELDS_MAX] = {false};
    struct tz_case_subject life = {.life = true, .name = TZ_CASE_LIFE, .field = -1};
    int rc = 0;
    if (!names)
        return late_word(j, row, &life, json_pack("{s:i}", TZ_CASE_LIFE, (int)deleted));
    for (size_t i = 0; i < in->type->nfields && !rc; i++) {
        struct tz_case_subject s = tz_case_subject_of(in->type, i);
        if (names[i] && !done[i])
            rc = late_word(j, row, &s, named_json(in, names, &s, done));
    }
    return rc;
}

/** What the same device, best the same person, said of the record before, or nothing. Before its type had a secret field
 * the words went into the open list, so both are looked through. */
static json_t *said_before(struct tz_judge *j, const struct tz_row *row, const struct tz_case_subject *s)
{
    char user[TZ_ID_HEX + 1];
    struct tz_case_head h;
    struct tz_row *c = NULL;
    const json_t *found = NULL;
    tz_id_print(j->edit.user, user);
    if (tz_case_head_get(j, row, s->name, &h) || h.generation == 0 || tz_case_load(j, h.case_id, &c))
        return json_object();
    json_t *words = tz_case_list(c->rec.v[tz_case_field(j, "candidates")->index]);
    json_t *secret = tz_case_list(c->rec.v[tz_case_field(j, "candidates_secret")->index]);
    (void)json_array_extend(words, secret);
    for (size_t i = 0; i < json_array_size(words); i++) {
        const json_t *o = json_array_get(words, i);
        const char *by = json_string_value(json_object_get(o, "user"));
        bool same = by && strcmp(by, user) == 0;
        if (json_integer_value(json_object_get(o, "device")) == j->edit.device && (same || !found))
            found = json_object_get(o, "values");
    }
    json_t *copy = found ? json_deep_copy(found) : json_object();
    json_decref(secret);
    json_decref(words);
    return copy;
}

int tz_case_late_new(struct tz_judge *j, const struct tz_row *row, const struct tz_record *in, const bool *names)
{
    const struct tz_type *t = row->rec.type;
    struct tz_case_subject s = WHOLE;
    json_t *values = said_before(j, row, &s);
    for (size_t i = 0; i < t->nfields; i++) {
        if (!names[i])
            continue;
        if (in->v[i].kind == TZ_V_NULL)
            json_object_del(values, t->fields[i].name);
        else
            json_object_set_new(values, t->fields[i].name, tz_case_value_json(in->v[i]));
    }
    return late_word(j, row, &s, values);
}

bool tz_case_late_kind(const struct tz_judge *j, const struct tz_row *c)
{
    return tz_value_is_text(c->rec.v[tz_case_field(j, "kind")->index], TZ_CASE_LATE);
}

static bool list_has_word(const struct tz_judge *j, const struct tz_row *c, const char *field, const json_t *values)
{
    json_t *list = tz_case_list(c->rec.v[tz_case_field(j, field)->index]);
    bool found = false;
    for (size_t i = 0; i < json_array_size(list) && !found; i++) {
        const json_t *o = json_array_get(list, i);
        const char *rule = json_string_value(json_object_get(o, "rule"));
        found = rule && strcmp(rule, TZ_CASE_LATE) == 0 && json_equal(json_object_get(o, "values"), values);
    }
    json_decref(list);
    return found;
}

bool tz_case_has_word(const struct tz_judge *j, const struct tz_row *c, const json_t *values)
{
    return list_has_word(j, c, "candidates", values) || list_has_word(j, c, "candidates_secret", values);
}

bool tz_case_has_new(const struct tz_judge *j, const struct tz_row *c, const struct tz_record *in, const bool *names)
{
    struct tz_case_subject s = WHOLE;
    bool done[TZ_FIELDS_MAX] = {false};
    json_t *values = named_json(in, names, &s, done);
    bool found = tz_case_has_word(j, c, values);
    json_decref(values);
    return found;
}

int tz_case_close(struct tz_judge *j, const struct tz_row *row, struct tz_row *c, const char *choice)
{
    struct tz_case_head h;
    const struct tz_field *subject = tz_case_field(j, "subject");
    uint8_t *user = tz_arena_dup(j->a, j->edit.user.b, TZ_ID_BYTES);
    struct tz_value name = c->rec.v[subject->index];
    char *text = tz_arena_dup(j->a, name.p, name.n + 1);
    if (!user || !text)
        return TZ_E_NOMEM;
    text[name.n] = '\0';
    tz_case_put_text(j, c, "state", "closed");
    tz_case_put_text(j, c, "choice", choice);
    tz_case_put_int(j, c, "closed_at", j->received.ms);
    c->rec.v[tz_case_field(j, "closed_by")->index] = tz_value_blob(user, TZ_ID_BYTES);
    int rc = tz_case_store(j, c);
    if (!rc)
        rc = tz_case_head_get(j, row, text, &h);
    h.open = false;
    return rc ? rc : tz_case_head_put(j, row, text, &h);
}
