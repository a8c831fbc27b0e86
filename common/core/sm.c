/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves between states by table. What a move entails is the owner's business; here it is only judged, made and logged.
 * An undrawn move aborts in every build, release included: a session in a state nobody thought of may acknowledge what
 * it has not stored.
 */
#include "sm.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "log.h"

void tz_sm_init(struct tz_sm *sm, const char *subsystem, uint64_t id, const struct tz_sm_state *states,
                unsigned nstates)
{
    assert(nstates > 0 && nstates <= TZ_SM_STATES_MAX);
    *sm = (struct tz_sm){.subsystem = subsystem, .id = id, .states = states, .nstates = nstates};
}

bool tz_sm_may(const struct tz_sm *sm, unsigned to)
{
    return to < sm->nstates && (sm->states[sm->state].next >> to & 1u) != 0;
}

void tz_sm_move(struct tz_sm *sm, unsigned to, const char *event)
{
    if (!tz_sm_may(sm, to)) {
        tz_log(TZ_LOG_ERROR, sm->subsystem, "bad_move", "id=%" PRIu64 " old=%s new=%u event=%s", sm->id, tz_sm_name(sm),
               to, event);
        abort();
    }
    tz_log(TZ_LOG_DEBUG, sm->subsystem, "move", "id=%" PRIu64 " old=%s new=%s event=%s", sm->id, tz_sm_name(sm),
           sm->states[to].name, event);
    sm->state = to;
}

const char *tz_sm_name(const struct tz_sm *sm)
{
    return sm->states[sm->state].name;
}
