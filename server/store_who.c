/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices and what a grant covers. The device table is the authority on who may connect; it is read on each session and
 * each changeset, so a revocation counts from the next one.
 */
#include "store_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- areas by code ---- */

struct tz_area tz_who_area(const char *code)
{
    struct tz_area a = {0};
    size_t n = strnlen(code, TZ_STREET_BYTES);
    if (strcmp(code, TZ_CITY_CODE) == 0 || n < 6)
        return a;
    memcpy(a.district, code, 6);
    if (n == 9)
        memcpy(a.street, code, 9);
    return a;
}

bool tz_store_area_within(const char *inner, const char *outer)
{
    struct tz_area i = tz_who_area(inner);
    struct tz_area o = tz_who_area(outer);
    return strcmp(outer, TZ_CITY_CODE) == 0 || (strcmp(inner, TZ_CITY_CODE) != 0 && tz_area_covers(&o, &i));
}

bool tz_who_role_fits(const struct tz_catalogue *cat, const struct tz_role *user, const char *device_role)
{
    const struct tz_role *d = tz_catalogue_role(cat, device_role);
    return user && d && (user->editor == 0 || user->editor == d->editor) && (!user->reads_secret || d->reads_secret) &&
           (!user->supervises || d->supervises);
}

/* ---- devices ---- */

void tz_who_copy(char *out, size_t cap, const char *in)
{
    size_t n = in ? strnlen(in, cap - 1) : 0;
    if (n)
        memcpy(out, in, n);
    out[n] = '\0';
}

static void read_device(const struct tz_stmt *st, struct tz_device *d)
{
    memset(d, 0, sizeof *d);
    d->number = (uint32_t)tz_stmt_int(st, 0);
    d->incarnation = (uint32_t)tz_stmt_int(st, 1);
    tz_who_copy(d->name, sizeof d->name, tz_stmt_text(st, 2));
    tz_who_copy(d->role, sizeof d->role, tz_stmt_text(st, 3));
    tz_who_copy(d->area, sizeof d->area, tz_stmt_text(st, 4));
    d->revoked = tz_stmt_int(st, 5) != 0;
    d->last_seq = (uint64_t)tz_stmt_int(st, 6);
    d->last_seen_ms = tz_stmt_int(st, 7);
    d->checkpoint = (tz_ver)tz_stmt_int(st, 8);
    d->acked_ms = tz_stmt_int(st, 9);
    d->grant_since = (tz_ver)tz_stmt_int(st, 10);
    d->until_ms = tz_stmt_int(st, 11);
    d->unsent = (uint64_t)tz_stmt_int(st, 12);
    d->wiped_ms = tz_stmt_int(st, 13);
}

static int one_device(struct tz_stmt *st, struct tz_device *out, struct tz_err *err)
{
    int rc = tz_stmt_step(st, err);
    if (rc == 1)
        read_device(st, out);
    tz_stmt_reset(st);
    return rc;
}

int tz_store_device_by_fingerprint(struct tz_store *s, const uint8_t fp[TZ_FINGERPRINT_BYTES], struct tz_device *out,
                                   struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_DEVICE_BY_FP, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_blob(st, 1, fp, TZ_FINGERPRINT_BYTES);
    return one_device(st, out, err);
}

int tz_store_device_by_number(struct tz_store *s, uint32_t number, struct tz_device *out, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_DEVICE_BY_NUMBER, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, number);
    return one_device(st, out, err);
}

int tz_store_device_by_name(struct tz_store *s, const char *name, struct tz_device *out, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_DEVICE_BY_NAME, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_text(st, 1, name);
    return one_device(st, out, err);
}

int tz_store_devices(struct tz_store *s, tz_device_cb cb, void *ctx, struct tz_err *err)
{
    struct tz_stmt st = {0};
    struct tz_device d;
    int rc = tz_db_prepare(s->db, &st, "SELECT " TZ_DEVICE_COLUMNS " FROM device ORDER BY number", err);
    while (!rc && (rc = tz_stmt_step(&st, err)) == 1) {
        read_device(&st, &d);
        int go = cb(ctx, &d);
        rc = go > 0 ? 0 : go;
        if (go <= 0)
            break;
    }
    tz_stmt_finalize(&st);
    return rc;
}

/* ---- grants ---- */

static int add_district(void *ctx, const struct tz_row *row)
{
    struct tz_grant *g = ctx;
    struct tz_value code = row->rec.v[tz_type_field(row->rec.type, "code")->index];
    if (code.kind != TZ_V_TEXT || code.n != 6 || g->nareas == TZ_MSG_AREAS_MAX)
        return 1;
    struct tz_area *a = &g->areas[g->nareas++];
    memset(a, 0, sizeof *a);
    memcpy(a->district, code.p, 6);
    return 1;
}

int tz_store_grant_of(struct tz_store *s, const struct tz_device *d, int64_t now_ms, struct tz_grant *out,
                      struct tz_err *err)
{
    memset(out, 0, sizeof *out);
    out->device = d->number;
    out->incarnation = d->incarnation;
    out->role = tz_catalogue_role(s->cat, d->role);
    if (!out->role)
        return tz_err_setf(err, TZ_E_CATALOGUE, "roles.csv: %s", d->role);
    out->reads_secret = out->role->reads_secret;
    out->since = d->grant_since;
    out->until_ms = d->until_ms;
    bool ended = d->area[0] == '\0' || (d->until_ms && now_ms >= d->until_ms);
    if (!out->role->reads_business || ended || d->revoked)
        return 0;
    out->nareas = 1; /* the city's own rows */
    if (strcmp(d->area, TZ_CITY_CODE) != 0) {
        out->areas[out->nareas++] = tz_who_area(d->area);
        return 0;
    }
    memcpy(out->areas[out->nareas++].district, TZ_CITY_CODE, TZ_DISTRICT_BYTES); /* what no single district may see */
    return tz_replica_find(s->rep, tz_type_field(s->division_type, "level"), s->division_type,
                           tz_value_text("district"), add_district, out, err);
}

/* ---- in a group ---- */

int tz_store_device_revoke(struct tz_store *s, uint32_t device, struct tz_err *err)
{
    struct tz_stmt st = {0};
    struct tz_device d;
    int rc = tz_store_device_by_number(s, device, &d, err);
    if (rc != 1)
        return rc < 0 ? rc : tz_err_setf(err, TZ_E_NOT_FOUND, "%u", device);
    rc = tz_db_prepare(s->db, &st, "UPDATE device SET revoked=1 WHERE number=?", err);
    if (!rc) {
        tz_stmt_bind_int(&st, 1, device);
        rc = tz_stmt_run(&st, err);
    }
    tz_stmt_finalize(&st);
    if (!rc)
        rc = tz_journal_note(s, TZ_JOURNAL_DEVICE, tz_value_int(device), err);
    return rc ? rc : tz_audit_add(s, "revoke", tz_bytes_str(d.name), err);
}

/** How many lost seqs of the device are not passed over yet. */
static int count_lost(struct tz_store *s, const struct tz_device *d, uint64_t *out, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_LOST_COUNT, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, d->number);
    tz_stmt_bind_int(st, 2, d->incarnation);
    tz_stmt_bind_int(st, 3, (int64_t)d->last_seq);
    int rc = tz_stmt_step(st, err);
    *out = rc == 1 ? (uint64_t)tz_stmt_int(st, 0) : 0;
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

/** Lost seqs of a Hello, as long as there is room for them. */
static int note_lost(struct tz_store *s, const struct tz_device *d, const struct tz_msg_hello *h, int64_t now,
                     struct tz_err *err)
{
    uint64_t n = 0;
    int rc = count_lost(s, d, &n, err);
    for (size_t i = 0; i < h->nlost && n < TZ_MSG_LOST_MAX && !rc; i++) {
        if (h->lost_seqs[i] <= d->last_seq || h->lost_seqs[i] > h->last_seq || h->lost_seqs[i] > INT64_MAX)
            continue; /* judged already, or never given */
        struct tz_stmt *st = tz_store_sql(s, TZ_SQL_LOST_PUT, err);
        if (!st)
            return TZ_E_DB;
        tz_stmt_bind_int(st, 1, d->number);
        tz_stmt_bind_int(st, 2, d->incarnation);
        tz_stmt_bind_int(st, 3, (int64_t)h->lost_seqs[i]);
        tz_stmt_bind_int(st, 4, now);
        rc = tz_stmt_run(st, err);
        n += !rc && tz_db_changes(s->db) > 0;
    }
    return rc;
}

/** Answers that the device heard and this database does not know: a restore forgot them. Without one it never gave
 * them. */
static int note_forgotten(struct tz_store *s, const struct tz_device *d, const struct tz_msg_hello *h,
                          struct tz_err *err)
{
    uint64_t heard = h->heard_seq < h->last_seq ? h->heard_seq : h->last_seq;
    if (s->nlost == 0 || heard <= d->last_seq || heard > INT64_MAX)
        return 0;
    return tz_installation_forget(s, d, heard, err);
}

/** A device has seen what this database neither has nor knows to have lost: serving it would give versions twice. */
static int not_behind(const struct tz_store *s, tz_ver seen, struct tz_err *err)
{
    char theirs[24];
    char ours[24];
    char epoch[16];
    if (seen <= s->head || tz_lost_floor(s, seen) != seen)
        return 0;
    (void)snprintf(theirs, sizeof theirs, "%llu", (unsigned long long)seen);
    (void)snprintf(ours, sizeof ours, "%llu", (unsigned long long)s->head);
    (void)snprintf(epoch, sizeof epoch, "%llu", (unsigned long long)(seen >> TZ_VER_COUNTER_BITS) + 1);
    return tz_err_set(err, TZ_E_SERVER_OLDER, theirs, ours, epoch, NULL);
}

int tz_store_session_begin(struct tz_store *s, uint32_t device, const struct tz_msg_hello *h, int64_t offset_ms,
                           struct tz_err *err)
{
    int64_t now = tz_clock_wall(&s->clock).ms;
    struct tz_device d = {0};
    int behind = not_behind(s, h->checkpoint, err);
    if (behind)
        return behind;
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_DEVICE_SEEN, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, device);
    tz_stmt_bind_int(st, 2, now);
    tz_stmt_bind_int(st, 3, offset_ms);
    tz_stmt_bind_int(st, 4, (int64_t)(tz_lost_floor(s, h->checkpoint) & INT64_MAX));
    tz_stmt_bind_int(st, 5, (int64_t)(h->unsent & INT64_MAX));
    int rc = tz_stmt_run(st, err);
    int found = rc ? rc : tz_store_device_by_number(s, device, &d, err);
    if (found == 1)
        found = tz_store_installation(s, &d, h->incarnation, err);
    if (found != 1)
        return found < 0 ? found : 0;
    if (h->nlost)
        rc = note_lost(s, &d, h, now, err);
    if (!rc)
        rc = note_forgotten(s, &d, h, err);
    return rc ? rc : tz_reoffer_end(s, err);
}

int tz_store_acknowledged(struct tz_store *s, uint32_t device, tz_ver checkpoint, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_DEVICE_ACKED, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, device);
    tz_stmt_bind_int(st, 2, (int64_t)checkpoint);
    tz_stmt_bind_int(st, 3, tz_clock_wall(&s->clock).ms);
    return tz_stmt_run(st, err);
}
