/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_RICE_H
#define TZ_RICE_H

/*
 * Columns of numbers that are mostly small, or mostly 0, in few bits. Whatever the numbers are, they come back as they
 * were; large ones only cost more. Of the two layouts the shorter one is written.
 *
 *   dense    byte k (at most 48), then Golomb-Rice codes: of each number v the quotient v >> k as that many 1 bits and
 *            a 0 bit, then the low k bits; where the quotient is 8 or more: 8 1 bits, 6 bits b, and the low b + 1 bits
 *            of v. Least significant bit of a byte first; the last byte is filled with 0 bits.
 *   sparse   byte 255, varint how many are not 0; of each: varint how many 0 are before it, varint v
 *
 * Source: Rice & Plaunt 1971, "Adaptive Variable-Length Coding for Efficient Compression of Spacecraft Television
 * Data".
 */

#include "buf.h"

/** Append the column. TZ_E_LIMIT, TZ_E_NOMEM. */
TZ_MUST_USE int tz_rice_put(struct tz_buf *out, const uint64_t *v, size_t n);
/** Take a column of @n numbers off the front of @in. TZ_E_FORMAT when it is cut off or not a column. */
TZ_MUST_USE int tz_rice_take(struct tz_bytes *in, uint64_t *v, size_t n);

#endif
