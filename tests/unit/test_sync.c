/* SPDX-License-Identifier: Apache-2.0 */
/* The session's state machine against a server played by hand; jobs run when the test says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "office_fixture.h"
#include "sync.h"

#include <stdlib.h>
#include <string.h>

enum { SENT_MAX = 256, JOBS_MAX = 128 };

struct sent {
    uint8_t type;
    uint16_t lane;
    uint8_t *p;
    size_t n;
};

struct peer {
    struct fx *f;
    struct tz_sync *s;
    struct sent sent[SENT_MAX];
    size_t nsent, read;
    struct tz_cjob *jobs[JOBS_MAX];
    size_t first, njobs;
    unsigned events[8];
    bool closed;
    struct tz_err why;
};

static void on_send(void *ctx, uint8_t type, uint16_t lane, struct tz_bytes body)
{
    struct peer *p = ctx;
    assert_false(p->closed);
    assert_true(p->nsent < SENT_MAX);
    struct sent *s = &p->sent[p->nsent++];
    *s = (struct sent){type, lane, malloc(body.n + 1), body.n};
    assert_non_null(s->p);
    if (body.n)
        memcpy(s->p, body.p, body.n);
}

static void on_submit(void *ctx, struct tz_cjob *job)
{
    struct peer *p = ctx;
    assert_true(p->njobs < JOBS_MAX);
    p->jobs[p->njobs++] = job;
}

static void on_event(void *ctx, enum tz_sync_event e)
{
    ((struct peer *)ctx)->events[e]++;
}

static void on_close(void *ctx, const struct tz_err *err)
{
    struct peer *p = ctx;
    assert_false(p->closed);
    p->closed = true;
    p->why = *err;
}

/** Run the oldest waiting job. False when there is none. */
static bool step(struct peer *p)
{
    if (p->first == p->njobs)
        return false;
    struct tz_cjob *j = p->jobs[p->first++];
    tz_cjob_run(j, p->f->o);
    tz_sync_on_job(p->s, j);
    if (p->first == p->njobs)
        p->first = p->njobs = 0;
    return true;
}

static void run(struct peer *p)
{
    while (step(p))
        ;
}

/** The next frame the client sent must be of @type. */
static struct tz_bytes expect(struct peer *p, uint8_t type)
{
    if (p->read >= p->nsent)
        fail_msg("no frame sent, wanted %s", tz_msg_name(type));
    struct sent *s = &p->sent[p->read++];
    if (s->type != type)
        fail_msg("sent %s, wanted %s", tz_msg_name(s->type), tz_msg_name(type));
    return tz_bytes_of(s->p, s->n);
}

static void expect_silence(struct peer *p)
{
    if (p->read != p->nsent)
        fail_msg("sent %s", tz_msg_name(p->sent[p->read].type));
}

static void deliver(struct peer *p, uint8_t type, uint16_t lane, struct tz_bytes body)
{
    struct tz_frame f = {.type = type, .lane = lane, .body = body};
    tz_sync_on_frame(p->s, &f);
}

static void give_welcome_with(struct peer *p, tz_ver head, uint32_t push_max, size_t nareas, tz_ver horizon,
                              tz_ver compact_upto)
{
    struct tz_buf b;
    struct tz_area areas[2] = {{"", ""}, {"120101", ""}};
    struct tz_session_user user = {.code = "u1", .name = "一", .role = "D_CLERK", .active = true};
    user.id.b[15] = 1;
    struct tz_msg_welcome w = {.protocol = TZ_PROTOCOL_VERSION,
                               .software = "test",
                               .catalogue_version = 1,
                               .wall_ms = p->f->clock.wall.ms + 5000,
                               .epoch = 1,
                               .device = FX_DEVICE,
                               .incarnation = 1,
                               .device_name = "desk",
                               .role = "D_CLERK",
                               .area = nareas ? "120101" : "",
                               .areas = areas,
                               .nareas = nareas,
                               .horizon = horizon,
                               .compact_upto = compact_upto,
                               .users = &user,
                               .nusers = 1,
                               .head = head,
                               .push_in_flight_max = push_max,
                               .rows_in_flight_max = 4};
    tz_buf_init(&b, 1 << 16);
    assert_int_equal(tz_msg_put_welcome(&b, &w), 0);
    deliver(p, TZ_MSG_WELCOME, TZ_LANE_CONTROL, tz_buf_unread(&b));
    tz_buf_deinit(&b);
}

static void give_welcome_of(struct peer *p, tz_ver head, uint32_t push_max, size_t nareas, tz_ver horizon)
{
    give_welcome_with(p, head, push_max, nareas, horizon, 0);
}

static void give_welcome(struct peer *p, tz_ver head, uint32_t push_max)
{
    give_welcome_of(p, head, push_max, 2, 0);
}

static void give_rows(struct peer *p)
{
    deliver(p, TZ_MSG_ROWS, TZ_LANE_DOWN, tz_buf_unread(&p->f->rows));
    tz_buf_clear(&p->f->rows);
}

static void give_checkpoint(struct peer *p, tz_ver ver)
{
    struct tz_buf b;
    struct tz_msg_checkpoint c = {.ver = ver};
    tz_buf_init(&b, 1024);
    assert_int_equal(tz_msg_put_checkpoint(&b, &c), 0);
    deliver(p, TZ_MSG_CHECKPOINT, TZ_LANE_DOWN, tz_buf_unread(&b));
    tz_buf_deinit(&b);
}

struct answer {
    uint64_t seq;
    enum tz_outcome outcome;
    tz_ver ver;
};

static void give(struct peer *p, const struct answer *a, size_t n, bool unasked)
{
    struct tz_buf b;
    struct tz_signed_result r[4];
    assert_true(n <= 4);
    for (size_t i = 0; i < n; i++)
        r[i] = fx_signed(p->f, a[i].seq, a[i].outcome, a[i].ver, 0, NULL, 0);
    tz_buf_init(&b, 1 << 16);
    assert_int_equal(tz_msg_put_results(&b, r, n), 0);
    if (unasked)
        assert_int_equal(tz_msg_put_results_unasked(&b), 0);
    deliver(p, TZ_MSG_RESULTS, TZ_LANE_UP, tz_buf_unread(&b));
    tz_buf_deinit(&b);
}

static void give_results(struct peer *p, const struct answer *a, size_t n)
{
    give(p, a, n, false);
}

/** How many changesets the next frame pushes. */
static size_t expect_push(struct peer *p, uint64_t *first)
{
    struct tz_bytes *raw;
    size_t n;
    struct tz_changeset cs;
    assert_int_equal(tz_msg_read_push(expect(p, TZ_MSG_PUSH), &p->f->a, &raw, &n, NULL), 0);
    assert_int_equal(tz_msg_read_changeset(raw[0], &p->f->a, &cs, NULL), 0);
    *first = cs.seq;
    return n;
}

static uint32_t expect_ack(struct peer *p)
{
    uint32_t frames = 0;
    assert_int_equal(tz_msg_read_ack(expect(p, TZ_MSG_ACK), &frames, NULL), 0);
    return frames;
}

static void peer_free(struct peer *p)
{
    tz_sync_free(p->s);
    for (size_t i = p->first; i < p->njobs; i++)
        tz_cjob_free(p->jobs[i]);
    for (size_t i = 0; i < p->nsent; i++)
        free(p->sent[i].p);
    free(p);
}

static struct peer *peer_new(struct fx *f, size_t held_bytes_max)
{
    struct peer *p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->f = f;
    struct tz_sync_config c = {.software = "test", .held_bytes_max = held_bytes_max, .clock = tz_clock_fake(&f->clock)};
    struct tz_sync_io io = {on_send, on_submit, on_event, on_close, p};
    assert_int_equal(tz_sync_new(&c, &io, &p->s), 0);
    tz_sync_start(p->s);
    return p;
}

/** Through the greeting into RUNNING, nothing pushed yet to look at. */
static struct peer *greeted(struct fx *f, size_t held_bytes_max, tz_ver head, uint32_t push_max)
{
    struct peer *p = peer_new(f, held_bytes_max);
    run(p);
    expect(p, TZ_MSG_HELLO);
    give_welcome(p, head, push_max);
    run(p);
    expect(p, TZ_MSG_PULL);
    return p;
}

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
        T(frames_out_of_turn_close_the_session),
        T(damaged_messages_close_the_session_and_change_nothing),
        T(flood_without_acknowledgement_is_cut_off),
        T(silent_server_is_pinged_then_left),
        T(ping_is_answered),
        T(refusal_of_the_server_is_told_with_its_arguments),
        T(verification_is_answered_once),
        T(history_is_answered_once),
        T(nothing_of_a_session_is_done_after_a_job_that_failed),
        T(job_that_comes_back_after_closing_is_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
