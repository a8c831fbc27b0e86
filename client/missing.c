/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Own saves that are gone: their number was given here, and what it stood for is not in the outbox any more, or is not
 * what was saved. A disk did that. The server waits for every number, so nothing that comes after can go out until
 * somebody has said that these are lost (Hello.lost_seqs).
 *
 * Only numbers above every one that has an answer are looked at: below, the server has what it needs.
 */
#include "hash.h"
#include "log.h"
#include "office_int.h"

enum { TOLD_MAX = 300 }; /* in one Hello, which has 4 KiB */

/** The row of @seq is there and holds what was saved: 1, 0, negative. *@nops: of a row that is there. */
static int is_sound(struct tz_office *o, uint64_t seq, uint64_t *nops, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_MISSING_ROW, "SELECT raw, hash, nops FROM outbox WHERE seq = ?", err);
    uint8_t hash[TZ_HASH_BYTES];
    *nops = 0;
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, (int64_t)seq);
    int rc = tz_stmt_step(s, err);
    if (rc == 1) {
        *nops = (uint64_t)tz_stmt_int(s, 2);
        int hashed = tz_sha256(tz_stmt_blob(s, 0), hash);
        rc = hashed ? hashed : tz_bytes_eq(tz_stmt_blob(s, 1), tz_bytes_of(hash, sizeof hash));
    }
    tz_stmt_reset(s);
    return rc;
}

static int first_open(struct tz_office *o, uint64_t *out, struct tz_err *err)
{
    int64_t heard = 0;
    int rc = tz_db_query_int(o->db,
                             "SELECT max(coalesce((SELECT max(seq) FROM outbox WHERE outcome <> 0), 0),"
                             " coalesce((SELECT max(seq) FROM lost_seq), 0),"
                             " coalesce((SELECT min(seq) - 1 FROM outbox), (SELECT last_seq FROM office)))",
                             &heard, err);
    *out = (uint64_t)heard + 1;
    return rc;
}

int tz_office_missing(struct tz_office *o, uint64_t *seqs, size_t max, size_t *n, struct tz_err *err)
{
    uint64_t seq = 0;
    uint64_t nops = 0;
    *n = 0;
    int rc = tz_office_load(o, err);
    if (!rc)
        rc = first_open(o, &seq, err);
    for (; !rc && seq <= o->st.last_seq && *n < max; seq++) {
        rc = is_sound(o, seq, &nops, err);
        if (rc == 0)
            seqs[(*n)++] = seq;
        rc = rc < 0 ? rc : 0;
    }
    return rc;
}

/** @seq is lost, and what is left of it goes. */
static int give_up(struct tz_office *o, uint64_t seq, struct tz_err *err)
{
    uint64_t nops = 0;
    int rc = is_sound(o, seq, &nops, err);
    rc = rc < 0 ? rc : tz_overlay_leave(o, seq, -1, o->st.checkpoint, err);
    struct tz_stmt *s = rc ? NULL : tz_office_sql(o, OS_MISSING_DROP, "DELETE FROM outbox WHERE seq = ?", err);
    if (!s)
        return rc ? rc : tz_office_code(err);
    tz_stmt_bind_int(s, 1, (int64_t)seq);
    rc = tz_stmt_run(s, err);
    s = rc ? NULL : tz_office_sql(o, OS_MISSING_PUT, "INSERT OR REPLACE INTO lost_seq VALUES(?, ?, ?)", err);
    if (!s)
        return rc ? rc : tz_office_code(err);
    tz_stmt_bind_int(s, 1, (int64_t)seq);
    tz_stmt_bind_int(s, 2, (int64_t)nops);
    tz_stmt_bind_int(s, 3, tz_clock_wall(&o->clock).ms);
    tz_log(TZ_LOG_WARN, "office", "save-lost", "seq=%llu ops=%llu", (unsigned long long)seq, (unsigned long long)nops);
    return tz_stmt_run(s, err);
}

int tz_office_give_up(struct tz_office *o, const uint64_t *seqs, size_t n, struct tz_err *err)
{
    int rc = tz_office_begin(o, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < n && !rc; i++)
        rc = give_up(o, seqs[i], err);
    tz_overlay_cache_drop(o);
    return tz_office_end(o, rc, err);
}

int tz_missing_told(struct tz_office *o, struct tz_arena *a, const uint64_t **out, size_t *n, struct tz_err *err)
{
    uint64_t *v = tz_arena_calloc(a, TOLD_MAX, sizeof *v);
    struct tz_stmt *s =
        v ? tz_office_sql(o, OS_MISSING_ALL,
                          "SELECT seq FROM lost_seq WHERE seq > (SELECT coalesce(max(seq), 0) FROM outbox"
                          " WHERE outcome <> 0) ORDER BY seq LIMIT ?",
                          err)
          : NULL;
    int rc = 0;
    *n = 0;
    *out = v;
    if (!s)
        return v ? tz_office_code(err) : tz_office_nomem(err);
    tz_stmt_bind_int(s, 1, TOLD_MAX);
    while (*n < TOLD_MAX && (rc = tz_stmt_step(s, err)) == 1)
        v[(*n)++] = (uint64_t)tz_stmt_int(s, 0);
    tz_stmt_reset(s);
    return rc < 0 ? rc : 0;
}
