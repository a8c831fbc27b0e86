/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rule of procedures. In this order: is the record as the author saw it, does the step exist there, may he take it,
 * does he say what it needs, do the guards hold (event_guard.c, which also carries the step out).
 */
#include "event_int.h"
#include "planted.h"

#include <stdio.h>
#include <string.h>

int tz_rule_refuse(struct tz_rule *r, int code, const char *arg1, const char *arg2, const char *arg3)
{
    const char *args[TZ_EVENT_ARGS_MAX] = {arg1, arg2, arg3};
    r->out->code = code;
    memcpy(r->out->args, args, sizeof args);
    for (r->out->nargs = 0; r->out->nargs < TZ_EVENT_ARGS_MAX && args[r->out->nargs]; r->out->nargs++)
        ;
    return 1;
}

int tz_rule_no_memory(struct tz_rule *r)
{
    return tz_err_set(r->err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
}

const char *tz_rule_number(struct tz_rule *r, unsigned long long n)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", n);
    return tz_arena_strdup(r->a, text);
}

const char *tz_rule_text(struct tz_rule *r, struct tz_value v)
{
    return v.kind == TZ_V_TEXT ? tz_arena_dup(r->a, v.p, v.n) : "";
}

const char *tz_rule_state(const struct tz_type *t, int state)
{
    return state < 0 ? "-" : t->fields[t->state_field].en->values[state].code;
}

int tz_rule_named(struct tz_rule *r, uint16_t field, struct tz_row **out)
{
    struct tz_value v = r->rec->v[field];
    struct tz_id id;
    *out = tz_arena_alloc(r->a, sizeof **out);
    if (!*out)
        return tz_rule_no_memory(r);
    if (v.kind != TZ_V_BLOB || v.n != TZ_ID_BYTES)
        return 0;
    memcpy(id.b, v.p, TZ_ID_BYTES);
    return tz_replica_get(r->rep, r->t, id, r->a, *out, r->err);
}

const char *tz_rule_level(const struct tz_role *role)
{
    return role->level == TZ_LEVEL_CITY ? "C" : "D";
}

/* ---- who ---- */

struct unit_search {
    const struct tz_field *district;
    struct tz_value wanted; /* NULL: any */
    struct tz_id *out;
    bool found;
};

static int is_unit(void *ctx, const struct tz_row *row)
{
    struct unit_search *s = ctx;
    if (s->wanted.kind != TZ_V_NULL && (!s->district || !tz_value_eq(row->rec.v[s->district->index], s->wanted)))
        return 1;
    *s->out = row->id;
    s->found = true;
    return 0;
}

int tz_event_unit(struct tz_replica *rep, const struct tz_event_author *who, struct tz_arena *a, struct tz_id *out,
                  struct tz_err *err)
{
    const struct tz_catalogue *cat = tz_replica_catalogue(rep);
    const struct tz_type *user = tz_catalogue_type(cat, "user");
    const struct tz_type *unit = tz_catalogue_type(cat, "unit");
    const struct tz_field *own = user ? tz_type_field(user, "unit") : NULL;
    const struct tz_field *district = user ? tz_type_field(user, "district_code") : NULL;
    const struct tz_field *kind = unit ? tz_type_field(unit, "kind") : NULL;
    struct tz_row *row = tz_arena_alloc(a, sizeof *row);
    if (!row || !own || !district || !kind)
        return row ? 0 : tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    int rc = tz_replica_get(rep, user, who->user, a, row, err);
    if (rc != 1)
        return rc;
    struct tz_value v = row->rec.v[own->index];
    if (v.kind == TZ_V_BLOB && v.n == TZ_ID_BYTES) {
        memcpy(out->b, v.p, TZ_ID_BYTES);
        return 1;
    }
    if (!who->role->editor)
        return 0;
    struct unit_search s = {tz_type_field(unit, "district_code"), row->rec.v[district->index], out, false};
    bool city = s.wanted.kind == TZ_V_NULL;
    rc = tz_replica_find(rep, kind, unit, tz_value_text(city ? "committee" : "district_committee"), is_unit, &s, err);
    return rc ? rc : s.found;
}

static int unit_code(struct tz_rule *r, struct tz_value id, const char **out)
{
    const struct tz_type *unit = tz_catalogue_type(r->cat, "unit");
    struct tz_row *row = tz_arena_alloc(r->a, sizeof *row);
    struct tz_id at;
    *out = "-";
    if (!row)
        return tz_rule_no_memory(r);
    if (id.kind != TZ_V_BLOB || id.n != TZ_ID_BYTES)
        return 0;
    memcpy(at.b, id.p, TZ_ID_BYTES);
    int rc = tz_replica_get(r->rep, unit, at, r->a, row, r->err);
    if (rc == 1)
        *out = tz_rule_text(r, row->rec.v[tz_type_field(unit, "code")->index]);
    return rc < 0 ? rc : *out ? 0 : tz_rule_no_memory(r);
}

static bool fits(const struct tz_rule *r, const struct tz_step_who *w)
{
    if (w->field < 0)
        return true;
    struct tz_value v = r->rec->v[w->field];
    if (r->t->fields[w->field].ftype == TZ_FT_ENUM)
        return tz_value_is_text(v, tz_rule_level(r->who->role));
    return r->has_unit && tz_value_eq(v, tz_value_blob(r->out->unit.b, TZ_ID_BYTES));
}

static int list_roles(struct tz_rule *r, const struct tz_step *s, const char **out)
{
    char text[TZ_RULE_LIST_BYTES] = "";
    size_t n = 0;
    for (size_t i = 0; i < s->nwho && n + TZ_NAME_MAX + 2 < sizeof text; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i ? " " : "", s->who[i].role->name);
    *out = tz_arena_strdup(r->a, text);
    return *out ? 0 : tz_rule_no_memory(r);
}

static int check_who(struct tz_rule *r, const struct tz_step *s)
{
    const struct tz_step_who *near = NULL;
    const char *arg = NULL;
    if (r->who->decides)
        return r->has_unit ? 0 : tz_rule_refuse(r, TZ_E_STEP_NO_UNIT, NULL, NULL, NULL);
    for (size_t i = 0; i < s->nwho; i++) {
        if (s->who[i].role != r->who->role)
            continue;
        if (fits(r, &s->who[i]))
            return r->has_unit ? 0 : tz_rule_refuse(r, TZ_E_STEP_NO_UNIT, NULL, NULL, NULL);
        near = &s->who[i];
    }
    if (!near) {
        int rc = list_roles(r, s, &arg);
        return rc ? rc : tz_rule_refuse(r, TZ_E_STEP_ROLE, s->action, arg, NULL);
    }
    if (!r->has_unit)
        return tz_rule_refuse(r, TZ_E_STEP_NO_UNIT, NULL, NULL, NULL);
    struct tz_value v = r->rec->v[near->field];
    if (r->t->fields[near->field].ftype == TZ_FT_ENUM) {
        arg = tz_rule_text(r, v);
        return arg ? tz_rule_refuse(r, TZ_E_STEP_LEVEL, s->action, arg, NULL) : tz_rule_no_memory(r);
    }
    int rc = unit_code(r, v, &arg);
    return rc ? rc : tz_rule_refuse(r, TZ_E_STEP_UNIT, s->action, arg, NULL);
}

/* ---- what it says ---- */

static const struct tz_step_gives *gives(const struct tz_step *s, size_t field)
{
    for (size_t i = 0; i < s->ngives; i++)
        if (s->gives[i].field == field)
            return &s->gives[i];
    return NULL;
}

bool tz_event_evidence(struct tz_value v)
{
    return v.kind == TZ_V_TEXT && v.n > 2 && memcmp(v.p, "[{", 2) == 0;
}

static int check_said(struct tz_rule *r, const struct tz_step *s, const struct tz_event_ask *ask)
{
    for (size_t i = 0; i < r->t->nfields; i++) {
        const struct tz_step_gives *g = gives(s, i);
        bool named = ask->in && ask->names[i];
        if (named && !g)
            return tz_rule_refuse(r, TZ_E_NO_RIGHT_FIELD, r->t->fields[i].name, NULL, NULL);
        if (g && g->must && !named)
            return tz_rule_refuse(r, TZ_E_REQUIRED, r->t->fields[i].name, NULL, NULL);
    }
    bool wanted = s->evidence == TZ_EVIDENCE_YES ||
                  (s->evidence == TZ_EVIDENCE_FIELD &&
                   !tz_value_eq(r->rec->v[s->evidence_field], r->t->fields[s->evidence_field].dflt));
    return wanted && !ask->evidence ? tz_rule_refuse(r, TZ_E_STEP_EVIDENCE, s->action, NULL, NULL) : 0;
}

/* ---- the whole ---- */

static int rule_begin(struct tz_rule *r, const struct tz_record *rec)
{
    struct tz_record *was = tz_arena_dup(r->a, rec, sizeof *was);
    r->cat = tz_replica_catalogue(r->rep);
    r->was = was;
    *r->out = (struct tz_event_out){.from = -1};
    if (!was)
        return tz_rule_no_memory(r);
    int rc = tz_event_unit(r->rep, r->who, r->a, &r->out->unit, r->err);
    r->has_unit = rc == 1;
    return rc < 0 ? rc : 0;
}

static int check_seen(struct tz_rule *r, const struct tz_event_ask *ask, int state)
{
    uint64_t seq = tz_trail_seq(r->trail);
    const char *code = tz_rule_state(r->t, state);
    if (TZ_PLANTED(STEP_STALE_TAKEN) || (strcmp(ask->expected_state, code) == 0 && ask->expected_seq == seq))
        return 0;
    const char *number = tz_rule_number(r, seq);
    const char *action = tz_arena_strdup(r->a, r->trail->n ? r->trail->v[r->trail->n - 1].action : "-");
    return number && action ? tz_rule_refuse(r, TZ_E_STEP_STALE, code, number, action) : tz_rule_no_memory(r);
}

static int no_step(struct tz_rule *r, const char *action, int state)
{
    char text[TZ_RULE_LIST_BYTES] = "";
    size_t n = 0;
    for (size_t i = 0; i < r->t->nsteps && state >= 0; i++)
        if (r->t->steps[i].from >> state & 1 && n + TZ_NAME_MAX + 2 < sizeof text)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? " " : "", r->t->steps[i].action);
    const char *asked = tz_arena_strdup(r->a, action);
    const char *may = tz_arena_strdup(r->a, text[0] ? text : "-");
    return asked && may ? tz_rule_refuse(r, TZ_E_STEP_STATE, asked, tz_rule_state(r->t, state), may)
                        : tz_rule_no_memory(r);
}

static int state_after(struct tz_rule *r, const struct tz_step *s)
{
    const struct tz_event *e = s->to == TZ_STEP_BACK ? tz_rule_last(r->trail, s->back) : NULL;
    r->out->to = s->to == TZ_STEP_BACK ? (e ? e->from : -1) : s->to == TZ_STEP_SAME ? r->out->from : s->to;
    return r->out->to >= 0 ? 0 : no_step(r, s->action, r->out->from);
}

static int judge(struct tz_rule *r, const struct tz_event_ask *ask)
{
    int state = tz_type_state(r->t, r->rec->v[r->t->state_field]);
    r->out->from = state;
    int rc = check_seen(r, ask, state);
    if (rc)
        return rc;
    const struct tz_step *s = state >= 0 ? tz_type_step(r->t, state, ask->action) : NULL;
    if (!s || s->to == TZ_STEP_NEW) /* that is the opening of another record */
        return no_step(r, ask->action, state);
    r->out->step = s;
    rc = check_who(r, s);
    if (!rc && s->to == TZ_STEP_SAME && r->trail->n >= TZ_EVENT_STEPS_MAX) {
        const char *n = tz_rule_number(r, r->trail->n);
        rc = n ? tz_rule_refuse(r, TZ_E_STEP_FULL, s->action, n, NULL) : tz_rule_no_memory(r);
    }
    if (!rc)
        rc = check_said(r, s, ask);
    if (!rc)
        rc = tz_rule_guards(r, s, ask);
    if (!rc)
        rc = state_after(r, s);
    return rc ? rc : tz_rule_carry_out(r, s, ask);
}

int tz_event_judge(struct tz_replica *rep, const struct tz_event_author *who, struct tz_row *row,
                   const struct tz_trail *trail, const struct tz_event_ask *ask, struct tz_arena *a,
                   struct tz_event_out *out, struct tz_err *err)
{
    struct tz_rule r = {.rep = rep,
                        .who = who,
                        .t = row->rec.type,
                        .id = row->id,
                        .rec = &row->rec,
                        .trail = trail,
                        .today = ask->today,
                        .a = a,
                        .out = out,
                        .err = err};
    int rc = rule_begin(&r, &row->rec);
    if (!rc)
        rc = judge(&r, ask);
    if (rc == 1)
        row->rec = *r.was;
    return rc < 0 ? rc : 0;
}

/* ---- openings ---- */

bool tz_event_may_open(const struct tz_type *t, const struct tz_role *role)
{
    for (size_t i = 0; t->nsteps && i < t->steps[0].nwho; i++)
        if (t->steps[0].who[i].role == role)
            return true;
    return false;
}

bool tz_event_is_link(const struct tz_type *t, const struct tz_field *f)
{
    const struct tz_step *s = t->nsteps ? tz_type_step_new(t) : NULL;
    return s && s->link == f->index;
}

struct reopening {
    const struct tz_event_author *who;
    char example[64];
};

static int take_reopening(void *ctx, const struct tz_row *row)
{
    struct reopening *o = ctx;
    struct tz_value v = row->rec.v[0]; /* its number */
    if (!o->who->city && !tz_area_covers(&o->who->area, &row->area))
        return 1;
    (void)snprintf(o->example, sizeof o->example, "%.*s", v.kind == TZ_V_TEXT ? (int)v.n : 1,
                   v.kind == TZ_V_TEXT ? (const char *)v.p : "-");
    return 0;
}

/** The new record says that it reopens another: that one's step. */
static int judge_link(struct tz_rule *r)
{
    const struct tz_step *s = tz_type_step_new(r->t);
    struct tz_row *old = NULL;
    struct reopening other = {r->who, ""};
    if (!s || r->rec->v[s->link].kind == TZ_V_NULL)
        return 0;
    int rc = tz_rule_named(r, s->link, &old);
    if (rc <= 0)
        return rc < 0 ? rc : tz_rule_refuse(r, TZ_E_REF, r->t->fields[s->link].name, NULL, NULL);
    int state = tz_type_state(r->t, old->rec.v[r->t->state_field]);
    if (state < 0 || !(s->from >> state & 1))
        return no_step(r, s->action, state);
    r->out->step = s;
    rc = check_who(r, s);
    if (!rc)
        rc = tz_rule_guards(r, s, NULL);
    if (!rc)
        rc = tz_replica_find(r->rep, &r->t->fields[s->link], r->t, r->rec->v[s->link], take_reopening, &other, r->err);
    if (rc || !other.example[0])
        return rc;
    const char *number = tz_arena_strdup(r->a, other.example);
    return number ? tz_rule_refuse(r, TZ_E_STEP_REOPENED, number, NULL, NULL) : tz_rule_no_memory(r);
}

int tz_event_open(struct tz_replica *rep, const struct tz_event_author *who, struct tz_record *rec,
                  const char today[11], struct tz_arena *a, struct tz_event_out *out, struct tz_err *err)
{
    struct tz_trail none = {.a = a};
    struct tz_rule r = {.rep = rep,
                        .who = who,
                        .t = rec->type,
                        .rec = rec,
                        .trail = &none,
                        .today = today,
                        .a = a,
                        .out = out,
                        .err = err};
    const struct tz_step *s = &rec->type->steps[0];
    int rc = rule_begin(&r, rec);
    if (!rc)
        rc = judge_link(&r);
    if (!rc) {
        out->step = out->step ? out->step : s; /* a reopening is recorded as such */
        out->to = s->to;
        rc = check_who(&r, s);
    }
    if (!rc)
        rc = tz_rule_guards(&r, s, NULL);
    if (!rc)
        rc = tz_rule_carry_out(&r, s, NULL);
    if (rc == 1)
        *rec = *r.was;
    return rc < 0 ? rc : 0;
}
