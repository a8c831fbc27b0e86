/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_BACKOFF_H
#define TZ_BACKOFF_H

/*
 * When to try again: exponential with full jitter, so that a thousand clients that lost the same server do not return
 * together. Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog 2015 ("Full Jitter"). Pure:
 * no clock, the random numbers are injected.
 */

#include <stdint.h>

struct tz_backoff {
    uint32_t base_ms;
    uint32_t max_ms;
    uint32_t ceiling_ms;           /**< upper end of the next delay */
    uint32_t (*random)(void *ctx); /**< 32 random bits */
    void *random_ctx;              /**< borrowed */
};

/** @base_ms ≥ 1 is the ceiling of the first delay, @max_ms ≥ @base_ms that of all later ones. */
void tz_backoff_init(struct tz_backoff *b, uint32_t base_ms, uint32_t max_ms, uint32_t (*random)(void *),
                     void *random_ctx);
/** The next delay, uniform in [0, ceiling]; doubles the ceiling up to max_ms. */
uint32_t tz_backoff_next_ms(struct tz_backoff *b);
/** After a success: start again at base_ms. */
void tz_backoff_reset(struct tz_backoff *b);

#endif
