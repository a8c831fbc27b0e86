/* SPDX-License-Identifier: Apache-2.0 */
/* Saves that are taken back, and what is left open when the server says no: to the taking back, or to rows of an
 * import. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "office_fixture.h"

#include <string.h>

static void withdrawn_unsent_save_disappears(void **state)
{
    struct fx *f = *state;
    uint64_t seq;
    struct tz_row row;
    struct tz_id id = fx_new_org(f, "甲", &seq);
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_withdraw(s, seq, NULL), 0);
    assert_int_equal(fx_commit(s), 0);
    assert_false(fx_read(f, f->org, id, &row, NULL));
    struct tz_changeset cs = fx_changeset(f, seq);
    assert_int_equal(cs.seq, seq);
    assert_int_equal(cs.nops, 1);
    assert_int_equal(cs.ops[0].kind, TZ_OP_WITHDRAW);
    struct tz_office_balance b;
    assert_int_equal(tz_office_balance(f->o, &b, NULL), 0);
    assert_int_equal(b.made, 1);
    assert_int_equal(b.withdrawn, 1);
    assert_int_equal(b.unsent, 0);
}

static void withdrawn_waiting_save_disappears_and_tells_the_server(void **state)
{
    struct fx *f = *state;
    uint64_t seq;
    struct tz_row row;
    struct tz_id id = fx_new_org(f, "甲", &seq);
    assert_int_equal(fx_result(f, seq, TZ_OUT_WAITING, 0, TZ_E_DEPENDS), 0);
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_withdraw(s, seq, NULL), 0);
    uint64_t by = fx_commit(s);
    assert_int_equal(fx_changeset(f, by).ops[0].target_seq, seq);
    assert_false(fx_read(f, f->org, id, &row, NULL));
}

struct attention {
    size_t n;
    enum tz_outcome first;
};

static int count_attention(void *ctx, const struct tz_outbox_entry *e)
{
    struct attention *a = ctx;
    if (a->n++ == 0)
        a->first = e->outcome;
    return 1;
}

/** How many saves need the person, and the outcome of the oldest. */
static size_t attention_of(struct fx *f, enum tz_outcome *first)
{
    struct attention a = {0};
    assert_int_equal(tz_office_outbox_each(f->o, true, count_attention, &a, NULL), 0);
    *first = a.first;
    return a.n;
}

static uint64_t withdraw(struct fx *f, uint64_t seq)
{
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_withdraw(s, seq, NULL), 0);
    return fx_commit(s);
}

static void withdrawal_that_is_refused_leaves_the_save_open(void **state)
{
    struct fx *f = *state;
    enum tz_outcome first;
    uint64_t made;
    struct tz_row row;
    struct tz_id id = fx_new_org(f, "甲", &made);
    uint64_t edited = fx_edit(f, id, NULL, "name", tz_value_text("乙"));
    assert_int_equal(fx_result(f, made, TZ_OUT_WAITING, 0, TZ_E_DEPENDS), 0);
    assert_int_equal(fx_result(f, edited, TZ_OUT_REFUSED, 0, TZ_E_AREA), 0);
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_withdraw(s, made, NULL), 0);
    assert_int_equal(tz_save_withdraw(s, edited, NULL), 0);
    uint64_t by = fx_commit(s);
    assert_false(fx_read(f, f->org, id, &row, NULL));
    assert_int_equal(attention_of(f, &first), 0);
    assert_int_equal(fx_result(f, by, TZ_OUT_REFUSED, 0, TZ_E_USER_DISABLED), 0);
    assert_int_equal(attention_of(f, &first), 3);
    assert_int_equal(first, TZ_OUT_WAITING);
    fx_assert_text(f, id, "name", "甲"); /* what waits is on the screen again, what was refused is not */
    struct tz_changeset cs = fx_changeset(f, fx_edit(f, id, NULL, "address", tz_value_text("路")));
    assert_int_equal(cs.ops[0].base_ver, 0);
    by = withdraw(f, made);
    assert_int_equal(fx_result(f, by, TZ_OUT_APPLIED, 0, 0), 0);
    assert_int_equal(fx_result(f, made, TZ_OUT_WITHDRAWN, 0, TZ_E_WITHDRAWN), 0);
    assert_int_equal(attention_of(f, &first), 2);
    struct tz_err err = {0};
    s = fx_begin(f, false);
    assert_int_equal(tz_save_withdraw(s, made, &err), TZ_E_WITHDRAWN_BEFORE);
    assert_int_equal(tz_save_withdraw(s, by, &err), TZ_E_SETTLED);
    assert_int_equal(tz_save_withdraw(s, 999, &err), TZ_E_NO_SAVE);
    assert_string_equal(err.args[0], "999");
    tz_save_cancel(s);
}

static void withdrawal_that_is_taken_back_leaves_the_save_open(void **state)
{
    struct fx *f = *state;
    enum tz_outcome first;
    uint64_t made;
    struct tz_row row;
    struct tz_id id = fx_new_org(f, "甲", &made);
    assert_int_equal(fx_result(f, made, TZ_OUT_WAITING, 0, TZ_E_DEPENDS), 0);
    uint64_t by = withdraw(f, made);
    assert_false(fx_read(f, f->org, id, &row, NULL));
    assert_int_equal(withdraw(f, by), 0); /* it never left this machine */
    fx_assert_text(f, id, "name", "甲");
    assert_int_equal(attention_of(f, &first), 1);
    by = withdraw(f, made);
    assert_int_equal(fx_result(f, by, TZ_OUT_HELD, 0, TZ_E_FORKED), 0);
    uint64_t back = withdraw(f, by);
    fx_assert_text(f, id, "name", "甲");
    assert_int_equal(fx_result(f, back, TZ_OUT_REFUSED, 0, TZ_E_USER_DISABLED), 0); /* then the first one stands */
    assert_false(fx_read(f, f->org, id, &row, NULL));
    assert_int_equal(attention_of(f, &first), 2);
    assert_int_equal(first, TZ_OUT_HELD);
}

struct partly {
    size_t entries, ops;
    uint64_t seq;
    char title[16];
    int code;
};

static int note_partly(void *ctx, const struct tz_outbox_entry *e)
{
    struct partly *p = ctx;
    p->entries++;
    p->ops += e->nrefused;
    p->seq = e->seq;
    if (e->nrefused) {
        memcpy(p->title, e->refused[0].title, strlen(e->refused[0].title) + 1);
        p->code = e->refused[0].code;
        assert_string_equal(e->refused[0].type->name, "organisation");
    }
    return 1;
}

static void rows_refused_in_an_import_are_named_until_somebody_saw_them(void **state)
{
    struct fx *f = *state;
    static const char *const names[] = {"甲", "乙", "丙"};
    static const enum tz_outcome ops[] = {TZ_OUT_APPLIED, TZ_OUT_REFUSED, TZ_OUT_APPLIED};
    struct tz_office_status st;
    struct tz_record rec;
    struct tz_row row;
    struct tz_id id[3];
    struct partly p = {0};
    struct tz_save *s = fx_begin(f, true);
    for (int i = 0; i < 3; i++) {
        tz_record_init(&rec, f->org);
        fx_set(&rec, NULL, "name", tz_value_text(names[i]));
        fx_set(&rec, NULL, "district_code", tz_value_text("120101"));
        assert_int_equal(tz_save_create(s, &rec, &id[i], NULL), 0);
    }
    uint64_t seq = fx_commit(s);
    assert_int_equal(fx_result_ops(f, seq, TZ_OUT_APPLIED, 7, ops, 3), 0);
    assert_int_equal(tz_office_status(f->o, &st, NULL), 0);
    assert_int_equal(st.partly_changesets, 1);
    assert_int_equal(st.partly_ops, 1);
    assert_int_equal(st.partly_seq, seq);
    assert_int_equal(st.held_changesets, 0);
    assert_int_equal(tz_office_outbox_each(f->o, true, note_partly, &p, NULL), 0);
    assert_int_equal(p.entries, 1);
    assert_int_equal(p.ops, 1);
    assert_string_equal(p.title, "乙");
    assert_int_equal(p.code, TZ_E_VALUE);
    uint64_t by = withdraw(f, seq);
    assert_int_equal(fx_changeset(f, by).ops[0].target_seq, seq); /* what waits for that row is freed */
    assert_true(fx_read(f, f->org, id[0], &row, NULL));           /* on top until its checkpoint comes */
    assert_int_equal(tz_office_status(f->o, &st, NULL), 0);
    assert_int_equal(st.partly_changesets, 0);
    struct tz_office_balance b;
    assert_int_equal(tz_office_balance(f->o, &b, NULL), 0);
    assert_int_equal(b.applied, 2);
    assert_int_equal(b.refused, 1);
    assert_int_equal(b.withdrawn, 0);
}

static void sent_save_cannot_be_rewritten(void **state)
{
    struct fx *f = *state;
    uint64_t seq;
    struct tz_bytes *raw;
    uint64_t *seqs;
    size_t n;
    fx_new_org(f, "甲", &seq);
    assert_int_equal(tz_office_outbox(f->o, 0, UINT64_MAX, 1 << 18, &f->a, &raw, &seqs, &n, NULL), 0);
    assert_int_equal(n, 1);
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_withdraw(s, seq, NULL), TZ_E_ON_ITS_WAY);
    tz_save_cancel(s);
}

/** Two forms of two records, opened at 10; 12 arrives; one save from both; the own values are on the screen. */
static uint64_t save_old_forms(struct fx *f, struct tz_id a, struct tz_id b, struct tz_seen *shown)
{
    struct tz_row row;
    struct tz_seen old[2];
    struct tz_record rec;
    bool names[TZ_FIELDS_MAX] = {false};
    fx_row(f, a, 10, TZ_ROW_LIVE, "120101", "甲", NULL);
    fx_row(f, b, 10, TZ_ROW_LIVE, "120101", "乙", NULL);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    assert_true(fx_read(f, f->org, a, &row, &old[0]));
    assert_true(fx_read(f, f->org, b, &row, &old[1]));
    fx_row(f, a, 12, TZ_ROW_LIVE, "120101", "同事甲", NULL);
    fx_row(f, b, 12, TZ_ROW_LIVE, "120101", "同事乙", NULL);
    assert_int_equal(fx_checkpoint(f, 12), 0);
    tz_record_init(&rec, f->org);
    fx_set(&rec, names, "name", tz_value_text("自己"));
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_set(s, a, &old[0], &rec, names, NULL), 0);
    assert_int_equal(tz_save_set(s, b, &old[1], &rec, names, NULL), 0);
    uint64_t seq = fx_commit(s);
    assert_true(fx_read(f, f->org, a, &row, &shown[0]));
    assert_true(fx_read(f, f->org, b, &row, &shown[1]));
    assert_int_equal(shown[0].ver, 12);
    return seq;
}

static void withdrawn_unsent_save_leaves_the_bases_of_open_forms(void **state)
{
    struct fx *f = *state;
    struct tz_row row;
    struct tz_seen shown[2];
    struct tz_id a = fx_server_id(1);
    struct tz_id b = fx_server_id(2);
    uint64_t seq = save_old_forms(f, a, b, shown);
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_withdraw(s, seq, NULL), 0);
    assert_int_equal(fx_commit(s), 0);
    fx_reopen(f, NULL);
    struct tz_changeset cs = fx_changeset(f, fx_edit(f, a, &shown[0], "name", tz_value_text("丙")));
    assert_int_equal(cs.ops[0].base_ver, 10); /* the form never showed the colleague's name */
    s = fx_begin(f, false);
    assert_int_equal(tz_save_delete(s, f->org, b, &shown[1], NULL), 0);
    cs = fx_changeset(f, fx_commit(s));
    assert_int_equal(cs.ops[0].base_ver, 10);
    assert_true(fx_read(f, f->org, b, &row, NULL));
    assert_true(row.deleted);
}

static void record_of_a_withdrawn_save_can_be_edited_afresh(void **state)
{
    struct fx *f = *state;
    struct tz_seen shown[2];
    struct tz_id a = fx_server_id(1);
    struct tz_id b = fx_server_id(2);
    uint64_t seq = save_old_forms(f, a, b, shown);
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_withdraw(s, seq, NULL), 0);
    assert_int_equal(fx_commit(s), 0);
    /* the process that withdrew: nothing it remembers of the old ops counts */
    fx_edit(f, b, NULL, "name", tz_value_text("丁"));
    fx_assert_text(f, b, "name", "丁");
    fx_reopen(f, NULL);
    fx_edit(f, b, NULL, "name", tz_value_text("戊"));
    fx_assert_text(f, b, "name", "戊");
    fx_assert_text(f, a, "name", "同事甲");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        T(withdrawn_unsent_save_disappears),
        T(withdrawn_unsent_save_leaves_the_bases_of_open_forms),
        T(record_of_a_withdrawn_save_can_be_edited_afresh),
        T(withdrawn_waiting_save_disappears_and_tells_the_server),
        T(withdrawal_that_is_refused_leaves_the_save_open),
        T(withdrawal_that_is_taken_back_leaves_the_save_open),
        T(rows_refused_in_an_import_are_named_until_somebody_saw_them),
        T(sent_save_cannot_be_rewritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
