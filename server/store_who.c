/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices, users, invitations and what a grant covers. The device table is the authority on who may connect; it is read
 * on each session and each changeset, so a revocation counts from the next one.
 */
#include "store_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- areas by code ---- */

struct tz_area tz_who_area(const char *code)
{
    struct tz_area a = {0};
    size_t n = strnlen(code, TZ_STREET_BYTES);
    if (strcmp(code, TZ_CITY_CODE) == 0 || n < 6)
        return a;
    memcpy(a.district, code, 6);
    if (n == 9)
        memcpy(a.street, code, 9);
    return a;
}

bool tz_who_area_within(const char *inner, const char *outer)
{
    struct tz_area i = tz_who_area(inner);
    struct tz_area o = tz_who_area(outer);
    return strcmp(outer, TZ_CITY_CODE) == 0 || (strcmp(inner, TZ_CITY_CODE) != 0 && tz_area_covers(&o, &i));
}

bool tz_who_role_fits(const struct tz_catalogue *cat, const struct tz_role *user, const char *device_role)
{
    const struct tz_role *d = tz_catalogue_role(cat, device_role);
    return user && d && (user->editor == 0 || user->editor == d->editor) && (!user->reads_secret || d->reads_secret) &&
           (!user->supervises || d->supervises);
}

/* ---- devices ---- */

static void copy_text(char *out, size_t cap, const char *in)
{
    size_t n = in ? strnlen(in, cap - 1) : 0;
    if (n)
        memcpy(out, in, n);
    out[n] = '\0';
}

static void read_device(const struct tz_stmt *st, struct tz_device *d)
{
    memset(d, 0, sizeof *d);
    d->number = (uint32_t)tz_stmt_int(st, 0);
    d->incarnation = (uint32_t)tz_stmt_int(st, 1);
    copy_text(d->name, sizeof d->name, tz_stmt_text(st, 2));
    copy_text(d->role, sizeof d->role, tz_stmt_text(st, 3));
    copy_text(d->area, sizeof d->area, tz_stmt_text(st, 4));
    d->revoked = tz_stmt_int(st, 5) != 0;
    d->last_seq = (uint64_t)tz_stmt_int(st, 6);
    d->last_seen_ms = tz_stmt_int(st, 7);
    d->checkpoint = (tz_ver)tz_stmt_int(st, 8);
    d->acked_ms = tz_stmt_int(st, 9);
    d->grant_since = (tz_ver)tz_stmt_int(st, 10);
    d->until_ms = tz_stmt_int(st, 11);
    d->unsent = (uint64_t)tz_stmt_int(st, 12);
    d->wiped_ms = tz_stmt_int(st, 13);
}

static int one_device(struct tz_stmt *st, struct tz_device *out, struct tz_err *err)
{
    int rc = tz_stmt_step(st, err);
    if (rc == 1)
        read_device(st, out);
    tz_stmt_reset(st);
    return rc;
}

int tz_store_device_by_fingerprint(struct tz_store *s, const uint8_t fp[TZ_FINGERPRINT_BYTES], struct tz_device *out,
                                   struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_DEVICE_BY_FP, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_blob(st, 1, fp, TZ_FINGERPRINT_BYTES);
    return one_device(st, out, err);
}

int tz_store_device_by_number(struct tz_store *s, uint32_t number, struct tz_device *out, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_DEVICE_BY_NUMBER, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, number);
    return one_device(st, out, err);
}

int tz_store_device_by_name(struct tz_store *s, const char *name, struct tz_device *out, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_DEVICE_BY_NAME, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_text(st, 1, name);
    return one_device(st, out, err);
}

int tz_store_devices(struct tz_store *s, tz_device_cb cb, void *ctx, struct tz_err *err)
{
    struct tz_stmt st = {0};
    struct tz_device d;
    int rc = tz_db_prepare(s->db, &st, "SELECT " TZ_DEVICE_COLUMNS " FROM device ORDER BY number", err);
    while (!rc && (rc = tz_stmt_step(&st, err)) == 1) {
        read_device(&st, &d);
        int go = cb(ctx, &d);
        rc = go > 0 ? 0 : go;
        if (go <= 0)
            break;
    }
    tz_stmt_finalize(&st);
    return rc;
}

/* ---- grants ---- */

static int add_district(void *ctx, const struct tz_row *row)
{
    struct tz_grant *g = ctx;
    struct tz_value code = row->rec.v[tz_type_field(row->rec.type, "code")->index];
    if (code.kind != TZ_V_TEXT || code.n != 6 || g->nareas == TZ_MSG_AREAS_MAX)
        return 1;
    struct tz_area *a = &g->areas[g->nareas++];
    memset(a, 0, sizeof *a);
    memcpy(a->district, code.p, 6);
    return 1;
}

int tz_store_grant_of(struct tz_store *s, const struct tz_device *d, struct tz_grant *out, struct tz_err *err)
{
    memset(out, 0, sizeof *out);
    out->device = d->number;
    out->incarnation = d->incarnation;
    out->role = tz_catalogue_role(s->cat, d->role);
    if (!out->role)
        return tz_err_setf(err, TZ_E_CATALOGUE, "roles.csv: %s", d->role);
    out->reads_secret = out->role->reads_secret;
    out->since = d->grant_since;
    out->until_ms = d->until_ms;
    bool ended = d->area[0] == '\0' || (d->until_ms && tz_clock_wall(&s->clock).ms >= d->until_ms);
    if (!out->role->reads_business || ended || d->revoked)
        return 0;
    out->nareas = 1; /* the city's own rows */
    if (strcmp(d->area, TZ_CITY_CODE) != 0) {
        out->areas[out->nareas++] = tz_who_area(d->area);
        return 0;
    }
    memcpy(out->areas[out->nareas++].district, TZ_CITY_CODE, TZ_DISTRICT_BYTES); /* what no single district may see */
    return tz_replica_find(s->rep, tz_type_field(s->division_type, "level"), s->division_type,
                           tz_value_text("district"), add_district, out, err);
}

/* ---- users ---- */

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
    return tz_who_role_fits(s->cat, r, d->role) && tz_who_area_within(tz_stmt_text(st, 3), d->area);
}

int tz_store_users_of(struct tz_store *s, const struct tz_device *d, struct tz_arena *a, struct tz_session_user **out,
                      size_t *n, struct tz_err *err)
{
    struct tz_stmt st = {0};
    *n = 0;
    *out = tz_arena_calloc(a, TZ_MSG_USERS_MAX, sizeof **out);
    if (!*out)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    int rc = tz_db_prepare(s->db, &st, "SELECT user,code,role,area,active FROM user_grant ORDER BY code", err);
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

/** Codes and names become fields of a record that everybody receives: the rules of those fields hold. @code: shorter
 * than its field allows, since a device is named like its first user. */
static int check_user(struct tz_store *s, const char *code, const char *name, struct tz_err *err)
{
    enum { CODE_BYTES_MAX = 40 };
    int rc = tz_value_check(tz_type_field(s->user_type, "code"), tz_value_text(code), true, err);
    if (!rc && (code[0] == '\0' || strlen(code) > CODE_BYTES_MAX))
        rc = tz_err_set(err, TZ_E_VALUE, "code", code, "1-40", NULL);
    return rc ? rc : tz_value_check(tz_type_field(s->user_type, "name"), tz_value_text(name), true, err);
}

int tz_who_check_grant(struct tz_store *s, const char *role, const char *area, struct tz_err *err)
{
    const struct tz_role *r = tz_catalogue_role(s->cat, role);
    size_t n = strlen(area);
    if (!r)
        return tz_err_set(err, TZ_E_VALUE, "role", role, "roles.csv", NULL);
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

static int user_by_code(struct tz_store *s, const char *code, struct tz_id *id, char role[TZ_NAME_BYTES],
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
        copy_text(role, TZ_NAME_BYTES, tz_stmt_text(&st, 1));
        copy_text(area, TZ_STREET_BYTES, tz_stmt_text(&st, 2));
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
        rc = check_user(s, code, name, err);
    if (rc)
        return rc;
    rc = user_by_code(s, code, out, r, where, err);
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
    int rc = user_by_code(s, code, &id, role, area, err);
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

/* ---- invitations ---- */

int tz_store_invite_add(struct tz_store *s, const struct tz_invite_spec *spec, uint8_t secret[16], struct tz_err *err)
{
    struct tz_stmt st = {0};
    struct tz_device d;
    uint8_t hash[TZ_SHA256_BYTES];
    int rc = tz_who_check_grant(s, spec->role, spec->area, err);
    if (!rc)
        rc = check_user(s, spec->name, spec->name, err);
    if (rc)
        return rc;
    rc = tz_store_device_by_name(s, spec->name, &d, err);
    if (rc)
        return rc < 0 ? rc : tz_err_set(err, TZ_E_NAME_TAKEN, spec->name, NULL, NULL, NULL);
    tz_store_random(s, secret, 16);
    rc = tz_sha256(tz_bytes_of(secret, 16), hash);
    if (!rc)
        rc = tz_db_prepare(s->db, &st, "INSERT INTO invite(secret_hash,role,area,name,made_ms) VALUES(?,?,?,?,?)", err);
    if (!rc) {
        tz_stmt_bind_blob(&st, 1, hash, sizeof hash);
        tz_stmt_bind_text(&st, 2, spec->role);
        tz_stmt_bind_text(&st, 3, spec->area);
        tz_stmt_bind_text(&st, 4, spec->name);
        tz_stmt_bind_int(&st, 5, tz_clock_wall(&s->clock).ms);
        rc = tz_stmt_run(&st, err);
    }
    tz_stmt_finalize(&st);
    if (!rc)
        rc = tz_journal_note(s, TZ_JOURNAL_INVITE, tz_value_blob(hash, sizeof hash), err);
    return rc ? rc : tz_audit_add(s, "invite", tz_bytes_str(spec->name), err);
}

/* ---- enrolment ---- */

struct invite {
    char role[TZ_NAME_BYTES], area[TZ_STREET_BYTES], name[TZ_NAME_BYTES];
    uint32_t device; /* 0 = not used yet */
    uint8_t key_hash[32];
    uint8_t secret_hash[TZ_SHA256_BYTES];
};

static int invite_get(struct tz_store *s, struct tz_bytes secret, struct invite *out, struct tz_err *err)
{
    struct tz_stmt st = {0};
    memset(out, 0, sizeof *out);
    int rc = tz_sha256(secret, out->secret_hash);
    if (!rc)
        rc = tz_db_prepare(s->db, &st, "SELECT role,area,name,device,key_hash FROM invite WHERE secret_hash=?", err);
    if (!rc) {
        tz_stmt_bind_blob(&st, 1, out->secret_hash, sizeof out->secret_hash);
        rc = tz_stmt_step(&st, err);
    }
    if (rc == 1) {
        copy_text(out->role, sizeof out->role, tz_stmt_text(&st, 0));
        copy_text(out->area, sizeof out->area, tz_stmt_text(&st, 1));
        copy_text(out->name, sizeof out->name, tz_stmt_text(&st, 2));
        out->device = (uint32_t)tz_stmt_int(&st, 3);
        struct tz_bytes key = tz_stmt_blob(&st, 4);
        if (key.n == sizeof out->key_hash)
            memcpy(out->key_hash, key.p, key.n);
    }
    tz_stmt_finalize(&st);
    return rc;
}

/** A join repeated with the same key: the same device and certificate. */
static int enrol_again(struct tz_store *s, const struct invite *inv, struct tz_enrolment *out, struct tz_err *err)
{
    struct tz_stmt st = {0};
    int rc = tz_store_device_by_number(s, inv->device, &out->device, err);
    if (rc != 1 || out->device.revoked)
        return rc < 0 ? rc : tz_err_set(err, TZ_E_INVITE, NULL, NULL, NULL, NULL);
    rc = tz_db_prepare(s->db, &st, "SELECT user,certificate FROM device WHERE number=?", err);
    if (!rc) {
        tz_stmt_bind_int(&st, 1, inv->device);
        rc = tz_stmt_step(&st, err);
    }
    if (rc == 1) {
        struct tz_bytes cert = tz_stmt_blob(&st, 1);
        tz_stmt_id(&st, 0, &out->user);
        rc = tz_buf_put(&out->certificate, cert.p, cert.n);
    }
    tz_stmt_finalize(&st);
    return rc;
}

static int device_put(struct tz_store *s, const struct tz_enrolment *e, const uint8_t fp[TZ_FINGERPRINT_BYTES],
                      struct tz_err *err)
{
    struct tz_stmt st = {0};
    struct tz_bytes cert = tz_buf_unread(&e->certificate);
    int rc =
        tz_db_prepare(s->db, &st,
                      "INSERT INTO device(number,incarnation,name,role,area,user,fingerprint,certificate,enrolled_ms)"
                      " VALUES(?,?,?,?,?,?,?,?,?)",
                      err);
    if (!rc) {
        tz_stmt_bind_int(&st, 1, e->device.number);
        tz_stmt_bind_int(&st, 2, e->device.incarnation);
        tz_stmt_bind_text(&st, 3, e->device.name);
        tz_stmt_bind_text(&st, 4, e->device.role);
        tz_stmt_bind_text(&st, 5, e->device.area);
        tz_stmt_bind_id(&st, 6, &e->user);
        tz_stmt_bind_blob(&st, 7, fp, TZ_FINGERPRINT_BYTES);
        tz_stmt_bind_blob(&st, 8, cert.p, cert.n);
        tz_stmt_bind_int(&st, 9, tz_clock_wall(&s->clock).ms);
        rc = tz_stmt_run(&st, err);
    }
    tz_stmt_finalize(&st);
    return rc;
}

static int invite_used(struct tz_store *s, const struct invite *inv, uint32_t device, const uint8_t key_hash[32],
                       struct tz_err *err)
{
    struct tz_stmt st = {0};
    int rc = tz_db_prepare(s->db, &st, "UPDATE invite SET device=?, key_hash=? WHERE secret_hash=?", err);
    if (!rc) {
        tz_stmt_bind_int(&st, 1, device);
        tz_stmt_bind_blob(&st, 2, key_hash, 32);
        tz_stmt_bind_blob(&st, 3, inv->secret_hash, sizeof inv->secret_hash);
        rc = tz_stmt_run(&st, err);
    }
    tz_stmt_finalize(&st);
    return rc;
}

/** The first user: a person of that code with the same grant may be there already. */
static int first_user(struct tz_store *s, const struct invite *inv, struct tz_id *out, struct tz_err *err)
{
    char role[TZ_NAME_BYTES];
    char area[TZ_STREET_BYTES];
    int rc = user_by_code(s, inv->name, out, role, area, err);
    if (rc == 0)
        return tz_store_user_add(s, inv->name, inv->name, inv->role, inv->area, out, err);
    if (rc == 1 && (strcmp(role, inv->role) != 0 || strcmp(area, inv->area) != 0))
        return tz_err_set(err, TZ_E_EXISTS, inv->name, NULL, NULL, NULL);
    return rc < 0 ? rc : 0;
}

static int enrol_new(struct tz_store *s, const struct invite *inv, struct tz_bytes csr, const uint8_t key_hash[32],
                     tz_sign_fn sign, void *sign_ctx, struct tz_enrolment *out, struct tz_err *err)
{
    uint8_t fp[TZ_FINGERPRINT_BYTES];
    int64_t last = 0;
    struct tz_device taken;
    int rc = tz_store_device_by_name(s, inv->name, &taken, err);
    if (rc)
        return rc < 0 ? rc : tz_err_set(err, TZ_E_INVITE, NULL, NULL, NULL, NULL);
    rc = tz_db_query_int(s->db, "SELECT max(number) FROM device", &last, err);
    out->device.number = (uint32_t)last + 1;
    out->device.incarnation = 1;
    copy_text(out->device.name, sizeof out->device.name, inv->name);
    copy_text(out->device.role, sizeof out->device.role, inv->role);
    copy_text(out->device.area, sizeof out->device.area, inv->area);
    if (!rc)
        rc = sign(sign_ctx, out->device.number, csr, &out->certificate, fp, err);
    if (!rc)
        rc = first_user(s, inv, &out->user, err);
    if (!rc)
        rc = device_put(s, out, fp, err);
    if (!rc)
        rc = invite_used(s, inv, out->device.number, key_hash, err);
    if (!rc)
        rc = tz_journal_note(s, TZ_JOURNAL_DEVICE, tz_value_int(out->device.number), err);
    if (!rc)
        rc = tz_journal_note(s, TZ_JOURNAL_INVITE, tz_value_blob(inv->secret_hash, sizeof inv->secret_hash), err);
    return rc ? rc : tz_audit_add(s, "enrol", tz_bytes_str(inv->name), err);
}

int tz_store_enrol(struct tz_store *s, struct tz_bytes secret, struct tz_bytes csr, const uint8_t csr_key_hash[32],
                   tz_sign_fn sign, void *sign_ctx, struct tz_enrolment *out, struct tz_err *err)
{
    struct invite inv;
    memset(out, 0, sizeof *out);
    tz_buf_init(&out->certificate, 64 * 1024);
    int rc = invite_get(s, secret, &inv, err);
    if (rc == 0)
        rc = tz_err_set(err, TZ_E_INVITE, NULL, NULL, NULL, NULL);
    else if (rc == 1 && inv.device)
        rc = memcmp(inv.key_hash, csr_key_hash, sizeof inv.key_hash) == 0
                 ? enrol_again(s, &inv, out, err)
                 : tz_err_set(err, TZ_E_INVITE, NULL, NULL, NULL, NULL);
    else if (rc == 1)
        rc = enrol_new(s, &inv, csr, csr_key_hash, sign, sign_ctx, out, err);
    return rc;
}

/* ---- in a group ---- */

int tz_store_device_revoke(struct tz_store *s, uint32_t device, struct tz_err *err)
{
    struct tz_stmt st = {0};
    struct tz_device d;
    int rc = tz_store_device_by_number(s, device, &d, err);
    if (rc != 1)
        return rc < 0 ? rc : tz_err_setf(err, TZ_E_NOT_FOUND, "%u", device);
    rc = tz_db_prepare(s->db, &st, "UPDATE device SET revoked=1 WHERE number=?", err);
    if (!rc) {
        tz_stmt_bind_int(&st, 1, device);
        rc = tz_stmt_run(&st, err);
    }
    tz_stmt_finalize(&st);
    if (!rc)
        rc = tz_journal_note(s, TZ_JOURNAL_DEVICE, tz_value_int(device), err);
    return rc ? rc : tz_audit_add(s, "revoke", tz_bytes_str(d.name), err);
}

/** How many lost seqs of the device are not passed over yet. */
static int count_lost(struct tz_store *s, const struct tz_device *d, uint64_t *out, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_LOST_COUNT, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, d->number);
    tz_stmt_bind_int(st, 2, d->incarnation);
    tz_stmt_bind_int(st, 3, (int64_t)d->last_seq);
    int rc = tz_stmt_step(st, err);
    *out = rc == 1 ? (uint64_t)tz_stmt_int(st, 0) : 0;
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

/** Lost seqs of a Hello, as long as there is room for them. */
static int note_lost(struct tz_store *s, const struct tz_device *d, const struct tz_msg_hello *h, int64_t now,
                     struct tz_err *err)
{
    uint64_t n = 0;
    int rc = count_lost(s, d, &n, err);
    for (size_t i = 0; i < h->nlost && n < TZ_MSG_LOST_MAX && !rc; i++) {
        if (h->lost_seqs[i] <= d->last_seq || h->lost_seqs[i] > h->last_seq || h->lost_seqs[i] > INT64_MAX)
            continue; /* judged already, or never given */
        struct tz_stmt *st = tz_store_sql(s, TZ_SQL_LOST_PUT, err);
        if (!st)
            return TZ_E_DB;
        tz_stmt_bind_int(st, 1, d->number);
        tz_stmt_bind_int(st, 2, d->incarnation);
        tz_stmt_bind_int(st, 3, (int64_t)h->lost_seqs[i]);
        tz_stmt_bind_int(st, 4, now);
        rc = tz_stmt_run(st, err);
        n += !rc && tz_db_changes(s->db) > 0;
    }
    return rc;
}

/** Answers that the device heard and this database does not know: a restore forgot them. Without one it never gave
 * them. */
static int note_forgotten(struct tz_store *s, const struct tz_device *d, const struct tz_msg_hello *h,
                          struct tz_err *err)
{
    uint64_t heard = h->heard_seq < h->last_seq ? h->heard_seq : h->last_seq;
    if (s->nlost == 0 || heard <= d->last_seq || heard > INT64_MAX)
        return 0;
    return tz_installation_forget(s, d, heard, err);
}

/** A device has seen what this database neither has nor knows to have lost: serving it would give versions twice. */
static int not_behind(const struct tz_store *s, tz_ver seen, struct tz_err *err)
{
    char theirs[24];
    char ours[24];
    char epoch[16];
    if (seen <= s->head || tz_lost_floor(s, seen) != seen)
        return 0;
    (void)snprintf(theirs, sizeof theirs, "%llu", (unsigned long long)seen);
    (void)snprintf(ours, sizeof ours, "%llu", (unsigned long long)s->head);
    (void)snprintf(epoch, sizeof epoch, "%llu", (unsigned long long)(seen >> TZ_VER_COUNTER_BITS) + 1);
    return tz_err_set(err, TZ_E_SERVER_OLDER, theirs, ours, epoch, NULL);
}

int tz_store_session_begin(struct tz_store *s, uint32_t device, const struct tz_msg_hello *h, int64_t offset_ms,
                           struct tz_err *err)
{
    int64_t now = tz_clock_wall(&s->clock).ms;
    struct tz_device d = {0};
    int behind = not_behind(s, h->checkpoint, err);
    if (behind)
        return behind;
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_DEVICE_SEEN, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, device);
    tz_stmt_bind_int(st, 2, now);
    tz_stmt_bind_int(st, 3, offset_ms);
    tz_stmt_bind_int(st, 4, (int64_t)(tz_lost_floor(s, h->checkpoint) & INT64_MAX));
    tz_stmt_bind_int(st, 5, (int64_t)(h->unsent & INT64_MAX));
    int rc = tz_stmt_run(st, err);
    int found = rc ? rc : tz_store_device_by_number(s, device, &d, err);
    if (found == 1)
        found = tz_store_installation(s, &d, h->incarnation, err);
    if (found != 1)
        return found < 0 ? found : 0;
    if (h->nlost)
        rc = note_lost(s, &d, h, now, err);
    if (!rc)
        rc = note_forgotten(s, &d, h, err);
    return rc ? rc : tz_reoffer_end(s, err);
}

int tz_store_acknowledged(struct tz_store *s, uint32_t device, tz_ver checkpoint, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_DEVICE_ACKED, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, device);
    tz_stmt_bind_int(st, 2, (int64_t)checkpoint);
    tz_stmt_bind_int(st, 3, tz_clock_wall(&s->clock).ms);
    return tz_stmt_run(st, err);
}
