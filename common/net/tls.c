/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TLS engine: OpenSSL between two memory BIOs.
 *
 *            advance ok                   close_notify read
 *  HANDSHAKE ──────────> OPEN ──────────────────────────────> CLOSED
 *      └───────────────────┴──────> FAILED  (any fatal error, ours or the peer's; kept in `failure`)
 *
 * Invariants:
 *  1. After every SSL call the output BIO is drained into `out`, also when the call failed: it may hold an alert.
 *  2. The error queue is empty before every SSL call, so that what is found after it belongs to it.
 *  3. `wants_cert` follows the protocol name of the ClientHello, before OpenSSL decides whether to ask for a
 * certificate. OPEN as SESSION on a server implies a verified client certificate; finish_handshake checks it again,
 * whatever the callbacks did.
 *  4. An empty input BIO means "more later"; the end of the transport is a call of its own (tz_tls_feed_eof).
 *  5. What both sides of the engine hold is capped at construction.
 *
 * A ClientHello may come twice (HelloRetryRequest) with another protocol name: the hello callback runs for each, and
 * select_alpn_cb accepts only the name that the last run decided on.
 *
 * Not here: sockets, deadlines (stream.c), who a device is (the server's device table).
 */
#include "tls.h"

#include "hash.h"
#include "pki.h"

#include <assert.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

struct tz_tls_config {
    SSL_CTX *ctx;
    bool server;
    bool has_ca;
    bool has_pin;
    enum tz_tls_alpn alpn; /* client: the one name offered */
    uint8_t pin[TZ_PKI_PIN_BYTES];
};

struct tz_tls {
    SSL *ssl;
    BIO *in; /* owned by ssl */
    BIO *out_bio;
    const struct tz_tls_config *config;
    enum tz_tls_state state;
    enum tz_tls_alpn alpn; /* server: from the ClientHello */
    bool close_sent;
    bool server_key_bad; /* client: the server failed our check */
    unsigned post_handshake;
    size_t in_bytes_max;
    struct tz_buf out;
    struct tz_tls_peer peer;
    struct tz_err failure; /* valid when FAILED */
};

static const char *const alpn_names[] = {
    [TZ_TLS_ALPN_NONE] = "", [TZ_TLS_ALPN_SESSION] = "taizhang/1", [TZ_TLS_ALPN_ENROL] = "taizhang-enrol/1"};

/* OpenSSL's errors become ours here and nowhere else. The reason text is OpenSSL's, static, and names no secrets. */
static int map_error(struct tz_err *err, int code, const char *what)
{
    unsigned long e = ERR_peek_last_error();
    ERR_clear_error();
    if (e != 0 && ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    const char *reason = e != 0 ? ERR_reason_error_string(e) : NULL;
    return tz_err_set(err, code, reason != NULL ? reason : what, NULL, NULL, NULL);
}

/* ---- verification: all of it is in this section ---- */

/* Walk the list of u8-length names; true if @alpn is among them. Malformed lists offer nothing. */
static bool list_offers(const unsigned char *p, size_t n, enum tz_tls_alpn alpn)
{
    size_t want = strlen(alpn_names[alpn]);
    while (n > 0) {
        size_t len = p[0];
        if (len == 0 || len > n - 1)
            return false;
        if (len == want && memcmp(p + 1, alpn_names[alpn], len) == 0)
            return true;
        p += 1 + len;
        n -= 1 + len;
    }
    return false;
}

/* A client that offers both gets the one that asks more of it. */
static enum tz_tls_alpn choose_alpn(const unsigned char *p, size_t n)
{
    if (list_offers(p, n, TZ_TLS_ALPN_SESSION))
        return TZ_TLS_ALPN_SESSION;
    return list_offers(p, n, TZ_TLS_ALPN_ENROL) ? TZ_TLS_ALPN_ENROL : TZ_TLS_ALPN_NONE;
}

static int client_hello_cb(SSL *ssl, int *alert, void *arg)
{
    (void)arg;
    struct tz_tls *t = SSL_get_app_data(ssl);
    const unsigned char *ext = NULL;
    size_t n = 0;
    t->alpn = TZ_TLS_ALPN_NONE;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &ext, &n) == 1 && n >= 2 &&
        (size_t)(ext[0] << 8 | ext[1]) == n - 2)
        t->alpn = choose_alpn(ext + 2, n - 2);
    if (t->alpn == TZ_TLS_ALPN_NONE) {
        *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
        return SSL_CLIENT_HELLO_ERROR;
    }
    bool wants_cert = t->alpn == TZ_TLS_ALPN_SESSION;
    SSL_set_verify(ssl, wants_cert ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE, NULL);
    return SSL_CLIENT_HELLO_SUCCESS;
}

static int select_alpn_cb(SSL *ssl, const unsigned char **out, unsigned char *out_bytes, const unsigned char *in,
                          unsigned in_bytes, void *arg)
{
    (void)arg;
    const struct tz_tls *t = SSL_get_app_data(ssl);
    if (t->alpn == TZ_TLS_ALPN_NONE || choose_alpn(in, in_bytes) != t->alpn)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = (const unsigned char *)alpn_names[t->alpn];
    *out_bytes = (unsigned char)strlen(alpn_names[t->alpn]);
    return SSL_TLSEXT_ERR_OK;
}

/* SHA-256 of a certificate's key and whole; false without memory. */
static bool describe_cert(X509 *cert, struct tz_tls_peer *out)
{
    unsigned char *der = NULL;
    int n = i2d_X509(cert, &der);
    if (n <= 0)
        return false;
    struct tz_bytes bytes = tz_bytes_of(der, (size_t)n);
    bool ok = tz_sha256(bytes, out->fingerprint) == 0 && tz_pki_cert_pin(bytes, out->pin, NULL) == 0;
    if (ok && tz_pki_cert_device(bytes, &out->device, NULL) != 0)
        out->device = 0;
    OPENSSL_free(der);
    return ok;
}

/* Client: the server is who the pin, the CA, or both say. OpenSSL checks elsewhere that it holds the certificate's key.
 */
static int check_server_cb(X509_STORE_CTX *store, void *arg)
{
    (void)arg;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tz_tls *t = SSL_get_app_data(ssl);
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    struct tz_tls_peer seen = {0};
    bool ok = leaf != NULL && describe_cert(leaf, &seen);
    if (ok && t->config->has_pin)
        ok = tz_secret_eq(tz_bytes_of(seen.pin, sizeof seen.pin), tz_bytes_of(t->config->pin, sizeof t->config->pin));
    if (!ok)
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    else if (t->config->has_ca)
        ok = X509_verify_cert(store) == 1;
    else
        X509_STORE_CTX_set_error(store, X509_V_OK);
    t->server_key_bad = !ok;
    return ok;
}

/* KeyUpdate is the one handshake message that may follow the handshake here; each costs us key derivations and an
 * answer. */
static void count_message_cb(int sent, int version, int content_type, const void *p, size_t n, SSL *ssl, void *arg)
{
    (void)version, (void)p, (void)n, (void)arg;
    struct tz_tls *t = SSL_get_app_data(ssl);
    if (!sent && content_type == SSL3_RT_HANDSHAKE && t->state == TZ_TLS_OPEN)
        t->post_handshake++;
}

/* ---- configuration ---- */

static X509 *read_cert(struct tz_bytes in, struct tz_err *err)
{
    struct tz_buf der;
    tz_buf_init(&der, TZ_PKI_PEM_MAX);
    X509 *cert = NULL;
    if (tz_pki_cert_to_der(in, &der, err) == 0) {
        const unsigned char *p = der.p;
        cert = d2i_X509(NULL, &p, (long)der.len);
        if (cert == NULL)
            (void)map_error(err, TZ_E_FORMAT, "certificate");
    }
    tz_buf_deinit(&der);
    return cert;
}

static int no_passphrase(char *buf, int size, int writing, void *ctx)
{
    (void)buf, (void)size, (void)writing, (void)ctx;
    return -1;
}

static int use_cert(SSL_CTX *ctx, struct tz_bytes cert_bytes, struct tz_bytes key_bytes, struct tz_err *err)
{
    X509 *cert = read_cert(cert_bytes, err);
    if (cert == NULL)
        return err != NULL ? err->code : TZ_E_FORMAT;
    BIO *bio = key_bytes.n <= TZ_PKI_PEM_MAX ? BIO_new_mem_buf(key_bytes.p, (int)key_bytes.n) : NULL;
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    bool ok = key != NULL && SSL_CTX_use_certificate(ctx, cert) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1 &&
              SSL_CTX_check_private_key(ctx) == 1;
    EVP_PKEY_free(key);
    BIO_free(bio);
    X509_free(cert);
    return ok ? 0 : map_error(err, TZ_E_FORMAT, "key and certificate");
}

static int trust_ca(SSL_CTX *ctx, struct tz_bytes ca_cert, bool name_it, struct tz_err *err)
{
    X509 *ca = read_cert(ca_cert, err);
    if (ca == NULL)
        return err != NULL ? err->code : TZ_E_FORMAT;
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
    bool ok = X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca) == 1 &&
              X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME) == 1 &&
              (!name_it || SSL_CTX_add_client_CA(ctx, ca) == 1);
    X509_VERIFY_PARAM_set_depth(param, 1);
    X509_free(ca);
    return ok ? 0 : map_error(err, TZ_E_INTERNAL, "trust CA");
}

static bool harden(SSL_CTX *ctx)
{
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_msg_callback(ctx, count_message_cb);
    /* The groups that every peer of ours has; the large finite fields that OpenSSL also allows only cost the server
     * time. */
    return SSL_CTX_set1_groups_list(ctx, "X25519:P-256") == 1 &&
           SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 && SSL_CTX_set_num_tickets(ctx, 0) == 1 &&
           SSL_CTX_set_max_early_data(ctx, 0) == 1 && SSL_CTX_set_recv_max_early_data(ctx, 0) == 1;
}

static struct tz_tls_config *config_new(const SSL_METHOD *method, struct tz_err *err)
{
    ERR_clear_error();
    struct tz_tls_config *c = calloc(1, sizeof *c);
    if (c != NULL)
        c->ctx = SSL_CTX_new(method);
    if (c != NULL && c->ctx != NULL && harden(c->ctx))
        return c;
    (void)map_error(err, TZ_E_INTERNAL, "TLS set-up");
    tz_tls_config_free(c);
    return NULL;
}

void tz_tls_config_free(struct tz_tls_config *c)
{
    if (c == NULL)
        return;
    SSL_CTX_free(c->ctx);
    free(c);
}

int tz_tls_config_server(const struct tz_tls_server_opts *opts, struct tz_tls_config **out, struct tz_err *err)
{
    struct tz_err local = {0};
    *out = NULL;
    struct tz_tls_config *c = config_new(TLS_server_method(), &local);
    int rc = c != NULL ? use_cert(c->ctx, opts->cert, opts->key, &local) : local.code;
    if (rc == 0)
        rc = trust_ca(c->ctx, opts->ca_cert, true, &local);
    if (rc == 0) {
        c->server = true;
        c->has_ca = true;
        SSL_CTX_set_client_hello_cb(c->ctx, client_hello_cb, NULL);
        SSL_CTX_set_alpn_select_cb(c->ctx, select_alpn_cb, NULL);
        *out = c;
        return 0;
    }
    tz_tls_config_free(c);
    if (err != NULL)
        *err = local;
    return rc;
}

static int offer_alpn(SSL_CTX *ctx, enum tz_tls_alpn alpn, struct tz_err *err)
{
    uint8_t list[32];
    size_t n = strlen(alpn_names[alpn]);
    assert(n < sizeof list);
    list[0] = (uint8_t)n;
    memcpy(list + 1, alpn_names[alpn], n);
    /* This one function of OpenSSL returns 0 for success. */
    return n > 0 && SSL_CTX_set_alpn_protos(ctx, list, (unsigned)n + 1) == 0 ? 0
                                                                             : map_error(err, TZ_E_INTERNAL, "ALPN");
}

static int client_config_fill(struct tz_tls_config *c, const struct tz_tls_client_opts *opts, struct tz_err *err)
{
    c->alpn = opts->alpn;
    c->has_ca = opts->ca_cert.n > 0;
    c->has_pin = opts->pin != NULL;
    if (!c->has_ca && !c->has_pin)
        return tz_err_set(err, TZ_E_INTERNAL, "TLS client without pin and CA", NULL, NULL, NULL);
    if (c->has_pin)
        memcpy(c->pin, opts->pin, sizeof c->pin);
    int rc = offer_alpn(c->ctx, opts->alpn, err);
    if (rc == 0 && opts->cert.n > 0)
        rc = use_cert(c->ctx, opts->cert, opts->key, err);
    if (rc == 0 && c->has_ca)
        rc = trust_ca(c->ctx, opts->ca_cert, false, err);
    SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(c->ctx, check_server_cb, NULL);
    return rc;
}

int tz_tls_config_client(const struct tz_tls_client_opts *opts, struct tz_tls_config **out, struct tz_err *err)
{
    struct tz_err local = {0};
    *out = NULL;
    struct tz_tls_config *c = config_new(TLS_client_method(), &local);
    int rc = c != NULL ? client_config_fill(c, opts, &local) : local.code;
    if (rc == 0) {
        *out = c;
        return 0;
    }
    tz_tls_config_free(c);
    if (err != NULL)
        *err = local;
    return rc;
}

/* ---- the engine ---- */

static int fail(struct tz_tls *t, struct tz_err *err)
{
    assert(t->failure.code != 0);
    t->state = TZ_TLS_FAILED;
    if (err != NULL)
        *err = t->failure;
    return t->failure.code;
}

/* Invariant 1. False when the output cap is reached or memory is out; then the connection cannot go on. */
static bool drain(struct tz_tls *t)
{
    char *p = NULL;
    long n = BIO_get_mem_data(t->out_bio, &p);
    int rc = n > 0 ? tz_buf_put(&t->out, p, (size_t)n) : 0;
    (void)BIO_reset(t->out_bio);
    if (rc != 0 && t->failure.code == 0)
        (void)tz_err_set(&t->failure, rc, "TLS output", NULL, NULL, NULL);
    return rc == 0;
}

/* After an SSL call: drain, enforce the message cap, and sort what @ssl_rc means. 0: go on (or more input is needed).
 */
static int settle(struct tz_tls *t, int ssl_rc, struct tz_err *err)
{
    int why = SSL_get_error(t->ssl, ssl_rc);
    if (!drain(t))
        return fail(t, err);
    if (t->post_handshake > TZ_TLS_KEY_UPDATES_MAX) {
        (void)tz_err_set(&t->failure, TZ_E_TLS, "too many key updates", NULL, NULL, NULL);
        return fail(t, err);
    }
    if (why == SSL_ERROR_NONE || why == SSL_ERROR_WANT_READ)
        return 0;
    if (why == SSL_ERROR_ZERO_RETURN && t->state == TZ_TLS_OPEN) {
        t->state = TZ_TLS_CLOSED;
        return 0;
    }
    if (t->server_key_bad)
        (void)tz_err_set(&t->failure, TZ_E_SERVER_KEY, NULL, NULL, NULL, NULL);
    else
        (void)map_error(&t->failure, TZ_E_TLS, "TLS failure");
    ERR_clear_error();
    return fail(t, err);
}

static enum tz_tls_alpn negotiated(const SSL *ssl)
{
    const unsigned char *p = NULL;
    unsigned n = 0;
    SSL_get0_alpn_selected(ssl, &p, &n);
    for (int a = TZ_TLS_ALPN_SESSION; a <= TZ_TLS_ALPN_ENROL; a++)
        if (n == strlen(alpn_names[a]) && memcmp(p, alpn_names[a], n) == 0)
            return (enum tz_tls_alpn)a;
    return TZ_TLS_ALPN_NONE;
}

/* Invariant 3: nothing becomes OPEN on the word of a callback alone. */
static bool proven(const struct tz_tls *t)
{
    if (t->config->server)
        return t->peer.alpn != TZ_TLS_ALPN_NONE && t->peer.alpn == t->alpn &&
               (t->peer.alpn == TZ_TLS_ALPN_ENROL || t->peer.verified);
    return t->peer.alpn == t->config->alpn && t->peer.verified;
}

static int finish_handshake(struct tz_tls *t, struct tz_err *err)
{
    X509 *cert = SSL_get1_peer_certificate(t->ssl);
    t->peer.alpn = negotiated(t->ssl);
    t->peer.has_cert = cert != NULL && describe_cert(cert, &t->peer);
    t->peer.verified = t->peer.has_cert && SSL_get_verify_result(t->ssl) == X509_V_OK &&
                       (SSL_get_verify_mode(t->ssl) & SSL_VERIFY_PEER) != 0;
    X509_free(cert);
    if (proven(t)) {
        t->state = TZ_TLS_OPEN;
        return 0;
    }
    const char *what = t->peer.alpn == TZ_TLS_ALPN_NONE ? "no common protocol" : "peer not verified";
    (void)tz_err_set(&t->failure, TZ_E_TLS, what, NULL, NULL, NULL);
    return fail(t, err);
}

static int advance_handshake(struct tz_tls *t, struct tz_err *err)
{
    ERR_clear_error();
    int ssl_rc = SSL_do_handshake(t->ssl);
    int rc = settle(t, ssl_rc, err);
    return rc == 0 && ssl_rc == 1 ? finish_handshake(t, err) : rc;
}

/* Give the SSL its two BIOs; they are its property afterwards. */
static bool attach_bios(struct tz_tls *t)
{
    BIO *in = BIO_new(BIO_s_mem());
    BIO *out = BIO_new(BIO_s_mem());
    if (in == NULL || out == NULL) {
        BIO_free(in);
        BIO_free(out);
        return false;
    }
    BIO_set_mem_eof_return(in, -1); /* empty is "retry", not the end */
    BIO_set_mem_eof_return(out, -1);
    SSL_set_bio(t->ssl, in, out);
    t->in = in;
    t->out_bio = out;
    return true;
}

int tz_tls_new(const struct tz_tls_config *c, size_t in_bytes_max, size_t out_bytes_max, struct tz_tls **out,
               struct tz_err *err)
{
    ERR_clear_error();
    *out = NULL;
    struct tz_tls *t = calloc(1, sizeof *t);
    if (t == NULL)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    t->config = c;
    t->in_bytes_max = in_bytes_max;
    tz_buf_init(&t->out, out_bytes_max);
    t->ssl = SSL_new(c->ctx);
    int rc = 0;
    if (t->ssl == NULL || !attach_bios(t)) {
        rc = map_error(err, TZ_E_NOMEM, "TLS connection");
    } else {
        SSL_set_app_data(t->ssl, t);
        if (c->server)
            SSL_set_accept_state(t->ssl);
        else
            SSL_set_connect_state(t->ssl);
        rc = c->server ? 0 : advance_handshake(t, err);
    }
    if (rc == 0)
        *out = t;
    else
        tz_tls_free(t);
    return rc;
}

void tz_tls_free(struct tz_tls *t)
{
    if (t == NULL)
        return;
    SSL_free(t->ssl);
    tz_buf_deinit(&t->out);
    free(t);
}

enum tz_tls_state tz_tls_state(const struct tz_tls *t)
{
    return t->state;
}

int tz_tls_feed(struct tz_tls *t, struct tz_bytes in, struct tz_err *err)
{
    if (t->state == TZ_TLS_FAILED)
        return fail(t, err);
    if (in.n > t->in_bytes_max || BIO_ctrl_pending(t->in) > t->in_bytes_max - in.n)
        return tz_err_set(err, TZ_E_LIMIT, "TLS input", NULL, NULL, NULL);
    ERR_clear_error();
    if (in.n > 0 && BIO_write(t->in, in.p, (int)in.n) != (int)in.n)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    return t->state == TZ_TLS_HANDSHAKE ? advance_handshake(t, err) : 0;
}

int tz_tls_read(struct tz_tls *t, uint8_t *p, size_t n, size_t *got, struct tz_err *err)
{
    *got = 0;
    if (t->state == TZ_TLS_FAILED)
        return fail(t, err);
    if (t->state != TZ_TLS_OPEN || n == 0)
        return 0;
    ERR_clear_error();
    int ssl_rc = SSL_read_ex(t->ssl, p, n, got);
    if (ssl_rc != 1)
        *got = 0;
    int rc = settle(t, ssl_rc, err);
    if (rc != 0)
        *got = 0;
    return rc;
}

int tz_tls_feed_eof(struct tz_tls *t, struct tz_err *err)
{
    if (t->state == TZ_TLS_FAILED)
        return fail(t, err);
    return t->state == TZ_TLS_CLOSED ? 0 : tz_err_set(err, TZ_E_GONE, NULL, NULL, NULL, NULL);
}

/* Upper bound of what @plain_bytes become: per record 5 bytes of header, 1 of type, 16 of tag. */
static size_t sealed_bytes(size_t plain_bytes)
{
    size_t records = plain_bytes / TZ_TLS_RECORD_PLAIN_MAX + 1;
    return plain_bytes + records * 22;
}

int tz_tls_write(struct tz_tls *t, struct tz_bytes plain, struct tz_err *err)
{
    if (t->state == TZ_TLS_FAILED)
        return fail(t, err);
    if (t->state == TZ_TLS_HANDSHAKE)
        return tz_err_set(err, TZ_E_INTERNAL, "TLS write before the handshake", NULL, NULL, NULL);
    if (t->close_sent)
        return tz_err_set(err, TZ_E_GONE, NULL, NULL, NULL, NULL);
    if (plain.n == 0)
        return 0;
    size_t waiting = tz_buf_unread(&t->out).n;
    if (plain.n > t->out.bytes_max || sealed_bytes(plain.n) > t->out.bytes_max - waiting)
        return tz_err_set(err, TZ_E_LIMIT, "TLS output", NULL, NULL, NULL);
    ERR_clear_error();
    size_t written = 0;
    int ssl_rc = SSL_write_ex(t->ssl, plain.p, plain.n, &written);
    return settle(t, ssl_rc, err);
}

void tz_tls_close(struct tz_tls *t)
{
    if (t->close_sent || (t->state != TZ_TLS_OPEN && t->state != TZ_TLS_CLOSED))
        return;
    t->close_sent = true;
    ERR_clear_error();
    (void)SSL_shutdown(t->ssl); /* 0: sent; the peer's own close_notify is read, or not, by tz_tls_read */
    ERR_clear_error();
    if (!drain(t))
        (void)fail(t, NULL);
}

struct tz_bytes tz_tls_out(const struct tz_tls *t)
{
    return tz_buf_unread(&t->out);
}

void tz_tls_out_consume(struct tz_tls *t, size_t n)
{
    tz_buf_consume(&t->out, n);
}

const struct tz_tls_peer *tz_tls_peer(const struct tz_tls *t)
{
    return &t->peer;
}

unsigned tz_tls_key_updates(const struct tz_tls *t)
{
    return t->post_handshake;
}
