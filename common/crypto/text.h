/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_TEXT_H
#define TZ_TEXT_H

/*
 * Bytes as text: lower-case hex, Crockford's base32 for codes that people copy
 * (https://www.crockford.com/base32.html), and base64 (RFC 4648 §4) between programs. Pure, any thread.
 */

#include "buf.h"

/** Append 2 digits per byte. TZ_E_LIMIT, TZ_E_NOMEM. */
TZ_MUST_USE int tz_hex_put(struct tz_buf *out, struct tz_bytes in);
/** Write 2 × in.n digits and a NUL to @out, which has that room. Returns @out. */
char *tz_hex_encode(struct tz_bytes in, char *out);
/** Exactly 2 × @n digits, upper or lower case, then the end. TZ_E_FORMAT. */
TZ_MUST_USE int tz_hex_decode(const char *hex, uint8_t *out, size_t n);

/** Append the digits, most significant bits first, last digit padded with zero bits. TZ_E_LIMIT, TZ_E_NOMEM. */
TZ_MUST_USE int tz_base32_put(struct tz_buf *out, struct tz_bytes in);
/**
 * Append the bytes that @text means: any case, O read as 0, I and L as 1; hyphens and white space are skipped.
 * TZ_E_FORMAT on another character, on padding bits that are not zero and on a length that no encoder makes;
 * TZ_E_LIMIT, TZ_E_NOMEM.
 */
TZ_MUST_USE int tz_base32_get(struct tz_buf *out, struct tz_bytes text);

/** Append the characters, padded. TZ_E_LIMIT, TZ_E_NOMEM. */
TZ_MUST_USE int tz_base64_put(struct tz_buf *out, struct tz_bytes in);
/** Append the bytes of exactly what tz_base64_put writes. TZ_E_FORMAT on anything else, TZ_E_LIMIT, TZ_E_NOMEM. */
TZ_MUST_USE int tz_base64_get(struct tz_buf *out, struct tz_bytes text);

#endif
