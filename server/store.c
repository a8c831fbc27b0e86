/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's life: make, open, groups, versions, and what ships with the product.
 *
 * Invariants
 *  1. head, eff_max and the audit head move only after COMMIT; inside a group their group_ twins run ahead.
 *  2. Every version is in the commit table (store_commit.c) once, also those that the server makes itself (device 0).
 *  3. The journal is told before COMMIT: it may hold a change that never happened, it never misses one that did.
 */
#include "commit_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JOURNAL_LINE_BYTES_MAX = 16 * 1024 * 1024 };

static const char *const SQL_TEXT[TZ_SQL_COUNT] = {
#define TZ_SQL(name, text) text,
#include "sql.def"
#undef TZ_SQL
};

struct tz_stmt *tz_store_sql(struct tz_store *s, enum tz_sql which, struct tz_err *err)
{
    struct tz_stmt *st = &s->stmts[which];
    if (!st->st && tz_db_prepare(s->db, st, SQL_TEXT[which], err))
        return NULL;
    tz_stmt_reset(st);
    return st;
}

void tz_store_random(struct tz_store *s, void *p, size_t n)
{
    if (s->random)
        s->random(s->random_ctx, p, n);
    else if (tz_random_bytes(p, n))
        abort(); /* no randomness: nothing secret may be made */
}

struct tz_id tz_store_fixed_id(const char *type, struct tz_bytes code)
{
    struct tz_sha256 h = {0};
    uint8_t digest[TZ_SHA256_BYTES];
    struct tz_id id;
    if (tz_sha256_init(&h) || tz_sha256_update(&h, tz_bytes_of(type, strlen(type) + 1)) || tz_sha256_update(&h, code) ||
        tz_sha256_final(&h, digest))
        abort(); /* out of memory in a digest of a few bytes */
    tz_sha256_deinit(&h);
    memcpy(id.b, digest, sizeof id.b);
    id.b[6] = (uint8_t)((id.b[6] & 0x0F) | 0x80); /* version 8: custom */
    id.b[8] = (uint8_t)((id.b[8] & 0x3F) | 0x80);
    memset(id.b + 12, 0, 4); /* maker 0 */
    return id;
}

/* ---- meta ---- */

static int meta_blob(struct tz_store *s, const char *key, uint8_t out[32], struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_META_GET, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_text(st, 1, key);
    int rc = tz_stmt_step(st, err);
    struct tz_bytes b = rc == 1 ? tz_stmt_blob(st, 0) : (struct tz_bytes){0};
    if (b.n == 32)
        memcpy(out, b.p, 32);
    tz_stmt_reset(st);
    return b.n == 32 ? 0 : tz_err_setf(err, TZ_E_DB_CORRUPT, "meta %s", key);
}

int tz_store_meta_int(struct tz_store *s, const char *key, int64_t *out, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_META_GET, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_text(st, 1, key);
    int rc = tz_stmt_step(st, err);
    *out = rc == 1 ? tz_stmt_int(st, 0) : 0;
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

int tz_store_meta_put(struct tz_store *s, const char *key, struct tz_value v, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_META_PUT, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_text(st, 1, key);
    tz_stmt_bind_value(st, 2, v);
    return tz_stmt_run(st, err);
}

/* ---- shipped rows ---- */

static void append_value(struct tz_buf *b, struct tz_value v, int *rc)
{
    if (*rc)
        return;
    if (v.kind == TZ_V_INT)
        *rc = tz_buf_printf(b, "%lld", (long long)v.i);
    else if (v.kind != TZ_V_NULL)
        *rc = tz_buf_put(b, v.p, v.n);
}

/** The code a shipped row is known by: its first business key, else all its values; parts joined by NUL. */
static int shipped_code(const struct tz_shipped_row *r, struct tz_buf *out)
{
    const struct tz_type *t = r->type;
    size_t n = t->nkeys ? t->keys[0].nfields : t->nfields;
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++) {
        if (i)
            rc = tz_buf_putc(out, 0);
        append_value(out, r->values[t->nkeys ? t->keys[0].fields[i] : i], &rc);
    }
    return rc;
}

static int seed_row(struct tz_store *s, const struct tz_shipped_row *r, tz_ver ver, struct tz_arena *a,
                    struct tz_err *err)
{
    struct tz_row *row = tz_arena_calloc(a, 1, sizeof *row);
    struct tz_row *old = tz_arena_alloc(a, sizeof *old);
    struct tz_buf code;
    if (!row || !old)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    tz_record_init(&row->rec, r->type);
    memcpy(row->rec.v, r->values, r->type->nfields * sizeof *r->values);
    tz_buf_init(&code, TZ_ROW_BYTES_MAX);
    int rc = shipped_code(r, &code);
    row->id = tz_store_fixed_id(r->type->name, tz_buf_unread(&code));
    tz_buf_deinit(&code);
    for (size_t i = 0; i < r->type->nfields && !rc; i++) {
        if (!r->ref_codes || !r->ref_codes[i])
            continue;
        struct tz_id *ref = tz_arena_alloc(a, sizeof *ref);
        if (!ref)
            return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
        *ref = tz_store_fixed_id(r->type->fields[i].ref->name, tz_bytes_str(r->ref_codes[i]));
        row->rec.v[i] = tz_value_blob(ref->b, TZ_ID_BYTES);
    }
    if (rc)
        return tz_err_set(err, rc, "shipped row", NULL, NULL, NULL);
    rc = tz_replica_get(s->rep, r->type, row->id, a, old, err);
    if (rc)
        return rc < 0 ? rc : 0; /* there already; a centre's own change to it stays */
    row->born = ver;
    rc = tz_rows_area(s, &row->rec, a, &row->area, err);
    return rc < 0 ? rc : tz_rows_put(s, row, NULL, ver, a, err);
}

/** Rows that came with this version of the catalogue, in one version of the data. */
static int seed(struct tz_store *s, struct tz_err *err)
{
    int64_t seeded = 0;
    struct tz_arena a;
    tz_ver ver = 0;
    int rc = tz_store_meta_int(s, "seeded", &seeded, err);
    if (rc || seeded >= s->cat->version)
        return rc;
    rc = tz_store_group_begin(s, err);
    if (!rc)
        rc = tz_store_own_commit(s, &ver, err);
    tz_arena_init(&a, 1024 * 1024);
    for (size_t i = 0; i < s->cat->nrows && !rc; i++) {
        tz_arena_reset(&a);
        rc = seed_row(s, &s->cat->rows[i], ver, &a, err);
    }
    tz_arena_deinit(&a);
    if (!rc)
        rc = tz_store_meta_put(s, "seeded", tz_value_int(s->cat->version), err);
    if (!rc)
        rc = tz_audit_add(s, "seed", (struct tz_bytes){0}, err);
    if (rc) {
        tz_store_group_rollback(s);
        return rc;
    }
    return tz_store_group_commit(s, err);
}

/* ---- open ---- */

static int load_state(struct tz_store *s, struct tz_err *err)
{
    int64_t epoch = 0;
    int64_t head = 0;
    int64_t eff = 0;
    int64_t rows = 0;
    int rc = tz_store_meta_int(s, "epoch", &epoch, err);
    if (!rc)
        rc = meta_blob(s, "mac_key", s->mac_key, err);
    if (!rc)
        rc = meta_blob(s, "claim_key", s->claim_key, err);
    if (!rc)
        rc = tz_db_query_int(s->db, "SELECT max(ver) FROM commit_log", &head, err);
    if (!rc)
        rc = tz_db_query_int(s->db, "SELECT eff_max FROM commit_log ORDER BY ver DESC LIMIT 1", &eff, err);
    if (!rc)
        rc = tz_store_audit_head(s, &s->audit_n, s->audit_hash, err);
    if (!rc)
        rc = tz_lost_load(s, err);
    if (!rc)
        rc = tz_db_query_int(s->db, "SELECT count(*) FROM commit_log", &rows, err);
    s->commit_rows = (size_t)rows;
    s->epoch = (uint32_t)epoch;
    s->head = (tz_ver)head > (tz_ver)epoch << TZ_VER_COUNTER_BITS ? (tz_ver)head : (tz_ver)epoch << TZ_VER_COUNTER_BITS;
    s->eff_max = (tz_hlc)eff;
    return rc;
}

static int store_new(const char *path, enum tz_db_mode mode, const struct tz_store_options *o, struct tz_store **out,
                     struct tz_err *err)
{
    struct tz_store *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    s->cat = o->catalogue;
    s->clock = o->clock;
    s->random = o->random;
    s->random_ctx = o->random_ctx;
    s->readonly = o->readonly;
    s->rows_frame_bytes =
        o->rows_frame_bytes && o->rows_frame_bytes < TZ_ROWS_FRAME_BYTES ? o->rows_frame_bytes : TZ_ROWS_FRAME_BYTES;
    s->commits_kept = o->commits_kept;
    s->journal = o->journal;
    s->journal_ctx = o->journal_ctx;
    tz_buf_init(&s->entries, JOURNAL_LINE_BYTES_MAX);
    s->release_left = true;
    s->case_type = tz_catalogue_type(o->catalogue, "case");
    s->user_type = tz_catalogue_type(o->catalogue, "user");
    s->division_type = tz_catalogue_type(o->catalogue, "division");
    s->redirect_type = tz_catalogue_type(o->catalogue, "redirect");
    if (!s->case_type || !s->user_type || !s->division_type || !s->redirect_type) {
        free(s);
        return tz_err_set(err, TZ_E_CATALOGUE, "types.csv: case, user, division, redirect", NULL, NULL, NULL);
    }
    int rc = tz_db_open(path, mode, &o->db, &s->db, err);
    if (!rc && o->readonly)
        rc = tz_migrate_check(s->db, TZ_SERVER_MIGRATIONS, err);
    else if (!rc)
        rc = tz_migrate(s->db, tz_server_migrations, TZ_SERVER_MIGRATIONS, s, err);
    if (!rc)
        rc = tz_replica_open(s->db, o->catalogue, TZ_SIDE_SERVER, !o->readonly, &s->rep, err);
    if (rc) {
        tz_store_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

static int write_birth(struct tz_store *s, struct tz_err *err)
{
    uint8_t key[32];
    int rc = tz_db_begin_immediate(s->db, err);
    if (rc)
        return rc;
    rc = tz_store_meta_put(s, "epoch", tz_value_int(1), err);
    tz_store_random(s, key, sizeof key);
    if (!rc)
        rc = tz_store_meta_put(s, "mac_key", tz_value_blob(key, sizeof key), err);
    tz_store_random(s, key, sizeof key);
    if (!rc)
        rc = tz_store_meta_put(s, "claim_key", tz_value_blob(key, sizeof key), err);
    tz_secret_zero(key, sizeof key);
    if (!rc)
        return tz_db_commit(s->db, err);
    tz_db_rollback(s->db);
    return rc;
}

int tz_store_create(const char *path, const struct tz_store_options *o, struct tz_err *err)
{
    struct tz_store *s = NULL;
    int64_t epoch = 0;
    int rc = store_new(path, TZ_DB_CREATE, o, &s, err);
    if (!rc)
        rc = tz_store_meta_int(s, "epoch", &epoch, err);
    if (!rc && epoch)
        rc = tz_err_set(err, TZ_E_EXISTS, NULL, NULL, NULL, NULL);
    if (!rc)
        rc = write_birth(s, err);
    if (!rc)
        rc = load_state(s, err);
    if (!rc)
        rc = seed(s, err);
    tz_store_close(s);
    return rc;
}

int tz_store_open_bare(const char *path, const struct tz_store_options *o, struct tz_store **out, struct tz_err *err)
{
    int rc = store_new(path, o->readonly ? TZ_DB_READ : TZ_DB_WRITE, o, out, err);
    if (!rc)
        rc = load_state(*out, err);
    if (!rc && !o->readonly) /* a reader beside a writer may meet two snapshots here */
        rc = tz_audit_head_check(*out, err);
    if (rc) {
        tz_store_close(*out);
        *out = NULL;
    }
    return rc;
}

/** The journal was told of a later state: this one is a copy that somebody put here. */
static int not_older(const struct tz_store *s, const struct tz_journal_head *known, struct tz_err *err)
{
    char here[48];
    char there[48];
    if (s->epoch > known->epoch || (s->epoch == known->epoch && s->audit_n >= known->audit_n))
        return 0;
    (void)snprintf(here, sizeof here, "%u/%llu", s->epoch, (unsigned long long)s->audit_n);
    (void)snprintf(there, sizeof there, "%u/%llu", known->epoch, (unsigned long long)known->audit_n);
    return tz_err_set(err, TZ_E_DB_OLD, here, there, NULL, NULL);
}

/** Until something has to be told, a full disk is no reason to stay down. */
static int tell_journal(struct tz_store *s, const struct tz_journal_head *known, struct tz_err *err)
{
    int rc = known->epoch ? 0 : tz_journal_found(s, err);
    if (!rc && (known->epoch != s->epoch || known->audit_n != s->audit_n))
        rc = tz_store_mark(s, err);
    if (rc == TZ_E_DISK_FULL && err)
        *err = (struct tz_err){0};
    return rc == TZ_E_DISK_FULL ? 0 : rc;
}

int tz_store_open(const char *path, const struct tz_store_options *o, struct tz_store **out, struct tz_err *err)
{
    int rc = tz_store_open_bare(path, o, out, err);
    if (!rc)
        rc = not_older(*out, &o->known, err);
    if (!rc && !o->readonly)
        rc = seed(*out, err);
    if (!rc && !o->readonly)
        rc = tz_commit_mend_at_start(*out, err);
    if (!rc && !o->readonly && o->journal)
        rc = tell_journal(*out, &o->known, err);
    if (rc) {
        tz_store_close(*out);
        *out = NULL;
    }
    return rc;
}

void tz_store_close(struct tz_store *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < TZ_SQL_COUNT; i++)
        tz_stmt_finalize(&s->stmts[i]);
    tz_replica_close(s->rep);
    tz_db_close(s->db);
    tz_secret_zero(s->mac_key, sizeof s->mac_key);
    tz_secret_zero(s->claim_key, sizeof s->claim_key);
    tz_buf_deinit(&s->entries);
    free(s->packed);
    free(s->lost);
    free(s);
}

struct tz_db *tz_store_db(struct tz_store *s)
{
    return s->db;
}

tz_ver tz_store_head(const struct tz_store *s)
{
    return s->head;
}

/* ---- groups ---- */

int tz_store_group_begin(struct tz_store *s, struct tz_err *err)
{
    int rc = s->journal_ahead ? tz_store_mark(s, err) : 0; /* before anything else commits */
    if (!rc)
        rc = tz_db_begin_immediate(s->db, err);
    if (rc)
        return rc;
    s->group_head = s->head;
    s->group_eff_max = s->eff_max;
    s->group_audit_n = s->audit_n;
    memcpy(s->group_audit_hash, s->audit_hash, TZ_HASH_BYTES);
    tz_buf_clear(&s->entries);
    s->nnumbered = 0;
    return 0;
}

int tz_store_group_commit(struct tz_store *s, struct tz_err *err)
{
    int rc = s->commits_damaged ? tz_commit_mend(s, err) : 0;
    if (!rc && s->group_audit_n != s->audit_n)
        rc = tz_audit_head_save(s, err);
    if (!rc)
        rc = tz_commit_tidy(s, err);
    if (!rc)
        rc = tz_journal_flush(s, err);
    if (!rc)
        rc = tz_db_commit(s->db, err);
    if (rc) {
        tz_store_group_rollback(s);
        return rc;
    }
    s->journal_ahead = false;
    s->head = s->group_head;
    s->eff_max = s->group_eff_max;
    s->audit_n = s->group_audit_n;
    memcpy(s->audit_hash, s->group_audit_hash, TZ_HASH_BYTES);
    return 0;
}

void tz_store_group_rollback(struct tz_store *s)
{
    s->ndistricts = 0;
    tz_commit_forget(s);
    s->release_left = true; /* what the group released is freed again */
    memset(&s->lost_after, 0, sizeof s->lost_after);
    for (size_t i = 0; i < TZ_SQL_COUNT; i++)
        tz_stmt_reset(&s->stmts[i]);
    tz_db_rollback(s->db);
}
