/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grants that change: what was granted before and up to which version, where records were before, and what a device
 * still holds of areas it has lost.
 *
 * Invariants
 *  1. Every change of a grant takes a version of its own, so that a version belongs to one grant: whoever has seen it
 *     was told of the new one.
 *  2. A past grant speaks for edits made up to its last version and no longer than until its device said that nothing
 *     of it is left there: nobody can go on using it from outside.
 *  3. The areas of records are known back to the first version, so that what an author could see then can be told from
 *     what has come there since.
 */
#include "store_int.h"

#include <stdio.h>
#include <string.h>

static void copy_text(char *out, size_t cap, const char *in)
{
    size_t n = in ? strnlen(in, cap - 1) : 0;
    if (n)
        memcpy(out, in, n);
    out[n] = '\0';
}

/* ---- as it was ---- */

/** A grant of a device or of a user. */
struct held {
    char role[TZ_NAME_BYTES], area[TZ_STREET_BYTES];
    tz_ver until;
};

/** The one that ended and covered @at. 1, 0, negative. @user zero: the device's. */
static int past_at(struct tz_store *s, uint32_t device, const struct tz_id *user, tz_ver at, int64_t received_ms,
                   struct held *out, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_GRANT_PAST_AT, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, device);
    tz_stmt_bind_blob(st, 2, user ? (const void *)user->b : "", user ? TZ_ID_BYTES : 0);
    tz_stmt_bind_int(st, 3, (int64_t)at);
    tz_stmt_bind_int(st, 4, received_ms);
    int rc = tz_stmt_step(st, err);
    if (rc == 1) {
        copy_text(out->role, sizeof out->role, tz_stmt_text(st, 0));
        copy_text(out->area, sizeof out->area, tz_stmt_text(st, 1));
        out->until = (tz_ver)tz_stmt_int(st, 2);
    }
    tz_stmt_reset(st);
    return rc;
}

static int device_at(struct tz_store *s, const struct tz_device *d, tz_ver at, int64_t received_ms, struct held *out,
                     struct tz_err *err)
{
    int rc = past_at(s, d->number, NULL, at, received_ms, out, err);
    if (rc || d->grant_since > at)
        return rc;
    copy_text(out->role, sizeof out->role, d->role);
    copy_text(out->area, sizeof out->area, d->area);
    out->until = INT64_MAX;
    return d->area[0] != '\0';
}

static int user_at(struct tz_store *s, struct tz_id user, tz_ver at, int64_t received_ms, struct held *out,
                   struct tz_err *err)
{
    int rc = past_at(s, 0, &user, at, received_ms, out, err);
    struct tz_stmt *st = rc ? NULL : tz_store_sql(s, TZ_SQL_USER_GRANT_SINCE, err);
    if (!st)
        return rc ? rc : TZ_E_DB;
    tz_stmt_bind_id(st, 1, &user);
    rc = tz_stmt_step(st, err);
    bool good = rc == 1 && tz_stmt_int(st, 2) != 0 && (tz_ver)tz_stmt_int(st, 3) <= at;
    if (good) {
        copy_text(out->role, sizeof out->role, tz_stmt_text(st, 0));
        copy_text(out->area, sizeof out->area, tz_stmt_text(st, 1));
        out->until = INT64_MAX;
    }
    tz_stmt_reset(st);
    return rc < 0 ? rc : good;
}

int tz_grant_at(struct tz_store *s, const struct tz_device *d, struct tz_id user, tz_ver at, int64_t received_ms,
                struct tz_rights *out, tz_ver *until, struct tz_err *err)
{
    struct held device;
    struct held person;
    *out = (struct tz_rights){0};
    int rc = device_at(s, d, at, received_ms, &device, err);
    if (rc == 1)
        rc = user_at(s, user, at, received_ms, &person, err);
    if (rc != 1)
        return rc;
    const struct tz_role *role = tz_catalogue_role(s->cat, person.role);
    if (!tz_store_area_within(person.area, device.area) || !tz_who_role_fits(s->cat, role, device.role))
        return 0;
    *out = (struct tz_rights){role, tz_who_area(person.area), strcmp(person.area, TZ_CITY_CODE) == 0};
    *until = device.until < person.until ? device.until : person.until;
    return 1;
}

int tz_area_at(struct tz_store *s, const struct tz_row *row, tz_ver at, struct tz_area *out, struct tz_err *err)
{
    if (row->born > at)
        return 0;
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_AREA_PAST_AT, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, row->rec.type->id);
    tz_stmt_bind_id(st, 2, &row->id);
    tz_stmt_bind_int(st, 3, (int64_t)at);
    int rc = tz_stmt_step(st, err);
    *out = row->area;
    if (rc == 1) {
        memset(out, 0, sizeof *out);
        copy_text(out->district, sizeof out->district, tz_stmt_text(st, 0));
        copy_text(out->street, sizeof out->street, tz_stmt_text(st, 1));
    }
    tz_stmt_reset(st);
    return rc < 0 ? rc : 1;
}

/* ---- changes ---- */

int tz_grant_ended(struct tz_store *s, uint32_t device, const struct tz_id *user, const char *role, const char *area,
                   tz_ver since, tz_ver until, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_GRANT_PAST_PUT, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, device);
    tz_stmt_bind_blob(st, 2, user ? (const void *)user->b : "", user ? TZ_ID_BYTES : 0);
    tz_stmt_bind_text(st, 3, role);
    tz_stmt_bind_text(st, 4, area);
    tz_stmt_bind_int(st, 5, (int64_t)since);
    tz_stmt_bind_int(st, 6, (int64_t)until);
    tz_stmt_bind_int(st, 7, tz_clock_wall(&s->clock).ms);
    int rc = tz_stmt_run(st, err);
    int64_t n = 0;
    if (!rc)
        rc = tz_db_query_int(s->db, "SELECT max(n) FROM grant_past", &n, err);
    return rc ? rc : tz_journal_note(s, TZ_JOURNAL_PAST, tz_value_int(n), err);
}

/** The device has this grant from version @ver on. */
static int device_put(struct tz_store *s, uint32_t device, const char *role, const char *area, int64_t until_ms,
                      tz_ver ver, struct tz_err *err)
{
    struct tz_stmt st = {0};
    int rc = tz_db_prepare(s->db, &st,
                           "UPDATE device SET role=?2,area=?3,until_ms=?4,served=CASE WHEN grant_since=?5 THEN served"
                           " ELSE 0 END,grant_since=?5 WHERE number=?1",
                           err);
    if (!rc) {
        tz_stmt_bind_int(&st, 1, device);
        tz_stmt_bind_text(&st, 2, role);
        tz_stmt_bind_text(&st, 3, area);
        tz_stmt_bind_int(&st, 4, until_ms);
        tz_stmt_bind_int(&st, 5, (int64_t)ver);
        rc = tz_stmt_run(&st, err);
    }
    tz_stmt_finalize(&st);
    if (!rc)
        rc = tz_journal_note(s, TZ_JOURNAL_DEVICE, tz_value_int(device), err);
    return rc ? rc : tz_journal_note(s, TZ_JOURNAL_GRANT, tz_value_int(device), err);
}

int tz_store_device_expire(struct tz_store *s, struct tz_device *d, int64_t now_ms, struct tz_err *err)
{
    tz_ver ver = 0;
    if (d->until_ms == 0 || now_ms < d->until_ms || d->area[0] == '\0' || d->revoked)
        return 0;
    int rc = tz_store_own_commit(s, &ver, err);
    if (!rc)
        rc = tz_grant_ended(s, d->number, NULL, d->role, d->area, d->grant_since, ver - 1, err);
    if (!rc)
        rc = device_put(s, d->number, d->role, "", d->until_ms, ver, err);
    if (!rc)
        rc = tz_audit_add(s, "grant expired", tz_bytes_str(d->name), err);
    if (rc)
        return rc;
    rc = tz_store_device_by_number(s, d->number, d, err);
    return rc == 1 ? 0 : rc < 0 ? rc : tz_err_set(err, TZ_E_INTERNAL, "device", NULL, NULL, NULL);
}

/* ---- users ---- */

struct user_row {
    struct tz_id id;
    char code[TZ_NAME_BYTES], role[TZ_NAME_BYTES], area[TZ_STREET_BYTES];
    bool active;
    tz_ver since;
};

/** By @sql with one parameter bound to @key. 1, 0, negative. */
static int user_get(struct tz_store *s, const char *sql, struct tz_value key, struct user_row *out, struct tz_err *err)
{
    struct tz_stmt st = {0};
    int rc = tz_db_prepare(s->db, &st, sql, err);
    if (!rc) {
        tz_stmt_bind_value(&st, 1, key);
        rc = tz_stmt_step(&st, err);
    }
    if (rc == 1) {
        (void)tz_stmt_id(&st, 0, &out->id);
        copy_text(out->code, sizeof out->code, tz_stmt_text(&st, 1));
        copy_text(out->role, sizeof out->role, tz_stmt_text(&st, 2));
        copy_text(out->area, sizeof out->area, tz_stmt_text(&st, 3));
        out->active = tz_stmt_int(&st, 4) != 0;
        out->since = (tz_ver)tz_stmt_int(&st, 5);
    }
    tz_stmt_finalize(&st);
    return rc;
}

/** The user has another grant: the old one is past, the record says the new one. */
static int user_change(struct tz_store *s, const struct user_row *u, const char *role, const char *area,
                       struct tz_err *err)
{
    struct tz_stmt st = {0};
    tz_ver until = s->group_head;
    int rc = tz_grant_ended(s, 0, &u->id, u->role, u->area, u->since, until, err);
    if (!rc)
        rc = tz_who_put_user(s, u->id, u->code, NULL, role, area, u->active, err); /* takes the next version */
    if (!rc)
        rc = tz_db_prepare(s->db, &st, "UPDATE user_grant SET role=?2,area=?3,grant_since=?4 WHERE user=?1", err);
    if (!rc) {
        tz_stmt_bind_id(&st, 1, &u->id);
        tz_stmt_bind_text(&st, 2, role);
        tz_stmt_bind_text(&st, 3, area);
        tz_stmt_bind_int(&st, 4, (int64_t)until + 1);
        rc = tz_stmt_run(&st, err);
    }
    tz_stmt_finalize(&st);
    return rc ? rc : tz_journal_note(s, TZ_JOURNAL_USER, tz_value_blob(u->id.b, TZ_ID_BYTES), err);
}

int tz_store_user_grant(struct tz_store *s, const char *code, const char *role, const char *area, struct tz_err *err)
{
    struct user_row u;
    int rc = tz_who_check_grant(s, role, area, err);
    if (rc)
        return rc;
    rc = user_get(s, "SELECT user,code,role,area,active,grant_since FROM user_grant WHERE code=?1", tz_value_text(code),
                  &u, err);
    if (rc != 1)
        return rc < 0 ? rc : tz_err_set(err, TZ_E_NOT_FOUND, code, NULL, NULL, NULL);
    if (strcmp(u.role, role) == 0 && strcmp(u.area, area) == 0)
        return 0;
    rc = user_change(s, &u, role, area, err);
    return rc ? rc : tz_audit_add(s, "user grant", tz_bytes_str(code), err);
}

/* ---- devices ---- */

/** What the device had last: its present grant, or the one that ran out. */
static int last_grant(struct tz_store *s, const struct tz_device *d, struct held *out, struct tz_err *err)
{
    copy_text(out->role, sizeof out->role, d->role);
    copy_text(out->area, sizeof out->area, d->area);
    if (d->area[0])
        return 0;
    int rc = past_at(s, d->number, NULL, d->grant_since ? d->grant_since - 1 : 0, 0, out, err);
    return rc < 0 ? rc : 0;
}

/** The person whose machine it is goes with it, unless somebody gave him something else meanwhile. */
static int first_user_follows(struct tz_store *s, const struct tz_device *d, const struct held *had, const char *role,
                              const char *area, struct tz_err *err)
{
    struct user_row u;
    int rc = user_get(s,
                      "SELECT g.user,g.code,g.role,g.area,g.active,g.grant_since FROM device d JOIN user_grant g ON"
                      " g.user=d.user WHERE d.number=?1",
                      tz_value_int(d->number), &u, err);
    bool his = rc == 1 && strcmp(u.role, had->role) == 0 && strcmp(u.area, had->area) == 0;
    bool same = rc == 1 && strcmp(u.role, role) == 0 && strcmp(u.area, area) == 0;
    return rc < 0 ? rc : his && !same ? user_change(s, &u, role, area, err) : 0;
}

int tz_store_device_grant(struct tz_store *s, uint32_t device, const char *role, const char *area, int64_t until_ms,
                          struct tz_err *err)
{
    struct tz_device d;
    struct held had;
    tz_ver ver = 0;
    int rc = tz_store_device_by_number(s, device, &d, err);
    if (rc != 1)
        return rc < 0 ? rc : tz_err_setf(err, TZ_E_NOT_FOUND, "%u", device);
    role = role[0] ? role : d.role;
    rc = tz_store_device_expire(s, &d, tz_clock_wall(&s->clock).ms, err);
    if (!rc)
        rc = last_grant(s, &d, &had, err);
    area = area[0] ? area : had.area;
    if (!rc && d.revoked)
        rc = tz_err_set(err, TZ_E_DEVICE_REVOKED, d.name, NULL, NULL, NULL);
    if (!rc)
        rc = tz_who_check_grant(s, role, area, err);
    bool same = !rc && strcmp(role, d.role) == 0 && strcmp(area, d.area) == 0;
    if (!rc && !same)
        rc = tz_store_own_commit(s, &ver, err);
    if (!rc && !same && d.area[0])
        rc = tz_grant_ended(s, device, NULL, d.role, d.area, d.grant_since, ver - 1, err);
    if (!rc)
        rc = device_put(s, device, role, area, until_ms, same ? d.grant_since : ver, err);
    if (!rc && !same)
        rc = first_user_follows(s, &d, &had, role, area, err);
    return rc ? rc : tz_audit_add(s, "device grant", tz_bytes_str(d.name), err);
}

/* ---- what a device still holds ---- */

int tz_store_past_grants(struct tz_store *s, uint32_t device, tz_past_grant_cb cb, void *ctx, struct tz_err *err)
{
    struct tz_stmt st = {0};
    int rc = tz_db_prepare(
        s->db, &st,
        "SELECT role,area,until_ver,ended_ms,wiped_ver,wiped_ms,served FROM grant_past WHERE device=?1 AND"
        " user=x'' ORDER BY n",
        err);
    if (!rc)
        tz_stmt_bind_int(&st, 1, device);
    while (!rc && (rc = tz_stmt_step(&st, err)) == 1) {
        struct tz_past_grant g = {.until = (tz_ver)tz_stmt_int(&st, 2),
                                  .ended_ms = tz_stmt_int(&st, 3),
                                  .wiped_ver = (tz_ver)tz_stmt_int(&st, 4),
                                  .wiped_ms = tz_stmt_int(&st, 5),
                                  .served = tz_stmt_int(&st, 6) != 0};
        copy_text(g.role, sizeof g.role, tz_stmt_text(&st, 0));
        copy_text(g.area, sizeof g.area, tz_stmt_text(&st, 1));
        int go = cb(ctx, &g);
        rc = go > 0 ? 0 : go;
        if (go <= 0)
            break;
    }
    tz_stmt_finalize(&st);
    return rc;
}

static int note_wiped(struct tz_store *s, uint32_t device, tz_ver ver, struct tz_err *err)
{
    struct tz_stmt st = {0};
    int64_t at = tz_clock_wall(&s->clock).ms;
    int rc = tz_db_prepare(
        s->db, &st, "SELECT n FROM grant_past WHERE device=?1 AND user=x'' AND until_ver<=?2 AND wiped_ms=0", err);
    if (!rc) {
        tz_stmt_bind_int(&st, 1, device);
        tz_stmt_bind_int(&st, 2, (int64_t)ver);
    }
    while (!rc && (rc = tz_stmt_step(&st, err)) == 1) {
        struct tz_stmt *put = tz_store_sql(s, TZ_SQL_GRANT_WIPED, err);
        if (!put) {
            rc = TZ_E_DB;
            break;
        }
        int64_t n = tz_stmt_int(&st, 0);
        tz_stmt_bind_int(put, 1, n);
        tz_stmt_bind_int(put, 2, (int64_t)ver);
        tz_stmt_bind_int(put, 3, at);
        rc = tz_stmt_run(put, err);
        if (!rc)
            rc = tz_journal_note(s, TZ_JOURNAL_PAST, tz_value_int(n), err);
    }
    tz_stmt_finalize(&st);
    return rc < 0 ? rc : 0;
}

static int note_empty(struct tz_store *s, uint32_t device, struct tz_err *err)
{
    struct tz_stmt st = {0};
    int rc = tz_db_prepare(s->db, &st, "UPDATE device SET wiped_ms=?2,unsent=0 WHERE number=?1 AND wiped_ms=0", err);
    if (!rc) {
        tz_stmt_bind_int(&st, 1, device);
        tz_stmt_bind_int(&st, 2, tz_clock_wall(&s->clock).ms);
        rc = tz_stmt_run(&st, err);
    }
    tz_stmt_finalize(&st);
    return rc ? rc : tz_journal_note(s, TZ_JOURNAL_GRANT, tz_value_int(device), err);
}

int tz_store_receipt(struct tz_store *s, uint32_t device, tz_ver ver, bool all, struct tz_err *err)
{
    char meta[96];
    struct tz_device d;
    int rc = tz_store_device_by_number(s, device, &d, err);
    if (rc != 1)
        return rc < 0 ? rc : tz_err_setf(err, TZ_E_NOT_FOUND, "%u", device);
    rc = note_wiped(s, device, all ? INT64_MAX : ver, err);
    if (!rc && all)
        rc = note_empty(s, device, err);
    (void)snprintf(meta, sizeof meta, "wiped device=%u ver=%llu all=%d", device, (unsigned long long)ver, (int)all);
    return rc ? rc : tz_audit_add(s, meta, tz_bytes_str(d.name), err);
}
