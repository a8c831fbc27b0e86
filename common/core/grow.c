/* SPDX-License-Identifier: Apache-2.0 */
/* Heap arrays that grow by doubling. */
#include "grow.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

void *tz_grow(void *v, size_t n, size_t *cap, size_t first, size_t bytes)
{
    assert(n <= *cap && first > 0 && bytes > 0);
    if (n < *cap)
        return v;
    if (*cap > SIZE_MAX / 2 / bytes || first > SIZE_MAX / bytes)
        return NULL;
    size_t more = *cap ? *cap * 2 : first;
    void *grown = realloc(v, more * bytes);
    if (grown)
        *cap = more;
    return grown;
}
