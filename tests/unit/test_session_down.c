/* SPDX-License-Identifier: Apache-2.0 */
/* What one peer's session sends down: rows and checkpoints, credit, news, leases, history, and the proof of the audit
 * log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "session_fixture.h"

#include <string.h>

static void checkpoint_comes_after_the_rows(void **state)
{
    struct h *h = *state;
    struct tz_msg_checkpoint c;
    ready(h);
    pull(h);
    while (h->njobs) {
        run(h);
        ack(h, 1);
    }
    assert_true(count(h, TZ_MSG_ROWS) >= 1);
    assert_int_equal(count(h, TZ_MSG_CHECKPOINT), 1);
    assert_int_equal(last(h)->type, TZ_MSG_CHECKPOINT);
    assert_int_equal(last(h)->lane, TZ_LANE_DOWN);
    assert_int_equal(tz_msg_read_checkpoint(last(h)->body, &c, &h->f->err), 0);
    assert_int_equal(c.ver, tz_store_head(h->f->s));
}

/** Enough rows for several frames. */
static void much_data(struct sx *f)
{
    static char text[20000];
    memset(text, 'x', sizeof text - 1);
    memcpy(text, "former_names=", 13);
    for (int i = 0; i < 100; i++)
        sx_create(&f->d1, "organisation", "name=大", "district_code=120101", text, NULL);
}

static void no_more_frames_are_in_flight_than_the_peer_acknowledges(void **state)
{
    struct h *h = *state;
    ready(h);
    much_data(h->f);
    pull(h);
    run_all(h);
    assert_int_equal(h->nsent, TZ_ROWS_IN_FLIGHT_MAX);
    run_all(h);
    assert_int_equal(h->nsent, TZ_ROWS_IN_FLIGHT_MAX);
    assert_int_equal(h->njobs, 0); /* not read ahead either */
    while (count(h, TZ_MSG_CHECKPOINT) == 0) {
        size_t before = h->nsent;
        ack(h, 1);
        run_all(h);
        assert_true(h->nsent <= before + 1);
    }
    assert_true(h->nsent > TZ_ROWS_IN_FLIGHT_MAX);
}

static void ack_of_more_than_was_sent_is_refused(void **state)
{
    struct h *h = *state;
    ready(h);
    ack(h, 1);
    assert_failed_with(h, TZ_E_PROTOCOL, TZ_E_PROTOCOL);
}

static void second_pull_is_refused(void **state)
{
    struct h *h = *state;
    ready(h);
    pull(h);
    pull(h);
    assert_failed_with(h, TZ_E_PROTOCOL, TZ_E_PROTOCOL);
}

static void foreign_cursor_is_refused(void **state)
{
    struct h *h = *state;
    struct tz_cursor c = {.area = {.district = "120102"}, .tier = 1};
    struct tz_buf b;
    ready(h);
    tz_buf_init(&b, 4096);
    assert_int_equal(tz_msg_put_pull(&b, &c, 1), 0);
    frame_on(h, TZ_MSG_PULL, TZ_LANE_DOWN, &b);
    tz_buf_deinit(&b);
    run(h);
    assert_failed_with(h, TZ_E_AREA, TZ_E_AREA);
}

static void full_down_lane_does_not_stop_the_up_lane(void **state)
{
    struct h *h = *state;
    ready(h);
    much_data(h->f);
    pull(h);
    run_all(h); /* waits for Ack */
    push_one(h);
    run_all(h);
    assert_int_equal(count(h, TZ_MSG_RESULTS), 1);
}

static void news_of_other_areas_wakes_nobody(void **state)
{
    struct h *h = *state;
    struct tz_area there = {.district = "120102"};
    struct tz_area here = {.district = "120101", .street = "120101002"};
    ready(h);
    pull(h);
    run_all(h);
    ack(h, (uint32_t)h->nsent);
    run_all(h);
    assert_int_equal(h->njobs, 0);
    tz_session_on_head(h->s, tz_store_head(h->f->s), &there, 1);
    assert_int_equal(h->njobs, 0);
    tz_session_on_head(h->s, tz_store_head(h->f->s), &here, 1);
    assert_int_equal(h->njobs, 1);
    tz_session_on_head(h->s, tz_store_head(h->f->s), &here, 1); /* idempotent */
    assert_int_equal(h->njobs, 1);
}

static int64_t lease_of_d1(struct h *h)
{
    return sx_query(h->f, "SELECT acked_ms FROM device WHERE name = 'd1'");
}

/** Held rows are acknowledged at once, a checkpoint when it is durable: so the order of Acks says nothing. */
static void a_lease_counts_from_a_checkpoint_that_is_surely_acknowledged(void **state)
{
    struct h *h = *state;
    ready(h);
    pull(h);
    run_all(h);
    assert_true(h->nsent >= 2); /* Rows and a Checkpoint */
    unsigned out = (unsigned)(count(h, TZ_MSG_ROWS) + count(h, TZ_MSG_CHECKPOINT));
    ack(h, out - 1);
    run_all(h);
    assert_int_equal(lease_of_d1(h), 0);
    ack(h, 1);
    run_all(h);
    assert_int_equal(lease_of_d1(h), h->f->clock.wall.ms);
    assert_int_equal(sx_query(h->f, "SELECT checkpoint FROM device WHERE name = 'd1'"), tz_store_head(h->f->s));
}

static void history_is_answered_one_at_a_time(void **state)
{
    struct h *h = *state;
    struct tz_msg_history m;
    struct tz_id id = sx_org(h->f, "甲公司");
    ready(h);
    ask_history(h, "organisation", id);
    assert_int_equal(tz_sjob_where(h->jobs[0]), TZ_JOB_READER);
    run(h);
    assert_int_equal(last(h)->type, TZ_MSG_HISTORY);
    assert_int_equal(last(h)->lane, TZ_LANE_CONTROL);
    assert_int_equal(tz_msg_read_history(last(h)->body, &h->f->a, &m, &h->f->err), 0);
    assert_int_equal(m.nentries, 1);
    ask_history(h, "organisation", id);
    ask_history(h, "organisation", id);
    assert_failed_with(h, TZ_E_PROTOCOL, TZ_E_PROTOCOL);
}

static void history_without_an_id_is_refused(void **state)
{
    struct h *h = *state;
    struct tz_buf none;
    ready(h);
    tz_buf_init(&none, 16);
    frame_on(h, TZ_MSG_HISTORY_ASK, TZ_LANE_CONTROL, &none);
    assert_failed_with(h, TZ_E_FORMAT, TZ_E_FORMAT);
}

/** What Welcome says about the audit entry that Hello names. */
static enum tz_audit_answer audit_answer(struct h *h, uint64_t n, const uint8_t hash[TZ_HASH_BYTES])
{
    struct tz_msg_hello m = {.protocol = TZ_PROTOCOL_VERSION, .software = "peer", .incarnation = 1, .audit_n = n};
    struct tz_msg_welcome w;
    struct tz_buf b;
    memcpy(m.audit_hash, hash, sizeof m.audit_hash);
    open_session(h, "d1");
    tz_buf_init(&b, 4096);
    assert_int_equal(tz_msg_put_hello(&b, &m), 0);
    frame_on(h, TZ_MSG_HELLO, TZ_LANE_CONTROL, &b);
    tz_buf_deinit(&b);
    run(h);
    assert_int_equal(tz_msg_read_welcome(last(h)->body, &h->f->a, &w, &h->f->err), 0);
    tz_session_free(h->s);
    h->s = NULL;
    return w.audit;
}

static void welcome_says_whether_the_audit_log_is_the_one_remembered(void **state)
{
    struct h *h = *state;
    uint8_t hash[TZ_HASH_BYTES];
    uint64_t n = 0;
    assert_int_equal(tz_store_audit_head(h->f->s, &n, hash, &h->f->err), 0);
    assert_int_equal(audit_answer(h, 0, hash), TZ_AUDIT_SAME); /* nothing was remembered */
    assert_int_equal(audit_answer(h, n, hash), TZ_AUDIT_SAME);
    sx_org(h->f, "甲公司"); /* the log grows */
    assert_int_equal(audit_answer(h, n, hash), TZ_AUDIT_SAME);
    assert_int_equal(audit_answer(h, n + 1000, hash), TZ_AUDIT_CHANGED); /* shortened */
    assert_int_equal(audit_answer(h, UINT64_MAX, hash), TZ_AUDIT_CHANGED);
    hash[0] ^= 1; /* rewritten */
    assert_int_equal(audit_answer(h, n, hash), TZ_AUDIT_CHANGED);
}

static void verify_is_answered_one_at_a_time(void **state)
{
    struct h *h = *state;
    ready(h);
    verify(h);
    run_all(h);
    assert_int_equal(count(h, TZ_MSG_VERIFIED), 1);
    verify(h);
    verify(h);
    assert_failed_with(h, TZ_E_PROTOCOL, TZ_E_PROTOCOL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(checkpoint_comes_after_the_rows),
        T(no_more_frames_are_in_flight_than_the_peer_acknowledges),
        T(ack_of_more_than_was_sent_is_refused),
        T(second_pull_is_refused),
        T(foreign_cursor_is_refused),
        T(full_down_lane_does_not_stop_the_up_lane),
        T(news_of_other_areas_wakes_nobody),
        T(verify_is_answered_one_at_a_time),
        T(a_lease_counts_from_a_checkpoint_that_is_surely_acknowledged),
        T(history_is_answered_one_at_a_time),
        T(history_without_an_id_is_refused),
        T(welcome_says_whether_the_audit_log_is_the_one_remembered),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
