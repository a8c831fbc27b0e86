/* SPDX-License-Identifier: Apache-2.0 */
/* People: records of the type user like any other, and the grant that each of them has. */
#include "store_int.h"

#include <stdio.h>
#include <string.h>

static int read_user(struct tz_store *s, const struct tz_stmt *st, struct tz_arena *a, struct tz_session_user *u,
                     struct tz_err *err)
{
    struct tz_row *row = tz_arena_alloc(a, sizeof *row);
    if (!row)
        return TZ_E_NOMEM;
    tz_stmt_id(st, 0, &u->id);
    u->code = tz_arena_strdup(a, tz_stmt_text(st, 1));
    u->role = tz_arena_strdup(a, tz_stmt_text(st, 2));
    u->active = tz_stmt_int(st, 4) != 0;
    u->name = u->code;
    int rc = tz_replica_get(s->rep, s->user_type, u->id, a, row, err);
    if (rc == 1) {
        struct tz_value v = row->rec.v[tz_type_field(s->user_type, "name")->index];
        if (v.kind == TZ_V_TEXT)
            u->name = tz_arena_dup(a, v.p, v.n);
    }
    return rc < 0 ? rc : u->code && u->role && u->name ? 0 : TZ_E_NOMEM;
}

/** @st: user, code, role, area, … */
static bool may_use(const struct tz_store *s, const struct tz_stmt *st, const struct tz_device *d)
{
    const char *role = tz_stmt_text(st, 2);
    const struct tz_role *r = role ? tz_catalogue_role(s->cat, role) : NULL;
    return tz_who_role_fits(s->cat, r, d->role) && tz_store_area_within(tz_stmt_text(st, 3), d->area);
}

int tz_store_users_of(struct tz_store *s, const struct tz_device *d, struct tz_arena *a, struct tz_session_user **out,
                      size_t *n, struct tz_err *err)
{
    struct tz_stmt st = {0};
    *n = 0;
    *out = tz_arena_calloc(a, TZ_MSG_USERS_MAX, sizeof **out);
    if (!*out)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    int rc = tz_db_prepare(s->db, &st,
                           "SELECT user,code,role,area,active FROM user_grant ORDER BY user<>(SELECT user FROM device"
                           " WHERE number=?1), code", /* its own first: there may be more than fit */
                           err);
    if (!rc)
        tz_stmt_bind_int(&st, 1, d->number);
    while (!rc && *n < TZ_MSG_USERS_MAX && (rc = tz_stmt_step(&st, err)) == 1)
        rc = may_use(s, &st, d) ? read_user(s, &st, a, &(*out)[(*n)++], err) : 0;
    tz_stmt_finalize(&st);
    return rc < 0 ? rc : 0;
}

static int text_field(struct tz_row *row, const char *name, const char *v)
{
    const struct tz_field *f = tz_type_field(row->rec.type, name);
    if (f && v)
        row->rec.v[f->index] = tz_value_text(v);
    return f != NULL;
}

/** The user's record, visible to everybody, and the grant behind it. */
int tz_who_put_user(struct tz_store *s, struct tz_id id, const char *code, const char *name, const char *role,
                    const char *area, bool active, struct tz_err *err)
{
    struct tz_arena a;
    struct tz_area where = tz_who_area(area);
    tz_ver ver = 0;
    tz_arena_init(&a, 256 * 1024);
    struct tz_row *row = tz_arena_calloc(&a, 1, sizeof *row);
    struct tz_row *old = tz_arena_alloc(&a, sizeof *old);
    int rc = row && old ? tz_store_own_commit(s, &ver, err) : tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    int found = rc ? 0 : tz_replica_get(s->rep, s->user_type, id, &a, old, err);
    if (!rc && found >= 0) {
        if (found)
            *row = *old;
        else
            tz_record_init(&row->rec, s->user_type);
        row->id = id;
        row->born = found ? row->born : ver;
        text_field(row, "code", code);
        text_field(row, "name", name);
        text_field(row, "role", role);
        const struct tz_field *district = tz_type_field(s->user_type, "district_code");
        if (district)
            row->rec.v[district->index] = where.district[0] ? tz_value_text(where.district) : tz_value_null();
        row->rec.v[tz_type_field(s->user_type, "active")->index] = tz_value_int(active);
        rc = tz_rows_put(s, row, found ? old : NULL, ver, &a, err);
    }
    tz_arena_deinit(&a);
    return found < 0 ? found : rc;
}

int tz_who_check_user(struct tz_store *s, const char *code, const char *name, struct tz_err *err)
{
    enum { CODE_BYTES_MAX = 40 };
    int rc = tz_value_check(tz_type_field(s->user_type, "code"), tz_value_text(code), true, err);
    if (!rc && (code[0] == '\0' || strlen(code) > CODE_BYTES_MAX))
        rc = tz_err_set(err, TZ_E_VALUE, "code", code, "1-40", NULL);
    return rc ? rc : tz_value_check(tz_type_field(s->user_type, "name"), tz_value_text(name), true, err);
}

/** There is no such role: which there are. */
static int no_role(const struct tz_store *s, const char *role, struct tz_err *err)
{
    char names[TZ_ERR_ARG_BYTES] = "";
    size_t n = 0;
    for (size_t i = 0; i < s->cat->nroles && n < sizeof names; i++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", i ? ", " : "", s->cat->roles[i].name);
    return tz_err_set(err, TZ_E_VALUE, "role", role, names, NULL);
}

int tz_who_check_grant(struct tz_store *s, const char *role, const char *area, struct tz_err *err)
{
    const struct tz_role *r = tz_catalogue_role(s->cat, role);
    size_t n = strlen(area);
    if (!r)
        return no_role(s, role, err);
    bool city = strcmp(area, TZ_CITY_CODE) == 0;
    if ((n != 6 && n != 9) || strspn(area, "0123456789") != n || (city && r->level != TZ_LEVEL_CITY) ||
        (r->level == TZ_LEVEL_CITY && !city) || (n == 6 && r->level == TZ_LEVEL_STREET))
        return tz_err_set(err, TZ_E_VALUE, "area", area, role, NULL);
    struct tz_arena a;
    tz_arena_init(&a, 64 * 1024);
    struct tz_row *row = tz_arena_alloc(&a, sizeof *row);
    struct tz_id id = tz_store_fixed_id("division", tz_bytes_str(area));
    int rc = row ? tz_replica_get(s->rep, s->division_type, id, &a, row, err) : TZ_E_NOMEM;
    tz_arena_deinit(&a);
    return rc < 0 ? rc : rc == 1 ? 0 : tz_err_set(err, TZ_E_VALUE, "area", area, "division", NULL);
}

static int grant_put(struct tz_store *s, struct tz_id id, const char *code, const char *role, const char *area,
                     struct tz_err *err)
{
    struct tz_stmt st = {0};
    int rc = tz_db_prepare(s->db, &st, "INSERT INTO user_grant(user,code,role,area,active) VALUES(?,?,?,?,1)", err);
    if (!rc) {
        tz_stmt_bind_id(&st, 1, &id);
        tz_stmt_bind_text(&st, 2, code);
        tz_stmt_bind_text(&st, 3, role);
        tz_stmt_bind_text(&st, 4, area);
        rc = tz_stmt_run(&st, err);
    }
    tz_stmt_finalize(&st);
    return rc;
}

int tz_who_user_by_code(struct tz_store *s, const char *code, struct tz_id *id, char role[TZ_NAME_BYTES],
                        char area[TZ_STREET_BYTES], struct tz_err *err)
{
    struct tz_stmt st = {0};
    int rc = tz_db_prepare(s->db, &st, "SELECT user,role,area FROM user_grant WHERE code=?", err);
    if (!rc) {
        tz_stmt_bind_text(&st, 1, code);
        rc = tz_stmt_step(&st, err);
    }
    if (rc == 1) {
        tz_stmt_id(&st, 0, id);
        tz_who_copy(role, TZ_NAME_BYTES, tz_stmt_text(&st, 1));
        tz_who_copy(area, TZ_STREET_BYTES, tz_stmt_text(&st, 2));
    }
    tz_stmt_finalize(&st);
    return rc;
}

int tz_store_user_add(struct tz_store *s, const char *code, const char *name, const char *role, const char *area,
                      struct tz_id *out, struct tz_err *err)
{
    char r[TZ_NAME_BYTES];
    char where[TZ_STREET_BYTES];
    int rc = tz_who_check_grant(s, role, area, err);
    if (!rc)
        rc = tz_who_check_user(s, code, name, err);
    if (rc)
        return rc;
    rc = tz_who_user_by_code(s, code, out, r, where, err);
    if (rc)
        return rc < 0 ? rc : tz_err_set(err, TZ_E_NAME_TAKEN, code, NULL, NULL, NULL);
    *out = tz_store_fixed_id("user", tz_bytes_str(code));
    rc = grant_put(s, *out, code, role, area, err);
    if (!rc)
        rc = tz_who_put_user(s, *out, code, name, role, area, true, err);
    if (!rc)
        rc = tz_journal_note(s, TZ_JOURNAL_USER, tz_value_blob(out->b, TZ_ID_BYTES), err);
    return rc ? rc : tz_audit_add(s, "user add", tz_bytes_str(code), err);
}

/** What he could do until now is past. */
static int disable_ends(struct tz_store *s, struct tz_id user, const char *role, const char *area, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_USER_GRANT_SINCE, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_id(st, 1, &user);
    int rc = tz_stmt_step(st, err);
    bool active = rc == 1 && tz_stmt_int(st, 2) != 0;
    tz_ver since = rc == 1 ? (tz_ver)tz_stmt_int(st, 3) : 0;
    tz_stmt_reset(st);
    return rc < 0 ? rc : active ? tz_grant_ended(s, 0, &user, role, area, since, s->group_head, err) : 0;
}

int tz_store_user_disable(struct tz_store *s, const char *code, struct tz_err *err)
{
    struct tz_stmt st = {0};
    struct tz_id id;
    char role[TZ_NAME_BYTES];
    char area[TZ_STREET_BYTES];
    int rc = tz_who_user_by_code(s, code, &id, role, area, err);
    if (rc != 1)
        return rc < 0 ? rc : tz_err_set(err, TZ_E_NOT_FOUND, code, NULL, NULL, NULL);
    rc = disable_ends(s, id, role, area, err);
    if (!rc)
        rc = tz_db_prepare(s->db, &st, "UPDATE user_grant SET active=0 WHERE user=?", err);
    if (!rc) {
        tz_stmt_bind_id(&st, 1, &id);
        rc = tz_stmt_run(&st, err);
    }
    tz_stmt_finalize(&st);
    if (!rc)
        rc = tz_who_put_user(s, id, code, NULL, role, area, false, err);
    if (!rc)
        rc = tz_journal_note(s, TZ_JOURNAL_USER, tz_value_blob(id.b, TZ_ID_BYTES), err);
    return rc ? rc : tz_audit_add(s, "user disable", tz_bytes_str(code), err);
}
