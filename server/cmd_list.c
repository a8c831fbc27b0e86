/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that look: status, device list and show, user list, backlog, balance. All but status read the database
 * beside the server, in one snapshot each and however long the answer is; whether a device is online only the server
 * knows.
 */
#include "cli.h"
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct listing {
    struct tz_cli *c;
    json_t *online; /* {"devices":[…]}, or NULL without a server */
    struct tz_recovery recovery;
};

/** After a restore, what a device holds may be more than the server has. */
static void say_recovery(const struct tz_cli *c, int64_t until_ms)
{
    char when[32];
    if (until_ms && !c->json)
        tz_cli_say(c, tr(c, "恢复期开放到 %s", "the recovery window is open until %s"), tz_cli_time(until_ms, when));
}

/* ---- status ---- */

int tz_cmd_status(struct tz_cli *c)
{
    json_t *r = NULL;
    const char *key;
    json_t *v;
    int rc = tz_cli_open(c, false);
    if (!rc)
        rc = tz_cli_ask(c, "status", &r);
    if (rc)
        return rc;
    if (c->json)
        return tz_cli_json(c, r);
    json_object_foreach(r, key, v)
    {
        char *text = json_is_string(v) ? NULL : json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(4));
        (void)printf("%-20s %s\n", key, text ? text : json_string_value(v) ? json_string_value(v) : "");
        free(text);
    }
    say_recovery(c, json_integer_value(json_object_get(r, "recovery_until_ms")));
    json_decref(r);
    return 0;
}

/* ---- devices ---- */

static const char *online_state(const struct listing *l, uint32_t device)
{
    json_t *list = json_object_get(l->online, "devices");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_integer_value(json_array_get(list, i)) == device)
            return "online";
    return l->online ? "offline" : "unknown";
}

static json_t *device_json(const struct listing *l, const struct tz_device *d)
{
    return json_pack("{s:i,s:s,s:s,s:s,s:b,s:s,s:i,s:I,s:I,s:I,s:I}", "device", (int)d->number, "name", d->name, "role",
                     d->role, "area", d->area, "revoked", d->revoked, "state", online_state(l, d->number),
                     "incarnation", (int)d->incarnation, "last_seq", (json_int_t)d->last_seq, "last_seen_ms",
                     (json_int_t)d->last_seen_ms, "checkpoint", (json_int_t)d->checkpoint, "recovery_until_ms",
                     (json_int_t)(l->recovery.open ? l->recovery.until_ms : 0));
}

static int print_device(void *ctx, const struct tz_device *d)
{
    struct listing *l = ctx;
    char when[32];
    if (l->c->json) {
        int rc = tz_cli_json(l->c, device_json(l, d));
        return rc ? rc : 1;
    }
    (void)printf("%6u  %-24s %-10s %-9s  %-8s %-20s %s\n", d->number, d->name, d->role, d->area,
                 online_state(l, d->number), tz_cli_time(d->last_seen_ms, when),
                 d->revoked ? tr(l->c, "已停用", "revoked") : "");
    return 1;
}

static int open_listing(struct tz_cli *c, struct listing *l, struct tz_store **s)
{
    struct tz_err quiet;
    *l = (struct listing){.c = c};
    int rc = tz_cli_store(c, s);
    if (!rc)
        rc = tz_store_recovery(*s, &l->recovery, &c->err);
    if (rc) {
        tz_store_close(*s);
        return rc;
    }
    quiet = c->err;
    if (tz_cli_ask(c, "online", &l->online)) /* no server: then nobody is known to be there */
        c->err = quiet;
    return 0;
}

int tz_cmd_device_list(struct tz_cli *c)
{
    struct tz_store *s = NULL;
    struct listing l;
    int rc = open_listing(c, &l, &s);
    if (rc)
        return rc;
    rc = tz_store_devices(s, print_device, &l, &c->err);
    say_recovery(c, l.recovery.open ? l.recovery.until_ms : 0);
    tz_store_close(s);
    json_decref(l.online);
    return rc;
}

int tz_cmd_device_show(struct tz_cli *c)
{
    struct tz_store *s = NULL;
    struct listing l;
    struct tz_device d;
    int rc = open_listing(c, &l, &s);
    if (rc)
        return rc;
    rc = tz_store_device_by_name(s, c->arg, &d, &c->err);
    if (rc == 0)
        rc = tz_err_set(&c->err, TZ_E_NOT_FOUND, c->arg, NULL, NULL, NULL);
    else if (rc == 1)
        rc = print_device(&l, &d);
    tz_store_close(s);
    json_decref(l.online);
    return rc < 0 ? rc : 0;
}

/* ---- users ---- */

static int print_user(void *ctx, const struct tz_user *u)
{
    struct tz_cli *c = ctx;
    char id[TZ_ID_HEX + 1];
    tz_id_print(u->id, id);
    if (c->json) {
        int rc = tz_cli_json(c, json_pack("{s:s,s:s,s:s,s:s,s:s,s:b}", "id", id, "code", u->code, "name", u->name,
                                          "role", u->role, "area", u->area, "active", u->active));
        return rc ? rc : 1;
    }
    (void)printf("%-24s %-24s %-10s %-9s  %s\n", u->code, u->name, u->role, u->area,
                 u->active ? "" : tr(c, "已停用", "disabled"));
    return 1;
}

int tz_cmd_user_list(struct tz_cli *c)
{
    struct tz_store *s = NULL;
    int rc = tz_cli_store(c, &s);
    if (rc)
        return rc;
    rc = tz_store_users(s, print_user, c, &c->err);
    tz_store_close(s);
    return rc;
}

/* ---- backlog ---- */

struct backlog {
    struct tz_cli *c;
    struct tz_store *s;
};

static int print_entry(void *ctx, const struct tz_backlog_entry *e)
{
    struct backlog *b = ctx;
    struct tz_device d;
    char when[32];
    const char *outcome = e->outcome == TZ_OUT_WAITING ? "waiting" : "held";
    int rc = tz_store_device_by_number(b->s, e->device, &d, &b->c->err);
    if (rc < 0)
        return rc;
    const char *name = rc ? d.name : "?";
    if (b->c->json) {
        rc = tz_cli_json(b->c,
                         json_pack("{s:i,s:s,s:i,s:I,s:s,s:I,s:I}", "device", (int)e->device, "name", name,
                                   "incarnation", (int)e->incarnation, "seq", (json_int_t)e->seq, "outcome", outcome,
                                   "blocked_by", (json_int_t)e->blocked_by, "received_ms", (json_int_t)e->received_ms));
        return rc ? rc : 1;
    }
    (void)printf("%-24s %u/%llu  %-8s %llu  %s\n", name, e->incarnation, (unsigned long long)e->seq, outcome,
                 (unsigned long long)e->blocked_by, tz_cli_time(e->received_ms, when));
    return 1;
}

int tz_cmd_backlog(struct tz_cli *c)
{
    struct backlog b = {c, NULL};
    int rc = tz_cli_store(c, &b.s);
    if (rc)
        return rc;
    rc = tz_store_backlog(b.s, print_entry, &b, &c->err);
    tz_store_close(b.s);
    return rc;
}

/* ---- balance ---- */

/** What each device handed in, from the audit log. */
struct received {
    struct tz_received *v;
    size_t n, cap;
    bool full; /* out of memory */
};

struct balance {
    struct tz_cli *c;
    struct tz_store *s;
    struct received got;
    uint64_t ops, unaccounted;
};

static void keep_received(void *ctx, const struct tz_received *r)
{
    struct received *l = ctx;
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        struct tz_received *v = realloc(l->v, cap * sizeof *v);
        l->full = l->full || !v;
        if (!v)
            return;
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = *r;
}

static struct tz_received received_of(const struct received *l, uint32_t device)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].device == device)
            return l->v[i];
    return (struct tz_received){.device = device};
}

static uint64_t sum_of(const struct tz_balance *b)
{
    return b->applied + b->superseded + b->refused + b->waiting + b->held + b->under_review + b->withdrawn;
}

static int print_balance(void *ctx, const struct tz_device *d)
{
    struct balance *l = ctx;
    struct tz_balance b;
    struct tz_received got = received_of(&l->got, d->number);
    int rc = tz_store_balance(l->s, d->number, &b, &l->c->err);
    if (rc)
        return rc;
    uint64_t sum = sum_of(&b);
    uint64_t open = sum > got.ops ? sum - got.ops : got.ops - sum;
    l->ops += got.ops;
    l->unaccounted += open;
    if (l->c->json) {
        rc = tz_cli_json(l->c,
                         json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "device", d->name, "changesets",
                                   (json_int_t)b.changesets, "ops", (json_int_t)got.ops, "applied",
                                   (json_int_t)b.applied, "superseded", (json_int_t)b.superseded, "refused",
                                   (json_int_t)b.refused, "waiting", (json_int_t)b.waiting, "held", (json_int_t)b.held,
                                   "under_review", (json_int_t)b.under_review, "withdrawn", (json_int_t)b.withdrawn,
                                   "lost_changesets", (json_int_t)b.lost, "unaccounted", (json_int_t)open));
        return rc ? rc : 1;
    }
    const uint64_t n[] = {b.changesets, got.ops,        b.applied,   b.superseded, b.refused, b.waiting,
                          b.held,       b.under_review, b.withdrawn, b.lost,       open};
    (void)printf("%-20s", d->name);
    for (size_t i = 0; i < sizeof n / sizeof n[0]; i++)
        (void)printf(" %10llu", (unsigned long long)n[i]);
    (void)printf("\n");
    return 1;
}

static void print_heading(const struct tz_cli *c)
{
    static const char *const head[] = {"changesets", "ops",    "applied",   "superseded", "refused", "waiting",
                                       "held",       "review", "withdrawn", "lost",       "open"};
    (void)printf("%-20s", tr(c, "设备", "device"));
    for (size_t i = 0; i < sizeof head / sizeof head[0]; i++)
        (void)printf(" %10s", head[i]);
    (void)printf("\n");
}

static int one_or_all(struct balance *l, const char *name)
{
    struct tz_device d;
    if (!name)
        return tz_store_devices(l->s, print_balance, l, &l->c->err);
    int rc = tz_store_device_by_name(l->s, name, &d, &l->c->err);
    if (rc == 0)
        return tz_err_set(&l->c->err, TZ_E_NOT_FOUND, name, NULL, NULL, NULL);
    rc = rc == 1 ? print_balance(l, &d) : rc;
    return rc < 0 ? rc : 0;
}

static int print_total(struct balance *l)
{
    if (l->c->json)
        return tz_cli_json(l->c, json_pack("{s:b,s:I,s:I}", "total", 1, "ops", (json_int_t)l->ops, "unaccounted",
                                           (json_int_t)l->unaccounted));
    (void)printf(tr(l->c, "共 %llu 项修改，%llu 项没有去向\n", "%llu changes in all, %llu unaccounted for\n"),
                 (unsigned long long)l->ops, (unsigned long long)l->unaccounted);
    return 0;
}

int tz_cmd_balance(struct tz_cli *c)
{
    struct balance l = {.c = c};
    int rc = tz_cli_store(c, &l.s);
    if (rc)
        return rc;
    /* One snapshot for both counts, or a changeset between them would seem lost. */
    rc = tz_db_begin_read(tz_store_db(l.s), &c->err);
    if (!rc)
        rc = tz_store_received(l.s, keep_received, &l.got, &c->err);
    if (!rc && l.got.full)
        rc = tz_err_set(&c->err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    if (!rc && !c->json)
        print_heading(c);
    if (!rc)
        rc = one_or_all(&l, c->opt[TZ_OPT_DEVICE]);
    if (!rc)
        rc = print_total(&l);
    tz_db_rollback(tz_store_db(l.s));
    tz_store_close(l.s);
    free(l.got.v);
    if (!rc && l.unaccounted)
        rc = tz_err_setf(&c->err, TZ_E_VERIFY, "balance: %llu", (unsigned long long)l.unaccounted);
    return rc;
}
