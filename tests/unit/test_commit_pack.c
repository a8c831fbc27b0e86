/* SPDX-License-Identifier: Apache-2.0 */
/* The commit table in few bytes: what is packed comes back, and no merge can tell the difference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "commit_int.h"
#include "store_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t DAY_MS = 24 * 3600 * 1000;

static uint64_t draw(uint64_t *state, uint64_t n)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15)); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (z ^ (z >> 31)) % n;
}

/* ---- runs ---- */

/** What a server sees, and now and then what it never should: clocks that jump, holes, restores, copies. */
static void make_run(struct tz_commit_run *run, size_t n, uint64_t *seed)
{
    struct tz_commit_entry e = {.c = {.ver = UINT64_C(1) << TZ_VER_COUNTER_BITS | draw(seed, 1000),
                                      .effective = tz_hlc_of(INT64_C(1700000000000), 0)},
                                .received_ms = INT64_C(1700000000000),
                                .rules = 1,
                                .catalogue = 12};
    uint64_t seq[5] = {0};
    run->n = n;
    for (size_t i = 0; i < n; i++) {
        uint64_t odd = draw(seed, 60);
        e.author = (uint32_t)draw(seed, 5);
        e.c.seq = ++seq[e.author];
        e.c.ver += odd == 0 ? UINT64_C(1) << TZ_VER_COUNTER_BITS : odd == 1 ? 1 + draw(seed, 50) : 1;
        e.c.effective += (draw(seed, 600000) << 16) - (odd == 2 ? UINT64_C(1) << 40 : 0);
        e.c.effective = (e.c.effective & ~UINT64_C(0xFFFF)) | draw(seed, odd == 3 ? 0x10000 : 2);
        e.eff_max = odd == 4 ? draw(seed, UINT64_MAX) : e.c.effective > e.eff_max ? e.c.effective : e.eff_max;
        e.offset_ms = odd == 5 ? (int64_t)draw(seed, UINT64_C(1) << 40) - (INT64_C(1) << 39) : (int64_t)draw(seed, 3);
        e.claimed = odd == 6 ? draw(seed, UINT64_MAX) : e.c.effective - ((uint64_t)e.offset_ms << 16);
        e.received_ms += odd == 7 ? -(int64_t)draw(seed, 1000000000) : (int64_t)draw(seed, 10000000);
        e.c.old_ver = odd > 50 ? e.c.ver - draw(seed, 3) - 10 : 0;
        e.catalogue += odd == 8;
        run->v[i] = e;
    }
}

static int64_t end_of_day(int64_t ms)
{
    return ms % DAY_MS ? ms - ms % DAY_MS + DAY_MS : ms;
}

static void runs_come_back(void **state)
{
    struct tz_commit_run *run = malloc(sizeof *run);
    struct tz_commit_run *back = malloc(sizeof *back);
    uint64_t seed = 1;
    (void)state;
    assert_non_null(run);
    assert_non_null(back);
    for (int round = 0; round < 300; round++) {
        struct tz_buf b;
        make_run(run, 1 + (size_t)draw(&seed, TZ_COMMIT_PACK_MAX), &seed);
        tz_buf_init(&b, 1 << 20);
        assert_int_equal(tz_commit_pack(run, &b), 0);
        assert_int_equal(tz_commit_unpack(run->v[0].c.ver, tz_buf_unread(&b), back), 0);
        tz_buf_deinit(&b);
        assert_int_equal(back->n, run->n);
        for (size_t i = 0; i < run->n; i++) {
            run->v[i].received_ms = end_of_day(run->v[i].received_ms);
            assert_memory_equal(&back->v[i], &run->v[i], sizeof run->v[i]);
        }
    }
    free(run);
    free(back);
}

static struct tz_buf packed(const struct tz_commit_run *run)
{
    struct tz_buf b;
    tz_buf_init(&b, 1 << 20);
    assert_int_equal(tz_commit_pack(run, &b), 0);
    return b;
}

/** Never another author, never another order: whatever happens to its bytes. */
static void a_damaged_run_is_refused(void **state)
{
    struct tz_commit_run *run = malloc(sizeof *run);
    struct tz_commit_run *back = malloc(sizeof *back);
    uint64_t seed = 2;
    (void)state;
    assert_non_null(run);
    assert_non_null(back);
    make_run(run, 200, &seed);
    struct tz_buf b = packed(run);
    tz_ver first = run->v[0].c.ver;
    for (size_t n = 0; n < b.len; n++)
        assert_int_equal(tz_commit_unpack(first, tz_bytes_of(b.p, n), back), TZ_E_FORMAT);
    for (int round = 0; round < 5000; round++) {
        size_t at = (size_t)draw(&seed, b.len);
        uint8_t was = b.p[at];
        b.p[at] ^= (uint8_t)(1 + draw(&seed, 255));
        assert_int_equal(tz_commit_unpack(first, tz_bytes_of(b.p, b.len), back), TZ_E_FORMAT);
        b.p[at] = was;
    }
    assert_int_equal(tz_commit_unpack(first, tz_bytes_of(b.p, b.len), back), 0);
    tz_buf_deinit(&b);
    free(run);
    free(back);
}

/** What finds a version in a run halves it, so one that does not ascend is none, even with the right sum. */
static void a_run_that_does_not_ascend_is_refused(void **state)
{
    struct tz_commit_run *run = malloc(sizeof *run);
    struct tz_commit_run *back = malloc(sizeof *back);
    uint64_t seed = 3;
    (void)state;
    assert_non_null(run);
    assert_non_null(back);
    for (size_t at = 1; at < 10; at++) {
        make_run(run, 10, &seed);
        run->v[at].c.ver = run->v[at - 1].c.ver - draw(&seed, 2) * 5;
        struct tz_buf b = packed(run);
        assert_int_equal(tz_commit_unpack(run->v[0].c.ver, tz_buf_unread(&b), back), TZ_E_FORMAT);
        tz_buf_deinit(&b);
    }
    make_run(run, 10, &seed);
    struct tz_buf b = packed(run);
    assert_int_equal(tz_commit_unpack(UINT64_MAX - 3, tz_buf_unread(&b), back), TZ_E_FORMAT);
    tz_buf_deinit(&b);
    free(run);
    free(back);
}

/** The form of before had no sum. */
static void a_run_without_a_sum_comes_back(void **state)
{
    struct tz_commit_run *run = malloc(sizeof *run);
    struct tz_commit_run *back = malloc(sizeof *back);
    uint64_t seed = 4;
    (void)state;
    assert_non_null(run);
    assert_non_null(back);
    make_run(run, 300, &seed);
    struct tz_buf b = packed(run);
    assert_int_equal(b.p[0], 2);
    b.p[0] = 1;
    assert_int_equal(tz_commit_unpack(run->v[0].c.ver, tz_bytes_of(b.p, b.len - 4), back), 0);
    assert_int_equal(back->n, 300);
    for (size_t i = 0; i < back->n; i++)
        assert_memory_equal(&back->v[i].c, &run->v[i].c, sizeof run->v[i].c);
    tz_buf_deinit(&b);
    free(run);
    free(back);
}

/* ---- in a store ---- */

enum { SAVES = 600, ORGS = 6 };

struct history {
    struct sx *f;
    uint64_t seed;
    struct tz_id org[ORGS];
};

/** One save of somebody who may have seen everything or be far behind, with a clock that may be wrong. */
static void one_save(struct history *h)
{
    static const char *const fields[] = {"address", "registrar", "grid_no", "status_reason"};
    struct sx *f = h->f;
    struct sx_dev *devs[] = {&f->d1, &f->d1b, &f->fi, &f->c1};
    struct sx_dev *d = devs[draw(&h->seed, 4)];
    struct tz_id id = h->org[draw(&h->seed, ORGS)];
    char text[64];
    f->clock.wall.ms += (int64_t)draw(&h->seed, 5000000);
    d->skew_ms = (int64_t)draw(&h->seed, 4000000) - 2000000;
    if (draw(&h->seed, 3) == 0)
        sx_see(d);
    if (draw(&h->seed, 12) == 0) {
        (void)sx_delete(d, "organisation", id);
    } else if (draw(&h->seed, 9) == 0) {
        (void)sx_set(d, "organisation", id, draw(&h->seed, 2) ? "employees=3" : "employees=4",
                     "employees_on=2023-05-01", NULL);
    } else {
        (void)snprintf(text, sizeof text, "%s=%d", d == &f->fi ? "address" : fields[draw(&h->seed, 4)],
                       (int)draw(&h->seed, 50));
        (void)sx_set(d, "organisation", id, text, NULL);
    }
    if (f->res.outcome == TZ_OUT_REFUSED || f->res.outcome == TZ_OUT_WAITING)
        (void)sx_withdraw(d, d->seq); /* later ones need not wait */
}

static void all_of_it(struct history *h, uint64_t seed)
{
    char name[32];
    h->seed = seed;
    for (size_t i = 0; i < ORGS; i++) {
        (void)snprintf(name, sizeof name, "第%zu公司", i);
        h->org[i] = sx_org(h->f, name);
    }
    for (int i = 0; i < SAVES; i++)
        one_save(h);
}

/** The same people do the same in two cities; in one everything is packed at once, in the other nothing ever is. */
static void no_merge_can_tell_what_is_packed(void **state)
{
    struct sx *packed = *state;
    struct history h;
    uint8_t here[32];
    uint8_t there[32];
    sx_close(packed);
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct sx *p = sx_clone(packed);
        p->commits_kept = 1;
        sx_reopen(p);
        packed->commits_kept = 100000;
        struct sx *q = sx_clone(packed);
        h.f = p;
        all_of_it(&h, seed);
        h.f = q;
        all_of_it(&h, seed);
        assert_true(sx_query(p, "SELECT count(*) FROM commit_log") <= 2);
        assert_true(sx_query(q, "SELECT count(*) FROM commit_log") > SAVES / 4);
        assert_true(sx_query(q, "SELECT count(*) FROM \"case\"") > 5);
        sx_digest_records(p, here);
        sx_digest_records(q, there);
        assert_memory_equal(here, there, sizeof here);
        for (tz_ver v = tz_store_head(p->s) - 200; v <= tz_store_head(p->s) + 1; v++) {
            struct tz_commit a = tz_store_commit_of(p->s, v);
            struct tz_commit b = tz_store_commit_of(q->s, v);
            assert_memory_equal(&a, &b, sizeof a);
        }
        sx_free(p);
        sx_free(q);
    }
    sx_reopen(packed);
}

static void look_everywhere(struct sx *f, tz_ver first, const struct tz_commit_entry *want, size_t n)
{
    struct tz_commit_entry e;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(tz_commit_find(f->s, want[i].c.ver, &e, &f->err), 1);
        assert_memory_equal(&e.c, &want[i].c, sizeof e.c);
        assert_int_equal(e.eff_max, want[i].eff_max);
        assert_int_equal(e.claimed, want[i].claimed);
        assert_int_equal(e.offset_ms, want[i].offset_ms);
        assert_int_equal(tz_commit_upto(f->s, want[i].c.ver, &e, &f->err), 1);
        assert_int_equal(e.c.ver, want[i].c.ver);
        assert_int_equal(tz_commit_above(f->s, want[i].c.ver - 1, &e, &f->err), 1);
        assert_int_equal(e.c.ver, want[i].c.ver);
    }
    assert_int_equal(tz_commit_find(f->s, first - 1, &e, &f->err), 0);
    assert_int_equal(tz_commit_upto(f->s, first - 1, &e, &f->err), 0);
    assert_int_equal(tz_commit_above(f->s, 0, &e, &f->err), 1);
    assert_int_equal(e.c.ver, first);
    assert_int_equal(tz_commit_upto(f->s, UINT64_MAX >> 1, &e, &f->err), 1);
    assert_int_equal(e.c.ver, tz_store_head(f->s));
    assert_int_equal(tz_commit_above(f->s, tz_store_head(f->s), &e, &f->err), 0);
}

static void every_version_is_found_wherever_it_is(void **state)
{
    struct sx *f = *state;
    enum { MAX = 2600 };
    struct tz_commit_entry *want = calloc(MAX, sizeof *want);
    size_t n = 0;
    struct tz_id id = sx_org(f, "甲公司");
    assert_non_null(want);
    f->commits_kept = 100000;
    sx_reopen(f);
    tz_ver first = (tz_ver)sx_query(f, "SELECT min(first) FROM commit_pack");
    sx_group(f);
    for (int i = 0; i < 2400; i++) {
        char text[32];
        struct sx_cs *c = sx_begin(i % 3 ? &f->d1 : &f->d1b);
        (void)snprintf(text, sizeof text, "address=%d", i);
        sx_op_set(c, "organisation", id, text, NULL);
        assert_int_equal(sx_apply(c), 0);
        tz_arena_reset(&f->a);
    }
    sx_commit(f);
    for (tz_ver v = first - 1; n < MAX && tz_commit_above(f->s, v, &want[n], &f->err) == 1; n++)
        v = want[n].c.ver;
    assert_int_equal(want[n - 1].c.ver, tz_store_head(f->s));
    f->commits_kept = 10;
    sx_reopen(f);
    for (int i = 0; i < 4; i++) { /* what was there before goes step by step */
        look_everywhere(f, first, want, n);
        sx_group(f);
        sx_commit(f);
    }
    assert_int_equal(sx_query(f, "SELECT count(*) FROM commit_log"), 10);
    assert_true(sx_query(f, "SELECT count(*) FROM commit_pack") >= 3);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM commit_pack WHERE length(body)>0 AND last<first"), 0);
    look_everywhere(f, first, want, n);
    sx_reopen(f);
    look_everywhere(f, first, want, n);
    free(want);
}

static void a_group_that_is_rolled_back_leaves_no_pack_in_memory(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    tz_ver head = tz_store_head(f->s);
    sx_group(f);
    for (int i = 0; i < 5; i++) {
        struct sx_cs *c = sx_begin(&f->d1b);
        sx_op_set(c, "organisation", id, i % 2 ? "address=一路" : "address=二路", NULL);
        assert_int_equal(sx_apply(c), 0);
    }
    assert_int_equal(tz_commit_tidy(f->s, &f->err), 0);
    assert_int_equal(tz_store_commit_of(f->s, head + 1).device, f->d1b.d.number);
    tz_store_group_rollback(f->s);
    assert_int_equal(tz_store_commit_of(f->s, head + 1).ver, 0);
    f->d1b.seq -= 5;
    for (int i = 0; i < 5; i++)
        sx_applied(sx_set(&f->d1, "organisation", id, i % 2 ? "address=一路" : "address=二路", NULL));
    for (tz_ver v = head + 1; v <= head + 5; v++)
        assert_int_equal(tz_store_commit_of(f->s, v).device, f->d1.d.number);
}

/** Some of everything: edits of several devices, the server's own versions, a save that waited. */
static void write_much(struct sx *f, struct tz_id id)
{
    char text[32];
    for (int i = 0; i < 40; i++) {
        (void)snprintf(text, sizeof text, "address=%d路", i);
        f->clock.wall.ms += 3600 * 1000;
        sx_see(i % 3 ? &f->d1 : &f->d1b);
        sx_applied(sx_set(i % 3 ? &f->d1 : &f->d1b, "organisation", id, text, NULL));
        if (i % 10 == 9) { /* a grant that changes is a version of the server's own */
            struct tz_msg_damage m = {.changed = 1};
            struct tz_area area;
            bool noted = false;
            f->clock.wall.ms += 25LL * 3600 * 1000;
            sx_group(f);
            assert_int_equal(tz_store_damage(f->s, f->d1.d.number, &m, f->clock.wall, &noted, &area, &f->err), 0);
            assert_true(noted);
            sx_commit(f);
        }
    }
}

static size_t read_all(struct sx *f, struct tz_commit_entry *out, size_t max)
{
    size_t n = 0;
    tz_ver v = 0;
    while (n < max && tz_commit_above(f->s, v, &out[n], &f->err) == 1)
        v = out[n++].c.ver;
    return n;
}

/** What the audit log and the answers cannot tell is asked of nobody: own versions' times, clocks' offsets. */
static void assert_same_commits(const struct tz_commit_entry *a, const struct tz_commit_entry *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(a[i].c.ver, b[i].c.ver);
        assert_int_equal(a[i].c.device, b[i].c.device);
        assert_int_equal(a[i].c.incarnation, b[i].c.incarnation);
        assert_int_equal(a[i].c.seq, b[i].c.seq);
        assert_true(tz_id_eq(a[i].c.user, b[i].c.user));
        assert_int_equal(a[i].c.old_ver, b[i].c.old_ver);
        if (!a[i].c.device)
            continue;
        assert_int_equal(a[i].c.effective, b[i].c.effective);
        assert_int_equal(a[i].claimed, b[i].claimed);
        assert_int_equal(a[i].received_ms, b[i].received_ms);
    }
}

static int64_t own_incidents(struct sx *f)
{
    return sx_query(f, "SELECT count(*) FROM incident WHERE code='commits_damaged'");
}

static void count_damaged(void *ctx, tz_ver first, tz_ver last, bool mendable)
{
    int *n = ctx;
    assert_true(first <= last);
    n[mendable]++;
}

static void a_damaged_pack_is_rebuilt_from_the_audit_log(void **state)
{
    struct sx *f = *state;
    enum { MAX = 400 };
    struct tz_commit_entry *was = calloc(MAX, sizeof *was);
    struct tz_commit_entry *now = calloc(MAX, sizeof *now);
    struct tz_id id = sx_org(f, "甲公司");
    int found[2] = {0};
    assert_true(was && now);
    write_much(f, id);
    f->commits_kept = 1;
    sx_reopen(f);
    sx_applied(sx_set(&f->d1, "organisation", id, "address=终", NULL));
    assert_true(sx_query(f, "SELECT count(*) FROM commit_log") <= 2);
    size_t n = read_all(f, was, MAX);
    assert_true(n > 40 && n < MAX);
    n -= 2; /* the newest are rows yet */
    sx_exec(f, "UPDATE commit_pack SET body=substr(body,1,length(body)-2)");
    assert_int_equal(tz_store_commits_check(f->s, count_damaged, found, &f->err), 0);
    assert_true(found[1] > 0 && found[0] == 0);
    tz_commit_forget(f->s);
    assert_int_equal(read_all(f, now, MAX), n + 2); /* in memory, as a reader would */
    assert_same_commits(was, now, n);
    sx_reopen(f); /* and for good */
    found[1] = 0;
    assert_int_equal(tz_store_commits_check(f->s, count_damaged, found, &f->err), 0);
    assert_int_equal(found[1], 0);
    assert_true(own_incidents(f) >= 1);
    assert_int_equal(tz_store_audit_check(f->s, &(uint64_t){0}, &f->err), 0);
    assert_true(read_all(f, now, MAX) >= n);
    assert_same_commits(was, now, n);
    free(was);
    free(now);
}

/** Damage that shows while the server runs is mended at the end of the group that met it. */
static void a_pack_is_mended_by_the_group_that_meets_the_damage(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    f->commits_kept = 1;
    sx_reopen(f);
    sx_applied(sx_set(&f->d1, "organisation", id, "address=一路", NULL));
    sx_applied(sx_set(&f->d1, "organisation", id, "address=二路", NULL));
    sx_exec(f, "UPDATE commit_pack SET body=substr(body,1,length(body)-2)");
    tz_commit_forget(f->s);
    (void)sx_set(&f->fi, "organisation", id, "address=三路", NULL); /* has not seen it */
    assert_int_equal(f->res.outcome, TZ_OUT_SUPERSEDED);
    assert_int_equal(own_incidents(f), 1);
    int found[2] = {0};
    assert_int_equal(tz_store_commits_check(f->s, count_damaged, found, &f->err), 0);
    assert_int_equal(found[0] + found[1], 0);
}

/** The log lacks a body: who wrote what stands cannot be told. The edit that would need it is not judged, its device is
 * told why, and others go on. */
static void a_pack_that_cannot_be_rebuilt_stops_only_who_asks_for_it(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_id other = sx_org(f, "乙公司");
    int found[2] = {0};
    sx_applied(sx_set(&f->d1, "organisation", id, "address=一路", NULL));
    sx_applied(sx_set(&f->d1, "organisation", other, "address=一路", NULL));
    f->commits_kept = 1;
    sx_reopen(f);
    sx_group(f);
    sx_commit(f);
    sx_exec(f, "UPDATE commit_pack SET body=substr(body,1,length(body)-2)");
    sx_exec(f, "DELETE FROM audit_body");
    f->commits_kept = 0;
    sx_reopen(f);
    assert_int_equal(tz_store_commits_check(f->s, count_damaged, found, &f->err), 0);
    assert_int_equal(found[0], 1);
    struct sx_cs *c = sx_begin(&f->fi); /* has not seen it */
    sx_op_set(c, "organisation", id, "address=三路", NULL);
    sx_group(f);
    assert_int_equal(sx_apply(c), TZ_E_COMMITS_LOST);
    sx_commit(f);
    assert_int_equal(f->err.nargs, 2);
    f->fi.seq--;
    for (int i = 0; i < 4; i++) {
        sx_see(&f->d1);
        sx_applied(sx_set(&f->d1, "organisation", other, i % 2 ? "address=一路" : "address=二路", NULL));
    }
    sx_see(&f->fi);
    sx_applied(sx_set(&f->fi, "organisation", id, "address=三路", NULL));
    assert_int_equal(own_incidents(f), 0);
}

/** A number that the log lacks may be anybody's version: it must not pass for the server's own. */
static void nothing_is_rebuilt_from_a_log_with_a_hole(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    int found[2] = {0};
    f->commits_kept = 1;
    sx_reopen(f);
    write_much(f, id);
    sx_exec(f, "UPDATE commit_pack SET body=substr(body,1,length(body)-2)");
    sx_exec(f, "DELETE FROM audit WHERE n=(SELECT max(n)-5 FROM audit)");
    assert_int_equal(tz_store_commits_check(f->s, count_damaged, found, &f->err), 0);
    assert_true(found[0] > 0 && found[1] == 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, sx_setup, sx_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_come_back),
        cmocka_unit_test(a_damaged_run_is_refused),
        cmocka_unit_test(a_run_that_does_not_ascend_is_refused),
        cmocka_unit_test(a_run_without_a_sum_comes_back),
        T(no_merge_can_tell_what_is_packed),
        T(every_version_is_found_wherever_it_is),
        T(a_group_that_is_rolled_back_leaves_no_pack_in_memory),
        T(a_damaged_pack_is_rebuilt_from_the_audit_log),
        T(a_pack_is_mended_by_the_group_that_meets_the_damage),
        T(a_pack_that_cannot_be_rebuilt_stops_only_who_asks_for_it),
        T(nothing_is_rebuilt_from_a_log_with_a_hole),
    };
    return cmocka_run_group_tests_name("commit_pack", tests, sx_group_setup, sx_group_teardown);
}
