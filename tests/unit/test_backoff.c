/* SPDX-License-Identifier: Apache-2.0 */
/* Retry delays with injected random numbers, and address texts. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "addr.h"
#include "backoff.h"

#include <string.h>

static uint32_t fixed(void *ctx)
{
    return *(const uint32_t *)ctx;
}

static void ceiling_doubles_to_the_maximum_and_resets(void **state)
{
    (void)state;
    static const uint32_t want[] = {100, 200, 400, 800, 1000, 1000, 1000};
    uint32_t top = UINT32_MAX;
    struct tz_backoff b;
    tz_backoff_init(&b, 100, 1000, fixed, &top);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof want / sizeof *want; i++)
            assert_int_equal(tz_backoff_next_ms(&b), want[i]);
        tz_backoff_reset(&b);
    }
}

static void jitter_is_full(void **state)
{
    (void)state;
    uint32_t value = 0;
    struct tz_backoff b;
    tz_backoff_init(&b, 1000, 1000, fixed, &value);
    assert_int_equal(tz_backoff_next_ms(&b), 0);
    value = UINT32_MAX / 2;
    assert_in_range(tz_backoff_next_ms(&b), 499, 501);
}

static void largest_limits_do_not_overflow(void **state)
{
    (void)state;
    uint32_t top = UINT32_MAX;
    struct tz_backoff b;
    tz_backoff_init(&b, UINT32_MAX - 1, UINT32_MAX, fixed, &top);
    assert_int_equal(tz_backoff_next_ms(&b), UINT32_MAX - 1);
    for (int i = 0; i < 40; i++)
        assert_int_equal(tz_backoff_next_ms(&b), UINT32_MAX);
}

static void addresses_round_trip(void **state)
{
    (void)state;
    static const char *const good[] = {"127.0.0.1:7700", "[::1]:0", "host.example:65535"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct tz_addr a;
        char text[TZ_HOST_BYTES + 16];
        assert_int_equal(tz_addr_parse(good[i], &a, NULL), 0);
        assert_null(strpbrk(a.host, "[]"));
        assert_string_equal(tz_addr_print(&a, text, sizeof text), good[i]);
    }
}

static void addresses_with_missing_or_wrong_parts_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",      "host",   ":1",    "host:", "host:65536", "host:123456", "host:-1",
                                      "::1:1", "[::1]1", "[::1]", "[]:1",  "[::1:1",     "a b:1",       "host:1x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tz_addr a;
        assert_int_equal(tz_addr_parse(bad[i], &a, NULL), TZ_E_ADDRESS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ceiling_doubles_to_the_maximum_and_resets),
        cmocka_unit_test(jitter_is_full),
        cmocka_unit_test(largest_limits_do_not_overflow),
        cmocka_unit_test(addresses_round_trip),
        cmocka_unit_test(addresses_with_missing_or_wrong_parts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
