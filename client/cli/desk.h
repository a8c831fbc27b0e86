/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_DESK_H
#define TZ_DESK_H

/* What the data commands share: the open office with its look-ups, records by type and key, values as people read them.
 */

#include "cli.h"
#include "entry.h"
#include "out.h"

struct desk {
    struct cli *cli;
    struct tz_office *o;
    const struct tz_catalogue *cat;
    struct tz_entry *entry;
    struct tz_arena a; /* lives until desk_close */
    struct tz_err err;
};

/** 0, or an error in d->err; desk_close in both cases. Says on stderr when the replica is still filling. */
TZ_MUST_USE int desk_open(struct desk *d, struct cli *c);
/** Frees; prints d->err when @rc is one. Returns the exit code: @rc ≥ 0 is one already. */
int desk_close(struct desk *d, int rc);

TZ_MUST_USE int desk_type(struct desk *d, const char *name, const struct tz_type **out);
/** TYPE ID from the command line. */
TZ_MUST_USE int desk_target(struct desk *d, const char *type, const char *id, const struct tz_type **t,
                            struct tz_id *out);
/** When @id went into another record by a merge, that one's id; says so on stderr. Aliases are flat: one step. */
TZ_MUST_USE int desk_current(struct desk *d, const struct tz_type *t, struct tz_id *id);
/** TZ_E_UNKNOWN_RECORD when there is none; deleted ones are found. In d->a. */
TZ_MUST_USE int desk_read(struct desk *d, const struct tz_type *t, struct tz_id id, struct tz_row **row,
                          struct tz_seen *seen, bool *pending);

TZ_MUST_USE int desk_begin(struct desk *d, const char *reason, struct tz_save **s);
/** What was put into @s ended with @rc: commit and tell an agent, or cancel and return that. */
TZ_MUST_USE int desk_finish(struct desk *d, struct tz_save *s, int rc, uint64_t *seq);
/** The options of a command that takes --reason and no other; false: there is another. */
bool desk_reason(int argc, char **argv, const char **reason);

/** A value for people: labels with codes, references and divisions by name. In d->a; never NULL. */
const char *desk_value(struct desk *d, const struct tz_field *f, const struct tz_record *rec, struct tz_value v);
/** What stands for the record; its id where nothing does. In d->a. */
const char *desk_title(struct desk *d, const struct tz_row *row);
const char *desk_user(struct desk *d, const char *hex); /* name of a user, else the id's first digits */
/** Who said a word of a case that has no user: the server, or (@rule "lost") somebody whom a restore made unknown, and
 * @device still had it. In d->a. */
const char *desk_nobody(struct desk *d, const char *rule, long long device);
const char *desk_label(const struct tz_field *f);
const char *desk_case_rule(const char *rule); /* why a case's value stands, in a sentence; the word itself where none is
                                                 known */
/** Every field that is not empty, a line each. */
void desk_print_fields(struct desk *d, const struct tz_row *row);
/** Canonical JSON of a value; json_null() for NULL. */
json_t *desk_json(const struct tz_field *f, struct tz_value v);
void desk_warn(unsigned warnings); /* each on a line of stderr */

/** Quote a cell as RFC 4180 asks. @text_cell: keep a spreadsheet from taking it for a formula. */
void desk_csv_cell(const char *s, size_t n, bool text_cell, bool last);

#endif
