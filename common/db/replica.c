/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows in and out of the record tables; replica_table.c makes those from the catalogue.
 *
 * Invariants
 *  1. A record is in its type's table (live) or in `_tombstone` (deleted), never in both.
 *  2. `_extra` holds only fields that this database's catalogue lacks: when a column arrives, its values move there.
 *
 * What this does not do: merging, feeds, pending edits. Those belong to the two sides.
 */
#include "grow.h"
#include "planted.h"
#include "replica_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SQL_BYTES_MAX = 256 * 1024 };

struct type_stmts {
    struct tz_stmt get, put, drop;
};

struct tz_replica {
    struct tz_db *db;
    const struct tz_catalogue *cat;
    enum tz_side side;
    uint32_t data_version;
    struct type_stmts *types; /* by type index */
    struct tz_stmt tomb_get, tomb_put, tomb_drop;
};

/* ---- statements ---- */

static int put_columns(struct tz_buf *sql, const struct tz_replica *r, const struct tz_type *t, const char *format)
{
    static const char *const system[] = {"_ver", "_district", "_street", "_extra", "_age", "_stamps"};
    size_t n = r->side == TZ_SIDE_SERVER ? 6 : 4;
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++) {
        rc = i ? tz_buf_putc(sql, ',') : 0;
        for (const char *c = format; *c && !rc; c++)
            rc = *c == '%' ? tz_buf_printf(sql, "\"%s\"", system[i]) : tz_buf_putc(sql, (uint8_t)*c);
    }
    for (size_t i = 0; i < t->nfields && !rc; i++) {
        rc = tz_buf_putc(sql, ',');
        for (const char *c = format; *c && !rc; c++)
            rc = *c == '%' ? tz_buf_printf(sql, "\"%s\"", t->fields[i].name) : tz_buf_putc(sql, (uint8_t)*c);
    }
    return rc;
}

static int prepare(struct tz_replica *r, struct tz_stmt *st, struct tz_buf *sql, int rc, struct tz_err *err)
{
    if (!rc)
        rc = tz_buf_putc(sql, 0);
    if (rc)
        return tz_err_set(err, rc, "SQL", NULL, NULL, NULL);
    return tz_db_prepare(r->db, st, (const char *)sql->p, err);
}

/** SELECT of all columns in the order read_row expects, with @tail after FROM. */
static int prepare_select(struct tz_replica *r, const struct tz_type *t, const char *tail, struct tz_stmt *st,
                          struct tz_err *err)
{
    struct tz_buf sql;
    tz_buf_init(&sql, SQL_BYTES_MAX);
    int rc = tz_buf_puts(&sql, "SELECT _id,");
    if (!rc)
        rc = put_columns(&sql, r, t, "%");
    if (!rc)
        rc = tz_buf_printf(&sql, " FROM \"%s\" %s", t->name, tail);
    rc = prepare(r, st, &sql, rc, err);
    tz_buf_deinit(&sql);
    return rc;
}

static int prepare_put(struct tz_replica *r, const struct tz_type *t, struct tz_stmt *st, struct tz_err *err)
{
    struct tz_buf sql;
    tz_buf_init(&sql, SQL_BYTES_MAX);
    size_t params = t->nfields + (r->side == TZ_SIDE_SERVER ? 7 : 5);
    int rc = tz_buf_printf(&sql, "INSERT INTO \"%s\"(_id,", t->name);
    if (!rc)
        rc = put_columns(&sql, r, t, "%");
    if (!rc)
        rc = tz_buf_puts(&sql, ") VALUES(?");
    for (size_t i = 1; i < params && !rc; i++)
        rc = tz_buf_puts(&sql, ",?");
    if (!rc)
        rc = tz_buf_puts(&sql, ") ON CONFLICT(_id) DO UPDATE SET ");
    if (!rc)
        rc = put_columns(&sql, r, t, "%=excluded.%");
    rc = prepare(r, st, &sql, rc, err);
    tz_buf_deinit(&sql);
    return rc;
}

static int prepare_drop(struct tz_replica *r, const struct tz_type *t, struct tz_stmt *st, struct tz_err *err)
{
    struct tz_buf sql;
    tz_buf_init(&sql, SQL_BYTES_MAX);
    int rc = tz_buf_printf(&sql, "DELETE FROM \"%s\" WHERE _id=?", t->name);
    rc = prepare(r, st, &sql, rc, err);
    tz_buf_deinit(&sql);
    return rc;
}

/** The statement of a type, prepared on first use. NULL with @err set. */
static struct tz_stmt *stmt_of(struct tz_replica *r, const struct tz_type *t, struct tz_stmt *st, struct tz_err *err)
{
    struct type_stmts *ts = &r->types[t->index];
    int rc = 0;
    if (!st->st)
        rc = st == &ts->get   ? prepare_select(r, t, "WHERE _id=?", st, err)
             : st == &ts->put ? prepare_put(r, t, st, err)
                              : prepare_drop(r, t, st, err);
    return rc ? NULL : st;
}

/* ---- rows ---- */

static void take_area(struct tz_area *a, const char *district, const char *street)
{
    memset(a, 0, sizeof *a);
    if (district)
        memcpy(a->district, district, strnlen(district, TZ_DISTRICT_BYTES - 1));
    if (street)
        memcpy(a->street, street, strnlen(street, TZ_STREET_BYTES - 1));
}

/** Current row of a prepare_select statement. Borrows from it, or copies to @a when given. */
static int read_row(struct tz_replica *r, const struct tz_type *t, struct tz_stmt *st, struct tz_arena *a,
                    struct tz_row *out, struct tz_err *err)
{
    int col = 0;
    tz_record_init(&out->rec, t);
    out->deleted = false;
    out->born = 0;
    out->stamps = (struct tz_bytes){0};
    tz_stmt_id(st, col++, &out->id);
    out->ver = (tz_ver)tz_stmt_int(st, col++);
    take_area(&out->area, tz_stmt_text(st, col), tz_stmt_text(st, col + 1));
    col += 2;
    out->rec.extra = tz_stmt_blob(st, col++);
    if (r->side == TZ_SIDE_SERVER) {
        out->born = out->ver - (tz_ver)tz_stmt_int(st, col++);
        out->stamps = tz_stmt_blob(st, col++);
    }
    for (size_t i = 0; i < t->nfields; i++) {
        int rc = tz_stmt_value_as(st, col++, t->fields[i].ftype, &out->rec.v[i], err);
        if (rc)
            return rc;
        if (a && !tz_value_dup(a, out->rec.v[i], &out->rec.v[i]))
            return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    }
    if (!a)
        return 0;
    out->rec.extra.p = tz_arena_dup(a, out->rec.extra.p, out->rec.extra.n);
    out->stamps.p = tz_arena_dup(a, out->stamps.p, out->stamps.n);
    return out->rec.extra.p && out->stamps.p ? 0 : tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
}

/**
 * Move what the catalogue now knows out of row->rec.extra. A value that is not one of its field (made by whoever called
 * the number something else) goes: kept, it would make the row unreadable.
 */
static int promote_row(const struct tz_type *t, struct tz_row *row, struct tz_arena *a)
{
    struct tz_wire_iter it = {row->rec.extra};
    struct tz_wire_field w;
    struct tz_buf rest;
    struct tz_record *one = tz_arena_alloc(a, sizeof *one);
    int rc = one ? 0 : TZ_E_NOMEM;
    tz_buf_init(&rest, TZ_ROW_BYTES_MAX);
    while (!rc && tz_wire_next(&it, &w) == 1) {
        const struct tz_field *f = tz_type_field_id(t, w.number);
        if (!f)
            rc = tz_buf_put(&rest, w.raw.p, w.raw.n);
        else if (!tz_record_decode(t, w.raw, a, one, NULL) && !tz_value_check(f, one->v[f->index], false, NULL))
            row->rec.v[f->index] = one->v[f->index];
    }
    struct tz_bytes b = tz_buf_unread(&rest);
    void *copy = rc ? NULL : tz_arena_dup(a, b.p, b.n);
    tz_buf_deinit(&rest);
    row->rec.extra = tz_bytes_of(copy, copy ? b.n : 0);
    return copy ? 0 : rc ? rc : TZ_E_NOMEM;
}

static int get_tombstone(struct tz_replica *r, const struct tz_type *t, struct tz_id id, struct tz_arena *a,
                         struct tz_row *out, struct tz_err *err)
{
    struct tz_stmt *st = &r->tomb_get;
    tz_stmt_bind_int(st, 1, t->id);
    tz_stmt_bind_id(st, 2, &id);
    int rc = tz_stmt_step(st, err);
    if (rc != 1)
        return rc;
    struct tz_bytes body = tz_stmt_blob(st, 3);
    struct tz_bytes stamps = tz_stmt_blob(st, 5);
    out->id = id;
    out->ver = (tz_ver)tz_stmt_int(st, 0);
    take_area(&out->area, tz_stmt_text(st, 1), tz_stmt_text(st, 2));
    out->born = (tz_ver)tz_stmt_int(st, 4);
    out->deleted = true;
    body.p = tz_arena_dup(a, body.p, body.n);
    stamps.p = tz_arena_dup(a, stamps.p, stamps.n);
    out->stamps = stamps;
    tz_stmt_reset(st);
    if (!body.p || !stamps.p)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    rc = tz_record_decode(t, body, a, &out->rec, err);
    if (rc == TZ_E_FORMAT) { /* from before its type had these fields: read it value by value */
        tz_record_init(&out->rec, t);
        out->rec.extra = body;
        rc = promote_row(t, out, a);
    }
    return rc ? rc : 1;
}

int tz_replica_get(struct tz_replica *r, const struct tz_type *t, struct tz_id id, struct tz_arena *a,
                   struct tz_row *out, struct tz_err *err)
{
    struct tz_stmt *st = stmt_of(r, t, &r->types[t->index].get, err);
    if (!st)
        return err ? err->code : TZ_E_DB;
    tz_stmt_bind_id(st, 1, &id);
    int rc = tz_stmt_step(st, err);
    if (rc == 0)
        return get_tombstone(r, t, id, a, out, err);
    if (rc < 0)
        return rc;
    rc = read_row(r, t, st, a, out, err);
    tz_stmt_reset(st);
    return rc ? rc : 1;
}

static int drop_live(struct tz_replica *r, const struct tz_type *t, const struct tz_id *id, struct tz_err *err)
{
    struct tz_stmt *st = stmt_of(r, t, &r->types[t->index].drop, err);
    if (!st)
        return err ? err->code : TZ_E_DB;
    tz_stmt_bind_id(st, 1, id);
    return tz_stmt_run(st, err);
}

static int drop_tombstone(struct tz_replica *r, const struct tz_type *t, const struct tz_id *id, struct tz_err *err)
{
    tz_stmt_bind_int(&r->tomb_drop, 1, t->id);
    tz_stmt_bind_id(&r->tomb_drop, 2, id);
    return tz_stmt_run(&r->tomb_drop, err);
}

static int put_tombstone(struct tz_replica *r, const struct tz_row *row, struct tz_err *err)
{
    struct tz_buf body;
    tz_buf_init(&body, TZ_ROW_BYTES_MAX);
    int rc = tz_record_encode(&row->rec, &body);
    if (rc) {
        tz_buf_deinit(&body);
        return tz_err_set(err, rc, "row", NULL, NULL, NULL);
    }
    struct tz_bytes b = tz_buf_unread(&body);
    struct tz_stmt *st = &r->tomb_put;
    tz_stmt_bind_int(st, 1, row->rec.type->id);
    tz_stmt_bind_id(st, 2, &row->id);
    tz_stmt_bind_int(st, 3, (int64_t)row->ver);
    tz_stmt_bind_text(st, 4, row->area.district);
    tz_stmt_bind_text(st, 5, row->area.street);
    tz_stmt_bind_blob(st, 6, b.n ? b.p : (const uint8_t *)"", b.n);
    tz_stmt_bind_int(st, 7, (int64_t)row->born);
    tz_stmt_bind_blob(st, 8, row->stamps.n ? row->stamps.p : (const uint8_t *)"", row->stamps.n);
    rc = tz_stmt_run(st, err);
    tz_buf_deinit(&body);
    return rc;
}

static int put_live(struct tz_replica *r, const struct tz_row *row, struct tz_err *err)
{
    const struct tz_type *t = row->rec.type;
    struct tz_stmt *st = stmt_of(r, t, &r->types[t->index].put, err);
    if (!st)
        return err ? err->code : TZ_E_DB;
    int p = 1;
    tz_stmt_bind_id(st, p++, &row->id);
    tz_stmt_bind_int(st, p++, (int64_t)row->ver);
    tz_stmt_bind_text(st, p++, row->area.district);
    tz_stmt_bind_text(st, p++, row->area.street);
    if (row->rec.extra.n && !TZ_PLANTED(EXTRA_DROPPED))
        tz_stmt_bind_blob(st, p, row->rec.extra.p, row->rec.extra.n);
    p++;
    if (r->side == TZ_SIDE_SERVER) {
        tz_stmt_bind_int(st, p++, (int64_t)(row->ver - row->born));
        if (row->stamps.n)
            tz_stmt_bind_blob(st, p, row->stamps.p, row->stamps.n);
        p++;
    }
    for (size_t i = 0; i < t->nfields; i++)
        tz_stmt_bind_value(st, p++, row->rec.v[i]);
    return tz_stmt_run(st, err);
}

int tz_replica_put(struct tz_replica *r, const struct tz_row *row, struct tz_err *err)
{
    const struct tz_type *t = row->rec.type;
    int rc = row->deleted ? drop_live(r, t, &row->id, err) : drop_tombstone(r, t, &row->id, err);
    if (rc)
        return rc;
    return row->deleted ? put_tombstone(r, row, err) : put_live(r, row, err);
}

int tz_replica_drop(struct tz_replica *r, const struct tz_type *t, struct tz_id id, struct tz_err *err)
{
    int rc = drop_live(r, t, &id, err);
    return rc ? rc : drop_tombstone(r, t, &id, err);
}

/* ---- many rows ---- */

static int run_rows(struct tz_replica *r, const struct tz_type *t, struct tz_stmt *st, tz_row_cb cb, void *ctx,
                    struct tz_err *err)
{
    struct tz_row *row = malloc(sizeof *row);
    if (!row)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    int rc;
    while ((rc = tz_stmt_step(st, err)) == 1) {
        rc = read_row(r, t, st, NULL, row, err);
        if (!rc) {
            int go = cb(ctx, row);
            if (go > 0)
                continue;
            rc = go;
        }
        break;
    }
    tz_stmt_reset(st);
    free(row);
    return rc;
}

int tz_replica_each(struct tz_replica *r, const struct tz_type *t, tz_row_cb cb, void *ctx, struct tz_err *err)
{
    struct tz_stmt st = {0};
    int rc = prepare_select(r, t, "ORDER BY _id", &st, err);
    if (!rc)
        rc = run_rows(r, t, &st, cb, ctx, err);
    tz_stmt_finalize(&st);
    return rc;
}

int tz_replica_each_after(struct tz_replica *r, const struct tz_type *t, struct tz_id after, tz_row_cb cb, void *ctx,
                          struct tz_err *err)
{
    struct tz_stmt st = {0};
    int rc = prepare_select(r, t, "WHERE _id>? ORDER BY _id", &st, err);
    if (rc)
        return rc;
    tz_stmt_bind_id(&st, 1, &after);
    rc = run_rows(r, t, &st, cb, ctx, err);
    tz_stmt_finalize(&st);
    return rc;
}

int tz_replica_each_in(struct tz_replica *r, const struct tz_type *t, const struct tz_area *area, struct tz_id after,
                       tz_row_cb cb, void *ctx, struct tz_err *err)
{
    struct tz_stmt st = {0};
    int rc = prepare_select(r, t, "WHERE _district=? AND _street=? AND _id>? ORDER BY _id", &st, err);
    if (rc)
        return rc;
    tz_stmt_bind_text(&st, 1, area->district);
    tz_stmt_bind_text(&st, 2, area->street);
    tz_stmt_bind_id(&st, 3, &after);
    rc = run_rows(r, t, &st, cb, ctx, err);
    tz_stmt_finalize(&st);
    return rc;
}

int tz_replica_each_of(struct tz_replica *r, const struct tz_type *t, const struct tz_area *area, tz_row_cb cb,
                       void *ctx, struct tz_err *err)
{
    struct tz_stmt st = {0};
    bool street = area->street[0] != '\0';
    int rc = prepare_select(r, t, street ? "WHERE _district=? AND _street=?" : "WHERE _district=?", &st, err);
    if (rc)
        return rc;
    tz_stmt_bind_text(&st, 1, area->district);
    if (street)
        tz_stmt_bind_text(&st, 2, area->street);
    rc = run_rows(r, t, &st, cb, ctx, err);
    tz_stmt_finalize(&st);
    return rc;
}

int tz_replica_find(struct tz_replica *r, const struct tz_field *f, const struct tz_type *t, struct tz_value v,
                    tz_row_cb cb, void *ctx, struct tz_err *err)
{
    char tail[TZ_NAME_MAX + 64];
    struct tz_stmt st = {0};
    struct tz_buf b;
    tz_buf_init(&b, sizeof tail);
    int rc = tz_buf_printf(&b, "WHERE \"%s\"=? ORDER BY _id", f->name);
    if (!rc)
        rc = tz_buf_putc(&b, 0);
    if (!rc)
        rc = prepare_select(r, t, (const char *)b.p, &st, err);
    tz_buf_deinit(&b);
    if (rc)
        return rc;
    tz_stmt_bind_value(&st, 1, v);
    rc = run_rows(r, t, &st, cb, ctx, err);
    tz_stmt_finalize(&st);
    return rc;
}

int64_t tz_replica_count(struct tz_replica *r, const struct tz_type *t)
{
    struct tz_buf sql;
    struct tz_stmt st = {0};
    tz_buf_init(&sql, SQL_BYTES_MAX);
    int rc = tz_buf_printf(&sql, "SELECT count(*) FROM \"%s\"", t->name);
    rc = prepare(r, &st, &sql, rc, NULL);
    tz_buf_deinit(&sql);
    if (rc)
        return rc;
    int64_t n = tz_stmt_step(&st, NULL) == 1 ? tz_stmt_int(&st, 0) : TZ_E_DB;
    tz_stmt_finalize(&st);
    return n;
}

/* ---- open ---- */

struct promotion {
    struct tz_replica *r;
    struct tz_arena *arena;
    struct tz_id *ids;
    size_t n, cap;
};

static int collect_extra(void *ctx, const struct tz_row *row)
{
    struct promotion *p = ctx;
    if (!row->rec.extra.n)
        return 1;
    struct tz_id *ids = tz_grow(p->ids, p->n, &p->cap, 64, sizeof *ids);
    if (!ids)
        return TZ_E_NOMEM;
    p->ids = ids;
    p->ids[p->n++] = row->id;
    return 1;
}

/** Values that were kept for columns this database did not have move into them. */
static int promote_extra(struct tz_replica *r, const struct tz_type *t, struct tz_err *err)
{
    struct promotion p = {.r = r};
    struct tz_arena a;
    struct tz_row *row = malloc(sizeof *row);
    tz_arena_init(&a, 4 * TZ_ROW_BYTES_MAX);
    int rc = row ? tz_replica_each(r, t, collect_extra, &p, err) : TZ_E_NOMEM;
    for (size_t i = 0; i < p.n && !rc; i++) {
        tz_arena_reset(&a);
        rc = tz_replica_get(r, t, p.ids[i], &a, row, err);
        if (rc < 0)
            break;
        rc = promote_row(t, row, &a);
        if (!rc)
            rc = tz_replica_put(r, row, err);
    }
    free(p.ids);
    free(row);
    tz_arena_deinit(&a);
    return rc;
}

static int make_tables(struct tz_replica *r, struct tz_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < r->cat->ntypes && !rc; i++) {
        const struct tz_type *t = &r->cat->types[i];
        int added = tz_replica_table(r->db, r->side, t, err);
        rc = added > 0 ? promote_extra(r, t, err) : added;
    }
    return rc;
}

static int data_version(struct tz_replica *r, struct tz_err *err)
{
    int64_t v = 0;
    int64_t there = 0;
    int rc = tz_db_query_int(r->db, "SELECT count(*) FROM sqlite_schema WHERE name='_catalogue'", &there, err);
    if (!rc && there)
        rc = tz_db_query_int(r->db, "SELECT max(version) FROM _catalogue", &v, err);
    r->data_version = (uint32_t)v;
    return rc;
}

static int prepare_tombstones(struct tz_replica *r, struct tz_err *err)
{
    int rc = tz_db_prepare(r->db, &r->tomb_get,
                           "SELECT ver,district,street,body,born,stamps FROM _tombstone WHERE type=? AND id=?", err);
    if (!rc)
        rc = tz_db_prepare(r->db, &r->tomb_put, "INSERT OR REPLACE INTO _tombstone VALUES(?,?,?,?,?,?,?,?)", err);
    if (!rc)
        rc = tz_db_prepare(r->db, &r->tomb_drop, "DELETE FROM _tombstone WHERE type=? AND id=?", err);
    return rc;
}

static int upgrade(struct tz_replica *r, struct tz_err *err)
{
    int rc = tz_db_begin_immediate(r->db, err);
    if (rc)
        return rc;
    rc = tz_db_exec(r->db,
                    "CREATE TABLE IF NOT EXISTS _tombstone(" /* deleted records, whole */
                    "type INTEGER NOT NULL, id BLOB NOT NULL, ver INTEGER NOT NULL, district TEXT NOT NULL,"
                    "street TEXT NOT NULL, body BLOB NOT NULL, born INTEGER NOT NULL, stamps BLOB NOT NULL,"
                    "PRIMARY KEY(type, id)) STRICT, WITHOUT ROWID;"
                    "CREATE TABLE IF NOT EXISTS _catalogue(version INTEGER NOT NULL) STRICT;",
                    err);
    if (!rc)
        rc = prepare_tombstones(r, err);
    if (!rc)
        rc = make_tables(r, err);
    struct tz_stmt st = {0};
    if (!rc)
        rc = tz_db_prepare(r->db, &st, "INSERT INTO _catalogue VALUES(?)", err);
    if (!rc) {
        tz_stmt_bind_int(&st, 1, r->cat->version);
        rc = tz_stmt_run(&st, err);
    }
    tz_stmt_finalize(&st);
    if (rc) {
        tz_db_rollback(r->db);
        return rc;
    }
    r->data_version = r->cat->version;
    return tz_db_commit(r->db, err);
}

int tz_replica_open(struct tz_db *db, const struct tz_catalogue *cat, enum tz_side side, bool write,
                    struct tz_replica **out, struct tz_err *err)
{
    struct tz_replica *r = calloc(1, sizeof *r);
    *out = NULL;
    if (r)
        r->types = calloc(cat->ntypes ? cat->ntypes : 1, sizeof *r->types);
    if (!r || !r->types) {
        free(r);
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    }
    r->db = db;
    r->cat = cat;
    r->side = side;
    int rc = data_version(r, err);
    if (!rc && r->data_version > cat->version && side == TZ_SIDE_SERVER) {
        char have[16];
        char want[16];
        (void)snprintf(have, sizeof have, "%u", cat->version);
        (void)snprintf(want, sizeof want, "%u", r->data_version);
        rc = tz_err_set(err, TZ_E_CATALOGUE_OLD, have, want, NULL, NULL);
    }
    if (!rc)
        rc = write && r->data_version < cat->version ? upgrade(r, err) : prepare_tombstones(r, err);
    if (rc) {
        tz_replica_close(r);
        return rc;
    }
    *out = r;
    return 0;
}

void tz_replica_close(struct tz_replica *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->cat->ntypes; i++) {
        tz_stmt_finalize(&r->types[i].get);
        tz_stmt_finalize(&r->types[i].put);
        tz_stmt_finalize(&r->types[i].drop);
    }
    tz_stmt_finalize(&r->tomb_get);
    tz_stmt_finalize(&r->tomb_put);
    tz_stmt_finalize(&r->tomb_drop);
    free(r->types);
    free(r);
}

const struct tz_catalogue *tz_replica_catalogue(const struct tz_replica *r)
{
    return r->cat;
}

uint32_t tz_replica_data_version(const struct tz_replica *r)
{
    return r->data_version;
}

/* ---- dump ---- */

static int by_name(const void *a, const void *b)
{
    const struct tz_field *const *fa = a;
    const struct tz_field *const *fb = b;
    return strcmp((*fa)->name, (*fb)->name);
}

int tz_row_dump(const struct tz_row *row, bool secret, struct tz_buf *out)
{
    const struct tz_type *t = row->rec.type;
    const struct tz_field *sorted[TZ_FIELDS_MAX];
    char id[TZ_ID_HEX + 1];
    tz_id_print(row->id, id);
    for (size_t i = 0; i < t->nfields; i++)
        sorted[i] = &t->fields[i];
    qsort(sorted, t->nfields, sizeof sorted[0], by_name);
    int rc =
        tz_buf_printf(out, "{\"_district\":\"%s\",\"_id\":\"%s\",\"_street\":\"%s\",\"_type\":\"%s\",\"_ver\":\"%llu\"",
                      row->area.district, id, row->area.street, t->name, (unsigned long long)row->ver);
    for (size_t i = 0; i < t->nfields && !rc; i++) {
        struct tz_value v = row->rec.v[sorted[i]->index];
        if (v.kind == TZ_V_NULL || (!secret && sorted[i]->visibility == TZ_VIS_SECRET))
            continue;
        rc = tz_buf_printf(out, ",\"%s\":", sorted[i]->name);
        if (!rc)
            rc = tz_value_json(sorted[i], v, out);
    }
    return rc ? rc : tz_buf_putc(out, '}');
}
