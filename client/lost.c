/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server was restored from a backup: it says which versions it no longer has (Welcome.lost).
 *
 * Invariants
 *  1. When the Welcome that names a new range has committed, no confirmed row here (nor one that left, under an edit of
 * it) has a version in it. What was received of them is in `lost_row`, whole, since this may be its only copy; it goes
 * when the server has it (lost_offer.c), or the area is no longer granted.
 *  2. Own edits stay in the outbox and on top: those not sent yet go out as always. Saves whose answer named a lost
 * version are on top again until they were handed in again (reoffer.c).
 *  3. Everything is fetched anew. To go on at `above` would not do: a record that was changed, or had left the area, in
 * a lost version has an older state at the server again, which lies below `above` in the feed; and a cursor that is not
 * the checkpoint's may have passed such a record over before its lost change was seen.
 *  4. The visible checkpoint does not go back: it tells forms opened before from those opened after
 * (tz_overlay_base). The server takes it for `above`.
 */
#include "log.h"
#include "office_int.h"

#include <string.h>

enum { BATCH = 64 };

struct batch {
    uint32_t type[BATCH];
    struct tz_id id[BATCH];
    size_t n;
};

/* ---- one record ---- */

static int keep_row(struct tz_office *o, const struct tz_type *t, const struct tz_image *im, struct tz_err *err)
{
    struct tz_buf body;
    tz_buf_init(&body, TZ_ROW_BYTES_MAX);
    int rc = tz_record_encode(&im->row.rec, &body);
    struct tz_stmt *s = NULL;
    if (rc)
        rc = tz_err_set(err, rc, t->name, NULL, NULL, NULL);
    else
        s = tz_office_sql(o, OS_LOST_PUT,
                          "INSERT OR REPLACE INTO lost_row(type, id, ver, district, street, state, body)"
                          " VALUES(?, ?, ?, ?, ?, ?, ?)",
                          err);
    if (s) {
        struct tz_bytes b = tz_buf_unread(&body);
        tz_stmt_bind_int(s, 1, t->id);
        tz_stmt_bind_id(s, 2, &im->row.id);
        tz_stmt_bind_int(s, 3, (int64_t)im->row.ver);
        tz_stmt_bind_text(s, 4, im->row.area.district);
        tz_stmt_bind_text(s, 5, im->row.area.street);
        tz_stmt_bind_int(s, 6, im->row.deleted ? TZ_ROW_DELETED : TZ_ROW_LIVE);
        tz_stmt_bind_blob(s, 7, b.n ? (const void *)b.p : "", b.n);
        rc = tz_stmt_run(s, err);
    } else if (!rc) {
        rc = tz_office_code(err);
    }
    tz_buf_deinit(&body);
    return rc;
}

int tz_lost_forget(struct tz_office *o, const struct tz_type *t, struct tz_id id, bool shadowed, struct tz_err *err)
{
    struct tz_image none;
    const struct tz_area nowhere = {0};
    if (!shadowed)
        return tz_replica_drop(o->rep, t, id, err);
    int rc = tz_overlay_image(t, id, TZ_IMAGE_NONE, 0, &nowhere, (struct tz_bytes){0}, NULL, &none, err);
    if (!rc)
        rc = tz_overlay_shadow_put(o, t, id, &none, false, err);
    return rc ? rc : tz_overlay_recompute(o, t, id, err);
}

static int put_aside(struct tz_office *o, uint32_t type, struct tz_id id, const struct tz_lost_range *r,
                     struct tz_err *err)
{
    const struct tz_type *t = tz_catalogue_type_id(o->cat, type);
    struct tz_arena a;
    bool shadowed = false;
    if (!t)
        return 0;
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    struct tz_image *im = tz_arena_alloc(&a, sizeof *im);
    int rc = im ? tz_overlay_confirmed(o, t, id, &a, im, &shadowed, err) : tz_office_nomem(err);
    if (!rc && im->row.ver > r->above && im->row.ver <= r->upto) {
        /* of one that had left the area only that version is here: its older state would not beat it */
        rc = im->state == TZ_IMAGE_NONE ? 0 : keep_row(o, t, im, err);
        if (!rc)
            rc = tz_lost_forget(o, t, id, shadowed, err);
    }
    tz_arena_deinit(&a);
    return rc;
}

/* ---- all of them ---- */

/** Records after (*type, *id) that @s finds: ?1 type, ?2 id, ?3 above, ?4 upto. */
static int next_batch(struct tz_stmt *s, uint32_t type, struct tz_id id, const struct tz_lost_range *r, struct batch *b,
                      struct tz_err *err)
{
    int rc;
    b->n = 0;
    tz_stmt_bind_int(s, 1, type);
    tz_stmt_bind_id(s, 2, &id);
    tz_stmt_bind_int(s, 3, (int64_t)r->above);
    tz_stmt_bind_int(s, 4, (int64_t)r->upto);
    while ((rc = tz_stmt_step(s, err)) == 1 && b->n < BATCH) {
        b->type[b->n] = (uint32_t)tz_stmt_int(s, 0);
        tz_stmt_id(s, 1, &b->id[b->n++]);
    }
    tz_stmt_reset(s);
    return rc < 0 ? rc : 0;
}

/** In batches by key: rows are dropped on the way. */
static int each_found(struct tz_office *o, const char *sql, const struct tz_lost_range *r, struct tz_err *err)
{
    struct tz_stmt s = {0};
    struct batch b;
    uint32_t type = 0;
    struct tz_id id = {{0}};
    int rc = tz_db_prepare(o->db, &s, sql, err);
    do {
        if (!rc)
            rc = next_batch(&s, type, id, r, &b, err);
        for (size_t i = 0; !rc && i < b.n; i++) {
            type = b.type[i];
            id = b.id[i];
            rc = put_aside(o, type, id, r, err);
        }
    } while (!rc && b.n);
    tz_stmt_finalize(&s);
    return rc;
}

static int each_of_type(struct tz_office *o, const struct tz_type *t, const struct tz_lost_range *r, struct tz_err *err)
{
    struct tz_buf sql;
    tz_buf_init(&sql, 4096);
    int rc = tz_buf_printf(&sql,
                           "SELECT %u, _id FROM \"%s\" WHERE (%u, _id) > (?1, ?2) AND _ver > ?3 AND _ver <= ?4"
                           " ORDER BY _id LIMIT 64",
                           t->id, t->name, t->id);
    if (!rc)
        rc = tz_buf_putc(&sql, 0);
    rc = rc ? tz_err_set(err, rc, "SQL", NULL, NULL, NULL) : each_found(o, (const char *)sql.p, r, err);
    tz_buf_deinit(&sql);
    return rc;
}

static int run_with_range(struct tz_office *o, const char *sql, const struct tz_lost_range *r, struct tz_err *err)
{
    struct tz_stmt s = {0};
    int rc = tz_db_prepare(o->db, &s, sql, err);
    if (!rc) {
        tz_stmt_bind_int(&s, 1, (int64_t)r->above);
        tz_stmt_bind_int(&s, 2, (int64_t)r->upto);
        rc = tz_stmt_run(&s, err);
    }
    tz_stmt_finalize(&s);
    return rc;
}

static int put_all_aside(struct tz_office *o, const struct tz_lost_range *r, struct tz_err *err)
{
    static const char *const found[] = {
        "SELECT type, id FROM _tombstone WHERE (type, id) > (?1, ?2) AND ver > ?3 AND ver <= ?4 ORDER BY type, id"
        " LIMIT 64",
        "SELECT type, id FROM _shadow WHERE (type, id) > (?1, ?2) AND ver > ?3 AND ver <= ?4"
        " ORDER BY type, id LIMIT 64"};
    static const char *const raw[] = {
        "INSERT OR REPLACE INTO lost_row(type, id, ver, district, street, state, body) SELECT type, id, ver, district,"
        " street, state, body FROM raw_row WHERE ver > ?1 AND ver <= ?2",
        "DELETE FROM raw_row WHERE ver > ?1 AND ver <= ?2",
        "INSERT OR REPLACE INTO lost_row(type, id, ver, district, street, state, body) SELECT type, id, ver, district, "
        "street, state, body FROM set_aside"
        " WHERE ver > ?1 AND ver <= ?2",
        "DELETE FROM set_aside WHERE ver > ?1 AND ver <= ?2"};
    int rc = 0;
    for (size_t i = 0; i < o->cat->ntypes && !rc; i++)
        rc = each_of_type(o, &o->cat->types[i], r, err);
    for (size_t i = 0; i < sizeof found / sizeof *found && !rc; i++)
        rc = each_found(o, found[i], r, err);
    for (size_t i = 0; i < sizeof raw / sizeof *raw && !rc; i++)
        rc = run_with_range(o, raw[i], r, err);
    return rc;
}

/* ---- ranges ---- */

/** 1 when the range is known here, 0 not. */
static int known(struct tz_office *o, const struct tz_lost_range *r, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_LOST_KNOWN, "SELECT 1 FROM lost_range WHERE above = ? AND upto = ?", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, (int64_t)r->above);
    tz_stmt_bind_int(s, 2, (int64_t)r->upto);
    int rc = tz_stmt_step(s, err);
    tz_stmt_reset(s);
    return rc;
}

/** The server's list is the list: what it undid with a restore that was undone itself is there again. */
static int write_ranges(struct tz_office *o, const struct tz_msg_welcome *w, struct tz_err *err)
{
    int rc = tz_db_exec(o->db, "DELETE FROM lost_range", err);
    for (size_t i = 0; i < w->nlost && !rc; i++) {
        struct tz_stmt *s = tz_office_sql(o, OS_LOST_ADD, "INSERT OR REPLACE INTO lost_range VALUES(?, ?, ?)", err);
        if (!s)
            return tz_office_code(err);
        tz_stmt_bind_int(s, 1, (int64_t)w->lost[i].above);
        tz_stmt_bind_int(s, 2, (int64_t)w->lost[i].upto);
        tz_stmt_bind_int(s, 3, w->lost[i].epoch);
        rc = tz_stmt_run(s, err);
    }
    return rc;
}

/** Cursors that stand in the range, or were on their way when they were last moved. @n: how many. */
static int reset_cursors(struct tz_office *o, const struct tz_lost_range *r, int64_t *n, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_LOST_CURSORS,
                                      "UPDATE cursor SET ver = 0 WHERE ver <> 0 AND (ver <> ?1 OR (ver > ?2 AND ver <= "
                                      "?3))",
                                      err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, (int64_t)o->st.checkpoint);
    tz_stmt_bind_int(s, 2, (int64_t)r->above);
    tz_stmt_bind_int(s, 3, (int64_t)r->upto);
    int rc = tz_stmt_run(s, err);
    *n += rc ? 0 : tz_db_changes(o->db);
    return rc;
}

static int tell(struct tz_office *o, const struct tz_msg_welcome *w, int64_t before, struct tz_err *err)
{
    int64_t rows = 0;
    uint64_t saves = 0;
    int rc = tz_db_query_int(o->db, "SELECT count(*) FROM lost_row", &rows, err);
    if (!rc)
        rc = tz_lost_saves(o, &saves, NULL, err);
    if (!rc)
        tz_log(TZ_LOG_WARN, "office", "server-restored", "epoch=%u restored_to=%llu rows_set_aside=%lld own_saves=%llu",
               w->lost[w->nlost - 1].epoch, (unsigned long long)w->lost[w->nlost - 1].above, (long long)(rows - before),
               (unsigned long long)saves);
    return rc;
}

#define LOST_SAVES "SELECT count(*) FROM outbox b WHERE " TZ_ANSWER_LOST

int tz_lost_saves(struct tz_office *o, uint64_t *n, uint64_t *wordless, struct tz_err *err)
{
    int64_t count[2] = {0, 0};
    int rc = tz_db_query_int(o->db, LOST_SAVES, &count[0], err);
    if (!rc && count[0] && wordless)
        rc = tz_db_query_int(o->db, LOST_SAVES " AND length(raw) = 0", &count[1], err);
    *n = (uint64_t)count[0];
    if (wordless)
        *wordless = (uint64_t)count[1];
    return rc;
}

/** Its entry may be one of those that are gone. One that is marked is evidence, and stays. */
static int forget_audit(struct tz_office *o, struct tz_err *err)
{
    struct tz_audit_mark mark;
    int rc = tz_audit_mark(o, &mark, err);
    if (rc || mark.changed)
        return rc;
    o->st.audit_n = 0;
    memset(o->st.audit_hash, 0, sizeof o->st.audit_hash);
    return 0;
}

int tz_lost_take(struct tz_office *o, const struct tz_msg_welcome *w, struct tz_err *err)
{
    int64_t before = 0;
    int64_t cursors = 0;
    bool news = false;
    int rc = w->nlost ? tz_db_query_int(o->db, "SELECT count(*) FROM lost_row", &before, err) : 0;
    for (size_t i = 0; i < w->nlost && !rc; i++) {
        int old = known(o, &w->lost[i], err);
        news = news || old == 0;
        rc = old < 0 ? old : old ? 0 : put_all_aside(o, &w->lost[i], err);
        if (!rc && !old)
            rc = reset_cursors(o, &w->lost[i], &cursors, err);
    }
    if (rc || !news)
        return rc;
    rc = write_ranges(o, w, err);
    if (!rc)
        rc = tz_reoffer_mark(o, w->judged_seq, err);
    if (!rc && o->st.checkpoint) /* a device that joined later has nothing to lose */
        rc = tell(o, w, before, err);
    if (rc)
        return rc;
    if (cursors)
        o->st.filling = true;
    return forget_audit(o, err);
}
