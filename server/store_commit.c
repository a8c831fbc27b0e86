/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commit table: who wrote a version, when, and by which rules. Stamps point here, so no version is ever taken away;
 * what is old is only written shorter.
 *
 *   commit_log   a row per version: the newest ones
 *   commit_pack  a row per run of up to 1024 older versions, as columns of small numbers (commit_pack.c)
 *
 * A year of single saves is a version each. As rows they would take more room than the records they are about: 100
 * bytes each, packed about 3 (tests/bench/bench_stamps.c).
 *
 * Rule of packing: when twice `commits_kept` (64) versions are rows, all but the newest `commits_kept` go into the
 * newest pack that has room, or a new one, in the group that is about to commit. It is work in proportion to what the
 * group wrote, so no run of its own is needed, and it waits for nobody: what a merge asks of a version (device,
 * incarnation, seq, user, effective time, old version, greatest effective time so far) is the same packed or not.
 *
 * Invariants
 *  1. Every version of commit_pack is older than every one of commit_log; packs do not overlap.
 *  2. The newest version is in commit_log: that is where the head is read.
 *  3. Of a packed version the time of receipt is known to the day, rounded up (only purging asks, and the audit log has
 *     it to the millisecond), and the changeset's hash is not (results and the audit log have it).
 *  4. A pack that cannot be read is damage, and is rebuilt from the audit log (commit_mend.c). One that cannot be
 * rebuilt either is not written again: a new one begins behind it, and what builds on its versions is not judged.
 */
#include "commit_int.h"
#include "log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT = 64, PASSES_MAX = 4, TAKEN_MAX = 512 };

/* ---- rows ---- */

/** What TZ_COMMIT_COLUMNS reads. */
static void read_row(const struct tz_stmt *st, struct tz_commit_entry *e)
{
    *e = (struct tz_commit_entry){
        .c = {.ver = (tz_ver)tz_stmt_int(st, 0),
              .device = (uint32_t)tz_stmt_int(st, 1),
              .incarnation = (uint32_t)tz_stmt_int(st, 2),
              .seq = (uint64_t)tz_stmt_int(st, 3),
              .effective = (tz_hlc)tz_stmt_int(st, 7),
              .old_ver = (tz_ver)tz_stmt_int(st, 12)},
        .claimed = (tz_hlc)tz_stmt_int(st, 5),
        .offset_ms = tz_stmt_int(st, 6),
        .eff_max = (tz_hlc)tz_stmt_int(st, 8),
        .received_ms = tz_stmt_int(st, 9),
        .rules = (uint32_t)tz_stmt_int(st, 10),
        .catalogue = (uint32_t)tz_stmt_int(st, 11),
    };
    (void)tz_stmt_id(st, 4, &e->c.user);
}

static int find_row(struct tz_store *s, enum tz_sql which, tz_ver ver, struct tz_commit_entry *out, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, which, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, (int64_t)ver);
    int rc = tz_stmt_step(st, err);
    if (rc == 1)
        read_row(st, out);
    tz_stmt_reset(st);
    return rc;
}

int tz_store_commit_row(struct tz_store *s, const struct tz_commit *c, tz_hlc claimed, int64_t offset_ms,
                        int64_t received_ms, const uint8_t hash[TZ_HASH_BYTES], struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_COMMIT_PUT, err);
    if (!st)
        return TZ_E_DB;
    if (c->effective > s->group_eff_max)
        s->group_eff_max = c->effective;
    tz_stmt_bind_int(st, 1, (int64_t)c->ver);
    tz_stmt_bind_int(st, 2, c->device);
    tz_stmt_bind_int(st, 3, c->incarnation);
    tz_stmt_bind_int(st, 4, (int64_t)c->seq);
    tz_stmt_bind_id(st, 5, &c->user);
    tz_stmt_bind_int(st, 6, (int64_t)claimed);
    tz_stmt_bind_int(st, 7, offset_ms);
    tz_stmt_bind_int(st, 8, (int64_t)c->effective);
    tz_stmt_bind_int(st, 9, (int64_t)s->group_eff_max);
    tz_stmt_bind_int(st, 10, received_ms);
    tz_stmt_bind_int(st, 11, TZ_RULES_VERSION);
    tz_stmt_bind_int(st, 12, s->cat->version);
    tz_stmt_bind_blob(st, 13, hash, TZ_HASH_BYTES);
    tz_stmt_bind_int(st, 14, (int64_t)c->old_ver);
    int rc = tz_stmt_run(st, err);
    if (!rc) {
        s->group_head = c->ver;
        s->commit_rows++;
    }
    return rc;
}

int tz_store_own_commit(struct tz_store *s, tz_ver *ver, struct tz_err *err)
{
    return tz_store_own_commit_as(s, 0, ver, err);
}

int tz_store_own_commit_as(struct tz_store *s, tz_ver old_ver, tz_ver *ver, struct tz_err *err)
{
    static const uint8_t none[TZ_HASH_BYTES];
    struct tz_wall now = tz_clock_wall(&s->clock);
    tz_hlc t = tz_hlc_tick(s->group_eff_max, now);
    struct tz_commit c = {.ver = s->group_head + 1, .effective = t, .old_ver = old_ver};
    *ver = c.ver;
    return tz_store_commit_row(s, &c, t, 0, now.ms, none, err);
}

/* ---- packs ---- */

void tz_commit_forget(struct tz_store *s)
{
    s->packed_first = s->packed_last = 0;
}

/** What @body holds, into s->packed. */
static int unpack(struct tz_store *s, tz_ver first, tz_ver last, struct tz_bytes body, struct tz_err *err)
{
    if (!s->packed && !(s->packed = malloc(sizeof *s->packed)))
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    tz_commit_forget(s);
    int bad = tz_commit_unpack(first, body, s->packed);
    if (bad || s->packed->v[s->packed->n - 1].c.ver != last)
        return tz_err_setf(err, bad == TZ_E_NOMEM ? bad : TZ_E_DB_CORRUPT, "commits from %llu",
                           (unsigned long long)first);
    s->packed_first = first;
    s->packed_last = last;
    return 0;
}

/** The same for one that is damaged, as far as it can be rebuilt. */
static int unpack_rebuilt(struct tz_store *s, tz_ver first, tz_ver last, struct tz_err *err)
{
    struct tz_buf b;
    tz_buf_init(&b, TZ_ROW_BYTES_MAX);
    int rc = tz_commit_rebuild(s, first, last, &b, err);
    if (!rc)
        rc = unpack(s, first, last, tz_buf_unread(&b), err);
    tz_buf_deinit(&b);
    if (!rc) {
        s->commits_damaged = true;
        tz_log(TZ_LOG_WARN, "store", "commits_damaged", "first=%" PRIu64 " last=%" PRIu64 " read=rebuilt", first, last);
    }
    return rc;
}

/** The pack that @which finds for @ver, in s->packed. 1, 0 none, negative; TZ_E_COMMITS_LOST it is damaged beyond what
 * can be rebuilt. */
static int read_pack(struct tz_store *s, enum tz_sql which, tz_ver ver, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, which, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, (int64_t)ver);
    int rc = tz_stmt_step(st, err);
    tz_ver first = rc == 1 ? (tz_ver)tz_stmt_int(st, 0) : 0;
    tz_ver last = rc == 1 ? (tz_ver)tz_stmt_int(st, 1) : 0;
    bool here = rc == 1 && first == s->packed_first && last == s->packed_last;
    int bad = rc != 1 || here ? 0 : unpack(s, first, last, tz_stmt_blob(st, 2), err);
    tz_stmt_reset(st);
    if (bad == TZ_E_DB_CORRUPT)
        bad = unpack_rebuilt(s, first, last, err);
    return bad ? bad : rc;
}

/** Whom the author of a packed entry stands for. */
static int author_of(struct tz_store *s, struct tz_commit_entry *e, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_AUTHOR_GET, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, e->author);
    int rc = tz_stmt_step(st, err);
    if (rc == 1) {
        e->c.device = (uint32_t)tz_stmt_int(st, 0);
        e->c.incarnation = (uint32_t)tz_stmt_int(st, 1);
        (void)tz_stmt_id(st, 2, &e->c.user);
    }
    tz_stmt_reset(st);
    return rc ? rc : tz_err_setf(err, TZ_E_DB_CORRUPT, "author %u", e->author);
}

int tz_commit_author_known(struct tz_store *s, struct tz_commit_entry *e, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_AUTHOR_FIND, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, e->c.device);
    tz_stmt_bind_int(st, 2, e->c.incarnation);
    tz_stmt_bind_id(st, 3, &e->c.user);
    int rc = tz_stmt_step(st, err);
    if (rc == 1)
        e->author = (uint32_t)tz_stmt_int(st, 0);
    tz_stmt_reset(st);
    return rc;
}

static int author_number(struct tz_store *s, struct tz_commit_entry *e, struct tz_err *err)
{
    const struct tz_commit *c = &e->c;
    int rc = tz_commit_author_known(s, e, err);
    if (rc)
        return rc < 0 ? rc : 0;
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_AUTHOR_PUT, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, c->device);
    tz_stmt_bind_int(st, 2, c->incarnation);
    tz_stmt_bind_id(st, 3, &c->user);
    rc = tz_stmt_step(st, err); /* RETURNING its number */
    if (rc == 1)
        e->author = (uint32_t)tz_stmt_int(st, 0);
    tz_stmt_reset(st);
    return rc < 0 ? rc : rc == 1 ? 0 : tz_err_set(err, TZ_E_DB, "author", NULL, NULL, NULL);
}

/** Position of the first entry of s->packed above @ver. */
static size_t packed_above(const struct tz_store *s, tz_ver ver)
{
    size_t lo = 0;
    size_t hi = s->packed->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (s->packed->v[mid].c.ver <= ver)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

int tz_commit_upto(struct tz_store *s, tz_ver ver, struct tz_commit_entry *out, struct tz_err *err)
{
    int rc = ver > INT64_MAX ? 0 : find_row(s, TZ_SQL_COMMIT_UPTO, ver, out, err);
    if (rc || ver > INT64_MAX)
        return rc;
    rc = read_pack(s, TZ_SQL_PACK_UPTO, ver, err);
    if (rc != 1)
        return rc;
    *out = s->packed->v[packed_above(s, ver) - 1]; /* its first is at or below */
    return author_of(s, out, err);
}

int tz_commit_find(struct tz_store *s, tz_ver ver, struct tz_commit_entry *out, struct tz_err *err)
{
    int rc = tz_commit_upto(s, ver, out, err);
    return rc == 1 ? out->c.ver == ver : rc;
}

int tz_commit_above(struct tz_store *s, tz_ver ver, struct tz_commit_entry *out, struct tz_err *err)
{
    int rc = read_pack(s, TZ_SQL_PACK_UPTO, ver, err);
    if (rc == 0 || (rc == 1 && s->packed_last <= ver))
        rc = read_pack(s, TZ_SQL_PACK_ABOVE, ver, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return find_row(s, TZ_SQL_COMMIT_ABOVE, ver, out, err);
    *out = s->packed->v[packed_above(s, ver)];
    return author_of(s, out, err);
}

struct tz_commit tz_store_commit_of(struct tz_store *s, tz_ver ver)
{
    struct tz_commit_entry e;
    struct tz_err err = {0};
    int rc = tz_commit_find(s, ver, &e, &err);
    if (rc < 0) {
        s->read_err = err;
        s->read_err.code = rc;
    }
    return rc == 1 ? e.c : (struct tz_commit){0};
}

/* ---- packing ---- */

/** The newest pack, to be gone on with; an empty run when there is none, it is full, or it cannot be read. */
static int newest_pack(struct tz_store *s, struct tz_commit_run *run, struct tz_err *err)
{
    int rc = read_pack(s, TZ_SQL_PACK_UPTO, INT64_MAX, err);
    run->n = 0;
    if (rc == TZ_E_COMMITS_LOST) {
        *err = (struct tz_err){0};
        rc = 0;
    }
    if (rc == 1 && s->packed->n < TZ_COMMIT_PACK_MAX)
        memcpy(run, s->packed, sizeof *run);
    return rc < 0 ? rc : 0;
}

/** The @n oldest rows behind those of @run. */
static int take_rows(struct tz_store *s, struct tz_commit_run *run, size_t n, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_COMMIT_OLDEST, err);
    size_t from = run->n;
    int rc = 0;
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, (int64_t)n);
    while (run->n < from + n && (rc = tz_stmt_step(st, err)) == 1)
        read_row(st, &run->v[run->n++]);
    tz_stmt_reset(st);
    for (size_t i = from; i < run->n && rc >= 0; i++)
        rc = author_number(s, &run->v[i], err);
    return rc < 0 ? rc : 0;
}

static int put_pack(struct tz_store *s, const struct tz_commit_run *run, struct tz_err *err)
{
    struct tz_buf b;
    tz_buf_init(&b, TZ_ROW_BYTES_MAX);
    int rc = tz_commit_pack(run, &b);
    if (rc)
        rc = tz_err_set(err, rc, "commits", NULL, NULL, NULL);
    struct tz_stmt *st = rc ? NULL : tz_store_sql(s, TZ_SQL_PACK_PUT, err);
    if (st) {
        tz_stmt_bind_int(st, 1, (int64_t)run->v[0].c.ver);
        tz_stmt_bind_int(st, 2, (int64_t)run->v[run->n - 1].c.ver);
        tz_stmt_bind_blob(st, 3, b.p, b.len);
        rc = tz_stmt_run(st, err);
    }
    tz_buf_deinit(&b);
    if (!rc && !st)
        rc = TZ_E_DB;
    st = rc ? NULL : tz_store_sql(s, TZ_SQL_COMMIT_DROP, err);
    if (!st)
        return rc ? rc : TZ_E_DB;
    tz_stmt_bind_int(st, 1, (int64_t)run->v[run->n - 1].c.ver);
    return tz_stmt_run(st, err);
}

/** @n of the oldest rows, or as many as there is room for in one pack. */
static int pack_some(struct tz_store *s, struct tz_commit_run *run, size_t n, struct tz_err *err)
{
    int rc = newest_pack(s, run, err);
    size_t room = TZ_COMMIT_PACK_MAX - run->n;
    size_t take = n < room ? n : room;
    if (!rc)
        rc = take_rows(s, run, take, err);
    if (!rc)
        rc = put_pack(s, run, err);
    tz_commit_forget(s);
    s->commit_rows -= take;
    return rc;
}

int tz_commit_tidy(struct tz_store *s, struct tz_err *err)
{
    size_t kept = s->commits_kept ? s->commits_kept : KEPT;
    int64_t rows = 0;
    if (s->commit_rows < 2 * kept)
        return 0;
    int rc =
        tz_db_query_int(s->db, "SELECT count(*) FROM commit_log", &rows, err); /* what was undone was counted too */
    struct tz_commit_run *run = rc ? NULL : malloc(sizeof *run);
    if (!run)
        return rc ? rc : tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    s->commit_rows = (size_t)rows;
    for (int i = 0; i < PASSES_MAX && !rc && s->commit_rows >= 2 * kept; i++) {
        size_t n = s->commit_rows - kept;
        rc = pack_some(s, run, n < TAKEN_MAX ? n : TAKEN_MAX, err);
    }
    free(run);
    return rc;
}
