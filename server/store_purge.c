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
 *  6. How old a version is is asked anew by today's clock and rules: one that was taken for old by a clock that ran
 * ahead, or by a shorter purge_days, is young again.
 */
#include "commit_int.h"
#include "log.h"
#include "planted.h"
#include "purge_int.h"
#include "set.h"

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

/** Is @ver, which was old enough once, that still? By the newest commit up to it whose time of receipt can be true.
 * 1, 0, negative. */
static int still_aged(struct tz_store *s, tz_ver ver, int64_t now, int64_t purge_ms, struct tz_err *err)
{
    struct tz_commit_entry e;
    int rc = tz_commit_upto(s, ver, &e, err);
    while (rc == 1 && e.received_ms > now + DAY_MS)
        rc = tz_commit_upto(s, e.c.ver - 1, &e, err);
    return rc == 1 ? e.received_ms <= now - purge_ms : rc < 0 ? rc : 1;
}

/** Move on over commits that are old enough. A time of receipt in the future says nothing: the clock was wrong. */
int tz_purge_aged(struct tz_store *s, const char *key, int64_t age_ms, tz_ver *aged, bool *more, struct tz_err *err)
{
    int64_t now = tz_clock_wall(&s->clock).ms;
    int64_t was = 0;
    struct tz_commit_entry e;
    int n = 0;
    int rc = tz_store_meta_int(s, key, &was, err);
    int still = rc || was == 0 ? 1 : still_aged(s, (tz_ver)was, now, age_ms, err);
    if (rc || still < 0)
        return rc ? rc : still;
    *aged = still ? (tz_ver)was : 0;
    for (; n < AGED_MAX && (rc = tz_commit_above(s, *aged, &e, err)) == 1; n++) {
        if (e.received_ms > now - age_ms && e.received_ms <= now + DAY_MS)
            break;
        *aged = e.c.ver;
    }
    *more = n == AGED_MAX;
    if (rc >= 0 && *aged != (tz_ver)was)
        rc = tz_store_meta_put(s, key, tz_value_int((int64_t)*aged), err);
    return rc < 0 ? rc : 0;
}

static int find_limit(struct tz_store *s, const struct tz_purge_rules *r, tz_ver *limit, bool *more, struct tz_err *err)
{
    struct tz_recovery recovery = {0};
    tz_ver aged = 0;
    int rc = lowest_in_lease(s, r, limit, err);
    if (!rc)
        rc = tz_purge_aged(s, "purge_aged", r->purge_ms, &aged, more, err);
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

static int merged(struct tz_store *s, const struct tz_row *row, bool *found, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_ALIAS_NAMES, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, row->rec.type->id);
    tz_stmt_bind_id(st, 2, &row->id);
    int rc = tz_stmt_step(st, err);
    *found = *found || rc == 1;
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
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

/* ---- which of them nothing names ---- */

/** The records a step may take away, and what was found out about each. */
struct candidates {
    struct step *w;
    const struct place *p;
    size_t n;
    bool stays[TAKEN_MAX];
    bool any; /* is there one that does not stay */
};

/** Somebody names the record @id. */
static void named(struct candidates *c, struct tz_id id)
{
    for (size_t i = 0; i < c->n; i++)
        c->stays[i] = c->stays[i] || tz_id_eq(c->p[i].id, id);
}

/** Every record in a list of references: ["32 hex",…]. */
static void named_in_list(struct candidates *c, struct tz_bytes list)
{
    struct tz_bytes el;
    while (tz_set_next(&list, &el)) {
        char hex[TZ_ID_HEX + 1] = "";
        struct tz_id id;
        if (el.n == TZ_ID_HEX)
            memcpy(hex, el.p, TZ_ID_HEX);
        if (tz_id_parse(hex, &id) == 0)
            named(c, id);
    }
}

static void named_in_body(struct candidates *c, const struct tz_type *t, struct tz_bytes body)
{
    struct tz_wire_iter it = {body};
    struct tz_wire_field w;
    while (tz_wire_next(&it, &w) == 1) {
        const struct tz_field *f = tz_type_field_id(t, w.number);
        struct tz_id id;
        if (f && f->ftype == TZ_FT_REFS)
            named_in_list(c, w.bytes);
        if (!f || (f->ftype != TZ_FT_REF && f->ftype != TZ_FT_REF_ANY) || w.bytes.n != TZ_ID_BYTES)
            continue;
        memcpy(id.b, w.bytes.p, TZ_ID_BYTES);
        named(c, id);
    }
}

/** A record deleted later refers to it, and may come back; cases about it do not count. One walk for all of them. */
static int named_by_deleted(struct candidates *c)
{
    struct tz_store *s = c->w->s;
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_TOMBSTONE_LATER, c->w->err);
    int rc;
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, (int64_t)c->w->limit);
    tz_stmt_bind_int(st, 2, s->case_type->id);
    while ((rc = tz_stmt_step(st, c->w->err)) == 1) {
        const struct tz_type *t = tz_catalogue_type_id(s->cat, (uint32_t)tz_stmt_int(st, 0));
        if (t)
            named_in_body(c, t, tz_stmt_blob(st, 1));
    }
    tz_stmt_reset(st);
    return rc;
}

static bool has_type(const struct candidates *c, uint32_t type)
{
    for (size_t i = 0; i < c->n; i++)
        if (!c->stays[i] && c->p[i].type == type)
            return true;
    return false;
}

static int each_list(struct candidates *c, const struct tz_type *t, const struct tz_field *f)
{
    char sql[2 * TZ_NAME_MAX + 64];
    struct tz_stmt st = {0};
    (void)snprintf(sql, sizeof sql, "SELECT \"%s\" FROM \"%s\" WHERE \"%s\" IS NOT NULL", f->name, t->name, f->name);
    int rc = tz_db_prepare(c->w->s->db, &st, sql, c->w->err);
    while (!rc && (rc = tz_stmt_step(&st, c->w->err)) == 1) {
        named_in_list(c, tz_stmt_blob(&st, 0));
        rc = 0;
    }
    tz_stmt_finalize(&st);
    return rc < 0 ? rc : 0;
}

/** A list of a live record names it: no index leads there, so each kind of list is walked once for all of them. */
static int named_by_lists(struct candidates *c)
{
    const struct tz_catalogue *cat = c->w->s->cat;
    int rc = 0;
    for (size_t i = 0; i < cat->ntypes; i++)
        for (size_t k = 0; k < cat->types[i].nfields && !rc; k++) {
            const struct tz_field *f = &cat->types[i].fields[k];
            if (f->ftype == TZ_FT_REFS && has_type(c, f->ref->id))
                rc = each_list(c, &cat->types[i], f);
        }
    return rc;
}

/** 1 and the deleted record of @p, 0 there is none, negative. */
static int load_deleted(struct step *w, const struct place *p, struct tz_row **row)
{
    const struct tz_type *t = tz_catalogue_type_id(w->s->cat, p->type);
    tz_arena_reset(&w->a);
    *row = t ? tz_arena_alloc(&w->a, sizeof **row) : NULL;
    if (!*row)
        return t ? TZ_E_NOMEM : 0;
    int rc = tz_replica_get(w->s->rep, t, p->id, &w->a, *row, w->err);
    return rc == 1 ? (*row)->deleted : rc;
}

static int find_needed(struct candidates *c)
{
    struct tz_row *row = NULL;
    int rc = 0;
    for (size_t i = 0; i < c->n && !rc; i++) {
        int there = load_deleted(c->w, &c->p[i], &row);
        rc = there < 0 ? there : 0;
        c->stays[i] = there != 1;
        if (there == 1)
            rc = merged(c->w->s, row, &c->stays[i], c->w->err);
        if (there == 1 && !rc && !c->stays[i])
            rc = named_by_live(c->w->s, row, &c->stays[i], c->w->err);
        c->any = c->any || !c->stays[i];
    }
    if (!rc && c->any)
        rc = named_by_deleted(c);
    return rc || !c->any ? rc : named_by_lists(c);
}

static int purge_all(struct step *w, const struct place *p, size_t n)
{
    struct candidates c = {.w = w, .p = p, .n = n};
    int rc = find_needed(&c);
    for (size_t i = 0; i < n && !rc; i++) {
        struct tz_row *row = NULL;
        int there = c.stays[i] ? 0 : load_deleted(w, &p[i], &row);
        if (there < 1) {
            rc = there;
            continue;
        }
        rc = tz_purge_record(w->s, row, w->err);
        if (!rc)
            rc = note_purged(w->s, row, w->err);
        w->horizon = row->ver > w->horizon ? row->ver : w->horizon;
        w->taken += !rc;
    }
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

static int forget_all(struct step *w, const struct place *p, size_t n)
{
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++)
        rc = forget_leaving(w, &p[i]);
    return rc;
}

static int walk(struct step *w, enum tz_sql which, int (*take)(struct step *, const struct place *, size_t),
                struct tz_purge_at *at)
{
    struct place places[TAKEN_MAX];
    size_t n = 0;
    w->taken = 0;
    int rc = at->done ? 0 : next_places(w, which, at, places, &n);
    return rc || n == 0 ? rc : take(w, places, n);
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
    bool compacting = false;
    *done = (struct tz_purge_done){0};
    tz_ver lowest = 0;
    int rc = lowest_in_lease(s, r, &lowest, err);
    if (!rc)
        rc = tz_compact_step(s, r, lowest, done, &compacting, err);
    if (!rc)
        rc = find_limit(s, r, &w.limit, &aging, err);
    tz_arena_init(&w.a, STEP_ARENA_BYTES);
    if (!rc && w.limit && !aging)
        rc = walk(&w, TZ_SQL_TOMBSTONE_WALK, purge_all, &s->purge.records);
    done->records = w.taken;
    if (!rc && w.limit && !aging)
        rc = walk(&w, TZ_SQL_LEFT_WALK, forget_all, &s->purge.leaving);
    done->leaving = w.taken;
    tz_arena_deinit(&w.a);
    if (!rc)
        rc = note_step(&w, done);
    *more = !rc && (compacting || aging || (w.limit && !(s->purge.records.done && s->purge.leaving.done)));
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
