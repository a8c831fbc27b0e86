/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_PKI_FIXTURE_H
#define TZ_PKI_FIXTURE_H

/* Keys and certificates made at run time: a CA with a server and a device certificate. Header only; asserts with
 * cmocka. */

#include "pki.h"

struct pki_fixture {
    struct tz_buf ca_key, ca_cert, server_key, server_cert, device_key, device_cert;
    uint8_t pin[TZ_PKI_PIN_BYTES]; /* of the server's key */
};

static inline struct tz_pki_ca pki_fixture_ca(const struct pki_fixture *f)
{
    return (struct tz_pki_ca){.cert = tz_buf_unread(&f->ca_cert), .key = tz_buf_unread(&f->ca_key)};
}

/* A key and a client certificate for it from @f's CA; appended to initialised buffers. */
static inline void pki_fixture_device(const struct pki_fixture *f, uint64_t number, struct tz_buf *key,
                                      struct tz_buf *cert)
{
    struct tz_err err = {0};
    struct tz_buf csr;
    struct tz_pki_ca ca = pki_fixture_ca(f);
    tz_buf_init(&csr, TZ_PKI_PEM_MAX);
    assert_int_equal(tz_pki_key_new(key, &err), 0);
    assert_int_equal(tz_pki_csr_new(tz_buf_unread(key), &csr, &err), 0);
    assert_int_equal(tz_pki_client_cert(&ca, tz_buf_unread(&csr), number, cert, &err), 0);
    tz_buf_deinit(&csr);
}

static inline void pki_fixture_init(struct pki_fixture *f)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "::1"};
    struct tz_err err = {0};
    struct tz_buf *all[] = {&f->ca_key, &f->ca_cert, &f->server_key, &f->server_cert, &f->device_key, &f->device_cert};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        tz_buf_init(all[i], TZ_PKI_PEM_MAX);
    assert_int_equal(tz_pki_key_new(&f->ca_key, &err), 0);
    assert_int_equal(tz_pki_ca_new(tz_buf_unread(&f->ca_key), "Taizhang test CA", &f->ca_cert, &err), 0);
    struct tz_pki_ca ca = pki_fixture_ca(f);
    assert_int_equal(tz_pki_key_new(&f->server_key, &err), 0);
    assert_int_equal(
        tz_pki_server_cert(&ca, tz_buf_unread(&f->server_key), "taizhangd", hosts, 3, &f->server_cert, &err), 0);
    assert_int_equal(tz_pki_cert_pin(tz_buf_unread(&f->server_cert), f->pin, &err), 0);
    pki_fixture_device(f, 7, &f->device_key, &f->device_cert);
}

static inline void pki_fixture_deinit(struct pki_fixture *f)
{
    struct tz_buf *all[] = {&f->ca_key, &f->ca_cert, &f->server_key, &f->server_cert, &f->device_key, &f->device_cert};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        tz_buf_deinit_secret(all[i]);
}

#endif
