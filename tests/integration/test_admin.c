/* SPDX-License-Identifier: Apache-2.0 */
/* What the administrator asks for, on a store: a backlog that is larger than one request settles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin.h"
#include "store_fixture.h"

#include <stdio.h>
#include <string.h>

enum { AT_ONCE = 512, BEYOND = 8 };

static int ask(struct sx *f, const char *command, struct tz_admin_outcome *out)
{
    const struct tz_admin_env env = {.address = "127.0.0.1:7700"};
    json_t *q = json_pack("{s:s,s:s,s:s}", "command", command, "name", "d1", "reason", "见纸质材料");
    assert_non_null(q);
    sx_group(f);
    int rc = tz_admin_run(f->s, &env, q, out, &f->err);
    if (rc)
        tz_store_group_rollback(f->s);
    else
        sx_commit(f);
    json_decref(q);
    return rc;
}

static int64_t number(const struct tz_admin_outcome *out, const char *key)
{
    return json_integer_value(json_object_get(out->reply, key));
}

static void hold(struct sx *f, int n)
{
    char name[32];
    sx_group(f);
    assert_int_equal(tz_store_device_revoke(f->s, f->d1.d.number, &f->err), 0);
    for (int i = 0; i < n; i++) {
        struct sx_cs *c = sx_begin(&f->d1);
        (void)snprintf(name, sizeof name, "name=第%d公司", i);
        (void)sx_op_create(c, "organisation", name, "district_code=120101", NULL);
        assert_int_equal(sx_apply(c), 0);
        sx_expect(&f->res, TZ_OUT_HELD, TZ_E_HELD_REVOKED);
        tz_arena_reset(&f->a);
    }
    sx_commit(f);
}

static void settle_in_two(struct sx *f, const char *command, const char *counted)
{
    struct tz_admin_outcome out;
    hold(f, AT_ONCE + BEYOND);
    assert_int_equal(ask(f, command, &out), 0);
    assert_int_equal(number(&out, "saves"), AT_ONCE);
    assert_int_equal(number(&out, counted), AT_ONCE);
    assert_int_equal(number(&out, "more"), BEYOND);
    json_decref(out.reply);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog"), BEYOND);
    assert_int_equal(ask(f, command, &out), 0);
    assert_int_equal(number(&out, counted), BEYOND);
    assert_int_equal(number(&out, "more"), 0);
    json_decref(out.reply);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog"), 0);
    assert_int_equal(ask(f, command, &out), TZ_E_NOT_FOUND);
}

static void a_large_backlog_is_applied_in_parts(void **state)
{
    struct sx *f = *state;
    int64_t before = sx_query(f, "SELECT count(*) FROM organisation");
    settle_in_two(f, "backlog apply", "applied");
    assert_int_equal(sx_query(f, "SELECT count(*) FROM organisation"), before + AT_ONCE + BEYOND);
}

static void a_large_backlog_is_discarded_in_parts(void **state)
{
    struct sx *f = *state;
    int64_t before = sx_query(f, "SELECT count(*) FROM organisation");
    settle_in_two(f, "backlog discard", "refused");
    assert_int_equal(sx_query(f, "SELECT count(*) FROM organisation"), before);
}

#define T(name) cmocka_unit_test_setup_teardown(name, sx_setup, sx_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(a_large_backlog_is_applied_in_parts),
        T(a_large_backlog_is_discarded_in_parts),
    };
    return cmocka_run_group_tests_name("admin", tests, sx_group_setup, sx_group_teardown);
}
