/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_BENCH_H
#define TZ_BENCH_H

/*
 * tz-bench: how fast the real programs are, and beside each workload what the machine allows, measured in the same run.
 *
 * Every function here ends the process with a message when something fails: a benchmark that goes on after an error
 * measures nothing. One thread unless a workload says otherwise. Times are seconds of CLOCK_MONOTONIC, sizes KiB where
 * a name ends so, else bytes.
 */

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { BENCH_ROUNDS_MAX = 9, BENCH_PATH_BYTES = 512 };

/** What the command line said. */
struct bench_options {
    const char *bin;  /**< the build folder that holds server/taizhangd and client/taizhang */
    const char *work; /**< an empty folder of ours, on the disk that is measured */
    const char *only; /**< NULL: all workloads; else "W1,W7" */
    const char *json; /**< where the figures go as JSON; NULL: nowhere */
    unsigned rounds;  /**< how often each measurement of @rows is made; the median counts */
    size_t rows;      /**< of the usual workloads */
    size_t city_rows; /**< of the large ones; 0: they are left out */
};

struct bench {
    struct bench_options opt;
    json_t *lines; /* what was reported */
    unsigned missed;
};

/** Print why and end. @what is a printf format. */
void bench_die(const char *what, ...) __attribute__((format(printf, 1, 2), noreturn));
void bench_check(bool truth, const char *what, ...) __attribute__((format(printf, 2, 3)));
/** A line about what is going on, to stderr, with the time since the start. */
void bench_say(const char *what, ...) __attribute__((format(printf, 1, 2)));
double bench_now(void);
double bench_median(const double *v, unsigned n);
/** The value that @percent of @v do not exceed; sorts @v. */
double bench_quantile(double *v, size_t n, unsigned percent);
/** Folder/name in @out, of BENCH_PATH_BYTES. */
void bench_path(char *out, const char *folder, const char *name);
void bench_make_folder(const char *path);
/** A folder with all it holds, to a place that is not there yet; and away. */
void bench_copy_folder(const char *from, const char *to);
void bench_remove_folder(const char *path);

/* ---- results ---- */

/** One row of the table. Zero what does not apply. */
struct bench_figure {
    const char *workload;                                   /**< "W1" */
    const char *what;                                       /**< "first sync, 100,000 rows" */
    const char *unit;                                       /**< "rows/s", "ms p50", "B"; of ours and of the limit */
    double ours[BENCH_ROUNDS_MAX], limit[BENCH_ROUNDS_MAX]; /**< of each round; limit[0] 0: there is none */
    unsigned rounds;
    double cpu_ours, cpu_server; /**< seconds, of the last round */
    bool lower_is_better;
    double at_least, aim; /**< ratio of the medians; at most where lower is better. Without a limit: of ours itself */
};

/** Note and print it. */
void bench_report(struct bench *b, const struct bench_figure *f);
/** A figure that goes with the last report and has no mark: peak memory, bytes. */
void bench_note(struct bench *b, const char *name, double value, const char *unit);
bool bench_wanted(const struct bench *b, const char *workload);

/* ---- rows: organisations of the sample's shape, in one district ---- */

struct bench_rows;
#define BENCH_DISTRICT "120101"

struct bench_rows *bench_rows_open(void);
void bench_rows_close(struct bench_rows *r);
/** Rows @from … @from + @n − 1 as a sheet for `taizhang import`. @edited: with other numbers of employees than the
 * same rows had without. */
void bench_rows_csv(const struct bench_rows *r, const char *path, size_t from, size_t n, bool edited);

/* ---- the real programs ---- */

/** What a finished program took. */
struct bench_run {
    double wall, user, sys; /**< seconds */
    long peak_kib;
    int status; /**< exit status */
};

struct bench_server {
    const struct bench *b;
    char dir[BENCH_PATH_BYTES];
    pid_t pid;
    int port;
};

/** `taizhang --data @dir …`; ends the process unless it exits with 0. @argv ends with NULL. */
void bench_client(const struct bench *b, const char *dir, const char *const argv[], struct bench_run *out);
/** A fresh server folder, and a server on it. Stopped with bench_server_stop, always. */
void bench_server_init(const struct bench *b, const char *dir, struct bench_server *out);
/** A server on a folder that is there, at the port that its offices know. */
void bench_server_start(const struct bench *b, const char *dir, int port, struct bench_server *out);
void bench_server_stop(struct bench_server *s);
/** Invite and join; the folder then has an office that has not synced. */
void bench_join(const struct bench_server *s, const char *dir, const char *role, const char *area);
/** CPU seconds a running process has used. */
double bench_cpu(pid_t pid);
/** A figure of /proc/PID/status or smaps_rollup in KiB, "VmHWM", "VmRSS", "Pss". */
long bench_memory(pid_t pid, const char *name);

/* ---- the limit: plain SQLite ---- */

/** The rows of a table of another database, in memory. */
struct bench_table;

/** Everything in @table of the database @path, in the order of @order, with the statements that made it and its
 * indexes. */
struct bench_table *bench_table_load(const char *path, const char *table, const char *order);
void bench_table_free(struct bench_table *t);
size_t bench_table_rows(const struct bench_table *t);
/**
 * Rows @from … @from + @n − 1 into the database at @path: WAL, synchronous=FULL, 1000 rows a transaction. With @from 0 it is
 * a new one, with unique indexes on the columns @keys ("a,b"; NULL: none) from the start. Seconds.
 */
double bench_table_insert(const struct bench_table *t, const char *path, const char *keys, size_t from, size_t n);
/** One column of every row of what bench_table_insert made, by primary key, likewise. Seconds. */
double bench_table_update(const struct bench_table *t, const char *path, const char *column);

/* ---- workloads ---- */

void bench_data(struct bench *b); /* W1, W2 */

#endif
