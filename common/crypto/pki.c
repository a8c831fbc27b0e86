/* SPDX-License-Identifier: Apache-2.0 */
/*
 * X.509 with libcrypto, bytes to bytes.
 *
 * Invariants:
 *  1. Every key that is made, signed or accepted is P-256; every signature is ECDSA with SHA-256.
 *  2. A leaf is CA:FALSE with exactly one extended key usage, so that a device's certificate never passes for the
 * server's.
 *  3. From a request only the public key is taken, after its signature proved that the sender owns the private half.
 *  4. Private keys pass through BIO_s_secmem, which overwrites its memory when freed.
 *
 * The parse_* functions return an owned object or NULL with @err set. Not here: chains and trust at run time (TLS does
 * that), revocation (the server's device table), passphrases.
 */
#include "pki.h"

#include "hash.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SERIAL_BYTES = 16 };

/* The first error of libcrypto's queue names the cause; later ones only the callers it went through. */
static int fail(struct tz_err *err, int code, const char *what)
{
    unsigned long e = ERR_get_error();
    ERR_clear_error();
    if (e != 0 && ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    const char *reason = e != 0 ? ERR_reason_error_string(e) : NULL;
    return tz_err_setf(err, code, "%s%s%s", what, reason != NULL ? ": " : "", reason != NULL ? reason : "");
}

static BIO *bio_of(struct tz_bytes b)
{
    return b.n > 0 && b.n <= TZ_PKI_PEM_MAX ? BIO_new_mem_buf(b.p, (int)b.n) : NULL;
}

static bool is_pem(struct tz_bytes b)
{
    return b.n > 0 && b.p[0] != 0x30; /* DER starts with a SEQUENCE */
}

/* Without this callback libcrypto would ask on the terminal. */
static int no_passphrase(char *buf, int size, int writing, void *ctx)
{
    (void)buf, (void)size, (void)writing, (void)ctx;
    return -1;
}

static bool is_p256(const EVP_PKEY *key)
{
    char group[32];
    size_t n = 0;
    return key != NULL && EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, &n) == 1 &&
           strcmp(group, SN_X9_62_prime256v1) == 0;
}

static EVP_PKEY *parse_key(struct tz_bytes in, struct tz_err *err)
{
    BIO *bio = bio_of(in);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    if (is_p256(key))
        return key;
    EVP_PKEY_free(key);
    (void)fail(err, TZ_E_FORMAT, "private key");
    return NULL;
}

static X509 *parse_cert(struct tz_bytes in, struct tz_err *err)
{
    X509 *cert = NULL;
    if (is_pem(in)) {
        BIO *bio = bio_of(in);
        cert = bio != NULL ? PEM_read_bio_X509(bio, NULL, no_passphrase, NULL) : NULL;
        BIO_free(bio);
    } else if (in.n > 0 && in.n <= TZ_PKI_PEM_MAX) {
        const unsigned char *p = in.p;
        cert = d2i_X509(NULL, &p, (long)in.n);
        if (cert != NULL && p != in.p + in.n) {
            X509_free(cert);
            cert = NULL;
        }
    }
    if (cert == NULL)
        (void)fail(err, TZ_E_FORMAT, "certificate");
    return cert;
}

static X509_REQ *parse_csr(struct tz_bytes in, struct tz_err *err)
{
    X509_REQ *csr = NULL;
    if (is_pem(in)) {
        BIO *bio = bio_of(in);
        csr = bio != NULL ? PEM_read_bio_X509_REQ(bio, NULL, no_passphrase, NULL) : NULL;
        BIO_free(bio);
    } else if (in.n > 0 && in.n <= TZ_PKI_PEM_MAX) {
        const unsigned char *p = in.p;
        csr = d2i_X509_REQ(NULL, &p, (long)in.n);
        if (csr != NULL && p != in.p + in.n) {
            X509_REQ_free(csr);
            csr = NULL;
        }
    }
    if (csr == NULL)
        (void)fail(err, TZ_E_FORMAT, "certificate request");
    return csr;
}

/* Append what a memory BIO holds. @ok is the result of writing into it. */
static int put_bio(struct tz_buf *out, BIO *bio, bool ok, struct tz_err *err)
{
    char *p = NULL;
    long n = ok ? BIO_get_mem_data(bio, &p) : 0;
    if (n <= 0)
        return fail(err, TZ_E_INTERNAL, "encode PEM");
    int rc = tz_buf_put(out, p, (size_t)n);
    return rc == 0 ? 0 : tz_err_set(err, rc, "PEM", NULL, NULL, NULL);
}

static int put_cert_pem(struct tz_buf *out, X509 *cert, struct tz_err *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int rc = put_bio(out, bio, bio != NULL && PEM_write_bio_X509(bio, cert) == 1, err);
    BIO_free(bio);
    return rc;
}

/* Append DER made by an i2d function; takes @der. */
static int put_der(struct tz_buf *out, unsigned char *der, int n, struct tz_err *err)
{
    if (n <= 0)
        return fail(err, TZ_E_INTERNAL, "encode DER");
    int rc = tz_buf_put(out, der, (size_t)n);
    OPENSSL_free(der);
    return rc == 0 ? 0 : tz_err_set(err, rc, "DER", NULL, NULL, NULL);
}

static int put_cert_der(struct tz_buf *out, const X509 *cert, struct tz_err *err)
{
    unsigned char *der = NULL;
    int n = i2d_X509(cert, &der);
    return put_der(out, der, n, err);
}

int tz_pki_key_new(struct tz_buf *key_pem, struct tz_err *err)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    if (key == NULL)
        return fail(err, TZ_E_INTERNAL, "make a key");
    BIO *bio = BIO_new(BIO_s_secmem());
    bool ok = bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;
    int rc = put_bio(key_pem, bio, ok, err);
    BIO_free(bio);
    EVP_PKEY_free(key);
    return rc;
}

static bool set_serial(X509 *cert)
{
    uint8_t raw[SERIAL_BYTES];
    if (tz_random_bytes(raw, sizeof raw) != 0)
        return false;
    raw[0] = (uint8_t)((raw[0] & 0x7f) | 0x40); /* positive, and never shorter */
    BIGNUM *bn = BN_bin2bn(raw, sizeof raw, NULL);
    bool ok = bn != NULL && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert)) != NULL;
    BN_free(bn);
    return ok;
}

static bool set_name(X509_NAME *name, const char *common_name)
{
    return X509_NAME_add_entry_by_NID(name, NID_organizationName, MBSTRING_UTF8, (const unsigned char *)"Taizhang", -1,
                                      -1, 0) == 1 &&
           X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1,
                                      0) == 1;
}

static bool set_subject(X509 *cert, const char *common_name)
{
    X509_NAME *name = X509_NAME_new();
    bool ok = name != NULL && set_name(name, common_name) && X509_set_subject_name(cert, name) == 1;
    X509_NAME_free(name);
    return ok;
}

/* Dates are never judged (the device table is the authority), so they only have to be wide and legal. */
static bool set_dates(X509 *cert)
{
    return ASN1_TIME_set_string_X509(X509_getm_notBefore(cert), "20000101000000Z") == 1 &&
           ASN1_TIME_set_string_X509(X509_getm_notAfter(cert), "99991231235959Z") == 1;
}

static bool add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_nconf_nid(NULL, &ctx, nid, value);
    bool ok = ext != NULL && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok;
}

/* All that certificates share, unsigned. The caller frees the result. */
static X509 *cert_new(EVP_PKEY *pub, const char *common_name)
{
    X509 *cert = X509_new();
    if (cert != NULL && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) && set_dates(cert) &&
        set_subject(cert, common_name) && X509_set_pubkey(cert, pub) == 1)
        return cert;
    X509_free(cert);
    return NULL;
}

int tz_pki_ca_new(struct tz_bytes key, const char *name, struct tz_buf *cert_pem, struct tz_err *err)
{
    EVP_PKEY *pkey = parse_key(key, err);
    if (pkey == NULL)
        return tz_err_prefix(err, "make CA");
    X509 *cert = cert_new(pkey, name);
    int rc;
    if (cert != NULL && X509_set_issuer_name(cert, X509_get_subject_name(cert)) == 1 &&
        add_ext(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
        add_ext(cert, cert, NID_key_usage, "critical,keyCertSign") &&
        add_ext(cert, cert, NID_subject_key_identifier, "hash") && X509_sign(cert, pkey, EVP_sha256()) > 0)
        rc = put_cert_pem(cert_pem, cert, err);
    else
        rc = fail(err, TZ_E_INTERNAL, "make CA certificate");
    X509_free(cert);
    EVP_PKEY_free(pkey);
    return rc;
}

struct ca {
    X509 *cert;
    EVP_PKEY *key;
};

static void close_ca(struct ca *ca)
{
    X509_free(ca->cert);
    EVP_PKEY_free(ca->key);
}

static int open_ca(struct ca *out, const struct tz_pki_ca *in, struct tz_err *err)
{
    out->cert = parse_cert(in->cert, err);
    out->key = out->cert != NULL ? parse_key(in->key, err) : NULL;
    if (out->key == NULL)
        return tz_err_prefix(err, "CA");
    if (X509_check_private_key(out->cert, out->key) != 1)
        return fail(err, TZ_E_FORMAT, "CA key and certificate do not belong together");
    return 0;
}

/* A signed leaf certificate. @usage is its one extended key usage, @alt its subjectAltName or NULL. */
static X509 *leaf_new(const struct ca *ca, EVP_PKEY *pub, const char *common_name, const char *usage, const char *alt)
{
    X509 *cert = cert_new(pub, common_name);
    if (cert != NULL && X509_set_issuer_name(cert, X509_get_subject_name(ca->cert)) == 1 &&
        add_ext(cert, ca->cert, NID_basic_constraints, "critical,CA:FALSE") &&
        add_ext(cert, ca->cert, NID_key_usage, "critical,digitalSignature") &&
        add_ext(cert, ca->cert, NID_ext_key_usage, usage) &&
        add_ext(cert, ca->cert, NID_subject_key_identifier, "hash") &&
        add_ext(cert, ca->cert, NID_authority_key_identifier, "keyid:always") &&
        (alt == NULL || add_ext(cert, ca->cert, NID_subject_alt_name, alt)) &&
        X509_sign(cert, ca->key, EVP_sha256()) > 0)
        return cert;
    X509_free(cert);
    return NULL;
}

/* A configuration string is built from hosts, so nothing but what hosts are made of may enter it. */
static bool is_host(const char *host)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:_-";
    size_t n = strlen(host);
    return n > 0 && n <= 255 && strspn(host, allowed) == n;
}

static int put_alt_name(struct tz_buf *out, const char *host, struct tz_err *err)
{
    if (!is_host(host))
        return tz_err_set(err, TZ_E_VALUE, "subjectAltName", host, "host", NULL);
    ASN1_OCTET_STRING *ip = a2i_IPADDRESS(host);
    ERR_clear_error();
    int rc = ip == NULL && strchr(host, ':') != NULL
                 ? TZ_E_VALUE
                 : tz_buf_printf(out, "%s%s:%s", out->len > 0 ? "," : "", ip != NULL ? "IP" : "DNS", host);
    ASN1_OCTET_STRING_free(ip);
    return rc == 0 ? 0 : tz_err_set(err, rc, "subjectAltName", host, "host", NULL);
}

static int put_alt_names(struct tz_buf *out, const char *const *hosts, size_t nhosts, struct tz_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < nhosts; i++)
        rc = put_alt_name(out, hosts[i], err);
    if (rc == 0 && (rc = tz_buf_putc(out, '\0')) != 0)
        rc = tz_err_set(err, rc, "subjectAltName", NULL, NULL, NULL);
    return rc;
}

static int make_server_cert(const struct ca *ca, EVP_PKEY *key, const char *name, const char *alt,
                            struct tz_buf *cert_pem, struct tz_err *err)
{
    X509 *cert = leaf_new(ca, key, name, "serverAuth", alt);
    int rc = cert != NULL ? put_cert_pem(cert_pem, cert, err) : fail(err, TZ_E_INTERNAL, "make server certificate");
    X509_free(cert);
    return rc;
}

int tz_pki_server_cert(const struct tz_pki_ca *ca, struct tz_bytes key, const char *name, const char *const *hosts,
                       size_t nhosts, struct tz_buf *cert_pem, struct tz_err *err)
{
    struct ca authority = {NULL, NULL};
    EVP_PKEY *pkey = NULL;
    struct tz_buf alt;
    tz_buf_init(&alt, TZ_PKI_PEM_MAX);
    int rc = open_ca(&authority, ca, err);
    if (rc == 0) {
        pkey = parse_key(key, err);
        rc = pkey != NULL ? 0 : tz_err_prefix(err, "server");
    }
    if (rc == 0)
        rc = put_alt_names(&alt, hosts, nhosts, err);
    if (rc == 0)
        rc = make_server_cert(&authority, pkey, name, nhosts > 0 ? (const char *)alt.p : NULL, cert_pem, err);
    tz_buf_deinit(&alt);
    EVP_PKEY_free(pkey);
    close_ca(&authority);
    return rc;
}

int tz_pki_csr_new(struct tz_bytes key, struct tz_buf *csr_der, struct tz_err *err)
{
    EVP_PKEY *pkey = parse_key(key, err);
    if (pkey == NULL)
        return tz_err_prefix(err, "make request");
    X509_REQ *csr = X509_REQ_new();
    X509_NAME *name = X509_NAME_new();
    int rc;
    if (csr != NULL && name != NULL && X509_REQ_set_version(csr, X509_REQ_VERSION_1) == 1 && set_name(name, "device") &&
        X509_REQ_set_subject_name(csr, name) == 1 && X509_REQ_set_pubkey(csr, pkey) == 1 &&
        X509_REQ_sign(csr, pkey, EVP_sha256()) > 0) {
        unsigned char *der = NULL;
        int n = i2d_X509_REQ(csr, &der);
        rc = put_der(csr_der, der, n, err);
    } else {
        rc = fail(err, TZ_E_INTERNAL, "make request");
    }
    X509_NAME_free(name);
    X509_REQ_free(csr);
    EVP_PKEY_free(pkey);
    return rc;
}

static int pin_of(EVP_PKEY *key, uint8_t out[TZ_PKI_PIN_BYTES], struct tz_err *err)
{
    unsigned char *der = NULL;
    int n = i2d_PUBKEY(key, &der);
    if (n <= 0)
        return fail(err, TZ_E_INTERNAL, "encode public key");
    int rc = tz_sha256(tz_bytes_of(der, (size_t)n), out);
    OPENSSL_free(der);
    return rc == 0 ? 0 : tz_err_set(err, rc, NULL, NULL, NULL, NULL);
}

/* The request's own key, once its signature proves possession; borrowed from @csr. */
static EVP_PKEY *proven_key(X509_REQ *csr, struct tz_err *err)
{
    EVP_PKEY *key = X509_REQ_get0_pubkey(csr);
    if (is_p256(key) && X509_REQ_verify(csr, key) == 1)
        return key;
    (void)fail(err, TZ_E_FORMAT, "certificate request: key or signature");
    return NULL;
}

int tz_pki_csr_check(struct tz_bytes csr, uint8_t spki_sha256[TZ_PKI_PIN_BYTES], struct tz_err *err)
{
    X509_REQ *req = parse_csr(csr, err);
    if (req == NULL)
        return TZ_E_FORMAT;
    EVP_PKEY *key = proven_key(req, err);
    int rc = key != NULL ? 0 : TZ_E_FORMAT;
    if (rc == 0 && spki_sha256 != NULL)
        rc = pin_of(key, spki_sha256, err);
    X509_REQ_free(req);
    return rc;
}

int tz_pki_csr_spki(struct tz_bytes csr, struct tz_buf *spki_der, struct tz_err *err)
{
    X509_REQ *req = parse_csr(csr, err);
    if (req == NULL)
        return TZ_E_FORMAT;
    unsigned char *der = NULL;
    EVP_PKEY *key = X509_REQ_get0_pubkey(req);
    int n = key != NULL ? i2d_PUBKEY(key, &der) : 0;
    int rc = key != NULL ? put_der(spki_der, der, n, err) : fail(err, TZ_E_FORMAT, "certificate request: key");
    X509_REQ_free(req);
    return rc;
}

static int make_client_cert(const struct ca *ca, X509_REQ *req, uint64_t device, struct tz_buf *cert_der,
                            struct tz_err *err)
{
    EVP_PKEY *key = proven_key(req, err);
    if (key == NULL)
        return TZ_E_FORMAT;
    char name[32];
    (void)snprintf(name, sizeof name, "device-%" PRIu64, device);
    X509 *cert = leaf_new(ca, key, name, "clientAuth", NULL);
    int rc = cert != NULL ? put_cert_der(cert_der, cert, err) : fail(err, TZ_E_INTERNAL, "make client certificate");
    X509_free(cert);
    return rc;
}

int tz_pki_client_cert(const struct tz_pki_ca *ca, struct tz_bytes csr, uint64_t device, struct tz_buf *cert_der,
                       struct tz_err *err)
{
    struct ca authority = {NULL, NULL};
    X509_REQ *req = NULL;
    int rc = open_ca(&authority, ca, err);
    if (rc == 0) {
        req = parse_csr(csr, err);
        rc = req != NULL ? make_client_cert(&authority, req, device, cert_der, err) : TZ_E_FORMAT;
    }
    X509_REQ_free(req);
    close_ca(&authority);
    return rc;
}

int tz_pki_cert_pin(struct tz_bytes cert, uint8_t out[TZ_PKI_PIN_BYTES], struct tz_err *err)
{
    X509 *x = parse_cert(cert, err);
    if (x == NULL)
        return TZ_E_FORMAT;
    EVP_PKEY *key = X509_get0_pubkey(x);
    int rc = key != NULL ? pin_of(key, out, err) : fail(err, TZ_E_FORMAT, "certificate key");
    X509_free(x);
    return rc;
}

int tz_pki_cert_to_der(struct tz_bytes cert, struct tz_buf *der, struct tz_err *err)
{
    X509 *x = parse_cert(cert, err);
    if (x == NULL)
        return TZ_E_FORMAT;
    int rc = put_cert_der(der, x, err);
    X509_free(x);
    return rc;
}

int tz_pki_cert_to_pem(struct tz_bytes cert, struct tz_buf *pem, struct tz_err *err)
{
    X509 *x = parse_cert(cert, err);
    if (x == NULL)
        return TZ_E_FORMAT;
    int rc = put_cert_pem(pem, x, err);
    X509_free(x);
    return rc;
}

int tz_pki_cert_fingerprint(struct tz_bytes cert, uint8_t out[TZ_PKI_PIN_BYTES], struct tz_err *err)
{
    struct tz_buf der;
    tz_buf_init(&der, TZ_PKI_PEM_MAX);
    int rc = tz_pki_cert_to_der(cert, &der, err);
    if (rc == 0 && (rc = tz_sha256(tz_buf_unread(&der), out)) != 0)
        rc = tz_err_set(err, rc, NULL, NULL, NULL, NULL);
    tz_buf_deinit(&der);
    return rc;
}

/* "device-" and a decimal number without leading zeros, nothing else. */
static bool parse_device(const char *name, uint64_t *device)
{
    if (strncmp(name, "device-", 7) != 0 || (name[7] == '0' && name[8] != '\0') || name[7] == '\0')
        return false;
    uint64_t v = 0;
    for (const char *p = name + 7; *p != '\0'; p++) {
        unsigned digit = (unsigned)(*p - '0');
        if (*p < '0' || *p > '9' || v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *device = v;
    return true;
}

int tz_pki_cert_device(struct tz_bytes cert, uint64_t *device, struct tz_err *err)
{
    X509 *x = parse_cert(cert, err);
    if (x == NULL)
        return TZ_E_FORMAT;
    X509_NAME *subject = X509_get_subject_name(x);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    const ASN1_STRING *cn = at >= 0 ? X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)) : NULL;
    int n = cn != NULL ? ASN1_STRING_length(cn) : 0;
    char name[32] = "";
    if (n > 0 && (size_t)n < sizeof name)
        memcpy(name, ASN1_STRING_get0_data(cn), (size_t)n);
    bool ok = strlen(name) == (size_t)n && parse_device(name, device);
    X509_free(x);
    return ok ? 0 : fail(err, TZ_E_FORMAT, "certificate name");
}

int tz_pki_key_pin(struct tz_bytes key, uint8_t out[TZ_PKI_PIN_BYTES], struct tz_err *err)
{
    EVP_PKEY *pkey = parse_key(key, err);
    if (pkey == NULL)
        return TZ_E_FORMAT;
    int rc = pin_of(pkey, out, err);
    EVP_PKEY_free(pkey);
    return rc;
}
