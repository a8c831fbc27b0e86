/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Own saves whose answers a restore of the server undid: which they are, and in which order they are handed in again.
 *
 *   answer                                    then
 *   applied …, of a version in a lost range   handed in again with the answer and its mac; on top until it counts anew
 *   final, without a version, above what the  the same, but on top it changes nothing: the server keeps the answer
 *   server still has answers to
 *   either, and the words were wiped or       not handed in: it is counted (tz_lost_saves, tz_office_balance). One
 *   emptied                                   without a version is marked 2, since nothing else would tell
 *
 * Invariants
 *  1. A save is marked in the transaction that learns of the restore, and until an answer replaces the old one. So a
 * session that breaks, or a process that ends, hands in again what is left.
 *  2. The old answer stays until then, mac and all: it is the proof.
 *  3. The order is that of the old versions. A save without one comes where the numbers below it were.
 */
#include "office_int.h"
#include "planted.h"

enum { LOAD_MAX = TZ_MSG_CHANGESETS_MAX };

/* ---- marking ---- */

/** Numbers of the installation that this one was made from may still have answers: the server says nothing of them. */
static int mark_all(struct tz_office *o, uint64_t judged_seq, struct tz_err *err)
{
    struct tz_stmt *s =
        tz_office_sql(o, OS_REOFFER_MARK,
                      "UPDATE outbox AS b SET reoffer = iif(length(raw) > 0, 1, 2) WHERE"
                      " (length(raw) > 0 AND result IS NOT NULL AND mac IS NOT NULL AND (" TZ_ANSWER_LOST
                      " OR (outcome IN (1, 2, 3, 6, 7) AND ver = 0 AND (incarnation <> ?1 OR seq > ?2)))) OR"
                      " (length(raw) = 0 AND outcome IN (1, 2, 3, 6, 7) AND ver = 0 AND incarnation = ?1 AND seq > ?2)",
                      err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, o->st.id.incarnation);
    tz_stmt_bind_int(s, 2, (int64_t)judged_seq);
    return tz_stmt_run(s, err);
}

/** Its ops that had happened are on top again. */
static int show(struct tz_office *o, uint64_t seq, struct tz_bytes result, struct tz_arena *a, struct tz_err *err)
{
    struct tz_result r;
    int rc = tz_msg_read_result(result, a, &r, err);
    return rc ? rc : tz_withdrawal_back_on_top(o, seq, &r, err);
}

/** The next one after *@seq whose answer had a version: 1, 0 none. */
static int next_shown(struct tz_office *o, uint64_t *seq, struct tz_arena *a, struct tz_bytes *result,
                      struct tz_err *err)
{
    struct tz_stmt *s =
        tz_office_sql(o, OS_REOFFER_NEXT,
                      "SELECT seq, result FROM outbox WHERE reoffer = 1 AND ver <> 0 AND seq > ? ORDER BY seq", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, (int64_t)*seq);
    int rc = tz_stmt_step(s, err);
    if (rc == 1) {
        struct tz_bytes b = tz_stmt_blob(s, 1);
        *seq = (uint64_t)tz_stmt_int(s, 0);
        *result = (struct tz_bytes){tz_arena_dup(a, b.p, b.n), b.n};
        rc = result->p ? 1 : tz_office_nomem(err);
    }
    tz_stmt_reset(s);
    return rc;
}

int tz_reoffer_mark(struct tz_office *o, uint64_t judged_seq, struct tz_err *err)
{
    struct tz_arena a;
    struct tz_bytes result = {0};
    uint64_t seq = 0;
    int rc = TZ_PLANTED(NOTHING_REOFFERED) ? 0 : mark_all(o, judged_seq, err);
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    while (!rc && (rc = next_shown(o, &seq, &a, &result, err)) == 1) {
        rc = show(o, seq, result, &a, err);
        tz_arena_reset(&a);
    }
    tz_arena_deinit(&a);
    return rc;
}

/* ---- handing in ---- */

static int copy_out(struct tz_stmt *s, int column, struct tz_arena *a, struct tz_bytes *out)
{
    struct tz_bytes b = tz_stmt_blob(s, column);
    *out = (struct tz_bytes){tz_arena_dup(a, b.p, b.n), b.n};
    return out->p ? 0 : TZ_E_NOMEM;
}

static struct tz_stmt *load_stmt(struct tz_office *o, struct tz_err *err)
{
    return tz_office_sql(
        o, OS_REOFFER_LOAD,
        "SELECT place, seq, raw, result, mac FROM (SELECT iif(b.ver > 0, b.ver, coalesce((SELECT max(c.ver)"
        " FROM outbox c WHERE c.reoffer = 1 AND c.seq < b.seq), 0)) AS place, * FROM outbox b"
        " WHERE reoffer = 1) WHERE (place, seq) > (?1, ?2) ORDER BY place, seq",
        err);
}

int tz_office_reoffer(struct tz_office *o, struct tz_reoffer_place *place, size_t bytes_max, struct tz_arena *a,
                      struct tz_offered **saves, size_t *n, struct tz_err *err)
{
    struct tz_offered *v = tz_arena_calloc(a, LOAD_MAX, sizeof *v);
    struct tz_stmt *s = v ? load_stmt(o, err) : NULL;
    size_t bytes = 0;
    int rc = 0;
    *n = 0;
    *saves = v;
    if (!s)
        return v ? tz_office_code(err) : tz_office_nomem(err);
    tz_stmt_bind_int(s, 1, (int64_t)place->ver);
    tz_stmt_bind_int(s, 2, (int64_t)place->seq);
    while (*n < LOAD_MAX && (rc = tz_stmt_step(s, err)) == 1) {
        bytes += tz_stmt_blob(s, 2).n + tz_stmt_blob(s, 3).n + tz_stmt_blob(s, 4).n;
        if (*n && bytes > bytes_max)
            break;
        rc = copy_out(s, 2, a, &v[*n].changeset);
        rc = rc ? rc : copy_out(s, 3, a, &v[*n].was.result);
        rc = rc ? rc : copy_out(s, 4, a, &v[*n].was.mac);
        if (rc) {
            rc = tz_office_nomem(err);
            break;
        }
        *place = (struct tz_reoffer_place){(tz_ver)tz_stmt_int(s, 0), (uint64_t)tz_stmt_int(s, 1)};
        (*n)++;
    }
    tz_stmt_reset(s);
    return rc < 0 ? rc : 0;
}
