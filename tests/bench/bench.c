/* SPDX-License-Identifier: Apache-2.0 */
/* What all workloads use: time, folders, the table of results. */
#include "bench.h"

#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double begun;

static void vsay(const char *what, va_list ap)
{
    fprintf(stderr, "[%6.1f s] ", bench_now() - begun);
    vfprintf(stderr, what, ap);
    fputc('\n', stderr);
}

void bench_die(const char *what, ...)
{
    va_list ap;
    va_start(ap, what);
    vsay(what, ap);
    va_end(ap);
    exit(1);
}

void bench_check(bool truth, const char *what, ...)
{
    va_list ap;
    if (truth)
        return;
    va_start(ap, what);
    vsay(what, ap);
    va_end(ap);
    exit(1);
}

void bench_say(const char *what, ...)
{
    va_list ap;
    va_start(ap, what);
    vsay(what, ap);
    va_end(ap);
}

double bench_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    double now = (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
    if (begun == 0)
        begun = now;
    return now;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(const double *v, unsigned n)
{
    double sorted[BENCH_ROUNDS_MAX];
    bench_check(n > 0 && n <= BENCH_ROUNDS_MAX, "median of %u", n);
    memcpy(sorted, v, n * sizeof *v);
    qsort(sorted, n, sizeof *sorted, by_size);
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

double bench_quantile(double *v, size_t n, unsigned percent)
{
    qsort(v, n, sizeof *v, by_size);
    return v[n * percent / 100];
}

/* ---- folders ---- */

void bench_path(char *out, const char *folder, const char *name)
{
    int n = snprintf(out, BENCH_PATH_BYTES, "%s/%s", folder, name);
    bench_check(n > 0 && n < BENCH_PATH_BYTES, "path too long: %s/%s", folder, name);
}

void bench_make_folder(const char *path)
{
    bench_check(mkdir(path, 0700) == 0, "cannot make %s: %s", path, strerror(errno));
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st;
    (void)flag;
    (void)at;
    return remove(path);
}

void bench_remove_folder(const char *path)
{
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) && errno != ENOENT)
        bench_die("cannot remove %s: %s", path, strerror(errno));
}

void bench_copy_folder(const char *from, const char *to)
{
    int status = 0;
    pid_t pid = fork();
    bench_check(pid >= 0, "fork: %s", strerror(errno));
    if (pid == 0) {
        execlp("cp", "cp", "-a", "--", from, to, (char *)NULL);
        _exit(127);
    }
    bench_check(waitpid(pid, &status, 0) == pid && status == 0, "cannot copy %s to %s", from, to);
}

/* ---- results ---- */

bool bench_wanted(const struct bench *b, const char *workload)
{
    const char *at = b->opt.only;
    size_t n = strlen(workload);
    while (at && *at) {
        size_t len = strcspn(at, ",");
        if (len == n && strncmp(at, workload, n) == 0)
            return true;
        at += len + (at[len] == ',');
    }
    return !b->opt.only;
}

static const char *mark(const struct bench_figure *f, double value)
{
    if (f->at_least == 0)
        return "";
    bool reached = f->lower_is_better ? value <= f->at_least : value >= f->at_least;
    bool aimed = f->aim != 0 && (f->lower_is_better ? value <= f->aim : value >= f->aim);
    return aimed ? "aim" : reached ? "ok" : "MISSED";
}

static json_t *rounds_json(const double *v, unsigned n)
{
    json_t *a = json_array();
    for (unsigned i = 0; i < n; i++)
        json_array_append_new(a, json_real(v[i]));
    return a;
}

void bench_report(struct bench *b, const struct bench_figure *f)
{
    double ours = bench_median(f->ours, f->rounds);
    double limit = f->limit[0] > 0 ? bench_median(f->limit, f->rounds) : 0;
    double value = limit > 0 ? ours / limit : ours;
    const char *how = mark(f, value);
    if (json_array_size(b->lines) == 0)
        printf("%-4s %-44s %12s %12s %-8s %7s %9s %8s\n", "", "", "ours", "limit", "", "ratio", "at least", "");
    printf("%-4s %-44s %12.*f ", f->workload, f->what, ours < 1000 ? 2 : 0, ours);
    if (limit > 0)
        printf("%12.*f %-8s %6.2fx %8.2fx ", limit < 1000 ? 2 : 0, limit, f->unit, value, f->at_least);
    else
        printf("%12s %-8s %7s %9.2f ", "", f->unit, "", f->at_least);
    printf("%s\n", how);
    fflush(stdout);
    b->missed += strcmp(how, "MISSED") == 0;
    json_array_append_new(b->lines, json_pack("{s:s, s:s, s:s, s:o, s:o, s:f, s:f, s:f, s:f, s:f, s:s, s:{}}",
                                              "workload", f->workload, "what", f->what, "unit", f->unit, "ours_rounds",
                                              rounds_json(f->ours, f->rounds), "limit_rounds",
                                              rounds_json(f->limit, limit > 0 ? f->rounds : 0), "ours", ours, "limit",
                                              limit, "ratio", limit > 0 ? value : 0.0, "at_least", f->at_least, "aim",
                                              f->aim, "mark", how, "notes"));
}

void bench_note(struct bench *b, const char *name, double value, const char *unit)
{
    json_t *last = json_array_get(b->lines, json_array_size(b->lines) - 1);
    printf("       %-42s %12.*f %s\n", name, value < 1000 ? 1 : 0, value, unit);
    fflush(stdout);
    json_object_set_new(json_object_get(last, "notes"), name, json_pack("{s:f, s:s}", "value", value, "unit", unit));
}
