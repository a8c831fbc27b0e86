/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded bytes:
 *
 *      p            pos          len            cap    bytes_max
 *      |  consumed   |   unread   |    free      |         |
 *
 * 1. pos ≤ len ≤ cap ≤ bytes_max (cap is 0 exactly when p is NULL).
 * 2. What was consumed costs nothing in the long run: room is first made by moving the unread part down, and only then
 * by allocating. So bytes_max bounds the unread part, not the history.
 * 3. On error nothing has changed.
 *
 * Old memory is wiped when it is replaced, because a buffer does not know whether it holds a secret.
 */
#include "buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_CAP_MIN = 64 };

void tz_buf_init(struct tz_buf *b, size_t bytes_max)
{
    *b = (struct tz_buf){.bytes_max = bytes_max};
}

void tz_buf_deinit(struct tz_buf *b)
{
    free(b->p);
    *b = (struct tz_buf){.bytes_max = b->bytes_max};
}

void tz_buf_deinit_secret(struct tz_buf *b)
{
    if (b->p)
        explicit_bzero(b->p, b->cap);
    tz_buf_deinit(b);
}

static void buf_compact(struct tz_buf *b)
{
    if (b->pos == 0)
        return;
    b->len -= b->pos;
    if (b->len > 0)
        memmove(b->p, b->p + b->pos, b->len);
    b->pos = 0;
}

/* Doubling keeps the number of copies logarithmic; the limit is reached exactly, not overshot. */
static size_t cap_for(const struct tz_buf *b, size_t need)
{
    size_t cap = b->cap < BUF_CAP_MIN ? BUF_CAP_MIN : b->cap;
    while (cap < need)
        cap = cap > b->bytes_max / 2 ? b->bytes_max : cap * 2;
    return cap < b->bytes_max ? cap : b->bytes_max;
}

int tz_buf_reserve(struct tz_buf *b, size_t n)
{
    size_t unread = b->len - b->pos;
    if (unread > b->bytes_max || n > b->bytes_max - unread)
        return TZ_E_LIMIT;
    if (n <= b->cap - b->len)
        return 0;
    if (n <= b->cap - unread) {
        buf_compact(b);
        return 0;
    }
    size_t cap = cap_for(b, unread + n);
    uint8_t *p = (uint8_t *)malloc(cap);
    if (!p)
        return TZ_E_NOMEM;
    if (unread > 0)
        memcpy(p, b->p + b->pos, unread);
    if (b->p)
        explicit_bzero(b->p, b->cap);
    free(b->p);
    b->p = p;
    b->cap = cap;
    b->len = unread;
    b->pos = 0;
    return 0;
}

int tz_buf_put(struct tz_buf *b, const void *p, size_t n)
{
    int rc = tz_buf_reserve(b, n);
    if (rc < 0 || n == 0)
        return rc;
    memcpy(b->p + b->len, p, n);
    b->len += n;
    return 0;
}

int tz_buf_putc(struct tz_buf *b, uint8_t c)
{
    return tz_buf_put(b, &c, 1);
}

int tz_buf_puts(struct tz_buf *b, const char *s)
{
    return tz_buf_put(b, s, strlen(s));
}

int tz_buf_printf(struct tz_buf *b, const char *fmt, ...)
{
    char small[256];
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int wanted = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    int rc = wanted < 0 ? TZ_E_INTERNAL : 0;
    if (rc == 0 && (size_t)wanted < sizeof small) {
        rc = tz_buf_put(b, small, (size_t)wanted);
    } else if (rc == 0) {
        char *large = (char *)malloc((size_t)wanted + 1);
        if (large)
            vsnprintf(large, (size_t)wanted + 1, fmt, again);
        rc = large ? tz_buf_put(b, large, (size_t)wanted) : TZ_E_NOMEM;
        free(large);
    }
    va_end(again);
    return rc;
}

struct tz_bytes tz_buf_unread(const struct tz_buf *b)
{
    return tz_bytes_of(b->p ? b->p + b->pos : NULL, b->len - b->pos);
}

void tz_buf_consume(struct tz_buf *b, size_t n)
{
    assert(n <= b->len - b->pos);
    b->pos += n;
    /* Moving no more than was consumed since the last move keeps the total cost linear. */
    if (b->pos >= b->len - b->pos)
        buf_compact(b);
}

void tz_buf_clear(struct tz_buf *b)
{
    b->len = 0;
    b->pos = 0;
}

struct tz_bytes tz_bytes_str(const char *s)
{
    return tz_bytes_of(s, s ? strlen(s) : 0);
}

bool tz_bytes_eq(struct tz_bytes a, struct tz_bytes b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

int tz_bytes_cmp(struct tz_bytes a, struct tz_bytes b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}
