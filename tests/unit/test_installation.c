/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of a device's folder: found out, numbered, and what they made comes in once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "restore_fixture.h"

static const uint8_t TOKEN[2][TZ_ID_BYTES] = {"first copy 1234", "second copy 123"};

static uint32_t renumber(struct sx *f, const struct sx_dev *d, int token, uint64_t fork_seq)
{
    uint32_t incarnation = 0;
    sx_group(f);
    assert_int_equal(tz_store_renumber(f->s, d->d.number, d->d.incarnation, tz_bytes_of(TOKEN[token], TZ_ID_BYTES),
                                       fork_seq, &incarnation, &f->err),
                     0);
    sx_commit(f);
    return incarnation;
}

static struct tz_bytes hash_of(struct sx *f, struct tz_bytes raw)
{
    uint8_t hash[TZ_HASH_BYTES];
    assert_int_equal(tz_sha256(raw, hash), 0);
    return tz_bytes_of(tz_arena_dup(&f->a, hash, sizeof hash), sizeof hash);
}

static void adds_up(struct sx *f, const struct sx_dev *d, uint64_t ops)
{
    struct tz_balance b;
    assert_int_equal(tz_store_balance(f->s, d->d.number, &b, &f->err), 0);
    assert_int_equal(b.missing, 0);
    assert_int_equal(b.applied + b.superseded + b.refused + b.waiting + b.held + b.under_review + b.withdrawn, ops);
}

struct got {
    uint32_t device;
    uint64_t ops;
};
static void on_received(void *ctx, const struct tz_received *r)
{
    struct got *g = ctx;
    if (r->device == g->device)
        g->ops = r->ops;
}

static uint64_t received(struct sx *f, const struct sx_dev *d)
{
    struct got g = {d->d.number, 0};
    assert_int_equal(tz_store_received(f->s, on_received, &g, &f->err), 0);
    return g.ops;
}

static void what_a_copy_made_comes_in_once_under_its_own_numbers(void **state)
{
    struct sx *f = *state;
    sx_org(f, "甲公司"); /* 1: before it was copied */
    struct sx_dev copy = f->d1;
    struct sx_dev copy_of_copy;
    sx_create(&f->d1, "organisation", "name=原机", "district_code=120101", NULL); /* 2 */
    struct sx_cs *c = sx_begin(&copy);
    struct tz_id id = sx_op_create(c, "organisation", "name=副本", "district_code=120101", NULL);
    struct tz_changeset made = c->cs;
    sx_expect(sx_push(c), TZ_OUT_HELD, TZ_E_FORKED);
    struct tz_bytes former = hash_of(f, f->raw);
    adds_up(f, &f->d1, 3);
    copy_of_copy = copy;

    assert_int_equal(renumber(f, &copy, 0, 1), 2);
    assert_int_equal(renumber(f, &copy, 0, 1), 2); /* the answer was lost: asked again */
    copy.d.incarnation = 2;
    copy.seq = 1;
    copy.former = former;
    c = sx_begin(&copy);
    assert_int_equal(c->cs.seq, 2);
    sx_op_create_as(c, id, "organisation", "name=副本", "district_code=120101", NULL);
    c->cs.hlc = made.hlc;
    sx_applied(sx_push(c));
    tz_ver ver = f->res.ver;
    assert_non_null(sx_row(f, "organisation", id));
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog"), 0);
    adds_up(f, &f->d1, 3);
    assert_int_equal(received(f, &f->d1), 3);

    /* another copy of the copy brings the same save: it is there */
    copy_of_copy.seq = 1;
    assert_int_equal(renumber(f, &copy_of_copy, 1, 1), 3);
    copy_of_copy.d.incarnation = 3;
    copy_of_copy.former = former;
    c = sx_begin(&copy_of_copy);
    sx_op_create_as(c, id, "organisation", "name=副本", "district_code=120101", NULL);
    sx_applied(sx_push(c));
    assert_int_equal(f->res.ver, ver);
    assert_int_equal(f->res.incarnation, 3);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM organisation WHERE name='副本'"), 1);
    adds_up(f, &f->d1, 3);
    assert_int_equal(received(f, &f->d1), 3);
    /* all three go on */
    copy.former = copy_of_copy.former = (struct tz_bytes){0};
    sx_applied(sx_set(&f->d1, "organisation", id, "address=一", NULL));
    sx_applied(sx_set(&copy, "organisation", id, "address=二", NULL));
}

static void a_session_in_which_a_copy_was_found_uses_up_no_more_numbers(void **state)
{
    struct sx *f = *state;
    sx_org(f, "甲公司");
    struct sx_dev copy = f->d1;
    copy.session = 77;
    sx_create(&f->d1, "organisation", "name=原机", "district_code=120101", NULL); /* 2 */
    for (int i = 0; i < 2; i++) {
        struct sx_cs *c = sx_begin(&copy); /* 2, which is another's; 3, which nobody has yet */
        sx_op_create(c, "organisation", i ? "name=副本二" : "name=副本一", "district_code=120101", NULL);
        sx_expect(sx_push(c), TZ_OUT_HELD, TZ_E_FORKED);
    }
    sx_create(&f->d1, "organisation", "name=原机二", "district_code=120101", NULL); /* 3 is still its own */
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog WHERE outcome=5"), 2);
    assert_int_equal(sx_query(f, "SELECT max(last_seq) FROM device"), 3);
}

static void what_the_other_machine_did_was_not_seen_and_the_shared_history_was(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");                                    /* 1 */
    sx_applied(sx_set(&f->d1, "organisation", id, "address=复制之前", NULL)); /* 2 */
    struct sx_dev copy = f->d1;
    copy.seen_seq = f->d1.seen_seq = 2;                                    /* both had their own save on the screen */
    sx_applied(sx_set(&f->d1, "organisation", id, "name=原机改的", NULL)); /* 3 */
    assert_int_equal(renumber(f, &copy, 0, 2), 2);
    copy.d.incarnation = 2;
    sx_applied(sx_set(&copy, "organisation", id, "address=副本接着改", NULL)); /* its 3 */
    assert_null(sx_case(f, id, "address", 1));
    copy.seen_seq = 3;
    (void)sx_set(&copy, "organisation", id, "name=副本改的", NULL); /* its 4: the other one's 3 is not its own */
    assert_non_null(sx_case(f, id, "name", 1));
}

static void of_a_copy_of_a_copy_all_that_came_before_is_own_history(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");                                        /* 1 */
    sx_applied(sx_set(&f->d1, "organisation", id, "address=两次复制之前", NULL)); /* 2 */
    struct sx_dev copy = f->d1;
    sx_applied(sx_set(&f->d1, "organisation", id, "street_code=120101001", NULL)); /* 3: of the first alone */
    assert_int_equal(renumber(f, &copy, 0, 2), 2);
    copy.d.incarnation = 2;
    sx_applied(sx_set(&copy, "organisation", id, "name=副本改的", NULL)); /* its 3 */
    struct sx_dev again = copy;
    assert_int_equal(renumber(f, &again, 1, 3), 3);
    again.d.incarnation = 3;
    again.seen_seq = 3;
    sx_applied(sx_set(&again, "organisation", id, "address=第二个副本接着改", "name=第二个副本改的", NULL)); /* its 4 */
    assert_null(sx_case(f, id, "address", 1));
    assert_null(sx_case(f, id, "name", 1));
    (void)sx_set(&again, "organisation", id, "street_code=120101002", NULL);
    assert_non_null(sx_case(f, id, "street_code", 1));
}

/** A copy and a copy of it, each with the same save, which the first machine's stands in the way of. */
static struct tz_bytes two_copies(struct sx *f, struct tz_id id, struct sx_dev *copy, struct sx_dev *again)
{
    *copy = f->d1;
    sx_create(&f->d1, "organisation", "name=原机", "district_code=120101", NULL);
    struct sx_cs *c = sx_begin(copy);
    sx_op_set(c, "organisation", id, "name=改正", NULL);
    uint64_t seq = c->cs.seq;
    sx_expect(sx_push(c), TZ_OUT_HELD, TZ_E_FORKED);
    struct tz_bytes former = hash_of(f, f->raw);
    *again = *copy;
    assert_int_equal(renumber(f, copy, 0, seq - 1), 2);
    assert_int_equal(renumber(f, again, 1, seq - 1), 3);
    copy->d.incarnation = 2;
    again->d.incarnation = 3;
    copy->seq = again->seq = seq - 1;
    copy->former = again->former = former;
    return former;
}

static void what_waits_for_one_copy_waits_for_the_other_and_each_may_take_its_own_back(void **state)
{
    struct sx *f = *state;
    struct sx_dev copy;
    struct sx_dev again;
    struct tz_id id = sx_org(f, "甲公司");
    sx_refused(sx_set(&f->d1, "organisation", id, "name=", NULL), TZ_E_REQUIRED); /* 2, shared by all */
    (void)two_copies(f, id, &copy, &again);
    sx_expect(sx_set(&copy, "organisation", id, "name=改正", NULL), TZ_OUT_WAITING, TZ_E_DEPENDS);  /* its 3 */
    sx_expect(sx_set(&again, "organisation", id, "name=改正", NULL), TZ_OUT_WAITING, TZ_E_DEPENDS); /* the same save */
    copy.former = again.former = (struct tz_bytes){0};
    sx_applied(sx_withdraw(&copy, 3)); /* the first copy's own words: the other one still stands by them */
    assert_int_equal(sx_query(f, "SELECT outcome FROM result WHERE incarnation=2 AND seq=3"), TZ_OUT_WITHDRAWN);
    assert_int_equal(sx_query(f, "SELECT outcome FROM result WHERE incarnation=3 AND seq=3"), TZ_OUT_WAITING);
    sx_applied(sx_withdraw(&again, 2));
    assert_int_equal(sx_query(f, "SELECT outcome FROM result WHERE incarnation=3 AND seq=3"), TZ_OUT_APPLIED);
    sx_text_is(f, "organisation", id, "name", "改正");
    adds_up(f, &f->d1, 7);
    assert_int_equal(received(f, &f->d1), 7);
}

static void of_two_that_wait_with_one_save_the_second_gets_the_answer_of_the_first(void **state)
{
    struct sx *f = *state;
    struct sx_dev copy;
    struct sx_dev again;
    struct tz_id id = sx_org(f, "甲公司");
    sx_refused(sx_set(&f->d1, "organisation", id, "name=", NULL), TZ_E_REQUIRED);
    (void)two_copies(f, id, &copy, &again);
    sx_expect(sx_set(&copy, "organisation", id, "name=改正", NULL), TZ_OUT_WAITING, TZ_E_DEPENDS);
    sx_expect(sx_set(&again, "organisation", id, "name=改正", NULL), TZ_OUT_WAITING, TZ_E_DEPENDS);
    again.former = (struct tz_bytes){0};
    sx_applied(sx_withdraw(&again, 2));
    tz_ver ver = (tz_ver)sx_query(f, "SELECT ver FROM result WHERE incarnation=2 AND seq=3");
    assert_int_not_equal(ver, 0);
    assert_int_equal(sx_query(f, "SELECT ver FROM result WHERE incarnation=3 AND seq=3"), ver);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog"), 0);
    adds_up(f, &f->d1, 5);
    assert_int_equal(received(f, &f->d1), 5);
}

static void what_one_copy_took_back_before_it_came_in_is_not_taken_from_the_other(void **state)
{
    struct sx *f = *state;
    struct sx_dev copy;
    struct sx_dev again;
    struct tz_id id = sx_org(f, "甲公司");
    (void)two_copies(f, id, &copy, &again);
    struct sx_cs *c = sx_begin(&copy); /* its 2: emptied, as a client does it */
    c->ops[0] = (struct tz_op){.kind = TZ_OP_WITHDRAW, .target_seq = 2};
    c->cs.ops = c->ops;
    c->cs.nops = 1;
    sx_applied(sx_push(c));
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog"), 0);
    sx_text_is(f, "organisation", id, "name", "甲公司");
    sx_applied(sx_set(&again, "organisation", id, "name=改正", NULL));
    sx_text_is(f, "organisation", id, "name", "改正");
}

static void only_the_shared_history_blocks_a_copy(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_id other = sx_org(f, "乙公司");                                     /* 2 */
    sx_refused(sx_set(&f->d1, "organisation", id, "name=", NULL), TZ_E_REQUIRED); /* 3, shared */
    struct sx_dev copy = f->d1;
    sx_refused(sx_set(&f->d1, "organisation", other, "name=", NULL), TZ_E_REQUIRED); /* 4, the original's own */
    assert_int_equal(renumber(f, &copy, 0, 3), 2);
    copy.d.incarnation = 2;
    sx_expect(sx_set(&copy, "organisation", id, "name=改正", NULL), TZ_OUT_WAITING, TZ_E_DEPENDS); /* its 4 */
    assert_int_equal(f->res.blocked_by, 3);
    sx_applied(sx_set(&copy, "organisation", other, "name=乙有限公司", NULL)); /* its 5 */
    sx_applied(sx_withdraw(&copy, 3));                                         /* its 6 takes the shared one back */
    sx_text_is(f, "organisation", id, "name", "改正");
}

/** Neither has seen what the other says: both words stay in the case. */
static void words_of_two_copies_stand_side_by_side_in_a_case(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司"); /* 1 */
    struct sx_dev copy = f->d1;
    assert_int_equal(renumber(f, &copy, 0, 1), 2);
    copy.d.incarnation = 2;
    sx_see(&f->d1);
    sx_see(&copy);
    sx_see(&f->fi);
    (void)sx_set(&f->d1, "organisation", id, "address=原机", NULL);
    (void)sx_set(&copy, "organisation", id, "address=副本", NULL);
    f->clock.wall.ms += 60000;
    (void)sx_set(&f->fi, "organisation", id, "address=外勤", NULL);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM \"case\" WHERE state='open'"), 1);
    assert_int_equal(sx_query(f, "SELECT json_array_length(candidates) FROM \"case\""), 2);
}

static void an_installation_of_which_nobody_knows_is_refused(void **state)
{
    struct sx *f = *state;
    uint32_t out = 0;
    sx_org(f, "甲公司");
    f->d1.d.incarnation = 2;
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op_create(c, "organisation", "name=乙公司", "district_code=120101", NULL);
    sx_group(f);
    assert_int_equal(sx_apply(c), TZ_E_PROTOCOL);
    assert_int_equal(tz_store_renumber(f->s, f->d1.d.number, 2, tz_bytes_of(TOKEN[0], TZ_ID_BYTES), 1, &out, &f->err),
                     TZ_E_REVOKED);
    assert_int_equal(tz_store_renumber(f->s, f->d1.d.number, 1, tz_bytes_of(TOKEN[0], 3), 1, &out, &f->err),
                     TZ_E_PROTOCOL);
    tz_store_group_rollback(f->s);
    f->d1.d.incarnation = 1;
    (void)renumber(f, &f->d1, 0, 1);
    sx_group(f); /* another device's token */
    assert_int_equal(tz_store_renumber(f->s, f->d2.d.number, 1, tz_bytes_of(TOKEN[0], TZ_ID_BYTES), 1, &out, &f->err),
                     TZ_E_PROTOCOL);
    tz_store_group_rollback(f->s);
}

static void a_restore_gives_no_incarnation_twice(void **state)
{
    struct sx *f = *state;
    sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    struct sx_dev copy = f->d1;
    assert_int_equal(renumber(f, &copy, 0, 1), 2);
    copy.d.incarnation = 2;
    sx_create(&copy, "organisation", "name=副本", "district_code=120101", NULL); /* its 2 */
    restore_to(f, b, 2, f->clock.wall.ms + 1000);
    struct tz_device d;
    assert_int_equal(tz_store_device_by_number(f->s, f->d1.d.number, &d, &f->err), 1);
    assert_int_equal(tz_store_installation(f->s, &d, 2, &f->err), 1);
    assert_int_equal(d.fork_seq, 1);
    assert_int_equal(d.last_seq, 1);
    assert_int_equal(renumber(f, &f->d1, 1, 1), 3);
    copy.seq = 1;
    sx_create(&copy, "organisation", "name=副本", "district_code=120101", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_a_copy_made_comes_in_once_under_its_own_numbers),
        T(a_session_in_which_a_copy_was_found_uses_up_no_more_numbers),
        T(what_the_other_machine_did_was_not_seen_and_the_shared_history_was),
        T(of_a_copy_of_a_copy_all_that_came_before_is_own_history),
        T(what_waits_for_one_copy_waits_for_the_other_and_each_may_take_its_own_back),
        T(of_two_that_wait_with_one_save_the_second_gets_the_answer_of_the_first),
        T(what_one_copy_took_back_before_it_came_in_is_not_taken_from_the_other),
        T(only_the_shared_history_blocks_a_copy),
        T(words_of_two_copies_stand_side_by_side_in_a_case),
        T(an_installation_of_which_nobody_knows_is_refused),
        T(a_restore_gives_no_incarnation_twice),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
