/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of tz_sim; README.md has the uses. Exit 0 all held (or the planted bug was found), 1 it did not, 2
 * wrong usage.
 */
#include "log.h"
#include "planted.h"
#include "sim_cli.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* ---- planted bugs ---- */

static const struct {
    int number;
    const char *name, *what;
} BUGS[] = {
#define X(number, name, what) {number, #name, what},
    TZ_PLANTED_LIST(X)
#undef X
};
enum { NBUGS = sizeof BUGS / sizeof *BUGS };

const char *cli_bug_name(int number)
{
    for (size_t i = 0; i < NBUGS; i++)
        if (BUGS[i].number == number)
            return BUGS[i].name;
    return NULL;
}

int cli_bug(const char *word)
{
    for (size_t i = 0; i < NBUGS; i++)
        if (strcmp(BUGS[i].name, word) == 0 || BUGS[i].number == (int)strtol(word, NULL, 10))
            return BUGS[i].number;
    return 0;
}

#ifdef TZ_PLANTED_BUGS
void cli_plant(int number)
{
    tz_planted_bug = number;
}
#else
void cli_plant(int number)
{
    if (number) {
        (void)fprintf(stderr, "this build has no planted bugs\n");
        exit(2);
    }
}
#endif

/* ---- running ---- */

struct args {
    uint64_t from, to;
    bool one, trace, verbose, expect_found, no_shrink, permute, find, list;
    int planted;
    double cpu_s;
    const char *mask, *stored;
    struct sim_options o;
};

static struct sim_template tpl;
static struct sim_counters total;

double cli_cpu_s(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static void add_counters(const struct sim_counters *n)
{
#define X(name) total.name += n->name;
#define TOP(name) uint64_t top_##name = total.name > n->name ? total.name : n->name;
    SIM_MAXIMA(TOP)
    SIM_COUNTERS(X)
#undef TOP
#define TOP(name) total.name = top_##name;
    SIM_MAXIMA(TOP)
#undef TOP
#undef X
}

static void print_counters(double cpu)
{
    printf("%" PRIu64 " seeds, %.3f CPU-s each, %" PRIu64 " operations\n", total.seeds,
           total.seeds ? cpu / (double)total.seeds : 0.0, total.ops + total.raw_ops);
    int col = 0;
#define X(name) \
    col += printf("%s%s=%" PRIu64, col ? " " : "", #name, total.name), col = col > 100 ? (putchar('\n'), 0) : col;
    SIM_COUNTERS(X)
#undef X
    putchar('\n');
}

/** The disks of every hundredth seed as files, for tests/e2e/compare_data.py. */
static void keep(const struct sim *w, const char *folder)
{
    char to[256];
    char stem[32];
    (void)snprintf(to, sizeof to, "%s/seed-%" PRIu64, folder, w->opt.seed);
    (void)mkdir(folder, 0777);
    (void)mkdir(to, 0777);
    int rc = tz_memdisk_save(w->server.disk, to, "server");
    for (size_t i = 0; i < w->nclients && !rc; i++) {
        (void)snprintf(stem, sizeof stem, "client-%zu", i);
        if (!w->clients[i].dev->raw && !w->clients[i].gone) /* where an older copy took its place there is no disk */
            rc = tz_memdisk_save(w->clients[i].disk, to, stem);
    }
    if (rc) {
        perror(to);
        exit(1);
    }
}

int cli_run(const struct sim_options *o, char why[SIM_WHY_BYTES], size_t *nactions, uint64_t *hash)
{
    static struct sim w;
    int rc = sim_run(&w, &tpl, o);
    if (rc)
        memcpy(why, w.why, SIM_WHY_BYTES);
    if (o->keep && (o->keep_any || (!rc && o->seed % 100 == 0)))
        keep(&w, o->keep);
    if (nactions)
        *nactions = w.nactions;
    if (hash)
        *hash = w.hash;
    add_counters(&w.n);
    sim_deinit(&w);
    return rc;
}

static void print_shrunk(const struct sim_options *o, size_t n)
{
    char why[SIM_WHY_BYTES] = "";
    uint8_t *mask = malloc(n ? n : 1);
    size_t left = 0;
    if (!mask)
        abort();
    cli_shrink(o, mask, n, 600);
    for (size_t i = 0; i < n; i++)
        left += mask[i];
    struct sim_options less = *o;
    less.mask = mask;
    less.nmask = n;
    (void)cli_run(&less, why, NULL, NULL);
    printf("  %zu of %zu actions still fail: %s\n  --seed %" PRIu64 " --trace --mask ", left, n, why, o->seed);
    cli_mask_print(mask, n);
    putchar('\n');
    free(mask);
}

static int run_one(const struct args *a)
{
    static uint8_t mask[SIM_MASK_MAX];
    struct sim_options o = a->o;
    char why[SIM_WHY_BYTES] = "";
    uint64_t hash = 0;
    double start = cli_cpu_s();
    o.seed = a->from;
    o.trace = a->trace;
    o.keep_any = true;
    if (a->mask) {
        o.nmask = cli_mask_parse(a->mask, mask, sizeof mask);
        o.mask = mask;
    }
    int rc = cli_run(&o, why, NULL, &hash);
    printf("seed %" PRIu64 " hash %016" PRIx64 "%s%s\n", a->from, hash, rc ? " FAILED " : "", why);
    if (o.ops)
        print_counters(cli_cpu_s() - start);
    return a->expect_found ? !rc : rc ? 1 : 0;
}

static int run_many(const struct args *a)
{
    double start = cli_cpu_s();
    size_t failed = 0;
    for (uint64_t seed = a->from; seed <= a->to && (a->cpu_s <= 0 || cli_cpu_s() - start < a->cpu_s); seed++) {
        struct sim_options o = a->o;
        char why[SIM_WHY_BYTES] = "";
        size_t n = 0;
        uint64_t hash = 0;
        o.seed = seed;
        int rc = cli_run(&o, why, &n, &hash);
        if (a->verbose)
            printf("seed %" PRIu64 " hash %016" PRIx64 "\n", seed, hash);
        if (rc == 0)
            continue;
        failed++;
        printf("seed %" PRIu64 " FAILED %s\n", seed, why);
        (void)fflush(stdout);
        if (a->expect_found) {
            printf("planted bug %s found after %" PRIu64 " seeds, %.1f CPU-s\n", cli_bug_name(a->planted),
                   seed - a->from + 1, cli_cpu_s() - start);
            return 0;
        }
        if (a->no_shrink)
            continue;
        print_counters(cli_cpu_s() - start);
        print_shrunk(&o, n);
        return 1;
    }
    print_counters(cli_cpu_s() - start);
    if (a->expect_found)
        printf("planted bug %s was not found\n", cli_bug_name(a->planted));
    if (failed)
        printf("%zu seeds failed\n", failed);
    return failed || a->expect_found ? 1 : 0;
}

static int run_permute(const struct args *a)
{
    char why[SIM_WHY_BYTES] = "";
    for (uint64_t seed = a->from; seed <= a->to; seed++)
        if (sim_permute(&tpl, seed, why)) {
            printf("seed %" PRIu64 " FAILED %s\n", seed, why);
            return 1;
        }
    printf("%" PRIu64 " seeds, every order gave the same rows\n", a->to - a->from + 1);
    return 0;
}

/* ---- options ---- */

static const struct option LONG[] = {{"seeds", required_argument, NULL, 's'},
                                     {"seed", required_argument, NULL, 'o'},
                                     {"trace", no_argument, NULL, 't'},
                                     {"mask", required_argument, NULL, 'm'},
                                     {"verbose", no_argument, NULL, 'v'},
                                     {"planted", required_argument, NULL, 'p'},
                                     {"expect-found", no_argument, NULL, 'e'},
                                     {"all", no_argument, NULL, 'a'},
                                     {"permute", no_argument, NULL, 'x'},
                                     {"cpu", required_argument, NULL, 'c'},
                                     {"stored", required_argument, NULL, 'S'},
                                     {"find", no_argument, NULL, 'f'},
                                     {"list", no_argument, NULL, 'l'},
                                     {"safety", no_argument, NULL, 'A'},
                                     {"liveness", no_argument, NULL, 'L'},
                                     {"clients", required_argument, NULL, 'C'},
                                     {"ops", required_argument, NULL, 'O'},
                                     {"keep", required_argument, NULL, 'K'},
                                     {NULL, 0, NULL, 0}};

/** N or A-B. Negative: anything else, or nothing to run. */
static int take_seeds(struct args *a, const char *text)
{
    char *end = NULL;
    a->from = strtoull(text, &end, 10);
    a->to = *end == '-' ? strtoull(end + 1, &end, 10) : a->from;
    return *end || a->to < a->from ? -1 : 0;
}

static bool take_flag(struct args *a, int c)
{
    bool *const flag = c == 't'   ? &a->trace
                       : c == 'v' ? &a->verbose
                       : c == 'e' ? &a->expect_found
                       : c == 'a' ? &a->no_shrink
                       : c == 'x' ? &a->permute
                       : c == 'f' ? &a->find
                       : c == 'l' ? &a->list
                                  : NULL;
    if (flag)
        *flag = true;
    return flag != NULL;
}

static int take_option(struct args *a, int c)
{
    if (take_flag(a, c))
        return 0;
    switch (c) {
    case 's':
        return take_seeds(a, optarg);
    case 'o':
        a->one = true;
        return take_seeds(a, optarg);
    case 'm':
        a->mask = optarg;
        return 0;
    case 'p':
        a->planted = cli_bug(optarg);
        return a->planted ? 0 : -1;
    case 'K':
        a->o.keep = optarg;
        return 0;
    case 'c':
        a->cpu_s = strtod(optarg, NULL);
        return 0;
    case 'S':
        a->stored = optarg;
        return 0;
    case 'A':
        a->o.mode = SIM_SAFETY;
        return 0;
    case 'L':
        a->o.mode = SIM_LIVENESS;
        return 0;
    case 'C':
        a->o.clients = (unsigned)strtoul(optarg, NULL, 10);
        return a->o.clients >= 2 && a->o.clients <= SIM_DEVICES ? 0 : -1;
    case 'O':
        a->o.ops = strtoull(optarg, NULL, 10);
        return 0;
    default:
        return -1;
    }
}

static int parse(int argc, char **argv, struct args *a)
{
    int c;
    while ((c = getopt_long(argc, argv, "", LONG, NULL)) != -1)
        if (take_option(a, c))
            return -1;
    return a->from || a->stored || a->find || a->list ? 0 : -1;
}

static int dispatch(const struct args *a)
{
    if (a->stored)
        return cli_stored(a->stored, a->cpu_s > 0 ? a->cpu_s : 10);
    if (a->find)
        return cli_find(a->planted, a->cpu_s > 0 ? a->cpu_s : 600);
    cli_plant(a->planted);
    return a->permute ? run_permute(a) : a->one ? run_one(a) : run_many(a);
}

int main(int argc, char **argv)
{
    struct args a = {0};
    if (parse(argc, argv, &a)) {
        (void)fprintf(stderr,
                      "usage: tz_sim --seeds A-B [--verbose] [--all] [--safety | --liveness]\n"
                      "       tz_sim --seed N [--trace] [--mask HEX] [--clients N --ops N]\n"
                      "       tz_sim --permute --seeds A-B\n"
                      "       tz_sim --planted BUG --expect-found (--seeds A-B [--cpu S] | --seed N --mask HEX)\n"
                      "       tz_sim --stored TABLE [--cpu S] | --find [--planted BUG] [--cpu S] | --list\n");
        return 2;
    }
    for (size_t i = 0; i < NBUGS && a.list; i++)
        printf("%2d %-24s %s\n", BUGS[i].number, BUGS[i].name, BUGS[i].what);
    if (a.list)
        return 0;
    tz_log_level_set(a.trace ? TZ_LOG_DEBUG : TZ_LOG_ERROR);
    if (sim_template_init(&tpl, a.o.clients > SIM_DEVICES_USUAL ? SIM_DEVICES : SIM_DEVICES_USUAL))
        return 1;
    int rc = dispatch(&a);
    sim_template_deinit(&tpl);
    return rc;
}
