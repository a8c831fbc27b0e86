/* SPDX-License-Identifier: Apache-2.0 */
/* One-use invitations, and the device that comes with one. Who comes again with the same key gets the same answer. */
#include "store_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- invitations ---- */

int tz_store_invite_add(struct tz_store *s, const struct tz_invite_spec *spec, uint8_t secret[16], struct tz_err *err)
{
    struct tz_stmt st = {0};
    struct tz_device d;
    uint8_t hash[TZ_SHA256_BYTES];
    int rc = tz_who_check_grant(s, spec->role, spec->area, err);
    if (!rc)
        rc = tz_who_check_user(s, spec->name, spec->name, err);
    if (rc)
        return rc;
    rc = tz_store_device_by_name(s, spec->name, &d, err);
    if (rc)
        return rc < 0 ? rc : tz_err_set(err, TZ_E_NAME_TAKEN, spec->name, NULL, NULL, NULL);
    tz_store_random(s, secret, 16);
    rc = tz_sha256(tz_bytes_of(secret, 16), hash);
    if (!rc)
        rc = tz_db_prepare(s->db, &st, "INSERT INTO invite(secret_hash,role,area,name,made_ms) VALUES(?,?,?,?,?)", err);
    if (!rc) {
        tz_stmt_bind_blob(&st, 1, hash, sizeof hash);
        tz_stmt_bind_text(&st, 2, spec->role);
        tz_stmt_bind_text(&st, 3, spec->area);
        tz_stmt_bind_text(&st, 4, spec->name);
        tz_stmt_bind_int(&st, 5, tz_clock_wall(&s->clock).ms);
        rc = tz_stmt_run(&st, err);
    }
    tz_stmt_finalize(&st);
    if (!rc)
        rc = tz_journal_note(s, TZ_JOURNAL_INVITE, tz_value_blob(hash, sizeof hash), err);
    return rc ? rc : tz_audit_add(s, "invite", tz_bytes_str(spec->name), err);
}

/* ---- enrolment ---- */

struct invite {
    char role[TZ_NAME_BYTES], area[TZ_STREET_BYTES], name[TZ_NAME_BYTES];
    uint32_t device; /* 0 = not used yet */
    uint8_t key_hash[32];
    uint8_t secret_hash[TZ_SHA256_BYTES];
};

static int invite_get(struct tz_store *s, struct tz_bytes secret, struct invite *out, struct tz_err *err)
{
    struct tz_stmt st = {0};
    memset(out, 0, sizeof *out);
    int rc = tz_sha256(secret, out->secret_hash);
    if (!rc)
        rc = tz_db_prepare(s->db, &st, "SELECT role,area,name,device,key_hash FROM invite WHERE secret_hash=?", err);
    if (!rc) {
        tz_stmt_bind_blob(&st, 1, out->secret_hash, sizeof out->secret_hash);
        rc = tz_stmt_step(&st, err);
    }
    if (rc == 1) {
        tz_who_copy(out->role, sizeof out->role, tz_stmt_text(&st, 0));
        tz_who_copy(out->area, sizeof out->area, tz_stmt_text(&st, 1));
        tz_who_copy(out->name, sizeof out->name, tz_stmt_text(&st, 2));
        out->device = (uint32_t)tz_stmt_int(&st, 3);
        struct tz_bytes key = tz_stmt_blob(&st, 4);
        if (key.n == sizeof out->key_hash)
            memcpy(out->key_hash, key.p, key.n);
    }
    tz_stmt_finalize(&st);
    return rc;
}

/** A join repeated with the same key: the same device and certificate. */
static int enrol_again(struct tz_store *s, const struct invite *inv, struct tz_enrolment *out, struct tz_err *err)
{
    struct tz_stmt st = {0};
    int rc = tz_store_device_by_number(s, inv->device, &out->device, err);
    if (rc != 1 || out->device.revoked)
        return rc < 0 ? rc : tz_err_set(err, TZ_E_INVITE, NULL, NULL, NULL, NULL);
    rc = tz_db_prepare(s->db, &st, "SELECT user,certificate FROM device WHERE number=?", err);
    if (!rc) {
        tz_stmt_bind_int(&st, 1, inv->device);
        rc = tz_stmt_step(&st, err);
    }
    if (rc == 1) {
        struct tz_bytes cert = tz_stmt_blob(&st, 1);
        tz_stmt_id(&st, 0, &out->user);
        rc = tz_buf_put(&out->certificate, cert.p, cert.n);
    }
    tz_stmt_finalize(&st);
    return rc;
}

static int device_put(struct tz_store *s, const struct tz_enrolment *e, const uint8_t fp[TZ_FINGERPRINT_BYTES],
                      struct tz_err *err)
{
    struct tz_stmt st = {0};
    struct tz_bytes cert = tz_buf_unread(&e->certificate);
    int rc =
        tz_db_prepare(s->db, &st,
                      "INSERT INTO device(number,incarnation,name,role,area,user,fingerprint,certificate,enrolled_ms,"
                      "served) VALUES(?,?,?,?,?,?,?,?,?,0)",
                      err);
    if (!rc) {
        tz_stmt_bind_int(&st, 1, e->device.number);
        tz_stmt_bind_int(&st, 2, e->device.incarnation);
        tz_stmt_bind_text(&st, 3, e->device.name);
        tz_stmt_bind_text(&st, 4, e->device.role);
        tz_stmt_bind_text(&st, 5, e->device.area);
        tz_stmt_bind_id(&st, 6, &e->user);
        tz_stmt_bind_blob(&st, 7, fp, TZ_FINGERPRINT_BYTES);
        tz_stmt_bind_blob(&st, 8, cert.p, cert.n);
        tz_stmt_bind_int(&st, 9, tz_clock_wall(&s->clock).ms);
        rc = tz_stmt_run(&st, err);
    }
    tz_stmt_finalize(&st);
    return rc;
}

static int invite_used(struct tz_store *s, const struct invite *inv, uint32_t device, const uint8_t key_hash[32],
                       struct tz_err *err)
{
    struct tz_stmt st = {0};
    int rc = tz_db_prepare(s->db, &st, "UPDATE invite SET device=?, key_hash=? WHERE secret_hash=?", err);
    if (!rc) {
        tz_stmt_bind_int(&st, 1, device);
        tz_stmt_bind_blob(&st, 2, key_hash, 32);
        tz_stmt_bind_blob(&st, 3, inv->secret_hash, sizeof inv->secret_hash);
        rc = tz_stmt_run(&st, err);
    }
    tz_stmt_finalize(&st);
    return rc;
}

/** The first user: a person of that code with the same grant may be there already. */
static int first_user(struct tz_store *s, const struct invite *inv, struct tz_id *out, struct tz_err *err)
{
    char role[TZ_NAME_BYTES];
    char area[TZ_STREET_BYTES];
    int rc = tz_who_user_by_code(s, inv->name, out, role, area, err);
    if (rc == 0)
        return tz_store_user_add(s, inv->name, inv->name, inv->role, inv->area, out, err);
    if (rc == 1 && (strcmp(role, inv->role) != 0 || strcmp(area, inv->area) != 0))
        return tz_err_set(err, TZ_E_EXISTS, inv->name, NULL, NULL, NULL);
    return rc < 0 ? rc : 0;
}

static int enrol_new(struct tz_store *s, const struct invite *inv, struct tz_bytes csr, const uint8_t key_hash[32],
                     tz_sign_fn sign, void *sign_ctx, struct tz_enrolment *out, struct tz_err *err)
{
    uint8_t fp[TZ_FINGERPRINT_BYTES];
    int64_t last = 0;
    struct tz_device taken;
    int rc = tz_store_device_by_name(s, inv->name, &taken, err);
    if (rc)
        return rc < 0 ? rc : tz_err_set(err, TZ_E_INVITE, NULL, NULL, NULL, NULL);
    rc = tz_db_query_int(s->db, "SELECT max(number) FROM device", &last, err);
    out->device.number = (uint32_t)last + 1;
    out->device.incarnation = 1;
    tz_who_copy(out->device.name, sizeof out->device.name, inv->name);
    tz_who_copy(out->device.role, sizeof out->device.role, inv->role);
    tz_who_copy(out->device.area, sizeof out->device.area, inv->area);
    if (!rc)
        rc = sign(sign_ctx, out->device.number, csr, &out->certificate, fp, err);
    if (!rc)
        rc = first_user(s, inv, &out->user, err);
    if (!rc)
        rc = device_put(s, out, fp, err);
    if (!rc)
        rc = invite_used(s, inv, out->device.number, key_hash, err);
    if (!rc)
        rc = tz_journal_note(s, TZ_JOURNAL_DEVICE, tz_value_int(out->device.number), err);
    if (!rc)
        rc = tz_journal_note(s, TZ_JOURNAL_INVITE, tz_value_blob(inv->secret_hash, sizeof inv->secret_hash), err);
    return rc ? rc : tz_audit_add(s, "enrol", tz_bytes_str(inv->name), err);
}

int tz_store_enrol(struct tz_store *s, struct tz_bytes secret, struct tz_bytes csr, const uint8_t csr_key_hash[32],
                   tz_sign_fn sign, void *sign_ctx, struct tz_enrolment *out, struct tz_err *err)
{
    struct invite inv;
    memset(out, 0, sizeof *out);
    tz_buf_init(&out->certificate, 64 * 1024);
    int rc = invite_get(s, secret, &inv, err);
    if (rc == 0)
        rc = tz_err_set(err, TZ_E_INVITE, NULL, NULL, NULL, NULL);
    else if (rc == 1 && inv.device)
        rc = memcmp(inv.key_hash, csr_key_hash, sizeof inv.key_hash) == 0
                 ? enrol_again(s, &inv, out, err)
                 : tz_err_set(err, TZ_E_INVITE, NULL, NULL, NULL, NULL);
    else if (rc == 1)
        rc = enrol_new(s, &inv, csr, csr_key_hash, sign, sign_ctx, out, err);
    return rc;
}
