/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row: read its values, find what it is about, decide.
 *
 *   more cells than headings                                reject: the columns have shifted
 *   a value that cannot be read, a rule broken              reject
 *   not what --filter asked for                             other
 *   its key is there:  the same values                      skip
 *                      another name (where names count)     review: same code, another name
 *                      other values                         review; with `update` an edit of what differs, unless it
 *                                                           would date an old count with today
 *   its key stands on a line before: the same values        skip
 *                                    other values           review
 *   its name is there under another code (where they count) review
 *   no key, and a record with all the same values           skip
 *   else                                                    new record
 *
 * Names count for types whose records are merged by name and key (types.csv auto_merge). What earlier rows of the file
 * said is remembered as hashes, because a dry run writes nothing and because one file is no history of a record.
 */
#include "import_int.h"

#include "hash.h"
#include "office_int.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

enum { CELL_LINE_BITS = 24 /* of a remembered row's number; the rest is its hash */ };
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

__attribute__((format_arg(2), format_arg(3))) static const char *say(const struct tz_import *im, const char *zh,
                                                                     const char *en)
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

/** One more thing that is wrong with the row. The first names its column apart; the others say theirs. */
static void reject_also(struct tz_import *im, const char *column, const char *reason)
{
    struct tz_row_plan *p = &im->plan;
    if (p->verdict != TZ_IMPORT_REJECT) {
        decide(im, TZ_IMPORT_REJECT, column, reason);
        p->reasons = 1;
        return;
    }
    if (p->reasons++ >= IMPORT_REASONS_MAX)
        return;
    char all[2 * IMPORT_REASON_BYTES];
    (void)snprintf(all, sizeof all, "%s；%.120s%s%s", p->reason, column, say(im, "：", ": "), reason);
    decide(im, TZ_IMPORT_REJECT, p->column, all);
}

/** The value's own error without the field's name before it: the column is told already. */
static void reject_cell(struct tz_import *im, const char *column, const struct tz_err *e)
{
    char text[IMPORT_REASON_BYTES];
    const char *reason = tz_err_text(e, im->opt->lang, text, sizeof text);
    size_t n = strlen(e->args[0]);
    const char *sep = say(im, "：", ": ");
    if (e->code == TZ_E_VALUE && n && strncmp(reason, e->args[0], n) == 0 && strncmp(reason + n, sep, strlen(sep)) == 0)
        reason += n + strlen(sep);
    reject_also(im, column, reason);
}

/** Is the error about this row, so that the next one may still do? */
static bool about_row(int rc)
{
    return tz_err_info(rc)->cls == TZ_ERR_USAGE || rc == TZ_E_LIMIT || rc == TZ_E_FORMAT;
}

/* ---- reading values ---- */

/** What a cell holds; a lone dash or stroke is how people leave one empty. */
static const char *cell_text(const struct tz_bytes *cells, size_t n, size_t column)
{
    static const char *const empty[] = {"-", "--", "—", "——", "–", "－", "/", "／"};
    const char *text = column < n ? (const char *)cells[column].p : "";
    const char *start = text + strspn(text, " \t");
    size_t len = strcspn(start, " \t");
    if (start[len + strspn(start + len, " \t")] != '\0')
        return text;
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
        if (strlen(empty[i]) == len && memcmp(start, empty[i], len) == 0)
            return "";
    return text;
}

static int read_cell(struct tz_import *im, size_t column, const char *text, struct tz_err *err)
{
    struct tz_row_plan *p = &im->plan;
    const struct tz_field *f = im->columns.fields[column];
    struct tz_value v;
    unsigned warnings = 0;
    struct tz_err e = {0};
    int rc = tz_entry_value(im->entry, &p->rec, f, text, &p->a, &v, &warnings, &e);
    if (!rc && p->names[f->index] && v.kind != TZ_V_NULL && !tz_value_eq(v, p->rec.v[f->index])) {
        reject_also(im, im->columns.headings[column],
                    say(im, "两列对同一字段给出不同的值", "two columns give different values for one field"));
        return 0;
    }
    if (rc) {
        if (!about_row(rc)) {
            if (err)
                *err = e;
            return rc;
        }
        reject_cell(im, im->columns.headings[column], &e);
        return 0;
    }
    if (v.kind == TZ_V_NULL) {
        if (f->ftype == TZ_FT_INT && f->group && !p->names[f->index])
            warnings |= TZ_WARN_COUNT_EMPTY;
    } else {
        p->rec.v[f->index] = v;
        p->names[f->index] = true;
    }
    if (warnings && !p->warnings && p->verdict == TZ_IMPORT_ACCEPT)
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
    for (size_t k = 0; k < im->columns.used; k++) {
        size_t column = im->columns.order[k];
        int rc = read_cell(im, column, cell_text(cells, n, column), err);
        if (rc)
            return rc;
    }
    struct tz_err e = {0};
    if (p->verdict == TZ_IMPORT_ACCEPT && tz_entry_cross(&p->rec, &p->warnings, &e))
        reject(im, "", &e);
    return 0;
}

/** Cells beyond the headings mean that a separator too many shifted the row; then no cell is where it belongs. */
static void check_width(struct tz_import *im, const struct tz_bytes *cells, size_t n)
{
    char reason[120];
    size_t width = im->columns.width;
    im->plan.short_by = n < width ? width - n : 0;
    while (n > width && cells[n - 1].n == 0)
        n--;
    if (n <= width)
        return;
    (void)snprintf(
        reason, sizeof reason,
        say(im, "比表头多出 %zu 格，各列可能错位", "%zu cells more than headings, the columns may be shifted"),
        n - width);
    decide(im, TZ_IMPORT_REJECT, "", reason);
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
        int rc = tz_entry_value(im->entry, &p->rec, f, cell_text(cells, n, column), &p->a, &v, NULL, &e);
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

static bool key_given(const struct tz_import *im, const struct tz_key *key)
{
    return key->nwhen == 0 && tz_key_claims(im->type, key, im->plan.rec.v);
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

/** The record differs from the row: only who asked for it changes what others may have saved since the sheet was made.
 */
static void weigh_edit(struct tz_import *im, const struct tz_record *was)
{
    struct tz_row_plan *p = &im->plan;
    char reason[IMPORT_REASON_BYTES + 120];
    const struct tz_field *date = tz_diff_undated(im, was);
    if (im->opt->update && !date)
        return;
    p->differs = !date;
    if (date)
        (void)snprintf(
            reason, sizeof reason,
            say(im, "没有给出“%s”，不能当作今天的数：%s", "“%s” is not given, and today's would be wrong: %s"),
            date->label[im->opt->lang], p->diff);
    else
        (void)snprintf(reason, sizeof reason, say(im, "与现有记录不同：%s", "not as the record is: %s"), p->diff);
    decide(im, TZ_IMPORT_REVIEW, "", reason);
}

static void other_name(struct tz_import *im)
{
    char reason[IMPORT_REASON_BYTES + 120];
    (void)snprintf(reason, sizeof reason,
                   say(im, "代码相同、名称不同，请人工核对：%s", "same code, another name, please compare: %s"),
                   im->plan.diff);
    decide(im, TZ_IMPORT_REVIEW, im->type->fields[im->type->title_field].label[im->opt->lang], reason);
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
    struct tz_value title = t->title_field >= 0 ? row->rec.v[t->title_field] : tz_value_null();
    p->title = title.kind == TZ_V_TEXT && t->fields[t->title_field].visibility == TZ_VIS_OPEN
                   ? tz_arena_dup(&p->a, title.p, title.n)
                   : "";
    if (tz_diff_words(im, &row->rec, p->diff, sizeof p->diff) == 0)
        decide(im, TZ_IMPORT_SKIP, "", "");
    else if (names_count(im) && p->names[t->title_field] &&
             !same_name(im, p->rec.v[t->title_field], row->rec.v[t->title_field]))
        other_name(im);
    else
        weigh_edit(im, &row->rec);
    return 0;
}

/* ---- what earlier rows of the file said ---- */

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

/** Rows before this one in the file: said twice, or said otherwise. */
static void compare_before(struct tz_import *im)
{
    struct tz_row_plan *p = &im->plan;
    const struct tz_key *key = first_key(im);
    p->row_hash = hash_values(im, NULL);
    p->key_hash = key ? hash_values(im, key) : p->row_hash;
    if (!key && !im->dry)
        return; /* what was written is found by its values */
    const uint64_t *before = hashes_get(&im->keys, p->key_hash);
    if (!before)
        return;
    p->exists = true;
    if (*before >> CELL_LINE_BITS == p->row_hash >> CELL_LINE_BITS) {
        decide(im, TZ_IMPORT_SKIP, "", "");
        return;
    }
    char reason[160];
    (void)snprintf(reason, sizeof reason,
                   say(im, "第 %llu 行已有相同的代码而内容不同，请人工核对",
                       "line %llu has the same key and other values: please compare"),
                   (unsigned long long)(*before & ((1ULL << CELL_LINE_BITS) - 1)));
    decide(im, TZ_IMPORT_REVIEW, "", reason);
}

void tz_plan_seen(struct tz_import *im)
{
    const struct tz_row_plan *p = &im->plan;
    uint64_t most = (1ULL << CELL_LINE_BITS) - 1;
    if (!p->key_hash || p->verdict == TZ_IMPORT_REJECT || hashes_get(&im->keys, p->key_hash))
        return;
    hashes_put(&im->keys, p->key_hash, (p->row_hash & ~most) | (im->line < most ? im->line : most));
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
    compare_before(im);
    if (im->plan.verdict != TZ_IMPORT_ACCEPT)
        return 0;
    int rc = find_there(im, &m, &by_key, err);
    if (!rc && m.found)
        rc = compare(im, m.id, err);
    if (!rc)
        check_name(im);
    if (!rc && im->dry && im->plan.verdict == TZ_IMPORT_ACCEPT)
        rc = check_save(im, err);
    return rc;
}

/** A row that is rejected anyway and makes no record there: what else it must have. */
static int name_missing(struct tz_import *im, const struct tz_bytes *cells, size_t n, struct tz_err *err)
{
    struct match m = {.im = im};
    bool by_key;
    int rc = first_key(im) ? find_there(im, &m, &by_key, err) : 0;
    for (size_t k = 0; !rc && !m.found && k < im->columns.used; k++) {
        size_t column = im->columns.order[k];
        const struct tz_field *f = im->columns.fields[column];
        bool must = f->required == TZ_REQ_SAVE && !(f->editors & TZ_ED_S) && f->dflt.kind == TZ_V_NULL;
        if (must && !im->plan.names[f->index] && *cell_text(cells, n, column) == '\0')
            reject_also(im, im->columns.headings[column], say(im, "必填", "required"));
    }
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
    p->exists = p->differs = false;
    p->reasons = 0;
    p->key_hash = p->row_hash = 0;
    p->title = "";
    p->diff[0] = '\0';
    check_width(im, cells, n);
    int rc = im->opt->nfilters && p->verdict == TZ_IMPORT_ACCEPT ? read_filtered(im, cells, n, err) : 0;
    if (!rc && p->verdict == TZ_IMPORT_ACCEPT)
        rc = read_cells(im, cells, n, err);
    if (!rc && p->verdict == TZ_IMPORT_REJECT && p->reasons)
        rc = name_missing(im, cells, n, err);
    if (!rc && p->verdict == TZ_IMPORT_ACCEPT && im->opt->nfilters && !wanted(im))
        p->verdict = TZ_IMPORT_OTHER;
    if (!rc && p->verdict == TZ_IMPORT_ACCEPT)
        rc = look_around(im, err);
    if (!rc && p->verdict == TZ_IMPORT_ACCEPT && p->warnings)
        decide(im, TZ_IMPORT_WARN, p->column, tz_entry_warning_text(p->warnings, im->opt->lang));
    if (!rc && p->verdict == TZ_IMPORT_ACCEPT && p->short_by)
        decide(im, TZ_IMPORT_WARN, "",
               say(im, "格数比表头少，少的当作空", "fewer cells than headings, the rest is taken as empty"));
    return rc;
}

void tz_plan_done(struct tz_import *im)
{
    const struct tz_type *t = im->type;
    if (names_count(im) && im->plan.names[t->title_field])
        hashes_put(&im->names, name_hash(im, im->plan.rec.v[t->title_field], &im->plan.a), 1);
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
