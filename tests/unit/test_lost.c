/* SPDX-License-Identifier: Apache-2.0 */
/* The server went back to a backup: what is here of versions that it undid. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "office_fixture.h"

#include <string.h>

#define EPOCH(n) ((tz_ver)(n) << TZ_VER_COUNTER_BITS)
static const tz_ver BACKUP = EPOCH(1) + 20; /* the backup's head */

static int64_t count(struct fx *f, const char *sql)
{
    int64_t n = -1;
    assert_int_equal(tz_db_query_int(tz_office_db(f->o), sql, &n, NULL), 0);
    return n;
}

static void welcome(struct fx *f, const struct tz_lost_range *lost, size_t n)
{
    const char *districts[] = {"120101"};
    f->lost = lost;
    f->nlost = n;
    fx_welcome(f, "D_CLERK", "120101", districts, 1, 1);
}

static void welcome_audit(struct fx *f, const struct tz_lost_range *lost, size_t n, enum tz_audit_answer audit)
{
    f->audit = audit;
    welcome(f, lost, n);
    f->audit = TZ_AUDIT_UNANSWERED;
}

/** The Welcome after one restore. */
static void welcome_restored(struct fx *f)
{
    static const struct tz_lost_range once[] = {{EPOCH(1) + 20, EPOCH(2) - 1, 2}};
    welcome(f, once, 1);
}

static struct tz_office_status status(struct fx *f)
{
    struct tz_office_status st;
    assert_int_equal(tz_office_status(f->o, &st, NULL), 0);
    return st;
}

static void rows_of_lost_versions_are_set_aside_and_the_others_stay(void **state)
{
    struct fx *f = *state;
    struct tz_row row;
    struct tz_id old = fx_server_id(1);
    struct tz_id changed = fx_server_id(2);
    struct tz_id deleted = fx_server_id(3);
    fx_row(f, old, EPOCH(1) + 10, TZ_ROW_LIVE, "120101", "旧", NULL);
    fx_row(f, changed, EPOCH(1) + 21, TZ_ROW_LIVE, "120101", "新名", NULL);
    fx_row(f, deleted, EPOCH(1) + 25, TZ_ROW_DELETED, "120101", "删了", NULL);
    assert_int_equal(fx_checkpoint(f, EPOCH(1) + 30), 0);
    welcome_restored(f);
    assert_true(tz_office_filling(f->o));
    assert_int_equal(count(f, "SELECT count(*) FROM cursor WHERE ver <> 0"), 0);
    assert_true(fx_read(f, f->org, old, &row, NULL));
    assert_false(fx_read(f, f->org, changed, &row, NULL));
    assert_false(fx_read(f, f->org, deleted, &row, NULL));
    assert_int_equal(count(f, "SELECT count(*) FROM lost_row WHERE length(body) > 0"), 2);
    assert_int_equal(count(f, "SELECT count(*) FROM lost_row WHERE state = 1"), 1);
    assert_int_equal(status(f).lost_rows, 2);
    /* the older state comes, below the version that was here */
    fx_row(f, changed, EPOCH(1) + 5, TZ_ROW_LIVE, "120101", "旧名", NULL);
    fx_row(f, deleted, EPOCH(1) + 6, TZ_ROW_LIVE, "120101", "还在", NULL);
    assert_int_equal(fx_checkpoint(f, EPOCH(2) + 21), 0);
    fx_assert_text(f, changed, "name", "旧名");
    fx_assert_text(f, deleted, "name", "还在");
    assert_false(tz_office_filling(f->o));
    assert_int_equal(status(f).lost_rows, 2);
}

static void who_was_not_so_far_goes_on_as_before(void **state)
{
    struct fx *f = *state;
    struct tz_id id = fx_server_id(1);
    fx_row(f, id, EPOCH(1) + 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, BACKUP), 0);
    welcome_restored(f);
    assert_false(tz_office_filling(f->o));
    assert_int_equal(count(f, "SELECT count(DISTINCT ver) FROM cursor"), 1);
    assert_int_equal(count(f, "SELECT max(ver) FROM cursor"), BACKUP);
    fx_assert_text(f, id, "name", "甲");
    assert_int_equal(status(f).lost_rows, 0);
}

static void a_cursor_on_its_way_starts_anew_although_it_is_not_lost_itself(void **state)
{
    struct fx *f = *state;
    struct tz_msg_rows rows = {0};
    struct tz_cursor progress = {.area = {"120101", ""}, .tier = 1, .ver = EPOCH(1) + 12};
    assert_int_equal(fx_checkpoint(f, EPOCH(1) + 5), 0);
    rows.progress = &progress;
    rows.nprogress = 1;
    assert_int_equal(tz_office_fill(f->o, &rows, NULL), 0);
    welcome_restored(f);
    assert_int_equal(count(f, "SELECT ver FROM cursor WHERE district = '120101' AND tier = 1"), 0);
    assert_int_equal(count(f, "SELECT count(*) FROM cursor WHERE ver > 0"), 3); /* the checkpoint's */
    assert_true(tz_office_filling(f->o));
}

static void the_same_range_twice_sets_aside_once(void **state)
{
    struct fx *f = *state;
    struct tz_id id = fx_server_id(1);
    fx_row(f, id, EPOCH(1) + 21, TZ_ROW_LIVE, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, EPOCH(1) + 21), 0);
    welcome_restored(f);
    fx_row(f, id, EPOCH(1) + 3, TZ_ROW_LIVE, "120101", "旧", NULL);
    assert_int_equal(fx_checkpoint(f, EPOCH(2) + 21), 0);
    welcome_restored(f);
    assert_false(tz_office_filling(f->o));
    fx_assert_text(f, id, "name", "旧");
    assert_int_equal(count(f, "SELECT count(*) FROM cursor WHERE ver = 0"), 0);
    assert_int_equal(status(f).lost_rows, 1);
}

static void a_second_restore_keeps_what_the_first_set_aside(void **state)
{
    struct fx *f = *state;
    static const struct tz_lost_range both[] = {{EPOCH(1) + 20, EPOCH(2) - 1, 2}, {EPOCH(2) + 30, EPOCH(3) - 1, 3}};
    struct tz_id id = fx_server_id(1);
    fx_row(f, id, EPOCH(1) + 21, TZ_ROW_LIVE, "120101", "一", NULL);
    assert_int_equal(fx_checkpoint(f, EPOCH(1) + 21), 0);
    welcome_restored(f);
    fx_row(f, id, EPOCH(2) + 31, TZ_ROW_LIVE, "120101", "二", NULL);
    assert_int_equal(fx_checkpoint(f, EPOCH(2) + 31), 0);
    welcome(f, both, 2);
    assert_int_equal(status(f).lost_rows, 2); /* both states of the record */
    assert_int_equal(count(f, "SELECT count(*) FROM lost_range"), 2);
}

static void what_an_undone_restore_had_undone_is_no_longer_called_lost(void **state)
{
    struct fx *f = *state;
    static const struct tz_lost_range other[] = {{EPOCH(1) + 25, EPOCH(3) - 1, 3}}; /* a backup of before the restore */
    uint64_t seq = 0;
    (void)fx_new_org(f, "甲", &seq);
    assert_int_equal(fx_result(f, seq, TZ_OUT_APPLIED, EPOCH(1) + 22, 0), 0);
    assert_int_equal(fx_checkpoint(f, EPOCH(1) + 22), 0);
    welcome_restored(f);
    assert_int_equal(status(f).lost_saves, 1);
    welcome(f, other, 1);
    assert_int_equal(status(f).lost_saves, 0);
}

static void unsent_edits_stay_on_top_and_go_out(void **state)
{
    struct fx *f = *state;
    struct tz_row row;
    struct tz_seen seen;
    struct tz_id edited = fx_server_id(1);
    uint64_t made = 0;
    fx_row(f, edited, EPOCH(1) + 25, TZ_ROW_LIVE, "120101", "甲", "一号");
    assert_int_equal(fx_checkpoint(f, EPOCH(1) + 25), 0);
    assert_true(fx_read(f, f->org, edited, &row, &seen));
    uint64_t seq = fx_edit(f, edited, &seen, "address", tz_value_text("二号"));
    struct tz_id fresh = fx_new_org(f, "新公司", &made);
    welcome_restored(f);
    fx_assert_text(f, fresh, "name", "新公司"); /* not the server's to lose */
    assert_int_equal(status(f).unsent_changesets, 2);
    fx_row(f, edited, EPOCH(1) + 7, TZ_ROW_LIVE, "120101", "旧名", "零号");
    assert_int_equal(fx_checkpoint(f, EPOCH(2) + 21), 0);
    fx_assert_text(f, edited, "name", "旧名");
    fx_assert_text(f, edited, "address", "二号"); /* replayed on what the server has */
    assert_int_equal(tz_office_read_confirmed(f->o, f->org, edited, &f->a, &row, NULL), 1);
    assert_true(tz_value_is_text(fx_get(&row, "address"), "零号"));
    assert_int_equal(fx_changeset(f, seq).ops[0].base_ver, EPOCH(1) + 25); /* the server knows what that saw */
    assert_int_equal(status(f).lost_rows, 1);
}

static void a_record_that_left_in_a_lost_version_comes_back_under_an_unsent_edit(void **state)
{
    struct fx *f = *state;
    struct tz_row row;
    struct tz_seen seen;
    struct tz_id id = fx_server_id(1);
    fx_row(f, id, EPOCH(1) + 10, TZ_ROW_LIVE, "120101", "甲", "一号");
    assert_int_equal(fx_checkpoint(f, EPOCH(1) + 20), 0);
    assert_true(fx_read(f, f->org, id, &row, &seen));
    fx_edit(f, id, &seen, "address", tz_value_text("二号"));
    fx_row(f, id, EPOCH(1) + 25, TZ_ROW_LEFT, "120101", NULL, NULL);
    assert_int_equal(fx_checkpoint(f, EPOCH(1) + 30), 0);
    assert_int_equal(tz_office_read_confirmed(f->o, f->org, id, &f->a, &row, NULL), 0);
    welcome_restored(f);
    assert_int_equal(status(f).lost_rows, 0); /* there was nothing here to keep */
    fx_row(f, id, EPOCH(1) + 10, TZ_ROW_LIVE, "120101", "甲", "一号");
    assert_int_equal(fx_checkpoint(f, EPOCH(2) + 21), 0);
    assert_int_equal(tz_office_read_confirmed(f->o, f->org, id, &f->a, &row, NULL), 1);
    assert_true(tz_value_is_text(fx_get(&row, "address"), "一号"));
    fx_assert_text(f, id, "address", "二号");
}

/* ---- handing in again ---- */

struct handing {
    struct tz_arena a;
    struct tz_offered *v;
    size_t n;
};

static void load(struct fx *f, struct handing *h)
{
    struct tz_reoffer_place at = {0};
    tz_arena_init(&h->a, 1 << 20);
    assert_int_equal(tz_office_reoffer(f->o, &at, 1 << 20, &h->a, &h->v, &h->n, NULL), 0);
}

static uint64_t seq_of(struct handing *h, size_t i)
{
    struct tz_changeset cs;
    assert_int_equal(tz_msg_read_changeset(h->v[i].changeset, &h->a, &cs, NULL), 0);
    return cs.seq;
}

static void an_applied_save_of_a_lost_version_stays_on_the_view_until_it_counts_again(void **state)
{
    struct fx *f = *state;
    struct tz_row row;
    struct handing h;
    uint64_t seq = 0;
    struct tz_id id = fx_new_org(f, "甲", &seq);
    assert_int_equal(fx_result(f, seq, TZ_OUT_APPLIED, EPOCH(1) + 22, 0), 0);
    assert_int_equal(fx_checkpoint(f, EPOCH(1) + 23), 0);
    welcome_restored(f);
    assert_int_equal(status(f).lost_saves, 1);
    assert_true(fx_read(f, f->org, id, &row, NULL));
    assert_int_equal(fx_checkpoint(f, EPOCH(2) + 21), 0);
    assert_true(fx_read(f, f->org, id, &row, NULL)); /* another one's checkpoint is not its own */
    load(f, &h);
    assert_int_equal(h.n, 1);
    assert_int_equal(seq_of(&h, 0), seq);
    tz_arena_deinit(&h.a);
    assert_int_equal(fx_result(f, seq, TZ_OUT_APPLIED, EPOCH(2) + 30, 0), 0);
    load(f, &h);
    assert_int_equal(h.n, 0);
    tz_arena_deinit(&h.a);
    assert_int_equal(status(f).lost_saves, 0);
    assert_true(fx_read(f, f->org, id, &row, NULL));
    fx_row(f, id, EPOCH(2) + 30, TZ_ROW_LIVE, "120101", "甲", "一号");
    assert_int_equal(fx_checkpoint(f, EPOCH(2) + 30), 0);
    assert_true(fx_read(f, f->org, id, &row, NULL));
    assert_int_equal(row.ver, EPOCH(2) + 30);
}

static void the_verdict_after_a_restore_replaces_the_answer_of_before(void **state)
{
    struct fx *f = *state;
    struct tz_row row;
    struct tz_office_balance b;
    uint64_t seq = 0;
    struct tz_id id = fx_new_org(f, "甲", &seq);
    assert_int_equal(fx_result(f, seq, TZ_OUT_APPLIED, EPOCH(1) + 22, 0), 0);
    assert_int_equal(fx_checkpoint(f, EPOCH(1) + 23), 0);
    welcome_restored(f);
    assert_int_equal(fx_result(f, seq, TZ_OUT_WAITING, 0, TZ_E_RECOVERING), 0);
    assert_int_equal(tz_office_balance(f->o, &b, NULL), 0);
    assert_int_equal(b.waiting, 1);
    assert_int_equal(b.applied, 0);
    assert_true(fx_read(f, f->org, id, &row, NULL));
    assert_int_equal(fx_result(f, seq, TZ_OUT_REFUSED, 0, TZ_E_AREA), 0);
    assert_int_equal(tz_office_balance(f->o, &b, NULL), 0);
    assert_int_equal(b.refused, 1);
    assert_int_equal(b.waiting, 0);
    assert_false(fx_read(f, f->org, id, &row, NULL));
    assert_int_equal(fx_result(f, seq, TZ_OUT_APPLIED, EPOCH(2) + 30, 0), 0); /* late: the verdict is final */
    assert_int_equal(tz_office_balance(f->o, &b, NULL), 0);
    assert_int_equal(b.refused, 1);
}

/** One that had waited counted later than the one that freed it; one without a version comes where its number is. */
static void saves_are_handed_in_in_the_order_in_which_they_counted(void **state)
{
    struct fx *f = *state;
    struct handing h;
    uint64_t seq[4];
    for (int i = 0; i < 4; i++)
        (void)fx_new_org(f, "甲", &seq[i]);
    assert_int_equal(fx_result(f, seq[0], TZ_OUT_APPLIED, EPOCH(1) + 30, 0), 0);
    assert_int_equal(fx_result(f, seq[1], TZ_OUT_APPLIED, EPOCH(1) + 22, 0), 0);
    assert_int_equal(fx_result(f, seq[2], TZ_OUT_REFUSED, 0, TZ_E_AREA), 0);
    assert_int_equal(fx_result(f, seq[3], TZ_OUT_APPLIED, EPOCH(1) + 31, 0), 0);
    welcome_restored(f);
    load(f, &h);
    assert_int_equal(h.n, 4);
    assert_int_equal(seq_of(&h, 0), seq[1]);
    assert_int_equal(seq_of(&h, 1), seq[0]);
    assert_int_equal(seq_of(&h, 2), seq[2]);
    assert_int_equal(seq_of(&h, 3), seq[3]);
    tz_arena_deinit(&h.a);
}

/** A form of before the restore shows an own value over a newer one; that it did is still known when it is saved. */
static void a_form_opened_before_does_not_claim_what_it_hid(void **state)
{
    struct fx *f = *state;
    struct tz_row row;
    struct tz_seen first;
    struct tz_seen form;
    struct tz_id id = fx_server_id(1);
    fx_row(f, id, EPOCH(1) + 25, TZ_ROW_LIVE, "120101", "甲", "一号");
    assert_int_equal(fx_checkpoint(f, EPOCH(1) + 25), 0);
    assert_true(fx_read(f, f->org, id, &row, &first));
    uint64_t own = fx_edit(f, id, &first, "address", tz_value_text("二号"));
    fx_row(f, id, EPOCH(1) + 27, TZ_ROW_LIVE, "120101", "甲", "别人的三号");
    assert_int_equal(fx_checkpoint(f, EPOCH(1) + 28), 0);
    assert_int_equal(fx_result(f, own, TZ_OUT_APPLIED, EPOCH(1) + 30, 0), 0);
    assert_true(fx_read(f, f->org, id, &row, &form));
    assert_true(tz_value_is_text(fx_get(&row, "address"), "二号"));
    welcome_restored(f);
    fx_row(f, id, EPOCH(1) + 7, TZ_ROW_LIVE, "120101", "旧名", "零号");
    assert_int_equal(fx_checkpoint(f, EPOCH(2) + 21), 0); /* the own edit leaves here */
    uint64_t seq = fx_edit(f, id, &form, "address", tz_value_text("四号"));
    assert_int_equal(fx_changeset(f, seq).ops[0].base_ver, EPOCH(1) + 25);
}

static void raw_rows_and_rows_that_did_not_fit_are_kept_too(void **state)
{
    struct fx *f = *state;
    static const uint8_t junk[] = {0x12, 0x02, 0xff, 0xfe};
    struct tz_msg_row unknown = {.type = 250, .id = fx_server_id(1), .ver = EPOCH(1) + 21, .area = {"120101", ""}};
    struct tz_msg_row damaged = {
        .type = f->org->id, .id = fx_server_id(2), .ver = EPOCH(1) + 22, .area = {"120101", ""}};
    unknown.body = damaged.body = tz_bytes_of(junk, sizeof junk);
    fx_row_raw(f, &unknown);
    fx_row_raw(f, &damaged);
    assert_int_equal(fx_checkpoint(f, EPOCH(1) + 22), 0);
    assert_int_equal(count(f, "SELECT count(*) FROM raw_row"), 1);
    assert_int_equal(count(f, "SELECT count(*) FROM set_aside"), 1);
    welcome_restored(f);
    assert_int_equal(count(f, "SELECT count(*) FROM raw_row"), 0);
    assert_int_equal(count(f, "SELECT count(*) FROM set_aside"), 0);
    assert_int_equal(count(f, "SELECT count(*) FROM lost_row WHERE body = x'1202fffe'"), 2);
}

static void an_area_that_goes_takes_what_was_set_aside_of_it(void **state)
{
    struct fx *f = *state;
    const char *other[] = {"120102"};
    fx_row(f, fx_server_id(1), EPOCH(1) + 21, TZ_ROW_LIVE, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, EPOCH(1) + 21), 0);
    welcome_restored(f);
    assert_int_equal(status(f).lost_rows, 1);
    fx_welcome(f, "D_CLERK", "120102", other, 1, 1);
    assert_int_equal(status(f).lost_rows, 0);
}

static void the_audit_head_of_a_lost_time_is_not_asked_about(void **state)
{
    struct fx *f = *state;
    struct tz_msg_hello h;
    assert_int_equal(fx_checkpoint(f, EPOCH(1) + 21), 0);
    assert_int_equal(tz_office_hello(f->o, "test", &f->a, &h, NULL), 0);
    assert_int_not_equal(h.audit_n, 0);
    welcome_restored(f);
    assert_int_equal(tz_office_hello(f->o, "test", &f->a, &h, NULL), 0);
    assert_int_equal(h.audit_n, 0);
}

static void a_restore_that_is_told_explains_another_audit_log(void **state)
{
    struct fx *f = *state;
    static const struct tz_lost_range once[] = {{EPOCH(1) + 20, EPOCH(2) - 1, 2}};
    assert_int_equal(fx_checkpoint(f, EPOCH(1) + 21), 0);
    welcome_audit(f, once, 1, TZ_AUDIT_CHANGED);
    assert_false(status(f).audit_changed);
    /* the same is told again: it explains nothing that changes later */
    assert_int_equal(fx_checkpoint(f, EPOCH(2) + 21), 0);
    welcome_audit(f, once, 1, TZ_AUDIT_CHANGED);
    assert_true(status(f).audit_changed);
}

static void a_restore_does_not_take_evidence_away(void **state)
{
    struct fx *f = *state;
    struct tz_msg_hello h;
    assert_int_equal(fx_checkpoint(f, EPOCH(1) + 21), 0);
    welcome_audit(f, NULL, 0, TZ_AUDIT_CHANGED);
    welcome_restored(f);
    assert_true(status(f).audit_changed);
    assert_int_equal(tz_office_hello(f->o, "test", &f->a, &h, NULL), 0);
    assert_int_not_equal(h.audit_n, 0);
}

static void hello_tells_the_newest_answer_that_was_heard(void **state)
{
    struct fx *f = *state;
    struct tz_msg_hello h;
    uint64_t first = 0;
    uint64_t second = 0;
    assert_int_equal(tz_office_hello(f->o, "test", &f->a, &h, NULL), 0);
    assert_int_equal(h.heard_seq, 0);
    (void)fx_new_org(f, "甲", &first);
    (void)fx_new_org(f, "乙", &second);
    assert_int_equal(fx_result(f, first, TZ_OUT_APPLIED, EPOCH(1) + 22, 0), 0);
    assert_int_equal(tz_office_hello(f->o, "test", &f->a, &h, NULL), 0);
    assert_int_equal(h.heard_seq, first);
    assert_int_equal(h.last_seq, second);
}

static void a_device_that_joined_after_the_restore_loses_nothing(void **state)
{
    struct fx *f = *state;
    assert_int_equal(
        tz_db_exec(tz_office_db(f->o), "UPDATE office SET checkpoint = 0; UPDATE cursor SET ver = 0", NULL), 0);
    welcome_restored(f);
    fx_row(f, fx_server_id(1), EPOCH(1) + 3, TZ_ROW_LIVE, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, EPOCH(2) + 21), 0);
    assert_int_equal(status(f).lost_rows, 0);
    fx_assert_text(f, fx_server_id(1), "name", "甲");
}

static void put_big(struct fx *f, unsigned i, size_t bytes)
{
    struct tz_stmt st = {0};
    struct tz_id id = fx_server_id(100);
    id.b[14] = (uint8_t)(i >> 8);
    id.b[15] = (uint8_t)i;
    assert_int_equal(tz_db_prepare(tz_office_db(f->o), &st,
                                   "INSERT INTO lost_row(type,id,ver,district,street,state,body)"
                                   " VALUES(?1,?2,?3,'120101','',1,zeroblob(?4))",
                                   NULL),
                     0);
    tz_stmt_bind_int(&st, 1, f->org->id);
    tz_stmt_bind_id(&st, 2, &id);
    tz_stmt_bind_int(&st, 3, (int64_t)(EPOCH(1) + 21 + i));
    tz_stmt_bind_int(&st, 4, (int64_t)bytes);
    assert_int_equal(tz_stmt_run(&st, NULL), 0);
    tz_stmt_finalize(&st);
}

/** However large they are: each is offered once, and no offer is larger than a row's bound and a little. */
static void large_lost_rows_are_offered_in_parts(void **state)
{
    struct fx *f = *state;
    static const size_t sizes[] = {TZ_ROW_BYTES_MAX, 100000, 100000, 100000, TZ_ROW_BYTES_MAX, 10};
    static struct tz_lost_key keys[TZ_LOST_KEYS_MAX];
    struct tz_lost_key at = {0};
    size_t offered = 0;
    size_t offers = 0;
    size_t n = 0;
    enum { ROWS = 300 };
    assert_int_equal(fx_checkpoint(f, EPOCH(1) + 20), 0);
    for (unsigned i = 0; i < ROWS; i++)
        put_big(f, i, i < 6 ? sizes[i] : TZ_ROW_BYTES_MAX); /* all of them are more than one call's memory */
    do {
        struct tz_buf out;
        struct tz_err err = {0};
        tz_buf_init(&out, 2 * TZ_ROW_BYTES_MAX);
        int rc = tz_office_lost_rows(f->o, &at, true, &out, keys, &n, &err);
        if (rc)
            fail_msg("offer %zu: %s", offers, tz_err_info(rc)->symbol);
        assert_true(out.len <= TZ_ROW_BYTES_MAX + 1024);
        if (offers == 1)
            assert_int_equal(n, 2);
        tz_buf_deinit(&out);
        offered += n;
        offers += n > 0;
        at = n ? keys[n - 1] : at;
    } while (n > 0);
    assert_int_equal(offered, ROWS);
    assert_true(offers > ROWS - 6);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(rows_of_lost_versions_are_set_aside_and_the_others_stay),
        T(who_was_not_so_far_goes_on_as_before),
        T(a_cursor_on_its_way_starts_anew_although_it_is_not_lost_itself),
        T(the_same_range_twice_sets_aside_once),
        T(a_second_restore_keeps_what_the_first_set_aside),
        T(what_an_undone_restore_had_undone_is_no_longer_called_lost),
        T(unsent_edits_stay_on_top_and_go_out),
        T(a_record_that_left_in_a_lost_version_comes_back_under_an_unsent_edit),
        T(an_applied_save_of_a_lost_version_stays_on_the_view_until_it_counts_again),
        T(the_verdict_after_a_restore_replaces_the_answer_of_before),
        T(saves_are_handed_in_in_the_order_in_which_they_counted),
        T(a_form_opened_before_does_not_claim_what_it_hid),
        T(raw_rows_and_rows_that_did_not_fit_are_kept_too),
        T(an_area_that_goes_takes_what_was_set_aside_of_it),
        T(the_audit_head_of_a_lost_time_is_not_asked_about),
        T(a_restore_that_is_told_explains_another_audit_log),
        T(a_restore_does_not_take_evidence_away),
        T(hello_tells_the_newest_answer_that_was_heard),
        T(a_device_that_joined_after_the_restore_loses_nothing),
        T(large_lost_rows_are_offered_in_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
