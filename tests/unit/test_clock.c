/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "clock.h"

static void today(int64_t ms, const char *expected)
{
    char out[11];
    tz_clock_today((struct tz_wall){ms}, out);
    assert_string_equal(out, expected);
}

static void today_is_the_date_at_utc_plus_8(void **state)
{
    (void)state;
    const int64_t hour = 3600000;
    today(0, "1970-01-01");
    today(16 * hour - 1, "1970-01-01");
    today(16 * hour, "1970-01-02");
    today(-8 * hour, "1970-01-01");
    today(-8 * hour - 1, "1969-12-31");
    today(INT64_C(1488643199999), "2017-03-04");
    today(INT64_C(1488643200000), "2017-03-05"); /* 2017-03-04T16:00:00Z */
    today(INT64_C(951753600000), "2000-02-29");
    today(INT64_C(951840000000), "2000-03-01");
    today(INT64_C(4107513600000), "2100-03-01"); /* 2100 is no leap year: 2100-02-28T16:00:00Z */
    today(INT64_C(4107513599999), "2100-02-28");
}

static void impossible_clocks_still_give_a_date(void **state)
{
    (void)state;
    today(INT64_MAX, "9999-12-31");
    today(INT64_MIN, "0001-01-01");
}

/* Every day of 140 years follows the one before it: walked against a plain calendar. */
static void dates_agree_with_a_counted_calendar(void **state)
{
    (void)state;
    static const unsigned days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned y = 1970, m = 1, d = 1;
    for (int64_t day = 0; day < 140 * 365; day++) {
        char out[11];
        tz_clock_today((struct tz_wall){day * INT64_C(86400000)}, out);
        unsigned oy = (unsigned)(out[0] - '0') * 1000 + (unsigned)(out[1] - '0') * 100 + (unsigned)(out[2] - '0') * 10 +
                      (unsigned)(out[3] - '0');
        assert_int_equal(oy, y);
        assert_int_equal((out[5] - '0') * 10 + out[6] - '0', m);
        assert_int_equal((out[8] - '0') * 10 + out[9] - '0', d);
        unsigned leap = m == 2 && y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
        if (++d > days[m - 1] + leap) {
            d = 1;
            y += m == 12;
            m = m % 12 + 1;
        }
    }
}

static void fake_clock_moves_only_when_told(void **state)
{
    (void)state;
    struct tz_clock_fake f = {.wall = {1000}, .mono = {50}};
    struct tz_clock c = tz_clock_fake(&f);
    assert_int_equal(tz_clock_wall(&c).ms, 1000);
    tz_clock_fake_advance(&f, 7);
    assert_int_equal(tz_clock_wall(&c).ms, 1007);
    assert_int_equal(tz_clock_mono(&c).ms, 57);
    f.wall.ms -= 500; /* a wall clock may be set back */
    assert_int_equal(tz_clock_wall(&c).ms, 507);
    assert_int_equal(tz_clock_mono(&c).ms, 57);
}

static void system_clock_is_plausible_and_does_not_go_back(void **state)
{
    (void)state;
    int64_t mono = tz_clock_mono(&tz_clock_system).ms;
    assert_true(tz_clock_wall(&tz_clock_system).ms > INT64_C(1000000000000));
    assert_true(tz_clock_mono(&tz_clock_system).ms >= mono);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(today_is_the_date_at_utc_plus_8),
        cmocka_unit_test(impossible_clocks_still_give_a_date),
        cmocka_unit_test(dates_agree_with_a_counted_calendar),
        cmocka_unit_test(fake_clock_moves_only_when_told),
        cmocka_unit_test(system_clock_is_plausible_and_does_not_go_back),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
