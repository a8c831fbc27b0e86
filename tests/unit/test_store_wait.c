/* SPDX-License-Identifier: Apache-2.0 */
/* The central store: what waits for what, what frees it, and what of it is accounted for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_fixture.h"

#include <stdio.h>
#include <string.h>

enum { DAY_MS = 86400000 };

/** CREATE that is refused, then a SET of it that waits. Returns the seq of the CREATE. */
static uint64_t refused_and_waiting(struct sx *f, struct tz_id *id)
{
    struct sx_cs *c = sx_begin(&f->d1);
    *id = sx_op_create(c, "organisation", "name=甲公司", "district_code=120102", NULL);
    sx_refused(sx_push(c), TZ_E_AREA);
    const struct tz_result *r = sx_set(&f->d1, "organisation", *id, "address=一路", NULL);
    sx_expect(r, TZ_OUT_WAITING, TZ_E_DEPENDS);
    assert_int_equal(r->blocked_by, c->cs.seq);
    assert_int_equal(r->ops[0].outcome, TZ_OUT_WAITING);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog"), 1);
    return c->cs.seq;
}

static void mended_create_releases_what_waits_for_it(void **state)
{
    struct sx *f = *state;
    struct tz_id id;
    refused_and_waiting(f, &id);
    struct tz_id other = sx_create(&f->d1, "organisation", "name=乙", "district_code=120101", NULL); /* not delayed */
    assert_non_null(sx_row(f, "organisation", other));
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op_create_as(c, id, "organisation", "name=甲公司", "district_code=120101", NULL);
    sx_applied(sx_push(c));
    assert_int_equal(f->nall, 2);
    struct tz_result released;
    assert_int_equal(tz_msg_read_result(f->all[1].result, &f->a, &released, &f->err), 0);
    sx_expect(&released, TZ_OUT_APPLIED, 0);
    assert_int_equal(released.seq, 2);
    sx_text_is(f, "organisation", id, "address", "一路");
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog"), 0);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM blocked"), 0);
}

static void withdrawn_cause_lets_waiters_be_judged(void **state)
{
    struct sx *f = *state;
    struct tz_id id;
    uint64_t seq = refused_and_waiting(f, &id);
    sx_applied(sx_withdraw(&f->d1, seq));
    assert_int_equal(f->nall, 2);
    struct tz_result released;
    assert_int_equal(tz_msg_read_result(f->all[1].result, &f->a, &released, &f->err), 0);
    sx_expect(&released, TZ_OUT_REFUSED, TZ_E_UNKNOWN_RECORD); /* the record never came to be */
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog"), 0);
}

static void withdrawn_waiter_ends_as_withdrawn(void **state)
{
    struct sx *f = *state;
    struct tz_id id;
    struct tz_balance b;
    refused_and_waiting(f, &id);
    struct tz_bytes raw = f->raw;
    sx_applied(sx_withdraw(&f->d1, 2));
    struct tz_result r;
    assert_int_equal(f->nall, 2);
    assert_int_equal(tz_msg_read_result(f->all[1].result, &f->a, &r, &f->err), 0);
    sx_expect(&r, TZ_OUT_WITHDRAWN, TZ_E_WITHDRAWN);
    assert_int_equal(r.ops[0].outcome, TZ_OUT_WITHDRAWN);
    sx_group(f); /* sent again: the same answer */
    assert_int_equal(sx_apply_raw(&f->d1, raw), 0);
    sx_commit(f);
    sx_expect(&f->res, TZ_OUT_WITHDRAWN, TZ_E_WITHDRAWN);
    assert_int_equal(tz_store_balance(f->s, f->d1.d.number, &b, &f->err), 0);
    assert_int_equal(b.withdrawn, 1);
    assert_int_equal(b.waiting, 0);
    assert_int_equal(b.refused, 1);
    assert_int_equal(b.applied, 1);
    assert_int_equal(b.changesets, 3);
}

static void withdrawal_in_a_refused_save_does_not_happen(void **state)
{
    struct sx *f = *state;
    struct tz_id id;
    refused_and_waiting(f, &id);
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op_withdraw(c, 2);
    sx_op_create(c, "organisation", "name=丁", "district_code=120102", NULL);
    sx_refused(sx_push(c), TZ_E_AREA);
    assert_int_equal(f->nall, 1);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog"), 1);
    uint64_t entries = 0;
    assert_int_equal(tz_store_audit_check(f->s, &entries, &f->err), 0);
}

static void same_field_waits_and_another_field_does_not(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_refused(sx_set(&f->d1, "organisation", id, "decoupled_on=2020", NULL), TZ_E_NO_RIGHT_FIELD);
    sx_expect(sx_set(&f->d1, "organisation", id, "decoupled_on=2021", NULL), TZ_OUT_WAITING, TZ_E_DEPENDS);
    sx_applied(sx_set(&f->d1, "organisation", id, "address=一路", NULL));
    sx_applied(sx_set(&f->d1b, "organisation", id, "grid_no=3", NULL)); /* other devices never wait */
}

static void child_of_a_refused_create_waits_and_so_does_its_child(void **state)
{
    struct sx *f = *state;
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id org = sx_op_create(c, "organisation", "name=甲公司", "district_code=120102", NULL);
    sx_refused(sx_push(c), TZ_E_AREA);
    c = sx_begin(&f->d1);
    struct tz_id cov = sx_op_create(c, "coverage", sx_ref(f, "org_id", org), "mode=own", "since=2023-01-01", NULL);
    sx_expect(sx_push(c), TZ_OUT_WAITING, TZ_E_DEPENDS);
    sx_expect(sx_set(&f->d1, "coverage", cov, "basis=文", NULL), TZ_OUT_WAITING, TZ_E_DEPENDS);
    c = sx_begin(&f->d1);
    sx_op_create_as(c, org, "organisation", "name=甲公司", "district_code=120101", NULL);
    sx_applied(sx_push(c));
    assert_int_equal(f->nall, 3);
    sx_text_is(f, "coverage", cov, "basis", "文");
}

static void released_mend_releases_earlier_waiters_too(void **state)
{
    struct sx *f = *state;
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id site =
        sx_op_create(c, "site", "name=园", "site_type=park", "level=district", "street_code=120102001", NULL);
    sx_refused(sx_push(c), TZ_E_AREA); /* 1 */
    c = sx_begin(&f->d1);
    struct tz_id org = sx_op_create(c, "organisation", "name=甲", "district_code=120102", NULL);
    sx_refused(sx_push(c), TZ_E_AREA);                                                                  /* 2 */
    sx_expect(sx_set(&f->d1, "organisation", org, "address=一路", NULL), TZ_OUT_WAITING, TZ_E_DEPENDS); /* 3 on 2 */
    c = sx_begin(&f->d1); /* 4 mends 2 but waits for 1 */
    sx_op_create_as(c, org, "organisation", "name=甲", "district_code=120101", sx_ref(f, "site_id", site), NULL);
    sx_expect(sx_push(c), TZ_OUT_WAITING, TZ_E_DEPENDS);
    c = sx_begin(&f->d1); /* 5 mends 1: releases 4, which releases 3 */
    sx_op_create_as(c, site, "site", "name=园", "site_type=park", "level=district", "street_code=120101001", NULL);
    sx_applied(sx_push(c));
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog"), 0);
    sx_text_is(f, "organisation", org, "address", "一路");
}

static void withdrawal_in_a_save_put_aside_happens_when_it_is_judged(void **state)
{
    struct sx *f = *state;
    struct tz_id id;
    refused_and_waiting(f, &id); /* 1 refused, 2 waiting */
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id other = sx_op_create(c, "organisation", "name=乙", "district_code=120102", NULL);
    sx_refused(sx_push(c), TZ_E_AREA); /* 3 */
    c = sx_begin(&f->d1);
    sx_op_withdraw(c, 2);
    sx_op_set(c, "organisation", other, "address=二路", NULL);
    sx_expect(sx_push(c), TZ_OUT_WAITING, TZ_E_DEPENDS); /* 4 on 3 */
    assert_int_equal(f->nall, 1);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog"), 2);
    c = sx_begin(&f->d1);
    sx_op_create_as(c, other, "organisation", "name=乙", "district_code=120101", NULL);
    sx_applied(sx_push(c)); /* 5 mends 3 */
    struct tz_result r;
    assert_int_equal(f->nall, 3);
    assert_int_equal(tz_msg_read_result(f->all[1].result, &f->a, &r, &f->err), 0);
    sx_expect(&r, TZ_OUT_APPLIED, 0);
    assert_int_equal(r.seq, 4);
    assert_int_equal(tz_msg_read_result(f->all[2].result, &f->a, &r, &f->err), 0);
    sx_expect(&r, TZ_OUT_WITHDRAWN, TZ_E_WITHDRAWN);
    assert_int_equal(r.seq, 2);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog"), 0);
    sx_text_is(f, "organisation", other, "address", "二路");
}

static void waiters_of_any_number_and_size_need_little_memory(void **state)
{
    struct sx *f = *state;
    enum { WAITERS = 100 };
    static char text[60000];
    struct tz_id id;
    memset(text, 'x', sizeof text - 1);
    memcpy(text, "former_names=", 13);
    refused_and_waiting(f, &id);
    for (int i = 0; i < WAITERS; i++)
        sx_expect(sx_set(&f->d1, "organisation", id, text, NULL), TZ_OUT_WAITING, TZ_E_DEPENDS);
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op_create_as(c, id, "organisation", "name=甲", "district_code=120101", NULL);
    struct tz_buf b;
    struct tz_arena small;
    struct tz_apply_out out;
    struct tz_apply_ctx ctx = {.device = f->d1.d.number, .received = f->clock.wall};
    tz_buf_init(&b, TZ_CHANGESET_BYTES_MAX);
    tz_arena_init(&small, 1024 * 1024);
    assert_int_equal(tz_msg_put_changeset(&b, &c->cs), 0);
    sx_group(f);
    assert_int_equal(tz_store_apply(f->s, &ctx, tz_buf_unread(&b), &small, &out, &f->err), 0);
    sx_commit(f);
    assert_int_equal(out.n, WAITERS + 2);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog"), 0);
    tz_arena_deinit(&small);
    tz_buf_deinit(&b);
}

/** @n saves that wait for the CREATE of a record, which was refused. Returns its id. */
static struct tz_id crowd_of_waiters(struct sx *f, int n)
{
    struct tz_id id;
    refused_and_waiting(f, &id);
    for (int i = 1; i < n; i++)
        sx_expect(sx_set(&f->d1, "organisation", id, "address=一路", NULL), TZ_OUT_WAITING, TZ_E_DEPENDS);
    return id;
}

static void freed_saves_of_a_device_that_is_gone_are_judged_all_the_same(void **state)
{
    struct sx *f = *state;
    struct tz_apply_out out;
    uint32_t device = 0;
    size_t results = 0;
    int calls = 0;
    struct tz_id id = crowd_of_waiters(f, 600);
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op_create_as(c, id, "organisation", "name=甲公司", "district_code=120101", NULL);
    sx_applied(sx_push(c));
    int64_t left = sx_query(f, "SELECT count(*) FROM backlog");
    assert_in_range(left, 1, 599); /* more than one call judges */
    assert_true(tz_store_release_left(f->s));
    sx_group(f);
    assert_int_equal(tz_store_device_revoke(f->s, f->d1.d.number, &f->err), 0);
    sx_commit(f);
    sx_reopen(f); /* nothing of it depends on what the process remembers */
    while (tz_store_release_left(f->s) && calls++ < 10) {
        sx_group(f);
        assert_int_equal(tz_store_release(f->s, &f->a, &device, &out, &f->err), 0);
        sx_commit(f);
        assert_true(device == f->d1.d.number || out.n == 0);
        results += out.n;
    }
    assert_in_range(calls, 2, 9);
    assert_int_equal(results, left);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog"), 0);
    sx_text_is(f, "organisation", id, "address", "一路");
}

static void one_push_frees_no_more_than_one_budget(void **state)
{
    struct sx *f = *state;
    struct tz_apply_out out;
    struct tz_release_budget budget = {0};
    struct tz_id id[2];
    size_t judged = 0;
    id[0] = crowd_of_waiters(f, 200);
    struct sx_cs *c = sx_begin(&f->d1);
    id[1] = sx_op_create(c, "organisation", "name=乙公司", "district_code=120102", NULL);
    sx_refused(sx_push(c), TZ_E_AREA);
    for (int i = 0; i < 200; i++)
        sx_expect(sx_set(&f->d1, "organisation", id[1], "address=二路", NULL), TZ_OUT_WAITING, TZ_E_DEPENDS);
    sx_group(f);
    for (int i = 0; i < 2; i++) {
        struct tz_apply_ctx ctx = {.device = f->d1.d.number, .received = f->clock.wall, .budget = &budget};
        struct tz_buf b;
        c = sx_begin(&f->d1);
        sx_op_create_as(c, id[i], "organisation", "name=丙", "district_code=120101", NULL);
        tz_buf_init(&b, TZ_CHANGESET_BYTES_MAX);
        assert_int_equal(tz_msg_put_changeset(&b, &c->cs), 0);
        struct tz_bytes raw = tz_buf_unread(&b);
        raw.p = tz_arena_dup(&f->a, raw.p, raw.n);
        tz_buf_deinit(&b);
        assert_int_equal(tz_store_apply(f->s, &ctx, raw, &f->a, &out, &f->err), 0);
        judged += out.n - 1;
    }
    sx_commit(f);
    assert_int_equal(judged, 256);
    assert_int_equal(judged, budget.judged);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog"), 400 - 256);
}

static void second_create_of_a_record_that_exists_blocks_nobody(void **state)
{
    struct sx *f = *state;
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id site =
        sx_op_create(c, "site", "name=园", "site_type=park", "level=district", "street_code=120102001", NULL);
    sx_refused(sx_push(c), TZ_E_AREA); /* 1 */
    c = sx_begin(&f->d1);              /* 2 makes the record, but waits for 1 */
    struct tz_id org =
        sx_op_create(c, "organisation", "name=甲", "district_code=120101", sx_ref(f, "site_id", site), NULL);
    sx_expect(sx_push(c), TZ_OUT_WAITING, TZ_E_DEPENDS);
    c = sx_begin(&f->d1); /* 3 makes it without the site */
    sx_op_create_as(c, org, "organisation", "name=甲", "district_code=120101", NULL);
    sx_applied(sx_push(c));
    c = sx_begin(&f->d1); /* 4 mends 1: 2 is judged, and is the second CREATE of one id */
    sx_op_create_as(c, site, "site", "name=园", "site_type=park", "level=district", "street_code=120101001", NULL);
    sx_applied(sx_push(c));
    struct tz_result r;
    assert_int_equal(f->nall, 2);
    assert_int_equal(tz_msg_read_result(f->all[1].result, &f->a, &r, &f->err), 0);
    sx_expect(&r, TZ_OUT_REFUSED, TZ_E_EXISTS);
    sx_applied(sx_set(&f->d1, "organisation", org, "address=一路", NULL));
}

struct handed {
    uint32_t device;
    uint64_t ops;
};

static void note_received(void *ctx, const struct tz_received *r)
{
    struct handed *h = ctx;
    if (r->device == h->device)
        h->ops = r->ops;
}

/** What the log and the backlog hold of D1 is what the results account for. */
static void accounts_agree(struct sx *f, uint64_t ops)
{
    struct tz_balance b;
    struct handed h = {.device = f->d1.d.number};
    assert_int_equal(tz_store_received(f->s, note_received, &h, &f->err), 0);
    assert_int_equal(tz_store_balance(f->s, f->d1.d.number, &b, &f->err), 0);
    assert_int_equal(h.ops, ops);
    assert_int_equal(b.applied + b.superseded + b.refused + b.waiting + b.held + b.under_review + b.withdrawn, ops);
}

static void saves_that_wait_and_are_taken_back_are_accounted_for(void **state)
{
    struct sx *f = *state;
    struct tz_id id;
    refused_and_waiting(f, &id);
    accounts_agree(f, 2);
    sx_applied(sx_withdraw(&f->d1, 2));
    accounts_agree(f, 3);
    assert_int_equal(sx_query(f, "SELECT length(body)>0 FROM audit JOIN audit_body USING(n)" /* its words are kept */
                                 " WHERE meta LIKE '% seq=2 outcome=7 %'"),
                     1);
}

static void save_that_waits_names_what_it_waits_for_now(void **state)
{
    struct sx *f = *state;
    struct tz_result r;
    struct tz_id one = sx_create(&f->d1, "organisation", "name=甲", "district_code=120101", NULL);
    sx_see(&f->d1);
    sx_refused(sx_set(&f->d1, "organisation", one, "decoupled_on=2020", NULL), TZ_E_NO_RIGHT_FIELD); /* 2 */
    sx_expect(sx_set(&f->d1, "organisation", one, "decoupled_on=2021", NULL), TZ_OUT_WAITING,
              TZ_E_DEPENDS); /* 3 on 2 */
    sx_expect(sx_set(&f->d1, "organisation", one, "decoupled_on=2022", NULL), TZ_OUT_WAITING,
              TZ_E_DEPENDS); /* 4 on 2 */
    assert_int_equal(f->res.blocked_by, 2);
    sx_applied(sx_withdraw(&f->d1, 2)); /* 3 is judged and refused: 4 waits for that one */
    assert_int_equal(f->nall, 3);
    assert_int_equal(tz_msg_read_result(f->all[2].result, &f->a, &r, &f->err), 0);
    sx_expect(&r, TZ_OUT_WAITING, TZ_E_DEPENDS);
    assert_int_equal(r.seq, 4);
    assert_int_equal(r.blocked_by, 3);
    assert_int_equal(sx_query(f, "SELECT blocked_by FROM backlog"), 3);
}

static void having_been_freed_makes_nobodys_word_the_later_one(void **state)
{
    struct sx *f = *state;
    struct tz_id site = {{0}};
    struct tz_id id = sx_org(f, "甲公司");
    struct sx_cs *c = sx_begin(&f->d1);
    site = sx_op_create(c, "site", "name=园", "site_type=park", "level=district", "street_code=120102001", NULL);
    sx_refused(sx_push(c), TZ_E_AREA);
    c = sx_begin(&f->d1); /* an address, in a save that waits for the site */
    sx_op_set(c, "organisation", id, "address=先", sx_ref(f, "site_id", site), NULL);
    sx_expect(sx_push(c), TZ_OUT_WAITING, TZ_E_DEPENDS);
    f->clock.wall.ms += 60000;
    sx_applied(sx_set(&f->d1b, "organisation", id, "address=后", NULL)); /* a minute later, next desk */
    f->clock.wall.ms += 60000;
    c = sx_begin(&f->d1);
    sx_op_create_as(c, site, "site", "name=园", "site_type=park", "level=district", "street_code=120101001", NULL);
    sx_applied(sx_push(c));
    struct tz_result r;
    assert_int_equal(f->nall, 2);
    assert_int_equal(tz_msg_read_result(f->all[1].result, &f->a, &r, &f->err), 0);
    sx_superseded(&r);
    sx_text_is(f, "organisation", id, "address", "后");
    assert_string_equal(sx_candidate(f, sx_case(f, id, "address", 1), 0, "address"), "先");
}

static void waiter_with_very_many_withdrawals_delays_nobody(void **state)
{
    struct sx *f = *state;
    enum { TARGETS = 60, WIDE = 400 };
    struct tz_id id;
    struct tz_bytes hashes[TARGETS];
    struct tz_apply_out out;
    uint32_t device = 0;
    refused_and_waiting(f, &id);
    for (int i = 0; i < TARGETS; i++) { /* each with many ops, so that its result is long */
        struct sx_cs *c = sx_begin(&f->d1);
        for (int k = 0; k < WIDE; k++)
            sx_op_set(c, "organisation", id, "address=一路", NULL);
        sx_expect(sx_push(c), TZ_OUT_WAITING, TZ_E_DEPENDS);
        hashes[i] =
            tz_bytes_of(tz_arena_dup(&f->a, f->d1.hash[c->cs.seq % SX_SAVES_KEPT], TZ_HASH_BYTES), TZ_HASH_BYTES);
    }
    struct sx_cs *c = sx_begin(&f->d1);
    for (int i = 0; i < TARGETS; i++) {
        struct tz_op *op = sx_op(c, TZ_OP_WITHDRAW, NULL, (struct tz_id){{0}});
        op->target_seq = 3 + (uint64_t)i;
        op->target_hash = hashes[i];
    }
    sx_op_set(c, "organisation", id, "address=二路", NULL);
    sx_expect(sx_push(c), TZ_OUT_WAITING, TZ_E_DEPENDS);
    c = sx_begin(&f->d1);
    sx_op_create_as(c, id, "organisation", "name=甲公司", "district_code=120101", NULL);
    sx_applied(sx_push(c));
    for (int i = 0; tz_store_release_left(f->s) && i < 20; i++) {
        sx_group(f);
        assert_int_equal(tz_store_release(f->s, &f->a, &device, &out, &f->err), 0);
        sx_commit(f);
    }
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog"), 0);
    sx_text_is(f, "organisation", id, "address", "二路");
}

static void taking_back_a_held_save_leaves_the_other_of_its_number_alone(void **state)
{
    struct sx *f = *state;
    struct tz_balance b;
    struct tz_id id;
    refused_and_waiting(f, &id); /* 1 refused, 2 waiting */
    struct sx_dev copy = f->d1;  /* of the folder, put back from before 2 */
    copy.seq = 1;
    struct tz_id other = tz_id_make(&copy.ids, f->clock.wall);
    struct sx_cs *c = sx_begin(&copy);
    sx_op_create_as(c, other, "organisation", "name=抄", "district_code=120101", NULL);
    sx_expect(sx_push(c), TZ_OUT_HELD, TZ_E_FORKED);
    struct tz_bytes held = f->raw;
    sx_applied(sx_withdraw(&copy, 2)); /* its own 2; number 3 is free */
    assert_int_equal(f->nall, 2);
    struct tz_result r;
    assert_int_equal(tz_msg_read_result(f->all[1].result, &f->a, &r, &f->err), 0);
    sx_expect(&r, TZ_OUT_WITHDRAWN, TZ_E_WITHDRAWN);
    assert_int_equal(r.seq, 2);
    assert_memory_equal(r.hash, copy.hash[2], TZ_HASH_BYTES);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog WHERE outcome=4"), 1); /* the other one waits on */
    assert_int_equal(tz_store_balance(f->s, f->d1.d.number, &b, &f->err), 0);
    assert_int_equal(b.waiting, 1);
    assert_int_equal(b.held, 0);
    assert_int_equal(b.withdrawn, 1);
    sx_group(f); /* the answer was lost: the copy asks again */
    assert_int_equal(sx_apply_raw(&copy, held), 0);
    sx_commit(f);
    sx_expect(&f->res, TZ_OUT_WITHDRAWN, TZ_E_WITHDRAWN);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog WHERE outcome=5"), 0);
}

static void damaged_waiter_is_this_machines_trouble(void **state)
{
    struct sx *f = *state;
    struct tz_id id;
    refused_and_waiting(f, &id);
    sx_exec(f, "UPDATE backlog SET raw=x'FF'");
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op_create_as(c, id, "organisation", "name=甲公司", "district_code=120101", NULL);
    sx_group(f);
    assert_int_equal(sx_apply(c), TZ_E_DB_CORRUPT);
    tz_store_group_rollback(f->s);
}

static void shortened_log_does_not_open_for_writing(void **state)
{
    struct sx *f = *state;
    struct tz_store_options o = sx_options(f);
    struct tz_store *s = NULL;
    sx_org(f, "甲公司");
    sx_exec(f, "DELETE FROM audit WHERE n=(SELECT max(n) FROM audit)");
    tz_store_close(f->s);
    f->s = NULL;
    assert_int_equal(tz_store_open(f->path, &o, &s, &f->err), TZ_E_VERIFY);
    assert_null(s);
    o.readonly = true;
    uint64_t entries = 0;
    assert_int_equal(tz_store_open(f->path, &o, &f->s, &f->err), 0);
    assert_int_equal(tz_store_audit_check(f->s, &entries, &f->err), TZ_E_VERIFY);
}

static void failed_look_up_ends_the_changeset(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_exec(f, "ALTER TABLE commit_log RENAME COLUMN user TO usr");
    struct sx_cs *c = sx_begin(&f->d1b);
    sx_op_set(c, "organisation", id, "name=乙公司", NULL);
    c->ops[0].base_ver = 0;
    c->cs.base_checkpoint = 0;
    (void)tz_store_commit_of(f->s, tz_store_head(f->s));
    assert_int_equal(f->s->read_err.code, TZ_E_DB);
    sx_group(f);
    assert_true(sx_apply(c) < 0);
    assert_int_equal(tz_err_info(f->err.code)->cls, TZ_ERR_LOCAL);
    tz_store_group_rollback(f->s);
}

static void balance_adds_up(void **state)
{
    struct sx *f = *state;
    struct tz_balance b;
    struct tz_id id;
    size_t ops = 0;
    refused_and_waiting(f, &id); /* 1 refused, 1 waiting */
    ops += 2;
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id org = sx_op_create(c, "organisation", "name=甲", "district_code=120101", NULL);
    sx_op_create(c, "organisation", "name=乙", "district_code=120101", NULL);
    sx_applied(sx_push(c));
    ops += 2;
    sx_see(&f->d1b);
    sx_applied(sx_set(&f->d1b, "organisation", org, "address=一", NULL));
    f->d1.skew_ms = -DAY_MS;
    f->d1.seen_seq = f->d1.seq;
    f->clock.wall.ms += 1000;
    c = sx_begin(&f->d1);
    sx_op_set(c, "organisation", org, "address=二", NULL);
    sx_push(c);
    ops += 1;
    assert_int_equal(tz_store_balance(f->s, f->d1.d.number, &b, &f->err), 0);
    assert_int_equal(b.applied + b.superseded + b.refused + b.waiting + b.held + b.under_review + b.withdrawn, ops);
    assert_int_equal(b.waiting, 1);
    assert_int_equal(b.refused, 1);
    assert_int_equal(b.changesets, 4);
}

#define T(name) cmocka_unit_test_setup_teardown(name, sx_setup, sx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(mended_create_releases_what_waits_for_it),
        T(withdrawn_cause_lets_waiters_be_judged),
        T(withdrawn_waiter_ends_as_withdrawn),
        T(withdrawal_in_a_refused_save_does_not_happen),
        T(same_field_waits_and_another_field_does_not),
        T(child_of_a_refused_create_waits_and_so_does_its_child),
        T(released_mend_releases_earlier_waiters_too),
        T(withdrawal_in_a_save_put_aside_happens_when_it_is_judged),
        T(waiters_of_any_number_and_size_need_little_memory),
        T(freed_saves_of_a_device_that_is_gone_are_judged_all_the_same),
        T(one_push_frees_no_more_than_one_budget),
        T(second_create_of_a_record_that_exists_blocks_nobody),
        T(saves_that_wait_and_are_taken_back_are_accounted_for),
        T(save_that_waits_names_what_it_waits_for_now),
        T(having_been_freed_makes_nobodys_word_the_later_one),
        T(waiter_with_very_many_withdrawals_delays_nobody),
        T(taking_back_a_held_save_leaves_the_other_of_its_number_alone),
        T(damaged_waiter_is_this_machines_trouble),
        T(shortened_log_does_not_open_for_writing),
        T(failed_look_up_ends_the_changeset),
        T(balance_adds_up),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
