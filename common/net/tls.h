/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_TLS_H
#define TZ_TLS_H

/*
 * TLS as an engine: ciphertext in, ciphertext out, plaintext in, plaintext out. No sockets, no clock.
 *
 *   feed ──> [ input BIO ] ──> tz_tls_read        tz_tls_write ──> [ output ] ──> tz_tls_out / tz_tls_out_consume
 *
 * TLS 1.3 only. The protocol name (ALPN) decides who must prove what:
 *   taizhang/1        the client shows a certificate that chains to the server's CA
 *   taizhang-enrol/1  the client shows none
 * Anything else ends the handshake with an alert. Dates in certificates are not judged. Tickets, early data and
 * compression are off; handshake messages after the handshake (KeyUpdate) are counted and 64 are the most.
 *
 * A configuration may serve many engines, on one thread at a time; it must outlive them. An engine belongs to one
 * thread.
 */

#include "buf.h"

struct tz_tls_config;
struct tz_tls;

enum tz_tls_alpn { TZ_TLS_ALPN_NONE, TZ_TLS_ALPN_SESSION, TZ_TLS_ALPN_ENROL };
enum tz_tls_state {
    TZ_TLS_HANDSHAKE,
    TZ_TLS_OPEN,   /* plaintext may pass both ways */
    TZ_TLS_CLOSED, /* the peer sent close_notify; everything it sent before has been read */
    TZ_TLS_FAILED, /* an alert may still wait in the output */
};
enum { TZ_TLS_KEY_UPDATES_MAX = 64, TZ_TLS_RECORD_PLAIN_MAX = 16 * 1024 };

/** Certificates PEM or DER, keys PEM; borrowed for the call. */
struct tz_tls_server_opts {
    struct tz_bytes ca_cert;
    struct tz_bytes cert;
    struct tz_bytes key;
};
TZ_MUST_USE int tz_tls_config_server(const struct tz_tls_server_opts *opts, struct tz_tls_config **out,
                                     struct tz_err *err);

/** What a client knows of its server: the key's pin, the CA, or both (then both must hold). Neither is TZ_E_INTERNAL.
 */
struct tz_tls_client_opts {
    enum tz_tls_alpn alpn;
    struct tz_bytes cert;    /**< empty: none is shown */
    struct tz_bytes key;     /**< with cert */
    struct tz_bytes ca_cert; /**< empty: the chain is not looked at */
    const uint8_t *pin;      /**< 32 bytes, SHA-256 of the server key's SubjectPublicKeyInfo, or NULL */
};
TZ_MUST_USE int tz_tls_config_client(const struct tz_tls_client_opts *opts, struct tz_tls_config **out,
                                     struct tz_err *err);
/** NULL is allowed. */
void tz_tls_config_free(struct tz_tls_config *c);

/**
 * Start one connection. A client's first message is in the output at once.
 *
 * @in_bytes_max   ciphertext that may wait for tz_tls_read; at least 32 KiB is sensible (a record and a bit)
 * @out_bytes_max  ciphertext that may wait for tz_tls_out_consume
 */
TZ_MUST_USE int tz_tls_new(const struct tz_tls_config *c, size_t in_bytes_max, size_t out_bytes_max,
                           struct tz_tls **out, struct tz_err *err);
/** NULL is allowed. Sends nothing. */
void tz_tls_free(struct tz_tls *t);

enum tz_tls_state tz_tls_state(const struct tz_tls *t);

/** Copy in ciphertext and advance the handshake. TZ_E_LIMIT past in_bytes_max (nothing is taken); TZ_E_TLS,
 * TZ_E_SERVER_KEY. */
TZ_MUST_USE int tz_tls_feed(struct tz_tls *t, struct tz_bytes in, struct tz_err *err);
/**
 * Up to @n bytes of plaintext. *@got is 0 when more ciphertext is needed, during the handshake, and after close_notify
 * (state CLOSED). TZ_E_TLS.
 */
TZ_MUST_USE int tz_tls_read(struct tz_tls *t, uint8_t *p, size_t n, size_t *got, struct tz_err *err);
/** The transport ended: 0 after close_notify, TZ_E_GONE otherwise, or the error that ended the engine before. */
TZ_MUST_USE int tz_tls_feed_eof(struct tz_tls *t, struct tz_err *err);
/**
 * Encrypt all of @plain. TZ_E_LIMIT when the output would pass out_bytes_max (nothing is taken, the engine lives on);
 * TZ_E_INTERNAL before OPEN, TZ_E_GONE after tz_tls_close; TZ_E_TLS.
 */
TZ_MUST_USE int tz_tls_write(struct tz_tls *t, struct tz_bytes plain, struct tz_err *err);
/** Put close_notify into the output. Idempotent; reading goes on. Does nothing before OPEN or after a failure. */
void tz_tls_close(struct tz_tls *t);

/** Ciphertext to send; borrowed until the next call on @t. */
struct tz_bytes tz_tls_out(const struct tz_tls *t);
void tz_tls_out_consume(struct tz_tls *t, size_t n);

/** What the handshake proved. Valid from OPEN on. */
struct tz_tls_peer {
    enum tz_tls_alpn alpn;
    bool verified; /**< the certificate passed this side's rules (server: chain; client: pin, chain) */
    bool has_cert;
    uint8_t fingerprint[32]; /**< SHA-256 of the certificate's DER; zero without one */
    uint8_t pin[32];         /**< SHA-256 of its SubjectPublicKeyInfo */
    uint64_t device;         /**< number in CN "device-<number>", 0 for other names */
};
const struct tz_tls_peer *tz_tls_peer(const struct tz_tls *t);
/** Post-handshake messages received, for tests and metrics. */
unsigned tz_tls_key_updates(const struct tz_tls *t);

#endif
