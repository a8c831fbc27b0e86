/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cases: where the words of whoever lost are kept until somebody decides.
 *
 * A case is an ordinary record of type `case`, one per (record, subject, generation); the subject is a field, a group
 * or
 * "_deleted". Its id follows from these, so replaying the log gives the same cases. case_head remembers the newest
 * generation.
 *
 * A candidate: {"at":ms,"by":"device.incarnation.seq","device":n,"rule":…,"since":"ver it joined","user":hex,
 * "values":{field:value…},"ver":"ver it was written"}. Values of secret fields go into the *_secret twins of the JSON
 * fields, so that the ordinary projection keeps them from readers without that right.
 */
#include "case_int.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CANDIDATES_MAX = 64, SUBJECTS_MAX = 64 };
static const char LIFE[] = "_deleted";

struct subject {
    char name[TZ_NAME_MAX + 1];
    bool life;
    uint16_t group; /* 0 = none */
    int field;      /* index, -1 when a group or life */
};

static struct subject subject_of_field(const struct tz_type *t, size_t i)
{
    struct subject s = {.group = t->fields[i].group, .field = (int)i};
    const char *name = s.group ? t->groups[s.group - 1].name : t->fields[i].name;
    if (s.group)
        s.field = -1;
    memcpy(s.name, name, strnlen(name, TZ_NAME_MAX));
    return s;
}

static struct subject subject_of_life(void)
{
    struct subject s = {.life = true, .field = -1};
    memcpy(s.name, LIFE, sizeof LIFE);
    return s;
}

static bool subject_parse(const struct tz_type *t, struct tz_value name, struct subject *out)
{
    if (tz_value_is_text(name, LIFE)) {
        *out = subject_of_life();
        return true;
    }
    for (size_t i = 0; i < t->nfields; i++) {
        *out = subject_of_field(t, i);
        if (tz_value_is_text(name, out->name))
            return true;
    }
    return false;
}

static bool in_subject(const struct tz_type *t, const struct subject *s, size_t i)
{
    return !s->life && (s->group ? t->fields[i].group == s->group : s->field == (int)i);
}

static bool subject_secret(const struct tz_type *t, const struct subject *s)
{
    for (size_t i = 0; i < t->nfields; i++)
        if (in_subject(t, s, i) && t->fields[i].visibility == TZ_VIS_SECRET)
            return true;
    return false;
}

/* ---- JSON ---- */

static json_t *value_json(struct tz_value v)
{
    char *hex;
    json_t *j = NULL;
    switch (v.kind) {
    case TZ_V_INT:
        return json_integer(v.i);
    case TZ_V_TEXT:
        return json_stringn((const char *)v.p, v.n);
    case TZ_V_BLOB:
        hex = malloc(2 * v.n + 1);
        if (!hex)
            return NULL;
        for (size_t i = 0; i < v.n; i++)
            (void)snprintf(hex + 2 * i, 3, "%02x", v.p[i]);
        j = json_stringn(hex, 2 * v.n);
        free(hex);
        return j;
    case TZ_V_NULL:
    default:
        return json_null();
    }
}

static json_t *ver_json(tz_ver v)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    return json_string(text);
}

static json_t *author_json(struct tz_commit c)
{
    char by[64];
    char user[TZ_ID_HEX + 1];
    (void)snprintf(by, sizeof by, "%u.%u.%llu", c.device, c.incarnation, (unsigned long long)c.seq);
    tz_id_print(c.user, user);
    return json_pack("{s:I,s:s,s:I,s:s,s:o}", "at", (json_int_t)tz_hlc_ms(c.effective), "by", by, "device",
                     (json_int_t)c.device, "user", user, "ver", ver_json(c.ver));
}

/** @values is taken. */
static json_t *candidate_json(const struct tz_judge *j, struct tz_commit author, const char *rule, json_t *values)
{
    json_t *c = author_json(author);
    if (!c || json_object_set_new(c, "rule", json_string(rule)) ||
        json_object_set_new(c, "since", ver_json(j->edit.ver)) || json_object_set_new(c, "values", values)) {
        json_decref(c);
        return NULL;
    }
    return c;
}

/** Canonical text of @json as a value of the case's field @name, in the scratch arena. */
static int json_value(struct tz_judge *j, const char *name, const json_t *json, struct tz_value *out)
{
    const struct tz_field *f = tz_type_field(j->s->case_type, name);
    char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        return TZ_E_NOMEM;
    int rc = strlen(text) > TZ_TEXT_BYTES_MAX ? TZ_E_TOO_LONG : tz_value_parse(f, text, j->a, out, j->err);
    free(text);
    return rc;
}

static json_t *load_json(struct tz_value v, size_t flags_array)
{
    json_t *j = v.kind == TZ_V_TEXT ? json_loadb((const char *)v.p, v.n, 0, NULL) : NULL;
    if (j)
        return j;
    return flags_array ? json_array() : json_object();
}

/* ---- the case's record ---- */

const struct tz_field *tz_case_field(const struct tz_judge *j, const char *name)
{
    return tz_type_field(j->s->case_type, name);
}

void tz_case_put_text(struct tz_judge *j, struct tz_row *c, const char *field, const char *text)
{
    c->rec.v[tz_case_field(j, field)->index] = tz_value_text(text);
}

void tz_case_put_int(struct tz_judge *j, struct tz_row *c, const char *field, int64_t v)
{
    c->rec.v[tz_case_field(j, field)->index] = tz_value_int(v);
}

static int64_t get_int(const struct tz_judge *j, const struct tz_row *c, const char *field)
{
    return c->rec.v[tz_case_field(j, field)->index].i;
}

int tz_case_head_get(struct tz_judge *j, const struct tz_row *row, const char *subject, struct tz_case_head *out)
{
    struct tz_stmt *st = tz_store_sql(j->s, TZ_SQL_CASE_HEAD_GET, j->err);
    *out = (struct tz_case_head){0};
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, row->rec.type->id);
    tz_stmt_bind_id(st, 2, &row->id);
    tz_stmt_bind_text(st, 3, subject);
    int rc = tz_stmt_step(st, j->err);
    if (rc != 1)
        return rc;
    out->generation = (uint32_t)tz_stmt_int(st, 0);
    out->open = tz_stmt_int(st, 1) != 0;
    tz_stmt_id(st, 2, &out->case_id);
    tz_stmt_reset(st);
    return 0;
}

int tz_case_head_put(struct tz_judge *j, const struct tz_row *row, const char *subject, const struct tz_case_head *h)
{
    struct tz_stmt *st = tz_store_sql(j->s, TZ_SQL_CASE_HEAD_PUT, j->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, row->rec.type->id);
    tz_stmt_bind_id(st, 2, &row->id);
    tz_stmt_bind_text(st, 3, subject);
    tz_stmt_bind_int(st, 4, h->generation);
    tz_stmt_bind_int(st, 5, h->open);
    tz_stmt_bind_id(st, 6, &h->case_id);
    return tz_stmt_run(st, j->err);
}

struct tz_id tz_case_id(const struct tz_row *row, const char *subject, uint32_t generation)
{
    uint8_t key[4 + TZ_ID_BYTES + TZ_NAME_MAX + 1 + 4];
    size_t n = 0;
    for (int i = 24; i >= 0; i -= 8)
        key[n++] = (uint8_t)(row->rec.type->id >> i);
    memcpy(key + n, row->id.b, TZ_ID_BYTES);
    n += TZ_ID_BYTES;
    size_t len = strnlen(subject, TZ_NAME_MAX);
    memcpy(key + n, subject, len);
    n += len;
    key[n++] = 0;
    for (int i = 24; i >= 0; i -= 8)
        key[n++] = (uint8_t)(generation >> i);
    return tz_store_fixed_id("case", tz_bytes_of(key, n));
}

void tz_case_note(struct tz_judge *j, struct tz_id id)
{
    for (size_t i = 0; i < j->res.ncases; i++)
        if (tz_id_eq(j->case_ids[i], id))
            return;
    if (j->res.ncases < TZ_RESULT_CASES_MAX)
        j->case_ids[j->res.ncases++] = id;
}

/** What stands now: {"at","by","device","user","ver","values"}; about life: "values":{"_deleted":0|1}. */
static json_t *standing_json(struct tz_judge *j, const struct tz_row *row, const struct subject *s,
                             const struct tz_stamps *stamps)
{
    const struct tz_type *t = row->rec.type;
    json_t *values = json_object();
    tz_ver newest = row->born;
    if (s->life) {
        newest = tz_stamps_get(stamps, TZ_FIELD_DELETED, 0, row->born).ver;
        json_object_set_new(values, LIFE, json_integer(row->deleted));
    }
    for (size_t i = 0; i < t->nfields; i++) {
        if (!in_subject(t, s, i))
            continue;
        tz_ver ver = tz_stamps_get(stamps, t->fields[i].id, 0, row->born).ver;
        newest = ver > newest ? ver : newest;
        json_object_set_new(values, t->fields[i].name, value_json(row->rec.v[i]));
    }
    json_t *out = author_json(tz_judge_commit_of(j, newest));
    if (out)
        json_object_set_new(out, "values", values);
    else
        json_decref(values);
    return out;
}

/** Fill standing of @c from @row. Returns 1 when it changed, 0 when not. */
static int set_standing(struct tz_judge *j, struct tz_row *c, const struct tz_row *row, const struct subject *s)
{
    struct tz_stamps stamps;
    struct tz_value v;
    tz_stamps_init(&stamps, j->a);
    int rc = tz_stamps_decode(&stamps, row->stamps);
    json_t *json = rc ? NULL : standing_json(j, row, s, &stamps);
    const char *field = subject_secret(row->rec.type, s) ? "standing_secret" : "standing";
    rc = json ? json_value(j, field, json, &v) : TZ_E_NOMEM;
    json_decref(json);
    if (rc == TZ_E_TOO_LONG) { /* the record itself shows it */
        v = tz_value_null();
        rc = 0;
    }
    if (rc)
        return rc;
    struct tz_value *at = &c->rec.v[tz_case_field(j, field)->index];
    if (tz_value_eq(*at, v))
        return 0;
    *at = v;
    return 1;
}

int tz_case_load(struct tz_judge *j, struct tz_id id, struct tz_row **out)
{
    *out = tz_arena_alloc(j->a, sizeof **out);
    if (!*out)
        return TZ_E_NOMEM;
    int rc = tz_replica_get(j->s->rep, j->s->case_type, id, j->a, *out, j->err);
    return rc == 0 ? tz_err_set(j->err, TZ_E_INTERNAL, "case without record", NULL, NULL, NULL) : rc < 0 ? rc : 0;
}

int tz_case_store(struct tz_judge *j, struct tz_row *c)
{
    struct tz_stamps none;
    tz_stamps_init(&none, j->a);
    return tz_judge_put(j, c, &none);
}

static int case_new(struct tz_judge *j, const struct tz_row *row, const struct subject *s, uint32_t generation,
                    const char *kind, const char *rule, struct tz_row **out)
{
    struct tz_row *c = tz_arena_calloc(j->a, 1, sizeof *c);
    if (!c)
        return TZ_E_NOMEM;
    tz_record_init(&c->rec, j->s->case_type);
    c->id = tz_case_id(row, s->name, generation);
    c->born = j->edit.ver;
    c->area = row->area;
    tz_case_put_text(j, c, "target_type", row->rec.type->name);
    c->rec.v[tz_case_field(j, "target_id")->index] = tz_value_blob(row->id.b, TZ_ID_BYTES);
    char *name = tz_arena_strdup(j->a, s->name);
    if (!name)
        return TZ_E_NOMEM;
    tz_case_put_text(j, c, "subject", name);
    tz_case_put_text(j, c, "kind", kind);
    tz_case_put_int(j, c, "generation", generation);
    tz_case_put_text(j, c, "state", "open");
    tz_case_put_int(j, c, "hidden_count", 0);
    tz_case_put_text(j, c, "rule", rule);
    tz_case_put_int(j, c, "opened_at", j->received.ms);
    *out = c;
    return 0;
}

/** A later word of the same device and user replaces their earlier one; past the cap it is counted only. */
static void candidates_add(struct tz_judge *j, struct tz_row *c, json_t *list, json_t *cand)
{
    const char *user = json_string_value(json_object_get(cand, "user"));
    json_int_t device = json_integer_value(json_object_get(cand, "device"));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        const char *other = json_string_value(json_object_get(o, "user"));
        if (json_integer_value(json_object_get(o, "device")) == device && user && other && strcmp(user, other) == 0) {
            json_array_set(list, i, cand);
            return;
        }
    }
    if (json_array_size(list) < CANDIDATES_MAX)
        json_array_append(list, cand);
    else
        tz_case_put_int(j, c, "hidden_count", get_int(j, c, "hidden_count") + 1);
}

/** Open a case about @s or join the open one. @cand is taken. */
static int open_or_join(struct tz_judge *j, const struct tz_row *row, const struct subject *s, const char *kind,
                        const char *rule, json_t *cand)
{
    struct tz_case_head h;
    struct tz_row *c = NULL;
    if (!cand)
        return TZ_E_NOMEM;
    int rc = tz_case_head_get(j, row, s->name, &h);
    if (!rc && h.open)
        rc = tz_case_load(j, h.case_id, &c);
    else if (!rc)
        rc = case_new(j, row, s, h.generation + 1, kind, rule, &c);
    if (!rc) {
        const char *field = subject_secret(row->rec.type, s) ? "candidates_secret" : "candidates";
        struct tz_value *at = &c->rec.v[tz_case_field(j, field)->index];
        json_t *list = load_json(*at, 1);
        candidates_add(j, c, list, cand);
        rc = json_value(j, field, list, at);
        if (rc == TZ_E_TOO_LONG) { /* what was there stays; this word is in the audit log and is counted */
            tz_case_put_int(j, c, "hidden_count", get_int(j, c, "hidden_count") + 1);
            rc = 0;
        }
        json_decref(list);
    }
    if (!rc) {
        rc = set_standing(j, c, row, s);
        rc = rc < 0 ? rc : tz_case_store(j, c);
    }
    json_decref(cand);
    if (rc)
        return rc;
    tz_case_note(j, c->id);
    return tz_case_head_put(
        j, row, s->name,
        &(struct tz_case_head){.generation = h.open ? h.generation : h.generation + 1, .open = true, .case_id = c->id});
}

/* ---- from merges ---- */

int tz_case_losses(struct tz_judge *j, const struct tz_row *row, const struct tz_loss *loss, size_t n)
{
    const struct tz_type *t = row->rec.type;
    bool done[TZ_FIELDS_MAX] = {false};
    for (size_t i = 0; i < n; i++) {
        if (done[i])
            continue;
        struct subject s = subject_of_field(t, loss[i].field);
        json_t *values = json_object();
        for (size_t k = i; k < n; k++) { /* one word per author: all of a group that they said in that commit */
            if (done[k] || !in_subject(t, &s, loss[k].field) || loss[k].author.ver != loss[i].author.ver)
                continue;
            done[k] = true;
            json_object_set_new(values, t->fields[loss[k].field].name, value_json(loss[k].value));
        }
        if (s.group)
            json_object_set_new(values, t->fields[t->groups[s.group - 1].as_of].name, value_json(loss[i].as_of));
        int rc =
            open_or_join(j, row, &s, "conflict", loss[i].rule, candidate_json(j, loss[i].author, loss[i].rule, values));
        if (rc)
            return rc;
    }
    return 0;
}

int tz_case_deletion(struct tz_judge *j, const struct tz_row *row, struct tz_commit author, const char *rule)
{
    struct subject s = subject_of_life();
    return open_or_join(j, row, &s, "deleted", rule, candidate_json(j, author, rule, json_pack("{s:i}", LIFE, 1)));
}

int tz_case_edit_of_deleted(struct tz_judge *j, const struct tz_row *row, const struct tz_record *in, const bool *names)
{
    struct tz_commit author = tz_judge_author(j);
    struct subject s = subject_of_life();
    json_t *values = json_pack("{s:i}", LIFE, 0);
    for (size_t i = 0; i < row->rec.type->nfields; i++)
        if (names[i] && row->rec.type->fields[i].visibility != TZ_VIS_SECRET)
            json_object_set_new(values, row->rec.type->fields[i].name, value_json(in->v[i]));
    return open_or_join(j, row, &s, "deleted", "resolved", candidate_json(j, author, "resolved", values));
}

struct open_case {
    struct subject s;
    struct tz_id id;
};

/** The open cases about what people say of a record; at most SUBJECTS_MAX of them. */
static int open_cases(struct tz_judge *j, const struct tz_row *row, struct open_case *open, size_t *n)
{
    struct tz_stmt *st = tz_store_sql(j->s, TZ_SQL_CASE_HEAD_OPEN, j->err);
    *n = 0;
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, row->rec.type->id);
    tz_stmt_bind_id(st, 2, &row->id);
    int rc;
    while ((rc = tz_stmt_step(st, j->err)) == 1 && *n < SUBJECTS_MAX)
        if (subject_parse(row->rec.type, tz_stmt_value(st, 0), &open[*n].s) && tz_stmt_id(st, 1, &open[*n].id))
            ++*n;
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

int tz_case_refresh(struct tz_judge *j, const struct tz_row *row)
{
    struct open_case open[SUBJECTS_MAX];
    size_t n = 0;
    int rc = open_cases(j, row, open, &n);
    for (size_t i = 0; i < n && rc >= 0; i++) {
        struct tz_row *c = NULL;
        rc = tz_case_load(j, open[i].id, &c);
        if (!rc)
            rc = set_standing(j, c, row, &open[i].s);
        if (rc == 1)
            rc = tz_case_store(j, c);
    }
    return rc < 0 ? rc : 0;
}

/** The candidates of one open case go into the case of the same subject of another record. */
static int hand_over_one(struct tz_judge *j, const struct tz_row *keep, const struct subject *s, struct tz_row *c)
{
    const char *field = subject_secret(keep->rec.type, s) ? "candidates_secret" : "candidates";
    json_t *list = load_json(c->rec.v[tz_case_field(j, field)->index], 1);
    int rc = 0;
    for (size_t i = 0; i < json_array_size(list) && !rc; i++) {
        json_t *again = json_deep_copy(json_array_get(list, i));
        json_object_set_new(again, "since", ver_json(j->edit.ver));
        rc = open_or_join(j, keep, s, "conflict", "merged", again);
    }
    json_decref(list);
    tz_case_put_text(j, c, "state", "closed");
    tz_case_put_text(j, c, "choice", "gone");
    tz_case_put_int(j, c, "closed_at", j->received.ms);
    return rc ? rc : tz_case_store(j, c);
}

int tz_case_hand_over(struct tz_judge *j, const struct tz_row *gone, const struct tz_row *keep)
{
    struct open_case open[SUBJECTS_MAX];
    size_t n = 0;
    int rc = open_cases(j, gone, open, &n);
    for (size_t i = 0; i < n && !rc; i++) {
        struct tz_row *c = NULL;
        struct tz_case_head h;
        if (open[i].s.life)
            continue;
        rc = tz_case_load(j, open[i].id, &c);
        if (!rc)
            rc = hand_over_one(j, keep, &open[i].s, c);
        if (!rc)
            rc = tz_case_head_get(j, gone, open[i].s.name, &h);
        h.open = false;
        if (!rc)
            rc = tz_case_head_put(j, gone, open[i].s.name, &h);
    }
    return rc;
}

/* ---- resolve ---- */

struct resolve {
    struct tz_row *c;   /* the case */
    struct tz_row *row; /* its target */
    struct tz_stamps stamps;
    struct subject s;
    struct tz_record in;
    bool names[TZ_FIELDS_MAX];
    bool deleted; /* about life: the choice */
};

/** The chosen values, checked against the subject and the author's rights. 0, 1 refused, negative. */
static int resolve_values(struct tz_judge *j, const struct tz_op *op, struct resolve *r)
{
    const struct tz_type *t = r->row->rec.type;
    r->deleted = op->deleted;
    if (r->s.life != (op->field == TZ_FIELD_DELETED))
        return tz_judge_refuse(j, TZ_E_BAD_OP, "case", NULL), 1;
    if (r->s.life)
        return t->deleters & j->role->editor ? 0 : (tz_judge_refuse(j, TZ_E_NO_RIGHT_TYPE, t->name, NULL), 1);
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
    rc = tz_merge_redirect(j, &r->in, r->names);
    if (rc)
        return rc;
    bool any = false;
    for (size_t i = 0; i < t->nfields; i++) {
        if (!r->names[i])
            continue;
        any = true;
        if (!in_subject(t, &r->s, i) || tz_value_check(&t->fields[i], r->in.v[i], false, NULL))
            return tz_judge_refuse(j, TZ_E_VALUE, t->fields[i].name, NULL), 1;
        if (!tz_judge_may_edit(j, r->row, &t->fields[i]))
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
    if (rc == 1) {
        t = tz_rows_ref_type(j->s->cat, &r->c->rec, tz_case_field(j, "target_id"));
        memcpy(target.b, r->c->rec.v[tz_case_field(j, "target_id")->index].p, TZ_ID_BYTES);
        rc = t ? tz_judge_load(j, t, target, r->row, &r->stamps) : 0;
    }
    if (rc < 0)
        return rc;
    if (rc == 0 || !tz_judge_in_area(j, &r->row->area) ||
        !subject_parse(t, r->c->rec.v[tz_case_field(j, "subject")->index], &r->s))
        return tz_judge_refuse(j, TZ_E_UNKNOWN_RECORD, NULL, NULL), 1;
    if (op->generation != (uint32_t)get_int(j, r->c, "generation"))
        return tz_judge_refuse(j, TZ_E_CASE_STALE, NULL, NULL), 1;
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
        json_object_set_new(values, LIFE, json_integer(r->deleted));
    for (size_t i = 0; i < r->row->rec.type->nfields; i++)
        if (r->names[i])
            json_object_set_new(values, r->row->rec.type->fields[i].name, value_json(r->in.v[i]));
    return values;
}

/** The standing values that the resolver had not seen and did not choose, as {field: value}; NULL when there are none.
 */
static json_t *unseen_standing(struct tz_judge *j, const struct resolve *r, struct tz_commit *author)
{
    const struct tz_type *t = r->row->rec.type;
    json_t *values = NULL;
    struct tz_stamp life = tz_stamps_get(&r->stamps, TZ_FIELD_DELETED, 0, r->row->born);
    if (r->s.life && r->row->deleted != r->deleted && !tz_merge_saw(&j->edit, life, tz_judge_commit_of, j)) {
        *author = tz_judge_commit_of(j, life.ver);
        return json_pack("{s:i}", LIFE, (int)r->row->deleted);
    }
    for (size_t i = 0; i < t->nfields; i++) {
        if (!r->names[i] || tz_value_eq(r->row->rec.v[i], r->in.v[i]))
            continue;
        struct tz_stamp st = tz_stamps_get(&r->stamps, t->fields[i].id, 0, r->row->born);
        if (tz_merge_saw(&j->edit, st, tz_judge_commit_of, j))
            continue;
        if (!values)
            values = json_object();
        *author = tz_judge_commit_of(j, st.ver);
        json_object_set_new(values, t->fields[i].name, value_json(r->row->rec.v[i]));
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
                return tz_judge_refuse(j, TZ_E_HAS_CHILDREN, "1", NULL), 1;
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
    r->c->area = r->row->area;
    tz_case_put_text(j, r->c, "state", "closed");
    tz_case_put_int(j, r->c, "closed_at", j->received.ms);
    r->c->rec.v[tz_case_field(j, "closed_by")->index] = tz_value_blob(user, TZ_ID_BYTES);
    tz_case_put_text(j, r->c, "choice", choice[(unsigned)op->choice <= 3 ? op->choice : 0]);
    int rc = set_standing(j, r->c, r->row, &r->s);
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
    const char *field = subject_secret(r->row->rec.type, &r->s) ? "candidates_secret" : "candidates";
    const char *kind = r->s.life ? "deleted" : "conflict";
    json_t *list = load_json(r->c->rec.v[tz_case_field(j, field)->index], 1);
    int rc = 0;
    for (size_t i = 0; i < json_array_size(list) && !rc; i++) {
        json_t *cand = json_array_get(list, i);
        const char *since = json_string_value(json_object_get(cand, "since"));
        if (!since || strtoull(since, NULL, 10) <= j->edit.base_ver)
            continue;
        json_t *again = json_deep_copy(cand);
        json_object_set_new(again, "since", ver_json(j->edit.ver));
        rc = open_or_join(j, r->row, &r->s, kind, "resolved", again);
    }
    json_decref(list);
    if (!rc && standing)
        rc = open_or_join(j, r->row, &r->s, kind, "resolved",
                          candidate_json(j, standing_author, "resolved", json_incref(standing)));
    return rc;
}

static int resolve_late(struct tz_judge *j, const struct resolve *r)
{
    struct tz_commit author = tz_judge_author(j);
    if (choice_stands(r))
        return 0;
    j->res.outcome = TZ_OUT_SUPERSEDED;
    return open_or_join(j, r->row, &r->s, r->s.life ? "deleted" : "conflict", "resolved",
                        candidate_json(j, author, "resolved", chosen_json(r)));
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
