/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbered steps under user_version (see migrate.h).
 *
 * user_version is written in the transaction of its step, so a step and its number are there together or not at all.
 * The number is read again inside each transaction: of two programs that start together, the second finds the work
 * done.
 *
 * There are no steps back.
 */
#include "migrate.h"

#include <inttypes.h>
#include <stdio.h>

static int read_version(struct tz_db *db, int64_t known, int64_t *out, struct tz_err *err)
{
    int rc = tz_db_query_int(db, "PRAGMA user_version", out, err);
    if (rc < 0 || (*out >= 0 && *out <= known))
        return rc;
    char found_text[24], known_text[24];
    snprintf(found_text, sizeof found_text, "%" PRId64, *out);
    snprintf(known_text, sizeof known_text, "%" PRId64, known);
    return tz_err_set(err, TZ_E_DB_NEWER, found_text, known_text, NULL, NULL);
}

static int run_step(struct tz_db *db, const struct tz_migration *m, int64_t number, void *ctx, struct tz_err *err)
{
    int rc = m->sql ? tz_db_exec(db, m->sql, err) : 0;
    if (rc == 0 && m->run)
        rc = m->run(db, ctx, err);
    if (rc < 0)
        return rc;
    char sql[64]; /* a pragma takes no parameters; the number is ours */
    snprintf(sql, sizeof sql, "PRAGMA user_version=%" PRId64, number);
    return tz_db_exec(db, sql, err);
}

/* The next missing step in its transaction; 1 when one was run, 0 when none is missing. */
static int migrate_once(struct tz_db *db, const struct tz_migration *steps, uint32_t count, void *ctx,
                        struct tz_err *err)
{
    int64_t version = 0;
    int rc = tz_db_begin_immediate(db, err);
    if (rc < 0)
        return rc;
    rc = read_version(db, count, &version, err);
    if (rc < 0 || version == count) {
        tz_db_rollback(db);
        return rc;
    }
    rc = run_step(db, &steps[version], version + 1, ctx, err);
    if (rc < 0)
        tz_db_rollback(db);
    else
        rc = tz_db_commit(db, err);
    if (rc < 0) {
        tz_err_prefix(err, "migrate %" PRId64, version + 1);
        return rc;
    }
    return 1;
}

int tz_migrate(struct tz_db *db, const struct tz_migration *steps, uint32_t count, void *ctx, struct tz_err *err)
{
    int64_t version = 0;
    int rc = read_version(db, count, &version, err); /* the usual case takes no write lock */
    if (rc < 0 || version == count)
        return rc;
    do
        rc = migrate_once(db, steps, count, ctx, err);
    while (rc > 0);
    return rc;
}

int tz_migrate_check(struct tz_db *db, uint32_t count, struct tz_err *err)
{
    int64_t version = 0;
    int rc = read_version(db, count, &version, err);
    if (rc < 0 || version == count)
        return rc;
    return tz_err_setf(err, TZ_E_DB, "schema %" PRId64 ", expected %" PRIu32, version, count);
}
