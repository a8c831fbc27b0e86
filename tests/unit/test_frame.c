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

#include "frame.h"

static struct tz_bytes str(const char *s)
{
    return tz_bytes_str(s);
}

static void header_layout_is_as_documented(void **state)
{
    (void)state;
    struct tz_buf out;
    tz_buf_init(&out, 100);
    assert_int_equal(tz_frame_put(&out, 9, 0x1234, str("abc")), 0);
    assert_true(tz_bytes_eq(tz_buf_unread(&out), tz_bytes_of("\0\0\0\3\x09\0\x12\x34"
                                                             "abc",
                                                             11)));
    tz_buf_deinit(&out);
}

/* Feed @bytes in pieces of @piece and compare what comes out with the two frames of the test below. */
static void read_two(struct tz_bytes bytes, size_t piece)
{
    struct tz_frame_reader r;
    struct tz_frame f;
    unsigned got = 0;
    tz_frame_reader_init(&r, 100);
    for (size_t i = 0; i < bytes.n; i += piece) {
        size_t n = bytes.n - i < piece ? bytes.n - i : piece;
        assert_int_equal(tz_frame_feed(&r, tz_bytes_of(bytes.p + i, n)), 0);
        int rc;
        while ((rc = tz_frame_next(&r, &f)) == 1) {
            assert_int_equal(f.type, got == 0 ? 1 : 2);
            assert_int_equal(f.lane, got == 0 ? 0 : 65535);
            assert_true(tz_bytes_eq(f.body, str(got == 0 ? "first body" : "second")));
            got++;
        }
        assert_int_equal(rc, 0);
    }
    assert_int_equal(got, 2);
    assert_int_equal(tz_buf_unread(&r.buf).n, 0);
    tz_frame_reader_deinit(&r);
}

static void frames_come_out_however_the_stream_is_cut(void **state)
{
    (void)state;
    struct tz_buf out;
    tz_buf_init(&out, 1000);
    assert_int_equal(tz_frame_put(&out, 1, 0, str("first body")), 0);
    assert_int_equal(tz_frame_put(&out, 2, 65535, str("second")), 0);
    for (size_t piece = 1; piece <= tz_buf_unread(&out).n; piece++)
        read_two(tz_buf_unread(&out), piece);
    tz_buf_deinit(&out);
}

static void zero_length_frame_is_a_frame(void **state)
{
    (void)state;
    struct tz_frame_reader r;
    struct tz_frame f;
    tz_frame_reader_init(&r, 10);
    assert_int_equal(tz_frame_next(&r, &f), 0);
    assert_int_equal(tz_frame_feed(&r, tz_bytes_of("\0\0\0\0\5\0\0\1", 8)), 0);
    assert_int_equal(tz_frame_next(&r, &f), 1);
    assert_int_equal(f.type, 5);
    assert_int_equal(f.lane, 1);
    assert_int_equal(f.body.n, 0);
    assert_int_equal(tz_frame_next(&r, &f), 0);
    tz_frame_reader_deinit(&r);
    tz_frame_reader_deinit(&r);
}

static void frame_over_cap_is_refused_before_its_body(void **state)
{
    (void)state;
    struct tz_frame_reader r;
    struct tz_frame f;
    tz_frame_reader_init(&r, TZ_FRAME_BODY_MAX_ANON);
    assert_int_equal(tz_frame_feed(&r, tz_bytes_of("\0\0\x10", 3)), 0);
    assert_int_equal(tz_frame_feed(&r, tz_bytes_of("\x01", 1)), TZ_E_LIMIT); /* 4097 */
    assert_int_equal(tz_frame_next(&r, &f), TZ_E_LIMIT);
    assert_int_equal(tz_frame_feed(&r, tz_bytes_of("x", 1)), TZ_E_LIMIT); /* dead */
    tz_frame_reader_deinit(&r);
}

static void over_cap_frame_behind_a_good_one_is_refused(void **state)
{
    (void)state;
    struct tz_frame_reader r;
    struct tz_frame f;
    tz_frame_reader_init(&r, 8);
    assert_int_equal(tz_frame_feed(&r, tz_bytes_of("\0\0\0\1\1\0\0\0Z\xFF\xFF\xFF\xFF", 13)), 0);
    assert_int_equal(tz_frame_next(&r, &f), 1);
    assert_int_equal(tz_frame_next(&r, &f), TZ_E_LIMIT);
    assert_int_equal(tz_frame_next(&r, &f), TZ_E_LIMIT);
    tz_frame_reader_deinit(&r);
}

static void cap_is_exact_and_can_be_raised(void **state)
{
    (void)state;
    struct tz_frame_reader r;
    struct tz_frame f;
    struct tz_buf out;
    uint8_t *body = calloc(1, TZ_FRAME_BODY_MAX + 1);
    assert_non_null(body);
    tz_buf_init(&out, TZ_FRAME_BODY_MAX + 100);
    assert_int_equal(tz_frame_put(&out, 1, 0, tz_bytes_of(body, TZ_FRAME_BODY_MAX + 1)), TZ_E_LIMIT);
    assert_int_equal(tz_buf_unread(&out).n, 0);
    assert_int_equal(tz_frame_put(&out, 1, 0, tz_bytes_of(body, TZ_FRAME_BODY_MAX)), 0);

    tz_frame_reader_init(&r, TZ_FRAME_BODY_MAX_ANON);
    tz_frame_reader_limit(&r, TZ_FRAME_BODY_MAX);
    while (tz_buf_unread(&out).n > 0) {
        struct tz_bytes all = tz_buf_unread(&out);
        size_t n = all.n < 65536 ? all.n : 65536;
        assert_int_equal(tz_frame_next(&r, &f), 0);
        assert_int_equal(tz_frame_feed(&r, tz_bytes_of(all.p, n)), 0);
        tz_buf_consume(&out, n);
    }
    assert_int_equal(tz_frame_next(&r, &f), 1);
    assert_int_equal(f.body.n, TZ_FRAME_BODY_MAX);
    tz_frame_reader_deinit(&r);
    tz_buf_deinit(&out);
    free(body);
}

static void any_flag_bit_is_a_protocol_error(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 8; bit++) {
        struct tz_frame_reader r;
        struct tz_frame f;
        const uint8_t header[] = {0, 0, 0, 0, 1, (uint8_t)(1u << bit), 0, 0};
        tz_frame_reader_init(&r, 10);
        assert_int_equal(tz_frame_feed(&r, tz_bytes_of(header, sizeof header)), 0);
        assert_int_equal(tz_frame_next(&r, &f), TZ_E_PROTOCOL);
        assert_int_equal(tz_frame_feed(&r, tz_bytes_of(header, 1)), TZ_E_PROTOCOL);
        tz_frame_reader_deinit(&r);
    }
}

static void feeding_without_draining_ends_in_a_limit(void **state)
{
    (void)state;
    struct tz_frame_reader r;
    const uint8_t empty[TZ_FRAME_HEADER_BYTES] = {0, 0, 0, 0, 1, 0, 0, 0};
    size_t fed = 0;
    int rc;
    tz_frame_reader_init(&r, 16);
    while ((rc = tz_frame_feed(&r, tz_bytes_of(empty, sizeof empty))) == 0)
        fed += sizeof empty;
    assert_int_equal(rc, TZ_E_LIMIT);
    assert_true(fed >= TZ_FRAME_FEED_MAX && fed <= TZ_FRAME_FEED_MAX + TZ_FRAME_HEADER_BYTES + 16);
    tz_frame_reader_deinit(&r);
}

static void put_writes_a_whole_frame_or_nothing(void **state)
{
    (void)state;
    struct tz_buf out;
    tz_buf_init(&out, 10);
    assert_int_equal(tz_frame_put(&out, 1, 0, str("abc")), TZ_E_LIMIT);
    assert_int_equal(tz_buf_unread(&out).n, 0);
    assert_int_equal(tz_frame_put(&out, 1, 0, str("ab")), 0);
    tz_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_layout_is_as_documented),
        cmocka_unit_test(frames_come_out_however_the_stream_is_cut),
        cmocka_unit_test(zero_length_frame_is_a_frame),
        cmocka_unit_test(frame_over_cap_is_refused_before_its_body),
        cmocka_unit_test(over_cap_frame_behind_a_good_one_is_refused),
        cmocka_unit_test(cap_is_exact_and_can_be_raised),
        cmocka_unit_test(any_flag_bit_is_a_protocol_error),
        cmocka_unit_test(feeding_without_draining_ends_in_a_limit),
        cmocka_unit_test(put_writes_a_whole_frame_or_nothing),
    };
    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
