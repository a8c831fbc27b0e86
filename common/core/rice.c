/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "rice.h"

#include "codec.h"

enum { K_MAX = 48, SPARSE = 255, ESCAPE = 8, LENGTH_BITS = 6 };

static unsigned bits_of(uint64_t v)
{
    unsigned n = 1;
    while (n < 64 && v >> n)
        n++;
    return n;
}

/* ---- writing ---- */

struct bits_out {
    struct tz_buf *buf;
    unsigned acc, n; /* bits not written yet: fewer than 8 */
    int rc;
};

static void put_bits(struct bits_out *o, uint64_t v, unsigned n)
{
    while (n > 0 && !o->rc) {
        unsigned take = 8 - o->n < n ? 8 - o->n : n;
        o->acc |= (unsigned)(v & ((1U << take) - 1)) << o->n;
        o->n += take;
        v >>= take;
        n -= take;
        if (o->n == 8) {
            o->rc = tz_buf_putc(o->buf, (uint8_t)o->acc);
            o->acc = o->n = 0;
        }
    }
}

static uint64_t dense_bits(const uint64_t *v, size_t n, unsigned k)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < n; i++)
        bits += v[i] >> k < ESCAPE ? (v[i] >> k) + 1 + k : (uint64_t)ESCAPE + LENGTH_BITS + bits_of(v[i]);
    return bits;
}

static unsigned best_k(const uint64_t *v, size_t n, uint64_t *bits)
{
    unsigned best = 0;
    *bits = UINT64_MAX;
    for (unsigned k = 0; k <= K_MAX; k++) {
        uint64_t b = dense_bits(v, n, k);
        if (b < *bits) {
            *bits = b;
            best = k;
        }
    }
    return best;
}

static int put_dense(struct tz_buf *out, const uint64_t *v, size_t n, unsigned k)
{
    struct bits_out o = {.buf = out};
    o.rc = tz_buf_putc(out, (uint8_t)k);
    for (size_t i = 0; i < n; i++) {
        uint64_t q = v[i] >> k;
        if (q < ESCAPE) {
            put_bits(&o, (UINT64_C(1) << q) - 1, (unsigned)q + 1);
            put_bits(&o, v[i], k);
        } else {
            unsigned length = bits_of(v[i]);
            put_bits(&o, (1U << ESCAPE) - 1, ESCAPE);
            put_bits(&o, length - 1, LENGTH_BITS);
            put_bits(&o, v[i], length);
        }
    }
    if (o.n)
        put_bits(&o, 0, 8 - o.n);
    return o.rc;
}

static int put_sparse(struct tz_buf *out, const uint64_t *v, size_t n)
{
    uint64_t count = 0;
    uint64_t zeros = 0;
    for (size_t i = 0; i < n; i++)
        count += v[i] != 0;
    int rc = tz_buf_putc(out, SPARSE);
    if (!rc)
        rc = tz_wire_put_varint(out, count);
    for (size_t i = 0; i < n && !rc; i++) {
        if (v[i] == 0) {
            zeros++;
            continue;
        }
        rc = tz_wire_put_varint(out, zeros);
        if (!rc)
            rc = tz_wire_put_varint(out, v[i]);
        zeros = 0;
    }
    return rc;
}

int tz_rice_put(struct tz_buf *out, const uint64_t *v, size_t n)
{
    struct tz_buf sparse;
    uint64_t bits = 0;
    unsigned k = best_k(v, n, &bits);
    tz_buf_init(&sparse, 21 * n + 16); /* two varints each */
    int rc = put_sparse(&sparse, v, n);
    if (!rc && sparse.len <= 1 + bits / 8)
        rc = tz_buf_put(out, sparse.p, sparse.len);
    else if (!rc)
        rc = put_dense(out, v, n, k);
    tz_buf_deinit(&sparse);
    return rc;
}

/* ---- reading ---- */

struct bits_in {
    struct tz_bytes in;
    unsigned acc, n;
    bool short_of;
};

static unsigned take_bit(struct bits_in *i)
{
    if (i->n == 0) {
        if (i->in.n == 0) {
            i->short_of = true;
            return 0; /* ends a quotient */
        }
        i->acc = *i->in.p++;
        i->in.n--;
        i->n = 8;
    }
    unsigned bit = i->acc & 1;
    i->acc >>= 1;
    i->n--;
    return bit;
}

static uint64_t take_bits(struct bits_in *i, unsigned n)
{
    uint64_t v = 0;
    for (unsigned at = 0; at < n && !i->short_of; at++)
        v |= (uint64_t)take_bit(i) << at;
    return v;
}

static int take_dense(struct tz_bytes *in, unsigned k, uint64_t *v, size_t n)
{
    struct bits_in i = {.in = *in};
    for (size_t at = 0; at < n && !i.short_of; at++) {
        uint64_t q = 0;
        while (q < ESCAPE && take_bit(&i))
            q++;
        v[at] = q < ESCAPE ? q << k | take_bits(&i, k) : take_bits(&i, (unsigned)take_bits(&i, LENGTH_BITS) + 1);
    }
    *in = i.in;
    return i.short_of ? TZ_E_FORMAT : 0;
}

static int take_sparse(struct tz_bytes *in, uint64_t *v, size_t n)
{
    uint64_t count = 0;
    uint64_t zeros = 0;
    size_t at = 0;
    int rc = tz_wire_take_varint(in, &count);
    for (size_t i = 0; i < n; i++)
        v[i] = 0;
    for (; count > 0 && !rc; count--) {
        rc = tz_wire_take_varint(in, &zeros);
        if (!rc && zeros >= n - at)
            rc = TZ_E_FORMAT;
        if (!rc)
            rc = tz_wire_take_varint(in, &v[at + zeros]);
        at += (size_t)zeros + 1;
    }
    return rc;
}

int tz_rice_take(struct tz_bytes *in, uint64_t *v, size_t n)
{
    if (in->n == 0)
        return TZ_E_FORMAT;
    unsigned k = *in->p;
    *in = tz_bytes_of(in->p + 1, in->n - 1);
    if (k == SPARSE)
        return take_sparse(in, v, n);
    return k > K_MAX ? TZ_E_FORMAT : take_dense(in, k, v, n);
}
