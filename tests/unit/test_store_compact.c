/* SPDX-License-Identifier: Apache-2.0 */
/* Up to which version devices may empty own saves: backups that are kept, time lines, age. */
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
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
