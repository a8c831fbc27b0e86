/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_REDIRECT_H
#define TZ_REDIRECT_H

/* Where a record went that was merged into another: its old id goes on working. */

#include "office.h"

/**
 * Replace @id, a record of @t, by the one that stands for it now. 1: it was merged away and the survivor's id is in
 * @id; 0: as it was, as far as this replica knows; negative. The thread that owns the office.
 */
TZ_MUST_USE int tz_redirect_follow(struct tz_office *o, const struct tz_type *t, struct tz_id *id, struct tz_err *err);

#endif
