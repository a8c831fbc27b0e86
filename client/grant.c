/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hello and Welcome: who we are, what we may read, and from where the feed goes on.
 *
 * Invariants
 *  1. There is one cursor per (granted area, tier of this catalogue). A cursor that is new starts at 0, and the replica
 * is filling until the next checkpoint. A change in the right to read secret fields makes every cursor new; so do a
 * restore of the server that undid what they cover (lost.c) and a purge that went past them (refresh.c).
 * A device without areas (an administrator's, an auditor's) has no cursor: it pulls nothing and is never filling.
 *  2. Records of an area that is no longer granted are gone when the transaction of that Welcome commits. Own edits of
 * them stay in the outbox: they are handed in and judged.
 */
#include "log.h"
#include "office_int.h"

#include <string.h>

/** The greatest own seq with an answer: the server may have forgotten that it gave one. */
static int heard_seq(struct tz_office *o, uint64_t *out, struct tz_err *err)
{
    struct tz_stmt *s =
        tz_office_sql(o, OS_BOX_HEARD, "SELECT max(seq) FROM outbox WHERE outcome <> 0 AND incarnation = ?", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, o->st.id.incarnation);
    int rc = tz_stmt_step(s, err);
    *out = rc == 1 ? (uint64_t)tz_stmt_int(s, 0) : 0;
    tz_stmt_reset(s);
    return rc < 0 ? rc : 0;
}

int tz_office_hello(struct tz_office *o, const char *software, struct tz_arena *a, struct tz_msg_hello *out,
                    struct tz_err *err)
{
    int rc = tz_office_load(o, err);
    if (rc)
        return rc;
    *out = (struct tz_msg_hello){
        .protocol = TZ_PROTOCOL_VERSION,
        .software = tz_arena_strdup(a, software),
        .catalogue_version = o->cat->version,
        .incarnation = o->st.id.incarnation,
        .wall_ms = tz_clock_wall(&o->clock).ms,
        .checkpoint = o->st.checkpoint,
        .audit_n = o->st.audit_n,
        .last_seq = o->st.last_seq,
    };
    memcpy(out->audit_hash, o->st.audit_hash, sizeof out->audit_hash);
    rc = heard_seq(o, &out->heard_seq, err);
    int64_t unsent = 0;
    if (!rc)
        rc = tz_db_query_int(o->db, "SELECT count(*) FROM outbox WHERE outcome = 0", &unsent, err);
    out->unsent = (uint64_t)unsent;
    if (!rc)
        rc = tz_missing_told(o, a, &out->lost_seqs, &out->nlost, err);
    if (rc)
        return rc;
    return out->software ? 0 : tz_office_nomem(err);
}

int tz_office_cursors(struct tz_office *o, struct tz_arena *a, struct tz_cursor **out, size_t *n, struct tz_err *err)
{
    *n = 0;
    *out = tz_arena_calloc(a, TZ_MSG_CURSORS_MAX, sizeof **out);
    if (!*out)
        return tz_office_nomem(err);
    struct tz_stmt *s = tz_office_sql(
        o, OS_CURSORS, "SELECT district, street, tier, ver, begun FROM cursor ORDER BY tier, district, street", err);
    if (!s)
        return tz_office_code(err);
    int rc = 0;
    while (*n < TZ_MSG_CURSORS_MAX && (rc = tz_stmt_step(s, err)) == 1) {
        struct tz_cursor *c = &(*out)[(*n)++];
        struct tz_bytes d = tz_stmt_blob(s, 0);
        struct tz_bytes st = tz_stmt_blob(s, 1);
        if (d.n && d.n < TZ_DISTRICT_BYTES)
            memcpy(c->area.district, d.p, d.n);
        if (st.n && st.n < TZ_STREET_BYTES)
            memcpy(c->area.street, st.p, st.n);
        c->tier = (uint32_t)tz_stmt_int(s, 2);
        c->ver = (tz_ver)tz_stmt_int(s, 3);
        c->begun = (tz_ver)tz_stmt_int(s, 4);
    }
    tz_stmt_reset(s);
    return rc < 0 ? rc : 0;
}

/* ---- records of areas that are gone ---- */

/** Is the area (district, street) of a table's row outside every granted one? City rows are ("", ""). */
#define NOT_GRANTED                                                                                           \
    " NOT EXISTS (SELECT 1 FROM grant_area g WHERE g.district = r.district AND (g.street = '' OR g.street = " \
    "r.street))"

/** Confirmed images under pending edits: the record is no longer here, the edits are. */
static int sweep_shadows(struct tz_office *o, struct tz_err *err)
{
    int rc = tz_db_exec(
        o->db, "UPDATE _shadow AS r SET state = 0, body = x'', dirty = 1 WHERE state <> 0 AND" NOT_GRANTED, err);
    for (;;) {
        if (rc)
            return rc;
        struct tz_stmt *s =
            tz_office_sql(o, OS_SHADOW_FIRST_DIRTY, "SELECT type, id FROM _shadow WHERE dirty = 1 LIMIT 1", err);
        if (!s)
            return tz_office_code(err);
        struct tz_id id = {{0}};
        rc = tz_stmt_step(s, err);
        const struct tz_type *t = rc == 1 ? tz_catalogue_type_id(o->cat, (uint32_t)tz_stmt_int(s, 0)) : NULL;
        if (rc == 1)
            tz_stmt_id(s, 1, &id);
        uint32_t type = rc == 1 ? (uint32_t)tz_stmt_int(s, 0) : 0;
        tz_stmt_reset(s);
        if (rc != 1)
            return rc;
        rc = t ? tz_overlay_recompute(o, t, id, err) : 0;
        struct tz_stmt *clean =
            rc ? NULL
               : tz_office_sql(o, OS_SHADOW_CLEAN_ONE, "UPDATE _shadow SET dirty = 0 WHERE type = ? AND id = ?", err);
        if (clean) {
            tz_stmt_bind_int(clean, 1, type);
            tz_stmt_bind_id(clean, 2, &id);
            rc = tz_stmt_run(clean, err);
        } else if (!rc) {
            rc = tz_office_code(err);
        }
    }
}

/** Live records of one type. With pending edits the table's area may be the person's own change: there the shadow
 * decides. */
static int sweep_type(struct tz_office *o, const struct tz_type *t, struct tz_err *err)
{
    struct tz_buf sql;
    tz_buf_init(&sql, 4096);
    int rc = tz_buf_printf(&sql,
                           "DELETE FROM \"%s\" AS r WHERE NOT EXISTS (SELECT 1 FROM grant_area g WHERE"
                           " g.district = r._district AND (g.street = '' OR g.street = r._street)) AND NOT EXISTS"
                           " (SELECT 1 FROM _shadow s WHERE s.type = %u AND s.id = r._id)",
                           t->name, t->id);
    if (!rc)
        rc = tz_buf_putc(&sql, 0);
    rc = rc ? tz_err_set(err, rc, "SQL", NULL, NULL, NULL) : tz_db_exec(o->db, (const char *)sql.p, err);
    tz_buf_deinit(&sql);
    return rc;
}

static int sweep_all(struct tz_office *o, struct tz_err *err)
{
    int rc = tz_db_exec(o->db, "DELETE FROM raw_row AS r WHERE" NOT_GRANTED, err);
    if (!rc)
        rc = tz_db_exec(o->db, "DELETE FROM set_aside AS r WHERE" NOT_GRANTED, err);
    if (!rc)
        rc = tz_db_exec(o->db, "DELETE FROM lost_row AS r WHERE" NOT_GRANTED, err);
    if (!rc)
        rc = tz_db_exec(o->db,
                        "DELETE FROM _tombstone AS r WHERE" NOT_GRANTED
                        " AND NOT EXISTS (SELECT 1 FROM _shadow s WHERE s.type = r.type AND s.id = r.id)",
                        err);
    for (size_t i = 0; i < o->cat->ntypes && !rc; i++)
        rc = sweep_type(o, &o->cat->types[i], err);
    return rc ? rc : sweep_shadows(o, err);
}

/* ---- areas, cursors, users ---- */

static int write_areas(struct tz_office *o, const struct tz_msg_welcome *w, struct tz_err *err)
{
    int rc = tz_db_exec(o->db, "DELETE FROM grant_area", err);
    for (size_t i = 0; i < w->nareas && !rc; i++) {
        struct tz_stmt *s = tz_office_sql(o, OS_AREA_ADD, "INSERT OR IGNORE INTO grant_area VALUES(?, ?)", err);
        if (!s)
            return tz_office_code(err);
        tz_stmt_bind_text(s, 1, w->areas[i].district);
        tz_stmt_bind_text(s, 2, w->areas[i].street);
        rc = tz_stmt_run(s, err);
    }
    return rc;
}

/** Cursors of areas that are gone go; (area, tier) without one gets 0. @news: how many were added. */
static int write_cursors(struct tz_office *o, int64_t *gone, int64_t *news, struct tz_err *err)
{
    *news = 0;
    int rc = tz_db_exec(o->db,
                        "DELETE FROM cursor AS c WHERE NOT EXISTS"
                        " (SELECT 1 FROM grant_area g WHERE g.district = c.district AND g.street = c.street)",
                        err);
    *gone = rc ? 0 : tz_db_changes(o->db);
    bool done[256] = {false};
    for (size_t i = 0; i < o->cat->ntypes && !rc; i++) {
        unsigned tier = o->cat->types[i].tier;
        if (tier >= 256 || done[tier])
            continue;
        done[tier] = true;
        struct tz_stmt *s = tz_office_sql(
            o, OS_CURSOR_ADD, "INSERT OR IGNORE INTO cursor SELECT district, street, ?, 0, 0 FROM grant_area", err);
        if (!s)
            return tz_office_code(err);
        tz_stmt_bind_int(s, 1, tier);
        rc = tz_stmt_run(s, err);
        *news += tz_db_changes(o->db);
    }
    return rc;
}

static int write_users(struct tz_office *o, const struct tz_msg_welcome *w, struct tz_err *err)
{
    int rc = tz_db_exec(o->db, "DELETE FROM device_user", err);
    for (size_t i = 0; i < w->nusers && !rc; i++) {
        struct tz_stmt *s =
            tz_office_sql(o, OS_USER_ADD, "INSERT OR REPLACE INTO device_user VALUES(?, ?, ?, ?, ?)", err);
        if (!s)
            return tz_office_code(err);
        tz_stmt_bind_id(s, 1, &w->users[i].id);
        tz_stmt_bind_text(s, 2, w->users[i].code);
        tz_stmt_bind_text(s, 3, w->users[i].name);
        tz_stmt_bind_text(s, 4, w->users[i].role);
        tz_stmt_bind_int(s, 5, w->users[i].active);
        rc = tz_stmt_run(s, err);
    }
    return rc;
}

/* ---- Welcome ---- */

static int check_welcome(const struct tz_office *o, const struct tz_msg_welcome *w, struct tz_err *err)
{
    if (w->protocol != TZ_PROTOCOL_VERSION)
        return tz_err_setf(err, TZ_E_VERSION, "%u", w->protocol);
    if (w->device != o->st.id.device)
        return tz_err_set(err, TZ_E_PROTOCOL, "another device's session", NULL, NULL, NULL);
    if (w->incarnation != o->st.id.incarnation)
        return tz_err_set(err, TZ_E_PROTOCOL, "another installation's session", NULL, NULL, NULL);
    if (strlen(w->area) >= sizeof o->st.id.area || strlen(w->role) >= sizeof o->st.id.role ||
        strlen(w->device_name) >= sizeof o->st.id.name)
        return tz_err_set(err, TZ_E_PROTOCOL, "grant", NULL, NULL, NULL);
    return 0;
}

static void take_identity(struct tz_office *o, const struct tz_msg_welcome *w)
{
    struct tz_office_state *st = &o->st;
    memcpy(st->id.name, w->device_name, strlen(w->device_name) + 1);
    memcpy(st->id.role, w->role, strlen(w->role) + 1);
    memcpy(st->id.area, w->area, strlen(w->area) + 1);
    st->offset_ms = w->wall_ms - tz_clock_wall(&o->clock).ms;
    st->welcomed = true;
    st->reads_secret = w->reads_secret;
}

int tz_office_welcome(struct tz_office *o, const struct tz_msg_welcome *w, struct tz_err *err)
{
    int rc = tz_office_begin(o, err);
    if (rc)
        return rc;
    int64_t gone = 0;
    int64_t news = 0;
    rc = check_welcome(o, w, err);
    bool other_sight = !rc && o->st.welcomed && w->reads_secret != o->st.reads_secret;
    /* without a cursor, too: what was said before the first session, under the grant that it joined with */
    bool other_grant = !rc && strcmp(o->st.id.area, w->area) != 0;
    if (!rc) {
        take_identity(o, w);
        rc = tz_refresh_take(o, w->horizon, err); /* before anything resets a cursor for another reason */
    }
    if (!rc)
        rc = tz_lost_take(o, w, err);
    if (!rc)
        rc = write_areas(o, w, err);
    if (!rc && other_sight) /* every row looks different now: all of them again, at the versions they have */
        rc = tz_db_exec(o->db, "DELETE FROM cursor", err);
    if (!rc)
        rc = write_cursors(o, &gone, &news, err);
    if (!rc)
        rc = tz_refresh_begun(o, w->horizon, err);
    if (!rc)
        rc = write_users(o, w, err);
    if (!rc && (gone || other_sight || other_grant)) /* the second took the cursors that would have told */
        rc = sweep_all(o, err);
    if (!rc && (gone || other_sight || other_grant)) /* the rest goes when what is unsent has been handed in */
        rc = tz_wipe_owe(o, gone || other_grant, err);
    if (!rc)
        rc = tz_wipe_sheets_again(o, err);
    if (!rc)
        rc = tz_audit_take(o, w->audit, err);
    if (!rc && news)
        o->st.filling = true;
    return tz_office_end(o, rc, err);
}
