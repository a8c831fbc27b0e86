/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the local replica, and its one row of state.
 *
 * Invariants
 *  1. The state in memory is what the database held at the last load; a write transaction loads it first and stores it
 * last, so several processes never give one seq, hlc or id twice.
 *  2. Reading calls load what they print; nothing is remembered between calls that another process may have changed.
 *
 * Rows and overlay are overlay.c's, saves are save.c's, what arrives is feed.c's and outbox.c's business.
 */
#include "office_int.h"

#include <stdlib.h>
#include <string.h>

int tz_office_nomem(struct tz_err *err)
{
    return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
}

struct tz_stmt *tz_office_sql(struct tz_office *o, enum tz_office_stmt which, const char *sql, struct tz_err *err)
{
    struct tz_stmt *s = &o->stmts[which];
    if (s->st) {
        tz_stmt_reset(s);
        return s;
    }
    return tz_db_prepare(o->db, s, sql, err) ? NULL : s;
}

static void copy_text(char *out, size_t n, const char *in)
{
    size_t len = in ? strnlen(in, n - 1) : 0;
    if (len)
        memcpy(out, in, len);
    out[len] = '\0';
}

static void read_state(const struct tz_stmt *s, struct tz_office_state *st)
{
    memset(st, 0, sizeof *st);
    st->id.device = (uint32_t)tz_stmt_int(s, 0);
    st->id.incarnation = (uint32_t)tz_stmt_int(s, 1);
    copy_text(st->id.name, sizeof st->id.name, tz_stmt_text(s, 2));
    copy_text(st->id.role, sizeof st->id.role, tz_stmt_text(s, 3));
    copy_text(st->id.area, sizeof st->id.area, tz_stmt_text(s, 4));
    copy_text(st->id.address, sizeof st->id.address, tz_stmt_text(s, 5));
    tz_stmt_id(s, 6, &st->id.user);
    st->last_seq = (uint64_t)tz_stmt_int(s, 7);
    st->last_hlc = (tz_hlc)tz_stmt_int(s, 8);
    st->id_ms = tz_stmt_int(s, 9);
    st->id_counter = (uint16_t)tz_stmt_int(s, 10);
    st->checkpoint = (tz_ver)tz_stmt_int(s, 11);
    st->audit_n = (uint64_t)tz_stmt_int(s, 12);
    struct tz_bytes hash = tz_stmt_blob(s, 13);
    if (hash.n == sizeof st->audit_hash)
        memcpy(st->audit_hash, hash.p, hash.n);
    st->filling = tz_stmt_int(s, 14) != 0;
    st->welcomed = tz_stmt_int(s, 15) != 0;
    st->reads_secret = tz_stmt_int(s, 16) != 0;
    st->last_sync_ms = tz_stmt_int(s, 17);
    st->offset_ms = tz_stmt_int(s, 18);
}

int tz_office_load(struct tz_office *o, struct tz_err *err)
{
    if (o->saving) /* the open save has moved ids on; the database learns of it at its commit */
        return 0;
    struct tz_stmt *s =
        tz_office_sql(o, OS_STATE_READ,
                      "SELECT device, incarnation, name, role, area, address, user, last_seq, last_hlc, id_ms, "
                      "id_counter, checkpoint,"
                      " audit_n, audit_hash, filling, welcomed, reads_secret, last_sync_ms, offset_ms FROM office",
                      err);
    if (!s)
        return tz_office_code(err);
    int rc = tz_stmt_step(s, err);
    if (rc == 0)
        return tz_err_set(err, TZ_E_NOT_ENROLLED, NULL, NULL, NULL, NULL);
    if (rc < 0)
        return rc;
    read_state(s, &o->st);
    tz_stmt_reset(s);
    return 0;
}

static int write_state(struct tz_stmt *s, const struct tz_office_state *st, struct tz_err *err)
{

    tz_stmt_bind_int(s, 1, st->id.device);
    tz_stmt_bind_int(s, 2, st->id.incarnation);
    tz_stmt_bind_text(s, 3, st->id.name);
    tz_stmt_bind_text(s, 4, st->id.role);
    tz_stmt_bind_text(s, 5, st->id.area);
    tz_stmt_bind_text(s, 6, st->id.address);
    tz_stmt_bind_id(s, 7, &st->id.user);
    tz_stmt_bind_int(s, 8, (int64_t)st->last_seq);
    tz_stmt_bind_int(s, 9, (int64_t)st->last_hlc);
    tz_stmt_bind_int(s, 10, st->id_ms);
    tz_stmt_bind_int(s, 11, st->id_counter);
    tz_stmt_bind_int(s, 12, (int64_t)st->checkpoint);
    tz_stmt_bind_int(s, 13, (int64_t)st->audit_n);
    tz_stmt_bind_blob(s, 14, st->audit_hash, sizeof st->audit_hash);
    tz_stmt_bind_int(s, 15, st->filling);
    tz_stmt_bind_int(s, 16, st->welcomed);
    tz_stmt_bind_int(s, 17, st->reads_secret);
    tz_stmt_bind_int(s, 18, st->last_sync_ms);
    tz_stmt_bind_int(s, 19, st->offset_ms);
    return tz_stmt_run(s, err);
}

static const char STATE_WRITE[] = "INSERT OR REPLACE INTO office VALUES"
                                  "(1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

int tz_office_store(struct tz_office *o, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_STATE_WRITE, STATE_WRITE, err);
    return s ? write_state(s, &o->st, err) : tz_office_code(err);
}

int tz_office_begin(struct tz_office *o, struct tz_err *err)
{
    if (o->saving)
        return tz_err_set(err, TZ_E_INTERNAL, "a save is open", NULL, NULL, NULL);
    int rc = tz_db_begin_immediate(o->db, err);
    if (rc)
        return rc;
    rc = tz_office_load(o, err);
    if (rc)
        tz_db_rollback(o->db);
    return rc;
}

int tz_office_end(struct tz_office *o, int rc, struct tz_err *err)
{
    if (!rc)
        rc = tz_office_store(o, err);
    if (!rc)
        rc = tz_db_commit(o->db, err);
    else
        tz_db_rollback(o->db);
    if (rc) { /* memory must not run ahead of what is durable */
        tz_overlay_cache_drop(o);
        struct tz_err ignored = {0};
        int again = tz_office_load(o, &ignored);
        (void)again; /* the first error is the one to tell; the next transaction loads again */
    }
    return rc;
}

/* ---- opening ---- */

int tz_office_create(const char *path, const struct tz_office_options *opt, const struct tz_identity *id,
                     struct tz_err *err)
{
    struct tz_db *db = NULL;
    struct tz_replica *rep = NULL;
    struct tz_stmt s = {0};
    int64_t joined = 0;
    struct tz_office_state st = {.id = *id};
    int rc = tz_db_open(path, TZ_DB_CREATE, &opt->db, &db, err);
    if (!rc)
        rc = tz_migrate(db, tz_client_migrations, tz_client_migrations_count, NULL, err);
    if (!rc)
        rc = tz_replica_open(db, opt->catalogue, TZ_SIDE_CLIENT, true, &rep, err);
    if (!rc)
        rc = tz_db_begin_immediate(db, err);
    if (!rc)
        rc = tz_db_query_int(db, "SELECT count(*) FROM office", &joined, err);
    if (!rc && joined)
        rc = tz_err_set(err, TZ_E_JOINED, NULL, NULL, NULL, NULL);
    if (!rc)
        rc = tz_db_prepare(db, &s, STATE_WRITE, err);
    if (!rc)
        rc = write_state(&s, &st, err);
    tz_stmt_finalize(&s);
    tz_replica_close(rep);
    if (!rc)
        rc = tz_db_commit(db, err);
    tz_db_close(db);
    return rc ? (err ? tz_err_prefix(err, "create %s", path) : rc) : 0;
}

static int open_writable(struct tz_office *o, struct tz_err *err)
{
    int rc = tz_replica_open(o->db, o->cat, TZ_SIDE_CLIENT, true, &o->rep, err);
    if (rc) /* a newer catalogue may need columns that there is no room for */
        return rc;
    rc = tz_office_begin(o, err);
    if (!rc)
        rc = tz_office_end(o, tz_feed_promote(o, err), err);
    if (rc != TZ_E_DISK_FULL)
        return rc;
    if (err) /* what is kept aside waits for room; reading goes on */
        *err = (struct tz_err){0};
    return tz_office_load(o, err);
}

int tz_office_open(const char *path, const struct tz_office_options *opt, struct tz_office **out, struct tz_err *err)
{
    *out = NULL;
    struct tz_office *o = calloc(1, sizeof *o);
    if (!o)
        return tz_office_nomem(err);
    o->cat = opt->catalogue;
    o->clock = opt->clock;
    o->random = opt->random;
    o->random_ctx = opt->random_ctx;
    o->imports = opt->imports ? strdup(opt->imports) : NULL;
    struct tz_db_options db = opt->db;
    db.secure_delete = !db.readonly;
    for (size_t i = 0; i < TZ_OFFICE_CACHE; i++)
        tz_arena_init(&o->cache[i].arena, TZ_OFFICE_CHANGESET_ARENA_BYTES);
    int rc = tz_db_open(path, db.readonly ? TZ_DB_READ : TZ_DB_WRITE, &db, &o->db, err);
    if (!rc && opt->db.readonly) {
        rc = tz_replica_open(o->db, o->cat, TZ_SIDE_CLIENT, false, &o->rep, err);
        if (!rc)
            rc = tz_office_load(o, err);
    } else if (!rc) {
        rc = tz_migrate(o->db, tz_client_migrations, tz_client_migrations_count, NULL, err);
        if (!rc)
            rc = open_writable(o, err);
    }
    if (rc) {
        tz_office_close(o);
        return rc;
    }
    *out = o;
    return 0;
}

void tz_office_close(struct tz_office *o)
{
    if (!o)
        return;
    for (size_t i = 0; i < OS_COUNT; i++)
        tz_stmt_finalize(&o->stmts[i]);
    for (size_t i = 0; i < TZ_OFFICE_CACHE; i++)
        tz_arena_deinit(&o->cache[i].arena);
    tz_replica_close(o->rep);
    tz_db_close(o->db);
    free(o->imports);
    free(o);
}

const struct tz_identity *tz_office_identity(const struct tz_office *o)
{
    return &o->st.id;
}

struct tz_db *tz_office_db(struct tz_office *o)
{
    return o->db;
}

struct tz_replica *tz_office_replica(struct tz_office *o)
{
    return o->rep;
}

bool tz_office_filling(struct tz_office *o)
{
    struct tz_err err = {0};
    if (tz_office_load(o, &err))
        return true; /* what cannot be read is not complete */
    return o->st.filling;
}

/* ---- settings and users ---- */

int tz_office_meta_set(struct tz_office *o, const char *key, const char *value, struct tz_err *err)
{
    int rc = tz_office_begin(o, err);
    if (rc)
        return rc;
    struct tz_stmt *s = value ? tz_office_sql(o, OS_META_SET, "INSERT OR REPLACE INTO meta VALUES(?, ?)", err)
                              : tz_office_sql(o, OS_META_DEL, "DELETE FROM meta WHERE key = ?", err);
    if (!s)
        return tz_office_end(o, tz_office_code(err), err);
    tz_stmt_bind_text(s, 1, key);
    if (value)
        tz_stmt_bind_text(s, 2, value);
    return tz_office_end(o, tz_stmt_run(s, err), err);
}

const char *tz_office_meta(struct tz_office *o, const char *key, struct tz_arena *a)
{
    struct tz_stmt *s = tz_office_sql(o, OS_META_GET, "SELECT value FROM meta WHERE key = ?", NULL);
    if (!s)
        return "";
    tz_stmt_bind_text(s, 1, key);
    const char *out = NULL;
    if (tz_stmt_step(s, NULL) == 1)
        out = tz_arena_strdup(a, tz_stmt_text(s, 0));
    tz_stmt_reset(s);
    return out ? out : "";
}

int tz_office_users(struct tz_office *o, struct tz_arena *a, struct tz_session_user **out, size_t *n,
                    struct tz_err *err)
{
    *n = 0;
    *out = tz_arena_calloc(a, TZ_MSG_USERS_MAX, sizeof **out);
    struct tz_stmt *s =
        tz_office_sql(o, OS_USERS, "SELECT id, code, name, role, active FROM device_user ORDER BY code", err);
    if (!s || !*out)
        return s ? tz_office_nomem(err) : tz_office_code(err);
    int rc = 0;
    while ((rc = tz_stmt_step(s, err)) == 1 && *n < TZ_MSG_USERS_MAX) {
        struct tz_session_user *u = &(*out)[*n];
        tz_stmt_id(s, 0, &u->id);
        u->code = tz_arena_strdup(a, tz_stmt_text(s, 1));
        u->name = tz_arena_strdup(a, tz_stmt_text(s, 2));
        u->role = tz_arena_strdup(a, tz_stmt_text(s, 3));
        u->active = tz_stmt_int(s, 4) != 0;
        if (!u->code || !u->name || !u->role) {
            tz_stmt_reset(s);
            return tz_office_nomem(err);
        }
        (*n)++;
    }
    tz_stmt_reset(s);
    return rc < 0 ? rc : 0;
}

int tz_office_user_role(struct tz_office *o, struct tz_id user, char role[TZ_OFFICE_NAME_BYTES], bool *active,
                        struct tz_err *err)
{
    role[0] = '\0';
    *active = false;
    struct tz_stmt *s = tz_office_sql(o, OS_USER_ROLE, "SELECT role, active FROM device_user WHERE id = ?", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_id(s, 1, &user);
    int rc = tz_stmt_step(s, err);
    if (rc == 1) {
        copy_text(role, TZ_OFFICE_NAME_BYTES, tz_stmt_text(s, 0));
        *active = tz_stmt_int(s, 1) != 0;
    }
    tz_stmt_reset(s);
    return rc < 0 ? rc : 0;
}

struct tz_wall tz_office_now(const struct tz_office *o)
{
    struct tz_wall now = tz_clock_wall(&o->clock);
    int64_t since_sync_ms = now.ms - o->st.last_sync_ms;
    if (o->st.last_sync_ms && since_sync_ms >= 0 && since_sync_ms <= INT64_C(400) * 24 * 3600 * 1000)
        now.ms += o->st.offset_ms;
    return now;
}
