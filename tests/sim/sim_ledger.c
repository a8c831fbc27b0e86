/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ledger items: opened about organisations, and moved by steps, most of which somebody could take at that moment; some
 * were meant for a state that has passed, or are nobody's right.
 */
#include "sim.h"

#include <string.h>

static const struct tz_type *item_type(const struct sim *w)
{
    return tz_catalogue_type(w->cat, "ledger_item");
}

static void set(struct tz_record *in, const char *field, struct tz_value v)
{
    in->v[tz_type_field(in->type, field)->index] = v;
}

static struct tz_value id_value(struct tz_arena *a, struct tz_id id)
{
    return tz_value_blob(tz_arena_dup(a, id.b, TZ_ID_BYTES), TZ_ID_BYTES);
}

/** The committee of the district that @code lies in; now and then another one. */
static struct tz_value some_unit(struct sim *w, struct sim_rng *r, const char *code, struct tz_arena *a)
{
    size_t n = 0;
    const struct oracle_row *const *v = oracle_changed(w->oracle, 0, &n);
    const struct oracle_row *found = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct tz_type *t = v[i]->type;
        if (strcmp(t->name, "unit") != 0)
            continue;
        struct tz_value d = v[i]->v[tz_type_field(t, "district_code")->index];
        bool here = d.kind == TZ_V_TEXT && strncmp((const char *)d.p, code, 6) == 0;
        if (!found || here || sim_chance(r, 5))
            found = v[i];
        if (here)
            break;
    }
    return found ? id_value(a, found->id) : tz_value_null();
}

/** Some live record of the type, one of the first few in the district of @area, mostly; NULL none. */
static const struct sim_record *some(struct sim *w, struct sim_rng *r, const char *type, const char *area)
{
    const struct sim_record *found = NULL;
    bool anywhere = strcmp(area, "120000") == 0 || sim_chance(r, 4);
    size_t seen = 0;
    for (size_t i = 0; i < w->nrecords && seen < 4; i++) {
        const struct sim_record *x = &w->records[i];
        const struct oracle_row *row =
            tz_id_is_zero(x->id) || strcmp(x->type->name, type) != 0 ? NULL : oracle_find(w->oracle, x->type, x->id);
        if (row && !row->deleted && (anywhere || strncmp(row->area.district, area, 6) == 0) &&
            sim_below(r, ++seen) == 0)
            found = x;
    }
    return found;
}

bool sim_ledger_open(struct sim *w, struct sim_rng *r, const struct tz_type *t, const char *area, unsigned number,
                     struct tz_arena *a, struct tz_record *in)
{
    static const char *const MUST[] = {"list_type", "source", "title", "severity", "due_on"};
    const struct sim_record *firm = some(w, r, "organisation", area);
    const struct sim_record *other = sim_chance(r, 20) ? some(w, r, "ledger_item", area) : NULL;
    if (!firm)
        return false;
    tz_record_init(in, t);
    for (size_t i = 0; i < sizeof MUST / sizeof *MUST; i++)
        set(in, MUST[i], sim_value(w, r, tz_type_field(t, MUST[i]), a, number));
    set(in, "target_type", tz_value_text("organisation"));
    set(in, "target_id", id_value(a, firm->id));
    set(in, "lead_unit", some_unit(w, r, area, a));
    if (other)
        set(in, sim_chance(r, 50) ? "parent_id" : "reopened_from", id_value(a, other->id));
    return true;
}

/** A step that leads on from both states. */
static const struct tz_step *step_from(const struct tz_type *t, int state, int other, struct sim_rng *r)
{
    const struct tz_step *found = NULL;
    size_t n = 0;
    for (size_t i = 1; i < t->nsteps; i++)
        if ((state >= 0 && t->steps[i].from >> state & t->steps[i].from >> other & 1) || sim_chance(r, 1))
            if (sim_below(r, ++n) == 0)
                found = &t->steps[i];
    return found;
}

const struct tz_step *sim_ledger_step_from(const struct tz_type *t, int state, struct sim_rng *r)
{
    return step_from(t, state, state, r);
}

void sim_ledger_say(struct sim *w, struct sim_rng *r, const struct tz_type *t, const struct tz_step *s, unsigned number,
                    struct tz_arena *a, struct tz_record *in, bool *names)
{
    tz_record_init(in, t);
    for (size_t i = 0; i < s->ngives; i++) {
        const struct tz_field *f = &t->fields[s->gives[i].field];
        if (!sim_chance(r, s->gives[i].must ? 97 : 15) || f->ftype == TZ_FT_REFS)
            continue;
        in->v[f->index] = sim_value(w, r, f, a, number);
        names[f->index] = in->v[f->index].kind != TZ_V_NULL;
    }
    if (sim_chance(r, 2)) {
        const struct tz_field *f = &t->fields[sim_below(r, t->nfields)];
        in->v[f->index] = sim_value(w, r, f, a, number);
        names[f->index] = in->v[f->index].kind != TZ_V_NULL;
    }
}

bool sim_ledger_step(struct sim *w, struct sim_rng *r, const char *area, struct sim_stepping *out)
{
    const struct tz_type *t = item_type(w);
    const struct sim_record *rec = some(w, r, "ledger_item", area);
    const struct oracle_row *row = rec ? oracle_find(w->oracle, t, rec->id) : NULL;
    size_t n = 0;
    const struct oracle_event *e = oracle_events(w->oracle, &n);
    *out = (struct sim_stepping){.item = rec, .state = ""};
    if (!rec)
        return false;
    for (size_t i = 0; i < n; i++)
        if (tz_id_eq(e[i].item, rec->id) && (i + 1 == n || !sim_chance(r, 25))) { /* else it has seen less */
            out->state = e[i].to;
            out->seq = e[i].seq;
        }
    int state = row ? tz_type_state(t, tz_value_text(out->state)) : -1;
    int now = row ? tz_type_state(t, row->v[t->state_field]) : -1;
    out->step = step_from(t, state, now >= 0 && sim_chance(r, 50) ? now : state, r); /* late, but not by its name */
    return out->step != NULL;
}
