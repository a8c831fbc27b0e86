/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_DB_H
#define TZ_DB_H

/*
 * One door to SQLite: open with the pragmas we rely on (set and read back), statements, transactions, and one place
 * where SQLite's codes become ours.
 *
 * A connection and its statements belong to one thread at a time. Everything here blocks on the disk: never call it on
 * a loop thread. Positions follow SQLite: parameters count from 1, columns from 0.
 *
 * Errors of every function that takes @err: TZ_E_DISK_FULL, TZ_E_DB_BUSY, TZ_E_DB_CORRUPT, TZ_E_DB_FSYNC (stop, never
 * retry), TZ_E_NOMEM, TZ_E_IO (cannot open, not permitted), TZ_E_DB otherwise; SQLite's own text is in the trail.
 */

#include "buf.h"
#include "value.h"

struct sqlite3;
struct sqlite3_stmt;

struct tz_db;

enum { TZ_DB_APPLICATION_ID = 0x545A4C47 /* "TZLG" */ };

enum tz_db_mode {
    TZ_DB_READ,   /**< an existing database, nothing is written */
    TZ_DB_WRITE,  /**< an existing database */
    TZ_DB_CREATE, /**< made when it is not there */
};

/** Zero-initialise for the defaults. */
struct tz_db_options {
    const char *vfs;    /**< a registered VFS; NULL = the system's files. Borrowed for the call */
    bool exclusive;     /**< locking_mode=EXCLUSIVE: one connection, wal-index in memory, no -shm file (simulator) */
    bool readonly;      /**< as TZ_DB_READ, whatever the mode says */
    bool immutable;     /**< a file that nobody changes (a backup): read only, no locks, no files beside it */
    bool secure_delete; /**< what is deleted is overwritten */
    uint32_t cache_kib; /**< page cache; 0 = 8192 */
};

/** A database of nobody's, for counting what memory might not hold: on disk past @cache_kib of it, gone when closed. */
TZ_MUST_USE int tz_db_scratch(uint32_t cache_kib, struct tz_db **out, struct tz_err *err);
/**
 * Open @path. @opt may be NULL. Sets and reads back: journal_mode=WAL, synchronous=FULL, foreign_keys,
 * busy_timeout=5000, trusted_schema=OFF, cell_size_check, temp_store=MEMORY, cache_size; a new file gets our
 * application_id.
 *
 * TZ_E_DB_MISSING (path) without TZ_DB_CREATE when there is no database or an empty one; TZ_E_DB_FOREIGN (path) when
 * the file is another program's: it is left as it was.
 */
TZ_MUST_USE int tz_db_open(const char *path, enum tz_db_mode mode, const struct tz_db_options *opt, struct tz_db **out,
                           struct tz_err *err);
/** NULL is fine. All statements must have been finalised; an open transaction is rolled back. */
void tz_db_close(struct tz_db *db);

/** For the two stores and the replica only. */
struct sqlite3 *tz_db_handle(struct tz_db *db);
const char *tz_db_path(const struct tz_db *db);
bool tz_db_readonly(const struct tz_db *db);

/** Run SQL without parameters and without reading rows; several statements allowed. */
TZ_MUST_USE int tz_db_exec(struct tz_db *db, const char *sql, struct tz_err *err);
/** First column of the first row of @sql as a number; no row or NULL gives 0. */
TZ_MUST_USE int tz_db_query_int(struct tz_db *db, const char *sql, int64_t *out, struct tz_err *err);
/** Rows changed by the last statement that ended. */
int64_t tz_db_changes(struct tz_db *db);
/** Copy the WAL into the database; @truncate also waits for readers and empties the file. TZ_E_DB_BUSY when readers
 * hold it. */
TZ_MUST_USE int tz_db_checkpoint(struct tz_db *db, bool truncate, struct tz_err *err);
/** PRAGMA integrity_check (or the faster quick_check). TZ_E_DB_CORRUPT with its first finding. */
TZ_MUST_USE int tz_db_check(struct tz_db *db, bool quick, struct tz_err *err);
/** What SQLite's result @rc of a call on @db means. Sets @err (may be NULL), returns the code. @rc must not be
 * SQLITE_OK. */
int tz_db_error(struct tz_db *db, int rc, struct tz_err *err);

/* Transactions. Every write runs in begin_immediate … commit; a read transaction never becomes a write one. */

TZ_MUST_USE int tz_db_begin_immediate(struct tz_db *db, struct tz_err *err);
/** Takes the snapshot now, not at the first read. End it with tz_db_rollback or tz_db_commit. */
TZ_MUST_USE int tz_db_begin_read(struct tz_db *db, struct tz_err *err);
/**
 * Durable when it returns 0. On an error the transaction is rolled back, here. After TZ_E_DB_FSYNC or TZ_E_IO the next
 * opening may still find it committed: the caller must not have promised either.
 */
TZ_MUST_USE int tz_db_commit(struct tz_db *db, struct tz_err *err);
/** Ends the transaction; without one (SQLite rolls back by itself on some errors) nothing happens. Reset statements
 * first. */
void tz_db_rollback(struct tz_db *db);
bool tz_db_in_transaction(struct tz_db *db);
/** Savepoints nest; release and rollback_to mean the innermost. rollback_to also ends that savepoint. */
TZ_MUST_USE int tz_db_savepoint(struct tz_db *db, struct tz_err *err);
TZ_MUST_USE int tz_db_release(struct tz_db *db, struct tz_err *err);
TZ_MUST_USE int tz_db_rollback_to(struct tz_db *db, struct tz_err *err);

/** A statement, prepared once. Embed by value; a zeroed one may be finalised. */
struct tz_stmt {
    struct tz_db *db;
    struct sqlite3_stmt *st;
    int bind_rc; /**< first failed binding since the last reset; reported by step */
};

/** Prepare the one statement of @sql, for long use or short: one that was finalised lately costs nothing. */
TZ_MUST_USE int tz_db_prepare(struct tz_db *db, struct tz_stmt *s, const char *sql, struct tz_err *err);
/** Before its database is closed. */
void tz_stmt_finalize(struct tz_stmt *s);

/* Bindings borrow their bytes until the statement is reset; a failure is reported by the next step. Unbound parameters
 * are NULL. */

void tz_stmt_bind_null(struct tz_stmt *s, int param);
void tz_stmt_bind_int(struct tz_stmt *s, int param, int64_t v);
void tz_stmt_bind_text(struct tz_stmt *s, int param, const char *v); /**< NULL binds NULL */
void tz_stmt_bind_textn(struct tz_stmt *s, int param, const void *p, size_t n);
void tz_stmt_bind_blob(struct tz_stmt *s, int param, const void *p, size_t n);
void tz_stmt_bind_id(struct tz_stmt *s, int param, const struct tz_id *id); /**< NULL binds NULL; borrows @id */
void tz_stmt_bind_value(struct tz_stmt *s, int param, struct tz_value v);

/** 1 a row, 0 done, negative error. After 0 and errors the statement is reset and its bindings are cleared. */
int tz_stmt_step(struct tz_stmt *s, struct tz_err *err);
/** Step a statement whose rows do not matter to its end. 0 or an error. */
TZ_MUST_USE int tz_stmt_run(struct tz_stmt *s, struct tz_err *err);
/** Needed only when one stops before the end. Clears bindings; harmless at any time. */
void tz_stmt_reset(struct tz_stmt *s);

/* Columns of the current row. Bytes borrow from the statement until the next step or reset. */

bool tz_stmt_is_null(const struct tz_stmt *s, int col);
int64_t tz_stmt_int(const struct tz_stmt *s, int col);                /**< NULL gives 0 */
const char *tz_stmt_text(const struct tz_stmt *s, int col);           /**< NUL-terminated; NULL gives NULL */
struct tz_bytes tz_stmt_blob(const struct tz_stmt *s, int col);       /**< bytes of a blob or text; NULL gives none */
bool tz_stmt_id(const struct tz_stmt *s, int col, struct tz_id *out); /**< false and zero unless 16 bytes */
/** By what is stored: INTEGER, TEXT, BLOB or NULL (a REAL, which no table of ours has, reads as NULL). */
struct tz_value tz_stmt_value(const struct tz_stmt *s, int col);
/** Same, but only NULL or the storage kind of @t: anything else is TZ_E_DB_CORRUPT. */
TZ_MUST_USE int tz_stmt_value_as(const struct tz_stmt *s, int col, enum tz_ftype t, struct tz_value *out,
                                 struct tz_err *err);

#endif
