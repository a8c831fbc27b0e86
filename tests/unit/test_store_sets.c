/* SPDX-License-Identifier: Apache-2.0 */
/* The central store: elements of sets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_fixture.h"

#include <string.h>

/** A weak case of a branch in 120101, made by D1 and seen by everybody there. */
static struct tz_id weak_case(struct sx *f, const char *categories)
{
    struct tz_id b = sx_create(&f->d1, "branch", "name=党支部", "branch_type=branch", "district_code=120101",
                               "established_on=2020", "term_years=3", NULL);
    struct tz_id id = sx_create(&f->d1, "weak_case", sx_ref(f, "branch_id", b), "year=2017", categories,
                                "plan=一支一策", "due_on=2017-12-31", NULL);
    sx_see(&f->d1);
    sx_see(&f->d1b);
    return id;
}

/** "+a" or "-a" by @dev, as it last saw. */
static const struct tz_result *change(struct sx_dev *dev, struct tz_id id, const char *what)
{
    struct sx_cs *c = sx_begin(dev);
    struct tz_op *op = sx_op(c, what[0] == '+' ? TZ_OP_ADD : TZ_OP_REMOVE, "weak_case", id);
    struct tz_bytes *el = tz_arena_calloc(&dev->f->a, 1, sizeof *el);
    *el = tz_bytes_str(what + 1);
    op->field = tz_type_field(sx_type(dev->f, "weak_case"), "categories")->id;
    op->elements = el;
    op->nelements = 1;
    return sx_push(c);
}

static void stands(struct sx *f, struct tz_id id, const char *want)
{
    const struct tz_row *row = sx_row(f, "weak_case", id);
    struct tz_value v = row->rec.v[tz_type_field(row->rec.type, "categories")->index];
    if (!tz_value_is_text(v, want))
        fail_msg("%.*s", (int)v.n, (const char *)v.p);
}

static void elements_of_two_offices_are_both_kept(void **state)
{
    struct sx *f = *state;
    struct tz_id id = weak_case(f, "categories=support_weak");
    sx_applied(change(&f->d1, id, "+team_incomplete"));
    sx_applied(change(&f->d1b, id, "+secretary_unfit"));
    sx_applied(change(&f->d1b, id, "-support_weak"));
    stands(f, id, "[\"secretary_unfit\",\"team_incomplete\"]");
    assert_int_equal(sx_query(f, "SELECT count(*) FROM \"case\""), 0);
}

static void add_outlives_a_remove_that_did_not_see_it(void **state)
{
    struct sx *f = *state;
    struct tz_id id = weak_case(f, "categories=support_weak");
    sx_applied(change(&f->d1, id, "+team_incomplete"));
    sx_superseded(change(&f->d1b, id, "-team_incomplete"));
    stands(f, id, "[\"support_weak\",\"team_incomplete\"]");
    sx_see(&f->d1b);
    sx_applied(change(&f->d1b, id, "-team_incomplete"));
    stands(f, id, "[\"support_weak\"]");
}

static void set_is_not_written_whole(void **state)
{
    struct sx *f = *state;
    struct tz_id id = weak_case(f, "categories=support_weak");
    sx_refused(sx_set(&f->d1, "weak_case", id, "categories=team_incomplete", NULL), TZ_E_BAD_OP);
    stands(f, id, "[\"support_weak\"]");
}

static void last_element_of_a_required_set_stays(void **state)
{
    struct sx *f = *state;
    struct tz_id id = weak_case(f, "categories=support_weak");
    sx_refused(change(&f->d1, id, "-support_weak"), TZ_E_REQUIRED);
    stands(f, id, "[\"support_weak\"]");
    sx_expect(change(&f->d1, id, "+team_incomplete"), TZ_OUT_WAITING, TZ_E_DEPENDS); /* the same field */
}

static void bad_elements_are_refused(void **state)
{
    struct sx *f = *state;
    struct tz_id id = weak_case(f, "categories=support_weak");
    sx_refused(change(&f->d1, id, "+no such"), TZ_E_VALUE);
    sx_refused(change(&f->fi, id, "+team_incomplete"), TZ_E_NO_RIGHT_FIELD);
    sx_refused(change(&f->d2, id, "+team_incomplete"), TZ_E_UNKNOWN_RECORD); /* next door */
    struct sx_cs *c = sx_begin(&f->d1b);
    struct tz_op *op = sx_op(c, TZ_OP_ADD, "weak_case", id); /* of a field that is no set */
    struct tz_bytes el = tz_bytes_str("x");
    op->field = tz_type_field(sx_type(f, "weak_case"), "plan")->id;
    op->elements = &el;
    op->nelements = 1;
    sx_refused(sx_push(c), TZ_E_BAD_OP);
}

static void unseen_change_of_a_set_holds_up_a_deletion(void **state)
{
    struct sx *f = *state;
    const char *const changes[] = {"+team_incomplete", "-secretary_unfit"};
    for (int i = 0; i < 2; i++) { /* change first, deletion first */
        for (int k = 0; k < 2; k++) {
            struct tz_id id = weak_case(f, "categories=support_weak|secretary_unfit");
            if (k == 0)
                sx_applied(change(&f->d1, id, changes[i]));
            const struct tz_result *r = sx_delete(&f->d1b, "weak_case", id);
            sx_expect(r, k == 0 ? TZ_OUT_SUPERSEDED : TZ_OUT_APPLIED, 0);
            if (k == 1)
                sx_applied(change(&f->d1, id, changes[i]));
            assert_false(sx_deleted(f, "weak_case", id));
            stands(f, id, i == 0 ? "[\"secretary_unfit\",\"support_weak\",\"team_incomplete\"]" : "[\"support_weak\"]");
            assert_int_equal(sx_ncandidates(f, sx_case(f, id, "_deleted", 1)), 1);
        }
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, sx_setup, sx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(elements_of_two_offices_are_both_kept),
        T(add_outlives_a_remove_that_did_not_see_it),
        T(set_is_not_written_whole),
        T(last_element_of_a_required_set_stays),
        T(bad_elements_are_refused),
        T(unseen_change_of_a_set_holds_up_a_deletion),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
