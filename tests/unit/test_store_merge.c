/* SPDX-License-Identifier: Apache-2.0 */
/* The central store: records that claim one key, records that become one, and come apart again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "merge_fixture.h"

/* ---- clashes ---- */

static void one_code_and_two_names_are_a_case_and_both_live(void **state)
{
    struct sx *f = *state;
    struct tz_id a = org(&f->d1, "name=甲公司", "district_code=120101", USCI);
    struct sx_cs *c = sx_begin(&f->d1b);
    struct tz_id b = sx_op_create(c, "organisation", "name=乙公司", "district_code=120101", USCI, NULL);
    const struct tz_result *r = sx_push(c);
    sx_applied(r);
    assert_int_equal(r->ops[0].ncases, 1); /* both are his to see */
    assert_true(tz_id_is_zero(r->ops[0].alias_of));
    assert_false(sx_deleted(f, "organisation", a) || sx_deleted(f, "organisation", b));
    const struct tz_row *k = duplicate_case(f, a, b, 1);
    assert_true(is_open(f, k));
    assert_string_equal(sx_case_text(f, k, "kind"), "duplicate");
    assert_string_equal(sx_case_text(f, k, "key"), "usci");
    assert_string_equal(k->area.district, "120101");
}

static void clash_with_a_foreign_row_is_answered_like_a_clean_save(void **state)
{
    struct sx *f = *state;
    struct tz_result clean;
    struct sx_cs *c = sx_begin(&f->d2);
    sx_op_create(c, "organisation", "name=甲公司", "district_code=120102", OTHER_USCI, NULL);
    clean = *sx_push(c);
    struct tz_id a = org(&f->d1, "name=甲公司", "district_code=120101", USCI);
    c = sx_begin(&f->d2);
    struct tz_id b = sx_op_create(c, "organisation", "name=甲公司", "district_code=120102", USCI, NULL);
    const struct tz_result *r = sx_push(c);
    assert_int_equal(r->outcome, clean.outcome);
    assert_int_equal(r->ops[0].outcome, clean.ops[0].outcome);
    assert_int_equal(r->ops[0].ncases, 0);
    assert_int_equal(r->ops[0].ngiven, clean.ops[0].ngiven);
    assert_true(tz_id_is_zero(r->ops[0].alias_of)); /* the same name, and yet no merge across a border */
    const struct tz_row *k = duplicate_case(f, a, b, 1);
    assert_true(is_open(f, k));
    assert_string_equal(k->area.district, "120000"); /* the centre's, nobody else's */
    for (size_t i = 0; i < f->out.nareas; i++)
        assert_string_not_equal(f->out.areas[i].district, "120101");
}

static void case_closes_itself_when_the_clash_has_gone(void **state)
{
    struct sx *f = *state;
    struct tz_id a = org(&f->d1, "name=甲公司", "district_code=120101", USCI);
    struct tz_id b = org(&f->d1b, "name=乙公司", "district_code=120101", USCI);
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "organisation", b, OTHER_USCI, NULL));
    const struct tz_row *k = duplicate_case(f, a, b, 1);
    assert_false(is_open(f, k));
    assert_string_equal(sx_case_text(f, k, "choice"), "gone");
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "organisation", b, USCI, NULL)); /* and is back */
    assert_true(is_open(f, duplicate_case(f, a, b, 2)));
    sx_see(&f->d1);
    sx_applied(sx_delete(&f->d1, "organisation", b));
    assert_false(is_open(f, duplicate_case(f, a, b, 2)));
    sx_see(&f->d1);
    sx_applied(sx_restore(&f->d1, "organisation", b)); /* a revival claims like anything else */
    assert_true(is_open(f, duplicate_case(f, a, b, 3)));
}

static void case_of_two_records_moves_with_either(void **state)
{
    struct sx *f = *state;
    struct tz_id a = org(&f->d1, "name=甲公司", "district_code=120101", USCI);
    struct tz_id b = org(&f->d1b, "name=乙公司", "district_code=120101", USCI);
    sx_see(&f->c1);
    sx_applied(sx_set(&f->c1, "organisation", b, "district_code=120102", NULL));
    assert_string_equal(duplicate_case(f, a, b, 1)->area.district, "120000");
    sx_see(&f->c1);
    sx_applied(sx_set(&f->c1, "organisation", a, "district_code=120102", NULL));
    assert_string_equal(duplicate_case(f, a, b, 1)->area.district, "120102");
}

static void tombstone_claims_weakly(void **state)
{
    struct sx *f = *state;
    struct tz_id a = org(&f->d1, "name=甲公司", "district_code=120101", USCI);
    sx_see(&f->d1);
    sx_applied(sx_delete(&f->d1, "organisation", a));
    struct tz_id b = org(&f->d1, "name=甲公司", "district_code=120101", USCI);
    assert_false(sx_deleted(f, "organisation", b));
    const struct tz_row *k = duplicate_case(f, a, b, 1);
    assert_non_null(k); /* links the two, for information */
    assert_false(is_open(f, k));
}

static void both_may_be_kept(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    struct sx_dev csuper;
    struct tz_id a = org(&f->d1, "name=甲公司", "district_code=120101", USCI);
    struct tz_id b = org(&f->d1b, "name=乙公司", "district_code=120101", USCI);
    supervisors(f, &super, &csuper);
    sx_see(&super);
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_op *op = sx_op(c, TZ_OP_RESOLVE, "case", duplicate_case(f, a, b, 1)->id);
    op->generation = 1;
    op->choice = TZ_CHOICE_MINE;
    sx_refused(sx_push(c), TZ_E_NO_RIGHT_TYPE); /* a clerk may not decide that */
    c = sx_begin(&super);
    op = sx_op(c, TZ_OP_RESOLVE, "case", duplicate_case(f, a, b, 1)->id);
    op->generation = 1;
    op->choice = TZ_CHOICE_MINE;
    sx_applied(sx_push(c));
    assert_false(is_open(f, duplicate_case(f, a, b, 1)));
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "organisation", b, "address=一路", NULL)); /* claims nothing new */
    assert_null(duplicate_case(f, a, b, 2));
}

/* ---- one record ---- */

static void same_firm_registered_twice_becomes_one(void **state)
{
    struct sx *f = *state;
    struct sx_cs *c = sx_begin(&f->fi);
    struct tz_id a = sx_op_create(c, "organisation", "name=甲公司", "district_code=120101", USCI, "address=一路", NULL);
    sx_applied(sx_push(c));
    f->clock.wall.ms += 1000;
    c = sx_begin(&f->fi2); /* offline, has not heard of it; full-width brackets and spaces do not matter */
    struct tz_id b = sx_op_create(c, "organisation", "name=甲 公司", "district_code=120101", USCI, "address=二路",
                                  "employees=12", "employees_on=2023-11-01", NULL);
    struct tz_id v = sx_op_create(c, "visit", sx_ref(f, "org_id", b), sx_ref(f, "by_ref", f->fi2.user),
                                  "visited_on=2023-11-01", "way=on_site", NULL);
    const struct tz_result *r = sx_push(c);
    assert_int_equal(r->outcome, TZ_OUT_APPLIED);
    assert_true(tz_id_eq(r->ops[0].alias_of, a));
    assert_true(sx_deleted(f, "organisation", b));
    assert_false(sx_deleted(f, "organisation", a));
    sx_text_is(f, "organisation", a, "address", "二路"); /* the later word */
    sx_text_is(f, "organisation", a, "employees", "12"); /* only one of them said so */
    assert_string_equal(sx_candidate(f, sx_case(f, a, "address", 1), 0, "address"), "一路");
    assert_null(sx_case(f, a, "employees", 1));
    sx_text_is(f, "visit", v, "org_id", sx_hex(f, a)); /* links follow */
    assert_int_equal(sx_query(f, "SELECT count(*) FROM redirect"), 1);
}

static void later_edit_of_the_record_that_went_reaches_the_survivor(void **state)
{
    struct sx *f = *state;
    struct tz_id a = org(&f->fi, "name=甲公司", "district_code=120101", USCI);
    struct sx_cs *c = sx_begin(&f->fi2);
    struct tz_id b = sx_op_create(c, "organisation", "name=甲公司", "district_code=120101", USCI, NULL);
    sx_push(c);
    f->clock.wall.ms += 1000;
    sx_expect(sx_set(&f->fi2, "organisation", b, "address=一路", NULL), TZ_OUT_APPLIED, 0);
    sx_text_is(f, "organisation", a, "address", "一路");
    c = sx_begin(&f->fi2); /* and so does what is hung on it */
    struct tz_id v = sx_op_create(c, "visit", sx_ref(f, "org_id", b), sx_ref(f, "by_ref", f->fi2.user),
                                  "visited_on=2023-11-01", "way=on_site", NULL);
    sx_applied(sx_push(c));
    sx_text_is(f, "visit", v, "org_id", sx_hex(f, a));
    sx_superseded(sx_delete(&f->d1, "organisation", b)); /* has not seen what stands */
    assert_false(sx_deleted(f, "organisation", a));
}

static void redirection_does_not_cross_a_grant(void **state)
{
    struct sx *f = *state;
    struct tz_id a = org(&f->fi, "name=甲公司", "district_code=120101", USCI);
    struct tz_id b = org(&f->fi2, "name=甲公司", "district_code=120101", USCI);
    sx_see(&f->c1);
    sx_applied(sx_set(&f->c1, "organisation", a, "district_code=120102", NULL));
    sx_refused(sx_set(&f->fi2, "organisation", b, "address=一路", NULL), TZ_E_UNKNOWN_RECORD);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM redirect WHERE _district='120102'"), 1);
}

static void merging_by_hand_keeps_every_word(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    struct sx_dev csuper;
    struct tz_id a = org(&f->d1, "name=甲公司", "district_code=120101", USCI);
    struct tz_id b = org(&f->d1b, "name=乙公司", "district_code=120101", OTHER_USCI);
    struct tz_id v = sx_create(&f->fi, "visit", sx_ref(f, "org_id", b), sx_ref(f, "by_ref", f->fi.user),
                               "visited_on=2023-11-01", "way=on_site", NULL);
    sx_applied(sx_set(&f->d1, "organisation", b, "address=一", NULL)); /* a case of the one that goes */
    sx_expect(sx_set(&f->d1b, "organisation", b, "address=二", NULL), TZ_OUT_APPLIED, 0);
    supervisors(f, &super, &csuper);
    sx_see(&super);
    sx_see(&f->d1);
    sx_refused(merge(&f->d1, TZ_OP_MERGE, "organisation", a, b), TZ_E_NO_RIGHT_TYPE);
    sx_applied(merge(&super, TZ_OP_MERGE, "organisation", a, b));
    assert_true(sx_deleted(f, "organisation", b));
    sx_text_is(f, "organisation", a, "name", "乙公司"); /* written later */
    assert_string_equal(sx_candidate(f, sx_case(f, a, "name", 1), 0, "name"), "甲公司");
    assert_true(is_open(f, sx_case(f, a, "address", 1)) || sx_case(f, b, "address", 1) == NULL);
    sx_text_is(f, "visit", v, "org_id", sx_hex(f, a));
    sx_applied(merge(&super, TZ_OP_MERGE, "organisation", a, b)); /* they are one already */
    assert_int_equal(sx_query(f, "SELECT count(*) FROM redirect"), 1);
}

static void aliases_are_flat(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    struct sx_dev csuper;
    struct tz_id id;
    struct tz_id a = org(&f->d1, "name=甲", "district_code=120101", "usci=91120101MA0T000017");
    struct tz_id b = org(&f->d1, "name=乙", "district_code=120101", "usci=91120101MA0T000025");
    struct tz_id c = org(&f->d1, "name=丙", "district_code=120101", "usci=91120101MA0T000033");
    supervisors(f, &super, &csuper);
    sx_see(&super);
    sx_applied(merge(&super, TZ_OP_MERGE, "organisation", b, c));
    sx_see(&super);
    sx_applied(merge(&super, TZ_OP_MERGE, "organisation", a, b));
    assert_int_equal(tz_alias_get(f->s, sx_type(f, "organisation"), c, &id, &f->err), 1);
    assert_true(tz_id_eq(id, a));
    sx_see(&super);
    sx_applied(merge(&super, TZ_OP_UNMERGE, "organisation", a, b)); /* and c goes back to b */
    assert_int_equal(tz_alias_get(f->s, sx_type(f, "organisation"), c, &id, &f->err), 1);
    assert_true(tz_id_eq(id, b));
    assert_int_equal(tz_alias_get(f->s, sx_type(f, "organisation"), b, &id, &f->err), 0);
}

static void coming_apart_gives_back_what_nobody_changed(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    struct sx_dev csuper;
    struct tz_id a = org(&f->d1, "name=甲公司", "district_code=120101", USCI);
    struct tz_id b = org(&f->d1b, "name=乙公司", "district_code=120101", OTHER_USCI);
    sx_see(&f->d1b);
    sx_applied(sx_set(&f->d1b, "organisation", b, "address=二路", "grid_no=7", NULL));
    struct tz_id v = sx_create(&f->fi, "visit", sx_ref(f, "org_id", b), sx_ref(f, "by_ref", f->fi.user),
                               "visited_on=2023-11-01", "way=on_site", NULL);
    supervisors(f, &super, &csuper);
    sx_see(&super);
    sx_applied(merge(&super, TZ_OP_MERGE, "organisation", a, b));
    sx_see(&super);
    sx_applied(sx_set(&super, "organisation", a, "grid_no=9", NULL)); /* somebody has changed this one since */
    sx_see(&super);
    sx_applied(merge(&super, TZ_OP_UNMERGE, "organisation", a, b));
    assert_false(sx_deleted(f, "organisation", b));
    sx_text_is(f, "organisation", a, "name", "甲公司");
    sx_text_is(f, "organisation", a, "address", "");
    sx_text_is(f, "organisation", a, "grid_no", "9");
    sx_text_is(f, "organisation", b, "address", "二路");
    sx_text_is(f, "visit", v, "org_id", sx_hex(f, b));
    assert_int_equal(sx_query(f, "SELECT count(*) FROM redirect"), 0);
    sx_refused(merge(&super, TZ_OP_UNMERGE, "organisation", a, b), TZ_E_NOT_DELETED);
}

static void duplicates_that_came_apart_stay_apart(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    struct sx_dev csuper;
    struct tz_id a = org(&f->fi, "name=甲公司", "district_code=120101", USCI);
    struct tz_id b = org(&f->fi2, "name=甲公司", "district_code=120101", USCI); /* merged by itself */
    supervisors(f, &super, &csuper);
    sx_see(&super);
    sx_applied(merge(&super, TZ_OP_UNMERGE, "organisation", a, b));
    assert_false(sx_deleted(f, "organisation", b));
    assert_true(is_open(f, duplicate_case(f, a, b, 1)));
}

static void merging_across_districts_is_the_centres(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    struct sx_dev csuper;
    struct tz_id a = org(&f->d1, "name=甲公司", "district_code=120101", USCI);
    struct tz_id b = org(&f->d2, "name=甲公司", "district_code=120102", USCI);
    supervisors(f, &super, &csuper);
    sx_see(&super);
    sx_see(&csuper);
    sx_refused(merge(&super, TZ_OP_MERGE, "organisation", a, b), TZ_E_UNKNOWN_RECORD);
    sx_applied(merge(&csuper, TZ_OP_MERGE, "organisation", a, b));
    assert_true(sx_deleted(f, "organisation", b));
    sx_text_is(f, "organisation", a, "district_code", "120101"); /* where the survivor lies */
    assert_false(is_open(f, duplicate_case(f, a, b, 1)));
}

static void parents_make_no_circle(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    struct sx_dev csuper;
    struct tz_id id[3];
    for (int i = 0; i < 3; i++) {
        struct sx_cs *c = sx_begin(&f->d1);
        id[i] = i ? sx_op_create(c, "branch", "name=支部", "branch_type=branch", "district_code=120101",
                                 "established_on=2020", "term_years=3", sx_ref(f, "parent_id", id[i - 1]), NULL)
                  : sx_op_create(c, "branch", "name=支部", "branch_type=branch", "district_code=120101",
                                 "established_on=2020", "term_years=3", NULL);
        sx_applied(sx_push(c));
    }
    sx_see(&f->d1);
    supervisors(f, &super, &csuper);
    sx_see(&super);
    sx_refused(merge(&super, TZ_OP_MERGE, "branch", id[0], id[2]), TZ_E_CYCLE);
    sx_refused(sx_set(&f->d1, "branch", id[0], sx_ref(f, "parent_id", id[2]), NULL), TZ_E_CYCLE);
    sx_see(&f->d1b);
    sx_refused(sx_set(&f->d1b, "branch", id[1], sx_ref(f, "parent_id", id[1]), NULL), TZ_E_CYCLE);
}

static struct tz_id cover(struct sx_dev *dev, struct tz_id firm, const char *mode, const char *since)
{
    struct sx_cs *c = sx_begin(dev);
    struct tz_id id = sx_op_create(c, "coverage", sx_ref(dev->f, "org_id", firm), mode, since, NULL);
    sx_applied(sx_push(c));
    return id;
}

static void organisation_has_one_open_branch_link(void **state)
{
    struct sx *f = *state;
    struct tz_id firm = sx_org(f, "甲公司");
    struct tz_id first = cover(&f->d1, firm, "mode=own", "since=2016");
    struct tz_id liaison = cover(&f->d1, firm, "mode=liaison", "since=2017-01");
    struct tz_id second = cover(&f->d1b, firm, "mode=joint", "since=2017-02");
    const struct tz_row *c = duplicate_case(f, first, second, 1);
    assert_true(is_open(f, c));
    assert_string_equal(sx_case_text(f, c, "key"), "open_branch");
    assert_null(duplicate_case(f, first, liaison, 1));
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "coverage", first, "until=2017-02", NULL));
    assert_false(is_open(f, duplicate_case(f, first, second, 1)));
    sx_applied(sx_set(&f->d1, "coverage", liaison, "mode=own", NULL));
    assert_true(is_open(f, duplicate_case(f, liaison, second, 1)));
}

#define T(name) cmocka_unit_test_setup_teardown(name, sx_setup, sx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(one_code_and_two_names_are_a_case_and_both_live),
        T(clash_with_a_foreign_row_is_answered_like_a_clean_save),
        T(case_closes_itself_when_the_clash_has_gone),
        T(case_of_two_records_moves_with_either),
        T(tombstone_claims_weakly),
        T(both_may_be_kept),
        T(same_firm_registered_twice_becomes_one),
        T(later_edit_of_the_record_that_went_reaches_the_survivor),
        T(redirection_does_not_cross_a_grant),
        T(merging_by_hand_keeps_every_word),
        T(aliases_are_flat),
        T(coming_apart_gives_back_what_nobody_changed),
        T(duplicates_that_came_apart_stay_apart),
        T(merging_across_districts_is_the_centres),
        T(parents_make_no_circle),
        T(organisation_has_one_open_branch_link),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
