/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_REASON_H
#define TZ_REASON_H

/* The reason of a save: what a person says about it. It follows the rules of a strN field, so both sides judge it
 * alike. Pure; any thread. */

#include "value.h"

/** What was typed → canonical, in @a; "" and NULL give "". TZ_E_TOO_LONG, TZ_E_VALUE, naming the reason; TZ_E_NOMEM. */
TZ_MUST_USE int tz_reason_parse(const char *typed, struct tz_arena *a, const char **out, struct tz_err *err);
/** Is @reason ("" none) canonical? The same errors. */
TZ_MUST_USE int tz_reason_check(const char *reason, struct tz_err *err);

#endif
