/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_PKI_H
#define TZ_PKI_H

/*
 * Keys and certificates of one installation: its own CA, one server certificate, one client certificate per device.
 *
 * EC P-256 with SHA-256 throughout. Everything goes in and out as bytes: keys as PKCS#8 PEM, certificates and requests
 * as PEM or DER (told apart by their first bytes). Dates run from 2000 to 9999 and are judged by nobody. Nothing here
 * opens a file; callers store keys with mode 0600 and end their buffers with tz_buf_deinit_secret. Any thread.
 *
 * Errors: TZ_E_FORMAT for input that is not what it should be, TZ_E_NOMEM, TZ_E_LIMIT when @out is full, TZ_E_INTERNAL
 * otherwise.
 */

#include "buf.h"

enum { TZ_PKI_PIN_BYTES = 32, TZ_PKI_PEM_MAX = 16 * 1024 };

/** Append a new private key as PEM. */
TZ_MUST_USE int tz_pki_key_new(struct tz_buf *key_pem, struct tz_err *err);

/** Append a self-signed CA certificate (CA:TRUE, pathlen 0, keyCertSign) for @key as PEM. @name becomes its common
 * name. */
TZ_MUST_USE int tz_pki_ca_new(struct tz_bytes key, const char *name, struct tz_buf *cert_pem, struct tz_err *err);

/** The CA's certificate and private key; borrowed. */
struct tz_pki_ca {
    struct tz_bytes cert;
    struct tz_bytes key;
};

/**
 * Append a server certificate (serverAuth) for @key as PEM. @hosts are host names or addresses for subjectAltName,
 * @nhosts may be 0: clients know the server by its key or its CA, never by its name. TZ_E_VALUE for a host that is
 * neither.
 */
TZ_MUST_USE int tz_pki_server_cert(const struct tz_pki_ca *ca, struct tz_bytes key, const char *name,
                                   const char *const *hosts, size_t nhosts, struct tz_buf *cert_pem,
                                   struct tz_err *err);

/** Append a certificate request for @key as DER. Its subject says nothing: the server gives the name. */
TZ_MUST_USE int tz_pki_csr_new(struct tz_bytes key, struct tz_buf *csr_der, struct tz_err *err);
/**
 * Is @csr a request for a P-256 key, signed with that key? @spki_sha256 (may be NULL) is then the key's pin.
 */
TZ_MUST_USE int tz_pki_csr_check(struct tz_bytes csr, uint8_t spki_sha256[TZ_PKI_PIN_BYTES], struct tz_err *err);
/** Append the request's SubjectPublicKeyInfo as DER. Does not check the signature. */
TZ_MUST_USE int tz_pki_csr_spki(struct tz_bytes csr, struct tz_buf *spki_der, struct tz_err *err);

/**
 * Check @csr as tz_pki_csr_check does and append a client certificate (clientAuth, CN "device-<number>") as DER. Only
 * the key is taken from the request.
 */
TZ_MUST_USE int tz_pki_client_cert(const struct tz_pki_ca *ca, struct tz_bytes csr, uint64_t device,
                                   struct tz_buf *cert_der, struct tz_err *err);

/** SHA-256 of the certificate's SubjectPublicKeyInfo. */
TZ_MUST_USE int tz_pki_cert_pin(struct tz_bytes cert, uint8_t out[TZ_PKI_PIN_BYTES], struct tz_err *err);
/** SHA-256 of the certificate's DER form. */
TZ_MUST_USE int tz_pki_cert_fingerprint(struct tz_bytes cert, uint8_t out[TZ_PKI_PIN_BYTES], struct tz_err *err);
/** The number in CN "device-<number>"; TZ_E_FORMAT for other names. Meaningful only for a certificate that was
 * verified. */
TZ_MUST_USE int tz_pki_cert_device(struct tz_bytes cert, uint64_t *device, struct tz_err *err);
/** Append the certificate in the other coding. */
TZ_MUST_USE int tz_pki_cert_to_pem(struct tz_bytes cert, struct tz_buf *pem, struct tz_err *err);
TZ_MUST_USE int tz_pki_cert_to_der(struct tz_bytes cert, struct tz_buf *der, struct tz_err *err);
/** SHA-256 of the public half of a private key, for a pin without a certificate. */
TZ_MUST_USE int tz_pki_key_pin(struct tz_bytes key, uint8_t out[TZ_PKI_PIN_BYTES], struct tz_err *err);

#endif
