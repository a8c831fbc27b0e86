/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redirects are records like any other (type `redirect`, key old_id), and flat: one step leads to the survivor. One
 * that lies outside this device's areas is not here, and then the old id leads nowhere.
 */
#include "redirect.h"

#include "office_int.h"

#include <string.h>

struct follow {
    const struct tz_type *type;
    struct tz_id id;
    bool found;
};

static int take(void *ctx, const struct tz_row *row)
{
    struct follow *f = ctx;
    const struct tz_field *type = tz_type_field(row->rec.type, "target_type");
    const struct tz_field *id = tz_type_field(row->rec.type, "target_id");
    if (!type || !id || !tz_value_is_text(row->rec.v[type->index], f->type->name) ||
        row->rec.v[id->index].n != TZ_ID_BYTES)
        return 1;
    memcpy(f->id.b, row->rec.v[id->index].p, TZ_ID_BYTES);
    f->found = true;
    return 0;
}

int tz_redirect_follow(struct tz_office *o, const struct tz_type *t, struct tz_id *id, struct tz_err *err)
{
    const struct tz_type *redirect = tz_catalogue_type(o->cat, "redirect");
    const struct tz_field *old = redirect ? tz_type_field(redirect, "old_id") : NULL;
    struct follow f = {.type = t};
    char hex[TZ_ID_HEX + 1];
    if (!old)
        return 0;
    tz_id_print(*id, hex);
    int rc = tz_replica_find(o->rep, old, redirect, tz_value_text(hex), take, &f, err);
    if (rc < 0 || !f.found)
        return rc < 0 ? rc : 0;
    *id = f.id;
    return 1;
}
