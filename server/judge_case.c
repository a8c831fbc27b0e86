/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cases: where the words of whoever lost are kept until somebody decides.
 *
 * A case is an ordinary record of type `case`, one per (record, subject, generation); the subject is a field, a group
 * or
 * "_deleted". Its id follows from these, so replaying the log gives the same cases. case_head remembers the newest
 * generation.
 *
 * A candidate: {"at":ms,"by":"device.incarnation.seq","device":n,"of":hex,"rule":…,"since":"ver it joined","user":hex,
 * "values":{field:value…},"ver":"ver it was written"}; "of" only where it was said of another record, which became part
 * of this one. Values of secret fields go into the *_secret twins of the JSON
 * fields, so that the ordinary projection keeps them from readers without that right.
 */
#include "case_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CANDIDATES_MAX = 64 };
static const char LIFE[] = TZ_CASE_LIFE;

struct tz_case_subject tz_case_subject_of(const struct tz_type *t, size_t i)
{
    struct tz_case_subject s = {.group = t->fields[i].group, .field = (int)i};
    const char *name = s.group ? t->groups[s.group - 1].name : t->fields[i].name;
    if (s.group)
        s.field = -1;
    memcpy(s.name, name, strnlen(name, TZ_NAME_MAX));
    return s;
}

static struct tz_case_subject subject_of_life(void)
{
    struct tz_case_subject s = {.life = true, .field = -1};
    memcpy(s.name, LIFE, sizeof LIFE);
    return s;
}

bool tz_case_subject_parse(const struct tz_type *t, struct tz_value name, struct tz_case_subject *out)
{
    if (tz_value_is_text(name, LIFE)) {
        *out = subject_of_life();
        return true;
    }
    for (size_t i = 0; i < t->nfields; i++) {
        *out = tz_case_subject_of(t, i);
        if (tz_value_is_text(name, out->name))
            return true;
    }
    return false;
}

bool tz_case_in_subject(const struct tz_type *t, const struct tz_case_subject *s, size_t i)
{
    return s->whole || (!s->life && (s->group ? t->fields[i].group == s->group : s->field == (int)i));
}

bool tz_case_subject_secret(const struct tz_type *t, const struct tz_case_subject *s)
{
    for (size_t i = 0; i < t->nfields; i++)
        if (tz_case_in_subject(t, s, i) && t->fields[i].visibility == TZ_VIS_SECRET)
            return true;
    return s->words && s->secret;
}

/* ---- JSON ---- */

json_t *tz_case_value_json(struct tz_value v)
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

json_t *tz_case_candidate(const struct tz_judge *j, struct tz_commit author, const char *rule, json_t *values)
{
    json_t *c = author_json(author);
    if (!c || json_object_set_new(c, "rule", json_string(rule)) ||
        json_object_set_new(c, "since", ver_json(j->edit.ver)) || json_object_set_new(c, "values", values)) {
        json_decref(c);
        return NULL;
    }
    return c;
}

json_t *tz_case_again(const struct tz_judge *j, const json_t *cand)
{
    json_t *c = json_deep_copy(cand);
    if (c)
        json_object_set_new(c, "since", ver_json(j->edit.ver));
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

json_t *tz_case_list(struct tz_value v)
{
    json_t *j = v.kind == TZ_V_TEXT ? json_loadb((const char *)v.p, v.n, 0, NULL) : NULL;
    return j ? j : json_array();
}

static const char *words_field(const struct tz_type *t, const struct tz_case_subject *s)
{
    return tz_case_subject_secret(t, s) ? "candidates_secret" : "candidates";
}

json_t *tz_case_words(const struct tz_judge *j, const struct tz_type *t, const struct tz_case_subject *s,
                      const struct tz_row *c)
{
    return tz_case_list(c->rec.v[tz_case_field(j, words_field(t, s))->index]);
}

int tz_case_put_words(struct tz_judge *j, const struct tz_type *t, const struct tz_case_subject *s, struct tz_row *c,
                      const json_t *list)
{
    const char *field = words_field(t, s);
    return json_value(j, field, list, &c->rec.v[tz_case_field(j, field)->index]);
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

int64_t tz_case_get_int(const struct tz_judge *j, const struct tz_row *c, const char *field)
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
    out->known = true;
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
static json_t *standing_json(struct tz_judge *j, const struct tz_row *row, const struct tz_case_subject *s,
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
        if (!tz_case_in_subject(t, s, i))
            continue;
        tz_ver ver = tz_stamps_said(stamps, t->fields[i].id, row->born);
        newest = ver > newest ? ver : newest;
        json_object_set_new(values, t->fields[i].name, tz_case_value_json(row->rec.v[i]));
    }
    json_t *out = author_json(tz_judge_commit_of(j, newest));
    if (out)
        json_object_set_new(out, "values", values);
    else
        json_decref(values);
    return out;
}

int tz_case_set_standing(struct tz_judge *j, struct tz_row *c, const struct tz_row *row,
                         const struct tz_case_subject *s)
{
    struct tz_stamps stamps;
    struct tz_value v;
    if (s->words)
        return 0;
    tz_stamps_init(&stamps, j->a);
    int rc = tz_stamps_decode(&stamps, row->stamps);
    json_t *json = rc ? NULL : standing_json(j, row, s, &stamps);
    const char *field = tz_case_subject_secret(row->rec.type, s) ? "standing_secret" : "standing";
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

/** Where it lies: with its record; but what is said late of a row of the whole city concerns the centre alone. */
void tz_case_place(const struct tz_judge *j, struct tz_row *c, const struct tz_row *row)
{
    c->area = row->area;
    if (c->area.district[0] == '\0' && tz_case_late_kind(j, c))
        memcpy(c->area.district, TZ_CITY_CODE, TZ_DISTRICT_BYTES);
}

static int case_new(struct tz_judge *j, const struct tz_row *row, const struct tz_case_subject *s, uint32_t generation,
                    const char *kind, const char *rule, struct tz_row **out)
{
    struct tz_row *c = tz_arena_calloc(j->a, 1, sizeof *c);
    if (!c)
        return TZ_E_NOMEM;
    tz_record_init(&c->rec, j->s->case_type);
    c->id = tz_case_id(row, s->name, generation);
    c->born = j->edit.ver;
    tz_case_put_text(j, c, "target_type", row->rec.type->name);
    c->rec.v[tz_case_field(j, "target_id")->index] = tz_value_blob(row->id.b, TZ_ID_BYTES);
    char *name = tz_arena_strdup(j->a, s->name);
    if (!name)
        return TZ_E_NOMEM;
    tz_case_put_text(j, c, "subject", name);
    tz_case_put_text(j, c, "kind", kind);
    tz_case_place(j, c, row);
    tz_case_put_int(j, c, "generation", generation);
    tz_case_put_text(j, c, "state", "open");
    tz_case_put_int(j, c, "hidden_count", 0);
    tz_case_put_text(j, c, "rule", rule);
    tz_case_put_int(j, c, "opened_at", j->received.ms);
    *out = c;
    return 0;
}

static tz_ver spoken_at(const json_t *cand)
{
    const char *ver = json_string_value(json_object_get(cand, "ver"));
    return ver ? strtoull(ver, NULL, 10) : 0;
}

/** Of "device.incarnation.seq": which of the device's folders said it. */
static unsigned folder_of(const json_t *cand)
{
    const char *by = json_string_value(json_object_get(cand, "by"));
    unsigned incarnation = 0;
    return by && sscanf(by, "%*u.%u.", &incarnation) == 1 ? incarnation : 0;
}

/** Words of one user on one device about one record. A copy of the device's folder is somebody else: what the one says
 * the other has not seen. */
static bool same_speaker(const json_t *a, const json_t *b)
{
    static const char *const WHO[] = {"device", "user", "of"};
    bool same = folder_of(a) == folder_of(b);
    for (size_t i = 0; i < sizeof WHO / sizeof *WHO; i++) {
        const json_t *x = json_object_get(a, WHO[i]);
        const json_t *y = json_object_get(b, WHO[i]);
        same = same && (x || y ? json_equal(x, y) : true);
    }
    return same;
}

/** Where @list has an earlier word of @cand's speaker, else its length. */
static size_t earlier_word(const json_t *list, const json_t *cand)
{
    size_t i = 0;
    while (i < json_array_size(list) &&
           (!same_speaker(json_array_get(list, i), cand) || spoken_at(json_array_get(list, i)) > spoken_at(cand)))
        i++;
    return i;
}

/** A later word replaces the same speaker's earlier one; past the cap it is counted only, and not in the list: false. */
static bool candidates_add(struct tz_judge *j, struct tz_row *c, json_t *list, json_t *cand)
{
    size_t at = earlier_word(list, cand);
    if (at < json_array_size(list)) {
        json_array_set(list, at, cand);
        return true;
    }
    if (json_array_size(list) < CANDIDATES_MAX)
        return json_array_append(list, cand) == 0;
    tz_case_put_int(j, c, "hidden_count", tz_case_get_int(j, c, "hidden_count") + 1);
    return false;
}

/** Words on their way into one case. */
struct joining {
    const struct tz_row *row;
    const struct tz_case_subject *s;
    const char *kind, *rule;
    const json_t *words;
};

/** An earlier word of the speaker about the whole record, from before that was secret: the later one, which completes
 * it, takes its place. */
static int replace_open(struct tz_judge *j, struct tz_row *c, const json_t *cand)
{
    struct tz_value *v = &c->rec.v[tz_case_field(j, "candidates")->index];
    json_t *list = tz_case_list(*v);
    size_t at = earlier_word(list, cand);
    int rc = 0;
    if (at < json_array_size(list)) {
        json_array_remove(list, at);
        rc = json_value(j, "candidates", list, v);
    }
    json_decref(list);
    return rc;
}

static int add_word(struct tz_judge *j, const struct joining *in, struct tz_row *c, json_t *cand)
{
    json_t *list = tz_case_words(j, in->row->rec.type, in->s, c);
    bool added = candidates_add(j, c, list, cand);
    int rc = tz_case_put_words(j, in->row->rec.type, in->s, c, list);
    json_decref(list);
    if (!rc && added && in->s->whole && tz_case_subject_secret(in->row->rec.type, in->s))
        rc = replace_open(j, c, cand);
    if (rc != TZ_E_TOO_LONG)
        return rc;
    /* what was there stays; this word is in the audit log and is counted */
    tz_case_put_int(j, c, "hidden_count", tz_case_get_int(j, c, "hidden_count") + 1);
    return 0;
}

static int join(struct tz_judge *j, void *ctx)
{
    const struct joining *in = ctx;
    const struct tz_case_subject *s = in->s;
    struct tz_case_head h;
    struct tz_row *c = NULL;
    int rc = tz_case_head_get(j, in->row, s->name, &h);
    if (!rc && h.open)
        rc = tz_case_load(j, h.case_id, &c);
    else if (!rc)
        rc = case_new(j, in->row, s, h.generation + 1, in->kind, in->rule, &c);
    if (!rc && strcmp(in->kind, TZ_CASE_LATE) == 0) { /* whoever may decide about this word decides about all of it */
        tz_case_put_text(j, c, "kind", in->kind);
        tz_case_place(j, c, in->row);
    }
    for (size_t i = 0; i < json_array_size(in->words) && !rc; i++)
        rc = add_word(j, in, c, json_array_get(in->words, i));
    if (!rc) {
        rc = s->whole ? 0 : tz_case_set_standing(j, c, in->row, s);
        rc = rc < 0 ? rc : tz_case_store(j, c);
    }
    if (rc)
        return rc;
    tz_case_note(j, c->id);
    return tz_case_head_put(
        j, in->row, s->name,
        &(struct tz_case_head){.generation = h.open ? h.generation : h.generation + 1, .open = true, .case_id = c->id});
}

int tz_case_join_all(struct tz_judge *j, const struct tz_row *row, const struct tz_case_subject *s, const char *kind,
                     const char *rule, json_t *words)
{
    struct joining in = {row, s, kind, rule, words};
    int rc = !words ? TZ_E_NOMEM : json_array_size(words) ? tz_judge_apart(j, join, &in) : 0;
    json_decref(words);
    return rc;
}

int tz_case_join(struct tz_judge *j, const struct tz_row *row, const struct tz_case_subject *s, const char *kind,
                 const char *rule, json_t *cand)
{
    return tz_case_join_all(j, row, s, kind, rule, cand ? json_pack("[o]", cand) : NULL);
}

/* ---- from merges ---- */

json_t *tz_case_said_of(json_t *cand, struct tz_id id)
{
    char hex[TZ_ID_HEX + 1];
    tz_id_print(id, hex);
    if (cand && json_object_set_new(cand, "of", json_string(hex))) {
        json_decref(cand);
        return NULL;
    }
    return cand;
}

static json_t *loss_candidate(const struct tz_judge *j, const struct tz_loss *l, json_t *values)
{
    json_t *c = tz_case_candidate(j, l->author, l->rule, values);
    return tz_id_is_zero(l->of) ? c : tz_case_said_of(c, l->of);
}

/** Members of a group that one author said in one commit of one record are one word. */
static bool one_word(const struct tz_loss *a, const struct tz_loss *b)
{
    return a->author.ver == b->author.ver && tz_id_eq(a->of, b->of);
}

/** What a merge of records had brought is a word about the record that it came from. */
static int find_speakers(struct tz_judge *j, const struct tz_row *row, struct tz_loss *loss, size_t n)
{
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++)
        if (loss[i].merged && tz_id_is_zero(loss[i].of))
            rc = tz_alias_speaker(j, row, loss[i].field, loss[i].value, loss[i].author.ver, &loss[i].of);
    return rc;
}

int tz_case_losses(struct tz_judge *j, const struct tz_row *row, const struct tz_loss *said, size_t n)
{
    const struct tz_type *t = row->rec.type;
    bool done[TZ_FIELDS_MAX] = {false};
    struct tz_loss *loss = n ? tz_arena_dup(j->a, said, n * sizeof *loss) : NULL;
    if (n && !loss)
        return TZ_E_NOMEM;
    int rc = find_speakers(j, row, loss, n);
    for (size_t i = 0; i < n && !rc; i++) {
        if (done[i])
            continue;
        struct tz_case_subject s = tz_case_subject_of(t, loss[i].field);
        json_t *values = json_object();
        for (size_t k = i; k < n; k++) {
            if (done[k] || !tz_case_in_subject(t, &s, loss[k].field) || !one_word(&loss[i], &loss[k]))
                continue;
            done[k] = true;
            json_object_set_new(values, t->fields[loss[k].field].name, tz_case_value_json(loss[k].value));
        }
        if (s.group)
            json_object_set_new(values, t->fields[t->groups[s.group - 1].as_of].name,
                                tz_case_value_json(loss[i].as_of));
        rc = tz_case_join(j, row, &s, "conflict", loss[i].rule, loss_candidate(j, &loss[i], values));
    }
    return rc;
}

int tz_case_deletion(struct tz_judge *j, const struct tz_row *row, struct tz_commit author, const char *rule)
{
    struct tz_case_subject s = subject_of_life();
    return tz_case_join(j, row, &s, "deleted", rule, tz_case_candidate(j, author, rule, json_pack("{s:i}", LIFE, 1)));
}

/** That it lives, and the named values that everybody may read. */
static json_t *life_json(const struct tz_record *in, const bool *names)
{
    json_t *values = json_pack("{s:i}", LIFE, 0);
    for (size_t i = 0; names && i < in->type->nfields; i++)
        if (names[i] && in->type->fields[i].visibility != TZ_VIS_SECRET)
            json_object_set_new(values, in->type->fields[i].name, tz_case_value_json(in->v[i]));
    return values;
}

int tz_case_lost(struct tz_judge *j, const struct tz_row *row, const struct tz_record *in, const bool *names,
                 struct tz_commit by)
{
    struct tz_case_subject s = subject_of_life();
    return tz_case_join(j, row, &s, "lost", "lost", tz_case_candidate(j, by, "lost", life_json(in, names)));
}

int tz_case_edit_of_deleted(struct tz_judge *j, const struct tz_row *row, const struct tz_record *in, const bool *names)
{
    struct tz_commit author = tz_judge_author(j);
    struct tz_case_subject s = subject_of_life();
    return tz_case_join(j, row, &s, "deleted", "resolved",
                        tz_case_candidate(j, author, "resolved", life_json(in, names)));
}

int tz_case_about(struct tz_judge *j, const struct tz_row *row, bool open, struct tz_case_ref *out, size_t *n)
{
    struct tz_stmt *st = tz_store_sql(j->s, TZ_SQL_CASE_HEAD_ALL, j->err);
    *n = 0;
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, row->rec.type->id);
    tz_stmt_bind_id(st, 2, &row->id);
    tz_stmt_bind_int(st, 3, open);
    int rc;
    while ((rc = tz_stmt_step(st, j->err)) == 1 && *n < TZ_CASE_SUBJECTS_MAX)
        if (tz_case_subject_parse(row->rec.type, tz_stmt_value(st, 0), &out[*n].s) && tz_stmt_id(st, 1, &out[*n].id))
            ++*n;
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

struct refreshing {
    const struct tz_row *row;
    const struct tz_case_ref *ref;
};

static int refresh_one(struct tz_judge *j, void *ctx)
{
    const struct refreshing *r = ctx;
    struct tz_row *c = NULL;
    int rc = tz_case_load(j, r->ref->id, &c);
    if (!rc)
        rc = tz_case_set_standing(j, c, r->row, &r->ref->s);
    return rc == 1 ? tz_case_store(j, c) : rc;
}

int tz_case_refresh(struct tz_judge *j, const struct tz_row *row)
{
    struct tz_case_ref open[TZ_CASE_SUBJECTS_MAX];
    size_t n = 0;
    int rc = tz_case_about(j, row, true, open, &n);
    for (size_t i = 0; i < n && !rc; i++)
        rc = tz_judge_apart(j, refresh_one, &(struct refreshing){row, &open[i]});
    return rc;
}
