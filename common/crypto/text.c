/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hex, base32 and base64. All are strict about what cannot be meant (odd lengths, stray bits) and lenient only where
 * people err: case, O for 0, I and L for 1, and the hyphens and line breaks of a copied code. Not for secret-dependent
 * timing: what is decoded here is handled by its owner in the clear anyway.
 */
#include "text.h"

#include <string.h>

static const char HEX[] = "0123456789abcdef";
static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
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

int tz_base64_put(struct tz_buf *out, struct tz_bytes in)
{
    int rc = 0;
    for (size_t i = 0; i < in.n && !rc; i += 3) {
        size_t left = in.n - i;
        uint32_t bits = (uint32_t)in.p[i] << 16;
        bits |= left > 1 ? (uint32_t)in.p[i + 1] << 8 : 0;
        bits |= left > 2 ? in.p[i + 2] : 0;
        char four[4] = {BASE64[bits >> 18], BASE64[bits >> 12 & 63], BASE64[bits >> 6 & 63], BASE64[bits & 63]};
        if (left < 3)
            four[3] = '=';
        if (left < 2)
            four[2] = '=';
        rc = tz_buf_put(out, four, sizeof four);
    }
    return rc;
}

static int base64_value(uint8_t c)
{
    const char *at = c ? strchr(BASE64, c) : NULL;
    return at ? (int)(at - BASE64) : -1;
}

int tz_base64_get(struct tz_buf *out, struct tz_bytes text)
{
    int rc = text.n % 4 ? TZ_E_FORMAT : 0;
    for (size_t i = 0; i < text.n && !rc; i += 4) {
        bool last = i + 4 == text.n;
        size_t pad = !last || text.p[i + 3] != '=' ? 0 : text.p[i + 2] != '=' ? 1 : 2;
        uint32_t bits = 0;
        for (size_t k = 0; k < 4; k++) {
            int v = k + pad < 4 ? base64_value(text.p[i + k]) : 0;
            if (v < 0)
                return TZ_E_FORMAT;
            bits = bits << 6 | (uint32_t)v;
        }
        if (bits & ((UINT32_C(1) << 8 * pad) - 1)) /* bits that no encoder sets */
            return TZ_E_FORMAT;
        uint8_t three[3] = {(uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits};
        rc = tz_buf_put(out, three, 3 - pad);
    }
    return rc;
}
