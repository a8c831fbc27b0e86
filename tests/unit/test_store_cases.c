/* SPDX-License-Identifier: Apache-2.0 */
/* Conflicts in the central store: the case of each, who is in it, how it ends, and who may read it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MINUTE_MS = 60000 };

/** A save of one field by @d, a second after whatever came before. */
static const struct tz_result *say(struct sx_dev *d, struct tz_id id, const char *what)
{
    d->f->clock.wall.ms += 1000;
    return sx_set(d, "organisation", id, what, NULL);
}

/** d1 said 一路, then fi, who had not seen it, 二路: that stands, d1's word is in the case. */
static struct tz_id in_conflict(struct sx *f)
{
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(say(&f->d1, id, "address=一路"));
    sx_applied(say(&f->fi, id, "address=二路"));
    return id;
}

/* ---- open, join ---- */

static void later_word_stands_and_the_earlier_is_kept(void **state)
{
    struct sx *f = *state;
    struct tz_id id = in_conflict(f);
    assert_int_equal(f->res.ops[0].ncases, 1);
    sx_text_is(f, "organisation", id, "address", "二路");
    const struct tz_row *c = sx_case(f, id, "address", 1);
    assert_true(tz_id_eq(c->id, f->res.ops[0].cases[0]));
    assert_string_equal(sx_case_text(f, c, "state"), "open");
    assert_string_equal(sx_case_text(f, c, "kind"), "conflict");
    assert_string_equal(sx_case_text(f, c, "rule"), "later");
    assert_int_equal(sx_ncandidates(f, c), 1);
    assert_string_equal(sx_candidate(f, c, 0, "address"), "一路");
    assert_non_null(strstr(sx_case_text(f, c, "standing"), "二路"));
    assert_string_equal(c->area.district, "120101");
}

static void word_that_arrives_late_but_was_said_earlier_loses(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct sx_cs *early = sx_begin(&f->fi); /* said first, sent last */
    sx_op_set(early, "organisation", id, "address=早", NULL);
    sx_applied(say(&f->d1, id, "address=晚"));
    sx_superseded(sx_push(early));
    assert_int_equal(f->res.ops[0].outcome, TZ_OUT_SUPERSEDED);
    sx_text_is(f, "organisation", id, "address", "晚");
    assert_string_equal(sx_candidate(f, sx_case(f, id, "address", 1), 0, "address"), "早");
}

static void equal_words_open_no_case(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(say(&f->d1, id, "address=一路"));
    sx_applied(say(&f->fi, id, "address=一路"));
    assert_null(sx_case(f, id, "address", 1));
}

static void fields_do_not_touch_each_other(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(say(&f->d1, id, "address=一路"));
    sx_applied(say(&f->fi, id, "has_union=是"));
    assert_null(sx_case(f, id, "address", 1));
    assert_null(sx_case(f, id, "has_union", 1));
    sx_text_is(f, "organisation", id, "address", "一路");
    sx_text_is(f, "organisation", id, "has_union", "1");
}

static void another_candidate_joins(void **state)
{
    struct sx *f = *state;
    struct tz_id id = in_conflict(f);
    sx_applied(say(&f->fi2, id, "address=三路"));
    const struct tz_row *c = sx_case(f, id, "address", 1);
    assert_int_equal(sx_ncandidates(f, c), 2);
    assert_string_equal(sx_candidate(f, c, 1, "address"), "二路");
    assert_null(sx_case(f, id, "address", 2));
}

static void later_word_of_the_same_device_and_user_replaces_their_earlier(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(say(&f->d1, id, "address=准"));
    f->fi.skew_ms = -10 * MINUTE_MS;
    sx_superseded(say(&f->fi, id, "address=一"));
    sx_superseded(say(&f->fi, id, "address=二"));
    const struct tz_row *c = sx_case(f, id, "address", 1);
    assert_int_equal(sx_ncandidates(f, c), 1);
    assert_string_equal(sx_candidate(f, c, 0, "address"), "二");
    f->fi.user = f->fi2.user; /* a colleague at the same machine speaks for himself */
    sx_superseded(say(&f->fi, id, "address=三"));
    assert_int_equal(sx_ncandidates(f, sx_case(f, id, "address", 1)), 2);
}

static void ordinary_edit_shows_in_the_open_case(void **state)
{
    struct sx *f = *state;
    struct tz_id id = in_conflict(f);
    sx_see(&f->d1b);
    sx_applied(say(&f->d1b, id, "address=新"));
    const struct tz_row *c = sx_case(f, id, "address", 1);
    assert_string_equal(sx_case_text(f, c, "state"), "open");
    assert_non_null(strstr(sx_case_text(f, c, "standing"), "新"));
    assert_int_equal(sx_ncandidates(f, c), 1);
}

static void sixty_four_candidates_are_shown_and_the_rest_counted(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    static struct sx_dev devs[66];
    for (int i = 0; i < 66; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "x%d", i);
        sx_join(f, &devs[i], name, "F_INSP", "120101");
        devs[i].skew_ms = -10 * MINUTE_MS;
    }
    tz_ver before = tz_store_head(f->s);
    sx_applied(say(&f->d1, id, "address=准"));
    for (int i = 0; i < 66; i++) {
        char address[32];
        (void)snprintf(address, sizeof address, "address=%d路", i);
        devs[i].seen = before;
        sx_superseded(say(&devs[i], id, address));
    }
    const struct tz_row *c = sx_case(f, id, "address", 1);
    assert_int_equal(sx_ncandidates(f, c), 64);
    assert_string_equal(sx_case_text(f, c, "hidden_count"), "2");
    assert_string_equal(sx_candidate(f, c, 63, "address"), "63路");
}

static void word_too_long_for_the_case_is_counted_and_delays_nothing(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    static char one[65000];
    static char two[65000];
    memset(one, 'a', sizeof one - 1);
    memset(two, 'b', sizeof two - 1);
    memcpy(one, "former_names=", 13);
    memcpy(two, "former_names=", 13);
    for (size_t i = 20; i + 2 < sizeof one; i += 2)
        one[i] = two[i] = '"'; /* twice as long in JSON */
    sx_applied(say(&f->d1, id, one));
    sx_applied(say(&f->d1b, id, two));
    sx_text_is(f, "organisation", id, "former_names", two + 13);
    const struct tz_row *c = sx_case(f, id, "former_names", 1);
    assert_int_equal(sx_ncandidates(f, c), 0);
    assert_string_equal(sx_case_text(f, c, "hidden_count"), "1");
    assert_string_equal(sx_case_text(f, c, "standing"), "");
}

/* ---- groups ---- */

static void group_conflict_goes_by_the_date_and_is_one_case(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    f->clock.wall.ms += 1000;
    sx_applied(
        sx_set(&f->d1, "organisation", id, "full_members=5", "probationary_members=1", "counts_on=2023-06", NULL));
    f->clock.wall.ms += 1000;
    /* said later, but about an earlier day; activists only here */
    sx_superseded(sx_set(&f->fi, "organisation", id, "full_members=4", "probationary_members=2", "activists=3",
                         "counts_on=2023-05-31", NULL));
    sx_text_is(f, "organisation", id, "full_members", "5");
    sx_text_is(f, "organisation", id, "probationary_members", "1");
    sx_text_is(f, "organisation", id, "activists", "3");
    sx_text_is(f, "organisation", id, "counts_on", "2023-06");
    const struct tz_row *c = sx_case(f, id, "members", 1);
    assert_int_equal(sx_ncandidates(f, c), 1);
    assert_string_equal(sx_candidate(f, c, 0, "full_members"), "4");
    assert_string_equal(sx_candidate(f, c, 0, "probationary_members"), "2");
    assert_string_equal(sx_candidate(f, c, 0, "activists"), "(none)");
    assert_string_equal(sx_candidate(f, c, 0, "counts_on"), "2023-05-31");
    assert_string_equal(sx_case_text(f, c, "rule"), "as_of");
    assert_null(sx_case(f, id, "counts_on", 1));
}

/* ---- resolve ---- */

static void resolve_that_saw_everything_closes_the_case(void **state)
{
    struct sx *f = *state;
    struct tz_id id = in_conflict(f);
    struct tz_id c = sx_case(f, id, "address", 1)->id;
    sx_see(&f->d1b);
    sx_applied(sx_resolve(&f->d1b, c, 1, "address=一路", NULL));
    sx_text_is(f, "organisation", id, "address", "一路");
    const struct tz_row *row = sx_row(f, "case", c);
    assert_string_equal(sx_case_text(f, row, "state"), "closed");
    assert_string_equal(sx_case_text(f, row, "closed_by"), sx_hex(f, f->d1b.user));
    assert_string_equal(sx_case_text(f, row, "choice"), "typed");
    assert_null(sx_case(f, id, "address", 2));
}

static void candidate_the_resolver_did_not_see_opens_the_next_generation(void **state)
{
    struct sx *f = *state;
    struct tz_id id = in_conflict(f);
    struct tz_id c = sx_case(f, id, "address", 1)->id;
    sx_see(&f->d1b);
    f->fi2.skew_ms = -10 * MINUTE_MS;
    sx_superseded(say(&f->fi2, id, "address=没看见"));
    sx_applied(sx_resolve(&f->d1b, c, 1, "address=一路", NULL));
    sx_text_is(f, "organisation", id, "address", "一路");
    const struct tz_row *next = sx_case(f, id, "address", 2);
    assert_string_equal(sx_case_text(f, next, "state"), "open");
    assert_int_equal(sx_ncandidates(f, next), 1);
    assert_string_equal(sx_candidate(f, next, 0, "address"), "没看见");
}

static void standing_value_the_resolver_did_not_see_opens_the_next_generation(void **state)
{
    struct sx *f = *state;
    struct tz_id id = in_conflict(f);
    struct tz_id c = sx_case(f, id, "address", 1)->id;
    sx_see(&f->d1b);
    sx_see(&f->fi2);
    sx_applied(say(&f->fi2, id, "address=新"));
    sx_applied(sx_resolve(&f->d1b, c, 1, "address=一路", NULL));
    sx_text_is(f, "organisation", id, "address", "一路");
    const struct tz_row *next = sx_case(f, id, "address", 2);
    assert_string_equal(sx_candidate(f, next, 0, "address"), "新");
}

static void late_resolve_with_the_same_value_is_nothing(void **state)
{
    struct sx *f = *state;
    struct tz_id id = in_conflict(f);
    struct tz_id c = sx_case(f, id, "address", 1)->id;
    sx_see(&f->d1);
    sx_see(&f->d1b);
    sx_applied(sx_resolve(&f->d1b, c, 1, "address=一路", NULL));
    sx_applied(sx_resolve(&f->d1, c, 1, "address=一路", NULL));
    assert_null(sx_case(f, id, "address", 2));
}

static void late_resolve_with_another_value_is_kept(void **state)
{
    struct sx *f = *state;
    struct tz_id id = in_conflict(f);
    struct tz_id c = sx_case(f, id, "address", 1)->id;
    sx_see(&f->d1);
    sx_see(&f->d1b);
    sx_applied(sx_resolve(&f->d1b, c, 1, "address=一路", NULL));
    sx_superseded(sx_resolve(&f->d1, c, 1, "address=二路", NULL));
    sx_text_is(f, "organisation", id, "address", "一路");
    assert_string_equal(sx_candidate(f, sx_case(f, id, "address", 2), 0, "address"), "二路");
}

static void edit_that_did_not_see_the_resolve_stands_behind_it(void **state)
{
    struct sx *f = *state;
    struct tz_id id = in_conflict(f);
    struct tz_id c = sx_case(f, id, "address", 1)->id;
    sx_see(&f->d1b);
    sx_see(&f->fi2); /* saw the case, not its end */
    sx_applied(sx_resolve(&f->d1b, c, 1, "address=一路", NULL));
    sx_superseded(say(&f->fi2, id, "address=更晚"));
    sx_text_is(f, "organisation", id, "address", "一路");
    const struct tz_row *next = sx_case(f, id, "address", 2);
    assert_string_equal(sx_candidate(f, next, 0, "address"), "更晚");
    assert_string_equal(sx_case_text(f, next, "rule"), "resolved");
    sx_see(&f->fi2); /* who saw it edits as usual */
    sx_applied(say(&f->fi2, id, "address=看见了"));
    sx_text_is(f, "organisation", id, "address", "看见了");
}

static void resolve_of_a_generation_that_is_not_the_cases_is_refused(void **state)
{
    struct sx *f = *state;
    struct tz_id id = in_conflict(f);
    struct tz_id c = sx_case(f, id, "address", 1)->id;
    sx_see(&f->d1b);
    sx_refused(sx_resolve(&f->d1b, c, 2, "address=一路", NULL), TZ_E_CASE_STALE);
}

static void resolve_needs_the_right_and_the_subject(void **state)
{
    struct sx *f = *state;
    struct tz_id id = in_conflict(f);
    struct tz_id c = sx_case(f, id, "address", 1)->id;
    sx_see(&f->c1);
    sx_see(&f->d1b);
    sx_see(&f->d2);
    sx_refused(sx_resolve(&f->c1, c, 1, "address=一路", NULL), TZ_E_NO_RIGHT_FIELD);
    sx_refused(sx_resolve(&f->d1b, c, 1, "name=乙", NULL), TZ_E_VALUE);
    sx_refused(sx_resolve(&f->d2, c, 1, "address=一路", NULL), TZ_E_UNKNOWN_RECORD);
}

static void resolve_about_life(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(sx_delete(&f->d1, "organisation", id));
    sx_applied(say(&f->fi, id, "address=一路")); /* revived */
    struct tz_id c = sx_case(f, id, "_deleted", 1)->id;
    sx_see(&f->d1);
    sx_applied(sx_resolve(&f->d1, c, 1, "_deleted=1", NULL));
    assert_true(sx_deleted(f, "organisation", id));
    sx_superseded(say(&f->fi2, id, "address=没听说")); /* the decision stands, the word is kept */
    assert_true(sx_deleted(f, "organisation", id));
    const struct tz_row *next = sx_case(f, id, "_deleted", 2);
    assert_string_equal(sx_candidate(f, next, 0, "address"), "没听说");
    assert_string_equal(sx_candidate(f, next, 0, "_deleted"), "0");
}

static void decision_to_delete_does_not_bury_what_its_maker_had_not_seen(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(sx_delete(&f->d1, "organisation", id));
    sx_applied(say(&f->fi, id, "address=一路")); /* revived */
    struct tz_id c = sx_case(f, id, "_deleted", 1)->id;
    sx_see(&f->d1);
    sx_applied(say(&f->fi2, id, "has_union=是"));
    sx_superseded(sx_resolve(&f->d1, c, 1, "_deleted=1", NULL));
    assert_false(sx_deleted(f, "organisation", id));
    const struct tz_row *row = sx_row(f, "case", c);
    assert_string_equal(sx_case_text(f, row, "state"), "open");
    assert_string_equal(sx_candidate(f, row, 0, "_deleted"), "1");
    assert_true(tz_id_eq(f->res.ops[0].cases[0], c));
    sx_see(&f->d1);
    sx_applied(sx_resolve(&f->d1, c, 1, "_deleted=1", NULL));
    assert_true(sx_deleted(f, "organisation", id));
}

static void decision_to_delete_names_what_is_in_the_way(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(sx_delete(&f->d1, "organisation", id));
    sx_applied(say(&f->fi, id, "address=一路")); /* revived */
    struct tz_id c = sx_case(f, id, "_deleted", 1)->id;
    sx_see(&f->d1);
    struct tz_id seen = sx_create(&f->d1, "coverage", sx_ref(f, "org_id", id), "mode=own", "since=2020-01-01", NULL);
    sx_see(&f->d1);
    struct tz_id other = sx_create(&f->d1b, "coverage", sx_ref(f, "org_id", id), "mode=liaison", "since=2021", NULL);
    const struct tz_result *r = sx_resolve(&f->d1, c, 1, "_deleted=1", NULL);
    sx_refused(r, TZ_E_HAS_CHILDREN); /* the one he has seen */
    assert_string_equal(r->ops[0].args[0], "1");
    assert_string_equal(r->ops[0].args[1], sx_hex(f, seen));
    sx_see(&f->d1);
    sx_applied(sx_delete(&f->d1, "coverage", seen));
    f->d1.seen = sx_row(f, "case", c)->ver; /* has seen the record, and not yet what hangs on it */
    r = sx_resolve(&f->d1, c, 1, "_deleted=1", NULL);
    sx_refused(r, TZ_E_HAS_CHILDREN);
    assert_string_equal(r->ops[0].args[0], "1");
    assert_string_equal(r->ops[0].args[1], sx_hex(f, other));
    sx_see(&f->d1);
    r = sx_resolve(&f->d1, c, 1, "_deleted=1", NULL);
    assert_string_equal(r->ops[0].args[1], sx_hex(f, other));
}

static void decision_about_a_field_brings_the_record_back_whose_deletion_it_did_not_see(void **state)
{
    struct sx *f = *state;
    struct tz_id id = in_conflict(f);
    struct tz_id c = sx_case(f, id, "address", 1)->id;
    sx_see(&f->d1b);
    sx_see(&f->d1);
    sx_applied(sx_delete(&f->d1, "organisation", id));
    sx_applied(sx_resolve(&f->d1b, c, 1, "address=一路", NULL));
    assert_false(sx_deleted(f, "organisation", id));
    sx_text_is(f, "organisation", id, "address", "一路");
    assert_string_equal(sx_case_text(f, sx_row(f, "case", c), "state"), "closed");
    assert_string_equal(sx_candidate(f, sx_case(f, id, "_deleted", 1), 0, "_deleted"), "1");
}

static void decision_about_a_field_of_a_record_known_to_be_deleted(void **state)
{
    struct sx *f = *state;
    struct tz_id id = in_conflict(f);
    struct tz_id c = sx_case(f, id, "address", 1)->id;
    sx_see(&f->d1);
    sx_applied(sx_delete(&f->d1, "organisation", id));
    sx_see(&f->d1b);
    sx_refused(sx_resolve(&f->d1b, c, 1, "address=一路", NULL), TZ_E_DELETED);
    sx_applied(sx_withdraw(&f->d1b, f->d1b.seq));
    sx_applied(sx_resolve(&f->d1b, c, 1, "address=二路", NULL)); /* what stands: only the case ends */
    assert_true(sx_deleted(f, "organisation", id));
    assert_string_equal(sx_case_text(f, sx_row(f, "case", c), "state"), "closed");
}

static void decision_behind_a_decided_deletion_is_kept(void **state)
{
    struct sx *f = *state;
    struct tz_id id = in_conflict(f);
    struct tz_id c = sx_case(f, id, "address", 1)->id;
    sx_see(&f->d1);
    sx_applied(sx_delete(&f->d1, "organisation", id));
    sx_applied(say(&f->fi, id, "has_union=是")); /* revived */
    sx_see(&f->d1);
    sx_see(&f->d1b);
    sx_applied(sx_resolve(&f->d1, sx_case(f, id, "_deleted", 1)->id, 1, "_deleted=1", NULL));
    sx_superseded(sx_resolve(&f->d1b, c, 1, "address=一路", NULL));
    assert_true(sx_deleted(f, "organisation", id));
    assert_string_equal(sx_case_text(f, sx_row(f, "case", c), "state"), "open");
    assert_string_equal(sx_candidate(f, sx_case(f, id, "_deleted", 2), 0, "address"), "一路");
}

static void decision_may_not_clear_a_required_field(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(say(&f->d1, id, "name=乙"));
    sx_applied(say(&f->d1b, id, "name=丙"));
    sx_see(&f->d1);
    sx_refused(sx_resolve(&f->d1, sx_case(f, id, "name", 1)->id, 1, "name=", NULL), TZ_E_REQUIRED);
}

static void deletion_shows_in_the_open_case_about_life(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(sx_delete(&f->d1, "organisation", id));
    sx_applied(say(&f->fi, id, "address=一路"));
    sx_see(&f->d1);
    sx_applied(sx_delete(&f->d1, "organisation", id)); /* an ordinary edit of an open case */
    const char *standing = sx_case_text(f, sx_case(f, id, "_deleted", 1), "standing");
    assert_non_null(strstr(standing, "\"_deleted\":1"));
    sx_see(&f->d1);
    sx_applied(sx_restore(&f->d1, "organisation", id));
    standing = sx_case_text(f, sx_case(f, id, "_deleted", 1), "standing");
    assert_non_null(strstr(standing, "\"_deleted\":0"));
}

static void resolved_district_moves_the_record(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    static struct sx_dev c2;
    sx_join(f, &c2, "c2", "C_CLERK", "120000");
    f->clock.wall.ms += 1000;
    sx_applied(sx_set(&f->c1, "organisation", id, "district_code=120102", NULL));
    f->clock.wall.ms += 1000;
    c2.seen = f->c1.seen;
    sx_applied(sx_set(&c2, "organisation", id, "district_code=120103", NULL));
    struct tz_id c = sx_case(f, id, "district_code", 1)->id;
    sx_see(&f->c1);
    sx_applied(sx_resolve(&f->c1, c, 1, "district_code=120102", NULL));
    assert_string_equal(sx_row(f, "organisation", id)->area.district, "120102");
    assert_string_equal(sx_row(f, "case", c)->area.district, "120102");
}

static void resolved_reference_must_exist(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_id site =
        sx_create(&f->d1, "site", "name=园", "site_type=park", "level=district", "street_code=120101001", NULL);
    struct tz_id site2 =
        sx_create(&f->d1b, "site", "name=园二", "site_type=park", "level=district", "street_code=120101001", NULL);
    f->fi.seen = f->d1.seen = tz_store_head(f->s);
    sx_applied(say(&f->d1, id, sx_ref(f, "site_id", site)));
    sx_applied(say(&f->fi, id, sx_ref(f, "site_id", site2)));
    struct tz_id c = sx_case(f, id, "site_id", 1)->id;
    sx_see(&f->d1);
    sx_refused(sx_resolve(&f->d1, c, 1, sx_ref(f, "site_id", id), NULL), TZ_E_REF);
}

/* ---- secrets ---- */

static void secret_values_go_to_the_restricted_twins(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_create(&f->d1, "person", "name=张三", "district_code=120101", NULL);
    sx_see(&f->d1);
    sx_see(&f->d1b);
    f->clock.wall.ms += 1000;
    sx_applied(sx_set(&f->d1, "person", id, "phone=111", NULL));
    f->clock.wall.ms += 1000;
    sx_applied(sx_set(&f->d1b, "person", id, "phone=222", NULL));
    const struct tz_row *c = sx_case(f, id, "phone", 1);
    assert_string_equal(sx_case_text(f, c, "candidates"), "");
    assert_string_equal(sx_case_text(f, c, "standing"), "");
    assert_non_null(strstr(sx_case_text(f, c, "candidates_secret"), "111"));
    assert_non_null(strstr(sx_case_text(f, c, "standing_secret"), "222"));
    assert_int_equal(sx_type(f, "case")->fields[0].visibility, TZ_VIS_OPEN);
    assert_int_equal(tz_type_field(sx_type(f, "case"), "candidates_secret")->visibility, TZ_VIS_SECRET);
}

static void result_names_at_most_sixteen_cases(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    static const char *const names[] = {"usci",       "former_names",    "kind",          "subkind",      "grid_no",
                                        "address",    "site_type",       "industry_code", "registrar",    "is_internet",
                                        "founded_on", "status_reason",   "employees",     "full_members", "has_union",
                                        "has_league", "commissar_state", "name"};
    static const char *const one[] = {"A1", "甲一", "enterprise", NULL, "1", "一", "park", NULL, "一局",
                                      "是", "2001", "一",         "1",  "1", "是", "是",   NULL, "甲一"};
    static const char *const two[] = {"A2", "甲二", "social_org", NULL, "2", "二", "building", NULL, "二局",
                                      "否", "2002", "二",         "2",  "2", "否", "否",       NULL, "甲二"};
    size_t n = 0;
    for (int k = 0; k < 2; k++) {
        struct sx_cs *c = sx_begin(k ? &f->d1b : &f->d1);
        struct tz_op *op = sx_op(c, TZ_OP_SET, "organisation", id);
        struct tz_record rec;
        struct tz_buf b;
        tz_record_init(&rec, sx_type(f, "organisation"));
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            const struct tz_field *fd = tz_type_field(rec.type, names[i]);
            const char *v = k ? two[i] : one[i];
            if (!v)
                continue;
            n += (size_t)k;
            assert_int_equal(tz_value_parse(fd, v, &f->a, &rec.v[fd->index], &f->err), 0);
        }
        tz_buf_init(&b, TZ_ROW_BYTES_MAX);
        assert_int_equal(tz_record_encode(&rec, &b), 0);
        op->values = tz_bytes_of(tz_arena_dup(&f->a, b.p, b.len), b.len);
        tz_buf_deinit(&b);
        f->clock.wall.ms += 1000;
        sx_applied(sx_push(c));
    }
    assert_int_equal(f->res.ops[0].ncases, n < TZ_RESULT_CASES_MAX ? n : TZ_RESULT_CASES_MAX);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM \"case\""), (int64_t)n);
}

#define T(name) cmocka_unit_test_setup_teardown(name, sx_setup, sx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(later_word_stands_and_the_earlier_is_kept),
        T(word_that_arrives_late_but_was_said_earlier_loses),
        T(equal_words_open_no_case),
        T(fields_do_not_touch_each_other),
        T(another_candidate_joins),
        T(later_word_of_the_same_device_and_user_replaces_their_earlier),
        T(ordinary_edit_shows_in_the_open_case),
        T(sixty_four_candidates_are_shown_and_the_rest_counted),
        T(word_too_long_for_the_case_is_counted_and_delays_nothing),
        T(group_conflict_goes_by_the_date_and_is_one_case),
        T(resolve_that_saw_everything_closes_the_case),
        T(candidate_the_resolver_did_not_see_opens_the_next_generation),
        T(standing_value_the_resolver_did_not_see_opens_the_next_generation),
        T(late_resolve_with_the_same_value_is_nothing),
        T(late_resolve_with_another_value_is_kept),
        T(edit_that_did_not_see_the_resolve_stands_behind_it),
        T(resolve_of_a_generation_that_is_not_the_cases_is_refused),
        T(resolve_needs_the_right_and_the_subject),
        T(resolve_about_life),
        T(decision_to_delete_does_not_bury_what_its_maker_had_not_seen),
        T(decision_to_delete_names_what_is_in_the_way),
        T(decision_about_a_field_brings_the_record_back_whose_deletion_it_did_not_see),
        T(decision_about_a_field_of_a_record_known_to_be_deleted),
        T(decision_behind_a_decided_deletion_is_kept),
        T(decision_may_not_clear_a_required_field),
        T(deletion_shows_in_the_open_case_about_life),
        T(resolved_district_moves_the_record),
        T(resolved_reference_must_exist),
        T(secret_values_go_to_the_restricted_twins),
        T(result_names_at_most_sixteen_cases),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
