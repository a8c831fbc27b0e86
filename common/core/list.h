/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_LIST_H
#define TZ_LIST_H

/*
 * Intrusive doubly linked list: a ring through a head and the links embedded in the elements. The list owns nothing. A
 * link is in at most one list; tz_link_init (or zeroing) marks it as in none, and removing it then does nothing.
 *
 *     struct tz_list jobs;                         struct job { struct tz_link link; … };
 *     tz_list_init(&jobs);                         tz_list_push_back(&jobs, &job->link);
 *     for (struct tz_link *l = tz_list_first(&jobs), *next; l; l = next) {
 *         next = tz_list_next(&jobs, l);           // taken first, so that l may be removed
 *         struct job *j = TZ_LIST_ENTRY(l, struct job, link);
 *     }
 */

#include <stdbool.h>
#include <stddef.h>

struct tz_link {
    struct tz_link *prev;
    struct tz_link *next;
};
struct tz_list {
    struct tz_link head; /* self-linked when empty; so a list must not be copied */
};

#define TZ_LIST_ENTRY(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void tz_list_init(struct tz_list *l)
{
    l->head.prev = &l->head;
    l->head.next = &l->head;
}
static inline void tz_link_init(struct tz_link *n)
{
    n->prev = NULL;
    n->next = NULL;
}
static inline bool tz_link_linked(const struct tz_link *n)
{
    return n->next != NULL;
}
static inline bool tz_list_empty(const struct tz_list *l)
{
    return l->head.next == &l->head;
}
static inline void tz_link_between(struct tz_link *n, struct tz_link *prev, struct tz_link *next)
{
    n->prev = prev;
    n->next = next;
    prev->next = n;
    next->prev = n;
}
static inline void tz_list_push_back(struct tz_list *l, struct tz_link *n)
{
    tz_link_between(n, l->head.prev, &l->head);
}
static inline void tz_list_push_front(struct tz_list *l, struct tz_link *n)
{
    tz_link_between(n, &l->head, l->head.next);
}
/** Take @n out of whatever list it is in. */
static inline void tz_list_remove(struct tz_link *n)
{
    if (!tz_link_linked(n))
        return;
    n->prev->next = n->next;
    n->next->prev = n->prev;
    tz_link_init(n);
}
/** First element, NULL when empty. */
static inline struct tz_link *tz_list_first(const struct tz_list *l)
{
    return tz_list_empty(l) ? NULL : l->head.next;
}
/** Element after @n, NULL after the last. */
static inline struct tz_link *tz_list_next(const struct tz_list *l, const struct tz_link *n)
{
    return n->next == &l->head ? NULL : n->next;
}
/** Remove and return the first, NULL when empty. */
static inline struct tz_link *tz_list_pop_front(struct tz_list *l)
{
    struct tz_link *n = tz_list_first(l);
    if (n)
        tz_list_remove(n);
    return n;
}

#endif
