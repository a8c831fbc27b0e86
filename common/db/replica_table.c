/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shape of the record tables, from the catalogue: tables, columns, indexes. Columns are only ever added, and SQL
 * names every column, so their order does not matter. No row is read or written here.
 */
#include "replica_table.h"

#include <stdio.h>

enum { SQL_BYTES_MAX = 256 * 1024 };

static const char *column_type(enum tz_ftype t)
{
    switch (tz_ftype_kind(t)) {
    case TZ_V_INT:
        return "INTEGER";
    case TZ_V_BLOB:
        return "BLOB";
    case TZ_V_TEXT:
    case TZ_V_NULL:
    default:
        return "TEXT";
    }
}

static int sql_exec(struct tz_db *db, struct tz_buf *sql, int rc, struct tz_err *err)
{
    if (!rc)
        rc = tz_buf_putc(sql, 0);
    if (rc)
        return tz_err_set(err, rc, "SQL", NULL, NULL, NULL);
    return tz_db_exec(db, (const char *)sql->p, err);
}

static int create_table(struct tz_db *db, enum tz_side side, const struct tz_type *t, struct tz_err *err)
{
    struct tz_buf sql;
    tz_buf_init(&sql, SQL_BYTES_MAX);
    int rc = tz_buf_printf(&sql, "CREATE TABLE IF NOT EXISTS \"%s\"(_id BLOB NOT NULL PRIMARY KEY", t->name);
    for (size_t i = 0; i < t->nfields && !rc; i++)
        rc = tz_buf_printf(&sql, ",\"%s\" %s", t->fields[i].name, column_type(t->fields[i].ftype));
    if (!rc)
        rc = tz_buf_puts(&sql, ",_ver INTEGER NOT NULL,_district TEXT NOT NULL,_street TEXT NOT NULL,_extra BLOB");
    if (!rc && side == TZ_SIDE_SERVER)
        rc = tz_buf_puts(&sql, ",_age INTEGER NOT NULL,_stamps BLOB");
    if (!rc)
        rc = tz_buf_puts(&sql, ") STRICT, WITHOUT ROWID");
    rc = sql_exec(db, &sql, rc, err);
    tz_buf_deinit(&sql);
    return rc;
}

/** Look-ups by value happen on references to working records and on the first field of a business key. */
static bool wants_index(const struct tz_type *t, const struct tz_field *f)
{
    if (f->ftype == TZ_FT_REF_ANY || (f->ftype == TZ_FT_REF && f->ref->area != TZ_AREA_CITY))
        return true;
    for (size_t k = 0; k < t->nkeys; k++)
        if (t->keys[k].nfields == 1 && t->keys[k].nwhen == 0 && t->keys[k].fields[0] == f->index)
            return true;
    return false;
}

/** Records by where they lie: what a reader of one area compares must not cost a walk over everybody's. */
static int index_area(struct tz_db *db, const struct tz_type *t, struct tz_err *err)
{
    char sql[3 * TZ_NAME_MAX + 96];
    (void)snprintf(sql, sizeof sql, "CREATE INDEX IF NOT EXISTS \"_a_%s\" ON \"%s\"(_district,_street)", t->name,
                   t->name);
    return tz_db_exec(db, sql, err);
}

int tz_replica_index_areas(struct tz_db *db, const struct tz_catalogue *cat, struct tz_err *err)
{
    struct tz_stmt st = {0};
    int rc = tz_db_prepare(db, &st, "SELECT 1 FROM sqlite_schema WHERE type='table' AND name=?", err);
    for (size_t i = 0; i < cat->ntypes && !rc; i++) {
        tz_stmt_bind_text(&st, 1, cat->types[i].name);
        int there = tz_stmt_step(&st, err);
        tz_stmt_reset(&st);
        rc = there < 0 ? there : there ? index_area(db, &cat->types[i], err) : 0;
    }
    tz_stmt_finalize(&st);
    return rc;
}

static int create_indexes(struct tz_db *db, enum tz_side side, const struct tz_type *t, struct tz_err *err)
{
    int area = side == TZ_SIDE_SERVER ? index_area(db, t, err) : 0;
    if (area)
        return area;
    for (size_t i = 0; i < t->nfields; i++) {
        const char *f = t->fields[i].name;
        if (!wants_index(t, &t->fields[i]))
            continue;
        struct tz_buf sql;
        tz_buf_init(&sql, SQL_BYTES_MAX);
        int rc =
            tz_buf_printf(&sql, "CREATE INDEX IF NOT EXISTS \"_i_%s_%s\" ON \"%s\"(\"%s\") WHERE \"%s\" IS NOT NULL",
                          t->name, f, t->name, f, f);
        rc = sql_exec(db, &sql, rc, err);
        tz_buf_deinit(&sql);
        if (rc)
            return rc;
    }
    return 0;
}

/** Add missing columns. Returns how many were added, or an error. */
static int add_columns(struct tz_db *db, const struct tz_type *t, struct tz_err *err)
{
    struct tz_stmt has = {0};
    int added = 0;
    int rc = tz_db_prepare(db, &has, "SELECT 1 FROM pragma_table_info(?) WHERE name = ?", err);
    for (size_t i = 0; i < t->nfields && !rc; i++) {
        tz_stmt_bind_text(&has, 1, t->name);
        tz_stmt_bind_text(&has, 2, t->fields[i].name);
        int found = tz_stmt_step(&has, err);
        tz_stmt_reset(&has);
        if (found == 1)
            continue;
        if (found < 0) {
            rc = found;
            break;
        }
        struct tz_buf sql;
        tz_buf_init(&sql, SQL_BYTES_MAX);
        rc = tz_buf_printf(&sql, "ALTER TABLE \"%s\" ADD COLUMN \"%s\" %s", t->name, t->fields[i].name,
                           column_type(t->fields[i].ftype));
        rc = sql_exec(db, &sql, rc, err);
        tz_buf_deinit(&sql);
        added++;
    }
    tz_stmt_finalize(&has);
    return rc ? rc : added;
}

int tz_replica_table(struct tz_db *db, enum tz_side side, const struct tz_type *t, struct tz_err *err)
{
    int rc = create_table(db, side, t, err);
    int added = rc ? rc : add_columns(db, t, err);
    rc = added < 0 ? added : create_indexes(db, side, t, err);
    return rc ? rc : added;
}
