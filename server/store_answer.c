/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the answer to a changeset is kept: for ever, since a resend gets it again byte for byte, and short, since nearly
 * all of them say the same.
 *
 *   full    the serialised Result, as it was sent
 *   short   byte 0 (no message begins with it), varint effective time, varint time of receipt (ms, zigzag), then of the
 *           ops, run by run: varint how many, varint their outcome
 *
 * What else there is in a Result stands in columns of its own. An answer that says more (a code, cases, numbers given,
 * records that became one) is full. Which it is is found out by trying: short is only what, read back, gives the same
 * bytes. The mac is not kept: it follows from the bytes and the key that every copy of the database has from its first
 * day. Answers of an older program are full and have theirs; it is the same.
 */
#include "apply_int.h"
#include "codec.h"

#include <string.h>

/* ---- the short form ---- */

static int shorten(const struct tz_result *r, struct tz_buf *out)
{
    int rc = tz_buf_putc(out, 0);
    if (!rc)
        rc = tz_wire_put_varint(out, r->effective);
    if (!rc)
        rc = tz_wire_put_varint(out, tz_zigzag(r->received_ms));
    for (size_t i = 0, n; i < r->nops && !rc; i += n) {
        n = 1;
        while (i + n < r->nops && r->ops[i + n].outcome == r->ops[i].outcome)
            n++;
        rc = tz_wire_put_varint(out, n);
        if (!rc)
            rc = tz_wire_put_varint(out, (uint64_t)r->ops[i].outcome);
    }
    return rc;
}

/** Ops of the runs in @in: how many, and into @ops unless that is NULL. TZ_E_FORMAT. */
static int take_runs(struct tz_bytes in, struct tz_op_result *ops, size_t *nops)
{
    *nops = 0;
    while (in.n > 0) {
        uint64_t n = 0;
        uint64_t outcome = 0;
        if (tz_wire_take_varint(&in, &n) || tz_wire_take_varint(&in, &outcome) || n > TZ_CHANGESET_OPS_MAX - *nops ||
            outcome > TZ_OUT_WITHDRAWN)
            return TZ_E_FORMAT;
        for (uint64_t i = 0; ops && i < n; i++)
            ops[*nops + i] = (struct tz_op_result){.outcome = (enum tz_outcome)outcome};
        *nops += (size_t)n;
    }
    return 0;
}

/** @r knows what has a column; the rest comes out of @in. */
static int lengthen(struct tz_bytes in, struct tz_arena *a, struct tz_result *r)
{
    uint64_t effective = 0;
    uint64_t received = 0;
    in = tz_bytes_of(in.p + 1, in.n - 1);
    if (tz_wire_take_varint(&in, &effective) || tz_wire_take_varint(&in, &received) || take_runs(in, NULL, &r->nops))
        return TZ_E_FORMAT;
    struct tz_op_result *ops = tz_arena_calloc(a, r->nops + 1, sizeof *ops);
    r->effective = effective;
    r->received_ms = tz_unzigzag(received);
    r->ops = ops;
    return ops ? take_runs(in, ops, &r->nops) : TZ_E_NOMEM;
}

static int is_short(struct tz_bytes kept)
{
    return kept.n > 0 && kept.p[0] == 0;
}

int tz_answer_keep(const struct tz_result *r, struct tz_bytes full, struct tz_arena *a, struct tz_bytes *out)
{
    struct tz_result back = {.incarnation = r->incarnation, .seq = r->seq, .outcome = r->outcome, .ver = r->ver};
    struct tz_buf kept;
    struct tz_buf again;
    tz_buf_init(&kept, 4 * TZ_CHANGESET_BYTES_MAX);
    tz_buf_init(&again, 4 * TZ_CHANGESET_BYTES_MAX);
    memcpy(back.hash, r->hash, TZ_HASH_BYTES);
    int rc = shorten(r, &kept);
    if (!rc)
        rc = lengthen(tz_buf_unread(&kept), a, &back);
    if (!rc)
        rc = tz_msg_put_result(&again, &back);
    bool same = !rc && tz_bytes_eq(tz_buf_unread(&again), full);
    if (!rc)
        rc = tz_results_copy(a, same ? tz_buf_unread(&kept) : full, out);
    tz_buf_deinit(&kept);
    tz_buf_deinit(&again);
    return rc;
}

/* ---- and back ---- */

static int read_full(struct tz_bytes kept, struct tz_arena *a, struct tz_answer *out)
{
    struct tz_buf b;
    if (!is_short(kept))
        return tz_results_copy(a, kept, &out->result);
    int rc = lengthen(kept, a, &out->r);
    tz_buf_init(&b, 4 * TZ_CHANGESET_BYTES_MAX);
    if (!rc)
        rc = tz_msg_put_result(&b, &out->r);
    if (!rc)
        rc = tz_results_copy(a, tz_buf_unread(&b), &out->result);
    tz_buf_deinit(&b);
    return rc;
}

struct tz_stmt *tz_answer_stmt(struct tz_store *s, uint32_t device, uint32_t incarnation, uint64_t seq,
                               struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_RESULT_GET, err);
    if (!st)
        return NULL;
    tz_stmt_bind_int(st, 1, device);
    tz_stmt_bind_int(st, 2, incarnation);
    tz_stmt_bind_int(st, 3, (int64_t)seq);
    return st;
}

int tz_answer_get(struct tz_store *s, uint32_t device, uint32_t incarnation, uint64_t seq, struct tz_arena *a,
                  struct tz_answer *out, struct tz_err *err)
{
    struct tz_stmt *st = tz_answer_stmt(s, device, incarnation, seq, err);
    *out = (struct tz_answer){.r = {.incarnation = incarnation, .seq = seq}};
    if (!st)
        return TZ_E_DB;
    int rc = tz_stmt_step(st, err);
    if (rc == 1) {
        struct tz_bytes hash = tz_stmt_blob(st, 0);
        uint8_t here[TZ_HASH_BYTES] = {0};
        if (hash.n == TZ_HASH_BYTES)
            memcpy(here, hash.p, TZ_HASH_BYTES);
        memcpy(out->r.hash, here, TZ_HASH_BYTES);
        out->r.outcome = (enum tz_outcome)tz_stmt_int(st, 1);
        out->r.ver = (tz_ver)tz_stmt_int(st, 3);
        int bad = read_full(tz_stmt_blob(st, 2), a, out);
        if (!bad)
            bad = tz_msg_read_result(out->result, a, &out->r, err);
        if (!bad && (out->r.seq != seq || memcmp(out->r.hash, here, TZ_HASH_BYTES) != 0))
            bad = TZ_E_FORMAT;
        rc = bad == TZ_E_NOMEM ? bad : bad ? tz_err_set(err, TZ_E_DB_CORRUPT, "result", NULL, NULL, NULL) : 1;
    }
    tz_stmt_reset(st);
    return rc;
}
