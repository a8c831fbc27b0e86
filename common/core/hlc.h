/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_HLC_H
#define TZ_HLC_H

/*
 * Hybrid logical clock: 48-bit milliseconds and a 16-bit counter in one comparable number.
 * Source: Kulkarni et al. 2014, "Logical Physical Clocks and Consistent Snapshots in Globally Distributed Databases".
 */

#include "clock.h"

typedef uint64_t tz_hlc; /**< ms << 16 | counter; compare as a number; 0 = never */

static inline tz_hlc tz_hlc_of(int64_t ms, uint16_t counter)
{
    if (ms < 0)
        ms = 0;
    if (ms > INT64_C(0xFFFFFFFFFFFF))
        ms = INT64_C(0xFFFFFFFFFFFF);
    return ((uint64_t)ms << 16) | counter;
}
static inline int64_t tz_hlc_ms(tz_hlc t)
{
    return (int64_t)(t >> 16);
}

/** Next time for a local event: the wall clock, or one past @last when the wall clock is not ahead of it. */
tz_hlc tz_hlc_tick(tz_hlc last, struct tz_wall now);

/**
 * Effective time of a changeset (README of this folder, "Time"):
 * max(min(claimed + offset, received + 2 min), device's last effective + 1, eff_max at the greatest base + 1).
 *
 * @claimed          the device's own hlc for the save
 * @offset_ms        server wall minus device wall, measured at the handshake
 * @received         server wall clock when the changeset was judged
 * @last_effective   of the same device; 0 = none
 * @base_eff_max     greatest effective time of all commits up to the greatest base version; 0 = none
 * Never fails: a clock ten years wrong is clamped, not refused.
 */
tz_hlc tz_hlc_effective(tz_hlc claimed, int64_t offset_ms, struct tz_wall received, tz_hlc last_effective,
                        tz_hlc base_eff_max);

#endif
