/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking away what nobody needs any more.
 *
 *   limit   = the least of: the lowest checkpoint that a device in lease has acknowledged,
 *                           the newest version that is older than purge_days
 *   purged  a deleted record at or below the limit that nothing refers to: row, place in the feed, claims, index of its
 *           history. (type, id, area) stay in `purged`: see judge_purged.c
 *           a leaving entry at or below the limit
 *   horizon the newest version of which something was purged. A cursor below it may have missed that: it is refused
 *           (store_feed.c), and the device fetches everything anew
 *
 * Invariants
 *  1. The horizon never passes a device in lease, so nobody in lease is ever sent back to the beginning.
 *  2. Horizon, `purged` and what went are of one group; the journal has the purged ids before it commits.
 *  3. A step looks at a bounded number of things and takes away a bounded number; the owner runs steps as long as there
 * is more. Where a step ends is remembered in memory only: a restart walks from the beginning, which changes nothing.
 *  4. With no device in lease nothing is purged: then it is likelier that this machine's clock is wrong. Nor while a
 * recovery window is open: devices hand in again what may be about it.
 *  5. A record that others were merged into, or that was merged, is never purged: aliases are permanent.
 */
#include "log.h"
#include "planted.h"
#include "purge_int.h"

#include <stdio.h>
#include <string.h>

enum { LOOKS_MAX = 512, TAKEN_MAX = 32, AGED_MAX = 4096, CHILD_REFS_MAX = 256, STEP_ARENA_BYTES = 16 * 1024 * 1024 };
static const int64_t DAY_MS = 24 * 3600 * 1000;

/* ---- limits ---- */

bool tz_lease_in(const struct tz_device *d, int64_t now_ms, int64_t lease_ms)
{
    return !d->revoked && d->checkpoint && d->acked_ms && now_ms - d->acked_ms <= lease_ms;
}

static int lowest_in_lease(struct tz_store *s, const struct tz_purge_rules *r, tz_ver *out, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_LEASE_LOWEST, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, tz_clock_wall(&s->clock).ms - r->lease_ms);
    int rc = tz_stmt_step(st, err);
    *out = rc == 1 ? (tz_ver)tz_stmt_int(st, 0) : 0; /* no row has no minimum: 0 */
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

/** Move on over commits that are old enough. A time of receipt in the future says nothing: the clock was wrong. */
static int age(struct tz_store *s, const struct tz_purge_rules *r, tz_ver *aged, bool *more, struct tz_err *err)
{
    int64_t now = tz_clock_wall(&s->clock).ms;
    int64_t was = 0;
    int n = 0;
    int rc = tz_store_meta_int(s, "purge_aged", &was, err);
    struct tz_stmt *st = rc ? NULL : tz_store_sql(s, TZ_SQL_COMMIT_AFTER, err);
    if (!st)
        return rc ? rc : TZ_E_DB;
    *aged = (tz_ver)was;
    tz_stmt_bind_int(st, 1, was);
    tz_stmt_bind_int(st, 2, AGED_MAX);
    while ((rc = tz_stmt_step(st, err)) == 1) {
        int64_t received = tz_stmt_int(st, 1);
        if (received > now - r->purge_ms && received <= now + DAY_MS)
            break;
        *aged = (tz_ver)tz_stmt_int(st, 0);
        n++;
    }
    tz_stmt_reset(st);
    *more = n == AGED_MAX;
    if (rc >= 0 && *aged != (tz_ver)was)
        rc = tz_store_meta_put(s, "purge_aged", tz_value_int((int64_t)*aged), err);
    return rc < 0 ? rc : 0;
}

static int find_limit(struct tz_store *s, const struct tz_purge_rules *r, tz_ver *limit, bool *more, struct tz_err *err)
{
    struct tz_recovery recovery = {0};
    tz_ver aged = 0;
    int rc = lowest_in_lease(s, r, limit, err);
    if (!rc)
        rc = age(s, r, &aged, more, err);
    if (*limit > aged || TZ_PLANTED(PURGE_PAST_LEASE))
        *limit = aged;
    if (!rc)
        rc = tz_store_recovery(s, &recovery, err);
    if (recovery.open)
        *limit = 0;
    return rc;
}

int tz_store_purge_state(struct tz_store *s, const struct tz_purge_rules *r, struct tz_purge_state *out,
                         struct tz_err *err)
{
    int64_t aged = 0;
    int64_t horizon = 0;
    *out = (struct tz_purge_state){0};
    int rc = lowest_in_lease(s, r, &out->lowest, err);
    if (!rc)
        rc = tz_store_meta_int(s, "purge_aged", &aged, err);
    if (!rc)
        rc = tz_store_meta_int(s, "purge_horizon", &horizon, err);
    if (!rc)
        rc = tz_db_query_int(s->db, "SELECT count(*) FROM purged", &out->purged, err);
    out->aged = (tz_ver)aged;
    out->horizon = (tz_ver)horizon;
    return rc;
}

struct holders {
    int64_t now_ms;
    const struct tz_purge_rules *r;
    tz_ver aged;
    tz_device_cb cb;
    void *ctx;
};

static int on_device(void *ctx, const struct tz_device *d)
{
    struct holders *h = ctx;
    bool holds = tz_lease_in(d, h->now_ms, h->r->lease_ms) && d->checkpoint < h->aged;
    return holds ? h->cb(h->ctx, d) : 1;
}

int tz_store_purge_holders(struct tz_store *s, const struct tz_purge_rules *r, tz_device_cb cb, void *ctx,
                           struct tz_err *err)
{
    struct holders h = {tz_clock_wall(&s->clock).ms, r, 0, cb, ctx};
    int64_t aged = 0;
    int rc = tz_store_meta_int(s, "purge_aged", &aged, err);
    h.aged = (tz_ver)aged;
    return rc ? rc : tz_store_devices(s, on_device, &h, err);
}

/* ---- the horizon ---- */

int tz_purge_horizon(struct tz_store *s, tz_ver *out, struct tz_err *err)
{
    int64_t v = 0;
    int rc = tz_store_meta_int(s, "purge_horizon", &v, err);
    *out = (tz_ver)v;
    return rc;
}

int tz_purge_horizon_raise(struct tz_store *s, tz_ver to, struct tz_err *err)
{
    tz_ver was = 0;
    int rc = tz_purge_horizon(s, &was, err);
    return rc || was >= to ? rc : tz_store_meta_put(s, "purge_horizon", tz_value_int((int64_t)to), err);
}

int tz_store_horizon(struct tz_store *s, tz_ver *horizon, struct tz_err *err)
{
    return tz_purge_horizon(s, horizon, err);
}

/* ---- one record ---- */

static int found_one(void *ctx, const struct tz_row *row)
{
    (void)row;
    *(bool *)ctx = true;
    return 0;
}

/** A live record refers to it, whatever the kind of reference. */
static int named_by_live(struct tz_store *s, const struct tz_row *row, bool *found, struct tz_err *err)
{
    struct tz_child_ref refs[CHILD_REFS_MAX];
    size_t n = tz_rows_child_refs(s->cat, row->rec.type, refs, CHILD_REFS_MAX);
    int rc = 0;
    for (size_t i = 0; i < n && !rc && !*found; i++)
        rc = tz_replica_find(s->rep, refs[i].field, refs[i].type, tz_value_blob(row->id.b, TZ_ID_BYTES), found_one,
                             found, err);
    return rc;
}

static int one_row(struct tz_stmt *st, bool *found, struct tz_err *err)
{
    int rc = tz_stmt_step(st, err);
    *found = *found || rc == 1;
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

/** A record deleted later refers to it, and may come back; cases about it do not count. */
static int named_by_deleted(struct tz_store *s, const struct tz_row *row, tz_ver limit, bool *found, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_TOMBSTONE_NAMES, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, (int64_t)limit);
    tz_stmt_bind_int(st, 2, s->case_type->id);
    tz_stmt_bind_id(st, 3, &row->id);
    return one_row(st, found, err);
}

static int merged(struct tz_store *s, const struct tz_row *row, bool *found, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_ALIAS_NAMES, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, row->rec.type->id);
    tz_stmt_bind_id(st, 2, &row->id);
    return one_row(st, found, err);
}

static int needed(struct tz_store *s, const struct tz_row *row, tz_ver limit, bool *out, struct tz_err *err)
{
    *out = false;
    int rc = merged(s, row, out, err);
    if (!rc && !*out)
        rc = named_by_live(s, row, out, err);
    if (!rc && !*out)
        rc = named_by_deleted(s, row, limit, out, err);
    return rc;
}

static int drop_of_record(struct tz_store *s, enum tz_sql which, const struct tz_row *row, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, which, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, row->rec.type->id);
    tz_stmt_bind_id(st, 2, &row->id);
    return tz_stmt_run(st, err);
}

int tz_purge_record(struct tz_store *s, const struct tz_row *row, struct tz_err *err)
{
    int rc = tz_rows_forget(s, row, err);
    if (!rc)
        rc = drop_of_record(s, TZ_SQL_CASE_HEAD_DROP, row, err);
    if (!rc)
        rc = drop_of_record(s, TZ_SQL_AREA_PAST_DROP, row, err);
    return rc ? rc : drop_of_record(s, TZ_SQL_HISTORY_DROP, row, err);
}

static int note_purged(struct tz_store *s, const struct tz_row *row, struct tz_err *err)
{
    char key[TZ_ID_HEX + 16];
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_PURGED_PUT, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, row->rec.type->id);
    tz_stmt_bind_id(st, 2, &row->id);
    tz_stmt_bind_text(st, 3, row->area.district);
    tz_stmt_bind_text(st, 4, row->area.street);
    tz_stmt_bind_int(st, 5, (int64_t)row->ver);
    int rc = tz_stmt_run(st, err);
    tz_id_print(row->id, key);
    (void)snprintf(key + TZ_ID_HEX, sizeof key - TZ_ID_HEX, "%u", row->rec.type->id);
    return rc ? rc : tz_journal_note(s, TZ_JOURNAL_PURGED, tz_value_text(key), err);
}

/* ---- walking ---- */

struct step {
    struct tz_store *s;
    tz_ver limit, horizon;
    unsigned looks, taken;
    struct tz_arena a;
    struct tz_err *err;
};

struct place {
    uint32_t type;
    struct tz_id id;
    tz_ver ver;
    struct tz_area area;
};

static void read_place(const struct tz_stmt *st, struct place *p)
{
    const char *district = tz_stmt_text(st, 2);
    const char *street = tz_stmt_text(st, 3);
    memset(p, 0, sizeof *p);
    p->type = (uint32_t)tz_stmt_int(st, 0);
    (void)tz_stmt_id(st, 1, &p->id);
    memcpy(p->area.district, district, strnlen(district, TZ_DISTRICT_BYTES - 1));
    memcpy(p->area.street, street, strnlen(street, TZ_STREET_BYTES - 1));
    p->ver = (tz_ver)tz_stmt_int(st, 4);
}

/** The next places that are old enough, at most TAKEN_MAX; *@at moves behind what was looked at. */
static int next_places(struct step *w, enum tz_sql which, struct tz_purge_at *at, struct place *out, size_t *n)
{
    struct tz_stmt *st = tz_store_sql(w->s, which, w->err);
    struct place p;
    *n = 0;
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, at->type);
    tz_stmt_bind_id(st, 2, &at->id);
    if (which == TZ_SQL_LEFT_WALK) {
        tz_stmt_bind_text(st, 3, at->area.district);
        tz_stmt_bind_text(st, 4, at->area.street);
    }
    int rc = 0;
    while (*n < TAKEN_MAX && w->looks < LOOKS_MAX && (rc = tz_stmt_step(st, w->err)) == 1) {
        read_place(st, &p);
        w->looks++;
        at->type = p.type;
        at->id = p.id;
        at->area = p.area;
        if (p.ver <= w->limit)
            out[(*n)++] = p;
    }
    tz_stmt_reset(st);
    if (rc < 0)
        return rc;
    at->done = *n < TAKEN_MAX && w->looks < LOOKS_MAX;
    return 0;
}

static int purge_one(struct step *w, const struct place *p)
{
    const struct tz_type *t = tz_catalogue_type_id(w->s->cat, p->type);
    struct tz_row *row = NULL;
    bool stays = true;
    tz_arena_reset(&w->a);
    int rc = t ? 1 : 0;
    if (rc) {
        row = tz_arena_alloc(&w->a, sizeof *row);
        rc = row ? tz_replica_get(w->s->rep, t, p->id, &w->a, row, w->err) : TZ_E_NOMEM;
    }
    if (rc != 1 || !row->deleted)
        return rc < 0 ? rc : 0;
    rc = needed(w->s, row, w->limit, &stays, w->err);
    if (rc || stays)
        return rc;
    rc = tz_purge_record(w->s, row, w->err);
    if (!rc)
        rc = note_purged(w->s, row, w->err);
    w->horizon = row->ver > w->horizon ? row->ver : w->horizon;
    w->taken += !rc;
    return rc;
}

static int forget_leaving(struct step *w, const struct place *p)
{
    const struct tz_type *t = tz_catalogue_type_id(w->s->cat, p->type);
    if (!t)
        return 0;
    struct tz_row ghost = {.rec.type = t, .id = p->id, .ver = p->ver, .area = p->area};
    int rc = tz_rows_forget_leaving(w->s, &ghost, w->err);
    w->horizon = p->ver > w->horizon ? p->ver : w->horizon;
    w->taken += !rc;
    return rc;
}

static int walk(struct step *w, enum tz_sql which, int (*take)(struct step *, const struct place *),
                struct tz_purge_at *at)
{
    struct place places[TAKEN_MAX];
    size_t n = 0;
    w->taken = 0;
    int rc = at->done ? 0 : next_places(w, which, at, places, &n);
    for (size_t i = 0; i < n && !rc; i++)
        rc = take(w, &places[i]);
    return rc;
}

/* ---- a step ---- */

static int note_step(struct step *w, const struct tz_purge_done *done)
{
    char meta[160];
    if (!done->records && !done->leaving)
        return 0;
    int rc = tz_purge_horizon_raise(w->s, w->horizon, w->err);
    (void)snprintf(meta, sizeof meta, "purge limit=%llu horizon=%llu records=%llu leaving=%llu",
                   (unsigned long long)w->limit, (unsigned long long)w->horizon, (unsigned long long)done->records,
                   (unsigned long long)done->leaving);
    return rc ? rc : tz_audit_add(w->s, meta, (struct tz_bytes){0}, w->err);
}

int tz_store_purge(struct tz_store *s, const struct tz_purge_rules *r, struct tz_purge_done *done, bool *more,
                   struct tz_err *err)
{
    struct step w = {.s = s, .err = err};
    bool aging = false;
    *done = (struct tz_purge_done){0};
    int rc = find_limit(s, r, &w.limit, &aging, err);
    tz_arena_init(&w.a, STEP_ARENA_BYTES);
    if (!rc && w.limit && !aging)
        rc = walk(&w, TZ_SQL_TOMBSTONE_WALK, purge_one, &s->purge.records);
    done->records = w.taken;
    if (!rc && w.limit && !aging)
        rc = walk(&w, TZ_SQL_LEFT_WALK, forget_leaving, &s->purge.leaving);
    done->leaving = w.taken;
    tz_arena_deinit(&w.a);
    if (!rc)
        rc = note_step(&w, done);
    *more = !rc && (aging || (w.limit && !(s->purge.records.done && s->purge.leaving.done)));
    if (rc || !*more) /* the next run begins anew */
        memset(&s->purge, 0, sizeof s->purge);
    return rc;
}

/* ---- from the journal ---- */

int tz_purge_again(struct tz_store *s, uint32_t type, struct tz_id id, struct tz_arena *a, struct tz_err *err)
{
    const struct tz_type *t = tz_catalogue_type_id(s->cat, type);
    struct tz_row *row = t ? tz_arena_alloc(a, sizeof *row) : NULL;
    if (t && !row)
        return TZ_E_NOMEM;
    int rc = t ? tz_replica_get(s->rep, t, id, a, row, err) : 0;
    if (rc == 1)
        rc = tz_purge_record(s, row, err);
    return rc ? rc : tz_purge_horizon_raise(s, s->group_head, err);
}
