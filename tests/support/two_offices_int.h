/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_TWO_OFFICES_INT_H
#define TZ_TWO_OFFICES_INT_H

/* Between two_offices.c and two_offices_save.c. */

#include "two_offices.h"

void tw_check(int rc, const struct tz_err *err);
/** The next save of the script, in office @i (0, 1). */
int tw_save(struct tw *w, int i);

#endif
