/* SPDX-License-Identifier: Apache-2.0 */
/* Which actions of a seed a failure needs: masks, as text and made smaller. */
#include "sim_cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cli_mask_print(const uint8_t *mask, size_t n)
{
    for (size_t i = 0; i < n; i += 4) {
        unsigned d = 0;
        for (size_t k = 0; k < 4 && i + k < n; k++)
            d |= (unsigned)(mask[i + k] != 0) << k;
        printf("%x", d);
    }
}

size_t cli_mask_parse(const char *s, uint8_t *mask, size_t max)
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

/** Copy @mask without [at, at + piece). False: nothing of it was in. */
static bool without(const uint8_t *mask, size_t n, size_t at, size_t piece, uint8_t *out)
{
    bool any = false;
    memcpy(out, mask, n);
    for (size_t i = at; i < at + piece && i < n; i++) {
        any = any || out[i];
        out[i] = 0;
    }
    return any;
}

void cli_shrink(const struct sim_options *o, uint8_t *mask, size_t n, double cpu_s)
{
    uint8_t *attempt = malloc(n ? n : 1);
    char why[SIM_WHY_BYTES] = "";
    double end = cli_cpu_s() + cpu_s;
    if (!attempt)
        abort();
    memset(mask, 1, n);
    for (size_t piece = n / 2; piece >= 1; piece /= 2)
        for (size_t at = 0; at < n && cli_cpu_s() < end; at += piece) {
            struct sim_options less = *o;
            less.mask = attempt;
            less.nmask = n;
            if (without(mask, n, at, piece, attempt) && cli_run(&less, why, NULL, NULL))
                memcpy(mask, attempt, n);
        }
    free(attempt);
}
