/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three locks, each enough alone: the file is opened read-only, `query_only` is on, and an authoriser lets pass only
 * what a SELECT does. The last one also keeps ATTACH from reading other files and PRAGMA from changing how the file is
 * read.
 */
#include "query.h"

#include <sqlite3.h>
#include <string.h>

static int authorise(void *ctx, int action, const char *a, const char *b, const char *db, const char *trigger)
{
    (void)ctx;
    (void)a;
    (void)db;
    (void)trigger;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_FUNCTION:
        return b && sqlite3_stricmp(b, "load_extension") == 0 ? SQLITE_DENY : SQLITE_OK;
    default:
        return SQLITE_DENY;
    }
}

static int refuse(struct tz_err *err, const char *reason)
{
    return tz_err_set(err, TZ_E_SQL, reason, NULL, NULL, NULL);
}

static bool only_space(const char *s)
{
    return s[strspn(s, " \t\r\n;")] == '\0';
}

static int prepare(sqlite3 *db, const char *sql, sqlite3_stmt **st, struct tz_err *err)
{
    const char *tail = sql;
    int rc = sqlite3_prepare_v2(db, sql, -1, st, &tail);
    if (rc == SQLITE_AUTH)
        return refuse(err, "只能读取 / read-only");
    if (rc != SQLITE_OK)
        return refuse(err, sqlite3_errmsg(db));
    if (!*st)
        return refuse(err, "没有语句 / no statement");
    if (!sqlite3_stmt_readonly(*st))
        return refuse(err, "只能读取 / read-only");
    return only_space(tail) ? 0 : refuse(err, "只能有一条语句 / one statement only");
}

static int tell_columns(sqlite3_stmt *st, const struct tz_query_handler *h, struct tz_err *err)
{
    const char *names[TZ_QUERY_COLUMNS_MAX];
    int n = sqlite3_column_count(st);
    if (n < 0 || n > TZ_QUERY_COLUMNS_MAX)
        return refuse(err, "列太多 / too many columns");
    for (int i = 0; i < n; i++) {
        const char *name = sqlite3_column_name(st, i);
        names[i] = name ? name : "";
    }
    return h->columns(h->ctx, names, (size_t)n);
}

static struct tz_cell cell_of(sqlite3_stmt *st, int i)
{
    struct tz_cell c = {.kind = TZ_CELL_NULL};
    switch (sqlite3_column_type(st, i)) {
    case SQLITE_INTEGER:
        c.kind = TZ_CELL_INT;
        c.i = sqlite3_column_int64(st, i);
        break;
    case SQLITE_FLOAT:
        c.kind = TZ_CELL_REAL;
        c.real = sqlite3_column_double(st, i);
        break;
    case SQLITE_TEXT:
        c.kind = TZ_CELL_TEXT;
        c.bytes.p = sqlite3_column_text(st, i);
        c.bytes.n = (size_t)sqlite3_column_bytes(st, i);
        break;
    case SQLITE_BLOB:
        c.kind = TZ_CELL_BLOB;
        c.bytes.p = sqlite3_column_blob(st, i);
        c.bytes.n = (size_t)sqlite3_column_bytes(st, i);
        break;
    default:
        break;
    }
    return c;
}

static int tell_rows(sqlite3 *db, sqlite3_stmt *st, const struct tz_query_handler *h, struct tz_err *err)
{
    struct tz_cell cells[TZ_QUERY_COLUMNS_MAX];
    int n = sqlite3_column_count(st);
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        for (int i = 0; i < n; i++)
            cells[i] = cell_of(st, i);
        int told = h->row(h->ctx, cells, (size_t)n);
        if (told)
            return told;
    }
    return rc == SQLITE_DONE ? 0 : refuse(err, sqlite3_errmsg(db));
}

int tz_query_run(struct tz_office *o, const char *sql, const struct tz_query_handler *h, struct tz_err *err)
{
    struct tz_db *db;
    sqlite3_stmt *st = NULL;
    int rc = tz_db_open(tz_db_path(tz_office_db(o)), TZ_DB_READ, NULL, &db, err);
    if (rc)
        return rc;
    rc = tz_db_exec(db, "PRAGMA query_only=ON", err);
    if (!rc) {
        (void)sqlite3_set_authorizer(tz_db_handle(db), authorise, NULL);
        rc = prepare(tz_db_handle(db), sql, &st, err);
    }
    if (!rc)
        rc = tell_columns(st, h, err);
    if (!rc)
        rc = tell_rows(tz_db_handle(db), st, h, err);
    (void)sqlite3_finalize(st);
    (void)sqlite3_set_authorizer(tz_db_handle(db), NULL, NULL);
    tz_db_close(db);
    return rc;
}
