/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_IDENTITY_H
#define TZ_IDENTITY_H

/* Who the server is: its CA and its own key, as files in the data folder. Clients know the server by its key's pin. */

#include "datadir.h"
#include "pki.h"

struct tz_identity {
    struct tz_buf ca_key, ca_cert;         /**< PEM */
    struct tz_buf server_key, server_cert; /**< PEM */
    struct tz_buf ca_der;                  /**< what a joining device gets */
    uint8_t pin[TZ_PKI_PIN_BYTES];
};

/** Make keys and certificates in @d; @name stands in the certificates. On an error no file of it is left. */
TZ_MUST_USE int tz_identity_create(const struct tz_datadir *d, const char *name, struct tz_err *err);
/** @id must be deinitialised, also after an error. */
TZ_MUST_USE int tz_identity_load(const struct tz_datadir *d, struct tz_identity *id, struct tz_err *err);
/** Overwrites the keys. Accepts a zeroed struct and a second call. */
void tz_identity_deinit(struct tz_identity *id);
/** Only the pin, from server.crt. */
TZ_MUST_USE int tz_identity_pin(const struct tz_datadir *d, uint8_t pin[TZ_PKI_PIN_BYTES], struct tz_err *err);
/** A tz_sign_fn: @identity is a struct tz_identity that nobody changes meanwhile. Any thread. */
int tz_identity_sign(void *identity, uint32_t device, struct tz_bytes csr, struct tz_buf *certificate,
                     uint8_t fingerprint[TZ_PKI_PIN_BYTES], struct tz_err *err);
/** Remove what tz_identity_create made, after a later step of making a server failed. */
void tz_identity_remove(const struct tz_datadir *d);

#endif
