/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of tz-bench; tests/bench/run.sh builds it and says what it is for. */
#include "bench.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static _Noreturn void usage(void)
{
    fputs("usage: tz-bench --bin BUILD_FOLDER --work EMPTY_FOLDER [--only W1,W2] [--rounds N] [--rows N]\n"
          "                [--city-rows N] [--json FILE]\n",
          stderr);
    exit(2);
}

static size_t number(const char *text)
{
    char *end;
    unsigned long long v = strtoull(text, &end, 10);
    if (end == text || *end || v > 100000000)
        usage();
    return (size_t)v;
}

static void read_options(int argc, char **argv, struct bench_options *o)
{
    static const struct option known[] = {{"bin", 1, NULL, 'b'},    {"work", 1, NULL, 'w'}, {"only", 1, NULL, 'o'},
                                          {"rounds", 1, NULL, 'r'}, {"rows", 1, NULL, 'n'}, {"city-rows", 1, NULL, 'c'},
                                          {"json", 1, NULL, 'j'},   {NULL, 0, NULL, 0}};
    int c;
    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1)
        switch (c) {
        case 'b':
            o->bin = optarg;
            break;
        case 'w':
            o->work = optarg;
            break;
        case 'o':
            o->only = optarg;
            break;
        case 'r':
            o->rounds = (unsigned)number(optarg);
            break;
        case 'n':
            o->rows = number(optarg);
            break;
        case 'c':
            o->city_rows = number(optarg);
            break;
        case 'j':
            o->json = optarg;
            break;
        default:
            usage();
        }
    if (optind != argc || !o->bin || !o->work || o->rounds == 0 || o->rounds > BENCH_ROUNDS_MAX || o->rows == 0)
        usage();
}

int main(int argc, char **argv)
{
    struct bench b = {.opt = {.rounds = 5, .rows = 100000}};
    (void)bench_now();
    read_options(argc, argv, &b.opt);
    b.lines = json_array();
    if (bench_wanted(&b, "W1") || bench_wanted(&b, "W2"))
        bench_data(&b);
    if (b.opt.json)
        bench_check(json_dump_file(b.lines, b.opt.json, JSON_INDENT(1)) == 0, "cannot write %s", b.opt.json);
    json_decref(b.lines);
    if (b.missed)
        printf("%u figures missed what they should at least reach\n", b.missed);
    return b.missed ? 1 : 0;
}
