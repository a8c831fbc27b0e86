/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server has purged what this replica never heard of: it was away longer than its lease, and what lies between its
 * cursors and the server's horizon is no longer in the feed. So everything is fetched anew, and what does not come
 * again is no longer the server's.
 *
 *   Welcome    a cursor is stale -> every confirmed record is noted in `refresh`, every cursor is 0, filling
 *   Rows       a record that comes is struck off
 *   Checkpoint what is still noted goes; own edits of it stay on top of nothing and are judged by the server
 *
 * Invariants
 *  1. Each step is part of the transaction that makes it true: whenever it is cut off, the next session goes on where
 * the cursors stand. Nothing is dropped before all there is has come.
 *  2. A cursor below the horizon is not stale when it began at 0 under that horizon: since then nothing it has yet to
 * pass was purged. `cursor.begun` says under which one. That is how a refresh resumes instead of starting over.
 *  3. A cursor that begins at 0 begins under the horizon of that Welcome. Where older rows are held, they were either
 * noted here first, or nothing of what they may have missed was purged.
 */
#include "log.h"
#include "office_int.h"
#include "planted.h"

enum { BATCH = 64 };

/* ---- what is held ---- */

static int note_type(struct tz_office *o, const struct tz_type *t, struct tz_err *err)
{
    struct tz_buf sql;
    tz_buf_init(&sql, 4096);
    int rc = tz_buf_printf(&sql,
                           "INSERT OR IGNORE INTO refresh SELECT %u, _id FROM \"%s\" AS r WHERE NOT EXISTS"
                           " (SELECT 1 FROM _shadow s WHERE s.type = %u AND s.id = r._id)",
                           t->id, t->name, t->id);
    if (!rc)
        rc = tz_buf_putc(&sql, 0);
    rc = rc ? tz_err_set(err, rc, "SQL", NULL, NULL, NULL) : tz_db_exec(o->db, (const char *)sql.p, err);
    tz_buf_deinit(&sql);
    return rc;
}

/** Every confirmed record, deleted, raw and set aside ones too. What a repair took out is no record any more. */
static int note_all(struct tz_office *o, struct tz_err *err)
{
    static const char *const kept[] = {
        "INSERT OR IGNORE INTO refresh SELECT type, id FROM _shadow WHERE state <> 0",
        "INSERT OR IGNORE INTO refresh SELECT type, id FROM _tombstone AS r WHERE NOT EXISTS"
        " (SELECT 1 FROM _shadow s WHERE s.type = r.type AND s.id = r.id)",
        "INSERT OR IGNORE INTO refresh SELECT type, id FROM raw_row",
        "INSERT OR IGNORE INTO refresh SELECT type, id FROM set_aside WHERE code <> " TZ_REPAIRED_CODE};
    int rc = 0;
    for (size_t i = 0; i < o->cat->ntypes && !rc; i++)
        rc = note_type(o, &o->cat->types[i], err);
    for (size_t i = 0; i < sizeof kept / sizeof *kept && !rc; i++)
        rc = tz_db_exec(o->db, kept[i], err);
    return rc;
}

/* ---- Welcome ---- */

/** 1 when a cursor may have missed something that was purged, 0 none. */
static int any_stale(struct tz_office *o, tz_ver horizon, struct tz_err *err)
{
    struct tz_stmt *s =
        tz_office_sql(o, OS_CURSOR_STALE, "SELECT 1 FROM cursor WHERE ver < ?1 AND begun < ?1 LIMIT 1", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, (int64_t)horizon);
    int rc = tz_stmt_step(s, err);
    tz_stmt_reset(s);
    return rc;
}

int tz_refresh_take(struct tz_office *o, tz_ver horizon, struct tz_err *err)
{
    int64_t rows = 0;
    int rc = horizon ? any_stale(o, horizon, err) : 0;
    if (rc != 1)
        return rc;
    rc = tz_db_exec(o->db, "UPDATE cursor SET ver = 0", err);
    if (!rc)
        rc = note_all(o, err);
    if (!rc)
        rc = tz_db_query_int(o->db, "SELECT count(*) FROM refresh", &rows, err);
    if (rc)
        return rc;
    o->st.filling = true;
    tz_log(TZ_LOG_WARN, "office", "refresh", "checkpoint=%llu horizon=%llu rows=%lld",
           (unsigned long long)o->st.checkpoint, (unsigned long long)horizon, (long long)rows);
    return 0;
}

int tz_refresh_begun(struct tz_office *o, tz_ver horizon, struct tz_err *err)
{
    struct tz_stmt *s =
        tz_office_sql(o, OS_CURSOR_BEGUN, "UPDATE cursor SET begun = ?1 WHERE ver = 0 AND begun < ?1", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, (int64_t)horizon);
    return tz_stmt_run(s, err);
}

int tz_refresh_under_way(struct tz_office *o, bool *out, struct tz_err *err)
{
    int64_t noted = 0;
    int rc = tz_db_query_int(o->db, "SELECT EXISTS (SELECT 1 FROM refresh)", &noted, err);
    *out = noted != 0;
    return rc;
}

/* ---- rows ---- */

int tz_refresh_seen(struct tz_office *o, const struct tz_msg_row *row, struct tz_err *err)
{
    if (!o->st.filling || row->state == TZ_ROW_LEFT)
        return 0;
    struct tz_stmt *s = tz_office_sql(o, OS_REFRESH_SEEN, "DELETE FROM refresh WHERE type = ? AND id = ?", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, row->type);
    tz_stmt_bind_id(s, 2, &row->id);
    return tz_stmt_run(s, err);
}

/* ---- checkpoint ---- */

static int drop_kept(struct tz_office *o, uint32_t type, struct tz_id id, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_RAW_DEL, "DELETE FROM raw_row WHERE type = ? AND id = ?", err);
    for (int i = 0; i < 2; i++) {
        if (!s)
            return tz_office_code(err);
        tz_stmt_bind_int(s, 1, type);
        tz_stmt_bind_id(s, 2, &id);
        int rc = tz_stmt_run(s, err);
        if (rc || i)
            return rc;
        s = tz_office_sql(o, OS_REFRESH_ASIDE,
                          "DELETE FROM set_aside WHERE type = ? AND id = ? AND code <> " TZ_REPAIRED_CODE, err);
    }
    return 0;
}

static int drop_one(struct tz_office *o, uint32_t type, struct tz_id id, struct tz_err *err)
{
    const struct tz_type *t = tz_catalogue_type_id(o->cat, type);
    struct tz_arena a;
    bool shadowed = false;
    int rc = drop_kept(o, type, id, err);
    if (rc || !t)
        return rc;
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    struct tz_image *im = tz_arena_alloc(&a, sizeof *im);
    rc = im ? tz_overlay_confirmed(o, t, id, &a, im, &shadowed, err) : tz_office_nomem(err);
    if (!rc && im->state != TZ_IMAGE_NONE)
        rc = tz_lost_forget(o, t, id, shadowed, err);
    tz_arena_deinit(&a);
    return rc;
}

/** The first few that are still noted, by key. */
static int next_batch(struct tz_office *o, uint32_t *type, struct tz_id *id, size_t *n, struct tz_err *err)
{
    struct tz_stmt *s =
        tz_office_sql(o, OS_REFRESH_LEFT, "SELECT type, id FROM refresh ORDER BY type, id LIMIT 64", err);
    if (!s)
        return tz_office_code(err);
    int rc = 0;
    for (*n = 0; *n < BATCH && (rc = tz_stmt_step(s, err)) == 1; ++*n) {
        type[*n] = (uint32_t)tz_stmt_int(s, 0);
        tz_stmt_id(s, 1, &id[*n]);
    }
    tz_stmt_reset(s);
    return rc < 0 ? rc : 0;
}

int tz_refresh_end(struct tz_office *o, struct tz_err *err)
{
    uint32_t type[BATCH];
    struct tz_id id[BATCH];
    size_t n = 0;
    uint64_t dropped = 0;
    int rc = o->st.filling && !TZ_PLANTED(REFRESH_KEEPS_GHOSTS) ? next_batch(o, type, id, &n, err) : 0;
    while (!rc && n) {
        for (size_t i = 0; i < n && !rc; i++) {
            struct tz_msg_row gone = {.type = type[i], .id = id[i], .state = TZ_ROW_LIVE};
            rc = drop_one(o, type[i], id[i], err);
            if (!rc)
                rc = tz_refresh_seen(o, &gone, err);
        }
        dropped += n;
        if (!rc)
            rc = next_batch(o, type, id, &n, err);
    }
    if (!rc && dropped)
        tz_log(TZ_LOG_INFO, "office", "refreshed", "gone=%llu", (unsigned long long)dropped);
    if (!rc && dropped)
        rc = tz_wipe_owe(o, false, err);
    return rc;
}
