/* SPDX-License-Identifier: Apache-2.0 */
/* The session's state machine against a server played by hand; jobs run when the test says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sync_fixture.h"

static void greeting_names_the_device_as_it_is(void **state)
{
    struct fx *f = *state;
    struct tz_msg_hello h;
    uint64_t seq;
    fx_new_org(f, "甲", &seq);
    struct peer *p = peer_new(f, 0);
    run(p);
    assert_int_equal(tz_msg_read_hello(expect(p, TZ_MSG_HELLO), &f->a, &h, NULL), 0);
    assert_int_equal(h.checkpoint, 1);
    assert_int_equal(h.last_seq, seq);
    assert_int_equal(h.incarnation, 1);
    give_welcome(p, 1, 8);
    run(p);
    struct tz_cursor *cursors;
    size_t n;
    assert_int_equal(tz_msg_read_pull(expect(p, TZ_MSG_PULL), &f->a, &cursors, &n, NULL), 0);
    assert_int_equal(n, 4);
    assert_int_equal(cursors[0].ver, 1);
    struct tz_office_status st;
    assert_int_equal(tz_office_status(f->o, &st, NULL), 0);
    assert_int_equal(st.offset_ms, 5000);
    peer_free(p);
}

static void nothing_to_do_is_caught_up_at_once(void **state)
{
    struct fx *f = *state;
    struct peer *p = greeted(f, 0, 1, 8);
    assert_true(tz_sync_caught_up(p->s));
    assert_int_equal(p->events[TZ_SYNC_CAUGHT_UP], 1);
    expect_silence(p);
    tz_sync_stop(p->s);
    tz_sync_stop(p->s);
    assert_true(p->closed);
    assert_int_equal(p->why.code, 0);
    peer_free(p);
}

/** Many old saves: who comes to sync waits for a part of them, and a session that stays does the rest. */
static void old_saves_are_emptied_when_all_else_is_done(void **state)
{
    struct fx *f = *state;
    enum { N = 300 };
    int64_t left = 0;
    for (int i = 0; i < N; i++) {
        uint64_t seq;
        fx_new_org(f, "甲", &seq);
        assert_int_equal(fx_result(f, seq, TZ_OUT_APPLIED, 5, 0), 0);
        tz_arena_reset(&f->a);
    }
    struct peer *p = peer_new(f, 0);
    run(p);
    expect(p, TZ_MSG_HELLO);
    give_welcome_with(p, 5, 8, 2, 0, 5);
    run(p);
    expect(p, TZ_MSG_PULL);
    assert_int_equal(
        tz_db_query_int(tz_office_db(f->o), "SELECT count(*) FROM outbox WHERE length(raw) > 0", &left, NULL), 0);
    assert_int_equal(left, N); /* what the rows are is not known yet */
    give_checkpoint(p, 5);
    run(p);
    assert_int_equal(expect_ack(p), 1);
    assert_true(tz_sync_caught_up(p->s));
    assert_int_equal(
        tz_db_query_int(tz_office_db(f->o), "SELECT count(*) FROM outbox WHERE length(raw) > 0", &left, NULL), 0);
    assert_int_equal(left, 0);
    give_checkpoint(p, 6);
    assert_true(step(p));
    assert_int_equal(expect_ack(p), 1);
    assert_false(step(p)); /* it is over for this session */
    peer_free(p);
}

static void outbox_goes_up_and_is_caught_up_with_its_checkpoint(void **state)
{
    struct fx *f = *state;
    uint64_t first;
    struct tz_id id = fx_new_org(f, "甲", NULL);
    fx_new_org(f, "乙", NULL);
    struct peer *p = greeted(f, 0, 1, 8);
    assert_int_equal(expect_push(p, &first), 2);
    assert_int_equal(first, 1);
    assert_false(tz_sync_caught_up(p->s));
    give_results(p, (struct answer[]){{1, TZ_OUT_APPLIED, 5}, {2, TZ_OUT_REFUSED, 0}}, 2);
    run(p);
    assert_false(tz_sync_caught_up(p->s)); /* version 5 is not visible yet */
    fx_row(f, id, 5, TZ_ROW_LIVE, "120101", "甲", NULL);
    give_rows(p);
    assert_int_equal(expect_ack(p), 1); /* held */
    give_checkpoint(p, 5);
    run(p);
    assert_int_equal(expect_ack(p), 1);
    assert_true(tz_sync_caught_up(p->s));
    assert_int_equal(tz_sync_counters(p->s)->results, 2);
    assert_int_equal(tz_sync_counters(p->s)->applied, 1);
    assert_int_equal(tz_sync_counters(p->s)->rows, 1);
    assert_int_equal(tz_sync_counters(p->s)->checkpoint, 5);
    expect_silence(p);
    peer_free(p);
}

/** Its grant has ended and the server purged meanwhile: a Pull of nothing is one all the same. */
static void who_has_no_area_left_pulls_when_its_outbox_is_empty(void **state)
{
    struct fx *f = *state;
    struct peer *p = peer_new(f, 0);
    fx_row(f, fx_server_id(1), 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    run(p);
    (void)expect(p, TZ_MSG_HELLO);
    give_welcome_of(p, 30, 8, 0, 20);
    run(p);
    assert_int_equal(expect(p, TZ_MSG_PULL).n, 0);
    give_checkpoint(p, 30);
    run(p);
    assert_int_equal(expect_ack(p), 1);
    peer_free(p);
}

static void pushes_without_results_are_bounded(void **state)
{
    struct fx *f = *state;
    uint64_t first;
    fx_new_org(f, "甲", NULL);
    struct peer *p = greeted(f, 0, 1, 1);
    assert_int_equal(expect_push(p, &first), 1);
    fx_new_org(f, "乙", NULL);
    tz_sync_on_outbox(p->s);
    tz_sync_on_outbox(p->s);
    run(p);
    expect_silence(p); /* one is in flight, that is all the server takes */
    give_results(p, (struct answer[]){{1, TZ_OUT_APPLIED, 5}}, 1);
    run(p);
    assert_int_equal(expect_push(p, &first), 1);
    assert_int_equal(first, 2);
    give_results(p, (struct answer[]){{2, TZ_OUT_APPLIED, 6}}, 1);
    run(p);
    expect_silence(p);
    peer_free(p);
}

static void results_of_released_changesets_are_taken_in(void **state)
{
    struct fx *f = *state;
    uint64_t first;
    fx_new_org(f, "甲", NULL);
    struct peer *p = greeted(f, 0, 1, 2);
    assert_int_equal(expect_push(p, &first), 1);
    give_results(p, &(struct answer){1, TZ_OUT_WAITING, 0}, 1);
    run(p);
    give(p, &(struct answer){1, TZ_OUT_APPLIED, 3}, 1, true);
    expect_silence(p);
    run(p);
    expect(p, TZ_MSG_PING); /* taken in: the next may come */
    assert_false(p->closed);
    struct tz_office_balance b;
    assert_int_equal(tz_office_balance(f->o, &b, NULL), 0);
    assert_int_equal(b.waiting, 0);
    assert_int_equal(b.applied, 1);
    for (int i = 0; i < 64 && !p->closed; i++) /* and no flood of them */
        give(p, &(struct answer){1, TZ_OUT_APPLIED, 3}, 1, true);
    assert_true(p->closed);
    assert_int_equal(p->why.code, TZ_E_PROTOCOL);
    peer_free(p);
}

static void unasked_results_are_not_the_answer_to_a_push(void **state)
{
    struct fx *f = *state;
    uint64_t first;
    fx_new_org(f, "甲", NULL);
    fx_new_org(f, "乙", NULL);
    struct peer *p = greeted(f, 0, 1, 2);
    assert_int_equal(expect_push(p, &first), 2);
    give(p, &(struct answer){1, TZ_OUT_REFUSED, 0}, 1, true); /* it had waited since an earlier session */
    run(p);
    assert_false(tz_sync_caught_up(p->s)); /* 2 has no answer yet */
    give_results(p, (struct answer[]){{1, TZ_OUT_REFUSED, 0}, {2, TZ_OUT_REFUSED, 0}}, 2);
    run(p);
    assert_true(tz_sync_caught_up(p->s));
    give_results(p, &(struct answer){2, TZ_OUT_REFUSED, 0}, 1); /* to no Push, and does not say so */
    run(p);
    assert_true(p->closed);
    assert_int_equal(p->why.code, TZ_E_PROTOCOL);
    peer_free(p);
}

/** The server may have judged what waited the moment it had said Welcome. */
static void unasked_results_may_come_right_behind_the_welcome(void **state)
{
    struct fx *f = *state;
    fx_new_org(f, "甲", NULL);
    assert_int_equal(fx_result(f, 1, TZ_OUT_WAITING, 0, 0), 0);
    struct peer *p = peer_new(f, 0);
    run(p);
    (void)expect(p, TZ_MSG_HELLO);
    give_welcome(p, 1, 8);
    give(p, &(struct answer){1, TZ_OUT_APPLIED, 5}, 1, true);
    assert_false(p->closed);
    run(p);
    (void)expect(p, TZ_MSG_PULL);
    (void)expect(p, TZ_MSG_PING);
    assert_int_equal(tz_sync_counters(p->s)->applied, 1);
    peer_free(p);
}

static void a_save_counts_as_applied_once_whatever_results_come(void **state)
{
    struct fx *f = *state;
    uint64_t first;
    fx_new_org(f, "甲", NULL);
    fx_new_org(f, "乙", NULL);
    fx_new_org(f, "丙", NULL);
    struct peer *p = greeted(f, 0, 1, 8);
    assert_int_equal(expect_push(p, &first), 3);
    /* three answers, and two that the third one freed */
    give_results(p, (struct answer[]){{1, TZ_OUT_WAITING, 0}, {2, TZ_OUT_WAITING, 0}, {3, TZ_OUT_APPLIED, 5}}, 3);
    give(p, (struct answer[]){{1, TZ_OUT_SUPERSEDED, 6}, {2, TZ_OUT_REFUSED, 0}, {1, TZ_OUT_SUPERSEDED, 6}}, 3, true);
    run(p);
    assert_int_equal(tz_sync_counters(p->s)->changesets_sent, 3);
    assert_int_equal(tz_sync_counters(p->s)->applied, 2);
    peer_free(p);
}

static void result_of_other_bytes_costs_the_others_nothing(void **state)
{
    struct fx *f = *state;
    struct tz_result r;
    struct tz_err err = {0};
    struct tz_buf b;
    struct tz_office_balance bal;
    fx_new_org(f, "甲", NULL);
    fx_new_org(f, "乙", NULL);
    struct tz_signed_result two[] = {fx_signed(f, 1, TZ_OUT_WITHDRAWN, 0, TZ_E_WITHDRAWN, NULL, 0),
                                     fx_signed(f, 2, TZ_OUT_REFUSED, 0, TZ_E_AREA, NULL, 0)};
    assert_int_equal(tz_msg_read_result(two[0].result, &f->a, &r, &err), 0);
    r.hash[0] ^= 1; /* of a copy's save under our number 1 */
    tz_buf_init(&b, 1 << 16);
    assert_int_equal(tz_msg_put_result(&b, &r), 0);
    two[0].result = tz_buf_unread(&b);
    assert_int_equal(tz_office_results(f->o, two, 2, NULL, &err), 0);
    tz_buf_deinit(&b);
    assert_int_equal(tz_office_balance(f->o, &bal, NULL), 0);
    assert_int_equal(bal.refused, 1);
    assert_int_equal(bal.withdrawn, 0);
    assert_int_equal(bal.unsent, 1);
}

static void unanswered_changesets_go_out_again_in_the_next_session(void **state)
{
    struct fx *f = *state;
    uint64_t first;
    fx_new_org(f, "甲", NULL);
    fx_new_org(f, "乙", NULL);
    struct peer *p = greeted(f, 0, 1, 8);
    assert_int_equal(expect_push(p, &first), 2);
    give_results(p, (struct answer[]){{1, TZ_OUT_WAITING, 0}}, 1);
    run(p);
    peer_free(p); /* the line breaks */
    p = greeted(f, 0, 1, 8);
    assert_int_equal(expect_push(p, &first), 2); /* the waiting one asks for its outcome */
    assert_int_equal(first, 1);
    give_results(p, (struct answer[]){{1, TZ_OUT_APPLIED, 5}, {2, TZ_OUT_APPLIED, 6}}, 2);
    run(p);
    tz_sync_on_outbox(p->s);
    run(p);
    expect_silence(p);
    peer_free(p);
}

static void delta_is_invisible_until_its_checkpoint(void **state)
{
    struct fx *f = *state;
    struct tz_row row;
    struct tz_id id = fx_server_id(1);
    struct peer *p = greeted(f, 0, 9, 8);
    fx_row(f, id, 9, TZ_ROW_LIVE, "120101", "甲", NULL);
    give_rows(p);
    run(p);
    assert_int_equal(expect_ack(p), 1);
    assert_false(fx_read(f, f->org, id, &row, NULL));
    peer_free(p); /* the line breaks: nothing was promised, the cursor has not moved */
    struct tz_cursor *cursors;
    size_t n;
    assert_int_equal(tz_office_cursors(f->o, &f->a, &cursors, &n, NULL), 0);
    assert_int_equal(cursors[0].ver, 1);
}

static void delta_that_is_too_large_to_hold_fills(void **state)
{
    struct fx *f = *state;
    struct tz_row row;
    struct peer *p = greeted(f, 150, 9, 8);
    fx_row(f, fx_server_id(1), 8, TZ_ROW_LIVE, "120101", "甲", NULL);
    give_rows(p);
    assert_int_equal(expect_ack(p), 1);
    fx_row(f, fx_server_id(2), 9, TZ_ROW_LIVE, "120101", "这是一个很长很长很长很长的名称", "很长的地址");
    give_rows(p);
    expect_silence(p); /* this one is acknowledged when it is written */
    run(p);
    assert_int_equal(expect_ack(p), 1);
    assert_true(fx_read(f, f->org, fx_server_id(1), &row, NULL));
    assert_true(fx_read(f, f->org, fx_server_id(2), &row, NULL));
    assert_true(tz_office_filling(f->o));
    assert_false(tz_sync_caught_up(p->s));
    give_checkpoint(p, 9);
    run(p);
    assert_int_equal(expect_ack(p), 1);
    assert_false(tz_office_filling(f->o));
    assert_true(tz_sync_caught_up(p->s));
    peer_free(p);
}

static void downloads_go_on_while_the_outbox_is_stuck(void **state)
{
    struct fx *f = *state;
    uint64_t first;
    fx_new_org(f, "甲", NULL);
    struct peer *p = greeted(f, 0, 3, 8);
    assert_int_equal(expect_push(p, &first), 1); /* no answer ever comes */
    for (tz_ver v = 2; v < 6; v++) {
        fx_row(f, fx_server_id((uint8_t)v), v, TZ_ROW_LIVE, "120101", "乙", NULL);
        give_rows(p);
        give_checkpoint(p, v);
        run(p);
        assert_int_equal(expect_ack(p) + expect_ack(p), 2);
    }
    assert_int_equal(tz_sync_counters(p->s)->checkpoint, 5);
    peer_free(p);
}

static void take_verified(void *ctx, const struct tz_msg_verified *v)
{
    *(uint64_t *)ctx = v->rows;
}

static void verification_is_answered_once(void **state)
{
    struct fx *f = *state;
    struct tz_buf b;
    uint64_t rows = 0;
    struct peer *p = greeted(f, 0, 1, 8);
    struct tz_msg_verify ask = {.audit_n = 1};
    tz_sync_verify(p->s, &ask, take_verified, &rows);
    expect(p, TZ_MSG_VERIFY);
    struct tz_msg_verified v = {.ver = 1, .rows = 42};
    tz_buf_init(&b, 1024);
    assert_int_equal(tz_msg_put_verified(&b, &v), 0);
    deliver(p, TZ_MSG_VERIFIED, TZ_LANE_CONTROL, tz_buf_unread(&b));
    assert_int_equal(rows, 42);
    deliver(p, TZ_MSG_VERIFIED, TZ_LANE_CONTROL, tz_buf_unread(&b));
    assert_int_equal(p->why.code, TZ_E_PROTOCOL);
    tz_buf_deinit(&b);
    peer_free(p);
}

static void take_history(void *ctx, struct tz_bytes history)
{
    *(size_t *)ctx = history.n;
}

static void history_is_answered_once(void **state)
{
    struct fx *f = *state;
    struct tz_buf b;
    size_t bytes = 0;
    struct peer *p = greeted(f, 0, 1, 8);
    struct tz_msg_history_ask ask = {.type = 10, .id = {{1}}, .before = 7};
    struct tz_msg_history_ask asked;
    tz_sync_history(p->s, &ask, take_history, &bytes);
    assert_int_equal(tz_msg_read_history_ask(expect(p, TZ_MSG_HISTORY_ASK), &asked, NULL), 0);
    assert_int_equal(asked.before, 7);
    struct tz_msg_history h = {.next = 3};
    tz_buf_init(&b, 1024);
    assert_int_equal(tz_msg_put_history(&b, &h), 0);
    deliver(p, TZ_MSG_HISTORY, TZ_LANE_CONTROL, tz_buf_unread(&b));
    assert_int_equal(bytes, 2);
    deliver(p, TZ_MSG_HISTORY, TZ_LANE_CONTROL, tz_buf_unread(&b));
    assert_int_equal(p->why.code, TZ_E_PROTOCOL);
    tz_buf_deinit(&b);
    peer_free(p);
}

static void nothing_of_a_session_is_done_after_a_job_that_failed(void **state)
{
    struct fx *f = *state;
    struct tz_save_options so = {.reason = ""};
    struct tz_office_status st;
    struct tz_save *save;
    struct tz_err err = {0};
    struct peer *p = greeted(f, 0, 1, 8);
    struct tz_id id = {{1}};
    fx_row(f, id, 5, TZ_ROW_LIVE, "120101", "甲", NULL);
    give_rows(p);
    give_checkpoint(p, 5);
    give_checkpoint(p, 6); /* without a row: everything up to 6 is in the first one */
    assert_int_equal(tz_save_begin(f->o, &so, &save, &err), 0);
    assert_true(step(p)); /* nobody can write now: it fails, as it does on a full disk */
    tz_save_cancel(save);
    assert_true(p->closed);
    run(p);
    assert_int_equal(tz_office_status(f->o, &st, NULL), 0);
    assert_int_equal(st.checkpoint, 1); /* else the next Pull would ask for what came after 6 only */
    peer_free(p);
}

static void job_that_comes_back_after_closing_is_freed(void **state)
{
    struct fx *f = *state;
    struct peer *p = greeted(f, 0, 1, 8);
    give_checkpoint(p, 5);
    tz_sync_stop(p->s);
    run(p); /* the job still runs; its session is gone */
    expect_silence(p);
    peer_free(p);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        T(greeting_names_the_device_as_it_is),
        T(nothing_to_do_is_caught_up_at_once),
        T(old_saves_are_emptied_when_all_else_is_done),
        T(outbox_goes_up_and_is_caught_up_with_its_checkpoint),
        T(who_has_no_area_left_pulls_when_its_outbox_is_empty),
        T(pushes_without_results_are_bounded),
        T(results_of_released_changesets_are_taken_in),
        T(unasked_results_are_not_the_answer_to_a_push),
        T(unasked_results_may_come_right_behind_the_welcome),
        T(a_save_counts_as_applied_once_whatever_results_come),
        T(result_of_other_bytes_costs_the_others_nothing),
        T(unanswered_changesets_go_out_again_in_the_next_session),
        T(delta_is_invisible_until_its_checkpoint),
        T(delta_that_is_too_large_to_hold_fills),
        T(downloads_go_on_while_the_outbox_is_stuck),
        T(verification_is_answered_once),
        T(history_is_answered_once),
        T(nothing_of_a_session_is_done_after_a_job_that_failed),
        T(job_that_comes_back_after_closing_is_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
