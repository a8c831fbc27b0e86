/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bump allocation in a chain of blocks; `head` is the block being filled, older ones hang behind it.
 *
 * 1. used_bytes is the sum of the blocks as allocated, headers included, and never passes budget_bytes.
 * 2. A block that is too small for a request is left as it is; blocks grow with what is in use, so little is lost.
 * 3. Under AddressSanitizer an overrun inside a block is not seen: arenas trade that for one free.
 *
 * No freeing of single objects, no destructors.
 */
#include "arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_ALIGN = 16, ARENA_BLOCK_MIN = 1024, ARENA_BLOCK_MAX = 64 * 1024 };

struct tz_arena_block {
    struct tz_arena_block *older;
    size_t size; /* of data */
    size_t used; /* of data, a multiple of ARENA_ALIGN */
    alignas(ARENA_ALIGN) uint8_t data[];
};

void tz_arena_init(struct tz_arena *a, size_t budget_bytes)
{
    *a = (struct tz_arena){.budget_bytes = budget_bytes};
}

static void blocks_free(struct tz_arena_block *b)
{
    while (b) {
        struct tz_arena_block *older = b->older;
        free(b);
        b = older;
    }
}

void tz_arena_deinit(struct tz_arena *a)
{
    blocks_free(a->head);
    a->head = NULL;
    a->used_bytes = 0;
    a->exhausted = false;
}

void tz_arena_reset(struct tz_arena *a)
{
    a->exhausted = false;
    if (!a->head)
        return;
    blocks_free(a->head->older);
    a->head->older = NULL;
    a->head->used = 0;
    a->used_bytes = sizeof *a->head + a->head->size;
}

/* Preferred size: as much as is in use already, between the two bounds; less when the budget is nearly spent. */
static struct tz_arena_block *block_new(struct tz_arena *a, size_t need)
{
    size_t left = a->used_bytes < a->budget_bytes ? a->budget_bytes - a->used_bytes : 0;
    if (left < sizeof(struct tz_arena_block) || need > left - sizeof(struct tz_arena_block)) {
        a->exhausted = true;
        return NULL;
    }
    left -= sizeof(struct tz_arena_block);
    size_t size = a->used_bytes < ARENA_BLOCK_MIN ? ARENA_BLOCK_MIN : a->used_bytes;
    size = size > ARENA_BLOCK_MAX ? ARENA_BLOCK_MAX : size;
    size = size < need ? need : size;
    size = size > left ? left : size;
    struct tz_arena_block *b = (struct tz_arena_block *)malloc(sizeof *b + size);
    if (!b)
        return NULL;
    *b = (struct tz_arena_block){.older = a->head, .size = size};
    a->head = b;
    a->used_bytes += sizeof *b + size;
    return b;
}

void *tz_arena_alloc(struct tz_arena *a, size_t n)
{
    if (n > SIZE_MAX - ARENA_ALIGN)
        return NULL;
    size_t need = n == 0 ? ARENA_ALIGN : (n + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    struct tz_arena_block *b = a->head;
    if (!b || need > b->size - b->used)
        b = block_new(a, need);
    if (!b)
        return NULL;
    void *p = b->data + b->used;
    b->used += need;
    return p;
}

void *tz_arena_calloc(struct tz_arena *a, size_t count, size_t size)
{
    if (size > 0 && count > SIZE_MAX / size)
        return NULL;
    void *p = tz_arena_alloc(a, count * size);
    return p ? memset(p, 0, count * size) : NULL;
}

void *tz_arena_dup(struct tz_arena *a, const void *p, size_t n)
{
    uint8_t *copy = n < SIZE_MAX ? (uint8_t *)tz_arena_alloc(a, n + 1) : NULL;
    if (!copy)
        return NULL;
    if (n > 0)
        memcpy(copy, p, n);
    copy[n] = 0;
    return copy;
}

char *tz_arena_strdup(struct tz_arena *a, const char *s)
{
    return (char *)tz_arena_dup(a, s, strlen(s));
}
