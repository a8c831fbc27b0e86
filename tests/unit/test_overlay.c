/* SPDX-License-Identifier: Apache-2.0 */
/* What the person sees while edits are on their way, and what an edit claims to have seen. */
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

/** Nothing is set aside for pending edits any more, and the view is the confirmed state. */
static void assert_settled(struct fx *f)
{
    assert_int_equal(count(f, "SELECT count(*) FROM _shadow"), 0);
    assert_int_equal(count(f, "SELECT count(*) FROM outbox_touch WHERE until IS NULL"), 0);
    assert_int_equal(count(f, "SELECT count(*) FROM outbox WHERE in_overlay = 1 AND outcome NOT IN (0, 4, 5)"), 0);
}

static void assert_confirmed(struct fx *f, struct tz_id id, const char *name)
{
    struct tz_row row;
    struct tz_err err = {0};
    int rc = tz_office_read_confirmed(f->o, f->org, id, &f->a, &row, &err);
    assert_int_equal(rc, name != NULL);
    if (name)
        assert_true(tz_value_is_text(fx_get(&row, "name"), name));
}

static void pending_edit_is_shown_and_survives_reopening(void **state)
{
    struct fx *f = *state;
    struct tz_id id = fx_server_id(1);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    fx_edit(f, id, NULL, "name", tz_value_text("乙"));
    fx_assert_text(f, id, "name", "乙");
    assert_confirmed(f, id, "甲");
    fx_reopen(f, NULL);
    fx_assert_text(f, id, "name", "乙");
    assert_confirmed(f, id, "甲");
}

static void new_record_is_shown_before_anybody_confirmed_it(void **state)
{
    struct fx *f = *state;
    struct tz_row row;
    struct tz_seen seen;
    struct tz_id id = fx_new_org(f, "新", NULL);
    assert_true(fx_read(f, f->org, id, &row, &seen));
    assert_int_equal(seen.ver, 0);
    assert_int_equal(seen.seq, 1);
    assert_string_equal(row.area.district, "120101");
    assert_true(tz_value_is_text(fx_get(&row, "status"), "unverified"));
    assert_confirmed(f, id, NULL);
}

static void result_before_checkpoint_keeps_the_edit_on_top(void **state)
{
    struct fx *f = *state;
    struct tz_id id = fx_server_id(1);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    uint64_t seq = fx_edit(f, id, NULL, "name", tz_value_text("乙"));
    assert_int_equal(fx_result(f, seq, TZ_OUT_APPLIED, 12, 0), 0);
    fx_assert_text(f, id, "name", "乙");
    assert_confirmed(f, id, "甲");
    fx_row(f, id, 12, TZ_ROW_LIVE, "120101", "乙", NULL);
    assert_int_equal(fx_checkpoint(f, 12), 0);
    fx_assert_text(f, id, "name", "乙");
    assert_confirmed(f, id, "乙");
    assert_settled(f);
}

static void checkpoint_before_result_keeps_the_edit_on_top(void **state)
{
    struct fx *f = *state;
    struct tz_id id = fx_server_id(1);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    uint64_t seq = fx_edit(f, id, NULL, "name", tz_value_text("乙"));
    fx_row(f, id, 12, TZ_ROW_LIVE, "120101", "丙", NULL); /* somebody's word stood */
    assert_int_equal(fx_checkpoint(f, 12), 0);
    fx_assert_text(f, id, "name", "乙");
    assert_int_equal(fx_result(f, seq, TZ_OUT_SUPERSEDED, 12, 0), 0);
    fx_assert_text(f, id, "name", "丙");
    assert_settled(f);
}

static void refused_edit_vanishes_and_the_confirmed_value_is_back(void **state)
{
    struct fx *f = *state;
    struct tz_id id = fx_server_id(1);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "甲", "一号");
    assert_int_equal(fx_checkpoint(f, 10), 0);
    uint64_t first = fx_edit(f, id, NULL, "name", tz_value_text("乙"));
    fx_edit(f, id, NULL, "address", tz_value_text("二号"));
    assert_int_equal(fx_result(f, first, TZ_OUT_REFUSED, 0, TZ_E_VALUE), 0);
    fx_assert_text(f, id, "name", "甲");
    fx_assert_text(f, id, "address", "二号"); /* the other save is still on its way */
    struct tz_office_balance b;
    assert_int_equal(tz_office_balance(f->o, &b, NULL), 0);
    assert_int_equal(b.made, 2);
    assert_int_equal(b.refused, 1);
    assert_int_equal(b.unsent, 1);
}

static void refused_creation_vanishes(void **state)
{
    struct fx *f = *state;
    uint64_t seq;
    struct tz_row row;
    struct tz_id id = fx_new_org(f, "新", &seq);
    assert_int_equal(fx_result(f, seq, TZ_OUT_REFUSED, 0, TZ_E_EXISTS), 0);
    assert_false(fx_read(f, f->org, id, &row, NULL));
    assert_settled(f);
}

static void result_twice_changes_nothing(void **state)
{
    struct fx *f = *state;
    uint64_t seq;
    struct tz_id id = fx_new_org(f, "新", &seq);
    assert_int_equal(fx_result(f, seq, TZ_OUT_APPLIED, 5, 0), 0);
    assert_int_equal(fx_result(f, seq, TZ_OUT_APPLIED, 5, 0), 0);
    assert_int_equal(fx_result(f, seq, TZ_OUT_REFUSED, 0, TZ_E_VALUE), 0); /* an outcome is final */
    fx_assert_text(f, id, "name", "新");
    struct tz_office_balance b;
    assert_int_equal(tz_office_balance(f->o, &b, NULL), 0);
    assert_int_equal(b.applied, 1);
    assert_int_equal(b.refused, 0);
}

static void refused_ops_of_an_import_vanish_one_by_one(void **state)
{
    struct fx *f = *state;
    struct tz_id id[3];
    static const char *const names[] = {"一", "二", "三"};
    struct tz_save *s = fx_begin(f, true);
    for (int i = 0; i < 3; i++) {
        struct tz_record rec;
        tz_record_init(&rec, f->org);
        fx_set(&rec, NULL, "name", tz_value_text(names[i]));
        fx_set(&rec, NULL, "district_code", tz_value_text("120101"));
        assert_int_equal(tz_save_create(s, &rec, &id[i], NULL), 0);
    }
    uint64_t seq = fx_commit(s);
    enum tz_outcome ops[] = {TZ_OUT_APPLIED, TZ_OUT_REFUSED, TZ_OUT_APPLIED};
    assert_int_equal(fx_result_ops(f, seq, TZ_OUT_APPLIED, 20, ops, 3), 0);
    struct tz_row row;
    assert_true(fx_read(f, f->org, id[0], &row, NULL));
    assert_false(fx_read(f, f->org, id[1], &row, NULL));
    assert_true(fx_read(f, f->org, id[2], &row, NULL));
    fx_row(f, id[0], 20, TZ_ROW_LIVE, "120101", "一", NULL);
    fx_row(f, id[2], 20, TZ_ROW_LIVE, "120101", "三", NULL);
    assert_int_equal(fx_checkpoint(f, 20), 0);
    assert_true(fx_read(f, f->org, id[2], &row, NULL));
    assert_settled(f);
    struct tz_office_balance b;
    assert_int_equal(tz_office_balance(f->o, &b, NULL), 0);
    assert_int_equal(b.applied, 2);
    assert_int_equal(b.refused, 1);
}

static void waiting_edit_stays_on_top_and_goes_out_again(void **state)
{
    struct fx *f = *state;
    uint64_t seq;
    struct tz_id id = fx_new_org(f, "新", &seq);
    assert_int_equal(fx_result(f, seq, TZ_OUT_WAITING, 0, TZ_E_DEPENDS), 0);
    assert_int_equal(fx_checkpoint(f, 50), 0);
    fx_assert_text(f, id, "name", "新");
    struct tz_bytes *raw;
    uint64_t *seqs;
    size_t n;
    assert_int_equal(tz_office_outbox(f->o, 0, UINT64_MAX, 1 << 18, &f->a, &raw, &seqs, &n, NULL), 0);
    assert_int_equal(n, 1);
    struct tz_office_status st;
    assert_int_equal(tz_office_status(f->o, &st, NULL), 0);
    assert_int_equal(st.unsent_changesets, 0);
    assert_int_equal(st.waiting_changesets, 1);
    assert_int_equal(fx_result(f, seq, TZ_OUT_APPLIED, 40, 0), 0); /* released at last; the checkpoint has it already */
    assert_settled(f);
}

/* ---- what an edit saw ---- */

static void download_under_a_pending_value_does_not_raise_its_base(void **state)
{
    struct fx *f = *state;
    struct tz_id id = fx_server_id(1);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "甲", "一号");
    assert_int_equal(fx_checkpoint(f, 10), 0);
    uint64_t first = fx_edit(f, id, NULL, "name", tz_value_text("乙"));
    assert_int_equal(fx_changeset(f, first).ops[0].base_ver, 10);
    fx_row(f, id, 20, TZ_ROW_LIVE, "120101", "丙", "一号"); /* a colleague's name, never on this screen */
    assert_int_equal(fx_checkpoint(f, 20), 0);
    fx_assert_text(f, id, "name", "乙");
    assert_int_equal(fx_changeset(f, fx_edit(f, id, NULL, "name", tz_value_text("丁"))).ops[0].base_ver, 10);
    /* a field without an own value is seen as it is */
    assert_int_equal(fx_changeset(f, fx_edit(f, id, NULL, "address", tz_value_text("二号"))).ops[0].base_ver, 20);
}

static void base_stays_down_when_the_edit_settles_between_opening_and_saving(void **state)
{
    struct fx *f = *state;
    struct tz_row row;
    struct tz_seen seen;
    struct tz_id id = fx_server_id(1);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    uint64_t first = fx_edit(f, id, NULL, "name", tz_value_text("乙"));
    fx_row(f, id, 20, TZ_ROW_LIVE, "120101", "丙", NULL);
    assert_int_equal(fx_checkpoint(f, 20), 0);
    assert_true(fx_read(f, f->org, id, &row, &seen)); /* the form shows 乙, on top of 丙 */
    assert_true(tz_value_is_text(fx_get(&row, "name"), "乙"));
    assert_int_equal(seen.ver, 20);
    assert_int_equal(fx_result(f, first, TZ_OUT_SUPERSEDED, 22, 0), 0);
    fx_row(f, id, 20, TZ_ROW_LIVE, "120101", "丙", NULL);
    assert_int_equal(fx_checkpoint(f, 25), 0);
    assert_settled(f);
    uint64_t late = fx_edit(f, id, &seen, "name", tz_value_text("丁"));
    struct tz_changeset cs = fx_changeset(f, late);
    assert_int_equal(cs.ops[0].base_ver, 10);
    assert_int_equal(cs.ops[0].base_seq, first);
    assert_int_equal(cs.base_checkpoint, 20);
}

static void form_opened_after_settling_sees_what_stands(void **state)
{
    struct fx *f = *state;
    struct tz_id id = fx_server_id(1);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    uint64_t first = fx_edit(f, id, NULL, "name", tz_value_text("乙"));
    fx_row(f, id, 20, TZ_ROW_LIVE, "120101", "丙", NULL);
    assert_int_equal(fx_checkpoint(f, 20), 0);
    assert_int_equal(fx_result(f, first, TZ_OUT_SUPERSEDED, 22, 0), 0);
    assert_int_equal(fx_checkpoint(f, 25), 0);
    assert_int_equal(fx_changeset(f, fx_edit(f, id, NULL, "name", tz_value_text("丁"))).ops[0].base_ver, 20);
}

static void fields_with_different_bases_go_into_different_ops(void **state)
{
    struct fx *f = *state;
    struct tz_row row;
    struct tz_seen seen;
    struct tz_record rec;
    bool names[TZ_FIELDS_MAX] = {false};
    struct tz_id id = fx_server_id(1);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "甲", "一号");
    assert_int_equal(fx_checkpoint(f, 10), 0);
    fx_edit(f, id, NULL, "name", tz_value_text("乙"));
    fx_row(f, id, 20, TZ_ROW_LIVE, "120101", "丙", "三号");
    assert_int_equal(fx_checkpoint(f, 20), 0);
    assert_true(fx_read(f, f->org, id, &row, &seen));
    tz_record_init(&rec, f->org);
    fx_set(&rec, names, "name", tz_value_text("丁"));
    fx_set(&rec, names, "address", tz_value_null());
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_set(s, id, &seen, &rec, names, NULL), 0);
    assert_int_equal(tz_save_ops(s), 2);
    struct tz_changeset cs = fx_changeset(f, fx_commit(s));
    assert_int_equal(cs.ops[0].base_ver, 10);
    assert_int_equal(cs.ops[0].ncleared, 0);
    assert_int_equal(cs.ops[1].base_ver, 20);
    assert_int_equal(cs.ops[1].ncleared, 1);
    assert_int_equal(cs.ops[1].cleared[0], tz_type_field(f->org, "address")->id);
    fx_assert_text(f, id, "name", "丁");
    fx_assert_text(f, id, "address", NULL);
}

static void deletion_claims_no_more_than_the_screen_showed(void **state)
{
    struct fx *f = *state;
    struct tz_row row;
    struct tz_seen seen;
    struct tz_id id = fx_server_id(1);
    fx_row(f, id, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    fx_edit(f, id, NULL, "name", tz_value_text("乙"));
    fx_row(f, id, 20, TZ_ROW_LIVE, "120101", "丙", NULL);
    assert_int_equal(fx_checkpoint(f, 20), 0);
    assert_true(fx_read(f, f->org, id, &row, &seen));
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_delete(s, f->org, id, &seen, NULL), 0);
    struct tz_changeset cs = fx_changeset(f, fx_commit(s));
    assert_int_equal(cs.ops[0].kind, TZ_OP_DELETE);
    assert_int_equal(cs.ops[0].base_ver, 10);
    assert_int_equal(cs.base_checkpoint, 20);
}

static void edits_of_one_save_see_each_other(void **state)
{
    struct fx *f = *state;
    struct tz_record rec;
    struct tz_id id;
    bool names[TZ_FIELDS_MAX] = {false};
    struct tz_seen seen = {0};
    tz_record_init(&rec, f->org);
    fx_set(&rec, NULL, "name", tz_value_text("甲"));
    fx_set(&rec, NULL, "district_code", tz_value_text("120101"));
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_create(s, &rec, &id, NULL), 0);
    tz_record_init(&rec, f->org);
    fx_set(&rec, names, "name", tz_value_text("乙"));
    assert_int_equal(tz_save_set(s, id, &seen, &rec, names, NULL), 0);
    uint64_t seq = fx_commit(s);
    struct tz_changeset cs = fx_changeset(f, seq);
    assert_int_equal(cs.nops, 2);
    assert_int_equal(cs.ops[1].base_ver, 0);
    assert_int_equal(cs.ops[1].base_seq, seq);
    fx_assert_text(f, id, "name", "乙");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        T(pending_edit_is_shown_and_survives_reopening),
        T(new_record_is_shown_before_anybody_confirmed_it),
        T(result_before_checkpoint_keeps_the_edit_on_top),
        T(checkpoint_before_result_keeps_the_edit_on_top),
        T(refused_edit_vanishes_and_the_confirmed_value_is_back),
        T(refused_creation_vanishes),
        T(result_twice_changes_nothing),
        T(refused_ops_of_an_import_vanish_one_by_one),
        T(waiting_edit_stays_on_top_and_goes_out_again),
        T(download_under_a_pending_value_does_not_raise_its_base),
        T(base_stays_down_when_the_edit_settles_between_opening_and_saving),
        T(form_opened_after_settling_sees_what_stands),
        T(fields_with_different_bases_go_into_different_ops),
        T(deletion_claims_no_more_than_the_screen_showed),
        T(edits_of_one_save_see_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
