/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what to ledger items: written here by hand, from the requirements, and compared with what the server does
 * for every state, action and role; the shipped table is not asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "event_rule.h"
#include "ledger_fixture.h"

#include <string.h>

/* ---- every state, action and role ---- */

static const char *const STATES[] = {"opened",   "assigned",  "rectifying",  "submitted", "verified",
                                     "returned", "suspended", "written_off", "voided"};
static const char *const ACTIONS[] = {"assign", "void",          "sign",   "decline",   "report",
                                      "submit", "verify",        "return", "write_off", "hang",
                                      "resume", "ask_extension", "grant",  "refuse",    "relapse"};
enum { NSTATES = sizeof STATES / sizeof *STATES, NACTIONS = sizeof ACTIONS / sizeof *ACTIONS, NROLES = 9 };

/** Of an item that the district issued, lead unit GW120101. `unit`: people who act for that unit. */
#define UNIT_PEOPLE "S_CLERK D_CLERK D_SUPER SECTOR"
static const struct may {
    const char *state, *action, *who;
    int code; /* also for those who may: nothing was asked for */
} DISTRICT[] = {
    {"opened", "assign", "D_SUPER", 0},
    {"opened", "void", "D_SUPER", 0},
    {"assigned", "sign", UNIT_PEOPLE, 0},
    {"assigned", "decline", UNIT_PEOPLE, 0},
    {"assigned", "hang", "D_SUPER", 0},
    {"assigned", "ask_extension", UNIT_PEOPLE, 0},
    {"assigned", "grant", "D_SUPER", TZ_E_STEP_UNASKED},
    {"assigned", "refuse", "D_SUPER", TZ_E_STEP_UNASKED},
    {"rectifying", "report", UNIT_PEOPLE, 0},
    {"rectifying", "submit", UNIT_PEOPLE, 0},
    {"rectifying", "hang", "D_SUPER", 0},
    {"rectifying", "ask_extension", UNIT_PEOPLE, 0},
    {"rectifying", "grant", "D_SUPER", TZ_E_STEP_UNASKED},
    {"rectifying", "refuse", "D_SUPER", TZ_E_STEP_UNASKED},
    {"submitted", "verify", "F_INSP D_SUPER", 0},
    {"submitted", "return", "F_INSP D_SUPER", 0},
    {"submitted", "hang", "D_SUPER", 0},
    {"submitted", "ask_extension", UNIT_PEOPLE, 0},
    {"submitted", "grant", "D_SUPER", TZ_E_STEP_UNASKED},
    {"submitted", "refuse", "D_SUPER", TZ_E_STEP_UNASKED},
    {"verified", "write_off", "D_SUPER", 0},
    {"verified", "return", "D_SUPER", 0},
    {"returned", "submit", UNIT_PEOPLE, 0},
    {"returned", "hang", "D_SUPER", 0},
    {"returned", "ask_extension", UNIT_PEOPLE, 0},
    {"returned", "grant", "D_SUPER", TZ_E_STEP_UNASKED},
    {"returned", "refuse", "D_SUPER", TZ_E_STEP_UNASKED},
    {"suspended", "resume", "D_SUPER", 0},
};

static const struct may *find_may(const char *state, const char *action)
{
    for (size_t i = 0; i < sizeof DISTRICT / sizeof *DISTRICT; i++)
        if (strcmp(DISTRICT[i].state, state) == 0 && strcmp(DISTRICT[i].action, action) == 0)
            return &DISTRICT[i];
    return NULL;
}

static bool word_in(const char *word, const char *list)
{
    size_t n = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += n)
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
            return true;
    return false;
}

/** The supervisors of the two levels change places when the centre issued the item. */
static bool may_at(const struct may *m, const char *role, bool centre)
{
    if (!centre || !word_in("D_SUPER", m->who) || strcmp(m->who, UNIT_PEOPLE) == 0)
        return word_in(role, m->who);
    if (strcmp(role, "C_SUPER") == 0)
        return true;
    return strcmp(role, "D_SUPER") != 0 && word_in(role, m->who);
}

/** Try it and undo it: the same item for everybody. */
static void try_step(struct office *o, struct sx_dev *dev, struct tz_id id, const char *state, const char *action,
                     bool centre)
{
    struct sx *f = o->f;
    const struct may *m = find_may(state, action);
    const char *role = dev->d.role;
    struct sx_dev was = *dev;
    sx_group(f);
    struct sx_cs *c = sx_begin(dev);
    const char *value = strcmp(action, "submit") == 0  ? "result=已清理"
                        : strcmp(action, "hang") == 0  ? "review_on=2024-06-30"
                        : strcmp(action, "grant") == 0 ? "due_on=2025-03-31"
                                                       : NULL;
    sx_op_event(c, ITEM, id, action, state, seq_of(f, id), "同意", FILES, value, NULL);
    assert_int_equal(sx_apply(c), 0);
    int code = f->res.outcome == TZ_OUT_APPLIED ? 0 : f->res.code;
    tz_store_group_rollback(f->s);
    *dev = was;
    bool may = m && may_at(m, role, centre);
    bool ok = !m    ? code == TZ_E_STEP_STATE
              : may ? code == m->code
                    : code == TZ_E_STEP_ROLE || code == TZ_E_STEP_UNIT || code == TZ_E_STEP_LEVEL;
    if (!ok)
        fail_msg("%s, %s by %s%s: %d", state, action, role, centre ? " (centre's)" : "", code);
}

static void whole_table(struct office *o, bool centre)
{
    struct sx *f = o->f;
    struct sx_dev *devs[NROLES] = {&f->fi, &f->s1, &f->d1, &o->super, &f->c1, &o->csuper, &o->sector, &o->lead};
    for (size_t s = 0; s < NSTATES; s++) {
        struct tz_id id = item_in(o, STATES[s], centre);
        for (size_t a = 0; a < NACTIONS; a++)
            for (size_t d = 0; d < NROLES && devs[d]; d++)
                try_step(o, devs[d], id, STATES[s], ACTIONS[a], centre);
        state_is(f, id, STATES[s]);
    }
}

static void every_step_is_for_whom_it_is_for(void **state)
{
    struct office o;
    office_open(&o, *state);
    whole_table(&o, false);
}

static void only_the_centre_moves_what_it_issued(void **state)
{
    struct office o;
    office_open(&o, *state);
    whole_table(&o, true);
}

/* ---- three different people ---- */

static void submitter_verifier_and_writer_off_are_three(void **state)
{
    struct sx *f = *state;
    struct office o;
    office_open(&o, f);
    struct tz_id id = item_in(&o, "rectifying", false);
    sx_applied(next(&o.super, id, "submit")); /* he is of the lead unit */
    const struct tz_result *r = next(&o.super, id, "verify");
    sx_refused(r, TZ_E_STEP_SAME);
    assert_string_equal(r->args[0], "verify");
    assert_string_equal(r->args[1], "submit");
    sx_applied(next(&o.super2, id, "verify"));
    sx_refused(next(&o.super2, id, "write_off"), TZ_E_STEP_SAME);
    struct sx_dev third;
    sx_join(f, &third, "super3", "D_SUPER", "120101");
    sx_applied(next(&third, id, "write_off"));
    state_is(f, id, "written_off");
}

/** One machine, several people, offline: each save says who. The chain is judged as it was made. */
static void people_of_one_machine_stay_apart_offline(void **state)
{
    struct sx *f = *state;
    struct office o;
    struct tz_id clerk;
    office_open(&o, f);
    struct tz_id id = item_in(&o, "rectifying", false);
    sx_group(f);
    assert_int_equal(tz_store_user_add(f->s, "lisi", "李四", "D_CLERK", "120101", &clerk, &f->err), 0);
    sx_commit(f);
    struct tz_id first = o.super.user;
    const char *const chain[][2] = {{"submit", "rectifying"}, {"verify", "submitted"}, {"write_off", "verified"}};
    struct tz_id who[] = {clerk, first, first};
    for (int i = 0; i < 3; i++) {
        o.super.user = who[i];
        const struct tz_result *r = step_on(&o.super, id, chain[i][0], chain[i][1], 3 + (uint64_t)i);
        if (i < 2)
            sx_applied(r);
        else
            sx_refused(r, TZ_E_STEP_SAME); /* who verified */
    }
    o.super.user = first;
    state_is(f, id, "verified");
    sx_applied(next(&o.super2, id, "write_off"));
}

/** A machine that was not given to a supervisor has none: else one clerk alone could go the whole way, in three names.
 */
static void a_clerks_machine_has_no_supervisors(void **state)
{
    struct sx *f = *state;
    struct office o;
    struct tz_arena a;
    struct tz_session_user *users = NULL;
    size_t n = 0;
    office_open(&o, f);
    struct tz_id id = item_in(&o, "opened", false);
    struct tz_id clerk = f->d1.user;
    f->d1.user = o.super.user;
    sx_refused(next(&f->d1, id, "assign"), TZ_E_USER_DISABLED);
    f->d1.user = clerk;
    state_is(f, id, "opened");
    tz_arena_init(&a, 1024 * 1024);
    assert_int_equal(tz_store_users_of(f->s, &f->d1.d, &a, &users, &n, &f->err), 0);
    for (size_t i = 0; i < n; i++)
        assert_string_not_equal(users[i].role, "D_SUPER");
    assert_int_equal(tz_store_users_of(f->s, &o.super.d, &a, &users, &n, &f->err), 0);
    bool clerks = false; /* the other way round is what a shared machine is for */
    for (size_t i = 0; i < n; i++)
        clerks = clerks || strcmp(users[i].role, "D_CLERK") == 0;
    assert_true(clerks);
    tz_arena_deinit(&a);
}

/** An empty list is no evidence, whatever program sends it. */
static void evidence_is_at_least_one_file(void **state)
{
    struct sx *f = *state;
    static const char *const NONE[] = {"[]", "{}", "0"};
    struct office o;
    office_open(&o, f);
    struct tz_id id = item_in(&o, "rectifying", false);
    for (size_t i = 0; i < 3; i++) {
        struct sx_cs *c = sx_begin(&f->d1b);
        sx_op_event(c, ITEM, id, "submit", "rectifying", 3, NULL, NONE[i], "result=已清理", NULL);
        sx_refused(sx_push(c), TZ_E_STEP_EVIDENCE);
        sx_applied(sx_withdraw(&f->d1b, f->d1b.seq));
    }
    struct sx_cs *c = sx_begin(&f->d1b);
    sx_op_event(c, ITEM, id, "submit", "rectifying", 3, NULL, FILES, "result=已清理", NULL);
    sx_applied(sx_push(c));
}

/** Each step reads those before it, so one person's reports must not go on for ever; and the item can still be closed.
 */
static void steps_that_lead_nowhere_have_an_end(void **state)
{
    struct sx *f = *state;
    struct office o;
    office_open(&o, f);
    struct tz_id id = item_in(&o, "rectifying", false);
    uint64_t seq = 3;
    while (seq < TZ_EVENT_STEPS_MAX) {
        struct sx_cs *c = sx_begin(&f->d1b);
        for (int i = 0; i < 500 && seq < TZ_EVENT_STEPS_MAX; i++)
            sx_op_event(c, ITEM, id, "report", "rectifying", seq++, NULL, NULL, "progress_pct=4", NULL);
        sx_applied(sx_push(c));
    }
    const struct tz_result *r = next(&f->d1b, id, "report");
    sx_refused(r, TZ_E_STEP_FULL);
    assert_string_equal(r->args[0], "report");
    assert_string_equal(r->args[1], "1000");
    sx_applied(sx_withdraw(&f->d1b, f->d1b.seq));
    sx_applied(next(&f->d1b, id, "submit"));
    sx_applied(next(&o.super, id, "verify"));
    sx_applied(next(&o.super2, id, "write_off"));
    state_is(f, id, "written_off");
}

/* ---- isolation, units ---- */

static void a_foreign_item_is_as_one_that_never_was(void **state)
{
    struct sx *f = *state;
    struct office o;
    struct sx_dev super;
    office_open(&o, f);
    sx_join(f, &super, "super102", "D_SUPER", "120102");
    struct tz_id id = item_in(&o, "submitted", false);
    struct tz_id never = tz_id_make(&super.ids, f->clock.wall);
    struct tz_result there = *step_on(&super, id, "verify", "submitted", 4);
    struct tz_result nowhere = *step_on(&super, never, "verify", "submitted", 4);
    sx_refused(&there, TZ_E_UNKNOWN_RECORD);
    sx_refused(&nowhere, TZ_E_UNKNOWN_RECORD);
    assert_int_equal(there.nargs, nowhere.nargs);
}

static void the_unit_is_the_users_own(void **state)
{
    struct sx *f = *state;
    struct office o;
    office_open(&o, f);
    struct tz_id id = item_in(&o, "assigned", false);
    give_unit(f, "d1", "CY005");
    const struct tz_result *r = next(&f->d1, id, "sign");
    sx_refused(r, TZ_E_STEP_UNIT);
    assert_string_equal(r->args[1], UNIT);
    sx_applied(next(&o.sector, id, "sign"));
    struct sx_dev other;
    sx_join(f, &other, "sector2", "SECTOR", "120000"); /* nobody said which unit */
    sx_refused(next(&other, id, "report"), TZ_E_STEP_NO_UNIT);
    sx_group(f);
    assert_int_equal(tz_store_user_unit(f->s, "nobody", UNIT, &f->err), TZ_E_NOT_FOUND);
    assert_int_equal(tz_store_user_unit(f->s, "d1", "GW1", &f->err), TZ_E_VALUE);
    tz_store_group_rollback(f->s);
}

/** A reference into a foreign district is as one to nothing, in steps and openings too. */
static void references_of_steps_do_not_tell_what_is_elsewhere(void **state)
{
    struct sx *f = *state;
    struct office o;
    office_open(&o, f);
    struct tz_id id = item_in(&o, "opened", false);
    struct tz_id person = sx_create(&f->d2, "person", "name=张三", "district_code=120102", NULL);
    struct tz_id there = sx_create(&f->d2, "organisation", "name=乙公司", "kind=enterprise", "subkind=private",
                                   "district_code=120102", NULL);
    struct tz_id org = o.org;
    o.org = there;
    struct tz_id foreign = open_item(&o, &f->d2, "severity=normal");
    o.org = org;
    struct tz_id never = tz_id_make(&f->d1.ids, f->clock.wall);
    struct tz_id asked[2][2] = {{person, never}, {foreign, never}};
    struct sx_dev *supers[2] = {&o.super, &o.super2};
    for (int i = 0; i < 2; i++) {
        struct sx_cs *c = sx_begin(supers[i]);
        sx_op_event(c, ITEM, id, "assign", "opened", 1, NULL, NULL, sx_ref(f, "lead_person", asked[0][i]), NULL);
        sx_refused(sx_push(c), TZ_E_REF);
        (void)open_under(&o, i ? &f->d1b : &f->d1, "parent_id", asked[1][i]);
        sx_refused(&f->res, TZ_E_REF);
        (void)open_under(&o, i ? &f->fi2 : &f->fi, "reopened_from", asked[1][i]);
        sx_refused(&f->res, TZ_E_REF);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, sx_setup, sx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_step_is_for_whom_it_is_for),
        T(only_the_centre_moves_what_it_issued),
        T(submitter_verifier_and_writer_off_are_three),
        T(people_of_one_machine_stay_apart_offline),
        T(a_clerks_machine_has_no_supervisors),
        T(steps_that_lead_nowhere_have_an_end),
        T(evidence_is_at_least_one_file),
        T(a_foreign_item_is_as_one_that_never_was),
        T(references_of_steps_do_not_tell_what_is_elsewhere),
        T(the_unit_is_the_users_own),
    };
    return cmocka_run_group_tests_name("ledger_rights", tests, sx_group_setup, sx_group_teardown);
}
