/* SPDX-License-Identifier: Apache-2.0 */
/* Rows, checkpoints and grants as they come from the server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hash.h"
#include "office_fixture.h"

#include <string.h>

static int64_t count(struct fx *f, const char *sql)
{
    int64_t n = -1;
    assert_int_equal(tz_db_query_int(tz_office_db(f->o), sql, &n, NULL), 0);
    return n;
}

/** A Welcome of a device that may read nothing. */
static struct tz_msg_welcome welcome_of(const struct fx *f, uint32_t incarnation)
{
    static struct tz_session_user user = {
        .id = {.b = {[15] = 1}}, .code = "u1", .name = "一", .role = "D_CLERK", .active = true};
    return (struct tz_msg_welcome){.protocol = TZ_PROTOCOL_VERSION,
                                   .software = "test",
                                   .catalogue_version = f->cat.version,
                                   .wall_ms = f->clock.wall.ms,
                                   .epoch = 1,
                                   .device = FX_DEVICE,
                                   .incarnation = incarnation,
                                   .device_name = "desk",
                                   .role = "D_CLERK",
                                   .area = "120101",
                                   .users = &user,
                                   .nusers = 1,
                                   .push_in_flight_max = 8,
                                   .rows_in_flight_max = 4};
}

static void rows_are_visible_with_their_checkpoint_and_twice_is_once(void **state)
{
    struct fx *f = *state;
    struct tz_id id = fx_server_id(1);
    for (int i = 0; i < 2; i++) {
        fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
        assert_int_equal(fx_checkpoint(f, 10), 0);
        fx_assert_text(f, id, "name", "甲");
        assert_int_equal(count(f, "SELECT count(*) FROM organisation"), 1);
        assert_int_equal(count(f, "SELECT count(*) FROM cursor WHERE ver = 10"), 4); /* 2 areas × 2 tiers */
    }
}

static void older_row_is_passed_over(void **state)
{
    struct fx *f = *state;
    struct tz_id id = fx_server_id(1);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    fx_row(f, id, 8, TZ_ROW_LIVE, "120101", "旧", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    fx_assert_text(f, id, "name", "甲");
}

static void checkpoint_never_goes_back(void **state)
{
    struct fx *f = *state;
    assert_int_equal(fx_checkpoint(f, 10), 0);
    assert_int_equal(fx_checkpoint(f, 9), TZ_E_PROTOCOL);
}

static void deleted_row_comes_back_when_it_is_restored(void **state)
{
    struct fx *f = *state;
    struct tz_row row;
    struct tz_id id = fx_server_id(1);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    fx_row(f, id, 11, TZ_ROW_DELETED, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, 11), 0);
    assert_true(fx_read(f, f->org, id, &row, NULL));
    assert_true(row.deleted);
    assert_int_equal(count(f, "SELECT count(*) FROM organisation"), 0);
    fx_row(f, id, 12, TZ_ROW_LIVE, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, 12), 0);
    assert_true(fx_read(f, f->org, id, &row, NULL));
    assert_false(row.deleted);
}

/** It saved before it ever met the server, which had moved it by then: there is no cursor that would go. */
static void own_words_of_a_grant_that_ended_before_the_first_session_are_wiped(void **state)
{
    struct fx *f = *state;
    struct tz_err err = {0};
    struct tz_wiped w;
    uint64_t seq = 0;
    const char *districts[] = {"120102"};
    assert_int_equal(tz_db_exec(tz_office_db(f->o), "DELETE FROM cursor", &err), 0);
    (void)fx_new_org(f, "甲", &seq);
    fx_welcome(f, "D_CLERK", "120102", districts, 1, 1);
    assert_int_equal(fx_result(f, seq, TZ_OUT_UNDER_REVIEW, 10, 0), 0);
    assert_int_equal(fx_checkpoint(f, 11), 0);
    assert_int_equal(tz_office_wipe(f->o, &w, &err), 0);
    assert_int_equal(count(f, "SELECT count(*) FROM outbox WHERE length(raw) > 0"), 0);
    assert_true(w.receipt);
}

static void leaving_row_is_dropped_unless_it_is_here_through_another_area(void **state)
{
    struct fx *f = *state;
    struct tz_row row;
    const char *districts[] = {"120101", "120102"};
    struct tz_id gone = fx_server_id(1);
    struct tz_id moved = fx_server_id(2);
    fx_welcome(f, "D_CLERK", "120101", districts, 2, 1);
    fx_row(f, gone, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    fx_row(f, moved, 10, TZ_ROW_LIVE, "120101", "乙", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    fx_row(f, gone, 12, TZ_ROW_LEFT, "120101", NULL, NULL);
    fx_row(f, moved, 12, TZ_ROW_LIVE, "120102", "乙", NULL);
    fx_row(f, moved, 12, TZ_ROW_LEFT, "120101", NULL, NULL);
    assert_int_equal(fx_checkpoint(f, 12), 0);
    assert_false(fx_read(f, f->org, gone, &row, NULL));
    assert_true(fx_read(f, f->org, moved, &row, NULL));
    assert_string_equal(row.area.district, "120102");
}

static void removed_area_takes_its_rows_but_not_the_edits(void **state)
{
    struct fx *f = *state;
    struct tz_row row;
    const char *both[] = {"120101", "120102"};
    struct tz_id here = fx_server_id(1);
    struct tz_id there = fx_server_id(2);
    struct tz_id edited = fx_server_id(3);
    struct tz_id dead = fx_server_id(4);
    fx_welcome(f, "D_CLERK", "120101", both, 2, 1);
    fx_row(f, here, 10, TZ_ROW_LIVE, "120102", "甲", NULL);
    fx_row(f, there, 10, TZ_ROW_LIVE, "120101", "乙", NULL);
    fx_row(f, edited, 10, TZ_ROW_LIVE, "120101", "丙", NULL);
    fx_row(f, dead, 10, TZ_ROW_DELETED, "120101", "丁", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    fx_edit(f, edited, NULL, "name", tz_value_text("改"));
    fx_welcome(f, "D_CLERK", "120102", &both[1], 1, 1);
    assert_true(fx_read(f, f->org, here, &row, NULL));
    assert_false(fx_read(f, f->org, there, &row, NULL));
    assert_false(fx_read(f, f->org, edited, &row, NULL));
    assert_false(fx_read(f, f->org, dead, &row, NULL));
    assert_int_equal(count(f, "SELECT count(*) FROM cursor WHERE district = '120101'"), 0);
    assert_int_equal(count(f, "SELECT count(*) FROM outbox WHERE outcome = 0"), 1);
    assert_false(tz_office_filling(f->o));
    fx_welcome(f, "D_CLERK", "120102", both, 2, 1); /* regained: from the start */
    assert_true(tz_office_filling(f->o));
    assert_int_equal(count(f, "SELECT count(*) FROM cursor WHERE district = '120101' AND ver = 0"), 2);
}

static void other_right_to_read_secrets_asks_for_every_row_again(void **state)
{
    struct fx *f = *state;
    const char *districts[] = {"120101"};
    struct tz_id id = fx_server_id(1);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    f->reads_secret = true;
    fx_welcome(f, "D_CLERK", "120101", districts, 1, 1);
    assert_int_equal(count(f, "SELECT count(*) FROM cursor WHERE ver = 0"), 4);
    assert_true(tz_office_filling(f->o));
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "甲", "现在可见"); /* the same version, seen with other eyes */
    assert_int_equal(fx_checkpoint(f, 10), 0);
    fx_assert_text(f, id, "address", "现在可见");
}

static void while_filling_rows_show_early_and_deletions_wait(void **state)
{
    struct fx *f = *state;
    const char *both[] = {"120101", "120102"};
    struct tz_id id = fx_server_id(1);
    struct tz_row row;
    struct tz_seen seen;
    struct tz_msg_rows rows;
    struct tz_msg_verified v;
    fx_welcome(f, "D_CLERK", "120101", both, 2, 1);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    struct tz_cursor progress = {.area = {"120102", ""}, .tier = 1, .ver = 5};
    assert_int_equal(tz_msg_put_rows_progress(&f->rows, &progress), 0);
    assert_int_equal(tz_msg_read_rows(tz_buf_unread(&f->rows), &f->a, &rows, NULL), 0);
    assert_int_equal(tz_office_fill(f->o, &rows, NULL), 0);
    tz_buf_clear(&f->rows);
    assert_int_equal(count(f, "SELECT ver FROM cursor WHERE district = '120102' AND tier = 1"), 5);
    assert_true(fx_read(f, f->org, id, &row, &seen));
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_delete(s, f->org, id, &seen, NULL), TZ_E_INCOMPLETE);
    tz_save_cancel(s);
    fx_new_org(f, "新", NULL);
    assert_int_equal(tz_office_digest(f->o, &v, NULL), TZ_E_INCOMPLETE);
    assert_int_equal(fx_checkpoint(f, 20), 0);
    assert_false(tz_office_filling(f->o));
    assert_int_equal(tz_office_digest(f->o, &v, NULL), 0);
    assert_int_equal(v.rows, 1); /* the own new record is not confirmed */
}

static void damaged_row_is_set_aside_and_the_rest_goes_on(void **state)
{
    struct fx *f = *state;
    struct tz_row row;
    struct tz_office_status st;
    struct tz_id bad = fx_server_id(1);
    struct tz_id good = fx_server_id(2);
    static const uint8_t junk[] = {0x12, 0x02, 0xff, 0xfe}; /* a name that is not UTF-8 */
    struct tz_msg_row in = {
        .type = f->org->id, .id = bad, .ver = 10, .area = {"120101", ""}, .body = {junk, sizeof junk}};
    fx_row_raw(f, &in);
    fx_row(f, good, 10, TZ_ROW_LIVE, "120101", "乙", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    assert_false(fx_read(f, f->org, bad, &row, NULL));
    assert_true(fx_read(f, f->org, good, &row, NULL));
    assert_int_equal(tz_office_status(f->o, &st, NULL), 0);
    assert_int_equal(st.set_aside, 1);
    fx_row(f, bad, 11, TZ_ROW_LIVE, "120101", "甲", NULL); /* mended */
    assert_int_equal(fx_checkpoint(f, 11), 0);
    assert_int_equal(tz_office_status(f->o, &st, NULL), 0);
    assert_int_equal(st.set_aside, 0);
    fx_assert_text(f, bad, "name", "甲");
}

static void unknown_type_is_kept_raw_and_promoted(void **state)
{
    struct fx *f = *state;
    struct tz_id id = fx_server_id(1);
    struct tz_row row;
    struct tz_catalogue without = f->cat; /* the same catalogue before organisations came */
    struct tz_type *types = tz_arena_calloc(&f->a, f->cat.ntypes, sizeof *types);
    struct tz_msg_verified before;
    struct tz_msg_verified after;
    memcpy(types, f->cat.types, f->cat.ntypes * sizeof *types);
    for (size_t i = 0; i < f->cat.ntypes; i++)
        if (types[i].id == f->org->id)
            types[i].id = 250; /* as if 10 were not given to any type */
    without.types = types;
    fx_reopen(f, &without);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    assert_int_equal(count(f, "SELECT count(*) FROM raw_row"), 1);
    assert_int_equal(tz_office_digest(f->o, &before, NULL), 0);
    assert_int_equal(before.rows, 1);
    fx_reopen(f, &f->cat);
    assert_int_equal(count(f, "SELECT count(*) FROM raw_row"), 0);
    assert_true(fx_read(f, f->org, id, &row, NULL));
    assert_int_equal(row.ver, 10);
    assert_int_equal(tz_office_digest(f->o, &after, NULL), 0);
    assert_memory_equal(before.digest, after.digest, sizeof before.digest);
}

static void digest_is_over_the_confirmed_state(void **state)
{
    struct fx *f = *state;
    struct tz_msg_verified v;
    struct tz_msg_verified edited;
    uint8_t want[TZ_HASH_BYTES];
    struct tz_buf b;
    struct tz_buf body;
    struct tz_record rec;
    struct tz_id id = fx_server_id(1);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    assert_int_equal(tz_office_digest(f->o, &v, NULL), 0);
    tz_buf_init(&b, 4096);
    tz_buf_init(&body, 4096);
    tz_record_init(&rec, f->org);
    fx_set(&rec, NULL, "name", tz_value_text("甲"));
    fx_set(&rec, NULL, "district_code", tz_value_text("120101"));
    fx_set(&rec, NULL, "status", tz_value_text("unverified"));
    assert_int_equal(tz_record_encode(&rec, &body), 0);
    uint8_t head[32] = {0, 0, 0, (uint8_t)f->org->id};
    memcpy(head + 4, id.b, 16);
    head[27] = 10;
    head[31] = (uint8_t)body.len;
    assert_int_equal(tz_buf_put(&b, head, sizeof head), 0);
    assert_int_equal(tz_buf_put(&b, body.p, body.len), 0);
    assert_int_equal(tz_sha256(tz_buf_unread(&b), want), 0);
    assert_memory_equal(v.digest, want, sizeof want);
    tz_buf_deinit(&b);
    tz_buf_deinit(&body);
    fx_edit(f, id, NULL, "name", tz_value_text("乙"));
    fx_new_org(f, "新", NULL);
    assert_int_equal(tz_office_digest(f->o, &edited, NULL), 0);
    assert_int_equal(edited.rows, 1);
    assert_memory_equal(v.digest, edited.digest, sizeof v.digest);
}

static int count_rows(void *ctx, const struct tz_row *row)
{
    assert_non_null(row->rec.type);
    ++*(int *)ctx;
    return 1;
}

static void confirmed_and_viewed_rows_differ_by_the_own_edits(void **state)
{
    struct fx *f = *state;
    int seen = 0;
    struct tz_id id = fx_server_id(1);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    fx_new_org(f, "新", NULL);
    assert_int_equal(tz_office_each_row(f->o, true, false, count_rows, &seen, NULL), 0);
    assert_int_equal(seen, 2);
    seen = 0;
    assert_int_equal(tz_office_each_row(f->o, false, false, count_rows, &seen, NULL), 0);
    assert_int_equal(seen, 1);
}

static void leaving_and_deletion_reach_rows_under_pending_edits(void **state)
{
    struct fx *f = *state;
    struct tz_row row;
    struct tz_id id = fx_server_id(1);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    uint64_t seq = fx_edit(f, id, NULL, "name", tz_value_text("乙"));
    fx_row(f, id, 12, TZ_ROW_DELETED, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, 12), 0);
    assert_true(fx_read(f, f->org, id, &row, NULL));
    assert_false(row.deleted); /* the own edit brings it back, as far as this office knows */
    assert_int_equal(fx_result(f, seq, TZ_OUT_REFUSED, 0, TZ_E_DELETED), 0);
    assert_true(fx_read(f, f->org, id, &row, NULL));
    assert_true(row.deleted);
    fx_row(f, id, 14, TZ_ROW_LEFT, "120101", NULL, NULL);
    assert_int_equal(fx_checkpoint(f, 14), 0);
    assert_false(fx_read(f, f->org, id, &row, NULL));
}

static void another_installations_session_is_refused_and_nothing_is_lost(void **state)
{
    struct fx *f = *state;
    uint64_t open;
    struct tz_msg_welcome w = welcome_of(f, 2);
    fx_new_org(f, "甲", &open);
    assert_int_equal(tz_office_welcome(f->o, &w, NULL), TZ_E_PROTOCOL);
    assert_int_equal(tz_office_identity(f->o)->incarnation, 1);
    assert_int_equal(fx_changeset(f, open).incarnation, 1);
    assert_int_equal(count(f, "SELECT count(*) FROM grant_area"), 2); /* as the last Welcome left it */
}

static void role_without_areas_holds_nothing_and_is_complete(void **state)
{
    struct fx *f = *state;
    struct tz_row row;
    struct tz_cursor *cursors;
    size_t n;
    struct tz_office_status st;
    struct tz_id id = fx_server_id(1);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    assert_int_equal(tz_office_status(f->o, &st, NULL), 0);
    assert_false(st.no_areas);
    struct tz_msg_welcome w = welcome_of(f, 1);
    w.role = "AUDITOR";
    assert_int_equal(tz_office_welcome(f->o, &w, NULL), 0);
    assert_int_equal(tz_office_cursors(f->o, &f->a, &cursors, &n, NULL), 0);
    assert_int_equal(n, 0);
    assert_false(fx_read(f, f->org, id, &row, NULL));
    assert_int_equal(tz_office_status(f->o, &st, NULL), 0);
    assert_true(st.no_areas);
    assert_false(st.filling);
}

static void area_that_goes_with_the_secrets_takes_its_rows(void **state)
{
    struct fx *f = *state;
    struct tz_row row;
    const char *both[] = {"120101", "120102"};
    struct tz_id here = fx_server_id(1);
    struct tz_id there = fx_server_id(2);
    fx_welcome(f, "D_CLERK", "120101", both, 2, 1);
    fx_row(f, here, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    fx_row(f, there, 10, TZ_ROW_LIVE, "120102", "乙", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    f->reads_secret = !f->reads_secret;
    fx_welcome(f, "D_CLERK", "120101", both, 1, 1);
    assert_true(fx_read(f, f->org, here, &row, NULL));
    assert_false(fx_read(f, f->org, there, &row, NULL));
}

static void put_damaged(struct fx *f, struct tz_id id, tz_ver ver, const char *district)
{
    static const uint8_t junk[] = {0x12, 0x02, 0xff, 0xfe};
    struct tz_msg_row in = {.type = f->org->id, .id = id, .ver = ver, .body = {junk, sizeof junk}};
    memcpy(in.area.district, district, 7);
    fx_row_raw(f, &in);
}

static void leaving_takes_what_was_set_aside_for_that_area(void **state)
{
    struct fx *f = *state;
    const char *both[] = {"120101", "120102"};
    struct tz_id gone = fx_server_id(1);
    struct tz_id moved = fx_server_id(2);
    struct tz_id back = fx_server_id(3);
    fx_welcome(f, "D_CLERK", "120101", both, 2, 1);
    put_damaged(f, gone, 10, "120101");
    put_damaged(f, moved, 12, "120102");
    put_damaged(f, back, 14, "120101");
    fx_row(f, moved, 10, TZ_ROW_LIVE, "120101", "乙", NULL); /* comes late, from the other area's page */
    assert_int_equal(fx_checkpoint(f, 14), 0);
    assert_int_equal(count(f, "SELECT count(*) FROM set_aside"), 3);
    fx_row(f, gone, 15, TZ_ROW_LEFT, "120101", NULL, NULL);
    fx_row(f, moved, 15, TZ_ROW_LEFT, "120101", NULL, NULL); /* it is set aside where it went */
    fx_row(f, back, 13, TZ_ROW_LEFT, "120101", NULL, NULL);  /* older than its return */
    assert_int_equal(fx_checkpoint(f, 15), 0);
    assert_int_equal(count(f, "SELECT count(*) FROM set_aside"), 2);
    assert_int_equal(count(f, "SELECT count(*) FROM set_aside WHERE ver = 10"), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        T(rows_are_visible_with_their_checkpoint_and_twice_is_once),
        T(older_row_is_passed_over),
        T(checkpoint_never_goes_back),
        T(deleted_row_comes_back_when_it_is_restored),
        T(own_words_of_a_grant_that_ended_before_the_first_session_are_wiped),
        T(leaving_row_is_dropped_unless_it_is_here_through_another_area),
        T(removed_area_takes_its_rows_but_not_the_edits),
        T(other_right_to_read_secrets_asks_for_every_row_again),
        T(while_filling_rows_show_early_and_deletions_wait),
        T(damaged_row_is_set_aside_and_the_rest_goes_on),
        T(unknown_type_is_kept_raw_and_promoted),
        T(digest_is_over_the_confirmed_state),
        T(confirmed_and_viewed_rows_differ_by_the_own_edits),
        T(leaving_and_deletion_reach_rows_under_pending_edits),
        T(another_installations_session_is_refused_and_nothing_is_lost),
        T(role_without_areas_holds_nothing_and_is_complete),
        T(area_that_goes_with_the_secrets_takes_its_rows),
        T(leaving_takes_what_was_set_aside_for_that_area),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
