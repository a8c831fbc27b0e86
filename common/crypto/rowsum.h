/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_ROWSUM_H
#define TZ_ROWSUM_H

/* What digests over records are made of, the same on both sides (proto/README.md 4.5 and 4.6). Pure; any thread. */

#include "bucket.h"
#include "hash.h"
#include "id.h"

enum { TZ_ROWSUM_HEAD_BYTES = 4 + TZ_ID_BYTES + 8 + 4 };

/** u32 type | 16 bytes id | u64 ver | u32 body length, big-endian: what stands before the body. */
void tz_rowsum_head(uint32_t type, struct tz_id id, tz_ver ver, size_t body_bytes, uint8_t out[TZ_ROWSUM_HEAD_BYTES]);
/** SHA-256 over head and body. @h is scratch, any state. TZ_E_NOMEM. */
TZ_MUST_USE int tz_rowsum_row(struct tz_sha256 *h, uint32_t type, struct tz_id id, tz_ver ver, struct tz_bytes body,
                              uint8_t out[TZ_HASH_BYTES]);
/** First byte of SHA-256 of the id. TZ_E_NOMEM. */
TZ_MUST_USE int tz_rowsum_range(struct tz_sha256 *h, struct tz_id id, uint8_t *out);

#endif
