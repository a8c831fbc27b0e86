/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a case: what it is about, what stands, what the candidates are.
 *
 * A case row names its target, a subject (a field, a group, or "_deleted") and carries JSON made by the server:
 *
 *   standing    {…, "values": {field: value, …}}
 *   candidates  [{…, "values": {field: value, …}}, …]
 *   standing_secret, candidates_secret: the same for secret fields, present only for readers with that right
 *
 * A case that was closed long ago: "fields": [field, …] in the place of the values, which are in the server's audit
 * log.
 *
 * Or "_created": a record that is to be made, of which there is no standing value; a supervisor says yes or no to a
 * candidate.
 *
 * A value is a number, a string (blobs as hex) or null. What this catalogue does not know is passed over.
 */
#include "office_int.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char LIFE[] = "_deleted";
static const char WHOLE[] = "_created";

static struct tz_value value_of(const struct tz_row *row, const char *name)
{
    const struct tz_field *f = tz_type_field(row->rec.type, name);
    return f ? row->rec.v[f->index] : tz_value_null();
}

/** The JSON of @name, or of its twin for secret fields; NULL when there is neither. */
static json_t *load_either(const struct tz_row *row, const char *name, const char *secret)
{
    struct tz_value v = value_of(row, name);
    if (v.kind != TZ_V_TEXT)
        v = value_of(row, secret);
    return v.kind == TZ_V_TEXT ? json_loadb((const char *)v.p, v.n, 0, NULL) : NULL;
}

static bool name_subject(struct tz_case_view *cv, struct tz_value subject)
{
    const struct tz_type *t = cv->type;
    if (tz_value_is_text(subject, WHOLE)) {
        cv->whole = true;
        for (size_t i = 0; i < t->nfields; i++)
            cv->names[i] = true;
        return true;
    }
    if (tz_value_is_text(subject, LIFE)) {
        cv->life = true;
        cv->field = TZ_FIELD_DELETED;
        return true;
    }
    for (size_t i = 0; i < t->nfields; i++) {
        const struct tz_field *f = &t->fields[i];
        const char *name = f->group ? t->groups[f->group - 1].name : f->name;
        if (!tz_value_is_text(subject, name))
            continue;
        cv->names[i] = true;
        if (cv->field == 0)
            cv->field = f->id;
    }
    return cv->field != 0;
}

int tz_case_read(struct tz_office *o, const struct tz_row *row, struct tz_case_view *out, struct tz_err *err)
{
    memset(out, 0, sizeof *out);
    const struct tz_field *target = tz_type_field(row->rec.type, "target_id");
    struct tz_value id = target ? row->rec.v[target->index] : tz_value_null();
    struct tz_value generation = value_of(row, "generation");
    out->type = target ? tz_check_any_type(o->cat, &row->rec, target) : NULL;
    struct tz_value other = value_of(row, "other_id");
    out->duplicate = tz_value_is_text(value_of(row, "kind"), "duplicate") && other.kind == TZ_V_BLOB;
    out->words = tz_value_is_text(value_of(row, "kind"), "purged");
    out->late = tz_value_is_text(value_of(row, "kind"), "late_scope");
    if (!out->type || id.kind != TZ_V_BLOB || id.n != TZ_ID_BYTES ||
        (!out->duplicate && !out->words && !name_subject(out, value_of(row, "subject"))))
        return tz_err_set(err, TZ_E_BAD_OP, "case", NULL, NULL, NULL);
    for (size_t i = 0; out->words && i < out->type->nfields; i++)
        out->names[i] = true;
    if (out->duplicate)
        memcpy(out->other.b, other.p, TZ_ID_BYTES);
    memcpy(out->target.b, id.p, TZ_ID_BYTES);
    out->generation = generation.kind == TZ_V_INT ? (uint32_t)generation.i : 0;
    out->open = tz_value_is_text(value_of(row, "state"), "open");
    json_t *list = load_either(row, "candidates", "candidates_secret");
    out->ncandidates = json_array_size(list);
    json_decref(list);
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_blob(const char *hex, size_t n, struct tz_arena *a, struct tz_value *out)
{
    uint8_t *p = n % 2 ? NULL : tz_arena_alloc(a, n / 2);
    for (size_t i = 0; p && i < n / 2; i++) {
        int hi = hex_digit(hex[2 * i]);
        int lo = hex_digit(hex[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        p[i] = (uint8_t)(hi * 16 + lo);
    }
    if (p)
        *out = tz_value_blob(p, n / 2);
    return p != NULL;
}

static bool take_json(const struct tz_field *f, const json_t *j, struct tz_arena *a, struct tz_value *out)
{
    enum tz_vkind kind = tz_ftype_kind(f->ftype);
    *out = tz_value_null();
    if (json_is_null(j))
        return true;
    if (kind == TZ_V_INT && json_is_integer(j)) {
        *out = tz_value_int(json_integer_value(j));
        return true;
    }
    if (!json_is_string(j) || kind == TZ_V_INT)
        return false;
    if (kind == TZ_V_BLOB)
        return take_blob(json_string_value(j), json_string_length(j), a, out);
    void *copy = tz_arena_dup(a, json_string_value(j), json_string_length(j));
    if (copy)
        *out = tz_value_textn(copy, json_string_length(j));
    return copy != NULL;
}

/** @values as a record; @named: the fields that are there (a candidate may hold only some members of a group). */
static int take_values(const json_t *values, const struct tz_case_view *cv, struct tz_arena *a, struct tz_record *out,
                       bool *named, bool *deleted, struct tz_err *err)
{
    tz_record_init(out, cv->type);
    memset(named, 0, TZ_FIELDS_MAX * sizeof *named);
    if (cv->life) {
        const json_t *life = json_object_get(values, LIFE);
        *deleted = json_is_integer(life) ? json_integer_value(life) != 0 : *deleted;
        return 0;
    }
    for (size_t i = 0; i < cv->type->nfields; i++) {
        const struct tz_field *f = &cv->type->fields[i];
        const json_t *j = cv->names[i] ? json_object_get(values, f->name) : NULL;
        if (!j)
            continue;
        if (!take_json(f, j, a, &out->v[i]))
            return tz_err_set(err, TZ_E_BAD_OP, "case", NULL, NULL, NULL);
        named[i] = true;
    }
    return 0;
}

int tz_case_values(const struct tz_row *row, const struct tz_case_view *cv, int candidate, struct tz_arena *a,
                   struct tz_record *out, bool *named, bool *deleted, struct tz_err *err)
{
    json_t *standing = load_either(row, "standing", "standing_secret");
    json_t *list = candidate < 0 ? NULL : load_either(row, "candidates", "candidates_secret");
    const json_t *values = json_object_get(standing, "values");
    int rc = 0;
    *deleted = json_integer_value(json_object_get(values, LIFE)) != 0;
    if (candidate >= 0) {
        *deleted = !*deleted; /* what did not stand, where the candidate does not say */
        values = json_object_get(json_array_get(list, (size_t)candidate), "values");
    }
    if (!json_is_object(values))
        rc = tz_err_setf(err, TZ_E_NOT_FOUND, "%d", candidate + 1);
    else
        rc = take_values(values, cv, a, out, named, deleted, err);
    json_decref(standing);
    json_decref(list);
    return rc;
}

bool tz_case_emptied(const struct tz_row *row, const struct tz_case_view *cv, size_t candidate, bool *named)
{
    json_t *list = load_either(row, "candidates", "candidates_secret");
    const json_t *fields = json_object_get(json_array_get(list, candidate), "fields");
    for (size_t i = 0; i < cv->type->nfields; i++) {
        named[i] = false;
        for (size_t k = 0; k < json_array_size(fields); k++) {
            const char *name = json_string_value(json_array_get(fields, k));
            named[i] = named[i] || (name && strcmp(name, cv->type->fields[i].name) == 0);
        }
    }
    bool emptied = json_is_array(fields);
    json_decref(list);
    return emptied;
}

static void take_author(const json_t *j, struct tz_case_author *out)
{
    const char *by = json_string_value(json_object_get(j, "by"));
    const char *ver = json_string_value(json_object_get(j, "ver"));
    const char *user = json_string_value(json_object_get(j, "user"));
    const char *rule = json_string_value(json_object_get(j, "rule"));
    memset(out, 0, sizeof *out);
    out->known = by && sscanf(by, "%" SCNu32 ".%" SCNu32 ".%" SCNu64, &out->device, &out->incarnation, &out->seq) == 3;
    if (!out->known)
        return;
    out->ver = ver ? strtoull(ver, NULL, 10) : 0;
    out->at_ms = json_integer_value(json_object_get(j, "at"));
    if (user && tz_id_parse(user, &out->user))
        out->user = (struct tz_id){{0}};
    (void)snprintf(out->rule, sizeof out->rule, "%s", rule ? rule : "");
}

void tz_case_authors(const struct tz_row *row, struct tz_case_author *out, size_t n)
{
    json_t *standing = load_either(row, "standing", "standing_secret");
    json_t *list = load_either(row, "candidates", "candidates_secret");
    take_author(standing, &out[0]);
    for (size_t i = 1; i < n; i++)
        take_author(json_array_get(list, i - 1), &out[i]);
    json_decref(standing);
    json_decref(list);
}
