/* SPDX-License-Identifier: Apache-2.0 */
/* Up to which version devices may empty own saves: backups that are kept, time lines, age. Cases that were closed long
 * ago. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "restore_fixture.h"

static const int64_t DAY = 24 * 3600 * 1000;
static const struct tz_purge_rules RULES = {.lease_ms = INT64_C(180) * 24 * 3600 * 1000,
                                            .purge_ms = INT64_C(180) * 24 * 3600 * 1000,
                                            .compact_ms = INT64_C(90) * 24 * 3600 * 1000};

/* ---- helpers ---- */

static void days(struct sx *f, int64_t n)
{
    f->clock.wall.ms += n * DAY;
}

/** What the server does daily. */
static void purge(struct sx *f)
{
    bool more = true;
    for (int i = 0; more; i++) {
        struct tz_purge_done done;
        assert_true(i < 1000);
        sx_group(f);
        assert_int_equal(tz_store_purge(f->s, &RULES, &done, &more, &f->err), 0);
        sx_commit(f);
    }
}

static struct tz_backup_state here(const struct sx *f)
{
    tz_ver head = tz_store_head(f->s);
    return (struct tz_backup_state){(uint32_t)(head >> TZ_VER_COUNTER_BITS), head};
}

static void told(struct sx *f, const char *folder, const struct tz_backup_state *held, size_t n)
{
    sx_group(f);
    assert_int_equal(tz_store_backups_told(f->s, folder, held, n, (unsigned)n, &f->err), 0);
    sx_commit(f);
}

static tz_ver upto(struct sx *f)
{
    tz_ver v = 0;
    assert_int_equal(tz_store_compact_upto(f->s, &v, &f->err), 0);
    return v;
}

static tz_ver oldest(struct sx *f)
{
    struct tz_backup_folder b;
    assert_int_equal(tz_store_backup_oldest(f->s, &b, &f->err), 0);
    return b.upto;
}

/** A version that no device has to number. */
static void advance(struct sx *f, const char *code)
{
    struct tz_id id;
    sx_group(f);
    assert_int_equal(tz_store_user_add(f->s, code, "甲", "D_CLERK", "120101", &id, &f->err), 0);
    sx_commit(f);
}

/* ---- backups and age ---- */

static void without_a_backup_nothing_may_go(void **state)
{
    struct sx *f = *state;
    sx_org(f, "甲公司");
    days(f, 400);
    purge(f);
    assert_int_equal(upto(f), 0);
    struct tz_backup_state b = here(f);
    told(f, "/b", &b, 1);
    assert_int_equal(upto(f), b.head);
    told(f, "/b", NULL, 0); /* deleted by hand */
    assert_int_equal(upto(f), 0);
}

static void the_oldest_of_all_folders_says_how_far(void **state)
{
    struct sx *f = *state;
    struct tz_backup_state b[3];
    for (int i = 0; i < 3; i++) {
        sx_org(f, "甲公司");
        b[i] = here(f);
    }
    days(f, 100);
    purge(f);
    told(f, "/b", &b[1], 2);
    assert_int_equal(upto(f), b[1].head);
    told(f, "/usb", &b[0], 1);
    assert_int_equal(upto(f), b[0].head);
    struct tz_backup_folder who;
    assert_int_equal(tz_store_backup_oldest(f->s, &who, &f->err), 0);
    assert_string_equal(who.path, "/usb");
    told(f, "/usb", NULL, 0);
    sx_group(f); /* it is not known any more */
    assert_int_equal(tz_store_backups_told(f->s, "/usb", NULL, 0, 0, &f->err), TZ_E_NOT_FOUND);
    tz_store_group_rollback(f->s);
    told(f, "/b", &b[2], 1); /* the oldest was dropped */
    assert_int_equal(upto(f), b[2].head);
}

static void what_is_young_stays_whole(void **state)
{
    struct sx *f = *state;
    sx_org(f, "甲公司");
    tz_ver old = tz_store_head(f->s);
    days(f, 60);
    sx_org(f, "乙公司");
    struct tz_backup_state b = here(f);
    told(f, "/b", &b, 1);
    purge(f);
    assert_int_equal(upto(f), 0);
    days(f, 31);
    assert_int_equal(upto(f), 0); /* until the next run */
    purge(f);
    assert_int_equal(upto(f), old);
    days(f, 60);
    purge(f);
    assert_int_equal(upto(f), b.head);
}

static void a_clock_that_ran_ahead_makes_nothing_old(void **state)
{
    struct sx *f = *state;
    sx_org(f, "甲公司");
    struct tz_backup_state b = here(f);
    told(f, "/b", &b, 1);
    days(f, 3650);
    purge(f);
    assert_int_equal(upto(f), b.head);
    days(f, -3650);
    purge(f);
    assert_int_equal(upto(f), 0);
}

/* ---- restores ---- */

static void an_open_window_stops_it(void **state)
{
    struct sx *f = *state;
    sx_org(f, "甲公司");
    days(f, 100);
    struct tz_backup_state b = here(f);
    told(f, "/b", &b, 1);
    purge(f);
    struct tz_memdisk *disk = backup(f);
    sx_org(f, "乙公司");
    restore_to(f, disk, 2, f->clock.wall.ms + 5 * DAY);
    assert_int_equal(upto(f), 0);
    days(f, 6);
    assert_int_equal(upto(f), b.head);
}

/** What a device was told to empty is in every backup that is kept, so a restore to any of them undoes none of it. */
static void a_restore_undoes_nothing_that_might_have_been_emptied(void **state)
{
    struct sx *f = *state;
    struct tz_memdisk *disk[3];
    struct tz_backup_state b[3];
    for (int i = 0; i < 3; i++) {
        sx_org(f, "甲公司");
        b[i] = here(f);
        disk[i] = backup(f);
        told(f, "/b", b, (size_t)i + 1);
    }
    days(f, 100);
    purge(f);
    tz_ver emptied = upto(f);
    assert_int_equal(emptied, b[0].head);
    restore_to(f, disk[0], 2, 0);
    struct tz_lost_range lost;
    assert_int_equal(tz_store_lost_ranges(f->s, &lost, 1), 1);
    assert_true(lost.above >= emptied);
    assert_true(upto(f) <= emptied); /* an older database says what its backups said then */
    tz_memdisk_free(disk[1]);
    tz_memdisk_free(disk[2]);
}

/** A backup of what was undone agrees only up to where the server went back to, however far it reaches. */
static void backups_of_a_time_line_that_was_left_agree_up_to_there(void **state)
{
    struct sx *f = *state;
    advance(f, "u1");
    struct tz_backup_state a = here(f);
    struct tz_memdisk *at_a = backup(f);
    advance(f, "u2");
    struct tz_backup_state b = here(f);
    struct tz_memdisk *at_b = backup(f);
    restore_to(f, at_a, 2, 0);
    advance(f, "u3");
    struct tz_backup_state c = here(f);
    assert_true(c.head > b.head);
    told(f, "/b", &b, 1);
    assert_int_equal(oldest(f), a.head);
    told(f, "/b", &c, 1);
    assert_int_equal(oldest(f), c.head);
    told(f, "/b", (struct tz_backup_state[]){a, b, c}, 3);
    assert_int_equal(oldest(f), a.head);
    /* and back to what was left: what came of the restore is not behind this one */
    restore_to(f, at_b, 3, 0);
    advance(f, "u4");
    struct tz_backup_state d = here(f);
    told(f, "/b", &c, 1);
    assert_int_equal(oldest(f), 0);
    told(f, "/b", (struct tz_backup_state[]){a, b, d}, 3);
    assert_int_equal(oldest(f), a.head);
    told(f, "/b", (struct tz_backup_state[]){b, d}, 2);
    assert_int_equal(oldest(f), b.head);
}

/* ---- closed cases ---- */

static void acked(struct sx_dev *d, tz_ver ver)
{
    sx_group(d->f);
    assert_int_equal(tz_store_acknowledged(d->f->s, d->d.number, ver, &d->f->err), 0);
    sx_commit(d->f);
}

static void all_acked(struct sx *f)
{
    struct sx_dev *all[] = {&f->fi, &f->fi2, &f->d1, &f->d1b, &f->d2, &f->s1, &f->c1};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        acked(all[i], tz_store_head(f->s));
}

/** Everything there is is in a backup, old enough, and known to everybody. */
static void long_ago(struct sx *f)
{
    struct tz_backup_state b = here(f);
    told(f, "/b", &b, 1);
    days(f, 91);
    all_acked(f);
}

/** d1 said 一路, then fi, who had not seen it, 二路: that stands, d1's word is in the case. */
static struct tz_id in_conflict(struct sx *f, struct tz_id *case_id)
{
    struct tz_id id = sx_org(f, "甲公司");
    f->clock.wall.ms += 1000;
    sx_applied(sx_set(&f->d1, "organisation", id, "address=一路", NULL));
    f->clock.wall.ms += 1000;
    sx_applied(sx_set(&f->fi, "organisation", id, "address=二路", NULL));
    *case_id = sx_case(f, id, "address", 1)->id;
    return id;
}

static struct tz_id decided(struct sx *f, struct tz_id *case_id)
{
    struct tz_id id = in_conflict(f, case_id);
    sx_see(&f->d1b);
    sx_applied(sx_resolve(&f->d1b, *case_id, 1, "address=二路", NULL));
    return id;
}

static bool has_values(struct sx *f, struct tz_id id, const char *subject)
{
    json_t *list = sx_candidates(f, sx_case(f, id, subject, 1), "candidates");
    bool has = json_is_object(json_object_get(json_array_get(list, 0), "values"));
    json_decref(list);
    return has;
}

static void a_case_closed_long_ago_keeps_who_said_something_and_not_what(void **state)
{
    struct sx *f = *state;
    struct tz_id case_id;
    struct tz_id id = decided(f, &case_id);
    const struct tz_row *was = sx_case(f, id, "address", 1);
    json_t *said = sx_candidates(f, was, "candidates");
    const json_t *before = json_array_get(said, 0);
    tz_ver head = tz_store_head(f->s);
    purge(f);
    assert_true(has_values(f, id, "address")); /* no backup */
    long_ago(f);
    purge(f);
    const struct tz_row *c = sx_case(f, id, "address", 1);
    json_t *left = sx_candidates(f, c, "candidates");
    const json_t *after = json_array_get(left, 0);
    assert_int_equal(sx_ncandidates(f, c), 1);
    assert_null(json_object_get(after, "values"));
    assert_int_equal(json_array_size(json_object_get(after, "fields")), 1);
    assert_string_equal(json_string_value(json_array_get(json_object_get(after, "fields"), 0)), "address");
    static const char *const kept[] = {"at", "by", "device", "rule", "since", "user", "ver"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        assert_true(json_equal(json_object_get(before, kept[i]), json_object_get(after, kept[i])));
    json_decref(said);
    json_decref(left);
    static const char *const same[] = {"target_type", "subject", "kind", "state", "choice", "rule", "standing"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        assert_string_equal(sx_case_text(f, was, same[i]), sx_case_text(f, c, same[i]));
    assert_int_equal(c->ver, head + 1); /* an ordinary version, which is fed */
    assert_int_equal(tz_store_head(f->s), head + 1);
    char sql[160];
    (void)snprintf(sql, sizeof sql, "SELECT ver FROM change WHERE id = x'%s'", sx_hex(f, case_id));
    assert_int_equal(sx_query(f, sql), (int64_t)c->ver);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM audit WHERE meta LIKE 'compact %'"), 1);
    long_ago(f); /* once is enough */
    purge(f);
    assert_int_equal(tz_store_head(f->s), head + 1);
}

static void what_may_still_be_asked_for_is_not_emptied(void **state)
{
    struct sx *f = *state;
    struct tz_id case_id;
    struct tz_id open = in_conflict(f, &case_id);
    struct tz_id shut = decided(f, &case_id);
    struct tz_id gone = in_conflict(f, &case_id);
    struct tz_id keep = sx_org(f, "乙公司");
    struct sx_dev super;
    sx_join(f, &super, "super", "D_SUPER", "120101");
    sx_see(&super);
    struct sx_cs *m = sx_begin(&super);
    struct tz_op *op = sx_op(m, TZ_OP_MERGE, "organisation", keep);
    op->other_id = gone;
    sx_applied(sx_push(m));
    assert_string_equal(sx_case_text(f, sx_case(f, gone, "address", 1), "choice"), "gone");
    long_ago(f);
    acked(&f->d2, 1); /* in its lease, and has not heard of any of it */
    purge(f);
    assert_true(has_values(f, shut, "address"));
    acked(&f->d2, tz_store_head(f->s));
    purge(f);
    assert_true(has_values(f, open, "address"));
    assert_false(has_values(f, shut, "address"));
    assert_true(has_values(f, gone, "address")); /* it opens again when they come apart */
    sx_see(&super);
    m = sx_begin(&super);
    op = sx_op(m, TZ_OP_UNMERGE, "organisation", keep);
    op->other_id = gone;
    sx_applied(sx_push(m));
    const struct tz_row *c = sx_case(f, gone, "address", 1);
    assert_string_equal(sx_case_text(f, c, "state"), "open");
    assert_string_equal(sx_candidate(f, c, 0, "address"), "一路");
}

/** Who was away for long: his edit, and his decision about the case, are judged as if the words were there. */
static void late_words_about_an_emptied_case_open_the_next(void **state)
{
    struct sx *f = *state;
    struct tz_id case_id;
    struct tz_id id = decided(f, &case_id);
    f->d1.seen = f->fi2.seen = sx_case(f, id, "address", 1)->born; /* as long as it was open */
    long_ago(f);
    purge(f);
    assert_false(has_values(f, id, "address"));
    sx_superseded(sx_set(&f->fi2, "organisation", id, "address=三路", NULL));
    assert_string_equal(sx_candidate(f, sx_case(f, id, "address", 2), 0, "address"), "三路");
    sx_applied(sx_resolve(&f->d1, case_id, 1, "address=二路", NULL));
    sx_superseded(sx_resolve(&f->d1, case_id, 1, "address=一路", NULL));
    assert_int_equal(sx_ncandidates(f, sx_case(f, id, "address", 2)), 2);
    sx_text_is(f, "organisation", id, "address", "二路");
    assert_false(has_values(f, id, "address"));
}

static void many_cases_are_emptied_in_steps(void **state)
{
    struct sx *f = *state;
    enum { N = 40 };
    struct tz_id id[N];
    struct tz_id case_id;
    struct tz_purge_done done;
    bool more = false;
    for (int i = 0; i < N; i++)
        id[i] = decided(f, &case_id);
    long_ago(f);
    sx_group(f);
    assert_int_equal(tz_store_purge(f->s, &RULES, &done, &more, &f->err), 0);
    sx_commit(f);
    assert_true(more);
    assert_true(done.cases > 0 && done.cases < N);
    sx_reopen(f); /* killed between two steps */
    purge(f);
    for (int i = 0; i < N; i++)
        assert_false(has_values(f, id[i], "address"));
    uint64_t n = 0;
    assert_int_equal(tz_store_audit_check(f->s, &n, &f->err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(without_a_backup_nothing_may_go),
        T(the_oldest_of_all_folders_says_how_far),
        T(what_is_young_stays_whole),
        T(a_clock_that_ran_ahead_makes_nothing_old),
        T(an_open_window_stops_it),
        T(a_restore_undoes_nothing_that_might_have_been_emptied),
        T(backups_of_a_time_line_that_was_left_agree_up_to_there),
        T(a_case_closed_long_ago_keeps_who_said_something_and_not_what),
        T(what_may_still_be_asked_for_is_not_emptied),
        T(late_words_about_an_emptied_case_open_the_next),
        T(many_cases_are_emptied_in_steps),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
