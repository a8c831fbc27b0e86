/* SPDX-License-Identifier: Apache-2.0 */
/* Which planted bug is active; only in builds with TZ_PLANTED_BUGS. */
#include "planted.h"

int tz_planted_bug;
