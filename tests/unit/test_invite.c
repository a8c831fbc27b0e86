/* SPDX-License-Identifier: Apache-2.0 */
/* Invitation codes: what was printed reads back, every slip is found. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "invite.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static struct tz_invite sample(const char *address)
{
    struct tz_invite in = {.address = ""};
    (void)snprintf(in.address, sizeof in.address, "%s", address);
    for (size_t i = 0; i < sizeof in.pin; i++)
        in.pin[i] = (uint8_t)(i * 7 + 1);
    for (size_t i = 0; i < sizeof in.secret; i++)
        in.secret[i] = (uint8_t)(0xf0 - i);
    return in;
}

static void expect_same(const char *code, const struct tz_invite *want)
{
    struct tz_invite got;
    assert_int_equal(tz_invite_decode(code, &got), 0);
    assert_string_equal(got.address, want->address);
    assert_memory_equal(got.pin, want->pin, sizeof got.pin);
    assert_memory_equal(got.secret, want->secret, sizeof got.secret);
}

static void codes_round_trip(void **state)
{
    (void)state;
    static const char *const addresses[] = {"a:1", "127.0.0.1:7700", "[2001:db8::1]:65535", "Taizhang.example.cn:7700"};
    char code[TZ_INVITE_CODE_BYTES];
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        struct tz_invite in = sample(addresses[i]);
        assert_int_equal(tz_invite_encode(&in, code), 0);
        assert_memory_equal(code, "TZ1-", 4);
        assert_null(strpbrk(code + 4, "ILOUilou"));
        expect_same(code, &in);
    }
}

static void longest_address_fits(void **state)
{
    (void)state;
    char code[TZ_INVITE_CODE_BYTES];
    struct tz_invite in = sample("");
    memset(in.address, 'h', sizeof in.address - 1);
    memcpy(in.address + 122, ":7700", 5);
    assert_int_equal(tz_invite_encode(&in, code), 0);
    expect_same(code, &in);
}

static void case_and_white_space_do_not_matter(void **state)
{
    (void)state;
    char code[TZ_INVITE_CODE_BYTES], typed[2 * TZ_INVITE_CODE_BYTES];
    struct tz_invite in = sample("host:7700");
    assert_int_equal(tz_invite_encode(&in, code), 0);
    size_t n = 0;
    typed[n++] = '\n';
    for (const char *p = code; *p != '\0'; p++) {
        if (*p == '-' && p > code + 4)
            typed[n++] = '\n';
        char c = *p == '0' ? 'o' : *p == '1' && p > code + 3 ? 'l' : *p;
        typed[n++] = (char)tolower((unsigned char)c);
    }
    typed[n++] = ' ';
    typed[n] = '\0';
    expect_same(typed, &in);
}

static void every_single_slip_is_found(void **state)
{
    (void)state;
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    char code[TZ_INVITE_CODE_BYTES], bad[TZ_INVITE_CODE_BYTES];
    struct tz_invite in = sample("host:7700"), got;
    assert_int_equal(tz_invite_encode(&in, code), 0);
    for (size_t i = 4; code[i] != '\0'; i++) {
        if (code[i] == '-')
            continue;
        memcpy(bad, code, sizeof bad);
        bad[i] = digits[((size_t)(strchr(digits, code[i]) - digits) + 1 + i % 31) % 32];
        assert_int_equal(tz_invite_decode(bad, &got), bad[i] == code[i] ? 0 : TZ_E_INVITE);
        memcpy(bad, code, sizeof bad);
        memmove(bad + i, bad + i + 1, strlen(bad + i));
        assert_int_equal(tz_invite_decode(bad, &got), TZ_E_INVITE);
        memcpy(bad, code, sizeof bad);
        bad[i] = '\0';
        assert_int_equal(tz_invite_decode(bad, &got), TZ_E_INVITE);
        assert_string_equal(got.address, "");
    }
}

static void other_texts_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "TZ", "TZ1", "TZ1-", "TZ2-00000-00000", "hello", "TZ1-\xe4\xb8\xad"};
    struct tz_invite got;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(tz_invite_decode(bad[i], &got), TZ_E_INVITE);
}

static void addresses_that_cannot_travel_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "host", "ho st:1", "h\xc3\xb6st:1", "host:1\n"};
    char code[TZ_INVITE_CODE_BYTES];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tz_invite in = sample(bad[i]);
        assert_int_equal(tz_invite_encode(&in, code), TZ_E_INVITE);
        assert_string_equal(code, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_round_trip),
        cmocka_unit_test(longest_address_fits),
        cmocka_unit_test(case_and_white_space_do_not_matter),
        cmocka_unit_test(every_single_slip_is_found),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(addresses_that_cannot_travel_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
