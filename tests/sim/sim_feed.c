/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log read, and the oracle fed from it: the bytes the devices saved, in the server's order, each save once
 * under the number under which it came in. What waits has no entry; of it the server's numbers tell.
 */
#include "commit_int.h"
#include "hash.h"
#include "sim_check_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** A changeset that waited is judged with the rights of the day. */
void sim_author_now(void *ctx, const struct tz_changeset *cs, struct oracle_author *who)
{
    struct sim *w = ctx;
    const struct sim_client *c = sim_client_of(w, cs->device);
    if (c)
        sim_grants_author(w, c, cs, who);
}

struct sim_client *sim_client_of(struct sim *w, uint32_t device)
{
    for (size_t i = 0; i < w->nclients; i++)
        if (w->clients[i].dev->number == device)
            return &w->clients[i];
    return NULL;
}

enum entry_kind {
    CHANGESET,
    INCIDENT,
    PURGE,
    COMPACT, /* seq: up to where */
    GRANT,
    GRANT_ENDED,
    WIPED,
    REVOKED,
    HELD,      /* of a device that is shut out */
    APPLIED,   /* from the backlog */
    DISCARDED, /* the same */
    HELD_WITHDRAWN,
    INSTALLATION,
    SEED /* rows that came with a newer catalogue: a version */
};
struct entry { /* of the audit log */
    enum entry_kind kind;
    unsigned device, incarnation, parent;
    unsigned long long seq, ver;
    int outcome;
    long long received_ms;
    uint64_t n;
    uint8_t *body;
    size_t nbody;
};
struct entries {
    struct entry *v;
    size_t n, cap;
};

int64_t sim_number(struct sim *w, const char *sql, int64_t a, int64_t b, int64_t dflt)
{
    struct tz_err err = {0};
    struct tz_stmt st = {0};
    int64_t out = dflt;
    if (tz_db_prepare(tz_store_db(w->server.store), &st, sql, &err))
        sim_fail(w, "%s: %s", sql, err.trail);
    else {
        tz_stmt_bind_int(&st, 1, a);
        tz_stmt_bind_int(&st, 2, b);
        if (tz_stmt_step(&st, &err) == 1 && !tz_stmt_is_null(&st, 0))
            out = tz_stmt_int(&st, 0);
        tz_stmt_reset(&st);
    }
    tz_stmt_finalize(&st);
    return out;
}

/** What the server keeps of a version, wherever it keeps it. */
static struct tz_commit_entry commit_at(struct sim *w, tz_ver ver)
{
    struct tz_err err = {0};
    struct tz_commit_entry e = {0};
    if (tz_commit_find(w->server.store, ver, &e, &err) != 1)
        sim_fail(w, "the server does not know who wrote version %" PRIu64 ": %s", ver, err.trail);
    return e;
}

tz_hlc sim_eff_max(struct sim *w, tz_ver ver)
{
    return commit_at(w, ver).eff_max;
}

/* ---- numbers ---- */

/** How far the oracle was fed with the numbers of an installation. */
static struct sim_series *series_of(struct sim *w, uint32_t device, uint32_t incarnation)
{
    for (size_t i = 0; i < w->nseries; i++)
        if (w->series[i].device == device && w->series[i].incarnation == incarnation)
            return &w->series[i];
    if (w->nseries == SIM_SERIES_MAX)
        abort();
    w->series[w->nseries] = (struct sim_series){.device = device, .incarnation = incarnation};
    return &w->series[w->nseries++];
}

bool sim_judged_hash(struct sim *w, uint32_t device, uint32_t incarnation, uint64_t seq, uint8_t hash[TZ_HASH_BYTES])
{
    struct tz_err err = {0};
    struct tz_stmt st = {0};
    int rc = tz_db_prepare(tz_store_db(w->server.store), &st,
                           "SELECT hash FROM result WHERE device=?1 AND incarnation=?2 AND seq=?3 UNION ALL SELECT hash"
                           " FROM backlog WHERE device=?1 AND incarnation=?2 AND seq=?3",
                           &err);
    bool found = false;
    if (!rc) {
        tz_stmt_bind_int(&st, 1, device);
        tz_stmt_bind_int(&st, 2, incarnation);
        tz_stmt_bind_int(&st, 3, (int64_t)seq);
        found = tz_stmt_step(&st, &err) == 1 && tz_stmt_blob(&st, 0).n == TZ_HASH_BYTES;
    }
    if (found)
        memcpy(hash, tz_stmt_blob(&st, 0).p, TZ_HASH_BYTES);
    tz_stmt_finalize(&st);
    return found;
}

/** The save that the server has under a number. NULL: nobody ever made it. */
static struct sim_saved *judged_save(struct sim *w, uint32_t device, uint32_t incarnation, uint64_t seq,
                                     struct sim_client **who)
{
    uint8_t hash[TZ_HASH_BYTES];
    struct sim_saved *s = NULL;
    if (sim_judged_hash(w, device, incarnation, seq, hash))
        s = sim_saved_of(w, device, incarnation, seq, hash, who);
    if (!s || s->incarnation != incarnation)
        sim_fail(w, "the server judged %s %u/%" PRIu64 ", which was never saved", sim_client_of(w, device)->dev->name,
                 incarnation, seq);
    return s;
}

/* ---- feeding ---- */

static void note_came(void *ctx, struct sim_saved *s)
{
    s->came_as = *(uint32_t *)ctx;
}

/** Bytes @s, and their author. */
static struct tz_changeset *brought(struct sim *w, struct sim_client *c, struct sim_saved *s, const struct entries *e,
                                    struct oracle_author *out)
{
    struct tz_changeset *cs = tz_arena_calloc(&w->scratch, 1, sizeof *cs);
    struct tz_err err = {0};
    uint32_t device = c->dev->number;
    uint8_t *raw = tz_arena_dup(&w->scratch, s->raw, s->n); /* the save may be made over later */
    if (!raw || tz_msg_read_changeset(tz_bytes_of(raw, s->n), &w->scratch, cs, &err)) {
        sim_fail(w, "%s seq %" PRIu64 " does not decode: %d", c->name, s->seq, err.code);
        return NULL;
    }
    struct oracle_author who = {0};
    char sql[160];
    (void)snprintf(sql, sizeof sql, "SELECT received_ms FROM backlog WHERE device=?1 AND seq=?2 AND incarnation=%u",
                   s->incarnation);
    who.received_ms = sim_number(w, sql, device, (int64_t)s->seq, sim_server_wall(w).ms);
    who.offset_ms = sim_number(w, "SELECT offset_ms FROM device WHERE number=?1 AND ?2=?2", device, 0, 0);
    if (s->brought_in) /* of the session of who brought it: the device table has the newest of any copy */
        who.offset_ms = s->offset_ms;
    (void)snprintf(sql, sizeof sql, "SELECT offset_ms FROM backlog WHERE device=?1 AND seq=?2 AND incarnation=%u",
                   s->incarnation);
    who.offset_ms = sim_number(w, sql, device, (int64_t)s->seq, who.offset_ms);
    for (size_t i = 0; i < e->n; i++) {
        const struct entry *x = &e->v[i];
        if (x->kind != CHANGESET || x->device != device || x->seq != s->seq || x->incarnation != s->incarnation ||
            x->outcome == TZ_OUT_HELD)
            continue;
        who.received_ms = x->received_ms;
        if (x->ver)
            who.offset_ms = commit_at(w, x->ver).offset_ms;
    }
    sim_grants_author(w, c, cs, &who);
    *out = who;
    return cs;
}

static void feed_one(struct sim *w, struct sim_series *l, uint64_t seq, const struct entries *e)
{
    struct oracle_author who;
    size_t first;
    struct sim_client *c = NULL;
    struct sim_saved *s = judged_save(w, l->device, l->incarnation, seq, &c);
    l->judged = seq;
    const struct tz_changeset *cs = s ? brought(w, c, s, e, &who) : NULL;
    if (!cs)
        return;
    oracle_apply(w->oracle, &who, cs, &first);
    for (size_t i = 0; i < w->nheld && cs->former.n == TZ_HASH_BYTES; i++)
        w->held[i].gone = w->held[i].gone || memcmp(w->held[i].hash, cs->former.p, TZ_HASH_BYTES) == 0;
    sim_saved_each(w, l->device, s, note_came, &l->incarnation);
}

static void feed_up_to(struct sim *w, struct sim_series *l, uint64_t seq, const struct entries *e)
{
    while (!w->failed && l->judged < seq && !sim_client_of(w, l->device)->shut_out) /* then the administrator says */
        feed_one(w, l, l->judged + 1, e);
}

/** A copy goes on from number @x->seq, or whoever was put back. */
static void take_installation(struct sim *w, const struct entry *x)
{
    struct sim_series *l = series_of(w, x->device, x->incarnation);
    w->n.installations++;
    l->judged = x->seq;
    if (!sim_copies_any(w, x->device))
        sim_fail(w, "device %u became two, and nobody copied it", x->device);
    oracle_installation(w->oracle, x->device, x->incarnation, x->parent, x->seq);
}

/* ---- entries ---- */

/** False: of no kind that matters here. */
static bool entry_read(const char *meta, struct entry *x)
{
    if (sscanf(meta, "changeset device=%u incarnation=%u seq=%llu outcome=%d ver=%llu received=%lld", &x->device,
               &x->incarnation, &x->seq, &x->outcome, &x->ver, &x->received_ms) == 6)
        return true;
    *x = (struct entry){.kind = INCIDENT};
    if (sscanf(meta, "incident device=%u ver=%llu", &x->device, &x->ver) == 2)
        return true;
    *x = (struct entry){.kind = COMPACT};
    if (sscanf(meta, "compact ver=%llu limit=%llu", &x->ver, &x->seq) == 2)
        return true;
    *x = (struct entry){.kind = WIPED};
    if (sscanf(meta, "wiped device=%u ver=%llu", &x->device, &x->ver) == 2)
        return true;
    *x = (struct entry){.kind = HELD};
    if (sscanf(meta, "held of revoked device=%u incarnation=%u seq=%llu", &x->device, &x->incarnation, &x->seq) == 3)
        return true;
    *x = (struct entry){.kind = HELD_WITHDRAWN};
    if (sscanf(meta, "withdraw held device=%u incarnation=%u seq=%llu", &x->device, &x->incarnation, &x->seq) == 3)
        return true;
    *x = (struct entry){.kind = INSTALLATION};
    if (sscanf(meta, "installation device=%u incarnation=%u parent=%u fork_seq=%llu", &x->device, &x->incarnation,
               &x->parent, &x->seq) == 4)
        return true;
    *x = (struct entry){.kind = APPLIED};
    if (sscanf(meta, "backlog apply device=%u seq=%llu", &x->device, &x->seq) == 2)
        return true;
    *x = (struct entry){.kind = DISCARDED};
    if (sscanf(meta, "backlog discard device=%u seq=%llu", &x->device, &x->seq) == 2)
        return true;
    *x = (struct entry){.kind = strcmp(meta, "device grant") == 0    ? GRANT
                                : strcmp(meta, "grant expired") == 0 ? GRANT_ENDED
                                : strcmp(meta, "revoke") == 0        ? REVOKED
                                : strcmp(meta, "seed") == 0          ? SEED
                                                                     : PURGE};
    return x->kind != PURGE || strncmp(meta, "purge ", 6) == 0;
}

static void read_entries(struct sim *w, struct entries *e)
{
    struct tz_err err = {0};
    struct tz_stmt st = {0};
    int rc = tz_db_prepare(
        tz_store_db(w->server.store), &st,
        "SELECT a.n, a.meta, b.body FROM audit a LEFT JOIN audit_body b ON b.n = a.n WHERE a.n > ?1 ORDER BY a.n",
        &err);
    tz_stmt_bind_int(&st, 1, (int64_t)w->server.audit_seen);
    while (!rc && (rc = tz_stmt_step(&st, &err)) == 1) {
        struct entry x = {0};
        const char *meta = tz_stmt_text(&st, 1);
        struct tz_bytes body = tz_stmt_blob(&st, 2);
        w->server.audit_seen = (uint64_t)tz_stmt_int(&st, 0);
        rc = 0;
        if (!entry_read(meta, &x))
            continue;
        x.body = malloc(body.n ? body.n : 1);
        if (e->n == e->cap) {
            e->cap = e->cap ? e->cap * 2 : 16;
            e->v = realloc(e->v, e->cap * sizeof *e->v);
        }
        if (!e->v || !x.body)
            abort();
        if (body.n)
            memcpy(x.body, body.p, body.n);
        x.nbody = body.n;
        x.n = w->server.audit_seen;
        e->v[e->n++] = x;
    }
    tz_stmt_finalize(&st);
    if (rc)
        sim_fail(w, "audit: %d %s", rc, err.trail);
}

static void note_audited(void *ctx, struct sim_saved *s)
{
    s->audited = true;
    s->audit_n = *(const uint64_t *)ctx;
}

static void note_taken_back(void *ctx, struct sim_saved *s)
{
    (void)ctx;
    s->taken_back = true;
}

static struct sim_saved *with_bytes(struct sim *w, const struct entry *x, struct sim_client **who)
{
    uint8_t hash[TZ_HASH_BYTES];
    if (tz_sha256(tz_bytes_of(x->body, x->nbody), hash))
        abort();
    return sim_saved_of(w, x->device, x->incarnation, x->seq, hash, who);
}

/** P2: one entry each, with the bytes that were saved. */
static void check_entry(struct sim *w, const struct entry *x)
{
    struct sim_client *c = NULL;
    struct sim_saved *s =
        x->outcome == TZ_OUT_WITHDRAWN ? sim_saved_as(w, x->device, x->incarnation, x->seq, &c) : with_bytes(w, x, &c);
    if (!s || s->incarnation != x->incarnation)
        sim_fail(w, "the audit log has other bytes of %s %u/%llu than were saved",
                 sim_client_of(w, x->device)->dev->name, x->incarnation, x->seq);
    else if (s->audited)
        sim_fail(w, "P2: %s seq %llu has two audit entries", c->name, x->seq);
    else
        sim_saved_each(w, x->device, s, note_audited, (void *)(uintptr_t)&x->n);
}

uint64_t sim_held_ops(struct sim *w, uint32_t device)
{
    uint64_t ops = 0;
    for (size_t i = 0; i < w->nheld; i++) {
        const struct sim_held *h = &w->held[i];
        ops += h->device == device && !h->gone ? h->nops : 0;
    }
    return ops;
}

static void note_held(struct sim *w, const struct entry *x, const struct sim_saved *s)
{
    struct tz_arena a;
    struct tz_changeset cs;
    struct tz_err err = {0};
    tz_arena_init(&a, 4 << 20);
    if (w->nheld == SIM_HELD_MAX)
        abort();
    struct sim_held *h = &w->held[w->nheld++];
    *h = (struct sim_held){.device = x->device, .seq = x->seq};
    if (tz_sha256(tz_bytes_of(x->body, x->nbody), h->hash))
        abort();
    for (size_t i = 0; i + 1 < w->nheld; i++)
        if (!w->held[i].gone && memcmp(w->held[i].hash, h->hash, TZ_HASH_BYTES) == 0)
            sim_fail(w, "save %llu of a copy of device %u is held twice", x->seq, x->device);
    if (tz_msg_read_changeset(tz_bytes_of(x->body, x->nbody), &a, &cs, &err))
        sim_fail(w, "save %" PRIu64 " of a copy does not decode: %d", s->seq, err.code);
    else
        h->nops = cs.nops;
    tz_arena_deinit(&a);
}

/** A copy's save under a number that is another's: nothing was judged of it, and it is kept. */
static void take_held_copy(struct sim *w, const struct entry *x)
{
    struct sim_client *c = NULL;
    struct sim_saved *s = with_bytes(w, x, &c);
    w->n.copies_held++;
    if (!s || !sim_copies_any(w, x->device))
        sim_fail(w, "the audit log has a copy's save %u/%llu, which nobody made", x->incarnation, x->seq);
    else if (s->came_as == x->incarnation && s->incarnation == x->incarnation)
        sim_fail(w, "P2: %s seq %llu is in already, and is held as a copy's", c->name, x->seq);
    else
        note_held(w, x, s);
}

static void take_changeset(struct sim *w, const struct entries *e, const struct entry *x)
{
    if (!sim_client_of(w, x->device)) {
        sim_fail(w, "a changeset of device %u, which is not there", x->device);
        return;
    }
    if (x->outcome == TZ_OUT_HELD) {
        take_held_copy(w, x);
        return;
    }
    if (x->outcome != TZ_OUT_WITHDRAWN && !w->blind)
        feed_up_to(w, series_of(w, x->device, x->incarnation), x->seq, e);
    check_entry(w, x);
}

/** What the backlog has of a device. */
static void take_backlog(struct sim *w, const struct entries *e, const struct entry *x)
{
    struct sim_client *c = sim_client_of(w, x->device);
    struct oracle_author who;
    struct sim_saved *s = NULL;
    if (c && (x->kind == HELD || x->kind == HELD_WITHDRAWN) && x->nbody == TZ_HASH_BYTES)
        s = sim_saved_of(w, x->device, x->incarnation, x->seq, x->body, &c);
    if (c && x->kind == HELD && !s)
        sim_fail(w, "%s %u/%llu is held, which was never saved", c->name, x->incarnation, x->seq);
    struct tz_changeset *cs = s && x->kind == HELD && !w->blind ? brought(w, c, s, e, &who) : NULL;
    if (cs) {
        oracle_hold(w->oracle, &who, cs);
        sim_saved_each(w, x->device, s, note_came, &s->incarnation);
        w->n.held++;
    } else if (s && x->kind == HELD_WITHDRAWN) {
        oracle_drop_held(w->oracle, x->device, x->seq);
        sim_saved_each(w, x->device, s, note_taken_back, NULL);
    } else if (c && x->kind != HELD) {
        w->n.settled++;
        if (!w->blind && !oracle_settle(w->oracle, x->device, x->seq, x->kind == APPLIED))
            sim_fail(w, "%s seq %llu was settled, and nothing of it hung", c->name, x->seq);
    }
}

static void take_entry(struct sim *w, const struct entries *e, const struct entry *x)
{
    switch (x->kind) {
    case CHANGESET:
        take_changeset(w, e, x);
        break;
    case SEED:
        if (!w->blind)
            oracle_head(w->oracle, oracle_head_ver(w->oracle) + 1, sim_eff_max(w, oracle_head_ver(w->oracle) + 1));
        break;
    case INSTALLATION:
        take_installation(w, x);
        break;
    case INCIDENT: /* it takes a version and touches nothing the oracle knows */
        if (!w->blind)
            oracle_head(w->oracle, x->ver, sim_eff_max(w, x->ver));
        break;
    case COMPACT:
        sim_compact_step(w, x->ver, x->seq);
        break;
    case PURGE:
        sim_purge_look(w, true);
        break;
    case GRANT:
        sim_grants_changed(w, tz_bytes_of(x->body, x->nbody));
        break;
    case GRANT_ENDED:
        sim_grants_expired(w, tz_bytes_of(x->body, x->nbody));
        break;
    case WIPED:
        sim_grants_wiped(w, x->device, x->ver);
        break;
    case REVOKED:
        sim_grants_revoked(w, tz_bytes_of(x->body, x->nbody));
        break;
    case HELD:
    case APPLIED:
    case DISCARDED:
    case HELD_WITHDRAWN:
        take_backlog(w, e, x);
        break;
    }
}

static uint64_t last_judged(struct sim *w, const struct sim_series *l)
{
    return (uint64_t)sim_number(w,
                                l->incarnation == 1
                                    ? "SELECT last_seq FROM device WHERE number=?1 AND ?2=1"
                                    : "SELECT last_seq FROM installation WHERE device=?1 AND incarnation=?2",
                                l->device, l->incarnation, 0);
}

void sim_feed_oracle(struct sim *w)
{
    struct entries e = {0};
    read_entries(w, &e);
    for (size_t i = 0; i < e.n && !w->failed; i++) {
        take_entry(w, &e, &e.v[i]);
    }
    for (size_t i = 0; i < w->nclients && !w->blind; i++)
        (void)series_of(w, w->clients[i].dev->number, 1);
    for (size_t i = 0; i < w->nseries && !w->failed && !w->blind; i++)
        feed_up_to(w, &w->series[i], last_judged(w, &w->series[i]), &e);
    for (size_t i = 0; i < e.n; i++)
        free(e.v[i].body);
    free(e.v);
    sim_purge_look(w, false);
}
