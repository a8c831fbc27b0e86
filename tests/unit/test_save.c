/* SPDX-License-Identifier: Apache-2.0 */
/* Making changesets: what is checked at once, what is filled in, what goes out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "office_fixture.h"

#include <string.h>

static struct tz_record value_of(struct fx *f, struct tz_bytes body)
{
    struct tz_record rec;
    assert_int_equal(tz_record_decode(f->org, body, &f->a, &rec, NULL), 0);
    return rec;
}

static struct tz_value field_of(struct fx *f, const struct tz_op *op, const char *name)
{
    struct tz_record rec = value_of(f, op->values);
    return rec.v[tz_type_field(f->org, name)->index];
}

/** An organisation the server confirmed, at version @ver, with @fill applied by an own settled edit. */
static struct tz_id confirmed_org(struct fx *f, uint8_t n, tz_ver ver)
{
    struct tz_id id = fx_server_id(n);
    fx_row(f, id, ver, TZ_ROW_LIVE, "120101", "甲", NULL);
    assert_int_equal(fx_checkpoint(f, ver), 0);
    return id;
}

static int try_create(struct fx *f, const char *type, const char *const (*values)[2], struct tz_err *err)
{
    struct tz_record rec;
    struct tz_id id;
    tz_record_init(&rec, tz_catalogue_type(&f->cat, type));
    for (size_t i = 0; values && values[i][0]; i++)
        fx_set(&rec, NULL, values[i][0], tz_value_text(values[i][1]));
    struct tz_save *s = fx_begin(f, false);
    int rc = tz_save_create(s, &rec, &id, err);
    if (rc) {
        assert_int_equal(tz_save_ops(s), 0);
        tz_save_cancel(s);
    } else {
        fx_commit(s);
    }
    return rc;
}

static void new_record_is_checked_at_the_form(void **state)
{
    struct fx *f = *state;
    struct tz_err err = {0};
    const char *const no_name[][2] = {{"district_code", "120101"}, {NULL, NULL}};
    assert_int_equal(try_create(f, "organisation", no_name, &err), TZ_E_REQUIRED);
    assert_string_equal(err.args[0], "名称 name");
    const char *const elsewhere[][2] = {{"name", "甲"}, {"district_code", "120102"}, {NULL, NULL}};
    assert_int_equal(try_create(f, "organisation", elsewhere, &err), TZ_E_AREA);
    const char *const foreign_field[][2] = {
        {"name", "甲"}, {"district_code", "120101"}, {"decoupled_on", "2017"}, {NULL, NULL}};
    assert_int_equal(try_create(f, "organisation", foreign_field, &err), TZ_E_NO_RIGHT_FIELD);
    const char *const bad_enum[][2] = {{"name", "甲"}, {"district_code", "120101"}, {"kind", "castle"}, {NULL, NULL}};
    assert_int_equal(try_create(f, "organisation", bad_enum, &err), TZ_E_VALUE);
    assert_int_equal(try_create(f, "unit", NULL, &err), TZ_E_NO_RIGHT_TYPE);
    assert_int_equal(try_create(f, "case", NULL, &err), TZ_E_NO_RIGHT_TYPE);
    struct tz_office_status st;
    assert_int_equal(tz_office_status(f->o, &st, NULL), 0);
    assert_int_equal(st.last_seq, 0);
    assert_int_equal(st.rows, 0);
}

static void reference_must_resolve_here(void **state)
{
    struct fx *f = *state;
    struct tz_record rec;
    struct tz_id id;
    tz_record_init(&rec, f->org);
    fx_set(&rec, NULL, "name", tz_value_text("甲"));
    fx_set(&rec, NULL, "district_code", tz_value_text("120101"));
    fx_set(&rec, NULL, "site_id", fx_id_value(f, fx_server_id(99)));
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_create(s, &rec, &id, NULL), TZ_E_REF);
    tz_save_cancel(s);
}

static void street_implies_its_district(void **state)
{
    struct fx *f = *state;
    const struct tz_type *site = tz_catalogue_type(&f->cat, "site");
    struct tz_record rec;
    struct tz_id id;
    struct tz_row row;
    tz_record_init(&rec, site);
    fx_set(&rec, NULL, "site_type", tz_value_text(site->fields[0].en->values[0].code));
    fx_set(&rec, NULL, "name", tz_value_text("园区"));
    fx_set(&rec, NULL, "level", tz_value_text(tz_type_field(site, "level")->en->values[0].code));
    fx_set(&rec, NULL, "street_code", tz_value_text("120101001"));
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_create(s, &rec, &id, NULL), 0);
    fx_commit(s);
    assert_true(fx_read(f, site, id, &row, NULL));
    assert_string_equal(row.area.district, "120101");
    assert_string_equal(row.area.street, "120101001");
}

static void inspector_creates_an_unverified_organisation_of_the_own_district(void **state)
{
    struct fx *f = *state;
    struct tz_row row;
    const char *districts[] = {"120101"};
    fx_welcome(f, "F_INSP", "120101", districts, 1, 1);
    const char *const values[][2] = {{"name", "甲"}, {"kind", "enterprise"}, {NULL, NULL}};
    assert_int_equal(try_create(f, "organisation", values, NULL), 0);
    struct tz_changeset cs = fx_changeset(f, 1);
    assert_true(tz_value_is_text(field_of(f, &cs.ops[0], "district_code"), "120101"));
    assert_true(tz_value_is_text(field_of(f, &cs.ops[0], "status"), "unverified"));
    assert_int_equal(tz_id_device(cs.ops[0].id), FX_DEVICE);
    /* its maker may fill any field but the status, until the district takes it over */
    assert_true(fx_read(f, f->org, cs.ops[0].id, &row, NULL));
    fx_edit(f, cs.ops[0].id, NULL, "grid_no", tz_value_text("三"));
    /* of another's record only the fields of the role */
    struct tz_id other = confirmed_org(f, 1, 10);
    struct tz_record rec;
    struct tz_seen seen;
    bool names[TZ_FIELDS_MAX] = {false};
    assert_true(fx_read(f, f->org, other, &row, &seen));
    tz_record_init(&rec, f->org);
    fx_set(&rec, names, "grid_no", tz_value_text("三"));
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_set(s, other, &seen, &rec, names, NULL), TZ_E_NO_RIGHT_FIELD);
    tz_save_cancel(s);
}

static void unchanged_fields_are_not_sent(void **state)
{
    struct fx *f = *state;
    struct tz_id id = confirmed_org(f, 1, 10);
    assert_int_equal(fx_edit(f, id, NULL, "name", tz_value_text("甲")), 0);
    struct tz_office_status st;
    assert_int_equal(tz_office_status(f->o, &st, NULL), 0);
    assert_int_equal(st.unsent_changesets, 0);
}

static void group_member_without_a_date_gets_todays(void **state)
{
    struct fx *f = *state;
    struct tz_id id = confirmed_org(f, 1, 10);
    struct tz_changeset cs = fx_changeset(f, fx_edit(f, id, NULL, "full_members", tz_value_int(12)));
    assert_int_equal(cs.nops, 1);
    assert_int_equal(field_of(f, &cs.ops[0], "full_members").i, 12);
    assert_true(tz_value_is_text(field_of(f, &cs.ops[0], "counts_on"), "2023-11-15"));
    fx_assert_text(f, id, "counts_on", "2023-11-15");
    /* the same day again: the date goes along although it does not change */
    cs = fx_changeset(f, fx_edit(f, id, NULL, "activists", tz_value_int(3)));
    assert_true(tz_value_is_text(field_of(f, &cs.ops[0], "counts_on"), "2023-11-15"));
    assert_int_equal(field_of(f, &cs.ops[0], "full_members").kind, TZ_V_NULL);
    /* a clock that went back does not make the counts older */
    f->clock.wall.ms -= INT64_C(400) * 24 * 3600 * 1000;
    cs = fx_changeset(f, fx_edit(f, id, NULL, "activists", tz_value_int(4)));
    assert_true(tz_value_is_text(field_of(f, &cs.ops[0], "counts_on"), "2023-11-15"));
}

static void append_and_event_records_are_not_edited(void **state)
{
    struct fx *f = *state;
    const struct tz_type *item = tz_catalogue_type(&f->cat, "ledger_item");
    struct tz_record rec;
    struct tz_buf body;
    struct tz_row row;
    struct tz_seen seen;
    bool names[TZ_FIELDS_MAX] = {false};
    struct tz_id id = fx_server_id(5);
    tz_record_init(&rec, item);
    fx_set(&rec, NULL, "title", tz_value_text("整改"));
    tz_buf_init(&body, 4096);
    assert_int_equal(tz_record_encode(&rec, &body), 0);
    struct tz_msg_row in = {
        .type = item->id, .id = id, .ver = 10, .area = {"120101", ""}, .body = tz_buf_unread(&body)};
    fx_row_raw(f, &in);
    assert_int_equal(fx_checkpoint(f, 10), 0);
    tz_buf_deinit(&body);
    assert_true(fx_read(f, item, id, &row, &seen));
    tz_record_init(&rec, item);
    fx_set(&rec, names, "measures", tz_value_text("…"));
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_set(s, id, &seen, &rec, names, NULL), TZ_E_EVENTS_LATER);
    assert_int_equal(tz_save_delete(s, item, id, &seen, NULL), TZ_E_NO_RIGHT_TYPE);
    tz_save_cancel(s);
}

static void parent_with_live_children_is_not_deleted(void **state)
{
    struct fx *f = *state;
    const struct tz_type *cov = tz_catalogue_type(&f->cat, "coverage");
    struct tz_id id = confirmed_org(f, 1, 10);
    struct tz_id child;
    struct tz_record rec;
    struct tz_row row;
    struct tz_seen seen;
    struct tz_seen child_seen;
    struct tz_err err = {0};
    tz_record_init(&rec, cov);
    fx_set(&rec, NULL, "org_id", fx_id_value(f, id));
    fx_set(&rec, NULL, "mode", tz_value_text(tz_type_field(cov, "mode")->en->values[0].code));
    fx_set(&rec, NULL, "since", tz_value_text("2020"));
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_create(s, &rec, &child, NULL), 0);
    fx_commit(s);
    assert_true(fx_read(f, cov, child, &row, &child_seen));
    assert_string_equal(row.area.district, "120101"); /* its parent's */
    assert_true(fx_read(f, f->org, id, &row, &seen));
    s = fx_begin(f, false);
    assert_int_equal(tz_save_delete(s, f->org, id, &seen, &err), TZ_E_HAS_CHILDREN);
    assert_string_equal(err.args[0], "1");
    assert_int_equal(tz_save_delete(s, cov, child, &child_seen, NULL), 0); /* child and parent in one save */
    assert_int_equal(tz_save_delete(s, f->org, id, &seen, NULL), 0);
    fx_commit(s);
    assert_true(fx_read(f, f->org, id, &row, &seen));
    assert_true(row.deleted);
    s = fx_begin(f, false);
    assert_int_equal(tz_save_delete(s, f->org, id, &seen, NULL), TZ_E_DELETED);
    assert_int_equal(tz_save_restore(s, f->org, id, &seen, NULL), 0);
    assert_int_equal(tz_save_restore(s, f->org, id, &seen, NULL), TZ_E_NOT_DELETED);
    fx_commit(s);
    assert_true(fx_read(f, f->org, id, &row, NULL));
    assert_false(row.deleted);
}

static void refused_op_leaves_the_rest_of_the_save(void **state)
{
    struct fx *f = *state;
    struct tz_id id = confirmed_org(f, 1, 10);
    struct tz_record rec;
    struct tz_row row;
    struct tz_seen seen;
    bool names[TZ_FIELDS_MAX] = {false};
    assert_true(fx_read(f, f->org, id, &row, &seen));
    tz_record_init(&rec, f->org);
    fx_set(&rec, names, "name", tz_value_text("乙"));
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_set(s, id, &seen, &rec, names, NULL), 0);
    assert_int_equal(tz_save_set(s, fx_server_id(77), &seen, &rec, names, NULL), TZ_E_UNKNOWN_RECORD);
    assert_int_equal(tz_save_ops(s), 1);
    assert_int_equal(fx_commit(s), 1);
    fx_assert_text(f, id, "name", "乙");
}

static void cancelled_save_leaves_no_trace(void **state)
{
    struct fx *f = *state;
    struct tz_record rec;
    struct tz_id id;
    struct tz_row row;
    tz_record_init(&rec, f->org);
    fx_set(&rec, NULL, "name", tz_value_text("甲"));
    fx_set(&rec, NULL, "district_code", tz_value_text("120101"));
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_create(s, &rec, &id, NULL), 0);
    tz_save_cancel(s);
    assert_false(fx_read(f, f->org, id, &row, NULL));
    assert_int_equal(fx_changeset(f, (fx_new_org(f, "乙", NULL), 1)).seq, 1);
}

static void too_many_ops_are_refused_and_the_save_stays_good(void **state)
{
    struct fx *f = *state;
    struct tz_record rec;
    struct tz_id id;
    int rc = 0;
    tz_record_init(&rec, f->org);
    fx_set(&rec, NULL, "name", tz_value_text("甲"));
    fx_set(&rec, NULL, "district_code", tz_value_text("120101"));
    struct tz_save *s = fx_begin(f, true);
    for (int i = 0; i < TZ_INDEPENDENT_OPS_MAX; i++)
        assert_int_equal(tz_save_create(s, &rec, &id, NULL), 0);
    rc = tz_save_create(s, &rec, &id, NULL);
    assert_int_equal(rc, TZ_E_LIMIT);
    assert_int_equal(tz_save_ops(s), TZ_INDEPENDENT_OPS_MAX);
    assert_int_equal(fx_changeset(f, fx_commit(s)).nops, TZ_INDEPENDENT_OPS_MAX);
}

static void two_handles_never_give_one_seq_or_id_twice(void **state)
{
    struct fx *f = *state;
    struct fx other = *f;
    struct tz_office_options opt = fx_options(f, &f->cat);
    struct tz_id last = {{0}};
    tz_hlc hlc = 0;
    assert_int_equal(tz_office_open(f->path, &opt, &other.o, NULL), 0);
    for (uint64_t i = 1; i <= 6; i++) {
        uint64_t seq;
        struct tz_id id = fx_new_org(i % 2 ? f : &other, "甲", &seq);
        assert_int_equal(seq, i);
        assert_true(tz_id_cmp(last, id) < 0);
        struct tz_changeset cs = fx_changeset(f, seq);
        assert_true(cs.hlc > hlc);
        hlc = cs.hlc;
        last = id;
        if (i == 3)
            f->clock.wall.ms -= 5000; /* the clock goes back; ids and hlc do not */
    }
    tz_office_close(other.o);
}

static void looking_while_a_save_is_open_does_not_disturb_it(void **state)
{
    struct fx *f = *state;
    struct tz_record rec;
    struct tz_id first;
    struct tz_id second;
    struct tz_office_status st;
    struct tz_row row;
    struct tz_seen seen;
    tz_record_init(&rec, f->org);
    fx_set(&rec, NULL, "name", tz_value_text("甲"));
    fx_set(&rec, NULL, "district_code", tz_value_text("120101"));
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_create(s, &rec, &first, NULL), 0);
    assert_int_equal(tz_office_status(f->o, &st, NULL), 0);
    assert_true(fx_read(f, f->org, first, &row, &seen));
    assert_int_equal(tz_save_create(s, &rec, &second, NULL), 0);
    assert_true(tz_id_cmp(first, second) < 0);
    assert_int_equal(tz_office_meta_set(f->o, "k", "v", NULL), TZ_E_INTERNAL);
    fx_commit(s);
    assert_true(tz_id_cmp(second, fx_new_org(f, "乙", NULL)) < 0);
}

static void reason_is_checked_and_named_at_the_form(void **state)
{
    struct fx *f = *state;
    char text[TZ_REASON_CHARS_MAX + 2];
    struct tz_err err = {0};
    struct tz_save *s;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    struct tz_save_options opt = {.reason = text};
    assert_int_equal(tz_save_begin(f->o, &opt, &s, &err), TZ_E_TOO_LONG);
    assert_string_equal(err.args[0], "理由 reason");
    assert_string_equal(err.args[1], "200");
    opt.reason = "a\x1b[31m";
    assert_int_equal(tz_save_begin(f->o, &opt, &s, &err), TZ_E_VALUE);
    assert_string_equal(err.args[0], "理由 reason");
    text[TZ_REASON_CHARS_MAX] = '\0';
    opt.reason = text;
    assert_int_equal(tz_save_begin(f->o, &opt, &s, &err), 0);
    tz_save_cancel(s);
}

static void record_of_a_district_lies_in_it(void **state)
{
    struct fx *f = *state;
    const struct tz_type *division = tz_catalogue_type(&f->cat, "division");
    struct tz_record rec;
    struct tz_buf body;
    struct tz_row row;
    struct tz_id id;
    struct tz_id districts[2] = {fx_server_id(50), fx_server_id(51)};
    static const char *const codes[2] = {"120101", "120102"};
    for (int i = 0; i < 2; i++) {
        tz_record_init(&rec, division);
        fx_set(&rec, NULL, "code", tz_value_text(codes[i]));
        fx_set(&rec, NULL, "name", tz_value_text("区"));
        tz_buf_init(&body, 4096);
        assert_int_equal(tz_record_encode(&rec, &body), 0);
        struct tz_msg_row in = {.type = division->id, .id = districts[i], .ver = 5, .body = tz_buf_unread(&body)};
        fx_row_raw(f, &in);
        tz_buf_deinit(&body);
    }
    assert_int_equal(fx_checkpoint(f, 5), 0);
    for (int i = 0; i < 2; i++) {
        tz_record_init(&rec, tz_catalogue_type(&f->cat, "alert"));
        fx_set(&rec, NULL, "rule", tz_value_text("R1"));
        fx_set(&rec, NULL, "opened_on", tz_value_text("2026-03-01"));
        fx_set(&rec, NULL, "target_type", tz_value_text("district"));
        fx_set(&rec, NULL, "target_id", fx_id_value(f, districts[i]));
        struct tz_save *s = fx_begin(f, false);
        int rc = tz_save_create(s, &rec, &id, NULL);
        assert_int_equal(rc, i == 0 ? 0 : TZ_E_AREA); /* the neighbours' district is theirs */
        if (rc)
            tz_save_cancel(s);
        else
            fx_commit(s);
        if (i == 0) {
            assert_true(fx_read(f, rec.type, id, &row, NULL));
            assert_string_equal(row.area.district, "120101");
        }
    }
}

/** A case about the address of @org as the server writes it. */
static struct tz_id put_case(struct fx *f, struct tz_id org, tz_ver ver)
{
    const struct tz_type *t = tz_catalogue_type(&f->cat, "case");
    struct tz_id id = fx_server_id(200);
    struct tz_record rec;
    struct tz_buf body;
    tz_record_init(&rec, t);
    fx_set(&rec, NULL, "target_type", tz_value_text("organisation"));
    fx_set(&rec, NULL, "target_id", fx_id_value(f, org));
    fx_set(&rec, NULL, "subject", tz_value_text("address"));
    fx_set(&rec, NULL, "kind", tz_value_text("conflict"));
    fx_set(&rec, NULL, "generation", tz_value_int(3));
    fx_set(&rec, NULL, "state", tz_value_text("open"));
    fx_set(&rec, NULL, "standing", tz_value_text("{\"values\":{\"address\":\"一号\"}}"));
    fx_set(&rec, NULL, "candidates",
           tz_value_text("[{\"values\":{\"address\":\"二号\"}},{\"values\":{\"address\":null}}]"));
    tz_buf_init(&body, 4096);
    assert_int_equal(tz_record_encode(&rec, &body), 0);
    struct tz_msg_row in = {.type = t->id, .id = id, .ver = ver, .area = {"120101", ""}, .body = tz_buf_unread(&body)};
    fx_row_raw(f, &in);
    tz_buf_deinit(&body);
    return id;
}

static void resolving_a_case_writes_the_choice_and_closes_it(void **state)
{
    struct fx *f = *state;
    const struct tz_type *ct = tz_catalogue_type(&f->cat, "case");
    struct tz_id org = fx_server_id(1);
    struct tz_row row;
    fx_row(f, org, 10, TZ_ROW_LIVE, "120101", "甲", "一号");
    struct tz_id id = put_case(f, org, 12);
    assert_int_equal(fx_checkpoint(f, 12), 0);
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_resolve(s, id, TZ_CHOICE_THEIRS, 5, NULL, NULL, NULL), TZ_E_NOT_FOUND);
    assert_int_equal(tz_save_resolve(s, id, TZ_CHOICE_THEIRS, 0, NULL, NULL, NULL), 0);
    assert_int_equal(tz_save_resolve(s, id, TZ_CHOICE_MINE, 0, NULL, NULL, NULL), TZ_E_CASE_STALE);
    uint64_t seq = fx_commit(s);
    fx_assert_text(f, org, "address", "二号");
    assert_true(fx_read(f, ct, id, &row, NULL));
    assert_true(tz_value_is_text(fx_get(&row, "state"), "closed"));
    struct tz_changeset cs = fx_changeset(f, seq);
    assert_int_equal(cs.ops[0].kind, TZ_OP_RESOLVE);
    assert_int_equal(cs.ops[0].generation, 3);
    assert_int_equal(cs.ops[0].base_ver, 12);
    assert_true(tz_value_is_text(field_of(f, &cs.ops[0], "address"), "二号"));
    assert_int_equal(fx_result(f, seq, TZ_OUT_REFUSED, 0, TZ_E_CASE_STALE), 0);
    fx_assert_text(f, org, "address", "一号");
}

static void null_candidate_clears_the_field(void **state)
{
    struct fx *f = *state;
    struct tz_id org = fx_server_id(1);
    fx_row(f, org, 10, TZ_ROW_LIVE, "120101", "甲", "一号");
    struct tz_id id = put_case(f, org, 12);
    assert_int_equal(fx_checkpoint(f, 12), 0);
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_resolve(s, id, TZ_CHOICE_THEIRS, 1, NULL, NULL, NULL), 0);
    struct tz_changeset cs = fx_changeset(f, fx_commit(s));
    assert_int_equal(cs.ops[0].ncleared, 1);
    fx_assert_text(f, org, "address", NULL);
}

/** A weak case that the server confirmed at version 5, with some categories. */
static struct tz_id confirmed_weak_case(struct fx *f, const char *categories)
{
    const struct tz_type *t = tz_catalogue_type(&f->cat, "weak_case");
    struct tz_id branch = fx_server_id(90);
    struct tz_id id = fx_server_id(91);
    struct tz_record rec;
    struct tz_buf body;
    struct tz_value v;
    tz_record_init(&rec, tz_catalogue_type(&f->cat, "branch"));
    fx_set(&rec, NULL, "name", tz_value_text("支部"));
    fx_set(&rec, NULL, "district_code", tz_value_text("120101"));
    tz_buf_init(&body, TZ_ROW_BYTES_MAX);
    assert_int_equal(tz_record_encode(&rec, &body), 0);
    struct tz_msg_row row = {
        .type = rec.type->id, .id = branch, .ver = 5, .area = {"120101", ""}, .state = TZ_ROW_LIVE};
    row.body = tz_buf_unread(&body);
    fx_row_raw(f, &row);
    tz_record_init(&rec, t);
    fx_set(&rec, NULL, "branch_id", fx_id_value(f, branch));
    assert_int_equal(tz_value_parse(tz_type_field(t, "categories"), categories, &f->a, &v, NULL), 0);
    fx_set(&rec, NULL, "categories", v);
    tz_buf_clear(&body);
    assert_int_equal(tz_record_encode(&rec, &body), 0);
    row.type = t->id;
    row.id = id;
    row.body = tz_buf_unread(&body);
    fx_row_raw(f, &row);
    tz_buf_deinit(&body);
    assert_int_equal(fx_checkpoint(f, 5), 0);
    return id;
}

static void categories_are(struct fx *f, struct tz_id id, const char *want)
{
    struct tz_row row;
    struct tz_seen seen;
    assert_true(fx_read(f, tz_catalogue_type(&f->cat, "weak_case"), id, &row, &seen));
    assert_true(tz_value_is_text(fx_get(&row, "categories"), want));
}

static void set_goes_as_the_elements_that_changed(void **state)
{
    struct fx *f = *state;
    const struct tz_type *t = tz_catalogue_type(&f->cat, "weak_case");
    struct tz_id id = confirmed_weak_case(f, "support_weak,team_incomplete");
    struct tz_record in;
    bool names[TZ_FIELDS_MAX] = {false};
    struct tz_row row;
    struct tz_seen seen;
    struct tz_value v;
    struct tz_err err = {0};
    assert_true(fx_read(f, t, id, &row, &seen));
    tz_record_init(&in, t);
    assert_int_equal(tz_value_parse(tz_type_field(t, "categories"), "secretary_unfit,team_incomplete", &f->a, &v, NULL),
                     0);
    fx_set(&in, names, "categories", v);
    fx_set(&in, names, "plan", tz_value_text("一支一策"));
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_set(s, id, &seen, &in, names, &err), 0);
    struct tz_changeset cs = fx_changeset(f, fx_commit(s));
    assert_int_equal(cs.nops, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct tz_op *op = &cs.ops[i];
        assert_int_equal(op->base_ver, 5);
        if (op->kind == TZ_OP_SET)
            continue;
        assert_int_equal(op->field, tz_type_field(t, "categories")->id);
        assert_int_equal(op->nelements, 1);
        assert_true(
            tz_bytes_eq(op->elements[0], tz_bytes_str(op->kind == TZ_OP_ADD ? "secretary_unfit" : "support_weak")));
    }
    categories_are(f, id, "[\"secretary_unfit\",\"team_incomplete\"]");
}

/** What another office adds meanwhile shows beside what was added here, before and after the server has answered.
 */
static void pending_elements_lie_over_what_arrives(void **state)
{
    struct fx *f = *state;
    const struct tz_type *t = tz_catalogue_type(&f->cat, "weak_case");
    struct tz_id id = confirmed_weak_case(f, "support_weak");
    struct tz_record in;
    bool names[TZ_FIELDS_MAX] = {false};
    struct tz_row row;
    struct tz_seen seen;
    struct tz_value v;
    struct tz_err err = {0};
    struct tz_buf body;
    assert_true(fx_read(f, t, id, &row, &seen));
    tz_record_init(&in, t);
    assert_int_equal(tz_value_parse(tz_type_field(t, "categories"), "support_weak,team_incomplete", &f->a, &v, NULL),
                     0);
    fx_set(&in, names, "categories", v);
    struct tz_save *s = fx_begin(f, false);
    assert_int_equal(tz_save_set(s, id, &seen, &in, names, &err), 0);
    uint64_t seq = fx_commit(s);
    fx_reopen(f, NULL);
    tz_buf_init(&body, TZ_ROW_BYTES_MAX); /* another office: support_weak out, secretary_unfit in */
    assert_int_equal(tz_value_parse(tz_type_field(t, "categories"), "secretary_unfit", &f->a, &v, NULL), 0);
    row.rec.v[tz_type_field(t, "categories")->index] = v;
    assert_int_equal(tz_record_encode(&row.rec, &body), 0);
    struct tz_msg_row m = {.type = t->id, .id = id, .ver = 8, .area = {"120101", ""}, .state = TZ_ROW_LIVE};
    m.body = tz_buf_unread(&body);
    fx_row_raw(f, &m);
    tz_buf_deinit(&body);
    assert_int_equal(fx_checkpoint(f, 8), 0);
    categories_are(f, id, "[\"secretary_unfit\",\"team_incomplete\"]");
    assert_int_equal(fx_result(f, seq, TZ_OUT_REFUSED, 0, TZ_E_AREA), 0);
    categories_are(f, id, "[\"secretary_unfit\"]");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
    const struct CMUnitTest tests[] = {
        T(new_record_is_checked_at_the_form),
        T(reference_must_resolve_here),
        T(street_implies_its_district),
        T(inspector_creates_an_unverified_organisation_of_the_own_district),
        T(unchanged_fields_are_not_sent),
        T(group_member_without_a_date_gets_todays),
        T(append_and_event_records_are_not_edited),
        T(parent_with_live_children_is_not_deleted),
        T(refused_op_leaves_the_rest_of_the_save),
        T(cancelled_save_leaves_no_trace),
        T(too_many_ops_are_refused_and_the_save_stays_good),
        T(two_handles_never_give_one_seq_or_id_twice),
        T(looking_while_a_save_is_open_does_not_disturb_it),
        T(reason_is_checked_and_named_at_the_form),
        T(record_of_a_district_lies_in_it),
        T(resolving_a_case_writes_the_choice_and_closes_it),
        T(null_candidate_clears_the_field),
        T(set_goes_as_the_elements_that_changed),
        T(pending_elements_lie_over_what_arrives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
