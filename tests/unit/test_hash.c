/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes against published vectors, and the two text codings. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "hash.h"
#include "text.h"

#include <pthread.h>
#include <string.h>

static void expect_hex(const uint8_t *p, size_t n, const char *hex)
{
    char text[129];
    assert_string_equal(tz_hex_encode(tz_bytes_of(p, n), text), hex);
}

/* FIPS 180-4 examples. */
static void sha256_matches_the_standard(void **state)
{
    (void)state;
    uint8_t d[TZ_SHA256_BYTES];
    assert_int_equal(tz_sha256(tz_bytes_of(NULL, 0), d), 0);
    expect_hex(d, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_int_equal(tz_sha256(tz_bytes_str("abc"), d), 0);
    expect_hex(d, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void incremental_equals_one_shot_and_restarts(void **state)
{
    (void)state;
    static const char text[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    struct tz_sha256 h = {0};
    uint8_t d[TZ_SHA256_BYTES];
    assert_int_equal(tz_sha256_update(&h, tz_bytes_str("x")), TZ_E_INTERNAL);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(tz_sha256_init(&h), 0);
        for (size_t i = 0; i < strlen(text); i++)
            assert_int_equal(tz_sha256_update(&h, tz_bytes_of(text + i, 1)), 0);
        assert_int_equal(tz_sha256_final(&h, d), 0);
        expect_hex(d, 32, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    }
    tz_sha256_deinit(&h);
    tz_sha256_deinit(&h);
}

/* RFC 4231, cases 1, 2 and 6 (key longer than a block). */
static void hmac_matches_rfc4231(void **state)
{
    (void)state;
    uint8_t key[131], d[TZ_SHA256_BYTES];
    memset(key, 0x0b, 20);
    assert_int_equal(tz_hmac_sha256(tz_bytes_of(key, 20), tz_bytes_str("Hi There"), d), 0);
    expect_hex(d, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_int_equal(tz_hmac_sha256(tz_bytes_str("Jefe"), tz_bytes_str("what do ya want for nothing?"), d), 0);
    expect_hex(d, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    assert_int_equal(tz_hmac_sha256(tz_bytes_of(key, sizeof key),
                                    tz_bytes_str("Test Using Larger Than Block-Size Key - Hash Key First"), d),
                     0);
    expect_hex(d, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_int_equal(tz_hmac_sha256(tz_bytes_of(NULL, 0), tz_bytes_of(NULL, 0), d), 0);
    expect_hex(d, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void *hash_on_a_thread(void *out)
{
    static const uint8_t key[32] = {1};
    *(uint64_t *)out = tz_keyed_hash64(key, tz_bytes_str("row"));
    return NULL;
}

static void keyed_hash_is_the_head_of_hmac_on_every_thread(void **state)
{
    (void)state;
    uint8_t key[32] = {1}, d[TZ_SHA256_BYTES];
    uint64_t want = 0, there = 0;
    pthread_t t;
    assert_int_equal(tz_hmac_sha256(tz_bytes_of(key, 32), tz_bytes_str("row"), d), 0);
    for (size_t i = 0; i < 8; i++)
        want = want << 8 | d[i];
    assert_int_equal(tz_keyed_hash64(key, tz_bytes_str("row")), want);
    assert_int_not_equal(tz_keyed_hash64(key, tz_bytes_str("rox")), want);
    assert_int_equal(pthread_create(&t, NULL, hash_on_a_thread, &there), 0);
    assert_int_equal(pthread_join(t, NULL), 0);
    assert_int_equal(there, want);
    key[31] = 1;
    assert_int_not_equal(tz_keyed_hash64(key, tz_bytes_str("row")), want);
}

static void secrets_compare_by_length_and_content(void **state)
{
    (void)state;
    assert_true(tz_secret_eq(tz_bytes_str("same"), tz_bytes_str("same")));
    assert_true(tz_secret_eq(tz_bytes_of(NULL, 0), tz_bytes_of(NULL, 0)));
    assert_false(tz_secret_eq(tz_bytes_str("same"), tz_bytes_str("samE")));
    assert_false(tz_secret_eq(tz_bytes_str("same"), tz_bytes_str("sam")));
}

static void random_bytes_differ(void **state)
{
    (void)state;
    uint8_t a[16], b[16];
    assert_int_equal(tz_random_bytes(a, sizeof a), 0);
    assert_int_equal(tz_random_bytes(b, sizeof b), 0);
    assert_memory_not_equal(a, b, sizeof a);
}

static void hex_round_trips_and_refuses_the_rest(void **state)
{
    (void)state;
    uint8_t out[4];
    assert_int_equal(tz_hex_decode("00fFa5", out, 3), 0);
    expect_hex(out, 3, "00ffa5");
    assert_int_equal(tz_hex_decode("00ffa", out, 3), TZ_E_FORMAT);
    assert_int_equal(tz_hex_decode("00ffa5b", out, 3), TZ_E_FORMAT);
    assert_int_equal(tz_hex_decode("00fg", out, 2), TZ_E_FORMAT);
    assert_int_equal(tz_hex_decode("", out, 1), TZ_E_FORMAT);
}

static void base32_round_trips_every_length(void **state)
{
    (void)state;
    uint8_t in[21];
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(i * 37 + 200);
    for (size_t n = 0; n <= sizeof in; n++) {
        struct tz_buf text, back;
        tz_buf_init(&text, 64);
        tz_buf_init(&back, 64);
        assert_int_equal(tz_base32_put(&text, tz_bytes_of(in, n)), 0);
        assert_int_equal(text.len, (n * 8 + 4) / 5);
        assert_int_equal(tz_base32_get(&back, tz_buf_unread(&text)), 0);
        assert_true(tz_bytes_eq(tz_buf_unread(&back), tz_bytes_of(in, n)));
        tz_buf_deinit(&text);
        tz_buf_deinit(&back);
    }
}

static void base64_is_that_of_the_rfc_and_round_trips(void **state)
{
    (void)state;
    static const char *const vectors[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"}};
    struct tz_buf b;
    tz_buf_init(&b, 64);
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        tz_buf_clear(&b);
        assert_int_equal(tz_base64_put(&b, tz_bytes_str(vectors[i][0])), 0);
        assert_true(tz_bytes_eq(tz_buf_unread(&b), tz_bytes_str(vectors[i][1])));
        tz_buf_clear(&b);
        assert_int_equal(tz_base64_get(&b, tz_bytes_str(vectors[i][1])), 0);
        assert_true(tz_bytes_eq(tz_buf_unread(&b), tz_bytes_str(vectors[i][0])));
    }
    tz_buf_deinit(&b);
}

static void base64_that_nothing_writes_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm 9", "Zm9-", "=m9v"};
    struct tz_buf b;
    tz_buf_init(&b, 64);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(tz_base64_get(&b, tz_bytes_str(bad[i])), TZ_E_FORMAT);
    tz_buf_deinit(&b);
    tz_buf_init(&b, 4);
    assert_int_equal(tz_base64_get(&b, tz_bytes_str("Zm9vYmFy")), TZ_E_LIMIT);
    tz_buf_deinit(&b);
}

static void base32_reads_what_people_write(void **state)
{
    (void)state;
    static const char *const bad[] = {"U0", "0", "00000000 0", "Z1", "00!"};
    struct tz_buf b;
    tz_buf_init(&b, 64);
    assert_int_equal(tz_base32_get(&b, tz_bytes_str("oi-L0 \n0")), 0);
    static const uint8_t want[] = {0x00, 0x42, 0x00};
    assert_int_equal(b.len, 3);
    assert_memory_equal(b.p, want, 3);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(tz_base32_get(&b, tz_bytes_str(bad[i])), TZ_E_FORMAT);
    tz_buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_matches_the_standard),
        cmocka_unit_test(incremental_equals_one_shot_and_restarts),
        cmocka_unit_test(hmac_matches_rfc4231),
        cmocka_unit_test(keyed_hash_is_the_head_of_hmac_on_every_thread),
        cmocka_unit_test(secrets_compare_by_length_and_content),
        cmocka_unit_test(random_bytes_differ),
        cmocka_unit_test(hex_round_trips_and_refuses_the_rest),
        cmocka_unit_test(base32_round_trips_every_length),
        cmocka_unit_test(base64_is_that_of_the_rfc_and_round_trips),
        cmocka_unit_test(base64_that_nothing_writes_is_refused),
        cmocka_unit_test(base32_reads_what_people_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
