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
    w->records[w->nrecords] = (struct sim_record){.type = t, .maker = maker};
    unsigned number = (unsigned)w->nrecords++;
    if (!tz_id_is_zero(id))
        sim_record_is(w, number, id);
    return number;
}

static uint32_t *slot_of(struct sim *w, struct tz_id id)
{
    uint64_t h = 14695981039346656037U;
    for (size_t i = 0; i < TZ_ID_BYTES; i++)
        h = (h ^ id.b[i]) * 1099511628211U;
    return &w->record_slots[(h ^ h >> 23) % (sizeof w->record_slots / sizeof *w->record_slots)];
}

void sim_record_is(struct sim *w, unsigned number, struct tz_id id)
{
    uint32_t *slot = slot_of(w, id);
    w->records[number].id = id;
    w->records[number].next = *slot;
    *slot = number + 1;
}

static struct sim_record *match(struct sim *w, uint32_t at, struct tz_id id)
{
    while (at && !tz_id_eq(w->records[at - 1].id, id))
        at = w->records[at - 1].next;
    return at ? &w->records[at - 1] : NULL;
}

struct sim_record *sim_record_of(struct sim *w, struct tz_id id)
{
    return match(w, *slot_of(w, id), id);
}

struct sim_record *sim_record_next(struct sim *w, const struct sim_record *r)
{
    return match(w, r->next, r->id);
}

const struct sim_record *sim_pick(struct sim *w, struct sim_rng *r, const char *type)
{
    for (int tries = 0; tries < 12 && w->nrecords; tries++) {
        size_t hot = 4 + w->opt.ops / 500; /* more people, more firms that several know */
        size_t top = sim_chance(r, 50) ? hot : sim_chance(r, 50) ? 3 * hot : w->nrecords;
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
        unsigned firm = (unsigned)sim_below(r, 9);
        unsigned block = w->opt.ops ? (unsigned)sim_below(r, 1 + w->opt.ops / 20) : 0;
        (void)snprintf(s, sizeof s, "91120101MA0T%05uX%u", block, firm);
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
    int first = -1;
    struct sim *x = (struct sim *)(uintptr_t)w;
    for (const struct sim_record *r = sim_record_of(x, id); r; r = sim_record_next(x, r))
        first = (int)(r - w->records); /* newest first */
    return first;
}
