/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_REPLICA_H
#define TZ_REPLICA_H

/*
 * Records as SQL tables: one STRICT table per record type with one typed column per field, made from the catalogue and
 * shared by server and client. Any SQL tool reads them. Columns: _id, the fields, _ver, _district, _street, _extra; on
 * the server also _stamps and _age (`_ver` - `_age` is the version that the record was made in). A type's table holds
 * its live records only, so that plain SQL counts what people count; deleted records are kept, whole, in `_tombstone`,
 * and get/put here hide the difference.
 *
 * Not thread-safe; one per connection. Transactions are the caller's.
 */

#include "area.h"
#include "changeset.h"
#include "db.h"

enum tz_side { TZ_SIDE_SERVER, TZ_SIDE_CLIENT };

struct tz_replica;

struct tz_row {
    struct tz_record rec;
    struct tz_id id;
    tz_ver ver;
    struct tz_area area;
    bool deleted;
    tz_ver born;            /* server only */
    struct tz_bytes stamps; /* server only, packed; borrowed like the values */
};

/**
 * Open over @db (borrowed). With @write: create missing tables and columns, promote values of new columns out of
 * _extra, and record the catalogue version. TZ_E_CATALOGUE_OLD when the database was made with a newer catalogue and
 * @side is the server.
 */
TZ_MUST_USE int tz_replica_open(struct tz_db *db, const struct tz_catalogue *cat, enum tz_side side, bool write,
                                struct tz_replica **out, struct tz_err *err);
/** Of a server's database from before there was one: the index by area, for the tables that there are. */
TZ_MUST_USE int tz_replica_index_areas(struct tz_db *db, const struct tz_catalogue *cat, struct tz_err *err);
void tz_replica_close(struct tz_replica *r);
const struct tz_catalogue *tz_replica_catalogue(const struct tz_replica *r);
/** Catalogue version the data has. */
uint32_t tz_replica_data_version(const struct tz_replica *r);

/** Live or deleted record. 1 found, 0 none, negative error. Values live in @a. */
int tz_replica_get(struct tz_replica *r, const struct tz_type *t, struct tz_id id, struct tz_arena *a,
                   struct tz_row *out, struct tz_err *err);
/** Insert or replace. row->deleted moves it to the tombstones. */
TZ_MUST_USE int tz_replica_put(struct tz_replica *r, const struct tz_row *row, struct tz_err *err);
/** Forget it altogether (left the area, own new record withdrawn). Unknown id: nothing happens. */
TZ_MUST_USE int tz_replica_drop(struct tz_replica *r, const struct tz_type *t, struct tz_id id, struct tz_err *err);

/** 0 stops with success. Negative stops with that error. 1 goes on. */
typedef int (*tz_row_cb)(void *ctx, const struct tz_row *row);
/** Every live record of @t in id order. */
TZ_MUST_USE int tz_replica_each(struct tz_replica *r, const struct tz_type *t, tz_row_cb cb, void *ctx,
                                struct tz_err *err);
/** Those with an id above @after. */
TZ_MUST_USE int tz_replica_each_after(struct tz_replica *r, const struct tz_type *t, struct tz_id after, tz_row_cb cb,
                                      void *ctx, struct tz_err *err);
/** Live records in @area, in no order: a district with all its streets, or one street. */
TZ_MUST_USE int tz_replica_each_of(struct tz_replica *r, const struct tz_type *t, const struct tz_area *area,
                                   tz_row_cb cb, void *ctx, struct tz_err *err);
/** Live records of exactly @area with an id above @after, in id order. On the server an index leads there. */
TZ_MUST_USE int tz_replica_each_in(struct tz_replica *r, const struct tz_type *t, const struct tz_area *area,
                                   struct tz_id after, tz_row_cb cb, void *ctx, struct tz_err *err);
/** Live records of @t whose field equals @v, in id order; An index exists for refs and business keys. */
TZ_MUST_USE int tz_replica_find(struct tz_replica *r, const struct tz_field *f, const struct tz_type *t,
                                struct tz_value v, tz_row_cb cb, void *ctx, struct tz_err *err);
int64_t tz_replica_count(struct tz_replica *r, const struct tz_type *t); /* live; negative error */

/** One line of the dump: {"_id":…,"_type":…,fields sorted by name…}; NULL fields left out. No newline. @secret: print
 * secret fields. */
TZ_MUST_USE int tz_row_dump(const struct tz_row *row, bool secret, struct tz_buf *out);

#endif
