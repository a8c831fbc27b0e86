/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When each field of a record was last written, and how that is packed beside the row.
 *
 * Every row that was edited carries its stamps, so bytes count: versions in ascending order, each as the difference to
 * the one before; what was written together names its version once.
 *
 *   packed   00, epoch varint, then stamps by ascending (version, field, element)
 *   stamp    key varint: field << 2 | same version as the stamp before << 1 | there is more
 *            more: a byte (1 resolved, 2 of an element, 4 said, 8 of a later epoch); then, of a later epoch, how many
 *            epochs later (varint)
 *            unless it is the same version: varint, its counter less that of the stamp before (before the first stamp,
 *            and in a later epoch: the counter itself)
 *            of an element: its hash, 4 bytes
 *
 * Rows that were not written since are in the form of before: per stamp varint field << 1 | resolved, the element's
 * hash or 0 in 4 bytes, varint version. No field has number 0, so the first byte tells the two apart.
 */
#include "merge.h"

#include <stdlib.h>
#include <string.h>

/* ---- in memory ---- */

void tz_stamps_init(struct tz_stamps *s, struct tz_arena *arena)
{
    *s = (struct tz_stamps){.arena = arena};
}

static int stamps_grow(struct tz_stamps *s)
{
    size_t cap = s->cap ? s->cap * 2 : 8;
    struct tz_stamp *v = tz_arena_calloc(s->arena, cap, sizeof *v);
    if (!v)
        return TZ_E_NOMEM;
    if (s->n)
        memcpy(v, s->v, s->n * sizeof *v);
    s->v = v;
    s->cap = cap;
    return 0;
}

/** First position whose (field, element) is not less. */
static size_t stamps_find(const struct tz_stamps *s, uint32_t field, uint32_t element)
{
    size_t lo = 0;
    size_t hi = s->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        const struct tz_stamp *t = &s->v[mid];
        if (t->field < field || (t->field == field && t->element < element))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool stamps_at(const struct tz_stamps *s, size_t i, uint32_t field, uint32_t element)
{
    return i < s->n && s->v[i].field == field && s->v[i].element == element;
}

struct tz_stamp tz_stamps_get(const struct tz_stamps *s, uint32_t field, uint32_t element, tz_ver born)
{
    size_t i = stamps_find(s, field, element);
    if (stamps_at(s, i, field, element))
        return s->v[i];
    return (struct tz_stamp){.field = field, .element = element, .ver = born};
}

static int put_stamp(struct tz_stamps *s, struct tz_stamp stamp)
{
    size_t i = stamps_find(s, stamp.field, stamp.element);
    if (!stamps_at(s, i, stamp.field, stamp.element)) {
        if (s->n == s->cap) {
            int rc = stamps_grow(s);
            if (rc)
                return rc;
        }
        memmove(&s->v[i + 1], &s->v[i], (s->n - i) * sizeof *s->v);
        s->n++;
    }
    s->v[i] = stamp;
    return 0;
}

int tz_stamps_set(struct tz_stamps *s, struct tz_stamp stamp)
{
    if (stamp.element == 0 && !(stamp.field & TZ_STAMP_SAID))
        tz_stamps_drop(s, stamp.field | TZ_STAMP_SAID, 0);
    return put_stamp(s, stamp);
}

tz_ver tz_stamps_said(const struct tz_stamps *s, uint32_t field, tz_ver born)
{
    return tz_stamps_get(s, field | TZ_STAMP_SAID, 0, tz_stamps_get(s, field, 0, born).ver).ver;
}

int tz_stamps_say(struct tz_stamps *s, uint32_t field, tz_ver said)
{
    return put_stamp(s, (struct tz_stamp){.field = field | TZ_STAMP_SAID, .ver = said});
}

void tz_stamps_drop(struct tz_stamps *s, uint32_t field, uint32_t element)
{
    size_t i = stamps_find(s, field, element);
    if (!stamps_at(s, i, field, element))
        return;
    s->n--;
    memmove(&s->v[i], &s->v[i + 1], (s->n - i) * sizeof *s->v);
}

/* ---- the packed form ---- */

/* What a stamp has beside the usual: in a byte of its own, so that the usual needs none. */
enum { PACKED = 0, MORE = 1, SAME_VER = 2, KEY_SHIFT = 2 };
enum { MORE_RESOLVED = 1, MORE_ELEMENT = 2, MORE_SAID = 4, MORE_EPOCH = 8, MORE_KNOWN = 15 };
#define COUNTER_MASK ((UINT64_C(1) << TZ_VER_COUNTER_BITS) - 1)

static uint64_t epoch_of(tz_ver v)
{
    return v >> TZ_VER_COUNTER_BITS;
}

static int by_version(const void *pa, const void *pb)
{
    const struct tz_stamp *a = pa;
    const struct tz_stamp *b = pb;
    if (a->ver != b->ver)
        return a->ver < b->ver ? -1 : 1;
    if (a->field != b->field)
        return a->field < b->field ? -1 : 1;
    return a->element < b->element ? -1 : a->element > b->element;
}

static int put_element(struct tz_buf *out, uint32_t element)
{
    uint8_t b[4] = {(uint8_t)(element >> 24), (uint8_t)(element >> 16), (uint8_t)(element >> 8), (uint8_t)element};
    return tz_buf_put(out, b, sizeof b);
}

static int encode_one(const struct tz_stamp *t, tz_ver before, struct tz_buf *out)
{
    uint64_t epochs = epoch_of(t->ver) - epoch_of(before);
    uint32_t more = (t->resolved ? MORE_RESOLVED : 0U) | (t->element ? MORE_ELEMENT : 0U) |
                    (t->field & TZ_STAMP_SAID ? MORE_SAID : 0U) | (epochs ? MORE_EPOCH : 0U);
    uint64_t key =
        (uint64_t)(t->field & ~TZ_STAMP_SAID) << KEY_SHIFT | (more ? MORE : 0U) | (t->ver == before ? SAME_VER : 0U);
    uint64_t counter = (t->ver & COUNTER_MASK) - (epochs ? 0 : before & COUNTER_MASK);
    int rc = tz_wire_put_varint(out, key);
    if (!rc && more)
        rc = tz_buf_putc(out, (uint8_t)more);
    if (!rc && epochs)
        rc = tz_wire_put_varint(out, epochs);
    if (!rc && t->ver != before)
        rc = tz_wire_put_varint(out, counter);
    return rc || !t->element ? rc : put_element(out, t->element);
}

int tz_stamps_encode(const struct tz_stamps *s, struct tz_buf *out)
{
    if (s->n == 0)
        return 0;
    struct tz_stamp *v = tz_arena_dup(s->arena, s->v, s->n * sizeof *v);
    if (!v)
        return TZ_E_NOMEM;
    qsort(v, s->n, sizeof *v, by_version);
    tz_ver before = v[0].ver & ~COUNTER_MASK;
    int rc = tz_buf_putc(out, PACKED);
    if (!rc)
        rc = tz_wire_put_varint(out, epoch_of(before));
    for (size_t i = 0; i < s->n && !rc; i++) {
        rc = encode_one(&v[i], before, out);
        before = v[i].ver;
    }
    return rc;
}

static int take_byte(struct tz_bytes *in, uint32_t *out)
{
    if (in->n == 0)
        return TZ_E_FORMAT;
    *out = *in->p++;
    in->n--;
    return 0;
}

static int take_element(struct tz_bytes *in, uint32_t *out)
{
    if (in->n < 4)
        return TZ_E_FORMAT;
    *out = (uint32_t)in->p[0] << 24 | (uint32_t)in->p[1] << 16 | (uint32_t)in->p[2] << 8 | in->p[3];
    *in = tz_bytes_of(in->p + 4, in->n - 4);
    return 0;
}

static int decode_one(struct tz_bytes *in, tz_ver *ver, struct tz_stamp *t)
{
    uint64_t key = 0;
    uint64_t epochs = 0;
    uint64_t counter = 0;
    uint32_t more = 0;
    int rc = tz_wire_take_varint(in, &key);
    if (!rc && key & MORE)
        rc = take_byte(in, &more);
    if (!rc && (more & ~(uint32_t)MORE_KNOWN || key >> KEY_SHIFT >= TZ_STAMP_SAID))
        rc = TZ_E_FORMAT;
    if (!rc && more & MORE_EPOCH)
        rc = tz_wire_take_varint(in, &epochs);
    if (!rc && !(key & SAME_VER))
        rc = tz_wire_take_varint(in, &counter);
    if (rc || epochs > UINT16_MAX - epoch_of(*ver) || counter > COUNTER_MASK - (epochs ? 0 : *ver & COUNTER_MASK))
        return TZ_E_FORMAT; /* of no version that there can be */
    *ver = epochs ? (epoch_of(*ver) + epochs) << TZ_VER_COUNTER_BITS | counter : *ver + counter;
    *t = (struct tz_stamp){.field = (uint32_t)(key >> KEY_SHIFT) | (more & MORE_SAID ? TZ_STAMP_SAID : 0U),
                           .ver = *ver,
                           .resolved = more & MORE_RESOLVED};
    return more & MORE_ELEMENT ? take_element(in, &t->element) : 0;
}

static int decode_packed(struct tz_stamps *s, struct tz_bytes in)
{
    uint64_t epoch = 0;
    struct tz_stamp t;
    int rc = tz_wire_take_varint(&in, &epoch);
    tz_ver ver = epoch << TZ_VER_COUNTER_BITS;
    if (rc || epoch > UINT16_MAX)
        return TZ_E_FORMAT;
    while (in.n > 0 && !(rc = decode_one(&in, &ver, &t)))
        rc = put_stamp(s, t);
    return rc;
}

/** As they were written before the packed form: ascending (field, element), each with its whole version. */
static int decode_plain(struct tz_stamps *s, struct tz_bytes in)
{
    while (in.n > 0) {
        struct tz_stamp t = {0};
        uint64_t key = 0;
        int rc = tz_wire_take_varint(&in, &key);
        if (!rc)
            rc = take_element(&in, &t.element);
        if (!rc)
            rc = tz_wire_take_varint(&in, &t.ver);
        if (!rc && key >> 1 >= TZ_STAMP_SAID)
            rc = TZ_E_FORMAT;
        t.field = (uint32_t)(key >> 1);
        t.resolved = key & 1;
        if (!rc)
            rc = put_stamp(s, t);
        if (rc)
            return rc;
    }
    return 0;
}

int tz_stamps_decode(struct tz_stamps *s, struct tz_bytes packed)
{
    s->n = 0;
    if (packed.n == 0 || packed.p[0] != PACKED)
        return decode_plain(s, packed);
    return decode_packed(s, tz_bytes_of(packed.p + 1, packed.n - 1));
}

uint32_t tz_element_hash(struct tz_bytes element)
{
    uint32_t h = 2166136261U; /* FNV-1a */
    for (size_t i = 0; i < element.n; i++)
        h = (h ^ element.p[i]) * 16777619U;
    return h ? h : 1; /* 0 stands for the field itself */
}
