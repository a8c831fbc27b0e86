/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hybrid logical clock. The law both functions keep: the result is greater than every time it was told came before,
 * whatever the clocks say. Wall clocks only choose among the times that law allows.
 *
 * Sums saturate: a clock may be off by any number of milliseconds an int64 can hold. "+ 1" is on the whole number, so a
 * full counter carries into the milliseconds.
 */
#include "hlc.h"
#include "planted.h"

static const int64_t ahead_ms_max = 2 * 60 * 1000;

static int64_t add_sat(int64_t a, int64_t b)
{
    if (b > 0 && a > INT64_MAX - b)
        return INT64_MAX;
    if (b < 0 && a < INT64_MIN - b)
        return INT64_MIN;
    return a + b;
}

/* The least time greater than @t. At the end of the range (year 10889) there is none. */
static tz_hlc after(tz_hlc t)
{
    return t < UINT64_MAX ? t + 1 : t;
}

static tz_hlc max_hlc(tz_hlc a, tz_hlc b)
{
    return a > b ? a : b;
}

tz_hlc tz_hlc_tick(tz_hlc last, struct tz_wall now)
{
    return max_hlc(tz_hlc_of(now.ms, 0), after(last));
}

tz_hlc tz_hlc_effective(tz_hlc claimed, int64_t offset_ms, struct tz_wall received, tz_hlc last_effective,
                        tz_hlc base_eff_max)
{
    tz_hlc t = tz_hlc_of(add_sat(tz_hlc_ms(claimed), offset_ms), (uint16_t)(claimed & 0xFFFF));
    tz_hlc latest = tz_hlc_of(add_sat(received.ms, ahead_ms_max), 0);
    if (t > latest && !TZ_PLANTED(CLOCK_TRUSTED))
        t = latest;
    /* A missing last or base is 0, and 0 means never: so the result is at least 1. */
    return max_hlc(t, max_hlc(after(last_effective), after(base_eff_max)));
}
