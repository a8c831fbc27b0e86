/* SPDX-License-Identifier: Apache-2.0 */
/* Life and death of records in the central store: DELETE, RESTORE, children, and what comes back. Then relocation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_fixture.h"

#include <stdio.h>
#include <string.h>

static struct tz_id coverage_of(struct sx_dev *d, struct tz_id org)
{
    return sx_create(d, "coverage", sx_ref(d->f, "org_id", org), "mode=own", "since=2023-01-01", NULL);
}

static struct tz_id visit_of(struct sx_dev *d, struct tz_id org)
{
    return sx_create(d, "visit", sx_ref(d->f, "org_id", org), sx_ref(d->f, "by_ref", d->user), "visited_on=2023-11-01",
                     "way=on_site", NULL);
}

/* ---- delete ---- */

static void delete_that_saw_everything_stands(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(sx_delete(&f->d1, "organisation", id));
    assert_true(sx_deleted(f, "organisation", id));
    assert_null(sx_case(f, id, "_deleted", 1));
    sx_see(&f->d1);
    sx_refused(sx_set(&f->d1, "organisation", id, "address=一", NULL), TZ_E_DELETED);
}

static void seen_child_blocks_with_a_list(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_id child = coverage_of(&f->d1, id);
    coverage_of(&f->d1b, id);
    sx_see(&f->d1);
    const struct tz_result *r = sx_delete(&f->d1, "organisation", id);
    sx_refused(r, TZ_E_HAS_CHILDREN);
    assert_int_equal(r->ops[0].nargs, 2);
    assert_string_equal(r->ops[0].args[0], "2");
    assert_true(strcmp(r->ops[0].args[1], sx_hex(f, child)) == 0 || strlen(r->ops[0].args[1]) == TZ_ID_HEX);
    assert_false(sx_deleted(f, "organisation", id));
}

static void deleting_children_first_in_the_same_save_works(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_id child = coverage_of(&f->d1, id);
    sx_see(&f->d1);
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op(c, TZ_OP_DELETE, "coverage", child);
    sx_op(c, TZ_OP_DELETE, "organisation", id);
    sx_applied(sx_push(c));
    assert_true(sx_deleted(f, "organisation", id));
}

static void unseen_child_supersedes_the_delete_with_a_case(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    coverage_of(&f->d1b, id); /* d1 has not received it */
    const struct tz_result *r = sx_delete(&f->d1, "organisation", id);
    sx_superseded(r);
    assert_int_equal(r->ops[0].ncases, 1);
    assert_false(sx_deleted(f, "organisation", id));
    const struct tz_row *c = sx_case(f, id, "_deleted", 1);
    assert_string_equal(sx_case_text(f, c, "kind"), "deleted");
    assert_string_equal(sx_candidate(f, c, 0, "_deleted"), "1");
    assert_true(tz_id_eq(r->ops[0].cases[0], c->id));
}

static void seen_visits_do_not_block(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    visit_of(&f->fi, id);
    sx_see(&f->d1);
    sx_applied(sx_delete(&f->d1, "organisation", id)); /* the catalogue says `revives`: history does not hold it */
}

static void unseen_visit_supersedes_the_delete(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    visit_of(&f->fi, id);
    sx_superseded(sx_delete(&f->d1, "organisation", id));
    assert_false(sx_deleted(f, "organisation", id));
}

static void checkpoint_beyond_the_head_sees_no_more_than_there_is(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct sx_cs *c = sx_begin(&f->d1);
    c->cs.base_checkpoint = UINT64_MAX;
    sx_op(c, TZ_OP_DELETE, "organisation", id);
    sx_applied(sx_push(c));
}

static void unseen_field_supersedes_the_delete_with_a_case(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(sx_set(&f->fi, "organisation", id, "address=一路", NULL));
    sx_superseded(sx_delete(&f->d1, "organisation", id));
    assert_false(sx_deleted(f, "organisation", id));
    assert_int_equal(sx_ncandidates(f, sx_case(f, id, "_deleted", 1)), 1);
}

static void own_pending_changes_count_as_seen(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(sx_set(&f->d1, "organisation", id, "address=一路", NULL));
    f->d1.seen_seq = f->d1.seq; /* on the screen, though no checkpoint came since */
    sx_applied(sx_delete(&f->d1, "organisation", id));
}

static void deleting_twice_is_agreement(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(sx_delete(&f->d1, "organisation", id));
    sx_applied(sx_delete(&f->d1b, "organisation", id));
    assert_null(sx_case(f, id, "_deleted", 1));
    assert_true(sx_deleted(f, "organisation", id));
}

static void who_may_not_delete_is_refused(void **state)
{
    struct sx *f = *state;
    sx_refused(sx_delete(&f->fi, "organisation", sx_org(f, "甲公司")), TZ_E_NO_RIGHT_TYPE);
}

/* ---- edits of the deleted ---- */

static void differing_edit_brings_the_record_back_with_a_case(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(sx_delete(&f->d1, "organisation", id));
    sx_applied(sx_set(&f->fi, "organisation", id, "address=一路", NULL));
    assert_false(sx_deleted(f, "organisation", id));
    sx_text_is(f, "organisation", id, "address", "一路");
    const struct tz_row *c = sx_case(f, id, "_deleted", 1);
    assert_string_equal(sx_candidate(f, c, 0, "_deleted"), "1");
    assert_string_equal(sx_case_text(f, c, "rule"), "revived");
}

static void equal_edit_leaves_the_deletion(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(sx_delete(&f->d1, "organisation", id));
    sx_applied(sx_set(&f->fi, "organisation", id, "name=甲公司", NULL));
    assert_true(sx_deleted(f, "organisation", id));
    assert_null(sx_case(f, id, "_deleted", 1));
}

static void revival_goes_up_the_chain(void **state)
{
    struct sx *f = *state;
    struct tz_id org = sx_org(f, "甲公司");
    struct tz_id cov = coverage_of(&f->d1, org);
    sx_see(&f->d1);
    sx_see(&f->d1b);
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op(c, TZ_OP_DELETE, "coverage", cov);
    sx_op(c, TZ_OP_DELETE, "organisation", org);
    sx_applied(sx_push(c));
    sx_applied(sx_set(&f->d1b, "coverage", cov, "basis=文", NULL));
    assert_false(sx_deleted(f, "coverage", cov));
    assert_false(sx_deleted(f, "organisation", org));
    assert_non_null(sx_case(f, org, "_deleted", 1));
    assert_non_null(sx_case(f, cov, "_deleted", 1));
}

/* ---- restore ---- */

static void restore_that_saw_the_deletion_is_clean(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(sx_delete(&f->d1, "organisation", id));
    sx_see(&f->d1b);
    sx_applied(sx_restore(&f->d1b, "organisation", id));
    assert_false(sx_deleted(f, "organisation", id));
    assert_null(sx_case(f, id, "_deleted", 1));
    sx_applied(sx_restore(&f->d1b, "organisation", id)); /* alive already: agreement */
}

static void restore_against_an_unseen_deletion_lives_with_a_case(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(sx_delete(&f->d1, "organisation", id));
    sx_see(&f->d1b);
    sx_applied(sx_restore(&f->d1b, "organisation", id));
    sx_see(&f->d1);
    sx_applied(sx_delete(&f->d1, "organisation", id)); /* again; d1b has not heard */
    f->d1b.seen_seq = f->d1b.seq;
    sx_applied(sx_restore(&f->d1b, "organisation", id));
    assert_false(sx_deleted(f, "organisation", id));
    assert_non_null(sx_case(f, id, "_deleted", 1));
}

static void restored_record_keeps_its_fields_and_brings_its_parent(void **state)
{
    struct sx *f = *state;
    struct tz_id org = sx_org(f, "甲公司");
    struct tz_id cov = coverage_of(&f->d1, org);
    sx_see(&f->d1);
    sx_applied(sx_delete(&f->d1, "coverage", cov));
    sx_see(&f->d1);
    sx_applied(sx_delete(&f->d1, "organisation", org));
    sx_see(&f->d1);
    sx_applied(sx_restore(&f->d1, "coverage", cov));
    assert_false(sx_deleted(f, "organisation", org));
    sx_text_is(f, "coverage", cov, "mode", "own");
}

/* ---- relocation ---- */

static const char *district(struct sx *f, const char *type, struct tz_id id)
{
    return sx_row(f, type, id)->area.district;
}

static void relocate(struct sx *f, struct tz_id org, const char *to)
{
    char arg[32];
    (void)snprintf(arg, sizeof arg, "district_code=%s", to);
    sx_see(&f->c1);
    sx_applied(sx_set(&f->c1, "organisation", org, arg, NULL));
}

static int64_t leaving(struct sx *f, const char *where)
{
    char sql[128];
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM change WHERE leaving=1 AND district='%s'", where);
    return sx_query(f, sql);
}

static void move_takes_dependants_along_in_one_version(void **state)
{
    struct sx *f = *state;
    struct tz_id org = sx_org(f, "甲公司");
    struct tz_id cov = coverage_of(&f->d1, org);
    struct tz_id visit = visit_of(&f->fi, org);
    sx_applied(sx_set(&f->d1b, "organisation", org, "grid_no=1", NULL));
    f->d1.seen_seq = f->d1.seq;
    f->clock.wall.ms += 1000;
    sx_applied(sx_set(&f->d1, "organisation", org, "grid_no=2", NULL)); /* a case */
    const struct tz_row *c = sx_case(f, org, "grid_no", 1);
    assert_non_null(c);
    relocate(f, org, "120102");
    tz_ver ver = f->res.ver;
    const char *const types[] = {"organisation", "coverage", "visit", "case"};
    const struct tz_id ids[] = {org, cov, visit, c->id};
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(district(f, types[i], ids[i]), "120102");
        assert_int_equal(sx_row(f, types[i], ids[i])->ver, ver);
    }
    assert_int_equal(leaving(f, "120101"), 4);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM left_area"), 4);
    sx_see(&f->d1);
    sx_refused(sx_set(&f->d1, "organisation", org, "name=乙", NULL), TZ_E_UNKNOWN_RECORD);
    sx_see(&f->d2);
    sx_applied(sx_set(&f->d2, "organisation", org, "name=乙", NULL));
}

static void return_drops_the_leaving_entries(void **state)
{
    struct sx *f = *state;
    struct tz_id org = sx_org(f, "甲公司");
    coverage_of(&f->d1, org);
    relocate(f, org, "120102");
    assert_int_equal(leaving(f, "120101"), 2);
    relocate(f, org, "120103");
    assert_int_equal(leaving(f, "120101"), 2);
    assert_int_equal(leaving(f, "120102"), 2);
    relocate(f, org, "120101");
    assert_int_equal(leaving(f, "120101"), 0);
    assert_int_equal(leaving(f, "120102"), 2);
    assert_int_equal(leaving(f, "120103"), 2);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM change WHERE leaving=0 AND type=10"), 1);
}

static void move_of_a_record_with_very_many_dependants_succeeds(void **state)
{
    struct sx *f = *state;
    struct tz_id org = sx_org(f, "甲公司");
    for (int k = 0; k < 3; k++) {
        struct sx_cs *c = sx_begin(&f->d1);
        for (int i = 0; i < 400; i++) {
            char since[32]; /* no two of them the same link */
            (void)snprintf(since, sizeof since, "since=%d-%02d-%02d", 2000 + k, 1 + i / 28 % 12, 1 + i % 28);
            if (i >= 12 * 28)
                since[6] = '3';
            sx_op_create(c, "coverage", sx_ref(f, "org_id", org), "mode=liaison", since, NULL);
        }
        sx_applied(sx_push(c));
    }
    relocate(f, org, "120102");
    assert_int_equal(leaving(f, "120101"), 1201);
}

static void deleted_dependant_returns_where_its_parent_is_now(void **state)
{
    struct sx *f = *state;
    struct tz_id org = sx_org(f, "甲公司");
    struct tz_id cov = coverage_of(&f->d1, org);
    sx_see(&f->d1);
    sx_applied(sx_delete(&f->d1, "coverage", cov));
    relocate(f, org, "120102");
    sx_see(&f->d1);
    sx_refused(sx_restore(&f->d1, "coverage", cov), TZ_E_UNKNOWN_RECORD); /* no longer his to bring back */
    sx_see(&f->d2);
    sx_applied(sx_restore(&f->d2, "coverage", cov));
    assert_string_equal(district(f, "coverage", cov), "120102");
}

static void district_that_does_not_exist_is_refused(void **state)
{
    struct sx *f = *state;
    struct tz_id org = sx_org(f, "甲公司");
    sx_see(&f->c1);
    sx_refused(sx_set(&f->c1, "organisation", org, "district_code=129999", NULL), TZ_E_AREA);
}

static void district_known_only_to_a_refused_save_stays_unknown(void **state)
{
    struct sx *f = *state;
    struct tz_id org = sx_org(f, "甲公司");
    sx_see(&f->c1);
    struct sx_cs *c = sx_begin(&f->c1);
    sx_op_create(c, "division", "code=120199", "name=新区", "level=district", NULL);
    sx_op_set(c, "organisation", org, "district_code=120199", NULL);
    sx_op_set(c, "organisation", org, "name=不许", NULL); /* C may not */
    sx_refused(sx_push(c), TZ_E_NO_RIGHT_FIELD);
    sx_refused(sx_withdraw(&f->c1, c->cs.seq)->outcome == TZ_OUT_APPLIED
                   ? sx_set(&f->c1, "organisation", org, "district_code=120199", NULL)
                   : &f->res,
               TZ_E_AREA);
}

/* ---- limits: an answer to whoever asks too much, never an error of the server ---- */

static struct tz_id alert_on(struct sx_cs *c, const char *type, struct tz_id target)
{
    char of[64];
    (void)snprintf(of, sizeof of, "target_type=%s", type);
    return sx_op_create(c, "alert", "rule=x", of, sx_ref(c->dev->f, "target_id", target), "opened_on=2023-11-01", NULL);
}

/** An alert on an alert on … on @org, @n of them in one save. The last one. */
static struct tz_id alerts(struct sx_cs *c, struct tz_id org, int n)
{
    struct tz_id at = org;
    for (int i = 0; i < n; i++)
        at = alert_on(c, i ? "alert" : "organisation", at);
    return at;
}

static void chain_of_areas_that_is_too_long_is_refused_when_it_is_made(void **state)
{
    struct sx *f = *state;
    struct tz_id org = sx_org(f, "甲公司");
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id last = alerts(c, org, TZ_AREA_DEPTH_MAX);
    sx_applied(sx_push(c));
    c = sx_begin(&f->d1);
    alert_on(c, "alert", last);
    sx_refused(sx_push(c), TZ_E_LIMIT);
    relocate(f, org, "120102"); /* the longest that there can be moves along */
    assert_string_equal(district(f, "alert", last), "120102");
}

/** Two chains of eight, then the head of the second is hung under the end of the first. */
static void chain_too_long_to_move_is_an_answer_and_not_an_error(void **state)
{
    struct sx *f = *state;
    struct tz_id org = sx_org(f, "甲公司");
    struct tz_id ends[3];
    struct tz_id heads[3];
    for (int i = 0; i < 3; i++) {
        struct sx_cs *c = sx_begin(&f->d1);
        heads[i] = alert_on(c, "organisation", org);
        ends[i] = heads[i];
        for (int k = 1; k < (i ? TZ_AREA_DEPTH_MAX : TZ_AREA_DEPTH_MAX - 1); k++)
            ends[i] = alert_on(c, "alert", ends[i]);
        sx_applied(sx_push(c));
    }
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "alert", heads[1], "target_type=alert", sx_ref(f, "target_id", ends[0]), NULL));
    sx_see(&f->d1);
    sx_refused(sx_set(&f->d1, "alert", heads[2], "target_type=alert", sx_ref(f, "target_id", ends[1]), NULL),
               TZ_E_LIMIT);
    sx_applied(sx_withdraw(&f->d1, f->d1.seq));
    relocate(f, org, "120102");
    assert_string_equal(district(f, "alert", ends[1]), "120102");
}

/** Organisations of the Party above each other, all deleted: an edit of the lowest would bring every one back. */
static void revival_of_a_chain_that_is_too_long_is_refused(void **state)
{
    struct sx *f = *state;
    enum { CHAIN = TZ_REVIVE_DEPTH_MAX + 2 };
    struct tz_id ids[CHAIN];
    for (int i = 0; i < CHAIN; i++)
        ids[i] = sx_create(&f->d1, "branch", "name=支部", "branch_type=branch", "district_code=120101",
                           "established_on=2020", i ? sx_ref(f, "parent_id", ids[i - 1]) : NULL, NULL);
    sx_see(&f->d1);
    sx_see(&f->d1b);
    struct sx_cs *c = sx_begin(&f->d1);
    for (int i = CHAIN; i > 0; i--)
        sx_op(c, TZ_OP_DELETE, "branch", ids[i - 1]);
    sx_applied(sx_push(c));
    sx_refused(sx_set(&f->d1b, "branch", ids[CHAIN - 1], "name=改名", NULL), TZ_E_LIMIT);
    assert_true(sx_deleted(f, "branch", ids[CHAIN - 1]));
    sx_applied(sx_withdraw(&f->d1b, f->d1b.seq));
    sx_applied(sx_set(&f->d1b, "branch", ids[CHAIN - 2], "name=改名", NULL));
    assert_false(sx_deleted(f, "branch", ids[0]));
}

static void too_many_bytes_of_rows_in_one_save_are_refused(void **state)
{
    struct sx *f = *state;
    struct tz_id org = sx_org(f, "甲公司");
    struct tz_id last = org;
    static char note[60 * 1000 + 6] = "note=";
    memset(note + 5, 'x', sizeof note - 6);
    for (int i = 0; i < 150; i++)
        last = sx_create(&f->fi, "visit", sx_ref(f, "org_id", org), sx_ref(f, "by_ref", f->fi.user),
                         "visited_on=2023-11-01", "way=on_site", note, NULL);
    sx_see(&f->c1);
    sx_refused(sx_set(&f->c1, "organisation", org, "district_code=120102", NULL), TZ_E_LIMIT);
    assert_string_equal(district(f, "visit", last), "120101");
    assert_int_equal(sx_query(f, "SELECT count(*) FROM change WHERE leaving=1"), 0);
}

static void record_too_large_to_send_is_refused(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(sx_set(&f->d1, "organisation", id, "address=一路", NULL));
    sx_applied(sx_set(&f->d1b, "organisation", id, "address=二路", NULL));
    sx_fatten(f, id, TZ_ROW_BYTES_MAX - 64);
    sx_see(&f->d1);
    sx_refused(sx_set(&f->d1, "organisation", id, "grid_no=7", NULL), TZ_E_LIMIT);
    sx_applied(sx_withdraw(&f->d1, f->d1.seq));
    sx_refused(sx_resolve(&f->d1, sx_case(f, id, "address", 1)->id, 1, "address=三路", NULL), TZ_E_LIMIT);
}

/** An op with a field number that the server's catalogue lacks, in its body or among the cleared. */
static const struct tz_result *push_unknown_field(struct sx *f, enum tz_op_kind kind, struct tz_id id, bool clears)
{
    static const uint32_t number = 15000;
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_op *op = sx_op(c, kind, "organisation", id);
    struct tz_buf b;
    tz_buf_init(&b, TZ_ROW_BYTES_MAX);
    if (clears) {
        op->cleared = &number;
        op->ncleared = 1;
    } else {
        assert_int_equal(tz_wire_put_bytes(&b, number, tz_bytes_str("x")), 0);
        op->values = tz_bytes_of(tz_arena_dup(&f->a, b.p, b.len), b.len);
    }
    tz_buf_deinit(&b);
    return sx_push(c);
}

static void field_that_this_catalogue_lacks_is_refused_by_its_number(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_id none = tz_id_make(&f->d1.ids, f->clock.wall);
    for (int i = 0; i < 3; i++) {
        const struct tz_result *r =
            push_unknown_field(f, i == 2 ? TZ_OP_CREATE : TZ_OP_SET, i == 2 ? none : id, i == 1);
        sx_refused(r, TZ_E_UNKNOWN_FIELD);
        assert_int_equal(r->nargs, 2);
        assert_string_equal(r->args[0], "organisation");
        assert_string_equal(r->args[1], "15000");
        sx_applied(sx_withdraw(&f->d1, f->d1.seq));
    }
}

/** The city's rows are everybody's to name, and the centre's alone to bring back. */
static void inspection_does_not_bring_back_a_form_of_the_citys(void **state)
{
    struct sx *f = *state;
    char inspectors[64] = "inspectors=";
    struct tz_id org = sx_org(f, "甲公司");
    struct tz_id form = sx_create(&f->c1, "form", "form_code=F1", "form_version=1", "title=检查表", "body={}", NULL);
    sx_see(&f->c1);
    sx_see(&f->fi);
    sx_applied(sx_delete(&f->c1, "form", form));
    struct sx_cs *c = sx_begin(&f->fi); /* has not heard of it */
    memcpy(inspectors + 11, sx_hex(f, f->fi.user), TZ_ID_HEX);
    struct tz_id id =
        sx_op_create(c, "inspection", sx_ref(f, "form_code", form), "form_version=1", "target_type=organisation",
                     sx_ref(f, "target_id", org), inspectors, "started_at=2023-11-01 09:00",
                     "finished_at=2023-11-01 10:00", "answers={}", "signed_by_target=yes", "device_seq=1", NULL);
    sx_applied(sx_push(c)); /* nothing that was seen in the field is lost */
    assert_non_null(sx_row(f, "inspection", id));
    assert_true(sx_deleted(f, "form", form));
    assert_null(sx_case(f, form, "_deleted", 1));
}

static void street_stays_behind_when_the_record_moves(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(sx_set(&f->d1, "organisation", id, "street_code=120101001", NULL));
    sx_see(&f->c1);
    sx_applied(sx_set(&f->c1, "organisation", id, "district_code=120102", NULL));
    sx_text_is(f, "organisation", id, "district_code", "120102");
    sx_text_is(f, "organisation", id, "street_code", "");
    assert_null(sx_case(f, id, "street_code", 1));
}

static void street_that_the_mover_had_not_seen_is_a_case(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_see(&f->c1);
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "organisation", id, "street_code=120101001", NULL));
    f->c1.skew_ms = 1000; /* the later of the two */
    sx_applied(sx_set(&f->c1, "organisation", id, "district_code=120102", NULL));
    sx_text_is(f, "organisation", id, "street_code", "");
    const struct tz_row *c = sx_case(f, id, "street_code", 1);
    assert_non_null(c);
    assert_string_equal(sx_candidate(f, c, 0, "street_code"), "120101001");
}

#define T(name) cmocka_unit_test_setup_teardown(name, sx_setup, sx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(delete_that_saw_everything_stands),
        T(seen_child_blocks_with_a_list),
        T(deleting_children_first_in_the_same_save_works),
        T(unseen_child_supersedes_the_delete_with_a_case),
        T(seen_visits_do_not_block),
        T(unseen_visit_supersedes_the_delete),
        T(checkpoint_beyond_the_head_sees_no_more_than_there_is),
        T(unseen_field_supersedes_the_delete_with_a_case),
        T(own_pending_changes_count_as_seen),
        T(deleting_twice_is_agreement),
        T(who_may_not_delete_is_refused),
        T(differing_edit_brings_the_record_back_with_a_case),
        T(equal_edit_leaves_the_deletion),
        T(revival_goes_up_the_chain),
        T(restore_that_saw_the_deletion_is_clean),
        T(restore_against_an_unseen_deletion_lives_with_a_case),
        T(restored_record_keeps_its_fields_and_brings_its_parent),
        T(move_takes_dependants_along_in_one_version),
        T(return_drops_the_leaving_entries),
        T(move_of_a_record_with_very_many_dependants_succeeds),
        T(deleted_dependant_returns_where_its_parent_is_now),
        T(district_that_does_not_exist_is_refused),
        T(district_known_only_to_a_refused_save_stays_unknown),
        T(chain_of_areas_that_is_too_long_is_refused_when_it_is_made),
        T(chain_too_long_to_move_is_an_answer_and_not_an_error),
        T(revival_of_a_chain_that_is_too_long_is_refused),
        T(too_many_bytes_of_rows_in_one_save_are_refused),
        T(record_too_large_to_send_is_refused),
        T(field_that_this_catalogue_lacks_is_refused_by_its_number),
        T(inspection_does_not_bring_back_a_form_of_the_citys),
        T(street_stays_behind_when_the_record_moves),
        T(street_that_the_mover_had_not_seen_is_a_case),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
