/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The administrator's changes, each in the group that the caller opened. Reading commands are not here: they read the
 * database beside the server and need nobody's permission.
 */
#include "admin.h"

#include "addr.h"
#include "hash.h"
#include "invite.h"
#include "reason.h"

#include <string.h>

static const char *text_of(const json_t *o, const char *key)
{
    const char *v = json_string_value(json_object_get(o, key));
    return v ? v : "";
}

static int missing(struct tz_err *err, const char *key)
{
    return tz_err_setf(err, TZ_E_USAGE, "--%s", key);
}

/** All of @keys must be there and not empty. */
static int need(const json_t *o, const char *const *keys, struct tz_err *err)
{
    for (; *keys; keys++)
        if (text_of(o, *keys)[0] == '\0')
            return missing(err, *keys);
    return 0;
}

bool tz_admin_address_usable(const char *address)
{
    struct tz_addr a;
    return !tz_addr_parse(address, &a, NULL) && a.port != 0 && strcmp(a.host, "0.0.0.0") != 0 &&
           strcmp(a.host, "::") != 0;
}

/* ---- commands ---- */

static int invite(struct tz_store *s, const struct tz_admin_env *env, const json_t *q, struct tz_admin_outcome *out,
                  struct tz_err *err)
{
    static const char *const keys[] = {"role", "area", "name", NULL};
    struct tz_invite_spec spec = {text_of(q, "role"), text_of(q, "area"), text_of(q, "name")};
    const char *address = text_of(q, "address")[0] ? text_of(q, "address") : env->address;
    struct tz_invite in = {0};
    char code[TZ_INVITE_CODE_BYTES];
    int rc = need(q, keys, err);
    if (rc)
        return rc;
    if (!tz_admin_address_usable(address))
        return tz_err_setf(err, TZ_E_USAGE, "--address HOST:PORT (%s)", address);
    size_t n = strlen(address);
    if (n >= sizeof in.address)
        return tz_err_set(err, TZ_E_ADDRESS, address, NULL, NULL, NULL);
    memcpy(in.address, address, n + 1);
    memcpy(in.pin, env->pin, sizeof in.pin);
    rc = tz_store_invite_add(s, &spec, in.secret, err);
    if (!rc && (rc = tz_invite_encode(&in, code)) != 0)
        (void)tz_err_set(err, rc, NULL, NULL, NULL, NULL);
    if (!rc)
        out->reply = json_pack("{s:s,s:s,s:s,s:s,s:s}", "code", code, "name", spec.name, "role", spec.role, "area",
                               spec.area, "address", address);
    tz_secret_zero(&in, sizeof in);
    tz_secret_zero(code, sizeof code);
    return rc;
}

static int device_revoke(struct tz_store *s, const struct tz_admin_env *env, const json_t *q,
                         struct tz_admin_outcome *out, struct tz_err *err)
{
    static const char *const keys[] = {"name", NULL};
    struct tz_device d;
    (void)env;
    int rc = need(q, keys, err);
    if (rc)
        return rc;
    int found = tz_store_device_by_name(s, text_of(q, "name"), &d, err);
    if (found <= 0)
        return found < 0 ? found : tz_err_set(err, TZ_E_NOT_FOUND, text_of(q, "name"), NULL, NULL, NULL);
    rc = d.revoked ? 0 : tz_store_device_revoke(s, d.number, err);
    if (rc)
        return rc;
    out->cut = d.number;
    out->reply = json_pack("{s:i,s:s,s:b}", "device", (int)d.number, "name", d.name, "revoked", 1);
    return 0;
}

/** "2017-03-31": the day that is the last one, at UTC+8. "none": open. Nothing said: as it was, unless that is past. */
static int last_day(const char *text, int64_t was_ms, int64_t *until_ms, struct tz_err *err)
{
    static const int64_t DAY_MS = INT64_C(24) * 3600 * 1000;
    const struct tz_field day = {.name = "until", .ftype = TZ_FT_INSTANT};
    struct tz_value v;
    struct tz_arena a;
    *until_ms = text[0] == '\0' && was_ms > tz_clock_wall(&tz_clock_system).ms ? was_ms : 0;
    if (text[0] == '\0' || strcmp(text, "none") == 0)
        return 0;
    tz_arena_init(&a, 4096);
    int rc = strlen(text) == 10 ? tz_value_parse(&day, text, &a, &v, err)
                                : tz_err_set(err, TZ_E_VALUE, "--until", text, "2027-03-31, none", NULL);
    tz_arena_deinit(&a);
    if (!rc)
        *until_ms = v.i + DAY_MS;
    return rc;
}

static int device_grant(struct tz_store *s, const struct tz_admin_env *env, const json_t *q,
                        struct tz_admin_outcome *out, struct tz_err *err)
{
    static const char *const keys[] = {"name", NULL};
    struct tz_device d;
    int64_t until_ms = 0;
    (void)env;
    int rc = need(q, keys, err);
    if (!rc && !text_of(q, "role")[0] && !text_of(q, "area")[0] && !text_of(q, "until")[0])
        rc = missing(err, "area");
    if (rc)
        return rc;
    int found = tz_store_device_by_name(s, text_of(q, "name"), &d, err);
    if (found <= 0)
        return found < 0 ? found : tz_err_set(err, TZ_E_NOT_FOUND, text_of(q, "name"), NULL, NULL, NULL);
    rc = last_day(text_of(q, "until"), d.until_ms, &until_ms, err);
    if (!rc)
        rc = tz_store_device_grant(s, d.number, text_of(q, "role"), text_of(q, "area"), until_ms, err);
    if (!rc)
        rc = tz_store_device_by_number(s, d.number, &d, err);
    if (rc != 1)
        return rc;
    out->cut = d.number;
    out->rows = true;
    out->reply = json_pack("{s:i,s:s,s:s,s:s,s:I}", "device", (int)d.number, "name", d.name, "role", d.role, "area",
                           d.area, "until_ms", (json_int_t)d.until_ms);
    return 0;
}

static int user_grant(struct tz_store *s, const struct tz_admin_env *env, const json_t *q, struct tz_admin_outcome *out,
                      struct tz_err *err)
{
    static const char *const keys[] = {"code", "role", "area", NULL};
    (void)env;
    int rc = need(q, keys, err);
    if (!rc)
        rc = tz_store_user_grant(s, text_of(q, "code"), text_of(q, "role"), text_of(q, "area"), err);
    if (rc)
        return rc;
    out->rows = true;
    out->reply =
        json_pack("{s:s,s:s,s:s}", "code", text_of(q, "code"), "role", text_of(q, "role"), "area", text_of(q, "area"));
    return 0;
}

static int user_add(struct tz_store *s, const struct tz_admin_env *env, const json_t *q, struct tz_admin_outcome *out,
                    struct tz_err *err)
{
    static const char *const keys[] = {"code", "name", "role", "area", NULL};
    struct tz_id id;
    char hex[TZ_ID_HEX + 1];
    (void)env;
    int rc = need(q, keys, err);
    if (!rc)
        rc = tz_store_user_add(s, text_of(q, "code"), text_of(q, "name"), text_of(q, "role"), text_of(q, "area"), &id,
                               err);
    if (rc)
        return rc;
    if (text_of(q, "unit")[0] && (rc = tz_store_user_unit(s, text_of(q, "code"), text_of(q, "unit"), err)) != 0)
        return rc;
    tz_id_print(id, hex);
    out->rows = true;
    out->reply = json_pack("{s:s,s:s,s:s,s:s,s:s}", "id", hex, "code", text_of(q, "code"), "name", text_of(q, "name"),
                           "role", text_of(q, "role"), "area", text_of(q, "area"));
    return 0;
}

static int user_unit(struct tz_store *s, const struct tz_admin_env *env, const json_t *q, struct tz_admin_outcome *out,
                     struct tz_err *err)
{
    static const char *const keys[] = {"code", "unit", NULL};
    (void)env;
    int rc = need(q, keys, err);
    if (!rc)
        rc = tz_store_user_unit(s, text_of(q, "code"), text_of(q, "unit"), err);
    if (rc)
        return rc;
    out->rows = true;
    out->reply = json_pack("{s:s,s:s}", "code", text_of(q, "code"), "unit", text_of(q, "unit"));
    return 0;
}

static int user_disable(struct tz_store *s, const struct tz_admin_env *env, const json_t *q,
                        struct tz_admin_outcome *out, struct tz_err *err)
{
    static const char *const keys[] = {"code", NULL};
    (void)env;
    int rc = need(q, keys, err);
    if (!rc)
        rc = tz_store_user_disable(s, text_of(q, "code"), err);
    if (rc)
        return rc;
    out->rows = true;
    out->reply = json_pack("{s:s,s:b}", "code", text_of(q, "code"), "active", 0);
    return 0;
}

/** What waits or is held of a device: one save, or all of them in their order. */
struct settling {
    uint32_t device;
    struct {
        uint32_t incarnation; /* 0 = not said */
        uint64_t seq;
    } save[512];
    size_t n, more;    /* more: beyond that */
    uint64_t recovers; /* one that is judged by itself, as the others hand theirs in again; 0 none */
};

static void note_save(struct settling *x, uint32_t incarnation, uint64_t seq)
{
    x->save[x->n].incarnation = incarnation;
    x->save[x->n++].seq = seq;
}

static int note_seq(void *ctx, const struct tz_backlog_entry *e)
{
    struct settling *x = ctx;
    if (e->device != x->device)
        return 1;
    if (e->recovers)
        x->recovers = e->seq;
    else if (x->n < sizeof x->save / sizeof *x->save)
        note_save(x, e->incarnation, e->seq);
    else
        x->more++;
    return 1;
}

static int backlog_settle(struct tz_store *s, const json_t *q, bool judge, struct tz_admin_outcome *out,
                          struct tz_err *err)
{
    static const char *const keys[] = {"name", "reason", NULL};
    struct settling x = {.n = 0};
    struct tz_device d;
    uint64_t counts[8] = {0};
    uint64_t copies = 0;
    json_int_t one = json_integer_value(json_object_get(q, "seq"));
    int rc = need(q, keys, err);
    if (!rc)
        rc = tz_reason_check(text_of(q, "reason"), err);
    if (rc)
        return rc;
    int found = tz_store_device_by_name(s, text_of(q, "name"), &d, err);
    if (found <= 0)
        return found < 0 ? found : tz_err_set(err, TZ_E_NOT_FOUND, text_of(q, "name"), NULL, NULL, NULL);
    x.device = d.number;
    if (one > 0)
        note_save(&x, (uint32_t)json_integer_value(json_object_get(q, "incarnation")), (uint64_t)one);
    else
        rc = tz_store_backlog(s, note_seq, &x, err);
    if (!rc && x.n == 0)
        rc = tz_err_set(err, x.recovers ? TZ_E_RECOVERING : TZ_E_NOT_FOUND, text_of(q, "name"), NULL, NULL, NULL);
    for (size_t i = 0; i < x.n && !rc; i++) {
        enum tz_outcome o = TZ_OUT_NONE;
        rc = tz_store_backlog_settle(s, d.number, x.save[i].incarnation, x.save[i].seq, judge, text_of(q, "reason"), &o,
                                     err);
        bool copied = rc == TZ_E_COPY_HELD || rc == TZ_E_COPY_GONE;
        copies += copied && one <= 0;
        if (one <= 0 && (copied || (rc == TZ_E_NOT_FOUND && i))) /* NOT_FOUND: an earlier one of this run released it */
            rc = 0;
        else if (!rc && (unsigned)o < 8)
            counts[o]++;
    }
    out->rows = true;
    out->cut = rc ? 0 : d.number;
    if (!rc)
        out->reply =
            json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "name", d.name, "applied",
                      (json_int_t)(counts[TZ_OUT_APPLIED] + counts[TZ_OUT_SUPERSEDED]), "refused",
                      (json_int_t)counts[TZ_OUT_REFUSED], "under_review", (json_int_t)counts[TZ_OUT_UNDER_REVIEW],
                      "put_away", (json_int_t)counts[TZ_OUT_WITHDRAWN], "copies", (json_int_t)copies, "more",
                      (json_int_t)x.more, "saves", (json_int_t)x.n);
    return rc;
}

static int backlog_apply(struct tz_store *s, const struct tz_admin_env *env, const json_t *q,
                         struct tz_admin_outcome *out, struct tz_err *err)
{
    (void)env;
    return backlog_settle(s, q, true, out, err);
}

static int backlog_discard(struct tz_store *s, const struct tz_admin_env *env, const json_t *q,
                           struct tz_admin_outcome *out, struct tz_err *err)
{
    (void)env;
    return backlog_settle(s, q, false, out, err);
}

static int restore_close(struct tz_store *s, const struct tz_admin_env *env, const json_t *q,
                         struct tz_admin_outcome *out, struct tz_err *err)
{
    (void)env;
    (void)q;
    int rc = tz_store_recovery_close(s, err);
    if (rc)
        return rc;
    out->recovery_closed = true;
    out->reply = json_pack("{s:b}", "recovery_open", 0);
    return 0;
}

static int purge(struct tz_store *s, const struct tz_admin_env *env, const json_t *q, struct tz_admin_outcome *out,
                 struct tz_err *err)
{
    struct tz_purge_done done;
    tz_ver horizon = 0;
    bool more = false;
    (void)q;
    int rc = tz_store_purge(s, &env->purge, &done, &more, err);
    if (!rc)
        rc = tz_store_horizon(s, &horizon, err);
    out->rows = !rc && done.cases > 0;
    if (!rc)
        out->reply =
            json_pack("{s:I,s:I,s:I,s:I,s:b}", "records", (json_int_t)done.records, "leaving", (json_int_t)done.leaving,
                      "cases", (json_int_t)done.cases, "horizon", (json_int_t)horizon, "more", (int)more);
    return rc;
}

/** What a folder of backups holds now. */
static int backups_kept(struct tz_store *s, const struct tz_admin_env *env, const json_t *q,
                        struct tz_admin_outcome *out, struct tz_err *err)
{
    enum { EPOCHS_MAX = 256 };
    static const char *const keys[] = {"folder", NULL};
    struct tz_backup_state held[EPOCHS_MAX];
    const json_t *states = json_object_get(q, "states");
    size_t n = json_array_size(states);
    tz_ver upto = 0;
    (void)env;
    int rc = need(q, keys, err);
    if (!rc && n > EPOCHS_MAX)
        rc = tz_err_set(err, TZ_E_LIMIT, "states", NULL, NULL, NULL);
    for (size_t i = 0; i < n && !rc; i++) {
        const json_t *state = json_array_get(states, i);
        held[i] = (struct tz_backup_state){(uint32_t)json_integer_value(json_array_get(state, 0)),
                                           (tz_ver)json_integer_value(json_array_get(state, 1))};
    }
    if (!rc)
        rc = tz_store_backups_told(s, text_of(q, "folder"), held, n,
                                   (unsigned)json_integer_value(json_object_get(q, "kept")), err);
    if (!rc)
        rc = tz_store_compact_upto(s, &upto, err);
    if (!rc)
        out->reply = json_pack("{s:s,s:I}", "folder", text_of(q, "folder"), "compact_upto", (json_int_t)upto);
    return rc;
}

int tz_admin_run(struct tz_store *s, const struct tz_admin_env *env, const json_t *request,
                 struct tz_admin_outcome *out, struct tz_err *err)
{
    static const struct {
        const char *name;
        int (*run)(struct tz_store *, const struct tz_admin_env *, const json_t *, struct tz_admin_outcome *,
                   struct tz_err *);
    } commands[] = {{"invite", invite},
                    {"device revoke", device_revoke},
                    {"device grant", device_grant},
                    {"user grant", user_grant},
                    {"backlog apply", backlog_apply},
                    {"backlog discard", backlog_discard},
                    {"user add", user_add},
                    {"user unit", user_unit},
                    {"user disable", user_disable},
                    {"restore close", restore_close},
                    {"backups kept", backups_kept},
                    {"purge", purge}};
    const char *name = text_of(request, "command");
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(name, commands[i].name) != 0)
            continue;
        int rc = commands[i].run(s, env, request, out, err);
        if (!rc && !out->reply) /* jansson could not make it: no memory, or text that is not UTF-8 */
            rc = tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
        return rc;
    }
    return tz_err_set(err, TZ_E_USAGE, name, NULL, NULL, NULL);
}

/* ---- errors over the control socket ---- */

json_t *tz_admin_error_json(const struct tz_err *err)
{
    json_t *args = json_array();
    for (unsigned i = 0; i < err->nargs; i++)
        (void)json_array_append_new(args, json_string(err->args[i]));
    return json_pack("{s:{s:i,s:o,s:s}}", "error", "number", -err->code, "args", args, "trail", err->trail);
}

int tz_admin_error_read(const json_t *reply, struct tz_err *err)
{
    const json_t *e = json_object_get(reply, "error");
    const char *arg[TZ_ERR_ARGS_MAX] = {NULL};
    json_int_t number = json_integer_value(json_object_get(e, "number"));
    if (!json_is_object(e))
        return 0;
    for (size_t i = 0; i < TZ_ERR_ARGS_MAX; i++)
        arg[i] = json_string_value(json_array_get(json_object_get(e, "args"), i));
    int code = number > 0 && number < 100000 && tz_err_known(-(int)number) ? -(int)number : TZ_E_INTERNAL;
    (void)tz_err_set(err, code, arg[0], arg[1], arg[2], arg[3]);
    const char *trail = text_of(e, "trail");
    if (trail[0])
        (void)tz_err_prefix(err, "%s", trail);
    return code;
}
