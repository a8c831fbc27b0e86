/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_STEP_INT_H
#define TZ_STEP_INT_H

/* What step.c and step_save.c share. */

#include "office_int.h"
#include "step.h"

/** A user of this device as the rule wants him. TZ_E_USER_DISABLED. */
TZ_MUST_USE int tz_step_author(struct tz_office *o, struct tz_id user, struct tz_event_author *out, struct tz_err *err);
/** What an EVENT op asks for; @out->today is left alone. Borrows from @op and @a. */
TZ_MUST_USE int tz_step_ask(const struct tz_type *t, const struct tz_op *op, struct tz_arena *a,
                            struct tz_event_ask *out, struct tz_err *err);

#endif
