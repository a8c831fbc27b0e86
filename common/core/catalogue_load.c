/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading: files to tables, tables to structs, in passes, so that files may refer to each other in any direction:
 *
 *   version → enums → types → groups (names) → fields → as-of fields, refs, area parents, titles → keys → roles →
 * procedures → shipped rows
 *
 * 1. Types and fields stand in the files in ascending id order; so an id that is used twice is seen at once, and
 * look-ups by id can halve. A row taken out leaves a gap, which is how an id is never reused.
 * 2. On any error the output is empty and nothing is leaked: everything lives in two arenas.
 *
 * This file holds the driver and the tables that do not depend on fields; catalogue_fields.c and catalogue_rows.c the
 * others.
 */
#include "catalogue_impl.h"

#include <string.h>

enum { ARENA_BYTES_MAX = 64 * 1024 * 1024, SCRATCH_BYTES_MAX = 128 * 1024 * 1024, TEXT_BYTES_MAX = 16 * 1024 * 1024 };

#define COUNT(a) (sizeof(a) / sizeof *(a))

int tz_loader_type(const struct tz_loader *ld, const char *name)
{
    for (size_t i = 0; i < ld->ntypes; i++)
        if (strcmp(ld->types[i].name, name) == 0)
            return (int)i;
    return -1;
}

const struct tz_enum *tz_loader_enum(const struct tz_loader *ld, const char *name)
{
    for (size_t i = 0; i < ld->nenums; i++)
        if (strcmp(ld->enums[i].name, name) == 0)
            return &ld->enums[i];
    return NULL;
}

int tz_loader_field(const struct tz_loader *ld, size_t type, const char *name)
{
    for (size_t i = 0; i < ld->types[type].nfields; i++)
        if (strcmp(ld->fields[type][i].name, name) == 0)
            return (int)i;
    return -1;
}

int tz_loader_table(struct tz_loader *ld, const char *name, const char *const *columns, size_t ncolumns,
                    struct tz_table *out)
{
    for (size_t i = 0; i < ld->nfiles; i++)
        if (strcmp(ld->files[i].name, name) == 0)
            return tz_table_read(&ld->files[i], columns, ncolumns, true, &ld->scratch, out, ld->err);
    return tz_table_fail_at(name, 1, 1, ld->err, "the file is missing");
}

/* catalogue.csv */

static int load_version(struct tz_loader *ld)
{
    static const char *const columns[] = {"key", "value"};
    struct tz_table t;
    int rc = tz_loader_table(ld, "catalogue.csv", columns, COUNT(columns), &t);
    for (size_t i = 0; i < t.nrows && rc == 0; i++) {
        struct tz_cell c = {ld, &t, &t.rows[i]};
        if (strcmp(tz_cell(&c, 0), "version") != 0)
            rc = tz_cell_fail(&c, 0, "unknown key '%.40s'", tz_cell(&c, 0));
        else if (ld->version != 0)
            rc = tz_cell_fail(&c, 0, "the version is there twice");
        else
            rc = tz_cell_number(&c, 1, 1, 999999999, &ld->version);
    }
    if (rc == 0 && ld->version == 0)
        rc = tz_table_fail_at("catalogue.csv", 1, 1, ld->err, "the version is missing");
    return rc;
}

/* enums.csv */

enum { EN_NAME, EN_CODE, EN_ZH, EN_EN, EN_RETIRED, EN_COLUMNS };

static int enum_value(const struct tz_cell *c, struct tz_enum *e, struct tz_enum_value *v)
{
    const char *code = tz_cell(c, EN_CODE);
    size_t n = strspn(code, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.");
    if (n == 0 || n > TZ_NAME_MAX || code[n] != '\0')
        return tz_cell_fail(c, EN_CODE, "'%.40s' is not a code (letters, digits, _ - .)", code);
    for (size_t i = 0; i < e->nvalues; i++)
        if (strcmp(e->values[i].code, code) == 0)
            return tz_cell_fail(c, EN_CODE, "code '%.40s' is there twice", code);
    v->code = tz_cell_dup(c, EN_CODE);
    int rc = v->code == NULL ? TZ_E_NOMEM : tz_cell_label(c, EN_ZH, &v->label[TZ_LANG_ZH]);
    if (rc == 0)
        rc = tz_cell_label(c, EN_EN, &v->label[TZ_LANG_EN]);
    if (rc == 0)
        rc = tz_cell_yes_no(c, EN_RETIRED, &v->retired);
    e->nvalues += rc == 0;
    return rc;
}

/** Rows of one enum stand together: @i is its first row. Returns the row after its last one in @next. */
static int load_enum(struct tz_loader *ld, const struct tz_table *t, size_t i, size_t *next)
{
    struct tz_cell c = {ld, t, &t->rows[i]};
    struct tz_enum *e = &ld->enums[ld->nenums];
    int rc = tz_cell_name(&c, EN_NAME, &e->name);
    if (rc != 0)
        return rc;
    if (tz_loader_enum(ld, e->name) != NULL)
        return tz_cell_fail(&c, EN_NAME, "enum '%s' goes on after other enums", e->name);
    size_t end = i;
    while (end < t->nrows && strcmp(t->rows[end].cell[EN_NAME], e->name) == 0)
        end++;
    if (end - i > TZ_ENUM_VALUES_MAX)
        return tz_cell_fail(&c, EN_NAME, "enum '%s' has more than %d values", e->name, TZ_ENUM_VALUES_MAX);
    struct tz_enum_value *values = tz_arena_calloc(ld->arena, end - i, sizeof *values);
    if (values == NULL)
        return tz_loader_nomem(ld);
    e->values = values;
    for (; i < end && rc == 0; i++) {
        c.row = &t->rows[i];
        rc = enum_value(&c, e, &values[e->nvalues]);
    }
    ld->nenums++;
    *next = end;
    return rc;
}

int tz_load_enums(struct tz_loader *ld)
{
    static const char *const columns[EN_COLUMNS] = {"enum", "code", "label_zh", "label_en", "retired"};
    struct tz_table t;
    int rc = tz_loader_table(ld, "enums.csv", columns, EN_COLUMNS, &t);
    if (rc != 0)
        return rc;
    ld->enums = tz_arena_calloc(ld->arena, TZ_ENUMS_MAX, sizeof *ld->enums);
    if (ld->enums == NULL)
        return tz_loader_nomem(ld);
    for (size_t i = 0; i < t.nrows && rc == 0;) {
        if (ld->nenums == TZ_ENUMS_MAX)
            return tz_table_fail_at(t.name, t.rows[i].line, 1, ld->err, "more than %d enums", TZ_ENUMS_MAX);
        rc = load_enum(ld, &t, i, &i);
    }
    return rc;
}

/* types.csv */

enum {
    TY_ID,
    TY_NAME,
    TY_ZH,
    TY_EN,
    TY_TIER,
    TY_AREA,
    TY_AREA_FIELD,
    TY_APPEND,
    TY_MERGE,
    TY_LOCAL,
    TY_CREATE,
    TY_DELETE,
    TY_TITLE,
    TY_COLUMNS
};

static int type_flags(const struct tz_cell *c, struct tz_type *t)
{
    static const char *const areas[] = {"own", "parent", "city", NULL}; /* order of enum tz_area_rule */
    unsigned area = 0;
    uint32_t tier = 0;
    int rc = tz_cell_number(c, TY_TIER, 0, 255, &tier);
    if (rc == 0)
        rc = tz_cell_choice(c, TY_AREA, areas, &area);
    if (rc == 0)
        rc = tz_cell_yes_no(c, TY_APPEND, &t->append);
    if (rc == 0)
        rc = tz_cell_yes_no(c, TY_MERGE, &t->auto_merge);
    if (rc == 0)
        rc = tz_cell_yes_no(c, TY_LOCAL, &t->local);
    if (rc == 0)
        rc = tz_cell_editors(c, TY_CREATE, &t->creators);
    if (rc == 0)
        rc = tz_cell_editors(c, TY_DELETE, &t->deleters);
    if (rc == 0 && t->local && (t->creators != 0 || t->deleters != 0))
        rc = tz_cell_fail(c, t->creators != 0 ? TY_CREATE : TY_DELETE, "the server alone writes this type");
    if (rc == 0 && t->append && (t->deleters != 0 || t->auto_merge))
        rc = tz_cell_fail(c, t->deleters != 0 ? TY_DELETE : TY_MERGE, "append records are neither deleted nor merged");
    t->tier = tier;
    t->area = (enum tz_area_rule)area;
    return rc;
}

static int load_type(const struct tz_cell *c, struct tz_type *t)
{
    struct tz_loader *ld = c->ld;
    uint32_t last = ld->ntypes > 0 ? ld->types[ld->ntypes - 1].id : 0;
    t->index = (uint16_t)ld->ntypes;
    t->district_field = t->street_field = t->area_field = t->title_field = -1;
    int rc = tz_cell_number(c, TY_ID, 1, 65535, &t->id);
    if (rc == 0 && t->id <= last)
        rc = tz_cell_fail(c, TY_ID, "id %u after %u: ids ascend and are never reused", t->id, last);
    if (rc == 0)
        rc = tz_cell_name(c, TY_NAME, &t->name);
    if (rc == 0 && tz_loader_type(ld, t->name) >= 0)
        rc = tz_cell_fail(c, TY_NAME, "type '%s' is there twice", t->name);
    if (rc == 0)
        rc = tz_cell_label(c, TY_ZH, &t->label[TZ_LANG_ZH]);
    if (rc == 0)
        rc = tz_cell_label(c, TY_EN, &t->label[TZ_LANG_EN]);
    if (rc == 0)
        rc = type_flags(c, t);
    ld->ntypes += rc == 0;
    return rc;
}

int tz_load_types(struct tz_loader *ld, struct tz_table *t)
{
    static const char *const columns[TY_COLUMNS] = {
        "id",     "type",       "label_zh",    "label_en", "tier",   "area_rule",  "area_field",
        "append", "auto_merge", "server_only", "create",   "delete", "title_field"};
    int rc = tz_loader_table(ld, "types.csv", columns, TY_COLUMNS, t);
    if (rc != 0)
        return rc;
    if (t->nrows == 0 || t->nrows > TZ_TYPES_MAX)
        return tz_table_fail_at(t->name, 1, 1, ld->err, "%zu types; 1 to %d are possible", t->nrows, TZ_TYPES_MAX);
    ld->types = tz_arena_calloc(ld->arena, t->nrows, sizeof *ld->types);
    ld->fields = tz_arena_calloc(&ld->scratch, t->nrows, sizeof *ld->fields);
    ld->groups = tz_arena_calloc(&ld->scratch, t->nrows, sizeof *ld->groups);
    if (ld->types == NULL || ld->fields == NULL || ld->groups == NULL)
        return tz_loader_nomem(ld);
    for (size_t i = 0; i < t->nrows && rc == 0; i++) {
        struct tz_cell c = {ld, t, &t->rows[i]};
        rc = load_type(&c, &ld->types[i]);
    }
    return rc;
}

static int link_area(const struct tz_cell *c, struct tz_type *t)
{
    const char *name = tz_cell(c, TY_AREA_FIELD);
    if (t->area == TZ_AREA_OWN) {
        t->district_field = tz_loader_field(c->ld, t->index, "district_code");
        t->street_field = tz_loader_field(c->ld, t->index, "street_code");
        if (t->district_field < 0 && t->street_field < 0)
            return tz_cell_fail(c, TY_AREA, "'own' needs a field district_code or street_code");
    }
    if (t->area != TZ_AREA_PARENT)
        return *name == '\0' ? 0 : tz_cell_fail(c, TY_AREA_FIELD, "only area rule 'parent' has an area field");
    t->area_field = tz_loader_field(c->ld, t->index, name);
    if (t->area_field < 0)
        return tz_cell_fail(c, TY_AREA_FIELD, "%s has no field '%.40s'", t->name, name);
    enum tz_ftype ft = c->ld->fields[t->index][t->area_field].ftype;
    return ft == TZ_FT_REF || ft == TZ_FT_REF_ANY ? 0 : tz_cell_fail(c, TY_AREA_FIELD, "'%s' is not a ref", name);
}

/** Following parents must end at a type with an area of its own; ref(any) ends wherever its target does. */
static bool area_loops(const struct tz_loader *ld, const struct tz_type *t)
{
    for (size_t steps = 0; t != NULL && t->area == TZ_AREA_PARENT; steps++) {
        if (steps > ld->ntypes)
            return true;
        t = ld->fields[t->index][t->area_field].ref;
    }
    return false;
}

int tz_link_types(struct tz_loader *ld, const struct tz_table *table)
{
    int rc = 0;
    for (size_t i = 0; i < ld->ntypes && rc == 0; i++) {
        struct tz_cell c = {ld, table, &table->rows[i]};
        struct tz_type *t = &ld->types[i];
        rc = link_area(&c, t);
        t->title_field = rc == 0 ? tz_loader_field(ld, i, tz_cell(&c, TY_TITLE)) : -1;
        if (rc == 0 && t->title_field < 0)
            rc = tz_cell_fail(&c, TY_TITLE, "%s has no field '%.40s'", t->name, tz_cell(&c, TY_TITLE));
    }
    for (size_t i = 0; i < ld->ntypes && rc == 0; i++) {
        struct tz_cell c = {ld, table, &table->rows[i]};
        if (area_loops(ld, &ld->types[i]))
            rc = tz_cell_fail(&c, TY_AREA_FIELD, "the area of %s is its own parent's", ld->types[i].name);
    }
    return rc;
}

/* roles.csv */

enum { RO_NAME, RO_ZH, RO_EN, RO_EDITOR, RO_LEVEL, RO_BUSINESS, RO_SECRET, RO_SUPER, RO_COLUMNS };

static int load_role(const struct tz_cell *c, struct tz_role *r)
{
    static const char *const levels[] = {"city", "district", "street", NULL}; /* order of enum tz_level */
    const char *name = tz_cell(c, RO_NAME);
    size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    unsigned level = 0;
    if (n == 0 || n > TZ_NAME_MAX || name[n] != '\0')
        return tz_cell_fail(c, RO_NAME, "'%.40s' is not a role name (A-Z, 0-9 and _)", name);
    for (size_t i = 0; i < c->ld->nroles; i++)
        if (strcmp(c->ld->roles[i].name, name) == 0)
            return tz_cell_fail(c, RO_NAME, "role '%.40s' is there twice", name);
    r->name = tz_cell_dup(c, RO_NAME);
    int rc = r->name == NULL ? TZ_E_NOMEM : tz_cell_label(c, RO_ZH, &r->label[TZ_LANG_ZH]);
    if (rc == 0)
        rc = tz_cell_label(c, RO_EN, &r->label[TZ_LANG_EN]);
    if (rc == 0)
        rc = tz_cell_editors(c, RO_EDITOR, &r->editor);
    if (rc == 0 && (r->editor & (r->editor - 1)) != 0)
        rc = tz_cell_fail(c, RO_EDITOR, "a role has one editor letter at most");
    if (rc == 0 && r->editor == TZ_ED_S)
        rc = tz_cell_fail(c, RO_EDITOR, "S is the server, no role");
    if (rc == 0)
        rc = tz_cell_choice(c, RO_LEVEL, levels, &level);
    if (rc == 0)
        rc = tz_cell_yes_no(c, RO_BUSINESS, &r->reads_business);
    if (rc == 0)
        rc = tz_cell_yes_no(c, RO_SECRET, &r->reads_secret);
    if (rc == 0)
        rc = tz_cell_yes_no(c, RO_SUPER, &r->supervises);
    r->level = (enum tz_level)level;
    return rc;
}

int tz_load_roles(struct tz_loader *ld)
{
    static const char *const columns[RO_COLUMNS] = {"role",  "label_zh",       "label_en",     "editor",
                                                    "level", "reads_business", "reads_secret", "supervises"};
    struct tz_table t;
    int rc = tz_loader_table(ld, "roles.csv", columns, RO_COLUMNS, &t);
    if (rc != 0)
        return rc;
    if (t.nrows > TZ_ROLES_MAX)
        return tz_table_fail_at(t.name, t.rows[TZ_ROLES_MAX].line, 1, ld->err, "more than %d roles", TZ_ROLES_MAX);
    ld->roles = tz_arena_calloc(ld->arena, t.nrows, sizeof *ld->roles);
    if (ld->roles == NULL)
        return tz_loader_nomem(ld);
    for (size_t i = 0; i < t.nrows && rc == 0; i++) {
        struct tz_cell c = {ld, &t, &t.rows[i]};
        rc = load_role(&c, &ld->roles[i]);
        ld->nroles += rc == 0;
    }
    return rc;
}

/* the driver */

/** Names are known and used once; sizes are bounded before anything is read. Shipped rows are checked by their own
 * pass. */
static int check_files(struct tz_loader *ld)
{
    static const char *const known[] = {"catalogue.csv", "types.csv", "fields.csv", "enums.csv",
                                        "groups.csv",    "keys.csv",  "roles.csv",  "transitions.csv"};
    size_t bytes = 0;
    for (size_t i = 0; i < ld->nfiles; i++) {
        const char *name = ld->files[i].name;
        bool ok = strncmp(name, "rows/", 5) == 0;
        for (size_t k = 0; k < COUNT(known); k++)
            ok = ok || strcmp(name, known[k]) == 0;
        if (!ok)
            return tz_table_fail_at(name, 1, 1, ld->err, "no such file in a catalogue");
        for (size_t k = 0; k < i; k++)
            if (strcmp(name, ld->files[k].name) == 0)
                return tz_table_fail_at(name, 1, 1, ld->err, "the file is there twice");
        if (ld->files[i].text.n > TEXT_BYTES_MAX - bytes)
            return tz_table_fail_at(name, 1, 1, ld->err, "the catalogue is larger than 16 MiB");
        bytes += ld->files[i].text.n;
    }
    return 0;
}

static int load_all(struct tz_loader *ld)
{
    struct tz_table types;
    struct tz_table fields;
    struct tz_table groups;
    int rc = check_files(ld);
    if (rc == 0)
        rc = load_version(ld);
    if (rc == 0)
        rc = tz_load_enums(ld);
    if (rc == 0)
        rc = tz_load_types(ld, &types);
    if (rc == 0)
        rc = tz_load_groups(ld, &groups);
    if (rc == 0)
        rc = tz_load_fields(ld, &fields);
    if (rc == 0)
        rc = tz_link_groups(ld, &groups);
    if (rc == 0)
        rc = tz_link_fields(ld, &fields);
    if (rc == 0)
        rc = tz_link_types(ld, &types);
    if (rc == 0)
        rc = tz_load_keys(ld);
    if (rc == 0)
        rc = tz_load_roles(ld);
    if (rc == 0)
        rc = tz_load_steps(ld);
    return rc == 0 ? tz_load_rows(ld) : rc;
}

int tz_catalogue_load(const struct tz_catalogue_file *files, size_t nfiles, struct tz_catalogue *out,
                      struct tz_err *err)
{
    struct tz_loader ld = {.files = files, .nfiles = nfiles, .err = err, .arena = &out->arena};
    *out = (struct tz_catalogue){0};
    tz_arena_init(&out->arena, ARENA_BYTES_MAX);
    tz_arena_init(&ld.scratch, SCRATCH_BYTES_MAX);
    int rc = load_all(&ld);
    tz_arena_deinit(&ld.scratch);
    if (rc != 0) {
        tz_catalogue_deinit(out);
        return rc;
    }
    out->version = ld.version;
    out->types = ld.types;
    out->ntypes = ld.ntypes;
    out->roles = ld.roles;
    out->nroles = ld.nroles;
    out->rows = ld.rows;
    out->nrows = ld.nrows;
    return 0;
}
