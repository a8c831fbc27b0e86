/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stored seeds: for each planted bug a shrunken one that finds it, and plain ones that failed once. A seed finds its
 * bug only as long as the workload stays what it was; find_seeds.sh searches them again.
 */
#include "sim_cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 2048 };

struct stored {
    char name[64], mask[LINE_BYTES];
    uint64_t seed;
};

/** 1 a line, 0 a comment or nothing, -1 not of this form. */
static int read_line(const char *line, struct stored *s)
{
    char word[2] = "";
    if (sscanf(line, " %1s", word) != 1 || word[0] == '#')
        return 0;
    return sscanf(line, "%63s %" SCNu64 " %2047s", s->name, &s->seed, s->mask) == 3 ? 1 : -1;
}

static struct sim_options options_of(const struct stored *s, uint8_t mask[SIM_MASK_MAX])
{
    struct sim_options o = {.seed = s->seed};
    if (strcmp(s->mask, "-") != 0) {
        o.nmask = cli_mask_parse(s->mask, mask, SIM_MASK_MAX);
        o.mask = mask;
    }
    return o;
}

/** Does the seed fail with the bug, and only with it? */
static bool finds(int bug, const struct sim_options *o, char why[SIM_WHY_BYTES], size_t *n)
{
    char other[SIM_WHY_BYTES];
    cli_plant(bug);
    bool failed = cli_run(o, why, n, NULL) != 0;
    cli_plant(0);
    return failed && cli_run(o, other, NULL, NULL) == 0;
}

/** The first seed that finds the bug, until the CPU time @end. 0: none did. */
static uint64_t search(int bug, double end, char why[SIM_WHY_BYTES], size_t *n)
{
    for (uint64_t seed = 1; cli_cpu_s() < end; seed++) {
        struct sim_options o = {.seed = seed};
        if (finds(bug, &o, why, n))
            return seed;
    }
    return 0;
}

static int replay_bug(const struct stored *s, const struct sim_options *o, double cpu_s)
{
    char why[SIM_WHY_BYTES] = "";
    double start = cli_cpu_s();
    int bug = cli_bug(s->name);
    if (!bug) {
        printf("%s: there is no planted bug of this name\n", s->name);
        return 1;
    }
    bool fresh = finds(bug, o, why, NULL);
    uint64_t seed = fresh ? s->seed : search(bug, start + cpu_s, why, NULL);
    double took = cli_cpu_s() - start;
    if (!seed || took > cpu_s) {
        printf("planted bug %s was not found in %.1f CPU-s: run tests/sim/find_seeds.sh\n", s->name, took);
        return 1;
    }
    printf("planted bug %s found in %.2f CPU-s%s: seed %" PRIu64 " %s\n", s->name, took,
           fresh ? "" : " (its stored seed is stale: run tests/sim/find_seeds.sh)", seed, why);
    return 0;
}

static int replay_plain(const struct stored *s, const struct sim_options *o)
{
    char why[SIM_WHY_BYTES] = "";
    int rc = cli_run(o, why, NULL, NULL);
    if (rc)
        printf("seed %" PRIu64 " %s FAILED %s\n", s->seed, s->mask, why);
    return rc ? 1 : 0;
}

int cli_stored(const char *path, double cpu_s)
{
    static uint8_t mask[SIM_MASK_MAX];
    static struct stored s;
    char line[LINE_BYTES];
    size_t lines = 0;
    int failed = 0;
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) {
        int rc = read_line(line, &s);
        if (rc < 0)
            printf("%s: not a line of the table: %s", path, line);
        failed += rc < 0;
        if (rc <= 0)
            continue;
        struct sim_options o = options_of(&s, mask);
        failed += strcmp(s.name, "-") == 0 ? replay_plain(&s, &o) : replay_bug(&s, &o, cpu_s);
        lines++;
        (void)fflush(stdout);
    }
    if (f)
        (void)fclose(f);
    printf("%zu stored seeds, %d failed\n", lines, failed);
    return failed || lines == 0 ? 1 : 0;
}

/* ---- finding them ---- */

static int find_one(int bug, double cpu_s)
{
    static uint8_t mask[SIM_MASK_MAX];
    char why[SIM_WHY_BYTES] = "";
    size_t n = 0;
    double start = cli_cpu_s();
    uint64_t seed = search(bug, start + cpu_s, why, &n);
    double took = cli_cpu_s() - start;
    if (seed) {
        struct sim_options o = {.seed = seed};
        (void)fprintf(stderr, "planted bug %s found after %" PRIu64 " seeds, %.1f CPU-s: %s\n", cli_bug_name(bug), seed,
                      took, why);
        cli_plant(bug);
        cli_shrink(&o, mask, n, cpu_s < 20 ? cpu_s : 20);
        cli_plant(0);
        printf("%s %" PRIu64 " ", cli_bug_name(bug), seed);
        cli_mask_print(mask, n);
        printf("\n");
        (void)fflush(stdout);
    } else {
        (void)fprintf(stderr, "planted bug %s was NOT found in %.0f CPU-s\n", cli_bug_name(bug), took);
    }
    return seed ? 0 : 1;
}

int cli_find(int only, double cpu_s)
{
    int failed = 0;
    for (int bug = 1; cli_bug_name(bug); bug++)
        if (!only || bug == only)
            failed += find_one(bug, cpu_s);
    return failed ? 1 : 0;
}
