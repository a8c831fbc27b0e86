/* SPDX-License-Identifier: Apache-2.0 */
/* The central store: whose words stand in a record that was made of two, what follows it, and how it comes apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "merge_fixture.h"
#include "set.h"

/** Three firms of one clerk, in the order 甲 乙 丙. */
struct three {
    struct tz_id a, b, c;
};

static struct three three_firms(struct sx *f)
{
    return (struct three){org(&f->d1, "name=甲", "district_code=120101", "usci=91120101MA0T000017"),
                          org(&f->d1, "name=乙", "district_code=120101", "usci=91120101MA0T000025"),
                          org(&f->d1, "name=丙", "district_code=120101", "usci=91120101MA0T000033")};
}

static struct tz_id branch(struct sx_dev *dev, const char *more)
{
    return sx_create(dev, "branch", "name=支部", "branch_type=branch", "district_code=120101", "established_on=2020",
                     "term_years=3", more, NULL);
}

static struct sx_dev super_of(struct sx *f, const char *name, const char *role, const char *area)
{
    struct sx_dev dev;
    sx_join(f, &dev, name, role, area);
    sx_see(&dev);
    return dev;
}

#define SUPER(f) super_of(f, "super", "D_SUPER", "120101")

/** With everything seen. */
static const struct tz_result *join(struct sx_dev *dev, const char *type, struct tz_id keep, struct tz_id gone)
{
    sx_see(dev);
    return merge(dev, TZ_OP_MERGE, type, keep, gone);
}

static const struct tz_result *part(struct sx_dev *dev, const char *type, struct tz_id keep, struct tz_id gone)
{
    sx_see(dev);
    return merge(dev, TZ_OP_UNMERGE, type, keep, gone);
}

/** By whom the standing value of the case is shown to be. */
static const char *standing_user(struct sx *f, const struct tz_row *c)
{
    json_t *standing = json_loads(sx_case_text(f, c, "standing"), 0, NULL);
    assert_non_null(standing);
    const char *user = tz_arena_strdup(&f->a, json_string_value(json_object_get(standing, "user")));
    json_decref(standing);
    return user;
}

/* ---- whose words ---- */

static void later_word_stands_in_the_second_merge_too(void **state)
{
    struct sx *f = *state;
    struct three t = three_firms(f);
    struct sx_dev super = SUPER(f);
    f->clock.wall.ms += 60000; /* merging is no word of its own */
    sx_applied(join(&super, "organisation", t.a, t.b));
    sx_text_is(f, "organisation", t.a, "name", "乙");
    assert_string_equal(standing_user(f, sx_case(f, t.a, "name", 1)), sx_hex(f, f->d1.user));
    sx_applied(join(&super, "organisation", t.a, t.c));
    sx_text_is(f, "organisation", t.a, "name", "丙");
    assert_string_equal(standing_user(f, sx_case(f, t.a, "name", 1)), sx_hex(f, f->d1.user));
}

static void edit_unseen_by_a_merge_is_later_than_the_words_it_left(void **state)
{
    struct sx *f = *state;
    struct three t = three_firms(f);
    struct sx_dev super = SUPER(f);
    sx_see(&f->d1b);
    f->clock.wall.ms += 60000;
    sx_applied(join(&super, "organisation", t.a, t.b));
    f->d1b.skew_ms = -30000; /* after 乙 was written, before the merge */
    sx_applied(sx_set(&f->d1b, "organisation", t.a, "name=丁", NULL));
    sx_text_is(f, "organisation", t.a, "name", "丁");
    assert_int_equal(sx_ncandidates(f, sx_case(f, t.a, "name", 1)), 2); /* 甲, and 乙, which was said of the other */
}

static void what_makes_too_large_a_record_is_not_merged(void **state)
{
    struct sx *f = *state;
    struct three t = three_firms(f);
    struct sx_dev super = SUPER(f);
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "organisation", t.b, "address=一条很长很长很长很长很长很长的路", NULL));
    sx_fatten(f, t.a, TZ_ROW_BYTES_MAX - 160);
    sx_refused(join(&super, "organisation", t.a, t.b), TZ_E_LIMIT);
    assert_false(sx_deleted(f, "organisation", t.b));
}

/* ---- what follows ---- */

static void deleted_children_follow_too(void **state)
{
    struct sx *f = *state;
    struct three t = three_firms(f);
    sx_see(&f->d1);
    struct tz_id k = sx_create(&f->d1, "coverage", sx_ref(f, "org_id", t.b), "mode=own", "since=2020-01-01", NULL);
    sx_see(&f->d1);
    sx_applied(sx_delete(&f->d1, "coverage", k));
    struct sx_dev super = SUPER(f);
    sx_applied(join(&super, "organisation", t.a, t.b));
    sx_text_is(f, "coverage", k, "org_id", sx_hex(f, t.a));
    sx_see(&f->c1);
    sx_applied(sx_set(&f->c1, "organisation", t.a, "district_code=120102", NULL));
    assert_string_equal(sx_row(f, "coverage", k)->area.district, "120102");
    sx_see(&f->d2);
    sx_applied(sx_restore(&f->d2, "coverage", k));
    sx_see(&f->d2);
    sx_refused(sx_delete(&f->d2, "organisation", t.a), TZ_E_HAS_CHILDREN);
    struct sx_dev csuper = super_of(f, "csuper", "C_SUPER", "120000");
    sx_applied(part(&csuper, "organisation", t.a, t.b));
    sx_text_is(f, "coverage", k, "org_id", sx_hex(f, t.b));
    assert_string_equal(sx_row(f, "coverage", k)->area.district, "120101");
}

/** Whoever refers to a record goes on referring to it, wherever he lies: nobody there could mend the reference. */
static void references_of_other_districts_follow(void **state)
{
    struct sx *f = *state;
    struct three t = three_firms(f);
    struct tz_id a = branch(&f->d1, NULL);
    struct tz_id b = branch(&f->d1, NULL);
    sx_see(&f->d1);
    struct tz_id k = sx_create(&f->d1, "coverage", sx_ref(f, "org_id", t.a), sx_ref(f, "branch_id", b), "mode=joint",
                               "since=2020-01-01", NULL);
    sx_see(&f->c1);
    sx_applied(sx_set(&f->c1, "organisation", t.a, "district_code=120102", NULL));
    struct sx_dev super = SUPER(f);
    const struct tz_result *r = join(&super, "branch", a, b);
    sx_applied(r);
    assert_int_equal(r->ops[0].ncases, 0);
    sx_text_is(f, "coverage", k, "branch_id", sx_hex(f, a));
    sx_see(&f->d2);
    sx_applied(sx_set(&f->d2, "coverage", k, "basis=x", NULL));
    sx_applied(part(&super, "branch", a, b));
    sx_text_is(f, "coverage", k, "branch_id", sx_hex(f, b));
}

static void restoring_what_is_known_to_be_merged_is_refused(void **state)
{
    struct sx *f = *state;
    struct three t = three_firms(f);
    struct sx_dev super = SUPER(f);
    sx_see(&f->d1);
    sx_applied(join(&super, "organisation", t.a, t.b));
    sx_applied(sx_restore(&f->d1, "organisation", t.b)); /* had not heard of it; wants it alive, and so it is */
    sx_see(&f->d1);
    const struct tz_result *r = sx_restore(&f->d1, "organisation", t.b);
    sx_refused(r, TZ_E_MERGED);
    assert_string_equal(r->args[0], sx_hex(f, t.a));
    assert_true(sx_deleted(f, "organisation", t.b));
}

/* ---- who may, and in which order ---- */

static void record_of_another_district_is_not_taken_out(void **state)
{
    struct sx *f = *state;
    struct tz_id a = org(&f->d1, "name=甲公司", "district_code=120101", "usci=91120101MA0T000017");
    struct tz_id b =
        sx_create(&f->d2, "organisation", "name=甲公司", "district_code=120102", "usci=91120101MA0T000017", NULL);
    struct sx_dev super = SUPER(f);
    struct sx_dev csuper = super_of(f, "csuper", "C_SUPER", "120000");
    sx_applied(join(&csuper, "organisation", a, b));
    sx_refused(part(&super, "organisation", a, b), TZ_E_UNKNOWN_RECORD);
    assert_true(sx_deleted(f, "organisation", b));
    sx_applied(part(&csuper, "organisation", a, b));
    assert_false(sx_deleted(f, "organisation", b));
}

static void last_merged_comes_out_first(void **state)
{
    struct sx *f = *state;
    struct three t = three_firms(f);
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "organisation", t.a, "address=甲路", NULL));
    struct tz_id v = sx_create(&f->fi, "visit", sx_ref(f, "org_id", t.a), sx_ref(f, "by_ref", f->fi.user),
                               "visited_on=2023-11-01", "way=on_site", NULL);
    struct sx_dev super = SUPER(f);
    sx_applied(join(&super, "organisation", t.b, t.a));
    sx_applied(join(&super, "organisation", t.c, t.b));
    const struct tz_result *r = part(&super, "organisation", t.c, t.a);
    sx_refused(r, TZ_E_UNMERGE_ORDER);
    assert_string_equal(r->args[0], sx_hex(f, t.b));
    sx_text_is(f, "visit", v, "org_id", sx_hex(f, t.c));
    sx_applied(part(&super, "organisation", t.c, t.b));
    sx_text_is(f, "organisation", t.c, "address", "");
    sx_text_is(f, "organisation", t.b, "address", "甲路");
    sx_text_is(f, "visit", v, "org_id", sx_hex(f, t.b));
    sx_applied(part(&super, "organisation", t.b, t.a));
    sx_text_is(f, "organisation", t.b, "name", "乙");
    sx_text_is(f, "organisation", t.b, "address", "");
    sx_text_is(f, "organisation", t.a, "address", "甲路");
    sx_text_is(f, "visit", v, "org_id", sx_hex(f, t.a));
    assert_int_equal(sx_query(f, "SELECT (SELECT count(*) FROM merged)+(SELECT count(*) FROM merge_link)+"
                                 "(SELECT count(*) FROM alias)+(SELECT count(*) FROM redirect)"),
                     0);
}

/** Two into one: the second undone, what the first left is known again. */
static void each_merge_gives_back_its_own(void **state)
{
    struct sx *f = *state;
    struct three t = three_firms(f);
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "organisation", t.b, "address=乙路", "grid_no=1", NULL));
    struct sx_dev super = SUPER(f);
    sx_applied(join(&super, "organisation", t.a, t.b));
    sx_applied(join(&super, "organisation", t.a, t.c));
    sx_refused(part(&super, "organisation", t.a, t.b), TZ_E_UNMERGE_ORDER);
    sx_applied(part(&super, "organisation", t.a, t.c));
    sx_text_is(f, "organisation", t.a, "name", "乙");
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "organisation", t.a, "grid_no=2", NULL)); /* somebody's own word */
    sx_applied(part(&super, "organisation", t.a, t.b));
    sx_text_is(f, "organisation", t.a, "name", "甲");
    sx_text_is(f, "organisation", t.a, "address", "");
    sx_text_is(f, "organisation", t.a, "grid_no", "2");
    sx_text_is(f, "organisation", t.a, "usci", "91120101MA0T000017");
}

/* ---- what goes back ---- */

static struct tz_id weak_case(struct sx_dev *dev, struct tz_id branch_id, const char *categories)
{
    return sx_create(dev, "weak_case", sx_ref(dev->f, "branch_id", branch_id), "year=2023", "plan=x",
                     "due_on=2024-01-01", categories, NULL);
}

static void add_to(struct sx_dev *dev, struct tz_id id, const char *element)
{
    struct tz_bytes el = tz_bytes_str(element);
    struct sx_cs *c = sx_begin(dev);
    struct tz_op *op = sx_op(c, TZ_OP_ADD, "weak_case", id);
    op->field = tz_type_field(sx_type(dev->f, "weak_case"), "categories")->id;
    op->elements = &el;
    op->nelements = 1;
    sx_applied(sx_push(c));
}

static void elements_go_back_one_by_one(void **state)
{
    struct sx *f = *state;
    struct tz_id br = branch(&f->d1, NULL);
    sx_see(&f->d1);
    struct tz_id a = weak_case(&f->d1, br, "categories=[\"team_incomplete\"]");
    struct tz_id b = weak_case(&f->d1, br, "categories=[\"secretary_unfit\",\"support_weak\"]");
    struct tz_id c = weak_case(&f->d1, br, "categories=[\"secretary_unfit\",\"education_lacking\"]");
    struct sx_dev super = SUPER(f);
    sx_applied(join(&super, "weak_case", a, b));
    sx_applied(join(&super, "weak_case", a, c));
    sx_see(&f->d1);
    add_to(&f->d1, a, "activity_infrequent");
    add_to(&f->d1, a, "support_weak"); /* said again: his own word now */
    sx_applied(part(&super, "weak_case", a, c));
    sx_text_is(f, "weak_case", a, "categories",
               "[\"activity_infrequent\",\"secretary_unfit\",\"support_weak\",\"team_incomplete\"]");
    sx_applied(part(&super, "weak_case", a, b));
    sx_text_is(f, "weak_case", a, "categories", "[\"activity_infrequent\",\"support_weak\",\"team_incomplete\"]");
    sx_text_is(f, "weak_case", b, "categories", "[\"secretary_unfit\",\"support_weak\"]");
}

static void group_goes_back_whole_or_not_at_all(void **state)
{
    struct sx *f = *state;
    struct tz_id a = sx_create(&f->d1, "organisation", "name=甲", "district_code=120101", "full_members=1",
                               "activists=9", "counts_on=2022-01-01", NULL);
    struct tz_id b = sx_create(&f->d1, "organisation", "name=乙", "district_code=120101", "full_members=5",
                               "activists=2", "counts_on=2023-01-01", NULL);
    struct sx_dev super = SUPER(f);
    sx_applied(join(&super, "organisation", a, b));
    sx_applied(part(&super, "organisation", a, b));
    sx_text_is(f, "organisation", a, "activists", "9");
    sx_text_is(f, "organisation", a, "counts_on", "2022-01-01");
    sx_applied(join(&super, "organisation", a, b));
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "organisation", a, "full_members=6", "counts_on=2023-06-01", NULL));
    sx_applied(part(&super, "organisation", a, b));
    sx_text_is(f, "organisation", a, "full_members", "6");
    sx_text_is(f, "organisation", a, "activists", "2"); /* as of that date nobody said 9 */
    sx_text_is(f, "organisation", a, "counts_on", "2023-06-01");
}

/** What a later merge brought into a group, and what was undone of it, is no change of anybody's. */
static void group_goes_back_after_a_later_merge_was_undone(void **state)
{
    struct sx *f = *state;
    struct tz_id a = sx_create(&f->d1, "organisation", "name=甲", "district_code=120101", "floating_members=2", NULL);
    struct tz_id b = sx_create(&f->d1, "organisation", "name=乙", "district_code=120101", "youth_league=3",
                               "counts_on=2017-03-05", NULL);
    struct tz_id c = sx_create(&f->d1, "organisation", "name=丙", "district_code=120101", "unplaced_members=2",
                               "counts_on=2017-03-01", NULL);
    struct tz_id d = sx_create(&f->d1, "organisation", "name=丁", "district_code=120101", "activists=7", NULL);
    struct sx_dev super = SUPER(f);
    sx_applied(join(&super, "organisation", a, b));
    sx_applied(join(&super, "organisation", a, c));
    sx_applied(join(&super, "organisation", a, d));
    sx_applied(part(&super, "organisation", a, d));
    sx_text_is(f, "organisation", a, "activists", "");
    sx_text_is(f, "organisation", a, "unplaced_members", "2");
    sx_applied(part(&super, "organisation", a, c));
    sx_text_is(f, "organisation", a, "unplaced_members", "");
    sx_text_is(f, "organisation", a, "youth_league", "3");
    sx_applied(part(&super, "organisation", a, b));
    sx_text_is(f, "organisation", a, "youth_league", "");
    sx_text_is(f, "organisation", a, "counts_on", "");
    sx_text_is(f, "organisation", a, "floating_members", "2");
}

/** However much was noted before it: notes of earlier merges, of more records than one look takes. */
static void every_link_goes_back(void **state)
{
    struct sx *f = *state;
    struct three t = three_firms(f);
    struct tz_id v = sx_create(&f->fi, "visit", sx_ref(f, "org_id", t.b), sx_ref(f, "by_ref", f->fi.user),
                               "visited_on=2023-11-01", "way=on_site", NULL);
    struct sx_dev super = SUPER(f);
    char sql[512];
    sx_applied(join(&super, "organisation", t.a, t.b));
    (void)snprintf(sql, sizeof sql,
                   "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<9000)"
                   " INSERT INTO merge_link(gone_type,gone,type,id,field,ver)"
                   " SELECT 10,x'%s',11,unhex(printf('%%032x',i)),1,1 FROM n",
                   sx_hex(f, t.b));
    sx_exec(f, sql);
    sx_applied(part(&super, "organisation", t.a, t.b));
    sx_text_is(f, "visit", v, "org_id", sx_hex(f, t.b));
    assert_int_equal(sx_query(f, "SELECT count(*) FROM merge_link"), 0);
}

static void cases_go_back_with_their_words(void **state)
{
    struct sx *f = *state;
    struct three t = three_firms(f);
    sx_see(&f->d1);
    sx_see(&f->d1b);
    const struct tz_id both[] = {t.a, t.b};
    for (int i = 0; i < 2; i++) {
        f->clock.wall.ms += 1000;
        sx_applied(sx_set(&f->d1, "organisation", both[i], i ? "address=乙一" : "address=甲一", NULL));
        f->clock.wall.ms += 1000;
        sx_applied(sx_set(&f->d1b, "organisation", both[i], i ? "address=乙二" : "address=甲二", NULL));
    }
    sx_superseded(sx_delete(&f->d1, "organisation", t.b));
    struct sx_dev super = SUPER(f);
    sx_applied(join(&super, "organisation", t.a, t.b));
    assert_int_equal(sx_ncandidates(f, sx_case(f, t.a, "address", 1)), 3);
    assert_false(is_open(f, sx_case(f, t.b, "address", 1)) || is_open(f, sx_case(f, t.b, "_deleted", 1)));
    sx_applied(part(&super, "organisation", t.a, t.b));
    sx_text_is(f, "organisation", t.a, "address", "甲二");
    const struct tz_row *a = sx_case(f, t.a, "address", 1);
    const struct tz_row *b = sx_case(f, t.b, "address", 1);
    assert_true(is_open(f, a) && is_open(f, b) && is_open(f, sx_case(f, t.b, "_deleted", 1)));
    assert_string_equal(sx_case_text(f, b, "choice"), "");
    assert_int_equal(sx_ncandidates(f, a), 1);
    assert_int_equal(sx_ncandidates(f, b), 1);
    assert_string_equal(sx_candidate(f, a, 0, "address"), "甲一");
    assert_string_equal(sx_candidate(f, b, 0, "address"), "乙一");
    assert_string_equal(sx_case_text(f, sx_case(f, t.a, "name", 1), "choice"), "gone"); /* one name each again */
    assert_int_equal(sx_query(f, "SELECT count(*) FROM case_head WHERE open=1"), 3);
}

/** Words of one that came out stay out; those of another that is still part of it stay in. */
static void words_of_the_others_stay(void **state)
{
    struct sx *f = *state;
    struct three t = three_firms(f);
    struct sx_dev super = SUPER(f);
    sx_applied(join(&super, "organisation", t.b, t.a));
    sx_applied(join(&super, "organisation", t.b, t.c));
    const struct tz_row *k = sx_case(f, t.b, "name", 1);
    assert_int_equal(sx_ncandidates(f, k), 2); /* 甲 lost to 乙, 乙 to 丙 */
    sx_applied(part(&super, "organisation", t.b, t.c));
    k = sx_case(f, t.b, "name", 1);
    assert_true(is_open(f, k));
    assert_int_equal(sx_ncandidates(f, k), 1);
    assert_string_equal(sx_candidate(f, k, 0, "name"), "甲");
    sx_applied(part(&super, "organisation", t.b, t.a));
    assert_false(is_open(f, sx_case(f, t.b, "name", 1)));
}

enum { WORDY = 50 };

/** A firm of which everything is said otherwise than of the others. */
static struct tz_id wordy_firm(struct sx *f, unsigned i)
{
    static const char *const SAID[] = {"name=公司",      "former_names=原名",  "grid_no=",     "address=路",
                                       "registrar=机关", "status_reason=因为", "employees=10", "activists=1"};
    enum { N = sizeof SAID / sizeof *SAID };
    char w[N][64];
    for (size_t k = 0; k < N; k++)
        (void)snprintf(w[k], sizeof w[k], "%s%u", SAID[k], i);
    f->clock.wall.ms += 10;
    return sx_create(&f->d1, "organisation", "district_code=120101", w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7],
                     NULL);
}

/** What is handed over is not bounded by what one piece of scratch memory holds. */
static void records_of_very_many_words_become_one_and_come_apart(void **state)
{
    static const char *const SUBJECTS[] = {"name",      "former_names",  "grid_no",   "address",
                                           "registrar", "status_reason", "headcount", "members"};
    struct sx *f = *state;
    struct tz_id a = wordy_firm(f, 0);
    struct sx_dev super = SUPER(f);
    for (unsigned i = 1; i <= WORDY; i++)
        sx_applied(join(&super, "organisation", a, wordy_firm(f, i)));
    struct tz_id b = wordy_firm(f, WORDY + 1);
    sx_applied(join(&super, "organisation", b, a));
    for (size_t i = 0; i < sizeof SUBJECTS / sizeof *SUBJECTS; i++) {
        assert_int_equal(sx_ncandidates(f, sx_case(f, b, SUBJECTS[i], 1)), WORDY + 1);
        assert_false(is_open(f, sx_case(f, a, SUBJECTS[i], 1)));
    }
    sx_applied(part(&super, "organisation", b, a));
    for (size_t i = 0; i < sizeof SUBJECTS / sizeof *SUBJECTS; i++) {
        assert_true(is_open(f, sx_case(f, a, SUBJECTS[i], 1)));
        assert_int_equal(sx_ncandidates(f, sx_case(f, a, SUBJECTS[i], 1)), WORDY);
        assert_false(is_open(f, sx_case(f, b, SUBJECTS[i], 1)));
    }
}

/** Past the cap nobody knows any more whose they were: a case that has only such stays, and comes back with its record.
 */
static void words_that_are_only_counted_keep_their_case_open(void **state)
{
    enum { SHOWN = 64, MORE = 2 };
    struct sx *f = *state;
    struct tz_id one[SHOWN + MORE];
    struct tz_id a = wordy_firm(f, 0);
    struct sx_dev super = SUPER(f);
    for (unsigned i = 0; i < SHOWN + MORE; i++) {
        one[i] = wordy_firm(f, i + 1);
        sx_applied(join(&super, "organisation", a, one[i]));
    }
    for (unsigned i = SHOWN + MORE; i > 0; i--)
        sx_applied(part(&super, "organisation", a, one[i - 1]));
    sx_text_is(f, "organisation", a, "address", "路0");
    const struct tz_row *c = sx_case(f, a, "address", 1);
    assert_true(is_open(f, c));
    assert_int_equal(sx_ncandidates(f, c), 0);
    assert_string_equal(sx_case_text(f, c, "hidden_count"), "2");
    sx_applied(join(&super, "organisation", one[0], a));
    assert_false(is_open(f, sx_case(f, a, "address", 1)));
    sx_applied(part(&super, "organisation", one[0], a));
    assert_true(is_open(f, sx_case(f, a, "address", 1)));
}

/* ---- what stands afterwards ---- */

static void coming_apart_makes_no_circle(void **state)
{
    struct sx *f = *state;
    struct tz_id p = branch(&f->d1, NULL);
    sx_see(&f->d1);
    struct tz_id a = branch(&f->d1, sx_ref(f, "parent_id", p));
    struct tz_id b = branch(&f->d1, NULL);
    sx_see(&f->d1);
    struct tz_id u = branch(&f->d1, sx_ref(f, "parent_id", a));
    struct sx_dev super = SUPER(f);
    sx_applied(join(&super, "branch", b, a));
    sx_text_is(f, "branch", u, "parent_id", sx_hex(f, b));
    sx_see(&super);
    sx_applied(sx_set(&super, "branch", b, "parent_id=", NULL));
    sx_see(&super);
    sx_applied(sx_set(&super, "branch", p, sx_ref(f, "parent_id", u), NULL));
    sx_refused(part(&super, "branch", b, a), TZ_E_CYCLE); /* a under p under u under a */
    assert_true(sx_deleted(f, "branch", a));
    sx_see(&super);
    sx_applied(sx_set(&super, "branch", p, "parent_id=", NULL));
    sx_applied(part(&super, "branch", b, a));
    sx_text_is(f, "branch", u, "parent_id", sx_hex(f, a));
}

static void parent_of_the_returning_record_returns_with_it(void **state)
{
    struct sx *f = *state;
    struct tz_id p = branch(&f->d1, NULL);
    sx_see(&f->d1);
    struct tz_id a = branch(&f->d1, NULL);
    struct tz_id b = branch(&f->d1, sx_ref(f, "parent_id", p));
    struct sx_dev super = SUPER(f);
    sx_applied(join(&super, "branch", a, b));
    sx_see(&super);
    sx_applied(sx_set(&super, "branch", a, "parent_id=", NULL));
    sx_see(&super);
    sx_applied(sx_delete(&super, "branch", p));
    sx_applied(part(&super, "branch", a, b));
    assert_false(sx_deleted(f, "branch", p));
    assert_non_null(sx_case(f, p, "_deleted", 1));
}

/** What the survivor gets back may itself have become part of another. */
static void what_is_given_back_leads_to_what_is_there_now(void **state)
{
    struct sx *f = *state;
    struct tz_id p = branch(&f->d1, NULL);
    struct tz_id q = branch(&f->d1, NULL);
    struct tz_id r = branch(&f->d1, NULL);
    sx_see(&f->d1);
    struct tz_id a = branch(&f->d1, sx_ref(f, "parent_id", p));
    f->clock.wall.ms += 1000;
    struct tz_id b = branch(&f->d1, sx_ref(f, "parent_id", q));
    struct sx_dev super = SUPER(f);
    sx_applied(join(&super, "branch", a, b));
    sx_text_is(f, "branch", a, "parent_id", sx_hex(f, q));
    sx_applied(join(&super, "branch", r, p));
    sx_applied(part(&super, "branch", a, b));
    sx_text_is(f, "branch", a, "parent_id", sx_hex(f, r));
}

#define T(name) cmocka_unit_test_setup_teardown(name, sx_setup, sx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(later_word_stands_in_the_second_merge_too),
        T(edit_unseen_by_a_merge_is_later_than_the_words_it_left),
        T(what_makes_too_large_a_record_is_not_merged),
        T(deleted_children_follow_too),
        T(references_of_other_districts_follow),
        T(restoring_what_is_known_to_be_merged_is_refused),
        T(record_of_another_district_is_not_taken_out),
        T(last_merged_comes_out_first),
        T(each_merge_gives_back_its_own),
        T(elements_go_back_one_by_one),
        T(group_goes_back_whole_or_not_at_all),
        T(group_goes_back_after_a_later_merge_was_undone),
        T(every_link_goes_back),
        T(cases_go_back_with_their_words),
        T(words_of_the_others_stay),
        T(records_of_very_many_words_become_one_and_come_apart),
        T(words_that_are_only_counted_keep_their_case_open),
        T(coming_apart_makes_no_circle),
        T(parent_of_the_returning_record_returns_with_it),
        T(what_is_given_back_leads_to_what_is_there_now),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
