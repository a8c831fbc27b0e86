/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparing in three rounds: sums per key (type and exact area), sums per range of some keys, the rows of some ranges.
 *
 * Invariants
 *  1. Every answer is one read snapshot and says for which versions it holds: from `since`, when something of the
 * reader's areas last changed, to `ver`. So commits of others disturb nobody's comparison.
 *  2. What an answer holds is bounded by its frame: the least keys, the ranges of a few keys, rows until the frame is
 * full. What it reads is bounded too, and what others have is none of it: the scope once for keys, each named key once
 * for ranges, for rows from where the last page ended. An index by area leads there.
 *  3. Rows leave projected, and a key is answered only if the grant covers it. The area of a row is compared whole, so
 * the district's own rows are never part of a street's key.
 */
#include "purge_int.h"
#include "rowsum.h"
#include "store_int.h"

#include <stdlib.h>
#include <string.h>

struct work {
    struct tz_store *s;
    const struct tz_grant *g;
    const struct tz_msg_digest_request *ask;
    struct tz_buf *out;
    struct tz_msg_digest m;
    struct tz_bucket_table table;                     /* AREAS */
    struct tz_bucket_sum (*ranges)[TZ_BUCKET_RANGES]; /* RANGES, ROWS: by key; owned */
    size_t key;                                       /* RANGES: which one is being read */
    struct tz_row *copy;                              /* scratch; owned */
    struct tz_buf body;
    struct tz_sha256 h;
    unsigned rows; /* in the frame */
    struct tz_err *err;
};

/* ---- versions ---- */

/** When something in @area last changed. For a street exactly, too: what happens next door is not told by a version. */
static int area_changed(struct work *w, unsigned tier, const struct tz_area *area)
{
    struct tz_stmt *st = tz_store_sql(w->s, TZ_SQL_CHANGE_LAST, w->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, tier);
    tz_stmt_bind_text(st, 2, area->district);
    tz_stmt_bind_text(st, 3, area->street);
    int rc = tz_stmt_step(st, w->err);
    if (rc == 1 && (tz_ver)tz_stmt_int(st, 0) > w->m.since)
        w->m.since = (tz_ver)tz_stmt_int(st, 0);
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

static int scope_versions(struct work *w)
{
    bool done[256] = {false};
    struct tz_msg_checkpoint head;
    int rc = tz_feed_head(w->s, &head, w->err);
    w->m.ver = head.ver;
    if (!rc) /* what was purged changed something once, and nobody can say where */
        rc = tz_purge_horizon(w->s, &w->m.since, w->err);
    for (size_t i = 0; i < w->s->cat->ntypes && !rc; i++) {
        unsigned tier = w->s->cat->types[i].tier;
        if (tier >= 256 || done[tier])
            continue;
        done[tier] = true;
        for (size_t k = 0; k < w->g->nareas && !rc; k++)
            rc = area_changed(w, tier, &w->g->areas[k]);
    }
    return rc;
}

/* ---- rows ---- */

/** The body as the reader sees it, in w->body. 1 there it is, 0 it can be in no frame, so it was never sent; negative.
 */
static int body_of(struct work *w, const struct tz_row *row)
{
    *w->copy = *row;
    tz_feed_project(w->g, &w->copy->rec);
    tz_buf_clear(&w->body);
    int rc = tz_record_encode(&w->copy->rec, &w->body);
    return rc == TZ_E_NOMEM ? tz_err_set(w->err, rc, NULL, NULL, NULL, NULL) : rc == 0;
}

static int add_row(struct work *w, const struct tz_row *row, struct tz_bucket_sum *to)
{
    uint8_t hash[TZ_HASH_BYTES];
    int rc = body_of(w, row);
    if (rc <= 0)
        return rc ? rc : 1;
    rc = tz_rowsum_row(&w->h, row->rec.type->id, row->id, row->ver, tz_buf_unread(&w->body), hash);
    if (rc)
        return rc;
    tz_bucket_add(to, hash);
    return 1;
}

/* ---- 1: keys ---- */

static int area_row(void *ctx, const struct tz_row *row)
{
    struct work *w = ctx;
    struct tz_bucket_key key = {row->rec.type->id, row->area};
    if (!tz_feed_readable(w->g, &row->area))
        return 1;
    struct tz_bucket_sum *to = tz_bucket_table_at(&w->table, &key);
    return to ? add_row(w, row, to) : 1;
}

/** The type with the least id above @after; NULL when there is none. */
static const struct tz_type *next_type(const struct tz_catalogue *cat, uint32_t after)
{
    const struct tz_type *best = NULL;
    for (size_t i = 0; i < cat->ntypes; i++)
        if (cat->types[i].id > after && (!best || cat->types[i].id < best->id))
            best = &cat->types[i];
    return best;
}

enum { AREAS_ONE_BY_ONE = 4 }; /* a reader of more reads nearly everything */

/** What a reader of few areas may read is found by area, not among everybody's. */
static int add_type(struct work *w, const struct tz_type *t)
{
    int rc = 0;
    if (w->g->nareas > AREAS_ONE_BY_ONE)
        return tz_replica_each(w->s->rep, t, area_row, w, w->err);
    for (size_t i = 0; i < w->g->nareas && !rc; i++) /* none lies in another */
        rc = tz_replica_each_of(w->s->rep, t, &w->g->areas[i], area_row, w, w->err);
    return rc;
}

static int answer_areas(struct work *w)
{
    uint32_t from = w->ask->after.type ? w->ask->after.type - 1 : 0;
    int rc = tz_bucket_table_init(&w->table, TZ_MSG_DIGEST_AREAS_MAX, &w->ask->after);
    const struct tz_type *t = next_type(w->s->cat, from);
    for (; t && !rc && !tz_bucket_table_done(&w->table, t->id); t = next_type(w->s->cat, t->id))
        rc = add_type(w, t);
    w->m.entries = w->table.v;
    w->m.nentries = w->table.n;
    w->m.more = w->table.cut;
    return rc;
}

/* ---- 2: ranges ---- */

static int range_row(void *ctx, const struct tz_row *row)
{
    struct work *w = ctx;
    uint8_t range;
    int rc = tz_rowsum_range(&w->h, row->id, &range);
    return rc ? rc : add_row(w, row, &w->ranges[w->key][range]);
}

static int put_ranges(struct work *w)
{
    size_t n = 0;
    struct tz_bucket *v = calloc(w->ask->nkeys * TZ_BUCKET_RANGES, sizeof *v);
    if (!v)
        return TZ_E_NOMEM;
    for (size_t k = 0; k < w->ask->nkeys; k++)
        for (unsigned r = 0; r < TZ_BUCKET_RANGES; r++)
            if (w->ranges[k][r].rows)
                v[n++] = (struct tz_bucket){w->ask->keys[k], (uint8_t)r, w->ranges[k][r]};
    w->m.entries = v;
    w->m.nentries = n;
    int rc = tz_msg_put_digest_tail(w->out, &w->m);
    free(v);
    return rc;
}

static int answer_ranges(struct work *w)
{
    static const struct tz_id first;
    int rc = 0;
    w->ranges = calloc(w->ask->nkeys, sizeof *w->ranges);
    if (!w->ranges)
        return TZ_E_NOMEM;
    for (w->key = 0; w->key < w->ask->nkeys && !rc; w->key++) {
        const struct tz_bucket_key *k = &w->ask->keys[w->key];
        const struct tz_type *t = tz_catalogue_type_id(w->s->cat, k->type);
        rc = t ? tz_replica_each_in(w->s->rep, t, &k->area, first, range_row, w, w->err) : 0;
    }
    return rc ? rc : put_ranges(w);
}

/* ---- 3: rows ---- */

static int send_row(void *ctx, const struct tz_row *row)
{
    struct work *w = ctx;
    uint8_t range;
    int rc = tz_rowsum_range(&w->h, row->id, &range);
    if (rc || !tz_bucket_map_has(w->ask->ranges, range))
        return rc ? rc : 1;
    if (w->out->len >= w->s->rows_frame_bytes || w->rows == TZ_MSG_ROWS_MAX) {
        w->m.more = true;
        return 0;
    }
    rc = body_of(w, row);
    if (rc <= 0)
        return rc ? rc : 1;
    struct tz_msg_row m = {.type = row->rec.type->id,
                           .id = row->id,
                           .ver = row->ver,
                           .area = row->area,
                           .state = TZ_ROW_LIVE,
                           .body = tz_buf_unread(&w->body)};
    w->rows++;
    rc = tz_msg_put_rows_row(w->out, &m);
    return rc ? rc : 1;
}

static int answer_rows(struct work *w)
{
    const struct tz_bucket_key *k = &w->ask->keys[0];
    const struct tz_type *t = tz_catalogue_type_id(w->s->cat, k->type);
    int rc = t ? tz_replica_each_in(w->s->rep, t, &k->area, w->ask->after_id, send_row, w, w->err) : 0;
    return rc ? rc : tz_msg_put_digest_tail(w->out, &w->m);
}

/* ---- all ---- */

static int answer(struct work *w)
{
    struct tz_recovery r;
    int rc = scope_versions(w);
    w->m.round = w->ask->round;
    if (!rc)
        rc = tz_store_recovery(w->s, &r, w->err);
    if (rc)
        return rc;
    w->m.repair_keeps = r.open; /* what this server does not have it may only have forgotten */
    switch (w->ask->round) {
    case TZ_DIGEST_AREAS:
        rc = answer_areas(w);
        return rc ? rc : tz_msg_put_digest_tail(w->out, &w->m);
    case TZ_DIGEST_RANGES:
        return answer_ranges(w);
    case TZ_DIGEST_ROWS:
        return answer_rows(w);
    }
    return TZ_E_INTERNAL;
}

int tz_store_digest(struct tz_store *s, const struct tz_grant *g, const struct tz_msg_digest_request *ask,
                    struct tz_buf *out, tz_ver *since, struct tz_err *err)
{
    struct work w = {.s = s, .g = g, .ask = ask, .out = out, .err = err};
    for (size_t i = 0; i < ask->nkeys; i++)
        if (!tz_feed_readable(g, &ask->keys[i].area))
            return tz_err_set(err, TZ_E_AREA, "digest", NULL, NULL, NULL);
    bool ours = !tz_db_in_transaction(s->db);
    int rc = tz_feed_read_begin(s, err);
    if (rc)
        return rc;
    tz_buf_init(&w.body, TZ_ROW_BYTES_MAX);
    w.copy = malloc(sizeof *w.copy);
    rc = w.copy ? answer(&w) : TZ_E_NOMEM;
    *since = w.m.since;
    if (rc && err && !err->code)
        (void)tz_err_set(err, rc, "digest", NULL, NULL, NULL);
    tz_bucket_table_deinit(&w.table);
    free(w.ranges);
    free(w.copy);
    tz_buf_deinit(&w.body);
    tz_sha256_deinit(&w.h);
    if (ours)
        tz_db_rollback(s->db);
    return rc;
}
