/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A damaged office and the answers of its server: versions that move meanwhile, a server that has forgotten, and
 * answers that no honest server gives.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "desk_fixture.h"

/* ---- the server's word ---- */

static void server_that_may_have_forgotten_keeps_what_only_we_have(void **state)
{
    struct sx *f = *state;
    struct tz_id id = org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->d1);
    d->keeps = true;
    sql(d, "INSERT INTO organisation(_id,name,_ver,_district,_street)"
           " VALUES(x'01800000000070008000000000000001','只此一份',5,'120101','120101001')");
    sql(d, "INSERT INTO organisation(_id,name,_ver,_district,_street)"
           " VALUES(x'01800000000070008000000000000002','区外',5,'120102','')");
    sql(d, "UPDATE organisation SET address='假' WHERE _id=x'%s'", sx_hex(f, id));
    repair(d, false, 1, 0, 0);
    assert_int_equal(d->report.n[TZ_REPAIR_KEPT], 2);
    assert_int_equal(query(d, "SELECT count(*) FROM organisation"), 3);
    assert_int_equal(query(d, "SELECT count(*) FROM set_aside"), 0);
    assert_field(d, id, false, "address", NULL);
    desk_free(d);
}

/* ---- versions ---- */

/** Somebody else saves in this district, and the session hears of it. */
static void neighbour_saves(struct desk *d)
{
    org(d->f, "新", "120101001");
    tz_session_on_head(d->server, tz_store_head(d->f->s), NULL, 0);
}

static void neighbour_saves_once(struct desk *d)
{
    if (d->digests <= 2)
        neighbour_saves(d);
    run(d); /* its rows and checkpoint are here before the answer is */
}

static void answer_that_the_checkpoint_has_passed_is_asked_for_again(void **state)
{
    struct sx *f = *state;
    struct tz_id id = org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->d1);
    sql(d, "UPDATE organisation SET address='假' WHERE _id=x'%s'", sx_hex(f, id));
    d->on_digest = neighbour_saves_once;
    repair(d, false, 1, 0, 0); /* the new rows are nobody's damage */
    assert_true(d->sent[TZ_MSG_DIGEST_REQUEST] > 3);
    assert_same(d);
    desk_free(d);
}

static struct tz_id edited;

/** While the old row is on its way down, the record changes, and its new row is here first. */
static void record_changes_under_its_answer(struct desk *d)
{
    if (d->digests != 3)
        return;
    sx_see(&d->f->d1b);
    sx_applied(sx_set(&d->f->d1b, "organisation", edited, "name=新名", NULL));
    tz_session_on_head(d->server, tz_store_head(d->f->s), NULL, 0);
    run(d);
    assert_field(d, edited, false, "name", "新名");
}

static void old_row_never_takes_the_place_of_a_newer_one(void **state)
{
    struct sx *f = *state;
    edited = org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->d1);
    sql(d, "UPDATE organisation SET address='假'");
    d->on_digest = record_changes_under_its_answer;
    repair(d, false, 0, 0, 0); /* the new row was whole */
    assert_int_equal(d->sent[TZ_MSG_DIGEST_REQUEST], 4);
    assert_field(d, edited, false, "name", "新名");
    assert_same(d);
    desk_free(d);
}

/** Its version here says that it is newer than anything: what comes of it is passed over. */
static void record_moves_under_its_answer(struct desk *d)
{
    if (d->digests != 2)
        return;
    sx_see(&d->f->d1b);
    sx_applied(sx_set(&d->f->d1b, "organisation", edited, "street_code=120101002", NULL));
    tz_session_on_head(d->server, tz_store_head(d->f->s), NULL, 0);
    run(d);
}

static void record_that_moves_meanwhile_is_there_in_the_end(void **state)
{
    struct sx *f = *state;
    edited = org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->d1);
    sql(d, "UPDATE organisation SET _ver=_ver+400");
    d->on_digest = record_moves_under_its_answer;
    repair(d, false, 0, 1, 1); /* out where it was, in where it is */
    assert_field(d, edited, false, "street_code", "120101002");
    assert_same(d);
    desk_free(d);
}

static void neighbour_saves_always(struct desk *d)
{
    neighbour_saves(d);
    run(d);
}

static void server_that_never_stands_still_is_given_up(void **state)
{
    struct sx *f = *state;
    struct desk *d = desk_new(&f->d1);
    d->on_digest = neighbour_saves_always;
    start(d, false);
    run(d);
    assert_true(d->done);
    assert_int_equal(d->report.code, TZ_E_TIMEOUT);
    assert_int_equal(tz_repair_total(&d->report), 0);
    assert_int_equal(d->sent[TZ_MSG_DIGEST_REQUEST], 8);
    d->on_digest = NULL;
    repair(d, false, 0, 0, 0); /* the session goes on, and so may another try */
    desk_free(d);
}

/** The server is asked after a save that the session has not heard of: its answer is ahead of our checkpoint. */
static void answer_from_ahead_waits_for_the_checkpoint(void **state)
{
    struct sx *f = *state;
    org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->d1);
    org(f, "新", "120101001");
    repair(d, false, 0, 0, 0);
    assert_int_equal(d->sent[TZ_MSG_DIGEST_REQUEST], 1);
    assert_same(d); /* it came with the checkpoint that the answer waited for */
    desk_free(d);
}

static void saves_in_other_districts_disturb_nobody(void **state)
{
    struct sx *f = *state;
    org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->d1);
    tz_ver at = tz_sync_counters(d->sync)->checkpoint;
    sx_create(&f->d2, "organisation", "name=丁", "district_code=120102", NULL);
    repair(d, false, 0, 0, 0);
    assert_int_equal(d->sent[TZ_MSG_DIGEST_REQUEST], 1);
    assert_int_equal(tz_sync_counters(d->sync)->checkpoint, at); /* valid where we stood */
    desk_free(d);
}

/** A street's reader and a save in another street of its district: it is not even told that there was one. */
static void saves_in_other_streets_are_not_told(void **state)
{
    struct sx *f = *state;
    org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->s1);
    tz_ver at = tz_sync_counters(d->sync)->checkpoint;
    org(f, "乙", "120101002");
    repair(d, false, 0, 0, 0);
    assert_int_equal(d->sent[TZ_MSG_DIGEST_REQUEST], 1);
    assert_int_equal(tz_sync_counters(d->sync)->checkpoint, at);
    desk_free(d);
}

/* ---- hostile answers ---- */

static void answer(struct desk *d, const struct tz_msg_digest *m)
{
    struct tz_buf b;
    tz_buf_init(&b, TZ_FRAME_BODY_MAX);
    assert_int_equal(tz_msg_put_digest(&b, m), 0);
    struct tz_frame fr = {.type = TZ_MSG_DIGEST, .body = tz_buf_unread(&b)};
    tz_sync_on_frame(d->sync, &fr);
    tz_buf_deinit(&b);
    run(d);
}

static struct tz_msg_digest at_head(struct desk *d, enum tz_digest_round round)
{
    return (struct tz_msg_digest){.round = round, .ver = tz_store_head(d->f->s), .since = 1};
}

/** The client asked; its question is lost, and the test answers. */
static void asked(struct desk *d)
{
    start(d, false);
    assert_int_equal(d->up.n, 1);
    d->up.n = 0;
}

static void assert_broken(struct desk *d)
{
    assert_true(d->closed);
    assert_int_equal(d->why.code, TZ_E_PROTOCOL);
    assert_false(d->done);
}

static void answer_nobody_asked_for_ends_the_session(void **state)
{
    struct sx *f = *state;
    struct desk *d = desk_new(&f->d1);
    struct tz_msg_digest m = at_head(d, TZ_DIGEST_AREAS);
    answer(d, &m);
    assert_broken(d);
    desk_free(d);
}

static void answer_of_another_round_ends_the_session(void **state)
{
    struct sx *f = *state;
    struct desk *d = desk_new(&f->d1);
    struct tz_msg_digest m = at_head(d, TZ_DIGEST_RANGES);
    asked(d);
    answer(d, &m);
    assert_broken(d);
    desk_free(d);
}

static void keys_that_do_not_ascend_end_the_session(void **state)
{
    struct sx *f = *state;
    struct desk *d = desk_new(&f->d1);
    struct tz_bucket e[2] = {{.key = {20, {"120101", ""}}, .sum = {.rows = 1}},
                             {.key = {20, {"120101", ""}}, .sum = {.rows = 1}}};
    struct tz_msg_digest m = at_head(d, TZ_DIGEST_AREAS);
    m.entries = e;
    m.nentries = 2;
    asked(d);
    answer(d, &m);
    assert_broken(d);
    desk_free(d);
}

static void page_without_end_ends_the_session(void **state)
{
    struct sx *f = *state;
    struct desk *d = desk_new(&f->d1);
    struct tz_msg_digest m = at_head(d, TZ_DIGEST_AREAS);
    m.more = true; /* … and nothing in it: one could ask for ever */
    asked(d);
    answer(d, &m);
    assert_broken(d);
    desk_free(d);
}

/** Lead the client to its question for rows, which is lost. */
static void led_to_rows(struct desk *d)
{
    sql(d, "UPDATE organisation SET address='假'");
    start(d, false);
    while (d->sent[TZ_MSG_DIGEST_REQUEST] < 3)
        assert_true(step(d));
    assert_int_equal(d->up.n - d->up.first, 1);
    d->up.first = d->up.n = 0;
}

static void rows_outside_the_question_end_the_session_and_write_nothing(void **state)
{
    struct sx *f = *state;
    for (int wrong = 0; wrong < 4; wrong++) {
        struct tz_id id = org(f, "甲", "120101001");
        struct desk *d = desk_new(&f->d1);
        led_to_rows(d);
        struct tz_msg_row row = {.type = sx_type(f, "organisation")->id,
                                 .id = id,
                                 .ver = 1,
                                 .area = {"120101", "120101001"},
                                 .state = TZ_ROW_LIVE,
                                 .body = tz_bytes_str("\x0a\x01x")};
        struct tz_msg_digest m = at_head(d, TZ_DIGEST_ROWS);
        if (wrong == 0)
            row.area = (struct tz_area){"120101", "120101002"};
        if (wrong == 1)
            row.type++;
        if (wrong == 2)
            row.state = TZ_ROW_DELETED;
        if (wrong == 3)
            row.id.b[9] ^= 1; /* another range, most likely */
        m.rows = &row;
        m.nrows = 1;
        answer(d, &m);
        assert_broken(d);
        assert_int_equal(query(d, "SELECT count(*) FROM organisation WHERE address='假'"),
                         query(d, "SELECT count(*) FROM organisation"));
        desk_free(d);
    }
}

/** What cannot be stored is told as such, and what is held stays. */
static void row_that_does_not_fit_is_set_aside(void **state)
{
    struct sx *f = *state;
    struct tz_id id = org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->d1);
    led_to_rows(d);
    struct tz_msg_row row = {.type = sx_type(f, "organisation")->id,
                             .id = id,
                             .ver = tz_store_head(f->s),
                             .area = {"120101", "120101001"},
                             .state = TZ_ROW_LIVE,
                             .body = tz_bytes_str("\xff\xff")};
    struct tz_msg_digest m = at_head(d, TZ_DIGEST_ROWS);
    m.rows = &row;
    m.nrows = 1;
    answer(d, &m);
    assert_true(d->done);
    assert_int_equal(d->report.n[TZ_REPAIR_UNFIT], 1);
    assert_int_equal(query(d, "SELECT count(*) FROM organisation"), 1);
    struct tz_office_status st;
    assert_int_equal(tz_office_status(d->o, &st, &f->err), 0);
    assert_int_equal(st.set_aside, 1);
    desk_free(d);
}

static void one_repair_at_a_time(void **state)
{
    struct sx *f = *state;
    struct desk *d = desk_new(&f->d1);
    start(d, false);
    assert_int_equal(tz_sync_repair(d->sync, false, on_repaired, d), TZ_E_DB_BUSY);
    run(d);
    assert_true(d->done);
    repair(d, false, 0, 0, 0);
    start(d, false);
    tz_sync_repair_cancel(d->sync);
    assert_false(d->done);
    tz_sync_stop(d->sync);
    assert_int_equal(tz_sync_repair(d->sync, false, on_repaired, d), TZ_E_GONE);
    desk_free(d);
}

/** The server: a second question before the answer, and one outside the grant, end the session. */
static void server_takes_one_question_at_a_time_and_none_outside_the_grant(void **state)
{
    struct sx *f = *state;
    struct tz_msg_digest_request q = {.round = TZ_DIGEST_AREAS};
    struct tz_buf b;
    tz_buf_init(&b, 4096);
    for (int foreign = 0; foreign < 2; foreign++) {
        struct desk *d = desk_new(&f->d1);
        if (foreign) {
            q = (struct tz_msg_digest_request){.round = TZ_DIGEST_RANGES, .nkeys = 1};
            q.keys[0] = (struct tz_bucket_key){sx_type(f, "organisation")->id, {"120102", ""}};
        }
        tz_buf_clear(&b);
        assert_int_equal(tz_msg_put_digest_request(&b, &q), 0);
        for (int i = 0; i < 2 - foreign; i++) {
            struct tz_frame fr = {.type = TZ_MSG_DIGEST_REQUEST, .body = tz_buf_unread(&b)};
            tz_session_on_frame(d->server, &fr);
        }
        while (d->nsjobs)
            server_job(d);
        assert_int_equal(d->why.code, foreign ? TZ_E_AREA : TZ_E_PROTOCOL);
        assert_string_equal(tz_session_state_name(d->server), "closed");
        assert_int_equal(d->down.v[d->down.n - 1].type, TZ_MSG_ERROR);
        desk_free(d);
    }
    tz_buf_deinit(&b);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, sx_setup, sx_teardown)
    const struct CMUnitTest tests[] = {
        T(server_that_may_have_forgotten_keeps_what_only_we_have),
        T(answer_that_the_checkpoint_has_passed_is_asked_for_again),
        T(old_row_never_takes_the_place_of_a_newer_one),
        T(record_that_moves_meanwhile_is_there_in_the_end),
        T(server_that_never_stands_still_is_given_up),
        T(answer_from_ahead_waits_for_the_checkpoint),
        T(saves_in_other_districts_disturb_nobody),
        T(saves_in_other_streets_are_not_told),
        T(answer_nobody_asked_for_ends_the_session),
        T(answer_of_another_round_ends_the_session),
        T(keys_that_do_not_ascend_end_the_session),
        T(page_without_end_ends_the_session),
        T(rows_outside_the_question_end_the_session_and_write_nothing),
        T(row_that_does_not_fit_is_set_aside),
        T(one_repair_at_a_time),
        T(server_takes_one_question_at_a_time_and_none_outside_the_grant),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
