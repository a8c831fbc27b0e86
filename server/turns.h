/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_TURNS_H
#define TZ_TURNS_H

/* Who is next, where one is served at a time and some ask for more than others: first come, but nobody twice in a row
 * while somebody else waits. Owns nothing. One thread. */

#include "list.h"

#include <stdint.h>

struct tz_turn {
    struct tz_link link;
    uint32_t who;
};
struct tz_turns {
    struct tz_list waiting; /* in the order they came */
    uint32_t last;          /* who was served */
};
void tz_turns_init(struct tz_turns *t);
void tz_turns_put(struct tz_turns *t, struct tz_turn *turn, uint32_t who);
/** How often @who waits. */
size_t tz_turns_count(const struct tz_turns *t, uint32_t who);
/** Takes out the next one; NULL: nobody waits. */
struct tz_turn *tz_turns_next(struct tz_turns *t);

#endif
