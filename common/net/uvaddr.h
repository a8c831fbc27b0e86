/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_UVADDR_H
#define TZ_UVADDR_H

/* Names of sockets, for logs. */

#include <stddef.h>

struct uv_tcp_s;

/** "192.0.2.1:4711" or "[2001:db8::1]:4711" of the other end; "" when there is none. */
void tz_uv_peer_name(const struct uv_tcp_s *tcp, char *out, size_t out_bytes);

#endif
