/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This folder is a copy of another one, or was put back from an older copy: the server has other saves under numbers
 * that are given here too, or numbers that were never given here.
 *
 *   found out (sync.c) ─> token written ─> Renumber{token, fork_seq} ─> Renumbered{incarnation} ─> saves made over,
 * sent
 *
 * Invariants
 *  1. Up to fork_seq every own save has an answer that is about it. Those are the history that the installations share;
 * they stay as they are, under the numbering they have.
 *  2. Every other save keeps its number and its words. Only its incarnation changes, so its bytes do, and it names the
 * hash it had: however many copies bring it, it comes in once.
 *  3. The token is durable before it is sent, the new numbering in one transaction with the saves it changes. So a
 * process that ends anywhere asks again and gets the same.
 */
#include "log.h"
#include "office_int.h"

#include <stdio.h>
#include <string.h>

#define TOKEN_KEY "renumber_token"
#define DONE_KEY "renumbered"

/* ---- asking ---- */

static int meta_put(struct tz_office *o, const char *key, const char *value, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_META_SET, "INSERT OR REPLACE INTO meta VALUES(?, ?)", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_text(s, 1, key);
    tz_stmt_bind_text(s, 2, value);
    return tz_stmt_run(s, err);
}

static int meta_drop(struct tz_office *o, const char *key, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_META_DEL, "DELETE FROM meta WHERE key = ?", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_text(s, 1, key);
    return tz_stmt_run(s, err);
}

/** The one that is written down, else a new one, which is from here on. */
static int token_get(struct tz_office *o, struct tz_id *token, struct tz_err *err)
{
    struct tz_arena a;
    char hex[TZ_ID_HEX + 1];
    tz_arena_init(&a, 4096);
    bool known = tz_id_parse(tz_office_meta(o, TOKEN_KEY, &a), token) == 0;
    tz_arena_deinit(&a);
    if (known)
        return 0;
    for (size_t i = 0; i < TZ_ID_BYTES; i++)
        token->b[i] = (uint8_t)(o->random(o->random_ctx) >> 8);
    tz_id_print(*token, hex);
    return meta_put(o, TOKEN_KEY, hex, err);
}

static int fork_seq(struct tz_office *o, uint64_t *out, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_FORK_SEQ,
                                      "SELECT coalesce((SELECT min(seq) - 1 FROM outbox WHERE outcome = 0 OR (outcome ="
                                      " 5 AND code = ?1)), ?2)",
                                      err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, TZ_E_FORKED);
    tz_stmt_bind_int(s, 2, (int64_t)o->st.last_seq);
    int rc = tz_stmt_step(s, err);
    *out = rc == 1 ? (uint64_t)tz_stmt_int(s, 0) : 0;
    tz_stmt_reset(s);
    return rc < 0 ? rc : 0;
}

int tz_office_renumber_ask(struct tz_office *o, struct tz_msg_renumber *out, struct tz_err *err)
{
    memset(out, 0, sizeof *out);
    int rc = tz_office_begin(o, err);
    if (rc)
        return rc;
    struct tz_id token = {{0}};
    rc = token_get(o, &token, err);
    if (!rc)
        memcpy(out->token, token.b, sizeof out->token);
    if (!rc)
        rc = fork_seq(o, &out->fork_seq, err);
    return tz_office_end(o, rc, err);
}

/* ---- making over ---- */

/** A withdrawal of a save that was made over names its new bytes. */
static int follow_target(struct tz_office *o, struct tz_op *op, uint64_t fork, struct tz_arena *a, struct tz_err *err)
{
    if (op->kind != TZ_OP_WITHDRAW || op->target_seq <= fork || op->target_hash.n != TZ_HASH_BYTES)
        return 0;
    struct tz_stmt *s = tz_office_sql(o, OS_BOX_HASH, "SELECT hash FROM outbox WHERE seq = ?", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, (int64_t)op->target_seq);
    int rc = tz_stmt_step(s, err);
    if (rc == 1) {
        struct tz_bytes h = tz_stmt_blob(s, 0);
        op->target_hash = (struct tz_bytes){tz_arena_dup(a, h.p, h.n), h.n};
        rc = op->target_hash.p ? 0 : tz_office_nomem(err);
    }
    tz_stmt_reset(s);
    return rc;
}

static int make_over(struct tz_office *o, struct tz_bytes raw, struct tz_bytes hash, uint32_t incarnation,
                     uint64_t fork, struct tz_arena *a, struct tz_err *err)
{
    struct tz_changeset cs;
    int rc = tz_msg_read_changeset(raw, a, &cs, err);
    struct tz_op *ops = rc ? NULL : tz_arena_dup(a, cs.ops, (cs.nops ? cs.nops : 1) * sizeof *ops);
    if (!ops)
        return rc ? rc : tz_office_nomem(err);
    for (size_t i = 0; i < cs.nops && !rc; i++)
        rc = follow_target(o, &ops[i], fork, a, err);
    cs.ops = ops;
    cs.incarnation = incarnation;
    if (cs.former.n == 0) /* a copy of a copy: the first hash is the one that all of them know */
        cs.former = hash;
    return rc ? rc : tz_outbox_make_over(o, &cs, err);
}

/** The next save after *@seq that is to be made over: 1, 0 none. */
static int next_one(struct tz_office *o, uint64_t *seq, struct tz_arena *a, struct tz_bytes *raw, struct tz_bytes *hash,
                    struct tz_err *err)
{
    struct tz_stmt *s =
        tz_office_sql(o, OS_RENUMBER_NEXT,
                      "SELECT seq, raw, hash FROM outbox WHERE seq > ?1 AND (outcome = 0 OR (outcome = 5"
                      " AND code = ?2)) ORDER BY seq LIMIT 1",
                      err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, (int64_t)*seq);
    tz_stmt_bind_int(s, 2, TZ_E_FORKED);
    int rc = tz_stmt_step(s, err);
    if (rc == 1) {
        struct tz_bytes r = tz_stmt_blob(s, 1);
        struct tz_bytes h = tz_stmt_blob(s, 2);
        *seq = (uint64_t)tz_stmt_int(s, 0);
        *raw = (struct tz_bytes){tz_arena_dup(a, r.p, r.n), r.n};
        *hash = (struct tz_bytes){tz_arena_dup(a, h.p, h.n), h.n};
        rc = raw->p && hash->p ? 1 : tz_office_nomem(err);
    }
    tz_stmt_reset(s);
    return rc;
}

static int make_all_over(struct tz_office *o, uint32_t incarnation, uint64_t *n, struct tz_err *err)
{
    struct tz_arena a;
    struct tz_bytes raw = {0};
    struct tz_bytes hash = {0};
    uint64_t fork = 0;
    int rc = fork_seq(o, &fork, err);
    uint64_t seq = fork;
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    while (!rc && (rc = next_one(o, &seq, &a, &raw, &hash, err)) == 1) {
        rc = make_over(o, raw, hash, incarnation, fork, &a, err);
        tz_arena_reset(&a);
        ++*n;
    }
    tz_arena_deinit(&a);
    tz_overlay_cache_drop(o);
    return rc;
}

int tz_office_renumbered(struct tz_office *o, uint32_t incarnation, uint64_t *n, struct tz_err *err)
{
    char told[64];
    *n = 0;
    int rc = tz_office_begin(o, err);
    if (rc)
        return rc;
    if (incarnation <= o->st.id.incarnation)
        rc = tz_err_set(err, TZ_E_PROTOCOL, "incarnation", NULL, NULL, NULL);
    if (!rc)
        rc = make_all_over(o, incarnation, n, err);
    if (!rc) {
        tz_log(TZ_LOG_WARN, "office", "renumbered", "old=%u new=%u saves=%llu", o->st.id.incarnation, incarnation,
               (unsigned long long)*n);
        o->st.id.incarnation = incarnation;
        (void)snprintf(told, sizeof told, "%u %llu %lld", incarnation, (unsigned long long)*n,
                       (long long)tz_clock_wall(&o->clock).ms);
        rc = meta_put(o, DONE_KEY, told, err);
    }
    if (!rc)
        rc = meta_drop(o, TOKEN_KEY, err);
    return tz_office_end(o, rc, err);
}
