/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row: read its values, find what it is about, decide.
 *
 *   a value that cannot be read, a rule broken              reject
 *   not what --filter asked for                             other
 *   its key is there:  the same values                      skip
 *                      another name (where names count)     review: same code, another name
 *                      other values                         edit of what differs
 *   its name is there under another code (where they count) review
 *   no key, and a record with all the same values           skip
 *   else                                                    new record
 *
 * Names count for types whose records are merged by name and key (types.csv auto_merge). A dry run writes nothing, so
 * what earlier rows of the file would have made is remembered as hashes.
 */
#include "import_int.h"

#include "hash.h"
#include "office_int.h"

#include <stdlib.h>
#include <string.h>

enum { HASHES_START = 1024, HASHES_MAX = 1 << 22 /* slots: 64 MiB */ };

/* ---- hashes ---- */

void tz_hashes_deinit(struct tz_hashes *h)
{
    free(h->slots);
    memset(h, 0, sizeof *h);
}

static uint64_t *slot_of(const struct tz_hashes *h, uint64_t key)
{
    size_t i = (size_t)key & (h->cap - 1);
    while (h->slots[2 * i] && h->slots[2 * i] != key)
        i = (i + 1) & (h->cap - 1);
    return &h->slots[2 * i];
}

static bool hashes_grow(struct tz_hashes *h)
{
    struct tz_hashes bigger = {.cap = h->cap ? h->cap * 2 : HASHES_START, .n = h->n};
    if (bigger.cap > HASHES_MAX)
        return false;
    bigger.slots = calloc(bigger.cap, 2 * sizeof *bigger.slots);
    if (!bigger.slots)
        return false;
    for (size_t i = 0; i < h->cap; i++)
        if (h->slots[2 * i])
            memcpy(slot_of(&bigger, h->slots[2 * i]), &h->slots[2 * i], 2 * sizeof *h->slots);
    free(h->slots);
    *h = bigger;
    return true;
}

static void hashes_put(struct tz_hashes *h, uint64_t key, uint64_t number)
{
    key = key ? key : 1;
    if (2 * (h->n + 1) > h->cap && !hashes_grow(h))
        return; /* past the cap, likeness among later rows is left to the server's duplicate cases */
    uint64_t *slot = slot_of(h, key);
    h->n += slot[0] == 0;
    slot[0] = key;
    slot[1] = number;
}

/** The number of @key; NULL when it is not there. */
static const uint64_t *hashes_get(const struct tz_hashes *h, uint64_t key)
{
    if (h->cap == 0)
        return NULL;
    const uint64_t *slot = slot_of(h, key ? key : 1);
    return slot[0] ? &slot[1] : NULL;
}

/* ---- verdicts ---- */

static void decide(struct tz_import *im, enum tz_import_verdict v, const char *column, const char *reason)
{
    struct tz_row_plan *p = &im->plan;
    p->verdict = v;
    p->column = column;
    size_t n = tz_utf8_cut(reason, strnlen(reason, sizeof p->reason - 1));
    memcpy(p->reason, reason, n);
    p->reason[n] = '\0';
}

static const char *say(const struct tz_import *im, const char *zh, const char *en)
{
    return im->opt->lang == TZ_LANG_ZH ? zh : en;
}

static void reject(struct tz_import *im, const char *column, const struct tz_err *e)
{
    char text[sizeof im->plan.reason];
    decide(im, TZ_IMPORT_REJECT, column, tz_err_text(e, im->opt->lang, text, sizeof text));
}

void tz_plan_reject(struct tz_import *im, const struct tz_err *e)
{
    reject(im, "", e);
}

/** Is the error about this row, so that the next one may still do? */
static bool about_row(int rc)
{
    return tz_err_info(rc)->cls == TZ_ERR_USAGE || rc == TZ_E_LIMIT || rc == TZ_E_FORMAT;
}

/* ---- reading values ---- */

static int read_cell(struct tz_import *im, size_t column, const char *text, struct tz_err *err)
{
    struct tz_row_plan *p = &im->plan;
    const struct tz_field *f = im->columns.fields[column];
    struct tz_value v;
    unsigned warnings = 0;
    struct tz_err e = {0};
    int rc = tz_entry_value(im->entry, &p->rec, f, text, &p->a, &v, &warnings, &e);
    if (!rc && p->names[f->index] && v.kind != TZ_V_NULL && !tz_value_eq(v, p->rec.v[f->index])) {
        decide(im, TZ_IMPORT_REJECT, im->columns.headings[column],
               say(im, "两列对同一字段给出不同的值", "two columns give different values for one field"));
        return 0;
    }
    if (rc) {
        if (!about_row(rc)) {
            if (err)
                *err = e;
            return rc;
        }
        reject(im, im->columns.headings[column], &e);
        return 0;
    }
    if (v.kind == TZ_V_NULL) {
        if (f->ftype == TZ_FT_INT && f->group && !p->names[f->index])
            warnings |= TZ_WARN_COUNT_EMPTY;
    } else {
        p->rec.v[f->index] = v;
        p->names[f->index] = true;
    }
    if (warnings && !p->warnings)
        p->column = im->columns.headings[column];
    p->warnings |= warnings;
    return 0;
}

static int read_cells(struct tz_import *im, const struct tz_bytes *cells, size_t n, struct tz_err *err)
{
    struct tz_row_plan *p = &im->plan;
    for (size_t i = 0; i < n; i++)
        if (!tz_utf8_valid(cells[i]) || memchr(cells[i].p, 0, cells[i].n)) {
            decide(im, TZ_IMPORT_REJECT, i < im->columns.n ? im->columns.headings[i] : "",
                   say(im, "文字编码不对", "not valid text"));
            return 0;
        }
    for (size_t k = 0; k < im->columns.used && p->verdict == TZ_IMPORT_ACCEPT; k++) {
        size_t column = im->columns.order[k];
        int rc = read_cell(im, column, column < n ? (const char *)cells[column].p : "", err);
        if (rc)
            return rc;
    }
    struct tz_err e = {0};
    if (p->verdict == TZ_IMPORT_ACCEPT && tz_entry_cross(&p->rec, &p->warnings, &e))
        reject(im, "", &e);
    return 0;
}

static bool wanted(const struct tz_import *im)
{
    for (size_t i = 0; i < im->type->nfields; i++)
        if (im->filtered[i] && !tz_value_eq(im->filter.v[i], im->plan.rec.v[i]))
            return false;
    return true;
}

/** With a filter, a row of another district is passed over even when the rest of it cannot be read. */
static int read_filtered(struct tz_import *im, const struct tz_bytes *cells, size_t n, struct tz_err *err)
{
    struct tz_row_plan *p = &im->plan;
    bool any = false;
    for (size_t k = 0; k < im->columns.used; k++) {
        size_t column = im->columns.order[k];
        const struct tz_field *f = im->columns.fields[column];
        if (!im->filtered[f->index] || column >= n || !tz_utf8_valid(cells[column]))
            continue;
        struct tz_value v;
        struct tz_err e = {0};
        any = true;
        int rc = tz_entry_value(im->entry, &p->rec, f, (const char *)cells[column].p, &p->a, &v, NULL, &e);
        if (rc && !about_row(rc)) {
            *err = e;
            return rc;
        }
        p->rec.v[f->index] = rc ? tz_value_null() : v;
    }
    if (any && !wanted(im))
        p->verdict = TZ_IMPORT_OTHER;
    tz_record_init(&p->rec, im->type);
    return 0;
}

/* ---- what is there ---- */

struct match {
    const struct tz_import *im;
    const struct tz_key *key; /* NULL: all named fields */
    bool found;
    struct tz_id id;
};

static int match_row(void *ctx, const struct tz_row *row)
{
    struct match *m = ctx;
    const struct tz_row_plan *p = &m->im->plan;
    if (m->key) {
        for (size_t i = 0; i < m->key->nfields; i++)
            if (!tz_value_eq(row->rec.v[m->key->fields[i]], p->rec.v[m->key->fields[i]]))
                return 1;
    } else {
        for (size_t i = 0; i < m->im->type->nfields; i++)
            if (p->names[i] && !tz_value_eq(row->rec.v[i], p->rec.v[i]))
                return 1;
    }
    m->found = true;
    m->id = row->id;
    return 0;
}

/** A key names a record when none of its required parts is empty, and not all are. */
static bool key_given(const struct tz_import *im, const struct tz_key *key)
{
    bool any = false;
    for (size_t i = 0; i < key->nfields; i++) {
        const struct tz_field *f = &im->type->fields[key->fields[i]];
        bool given = im->plan.rec.v[f->index].kind != TZ_V_NULL;
        if (!given && f->required == TZ_REQ_SAVE)
            return false;
        any = any || given;
    }
    return any;
}

/** The most telling field: an indexed reference, else the title, else any. -1: the row names nothing. */
static int telling_field(const struct tz_import *im)
{
    int best = -1;
    for (size_t i = 0; i < im->type->nfields; i++) {
        if (!im->plan.names[i])
            continue;
        if (im->type->fields[i].ftype == TZ_FT_REF)
            return (int)i;
        if (best < 0 || im->type->title_field == (int)i)
            best = (int)i;
    }
    return best;
}

/** By business key, else by all values. @by_key tells which. */
static int find_there(struct tz_import *im, struct match *m, bool *by_key, struct tz_err *err)
{
    struct tz_replica *rep = tz_office_replica(im->o);
    *by_key = false;
    for (size_t i = 0; i < im->type->nkeys && !m->found; i++) {
        const struct tz_key *key = &im->type->keys[i];
        if (!key_given(im, key))
            continue;
        *by_key = true;
        m->key = key;
        size_t at = 0;
        while (im->plan.rec.v[key->fields[at]].kind == TZ_V_NULL)
            at++;
        const struct tz_field *f = &im->type->fields[key->fields[at]];
        int rc = tz_replica_find(rep, f, im->type, im->plan.rec.v[f->index], match_row, m, err);
        if (rc)
            return rc;
    }
    int at = *by_key ? -1 : telling_field(im);
    m->key = *by_key ? m->key : NULL;
    if (at < 0)
        return 0;
    return tz_replica_find(rep, &im->type->fields[at], im->type, im->plan.rec.v[at], match_row, m, err);
}

static bool names_count(const struct tz_import *im)
{
    const struct tz_type *t = im->type;
    return t->auto_merge && t->title_field >= 0 && tz_ftype_kind(t->fields[t->title_field].ftype) == TZ_V_TEXT;
}

static uint64_t name_hash(const struct tz_import *im, struct tz_value name, struct tz_arena *a)
{
    const char *folded = tz_name_fold(a, name);
    return folded && *folded ? tz_keyed_hash64(im->hash_key, tz_bytes_str(folded)) : 0;
}

static bool same_name(struct tz_import *im, struct tz_value x, struct tz_value y)
{
    const char *a = tz_name_fold(&im->plan.a, x);
    const char *b = tz_name_fold(&im->plan.a, y);
    return a && b && strcmp(a, b) == 0;
}

/** Compare with the record of the same key: skip, review or edit. */
static int compare(struct tz_import *im, struct tz_id id, struct tz_err *err)
{
    struct tz_row_plan *p = &im->plan;
    const struct tz_type *t = im->type;
    struct tz_row *row = tz_arena_alloc(&p->a, sizeof *row);
    if (!row)
        return tz_office_nomem(err);
    int rc = tz_office_read(im->o, t, id, &p->a, row, &p->seen, NULL, err);
    if (rc <= 0)
        return rc;
    p->exists = true;
    p->id = id;
    bool differs = false;
    for (size_t i = 0; i < t->nfields; i++)
        differs = differs || (p->names[i] && !tz_value_eq(p->rec.v[i], row->rec.v[i]));
    if (!differs)
        decide(im, TZ_IMPORT_SKIP, "", "");
    else if (names_count(im) && p->names[t->title_field] &&
             !same_name(im, p->rec.v[t->title_field], row->rec.v[t->title_field]))
        decide(im, TZ_IMPORT_REVIEW, t->fields[t->title_field].label[im->opt->lang],
               say(im, "代码相同、名称不同，请人工核对", "same code, another name: please compare"));
    return 0;
}

/* ---- what earlier rows of a dry run would have made ---- */

static uint64_t hash_values(const struct tz_import *im, const struct tz_key *key)
{
    const struct tz_record *rec = &im->plan.rec;
    uint64_t sum = key ? 1 : 2;
    for (size_t i = 0; i < (key ? key->nfields : im->type->nfields); i++) {
        size_t at = key ? key->fields[i] : i;
        struct tz_value v = rec->v[at];
        struct tz_bytes b = v.kind == TZ_V_INT ? tz_bytes_of(&v.i, sizeof v.i) : tz_bytes_of(v.p, v.n);
        if (v.kind != TZ_V_NULL)
            sum = sum * 0x100000001B3U + (tz_keyed_hash64(im->hash_key, b) ^ at);
    }
    return sum;
}

static const struct tz_key *first_key(const struct tz_import *im)
{
    for (size_t i = 0; i < im->type->nkeys; i++)
        if (key_given(im, &im->type->keys[i]))
            return &im->type->keys[i];
    return NULL;
}

/** Rows before this one in the file, which a dry run did not write. */
static void compare_dry(struct tz_import *im)
{
    const struct tz_key *key = first_key(im);
    const uint64_t *before = hashes_get(&im->keys, key ? hash_values(im, key) : hash_values(im, NULL));
    if (!before)
        return;
    if (!key || *before == hash_values(im, NULL))
        decide(im, TZ_IMPORT_SKIP, "", "");
    else if (names_count(im) &&
             !hashes_get(&im->names, name_hash(im, im->plan.rec.v[im->type->title_field], &im->plan.a)))
        decide(im, TZ_IMPORT_REVIEW, im->type->fields[im->type->title_field].label[im->opt->lang],
               say(im, "代码相同、名称不同，请人工核对", "same code, another name: please compare"));
    im->plan.exists = true;
}

static void check_name(struct tz_import *im)
{
    const struct tz_type *t = im->type;
    if (im->plan.exists || !names_count(im) || im->plan.verdict != TZ_IMPORT_ACCEPT)
        return;
    uint64_t h = name_hash(im, im->plan.rec.v[t->title_field], &im->plan.a);
    if (h && hashes_get(&im->names, h))
        decide(im, TZ_IMPORT_REVIEW, t->fields[t->title_field].label[im->opt->lang],
               say(im, "已有规范化后同名的记录，请人工核对", "a record of the same name is there: please compare"));
}

/** What saving would refuse, asked beforehand. */
static int check_save(struct tz_import *im, struct tz_err *err)
{
    struct tz_row_plan *p = &im->plan;
    struct tz_author who;
    struct tz_err e = {0};
    struct tz_record *rec = tz_arena_dup(&p->a, &p->rec, sizeof *rec);
    struct tz_row *row = tz_arena_alloc(&p->a, sizeof *row);
    if (!rec || !row)
        return tz_office_nomem(err);
    struct tz_id user = tz_id_is_zero(im->opt->user) ? tz_office_identity(im->o)->user : im->opt->user;
    int rc = tz_check_author(im->o, user, &who, err);
    if (rc)
        return rc;
    if (!p->exists) {
        rc = tz_check_create(im->o, &who, rec, &p->a, &e);
    } else if (!tz_id_is_zero(p->id)) {
        rc = tz_office_read(im->o, im->type, p->id, &p->a, row, NULL, NULL, &e);
        rc = rc == 1 ? tz_check_set(im->o, &who, row, &p->rec, p->names, &p->a, &e) : rc;
    }
    if (rc && !about_row(rc)) {
        *err = e;
        return rc;
    }
    if (rc)
        reject(im, "", &e);
    return 0;
}

/* ---- the row ---- */

static int look_around(struct tz_import *im, struct tz_err *err)
{
    struct match m = {.im = im};
    bool by_key;
    int rc = find_there(im, &m, &by_key, err);
    if (!rc && m.found)
        rc = compare(im, m.id, err);
    else if (!rc && im->dry)
        compare_dry(im);
    if (!rc)
        check_name(im);
    if (!rc && im->dry && im->plan.verdict == TZ_IMPORT_ACCEPT)
        rc = check_save(im, err);
    return rc;
}

int tz_plan_row(struct tz_import *im, const struct tz_bytes *cells, size_t n, struct tz_err *err)
{
    struct tz_row_plan *p = &im->plan;
    tz_arena_reset(&p->a);
    tz_record_init(&p->rec, im->type);
    memset(p->names, 0, sizeof p->names);
    p->id = (struct tz_id){{0}};
    p->verdict = TZ_IMPORT_ACCEPT;
    p->warnings = 0;
    p->column = "";
    p->reason[0] = '\0';
    p->exists = false;
    int rc = im->opt->nfilters ? read_filtered(im, cells, n, err) : 0;
    if (!rc && p->verdict == TZ_IMPORT_ACCEPT)
        rc = read_cells(im, cells, n, err);
    if (!rc && p->verdict == TZ_IMPORT_ACCEPT && im->opt->nfilters && !wanted(im))
        p->verdict = TZ_IMPORT_OTHER;
    if (!rc && p->verdict == TZ_IMPORT_ACCEPT)
        rc = look_around(im, err);
    if (!rc && p->verdict == TZ_IMPORT_ACCEPT && p->warnings)
        decide(im, TZ_IMPORT_WARN, p->column, tz_entry_warning_text(p->warnings, im->opt->lang));
    return rc;
}

void tz_plan_done(struct tz_import *im)
{
    const struct tz_type *t = im->type;
    if (names_count(im) && im->plan.names[t->title_field])
        hashes_put(&im->names, name_hash(im, im->plan.rec.v[t->title_field], &im->plan.a), 1);
    const struct tz_key *key = first_key(im);
    if (im->dry)
        hashes_put(&im->keys, key ? hash_values(im, key) : hash_values(im, NULL), hash_values(im, NULL));
}

static int take_name(void *ctx, const struct tz_row *row)
{
    struct tz_import *im = ctx;
    tz_arena_reset(&im->plan.a);
    hashes_put(&im->names, name_hash(im, row->rec.v[im->type->title_field], &im->plan.a), 1);
    return 1;
}

int tz_plan_start(struct tz_import *im, struct tz_err *err)
{
    tz_hashes_deinit(&im->names);
    tz_hashes_deinit(&im->keys);
    int rc = tz_random_bytes(im->hash_key, sizeof im->hash_key);
    if (!rc && names_count(im))
        rc = tz_replica_each(tz_office_replica(im->o), im->type, take_name, im, err);
    return rc;
}
