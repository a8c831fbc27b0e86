/* SPDX-License-Identifier: Apache-2.0 */
/* The store's side of a restore: epochs, lost ranges, forgotten answers, the window, and looking at a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "restore_fixture.h"

static const tz_ver COUNTER = (UINT64_C(1) << TZ_VER_COUNTER_BITS) - 1;

static struct tz_msg_hello hello(const struct sx_dev *d, uint64_t heard)
{
    return (struct tz_msg_hello){.protocol = TZ_PROTOCOL_VERSION,
                                 .software = "",
                                 .incarnation = d->d.incarnation,
                                 .checkpoint = d->seen,
                                 .last_seq = d->seq,
                                 .heard_seq = heard};
}

static void greet(struct sx *f, const struct sx_dev *d, uint64_t heard)
{
    struct tz_msg_hello h = hello(d, heard);
    sx_group(f);
    assert_int_equal(tz_store_session_begin(f->s, d->d.number, &h, 0, &f->err), 0);
    sx_commit(f);
}

/* ---- versions ---- */

static void versions_after_a_restore_are_new_and_their_counter_goes_on(void **state)
{
    struct sx *f = *state;
    sx_org(f, "甲公司");
    tz_ver at_backup = tz_store_head(f->s);
    struct tz_memdisk *b = backup(f);
    sx_org(f, "乙公司");
    sx_org(f, "丙公司");
    tz_ver lost = tz_store_head(f->s);
    restore_to(f, b, 2, 0);
    assert_int_equal(tz_store_head(f->s) >> TZ_VER_COUNTER_BITS, 2);
    assert_true(tz_store_head(f->s) > lost);
    assert_true((tz_store_head(f->s) & COUNTER) > (at_backup & COUNTER));
    assert_int_equal(sx_query(f, "SELECT count(*) FROM organisation"), 1);
    tz_ver before = tz_store_head(f->s);
    sx_create(&f->d2, "organisation", "name=丁公司", "district_code=120102", NULL);
    assert_int_equal(f->res.ver, before + 1);
    uint64_t entries = 0;
    assert_int_equal(tz_store_audit_check(f->s, &entries, &f->err), 0);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM audit WHERE meta GLOB 'restore epoch=2 old=1 *'"), 1);
}

static void an_epoch_that_is_not_above_the_backups_is_refused(void **state)
{
    struct sx *f = *state;
    struct tz_store_options o = sx_options(f);
    struct tz_restoring r;
    tz_store_close(f->s);
    f->s = NULL;
    static const struct {
        uint32_t epoch;
        int rc;
    } tries[] = {{1, TZ_E_INTERNAL}, {0, TZ_E_INTERNAL}, {32768, TZ_E_LIMIT}};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        int rc = tz_restore_begin(f->path, &o, tries[i].epoch, 0, &r, &f->err);
        assert_int_equal(tz_restore_end(&r, rc, &f->err), tries[i].rc);
    }
    open_again(f);
    assert_int_equal(tz_store_head(f->s) >> TZ_VER_COUNTER_BITS, 1);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM lost_range"), 0);
}

/* ---- lost ranges ---- */

static void a_base_from_a_lost_range_saw_up_to_the_backup(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    tz_ver restored_to = f->d1.seen;
    sx_applied(sx_set(&f->d1, "organisation", id, "name=丢失的名称", NULL));
    sx_see(&f->fi);
    tz_ver lost = f->fi.seen;
    restore_to(f, b, 2, 0);
    assert_int_equal(tz_lost_floor(f->s, lost), restored_to);
    assert_int_equal(tz_lost_floor(f->s, restored_to), restored_to);
    assert_int_equal(tz_lost_floor(f->s, tz_store_head(f->s)), tz_store_head(f->s));
    sx_text_is(f, "organisation", id, "name", "甲公司");
    /* nobody changed the address since the backup: a successor */
    sx_applied(sx_set(&f->fi, "organisation", id, "address=一号", NULL));
    assert_null(sx_case(f, id, "address", 1));
    /* somebody changed the name after the restore: that was not seen */
    f->d1b.seen = restored_to;
    sx_applied(sx_set(&f->d1b, "organisation", id, "name=恢复后的名称", NULL));
    (void)sx_set(&f->fi, "organisation", id, "name=外勤的名称", NULL);
    assert_non_null(sx_case(f, id, "name", 1));
}

static void a_checkpoint_from_a_lost_range_is_remembered_as_the_backups(void **state)
{
    struct sx *f = *state;
    sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    tz_ver restored_to = f->d1.seen;
    sx_org(f, "乙公司");
    restore_to(f, b, 2, 0);
    greet(f, &f->d1, 0);
    struct tz_device d;
    assert_int_equal(tz_store_device_by_number(f->s, f->d1.d.number, &d, &f->err), 1);
    assert_int_equal(d.checkpoint, restored_to);
}

struct pulled {
    struct sx *f;
    size_t rows;
};

static int count_rows(void *ctx, struct tz_bytes message)
{
    struct pulled *p = ctx;
    struct tz_msg_rows rows;
    assert_int_equal(tz_msg_read_rows(message, &p->f->a, &rows, &p->f->err), 0);
    p->rows += rows.nrows;
    return 0;
}

static size_t pull_from(struct sx *f, const struct sx_dev *d, tz_ver ver)
{
    struct tz_grant g;
    struct pulled p = {f, 0};
    struct tz_cursor c = {.area = {"120101", ""}, .tier = 1, .ver = ver};
    struct tz_msg_checkpoint head;
    bool done = false;
    assert_int_equal(tz_store_grant_of(f->s, &d->d, tz_clock_wall(&f->s->clock).ms, &g, &f->err), 0);
    assert_int_equal(tz_store_changes(f->s, &g, &c, 1, 64, count_rows, &p, &done, &head, &f->err), 0);
    assert_true(done);
    return p.rows;
}

static void a_cursor_in_a_lost_range_starts_anew(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_memdisk *b = backup(f);
    tz_ver restored_to = f->d1.seen;
    sx_applied(sx_set(&f->d1, "organisation", id, "name=丢失的名称", NULL));
    tz_ver lost = tz_store_head(f->s);
    restore_to(f, b, 2, 0);
    assert_int_equal(pull_from(f, &f->d1, lost), 1);        /* the old state comes back to who had the lost one */
    assert_int_equal(pull_from(f, &f->d1, restored_to), 0); /* who was not so far has it */
}

static void several_restores_each_remember_what_they_undid(void **state)
{
    struct sx *f = *state;
    struct tz_lost_range r[4];
    sx_org(f, "甲公司");
    struct tz_memdisk *first = backup(f);
    tz_ver head1 = tz_store_head(f->s);
    sx_org(f, "乙公司");
    tz_ver lost1 = tz_store_head(f->s);
    restore_to(f, first, 2, 0);
    f->d1.seq = 1;
    sx_org(f, "丙公司");
    struct tz_memdisk *second = backup(f);
    tz_ver head2 = tz_store_head(f->s);
    sx_org(f, "丁公司");
    tz_ver lost2 = tz_store_head(f->s);
    restore_to(f, second, 5, 0);
    assert_int_equal(tz_store_lost_ranges(f->s, r, 4), 2);
    assert_int_equal(r[0].above, head1);
    assert_int_equal(r[0].epoch, 2);
    assert_int_equal(r[1].above, head2);
    assert_int_equal(r[1].upto, (UINT64_C(5) << TZ_VER_COUNTER_BITS) - 1);
    assert_int_equal(tz_lost_floor(f->s, lost1), head1);
    assert_int_equal(tz_lost_floor(f->s, lost2), head2);
    assert_int_equal(tz_lost_floor(f->s, head2), head2);
    /* no room for all: the oldest are told as one */
    assert_int_equal(tz_store_lost_ranges(f->s, r, 1), 1);
    assert_int_equal(r[0].above, head1);
    assert_int_equal(r[0].upto, (UINT64_C(5) << TZ_VER_COUNTER_BITS) - 1);
}

/* ---- answers that were forgotten ---- */

static void a_device_goes_on_behind_the_answers_that_a_restore_forgot(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司"); /* seq 1 of d1 */
    struct tz_memdisk *b = backup(f);
    for (int i = 0; i < 3; i++)
        sx_applied(sx_set(&f->d1, "organisation", id, i % 2 ? "address=一" : "address=二", NULL));
    restore_to(f, b, 2, 0);
    /* what the device does not say it heard is a hole */
    greet(f, &f->d1, 3);
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op_set(c, "organisation", id, "address=三", NULL);
    sx_group(f);
    assert_int_equal(sx_apply(c), TZ_E_SEQ_HOLE);
    sx_commit(f);
    greet(f, &f->d1, 4);
    sx_group(f);
    assert_int_equal(sx_apply_raw(&f->d1, f->raw), 0);
    sx_commit(f);
    sx_applied(&f->res);
    sx_text_is(f, "organisation", id, "address", "三");
    struct tz_balance account;
    assert_int_equal(tz_store_balance(f->s, f->d1.d.number, &account, &f->err), 0);
    assert_int_equal(account.changesets, 2);
    assert_int_equal(account.missing, 0);
    assert_int_equal(account.undone, 3); /* the three in between, which have not come in again */
}

static void without_a_restore_nothing_was_forgotten(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    f->d1.seq += 2;
    greet(f, &f->d1, f->d1.seq);
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op_set(c, "organisation", id, "address=三", NULL);
    sx_group(f);
    assert_int_equal(sx_apply(c), TZ_E_SEQ_HOLE);
    sx_commit(f);
}

static void a_device_cannot_claim_to_have_heard_more_than_it_made(void **state)
{
    struct sx *f = *state;
    sx_org(f, "甲公司");
    restore_to(f, backup(f), 2, 0);
    greet(f, &f->d1, UINT64_MAX);
    assert_int_equal(sx_query(f, "SELECT max(forgotten_seq) FROM device"), 0);
}

/* ---- the window ---- */

static void the_window_is_open_until_its_time_or_until_it_is_closed(void **state)
{
    struct sx *f = *state;
    struct tz_recovery r;
    int64_t now = f->clock.wall.ms;
    assert_int_equal(tz_store_recovery(f->s, &r, &f->err), 0);
    assert_false(r.open);
    assert_int_equal(r.restored_ms, 0);
    sx_org(f, "甲公司");
    tz_ver head = tz_store_head(f->s);
    restore_to(f, backup(f), 2, now + 1000);
    assert_int_equal(tz_store_recovery(f->s, &r, &f->err), 0);
    assert_true(r.open);
    assert_int_equal(r.restored_to, head);
    assert_int_equal(r.restored_ms, now);
    assert_int_equal(r.old_epoch, 1);
    assert_int_equal(r.epoch, 2);
    f->clock.wall.ms = now + 1000;
    assert_int_equal(tz_store_recovery(f->s, &r, &f->err), 0);
    assert_false(r.open);
    f->clock.wall.ms = now;
    sx_group(f);
    assert_int_equal(tz_store_recovery_close(f->s, &f->err), 0);
    sx_commit(f);
    assert_int_equal(tz_store_recovery(f->s, &r, &f->err), 0);
    assert_false(r.open);
    sx_group(f);
    assert_int_equal(tz_store_recovery_close(f->s, &f->err), TZ_E_NO_RECOVERY);
    tz_store_group_rollback(f->s);
}

/* ---- looking at a file ---- */

static void an_inspection_tells_what_the_file_holds_and_changes_nothing(void **state)
{
    struct sx *f = *state;
    struct tz_backup_facts facts;
    struct tz_store_options o = sx_options(f);
    char path[64];
    sx_org(f, "甲公司");
    tz_ver head = tz_store_head(f->s);
    struct tz_memdisk *b = backup(f);
    uint64_t writes = tz_memdisk_ops(b, TZ_MEMDISK_ANY);
    tz_memdisk_path(b, "central.db", path, sizeof path);
    assert_int_equal(tz_store_inspect(path, &o, &facts, &f->err), 0);
    assert_int_equal(tz_memdisk_ops(b, TZ_MEMDISK_ANY), writes);
    assert_int_equal(facts.head, head);
    assert_int_equal(facts.epoch, 1);
    assert_int_equal(facts.audit_n, f->s->audit_n);
    assert_memory_equal(facts.audit_hash, f->s->audit_hash, TZ_HASH_BYTES);
    tz_memdisk_free(b);
}

static void an_inspection_finds_a_broken_chain_and_a_newer_schema(void **state)
{
    struct sx *f = *state;
    struct tz_store_options o = sx_options(f);
    sx_org(f, "甲公司");
    sx_exec(f, "UPDATE audit SET meta='other' WHERE n=3");
    tz_store_close(f->s);
    f->s = NULL;
    assert_int_equal(tz_store_inspect(f->path, &o, NULL, &f->err), TZ_E_VERIFY);
    open_again(f);
    sx_exec(f, "PRAGMA user_version=999");
    tz_store_close(f->s);
    f->s = NULL;
    assert_int_equal(tz_store_inspect(f->path, &o, NULL, &f->err), TZ_E_DB_NEWER);
}

/** As the schema was before there were restores. */
static void a_backup_of_an_older_program_is_looked_at_and_restored(void **state)
{
    struct sx *f = *state;
    struct tz_backup_facts facts;
    struct tz_store_options o = sx_options(f);
    char path[64];
    sx_org(f, "甲公司");
    struct tz_id id = sx_org(f, "乙公司");
    sx_applied(sx_set(&f->d1, "organisation", id, "address=二路", NULL));
    tz_ver head = tz_store_head(f->s);
    tz_ver born = sx_row(f, "organisation", id)->born;
    assert_int_equal(born, head - 1);
    sx_undo_from_step_5(f);
    sx_exec(f, "DROP TABLE merged; DROP TABLE merge_link; DROP TABLE lost_range; ALTER TABLE device DROP COLUMN "
               "forgotten_seq; PRAGMA user_version=2");
    struct tz_memdisk *b = backup(f);
    tz_memdisk_path(b, "central.db", path, sizeof path);
    assert_int_equal(tz_store_inspect(path, &o, &facts, &f->err), 0);
    assert_int_equal(facts.schema, 2);
    assert_int_equal(facts.head, head);
    restore_to(f, b, 2, 0);
    assert_int_equal(tz_lost_floor(f->s, head + 1), head);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM organisation"), 2);
    assert_int_equal(sx_row(f, "organisation", id)->born, born);
    assert_int_equal(tz_store_commit_of(f->s, born).device, f->d1.d.number);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(versions_after_a_restore_are_new_and_their_counter_goes_on),
        T(an_epoch_that_is_not_above_the_backups_is_refused),
        T(a_base_from_a_lost_range_saw_up_to_the_backup),
        T(a_checkpoint_from_a_lost_range_is_remembered_as_the_backups),
        T(a_cursor_in_a_lost_range_starts_anew),
        T(several_restores_each_remember_what_they_undid),
        T(a_device_goes_on_behind_the_answers_that_a_restore_forgot),
        T(without_a_restore_nothing_was_forgotten),
        T(a_device_cannot_claim_to_have_heard_more_than_it_made),
        T(the_window_is_open_until_its_time_or_until_it_is_closed),
        T(an_inspection_tells_what_the_file_holds_and_changes_nothing),
        T(an_inspection_finds_a_broken_chain_and_a_newer_schema),
        T(a_backup_of_an_older_program_is_looked_at_and_restored),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
