/* SPDX-License-Identifier: Apache-2.0 */
/* Steps at the office: what they name, what is refused at the form, what a proposal shows, and offering one again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "office_fixture.h"
#include "step.h"

#include <stdio.h>
#include <string.h>

static const struct tz_type *item_type, *event_type;
static const struct tz_id ITEM = {{[15] = 50}}, ORG = {{[15] = 40}}, UNIT = {{[15] = 30}}, OTHER = {{[15] = 31}},
                          ME = {{[15] = 1}}, SOMEBODY = {{[15] = 2}};

/** A row of the server's: fields as people type them, "name=value", …, NULL. */
static void give(struct fx *f, const char *type, struct tz_id id, tz_ver ver, const char *district, ...)
{
    const struct tz_type *t = tz_catalogue_type(&f->cat, type);
    struct tz_msg_row row = {.type = t->id, .id = id, .ver = ver};
    struct tz_record rec;
    struct tz_buf body;
    struct tz_err err = {0};
    const char *arg;
    va_list ap;
    tz_record_init(&rec, t);
    memcpy(row.area.district, district, strlen(district));
    va_start(ap, district);
    while ((arg = va_arg(ap, const char *)) != NULL) {
        char name[64] = "";
        const char *eq = strchr(arg, '=');
        memcpy(name, arg, (size_t)(eq - arg));
        const struct tz_field *field = tz_type_field(t, name);
        assert_non_null(field);
        assert_int_equal(tz_value_parse(field, eq + 1, &f->a, &rec.v[field->index], &err), 0);
    }
    va_end(ap);
    tz_buf_init(&body, 65536);
    assert_int_equal(tz_record_encode(&rec, &body), 0);
    row.body = tz_buf_unread(&body);
    fx_row_raw(f, &row);
    tz_buf_deinit(&body);
}

static const char *ref(struct fx *f, const char *field, struct tz_id id)
{
    char text[128];
    char hex[TZ_ID_HEX + 1];
    tz_id_print(id, hex);
    (void)snprintf(text, sizeof text, "%s=%s", field, hex);
    return tz_arena_strdup(&f->a, text);
}

static void give_item(struct fx *f, tz_ver ver, const char *state)
{
    give(f, "ledger_item", ITEM, ver, "120101", "item_no=L2023120101000001", "title=整改", "target_type=organisation",
         ref(f, "target_id", ORG), "issuer_level=D", ref(f, "lead_unit", UNIT), "severity=normal",
         "opened_on=2023-11-01", "due_on=2024-12-31", "return_count=0", state, NULL);
}

static void give_event(struct fx *f, tz_ver ver, uint64_t seq, const char *action, const char *from, const char *to)
{
    char number[32];
    struct tz_id id = {{[0] = 9, [15] = (uint8_t)seq}};
    (void)snprintf(number, sizeof number, "seq=%llu", (unsigned long long)seq);
    give(f, "ledger_event", id, ver, "120101", ref(f, "item_id", ITEM), ref(f, "actor", SOMEBODY), number, action, from,
         to, NULL);
}

/** An item that was assigned to the office's own unit by somebody. */
static int setup(void **state)
{
    assert_int_equal(fx_setup(state), 0);
    struct fx *f = *state;
    item_type = tz_catalogue_type(&f->cat, "ledger_item");
    event_type = tz_catalogue_type(&f->cat, "ledger_event");
    give(f, "unit", UNIT, 2, "", "code=GW120101", "name=和平工委", "kind=district_committee", "district_code=120101",
         NULL);
    give(f, "unit", OTHER, 2, "", "code=CY005", "name=司法局", "kind=municipal_unit", NULL);
    give(f, "user", ME, 2, "", "code=u1", "name=一", "role=D_CLERK", "district_code=120101", "active=1", NULL);
    give(f, "user", SOMEBODY, 2, "", "code=u2", "name=二", "role=D_SUPER", "district_code=120101", "active=1", NULL);
    give(f, "param", (struct tz_id){{[15] = 60}}, 2, "", "key=ledger.extensions_max", "value=2", "from_on=2017-01-01",
         NULL);
    fx_row(f, ORG, 2, TZ_ROW_LIVE, "120101", "甲公司", NULL);
    give_item(f, 3, "state=assigned");
    give_event(f, 3, 1, "action=open", "seq=1", "to_state=opened");
    give_event(f, 3, 2, "action=assign", "from_state=opened", "to_state=assigned");
    assert_int_equal(fx_checkpoint(f, 3), 0);
    return 0;
}

static struct tz_step_view view(struct fx *f)
{
    struct tz_step_view v;
    struct tz_err err = {0};
    assert_int_equal(tz_step_view(f->o, item_type, ITEM, &f->a, &v, &err), 1);
    return v;
}

static const char *state_of(struct fx *f, const struct tz_step_view *v)
{
    struct tz_value s = v->row->rec.v[item_type->state_field];
    return tz_arena_dup(&f->a, s.p, s.n);
}

static int try_step(struct fx *f, const struct tz_step_said *said, uint64_t *seq, struct tz_err *err)
{
    struct tz_save *s = fx_begin(f, false);
    int rc = tz_save_step(s, item_type, ITEM, said, err);
    if (rc)
        tz_save_cancel(s);
    else
        *seq = fx_commit(s);
    return rc;
}

static uint64_t step(struct fx *f, const char *action, const char *opinion)
{
    struct tz_step_said said = {.action = action, .opinion = opinion};
    struct tz_err err = {0};
    uint64_t seq = 0;
    if (try_step(f, &said, &seq, &err))
        fail_msg("%s: %d %s", action, err.code, err.args[0]);
    return seq;
}

static int refusal(struct fx *f, const char *action, struct tz_err *err)
{
    struct tz_step_said said = {.action = action};
    uint64_t seq = 0;
    memset(err, 0, sizeof *err);
    return try_step(f, &said, &seq, err);
}

static void a_chain_names_what_its_predecessor_leads_to(void **state)
{
    struct fx *f = *state;
    struct tz_record rec;
    bool names[TZ_FIELDS_MAX] = {false};
    struct tz_err err = {0};
    tz_record_init(&rec, item_type);
    fx_set(&rec, names, "result", tz_value_text("好了"));
    uint64_t one = step(f, "sign", NULL);
    struct tz_step_said said = {.action = "submit",
                                .in = &rec,
                                .names = names,
                                .opinion = "请核实",
                                .evidence = "[{\"name\":\"a.jpg\",\"sha256\":\"00\",\"size\":1}]"};
    uint64_t two = 0;
    assert_int_equal(try_step(f, &said, &two, &err), 0);
    struct tz_changeset cs = fx_changeset(f, one);
    assert_int_equal(cs.nops, 1);
    assert_int_equal(cs.ops[0].kind, TZ_OP_EVENT);
    assert_string_equal(cs.ops[0].expected_state, "assigned");
    assert_int_equal(cs.ops[0].expected_seq, 2);
    assert_int_equal(cs.ops[0].values.n + cs.ops[0].note.n, 0);
    cs = fx_changeset(f, two);
    assert_string_equal(cs.ops[0].expected_state, "rectifying");
    assert_int_equal(cs.ops[0].expected_seq, 3);
    struct tz_record body;
    assert_int_equal(tz_record_decode(event_type, cs.ops[0].note, &f->a, &body, NULL), 0);
    assert_true(tz_value_is_text(body.v[tz_type_field(event_type, "opinion")->index], "请核实"));
    assert_int_equal(tz_record_decode(item_type, cs.ops[0].values, &f->a, &body, NULL), 0);
    assert_true(tz_value_is_text(body.v[tz_type_field(item_type, "result")->index], "好了"));
    /* the record is as it stands; the proposals are beside it */
    struct tz_row row;
    assert_true(fx_read(f, item_type, ITEM, &row, NULL));
    assert_true(tz_value_is_text(fx_get(&row, "state"), "assigned"));
    assert_int_equal(fx_get(&row, "result").kind, TZ_V_NULL);
    struct tz_step_view v = view(f);
    assert_string_equal(state_of(f, &v), "submitted");
    assert_int_equal(v.nown, 2);
    assert_int_equal(v.nrecorded, 2);
    assert_true(v.own[0].fits && v.own[1].fits);
    assert_int_equal(v.own[1].to, tz_type_state(item_type, tz_value_text("submitted")));
    assert_int_equal(v.behind, 0);
    /* confirmed, they are steps like any other */
    give_item(f, 5, "state=submitted");
    give_event(f, 4, 3, "action=sign", "from_state=assigned", "to_state=rectifying");
    give_event(f, 5, 4, "action=submit", "from_state=rectifying", "to_state=submitted");
    assert_int_equal(fx_result(f, one, TZ_OUT_APPLIED, 4, 0), 0);
    assert_int_equal(fx_result(f, two, TZ_OUT_APPLIED, 5, 0), 0);
    v = view(f);
    assert_int_equal(v.nown, 2); /* heard of, not visible yet */
    assert_string_equal(state_of(f, &v), "submitted");
    assert_int_equal(fx_checkpoint(f, 5), 0);
    v = view(f);
    assert_int_equal(v.nown, 0);
    assert_int_equal(v.trail.n, 4);
}

static void what_can_be_known_is_refused_at_the_form(void **state)
{
    struct fx *f = *state;
    struct tz_err err = {0};
    assert_int_equal(refusal(f, "verify", &err), TZ_E_STEP_STATE);
    assert_string_equal(err.args[1], "assigned");
    assert_int_equal(refusal(f, "hang", &err), TZ_E_STEP_ROLE);
    assert_int_equal(refusal(f, "decline", &err), TZ_E_STEP_OPINION);
    assert_int_equal(refusal(f, "no such", &err), TZ_E_STEP_STATE);
    uint64_t seq = 0;
    struct tz_step_said said = {.action = "sign", .seen_state = "assigned", .seen_seq = 1};
    assert_int_equal(try_step(f, &said, &seq, &err), TZ_E_STEP_STALE);
    said.seen_seq = 2;
    assert_int_equal(try_step(f, &said, &seq, &err), 0);
    assert_int_equal(refusal(f, "submit", &err), TZ_E_REQUIRED);
    struct tz_record rec;
    bool names[TZ_FIELDS_MAX] = {false};
    tz_record_init(&rec, item_type);
    fx_set(&rec, names, "title", tz_value_text("别的"));
    said = (struct tz_step_said){.action = "report", .in = &rec, .names = names};
    assert_int_equal(try_step(f, &said, &seq, &err), TZ_E_NO_RIGHT_FIELD);
    give(f, "user", ME, 4, "", "code=u1", "name=一", "role=D_CLERK", "active=1", ref(f, "unit", OTHER), NULL);
    assert_int_equal(fx_checkpoint(f, 4), 0);
    assert_int_equal(refusal(f, "report", &err), TZ_E_STEP_BEHIND); /* the signing is not his any more */
    struct tz_step_view v = view(f);
    assert_int_equal(v.own[0].code, TZ_E_STEP_UNIT);
    (void)tz_err_set(&err, v.own[0].code, v.own[0].args[0], v.own[0].args[1], NULL, NULL);
    tz_step_words(&f->cat, f->o, TZ_LANG_ZH, &err);
    assert_string_equal(err.args[0], "签收");
    assert_string_equal(err.args[1], "和平工委");
}

static void refusals_are_told_in_words(void **state)
{
    struct fx *f = *state;
    struct tz_err err = {0};
    char text[512];
    (void)tz_err_set(&err, TZ_E_STEP_STALE, "verified", "5", "verify", NULL);
    tz_step_words(&f->cat, f->o, TZ_LANG_ZH, &err);
    assert_string_equal(tz_err_text(&err, TZ_LANG_ZH, text, sizeof text),
                        "事项已经有变化：现在是“已核实”，最近一步是第 5 步“核实通过”");
    (void)tz_err_set(&err, TZ_E_STEP_ROLE, "assign", "D_SUPER C_SUPER", NULL, NULL);
    tz_step_words(&f->cat, NULL, TZ_LANG_EN, &err);
    assert_string_equal(err.args[1], "district supervisor, central supervisor");
    (void)tz_err_set(&err, TZ_E_STEP_DATES, "due_on", "opened_on", NULL, NULL);
    tz_step_words(&f->cat, NULL, TZ_LANG_ZH, &err);
    assert_string_equal(err.args[0], "完成时限");
    (void)tz_err_set(&err, TZ_E_STEP_LEVEL, "assign", "C", NULL, NULL);
    tz_step_words(&f->cat, NULL, TZ_LANG_ZH, &err);
    assert_string_equal(err.args[1], "市级");
    (void)tz_err_set(&err, TZ_E_NO_RIGHT_FIELD, "assign", NULL, NULL, NULL);
    tz_step_words(&f->cat, NULL, TZ_LANG_ZH, &err);
    assert_string_equal(err.args[0], "assign"); /* not one of theirs */
    char many[TZ_ERR_ARG_BYTES] = "";
    for (size_t i = 0; i < 15; i++)
        (void)snprintf(many + 8 * i, sizeof many - 8 * i, "D_SUPER ");
    (void)tz_err_set(&err, TZ_E_STEP_ROLE, "assign", many, NULL, NULL);
    tz_step_words(&f->cat, NULL, TZ_LANG_ZH, &err); /* what does not fit is left out, whole words */
    assert_true(tz_utf8_valid(tz_bytes_str(err.args[1])));
}

/** Somebody else was first: the server has said so. */
static uint64_t refused_sign(struct fx *f)
{
    uint64_t seq = step(f, "sign", NULL);
    give_item(f, 10, "state=opened");
    give_event(f, 10, 3, "action=decline", "from_state=assigned", "to_state=opened");
    assert_int_equal(fx_result(f, seq, TZ_OUT_REFUSED, 0, TZ_E_STEP_STALE), 0);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    return seq;
}

/** Its words went with an area: nobody can tell any more what it was about. */
static void a_refused_step_that_was_wiped_stands_in_nobodys_way(void **state)
{
    struct fx *f = *state;
    struct tz_err err = {0};
    uint64_t last = 0;
    uint64_t seq = refused_sign(f);
    assert_int_equal(tz_db_exec(tz_office_db(f->o), "UPDATE outbox SET raw = x''", &err), 0);
    fx_reopen(f, NULL);
    struct tz_step_view v = view(f);
    assert_int_equal(v.nown, 0);
    assert_int_equal(v.behind, 0);
    assert_int_equal(tz_step_again(f->o, seq, &last, &err), TZ_E_NO_STEP);
}

static void assigned_again(struct fx *f)
{
    give_item(f, 11, "state=assigned");
    give_event(f, 11, 4, "action=assign", "from_state=opened", "to_state=assigned");
    assert_int_equal(fx_checkpoint(f, 11), 0);
}

static void a_refused_step_is_shown_and_offered_again(void **state)
{
    struct fx *f = *state;
    struct tz_err err = {0};
    uint64_t last = 0;
    uint64_t seq = refused_sign(f);
    struct tz_step_view v = view(f);
    assert_string_equal(state_of(f, &v), "opened");
    assert_int_equal(v.nown, 1);
    assert_int_equal(v.own[0].outcome, TZ_OUT_REFUSED);
    assert_int_equal(v.own[0].code, TZ_E_STEP_STALE);
    assert_int_equal(v.behind, seq);
    /* nothing can be signed now: nothing is changed */
    assert_int_equal(tz_step_again(f->o, seq, &last, &err), TZ_E_STEP_STATE);
    assert_int_equal(view(f).behind, seq);
    assigned_again(f);
    memset(&err, 0, sizeof err);
    assert_int_equal(refusal(f, "sign", &err), TZ_E_STEP_BEHIND); /* the server would let it wait */
    assert_int_equal(tz_step_again(f->o, seq, &last, &err), 0);
    assert_int_equal(last, seq + 2);
    struct tz_changeset cs =
        fx_changeset(f, seq + 1); /* a save of its own, so that a second refusal does not undo it */
    assert_int_equal(cs.nops, 1);
    assert_int_equal(cs.ops[0].kind, TZ_OP_WITHDRAW);
    assert_int_equal(cs.ops[0].target_seq, seq);
    cs = fx_changeset(f, seq + 2);
    assert_int_equal(cs.ops[0].kind, TZ_OP_EVENT);
    assert_string_equal(cs.ops[0].action, "sign");
    assert_int_equal(cs.ops[0].expected_seq, 4);
    v = view(f);
    assert_int_equal(v.nown, 1);
    assert_int_equal(v.behind, 0);
    /* refused once more: the first one stays withdrawn */
    assert_int_equal(fx_result(f, seq + 1, TZ_OUT_APPLIED, 0, 0), 0);
    assert_int_equal(fx_result(f, seq + 2, TZ_OUT_REFUSED, 0, TZ_E_STEP_STALE), 0);
    v = view(f);
    assert_int_equal(v.nown, 1);
    assert_int_equal(v.behind, seq + 2);
    assert_int_equal(tz_step_again(f->o, seq, &last, &err), TZ_E_NO_STEP); /* taken back already */
    assert_int_equal(tz_step_again(f->o, seq + 1, &last, &err), TZ_E_NO_STEP);
    assert_int_equal(tz_step_again(f->o, 999, &last, &err), TZ_E_NO_STEP);
}

static void what_stands_behind_comes_along(void **state)
{
    struct fx *f = *state;
    struct tz_err err = {0};
    uint64_t last = 0;
    uint64_t one = step(f, "sign", NULL);
    uint64_t two = step(f, "report", "一半");
    uint64_t three = step(f, "report", "快了"); /* never sent */
    give_item(f, 10, "state=assigned");
    give_event(f, 10, 3, "action=decline", "from_state=assigned", "to_state=opened");
    give_event(f, 10, 4, "action=assign", "from_state=opened", "to_state=assigned");
    assert_int_equal(fx_result(f, one, TZ_OUT_REFUSED, 0, TZ_E_STEP_STALE), 0);
    assert_int_equal(fx_result(f, two, TZ_OUT_WAITING, 0, TZ_E_DEPENDS), 0);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    struct tz_step_view v = view(f);
    assert_int_equal(v.nown, 3);
    assert_false(v.own[1].fits || v.own[2].fits);
    assert_int_equal(tz_step_again(f->o, one, &last, &err), 0);
    assert_int_equal(last, three + 4);
    struct tz_changeset cs = fx_changeset(f, three + 1);
    assert_int_equal(cs.nops, 2);
    assert_int_equal(cs.ops[0].target_seq, two);
    assert_int_equal(cs.ops[1].target_seq, one);
    cs = fx_changeset(f, three); /* the unsent one is an empty number now */
    assert_int_equal(cs.ops[0].kind, TZ_OP_WITHDRAW);
    const char *const actions[] = {"sign", "report", "report"};
    for (uint64_t i = 0; i < 3; i++) {
        cs = fx_changeset(f, three + 2 + i);
        assert_string_equal(cs.ops[0].action, actions[i]);
        assert_int_equal(cs.ops[0].expected_seq, 4 + i);
    }
    v = view(f);
    assert_int_equal(v.nown, 3);
    assert_string_equal(state_of(f, &v), "rectifying");
}

static void an_unsent_step_that_came_too_late_is_told(void **state)
{
    struct fx *f = *state;
    struct tz_err err = {0};
    uint64_t seq = step(f, "sign", NULL);
    give_item(f, 10, "state=suspended");
    give_event(f, 10, 3, "action=hang", "from_state=assigned", "to_state=suspended");
    assert_int_equal(fx_checkpoint(f, 10), 0);
    struct tz_step_view v = view(f);
    assert_int_equal(v.nown, 1);
    assert_false(v.own[0].fits);
    assert_int_equal(v.own[0].code, TZ_E_STEP_STALE);
    assert_int_equal(v.behind, seq);
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_withdraw(s, seq, &err), 0);
    (void)fx_commit(s);
    assert_int_equal(view(f).nown, 0);
}

static struct tz_id open_item(struct fx *f, struct tz_err *err, const char *due)
{
    struct tz_record rec;
    struct tz_id id = {{0}};
    tz_record_init(&rec, item_type);
    fx_set(&rec, NULL, "title", tz_value_text("新事项"));
    fx_set(&rec, NULL, "list_type", tz_value_text("issue"));
    fx_set(&rec, NULL, "source", tz_value_text("other"));
    fx_set(&rec, NULL, "due_on", tz_value_text(due));
    fx_set(&rec, NULL, "target_type", tz_value_text("organisation"));
    fx_set(&rec, NULL, "target_id", fx_id_value(f, ORG));
    fx_set(&rec, NULL, "lead_unit", fx_id_value(f, UNIT));
    struct tz_save *s = fx_begin(f, false);
    memset(err, 0, sizeof *err);
    if (tz_save_create(s, &rec, &id, err))
        tz_save_cancel(s);
    else
        (void)fx_commit(s);
    return id;
}

static void an_opening_is_judged_here_and_sent_as_it_was_said(void **state)
{
    struct fx *f = *state;
    struct tz_err err;
    struct tz_step_view v;
    struct tz_id *ids = NULL;
    size_t n = 0;
    (void)open_item(f, &err, "2020-01-01");
    assert_int_equal(err.code, TZ_E_STEP_DATES);
    struct tz_id id = open_item(f, &err, "2024-12-31");
    assert_int_equal(err.code, 0);
    struct tz_row row;
    assert_true(fx_read(f, item_type, id, &row, NULL));
    assert_int_equal(fx_get(&row, "item_no").kind, TZ_V_NULL); /* the server's to give */
    assert_int_equal(fx_get(&row, "issuer_level").kind, TZ_V_NULL);
    assert_int_equal(tz_step_view(f->o, item_type, id, &f->a, &v, &err), 1);
    assert_int_equal(v.confirmed, -1);
    assert_string_equal(state_of(f, &v), "opened");
    assert_int_equal(tz_trail_seq(&v.trail), 1);
    assert_int_equal(tz_step_may(f->o, &v, (struct tz_id){{0}}, "assign", &err), 0);
    (void)step(f, "sign", NULL);
    assert_int_equal(tz_step_open_ids(f->o, item_type, &f->a, &ids, &n, &err), 0);
    assert_int_equal(n, 2);
    v = view(f);
    assert_int_equal(tz_step_may(f->o, &v, (struct tz_id){{0}}, "submit", &err), 1);
    assert_int_equal(tz_step_may(f->o, &v, (struct tz_id){{0}}, "hang", &err), 0);
}

/** What a step must say is asked when it is taken; whether there is anything to answer, before. */
static void what_may_be_done_does_not_wait_for_what_must_be_said(void **state)
{
    struct fx *f = *state;
    struct tz_err err;
    fx_welcome(f, "D_SUPER", "120101", (const char *const[]){"120101"}, 1, 1);
    give(f, "user", ME, 4, "", "code=u1", "name=一", "role=D_SUPER", "district_code=120101", "active=1", NULL);
    assert_int_equal(fx_checkpoint(f, 4), 0);
    struct tz_step_view v = view(f);
    assert_int_equal(tz_step_may(f->o, &v, (struct tz_id){{0}}, "hang", &err), 1);  /* says until when */
    assert_int_equal(tz_step_may(f->o, &v, (struct tz_id){{0}}, "grant", &err), 0); /* nobody has asked */
    give_event(f, 5, 3, "action=ask_extension", "from_state=assigned", "to_state=assigned");
    assert_int_equal(fx_checkpoint(f, 5), 0);
    v = view(f);
    assert_int_equal(tz_step_may(f->o, &v, (struct tz_id){{0}}, "grant", &err), 1);
}

static void items_are_not_merged(void **state)
{
    struct fx *f = *state;
    struct tz_err err;
    fx_welcome(f, "D_SUPER", "120101", (const char *const[]){"120101"}, 1, 1);
    give_item(f, 20, "state=assigned");
    struct tz_id two = {{[15] = 51}};
    give(f, "ledger_item", two, 20, "120101", "title=又一个", "state=opened", NULL);
    assert_int_equal(fx_checkpoint(f, 20), 0);
    struct tz_save *s = fx_begin(f, false);
    memset(&err, 0, sizeof err);
    assert_int_equal(tz_save_merge(s, item_type, ITEM, two, true, &err), TZ_E_NO_RIGHT_TYPE);
    tz_save_cancel(s);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        T(a_chain_names_what_its_predecessor_leads_to),
        T(what_can_be_known_is_refused_at_the_form),
        T(refusals_are_told_in_words),
        T(a_refused_step_is_shown_and_offered_again),
        T(a_refused_step_that_was_wiped_stands_in_nobodys_way),
        T(what_stands_behind_comes_along),
        T(an_unsent_step_that_came_too_late_is_told),
        T(an_opening_is_judged_here_and_sent_as_it_was_said),
        T(what_may_be_done_does_not_wait_for_what_must_be_said),
        T(items_are_not_merged),
    };
    return cmocka_run_group_tests_name("step", tests, NULL, NULL);
}
