/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unit a user acts for: a field of the user's record, which everybody receives. Without one a user acts for the
 * committee of his district (common/db/event_rule.h). A who-change: it is in the journal, so that a restore keeps it.
 */
#include "store_int.h"

#include <string.h>

static int take_id(void *ctx, const struct tz_row *row)
{
    *(struct tz_id *)ctx = row->id;
    return 0;
}

/** The record of @type with this code: 1, 0 none. */
static int by_code(struct tz_store *s, const char *type, const char *code, struct tz_id *out, struct tz_err *err)
{
    const struct tz_type *t = tz_catalogue_type(s->cat, type);
    *out = (struct tz_id){{0}};
    int rc = tz_replica_find(s->rep, tz_type_field(t, "code"), t, tz_value_text(code), take_id, out, err);
    return rc ? rc : !tz_id_is_zero(*out);
}

int tz_who_put_unit(struct tz_store *s, struct tz_id user, const struct tz_id *unit, struct tz_err *err)
{
    struct tz_arena a;
    tz_ver ver = 0;
    tz_arena_init(&a, 256 * 1024);
    struct tz_row *row = tz_arena_alloc(&a, sizeof *row);
    struct tz_row *old = tz_arena_alloc(&a, sizeof *old);
    int rc = row && old ? tz_replica_get(s->rep, s->user_type, user, &a, old, err)
                        : tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    if (rc == 1)
        rc = tz_store_own_commit(s, &ver, err);
    else
        rc = rc < 0 ? rc : tz_err_set(err, TZ_E_INTERNAL, "user", NULL, NULL, NULL);
    if (!rc) {
        *row = *old;
        row->rec.v[tz_type_field(s->user_type, "unit")->index] =
            unit ? tz_value_blob(unit->b, TZ_ID_BYTES) : tz_value_null();
        rc = tz_rows_put(s, row, old, ver, &a, err);
    }
    tz_arena_deinit(&a);
    return rc;
}

int tz_store_user_unit(struct tz_store *s, const char *code, const char *unit, struct tz_err *err)
{
    struct tz_id user;
    struct tz_id to;
    int rc = by_code(s, "user", code, &user, err);
    if (rc == 0)
        rc = tz_err_set(err, TZ_E_NOT_FOUND, code, NULL, NULL, NULL);
    else if (rc == 1)
        rc = by_code(s, "unit", unit, &to, err);
    if (rc == 0)
        rc = tz_err_set(err, TZ_E_VALUE, "unit", unit, "taizhang list unit", NULL);
    if (rc == 1)
        rc = tz_who_put_unit(s, user, &to, err);
    if (!rc)
        rc = tz_journal_note(s, TZ_JOURNAL_UNIT, tz_value_blob(user.b, TZ_ID_BYTES), err);
    return rc ? rc : tz_audit_add(s, "user unit", tz_bytes_str(code), err);
}
