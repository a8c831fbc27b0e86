/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a restore undid, handed in again by the devices that had made it.
 *
 *   changeset + its answer of before --mac wrong--> judged like a new one
 *        | it proves: outcome, version (of a lost range), effective time, numbers given
 *        +- refused, withdrawn --> stays so, without being judged
 *        +- applied --> judged at its old effective time, in its old order (judge_late.c) --> a new version
 *                          +- would be refused, window open --> waits (backlog.recover) until something else came in
 *                          +- would be refused, window ended --> refused: its verdict
 *
 * Invariants
 *  1. Numbers stay what they were: (device, incarnation, seq) has one result, whichever way and however often it comes.
 *  2. An op counts as it counted first: losing against what the new epoch brought is history. Only what is refused in
 * the end counts anew, and what is under review now, or was: that is nothing that happened once, somebody decides about
 * it or nobody does.
 *  3. What was made on top of lost versions and is not handed in again but new waits in the same way: its parents may
 * be on their way from other devices.
 */
#include "apply_int.h"
#include "log.h"

#include <string.h>

/* ---- proof ---- */

static bool is_final(enum tz_outcome o)
{
    return o != TZ_OUT_NONE && o != TZ_OUT_WAITING && o != TZ_OUT_HELD;
}

static bool is_good(enum tz_outcome o)
{
    return o == TZ_OUT_APPLIED || o == TZ_OUT_SUPERSEDED || o == TZ_OUT_UNDER_REVIEW;
}

/** Did this server sign the answer for this device? 1, 0, negative. */
static int mac_holds(struct apply *p, const struct tz_signed_result *was)
{
    uint8_t mac[TZ_SHA256_BYTES];
    uint8_t diff = 0;
    int rc = was->mac.n == sizeof mac ? tz_results_mac(p->s, p->device, was->result, mac) : 1;
    if (rc)
        return rc < 0 ? rc : 0;
    for (size_t i = 0; i < sizeof mac; i++)
        diff |= (uint8_t)(mac[i] ^ was->mac.p[i]);
    return diff == 0;
}

/** Its place in the old order: where it was made, however often it came in again since. 0: nowhere that was lost. */
static tz_ver place_of(const struct apply *p, const struct tz_result *r)
{
    tz_ver first = r->old_ver ? r->old_ver : r->ver;
    return tz_lost_is(p->s, first) ? first : 0;
}

/** Take over an answer that is known to be ours. */
static int take(struct apply *p, struct tz_bytes result)
{
    struct tz_result *r = tz_arena_calloc(p->a, 1, sizeof *r);
    int rc = r ? tz_msg_read_result(result, p->a, r, NULL) : TZ_E_NOMEM;
    if (rc == TZ_E_NOMEM)
        return rc;
    if (rc || r->incarnation != p->cs->incarnation || r->seq != p->cs->seq || r->nops != p->cs->nops ||
        !is_final(r->outcome) || memcmp(r->hash, p->hash, TZ_HASH_BYTES) != 0)
        return 1;
    p->was = r;
    p->old_ver = place_of(p, r);
    p->again_ver = p->old_ver != r->ver && tz_lost_is(p->s, r->ver) ? r->ver : 0;
    if (r->effective) {
        p->effective = r->effective;
        p->received.ms = r->received_ms;
    }
    return 0;
}

int tz_reoffer_read(struct apply *p, const struct tz_signed_result *was)
{
    int rc = mac_holds(p, was);
    if (rc == 1) {
        rc = take(p, was->result);
        if (rc <= 0)
            return rc;
    }
    if (rc >= 0)
        tz_log(TZ_LOG_WARN, "store", "reoffer_unproved", "device=%u seq=%llu", p->device,
               (unsigned long long)p->cs->seq);
    return rc < 0 ? rc : 0;
}

int tz_reoffer_kept(struct apply *p, struct tz_bytes was)
{
    if (was.n == 0)
        return 0;
    int rc = take(p, was);
    return rc <= 0 ? rc : tz_err_set(p->err, TZ_E_DB_CORRUPT, "backlog", NULL, NULL, NULL);
}

int tz_reoffer_prove(struct apply *p)
{
    struct tz_stmt *st = is_good(p->was->outcome) ? tz_store_sql(p->s, TZ_SQL_BACKLOG_PROVE, p->err) : NULL;
    if (!st)
        return is_good(p->was->outcome) ? TZ_E_DB : 0;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_int(st, 2, p->cs->incarnation);
    tz_stmt_bind_int(st, 3, (int64_t)p->cs->seq);
    tz_stmt_bind_blob(st, 4, p->hash, TZ_HASH_BYTES);
    int rc = tz_results_bind_was(p, st, 5);
    return rc ? rc : tz_stmt_run(st, p->err);
}

/* ---- numbers ---- */

int tz_reoffer_forgotten(struct apply *p)
{
    if (p->was)
        return 1;
    uint64_t upto = 0;
    int rc = tz_installation_forgotten(p->s, &p->dev, &upto, p->err);
    bool forgotten = !rc && p->cs->seq <= upto;
    if (rc < 0 || !forgotten)
        return rc < 0 ? rc : 0;
    rc = tz_apply_seq_lost(p, p->cs->seq);
    return rc < 0 ? rc : rc == 0;
}

/* ---- answers ---- */

int tz_reoffer_settled(struct apply *p, struct tz_signed_result *out)
{
    if (is_good(p->was->outcome))
        return 0;
    p->res = *p->was;
    memcpy(p->ops, p->was->ops, p->cs->nops * sizeof *p->ops);
    p->res.ops = p->ops;
    p->j->edit.effective = p->effective;
    int rc = tz_wait_mark(p);
    if (!rc)
        rc = tz_results_store(p->s, p->device, &p->res, p->a, out, p->err);
    if (!rc)
        rc = tz_apply_audit(p);
    if (!rc)
        rc = tz_apply_note_judged(p);
    return rc ? rc : 1;
}

/** Does the answer of now count, whatever it was? */
static bool counts_anew(enum tz_outcome was, enum tz_outcome now)
{
    return now == TZ_OUT_REFUSED || !is_final(was) || was == TZ_OUT_UNDER_REVIEW || now == TZ_OUT_UNDER_REVIEW;
}

void tz_reoffer_keep_outcomes(struct apply *p)
{
    bool anew = false;
    for (size_t i = 0; p->was && i < p->cs->nops; i++) {
        const struct tz_op_result *was = &p->was->ops[i];
        struct tz_op_result *now = &p->ops[i];
        if (now->outcome != TZ_OUT_REFUSED && is_final(was->outcome) && !now->ngiven) {
            now->given = was->given;
            now->ngiven = was->ngiven;
        }
        anew = anew || (was->outcome != now->outcome && counts_anew(was->outcome, now->outcome));
        if (!counts_anew(was->outcome, now->outcome))
            now->outcome = was->outcome;
    }
    if (p->was)
        p->res.outcome = anew ? tz_apply_outcome(p) : p->was->outcome;
}

static bool names_lost(const struct apply *p)
{
    bool lost = tz_lost_is(p->s, p->cs->base_checkpoint);
    for (size_t i = 0; i < p->cs->nops && !lost; i++)
        lost = tz_lost_is(p->s, p->cs->ops[i].base_ver);
    return lost;
}

/** Was an op refused that had not been? */
static bool newly_refused(const struct apply *p)
{
    for (size_t i = 0; i < p->cs->nops; i++)
        if (p->ops[i].outcome == TZ_OUT_REFUSED && (!p->was || p->was->ops[i].outcome != TZ_OUT_REFUSED))
            return true;
    return p->res.outcome == TZ_OUT_REFUSED;
}

int tz_reoffer_waits(struct apply *p)
{
    struct tz_recovery r;
    if (p->s->nlost == 0 || !newly_refused(p) || !(p->was || names_lost(p)))
        return 0;
    int rc = tz_store_recovery(p->s, &r, p->err);
    return rc ? rc : r.open;
}

int tz_reoffer_behind(struct apply *p)
{
    struct tz_result fresh = {.incarnation = p->cs->incarnation, .seq = p->cs->seq};
    memcpy(fresh.hash, p->hash, TZ_HASH_BYTES);
    p->res = fresh;
    p->res.outcome = TZ_OUT_WAITING;
    p->res.code = TZ_E_RECOVERING;
    for (size_t i = 0; i < p->cs->nops; i++)
        p->ops[i] = (struct tz_op_result){.outcome = TZ_OUT_WAITING};
    p->res.ops = p->ops;
    p->res.nops = p->cs->nops;
    return 0;
}

/* ---- who waits ---- */

int tz_reoffer_done(struct apply *p)
{
    bool back = p->res.outcome != TZ_OUT_REFUSED;
    int rc = back && p->old_ver ? tz_lost_came_back(p->s, p->old_ver, p->res.ver, p->err) : 0;
    return rc || !back || !p->again_ver ? rc : tz_lost_came_back(p->s, p->again_ver, p->res.ver, p->err);
}

int tz_reoffer_wake(struct tz_store *s, uint32_t except, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_RECOVER_WAKE, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, except);
    int rc = tz_stmt_run(st, err);
    if (!rc && tz_db_changes(s->db) > 0)
        s->release_left = true;
    return rc;
}

int tz_reoffer_end(struct tz_store *s, struct tz_err *err)
{
    struct tz_recovery r;
    struct tz_stmt *st = s->nlost ? tz_store_sql(s, TZ_SQL_RECOVER_ANY, err) : NULL;
    if (!st)
        return s->nlost ? TZ_E_DB : 0;
    int rc = tz_stmt_step(st, err);
    tz_stmt_reset(st);
    if (rc != 1)
        return rc;
    rc = tz_store_recovery(s, &r, err);
    return rc || r.open ? rc : tz_reoffer_wake(s, 0, err);
}
