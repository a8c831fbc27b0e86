/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_SM_H
#define TZ_SM_H

/*
 * A state machine's table of allowed moves. All changes go through tz_sm_move, so a move that was not drawn cannot
 * happen silently. States are a small enum of the owner's, 0 being the first; the table is const and usually static:
 *
 *     static const struct tz_sm_state states[] = {
 *         [HELLO] = {"hello", 1u << READY | 1u << CLOSED},
 *         [READY] = {"ready", 1u << CLOSED},
 *         [CLOSED] = {"closed", 0},
 *     };
 *
 * One owner, no locking.
 */

#include <stdbool.h>
#include <stdint.h>

enum { TZ_SM_STATES_MAX = 32 };

struct tz_sm_state {
    const char *name;
    uint32_t next; /**< bit k: a move to state k is allowed */
};

struct tz_sm {
    const char *subsystem; /**< for the log; borrowed, as is the table */
    uint64_t id;           /**< which one of its kind, for the log */
    const struct tz_sm_state *states;
    unsigned nstates;
    unsigned state;
};

void tz_sm_init(struct tz_sm *sm, const char *subsystem, uint64_t id, const struct tz_sm_state *states,
                unsigned nstates);
/** Is the move to @to drawn? Moving to the present state is allowed only when drawn too. */
bool tz_sm_may(const struct tz_sm *sm, unsigned to);
/** Move, and log old, new and @event at debug level. A move that is not drawn is a bug here: the program stops. */
void tz_sm_move(struct tz_sm *sm, unsigned to, const char *event);
const char *tz_sm_name(const struct tz_sm *sm);

#endif
