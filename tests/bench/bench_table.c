/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the disk and SQLite allow: the same rows, with the same indexes, put into a database by a program that does
 * nothing else. The rows lie in memory before the clock runs.
 */
#include "bench.h"
#include "db.h"

#include <sqlite3.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STATEMENTS_MAX = 16, COLUMNS_MAX = 64, ROWS_A_TRANSACTION = 1000 };

struct cell {
    int kind; /* SQLITE_INTEGER, SQLITE_TEXT, SQLITE_BLOB, SQLITE_NULL */
    int n;
    int64_t number;
    const void *bytes;
};

struct bench_table {
    char name[64];
    char *sql[STATEMENTS_MAX]; /* the table first */
    size_t nsql;
    int ncolumns;
    char *column[COLUMNS_MAX];
    struct cell *cell;
    size_t nrows, cap;
    struct tz_arena *arena;
};

static struct sqlite3 *open_db(const char *path, enum tz_db_mode mode, struct tz_db **db)
{
    struct tz_err err = {0};
    bench_check(tz_db_open(path, mode, NULL, db, &err) == 0, "cannot open %s: %s", path, err.trail);
    return tz_db_handle(*db);
}

static void run_sql(struct sqlite3 *h, const char *sql)
{
    char *why = NULL;
    bench_check(sqlite3_exec(h, sql, NULL, NULL, &why) == SQLITE_OK, "%s: %s", sql, why ? why : "");
}

static sqlite3_stmt *prepare(struct sqlite3 *h, const char *sql)
{
    sqlite3_stmt *st = NULL;
    bench_check(sqlite3_prepare_v2(h, sql, -1, &st, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(h));
    return st;
}

static void load_schema(struct bench_table *t, struct sqlite3 *h)
{
    sqlite3_stmt *st = prepare(h, "SELECT sql FROM sqlite_schema WHERE tbl_name = ?1 AND sql NOT NULL AND type IN "
                                  "('table', 'index') ORDER BY type DESC, name");
    sqlite3_bind_text(st, 1, t->name, -1, SQLITE_STATIC);
    while (sqlite3_step(st) == SQLITE_ROW) {
        bench_check(t->nsql < STATEMENTS_MAX, "too many indexes");
        t->sql[t->nsql++] = strdup((const char *)sqlite3_column_text(st, 0));
    }
    sqlite3_finalize(st);
    bench_check(t->nsql > 0, "no table %s", t->name);
}

static void load_cell(struct bench_table *t, sqlite3_stmt *st, int i, struct cell *c)
{
    c->kind = sqlite3_column_type(st, i);
    c->number = c->kind == SQLITE_INTEGER ? sqlite3_column_int64(st, i) : 0;
    c->bytes = c->kind == SQLITE_TEXT || c->kind == SQLITE_BLOB ? sqlite3_column_blob(st, i) : NULL;
    c->n = c->bytes ? sqlite3_column_bytes(st, i) : 0;
    if (!c->bytes)
        return;
    c->bytes = tz_arena_dup(t->arena, c->bytes, (size_t)c->n);
    bench_check(c->bytes != NULL, "out of memory");
}

static void load_row(struct bench_table *t, sqlite3_stmt *st)
{
    size_t columns = (size_t)t->ncolumns;
    if (t->nrows == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 4096;
        t->cell = realloc(t->cell, t->cap * columns * sizeof *t->cell);
        bench_check(t->cell != NULL, "out of memory");
    }
    for (int i = 0; i < t->ncolumns; i++)
        load_cell(t, st, i, &t->cell[t->nrows * columns + (size_t)i]);
    t->nrows++;
}

struct bench_table *bench_table_load(const char *path, const char *table, const char *order)
{
    char sql[256];
    struct tz_db *db;
    struct sqlite3 *h = open_db(path, TZ_DB_READ, &db);
    struct bench_table *t = calloc(1, sizeof *t);
    bench_check(t && (t->arena = malloc(sizeof *t->arena)), "out of memory");
    tz_arena_init(t->arena, SIZE_MAX);
    snprintf(t->name, sizeof t->name, "%s", table);
    load_schema(t, h);
    snprintf(sql, sizeof sql, "SELECT * FROM \"%s\" ORDER BY %s", table, order);
    sqlite3_stmt *st = prepare(h, sql);
    t->ncolumns = sqlite3_column_count(st);
    bench_check(t->ncolumns <= COLUMNS_MAX, "too many columns");
    for (int i = 0; i < t->ncolumns; i++)
        t->column[i] = strdup(sqlite3_column_name(st, i));
    while (sqlite3_step(st) == SQLITE_ROW)
        load_row(t, st);
    sqlite3_finalize(st);
    tz_db_close(db);
    return t;
}

void bench_table_free(struct bench_table *t)
{
    for (size_t i = 0; i < t->nsql; i++)
        free(t->sql[i]);
    for (int i = 0; i < t->ncolumns; i++)
        free(t->column[i]);
    free(t->cell);
    tz_arena_deinit(t->arena);
    free(t->arena);
    free(t);
}

size_t bench_table_rows(const struct bench_table *t)
{
    return t->nrows;
}

static void bind(sqlite3_stmt *st, int at, const struct cell *c)
{
    int rc = SQLITE_OK;
    if (c->kind == SQLITE_INTEGER)
        rc = sqlite3_bind_int64(st, at, c->number);
    else if (c->kind == SQLITE_TEXT)
        rc = sqlite3_bind_text(st, at, c->bytes, c->n, SQLITE_STATIC);
    else if (c->kind == SQLITE_BLOB)
        rc = sqlite3_bind_blob(st, at, c->bytes, c->n, SQLITE_STATIC);
    bench_check(rc == SQLITE_OK, "bind: %d", rc);
}

static void step(struct sqlite3 *h, sqlite3_stmt *st)
{
    bench_check(sqlite3_step(st) == SQLITE_DONE, "%s", sqlite3_errmsg(h));
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
}

static void make_tables(const struct bench_table *t, struct sqlite3 *h, const char *keys)
{
    char sql[256];
    for (size_t i = 0; i < t->nsql; i++)
        run_sql(h, t->sql[i]);
    for (unsigned k = 0; keys && *keys; k++) {
        size_t n = strcspn(keys, ",");
        snprintf(sql, sizeof sql, "CREATE UNIQUE INDEX \"key%u\" ON \"%s\"(\"%.*s\")", k, t->name, (int)n, keys);
        run_sql(h, sql);
        keys += n + (keys[n] == ',');
    }
}

static sqlite3_stmt *prepare_insert(const struct bench_table *t, struct sqlite3 *h)
{
    char sql[1024];
    size_t n = (size_t)snprintf(sql, sizeof sql, "INSERT INTO \"%s\" VALUES (?1", t->name);
    for (int i = 1; i < t->ncolumns; i++)
        n += (size_t)snprintf(sql + n, sizeof sql - n, ", ?%d", i + 1);
    snprintf(sql + n, sizeof sql - n, ")");
    return prepare(h, sql);
}

/** Rows @from … @from + @n − 1 by @st, as @bind_row puts them into it; 1000 a transaction. Seconds, the last COMMIT
 * included. */
static double run_rows(const struct bench_table *t, struct sqlite3 *h, sqlite3_stmt *st, size_t from, size_t n,
                       void (*bind_row)(const struct bench_table *t, sqlite3_stmt *st, size_t r))
{
    double begun = bench_now();
    for (size_t r = 0; r < n; r++) {
        if (r % ROWS_A_TRANSACTION == 0)
            run_sql(h, r ? "COMMIT; BEGIN IMMEDIATE" : "BEGIN IMMEDIATE");
        bind_row(t, st, from + r);
        step(h, st);
    }
    run_sql(h, "COMMIT");
    double took = bench_now() - begun;
    sqlite3_finalize(st);
    return took;
}

static void bind_all(const struct bench_table *t, sqlite3_stmt *st, size_t r)
{
    for (int i = 0; i < t->ncolumns; i++)
        bind(st, i + 1, &t->cell[r * (size_t)t->ncolumns + (size_t)i]);
}

static void bind_number(const struct bench_table *t, sqlite3_stmt *st, size_t r)
{
    bind(st, 1, &t->cell[r * (size_t)t->ncolumns]);
    sqlite3_bind_int64(st, 2, (int64_t)r);
}

double bench_table_insert(const struct bench_table *t, const char *path, const char *keys, size_t from, size_t n)
{
    struct tz_db *db;
    struct sqlite3 *h = open_db(path, TZ_DB_CREATE, &db);
    if (from == 0)
        make_tables(t, h, keys);
    double took = run_rows(t, h, prepare_insert(t, h), from, n, bind_all);
    tz_db_close(db);
    return took;
}

double bench_table_update(const struct bench_table *t, const char *path, const char *column)
{
    char sql[256];
    struct tz_db *db;
    struct sqlite3 *h = open_db(path, TZ_DB_WRITE, &db);
    snprintf(sql, sizeof sql, "UPDATE \"%s\" SET \"%s\" = ?2 WHERE \"%s\" = ?1", t->name, column, t->column[0]);
    double took = run_rows(t, h, prepare(h, sql), 0, t->nrows, bind_number);
    tz_db_close(db);
    return took;
}
