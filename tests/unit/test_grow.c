/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays that grow by doubling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "grow.h"

#include <stdlib.h>

static void elements_stay_while_the_room_doubles(void **state)
{
    (void)state;
    uint64_t *v = NULL;
    size_t cap = 0;
    size_t moves = 0;
    for (size_t n = 0; n < 1000; n++) {
        size_t before = cap;
        uint64_t *more = tz_grow(v, n, &cap, 4, sizeof *v);
        assert_non_null(more);
        assert_true(cap > n);
        assert_true(cap == before || cap == (before ? 2 * before : 4));
        moves += cap != before;
        v = more;
        v[n] = n;
    }
    assert_int_equal(moves, 9); /* 4, 8, … 1024 */
    for (size_t n = 0; n < 1000; n++)
        assert_int_equal(v[n], n);
    free(v);
}

static void with_room_left_nothing_moves(void **state)
{
    (void)state;
    size_t cap = 2;
    char *v = malloc(cap);
    assert_non_null(v);
    assert_ptr_equal(tz_grow(v, 1, &cap, 16, 1), v);
    assert_int_equal(cap, 2);
    free(v);
}

/** No array is that large, but a number that is wrong must not become a small allocation. */
static void a_size_that_cannot_be_told_is_refused(void **state)
{
    (void)state;
    char here;
    size_t cap = SIZE_MAX / 2 + 1;
    assert_null(tz_grow(&here, cap, &cap, 16, 1));
    assert_int_equal(cap, SIZE_MAX / 2 + 1);
    cap = SIZE_MAX / 16;
    assert_null(tz_grow(&here, cap, &cap, 16, 16));
    assert_int_equal(cap, SIZE_MAX / 16);
    cap = 0;
    assert_null(tz_grow(NULL, 0, &cap, SIZE_MAX / 8 + 1, 8));
    assert_int_equal(cap, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_stay_while_the_room_doubles),
        cmocka_unit_test(with_room_left_nothing_moves),
        cmocka_unit_test(a_size_that_cannot_be_told_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
