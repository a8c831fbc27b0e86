/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_SESSION_FIXTURE_H
#define TZ_SESSION_FIXTURE_H

/* A session over the store fixture: its owner, who keeps what it sends and runs its jobs when told, and its peer. */

#include "session.h"
#include "store_fixture.h"

#include <stdlib.h>
#include <string.h>

enum { SENT_MAX = 256, JOBS_MAX = 16 };

struct sent {
    uint8_t type;
    uint16_t lane;
    struct tz_bytes body;
};

struct h {
    struct sx *f;
    struct tz_session *s;
    struct sent sent[SENT_MAX];
    size_t nsent;
    struct tz_sjob *jobs[JOBS_MAX];
    size_t njobs;
    unsigned authenticated, closed;
    int close_code;
};

/* ---- the owner ---- */

static inline void on_send(void *ctx, uint8_t type, uint16_t lane, struct tz_bytes body)
{
    struct h *h = ctx;
    assert_int_equal(h->closed, 0); /* nothing after the end */
    assert_true(h->nsent < SENT_MAX);
    assert_true(body.n <= TZ_FRAME_BODY_MAX);
    h->sent[h->nsent++] = (struct sent){type, lane, {tz_arena_dup(&h->f->a, body.p, body.n), body.n}};
}

static inline void on_submit(void *ctx, struct tz_sjob *j)
{
    struct h *h = ctx;
    assert_true(h->njobs < JOBS_MAX);
    h->jobs[h->njobs++] = j;
}

static inline void on_authenticated(void *ctx)
{
    ((struct h *)ctx)->authenticated++;
}

static inline void on_close(void *ctx, int code)
{
    struct h *h = ctx;
    h->closed++;
    h->close_code = code;
}

static inline int sign(void *ctx, uint32_t device, struct tz_bytes csr, struct tz_buf *certificate,
                       uint8_t fingerprint[TZ_FINGERPRINT_BYTES], struct tz_err *err)
{
    (void)ctx;
    (void)device;
    (void)err;
    assert_int_equal(tz_sha256(csr, fingerprint), 0);
    return tz_buf_puts(certificate, "certificate");
}

static inline void open_session(struct h *h, const char *device)
{
    struct sx *f = h->f;
    struct tz_session_config c = {.id = 1,
                                  .enrolling = device == NULL,
                                  .sign = sign,
                                  .ca = tz_bytes_str("ca"),
                                  .clock = tz_clock_fake(&f->clock),
                                  .software = "test",
                                  .catalogue = f->s->cat};
    struct tz_session_io io = {on_send, on_submit, on_authenticated, on_close, h};
    if (device) /* the fixture's certificates are the devices' names */
        assert_int_equal(tz_sha256(tz_bytes_str(device), c.fingerprint), 0);
    assert_int_equal(tz_session_new(&c, &io, &h->s), 0);
}

static inline int setup(void **state)
{
    struct h *h = calloc(1, sizeof *h);
    void *f = NULL;
    assert_non_null(h);
    assert_int_equal(sx_setup(&f), 0);
    h->f = f;
    *state = h;
    return 0;
}

static inline int teardown(void **state)
{
    struct h *h = *state;
    void *f = h->f;
    for (size_t i = 0; i < h->njobs; i++)
        tz_sjob_free(h->jobs[i]);
    tz_session_free(h->s);
    sx_teardown(&f);
    free(h);
    return 0;
}

static inline struct tz_sjob *take_job(struct h *h)
{
    assert_true(h->njobs > 0);
    struct tz_sjob *j = h->jobs[0];
    memmove(h->jobs, h->jobs + 1, --h->njobs * sizeof *h->jobs);
    return j;
}

/** Run the oldest job to its end. */
static inline void run(struct h *h)
{
    struct tz_sjob *j = take_job(h);
    struct tz_err err = {0};
    bool writer = tz_sjob_where(j) == TZ_JOB_WRITER;
    if (writer)
        sx_group(h->f);
    assert_int_equal(tz_sjob_run(j, h->f->s, &err), 0);
    if (writer) {
        sx_commit(h->f);
        tz_sjob_settle(j, 0);
    }
    tz_session_on_job(h->s, j);
}

static inline void run_all(struct h *h)
{
    while (h->njobs)
        run(h);
}

/* ---- the peer ---- */

static inline void frame_on(struct h *h, uint8_t type, uint16_t lane, const struct tz_buf *b)
{
    struct tz_frame fr = {.type = type, .lane = lane, .body = tz_buf_unread(b)};
    tz_session_on_frame(h->s, &fr);
}

static inline void hello(struct h *h)
{
    struct tz_msg_hello m = {.protocol = TZ_PROTOCOL_VERSION,
                             .software = "peer",
                             .catalogue_version = h->f->s->cat->version,
                             .incarnation = 1,
                             .wall_ms = h->f->clock.wall.ms - 5000};
    struct tz_buf b;
    tz_buf_init(&b, 4096);
    assert_int_equal(tz_msg_put_hello(&b, &m), 0);
    frame_on(h, TZ_MSG_HELLO, TZ_LANE_CONTROL, &b);
    tz_buf_deinit(&b);
}

static inline void ready(struct h *h)
{
    open_session(h, "d1");
    hello(h);
    run(h);
    assert_string_equal(tz_session_state_name(h->s), "ready");
    h->nsent = 0;
}

/** Push whatever changesets there are in one frame. */
static inline void push(struct h *h, struct sx_cs **cs, size_t n)
{
    struct tz_bytes raw[TZ_MSG_CHANGESETS_MAX];
    struct tz_buf b;
    tz_buf_init(&b, TZ_FRAME_BODY_MAX);
    for (size_t i = 0; i < n; i++) {
        tz_buf_clear(&b);
        assert_int_equal(tz_msg_put_changeset(&b, &cs[i]->cs), 0);
        raw[i] = tz_bytes_of(tz_arena_dup(&h->f->a, b.p, b.len), b.len);
    }
    tz_buf_clear(&b);
    assert_int_equal(tz_msg_put_push(&b, raw, n), 0);
    frame_on(h, TZ_MSG_PUSH, TZ_LANE_UP, &b);
    tz_buf_deinit(&b);
}

static inline struct sx_cs *create(struct h *h)
{
    struct sx_cs *c = sx_begin(&h->f->d1);
    sx_op_create(c, "organisation", "name=甲公司", "district_code=120101", NULL);
    return c;
}

static inline void push_one(struct h *h)
{
    struct sx_cs *c = create(h);
    push(h, &c, 1);
}

static inline void pull(struct h *h)
{
    struct tz_cursor c[4] = {{.tier = 0},
                             {.tier = 1},
                             {.area = {.district = "120101"}, .tier = 0},
                             {.area = {.district = "120101"}, .tier = 1}};
    struct tz_buf b;
    tz_buf_init(&b, 4096);
    assert_int_equal(tz_msg_put_pull(&b, c, 4), 0);
    frame_on(h, TZ_MSG_PULL, TZ_LANE_DOWN, &b);
    tz_buf_deinit(&b);
}

static inline void ack(struct h *h, uint32_t n)
{
    struct tz_buf b;
    tz_buf_init(&b, 64);
    assert_int_equal(tz_msg_put_ack(&b, n), 0);
    frame_on(h, TZ_MSG_ACK, TZ_LANE_DOWN, &b);
    tz_buf_deinit(&b);
}

static inline void verify(struct h *h)
{
    struct tz_msg_verify m = {0};
    struct tz_buf b;
    tz_buf_init(&b, 256);
    assert_int_equal(tz_msg_put_verify(&b, &m), 0);
    frame_on(h, TZ_MSG_VERIFY, TZ_LANE_CONTROL, &b);
    tz_buf_deinit(&b);
}

static inline void ask_history(struct h *h, const char *type, struct tz_id id)
{
    struct tz_msg_history_ask m = {.type = sx_type(h->f, type)->id, .id = id};
    struct tz_buf b;
    tz_buf_init(&b, 256);
    assert_int_equal(tz_msg_put_history_ask(&b, &m), 0);
    frame_on(h, TZ_MSG_HISTORY_ASK, TZ_LANE_CONTROL, &b);
    tz_buf_deinit(&b);
}

static inline size_t count(const struct h *h, uint8_t type)
{
    size_t n = 0;
    for (size_t i = 0; i < h->nsent; i++)
        n += h->sent[i].type == type;
    return n;
}

static inline const struct sent *last(const struct h *h)
{
    assert_true(h->nsent > 0);
    return &h->sent[h->nsent - 1];
}

/** The peer was told @code and the session closed with @close_code. */
static inline void assert_failed_with(struct h *h, int told, int close_code)
{
    struct tz_msg_error m;
    assert_int_equal(last(h)->type, TZ_MSG_ERROR);
    assert_int_equal(tz_msg_read_error(last(h)->body, &h->f->a, &m, &h->f->err), 0);
    assert_int_equal(m.code, told);
    assert_true(m.fatal);
    assert_int_equal(h->closed, 1);
    assert_int_equal(h->close_code, close_code);
    assert_string_equal(tz_session_state_name(h->s), "closed");
}

#endif
