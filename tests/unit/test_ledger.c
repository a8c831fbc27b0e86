/* SPDX-License-Identifier: Apache-2.0 */
/* Ledger items on the server: the shipped procedure, one step at a time. Who may is test_ledger_rights.c's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger_fixture.h"

#include <stdio.h>
#include <string.h>

/* ---- what an opening gives ---- */

static void opening_gives_number_level_and_dates(void **state)
{
    struct sx *f = *state;
    struct office o;
    office_open(&o, f);
    struct tz_id id = open_item(&o, &f->d1, "severity=major");
    assert_int_equal(f->res.ops[0].ngiven, 1);
    assert_int_equal(f->res.ops[0].given[0].field, tz_type_field(sx_type(f, ITEM), "item_no")->id);
    assert_non_null(memmem(f->res.ops[0].given[0].value.p, f->res.ops[0].given[0].value.n, "L2023120101000001", 17));
    sx_text_is(f, ITEM, id, "item_no", "L2023120101000001");
    sx_text_is(f, ITEM, id, "opened_on", "2023-11-15");
    sx_text_is(f, ITEM, id, "orig_due_on", "2024-12-31");
    sx_text_is(f, ITEM, id, "issuer_level", "D");
    state_is(f, id, "opened");
    assert_int_equal(seq_of(f, id), 1);
    struct tz_id city = open_item(&o, &f->c1, "severity=major");
    sx_text_is(f, ITEM, city, "issuer_level", "C");
    sx_text_is(f, ITEM, city, "item_no", "L2023120101000002"); /* it is about an organisation of the district */
}

/** Only what DOMAIN's table lets open; and what the server gives is nobody else's to say. */
static void who_may_open(void **state)
{
    struct sx *f = *state;
    struct office o;
    office_open(&o, f);
    struct sx_dev *no[] = {&f->s1, &o.super, &o.csuper, &o.sector, &o.lead};
    (void)open_item(&o, &f->fi, "severity=urgent");
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        struct sx_cs *c = sx_begin(no[i]);
        (void)sx_op_create(c, ITEM, "title=x", "list_type=issue", "source=other", "due_on=2024-12-31",
                           "target_type=organisation", sx_ref(f, "target_id", o.org),
                           sx_ref(f, "lead_unit", unit_id(UNIT)), NULL);
        int code = sx_push(c)->code;
        assert_true(code == TZ_E_STEP_ROLE || code == TZ_E_NO_RIGHT_TYPE);
    }
    static const char *const GIVEN[] = {"state=verified", "item_no=L1", "issuer_level=C", "opened_on=2020-01-01"};
    for (size_t i = 0; i < 4; i++) {
        struct sx_cs *c = sx_begin(&f->d1);
        (void)sx_op_create(c, ITEM, GIVEN[i], "title=x", "list_type=issue", "source=other", "due_on=2024-12-31",
                           "target_type=organisation", sx_ref(f, "target_id", o.org),
                           sx_ref(f, "lead_unit", unit_id(UNIT)), NULL);
        sx_refused(sx_push(c), TZ_E_NO_RIGHT_FIELD);
    }
    struct sx_cs *c = sx_begin(&f->d1);
    (void)sx_op_create(c, ITEM, "title=x", "list_type=issue", "source=other", "due_on=2023-01-01",
                       "target_type=organisation", sx_ref(f, "target_id", o.org), sx_ref(f, "lead_unit", unit_id(UNIT)),
                       NULL);
    sx_refused(sx_push(c), TZ_E_STEP_DATES);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM ledger_item"), 1);
}

/** A device writes no step by itself, and changes an item by steps only. */
static void nothing_goes_past_the_procedure(void **state)
{
    struct sx *f = *state;
    struct office o;
    office_open(&o, f);
    struct tz_id id = open_item(&o, &f->d1, "severity=normal");
    struct sx_cs *c = sx_begin(&f->d1);
    (void)sx_op_create(c, "ledger_event", sx_ref(f, "item_id", id), "action=verify", "seq=2", NULL);
    sx_refused(sx_push(c), TZ_E_NO_RIGHT_TYPE);
    sx_see(&f->d1);
    sx_refused(sx_set(&f->d1, ITEM, id, "title=别的", NULL), TZ_E_EVENTS_LATER);
    sx_refused(sx_set(&f->d1, ITEM, id, "state=verified", NULL), TZ_E_EVENTS_LATER);
    sx_refused(sx_delete(&o.super, ITEM, id), TZ_E_NO_RIGHT_TYPE);
    sx_see(&o.super);
    sx_refused(sx_delete(&o.super, "organisation", o.org), TZ_E_HAS_CHILDREN);
    struct tz_id other = open_item(&o, &f->d1, "severity=normal");
    c = sx_begin(&o.super);
    sx_op(c, TZ_OP_MERGE, ITEM, id)->other_id = other;
    sx_refused(sx_push(c), TZ_E_NO_RIGHT_TYPE);
    sx_refused(step_on(&f->d1, o.org, "verify", "opened", 1), TZ_E_UNKNOWN_RECORD);
    c = sx_begin(&f->d1);
    sx_op_event(c, "organisation", o.org, "verify", "active", 1, NULL, NULL, NULL);
    sx_refused(sx_push(c), TZ_E_EVENTS_LATER);
}

/* ---- what a step writes ---- */

static const char *event_text(struct sx *f, struct tz_id item, uint64_t seq, const char *field)
{
    char sql[1024];
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM ledger_event WHERE item_id=x'%s' AND seq=%llu AND %s",
                   sx_hex(f, item), (unsigned long long)seq, field);
    return sx_query(f, sql) == 1 ? "yes" : "no";
}
#define event_has(f, id, seq, sql) assert_string_equal(event_text(f, id, seq, sql), "yes")

static void a_step_leaves_a_record_of_itself(void **state)
{
    struct sx *f = *state;
    struct office o;
    office_open(&o, f);
    struct tz_id id = open_item(&o, &f->fi, "severity=normal");
    event_has(f, id, 1, "action='open' AND from_state IS NULL AND to_state='opened' AND expected_seq=0");
    struct sx_cs *c = sx_begin(&o.super);
    sx_op_event(c, ITEM, id, "assign", "opened", 1, "请抓紧", NULL, "title=消防通道长期堵塞", "due_on=2024-06-30",
                "severity=urgent", sx_ref(f, "lead_unit", unit_id(UNIT)), NULL);
    const struct tz_result *r = sx_push(c);
    sx_applied(r);
    sx_text_is(f, ITEM, id, "title", "消防通道长期堵塞");
    sx_text_is(f, ITEM, id, "orig_due_on", "2024-06-30");
    event_has(f, id, 2,
              "action='assign' AND from_state='opened' AND to_state='assigned' AND opinion='请抓紧'"
              " AND expected_state='opened' AND expected_seq=1 AND received_at=1700000000000");
    char sql[300];
    (void)snprintf(sql, sizeof sql, "actor=x'%s' AND unit=x'%s' AND _district='120101' AND _ver=%llu",
                   sx_hex(f, o.super.user), sx_hex(f, unit_id(UNIT)), (unsigned long long)r->ver);
    event_has(f, id, 2, sql);
    sx_applied(next(&f->d1b, id, "sign"));
    sx_applied(next(&f->d1b, id, "submit"));
    sx_text_is(f, ITEM, id, "result", "已清理");
    sx_applied(next(&f->fi2, id, "return"));
    sx_text_is(f, ITEM, id, "return_count", "1");
    sx_applied(next(&f->d1b, id, "submit"));
    sx_applied(next(&f->fi2, id, "verify"));
    sx_applied(next(&o.super, id, "return"));
    sx_text_is(f, ITEM, id, "return_count", "2");
    sx_applied(next(&f->d1b, id, "submit"));
    sx_applied(next(&f->fi2, id, "verify"));
    f->clock.wall.ms += INT64_C(3) * 24 * 3600 * 1000;
    sx_applied(next(&o.super, id, "write_off"));
    sx_text_is(f, ITEM, id, "closed_on", "2023-11-18");
    state_is(f, id, "written_off");
    assert_int_equal(seq_of(f, id), 11);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM ledger_event"), 11);
}

static void suspension_stops_the_clock(void **state)
{
    struct sx *f = *state;
    struct office o;
    office_open(&o, f);
    struct tz_id id = item_in(&o, "submitted", false);
    sx_applied(next(&o.super, id, "hang"));
    state_is(f, id, "suspended");
    sx_text_is(f, ITEM, id, "suspended_on", "2023-11-15");
    sx_text_is(f, ITEM, id, "review_on", "2024-06-30");
    f->clock.wall.ms += INT64_C(60) * 24 * 3600 * 1000;
    sx_applied(next(&o.super, id, "resume"));
    state_is(f, id, "submitted"); /* where it was */
    sx_text_is(f, ITEM, id, "due_on", "2025-03-01");
    sx_text_is(f, ITEM, id, "orig_due_on", "2024-12-31");
    sx_text_is(f, ITEM, id, "suspended_on", "");
}

static const struct tz_result *grant(struct sx_dev *dev, struct tz_id id, const char *due)
{
    struct sx_cs *c = sx_begin(dev);
    sx_op_event(c, ITEM, id, "grant", "rectifying", seq_of(dev->f, id), NULL, NULL, due, NULL);
    return sx_push(c);
}

static void extensions_are_asked_for_and_answered(void **state)
{
    struct sx *f = *state;
    struct office o;
    office_open(&o, f);
    struct tz_id id = item_in(&o, "rectifying", false);
    static const char *const DUE[2][2] = {{"due_on=2024-12-31", "due_on=2025-03-31"},
                                          {"due_on=2025-03-01", "due_on=2025-06-30"}};
    for (int i = 0; i < 2; i++) {
        sx_applied(next(&f->d1b, id, "ask_extension"));

        sx_refused(grant(&o.super, id, DUE[i][0]), TZ_E_STEP_NOT_LATER);
        sx_applied(sx_withdraw(&o.super, o.super.seq));
        sx_applied(grant(&o.super, id, DUE[i][1]));
        sx_text_is(f, ITEM, id, "due_on", DUE[i][1] + 7);
        state_is(f, id, "rectifying");
    }
    sx_text_is(f, ITEM, id, "orig_due_on", "2024-12-31");
    sx_refused(next(&f->s1, id, "ask_extension"), TZ_E_STEP_TOO_OFTEN);
}

static void no_extension_after_the_due_date(void **state)
{
    struct sx *f = *state;
    struct office o;
    office_open(&o, f);
    struct tz_id id = item_in(&o, "rectifying", false);
    f->clock.wall.ms = INT64_C(1735574400000) + INT64_C(6) * 3600 * 1000; /* the 31st of December 2024, morning */
    sx_applied(next(&f->d1b, id, "ask_extension"));
    sx_applied(next(&o.super, id, "refuse"));
    f->clock.wall.ms += INT64_C(24) * 3600 * 1000;
    sx_refused(next(&f->d1b, id, "ask_extension"), TZ_E_STEP_LATE);
}

/* ---- what must be said ---- */

static void reasons_and_evidence_are_asked_for(void **state)
{
    struct sx *f = *state;
    struct office o;
    office_open(&o, f);
    struct tz_id id = item_in(&o, "rectifying", false);
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op_event(c, ITEM, id, "submit", "rectifying", 3, NULL, NULL, "result=好了", NULL);
    sx_refused(sx_push(c), TZ_E_STEP_EVIDENCE);
    c = sx_begin(&f->d1b);
    sx_op_event(c, ITEM, id, "submit", "rectifying", 3, NULL, FILES, NULL, NULL);
    sx_refused(sx_push(c), TZ_E_REQUIRED);
    c = sx_begin(&f->s1);
    sx_op_event(c, ITEM, id, "report", "rectifying", 3, NULL, NULL, "progress_pct=40", "severity=normal", NULL);
    sx_refused(sx_push(c), TZ_E_NO_RIGHT_FIELD);
    c = sx_begin(&o.super);
    sx_op_event(c, ITEM, id, "hang", "rectifying", 3, NULL, NULL, "review_on=2024-01-31", NULL);
    sx_refused(sx_push(c), TZ_E_STEP_OPINION);
    assert_int_equal(seq_of(f, id), 3);
    /* on-site evidence for what is more than normal */
    struct tz_id major = open_item(&o, &f->fi, "severity=major");
    sx_applied(next(&o.super2, major, "assign"));
    sx_applied(next(&o.sector, major, "sign"));
    sx_applied(next(&o.sector, major, "submit"));
    c = sx_begin(&f->fi);
    sx_op_event(c, ITEM, major, "verify", "submitted", 4, "看过", NULL, NULL, NULL);
    sx_refused(sx_push(c), TZ_E_STEP_EVIDENCE);
    sx_applied(next(&f->fi2, major, "verify"));
}

/* ---- first come, chains, and what waits ---- */

static void who_comes_second_is_told_what_stands(void **state)
{
    struct sx *f = *state;
    struct office o;
    for (int order = 0; order < 2; order++) {
        if (order == 0)
            office_open(&o, f);
        struct tz_id id = item_in(&o, "submitted", false);
        struct sx_dev *one = order ? &o.super : &o.super2;
        struct sx_dev *two = order ? &o.super2 : &o.super;
        sx_applied(step_on(one, id, order ? "return" : "verify", "submitted", 4));
        const struct tz_result *r = step_on(two, id, order ? "verify" : "return", "submitted", 4);
        sx_refused(r, TZ_E_STEP_STALE);
        assert_string_equal(r->args[0], order ? "returned" : "verified");
        assert_string_equal(r->args[1], "5");
        assert_string_equal(r->args[2], order ? "return" : "verify");
        state_is(f, id, order ? "returned" : "verified");
        assert_int_equal(seq_of(f, id), 5);
        assert_int_equal(sx_query(f, "SELECT count(*) FROM \"case\""), 0);
        sx_applied(sx_withdraw(two, two->seq));
        if (order == 0) /* as it stands now */
            sx_applied(next(two, id, "return"));
    }
}

static void the_same_state_at_another_step_is_stale_too(void **state)
{
    struct sx *f = *state;
    struct office o;
    office_open(&o, f);
    struct tz_id id = item_in(&o, "rectifying", false);
    sx_applied(next(&f->d1b, id, "report"));
    sx_refused(step_on(&f->s1, id, "submit", "rectifying", 3), TZ_E_STEP_STALE);
    sx_refused(step_on(&o.super, id, "hang", "submitted", 4), TZ_E_STEP_STALE);
}

/** Own steps build on each other: the later waits behind a refused one, until that is taken back. */
static void a_chain_waits_behind_its_refused_step(void **state)
{
    struct sx *f = *state;
    struct office o;
    office_open(&o, f);
    struct tz_id id = item_in(&o, "assigned", false);
    struct tz_id other = item_in(&o, "assigned", false);
    sx_applied(next(&f->s1, id, "decline"));
    sx_refused(step_on(&f->d1b, id, "sign", "assigned", 2), TZ_E_STEP_STALE);
    uint64_t refused = f->d1b.seq;
    const struct tz_result *r = step_on(&f->d1b, id, "submit", "rectifying", 3);
    sx_expect(r, TZ_OUT_WAITING, TZ_E_DEPENDS);
    assert_int_equal(r->blocked_by, refused);
    sx_applied(next(&f->d1b, other, "sign")); /* another item waits for nothing */
    sx_applied(sx_withdraw(&f->d1b, refused));
    assert_int_equal(f->nall, 2); /* what waited is judged, and is not possible any more */
    struct tz_result freed;
    assert_int_equal(tz_msg_read_result(f->all[1].result, &f->a, &freed, &f->err), 0);
    sx_refused(&freed, TZ_E_STEP_STALE);
    sx_applied(sx_withdraw(&f->d1b, freed.seq));
    sx_applied(next(&o.super, id, "assign"));
    sx_applied(next(&f->d1b, id, "sign"));
}

static void a_step_waits_for_the_opening(void **state)
{
    struct sx *f = *state;
    struct office o;
    office_open(&o, f);
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id id = sx_op_create(c, ITEM, "title=x", "list_type=issue", "source=other", "due_on=2020-01-01",
                                   "target_type=organisation", sx_ref(f, "target_id", o.org),
                                   sx_ref(f, "lead_unit", unit_id(UNIT)), NULL);
    sx_refused(sx_push(c), TZ_E_STEP_DATES);
    sx_expect(step_on(&f->d1, id, "assign", "opened", 1), TZ_OUT_WAITING, TZ_E_DEPENDS);
    /* both in one save: the step sees the opening */
    c = sx_begin(&o.super);
    id = sx_op_create(c, ITEM, "title=x", "list_type=issue", "source=other", "due_on=2024-01-01",
                      "target_type=organisation", sx_ref(f, "target_id", o.org), sx_ref(f, "lead_unit", unit_id(UNIT)),
                      NULL);
    sx_op_event(c, ITEM, id, "void", "opened", 1, "立错了", NULL, NULL, NULL);
    sx_refused(sx_push(c), TZ_E_STEP_ROLE); /* a supervisor opens nothing */
}

/* ---- numbers ---- */

static void numbers_have_no_gaps(void **state)
{
    struct sx *f = *state;
    struct office o;
    office_open(&o, f);
    sx_text_is(f, ITEM, open_item(&o, &f->d1, "severity=normal"), "item_no", "L2023120101000001");
    /* a refused save gives its number back: the second op is bad */
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id id = sx_op_create(c, ITEM, "title=x", "list_type=issue", "source=other", "due_on=2024-12-31",
                                   "target_type=organisation", sx_ref(f, "target_id", o.org),
                                   sx_ref(f, "lead_unit", unit_id(UNIT)), NULL);
    sx_op_event(c, ITEM, id, "verify", "opened", 1, NULL, NULL, NULL);
    sx_refused(sx_push(c), TZ_E_STEP_STATE);
    /* so does one of several that are judged alone */
    c = sx_begin(&f->fi);
    c->cs.independent = true;
    for (int i = 0; i < 3; i++)
        (void)sx_op_create(c, ITEM, "title=x", "list_type=issue", "source=other",
                           i == 1 ? "due_on=2020-01-01" : "due_on=2024-12-31", "target_type=organisation",
                           sx_ref(f, "target_id", o.org), sx_ref(f, "lead_unit", unit_id(UNIT)), NULL);
    (void)sx_push(c);
    assert_int_equal(f->res.ops[1].outcome, TZ_OUT_REFUSED);
    assert_int_equal(f->res.ops[1].ngiven, 0);
    /* and a group that is rolled back */
    struct sx_dev was = f->fi2;
    sx_group(f);
    c = sx_begin(&f->fi2);
    (void)sx_op_create(c, ITEM, "title=x", "list_type=issue", "source=other", "due_on=2024-12-31",
                       "target_type=organisation", sx_ref(f, "target_id", o.org), sx_ref(f, "lead_unit", unit_id(UNIT)),
                       NULL);
    assert_int_equal(sx_apply(c), 0);
    sx_applied(&f->res);
    tz_store_group_rollback(f->s);
    f->fi2 = was;
    sx_reopen(f);
    sx_text_is(f, ITEM, open_item(&o, &f->fi2, "severity=normal"), "item_no", "L2023120101000004");
    /* a series for each year and district */
    f->clock.wall.ms += INT64_C(60) * 24 * 3600 * 1000;
    sx_text_is(f, ITEM, open_item(&o, &f->fi2, "severity=normal"), "item_no", "L2024120101000001");
    struct tz_id there = sx_create(&f->d2, "organisation", "name=乙公司", "kind=enterprise", "subkind=private",
                                   "district_code=120102", NULL);
    o.org = there;
    sx_text_is(f, ITEM, open_item(&o, &f->d2, "severity=normal"), "item_no", "L2024120102000001");
    assert_int_equal(sx_query(f, "SELECT count(DISTINCT item_no) FROM ledger_item"), 6);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM ledger_item"), 6);
}

static void a_resend_takes_no_number(void **state)
{
    struct sx *f = *state;
    struct office o;
    office_open(&o, f);
    (void)open_item(&o, &f->d1, "severity=normal");
    struct tz_bytes raw = f->raw;
    sx_group(f);
    assert_int_equal(sx_apply_raw(&f->d1, raw), 0);
    sx_commit(f);
    sx_applied(&f->res);
    assert_int_equal(f->res.ops[0].ngiven, 1);
    sx_text_is(f, ITEM, open_item(&o, &f->d1, "severity=normal"), "item_no", "L2023120101000002");
}

/* ---- parents, relapses ---- */

static void parents_wait_for_their_children(void **state)
{
    struct sx *f = *state;
    struct office o;
    office_open(&o, f);
    struct tz_id parent = item_in(&o, "verified", false);
    struct tz_id child = open_under(&o, &f->d1, "parent_id", parent);
    sx_applied(&f->res);
    const struct tz_result *r = next(&o.super, parent, "write_off");
    sx_refused(r, TZ_E_STEP_CHILDREN);
    assert_string_equal(r->args[0], "1");
    assert_string_equal(r->args[1], sx_text(f, ITEM, child, "item_no"));
    sx_applied(next(&o.super2, child, "void"));
    sx_applied(sx_withdraw(&o.super, o.super.seq));
    sx_applied(next(&o.super, parent, "write_off"));
    (void)open_under(&o, &f->d1, "parent_id", parent); /* the other order */
    sx_refused(&f->res, TZ_E_STEP_CLOSED);
}

static void a_relapse_opens_a_new_item(void **state)
{
    struct sx *f = *state;
    struct office o;
    office_open(&o, f);
    struct tz_id old = item_in(&o, "written_off", false);
    struct tz_id open = item_in(&o, "verified", false);
    (void)open_under(&o, &f->fi, "reopened_from", open);
    sx_refused(&f->res, TZ_E_STEP_STATE);
    (void)open_under(&o, &f->d1, "reopened_from", old);
    sx_refused(&f->res, TZ_E_STEP_ROLE); /* inspectors find relapses */
    uint64_t seq = seq_of(f, old);
    tz_ver ver = sx_row(f, ITEM, old)->ver;
    struct tz_id anew = open_under(&o, &f->fi2, "reopened_from", old);
    sx_applied(&f->res);
    state_is(f, anew, "opened");
    event_has(f, anew, 1, "action='relapse' AND to_state='opened'");
    assert_int_equal(sx_row(f, ITEM, old)->ver, ver); /* the old one never changes */
    assert_int_equal(seq_of(f, old), seq);
    state_is(f, old, "written_off");
    (void)open_under(&o, &f->fi, "reopened_from", old);
    sx_refused(&f->res, TZ_E_STEP_REOPENED);
    assert_string_equal(f->res.args[0], sx_text(f, ITEM, anew, "item_no"));
}

/* ---- what happens to its target ---- */

/** Both orders of a step and a change of the record that the item is about. */
static void steps_and_changes_of_the_target_both_apply(void **state)
{
    struct sx *f = *state;
    struct office o;
    office_open(&o, f);
    struct tz_id id = item_in(&o, "assigned", false);
    struct tz_id keep = sx_create(&f->d1, "organisation", "name=丙公司", "kind=enterprise", "subkind=private",
                                  "district_code=120101", "street_code=120101001", NULL);
    sx_applied(next(&f->d1b, id, "sign"));
    struct sx_cs *c = sx_begin(&o.super);
    sx_op(c, TZ_OP_MERGE, "organisation", keep)->other_id = o.org;
    sx_applied(sx_push(c));
    sx_text_is(f, ITEM, id, "target_id", sx_hex(f, keep));
    sx_applied(next(&f->d1b, id, "submit")); /* the merge took no step */
    /* the organisation moves: the item and its steps go along, the people of the old place see it no more */
    sx_see(&f->c1);
    sx_applied(sx_set(&f->c1, "organisation", keep, "district_code=120102", NULL));
    char sql[300];
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM ledger_event WHERE item_id=x'%s' AND _district='120102'",
                   sx_hex(f, id));
    assert_int_equal(sx_query(f, sql), 4);
    sx_refused(next(&o.super, id, "verify"), TZ_E_UNKNOWN_RECORD);
    struct sx_dev super;
    sx_join(f, &super, "super102", "D_SUPER", "120102");
    sx_applied(next(&super, id, "verify"));
    sx_text_is(f, ITEM, id, "item_no", "L2023120101000001"); /* numbers are for good */
}

/* ---- rights that went ---- */

/** Opened while the right to do so was going: a supervisor lets it in, and it is an item like any other. */
static void an_opening_that_comes_late_is_let_in_with_its_number(void **state)
{
    struct sx *f = *state;
    struct office o;
    office_open(&o, f);
    sx_see(&f->fi);
    sx_group(f);
    assert_int_equal(tz_store_device_grant(f->s, f->fi.d.number, "", "120102", 0, &f->err), 0);
    sx_commit(f);
    struct sx_cs *c = sx_begin(&f->fi);
    struct tz_id id = sx_op_create(c, ITEM, "title=消防通道堵塞", "list_type=issue", "source=quarterly_track",
                                   "due_on=2024-12-31", "target_type=organisation", sx_ref(f, "target_id", o.org),
                                   sx_ref(f, "lead_unit", unit_id(UNIT)), NULL);
    assert_int_equal(sx_push(c)->outcome, TZ_OUT_UNDER_REVIEW);
    assert_null(sx_row(f, ITEM, id));
    assert_int_equal(sx_query(f, "SELECT count(*) FROM numbering"), 0);
    const struct tz_row *k = sx_case(f, id, "_created", 1);
    assert_non_null(k);
    sx_see(&o.super);
    sx_applied(sx_resolve(&o.super, k->id, 1, "title=消防通道堵塞", "list_type=issue", "source=quarterly_track",
                          "due_on=2024-12-31", "target_type=organisation", sx_ref(f, "target_id", o.org),
                          sx_ref(f, "lead_unit", unit_id(UNIT)), NULL));
    sx_text_is(f, ITEM, id, "item_no", "L2023120101000001");
    sx_text_is(f, ITEM, id, "issuer_level", "D");
    state_is(f, id, "opened");
    event_has(f, id, 1, "action='open' AND to_state='opened'");
    sx_applied(next(&o.super, id, "assign"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, sx_setup, sx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(opening_gives_number_level_and_dates),
        T(who_may_open),
        T(nothing_goes_past_the_procedure),
        T(a_step_leaves_a_record_of_itself),
        T(suspension_stops_the_clock),
        T(extensions_are_asked_for_and_answered),
        T(no_extension_after_the_due_date),
        T(reasons_and_evidence_are_asked_for),
        T(who_comes_second_is_told_what_stands),
        T(the_same_state_at_another_step_is_stale_too),
        T(a_chain_waits_behind_its_refused_step),
        T(a_step_waits_for_the_opening),
        T(numbers_have_no_gaps),
        T(a_resend_takes_no_number),
        T(parents_wait_for_their_children),
        T(a_relapse_opens_a_new_item),
        T(steps_and_changes_of_the_target_both_apply),
        T(an_opening_that_comes_late_is_let_in_with_its_number),
    };
    return cmocka_run_group_tests_name("ledger", tests, sx_group_setup, sx_group_teardown);
}
