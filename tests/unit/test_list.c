/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "list.h"

struct item {
    int number;
    struct tz_link link;
};

static void list_keeps_order_and_removes_anywhere(void **state)
{
    (void)state;
    struct tz_list l;
    struct item items[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
    tz_list_init(&l);
    assert_null(tz_list_first(&l));
    for (int i = 1; i < 4; i++)
        tz_list_push_back(&l, &items[i].link);
    tz_list_push_front(&l, &items[0].link);
    tz_list_remove(&items[2].link);
    tz_list_remove(&items[2].link);
    assert_false(tz_link_linked(&items[2].link));
    static const int expected[] = {0, 1, 3};
    size_t n = 0;
    for (struct tz_link *k = tz_list_first(&l); k; k = tz_list_next(&l, k))
        assert_int_equal(TZ_LIST_ENTRY(k, struct item, link)->number, expected[n++]);
    assert_int_equal(n, 3);
    while (n-- > 0)
        assert_non_null(tz_list_pop_front(&l));
    assert_null(tz_list_pop_front(&l));
    assert_true(tz_list_empty(&l));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list_keeps_order_and_removes_anywhere),
    };
    return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
