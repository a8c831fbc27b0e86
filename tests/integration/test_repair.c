/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A damaged office against the real server: sessions of both sides talk in memory, frames and jobs run when the test
 * says so. What is found, what is put right, and what is left alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "desk_fixture.h"

/* ---- nothing to do ---- */

static void sound_replicas_of_every_kind_of_reader_have_no_differences(void **state)
{
    struct sx *f = *state;
    org(f, "甲", "120101001");
    org(f, "乙", "120101002");
    sx_org(f, "丙");
    sx_create(&f->d2, "organisation", "name=丁", "district_code=120102", NULL);
    sx_create(&f->d1, "person", "name=张三", "district_code=120101", NULL);
    struct tz_id gone = sx_org(f, "戊");
    sx_applied(sx_delete(&f->d1, "organisation", gone));
    struct sx_dev *readers[] = {&f->d1, &f->fi, &f->s1, &f->c1, &f->d2};
    for (size_t i = 0; i < 5; i++) {
        struct desk *d = desk_new(readers[i]);
        repair(d, false, 0, 0, 0);
        assert_int_equal(d->sent[TZ_MSG_DIGEST_REQUEST], 1); /* the keys say it all */
        assert_int_equal(d->sent[TZ_MSG_DAMAGE], 0);
        assert_same(d);
        desk_free(d);
    }
}

/* ---- damage ---- */

static void exactly_the_damaged_rows_are_put_right(void **state)
{
    struct sx *f = *state;
    struct tz_id changed = org(f, "甲", "120101001");
    struct tz_id missing = org(f, "乙", "120101001");
    struct tz_id fine = org(f, "丙", "120101001");
    struct tz_id moved = org(f, "丁", "120101002");
    struct desk *d = desk_new(&f->d1);
    sql(d, "UPDATE organisation SET address='假' WHERE _id=x'%s'", sx_hex(f, changed));
    sql(d, "DELETE FROM organisation WHERE _id=x'%s'", sx_hex(f, missing));
    sql(d, "UPDATE organisation SET _ver=_ver+1000000 WHERE _id=x'%s'", sx_hex(f, moved));
    sql(d, "INSERT INTO organisation(_id,name,_ver,_district,_street)"
           " VALUES(x'01800000000070008000000000000001','假',5,'120101','120101001')");
    sql(d, "CREATE TEMP TABLE touched AS SELECT _id, 0 AS n FROM organisation");
    sql(d, "CREATE TEMP TRIGGER touch AFTER UPDATE ON organisation BEGIN"
           " UPDATE touched SET n=n+1 WHERE _id=NEW._id; END");
    repair(d, false, 2, 1, 1);
    assert_true(named(d, changed, TZ_REPAIR_CHANGED));
    assert_true(named(d, moved, TZ_REPAIR_CHANGED));
    assert_true(named(d, missing, TZ_REPAIR_MISSING));
    assert_field(d, changed, false, "address", NULL);
    assert_field(d, missing, false, "name", "乙");
    assert_same(d);
    assert_int_equal(query(d, "SELECT sum(n) FROM touched"), 2); /* nobody else was written */
    char text[160];
    (void)snprintf(text, sizeof text, "SELECT n FROM touched WHERE _id=x'%s'", sx_hex(f, fine));
    assert_int_equal(query(d, text), 0);
    assert_int_equal(query(d, "SELECT count(*) FROM set_aside WHERE body<>x'' AND ver=5"), 1); /* kept, not shown */
    struct tz_office_status st;
    assert_int_equal(tz_office_status(d->o, &st, &f->err), 0);
    assert_int_equal(st.set_aside, 0);
    assert_true(d->report.noted);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM incident WHERE instr(detail,'2 changed, 1 missing, 1 extra')>0"),
                     1);
    repair(d, false, 0, 0, 0);
    desk_free(d);
}

static void what_was_taken_out_stays_out(void **state)
{
    struct sx *f = *state;
    org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->d1);
    sql(d, "INSERT INTO organisation(_id,name,_ver,_district,_street)"
           " VALUES(x'01800000000070008000000000000001','假',5,'120101','120101001')");
    repair(d, false, 0, 0, 1);
    reopen(d); /* what is set aside is looked at again at each start */
    connect(d);
    assert_same(d);
    repair(d, false, 0, 0, 0);
    desk_free(d);
}

static void only_telling_writes_nothing(void **state)
{
    struct sx *f = *state;
    struct tz_id a = org(f, "甲", "120101001");
    struct tz_id b = org(f, "乙", "120101001");
    struct desk *d = desk_new(&f->d1);
    sql(d, "UPDATE organisation SET address='假' WHERE _id=x'%s'", sx_hex(f, a));
    sql(d, "DELETE FROM organisation WHERE _id=x'%s'", sx_hex(f, b));
    int64_t before = query(d, "SELECT total_changes()");
    repair(d, true, 1, 1, 0);
    assert_int_equal(query(d, "SELECT total_changes()"), before);
    assert_true(d->report.dry);
    assert_int_equal(d->sent[TZ_MSG_DAMAGE], 0);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM incident"), 0);
    repair(d, false, 1, 1, 0);
    assert_same(d);
    desk_free(d);
}

static void row_in_a_place_outside_the_grant_goes_back_to_its_own(void **state)
{
    struct sx *f = *state;
    struct tz_id a = org(f, "甲", "120101001");
    struct tz_id b = org(f, "乙", "120101001");
    struct desk *d = desk_new(&f->d1);
    sql(d, "UPDATE organisation SET _district='129999', _street='' WHERE _id=x'%s'", sx_hex(f, a));
    sql(d, "UPDATE organisation SET _street='1' WHERE _id=x'%s'", sx_hex(f, b)); /* not even a code */
    assert_same(d);            /* the digest over everything does not know of areas */
    repair(d, false, 0, 2, 1); /* @b's wrong place comes first: out, then in again at the right one */
    assert_int_equal(query(d, "SELECT count(*) FROM organisation WHERE _street='120101001'"), 2);
    assert_int_equal(query(d, "SELECT count(*) FROM set_aside"), 0); /* it is back, so nothing is kept aside */
    repair(d, false, 0, 0, 0);
    desk_free(d);
}

static void record_of_a_foreign_district_is_taken_out_without_asking(void **state)
{
    struct sx *f = *state;
    struct desk *d = desk_new(&f->d1);
    sql(d, "INSERT INTO organisation(_id,name,_ver,_district,_street)"
           " VALUES(x'01800000000070008000000000000001','假',5,'120102','')");
    sql(d, "INSERT INTO raw_row VALUES(999, x'01800000000070008000000000000002', 5, '120101', '', 0, x'0801')");
    repair(d, false, 0, 0, 2);
    assert_int_equal(query(d, "SELECT count(*) FROM organisation"), 0);
    assert_int_equal(query(d, "SELECT count(*) FROM raw_row"), 0);
    assert_int_equal(query(d, "SELECT count(*) FROM set_aside"), 2);
    repair(d, false, 0, 0, 0);
    desk_free(d);
}

static void deleted_here_by_damage_lives_again(void **state)
{
    struct sx *f = *state;
    struct tz_id a = org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->d1);
    sql(d, "INSERT INTO _tombstone SELECT %u,_id,_ver,_district,_street,x'',0,x'' FROM organisation WHERE _id=x'%s'",
        sx_type(f, "organisation")->id, sx_hex(f, a));
    sql(d, "DELETE FROM organisation WHERE _id=x'%s'", sx_hex(f, a));
    repair(d, false, 0, 1, 0);
    assert_int_equal(query(d, "SELECT count(*) FROM _tombstone"), 0);
    assert_same(d);
    desk_free(d);
}

/* ---- pending edits ---- */

static void own_edit_stays_on_top_of_a_repaired_shadow(void **state)
{
    struct sx *f = *state;
    static const char *const bodies[] = {"x'ffff'", "x''", "substr(body, 1, length(body) / 2)"};
    for (size_t i = 0; i < 3; i++) {
        struct tz_id id = org(f, "甲", "120101001");
        struct desk *d = desk_new(&f->d1);
        edit_name(d, id, "改");
        sql(d, "UPDATE _shadow SET body=%s", bodies[i]);
        repair(d, false, 1, 0, 0);
        assert_field(d, id, true, "name", "改");
        assert_field(d, id, false, "name", "甲");
        assert_same(d);
        struct tz_office_status st;
        assert_int_equal(tz_office_status(d->o, &st, &f->err), 0);
        assert_int_equal(st.unsent_changesets, 1);
        desk_free(d);
    }
}

static void damaged_shadow_stops_no_download(void **state)
{
    struct sx *f = *state;
    struct tz_id id = org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->d1);
    edit_name(d, id, "改");
    sql(d, "UPDATE _shadow SET body=x'ffff'");
    sx_see(&f->d1b);
    sx_applied(sx_set(&f->d1b, "organisation", id, "address=新路", NULL));
    tz_session_on_head(d->server, tz_store_head(f->s), NULL, 0);
    run(d);
    assert_false(d->closed);
    assert_field(d, id, false, "address", "新路");
    assert_field(d, id, true, "name", "改");
    repair(d, false, 0, 0, 0); /* what came healed it */
    desk_free(d);
}

static void own_edits_survive_a_record_the_server_does_not_have(void **state)
{
    struct sx *f = *state;
    struct tz_id id = org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->d1);
    edit_name(d, id, "改");
    sql(d, "INSERT INTO _shadow SELECT type, x'01800000000070008000000000000001', state, ver, district, street, body, 0"
           " FROM _shadow"); /* the confirmed image of a record that never was */
    repair(d, false, 0, 0, 1);
    assert_field(d, id, true, "name", "改");
    assert_int_equal(query(d, "SELECT count(*) FROM outbox WHERE outcome=0"), 1);
    assert_same(d);
    desk_free(d);
}

/* ---- much damage ---- */

static void emptied_database_is_filled_again_in_pages(void **state)
{
    struct sx *f = *state;
    enum { N = 12 };
    struct tz_id ids[N];
    for (int i = 0; i < N; i++) {
        ids[i] = org(f, "甲", "120101001");
        sx_fatten(f, ids[i], 60000);
    }
    org(f, "乙", "120101002");
    sx_org(f, "丙");
    struct desk *d = desk_new(&f->d1);
    sql(d, "DELETE FROM organisation");
    sql(d, "DELETE FROM division");
    int64_t divisions = sx_query(f, "SELECT count(*) FROM division");
    repair(d, false, 0, N + 2 + (uint64_t)divisions, 0);
    assert_int_equal(d->report.nrows, TZ_REPAIR_ROWS_NAMED);
    assert_same(d);
    desk_free(d);
}

static void more_invented_rows_than_are_held_at_once_all_go(void **state)
{
    struct sx *f = *state;
    org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->d1);
    sql(d, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<9000)"
           " INSERT INTO organisation(_id,name,_ver,_district,_street)"
           " SELECT randomblob(16),'假',5,'120101','120101001' FROM n");
    repair(d, false, 0, 0, 9000);
    assert_same(d);
    desk_free(d);
}

static void a_page_looks_at_no_more_than_its_own_rows(void **state)
{
    struct sx *f = *state;
    enum { N = 30 };
    for (int i = 0; i < N; i++)
        sx_fatten(f, org(f, "甲", "120101001"), 60000);
    struct desk *d = desk_new(&f->d1);
    sql(d, "UPDATE organisation SET address='假'");
    repair(d, false, N, 0, 0);
    assert_same(d);
    assert_true(d->sent[TZ_MSG_DIGEST_REQUEST] > 2 + 5); /* pages */
    /* once each, and one more a page to see that it is over */
    assert_in_range(d->report.looked, N, N + d->sent[TZ_MSG_DIGEST_REQUEST]);
    desk_free(d);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, sx_setup, sx_teardown)
    const struct CMUnitTest tests[] = {
        T(sound_replicas_of_every_kind_of_reader_have_no_differences),
        T(exactly_the_damaged_rows_are_put_right),
        T(what_was_taken_out_stays_out),
        T(only_telling_writes_nothing),
        T(row_in_a_place_outside_the_grant_goes_back_to_its_own),
        T(record_of_a_foreign_district_is_taken_out_without_asking),
        T(deleted_here_by_damage_lives_again),
        T(own_edit_stays_on_top_of_a_repaired_shadow),
        T(damaged_shadow_stops_no_download),
        T(own_edits_survive_a_record_the_server_does_not_have),
        T(emptied_database_is_filled_again_in_pages),
        T(more_invented_rows_than_are_held_at_once_all_go),
        T(a_page_looks_at_no_more_than_its_own_rows),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
