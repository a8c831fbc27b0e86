/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounting: outcomes of a device's ops from the results, and what it handed in counted from something else, so that
 * the one is checked against the other and not against itself.
 *
 *   handed in = bodies of the audit log (judged, or a copy's) + what waits (its bytes in the backlog)
 *             + what has no body any more (erased): as its result says
 *   numbers   = every seq up to the greatest judged one has a result or was declared lost; of those up to which a
 *               restore forgot results (forgotten_seq) the rest is what has not come in again (undone)
 *
 * What was counted is kept on disk, not in memory. A changeset counts once, by (device, incarnation, seq, hash): it may
 * have been judged again after it had waited, and a copied installation has the same seqs. One that was held and came
 * in again under a number of its own counts there.
 */
#include "history_int.h"

#include <string.h>

enum { CHANGESET_ARENA_BYTES = 64 * 1024 * 1024 };

/** Numbers without a result, of all installations of the device. */
static int count_numbers(struct tz_store *s, uint32_t device, struct tz_balance *out, struct tz_err *err)
{
    struct tz_stmt st = {0};
    int rc = tz_db_prepare(
        s->db, &st,
        "WITH had(incarnation,seq) AS MATERIALIZED (SELECT incarnation,seq FROM result WHERE device=?1"
        " UNION SELECT incarnation,seq FROM lost WHERE device=?1),"
        " own(incarnation,first,forgotten,last) AS (SELECT 1,0,forgotten_seq,last_seq FROM device WHERE number=?1"
        " UNION ALL SELECT incarnation,fork_seq,max(forgotten_seq,fork_seq),last_seq FROM installation WHERE device=?1)"
        " SELECT sum(forgotten-first-(SELECT count(*) FROM had h WHERE h.incarnation=o.incarnation AND h.seq>o.first"
        " AND h.seq<=o.forgotten)),"
        " sum(last-min(last,forgotten)-(SELECT count(*) FROM had h WHERE h.incarnation=o.incarnation"
        " AND h.seq>o.forgotten AND h.seq<=o.last)) FROM own o",
        err);
    if (!rc) {
        tz_stmt_bind_int(&st, 1, device);
        rc = tz_stmt_step(&st, err);
    }
    if (rc == 1) {
        out->undone = (uint64_t)tz_stmt_int(&st, 0);
        out->missing = (uint64_t)tz_stmt_int(&st, 1);
        rc = 0;
    }
    tz_stmt_finalize(&st);
    return rc;
}

int tz_store_balance(struct tz_store *s, uint32_t device, struct tz_balance *out, struct tz_err *err)
{
    struct tz_stmt st = {0};
    memset(out, 0, sizeof *out);
    int rc = tz_db_prepare(s->db, &st,
                           "SELECT count(*),sum(applied),sum(superseded),sum(refused),sum(waiting),sum(held),"
                           "sum(under_review),sum(withdrawn),(SELECT count(*) FROM lost WHERE device=?1),"
                           "(SELECT count(*) FROM backlog WHERE device=?1 AND outcome IN (5,7)),"
                           "(SELECT sum(nops) FROM backlog WHERE device=?1 AND outcome=5),"
                           "(SELECT sum(nops) FROM backlog WHERE device=?1 AND outcome=7)"
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
        rc = 0;
    }
    tz_stmt_finalize(&st);
    return rc ? rc : count_numbers(s, device, out, err);
}

/* ---- ops handed in ---- */

enum { SCRATCH_KIB = 8192 };

/** Changesets by their key, in a database of nobody's: there are as many as were ever made. */
struct list {
    struct tz_db *db;
    struct tz_stmt put;
};

struct handed_in {
    uint32_t device, incarnation;
    uint64_t seq, nops;
};

static int list_init(struct list *l, struct tz_err *err)
{
    int rc = tz_db_scratch(SCRATCH_KIB, &l->db, err);
    if (!rc)
        rc = tz_db_exec(
            l->db,
            "CREATE TABLE handed_in(device INTEGER NOT NULL, incarnation INTEGER NOT NULL, seq INTEGER NOT NULL,"
            " hash BLOB NOT NULL, nops INTEGER NOT NULL, PRIMARY KEY(device, incarnation, seq, hash)) STRICT,"
            " WITHOUT ROWID; BEGIN",
            err);
    return rc ? rc : tz_db_prepare(l->db, &l->put, "INSERT OR IGNORE INTO handed_in VALUES(?,?,?,?,?)", err);
}

static void list_deinit(struct list *l)
{
    tz_stmt_finalize(&l->put);
    tz_db_close(l->db);
}

static int list_add(struct list *l, struct handed_in one, struct tz_bytes hash, struct tz_err *err)
{
    tz_stmt_bind_int(&l->put, 1, one.device);
    tz_stmt_bind_int(&l->put, 2, one.incarnation);
    tz_stmt_bind_int(&l->put, 3, (int64_t)one.seq);
    tz_stmt_bind_blob(&l->put, 4, hash.n ? (const void *)hash.p : "",
                      hash.n); /* a copied installation has the same seqs */
    tz_stmt_bind_int(&l->put, 5, (int64_t)one.nops);
    return tz_stmt_run(&l->put, err);
}

static int list_sums(struct list *l, tz_received_cb cb, void *ctx, struct tz_err *err)
{
    struct tz_stmt st = {0};
    int rc = tz_db_prepare(
        l->db, &st, "SELECT device,count(*),sum(nops) FROM handed_in WHERE device<>0 GROUP BY device ORDER BY device",
        err);
    while (!rc && (rc = tz_stmt_step(&st, err)) == 1) {
        const struct tz_received sum = {.device = (uint32_t)tz_stmt_int(&st, 0),
                                        .changesets = (uint64_t)tz_stmt_int(&st, 1),
                                        .ops = (uint64_t)tz_stmt_int(&st, 2)};
        cb(ctx, &sum);
        rc = 0;
    }
    tz_stmt_finalize(&st);
    return rc;
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
    const struct handed_in one = {cs.device, cs.incarnation, cs.seq, cs.nops};
    return rc ? rc : list_add(l, one, tz_bytes_of(hash, sizeof hash), err);
}

/** What there is without a body, by its number: columns hash, ops. */
static int add_rows(struct tz_stmt *st, const struct tz_audit_meta *m, struct list *l, struct tz_err *err)
{
    int rc = 0;
    tz_stmt_bind_int(st, 1, m->device);
    tz_stmt_bind_int(st, 2, m->incarnation);
    tz_stmt_bind_int(st, 3, (int64_t)m->seq);
    while (!rc && (rc = tz_stmt_step(st, err)) == 1) {
        const struct handed_in one = {m->device, m->incarnation, m->seq, (uint64_t)tz_stmt_int(st, 1)};
        rc = list_add(l, one, tz_stmt_blob(st, 0), err);
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

int tz_store_received(struct tz_store *s, tz_received_cb cb, void *ctx, struct tz_err *err)
{
    struct list l = {0};
    struct tz_arena a;
    tz_arena_init(&a, CHANGESET_ARENA_BYTES);
    int rc = list_init(&l, err);
    if (!rc)
        rc = from_audit(s, &l, &a, err);
    if (!rc)
        rc = from_backlog(s, &l, &a, err);
    if (!rc)
        rc = list_sums(&l, cb, ctx, err);
    tz_arena_deinit(&a);
    list_deinit(&l);
    return rc;
}
