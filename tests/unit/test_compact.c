/* SPDX-License-Identifier: Apache-2.0 */
/* Old own saves lose their words: which, in which steps, and what still works without them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "history.h"
#include "office_fixture.h"
#include "step.h"

#include <stdio.h>
#include <string.h>

#define EPOCH(n) ((tz_ver)(n) << TZ_VER_COUNTER_BITS)

/** Steps until there is no more; how many. */
static int compact(struct fx *f, tz_ver upto)
{
    struct tz_err err = {0};
    bool more = true;
    int steps = 0;
    while (more) {
        assert_int_equal(tz_office_compact(f->o, upto, &more, &err), 0);
        assert_true(++steps < 100);
    }
    return steps;
}

static int64_t ask(struct fx *f, const char *what, uint64_t seq)
{
    char sql[256];
    int64_t n = -1;
    (void)snprintf(sql, sizeof sql, "SELECT %s FROM outbox WHERE seq = %llu", what, (unsigned long long)seq);
    assert_int_equal(tz_db_query_int(tz_office_db(f->o), sql, &n, NULL), 0);
    return n;
}

static bool has_words(struct fx *f, uint64_t seq)
{
    bool raw = ask(f, "length(raw) > 0", seq) != 0;
    assert_int_equal(raw, ask(f, "result IS NOT NULL AND mac IS NOT NULL", seq));
    return raw;
}

/** A save that was applied in @ver and is not on the screen as an own edit any more. */
static uint64_t applied(struct fx *f, const char *name, tz_ver ver, struct tz_id *id)
{
    uint64_t seq;
    *id = fx_new_org(f, name, &seq);
    assert_int_equal(fx_result(f, seq, TZ_OUT_APPLIED, ver, 0), 0);
    fx_row(f, *id, ver, TZ_ROW_LIVE, "120101", name, NULL);
    assert_int_equal(fx_checkpoint(f, ver), 0);
    return seq;
}

/** A sheet of three rows of which one was refused. */
static uint64_t partly_refused(struct fx *f, tz_ver ver)
{
    static const enum tz_outcome ops[] = {TZ_OUT_APPLIED, TZ_OUT_REFUSED, TZ_OUT_APPLIED};
    static const char *const names[] = {"甲", "乙", "丙"};
    struct tz_save *s = fx_begin(f, true);
    for (int i = 0; i < 3; i++) {
        struct tz_record rec;
        struct tz_id id;
        tz_record_init(&rec, f->org);
        fx_set(&rec, NULL, "name", tz_value_text(names[i]));
        fx_set(&rec, NULL, "district_code", tz_value_text("120101"));
        assert_int_equal(tz_save_create(s, &rec, &id, NULL), 0);
    }
    uint64_t seq = fx_commit(s);
    assert_int_equal(fx_result_ops(f, seq, TZ_OUT_APPLIED, ver, ops, 3), 0);
    return seq;
}

/* ---- which ---- */

static void an_old_save_is_emptied_and_its_entry_stays(void **state)
{
    struct fx *f = *state;
    struct tz_office_balance before;
    struct tz_office_balance after;
    struct tz_id id;
    uint64_t old = applied(f, "甲公司", 10, &id);
    uint64_t young = applied(f, "乙公司", 11, &id);
    assert_int_equal(tz_office_balance(f->o, &before, NULL), 0);
    assert_int_equal(compact(f, 10), 1);
    assert_false(has_words(f, old));
    assert_true(has_words(f, young));
    assert_int_equal(ask(f, "outcome", old), TZ_OUT_APPLIED);
    assert_int_equal(ask(f, "ver", old), 10);
    assert_int_equal(ask(f, "saved_ms", old), f->clock.wall.ms);
    assert_int_equal(ask(f, "length(hash)", old), TZ_HASH_BYTES);
    assert_int_equal(tz_office_balance(f->o, &after, NULL), 0);
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(compact(f, 10), 1); /* again: nothing */
    assert_int_equal(compact(f, 0), 1);
    assert_true(has_words(f, young));
}

static void what_is_not_settled_keeps_its_words(void **state)
{
    struct fx *f = *state;
    static const struct {
        enum tz_outcome outcome;
        tz_ver ver;
        int code;
        bool words;
    } cases[] = {{TZ_OUT_APPLIED, 0, 0, true},
                 {TZ_OUT_SUPERSEDED, 10, 0, false},
                 {TZ_OUT_REFUSED, 0, TZ_E_REQUIRED, true},
                 {TZ_OUT_WAITING, 0, TZ_E_DEPENDS, true},
                 {TZ_OUT_HELD, 0, TZ_E_FORKED, true},
                 {TZ_OUT_UNDER_REVIEW, 10, 0, true}};
    enum { N = sizeof cases / sizeof *cases };
    uint64_t seq[N];
    uint64_t unsent;
    for (size_t i = 0; i < N; i++) {
        fx_new_org(f, "甲公司", &seq[i]);
        assert_int_equal(fx_result(f, seq[i], cases[i].outcome, cases[i].ver, cases[i].code), 0);
    }
    fx_new_org(f, "乙公司", &unsent);
    compact(f, 100);
    assert_true(has_words(f, seq[1])); /* its checkpoint has not come: it is still on the screen */
    assert_int_equal(fx_checkpoint(f, 20), 0);
    compact(f, 100);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(has_words(f, seq[i]), cases[i].words);
    assert_true(ask(f, "length(raw)", unsent) > 0);
}

static void rows_that_were_refused_alone_keep_their_words_until_somebody_saw_them(void **state)
{
    struct fx *f = *state;
    uint64_t seq = partly_refused(f, 10);
    struct tz_err err = {0};
    assert_int_equal(fx_checkpoint(f, 10), 0);
    compact(f, 100);
    assert_true(has_words(f, seq));
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_withdraw(s, seq, &err), 0);
    uint64_t by = fx_commit(s);
    compact(f, 100);
    assert_true(has_words(f, seq)); /* the server may refuse that */
    assert_int_equal(fx_result(f, by, TZ_OUT_APPLIED, 11, 0), 0);
    compact(f, 10);
    assert_false(has_words(f, seq));
    assert_true(has_words(f, by));
}

/* ---- restores ---- */

static void welcome_restored(struct fx *f, tz_ver above)
{
    static struct tz_lost_range once;
    static const char *const districts[] = {"120101"};
    once = (struct tz_lost_range){above, EPOCH(2) - 1, 2};
    f->lost = &once;
    f->nlost = 1;
    fx_welcome(f, "D_CLERK", "120101", districts, 1, 1);
}

static struct tz_office_status status(struct fx *f)
{
    struct tz_office_status st;
    struct tz_err err = {0};
    assert_int_equal(tz_office_status(f->o, &st, &err), 0);
    return st;
}

/** What the restore undid is nobody's success: it has a column of its own until it has an answer again. */
static void check_books(struct fx *f, uint64_t undone, uint64_t applied)
{
    struct tz_office_balance b;
    assert_int_equal(tz_office_balance(f->o, &b, NULL), 0);
    assert_int_equal(b.undone, undone);
    assert_int_equal(b.undone_saves, undone);
    assert_int_equal(b.applied, applied);
    assert_int_equal(b.made, b.undone + b.applied + b.refused);
}

/** As long as every backup that is kept has what was emptied, a restore to any of them asks for the others only. */
static void what_a_restore_undid_is_handed_in_again_and_not_emptied(void **state)
{
    struct fx *f = *state;
    struct tz_id id;
    uint64_t old = applied(f, "甲公司", EPOCH(1) + 20, &id);
    uint64_t lost = applied(f, "乙公司", EPOCH(1) + 21, &id);
    compact(f, EPOCH(1) + 20);
    assert_false(has_words(f, old));
    welcome_restored(f, EPOCH(1) + 20);
    assert_int_equal(ask(f, "reoffer", lost), 1);
    assert_int_equal(ask(f, "reoffer", old), 0);
    assert_int_equal(status(f).lost_saves, 1);
    compact(f, EPOCH(2) + 500); /* whatever a server says */
    assert_true(has_words(f, lost));
    assert_int_equal(fx_result(f, lost, TZ_OUT_APPLIED, EPOCH(2) + 21, 0), 0);
    assert_int_equal(fx_checkpoint(f, EPOCH(2) + 21), 0);
    assert_int_equal(status(f).lost_saves, 0);
    compact(f, EPOCH(2) + 20);
    assert_true(has_words(f, lost));
    compact(f, EPOCH(2) + 21);
    assert_false(has_words(f, lost));
}

/** Somebody went back to a copy that was older than all that were kept. */
static void a_restore_to_a_copy_that_was_not_kept_is_told(void **state)
{
    struct fx *f = *state;
    struct tz_id id;
    uint64_t old = applied(f, "甲公司", EPOCH(1) + 20, &id);
    uint64_t young = applied(f, "乙公司", EPOCH(1) + 30, &id);
    compact(f, EPOCH(1) + 25);
    welcome_restored(f, EPOCH(1) + 10);
    assert_int_equal(ask(f, "reoffer", old), 0); /* there is nothing to hand in */
    assert_int_equal(ask(f, "reoffer", young), 1);
    assert_int_equal(status(f).lost_saves, 2);
    assert_int_equal(status(f).lost_words, 1);
    check_books(f, 2, 0);
    assert_int_equal(fx_result(f, young, TZ_OUT_APPLIED, EPOCH(2) + 11, 0), 0);
    assert_int_equal(status(f).lost_saves, 1); /* and stays told */
    check_books(f, 1, 1);
    assert_int_equal(status(f).lost_rows, 2); /* its row is kept aside, to be offered */
}

/** Refused, its words wiped with the records they were about, and the restore forgot the refusal: nobody can bring it. */
static void a_refusal_that_a_restore_forgot_is_not_counted_as_one(void **state)
{
    struct fx *f = *state;
    uint64_t seq[2];
    struct tz_id id;
    (void)fx_new_org(f, "甲公司", &seq[0]);
    (void)fx_new_org(f, "乙公司", &seq[1]);
    assert_int_equal(fx_result(f, seq[0], TZ_OUT_REFUSED, 0, TZ_E_AREA), 0);
    assert_int_equal(fx_result(f, seq[1], TZ_OUT_REFUSED, 0, TZ_E_AREA), 0);
    (void)applied(f, "丙公司", EPOCH(1) + 20, &id);
    assert_int_equal(tz_db_exec(tz_office_db(f->o), "UPDATE outbox SET raw = x'' WHERE seq = 1", NULL), 0);
    welcome_restored(f, EPOCH(1) + 10);
    check_books(f, 3, 0);
    assert_int_equal(fx_result(f, seq[1], TZ_OUT_REFUSED, 0, TZ_E_AREA), 0);
    check_books(f, 2, 0);
    assert_int_equal(ask(f, "reoffer", seq[0]), 2);
}

/* ---- steps ---- */

static void the_work_is_done_in_steps_and_a_crash_between_them_loses_nothing(void **state)
{
    struct fx *f = *state;
    enum { N = 600 };
    struct tz_err err = {0};
    bool more = false;
    for (int i = 0; i < N; i++) {
        uint64_t seq;
        fx_new_org(f, "甲公司", &seq);
        assert_int_equal(fx_result(f, seq, TZ_OUT_APPLIED, 10 + (tz_ver)i, 0), 0);
        tz_arena_reset(&f->a);
    }
    assert_int_equal(fx_checkpoint(f, 10 + N), 0);
    assert_int_equal(tz_office_compact(f->o, 1000, &more, &err), 0);
    assert_true(more);
    int64_t left = 0;
    assert_int_equal(
        tz_db_query_int(tz_office_db(f->o), "SELECT count(*) FROM outbox WHERE length(raw) > 0", &left, NULL), 0);
    assert_true(left > 0 && left < N);
    assert_false(has_words(f, 1)); /* the oldest first */
    assert_true(has_words(f, N));
    fx_reopen(f, NULL); /* killed */
    assert_int_equal(compact(f, 1000), 2);
    assert_int_equal(
        tz_db_query_int(tz_office_db(f->o), "SELECT count(*) FROM outbox WHERE length(raw) > 0", &left, NULL), 0);
    assert_int_equal(left, 0);
}

/* ---- without the words ---- */

static void history_counts_what_it_cannot_tell_and_the_server_tells_it(void **state)
{
    struct fx *f = *state;
    struct tz_changes c;
    struct tz_err err = {0};
    struct tz_id id;
    struct tz_seen seen;
    struct tz_row row;
    uint64_t made = applied(f, "甲公司", 10, &id);
    assert_true(fx_read(f, f->org, id, &row, &seen));
    uint64_t edited = fx_edit(f, id, &seen, "address", tz_value_text("一号"));
    compact(f, 10);
    assert_int_equal(tz_history_here(f->o, f->org, id, &f->a, &c, &err), 0);
    assert_int_equal(c.n, 1);
    assert_int_equal(c.v[0].e.seq, edited);
    assert_int_equal(c.emptied, 1);
    struct tz_history_op op = {.op = {.kind = TZ_OP_CREATE, .type = f->org->id, .id = id, .action = ""},
                               .result = {.outcome = TZ_OUT_APPLIED}};
    struct tz_history_entry e = {.n = 5,
                                 .ver = 10,
                                 .device = FX_DEVICE,
                                 .incarnation = 1,
                                 .seq = made,
                                 .device_name = "desk",
                                 .user_code = "",
                                 .user_name = "",
                                 .reason = "",
                                 .outcome = TZ_OUT_APPLIED,
                                 .ops = &op,
                                 .nops = 1};
    struct tz_msg_history m = {.entries = &e, .nentries = 1};
    struct tz_buf page;
    tz_buf_init(&page, 1 << 16);
    assert_int_equal(tz_msg_put_history(&page, &m), 0);
    struct tz_bytes body = tz_buf_unread(&page);
    assert_int_equal(tz_history_server(&c, &body, 1, &f->a, &err), 0);
    assert_int_equal(c.n, 2);
    assert_int_equal(c.v[1].e.seq, made);
    tz_buf_deinit(&page);
}

static void steps_and_withdrawals_of_an_emptied_save_are_refused_as_settled(void **state)
{
    struct fx *f = *state;
    struct tz_id id;
    struct tz_err err = {0};
    uint64_t last = 0;
    uint64_t old = applied(f, "甲公司", 10, &id);
    struct tz_signed_result again = fx_signed(f, old, TZ_OUT_APPLIED, 10, 0, NULL, 0);
    compact(f, 10);
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_withdraw(s, old, &err), TZ_E_SETTLED);
    tz_save_cancel(s);
    assert_int_equal(tz_step_again(f->o, old, &last, &err), TZ_E_NO_STEP);
    assert_int_equal(tz_office_results(f->o, &again, 1, NULL, &err), 0); /* a late duplicate of its answer */
    assert_false(has_words(f, old));
}

/* ---- older databases ---- */

static void sheets_of_an_older_database_are_found_by_their_saves(void **state)
{
    struct fx *f = *state;
    struct tz_id import = {{1, 2, 3}};
    struct tz_save *s = NULL;
    struct tz_save_options opt = {.import_id = import};
    struct tz_record rec;
    struct tz_id id;
    struct tz_err err = {0};
    uint64_t plain;
    uint64_t seq = 0;
    fx_new_org(f, "甲公司", &plain);
    assert_int_equal(tz_save_begin(f->o, &opt, &s, &err), 0);
    tz_record_init(&rec, f->org);
    fx_set(&rec, NULL, "name", tz_value_text("乙公司"));
    fx_set(&rec, NULL, "district_code", tz_value_text("120101"));
    assert_int_equal(tz_save_create(s, &rec, &id, &err), 0);
    assert_int_equal(tz_save_commit(s, &seq, &err), 0);
    assert_int_equal(ask(f, "import_id = x'01020300000000000000000000000000'", seq), 1);
    assert_int_equal(tz_db_exec(tz_office_db(f->o),
                                "DROP INDEX outbox_import; DROP INDEX outbox_answer;"
                                "ALTER TABLE outbox DROP COLUMN import_id; PRAGMA user_version = 5",
                                &err),
                     0);
    fx_reopen(f, NULL);
    assert_int_equal(ask(f, "import_id = x'01020300000000000000000000000000'", seq), 1);
    assert_int_equal(ask(f, "import_id IS NULL", plain), 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        T(an_old_save_is_emptied_and_its_entry_stays),
        T(what_is_not_settled_keeps_its_words),
        T(rows_that_were_refused_alone_keep_their_words_until_somebody_saw_them),
        T(what_a_restore_undid_is_handed_in_again_and_not_emptied),
        T(a_restore_to_a_copy_that_was_not_kept_is_told),
        T(a_refusal_that_a_restore_forgot_is_not_counted_as_one),
        T(the_work_is_done_in_steps_and_a_crash_between_them_loses_nothing),
        T(history_counts_what_it_cannot_tell_and_the_server_tells_it),
        T(steps_and_withdrawals_of_an_emptied_save_are_refused_as_settled),
        T(sheets_of_an_older_database_are_found_by_their_saves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
