/* SPDX-License-Identifier: Apache-2.0 */
#include "rowsum.h"

#include <string.h>

static void be(uint8_t *out, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        out[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
}

void tz_rowsum_head(uint32_t type, struct tz_id id, tz_ver ver, size_t body_bytes, uint8_t out[TZ_ROWSUM_HEAD_BYTES])
{
    be(out, type, 4);
    memcpy(out + 4, id.b, TZ_ID_BYTES);
    be(out + 4 + TZ_ID_BYTES, ver, 8);
    be(out + 4 + TZ_ID_BYTES + 8, body_bytes, 4);
}

int tz_rowsum_row(struct tz_sha256 *h, uint32_t type, struct tz_id id, tz_ver ver, struct tz_bytes body,
                  uint8_t out[TZ_HASH_BYTES])
{
    uint8_t head[TZ_ROWSUM_HEAD_BYTES];
    tz_rowsum_head(type, id, ver, body.n, head);
    int rc = tz_sha256_init(h);
    if (!rc)
        rc = tz_sha256_update(h, tz_bytes_of(head, sizeof head));
    if (!rc)
        rc = tz_sha256_update(h, body);
    return rc ? rc : tz_sha256_final(h, out);
}

int tz_rowsum_range(struct tz_sha256 *h, struct tz_id id, uint8_t *out)
{
    uint8_t hash[TZ_SHA256_BYTES];
    int rc = tz_sha256_init(h);
    if (!rc)
        rc = tz_sha256_update(h, tz_bytes_of(id.b, sizeof id.b));
    if (!rc)
        rc = tz_sha256_final(h, hash);
    *out = hash[0];
    return rc;
}
