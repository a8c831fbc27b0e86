/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_VALUE_SET_H
#define TZ_VALUE_SET_H

/* Sets and lists of ids in their canonical form; used by the value_*.c files only. */

#include "value_impl.h"

/** What was typed, or a JSON array, to canonical form in @a; no elements give NULL. TZ_E_VALUE + @reason, TZ_E_LIMIT.
 */
int tz_set_parse(const struct tz_field *f, struct tz_bytes in, struct tz_arena *a, struct tz_value *out,
                 const char **reason);
/** NULL when @in is canonical, else why not. */
const char *tz_set_wrong(const struct tz_field *f, struct tz_bytes in, bool known_enums_only);

/** By code or by either label, after name folding and without regard to case. @a is scratch. NULL when there is none.
 */
const struct tz_enum_value *tz_enum_find(const struct tz_enum *e, struct tz_arena *a, struct tz_value text);

#endif
