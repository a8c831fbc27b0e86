/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_UTF8_H
#define TZ_UTF8_H

/* Strict UTF-8: no overlong forms, no surrogates, nothing past U+10FFFF. Pure, any thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Length in bytes (1..4) of the character at @p, with its code point in @cp; 0 when the bytes are not UTF-8 or @n is
 * 0. */
size_t tz_utf8_next(const uint8_t *p, size_t n, uint32_t *cp);
/** Greatest length ≤ @n that does not cut a character of @p in two; for shortening text that is UTF-8 already. */
size_t tz_utf8_cut(const char *p, size_t n);

#endif
