/* SPDX-License-Identifier: Apache-2.0 */
/* Accounting (P7): what a device handed in equals the outcomes of its changes, whatever became of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_fixture.h"

#include <string.h>

static void count_ops(void *ctx, const struct tz_received *r)
{
    uint64_t *ops = ctx;
    ops[r->device] += r->ops;
}

/** Handed in minus outcomes, for one device; and its balance. */
static int64_t open_of(struct sx *f, const struct sx_dev *d, struct tz_balance *b)
{
    uint64_t ops[64] = {0};
    assert_true(d->d.number < 64);
    assert_int_equal(tz_store_balance(f->s, d->d.number, b, &f->err), 0);
    assert_int_equal(tz_store_received(f->s, count_ops, ops, &f->err), 0);
    uint64_t sum = b->applied + b->superseded + b->refused + b->waiting + b->held + b->under_review + b->withdrawn;
    return (int64_t)(ops[d->d.number] - sum);
}

/** 1 is refused, 2 (two ops) waits for it. */
static void refused_and_waiting(struct sx *f)
{
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id id = sx_op_create(c, "organisation", "name=甲", "district_code=120102", NULL);
    sx_refused(sx_push(c), TZ_E_AREA);
    c = sx_begin(&f->d1);
    sx_op_set(c, "organisation", id, "address=一路", NULL);
    sx_op_set(c, "organisation", id, "name=乙", NULL);
    sx_expect(sx_push(c), TZ_OUT_WAITING, TZ_E_DEPENDS);
}

static void what_waits_is_accounted_for(void **state)
{
    struct sx *f = *state;
    struct tz_balance b;
    refused_and_waiting(f);
    assert_int_equal(open_of(f, &f->d1, &b), 0);
    assert_int_equal(b.refused, 1);
    assert_int_equal(b.waiting, 2);
    assert_int_equal(b.missing, 0);
}

static void what_was_taken_back_while_it_waited_is_accounted_for(void **state)
{
    struct sx *f = *state;
    struct tz_balance b;
    refused_and_waiting(f);
    sx_applied(sx_withdraw(&f->d1, 2));
    assert_int_equal(open_of(f, &f->d1, &b), 0);
    assert_int_equal(b.withdrawn, 2);
    assert_int_equal(b.applied, 1); /* the withdrawal */
}

static void an_erased_body_is_accounted_for(void **state)
{
    struct sx *f = *state;
    struct tz_balance b;
    sx_org(f, "甲公司");
    sx_org(f, "乙公司");
    sx_exec(f, "DELETE FROM audit_body WHERE n=(SELECT max(n) FROM audit)");
    assert_int_equal(open_of(f, &f->d1, &b), 0);
    assert_int_equal(b.applied, 2);
}

static void a_result_that_went_is_found(void **state)
{
    struct sx *f = *state;
    struct tz_balance b;
    sx_org(f, "甲公司");
    sx_org(f, "乙公司");
    sx_exec(f, "DELETE FROM result WHERE seq=1");
    assert_int_equal(open_of(f, &f->d1, &b), 1);
    assert_int_equal(b.missing, 1);
    assert_int_equal(open_of(f, &f->d2, &b), 0);
}

static void a_counted_outcome_nobody_handed_in_is_found(void **state)
{
    struct sx *f = *state;
    struct tz_balance b;
    sx_org(f, "甲公司");
    sx_exec(f, "UPDATE result SET applied=applied+1");
    assert_int_equal(open_of(f, &f->d1, &b), -1);
    assert_int_equal(b.missing, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, sx_setup, sx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_waits_is_accounted_for),
        T(what_was_taken_back_while_it_waited_is_accounted_for),
        T(an_erased_body_is_accounted_for),
        T(a_result_that_went_is_found),
        T(a_counted_outcome_nobody_handed_in_is_found),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
