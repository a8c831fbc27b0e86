/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands that look: status, device list and show, user list, backlog. All but status read the database
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
    struct tz_purge_rules rules;
    int64_t now_ms;
    struct tz_store *s;
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

static int add_holder(void *ctx, const struct tz_device *d)
{
    return json_array_append_new(ctx, json_string(d->name)) ? TZ_E_NOMEM : 1;
}

/** How far purging is, and whom it waits for: from the database, beside the server. */
static int add_purge(struct tz_cli *c, json_t *o)
{
    json_t *waits = json_array();
    struct tz_purge_rules rules;
    struct tz_purge_state st;
    struct tz_store *s = NULL;
    struct tz_backup_folder oldest;
    tz_ver upto = 0;
    int rc = tz_cli_store(c, &s);
    tz_cli_purge_rules(c, &rules);
    if (!rc)
        rc = tz_store_compact_upto(s, &upto, &c->err);
    if (!rc)
        rc = tz_store_backup_oldest(s, &oldest, &c->err);
    if (!rc)
        rc = tz_store_purge_state(s, &rules, &st, &c->err);
    if (!rc)
        rc = tz_store_purge_holders(s, &rules, add_holder, waits, &c->err);
    tz_store_close(s);
    if (rc) {
        json_decref(waits);
        return rc;
    }
    (void)json_object_set_new(o, "purge_waits_for", waits);
    (void)json_object_set_new(o, "purge_horizon", json_integer((json_int_t)st.horizon));
    (void)json_object_set_new(o, "purged", json_integer(st.purged));
    (void)json_object_set_new(o, "compact_upto", json_integer((json_int_t)upto));
    (void)json_object_set_new(o, "backups_oldest_in", json_string(oldest.path));
    (void)json_object_set_new(o, "backups_agree_upto", json_integer((json_int_t)oldest.upto));
    return 0;
}

int tz_cmd_status(struct tz_cli *c)
{
    json_t *r = NULL;
    const char *key;
    json_t *v;
    int rc = tz_cli_open(c, false);
    if (!rc)
        rc = tz_cli_ask(c, "status", &r);
    if (!rc)
        rc = add_purge(c, r);
    if (rc) {
        json_decref(r);
        return rc;
    }
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

/** Until when the device is waited for with purging; 0: it never acknowledged anything. */
static int64_t lease_until(const struct listing *l, const struct tz_device *d)
{
    return d->checkpoint && d->acked_ms ? d->acked_ms + l->rules.lease_ms : 0;
}

/** Areas that the device had and may have been sent rows of, beyond those it has, and has not said to hold nothing of
 * any more. */
struct left_areas {
    const struct tz_device *d;
    json_t *list;
};

static int note_left(void *ctx, const struct tz_past_grant *g)
{
    struct left_areas *l = ctx;
    bool gone = g->wiped_ms || !g->served || (l->d->area[0] && tz_store_area_within(g->area, l->d->area));
    if (!gone && json_array_append_new(l->list, json_pack("{s:s,s:s,s:I}", "area", g->area, "role", g->role, "ended_ms",
                                                          (json_int_t)g->ended_ms)))
        return TZ_E_NOMEM;
    return 1;
}

static int left_json(struct listing *l, const struct tz_device *d, json_t **out)
{
    struct left_areas left = {d, json_array()};
    *out = left.list;
    return left.list ? tz_store_past_grants(l->s, d->number, note_left, &left, &l->c->err) : TZ_E_NOMEM;
}

static json_t *device_json(const struct listing *l, const struct tz_device *d, bool full, json_t *left)
{
    json_t *o = json_pack("{s:i,s:s,s:s,s:s,s:b,s:s,s:i,s:I,s:I,s:I,s:I}", "device", (int)d->number, "name", d->name,
                          "role", d->role, "area", d->area, "revoked", d->revoked, "state", online_state(l, d->number),
                          "incarnation", (int)d->incarnation, "last_seq", (json_int_t)d->last_seq, "last_seen_ms",
                          (json_int_t)d->last_seen_ms, "checkpoint", (json_int_t)d->checkpoint, "recovery_until_ms",
                          (json_int_t)(l->recovery.open ? l->recovery.until_ms : 0));
    (void)json_object_set_new(o, "acked_ms", json_integer(d->acked_ms));
    (void)json_object_set_new(o, "lease_until_ms", json_integer(lease_until(l, d)));
    (void)json_object_set_new(o, "in_lease", json_boolean(tz_lease_in(d, l->now_ms, l->rules.lease_ms)));
    (void)json_object_set_new(o, "until_ms", json_integer(d->until_ms));
    (void)json_object_set_new(o, "unsent", json_integer((json_int_t)d->unsent));
    (void)json_object_set_new(o, "wiped_ms", json_integer(d->wiped_ms));
    (void)json_object_set_new(o, "held_full", json_boolean(full));
    (void)json_object_set_new(o, "not_wiped", left);
    return o;
}

/** What one should know about it, in words. */
static void device_words(const struct listing *l, const struct tz_device *d, bool full, const json_t *left, char *out,
                         size_t cap)
{
    char when[32];
    size_t n = 0;
    const char *areas[4] = {"", "", "", ""};
    for (size_t i = 0; i < json_array_size(left) && i < 4; i++)
        areas[i] = json_string_value(json_object_get(json_array_get(left, i), "area"));
    out[0] = '\0';
    if (d->revoked)
        n += (size_t)snprintf(out + n, cap - n, "%s ",
                              d->wiped_ms ? tr(l->c, "已停用，已清除", "revoked, wiped")
                                          : tr(l->c, "已停用，尚未清除", "revoked, not wiped yet"));
    else if (d->area[0] == '\0' || (d->until_ms && d->until_ms <= tz_clock_wall(&tz_clock_system).ms))
        n += (size_t)snprintf(out + n, cap - n, "%s ", tr(l->c, "权限已到期", "grant has ended"));
    else if (d->until_ms)
        n += (size_t)snprintf(out + n, cap - n, tr(l->c, "截至 %s ", "until %s "), tz_cli_time(d->until_ms, when));
    if (json_array_size(left) && !d->revoked)
        n += (size_t)snprintf(
            out + n, cap - n,
            d->incarnation > 1 /* a receipt of one folder says nothing of the others */
                ? tr(l->c, "它的文件夹有过副本，不能确知各份都已清除 %s %s %s %s ",
                     "its folder was copied or put back: not known to be wiped in every copy: %s %s %s %s ")
                : tr(l->c, "尚未清除 %s %s %s %s ", "not wiped yet: %s %s %s %s "),
            areas[0], areas[1], areas[2], areas[3]);
    if (full && !d->wiped_ms && n < cap)
        n += (size_t)snprintf(
            out + n, cap - n, "%s ",
            tr(l->c, "暂存已满，先处理 backlog", "no room for the rest of its work: settle its backlog first"));
    if (!d->revoked && lease_until(l, d) && !tz_lease_in(d, l->now_ms, l->rules.lease_ms) && n < cap)
        n += (size_t)snprintf(out + n, cap - n, "%s ", tr(l->c, "已超过租期", "past its lease"));
    if (d->unsent && n < cap)
        (void)snprintf(out + n, cap - n, tr(l->c, "未送出 %llu", "unsent %llu"), (unsigned long long)d->unsent);
}

static int print_device(void *ctx, const struct tz_device *d)
{
    struct listing *l = ctx;
    char when[32];
    char words[256];
    json_t *left = NULL;
    bool full = false;
    int rc = left_json(l, d, &left);
    if (!rc && d->revoked)
        rc = tz_store_held_full(l->s, d->number, &full, &l->c->err);
    if (rc) {
        json_decref(left);
        return rc;
    }
    if (l->c->json) {
        rc = tz_cli_json(l->c, device_json(l, d, full, left));
        return rc ? rc : 1;
    }
    device_words(l, d, full, left, words, sizeof words);
    (void)printf("%6u  %-24s %-10s %-9s  %-8s %-20s %s\n", d->number, d->name, d->role, d->area[0] ? d->area : "-",
                 online_state(l, d->number), tz_cli_time(d->last_seen_ms, when), words);
    json_decref(left);
    return 1;
}

static int open_listing(struct tz_cli *c, struct listing *l, struct tz_store **s)
{
    struct tz_err quiet;
    *l = (struct listing){.c = c, .now_ms = tz_clock_wall(&tz_clock_system).ms};
    int rc = tz_cli_store(c, s);
    tz_cli_purge_rules(c, &l->rules);
    if (!rc)
        rc = tz_store_recovery(*s, &l->recovery, &c->err);
    l->s = *s;
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
    const char *outcome = e->recovers ? "recovering" : e->outcome == TZ_OUT_WAITING ? "waiting" : "held";
    int rc = tz_store_device_by_number(b->s, e->device, &d, &b->c->err);
    if (rc < 0)
        return rc;
    const char *name = rc ? d.name : "?";
    char save[TZ_NAME_BYTES + 40];
    (void)snprintf(save, sizeof save, "%s/%u.%llu", name, e->incarnation, (unsigned long long)e->seq);
    if (b->c->json) {
        rc = tz_cli_json(b->c, json_pack("{s:i,s:s,s:s,s:i,s:I,s:s,s:I,s:I}", "device", (int)e->device, "name", name,
                                         "save", save, "incarnation", (int)e->incarnation, "seq", (json_int_t)e->seq,
                                         "outcome", outcome, "blocked_by", (json_int_t)e->blocked_by, "received_ms",
                                         (json_int_t)e->received_ms));
        return rc ? rc : 1;
    }
    (void)printf("%-30s  %-10s %llu  %s\n", save, outcome, (unsigned long long)e->blocked_by,
                 tz_cli_time(e->received_ms, when));
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
