/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_BENCH_LIVE_H
#define TZ_BENCH_LIVE_H

/* One edit from one connected office to another, and the same way gone by a program that does nothing else. */

#include <stdint.h>

struct bench_latency {
    double p50, p99; /**< seconds */
    double bytes;    /**< on B's connection, both ways, TLS included, per edit; of the real one */
};

/** @edits one after another, each from durable at the office @a_dir to durable at the office @b_dir. */
void bench_live(const char *a_dir, const char *b_dir, unsigned edits, struct bench_latency *out);
/**
 * The limit: A sends 300 bytes over TLS 1.3 to S, which inserts a row (WAL, synchronous=FULL), commits, and sends it to B,
 * which does the same; three threads, blocking sockets, databases in the folder @dir.
 */
void bench_bare(const char *dir, unsigned edits, struct bench_latency *out);

/** What a TCP socket has received and what of it the other side has acknowledged, since it was opened. */
uint64_t bench_socket_bytes(int fd);

#endif
