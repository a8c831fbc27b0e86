/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the server sends down: grant, rows, checkpoints.
 *
 * Invariants
 *  1. Rows and the cursors that cover them move in one transaction. A delta is shown only with its checkpoint; while
 * filling, rows are shown as they come, their progress is kept, and the replica says that it is not complete.
 *  2. Taking the same message twice changes nothing: a row older than what is held is passed over, one of the same
 * version is put again.
 *  3. A row that does not fit is set aside, raw; the rest goes on. A row of a type this catalogue lacks is kept raw
 * until it has it.
 *  4. A row under pending edits goes into the shadow, never over the view.
 *  5. What a repair took out is kept in set_aside under a code of its own and never comes back by itself.
 */
#include "log.h"
#include "office_int.h"
#include "planted.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

/* ---- one row ---- */

static int bind_raw(struct tz_stmt *s, const struct tz_msg_row *row)
{
    tz_stmt_bind_int(s, 1, row->type);
    tz_stmt_bind_id(s, 2, &row->id);
    tz_stmt_bind_int(s, 3, (int64_t)row->ver);
    tz_stmt_bind_text(s, 4, row->area.district);
    tz_stmt_bind_text(s, 5, row->area.street);
    tz_stmt_bind_int(s, 6, row->state);
    tz_stmt_bind_blob(s, 7, row->body.n ? (const void *)row->body.p : "", row->body.n);
    return 0;
}

/** What is set aside of the record, unless it is newer than @ver. */
static int aside_drop(struct tz_office *o, uint32_t type, struct tz_id id, tz_ver ver, struct tz_err *err)
{
    struct tz_stmt *s =
        tz_office_sql(o, OS_ASIDE_DEL, "DELETE FROM set_aside WHERE type = ? AND id = ? AND ver <= ?", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, type);
    tz_stmt_bind_id(s, 2, &id);
    tz_stmt_bind_int(s, 3, (int64_t)ver);
    return tz_stmt_run(s, err);
}

/** The record left the row's area: what is set aside for that area, and not newer, has left too, with its bytes. */
static int aside_left(struct tz_office *o, const struct tz_msg_row *row, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_ASIDE_LEFT,
                                      "DELETE FROM set_aside WHERE type = ? AND id = ? AND ver <= ? AND district = ?"
                                      " AND street = ?",
                                      err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, row->type);
    tz_stmt_bind_id(s, 2, &row->id);
    tz_stmt_bind_int(s, 3, (int64_t)row->ver);
    tz_stmt_bind_text(s, 4, row->area.district);
    tz_stmt_bind_text(s, 5, row->area.street);
    int rc = tz_stmt_run(s, err);
    return rc || tz_db_changes(o->db) == 0 ? rc : tz_wipe_owe(o, false, err);
}

static int raw_drop(struct tz_office *o, uint32_t type, struct tz_id id, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_RAW_DEL, "DELETE FROM raw_row WHERE type = ? AND id = ?", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, type);
    tz_stmt_bind_id(s, 2, &id);
    return tz_stmt_run(s, err);
}

static int raw_put(struct tz_office *o, const struct tz_msg_row *row, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_RAW_PUT, "INSERT OR REPLACE INTO raw_row VALUES(?, ?, ?, ?, ?, ?, ?)", err);
    if (!s)
        return tz_office_code(err);
    int rc = bind_raw(s, row);
    return rc ? rc : tz_stmt_run(s, err);
}

/** A record of a type that is not in this catalogue. */
static int take_raw(struct tz_office *o, const struct tz_msg_row *row, struct tz_err *err)
{
    struct tz_stmt *s =
        tz_office_sql(o, OS_RAW_GET, "SELECT ver, district, street FROM raw_row WHERE type = ? AND id = ?", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, row->type);
    tz_stmt_bind_id(s, 2, &row->id);
    int rc = tz_stmt_step(s, err);
    bool newer = rc == 1 && (tz_ver)tz_stmt_int(s, 0) > row->ver;
    bool there = rc == 1 && strcmp(tz_stmt_text(s, 1), row->area.district) == 0 &&
                 strcmp(tz_stmt_text(s, 2), row->area.street) == 0;
    tz_stmt_reset(s);
    if (rc < 0 || newer)
        return rc < 0 ? rc : 0;
    if (row->state == TZ_ROW_LEFT) {
        rc = there ? raw_drop(o, row->type, row->id, err) : 0;
        return rc || !there ? rc : tz_wipe_owe(o, false, err);
    }
    return raw_put(o, row, err);
}

static int set_aside(struct tz_office *o, const struct tz_msg_row *row, int code, struct tz_err *err)
{
    char hex[TZ_ID_HEX + 1];
    tz_id_print(row->id, hex);
    tz_log(TZ_LOG_WARN, "feed", "row-set-aside", "type=%u id=%s ver=%llu code=%d", row->type, hex,
           (unsigned long long)row->ver, -code);
    int rc = aside_drop(o, row->type, row->id, row->ver, err);
    if (rc)
        return rc;
    struct tz_stmt *s = /* a newer one that is there stays */
        tz_office_sql(o, OS_ASIDE_PUT, "INSERT OR IGNORE INTO set_aside VALUES(?, ?, ?, ?, ?, ?, ?, ?)", err);
    if (!s)
        return tz_office_code(err);
    rc = bind_raw(s, row);
    tz_stmt_bind_int(s, 8, code);
    return rc ? rc : tz_stmt_run(s, err);
}

static bool text_ok(struct tz_value v)
{
    uint32_t cp;
    size_t at = 0;
    while (at < v.n) {
        size_t k = tz_utf8_next(v.p + at, v.n - at, &cp);
        if (k == 0 || cp == 0)
            return false;
        at += k;
    }
    return true;
}

/** Storable as this catalogue's columns? Not whether a person may type it: a newer catalogue may allow more than ours.
 */
static bool record_fits(const struct tz_record *rec)
{
    for (size_t i = 0; i < rec->type->nfields; i++) {
        const struct tz_field *f = &rec->type->fields[i];
        struct tz_value v = rec->v[i];
        if (v.kind == TZ_V_NULL)
            continue;
        if (v.kind != tz_ftype_kind(f->ftype) || (v.kind == TZ_V_TEXT && !text_ok(v)))
            return false;
        if ((f->ftype == TZ_FT_REF || f->ftype == TZ_FT_REF_ANY) && v.n != TZ_ID_BYTES)
            return false;
    }
    return true;
}

static int decode_row(const struct tz_type *t, const struct tz_msg_row *row, struct tz_arena *a, struct tz_image *im)
{
    struct tz_err why = {0};
    memset(im, 0, sizeof *im);
    im->state = row->state == TZ_ROW_DELETED ? TZ_IMAGE_DELETED : TZ_IMAGE_LIVE;
    im->row.id = row->id;
    im->row.ver = row->ver;
    im->row.area = row->area;
    im->row.deleted = row->state == TZ_ROW_DELETED;
    int rc = tz_record_decode(t, row->body, a, &im->row.rec, &why);
    return rc || record_fits(&im->row.rec) ? rc : TZ_E_FORMAT;
}

/** Put a confirmed image where it belongs: under the pending edits, or straight into the table. */
static int put_confirmed(struct tz_office *o, const struct tz_type *t, struct tz_id id, const struct tz_image *im,
                         bool shadowed, struct tz_err *err)
{
    if (!shadowed)
        return tz_overlay_put(o, t, id, im, err);
    int rc = tz_overlay_shadow_put(o, t, id, im, true, err);
    return rc ? rc : tz_overlay_recompute(o, t, id, err);
}

static int take_known(struct tz_office *o, const struct tz_type *t, const struct tz_msg_row *row, struct tz_arena *a,
                      struct tz_err *err)
{
    struct tz_image *im = tz_arena_alloc(a, sizeof *im);
    struct tz_image *had = tz_arena_alloc(a, sizeof *had);
    bool shadowed = false;
    if (!im || !had)
        return tz_office_nomem(err);
    int rc = row->state == TZ_ROW_LEFT ? aside_left(o, row, err) : 0;
    if (!rc)
        rc = tz_overlay_confirmed(o, t, row->id, a, had, &shadowed, err);
    if (rc || had->row.ver > row->ver)
        return rc;
    if (row->state == TZ_ROW_LEFT) {
        if (had->state == TZ_IMAGE_NONE) /* never shown: there may be the words that made it here */
            return tz_id_device(row->id) == o->st.id.device ? tz_wipe_owe(o, false, err) : 0;
        if (!tz_area_eq(&had->row.area, &row->area)) /* void: the record is here through another area by now */
            return 0;
        had->state = TZ_IMAGE_NONE;
        had->row.ver = row->ver;
        rc = put_confirmed(o, t, row->id, had, shadowed, err);
        return rc ? rc : tz_wipe_owe(o, false, err);
    }
    rc = decode_row(t, row, a, im);
    if (rc)
        return set_aside(o, row, rc, err);
    rc = aside_drop(o, row->type, row->id, row->ver, err);
    return rc ? rc : put_confirmed(o, t, row->id, im, shadowed, err);
}

int tz_feed_row(struct tz_office *o, const struct tz_msg_row *row, struct tz_err *err)
{
    const struct tz_type *t = tz_catalogue_type_id(o->cat, row->type);
    if (!t)
        return take_raw(o, row, err);
    struct tz_arena a;
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    int rc = take_known(o, t, row, &a, err);
    tz_arena_deinit(&a);
    return rc;
}

/* ---- repair ---- */

int tz_feed_replace(struct tz_office *o, const struct tz_msg_row *row, bool *fits, struct tz_err *err)
{
    const struct tz_type *t = tz_catalogue_type_id(o->cat, row->type);
    struct tz_arena a;
    *fits = true;
    if (!t)
        return raw_put(o, row, err);
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    struct tz_image *im = tz_arena_alloc(&a, sizeof *im);
    int rc = im ? decode_row(t, row, &a, im) : tz_office_nomem(err);
    if (im && rc) {
        *fits = false;
        rc = set_aside(o, row, rc, err);
    } else if (im) {
        int pending = tz_overlay_pending(o, t->id, row->id, err);
        rc = pending < 0 ? pending : aside_drop(o, row->type, row->id, row->ver, err);
        if (!rc)
            rc = put_confirmed(o, t, row->id, im, pending == 1, err);
    }
    tz_arena_deinit(&a);
    return rc;
}

/** The confirmed content as it is stored, whatever it is worth. An encoding that fails leaves the body empty. */
static int stored_body(struct tz_office *o, const struct tz_type *t, struct tz_msg_row *row, bool pending,
                       struct tz_arena *a, struct tz_err *err)
{
    struct tz_row *held = tz_arena_alloc(a, sizeof *held);
    struct tz_buf b;
    struct tz_stmt *s = NULL;
    if (!held)
        return tz_office_nomem(err);
    if (!pending) {
        int rc = tz_replica_get(o->rep, t, row->id, a, held, err);
        tz_buf_init(&b, TZ_ROW_BYTES_MAX);
        if (rc == 1 && !tz_record_encode(&held->rec, &b))
            row->body = tz_bytes_of(tz_arena_dup(a, b.p, b.len), b.len);
        tz_buf_deinit(&b);
        return rc < 0 ? rc : 0;
    }
    s = tz_office_sql(o, OS_SHADOW_GET, TZ_SHADOW_GET, err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, t->id);
    tz_stmt_bind_id(s, 2, &row->id);
    int rc = tz_stmt_step(s, err);
    struct tz_bytes stored = rc == 1 ? tz_stmt_blob(s, 4) : (struct tz_bytes){0};
    row->body = tz_bytes_of(tz_arena_dup(a, stored.p, stored.n), stored.n);
    tz_stmt_reset(s);
    return rc < 0 ? rc : 0;
}

static int stored_raw(struct tz_office *o, struct tz_msg_row *row, struct tz_arena *a, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_RAW_BODY, "SELECT body FROM raw_row WHERE type = ? AND id = ?", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, row->type);
    tz_stmt_bind_id(s, 2, &row->id);
    int rc = tz_stmt_step(s, err);
    struct tz_bytes stored = rc == 1 ? tz_stmt_blob(s, 0) : (struct tz_bytes){0};
    row->body = tz_bytes_of(tz_arena_dup(a, stored.p, stored.n), stored.n);
    tz_stmt_reset(s);
    return rc < 0 ? rc : 0;
}

int tz_feed_remove(struct tz_office *o, const struct tz_msg_row *what, struct tz_err *err)
{
    const struct tz_type *t = tz_catalogue_type_id(o->cat, what->type);
    struct tz_msg_row row = *what;
    struct tz_arena a;
    int pending = t ? tz_overlay_pending(o, t->id, row.id, err) : 0;
    if (pending < 0)
        return pending;
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    struct tz_image *gone = tz_arena_calloc(&a, 1, sizeof *gone);
    int rc = !gone ? tz_office_nomem(err)
             : t   ? stored_body(o, t, &row, pending == 1, &a, err)
                   : stored_raw(o, &row, &a, err);
    if (!rc)
        rc = set_aside(o, &row, TZ_E_VERIFY, err);
    if (!rc && !t)
        rc = raw_drop(o, row.type, row.id, err);
    if (!rc && t && !TZ_PLANTED(REPAIR_KEEPS_EXTRA)) { /* version 0: whatever the server sends of it later is newer */
        tz_record_init(&gone->row.rec, t);
        rc = put_confirmed(o, t, row.id, gone, pending == 1, err);
    }
    tz_arena_deinit(&a);
    return rc;
}

/* ---- rows that this catalogue has grown to understand ---- */

static int each_kept(struct tz_office *o, enum tz_office_stmt which, const char *sql, struct tz_err *err)
{
    uint32_t type = 0;
    struct tz_id id = {{0}};
    struct tz_arena a;
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    int rc;
    for (;;) { /* keyset order, so that rows may be put and dropped on the way */
        tz_arena_reset(&a);
        struct tz_stmt *s = tz_office_sql(o, which, sql, err);
        if (!s) {
            rc = tz_office_code(err);
            break;
        }
        tz_stmt_bind_int(s, 1, type);
        tz_stmt_bind_id(s, 2, &id);
        rc = tz_stmt_step(s, err);
        if (rc != 1)
            break;
        struct tz_msg_row row = {.type = (uint32_t)tz_stmt_int(s, 0), .ver = (tz_ver)tz_stmt_int(s, 2)};
        struct tz_bytes d = tz_stmt_blob(s, 3);
        struct tz_bytes st = tz_stmt_blob(s, 4);
        struct tz_bytes body = tz_stmt_blob(s, 6);
        tz_stmt_id(s, 1, &row.id);
        memcpy(row.area.district, d.p ? d.p : (const uint8_t *)"", d.n < TZ_DISTRICT_BYTES ? d.n : 0);
        memcpy(row.area.street, st.p ? st.p : (const uint8_t *)"", st.n < TZ_STREET_BYTES ? st.n : 0);
        row.state = (enum tz_row_state)tz_stmt_int(s, 5);
        row.body = (struct tz_bytes){tz_arena_dup(&a, body.p, body.n), body.n};
        tz_stmt_reset(s);
        type = row.type;
        id = row.id;
        if (!row.body.p)
            rc = tz_office_nomem(err);
        else
            rc = tz_catalogue_type_id(o->cat, type) ? tz_feed_row(o, &row, err) : 0;
        if (!rc && which == OS_RAW_EACH && tz_catalogue_type_id(o->cat, type))
            rc = raw_drop(o, type, id, err);
        if (rc)
            break;
    }
    tz_arena_deinit(&a);
    return rc;
}

int tz_feed_promote(struct tz_office *o, struct tz_err *err)
{
    int rc =
        each_kept(o, OS_RAW_EACH, "SELECT * FROM raw_row WHERE (type, id) > (?, ?) ORDER BY type, id LIMIT 1", err);
    if (!rc)
        rc = each_kept(o, OS_ASIDE_ALL,
                       "SELECT type, id, ver, district, street, state, body FROM set_aside WHERE (type, id) > (?, ?)"
                       " AND code <> " TZ_REPAIRED_CODE " ORDER BY type, id LIMIT 1",
                       err);
    return rc ? rc : tz_overlay_mark_hidden(o, err);
}

/* ---- messages ---- */

static int take_rows(struct tz_office *o, const struct tz_msg_rows *rows, struct tz_err *err)
{
    for (size_t i = 0; i < rows->nrows; i++) {
        int rc = tz_feed_row(o, &rows->rows[i], err);
        if (!rc)
            rc = tz_refresh_seen(o, &rows->rows[i], err);
        if (rc)
            return rc;
    }
    struct tz_stmt *s =
        tz_office_sql(o, OS_CURSOR_SET,
                      "UPDATE cursor SET ver = ?4 WHERE district = ?1 AND street = ?2 AND tier = ?3 AND ver < ?4", err);
    if (!s)
        return tz_office_code(err);
    for (size_t i = 0; i < rows->nprogress; i++) {
        const struct tz_cursor *c = &rows->progress[i];
        tz_stmt_bind_text(s, 1, c->area.district);
        tz_stmt_bind_text(s, 2, c->area.street);
        tz_stmt_bind_int(s, 3, c->tier);
        tz_stmt_bind_int(s, 4, (int64_t)c->ver);
        int rc = tz_stmt_run(s, err);
        if (rc)
            return rc;
    }
    return 0;
}

int tz_office_fill(struct tz_office *o, const struct tz_msg_rows *rows, struct tz_err *err)
{
    int rc = tz_office_begin(o, err);
    if (rc)
        return rc;
    o->st.filling = true;
    rc = take_rows(o, rows, err);
    if (!rc)
        rc = tz_overlay_mark_hidden(o, err);
    return tz_office_end(o, rc, err);
}

static int take_messages(struct tz_office *o, const struct tz_bytes *messages, size_t n, struct tz_err *err)
{
    struct tz_arena a;
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++) {
        struct tz_msg_rows rows;
        tz_arena_reset(&a);
        rc = tz_msg_read_rows(messages[i], &a, &rows, err);
        if (!rc)
            rc = take_rows(o, &rows, err);
    }
    tz_arena_deinit(&a);
    return rc;
}

#ifdef TZ_PLANTED_BUGS
/** Planted: the cursor is durable before its rows are. */
static int planted_cursor_first(struct tz_office *o, tz_ver ver, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_CURSOR_ALL, "UPDATE cursor SET ver = ?1 WHERE ver < ?1", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, (int64_t)ver);
    int rc = tz_office_end(o, tz_stmt_run(s, err), err);
    return rc ? rc : tz_office_begin(o, err);
}
#else
#define planted_cursor_first(o, ver, err) 0
#endif

int tz_office_checkpoint(struct tz_office *o, const struct tz_bytes *messages, size_t n,
                         const struct tz_msg_checkpoint *c, struct tz_err *err)
{
    int rc = tz_office_begin(o, err);
    if (rc)
        return rc;
    tz_ver was = o->st.checkpoint;
    if (c->ver < was)
        rc = tz_err_set(err, TZ_E_PROTOCOL, "checkpoint goes back", NULL, NULL, NULL);
    if (TZ_PLANTED(CURSOR_FIRST)) {
        rc = rc ? rc : planted_cursor_first(o, c->ver, err);
        if (rc)
            return rc;
    }
    if (!rc)
        rc = take_messages(o, messages, n, err);
    if (!rc)
        rc = tz_refresh_end(o, err);
    struct tz_stmt *s = rc ? NULL : tz_office_sql(o, OS_CURSOR_ALL, "UPDATE cursor SET ver = ?1 WHERE ver < ?1", err);
    if (s) {
        tz_stmt_bind_int(s, 1, (int64_t)c->ver);
        rc = tz_stmt_run(s, err);
    } else if (!rc) {
        rc = tz_office_code(err);
    }
    bool filled = o->st.filling;
    if (!rc) {
        o->st.checkpoint = c->ver;
        o->st.filling = false;
        o->st.last_sync_ms = tz_clock_wall(&o->clock).ms;
        /* forms opened before this moment carry @was: until then these edits were on top */
        rc = TZ_PLANTED(NEVER_LEAVES) ? 0 : tz_outbox_settle(o, c->ver, was, err);
    }
    if (!rc && filled)
        rc = tz_wipe_filled(o, err);
    if (!rc)
        rc = tz_audit_move(o, c, err);
    if (!rc)
        rc = tz_overlay_mark_hidden(o, err);
    return tz_office_end(o, rc, err);
}
