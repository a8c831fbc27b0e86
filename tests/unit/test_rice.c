/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rice.h"

#include <string.h>

enum { N = 300 };

static uint64_t next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    return z ^ (z >> 27);
}

/** Bytes that the column takes; it must come back as it was, and leave what follows it alone. */
static size_t there_and_back(const uint64_t *v, size_t n)
{
    struct tz_buf b;
    uint64_t back[N];
    tz_buf_init(&b, 1 << 20);
    assert_int_equal(tz_rice_put(&b, v, n), 0);
    size_t bytes = b.len;
    assert_int_equal(tz_buf_puts(&b, "rest"), 0);
    struct tz_bytes in = tz_buf_unread(&b);
    assert_int_equal(tz_rice_take(&in, back, n), 0);
    assert_memory_equal(back, v, n * sizeof *v);
    assert_int_equal(in.n, 4);
    assert_memory_equal(in.p, "rest", 4);
    tz_buf_deinit(&b);
    return bytes;
}

static void every_size_of_number_comes_back(void **state)
{
    uint64_t v[N];
    uint64_t seed = 1;
    (void)state;
    for (unsigned bits = 0; bits <= 64; bits++) {
        for (size_t i = 0; i < N; i++)
            v[i] = bits ? next(&seed) >> (64 - bits) : 0;
        size_t bytes = there_and_back(v, N);
        assert_true(bytes <= 1 + (size_t)N * (bits < 47 ? bits + 2 : 8 + 6 + 64) / 8 + 1);
    }
}

static void a_few_large_numbers_do_not_spoil_a_column(void **state)
{
    uint64_t v[N];
    uint64_t seed = 2;
    (void)state;
    for (size_t i = 0; i < N; i++)
        v[i] = i % 100 == 50 ? UINT64_MAX - i : next(&seed) % 4;
    assert_true(there_and_back(v, N) < N / 2 + 3 * 11);
}

static void a_few_numbers_among_zeros_cost_themselves(void **state)
{
    uint64_t v[N] = {0};
    (void)state;
    v[0] = 1;
    v[100] = 300;
    v[N - 1] = UINT64_MAX;
    assert_int_equal(there_and_back(v, N), 2 + (1 + 1) + (1 + 2) + (2 + 10));
}

static void zeros_and_nothing_take_two_bytes(void **state)
{
    static const uint64_t zeros[N];
    (void)state;
    assert_int_equal(there_and_back(zeros, N), 2);
    assert_true(there_and_back(zeros, 0) <= 2);
}

static void cut_off_or_foreign_bytes_are_refused(void **state)
{
    uint64_t v[N];
    uint64_t back[N];
    uint64_t seed = 3;
    struct tz_buf b;
    (void)state;
    for (size_t i = 0; i < N; i++)
        v[i] = next(&seed) % 1000;
    tz_buf_init(&b, 1 << 20);
    assert_int_equal(tz_rice_put(&b, v, N), 0);
    for (size_t n = 0; n < b.len; n++) {
        struct tz_bytes in = tz_bytes_of(b.p, n);
        assert_int_equal(tz_rice_take(&in, back, N), TZ_E_FORMAT);
    }
    static const uint8_t past_the_end[] = {255, 1, 0xAC, 2, 1}; /* 300 zeros, then one more */
    struct tz_bytes past = tz_bytes_of(past_the_end, sizeof past_the_end);
    assert_int_equal(tz_rice_take(&past, back, N), TZ_E_FORMAT);
    static const uint8_t too_many[] = {255, 2, 0xAB, 2, 1, 0, 1};
    past = tz_bytes_of(too_many, sizeof too_many);
    assert_int_equal(tz_rice_take(&past, back, N), TZ_E_FORMAT);
    for (unsigned k = 49; k < 255; k++) {
        struct tz_bytes in = tz_bytes_of(b.p, b.len);
        b.p[0] = (uint8_t)k;
        assert_int_equal(tz_rice_take(&in, back, N), TZ_E_FORMAT);
    }
    tz_buf_deinit(&b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_of_number_comes_back),
        cmocka_unit_test(a_few_large_numbers_do_not_spoil_a_column),
        cmocka_unit_test(a_few_numbers_among_zeros_cost_themselves),
        cmocka_unit_test(zeros_and_nothing_take_two_bytes),
        cmocka_unit_test(cut_off_or_foreign_bytes_are_refused),
    };
    return cmocka_run_group_tests_name("rice", tests, NULL, NULL);
}
