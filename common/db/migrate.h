/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_MIGRATE_H
#define TZ_MIGRATE_H

/*
 * Schema steps under user_version: numbered from 1, append-only, one transaction each. A released step is never edited;
 * what is wrong in one is put right by the next.
 */

#include "db.h"

/** One step: SQL, a function, or both (the SQL first). The function gets the open transaction and must not end it. */
struct tz_migration {
    const char *sql;                                             /**< may hold several statements; NULL = none */
    int (*run)(struct tz_db *db, void *ctx, struct tz_err *err); /**< NULL = none */
};

/**
 * Bring @db to version @count by running the steps it lacks. @ctx goes to the functions. Interrupted anywhere, the next
 * call goes on from the last whole step.
 *
 * TZ_E_DB_NEWER (found, known) when the database has more steps than we know; nothing is changed then.
 */
TZ_MUST_USE int tz_migrate(struct tz_db *db, const struct tz_migration *steps, uint32_t count, void *ctx,
                           struct tz_err *err);
/** For read-only connections: 0 when the version is exactly @count, TZ_E_DB_NEWER, or TZ_E_DB when steps are missing.
 */
TZ_MUST_USE int tz_migrate_check(struct tz_db *db, uint32_t count, struct tz_err *err);

#endif
