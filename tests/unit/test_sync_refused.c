/* SPDX-License-Identifier: Apache-2.0 */
/* What a client session does not put up with: frames out of turn, damage, floods and silence; and what it answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sync_fixture.h"

static void frames_out_of_turn_close_the_session(void **state)
{
    struct fx *f = *state;
    struct tz_bytes none = {0};
    struct peer *p = peer_new(f, 0);
    run(p);
    expect(p, TZ_MSG_HELLO);
    deliver(p, TZ_MSG_ROWS, TZ_LANE_DOWN, none); /* before Welcome */
    assert_int_equal(p->why.code, TZ_E_PROTOCOL);
    deliver(p, TZ_MSG_ROWS, TZ_LANE_DOWN, none); /* and nothing more happens */
    peer_free(p);

    p = greeted(f, 0, 1, 8);
    give_welcome(p, 1, 8); /* twice */
    assert_int_equal(p->why.code, TZ_E_PROTOCOL);
    peer_free(p);

    p = greeted(f, 0, 1, 8);
    deliver(p, TZ_MSG_CHECKPOINT, TZ_LANE_UP, none); /* wrong lane */
    assert_int_equal(p->why.code, TZ_E_PROTOCOL);
    peer_free(p);

    p = greeted(f, 0, 1, 8);
    deliver(p, TZ_MSG_VERIFIED, TZ_LANE_CONTROL, none); /* nobody asked */
    assert_true(p->closed);
    peer_free(p);
}

static void damaged_messages_close_the_session_and_change_nothing(void **state)
{
    struct fx *f = *state;
    static const uint8_t junk[] = {0xff, 0xff, 0xff, 0xff};
    struct peer *p = greeted(f, 0, 1, 8);
    deliver(p, TZ_MSG_ROWS, TZ_LANE_DOWN, tz_bytes_of(junk, sizeof junk));
    expect_ack(p);
    give_checkpoint(p, 9);
    run(p);
    assert_true(p->closed);
    assert_int_equal(tz_err_info(p->why.code)->cls, TZ_ERR_PEER);
    struct tz_office_status st;
    assert_int_equal(tz_office_status(f->o, &st, NULL), 0);
    assert_int_equal(st.checkpoint, 1);
    peer_free(p);
}

static void flood_without_acknowledgement_is_cut_off(void **state)
{
    struct fx *f = *state;
    struct peer *p = greeted(f, 0, 1, 8);
    for (int i = 0; i < 20 && !p->closed; i++)
        give_checkpoint(p, 5); /* no job is run: nothing was acknowledged */
    assert_true(p->closed);
    assert_int_equal(p->why.code, TZ_E_PROTOCOL);
    peer_free(p);
}

static void silent_server_is_pinged_then_left(void **state)
{
    struct fx *f = *state;
    uint64_t nonce;
    struct peer *p = greeted(f, 0, 1, 8);
    tz_clock_fake_advance(&f->clock, 29000);
    tz_sync_on_timer(p->s);
    expect_silence(p);
    f->clock.mono.ms = tz_sync_deadline(p->s).ms;
    tz_sync_on_timer(p->s);
    struct tz_bytes ping = expect(p, TZ_MSG_PING);
    assert_int_equal(tz_msg_read_ping(ping, &nonce, NULL), 0);
    deliver(p, TZ_MSG_PONG, TZ_LANE_CONTROL, ping);
    f->clock.mono.ms = tz_sync_deadline(p->s).ms;
    tz_sync_on_timer(p->s);
    expect(p, TZ_MSG_PING);
    f->clock.mono.ms = tz_sync_deadline(p->s).ms;
    tz_sync_on_timer(p->s);
    assert_int_equal(p->why.code, TZ_E_TIMEOUT);
    peer_free(p);
}

static void ping_is_answered(void **state)
{
    struct fx *f = *state;
    struct tz_buf b;
    uint64_t nonce = 0;
    struct peer *p = greeted(f, 0, 1, 8);
    tz_buf_init(&b, 64);
    assert_int_equal(tz_msg_put_ping(&b, 77), 0);
    deliver(p, TZ_MSG_PING, TZ_LANE_CONTROL, tz_buf_unread(&b));
    assert_int_equal(tz_msg_read_ping(expect(p, TZ_MSG_PONG), &nonce, NULL), 0);
    assert_int_equal(nonce, 77);
    tz_buf_deinit(&b);
    peer_free(p);
}

static void refusal_of_the_server_is_told_with_its_arguments(void **state)
{
    struct fx *f = *state;
    struct tz_buf b;
    struct peer *p = peer_new(f, 0);
    run(p);
    struct tz_msg_error m = {.code = TZ_E_REVOKED, .fatal = true};
    tz_buf_init(&b, 1024);
    assert_int_equal(tz_msg_put_error(&b, &m), 0);
    deliver(p, TZ_MSG_ERROR, TZ_LANE_CONTROL, tz_buf_unread(&b));
    assert_int_equal(p->why.code, TZ_E_REVOKED);
    tz_buf_deinit(&b);
    peer_free(p);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        T(frames_out_of_turn_close_the_session),
        T(damaged_messages_close_the_session_and_change_nothing),
        T(flood_without_acknowledgement_is_cut_off),
        T(silent_server_is_pinged_then_left),
        T(ping_is_answered),
        T(refusal_of_the_server_is_told_with_its_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
