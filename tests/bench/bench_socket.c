/* SPDX-License-Identifier: Apache-2.0 */
/* In a file of its own: the kernel's tcp_info has the counters, and its header cannot stand beside the C library's. */
#include "bench.h"
#include "bench_live.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

uint64_t bench_socket_bytes(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    bench_check(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0, "no TCP_INFO");
    return info.tcpi_bytes_received + info.tcpi_bytes_acked;
}
