/* SPDX-License-Identifier: Apache-2.0 */
/* The central store: clocks, groups and power cuts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_fixture.h"

#include <stdio.h>
#include <string.h>

enum { DAY_MS = 86400000 };

/* ---- clocks ---- */

static tz_hlc effective_of(struct sx *f, tz_ver ver)
{
    return tz_store_commit_of(f->s, ver).effective;
}

static void clock_ten_years_wrong_is_clamped_and_never_refused(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    const int64_t years = 3650LL * DAY_MS;
    f->d1.skew_ms = years; /* fast, and the handshake did not tell */
    sx_applied(sx_set(&f->d1, "organisation", id, "address=快", NULL));
    tz_hlc fast = effective_of(f, f->res.ver);
    assert_true(tz_hlc_ms(fast) <= f->clock.wall.ms + 120000);
    f->clock.wall.ms += 180000; /* three minutes later somebody with a good clock has the later word */
    sx_applied(sx_set(&f->d1b, "organisation", id, "address=准", NULL));
    sx_text_is(f, "organisation", id, "address", "准");
    f->fi.skew_ms = -years; /* slow: behind everything, but nothing is lost */
    sx_superseded(sx_set(&f->fi, "organisation", id, "address=慢", NULL));
    sx_text_is(f, "organisation", id, "address", "准");
    assert_int_equal(sx_ncandidates(f, sx_case(f, id, "address", 1)), 2);
}

static void measured_offset_corrects_a_wrong_clock(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    const int64_t years = 3650LL * DAY_MS;
    f->d1.skew_ms = -years;
    f->d1.offset_ms = years;
    f->clock.wall.ms += DAY_MS;
    sx_applied(sx_set(&f->d1, "organisation", id, "address=一", NULL));
    assert_int_equal(tz_hlc_ms(effective_of(f, f->res.ver)), f->clock.wall.ms);
}

static void effective_time_ascends_on_each_device(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    tz_hlc last = 0;
    for (int i = 0; i < 6; i++) {
        f->d1.skew_ms = i % 2 ? -DAY_MS : DAY_MS;
        char address[32];
        (void)snprintf(address, sizeof address, "address=%d路", i);
        sx_see(&f->d1);
        sx_applied(sx_set(&f->d1, "organisation", id, address, NULL));
        tz_hlc now = effective_of(f, f->res.ver);
        assert_true(now > last);
        last = now;
    }
}

static void who_saw_wins_whatever_his_clock_says(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(sx_set(&f->d1, "organisation", id, "address=一", NULL));
    sx_see(&f->d1b);
    f->d1b.skew_ms = -3650LL * DAY_MS;
    sx_applied(sx_set(&f->d1b, "organisation", id, "address=二", NULL));
    sx_text_is(f, "organisation", id, "address", "二");
    assert_null(sx_case(f, id, "address", 1));
    assert_true(effective_of(f, f->res.ver) > effective_of(f, f->d1b.seen));
}

static void base_beyond_the_head_is_no_licence(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    f->fi.seen = tz_store_head(f->s) + 100;
    sx_applied(sx_set(&f->fi, "organisation", id, "address=一", NULL));
    for (int i = 0; i < 5; i++)
        sx_org(f, "别的");
    f->fi2.seen = INT64_MAX; /* reads as "everything there is", no more */
    sx_applied(sx_set(&f->fi2, "organisation", id, "address=二", NULL));
    assert_true(tz_store_commit_of(f->s, f->res.ver).effective < tz_hlc_of(f->clock.wall.ms + 200000, 0));
}

/* ---- groups, power cuts ---- */

static void rolled_back_group_never_was(void **state)
{
    struct sx *f = *state;
    uint8_t before[32];
    uint8_t after[32];
    uint8_t hash[2][32];
    uint64_t n[2];
    tz_ver head = tz_store_head(f->s);
    sx_digest(f, before);
    assert_int_equal(tz_store_audit_head(f->s, &n[0], hash[0], &f->err), 0);
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id id = sx_op_create(c, "organisation", "name=甲", "district_code=120101", NULL);
    sx_group(f);
    assert_int_equal(sx_apply(c), 0);
    tz_ver given = f->res.ver;
    assert_int_equal(tz_store_head(f->s), head); /* nothing is promised before the commit */
    tz_store_group_rollback(f->s);
    assert_int_equal(tz_store_head(f->s), head);
    sx_digest(f, after);
    assert_memory_equal(before, after, 32);
    assert_int_equal(tz_store_audit_head(f->s, &n[1], hash[1], &f->err), 0);
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(hash[0], hash[1], 32);
    sx_applied(sx_push(c)); /* sent again: the same version is given now */
    assert_int_equal(f->res.ver, given);
    assert_non_null(sx_row(f, "organisation", id));
}

static uint32_t keep_nothing(void *ctx)
{
    (void)ctx;
    return 0;
}

static void power_cut_keeps_what_was_committed_and_nothing_else(void **state)
{
    struct sx *f = *state;
    uint8_t before[32];
    uint8_t after[32];
    struct tz_id id = sx_org(f, "甲公司");
    tz_ver head = tz_store_head(f->s);
    uint64_t entries = 0;
    sx_digest(f, before);
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op_set(c, "organisation", id, "address=一", NULL);
    sx_group(f);
    assert_int_equal(sx_apply(c), 0);
    tz_memdisk_crash(f->disk, keep_nothing, NULL);
    sx_reopen(f);
    assert_int_equal(tz_store_head(f->s), head);
    sx_digest(f, after);
    assert_memory_equal(before, after, 32);
    assert_int_equal(tz_store_audit_check(f->s, &entries, &f->err), 0);
    sx_applied(sx_push(c));
    sx_text_is(f, "organisation", id, "address", "一");
}

static void group_of_many_devices_is_one_transaction(void **state)
{
    struct sx *f = *state;
    tz_ver head = tz_store_head(f->s);
    struct sx_dev *devs[] = {&f->d1, &f->d2, &f->fi};
    sx_group(f);
    for (size_t i = 0; i < 3; i++) {
        struct sx_cs *c = sx_begin(devs[i]);
        sx_op_create(c, "organisation", "name=甲", i == 1 ? "district_code=120102" : "district_code=120101", NULL);
        assert_int_equal(sx_apply(c), 0);
        assert_int_equal(f->res.ver, head + 1 + i);
    }
    sx_commit(f);
    assert_int_equal(tz_store_head(f->s), head + 3);
}

#define T(name) cmocka_unit_test_setup_teardown(name, sx_setup, sx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(clock_ten_years_wrong_is_clamped_and_never_refused),
        T(measured_offset_corrects_a_wrong_clock),
        T(effective_time_ascends_on_each_device),
        T(who_saw_wins_whatever_his_clock_says),
        T(base_beyond_the_head_is_no_licence),
        T(rolled_back_group_never_was),
        T(power_cut_keeps_what_was_committed_and_nothing_else),
        T(group_of_many_devices_is_one_transaction),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
