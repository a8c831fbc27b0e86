/* SPDX-License-Identifier: Apache-2.0 */
/* What a device must not hold any more is not in its files: words are looked for byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "import.h"
#include "office_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROOM = 4 * 1024 * 1024 };

static bool stands_in(const char *path, const char *word)
{
    uint8_t *text = malloc(ROOM);
    FILE *in = fopen(path, "rb");
    assert_non_null(text);
    size_t n = in ? fread(text, 1, ROOM, in) : 0;
    bool found = n >= strlen(word) && memmem(text, n, word, strlen(word)) != NULL;
    assert_true(n < ROOM);
    if (in)
        (void)fclose(in);
    free(text);
    return found;
}

/** Is @word in the database's files? */
static bool held(const struct fx *f, const char *word)
{
    char wal[128];
    (void)snprintf(wal, sizeof wal, "%s-wal", f->path);
    return stands_in(f->path, word) || stands_in(wal, word);
}

static bool due(struct fx *f)
{
    struct tz_err err = {0};
    bool out = false;
    assert_int_equal(tz_office_wipe_due(f->o, &out, &err), 0);
    return out;
}

/** What a session does when everything has been handed in. */
static struct tz_wiped wipe(struct fx *f)
{
    struct tz_err err = {0};
    struct tz_wiped w;
    assert_int_equal(tz_office_wipe(f->o, &w, &err), 0);
    assert_false(w.waits);
    return w;
}

static void noted(struct fx *f)
{
    struct tz_err err = {0};
    assert_int_equal(tz_office_wipe_noted(f->o, &err), 0);
}

static void left(struct fx *f, struct tz_id id, tz_ver ver)
{
    fx_row(f, id, ver, TZ_ROW_LEFT, "120101", NULL, NULL);
    assert_int_equal(fx_checkpoint(f, ver), 0);
}

/* ---- records that left ---- */

static void the_words_that_made_a_record_go_with_it(void **state)
{
    struct fx *f = *state;
    uint64_t seq;
    struct tz_id id = fx_new_org(f, "MARKA甲公司", &seq);
    assert_int_equal(fx_result(f, seq, TZ_OUT_APPLIED, 10, 0), 0);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "MARKA甲公司", "MARKB路");
    assert_int_equal(fx_checkpoint(f, 10), 0);
    assert_false(due(f));
    left(f, id, 11);
    assert_true(due(f));
    assert_false(wipe(f).receipt);
    assert_false(due(f));
    assert_false(held(f, "MARKA"));
    assert_false(held(f, "MARKB"));
}

/** Applied and moved on before its row was ever sent here: only the leaving comes. */
static void a_record_that_left_before_it_was_shown_leaves_no_words(void **state)
{
    struct fx *f = *state;
    uint64_t seq;
    struct tz_id id = fx_new_org(f, "MARKA甲公司", &seq);
    assert_int_equal(fx_result(f, seq, TZ_OUT_APPLIED, 10, 0), 0);
    left(f, id, 11);
    assert_false(fx_read(f, f->org, id, &(struct tz_row){0}, NULL));
    assert_true(due(f));
    (void)wipe(f);
    assert_false(held(f, "MARKA"));
}

/** It was gone before anything was ever fetched: no leaving is told to a replica that has nothing. */
static void the_first_filling_looks_for_words_of_what_left_before(void **state)
{
    struct fx *f = *state;
    struct tz_err err = {0};
    uint64_t seq;
    (void)fx_new_org(f, "MARKA甲公司", &seq);
    assert_int_equal(fx_result(f, seq, TZ_OUT_APPLIED, 10, 0), 0);
    assert_int_equal(tz_db_exec(tz_office_db(f->o), "UPDATE office SET filling = 1", &err), 0);
    assert_int_equal(fx_checkpoint(f, 12), 0);
    assert_true(due(f));
    (void)wipe(f);
    assert_false(held(f, "MARKA"));
}

/** A supervisor said yes to it, and it moved on: its author is told of neither. */
static void a_record_that_went_under_review_leaves_no_words(void **state)
{
    struct fx *f = *state;
    uint64_t seq;
    struct tz_id id = fx_new_org(f, "MARKA甲公司", &seq);
    assert_int_equal(fx_result(f, seq, TZ_OUT_UNDER_REVIEW, 10, TZ_E_LATE_SCOPE), 0);
    left(f, id, 12);
    assert_true(due(f));
    (void)wipe(f);
    assert_false(held(f, "MARKA"));
}

/** What never came to be has not left: it is there to be mended. */
static void a_refused_new_record_keeps_its_words(void **state)
{
    struct fx *f = *state;
    uint64_t seq;
    struct tz_id other = fx_server_id(1);
    (void)fx_new_org(f, "MARKA甲公司", &seq);
    assert_int_equal(fx_result(f, seq, TZ_OUT_REFUSED, 0, TZ_E_VALUE), 0);
    fx_row(f, other, 10, TZ_ROW_LIVE, "120101", "MARKB乙公司", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    left(f, other, 11);
    (void)wipe(f);
    assert_true(held(f, "MARKA"));
    assert_false(held(f, "MARKB"));
}

/** Of a sheet: the one row that was refused keeps the save, as long as the others are here. */
static void a_sheet_partly_refused_keeps_its_words_while_the_rest_is_here(void **state)
{
    struct fx *f = *state;
    static const enum tz_outcome outcomes[] = {TZ_OUT_APPLIED, TZ_OUT_REFUSED};
    static const char *const names[] = {"MARKA甲公司", "MARKB乙公司"};
    struct tz_id id[2];
    struct tz_id other = fx_server_id(1);
    struct tz_save *s = fx_begin(f, true);
    for (int i = 0; i < 2; i++) {
        struct tz_record rec;
        struct tz_err err = {0};
        tz_record_init(&rec, f->org);
        fx_set(&rec, NULL, "name", tz_value_text(names[i]));
        fx_set(&rec, NULL, "district_code", tz_value_text("120101"));
        assert_int_equal(tz_save_create(s, &rec, &id[i], &err), 0);
    }
    uint64_t seq = fx_commit(s);
    assert_int_equal(fx_result_ops(f, seq, TZ_OUT_APPLIED, 10, outcomes, 2), 0);
    fx_row(f, id[0], 10, TZ_ROW_LIVE, "120101", "MARKA甲公司", NULL);
    fx_row(f, other, 10, TZ_ROW_LIVE, "120101", "MARKC丙公司", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    left(f, other, 11);
    (void)wipe(f);
    assert_true(held(f, "MARKB"));
    assert_false(held(f, "MARKC"));
    left(f, id[0], 12);
    (void)wipe(f);
    assert_false(held(f, "MARKA"));
    assert_false(held(f, "MARKB")); /* one save, one set of bytes */
}

/* ---- saves that have no final answer yet ---- */

/** They keep their words, since nobody else may have them; and lose them when the answer is final. */
static void a_waiting_save_loses_its_words_when_it_is_settled(void **state)
{
    struct fx *f = *state;
    struct tz_id id = fx_server_id(1);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "MARKA甲公司", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    uint64_t seq = fx_edit(f, id, NULL, "address", tz_value_text("MARKB路"));
    assert_int_equal(fx_result(f, seq, TZ_OUT_WAITING, 0, TZ_E_DEPENDS), 0);
    left(f, id, 11);
    (void)wipe(f);
    assert_false(held(f, "MARKA"));
    assert_true(held(f, "MARKB"));
    assert_false(due(f));
    assert_int_equal(fx_result(f, seq, TZ_OUT_WITHDRAWN, 0, TZ_E_WITHDRAWN), 0);
    assert_true(due(f));
    (void)wipe(f);
    assert_false(held(f, "MARKB"));
    assert_false(due(f));
}

/** The same when the answer is a version that is not shown yet. */
static void a_save_on_the_screen_loses_its_words_when_it_leaves_it(void **state)
{
    struct fx *f = *state;
    struct tz_id id = fx_server_id(1);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "MARKA甲公司", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    uint64_t seq = fx_edit(f, id, NULL, "address", tz_value_text("MARKB路"));
    left(f, id, 11);
    assert_int_equal(fx_result(f, seq, TZ_OUT_UNDER_REVIEW, 12, TZ_E_LATE_SCOPE), 0);
    (void)wipe(f);
    assert_true(held(f, "MARKB"));
    assert_int_equal(fx_checkpoint(f, 12), 0);
    assert_true(due(f));
    (void)wipe(f);
    assert_false(held(f, "MARKB"));
}

/* ---- kept sheets ---- */

static void write_file(const char *path, const char *text)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

/** The kept copy of import number @n, with rows left behind or without. */
static void keep_sheet(const struct fx *f, int n, bool rejected)
{
    char path[200];
    (void)snprintf(path, sizeof path, "%s/%032x", f->imports, n);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/%032x/source.csv", f->imports, n);
    write_file(path, "MARKS");
    (void)snprintf(path, sizeof path, "%s/%032x/rejected.csv", f->imports, n);
    if (rejected)
        write_file(path, "MARKS");
}

static bool has_sheet(const struct fx *f, int n)
{
    char path[200];
    (void)snprintf(path, sizeof path, "%s/%032x/source.csv", f->imports, n);
    return access(path, F_OK) == 0;
}

/** A sheet names records whether a save came of it or not. What somebody still has to correct stays as long as the
 * area does; and nothing is taken from under an import that reads it. */
static void kept_sheets_go_with_what_they_name(void **state)
{
    struct fx *f = *state;
    static const char *const one[] = {"120102"};
    struct tz_id id = fx_server_id(1);
    char dir[96];
    char path[200];
    (void)snprintf(dir, sizeof dir, "%s/imports", f->dir);
    f->imports = dir;
    fx_reopen(f, NULL);
    assert_int_equal(mkdir(dir, 0700), 0);
    keep_sheet(f, 1, false);
    keep_sheet(f, 2, true);
    keep_sheet(f, 3, false);
    (void)snprintf(path, sizeof path, "%s/%032x", dir, 3);
    int reading = open(path, O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(reading, LOCK_EX | LOCK_NB), 0);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "甲公司", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    left(f, id, 11);
    (void)wipe(f);
    assert_false(has_sheet(f, 1));
    assert_true(has_sheet(f, 2));
    assert_true(has_sheet(f, 3));
    fx_welcome(f, "D_CLERK", "120102", one, 1, 1);
    (void)wipe(f);
    noted(f);
    assert_false(has_sheet(f, 2));
    assert_true(has_sheet(f, 3));
    (void)close(reading);
    fx_welcome(f, "D_CLERK", "120102", one, 1, 1); /* the next session looks again */
    assert_true(due(f));
    (void)wipe(f);
    noted(f);
    assert_false(has_sheet(f, 3));
    assert_int_equal(rmdir(dir), 0);
}

/** What its saves said is not known here any more, so nobody can say that the sheet may stay. */
static void the_sheet_of_saves_that_were_emptied_goes_with_the_next_record(void **state)
{
    struct fx *f = *state;
    struct tz_id id = fx_server_id(1);
    struct tz_save_options opt = {.independent = true, .import_id = {{[15] = 4}}};
    struct tz_save *s = NULL;
    struct tz_record rec;
    struct tz_id made;
    struct tz_err err = {0};
    uint64_t seq = 0;
    bool more = false;
    char dir[96];
    (void)snprintf(dir, sizeof dir, "%s/imports", f->dir);
    f->imports = dir;
    fx_reopen(f, NULL);
    assert_int_equal(mkdir(dir, 0700), 0);
    keep_sheet(f, 4, true);
    keep_sheet(f, 5, true);
    assert_int_equal(tz_save_begin(f->o, &opt, &s, &err), 0);
    tz_record_init(&rec, f->org);
    fx_set(&rec, NULL, "name", tz_value_text("甲公司"));
    fx_set(&rec, NULL, "district_code", tz_value_text("120101"));
    assert_int_equal(tz_save_create(s, &rec, &made, &err), 0);
    assert_int_equal(tz_save_commit(s, &seq, &err), 0);
    assert_int_equal(fx_result(f, seq, TZ_OUT_APPLIED, 9, 0), 0);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "乙公司", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    assert_int_equal(tz_office_compact(f->o, 10, &more, &err), 0);
    assert_true(has_sheet(f, 4));
    left(f, id, 11);
    (void)wipe(f);
    assert_false(has_sheet(f, 4));
    assert_true(has_sheet(f, 5));
    (void)tz_import_forget_all(dir);
    assert_int_equal(rmdir(dir), 0);
}

/* ---- the receipt ---- */

/** A record leaves while the receipt is on its way: the note about that is not about this. */
static void what_leaves_behind_a_receipt_is_wiped_too(void **state)
{
    struct fx *f = *state;
    static const char *const two[] = {"120101", "120102"};
    static const char *const one[] = {"120101"};
    struct tz_id id = fx_server_id(1);
    fx_welcome(f, "D_CLERK", "120101", two, 2, 1);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "MARKA甲公司", NULL);
    fx_row(f, fx_server_id(2), 10, TZ_ROW_LIVE, "120102", "MARKB乙公司", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    fx_welcome(f, "D_CLERK", "120101", one, 1, 1);
    struct tz_wiped w = wipe(f);
    assert_true(w.receipt);
    assert_int_equal(w.ver, 10);
    assert_false(held(f, "MARKB"));
    left(f, id, 11);
    noted(f);
    assert_true(due(f));
    (void)wipe(f);
    noted(f);
    assert_false(due(f));
    assert_false(held(f, "MARKA"));
}

/* ---- a device that is shut out ---- */

/** What the server had taken and a restore has undone since: this may be the only copy, so it is unsent again. */
static void a_device_shut_out_hands_in_what_a_restore_undid(void **state)
{
    struct fx *f = *state;
    struct tz_msg_wipe_order order = {.device = FX_DEVICE, .incarnation = 1, .push_in_flight_max = 8, .taking = true};
    struct tz_err err = {0};
    struct tz_bytes *raw;
    uint64_t *seqs;
    uint64_t seq[4];
    uint64_t saves = 0;
    size_t n = 0;
    for (int i = 0; i < 4; i++)
        (void)fx_new_org(f, "甲公司", &seq[i]);
    assert_int_equal(fx_result(f, seq[0], TZ_OUT_APPLIED, 10, 0), 0);
    assert_int_equal(fx_result(f, seq[1], TZ_OUT_APPLIED, 11, 0), 0);
    assert_int_equal(fx_result(f, seq[2], TZ_OUT_REFUSED, 0, TZ_E_VALUE), 0);
    assert_int_equal(fx_checkpoint(f, 11), 0);
    order.lost_above = 10;
    order.lost_upto = 20;
    for (int again = 0; again < 2; again++) { /* the line may break */
        assert_int_equal(tz_office_revoked(f->o, &order, &err), 0);
        assert_int_equal(tz_office_outbox(f->o, 0, UINT64_MAX, 1U << 20, &f->a, &raw, &seqs, &n, &err), 0);
        assert_int_equal(n, 2);
        assert_int_equal(seqs[0], seq[1]);
        assert_int_equal(seqs[1], seq[3]);
    }
    for (size_t i = 0; i < n; i++)
        assert_int_equal(fx_result(f, seqs[i], TZ_OUT_HELD, 0, TZ_E_HELD_REVOKED), 0);
    assert_int_equal(tz_office_erase(f->o, &saves, &err), 0);
    assert_int_equal(saves, 2);
    assert_false(held(f, "甲公司"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        T(the_words_that_made_a_record_go_with_it),
        T(a_record_that_left_before_it_was_shown_leaves_no_words),
        T(the_first_filling_looks_for_words_of_what_left_before),
        T(a_record_that_went_under_review_leaves_no_words),
        T(a_refused_new_record_keeps_its_words),
        T(a_sheet_partly_refused_keeps_its_words_while_the_rest_is_here),
        T(a_waiting_save_loses_its_words_when_it_is_settled),
        T(a_save_on_the_screen_loses_its_words_when_it_leaves_it),
        T(kept_sheets_go_with_what_they_name),
        T(the_sheet_of_saves_that_were_emptied_goes_with_the_next_record),
        T(a_device_shut_out_hands_in_what_a_restore_undid),
        T(what_leaves_behind_a_receipt_is_wiped_too),
    };
    return cmocka_run_group_tests_name("wipe", tests, NULL, NULL);
}
