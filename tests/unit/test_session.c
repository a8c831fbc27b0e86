/* SPDX-License-Identifier: Apache-2.0 */
/* One peer's session against a real store and an executor played by hand: frames in, frames and jobs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pki.h"
#include "session_fixture.h"
#include "session_int.h"

#include <string.h>

/* ---- greeting ---- */

static void hello_is_answered_with_welcome(void **state)
{
    struct h *h = *state;
    struct tz_msg_welcome w;
    open_session(h, "d1");
    hello(h);
    assert_string_equal(tz_session_state_name(h->s), "opening");
    assert_int_equal(h->nsent, 0);
    run(h);
    assert_int_equal(h->authenticated, 1);
    assert_int_equal(h->nsent, 1);
    assert_int_equal(h->sent[0].type, TZ_MSG_WELCOME);
    assert_int_equal(tz_msg_read_welcome(h->sent[0].body, &h->f->a, &w, &h->f->err), 0);
    assert_int_equal(w.device, h->f->d1.d.number);
    assert_string_equal(w.role, "D_CLERK");
    assert_int_equal(w.nareas, 2);
    assert_string_equal(w.areas[1].district, "120101");
    assert_true(w.reads_secret);
    assert_int_equal(w.head, tz_store_head(h->f->s));
    assert_true(w.nusers >= 2);
    assert_int_equal(tz_session_device(h->s), h->f->d1.d.number);
}

/** The hello came in while the grant held, its job ran when it had ended: the next session has to be told, so this one
 * must not go on as if there had never been an area. */
static void grant_that_ends_while_the_hello_waits_ends_the_session(void **state)
{
    struct h *h = *state;
    struct tz_msg_welcome w;
    struct tz_device d;
    int64_t end = h->f->clock.wall.ms + 1000;
    sx_group(h->f);
    assert_int_equal(
        tz_store_device_grant(h->f->s, h->f->d1.d.number, h->f->d1.d.role, h->f->d1.d.area, end, &h->f->err), 0);
    sx_commit(h->f);
    open_session(h, "d1");
    hello(h);
    h->f->clock.wall.ms = end;
    run(h);
    assert_int_equal(tz_msg_read_welcome(h->sent[0].body, &h->f->a, &w, &h->f->err), 0);
    assert_int_equal(w.nareas, 2);
    pull(h);
    assert_failed_with(h, TZ_E_GRANT_CHANGED, TZ_E_GRANT_CHANGED);
    tz_session_free(h->s);
    h->nsent = 0;
    h->closed = 0;
    open_session(h, "d1");
    hello(h);
    run(h);
    assert_int_equal(tz_msg_read_welcome(h->sent[0].body, &h->f->a, &w, &h->f->err), 0);
    assert_int_equal(w.nareas, 0);
    assert_string_equal(w.area, "");
    assert_int_equal(tz_store_device_by_number(h->f->s, h->f->d1.d.number, &d, &h->f->err), 1);
    assert_string_equal(d.area, "");
}

static void anything_before_hello_is_refused(void **state)
{
    struct h *h = *state;
    open_session(h, "d1");
    push_one(h);
    assert_failed_with(h, TZ_E_PROTOCOL, TZ_E_PROTOCOL);
    assert_int_equal(h->njobs, 0);
}

static void second_hello_is_refused(void **state)
{
    struct h *h = *state;
    ready(h);
    hello(h);
    assert_failed_with(h, TZ_E_PROTOCOL, TZ_E_PROTOCOL);
}

static void frame_while_opening_is_refused_and_the_late_job_is_dropped(void **state)
{
    struct h *h = *state;
    open_session(h, "d1");
    hello(h);
    pull(h);
    assert_failed_with(h, TZ_E_PROTOCOL, TZ_E_PROTOCOL);
    run(h); /* nothing more is sent: on_send would fail */
}

static void unknown_certificate_is_told_it_is_revoked(void **state)
{
    struct h *h = *state;
    open_session(h, "nobody");
    hello(h);
    run(h);
    assert_failed_with(h, TZ_E_REVOKED, TZ_E_REVOKED);
    assert_int_equal(h->authenticated, 0);
}

static void wrong_lane_is_refused(void **state)
{
    struct h *h = *state;
    struct tz_buf b;
    ready(h);
    tz_buf_init(&b, 64);
    assert_int_equal(tz_msg_put_ack(&b, 1), 0);
    frame_on(h, TZ_MSG_ACK, TZ_LANE_UP, &b);
    tz_buf_deinit(&b);
    assert_failed_with(h, TZ_E_PROTOCOL, TZ_E_PROTOCOL);
}

static void other_protocol_version_is_told(void **state)
{
    struct h *h = *state;
    struct tz_msg_hello m = {.protocol = TZ_PROTOCOL_VERSION + 1, .software = "peer"};
    struct tz_buf b;
    open_session(h, "d1");
    tz_buf_init(&b, 4096);
    assert_int_equal(tz_msg_put_hello(&b, &m), 0);
    frame_on(h, TZ_MSG_HELLO, TZ_LANE_CONTROL, &b);
    tz_buf_deinit(&b);
    assert_failed_with(h, TZ_E_VERSION, TZ_E_VERSION);
}

static void ping_is_answered(void **state)
{
    struct h *h = *state;
    struct tz_buf b;
    uint64_t nonce = 0;
    ready(h);
    tz_buf_init(&b, 64);
    assert_int_equal(tz_msg_put_ping(&b, 77), 0);
    frame_on(h, TZ_MSG_PING, TZ_LANE_CONTROL, &b);
    tz_buf_deinit(&b);
    assert_int_equal(last(h)->type, TZ_MSG_PONG);
    assert_int_equal(tz_msg_read_ping(last(h)->body, &nonce, &h->f->err), 0);
    assert_int_equal(nonce, 77);
}

static void silent_peer_has_a_deadline(void **state)
{
    struct h *h = *state;
    open_session(h, "d1");
    int64_t greeting = tz_session_deadline(h->s).ms - h->f->clock.mono.ms;
    assert_int_equal(greeting, 5000);
    hello(h);
    run(h);
    assert_true(tz_session_deadline(h->s).ms - h->f->clock.mono.ms > greeting);
}

/* ---- up ---- */

static void results_leave_only_when_the_commit_is_known(void **state)
{
    struct h *h = *state;
    struct tz_err err = {0};
    const struct tz_area *areas = NULL;
    size_t n = 0;
    ready(h);
    push_one(h);
    struct tz_sjob *j = take_job(h);
    sx_group(h->f);
    assert_int_equal(tz_sjob_run(j, h->f->s, &err), 0);
    assert_int_equal(h->nsent, 0);
    sx_commit(h->f);
    tz_sjob_settle(j, 0);
    assert_true(tz_sjob_changed(j, &areas, &n));
    assert_int_equal(n, 1);
    assert_string_equal(areas[0].district, "120101");
    assert_int_equal(h->nsent, 0);
    tz_session_on_job(h->s, j);
    assert_int_equal(count(h, TZ_MSG_RESULTS), 1);
}

static void error_of_this_machine_tells_the_peer_nothing_but_internal(void **state)
{
    struct h *h = *state;
    struct tz_err err = {0};
    const struct tz_area *areas = NULL;
    size_t n = 0;
    ready(h);
    push_one(h);
    struct tz_sjob *j = take_job(h);
    sx_group(h->f);
    assert_int_equal(tz_sjob_run(j, h->f->s, &err), 0);
    tz_store_group_rollback(h->f->s);
    tz_sjob_settle(j, TZ_E_DISK_FULL);
    assert_false(tz_sjob_changed(j, &areas, &n));
    tz_session_on_job(h->s, j);
    assert_int_equal(count(h, TZ_MSG_RESULTS), 0);
    assert_failed_with(h, TZ_E_SERVER_TROUBLE, TZ_E_DISK_FULL);
}

static void job_may_run_again_after_a_rollback(void **state)
{
    struct h *h = *state;
    struct tz_err err = {0};
    struct tz_signed_result *r = NULL;
    size_t n = 0;
    ready(h);
    push_one(h);
    struct tz_sjob *j = take_job(h);
    sx_group(h->f);
    assert_int_equal(tz_sjob_run(j, h->f->s, &err), 0);
    tz_store_group_rollback(h->f->s);
    sx_group(h->f);
    assert_int_equal(tz_sjob_run(j, h->f->s, &err), 0);
    sx_commit(h->f);
    tz_sjob_settle(j, 0);
    tz_session_on_job(h->s, j);
    assert_int_equal(tz_msg_read_results(last(h)->body, &h->f->a, &r, &n, &err), 0);
    assert_int_equal(n, 1);
}

static void too_many_pushes_in_flight_break_the_protocol(void **state)
{
    struct h *h = *state;
    ready(h);
    for (int i = 0; i < TZ_PUSH_IN_FLIGHT_MAX; i++)
        push_one(h);
    assert_int_equal(h->njobs, TZ_PUSH_IN_FLIGHT_MAX);
    assert_int_equal(h->closed, 0);
    push_one(h);
    assert_failed_with(h, TZ_E_PROTOCOL, TZ_E_PROTOCOL);
}

static void answered_push_makes_room_for_another(void **state)
{
    struct h *h = *state;
    ready(h);
    for (int i = 0; i < TZ_PUSH_IN_FLIGHT_MAX; i++)
        push_one(h);
    run(h);
    push_one(h);
    assert_int_equal(h->closed, 0);
    run_all(h);
    assert_int_equal(count(h, TZ_MSG_RESULTS), TZ_PUSH_IN_FLIGHT_MAX + 1);
}

static void what_was_judged_before_a_hole_is_answered(void **state)
{
    struct h *h = *state;
    struct tz_signed_result *r = NULL;
    struct tz_err err = {0};
    size_t n = 0;
    struct sx_cs *cs[3];
    ready(h);
    for (int i = 0; i < 3; i++) {
        h->f->d1.seq += i == 2; /* one is missing */
        cs[i] = create(h);
    }
    push(h, cs, 3);
    run(h);
    assert_failed_with(h, TZ_E_SEQ_HOLE, TZ_E_SEQ_HOLE);
    assert_int_equal(h->sent[0].type, TZ_MSG_RESULTS);
    assert_int_equal(tz_msg_read_results(h->sent[0].body, &h->f->a, &r, &n, &err), 0);
    assert_int_equal(n, 2);
}

/** What is left over is released by the next Push, whatever it carries. */
static void very_many_released_results_come_in_one_frame_for_each_push(void **state)
{
    struct h *h = *state;
    struct sx *f = h->f;
    enum { WAITERS = 300 };
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id id = sx_op_create(c, "organisation", "name=甲", "district_code=120102", NULL);
    sx_refused(sx_push(c), TZ_E_AREA);
    for (int i = 0; i < WAITERS; i++)
        sx_expect(sx_set(&f->d1, "organisation", id, i % 2 ? "address=一" : "address=二", NULL), TZ_OUT_WAITING,
                  TZ_E_DEPENDS);
    ready(h);
    c = sx_begin(&f->d1);
    sx_op_create_as(c, id, "organisation", "name=甲", "district_code=120101", NULL);
    push(h, &c, 1);
    run(h);
    push_one(h);
    run(h);
    assert_int_equal(h->nsent, 2);
    size_t total = 0;
    for (size_t i = 0; i < h->nsent; i++) {
        struct tz_signed_result *r = NULL;
        struct tz_result own;
        size_t n = 0;
        assert_int_equal(h->sent[i].type, TZ_MSG_RESULTS);
        assert_int_equal(tz_msg_read_results(h->sent[i].body, &f->a, &r, &n, &f->err), 0);
        assert_int_equal(tz_msg_read_result(r[0].result, &f->a, &own, &f->err), 0);
        assert_int_equal(own.seq, WAITERS + 2 + i);
        total += n;
    }
    assert_int_equal(total, WAITERS + 2);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog"), 0);
    assert_int_equal(sx_query(f, "SELECT release_after FROM device WHERE name='d1'"), -1);
}

/** Judge what is left over, as the owner of the sessions does, and tell. */
static void release(struct h *h)
{
    struct sx *f = h->f;
    struct tz_sjob *j = NULL;
    assert_int_equal(tz_sjob_release_new(&j), 0);
    sx_group(f);
    assert_int_equal(tz_sjob_run(j, f->s, &f->err), 0);
    sx_commit(f);
    tz_sjob_settle(j, 0);
    assert_int_equal(tz_sjob_released_device(j), f->d1.d.number);
    tz_session_on_released(h->s, j);
    tz_sjob_free(j);
}

static void ping(struct h *h)
{
    struct tz_buf b;
    tz_buf_init(&b, 64);
    assert_int_equal(tz_msg_put_ping(&b, 9), 0);
    frame_on(h, TZ_MSG_PING, TZ_LANE_CONTROL, &b);
    tz_buf_deinit(&b);
}

/** However much is released: a device that takes its time is told one frame, and the next when it says so. */
static void unasked_results_wait_for_the_device(void **state)
{
    struct h *h = *state;
    struct sx *f = h->f;
    enum { WAITERS = 1100 };
    struct tz_signed_result *r = NULL;
    size_t n = 0;
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id id = sx_op_create(c, "organisation", "name=甲", "district_code=120102", NULL);
    sx_refused(sx_push(c), TZ_E_AREA);
    for (int i = 0; i < WAITERS; i++)
        sx_expect(sx_set(&f->d1, "organisation", id, "address=一", NULL), TZ_OUT_WAITING, TZ_E_DEPENDS);
    ready(h);
    c = sx_begin(&f->d1);
    sx_op_create_as(c, id, "organisation", "name=甲", "district_code=120101", NULL);
    push(h, &c, 1);
    run(h);
    assert_int_equal(count(h, TZ_MSG_RESULTS), 1);
    for (int i = 0; i < 4; i++)
        release(h);
    assert_int_equal(count(h, TZ_MSG_RESULTS), 2);
    ping(h);
    assert_int_equal(count(h, TZ_MSG_RESULTS), 3);
    assert_int_equal(tz_msg_read_results(last(h)->body, &f->a, &r, &n, &f->err), 0);
    assert_true(n > 256); /* more than one release job's, in one frame */
    ping(h);
    assert_int_equal(count(h, TZ_MSG_RESULTS), 3);
    assert_int_equal(count(h, TZ_MSG_PONG), 2);
    assert_int_equal(h->closed, 0);
}

/** The device's session hears what was judged after its Push, and that nobody asked. */
static void released_results_come_unasked(void **state)
{
    struct h *h = *state;
    struct sx *f = h->f;
    enum { WAITERS = 300 };
    struct tz_sjob *j = NULL;
    struct tz_signed_result *r = NULL;
    size_t n = 0;
    size_t told = 0;
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id id = sx_op_create(c, "organisation", "name=甲", "district_code=120102", NULL);
    sx_refused(sx_push(c), TZ_E_AREA);
    for (int i = 0; i < WAITERS; i++)
        sx_expect(sx_set(&f->d1, "organisation", id, "address=一", NULL), TZ_OUT_WAITING, TZ_E_DEPENDS);
    ready(h);
    c = sx_begin(&f->d1);
    sx_op_create_as(c, id, "organisation", "name=甲", "district_code=120101", NULL);
    push(h, &c, 1);
    j = take_job(h);
    sx_group(f);
    assert_int_equal(tz_sjob_run(j, f->s, &f->err), 0);
    sx_commit(f);
    tz_sjob_settle(j, 0);
    assert_true(tz_sjob_release_left(j));
    tz_session_on_job(h->s, j);
    assert_false(tz_msg_results_unasked(last(h)->body));
    assert_int_equal(tz_msg_read_results(last(h)->body, &f->a, &r, &told, &f->err), 0);
    assert_int_equal(tz_sjob_release_new(&j), 0);
    sx_group(f);
    assert_int_equal(tz_sjob_run(j, f->s, &f->err), 0);
    sx_commit(f);
    tz_sjob_settle(j, 0);
    assert_int_equal(tz_sjob_released_device(j), f->d1.d.number);
    tz_session_on_released(h->s, j);
    assert_int_equal(h->nsent, 2);
    assert_int_equal(last(h)->type, TZ_MSG_RESULTS);
    assert_true(tz_msg_results_unasked(last(h)->body));
    assert_int_equal(tz_msg_read_results(last(h)->body, &f->a, &r, &n, &f->err), 0);
    assert_int_equal(told + n, WAITERS + 1);
    tz_sjob_free(j);
}

static void own_results_come_before_those_of_others(void **state)
{
    struct h *h = *state;
    struct sx *f = h->f;
    struct sx_cs *cs[3];
    struct tz_signed_result *r = NULL;
    size_t n = 0;
    ready(h);
    cs[0] = sx_begin(&f->d1);
    struct tz_id id = sx_op_create(cs[0], "organisation", "name=甲", "district_code=120102", NULL); /* refused */
    cs[1] = sx_begin(&f->d1);
    sx_op_create_as(cs[1], id, "organisation", "name=甲", "district_code=120101", NULL);
    cs[2] = create(h);
    struct sx_cs *waiter = sx_begin(&f->d1);
    sx_op_set(waiter, "organisation", id, "address=一", NULL);
    waiter->cs.seq = cs[1]->cs.seq;
    cs[1]->cs.seq++;
    cs[2]->cs.seq++;
    struct sx_cs *all[] = {cs[0], waiter, cs[1], cs[2]};
    push(h, all, 4);
    run(h);
    assert_int_equal(h->nsent, 1);
    assert_int_equal(tz_msg_read_results(h->sent[0].body, &f->a, &r, &n, &f->err), 0);
    const uint64_t seqs[] = {1, 2, 3, 4, 2};
    const enum tz_outcome outcomes[] = {TZ_OUT_REFUSED, TZ_OUT_WAITING, TZ_OUT_APPLIED, TZ_OUT_APPLIED, TZ_OUT_APPLIED};
    assert_int_equal(n, 5);
    for (size_t i = 0; i < n; i++) {
        struct tz_result one;
        assert_int_equal(tz_msg_read_result(r[i].result, &f->a, &one, &f->err), 0);
        assert_int_equal(one.seq, seqs[i]);
        assert_int_equal(one.outcome, outcomes[i]);
    }
}

static void clock_beyond_the_calendar_opens_a_session(void **state)
{
    struct h *h = *state;
    const int64_t walls[] = {INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < 2; i++) {
        struct tz_msg_hello m = {
            .protocol = TZ_PROTOCOL_VERSION, .software = "peer", .incarnation = 1, .wall_ms = walls[i]};
        struct tz_buf b;
        open_session(h, "d1");
        tz_buf_init(&b, 4096);
        assert_int_equal(tz_msg_put_hello(&b, &m), 0);
        frame_on(h, TZ_MSG_HELLO, TZ_LANE_CONTROL, &b);
        tz_buf_deinit(&b);
        run(h);
        assert_int_equal(last(h)->type, TZ_MSG_WELCOME);
        if (i == 0)
            tz_session_free(h->s);
    }
}

/* ---- ending ---- */

static void kick_says_why_and_closes_once(void **state)
{
    struct h *h = *state;
    ready(h);
    push_one(h);
    tz_session_kick(h->s, TZ_E_REVOKED);
    assert_failed_with(h, TZ_E_REVOKED, TZ_E_REVOKED);
    tz_session_kick(h->s, TZ_E_DRAINING);
    assert_int_equal(h->closed, 1);
    run_all(h); /* its job ends without a word */
    assert_true(tz_session_idle(h->s));
}

static void session_is_idle_between_messages_only(void **state)
{
    struct h *h = *state;
    ready(h);
    assert_true(tz_session_idle(h->s));
    push_one(h);
    assert_false(tz_session_idle(h->s));
    run_all(h);
    assert_true(tz_session_idle(h->s));
}

/* ---- enrolment ---- */

static void enrol(struct h *h, struct tz_bytes secret, struct tz_bytes csr)
{
    struct tz_msg_enrol m = {.protocol = TZ_PROTOCOL_VERSION, .software = "peer", .secret = secret, .csr = csr};
    struct tz_buf b;
    tz_buf_init(&b, 8192);
    assert_int_equal(tz_msg_put_enrol(&b, &m), 0);
    frame_on(h, TZ_MSG_ENROL, TZ_LANE_CONTROL, &b);
    tz_buf_deinit(&b);
}

static struct tz_bytes new_csr(struct h *h)
{
    struct tz_buf key;
    struct tz_buf csr;
    tz_buf_init(&key, TZ_PKI_PEM_MAX);
    tz_buf_init(&csr, TZ_PKI_PEM_MAX);
    assert_int_equal(tz_pki_key_new(&key, &h->f->err), 0);
    assert_int_equal(tz_pki_csr_new(tz_buf_unread(&key), &csr, &h->f->err), 0);
    struct tz_bytes out = tz_bytes_of(tz_arena_dup(&h->f->a, csr.p, csr.len), csr.len);
    tz_buf_deinit_secret(&key);
    tz_buf_deinit(&csr);
    return out;
}

static void invited_device_is_enrolled_and_the_session_ends(void **state)
{
    struct h *h = *state;
    static uint8_t secret[16];
    struct tz_invite_spec spec = {"D_CLERK", "120103", "fresh"};
    struct tz_msg_enrolled m;
    sx_group(h->f);
    assert_int_equal(tz_store_invite_add(h->f->s, &spec, secret, &h->f->err), 0);
    sx_commit(h->f);
    open_session(h, NULL);
    enrol(h, tz_bytes_of(secret, 16), new_csr(h));
    run(h);
    assert_int_equal(last(h)->type, TZ_MSG_ENROLLED);
    assert_int_equal(tz_msg_read_enrolled(last(h)->body, &h->f->a, &m, &h->f->err), 0);
    assert_string_equal(m.name, "fresh");
    assert_true(tz_bytes_eq(m.ca, tz_bytes_str("ca")));
    assert_int_equal(h->closed, 1);
    assert_int_equal(h->close_code, 0);
}

static void unknown_invite_is_told(void **state)
{
    struct h *h = *state;
    static const uint8_t secret[16] = {1};
    open_session(h, NULL);
    enrol(h, tz_bytes_of(secret, 16), new_csr(h));
    run(h);
    assert_failed_with(h, TZ_E_INVITE, TZ_E_INVITE);
}

static void damaged_request_is_told_and_uses_nothing(void **state)
{
    struct h *h = *state;
    static uint8_t secret[16];
    struct tz_invite_spec spec = {"D_CLERK", "120103", "fresh"};
    sx_group(h->f);
    assert_int_equal(tz_store_invite_add(h->f->s, &spec, secret, &h->f->err), 0);
    sx_commit(h->f);
    open_session(h, NULL);
    enrol(h, tz_bytes_of(secret, 16), tz_bytes_str("not a request"));
    run(h);
    assert_failed_with(h, TZ_E_FORMAT, TZ_E_FORMAT);
    assert_int_equal(sx_query(h->f, "SELECT count(*) FROM device WHERE name='fresh'"), 0);
}

static void hello_on_the_enrolment_protocol_is_refused(void **state)
{
    struct h *h = *state;
    open_session(h, NULL);
    hello(h);
    assert_failed_with(h, TZ_E_PROTOCOL, TZ_E_PROTOCOL);
}

/** Who asks for what cannot be rebuilt is told which versions; of other faults of this machine nothing but that. */
static void versions_that_are_lost_are_named_to_the_peer(void **state)
{
    struct tz_sjob *j = NULL;
    (void)state;
    assert_int_equal(tz_sjob_new(TZ_JOB_HISTORY, 1, &j), 0);
    (void)tz_err_set(&j->err, TZ_E_COMMITS_LOST, "5", "9", NULL, NULL);
    tz_sjob_settle(j, TZ_E_COMMITS_LOST);
    assert_int_equal(j->err.nargs, 2);
    assert_string_equal(j->err.args[1], "9");
    tz_sjob_settle(j, TZ_E_DB);
    assert_int_equal(j->err.code, TZ_E_DB);
    assert_int_equal(j->err.nargs, 0);
    tz_sjob_free(j);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(hello_is_answered_with_welcome),
        T(grant_that_ends_while_the_hello_waits_ends_the_session),
        T(anything_before_hello_is_refused),
        T(second_hello_is_refused),
        T(frame_while_opening_is_refused_and_the_late_job_is_dropped),
        T(unknown_certificate_is_told_it_is_revoked),
        T(wrong_lane_is_refused),
        T(other_protocol_version_is_told),
        T(ping_is_answered),
        T(silent_peer_has_a_deadline),
        T(results_leave_only_when_the_commit_is_known),
        T(error_of_this_machine_tells_the_peer_nothing_but_internal),
        T(versions_that_are_lost_are_named_to_the_peer),
        T(job_may_run_again_after_a_rollback),
        T(too_many_pushes_in_flight_break_the_protocol),
        T(answered_push_makes_room_for_another),
        T(what_was_judged_before_a_hole_is_answered),
        T(very_many_released_results_come_in_one_frame_for_each_push),
        T(own_results_come_before_those_of_others),
        T(released_results_come_unasked),
        T(unasked_results_wait_for_the_device),
        T(clock_beyond_the_calendar_opens_a_session),
        T(kick_says_why_and_closes_once),
        T(session_is_idle_between_messages_only),
        T(invited_device_is_enrolled_and_the_session_ends),
        T(unknown_invite_is_told),
        T(damaged_request_is_told_and_uses_nothing),
        T(hello_on_the_enrolment_protocol_is_refused),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
