/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Record ids (layout in id.h).
 *
 * 1. One maker's ids ascend strictly: a wall clock that stands still or goes back is replaced by the last millisecond
 * used and the counter; a full counter takes the next millisecond early (RFC 9562 §6.2, method 1).
 * 2. The counter of a new millisecond starts at a random number below half its range, so that two processes of one
 * device differ in more than the 30 random bits.
 *
 * An id is a name, not a secret and not a proof: that the maker is who it says is checked where the session is known.
 */
#include "id.h"

#include <string.h>

enum { COUNTER_MAX = 0xFFF, COUNTER_START_MASK = 0x7FF };
static const int64_t id_ms_max = INT64_C(0xFFFFFFFFFFFF);

static void put_be(uint8_t *p, uint64_t v, unsigned bytes)
{
    while (bytes-- > 0) {
        p[bytes] = (uint8_t)v;
        v >>= 8;
    }
}

static void maker_advance(struct tz_id_maker *m, int64_t now_ms)
{
    now_ms = now_ms < 0 ? 0 : now_ms > id_ms_max ? id_ms_max : now_ms;
    if (now_ms <= m->last_ms && m->counter < COUNTER_MAX) {
        m->counter++;
        return;
    }
    if (now_ms <= m->last_ms) /* the year 10889 has no next millisecond: there only the random bits differ */
        now_ms = m->last_ms < id_ms_max ? m->last_ms + 1 : id_ms_max;
    m->last_ms = now_ms;
    m->counter = (uint16_t)(m->random(m->random_ctx) & COUNTER_START_MASK);
}

struct tz_id tz_id_make(struct tz_id_maker *m, struct tz_wall now)
{
    struct tz_id id;
    maker_advance(m, now.ms);
    put_be(id.b, (uint64_t)m->last_ms, 6);
    put_be(id.b + 6, 0x7000u | m->counter, 2);
    put_be(id.b + 8, 0x80000000u | (m->random(m->random_ctx) & 0x3FFFFFFFu), 4);
    put_be(id.b + 12, m->device, 4);
    return id;
}

uint32_t tz_id_device(struct tz_id id)
{
    return (uint32_t)id.b[12] << 24 | (uint32_t)id.b[13] << 16 | (uint32_t)id.b[14] << 8 | id.b[15];
}

bool tz_id_is_zero(struct tz_id id)
{
    return tz_id_cmp(id, (struct tz_id){{0}}) == 0;
}

int tz_id_cmp(struct tz_id a, struct tz_id b)
{
    return memcmp(a.b, b.b, TZ_ID_BYTES);
}

void tz_id_print(struct tz_id id, char out[TZ_ID_HEX + 1])
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < TZ_ID_BYTES; i++) {
        out[2 * i] = hex[id.b[i] >> 4];
        out[2 * i + 1] = hex[id.b[i] & 15];
    }
    out[TZ_ID_HEX] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int tz_id_parse(const char *s, struct tz_id *out)
{
    struct tz_id id = {{0}};
    bool uuid = strlen(s) == TZ_ID_HEX + 4; /* 8-4-4-4-12 */
    for (size_t i = 0; i < TZ_ID_HEX; i++) {
        if (uuid && (i == 8 || i == 12 || i == 16 || i == 20) && *s++ != '-')
            return TZ_E_FORMAT;
        int d = hex_digit(*s);
        if (d < 0)
            return TZ_E_FORMAT;
        s++;
        id.b[i / 2] = (uint8_t)(id.b[i / 2] << 4 | d);
    }
    if (*s != '\0')
        return TZ_E_FORMAT;
    *out = id;
    return 0;
}
