/* SPDX-License-Identifier: Apache-2.0 */
/* Two engines back to back in memory. What must fail is tested at least as much as what must work. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "tls.h"

#include "pki_fixture.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

enum { IN_MAX = 64 * 1024, OUT_MAX = 256 * 1024 };

static struct pki_fixture home, foreign;
static struct tz_tls_config *server_config;

static int setup(void **state)
{
    (void)state;
    struct tz_err err = {0};
    pki_fixture_init(&home);
    pki_fixture_init(&foreign);
    const struct tz_tls_server_opts opts = {.ca_cert = tz_buf_unread(&home.ca_cert),
                                            .cert = tz_buf_unread(&home.server_cert),
                                            .key = tz_buf_unread(&home.server_key)};
    return tz_tls_config_server(&opts, &server_config, &err);
}

static int teardown(void **state)
{
    (void)state;
    tz_tls_config_free(server_config);
    pki_fixture_deinit(&home);
    pki_fixture_deinit(&foreign);
    return 0;
}

struct pair {
    struct tz_tls_config *client_config;
    struct tz_tls *client, *server;
    struct tz_err client_err, server_err;
};

static void pair_open_with(struct pair *p, const struct tz_tls_config *server, const struct tz_tls_client_opts *opts)
{
    struct tz_err err = {0};
    *p = (struct pair){.client_config = NULL};
    assert_int_equal(tz_tls_config_client(opts, &p->client_config, &err), 0);
    assert_int_equal(tz_tls_new(p->client_config, IN_MAX, OUT_MAX, &p->client, &err), 0);
    assert_int_equal(tz_tls_new(server, IN_MAX, OUT_MAX, &p->server, &err), 0);
}

static void pair_open(struct pair *p, const struct tz_tls_client_opts *opts)
{
    pair_open_with(p, server_config, opts);
}

static void pair_close(struct pair *p)
{
    tz_tls_free(p->client);
    tz_tls_free(p->server);
    tz_tls_config_free(p->client_config);
}

/* Move what waits from one engine to the other in pieces of @step bytes; true if anything moved. */
static bool carry(struct tz_tls *from, struct tz_tls *to, size_t step, struct tz_err *to_err)
{
    bool moved = false;
    while (tz_tls_out(from).n > 0 && tz_tls_state(to) != TZ_TLS_FAILED) {
        struct tz_bytes out = tz_tls_out(from);
        size_t n = out.n < step ? out.n : step;
        int rc = tz_tls_feed(to, tz_bytes_of(out.p, n), to_err);
        assert_int_equal(rc != 0, tz_tls_state(to) == TZ_TLS_FAILED);
        tz_tls_out_consume(from, n);
        moved = true;
    }
    return moved;
}

static void touch(struct tz_tls *t, struct tz_err *err)
{
    uint8_t none[1];
    size_t got = 0;
    if (tz_tls_state(t) != TZ_TLS_HANDSHAKE) {
        int rc = tz_tls_read(t, none, sizeof none, &got, err);
        assert_int_equal(rc != 0, tz_tls_state(t) == TZ_TLS_FAILED);
    }
}

static void run(struct pair *p, size_t step)
{
    while (carry(p->client, p->server, step, &p->server_err) | carry(p->server, p->client, step, &p->client_err)) {
        touch(p->client, &p->client_err); /* a client learns only by reading that the server refused it */
    }
}

static struct tz_tls_client_opts session_opts(const struct pki_fixture *identity)
{
    return (struct tz_tls_client_opts){.alpn = TZ_TLS_ALPN_SESSION,
                                       .cert = tz_buf_unread(&identity->device_cert),
                                       .key = tz_buf_unread(&identity->device_key),
                                       .ca_cert = tz_buf_unread(&home.ca_cert)};
}

static void send_text(struct tz_tls *from, struct tz_tls *to, size_t step, const char *text)
{
    struct tz_err err = {0};
    char seen[128];
    size_t at = 0, got = 1;
    assert_int_equal(tz_tls_write(from, tz_bytes_str(text), &err), 0);
    assert_true(carry(from, to, step, &err));
    while (got > 0) {
        assert_int_equal(tz_tls_read(to, (uint8_t *)seen + at, sizeof seen - at, &got, &err), 0);
        at += got;
    }
    assert_int_equal(at, strlen(text));
    assert_memory_equal(seen, text, at);
}

static void session_in_steps_of(size_t step)
{
    struct pair p;
    struct tz_tls_client_opts opts = session_opts(&home);
    pair_open(&p, &opts);
    run(&p, step);
    assert_int_equal(tz_tls_state(p.client), TZ_TLS_OPEN);
    assert_int_equal(tz_tls_state(p.server), TZ_TLS_OPEN);
    const struct tz_tls_peer *device = tz_tls_peer(p.server);
    uint8_t fingerprint[32];
    assert_int_equal(tz_pki_cert_fingerprint(opts.cert, fingerprint, NULL), 0);
    assert_int_equal(device->alpn, TZ_TLS_ALPN_SESSION);
    assert_true(device->verified && device->has_cert);
    assert_int_equal(device->device, 7);
    assert_memory_equal(device->fingerprint, fingerprint, 32);
    assert_true(tz_tls_peer(p.client)->verified);
    assert_memory_equal(tz_tls_peer(p.client)->pin, home.pin, 32);
    send_text(p.client, p.server, step, "up");
    send_text(p.server, p.client, step, "down, and down again");
    pair_close(&p);
}

static void session_opens_with_a_certificate_of_our_ca(void **state)
{
    (void)state;
    session_in_steps_of(SIZE_MAX);
}

static void session_works_one_byte_at_a_time(void **state)
{
    (void)state;
    session_in_steps_of(1);
}

static void enrolment_opens_with_the_pin_and_without_a_certificate(void **state)
{
    (void)state;
    struct pair p;
    const struct tz_tls_client_opts opts = {.alpn = TZ_TLS_ALPN_ENROL, .pin = home.pin};
    pair_open(&p, &opts);
    run(&p, 1);
    assert_int_equal(tz_tls_state(p.server), TZ_TLS_OPEN);
    assert_int_equal(tz_tls_state(p.client), TZ_TLS_OPEN);
    assert_int_equal(tz_tls_peer(p.server)->alpn, TZ_TLS_ALPN_ENROL);
    assert_false(tz_tls_peer(p.server)->has_cert || tz_tls_peer(p.server)->verified);
    assert_true(tz_tls_peer(p.client)->verified);
    send_text(p.client, p.server, 3, "request");
    pair_close(&p);
}

static void enrolment_does_not_ask_for_a_certificate(void **state)
{
    (void)state;
    struct pair p;
    struct tz_tls_client_opts opts = session_opts(&home);
    opts.alpn = TZ_TLS_ALPN_ENROL;
    pair_open(&p, &opts);
    run(&p, SIZE_MAX);
    assert_int_equal(tz_tls_state(p.server), TZ_TLS_OPEN);
    assert_false(tz_tls_peer(p.server)->has_cert);
    pair_close(&p);
}

static void expect_server_refusal(const struct tz_tls_client_opts *opts)
{
    struct pair p;
    pair_open(&p, opts);
    run(&p, SIZE_MAX);
    assert_int_equal(tz_tls_state(p.server), TZ_TLS_FAILED);
    assert_int_equal(p.server_err.code, TZ_E_TLS);
    assert_int_equal(tz_tls_state(p.client), TZ_TLS_FAILED);
    assert_int_equal(p.client_err.code, TZ_E_TLS);
    assert_int_equal(tz_tls_write(p.server, tz_bytes_str("x"), NULL), TZ_E_TLS);
    pair_close(&p);
}

static void session_without_certificate_is_refused(void **state)
{
    (void)state;
    const struct tz_tls_client_opts opts = {.alpn = TZ_TLS_ALPN_SESSION, .ca_cert = tz_buf_unread(&home.ca_cert)};
    expect_server_refusal(&opts);
}

static void certificate_of_another_ca_is_refused(void **state)
{
    (void)state;
    const struct tz_tls_client_opts opts = session_opts(&foreign);
    expect_server_refusal(&opts);
}

static void server_certificate_is_no_client_certificate(void **state)
{
    (void)state;
    struct tz_tls_client_opts opts = session_opts(&home);
    opts.cert = tz_buf_unread(&home.server_cert);
    opts.key = tz_buf_unread(&home.server_key);
    expect_server_refusal(&opts);
}

static void expect_client_refusal(const struct tz_tls_config *server, const struct tz_tls_client_opts *opts)
{
    struct pair p;
    pair_open_with(&p, server, opts);
    run(&p, SIZE_MAX);
    assert_int_equal(tz_tls_state(p.client), TZ_TLS_FAILED);
    assert_int_equal(p.client_err.code, TZ_E_SERVER_KEY);
    assert_int_equal(tz_tls_state(p.server), TZ_TLS_FAILED);
    assert_int_equal(p.server_err.code, TZ_E_TLS);
    pair_close(&p);
}

static void wrong_pin_is_refused_by_the_client(void **state)
{
    (void)state;
    uint8_t pin[32];
    memcpy(pin, home.pin, sizeof pin);
    pin[31] ^= 1;
    const struct tz_tls_client_opts opts = {.alpn = TZ_TLS_ALPN_ENROL, .pin = pin};
    expect_client_refusal(server_config, &opts);
}

static void server_of_another_ca_is_refused_by_the_client(void **state)
{
    (void)state;
    struct tz_tls_client_opts opts = session_opts(&home);
    opts.ca_cert = tz_buf_unread(&foreign.ca_cert);
    expect_client_refusal(server_config, &opts);
}

static void right_pin_with_wrong_ca_is_refused(void **state)
{
    (void)state;
    const struct tz_tls_client_opts opts = {
        .alpn = TZ_TLS_ALPN_ENROL, .pin = home.pin, .ca_cert = tz_buf_unread(&foreign.ca_cert)};
    expect_client_refusal(server_config, &opts);
}

static void device_cannot_pose_as_the_server(void **state)
{
    (void)state;
    struct tz_err err = {0};
    struct tz_tls_config *impostor = NULL;
    const struct tz_tls_server_opts server = {.ca_cert = tz_buf_unread(&home.ca_cert),
                                              .cert = tz_buf_unread(&home.device_cert),
                                              .key = tz_buf_unread(&home.device_key)};
    assert_int_equal(tz_tls_config_server(&server, &impostor, &err), 0);
    const struct tz_tls_client_opts opts = session_opts(&home);
    expect_client_refusal(impostor, &opts);
    tz_tls_config_free(impostor);
}

/* A plain OpenSSL client, for what our own engine never sends. */
struct raw {
    SSL_CTX *ctx;
    SSL *ssl;
    struct tz_tls *server;
    struct tz_err server_err;
};

static void raw_open(struct raw *r, int version, const char *alpn)
{
    *r = (struct raw){.ctx = SSL_CTX_new(TLS_client_method())};
    uint8_t list[64];
    assert_int_equal(SSL_CTX_set_max_proto_version(r->ctx, version), 1);
    r->ssl = SSL_new(r->ctx);
    if (alpn != NULL) {
        list[0] = (uint8_t)strlen(alpn);
        memcpy(list + 1, alpn, list[0]);
        assert_int_equal(SSL_set_alpn_protos(r->ssl, list, list[0] + 1U), 0);
    }
    SSL_set_bio(r->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(r->ssl);
    assert_int_equal(tz_tls_new(server_config, IN_MAX, OUT_MAX, &r->server, NULL), 0);
}

static void raw_close(struct raw *r)
{
    tz_tls_free(r->server);
    SSL_free(r->ssl);
    SSL_CTX_free(r->ctx);
}

static void raw_push(struct raw *r)
{
    char *p = NULL;
    long n = BIO_get_mem_data(SSL_get_wbio(r->ssl), &p);
    int rc = n > 0 ? tz_tls_feed(r->server, tz_bytes_of(p, (size_t)n), &r->server_err) : 0;
    assert_true(rc == 0 || tz_tls_state(r->server) == TZ_TLS_FAILED);
    (void)BIO_reset(SSL_get_wbio(r->ssl));
}

static int raw_handshake(struct raw *r)
{
    int rc = -1;
    for (int i = 0; i < 8 && rc != 1; i++) {
        rc = SSL_do_handshake(r->ssl);
        raw_push(r);
        struct tz_bytes out = tz_tls_out(r->server);
        if (out.n > 0)
            BIO_write(SSL_get_rbio(r->ssl), out.p, (int)out.n);
        tz_tls_out_consume(r->server, out.n);
    }
    return rc;
}

static void expect_raw_refusal(int version, const char *alpn)
{
    struct raw r;
    raw_open(&r, version, alpn);
    assert_int_not_equal(raw_handshake(&r), 1);
    assert_int_equal(tz_tls_state(r.server), TZ_TLS_FAILED);
    assert_int_equal(r.server_err.code, TZ_E_TLS);
    raw_close(&r);
}

static void tls12_client_is_refused(void **state)
{
    (void)state;
    expect_raw_refusal(TLS1_2_VERSION, "taizhang-enrol/1");
}

static void other_protocol_names_are_refused(void **state)
{
    (void)state;
    expect_raw_refusal(TLS1_3_VERSION, "h2");
    expect_raw_refusal(TLS1_3_VERSION, "taizhang/10");
    expect_raw_refusal(TLS1_3_VERSION, "taizhang/");
    expect_raw_refusal(TLS1_3_VERSION, NULL);
}

/* The first key share is of a group the server does not take, so it answers with HelloRetryRequest. */
static void raw_open_with_retry(struct raw *r, const char *alpn)
{
    raw_open(r, TLS1_3_VERSION, alpn);
    assert_int_equal(SSL_set1_groups_list(r->ssl, "P-521:P-256"), 1);
}

static void hello_retry_keeps_the_demand_for_a_certificate(void **state)
{
    (void)state;
    struct raw r;
    raw_open_with_retry(&r, "taizhang-enrol/1");
    assert_int_equal(raw_handshake(&r), 1);
    assert_int_equal(tz_tls_state(r.server), TZ_TLS_OPEN);
    raw_close(&r);
    raw_open_with_retry(&r, "taizhang/1");
    assert_int_equal(raw_handshake(&r), 1); /* a TLS 1.3 client is done before the server has judged it */
    assert_int_equal(tz_tls_state(r.server), TZ_TLS_FAILED);
    assert_int_equal(r.server_err.code, TZ_E_TLS);
    raw_close(&r);
}

static void key_updates_are_counted_and_capped(void **state)
{
    (void)state;
    struct raw r;
    uint8_t byte;
    size_t got = 0;
    raw_open(&r, TLS1_3_VERSION, "taizhang-enrol/1");
    assert_int_equal(raw_handshake(&r), 1);
    assert_int_equal(tz_tls_state(r.server), TZ_TLS_OPEN);
    for (unsigned i = 1; i <= TZ_TLS_KEY_UPDATES_MAX + 1; i++) {
        assert_int_equal(SSL_key_update(r.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(r.ssl), 1);
        raw_push(&r);
        int want = i <= TZ_TLS_KEY_UPDATES_MAX ? 0 : TZ_E_TLS;
        assert_int_equal(tz_tls_read(r.server, &byte, 1, &got, &r.server_err), want);
        assert_int_equal(tz_tls_key_updates(r.server), i);
    }
    assert_int_equal(tz_tls_state(r.server), TZ_TLS_FAILED);
    raw_close(&r);
}

static void garbage_fails_with_an_alert(void **state)
{
    (void)state;
    struct tz_err err = {0};
    struct tz_tls *t = NULL;
    assert_int_equal(tz_tls_new(server_config, IN_MAX, OUT_MAX, &t, &err), 0);
    assert_int_equal(tz_tls_feed(t, tz_bytes_str("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), &err), TZ_E_TLS);
    assert_int_equal(tz_tls_state(t), TZ_TLS_FAILED);
    assert_int_equal(tz_tls_feed(t, tz_bytes_str("more"), &err), TZ_E_TLS);
    tz_tls_free(t);
}

static void damaged_record_fails(void **state)
{
    (void)state;
    struct pair p;
    struct tz_tls_client_opts opts = session_opts(&home);
    uint8_t record[256], plain[64];
    size_t got = 0;
    pair_open(&p, &opts);
    run(&p, SIZE_MAX);
    assert_int_equal(tz_tls_write(p.client, tz_bytes_str("payload"), NULL), 0);
    struct tz_bytes out = tz_tls_out(p.client);
    assert_in_range(out.n, 10, sizeof record);
    memcpy(record, out.p, out.n);
    record[out.n - 1] ^= 1;
    assert_int_equal(tz_tls_feed(p.server, tz_bytes_of(record, out.n), NULL), 0);
    assert_int_equal(tz_tls_read(p.server, plain, sizeof plain, &got, NULL), TZ_E_TLS);
    assert_int_equal(got, 0);
    assert_true(tz_tls_out(p.server).n > 0); /* the alert */
    pair_close(&p);
}

static void close_notify_is_a_clean_end(void **state)
{
    (void)state;
    struct pair p;
    struct tz_tls_client_opts opts = session_opts(&home);
    uint8_t plain[64];
    size_t got = 0;
    pair_open(&p, &opts);
    run(&p, SIZE_MAX);
    assert_int_equal(tz_tls_write(p.client, tz_bytes_str("last"), NULL), 0);
    tz_tls_close(p.client);
    tz_tls_close(p.client);
    assert_int_equal(tz_tls_write(p.client, tz_bytes_str("late"), NULL), TZ_E_GONE);
    assert_true(carry(p.client, p.server, 1, NULL));
    assert_int_equal(tz_tls_read(p.server, plain, sizeof plain, &got, NULL), 0);
    assert_int_equal(got, 4);
    assert_int_equal(tz_tls_read(p.server, plain, sizeof plain, &got, NULL), 0);
    assert_int_equal(got, 0);
    assert_int_equal(tz_tls_state(p.server), TZ_TLS_CLOSED);
    assert_int_equal(tz_tls_feed_eof(p.server, NULL), 0);
    send_text(p.server, p.client, 1, "answer after the peer's end"); /* each direction closes for itself */
    pair_close(&p);
}

static void end_of_transport_alone_is_gone(void **state)
{
    (void)state;
    struct pair p;
    struct tz_tls_client_opts opts = session_opts(&home);
    pair_open(&p, &opts);
    assert_int_equal(tz_tls_feed_eof(p.server, NULL), TZ_E_GONE);
    run(&p, SIZE_MAX);
    assert_int_equal(tz_tls_feed_eof(p.server, NULL), TZ_E_GONE);
    pair_close(&p);
}

static void output_and_input_are_capped(void **state)
{
    (void)state;
    struct pair p;
    struct tz_tls_client_opts opts = session_opts(&home);
    uint8_t *big = calloc(1, OUT_MAX);
    pair_open(&p, &opts);
    run(&p, SIZE_MAX);
    assert_int_equal(tz_tls_write(p.client, tz_bytes_of(big, OUT_MAX), NULL), TZ_E_LIMIT);
    assert_int_equal(tz_tls_write(p.client, tz_bytes_of(big, OUT_MAX / 2), NULL), 0);
    assert_int_equal(tz_tls_write(p.client, tz_bytes_of(big, OUT_MAX / 2), NULL), TZ_E_LIMIT);
    assert_int_equal(tz_tls_state(p.client), TZ_TLS_OPEN);
    struct tz_bytes out = tz_tls_out(p.client);
    assert_int_equal(tz_tls_feed(p.server, tz_bytes_of(out.p, IN_MAX), NULL), 0);
    assert_int_equal(tz_tls_feed(p.server, tz_bytes_of(out.p, 1), NULL), TZ_E_LIMIT);
    assert_int_equal(tz_tls_state(p.server), TZ_TLS_OPEN);
    free(big);
    pair_close(&p);
}

static void writing_before_open_is_refused(void **state)
{
    (void)state;
    struct tz_tls *t = NULL;
    assert_int_equal(tz_tls_new(server_config, IN_MAX, OUT_MAX, &t, NULL), 0);
    assert_int_equal(tz_tls_write(t, tz_bytes_str("x"), NULL), TZ_E_INTERNAL);
    tz_tls_free(t);
}

static void client_without_pin_and_ca_is_refused(void **state)
{
    (void)state;
    struct tz_tls_config *c = NULL;
    const struct tz_tls_client_opts opts = {.alpn = TZ_TLS_ALPN_ENROL};
    assert_int_equal(tz_tls_config_client(&opts, &c, NULL), TZ_E_INTERNAL);
    assert_null(c);
}

static void key_of_another_certificate_is_refused(void **state)
{
    (void)state;
    struct tz_tls_config *c = NULL;
    const struct tz_tls_server_opts opts = {.ca_cert = tz_buf_unread(&home.ca_cert),
                                            .cert = tz_buf_unread(&home.server_cert),
                                            .key = tz_buf_unread(&home.device_key)};
    assert_int_equal(tz_tls_config_server(&opts, &c, NULL), TZ_E_FORMAT);
    assert_null(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(session_opens_with_a_certificate_of_our_ca),
        cmocka_unit_test(session_works_one_byte_at_a_time),
        cmocka_unit_test(enrolment_opens_with_the_pin_and_without_a_certificate),
        cmocka_unit_test(enrolment_does_not_ask_for_a_certificate),
        cmocka_unit_test(session_without_certificate_is_refused),
        cmocka_unit_test(certificate_of_another_ca_is_refused),
        cmocka_unit_test(server_certificate_is_no_client_certificate),
        cmocka_unit_test(wrong_pin_is_refused_by_the_client),
        cmocka_unit_test(server_of_another_ca_is_refused_by_the_client),
        cmocka_unit_test(right_pin_with_wrong_ca_is_refused),
        cmocka_unit_test(device_cannot_pose_as_the_server),
        cmocka_unit_test(tls12_client_is_refused),
        cmocka_unit_test(other_protocol_names_are_refused),
        cmocka_unit_test(hello_retry_keeps_the_demand_for_a_certificate),
        cmocka_unit_test(key_updates_are_counted_and_capped),
        cmocka_unit_test(garbage_fails_with_an_alert),
        cmocka_unit_test(damaged_record_fails),
        cmocka_unit_test(close_notify_is_a_clean_end),
        cmocka_unit_test(end_of_transport_alone_is_gone),
        cmocka_unit_test(output_and_input_are_capped),
        cmocka_unit_test(writing_before_open_is_refused),
        cmocka_unit_test(client_without_pin_and_ca_is_refused),
        cmocka_unit_test(key_of_another_certificate_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
