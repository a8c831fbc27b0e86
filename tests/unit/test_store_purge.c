/* SPDX-License-Identifier: Apache-2.0 */
/* What is purged and when, what late edits of it become, who is sent back to the beginning, and the journal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "restore_fixture.h"

static const int64_t DAY = 24 * 3600 * 1000;
static const struct tz_purge_rules RULES = {.lease_ms = INT64_C(180) * 24 * 3600 * 1000,
                                            .purge_ms = INT64_C(180) * 24 * 3600 * 1000};

/* ---- helpers ---- */

static void acked(struct sx_dev *d, tz_ver ver)
{
    sx_group(d->f);
    assert_int_equal(tz_store_acknowledged(d->f->s, d->d.number, ver, &d->f->err), 0);
    sx_commit(d->f);
}

/** Every device holds everything there is. */
static void all_acked(struct sx *f)
{
    struct sx_dev *all[] = {&f->fi, &f->fi2, &f->d1, &f->d1b, &f->d2, &f->s1, &f->c1};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        acked(all[i], tz_store_head(f->s));
}

static void days(struct sx *f, int64_t n)
{
    f->clock.wall.ms += n * DAY;
}

/** Steps until there is no more. */
static struct tz_purge_done purge(struct sx *f)
{
    struct tz_purge_done sum = {0};
    bool more = true;
    for (int i = 0; more; i++) {
        struct tz_purge_done done;
        assert_true(i < 1000);
        sx_group(f);
        assert_int_equal(tz_store_purge(f->s, &RULES, &done, &more, &f->err), 0);
        sx_commit(f);
        sum.records += done.records;
        sum.leaving += done.leaving;
    }
    return sum;
}

/** An organisation that D1 made and deleted, half a year ago; everybody has heard of it. */
static struct tz_id long_dead(struct sx *f, const char *name)
{
    struct tz_id id = sx_org(f, name);
    sx_applied(sx_delete(&f->d1, "organisation", id));
    days(f, 181);
    all_acked(f);
    return id;
}

static int64_t count_of(struct sx *f, const char *table, struct tz_id id)
{
    char sql[256];
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM %s WHERE id = x'%s'", table, sx_hex(f, id));
    return sx_query(f, sql);
}

static tz_ver horizon(struct sx *f)
{
    tz_ver h = 0;
    assert_int_equal(tz_store_horizon(f->s, &h, &f->err), 0);
    return h;
}

/* ---- when ---- */

static void a_deleted_record_goes_with_all_that_hangs_on_it(void **state)
{
    struct sx *f = *state;
    struct tz_id id = long_dead(f, "甲公司");
    tz_ver died = sx_row(f, "organisation", id)->ver;
    assert_int_equal(count_of(f, "change", id), 1);
    assert_int_equal(purge(f).records, 1);
    assert_null(sx_row(f, "organisation", id));
    assert_int_equal(count_of(f, "change", id), 0);
    assert_int_equal(count_of(f, "claim", id), 0);
    assert_int_equal(count_of(f, "history", id), 0);
    assert_int_equal(count_of(f, "purged", id), 1);
    assert_int_equal(horizon(f), died);
    assert_int_equal(purge(f).records, 0);
    uint64_t n = 0;
    assert_int_equal(tz_store_audit_check(f->s, &n, &f->err), 0);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM audit WHERE meta LIKE 'purge %'"), 1);
}

static void what_is_young_or_alive_stays(void **state)
{
    struct sx *f = *state;
    struct tz_id alive = sx_org(f, "甲公司");
    struct tz_id young = sx_org(f, "乙公司");
    days(f, 100);
    sx_applied(sx_delete(&f->d1, "organisation", young));
    days(f, 179);
    all_acked(f);
    assert_int_equal(purge(f).records, 0);
    assert_true(sx_deleted(f, "organisation", young));
    days(f, 2);
    assert_int_equal(purge(f).records, 1);
    assert_non_null(sx_row(f, "organisation", alive));
}

static void a_device_in_lease_is_waited_for_and_one_past_it_is_not(void **state)
{
    struct sx *f = *state;
    tz_ver before = tz_store_head(f->s);
    all_acked(f);
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(sx_delete(&f->d1, "organisation", id));
    days(f, 181);
    all_acked(f);
    acked(&f->d2, before); /* there, but it did not get so far */
    assert_int_equal(purge(f).records, 0);
    struct tz_purge_state st;
    assert_int_equal(tz_store_purge_state(f->s, &RULES, &st, &f->err), 0);
    assert_int_equal(st.lowest, before);
    assert_true(st.aged > before);
    days(f, 181); /* away since */
    acked(&f->d1, tz_store_head(f->s));
    assert_int_equal(purge(f).records, 1);
    assert_true(horizon(f) > before);
}

static void a_revoked_device_holds_up_nothing(void **state)
{
    struct sx *f = *state;
    long_dead(f, "甲公司");
    acked(&f->d2, 1);
    assert_int_equal(purge(f).records, 0);
    sx_group(f);
    assert_int_equal(tz_store_device_revoke(f->s, f->d2.d.number, &f->err), 0);
    sx_commit(f);
    assert_int_equal(purge(f).records, 1);
}

static void with_nobody_in_lease_the_clock_is_doubted(void **state)
{
    struct sx *f = *state;
    long_dead(f, "甲公司");
    days(f, 3650);
    assert_int_equal(purge(f).records, 0);
}

static void commits_stamped_by_a_clock_ten_years_fast_hold_up_nothing(void **state)
{
    struct sx *f = *state;
    days(f, 3650);
    sx_org(f, "甲公司");
    days(f, -3650);
    long_dead(f, "乙公司");
    assert_int_equal(purge(f).records, 1);
}

static void a_connection_alone_renews_no_lease_and_progress_does(void **state)
{
    struct sx *f = *state;
    struct tz_device d;
    struct tz_msg_hello h = {.protocol = 1, .incarnation = 1, .checkpoint = 5};
    acked(&f->d1, 5);
    days(f, 10);
    for (int i = 0; i < 2; i++) {
        sx_group(f);
        assert_int_equal(tz_store_session_begin(f->s, f->d1.d.number, &h, 0, &f->err), 0);
        sx_commit(f);
        assert_int_equal(tz_store_device_by_number(f->s, f->d1.d.number, &d, &f->err), 1);
        assert_int_equal(d.acked_ms, f->clock.wall.ms - (i ? 0 : 10 * DAY));
        assert_int_equal(d.checkpoint, h.checkpoint);
        h.checkpoint = 6;
    }
    assert_true(tz_lease_in(&d, f->clock.wall.ms + 180 * DAY, RULES.lease_ms));
    assert_false(tz_lease_in(&d, f->clock.wall.ms + 181 * DAY, RULES.lease_ms));
}

/** A clock that was ahead for a while made nothing older than it is. */
static void what_a_fast_clock_took_for_old_is_young_again(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(sx_delete(&f->d1, "organisation", id));
    days(f, 400);
    assert_int_equal(purge(f).records, 0); /* nobody in lease */
    days(f, -399);
    all_acked(f);
    assert_int_equal(purge(f).records, 0);
    assert_true(sx_deleted(f, "organisation", id));
    days(f, 181);
    all_acked(f);
    assert_int_equal(purge(f).records, 1);
}

static void whoever_wants_to_keep_things_longer_may_say_so_later(void **state)
{
    struct sx *f = *state;
    struct tz_purge_done done;
    struct tz_purge_rules year = RULES;
    bool more = true;
    year.purge_ms = 365 * DAY;
    struct tz_id id = long_dead(f, "甲公司");
    acked(&f->d2, 1);
    assert_int_equal(purge(f).records, 0); /* old enough, but D2 is waited for */
    all_acked(f);
    while (more) {
        sx_group(f);
        assert_int_equal(tz_store_purge(f->s, &year, &done, &more, &f->err), 0);
        sx_commit(f);
        assert_int_equal(done.records, 0);
    }
    assert_true(sx_deleted(f, "organisation", id));
    assert_int_equal(purge(f).records, 1);
}

/* ---- what ---- */

static void what_a_list_names_stays(void **state)
{
    struct sx *f = *state;
    char list[64];
    struct tz_id id = sx_create(&f->d1, "branch", "name=党支部", "branch_type=branch", "district_code=120101",
                                "established_on=2020", NULL);
    struct tz_id unnamed = sx_create(&f->d1, "branch", "name=又一个", "branch_type=branch", "district_code=120101",
                                     "established_on=2020", NULL);
    sx_see(&f->d1);
    (void)snprintf(list, sizeof list, "audience_branches=%s", sx_hex(f, id));
    sx_see(&f->c1);
    (void)sx_create(&f->c1, "study_event", "event_type=preaching", "held_on=2026-01-01", "topic=学习",
                    "audience_count=3", sx_ref(f, "host_unit", tz_store_fixed_id("unit", tz_bytes_str("GW120000"))),
                    list, NULL);
    sx_see(&f->d1);
    sx_applied(sx_delete(&f->d1, "branch", id));
    sx_applied(sx_delete(&f->d1, "branch", unnamed));
    days(f, 181);
    all_acked(f);
    assert_int_equal(purge(f).records, 1);
    assert_true(sx_deleted(f, "branch", id));
    assert_null(sx_row(f, "branch", unnamed));
}

static void what_something_refers_to_stays(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    f->d1.seen = f->d1b.seen = tz_store_head(f->s);
    sx_applied(sx_delete(&f->d1, "organisation", id));
    f->clock.wall.ms += 1000;
    sx_applied(sx_set(&f->d1b, "organisation", id, "address=一", NULL)); /* back, with a case about its life */
    const struct tz_row *c = sx_case(f, id, "_deleted", 1);
    assert_non_null(c);
    sx_see(&f->d1);
    sx_applied(sx_delete(&f->d1, "organisation", id));
    days(f, 400);
    all_acked(f);
    assert_int_equal(purge(f).records, 0); /* somebody has to decide first */
    assert_true(sx_deleted(f, "organisation", id));
}

static void a_merged_record_and_its_survivor_stay(void **state)
{
    struct sx *f = *state;
    struct tz_id keep = sx_org(f, "甲公司");
    struct tz_id gone = sx_org(f, "乙公司");
    struct sx_dev sup = {0};
    sx_join(f, &sup, "sup", "D_SUPER", "120101");
    sx_see(&sup);
    struct sx_cs *c = sx_begin(&sup);
    sx_op(c, TZ_OP_MERGE, "organisation", keep)->other_id = gone;
    sx_applied(sx_push(c));
    days(f, 400);
    all_acked(f);
    assert_int_equal(purge(f).records, 0);
    assert_true(sx_deleted(f, "organisation", gone));
}

static void notes_about_left_areas_go_and_the_record_stays(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_see(&f->c1);
    sx_applied(sx_set(&f->c1, "organisation", id, "district_code=120102", NULL));
    assert_int_equal(count_of(f, "left_area", id), 1);
    days(f, 181);
    all_acked(f);
    struct tz_purge_done done = purge(f);
    assert_int_equal(done.leaving, 1);
    assert_int_equal(done.records, 0);
    assert_int_equal(count_of(f, "left_area", id), 0);
    assert_int_equal(count_of(f, "change", id), 1);
    assert_int_equal(horizon(f), sx_row(f, "organisation", id)->ver);
    sx_see(&f->c1); /* and it may return */
    sx_applied(sx_set(&f->c1, "organisation", id, "district_code=120101", NULL));
    assert_int_equal(count_of(f, "left_area", id), 1);
}

static void a_step_is_bounded_and_a_restart_begins_anew(void **state)
{
    struct sx *f = *state;
    struct tz_id id[70];
    for (size_t i = 0; i < 70; i++)
        id[i] = sx_create(&f->d1, "organisation", "district_code=120101", "name=同", NULL);
    sx_see(&f->d1);
    for (size_t i = 0; i < 70; i++)
        sx_applied(sx_delete(&f->d1, "organisation", id[i]));
    days(f, 181);
    all_acked(f);
    struct tz_purge_done done;
    bool more = false;
    sx_group(f);
    assert_int_equal(tz_store_purge(f->s, &RULES, &done, &more, &f->err), 0);
    assert_true(more);
    assert_true(done.records > 0 && done.records < 70);
    tz_store_group_rollback(f->s); /* as if it had never been */
    assert_int_equal(sx_query(f, "SELECT count(*) FROM purged"), 0);
    open_again(f);
    assert_int_equal(purge(f).records, 70);
}

/* ---- late edits ---- */

static void a_late_edit_becomes_a_case_with_its_words(void **state)
{
    struct sx *f = *state;
    struct tz_id id = long_dead(f, "甲公司");
    f->d1b.seen = tz_store_head(f->s) - 1; /* before the deletion */
    purge(f);
    const struct tz_result *r = sx_set(&f->d1b, "organisation", id, "address=迟到的地址", NULL);
    sx_superseded(r);
    assert_int_equal(r->ops[0].ncases, 1);
    assert_null(sx_row(f, "organisation", id)); /* it does not come back by itself */
    const struct tz_row *c = sx_case(f, id, "_purged", 1);
    assert_non_null(c);
    assert_string_equal(sx_case_text(f, c, "kind"), "purged");
    assert_string_equal(sx_case_text(f, c, "state"), "open");
    assert_string_equal(c->area.district, "120101");
    assert_string_equal(sx_candidate(f, c, 0, "address"), "迟到的地址");
    f->clock.wall.ms += 1000;
    f->fi.seen = f->d1b.seen;
    sx_superseded(sx_set(&f->fi, "organisation", id, "address=巡查时所见", NULL));
    assert_int_equal(sx_ncandidates(f, sx_case(f, id, "_purged", 1)), 2);
}

static void who_could_never_see_it_gets_the_answer_of_a_record_that_never_was(void **state)
{
    struct sx *f = *state;
    struct tz_id id = long_dead(f, "甲公司");
    struct tz_id never = id;
    never.b[9] ^= 1;
    purge(f);
    f->d2.seen = tz_store_head(f->s) - 1;
    const struct tz_result *r = sx_set(&f->d2, "organisation", id, "address=一", NULL);
    sx_refused(r, TZ_E_UNKNOWN_RECORD);
    assert_int_equal(r->ops[0].nargs, 0);
    r = sx_set(&f->d2, "organisation", never, "address=一", NULL);
    sx_refused(r, TZ_E_UNKNOWN_RECORD);
    assert_int_equal(r->ops[0].nargs, 0);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM \"case\""), 0);
}

static void who_knew_of_the_deletion_is_told_so(void **state)
{
    struct sx *f = *state;
    struct tz_id id = long_dead(f, "甲公司");
    sx_see(&f->d1b);
    purge(f);
    sx_refused(sx_set(&f->d1b, "organisation", id, "address=一", NULL), TZ_E_DELETED);
    f->d1.seen = tz_store_head(f->s) - 1; /* its own deletion, as it knows */
    f->d1.seen_seq = f->d1.seq;
    sx_refused(sx_set(&f->d1, "organisation", id, "address=一", NULL), TZ_E_DELETED);
}

static void other_ops_on_a_purged_record(void **state)
{
    struct sx *f = *state;
    struct tz_id id = long_dead(f, "甲公司");
    purge(f);
    f->d1b.seen = tz_store_head(f->s) - 1;
    const struct tz_result *r = sx_delete(&f->d1b, "organisation", id); /* both deleted it */
    sx_applied(r);
    assert_int_equal(r->ver, 0);
    sx_superseded(sx_restore(&f->d1b, "organisation", id));
    assert_string_equal(sx_candidate(f, sx_case(f, id, "_purged", 1), 0, "_deleted"), "0");
    assert_null(sx_row(f, "organisation", id));
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op_create_as(c, id, "organisation", "name=甲公司", "district_code=120101", NULL);
    sx_refused(sx_push(c), TZ_E_EXISTS);
    c = sx_begin(&f->d1b);
    sx_op_create(c, "visit", sx_ref(f, "org_id", id), sx_ref(f, "by_ref", f->d1b.user), "visited_on=2023-11-01",
                 "way=on_site", NULL);
    sx_refused(sx_push(c), TZ_E_REF);
}

static void such_a_case_is_closed_by_who_may_delete(void **state)
{
    struct sx *f = *state;
    struct tz_id id = long_dead(f, "甲公司");
    purge(f);
    f->d1b.seen = tz_store_head(f->s) - 1;
    sx_superseded(sx_set(&f->d1b, "organisation", id, "address=一", NULL));
    struct tz_id cid = sx_case(f, id, "_purged", 1)->id;
    sx_see(&f->d1);
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_op *op = sx_op(c, TZ_OP_RESOLVE, "case", cid);
    op->generation = 1;
    op->choice = TZ_CHOICE_THEIRS;
    sx_refused(sx_push(c), TZ_E_PURGED);
    sx_see(&f->d2);
    c = sx_begin(&f->d2);
    op = sx_op(c, TZ_OP_RESOLVE, "case", cid);
    op->generation = 1;
    op->choice = TZ_CHOICE_MINE;
    sx_refused(sx_push(c), TZ_E_UNKNOWN_RECORD);
    c = sx_begin(&f->d1);
    op = sx_op(c, TZ_OP_RESOLVE, "case", cid);
    op->generation = 1;
    op->choice = TZ_CHOICE_MINE;
    sx_applied(sx_push(c));
    assert_string_equal(sx_case_text(f, sx_case(f, id, "_purged", 1), "state"), "closed");
    f->clock.wall.ms += 1000; /* a later word opens the next one */
    f->fi.seen = f->d1b.seen;
    sx_superseded(sx_set(&f->d1b, "organisation", id, "address=二", NULL));
    assert_non_null(sx_case(f, id, "_purged", 2));
}

/* ---- cursors ---- */

static int no_frame(void *ctx, struct tz_bytes rows)
{
    (void)ctx;
    (void)rows;
    return 0;
}

static int pull(struct sx *f, struct tz_cursor *c)
{
    struct tz_grant *g = tz_arena_alloc(&f->a, sizeof *g);
    struct tz_msg_checkpoint head;
    bool done = false;
    assert_int_equal(tz_store_grant_of(f->s, &f->d1.d, tz_clock_wall(&f->s->clock).ms, g, &f->err), 0);
    return tz_store_changes(f->s, g, c, 1, 100, no_frame, NULL, &done, &head, &f->err);
}

static void a_cursor_behind_the_horizon_is_refused_unless_it_began_since(void **state)
{
    struct sx *f = *state;
    tz_ver before = tz_store_head(f->s);
    long_dead(f, "甲公司");
    purge(f);
    assert_true(horizon(f) > before);
    struct tz_cursor c = {.area = {"120101", ""}, .tier = 1, .ver = before};
    assert_int_equal(pull(f, &c), TZ_E_PURGED_PAST);
    c = (struct tz_cursor){.area = {"120101", ""}, .tier = 1};
    assert_int_equal(pull(f, &c), 0);
    assert_int_equal(c.begun, horizon(f));
    c = (struct tz_cursor){.area = {"120101", ""}, .tier = 1, .ver = before, .begun = horizon(f)};
    assert_int_equal(pull(f, &c), 0); /* resumed */
    c = (struct tz_cursor){.area = {"120101", ""}, .tier = 1, .ver = horizon(f)};
    assert_int_equal(pull(f, &c), 0);
}

/* ---- restore ---- */

static void a_restore_purges_again_and_sends_everybody_back(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_id alive = sx_org(f, "乙公司");
    struct tz_memdisk *older = backup(f); /* before the deletion */
    sx_applied(sx_delete(&f->d1, "organisation", id));
    days(f, 181);
    all_acked(f);
    assert_int_equal(purge(f).records, 1);
    assert_int_equal(restore_to(f, older, 2, 0), 1);
    assert_null(sx_row(f, "organisation", id));
    assert_int_equal(count_of(f, "change", id), 0);
    assert_non_null(sx_row(f, "organisation", alive));
    assert_int_equal(sx_query(f, "SELECT count(*) FROM purged"), 1);
    assert_true(horizon(f) >> TZ_VER_COUNTER_BITS == 2);
    assert_true(horizon(f) <= tz_store_head(f->s));
}

/** One group purged them all, so they are one line of the journal: reading it needs no more memory for more of them. */
static void many_purged_in_one_group_are_purged_again(void **state)
{
    enum { MANY = 300 };
    struct sx *f = *state;
    struct tz_id ids[MANY];
    char name[32];
    char address[512];
    memset(address, 'x', sizeof address);
    (void)memcpy(address, "address=", 8);
    address[8 + 200] = '\0';
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "name=公司%d", i);
        ids[i] = sx_create(&f->d1, "organisation", name, "district_code=120101", address, NULL);
    }
    struct tz_memdisk *older = backup(f);
    sx_see(&f->d1);
    for (int i = 0; i < MANY; i++)
        sx_applied(sx_delete(&f->d1, "organisation", ids[i]));
    days(f, 181);
    all_acked(f);
    assert_int_equal(purge(f).records, MANY);
    assert_int_equal(restore_to(f, older, 2, 0), MANY);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM purged"), MANY);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM organisation"), 0);
}

static void a_recovery_window_is_waited_for(void **state)
{
    struct sx *f = *state;
    long_dead(f, "甲公司");
    restore_to(f, backup(f), 2, f->clock.wall.ms + 30 * DAY);
    all_acked(f);
    assert_int_equal(purge(f).records, 0);
    days(f, 31);
    all_acked(f);
    assert_int_equal(purge(f).records, 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(a_deleted_record_goes_with_all_that_hangs_on_it),
        T(what_is_young_or_alive_stays),
        T(a_device_in_lease_is_waited_for_and_one_past_it_is_not),
        T(a_revoked_device_holds_up_nothing),
        T(with_nobody_in_lease_the_clock_is_doubted),
        T(commits_stamped_by_a_clock_ten_years_fast_hold_up_nothing),
        T(what_a_fast_clock_took_for_old_is_young_again),
        T(whoever_wants_to_keep_things_longer_may_say_so_later),
        T(what_a_list_names_stays),
        T(a_connection_alone_renews_no_lease_and_progress_does),
        T(what_something_refers_to_stays),
        T(a_merged_record_and_its_survivor_stay),
        T(notes_about_left_areas_go_and_the_record_stays),
        T(a_step_is_bounded_and_a_restart_begins_anew),
        T(a_late_edit_becomes_a_case_with_its_words),
        T(who_could_never_see_it_gets_the_answer_of_a_record_that_never_was),
        T(who_knew_of_the_deletion_is_told_so),
        T(other_ops_on_a_purged_record),
        T(such_a_case_is_closed_by_who_may_delete),
        T(a_cursor_behind_the_horizon_is_refused_unless_it_began_since),
        T(a_restore_purges_again_and_sends_everybody_back),
        T(many_purged_in_one_group_are_purged_again),
        T(a_recovery_window_is_waited_for),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
