/* SPDX-License-Identifier: Apache-2.0 */

/* Whatever a hostile peer does to the bytes of a message is an error: not a crash, not a large allocation. */

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdlib.h>
#include <string.h>

#include "msg_samples.h"

/* A copy of exactly @n bytes, so that the sanitizer sees a read past the end. */
static int read_exact(const struct message *m, const uint8_t *p, size_t n)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);
    assert_non_null(copy);
    memcpy(copy, p, n);
    tz_arena_reset(&arena);
    int rc = m->read(tz_bytes_of(copy, n));
    free(copy);
    return rc;
}

static void truncated_anywhere_is_read_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < NMESSAGES; i++) {
        tz_buf_clear(&out);
        assert_int_equal(messages[i].put(), 0);
        assert_int_equal(read_exact(&messages[i], out.p, out.len), 0);
        for (size_t n = 0; n < out.len; n++) {
            int rc = read_exact(&messages[i], out.p, n);
            assert_true(rc == 0 || rc == TZ_E_FORMAT);
        }
        assert_int_equal(read_exact(&messages[i], out.p, out.len - 1), TZ_E_FORMAT);
    }
}

static void flipped_bytes_are_read_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < NMESSAGES; i++) {
        tz_buf_clear(&out);
        assert_int_equal(messages[i].put(), 0);
        for (size_t at = 0; at < out.len; at++)
            for (unsigned bit = 0; bit < 8; bit++) {
                out.p[at] ^= (uint8_t)(1U << bit);
                int rc = read_exact(&messages[i], out.p, out.len);
                assert_true(rc == 0 || rc == TZ_E_FORMAT || rc == TZ_E_LIMIT);
                out.p[at] ^= (uint8_t)(1U << bit);
            }
    }
}

static void a_full_output_is_left_as_it_was(void **state)
{
    (void)state;
    for (size_t i = 0; i < NMESSAGES; i++) {
        tz_buf_clear(&out);
        assert_int_equal(messages[i].put(), 0);
        size_t n = out.len;
        tz_buf_deinit(&out);
        for (size_t max = 0; max < n; max++) {
            tz_buf_init(&out, max + 3);
            assert_int_equal(tz_buf_puts(&out, "abc"), 0);
            assert_int_equal(messages[i].put(), TZ_E_LIMIT);
            assert_int_equal(out.len, 3);
            tz_buf_deinit(&out);
        }
        tz_buf_init(&out, OUT_MAX);
    }
}

static void writing_behind_consumed_bytes_keeps_the_unread_part(void **state)
{
    (void)state;
    for (size_t i = 0; i < NMESSAGES; i++) {
        tz_buf_clear(&out);
        assert_int_equal(messages[i].put(), 0);
        size_t n = out.len;
        uint8_t *want = malloc(n);
        assert_non_null(want);
        memcpy(want, out.p, n);
        tz_buf_deinit(&out);
        tz_buf_init(&out, OUT_MAX);
        uint8_t junk[60] = {0};
        assert_int_equal(tz_buf_put(&out, junk, sizeof(junk)), 0);
        tz_buf_consume(&out, 29);
        assert_int_equal(messages[i].put(), 0);
        struct tz_bytes unread = tz_buf_unread(&out);
        assert_int_equal(unread.n, 31 + n);
        assert_int_equal(memcmp(unread.p + 31, want, n), 0);
        free(want);
    }
}

static void an_unknown_field_is_skipped(void **state)
{
    (void)state;
    for (size_t i = 0; i < NMESSAGES; i++) {
        tz_buf_clear(&out);
        assert_int_equal(messages[i].put(), 0);
        assert_int_equal(tz_wire_put_bytes(&out, 1000, tz_bytes_str("from a later version")), 0);
        assert_int_equal(read_exact(&messages[i], out.p, out.len), 0);
    }
}

static void groups_are_refused(void **state)
{
    (void)state;
    static uint8_t bomb[64 * 1024];
    memset(bomb, 0x0B, sizeof(bomb)); /* field 1, start group */
    for (size_t i = 0; i < NMESSAGES; i++)
        assert_int_equal(read_exact(&messages[i], bomb, sizeof(bomb)), TZ_E_FORMAT);
}

/* 64 KiB of field 11 (ops), each holding the next, as deep as the bytes allow. */
static size_t nested(uint8_t *p, size_t size, uint32_t number)
{
    size_t at = size;
    for (size_t body = 0; at > 8; body = size - at) {
        uint8_t head[8];
        size_t n = 0;
        head[n++] = (uint8_t)(number << 3 | 2);
        for (; body > 0x7F; body >>= 7)
            head[n++] = (uint8_t)(body | 0x80);
        head[n++] = (uint8_t)body;
        at -= n;
        memcpy(p + at, head, n);
    }
    memmove(p, p + at, size - at);
    return size - at;
}

static void deep_nesting_costs_no_stack_and_little_memory(void **state)
{
    (void)state;
    static uint8_t bomb[64 * 1024];
    for (uint32_t number = 1; number <= 13; number++) {
        size_t n = nested(bomb, sizeof(bomb), number);
        for (size_t i = 0; i < NMESSAGES; i++) {
            int rc = read_exact(&messages[i], bomb, n);
            assert_true(rc == 0 || rc == TZ_E_FORMAT || rc == TZ_E_LIMIT);
            assert_true(arena.used_bytes < 256 * 1024);
        }
    }
}

/* ---- what is refused ---- */

/* @count empty occurrences of length-delimited field @number behind what is in @out. */
static void repeat_field(uint32_t number, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(tz_wire_put_bytes(&out, number, (struct tz_bytes){NULL, 0}), 0);
}

static void too_many_elements_are_refused_before_unpacking(void **state)
{
    (void)state;
    static const struct {
        int (*read)(struct tz_bytes in);
        uint32_t number;
        size_t max;
    } lists[] = {
        {read_welcome, 11, TZ_MSG_AREAS_MAX},       {read_welcome, 13, TZ_MSG_USERS_MAX},
        {read_welcome, 21, TZ_MSG_LOST_RANGES_MAX}, {read_error, 2, TZ_ERR_ARGS_MAX},
        {read_push, 1, TZ_MSG_CHANGESETS_MAX},      {read_results, 1, TZ_MSG_RESULTS_MAX},
        {read_pull, 1, TZ_MSG_CURSORS_MAX},         {read_rows, 1, TZ_MSG_ROWS_MAX},
        {read_rows, 2, TZ_MSG_CURSORS_MAX},         {read_changeset, 11, TZ_CHANGESET_OPS_MAX},
        {read_result, 8, TZ_CHANGESET_OPS_MAX},     {read_result, 6, TZ_RESULT_ARGS_MAX},
    };
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        tz_buf_clear(&out);
        repeat_field(lists[i].number, lists[i].max);
        assert_int_not_equal(lists[i].read(tz_buf_unread(&out)), TZ_E_LIMIT);
        repeat_field(lists[i].number, 1);
        tz_arena_deinit(&arena);
        assert_int_equal(lists[i].read(tz_buf_unread(&out)), TZ_E_LIMIT);
        assert_int_equal(arena.used_bytes, 0);
    }
}

static void a_single_field_twice_is_refused(void **state)
{
    (void)state;
    repeat_field(2, 2);
    assert_int_equal(read_hello(tz_buf_unread(&out)), TZ_E_LIMIT);
}

static void too_many_lost_seqs_are_refused(void **state)
{
    (void)state;
    uint64_t *seqs = calloc(TZ_MSG_LOST_MAX + 1, sizeof(*seqs));
    assert_non_null(seqs);
    struct tz_msg_hello m = {.lost_seqs = seqs, .nlost = TZ_MSG_LOST_MAX}, r;
    assert_int_equal(tz_msg_put_hello(&out, &m), 0);
    assert_int_equal(tz_msg_read_hello(tz_buf_unread(&out), &arena, &r, &err), 0);
    assert_int_equal(r.nlost, TZ_MSG_LOST_MAX);
    size_t n = out.len;
    m.nlost++;
    assert_int_equal(tz_msg_put_hello(&out, &m), TZ_E_LIMIT);
    assert_int_equal(out.len, n);
    free(seqs);
}

static void long_texts_and_bytes_are_refused_both_ways(void **state)
{
    (void)state;
    char text[TZ_REASON_CHARS_MAX * 4 + 2];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    struct tz_changeset c = a_changeset();
    c.reason = text;
    assert_int_equal(tz_msg_put_changeset(&out, &c), TZ_E_LIMIT);
    text[sizeof(text) - 2] = '\0';
    assert_int_equal(tz_msg_put_changeset(&out, &c), 0);
    tz_buf_clear(&out);
    text[257] = '\0';
    struct tz_msg_hello m = {.software = text};
    assert_int_equal(tz_msg_put_hello(&out, &m), TZ_E_LIMIT);
    assert_int_equal(tz_wire_put_bytes(&out, 2, tz_bytes_str(text)), 0);
    assert_int_equal(read_hello(tz_buf_unread(&out)), TZ_E_LIMIT);
}

static void text_must_be_utf8_without_nul(void **state)
{
    (void)state;
    static const struct tz_bytes bad[] = {
        {(const uint8_t *)"\xff", 1}, {(const uint8_t *)"\xed\xa0\x80", 3}, {(const uint8_t *)"a\0b", 3}};
    for (size_t i = 0; i < 3; i++) {
        tz_buf_clear(&out);
        assert_int_equal(tz_wire_put_bytes(&out, 2, bad[i]), 0);
        assert_int_equal(read_hello(tz_buf_unread(&out)), TZ_E_FORMAT);
        assert_int_equal(read_error(tz_buf_unread(&out)), TZ_E_FORMAT);
    }
}

static void ids_and_hashes_have_one_length(void **state)
{
    (void)state;
    uint8_t zeros[64] = {0};
    for (size_t n = 0; n <= 40; n++) {
        tz_buf_clear(&out);
        assert_int_equal(tz_wire_put_bytes(&out, 3, tz_bytes_of(zeros, n)), 0);
        assert_int_equal(read_checkpoint(tz_buf_unread(&out)) == 0, n == 0 || n == 32);
        tz_buf_clear(&out);
        assert_int_equal(tz_wire_put_bytes(&out, 8, tz_bytes_of(zeros, n)), 0);
        assert_int_equal(read_hello(tz_buf_unread(&out)) == 0, n == 0 || n == 32);
        assert_int_equal(read_enrolled(tz_buf_unread(&out)) == 0, n == 16);
        tz_buf_clear(&out);
        uint8_t row[64] = {2 << 3 | 2, (uint8_t)n};
        assert_int_equal(tz_wire_put_bytes(&out, 1, tz_bytes_of(row, n + 2)), 0);
        assert_int_equal(read_rows(tz_buf_unread(&out)) == 0, n == 16);
        tz_buf_clear(&out);
        uint8_t op[64] = {1 << 3 | 0, TZ_OP_DELETE, 3 << 3 | 2, (uint8_t)n};
        uint8_t head[] = {1 << 3 | 0, 1, 5 << 3 | 2, 16};
        assert_int_equal(tz_buf_put(&out, head, sizeof(head)), 0);
        assert_int_equal(tz_buf_put(&out, zeros, 16), 0);
        assert_int_equal(tz_wire_put_bytes(&out, 11, tz_bytes_of(op, n + 4)), 0);
        assert_int_equal(read_changeset(tz_buf_unread(&out)) == 0, n == 0 || n == 16);
    }
}

static void a_row_without_id_is_refused(void **state)
{
    (void)state;
    static const uint8_t row[] = {1 << 3 | 0, 5};
    assert_int_equal(tz_wire_put_bytes(&out, 1, tz_bytes_of(row, sizeof(row))), 0);
    assert_int_equal(read_rows(tz_buf_unread(&out)), TZ_E_FORMAT);
}

static void areas_are_digits_of_one_length(void **state)
{
    (void)state;
    static const struct {
        uint32_t number;
        const char *text;
        int rc;
    } tries[] = {{1, "", 0},
                 {1, "120104", 0},
                 {1, "12010", TZ_E_FORMAT},
                 {1, "12010a", TZ_E_FORMAT},
                 {2, "", 0},
                 {2, "120104001", 0},
                 {2, "12010400", TZ_E_FORMAT},
                 {2, "12010400/", TZ_E_FORMAT},
                 {1, "1201041", TZ_E_LIMIT}};
    for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
        struct tz_buf area;
        tz_buf_init(&area, 64);
        assert_int_equal(tz_wire_put_bytes(&area, tries[i].number, tz_bytes_str(tries[i].text)), 0);
        tz_buf_clear(&out);
        assert_int_equal(tz_wire_put_bytes(&out, 1, tz_buf_unread(&area)), 0);
        assert_int_equal(read_pull(tz_buf_unread(&out)), tries[i].rc);
        tz_buf_clear(&out);
        assert_int_equal(tz_wire_put_bytes(&out, 11, tz_buf_unread(&area)), 0);
        assert_int_equal(read_welcome(tz_buf_unread(&out)), tries[i].rc);
        tz_buf_deinit(&area);
    }
}

static void a_lost_range_without_versions_is_refused(void **state)
{
    (void)state;
    const struct tz_lost_range bad[] = {{7, 7, 2}, {8, 7, 2}, {7, UINT64_C(1) << 63, 2}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct tz_msg_welcome m = {.protocol = 1, .lost = &bad[i], .nlost = 1};
        tz_buf_clear(&out);
        assert_int_equal(tz_msg_put_welcome(&out, &m), 0);
        assert_int_equal(read_welcome(tz_buf_unread(&out)), TZ_E_FORMAT);
    }
}

static void enums_out_of_range_are_refused(void **state)
{
    (void)state;
    struct tz_changeset c = a_changeset();
    ops[1].kind = (enum tz_op_kind)14;
    assert_int_equal(tz_msg_put_changeset(&out, &c), 0);
    assert_int_equal(read_changeset(tz_buf_unread(&out)), TZ_E_FORMAT);
    tz_buf_clear(&out);
    c = a_changeset();
    ops[1].kind = TZ_OP_NONE;
    assert_int_equal(tz_msg_put_changeset(&out, &c), 0);
    assert_int_equal(read_changeset(tz_buf_unread(&out)), TZ_E_FORMAT);
    tz_buf_clear(&out);
    c = a_changeset();
    ops[0].choice = (enum tz_choice)4;
    assert_int_equal(tz_msg_put_changeset(&out, &c), 0);
    assert_int_equal(read_changeset(tz_buf_unread(&out)), TZ_E_FORMAT);
    tz_buf_clear(&out);
    struct tz_result r = a_result();
    r.outcome = (enum tz_outcome)8;
    assert_int_equal(tz_msg_put_result(&out, &r), 0);
    assert_int_equal(read_result(tz_buf_unread(&out)), TZ_E_FORMAT);
    tz_buf_clear(&out);
    struct tz_msg_rows m = a_rows();
    rows[0].state = (enum tz_row_state)3;
    assert_int_equal(tz_msg_put_rows(&out, &m), 0);
    assert_int_equal(read_rows(tz_buf_unread(&out)), TZ_E_FORMAT);
}

static void another_changeset_format_is_refused(void **state)
{
    (void)state;
    assert_int_equal(put_changeset(), 0);
    assert_int_equal(out.p[0], 1 << 3);
    out.p[1] = 2;
    assert_int_equal(read_changeset(tz_buf_unread(&out)), TZ_E_FORMAT);
}

static void op_counts_are_bounded(void **state)
{
    (void)state;
    struct tz_op *many = calloc(TZ_CHANGESET_OPS_MAX + 1, sizeof(*many));
    assert_non_null(many);
    for (size_t i = 0; i <= TZ_CHANGESET_OPS_MAX; i++)
        many[i] = (struct tz_op){.kind = TZ_OP_DELETE, .id = an_id((uint8_t)i)};
    struct tz_changeset c = {.ops = many, .nops = TZ_CHANGESET_OPS_MAX}, r;
    assert_int_equal(tz_msg_put_changeset(&out, &c), 0);
    assert_int_equal(tz_msg_read_changeset(tz_buf_unread(&out), &arena, &r, &err), 0);
    assert_int_equal(r.nops, TZ_CHANGESET_OPS_MAX);
    c.nops++;
    assert_int_equal(tz_msg_put_changeset(&out, &c), TZ_E_LIMIT);
    tz_buf_clear(&out);
    c.independent = true;
    c.nops = TZ_INDEPENDENT_OPS_MAX;
    assert_int_equal(tz_msg_put_changeset(&out, &c), 0);
    assert_int_equal(read_changeset(tz_buf_unread(&out)), 0);
    c.nops++;
    tz_buf_clear(&out);
    assert_int_equal(tz_msg_put_changeset(&out, &c), TZ_E_LIMIT);
    free(many);
}

static void a_changeset_over_256_kib_is_refused(void **state)
{
    (void)state;
    static uint8_t body[100 * 1024];
    struct tz_op three[3] = {{.kind = TZ_OP_SET}, {.kind = TZ_OP_SET}, {.kind = TZ_OP_SET}};
    for (size_t i = 0; i < 3; i++)
        three[i].values = tz_bytes_of(body, sizeof(body));
    struct tz_changeset c = {.ops = three, .nops = 2};
    assert_int_equal(tz_msg_put_changeset(&out, &c), 0);
    assert_int_equal(read_changeset(tz_buf_unread(&out)), 0);
    tz_buf_clear(&out);
    c.nops = 3;
    assert_int_equal(tz_msg_put_changeset(&out, &c), TZ_E_LIMIT);
    static uint8_t large[TZ_CHANGESET_BYTES_MAX + 1];
    assert_int_equal(read_changeset(tz_bytes_of(large, sizeof(large))), TZ_E_LIMIT);
}

/* 130 000 empty elements in 256 KiB: the worst a changeset can ask for. */
static void a_small_budget_turns_a_hostile_message_into_a_refusal(void **state)
{
    (void)state;
    struct tz_buf op;
    tz_buf_init(&op, 4096);
    assert_int_equal(tz_wire_put_key(&op, 1, 0), 0);
    assert_int_equal(tz_wire_put_varint(&op, TZ_OP_ADD), 0);
    for (size_t i = 0; i < TZ_OP_ELEMENTS_MAX; i++)
        assert_int_equal(tz_wire_put_bytes(&op, 9, (struct tz_bytes){NULL, 0}), 0);
    struct tz_changeset c = {.user = an_id(1)};
    assert_int_equal(tz_msg_put_changeset(&out, &c), 0);
    while (out.len + op.len + 8 < TZ_CHANGESET_BYTES_MAX)
        assert_int_equal(tz_wire_put_bytes(&out, 11, tz_buf_unread(&op)), 0);
    tz_buf_deinit(&op);
    tz_arena_deinit(&arena);
    tz_arena_init(&arena, 1024 * 1024);
    assert_int_equal(read_changeset(tz_buf_unread(&out)), TZ_E_LIMIT);
    assert_true(arena.used_bytes <= 1024 * 1024);
}

static void every_small_budget_is_a_clean_refusal(void **state)
{
    (void)state;
    for (size_t i = 0; i < NMESSAGES; i++) {
        tz_buf_clear(&out);
        assert_int_equal(messages[i].put(), 0);
        for (size_t budget = 0; budget < 6000; budget += 97) {
            tz_arena_deinit(&arena);
            tz_arena_init(&arena, budget);
            int rc = messages[i].read(tz_buf_unread(&out));
            assert_true(rc == 0 || rc == TZ_E_LIMIT);
        }
    }
}

static int put_and_read(const struct tz_msg_digest_request *m)
{
    struct tz_msg_digest_request r;
    tz_buf_clear(&out);
    assert_int_equal(tz_msg_put_digest_request(&out, m), 0);
    return tz_msg_read_digest_request(tz_buf_unread(&out), &r, &err);
}

static void a_digest_request_has_the_fields_of_its_round_and_no_others(void **state)
{
    (void)state;
    const struct tz_bucket_key key = {2, {"120104", ""}};
    const struct tz_msg_digest_request good[] = {{.round = TZ_DIGEST_AREAS},
                                                 {.round = TZ_DIGEST_AREAS, .after = key},
                                                 {.round = TZ_DIGEST_RANGES, .nkeys = 2, .keys = {key, key}},
                                                 {.round = TZ_DIGEST_ROWS, .nkeys = 1, .keys = {key}}};
    const struct tz_msg_digest_request bad[] = {
        {.round = (enum tz_digest_round)0},
        {.round = (enum tz_digest_round)4},
        {.round = TZ_DIGEST_AREAS, .nkeys = 1, .keys = {key}},
        {.round = TZ_DIGEST_AREAS, .after_id = an_id(1)},
        {.round = TZ_DIGEST_RANGES},
        {.round = TZ_DIGEST_RANGES, .nkeys = 1, .keys = {key}, .after = key},
        {.round = TZ_DIGEST_RANGES, .nkeys = 1, .keys = {key}, .after_id = an_id(1)},
        {.round = TZ_DIGEST_ROWS},
        {.round = TZ_DIGEST_ROWS, .nkeys = 2, .keys = {key, key}},
        {.round = TZ_DIGEST_ROWS, .nkeys = 1, .keys = {key}, .after = key}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(put_and_read(&good[i]), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(put_and_read(&bad[i]), TZ_E_FORMAT);
}

static void lists_of_the_digest_messages_are_bounded(void **state)
{
    (void)state;
    struct tz_msg_digest d;
    struct tz_msg_digest_request q;
    struct tz_msg_damage dm;
    static const uint8_t entry[] = {0x12, 2, 0x08, 1}, key[] = {0x1a, 2, 0x08, 1}, bucket[] = {0x0a, 2, 0x08, 1};
    for (size_t i = 0; i <= TZ_MSG_DIGEST_ENTRIES_MAX; i++)
        assert_int_equal(tz_buf_put(&out, entry, sizeof entry), 0);
    assert_int_equal(tz_msg_read_digest(tz_buf_unread(&out), &arena, &d, &err), TZ_E_LIMIT);
    tz_buf_clear(&out);
    for (size_t i = 0; i <= TZ_MSG_DIGEST_KEYS_MAX; i++)
        assert_int_equal(tz_buf_put(&out, key, sizeof key), 0);
    assert_int_equal(tz_msg_read_digest_request(tz_buf_unread(&out), &q, &err), TZ_E_LIMIT);
    tz_buf_clear(&out);
    for (size_t i = 0; i <= TZ_MSG_DAMAGE_BUCKETS_MAX; i++)
        assert_int_equal(tz_buf_put(&out, bucket, sizeof bucket), 0);
    assert_int_equal(tz_msg_read_damage(tz_buf_unread(&out), &dm, &err), TZ_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MSG_TEST(truncated_anywhere_is_read_or_refused),
        MSG_TEST(flipped_bytes_are_read_or_refused),
        MSG_TEST(a_full_output_is_left_as_it_was),
        MSG_TEST(writing_behind_consumed_bytes_keeps_the_unread_part),
        MSG_TEST(an_unknown_field_is_skipped),
        MSG_TEST(groups_are_refused),
        MSG_TEST(deep_nesting_costs_no_stack_and_little_memory),
        MSG_TEST(too_many_elements_are_refused_before_unpacking),
        MSG_TEST(a_single_field_twice_is_refused),
        MSG_TEST(too_many_lost_seqs_are_refused),
        MSG_TEST(long_texts_and_bytes_are_refused_both_ways),
        MSG_TEST(text_must_be_utf8_without_nul),
        MSG_TEST(ids_and_hashes_have_one_length),
        MSG_TEST(a_row_without_id_is_refused),
        MSG_TEST(areas_are_digits_of_one_length),
        MSG_TEST(a_lost_range_without_versions_is_refused),
        MSG_TEST(enums_out_of_range_are_refused),
        MSG_TEST(another_changeset_format_is_refused),
        MSG_TEST(op_counts_are_bounded),
        MSG_TEST(a_changeset_over_256_kib_is_refused),
        MSG_TEST(a_small_budget_turns_a_hostile_message_into_a_refusal),
        MSG_TEST(every_small_budget_is_a_clean_refusal),
        MSG_TEST(a_digest_request_has_the_fields_of_its_round_and_no_others),
        MSG_TEST(lists_of_the_digest_messages_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
