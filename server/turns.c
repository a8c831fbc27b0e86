/* SPDX-License-Identifier: Apache-2.0 */
#include "turns.h"

void tz_turns_init(struct tz_turns *t)
{
    tz_list_init(&t->waiting);
    t->last = 0;
}

void tz_turns_put(struct tz_turns *t, struct tz_turn *turn, uint32_t who)
{
    turn->who = who;
    tz_list_push_back(&t->waiting, &turn->link);
}

size_t tz_turns_count(const struct tz_turns *t, uint32_t who)
{
    size_t n = 0;
    for (struct tz_link *l = tz_list_first(&t->waiting); l; l = tz_list_next(&t->waiting, l))
        n += TZ_LIST_ENTRY(l, struct tz_turn, link)->who == who;
    return n;
}

struct tz_turn *tz_turns_next(struct tz_turns *t)
{
    struct tz_link *first = tz_list_first(&t->waiting);
    struct tz_link *at = first;
    while (at && TZ_LIST_ENTRY(at, struct tz_turn, link)->who == t->last)
        at = tz_list_next(&t->waiting, at);
    struct tz_link *chosen = at ? at : first;
    if (!chosen)
        return NULL;
    struct tz_turn *turn = TZ_LIST_ENTRY(chosen, struct tz_turn, link);
    tz_list_remove(chosen);
    t->last = turn->who;
    return turn;
}
