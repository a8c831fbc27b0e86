/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_SIM_CLI_H
#define TZ_SIM_CLI_H

/* What the files of tz_sim's command line share: main.c options, shrink.c masks, stored.c the table of stored seeds. */

#include "sim.h"

/** Run one seed and add what it did to the sums. 0, or -1 with @why. @nactions, @hash may be NULL. */
int cli_run(const struct sim_options *o, char why[SIM_WHY_BYTES], size_t *nactions, uint64_t *hash);
double cli_cpu_s(void);
/** Number of a planted bug given by number or name; 0 when there is none. */
int cli_bug(const char *word);
const char *cli_bug_name(int number);
void cli_plant(int number);

/* ---- masks: one hex digit per four actions ---- */
enum { SIM_MASK_MAX = 4096 };
void cli_mask_print(const uint8_t *mask, size_t n);
size_t cli_mask_parse(const char *s, uint8_t *mask, size_t max);
/** Leave out ever smaller pieces as long as it still fails, at most @cpu_s long. @mask: @n bytes, filled here. */
void cli_shrink(const struct sim_options *o, uint8_t *mask, size_t n, double cpu_s);

/**
 * Run the seeds of the table @path. A line: the name of a planted bug, or "-" for what failed once; a seed; a mask, or
 * "-" for all actions. A bug must be found within @cpu_s of CPU time; where the stored seed has gone stale other seeds
 * are tried in what is left of it. Exit code.
 */
int cli_stored(const char *path, double cpu_s);
/** Search a seed for every planted bug (or @only that one), @cpu_s each, shrink it, and print the lines of a table. */
int cli_find(int only, double cpu_s);

#endif
