/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Laws of the codec for any bytes: a body that decodes encodes to the same bytes, under the type it was written with
 * and under an older one that lacks fields; and the wire check ends, whatever is nested in what.
 */
#include "codec.h"
#include "fuzz.h"

enum { ARENA_BYTES = 1 << 20 };

static const struct tz_field fields[] = {
    {.id = 1, .index = 0, .name = "name", .ftype = TZ_FT_STR},
    {.id = 2, .index = 1, .name = "text", .ftype = TZ_FT_TEXT},
    {.id = 3, .index = 2, .name = "count", .ftype = TZ_FT_INT},
    {.id = 4, .index = 3, .name = "open", .ftype = TZ_FT_BOOL},
    {.id = 20, .index = 4, .name = "unit", .ftype = TZ_FT_REF},
    {.id = 300, .index = 5, .name = "fee", .ftype = TZ_FT_MONEY},
};
static const struct tz_type newer = {.id = 1, .name = "newer", .fields = fields, .nfields = 6};
static const struct tz_type older = {.id = 1, .name = "older", .fields = fields + 2, .nfields = 2};

static const struct tz_wire_schema tree;
static const struct tz_wire_rule tree_rules[] = {
    {.number = 1, .wire_type = 0, .count_max = 4},
    {.number = 2, .wire_type = 2, .count_max = 4, .bytes_max = 64, .utf8 = true},
    {.number = 3, .wire_type = 2, .count_max = 64, .bytes_max = 256, .packed = true},
    {.number = 4, .wire_type = 2, .count_max = 8, .bytes_max = 4096, .sub = &tree},
    {.number = 5, .wire_type = 5, .count_max = 1},
};
static const struct tz_wire_schema tree = {"tree", tree_rules, sizeof tree_rules / sizeof tree_rules[0]};

/* Returns whether @body decodes under @type. */
static int round_trip(const struct tz_type *type, struct tz_bytes body)
{
    struct tz_record r;
    struct tz_arena arena;
    struct tz_buf out;
    struct tz_err err = {0};
    tz_arena_init(&arena, ARENA_BYTES);
    tz_buf_init(&out, TZ_ROW_BYTES_MAX);
    int rc = tz_record_decode(type, body, &arena, &r, &err);
    FUZZ_CHECK(rc == err.code && rc <= 0);
    if (rc == 0) {
        FUZZ_CHECK(tz_record_encode(&r, &out) == 0);
        FUZZ_CHECK(tz_bytes_eq(tz_buf_unread(&out), body));
    }
    tz_buf_deinit(&out);
    tz_arena_deinit(&arena);
    return rc == 0;
}

/* Returns whether @msg is well-formed to its end. */
static int iterate(struct tz_bytes msg)
{
    struct tz_wire_iter it = {msg};
    struct tz_wire_field f;
    size_t total = 0;
    int rc;
    while ((rc = tz_wire_next(&it, &f)) == 1) {
        FUZZ_CHECK(f.raw.n >= 2 && f.bytes.n < f.raw.n && f.number > 0);
        total += f.raw.n;
    }
    FUZZ_CHECK(total + it.rest.n == msg.n && (rc == 0) == (it.rest.n == 0));
    return rc == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tz_bytes in = tz_bytes_of(data, size);
    struct tz_err err = {0};
    int well_formed = iterate(in);
    int decoded = round_trip(&newer, in);
    int decoded_older = round_trip(&older, in);
    FUZZ_CHECK(!decoded || (well_formed && decoded_older));
    int rc = tz_wire_check(&tree, in, &err);
    FUZZ_CHECK(rc == err.code && rc <= 0 && (rc != 0 || well_formed));
    return 0;
}
