/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <string.h>

#include "arena.h"

static void arena_memory_is_aligned_and_separate(void **state)
{
    (void)state;
    struct tz_arena a;
    tz_arena_init(&a, 1 << 20);
    uint8_t *p[300];
    for (size_t i = 0; i < 300; i++) {
        p[i] = tz_arena_alloc(&a, i);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t)p[i] % 16, 0);
        memset(p[i], (int)(i & 0xFF), i);
    }
    for (size_t i = 0; i < 300; i++)
        for (size_t k = 0; k < i; k++)
            assert_int_equal(p[i][k], i & 0xFF);
    assert_ptr_not_equal(p[0], p[1]);
    tz_arena_deinit(&a);
}

static void arena_budget_is_never_passed(void **state)
{
    (void)state;
    for (size_t budget = 0; budget < 6000; budget += 97) {
        struct tz_arena a;
        size_t got = 0;
        tz_arena_init(&a, budget);
        while (tz_arena_alloc(&a, 100))
            got += 100;
        assert_true(a.used_bytes <= budget);
        assert_true(got <= budget);
        assert_true(budget < 400 || got >= budget / 2);
        tz_arena_deinit(&a);
    }
}

static void arena_says_that_its_budget_ended(void **state)
{
    (void)state;
    struct tz_arena a;
    tz_arena_init(&a, 4096);
    assert_non_null(tz_arena_alloc(&a, 1000));
    assert_false(a.exhausted);
    assert_null(tz_arena_alloc(&a, SIZE_MAX)); /* no budget would do: that is not what it says */
    assert_false(a.exhausted);
    assert_null(tz_arena_alloc(&a, 4096));
    assert_true(a.exhausted);
    tz_arena_reset(&a);
    assert_false(a.exhausted);
    tz_arena_deinit(&a);
}

static void arena_refuses_sizes_that_overflow(void **state)
{
    (void)state;
    struct tz_arena a;
    tz_arena_init(&a, SIZE_MAX);
    assert_null(tz_arena_calloc(&a, SIZE_MAX / 2, 3));
    assert_null(tz_arena_alloc(&a, SIZE_MAX));
    assert_null(tz_arena_alloc(&a, SIZE_MAX - 20));
    assert_null(tz_arena_dup(&a, "x", SIZE_MAX));
    const int *zeros = tz_arena_calloc(&a, 100, sizeof *zeros);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(zeros[i], 0);
    tz_arena_deinit(&a);
}

static void arena_reset_keeps_one_block_for_reuse(void **state)
{
    (void)state;
    struct tz_arena a;
    tz_arena_init(&a, 1 << 16);
    tz_arena_reset(&a);
    for (int round = 0; round < 100; round++) {
        assert_string_equal(tz_arena_strdup(&a, "text"), "text");
        assert_memory_equal(tz_arena_dup(&a, "\0b", 2), "\0b", 3);
        assert_non_null(tz_arena_alloc(&a, 20000));
        tz_arena_reset(&a);
        assert_true(a.used_bytes <= 1 << 16);
    }
    tz_arena_deinit(&a);
    tz_arena_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_memory_is_aligned_and_separate),  cmocka_unit_test(arena_budget_is_never_passed),
        cmocka_unit_test(arena_says_that_its_budget_ended),      cmocka_unit_test(arena_refuses_sizes_that_overflow),
        cmocka_unit_test(arena_reset_keeps_one_block_for_reuse),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
