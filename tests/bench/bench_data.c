/* SPDX-License-Identifier: Apache-2.0 */
/*
 * W1 and W2: much data, down and up.
 *
 * A world is a server and the office that fills it. What is measured several times from the same state is measured on
 * copies of the two folders: stop, copy, start again at the port that the office knows.
 */
#include "bench.h"
#include "bench_live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world {
    const struct bench *b;
    struct bench_server server;
    char office[BENCH_PATH_BYTES];
    size_t rows; /* imported so far */
};

static void work_path(const struct bench *b, char *out, const char *name)
{
    bench_path(out, b->opt.work, name);
}

static void sync_office(const struct world *w, const char *office, struct bench_run *r)
{
    bench_client(w->b, office, (const char *[]){"sync", NULL}, r);
}

static void make_world(struct bench *b, struct world *w)
{
    char dir[BENCH_PATH_BYTES];
    memset(w, 0, sizeof *w);
    w->b = b;
    work_path(b, dir, "server");
    work_path(b, w->office, "filler");
    bench_server_init(b, dir, &w->server);
    bench_join(&w->server, w->office, "D_CLERK", BENCH_DISTRICT);
    sync_office(w, w->office, NULL);
}

static void end_world(struct world *w)
{
    if (w->server.pid)
        bench_server_stop(&w->server);
    bench_remove_folder(w->server.dir);
    bench_remove_folder(w->office);
}

/** A sheet into the filler's outbox. */
static void import(struct world *w, const struct bench_rows *rows, size_t from, size_t n, bool edited,
                   struct bench_run *r)
{
    char csv[BENCH_PATH_BYTES];
    work_path(w->b, csv, "rows.csv");
    bench_rows_csv(rows, csv, from, n, edited);
    bench_client(w->b, w->office, (const char *[]){"import", "organisation", csv, edited ? "--update" : NULL, NULL}, r);
    remove(csv);
}

static void fill(struct world *w, const struct bench_rows *rows, size_t n)
{
    struct bench_run r;
    import(w, rows, w->rows, n, false, &r);
    bench_say("%zu rows imported in %.1f s (%ld KiB)", n, r.wall, r.peak_kib);
    sync_office(w, w->office, &r);
    w->rows += n;
    bench_say("and sent in %.1f s", r.wall);
}

/** The organisations of an office that has them all. */
static struct bench_table *table_of(const char *office, size_t expected)
{
    char db[BENCH_PATH_BYTES];
    bench_path(db, office, "office.db");
    struct bench_table *t = bench_table_load(db, "organisation", "_ver, _id");
    bench_check(bench_table_rows(t) == expected, "%zu rows in %s, not %zu", bench_table_rows(t), office, expected);
    return t;
}

/** A path for a database of the limit, in a folder of its own that is empty. */
static void limit_path(const struct bench *b, char *out)
{
    char dir[BENCH_PATH_BYTES];
    work_path(b, dir, "limit");
    bench_remove_folder(dir);
    bench_make_folder(dir);
    bench_path(out, dir, "plain.db");
}

static double rate(size_t rows, double took)
{
    return (double)rows / took;
}

/* ---- W1 ---- */

static void first_sync(struct bench *b, struct world *w, unsigned rounds, const char *what, double at_least,
                       double *got)
{
    struct bench_figure f = {
        .workload = "W1", .what = what, .unit = "rows/s", .rounds = rounds, .at_least = at_least, .aim = 0.75};
    char dir[BENCH_PATH_BYTES];
    char plain[BENCH_PATH_BYTES];
    struct bench_run r;
    double server_cpu = 0;
    work_path(b, dir, "reader");
    for (unsigned i = 0; i < rounds; i++) {
        bench_join(&w->server, dir, "D_CLERK", BENCH_DISTRICT);
        double cpu = bench_cpu(w->server.pid);
        sync_office(w, dir, &r);
        server_cpu = bench_cpu(w->server.pid) - cpu;
        struct bench_table *t = table_of(dir, w->rows);
        limit_path(b, plain);
        f.ours[i] = rate(w->rows, r.wall);
        f.limit[i] = rate(w->rows, bench_table_insert(t, plain, NULL, 0, w->rows));
        bench_table_free(t);
    }
    bench_report(b, &f);
    bench_note(b, "client CPU, last round", r.user + r.sys, "s");
    bench_note(b, "server CPU, last round", server_cpu, "s");
    bench_note(b, "client peak memory", (double)r.peak_kib, "KiB");
    bench_note(b, "server peak memory", (double)bench_memory(w->server.pid, "VmHWM"), "KiB");
    *got = bench_median(f.ours, rounds);
}

/* ---- W3 and W7: needs the reader that W1 leaves ---- */

enum { LIVE_EDITS = 500 };

static void live_edits(struct bench *b, const struct world *w, unsigned rounds)
{
    struct bench_figure p50 = {
        .workload = "W3", .unit = "ms", .rounds = rounds, .lower_is_better = true, .at_least = 2.0, .aim = 1.4};
    struct bench_figure p99 = {
        .workload = "W3", .unit = "ms", .rounds = rounds, .lower_is_better = true, .at_least = 3.0};
    struct bench_figure bytes = {
        .workload = "W7", .unit = "B", .rounds = rounds, .lower_is_better = true, .at_least = 1024, .aim = 300};
    char what[3][64];
    char reader[BENCH_PATH_BYTES];
    char plain[BENCH_PATH_BYTES];
    work_path(b, reader, "reader");
    for (unsigned i = 0; i < rounds; i++) {
        struct bench_latency ours;
        struct bench_latency limit;
        limit_path(b, plain);
        *strrchr(plain, '/') = '\0';
        bench_bare(plain, LIVE_EDITS, &limit);
        bench_live(w->office, reader, LIVE_EDITS, &ours);
        p50.ours[i] = 1e3 * ours.p50;
        p99.ours[i] = 1e3 * ours.p99;
        p50.limit[i] = 1e3 * limit.p50;
        p99.limit[i] = 1e3 * limit.p99;
        bytes.ours[i] = ours.bytes;
    }
    snprintf(what[0], sizeof what[0], "edit to another office, p50, %zu rows", w->rows);
    snprintf(what[1], sizeof what[1], "edit to another office, p99, %zu rows", w->rows);
    snprintf(what[2], sizeof what[2], "bytes for one changed row, of %zu", w->rows);
    p50.what = what[0];
    p99.what = what[1];
    bytes.what = what[2];
    bench_report(b, &p50);
    bench_report(b, &p99);
    bench_report(b, &bytes);
}

/* ---- W2 ---- */

static struct bench_figure push_figure(const char *what, unsigned rounds, double at_least)
{
    return (struct bench_figure){
        .workload = "W2", .what = what, .unit = "rows/s", .rounds = rounds, .at_least = at_least, .aim = 0.4};
}

/** What the filler has not sent yet, sent @rounds times from the same state; @w is left with it sent. */
static void push(struct world *w, size_t rows, struct bench_figure *f)
{
    const struct bench *b = w->b;
    char server[BENCH_PATH_BYTES];
    char office[BENCH_PATH_BYTES];
    work_path(b, server, "server.before");
    work_path(b, office, "filler.before");
    bench_server_stop(&w->server);
    bench_copy_folder(w->server.dir, server);
    bench_copy_folder(w->office, office);
    for (unsigned i = 0; i < f->rounds; i++) {
        struct bench_run r;
        if (i) {
            bench_server_stop(&w->server);
            bench_remove_folder(w->server.dir);
            bench_remove_folder(w->office);
            bench_copy_folder(server, w->server.dir);
            bench_copy_folder(office, w->office);
        }
        bench_server_start(b, w->server.dir, w->server.port, &w->server);
        sync_office(w, w->office, &r);
        f->ours[i] = rate(rows, r.wall);
        f->cpu_ours = r.user + r.sys;
        f->cpu_server = bench_cpu(w->server.pid);
    }
    bench_remove_folder(server);
    bench_remove_folder(office);
}

static void report_push(struct bench *b, const struct bench_figure *f)
{
    bench_report(b, f);
    bench_note(b, "client CPU, last round", f->cpu_ours, "s");
    bench_note(b, "server CPU, last round", f->cpu_server, "s");
}

static void push_into_empty(struct bench *b, struct world *w, const struct bench_rows *rows)
{
    size_t n = b->opt.rows;
    struct bench_figure f = push_figure("push of new rows, empty server", b->opt.rounds, 0.20);
    char plain[BENCH_PATH_BYTES];
    import(w, rows, 0, n, false, NULL);
    push(w, n, &f);
    w->rows = n;
    struct bench_table *t = table_of(w->office, n);
    for (unsigned i = 0; i < f.rounds; i++) {
        limit_path(b, plain);
        f.limit[i] = rate(n, bench_table_insert(t, plain, "usci,name", 0, n));
    }
    bench_table_free(t);
    report_push(b, &f);
}

static void push_changes(struct bench *b, struct world *w, const struct bench_rows *rows)
{
    size_t n = b->opt.rows;
    struct bench_figure f = push_figure("push of changed rows", b->opt.rounds, 0.25);
    char plain[BENCH_PATH_BYTES];
    struct bench_table *t = table_of(w->office, n);
    import(w, rows, 0, n, true, NULL);
    push(w, n, &f);
    for (unsigned i = 0; i < f.rounds; i++) {
        limit_path(b, plain);
        (void)bench_table_insert(t, plain, "usci,name", 0, n);
        f.limit[i] = rate(n, bench_table_update(t, plain, "employees"));
    }
    bench_table_free(t);
    report_push(b, &f);
}

static void push_into_city(struct bench *b, struct world *w, const struct bench_rows *rows)
{
    size_t n = b->opt.rows;
    size_t before = w->rows;
    struct bench_figure f = push_figure("push of new rows, city's server", 1, 0.10);
    char plain[BENCH_PATH_BYTES];
    import(w, rows, before, n, false, NULL);
    push(w, n, &f);
    w->rows += n;
    struct bench_table *t = table_of(w->office, w->rows);
    limit_path(b, plain);
    (void)bench_table_insert(t, plain, "usci,name", 0, before);
    f.limit[0] = rate(n, bench_table_insert(t, plain, NULL, before, n));
    bench_table_free(t);
    report_push(b, &f);
}

/* ---- ---- */

void bench_data(struct bench *b)
{
    struct bench_rows *rows = bench_rows_open();
    struct world w;
    double usual = 0;
    double city = 0;
    char what[64];
    make_world(b, &w);
    if (bench_wanted(b, "W2")) {
        push_into_empty(b, &w, rows);
        push_changes(b, &w, rows);
    } else {
        fill(&w, rows, b->opt.rows);
    }
    if (bench_wanted(b, "W1")) {
        snprintf(what, sizeof what, "first sync, %zu rows", w.rows);
        first_sync(b, &w, b->opt.rounds, what, 0.50, &usual);
        live_edits(b, &w, b->opt.rounds);
    }
    if (b->opt.city_rows > w.rows) {
        fill(&w, rows, b->opt.city_rows - w.rows);
        if (bench_wanted(b, "W1")) {
            snprintf(what, sizeof what, "first sync, %zu rows", w.rows);
            first_sync(b, &w, 1, what, 0.50, &city);
            live_edits(b, &w, 1);
            bench_report(b, &(struct bench_figure){.workload = "W1",
                                                   .what = "rate of the large against the usual",
                                                   .unit = "rows/s",
                                                   .ours = {city},
                                                   .limit = {usual},
                                                   .rounds = 1,
                                                   .at_least = 0.9});
        }
        if (bench_wanted(b, "W2"))
            push_into_city(b, &w, rows);
    }
    end_world(&w);
    bench_rows_close(rows);
}
