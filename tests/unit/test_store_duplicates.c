/* SPDX-License-Identifier: Apache-2.0 */
/* The central store: whom a shared business key makes one record by itself, whom it makes a case, and whom neither. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "merge_fixture.h"

#include <stdio.h>

static bool both_live(struct sx *f, struct tz_id a, struct tz_id b)
{
    return !sx_deleted(f, "organisation", a) && !sx_deleted(f, "organisation", b);
}

/* ---- what was decided stays decided ---- */

static void decided_pair_is_left_alone_when_a_third_goes(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    struct sx_dev csuper;
    struct tz_id a = org(&f->d1, "name=甲公司", "district_code=120101", USCI);
    struct tz_id b = org(&f->d1b, "name=乙公司", "district_code=120101", USCI);
    supervisors(f, &super, &csuper);
    sx_applied(both_stay(&super, duplicate_case(f, a, b, 1)));
    struct tz_id c = org(&f->d1, "name=丙公司", "district_code=120101", USCI);
    sx_see(&f->d1);
    sx_applied(sx_delete(&f->d1, "organisation", c));
    assert_null(duplicate_case(f, a, b, 2));
    assert_int_equal(sx_query(f, "SELECT count(*) FROM \"case\" WHERE state='open'"), 0);
}

/** Two inspectors' firm became one and was taken apart again. */
static void came_apart(struct sx *f, struct sx_dev *super, struct tz_id *a, struct tz_id *b)
{
    struct sx_dev csuper;
    *a = org(&f->fi, "name=甲公司", "district_code=120101", USCI);
    *b = org(&f->fi2, "name=甲公司", "district_code=120101", USCI);
    assert_true(sx_deleted(f, "organisation", *b));
    supervisors(f, super, &csuper);
    sx_applied(merge(super, TZ_OP_UNMERGE, "organisation", *a, *b));
    assert_true(is_open(f, duplicate_case(f, *a, *b, 1)));
}

static void pair_that_came_apart_is_not_merged_when_a_third_goes(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    struct tz_id a;
    struct tz_id b;
    came_apart(f, &super, &a, &b);
    sx_see(&super);
    sx_applied(both_stay(&super, duplicate_case(f, a, b, 1)));
    struct tz_id c = org(&f->d1, "name=丙公司", "district_code=120101", USCI);
    sx_see(&f->d1);
    sx_applied(sx_delete(&f->d1, "organisation", c));
    assert_true(both_live(f, a, b));
}

static void pair_that_came_apart_is_not_merged_by_a_restore(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    struct tz_id a;
    struct tz_id b;
    came_apart(f, &super, &a, &b);
    sx_see(&super);
    sx_applied(both_stay(&super, duplicate_case(f, a, b, 1)));
    sx_see(&f->d1);
    sx_applied(sx_delete(&f->d1, "organisation", b));
    sx_see(&f->d1);
    sx_applied(sx_restore(&f->d1, "organisation", b));
    assert_true(both_live(f, a, b));
    assert_null(duplicate_case(f, a, b, 2)); /* both stay: that holds for the pair */
}

static void pair_taken_apart_while_it_shared_no_key_is_not_merged_later(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    struct sx_dev csuper;
    struct tz_id a = org(&f->d1, "name=甲公司", "district_code=120101", USCI);
    struct tz_id b = org(&f->d1, "name=甲公司", "district_code=120101", OTHER_USCI);
    supervisors(f, &super, &csuper);
    sx_applied(merge(&super, TZ_OP_MERGE, "organisation", a, b));
    sx_see(&super);
    sx_applied(merge(&super, TZ_OP_UNMERGE, "organisation", a, b));
    assert_null(duplicate_case(f, a, b, 1));
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "organisation", b, USCI, NULL));
    assert_true(both_live(f, a, b));
    assert_true(is_open(f, duplicate_case(f, a, b, 1)));
}

/* ---- only by the author's own doing ---- */

static void what_a_merge_sets_free_is_a_case_and_no_merge(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    struct sx_dev csuper;
    struct tz_id d = org(&f->d1b, "name=乙公司", "district_code=120101", USCI);
    struct tz_id a = org(&f->d1, "name=甲公司", "district_code=120101", USCI);
    struct tz_id b = org(&f->d2, "name=甲公司", "district_code=120102", USCI);
    supervisors(f, &super, &csuper);
    sx_applied(merge(&csuper, TZ_OP_MERGE, "organisation", a, d));
    assert_true(both_live(f, a, b)); /* in another district, and nobody said so */
    assert_true(is_open(f, duplicate_case(f, a, b, 1)));
}

static void inspector_does_not_swallow_a_record_of_the_office(void **state)
{
    struct sx *f = *state;
    struct tz_id a = org(&f->fi, "name=甲公司", "district_code=120101", NULL);
    struct tz_id b = org(&f->d1, "name=甲公司", "district_code=120101", USCI);
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "organisation", b, "status=active", NULL));
    sx_see(&f->fi);
    sx_applied(sx_set(&f->fi, "organisation", a, USCI, NULL)); /* his is the older one */
    assert_true(both_live(f, a, b));
    assert_true(is_open(f, duplicate_case(f, a, b, 1)));
}

static void merge_by_itself_writes_nothing_that_its_author_may_not(void **state)
{
    struct sx *f = *state;
    struct tz_id a = org(&f->d1, "name=甲公司", "district_code=120101", USCI);
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "organisation", a, "status=active", "registrar=市场监管局", NULL));
    sx_see(&f->fi);
    sx_refused(sx_set(&f->fi, "organisation", a, "registrar=别处", NULL), TZ_E_NO_RIGHT_FIELD);
    f->clock.wall.ms += 1000;
    struct sx_cs *c = sx_begin(&f->fi);
    struct tz_id b = sx_op_create(c, "organisation", "name=甲公司", "district_code=120101", USCI, "registrar=别处",
                                  "industry_code=C", "address=一路", NULL);
    const struct tz_result *r = sx_push(c);
    sx_applied(r);
    assert_true(tz_id_eq(r->ops[0].alias_of, a));
    assert_true(sx_deleted(f, "organisation", b));
    sx_text_is(f, "organisation", a, "registrar", "市场监管局");
    sx_text_is(f, "organisation", a, "industry_code", "");
    sx_text_is(f, "organisation", a, "address", "一路"); /* that he may */
    const struct tz_row *k = sx_case(f, a, "registrar", 1);
    assert_string_equal(sx_candidate(f, k, 0, "registrar"), "别处");
    assert_string_equal(sx_case_text(f, k, "rule"), "right");
    assert_string_equal(sx_candidate(f, sx_case(f, a, "industry_code", 1), 0, "industry_code"), "C");
}

/* ---- none is overlooked ---- */

static void withdrawal_at_the_end_does_not_keep_claims_from_being_compared(void **state)
{
    struct sx *f = *state;
    struct tz_id a = org(&f->d1, "name=甲公司", "district_code=120101", USCI);
    sx_refused(sx_delete(&f->d1, "organisation", f->d1.user), TZ_E_UNKNOWN_RECORD);
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id b = sx_op_create(c, "organisation", "name=乙公司", "district_code=120101", USCI, NULL);
    sx_op_withdraw(c, f->d1.seq - 1);
    sx_applied(sx_push(c));
    assert_true(is_open(f, duplicate_case(f, a, b, 1)));
}

static void deleted_claimants_hide_no_live_one(void **state)
{
    struct sx *f = *state;
    for (int i = 0; i < 66; i++) {
        struct tz_id x = org(&f->d1, "name=甲公司", "district_code=120101", USCI);
        sx_see(&f->d1);
        sx_applied(sx_delete(&f->d1, "organisation", x));
    }
    struct tz_id a = org(&f->d1, "name=乙公司", "district_code=120101", USCI);
    struct tz_id b = org(&f->d1, "name=丙公司", "district_code=120101", USCI);
    assert_true(is_open(f, duplicate_case(f, a, b, 1)));
}

static void every_case_closes_when_the_one_in_the_middle_goes(void **state)
{
    struct sx *f = *state;
    char text[120];
    struct tz_id a = org(&f->d1, "name=甲0", "district_code=120101", USCI);
    for (int i = 1; i <= 70; i++) {
        (void)snprintf(text, sizeof text, "name=乙%d", i);
        org(&f->d1, text, "district_code=120101", USCI);
    }
    (void)snprintf(text, sizeof text, "SELECT count(*) FROM \"case\" WHERE state='open' AND target_id=x'%s'",
                   sx_hex(f, a));
    assert_int_equal(sx_query(f, text), 70);
    sx_see(&f->d1);
    sx_applied(sx_delete(&f->d1, "organisation", a));
    assert_int_equal(sx_query(f, text), 0);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM \"case\" WHERE state='open'"), 69); /* of one of the others */
}

static void pair_too_large_to_become_one_by_itself_is_a_case(void **state)
{
    struct sx *f = *state;
    static char note[60 * 1000 + 6] = "note=";
    memset(note + 5, 'x', sizeof note - 6);
    struct tz_id a = org(&f->d1, "name=甲公司", "district_code=120101", NULL);
    struct tz_id b = org(&f->d1, "name=甲公司", "district_code=120101", USCI);
    struct tz_id v = b;
    for (int i = 0; i < 150; i++)
        v = sx_create(&f->fi, "visit", sx_ref(f, "org_id", b), sx_ref(f, "by_ref", f->fi.user), "visited_on=2023-11-01",
                      "way=on_site", note, NULL);
    sx_see(&f->d1);
    const struct tz_result *r = sx_set(&f->d1, "organisation", a, USCI, NULL);
    sx_applied(r); /* all visits of the other would have to move in one version */
    assert_int_equal(r->ops[0].ncases, 1);
    assert_true(both_live(f, a, b));
    sx_text_is(f, "organisation", a, "usci", "91120101MA0T000017");
    sx_text_is(f, "visit", v, "org_id", sx_hex(f, b));
    assert_true(is_open(f, duplicate_case(f, a, b, 1)));
    assert_int_equal(sx_query(f, "SELECT count(*) FROM redirect") + sx_query(f, "SELECT count(*) FROM merged"), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, sx_setup, sx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(decided_pair_is_left_alone_when_a_third_goes),
        T(pair_that_came_apart_is_not_merged_when_a_third_goes),
        T(pair_that_came_apart_is_not_merged_by_a_restore),
        T(pair_taken_apart_while_it_shared_no_key_is_not_merged_later),
        T(what_a_merge_sets_free_is_a_case_and_no_merge),
        T(inspector_does_not_swallow_a_record_of_the_office),
        T(merge_by_itself_writes_nothing_that_its_author_may_not),
        T(withdrawal_at_the_end_does_not_keep_claims_from_being_compared),
        T(deleted_claimants_hide_no_live_one),
        T(every_case_closes_when_the_one_in_the_middle_goes),
        T(pair_too_large_to_become_one_by_itself_is_a_case),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
