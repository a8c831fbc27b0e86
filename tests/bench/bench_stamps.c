/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the merge costs in bytes: the server's stamps and its commit table against the rows they are about, after a year
 * of work on the sample registry (deploy/sample/organisations.csv, 20,000 rows).
 *
 * The year: 16 district offices on 250 working days save 100,000 times in all, each save one organisation of their own
 * district, chosen at random, in one changeset with one op (nobody collects his saves: the dearest case for the commit
 * table). A person's saves are half a minute to some minutes apart. Three offices of four are connected: what they save
 * is with the server within two seconds. The others hand in the day's saves together at its end. What is edited, in
 * percent: head count with its date 30, members with their date 20, address 15, seven single fields 5 each.
 *
 * Counted
 *   rows     bytes of content (dbstat's payload) of the tables of all record types but division, user and the like that
 *            only the catalogue ships, without their indexes, without the two columns below
 *   stamps   the columns _stamps and _age of the same tables, as SQLite stores them
 *   commits  bytes of content of commit_log, commit_pack and commit_author
 * and, in brackets, commits and all of rows and stamps by whole pages, as the file has them.
 *
 * The sizes follow from the data and the random numbers alone, so the limit is asserted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "csvread.h"
#include "store_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OFFICES = 16,
    ROWS = 20000,
    EDITS = 100000,
    DAYS = 250,
    DAY_SAVES = EDITS / DAYS,
    SHARE_MAX_PERCENT = 15,
    COLUMNS_MAX = 32,
};
static const int64_t DAY_MS = 24 * 3600 * 1000;
static const int64_t FIRST_MORNING_MS = INT64_C(1767574800000); /* 2026-01-05 09:00 UTC+8 */
static const char *const districts[OFFICES] = {"120101", "120102", "120103", "120104", "120105", "120106",
                                               "120110", "120111", "120112", "120113", "120114", "120115",
                                               "120116", "120117", "120118", "120119"};

struct office {
    struct sx_dev dev;
    struct sx_cs *batch; /* of the import */
    struct tz_id *org;
    size_t norgs, cap;
    bool connected;
    int64_t clock_ms; /* of its newest save */
};

struct save {
    int64_t made_ms, sent_ms;
    uint32_t office;
};

struct bench {
    struct sx *f;
    struct office office[OFFICES];
    const struct tz_field *column[COLUMNS_MAX]; /* of the sheet; NULL: not of the type */
    size_t ncolumns, rows;
    uint64_t random;
};

static uint64_t draw(struct bench *b, uint64_t n)
{
    uint64_t z = (b->random += UINT64_C(0x9E3779B97F4A7C15)); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (z ^ (z >> 31)) % n;
}

/* ---- the registry ---- */

static void send_batch(struct bench *b, struct office *o)
{
    if (o->batch && o->batch->cs.nops)
        assert_int_equal(sx_push(o->batch)->code, 0);
    o->batch = NULL;
    b->f->clock.wall.ms += 100;
}

static void add_op(struct bench *b, struct office *o, const struct tz_bytes *fields, size_t n)
{
    const struct tz_type *t = sx_type(b->f, "organisation");
    struct tz_record *rec = tz_arena_alloc(&b->f->a, sizeof *rec);
    struct tz_buf body;
    assert_non_null(rec);
    tz_record_init(rec, t);
    for (size_t i = 0; i < n; i++)
        if (b->column[i])
            assert_int_equal(tz_value_parse(b->column[i], (const char *)fields[i].p, &b->f->a,
                                            &rec->v[b->column[i]->index], &b->f->err),
                             0);
    if (!o->batch) {
        o->batch = sx_begin(&o->dev);
        o->batch->cs.independent = true;
    }
    if (o->norgs == o->cap) {
        o->cap = o->cap ? 2 * o->cap : 256;
        o->org = realloc(o->org, o->cap * sizeof *o->org);
        assert_non_null(o->org);
    }
    struct tz_op *op = sx_op(o->batch, TZ_OP_CREATE, "organisation", tz_id_make(&o->dev.ids, b->f->clock.wall));
    o->org[o->norgs++] = op->id;
    tz_buf_init(&body, TZ_ROW_BYTES_MAX);
    assert_int_equal(tz_record_encode(rec, &body), 0);
    struct tz_bytes all = tz_buf_unread(&body);
    op->values = tz_bytes_of(tz_arena_dup(&b->f->a, all.p, all.n), all.n);
    tz_buf_deinit(&body);
    if (o->batch->cs.nops == TZ_INDEPENDENT_OPS_MAX)
        send_batch(b, o);
}

static int on_row(void *ctx, size_t line, const struct tz_bytes *fields, size_t n)
{
    struct bench *b = ctx;
    const struct tz_type *t = sx_type(b->f, "organisation");
    const char *district = NULL;
    assert_true(n <= COLUMNS_MAX);
    if (line == 1)
        b->ncolumns = n;
    for (size_t i = 0; line == 1 && i < n; i++)
        b->column[i] = tz_type_field(t, (const char *)fields[i].p);
    for (size_t i = 0; line > 1 && i < n; i++)
        if (b->column[i] && strcmp(b->column[i]->name, "district_code") == 0)
            district = (const char *)fields[i].p;
    for (size_t i = 0; district && i < OFFICES; i++)
        if (strcmp(district, districts[i]) == 0)
            add_op(b, &b->office[i], fields, n);
    b->rows += line > 1;
    return 0;
}

static void import_all(struct bench *b)
{
    static const struct tz_csv_limits limits = {COLUMNS_MAX, 4096, 65536};
    struct tz_csv_reader *r = tz_csv_reader_new(&limits, on_row, b);
    FILE *in = fopen(TZ_SOURCE_DIR "/deploy/sample/organisations.csv", "rb");
    uint8_t piece[65536];
    size_t n;
    assert_non_null(r);
    assert_non_null(in);
    while ((n = fread(piece, 1, sizeof piece, in)) > 0)
        assert_int_equal(tz_csv_reader_feed(r, tz_bytes_of(piece, n)), 0);
    assert_int_equal(tz_csv_reader_end(r), 0);
    (void)fclose(in);
    tz_csv_reader_free(r);
    for (size_t i = 0; i < OFFICES; i++)
        send_batch(b, &b->office[i]);
    tz_arena_reset(&b->f->a);
    assert_int_equal(b->rows, ROWS);
}

/* ---- a year ---- */

/** One of the field's values that the record does not have: nobody saves what is there already. */
static const char *other_than(struct bench *b, struct tz_id id, const char *field, const char *const *v, size_t n)
{
    const char *now = sx_text(b->f, "organisation", id, field);
    const char *pick = v[draw(b, n)];
    while (strcmp(strchr(pick, '=') + 1, now) == 0)
        pick = v[draw(b, n)];
    return pick;
}

static void edit_single(struct bench *b, struct sx_cs *c, struct tz_id id, uint64_t which)
{
    static const char *const choices[5][4] = {
        {"has_union=0", "has_union=1", "has_union=0", "has_union=1"},
        {"has_league=0", "has_league=1", "has_league=0", "has_league=1"},
        {"site_type=park", "site_type=building", "site_type=market", "site_type=village"},
        {"industry_code=C", "industry_code=F", "industry_code=I", "industry_code=L"},
        {"status=active", "status=suspended", "status=relocated", "status=unverified"},
    };
    static const char *const fields[5] = {"has_union", "has_league", "site_type", "industry_code", "status"};
    char text[160];
    if (which < 5) {
        sx_op_set(c, "organisation", id, other_than(b, id, fields[which], choices[which], 4), NULL);
    } else if (which == 5) {
        (void)snprintf(text, sizeof text, "grid_no=G%05d", (int)draw(b, 40000));
        sx_op_set(c, "organisation", id, text, NULL);
    } else {
        (void)snprintf(text, sizeof text, "registrar=天津市市场监督管理局第%d分局", (int)draw(b, 400) + 1);
        sx_op_set(c, "organisation", id, text, NULL);
    }
}

static void edit(struct bench *b, struct sx_cs *c, struct tz_id id, int day)
{
    uint64_t what = draw(b, 100);
    char one[160];
    char two[48];
    char on[32];
    if (what < 30) {
        (void)snprintf(one, sizeof one, "employees=%d", (int)draw(b, 300) + 1);
        (void)snprintf(on, sizeof on, "employees_on=2026-%02d-%02d", day / 21 + 1, day % 21 + 1);
        sx_op_set(c, "organisation", id, one, on, NULL);
    } else if (what < 50) {
        (void)snprintf(one, sizeof one, "full_members=%d", (int)draw(b, 40));
        (void)snprintf(two, sizeof two, "activists=%d", (int)draw(b, 10));
        (void)snprintf(on, sizeof on, "counts_on=2026-%02d-%02d", day / 21 + 1, day % 21 + 1);
        sx_op_set(c, "organisation", id, one, two, on, NULL);
    } else if (what < 65) {
        (void)snprintf(one, sizeof one, "address=示例街道%d号院%d号楼%d室", (int)draw(b, 400), (int)draw(b, 30),
                       (int)draw(b, 900) + 100);
        sx_op_set(c, "organisation", id, one, NULL);
    } else {
        edit_single(b, c, id, (what - 65) / 5);
    }
}

static int by_arrival(const void *pa, const void *pb)
{
    const struct save *a = pa;
    const struct save *b = pb;
    if (a->sent_ms != b->sent_ms)
        return a->sent_ms < b->sent_ms ? -1 : 1;
    return a->made_ms < b->made_ms ? -1 : a->made_ms > b->made_ms;
}

/** Who saves what when: half of the day's saves before noon, each office at its own pace. */
static void plan_day(struct bench *b, int day, struct save *v)
{
    int64_t morning = FIRST_MORNING_MS + (day / 5 * 7 + day % 5) * DAY_MS;
    for (size_t i = 0; i < OFFICES; i++)
        b->office[i].clock_ms = morning + (int64_t)draw(b, 1800000);
    for (size_t i = 0; i < DAY_SAVES; i++) {
        struct office *o = &b->office[i % OFFICES];
        if (i / OFFICES == DAY_SAVES / OFFICES / 2)
            o->clock_ms += 3 * 3600 * 1000;
        o->clock_ms += 30000 + (int64_t)draw(b, 360000);
        v[i] = (struct save){.made_ms = o->clock_ms, .office = (uint32_t)(i % OFFICES)};
        v[i].sent_ms = o->connected ? o->clock_ms + 100 + (int64_t)draw(b, 1900)
                                    : morning + 10 * 3600 * 1000 + (int64_t)(i % OFFICES) * 7919;
    }
    qsort(v, DAY_SAVES, sizeof *v, by_arrival);
}

static void work_day(struct bench *b, int day)
{
    struct save v[DAY_SAVES];
    struct sx *f = b->f;
    plan_day(b, day, v);
    for (size_t i = 0; i < OFFICES; i++) {
        sx_see(&b->office[i].dev);
        b->office[i].dev.offset_ms = (int64_t)draw(b, 200) - 100; /* as today's handshake measured it */
    }
    for (size_t i = 0; i < DAY_SAVES; i++) {
        struct office *o = &b->office[v[i].office];
        bool first = i == 0 || v[i].sent_ms != v[i - 1].sent_ms;
        bool last = i + 1 == DAY_SAVES || v[i].sent_ms != v[i + 1].sent_ms;
        f->clock.wall.ms = v[i].made_ms;
        o->dev.hlc_step = UINT64_MAX; /* the clock has moved on: its counter is 0 */
        if (o->connected)
            o->dev.seen = tz_store_head(f->s);
        o->dev.seen_seq = o->dev.seq;
        struct sx_cs *c = sx_begin(&o->dev);
        edit(b, c, o->org[draw(b, o->norgs)], day);
        f->clock.wall.ms = v[i].sent_ms;
        if (first)
            sx_group(f);
        assert_int_equal(sx_apply(c), 0);
        assert_int_not_equal(f->res.outcome, TZ_OUT_REFUSED);
        if (last)
            sx_commit(f);
        tz_arena_reset(&f->a);
    }
}

/* ---- what it costs ---- */

struct sizes {
    int64_t rows, stamps, commits, row_pages, commit_pages;
};

/** Bytes of an integer in SQLite's record format. */
#define INT_BYTES(c)                                                                                              \
    "CASE WHEN " c " IN (0,1) THEN 0 WHEN " c " BETWEEN -128 AND 127 THEN 1 WHEN " c " BETWEEN -32768 AND 32767"  \
    " THEN 2 WHEN " c " BETWEEN -8388608 AND 8388607 THEN 3 WHEN " c " BETWEEN -2147483648 AND 2147483647 THEN 4" \
    " WHEN " c " BETWEEN -140737488355328 AND 140737488355327 THEN 6 ELSE 8 END"

static int64_t stat(struct sx *f, const char *column, const char *table)
{
    char sql[160];
    (void)snprintf(sql, sizeof sql, "SELECT coalesce(sum(%s),0) FROM dbstat WHERE name='%s'", column, table);
    return sx_query(f, sql);
}

static void measure(struct sx *f, struct sizes *z)
{
    static const char *const commits[] = {"commit_log", "commit_pack", "commit_author"};
    char sql[1024];
    *z = (struct sizes){0};
    for (size_t i = 0; i < f->cat.ntypes; i++) {
        const char *name = f->cat.types[i].name;
        if (f->cat.types[i].area == TZ_AREA_CITY)
            continue;
        (void)snprintf(sql, sizeof sql,
                       "SELECT coalesce(sum(length(coalesce(_stamps,x'')) + " INT_BYTES("_age") "),0) FROM \"%s\"",
                       name);
        int64_t stamps = sx_query(f, sql);
        z->stamps += stamps;
        z->rows += stat(f, "payload", name) - stamps;
        z->row_pages += stat(f, "pgsize", name);
    }
    for (size_t i = 0; i < 3; i++) {
        z->commits += stat(f, "payload", commits[i]);
        z->commit_pages += stat(f, "pgsize", commits[i]);
    }
}

static void print(struct bench *b, const struct sizes *z)
{
    double row = (double)z->rows / 100;
    int64_t answers = sx_query(b->f, "SELECT count(*) FROM result");
    printf("stamps and commits: %lld edits of %lld rows: stamps %lld B (%.1f %%) + commit table %lld B (%.1f %%, %lld "
           "versions) = %.1f %% of %lld B in rows [pages: commits %lld B of %lld B]; answers %.0f B each\n",
           (long long)EDITS, (long long)sx_query(b->f, "SELECT count(*) FROM organisation"), (long long)z->stamps,
           (double)z->stamps / row, (long long)z->commits, (double)z->commits / row,
           (long long)sx_query(b->f, "SELECT count(DISTINCT ver) FROM result WHERE ver>0"),
           (double)(z->stamps + z->commits) / row, (long long)z->rows, (long long)z->commit_pages,
           (long long)z->row_pages, (double)stat(b->f, "payload", "result") / (double)answers);
}

static void stamps_and_commits_stay_small(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    struct sizes z;
    assert_non_null(b);
    b->f = *state;
    b->f->commits_kept = 0; /* as the server does it */
    sx_reopen(b->f);
    b->f->clock.wall.ms = FIRST_MORNING_MS - DAY_MS;
    for (size_t i = 0; i < OFFICES; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "o%s", districts[i]);
        sx_join(b->f, &b->office[i].dev, name, "D_CLERK", districts[i]);
        b->office[i].connected = i % 4 != 3;
    }
    import_all(b);
    for (int day = 0; day < DAYS; day++)
        work_day(b, day);
    measure(b->f, &z);
    print(b, &z);
    for (size_t i = 0; i < OFFICES; i++)
        free(b->office[i].org);
    free(b);
    assert_true((z.stamps + z.commits) * 100 < z.rows * SHARE_MAX_PERCENT);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stamps_and_commits_stay_small, sx_setup, sx_teardown),
    };
    return cmocka_run_group_tests_name("bench_stamps", tests, sx_group_setup, sx_group_teardown);
}
