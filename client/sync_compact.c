/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Old own saves in fewer bytes, when everything else of the session is done: step after step, one at a time. Who only
 * comes to sync waits for a few steps; a session that stays goes on with the rest.
 */
#include "sync_state.h"

enum { AWAITED_STEPS = 16 };

bool tz_sync_compact(struct tz_sync *s)
{
    if (s->compact_upto == 0)
        return false;
    if (!s->compacting) {
        struct tz_cjob *j = tz_sync_job(s, TZ_CJOB_COMPACT, NULL);
        if (!j)
            return true;
        j->compact_upto = s->compact_upto;
        s->compacting = true;
        s->io.submit(s->io.ctx, j);
    }
    return s->compact_steps < AWAITED_STEPS;
}

void tz_sync_on_compacted(struct tz_sync *s, struct tz_cjob *j)
{
    s->compacting = false;
    s->compact_steps++;
    if (!j->more)
        s->compact_upto = 0;
}
