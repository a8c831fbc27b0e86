/* SPDX-License-Identifier: Apache-2.0 */
/* The records that people work on, and values for them. Every text carries a marker with the number of its record, so
 * that a leak shows. */
#include "set.h"
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- records ---- */

unsigned sim_record_add(struct sim *w, const struct tz_type *t, struct tz_id id, unsigned maker)
{
    if (w->nrecords == w->records_cap) {
        w->records_cap = w->records_cap ? w->records_cap * 2 : 128;
        w->records = realloc(w->records, w->records_cap * sizeof *w->records);
        if (!w->records)
            abort();
    }
    w->records[w->nrecords] = (struct sim_record){.type = t, .id = id, .maker = maker};
    return (unsigned)w->nrecords++;
}

const struct sim_record *sim_pick(struct sim *w, struct sim_rng *r, const char *type)
{
    for (int tries = 0; tries < 12 && w->nrecords; tries++) {
        size_t top = sim_chance(r, 50) ? 4 : sim_chance(r, 50) ? 12 : w->nrecords;
        if (top > w->nrecords)
            top = w->nrecords;
        const struct sim_record *x = &w->records[sim_below(r, top)];
        if (!tz_id_is_zero(x->id) && (!type || strcmp(x->type->name, type) == 0))
            return x;
    }
    return NULL;
}

const struct sim_record *sim_pick_of(struct sim *w, struct sim_rng *r, const char *type)
{
    const struct sim_record *found[3];
    size_t n = 0;
    for (size_t i = 0; i < w->nrecords && n < 3; i++)
        if (!tz_id_is_zero(w->records[i].id) && strcmp(w->records[i].type->name, type) == 0)
            found[n++] = &w->records[i];
    return n ? found[sim_below(r, n)] : NULL;
}

/* ---- values ---- */

static struct tz_value text(struct tz_arena *a, const char *s)
{
    return tz_value_text(tz_arena_strdup(a, s));
}

static struct tz_value some_ref(struct sim *w, struct sim_rng *r, const struct tz_field *f, struct tz_arena *a)
{
    if (f->ref && strcmp(f->ref->name, "user") == 0) {
        struct tz_id *id = tz_arena_dup(a, &w->tpl->devices[sim_below(r, w->tpl->ndevices)].users[0], sizeof *id);
        return tz_value_blob(id->b, TZ_ID_BYTES);
    }
    const struct sim_record *x = f->ref ? sim_pick(w, r, f->ref->name) : NULL;
    if (!x)
        return tz_value_null();
    struct tz_id *id = tz_arena_dup(a, &x->id, sizeof *id);
    return tz_value_blob(id->b, TZ_ID_BYTES);
}

static struct tz_value some_code(struct sim_rng *r, const struct tz_field *f, struct tz_arena *a)
{
    static const char *const D[] = {"120101", "120102", "120103"};
    static const char *const S[] = {"120101001", "120101002", "120102001", "120103001"};
    if (f->limit == 6)
        return text(a, D[sim_below(r, 3)]);
    return text(a, S[sim_below(r, 4)]);
}

/** At least one of the choices: an empty set is an empty field. */
static struct tz_value some_set(struct sim_rng *r, const struct tz_field *f, struct tz_arena *a)
{
    struct tz_value v = tz_value_null();
    size_t first = sim_below(r, f->en->nvalues);
    for (size_t i = 0; i < f->en->nvalues; i++) {
        struct tz_bytes code = tz_bytes_str(f->en->values[i].code);
        if ((i == first || sim_chance(r, 40)) && tz_set_put(v, &code, 1, true, a, &v))
            abort();
    }
    return v;
}

struct tz_value sim_value(struct sim *w, struct sim_rng *r, const struct tz_field *f, struct tz_arena *a,
                          unsigned record)
{
    static const char *const DATES[] = {"2016", "2016-12", "2016-12-31", "2017", "2017-03", "2017-03-01", "2017-03-05"};
    char s[64];
    if (strcmp(f->name, "usci") == 0) { /* few firms: people meet in them. No marker, whoever knows it */
        (void)snprintf(s, sizeof s, "91120101MA0T%05dX%d", 0, (int)sim_below(r, 9));
        s[18] = '\0';
        return text(a, s);
    }
    if (strcmp(f->name, "name") == 0 && sim_chance(r, 35)) /* the same firm, written down twice */
        return text(a, sim_chance(r, 50) ? "同一（家）公司" : "同一(家) 公司");
    switch (f->ftype) {
    case TZ_FT_ENUM:
        return text(a, f->en->values[sim_below(r, f->en->nvalues)].code);
    case TZ_FT_CODE:
        return some_code(r, f, a);
    case TZ_FT_STR:
    case TZ_FT_TEXT:
    case TZ_FT_SECRET:
        (void)snprintf(s, sizeof s, "MK%06u%04x%c", record, sim_marker_check(record), (char)('A' + sim_below(r, 4)));
        return text(a, s);
    case TZ_FT_DATE:
        return text(a, DATES[sim_below(r, sizeof DATES / sizeof *DATES)]);
    case TZ_FT_BOOL:
        return tz_value_int((int64_t)sim_below(r, 2));
    case TZ_FT_INT:
    case TZ_FT_DEC1:
    case TZ_FT_MONEY:
    case TZ_FT_INSTANT:
        return tz_value_int((int64_t)sim_below(r, 5));
    case TZ_FT_REF:
        return some_ref(w, r, f, a);
    case TZ_FT_DIGEST:
        return tz_value_blob(tz_arena_calloc(a, 1, 32), 32);
    case TZ_FT_JSON:
        return text(a, "{}");
    case TZ_FT_SET:
        return some_set(r, f, a);
    case TZ_FT_REF_ANY:
    case TZ_FT_REFS:
        break;
    }
    return tz_value_null();
}

int sim_record_number(const struct sim *w, struct tz_id id)
{
    for (size_t i = 0; i < w->nrecords; i++)
        if (tz_id_eq(w->records[i].id, id))
            return (int)i;
    return -1;
}
