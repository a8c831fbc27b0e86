/* SPDX-License-Identifier: Apache-2.0 */
/* What a restore undid, handed in again: proof, the old order, and numbers. Waiting is test_reoffer_wait.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "reoffer_fixture.h"

static struct tz_hlc_pair {
    tz_hlc effective;
    tz_ver old_ver;
} commit_facts(struct sx *f, tz_ver ver)
{
    struct tz_commit c = tz_store_commit_of(f->s, ver);
    return (struct tz_hlc_pair){c.effective, c.old_ver};
}

/* ---- one device ---- */

static void what_was_acknowledged_comes_back_as_it_was(void **state)
{
    struct sx *f = *state;
    sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    struct tz_id id = sx_create(&f->d1, "organisation", "name=乙公司", "district_code=120101", NULL);
    struct kept made = keep(&f->d1);
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "organisation", id, "address=一号", NULL));
    struct kept edited = keep(&f->d1);
    restore_with_window(f, b);
    assert_null(sx_row(f, "organisation", id));
    f->clock.wall.ms += 5000; /* it counts as of then, not as of now */
    greet(&f->d1, f->d1.seq);
    const struct tz_result *r = hand_in(&made);
    sx_applied(r);
    assert_int_equal(r->ver >> TZ_VER_COUNTER_BITS, 2);
    assert_int_equal(r->effective, made.res.effective);
    struct tz_hlc_pair c = commit_facts(f, r->ver);
    assert_int_equal(c.effective, made.res.effective);
    assert_int_equal(c.old_ver, made.res.ver);
    sx_applied(hand_in(&edited));
    sx_text_is(f, "organisation", id, "name", "乙公司");
    sx_text_is(f, "organisation", id, "address", "一号");
    assert_int_equal(sx_query(f, "SELECT count(*) FROM \"case\""), 0);
    struct tz_balance account;
    assert_int_equal(missing(f, &f->d1, &account), 0);
    assert_int_equal(account.applied, 3);
}

static void handing_in_twice_is_once(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    sx_applied(sx_set(&f->d1, "organisation", id, "name=新名称", NULL));
    struct kept k = keep(&f->d1);
    restore_with_window(f, b);
    greet(&f->d1, f->d1.seq);
    tz_ver ver = hand_in(&k)->ver;
    struct tz_bytes first = f->all[0].result;
    uint8_t before[32];
    uint8_t after[32];
    sx_digest(f, before);
    assert_int_equal(hand_in(&k)->ver, ver);
    assert_true(tz_bytes_eq(first, f->all[0].result));
    sx_group(f); /* and as an ordinary resend */
    assert_int_equal(sx_apply_raw(&f->d1, k.raw), 0);
    sx_commit(f);
    assert_true(tz_bytes_eq(first, f->all[0].result));
    sx_digest(f, after);
    assert_memory_equal(before, after, sizeof before);
    /* the new answer is no proof of an old version: the server has it */
    k.was = f->all[0];
    assert_int_equal(hand_in(&k)->ver, ver);
}

static void an_answer_that_proves_nothing_buys_nothing(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    sx_applied(sx_set(&f->d1, "organisation", id, "name=新名称", NULL));
    struct kept k = keep(&f->d1);
    restore_with_window(f, b);
    greet(&f->d1, f->d1.seq);
    uint8_t *mac = tz_arena_dup(&f->a, k.was.mac.p, k.was.mac.n);
    mac[31] ^= 1;
    k.was.mac.p = mac;
    sx_applied(hand_in(&k)); /* like a new one */
    assert_int_equal(commit_facts(f, f->res.ver).old_ver, 0);
    sx_text_is(f, "organisation", id, "name", "新名称");
}

static void another_devices_answer_is_no_proof(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    sx_applied(sx_set(&f->d1, "organisation", id, "name=新名称", NULL));
    struct kept k = keep(&f->d1);
    sx_applied(sx_set(&f->fi, "organisation", id, "address=一号", NULL));
    struct kept other = keep(&f->fi);
    restore_with_window(f, b);
    greet(&f->d1, f->d1.seq);
    k.was = other.was;
    sx_applied(hand_in(&k));
    assert_int_equal(commit_facts(f, f->res.ver).old_ver, 0);
}

static void what_was_refused_stays_refused_and_blocks_as_before(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    sx_refused(sx_set(&f->d1, "organisation", id, "name=", NULL), TZ_E_REQUIRED);
    struct kept k = keep(&f->d1);
    restore_with_window(f, b);
    greet(&f->d1, f->d1.seq);
    sx_refused(hand_in(&k), TZ_E_REQUIRED);
    sx_expect(sx_set(&f->d1, "organisation", id, "name=改正", NULL), TZ_OUT_WAITING, TZ_E_DEPENDS);
    struct tz_balance account;
    assert_int_equal(missing(f, &f->d1, &account), 0);
    assert_int_equal(account.refused, 1);
    assert_int_equal(account.waiting, 1);
}

static void a_number_below_what_came_again_may_still_come(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    sx_applied(sx_set(&f->d1, "organisation", id, "address=一", NULL));
    struct kept first = keep(&f->d1);
    sx_applied(sx_set(&f->d1, "organisation", id, "name=二", NULL));
    struct kept second = keep(&f->d1);
    restore_with_window(f, b);
    greet(&f->d1, f->d1.seq);
    sx_applied(hand_in(&second));
    sx_applied(hand_in(&first));
    sx_text_is(f, "organisation", id, "address", "一");
}

/* ---- the old order ---- */

/** d1 writes, fi sees it and writes over it; both are undone. */
static void two_in_a_row(struct sx *f, struct tz_id id, struct kept *first, struct kept *second)
{
    sx_applied(sx_set(&f->d1, "organisation", id, "name=先写的", NULL));
    *first = keep(&f->d1);
    sx_see(&f->fi);
    sx_applied(sx_set(&f->fi, "organisation", id, "name=后写的", NULL));
    *second = keep(&f->fi);
}

static void a_successor_is_one_in_either_order_of_arrival(void **state)
{
    struct sx *f = *state;
    for (int late = 0; late < 2; late++) {
        char name[32];
        (void)snprintf(name, sizeof name, "公司%d", late);
        struct tz_id id = sx_org(f, name);
        struct tz_memdisk *b = backup(f);
        struct kept first;
        struct kept second;
        two_in_a_row(f, id, &first, &second);
        restore_to(f, b, 2 + (uint32_t)late, f->clock.wall.ms + WINDOW_MS);
        greet(&f->d1, f->d1.seq);
        greet(&f->fi, f->fi.seq);
        sx_applied(hand_in(late ? &second : &first));
        sx_applied(hand_in(late ? &first : &second));
        sx_text_is(f, "organisation", id, "name", "后写的");
        assert_null(sx_case(f, id, "name", 1));
    }
}

static void a_dispute_is_one_in_either_order_of_arrival(void **state)
{
    struct sx *f = *state;
    for (int late = 0; late < 2; late++) {
        char name[32];
        (void)snprintf(name, sizeof name, "公司%d", late);
        struct tz_id id = sx_org(f, name);
        struct tz_memdisk *b = backup(f);
        sx_applied(sx_set(&f->d1, "organisation", id, "name=一方的", NULL));
        struct kept first = keep(&f->d1);
        f->clock.wall.ms += 60000;
        (void)sx_set(&f->fi, "organisation", id, "name=另一方的", NULL);
        struct kept second = keep(&f->fi);
        assert_non_null(sx_case(f, id, "name", 1));
        restore_to(f, b, 2 + (uint32_t)late, f->clock.wall.ms + WINDOW_MS);
        greet(&f->d1, f->d1.seq);
        greet(&f->fi, f->fi.seq);
        assert_int_equal(hand_in(late ? &second : &first)->outcome, late ? second.res.outcome : first.res.outcome);
        assert_int_equal(hand_in(late ? &first : &second)->outcome, late ? first.res.outcome : second.res.outcome);
        sx_text_is(f, "organisation", id, "name", "另一方的");
        const struct tz_row *c = sx_case(f, id, "name", 1);
        assert_non_null(c);
        assert_string_equal(sx_candidate(f, c, 0, "name"), "一方的");
    }
}

static void a_fast_clock_does_not_bring_an_old_value_back(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    struct kept first;
    struct kept second;
    two_in_a_row(f, id, &first, &second);
    restore_with_window(f, b);
    greet(&f->fi, f->fi.seq);
    sx_applied(hand_in(&second));
    f->clock.wall.ms += 3600 * 1000;
    /* of a program that did not yet tell the effective time: by now it would be the later one */
    struct tz_result r = first.res;
    struct tz_buf out;
    r.effective = 0;
    tz_buf_init(&out, 4096);
    assert_int_equal(tz_msg_put_result(&out, &r), 0);
    uint8_t mac[TZ_SHA256_BYTES];
    uint8_t head[4] = {0, 0, 0, (uint8_t)f->d1.d.number};
    struct tz_buf all;
    tz_buf_init(&all, 4096);
    assert_int_equal(tz_buf_put(&all, head, 4), 0);
    assert_int_equal(tz_buf_put(&all, out.p, out.len), 0);
    assert_int_equal(tz_hmac_sha256(tz_bytes_of(f->s->mac_key, 32), tz_buf_unread(&all), mac), 0);
    first.was = (struct tz_signed_result){tz_buf_unread(&out), tz_bytes_of(mac, sizeof mac)};
    greet(&f->d1, f->d1.seq);
    sx_applied(hand_in(&first));
    sx_text_is(f, "organisation", id, "name", "后写的");
    assert_null(sx_case(f, id, "name", 1));
    tz_buf_deinit(&out);
    tz_buf_deinit(&all);
}

static void new_work_on_top_of_what_is_on_its_way_saw_it(void **state)
{
    struct sx *f = *state;
    for (int late = 0; late < 2; late++) {
        char name[32];
        (void)snprintf(name, sizeof name, "公司%d", late);
        struct tz_id id = sx_org(f, name);
        struct tz_memdisk *b = backup(f);
        sx_applied(sx_set(&f->d1, "organisation", id, "name=丢失的名称", NULL));
        struct kept k = keep(&f->d1);
        sx_see(&f->fi); /* and goes on offline */
        restore_to(f, b, 2 + (uint32_t)late, f->clock.wall.ms + WINDOW_MS);
        greet(&f->d1, f->d1.seq);
        greet(&f->fi, f->fi.seq);
        if (!late)
            sx_applied(hand_in(&k));
        sx_applied(sx_set(&f->fi, "organisation", id, "name=离线改的", NULL));
        if (late)
            sx_applied(hand_in(&k));
        sx_text_is(f, "organisation", id, "name", "离线改的");
        assert_null(sx_case(f, id, "name", 1));
    }
}

static void a_deletion_that_had_seen_the_edit_stands(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    sx_applied(sx_set(&f->fi, "organisation", id, "name=先写的", NULL));
    struct kept edit = keep(&f->fi);
    sx_see(&f->d1);
    sx_applied(sx_delete(&f->d1, "organisation", id));
    struct kept gone = keep(&f->d1);
    restore_with_window(f, b);
    greet(&f->d1, f->d1.seq);
    greet(&f->fi, f->fi.seq);
    sx_applied(hand_in(&gone));
    assert_true(sx_deleted(f, "organisation", id));
    sx_applied(hand_in(&edit));
    assert_true(sx_deleted(f, "organisation", id));
    assert_int_equal(sx_query(f, "SELECT count(*) FROM \"case\""), 0);
}

static void an_element_taken_out_by_who_saw_it_stays_out(void **state)
{
    struct sx *f = *state;
    struct tz_id branch = sx_create(&f->d1, "branch", "name=党支部", "branch_type=branch", "district_code=120101",
                                    "established_on=2020", "term_years=3", NULL);
    struct tz_id id = sx_create(&f->d1, "weak_case", sx_ref(f, "branch_id", branch), "year=2017",
                                "categories=support_weak", "plan=一支一策", "due_on=2017-12-31", NULL);
    struct tz_memdisk *b = backup(f);
    const struct tz_bytes el = tz_bytes_str("team_incomplete");
    struct kept k[2];
    for (int i = 0; i < 2; i++) {
        struct sx_dev *d = i ? &f->d1b : &f->d1;
        sx_see(d);
        struct sx_cs *c = sx_begin(d);
        struct tz_op *op = sx_op(c, i ? TZ_OP_REMOVE : TZ_OP_ADD, "weak_case", id);
        op->field = tz_type_field(sx_type(f, "weak_case"), "categories")->id;
        op->elements = &el;
        op->nelements = 1;
        sx_applied(sx_push(c));
        k[i] = keep(d);
    }
    restore_with_window(f, b);
    greet(&f->d1, f->d1.seq);
    greet(&f->d1b, f->d1b.seq);
    (void)hand_in(&k[1]);
    (void)hand_in(&k[0]);
    const struct tz_row *row = sx_row(f, "weak_case", id);
    assert_true(tz_value_is_text(row->rec.v[tz_type_field(row->rec.type, "categories")->index], "[\"support_weak\"]"));
}

/* ---- twice ---- */

/** What was handed in again once has its place in time where it was made, not where it came in again. */
static void after_a_second_restore_the_old_order_is_still_the_old_one(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    struct tz_memdisk *again = tz_memdisk_clone(b);
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "organisation", id, "name=第一", NULL));
    struct kept first = keep(&f->d1);
    sx_see(&f->d1b);
    f->clock.wall.ms += 1000;
    sx_applied(sx_set(&f->d1b, "organisation", id, "name=第二", NULL));
    struct kept second = keep(&f->d1b);
    restore_with_window(f, b);
    greet(&f->d1, f->d1.seq);
    sx_applied(hand_in(&first));
    tz_ver was = first.res.ver;
    first = keep_answer(&first);
    assert_int_equal(first.res.old_ver, was);
    restore_to(f, again, 3, f->clock.wall.ms + WINDOW_MS);
    greet(&f->d1b, f->d1b.seq);
    sx_applied(hand_in(&second));
    greet(&f->d1, f->d1.seq);
    sx_applied(hand_in(&first));
    assert_int_equal(f->res.old_ver, was);
    sx_text_is(f, "organisation", id, "name", "第二");
    assert_int_equal(sx_query(f, "SELECT count(*) FROM \"case\""), 0);
}

/** So has one that was history by then, and wrote nothing. */
static void what_wrote_nothing_the_first_time_writes_nothing_the_second(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    struct tz_memdisk *again = tz_memdisk_clone(b);
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "organisation", id, "name=第一", NULL));
    struct kept first = keep(&f->d1);
    sx_see(&f->d1b);
    f->clock.wall.ms += 1000;
    sx_applied(sx_set(&f->d1b, "organisation", id, "name=第二", NULL));
    struct kept second = keep(&f->d1b);
    for (int i = 0; i < 2; i++) {
        restore_to(f, i ? again : b, 2 + (uint32_t)i, f->clock.wall.ms + WINDOW_MS);
        greet(&f->d1b, f->d1b.seq);
        sx_applied(hand_in(&second));
        second = keep_answer(&second);
        f->clock.wall.ms += 60000;
        greet(&f->d1, f->d1.seq);
        sx_applied(hand_in(&first));
        assert_int_equal(f->res.effective, first.res.effective);
        first = keep_answer(&first);
        sx_text_is(f, "organisation", id, "name", "第二");
    }
    assert_int_equal(sx_query(f, "SELECT count(*) FROM \"case\""), 0);
}

static void a_second_restore_undoes_and_they_come_in_once_more(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    struct kept first;
    struct kept second;
    two_in_a_row(f, id, &first, &second);
    restore_to(f, tz_memdisk_clone(b), 2, f->clock.wall.ms + WINDOW_MS);
    greet(&f->d1, f->d1.seq);
    greet(&f->fi, f->fi.seq);
    (void)hand_in(&second);
    second.was = f->all[0];
    restore_to(f, b, 3, f->clock.wall.ms + WINDOW_MS);
    greet(&f->d1, f->d1.seq);
    greet(&f->fi, f->fi.seq);
    (void)hand_in(&first);
    (void)hand_in(&second);
    sx_text_is(f, "organisation", id, "name", "后写的");
    assert_null(sx_case(f, id, "name", 1));
}

/* ---- numbers and steps ---- */

static struct tz_id item(struct sx_dev *dev, struct tz_id org, const char *number)
{
    struct sx *f = dev->f;
    struct tz_id id =
        sx_create(dev, "ledger_item", "title=消防通道堵塞", "list_type=issue", "source=quarterly_track",
                  "due_on=2024-12-31", "severity=normal", "target_type=organisation", sx_ref(f, "target_id", org),
                  sx_ref(f, "lead_unit", tz_store_fixed_id("unit", tz_bytes_str("GW120101"))), NULL);
    sx_text_is(f, "ledger_item", id, "item_no", number);
    return id;
}

static void numbers_given_since_the_backup_are_kept_and_given_to_nobody_else(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    struct kept opened;
    struct kept assigned;
    sx_join(f, &super, "super", "D_SUPER", "120101");
    struct tz_id org = sx_create(&f->d1, "organisation", "name=甲公司", "kind=enterprise", "subkind=private",
                                 "district_code=120101", "street_code=120101001", NULL);
    struct tz_memdisk *b = backup(f);
    struct tz_id first = item(&f->d1, org, "L2023120101000001");
    opened = keep(&f->d1);
    (void)item(&f->fi2, org, "L2023120101000002");
    struct kept second = keep(&f->fi2);
    sx_see(&super);
    struct sx_cs *c = sx_begin(&super);
    sx_op_event(c, "ledger_item", first, "assign", "opened", 1, "同意", NULL, NULL, NULL);
    sx_applied(sx_push(c));
    assigned = keep(&super);
    tz_hlc at = f->res.effective;
    restore_with_window(f, b);
    (void)item(&f->d1b, org, "L2023120101000003"); /* the journal knows how far they had come */
    greet(&super, super.seq);
    greet(&f->d1, f->d1.seq);
    greet(&f->fi2, f->fi2.seq);
    sx_expect(hand_in(&assigned), TZ_OUT_WAITING, TZ_E_RECOVERING);
    sx_applied(hand_in(&second));
    f->clock.wall.ms += INT64_C(300) * 24 * 3600 * 1000; /* in another year */
    restore_to(f, tz_memdisk_clone(f->disk), 3, f->clock.wall.ms + WINDOW_MS);
    sx_applied(hand_in(&opened));
    assert_int_equal(f->res.ops[0].ngiven, 1);
    sx_text_is(f, "ledger_item", first, "item_no", "L2023120101000001");
    release_all(f);
    sx_text_is(f, "ledger_item", first, "state", "assigned");
    sx_applied(hand_in(&assigned));
    assert_int_equal(f->res.effective, at);
    assert_int_equal(sx_query(f, "SELECT count(DISTINCT item_no) FROM ledger_item"), 3);
    assert_int_equal(sx_query(f, "SELECT max(received_at)-min(received_at)<1000 FROM ledger_event"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_was_acknowledged_comes_back_as_it_was),
        T(handing_in_twice_is_once),
        T(an_answer_that_proves_nothing_buys_nothing),
        T(another_devices_answer_is_no_proof),
        T(what_was_refused_stays_refused_and_blocks_as_before),
        T(a_number_below_what_came_again_may_still_come),
        T(a_successor_is_one_in_either_order_of_arrival),
        T(a_dispute_is_one_in_either_order_of_arrival),
        T(a_fast_clock_does_not_bring_an_old_value_back),
        T(new_work_on_top_of_what_is_on_its_way_saw_it),
        T(a_deletion_that_had_seen_the_edit_stands),
        T(an_element_taken_out_by_who_saw_it_stays_out),
        T(after_a_second_restore_the_old_order_is_still_the_old_one),
        T(what_wrote_nothing_the_first_time_writes_nothing_the_second),
        T(numbers_given_since_the_backup_are_kept_and_given_to_nobody_else),
        T(a_second_restore_undoes_and_they_come_in_once_more),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
