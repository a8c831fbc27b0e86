/* SPDX-License-Identifier: Apache-2.0 */
/* The server purged what this replica never heard of: everything comes anew, and what does not come again goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "office_fixture.h"

#include <string.h>

static int64_t count(struct fx *f, const char *sql)
{
    int64_t n = -1;
    assert_int_equal(tz_db_query_int(tz_office_db(f->o), sql, &n, NULL), 0);
    return n;
}

static void welcome(struct fx *f, tz_ver horizon)
{
    const char *districts[] = {"120101"};
    f->horizon = horizon;
    fx_welcome(f, "D_CLERK", "120101", districts, 1, 1);
}

static bool there(struct fx *f, struct tz_id id)
{
    struct tz_row row;
    return fx_read(f, f->org, id, &row, NULL) && !row.deleted;
}

/** Rows without a checkpoint, as while filling; the pair of the organisations is complete up to @progress. */
static void fill(struct fx *f, tz_ver progress)
{
    struct tz_arena a;
    struct tz_msg_rows rows;
    struct tz_cursor c = {.area = {"120101", ""}, .tier = f->org->tier, .ver = progress};
    tz_arena_init(&a, 1024 * 1024);
    assert_int_equal(tz_msg_read_rows(tz_buf_unread(&f->rows), &a, &rows, NULL), 0);
    rows.progress = &c;
    rows.nprogress = progress != 0;
    assert_int_equal(tz_office_fill(f->o, &rows, NULL), 0);
    tz_buf_clear(&f->rows);
    tz_arena_deinit(&a);
}

static void who_is_not_behind_goes_on_as_before(void **state)
{
    struct fx *f = *state;
    struct tz_id id = fx_server_id(1);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, 20), 0);
    welcome(f, 20);
    assert_false(tz_office_filling(f->o));
    assert_int_equal(count(f, "SELECT min(ver) FROM cursor"), 20);
    assert_int_equal(count(f, "SELECT count(*) FROM refresh"), 0);
}

static void what_does_not_come_again_goes_at_the_checkpoint_and_not_before(void **state)
{
    struct fx *f = *state;
    struct tz_id stays = fx_server_id(1);
    struct tz_id ghost = fx_server_id(2);
    struct tz_id dead = fx_server_id(3);
    struct tz_id news = fx_server_id(4);
    fx_row(f, stays, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    fx_row(f, ghost, 11, TZ_ROW_LIVE, "120101", "乙", NULL);
    fx_row(f, dead, 12, TZ_ROW_DELETED, "120101", "丙", NULL);
    assert_int_equal(fx_checkpoint(f, 20), 0);
    welcome(f, 500);
    assert_true(tz_office_filling(f->o));
    assert_int_equal(count(f, "SELECT max(ver) FROM cursor"), 0);
    assert_int_equal(count(f, "SELECT min(begun) FROM cursor"), 500);
    assert_true(there(f, stays) && there(f, ghost)); /* nobody works on an empty screen meanwhile */
    fx_row(f, news, 600, TZ_ROW_LIVE, "120101", "丁", NULL);
    fill(f, 0);
    assert_true(there(f, ghost));
    fx_row(f, stays, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, 700), 0);
    assert_true(there(f, stays) && there(f, news));
    assert_false(there(f, ghost));
    assert_int_equal(count(f, "SELECT count(*) FROM _tombstone"), 0);
    assert_int_equal(count(f, "SELECT count(*) FROM refresh"), 0);
    assert_false(tz_office_filling(f->o));
    welcome(f, 500);
    assert_false(tz_office_filling(f->o));
}

static void cut_off_in_the_middle_it_resumes(void **state)
{
    struct fx *f = *state;
    struct tz_id a = fx_server_id(1);
    struct tz_id b = fx_server_id(2);
    struct tz_id ghost = fx_server_id(3);
    fx_row(f, a, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    fx_row(f, b, 11, TZ_ROW_LIVE, "120101", "乙", NULL);
    fx_row(f, ghost, 12, TZ_ROW_LIVE, "120101", "丙", NULL);
    assert_int_equal(fx_checkpoint(f, 20), 0);
    welcome(f, 500);
    fx_row(f, a, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    fill(f, 10);
    fx_reopen(f, NULL); /* killed; its cursor is below the horizon, and what is noted is noted */
    welcome(f, 500);
    assert_int_equal(count(f, "SELECT max(ver) FROM cursor"), 10);
    assert_int_equal(count(f, "SELECT count(*) FROM refresh"), 2);
    fx_row(f, b, 11, TZ_ROW_LIVE, "120101", "乙", NULL);
    assert_int_equal(fx_checkpoint(f, 700), 0);
    assert_true(there(f, a) && there(f, b));
    assert_false(there(f, ghost));
}

static void a_purge_in_the_middle_of_it_begins_it_anew(void **state)
{
    struct fx *f = *state;
    struct tz_id a = fx_server_id(1);
    fx_row(f, a, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, 20), 0);
    welcome(f, 500);
    fx_row(f, a, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    fill(f, 10);
    welcome(f, 600); /* `a` was deleted and purged meanwhile */
    assert_int_equal(count(f, "SELECT max(ver) FROM cursor"), 0);
    assert_int_equal(count(f, "SELECT count(*) FROM refresh"), 1);
    assert_int_equal(fx_checkpoint(f, 700), 0);
    assert_false(there(f, a));
}

static void own_unsent_edits_stay_on_top(void **state)
{
    struct fx *f = *state;
    struct tz_id stays = fx_server_id(1);
    struct tz_id ghost = fx_server_id(2);
    struct tz_row row;
    struct tz_seen seen;
    uint64_t seq = 0;
    fx_row(f, stays, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    fx_row(f, ghost, 11, TZ_ROW_LIVE, "120101", "乙", NULL);
    assert_int_equal(fx_checkpoint(f, 20), 0);
    assert_true(fx_read(f, f->org, stays, &row, &seen));
    fx_edit(f, stays, &seen, "address", tz_value_text("新址"));
    assert_true(fx_read(f, f->org, ghost, &row, &seen));
    uint64_t late = fx_edit(f, ghost, &seen, "address", tz_value_text("迟了"));
    struct tz_id own = fx_new_org(f, "自建", &seq);
    welcome(f, 500);
    assert_int_equal(count(f, "SELECT count(*) FROM refresh"), 2); /* the own one was never the server's */
    fx_row(f, stays, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, 700), 0);
    fx_assert_text(f, stays, "address", "新址");
    assert_true(there(f, own));
    assert_int_equal(count(f, "SELECT count(*) FROM outbox WHERE outcome = 0"), 3);
    /* the edit of the record that is gone is judged: its words are in a case, and it leaves */
    assert_int_equal(fx_result(f, late, TZ_OUT_SUPERSEDED, 710, 0), 0);
    assert_int_equal(fx_checkpoint(f, 710), 0);
    assert_false(there(f, ghost));
    assert_int_equal(count(f, "SELECT count(*) FROM _shadow WHERE id = x'00000000000000000000000000000000'"), 0);
}

static void a_replica_that_is_filling_for_the_first_time_is_noted_too(void **state)
{
    struct fx *f = *state;
    struct tz_id ghost = fx_server_id(1);
    const char *both[] = {"120101", "120102"};
    assert_int_equal(fx_checkpoint(f, 20), 0);
    fx_welcome(f, "D_CLERK", "120101", both, 2, 1); /* a new area: cursor 0, rows come before any progress */
    fx_row(f, ghost, 15, TZ_ROW_LIVE, "120102", "甲", NULL);
    fill(f, 0);
    f->horizon = 500;
    fx_welcome(f, "D_CLERK", "120101", both, 2, 1);
    assert_int_equal(count(f, "SELECT count(*) FROM refresh"), 1);
    assert_int_equal(fx_checkpoint(f, 700), 0);
    assert_false(there(f, ghost));
}

static void records_that_cannot_be_shown_are_refreshed_too(void **state)
{
    struct fx *f = *state;
    struct tz_msg_row raw = {.type = 9999, .id = fx_server_id(1), .ver = 10, .area = {"120101", ""}};
    struct tz_msg_row bad = {.type = f->org->id, .id = fx_server_id(2), .ver = 11, .area = {"120101", ""}};
    bad.body = tz_bytes_str("\x0f");
    raw.body = tz_bytes_str("\x08\x02");
    fx_row_raw(f, &raw);
    fx_row_raw(f, &bad);
    assert_int_equal(fx_checkpoint(f, 20), 0);
    assert_int_equal(count(f, "SELECT count(*) FROM raw_row"), 1);
    assert_int_equal(count(f, "SELECT count(*) FROM set_aside"), 1);
    welcome(f, 500);
    assert_int_equal(count(f, "SELECT count(*) FROM refresh"), 2);
    fx_reopen(f, NULL); /* what is kept is tried again: that is not having come again */
    assert_int_equal(count(f, "SELECT count(*) FROM refresh"), 2);
    assert_int_equal(fx_checkpoint(f, 700), 0);
    assert_int_equal(count(f, "SELECT count(*) FROM raw_row"), 0);
    assert_int_equal(count(f, "SELECT count(*) FROM set_aside"), 0);
}

static void a_restore_in_the_same_welcome_keeps_its_own_rules(void **state)
{
    struct fx *f = *state;
    static const struct tz_lost_range once[] = {{20, ((tz_ver)2 << TZ_VER_COUNTER_BITS) - 1, 2}};
    struct tz_id old = fx_server_id(1);
    struct tz_id lost = fx_server_id(2);
    fx_row(f, old, 10, TZ_ROW_LIVE, "120101", "旧", NULL);
    fx_row(f, lost, 21, TZ_ROW_LIVE, "120101", "失", NULL);
    assert_int_equal(fx_checkpoint(f, 30), 0);
    f->lost = once;
    f->nlost = 1;
    welcome(f, ((tz_ver)2 << TZ_VER_COUNTER_BITS) + 21);
    assert_int_equal(count(f, "SELECT count(*) FROM lost_row"), 1); /* perhaps the only copy: kept */
    fx_row(f, old, 10, TZ_ROW_LIVE, "120101", "旧", NULL);
    assert_int_equal(fx_checkpoint(f, ((tz_ver)2 << TZ_VER_COUNTER_BITS) + 22), 0);
    assert_true(there(f, old));
    assert_false(there(f, lost));
    assert_int_equal(count(f, "SELECT count(*) FROM lost_row"), 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(who_is_not_behind_goes_on_as_before),
        T(what_does_not_come_again_goes_at_the_checkpoint_and_not_before),
        T(cut_off_in_the_middle_it_resumes),
        T(a_purge_in_the_middle_of_it_begins_it_anew),
        T(own_unsent_edits_stay_on_top),
        T(a_replica_that_is_filling_for_the_first_time_is_noted_too),
        T(records_that_cannot_be_shown_are_refreshed_too),
        T(a_restore_in_the_same_welcome_keeps_its_own_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
