/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three area rules of the catalogue: city, own codes, the parent's area. A parent that belongs to the whole city
 * may still name a district, and then its dependants lie there.
 *
 * Reads the replica, writes nothing. Who may write into the area found is the callers' business.
 */
#include "area_rule.h"

#include <string.h>

const struct tz_type *tz_area_ref_type(const struct tz_catalogue *cat, const struct tz_record *rec,
                                       const struct tz_field *f)
{
    char name[TZ_NAME_MAX + 1];
    if (f->ref)
        return f->ref;
    struct tz_value v = rec->v[f->any_type_field];
    if (v.kind != TZ_V_TEXT || v.n > TZ_NAME_MAX)
        return NULL;
    memcpy(name, v.p, v.n);
    name[v.n] = '\0';
    return tz_catalogue_type(cat, strcmp(name, "district") == 0 ? "division" : name);
}

static bool digits(struct tz_value v, size_t n)
{
    if (v.kind != TZ_V_TEXT || v.n != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (v.p[i] < '0' || v.p[i] > '9')
            return false;
    return true;
}

static int own_area(const struct tz_record *rec, struct tz_area *out)
{
    struct tz_value none = tz_value_null();
    struct tz_value d = rec->type->district_field >= 0 ? rec->v[rec->type->district_field] : none;
    struct tz_value s = rec->type->street_field >= 0 ? rec->v[rec->type->street_field] : none;
    if ((d.kind != TZ_V_NULL && !digits(d, 6)) || (s.kind != TZ_V_NULL && !digits(s, 9)))
        return 0;
    if (d.kind != TZ_V_NULL)
        memcpy(out->district, d.p, 6);
    else if (s.kind != TZ_V_NULL) /* a street implies its district */
        memcpy(out->district, s.p, 6);
    if (s.kind != TZ_V_NULL && memcmp(s.p, out->district, 6) == 0)
        memcpy(out->street, s.p, 9);
    return 1;
}

/** A city-wide parent may still name a district: a district committee, a division. */
static void area_of_city_row(const struct tz_row *parent, struct tz_area *out)
{
    const struct tz_field *f = tz_type_field(parent->rec.type, "district_code");
    if (!f && strcmp(parent->rec.type->name, "division") == 0)
        f = tz_type_field(parent->rec.type, "code");
    struct tz_value v = f ? parent->rec.v[f->index] : tz_value_null();
    if (v.kind != TZ_V_TEXT || v.n < 6 || memcmp((const char *)v.p + 2, "0000", 4) == 0)
        return;
    memcpy(out->district, v.p, 6);
    if (v.n == 9)
        memcpy(out->street, v.p, 9);
}

static int parent_area(struct tz_replica *rep, const struct tz_record *rec, struct tz_arena *a, struct tz_area *out,
                       struct tz_err *err)
{
    const struct tz_field *f = &rec->type->fields[rec->type->area_field];
    const struct tz_type *t = tz_area_ref_type(tz_replica_catalogue(rep), rec, f);
    struct tz_value v = rec->v[f->index];
    struct tz_id id;
    if (!t || v.kind != TZ_V_BLOB || v.n != TZ_ID_BYTES)
        return 0;
    memcpy(id.b, v.p, TZ_ID_BYTES);
    struct tz_row *parent = tz_arena_alloc(a, sizeof *parent);
    if (!parent)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    int rc = tz_replica_get(rep, t, id, a, parent, err);
    if (rc <= 0)
        return rc;
    *out = parent->area;
    if (t->area == TZ_AREA_CITY)
        area_of_city_row(parent, out);
    return 1;
}

int tz_area_of(struct tz_replica *rep, const struct tz_record *rec, struct tz_arena *a, struct tz_area *out,
               struct tz_err *err)
{
    memset(out, 0, sizeof *out);
    switch (rec->type->area) {
    case TZ_AREA_CITY:
        return 1;
    case TZ_AREA_PARENT:
        return parent_area(rep, rec, a, out, err);
    case TZ_AREA_OWN:
    default:
        return own_area(rec, out);
    }
}
