/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and requests; chains in use are tested in test_tls.c. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "pki.h"

#include "hash.h"
#include "pki_fixture.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

static struct pki_fixture pki;

static int setup(void **state)
{
    (void)state;
    pki_fixture_init(&pki);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pki_fixture_deinit(&pki);
    return 0;
}

static X509 *parsed(const struct tz_buf *cert)
{
    struct tz_buf der;
    tz_buf_init(&der, TZ_PKI_PEM_MAX);
    assert_int_equal(tz_pki_cert_to_der(tz_buf_unread(cert), &der, NULL), 0);
    const unsigned char *p = der.p;
    X509 *x = d2i_X509(NULL, &p, (long)der.len);
    assert_non_null(x);
    tz_buf_deinit(&der);
    return x;
}

static void ca_may_sign_and_leaves_may_not(void **state)
{
    (void)state;
    X509 *ca = parsed(&pki.ca_cert), *server = parsed(&pki.server_cert), *device = parsed(&pki.device_cert);
    assert_int_equal(X509_check_ca(ca), 1);
    assert_int_equal(X509_get_pathlen(ca), 0);
    assert_int_equal(X509_get_key_usage(ca), KU_KEY_CERT_SIGN);
    assert_int_equal(X509_check_ca(server), 0);
    assert_int_equal(X509_check_ca(device), 0);
    assert_int_equal(X509_get_extended_key_usage(server), XKU_SSL_SERVER);
    assert_int_equal(X509_get_extended_key_usage(device), XKU_SSL_CLIENT);
    assert_int_equal(X509_verify(server, X509_get0_pubkey(ca)), 1);
    assert_int_equal(X509_verify(device, X509_get0_pubkey(ca)), 1);
    assert_int_equal(X509_check_ip_asc(server, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(server, "::1", 0), 1);
    assert_int_equal(X509_check_host(server, "localhost", 0, 0, NULL), 1);
    assert_int_not_equal(ASN1_INTEGER_cmp(X509_get0_serialNumber(server), X509_get0_serialNumber(device)), 0);
    X509_free(ca);
    X509_free(server);
    X509_free(device);
}

static void dates_are_wide(void **state)
{
    (void)state;
    X509 *x = parsed(&pki.device_cert);
    struct tm tm;
    assert_int_equal(ASN1_TIME_to_tm(X509_get0_notBefore(x), &tm), 1);
    assert_int_equal(tm.tm_year + 1900, 2000);
    assert_int_equal(ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm), 1);
    assert_int_equal(tm.tm_year + 1900, 9999);
    X509_free(x);
}

static void device_number_is_read_back(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {0, 1, 4711, UINT64_MAX};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct tz_buf key, cert;
        uint64_t device = 99;
        tz_buf_init(&key, TZ_PKI_PEM_MAX);
        tz_buf_init(&cert, TZ_PKI_PEM_MAX);
        pki_fixture_device(&pki, numbers[i], &key, &cert);
        assert_int_equal(tz_pki_cert_device(tz_buf_unread(&cert), &device, NULL), 0);
        assert_int_equal(device, numbers[i]);
        tz_buf_deinit(&key);
        tz_buf_deinit(&cert);
    }
    uint64_t none;
    assert_int_equal(tz_pki_cert_device(tz_buf_unread(&pki.server_cert), &none, NULL), TZ_E_FORMAT);
}

static void pin_is_the_same_for_key_request_and_certificate(void **state)
{
    (void)state;
    uint8_t of_key[32], of_csr[32], of_cert[32], of_spki[32];
    struct tz_buf csr, spki;
    tz_buf_init(&csr, TZ_PKI_PEM_MAX);
    tz_buf_init(&spki, TZ_PKI_PEM_MAX);
    assert_int_equal(tz_pki_csr_new(tz_buf_unread(&pki.device_key), &csr, NULL), 0);
    assert_int_equal(tz_pki_csr_check(tz_buf_unread(&csr), of_csr, NULL), 0);
    assert_int_equal(tz_pki_csr_spki(tz_buf_unread(&csr), &spki, NULL), 0);
    assert_int_equal(tz_sha256(tz_buf_unread(&spki), of_spki), 0);
    assert_int_equal(tz_pki_key_pin(tz_buf_unread(&pki.device_key), of_key, NULL), 0);
    assert_int_equal(tz_pki_cert_pin(tz_buf_unread(&pki.device_cert), of_cert, NULL), 0);
    assert_memory_equal(of_key, of_csr, 32);
    assert_memory_equal(of_key, of_cert, 32);
    assert_memory_equal(of_key, of_spki, 32);
    assert_memory_not_equal(of_key, pki.pin, 32);
    tz_buf_deinit(&csr);
    tz_buf_deinit(&spki);
}

static void pem_and_der_are_the_same_certificate(void **state)
{
    (void)state;
    struct tz_buf pem, der;
    uint8_t a[32], b[32];
    tz_buf_init(&pem, TZ_PKI_PEM_MAX);
    tz_buf_init(&der, TZ_PKI_PEM_MAX);
    assert_int_equal(tz_pki_cert_to_pem(tz_buf_unread(&pki.device_cert), &pem, NULL), 0);
    assert_memory_equal(pem.p, "-----BEGIN CERTIFICATE-----", 27);
    assert_int_equal(tz_pki_cert_to_der(tz_buf_unread(&pem), &der, NULL), 0);
    assert_true(tz_bytes_eq(tz_buf_unread(&der), tz_buf_unread(&pki.device_cert)));
    assert_int_equal(tz_pki_cert_fingerprint(tz_buf_unread(&pem), a, NULL), 0);
    assert_int_equal(tz_sha256(tz_buf_unread(&der), b), 0);
    assert_memory_equal(a, b, 32);
    tz_buf_deinit(&pem);
    tz_buf_deinit(&der);
}

static void altered_request_is_refused(void **state)
{
    (void)state;
    struct tz_buf csr, cert;
    struct tz_err err = {0};
    struct tz_pki_ca ca = pki_fixture_ca(&pki);
    tz_buf_init(&csr, TZ_PKI_PEM_MAX);
    tz_buf_init(&cert, TZ_PKI_PEM_MAX);
    assert_int_equal(tz_pki_csr_new(tz_buf_unread(&pki.device_key), &csr, NULL), 0);
    for (size_t i = 0; i < csr.len; i++) {
        csr.p[i] ^= 1;
        assert_int_equal(tz_pki_csr_check(tz_buf_unread(&csr), NULL, &err), TZ_E_FORMAT);
        csr.p[i] ^= 1;
    }
    csr.p[csr.len - 1] ^= 1;
    assert_int_equal(tz_pki_client_cert(&ca, tz_buf_unread(&csr), 1, &cert, &err), TZ_E_FORMAT);
    assert_int_equal(cert.len, 0);
    csr.p[csr.len - 1] ^= 1;
    for (size_t n = 0; n < csr.len; n++)
        assert_int_equal(tz_pki_csr_check(tz_bytes_of(csr.p, n), NULL, &err), TZ_E_FORMAT);
    assert_int_equal(tz_buf_putc(&csr, 0), 0);
    assert_int_equal(tz_pki_csr_check(tz_buf_unread(&csr), NULL, &err), TZ_E_FORMAT);
    tz_buf_deinit(&csr);
    tz_buf_deinit(&cert);
}

/* A request for another kind of key, made with OpenSSL itself. */
static void request_for_another_curve_is_refused(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_EC_gen("P-384");
    X509_REQ *req = X509_REQ_new();
    unsigned char *der = NULL;
    assert_int_equal(X509_REQ_set_pubkey(req, key), 1);
    assert_true(X509_REQ_sign(req, key, EVP_sha256()) > 0);
    int n = i2d_X509_REQ(req, &der);
    assert_true(n > 0);
    assert_int_equal(tz_pki_csr_check(tz_bytes_of(der, (size_t)n), NULL, NULL), TZ_E_FORMAT);
    OPENSSL_free(der);
    X509_REQ_free(req);
    EVP_PKEY_free(key);
}

static void ca_key_must_belong_to_its_certificate(void **state)
{
    (void)state;
    struct tz_buf out;
    const struct tz_pki_ca mixed = {.cert = tz_buf_unread(&pki.ca_cert), .key = tz_buf_unread(&pki.server_key)};
    tz_buf_init(&out, TZ_PKI_PEM_MAX);
    assert_int_equal(tz_pki_server_cert(&mixed, tz_buf_unread(&pki.server_key), "x", NULL, 0, &out, NULL), TZ_E_FORMAT);
    assert_int_equal(out.len, 0);
    tz_buf_deinit(&out);
}

static void hosts_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "a,DNS:b", "a b", "::zz", "h\xc3\xb6st"};
    struct tz_buf out;
    struct tz_pki_ca ca = pki_fixture_ca(&pki);
    tz_buf_init(&out, TZ_PKI_PEM_MAX);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(tz_pki_server_cert(&ca, tz_buf_unread(&pki.server_key), "x", bad + i, 1, &out, NULL),
                         TZ_E_VALUE);
    assert_int_equal(tz_pki_server_cert(&ca, tz_buf_unread(&pki.server_key), "x", NULL, 0, &out, NULL), 0);
    tz_buf_deinit(&out);
}

static void what_is_no_key_or_certificate_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "x", "0", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"};
    uint8_t pin[32];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(tz_pki_cert_pin(tz_bytes_str(bad[i]), pin, NULL), TZ_E_FORMAT);
        assert_int_equal(tz_pki_key_pin(tz_bytes_str(bad[i]), pin, NULL), TZ_E_FORMAT);
    }
    assert_int_equal(tz_pki_key_pin(tz_buf_unread(&pki.ca_cert), pin, NULL), TZ_E_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ca_may_sign_and_leaves_may_not),
        cmocka_unit_test(dates_are_wide),
        cmocka_unit_test(device_number_is_read_back),
        cmocka_unit_test(pin_is_the_same_for_key_request_and_certificate),
        cmocka_unit_test(pem_and_der_are_the_same_certificate),
        cmocka_unit_test(altered_request_is_refused),
        cmocka_unit_test(request_for_another_curve_is_refused),
        cmocka_unit_test(ca_key_must_belong_to_its_certificate),
        cmocka_unit_test(hosts_that_are_none_are_refused),
        cmocka_unit_test(what_is_no_key_or_certificate_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
