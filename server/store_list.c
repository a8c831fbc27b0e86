/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists for the administrator: users with what they may do.
 */
#include "store_int.h"

#include <string.h>

static void copy_text(char *out, size_t cap, const char *in)
{
    size_t n = in ? strnlen(in, cap - 1) : 0;
    if (n)
        memcpy(out, in, n);
    out[n] = '\0';
}

/* ---- users ---- */

static int user_name(struct tz_store *s, struct tz_user *u, struct tz_arena *a, struct tz_err *err)
{
    const struct tz_field *f = tz_type_field(s->user_type, "name");
    struct tz_row *row = tz_arena_alloc(a, sizeof *row);
    if (!row)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    int rc = tz_replica_get(s->rep, s->user_type, u->id, a, row, err);
    struct tz_value v = rc == 1 && f ? row->rec.v[f->index] : tz_value_null();
    copy_text(u->name, sizeof u->name, v.kind == TZ_V_TEXT ? tz_arena_dup(a, v.p, v.n) : u->code);
    return rc < 0 ? rc : 0;
}

int tz_store_users(struct tz_store *s, int (*cb)(void *ctx, const struct tz_user *u), void *ctx, struct tz_err *err)
{
    struct tz_stmt st = {0};
    struct tz_arena a;
    struct tz_user u;
    int rc = tz_db_prepare(s->db, &st, "SELECT user,code,role,area,active FROM user_grant ORDER BY code", err);
    tz_arena_init(&a, 4 * TZ_ROW_BYTES_MAX);
    while (!rc && (rc = tz_stmt_step(&st, err)) == 1) {
        tz_stmt_id(&st, 0, &u.id);
        copy_text(u.code, sizeof u.code, tz_stmt_text(&st, 1));
        copy_text(u.role, sizeof u.role, tz_stmt_text(&st, 2));
        copy_text(u.area, sizeof u.area, tz_stmt_text(&st, 3));
        u.active = tz_stmt_int(&st, 4) != 0;
        tz_arena_reset(&a);
        rc = user_name(s, &u, &a, err);
        int go = rc ? rc : cb(ctx, &u);
        rc = go > 0 ? 0 : go;
        if (go <= 0)
            break;
    }
    tz_arena_deinit(&a);
    tz_stmt_finalize(&st);
    return rc;
}
