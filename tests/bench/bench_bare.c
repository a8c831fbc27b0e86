/* SPDX-License-Identifier: Apache-2.0 */
/* The limit of W3: two commits and two TLS connections in a row, and nothing else. */
#include "bench.h"
#include "bench_live.h"
#include "db.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sqlite3.h>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 300, WARM_UP = 50 };

struct hop {
    SSL *in, *out; /* out NULL: the last one */
    char db[BENCH_PATH_BYTES];
    unsigned n;
    double *arrived; /* of the last one */
};

static void make_certificate(EVP_PKEY **key, X509 **cert)
{
    *key = EVP_EC_gen("P-256");
    *cert = X509_new();
    bench_check(*key && *cert && X509_set_version(*cert, 2) && ASN1_INTEGER_set(X509_get_serialNumber(*cert), 1) &&
                    X509_gmtime_adj(X509_getm_notBefore(*cert), 0) &&
                    X509_gmtime_adj(X509_getm_notAfter(*cert), 86400) && X509_set_pubkey(*cert, *key) &&
                    X509_sign(*cert, *key, EVP_sha256()),
                "no certificate");
}

static SSL *wrap(SSL_CTX *ctx, int fd)
{
    SSL *s = SSL_new(ctx);
    bench_check(s && SSL_set_fd(s, fd), "no TLS");
    return s;
}

static void *accept_it(void *arg)
{
    bench_check(SSL_accept(arg) == 1, "TLS handshake");
    return NULL;
}

static void tcp_pair(int fd[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int yes = 1;
    int l = socket(AF_INET, SOCK_STREAM, 0);
    fd[0] = socket(AF_INET, SOCK_STREAM, 0);
    bench_check(l >= 0 && fd[0] >= 0 && bind(l, (struct sockaddr *)&at, len) == 0 && listen(l, 1) == 0 &&
                    getsockname(l, (struct sockaddr *)&at, &len) == 0 &&
                    connect(fd[0], (struct sockaddr *)&at, len) == 0,
                "no connection over loopback");
    fd[1] = accept(l, NULL, NULL);
    bench_check(fd[1] >= 0, "no connection over loopback");
    close(l);
    for (int i = 0; i < 2; i++)
        setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

/** A TLS 1.3 connection over loopback: end[0] writes, end[1] reads. */
static void tls_pair(SSL_CTX *client, SSL_CTX *server, SSL *end[2])
{
    int fd[2];
    pthread_t t;
    tcp_pair(fd);
    end[0] = wrap(client, fd[0]);
    end[1] = wrap(server, fd[1]);
    bench_check(pthread_create(&t, NULL, accept_it, end[1]) == 0, "no thread");
    bench_check(SSL_connect(end[0]) == 1 && pthread_join(t, NULL) == 0, "TLS handshake");
    bench_check(strcmp(SSL_get_version(end[0]), "TLSv1.3") == 0, "not TLS 1.3");
}

static void drop(SSL *s)
{
    int fd = SSL_get_fd(s);
    SSL_free(s);
    close(fd);
}

static void write_all(SSL *s, const void *p)
{
    bench_check(SSL_write(s, p, MESSAGE_BYTES) == MESSAGE_BYTES, "TLS write");
}

static void read_all(SSL *s, uint8_t *p)
{
    for (int got = 0, n; got < MESSAGE_BYTES; got += n) {
        n = SSL_read(s, p + got, MESSAGE_BYTES - got);
        bench_check(n > 0, "TLS read");
    }
}

/** Receive, make it durable, hand it on. */
static void *hop(void *arg)
{
    struct hop *h = arg;
    uint8_t m[MESSAGE_BYTES];
    struct tz_err err = {0};
    struct tz_db *db;
    struct tz_stmt st;
    bench_check(tz_db_open(h->db, TZ_DB_CREATE, NULL, &db, &err) == 0, "cannot open %s", h->db);
    bench_check(tz_db_exec(db, "CREATE TABLE r(id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT", &err) == 0 &&
                    tz_db_prepare(db, &st, "INSERT INTO r(body) VALUES(?1)", &err) == 0,
                "cannot write %s", h->db);
    for (unsigned i = 0; i < h->n; i++) {
        read_all(h->in, m);
        tz_stmt_bind_blob(&st, 1, m, sizeof m);
        bench_check(tz_db_begin_immediate(db, &err) == 0 && tz_stmt_run(&st, &err) == 0 && tz_db_commit(db, &err) == 0,
                    "cannot write %s", h->db);
        if (h->out)
            write_all(h->out, m);
        else
            __atomic_store(&h->arrived[i], &(double){bench_now()}, __ATOMIC_RELEASE);
    }
    tz_stmt_finalize(&st);
    tz_db_close(db);
    return NULL;
}

static double await(const double *arrived)
{
    double v = 0;
    for (;;) {
        __atomic_load(arrived, &v, __ATOMIC_ACQUIRE);
        if (v > 0)
            return v;
        usleep(100); /* the time is taken over there */
    }
}

void bench_bare(const char *dir, unsigned edits, struct bench_latency *out)
{
    EVP_PKEY *key;
    X509 *cert;
    SSL *first[2];
    SSL *second[2];
    pthread_t t[2];
    uint8_t m[MESSAGE_BYTES] = {0};
    unsigned n = edits + WARM_UP;
    double *arrived = calloc(n, sizeof *arrived);
    double *took = calloc(n, sizeof *took);
    SSL_CTX *client = SSL_CTX_new(TLS_client_method());
    SSL_CTX *server = SSL_CTX_new(TLS_server_method());
    make_certificate(&key, &cert);
    bench_check(arrived && took && client && server && SSL_CTX_use_certificate(server, cert) &&
                    SSL_CTX_use_PrivateKey(server, key),
                "no TLS");
    tls_pair(client, server, first);
    tls_pair(client, server, second);
    struct hop s = {.in = first[1], .out = second[0], .n = n};
    struct hop b = {.in = second[1], .n = n, .arrived = arrived};
    bench_path(s.db, dir, "bare-s.db");
    bench_path(b.db, dir, "bare-b.db");
    bench_check(pthread_create(&t[0], NULL, hop, &s) == 0 && pthread_create(&t[1], NULL, hop, &b) == 0, "no thread");
    for (unsigned i = 0; i < n; i++) {
        usleep(2000);
        double begun = bench_now();
        write_all(first[0], m);
        took[i] = await(&arrived[i]) - begun;
    }
    for (int i = 0; i < 2; i++) {
        bench_check(pthread_join(t[i], NULL) == 0, "join");
        drop(first[i]);
        drop(second[i]);
    }
    *out = (struct bench_latency){.p50 = bench_quantile(took + WARM_UP, edits, 50),
                                  .p99 = bench_quantile(took + WARM_UP, edits, 99)};
    SSL_CTX_free(client);
    SSL_CTX_free(server);
    X509_free(cert);
    EVP_PKEY_free(key);
    free(arrived);
    free(took);
}
