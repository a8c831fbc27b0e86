/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pass over transitions.csv: the procedures of record types.
 *
 * Guards and effects are words with fields, actions and parameters in them; the two tables of words below are all there
 * is. Checked here is what keeps a procedure sound: actions and states are in their enums, fields are of the procedure
 * and have the type that the word works on, no state has an action twice, there is one opening, and there is a type
 * that records the steps. A catalogue without the file has no procedures.
 */
#include "catalogue_impl.h"

#include <string.h>

enum { S_TYPE, S_FROM, S_ACTION, S_TO, S_WHO, S_GIVES, S_GUARDS, S_EVIDENCE, S_EFFECTS, S_NOTE, S_COLUMNS };
enum { WORDS_MAX = 32 };

/** The rows of one type on their way. */
struct procedure {
    struct tz_type *t;
    const struct tz_field *state, *action; /* action: of the event type */
    struct tz_step *steps;
};

/* ---- words ---- */

/** The parts of a cell between @separator, in scratch memory. */
static int split(const struct tz_cell *c, size_t column, char separator, char *out[WORDS_MAX], size_t *n)
{
    char *rest = tz_arena_strdup(&c->ld->scratch, tz_cell(c, column));
    *n = 0;
    if (rest == NULL)
        return tz_loader_nomem(c->ld);
    while (*rest != '\0') {
        char *end = strchr(rest, separator);
        if (*n == WORDS_MAX)
            return tz_cell_fail(c, column, "more than %d words", WORDS_MAX);
        if (end != NULL)
            *end = '\0';
        if (*rest == '\0' || (end != NULL && end[1] == '\0'))
            return tz_cell_fail(c, column, "words are separated by one '%c'", separator);
        out[(*n)++] = rest;
        rest = end != NULL ? end + 1 : rest + strlen(rest);
    }
    return 0;
}

static const struct tz_field *field_of(const struct tz_type *t, const char *name)
{
    const struct tz_field *f = tz_type_field(t, name);
    return f != NULL && f->merge == TZ_MERGE_EVENTS ? f : NULL;
}

static bool has_code(const struct tz_enum *e, const char *code)
{
    return tz_enum_code(e, tz_value_text(code)) != NULL;
}

static int find_field(const struct tz_cell *c, size_t column, const struct tz_type *t, const char *name, uint16_t *out)
{
    const struct tz_field *f = field_of(t, name);
    if (f == NULL)
        return tz_cell_fail(c, column, "'%.40s' is no field of the procedure of %s", name, t->name);
    *out = f->index;
    return 0;
}

static int find_action(const struct tz_cell *c, size_t column, const struct procedure *p, const char *word,
                       const char **out)
{
    for (size_t i = 0; i < p->action->en->nvalues; i++)
        if (strcmp(p->action->en->values[i].code, word) == 0) {
            *out = p->action->en->values[i].code;
            return 0;
        }
    return tz_cell_fail(c, column, "'%.40s' is no code of %s", word, p->action->en->name);
}

static int find_state(const struct tz_cell *c, size_t column, const struct procedure *p, const char *code, int *out)
{
    for (size_t i = 0; i < p->state->en->nvalues; i++)
        if (strcmp(p->state->en->values[i].code, code) == 0) {
            *out = (int)i;
            return 0;
        }
    return tz_cell_fail(c, column, "'%.40s' is no state of %s", code, p->t->name);
}

/* ---- from, to, who, gives ---- */

static int load_from(const struct tz_cell *c, const struct procedure *p, struct tz_step *s)
{
    char *words[WORDS_MAX];
    size_t n = 0;
    if (strcmp(tz_cell(c, S_FROM), "-") == 0)
        return 0;
    int rc = split(c, S_FROM, '|', words, &n);
    for (size_t i = 0; i < n && rc == 0; i++) {
        int state = 0;
        rc = find_state(c, S_FROM, p, words[i], &state);
        s->from |= UINT64_C(1) << state;
    }
    return rc == 0 && n == 0 ? tz_cell_fail(c, S_FROM, "a state, or - for the opening") : rc;
}

static int load_to(const struct tz_cell *c, const struct procedure *p, struct tz_step *s)
{
    const char *to = tz_cell(c, S_TO);
    bool opening = s->from == 0;
    s->to = !opening && strcmp(to, "=") == 0   ? TZ_STEP_SAME
            : !opening && strcmp(to, "+") == 0 ? TZ_STEP_NEW
            : !opening && to[0] == '<'         ? TZ_STEP_BACK
                                               : 0;
    if (s->to == TZ_STEP_BACK)
        return find_action(c, S_TO, p, to + 1, &s->back);
    return s->to < 0 ? 0 : find_state(c, S_TO, p, to, &s->to);
}

static const struct tz_role *find_role(const struct tz_loader *ld, const char *name)
{
    for (size_t i = 0; i < ld->nroles; i++)
        if (strcmp(ld->roles[i].name, name) == 0)
            return &ld->roles[i];
    return NULL;
}

static int load_who_field(const struct tz_cell *c, const struct procedure *p, const char *name, int *out)
{
    const struct tz_field *f = field_of(p->t, name);
    bool unit = f != NULL && f->ftype == TZ_FT_REF && strcmp(f->ref->name, "unit") == 0;
    bool level = f != NULL && f->ftype == TZ_FT_ENUM && has_code(f->en, "C") && has_code(f->en, "D");
    if (!unit && !level)
        return tz_cell_fail(c, S_WHO, "'%.40s' is neither a reference to a unit nor a level C or D", name);
    *out = f->index;
    return 0;
}

static int load_who(const struct tz_cell *c, const struct procedure *p, struct tz_step *s)
{
    char *words[WORDS_MAX];
    size_t n = 0;
    int rc = split(c, S_WHO, '|', words, &n);
    if (rc == 0 && n == 0)
        rc = tz_cell_fail(c, S_WHO, "somebody must be allowed to");
    struct tz_step_who *who = rc == 0 ? tz_arena_calloc(c->ld->arena, n, sizeof *who) : NULL;
    for (size_t i = 0; i < n && rc == 0 && who != NULL; i++) {
        char *colon = strchr(words[i], ':');
        if (colon != NULL)
            *colon = '\0';
        who[i] = (struct tz_step_who){find_role(c->ld, words[i]), -1};
        if (who[i].role == NULL)
            rc = tz_cell_fail(c, S_WHO, "unknown role '%.40s'", words[i]);
        else if (colon != NULL)
            rc = load_who_field(c, p, colon + 1, &who[i].field);
    }
    s->who = who;
    s->nwho = n;
    return rc == 0 && who == NULL ? tz_loader_nomem(c->ld) : rc;
}

static int load_gives(const struct tz_cell *c, const struct procedure *p, struct tz_step *s)
{
    char *words[WORDS_MAX];
    size_t n = 0;
    int rc = split(c, S_GIVES, ' ', words, &n);
    struct tz_step_gives *gives = rc == 0 ? tz_arena_calloc(c->ld->arena, n + 1, sizeof *gives) : NULL;
    for (size_t i = 0; i < n && rc == 0 && gives != NULL; i++) {
        size_t len = strlen(words[i]);
        gives[i].must = words[i][len - 1] == '!';
        words[i][len - gives[i].must] = '\0';
        rc = find_field(c, S_GIVES, p->t, words[i], &gives[i].field);
        if (rc == 0 && gives[i].field == p->state->index)
            rc = tz_cell_fail(c, S_GIVES, "the state follows from the step");
    }
    s->gives = gives;
    s->ngives = n;
    if (rc != 0 || gives == NULL)
        return rc != 0 ? rc : tz_loader_nomem(c->ld);
    if (s->from == 0 && n > 0)
        return tz_cell_fail(c, S_GIVES, "what an opening says is in fields.csv");
    if (s->to != TZ_STEP_NEW)
        return 0;
    if (n != 1 || p->t->fields[gives[0].field].ref != p->t)
        return tz_cell_fail(c, S_GIVES, "'+' gives one field: the new record's reference to this one");
    s->link = gives[0].field;
    return 0;
}

/* ---- guards and effects ---- */

/** What stands behind the word, after ':'. */
enum operand { NOTHING, ACTION, DATE, DATES, PARENT, ACTION_PARAM };

static const struct guard_word {
    const char *word;
    enum tz_guard kind;
    enum operand operand;
} guard_words[] = {
    {"opinion", TZ_GUARD_OPINION, NOTHING},  {"not", TZ_GUARD_NOT, ACTION},
    {"children", TZ_GUARD_CHILDREN, PARENT}, {"open", TZ_GUARD_OPEN, PARENT},
    {"until", TZ_GUARD_UNTIL, DATE},         {"later", TZ_GUARD_LATER, DATE},
    {"order", TZ_GUARD_ORDER, DATES},        {"pending", TZ_GUARD_PENDING, ACTION},
    {"settled", TZ_GUARD_SETTLED, ACTION},   {"fewer", TZ_GUARD_FEWER, ACTION_PARAM},
};

static int date_field(const struct tz_cell *c, size_t column, const struct procedure *p, const char *name,
                      uint16_t *out)
{
    int rc = find_field(c, column, p->t, name, out);
    if (rc == 0 && p->t->fields[*out].ftype != TZ_FT_DATE)
        rc = tz_cell_fail(c, column, "'%.40s' is no date", name);
    return rc;
}

static int param_name(const struct tz_cell *c, const char *name, const char **out)
{
    if (*name == '\0' || strlen(name) > TZ_NAME_MAX)
        return tz_cell_fail(c, S_GUARDS, "'%.40s' is no parameter", name);
    *out = tz_arena_strdup(c->ld->arena, name);
    return *out != NULL ? 0 : tz_loader_nomem(c->ld);
}

/** @rest: the operands, "" none. Cut up here. */
static int guard_operands(const struct tz_cell *c, const struct procedure *p, enum operand o, char *rest,
                          struct tz_step_guard *g)
{
    char *second = strchr(rest, ':');
    if (second != NULL)
        *second++ = '\0';
    if ((second != NULL) != (o == DATES || o == ACTION_PARAM) || (*rest != '\0') != (o != NOTHING))
        return tz_cell_fail(c, S_GUARDS, "the word has too few or too many parts");
    int rc = 0;
    if (o == ACTION || o == ACTION_PARAM)
        rc = find_action(c, S_GUARDS, p, rest, &g->action);
    if (rc == 0 && o == ACTION_PARAM)
        rc = param_name(c, second, &g->param);
    if (o == DATE || o == DATES)
        rc = date_field(c, S_GUARDS, p, rest, &g->field);
    if (rc == 0 && o == DATES)
        rc = date_field(c, S_GUARDS, p, second, &g->other);
    if (o == PARENT) {
        rc = find_field(c, S_GUARDS, p->t, rest, &g->field);
        if (rc == 0 && p->t->fields[g->field].ref != p->t)
            rc = tz_cell_fail(c, S_GUARDS, "'%.40s' is no reference to a %s", rest, p->t->name);
    }
    return rc;
}

static int load_guards(const struct tz_cell *c, const struct procedure *p, struct tz_step *s)
{
    char *words[WORDS_MAX];
    char none[] = "";
    size_t n = 0;
    int rc = split(c, S_GUARDS, ' ', words, &n);
    struct tz_step_guard *guards = rc == 0 ? tz_arena_calloc(c->ld->arena, n + 1, sizeof *guards) : NULL;
    for (size_t i = 0; i < n && rc == 0 && guards != NULL; i++) {
        char *colon = strchr(words[i], ':');
        const struct guard_word *w = NULL;
        if (colon != NULL)
            *colon++ = '\0';
        for (size_t k = 0; k < sizeof guard_words / sizeof *guard_words; k++)
            if (strcmp(guard_words[k].word, words[i]) == 0)
                w = &guard_words[k];
        if (w == NULL)
            return tz_cell_fail(c, S_GUARDS, "unknown guard '%.40s'", words[i]);
        guards[i].kind = w->kind;
        rc = guard_operands(c, p, w->operand, colon != NULL ? colon : none, &guards[i]);
    }
    s->guards = guards;
    s->nguards = n;
    return rc == 0 && guards == NULL ? tz_loader_nomem(c->ld) : rc;
}

static int load_evidence(const struct tz_cell *c, const struct procedure *p, struct tz_step *s)
{
    const char *word = tz_cell(c, S_EVIDENCE);
    s->evidence = strcmp(word, "yes") == 0 ? TZ_EVIDENCE_YES : TZ_EVIDENCE_NO;
    if (strcmp(word, "yes") == 0 || strcmp(word, "no") == 0)
        return 0;
    const struct tz_field *f = field_of(p->t, word);
    if (f == NULL || f->dflt.kind == TZ_V_NULL)
        return tz_cell_fail(c, S_EVIDENCE, "'%.40s' is neither yes, no nor a field with a default", word);
    s->evidence = TZ_EVIDENCE_FIELD;
    s->evidence_field = f->index;
    return 0;
}

static const struct effect_word {
    const char *word;
    enum tz_effect kind;
    enum tz_ftype ftype;
} effect_words[] = {
    {"=today", TZ_EFFECT_TODAY, TZ_FT_DATE},
    {"=level", TZ_EFFECT_LEVEL, TZ_FT_ENUM},
    {"+1", TZ_EFFECT_COUNT, TZ_FT_INT},
};

/** FIELD=OTHER, FIELD+days:OTHER: @value is what follows FIELD. */
static int effect_of_field(const struct tz_cell *c, const struct procedure *p, const char *value,
                           struct tz_step_effect *e)
{
    const struct tz_field *f = &p->t->fields[e->field];
    bool days = strncmp(value, "+days:", 6) == 0;
    if (!days && value[0] != '=')
        return tz_cell_fail(c, S_EFFECTS, "'%.40s' is no effect", value);
    e->kind = days ? TZ_EFFECT_DAYS : TZ_EFFECT_COPY;
    int rc = find_field(c, S_EFFECTS, p->t, value + (days ? 6 : 1), &e->other);
    if (rc == 0 && (p->t->fields[e->other].ftype != f->ftype || (days && f->ftype != TZ_FT_DATE)))
        rc = tz_cell_fail(c, S_EFFECTS, "'%s' and '%s' do not go together", f->name, p->t->fields[e->other].name);
    return rc;
}

/** FIELD=number:PREFIX */
static int effect_number(const struct tz_cell *c, const struct tz_field *f, const char *prefix,
                         struct tz_step_effect *e)
{
    enum { DIGITS = 16 }; /* year, district, six more */
    size_t n = strspn(prefix, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    if (f->ftype != TZ_FT_STR || n == 0 || prefix[n] != '\0' || (int64_t)n + DIGITS > f->limit)
        return tz_cell_fail(c, S_EFFECTS, "'number:%.40s' does not fit '%s'", prefix, f->name);
    e->kind = TZ_EFFECT_NUMBER;
    e->prefix = tz_arena_strdup(c->ld->arena, prefix);
    return e->prefix != NULL ? 0 : tz_loader_nomem(c->ld);
}

static int load_effect(const struct tz_cell *c, const struct procedure *p, const char *word, struct tz_step_effect *e)
{
    char name[TZ_NAME_MAX + 1];
    size_t n = strcspn(word, "=+");
    const char *value = word + n;
    if (n > TZ_NAME_MAX || *value == '\0')
        return tz_cell_fail(c, S_EFFECTS, "'%.40s' is no effect", word);
    memcpy(name, word, n);
    name[n] = '\0';
    int rc = find_field(c, S_EFFECTS, p->t, name, &e->field);
    if (rc != 0)
        return rc;
    const struct tz_field *f = &p->t->fields[e->field];
    if (f == p->state)
        return tz_cell_fail(c, S_EFFECTS, "the state follows from the step");
    e->kind = TZ_EFFECT_NULL;
    if (strcmp(value, "=null") == 0)
        return 0;
    for (size_t i = 0; i < sizeof effect_words / sizeof *effect_words; i++) {
        if (strcmp(effect_words[i].word, value) != 0)
            continue;
        e->kind = effect_words[i].kind;
        return f->ftype == effect_words[i].ftype ? 0
                                                 : tz_cell_fail(c, S_EFFECTS, "'%.40s' does not fit the field", word);
    }
    return strncmp(value, "=number:", 8) == 0 ? effect_number(c, f, value + 8, e) : effect_of_field(c, p, value, e);
}

static int load_effects(const struct tz_cell *c, const struct procedure *p, struct tz_step *s)
{
    char *words[WORDS_MAX];
    size_t n = 0;
    int rc = split(c, S_EFFECTS, ' ', words, &n);
    struct tz_step_effect *effects = rc == 0 ? tz_arena_calloc(c->ld->arena, n + 1, sizeof *effects) : NULL;
    for (size_t i = 0; i < n && rc == 0 && effects != NULL; i++) {
        rc = load_effect(c, p, words[i], &effects[i]);
        if (rc == 0 && effects[i].kind == TZ_EFFECT_NUMBER && s->from != 0)
            rc = tz_cell_fail(c, S_EFFECTS, "a number is given at the opening");
        if (rc == 0 && s->to == TZ_STEP_NEW)
            rc = tz_cell_fail(c, S_EFFECTS, "'+' leaves the record as it is");
    }
    s->effects = effects;
    s->neffects = n;
    return rc == 0 && effects == NULL ? tz_loader_nomem(c->ld) : rc;
}

/* ---- rows ---- */

/** The type that records steps: append, its area from the record, with an `action`. */
static const struct tz_type *event_type(const struct tz_loader *ld, const struct tz_type *t)
{
    static const struct {
        const char *name;
        enum tz_ftype ftype;
    } wanted[] = {{"action", TZ_FT_ENUM}, {"from_state", TZ_FT_ENUM}, {"to_state", TZ_FT_ENUM},
                  {"seq", TZ_FT_INT},     {"opinion", TZ_FT_TEXT},    {"evidence", TZ_FT_JSON}};
    for (size_t i = 0; i < ld->ntypes; i++) {
        const struct tz_type *e = &ld->types[i];
        bool ok = e->append && e->area_field >= 0 && e->fields[e->area_field].ref == t;
        for (size_t k = 0; k < sizeof wanted / sizeof *wanted && ok; k++) {
            const struct tz_field *f = tz_type_field(e, wanted[k].name);
            ok = f != NULL && f->ftype == wanted[k].ftype;
        }
        if (ok)
            return e;
    }
    return NULL;
}

static int begin(const struct tz_cell *c, struct procedure *p)
{
    int type = tz_loader_type(c->ld, tz_cell(c, S_TYPE));
    if (type < 0)
        return tz_cell_fail(c, S_TYPE, "unknown type '%.40s'", tz_cell(c, S_TYPE));
    p->t = &c->ld->types[type];
    if (p->t->nsteps != 0)
        return tz_cell_fail(c, S_TYPE, "the steps of %s go on after other types", p->t->name);
    if (p->t->auto_merge)
        return tz_cell_fail(c, S_TYPE, "records of %s become one by themselves; they have no procedure", p->t->name);
    p->state = field_of(p->t, "state");
    if (p->state == NULL || p->state->ftype != TZ_FT_ENUM || p->state->en->nvalues > TZ_STATES_MAX)
        return tz_cell_fail(c, S_TYPE, "%s has no field state of merge class events", p->t->name);
    const struct tz_type *e = event_type(c->ld, p->t);
    if (e == NULL)
        return tz_cell_fail(c, S_TYPE, "no type records the steps of %s", p->t->name);
    p->t->event_type = e;
    p->t->state_field = p->state->index;
    p->action = tz_type_field(e, "action");
    return 0;
}

/** One action leads to one place: not there twice for any state. */
static int check_single(const struct tz_cell *c, const struct procedure *p, const struct tz_step *s)
{
    for (const struct tz_step *o = p->steps; o < s; o++) {
        bool same = strcmp(o->action, s->action) == 0 && (o->from & s->from) != 0;
        if (same || (s->from == 0 && o->from == 0))
            return tz_cell_fail(c, S_ACTION, "'%s' is there twice for one state", s->action);
        if (s->to == TZ_STEP_NEW && o->to == TZ_STEP_NEW)
            return tz_cell_fail(c, S_TO, "'+' is there twice");
    }
    if (s->from != 0 && s == p->steps)
        return tz_cell_fail(c, S_FROM, "the opening (-) comes first");
    return 0;
}

static int load_step(const struct tz_cell *c, const struct procedure *p, struct tz_step *s)
{
    int rc = load_from(c, p, s);
    if (rc == 0)
        rc = find_action(c, S_ACTION, p, tz_cell(c, S_ACTION), &s->action);
    if (rc == 0)
        rc = load_to(c, p, s);
    if (rc == 0)
        rc = load_who(c, p, s);
    if (rc == 0)
        rc = load_gives(c, p, s);
    if (rc == 0)
        rc = load_guards(c, p, s);
    if (rc == 0)
        rc = load_evidence(c, p, s);
    if (rc == 0)
        rc = load_effects(c, p, s);
    return rc == 0 ? check_single(c, p, s) : rc;
}

static void note_final_states(struct tz_type *t)
{
    uint64_t leads_on = 0;
    for (size_t i = 0; i < t->nsteps; i++)
        leads_on |= t->steps[i].to == TZ_STEP_NEW ? 0 : t->steps[i].from;
    for (size_t i = 0; i < t->fields[t->state_field].en->nvalues; i++)
        t->final_states |= ~leads_on & UINT64_C(1) << i;
}

int tz_load_steps(struct tz_loader *ld)
{
    static const char *const columns[S_COLUMNS] = {"type",  "from",   "action",   "to",      "who",
                                                   "gives", "guards", "evidence", "effects", "note"};
    struct tz_table t;
    bool there = false;
    for (size_t i = 0; i < ld->nfiles; i++)
        there = there || strcmp(ld->files[i].name, "transitions.csv") == 0;
    int rc = there ? tz_loader_table(ld, "transitions.csv", columns, S_COLUMNS, &t) : 0;
    if (rc != 0 || !there)
        return rc;
    struct tz_step *steps = tz_arena_calloc(ld->arena, t.nrows + 1, sizeof *steps);
    struct procedure p = {0};
    if (steps == NULL)
        return tz_loader_nomem(ld);
    for (size_t i = 0; i < t.nrows && rc == 0; i++) {
        struct tz_cell c = {ld, &t, &t.rows[i]};
        if (p.t == NULL || strcmp(tz_cell(&c, S_TYPE), p.t->name) != 0) {
            rc = begin(&c, &p);
            p.steps = &steps[i];
        }
        if (rc == 0)
            rc = load_step(&c, &p, &steps[i]);
        if (rc == 0) {
            p.t->steps = p.steps;
            p.t->nsteps++;
        }
    }
    for (size_t i = 0; i < ld->ntypes && rc == 0; i++)
        if (ld->types[i].nsteps != 0)
            note_final_states(&ld->types[i]);
    return rc;
}
