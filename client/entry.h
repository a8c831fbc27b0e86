/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_ENTRY_H
#define TZ_ENTRY_H

/*
 * What people type or sheets hold → values and ids. tz_value_parse knows one field; this knows the replica as well:
 * business keys stand for ids, names for division codes, and what the offices' rules say about a single value or
 * record. One owner.
 */

#include "division.h"
#include "office.h"

struct tz_entry;

/** Borrows @o. */
TZ_MUST_USE int tz_entry_new(struct tz_office *o, struct tz_entry **out, struct tz_err *err);
void tz_entry_free(struct tz_entry *e);
const struct tz_divisions *tz_entry_divisions(const struct tz_entry *e);

/** Accepted, but worth a look. Bits. */
enum tz_entry_warning {
    TZ_WARN_USCI_CHECK = 1,   /* check character does not fit */
    TZ_WARN_DATE_PART = 2,    /* a year or a month where a day is usual */
    TZ_WARN_COUNT_EMPTY = 4,  /* a count was left empty, which is not 0 */
    TZ_WARN_MORE_MEMBERS = 8, /* more party members than employees */
};
/** Text of the lowest bit of @warnings; "" for 0. */
const char *tz_entry_warning_text(unsigned warnings, enum tz_lang lang);

/**
 * One value of @f. @rec: the record so far (a street's district, the type of a ref(any)). @text "" gives NULL. Ors into
 * @warnings (may be NULL). Values live in @a. As tz_value_parse, plus TZ_E_REF when a key finds nothing.
 */
TZ_MUST_USE int tz_entry_value(struct tz_entry *e, const struct tz_record *rec, const struct tz_field *f,
                               const char *text, struct tz_arena *a, struct tz_value *out, unsigned *warnings,
                               struct tz_err *err);
/** `field=value`: name, label or alias, then a value. Splits @arg; TZ_E_USAGE without '=', TZ_E_UNKNOWN_FIELD. */
TZ_MUST_USE int tz_entry_split(const struct tz_type *t, const char *arg, const struct tz_field **f, const char **text,
                               struct tz_err *err);
/**
 * All of `field=value …` into @rec (what it holds already counts as the record so far); @names tells which were named.
 * Streets come after districts whatever the order given. One field twice is TZ_E_USAGE. `set+=…` and `set-=…` put
 * elements into and take them out of what @rec holds.
 */
TZ_MUST_USE int tz_entry_fields(struct tz_entry *e, const char *const *args, size_t nargs, struct tz_arena *a,
                                struct tz_record *rec, bool *names, unsigned *warnings, struct tz_err *err);
/** Rules between fields: ors warnings, or TZ_E_VALUE. */
TZ_MUST_USE int tz_entry_cross(const struct tz_record *rec, unsigned *warnings, struct tz_err *err);

/** 32 hex digits (not looked up), or a business key or title of a live record. TZ_E_NOT_FOUND; TZ_E_AMBIGUOUS. */
TZ_MUST_USE int tz_entry_find(struct tz_entry *e, const struct tz_type *t, const char *text, struct tz_id *out,
                              struct tz_err *err);
/** Is the type, by any of its headings: name or a label? NULL when none. */
const struct tz_type *tz_entry_type(const struct tz_catalogue *cat, const char *text);

#endif
