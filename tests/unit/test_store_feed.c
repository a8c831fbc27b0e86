/* SPDX-License-Identifier: Apache-2.0 */
/* What devices may read: feed, projection, digests; and the audit chain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a reader: what a client keeps of the feed ---- */

enum { ROWS_MAX = 8192, CURSORS_MAX = 64 };

struct kept {
    uint32_t type;
    struct tz_id id;
    tz_ver ver;
    struct tz_area area;
    enum tz_row_state state;
    struct tz_bytes body;
    unsigned times;
};

struct reader {
    struct sx *f;
    struct tz_grant g;
    struct tz_cursor cursors[CURSORS_MAX];
    size_t ncursors;
    struct kept *rows;
    size_t n;
    size_t frames;
    size_t frame_bytes_max;
    struct tz_msg_checkpoint head;
};

static void reader_init(struct reader *r, struct sx_dev *d)
{
    struct sx *f = d->f;
    *r = (struct reader){.f = f, .rows = tz_arena_calloc(&f->a, ROWS_MAX, sizeof *r->rows)};
    assert_int_equal(tz_store_grant_of(f->s, &d->d, tz_clock_wall(&f->s->clock).ms, &r->g, &f->err), 0);
    for (uint32_t tier = 0; tier < 2; tier++)
        for (size_t i = 0; i < r->g.nareas; i++)
            r->cursors[r->ncursors++] = (struct tz_cursor){.area = r->g.areas[i], .tier = tier};
    assert_true(r->ncursors <= CURSORS_MAX);
}

static void keep(struct reader *r, const struct tz_msg_row *m)
{
    size_t i = 0;
    while (i < r->n && (r->rows[i].type != m->type || !tz_id_eq(r->rows[i].id, m->id)))
        i++;
    if (i == r->n)
        r->rows[r->n++] = (struct kept){.type = m->type, .id = m->id};
    assert_true(r->n < ROWS_MAX);
    struct kept *k = &r->rows[i];
    assert_true(m->ver >= k->ver || m->state == TZ_ROW_LEFT);
    k->ver = m->ver;
    k->area = m->area;
    k->state = m->state;
    k->body = tz_bytes_of(tz_arena_dup(&r->f->a, m->body.p, m->body.n), m->body.n);
    k->times++;
}

static void progress(struct reader *r, const struct tz_cursor *c)
{
    for (size_t i = 0; i < r->ncursors; i++)
        if (r->cursors[i].tier == c->tier && tz_area_eq(&r->cursors[i].area, &c->area)) {
            assert_true(c->ver >= r->cursors[i].ver);
            r->cursors[i].ver = c->ver;
            return;
        }
    fail_msg("progress of an area that was not asked for");
}

static int on_frame(void *ctx, struct tz_bytes frame)
{
    struct reader *r = ctx;
    struct tz_msg_rows m;
    r->frames++;
    r->frame_bytes_max = frame.n > r->frame_bytes_max ? frame.n : r->frame_bytes_max;
    assert_int_equal(tz_msg_read_rows(frame, &r->f->a, &m, &r->f->err), 0);
    for (size_t i = 0; i < m.nrows; i++)
        keep(r, &m.rows[i]);
    for (size_t i = 0; i < m.nprogress; i++)
        progress(r, &m.progress[i]);
    return 0;
}

/** One page, asked with the cursors the frames reported (as after a disconnect). True at the end. */
static bool page(struct reader *r, unsigned frames_max)
{
    struct tz_cursor asked[CURSORS_MAX];
    bool done = false;
    memcpy(asked, r->cursors, sizeof asked);
    assert_int_equal(
        tz_store_changes(r->f->s, &r->g, asked, r->ncursors, frames_max, on_frame, r, &done, &r->head, &r->f->err), 0);
    if (done)
        for (size_t i = 0; i < r->ncursors; i++)
            r->cursors[i].ver = r->head.ver;
    return done;
}

static void catch_up(struct reader *r, unsigned frames_max)
{
    for (int i = 0; !page(r, frames_max); i++)
        assert_true(i < 1000);
}

static const struct kept *find(const struct reader *r, struct tz_id id)
{
    for (size_t i = 0; i < r->n; i++)
        if (tz_id_eq(r->rows[i].id, id))
            return &r->rows[i];
    return NULL;
}

static bool holds(const struct reader *r, struct tz_id id)
{
    const struct kept *k = find(r, id);
    return k && k->state == TZ_ROW_LIVE;
}

static int by_type_id(const void *a, const void *b)
{
    const struct kept *x = a;
    const struct kept *y = b;
    return x->type != y->type ? (x->type < y->type ? -1 : 1) : tz_id_cmp(x->id, y->id);
}

static void be(uint8_t *out, uint64_t v, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
}

/** The digest as the protocol defines it, over what the reader kept. */
static uint64_t digest(struct reader *r, uint8_t out[32])
{
    struct tz_sha256 h = {0};
    uint64_t rows = 0;
    qsort(r->rows, r->n, sizeof *r->rows, by_type_id);
    assert_int_equal(tz_sha256_init(&h), 0);
    for (size_t i = 0; i < r->n; i++) {
        const struct kept *k = &r->rows[i];
        uint8_t head[32];
        if (k->state != TZ_ROW_LIVE)
            continue;
        be(head, k->type, 4);
        memcpy(head + 4, k->id.b, 16);
        be(head + 20, k->ver, 8);
        be(head + 28, k->body.n, 4);
        assert_int_equal(tz_sha256_update(&h, tz_bytes_of(head, sizeof head)), 0);
        assert_int_equal(tz_sha256_update(&h, k->body), 0);
        rows++;
    }
    assert_int_equal(tz_sha256_final(&h, out), 0);
    tz_sha256_deinit(&h);
    return rows;
}

static void assert_verifies(struct reader *r)
{
    struct tz_msg_verify ask = {0};
    struct tz_msg_verified v;
    uint8_t mine[32];
    assert_int_equal(tz_store_verify(r->f->s, &r->g, &ask, &v, &r->f->err), 0);
    assert_int_equal(v.rows, digest(r, mine));
    assert_memory_equal(v.digest, mine, 32);
    assert_int_equal(v.ver, r->head.ver);
}

/** Some history: makes, edits, deletes, moves, conflicts in both districts. */
static void history(struct sx *f, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        char name[64];
        char text[4096];
        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = '\0';
        memcpy(text, "former_names=", 13);
        (void)snprintf(name, sizeof name, "name=组织%d", i);
        struct tz_id id = sx_create(&f->d1, "organisation", name, "district_code=120101", text, NULL);
        struct tz_id other = sx_create(&f->d2, "organisation", name, "district_code=120102", NULL);
        sx_create(&f->d1, "coverage", sx_ref(f, "org_id", id), "mode=own", "since=2023-01-01", NULL);
        f->fi.seen = f->d1b.seen = tz_store_head(f->s);
        f->clock.wall.ms += 1000;
        sx_applied(sx_set(&f->fi, "organisation", id, "address=一路", NULL));
        f->clock.wall.ms += 1000;
        if (i % 3 == 0)
            sx_applied(sx_set(&f->d1b, "organisation", id, "address=二路", NULL));
        if (i % 4 == 1) {
            sx_see(&f->c1);
            sx_applied(sx_set(&f->c1, "organisation", id, "district_code=120102", NULL));
        }
        if (i % 5 == 2) {
            sx_see(&f->d2);
            sx_applied(sx_delete(&f->d2, "organisation", other));
        }
    }
}

/* ---- the feed ---- */

static void one_pass_gives_each_row_once_and_the_scope(void **state)
{
    struct sx *f = *state;
    struct reader r;
    history(f, 12);
    reader_init(&r, &f->d1);
    catch_up(&r, 1000);
    for (size_t i = 0; i < r.n; i++)
        assert_int_equal(r.rows[i].times, 1);
    assert_int_equal(r.head.ver, tz_store_head(f->s));
    assert_verifies(&r);
}

static void pages_of_any_size_give_the_same(void **state)
{
    struct sx *f = *state;
    struct reader whole;
    uint8_t want[32];
    history(f, 12);
    reader_init(&whole, &f->d1);
    catch_up(&whole, 1000);
    uint64_t rows = digest(&whole, want);
    for (unsigned max = 1; max <= 4; max++) {
        struct reader r;
        uint8_t got[32];
        reader_init(&r, &f->d1);
        catch_up(&r, max);
        assert_int_equal(digest(&r, got), rows);
        assert_memory_equal(got, want, 32);
        assert_true(max > 1 || r.frames >= 1);
    }
}

static void reading_while_others_write_converges(void **state)
{
    struct sx *f = *state;
    struct reader r;
    reader_init(&r, &f->d1);
    for (int i = 0; i < 8; i++) {
        history(f, 2);
        (void)page(&r, 1);
    }
    catch_up(&r, 1);
    assert_verifies(&r);
}

static void large_feed_comes_in_bounded_frames_and_resumes(void **state)
{
    struct sx *f = *state;
    struct reader r;
    history(f, 100); /* 400 KiB of text in one district */
    reader_init(&r, &f->d1);
    catch_up(&r, 1);
    assert_true(r.frames >= 2);
    assert_true(r.frame_bytes_max <= 2 * TZ_ROWS_FRAME_BYTES);
    for (size_t i = 0; i < r.n; i++)
        assert_int_equal(r.rows[i].times, 1);
    assert_verifies(&r);
}

static void one_version_of_very_many_rows_fits_the_frames(void **state)
{
    struct sx *f = *state;
    struct reader r;
    struct tz_id org = sx_org(f, "甲公司");
    for (int k = 0; k < 4; k++) {
        struct sx_cs *c = sx_begin(&f->d1);
        for (int i = 0; i < 500; i++) {
            char since[32]; /* no two of them the same link */
            (void)snprintf(since, sizeof since, "since=%d-%02d-%02d", 2000 + k, 1 + i / 28 % 12, 1 + i % 28);
            if (i >= 12 * 28)
                since[6] = '3';
            sx_op_create(c, "coverage", sx_ref(f, "org_id", org), "mode=liaison", since, NULL);
        }
        sx_applied(sx_push(c));
    }
    sx_see(&f->c1);
    sx_applied(sx_set(&f->c1, "organisation", org, "district_code=120102", NULL));
    reader_init(&r, &f->d2);
    catch_up(&r, 1);
    assert_true(r.frame_bytes_max <= TZ_FRAME_BODY_MAX);
    assert_verifies(&r);
}

static void record_that_left_is_told_to_those_who_lose_it_only(void **state)
{
    struct sx *f = *state;
    struct reader d1;
    struct reader c1;
    struct tz_id org = sx_org(f, "甲公司");
    reader_init(&d1, &f->d1);
    reader_init(&c1, &f->c1);
    catch_up(&d1, 10);
    catch_up(&c1, 10);
    sx_applied(sx_set(&f->c1, "organisation", org, "district_code=120102", NULL));
    catch_up(&d1, 10);
    catch_up(&c1, 10);
    assert_int_equal(find(&d1, org)->state, TZ_ROW_LEFT);
    assert_int_equal(find(&d1, org)->body.n, 0);
    assert_true(holds(&c1, org));
    assert_verifies(&d1);
    assert_verifies(&c1);
    sx_see(&f->c1);
    sx_applied(sx_set(&f->c1, "organisation", org, "district_code=120101", NULL));
    catch_up(&d1, 10);
    assert_true(holds(&d1, org));
    assert_verifies(&d1);
}

static void deleted_record_is_told_as_deleted(void **state)
{
    struct sx *f = *state;
    struct reader r;
    struct tz_id org = sx_org(f, "甲公司");
    reader_init(&r, &f->d1);
    catch_up(&r, 10);
    sx_applied(sx_delete(&f->d1, "organisation", org));
    catch_up(&r, 10);
    assert_int_equal(find(&r, org)->state, TZ_ROW_DELETED);
    assert_verifies(&r);
}

static void street_cursor_sees_its_street_only(void **state)
{
    struct sx *f = *state;
    struct reader r;
    struct tz_id in =
        sx_create(&f->d1, "organisation", "name=甲", "district_code=120101", "street_code=120101001", NULL);
    struct tz_id out =
        sx_create(&f->d1, "organisation", "name=乙", "district_code=120101", "street_code=120101002", NULL);
    struct tz_id none = sx_create(&f->d1, "organisation", "name=丙", "district_code=120101", NULL);
    reader_init(&r, &f->s1);
    catch_up(&r, 10);
    assert_true(holds(&r, in));
    assert_null(find(&r, out));
    assert_null(find(&r, none));
    assert_verifies(&r);
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "organisation", in, "street_code=120101002", NULL));
    catch_up(&r, 10);
    assert_int_equal(find(&r, in)->state, TZ_ROW_LEFT);
    assert_verifies(&r);
}

static void foreign_district_gives_nothing(void **state)
{
    struct sx *f = *state;
    struct reader r;
    history(f, 6);
    reader_init(&r, &f->d2);
    catch_up(&r, 10);
    for (size_t i = 0; i < r.n; i++)
        assert_true(r.rows[i].area.district[0] == '\0' || strcmp(r.rows[i].area.district, "120102") == 0);
    struct tz_cursor foreign = {.area = {.district = "120101"}, .tier = 1};
    bool done = false;
    assert_int_equal(tz_store_changes(f->s, &r.g, &foreign, 1, 10, on_frame, &r, &done, &r.head, &f->err), TZ_E_AREA);
}

static bool contains(struct tz_bytes hay, const char *needle)
{
    return memmem(hay.p, hay.n, needle, strlen(needle)) != NULL;
}

static void secrets_reach_their_readers_only(void **state)
{
    struct sx *f = *state;
    struct reader d1;
    struct reader c1;
    struct tz_id id = sx_create(&f->d1, "person", "name=张三丰", "phone=111", "district_code=120101", NULL);
    f->d1.seen = f->d1b.seen = tz_store_head(f->s);
    f->clock.wall.ms += 1000;
    sx_applied(sx_set(&f->d1, "person", id, "phone=13800000001", NULL));
    f->clock.wall.ms += 1000;
    sx_applied(sx_set(&f->d1b, "person", id, "phone=13800000002", NULL));
    reader_init(&d1, &f->d1);
    reader_init(&c1, &f->c1);
    catch_up(&d1, 10);
    catch_up(&c1, 10);
    assert_true(contains(find(&d1, id)->body, "张三丰"));
    assert_true(contains(find(&d1, sx_case(f, id, "phone", 1)->id)->body, "13800000001"));
    for (size_t i = 0; i < c1.n; i++) {
        assert_false(contains(c1.rows[i].body, "张三丰"));
        assert_false(contains(c1.rows[i].body, "138000"));
    }
    assert_true(holds(&c1, id)); /* that there is a person is open */
    assert_verifies(&d1);
    assert_verifies(&c1);
}

/* ---- audit ---- */

static void assert_audit(struct sx *f, int rc)
{
    uint64_t n = 0;
    assert_int_equal(tz_store_audit_check(f->s, &n, &f->err), rc);
}

static void audit_chain_verifies_and_covers_refusals(void **state)
{
    struct sx *f = *state;
    uint64_t before = 0;
    uint64_t after = 0;
    assert_int_equal(tz_store_audit_check(f->s, &before, &f->err), 0);
    history(f, 4);
    struct sx_cs *c = sx_begin(&f->d1);
    sx_op_create(c, "organisation", "name=甲", "district_code=120102", NULL);
    sx_refused(sx_push(c), TZ_E_AREA);
    assert_int_equal(tz_store_audit_check(f->s, &after, &f->err), 0);
    assert_true(after > before);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM audit WHERE meta LIKE '%outcome=3%'"), 1);
}

static void changed_meta_is_found(void **state)
{
    struct sx *f = *state;
    history(f, 2);
    sx_exec(f, "UPDATE audit SET meta=meta||' ' WHERE n=20");
    assert_audit(f, TZ_E_VERIFY);
    assert_string_equal(f->err.args[0], "audit entry 20");
}

static void changed_body_is_found(void **state)
{
    struct sx *f = *state;
    history(f, 2);
    sx_exec(f, "UPDATE audit_body SET body=x'00' WHERE n=18");
    assert_audit(f, TZ_E_VERIFY);
}

static void removed_entry_is_found(void **state)
{
    struct sx *f = *state;
    history(f, 2);
    sx_exec(f, "DELETE FROM audit WHERE n=18");
    assert_audit(f, TZ_E_VERIFY);
}

static void entry_cut_off_the_end_is_found(void **state)
{
    struct sx *f = *state;
    history(f, 2);
    sx_exec(f, "DELETE FROM audit WHERE n=(SELECT max(n) FROM audit)");
    assert_audit(f, TZ_E_VERIFY);
}

static void reordered_entries_are_found(void **state)
{
    struct sx *f = *state;
    history(f, 2);
    sx_exec(f, "UPDATE audit SET n=-1 WHERE n=18; UPDATE audit SET n=18 WHERE n=19; UPDATE audit SET n=19 WHERE n=-1;");
    assert_audit(f, TZ_E_VERIFY);
}

static void inserted_entry_is_found(void **state)
{
    struct sx *f = *state;
    history(f, 2);
    sx_exec(f, "UPDATE audit SET n=-n-1 WHERE n>=18; UPDATE audit SET n=-n WHERE n<0;"
               "INSERT INTO audit SELECT 18,epoch,meta,body_hash,hash FROM audit WHERE n=17");
    assert_audit(f, TZ_E_VERIFY);
    assert_string_equal(f->err.args[0], "audit entry 18");
}

static void swapped_bodies_are_found(void **state)
{
    struct sx *f = *state;
    history(f, 2);
    sx_exec(f, "UPDATE audit_body SET n=-1 WHERE n=18; UPDATE audit_body SET n=18 WHERE n=19;"
               "UPDATE audit_body SET n=19 WHERE n=-1");
    assert_audit(f, TZ_E_VERIFY);
    assert_string_equal(f->err.args[0], "audit entry 18");
}

static void erased_body_still_verifies(void **state)
{
    struct sx *f = *state;
    history(f, 2);
    sx_exec(f, "DELETE FROM audit_body WHERE n=18");
    assert_audit(f, 0);
}

static void head_a_client_remembers_is_confirmed_or_denied(void **state)
{
    struct sx *f = *state;
    struct reader r;
    struct tz_msg_verify ask = {0};
    struct tz_msg_verified v;
    reader_init(&r, &f->d1);
    history(f, 1);
    assert_int_equal(tz_store_audit_head(f->s, &ask.audit_n, ask.audit_hash, &f->err), 0);
    history(f, 1);
    assert_int_equal(tz_store_verify(f->s, &r.g, &ask, &v, &f->err), 0);
    assert_true(v.audit_ok);
    ask.audit_hash[0] ^= 1;
    assert_int_equal(tz_store_verify(f->s, &r.g, &ask, &v, &f->err), 0);
    assert_false(v.audit_ok);
    ask.audit_n = 1000000; /* a chain longer than ours */
    assert_int_equal(tz_store_verify(f->s, &r.g, &ask, &v, &f->err), 0);
    assert_false(v.audit_ok);
}

static void row_that_no_frame_can_carry_does_not_stop_the_feed(void **state)
{
    struct sx *f = *state;
    struct tz_id fat = sx_org(f, "甲公司");
    struct tz_id after = sx_org(f, "乙公司");
    struct reader r;
    sx_fatten(f, fat, TZ_ROW_BYTES_MAX + 1000);
    reader_init(&r, &f->d1);
    catch_up(&r, 4);
    assert_null(find(&r, fat));
    assert_true(holds(&r, after));
    struct tz_msg_verified v;
    struct tz_msg_verify ask = {0};
    assert_int_equal(tz_store_verify(f->s, &r.g, &ask, &v, &f->err), 0);
    assert_int_equal(v.rows, r.n);
}

#define T(name) cmocka_unit_test_setup_teardown(name, sx_setup, sx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(one_pass_gives_each_row_once_and_the_scope),
        T(pages_of_any_size_give_the_same),
        T(reading_while_others_write_converges),
        T(large_feed_comes_in_bounded_frames_and_resumes),
        T(one_version_of_very_many_rows_fits_the_frames),
        T(record_that_left_is_told_to_those_who_lose_it_only),
        T(deleted_record_is_told_as_deleted),
        T(street_cursor_sees_its_street_only),
        T(foreign_district_gives_nothing),
        T(secrets_reach_their_readers_only),
        T(audit_chain_verifies_and_covers_refusals),
        T(changed_meta_is_found),
        T(changed_body_is_found),
        T(removed_entry_is_found),
        T(entry_cut_off_the_end_is_found),
        T(reordered_entries_are_found),
        T(inserted_entry_is_found),
        T(swapped_bodies_are_found),
        T(erased_body_still_verifies),
        T(head_a_client_remembers_is_confirmed_or_denied),
        T(row_that_no_frame_can_carry_does_not_stop_the_feed),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
