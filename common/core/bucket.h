/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_BUCKET_H
#define TZ_BUCKET_H

/*
 * Buckets of records for comparing two replicas (proto/README.md 4.6): a key is a type and the exact area of a record
 * (its street, or its district where it has no street); a range is the first byte of a hash of the record's id. A sum
 * is the number of rows and the XOR of their hashes, so that the order of adding does not matter. Pure; any thread.
 */

#include "area.h"
#include "changeset.h"

enum { TZ_BUCKET_RANGES = 256, TZ_BUCKET_MAP_BYTES = TZ_BUCKET_RANGES / 8 };

struct tz_bucket_key {
    uint32_t type; /* 0: none */
    struct tz_area area;
};

struct tz_bucket_sum {
    uint64_t rows;
    uint8_t digest[TZ_HASH_BYTES];
};

struct tz_bucket {
    struct tz_bucket_key key;
    uint8_t range; /* 0 where a sum is over all ranges */
    struct tz_bucket_sum sum;
};

/** By type, district, street. */
int tz_bucket_key_cmp(const struct tz_bucket_key *a, const struct tz_bucket_key *b);
/** Add one row by its hash. */
void tz_bucket_add(struct tz_bucket_sum *s, const uint8_t row[TZ_HASH_BYTES]);
bool tz_bucket_same(const struct tz_bucket_sum *a, const struct tz_bucket_sum *b);

/** A set of ranges; bit r & 7 of byte r >> 3 is range r. */
static inline bool tz_bucket_map_has(const uint8_t map[TZ_BUCKET_MAP_BYTES], uint8_t range)
{
    return (map[range >> 3] >> (range & 7) & 1) != 0;
}
static inline void tz_bucket_map_put(uint8_t map[TZ_BUCKET_MAP_BYTES], uint8_t range)
{
    map[range >> 3] |= (uint8_t)(1U << (range & 7));
}

/**
 * Sums of the least keys above one, however many there are in all: a page of them is right for every key up to its last
 * one.
 */
struct tz_bucket_table {
    struct tz_bucket *v; /* ascending keys; owned */
    size_t n, max;
    struct tz_bucket_key after; /* only keys above this one; type 0: all */
    bool cut;                   /* there are keys above the last one */
};
/** TZ_E_NOMEM. */
TZ_MUST_USE int tz_bucket_table_init(struct tz_bucket_table *t, size_t max, const struct tz_bucket_key *after);
void tz_bucket_table_deinit(struct tz_bucket_table *t);
/** Where rows of @key are added up; NULL when they belong to an earlier or a later page. Valid until the next call. */
struct tz_bucket_sum *tz_bucket_table_at(struct tz_bucket_table *t, const struct tz_bucket_key *key);
/** No key of a type from @type on can come into the page any more. */
bool tz_bucket_table_done(const struct tz_bucket_table *t, uint32_t type);

#endif
