/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shipped rows: rows/<type>.csv, one column per field that is given. Values are parsed like a person's input, so the
 * files stay readable. A ref column holds the key of another shipped row: the value of the first field of the target
 * type's first business key (a code). The seeder turns it into an id; here it is only checked to exist.
 */
#include "catalogue_impl.h"

#include <stdio.h>
#include <string.h>

struct row_files {
    struct tz_table *tables; /* in the order of the files */
    int *types;
    size_t n;
};

static int open_tables(struct tz_loader *ld, struct row_files *rf)
{
    rf->tables = tz_arena_calloc(&ld->scratch, ld->nfiles, sizeof *rf->tables);
    rf->types = tz_arena_calloc(&ld->scratch, ld->nfiles, sizeof *rf->types);
    if (rf->tables == NULL || rf->types == NULL)
        return tz_loader_nomem(ld);
    for (size_t i = 0; i < ld->nfiles; i++) {
        const char *name = ld->files[i].name;
        char type_name[TZ_NAME_MAX + 1] = "";
        if (strncmp(name, "rows/", 5) != 0)
            continue;
        size_t n = strlen(name);
        if (n > 9 && n - 9 <= TZ_NAME_MAX && strcmp(name + n - 4, ".csv") == 0)
            memcpy(type_name, name + 5, n - 9);
        int type = tz_loader_type(ld, type_name);
        if (type < 0)
            return tz_table_fail_at(name, 1, 1, ld->err, "the file's name is not rows/TYPE.csv of a known type");
        const struct tz_type *t = &ld->types[type];
        const char **columns = tz_arena_calloc(&ld->scratch, t->nfields, sizeof *columns);
        if (columns == NULL)
            return tz_loader_nomem(ld);
        for (size_t k = 0; k < t->nfields; k++)
            columns[k] = t->fields[k].name;
        int rc = tz_table_read(&ld->files[i], columns, t->nfields, false, &ld->scratch, &rf->tables[rf->n], ld->err);
        if (rc != 0)
            return rc;
        rf->types[rf->n++] = type;
    }
    return 0;
}

/** Is there a shipped row of @target whose key column says @code? */
static bool code_exists(const struct tz_loader *ld, const struct row_files *rf, const struct tz_type *target,
                        const char *code)
{
    if (target == NULL || target->nkeys == 0)
        return false;
    size_t column = target->keys[0].fields[0];
    for (size_t i = 0; i < rf->n; i++) {
        if (&ld->types[rf->types[i]] != target)
            continue;
        for (size_t k = 0; k < rf->tables[i].nrows; k++)
            if (strcmp(rf->tables[i].rows[k].cell[column], code) == 0)
                return true;
    }
    return false;
}

static int row_cell(const struct tz_cell *c, const struct row_files *rf, const struct tz_field *f, struct tz_value *v,
                    const char **code)
{
    struct tz_err err = {0};
    const char *s = tz_cell(c, f->index);
    *v = f->dflt;
    if (*s == '\0')
        return 0;
    if (f->ftype == TZ_FT_REF_ANY || f->ftype == TZ_FT_REFS)
        return tz_cell_fail(c, f->index, "shipped rows have no %s", f->ftype == TZ_FT_REFS ? "refs" : "ref(any)");
    if (f->ftype == TZ_FT_REF) {
        *code = tz_cell_dup(c, f->index);
        if (*code == NULL)
            return TZ_E_NOMEM;
        return code_exists(c->ld, rf, f->ref, s) ? 0 : tz_cell_fail(c, f->index, "no shipped row has code '%.40s'", s);
    }
    int rc = tz_value_parse(f, s, c->ld->arena, v, &err);
    if (rc == TZ_E_VALUE)
        return tz_cell_fail(c, f->index, "'%.30s': %.80s", s, err.args[2]);
    if (rc == TZ_E_TOO_LONG)
        return tz_cell_fail(c, f->index, "longer than %s characters", err.args[1]);
    return rc == 0 ? 0 : tz_loader_nomem(c->ld);
}

static int load_row(const struct tz_cell *c, const struct row_files *rf, const struct tz_type *t,
                    struct tz_shipped_row *out)
{
    struct tz_value *values = tz_arena_calloc(c->ld->arena, t->nfields, sizeof *values);
    const char **codes = tz_arena_calloc(c->ld->arena, t->nfields, sizeof *codes);
    if (values == NULL || codes == NULL)
        return tz_loader_nomem(c->ld);
    *out = (struct tz_shipped_row){t, values, codes};
    for (size_t i = 0; i < t->nfields; i++) {
        const struct tz_field *f = &t->fields[i];
        int rc = row_cell(c, rf, f, &values[i], &codes[i]);
        if (rc == 0 && f->required == TZ_REQ_SAVE && values[i].kind == TZ_V_NULL && codes[i] == NULL)
            rc = tz_table_fail_at(c->t->name, c->row->line, c->t->number[i], c->ld->err, "'%s' is required", f->name);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int tz_load_rows(struct tz_loader *ld)
{
    struct row_files rf = {0};
    int rc = open_tables(ld, &rf);
    size_t total = 0;
    for (size_t i = 0; i < rf.n && rc == 0; i++)
        total += rf.tables[i].nrows;
    ld->rows = rc == 0 ? tz_arena_calloc(ld->arena, total, sizeof *ld->rows) : NULL;
    if (ld->rows == NULL)
        return rc != 0 ? rc : tz_loader_nomem(ld);
    for (size_t i = 0; i < rf.n; i++) {
        for (size_t k = 0; k < rf.tables[i].nrows; k++) {
            struct tz_cell c = {ld, &rf.tables[i], &rf.tables[i].rows[k]};
            rc = load_row(&c, &rf, &ld->types[rf.types[i]], &ld->rows[ld->nrows]);
            if (rc != 0)
                return rc;
            ld->nrows++;
        }
    }
    return 0;
}
