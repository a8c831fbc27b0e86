/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_INVITE_H
#define TZ_INVITE_H

/*
 * The invitation code: where the server is, which key it must show, and the one-use secret, as one token to copy and
 * paste:
 *
 *   TZ1-XXXXX-XXXXX-…   Crockford base32, groups of five, any case, hyphens and white space ignored when read
 *
 * Bytes behind it: pin (32) | secret (16) | address (1 to 127 bytes of printable ASCII, "host:port") | checksum (4).
 * Checksum: the first 4 bytes of SHA-256("TZ1" | pin | secret | address), so that a slip is found before any
 * connection.
 */

#include "buf.h"

enum {
    TZ_INVITE_ADDRESS_BYTES = 128, /* with the NUL */
    TZ_INVITE_PIN_BYTES = 32,
    TZ_INVITE_SECRET_BYTES = 16,
    TZ_INVITE_CODE_BYTES = 384, /* enough for any code, with the NUL */
};

struct tz_invite {
    char address[TZ_INVITE_ADDRESS_BYTES];  /**< "host:port" or "[v6]:port" */
    uint8_t pin[TZ_INVITE_PIN_BYTES];       /**< SHA-256 of the server key's SubjectPublicKeyInfo */
    uint8_t secret[TZ_INVITE_SECRET_BYTES]; /**< one use */
};

/** Write the code and a NUL. TZ_E_INVITE when the address cannot travel in one, TZ_E_NOMEM. */
TZ_MUST_USE int tz_invite_encode(const struct tz_invite *in, char out[TZ_INVITE_CODE_BYTES]);
/** TZ_E_INVITE for anything that is not a whole, unaltered code (@out is then zeroed), TZ_E_NOMEM. */
TZ_MUST_USE int tz_invite_decode(const char *code, struct tz_invite *out);

#endif
