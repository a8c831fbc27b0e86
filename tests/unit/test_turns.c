/* SPDX-License-Identifier: Apache-2.0 */
/* Turns: whoever asks a hundred times is served as often as who asks once, while both wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "turns.h"

static void nobody_waits_for_all_that_another_wants(void **state)
{
    struct tz_turns t;
    struct tz_turn many[100];
    struct tz_turn one[2];
    (void)state;
    tz_turns_init(&t);
    for (size_t i = 0; i < 100; i++)
        tz_turns_put(&t, &many[i], 7);
    tz_turns_put(&t, &one[0], 8);
    assert_int_equal(tz_turns_count(&t, 7), 100);
    assert_int_equal(tz_turns_count(&t, 8), 1);
    assert_ptr_equal(tz_turns_next(&t), &many[0]);
    assert_ptr_equal(tz_turns_next(&t), &one[0]);
    tz_turns_put(&t, &one[1], 9);
    assert_ptr_equal(tz_turns_next(&t), &many[1]);
    assert_ptr_equal(tz_turns_next(&t), &one[1]);
    for (size_t i = 2; i < 100; i++) /* alone again, in the order it asked */
        assert_ptr_equal(tz_turns_next(&t), &many[i]);
    assert_null(tz_turns_next(&t));
}

static void first_come_first_served(void **state)
{
    struct tz_turns t;
    struct tz_turn v[3];
    (void)state;
    tz_turns_init(&t);
    assert_null(tz_turns_next(&t));
    for (size_t i = 0; i < 3; i++)
        tz_turns_put(&t, &v[i], (uint32_t)i + 1);
    for (size_t i = 0; i < 3; i++)
        assert_ptr_equal(tz_turns_next(&t), &v[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_waits_for_all_that_another_wants),
        cmocka_unit_test(first_come_first_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
