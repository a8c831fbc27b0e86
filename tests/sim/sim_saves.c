/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each installation saved: the bytes as its outbox has them, and those it had before under another installation's
 * numbers. A copy begins with the saves of the one it was made from: they are the same saves, and each is to take
 * effect once, whoever brings it.
 */
#include "hash.h"
#include "sim_check_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- one save ---- */

static uint8_t *dup(const uint8_t *p, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy)
        abort();
    if (n)
        memcpy(copy, p, n);
    return copy;
}

static void hash_of(const uint8_t *p, size_t n, uint8_t out[TZ_HASH_BYTES])
{
    if (tz_sha256(tz_bytes_of(p, n), out))
        abort();
}

/** Decode the bytes of @s: under which number they are, and which save it is. */
static void look_into(struct sim_client *c, struct sim_saved *s, bool fresh)
{
    struct tz_changeset cs;
    struct tz_arena a;
    struct tz_err err = {0};
    tz_arena_init(&a, 4 << 20);
    hash_of(s->raw, s->n, s->hash);
    if (tz_msg_read_changeset(tz_bytes_of(s->raw, s->n), &a, &cs, &err)) {
        sim_fail(c->w, "%s saved a changeset that does not decode: %d", c->name, err.code);
    } else {
        s->incarnation = cs.incarnation;
        if (cs.former.n == TZ_HASH_BYTES)
            memcpy(s->origin, cs.former.p, TZ_HASH_BYTES);
        else
            memcpy(s->origin, s->hash, TZ_HASH_BYTES);
        if (fresh && !c->dev->raw)
            sim_screen_note(c, s->seq, &cs);
    }
    tz_arena_deinit(&a);
}

void sim_saves_add(struct sim_client *c, uint64_t seq, struct tz_bytes raw, bool acknowledged)
{
    if (c->nsaved == c->saved_cap) {
        c->saved_cap = c->saved_cap ? c->saved_cap * 2 : 32;
        struct sim_saved *v = realloc(c->saved, c->saved_cap * sizeof *v);
        if (!v)
            abort();
        c->saved = v;
    }
    struct sim_saved *s = &c->saved[c->nsaved++];
    *s = (struct sim_saved){.seq = seq, .raw = dup(raw.p, raw.n), .n = raw.n, .acknowledged = acknowledged};
    look_into(c, s, true);
}

static void free_save(struct sim_saved *s)
{
    while (s->former) {
        struct sim_former *f = s->former;
        s->former = f->next;
        free(f->raw);
        free(f);
    }
    free(s->raw);
}

void sim_saves_deinit(struct sim_client *c)
{
    for (size_t i = 0; i < c->nsaved; i++)
        free_save(&c->saved[i]);
    free(c->saved);
}

void sim_saves_copy(struct sim_client *to, const struct sim_client *from)
{
    to->saved = malloc((from->nsaved + 1) * sizeof *to->saved);
    if (!to->saved)
        abort();
    to->nsaved = from->nsaved;
    to->saved_cap = from->nsaved + 1;
    for (size_t i = 0; i < from->nsaved; i++) {
        struct sim_saved *s = &to->saved[i];
        *s = from->saved[i];
        s->raw = dup(s->raw, s->n);
        s->former = NULL; /* whatever came of those bytes, the other one knows of them */
    }
    to->acknowledged = from->acknowledged;
    sim_screen_copy(to, from);
}

/* ---- found again ---- */

static bool is_of(const struct sim_client *c, uint32_t device)
{
    return c->dev->number == device;
}

bool sim_saved_has(const struct sim_saved *s, const uint8_t hash[TZ_HASH_BYTES])
{
    bool found = memcmp(s->hash, hash, TZ_HASH_BYTES) == 0;
    for (const struct sim_former *f = s->former; f && !found; f = f->next)
        found = memcmp(f->hash, hash, TZ_HASH_BYTES) == 0;
    return found;
}

static struct sim_saved *numbered(const struct sim_client *c, uint64_t seq)
{
    return seq && seq <= c->nsaved && c->saved[seq - 1].seq == seq ? &c->saved[seq - 1] : NULL;
}

struct sim_saved *sim_saved_of(struct sim *w, uint32_t device, uint32_t incarnation, uint64_t seq,
                               const uint8_t hash[TZ_HASH_BYTES], struct sim_client **who)
{
    struct sim_saved *found = NULL;
    for (size_t i = 0; i < w->nclients; i++) {
        struct sim_client *c = &w->clients[i];
        struct sim_saved *s = is_of(c, device) ? numbered(c, seq) : NULL;
        if (!s || !sim_saved_has(s, hash) || (found && (found->incarnation == incarnation)))
            continue;
        *who = c;
        found = s;
    }
    return found;
}

struct sim_saved *sim_saved_as(struct sim *w, uint32_t device, uint32_t incarnation, uint64_t seq,
                               struct sim_client **who)
{
    for (size_t i = 0; i < w->nclients; i++) {
        struct sim_client *c = &w->clients[i];
        struct sim_saved *s = is_of(c, device) ? numbered(c, seq) : NULL;
        if (s && s->incarnation == incarnation) {
            *who = c;
            return s;
        }
    }
    return NULL;
}

void sim_saved_each(struct sim *w, uint32_t device, const struct sim_saved *like,
                    void (*cb)(void *ctx, struct sim_saved *s), void *ctx)
{
    for (size_t i = 0; i < w->nclients; i++) {
        struct sim_client *c = &w->clients[i];
        struct sim_saved *s = is_of(c, device) ? numbered(c, like->seq) : NULL;
        if (s && s->incarnation == like->incarnation && memcmp(s->hash, like->hash, TZ_HASH_BYTES) == 0)
            cb(ctx, s);
    }
}

struct bringing {
    int64_t offset_ms;
    uint64_t group;
};

static void note_brought(void *ctx, struct sim_saved *s)
{
    const struct bringing *b = ctx;
    if (s->brought_in == b->group)
        return;
    s->brought_in = b->group;
    s->offset_ms = b->offset_ms;
}

void sim_saves_brought(struct sim_client *c, struct tz_bytes raw, int64_t offset_ms, uint64_t group)
{
    struct bringing b = {offset_ms, group};
    for (size_t i = 0; i < c->nsaved; i++)
        if (tz_bytes_eq(tz_bytes_of(c->saved[i].raw, c->saved[i].n), raw))
            sim_saved_each(c->w, c->dev->number, &c->saved[i], note_brought, &b);
}

const struct oracle_outcome *sim_saved_outcome(const struct sim_client *c, const struct sim_saved *s)
{
    return s->came_as ? oracle_outcome_of(c->w->oracle, c->dev->number, s->came_as, s->seq) : NULL;
}

/* ---- read from the outbox ---- */

static void keep(struct sim_client *c, uint64_t seq, struct tz_bytes raw, bool acknowledged)
{
    sim_saves_add(c, seq, raw, acknowledged);
    sim_hash(c->w, raw.p, raw.n);
}

static void take_emptied(struct sim_client *c, uint64_t seq, struct tz_bytes raw, size_t nops)
{
    struct sim_saved *s = numbered(c, seq);
    if (!s || raw.n == 0 || tz_bytes_eq(raw, tz_bytes_of(s->raw, s->n))) /* wiped since, or as it was */
        return;
    free(s->raw);
    s->raw = dup(raw.p, raw.n);
    s->n = raw.n;
    s->withdrawn = true;
    s->came_as = 0; /* a copy may have brought what it was: that is another save now */
    s->audited = false;
    look_into(c, s, false);
    s->emptied = true;
    s->emptied_ops = nops;
    c->w->n.emptied++;
}

void sim_client_emptied(struct sim_client *c)
{
    struct tz_err err = {0};
    struct tz_stmt st = {0};
    int rc =
        tz_db_prepare(tz_office_db(c->office), &st, "SELECT seq, raw, nops FROM outbox WHERE withdrawn_by = seq", &err);
    while (!rc && (rc = tz_stmt_step(&st, &err)) == 1) {
        take_emptied(c, (uint64_t)tz_stmt_int(&st, 0), tz_stmt_blob(&st, 1), (size_t)tz_stmt_int(&st, 2));
        rc = 0;
    }
    tz_stmt_finalize(&st);
    if (rc && !tz_memdisk_is_off(c->disk))
        sim_fail(c->w, "%s: reading the outbox: %d %s", c->name, rc, err.trail);
}

/** Two disks that were copied while numbers were asked for get the same ones: what one has brought, the other has, too.
 */
static void take_over(void *ctx, struct sim_saved *s)
{
    struct sim_saved *to = ctx;
    if (s == to || !s->came_as)
        return;
    to->came_as = s->came_as;
    to->audited = s->audited;
    to->audit_n = s->audit_n;
}

/** The same save under another number: what it was before may be at the server, held. */
static void take_made_over(struct sim_client *c, uint64_t seq, struct tz_bytes raw)
{
    struct sim_saved *s = numbered(c, seq);
    uint8_t origin[TZ_HASH_BYTES];
    if (!s || raw.n == 0 || tz_bytes_eq(raw, tz_bytes_of(s->raw, s->n)))
        return;
    struct sim_former *f = calloc(1, sizeof *f);
    if (!f)
        abort();
    f->next = s->former;
    f->raw = s->raw;
    f->n = s->n;
    memcpy(f->hash, s->hash, TZ_HASH_BYTES);
    memcpy(origin, s->origin, TZ_HASH_BYTES);
    s->former = f;
    s->raw = dup(raw.p, raw.n);
    s->n = raw.n;
    look_into(c, s, false);
    sim_saved_each(c->w, c->dev->number, s, take_over, s);
    c->w->n.made_over++;
    if (memcmp(origin, s->origin, TZ_HASH_BYTES) != 0)
        sim_fail(c->w, "%s: save %" PRIu64 " was made over, and says that it was another", c->name, seq);
}

void sim_client_renumbered(struct sim_client *c)
{
    struct tz_err err = {0};
    struct tz_stmt st = {0};
    uint32_t now = tz_office_identity(c->office)->incarnation;
    if (now == c->incarnation || tz_memdisk_is_off(c->disk))
        return;
    sim_trace(c->w, "  %u is installation %u", c->index, now);
    int rc = tz_db_prepare(tz_office_db(c->office), &st,
                           "SELECT seq, raw FROM outbox WHERE incarnation = ?1 ORDER BY seq", &err);
    tz_stmt_bind_int(&st, 1, now);
    while (!rc && (rc = tz_stmt_step(&st, &err)) == 1) {
        take_made_over(c, (uint64_t)tz_stmt_int(&st, 0), tz_stmt_blob(&st, 1));
        rc = 0;
    }
    tz_stmt_finalize(&st);
    if (rc && !tz_memdisk_is_off(c->disk))
        sim_fail(c->w, "%s: reading the outbox: %d %s", c->name, rc, err.trail);
    if (!rc)
        c->incarnation = now;
}

/** Shut out, it has begun to erase, or has. */
static bool erases(struct sim_client *c)
{
    struct tz_arena a;
    tz_arena_init(&a, 4096);
    bool out = strcmp(tz_office_meta(c->office, "revoked", &a), "2") == 0;
    tz_arena_deinit(&a);
    return out;
}

void sim_client_record(struct sim_client *c, uint64_t acknowledged_seq)
{
    struct tz_err err = {0};
    struct tz_stmt st = {0};
    uint64_t known = c->nsaved ? c->saved[c->nsaved - 1].seq : 0;
    int rc =
        tz_db_prepare(tz_office_db(c->office), &st, "SELECT seq, raw FROM outbox WHERE seq > ?1 ORDER BY seq", &err);
    tz_stmt_bind_int(&st, 1, (int64_t)known);
    while (!rc && (rc = tz_stmt_step(&st, &err)) == 1) {
        uint64_t seq = (uint64_t)tz_stmt_int(&st, 0);
        keep(c, seq, tz_stmt_blob(&st, 1), seq <= acknowledged_seq);
        rc = 0;
    }
    tz_stmt_finalize(&st);
    if (acknowledged_seq > c->acknowledged)
        c->acknowledged = acknowledged_seq; /* the end of the seed asks for all of them */
    if (tz_memdisk_is_off(c->disk))
        return; /* read again after the restart */
    if (rc)
        sim_fail(c->w, "%s: reading the outbox: %d %s", c->name, rc, err.trail);
    else if (c->shut_out && erases(c)) /* what it had saved is the server's now */
        return;
    else if (!c->nsaved ? c->acknowledged > 0 : c->saved[c->nsaved - 1].seq < c->acknowledged)
        sim_fail(c->w, "P1: %s: save %llu was acknowledged but is not in the outbox", c->name,
                 (unsigned long long)c->acknowledged);
}
