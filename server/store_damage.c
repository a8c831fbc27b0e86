/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device says its repair found becomes an incident record in the device's area; what the server found about its
 * own data, one of the whole city.
 *
 * Invariants
 *  1. At most INCIDENTS_PER_DAY of a device and day: their ids follow from device, day and number, so a full day is
 * found without counting, whoever reports how often.
 *  2. All of it is the device's word. Nothing it names is looked up, and what a reader of the incident may not know is
 * left out: a device of the whole city has its incidents among the city's rows, which everybody reads, so they say
 * sums only.
 */
#include "log.h"
#include "store_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { INCIDENTS_PER_DAY = 4 };
static const char CODE[] = "replica_damage";

static int print_buckets(const struct tz_store *s, const struct tz_msg_damage *m, struct tz_buf *out)
{
    int rc = 0;
    for (size_t i = 0; i < m->nbuckets && !rc; i++) {
        const struct tz_damage_bucket *b = &m->buckets[i];
        const struct tz_type *t = tz_catalogue_type_id(s->cat, b->key.type);
        rc = tz_buf_printf(out, "\n%s %s %02x: %" PRIu32, t ? t->name : "?",
                           b->key.area.street[0] ? b->key.area.street : b->key.area.district, b->range, b->rows);
    }
    return rc;
}

static int print_detail(const struct tz_store *s, const struct tz_msg_damage *m, bool buckets, struct tz_buf *out)
{
    int rc = tz_buf_printf(out,
                           "本机副本与服务器不一致，已核对修复：内容不同 %" PRIu64 "，缺少 %" PRIu64 "，多出 %" PRIu64
                           "，保留 %" PRIu64 "，未能放入 %" PRIu64 "\n"
                           "The replica differed from the server and was repaired: %" PRIu64 " changed, %" PRIu64
                           " missing, %" PRIu64 " extra, %" PRIu64 " kept, %" PRIu64 " unfit",
                           m->changed, m->missing, m->extra, m->kept, m->unfit, m->changed, m->missing, m->extra,
                           m->kept, m->unfit);
    return rc || !buckets ? rc : print_buckets(s, m, out);
}

static void set_field(struct tz_row *row, const char *field, struct tz_value v)
{
    const struct tz_field *f = tz_type_field(row->rec.type, field);
    if (f)
        row->rec.v[f->index] = v;
}

static struct tz_id incident_id(uint32_t device, const char day[11], int n)
{
    char code[64];
    (void)snprintf(code, sizeof code, "%s %" PRIu32 " %s %d", CODE, device, day, n);
    return tz_store_fixed_id("incident", tz_bytes_str(code));
}

/** 1 and an id nobody has, 0: the day is full. */
static int free_id(struct tz_store *s, const struct tz_type *t, uint32_t device, struct tz_wall now, struct tz_arena *a,
                   struct tz_id *out, struct tz_err *err)
{
    char day[11];
    struct tz_row *old = tz_arena_alloc(a, sizeof *old);
    if (!old)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    tz_clock_today(now, day);
    for (int n = 0; n < INCIDENTS_PER_DAY; n++) {
        *out = incident_id(device, day, n);
        int rc = tz_replica_get(s->rep, t, *out, a, old, err);
        if (rc <= 0)
            return rc < 0 ? rc : 1;
    }
    return 0;
}

/** What an incident says; the rest follows. */
struct incident {
    struct tz_id id;
    struct tz_area area; /* all zero: the whole city's */
    uint32_t device;     /* 0: the server's own */
    const char *code;
    struct tz_bytes detail;
    struct tz_wall happened;
};

static int put_incident(struct tz_store *s, const struct tz_type *t, const struct incident *i, struct tz_arena *a,
                        struct tz_err *err)
{
    struct tz_row *row = tz_arena_calloc(a, 1, sizeof *row);
    char meta[96];
    tz_ver ver = 0;
    if (!row)
        return tz_err_set(err, TZ_E_NOMEM, "incident", NULL, NULL, NULL);
    int rc = tz_store_own_commit(s, &ver, err);
    if (rc)
        return rc;
    tz_record_init(&row->rec, t);
    row->id = i->id;
    row->born = ver;
    memcpy(row->area.district, i->area.district, sizeof row->area.district);
    set_field(row, "code", tz_value_text(i->code));
    set_field(row, "detail", tz_value_textn((const char *)i->detail.p, i->detail.n));
    set_field(row, "happened_at", tz_value_int(i->happened.ms));
    if (i->device)
        set_field(row, "device", tz_value_int(i->device));
    if (i->area.district[0])
        set_field(row, "district_code", tz_value_text(i->area.district));
    rc = tz_rows_put(s, row, NULL, ver, a, err);
    (void)snprintf(meta, sizeof meta, "incident device=%" PRIu32 " ver=%llu", i->device, (unsigned long long)ver);
    return rc ? rc : tz_audit_add(s, meta, tz_bytes_str(i->code), err);
}

static int write_incident(struct tz_store *s, const struct tz_type *t, const struct tz_device *d,
                          const struct tz_msg_damage *m, struct tz_wall now, struct tz_id id, struct tz_arena *a,
                          struct tz_err *err)
{
    struct incident i = {id, tz_who_area(d->area), d->number, CODE, {0}, now};
    struct tz_buf detail;
    tz_buf_init(&detail, TZ_TEXT_BYTES_MAX);
    int rc = print_detail(s, m, i.area.district[0] != '\0', &detail);
    i.detail = tz_buf_unread(&detail);
    rc = rc ? tz_err_set(err, rc, "incident", NULL, NULL, NULL) : put_incident(s, t, &i, a, err);
    tz_buf_deinit(&detail);
    return rc;
}

int tz_incident_own(struct tz_store *s, const char *code, const char *what, const char *detail, struct tz_err *err)
{
    const struct tz_type *t = tz_catalogue_type(s->cat, "incident");
    struct tz_wall now = tz_clock_wall(&s->clock);
    char day[11];
    char key[192];
    struct tz_arena a;
    if (!t)
        return 0;
    tz_clock_today(now, day);
    (void)snprintf(key, sizeof key, "%s %s %s", code, what, day);
    struct incident i = {.id = tz_store_fixed_id("incident", tz_bytes_str(key)),
                         .code = code,
                         .detail = tz_bytes_str(detail),
                         .happened = now};
    tz_arena_init(&a, 4 * TZ_ROW_BYTES_MAX);
    struct tz_row *old = tz_arena_alloc(&a, sizeof *old);
    int rc = old ? tz_replica_get(s->rep, t, i.id, &a, old, err) : tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    if (rc == 0)
        rc = put_incident(s, t, &i, &a, err);
    tz_arena_deinit(&a);
    return rc < 0 ? rc : 0;
}

int tz_store_damage(struct tz_store *s, uint32_t device, const struct tz_msg_damage *m, struct tz_wall received,
                    bool *noted, struct tz_area *area, struct tz_err *err)
{
    const struct tz_type *t = tz_catalogue_type(s->cat, "incident");
    struct tz_device d;
    struct tz_arena a;
    struct tz_id id;
    *noted = false;
    memset(area, 0, sizeof *area);
    int rc = tz_store_device_by_number(s, device, &d, err);
    if (rc != 1 || d.revoked)
        return rc < 0 ? rc : tz_err_set(err, TZ_E_REVOKED, NULL, NULL, NULL, NULL);
    tz_log(TZ_LOG_WARN, "store", "replica_damage",
           "device=%" PRIu32 " changed=%" PRIu64 " missing=%" PRIu64 " extra=%" PRIu64 " kept=%" PRIu64
           " unfit=%" PRIu64,
           device, m->changed, m->missing, m->extra, m->kept, m->unfit);
    if (!t)
        return 0;
    struct tz_area where = tz_who_area(d.area);
    memcpy(area->district, where.district, sizeof area->district);
    tz_arena_init(&a, 4 * TZ_ROW_BYTES_MAX);
    rc = free_id(s, t, device, received, &a, &id, err);
    if (rc == 1) {
        rc = write_incident(s, t, &d, m, received, id, &a, err);
        *noted = rc == 0;
    }
    tz_arena_deinit(&a);
    return rc;
}
