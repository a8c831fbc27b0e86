/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_CATALOGUE_IMPL_H
#define TZ_CATALOGUE_IMPL_H

/*
 * Shared by the catalogue_*.c files only: CSV tables in memory, and the loader that turns them into a catalogue. Tables
 * live in the loader's scratch arena and are gone after loading; what stays is copied into the catalogue's own arena.
 */

#include "catalogue.h"

enum {
    TZ_TABLE_ROWS_MAX = 65536,
    TZ_TABLE_COLUMNS_MAX = TZ_FIELDS_MAX,
    TZ_ENUMS_MAX = 1024,
    TZ_ENUM_VALUES_MAX = 1000,
    TZ_GROUPS_MAX = 64,
    TZ_KEYS_MAX = 64,
    TZ_KEY_FIELDS_MAX = 8,
    TZ_ROLES_MAX = 64,
    TZ_ALIASES_MAX = 16,
};

/** One row; `cell` is by the position of the expected column, "" where the file has no such column. */
struct tz_row {
    size_t line;
    const char **cell;
};

struct tz_table {
    const char *name; /**< file name for messages; borrowed */
    const char *const *columns;
    size_t ncolumns;
    size_t *number; /**< by expected column: its 1-based number in the file, 0 = absent */
    size_t file_columns;
    struct tz_row *rows;
    size_t nrows;
};

/**
 * Read @file. The header must name columns of @columns only, each at most once, and all of them when @all. Cells are
 * valid UTF-8 without control characters other than line breaks and tabs. TZ_E_CATALOGUE with file, line and column.
 */
int tz_table_read(const struct tz_catalogue_file *file, const char *const *columns, size_t ncolumns, bool all,
                  struct tz_arena *scratch, struct tz_table *out, struct tz_err *err);
/** "@file:@line:@number: …" as TZ_E_CATALOGUE. Returns the code. */
int tz_table_fail_at(const char *file, size_t line, size_t number, struct tz_err *err, const char *fmt, ...)
    TZ_PRINTF(5, 6);

struct tz_loader {
    const struct tz_catalogue_file *files;
    size_t nfiles;
    struct tz_err *err;
    struct tz_arena scratch;
    struct tz_arena *arena; /* the catalogue's */
    uint32_t version;
    struct tz_enum *enums;
    size_t nenums;
    struct tz_type *types;
    size_t ntypes;
    struct tz_field **fields; /* by type index; the same memory as types[i].fields, not const */
    struct tz_group **groups; /* by type index */
    struct tz_role *roles;
    size_t nroles;
    struct tz_shipped_row *rows;
    size_t nrows;
};

/** A cell under examination: what error messages need. */
struct tz_cell {
    struct tz_loader *ld;
    const struct tz_table *t;
    const struct tz_row *row;
};

/** Report about column @column (index into the table's columns). Returns TZ_E_CATALOGUE. */
int tz_cell_fail(const struct tz_cell *c, size_t column, const char *fmt, ...) TZ_PRINTF(3, 4);
const char *tz_cell(const struct tz_cell *c, size_t column);
/** Copy of a cell in the catalogue's arena; NULL when memory is out (then the error is set). */
const char *tz_cell_dup(const struct tz_cell *c, size_t column);
int tz_cell_yes_no(const struct tz_cell *c, size_t column, bool *out);
int tz_cell_number(const struct tz_cell *c, size_t column, uint32_t least, uint32_t most, uint32_t *out);
/** Lower-case letters, digits and '_', beginning with a letter, at most TZ_NAME_MAX. */
int tz_cell_name(const struct tz_cell *c, size_t column, const char **out);
/** Not empty. */
int tz_cell_label(const struct tz_cell *c, size_t column, const char **out);
/** One of @words (NULL-terminated); the index goes to @out. */
int tz_cell_choice(const struct tz_cell *c, size_t column, const char *const *words, unsigned *out);
/** Letters of FCDS, each once; may be empty. */
int tz_cell_editors(const struct tz_cell *c, size_t column, unsigned *out);
int tz_loader_nomem(struct tz_loader *ld);

/** Index of a type by name, -1 when there is none. */
int tz_loader_type(const struct tz_loader *ld, const char *name);
const struct tz_enum *tz_loader_enum(const struct tz_loader *ld, const char *name);
/** Index of a field by name within type @type, -1 when there is none. */
int tz_loader_field(const struct tz_loader *ld, size_t type, const char *name);
/** Read the file called @name; it must be among the files. */
int tz_loader_table(struct tz_loader *ld, const char *name, const char *const *columns, size_t ncolumns,
                    struct tz_table *out);

/* the passes, in this order; each TZ_E_CATALOGUE, TZ_E_NOMEM or 0 */
int tz_load_enums(struct tz_loader *ld);
int tz_load_types(struct tz_loader *ld, struct tz_table *types);
int tz_load_groups(struct tz_loader *ld, struct tz_table *groups);
int tz_load_fields(struct tz_loader *ld, struct tz_table *fields);
int tz_link_groups(struct tz_loader *ld, const struct tz_table *groups);
int tz_link_fields(struct tz_loader *ld, const struct tz_table *fields);
int tz_link_types(struct tz_loader *ld, const struct tz_table *types);
int tz_load_keys(struct tz_loader *ld);
int tz_load_roles(struct tz_loader *ld);
int tz_load_steps(struct tz_loader *ld);
int tz_load_rows(struct tz_loader *ld);

#endif
