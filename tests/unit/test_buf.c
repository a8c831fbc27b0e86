/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <string.h>

#include "buf.h"

static void written_bytes_are_read_back(void **state)
{
    (void)state;
    struct tz_buf b;
    tz_buf_init(&b, 1000);
    assert_int_equal(tz_buf_unread(&b).n, 0);
    assert_int_equal(tz_buf_puts(&b, "abc"), 0);
    assert_int_equal(tz_buf_putc(&b, 'd'), 0);
    assert_int_equal(tz_buf_put(&b, NULL, 0), 0);
    assert_int_equal(tz_buf_printf(&b, "-%d-%s", 42, "x"), 0);
    assert_true(tz_bytes_eq(tz_buf_unread(&b), tz_bytes_str("abcd-42-x")));
    tz_buf_consume(&b, 5);
    assert_true(tz_bytes_eq(tz_buf_unread(&b), tz_bytes_str("42-x")));
    tz_buf_clear(&b);
    assert_int_equal(tz_buf_unread(&b).n, 0);
    tz_buf_deinit(&b);
}

static void limit_is_exact_and_changes_nothing(void **state)
{
    (void)state;
    struct tz_buf b;
    tz_buf_init(&b, 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(tz_buf_putc(&b, (uint8_t)i), 0);
    const struct tz_buf before = b;
    assert_int_equal(tz_buf_putc(&b, 1), TZ_E_LIMIT);
    assert_int_equal(tz_buf_reserve(&b, SIZE_MAX), TZ_E_LIMIT);
    assert_int_equal(tz_buf_printf(&b, "%d", 7), TZ_E_LIMIT);
    assert_memory_equal(&before, &b, sizeof b);
    assert_true(b.cap <= 100);
    tz_buf_deinit(&b);
}

static void consumed_bytes_do_not_count_against_the_limit(void **state)
{
    (void)state;
    struct tz_buf b;
    tz_buf_init(&b, 10);
    uint8_t next_in = 0, next_out = 0;
    for (int round = 0; round < 1000; round++) {
        while (tz_buf_putc(&b, next_in) == 0)
            next_in++;
        size_t take = (size_t)(round % 10) + 1;
        for (size_t i = 0; i < take; i++)
            assert_int_equal(tz_buf_unread(&b).p[i], next_out++);
        tz_buf_consume(&b, take);
        assert_int_equal(tz_buf_unread(&b).n, 10 - take);
    }
    tz_buf_deinit(&b);
}

static void long_text_is_printed_whole(void **state)
{
    (void)state;
    struct tz_buf b;
    char text[700];
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    tz_buf_init(&b, 2000);
    assert_int_equal(tz_buf_printf(&b, "<%s>", text), 0);
    assert_int_equal(tz_buf_unread(&b).n, sizeof text - 1 + 2);
    assert_int_equal(tz_buf_unread(&b).p[sizeof text], '>');
    tz_buf_deinit(&b);
}

static void deinit_accepts_zero_and_a_second_call(void **state)
{
    (void)state;
    struct tz_buf b = {0};
    tz_buf_deinit(&b);
    tz_buf_init(&b, 100);
    assert_int_equal(tz_buf_puts(&b, "secret"), 0);
    tz_buf_deinit_secret(&b);
    tz_buf_deinit_secret(&b);
    assert_null(b.p);
    assert_int_equal(tz_buf_puts(&b, "again"), 0); /* keeps its limit */
    tz_buf_deinit(&b);
}

static void bytes_compare_like_memory_then_length(void **state)
{
    (void)state;
    const struct tz_bytes none = tz_bytes_of(NULL, 0), a = tz_bytes_str("a"), ab = tz_bytes_str("ab"),
                          b = tz_bytes_str("b");
    assert_int_equal(tz_bytes_cmp(none, none), 0);
    assert_true(tz_bytes_cmp(none, a) < 0 && tz_bytes_cmp(a, ab) < 0 && tz_bytes_cmp(ab, b) < 0 &&
                tz_bytes_cmp(b, ab) > 0);
    assert_true(tz_bytes_eq(none, tz_bytes_str("")) && tz_bytes_eq(none, tz_bytes_str(NULL)));
    assert_false(tz_bytes_eq(a, ab) || tz_bytes_eq(a, b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_bytes_are_read_back),
        cmocka_unit_test(limit_is_exact_and_changes_nothing),
        cmocka_unit_test(consumed_bytes_do_not_count_against_the_limit),
        cmocka_unit_test(long_text_is_printed_whole),
        cmocka_unit_test(deinit_accepts_zero_and_a_second_call),
        cmocka_unit_test(bytes_compare_like_memory_then_length),
    };
    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
