/* SPDX-License-Identifier: Apache-2.0 */
/* What only replicas still have after a restore: kept while the window is open, then asked about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "reoffer_fixture.h"

/** A row as its reader has it. */
static struct tz_msg_row row_of(struct sx *f, const char *type, struct tz_id id)
{
    const struct tz_row *r = sx_row(f, type, id);
    struct tz_buf b;
    assert_non_null(r);
    tz_buf_init(&b, TZ_ROW_BYTES_MAX);
    assert_int_equal(tz_record_encode(&r->rec, &b), 0);
    struct tz_msg_row m = {.type = sx_type(f, type)->id,
                           .id = id,
                           .ver = r->ver,
                           .area = r->area,
                           .state = r->deleted ? TZ_ROW_DELETED : TZ_ROW_LIVE,
                           .body = {tz_arena_dup(&f->a, b.p, b.len), b.len}};
    tz_buf_deinit(&b);
    return m;
}

static enum tz_lost_verdict offer(struct sx_dev *d, const struct tz_msg_row *m)
{
    struct sx *f = d->f;
    struct tz_grant g;
    enum tz_lost_verdict v = TZ_LOST_UNFIT;
    assert_int_equal(tz_store_grant_of(f->s, &d->d, tz_clock_wall(&f->s->clock).ms, &g, &f->err), 0);
    sx_group(f);
    assert_int_equal(tz_store_offer_rows(f->s, &g, m, 1, &v, &f->err), 0);
    sx_commit(f);
    return v;
}

/** Backup, a record that only replicas keep, restore. */
static struct tz_id undone(struct sx *f, struct tz_msg_row *m)
{
    sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    struct tz_id id = sx_create(&f->d1, "organisation", "name=只剩副本", "address=一号", "district_code=120101", NULL);
    *m = row_of(f, "organisation", id);
    restore_to(f, b, 2, f->clock.wall.ms + WINDOW_MS);
    assert_null(sx_row(f, "organisation", id));
    return id;
}

static void a_row_is_kept_until_the_window_ends_and_then_asked_about(void **state)
{
    struct sx *f = *state;
    struct tz_msg_row m;
    struct tz_id id = undone(f, &m);
    assert_int_equal(offer(&f->fi, &m), TZ_LOST_KEPT);
    assert_int_equal(offer(&f->fi2, &m), TZ_LOST_KEPT);
    release_all(f);
    assert_null(sx_row(f, "organisation", id));
    f->clock.wall.ms += WINDOW_MS;
    release_all(f);
    assert_true(sx_deleted(f, "organisation", id));
    sx_text_is(f, "organisation", id, "name", "只剩副本");
    const struct tz_row *c = sx_case(f, id, "_deleted", 1);
    assert_non_null(c);
    assert_string_equal(sx_case_text(f, c, "kind"), "lost");
    assert_int_equal(sx_query(f, "SELECT count(*) FROM lost_offer"), 0);
    /* a supervisor of the area says so, nobody else */
    struct sx_dev super;
    sx_join(f, &super, "super", "D_SUPER", "120101");
    sx_see(&f->d1b);
    sx_see(&super);
    sx_refused(sx_resolve(&f->d1b, c->id, 1, "_deleted=0", NULL), TZ_E_NO_RIGHT_TYPE);
    sx_applied(sx_resolve(&super, c->id, 1, "_deleted=0", NULL));
    assert_false(sx_deleted(f, "organisation", id));
    sx_text_is(f, "organisation", id, "address", "一号");
    uint64_t entries = 0;
    assert_int_equal(tz_store_audit_check(f->s, &entries, &f->err), 0);
}

static void when_its_author_comes_nothing_is_asked(void **state)
{
    struct sx *f = *state;
    sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    struct tz_id id = sx_create(&f->d1, "organisation", "name=作者还在", "district_code=120101", NULL);
    struct tz_bytes raw = f->raw;
    struct tz_signed_result was = f->all[0];
    struct tz_msg_row m = row_of(f, "organisation", id);
    restore_to(f, b, 2, f->clock.wall.ms + WINDOW_MS);
    assert_int_equal(offer(&f->fi, &m), TZ_LOST_KEPT);
    struct tz_apply_ctx ctx = {.device = f->d1.d.number, .received = f->clock.wall, .was = &was};
    sx_group(f);
    assert_int_equal(tz_store_apply(f->s, &ctx, raw, &f->a, &f->out, &f->err), 0);
    sx_commit(f);
    assert_int_equal(offer(&f->fi2, &m), TZ_LOST_BACK);
    f->clock.wall.ms += WINDOW_MS;
    release_all(f);
    assert_false(sx_deleted(f, "organisation", id));
    assert_int_equal(sx_query(f, "SELECT count(*) FROM \"case\""), 0);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM lost_offer"), 0);
}

static void of_a_record_that_is_here_the_differences_are_asked_about(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_id other = sx_org(f, "乙公司");
    struct tz_memdisk *b = backup(f);
    sx_applied(sx_set(&f->d1, "organisation", id, "address=恢复前改的", NULL));
    struct tz_msg_row m = row_of(f, "organisation", id);
    sx_applied(sx_delete(&f->d1, "organisation", other));
    struct tz_msg_row gone = row_of(f, "organisation", other);
    restore_to(f, b, 2, f->clock.wall.ms + WINDOW_MS);
    assert_int_equal(offer(&f->fi, &m), TZ_LOST_KEPT);
    assert_int_equal(offer(&f->fi, &gone), TZ_LOST_KEPT);
    f->clock.wall.ms += WINDOW_MS;
    release_all(f);
    sx_text_is(f, "organisation", id, "address", "");
    const struct tz_row *c = sx_case(f, id, "address", 1);
    assert_non_null(c);
    assert_string_equal(sx_candidate(f, c, 0, "address"), "恢复前改的");
    assert_null(sx_case(f, id, "name", 1));
    assert_false(sx_deleted(f, "organisation", other));
    assert_non_null(sx_case(f, other, "_deleted", 1));
}

static void an_edit_that_waited_for_such_a_record_finds_it(void **state)
{
    struct sx *f = *state;
    struct tz_msg_row m;
    struct tz_id id = undone(f, &m);
    f->fi.seen = m.ver;
    sx_expect(sx_set(&f->fi, "organisation", id, "address=接着改", NULL), TZ_OUT_WAITING, TZ_E_RECOVERING);
    assert_int_equal(offer(&f->fi, &m), TZ_LOST_KEPT);
    f->clock.wall.ms += WINDOW_MS;
    release_all(f);
    assert_false(sx_deleted(f, "organisation", id)); /* somebody works on it */
    sx_text_is(f, "organisation", id, "address", "接着改");
    assert_non_null(sx_case(f, id, "_deleted", 1));
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog"), 0);
}

static void what_no_reader_could_have_is_not_taken(void **state)
{
    struct sx *f = *state;
    struct tz_msg_row m;
    (void)undone(f, &m);
    assert_int_equal(offer(&f->d2, &m), TZ_LOST_UNFIT); /* another district's */
    struct tz_msg_row bad = m;
    bad.ver = tz_store_head(f->s); /* never lost */
    assert_int_equal(offer(&f->fi, &bad), TZ_LOST_UNFIT);
    bad = m;
    bad.body.n--;
    assert_int_equal(offer(&f->fi, &bad), TZ_LOST_UNFIT);
    bad = m;
    bad.type = 9999;
    assert_int_equal(offer(&f->fi, &bad), TZ_LOST_UNFIT);
    bad = m;
    bad.type = f->s->user_type->id; /* the server's own: it has them again itself */
    assert_int_equal(offer(&f->fi, &bad), TZ_LOST_BACK);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM lost_offer"), 0);
}

/** The words of a save that its device has wiped since are in the case alone: who has that must not forget it. */
static void a_case_is_kept_by_its_reader_until_all_who_speak_in_it_came(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_see(&f->d1);
    sx_see(&f->d1b);
    struct tz_memdisk *b = backup(f);
    sx_applied(sx_set(&f->d1, "organisation", id, "address=先写的", NULL));
    struct kept first = keep(&f->d1);
    f->clock.wall.ms += 60000;
    sx_applied(sx_set(&f->d1b, "organisation", id, "address=后写的", NULL));
    struct kept second = keep(&f->d1b);
    struct tz_msg_row m = row_of(f, "case", sx_case(f, id, "address", 1)->id);
    restore_to(f, b, 2, f->clock.wall.ms + WINDOW_MS);
    sx_applied(hand_in(&second));
    assert_int_equal(offer(&f->fi, &m), TZ_LOST_UNFIT);
    f->clock.wall.ms += WINDOW_MS;
    release_all(f);
    assert_int_equal(offer(&f->fi, &m), TZ_LOST_UNFIT);
    (void)hand_in(&first);
    assert_int_equal(offer(&f->fi, &m), TZ_LOST_BACK);
    assert_string_equal(sx_candidate(f, sx_case(f, id, "address", 1), 0, "address"), "先写的");
}

static void later_than_the_window_it_is_asked_about_at_once(void **state)
{
    struct sx *f = *state;
    struct tz_msg_row m;
    struct tz_id id = undone(f, &m);
    f->clock.wall.ms += WINDOW_MS;
    release_all(f);
    assert_int_equal(offer(&f->fi, &m), TZ_LOST_KEPT);
    assert_true(tz_store_release_left(f->s));
    release_all(f);
    assert_non_null(sx_case(f, id, "_deleted", 1));
}

static void while_the_window_is_open_a_repair_keeps_what_the_server_lacks(void **state)
{
    struct sx *f = *state;
    struct tz_msg_row m;
    struct tz_grant g;
    struct tz_buf out;
    struct tz_msg_digest d;
    tz_ver since = 0;
    struct tz_msg_digest_request ask = {.round = TZ_DIGEST_AREAS};
    (void)undone(f, &m);
    assert_int_equal(tz_store_grant_of(f->s, &f->fi.d, tz_clock_wall(&f->s->clock).ms, &g, &f->err), 0);
    for (int open = 1; open >= 0; open--) {
        tz_buf_init(&out, 1 << 20);
        assert_int_equal(tz_store_digest(f->s, &g, &ask, &out, &since, &f->err), 0);
        assert_int_equal(tz_msg_read_digest(tz_buf_unread(&out), &f->a, &d, &f->err), 0);
        assert_int_equal(d.repair_keeps, open);
        tz_buf_deinit(&out);
        f->clock.wall.ms += WINDOW_MS;
    }
}

static void that_the_last_change_came_back_does_not_bring_back_the_one_before(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    sx_applied(sx_set(&f->d1, "organisation", id, "address=一号", NULL)); /* its laptop is lost */
    sx_see(&f->d1b);
    sx_applied(sx_set(&f->d1b, "organisation", id, "name=新名称", NULL));
    struct kept last = keep(&f->d1b);
    struct tz_msg_row m = row_of(f, "organisation", id);
    restore_to(f, b, 2, f->clock.wall.ms + WINDOW_MS);
    sx_applied(hand_in(&last));
    assert_int_equal(offer(&f->fi, &m), TZ_LOST_KEPT);
    f->clock.wall.ms += WINDOW_MS;
    release_all(f);
    const struct tz_row *c = sx_case(f, id, "address", 1);
    assert_non_null(c);
    assert_string_equal(sx_candidate(f, c, 0, "address"), "一号");
    assert_null(sx_case(f, id, "name", 1));
}

static void its_author_may_come_after_the_window(void **state)
{
    struct sx *f = *state;
    sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    struct tz_id id = sx_create(&f->d1, "organisation", "name=作者晚到", "district_code=120101", NULL);
    struct kept made = keep(&f->d1);
    struct tz_msg_row m = row_of(f, "organisation", id);
    restore_to(f, b, 2, f->clock.wall.ms + WINDOW_MS);
    assert_int_equal(offer(&f->fi, &m), TZ_LOST_KEPT);
    f->clock.wall.ms += WINDOW_MS;
    release_all(f);
    assert_true(sx_deleted(f, "organisation", id));
    sx_applied(hand_in(&made));
    assert_false(sx_deleted(f, "organisation", id));
    const struct tz_row *c = sx_case(f, id, "_deleted", 1);
    assert_string_equal(sx_case_text(f, c, "state"), "closed");
    assert_string_equal(sx_case_text(f, c, "choice"), "gone");
    assert_int_equal(sx_query(f, "SELECT count(*) FROM \"case\" WHERE state='open'"), 0);
}

/** What others added to the record after its maker: nobody brings that, and it is asked about beside what he made. */
static void its_author_brings_no_more_than_his_own(void **state)
{
    struct sx *f = *state;
    sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    struct tz_id id = sx_create(&f->d1, "organisation", "name=作者晚到", "district_code=120101", NULL);
    struct kept made = keep(&f->d1);
    sx_see(&f->d1b);
    sx_applied(sx_set(&f->d1b, "organisation", id, "address=别人写的", NULL));
    struct tz_msg_row m = row_of(f, "organisation", id);
    restore_to(f, b, 2, f->clock.wall.ms + WINDOW_MS);
    assert_int_equal(offer(&f->fi, &m), TZ_LOST_KEPT);
    f->clock.wall.ms += WINDOW_MS;
    release_all(f);
    sx_applied(hand_in(&made));
    assert_false(sx_deleted(f, "organisation", id));
    sx_text_is(f, "organisation", id, "address", "");
    const struct tz_row *c = sx_case(f, id, "address", 1);
    assert_non_null(c);
    assert_string_equal(sx_candidate(f, c, 0, "address"), "别人写的");
    assert_string_equal(sx_case_text(f, sx_case(f, id, "_deleted", 1), "state"), "closed");
}

static void people_have_brought_it_back_before_its_author_comes(void **state)
{
    struct sx *f = *state;
    sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    struct tz_id id = sx_create(&f->d1, "organisation", "name=作者晚到", "district_code=120101", NULL);
    struct kept made = keep(&f->d1);
    struct tz_msg_row m = row_of(f, "organisation", id);
    restore_to(f, b, 2, f->clock.wall.ms + WINDOW_MS);
    assert_int_equal(offer(&f->fi, &m), TZ_LOST_KEPT);
    f->clock.wall.ms += WINDOW_MS;
    release_all(f);
    struct sx_dev super;
    sx_join(f, &super, "super", "D_SUPER", "120101");
    sx_see(&super);
    sx_applied(sx_resolve(&super, sx_case(f, id, "_deleted", 1)->id, 1, "_deleted=0", NULL));
    sx_see(&super);
    sx_applied(sx_set(&super, "organisation", id, "name=改过了", NULL));
    sx_applied(hand_in(&made));
    sx_text_is(f, "organisation", id, "name", "改过了");
}

static void people_have_left_it_away_before_its_author_comes(void **state)
{
    struct sx *f = *state;
    sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    struct tz_id id = sx_create(&f->d1, "organisation", "name=作者晚到", "district_code=120101", NULL);
    struct kept made = keep(&f->d1);
    struct tz_msg_row m = row_of(f, "organisation", id);
    restore_to(f, b, 2, f->clock.wall.ms + WINDOW_MS);
    assert_int_equal(offer(&f->fi, &m), TZ_LOST_KEPT);
    f->clock.wall.ms += WINDOW_MS;
    release_all(f);
    struct sx_dev super;
    sx_join(f, &super, "super", "D_SUPER", "120101");
    sx_see(&super);
    sx_applied(sx_resolve(&super, sx_case(f, id, "_deleted", 1)->id, 1, "_deleted=1", NULL));
    (void)hand_in(&made);
    assert_true(sx_deleted(f, "organisation", id));
    const struct tz_row *c = sx_case(f, id, "_deleted", 2);
    assert_non_null(c);
    assert_string_equal(sx_candidate(f, c, 0, "name"), "作者晚到");
}

static void what_was_asked_is_answered_when_its_author_comes(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    sx_applied(sx_set(&f->d1, "organisation", id, "address=一号", NULL));
    struct kept k = keep(&f->d1);
    struct tz_msg_row m = row_of(f, "organisation", id);
    restore_to(f, b, 2, f->clock.wall.ms + WINDOW_MS);
    assert_int_equal(offer(&f->fi, &m), TZ_LOST_KEPT);
    f->clock.wall.ms += WINDOW_MS;
    release_all(f);
    assert_string_equal(sx_case_text(f, sx_case(f, id, "address", 1), "state"), "open");
    sx_applied(hand_in(&k));
    sx_text_is(f, "organisation", id, "address", "一号");
    assert_string_equal(sx_case_text(f, sx_case(f, id, "address", 1), "state"), "closed");
}

/** Who edits on top of a lost version knows what it said: that is no word nobody knows of. */
static void what_was_replaced_knowingly_is_not_asked_about(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_id gone = sx_org(f, "乙公司");
    struct tz_memdisk *b = backup(f);
    sx_applied(sx_set(&f->d1, "organisation", id, "address=一号", NULL));
    struct tz_msg_row m = row_of(f, "organisation", id);
    sx_applied(sx_set(&f->d1, "organisation", gone, "address=二号", NULL));
    struct tz_msg_row m2 = row_of(f, "organisation", gone);
    sx_see(&f->d1b);
    restore_to(f, b, 2, f->clock.wall.ms + WINDOW_MS);
    sx_applied(sx_set(&f->d1b, "organisation", id, "address=三号", NULL));
    sx_applied(sx_delete(&f->d1b, "organisation", gone));
    assert_int_equal(offer(&f->fi, &m), TZ_LOST_KEPT);
    assert_int_equal(offer(&f->fi, &m2), TZ_LOST_KEPT);
    f->clock.wall.ms += WINDOW_MS;
    release_all(f);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM \"case\""), 0);
    sx_text_is(f, "organisation", id, "address", "三号");
}

static void what_another_device_was_refused_hides_nothing(void **state)
{
    struct sx *f = *state;
    struct tz_msg_row m;
    struct tz_id id = undone(f, &m);
    struct sx_cs *c = sx_begin(&f->d2);
    sx_op_create_as(c, id, "organisation", "name=别人的编号", "district_code=120102", NULL);
    sx_refused(sx_push(c), TZ_E_ID_MAKER);
    assert_int_equal(offer(&f->fi, &m), TZ_LOST_KEPT);
    f->clock.wall.ms += WINDOW_MS;
    release_all(f);
    assert_non_null(sx_case(f, id, "_deleted", 1));
}

static void a_row_that_was_made_up_replaces_nobodys(void **state)
{
    struct sx *f = *state;
    struct tz_msg_row m;
    struct tz_id id = undone(f, &m);
    struct tz_msg_row forged = m;
    struct tz_record rec;
    struct tz_buf body;
    tz_record_init(&rec, sx_type(f, "organisation"));
    rec.v[tz_type_field(rec.type, "name")->index] = tz_value_text("编造的");
    rec.v[tz_type_field(rec.type, "district_code")->index] = tz_value_text("120102");
    tz_buf_init(&body, TZ_ROW_BYTES_MAX);
    assert_int_equal(tz_record_encode(&rec, &body), 0);
    forged.body = tz_buf_unread(&body);
    forged.ver = m.ver + 1000;
    memcpy(forged.area.district, "120102", 7);
    assert_int_equal(offer(&f->fi, &m), TZ_LOST_KEPT);
    assert_int_equal(offer(&f->d2, &forged), TZ_LOST_UNFIT);
    tz_buf_deinit(&body);
    f->clock.wall.ms += WINDOW_MS;
    release_all(f);
    sx_text_is(f, "organisation", id, "name", "只剩副本");
}

static void a_lost_edit_of_a_record_deleted_since_is_asked_about(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    sx_applied(sx_set(&f->d1, "organisation", id, "address=一号", NULL));
    struct tz_msg_row m = row_of(f, "organisation", id);
    restore_to(f, b, 2, f->clock.wall.ms + WINDOW_MS);
    sx_applied(sx_delete(&f->d1b, "organisation", id)); /* never saw the address */
    assert_int_equal(offer(&f->fi, &m), TZ_LOST_KEPT);
    f->clock.wall.ms += WINDOW_MS;
    release_all(f);
    assert_non_null(sx_case(f, id, "_deleted", 1));
}

/* ---- what cannot be judged ---- */

/** What is damaged is kept and holds nobody up. */
static void a_row_that_cannot_be_judged_is_passed_over(void **state)
{
    struct sx *f = *state;
    sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    struct tz_id id = sx_create(&f->d1, "organisation", "name=读不出", "district_code=120101", NULL);
    struct tz_msg_row m = row_of(f, "organisation", id);
    struct tz_id second = sx_create(&f->d1, "organisation", "name=读得出", "district_code=120101", NULL);
    struct tz_msg_row other = row_of(f, "organisation", second);
    restore_to(f, b, 2, f->clock.wall.ms + WINDOW_MS);
    f->fi.seen = other.ver;
    sx_expect(sx_set(&f->fi, "organisation", second, "address=二号", NULL), TZ_OUT_WAITING, TZ_E_RECOVERING);
    assert_int_equal(offer(&f->fi, &m), TZ_LOST_KEPT);
    assert_int_equal(offer(&f->fi, &other), TZ_LOST_KEPT);
    sx_exec(f, "UPDATE lost_offer SET body=x'ff' WHERE ver=(SELECT min(ver) FROM lost_offer)");
    f->clock.wall.ms += WINDOW_MS;
    release_all(f);
    assert_null(sx_row(f, "organisation", id));
    sx_text_is(f, "organisation", second, "address", "二号");
    assert_int_equal(sx_query(f, "SELECT count(*) FROM backlog"), 0);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM lost_offer"), 1);
    assert_int_equal(offer(&f->fi2, &m), TZ_LOST_KEPT);
    release_all(f);
    assert_non_null(sx_case(f, id, "_deleted", 1));
    assert_int_equal(sx_query(f, "SELECT count(*) FROM lost_offer"), 0);
    uint64_t entries = 0;
    assert_int_equal(tz_store_audit_check(f->s, &entries, &f->err), 0);
}

/** A case says who wrote what stands. When that cannot be read, nobody is named in his place. */
static void a_damaged_pack_puts_no_other_author_into_a_case(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(sx_set(&f->d1, "organisation", id, "address=一号", NULL));
    for (int i = 0; i < 10; i++)
        sx_applied(sx_set(&f->d1, "organisation", id, i % 2 ? "name=甲公司" : "name=乙公司", NULL));
    struct tz_memdisk *b = backup(f);
    sx_applied(sx_set(&f->d1, "organisation", id, "address=二号", NULL));
    struct tz_msg_row m = row_of(f, "organisation", id);
    restore_to(f, b, 2, f->clock.wall.ms + WINDOW_MS);
    assert_int_equal(offer(&f->fi, &m), TZ_LOST_KEPT);
    assert_true(sx_query(f, "SELECT count(*) FROM commit_pack") > 0);
    sx_exec(f, "UPDATE commit_pack SET body=substr(body,1,length(body)-2)");
    sx_exec(f, "DELETE FROM audit_body"); /* nor can it be rebuilt */
    f->clock.wall.ms += WINDOW_MS;
    open_again(f);
    release_all(f);
    assert_null(sx_case(f, id, "address", 1));
    assert_int_equal(sx_query(f, "SELECT count(*) FROM lost_offer"), 1);
}

/** @n codes of four letters from the @from-th on, as a set is kept. */
static struct tz_value codes(struct sx *f, unsigned from, unsigned n)
{
    char *text = tz_arena_alloc(&f->a, (size_t)n * 8 + 2);
    size_t at = 0;
    for (unsigned i = from; i < from + n; i++) {
        const char code[8] = {
            i == from ? '[' : ',', '"', (char)('a' + i / 17576), (char)('a' + i / 676 % 26), (char)('a' + i / 26 % 26),
            (char)('a' + i % 26),  '"'};
        memcpy(text + at, code, 7);
        at += 7;
    }
    text[at++] = ']';
    return tz_value_textn(text, at);
}

static void the_largest_sets_are_compared(void **state)
{
    struct sx *f = *state;
    char sql[16 * 1024];
    struct tz_id branch = sx_create(&f->d1, "branch", "name=党支部", "branch_type=branch", "district_code=120101",
                                    "established_on=2020", "term_years=3", NULL);
    struct tz_id id = sx_create(&f->d1, "weak_case", sx_ref(f, "branch_id", branch), "year=2017",
                                "categories=support_weak", "plan=一支一策", "due_on=2017-12-31", NULL);
    struct tz_memdisk *b = backup(f);
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "weak_case", id, "plan=二策", NULL));
    struct tz_msg_row m = row_of(f, "weak_case", id);
    struct tz_row *row = tz_arena_dup(&f->a, sx_row(f, "weak_case", id), sizeof *row);
    row->rec.v[tz_type_field(row->rec.type, "categories")->index] = codes(f, 0, TZ_SET_ELEMENTS_MAX);
    struct tz_buf body;
    tz_buf_init(&body, TZ_ROW_BYTES_MAX);
    assert_int_equal(tz_record_encode(&row->rec, &body), 0);
    m.body = tz_bytes_of(tz_arena_dup(&f->a, body.p, body.len), body.len);
    tz_buf_deinit(&body);
    restore_to(f, b, 2, f->clock.wall.ms + WINDOW_MS);
    struct tz_value now = codes(f, 1, TZ_SET_ELEMENTS_MAX);
    (void)snprintf(sql, sizeof sql, "UPDATE weak_case SET categories='%.*s'", (int)now.n, (const char *)now.p);
    sx_exec(f, sql);
    assert_int_equal(offer(&f->d1b, &m), TZ_LOST_KEPT);
    f->clock.wall.ms += WINDOW_MS;
    release_all(f);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM lost_offer"), 0);
    assert_non_null(sx_case(f, id, "categories", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_row_is_kept_until_the_window_ends_and_then_asked_about),
        T(when_its_author_comes_nothing_is_asked),
        T(of_a_record_that_is_here_the_differences_are_asked_about),
        T(an_edit_that_waited_for_such_a_record_finds_it),
        T(what_no_reader_could_have_is_not_taken),
        T(a_case_is_kept_by_its_reader_until_all_who_speak_in_it_came),
        T(later_than_the_window_it_is_asked_about_at_once),
        T(that_the_last_change_came_back_does_not_bring_back_the_one_before),
        T(its_author_may_come_after_the_window),
        T(its_author_brings_no_more_than_his_own),
        T(people_have_brought_it_back_before_its_author_comes),
        T(people_have_left_it_away_before_its_author_comes),
        T(what_was_asked_is_answered_when_its_author_comes),
        T(what_was_replaced_knowingly_is_not_asked_about),
        T(what_another_device_was_refused_hides_nothing),
        T(a_row_that_was_made_up_replaces_nobodys),
        T(a_lost_edit_of_a_record_deleted_since_is_asked_about),
        T(a_row_that_cannot_be_judged_is_passed_over),
        T(a_damaged_pack_puts_no_other_author_into_a_case),
        T(the_largest_sets_are_compared),
        T(while_the_window_is_open_a_repair_keeps_what_the_server_lacks),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
