/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounting: outcomes of a device's ops from the results, and what it handed in counted from something else, so that
 * the one is checked against the other and not against itself.
 *
 *   handed in = bodies of the audit log (judged, or a copy's) + what waits (its bytes in the backlog)
 *             + what has no body any more (erased): as its result says
 *   numbers   = every seq up to the greatest judged one has a result or was declared lost; of those that a restore
 *               forgot (device.forgotten_seq) nobody can say
 *
 * A changeset counts once, by (device, incarnation, seq, hash): it may have been judged again after it had waited, and
 * a copied installation has the same seqs. One that was held and came in again under a number of its own counts there.
 */
#include "history_int.h"

#include <stdlib.h>
#include <string.h>

enum { CHANGESET_ARENA_BYTES = 64 * 1024 * 1024 };

int tz_store_balance(struct tz_store *s, uint32_t device, struct tz_balance *out, struct tz_err *err)
{
    struct tz_stmt st = {0};
    memset(out, 0, sizeof *out);
    int rc = tz_db_prepare(
        s->db, &st,
        "SELECT count(*),sum(applied),sum(superseded),sum(refused),sum(waiting),sum(held),"
        "sum(under_review),sum(withdrawn),(SELECT count(*) FROM lost WHERE device=?1),"
        "(SELECT count(*) FROM backlog WHERE device=?1 AND outcome IN (5,7)),"
        "(SELECT sum(nops) FROM backlog WHERE device=?1 AND outcome=5),"
        "(SELECT sum(nops) FROM backlog WHERE device=?1 AND outcome=7),"
        "(SELECT sum(l.last-min(l.last,l.known)-(SELECT count(*) FROM (SELECT seq FROM result r"
        " WHERE r.device=?1 AND r.incarnation=l.incarnation AND r.seq>l.known AND r.seq<=l.last"
        " UNION SELECT seq FROM lost o WHERE o.device=?1 AND o.incarnation=l.incarnation AND o.seq>l.known"
        " AND o.seq<=l.last))) FROM (SELECT 1 AS incarnation,last_seq AS last,forgotten_seq AS known FROM device"
        " WHERE number=?1 UNION ALL SELECT incarnation,last_seq,max(forgotten_seq,fork_seq) FROM installation"
        " WHERE device=?1) l)"
        " FROM result WHERE device=?1",
        err);
    if (!rc) {
        tz_stmt_bind_int(&st, 1, device);
        rc = tz_stmt_step(&st, err);
    }
    if (rc == 1) {
        uint64_t *const at[] = {&out->changesets, &out->applied,      &out->superseded, &out->refused, &out->waiting,
                                &out->held,       &out->under_review, &out->withdrawn,  &out->lost};
        for (int i = 0; i < 9; i++)
            *at[i] = (uint64_t)tz_stmt_int(&st, i);
        out->changesets += (uint64_t)tz_stmt_int(&st, 9); /* of copied installations */
        out->held += (uint64_t)tz_stmt_int(&st, 10);
        out->withdrawn += (uint64_t)tz_stmt_int(&st, 11);
        out->missing = (uint64_t)tz_stmt_int(&st, 12);
        rc = 0;
    }
    tz_stmt_finalize(&st);
    return rc;
}

/* ---- ops handed in ---- */

struct handed_in {
    uint32_t device, incarnation;
    uint64_t seq;
    uint8_t hash[TZ_HASH_BYTES]; /* a copied installation has the same seqs */
    uint64_t nops;
};

struct list {
    struct handed_in *v;
    size_t n, cap;
};

static int list_add(struct list *l, struct handed_in one, struct tz_bytes hash)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 256;
        struct handed_in *v = realloc(l->v, cap * sizeof *v);
        if (!v)
            return TZ_E_NOMEM;
        l->v = v;
        l->cap = cap;
    }
    if (hash.n == sizeof one.hash)
        memcpy(one.hash, hash.p, sizeof one.hash);
    l->v[l->n++] = one;
    return 0;
}

/** Did it come in again under another number? 1, 0, negative. */
static int has_moved(struct tz_store *s, uint32_t device, const uint8_t hash[TZ_HASH_BYTES], struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_FORMER_GET, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, device);
    tz_stmt_bind_blob(st, 2, hash, TZ_HASH_BYTES);
    int rc = tz_stmt_step(st, err);
    tz_stmt_reset(st);
    return rc;
}

static int add_raw(struct tz_store *s, struct list *l, struct tz_bytes raw, struct tz_arena *a, struct tz_err *err)
{
    struct tz_changeset cs;
    uint8_t hash[TZ_HASH_BYTES];
    tz_arena_reset(a);
    int rc = tz_msg_read_changeset(raw, a, &cs, err);
    if (!rc)
        rc = tz_sha256(raw, hash);
    if (!rc)
        rc = has_moved(s, cs.device, hash, err);
    if (rc == 1)
        return 0;
    const struct handed_in one = {cs.device, cs.incarnation, cs.seq, {0}, cs.nops};
    return rc ? rc : list_add(l, one, tz_bytes_of(hash, sizeof hash));
}

/** What there is without a body, by its number: columns hash, ops. */
static int add_rows(struct tz_stmt *st, const struct tz_audit_meta *m, struct list *l, struct tz_err *err)
{
    int rc = 0;
    tz_stmt_bind_int(st, 1, m->device);
    tz_stmt_bind_int(st, 2, m->incarnation);
    tz_stmt_bind_int(st, 3, (int64_t)m->seq);
    while (!rc && (rc = tz_stmt_step(st, err)) == 1) {
        const struct handed_in one = {m->device, m->incarnation, m->seq, {0}, (uint64_t)tz_stmt_int(st, 1)};
        rc = list_add(l, one, tz_stmt_blob(st, 0));
    }
    tz_stmt_reset(st);
    return rc;
}

static int from_audit(struct tz_store *s, struct list *l, struct tz_arena *a, struct tz_err *err)
{
    struct tz_stmt bodies = {0};
    struct tz_stmt known = {0};
    struct tz_audit_meta m;
    int rc = tz_db_prepare(s->db, &bodies,
                           "SELECT a.meta,b.body FROM audit a LEFT JOIN audit_body b ON b.n=a.n"
                           " WHERE a.meta GLOB 'changeset *' ORDER BY a.n",
                           err);
    if (!rc)
        rc = tz_db_prepare(
            s->db, &known,
            "SELECT hash,applied+superseded+refused+waiting+held+under_review+withdrawn FROM result"
            " WHERE device=?1 AND incarnation=?2 AND seq=?3 UNION ALL"
            " SELECT hash,nops FROM backlog WHERE device=?1 AND incarnation=?2 AND seq=?3 AND outcome IN (5,7)",
            err);
    while (!rc && (rc = tz_stmt_step(&bodies, err)) == 1) {
        struct tz_bytes raw = tz_stmt_blob(&bodies, 1);
        bool ours = tz_audit_meta_parse(tz_stmt_text(&bodies, 0), &m);
        rc = raw.n ? add_raw(s, l, raw, a, err) : ours ? add_rows(&known, &m, l, err) : 0;
    }
    tz_stmt_finalize(&bodies);
    tz_stmt_finalize(&known);
    return rc;
}

/** Not judged yet, so not in the log either. */
static int from_backlog(struct tz_store *s, struct list *l, struct tz_arena *a, struct tz_err *err)
{
    struct tz_stmt st = {0};
    int rc = tz_db_prepare(s->db, &st, "SELECT raw FROM backlog WHERE outcome IN (4,5)", err);
    while (!rc && (rc = tz_stmt_step(&st, err)) == 1)
        rc = add_raw(s, l, tz_stmt_blob(&st, 0), a, err);
    tz_stmt_finalize(&st);
    return rc;
}

static int by_key(const void *pa, const void *pb)
{
    const struct handed_in *a = pa;
    const struct handed_in *b = pb;
    if (a->device != b->device)
        return a->device < b->device ? -1 : 1;
    if (a->incarnation != b->incarnation)
        return a->incarnation < b->incarnation ? -1 : 1;
    if (a->seq != b->seq)
        return a->seq < b->seq ? -1 : 1;
    return memcmp(a->hash, b->hash, sizeof a->hash);
}

int tz_store_received(struct tz_store *s, tz_received_cb cb, void *ctx, struct tz_err *err)
{
    struct list l = {0};
    struct tz_received sum = {0};
    struct tz_arena a;
    tz_arena_init(&a, CHANGESET_ARENA_BYTES);
    int rc = from_audit(s, &l, &a, err);
    if (!rc)
        rc = from_backlog(s, &l, &a, err);
    tz_arena_deinit(&a);
    if (l.n)
        qsort(l.v, l.n, sizeof *l.v, by_key);
    for (size_t i = 0; i < l.n && !rc; i++) {
        if (i && by_key(&l.v[i - 1], &l.v[i]) == 0)
            continue;
        if (sum.device && sum.device != l.v[i].device) {
            cb(ctx, &sum);
            sum = (struct tz_received){0};
        }
        sum.device = l.v[i].device;
        sum.changesets++;
        sum.ops += l.v[i].nops;
    }
    if (!rc && sum.device)
        cb(ctx, &sum);
    free(l.v);
    return rc;
}
