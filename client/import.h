/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_IMPORT_H
#define TZ_IMPORT_H

/*
 * Sheets (CSV) → records. A file is judged row by row: bad rows stay behind with their reasons, good ones become
 * independent changesets of at most 256 ops, each durable by itself. The same file again changes nothing: rows that are
 * there already, with equal values, are passed over. A sheet may be older than what others have saved since, so a row
 * that differs from its record waits for a person; only when asked (`update`) does it become an edit of what differs.
 *
 * Memory: one row, one changeset, at most 64 bytes per row with a key and per record of a type whose names are compared
 * (64 MiB each; later ones are left to the server's duplicate cases). The file is read from disk
 * twice.
 */

#include "entry.h"

/** A sheet of the whole city with every column is a tenth of this; what is larger was not meant. */
#define TZ_IMPORT_FILE_BYTES_MAX (INT64_C(256) * 1024 * 1024)

enum tz_import_verdict {
    TZ_IMPORT_ACCEPT,
    TZ_IMPORT_WARN,   /* accepted, worth a look */
    TZ_IMPORT_SKIP,   /* there already, or said twice in the file */
    TZ_IMPORT_REVIEW, /* maybe another record's, or not as the record is: a person decides, nothing is written */
    TZ_IMPORT_REJECT,
    TZ_IMPORT_OTHER, /* not what --filter asked for */
};
enum tz_import_encoding { TZ_IMPORT_DETECT, TZ_IMPORT_UTF8, TZ_IMPORT_GB18030 };

/** Something to tell about one row. Texts borrow for the call. */
struct tz_import_note {
    size_t line;        /* of the file, where the row starts */
    const char *column; /* its heading; "" = the row as a whole */
    enum tz_import_verdict verdict;
    const char *reason; /* in the asked language */
};

struct tz_import_options {
    const struct tz_type *type;
    const char *path;
    const char *folder; /* where the file is kept: FOLDER/<import id>/; not used in a dry run */
    struct tz_id import_id, user;
    enum tz_lang lang;
    enum tz_import_encoding encoding;
    bool dry_run;            /* judge, write nothing */
    bool all_or_nothing;     /* one bad row and nothing is imported */
    bool update;             /* change records that are there already */
    const char *const *maps; /* "heading=field"; "heading=" leaves the column out */
    size_t nmaps;
    const char *const *filters; /* "field=value": other rows are passed over */
    size_t nfilters;
    void (*column)(void *ctx, const char *heading,
                   const struct tz_field *f);                /* each heading; @f NULL = not used. May be NULL */
    void (*note)(void *ctx, const struct tz_import_note *n); /* warn, review, reject. May be NULL */
    /** A record changed (or would, in a dry run): "employees: 3 → 4; …". May be NULL. */
    void (*edited)(void *ctx, const char *title, const char *what);
    void (*progress)(void *ctx, uint64_t done_bytes, uint64_t all_bytes); /* May be NULL */
    void *ctx;
};

struct tz_import_result {
    uint64_t rows, accepted, warned, skipped, review, rejected, other,
        held;                 /* rows = all but warned, which is of accepted */
    uint64_t created, edited; /* of accepted */
    uint64_t differ;          /* of review: another value than the record's, which `update` would write */
    uint64_t changesets;      /* held above: good rows that all_or_nothing kept out */
    char sha256[65];
    enum tz_import_encoding encoding; /* as read */
    char kept[512];                   /* folder of this import; "" in a dry run */
};

/**
 * What @folder keeps of one import is overwritten and removed; nothing when there is none. False: an import reads it
 * just now, and it stays.
 */
bool tz_import_forget(const char *folder, struct tz_id import);
/** Of every import; of those that left rows behind for somebody to correct only when @unfinished. */
bool tz_import_forget_idle(const char *folder, bool unfinished);
/** Everything, also under an import that reads it: of a device that is shut out. */
void tz_import_forget_all(const char *folder);

/**
 * Run it. What was committed before an error stays (and @out counts it): running again goes on. TZ_E_CSV (line, reason)
 * before anything is written when the file is no sheet, has no known column or cannot be read to its end, TZ_E_IO,
 * TZ_E_USAGE (a map or filter), and what saving returns. Rejected rows are not an error; with all_or_nothing they leave
 * accepted at 0.
 */
TZ_MUST_USE int tz_import_run(struct tz_office *o, const struct tz_import_options *opt, struct tz_import_result *out,
                              struct tz_err *err);

#endif
