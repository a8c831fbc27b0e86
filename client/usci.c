/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check character of GB 32100-2015: 17 characters weighted with 3^i mod 31, check = (31 − Σ mod 31) mod 31, all in
 * an alphabet of 31 signs. Nothing else is derived from a code: its region digits name the registrar, not the place of
 * management.
 */
#include "usci.h"

#include <string.h>

enum { USCI_CHARS = 18 };
static const char ALPHABET[] = "0123456789ABCDEFGHJKLMNPQRTUWXY";

static int sign_of(uint8_t c)
{
    const char *at = c ? strchr(ALPHABET, c) : NULL;
    return at ? (int)(at - ALPHABET) : -1;
}

enum tz_usci tz_usci_check(struct tz_bytes code)
{
    int sum = 0;
    int weight = 1;
    if (code.n != USCI_CHARS)
        return TZ_USCI_LENGTH;
    for (size_t i = 0; i < USCI_CHARS; i++)
        if (sign_of(code.p[i]) < 0)
            return TZ_USCI_ALPHABET;
    for (size_t i = 0; i + 1 < USCI_CHARS; i++) {
        sum += sign_of(code.p[i]) * weight;
        weight = weight * 3 % 31;
    }
    return (31 - sum % 31) % 31 == sign_of(code.p[USCI_CHARS - 1]) ? TZ_USCI_OK : TZ_USCI_CHECK;
}
