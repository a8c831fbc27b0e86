/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit chain: hash(n) = SHA-256(hash(n-1) ‖ epoch u32 ‖ n u64 ‖ meta ‖ body_hash), numbers big-endian, hash(0) =
 * 32 zero bytes; body_hash = SHA-256(salt ‖ body). Because the chain covers the body's hash and not the body, a body
 * can be erased (with its salt, so that it cannot be guessed either) and the chain still verifies.
 */
#include "store_int.h"

#include <string.h>

enum { SALT_BYTES = 16 };

static int body_hash(struct tz_bytes salt, struct tz_bytes body, uint8_t out[TZ_HASH_BYTES])
{
    struct tz_sha256 h = {0};
    int rc = tz_sha256_init(&h);
    if (!rc)
        rc = tz_sha256_update(&h, salt);
    if (!rc)
        rc = tz_sha256_update(&h, body);
    if (!rc)
        rc = tz_sha256_final(&h, out);
    tz_sha256_deinit(&h);
    return rc;
}

static int entry_hash(const uint8_t prev[TZ_HASH_BYTES], uint32_t epoch, uint64_t n, const char *meta,
                      const uint8_t body[TZ_HASH_BYTES], uint8_t out[TZ_HASH_BYTES])
{
    uint8_t head[12];
    for (int i = 0; i < 4; i++)
        head[i] = (uint8_t)(epoch >> (24 - 8 * i));
    for (int i = 0; i < 8; i++)
        head[4 + i] = (uint8_t)(n >> (56 - 8 * i));
    struct tz_sha256 h = {0};
    int rc = tz_sha256_init(&h);
    if (!rc)
        rc = tz_sha256_update(&h, tz_bytes_of(prev, TZ_HASH_BYTES));
    if (!rc)
        rc = tz_sha256_update(&h, tz_bytes_of(head, sizeof head));
    if (!rc)
        rc = tz_sha256_update(&h, tz_bytes_str(meta));
    if (!rc)
        rc = tz_sha256_update(&h, tz_bytes_of(body, TZ_HASH_BYTES));
    if (!rc)
        rc = tz_sha256_final(&h, out);
    tz_sha256_deinit(&h);
    return rc;
}

int tz_audit_add(struct tz_store *s, const char *meta, struct tz_bytes body, struct tz_err *err)
{
    uint8_t salt[SALT_BYTES];
    uint8_t bh[TZ_HASH_BYTES];
    uint8_t hash[TZ_HASH_BYTES];
    uint64_t n = s->group_audit_n + 1;
    tz_store_random(s, salt, sizeof salt);
    int rc = body_hash(tz_bytes_of(salt, sizeof salt), body, bh);
    if (!rc)
        rc = entry_hash(s->group_audit_hash, s->epoch, n, meta, bh, hash);
    if (rc)
        return tz_err_set(err, rc, NULL, NULL, NULL, NULL);
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_AUDIT_PUT, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, (int64_t)n);
    tz_stmt_bind_int(st, 2, s->epoch);
    tz_stmt_bind_text(st, 3, meta);
    tz_stmt_bind_blob(st, 4, bh, sizeof bh);
    tz_stmt_bind_blob(st, 5, hash, sizeof hash);
    rc = tz_stmt_run(st, err);
    st = rc ? NULL : tz_store_sql(s, TZ_SQL_AUDIT_BODY_PUT, err);
    if (!st)
        return rc ? rc : TZ_E_DB;
    tz_stmt_bind_int(st, 1, (int64_t)n);
    tz_stmt_bind_blob(st, 2, salt, sizeof salt);
    tz_stmt_bind_blob(st, 3, body.n ? body.p : (const uint8_t *)"", body.n);
    rc = tz_stmt_run(st, err);
    if (rc)
        return rc;
    s->group_audit_n = n;
    memcpy(s->group_audit_hash, hash, sizeof hash);
    return 0;
}

int tz_audit_body(struct tz_store *s, uint64_t n, struct tz_arena *a, struct tz_bytes *out, struct tz_err *err)
{
    uint8_t hash[TZ_HASH_BYTES];
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_AUDIT_BODY_GET, err);
    *out = (struct tz_bytes){0};
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, (int64_t)n);
    int rc = tz_stmt_step(st, err);
    if (rc == 1) {
        struct tz_bytes body = tz_stmt_blob(st, 1);
        bool same = !body_hash(tz_stmt_blob(st, 0), body, hash) &&
                    tz_bytes_eq(tz_stmt_blob(st, 2), tz_bytes_of(hash, sizeof hash));
        *out = tz_bytes_of(body.n ? tz_arena_dup(a, body.p, body.n) : NULL, body.n);
        if (!same)
            rc = tz_err_setf(err, TZ_E_VERIFY, "audit entry %llu", (unsigned long long)n);
        else if (body.n && !out->p)
            rc = tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    }
    tz_stmt_reset(st);
    return rc;
}

enum { HEAD_BYTES = 8 + TZ_HASH_BYTES };
static const char HEAD_KEY[] = "audit_head";

static void head_bytes(uint64_t n, const uint8_t hash[TZ_HASH_BYTES], uint8_t out[HEAD_BYTES])
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(n >> (56 - 8 * i));
    memcpy(out + 8, hash, TZ_HASH_BYTES);
}

int tz_audit_head_save(struct tz_store *s, struct tz_err *err)
{
    uint8_t head[HEAD_BYTES];
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_META_PUT, err);
    if (!st)
        return TZ_E_DB;
    head_bytes(s->group_audit_n, s->group_audit_hash, head);
    tz_stmt_bind_text(st, 1, HEAD_KEY);
    tz_stmt_bind_blob(st, 2, head, sizeof head);
    return tz_stmt_run(st, err);
}

int tz_audit_head_check(struct tz_store *s, struct tz_err *err)
{
    uint8_t head[HEAD_BYTES];
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_AUDIT_LAST, err); /* one statement: one snapshot */
    if (!st)
        return TZ_E_DB;
    int rc = tz_stmt_step(st, err);
    struct tz_bytes kept = rc == 1 ? tz_stmt_blob(st, 0) : (struct tz_bytes){0};
    uint64_t n = rc == 1 ? (uint64_t)tz_stmt_int(st, 1) : 0;
    struct tz_bytes hash = n ? tz_stmt_blob(st, 2) : (struct tz_bytes){0};
    if (hash.n == TZ_HASH_BYTES)
        head_bytes(n, hash.p, head);
    bool ok = n == 0 ? kept.n == 0 : hash.n == TZ_HASH_BYTES && tz_bytes_eq(kept, tz_bytes_of(head, sizeof head));
    tz_stmt_reset(st);
    return rc < 0 ? rc : ok ? 0 : tz_err_setf(err, TZ_E_VERIFY, "audit entry %llu", (unsigned long long)n + 1);
}

int tz_store_audit_head(struct tz_store *s, uint64_t *n, uint8_t hash[TZ_HASH_BYTES], struct tz_err *err)
{
    int64_t last = 0;
    int rc = tz_db_query_int(s->db, "SELECT max(n) FROM audit", &last, err);
    *n = (uint64_t)last;
    memset(hash, 0, TZ_HASH_BYTES);
    if (rc || last == 0)
        return rc;
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_AUDIT_GET, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, last);
    rc = tz_stmt_step(st, err);
    struct tz_bytes b = rc == 1 ? tz_stmt_blob(st, 0) : (struct tz_bytes){0};
    if (b.n == TZ_HASH_BYTES)
        memcpy(hash, b.p, TZ_HASH_BYTES);
    tz_stmt_reset(st);
    return rc < 0 ? rc : b.n == TZ_HASH_BYTES ? 0 : tz_err_set(err, TZ_E_DB_CORRUPT, "audit", NULL, NULL, NULL);
}

int tz_store_audit_has(struct tz_store *s, uint64_t n, const uint8_t hash[TZ_HASH_BYTES], bool *has, struct tz_err *err)
{
    *has = n == 0;
    if (n == 0 || n > INT64_MAX)
        return 0;
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_AUDIT_GET, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, (int64_t)n);
    int rc = tz_stmt_step(st, err);
    *has = rc == 1 && tz_bytes_eq(tz_stmt_blob(st, 0), tz_bytes_of(hash, TZ_HASH_BYTES));
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

/** Does the row fit the chain so far? Moves @prev on. */
static int check_entry(const struct tz_stmt *st, uint64_t expected, uint8_t prev[TZ_HASH_BYTES], struct tz_err *err)
{
    uint8_t bh[TZ_HASH_BYTES];
    uint8_t hash[TZ_HASH_BYTES];
    uint64_t n = (uint64_t)tz_stmt_int(st, 0);
    const char *meta = tz_stmt_text(st, 2);
    struct tz_bytes stored_body = tz_stmt_blob(st, 3);
    struct tz_bytes stored = tz_stmt_blob(st, 4);
    bool ok = n == expected && meta && stored_body.n == TZ_HASH_BYTES && stored.n == TZ_HASH_BYTES;
    if (ok && !tz_stmt_is_null(st, 5)) /* the body was not erased: it must be the one that was written */
        ok = !body_hash(tz_stmt_blob(st, 5), tz_stmt_blob(st, 6), bh) && memcmp(bh, stored_body.p, TZ_HASH_BYTES) == 0;
    if (ok)
        ok = !entry_hash(prev, (uint32_t)tz_stmt_int(st, 1), n, meta, stored_body.p, hash) &&
             memcmp(hash, stored.p, TZ_HASH_BYTES) == 0;
    if (!ok)
        return tz_err_setf(err, TZ_E_VERIFY, "audit entry %llu", (unsigned long long)expected);
    memcpy(prev, hash, TZ_HASH_BYTES);
    return 0;
}

int tz_store_audit_check(struct tz_store *s, uint64_t *entries, struct tz_err *err)
{
    struct tz_stmt st = {0};
    uint8_t prev[TZ_HASH_BYTES] = {0};
    uint64_t n = 0;
    int rc = tz_db_prepare(s->db, &st,
                           "SELECT a.n,a.epoch,a.meta,a.body_hash,a.hash,b.salt,b.body FROM audit a"
                           " LEFT JOIN audit_body b ON b.n=a.n ORDER BY a.n",
                           err);
    while (!rc && (rc = tz_stmt_step(&st, err)) == 1)
        rc = check_entry(&st, ++n, prev, err);
    tz_stmt_finalize(&st);
    *entries = n;
    if (!rc) /* cut off at the end: every entry that is left fits */
        rc = tz_audit_head_check(s, err);
    return rc;
}
