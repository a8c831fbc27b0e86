/* SPDX-License-Identifier: Apache-2.0 */
/* Which planted bug is active; only in builds with TZ_PLANTED_BUGS. */
#include "planted.h"

#include <stdlib.h>

int tz_planted_bug;

/** Programs that have no option for it are told by their environment (tests/mutants.sh). */
__attribute__((constructor)) static void plant(void)
{
    const char *n = getenv("TZ_PLANTED");
    if (n)
        tz_planted_bug = atoi(n);
}
