/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle's word on procedures: the table is the catalogue's, what it means is written here a second time. The steps
 * of all records stand in one list; the state of a record is what the last of its steps says.
 */
#include "oracle_int.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DAY = 11 };

/* ---- the list ---- */

static const struct oracle_event *last_step(const struct oracle *o, const struct oracle_row *r, const char *action)
{
    for (size_t i = o->nevents; i > 0; i--) {
        const struct oracle_event *e = &o->events[i - 1];
        if (e->type == r->type && tz_id_eq(e->item, r->id) && (!action || strcmp(e->action, action) == 0))
            return e;
    }
    return NULL;
}

static uint64_t taken(const struct oracle *o, const struct oracle_row *r, const char *action)
{
    uint64_t n = 0;
    for (size_t i = 0; i < o->nevents; i++)
        n += o->events[i].type == r->type && tz_id_eq(o->events[i].item, r->id) &&
             strcmp(o->events[i].action, action) == 0;
    return n;
}

static int state_of(const struct oracle_row *r)
{
    const struct tz_enum *en = r->type->fields[r->type->state_field].en;
    for (size_t i = 0; i < en->nvalues; i++)
        if (tz_value_is_text(r->v[r->type->state_field], en->values[i].code))
            return (int)i;
    return -1;
}

static const char *code_of(const struct tz_type *t, int state)
{
    return state < 0 ? "" : t->fields[t->state_field].en->values[state].code;
}

static bool ended(const struct oracle_row *r)
{
    int state = state_of(r);
    for (size_t i = 0; state >= 0 && i < r->type->nsteps; i++)
        if (r->type->steps[i].from >> state & 1 && r->type->steps[i].to != TZ_STEP_NEW)
            return false;
    return state >= 0;
}

static void note(struct oracle *o, const struct oracle_row *r, const struct tz_step *s, int from, int to,
                 const struct tz_op *op, const struct tz_value *said)
{
    const struct oracle_event *before = last_step(o, r, NULL);
    struct oracle_event e = {.type = r->type,
                             .item = r->id,
                             .seq = before ? before->seq + 1 : 1,
                             .ver = o->me.ver,
                             .action = s->action,
                             .from = code_of(r->type, from),
                             .to = code_of(r->type, to),
                             .from_state = from,
                             .actor = o->me.user,
                             .received_ms = o->who.received_ms,
                             .expected_seq = op ? op->expected_seq : 0};
    if (said) {
        e.opinion = said[0];
        e.evidence = said[1];
    }
    ORACLE_GROW(o->events, o->nevents, o->events_cap);
    o->events[o->nevents++] = e;
}

/* ---- days ---- */

static void day_of_ms(int64_t ms, char out[DAY])
{
    int64_t days = (ms + 8 * 3600000) / 86400000;
    int year = 1970;
    for (int n; days >= (n = year % 4 == 0 && (year % 100 || year % 400 == 0) ? 366 : 365); year++)
        days -= n;
    static const int LONG[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 || year % 400 == 0);
    int month = 0;
    for (int n; days >= (n = LONG[month] + (month == 1 && leap)); month++)
        days -= n;
    char text[48];
    (void)snprintf(text, sizeof text, "%04d-%02d-%02d", year, month + 1, (int)days + 1);
    memcpy(out, text, DAY - 1);
    out[DAY - 1] = '\0';
}

/** A year or a month is its first day; "" for no date. */
static void first_day(struct tz_value v, char out[DAY])
{
    memcpy(out, "0000-01-01", DAY);
    if (v.kind == TZ_V_TEXT)
        memcpy(out, v.p, v.n < DAY - 1 ? v.n : DAY - 1);
    else
        out[0] = '\0';
}

/** Looked for, not computed: this is the second opinion. */
static int64_t day_number(const char day[DAY])
{
    int64_t low = 0;
    int64_t high = 50000;
    char other[DAY];
    while (low < high) {
        day_of_ms((low + high) / 2 * 86400000, other);
        if (strcmp(other, day) < 0)
            low = (low + high) / 2 + 1;
        else
            high = (low + high) / 2;
    }
    return low;
}

/* ---- who ---- */

static const struct oracle_row *find_unit(const struct oracle *o, const char *kind, struct tz_value district)
{
    for (size_t i = 0; i < o->nrows; i++) {
        const struct oracle_row *r = o->rows[i];
        if (strcmp(r->type->name, "unit") != 0 || r->deleted ||
            !tz_value_is_text(r->v[tz_type_field(r->type, "kind")->index], kind))
            continue;
        if (district.kind == TZ_V_NULL || tz_value_eq(r->v[tz_type_field(r->type, "district_code")->index], district))
            return r;
    }
    return NULL;
}

/** For which unit the author acts. */
static bool unit_of(const struct oracle *o, struct tz_id *out)
{
    const struct tz_type *user = tz_catalogue_type(o->cat, "user");
    const struct oracle_row *u = ora_find(o, user, o->me.user);
    if (!u)
        return false;
    struct tz_value own = u->v[tz_type_field(user, "unit")->index];
    struct tz_value district = u->v[tz_type_field(user, "district_code")->index];
    if (own.kind == TZ_V_BLOB) {
        memcpy(out->b, own.p, TZ_ID_BYTES);
        return true;
    }
    const struct oracle_row *r =
        o->who.role->editor ? find_unit(o, district.kind == TZ_V_NULL ? "committee" : "district_committee", district)
                            : NULL;
    if (r)
        *out = r->id;
    return r != NULL;
}

static const char *level(const struct oracle *o)
{
    return o->who.role->level == TZ_LEVEL_CITY ? "C" : "D";
}

static bool may_take(const struct oracle *o, const struct tz_type *t, const struct tz_step *s, const struct tz_value *v,
                     bool decided)
{
    struct tz_id unit;
    bool acts = unit_of(o, &unit);
    if (decided) /* asked of the one whose words they are */
        return acts;
    for (size_t i = 0; i < s->nwho && acts; i++) {
        int f = s->who[i].field;
        if (s->who[i].role != o->who.role)
            continue;
        if (f < 0 || (t->fields[f].ftype == TZ_FT_ENUM ? tz_value_is_text(v[f], level(o))
                                                       : tz_value_eq(v[f], tz_value_blob(unit.b, TZ_ID_BYTES))))
            return true;
    }
    return false;
}

/* ---- guards ---- */

static bool children_ended(const struct oracle *o, const struct oracle_row *r, size_t field)
{
    for (size_t i = 0; i < o->nrows; i++) {
        const struct oracle_row *c = o->rows[i];
        bool names =
            c->type == r->type && c->v[field].kind == TZ_V_BLOB && memcmp(c->v[field].p, r->id.b, TZ_ID_BYTES) == 0;
        if (names && !c->deleted && ora_in_area(o, &c->area) && !ended(c))
            return false;
    }
    return true;
}

static const struct oracle_row *named(const struct oracle *o, const struct tz_type *t, struct tz_value v)
{
    struct tz_id id;
    if (v.kind != TZ_V_BLOB)
        return NULL;
    memcpy(id.b, v.p, TZ_ID_BYTES);
    return ora_find(o, t, id);
}

/** Is @action the newest among itself and the steps that answer it? */
static bool unanswered(const struct oracle *o, const struct oracle_row *r, const char *action)
{
    const struct oracle_event *asked = last_step(o, r, action);
    for (size_t k = 0; asked && k < r->type->nsteps; k++) {
        const struct tz_step *s = &r->type->steps[k];
        for (size_t m = 0; m < s->nguards; m++) {
            bool answers = s->guards[m].kind == TZ_GUARD_PENDING && strcmp(s->guards[m].action, action) == 0;
            const struct oracle_event *answer = answers ? last_step(o, r, s->action) : NULL;
            if (answer && answer->seq > asked->seq)
                return false;
        }
    }
    return asked != NULL;
}

/** The newest value of a parameter that holds on @today; -1 nobody has set one. */
static int64_t param(const struct oracle *o, const char *key, const char today[DAY])
{
    char best[DAY] = "";
    int64_t value = -1;
    for (size_t i = 0; i < o->nrows; i++) {
        const struct oracle_row *r = o->rows[i];
        char from[DAY];
        if (strcmp(r->type->name, "param") != 0 || r->deleted ||
            !tz_value_is_text(r->v[tz_type_field(r->type, "key")->index], key))
            continue;
        struct tz_value v = r->v[tz_type_field(r->type, "value")->index];
        first_day(r->v[tz_type_field(r->type, "from_on")->index], from);
        if (v.kind != TZ_V_TEXT || strcmp(from, today) > 0 || (value >= 0 && strcmp(from, best) < 0))
            continue;
        memcpy(best, from, DAY);
        value = strtoll((const char *)v.p, NULL, 10);
    }
    return value;
}

struct taking {
    const struct tz_step *step;
    const char *today;
    bool opinion, evidence;
};

static bool passes(const struct oracle *o, const struct oracle_row *r, const struct taking *x,
                   const struct tz_step_guard *g)
{
    const struct oracle_event *e = NULL;
    const struct oracle_row *up = NULL;
    struct tz_value due = g->kind == TZ_GUARD_UNTIL ? r->v[g->field] : tz_value_null();
    int64_t most = 0;
    switch (g->kind) {
    case TZ_GUARD_OPINION:
        return x->opinion;
    case TZ_GUARD_NOT:
        e = last_step(o, r, g->action);
        return !e || !tz_id_eq(e->actor, o->me.user);
    case TZ_GUARD_CHILDREN:
        return children_ended(o, r, g->field);
    case TZ_GUARD_OPEN:
        up = named(o, r->type, r->v[g->field]);
        return !up || !ended(up);
    case TZ_GUARD_UNTIL:
        return due.kind != TZ_V_TEXT || strncmp(x->today, (const char *)due.p, due.n < 10 ? due.n : 10) <= 0;
    case TZ_GUARD_PENDING:
        return unanswered(o, r, g->action);
    case TZ_GUARD_SETTLED:
        return !unanswered(o, r, g->action);
    case TZ_GUARD_FEWER:
        most = param(o, g->param, x->today);
        return most < 0 || taken(o, r, g->action) < (uint64_t)most;
    case TZ_GUARD_LATER:
    case TZ_GUARD_ORDER:
        break;
    }
    return true;
}

/** Guards about what comes out: @v after, @was before. */
static bool passes_after(const struct tz_step_guard *g, const struct tz_value *was, const struct tz_value *v)
{
    char a[DAY];
    char b[DAY];
    if (g->kind != TZ_GUARD_LATER && g->kind != TZ_GUARD_ORDER)
        return true;
    first_day(v[g->field], a);
    first_day(g->kind == TZ_GUARD_LATER ? was[g->field] : v[g->other], b);
    if (g->kind == TZ_GUARD_LATER)
        return a[0] && b[0] && strcmp(a, b) > 0;
    return !a[0] || !b[0] || strcmp(a, b) <= 0;
}

/* ---- effects ---- */

static struct tz_value own_text(struct oracle *o, const char *s)
{
    return tz_value_text(tz_arena_strdup(&o->arena, s));
}

/** Numbers are given one after the other, so the next one follows from how many there are. */
static struct tz_value number(struct oracle *o, const struct oracle_row *r, const struct tz_step_effect *e)
{
    char day[DAY];
    char series[64];
    char text[96];
    unsigned n = 1;
    day_of_ms(o->who.received_ms, day);
    (void)snprintf(series, sizeof series, "%s%.4s%s", e->prefix, day,
                   r->area.district[0] ? r->area.district : "120000");
    for (size_t i = 0; i < o->nrows; i++) {
        const struct oracle_row *x = o->rows[i];
        n += x != r && x->type == r->type && x->v[e->field].kind == TZ_V_TEXT && x->v[e->field].n > strlen(series) &&
             strncmp((const char *)x->v[e->field].p, series, strlen(series)) == 0;
    }
    (void)snprintf(text, sizeof text, "%s%06u", series, n);
    return own_text(o, text);
}

static struct tz_value later(struct oracle *o, struct tz_value date, struct tz_value since, const char *today)
{
    char a[DAY];
    char b[DAY];
    char out[DAY];
    first_day(date, a);
    first_day(since, b);
    if (!a[0] || !b[0] || since.n < 10 || strcmp(today, b) <= 0)
        return date;
    day_of_ms((day_number(a) + day_number(today) - day_number(b)) * 86400000, out);
    return own_text(o, out);
}

static void effect(struct oracle *o, struct oracle_row *r, const struct tz_step_effect *e, const char *today)
{
    struct tz_value *v = &r->v[e->field];
    switch (e->kind) {
    case TZ_EFFECT_NULL:
        *v = tz_value_null();
        break;
    case TZ_EFFECT_TODAY:
        *v = own_text(o, today);
        break;
    case TZ_EFFECT_LEVEL:
        *v = own_text(o, level(o));
        break;
    case TZ_EFFECT_NUMBER:
        *v = number(o, r, e);
        break;
    case TZ_EFFECT_COPY:
        *v = r->v[e->other];
        break;
    case TZ_EFFECT_COUNT:
        *v = tz_value_int(v->kind == TZ_V_INT ? v->i + 1 : 1);
        break;
    case TZ_EFFECT_DAYS:
        *v = later(o, *v, r->v[e->other], today);
        break;
    }
}

/** Guards, effects and the state @to. @in NULL: an opening. The row is a copy or may be undone. */
static bool carry_out(struct oracle *o, struct oracle_row *r, const struct taking *x, const struct tz_value *in,
                      const bool *names, int to)
{
    const struct tz_step *s = x->step;
    struct tz_value was[TZ_FIELDS_MAX];
    memcpy(was, r->v, r->type->nfields * sizeof *was);
    for (size_t i = 0; i < s->nguards; i++)
        if (!passes(o, r, x, &s->guards[i]))
            return false;
    for (size_t i = 0; in && i < r->type->nfields; i++)
        if (names[i])
            r->v[i] = in[i];
    for (size_t i = 0; i < s->neffects; i++)
        effect(o, r, &s->effects[i], x->today);
    r->v[r->type->state_field] = own_text(o, code_of(r->type, to));
    for (size_t i = 0; i < s->nguards; i++)
        if (!passes_after(&s->guards[i], was, r->v))
            return false;
    return true;
}

/* ---- EVENT ---- */

/** opinion and evidence, as far as the note may say anything. */
static bool read_note(struct oracle *o, const struct tz_op *op, const struct tz_type *e, struct tz_value said[2])
{
    struct tz_record rec;
    struct tz_err err;
    if (tz_record_decode(e, op->note, &o->arena, &rec, &err) || rec.extra.n)
        return false;
    for (size_t i = 0; i < e->nfields; i++) {
        const struct tz_field *f = &e->fields[i];
        if (rec.v[i].kind == TZ_V_NULL)
            continue;
        if (f->editors == TZ_ED_S || f->required == TZ_REQ_SAVE || tz_value_check(f, rec.v[i], false, &err))
            return false;
    }
    said[0] = rec.v[tz_type_field(e, "opinion")->index];
    said[1] = rec.v[tz_type_field(e, "evidence")->index];
    return true;
}

static const struct tz_step *step_from(const struct tz_type *t, int state, const char *action)
{
    for (size_t i = 0; state >= 0 && i < t->nsteps; i++)
        if (t->steps[i].from >> state & 1 && strcmp(t->steps[i].action, action) == 0)
            return &t->steps[i];
    return NULL;
}

static bool says_what_it_may(const struct oracle_row *r, const struct tz_step *s, const bool *names, bool evidence)
{
    for (size_t i = 0; i < r->type->nfields; i++) {
        bool may = false;
        bool must = false;
        for (size_t k = 0; k < s->ngives; k++) {
            may = may || s->gives[k].field == i;
            must = must || (s->gives[k].field == i && s->gives[k].must);
        }
        if ((names[i] && !may) || (must && !names[i]))
            return false;
    }
    bool wanted = s->evidence == TZ_EVIDENCE_YES ||
                  (s->evidence == TZ_EVIDENCE_FIELD &&
                   !tz_value_eq(r->v[s->evidence_field], r->type->fields[s->evidence_field].dflt));
    return evidence || !wanted;
}

static int leads_to(const struct oracle *o, const struct oracle_row *r, const struct tz_step *s, int state)
{
    if (s->to == TZ_STEP_SAME)
        return state;
    if (s->to != TZ_STEP_BACK)
        return s->to;
    const struct oracle_event *e = last_step(o, r, s->back);
    return e ? e->from_state : -1;
}

int ora_op_event(struct oracle *o, const struct tz_op *op, const struct tz_type *t, const struct tz_value *in,
                 const bool *names)
{
    char today[DAY];
    struct tz_value said[2];
    struct oracle_row *r = t->nsteps ? ora_target(o, t, op->id) : NULL;
    if (!r || !ora_in_area(o, &r->area) || r->deleted || op->ncleared)
        return TZ_E_UNKNOWN_RECORD;
    int state = state_of(r);
    const struct oracle_event *before = last_step(o, r, NULL);
    const struct tz_step *s = step_from(t, state, op->action);
    if (!read_note(o, op, t->event_type, said))
        return TZ_E_BAD_OP;
    if (strcmp(op->expected_state, code_of(t, state)) != 0 || op->expected_seq != (before ? before->seq : 0) || !s ||
        s->to == TZ_STEP_NEW)
        return TZ_E_STEP_STALE;
    day_of_ms((int64_t)tz_hlc_ms(o->me.effective), today);
    json_t *files =
        said[1].kind == TZ_V_TEXT ? json_loadb((const char *)said[1].p, said[1].n, JSON_DECODE_ANY, NULL) : NULL;
    bool shown = json_is_array(files) && json_is_object(json_array_get(files, 0));
    json_decref(files);
    struct taking x = {s, today, said[0].kind != TZ_V_NULL, shown};
    int to = leads_to(o, r, s, state);
    if (!may_take(o, t, s, r->v, false) || !says_what_it_may(r, s, names, x.evidence) || to < 0)
        return TZ_E_STEP_ROLE;
    ora_touch(o, r);
    r->v = tz_arena_dup(&o->arena, r->v, t->nfields * sizeof *r->v);
    struct tz_value was[TZ_FIELDS_MAX];
    memcpy(was, r->v, t->nfields * sizeof *was);
    if (!carry_out(o, r, &x, in, names, to))
        return TZ_E_STEP_STATE;
    for (size_t i = 0; i < t->nfields; i++)
        if (i == t->state_field || !tz_value_eq(was[i], r->v[i]))
            r->stamp[i] = (struct oracle_stamp){.ver = o->me.ver};
    note(o, r, s, state, to, op, said);
    ora_wrote(o, r);
    return 0;
}

/* ---- openings ---- */

/** What the record says it reopens may be reopened, by this author, and has not been yet. */
static bool may_reopen(const struct oracle *o, const struct oracle_row *r, const struct tz_step *s, const char *today,
                       bool decided)
{
    const struct oracle_row *old = named(o, r->type, r->v[s->link]);
    int state = old ? state_of(old) : -1;
    struct taking x = {s, today, false, false};
    if (state < 0 || !(s->from >> state & 1) || !may_take(o, r->type, s, r->v, decided))
        return false;
    for (size_t i = 0; i < s->nguards; i++)
        if (!passes(o, r, &x, &s->guards[i]))
            return false;
    for (size_t i = 0; i < o->nrows; i++) {
        const struct oracle_row *c = o->rows[i];
        if (c != r && c->type == r->type && !c->deleted && ora_in_area(o, &c->area) &&
            tz_value_eq(c->v[s->link], r->v[s->link]))
            return false;
    }
    return true;
}

bool ora_reopens(const struct tz_type *t, size_t field)
{
    for (size_t i = 0; i < t->nsteps; i++)
        if (t->steps[i].to == TZ_STEP_NEW && t->steps[i].link == field)
            return true;
    return false;
}

bool ora_opens(const struct tz_type *t, const struct tz_role *role)
{
    for (size_t i = 0; t->nsteps && i < t->steps[0].nwho; i++)
        if (t->steps[0].who[i].role == role)
            return true;
    return t->nsteps == 0;
}

int ora_opening(struct oracle *o, struct oracle_row *r, bool decided)
{
    const struct tz_type *t = r->type;
    char today[DAY];
    struct taking x = {&t->steps[0], today, false, false};
    const struct tz_step *again = NULL;
    for (size_t i = 0; i < t->nsteps; i++)
        if (t->steps[i].to == TZ_STEP_NEW && r->v[t->steps[i].link].kind != TZ_V_NULL)
            again = &t->steps[i];
    day_of_ms((int64_t)tz_hlc_ms(o->me.effective), today);
    if (again && !may_reopen(o, r, again, today, decided))
        return TZ_E_STEP_STATE;
    if (!may_take(o, t, &t->steps[0], r->v, decided) || !carry_out(o, r, &x, NULL, NULL, t->steps[0].to))
        return TZ_E_STEP_ROLE;
    note(o, r, again ? again : &t->steps[0], -1, t->steps[0].to, NULL, NULL);
    return 0;
}

/* ---- for the reader ---- */

const struct oracle_event *oracle_events(const struct oracle *o, size_t *n)
{
    *n = o->nevents;
    return o->events;
}

const struct oracle_event *oracle_event_find(const struct oracle *o, struct tz_id item, uint64_t seq)
{
    for (size_t i = o->nevents; i > 0; i--)
        if (tz_id_eq(o->events[i - 1].item, item) && o->events[i - 1].seq == seq)
            return &o->events[i - 1];
    return NULL;
}
