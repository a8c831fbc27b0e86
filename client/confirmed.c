/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading: one record as the person sees it, one as it is confirmed, all of them, and their digest.
 *
 * The typed tables hold the view; the confirmed state of a type is its table with the shadows put in place of the rows
 * they stand for. Both are read in (type, id) order in lockstep, inside one read transaction.
 */
#include "office_int.h"

#include "rowsum.h"

#include <stdlib.h>
#include <string.h>

int tz_office_read(struct tz_office *o, const struct tz_type *t, struct tz_id id, struct tz_arena *a,
                   struct tz_row *row, struct tz_seen *seen, bool *pending, struct tz_err *err)
{
    /* The state first: a save or checkpoint of another process that comes in between is then counted as not seen. */
    int rc = tz_office_load(o, err);
    if (rc)
        return rc;
    memset(row, 0, sizeof *row);
    rc = tz_replica_get(o->rep, t, id, a, row, err);
    if (rc != 1)
        return rc;
    if (seen)
        *seen = (struct tz_seen){row->ver, o->st.last_seq, o->st.checkpoint};
    if (!pending)
        return 1;
    rc = tz_overlay_pending(o, t->id, id, err);
    *pending = rc == 1;
    return rc < 0 ? rc : 1;
}

int tz_office_read_confirmed(struct tz_office *o, const struct tz_type *t, struct tz_id id, struct tz_arena *a,
                             struct tz_row *row, struct tz_err *err)
{
    struct tz_image *im = tz_arena_alloc(a, sizeof *im);
    if (!im)
        return tz_office_nomem(err);
    int rc = tz_overlay_confirmed(o, t, id, a, im, NULL, err);
    if (rc)
        return rc;
    *row = im->row;
    return im->state != TZ_IMAGE_NONE;
}

/* ---- confirmed rows of one type ---- */

static const struct tz_id first; /* of all ids */

struct merge_walk {
    struct tz_office *o;
    const struct tz_type *t;
    struct tz_stmt shadows; /* of this type, in id order */
    bool have;              /* the statement stands on a shadow */
    struct tz_id shadow_id;
    struct tz_arena a;
    tz_row_cb cb;
    void *ctx;
    struct tz_err *err;
    bool lenient; /* a shadow that cannot be read is a row without values, not an error */
    bool stopped; /* the callback said 0 */
};

static int next_shadow(struct merge_walk *w)
{
    int rc = tz_stmt_step(&w->shadows, w->err);
    w->have = rc == 1;
    if (w->have)
        tz_stmt_id(&w->shadows, 0, &w->shadow_id);
    return rc < 0 ? rc : 0;
}

static int emit_shadow(struct merge_walk *w)
{
    if (tz_stmt_int(&w->shadows, 1) != TZ_IMAGE_LIVE)
        return 1;
    tz_arena_reset(&w->a);
    struct tz_image *im = tz_arena_alloc(&w->a, sizeof *im);
    struct tz_area area = {0};
    struct tz_bytes d = tz_stmt_blob(&w->shadows, 3);
    struct tz_bytes st = tz_stmt_blob(&w->shadows, 4);
    if (!im)
        return tz_office_nomem(w->err);
    if (d.n && d.n < sizeof area.district)
        memcpy(area.district, d.p, d.n);
    if (st.n && st.n < sizeof area.street)
        memcpy(area.street, st.p, st.n);
    int rc = tz_overlay_image(w->t, w->shadow_id, TZ_IMAGE_LIVE, (tz_ver)tz_stmt_int(&w->shadows, 2), &area,
                              tz_stmt_blob(&w->shadows, 5), &w->a, im, w->lenient ? NULL : w->err);
    if (w->lenient && rc == TZ_E_FORMAT) {
        tz_record_init(&im->row.rec, w->t);
        rc = 0;
    }
    return rc ? rc : w->cb(w->ctx, &im->row);
}

/** Emit shadows up to @id (all that are left when NULL). @same: one of them stands for @id itself. 1 goes on. */
static int shadows_before(struct merge_walk *w, const struct tz_id *id, bool *same)
{
    *same = false;
    while (w->have && !*same) {
        int cmp = id ? tz_id_cmp(w->shadow_id, *id) : -1;
        if (cmp > 0)
            return 1;
        *same = cmp == 0;
        int rc = emit_shadow(w);
        if (rc != 1)
            return rc;
        rc = next_shadow(w);
        if (rc)
            return rc;
    }
    return 1;
}

static int walk_row(void *ctx, const struct tz_row *row)
{
    struct merge_walk *w = ctx;
    bool same;
    int rc = shadows_before(w, &row->id, &same);
    if (rc == 1 && !same)
        rc = w->cb(w->ctx, row);
    w->stopped = rc == 0;
    return rc;
}

static int each_confirmed(struct tz_office *o, const struct tz_type *t, struct tz_id after, bool lenient, tz_row_cb cb,
                          void *ctx, bool *stopped, struct tz_err *err)
{
    struct merge_walk *w = calloc(1, sizeof *w);
    if (!w)
        return tz_office_nomem(err);
    *w = (struct merge_walk){.o = o, .t = t, .cb = cb, .ctx = ctx, .err = err, .lenient = lenient};
    tz_arena_init(&w->a, TZ_OFFICE_ARENA_BYTES);
    int rc =
        tz_db_prepare(o->db, &w->shadows,
                      "SELECT id, state, ver, district, street, body FROM _shadow WHERE type = ?1 AND (id > ?2 OR ?2 ="
                      " zeroblob(16)) ORDER BY id",
                      err);
    if (!rc) {
        tz_stmt_bind_int(&w->shadows, 1, t->id);
        tz_stmt_bind_id(&w->shadows, 2, &after);
        rc = next_shadow(w);
    }
    if (!rc)
        rc = tz_id_is_zero(after) ? tz_replica_each(o->rep, t, walk_row, w, err)
                                  : tz_replica_each_after(o->rep, t, after, walk_row, w, err);
    if (!rc && !w->stopped) {
        bool same;
        rc = shadows_before(w, NULL, &same);
        w->stopped = rc == 0;
        rc = rc == 1 ? 0 : rc;
    }
    *stopped = w->stopped;
    tz_stmt_finalize(&w->shadows);
    tz_arena_deinit(&w->a);
    free(w);
    return rc;
}

int tz_confirmed_each(struct tz_office *o, const struct tz_type *t, struct tz_id after, tz_row_cb cb, void *ctx,
                      struct tz_err *err)
{
    bool stopped;
    return each_confirmed(o, t, after, true, cb, ctx, &stopped, err);
}

int tz_confirmed_body(const struct tz_record *rec, struct tz_buf *b)
{
    tz_buf_clear(b);
    int rc = tz_record_encode(rec, b);
    if (rc && rc != TZ_E_NOMEM) {
        tz_buf_clear(b);
        rc = 0;
    }
    return rc;
}

/* ---- all types ---- */

/** The type with the least id above @after; NULL when there is none. */
static const struct tz_type *next_type(const struct tz_catalogue *cat, uint32_t after)
{
    const struct tz_type *best = NULL;
    for (size_t i = 0; i < cat->ntypes; i++)
        if (cat->types[i].id > after && (!best || cat->types[i].id < best->id))
            best = &cat->types[i];
    return best;
}

struct view_walk {
    tz_row_cb cb;
    void *ctx;
    bool stopped;
};

static int view_row(void *ctx, const struct tz_row *row)
{
    struct view_walk *w = ctx;
    int rc = w->cb(w->ctx, row);
    w->stopped = rc == 0;
    return rc;
}

static int each_type(struct tz_office *o, bool view, tz_row_cb cb, void *ctx, struct tz_err *err)
{
    bool stopped = false;
    int rc = 0;
    const struct tz_type *t = next_type(o->cat, 0);
    for (; t && !rc && !stopped; t = next_type(o->cat, t->id)) {
        struct view_walk w = {.cb = cb, .ctx = ctx};
        if (view)
            rc = tz_replica_each(o->rep, t, view_row, &w, err);
        else
            rc = each_confirmed(o, t, first, false, cb, ctx, &w.stopped, err);
        stopped = w.stopped;
    }
    return rc;
}

/* A save that is open is a transaction already. */
int tz_office_snapshot(struct tz_office *o, bool *mine, struct tz_err *err)
{
    *mine = !tz_db_in_transaction(o->db);
    int rc = *mine ? tz_db_begin_read(o->db, err) : 0;
    if (rc) {
        *mine = false;
        return rc;
    }
    return tz_office_load(o, err);
}

int tz_office_each_row(struct tz_office *o, bool view, bool partial, tz_row_cb cb, void *ctx, struct tz_err *err)
{
    bool mine;
    int rc = tz_office_snapshot(o, &mine, err);
    if (!rc && o->st.filling && !partial)
        rc = tz_err_set(err, TZ_E_INCOMPLETE, NULL, NULL, NULL, NULL);
    if (!rc)
        rc = each_type(o, view, cb, ctx, err);
    if (mine)
        tz_db_rollback(o->db);
    return rc;
}

/* ---- digest ---- */

struct digest {
    struct tz_sha256 h;
    uint64_t rows;
    struct tz_buf body;
};

static int digest_one(struct digest *d, uint32_t type, struct tz_id id, tz_ver ver, struct tz_bytes body)
{
    uint8_t head[TZ_ROWSUM_HEAD_BYTES];
    tz_rowsum_head(type, id, ver, body.n, head);
    d->rows++;
    int rc = tz_sha256_update(&d->h, tz_bytes_of(head, sizeof head));
    return rc ? rc : tz_sha256_update(&d->h, body);
}

static int digest_row(void *ctx, const struct tz_row *row)
{
    struct digest *d = ctx;
    int rc = tz_confirmed_body(&row->rec, &d->body);
    if (!rc)
        rc = digest_one(d, row->rec.type->id, row->id, row->ver, tz_buf_unread(&d->body));
    return rc ? rc : 1;
}

/** Raw rows of the types between two that this catalogue has: the order is by type id over all of them. */
static int digest_raw(struct tz_office *o, struct digest *d, uint32_t from, uint32_t below, struct tz_err *err)
{
    struct tz_stmt *s =
        tz_office_sql(o, OS_RAW_ALL,
                      "SELECT type, id, ver, body FROM raw_row WHERE type > ? AND type < ? AND state = 0"
                      " ORDER BY type, id",
                      err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, from);
    tz_stmt_bind_int(s, 2, below);
    int rc;
    while ((rc = tz_stmt_step(s, err)) == 1) {
        struct tz_id id;
        tz_stmt_id(s, 1, &id);
        rc = digest_one(d, (uint32_t)tz_stmt_int(s, 0), id, (tz_ver)tz_stmt_int(s, 2), tz_stmt_blob(s, 3));
        if (rc)
            break;
    }
    tz_stmt_reset(s);
    return rc;
}

static int digest_all(struct tz_office *o, struct digest *d, struct tz_err *err)
{
    uint32_t last = 0;
    for (;;) {
        const struct tz_type *t = next_type(o->cat, last);
        bool stopped = false;
        int rc = digest_raw(o, d, last, t ? t->id : UINT32_MAX, err);
        if (rc || !t)
            return rc;
        rc = each_confirmed(o, t, first, true, digest_row, d, &stopped, err);
        if (rc)
            return rc;
        last = t->id;
    }
}

int tz_office_digest(struct tz_office *o, struct tz_msg_verified *out, struct tz_err *err)
{
    struct digest d = {0};
    bool mine;
    memset(out, 0, sizeof *out);
    tz_buf_init(&d.body, TZ_ROW_BYTES_MAX);
    int rc = tz_office_snapshot(o, &mine, err);
    if (!rc && o->st.filling)
        rc = tz_err_set(err, TZ_E_INCOMPLETE, NULL, NULL, NULL, NULL);
    if (!rc)
        rc = tz_sha256_init(&d.h);
    if (!rc)
        rc = digest_all(o, &d, err);
    if (!rc)
        rc = tz_sha256_final(&d.h, out->digest);
    if (!rc) {
        out->ver = o->st.checkpoint;
        out->rows = d.rows;
        out->audit_n = o->st.audit_n;
        memcpy(out->audit_hash, o->st.audit_hash, sizeof out->audit_hash);
    }
    if (mine)
        tz_db_rollback(o->db);
    tz_sha256_deinit(&d.h);
    tz_buf_deinit(&d.body);
    return rc && err && !err->code ? tz_err_set(err, rc, "digest", NULL, NULL, NULL) : rc;
}
