/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grants that change while saves wait: a device gets another role or area, its grant ends by itself, it is shut out.
 *
 * Who had which right at which version is kept here, beside the server's tables: from what the administrator asked for,
 * in the order in which the audit log says that it happened. The oracle's authors come from it. So does what a device
 * may read: what it was granted for frames, what its own folder says it was told for its replica.
 */
#include "sim_check_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- who had what ---- */

static void grant_add(struct sim_spans *s, const char *role, const char *area, tz_ver since)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 4;
        s->v = realloc(s->v, s->cap * sizeof *s->v);
        if (!s->v)
            abort();
    }
    struct sim_span *x = &s->v[s->n++];
    *x = (struct sim_span){.since = since, .until = SIM_OPEN};
    (void)snprintf(x->role, sizeof x->role, "%s", role);
    (void)snprintf(x->area, sizeof x->area, "%s", area);
}

/** The present one; NULL: it has ended. */
static struct sim_span *now_of(const struct sim_spans *s)
{
    return s->n && s->v[s->n - 1].until == SIM_OPEN ? &s->v[s->n - 1] : NULL;
}

/** The one that was good for @ver and may still speak at @received_ms. */
static const struct sim_span *at(const struct sim_spans *s, tz_ver ver, int64_t received_ms)
{
    for (size_t i = s->n; i > 0; i--) {
        const struct sim_span *x = &s->v[i - 1];
        if (x->since <= ver && ver <= x->until && (x->wiped_ms == 0 || x->wiped_ms > received_ms))
            return x;
    }
    return NULL;
}

void sim_grants_init(struct sim *w)
{
    for (size_t i = 0; i < w->tpl->ndevices; i++) {
        const struct sim_device *d = &w->tpl->devices[i];
        grant_add(&w->who[i].device, d->role, d->area, 0);
        grant_add(&w->who[i].user, d->role, d->area, 0);
    }
}

void sim_grants_deinit(struct sim *w)
{
    for (size_t i = 0; i < SIM_DEVICES; i++) {
        free(w->who[i].device.v);
        free(w->who[i].user.v);
    }
    free(w->asked.v);
}

/* ---- the oracle's authors ---- */

static struct sim_who *who_of(struct sim *w, const struct sim_client *c)
{
    return &w->who[c->dev - w->tpl->devices];
}

/** His rights on that machine; false: none. */
static bool fit(struct sim *w, const struct sim_span *device, const struct sim_span *user, struct oracle_rights *out)
{
    if (!device || !user)
        return false;
    const struct tz_role *of = tz_catalogue_role(w->cat, user->role);
    const struct tz_role *on = tz_catalogue_role(w->cat, device->role);
    bool city = strcmp(device->area, "120000") == 0;
    bool within =
        city || (strcmp(user->area, "120000") != 0 && strncmp(user->area, device->area, strlen(device->area)) == 0);
    if (!within || (of->editor != 0 && of->editor != on->editor) || (of->reads_secret && !on->reads_secret) ||
        (of->supervises && !on->supervises))
        return false;
    *out = (struct oracle_rights){.known = true, .role = of, .city = strcmp(user->area, "120000") == 0};
    if (!out->city)
        memcpy(out->area.district, user->area, 6);
    if (strlen(user->area) == 9)
        memcpy(out->area.street, user->area, 9);
    return true;
}

void sim_grants_author(struct sim *w, const struct sim_client *c, const struct tz_changeset *cs,
                       struct oracle_author *a)
{
    const struct sim_who *d = who_of(w, c);
    const struct sim_who *u = NULL;
    tz_ver head = oracle_head_ver(w->oracle);
    tz_ver seen = cs->base_checkpoint <= head ? cs->base_checkpoint : 0;
    struct oracle_rights r = {0};
    for (size_t i = 0; i < w->tpl->ndevices && !u; i++)
        if (tz_id_eq(w->tpl->devices[i].users[0], cs->user))
            u = &w->who[i];
    a->known = u && fit(w, now_of(&d->device), now_of(&u->user), &r);
    a->role = r.role;
    a->area = r.area;
    a->city = r.city;
    a->past = (struct oracle_rights){0};
    const struct sim_span *pd = at(&d->device, seen, a->received_ms);
    const struct sim_span *pu = u ? at(&u->user, seen, a->received_ms) : NULL;
    if (fit(w, pd, pu, &a->past))
        a->past_until = pd->until < pu->until ? pd->until : pu->until;
}

/* ---- what may be read ---- */

/** Areas that a grant covers: with those of the city first. */
static size_t areas_of(const struct sim *w, const char *role, const char *area, struct tz_area out[SIM_AREAS_MAX])
{
    const struct tz_role *r = tz_catalogue_role(w->cat, role);
    size_t n = 0;
    if (!r || !r->reads_business || area[0] == '\0')
        return 0;
    memset(out, 0, SIM_AREAS_MAX * sizeof *out);
    n++;
    if (strcmp(area, "120000") != 0) {
        memcpy(out[n].district, area, 6);
        if (strlen(area) == 9)
            memcpy(out[n].street, area, 9);
        return n + 1;
    }
    memcpy(out[n++].district, "120000", 6); /* what no single district may see */
    for (size_t i = 0; i < w->cat->nrows; i++) {
        const struct tz_shipped_row *row = &w->cat->rows[i];
        const struct tz_field *level = tz_type_field(row->type, "level");
        const struct tz_field *code = tz_type_field(row->type, "code");
        if (strcmp(row->type->name, "division") == 0 && tz_value_is_text(row->values[level->index], "district"))
            memcpy(out[n++].district, row->values[code->index].p, 6);
    }
    return n;
}

static bool in_any(const struct tz_area *v, size_t n, const struct tz_area *a)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i].district, a->district) == 0 && (v[i].street[0] == '\0' || strcmp(v[i].street, a->street) == 0))
            return true;
    return false;
}

bool sim_may_read(const struct sim_client *c, const struct tz_area *a)
{
    return in_any(c->areas, c->nareas, a);
}

bool sim_may_be_sent(const struct sim_client *c, const struct tz_area *a)
{
    return in_any(c->fed, c->nfed, a) || in_any(c->fed_before, c->nfed_before, a);
}

void sim_grants_told(struct sim_client *c)
{
    const struct tz_identity *id = c->office ? tz_office_identity(c->office) : NULL;
    if (!id || (strcmp(id->role, c->role) == 0 && strcmp(id->area, c->area) == 0))
        return;
    (void)snprintf(c->role, sizeof c->role, "%s", id->role);
    (void)snprintf(c->area, sizeof c->area, "%s", id->area);
    c->nareas = areas_of(c->w, c->role, c->area, c->areas);
    c->reads_secret = tz_catalogue_role(c->w->cat, c->role)->reads_secret;
    sim_trace(c->w, "  %u is told that it is %s of '%s'", c->index, c->role, c->area);
}

void sim_grants_begin(struct sim_client *c)
{
    (void)snprintf(c->role, sizeof c->role, "%s", c->dev->role);
    (void)snprintf(c->area, sizeof c->area, "%s", c->dev->area);
    c->nareas = areas_of(c->w, c->role, c->area, c->areas);
    c->nfed = areas_of(c->w, c->role, c->area, c->fed);
    c->reads_secret = tz_catalogue_role(c->w->cat, c->role)->reads_secret;
}

bool sim_grants_due(const struct sim_client *c)
{
    const struct sim_who *d = who_of(c->w, c);
    return now_of(&d->device) && d->until_ms && d->until_ms <= sim_server_wall(c->w).ms;
}

/** The server sends by the new grant from now on; until it has cut off the old session, by that one, too. */
static void feed_by(struct sim_client *c, const struct sim_span *now)
{
    struct sim *w = c->w;
    memcpy(c->fed_before, c->fed, sizeof c->fed);
    c->nfed_before = c->nfed;
    c->nfed = now ? areas_of(w, now->role, now->area, c->fed) : 0;
    if (c->dev->raw && now) { /* nobody tells it, but its people know */
        (void)snprintf(c->role, sizeof c->role, "%s", now->role);
        (void)snprintf(c->area, sizeof c->area, "%s", now->area);
        c->nareas = c->nfed;
        memcpy(c->areas, c->fed, sizeof c->fed);
    }
}

static void fed_anew(const struct sim_client *c, const struct sim_span *now)
{
    struct sim *w = c->w;
    w->taint_off = w->taint_off || w->blind;
    for (size_t i = 0; i < w->nclients; i++)
        if (w->clients[i].dev == c->dev)
            feed_by(&w->clients[i], now);
    for (size_t i = 0; i < w->history->n; i++)
        sim_note_again(w, &w->history->v[i]);
}

void sim_grants_cut(struct sim *w, uint32_t device)
{
    if (!device)
        return;
    for (size_t i = 0; i < w->nclients; i++)
        if (w->clients[i].dev->number == device)
            w->clients[i].nfed_before = 0;
    for (size_t i = 0; i < SIM_CONNS_MAX; i++)
        if (w->conns[i].used && w->conns[i].session && !w->conns[i].session_closing &&
            tz_session_device(w->conns[i].session) == device)
            tz_session_kick(w->conns[i].session, TZ_E_GRANT_CHANGED);
}

/* ---- the administrator ---- */

static int grant_device(struct sim *w, void *ctx, struct tz_err *err)
{
    const struct sim_asked *a = ctx;
    return tz_store_device_grant(w->server.store, a->device, a->role, a->area, a->until_ms, err);
}

void sim_grants_act(struct sim_client *c, struct sim_rng *r)
{
    struct sim *w = c->w;
    const struct sim_device *like = &w->tpl->devices[sim_below(r, w->tpl->ndevices)];
    const struct sim_span *now = now_of(&who_of(w, c)->device);
    struct sim_asked a = {.device = c->dev->number};
    bool ends = now && sim_chance(r, 20);
    if (!w->server.up || c->shut_out)
        return;
    if (sim_chance(r, 40)) /* back to what it was made for */
        like = c->dev;
    (void)snprintf(a.role, sizeof a.role, "%s", ends ? now->role : like->role);
    (void)snprintf(a.area, sizeof a.area, "%s", ends ? now->area : like->area);
    if (ends)
        a.until_ms = sim_server_wall(w).ms + 1 + (int64_t)sim_below(r, 40000);
    if (w->asked.n == w->asked.cap) {
        w->asked.cap = w->asked.cap ? w->asked.cap * 2 : 4;
        w->asked.v = realloc(w->asked.v, w->asked.cap * sizeof *w->asked.v);
        if (!w->asked.v)
            abort();
    }
    w->asked.v[w->asked.n++] = a;
    w->n.grants++;
    sim_trace(w, "  %s becomes %s of %s%s", c->name, a.role, a.area, ends ? " for a while" : "");
    if (sim_server_admin(w, grant_device, &a, c->dev->number) && w->server.up)
        w->asked.n--; /* nothing was done; where the power went the log will say */
}

static int revoke_device(struct sim *w, void *ctx, struct tz_err *err)
{
    const struct sim_client *c = ctx;
    return tz_store_device_revoke(w->server.store, c->dev->number, err);
}

void sim_grants_revoke(struct sim_client *c)
{
    if (!c->w->server.up || c->dev->raw || c->shut_out || sim_copies_any(c->w, c->dev->number))
        return;
    sim_trace(c->w, "  %s is shut out", c->name);
    (void)sim_server_admin(c->w, revoke_device, c, c->dev->number);
}

struct settling {
    struct sim *w;
    struct sim_rng *r;
    const struct sim_client *only; /* NULL: anybody */
    struct tz_backlog_entry found;
    size_t n;
    bool judge;
};

/** Not what is held of copies, nor what waits for others after a restore: those have a way of their own. */
static int note_entry(void *ctx, const struct tz_backlog_entry *e)
{
    struct settling *x = ctx;
    const struct sim_client *c = sim_client_of(x->w, e->device);
    bool fits = c && !e->recovers && (!x->only || x->only == c) && (e->outcome == TZ_OUT_WAITING || c->shut_out);
    if (fits && sim_below(x->r, ++x->n) == 0)
        x->found = *e;
    return 1;
}

static int settle(struct sim *w, void *ctx, struct tz_err *err)
{
    const struct settling *x = ctx;
    enum tz_outcome out;
    return tz_store_backlog_settle(w->server.store, x->found.device, x->found.incarnation, x->found.seq, x->judge,
                                   "simulated", &out, err);
}

bool sim_grants_settle(struct sim *w, struct sim_client *c, struct sim_rng *r)
{
    struct settling x = {.w = w, .r = r, .only = c, .judge = sim_chance(r, 70)};
    struct tz_err err = {0};
    if (!w->server.up)
        return false;
    if (tz_store_backlog(w->server.store, note_entry, &x, &err))
        sim_fail(w, "backlog: %d %s", err.code, err.trail);
    if (x.n == 0 || w->failed)
        return false;
    sim_trace(w, "  %u/%llu is %s", x.found.device, (unsigned long long)x.found.seq, x.judge ? "applied" : "discarded");
    (void)sim_server_admin(w, settle, &x, x.found.device);
    return true;
}

bool sim_grants_left(struct sim_client *c)
{
    struct sim_rng r = sim_rng_of(c->w->opt.seed, 200 + (uint64_t)c->w->now_ms);
    bool wiped = sim_number(c->w, "SELECT wiped_ms > 0 FROM device WHERE number=?1 AND ?2=?2", c->dev->number, 0, 0);
    return c->erased && wiped && !sim_grants_settle(c->w, c, &r);
}

/* ---- what the log says of it ---- */

/** The server's own commits are no changesets: only their versions are taken over. */
static void own_commit(struct sim *w)
{
    tz_ver ver = oracle_head_ver(w->oracle) + 1;
    if (w->blind)
        return;
    oracle_head(w->oracle, ver, sim_eff_max(w, ver));
}

static struct sim_who *named(struct sim *w, struct tz_bytes name, struct sim_client **c)
{
    for (size_t i = 0; i < w->nclients; i++)
        if (tz_bytes_eq(name, tz_bytes_str(w->clients[i].dev->name))) {
            *c = &w->clients[i];
            return who_of(w, *c);
        }
    sim_fail(w, "a grant of nobody's");
    return NULL;
}

void sim_grants_expired(struct sim *w, struct tz_bytes name)
{
    struct sim_client *c = NULL;
    struct sim_who *d = named(w, name, &c);
    struct sim_span *now = d ? now_of(&d->device) : NULL;
    if (!now && w->blind) /* heard of before the restore */
        return;
    if (!now) {
        sim_fail(w, "a grant ended that there was not");
        return;
    }
    if (d->until_ms == 0 || d->until_ms > sim_server_wall(w).ms)
        sim_fail(w, "%s: a grant ended before its time, %lld before %lld", c->name, (long long)sim_server_wall(w).ms,
                 (long long)d->until_ms);
    now->until = oracle_head_ver(w->oracle);
    own_commit(w);
    fed_anew(c, NULL);
    w->n.grants_ended++;
}

static bool is(const struct sim_span *s, const char *role, const char *area)
{
    return s && strcmp(s->role, role) == 0 && strcmp(s->area, area) == 0;
}

/** The person whose machine it is goes with it, if he had the same until now. */
static void user_follows(struct sim *w, const struct sim_client *c, struct sim_spans *user, const struct sim_span *had,
                         const struct sim_asked *a)
{
    struct sim_span *now = now_of(user);
    char district[8] = "";
    if (!now || !had || !is(now, had->role, had->area) || is(now, a->role, a->area))
        return;
    now->until = oracle_head_ver(w->oracle);
    own_commit(w);
    grant_add(user, a->role, a->area, oracle_head_ver(w->oracle));
    if (strcmp(a->area, "120000") != 0)
        memcpy(district, a->area, 6);
    oracle_user(w->oracle, c->dev->users[0], a->role, district);
}

void sim_grants_changed(struct sim *w, struct tz_bytes name)
{
    struct sim_client *c = NULL;
    struct sim_who *d = named(w, name, &c);
    struct sim_asked a = {0};
    for (size_t i = 0; d && i < w->asked.n && !a.device; i++)
        if (w->asked.v[i].device == c->dev->number) {
            a = w->asked.v[i];
            memmove(&w->asked.v[i], &w->asked.v[i + 1], (--w->asked.n - i) * sizeof a);
        }
    if (!a.device && w->blind) /* heard of before the restore */
        return;
    if (!a.device) {
        sim_fail(w, "a grant that nobody asked for");
        return;
    }
    struct sim_span had = d->device.v[d->device.n - 1];
    struct sim_span *now = now_of(&d->device);
    d->until_ms = a.until_ms;
    if (is(now, a.role, a.area))
        return;
    if (now)
        now->until = oracle_head_ver(w->oracle);
    own_commit(w);
    grant_add(&d->device, a.role, a.area, oracle_head_ver(w->oracle));
    user_follows(w, c, &d->user, &had, &a);
    fed_anew(c, now_of(&d->device));
    w->n.grants_changed++;
}

void sim_grants_revoked(struct sim *w, struct tz_bytes name)
{
    struct sim_client *c = NULL;
    if (!named(w, name, &c))
        return;
    c->shut_out = true;
    fed_anew(c, NULL);
    w->n.revoked++;
}

/** The device says that up to @ver nothing is left there. */
void sim_grants_wiped(struct sim *w, uint32_t device, tz_ver ver)
{
    struct sim_client *c = sim_client_of(w, device);
    struct sim_spans *s = c ? &who_of(w, c)->device : NULL;
    for (size_t i = 0; s && i < s->n; i++)
        if (s->v[i].until <= ver && s->v[i].wiped_ms == 0)
            s->v[i].wiped_ms = sim_number(w,
                                          "SELECT wiped_ms FROM grant_past WHERE device=?1 AND user=x'' AND"
                                          " until_ver=?2",
                                          device, (int64_t)s->v[i].until, 0);
    w->n.receipts++;
}

void sim_grants_forget_asked(struct sim *w)
{
    w->asked.n = 0;
}
