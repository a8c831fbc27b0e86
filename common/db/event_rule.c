/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rule of procedures. In this order: is the record as the author saw it, does the step exist there, may he take it,
 * does he say what it needs, do the guards hold. Then values, effects and the new state are laid over the record;
 * guards about dates look at what has come out.
 */
#include "event_rule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DAY_MS = 24 * 60 * 60 * 1000, PARAM_TEXT_BYTES = 32, LIST_BYTES = 512 };

/** One judgement under way. */
struct rule {
    struct tz_replica *rep;
    const struct tz_catalogue *cat;
    const struct tz_event_author *who;
    const struct tz_type *t;
    struct tz_id id; /* zero: an opening */
    struct tz_record *rec;
    const struct tz_record *was; /* before */
    const struct tz_trail *trail;
    const char *today;
    struct tz_arena *a;
    struct tz_event_out *out;
    struct tz_err *err;
    bool has_unit;
};

/** Always 1: `return refuse(…)`. */
static int refuse(struct rule *r, int code, const char *arg1, const char *arg2, const char *arg3)
{
    const char *args[TZ_EVENT_ARGS_MAX] = {arg1, arg2, arg3};
    r->out->code = code;
    memcpy(r->out->args, args, sizeof args);
    for (r->out->nargs = 0; r->out->nargs < TZ_EVENT_ARGS_MAX && args[r->out->nargs]; r->out->nargs++)
        ;
    return 1;
}

static int no_memory(struct rule *r)
{
    return tz_err_set(r->err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
}

static const char *printed(struct rule *r, unsigned long long n)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", n);
    return tz_arena_strdup(r->a, text);
}

/** Its text as a string, "" for NULL; NULL: no memory. */
static const char *text_of(struct rule *r, struct tz_value v)
{
    return v.kind == TZ_V_TEXT ? tz_arena_dup(r->a, v.p, v.n) : "";
}

static const char *state_code(const struct tz_type *t, int state)
{
    return state < 0 ? "-" : t->fields[t->state_field].en->values[state].code;
}

/* ---- the trail ---- */

static int trail_room(struct tz_trail *trail)
{
    if (trail->n < trail->cap)
        return 0;
    size_t cap = trail->cap ? trail->cap * 2 : 16;
    struct tz_event *v = tz_arena_calloc(trail->a, cap, sizeof *v);
    if (!v)
        return TZ_E_NOMEM;
    if (trail->n)
        memcpy(v, trail->v, trail->n * sizeof *v);
    trail->v = v;
    trail->cap = cap;
    return 0;
}

struct reading {
    struct tz_trail *trail;
    const struct tz_type *of; /* the record's type */
};

static int take_event(void *ctx, const struct tz_row *row)
{
    struct reading *g = ctx;
    const struct tz_type *e = row->rec.type;
    struct tz_value action = row->rec.v[tz_type_field(e, "action")->index];
    const struct tz_field *actor = tz_type_field(e, "actor");
    struct tz_event ev = {.from = tz_type_state(g->of, row->rec.v[tz_type_field(e, "from_state")->index]),
                          .seq = (uint64_t)row->rec.v[tz_type_field(e, "seq")->index].i};
    if (actor && row->rec.v[actor->index].kind == TZ_V_BLOB)
        memcpy(ev.actor.b, row->rec.v[actor->index].p, TZ_ID_BYTES);
    ev.action = action.kind == TZ_V_TEXT ? tz_arena_dup(g->trail->a, action.p, action.n) : "";
    if (!ev.action || trail_room(g->trail))
        return TZ_E_NOMEM;
    g->trail->v[g->trail->n++] = ev;
    return 1;
}

static int by_seq(const void *a, const void *b)
{
    const struct tz_event *x = a;
    const struct tz_event *y = b;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

int tz_trail_read(struct tz_replica *rep, const struct tz_type *t, struct tz_id item, struct tz_arena *a,
                  struct tz_trail *out, struct tz_err *err)
{
    const struct tz_type *e = t->event_type;
    struct reading g = {out, t};
    *out = (struct tz_trail){.a = a};
    int rc =
        tz_replica_find(rep, &e->fields[e->area_field], e, tz_value_blob(item.b, TZ_ID_BYTES), take_event, &g, err);
    if (!rc && out->n)
        qsort(out->v, out->n, sizeof *out->v, by_seq);
    return rc;
}

int tz_trail_add(struct tz_trail *trail, const char *action, int from, struct tz_id actor)
{
    char *copy = tz_arena_strdup(trail->a, action);
    if (!copy || trail_room(trail))
        return TZ_E_NOMEM;
    trail->v[trail->n] = (struct tz_event){copy, from, actor, tz_trail_seq(trail) + 1};
    trail->n++;
    return 0;
}

uint64_t tz_trail_seq(const struct tz_trail *trail)
{
    return trail->n ? trail->v[trail->n - 1].seq : 0;
}

static const struct tz_event *last(const struct tz_trail *trail, const char *action)
{
    for (size_t i = trail->n; i > 0; i--)
        if (strcmp(trail->v[i - 1].action, action) == 0)
            return &trail->v[i - 1];
    return NULL;
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

static int unit_code(struct rule *r, struct tz_value id, const char **out)
{
    const struct tz_type *unit = tz_catalogue_type(r->cat, "unit");
    struct tz_row *row = tz_arena_alloc(r->a, sizeof *row);
    struct tz_id at;
    *out = "-";
    if (!row)
        return no_memory(r);
    if (id.kind != TZ_V_BLOB || id.n != TZ_ID_BYTES)
        return 0;
    memcpy(at.b, id.p, TZ_ID_BYTES);
    int rc = tz_replica_get(r->rep, unit, at, r->a, row, r->err);
    if (rc == 1)
        *out = text_of(r, row->rec.v[tz_type_field(unit, "code")->index]);
    return rc < 0 ? rc : *out ? 0 : no_memory(r);
}

static const char *level_of(const struct tz_role *role)
{
    return role->level == TZ_LEVEL_CITY ? "C" : "D";
}

static bool fits(const struct rule *r, const struct tz_step_who *w)
{
    if (w->field < 0)
        return true;
    struct tz_value v = r->rec->v[w->field];
    if (r->t->fields[w->field].ftype == TZ_FT_ENUM)
        return tz_value_is_text(v, level_of(r->who->role));
    return r->has_unit && tz_value_eq(v, tz_value_blob(r->out->unit.b, TZ_ID_BYTES));
}

static int list_roles(struct rule *r, const struct tz_step *s, const char **out)
{
    char text[LIST_BYTES] = "";
    size_t n = 0;
    for (size_t i = 0; i < s->nwho && n + TZ_NAME_MAX + 2 < sizeof text; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i ? " " : "", s->who[i].role->name);
    *out = tz_arena_strdup(r->a, text);
    return *out ? 0 : no_memory(r);
}

static int check_who(struct rule *r, const struct tz_step *s)
{
    const struct tz_step_who *near = NULL;
    const char *arg = NULL;
    for (size_t i = 0; i < s->nwho; i++) {
        if (s->who[i].role != r->who->role)
            continue;
        if (fits(r, &s->who[i]))
            return r->has_unit ? 0 : refuse(r, TZ_E_STEP_NO_UNIT, NULL, NULL, NULL);
        near = &s->who[i];
    }
    if (!near) {
        int rc = list_roles(r, s, &arg);
        return rc ? rc : refuse(r, TZ_E_STEP_ROLE, s->action, arg, NULL);
    }
    if (!r->has_unit)
        return refuse(r, TZ_E_STEP_NO_UNIT, NULL, NULL, NULL);
    struct tz_value v = r->rec->v[near->field];
    if (r->t->fields[near->field].ftype == TZ_FT_ENUM) {
        arg = text_of(r, v);
        return arg ? refuse(r, TZ_E_STEP_LEVEL, s->action, arg, NULL) : no_memory(r);
    }
    int rc = unit_code(r, v, &arg);
    return rc ? rc : refuse(r, TZ_E_STEP_UNIT, s->action, arg, NULL);
}

/* ---- what it says ---- */

static const struct tz_step_gives *gives(const struct tz_step *s, size_t field)
{
    for (size_t i = 0; i < s->ngives; i++)
        if (s->gives[i].field == field)
            return &s->gives[i];
    return NULL;
}

static int check_said(struct rule *r, const struct tz_step *s, const struct tz_event_ask *ask)
{
    for (size_t i = 0; i < r->t->nfields; i++) {
        const struct tz_step_gives *g = gives(s, i);
        bool named = ask->in && ask->names[i];
        if (named && !g)
            return refuse(r, TZ_E_NO_RIGHT_FIELD, r->t->fields[i].name, NULL, NULL);
        if (g && g->must && !named)
            return refuse(r, TZ_E_REQUIRED, r->t->fields[i].name, NULL, NULL);
    }
    bool wanted = s->evidence == TZ_EVIDENCE_YES ||
                  (s->evidence == TZ_EVIDENCE_FIELD &&
                   !tz_value_eq(r->rec->v[s->evidence_field], r->t->fields[s->evidence_field].dflt));
    return wanted && !ask->evidence ? refuse(r, TZ_E_STEP_EVIDENCE, s->action, NULL, NULL) : 0;
}

/* ---- guards ---- */

struct children {
    const struct tz_event_author *who;
    const struct tz_type *t;
    uint64_t open;
    char example[64];
};

static int count_open(void *ctx, const struct tz_row *row)
{
    struct children *c = ctx;
    int state = tz_type_state(c->t, row->rec.v[c->t->state_field]);
    bool seen = c->who->city || tz_area_covers(&c->who->area, &row->area);
    if (!seen || (state >= 0 && (c->t->final_states >> state & 1)))
        return 1;
    struct tz_value v = row->rec.v[0]; /* its number */
    if (c->open++ == 0 && v.kind == TZ_V_TEXT && v.n < sizeof c->example)
        memcpy(c->example, v.p, v.n);
    return 1;
}

static int guard_children(struct rule *r, const struct tz_step_guard *g)
{
    struct children c = {.who = r->who, .t = r->t, .example = ""};
    int rc = tz_replica_find(r->rep, &r->t->fields[g->field], r->t, tz_value_blob(r->id.b, TZ_ID_BYTES), count_open, &c,
                             r->err);
    if (rc || c.open == 0)
        return rc;
    const char *n = printed(r, c.open);
    const char *example = tz_arena_strdup(r->a, c.example[0] ? c.example : "-");
    return n && example ? refuse(r, TZ_E_STEP_CHILDREN, n, example, NULL) : no_memory(r);
}

/** The record of this type that a field names: 1, 0 none. */
static int named_record(struct rule *r, uint16_t field, struct tz_row **out)
{
    struct tz_value v = r->rec->v[field];
    struct tz_id id;
    *out = tz_arena_alloc(r->a, sizeof **out);
    if (!*out)
        return no_memory(r);
    if (v.kind != TZ_V_BLOB || v.n != TZ_ID_BYTES)
        return 0;
    memcpy(id.b, v.p, TZ_ID_BYTES);
    return tz_replica_get(r->rep, r->t, id, r->a, *out, r->err);
}

static int guard_open(struct rule *r, const struct tz_step_guard *g)
{
    struct tz_row *row = NULL;
    int rc = named_record(r, g->field, &row);
    if (rc <= 0)
        return rc;
    int state = tz_type_state(r->t, row->rec.v[r->t->state_field]);
    bool final = state >= 0 && (r->t->final_states >> state & 1);
    return final ? refuse(r, TZ_E_STEP_CLOSED, r->t->fields[g->field].name, NULL, NULL) : 0;
}

/** First day minus first day; a date that is not there is the same as any. */
static int compare_dates(struct tz_value a, struct tz_value b)
{
    uint32_t x = 0;
    uint32_t y = 0;
    unsigned precision = 0;
    tz_date_key(a, &x, &precision);
    tz_date_key(b, &y, &precision);
    return x == 0 || y == 0 || x == y ? 0 : x < y ? -1 : 1;
}

/** The last day a date may mean, for deadlines: the text compares as far as it goes. */
static bool passed(struct tz_value due, const char *today)
{
    return due.kind == TZ_V_TEXT && memcmp(today, due.p, due.n < 10 ? due.n : 10) > 0;
}

/** Is @action the last word among itself and its answers (steps with the guard PENDING of it)? */
static bool pending(const struct rule *r, const char *action)
{
    for (size_t i = r->trail->n; i > 0; i--) {
        const struct tz_event *e = &r->trail->v[i - 1];
        if (strcmp(e->action, action) == 0)
            return true;
        for (size_t k = 0; k < r->t->nsteps; k++)
            for (size_t m = 0; m < r->t->steps[k].nguards && strcmp(r->t->steps[k].action, e->action) == 0; m++) {
                const struct tz_step_guard *g = &r->t->steps[k].guards[m];
                if (g->kind == TZ_GUARD_PENDING && strcmp(g->action, action) == 0)
                    return false;
            }
    }
    return false;
}

struct param_search {
    const struct tz_type *t;
    const char *today;
    char from[11], value[PARAM_TEXT_BYTES];
};

/** The newest value that holds today. */
static int take_param(void *ctx, const struct tz_row *row)
{
    struct param_search *p = ctx;
    struct tz_value from = row->rec.v[tz_type_field(p->t, "from_on")->index];
    struct tz_value value = row->rec.v[tz_type_field(p->t, "value")->index];
    char day[11] = "";
    if (from.kind == TZ_V_TEXT)
        memcpy(day, from.p, from.n < 10 ? from.n : 10);
    if (value.kind != TZ_V_TEXT || value.n >= sizeof p->value || strcmp(day, p->today) > 0 ||
        (p->value[0] && strcmp(day, p->from) < 0))
        return 1;
    memset(p->value, 0, sizeof p->value);
    memcpy(p->value, value.p, value.n);
    memcpy(p->from, day, sizeof p->from);
    return 1;
}

static int guard_fewer(struct rule *r, const struct tz_step *s, const struct tz_step_guard *g)
{
    struct param_search p = {.t = tz_catalogue_type(r->cat, "param"), .today = r->today};
    unsigned long long n = 0;
    if (!p.t)
        return 0;
    int rc = tz_replica_find(r->rep, tz_type_field(p.t, "key"), p.t, tz_value_text(g->param), take_param, &p, r->err);
    if (rc || !p.value[0]) /* nobody has set a limit */
        return rc;
    for (size_t i = 0; i < r->trail->n; i++)
        n += strcmp(r->trail->v[i].action, g->action) == 0;
    if (n < strtoull(p.value, NULL, 10))
        return 0;
    const char *most = tz_arena_strdup(r->a, p.value);
    return most ? refuse(r, TZ_E_STEP_TOO_OFTEN, s->action, most, NULL) : no_memory(r);
}

static int guard_before(struct rule *r, const struct tz_step *s, const struct tz_step_guard *g,
                        const struct tz_event_ask *ask)
{
    const struct tz_event *e = g->action ? last(r->trail, g->action) : NULL;
    const char *due = NULL;
    switch (g->kind) {
    case TZ_GUARD_OPINION:
        return ask && ask->opinion ? 0 : refuse(r, TZ_E_STEP_OPINION, s->action, NULL, NULL);
    case TZ_GUARD_NOT:
        return e && tz_id_eq(e->actor, r->who->user) ? refuse(r, TZ_E_STEP_SAME, s->action, g->action, NULL) : 0;
    case TZ_GUARD_CHILDREN:
        return guard_children(r, g);
    case TZ_GUARD_OPEN:
        return guard_open(r, g);
    case TZ_GUARD_UNTIL:
        due = text_of(r, r->rec->v[g->field]);
        return !due                                    ? no_memory(r)
               : passed(r->rec->v[g->field], r->today) ? refuse(r, TZ_E_STEP_LATE, s->action, due, NULL)
                                                       : 0;
    case TZ_GUARD_PENDING:
        return pending(r, g->action) ? 0 : refuse(r, TZ_E_STEP_UNASKED, g->action, NULL, NULL);
    case TZ_GUARD_SETTLED:
        return pending(r, g->action) ? refuse(r, TZ_E_STEP_UNANSWERED, g->action, NULL, NULL) : 0;
    case TZ_GUARD_FEWER:
        return guard_fewer(r, s, g);
    case TZ_GUARD_LATER:
    case TZ_GUARD_ORDER:
        break; /* about what comes out */
    }
    return 0;
}

static int guard_after(struct rule *r, const struct tz_step_guard *g)
{
    const char *name = r->t->fields[g->field].name;
    if (g->kind == TZ_GUARD_LATER && compare_dates(r->rec->v[g->field], r->was->v[g->field]) <= 0) {
        const char *was = text_of(r, r->was->v[g->field]);
        return was ? refuse(r, TZ_E_STEP_NOT_LATER, name, was, NULL) : no_memory(r);
    }
    if (g->kind == TZ_GUARD_ORDER && compare_dates(r->rec->v[g->field], r->rec->v[g->other]) > 0)
        return refuse(r, TZ_E_STEP_DATES, r->t->fields[g->other].name, name, NULL);
    return 0;
}

/* ---- effects ---- */

static int days_between(const char *from, const char *to)
{
    int y[2];
    int m[2];
    int d[2];
    long n[2];
    if (sscanf(from, "%4d-%2d-%2d", &y[0], &m[0], &d[0]) != 3 || sscanf(to, "%4d-%2d-%2d", &y[1], &m[1], &d[1]) != 3)
        return 0;
    for (int i = 0; i < 2; i++) { /* days since 0000-03-01: Hinnant, "chrono-compatible low-level date algorithms" */
        int year = m[i] <= 2 ? y[i] - 1 : y[i];
        long era = year / 400;
        long yoe = year - era * 400;
        long doy = (153 * (m[i] + (m[i] > 2 ? -3 : 9)) + 2) / 5 + d[i] - 1;
        n[i] = era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy;
    }
    return (int)(n[1] - n[0]);
}

/** @date some days later; a year or month alone counts as its first day. */
static int add_days(struct rule *r, struct tz_value date, int days, struct tz_value *out)
{
    uint32_t key = 0;
    unsigned precision = 0;
    char text[32];
    char day[11];
    tz_date_key(date, &key, &precision);
    if (key == 0 || days <= 0)
        return 0;
    (void)snprintf(text, sizeof text, "%04u-%02u-%02u", key / 10000, key / 100 % 100, key % 100);
    int64_t ms = (int64_t)(days_between("1970-01-01", text) + days) * DAY_MS;
    tz_clock_today((struct tz_wall){ms - INT64_C(8) * 60 * 60 * 1000}, day); /* midnight at UTC+8 */
    char *copy = tz_arena_strdup(r->a, day);
    if (!copy)
        return no_memory(r);
    *out = tz_value_text(copy);
    return 0;
}

static int apply_effect(struct rule *r, const struct tz_step_effect *e)
{
    struct tz_value *v = &r->rec->v[e->field];
    const char *text = NULL;
    switch (e->kind) {
    case TZ_EFFECT_NULL:
        *v = tz_value_null();
        return 0;
    case TZ_EFFECT_TODAY:
        text = tz_arena_strdup(r->a, r->today);
        *v = tz_value_text(text);
        return text ? 0 : no_memory(r);
    case TZ_EFFECT_LEVEL:
        *v = tz_value_text(level_of(r->who->role));
        return 0;
    case TZ_EFFECT_NUMBER:
        r->out->number = e;
        return 0;
    case TZ_EFFECT_COPY:
        *v = r->rec->v[e->other];
        return 0;
    case TZ_EFFECT_COUNT:
        *v = tz_value_int(v->kind == TZ_V_INT ? v->i + 1 : 1);
        return 0;
    case TZ_EFFECT_DAYS:
        text = text_of(r, r->rec->v[e->other]);
        return text ? add_days(r, *v, days_between(text, r->today), v) : no_memory(r);
    }
    return 0;
}

/** Values, effects, state; then the guards about dates. */
static int carry_out(struct rule *r, const struct tz_step *s, const struct tz_event_ask *ask)
{
    int rc = 0;
    for (size_t i = 0; ask && ask->in && i < r->t->nfields; i++)
        if (ask->names[i])
            r->rec->v[i] = ask->in->v[i];
    for (size_t i = 0; i < s->neffects && !rc; i++)
        rc = apply_effect(r, &s->effects[i]);
    r->rec->v[r->t->state_field] = tz_value_text(state_code(r->t, r->out->to));
    for (size_t i = 0; i < s->nguards && !rc; i++)
        rc = guard_after(r, &s->guards[i]);
    return rc;
}

/* ---- the whole ---- */

static int rule_begin(struct rule *r, const struct tz_record *rec)
{
    struct tz_record *was = tz_arena_dup(r->a, rec, sizeof *was);
    r->cat = tz_replica_catalogue(r->rep);
    r->was = was;
    *r->out = (struct tz_event_out){.from = -1};
    if (!was)
        return no_memory(r);
    int rc = tz_event_unit(r->rep, r->who, r->a, &r->out->unit, r->err);
    r->has_unit = rc == 1;
    return rc < 0 ? rc : 0;
}

static int guards_before(struct rule *r, const struct tz_step *s, const struct tz_event_ask *ask)
{
    int rc = 0;
    for (size_t i = 0; i < s->nguards && !rc; i++)
        rc = guard_before(r, s, &s->guards[i], ask);
    return rc;
}

static int check_seen(struct rule *r, const struct tz_event_ask *ask, int state)
{
    uint64_t seq = tz_trail_seq(r->trail);
    const char *code = state_code(r->t, state);
    if (strcmp(ask->expected_state, code) == 0 && ask->expected_seq == seq)
        return 0;
    const char *number = printed(r, seq);
    const char *action = tz_arena_strdup(r->a, r->trail->n ? r->trail->v[r->trail->n - 1].action : "-");
    return number && action ? refuse(r, TZ_E_STEP_STALE, code, number, action) : no_memory(r);
}

static int no_step(struct rule *r, const char *action, int state)
{
    char text[LIST_BYTES] = "";
    size_t n = 0;
    for (size_t i = 0; i < r->t->nsteps && state >= 0; i++)
        if (r->t->steps[i].from >> state & 1 && n + TZ_NAME_MAX + 2 < sizeof text)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? " " : "", r->t->steps[i].action);
    const char *asked = tz_arena_strdup(r->a, action);
    const char *may = tz_arena_strdup(r->a, text[0] ? text : "-");
    return asked && may ? refuse(r, TZ_E_STEP_STATE, asked, state_code(r->t, state), may) : no_memory(r);
}

static int state_after(struct rule *r, const struct tz_step *s)
{
    const struct tz_event *e = s->to == TZ_STEP_BACK ? last(r->trail, s->back) : NULL;
    r->out->to = s->to == TZ_STEP_BACK ? (e ? e->from : -1) : s->to == TZ_STEP_SAME ? r->out->from : s->to;
    return r->out->to >= 0 ? 0 : no_step(r, s->action, r->out->from);
}

static int judge(struct rule *r, const struct tz_event_ask *ask)
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
    if (!rc)
        rc = check_said(r, s, ask);
    if (!rc)
        rc = guards_before(r, s, ask);
    if (!rc)
        rc = state_after(r, s);
    return rc ? rc : carry_out(r, s, ask);
}

int tz_event_judge(struct tz_replica *rep, const struct tz_event_author *who, struct tz_row *row,
                   const struct tz_trail *trail, const struct tz_event_ask *ask, struct tz_arena *a,
                   struct tz_event_out *out, struct tz_err *err)
{
    struct rule r = {.rep = rep,
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
static int judge_link(struct rule *r)
{
    const struct tz_step *s = tz_type_step_new(r->t);
    struct tz_row *old = NULL;
    struct reopening other = {r->who, ""};
    if (!s || r->rec->v[s->link].kind == TZ_V_NULL)
        return 0;
    int rc = named_record(r, s->link, &old);
    if (rc <= 0)
        return rc < 0 ? rc : refuse(r, TZ_E_REF, r->t->fields[s->link].name, NULL, NULL);
    int state = tz_type_state(r->t, old->rec.v[r->t->state_field]);
    if (state < 0 || !(s->from >> state & 1))
        return no_step(r, s->action, state);
    r->out->step = s;
    rc = check_who(r, s);
    if (!rc)
        rc = guards_before(r, s, NULL);
    if (!rc)
        rc = tz_replica_find(r->rep, &r->t->fields[s->link], r->t, r->rec->v[s->link], take_reopening, &other, r->err);
    if (rc || !other.example[0])
        return rc;
    const char *number = tz_arena_strdup(r->a, other.example);
    return number ? refuse(r, TZ_E_STEP_REOPENED, number, NULL, NULL) : no_memory(r);
}

int tz_event_open(struct tz_replica *rep, const struct tz_event_author *who, struct tz_record *rec,
                  const char today[11], struct tz_arena *a, struct tz_event_out *out, struct tz_err *err)
{
    struct tz_trail none = {.a = a};
    struct rule r = {.rep = rep,
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
        rc = guards_before(&r, s, NULL);
    if (!rc)
        rc = carry_out(&r, s, NULL);
    if (rc == 1)
        *rec = *r.was;
    return rc < 0 ? rc : 0;
}
