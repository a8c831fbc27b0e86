/* SPDX-License-Identifier: Apache-2.0 */
/* The central store: who may do what, and what those are told who may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_fixture.h"

#include <stdio.h>
#include <string.h>

static void id_of_another_maker_is_refused(void **state)
{
    struct sx *f = *state;
    struct tz_id foreign = tz_id_make(&f->d2.ids, f->clock.wall);
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op_create_as(c, foreign, "organisation", "name=甲公司", "district_code=120101", NULL);
    sx_refused(sx_push(c), TZ_E_ID_MAKER);
}

/** The result with what must differ (seq, hash) made the same, as bytes. */
static struct tz_bytes comparable(struct sx *f)
{
    struct tz_result r = f->res;
    struct tz_buf b;
    r.seq = 0;
    memset(r.hash, 0, sizeof r.hash);
    tz_buf_init(&b, 64 * 1024);
    assert_int_equal(tz_msg_put_result(&b, &r), 0);
    struct tz_bytes all = tz_buf_unread(&b);
    struct tz_bytes out = tz_bytes_of(tz_arena_dup(&f->a, all.p, all.n), all.n);
    tz_buf_deinit(&b);
    return out;
}

static void unknown_and_foreign_records_give_the_same_bytes(void **state)
{
    struct sx *f = *state;
    struct tz_id foreign = sx_org(f, "甲公司"); /* 120101 */
    struct tz_id never = tz_id_make(&f->d1.ids, f->clock.wall);
    enum tz_op_kind const kinds[] = {TZ_OP_DELETE, TZ_OP_RESTORE};
    sx_see(&f->d2);
    sx_refused(sx_set(&f->d2, "organisation", foreign, "address=路", NULL), TZ_E_UNKNOWN_RECORD);
    struct tz_bytes a = comparable(f);
    sx_withdraw(&f->d2, f->d2.seq);
    sx_refused(sx_set(&f->d2, "organisation", never, "address=路", NULL), TZ_E_UNKNOWN_RECORD);
    assert_true(tz_bytes_eq(a, comparable(f)));
    for (size_t i = 0; i < 2; i++) {
        struct sx_cs *c = sx_begin(&f->d2);
        sx_op(c, kinds[i], "organisation", foreign);
        sx_refused(sx_push(c), TZ_E_UNKNOWN_RECORD);
        a = comparable(f);
        c = sx_begin(&f->d2);
        sx_op(c, kinds[i], "organisation", never);
        sx_refused(sx_push(c), TZ_E_UNKNOWN_RECORD);
        assert_true(tz_bytes_eq(a, comparable(f)));
    }
}

static void unknown_and_foreign_references_give_the_same_bytes(void **state)
{
    struct sx *f = *state;
    struct tz_id foreign = sx_org(f, "甲公司");
    struct tz_id never = tz_id_make(&f->d1.ids, f->clock.wall);
    struct tz_bytes answer[2];
    struct tz_id target[2] = {foreign, never};
    for (int i = 0; i < 2; i++) {
        struct sx_cs *c = sx_begin(&f->d2);
        sx_op_create(c, "coverage", sx_ref(f, "org_id", target[i]), "mode=own", "since=2023-01-01", NULL);
        sx_refused(sx_push(c), TZ_E_REF);
        answer[i] = comparable(f);
    }
    assert_true(tz_bytes_eq(answer[0], answer[1]));
}

static void fields_are_edited_by_the_roles_the_catalogue_names(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(sx_set(&f->d1, "organisation", id, "status=active", NULL));
    sx_see(&f->fi);
    sx_see(&f->c1);
    sx_applied(sx_set(&f->fi, "organisation", id, "address=一路", NULL));
    sx_refused(sx_set(&f->fi, "organisation", id, "status=suspended", NULL), TZ_E_NO_RIGHT_FIELD);
    sx_refused(sx_set(&f->c1, "organisation", id, "name=乙", NULL), TZ_E_NO_RIGHT_FIELD);
    sx_applied(sx_set(&f->c1, "organisation", id, "decoupled_on=2019", NULL));
    sx_see(&f->d1b);
    sx_refused(sx_set(&f->d1b, "organisation", id, "decoupled_on=2020", NULL), TZ_E_NO_RIGHT_FIELD);
    sx_refused(sx_set(&f->d1b, "organisation", id, "verified_at=2023-01-01", NULL), TZ_E_NO_RIGHT_FIELD);
}

static void types_are_made_by_the_roles_the_catalogue_names(void **state)
{
    struct sx *f = *state;
    struct sx_cs *c = sx_begin(&f->fi);
    sx_op_create(c, "branch", "name=党支部", "branch_type=branch", "district_code=120101", "established_on=2020", NULL);
    sx_refused(sx_push(c), TZ_E_NO_RIGHT_TYPE);
    c = sx_begin(&f->d1);
    sx_op_create(c, "case", "subject=name", NULL);
    sx_refused(sx_push(c), TZ_E_NO_RIGHT_TYPE);
    c = sx_begin(&f->d1);
    sx_op_create(c, "unit", "code=X1", "name=甲局", NULL);
    sx_refused(sx_push(c), TZ_E_NO_RIGHT_TYPE);
}

static void inspector_shapes_what_he_made_until_it_is_taken_over(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_create(&f->fi, "organisation", "name=甲公司", "district_code=120101", "industry_code=I", NULL);
    sx_see(&f->fi);
    sx_applied(sx_set(&f->fi, "organisation", id, "registrar=市局", NULL)); /* a D field */
    sx_refused(sx_set(&f->fi, "organisation", id, "verified_at=2023-01-01", NULL), TZ_E_NO_RIGHT_FIELD);
    sx_see(&f->fi2);
    sx_refused(sx_set(&f->fi2, "organisation", id, "registrar=区局", NULL), TZ_E_NO_RIGHT_FIELD); /* not his */
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "organisation", id, "status=active", NULL));
    sx_see(&f->fi);
    sx_refused(sx_set(&f->fi, "organisation", id, "registrar=区局", NULL), TZ_E_NO_RIGHT_FIELD);
}

static void record_outside_the_authors_area_cannot_be_made(void **state)
{
    struct sx *f = *state;
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op_create(c, "organisation", "name=甲公司", "district_code=120102", NULL);
    sx_refused(sx_push(c), TZ_E_AREA);
    c = sx_begin(&f->d1);
    sx_op_create(c, "organisation", "name=甲公司", "district_code=999999", NULL);
    sx_refused(sx_push(c), TZ_E_AREA);
}

static void street_grant_reaches_its_street_only(void **state)
{
    struct sx *f = *state;
    struct tz_id in =
        sx_create(&f->d1, "organisation", "name=甲", "district_code=120101", "street_code=120101001", NULL);
    struct tz_id out =
        sx_create(&f->d1, "organisation", "name=乙", "district_code=120101", "street_code=120101002", NULL);
    struct tz_id none = sx_create(&f->d1, "organisation", "name=丙", "district_code=120101", NULL);
    sx_see(&f->s1);
    sx_applied(sx_set(&f->s1, "organisation", in, "address=一路", NULL));
    sx_refused(sx_set(&f->s1, "organisation", out, "address=一路", NULL), TZ_E_UNKNOWN_RECORD);
    sx_refused(sx_set(&f->s1, "organisation", none, "address=一路", NULL), TZ_E_UNKNOWN_RECORD);
    sx_refused(sx_set(&f->s1, "organisation", in, "street_code=120101002", NULL), TZ_E_AREA);
}

static void disabled_user_is_refused_and_the_seq_is_used(void **state)
{
    struct sx *f = *state;
    sx_group(f);
    assert_int_equal(tz_store_user_disable(f->s, "d1", &f->err), 0);
    sx_commit(f);
    sx_see(&f->d1); /* what he did before he was told is test_store_late's affair */
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op_create(c, "organisation", "name=甲公司", "district_code=120101", NULL);
    const struct tz_result *r = sx_push(c);
    sx_refused(r, TZ_E_USER_DISABLED);
    assert_int_equal(r->ops[0].outcome, TZ_OUT_REFUSED);
    f->d1.user = f->d1b.user; /* a colleague at the same machine */
    sx_create(&f->d1, "organisation", "name=甲公司", "district_code=120101", NULL);
}

static void user_of_another_area_may_not_write_from_this_machine(void **state)
{
    struct sx *f = *state;
    f->d1.user = f->d2.user;
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op_create(c, "organisation", "name=甲公司", "district_code=120102", NULL);
    sx_refused(sx_push(c), TZ_E_USER_DISABLED);
}

/** What has no room gets no answer, so that the device keeps it; when there is room again it comes in. */
static void more_than_is_kept_of_a_revoked_device_is_not_answered(void **state)
{
    struct sx *f = *state;
    bool full = false;
    sx_group(f);
    assert_int_equal(tz_store_device_revoke(f->s, f->d1.d.number, &f->err), 0);
    struct sx_cs *c = sx_begin(&f->d1);
    (void)sx_op_create(c, "organisation", "name=甲公司", "district_code=120101", NULL);
    assert_int_equal(sx_apply(c), 0);
    struct tz_bytes taken = f->raw;
    sx_expect(&f->res, TZ_OUT_HELD, TZ_E_HELD_REVOKED);
    sx_commit(f);
    assert_int_equal(tz_store_held_full(f->s, f->d1.d.number, &full, &f->err), 0);
    assert_false(full);
    sx_exec(f, "INSERT INTO backlog(device,incarnation,seq,hash,outcome,blocked_by,nops,raw,received_ms,offset_ms)"
               " SELECT device,incarnation,900,x'00',outcome,0,1,zeroblob(67108864-262144),received_ms,offset_ms"
               " FROM backlog");
    assert_int_equal(tz_store_held_full(f->s, f->d1.d.number, &full, &f->err), 0);
    assert_true(full);
    sx_group(f);
    c = sx_begin(&f->d1);
    (void)sx_op_create(c, "organisation", "name=乙公司", "district_code=120101", NULL);
    assert_int_equal(sx_apply(c), TZ_E_HELD_FULL);
    struct tz_bytes rest = f->raw;
    assert_int_equal(sx_apply_raw(&f->d1, taken), 0); /* what is here is still acknowledged */
    sx_expect(&f->res, TZ_OUT_HELD, TZ_E_HELD_REVOKED);
    sx_commit(f);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog"), 2);
    sx_exec(f, "DELETE FROM backlog WHERE seq=900"); /* settled */
    sx_group(f);
    assert_int_equal(sx_apply_raw(&f->d1, rest), 0);
    sx_expect(&f->res, TZ_OUT_HELD, TZ_E_HELD_REVOKED);
    sx_commit(f);
}

static void revoked_device_is_held_and_judged_when_somebody_says_so(void **state)
{
    struct sx *f = *state;
    struct tz_balance b;
    enum tz_outcome o = TZ_OUT_NONE;
    struct tz_id mine = sx_create(&f->d1, "organisation", "name=乙公司", "district_code=120101", NULL);
    struct tz_bytes answered = f->raw;
    sx_group(f);
    assert_int_equal(tz_store_device_revoke(f->s, f->d1.d.number, &f->err), 0);
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id id = sx_op_create(c, "organisation", "name=甲公司", "district_code=120101", NULL);
    assert_int_equal(sx_apply(c), 0);
    struct tz_bytes raw = f->raw;
    sx_expect(&f->res, TZ_OUT_HELD, TZ_E_HELD_REVOKED);
    assert_int_equal(sx_apply_raw(&f->d1, raw), 0); /* twice is once */
    sx_expect(&f->res, TZ_OUT_HELD, TZ_E_HELD_REVOKED);
    assert_int_equal(sx_apply_raw(&f->d1, answered), 0); /* what became of earlier ones is not told */
    sx_expect(&f->res, TZ_OUT_HELD, TZ_E_HELD_REVOKED);
    assert_int_equal(f->res.ver, 0);
    f->d1.seen_seq = f->d1.seq; /* it sees its own saves */
    c = sx_begin(&f->d1);
    sx_op_set(c, "organisation", id, "address=一路", NULL);
    assert_int_equal(sx_apply(c), 0);
    c = sx_begin(&f->d1);
    sx_op_set(c, "organisation", mine, "address=二路", NULL);
    assert_int_equal(sx_apply(c), 0);
    sx_commit(f);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog"), 3);
    assert_null(sx_row(f, "organisation", id));
    assert_int_equal(tz_store_balance(f->s, f->d1.d.number, &b, &f->err), 0);
    assert_int_equal(b.held, 3);
    assert_int_equal(b.missing, 0);
    sx_group(f);
    assert_int_equal(tz_store_backlog_settle(f->s, f->d1.d.number, 0, 2, true, "核对无误", &o, &f->err), 0);
    assert_int_equal(o, TZ_OUT_APPLIED);
    assert_int_equal(tz_store_backlog_settle(f->s, f->d1.d.number, 0, 3, true, "核对无误", &o, &f->err), 0);
    assert_int_equal(o, TZ_OUT_APPLIED);
    assert_int_equal(tz_store_backlog_settle(f->s, f->d1.d.number, 0, 4, false, "有误", &o, &f->err), 0);
    assert_int_equal(o, TZ_OUT_REFUSED);
    assert_int_equal(tz_store_backlog_settle(f->s, f->d1.d.number, 0, 4, true, "", &o, &f->err), TZ_E_NOT_FOUND);
    sx_commit(f);
    sx_text_is(f, "organisation", id, "address", "一路");
    sx_text_is(f, "organisation", mine, "address", "");
    assert_int_equal(tz_store_balance(f->s, f->d1.d.number, &b, &f->err), 0);
    assert_int_equal(b.held, 0);
    assert_int_equal(b.applied, 3);
    assert_int_equal(b.refused, 1);
    sx_group(f);
    assert_int_equal(tz_store_receipt(f->s, f->d1.d.number, 0, true, &f->err), 0);
    c = sx_begin(&f->d1); /* nothing is left in that folder: this is a copy's, for somebody to look at */
    id = sx_op_create(c, "organisation", "name=丙公司", "district_code=120101", NULL);
    assert_int_equal(sx_apply(c), 0);
    sx_expect(&f->res, TZ_OUT_HELD, TZ_E_HELD_REVOKED);
    f->d1.seq = 1; /* under a number that has been judged */
    c = sx_begin(&f->d1);
    sx_op_create(c, "organisation", "name=丁公司", "district_code=120101", NULL);
    assert_int_equal(sx_apply(c), 0);
    sx_expect(&f->res, TZ_OUT_HELD, TZ_E_HELD_REVOKED);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog"), 2);
    assert_int_equal(tz_store_backlog_settle(f->s, f->d1.d.number, 0, 2, true, "", &o, &f->err), TZ_E_COPY_GONE);
    char reason[200] = "x"; /* longer than the log has room for: not cut inside a character */
    for (int i = 0; i < 60; i++)
        memcpy(reason + 1 + 3 * i, "核", 3);
    assert_int_equal(tz_store_backlog_settle(f->s, f->d1.d.number, 0, 2, false, reason, &o, &f->err), 0);
    assert_int_equal(o, TZ_OUT_WITHDRAWN);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM audit WHERE meta LIKE '%reason=x核%核'"), 1);
    sx_commit(f);
    assert_null(sx_row(f, "organisation", id));
    assert_int_equal(tz_store_balance(f->s, f->d1.d.number, &b, &f->err), 0);
    assert_int_equal(b.held, 1);
    assert_int_equal(b.withdrawn, 1);
}

/** A Welcome has room for so many people; the one whose machine it is is among them. */
static void a_device_is_told_of_its_own_user_whoever_else_there_is(void **state)
{
    struct sx *f = *state;
    struct tz_session_user *users = NULL;
    struct tz_arena a;
    struct tz_id id;
    char code[16];
    size_t n = 0;
    bool own = false;
    sx_group(f);
    for (int i = 0; i < TZ_MSG_USERS_MAX; i++) {
        (void)snprintf(code, sizeof code, "a%03d", i);
        assert_int_equal(tz_store_user_add(f->s, code, code, "D_CLERK", "120101", &id, &f->err), 0);
    }
    sx_commit(f);
    tz_arena_init(&a, 64 * 1024 * 1024);
    assert_int_equal(tz_store_users_of(f->s, &f->d1.d, &a, &users, &n, &f->err), 0);
    assert_int_equal(n, TZ_MSG_USERS_MAX);
    for (size_t i = 0; i < n; i++)
        own = own || tz_id_eq(users[i].id, f->d1.user);
    assert_true(own);
    tz_arena_deinit(&a);
}

static void append_records_never_change(void **state)
{
    struct sx *f = *state;
    struct tz_id org = sx_org(f, "甲公司");
    struct tz_id v = sx_create(&f->fi, "visit", sx_ref(f, "org_id", org), sx_ref(f, "by_ref", f->fi.user),
                               "visited_on=2023-11-01", "way=on_site", NULL);
    sx_see(&f->fi);
    sx_refused(sx_set(&f->fi, "visit", v, "note=改", NULL), TZ_E_APPEND_ONLY);
    sx_refused(sx_delete(&f->fi, "visit", v), TZ_E_APPEND_ONLY);
}

static void state_of_a_type_with_events_is_not_set_by_hand(void **state)
{
    struct sx *f = *state;
    struct tz_id b = sx_create(&f->d1, "branch", "name=党支部", "branch_type=branch", "district_code=120101",
                               "established_on=2020", NULL);
    sx_see(&f->d1);
    sx_refused(sx_set(&f->d1, "branch", b, "state=dissolved", NULL), TZ_E_EVENTS_LATER);
}

#define T(name) cmocka_unit_test_setup_teardown(name, sx_setup, sx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(id_of_another_maker_is_refused),
        T(unknown_and_foreign_records_give_the_same_bytes),
        T(unknown_and_foreign_references_give_the_same_bytes),
        T(fields_are_edited_by_the_roles_the_catalogue_names),
        T(types_are_made_by_the_roles_the_catalogue_names),
        T(inspector_shapes_what_he_made_until_it_is_taken_over),
        T(record_outside_the_authors_area_cannot_be_made),
        T(street_grant_reaches_its_street_only),
        T(disabled_user_is_refused_and_the_seq_is_used),
        T(user_of_another_area_may_not_write_from_this_machine),
        T(revoked_device_is_held_and_judged_when_somebody_says_so),
        T(more_than_is_kept_of_a_revoked_device_is_not_answered),
        T(a_device_is_told_of_its_own_user_whoever_else_there_is),
        T(append_records_never_change),
        T(state_of_a_type_with_events_is_not_set_by_hand),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
