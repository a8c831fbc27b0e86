/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_SET_H
#define TZ_SET_H

/*
 * Sets as values: walking one, and some elements more or less. The canonical form (sorted JSON array of plain ASCII
 * strings, NULL when empty) is that of value_set.c. Pure; any thread.
 */

#include "value.h"

/** Walk a set: start with @rest = the whole text; false at the end or at anything malformed. @el borrows. */
bool tz_set_next(struct tz_bytes *rest, struct tz_bytes *el);
/** NULL when @el may stand in a set of @f, else why not (static). Codes this catalogue lacks may. */
const char *tz_set_element_wrong(const struct tz_field *f, struct tz_bytes el);
/** @set: canonical or NULL. */
bool tz_set_has(struct tz_value set, struct tz_bytes el);
size_t tz_set_count(struct tz_value set);
/** @set with (@present) or without the @n elements @el, in @a. TZ_E_LIMIT past TZ_SET_ELEMENTS_MAX, TZ_E_NOMEM. */
TZ_MUST_USE int tz_set_put(struct tz_value set, const struct tz_bytes *el, size_t n, bool present, struct tz_arena *a,
                           struct tz_value *out);

#endif
