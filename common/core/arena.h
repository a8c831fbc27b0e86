/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_ARENA_H
#define TZ_ARENA_H

/*
 * Budgeted bump allocation: everything allocated for one request lives and dies together. The budget bounds the sum of
 * all blocks; past it allocations return NULL, which callers report as TZ_E_LIMIT. Not thread-safe.
 */

#include "buf.h"

#include <stdbool.h>

struct tz_arena_block;
struct tz_arena {
    struct tz_arena_block *head;
    size_t used_bytes; /**< sum of blocks */
    size_t budget_bytes;
    bool exhausted; /**< an allocation failed for want of budget, not of memory; until reset */
};

void tz_arena_init(struct tz_arena *a, size_t budget_bytes);
/** Frees all; accepts a zeroed struct and a second call. */
void tz_arena_deinit(struct tz_arena *a);
/** Free all but one block, for reuse. */
void tz_arena_reset(struct tz_arena *a);
/** 16-byte aligned, uninitialised; NULL past the budget or out of memory. @n 0 gives a valid pointer. */
void *tz_arena_alloc(struct tz_arena *a, size_t n);
/** Zeroed @count × @size with overflow check. */
void *tz_arena_calloc(struct tz_arena *a, size_t count, size_t size);
/** Copy of @n bytes plus a terminating NUL. */
void *tz_arena_dup(struct tz_arena *a, const void *p, size_t n);
char *tz_arena_strdup(struct tz_arena *a, const char *s);

#endif
