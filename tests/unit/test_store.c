/* SPDX-License-Identifier: Apache-2.0 */
/* The central store: exactly once, order and holes, references, all or nothing, enrolment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_fixture.h"

#include <stdio.h>
#include <string.h>

/* ---- exactly once ---- */

static void resend_gives_the_same_bytes_and_changes_nothing(void **state)
{
    struct sx *f = *state;
    uint8_t before[32];
    uint8_t after[32];
    struct tz_id id = sx_create(&f->d1, "organisation", "name=甲公司", "district_code=120101", NULL);
    struct tz_bytes raw = f->raw;
    struct tz_signed_result first = f->all[0];
    uint64_t entries = 0;
    uint8_t head[32];
    sx_digest(f, before);
    assert_int_equal(tz_store_audit_head(f->s, &entries, head, &f->err), 0);
    for (int i = 0; i < 3; i++) {
        uint64_t n = 0;
        sx_group(f);
        assert_int_equal(sx_apply_raw(&f->d1, raw), 0);
        sx_commit(f);
        assert_true(tz_bytes_eq(f->all[0].result, first.result));
        assert_true(tz_bytes_eq(f->all[0].mac, first.mac));
        assert_false(f->out.changed);
        assert_int_equal(tz_store_audit_head(f->s, &n, head, &f->err), 0);
        assert_int_equal(n, entries);
    }
    sx_digest(f, after);
    assert_memory_equal(before, after, 32);
    sx_text_is(f, "organisation", id, "name", "甲公司");
}

static void resend_within_the_group_gives_the_same_bytes(void **state)
{
    struct sx *f = *state;
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op_create(c, "organisation", "name=甲公司", "district_code=120101", NULL);
    sx_group(f);
    assert_int_equal(sx_apply(c), 0);
    struct tz_bytes first = f->all[0].result;
    assert_int_equal(sx_apply_raw(&f->d1, f->raw), 0);
    sx_commit(f);
    assert_true(tz_bytes_eq(f->all[0].result, first));
}

static void other_content_under_a_known_seq_is_held_as_a_fork(void **state)
{
    struct sx *f = *state;
    uint8_t before[32];
    uint8_t after[32];
    sx_org(f, "甲公司");
    struct tz_bytes first = f->raw;
    sx_digest(f, before);
    f->d1.seq--;
    struct sx_cs *copy = sx_begin(&f->d1);
    struct tz_id id = sx_op_create(copy, "organisation", "name=乙公司", "district_code=120101", NULL);
    const struct tz_result *r = sx_push(copy);
    sx_expect(r, TZ_OUT_HELD, TZ_E_FORKED);
    assert_int_equal(r->ops[0].outcome, TZ_OUT_HELD);
    assert_null(sx_row(f, "organisation", id));
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog WHERE outcome=5 AND seq=1 AND length(raw)>0"), 1);
    sx_digest(f, after);
    assert_memory_equal(before, after, 32);
    sx_group(f); /* the first one's answer stays */
    assert_int_equal(sx_apply_raw(&f->d1, first), 0);
    sx_commit(f);
    sx_applied(&f->res);
}

static void result_is_proved_to_its_device(void **state)
{
    struct sx *f = *state;
    uint8_t mac[32];
    uint8_t text[1024] = {0, 0, 0, (uint8_t)f->d1.d.number};
    sx_org(f, "甲公司");
    struct tz_bytes r = f->all[0].result;
    assert_true(r.n + 4 <= sizeof text);
    memcpy(text + 4, r.p, r.n);
    assert_int_equal(tz_hmac_sha256(tz_bytes_of(f->s->mac_key, 32), tz_bytes_of(text, r.n + 4), mac), 0);
    assert_true(tz_bytes_eq(f->all[0].mac, tz_bytes_of(mac, 32)));
}

/* ---- order ---- */

static void hole_in_the_seqs_is_an_error_that_leaves_nothing(void **state)
{
    struct sx *f = *state;
    uint8_t before[32];
    uint8_t after[32];
    sx_digest(f, before);
    int64_t results = sx_query(f, "SELECT count(*) FROM result");
    f->d1.seq++; /* this one was never sent */
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op_create(c, "organisation", "name=甲公司", "district_code=120101", NULL);
    sx_group(f);
    assert_int_equal(sx_apply(c), TZ_E_SEQ_HOLE);
    assert_string_equal(f->err.args[0], "1");
    struct sx_cs *other = sx_begin(&f->d2); /* the group goes on */
    sx_op_create(other, "organisation", "name=乙公司", "district_code=120102", NULL);
    assert_int_equal(sx_apply(other), 0);
    sx_applied(&f->res);
    tz_store_group_rollback(f->s);
    sx_digest(f, after);
    assert_memory_equal(before, after, 32);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM result"), results);
}

static void declare_lost(struct sx_dev *d, const uint64_t *seqs, size_t n)
{
    struct tz_msg_hello h = {.incarnation = d->d.incarnation, .last_seq = d->seq, .lost_seqs = seqs, .nlost = n};
    sx_group(d->f);
    assert_int_equal(tz_store_session_begin(d->f->s, d->d.number, &h, 0, &d->f->err), 0);
    sx_commit(d->f);
}

static void nothing_waits_for_a_seq_declared_lost(void **state)
{
    struct sx *f = *state;
    const uint64_t lost[] = {1, 2};
    struct tz_balance b;
    f->d1.seq = 2;
    declare_lost(&f->d1, lost, 2);
    sx_create(&f->d1, "organisation", "name=甲公司", "district_code=120101", NULL);
    assert_int_equal(tz_store_balance(f->s, f->d1.d.number, &b, &f->err), 0);
    assert_int_equal(b.lost, 2);
    assert_int_equal(b.applied, 1);
}

static void seq_that_was_judged_cannot_be_declared_lost(void **state)
{
    struct sx *f = *state;
    const uint64_t lost[] = {1};
    struct tz_balance b;
    sx_org(f, "甲公司");
    declare_lost(&f->d1, lost, 1);
    assert_int_equal(tz_store_balance(f->s, f->d1.d.number, &b, &f->err), 0);
    assert_int_equal(b.lost, 0);
    assert_int_equal(b.applied, 1);
}

static void only_seqs_that_were_given_and_not_judged_can_be_lost(void **state)
{
    struct sx *f = *state;
    const uint64_t lost[] = {1, 2, 3, UINT64_MAX};
    sx_org(f, "甲公司"); /* seq 1 */
    f->d1.seq = 2;
    declare_lost(&f->d1, lost, 4);
    assert_int_equal(sx_query(f, "SELECT sum(seq) FROM lost"), 2);
    f->d1.d.incarnation++; /* which nobody has */
    f->d1.seq = 3;
    declare_lost(&f->d1, lost, 4);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM lost"), 1);
}

static void count_ops(void *ctx, const struct tz_received *r)
{
    uint64_t *ops = ctx;
    *ops += r->ops;
}

static void copies_saves_are_kept_once_and_accounted_for(void **state)
{
    struct sx *f = *state;
    struct tz_balance b;
    uint64_t ops = 0;
    uint64_t entries[2];
    sx_org(f, "甲公司");
    struct tz_bytes raw[2];
    for (int i = 0; i < 2; i++) {
        f->d1.seq = 0;
        struct sx_cs *c = sx_begin(&f->d1);
        sx_op_create(c, "organisation", i ? "name=乙" : "name=丙", "district_code=120101", NULL);
        sx_expect(sx_push(c), TZ_OUT_HELD, TZ_E_FORKED);
        raw[i] = f->raw;
    }
    assert_int_equal(tz_store_audit_check(f->s, &entries[0], &f->err), 0);
    for (int i = 0; i < 2; i++) {
        sx_group(f);
        assert_int_equal(sx_apply_raw(&f->d1, raw[i]), 0);
        sx_commit(f);
        sx_expect(&f->res, TZ_OUT_HELD, TZ_E_FORKED);
    }
    assert_int_equal(tz_store_audit_check(f->s, &entries[1], &f->err), 0);
    assert_int_equal(entries[0], entries[1]);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog"), 2);
    assert_int_equal(tz_store_balance(f->s, f->d1.d.number, &b, &f->err), 0);
    assert_int_equal(b.held, 2);
    assert_int_equal(b.changesets, 3);
    assert_int_equal(tz_store_received(f->s, count_ops, &ops, &f->err), 0);
    assert_int_equal(ops, b.held + b.applied);
}

static void user_acts_only_on_devices_with_his_rights(void **state)
{
    struct sx *f = *state;
    struct tz_session_user *users = NULL;
    size_t n = 0;
    struct sx_cs *c = sx_begin(&f->fi); /* an inspector's, signed as the clerk of the same district */
    sx_op_create(c, "organisation", "name=甲公司", "district_code=120101", NULL);
    c->cs.user = f->d1.user;
    sx_refused(sx_push(c), TZ_E_USER_DISABLED);
    c = sx_begin(&f->d1);
    sx_op_create(c, "organisation", "name=甲公司", "district_code=120101", NULL);
    c->cs.user = f->d1b.user;
    sx_applied(sx_push(c));
    assert_int_equal(tz_store_users_of(f->s, &f->fi.d, &f->a, &users, &n, &f->err), 0);
    assert_int_equal(n, 2);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(users[i].role, "F_INSP");
}

static void reason_follows_the_rules_of_a_value(void **state)
{
    struct sx *f = *state;
    static const char ten[] = "一二三四五六七八九十";
    char text[TZ_REASON_CHARS_MAX * 3 + 4] = "";
    for (size_t i = 0; i < TZ_REASON_CHARS_MAX / 10; i++)
        memcpy(text + i * (sizeof ten - 1), ten, sizeof ten);
    const struct {
        const char *reason;
        int code;
    } tries[] = {{"改址", 0}, {text, 0}, {"a\nb", TZ_E_VALUE}, {"\x1b[2J", TZ_E_VALUE}, {" 前有空格", TZ_E_VALUE}};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        struct sx_cs *c = sx_begin(&f->d1);
        sx_op_create(c, "organisation", "name=甲公司", "district_code=120101", NULL);
        c->cs.reason = tries[i].reason;
        const struct tz_result *r = sx_push(c);
        assert_int_equal(r->outcome, tries[i].code ? TZ_OUT_REFUSED : TZ_OUT_APPLIED);
        assert_int_equal(r->code, tries[i].code);
        if (tries[i].code)
            assert_string_equal(r->args[0], "理由 reason");
    }
    memcpy(text + strlen(text), "长", sizeof "长");
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op_create(c, "organisation", "name=甲公司", "district_code=120101", NULL);
    c->cs.reason = text;
    sx_refused(sx_push(c), TZ_E_TOO_LONG);
}

static void names_of_people_and_devices_are_values(void **state)
{
    struct sx *f = *state;
    static const char *const bad[] = {"", "a\tb", "a\x1b[31mb", " a", "a\xe3\x80\x80", "e\xcc\x81"};
    struct tz_id id;
    uint8_t secret[16];
    sx_group(f);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tz_invite_spec spec = {"D_CLERK", "120101", bad[i]};
        assert_int_equal(tz_store_user_add(f->s, bad[i], "张三", "D_CLERK", "120101", &id, &f->err), TZ_E_VALUE);
        assert_int_equal(tz_store_invite_add(f->s, &spec, secret, &f->err), TZ_E_VALUE);
        if (i)
            assert_int_equal(tz_store_user_add(f->s, "u9", bad[i], "D_CLERK", "120101", &id, &f->err), TZ_E_VALUE);
    }
    sx_commit(f);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM user_grant WHERE code='u9'"), 0);
}

static void seq_declared_lost_cannot_come_back(void **state)
{
    struct sx *f = *state;
    const uint64_t lost[] = {1};
    f->d1.seq = 1;
    declare_lost(&f->d1, lost, 1);
    sx_org(f, "甲公司"); /* seq 2 */
    f->d1.seq = 0;
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id id = sx_op_create(c, "organisation", "name=乙公司", "district_code=120101", NULL);
    sx_expect(sx_push(c), TZ_OUT_HELD, TZ_E_FORKED);
    assert_null(sx_row(f, "organisation", id));
}

static void changeset_of_another_device_is_a_protocol_error(void **state)
{
    struct sx *f = *state;
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op_create(c, "organisation", "name=甲公司", "district_code=120101", NULL);
    c->cs.device = f->d2.d.number;
    sx_group(f);
    assert_int_equal(sx_apply(c), TZ_E_PROTOCOL);
    c->cs.device = f->d1.d.number;
    c->cs.incarnation++;
    assert_int_equal(sx_apply(c), TZ_E_PROTOCOL);
    tz_store_group_rollback(f->s);
}

static void damaged_bytes_leave_the_group_alone(void **state)
{
    struct sx *f = *state;
    sx_group(f);
    assert_true(sx_apply_raw(&f->d1, tz_bytes_str("\xff\xff\xff")) < 0);
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op_create(c, "organisation", "name=甲公司", "district_code=120101", NULL);
    assert_int_equal(sx_apply(c), 0);
    sx_applied(&f->res);
    sx_commit(f);
}

/* ---- what a save must hold ---- */

static void missing_required_field_refuses_a_create(void **state)
{
    struct sx *f = *state;
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op_create(c, "organisation", "district_code=120101", NULL);
    const struct tz_result *r = sx_push(c);
    sx_refused(r, TZ_E_REQUIRED);
    assert_string_equal(r->args[0], "name");
    c = sx_begin(&f->d1); /* a client of an older catalogue could not know */
    c->cs.catalogue_version--;
    sx_op_create(c, "organisation", "district_code=120101", NULL);
    sx_applied(sx_push(c));
}

static void defaults_are_given_by_the_server(void **state)
{
    struct sx *f = *state;
    sx_text_is(f, "organisation", sx_org(f, "甲公司"), "status", "unverified");
}

static void reference_to_a_deleted_record_revives_it_unless_the_author_knew(void **state)
{
    struct sx *f = *state;
    struct tz_id org = sx_org(f, "甲公司");
    sx_applied(sx_delete(&f->d1, "organisation", org));
    const char *by = sx_ref(f, "by_ref", f->fi.user);
    struct tz_id v =
        sx_create(&f->fi, "visit", sx_ref(f, "org_id", org), by, "visited_on=2023-11-01", "way=on_site", NULL);
    assert_false(sx_deleted(f, "organisation", org));
    assert_non_null(sx_case(f, org, "_deleted", 1));
    assert_non_null(sx_row(f, "visit", v));
    struct tz_id other = sx_org(f, "乙公司");
    sx_applied(sx_delete(&f->d1, "organisation", other));
    sx_see(&f->fi);
    struct sx_cs *c = sx_begin(&f->fi);
    sx_op_create(c, "visit", sx_ref(f, "org_id", other), by, "visited_on=2023-11-01", "way=on_site", NULL);
    sx_refused(sx_push(c), TZ_E_REF);
    assert_true(sx_deleted(f, "organisation", other));
}

static void list_of_a_thousand_references_is_judged(void **state)
{
    struct sx *f = *state;
    static char list[1000 * 33 + 32];
    size_t n = (size_t)snprintf(list, sizeof list, "audience_branches=");
    for (int k = 0; k < 2; k++) {
        struct sx_cs *c = sx_begin(&f->d1);
        for (int i = 0; i < 500; i++) {
            struct tz_id id = sx_op_create(c, "branch", "name=党支部", "branch_type=branch", "district_code=120101",
                                           "established_on=2020", NULL);
            n += (size_t)snprintf(list + n, sizeof list - n, "%s,", sx_hex(f, id));
        }
        sx_applied(sx_push(c));
    }
    list[n - 1] = '\0';
    struct tz_id unit = tz_store_fixed_id("unit", tz_bytes_str("GW120000"));
    struct tz_id e = sx_create(&f->c1, "study_event", "event_type=committee_study", "held_on=2023-10-01",
                               sx_ref(f, "host_unit", unit), "topic=学习", "audience_count=9", list, NULL);
    assert_int_equal(strlen(sx_text(f, "study_event", e, "audience_branches")), 1000 * 35 + 1);
    list[n - 2] = list[n - 2] == '0' ? '1' : '0'; /* one of them is unknown */
    struct sx_cs *c = sx_begin(&f->c1);
    sx_op_create(c, "study_event", "event_type=committee_study", "held_on=2023-10-01", sx_ref(f, "host_unit", unit),
                 "topic=学习", "audience_count=9", list, NULL);
    sx_refused(sx_push(c), TZ_E_REF);
}

/* ---- all or nothing ---- */

static void one_refusal_refuses_the_whole_save_without_a_trace(void **state)
{
    struct sx *f = *state;
    struct tz_id org = sx_org(f, "甲公司");
    uint8_t before[32];
    uint8_t after[32];
    sx_applied(sx_delete(&f->d1, "organisation", sx_org(f, "乙公司")));
    sx_applied(sx_set(&f->d1b, "organisation", org, "address=一路", NULL));
    f->d1.seen = f->d1.seen - 1; /* concurrent with that */
    sx_digest(f, before);
    tz_ver head = tz_store_head(f->s);
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id made = sx_op_create(c, "organisation", "name=丙公司", "district_code=120101", NULL);
    sx_op_set(c, "organisation", org, "address=二路", "grid_no=7", NULL); /* would open a case */
    sx_op_create(c, "organisation", "name=丁公司", "district_code=120102", NULL);
    const struct tz_result *r = sx_push(c);
    sx_refused(r, TZ_E_AREA);
    assert_int_equal(r->ver, 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(r->ops[i].outcome, TZ_OUT_REFUSED);
    assert_int_equal(r->ops[0].code, 0);
    assert_int_equal(r->ops[2].code, TZ_E_AREA);
    assert_null(sx_row(f, "organisation", made));
    sx_digest(f, after);
    assert_memory_equal(before, after, 32);
    assert_int_equal(tz_store_head(f->s), head);
}

static void ops_of_an_import_are_judged_alone(void **state)
{
    struct sx *f = *state;
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id a = sx_op_create(c, "organisation", "name=甲", "district_code=120101", NULL);
    struct tz_id b = sx_op_create(c, "organisation", "name=乙", "district_code=120102", NULL);
    struct tz_id d = sx_op_create(c, "organisation", "name=丙", "district_code=120101", NULL);
    c->cs.independent = true;
    const struct tz_result *r = sx_push(c);
    sx_applied(r);
    assert_int_equal(r->ops[0].outcome, TZ_OUT_APPLIED);
    assert_int_equal(r->ops[1].outcome, TZ_OUT_REFUSED);
    assert_int_equal(r->ops[1].code, TZ_E_AREA);
    assert_int_equal(r->ops[2].outcome, TZ_OUT_APPLIED);
    assert_non_null(sx_row(f, "organisation", a));
    assert_null(sx_row(f, "organisation", b));
    assert_non_null(sx_row(f, "organisation", d));
    assert_int_equal(sx_row(f, "organisation", a)->ver, sx_row(f, "organisation", d)->ver);
}

/* ---- enrolment ---- */

static int sign_nothing(void *ctx, uint32_t device, struct tz_bytes csr, struct tz_buf *certificate,
                        uint8_t fingerprint[TZ_FINGERPRINT_BYTES], struct tz_err *err)
{
    (void)device;
    (void)err;
    ++*(int *)ctx;
    memset(fingerprint, 0x55, TZ_FINGERPRINT_BYTES);
    return tz_buf_put(certificate, csr.p, csr.n);
}

static void invite_is_used_once_and_repeats_for_the_same_key_only(void **state)
{
    struct sx *f = *state;
    struct tz_invite_spec spec = {.role = "D_CLERK", .area = "120103", .name = "new"};
    uint8_t secret[16];
    const uint8_t key[32] = {1};
    const uint8_t other[32] = {2};
    struct tz_enrolment e[3];
    int signed_count = 0;
    sx_group(f);
    assert_int_equal(tz_store_invite_add(f->s, &spec, secret, &f->err), 0);
    struct tz_bytes s = tz_bytes_of(secret, 16);
    assert_int_equal(tz_store_enrol(f->s, s, tz_bytes_str("csr"), key, sign_nothing, &signed_count, &e[0], &f->err), 0);
    assert_int_equal(tz_store_enrol(f->s, s, tz_bytes_str("csr2"), key, sign_nothing, &signed_count, &e[1], &f->err),
                     0);
    assert_int_equal(tz_store_enrol(f->s, s, tz_bytes_str("csr"), other, sign_nothing, &signed_count, &e[2], &f->err),
                     TZ_E_INVITE);
    sx_commit(f);
    assert_int_equal(signed_count, 1);
    assert_int_equal(e[0].device.number, e[1].device.number);
    assert_true(tz_id_eq(e[0].user, e[1].user));
    assert_true(tz_bytes_eq(tz_buf_unread(&e[0].certificate), tz_buf_unread(&e[1].certificate)));
    for (int i = 0; i < 3; i++)
        tz_buf_deinit(&e[i].certificate);
}

static void grants_fit_their_role(void **state)
{
    struct sx *f = *state;
    uint8_t secret[16];
    const struct tz_invite_spec bad[] = {{"D_CLERK", "120000", "x"}, {"C_CLERK", "120101", "x"},
                                         {"S_CLERK", "120101", "x"}, {"D_CLERK", "999999", "x"},
                                         {"KING", "120101", "x"},    {"D_CLERK", "120101", ""}};
    sx_group(f);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(tz_store_invite_add(f->s, &bad[i], secret, &f->err), TZ_E_VALUE);
    const struct tz_invite_spec taken = {"D_CLERK", "120101", "d1"};
    assert_int_equal(tz_store_invite_add(f->s, &taken, secret, &f->err), TZ_E_NAME_TAKEN);
    tz_store_group_rollback(f->s);
}

#define T(name) cmocka_unit_test_setup_teardown(name, sx_setup, sx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(resend_gives_the_same_bytes_and_changes_nothing),
        T(resend_within_the_group_gives_the_same_bytes),
        T(other_content_under_a_known_seq_is_held_as_a_fork),
        T(only_seqs_that_were_given_and_not_judged_can_be_lost),
        T(copies_saves_are_kept_once_and_accounted_for),
        T(user_acts_only_on_devices_with_his_rights),
        T(reason_follows_the_rules_of_a_value),
        T(names_of_people_and_devices_are_values),
        T(result_is_proved_to_its_device),
        T(hole_in_the_seqs_is_an_error_that_leaves_nothing),
        T(nothing_waits_for_a_seq_declared_lost),
        T(seq_that_was_judged_cannot_be_declared_lost),
        T(seq_declared_lost_cannot_come_back),
        T(changeset_of_another_device_is_a_protocol_error),
        T(damaged_bytes_leave_the_group_alone),
        T(missing_required_field_refuses_a_create),
        T(defaults_are_given_by_the_server),
        T(reference_to_a_deleted_record_revives_it_unless_the_author_knew),
        T(list_of_a_thousand_references_is_judged),
        T(one_refusal_refuses_the_whole_save_without_a_trace),
        T(ops_of_an_import_are_judged_alone),
        T(invite_is_used_once_and_repeats_for_the_same_key_only),
        T(grants_fit_their_role),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
