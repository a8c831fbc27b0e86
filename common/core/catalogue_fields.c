/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The passes over fields.csv, groups.csv and keys.csv.
 *
 * A field's own cells are read first (tz_load_fields); what names another field or type of the catalogue is resolved
 * when all are there (tz_link_fields). The rules that keep merging well defined are checked here: append types have
 * append fields only, a group has an as-of date among its members, sets are merged as sets, a reference says what
 * deletion of its target does.
 */
#include "catalogue_impl.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    F_TYPE,
    F_ID,
    F_NAME,
    F_ZH,
    F_EN,
    F_FTYPE,
    F_ANY,
    F_REQUIRED,
    F_ENUM,
    F_EDITORS,
    F_OFFLINE,
    F_MERGE,
    F_GROUP,
    F_VIS,
    F_ON_DELETE,
    F_DEFAULT,
    F_ALIASES,
    F_ITEMS,
    F_COLUMNS
};
enum { FIELD_ID_MAX = 17999, CODE_CHARS_MAX = 32, HEADINGS_PER_FIELD = TZ_ALIASES_MAX + 3 };

/* field types: "str120", "ref(unit)" */

struct ftype_word {
    const char *word;
    enum tz_ftype ftype;
    bool takes_number; /* strN, codeN, intN */
    bool needs_number;
    bool takes_type; /* ref(T), refs(T) */
};

static const struct ftype_word ftype_words[] = {
    {"enum", TZ_FT_ENUM, false, false, false},       {"str", TZ_FT_STR, true, true, false},
    {"code", TZ_FT_CODE, true, true, false},         {"text", TZ_FT_TEXT, false, false, false},
    {"secret", TZ_FT_SECRET, false, false, false},   {"date", TZ_FT_DATE, false, false, false},
    {"bool", TZ_FT_BOOL, false, false, false},       {"int", TZ_FT_INT, true, false, false},
    {"dec1", TZ_FT_DEC1, false, false, false},       {"money", TZ_FT_MONEY, false, false, false},
    {"instant", TZ_FT_INSTANT, false, false, false}, {"ref", TZ_FT_REF, false, false, true},
    {"digest", TZ_FT_DIGEST, false, false, false},   {"set", TZ_FT_SET, false, false, false},
    {"refs", TZ_FT_REFS, false, false, true},        {"json", TZ_FT_JSON, false, false, false},
};

static bool ref_target(const struct tz_cell *c, const char *rest, struct tz_field *f)
{
    char name[TZ_NAME_MAX + 1];
    size_t n = strlen(rest);
    if (n < 3 || n - 2 > TZ_NAME_MAX || rest[0] != '(' || rest[n - 1] != ')')
        return false;
    memcpy(name, rest + 1, n - 2);
    name[n - 2] = '\0';
    if (f->ftype == TZ_FT_REF && strcmp(name, "any") == 0) {
        f->ftype = TZ_FT_REF_ANY;
        return true;
    }
    int type = tz_loader_type(c->ld, name);
    f->ref = type >= 0 ? &c->ld->types[type] : NULL;
    return f->ref != NULL;
}

static bool type_limit(const char *digits, const struct ftype_word *w, struct tz_field *f)
{
    size_t n = strspn(digits, "0123456789");
    if (n == 0)
        return !w->needs_number && *digits == '\0';
    if (n > 9 || digits[n] != '\0' || digits[0] == '0')
        return false;
    f->limit = strtol(digits, NULL, 10);
    return f->ftype == TZ_FT_CODE ? f->limit <= CODE_CHARS_MAX
                                  : f->ftype != TZ_FT_STR || f->limit <= TZ_TEXT_BYTES_MAX / 3;
}

static int field_type(const struct tz_cell *c, struct tz_field *f)
{
    const char *s = tz_cell(c, F_FTYPE);
    size_t best = 0;
    const struct ftype_word *w = NULL;
    for (size_t i = 0; i < sizeof ftype_words / sizeof *ftype_words; i++) { /* the longest: "refs" before "ref" */
        size_t n = strlen(ftype_words[i].word);
        if (n > best && strncmp(s, ftype_words[i].word, n) == 0) {
            best = n;
            w = &ftype_words[i];
        }
    }
    if (w == NULL)
        return tz_cell_fail(c, F_FTYPE, "unknown field type '%.40s'", s);
    f->ftype = w->ftype;
    bool ok = w->takes_type     ? ref_target(c, s + best, f)
              : w->takes_number ? type_limit(s + best, w, f)
                                : s[best] == '\0';
    return ok ? 0 : tz_cell_fail(c, F_FTYPE, "'%.40s' is not a field type, or names no type of the catalogue", s);
}

static int field_enum(const struct tz_cell *c, struct tz_field *f)
{
    const char *name = tz_cell(c, F_ENUM);
    bool wants = f->ftype == TZ_FT_ENUM || f->ftype == TZ_FT_SET;
    if (!wants)
        return *name == '\0' ? 0 : tz_cell_fail(c, F_ENUM, "only enum and set fields have an enum");
    f->en = tz_loader_enum(c->ld, name);
    return f->en != NULL ? 0 : tz_cell_fail(c, F_ENUM, "unknown enum '%.40s'", name);
}

/* merge class, group, visibility */

static int field_group(const struct tz_cell *c, const struct tz_type *t, struct tz_field *f)
{
    const char *name = tz_cell(c, F_GROUP);
    if (*name == '\0')
        return 0;
    for (size_t i = 0; i < t->ngroups; i++)
        if (strcmp(t->groups[i].name, name) == 0)
            f->group = (uint16_t)(i + 1);
    if (f->group == 0)
        return tz_cell_fail(c, F_GROUP, "%s has no group '%.40s'", t->name, name);
    return f->merge == TZ_MERGE_FIELD ? 0 : tz_cell_fail(c, F_GROUP, "only merge class 'field' has groups");
}

static int field_merge(const struct tz_cell *c, const struct tz_type *t, struct tz_field *f)
{
    static const char *const merges[] = {"field", "set", "append", "events", NULL}; /* order of enum tz_merge_class */
    unsigned m = 0;
    int rc = tz_cell_choice(c, F_MERGE, merges, &m);
    f->merge = (enum tz_merge_class)m;
    if (rc == 0 && t->append != (f->merge == TZ_MERGE_APPEND))
        rc = tz_cell_fail(c, F_MERGE, t->append ? "every field of an append type is 'append'" : "%s is no append type",
                          t->name);
    bool is_set = f->ftype == TZ_FT_SET || f->ftype == TZ_FT_REFS;
    if (rc == 0 && (is_set ? f->merge == TZ_MERGE_FIELD : f->merge == TZ_MERGE_SET))
        rc = tz_cell_fail(c, F_MERGE, "'set' is for field types set and refs, and 'field' for the others");
    return rc == 0 ? field_group(c, t, f) : rc;
}

static int field_visibility(const struct tz_cell *c, struct tz_field *f)
{
    static const char *const words[] = {"open", "masked", "secret", NULL}; /* order of enum tz_visibility */
    unsigned v = 0;
    int rc = tz_cell_choice(c, F_VIS, words, &v);
    f->visibility = (enum tz_visibility)v;
    if (rc == 0 && f->ftype == TZ_FT_SECRET && f->visibility != TZ_VIS_SECRET)
        rc = tz_cell_fail(c, F_VIS, "field type secret has visibility secret");
    return rc;
}

static bool is_ref(const struct tz_field *f)
{
    return f->ftype == TZ_FT_REF || f->ftype == TZ_FT_REF_ANY || f->ftype == TZ_FT_REFS;
}

static int field_on_delete(const struct tz_cell *c, struct tz_field *f)
{
    static const char *const words[] = {"blocks", "revives", "ignores", NULL}; /* order of enum tz_on_delete */
    unsigned od = TZ_OD_IGNORES;
    int rc = 0;
    if (is_ref(f))
        rc = tz_cell_choice(c, F_ON_DELETE, words, &od);
    else if (*tz_cell(c, F_ON_DELETE) != '\0')
        rc = tz_cell_fail(c, F_ON_DELETE, "only references have this");
    f->on_delete = (enum tz_on_delete)od;
    return rc;
}

/* aliases and source items */

static int field_aliases(const struct tz_cell *c, struct tz_field *f)
{
    char *s = tz_arena_strdup(c->ld->arena, tz_cell(c, F_ALIASES));
    const char **list = tz_arena_calloc(c->ld->arena, TZ_ALIASES_MAX + 1, sizeof *list);
    if (s == NULL || list == NULL)
        return tz_loader_nomem(c->ld);
    f->aliases = list;
    for (size_t n = 0; *s != '\0'; n++) {
        size_t len = strcspn(s, "|");
        bool last = s[len] == '\0';
        if (len == 0 || n == TZ_ALIASES_MAX || (!last && s[len + 1] == '\0'))
            return tz_cell_fail(c, F_ALIASES, "an empty alias, or more than %d", TZ_ALIASES_MAX);
        list[n] = s;
        s[len] = '\0';
        s += last ? len : len + 1;
    }
    return 0;
}

/** Numbers of the work requirements this field answers: documentation for people, checked so that it stays usable. */
static int field_items(const struct tz_cell *c)
{
    const char *s = tz_cell(c, F_ITEMS);
    while (*s != '\0') {
        char *end = NULL;
        unsigned long item = *s >= '0' && *s <= '9' ? strtoul(s, &end, 10) : 0;
        if (item < 1 || item > 23 || (*end != '\0' && (*end != ' ' || end[1] == '\0')))
            return tz_cell_fail(c, F_ITEMS, "'%.40s' is not a list of items 1-23", tz_cell(c, F_ITEMS));
        s = *end == ' ' ? end + 1 : end;
    }
    return 0;
}

static int field_default(const struct tz_cell *c, struct tz_field *f)
{
    const char *s = tz_cell(c, F_DEFAULT);
    struct tz_err err = {0};
    f->dflt = tz_value_null();
    if (*s == '\0')
        return 0;
    if (is_ref(f))
        return tz_cell_fail(c, F_DEFAULT, "references have no default");
    int rc = tz_value_parse(f, s, c->ld->arena, &f->dflt, &err);
    if (rc == TZ_E_VALUE || rc == TZ_E_TOO_LONG)
        return tz_cell_fail(c, F_DEFAULT, "'%.30s': %.80s", s, err.args[rc == TZ_E_VALUE ? 2 : 1]);
    return rc == 0 ? 0 : tz_loader_nomem(c->ld);
}

/* the passes */

static int load_field(const struct tz_cell *c, const struct tz_type *t, struct tz_field *f)
{
    static const char *const required[] = {"no", "yes", "verify", NULL}; /* order of enum tz_required */
    unsigned req = 0;
    uint32_t last = t->nfields > 0 ? f[-1].id : 0;
    int rc = tz_cell_number(c, F_ID, 1, FIELD_ID_MAX, &f->id);
    if (rc == 0 && f->id <= last)
        rc = tz_cell_fail(c, F_ID, "id %u after %u: ids ascend and are never reused", f->id, last);
    if (rc == 0)
        rc = tz_cell_name(c, F_NAME, &f->name);
    if (rc == 0 && tz_loader_field(c->ld, t->index, f->name) >= 0)
        rc = tz_cell_fail(c, F_NAME, "%s has field '%s' twice", t->name, f->name);
    if (rc == 0)
        rc = tz_cell_label(c, F_ZH, &f->label[TZ_LANG_ZH]);
    if (rc == 0)
        rc = tz_cell_label(c, F_EN, &f->label[TZ_LANG_EN]);
    if (rc == 0)
        rc = field_type(c, f);
    if (rc == 0)
        rc = field_enum(c, f);
    if (rc == 0)
        rc = tz_cell_choice(c, F_REQUIRED, required, &req);
    f->required = (enum tz_required)req;
    if (rc == 0)
        rc = tz_cell_editors(c, F_EDITORS, &f->editors);
    if (rc == 0 && f->editors == 0)
        rc = tz_cell_fail(c, F_EDITORS, "somebody must be able to write a field");
    if (rc == 0)
        rc = tz_cell_yes_no(c, F_OFFLINE, &f->offline);
    return rc;
}

static int load_field_rest(const struct tz_cell *c, const struct tz_type *t, struct tz_field *f)
{
    int rc = field_merge(c, t, f);
    if (rc == 0)
        rc = field_visibility(c, f);
    if (rc == 0)
        rc = field_on_delete(c, f);
    if (rc == 0)
        rc = field_aliases(c, f);
    if (rc == 0)
        rc = field_items(c);
    return rc == 0 ? field_default(c, f) : rc;
}

/** How many fields each type has, so that they are one array per type. */
static int make_room(struct tz_loader *ld, const struct tz_table *t)
{
    size_t *count = tz_arena_calloc(&ld->scratch, ld->ntypes, sizeof *count);
    if (count == NULL)
        return tz_loader_nomem(ld);
    for (size_t i = 0; i < t->nrows; i++) {
        struct tz_cell c = {ld, t, &t->rows[i]};
        int type = tz_loader_type(ld, tz_cell(&c, F_TYPE));
        if (type < 0)
            return tz_cell_fail(&c, F_TYPE, "unknown type '%.40s'", tz_cell(&c, F_TYPE));
        if (++count[type] > TZ_FIELDS_MAX)
            return tz_cell_fail(&c, F_TYPE, "%s has more than %d fields", ld->types[type].name, TZ_FIELDS_MAX);
    }
    for (size_t i = 0; i < ld->ntypes; i++) {
        ld->fields[i] = tz_arena_calloc(ld->arena, count[i], sizeof **ld->fields);
        if (ld->fields[i] == NULL)
            return tz_loader_nomem(ld);
        ld->types[i].fields = ld->fields[i];
    }
    return 0;
}

int tz_load_fields(struct tz_loader *ld, struct tz_table *t)
{
    static const char *const columns[F_COLUMNS] = {
        "type",    "id",          "field",   "label_zh", "label_en", "ftype",      "any_type_field",   "required",
        "enum",    "editors",     "offline", "merge",    "group",    "visibility", "on_target_delete", "default",
        "aliases", "source_items"};
    int rc = tz_loader_table(ld, "fields.csv", columns, F_COLUMNS, t);
    if (rc == 0)
        rc = make_room(ld, t);
    for (size_t i = 0; i < t->nrows && rc == 0; i++) {
        struct tz_cell c = {ld, t, &t->rows[i]};
        struct tz_type *type = &ld->types[tz_loader_type(ld, tz_cell(&c, F_TYPE))];
        struct tz_field *f = &ld->fields[type->index][type->nfields];
        f->index = (uint16_t)type->nfields;
        rc = load_field(&c, type, f);
        if (rc == 0)
            rc = load_field_rest(&c, type, f);
        type->nfields += rc == 0;
    }
    return rc;
}

static int link_any(const struct tz_cell *c, const struct tz_type *t, struct tz_field *f)
{
    const char *name = tz_cell(c, F_ANY);
    if (f->ftype != TZ_FT_REF_ANY)
        return *name == '\0' ? 0 : tz_cell_fail(c, F_ANY, "only ref(any) has this");
    int other = tz_loader_field(c->ld, t->index, name);
    if (other < 0)
        return tz_cell_fail(c, F_ANY, "%s has no field '%.40s'", t->name, name);
    enum tz_ftype ft = t->fields[other].ftype;
    if (ft != TZ_FT_ENUM && ft != TZ_FT_STR)
        return tz_cell_fail(c, F_ANY, "'%s' is neither enum nor str", name);
    f->any_type_field = (uint16_t)other;
    return 0;
}

/* headings: an import must find one field only */

struct heading {
    const char *text; /* folded */
    const struct tz_field *field;
    const struct tz_row *row;
};

static int heading_cmp(const void *a, const void *b)
{
    const struct heading *x = a;
    const struct heading *y = b;
    int d = strcasecmp(x->text, y->text);
    return d != 0 ? d : (int)x->field->index - (int)y->field->index;
}

static int add_heading(struct tz_loader *ld, struct heading *list, size_t *n, const struct tz_field *f,
                       const char *word)
{
    const char *folded = tz_name_fold(&ld->scratch, tz_value_text(word));
    if (folded == NULL)
        return tz_loader_nomem(ld);
    list[(*n)++] = (struct heading){folded, f, NULL};
    return 0;
}

static int type_headings(struct tz_loader *ld, const struct tz_table *table, const struct tz_type *t)
{
    struct heading *list = tz_arena_calloc(&ld->scratch, t->nfields * HEADINGS_PER_FIELD, sizeof *list);
    size_t n = 0;
    int rc = list == NULL ? tz_loader_nomem(ld) : 0;
    for (size_t i = 0; i < t->nfields && rc == 0; i++) {
        const struct tz_field *f = &t->fields[i];
        rc = add_heading(ld, list, &n, f, f->name);
        for (size_t k = 0; k < 2 && rc == 0; k++)
            rc = add_heading(ld, list, &n, f, f->label[k]);
        for (size_t k = 0; f->aliases[k] != NULL && rc == 0; k++)
            rc = add_heading(ld, list, &n, f, f->aliases[k]);
    }
    if (rc != 0)
        return rc;
    qsort(list, n, sizeof *list, heading_cmp);
    for (size_t i = 1; i < n; i++) {
        if (list[i].field == list[i - 1].field || strcasecmp(list[i].text, list[i - 1].text) != 0)
            continue;
        for (size_t k = 0; k < table->nrows; k++) { /* the row of the later field, for the message */
            struct tz_cell c = {ld, table, &table->rows[k]};
            if (strcmp(tz_cell(&c, F_TYPE), t->name) == 0 && strcmp(tz_cell(&c, F_NAME), list[i].field->name) == 0)
                return tz_cell_fail(&c, F_ALIASES, "heading '%.40s' is %s's too", list[i].text,
                                    list[i - 1].field->name);
        }
    }
    return 0;
}

int tz_link_fields(struct tz_loader *ld, const struct tz_table *t)
{
    int rc = 0;
    size_t *seen = tz_arena_calloc(&ld->scratch, ld->ntypes, sizeof *seen);
    if (seen == NULL)
        return tz_loader_nomem(ld);
    for (size_t i = 0; i < t->nrows && rc == 0; i++) {
        struct tz_cell c = {ld, t, &t->rows[i]};
        size_t type = (size_t)tz_loader_type(ld, tz_cell(&c, F_TYPE));
        rc = link_any(&c, &ld->types[type], &ld->fields[type][seen[type]++]);
    }
    for (size_t i = 0; i < ld->ntypes && rc == 0; i++)
        rc = type_headings(ld, t, &ld->types[i]);
    return rc;
}

/* groups.csv */

enum { G_TYPE, G_NAME, G_AS_OF, G_COLUMNS };

static int load_group(const struct tz_cell *c)
{
    struct tz_loader *ld = c->ld;
    int type = tz_loader_type(ld, tz_cell(c, G_TYPE));
    if (type < 0)
        return tz_cell_fail(c, G_TYPE, "unknown type '%.40s'", tz_cell(c, G_TYPE));
    struct tz_type *t = &ld->types[type];
    if (ld->groups[type] == NULL)
        ld->groups[type] = tz_arena_calloc(ld->arena, TZ_GROUPS_MAX, sizeof **ld->groups);
    if (ld->groups[type] == NULL)
        return tz_loader_nomem(ld);
    t->groups = ld->groups[type];
    if (t->ngroups == TZ_GROUPS_MAX)
        return tz_cell_fail(c, G_NAME, "%s has more than %d groups", t->name, TZ_GROUPS_MAX);
    struct tz_group *g = &ld->groups[type][t->ngroups];
    int rc = tz_cell_name(c, G_NAME, &g->name);
    for (size_t i = 0; i < t->ngroups && rc == 0; i++)
        if (strcmp(t->groups[i].name, g->name) == 0)
            rc = tz_cell_fail(c, G_NAME, "%s has group '%s' twice", t->name, g->name);
    t->ngroups += rc == 0;
    return rc;
}

int tz_load_groups(struct tz_loader *ld, struct tz_table *t)
{
    static const char *const columns[G_COLUMNS] = {"type", "group", "as_of_field"};
    int rc = tz_loader_table(ld, "groups.csv", columns, G_COLUMNS, t);
    for (size_t i = 0; i < t->nrows && rc == 0; i++) {
        struct tz_cell c = {ld, t, &t->rows[i]};
        rc = load_group(&c);
    }
    return rc;
}

static int link_group(const struct tz_cell *c, const struct tz_type *t, struct tz_group *g)
{
    const char *name = tz_cell(c, G_AS_OF);
    int as_of = tz_loader_field(c->ld, t->index, name);
    size_t members = 0;
    if (as_of < 0)
        return tz_cell_fail(c, G_AS_OF, "%s has no field '%.40s'", t->name, name);
    unsigned group = (unsigned)(g - c->ld->groups[t->index]) + 1;
    for (size_t i = 0; i < t->nfields; i++)
        members += t->fields[i].group == group;
    if (t->fields[as_of].ftype != TZ_FT_DATE || t->fields[as_of].group != group || members < 2)
        return tz_cell_fail(c, G_AS_OF, "'%s' is no date, or not in the group beside a member of it", name);
    g->as_of = (uint16_t)as_of;
    return 0;
}

int tz_link_groups(struct tz_loader *ld, const struct tz_table *t)
{
    int rc = 0;
    for (size_t i = 0; i < t->nrows && rc == 0; i++) {
        struct tz_cell c = {ld, t, &t->rows[i]};
        size_t type = (size_t)tz_loader_type(ld, tz_cell(&c, G_TYPE));
        struct tz_group *g = ld->groups[type];
        while (strcmp(g->name, tz_cell(&c, G_NAME)) != 0)
            g++;
        rc = link_group(&c, &ld->types[type], g);
    }
    return rc;
}

/* keys.csv */

enum { K_TYPE, K_NAME, K_FIELDS, K_WHEN, K_COLUMNS };

/** One condition, "field=" or "field=code|code", @n characters long. */
static int key_condition(const struct tz_cell *c, const struct tz_type *t, const char *text, size_t n,
                         struct tz_key_when *w)
{
    char name[TZ_NAME_MAX + 1];
    size_t eq = strcspn(text, "=");
    if (eq == 0 || eq >= n || eq > TZ_NAME_MAX)
        return tz_cell_fail(c, K_WHEN, "conditions are written field=code|code or field=, one space between");
    memcpy(name, text, eq);
    name[eq] = '\0';
    int f = tz_loader_field(c->ld, t->index, name);
    if (f < 0)
        return tz_cell_fail(c, K_WHEN, "%s has no field '%.40s'", t->name, name);
    w->field = (uint16_t)f;
    for (size_t at = eq + 1; at < n;) {
        size_t len = strcspn(text + at, "| ");
        if (len == 0 || len > TZ_NAME_MAX || w->ncodes == TZ_KEY_CODES_MAX)
            return tz_cell_fail(c, K_WHEN, "1 to %d codes with | between", TZ_KEY_CODES_MAX);
        memcpy(name, text + at, len);
        name[len] = '\0';
        const struct tz_enum_value *v = tz_enum_code(t->fields[f].en, tz_value_text(name));
        if (v == NULL)
            return tz_cell_fail(c, K_WHEN, "'%.40s' is no code of %s", name, t->fields[f].name);
        w->codes[w->ncodes++] = v->code;
        at += len + (text[at + len] == '|');
    }
    return 0;
}

static int key_conditions(const struct tz_cell *c, const struct tz_type *t, struct tz_key *key)
{
    struct tz_key_when *list = tz_arena_calloc(c->ld->arena, TZ_KEY_FIELDS_MAX, sizeof *list);
    if (list == NULL)
        return tz_loader_nomem(c->ld);
    key->when = list;
    for (const char *s = tz_cell(c, K_WHEN); *s;) {
        size_t n = strcspn(s, " ");
        if (key->nwhen == TZ_KEY_FIELDS_MAX)
            return tz_cell_fail(c, K_WHEN, "at most %d conditions", TZ_KEY_FIELDS_MAX);
        int rc = key_condition(c, t, s, n, &list[key->nwhen]);
        if (rc)
            return rc;
        key->nwhen++;
        s += n + (s[n] == ' ');
    }
    return 0;
}

static int key_fields(const struct tz_cell *c, const struct tz_type *t, struct tz_key *key)
{
    uint16_t *list = tz_arena_calloc(c->ld->arena, TZ_KEY_FIELDS_MAX, sizeof *list);
    char name[TZ_NAME_MAX + 1];
    if (list == NULL)
        return tz_loader_nomem(c->ld);
    key->fields = list;
    for (const char *s = tz_cell(c, K_FIELDS);; s++) {
        size_t n = strcspn(s, " ");
        if (n == 0 || n > TZ_NAME_MAX || key->nfields == TZ_KEY_FIELDS_MAX)
            return tz_cell_fail(c, K_FIELDS, "1 to %d field names, one space between", TZ_KEY_FIELDS_MAX);
        memcpy(name, s, n);
        name[n] = '\0';
        int f = tz_loader_field(c->ld, t->index, name);
        if (f < 0)
            return tz_cell_fail(c, K_FIELDS, "%s has no field '%.40s'", t->name, name);
        list[key->nfields++] = (uint16_t)f;
        s += n;
        if (*s == '\0')
            return 0;
    }
}

int tz_load_keys(struct tz_loader *ld)
{
    static const char *const columns[K_COLUMNS] = {"type", "key", "fields", "when"};
    struct tz_table t;
    int rc = tz_loader_table(ld, "keys.csv", columns, K_COLUMNS, &t);
    struct tz_key **keys = tz_arena_calloc(&ld->scratch, ld->ntypes, sizeof *keys);
    if (keys == NULL)
        return tz_loader_nomem(ld);
    for (size_t i = 0; i < t.nrows && rc == 0; i++) {
        struct tz_cell c = {ld, &t, &t.rows[i]};
        int ti = tz_loader_type(ld, tz_cell(&c, K_TYPE));
        if (ti < 0)
            return tz_cell_fail(&c, K_TYPE, "unknown type '%.40s'", tz_cell(&c, K_TYPE));
        struct tz_type *type = &ld->types[ti];
        if (keys[ti] == NULL)
            keys[ti] = tz_arena_calloc(ld->arena, TZ_KEYS_MAX, sizeof **keys);
        if (keys[ti] == NULL)
            return tz_loader_nomem(ld);
        if (type->nkeys == TZ_KEYS_MAX)
            return tz_cell_fail(&c, K_NAME, "%s has more than %d keys", type->name, TZ_KEYS_MAX);
        type->keys = keys[ti];
        struct tz_key *key = &keys[ti][type->nkeys];
        rc = tz_cell_name(&c, K_NAME, &key->name);
        for (size_t k = 0; k < type->nkeys && rc == 0; k++)
            if (strcmp(type->keys[k].name, key->name) == 0)
                rc = tz_cell_fail(&c, K_NAME, "%s has key '%s' twice", type->name, key->name);
        if (rc == 0)
            rc = key_fields(&c, type, key);
        if (rc == 0)
            rc = key_conditions(&c, type, key);
        type->nkeys += rc == 0;
    }
    return rc;
}
