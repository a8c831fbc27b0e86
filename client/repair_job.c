/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One step of a repair on the office's thread: hold an answer of the server against the confirmed rows, and put right
 * what differs.
 *
 * Invariants
 *  1. An answer counts only if the visible checkpoint lies between its `since` and its `ver`, read in the transaction
 * that compares: rows that changed meanwhile are nobody's damage. A key outside the grant has no rows at any version.
 *  2. A page of rows is put right in one transaction: exactly the rows of its key and ranges with ids up to its last
 * one. Equal rows are not written.
 *  3. Nothing goes without trace: a row the server does not have is set aside first. Own pending edits stay on top of
 * what is put, because under them it is the shadow that is put.
 *  4. What is held in memory is bounded: keys by the page, own rows by TZ_REPAIR_LOCAL_MAX (then the page ends there).
 * A page reads the rows of its type from where the last one ended to where it ends itself.
 */
#include "grow.h"
#include "repair_int.h"
#include "rowsum.h"

#include <stdlib.h>
#include <string.h>

struct own { /* a confirmed row of ours */
    struct tz_id id;
    tz_ver ver;
    uint8_t range;
    uint8_t hash[TZ_HASH_BYTES];
};

struct walk {
    struct tz_office *o;
    struct tz_repair_step *st;
    struct tz_bucket_table table;                   /* AREAS */
    struct tz_bucket_sum (*sums)[TZ_BUCKET_RANGES]; /* RANGES */
    struct own *own;                                /* ROWS */
    size_t nown;
    bool cut;                 /* ROWS: more own rows than are held */
    struct tz_id after;       /* own rows begin behind it */
    const struct tz_id *upto; /* ROWS: the page ends here; NULL: with the last row */
    struct tz_sha256 h;
    struct tz_buf body;
    struct tz_err *err;
};

typedef int (*visit_fn)(struct walk *w, uint32_t type, struct tz_id id, tz_ver ver, const struct tz_area *area,
                        struct tz_bytes body);

/* ---- confirmed rows, of types in the catalogue and others alike ---- */

struct visit {
    struct walk *w;
    visit_fn fn;
};

static int visit_row(void *ctx, const struct tz_row *row)
{
    struct visit *v = ctx;
    int rc = tz_confirmed_body(&row->rec, &v->w->body);
    return rc ? rc : v->fn(v->w, row->rec.type->id, row->id, row->ver, &row->area, tz_buf_unread(&v->w->body));
}

static void read_area(const struct tz_stmt *s, int col, struct tz_area *out)
{
    struct tz_bytes d = tz_stmt_blob(s, col);
    struct tz_bytes st = tz_stmt_blob(s, col + 1);
    memset(out, 0, sizeof *out);
    if (d.n && d.n < sizeof out->district)
        memcpy(out->district, d.p, d.n);
    if (st.n && st.n < sizeof out->street)
        memcpy(out->street, st.p, st.n);
}

static int each_raw(struct walk *w, uint32_t type, visit_fn fn)
{
    struct tz_stmt *s =
        tz_office_sql(w->o, OS_RAW_BUCKET,
                      "SELECT id, ver, district, street, body FROM raw_row WHERE type = ?1 AND state = 0"
                      " AND (id > ?2 OR ?2 = zeroblob(16)) ORDER BY id",
                      w->err);
    if (!s)
        return tz_office_code(w->err);
    tz_stmt_bind_int(s, 1, type);
    tz_stmt_bind_id(s, 2, &w->after);
    int rc;
    while ((rc = tz_stmt_step(s, w->err)) == 1) {
        struct tz_id id;
        struct tz_area area;
        tz_stmt_id(s, 0, &id);
        read_area(s, 2, &area);
        rc = fn(w, type, id, (tz_ver)tz_stmt_int(s, 1), &area, tz_stmt_blob(s, 4));
        if (rc <= 0)
            break;
    }
    tz_stmt_reset(s);
    return rc < 0 ? rc : 0;
}

static int each_of(struct walk *w, uint32_t type, visit_fn fn)
{
    const struct tz_type *t = tz_catalogue_type_id(w->o->cat, type);
    struct visit v = {w, fn};
    return t ? tz_confirmed_each(w->o, t, w->after, visit_row, &v, w->err) : each_raw(w, type, fn);
}

/** Least type id above @after of which anything may be here; 0: none. */
static int next_type(struct walk *w, uint32_t after, uint32_t *out)
{
    struct tz_stmt *s = tz_office_sql(w->o, OS_RAW_TYPE, "SELECT min(type) FROM raw_row WHERE type > ?", w->err);
    if (!s)
        return tz_office_code(w->err);
    tz_stmt_bind_int(s, 1, after);
    int rc = tz_stmt_step(s, w->err);
    *out = rc == 1 && !tz_stmt_is_null(s, 0) ? (uint32_t)tz_stmt_int(s, 0) : 0;
    tz_stmt_reset(s);
    for (size_t i = 0; i < w->o->cat->ntypes; i++) {
        uint32_t id = w->o->cat->types[i].id;
        if (id > after && (*out == 0 || id < *out))
            *out = id;
    }
    return rc < 0 ? rc : 0;
}

/* ---- 1: keys ---- */

static int add_area(struct walk *w, uint32_t type, struct tz_id id, tz_ver ver, const struct tz_area *area,
                    struct tz_bytes body)
{
    struct tz_bucket_key key = {type, *area};
    uint8_t hash[TZ_HASH_BYTES];
    struct tz_bucket_sum *to = tz_bucket_table_at(&w->table, &key);
    int rc = to ? tz_rowsum_row(&w->h, type, id, ver, body, hash) : 0;
    if (!rc && to)
        tz_bucket_add(to, hash);
    return rc ? rc : 1;
}

static int own_areas(struct walk *w)
{
    uint32_t type = w->st->ask.after.type ? w->st->ask.after.type - 1 : 0;
    int rc = tz_bucket_table_init(&w->table, TZ_MSG_DIGEST_AREAS_MAX, &w->st->ask.after);
    while (!rc) {
        rc = next_type(w, type, &type);
        if (rc || type == 0 || tz_bucket_table_done(&w->table, type))
            break;
        rc = each_of(w, type, add_area);
    }
    return rc;
}

/** Could the server be asked about it? Digits of the right number, within a granted area. */
static int covered(struct walk *w, const struct tz_area *area, bool *out)
{
    size_t d = strspn(area->district, "0123456789");
    size_t st = strspn(area->street, "0123456789");
    bool form = area->district[d] == '\0' && (d == 0 || d == 6) && area->street[st] == '\0' && (st == 0 || st == 9);
    struct tz_stmt *s =
        tz_office_sql(w->o, OS_AREA_COVERS,
                      "SELECT 1 FROM grant_area WHERE district = ?1 AND (street = '' OR street = ?2) LIMIT 1", w->err);
    if (!s)
        return tz_office_code(w->err);
    tz_stmt_bind_text(s, 1, area->district);
    tz_stmt_bind_text(s, 2, area->street);
    int rc = tz_stmt_step(s, w->err);
    *out = form && rc == 1;
    tz_stmt_reset(s);
    return rc < 0 ? rc : 0;
}

static int add_diff(struct walk *w, const struct tz_bucket_key *key)
{
    bool ours;
    int rc = covered(w, &key->area, &ours);
    if (!rc)
        w->st->diffs[w->st->ndiffs++] = (struct tz_repair_diff){*key, !ours};
    return rc;
}

/** The server's keys must ascend from where we asked. */
static bool ascending(const struct tz_msg_digest *d, const struct tz_bucket_key *after)
{
    for (size_t i = 0; i < d->nentries; i++) {
        const struct tz_bucket_key *before = i ? &d->entries[i - 1].key : after;
        if (d->entries[i].key.type == 0 || tz_bucket_key_cmp(&d->entries[i].key, before) <= 0)
            return false;
    }
    return d->nentries <= TZ_MSG_DIGEST_AREAS_MAX && (d->nentries > 0 || !d->more);
}

/** Both pages are right up to the lesser of their ends; what is above is for the next question. */
static void set_through(struct walk *w, const struct tz_msg_digest *d)
{
    struct tz_repair_step *st = w->st;
    const struct tz_bucket_key *theirs = d->more ? &d->entries[d->nentries - 1].key : NULL;
    const struct tz_bucket_key *own = w->table.cut ? &w->table.v[w->table.n - 1].key : NULL;
    st->more = theirs || own;
    if (st->more)
        st->through = !own || (theirs && tz_bucket_key_cmp(theirs, own) < 0) ? *theirs : *own;
}

static int compare_areas(struct walk *w, const struct tz_msg_digest *d)
{
    size_t i = 0;
    size_t k = 0;
    int rc = own_areas(w);
    if (rc)
        return rc;
    set_through(w, d);
    w->st->diffs = calloc(TZ_REPAIR_DIFFS_MAX, sizeof *w->st->diffs);
    if (!w->st->diffs)
        return TZ_E_NOMEM;
    while (!rc && (i < d->nentries || k < w->table.n)) {
        const struct tz_bucket *a = i < d->nentries ? &d->entries[i] : NULL;
        const struct tz_bucket *b = k < w->table.n ? &w->table.v[k] : NULL;
        int c = !a ? 1 : !b ? -1 : tz_bucket_key_cmp(&a->key, &b->key);
        const struct tz_bucket_key *key = c <= 0 ? &a->key : &b->key;
        if (w->st->more && tz_bucket_key_cmp(key, &w->st->through) > 0)
            break;
        if (c != 0 || !tz_bucket_same(&a->sum, &b->sum))
            rc = add_diff(w, key);
        i += c <= 0;
        k += c >= 0;
    }
    return rc;
}

/* ---- 2: ranges ---- */

static int add_range(struct walk *w, uint32_t type, struct tz_id id, tz_ver ver, const struct tz_area *area,
                     struct tz_bytes body)
{
    const struct tz_msg_digest_request *ask = &w->st->ask;
    for (size_t i = 0; i < ask->nkeys; i++) {
        uint8_t range;
        uint8_t hash[TZ_HASH_BYTES];
        if (ask->keys[i].type != type || !tz_area_eq(&ask->keys[i].area, area))
            continue;
        int rc = tz_rowsum_range(&w->h, id, &range);
        if (!rc)
            rc = tz_rowsum_row(&w->h, type, id, ver, body, hash);
        if (rc)
            return rc;
        tz_bucket_add(&w->sums[i][range], hash);
    }
    return 1;
}

static int own_ranges(struct walk *w)
{
    const struct tz_msg_digest_request *ask = &w->st->ask;
    int rc = 0;
    w->sums = calloc(ask->nkeys, sizeof *w->sums);
    if (!w->sums)
        return TZ_E_NOMEM;
    for (size_t i = 0; i < ask->nkeys && !rc; i++)
        if (i == 0 || ask->keys[i].type != ask->keys[i - 1].type) /* keys ascend: each type once */
            rc = each_of(w, ask->keys[i].type, add_range);
    return rc;
}

/** What the server has, at the place of its key. Entries of keys nobody asked about say nothing. */
static void take_sums(const struct tz_msg_digest_request *ask, const struct tz_msg_digest *d,
                      struct tz_bucket_sum (*theirs)[TZ_BUCKET_RANGES])
{
    for (size_t i = 0; i < d->nentries; i++)
        for (size_t k = 0; k < ask->nkeys; k++)
            if (tz_bucket_key_cmp(&d->entries[i].key, &ask->keys[k]) == 0)
                theirs[k][d->entries[i].range] = d->entries[i].sum;
}

static int compare_ranges(struct walk *w, const struct tz_msg_digest *d)
{
    const struct tz_msg_digest_request *ask = &w->st->ask;
    struct tz_bucket_sum(*theirs)[TZ_BUCKET_RANGES] = calloc(ask->nkeys, sizeof *theirs);
    int rc = theirs ? own_ranges(w) : TZ_E_NOMEM;
    if (theirs)
        take_sums(ask, d, theirs);
    for (size_t k = 0; k < ask->nkeys && !rc; k++)
        for (unsigned r = 0; r < TZ_BUCKET_RANGES; r++)
            if (!tz_bucket_same(&theirs[k][r], &w->sums[k][r]))
                tz_bucket_map_put(w->st->ranges[k], (uint8_t)r);
    free(theirs);
    return rc;
}

/* ---- 3: rows ---- */

static int collect(struct walk *w, uint32_t type, struct tz_id id, tz_ver ver, const struct tz_area *area,
                   struct tz_bytes body)
{
    w->st->looked++;
    const struct tz_msg_digest_request *ask = &w->st->ask;
    struct own one = {.id = id, .ver = ver};
    if (w->upto && tz_id_cmp(id, *w->upto) > 0)
        return 0;
    if (tz_id_cmp(id, ask->after_id) <= 0 || !tz_area_eq(&ask->keys[0].area, area))
        return 1;
    int rc = tz_rowsum_range(&w->h, id, &one.range);
    if (rc || !tz_bucket_map_has(ask->ranges, one.range))
        return rc ? rc : 1;
    if (w->nown == TZ_REPAIR_LOCAL_MAX) {
        w->cut = true;
        return 0;
    }
    rc = tz_rowsum_row(&w->h, type, id, ver, body, one.hash);
    w->own[w->nown++] = one;
    return rc ? rc : 1;
}

/** Rows of the key and ranges asked for, ids ascending. */
static int check_rows(struct walk *w, const struct tz_msg_digest *d)
{
    const struct tz_msg_digest_request *ask = &w->st->ask;
    struct tz_id before = ask->after_id;
    uint8_t range = 0;
    int rc = d->nrows || !d->more ? 0 : TZ_E_PROTOCOL;
    for (size_t i = 0; i < d->nrows && !rc; i++) {
        const struct tz_msg_row *row = &d->rows[i];
        rc = tz_rowsum_range(&w->h, row->id, &range);
        if (!rc &&
            (row->type != ask->keys[0].type || !tz_area_eq(&row->area, &ask->keys[0].area) ||
             row->state != TZ_ROW_LIVE || tz_id_cmp(row->id, before) <= 0 || !tz_bucket_map_has(ask->ranges, range)))
            rc = TZ_E_PROTOCOL;
        before = row->id;
    }
    return rc == TZ_E_PROTOCOL ? tz_err_set(w->err, rc, "digest rows", NULL, NULL, NULL) : rc;
}

static int note(struct walk *w, struct tz_id id, enum tz_repair_what what)
{
    struct tz_repair_step *st = w->st;
    struct tz_repair_found f = {.row = {st->ask.keys[0].type, id, what}};
    struct tz_repair_found *found = tz_grow(st->found, st->nfound, &st->found_cap, 16, sizeof *found);
    if (!found)
        return TZ_E_NOMEM;
    st->found = found;
    int rc = tz_rowsum_range(&w->h, id, &f.range);
    st->found[st->nfound++] = f;
    return rc;
}

static int put(struct walk *w, const struct tz_msg_row *row, enum tz_repair_what what)
{
    bool fits = true;
    int rc = w->st->dry ? 0 : tz_feed_replace(w->o, row, &fits, w->err);
    return rc ? rc : note(w, row->id, fits ? what : TZ_REPAIR_UNFIT);
}

static int take_out(struct walk *w, const struct own *own)
{
    struct tz_msg_row row = {.type = w->st->ask.keys[0].type,
                             .id = own->id,
                             .ver = own->ver,
                             .area = w->st->ask.keys[0].area,
                             .state = TZ_ROW_LIVE};
    bool stays = w->st->keeps;
    int rc = w->st->dry || stays ? 0 : tz_feed_remove(w->o, &row, w->err);
    return rc ? rc : note(w, own->id, stays ? TZ_REPAIR_KEPT : TZ_REPAIR_EXTRA);
}

static int same_row(struct walk *w, const struct tz_msg_row *row, const struct own *own, bool *same)
{
    uint8_t hash[TZ_HASH_BYTES];
    int rc = tz_rowsum_row(&w->h, row->type, row->id, row->ver, row->body, hash);
    *same = !rc && memcmp(hash, own->hash, sizeof hash) == 0;
    return rc;
}

/** The two lists side by side, up to where both are complete. */
static int merge_rows(struct walk *w, const struct tz_msg_digest *d)
{
    size_t i = 0;
    size_t k = 0;
    int rc = 0;
    while (!rc && (i < d->nrows || k < w->nown)) {
        const struct tz_msg_row *row = i < d->nrows ? &d->rows[i] : NULL;
        const struct own *own = k < w->nown ? &w->own[k] : NULL;
        int c = !row ? 1 : !own ? -1 : tz_id_cmp(row->id, own->id);
        bool same = false;
        if (w->st->more && tz_id_cmp(c <= 0 ? row->id : own->id, w->st->through_id) > 0)
            break;
        if (c == 0)
            rc = same_row(w, row, own, &same);
        if (!rc && !same)
            rc = c > 0 ? take_out(w, own) : put(w, row, c == 0 ? TZ_REPAIR_CHANGED : TZ_REPAIR_MISSING);
        i += c <= 0;
        k += c >= 0;
    }
    return rc;
}

static int compare_rows(struct walk *w, const struct tz_msg_digest *d)
{
    struct tz_repair_step *st = w->st;
    int rc = check_rows(w, d);
    if (rc)
        return rc;
    w->own = calloc(TZ_REPAIR_LOCAL_MAX, sizeof *w->own);
    if (!w->own)
        return TZ_E_NOMEM;
    w->after = st->ask.after_id;
    w->upto = d->more ? &d->rows[d->nrows - 1].id : NULL;
    rc = each_of(w, st->ask.keys[0].type, collect);
    st->more = d->more || w->cut;
    if (d->more)
        st->through_id = d->rows[d->nrows - 1].id;
    if (w->cut && (!d->more || tz_id_cmp(w->own[w->nown - 1].id, st->through_id) < 0))
        st->through_id = w->own[w->nown - 1].id;
    return rc ? rc : merge_rows(w, d);
}

/* ---- a step ---- */

static enum tz_repair_at where(const struct tz_office *o, const struct tz_repair_step *st)
{
    if (o->st.filling)
        return TZ_REPAIR_EARLY;
    if (st->foreign)
        return TZ_REPAIR_HERE;
    return o->st.checkpoint < st->since ? TZ_REPAIR_EARLY
           : o->st.checkpoint > st->ver ? TZ_REPAIR_LATE
                                        : TZ_REPAIR_HERE;
}

static int compare(struct walk *w, const struct tz_msg_digest *d)
{
    w->st->at = where(w->o, w->st);
    if (w->st->at != TZ_REPAIR_HERE)
        return 0;
    switch (w->st->ask.round) {
    case TZ_DIGEST_AREAS:
        return ascending(d, &w->st->ask.after) ? compare_areas(w, d)
                                               : tz_err_set(w->err, TZ_E_PROTOCOL, "digest keys", NULL, NULL, NULL);
    case TZ_DIGEST_RANGES:
        return compare_ranges(w, d);
    case TZ_DIGEST_ROWS:
        break;
    }
    return compare_rows(w, d);
}

/** Only rows are written, and only when something may be. */
static int in_transaction(struct walk *w, const struct tz_msg_digest *d)
{
    bool writes = w->st->ask.round == TZ_DIGEST_ROWS && !w->st->dry;
    bool mine = false;
    int rc = writes ? tz_office_begin(w->o, w->err) : tz_office_snapshot(w->o, &mine, w->err);
    if (rc)
        return rc;
    rc = compare(w, d);
    if (!writes) {
        if (mine)
            tz_db_rollback(w->o->db);
        return rc;
    }
    if (!rc)
        rc = tz_overlay_mark_hidden(w->o, w->err);
    return tz_office_end(w->o, rc, w->err);
}

static int read_answer(struct tz_repair_step *st, const struct tz_bytes *answer, struct tz_arena *a,
                       struct tz_msg_digest *d, struct tz_err *err)
{
    memset(d, 0, sizeof *d);
    if (!answer)
        return 0;
    int rc = tz_msg_read_digest(*answer, a, d, err);
    if (!rc && d->round != st->ask.round)
        rc = tz_err_set(err, TZ_E_PROTOCOL, "digest of another round", NULL, NULL, NULL);
    st->since = d->since;
    st->ver = d->ver;
    st->keeps = d->repair_keeps;
    return rc;
}

int tz_repair_step_run(struct tz_repair_step *st, const struct tz_bytes *answer, struct tz_office *o,
                       struct tz_arena *a, struct tz_err *err)
{
    struct tz_msg_digest d;
    struct walk w = {.o = o, .st = st, .err = err};
    int rc = read_answer(st, answer, a, &d, err);
    tz_buf_init(&w.body, TZ_ROW_BYTES_MAX);
    if (!rc)
        rc = in_transaction(&w, &d);
    tz_bucket_table_deinit(&w.table);
    free(w.sums);
    free(w.own);
    tz_buf_deinit(&w.body);
    tz_sha256_deinit(&w.h);
    return rc;
}

void tz_repair_step_free(struct tz_repair_step *st)
{
    if (!st)
        return;
    free(st->diffs);
    free(st->found);
    free(st);
}
