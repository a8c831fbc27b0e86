/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "hlc.h"

static const int64_t minute = 60000, year = INT64_C(31557600000), t0 = INT64_C(1500000000000);

static uint64_t seed = UINT64_C(0x9E3779B97F4A7C15);

static uint64_t xorshift(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static struct tz_wall wall(int64_t ms)
{
    return (struct tz_wall){ms};
}

static void tick_follows_the_wall_clock_when_it_leads(void **state)
{
    (void)state;
    assert_int_equal(tz_hlc_tick(0, wall(t0)), tz_hlc_of(t0, 0));
    assert_int_equal(tz_hlc_tick(tz_hlc_of(t0, 7), wall(t0)), tz_hlc_of(t0, 8));
    assert_int_equal(tz_hlc_tick(tz_hlc_of(t0, 0xFFFF), wall(t0)), tz_hlc_of(t0 + 1, 0));
    assert_int_equal(tz_hlc_tick(tz_hlc_of(t0, 7), wall(t0 + 1)), tz_hlc_of(t0 + 1, 0));
}

static void tick_is_monotonic_under_any_clock(void **state)
{
    (void)state;
    tz_hlc last = 0;
    for (int i = 0; i < 100000; i++) {
        int64_t now = (int64_t)(xorshift() >> 20); /* anywhere in 44 bits */
        if (i % 3 == 0)
            now = -now;
        tz_hlc next = tz_hlc_tick(last, wall(now));
        assert_true(next > last);
        last = next;
    }
}

static void never_is_not_a_time_anyone_gets(void **state)
{
    (void)state;
    assert_true(tz_hlc_tick(0, wall(0)) > 0);
    assert_true(tz_hlc_tick(0, wall(INT64_MIN)) > 0);
    assert_true(tz_hlc_effective(0, 0, wall(0), 0, 0) > 0);
    assert_true(tz_hlc_effective(0, INT64_MIN, wall(INT64_MIN), 0, 0) > 0);
}

static void offset_corrects_a_clock_ten_years_off(void **state)
{
    (void)state;
    const tz_hlc ahead = tz_hlc_of(t0 + 10 * year, 3), behind = tz_hlc_of(t0 - 10 * year, 3);
    assert_int_equal(tz_hlc_effective(ahead, -10 * year, wall(t0 + 5), 0, 0), tz_hlc_of(t0, 3));
    assert_int_equal(tz_hlc_effective(behind, 10 * year, wall(t0 + 5), 0, 0), tz_hlc_of(t0, 3));
}

static void future_is_clamped_two_minutes_ahead(void **state)
{
    (void)state;
    const tz_hlc latest = tz_hlc_of(t0 + 2 * minute, 0);
    assert_int_equal(tz_hlc_effective(tz_hlc_of(t0 + 2 * minute, 0), 0, wall(t0), 0, 0), latest);
    assert_int_equal(tz_hlc_effective(tz_hlc_of(t0 + 2 * minute, 1), 0, wall(t0), 0, 0), latest);
    assert_int_equal(tz_hlc_effective(tz_hlc_of(t0 + 10 * year, 9), 0, wall(t0), 0, 0), latest);
    assert_int_equal(tz_hlc_effective(tz_hlc_of(t0 + 2 * minute - 1, 9), 0, wall(t0), 0, 0),
                     tz_hlc_of(t0 + 2 * minute - 1, 9));
}

/* A clamp never beats causality: what was seen stays before. */
static void causality_beats_the_clamp(void **state)
{
    (void)state;
    const tz_hlc last = tz_hlc_of(t0 + year, 0xFFFF), base = tz_hlc_of(t0 + 2 * year, 4);
    assert_int_equal(tz_hlc_effective(tz_hlc_of(t0, 0), 0, wall(t0), last, 0), tz_hlc_of(t0 + year + 1, 0));
    assert_int_equal(tz_hlc_effective(tz_hlc_of(t0, 0), 0, wall(t0), last, base), base + 1);
}

static int64_t any_int64(void)
{
    static const int64_t edges[] = {INT64_MIN, INT64_MIN + 1, -1,        0,
                                    1,         INT64_MAX - 1, INT64_MAX, INT64_C(0xFFFFFFFFFFFF)};
    uint64_t r = xorshift();
    return r % 3 == 0 ? edges[(r >> 8) % (sizeof edges / sizeof edges[0])] : (int64_t)(r << (r % 40));
}

static void effective_time_extends_causality_for_any_input(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++) {
        tz_hlc claimed = xorshift(), last = xorshift() >> (i % 60 + 1), base = xorshift() >> (i % 59 + 1);
        int64_t offset = any_int64(), received = any_int64();
        tz_hlc t = tz_hlc_effective(claimed, offset, wall(received), last, base);
        tz_hlc floor = (last > base ? last : base) + 1;
        assert_true(t >= floor);
        if (t > floor && received >= 0 && received < INT64_C(0xFFFFFFFFFFFF) - 2 * minute)
            assert_true(t <= tz_hlc_of(received + 2 * minute, 0));
    }
}

static void one_device_is_monotonic_whatever_it_claims(void **state)
{
    (void)state;
    tz_hlc last = 0;
    for (int i = 0; i < 100000; i++) {
        tz_hlc t = tz_hlc_effective(xorshift(), any_int64(), wall(t0 + i), last, 0);
        assert_true(t > last);
        last = t;
    }
    assert_true(tz_hlc_ms(last) <= t0 + 100000 + 2 * minute); /* and it never runs away from the server */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tick_follows_the_wall_clock_when_it_leads),
        cmocka_unit_test(tick_is_monotonic_under_any_clock),
        cmocka_unit_test(never_is_not_a_time_anyone_gets),
        cmocka_unit_test(offset_corrects_a_clock_ten_years_off),
        cmocka_unit_test(future_is_clamped_two_minutes_ahead),
        cmocka_unit_test(causality_beats_the_clamp),
        cmocka_unit_test(effective_time_extends_causality_for_any_input),
        cmocka_unit_test(one_device_is_monotonic_whatever_it_claims),
    };
    return cmocka_run_group_tests_name("hlc", tests, NULL, NULL);
}
