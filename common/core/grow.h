/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_GROW_H
#define TZ_GROW_H

/* Heap arrays that grow by doubling, so that adding n elements one by one moves about n in all. */

#include <stddef.h>

/**
 * Room for one more element behind the @n of @v, which has room for *@cap of @bytes each (NULL and 0 at first, then at
 * least @first). Returns @v, or where it lies now, with *@cap updated; NULL without memory, or when the size cannot be
 * told in a size_t: then @v and *@cap are as they were, and @v is still the caller's to free.
 */
void *tz_grow(void *v, size_t n, size_t *cap, size_t first, size_t bytes);

#endif
