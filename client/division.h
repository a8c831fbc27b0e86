/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_DIVISION_H
#define TZ_DIVISION_H

/* District and street codes from what people write: codes, former codes, names, short names. One owner. */

#include "office.h"

struct tz_divisions;

/** Read the division table of @o; where it is still empty, the rows that ship with the catalogue. */
TZ_MUST_USE int tz_divisions_new(struct tz_office *o, struct tz_divisions **out, struct tz_err *err);
void tz_divisions_free(struct tz_divisions *d);

/**
 * @chars 6: a district, 9: a street, which must lie in @district when that is not "". Accepted: the code, a code it had
 * before, the name, the name without its last word (区 县 街道 街 镇 乡), a beginning that fits one division only.
 * Returns the code (owned by @d), or NULL with @reason set to a static text in both languages.
 */
const char *tz_divisions_find(const struct tz_divisions *d, unsigned chars, const char *district, const char *text,
                              const char **reason);
/** Name of a code; NULL when unknown. */
const char *tz_divisions_name(const struct tz_divisions *d, const char *code);

#endif
