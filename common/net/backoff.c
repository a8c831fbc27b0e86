/* SPDX-License-Identifier: Apache-2.0 */
/* Full jitter; see backoff.h. Invariant: base_ms ≤ ceiling_ms ≤ max_ms. No timers here. */
#include "backoff.h"

#include <assert.h>

void tz_backoff_init(struct tz_backoff *b, uint32_t base_ms, uint32_t max_ms, uint32_t (*random)(void *),
                     void *random_ctx)
{
    assert(base_ms >= 1 && max_ms >= base_ms);
    *b = (struct tz_backoff){
        .base_ms = base_ms, .max_ms = max_ms, .ceiling_ms = base_ms, .random = random, .random_ctx = random_ctx};
}

uint32_t tz_backoff_next_ms(struct tz_backoff *b)
{
    /* The high half of the product maps 32 random bits onto [0, ceiling] without the bias of a remainder. */
    uint64_t span = (uint64_t)b->ceiling_ms + 1;
    uint32_t delay_ms = (uint32_t)(((uint64_t)b->random(b->random_ctx) * span) >> 32);
    b->ceiling_ms = b->ceiling_ms > b->max_ms / 2 ? b->max_ms : b->ceiling_ms * 2;
    return delay_ms;
}

void tz_backoff_reset(struct tz_backoff *b)
{
    b->ceiling_ms = b->base_ms;
}
