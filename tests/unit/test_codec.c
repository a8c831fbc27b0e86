/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdlib.h>
#include <string.h>

#include "codec.h"

/* A type by hand: ids with gaps, one above the protobuf-reserved range's neighbours, each kind once. */
enum { F_NAME, F_COUNT, F_OPEN, F_UNIT, F_NOTE };
static const struct tz_field fields[] = {
    [F_NAME] = {.id = 1, .index = 0, .name = "name", .ftype = TZ_FT_STR},
    [F_COUNT] = {.id = 3, .index = 1, .name = "count", .ftype = TZ_FT_INT},
    [F_OPEN] = {.id = 4, .index = 2, .name = "open", .ftype = TZ_FT_BOOL},
    [F_UNIT] = {.id = 20, .index = 3, .name = "unit", .ftype = TZ_FT_REF},
    [F_NOTE] = {.id = 300, .index = 4, .name = "note", .ftype = TZ_FT_TEXT},
};
static const struct tz_type sample = {.id = 1, .name = "sample", .fields = fields, .nfields = 5};
/* The same type as an older program knows it. */
static const struct tz_field old_fields[] = {
    {.id = 3, .index = 0, .name = "count", .ftype = TZ_FT_INT},
    {.id = 20, .index = 1, .name = "unit", .ftype = TZ_FT_REF},
};
static const struct tz_type older = {.id = 1, .name = "sample", .fields = old_fields, .nfields = 2};

struct fixture {
    struct tz_arena arena;
    struct tz_buf out;
    struct tz_record r;
};

static int fixture_new(void **state)
{
    struct fixture *x = calloc(1, sizeof *x);
    assert_non_null(x);
    tz_arena_init(&x->arena, 1 << 20);
    tz_buf_init(&x->out, 1 << 20);
    *state = x;
    return 0;
}

static int fixture_free(void **state)
{
    struct fixture *x = *state;
    tz_arena_deinit(&x->arena);
    tz_buf_deinit(&x->out);
    free(x);
    return 0;
}

#define BYTES(literal) tz_bytes_of(literal, sizeof literal - 1)

static void fill(struct tz_record *r)
{
    tz_record_init(r, &sample);
    r->v[F_NAME] = tz_value_text("ab");
    r->v[F_COUNT] = tz_value_int(-1);
    r->v[F_OPEN] = tz_value_int(1);
    r->v[F_UNIT] = tz_value_blob("0123456789abcdef", 16);
    r->v[F_NOTE] = tz_value_text("z");
}
static const char filled[] = "\x0A\x02"
                             "ab"
                             "\x18\x01"
                             "\x20\x02"
                             "\xA2\x01\x10"
                             "0123456789abcdef"
                             "\xE2\x12\x01"
                             "z";

static void encoding_is_as_documented(void **state)
{
    struct fixture *x = *state;
    fill(&x->r);
    assert_int_equal(tz_record_encode(&x->r, &x->out), 0);
    assert_true(tz_bytes_eq(tz_buf_unread(&x->out), BYTES(filled)));
}

static void decoded_record_equals_the_encoded_one(void **state)
{
    struct fixture *x = *state;
    struct tz_record back;
    fill(&x->r);
    assert_int_equal(tz_record_encode(&x->r, &x->out), 0);
    assert_int_equal(tz_record_decode(&sample, tz_buf_unread(&x->out), &x->arena, &back, NULL), 0);
    for (size_t i = 0; i < sample.nfields; i++) {
        assert_int_equal(back.v[i].kind, x->r.v[i].kind);
        assert_int_equal(back.v[i].i, x->r.v[i].i);
        assert_true(tz_bytes_eq(tz_bytes_of(back.v[i].p, back.v[i].n), tz_bytes_of(x->r.v[i].p, x->r.v[i].n)));
    }
    assert_int_equal(back.extra.n, 0);
    assert_int_equal(x->arena.used_bytes, 0);
}

static void integers_survive_at_their_bounds(void **state)
{
    struct fixture *x = *state;
    static const int64_t values[] = {0, 1, -1, 63, 64, -64, -65, INT64_MAX, INT64_MIN, INT64_MAX - 1};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct tz_record back;
        tz_record_init(&x->r, &sample);
        x->r.v[F_COUNT] = tz_value_int(values[i]);
        tz_buf_clear(&x->out);
        assert_int_equal(tz_record_encode(&x->r, &x->out), 0);
        assert_int_equal(tz_record_decode(&sample, tz_buf_unread(&x->out), &x->arena, &back, NULL), 0);
        assert_int_equal(back.v[F_COUNT].kind, TZ_V_INT);
        assert_true(back.v[F_COUNT].i == values[i]);
    }
}

static void empty_record_is_no_bytes(void **state)
{
    struct fixture *x = *state;
    tz_record_init(&x->r, &sample);
    x->r.v[F_NAME] = tz_value_textn("", 0); /* empty is NULL is absent */
    assert_int_equal(tz_record_encode(&x->r, &x->out), 0);
    assert_int_equal(tz_buf_unread(&x->out).n, 0);
    assert_int_equal(tz_record_decode(&sample, tz_bytes_of(NULL, 0), &x->arena, &x->r, NULL), 0);
    assert_int_equal(x->r.v[F_NAME].kind, TZ_V_NULL);
}

static void other_spellings_are_refused(void **state)
{
    struct fixture *x = *state;
    static const struct {
        const char *why, *p;
        size_t n;
    } bad[] = {
#define BAD(why, literal) {why, literal, sizeof literal - 1}
        BAD("descending", "\x18\x01\x0A\x01\x61"),
        BAD("twice", "\x18\x01\x18\x01"),
        BAD("long value varint", "\x18\x81\x00"),
        BAD("long length varint", "\x0A\x81\x00\x61"),
        BAD("long key varint", "\x98\x00\x01"),
        BAD("empty text", "\x0A\x00"),
        BAD("empty unknown", "\x12\x00"),
        BAD("text as varint", "\x08\x01"),
        BAD("int as bytes", "\x1A\x01\x01"),
        BAD("fixed64", "\x11\x01\x01\x01\x01\x01\x01\x01\x01"),
        BAD("fixed32", "\x15\x01\x01\x01\x01"),
        BAD("group", "\x13\x14"),
        BAD("field 0", "\x02\x01\x61"),
        BAD("field 18000", "\x80\xE5\x08\x01"),
        BAD("field 19000", "\xC0\xA3\x09\x01"),
        BAD("field 19999", "\xF8\xE1\x09\x01"),
        BAD("field 2^29", "\x80\x80\x80\x80\x10\x01"),
        BAD("truncated value", "\x18"),
        BAD("truncated varint", "\x18\x80"),
        BAD("truncated text", "\x0A\x02\x61"),
        BAD("length past the end", "\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01\x61"),
        BAD("65 bits", "\x18\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x03"),
        BAD("11 bytes", "\x18\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct tz_err err = {0};
        int rc = tz_record_decode(&sample, tz_bytes_of(bad[i].p, bad[i].n), &x->arena, &x->r, &err);
        if (rc != TZ_E_FORMAT || err.code != TZ_E_FORMAT)
            fail_msg("%s: %d", bad[i].why, rc);
    }
}

static void neighbours_of_reserved_numbers_are_fields(void **state)
{
    struct fixture *x = *state;
    static const uint32_t numbers[] = {17999, 18001, 18999, 20000, (1u << 29) - 1};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        tz_buf_clear(&x->out);
        assert_int_equal(tz_wire_put_key(&x->out, numbers[i], 0), 0);
        assert_int_equal(tz_wire_put_varint(&x->out, 1), 0);
        assert_int_equal(tz_record_decode(&sample, tz_buf_unread(&x->out), &x->arena, &x->r, NULL), 0);
        assert_true(tz_bytes_eq(x->r.extra, tz_buf_unread(&x->out)));
    }
}

static void every_truncation_decodes_to_its_own_bytes_or_is_refused(void **state)
{
    struct fixture *x = *state;
    for (size_t n = 0; n < sizeof filled; n++) {
        int rc = tz_record_decode(&sample, tz_bytes_of(filled, n), &x->arena, &x->r, NULL);
        if (rc == TZ_E_FORMAT)
            continue;
        assert_int_equal(rc, 0);
        tz_buf_clear(&x->out);
        assert_int_equal(tz_record_encode(&x->r, &x->out), 0);
        assert_true(tz_bytes_eq(tz_buf_unread(&x->out), tz_bytes_of(filled, n)));
    }
}

static void unknown_fields_pass_through_an_older_program(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(tz_record_decode(&older, BYTES(filled), &x->arena, &x->r, NULL), 0);
    assert_int_equal(x->r.v[0].i, -1);
    assert_true(tz_bytes_eq(x->r.extra, BYTES("\x0A\x02"
                                              "ab\x20\x02\xE2\x12\x01z")));
    assert_int_equal(tz_record_encode(&x->r, &x->out), 0);
    assert_true(tz_bytes_eq(tz_buf_unread(&x->out), BYTES(filled)));

    tz_buf_clear(&x->out);
    x->r.v[0] = tz_value_null();
    assert_int_equal(tz_record_encode(&x->r, &x->out), 0); /* and keep their place when a known one goes */
    assert_int_equal(tz_buf_unread(&x->out).n, sizeof filled - 1 - 2);
    assert_int_equal(tz_record_decode(&sample, tz_buf_unread(&x->out), &x->arena, &x->r, NULL), 0);
}

static void extra_that_clashes_is_refused(void **state)
{
    struct fixture *x = *state;
    tz_record_init(&x->r, &sample);
    static const struct tz_bytes bad[] = {
        {(const uint8_t *)"\x18\x01", 2},             /* a field the type knows */
        {(const uint8_t *)"\x30\x01\x28\x01", 4},     /* descending */
        {(const uint8_t *)"\x28", 1},                 /* truncated */
        {(const uint8_t *)"\x2D\x01\x01\x01\x01", 5}, /* fixed32 */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        x->r.extra = bad[i];
        assert_int_equal(tz_record_encode(&x->r, &x->out), TZ_E_FORMAT);
        assert_int_equal(tz_buf_unread(&x->out).n, 0);
    }
}

static void value_of_another_kind_is_refused(void **state)
{
    struct fixture *x = *state;
    fill(&x->r);
    x->r.v[F_COUNT] = tz_value_text("7");
    assert_int_equal(tz_record_encode(&x->r, &x->out), TZ_E_FORMAT);
    assert_int_equal(tz_buf_unread(&x->out).n, 0);
}

static void row_cap_is_exact(void **state)
{
    struct fixture *x = *state;
    static uint8_t text[TZ_ROW_BYTES_MAX + 1];
    memset(text, 'x', sizeof text);
    tz_record_init(&x->r, &sample);
    assert_int_equal(tz_buf_puts(&x->out, "before"), 0);
    x->r.v[F_NAME] = tz_value_textn(text, TZ_ROW_BYTES_MAX - 4); /* key 1, length 3 */
    assert_int_equal(tz_record_encode(&x->r, &x->out), 0);
    tz_buf_consume(&x->out, 6);
    assert_int_equal(tz_buf_unread(&x->out).n, TZ_ROW_BYTES_MAX);
    assert_int_equal(tz_record_decode(&sample, tz_buf_unread(&x->out), &x->arena, &x->r, NULL), 0);
    tz_buf_clear(&x->out);
    assert_int_equal(tz_buf_puts(&x->out, "before"), 0);
    x->r.v[F_NAME] = tz_value_textn(text, TZ_ROW_BYTES_MAX - 3);
    assert_int_equal(tz_record_encode(&x->r, &x->out), TZ_E_LIMIT);
    assert_true(tz_bytes_eq(tz_buf_unread(&x->out), tz_bytes_str("before")));
    struct tz_bytes big = tz_bytes_of(text, sizeof text);
    assert_int_equal(tz_record_decode(&sample, big, &x->arena, &x->r, NULL), TZ_E_LIMIT);
}

static void spent_arena_and_full_buffer_are_limits(void **state)
{
    struct fixture *x = *state;
    struct tz_arena none;
    struct tz_buf small;
    tz_arena_init(&none, 0);
    assert_int_equal(tz_record_decode(&older, BYTES(filled), &none, &x->r, NULL), TZ_E_LIMIT);
    fill(&x->r);
    for (size_t n = 0; n < sizeof filled - 1; n++) {
        tz_buf_init(&small, n);
        assert_int_equal(tz_record_encode(&x->r, &small), TZ_E_LIMIT);
        assert_int_equal(tz_buf_unread(&small).n, 0);
        tz_buf_deinit(&small);
    }
}

static void wire_fields_are_iterated(void **state)
{
    (void)state;
    struct tz_wire_iter it = {BYTES("\x08\x96\x01\x12\x02hi\x1D\x01\0\0\0\x21\x02\0\0\0\0\0\0\0\x08\x80\x00")};
    struct tz_wire_field f;
    static const uint32_t numbers[] = {1, 2, 3, 4, 1};
    static const uint64_t varints[] = {150, 0, 1, 2, 0};
    static const size_t sizes[] = {3, 4, 5, 9, 3};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(tz_wire_next(&it, &f), 1);
        assert_int_equal(f.number, numbers[i]);
        assert_int_equal(f.varint, varints[i]);
        assert_int_equal(f.raw.n, sizes[i]);
    }
    assert_int_equal(tz_wire_next(&it, &f), 0);
    it.rest = BYTES("\x0B\x0C");
    assert_int_equal(tz_wire_next(&it, &f), TZ_E_FORMAT);
}

/* ---- wire check ---- */

static const struct tz_wire_schema tree;
static const struct tz_wire_schema leaf = {
    "leaf", (const struct tz_wire_rule[]){{.number = 1, .wire_type = 0, .count_max = 1}}, 1};
static const struct tz_wire_rule tree_rules[] = {
    {.number = 1, .wire_type = 0, .count_max = 1},
    {.number = 2, .wire_type = 2, .count_max = 2, .bytes_max = 8, .utf8 = true},
    {.number = 3, .wire_type = 2, .count_max = 4, .bytes_max = 100, .packed = true},
    {.number = 4, .wire_type = 2, .count_max = 3, .bytes_max = 1000, .sub = &tree},
    {.number = 5, .wire_type = 2, .count_max = 1, .bytes_max = 10, .sub = &leaf},
    {.number = 6, .wire_type = 2, .count_max = 1, .bytes_max = 3},
};
static const struct tz_wire_schema tree = {"tree", tree_rules, sizeof tree_rules / sizeof tree_rules[0]};

static void wire_check_judges_each_rule(void **state)
{
    (void)state;
    static const struct {
        int rc;
        const char *p;
        size_t n;
    } cases[] = {
#define CASE(rc, literal) {rc, literal, sizeof literal - 1}
        CASE(0, ""),
        CASE(0, "\x08\x01"),
        CASE(0, "\x12\x02hi\x08\x01\x12\x00"), /* any order, empty text */
        CASE(0, "\x08\x80\x00"),               /* protobuf allows long varints */
        CASE(TZ_E_LIMIT, "\x08\x01\x08\x01"),  /* singular twice */
        CASE(TZ_E_FORMAT, "\x0A\x01x"),        /* wire type differs */
        CASE(TZ_E_FORMAT, "\x10\x01"),
        CASE(0, "\x12\x08xxxxxxxx"),
        CASE(TZ_E_LIMIT, "\x12\x09xxxxxxxxx"),
        CASE(TZ_E_LIMIT, "\x12\x01x\x12\x01x\x12\x01x"),
        CASE(TZ_E_FORMAT, "\x12\x01\xFF"),  /* not UTF-8 */
        CASE(TZ_E_FORMAT, "\x12\x02x\x00"), /* NUL in text */
        CASE(0, "\x12\x03\xE4\xB8\xAD"),
        CASE(0, "\x1A\x05\x01\x02\x03\x80\x01"),
        CASE(0, "\x1A\x02\x01\x02\x1A\x02\x03\x04"), /* packed in pieces: elements add up */
        CASE(TZ_E_LIMIT, "\x1A\x02\x01\x02\x1A\x03\x03\x04\x05"),
        CASE(TZ_E_FORMAT, "\x1A\x02\x01\x80"), /* last element cut */
        CASE(TZ_E_FORMAT, "\x18\x01"),         /* unpacked where packed is due */
        CASE(0, "\x22\x00\x22\x04\x08\x01\x22\x00\x22\x00"),
        CASE(TZ_E_LIMIT, "\x22\x00\x22\x00\x22\x00\x22\x00"),
        CASE(TZ_E_LIMIT, "\x22\x04\x08\x01\x08\x01"), /* counts are per message */
        CASE(TZ_E_FORMAT, "\x22\x02\x0A\x00"),
        CASE(TZ_E_LIMIT, "\x2A\x04\x08\x01\x08\x01"),
        CASE(0, "\x32\x03\xFF\x00\xFF"),                   /* bytes are not text */
        CASE(0, "\x38\x01\x42\x02hi\x4D\x01\x01\x01\x01"), /* unknown */
        CASE(TZ_E_FORMAT, "\x3B\x3C"),                     /* unknown group */
        CASE(TZ_E_FORMAT, "\x3E\x01"),                     /* no such wire type */
        CASE(TZ_E_FORMAT, "\x12\x05hi"),                   /* cut */
        CASE(TZ_E_FORMAT, "\x22\x05\x08\x01"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tz_err err = {0};
        int rc = tz_wire_check(&tree, tz_bytes_of(cases[i].p, cases[i].n), &err);
        if (rc != cases[i].rc || err.code != rc)
            fail_msg("case %zu: %d, not %d (%s)", i, rc, cases[i].rc, err.args[0]);
    }
}

/* @depth messages, each inside the one before. */
static int check_nested(size_t depth)
{
    uint8_t bytes[64] = {0};
    for (size_t i = 0; i + 1 < depth; i++) {
        bytes[2 * i] = 0x22;
        bytes[2 * i + 1] = (uint8_t)(2 * (depth - 2 - i));
    }
    return tz_wire_check(&tree, tz_bytes_of(bytes, 2 * (depth - 1)), NULL);
}

static void nesting_stops_at_the_depth_limit(void **state)
{
    (void)state;
    assert_int_equal(check_nested(1), 0);
    assert_int_equal(check_nested(TZ_WIRE_DEPTH_MAX), 0);
    assert_int_equal(check_nested(TZ_WIRE_DEPTH_MAX + 1), TZ_E_LIMIT);
    assert_int_equal(check_nested(30), TZ_E_LIMIT);
}

static void unknown_fields_are_counted(void **state)
{
    (void)state;
    uint8_t bytes[2 * 65];
    for (size_t i = 0; i < 65; i++) {
        bytes[2 * i] = 0x78;
        bytes[2 * i + 1] = 1;
    }
    assert_int_equal(tz_wire_check(&tree, tz_bytes_of(bytes, 2 * 64), NULL), 0);
    assert_int_equal(tz_wire_check(&tree, tz_bytes_of(bytes, 2 * 65), NULL), TZ_E_LIMIT);
}

static void error_names_the_message_and_field(void **state)
{
    (void)state;
    struct tz_err err = {0};
    assert_int_equal(tz_wire_check(&tree, BYTES("\x2A\x02\x0A\x00"), &err), TZ_E_FORMAT);
    assert_string_equal(err.args[0], "leaf field 1");
}

static void zigzag_is_its_own_inverse(void **state)
{
    (void)state;
    assert_int_equal(tz_zigzag(0), 0);
    assert_int_equal(tz_zigzag(-1), 1);
    assert_int_equal(tz_zigzag(1), 2);
    assert_true(tz_zigzag(INT64_MIN) == UINT64_MAX);
    assert_true(tz_unzigzag(UINT64_MAX) == INT64_MIN);
    assert_true(tz_unzigzag(tz_zigzag(INT64_MAX)) == INT64_MAX);
}

static void utf8_is_judged_as_a_whole(void **state)
{
    (void)state;
    assert_true(tz_utf8_valid(tz_bytes_of(NULL, 0)));
    assert_true(tz_utf8_valid(tz_bytes_str("党建 ok")));
    assert_true(tz_utf8_valid(tz_bytes_of("a\0b", 3)));
    assert_false(tz_utf8_valid(tz_bytes_of("党建", 5)));
    assert_false(tz_utf8_valid(tz_bytes_str("a\xC0\x80")));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_new, fixture_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(encoding_is_as_documented),
        TEST(decoded_record_equals_the_encoded_one),
        TEST(integers_survive_at_their_bounds),
        TEST(empty_record_is_no_bytes),
        TEST(other_spellings_are_refused),
        TEST(neighbours_of_reserved_numbers_are_fields),
        TEST(every_truncation_decodes_to_its_own_bytes_or_is_refused),
        TEST(unknown_fields_pass_through_an_older_program),
        TEST(extra_that_clashes_is_refused),
        TEST(value_of_another_kind_is_refused),
        TEST(row_cap_is_exact),
        TEST(spent_arena_and_full_buffer_are_limits),
        cmocka_unit_test(wire_fields_are_iterated),
        cmocka_unit_test(wire_check_judges_each_rule),
        cmocka_unit_test(nesting_stops_at_the_depth_limit),
        cmocka_unit_test(unknown_fields_are_counted),
        cmocka_unit_test(error_names_the_message_and_field),
        cmocka_unit_test(zigzag_is_its_own_inverse),
        cmocka_unit_test(utf8_is_judged_as_a_whole),
    };
    return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
