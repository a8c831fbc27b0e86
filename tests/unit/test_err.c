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

#include "err.h"
#include "utf8.h"

static const int codes[] = {
#define TZ_ERROR(name, number, code, cls, exit, zh, en, next_zh, next_en) TZ_E_##name,
#include "errors.def"
#undef TZ_ERROR
};
enum { NCODES = sizeof codes / sizeof codes[0] };

static bool is_utf8(const char *s)
{
    uint32_t cp;
    for (size_t n = strlen(s), step; n > 0; s += step, n -= step) {
        step = tz_utf8_next((const uint8_t *)s, n, &cp);
        if (step == 0)
            return false;
    }
    return true;
}

static void every_code_and_symbol_is_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < NCODES; i++) {
        assert_true(codes[i] < 0);
        assert_true(tz_err_known(codes[i]));
        assert_int_equal(tz_err_info(codes[i])->code, codes[i]);
        for (size_t k = 0; k < i; k++) {
            assert_int_not_equal(codes[i], codes[k]);
            assert_string_not_equal(tz_err_info(codes[i])->symbol, tz_err_info(codes[k])->symbol);
        }
    }
}

/* A translation that forgets an argument, or invents one, shows here. */
static void both_languages_use_the_same_arguments(void **state)
{
    (void)state;
    for (size_t i = 0; i < NCODES; i++) {
        const struct tz_err_info *info = tz_err_info(codes[i]);
        for (char k = '1'; k <= '4'; k++) {
            const char mark[] = {'{', k, '}', '\0'};
            assert_int_equal(strstr(info->text[0], mark) != NULL, strstr(info->text[1], mark) != NULL);
        }
        assert_true(is_utf8(info->text[0]) && is_utf8(info->next[0]));
    }
}

static void unknown_code_is_described_as_internal(void **state)
{
    (void)state;
    assert_false(tz_err_known(-30000));
    assert_false(tz_err_known(0));
    assert_int_equal(tz_err_info(-30000)->code, TZ_E_INTERNAL);
    assert_int_equal(tz_err_info(0)->code, TZ_E_INTERNAL);
}

static void arguments_fill_the_sentence(void **state)
{
    (void)state;
    struct tz_err err = {0};
    char text[200];
    assert_int_equal(tz_err_set(&err, TZ_E_VALUE, "名称", "x{1}y", "太短", NULL), TZ_E_VALUE);
    assert_string_equal(tz_err_text(&err, TZ_LANG_EN, text, sizeof text), "名称: \"x{1}y\" is not acceptable (太短)");
    assert_string_equal(tz_err_text(&err, TZ_LANG_ZH, text, sizeof text), "名称：“x{1}y”不符合要求（太短）");
}

static void missing_arguments_print_as_question_marks(void **state)
{
    (void)state;
    struct tz_err err = {0};
    char text[200];
    tz_err_set(&err, TZ_E_VALUE, "name", NULL, "ignored after NULL", NULL);
    assert_int_equal(err.nargs, 1);
    assert_string_equal(tz_err_text(&err, TZ_LANG_EN, text, sizeof text), "name: \"?\" is not acceptable (?)");
    assert_string_equal(tz_err_text(NULL, TZ_LANG_EN, text, sizeof text), "internal error: ?");
}

static void text_is_cut_at_a_character(void **state)
{
    (void)state;
    struct tz_err err = {0};
    char text[64];
    tz_err_set(&err, TZ_E_TOO_LONG, "统一社会信用代码", "18", NULL, NULL);
    for (size_t n = 1; n < sizeof text; n++) {
        memset(text, 'x', sizeof text);
        tz_err_text(&err, TZ_LANG_ZH, text, n);
        assert_true(strlen(text) < n);
        assert_true(is_utf8(text));
    }
    assert_string_equal(tz_err_text(&err, TZ_LANG_ZH, text, 0), "");
}

static void long_argument_is_cut_at_a_character(void **state)
{
    (void)state;
    struct tz_err err = {0};
    char longer[400] = "";
    for (size_t i = 0; i + 4 < sizeof longer; i += 3)
        memcpy(longer + i, "编", 4);
    tz_err_set(&err, TZ_E_IO, longer, NULL, NULL, NULL);
    assert_int_equal(strlen(err.args[0]), (TZ_ERR_ARG_BYTES - 1) / 3 * 3);
    assert_true(is_utf8(err.args[0]));
    tz_err_setf(&err, TZ_E_IO, "a%s", longer);
    assert_int_equal(strlen(err.args[0]), 1 + (TZ_ERR_ARG_BYTES - 2) / 3 * 3);
    assert_true(is_utf8(err.args[0]));
}

static void own_argument_may_be_reused(void **state)
{
    (void)state;
    struct tz_err err = {0};
    tz_err_set(&err, TZ_E_VALUE, "one", "two", "three", NULL);
    tz_err_set(&err, TZ_E_TOO_LONG, err.args[1], err.args[0], NULL, NULL);
    assert_string_equal(err.args[0], "two");
    assert_string_equal(err.args[1], "one");
    assert_string_equal(err.args[2], "");
}

static void prefixes_read_from_the_outside_in(void **state)
{
    (void)state;
    struct tz_err err = {0};
    tz_err_set(&err, TZ_E_DB, "disk I/O error", NULL, NULL, NULL);
    tz_err_prefix(&err, "step %d", 4);
    tz_err_prefix(&err, "migrate");
    assert_int_equal(tz_err_prefix(&err, "open replica"), TZ_E_DB);
    assert_string_equal(err.trail, "open replica: migrate: step 4");
    tz_err_set(&err, TZ_E_IO, NULL, NULL, NULL, NULL);
    assert_string_equal(err.trail, "");
}

static void trail_loses_its_inner_end_when_full(void **state)
{
    (void)state;
    struct tz_err err = {.code = TZ_E_DB};
    for (int i = 0; i < 200; i++) {
        tz_err_prefix(&err, "层%d", i);
        assert_true(strlen(err.trail) < TZ_ERR_TRAIL_BYTES);
        assert_true(is_utf8(err.trail));
    }
    assert_memory_equal(err.trail, "层199: 层198: ", 16);
}

static void null_error_is_accepted(void **state)
{
    (void)state;
    assert_int_equal(tz_err_set(NULL, TZ_E_GONE, "a", NULL, NULL, NULL), TZ_E_GONE);
    assert_int_equal(tz_err_setf(NULL, TZ_E_GONE, "%d", 1), TZ_E_GONE);
    assert_int_equal(tz_err_prefix(NULL, "x"), TZ_E_INTERNAL);
}

static void utf8_is_strict(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        size_t step;
        uint32_t cp;
    } cases[] = {
        {"a", 1, 'a'},
        {"\xC2\x80", 2, 0x80},
        {"\xE4\xB8\xAD", 3, 0x4E2D},
        {"\xF4\x8F\xBF\xBF", 4, 0x10FFFF},
        {"\x80", 0, 0},
        {"\xC1\xBF", 0, 0},
        {"\xE0\x9F\xBF", 0, 0},
        {"\xED\xA0\x80", 0, 0},
        {"\xF0\x8F\xBF\xBF", 0, 0},
        {"\xF4\x90\x80\x80", 0, 0},
        {"\xF5\x80\x80\x80", 0, 0},
        {"\xE4\xB8", 0, 0},
        {"\xE4\xB8x", 0, 0},
        {"\xFF", 0, 0},
        {"", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t cp = 0;
        assert_int_equal(tz_utf8_next((const uint8_t *)cases[i].s, strlen(cases[i].s), &cp), cases[i].step);
        assert_int_equal(cp, cases[i].cp);
    }
}

static void the_next_step_is_filled_in_too(void **state)
{
    (void)state;
    struct tz_err err;
    char out[256];
    (void)tz_err_set(&err, TZ_E_UNKNOWN_FIELD, "organisation", "x", NULL, NULL);
    assert_string_equal(tz_err_next(&err, TZ_LANG_EN, out, sizeof out),
                        "Run taizhang list organisation --fields to see the fields.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_and_symbol_is_unique),
        cmocka_unit_test(both_languages_use_the_same_arguments),
        cmocka_unit_test(unknown_code_is_described_as_internal),
        cmocka_unit_test(arguments_fill_the_sentence),
        cmocka_unit_test(missing_arguments_print_as_question_marks),
        cmocka_unit_test(text_is_cut_at_a_character),
        cmocka_unit_test(long_argument_is_cut_at_a_character),
        cmocka_unit_test(own_argument_may_be_reused),
        cmocka_unit_test(prefixes_read_from_the_outside_in),
        cmocka_unit_test(trail_loses_its_inner_end_when_full),
        cmocka_unit_test(null_error_is_accepted),
        cmocka_unit_test(the_next_step_is_filled_in_too),
        cmocka_unit_test(utf8_is_strict),
    };
    return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
