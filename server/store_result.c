/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers: results signed, stored and found again, and what a copied installation gets instead.
 *
 * Invariants
 *  1. The stored result of a (device, incarnation, seq) is that of the first bytes under it, for ever.
 *  2. Other bytes under the same key are kept once, whole, in `backlog` as HELD, with one audit entry; they are never
 * judged here. Taken back they stay there, without content, as WITHDRAWN.
 */
#include "apply_int.h"
#include "history_int.h"
#include "planted.h"

#include <stdio.h>
#include <string.h>

int tz_results_add(struct tz_results *r, struct tz_signed_result one)
{
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 4;
        struct tz_signed_result *v = tz_arena_calloc(r->a, cap, sizeof *v);
        if (!v)
            return TZ_E_NOMEM;
        if (r->n)
            memcpy(v, r->v, r->n * sizeof *v);
        r->v = v;
        r->cap = cap;
    }
    r->v[r->n++] = one;
    return 0;
}

int tz_results_copy(struct tz_arena *a, struct tz_bytes in, struct tz_bytes *out)
{
    out->p = tz_arena_dup(a, in.p, in.n);
    out->n = in.n;
    return out->p ? 0 : TZ_E_NOMEM;
}

int tz_results_mac(struct tz_store *s, uint32_t device, struct tz_bytes result, uint8_t mac[TZ_SHA256_BYTES])
{
    struct tz_buf b;
    uint8_t head[4] = {(uint8_t)(device >> 24), (uint8_t)(device >> 16), (uint8_t)(device >> 8), (uint8_t)device};
    tz_buf_init(&b, 2 * TZ_CHANGESET_BYTES_MAX);
    int rc = tz_buf_put(&b, head, sizeof head);
    if (!rc)
        rc = tz_buf_put(&b, result.p, result.n);
    if (!rc)
        rc = tz_hmac_sha256(tz_bytes_of(s->mac_key, sizeof s->mac_key), tz_buf_unread(&b), mac);
    tz_buf_deinit(&b);
    return rc;
}

/** Serialise and prove. */
static int sign_result(struct tz_store *s, uint32_t device, const struct tz_result *r, struct tz_arena *a,
                       struct tz_signed_result *out)
{
    struct tz_buf b;
    uint8_t mac[TZ_SHA256_BYTES];
    tz_buf_init(&b, 4 * TZ_CHANGESET_BYTES_MAX);
    int rc = tz_msg_put_result(&b, r);
    if (!rc)
        rc = tz_results_mac(s, device, tz_buf_unread(&b), mac);
    if (!rc)
        rc = tz_results_copy(a, tz_buf_unread(&b), &out->result);
    if (!rc)
        rc = tz_results_copy(a, tz_bytes_of(mac, sizeof mac), &out->mac);
    tz_buf_deinit(&b);
    return rc;
}

/** Ops by outcome, in the order of the result table's columns. */
static void count_ops(const struct tz_result *r, int64_t count[7])
{
    memset(count, 0, 7 * sizeof *count);
    for (size_t i = 0; i < r->nops; i++) {
        enum tz_outcome o = r->ops[i].outcome;
        if (o >= TZ_OUT_APPLIED && o <= TZ_OUT_WITHDRAWN)
            count[o - TZ_OUT_APPLIED]++;
    }
}

/** The op's record became part of another at once, or took one in. */
static void tell_merged_op(const struct tz_merged *m, const struct tz_op *op, struct tz_op_result *r)
{
    struct tz_id at = tz_id_is_zero(r->alias_of) ? op->id : r->alias_of;
    if (m->type->id != op->type)
        return;
    if (tz_id_eq(m->gone, at))
        r->alias_of = m->keep;
    else if (tz_id_eq(m->keep, at))
        r->absorbed = m->gone;
}

/** Oldest merges first, since one may have become part of another that became part of a third. */
int tz_results_tell_merged(struct apply *p)
{
    size_t n = 0;
    for (const struct tz_merged *m = p->j->merged; m; m = m->next)
        n++;
    const struct tz_merged **all = tz_arena_calloc(p->a, n + 1, sizeof *all);
    if (!all)
        return TZ_E_NOMEM;
    size_t at = n;
    for (const struct tz_merged *m = p->j->merged; m; m = m->next)
        all[--at] = m;
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < p->cs->nops; i++)
            if (p->ops[i].outcome != TZ_OUT_REFUSED && p->cs->ops[i].kind != TZ_OP_WITHDRAW &&
                !tz_history_pairs(p->cs->ops[i].kind))
                tell_merged_op(all[k], &p->cs->ops[i], &p->ops[i]);
    return 0;
}

static int store_counted(struct tz_store *s, uint32_t device, const struct tz_result *r, bool counted,
                         struct tz_arena *a, struct tz_signed_result *out, struct tz_err *err)
{
    int64_t count[7] = {0};
    struct tz_bytes kept = {0};
    int rc = sign_result(s, device, r, a, out);
    if (!rc)
        rc = tz_answer_keep(r, out->result, a, &kept);
    struct tz_stmt *st = rc ? NULL : tz_store_sql(s, TZ_SQL_RESULT_PUT, err);
    if (!st)
        return rc ? tz_err_set(err, rc, NULL, NULL, NULL, NULL) : TZ_E_DB;
    if (counted)
        count_ops(r, count);
    tz_stmt_bind_int(st, 1, device);
    tz_stmt_bind_int(st, 2, r->incarnation);
    tz_stmt_bind_int(st, 3, (int64_t)r->seq);
    tz_stmt_bind_blob(st, 4, r->hash, TZ_HASH_BYTES);
    tz_stmt_bind_int(st, 5, r->outcome);
    tz_stmt_bind_int(st, 6, (int64_t)r->ver);
    tz_stmt_bind_blob(st, 7, kept.p, kept.n);
    for (int i = 0; i < 7; i++)
        tz_stmt_bind_int(st, 8 + i, count[i]);
    return tz_stmt_run(st, err);
}

int tz_results_store(struct tz_store *s, uint32_t device, const struct tz_result *r, struct tz_arena *a,
                     struct tz_signed_result *out, struct tz_err *err)
{
    return store_counted(s, device, r, true, a, out, err);
}

int tz_results_repeat(struct tz_store *s, uint32_t device, const struct tz_result *r, struct tz_arena *a,
                      struct tz_signed_result *out, struct tz_err *err)
{
    return store_counted(s, device, r, false, a, out, err);
}

/** The answer of before, as it was proved. */
int tz_results_bind_was(struct apply *p, struct tz_stmt *st, int at)
{
    struct tz_buf b;
    tz_buf_init(&b, 2 * TZ_CHANGESET_BYTES_MAX);
    int rc = tz_msg_put_result(&b, p->was);
    struct tz_bytes was = tz_buf_unread(&b);
    struct tz_bytes copy = {0};
    if (!rc)
        rc = tz_results_copy(p->a, was, &copy);
    if (!rc)
        tz_stmt_bind_blob(st, at, copy.p, copy.n);
    tz_buf_deinit(&b);
    return rc;
}

int tz_results_keep(struct apply *p, enum tz_outcome outcome, uint64_t blocked_by)
{
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_BACKLOG_PUT, p->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_int(st, 2, p->cs->incarnation);
    tz_stmt_bind_int(st, 3, (int64_t)p->cs->seq);
    tz_stmt_bind_blob(st, 4, p->hash, TZ_HASH_BYTES);
    tz_stmt_bind_int(st, 5, outcome);
    tz_stmt_bind_int(st, 6, (int64_t)blocked_by);
    tz_stmt_bind_int(st, 7, (int64_t)p->cs->nops);
    tz_stmt_bind_blob(st, 8, p->raw.p, p->raw.n);
    tz_stmt_bind_int(st, 9, p->received.ms);
    tz_stmt_bind_int(st, 10, p->offset_ms);
    tz_stmt_bind_int(st, 11, (int64_t)p->effective);
    tz_stmt_bind_int(st, 12, p->recovers);
    int rc = p->was ? tz_results_bind_was(p, st, 13) : (tz_stmt_bind_null(st, 13), 0);
    return rc ? rc : tz_stmt_run(st, p->err);
}

int tz_results_whole(struct apply *p, enum tz_outcome outcome, int code, bool store, struct tz_signed_result *out)
{
    p->res.outcome = outcome;
    p->res.code = code;
    for (size_t i = 0; i < p->cs->nops; i++)
        p->ops[i].outcome = outcome;
    p->res.ops = p->ops;
    p->res.nops = p->cs->nops;
    return store ? tz_results_store(p->s, p->device, &p->res, p->a, out, p->err)
                 : sign_result(p->s, p->device, &p->res, p->a, out);
}

/** How the backlog has these bytes: the outcome and the number of ops, NONE when it has not. */
static int backlog_state(struct apply *p, uint64_t seq, struct tz_bytes hash, enum tz_outcome *outcome, size_t *nops)
{
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_BACKLOG_STATE, p->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_int(st, 2, p->cs->incarnation);
    tz_stmt_bind_int(st, 3, (int64_t)seq);
    tz_stmt_bind_blob(st, 4, hash.p, hash.n);
    int rc = tz_stmt_step(st, p->err);
    *outcome = rc == 1 ? (enum tz_outcome)tz_stmt_int(st, 0) : TZ_OUT_NONE;
    *nops = rc == 1 ? (size_t)tz_stmt_int(st, 1) : 0;
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

/** Two installations with one identity: the second one's bytes are kept for the administrator. 1, negative. */
static int hold_fork(struct apply *p, struct tz_signed_result *out)
{
    enum tz_outcome was = TZ_OUT_NONE;
    size_t nops = 0;
    uint32_t moved = 0;
    uint64_t to = 0;
    int rc = tz_former_get(p, tz_bytes_of(p->hash, TZ_HASH_BYTES), &moved, &to);
    tz_fork_note(p->s, p->session, p->cs->incarnation);
    rc = rc < 0 ? rc : backlog_state(p, p->cs->seq, tz_bytes_of(p->hash, TZ_HASH_BYTES), &was, &nops);
    if (!rc && was == TZ_OUT_WITHDRAWN)
        rc = tz_results_whole(p, TZ_OUT_WITHDRAWN, TZ_E_WITHDRAWN, false, out);
    else if (!rc)
        rc = tz_results_whole(p, TZ_OUT_HELD, TZ_E_FORKED, false, out);
    if (!rc && was == TZ_OUT_NONE && !moved) { /* the first time that these bytes come */
        rc = tz_results_keep(p, TZ_OUT_HELD, 0);
        rc = rc ? rc : tz_apply_audit(p);
    }
    return rc ? rc : 1;
}

static int backlog_withdraw(struct apply *p, uint64_t seq, struct tz_bytes hash)
{
    char meta[96];
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_BACKLOG_WITHDRAW, p->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_int(st, 2, p->cs->incarnation);
    tz_stmt_bind_int(st, 3, (int64_t)seq);
    tz_stmt_bind_blob(st, 4, hash.p, hash.n);
    int rc = tz_stmt_run(st, p->err);
    (void)snprintf(meta, sizeof meta, "withdraw held device=%u incarnation=%u seq=%llu", p->device, p->cs->incarnation,
                   (unsigned long long)seq);
    return rc ? rc : tz_audit_add(p->s, meta, hash, p->err);
}

int tz_results_withdraw_held(struct apply *p, uint64_t seq, struct tz_bytes hash, struct tz_results *out)
{
    enum tz_outcome was = TZ_OUT_NONE;
    size_t nops = 0;
    struct tz_signed_result one;
    int rc = hash.n == TZ_HASH_BYTES ? backlog_state(p, seq, hash, &was, &nops) : 0;
    if (rc || was != TZ_OUT_HELD)
        return rc;
    struct tz_changeset ghost = {.nops = nops};
    struct apply held = *p;
    held.cs = &ghost;
    held.ops = tz_arena_calloc(p->a, nops ? nops : 1, sizeof *held.ops);
    held.res = (struct tz_result){.incarnation = p->cs->incarnation, .seq = seq};
    memcpy(held.res.hash, hash.p, TZ_HASH_BYTES);
    rc = held.ops ? tz_results_whole(&held, TZ_OUT_WITHDRAWN, TZ_E_WITHDRAWN, false, &one) : TZ_E_NOMEM;
    if (!rc)
        rc = backlog_withdraw(p, seq, hash);
    return rc ? rc : tz_results_add(out, one);
}

/** Its number is below judged ones and has no answer: 0 when a restore forgot that, else as a copy's. */
static int passed_over(struct apply *p, struct tz_signed_result *out)
{
    int rc = tz_reoffer_forgotten(p);
    return rc == 0 ? hold_fork(p, out) : rc < 0 ? rc : 0;
}

/** A resend: 1 with the stored answer, 0 never seen, negative. A seq that was passed over as lost can only come from a
 * copy. */
int tz_results_resend(struct apply *p, struct tz_signed_result *out)
{
    struct tz_answer was;
    uint8_t mac[TZ_SHA256_BYTES];
    int rc = tz_answer_get(p->s, p->device, p->cs->incarnation, p->cs->seq, p->a, &was, p->err);
    if (rc == 0 && !p->was && tz_fork_known(p->s, p->session, p->cs->incarnation))
        return hold_fork(p, out); /* of a copy: the number may be another one's */
    if (rc != 1)
        return rc < 0 || p->cs->seq > p->dev.last_seq ? rc : passed_over(p, out);
    if ((memcmp(was.r.hash, p->hash, TZ_HASH_BYTES) != 0 && !TZ_PLANTED(COPY_SWALLOWED)) || TZ_PLANTED(RESEND_FORKS))
        return hold_fork(p, out);
    out->result = was.result;
    rc = tz_results_mac(p->s, p->device, was.result, mac);
    if (!rc)
        rc = tz_results_copy(p->a, tz_bytes_of(mac, sizeof mac), &out->mac);
    if (!rc && was.r.outcome == TZ_OUT_WAITING && p->was)
        rc = tz_reoffer_prove(p);
    return rc ? rc : 1;
}
