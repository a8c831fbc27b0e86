/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device may read: the feed since its cursors, its whole scope, and the digest over it.
 *
 * Invariants
 *  1. Every call is one read snapshot. A page ends only after a whole version, so a cursor is always "everything up to
 * here".
 *  2. A call that reaches the end of every area is done: the version of its snapshot is a checkpoint. A row that
 * changed while earlier pages were out has moved to a later place in the feed and comes again.
 *  3. A row that cannot be encoded is passed over and logged: it stops nobody's feed.
 *  4. Nothing outside the grant leaves this file: areas are checked, rows projected, leaving entries void where the
 * reader still sees the record through another area.
 */
#include "log.h"
#include "planted.h"
#include "purge_int.h"
#include "rowsum.h"
#include "store_int.h"

#include <stdlib.h>
#include <string.h>

bool tz_feed_readable(const struct tz_grant *g, const struct tz_area *area)
{
    for (size_t i = 0; i < g->nareas; i++)
        if (tz_area_covers(&g->areas[i], area))
            return true;
    return false;
}

void tz_feed_project(const struct tz_grant *g, struct tz_record *rec)
{
    if (g->reads_secret || TZ_PLANTED(SECRET_FED))
        return;
    rec->extra = (struct tz_bytes){0};
    for (size_t i = 0; i < rec->type->nfields; i++)
        if (rec->type->fields[i].visibility == TZ_VIS_SECRET)
            rec->v[i] = tz_value_null();
}

/* ---- frames of rows ---- */

struct page {
    struct tz_store *s;
    const struct tz_grant *g;
    tz_rows_emit_fn emit;
    void *emit_ctx;
    struct tz_buf frame;
    struct tz_buf body;
    unsigned frames, frames_max;
    unsigned rows;             /* in the frame */
    struct tz_cursor *cursors; /* all; those from `unsaid` on have progress that no frame reported yet */
    size_t unsaid;
    tz_ver head; /* of the snapshot */
    struct tz_arena a;
    struct tz_err *err;
};

/** Send the frame. @complete: how many cursors are at a whole version now; in the middle of a version, all but the
 * present one. */
static int page_flush(struct page *p, size_t complete)
{
    int rc = 0;
    for (size_t i = p->unsaid; i < complete && !rc; i++)
        rc = tz_msg_put_rows_progress(&p->frame, &p->cursors[i]);
    if (complete > p->unsaid)
        p->unsaid = complete - 1; /* the last one may still move */
    if (!rc)
        rc = p->emit(p->emit_ctx, tz_buf_unread(&p->frame));
    p->frames++;
    p->rows = 0;
    tz_buf_clear(&p->frame);
    return rc;
}

struct entry {
    tz_ver ver;
    uint32_t type;
    struct tz_id id;
    struct tz_area area;
    bool leaving;
};

static int put_row(struct page *p, const struct tz_msg_row *m)
{
    int rc = tz_msg_put_rows_row(&p->frame, m);
    p->rows++;
    return rc ? tz_err_set(p->err, rc, "row", NULL, NULL, NULL) : 0;
}

/** A row that no frame can carry must not stop everybody's feed: the log tells. */
static void row_unfit(const struct tz_row *row, int code)
{
    char id[TZ_ID_HEX + 1];
    tz_id_print(row->id, id);
    tz_log(TZ_LOG_WARN, "store", "row_unfit", "type=%s id=%s code=%d", row->rec.type->name, id, code);
}

/** One feed entry into the frame. Entries of types that this catalogue lost are passed over. */
static int page_entry(struct page *p, const struct entry *e)
{
    const struct tz_type *t = tz_catalogue_type_id(p->s->cat, e->type);
    struct tz_msg_row m = {.type = e->type, .id = e->id, .ver = e->ver, .area = e->area, .state = TZ_ROW_LEFT};
    tz_arena_reset(&p->a);
    struct tz_row *row = tz_arena_alloc(&p->a, sizeof *row);
    if (!row)
        return tz_err_set(p->err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    int rc = t ? tz_replica_get(p->s->rep, t, e->id, &p->a, row, p->err) : 0;
    if (rc <= 0)
        return rc;
    if (e->leaving)
        return tz_feed_readable(p->g, &row->area) || TZ_PLANTED(LEAVING_KEPT) ? 0 : put_row(p, &m);
    tz_feed_project(p->g, &row->rec);
    tz_buf_clear(&p->body);
    rc = tz_record_encode(&row->rec, &p->body);
    if (rc == TZ_E_NOMEM)
        return tz_err_set(p->err, rc, NULL, NULL, NULL, NULL);
    if (rc) {
        row_unfit(row, rc);
        return 0;
    }
    m.area = row->area;
    m.state = row->deleted ? TZ_ROW_DELETED : TZ_ROW_LIVE;
    m.body = tz_buf_unread(&p->body);
    return put_row(p, &m);
}

static int read_entry(struct tz_stmt *st, const struct tz_cursor *c, struct entry *e, struct tz_err *err)
{
    int rc = tz_stmt_step(st, err);
    if (rc != 1)
        return rc;
    const char *street = tz_stmt_text(st, 3);
    memset(e, 0, sizeof *e);
    e->ver = (tz_ver)tz_stmt_int(st, 0);
    e->type = (uint32_t)tz_stmt_int(st, 1);
    tz_stmt_id(st, 2, &e->id);
    memcpy(e->area.district, c->area.district, sizeof e->area.district);
    memcpy(e->area.street, street, strnlen(street, TZ_STREET_BYTES - 1));
    e->leaving = tz_stmt_int(st, 4) != 0;
    return 1;
}

/** A version of cursor @i ended at @at. 1 go on, 0 the page is full, negative. */
static int version_ended(struct page *p, size_t i, tz_ver at)
{
    p->cursors[i].ver = at;
    int rc = p->frame.len >= p->s->rows_frame_bytes ? page_flush(p, i + 1) : 0;
    return rc ? rc : p->frames < p->frames_max;
}

static int go_on(int rc)
{
    return rc ? rc : 1;
}

/** Everything after cursor @i. 1 reached the end, 0 the page is full (cursor at the last whole version), negative. */
static int page_cursor(struct page *p, size_t i)
{
    struct tz_cursor *c = &p->cursors[i];
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_CHANGE_SINCE, p->err);
    struct entry e;
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, c->tier);
    tz_stmt_bind_text(st, 2, c->area.district);
    tz_stmt_bind_int(st, 3, (int64_t)c->ver);
    tz_ver at = c->ver;
    int rc;
    while ((rc = read_entry(st, c, &e, p->err)) == 1) {
        int go = e.ver != at ? version_ended(p, i, TZ_PLANTED(VERSION_SPLIT) ? e.ver : at) : 1;
        at = e.ver;
        if (go == 1 && (p->frame.len >= 2 * p->s->rows_frame_bytes ||
                        p->rows >= TZ_MSG_ROWS_MAX)) /* a version of very many rows */
            go = go_on(page_flush(p, i));
        if (go == 1 && (tz_area_covers(&c->area, &e.area) || TZ_PLANTED(OTHER_AREA)))
            go = go_on(page_entry(p, &e));
        if (go != 1) {
            tz_stmt_reset(st);
            return go;
        }
    }
    if (rc)
        return rc;
    c->ver = p->head;
    return 1;
}

/* ---- changes ---- */

static bool granted(const struct tz_grant *g, const struct tz_area *area)
{
    for (size_t i = 0; i < g->nareas; i++)
        if (tz_area_eq(&g->areas[i], area))
            return true;
    return false;
}

int tz_feed_read_begin(struct tz_store *s, struct tz_err *err)
{
    return tz_db_in_transaction(s->db) ? 0 : tz_db_begin_read(s->db, err);
}

int tz_feed_head(struct tz_store *s, struct tz_msg_checkpoint *head, struct tz_err *err)
{
    int64_t ver = 0;
    int rc = tz_db_query_int(s->db, "SELECT max(ver) FROM commit_log", &ver, err);
    head->ver = (tz_ver)ver;
    return rc ? rc : tz_store_audit_head(s, &head->audit_n, head->audit_hash, err);
}

static int by_tier(const void *a, const void *b)
{
    const struct tz_cursor *ca = a;
    const struct tz_cursor *cb = b;
    return ca->tier < cb->tier ? -1 : ca->tier > cb->tier;
}

/** A cursor below the horizon has missed what was purged, unless it began at 0 since. */
static int check_horizon(struct page *p, size_t n)
{
    tz_ver horizon = 0;
    int rc = tz_purge_horizon(p->s, &horizon, p->err);
    for (size_t i = 0; i < n && !rc; i++) {
        struct tz_cursor *c = &p->cursors[i];
        if (c->ver == 0)
            c->begun = horizon;
        else if (c->ver < horizon && c->begun < horizon)
            rc = tz_err_set(p->err, TZ_E_PURGED_PAST, NULL, NULL, NULL, NULL);
    }
    return rc;
}

static int page_all(struct page *p, size_t n, bool *done)
{
    size_t i = 0;
    *done = true;
    for (; i < n && *done; i++) {
        int rc = p->frames < p->frames_max ? page_cursor(p, i) : 0;
        if (rc < 0)
            return rc;
        *done = rc == 1;
        if (rc == 1 && p->frame.len >= p->s->rows_frame_bytes && (rc = page_flush(p, i + 1)) != 0)
            return rc;
    }
    return p->frame.len ? page_flush(p, i) : 0;
}

int tz_store_changes(struct tz_store *s, const struct tz_grant *g, struct tz_cursor *cursors, size_t ncursors,
                     unsigned frames_max, tz_rows_emit_fn emit, void *emit_ctx, bool *done,
                     struct tz_msg_checkpoint *head, struct tz_err *err)
{
    struct page p = {.s = s, .g = g, .emit = emit, .emit_ctx = emit_ctx, .frames_max = frames_max, .err = err};
    for (size_t i = 0; i < ncursors; i++) {
        if (!granted(g, &cursors[i].area))
            return tz_err_set(err, TZ_E_AREA, "cursor", NULL, NULL, NULL);
        if (tz_lost_floor(s, cursors[i].ver) != cursors[i].ver) /* what changed up to it is what the restore undid */
            cursors[i].ver = 0;
    }
    bool ours = !tz_db_in_transaction(s->db);
    int rc = tz_feed_read_begin(s, err);
    if (rc)
        return rc;
    tz_buf_init(&p.frame, TZ_FRAME_BODY_MAX);
    tz_buf_init(&p.body, TZ_ROW_BYTES_MAX);
    tz_arena_init(&p.a, 4 * TZ_ROW_BYTES_MAX);
    qsort(cursors, ncursors, sizeof *cursors, by_tier); /* reference rows first: labels before what uses them */
    p.cursors = cursors;
    rc = tz_feed_head(s, head, err);
    p.head = head->ver;
    if (!rc)
        rc = check_horizon(&p, ncursors);
    if (!rc)
        rc = page_all(&p, ncursors, done);
    tz_buf_deinit(&p.frame);
    tz_buf_deinit(&p.body);
    tz_arena_deinit(&p.a);
    if (ours)
        tz_db_rollback(s->db);
    return rc;
}

/* ---- the whole scope ---- */

struct scope {
    const struct tz_grant *g;
    int (*cb)(void *ctx, const struct tz_row *row);
    void *ctx;
    struct tz_row *copy;
};

static int scope_row(void *ctx, const struct tz_row *row)
{
    struct scope *s = ctx;
    if (!tz_feed_readable(s->g, &row->area))
        return 1;
    *s->copy = *row;
    tz_feed_project(s->g, &s->copy->rec);
    return s->cb(s->ctx, s->copy);
}

static int by_type_id(const void *a, const void *b)
{
    const struct tz_type *const *ta = a;
    const struct tz_type *const *tb = b;
    return (*ta)->id < (*tb)->id ? -1 : (*ta)->id > (*tb)->id;
}

int tz_store_each_row(struct tz_store *s, const struct tz_grant *g, int (*cb)(void *ctx, const struct tz_row *row),
                      void *ctx, struct tz_err *err)
{
    const struct tz_type *types[TZ_TYPES_MAX];
    struct scope sc = {.g = g, .cb = cb, .ctx = ctx, .copy = malloc(sizeof *sc.copy)};
    if (!sc.copy)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    for (size_t i = 0; i < s->cat->ntypes; i++)
        types[i] = &s->cat->types[i];
    qsort(types, s->cat->ntypes, sizeof types[0], by_type_id);
    bool ours = !tz_db_in_transaction(s->db);
    int rc = tz_feed_read_begin(s, err);
    for (size_t i = 0; i < s->cat->ntypes && !rc; i++)
        rc = tz_replica_each(s->rep, types[i], scope_row, &sc, err);
    if (ours)
        tz_db_rollback(s->db);
    free(sc.copy);
    return rc;
}

/* ---- verify ---- */

struct digest {
    struct tz_sha256 h;
    struct tz_buf body;
    uint64_t rows;
};

static int digest_row(void *ctx, const struct tz_row *row)
{
    struct digest *d = ctx;
    uint8_t head[TZ_ROWSUM_HEAD_BYTES];
    tz_buf_clear(&d->body);
    int rc = tz_record_encode(&row->rec, &d->body);
    if (rc) /* a row that was never sent is in nobody's digest */
        return rc == TZ_E_NOMEM ? rc : 1;
    struct tz_bytes body = tz_buf_unread(&d->body);
    tz_rowsum_head(row->rec.type->id, row->id, row->ver, body.n, head);
    d->rows++;
    rc = tz_sha256_update(&d->h, tz_bytes_of(head, sizeof head));
    if (!rc)
        rc = tz_sha256_update(&d->h, body);
    return rc ? rc : 1;
}

int tz_store_verify(struct tz_store *s, const struct tz_grant *g, const struct tz_msg_verify *ask,
                    struct tz_msg_verified *out, struct tz_err *err)
{
    struct digest d = {0};
    struct tz_msg_checkpoint head;
    memset(out, 0, sizeof *out);
    tz_buf_init(&d.body, TZ_ROW_BYTES_MAX);
    bool ours = !tz_db_in_transaction(s->db);
    int rc = tz_feed_read_begin(s, err);
    if (!rc)
        rc = tz_sha256_init(&d.h);
    if (!rc)
        rc = tz_feed_head(s, &head, err);
    if (!rc)
        rc = tz_store_each_row(s, g, digest_row, &d, err);
    if (!rc)
        rc = tz_sha256_final(&d.h, out->digest);
    if (!rc)
        rc = tz_store_audit_has(s, ask->audit_n, ask->audit_hash, &out->audit_ok, err);
    if (!rc) {
        out->ver = head.ver;
        out->rows = d.rows;
        out->audit_n = head.audit_n;
        memcpy(out->audit_hash, head.audit_hash, sizeof out->audit_hash);
    }
    if (ours)
        tz_db_rollback(s->db);
    tz_sha256_deinit(&d.h);
    tz_buf_deinit(&d.body);
    return rc;
}

/* ---- what waits ---- */

int tz_store_backlog(struct tz_store *s, int (*cb)(void *ctx, const struct tz_backlog_entry *e), void *ctx,
                     struct tz_err *err)
{
    struct tz_stmt st = {0};
    int rc = tz_db_prepare(
        s->db, &st,
        "SELECT device,incarnation,seq,outcome,blocked_by,received_ms,recover FROM backlog WHERE outcome<>7"
        " ORDER BY device,seq",
        err);
    while (!rc && (rc = tz_stmt_step(&st, err)) == 1) {
        struct tz_backlog_entry e = {(uint32_t)tz_stmt_int(&st, 0), (uint32_t)tz_stmt_int(&st, 1),
                                     (uint64_t)tz_stmt_int(&st, 2), (enum tz_outcome)tz_stmt_int(&st, 3),
                                     (uint64_t)tz_stmt_int(&st, 4), tz_stmt_int(&st, 5),
                                     tz_stmt_int(&st, 6) == 1};
        int go = cb(ctx, &e);
        rc = go < 0 ? go : 0;
        if (go <= 0)
            break;
    }
    tz_stmt_finalize(&st);
    return rc;
}
