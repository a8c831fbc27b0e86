/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The history of every record, and what is checked with it: a client's confirmed state at its checkpoint, and that no
 * marker reaches a device that never could read its record.
 */
#include "sim_check_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- history: what each record was, by version ---- */

struct sim_history *sim_history_new(void)
{
    struct sim_history *h = calloc(1, sizeof *h);
    if (!h)
        abort();
    return h;
}

void sim_history_free(struct sim_history *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->n; i++)
        free(h->v[i].v);
    free(h->v);
    free(h->index);
    free(h->refs);
    free(h);
}

static uint64_t fnv(const void *p, size_t n, uint64_t h)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 1099511628211U;
    return h;
}

static size_t slot_of(const struct sim_history *h, uint32_t type, struct tz_id id)
{
    size_t at = (size_t)fnv(id.b, TZ_ID_BYTES, 14695981039346656037U ^ type) & (h->nindex - 1);
    while (h->index[at]) {
        const struct past *p = &h->v[h->index[at] - 1];
        if (p->type->id == type && tz_id_eq(p->id, id))
            break;
        at = (at + 1) & (h->nindex - 1);
    }
    return at;
}

static void reindex(struct sim_history *h)
{
    h->nindex = h->nindex ? h->nindex * 4 : 1024;
    free(h->index);
    h->index = calloc(h->nindex, sizeof *h->index);
    if (!h->index)
        abort();
    for (size_t i = 0; i < h->n; i++)
        h->index[slot_of(h, h->v[i].type->id, h->v[i].id)] = (uint32_t)i + 1;
}

struct past *sim_past_of(struct sim_history *h, const struct tz_type *t, struct tz_id id, bool make)
{
    if (h->n * 2 >= h->nindex)
        reindex(h);
    size_t at = slot_of(h, t->id, id);
    if (h->index[at])
        return &h->v[h->index[at] - 1];
    if (!make)
        return NULL;
    if (h->n == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 256;
        h->v = realloc(h->v, h->cap * sizeof *h->v);
        if (!h->v)
            abort();
    }
    h->v[h->n] = (struct past){.type = t, .id = id};
    h->index[at] = (uint32_t)++h->n;
    return &h->v[h->n - 1];
}

static uint64_t body_hash(const struct tz_record *rec, bool secret)
{
    struct tz_record copy = *rec;
    struct tz_buf b;
    for (size_t i = 0; i < rec->type->nfields; i++)
        if (!secret && rec->type->fields[i].visibility == TZ_VIS_SECRET)
            copy.v[i] = tz_value_null();
    tz_buf_init(&b, TZ_ROW_BYTES_MAX);
    if (tz_record_encode(&copy, &b))
        abort();
    uint64_t h = fnv(b.p, b.len, 14695981039346656037U);
    tz_buf_deinit(&b);
    return h;
}

static void remember(struct past *p, struct snapshot s)
{
    if (p->n == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 4;
        p->v = realloc(p->v, p->cap * sizeof *p->v);
        if (!p->v)
            abort();
    }
    p->v[p->n++] = s;
}

void sim_remember(struct sim *w, const struct tz_row *row)
{
    remember(
        sim_past_of(w->history, row->rec.type, row->id, true),
        (struct snapshot){row->ver, row->area, row->deleted, body_hash(&row->rec, false), body_hash(&row->rec, true)});
}

void sim_forget_row(struct past *p, tz_ver ver)
{
    struct snapshot s = p->v[p->n - 1];
    s.ver = ver;
    s.deleted = true;
    remember(p, s);
}

const struct snapshot *sim_at_version(const struct past *p, tz_ver ver)
{
    for (size_t i = p->n; i > 0; i--)
        if (p->v[i - 1].ver <= ver)
            return &p->v[i - 1];
    return NULL;
}

/* ---- who may read what ---- */

/** A case about a record that does not exist carries what it would be: the id of that, else of the row itself. */
static struct tz_id stands_for(const struct tz_row *row)
{
    const struct tz_field *f =
        strcmp(row->rec.type->name, "case") == 0 ? tz_type_field(row->rec.type, "target_id") : NULL;
    const struct tz_field *s = f ? tz_type_field(row->rec.type, "subject") : NULL;
    struct tz_id id = row->id;
    if (f && tz_value_is_text(row->rec.v[s->index], "_created") && row->rec.v[f->index].kind == TZ_V_BLOB)
        memcpy(id.b, row->rec.v[f->index].p, TZ_ID_BYTES);
    return id;
}

static void note_readers(struct sim *w, struct tz_id id, const struct tz_area *area)
{
    enum { PARTS_MAX = 256 };
    struct tz_id parts[PARTS_MAX] = {id};
    size_t n = w->oracle ? oracle_parts(w->oracle, parts[0], parts, PARTS_MAX) : 1;
    uint64_t readers = 0;
    for (size_t k = 0; k < w->nclients; k++)
        readers |= (uint64_t)sim_may_be_sent(&w->clients[k], area) << k;
    for (size_t p = 0; p < n && readers; p++)
        for (struct sim_record *r = sim_record_of(w, parts[p]); r; r = sim_record_next(w, r))
            r->readers |= readers;
}

/** "MK000123" and four hex digits that follow from the number: leftovers in free pages of a database do not fake it. */
static bool marker_at(const uint8_t *p, unsigned *number)
{
    char text[16] = "";
    char check[5];
    if (p[1] != 'K')
        return false;
    memcpy(text, p + 2, 6);
    if (strspn(text, "0123456789") != 6)
        return false;
    *number = (unsigned)strtoul(text, NULL, 10);
    (void)snprintf(check, sizeof check, "%04x", sim_marker_check(*number));
    return memcmp(p + 8, check, 4) == 0;
}

/** The number of the next marker from *@at on, which moves behind it; false: there is none. */
static bool next_marker(struct tz_bytes bytes, size_t *at, unsigned *number)
{
    const uint8_t *end = bytes.p + bytes.n;
    const uint8_t *p = bytes.p + *at;
    bool found = false;
    while (bytes.p && !found && end - p > 12 && (p = memchr(p, 'M', (size_t)(end - p) - 12)) != NULL) {
        found = marker_at(p, number);
        *at = (size_t)(++p - bytes.p);
    }
    return found;
}

/** Nobody knows any more what became part of what: whoever may read the row may read the words in it. */
static void note_words(struct sim *w, const struct tz_row *row)
{
    struct tz_buf b;
    size_t at = 0;
    unsigned number;
    tz_buf_init(&b, TZ_ROW_BYTES_MAX);
    if (tz_record_encode(&row->rec, &b))
        abort();
    while (next_marker(tz_buf_unread(&b), &at, &number))
        for (size_t k = 0; number < w->nrecords && k < w->nclients; k++)
            w->records[number].readers |= (uint64_t)sim_may_be_sent(&w->clients[k], &row->area) << k;
    tz_buf_deinit(&b);
}

void sim_note_readers(struct sim *w, const struct tz_row *row)
{
    struct past *p = sim_past_of(w->history, row->rec.type, row->id, true);
    p->speaks = stands_for(row);
    note_readers(w, p->speaks, &row->area);
    if (w->blind)
        note_words(w, row);
}

void sim_note_again(struct sim *w, const struct past *p)
{
    if (p->n)
        note_readers(w, p->speaks, &p->v[p->n - 1].area);
}

unsigned sim_marker_check(unsigned number)
{
    return ((number + 1) * 2654435761U) >> 16;
}

/** Was the record, under any number that was given to its id, made by @c or once in an area it may read? */
static bool may_know(const struct sim_client *c, const struct sim_record *r)
{
    struct sim *w = c->w;
    if (r->maker == c->index || (r->readers >> c->index & 1))
        return true;
    /* a device may try to make what is there already */
    for (const struct sim_record *x = sim_record_of(w, r->id); x; x = sim_record_next(w, x))
        if (x->maker == c->index || (x->readers >> c->index & 1))
            return true;
    return false;
}

void sim_check_taint(struct sim_client *c, struct tz_bytes bytes, const char *where)
{
    size_t at = 0;
    unsigned number;
    while (next_marker(bytes, &at, &number)) {
        const struct sim_record *r = number < c->w->nrecords ? &c->w->records[number] : NULL;
        if (r && !c->w->taint_off && !may_know(c, r))
            sim_fail(c->w, "P6: %s of %s carries the marker of record %u (%s of %s), which it never could read", where,
                     c->name, number, r->type->name, c->w->clients[r->maker].name);
    }
}

/* ---- what may be left on a disk ---- */

static void keep_record(struct sim *w, struct tz_id id, bool *keeps, bool to)
{
    for (struct sim_record *r = sim_record_of(w, id); r; r = sim_record_next(w, r))
        keeps[r - w->records] = to;
}

bool *sim_wiped_expect(struct sim_client *c)
{
    enum { PARTS_MAX = 256 };
    struct sim *w = c->w;
    struct tz_office_status st;
    struct tz_err err = {0};
    bool *keeps = malloc(w->nrecords + 1);
    if (!keeps)
        abort();
    if (tz_office_status(c->office, &st, &err))
        sim_fail(w, "%s: status: %d %s", c->name, err.code, err.trail);
    memset(keeps, !c->erased, w->nrecords + 1); /* what never came to be is nobody's but its maker's */
    for (size_t i = 0; i < w->history->n; i++)
        keep_record(w, w->history->v[i].speaks, keeps, false);
    for (size_t i = 0; i < w->history->n && !c->erased; i++) {
        const struct past *p = &w->history->v[i];
        const struct snapshot *s = sim_at_version(p, st.checkpoint);
        struct tz_id parts[PARTS_MAX];
        size_t n = s && sim_may_read(c, &s->area) ? oracle_parts(w->oracle, p->speaks, parts, PARTS_MAX) : 0;
        for (size_t k = 0; k < n; k++)
            keep_record(w, parts[k], keeps, true);
    }
    return keeps;
}

void sim_wiped_check(struct sim_client *c, const bool *keeps, struct tz_bytes bytes, const char *where)
{
    size_t at = 0;
    unsigned number;
    while (next_marker(bytes, &at, &number))
        if (number < c->w->nrecords && !keeps[number])
            sim_fail(c->w, "P6: %s still has the marker of record %u (%s) in %s, which it may not read any more",
                     c->name, number, c->w->records[number].type->name, where);
}

/* ---- a client's confirmed state ---- */

struct comparing {
    struct sim_client *c;
    tz_ver at;
    uint64_t rows;
};

static int compare_row(struct comparing *x, const struct tz_row *row)
{
    struct sim *w = x->c->w;
    char id[TZ_ID_HEX + 1];
    tz_id_print(row->id, id);
    x->rows++;
    const struct past *p = sim_past_of(w->history, row->rec.type, row->id, false);
    const struct snapshot *s = p ? sim_at_version(p, x->at) : NULL;
    if (!s || s->deleted || !sim_may_read(x->c, &s->area))
        sim_fail(w, "%s at %" PRIu64 " shows %s %s, which %s", x->c->name, x->at & 0xFFFFFF, row->rec.type->name, id,
                 !s           ? "was not there"
                 : s->deleted ? "was deleted"
                              : "it may not read");
    else if (body_hash(&row->rec, x->c->reads_secret) != (x->c->reads_secret ? s->secret_hash : s->open_hash))
        sim_fail(w,
                 "%s at %" PRIu64 " shows another %s %s than the server had (version %" PRIu64 ", it says %" PRIu64 ")",
                 x->c->name, x->at & 0xFFFFFF, row->rec.type->name, id, s->ver & 0xFFFFFF, row->ver & 0xFFFFFF);
    else if (!x->c->reads_secret && body_hash(&row->rec, true) != s->open_hash)
        sim_fail(w, "P6: %s holds secret fields of %s %s", x->c->name, row->rec.type->name, id);
    return w->failed ? 0 : 1;
}

static int compare_client_row(void *ctx, const struct tz_row *row)
{
    struct comparing *x = ctx;
    struct tz_arena a;
    tz_arena_init(&a, 8 << 20);
    struct tz_row *raised = tz_arena_dup(&a, row, sizeof *row);
    sim_row_raise(x->c->w, raised, &a);
    int rc = compare_row(x, raised);
    tz_arena_deinit(&a);
    return rc;
}

/** Rows of types that the client's catalogue lacks are kept as they came. */
static void compare_raw_rows(struct comparing *x)
{
    struct sim *w = x->c->w;
    struct tz_err err = {0};
    struct tz_stmt st = {0};
    struct tz_arena a;
    tz_arena_init(&a, 8 << 20);
    int rc =
        tz_db_prepare(tz_office_db(x->c->office), &st, "SELECT type, id, ver, body FROM raw_row WHERE state = 0", &err);
    while (!rc && !w->failed && (rc = tz_stmt_step(&st, &err)) == 1) {
        struct tz_row *row = tz_arena_calloc(&a, 1, sizeof *row);
        const struct tz_type *t = tz_catalogue_type_id(w->cat, (uint32_t)tz_stmt_int(&st, 0));
        tz_stmt_id(&st, 1, &row->id);
        row->ver = (tz_ver)tz_stmt_int(&st, 2);
        rc = t ? tz_record_decode(t, tz_stmt_blob(&st, 3), &a, &row->rec, &err) : TZ_E_VALUE;
        if (!rc)
            (void)compare_row(x, row);
        w->n.raw_rows++;
        tz_arena_reset(&a);
    }
    tz_stmt_finalize(&st);
    tz_arena_deinit(&a);
    if (rc)
        sim_fail(w, "%s: raw rows: %d %s", x->c->name, rc, err.trail);
}

static void compare_checkpoint(struct sim_client *c)
{
    struct sim *w = c->w;
    struct tz_office_status st;
    struct tz_err err = {0};
    struct comparing x = {.c = c};
    uint64_t expected = 0;
    int rc = tz_office_status(c->office, &st, &err);
    sim_grants_told(c);
    if (rc || st.filling || st.checkpoint == 0 || sim_restore_lost(w, st.checkpoint))
        return;
    w->n.checkpoints_checked++;
    x.at = st.checkpoint;
    rc = tz_office_each_row(c->office, false, false, compare_client_row, &x, &err);
    if (rc)
        sim_fail(w, "%s: reading rows: %d %s", c->name, rc, err.trail);
    if (c->cat != w->cat)
        compare_raw_rows(&x);
    for (size_t i = 0; i < w->history->n; i++) {
        const struct snapshot *s = sim_at_version(&w->history->v[i], x.at);
        expected += s && !s->deleted && sim_may_read(c, &s->area);
    }
    if (x.rows != expected)
        sim_fail(w, "%s at %" PRIu64 " shows %" PRIu64 " rows, the server had %" PRIu64 " for it", c->name,
                 x.at & 0xFFFFFF, x.rows, expected);
}

void sim_check_checkpoint(struct sim_client *c)
{
    if (c->shut_out)
        return;
    compare_checkpoint(c);
}

/** Had @c to be told that snapshot @k of @p came? Of one that was purged before there was nothing to leave an area. */
static bool concerns(const struct sim_client *c, const struct past *p, size_t k)
{
    const struct snapshot *before = k ? &p->v[k - 1] : NULL;
    if (before && before->deleted && before->ver == p->purged)
        before = NULL;
    return sim_may_read(c, &p->v[k].area) || (before && sim_may_read(c, &before->area));
}

bool sim_check_has_all(const struct sim_client *c, tz_ver checkpoint)
{
    const struct sim_history *h = c->w->history;
    for (size_t i = 0; i < h->n; i++) {
        const struct past *p = &h->v[i];
        for (size_t k = p->n; k > 0 && p->v[k - 1].ver > checkpoint; k--)
            if (concerns(c, p, k - 1))
                return false;
    }
    return true;
}

bool sim_check_any(const struct sim *w, struct sim_rng *r, const struct tz_type *t, struct tz_id *id)
{
    const struct sim_history *h = w->history;
    for (size_t tries = 0, at = sim_below(r, h->n ? h->n : 1); tries < h->n; tries++, at = (at + 1) % h->n)
        if (h->v[at].type == t) {
            *id = h->v[at].id;
            return true;
        }
    return false;
}
