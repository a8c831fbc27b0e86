/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Installations of one device: the first has incarnation 1; a copy of its data folder, or the folder put back from an
 * older copy, gets the next one before it sends what it has made since.
 *
 *   incarnation 1   1 2 3 4 5 6 7 …
 *   incarnation 2         └─ fork_seq 3: 4 5 6 …          numbers go on, so a number belongs to one of the two lines
 *   incarnation 3               └─ parent 2, fork_seq 5: 6 …
 *
 * Invariants
 *  1. A seq ≤ fork_seq is the parent's, whoever names it (in base_seq, in WITHDRAW): the history is shared up to there.
 *  2. An incarnation is given once, for a token that the installation made up and wrote down first: asking again gives
 * the same. It is in the journal, so that no restore gives it twice.
 *  3. A save that was held under its old number takes effect once, however many copies bring it: by the hash it had.
 *     Until it has, each copy's is judged for itself: what one person took back or was refused is not the other's.
 */
#include "apply_int.h"

#include <stdio.h>
#include <string.h>

enum { INCARNATIONS_MAX = 4096 };

/* ---- which one ---- */

int tz_store_installation(struct tz_store *s, struct tz_device *d, uint32_t incarnation, struct tz_err *err)
{
    if (incarnation == 1) {
        d->incarnation = 1;
        d->parent = 0;
        d->fork_seq = 0;
        return 1;
    }
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_INSTALLATION_GET, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, d->number);
    tz_stmt_bind_int(st, 2, incarnation);
    int rc = tz_stmt_step(st, err);
    if (rc == 1) {
        d->incarnation = incarnation;
        d->parent = (uint32_t)tz_stmt_int(st, 0);
        d->fork_seq = (uint64_t)tz_stmt_int(st, 1);
        d->last_seq = (uint64_t)tz_stmt_int(st, 2);
    }
    tz_stmt_reset(st);
    return rc;
}

int tz_installation_owner(struct tz_store *s, const struct tz_device *d, uint64_t seq, uint32_t *out,
                          struct tz_err *err)
{
    struct tz_device at = *d;
    int rc = 1;
    while (rc == 1 && at.parent && seq <= at.fork_seq)
        rc = tz_store_installation(s, &at, at.parent, err);
    *out = at.incarnation;
    return rc < 0 ? rc : 0;
}

int tz_installation_ancestors(struct apply *p, struct tz_edit *e)
{
    struct tz_device at = p->dev;
    uint64_t upto = UINT64_MAX;
    size_t cap = 0;
    struct tz_ancestor *v = NULL;
    int rc = 1;
    e->ancestors = NULL;
    e->nancestors = 0;
    while (rc == 1 && at.parent) {
        if (e->nancestors == cap) {
            struct tz_ancestor *more = tz_arena_calloc(p->a, cap ? cap * 2 : 4, sizeof *more);
            if (!more)
                return TZ_E_NOMEM;
            if (cap)
                memcpy(more, v, cap * sizeof *v);
            cap = cap ? cap * 2 : 4;
            e->ancestors = v = more;
        }
        upto = at.fork_seq < upto ? at.fork_seq : upto;
        v[e->nancestors++] = (struct tz_ancestor){at.parent, upto};
        rc = tz_store_installation(p->s, &at, at.parent, p->err);
    }
    return rc < 0 ? rc : 0;
}

int tz_installation_judged(struct tz_store *s, uint32_t device, uint32_t incarnation, uint64_t seq, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_INSTALLATION_JUDGED, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, device);
    tz_stmt_bind_int(st, 2, incarnation);
    tz_stmt_bind_int(st, 3, (int64_t)seq);
    return tz_stmt_run(st, err);
}

int tz_installation_forgotten(struct tz_store *s, const struct tz_device *d, uint64_t *out, struct tz_err *err)
{
    struct tz_stmt *st =
        tz_store_sql(s, d->incarnation == 1 ? TZ_SQL_FORGOTTEN_GET : TZ_SQL_INSTALLATION_FORGOTTEN, err);
    *out = 0;
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, d->number);
    if (d->incarnation != 1)
        tz_stmt_bind_int(st, 2, d->incarnation);
    int rc = tz_stmt_step(st, err);
    *out = rc == 1 ? (uint64_t)tz_stmt_int(st, 0) : 0;
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

int tz_installation_forget(struct tz_store *s, const struct tz_device *d, uint64_t upto, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, d->incarnation == 1 ? TZ_SQL_FORGOTTEN_PUT : TZ_SQL_INSTALLATION_FORGET, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, d->number);
    tz_stmt_bind_int(st, 2, (int64_t)upto);
    if (d->incarnation != 1)
        tz_stmt_bind_int(st, 3, d->incarnation);
    return tz_stmt_run(st, err);
}

/* ---- giving one ---- */

/** 1 and the incarnation that @token has, 0 none. */
static int token_get(struct tz_store *s, uint32_t device, struct tz_bytes token, uint32_t *out, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_INSTALLATION_TOKEN, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_blob(st, 1, token.p, token.n);
    int rc = tz_stmt_step(st, err);
    bool ours = rc == 1 && (uint32_t)tz_stmt_int(st, 0) == device;
    *out = rc == 1 ? (uint32_t)tz_stmt_int(st, 1) : 0;
    tz_stmt_reset(st);
    return rc == 1 && !ours ? tz_err_set(err, TZ_E_PROTOCOL, "token", NULL, NULL, NULL) : rc;
}

static int put(struct tz_store *s, const struct tz_device *d, struct tz_bytes token, uint64_t fork_seq,
               uint32_t incarnation, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_INSTALLATION_PUT, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_blob(st, 1, token.p, token.n);
    tz_stmt_bind_int(st, 2, d->number);
    tz_stmt_bind_int(st, 3, incarnation);
    tz_stmt_bind_int(st, 4, d->incarnation);
    tz_stmt_bind_int(st, 5, (int64_t)fork_seq);
    tz_stmt_bind_int(st, 6, tz_clock_wall(&s->clock).ms);
    int rc = tz_stmt_run(st, err);
    st = rc ? NULL : tz_store_sql(s, TZ_SQL_DEVICE_INCARNATION, err);
    if (!st)
        return rc ? rc : TZ_E_DB;
    tz_stmt_bind_int(st, 1, d->number);
    tz_stmt_bind_int(st, 2, incarnation);
    return tz_stmt_run(st, err);
}

static int tell(struct tz_store *s, const struct tz_device *d, struct tz_bytes token, uint64_t fork_seq,
                uint32_t incarnation, struct tz_err *err)
{
    char meta[128];
    (void)snprintf(meta, sizeof meta, "installation device=%u incarnation=%u parent=%u fork_seq=%llu", d->number,
                   incarnation, d->incarnation, (unsigned long long)fork_seq);
    int rc = tz_audit_add(s, meta, token, err);
    if (!rc)
        rc = tz_journal_note(s, TZ_JOURNAL_DEVICE, tz_value_int(d->number), err);
    return rc ? rc : tz_journal_note(s, TZ_JOURNAL_INSTALLATION, tz_value_blob(token.p, token.n), err);
}

int tz_store_renumber(struct tz_store *s, uint32_t device, uint32_t incarnation, struct tz_bytes token,
                      uint64_t fork_seq, uint32_t *out, struct tz_err *err)
{
    struct tz_device d = {0};
    int rc = token.n == TZ_ID_BYTES ? token_get(s, device, token, out, err) : 0;
    if (rc)
        return rc < 0 ? rc : 0;
    rc = tz_store_device_by_number(s, device, &d, err);
    uint32_t highest = d.incarnation;
    if (rc == 1)
        rc = tz_store_installation(s, &d, incarnation, err);
    if (rc != 1)
        return rc < 0 ? rc : tz_err_set(err, TZ_E_REVOKED, NULL, NULL, NULL, NULL);
    if (token.n != TZ_ID_BYTES || fork_seq > INT64_MAX)
        return tz_err_set(err, TZ_E_PROTOCOL, "token", NULL, NULL, NULL);
    if (highest >= INCARNATIONS_MAX)
        return tz_err_set(err, TZ_E_COPIES, NULL, NULL, NULL, NULL);
    *out = highest + 1;
    rc = put(s, &d, token, fork_seq, *out, err);
    return rc ? rc : tell(s, &d, token, fork_seq, *out, err);
}

/* ---- the hash a save had ---- */

int tz_former_get(struct apply *p, struct tz_bytes hash, uint32_t *incarnation, uint64_t *seq)
{
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_FORMER_GET, p->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_blob(st, 2, hash.p, hash.n);
    int rc = tz_stmt_step(st, p->err);
    *incarnation = rc == 1 ? (uint32_t)tz_stmt_int(st, 0) : 0;
    *seq = rc == 1 ? (uint64_t)tz_stmt_int(st, 1) : 0;
    tz_stmt_reset(st);
    return rc;
}

/** The answer of (incarnation, seq), if that took effect, as one of p's: 1, 0 it did not, negative. */
static int answer_of(struct apply *p, uint32_t incarnation, uint64_t seq, struct tz_signed_result *out)
{
    struct tz_answer was;
    int rc = tz_answer_get(p->s, p->device, incarnation, seq, p->a, &was, p->err);
    if (rc != 1)
        return rc < 0 ? rc : tz_err_set(p->err, TZ_E_DB_CORRUPT, "former", NULL, NULL, NULL);
    if (was.r.outcome != TZ_OUT_APPLIED && was.r.outcome != TZ_OUT_SUPERSEDED && was.r.outcome != TZ_OUT_UNDER_REVIEW)
        return 0;
    was.r.incarnation = p->cs->incarnation;
    was.r.seq = p->cs->seq;
    memcpy(was.r.hash, p->hash, TZ_HASH_BYTES);
    rc = tz_results_repeat(p->s, p->device, &was.r, p->a, out, p->err);
    return rc ? rc : 1;
}

/** Its author took it back before it came in: it is no more what it was, and speaks for no other copy. */
static bool emptied(const struct tz_changeset *cs)
{
    return cs->nops == 1 && cs->ops[0].kind == TZ_OP_WITHDRAW && cs->ops[0].target_seq == cs->seq;
}

int tz_former_answer(struct apply *p, struct tz_signed_result *out)
{
    uint32_t incarnation = 0;
    uint64_t seq = 0;
    bool asks = p->cs->former.n == TZ_HASH_BYTES && !emptied(p->cs);
    int rc = asks ? tz_former_get(p, p->cs->former, &incarnation, &seq) : 0;
    if (rc == 1)
        rc = answer_of(p, incarnation, seq, out);
    if (rc != 1)
        return rc;
    rc = tz_apply_note_judged(p);
    return rc ? rc : 1;
}

static int former_put(struct apply *p)
{
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_FORMER_PUT, p->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_blob(st, 2, p->cs->former.p, p->cs->former.n);
    tz_stmt_bind_int(st, 3, p->cs->incarnation);
    tz_stmt_bind_int(st, 4, (int64_t)p->cs->seq);
    return tz_stmt_run(st, p->err);
}

int tz_former_note(struct apply *p)
{
    int rc = p->cs->former.n == TZ_HASH_BYTES && !emptied(p->cs) ? former_put(p) : 0;
    if (rc || p->cs->former.n != TZ_HASH_BYTES)
        return rc;
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_FORMER_DROP_HELD, p->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_blob(st, 2, p->cs->former.p, p->cs->former.n);
    return tz_stmt_run(st, p->err);
}

/* ---- a session in which a copy was found ---- */

void tz_fork_note(struct tz_store *s, uint64_t session, uint32_t incarnation)
{
    if (session == 0)
        return;
    s->forks[s->nforks++ % TZ_FORKS_KEPT] = (struct tz_fork){session, incarnation};
}

bool tz_fork_known(const struct tz_store *s, uint64_t session, uint32_t incarnation)
{
    for (size_t i = 0; session && i < TZ_FORKS_KEPT; i++)
        if (s->forks[i].session == session && s->forks[i].incarnation == incarnation)
            return true;
    return false;
}
