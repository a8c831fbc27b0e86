/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <string.h>

#include "csvread.h"

static const struct tz_csv_limits limits = {4, 16, 40};

/* Rows as "line:a|b;" so that a test reads as its expectation. */
struct seen {
    struct tz_buf text;
    size_t rows_max; /* stop with TZ_E_INTERRUPTED after so many */
    size_t rows;
};

static int row_cb(void *ctx, size_t line, const struct tz_bytes *fields, size_t n)
{
    struct seen *s = ctx;
    assert_int_equal(tz_buf_printf(&s->text, "%zu:", line), 0);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(fields[i].p[fields[i].n], 0);
        assert_int_equal(
            tz_buf_printf(&s->text, "%s%.*s", i > 0 ? "|" : "", (int)fields[i].n, (const char *)fields[i].p), 0);
    }
    assert_int_equal(tz_buf_putc(&s->text, ';'), 0);
    s->rows++;
    return s->rows_max > 0 && s->rows == s->rows_max ? TZ_E_INTERRUPTED : 0;
}

static int read_in_pieces(const char *text, size_t n, size_t piece, struct seen *s, struct tz_csv_pos *pos)
{
    struct tz_csv_reader *r = tz_csv_reader_new(&limits, row_cb, s);
    assert_non_null(r);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i += piece)
        rc = tz_csv_reader_feed(r, tz_bytes_of(text + i, n - i < piece ? n - i : piece));
    if (rc == 0)
        rc = tz_csv_reader_end(r);
    *pos = tz_csv_reader_pos(r);
    tz_csv_reader_free(r);
    return rc;
}

static void expect_rows(const char *text, const char *rows)
{
    size_t n = strlen(text);
    for (size_t piece = 1; piece <= n + 1; piece++) {
        struct seen s = {.rows_max = 0};
        struct tz_csv_pos pos;
        tz_buf_init(&s.text, 4096);
        assert_int_equal(read_in_pieces(text, n, piece, &s, &pos), 0);
        assert_int_equal(tz_buf_putc(&s.text, 0), 0);
        assert_string_equal((const char *)s.text.p, rows);
        tz_buf_deinit(&s.text);
    }
}

static void expect_error(const char *text, int rc, size_t line, size_t column)
{
    struct seen s = {.rows_max = 0};
    struct tz_csv_pos pos;
    tz_buf_init(&s.text, 4096);
    assert_int_equal(tz_csv_read(tz_bytes_str(text), &limits, row_cb, &s, &pos), rc);
    assert_int_equal(pos.line, line);
    assert_int_equal(pos.column, column);
    tz_buf_deinit(&s.text);
}

static void rows_come_out_however_the_text_is_cut(void **state)
{
    (void)state;
    expect_rows("a,b\nc,d\n", "1:a|b;2:c|d;");
    expect_rows("a,b\r\nc,d", "1:a|b;2:c|d;");
    expect_rows("a\n\n\nb\n", "1:a;4:b;");
    expect_rows("a,,\n,\n", "1:a||;2:|;");
    expect_rows("", "");
    expect_rows("天,\"津\"\n", "1:天|津;");
}

static void quotes_keep_commas_breaks_and_quotes(void **state)
{
    (void)state;
    expect_rows("\"a,\"\"b\"\"\",c\nd,e\n", "1:a,\"b\"|c;2:d|e;");
    expect_rows("\"a\nb\r\nc\",x\ny,z\n", "1:a\nb\r\nc|x;4:y|z;");
    expect_rows("\"\"\n", "1:;");
}

static void spaces_belong_to_the_field(void **state)
{
    (void)state;
    expect_rows(" a , b\t\n", "1: a | b\t;");
}

static void byte_order_mark_is_dropped_only_at_the_start(void **state)
{
    (void)state;
    expect_rows("\xEF\xBB\xBF"
                "a\n\xEF\xBB\xBF"
                "b\n",
                "1:a;2:\xEF\xBB\xBF"
                "b;");
    expect_rows("\xEF\xBB"
                "a\n",
                "1:\xEF\xBB"
                "a;");
    expect_rows("\xEF", "1:\xEF;");
}

static void bad_quotes_are_refused_where_they_stand(void **state)
{
    (void)state;
    expect_error("a,b\nc,d\"e\n", TZ_E_FORMAT, 2, 2);
    expect_error("a\n\"b\"c\n", TZ_E_FORMAT, 2, 1);
    expect_error("a\n\"b\nc", TZ_E_FORMAT, 3, 1);
}

static void every_cap_is_exact(void **state)
{
    (void)state;
    expect_rows("1,2,3,4\n", "1:1|2|3|4;");
    expect_error("1,2,3,4,5\n", TZ_E_LIMIT, 1, 5);
    expect_rows("x,1234567890123456\n", "1:x|1234567890123456;");
    expect_rows("x,\"1234567890123456\"\n", "1:x|1234567890123456;");
    expect_error("x,12345678901234567\n", TZ_E_LIMIT, 1, 2);
    expect_rows("1234567890123,1234567890123,12345678901\n", "1:1234567890123|1234567890123|12345678901;");
    expect_error("1234567890123,1234567890123,123456789012\n", TZ_E_LIMIT, 1, 3);
}

static void field_without_end_is_noticed_early(void **state)
{
    (void)state;
    struct tz_csv_reader *r = tz_csv_reader_new(&limits, row_cb, NULL);
    int rc = tz_csv_reader_feed(r, tz_bytes_str("\"begin"));
    size_t fed = 0;
    for (; rc == 0 && fed < 100; fed++)
        rc = tz_csv_reader_feed(r, tz_bytes_str(" never"));
    assert_int_equal(rc, TZ_E_LIMIT);
    assert_in_range(fed, 1, 4);
    assert_int_equal(tz_csv_reader_feed(r, tz_bytes_str("\"\n")), TZ_E_LIMIT);
    assert_int_equal(tz_csv_reader_end(r), TZ_E_LIMIT);
    tz_csv_reader_free(r);
    tz_csv_reader_free(NULL);
}

static void callback_can_stop_the_reading(void **state)
{
    (void)state;
    struct seen s = {.rows_max = 2};
    struct tz_csv_pos pos;
    tz_buf_init(&s.text, 4096);
    assert_int_equal(tz_csv_read(tz_bytes_str("a\nb\nc\n"), &limits, row_cb, &s, &pos), TZ_E_INTERRUPTED);
    assert_int_equal(s.rows, 2);
    assert_int_equal(pos.line, 2);
    assert_int_equal(pos.column, 0);
    tz_buf_deinit(&s.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_out_however_the_text_is_cut),
        cmocka_unit_test(quotes_keep_commas_breaks_and_quotes),
        cmocka_unit_test(spaces_belong_to_the_field),
        cmocka_unit_test(byte_order_mark_is_dropped_only_at_the_start),
        cmocka_unit_test(bad_quotes_are_refused_where_they_stand),
        cmocka_unit_test(every_cap_is_exact),
        cmocka_unit_test(field_without_end_is_noticed_early),
        cmocka_unit_test(callback_can_stop_the_reading),
    };
    return cmocka_run_group_tests_name("csvread", tests, NULL, NULL);
}
