/* SPDX-License-Identifier: Apache-2.0 */
/* The central store: edits that arrive when the right to make them has gone, and grants that change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_fixture.h"

#include <string.h>

static const int64_t DAY_MS = INT64_C(24) * 3600 * 1000;

static void grant(struct sx_dev *dev, const char *role, const char *area, int64_t until_ms)
{
    struct sx *f = dev->f;
    sx_group(f);
    assert_int_equal(tz_store_device_grant(f->s, dev->d.number, role, area, until_ms, &f->err), 0);
    sx_commit(f);
}

/** The centre moves the record; only the centre has seen it. */
static void move(struct sx *f, struct tz_id org, const char *district)
{
    sx_see(&f->c1);
    sx_applied(sx_set(&f->c1, "organisation", org, district, NULL));
}

/** Under review, and nothing else is told. */
static void reviewed(const struct tz_result *r)
{
    assert_int_equal(r->outcome, TZ_OUT_UNDER_REVIEW);
    assert_int_not_equal(r->ver, 0);
    for (size_t i = 0; i < r->nops; i++) {
        assert_int_equal(r->ops[i].outcome, TZ_OUT_UNDER_REVIEW);
        assert_int_equal(r->ops[i].code, TZ_E_LATE_SCOPE);
        assert_int_equal(r->ops[i].ncases, 0);
        assert_int_equal(r->ops[i].nargs, 0);
        assert_int_equal(r->ops[i].ngiven, 0);
        assert_true(tz_id_is_zero(r->ops[i].alias_of));
    }
}

static const struct tz_row *late_case(struct sx *f, struct tz_id target, const char *subject, const char *district)
{
    const struct tz_row *c = sx_case(f, target, subject, 1);
    assert_non_null(c);
    assert_string_equal(sx_case_text(f, c, "kind"), "late_scope");
    assert_string_equal(sx_case_text(f, c, "state"), "open");
    assert_string_equal(c->area.district, district);
    return c;
}

static void super_of(struct sx *f, struct sx_dev *dev, const char *district)
{
    sx_join(f, dev, "super", "D_SUPER", district);
}

/* ---- a record that moved ---- */

static void edit_of_a_record_that_moved_away_waits_for_the_new_supervisor(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    struct tz_balance b;
    struct tz_id org = sx_org(f, "甲公司");
    super_of(f, &super, "120102");
    move(f, org, "district_code=120102");
    reviewed(sx_set(&f->fi, "organisation", org, "employees=7", "employees_on=2023-11-02", NULL));
    sx_text_is(f, "organisation", org, "employees", "");
    const struct tz_row *c = late_case(f, org, "headcount", "120102");
    assert_int_equal(sx_ncandidates(f, c), 1);
    assert_string_equal(sx_candidate(f, c, 0, "employees"), "7");
    assert_int_equal(tz_store_balance(f->s, f->fi.d.number, &b, &f->err), 0);
    assert_int_equal(b.under_review, 1);
    assert_int_equal(b.refused, 0);
    sx_see(&f->d2);
    sx_refused(sx_resolve(&f->d2, c->id, 1, "employees=7", "employees_on=2023-11-02", NULL), TZ_E_NO_RIGHT_TYPE);
    sx_see(&super);
    sx_applied(sx_resolve(&super, c->id, 1, "employees=7", "employees_on=2023-11-02", NULL));
    sx_text_is(f, "organisation", org, "employees", "7");
    assert_int_equal(tz_store_balance(f->s, f->fi.d.number, &b, &f->err), 0);
    assert_int_equal(b.under_review, 1); /* resolving does not recount */
}

static void a_record_never_seen_stays_unknown(void **state)
{
    struct sx *f = *state;
    struct tz_result never;
    struct tz_id nobody = {{1, 2, 3}};
    struct tz_id other = sx_create(&f->d2, "organisation", "name=乙公司", "district_code=120102", NULL);
    never = *sx_set(&f->fi, "organisation", nobody, "employees=7", NULL);
    const struct tz_result *r = sx_set(&f->fi, "organisation", other, "address=一路", NULL);
    sx_refused(r, TZ_E_UNKNOWN_RECORD);
    assert_int_equal(r->ver, never.ver);
    assert_int_equal(r->code, never.code);
    assert_int_equal(r->nops, never.nops);
    assert_int_equal(r->ops[0].nargs, never.ops[0].nargs);
    move(f, other, "district_code=120101"); /* comes, and is seen by nobody of them */
    move(f, other, "district_code=120103");
    sx_refused(sx_set(&f->fi, "organisation", other, "has_union=1", NULL), TZ_E_UNKNOWN_RECORD);
}

static void who_was_told_that_it_left_is_refused(void **state)
{
    struct sx *f = *state;
    struct tz_id org = sx_org(f, "甲公司");
    move(f, org, "district_code=120102");
    sx_see(&f->fi);
    sx_refused(sx_set(&f->fi, "organisation", org, "employees=7", NULL), TZ_E_UNKNOWN_RECORD);
    f->fi.seen = tz_store_head(f->s) + 1000; /* claims everything, proves nothing */
    sx_refused(sx_set(&f->fi, "organisation", org, "address=一路", NULL), TZ_E_UNKNOWN_RECORD);
}

/** The answer without what numbers the device itself gave. */
static void answer_of(const struct tz_result *r, struct tz_result *out)
{
    *out = *r;
    out->seq = 0;
    out->ver = r->ver != 0;
    memset(out->hash, 0, sizeof out->hash);
}

static void answer_says_nothing_of_what_stands_today(void **state)
{
    struct sx *f = *state;
    struct tz_id org[5];
    struct tz_result a;
    struct tz_result b;
    for (size_t i = 0; i < 5; i++)
        org[i] = sx_org(f, "甲公司");
    sx_see(&f->d2);
    for (size_t i = 0; i < 5; i++)
        move(f, org[i], "district_code=120102");
    sx_see(&f->d2);
    sx_applied(sx_set(&f->d2, "organisation", org[1], "address=一路", NULL)); /* the same word */
    sx_applied(sx_delete(&f->d2, "organisation", org[2]));                    /* gone */
    sx_create(&f->d2, "visit", sx_ref(f, "org_id", org[3]), sx_ref(f, "by_ref", f->d2.user), "visited_on=2023-11-01",
              "way=on_site", NULL); /* a child */
    sx_see(&f->d2);
    move(f, org[4], "district_code=120103");
    answer_of(sx_set(&f->d1, "organisation", org[0], "address=一路", NULL), &a);
    for (size_t i = 1; i < 5; i++) {
        answer_of(sx_set(&f->d1, "organisation", org[i], "address=一路", NULL), &b);
        assert_int_equal(b.outcome, a.outcome);
        assert_int_equal(b.ver, a.ver);
        assert_int_equal(b.ops[0].outcome, a.ops[0].outcome);
        assert_int_equal(b.ops[0].ncases, 0);
        answer_of(sx_delete(&f->d1, "organisation", org[i]), &b);
        assert_int_equal(b.outcome, a.outcome);
        assert_int_equal(b.ver, a.ver);
    }
    late_case(f, org[1], "address", "120102");
    late_case(f, org[4], "address", "120103");
}

static void deletion_and_set_elements_and_decisions_wait_too(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    super_of(f, &super, "120102");
    struct tz_id org = sx_org(f, "甲公司");
    sx_applied(sx_set(&f->d1, "organisation", org, "address=一路", NULL));
    sx_applied(sx_set(&f->d1b, "organisation", org, "address=二路", NULL)); /* the later word */
    const struct tz_row *open = sx_case(f, org, "address", 1);
    assert_non_null(open);
    sx_see(&f->d1);
    move(f, org, "district_code=120102");
    reviewed(sx_delete(&f->d1, "organisation", org));
    reviewed(sx_resolve(&f->d1, open->id, 1, "address=四路", NULL));
    assert_false(sx_deleted(f, "organisation", org));
    const struct tz_row *life = late_case(f, org, "_deleted", "120102");
    const struct tz_row *both = late_case(f, org, "address", "120102"); /* was a conflict: now a supervisor's */
    assert_int_equal(sx_ncandidates(f, both), 1); /* his later word in the place of his earlier one */
    assert_string_equal(sx_candidate(f, both, 0, "address"), "四路");
    sx_see(&super);
    sx_applied(sx_resolve(&super, life->id, 1, "_deleted=0", NULL));
    assert_false(sx_deleted(f, "organisation", org));
    sx_see(&super);
    sx_applied(sx_resolve(&super, both->id, 1, "address=四路", NULL));
    sx_text_is(f, "organisation", org, "address", "四路");
}

static void one_late_op_leaves_the_rest_of_its_save_alone(void **state)
{
    struct sx *f = *state;
    struct tz_id a = sx_org(f, "甲公司");
    struct tz_id b = sx_org(f, "乙公司");
    move(f, b, "district_code=120102");
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op_set(c, "organisation", a, "address=一路", NULL);
    sx_op_set(c, "organisation", b, "address=一路", NULL);
    struct tz_id n = sx_op_create(c, "organisation", "name=丙公司", "district_code=120101", NULL);
    const struct tz_result *r = sx_push(c);
    assert_int_equal(r->outcome, TZ_OUT_UNDER_REVIEW);
    assert_int_equal(r->ops[0].outcome, TZ_OUT_APPLIED);
    assert_int_equal(r->ops[1].outcome, TZ_OUT_UNDER_REVIEW);
    assert_int_equal(r->ops[2].outcome, TZ_OUT_APPLIED);
    sx_text_is(f, "organisation", a, "address", "一路");
    sx_text_is(f, "organisation", b, "address", "");
    assert_non_null(sx_row(f, "organisation", n));
    c = sx_begin(&f->d1); /* but one that never was allowed takes all along, cases too */
    sx_op_set(c, "organisation", b, "name=丁公司", NULL);
    sx_op_set(c, "organisation", (struct tz_id){{9}}, "address=一路", NULL);
    sx_refused(sx_push(c), TZ_E_UNKNOWN_RECORD);
    assert_null(sx_case(f, b, "name", 1));
}

static void refused_is_what_was_never_allowed(void **state)
{
    struct sx *f = *state;
    struct sx_cs *c = sx_begin(&f->fi); /* his own, until somebody has taken it over */
    struct tz_id org = sx_op_create(c, "organisation", "name=甲公司", "district_code=120101", "grid_no=1", NULL);
    sx_applied(sx_push(c));
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "organisation", org, "status=active", NULL));
    sx_see(&f->fi);
    sx_refused(sx_set(&f->fi, "organisation", org, "grid_no=2", NULL), TZ_E_NO_RIGHT_FIELD);
    struct tz_id gone = sx_org(f, "乙公司");
    sx_applied(sx_delete(&f->d1, "organisation", gone));
    sx_see(&f->d1);
    c = sx_begin(&f->d1); /* he knew that it was deleted */
    sx_op_create(c, "visit", sx_ref(f, "org_id", gone), sx_ref(f, "by_ref", f->d1.user), "visited_on=2023-11-01",
                 "way=on_site", NULL);
    sx_refused(sx_push(c), TZ_E_REF);
    struct tz_id moved = sx_org(f, "丙公司");
    move(f, moved, "district_code=120102");
    sx_refused(sx_set(&f->fi, "organisation", moved, "grid_no=2", NULL), TZ_E_UNKNOWN_RECORD); /* never his field */
    sx_refused(sx_set(&f->d1, "organisation", moved, "district_code=120103", NULL), TZ_E_UNKNOWN_RECORD);
    c = sx_begin(&f->d1b);
    struct tz_op *op = sx_op(c, TZ_OP_SET, "organisation", moved);
    op->values = tz_bytes_of("\xff", 1);
    sx_refused(sx_push(c), TZ_E_UNKNOWN_RECORD);
}

static void a_child_of_what_moved_away_goes_after_it(void **state)
{
    struct sx *f = *state;
    struct tz_id org = sx_org(f, "甲公司");
    move(f, org, "district_code=120102");
    struct sx_cs *c = sx_begin(&f->fi);
    struct tz_id v = sx_op_create(c, "visit", sx_ref(f, "org_id", org), sx_ref(f, "by_ref", f->fi.user),
                                  "visited_on=2023-11-01", "way=on_site", NULL);
    reviewed(sx_push(c));
    late_case(f, v, "_created", "120102");
}

/** Two records of two types under one id: what moves with the one leaves the case about the other where it lies. */
static void another_record_of_that_id_takes_no_case_along(void **state)
{
    struct sx *f = *state;
    struct tz_id org = sx_org(f, "甲公司");
    struct tz_id other = sx_org(f, "乙公司");
    move(f, org, "district_code=120102");
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id v = sx_op_create(c, "visit", sx_ref(f, "org_id", org), sx_ref(f, "by_ref", f->d1.user),
                                  "visited_on=2023-11-01", "way=on_site", NULL);
    reviewed(sx_push(c));
    sx_see(&f->d1);
    c = sx_begin(&f->d1);
    sx_op_create_as(c, v, "coverage", sx_ref(f, "org_id", other), "mode=own", "since=2020-01-01", NULL);
    sx_applied(sx_push(c));
    move(f, other, "district_code=120103");
    assert_string_equal(sx_row(f, "coverage", v)->area.district, "120103");
    late_case(f, v, "_created", "120102");
}

/* ---- a device whose area is another ---- */

static void what_was_made_in_a_lost_area_waits_whole(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    super_of(f, &super, "120101");
    struct tz_id old = sx_org(f, "甲公司");
    grant(&f->d1, "", "120102", 0);
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id n = sx_op_create(c, "organisation", "name=乙公司", "district_code=120101", "employees=3",
                                  "employees_on=2023-11-02", NULL);
    struct tz_id v = sx_op_create(c, "visit", sx_ref(f, "org_id", n), sx_ref(f, "by_ref", f->d1.user),
                                  "visited_on=2023-11-01", "way=on_site", NULL);
    reviewed(sx_push(c));
    f->d1.seen_seq = f->d1.seq;
    reviewed(sx_set(&f->d1, "organisation", n, "address=一路", NULL));
    reviewed(sx_set(&f->d1, "organisation", old, "address=二路", NULL));
    assert_null(sx_row(f, "organisation", n));
    const struct tz_row *k = late_case(f, n, "_created", "120101");
    assert_int_equal(sx_ncandidates(f, k), 1);
    assert_string_equal(sx_candidate(f, k, 0, "name"), "乙公司");
    assert_string_equal(sx_candidate(f, k, 0, "address"), "一路");
    const struct tz_row *kv = late_case(f, v, "_created", "120101");
    late_case(f, old, "address", "120101");
    sx_see(&super);
    sx_refused(sx_resolve(&super, kv->id, 1, sx_ref(f, "org_id", n), sx_ref(f, "by_ref", f->d1.user),
                          "visited_on=2023-11-01", "way=on_site", NULL),
               TZ_E_REF); /* its organisation first */
    sx_refused(sx_resolve(&super, k->id, 1, "name=丙公司", "district_code=120101", NULL), TZ_E_BAD_OP);
    sx_applied(sx_resolve(&super, k->id, 1, "name=乙公司", "district_code=120101", "employees=3",
                          "employees_on=2023-11-02", "address=一路", NULL));
    sx_text_is(f, "organisation", n, "address", "一路");
    sx_applied(sx_resolve(&super, kv->id, 1, sx_ref(f, "org_id", n), sx_ref(f, "by_ref", f->d1.user),
                          "visited_on=2023-11-01", "way=on_site", NULL));
    assert_non_null(sx_row(f, "visit", v));
    sx_refused(sx_resolve(&super, k->id, 1, "name=乙公司", "district_code=120101", "employees=3",
                          "employees_on=2023-11-02", "address=一路", NULL),
               TZ_E_CASE_STALE);
    reviewed(sx_set(&f->d1, "organisation", n, "address=五路", NULL)); /* his words go on there */
    late_case(f, n, "address", "120101");
}

/** The supervisor decides about what he was to make himself, and its parent has left: that is what he is told. */
static void deciding_about_an_own_late_record_is_no_late_word(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    super_of(f, &super, "120101");
    struct tz_id org = sx_org(f, "甲公司");
    sx_see(&super);
    grant(&super, "", "120102", 0);
    struct sx_cs *c = sx_begin(&super);
    struct tz_id v = sx_op_create(c, "coverage", sx_ref(f, "org_id", org), "mode=own", "since=2020-01-01", NULL);
    reviewed(sx_push(c));
    grant(&super, "", "120101", 0);
    sx_see(&super);
    const struct tz_row *k = late_case(f, v, "_created", "120101");
    move(f, org, "district_code=120103");
    sx_refused(sx_resolve(&super, k->id, 1, sx_ref(f, "org_id", org), "mode=own", "since=2020-01-01", NULL), TZ_E_REF);
    assert_int_equal(sx_ncandidates(f, sx_case(f, v, "_created", 1)), 1);
}

/** Meanwhile its parent has moved: the record is made where that lies now, and its case is where the record is. */
static void a_decided_case_lies_with_the_record_that_it_made(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    super_of(f, &super, "120101");
    struct tz_id org = sx_org(f, "甲公司");
    grant(&f->d1, "", "120102", 0);
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id v = sx_op_create(c, "visit", sx_ref(f, "org_id", org), sx_ref(f, "by_ref", f->d1.user),
                                  "visited_on=2023-11-01", "way=on_site", NULL);
    reviewed(sx_push(c));
    const struct tz_row *k = late_case(f, v, "_created", "120101");
    sx_see(&super);
    sx_applied(sx_set(&super, "organisation", org, "street_code=120101001", NULL));
    sx_see(&super);
    sx_applied(sx_resolve(&super, k->id, 1, sx_ref(f, "org_id", org), sx_ref(f, "by_ref", f->d1.user),
                          "visited_on=2023-11-01", "way=on_site", NULL));
    assert_string_equal(sx_row(f, "visit", v)->area.street, "120101001");
    assert_string_equal(sx_case(f, v, "_created", 1)->area.street, "120101001");
}

static void a_secret_field_that_came_later_hides_no_words_of_before(void **state)
{
    static struct tz_type types[TZ_TYPES_MAX];
    static struct tz_field fields[TZ_FIELDS_MAX];
    static struct tz_catalogue newer;
    struct sx *f = *state;
    struct sx_dev super;
    const struct tz_id first = f->d1.user;
    struct tz_id colleague;
    sx_group(f);
    assert_int_equal(tz_store_user_add(f->s, "u9", "某人", "D_CLERK", "120101", &colleague, &f->err), 0);
    sx_commit(f);
    sx_see(&f->d1);
    super_of(f, &super, "120101");
    grant(&f->d1, "", "120102", 0);
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id n = sx_op_create(c, "organisation", "name=乙公司", "district_code=120101", NULL);
    reviewed(sx_push(c));
    const struct tz_row *k = late_case(f, n, "_created", "120101");
    struct tz_store_options o = sx_options(f);
    const struct tz_type *org = tz_catalogue_type(o.catalogue, "organisation");
    memcpy(types, o.catalogue->types, o.catalogue->ntypes * sizeof *types);
    memcpy(fields, org->fields, org->nfields * sizeof *fields);
    fields[org->nfields] = (struct tz_field){.id = 900,
                                             .index = (uint16_t)org->nfields,
                                             .name = "mark",
                                             .label = {"记号", "mark"},
                                             .ftype = TZ_FT_SECRET,
                                             .editors = TZ_ED_D,
                                             .visibility = TZ_VIS_SECRET};
    types[org->index].fields = fields;
    types[org->index].nfields++;
    newer = *o.catalogue;
    newer.types = types;
    newer.version++;
    o.catalogue = &newer;
    tz_store_close(f->s);
    assert_int_equal(tz_store_open(f->path, &o, &f->s, &f->err), 0);
    f->d1.seen_seq = f->d1.seq;
    f->d1.user = colleague;
    reviewed(sx_set(&f->d1, "organisation", n, "grid_no=2", NULL)); /* a colleague on the same machine */
    f->d1.user = first;
    reviewed(
        sx_set(&f->d1, "organisation", n, "address=一路", NULL)); /* completes what he said before, not the other's */
    k = late_case(f, n, "_created", "120101");
    assert_int_equal(sx_ncandidates(f, k), 0);
    sx_see(&super);
    sx_refused(sx_resolve(&super, k->id, 1, "address=一路", NULL), TZ_E_BAD_OP);
    sx_applied(sx_resolve(&super, k->id, 1, "name=乙公司", "district_code=120101", "address=一路", NULL));
    sx_text_is(f, "organisation", n, "address", "一路");
}

static void what_need_not_be_made_closes_its_case(void **state)
{
    struct sx *f = *state;
    grant(&f->d1, "", "120102", 0);
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id n = sx_op_create(c, "organisation", "name=乙公司", "district_code=120101", NULL);
    reviewed(sx_push(c));
    f->d1.seen_seq = f->d1.seq;
    reviewed(sx_delete(&f->d1, "organisation", n));
    const struct tz_row *k = sx_case(f, n, "_created", 1);
    assert_string_equal(sx_case_text(f, k, "state"), "closed");
    assert_string_equal(sx_case_text(f, k, "choice"), "gone");
}

static void a_supervisor_may_say_no(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    super_of(f, &super, "120101");
    grant(&f->d1, "", "120102", 0);
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id n = sx_op_create(c, "organisation", "name=乙公司", "district_code=120101", NULL);
    reviewed(sx_push(c));
    sx_see(&super);
    c = sx_begin(&super);
    struct tz_op *op = sx_op(c, TZ_OP_RESOLVE, "case", sx_case(f, n, "_created", 1)->id);
    op->generation = 1;
    op->choice = TZ_CHOICE_MINE;
    sx_applied(sx_push(c));
    assert_null(sx_row(f, "organisation", n));
    assert_string_equal(sx_case_text(f, sx_case(f, n, "_created", 1), "state"), "closed");
}

static void the_new_area_counts_at_once_and_the_old_no_more(void **state)
{
    struct sx *f = *state;
    struct tz_id old = sx_create(&f->d1b, "organisation", "name=甲公司", "district_code=120101", NULL);
    sx_see(&f->d1);
    grant(&f->d1, "", "120102", 0);
    sx_see(&f->d1);
    sx_create(&f->d1, "organisation", "name=乙公司", "district_code=120102", NULL);
    sx_refused(sx_set(&f->d1, "organisation", old, "address=一路", NULL), TZ_E_UNKNOWN_RECORD);
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op_create(c, "organisation", "name=丙公司", "district_code=120101", NULL);
    sx_refused(sx_push(c), TZ_E_AREA);
    f->d1.seen = 1; /* from before anything was there */
    sx_refused(sx_set(&f->d1, "organisation", old, "has_union=1", NULL), TZ_E_UNKNOWN_RECORD);
}

static void nothing_is_late_after_the_receipt(void **state)
{
    struct sx *f = *state;
    struct tz_id old = sx_org(f, "甲公司");
    tz_ver then = f->d1.seen;
    grant(&f->d1, "", "120102", 0);
    f->clock.wall.ms += 1000;
    sx_see(&f->d1);
    sx_group(f);
    assert_int_equal(tz_store_receipt(f->s, f->d1.d.number, tz_store_head(f->s), false, &f->err), 0);
    sx_commit(f);
    f->clock.wall.ms += 1000;
    f->d1.seen = then;
    sx_refused(sx_set(&f->d1, "organisation", old, "address=一路", NULL), TZ_E_UNKNOWN_RECORD);
}

/* ---- people ---- */

static void another_role_and_no_role_at_all(void **state)
{
    struct sx *f = *state;
    struct sx_dev dev;
    struct tz_id org = sx_org(f, "甲公司");
    sx_join(f, &dev, "wang", "D_CLERK", "120101");
    sx_see(&dev);
    tz_ver then = dev.seen;
    grant(&dev, "F_INSP", "", 0);
    reviewed(sx_set(&dev, "organisation", org, "grid_no=5", NULL)); /* not an inspector's field */
    late_case(f, org, "grid_no", "120101");
    sx_see(&dev);
    sx_refused(sx_set(&dev, "organisation", org, "industry_code=", NULL), TZ_E_NO_RIGHT_FIELD);
    sx_group(f);
    assert_int_equal(tz_store_user_disable(f->s, "wang", &f->err), 0);
    sx_commit(f);
    dev.seen = then;
    reviewed(sx_set(&dev, "organisation", org, "address=一路", NULL));
    sx_see(&dev);
    sx_refused(sx_set(&dev, "organisation", org, "address=二路", NULL), TZ_E_USER_DISABLED);
}

static void a_user_moves_and_the_machine_stays(void **state)
{
    struct sx *f = *state;
    struct tz_id org = sx_org(f, "甲公司");
    sx_group(f);
    assert_int_equal(tz_store_user_grant(f->s, "d1", "D_CLERK", "120103", &f->err), 0);
    sx_commit(f);
    reviewed(sx_set(&f->d1, "organisation", org, "address=一路", NULL));
    sx_see(&f->d1);
    sx_refused(sx_set(&f->d1, "organisation", org, "address=二路", NULL), TZ_E_USER_DISABLED);
}

static void city_rows_concern_the_centre_alone(void **state)
{
    struct sx *f = *state;
    struct tz_id unit = sx_create(&f->c1, "unit", "name=某委", "code=X1", "kind=other", NULL);
    sx_see(&f->c1);
    sx_group(f);
    assert_int_equal(tz_store_user_grant(f->s, "c1", "C_LEAD", "120000", &f->err), 0);
    sx_commit(f);
    reviewed(sx_set(&f->c1, "unit", unit, "name=某某委", NULL));
    late_case(f, unit, "name", "120000");
}

/* ---- grants that end ---- */

static void a_grant_ends_by_itself_and_can_be_prolonged(void **state)
{
    struct sx *f = *state;
    struct tz_grant g;
    struct tz_device d;
    struct tz_id org = sx_org(f, "甲公司");
    grant(&f->fi, "", "", f->clock.wall.ms + DAY_MS);
    sx_see(&f->fi);
    sx_applied(sx_set(&f->fi, "organisation", org, "employees=3", "employees_on=2023-11-02", NULL));
    f->fi.seen_seq = f->fi.seq;
    f->clock.wall.ms += DAY_MS;
    assert_int_equal(tz_store_device_by_number(f->s, f->fi.d.number, &d, &f->err), 1);
    assert_int_equal(tz_store_grant_of(f->s, &d, tz_clock_wall(&f->s->clock).ms, &g, &f->err), 0);
    assert_int_equal(g.nareas, 0); /* it reads nothing any more, not even the city's rows */
    reviewed(sx_set(&f->fi, "organisation", org, "employees=4", "employees_on=2023-11-03", NULL));
    assert_int_equal(tz_store_device_by_number(f->s, f->fi.d.number, &d, &f->err), 1);
    assert_string_equal(d.area, "");
    sx_see(&f->fi);
    sx_refused(sx_set(&f->fi, "organisation", org, "address=五路", NULL), TZ_E_USER_DISABLED);
    grant(&f->fi, "", "", 0); /* as it was */
    sx_see(&f->fi);
    sx_applied(sx_set(&f->fi, "organisation", org, "has_union=1", NULL));
}

static int64_t until_of(struct sx *f, const char *name)
{
    (void)name;
    return sx_query(f, "SELECT until_ms FROM device WHERE name='d1'");
}

static int count_past(void *ctx, const struct tz_past_grant *g)
{
    *(unsigned *)ctx += g->wiped_ms == 0 && g->served;
    return 1;
}

static void connect(struct sx_dev *d)
{
    struct sx *f = d->f;
    struct tz_msg_hello h = {.protocol = TZ_PROTOCOL_VERSION, .software = "", .incarnation = 1, .checkpoint = d->seen};
    sx_group(f);
    assert_int_equal(tz_store_session_begin(f->s, d->d.number, &h, 0, &f->err), 0);
    sx_commit(f);
}

/** What no session was opened under was never sent, and there is nothing to wipe of it. */
static void a_grant_that_nobody_came_for_left_nothing_behind(void **state)
{
    struct sx *f = *state;
    unsigned open = 0;
    grant(&f->d1, "", "120102", 0); /* it never came for 120101 */
    grant(&f->d1, "", "120103", 0);
    connect(&f->d1);
    assert_int_equal(tz_store_past_grants(f->s, f->d1.d.number, count_past, &open, &f->err), 0);
    assert_int_equal(open, 0);
    grant(&f->d1, "", "120104", 0);
    grant(&f->d1, "", "120105", 0);
    open = 0;
    assert_int_equal(tz_store_past_grants(f->s, f->d1.d.number, count_past, &open, &f->err), 0);
    assert_int_equal(open, 1); /* 120103 */
}

static void what_a_device_still_holds_is_known(void **state)
{
    struct sx *f = *state;
    unsigned open = 0;
    connect(&f->d1);
    grant(&f->d1, "", "120102", f->clock.wall.ms + 10 * DAY_MS);
    connect(&f->d1);
    grant(&f->d1, "", "120103", 0);
    assert_int_equal(until_of(f, "d1"), 0);
    assert_int_equal(tz_store_past_grants(f->s, f->d1.d.number, count_past, &open, &f->err), 0);
    assert_int_equal(open, 2);
    sx_group(f);
    assert_int_equal(tz_store_receipt(f->s, f->d1.d.number, 1, false, &f->err), 0); /* of long ago */
    assert_int_equal(tz_store_receipt(f->s, f->d2.d.number, tz_store_head(f->s), false, &f->err), 0);
    sx_commit(f);
    open = 0;
    assert_int_equal(tz_store_past_grants(f->s, f->d1.d.number, count_past, &open, &f->err), 0);
    assert_int_equal(open, 2);
    sx_group(f);
    assert_int_equal(tz_store_receipt(f->s, f->d1.d.number, tz_store_head(f->s), false, &f->err), 0);
    sx_commit(f);
    open = 0;
    assert_int_equal(tz_store_past_grants(f->s, f->d1.d.number, count_past, &open, &f->err), 0);
    assert_int_equal(open, 0);
}

static void grants_that_make_no_sense_are_refused(void **state)
{
    struct sx *f = *state;
    sx_group(f);
    assert_int_equal(tz_store_device_grant(f->s, f->d1.d.number, "D_CLERK", "120000", 0, &f->err), TZ_E_VALUE);
    assert_int_equal(tz_store_device_grant(f->s, f->d1.d.number, "KING", "", 0, &f->err), TZ_E_VALUE);
    assert_int_equal(tz_store_device_grant(f->s, 4711, "", "120102", 0, &f->err), TZ_E_NOT_FOUND);
    assert_int_equal(tz_store_user_grant(f->s, "nobody", "D_CLERK", "120102", &f->err), TZ_E_NOT_FOUND);
    assert_int_equal(tz_store_device_revoke(f->s, f->d2.d.number, &f->err), 0);
    assert_int_equal(tz_store_device_grant(f->s, f->d2.d.number, "", "120103", 0, &f->err), TZ_E_DEVICE_REVOKED);
    tz_store_group_rollback(f->s);
}

#define T(name) cmocka_unit_test_setup_teardown(name, sx_setup, sx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(edit_of_a_record_that_moved_away_waits_for_the_new_supervisor),
        T(a_record_never_seen_stays_unknown),
        T(who_was_told_that_it_left_is_refused),
        T(answer_says_nothing_of_what_stands_today),
        T(deletion_and_set_elements_and_decisions_wait_too),
        T(one_late_op_leaves_the_rest_of_its_save_alone),
        T(refused_is_what_was_never_allowed),
        T(a_child_of_what_moved_away_goes_after_it),
        T(another_record_of_that_id_takes_no_case_along),
        T(what_was_made_in_a_lost_area_waits_whole),
        T(deciding_about_an_own_late_record_is_no_late_word),
        T(a_decided_case_lies_with_the_record_that_it_made),
        T(a_secret_field_that_came_later_hides_no_words_of_before),
        T(what_need_not_be_made_closes_its_case),
        T(a_supervisor_may_say_no),
        T(the_new_area_counts_at_once_and_the_old_no_more),
        T(nothing_is_late_after_the_receipt),
        T(another_role_and_no_role_at_all),
        T(a_user_moves_and_the_machine_stays),
        T(city_rows_concern_the_centre_alone),
        T(a_grant_ends_by_itself_and_can_be_prolonged),
        T(a_grant_that_nobody_came_for_left_nothing_behind),
        T(what_a_device_still_holds_is_known),
        T(grants_that_make_no_sense_are_refused),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
