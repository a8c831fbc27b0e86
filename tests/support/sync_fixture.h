/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_SYNC_FIXTURE_H
#define TZ_SYNC_FIXTURE_H

/* A client session and the server that the test plays by hand; jobs run when the test says so. */

#include "office_fixture.h"
#include "sync.h"

#include <stdlib.h>
#include <string.h>

enum { SENT_MAX = 256, JOBS_MAX = 128 };

struct sent {
    uint8_t type;
    uint16_t lane;
    uint8_t *p;
    size_t n;
};

struct peer {
    struct fx *f;
    struct tz_sync *s;
    struct sent sent[SENT_MAX];
    size_t nsent, read;
    struct tz_cjob *jobs[JOBS_MAX];
    size_t first, njobs;
    unsigned events[8];
    bool closed;
    struct tz_err why;
};

static inline void on_send(void *ctx, uint8_t type, uint16_t lane, struct tz_bytes body)
{
    struct peer *p = ctx;
    assert_false(p->closed);
    assert_true(p->nsent < SENT_MAX);
    struct sent *s = &p->sent[p->nsent++];
    *s = (struct sent){type, lane, malloc(body.n + 1), body.n};
    assert_non_null(s->p);
    if (body.n)
        memcpy(s->p, body.p, body.n);
}

static inline void on_submit(void *ctx, struct tz_cjob *job)
{
    struct peer *p = ctx;
    assert_true(p->njobs < JOBS_MAX);
    p->jobs[p->njobs++] = job;
}

static inline void on_event(void *ctx, enum tz_sync_event e)
{
    ((struct peer *)ctx)->events[e]++;
}

static inline void on_close(void *ctx, const struct tz_err *err)
{
    struct peer *p = ctx;
    assert_false(p->closed);
    p->closed = true;
    p->why = *err;
}

/** Run the oldest waiting job. False when there is none. */
static inline bool step(struct peer *p)
{
    if (p->first == p->njobs)
        return false;
    struct tz_cjob *j = p->jobs[p->first++];
    tz_cjob_run(j, p->f->o);
    tz_sync_on_job(p->s, j);
    if (p->first == p->njobs)
        p->first = p->njobs = 0;
    return true;
}

static inline void run(struct peer *p)
{
    while (step(p))
        ;
}

/** The next frame the client sent must be of @type. */
static inline struct tz_bytes expect(struct peer *p, uint8_t type)
{
    if (p->read >= p->nsent)
        fail_msg("no frame sent, wanted %s", tz_msg_name(type));
    struct sent *s = &p->sent[p->read++];
    if (s->type != type)
        fail_msg("sent %s, wanted %s", tz_msg_name(s->type), tz_msg_name(type));
    return tz_bytes_of(s->p, s->n);
}

static inline void expect_silence(struct peer *p)
{
    if (p->read != p->nsent)
        fail_msg("sent %s", tz_msg_name(p->sent[p->read].type));
}

static inline void deliver(struct peer *p, uint8_t type, uint16_t lane, struct tz_bytes body)
{
    struct tz_frame f = {.type = type, .lane = lane, .body = body};
    tz_sync_on_frame(p->s, &f);
}

static inline void give_welcome_with(struct peer *p, tz_ver head, uint32_t push_max, size_t nareas, tz_ver horizon,
                                     tz_ver compact_upto)
{
    struct tz_buf b;
    struct tz_area areas[2] = {{"", ""}, {"120101", ""}};
    struct tz_session_user user = {.code = "u1", .name = "一", .role = "D_CLERK", .active = true};
    user.id.b[15] = 1;
    struct tz_msg_welcome w = {.protocol = TZ_PROTOCOL_VERSION,
                               .software = "test",
                               .catalogue_version = 1,
                               .wall_ms = p->f->clock.wall.ms + 5000,
                               .epoch = 1,
                               .device = FX_DEVICE,
                               .incarnation = 1,
                               .device_name = "desk",
                               .role = "D_CLERK",
                               .area = nareas ? "120101" : "",
                               .areas = areas,
                               .nareas = nareas,
                               .horizon = horizon,
                               .compact_upto = compact_upto,
                               .users = &user,
                               .nusers = 1,
                               .head = head,
                               .push_in_flight_max = push_max,
                               .rows_in_flight_max = 4};
    tz_buf_init(&b, 1 << 16);
    assert_int_equal(tz_msg_put_welcome(&b, &w), 0);
    deliver(p, TZ_MSG_WELCOME, TZ_LANE_CONTROL, tz_buf_unread(&b));
    tz_buf_deinit(&b);
}

static inline void give_welcome_of(struct peer *p, tz_ver head, uint32_t push_max, size_t nareas, tz_ver horizon)
{
    give_welcome_with(p, head, push_max, nareas, horizon, 0);
}

static inline void give_welcome(struct peer *p, tz_ver head, uint32_t push_max)
{
    give_welcome_of(p, head, push_max, 2, 0);
}

static inline void give_rows(struct peer *p)
{
    deliver(p, TZ_MSG_ROWS, TZ_LANE_DOWN, tz_buf_unread(&p->f->rows));
    tz_buf_clear(&p->f->rows);
}

static inline void give_checkpoint(struct peer *p, tz_ver ver)
{
    struct tz_buf b;
    struct tz_msg_checkpoint c = {.ver = ver};
    tz_buf_init(&b, 1024);
    assert_int_equal(tz_msg_put_checkpoint(&b, &c), 0);
    deliver(p, TZ_MSG_CHECKPOINT, TZ_LANE_DOWN, tz_buf_unread(&b));
    tz_buf_deinit(&b);
}

struct answer {
    uint64_t seq;
    enum tz_outcome outcome;
    tz_ver ver;
};

static inline void give(struct peer *p, const struct answer *a, size_t n, bool unasked)
{
    struct tz_buf b;
    struct tz_signed_result r[4];
    assert_true(n <= 4);
    for (size_t i = 0; i < n; i++)
        r[i] = fx_signed(p->f, a[i].seq, a[i].outcome, a[i].ver, 0, NULL, 0);
    tz_buf_init(&b, 1 << 16);
    assert_int_equal(tz_msg_put_results(&b, r, n), 0);
    if (unasked)
        assert_int_equal(tz_msg_put_results_unasked(&b), 0);
    deliver(p, TZ_MSG_RESULTS, TZ_LANE_UP, tz_buf_unread(&b));
    tz_buf_deinit(&b);
}

static inline void give_results(struct peer *p, const struct answer *a, size_t n)
{
    give(p, a, n, false);
}

/** How many changesets the next frame pushes. */
static inline size_t expect_push(struct peer *p, uint64_t *first)
{
    struct tz_bytes *raw;
    size_t n;
    struct tz_changeset cs;
    assert_int_equal(tz_msg_read_push(expect(p, TZ_MSG_PUSH), &p->f->a, &raw, &n, NULL), 0);
    assert_int_equal(tz_msg_read_changeset(raw[0], &p->f->a, &cs, NULL), 0);
    *first = cs.seq;
    return n;
}

static inline uint32_t expect_ack(struct peer *p)
{
    uint32_t frames = 0;
    assert_int_equal(tz_msg_read_ack(expect(p, TZ_MSG_ACK), &frames, NULL), 0);
    return frames;
}

static inline void peer_free(struct peer *p)
{
    tz_sync_free(p->s);
    for (size_t i = p->first; i < p->njobs; i++)
        tz_cjob_free(p->jobs[i]);
    for (size_t i = 0; i < p->nsent; i++)
        free(p->sent[i].p);
    free(p);
}

static inline struct peer *peer_new(struct fx *f, size_t held_bytes_max)
{
    struct peer *p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->f = f;
    struct tz_sync_config c = {.software = "test", .held_bytes_max = held_bytes_max, .clock = tz_clock_fake(&f->clock)};
    struct tz_sync_io io = {on_send, on_submit, on_event, on_close, p};
    assert_int_equal(tz_sync_new(&c, &io, &p->s), 0);
    tz_sync_start(p->s);
    return p;
}

/** Through the greeting into RUNNING, nothing pushed yet to look at. */
static inline struct peer *greeted(struct fx *f, size_t held_bytes_max, tz_ver head, uint32_t push_max)
{
    struct peer *p = peer_new(f, held_bytes_max);
    run(p);
    expect(p, TZ_MSG_HELLO);
    give_welcome(p, head, push_max);
    run(p);
    expect(p, TZ_MSG_PULL);
    return p;
}

#endif
