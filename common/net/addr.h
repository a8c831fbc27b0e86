/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_ADDR_H
#define TZ_ADDR_H

/* Addresses as people write them: "host:port", "192.0.2.1:7700", "[2001:db8::1]:7700". Pure, any thread. */

#include "err.h"

enum { TZ_HOST_BYTES = 128 };

struct tz_addr {
    char host[TZ_HOST_BYTES]; /**< without brackets */
    uint16_t port;
};

/** TZ_E_ADDRESS when a part is missing, too long or out of range. Port 0 is accepted. */
TZ_MUST_USE int tz_addr_parse(const char *text, struct tz_addr *out, struct tz_err *err);
/** "host:port", with brackets around a host that has colons. Returns @out. */
const char *tz_addr_print(const struct tz_addr *a, char *out, size_t out_bytes);

#endif
