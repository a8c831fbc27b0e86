/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invariants
 *  1. A table holds the least keys that were ever asked for, in order; one that was pushed out is above all of them, so
 * it never comes back with half of its rows.
 *  2. Once full it stays full: `cut` never becomes false again.
 */
#include "bucket.h"

#include <stdlib.h>
#include <string.h>

int tz_bucket_key_cmp(const struct tz_bucket_key *a, const struct tz_bucket_key *b)
{
    if (a->type != b->type)
        return a->type < b->type ? -1 : 1;
    int c = strcmp(a->area.district, b->area.district);
    return c ? c : strcmp(a->area.street, b->area.street);
}

void tz_bucket_add(struct tz_bucket_sum *s, const uint8_t row[TZ_HASH_BYTES])
{
    s->rows++;
    for (size_t i = 0; i < TZ_HASH_BYTES; i++)
        s->digest[i] ^= row[i];
}

bool tz_bucket_same(const struct tz_bucket_sum *a, const struct tz_bucket_sum *b)
{
    return a->rows == b->rows && memcmp(a->digest, b->digest, sizeof a->digest) == 0;
}

int tz_bucket_table_init(struct tz_bucket_table *t, size_t max, const struct tz_bucket_key *after)
{
    memset(t, 0, sizeof *t);
    t->v = calloc(max, sizeof *t->v);
    t->max = max;
    if (after)
        t->after = *after;
    return t->v ? 0 : TZ_E_NOMEM;
}

void tz_bucket_table_deinit(struct tz_bucket_table *t)
{
    free(t->v);
    memset(t, 0, sizeof *t);
}

/** Index of the first entry that is not below @key. */
static size_t place_of(const struct tz_bucket_table *t, const struct tz_bucket_key *key)
{
    size_t lo = 0;
    size_t hi = t->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (tz_bucket_key_cmp(&t->v[mid].key, key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct tz_bucket_sum *tz_bucket_table_at(struct tz_bucket_table *t, const struct tz_bucket_key *key)
{
    if (t->after.type && tz_bucket_key_cmp(key, &t->after) <= 0)
        return NULL;
    size_t at = place_of(t, key);
    if (at < t->n && tz_bucket_key_cmp(&t->v[at].key, key) == 0)
        return &t->v[at].sum;
    if (t->n == t->max) {
        t->cut = true;
        if (at == t->n)
            return NULL;
        t->n--;
    }
    memmove(&t->v[at + 1], &t->v[at], (t->n - at) * sizeof *t->v);
    t->v[at] = (struct tz_bucket){.key = *key};
    t->n++;
    return &t->v[at].sum;
}

bool tz_bucket_table_done(const struct tz_bucket_table *t, uint32_t type)
{
    return t->cut && t->v[t->n - 1].key.type < type;
}
