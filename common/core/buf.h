/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_BUF_H
#define TZ_BUF_H

/*
 * Bounded growable bytes with two cursors: written at `len`, read at `pos`. The maximum is fixed at init; reaching it
 * is an ordinary result (TZ_E_LIMIT), never an assertion. Not thread-safe; one owner.
 */

#include "err.h"

struct tz_bytes { /**< borrowed bytes */
    const uint8_t *p;
    size_t n;
};

struct tz_buf {
    uint8_t *p;
    size_t len;       /**< bytes written */
    size_t pos;       /**< bytes consumed, ≤ len */
    size_t cap;       /**< allocated */
    size_t bytes_max; /**< hard limit of what is stored */
};

void tz_buf_init(struct tz_buf *b, size_t bytes_max);
/** Frees; accepts a zeroed struct and a second call. */
void tz_buf_deinit(struct tz_buf *b);
/** Same after overwriting the memory (secrets). */
void tz_buf_deinit_secret(struct tz_buf *b);
/**
 * Make room for @n more bytes. TZ_E_LIMIT when unread and new bytes pass bytes_max, TZ_E_NOMEM; on error nothing
 * changes. Moves the unread bytes to the front when that makes the room, so offsets into the buffer are relative to
 * `pos`.
 */
TZ_MUST_USE int tz_buf_reserve(struct tz_buf *b, size_t n);
TZ_MUST_USE int tz_buf_put(struct tz_buf *b, const void *p, size_t n);
TZ_MUST_USE int tz_buf_putc(struct tz_buf *b, uint8_t c);
TZ_MUST_USE int tz_buf_puts(struct tz_buf *b, const char *s);
TZ_MUST_USE int tz_buf_printf(struct tz_buf *b, const char *fmt, ...) TZ_PRINTF(2, 3);
/** Unread bytes; borrowed until the next call that changes @b. */
struct tz_bytes tz_buf_unread(const struct tz_buf *b);
/** Consume @n ≤ unread bytes; compacts when cheap. */
void tz_buf_consume(struct tz_buf *b, size_t n);
/** Forget all content, keep memory. */
void tz_buf_clear(struct tz_buf *b);

static inline struct tz_bytes tz_bytes_of(const void *p, size_t n)
{
    return (struct tz_bytes){.p = (const uint8_t *)p, .n = n};
}
struct tz_bytes tz_bytes_str(const char *s);
bool tz_bytes_eq(struct tz_bytes a, struct tz_bytes b);
/** memcmp order, shorter first on a common prefix. */
int tz_bytes_cmp(struct tz_bytes a, struct tz_bytes b);

#endif
