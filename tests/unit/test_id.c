/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <string.h>

#include "id.h"

static uint32_t xorshift(void *ctx)
{
    uint32_t *x = ctx;
    *x ^= *x << 13;
    *x ^= *x >> 17;
    *x ^= *x << 5;
    return *x;
}

static uint64_t id_ms(struct tz_id id)
{
    uint64_t ms = 0;
    for (size_t i = 0; i < 6; i++)
        ms = ms << 8 | id.b[i];
    return ms;
}

static void layout_is_uuid_v7_with_the_device(void **state)
{
    (void)state;
    uint32_t seed = 1;
    struct tz_id_maker m = {.device = 0xA1B2C3D4, .random = xorshift, .random_ctx = &seed};
    struct tz_id id = tz_id_make(&m, (struct tz_wall){INT64_C(1500000000123)});
    assert_int_equal(id_ms(id), 1500000000123);
    assert_int_equal(id.b[6] >> 4, 7);
    assert_int_equal(id.b[8] >> 6, 2);
    assert_int_equal(tz_id_device(id), 0xA1B2C3D4);
}

static void ids_ascend_whatever_the_clock_does(void **state)
{
    (void)state;
    uint32_t seed = 2;
    struct tz_id_maker m = {.device = 5, .random = xorshift, .random_ctx = &seed};
    struct tz_id last = {{0}};
    int64_t now = INT64_C(1500000000000);
    for (int i = 0; i < 50000; i++) {
        uint32_t r = xorshift(&seed);
        now += r % 16 == 0 ? (int64_t)(r >> 8) % 2001 - 1000 : 0; /* mostly stands still, sometimes jumps either way */
        struct tz_id id = tz_id_make(&m, (struct tz_wall){now});
        assert_true(tz_id_cmp(last, id) < 0);
        assert_int_equal(id.b[6] >> 4, 7);
        last = id;
    }
}

static void full_counter_takes_the_next_millisecond(void **state)
{
    (void)state;
    uint32_t seed = 3;
    struct tz_id_maker m = {.last_ms = 1000, .counter = 0xFFF, .random = xorshift, .random_ctx = &seed};
    struct tz_id id = tz_id_make(&m, (struct tz_wall){1000});
    assert_int_equal(id_ms(id), 1001);
}

static void impossible_clocks_are_clamped(void **state)
{
    (void)state;
    uint32_t seed = 4;
    struct tz_id_maker m = {.random = xorshift, .random_ctx = &seed};
    assert_int_equal(id_ms(tz_id_make(&m, (struct tz_wall){INT64_MIN})), 0);
    assert_int_equal(id_ms(tz_id_make(&m, (struct tz_wall){INT64_MAX})), 0xFFFFFFFFFFFF);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(id_ms(tz_id_make(&m, (struct tz_wall){INT64_MAX})), 0xFFFFFFFFFFFF);
}

static void two_makers_of_one_device_differ(void **state)
{
    (void)state;
    uint32_t seed1 = 5, seed2 = 6;
    struct tz_id_maker m1 = {.device = 1, .random = xorshift, .random_ctx = &seed1};
    struct tz_id_maker m2 = {.device = 1, .random = xorshift, .random_ctx = &seed2};
    for (int64_t ms = 0; ms < 1000; ms++)
        assert_false(tz_id_eq(tz_id_make(&m1, (struct tz_wall){ms}), tz_id_make(&m2, (struct tz_wall){ms})));
}

static void printed_id_parses_back(void **state)
{
    (void)state;
    uint32_t seed = 7;
    struct tz_id_maker m = {.device = 77, .random = xorshift, .random_ctx = &seed};
    for (int64_t ms = 0; ms < 1000; ms++) {
        struct tz_id id = tz_id_make(&m, (struct tz_wall){ms * 1000003}), back;
        char text[TZ_ID_HEX + 1];
        tz_id_print(id, text);
        assert_int_equal(strlen(text), TZ_ID_HEX);
        assert_int_equal(tz_id_parse(text, &back), 0);
        assert_true(tz_id_eq(id, back));
    }
}

static void uuid_form_and_upper_case_are_accepted(void **state)
{
    (void)state;
    struct tz_id a, b;
    assert_int_equal(tz_id_parse("0189ABCD-ef01-7234-8567-89abcdef0123", &a), 0);
    assert_int_equal(tz_id_parse("0189abcdef017234856789abcdef0123", &b), 0);
    assert_true(tz_id_eq(a, b));
}

static void other_texts_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "0",
        "0189abcdef017234856789abcdef012",
        "0189abcdef017234856789abcdef01234",
        "0189abcdef017234856789abcdef012g",
        "0189abcd-ef017234856789abcdef0123",
        "0189abcd-ef01-7234-8567-89abcdef012",
        "0189abcde-f01-7234-8567-89abcdef0123",
        "0189abcd-ef01-7234-8567-89abcdef012 ",
        "------------------------------------",
        " 189abcdef017234856789abcdef0123",
    };
    struct tz_id id = {{9}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(tz_id_parse(bad[i], &id), TZ_E_FORMAT);
    assert_int_equal(id.b[0], 9);
}

static void zero_is_recognised(void **state)
{
    (void)state;
    assert_true(tz_id_is_zero((struct tz_id){{0}}));
    assert_false(tz_id_is_zero((struct tz_id){{[15] = 1}}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout_is_uuid_v7_with_the_device),
        cmocka_unit_test(ids_ascend_whatever_the_clock_does),
        cmocka_unit_test(full_counter_takes_the_next_millisecond),
        cmocka_unit_test(impossible_clocks_are_clamped),
        cmocka_unit_test(two_makers_of_one_device_differ),
        cmocka_unit_test(printed_id_parses_back),
        cmocka_unit_test(uuid_form_and_upper_case_are_accepted),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(zero_is_recognised),
    };
    return cmocka_run_group_tests_name("id", tests, NULL, NULL);
}
