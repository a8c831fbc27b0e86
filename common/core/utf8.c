/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 by the table of RFC 3629: the first byte gives the length and the bits it contributes, and the smallest code
 * point of that length rules out overlong forms. Normalisation is not here; value.c does it with utf8proc.
 */
#include "utf8.h"

size_t tz_utf8_next(const uint8_t *p, size_t n, uint32_t *cp)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (n == 0)
        return 0;
    if (p[0] < 0x80) {
        *cp = p[0];
        return 1;
    }
    size_t len = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    if (p[0] < 0xC2 || p[0] > 0xF4 || n < len)
        return 0;
    uint32_t c = p[0] & (0x7Fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3Fu);
    }
    if (c < least[len] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
        return 0;
    *cp = c;
    return len;
}

size_t tz_utf8_cut(const char *p, size_t n)
{
    size_t start = n;
    while (start > 0 && n - start < 3 && ((uint8_t)p[start - 1] & 0xC0) == 0x80)
        start--;
    if (start == 0)
        return n;
    uint8_t lead = (uint8_t)p[start - 1];
    size_t need = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    return need > n - (start - 1) ? start - 1 : n;
}
