/* SPDX-License-Identifier: Apache-2.0 */
/* Turns the peer address of a socket into text; see uvaddr.h. */
#include "uvaddr.h"

#include "addr.h"

#include <netinet/in.h>
#include <uv.h>

void tz_uv_peer_name(const struct uv_tcp_s *tcp, char *out, size_t out_bytes)
{
    struct sockaddr_storage sa = {0};
    struct tz_addr a = {.port = 0};
    int n = (int)sizeof sa;
    out[0] = '\0';
    if (uv_tcp_getpeername(tcp, (struct sockaddr *)&sa, &n) < 0)
        return;
    if (sa.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)&sa;
        (void)uv_ip6_name(v6, a.host, sizeof a.host);
        a.port = ntohs(v6->sin6_port);
    } else {
        const struct sockaddr_in *v4 = (const void *)&sa;
        (void)uv_ip4_name(v4, a.host, sizeof a.host);
        a.port = ntohs(v4->sin_port);
    }
    (void)tz_addr_print(&a, out, out_bytes);
}
