/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of buckets, and pages of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bucket.h"

#include <stdio.h>
#include <string.h>

enum { KEYS = 100, PAGE = 7 };

static struct tz_bucket_key key_of(unsigned n)
{
    struct tz_bucket_key k = {.type = 1 + n / 40};
    (void)snprintf(k.area.district, sizeof k.area.district, "%06u", 120101 + n / 10 % 4);
    if (n % 10)
        (void)snprintf(k.area.street, sizeof k.area.street, "%s%03u", k.area.district, n % 10);
    return k;
}

static void hash_of(unsigned n, uint8_t out[TZ_HASH_BYTES])
{
    for (unsigned i = 0; i < TZ_HASH_BYTES; i++)
        out[i] = (uint8_t)((n * 2654435761U) >> (i % 24));
}

static void sums_do_not_depend_on_the_order(void **state)
{
    (void)state;
    struct tz_bucket_sum a = {0};
    struct tz_bucket_sum b = {0};
    uint8_t h[TZ_HASH_BYTES];
    for (unsigned i = 0; i < 50; i++) {
        hash_of(i, h);
        tz_bucket_add(&a, h);
        hash_of(49 - i, h);
        tz_bucket_add(&b, h);
    }
    assert_true(tz_bucket_same(&a, &b));
    hash_of(7, h);
    tz_bucket_add(&b, h);
    assert_false(tz_bucket_same(&a, &b));
    hash_of(8, h);
    tz_bucket_add(&a, h);
    assert_int_equal(a.rows, b.rows);
    assert_false(tz_bucket_same(&a, &b)); /* as many, but others */
}

static void keys_are_ordered_by_type_district_street(void **state)
{
    (void)state;
    for (unsigned i = 0; i + 1 < KEYS; i++) {
        struct tz_bucket_key a = key_of(i);
        struct tz_bucket_key b = key_of(i + 1);
        assert_true(tz_bucket_key_cmp(&a, &b) < 0);
        assert_true(tz_bucket_key_cmp(&b, &a) > 0);
        assert_int_equal(tz_bucket_key_cmp(&a, &a), 0);
    }
}

/** One page after @after; rows come in an order that has nothing to do with their keys, three of each key. */
static void fill(struct tz_bucket_table *t, const struct tz_bucket_key *after)
{
    uint8_t h[TZ_HASH_BYTES];
    assert_int_equal(tz_bucket_table_init(t, PAGE, after), 0);
    for (unsigned i = 0; i < 3 * KEYS; i++) {
        unsigned n = i * 37 % KEYS;
        struct tz_bucket_key k = key_of(n);
        struct tz_bucket_sum *s = tz_bucket_table_at(t, &k);
        hash_of(1000 * (i / KEYS) + n, h);
        if (s)
            tz_bucket_add(s, h);
        assert_true(t->n <= PAGE);
    }
}

static void pages_hold_every_key_once_with_all_its_rows(void **state)
{
    (void)state;
    struct tz_bucket_key after = {0};
    unsigned n = 0;
    for (bool more = true; more;) {
        struct tz_bucket_table t;
        fill(&t, &after);
        for (size_t i = 0; i < t.n; i++, n++) {
            struct tz_bucket_key k = key_of(n);
            struct tz_bucket_sum want = {0};
            uint8_t h[TZ_HASH_BYTES];
            for (unsigned r = 0; r < 3; r++) {
                hash_of(1000 * r + n, h);
                tz_bucket_add(&want, h);
            }
            assert_int_equal(tz_bucket_key_cmp(&t.v[i].key, &k), 0);
            assert_true(tz_bucket_same(&t.v[i].sum, &want));
        }
        after = t.v[t.n - 1].key;
        more = t.cut;
        tz_bucket_table_deinit(&t);
    }
    assert_int_equal(n, KEYS);
}

static void full_page_says_which_types_it_is_done_with(void **state)
{
    (void)state;
    struct tz_bucket_table t;
    struct tz_bucket_key none = {0};
    fill(&t, &none);
    assert_true(t.cut);
    assert_false(tz_bucket_table_done(&t, 1)); /* its last key is of type 1 */
    assert_true(tz_bucket_table_done(&t, 2));
    tz_bucket_table_deinit(&t);
    tz_bucket_table_deinit(&t);
}

static void maps_hold_the_ranges_put_into_them(void **state)
{
    (void)state;
    uint8_t map[TZ_BUCKET_MAP_BYTES] = {0};
    tz_bucket_map_put(map, 0);
    tz_bucket_map_put(map, 9);
    tz_bucket_map_put(map, 255);
    for (unsigned r = 0; r < TZ_BUCKET_RANGES; r++)
        assert_int_equal(tz_bucket_map_has(map, (uint8_t)r), r == 0 || r == 9 || r == 255);
    assert_int_equal(map[1], 2); /* the form it has on the wire */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_do_not_depend_on_the_order),
        cmocka_unit_test(keys_are_ordered_by_type_district_street),
        cmocka_unit_test(pages_hold_every_key_once_with_all_its_rows),
        cmocka_unit_test(full_page_says_which_types_it_is_done_with),
        cmocka_unit_test(maps_hold_the_ranges_put_into_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
