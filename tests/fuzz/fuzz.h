/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_FUZZ_H
#define TZ_FUZZ_H

/* What a fuzz target shares with libFuzzer and with driver.c. */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** A law the input broke. Unlike assert it is there in every build. */
#define FUZZ_CHECK(law) \
    do {                \
        if (!(law))     \
            abort();    \
    } while (0)

#endif
