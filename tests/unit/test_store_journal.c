/* SPDX-License-Identifier: Apache-2.0 */
/* Who may connect and who may do what: told to the journal before it counts, and found there by a restore. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "restore_fixture.h"

#include <sqlite3.h>

/* ---- the journal ---- */

static int64_t revoked(struct sx *f, const char *name)
{
    char sql[128];
    (void)snprintf(sql, sizeof sql, "SELECT revoked FROM device WHERE name='%s'", name);
    return sx_query(f, sql);
}

/** After the backup: d2 revoked, "late" enrolled, "u9" added, "fi" disabled, "open" invited. */
static void administer(struct sx *f, struct sx_dev *late)
{
    struct tz_invite_spec spec = {.role = "D_CLERK", .area = "120101", .name = "open"};
    uint8_t secret[16];
    struct tz_id user;
    sx_join(f, late, "late", "D_CLERK", "120101");
    sx_group(f);
    assert_int_equal(tz_store_device_revoke(f->s, f->d2.d.number, &f->err), 0);
    assert_int_equal(tz_store_user_add(f->s, "u9", "某 人%", "D_CLERK", "120102", &user, &f->err), 0);
    assert_int_equal(tz_store_user_disable(f->s, "fi", &f->err), 0);
    assert_int_equal(tz_store_user_unit(f->s, "u9", "CY005", &f->err), 0);
    assert_int_equal(tz_store_invite_add(f->s, &spec, secret, &f->err), 0);
    sx_commit(f);
}

static void assert_administered(struct sx *f, const struct sx_dev *late)
{
    struct tz_device d;
    assert_int_equal(revoked(f, "d2"), 1);
    assert_int_equal(revoked(f, "d1"), 0);
    assert_int_equal(tz_store_device_by_name(f->s, "late", &d, &f->err), 1);
    assert_int_equal(d.number, late->d.number);
    assert_string_equal(d.area, "120101");
    assert_int_equal(sx_query(f, "SELECT count(*) FROM device WHERE name='late' AND length(certificate)>0"), 1);
    assert_int_equal(sx_query(f, "SELECT active FROM user_grant WHERE code='fi'"), 0);
    assert_int_equal(sx_query(f, "SELECT active FROM user WHERE code='fi'"), 0);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM user_grant WHERE code='u9' AND area='120102'"), 1);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM user WHERE name='某 人%' AND active=1"), 1);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM user JOIN unit ON unit._id=user.unit WHERE user.code='u9'"
                                 " AND unit.code='CY005'"),
                     1);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM invite WHERE name='open' AND device IS NULL"), 1);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM invite WHERE name='late' AND device IS NOT NULL"), 1);
}

static void what_was_decided_after_the_backup_comes_back_from_the_journal(void **state)
{
    struct sx *f = *state;
    struct sx_dev late;
    struct sx_dev next;
    struct tz_memdisk *b = backup(f);
    administer(f, &late);
    assert_true(restore_to(f, b, 2, 0) >= 6);
    assert_administered(f, &late);
    /* it can work, and its number is nobody else's */
    sx_create(&late, "organisation", "name=甲公司", "district_code=120101", NULL);
    sx_join(f, &next, "next", "D_CLERK", "120101");
    assert_int_equal(next.d.number, late.d.number + 1);
}

static void what_the_backup_has_is_not_done_again(void **state)
{
    struct sx *f = *state;
    struct sx_dev late;
    administer(f, &late);
    assert_int_equal(restore_to(f, backup(f), 2, 0), 0);
    assert_administered(f, &late);
}

/** Rows of the three tables that are not as they were when the copies were made. */
static int64_t differing(struct sx *f)
{
    return sx_query(f, "SELECT (SELECT count(*) FROM (SELECT * FROM device EXCEPT SELECT * FROM was_device))"
                       " + (SELECT count(*) FROM (SELECT * FROM user_grant EXCEPT SELECT * FROM was_grant))"
                       " + (SELECT count(*) FROM (SELECT * FROM invite EXCEPT SELECT * FROM was_invite))");
}

static void replaying_twice_is_once(void **state)
{
    struct sx *f = *state;
    struct sx_dev late;
    struct tz_memdisk *b = backup(f);
    administer(f, &late);
    restore_to(f, b, 2, 0);
    sx_exec(f, "CREATE TEMP TABLE was_device AS SELECT * FROM device;"
               "CREATE TEMP TABLE was_grant AS SELECT * FROM user_grant;"
               "CREATE TEMP TABLE was_invite AS SELECT * FROM invite");
    sx_group(f);
    for (size_t i = 0; i < book.n; i++) {
        size_t changed = 0;
        struct tz_journal_line l = line_of(i);
        assert_int_equal(tz_journal_replay(f->s, &l, &changed, &f->err), 0);
    }
    sx_commit(f);
    assert_int_equal(differing(f), 0);
    assert_administered(f, &late);
    struct tz_journal_line last = {0};
    for (size_t i = 0; i < book.n; i++)
        if (line_of(i).entries.n)
            last = line_of(i);
    size_t changed = 1;
    tz_ver head = tz_store_head(f->s);
    sx_group(f); /* what is so already is not even written */
    assert_int_equal(tz_journal_replay(f->s, &last, &changed, &f->err), 0);
    sx_commit(f);
    assert_int_equal(changed, 0);
    assert_int_equal(tz_store_head(f->s), head);
}

static void a_second_restore_knows_what_the_first_brought_back(void **state)
{
    struct sx *f = *state;
    struct sx_dev late;
    struct sx_dev later;
    struct tz_memdisk *first = backup(f);
    struct tz_memdisk *again = tz_memdisk_clone(first);
    administer(f, &late);
    restore_to(f, first, 2, 0);
    struct tz_memdisk *second = backup(f);
    sx_join(f, &later, "later", "D_CLERK", "120101");
    restore_to(f, second, 3, 0); /* a backup of after the first restore */
    assert_administered(f, &late);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM device WHERE name='later'"), 1);
    restore_to(f, again, 4, 0); /* and one of before it */
    assert_administered(f, &late);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM device WHERE name='later'"), 1);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM lost_range"), 1);
}

static void a_group_that_the_journal_refuses_does_not_commit(void **state)
{
    struct sx *f = *state;
    tz_ver head = tz_store_head(f->s);
    book.refuse = TZ_E_DISK_FULL;
    sx_group(f);
    assert_int_equal(tz_store_device_revoke(f->s, f->d2.d.number, &f->err), 0);
    assert_int_equal(tz_store_group_commit(f->s, &f->err), TZ_E_DISK_FULL);
    assert_int_equal(revoked(f, "d2"), 0);
    /* edits need no journal */
    sx_org(f, "甲公司");
    assert_true(tz_store_head(f->s) > head);
}

static void a_change_that_never_committed_is_put_right_by_what_followed(void **state)
{
    struct sx *f = *state;
    struct tz_invite_spec spec = {.role = "D_CLERK", .area = "120101", .name = "ghost"};
    struct sx_dev real;
    uint8_t secret[16];
    struct tz_memdisk *b = backup(f);
    sx_group(f);
    assert_int_equal(tz_store_invite_add(f->s, &spec, secret, &f->err), 0);
    assert_int_equal(tz_store_device_revoke(f->s, f->d1.d.number, &f->err), 0);
    tz_memdisk_fail_at(f->disk, TZ_MEMDISK_WRITE, 1, SQLITE_FULL);
    size_t lines = book.n;
    assert_int_equal(tz_store_group_commit(f->s, &f->err), TZ_E_DISK_FULL);
    assert_int_equal(book.n, lines + 1); /* told first */
    uint64_t durable = f->s->audit_n;
    sx_org(f, "乙公司"); /* before anything else commits the journal hears that it did not happen */
    assert_int_equal(book.n, lines + 2);
    struct tz_journal_line failed = line_of(lines);
    struct tz_journal_line mark = line_of(lines + 1);
    assert_true(mark.base_n == durable && mark.base_n < failed.audit_n);
    sx_join(f, &real, "real", "D_CLERK", "120101");
    sx_applied(sx_set(&f->d1, "organisation", sx_org(f, "甲公司"), "address=一", NULL)); /* d1 works on */
    restore_to(f, b, 2, 0);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM device WHERE name='real'"), 1);
    assert_int_equal(revoked(f, "d1"), 1); /* an attempt to revoke errs on the safe side */
}

static uint32_t no_random(void *ctx)
{
    (void)ctx;
    return 0;
}

/** Whatever write or sync the power fails at: no device is in the database that the journal does not know. */
static void a_power_cut_anywhere_never_leaves_a_device_out_of_the_journal(void **state)
{
    struct sx *f = *state;
    struct tz_invite_spec spec = {.role = "D_CLERK", .area = "120101", .name = "cut"};
    bool committed = false;
    unsigned cuts = 0;
    for (uint64_t k = 1; !committed; k++, cuts++) {
        uint8_t secret[16];
        tz_memdisk_crash_at(f->disk, TZ_MEMDISK_ANY, k);
        size_t lines = book.n;
        int rc = tz_store_group_begin(f->s, &f->err);
        if (!rc)
            rc = tz_store_invite_add(f->s, &spec, secret, &f->err);
        rc = rc ? rc : tz_store_group_commit(f->s, &f->err);
        bool told = book.n > lines;
        committed = rc == 0;
        if (rc && tz_db_in_transaction(tz_store_db(f->s)))
            tz_store_group_rollback(f->s);
        tz_store_close(f->s);
        f->s = NULL;
        tz_memdisk_crash(f->disk, no_random, NULL);
        open_again(f);
        int64_t there = sx_query(f, "SELECT count(*) FROM invite WHERE name='cut'");
        assert_true(!there || told);
        assert_true(!committed || there);
        sx_group(f);
        sx_exec(f, "DELETE FROM invite WHERE name='cut'");
        sx_commit(f);
        assert_true(k < 200);
    }
    assert_true(cuts > 2);
}

static void a_new_journal_is_told_everything_there_is(void **state)
{
    struct sx *f = *state;
    struct tz_memdisk *b = backup(f);
    struct sx_dev late;
    administer(f, &late);
    for (size_t i = 0; i < book.n; i++)
        free(book.line[i]);
    book.n = 0; /* somebody lost it */
    open_again(f);
    restore_to(f, b, 2, 0);
    assert_administered(f, &late);
}

static void an_older_database_is_refused_and_a_newer_one_is_not(void **state)
{
    struct sx *f = *state;
    struct tz_memdisk *old = backup(f);
    struct tz_memdisk *mine = f->disk;
    char path[64];
    struct tz_store *s = NULL;
    sx_org(f, "甲公司");
    open_again(f); /* as a server that was started since */
    tz_store_close(f->s);
    f->s = NULL;
    struct tz_store_options o = options(f);
    tz_memdisk_path(old, "central.db", path, sizeof path);
    assert_int_equal(tz_store_open(path, &o, &s, &f->err), TZ_E_DB_OLD);
    assert_null(s);
    o.readonly = true;
    assert_int_equal(tz_store_open(path, &o, &s, &f->err), TZ_E_DB_OLD);
    tz_memdisk_free(old);
    f->disk = mine;
    open_again(f);
    /* after a restore the epoch alone tells, however long the old one's log is */
    struct tz_memdisk *b = backup(f);
    struct tz_memdisk *copy = tz_memdisk_clone(b);
    restore_to(f, b, 2, 0);
    o = options(f);
    tz_memdisk_path(copy, "central.db", path, sizeof path);
    assert_int_equal(tz_store_open(path, &o, &s, &f->err), TZ_E_DB_OLD);
    tz_memdisk_free(copy);
}

static void every_damaged_line_is_recognised(void **state)
{
    struct sx *f = *state;
    struct tz_journal_line l;
    char line[4096];
    sx_group(f);
    assert_int_equal(tz_store_device_revoke(f->s, f->d2.d.number, &f->err), 0);
    sx_commit(f);
    size_t n = strlen(book.line[book.n - 1]);
    assert_true(n < sizeof line);
    memcpy(line, book.line[book.n - 1], n);
    assert_int_equal(tz_journal_line_read(tz_bytes_of(line, n), &l), 0);
    for (size_t cut = 0; cut + 1 < n; cut++)
        assert_int_equal(tz_journal_line_read(tz_bytes_of(line, cut), &l), TZ_E_FORMAT);
    for (size_t i = 0; i + 1 < n; i++) {
        line[i] ^= 1;
        assert_int_equal(tz_journal_line_read(tz_bytes_of(line, n), &l), TZ_E_FORMAT);
        line[i] ^= 1;
    }
}

static void a_line_of_another_program_is_an_error_that_leaves_nothing(void **state)
{
    struct sx *f = *state;
    static const char *const bad[] = {"\tdevice i1",
                                      "\tnothing i1",
                                      "\tuser xzz tn tn tn i1 n",
                                      "\tuser x00 tu tD tA i1 n",
                                      "\tinvite xab tr ta t%zz n n i1",
                                      "\tinvite xab tr ta tn n n i1 i2",
                                      "\tinvite xab tr ta tn n n i"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tz_journal_line l = {.epoch = 9, .audit_n = 1, .entries = tz_bytes_str(bad[i])};
        size_t changed = 0;
        sx_group(f);
        assert_int_equal(tz_journal_replay(f->s, &l, &changed, &f->err), TZ_E_FORMAT);
        tz_store_group_rollback(f->s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_was_decided_after_the_backup_comes_back_from_the_journal),
        T(what_the_backup_has_is_not_done_again),
        T(replaying_twice_is_once),
        T(a_second_restore_knows_what_the_first_brought_back),
        T(a_group_that_the_journal_refuses_does_not_commit),
        T(a_change_that_never_committed_is_put_right_by_what_followed),
        T(a_power_cut_anywhere_never_leaves_a_device_out_of_the_journal),
        T(a_new_journal_is_told_everything_there_is),
        T(an_older_database_is_refused_and_a_newer_one_is_not),
        T(every_damaged_line_is_recognised),
        T(a_line_of_another_program_is_an_error_that_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
