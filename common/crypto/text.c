/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hex and base32. Both are strict about what cannot be meant (odd lengths, stray bits) and lenient only where people
 * err: case, O for 0, I and L for 1, and the hyphens and line breaks of a copied code. Not for secret-dependent timing:
 * what is decoded here is handled by its owner in the clear anyway.
 */
#include "text.h"

static const char HEX[] = "0123456789abcdef";
static const char BASE32[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

char *tz_hex_encode(struct tz_bytes in, char *out)
{
    for (size_t i = 0; i < in.n; i++) {
        out[2 * i] = HEX[in.p[i] >> 4];
        out[2 * i + 1] = HEX[in.p[i] & 15];
    }
    out[2 * in.n] = '\0';
    return out;
}

int tz_hex_put(struct tz_buf *out, struct tz_bytes in)
{
    int rc = in.n > SIZE_MAX / 2 ? TZ_E_LIMIT : tz_buf_reserve(out, 2 * in.n);
    for (size_t i = 0; rc == 0 && i < in.n; i++) {
        const char pair[2] = {HEX[in.p[i] >> 4], HEX[in.p[i] & 15]};
        rc = tz_buf_put(out, pair, sizeof pair);
    }
    return rc;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int tz_hex_decode(const char *hex, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int high = hex_digit(hex[2 * i]);
        int low = high < 0 ? -1 : hex_digit(hex[2 * i + 1]);
        if (low < 0)
            return TZ_E_FORMAT;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return hex[2 * n] == '\0' ? 0 : TZ_E_FORMAT;
}

int tz_base32_put(struct tz_buf *out, struct tz_bytes in)
{
    uint32_t bits = 0;
    unsigned nbits = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < in.n; i++) {
        bits = (bits << 8 | in.p[i]) & 0xfff; /* at most 4 bits wait from before */
        for (nbits += 8; rc == 0 && nbits >= 5; nbits -= 5)
            rc = tz_buf_putc(out, (uint8_t)BASE32[bits >> (nbits - 5) & 31]);
    }
    if (rc == 0 && nbits > 0)
        rc = tz_buf_putc(out, (uint8_t)BASE32[bits << (5 - nbits) & 31]);
    return rc;
}

static int base32_digit(uint8_t c)
{
    if (c >= 'a' && c <= 'z')
        c = (uint8_t)(c - 'a' + 'A');
    if (c == 'O')
        return 0;
    if (c == 'I' || c == 'L')
        return 1;
    for (int i = 0; i < 32; i++)
        if (c == (uint8_t)BASE32[i])
            return i;
    return -1;
}

static bool is_separator(uint8_t c)
{
    return c == '-' || c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

int tz_base32_get(struct tz_buf *out, struct tz_bytes text)
{
    uint32_t bits = 0;
    unsigned nbits = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (is_separator(text.p[i]))
            continue;
        int digit = base32_digit(text.p[i]);
        if (digit < 0)
            return TZ_E_FORMAT;
        bits = (bits << 5 | (uint32_t)digit) & 0xfff;
        nbits += 5;
        if (nbits < 8)
            continue;
        nbits -= 8;
        int rc = tz_buf_putc(out, (uint8_t)(bits >> nbits & 0xff));
        if (rc != 0)
            return rc;
    }
    return nbits < 5 && (bits & ((1U << nbits) - 1)) == 0 ? 0 : TZ_E_FORMAT;
}
