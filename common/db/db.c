/* SPDX-License-Identifier: Apache-2.0
 *
 * The one door to SQLite (see db.h).
 *
 * Invariants
 *  1. A foreign file is recognised before anything is written to it: application_id is read first. The id is the first
 * thing a new database gets, in a transaction of its own, so a file with tables and without our id is never ours.
 *  2. What a pragma should be is read back; a connection that is not as we rely on is not handed out.
 *  3. A statement is reset, and its borrowed bindings dropped, whenever it is not standing on a row.
 *  4. SQLite's result codes are interpreted here and nowhere else.
 *  5. A finalised statement stays prepared, reset and unbound, until as many others were finalised after it: most
 * statements are wanted again at once, and preparing one costs more than running it. SQLite prepares it anew by itself
 * when the schema has changed (https://www.sqlite.org/c3ref/prepare.html).
 *
 * In WAL with synchronous=FULL a commit is an fsync of the WAL; NORMAL could lose the last commits on power loss, and
 * we acknowledge after commit. https://www.sqlite.org/pragma.html#pragma_synchronous
 *
 * It does not know any table, does not retry (busy_timeout does), and does not log.
 */
#include "db.h"
#include "planted.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

enum { CACHE_KIB_DEFAULT = 8192, BUSY_TIMEOUT_MS = 5000, IDLE_STMTS = 128 };

/* The transaction statements, prepared when first used and kept. */
enum tx_stmt {
    TX_BEGIN_IMMEDIATE,
    TX_BEGIN,
    TX_SNAPSHOT,
    TX_COMMIT,
    TX_ROLLBACK,
    TX_SAVEPOINT,
    TX_RELEASE,
    TX_ROLLBACK_TO,
    TX_COUNT
};

static const char *const tx_sql[TX_COUNT] = {
    [TX_BEGIN_IMMEDIATE] = "BEGIN IMMEDIATE",
    [TX_BEGIN] = "BEGIN",
    [TX_SNAPSHOT] = "PRAGMA schema_version", /* reads page 1, so the snapshot is taken */
    [TX_COMMIT] = "COMMIT",
    [TX_ROLLBACK] = "ROLLBACK",
    [TX_SAVEPOINT] = "SAVEPOINT tz", /* one name: SQLite takes the innermost of equal names */
    [TX_RELEASE] = "RELEASE tz",
    [TX_ROLLBACK_TO] = "ROLLBACK TO tz",
};

struct tz_db {
    sqlite3 *handle;
    char *path;
    bool readonly;
    struct tz_stmt tx[TX_COUNT];
    sqlite3_stmt *idle[IDLE_STMTS]; /* finalised by their owners, oldest first */
    int n_idle;
};

/* --- errors --- */

static int code_of_ioerr(int rc, int system_errno)
{
    if (rc == SQLITE_IOERR_FSYNC || rc == SQLITE_IOERR_DIR_FSYNC)
        return TZ_E_DB_FSYNC;
    if (rc == SQLITE_IOERR_NOMEM)
        return TZ_E_NOMEM;
    if (system_errno == ENOSPC || system_errno == EDQUOT)
        return TZ_E_DISK_FULL;
    return TZ_E_DB;
}

static int code_of(int rc, int system_errno)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return TZ_E_DISK_FULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return TZ_E_DB_BUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return TZ_E_DB_CORRUPT;
    case SQLITE_NOMEM:
        return TZ_E_NOMEM;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
        return TZ_E_IO;
    case SQLITE_IOERR:
        return code_of_ioerr(rc, system_errno);
    default:
        return TZ_E_DB;
    }
}

/* @handle may be NULL: then only the code speaks. */
static int map_error(sqlite3 *handle, const char *path, int rc, struct tz_err *err)
{
    /* sqlite3_errmsg belongs to the last call; when that was another one, the code's own text is the honest one. */
    bool own = handle && sqlite3_extended_errcode(handle) == rc;
    int system_errno = own ? sqlite3_system_errno(handle) : 0;
    int code = code_of(rc, system_errno);
    char text[TZ_ERR_ARG_BYTES];
    snprintf(text, sizeof text, "%s", own ? sqlite3_errmsg(handle) : sqlite3_errstr(rc));
    tz_err_set(err, code, code == TZ_E_IO ? path : text, NULL, NULL, NULL);
    if (err)
        snprintf(err->trail, sizeof err->trail, "%s (sqlite %d%s%s)", text, rc, system_errno ? ", " : "",
                 system_errno ? strerror(system_errno) : "");
    return code;
}

int tz_db_error(struct tz_db *db, int rc, struct tz_err *err)
{
    assert(rc != SQLITE_OK);
    return map_error(db->handle, db->path, rc, err);
}

/* --- statements --- */

static void drop_idle(struct tz_db *db, int at)
{
    db->n_idle--;
    memmove(&db->idle[at], &db->idle[at + 1], (size_t)(db->n_idle - at) * sizeof *db->idle);
}

/** Takes an idle statement of @sql; NULL when there is none. */
static sqlite3_stmt *take_idle(struct tz_db *db, const char *sql)
{
    for (int i = db->n_idle - 1; i >= 0; i--) {
        sqlite3_stmt *st = db->idle[i];
        if (strcmp(sqlite3_sql(st), sql) != 0)
            continue;
        drop_idle(db, i);
        return st;
    }
    return NULL;
}

int tz_db_prepare(struct tz_db *db, struct tz_stmt *s, const char *sql, struct tz_err *err)
{
    *s = (struct tz_stmt){.db = db, .st = take_idle(db, sql)};
    if (s->st)
        return 0;
    int rc = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &s->st, NULL);
    if (rc == SQLITE_OK)
        return 0;
    tz_db_error(db, rc, err);
    return err ? tz_err_prefix(err, "prepare \"%.80s\"", sql) : code_of(rc, 0);
}

void tz_stmt_finalize(struct tz_stmt *s)
{
    struct tz_db *db = s->db;
    if (s->st) {
        tz_stmt_reset(s);
        if (db->n_idle == IDLE_STMTS) {
            sqlite3_finalize(db->idle[0]);
            drop_idle(db, 0);
        }
        db->idle[db->n_idle++] = s->st;
    }
    *s = (struct tz_stmt){0};
}

static void note_binding(struct tz_stmt *s, int rc)
{
    if (rc != SQLITE_OK && s->bind_rc == SQLITE_OK)
        s->bind_rc = rc;
}

void tz_stmt_bind_null(struct tz_stmt *s, int param)
{
    note_binding(s, sqlite3_bind_null(s->st, param));
}

void tz_stmt_bind_int(struct tz_stmt *s, int param, int64_t v)
{
    note_binding(s, sqlite3_bind_int64(s->st, param, v));
}

void tz_stmt_bind_text(struct tz_stmt *s, int param, const char *v)
{
    if (v)
        tz_stmt_bind_textn(s, param, v, strlen(v));
    else
        tz_stmt_bind_null(s, param);
}

/* A NULL pointer would bind NULL instead of no bytes: hence the "". */
void tz_stmt_bind_textn(struct tz_stmt *s, int param, const void *p, size_t n)
{
    note_binding(s, sqlite3_bind_text64(s->st, param, p ? p : "", n, SQLITE_STATIC, SQLITE_UTF8));
}

void tz_stmt_bind_blob(struct tz_stmt *s, int param, const void *p, size_t n)
{
    note_binding(s, sqlite3_bind_blob64(s->st, param, p ? p : "", n, SQLITE_STATIC));
}

void tz_stmt_bind_id(struct tz_stmt *s, int param, const struct tz_id *id)
{
    if (id)
        tz_stmt_bind_blob(s, param, id->b, TZ_ID_BYTES);
    else
        tz_stmt_bind_null(s, param);
}

void tz_stmt_bind_value(struct tz_stmt *s, int param, struct tz_value v)
{
    switch (v.kind) {
    case TZ_V_NULL:
        tz_stmt_bind_null(s, param);
        break;
    case TZ_V_INT:
        tz_stmt_bind_int(s, param, v.i);
        break;
    case TZ_V_TEXT:
        tz_stmt_bind_textn(s, param, v.p, v.n);
        break;
    case TZ_V_BLOB:
        tz_stmt_bind_blob(s, param, v.p, v.n);
        break;
    }
}

void tz_stmt_reset(struct tz_stmt *s)
{
    if (!s->st)
        return;
    sqlite3_reset(s->st); /* repeats the error of the last step, which was reported then */
    sqlite3_clear_bindings(s->st);
    s->bind_rc = SQLITE_OK;
}

int tz_stmt_step(struct tz_stmt *s, struct tz_err *err)
{
    int rc = s->bind_rc != SQLITE_OK ? s->bind_rc : sqlite3_step(s->st);
    if (rc == SQLITE_ROW)
        return 1;
    int result = rc == SQLITE_DONE ? 0 : tz_db_error(s->db, rc, err);
    tz_stmt_reset(s);
    return result;
}

int tz_stmt_run(struct tz_stmt *s, struct tz_err *err)
{
    int rc;
    do
        rc = tz_stmt_step(s, err);
    while (rc > 0);
    return rc;
}

bool tz_stmt_is_null(const struct tz_stmt *s, int col)
{
    return sqlite3_column_type(s->st, col) == SQLITE_NULL;
}

int64_t tz_stmt_int(const struct tz_stmt *s, int col)
{
    return sqlite3_column_int64(s->st, col);
}

const char *tz_stmt_text(const struct tz_stmt *s, int col)
{
    return (const char *)sqlite3_column_text(s->st, col);
}

struct tz_bytes tz_stmt_blob(const struct tz_stmt *s, int col)
{
    const void *p = sqlite3_column_blob(s->st, col); /* before _bytes, which measures the converted value */
    return tz_bytes_of(p, (size_t)sqlite3_column_bytes(s->st, col));
}

bool tz_stmt_id(const struct tz_stmt *s, int col, struct tz_id *out)
{
    struct tz_bytes b = tz_stmt_blob(s, col);
    *out = (struct tz_id){{0}};
    if (b.n != TZ_ID_BYTES)
        return false;
    memcpy(out->b, b.p, TZ_ID_BYTES);
    return true;
}

struct tz_value tz_stmt_value(const struct tz_stmt *s, int col)
{
    struct tz_bytes b;
    switch (sqlite3_column_type(s->st, col)) {
    case SQLITE_INTEGER:
        return tz_value_int(sqlite3_column_int64(s->st, col));
    case SQLITE_TEXT:
        b = tz_stmt_blob(s, col);
        return tz_value_textn(b.p, b.n);
    case SQLITE_BLOB:
        b = tz_stmt_blob(s, col);
        return tz_value_blob(b.p, b.n);
    default:
        return tz_value_null();
    }
}

int tz_stmt_value_as(const struct tz_stmt *s, int col, enum tz_ftype t, struct tz_value *out, struct tz_err *err)
{
    *out = tz_stmt_value(s, col);
    bool real = sqlite3_column_type(s->st, col) == SQLITE_FLOAT;
    if (!real && (out->kind == TZ_V_NULL || out->kind == tz_ftype_kind(t)))
        return 0;
    const char *name = sqlite3_column_name(s->st, col);
    return tz_err_set(err, TZ_E_DB_CORRUPT, name ? name : "?", NULL, NULL, NULL);
}

/* --- whole-database calls --- */

int tz_db_exec(struct tz_db *db, const char *sql, struct tz_err *err)
{
    int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : tz_db_error(db, rc, err);
}

int tz_db_query_int(struct tz_db *db, const char *sql, int64_t *out, struct tz_err *err)
{
    struct tz_stmt s;
    int rc = tz_db_prepare(db, &s, sql, err);
    if (rc < 0)
        return rc;
    rc = tz_stmt_step(&s, err);
    *out = rc > 0 ? tz_stmt_int(&s, 0) : 0;
    tz_stmt_finalize(&s);
    return rc < 0 ? rc : 0;
}

int64_t tz_db_changes(struct tz_db *db)
{
    return sqlite3_changes64(db->handle);
}

int tz_db_checkpoint(struct tz_db *db, bool truncate, struct tz_err *err)
{
    int mode = truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
    int rc = sqlite3_wal_checkpoint_v2(db->handle, "main", mode, NULL, NULL);
    return rc == SQLITE_OK ? 0 : tz_db_error(db, rc, err);
}

int tz_db_check(struct tz_db *db, bool quick, struct tz_err *err)
{
    struct tz_stmt s;
    int rc = tz_db_prepare(db, &s, quick ? "PRAGMA quick_check(1)" : "PRAGMA integrity_check(1)", err);
    if (rc < 0)
        return rc;
    rc = tz_stmt_step(&s, err);
    if (rc > 0) {
        const char *finding = tz_stmt_text(&s, 0);
        rc = finding && strcmp(finding, "ok") == 0 ? 0 : tz_err_set(err, TZ_E_DB_CORRUPT, finding, NULL, NULL, NULL);
    }
    tz_stmt_finalize(&s);
    return rc;
}

struct sqlite3 *tz_db_handle(struct tz_db *db)
{
    return db->handle;
}

const char *tz_db_path(const struct tz_db *db)
{
    return db->path;
}

bool tz_db_readonly(const struct tz_db *db)
{
    return db->readonly;
}

/* --- transactions --- */

static int run_tx(struct tz_db *db, enum tx_stmt which, struct tz_err *err)
{
    struct tz_stmt *s = &db->tx[which];
    if (!s->st) {
        int rc = tz_db_prepare(db, s, tx_sql[which], err);
        if (rc < 0)
            return rc;
    }
    return tz_stmt_run(s, err);
}

int tz_db_begin_immediate(struct tz_db *db, struct tz_err *err)
{
    return run_tx(db, TX_BEGIN_IMMEDIATE, err);
}

int tz_db_begin_read(struct tz_db *db, struct tz_err *err)
{
    int rc = run_tx(db, TX_BEGIN, err);
    if (rc < 0)
        return rc;
    rc = run_tx(db, TX_SNAPSHOT, err);
    if (rc < 0)
        tz_db_rollback(db);
    return rc;
}

int tz_db_commit(struct tz_db *db, struct tz_err *err)
{
    int rc = run_tx(db, TX_COMMIT, err);
    if (rc < 0)
        tz_db_rollback(db);
    return rc;
}

void tz_db_rollback(struct tz_db *db)
{
    /* Cannot fail in a way one could act on: whatever the disk says, the transaction is over. */
    if (tz_db_in_transaction(db) && run_tx(db, TX_ROLLBACK, NULL) < 0)
        assert(!tz_db_in_transaction(db));
}

bool tz_db_in_transaction(struct tz_db *db)
{
    return sqlite3_get_autocommit(db->handle) == 0;
}

int tz_db_savepoint(struct tz_db *db, struct tz_err *err)
{
    return run_tx(db, TX_SAVEPOINT, err);
}

int tz_db_release(struct tz_db *db, struct tz_err *err)
{
    return run_tx(db, TX_RELEASE, err);
}

int tz_db_rollback_to(struct tz_db *db, struct tz_err *err)
{
    int rc = run_tx(db, TX_ROLLBACK_TO, err); /* undoes, but keeps the savepoint open */
    return rc < 0 ? rc : run_tx(db, TX_RELEASE, err);
}

/* --- opening --- */

struct pragma {
    const char *name;
    int64_t want;
};

static int set_pragma(struct tz_db *db, const struct pragma *p, struct tz_err *err)
{
    char sql[80];
    snprintf(sql, sizeof sql, "PRAGMA %s=%lld", p->name, (long long)p->want);
    int rc = tz_db_exec(db, sql, err);
    if (rc < 0)
        return rc;
    int64_t got = 0;
    snprintf(sql, sizeof sql, "PRAGMA %s", p->name);
    rc = tz_db_query_int(db, sql, &got, err);
    if (rc < 0 || got == p->want)
        return rc;
    return tz_err_setf(err, TZ_E_DB, "PRAGMA %s is %lld, not %lld", p->name, (long long)got, (long long)p->want);
}

static int set_pragmas(struct tz_db *db, const struct tz_db_options *opt, struct tz_err *err)
{
    const struct pragma pragmas[] = {
        {"synchronous", TZ_PLANTED(COMMIT_UNSYNCED) ? 1 : 2}, /* FULL */
        {"foreign_keys", 1},
        {"busy_timeout", BUSY_TIMEOUT_MS},
        {"trusted_schema", 0},
        {"cell_size_check", 1},
        {"temp_store", 2}, /* MEMORY */
        {"cache_size", -(int64_t)(opt->cache_kib ? opt->cache_kib : CACHE_KIB_DEFAULT)},
        {"query_only", db->readonly},
        {"secure_delete", opt->secure_delete},
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof pragmas / sizeof pragmas[0]; i++)
        rc = set_pragma(db, &pragmas[i], err);
    return rc;
}

/* Pragmas that answer with a word. */
static int expect_word(struct tz_db *db, const char *sql, const char *want, struct tz_err *err)
{
    struct tz_stmt s;
    int rc = tz_db_prepare(db, &s, sql, err);
    if (rc < 0)
        return rc;
    rc = tz_stmt_step(&s, err);
    if (rc >= 0) {
        const char *got = rc > 0 ? tz_stmt_text(&s, 0) : NULL;
        bool same = got && strcmp(got, want) == 0;
        rc = same ? 0 : tz_err_setf(err, TZ_E_DB, "%s gave %s, not %s", sql, got ? got : "nothing", want);
    }
    tz_stmt_finalize(&s);
    return rc;
}

/* 1 ours, 0 empty (a new file, or one whose maker was interrupted), negative error. */
static int whose_file(struct tz_db *db, struct tz_err *err)
{
    int64_t id = 0, objects = 0;
    int rc = tz_db_query_int(db, "PRAGMA application_id", &id, err);
    if (rc < 0 || id == TZ_DB_APPLICATION_ID)
        return rc < 0 ? rc : 1;
    rc = tz_db_query_int(db, "SELECT count(*) FROM sqlite_schema", &objects, err);
    if (rc < 0 || (id == 0 && objects == 0))
        return rc;
    return tz_err_set(err, TZ_E_DB_FOREIGN, db->path, NULL, NULL, NULL);
}

/** "file:<path>?immutable=1": the only way to say so. Letters that mean something in a URI are escaped. The caller
 * frees; NULL: no memory. */
static char *immutable_uri(const char *path)
{
    static const char head[] = "file:";
    static const char tail[] = "?immutable=1";
    while (path[0] == '/' && path[1] == '/') /* two would begin a host name */
        path++;
    char *uri = malloc(sizeof head + 3 * strlen(path) + sizeof tail);
    if (!uri)
        return NULL;
    char *at = uri + sprintf(uri, "%s", head);
    for (const char *p = path; *p; p++)
        at += strchr("?#%", *p) ? sprintf(at, "%%%02X", (unsigned char)*p) : sprintf(at, "%c", *p);
    memcpy(at, tail, sizeof tail);
    return uri;
}

static int open_handle(struct tz_db *db, bool create, const struct tz_db_options *opt, struct tz_err *err)
{
    int flags = db->readonly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0);
    char *uri = opt->immutable ? immutable_uri(db->path) : NULL;
    if (opt->immutable && !uri)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    flags |= SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | (uri ? SQLITE_OPEN_URI : 0);
    int rc = sqlite3_open_v2(uri ? uri : db->path, &db->handle, flags, opt->vfs);
    free(uri);
    if (rc != SQLITE_OK) {
        sqlite3_vfs *vfs = sqlite3_vfs_find(opt->vfs);
        int there = 1;
        if ((rc & 0xff) == SQLITE_CANTOPEN && !create && vfs &&
            vfs->xAccess(vfs, db->path, SQLITE_ACCESS_EXISTS, &there) == SQLITE_OK && !there)
            return tz_err_set(err, TZ_E_DB_MISSING, db->path, NULL, NULL, NULL);
        return map_error(db->handle, db->path, rc, err);
    }
    /* SQL cannot damage the file on purpose: no writable_schema, no writes to shadow tables. */
    rc = sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
    /* Plans do not look at bound values. Else a statement that may use a partial index is prepared anew at each run. */
    if (rc == SQLITE_OK)
        rc = sqlite3_db_config(db->handle, SQLITE_DBCONFIG_ENABLE_QPSG, 1, (int *)NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(db->handle,
                                  BUSY_TIMEOUT_MS); /* already for the first read: another may be recovering */
    return rc == SQLITE_OK ? 0 : tz_db_error(db, rc, err);
}

static int configure(struct tz_db *db, bool create, const struct tz_db_options *opt, struct tz_err *err)
{
    /* Before the first read: only then is the wal-index kept in memory instead of a -shm file. */
    int rc = opt->exclusive ? expect_word(db, "PRAGMA locking_mode=EXCLUSIVE", "exclusive", err) : 0;
    if (rc < 0)
        return rc;
    int whose = whose_file(db, err);
    if (whose < 0)
        return whose;
    if (whose == 0 && !create)
        return tz_err_set(err, TZ_E_DB_MISSING, db->path, NULL, NULL, NULL);
    if (!opt->immutable) /* such a file has no journal of any mode */
        rc = expect_word(db, db->readonly ? "PRAGMA journal_mode" : "PRAGMA journal_mode=WAL", "wal", err);
    if (rc == 0)
        rc = set_pragmas(db, opt, err);
    if (rc == 0 && whose == 0)
        rc = set_pragma(db, &(struct pragma){"application_id", TZ_DB_APPLICATION_ID}, err);
    return rc;
}

int tz_db_open(const char *path, enum tz_db_mode mode, const struct tz_db_options *opt, struct tz_db **out,
               struct tz_err *err)
{
    static const struct tz_db_options defaults;
    *out = NULL;
    if (!opt)
        opt = &defaults;
    struct tz_db *db = calloc(1, sizeof *db);
    if (db)
        db->path = strdup(path);
    if (!db || !db->path) {
        free(db);
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    }
    db->readonly = mode == TZ_DB_READ || opt->readonly || opt->immutable;
    bool create = mode == TZ_DB_CREATE && !db->readonly;

    int rc = open_handle(db, create, opt, err);
    if (rc == 0)
        rc = configure(db, create, opt, err);
    if (rc < 0) {
        tz_err_prefix(err, "open %s", path);
        tz_db_close(db);
        return rc;
    }
    *out = db;
    return 0;
}

int tz_db_scratch(uint32_t cache_kib, struct tz_db **out, struct tz_err *err)
{
    char sql[96];
    struct tz_db *db = calloc(1, sizeof *db);
    *out = NULL;
    if (db)
        db->path = strdup(""); /* SQLite's name for one that has none */
    if (!db || !db->path) {
        free(db);
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    }
    int rc = sqlite3_open_v2("", &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    (void)snprintf(sql, sizeof sql, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-%u",
                   cache_kib);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        rc = tz_err_setf(err, rc == SQLITE_NOMEM ? TZ_E_NOMEM : TZ_E_DB, "scratch: %s", sqlite3_errstr(rc));
        tz_db_close(db);
        return rc;
    }
    *out = db;
    return 0;
}

void tz_db_close(struct tz_db *db)
{
    if (!db)
        return;
    for (size_t i = 0; i < TX_COUNT; i++)
        tz_stmt_finalize(&db->tx[i]);
    for (int i = 0; i < db->n_idle; i++)
        sqlite3_finalize(db->idle[i]);
    int rc = sqlite3_close(db->handle);
    assert(rc == SQLITE_OK); /* SQLITE_BUSY: a statement was not finalised */
    (void)rc;
    free(db->path);
    free(db);
}
