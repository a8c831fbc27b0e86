/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_IMPORT_INT_H
#define TZ_IMPORT_INT_H

/*
 * Inside an import:
 *
 *   import.c   the order of things, the changesets
 *     ├─ import_folder.c   the kept copy, and what killed imports left
 *     ├─ import_source.c   bytes of a file → UTF-8 rows
 *     ├─ import_map.c      headings → fields
 *     ├─ import_row.c      one row → a verdict, and the record it means
 *     └─ import_diff.c     what a row would change of its record, in words
 */

#include "csvread.h"
#include "import.h"

#include <stdio.h>

enum { IMPORT_COLUMNS_MAX = 512, IMPORT_ROW_ARENA_BYTES = 4 * 1024 * 1024 };
enum { IMPORT_REASON_BYTES = 1024, IMPORT_REASONS_MAX = 5 };

/* ---- import_source.c ---- */

struct tz_source_info {
    uint64_t bytes;
    enum tz_import_encoding encoding;
    char sha256[65];
};
/** A regular file, not larger than TZ_IMPORT_FILE_BYTES_MAX? TZ_E_NOT_A_FILE, TZ_E_FILE_TOO_BIG, TZ_E_IO, with its
 * name.
 */
TZ_MUST_USE int tz_source_check(const char *path, struct tz_err *err);
/** Read all of @path: length, digest and encoding; copy it to @copy (durable) unless NULL. */
TZ_MUST_USE int tz_source_scan(const char *path, const char *copy, enum tz_import_encoding asked,
                               struct tz_source_info *out, struct tz_err *err);
/** Rows of @path as UTF-8. TZ_E_CSV (line, reason) when it does not parse; what the callback returned otherwise. */
TZ_MUST_USE int tz_source_rows(const char *path, const struct tz_source_info *info, tz_csv_row_cb row_cb, void *ctx,
                               void (*progress)(void *ctx, uint64_t done, uint64_t all), void *progress_ctx,
                               struct tz_err *err);

/* ---- import_folder.c ---- */
struct tz_import;
/** Make and lock the import's folder, after removing what imports left that were killed; the path for the copy. */
TZ_MUST_USE int tz_import_folder_make(struct tz_import *im, char *copy, size_t copy_bytes, struct tz_err *err);
/** @rc: how the import ended. One that came to nothing leaves nothing. */
void tz_import_folder_done(struct tz_import *im, int rc);

/* ---- import_map.c ---- */

struct tz_columns {
    size_t n;
    char *headings[IMPORT_COLUMNS_MAX];                /* in the arena */
    const struct tz_field *fields[IMPORT_COLUMNS_MAX]; /* NULL = not used */
    size_t order[IMPORT_COLUMNS_MAX];                  /* used columns, in the order their values must be read */
    size_t used;
    size_t width; /* up to the last heading that is not empty */
    struct tz_arena a;
};
/** TZ_E_USAGE: a map that names no column or field. TZ_E_CSV: no column at all is known. */
TZ_MUST_USE int tz_columns_read(struct tz_columns *c, const struct tz_import_options *opt, const struct tz_bytes *cells,
                                size_t n, struct tz_err *err);
void tz_columns_deinit(struct tz_columns *c);

/* ---- import_row.c ---- */

/** Set of 64-bit hashes with one number each; grows to a cap, beyond which nothing is remembered. */
struct tz_hashes {
    uint64_t *slots; /* pairs: hash (0 = free), number */
    size_t cap, n;
};
void tz_hashes_deinit(struct tz_hashes *h);

/** What one row means. */
struct tz_row_plan {
    enum tz_import_verdict verdict;
    unsigned warnings;
    const char *column; /* what it is about; "" = the row */
    char reason[IMPORT_REASON_BYTES];
    unsigned reasons; /* in it, of a rejected row */
    size_t short_by;  /* cells the row has too few */
    bool differs;     /* waits because the record has other values */
    uint64_t key_hash, row_hash;
    const char *title;              /* of an edit: the record's */
    char diff[IMPORT_REASON_BYTES]; /* of an edit: what changes */
    bool exists;                    /* then an edit of @id as @seen */
    struct tz_id id;
    struct tz_seen seen;
    struct tz_record rec; /* values of the named fields */
    bool names[TZ_FIELDS_MAX];
    struct tz_arena a; /* owns what rec borrows; reset for each row */
};

struct tz_import {
    const struct tz_import_options *opt;
    struct tz_office *o;
    struct tz_entry *entry;
    const struct tz_type *type;
    struct tz_columns columns;
    struct tz_record filter;
    bool filtered[TZ_FIELDS_MAX];
    struct tz_arena filter_arena;
    struct tz_hashes names; /* folded titles of records, where names are compared */
    struct tz_hashes keys;  /* key of rows already judged → hash and line of the row */
    size_t line;            /* of the row being judged */
    uint8_t hash_key[32];
    struct tz_row_plan plan;
    bool header_done;
    bool dry;                                                 /* this pass writes nothing */
    bool quiet;                                               /* this pass tells nothing */
    struct tz_save *save;                                     /* the open changeset */
    size_t save_cost;                                         /* of the rows since it was opened */
    uint64_t pending_created, pending_edited, pending_warned; /* in the open changeset */
    FILE *rejected;
    int folder_fd; /* locked while the import is under way; -1 none */
    struct tz_import_result *res;
    struct tz_err *err;
};

/** Read the names of what is there. */
TZ_MUST_USE int tz_plan_start(struct tz_import *im, struct tz_err *err);
/** Judge one row into im->plan. Negative only when the whole import cannot go on. */
TZ_MUST_USE int tz_plan_row(struct tz_import *im, const struct tz_bytes *cells, size_t n, struct tz_err *err);
/** The plan was carried out: later rows with this name must know. */
void tz_plan_done(struct tz_import *im);
/** The row was judged: later ones with its key must know. */
void tz_plan_seen(struct tz_import *im);
/** The plan turned out bad: @e says why. */
void tz_plan_reject(struct tz_import *im, const struct tz_err *e);

/* ---- import_diff.c ---- */

/** "职工人数：3 → 4；…" of the plan against @was, as much as fits. Returns how many fields differ. */
size_t tz_diff_words(const struct tz_import *im, const struct tz_record *was, char *out, size_t out_bytes);
/** The as-of date of a count the plan changes when @was has one and the row gives none; NULL when all is dated. */
const struct tz_field *tz_diff_undated(const struct tz_import *im, const struct tz_record *was);

#endif
