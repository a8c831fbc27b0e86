/* SPDX-License-Identifier: Apache-2.0 */
/* Answers are kept short, and a resend gets every one of them as it was, with its proof. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_fixture.h"

#include <stdio.h>
#include <string.h>

enum { SHORT_MAX = 24 };

/** What was sent last gets the same answer again; how many bytes of it are kept. */
static int64_t again(struct sx_cs *c)
{
    struct sx *f = c->dev->f;
    struct tz_signed_result was = f->all[0];
    char sql[128];
    sx_group(f);
    assert_int_equal(sx_apply(c), 0);
    sx_commit(f);
    assert_true(tz_bytes_eq(f->all[0].result, was.result));
    assert_true(tz_bytes_eq(f->all[0].mac, was.mac));
    (void)snprintf(sql, sizeof sql, "SELECT length(result)+length(mac) FROM result WHERE device=%u AND seq=%llu",
                   c->dev->d.number, (unsigned long long)c->cs.seq);
    return sx_query(f, sql);
}

static struct sx_cs *set(struct sx_dev *d, struct tz_id id, const char *value)
{
    struct sx_cs *c = sx_begin(d);
    sx_op_set(c, "organisation", id, value, NULL);
    return c;
}

static void what_is_usual_is_kept_in_a_few_bytes(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct sx_cs *c = set(&f->d1, id, "address=一路");
    sx_applied(sx_push(c));
    assert_true(again(c) <= SHORT_MAX);
    c = sx_begin(&f->d1); /* an import */
    c->cs.independent = true;
    for (int i = 0; i < 200; i++) {
        char name[40];
        (void)snprintf(name, sizeof name, "name=第%d公司", i);
        (void)sx_op_create(c, "organisation", name, "district_code=120101", NULL);
    }
    sx_applied(sx_push(c));
    assert_int_equal(f->res.nops, 200);
    assert_true(again(c) <= SHORT_MAX);
    c = set(&f->d1b, id, "address=一路"); /* nothing new: no version */
    sx_applied(sx_push(c));
    assert_true(again(c) <= SHORT_MAX);
}

static void what_is_not_is_kept_whole(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct sx_cs *c = set(&f->d1, id, "address=一路");
    c->cs.hlc += UINT64_C(60000) << 16;
    sx_applied(sx_push(c));
    c = set(&f->fi, id, "address=二路"); /* has not seen it, and is earlier: a case */
    sx_superseded(sx_push(c));
    assert_int_equal(f->res.ops[0].ncases, 1);
    assert_true(again(c) > SHORT_MAX);
    c = set(&f->d2, id, "address=三路");
    sx_refused(sx_push(c), TZ_E_UNKNOWN_RECORD);
    assert_true(again(c) > SHORT_MAX);
    c = set(&f->d2, id, "address=四路");
    sx_expect(sx_push(c), TZ_OUT_WAITING, TZ_E_DEPENDS);
    assert_true(again(c) > SHORT_MAX);
    c = sx_begin(&f->d1); /* an import, some of it refused */
    c->cs.independent = true;
    for (int i = 0; i < 6; i++)
        (void)sx_op_create(c, "organisation", i % 2 ? "name=乙" : "address=无名", "district_code=120101", NULL);
    sx_applied(sx_push(c));
    assert_int_equal(f->res.ops[0].outcome, TZ_OUT_REFUSED);
    (void)again(c);
}

/** Those of an older program are whole, and have their proof beside them. */
static void answers_of_an_older_program_are_given_again(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct sx_cs *c = set(&f->d1, id, "address=一路");
    struct tz_stmt st = {0};
    sx_applied(sx_push(c));
    assert_int_equal(
        tz_db_prepare(tz_store_db(f->s), &st, "UPDATE result SET result=?1,mac=?2 WHERE device=?3 AND seq=?4", &f->err),
        0);
    tz_stmt_bind_blob(&st, 1, f->all[0].result.p, f->all[0].result.n);
    tz_stmt_bind_blob(&st, 2, f->all[0].mac.p, f->all[0].mac.n);
    tz_stmt_bind_int(&st, 3, f->d1.d.number);
    tz_stmt_bind_int(&st, 4, (int64_t)c->cs.seq);
    assert_int_equal(tz_stmt_run(&st, &f->err), 0);
    tz_stmt_finalize(&st);
    assert_true(again(c) > SHORT_MAX + 32);
}

static void a_damaged_answer_is_no_answer(void **state)
{
    static const char *const damage[] = {
        "x''", "x'00'", "x'0001'", "x'000102ff'", "x'0001020a'", "x'000102f40301f40301'", "x'00010201ff01'"};
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct sx_cs *c = set(&f->d1, id, "address=一路");
    char sql[160];
    sx_applied(sx_push(c));
    for (size_t i = 0; i < sizeof damage / sizeof *damage; i++) {
        (void)snprintf(sql, sizeof sql, "UPDATE result SET result=%s WHERE device=%u AND seq=%llu", damage[i],
                       f->d1.d.number, (unsigned long long)c->cs.seq);
        sx_exec(f, sql);
        sx_group(f);
        int rc = sx_apply(c);
        sx_commit(f);
        if (rc != TZ_E_DB_CORRUPT)
            fail_msg("%s: %d", damage[i], rc);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, sx_setup, sx_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(what_is_usual_is_kept_in_a_few_bytes),
        T(what_is_not_is_kept_whole),
        T(answers_of_an_older_program_are_given_again),
        T(a_damaged_answer_is_no_answer),
    };
    return cmocka_run_group_tests_name("store_answer", tests, sx_group_setup, sx_group_teardown);
}
