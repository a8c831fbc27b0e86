/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalogue_fixture.h"

static struct tz_catalogue cat;
static struct tz_arena arena;

static int setup(void **state)
{
    (void)state;
    struct tz_err err = {0};
    tz_arena_init(&arena, 16 * 1024 * 1024);
    return catalogue_fixture_load(-1, tz_bytes_of(NULL, 0), &cat, &err);
}

static int teardown(void **state)
{
    (void)state;
    tz_catalogue_deinit(&cat);
    tz_arena_deinit(&arena);
    return 0;
}

static const struct tz_field *field(const char *name)
{
    const struct tz_field *f = tz_type_field(tz_catalogue_type(&cat, "thing"), name);
    assert_non_null(f);
    return f;
}

static struct tz_value parsed(const char *name, const char *input)
{
    struct tz_err err = {0};
    struct tz_value v;
    int rc = tz_value_parse(field(name), input, &arena, &v, &err);
    if (rc != 0)
        fail_msg("%s '%s': %d %s", name, input, rc, err.args[2]);
    assert_int_equal(tz_value_check(field(name), v, true, &err), 0); /* what parse gives is canonical */
    return v;
}

static void gives_text(const char *name, const char *input, const char *want)
{
    struct tz_value v = parsed(name, input);
    if (!tz_value_is_text(v, want))
        fail_msg("%s '%s' gave '%.*s', not '%s'", name, input, (int)v.n, (const char *)v.p, want);
}

static void gives_int(const char *name, const char *input, int64_t want)
{
    struct tz_value v = parsed(name, input);
    assert_int_equal(v.kind, TZ_V_INT);
    if (v.i != want)
        fail_msg("%s '%s' gave %lld, not %lld", name, input, (long long)v.i, (long long)want);
}

static void refused(const char *name, const char *input, int code)
{
    struct tz_err err = {0};
    struct tz_value v;
    int rc = tz_value_parse(field(name), input, &arena, &v, &err);
    if (rc != code)
        fail_msg("%s '%s' gave %d, not %d", name, input, rc, code);
    assert_non_null(strstr(err.args[0], name));
}

static void not_canonical(const char *name, struct tz_value v)
{
    struct tz_err err = {0};
    int rc = tz_value_check(field(name), v, false, &err);
    if (rc != TZ_E_VALUE && rc != TZ_E_TOO_LONG && rc != TZ_E_FORMAT)
        fail_msg("%s accepted '%.*s' %lld", name, (int)v.n, (const char *)v.p, (long long)v.i);
}

static void nothing_is_null_and_not_zero(void **state)
{
    (void)state;
    static const char *const names[] = {"name",  "members", "counted_on", "colour", "colours", "others",
                                        "price", "body",    "target_id",  "works",  "made_at", "owner"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(parsed(names[i], "").kind, TZ_V_NULL);
        assert_int_equal(parsed(names[i], " \t　\xEF\xBB\xBF").kind, TZ_V_NULL);
    }
    assert_int_equal(parsed("colours", "[]").kind, TZ_V_NULL);
    assert_false(tz_value_eq(tz_value_null(), tz_value_int(0)));
    assert_int_equal(tz_value_text("").kind, TZ_V_NULL);
    assert_int_equal(tz_value_text(NULL).kind, TZ_V_NULL);
}

static void text_is_trimmed_nfc_one_line(void **state)
{
    (void)state;
    gives_text("name", " 　天津\u00A0", "天津");
    gives_text("name", "cafe\u0301", "caf\u00E9");
    gives_text("name", "\uF900", "\u8C48"); /* a compatibility ideograph has a canonical form */
    gives_text("name", "换行\r\n公司", "换行公司");
    gives_text("name", "a\tb", "a b");
    gives_text("note", "一\r\n二\r三\n四\t五", "一\n二\n三\n四\t五");
    gives_text("name", "１０（括号）", "１０（括号）");
    refused("name", "a\x01", TZ_E_VALUE);
    refused("name", "\xC3\x28", TZ_E_VALUE);
    refused("name", "\xED\xA0\x80", TZ_E_VALUE);
}

static void length_is_counted_in_characters(void **state)
{
    (void)state;
    gives_text("name", "一二三四五六七八九十", "一二三四五六七八九十");
    gives_text("name", "\U00020BB7\U00020BB7", "\U00020BB7\U00020BB7");
    refused("name", "一二三四五六七八九十一", TZ_E_TOO_LONG);
    struct tz_err err = {0};
    struct tz_value v;
    assert_int_equal(tz_value_parse(field("name"), "12345678901", &arena, &v, &err), TZ_E_TOO_LONG);
    assert_string_equal(err.args[0], "名称 name");
    assert_string_equal(err.args[1], "10");
    char *long_text = calloc(1, TZ_TEXT_BYTES_MAX + 2);
    memset(long_text, 'x', TZ_TEXT_BYTES_MAX + 1);
    refused("note", long_text, TZ_E_TOO_LONG);
    not_canonical("note", tz_value_text(long_text));
    long_text[TZ_TEXT_BYTES_MAX] = '\0';
    assert_int_equal(parsed("note", long_text).n, TZ_TEXT_BYTES_MAX);
    free(long_text);
}

static void codes_are_exact_and_never_scientific(void **state)
{
    (void)state;
    gives_text("district_code", " １２０１０１", "120101");
    refused("district_code", "12010", TZ_E_VALUE);
    refused("district_code", "1201011", TZ_E_VALUE);
    refused("district_code", "1.2E+5", TZ_E_VALUE);
    refused("district_code", "滨海新区塘沽", TZ_E_VALUE);
    refused("name", "9.11E+17", TZ_E_VALUE);
    gives_text("name", "E+17", "E+17");
    not_canonical("district_code", tz_value_text("12010"));
    not_canonical("name", tz_value_text("9.11E+17"));
}

static void every_form_of_date_is_read(void **state)
{
    (void)state;
    static const char *const same[] = {"2017-03-05", "2017/3/5",  "2017.3.5",         "2017年3月5日",   "20170305",
                                       "42799",      "2017-3-05", "２０１７－３－５", "2017年03月05日", " 2017-03-05 "};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        gives_text("counted_on", same[i], "2017-03-05");
    gives_text("counted_on", "2017", "2017");
    gives_text("counted_on", "2017年", "2017");
    gives_text("counted_on", "2017-3", "2017-03");
    gives_text("counted_on", "2017年3月", "2017-03");
    gives_text("counted_on", "2016-02-29", "2016-02-29");
    gives_text("counted_on", "2000-02-29", "2000-02-29");
}

static void midnight_behind_a_date_is_a_spreadsheets_doing(void **state)
{
    (void)state;
    gives_text("counted_on", "2017-03-01 00:00:00", "2017-03-01");
    gives_text("counted_on", "2017/3/1 0:00", "2017-03-01");
    gives_text("counted_on", "2017-03-01T00:00:00.000", "2017-03-01");
    static const char *const bad[] = {"2017-03-01 00:00:01", "2017-03-01 8:00", "2017-03-01 0", "2017-03-01 00:00 x",
                                      " 00:00"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused("counted_on", bad[i], TZ_E_VALUE);
    not_canonical("counted_on", tz_value_text("2017-03-01 00:00:00"));
}

static void dates_that_do_not_exist_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"2017-02-29", "1900-02-29",  "2017-13-01", "2017-00-01", "2017-01-00",
                                      "2017-04-31", "0999-01-01",  "20170230",   "20170012",   "2017-3/5",
                                      "17-3-5",     "2017-03-05x", "yesterday",  "2017-",      "2017--3",
                                      "201703",     "2017年3",     "2017-03-5日"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused("counted_on", bad[i], TZ_E_VALUE);
    static const char *const loose[] = {"2017-3-5", "20170305",    "2017-02-30", "2017-3",
                                        "201",      "2017-03-05 ", "2017/03/05"};
    for (size_t i = 0; i < sizeof loose / sizeof *loose; i++)
        not_canonical("counted_on", tz_value_text(loose[i]));
}

static void date_key_orders_by_first_day_then_precision(void **state)
{
    (void)state;
    static const struct {
        const char *date;
        uint32_t key;
        unsigned precision;
    } cases[] = {
        {"2017", 20170101, 4}, {"2017-03", 20170301, 7}, {"2017-03-05", 20170305, 10}, {"", 0, 0}, {"x", 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t key = 1;
        unsigned precision = 1;
        tz_date_key(tz_value_text(cases[i].date), &key, &precision);
        assert_int_equal(key, cases[i].key);
        assert_int_equal(precision, cases[i].precision);
    }
}

static void numbers_are_exact(void **state)
{
    (void)state;
    gives_int("total", "1,200", 1200);
    gives_int("total", "１，２００", 1200);
    gives_int("total", "3.0", 3);
    gives_int("total", "35人", 35);
    gives_int("total", "0", 0);
    gives_int("total", "9007199254740991", INT64_C(9007199254740991));
    gives_int("members", "20", 20);
    gives_int("share", "78.4", 784);
    gives_int("share", "78", 780);
    gives_int("share", "12.5%", 125);
    gives_int("price", "1,234.5", 123450);
    gives_int("price", "￥12.34", 1234);
    gives_int("price", "12元", 1200);
    gives_int("price", "0.05", 5);
    gives_int("price", "1.230", 123);
    static const char *const bad_int[] = {
        "-3", "3.5", "1,2", "1,2000", "abc", "9007199254740992", "99999999999999999999", "1e3", "3.",
        ",1", "1,",  "人",  "+3",     "0x10"};
    for (size_t i = 0; i < sizeof bad_int / sizeof *bad_int; i++)
        refused("total", bad_int[i], TZ_E_VALUE);
    refused("members", "21", TZ_E_VALUE);
    refused("share", "1.23", TZ_E_VALUE);
    refused("price", "1.234", TZ_E_VALUE);
    refused("price", "90071992547409.92", TZ_E_VALUE);
    not_canonical("members", tz_value_int(21));
    not_canonical("members", tz_value_int(-1));
    not_canonical("price", tz_value_int(INT64_C(9007199254740992)));
    not_canonical("works", tz_value_int(2));
    not_canonical("total", tz_value_text("3"));
    not_canonical("name", tz_value_int(3));
}

static void yes_and_no_in_both_languages(void **state)
{
    (void)state;
    static const char *const yes[] = {"是", "有", "yes", "TRUE", "1", "１"};
    static const char *const no[] = {"否", "无", "No", "false", "0"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        gives_int("works", yes[i], 1);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        gives_int("works", no[i], 0);
    refused("works", "2", TZ_E_VALUE);
    refused("works", "也许", TZ_E_VALUE);
}

static void instants_are_utc_and_people_live_at_utc8(void **state)
{
    (void)state;
    gives_int("made_at", "1970-01-01T00:00:00Z", 0);
    gives_int("made_at", "1970-01-01T08:00:00+08:00", 0);
    gives_int("made_at", "1970-01-01 08:00", 0);
    gives_int("made_at", "1969-12-31T23:30-0030", 0);
    gives_int("made_at", "2017-03-05", INT64_C(1488643200000));
    gives_int("made_at", "2017-03-05T08:00:00Z", INT64_C(1488700800000));
    gives_int("made_at", "2017年3月5日 16:00:00.25", INT64_C(1488700800250));
    static const char *const bad[] = {"2017-03", "2017-03-05T24:00",   "2017-03-05T10:60",       "2017-03-05T1000",
                                      "10:00",   "2017-03-05T10:00+8", "2017-03-05T10:00+99:00", "2017-02-30T10:00"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused("made_at", bad[i], TZ_E_VALUE);
    not_canonical("made_at", tz_value_int(INT64_MAX));
    not_canonical("made_at", tz_value_int(INT64_MIN));
}

static void enums_take_code_or_label(void **state)
{
    (void)state;
    gives_text("colour", "red", "red");
    gives_text("colour", "红色", "red");
    gives_text("colour", "Bright Red", "red");
    gives_text("colour", " 绿色(浅)", "green");
    gives_text("colour", "old", "old");
    gives_text("colour", "绿色", "green"); /* the part before a bracket */
    gives_text("colour", "bright", "red"); /* a beginning that only one label has */
    refused("colour", "绿", TZ_E_VALUE);
    refused("colour", "红色的", TZ_E_VALUE);
    refused("colour", "蓝色", TZ_E_VALUE);
    struct tz_err err = {0};
    assert_int_equal(tz_value_check(field("colour"), tz_value_text("mauve"), true, &err), TZ_E_VALUE);
    assert_int_equal(tz_value_check(field("colour"), tz_value_text("mauve"), false, &err), 0);
    not_canonical("colour", tz_value_text("红色"));
    not_canonical("colour", tz_value_text("a b"));
}

static void sets_are_sorted_and_unique(void **state)
{
    (void)state;
    gives_text("colours", "red、green、red", "[\"green\",\"red\"]");
    gives_text("colours", "绿色（浅）;红色", "[\"green\",\"red\"]");
    gives_text("colours", "[\"red\",\"green\"]", "[\"green\",\"red\"]");
    refused("colours", "red,blue", TZ_E_VALUE);
    refused("colours", "[1]", TZ_E_VALUE);
    refused("colours", "[\"red\"", TZ_E_VALUE);
    gives_text("others", "FF0102030405060708090a0b0c0d0e0f 00010203-0405-0607-0809-0a0b0c0d0e0f",
               "[\"000102030405060708090a0b0c0d0e0f\",\"ff0102030405060708090a0b0c0d0e0f\"]");
    refused("others", "123", TZ_E_VALUE);
    static const char *const bad[] = {
        "[]",    "[\"red\",\"green\"]", "[\"red\",\"red\"]", "[\"red\", \"x\"]", "[\"red\"],", "[\"red\"", "\"red\"",
        "[red]", "[,\"red\"]",          "[\"r\\u0065d\"]",   "[\"\"]",           ",\"red\"]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        not_canonical("colours", tz_value_text(bad[i]));
    not_canonical("others", tz_value_text("[\"FF0102030405060708090A0B0C0D0E0F\"]"));
    struct tz_err err = {0};
    assert_int_equal(tz_value_check(field("colours"), tz_value_text("[\"mauve\"]"), true, &err), TZ_E_VALUE);
    assert_int_equal(tz_value_check(field("colours"), tz_value_text("[\"mauve\"]"), false, &err), 0);
}

static void sets_have_a_thousand_elements_at_most(void **state)
{
    (void)state;
    static char list[1001 * 33 + 1];
    for (unsigned i = 0; i < 1001; i++)
        (void)snprintf(list + (size_t)i * 33, 34, "%032x,", i + 1);
    refused("others", list, TZ_E_VALUE);
    list[1000 * 33] = '\0';
    struct tz_value v = parsed("others", list);
    assert_int_equal(v.n, 1000 * 35 + 1);
}

static void json_has_one_form(void **state)
{
    (void)state;
    gives_text("body", " { \"b\" : 1 , \"a\" : [ true , null , -2 ] } ", "{\"a\":[true,null,-2],\"b\":1}");
    gives_text("body", "\"\\u00e9\\/\\u001f\\n\\\"\"", "\"\u00E9/\\u001f\\n\\\"\"");
    /* the order of RFC 8785 section 3.2.3: UTF-16 units, so U+1F600 before U+FB33 */
    gives_text("body",
               "{\"\\u20ac\":1,\"\\r\":2,\"\\ufb33\":3,\"1\":4,\"\\ud83d\\ude00\":5,\"\\u0080\":6,\"\\u00f6\":7}",
               "{\"\\r\":2,\"1\":4,\"\xC2\x80\":6,\"\u00f6\":7,\"\u20ac\":1,\"\U0001F600\":5,\"\uFB33\":3}");
    gives_text("body", "{\"ab\":1,\"a\":2,\"\":3}", "{\"\":3,\"a\":2,\"ab\":1}");
    gives_text("body", "[\"cafe\u0301\",\"\uFB33\"]", "[\"cafe\u0301\",\"\uFB33\"]"); /* no NFC inside JSON */
    static const char *const bad[] = {
        "1.0",         "1e2", "{\"a\":1,\"a\":2}",   "9007199254740992", "{", "[1,]", "nul", "\"\\ud800\"",
        "\"\\u0000\"", "1 2", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused("body", bad[i], TZ_E_VALUE);
    static const char *const loose[] = {"{ }", "{\"b\":1,\"a\":2}", "[1, 2]", "\"\\u0041\"", "-0", "1.0",
                                        " 1",  "{\"a\":1}\n"};
    for (size_t i = 0; i < sizeof loose / sizeof *loose; i++)
        not_canonical("body", tz_value_text(loose[i]));
}

static void json_depth_is_bounded(void **state)
{
    (void)state;
    char text[200] = {0};
    memset(text, '[', 32);
    memset(text + 32, ']', 32);
    assert_int_equal(parsed("body", text).n, 64);
    memset(text, '[', 33);
    memset(text + 33, ']', 33);
    refused("body", text, TZ_E_VALUE);
    gives_text("body", "\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[\"",
               "\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[\"");
    static char deep[60001];
    memset(deep, '[', 60000);
    refused("body", deep, TZ_E_VALUE);
    not_canonical("body", tz_value_text(deep));
}

static void text_from_a_peer_is_not_repaired(void **state)
{
    (void)state;
    static const char *const bad[] = {" a", "a ", "a　", "a\nb", "a\tb", "cafe\u0301", "\xC3\x28", "a\x7F", "\xC2\x85"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        not_canonical("name", tz_value_text(bad[i]));
    not_canonical("note", tz_value_text("a\r\nb"));
    not_canonical("name", tz_value_textn("a\0b", 3));
    not_canonical("name", tz_value_textn("", 0));
    not_canonical("target_id", tz_value_blob("short", 5));
    not_canonical("digest", tz_value_blob("0123456789abcdef", 16));
    struct tz_err err = {0};
    assert_int_equal(tz_value_check(field("note"), tz_value_text("a\nb\tc"), true, &err), 0);
    assert_int_equal(tz_value_check(field("name"), tz_value_text("한글 caf\u00E9"), true, &err), 0);
    assert_int_equal(tz_value_check(field("target_id"), tz_value_blob("0123456789abcdef", 16), true, &err), 0);
    assert_int_equal(tz_value_check(field("name"), tz_value_null(), true, &err), 0);
}

static void secrets_are_not_repeated_in_errors(void **state)
{
    (void)state;
    struct tz_err err = {0};
    struct tz_value v;
    assert_int_equal(tz_value_parse(field("owner"), "王\x01某", &arena, &v, &err), TZ_E_VALUE);
    assert_string_equal(err.args[1], "");
    assert_int_equal(tz_value_parse(field("works"), "王某", &arena, &v, &err), TZ_E_VALUE);
    assert_string_equal(err.args[1], "王某");
}

static void expect_printed(const char *name, struct tz_value v, enum tz_lang lang, bool with_code, const char *want)
{
    struct tz_buf out;
    tz_buf_init(&out, 1000);
    assert_int_equal(tz_value_print(field(name), v, lang, with_code, &out), 0);
    assert_int_equal(tz_buf_putc(&out, 0), 0);
    assert_string_equal((const char *)out.p, want);
    tz_buf_deinit(&out);
}

static void people_see_labels_and_units(void **state)
{
    (void)state;
    expect_printed("colour", tz_value_text("red"), TZ_LANG_ZH, true, "红色 red");
    expect_printed("colour", tz_value_text("red"), TZ_LANG_EN, false, "bright red");
    expect_printed("colour", tz_value_text("mauve"), TZ_LANG_EN, true, "mauve");
    expect_printed("colours", tz_value_text("[\"green\",\"red\"]"), TZ_LANG_ZH, false, "绿色（浅）、红色");
    expect_printed("colours", tz_value_text("[\"green\",\"red\"]"), TZ_LANG_EN, true, "green green, bright red red");
    expect_printed("price", tz_value_int(123405), TZ_LANG_ZH, true, "1234.05");
    expect_printed("share", tz_value_int(784), TZ_LANG_ZH, true, "78.4");
    expect_printed("works", tz_value_int(1), TZ_LANG_ZH, true, "是");
    expect_printed("works", tz_value_int(0), TZ_LANG_EN, true, "no");
    expect_printed("made_at", tz_value_int(0), TZ_LANG_ZH, true, "1970-01-01 08:00:00");
    expect_printed("made_at", tz_value_int(-28800001), TZ_LANG_ZH, true, "1969-12-31 23:59:59.999");
    expect_printed("counted_on", tz_value_text("2017-03"), TZ_LANG_ZH, true, "2017-03");
    expect_printed("target_id", tz_value_blob("\0\1\2\3\4\5\6\7\x08\x09\x0a\x0b\x0c\x0d\x0e\xff", 16), TZ_LANG_ZH, true,
                   "000102030405060708090a0b0c0d0eff");
    expect_printed("name", tz_value_null(), TZ_LANG_ZH, true, "");
    struct tz_buf full;
    tz_buf_init(&full, 3);
    assert_int_equal(tz_value_print(field("name"), tz_value_text("天津"), TZ_LANG_ZH, false, &full), TZ_E_LIMIT);
    tz_buf_deinit(&full);
}

static void what_is_printed_can_be_typed_again(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *input;
    } cases[] = {{"price", "1234.05"},     {"share", "78.4"},
                 {"works", "是"},          {"made_at", "2017-03-05 08:00:00.120"},
                 {"colour", "红色"},       {"colours", "red green"},
                 {"total", "1,200"},       {"counted_on", "2017年3月"},
                 {"name", "天津"},         {"body", "{\"a\":[1]}"},
                 {"made_at", "1001-01-01"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tz_value v = parsed(cases[i].name, cases[i].input);
        struct tz_buf out;
        tz_buf_init(&out, 1000);
        assert_int_equal(tz_value_print(field(cases[i].name), v, TZ_LANG_ZH, false, &out), 0);
        assert_int_equal(tz_buf_putc(&out, 0), 0);
        assert_true(tz_value_eq(parsed(cases[i].name, (const char *)out.p), v));
        tz_buf_deinit(&out);
    }
}

static void dump_form_is_canonical_json(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct tz_value v;
        const char *want;
    } cases[] = {
        {"name", {.kind = TZ_V_TEXT, .p = (const uint8_t *)"天\"\\/", .n = 6}, "\"天\\\"\\\\/\""},
        {"note",
         {.kind = TZ_V_TEXT, .p = (const uint8_t *)"a\n\t\b\f\x01\x7F", .n = 7},
         "\"a\\n\\t\\b\\f\\u0001\x7F\""},
        {"total", {.kind = TZ_V_INT, .i = 5}, "5"},
        {"total", {.kind = TZ_V_NULL}, "null"},
        {"works", {.kind = TZ_V_INT, .i = 1}, "1"},
        {"colours", {.kind = TZ_V_TEXT, .p = (const uint8_t *)"[\"red\"]", .n = 7}, "[\"red\"]"},
        {"body", {.kind = TZ_V_TEXT, .p = (const uint8_t *)"{\"a\":1}", .n = 7}, "{\"a\":1}"},
        {"target_id",
         {.kind = TZ_V_BLOB, .p = (const uint8_t *)"0123456789abcdef", .n = 16},
         "\"30313233343536373839616263646566\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tz_buf out;
        tz_buf_init(&out, 1000);
        assert_int_equal(tz_value_json(field(cases[i].name), cases[i].v, &out), 0);
        assert_int_equal(tz_buf_putc(&out, 0), 0);
        assert_string_equal((const char *)out.p, cases[i].want);
        tz_buf_deinit(&out);
    }
}

static void names_compare_without_width_space_and_bracket_style(void **state)
{
    (void)state;
    static const char *const same[] = {"天津(括号)有限公司", "天津（括号）有限公司", " 天津 〔括号〕　有限公司",
                                       "天津（括号）\n有限公司"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        assert_string_equal(tz_name_fold(&arena, tz_value_text(same[i])), "天津(括号)有限公司");
    assert_string_equal(tz_name_fold(&arena, tz_value_text("ＡＢ１！cafe\u0301")), "AB1!caf\u00E9");
    assert_string_equal(tz_name_fold(&arena, tz_value_null()), "");
    struct tz_arena none;
    tz_arena_init(&none, 0);
    assert_null(tz_name_fold(&none, tz_value_text("x")));
    tz_arena_deinit(&none);
}

static void full_arena_is_a_limit_not_a_crash(void **state)
{
    (void)state;
    static const char *const names[] = {"name", "total", "counted_on", "colours", "others", "body", "target_id"};
    struct tz_arena none;
    tz_arena_init(&none, 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct tz_err err = {0};
        struct tz_value v;
        assert_true(tz_value_parse(field(names[i]), "1", &none, &v, &err) < 0);
    }
    struct tz_value copy;
    assert_false(tz_value_dup(&none, tz_value_text("x"), &copy));
    tz_arena_deinit(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_null_and_not_zero),
        cmocka_unit_test(text_is_trimmed_nfc_one_line),
        cmocka_unit_test(length_is_counted_in_characters),
        cmocka_unit_test(codes_are_exact_and_never_scientific),
        cmocka_unit_test(every_form_of_date_is_read),
        cmocka_unit_test(midnight_behind_a_date_is_a_spreadsheets_doing),
        cmocka_unit_test(dates_that_do_not_exist_are_refused),
        cmocka_unit_test(date_key_orders_by_first_day_then_precision),
        cmocka_unit_test(numbers_are_exact),
        cmocka_unit_test(yes_and_no_in_both_languages),
        cmocka_unit_test(instants_are_utc_and_people_live_at_utc8),
        cmocka_unit_test(enums_take_code_or_label),
        cmocka_unit_test(sets_are_sorted_and_unique),
        cmocka_unit_test(sets_have_a_thousand_elements_at_most),
        cmocka_unit_test(json_has_one_form),
        cmocka_unit_test(json_depth_is_bounded),
        cmocka_unit_test(text_from_a_peer_is_not_repaired),
        cmocka_unit_test(secrets_are_not_repeated_in_errors),
        cmocka_unit_test(people_see_labels_and_units),
        cmocka_unit_test(what_is_printed_can_be_typed_again),
        cmocka_unit_test(dump_form_is_canonical_json),
        cmocka_unit_test(names_compare_without_width_space_and_bracket_style),
        cmocka_unit_test(full_arena_is_a_limit_not_a_crash),
    };
    return cmocka_run_group_tests_name("value", tests, setup, teardown);
}
