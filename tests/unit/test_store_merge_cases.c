/* SPDX-License-Identifier: Apache-2.0 */
/* The central store: what becomes of cases, and of the words in them, when records become one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "merge_fixture.h"

/** Of which record the candidate @value was said: "" of the case's own; NULL when there is no such candidate. */
static const char *word(struct sx *f, const struct tz_row *c, const char *field, const char *value)
{
    json_t *list = sx_candidates(f, c, "candidates");
    const char *of = NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *x = json_object_get(json_array_get(list, i), "of");
        if (strcmp(sx_candidate(f, c, i, field), value) == 0)
            of = tz_arena_strdup(&f->a, x ? json_string_value(x) : "");
    }
    json_decref(list);
    return of;
}

static void three_names_by_one_clerk_are_three_words(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    struct sx_dev csuper;
    struct tz_id a = org(&f->d1, "name=甲", "district_code=120101", USCI);
    struct tz_id b = org(&f->d1, "name=乙", "district_code=120101", OTHER_USCI);
    struct tz_id c = org(&f->d1, "name=丙", "district_code=120101", THIRD_USCI);
    static const char *const NAMES[] = {"甲", "乙", "丙"};
    supervisors(f, &super, &csuper);
    sx_applied(merge(&super, TZ_OP_MERGE, "organisation", a, b));
    sx_see(&super);
    sx_applied(merge(&super, TZ_OP_MERGE, "organisation", a, c));
    const struct tz_row *k = sx_case(f, a, "name", 1);
    assert_int_equal(sx_ncandidates(f, k), 2);
    const char *stands = sx_text(f, "organisation", a, "name");
    for (int i = 0; i < 3; i++)
        assert_true(strcmp(stands, NAMES[i]) == 0 || word(f, k, "name", NAMES[i]));
    assert_string_equal(word(f, k, "name", "甲"), "");
}

/** Both firms have two words about their address; @a's and @b's losing ones are by the same clerk. */
static void four_addresses(struct sx *f, struct tz_id *a, struct tz_id *b)
{
    *a = org(&f->d1, "name=甲", "district_code=120101", USCI);
    *b = org(&f->d1, "name=乙", "district_code=120101", OTHER_USCI);
    sx_see(&f->d1);
    sx_see(&f->d1b);
    const struct {
        struct sx_dev *dev;
        struct tz_id id;
        const char *what;
    } say[] = {{&f->d1, *a, "address=甲一"},
               {&f->d1b, *a, "address=甲二"},
               {&f->d1, *b, "address=乙一"},
               {&f->d1b, *b, "address=乙二"}};
    for (int i = 0; i < 4; i++) {
        f->clock.wall.ms += 1000;
        sx_expect(sx_set(say[i].dev, "organisation", say[i].id, say[i].what, NULL), TZ_OUT_APPLIED, 0);
    }
}

static void open_cases_go_along_with_every_word(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    struct sx_dev csuper;
    struct tz_id a;
    struct tz_id b;
    four_addresses(f, &a, &b);
    supervisors(f, &super, &csuper);
    sx_applied(merge(&super, TZ_OP_MERGE, "organisation", a, b));
    const struct tz_row *k = sx_case(f, a, "address", 1);
    sx_text_is(f, "organisation", a, "address", "乙二"); /* the latest */
    assert_int_equal(sx_ncandidates(f, k), 3);
    assert_string_equal(word(f, k, "address", "甲一"), "");
    assert_string_equal(word(f, k, "address", "甲二"), "");
    assert_string_equal(word(f, k, "address", "乙一"), sx_hex(f, b));
    assert_string_equal(sx_case_text(f, sx_case(f, b, "address", 1), "choice"), "gone");
    f->d1.skew_ms = -500; /* before 乙二 */
    sx_superseded(
        sx_set(&f->d1, "organisation", a, "address=甲三", NULL)); /* of the same form as 甲一: replaces that only */
    k = sx_case(f, a, "address", 1);
    assert_int_equal(sx_ncandidates(f, k), 3);
    assert_null(word(f, k, "address", "甲一"));
    assert_non_null(word(f, k, "address", "甲三"));
    assert_non_null(word(f, k, "address", "乙一"));
}

static void an_earlier_word_never_replaces_a_later_one(void **state)
{
    struct sx *f = *state;
    struct tz_id a;
    struct tz_id b;
    four_addresses(f, &a, &b);
    struct sx_dev form = f->d1; /* opened before the decision */
    struct tz_id c = sx_case(f, a, "address", 1)->id;
    sx_see(&f->d1);
    sx_applied(sx_resolve(&f->d1, c, 1, "address=定", NULL));
    form.seq = f->d1.seq;
    sx_superseded(sx_set(&form, "organisation", a, "address=后", NULL)); /* by the same clerk, later */
    c = sx_case(f, a, "address", 2)->id;
    sx_applied(sx_resolve(&f->d1b, c, 2, "address=另", NULL)); /* saw neither */
    const struct tz_row *k = sx_case(f, a, "address", 3);
    assert_int_equal(sx_ncandidates(f, k), 2);
    assert_non_null(word(f, k, "address", "后"));
    assert_non_null(word(f, k, "address", "定"));
}

/** A clerk's deletion of the second of two firms lost against an edit; a supervisor has made them one. */
static void deletion_lost_then_merged(struct sx *f, struct sx_dev *super, struct tz_id *a, struct tz_id *b)
{
    struct sx_dev csuper;
    *a = org(&f->d1, "name=甲", "district_code=120101", USCI);
    *b = org(&f->d1, "name=乙", "district_code=120101", OTHER_USCI);
    sx_see(&f->d1);
    sx_see(&f->d1b);
    sx_applied(sx_set(&f->d1b, "organisation", *b, "address=一", NULL));
    sx_superseded(sx_delete(&f->d1, "organisation", *b));
    assert_true(is_open(f, sx_case(f, *b, "_deleted", 1)));
    supervisors(f, super, &csuper);
    sx_applied(merge(super, TZ_OP_MERGE, "organisation", *a, *b));
}

static void case_about_the_life_of_the_one_that_went_says_nothing_about_the_survivor(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    struct tz_id a;
    struct tz_id b;
    deletion_lost_then_merged(f, &super, &a, &b);
    const struct tz_row *k = sx_case(f, b, "_deleted", 1);
    assert_string_equal(sx_case_text(f, k, "choice"), "gone");
    assert_int_equal(sx_query(f, "SELECT count(*) FROM case_head WHERE subject='_deleted' AND open=1"), 0);
    sx_see(&super);
    sx_refused(sx_resolve(&super, k->id, 1, "_deleted=1", NULL), TZ_E_CASE_STALE);
    sx_refused(sx_resolve(&super, k->id, 1, "_deleted=0", NULL), TZ_E_CASE_STALE);
    assert_false(sx_deleted(f, "organisation", a));
    assert_null(sx_case(f, a, "_deleted", 1));
    assert_int_equal(sx_query(f, "SELECT count(*) FROM case_head WHERE generation=0 AND subject='_deleted'"), 0);
}

static void after_coming_apart_a_lost_deletion_joins_the_case_that_is_open_again(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    struct tz_id a;
    struct tz_id b;
    deletion_lost_then_merged(f, &super, &a, &b);
    sx_see(&super);
    sx_applied(merge(&super, TZ_OP_UNMERGE, "organisation", a, b));
    sx_see(&f->d1);
    sx_see(&f->d1b);
    sx_applied(sx_set(&f->d1b, "organisation", b, "address=二", NULL));
    sx_superseded(sx_delete(&f->d1, "organisation", b));
    assert_true(is_open(f, sx_case(f, b, "_deleted", 1)));
    assert_null(sx_case(f, b, "_deleted", 2));
    assert_null(sx_case(f, a, "_deleted", 1));
}

static void late_decision_about_the_one_that_went_is_a_word_about_the_survivor(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    struct sx_dev csuper;
    struct tz_id a;
    struct tz_id b;
    four_addresses(f, &a, &b);
    sx_see(&f->d1);
    supervisors(f, &super, &csuper);
    sx_applied(merge(&super, TZ_OP_MERGE, "organisation", a, b));
    sx_superseded(sx_resolve(&f->d1, sx_case(f, b, "address", 1)->id, 1, "address=乙一", NULL));
    sx_text_is(f, "organisation", a, "address", "乙二");
    assert_true(is_open(f, sx_case(f, a, "address", 1)));
    assert_non_null(word(f, sx_case(f, a, "address", 1), "address", "乙一"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, sx_setup, sx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(three_names_by_one_clerk_are_three_words),
        T(open_cases_go_along_with_every_word),
        T(an_earlier_word_never_replaces_a_later_one),
        T(case_about_the_life_of_the_one_that_went_says_nothing_about_the_survivor),
        T(after_coming_apart_a_lost_deletion_joins_the_case_that_is_open_again),
        T(late_decision_about_the_one_that_went_is_a_word_about_the_survivor),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
