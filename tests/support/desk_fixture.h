/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_DESK_FIXTURE_H
#define TZ_DESK_FIXTURE_H

/*
 * A desk: an office and the session that the real server keeps for it, talking in memory; frames and jobs run when the
 * test says so. What is on either disk may be damaged, and the server's answers may be meddled with.
 */

#include "hash.h"
#include "office_int.h"
#include "session.h"
#include "store_fixture.h"
#include "sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUE_MAX = 512 };

struct frame {
    uint8_t type;
    uint16_t lane;
    struct tz_bytes body;
};

struct queue {
    struct frame v[QUEUE_MAX];
    size_t first, n;
};

struct desk {
    struct sx *f;
    struct sx_dev *dev;
    struct tz_memdisk *disk;
    struct tz_office *o;
    struct tz_session *server;
    struct tz_sync *sync;
    struct queue up, down; /* frames on their way */
    struct tz_sjob *sjobs[64];
    struct tz_cjob *cjobs[64];
    size_t nsjobs, ncjobs;
    unsigned sent[64]; /* frames that went up, by type */
    bool closed;
    struct tz_err why;
    bool done;
    struct tz_repair_report report;
    /* meddling with the server's answers */
    bool keeps; /* every Digest says repair_keeps */
    void (*on_digest)(struct desk *d);
    unsigned digests;
};

static inline uint32_t next_random(void *ctx)
{
    return (uint32_t)(((struct sx *)ctx)->random += 0x9E3779B97F4A7C15U) ^ 77;
}

static inline void push(struct desk *d, struct queue *q, uint8_t type, uint16_t lane, struct tz_bytes body)
{
    assert_true(q->n < QUEUE_MAX);
    q->v[q->n++] = (struct frame){type, lane, {tz_arena_dup(&d->f->a, body.p, body.n), body.n}};
}

/* ---- the server's side ---- */

static inline void server_send(void *ctx, uint8_t type, uint16_t lane, struct tz_bytes body)
{
    struct desk *d = ctx;
    struct tz_buf b;
    tz_buf_init(&b, TZ_FRAME_BODY_MAX);
    assert_int_equal(tz_buf_put(&b, body.p, body.n), 0);
    if (type == TZ_MSG_DIGEST && d->keeps)
        assert_int_equal(tz_buf_put(&b, "\x38\x01", 2), 0); /* field 7 */
    push(d, &d->down, type, lane, tz_buf_unread(&b));
    tz_buf_deinit(&b);
}

static inline void server_submit(void *ctx, struct tz_sjob *j)
{
    struct desk *d = ctx;
    d->sjobs[d->nsjobs++] = j;
}

static inline void nothing(void *ctx)
{
    (void)ctx;
}

static inline void server_close(void *ctx, int code)
{
    ((struct desk *)ctx)->why.code = code;
}

static inline void server_job(struct desk *d)
{
    struct tz_sjob *j = d->sjobs[0];
    memmove(d->sjobs, d->sjobs + 1, --d->nsjobs * sizeof *d->sjobs);
    bool writer = tz_sjob_where(j) == TZ_JOB_WRITER;
    if (writer)
        sx_group(d->f);
    assert_int_equal(tz_sjob_run(j, d->f->s, &d->f->err), 0);
    if (writer) {
        sx_commit(d->f);
        tz_sjob_settle(j, 0);
    }
    tz_session_on_job(d->server, j);
}

/* ---- the office's side ---- */

static inline void client_send(void *ctx, uint8_t type, uint16_t lane, struct tz_bytes body)
{
    struct desk *d = ctx;
    d->sent[type]++;
    push(d, &d->up, type, lane, body);
}

static inline void client_submit(void *ctx, struct tz_cjob *j)
{
    struct desk *d = ctx;
    d->cjobs[d->ncjobs++] = j;
}

static inline void client_event(void *ctx, enum tz_sync_event e)
{
    (void)ctx;
    (void)e;
}

static inline void client_close(void *ctx, const struct tz_err *err)
{
    struct desk *d = ctx;
    d->closed = true;
    d->why = *err;
}

static inline void client_job(struct desk *d)
{
    struct tz_cjob *j = d->cjobs[0];
    memmove(d->cjobs, d->cjobs + 1, --d->ncjobs * sizeof *d->cjobs);
    tz_cjob_run(j, d->o);
    tz_sync_on_job(d->sync, j);
}

static inline void deliver_down(struct desk *d, struct frame f)
{
    struct tz_frame fr = {.type = f.type, .lane = f.lane, .body = f.body};
    if (f.type == TZ_MSG_DIGEST && d->on_digest) {
        d->digests++;
        d->on_digest(d);
    }
    tz_sync_on_frame(d->sync, &fr);
}

static inline bool step(struct desk *d)
{
    if (d->closed)
        return false;
    if (d->nsjobs)
        server_job(d);
    else if (d->ncjobs)
        client_job(d);
    else if (d->up.first < d->up.n) {
        struct frame f = d->up.v[d->up.first++];
        struct tz_frame fr = {.type = f.type, .lane = f.lane, .body = f.body};
        tz_session_on_frame(d->server, &fr);
    } else if (d->down.first < d->down.n) {
        deliver_down(d, d->down.v[d->down.first++]);
    } else {
        return false;
    }
    return true;
}

static inline void run(struct desk *d)
{
    while (step(d)) {
        if (d->up.first == d->up.n)
            d->up.first = d->up.n = 0;
        if (d->down.first == d->down.n)
            d->down.first = d->down.n = 0;
    }
}

static inline void hang_up(struct desk *d)
{
    tz_sync_free(d->sync);
    tz_session_free(d->server);
    while (d->nsjobs)
        tz_sjob_free(d->sjobs[--d->nsjobs]);
    while (d->ncjobs)
        tz_cjob_free(d->cjobs[--d->ncjobs]);
    d->sync = NULL;
    d->server = NULL;
    d->up.first = d->up.n = d->down.first = d->down.n = 0;
    d->closed = false;
}

static inline void connect(struct desk *d)
{
    struct tz_session_config sc = {
        .id = 1, .clock = tz_clock_fake(&d->f->clock), .software = "test", .catalogue = d->f->s->cat};
    struct tz_session_io sio = {server_send, server_submit, nothing, server_close, d};
    struct tz_sync_config cc = {.software = "test", .clock = tz_clock_fake(&d->f->clock)};
    struct tz_sync_io cio = {client_send, client_submit, client_event, client_close, d};
    assert_int_equal(tz_sha256(tz_bytes_str(d->dev->d.name), sc.fingerprint), 0);
    assert_int_equal(tz_session_new(&sc, &sio, &d->server), 0);
    assert_int_equal(tz_sync_new(&cc, &cio, &d->sync), 0);
    tz_sync_start(d->sync);
    run(d);
    assert_false(d->closed);
    assert_true(tz_sync_caught_up(d->sync));
}

static inline struct tz_office_options options(struct sx *f)
{
    return (struct tz_office_options){.catalogue = f->s->cat,
                                      .db = {.vfs = TZ_MEMVFS_NAME, .exclusive = true},
                                      .clock = tz_clock_fake(&f->clock),
                                      .random = next_random,
                                      .random_ctx = f};
}

static inline void reopen(struct desk *d)
{
    char path[128];
    struct tz_office_options o = options(d->f);
    if (d->sync)
        hang_up(d);
    tz_office_close(d->o);
    tz_memdisk_path(d->disk, "office.db", path, sizeof path);
    assert_int_equal(tz_office_open(path, &o, &d->o, &d->f->err), 0);
}

/** An office of @dev that has everything. */
static inline struct desk *desk_new(struct sx_dev *dev)
{
    struct desk *d = calloc(1, sizeof *d);
    char path[128];
    struct tz_identity id = {.device = dev->d.number, .incarnation = 1, .user = dev->user, .address = "x:1"};
    assert_non_null(d);
    d->f = dev->f;
    d->dev = dev;
    d->disk = tz_memdisk_new();
    memcpy(id.name, dev->d.name, sizeof id.name);
    memcpy(id.role, dev->d.role, sizeof id.role);
    memcpy(id.area, dev->d.area, sizeof id.area);
    tz_memdisk_path(d->disk, "office.db", path, sizeof path);
    struct tz_office_options o = options(d->f);
    assert_int_equal(tz_office_create(path, &o, &id, &d->f->err), 0);
    reopen(d);
    connect(d);
    return d;
}

static inline void desk_free(struct desk *d)
{
    if (d->sync)
        hang_up(d);
    tz_office_close(d->o);
    tz_memdisk_free(d->disk);
    free(d);
}

static inline void on_repaired(void *ctx, const struct tz_repair_report *r)
{
    struct desk *d = ctx;
    assert_false(d->done);
    d->done = true;
    d->report = *r;
}

static inline void start(struct desk *d, bool dry)
{
    d->done = false;
    assert_int_equal(tz_sync_repair(d->sync, dry, on_repaired, d), 0);
}

/** A repair from end to end: rows found, by kind. */
static inline void repair(struct desk *d, bool dry, uint64_t changed, uint64_t missing, uint64_t extra)
{
    start(d, dry);
    run(d);
    assert_false(d->closed);
    assert_true(d->done);
    assert_int_equal(d->report.code, 0);
    assert_int_equal(d->report.n[TZ_REPAIR_CHANGED], changed);
    assert_int_equal(d->report.n[TZ_REPAIR_MISSING], missing);
    assert_int_equal(d->report.n[TZ_REPAIR_EXTRA], extra);
}

/** The whole of both sides, by the other digest. */
static inline void assert_same(struct desk *d)
{
    struct tz_grant *g = tz_arena_alloc(&d->f->a, sizeof *g);
    struct tz_msg_verify ask = {0};
    struct tz_msg_verified mine;
    struct tz_msg_verified theirs;
    assert_int_equal(tz_store_grant_of(d->f->s, &d->dev->d, tz_clock_wall(&d->f->s->clock).ms, g, &d->f->err), 0);
    assert_int_equal(tz_store_verify(d->f->s, g, &ask, &theirs, &d->f->err), 0);
    assert_int_equal(tz_office_digest(d->o, &mine, &d->f->err), 0);
    assert_int_equal(mine.rows, theirs.rows);
    assert_memory_equal(mine.digest, theirs.digest, sizeof mine.digest);
}

static inline void sql(struct desk *d, const char *fmt, ...) TZ_PRINTF(2, 3);
static inline void sql(struct desk *d, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    assert_int_equal(tz_db_exec(tz_office_db(d->o), text, &d->f->err), 0);
}

static inline int64_t query(struct desk *d, const char *text)
{
    int64_t v = -1;
    assert_int_equal(tz_db_query_int(tz_office_db(d->o), text, &v, &d->f->err), 0);
    return v;
}

static inline struct tz_id org(struct sx *f, const char *name, const char *street)
{
    char n[64];
    char s[64];
    (void)snprintf(n, sizeof n, "name=%s", name);
    (void)snprintf(s, sizeof s, "street_code=%s", street);
    return sx_create(&f->d1, "organisation", n, "district_code=120101", s, NULL);
}

/** Edit the name on this desk; nothing is sent until a session looks. */
static inline void edit_name(struct desk *d, struct tz_id id, const char *name)
{
    const struct tz_type *t = sx_type(d->f, "organisation");
    struct tz_record rec;
    struct tz_row *row = tz_arena_alloc(&d->f->a, sizeof *row);
    struct tz_seen seen;
    struct tz_save *s;
    bool names[TZ_FIELDS_MAX] = {false};
    uint64_t seq;
    assert_int_equal(tz_office_read(d->o, t, id, &d->f->a, row, &seen, NULL, &d->f->err), 1);
    tz_record_init(&rec, t);
    rec.v[tz_type_field(t, "name")->index] = tz_value_text(name);
    names[tz_type_field(t, "name")->index] = true;
    assert_int_equal(tz_save_begin(d->o, NULL, &s, &d->f->err), 0);
    assert_int_equal(tz_save_set(s, id, &seen, &rec, names, &d->f->err), 0);
    assert_int_equal(tz_save_commit(s, &seq, &d->f->err), 0);
}

static inline void assert_field(struct desk *d, struct tz_id id, bool view, const char *field, const char *want)
{
    const struct tz_type *t = sx_type(d->f, "organisation");
    struct tz_row *row = tz_arena_alloc(&d->f->a, sizeof *row);
    int rc = view ? tz_office_read(d->o, t, id, &d->f->a, row, NULL, NULL, &d->f->err)
                  : tz_office_read_confirmed(d->o, t, id, &d->f->a, row, &d->f->err);
    assert_int_equal(rc, 1);
    struct tz_value v = row->rec.v[tz_type_field(t, field)->index];
    if (want)
        assert_true(tz_value_is_text(v, want));
    else
        assert_int_equal(v.kind, TZ_V_NULL);
}

static inline bool named(const struct desk *d, struct tz_id id, enum tz_repair_what what)
{
    for (size_t i = 0; i < d->report.nrows; i++)
        if (tz_id_eq(d->report.rows[i].id, id) && d->report.rows[i].what == what)
            return true;
    return false;
}

#endif
