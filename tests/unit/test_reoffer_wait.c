/* SPDX-License-Identifier: Apache-2.0 */
/* What a restore undid, handed in again: what is under review, what waits for the others, and the end of the window. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "reoffer_fixture.h"

/* ---- under review ---- */

/** Its value does not stand: whoever brings it is told, and so is the balance. */
static void what_goes_under_review_says_so(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "organisation", id, "address=一号", NULL));
    struct kept k = keep(&f->d1);
    sx_group(f);
    assert_int_equal(tz_store_device_grant(f->s, f->d1.d.number, "", "120102", 0, &f->err), 0);
    sx_commit(f);
    restore_with_window(f, b);
    greet(&f->d1, f->d1.seq);
    sx_expect(hand_in(&k), TZ_OUT_UNDER_REVIEW, 0);
    assert_int_equal(f->res.ops[0].outcome, TZ_OUT_UNDER_REVIEW);
    sx_text_is(f, "organisation", id, "address", "");
    struct tz_balance account;
    assert_int_equal(missing(f, &f->d1, &account), 0);
    assert_int_equal(account.under_review, 1);
}

static void what_was_under_review_and_is_applied_waits_for_nobody(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    sx_see(&f->c1);
    sx_see(&f->d1);
    sx_applied(sx_set(&f->c1, "organisation", id, "district_code=120102", NULL));
    sx_expect(sx_set(&f->d1, "organisation", id, "address=一号", NULL), TZ_OUT_UNDER_REVIEW, 0);
    struct kept k = keep(&f->d1);
    restore_with_window(f, b);
    greet(&f->d1, f->d1.seq);
    sx_applied(hand_in(&k));
    assert_int_equal(f->res.ops[0].outcome, TZ_OUT_APPLIED);
    sx_text_is(f, "organisation", id, "address", "一号");
}

/* ---- waiting for the others ---- */

/** d1 makes a record, fi edits it; both are undone, and fi comes first. */
static void edit_before_its_record(struct sx *f, struct tz_id *id, struct kept *made, struct kept *edit)
{
    sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    *id = sx_create(&f->d1, "organisation", "name=乙公司", "district_code=120101", NULL);
    *made = keep(&f->d1);
    sx_see(&f->fi);
    sx_applied(sx_set(&f->fi, "organisation", *id, "address=一号", NULL));
    *edit = keep(&f->fi);
    restore_with_window(f, b);
    greet(&f->d1, f->d1.seq);
    greet(&f->fi, f->fi.seq);
}

/** The administrator is told that what waits there needs nothing of him. */
static void not_by_hand(struct sx *f)
{
    uint32_t device = (uint32_t)sx_query(f, "SELECT device FROM backlog WHERE outcome=4");
    uint64_t seq = (uint64_t)sx_query(f, "SELECT seq FROM backlog WHERE outcome=4");
    enum tz_outcome o;
    sx_group(f);
    assert_int_equal(tz_store_backlog_settle(f->s, device, 0, seq, true, "核对无误", &o, &f->err), TZ_E_RECOVERING);
    assert_int_equal(tz_store_backlog_settle(f->s, device, 0, seq + 100, true, "核对无误", &o, &f->err),
                     TZ_E_NOT_FOUND);
    sx_commit(f);
}

static void what_comes_before_its_record_waits_for_it(void **state)
{
    struct sx *f = *state;
    struct tz_id id;
    struct kept made;
    struct kept edit;
    edit_before_its_record(f, &id, &made, &edit);
    sx_expect(hand_in(&edit), TZ_OUT_WAITING, TZ_E_RECOVERING);
    release_all(f);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog WHERE outcome=4"), 1);
    not_by_hand(f);
    sx_applied(hand_in(&made));
    release_all(f);
    sx_text_is(f, "organisation", id, "address", "一号");
    sx_applied(hand_in(&edit));
    assert_int_equal(f->res.effective, edit.res.effective);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog"), 0);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM blocked"), 0);
}

static void what_nobody_brings_gets_its_verdict_when_the_window_ends(void **state)
{
    struct sx *f = *state;
    struct tz_id id;
    struct kept made;
    struct kept edit;
    edit_before_its_record(f, &id, &made, &edit);
    sx_expect(hand_in(&edit), TZ_OUT_WAITING, TZ_E_RECOVERING);
    f->clock.wall.ms += WINDOW_MS;
    greet(&f->d2, 0);
    release_all(f);
    sx_refused(hand_in(&edit), TZ_E_UNKNOWN_RECORD);
    sx_applied(hand_in(&made)); /* later than the window, and in all the same */
    sx_text_is(f, "organisation", id, "address", "");
}

static void closing_the_window_by_hand_ends_the_waiting(void **state)
{
    struct sx *f = *state;
    struct tz_id id;
    struct kept made;
    struct kept edit;
    edit_before_its_record(f, &id, &made, &edit);
    sx_expect(hand_in(&edit), TZ_OUT_WAITING, TZ_E_RECOVERING);
    sx_group(f);
    assert_int_equal(tz_store_recovery_close(f->s, &f->err), 0);
    sx_commit(f);
    release_all(f);
    sx_refused(hand_in(&edit), TZ_E_UNKNOWN_RECORD);
}

static void new_work_on_a_record_that_is_on_its_way_waits_too(void **state)
{
    struct sx *f = *state;
    struct tz_id id;
    struct kept made;
    struct kept edit;
    edit_before_its_record(f, &id, &made, &edit);
    sx_expect(sx_set(&f->fi, "organisation", id, "name=丙公司", NULL), TZ_OUT_WAITING, TZ_E_RECOVERING);
    struct tz_bytes raw = f->raw;
    sx_applied(hand_in(&made));
    release_all(f);
    sx_group(f);
    assert_int_equal(sx_apply_raw(&f->fi, raw), 0);
    sx_commit(f);
    sx_applied(&f->res);
    sx_text_is(f, "organisation", id, "name", "丙公司");
}

static void what_names_nothing_lost_is_refused_at_once(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    restore_with_window(f, backup(f));
    f->d1.seen = tz_store_head(f->s);
    sx_refused(sx_set(&f->d1, "organisation", id, "name=", NULL), TZ_E_REQUIRED);
}

static void the_backup_had_it_waiting_and_it_counts_as_before(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_refused(sx_set(&f->d1, "organisation", id, "name=", NULL), TZ_E_REQUIRED);
    uint64_t refused = f->d1.seq;
    sx_expect(sx_set(&f->d1, "organisation", id, "name=改正", NULL), TZ_OUT_WAITING, TZ_E_DEPENDS);
    struct tz_bytes raw = f->raw;
    struct tz_memdisk *b = backup(f);
    sx_applied(sx_withdraw(&f->d1, refused));
    struct kept freeing = keep(&f->d1);
    sx_group(f);
    assert_int_equal(sx_apply_raw(&f->d1, raw), 0);
    sx_commit(f);
    sx_applied(&f->res);
    struct kept freed = keep(&f->d1);
    restore_with_window(f, b);
    greet(&f->d1, f->d1.seq);
    sx_applied(hand_in(&freeing));
    release_all(f);
    sx_applied(hand_in(&freed));
    sx_text_is(f, "organisation", id, "name", "改正");
}

static void an_import_keeps_what_was_refused_row_by_row(void **state)
{
    struct sx *f = *state;
    sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    struct sx_cs *c = sx_begin(&f->d1);
    c->cs.independent = true;
    struct tz_id good = sx_op_create(c, "organisation", "name=好的", "district_code=120101", NULL);
    struct tz_id bad = sx_op_create(c, "organisation", "name=越界的", "district_code=120102", NULL);
    sx_applied(sx_push(c));
    struct kept k = keep(&f->d1);
    assert_int_equal(k.res.ops[1].outcome, TZ_OUT_REFUSED);
    restore_with_window(f, b);
    greet(&f->d1, f->d1.seq);
    sx_applied(hand_in(&k));
    assert_int_equal(f->res.ops[1].outcome, TZ_OUT_REFUSED);
    assert_non_null(sx_row(f, "organisation", good));
    assert_null(sx_row(f, "organisation", bad));
    struct tz_balance account;
    assert_int_equal(missing(f, &f->d1, &account), 0);
    assert_int_equal(account.refused, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_goes_under_review_says_so),
        T(what_was_under_review_and_is_applied_waits_for_nobody),
        T(what_comes_before_its_record_waits_for_it),
        T(what_nobody_brings_gets_its_verdict_when_the_window_ends),
        T(closing_the_window_by_hand_ends_the_waiting),
        T(new_work_on_a_record_that_is_on_its_way_waits_too),
        T(what_names_nothing_lost_is_refused_at_once),
        T(the_backup_had_it_waiting_and_it_counts_as_before),
        T(an_import_keeps_what_was_refused_row_by_row),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
