/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tz_sim --seeds A-B [--verbose] [--shrink]     run seeds; the first failing one is printed with its reason and shrunk
 * tz_sim --seed N [--trace] [--mask HEX]        run one; prints the trace hash
 * tz_sim --permute --seeds A-B                  changes that share nothing, in two orders
 * tz_sim --planted N --expect-found --seeds A-B a bug is planted: success is to find it
 *
 * Exit 0 all held, 1 something did not, 2 wrong usage.
 */
#include "log.h"
#include "planted.h"
#include "sim.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef TZ_PLANTED_BUGS
static void plant(int n)
{
    tz_planted_bug = n;
}
#else
static void plant(int n)
{
    if (n) {
        (void)fprintf(stderr, "this build has no planted bugs\n");
        exit(2);
    }
}
#endif

struct args {
    uint64_t from, to;
    bool one, trace, verbose, expect_found, no_shrink, permute;
    int planted;
    const char *mask;
};

static struct sim_template tpl;
static struct sim_counters total;

static void add_counters(const struct sim_counters *n)
{
#define X(name) total.name += n->name;
    uint64_t top = total.group_max > n->group_max ? total.group_max : n->group_max;
    SIM_COUNTERS(X)
#undef X
    total.group_max = top;
}

static void print_counters(double cpu)
{
    printf("%" PRIu64 " seeds, %.3f CPU-s each\n", total.seeds, total.seeds ? cpu / (double)total.seeds : 0.0);
    int col = 0;
#define X(name) \
    col += printf("%s%s=%" PRIu64, col ? " " : "", #name, total.name), col = col > 100 ? (putchar('\n'), 0) : col;
    SIM_COUNTERS(X)
#undef X
    putchar('\n');
}

static int run(const struct sim_options *o, char why[SIM_WHY_BYTES], size_t *nactions, uint64_t *hash)
{
    static struct sim w;
    int rc = sim_run(&w, &tpl, o);
    if (rc)
        memcpy(why, w.why, SIM_WHY_BYTES);
    if (nactions)
        *nactions = w.nactions;
    if (hash)
        *hash = w.hash;
    add_counters(&w.n);
    sim_deinit(&w);
    return rc;
}

/* ---- masks: one hex digit per four actions ---- */

static void mask_print(const uint8_t *mask, size_t n)
{
    for (size_t i = 0; i < n; i += 4) {
        unsigned d = 0;
        for (size_t k = 0; k < 4 && i + k < n; k++)
            d |= (unsigned)(mask[i + k] != 0) << k;
        printf("%x", d);
    }
}

static size_t mask_parse(const char *s, uint8_t *mask, size_t max)
{
    size_t n = 0;
    for (; *s && n + 4 <= max; s++) {
        char digit[2] = {*s, 0};
        unsigned d = (unsigned)strtoul(digit, NULL, 16);
        for (int k = 0; k < 4; k++)
            mask[n++] = d >> k & 1;
    }
    return n;
}

/** Leave out ever smaller pieces as long as it still fails. */
static void shrink(uint64_t seed, size_t n)
{
    uint8_t *mask = malloc(n ? n : 1);
    uint8_t *attempt = malloc(n ? n : 1);
    char why[SIM_WHY_BYTES] = "";
    if (!mask || !attempt)
        abort();
    memset(mask, 1, n);
    for (size_t piece = n / 2; piece >= 1; piece /= 2)
        for (size_t at = 0; at < n; at += piece) {
            memcpy(attempt, mask, n);
            bool any = false;
            for (size_t i = at; i < at + piece && i < n; i++) {
                any = any || attempt[i];
                attempt[i] = 0;
            }
            struct sim_options o = {.seed = seed, .mask = attempt, .nmask = n};
            if (any && run(&o, why, NULL, NULL))
                memcpy(mask, attempt, n);
        }
    size_t left = 0;
    for (size_t i = 0; i < n; i++)
        left += mask[i];
    struct sim_options o = {.seed = seed, .mask = mask, .nmask = n};
    (void)run(&o, why, NULL, NULL);
    printf("  %zu of %zu actions still fail: %s\n  --seed %" PRIu64 " --trace --mask ", left, n, why, seed);
    mask_print(mask, n);
    putchar('\n');
    free(mask);
    free(attempt);
}

static int run_one(const struct args *a)
{
    static uint8_t mask[4096];
    struct sim_options o = {.seed = a->from, .trace = a->trace};
    char why[SIM_WHY_BYTES] = "";
    uint64_t hash = 0;
    if (a->mask) {
        o.nmask = mask_parse(a->mask, mask, sizeof mask);
        o.mask = mask;
    }
    int rc = run(&o, why, NULL, &hash);
    printf("seed %" PRIu64 " hash %016" PRIx64 "%s%s\n", a->from, hash, rc ? " FAILED " : "", why);
    return rc ? 1 : 0;
}

static int run_many(const struct args *a)
{
    clock_t start = clock();
    size_t failed = 0;
    for (uint64_t seed = a->from; seed <= a->to; seed++) {
        struct sim_options o = {.seed = seed};
        char why[SIM_WHY_BYTES] = "";
        size_t n = 0;
        uint64_t hash = 0;
        int rc = run(&o, why, &n, &hash);
        if (a->verbose)
            printf("seed %" PRIu64 " hash %016" PRIx64 "\n", seed, hash);
        if (rc == 0)
            continue;
        failed++;
        printf("seed %" PRIu64 " FAILED %s\n", seed, why);
        (void)fflush(stdout);
        if (a->expect_found) {
            printf("planted bug %d found after %" PRIu64 " seeds\n", a->planted, seed - a->from + 1);
            return 0;
        }
        if (a->no_shrink)
            continue;
        print_counters((double)(clock() - start) / CLOCKS_PER_SEC);
        shrink(seed, n);
        return 1;
    }
    print_counters((double)(clock() - start) / CLOCKS_PER_SEC);
    if (a->expect_found)
        printf("planted bug %d was not found\n", a->planted);
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

static int parse(int argc, char **argv, struct args *a)
{
    static const struct option LONG[] = {
        {"seeds", required_argument, NULL, 's'},  {"seed", required_argument, NULL, 'o'},
        {"trace", no_argument, NULL, 't'},        {"mask", required_argument, NULL, 'm'},
        {"verbose", no_argument, NULL, 'v'},      {"planted", required_argument, NULL, 'p'},
        {"expect-found", no_argument, NULL, 'e'}, {"all", no_argument, NULL, 'a'},
        {"permute", no_argument, NULL, 'x'},      {NULL, 0, NULL, 0}};
    int c;
    while ((c = getopt_long(argc, argv, "", LONG, NULL)) != -1) {
        char *end = NULL;
        switch (c) {
        case 's':
            a->from = strtoull(optarg, &end, 10);
            a->to = *end == '-' ? strtoull(end + 1, NULL, 10) : a->from;
            break;
        case 'o':
            a->from = a->to = strtoull(optarg, NULL, 10);
            a->one = true;
            break;
        case 't':
            a->trace = true;
            break;
        case 'm':
            a->mask = optarg;
            break;
        case 'v':
            a->verbose = true;
            break;
        case 'p':
            a->planted = (int)strtol(optarg, NULL, 10);
            break;
        case 'e':
            a->expect_found = true;
            break;
        case 'a':
            a->no_shrink = true;
            break;
        case 'x':
            a->permute = true;
            break;
        default:
            return -1;
        }
    }
    return a->from ? 0 : -1;
}

int main(int argc, char **argv)
{
    struct args a = {0};
    if (parse(argc, argv, &a)) {
        (void)fprintf(stderr, "usage: tz_sim --seeds A-B [--verbose] [--all] | --seed N [--trace] [--mask HEX] "
                              "[--permute] [--planted N --expect-found]\n");
        return 2;
    }
    tz_log_level_set(a.trace ? TZ_LOG_DEBUG : TZ_LOG_ERROR);
    if (sim_template_init(&tpl))
        return 1;
    plant(a.planted);
    int rc = a.permute ? run_permute(&a) : a.one ? run_one(&a) : run_many(&a);
    sim_template_deinit(&tpl);
    return rc;
}
