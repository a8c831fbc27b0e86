/* SPDX-License-Identifier: Apache-2.0 */
/*
 * balance: what became of every change, per device, per district (the sum of the devices of that area) and for the
 * whole server. Two counts must agree for each device: what it handed in, by the audit log and the backlog, and the
 * outcomes of its results; and its numbers must have no holes. What a device has not sent yet only the device knows, and
 * how many changes there were in the saves that a restore undid and that have not come in again: those are counted as
 * saves.
 */
#include "cli.h"
#include "grow.h"
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** What each device handed in. */
struct received {
    struct tz_received *v;
    size_t n, cap;
    bool full; /* out of memory */
};

/** One line: a device, a district or all. */
struct line {
    char name[TZ_NAME_BYTES];
    char district[TZ_DISTRICT_BYTES];
    uint64_t devices, ops, open;
    struct tz_balance b;
};

struct balance {
    struct tz_cli *c;
    struct tz_store *s;
    struct received got;
    struct line *district;
    size_t ndistricts, cap;
    struct line all;
    char wrong[256]; /* devices whose numbers do not add up */
};

static void keep_received(void *ctx, const struct tz_received *r)
{
    struct received *l = ctx;
    struct tz_received *v = tz_grow(l->v, l->n, &l->cap, 64, sizeof *v);
    l->full = l->full || !v;
    if (!v)
        return;
    l->v = v;
    l->v[l->n++] = *r;
}

static uint64_t ops_of(const struct received *l, uint32_t device)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].device == device)
            return l->v[i].ops;
    return 0;
}

static uint64_t sum_of(const struct tz_balance *b)
{
    return b->applied + b->superseded + b->refused + b->waiting + b->held + b->under_review + b->withdrawn;
}

static void add_line(struct line *to, const struct line *l)
{
    to->devices += l->devices;
    to->ops += l->ops;
    to->open += l->open;
    to->b.changesets += l->b.changesets;
    to->b.applied += l->b.applied;
    to->b.superseded += l->b.superseded;
    to->b.refused += l->b.refused;
    to->b.waiting += l->b.waiting;
    to->b.held += l->b.held;
    to->b.under_review += l->b.under_review;
    to->b.withdrawn += l->b.withdrawn;
    to->b.undone += l->b.undone;
    to->b.lost += l->b.lost;
    to->b.missing += l->b.missing;
}

/** The line of a device's district; NULL out of memory. */
static struct line *district_of(struct balance *l, const char *district)
{
    for (size_t i = 0; i < l->ndistricts; i++)
        if (strcmp(l->district[i].district, district) == 0)
            return &l->district[i];
    struct line *v = tz_grow(l->district, l->ndistricts, &l->cap, 16, sizeof *v);
    if (!v)
        return NULL;
    l->district = v;
    struct line *out = &l->district[l->ndistricts++];
    *out = (struct line){0};
    memcpy(out->district, district, strlen(district));
    return out;
}

/* ---- printing ---- */

static json_t *numbers(const struct line *l)
{
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "changesets", (json_int_t)l->b.changesets,
                     "ops", (json_int_t)l->ops, "applied", (json_int_t)l->b.applied, "superseded",
                     (json_int_t)l->b.superseded, "refused", (json_int_t)l->b.refused, "waiting",
                     (json_int_t)l->b.waiting, "held", (json_int_t)l->b.held, "under_review",
                     (json_int_t)l->b.under_review, "withdrawn", (json_int_t)l->b.withdrawn, "undone_changesets",
                     (json_int_t)l->b.undone, "lost_changesets", (json_int_t)l->b.lost, "missing_changesets",
                     (json_int_t)l->b.missing, "unaccounted", (json_int_t)l->open);
}

/** Takes @head. */
static int print_json(struct balance *l, json_t *head, const struct line *line)
{
    json_t *n = numbers(line);
    int bad = json_object_update(head, n);
    json_decref(n);
    if (bad) {
        json_decref(head);
        head = NULL;
    }
    return tz_cli_json(l->c, head);
}

static void print_numbers(const char *name, const struct line *l)
{
    const uint64_t n[] = {l->b.changesets, l->ops,       l->b.applied, l->b.superseded,
                          l->b.refused,    l->b.waiting, l->b.held,    l->b.under_review,
                          l->b.withdrawn,  l->b.undone,  l->b.lost,    l->open};
    (void)printf("%-20s", name);
    for (size_t i = 0; i < sizeof n / sizeof n[0]; i++)
        (void)printf(" %10llu", (unsigned long long)n[i]);
    (void)printf("\n");
}

static void print_heading(const struct tz_cli *c)
{
    static const char *const head[] = {"changesets", "ops",    "applied",   "superseded", "refused", "waiting",
                                       "held",       "review", "withdrawn", "undone",     "lost",    "open"};
    (void)printf("%-20s", tr(c, "设备", "device"));
    for (size_t i = 0; i < sizeof head / sizeof head[0]; i++)
        (void)printf(" %10s", head[i]);
    (void)printf("\n");
}

static void note_wrong(struct balance *l, const struct line *line)
{
    size_t n = strlen(l->wrong);
    if (line->open)
        (void)snprintf(l->wrong + n, sizeof l->wrong - n, "%s%.60s %llu", n ? ", " : "", line->name,
                       (unsigned long long)line->open);
}

static int on_device(void *ctx, const struct tz_device *d)
{
    struct balance *l = ctx;
    struct line line = {.devices = 1, .ops = ops_of(&l->got, d->number)};
    memcpy(line.name, d->name, strnlen(d->name, sizeof line.name - 1));
    memcpy(line.district, d->area, strnlen(d->area, sizeof line.district - 1));
    struct line *district = district_of(l, line.district);
    if (!district)
        return tz_err_set(&l->c->err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    int rc = tz_store_balance(l->s, d->number, &line.b, &l->c->err);
    if (rc)
        return rc;
    uint64_t sum = sum_of(&line.b);
    line.open = (sum > line.ops ? sum - line.ops : line.ops - sum) + line.b.missing;
    add_line(district, &line);
    add_line(&l->all, &line);
    note_wrong(l, &line);
    if (l->c->json)
        rc = print_json(l, json_pack("{s:s,s:s}", "device", line.name, "district", line.district), &line);
    else
        print_numbers(line.name, &line);
    return rc ? rc : 1;
}

static int by_district(const void *a, const void *b)
{
    return strcmp(((const struct line *)a)->district, ((const struct line *)b)->district);
}

static int print_districts(struct balance *l)
{
    int rc = 0;
    if (l->ndistricts)
        qsort(l->district, l->ndistricts, sizeof *l->district, by_district);
    if (!l->c->json)
        (void)printf("\n%s\n", tr(l->c, "按区", "by district"));
    for (size_t i = 0; i < l->ndistricts && !rc; i++) {
        const struct line *d = &l->district[i];
        if (l->c->json)
            rc = print_json(l, json_pack("{s:s,s:I}", "area", d->district, "devices", (json_int_t)d->devices), d);
        else
            print_numbers(d->district[0] ? d->district : "-", d);
    }
    return rc;
}

static int print_total(struct balance *l)
{
    const struct line *a = &l->all;
    if (l->c->json)
        return print_json(l, json_pack("{s:b,s:I}", "total", 1, "devices", (json_int_t)a->devices), a);
    (void)printf(
        tr(l->c,
           "\n共收到 %llu 项修改 = 已生效 %llu + 落选 %llu + 被拒 %llu + 等待 %llu + 暂存 %llu + 待审 %llu + 已撤回 "
           "%llu；%llu 项没有去向；申报丢失 %llu 次保存；恢复备份后尚未交回 %llu "
           "次保存（undone，原因见该设备的 taizhang status）。未送出的只有各设备知道（taizhang balance）\n",
           "\n%llu changes received = applied %llu + superseded %llu + refused %llu + waiting %llu + held %llu + "
           "under review %llu + withdrawn %llu; %llu unaccounted for; %llu saves declared lost; %llu saves that a "
           "restore undid have not come in again (taizhang status on that device says why). What is unsent only the "
           "devices know (taizhang balance)\n"),
        (unsigned long long)a->ops, (unsigned long long)a->b.applied, (unsigned long long)a->b.superseded,
        (unsigned long long)a->b.refused, (unsigned long long)a->b.waiting, (unsigned long long)a->b.held,
        (unsigned long long)a->b.under_review, (unsigned long long)a->b.withdrawn, (unsigned long long)a->open,
        (unsigned long long)a->b.lost, (unsigned long long)a->b.undone);
    return 0;
}

/* ---- the command ---- */

static int one_or_all(struct balance *l, const char *name)
{
    struct tz_device d;
    if (!name) {
        int rc = tz_store_devices(l->s, on_device, l, &l->c->err);
        return rc ? rc : print_districts(l);
    }
    int rc = tz_store_device_by_name(l->s, name, &d, &l->c->err);
    if (rc == 0)
        return tz_err_set(&l->c->err, TZ_E_NOT_FOUND, name, NULL, NULL, NULL);
    rc = rc == 1 ? on_device(l, &d) : rc;
    return rc < 0 ? rc : 0;
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
    free(l.district);
    if (!rc && l.all.open)
        rc = tz_err_setf(&c->err, TZ_E_VERIFY, "balance: %s", l.wrong);
    return rc;
}
