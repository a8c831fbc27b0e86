/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_ID_H
#define TZ_ID_H

/*
 * 128-bit record ids: UUIDv7 (RFC 9562) whose random part names the maker.
 *
 *   bytes 0–5   milliseconds since 1970 UTC, big-endian
 *   bytes 6–7   version 7, then a 12-bit counter within the millisecond
 *   bytes 8–11  variant 10, then 30 random bits
 *   bytes 12–15 device number of the maker, big-endian; 0 = the server or a shipped row
 *
 * Time order makes inserts cheap; the maker lets the server refuse a foreign CREATE before any look-up.
 */

#include "clock.h"
#include "err.h"

enum { TZ_ID_BYTES = 16, TZ_ID_HEX = 32 };

struct tz_id {
    uint8_t b[TZ_ID_BYTES];
};

/** Makes ids in strictly ascending order even when the wall clock stands still or goes back. One owner. */
struct tz_id_maker {
    uint32_t device;
    int64_t last_ms;
    uint16_t counter;
    uint32_t (*random)(void *ctx); /**< 32 random bits; injected so that simulations repeat */
    void *random_ctx;
};
struct tz_id tz_id_make(struct tz_id_maker *m, struct tz_wall now);

uint32_t tz_id_device(struct tz_id id);
bool tz_id_is_zero(struct tz_id id);
int tz_id_cmp(struct tz_id a, struct tz_id b);
static inline bool tz_id_eq(struct tz_id a, struct tz_id b)
{
    return tz_id_cmp(a, b) == 0;
}
/** Lower-case, NUL-terminated. */
void tz_id_print(struct tz_id id, char out[TZ_ID_HEX + 1]);
/** 32 hex digits, either case, hyphens of the UUID form allowed. TZ_E_FORMAT otherwise. */
TZ_MUST_USE int tz_id_parse(const char *s, struct tz_id *out);

#endif
