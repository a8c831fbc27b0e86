/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of transitions.csv: guards, and what a step makes of its record. Guards about dates look at what has come
 * out; the others at what stands.
 */
#include "event_int.h"
#include "planted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DAY_MS = 24 * 60 * 60 * 1000, PARAM_TEXT_BYTES = 32 };

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

static int guard_children(struct tz_rule *r, const struct tz_step_guard *g)
{
    struct children c = {.who = r->who, .t = r->t, .example = ""};
    int rc = tz_replica_find(r->rep, &r->t->fields[g->field], r->t, tz_value_blob(r->id.b, TZ_ID_BYTES), count_open, &c,
                             r->err);
    if (rc || c.open == 0)
        return rc;
    const char *n = tz_rule_number(r, c.open);
    const char *example = tz_arena_strdup(r->a, c.example[0] ? c.example : "-");
    return n && example ? tz_rule_refuse(r, TZ_E_STEP_CHILDREN, n, example, NULL) : tz_rule_no_memory(r);
}

static int guard_open(struct tz_rule *r, const struct tz_step_guard *g)
{
    struct tz_row *row = NULL;
    int rc = tz_rule_named(r, g->field, &row);
    if (rc <= 0)
        return rc;
    int state = tz_type_state(r->t, row->rec.v[r->t->state_field]);
    bool final = state >= 0 && (r->t->final_states >> state & 1);
    return final ? tz_rule_refuse(r, TZ_E_STEP_CLOSED, r->t->fields[g->field].name, NULL, NULL) : 0;
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
static bool pending(const struct tz_rule *r, const char *action)
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

static int guard_fewer(struct tz_rule *r, const struct tz_step *s, const struct tz_step_guard *g)
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
    return most ? tz_rule_refuse(r, TZ_E_STEP_TOO_OFTEN, s->action, most, NULL) : tz_rule_no_memory(r);
}

static int guard_before(struct tz_rule *r, const struct tz_step *s, const struct tz_step_guard *g,
                        const struct tz_event_ask *ask)
{
    const struct tz_event *e = g->action ? tz_rule_last(r->trail, g->action) : NULL;
    const char *due = NULL;
    switch (g->kind) {
    case TZ_GUARD_OPINION:
        return ask && ask->opinion ? 0 : tz_rule_refuse(r, TZ_E_STEP_OPINION, s->action, NULL, NULL);
    case TZ_GUARD_NOT:
        return e && tz_id_eq(e->actor, r->who->user) && !TZ_PLANTED(STEP_SAME_PERSON)
                   ? tz_rule_refuse(r, TZ_E_STEP_SAME, s->action, g->action, NULL)
                   : 0;
    case TZ_GUARD_CHILDREN:
        return guard_children(r, g);
    case TZ_GUARD_OPEN:
        return guard_open(r, g);
    case TZ_GUARD_UNTIL:
        due = tz_rule_text(r, r->rec->v[g->field]);
        return !due                                    ? tz_rule_no_memory(r)
               : passed(r->rec->v[g->field], r->today) ? tz_rule_refuse(r, TZ_E_STEP_LATE, s->action, due, NULL)
                                                       : 0;
    case TZ_GUARD_PENDING:
        return pending(r, g->action) ? 0 : tz_rule_refuse(r, TZ_E_STEP_UNASKED, g->action, NULL, NULL);
    case TZ_GUARD_SETTLED:
        return pending(r, g->action) ? tz_rule_refuse(r, TZ_E_STEP_UNANSWERED, g->action, NULL, NULL) : 0;
    case TZ_GUARD_FEWER:
        return guard_fewer(r, s, g);
    case TZ_GUARD_LATER:
    case TZ_GUARD_ORDER:
        break; /* about what comes out */
    }
    return 0;
}

static int guard_after(struct tz_rule *r, const struct tz_step_guard *g)
{
    const char *name = r->t->fields[g->field].name;
    if (g->kind == TZ_GUARD_LATER && compare_dates(r->rec->v[g->field], r->was->v[g->field]) <= 0) {
        const char *was = tz_rule_text(r, r->was->v[g->field]);
        return was ? tz_rule_refuse(r, TZ_E_STEP_NOT_LATER, name, was, NULL) : tz_rule_no_memory(r);
    }
    if (g->kind == TZ_GUARD_ORDER && compare_dates(r->rec->v[g->field], r->rec->v[g->other]) > 0)
        return tz_rule_refuse(r, TZ_E_STEP_DATES, r->t->fields[g->other].name, name, NULL);
    return 0;
}

int tz_rule_guards(struct tz_rule *r, const struct tz_step *s, const struct tz_event_ask *ask)
{
    int rc = 0;
    for (size_t i = 0; i < s->nguards && !rc; i++)
        rc = guard_before(r, s, &s->guards[i], ask);
    return rc;
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
static int add_days(struct tz_rule *r, struct tz_value date, int days, struct tz_value *out)
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
        return tz_rule_no_memory(r);
    *out = tz_value_text(copy);
    return 0;
}

static int apply_effect(struct tz_rule *r, const struct tz_step_effect *e)
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
        return text ? 0 : tz_rule_no_memory(r);
    case TZ_EFFECT_LEVEL:
        *v = tz_value_text(tz_rule_level(r->who->role));
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
        text = tz_rule_text(r, r->rec->v[e->other]);
        return text ? add_days(r, *v, days_between(text, r->today), v) : tz_rule_no_memory(r);
    }
    return 0;
}

int tz_rule_carry_out(struct tz_rule *r, const struct tz_step *s, const struct tz_event_ask *ask)
{
    int rc = 0;
    for (size_t i = 0; ask && ask->in && i < r->t->nfields; i++)
        if (ask->names[i])
            r->rec->v[i] = ask->in->v[i];
    for (size_t i = 0; i < s->neffects && !rc; i++)
        rc = apply_effect(r, &s->effects[i]);
    r->rec->v[r->t->state_field] = tz_value_text(tz_rule_state(r->t, r->out->to));
    for (size_t i = 0; i < s->nguards && !rc; i++)
        rc = guard_after(r, &s->guards[i]);
    return rc;
}
