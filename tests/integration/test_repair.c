/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A damaged office against the real server: sessions of both sides talk in memory, frames and jobs run when the test
 * says so. What is found, what is put right, and what is left alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

static uint32_t next_random(void *ctx)
{
    return (uint32_t)(((struct sx *)ctx)->random += 0x9E3779B97F4A7C15U) ^ 77;
}

static void push(struct desk *d, struct queue *q, uint8_t type, uint16_t lane, struct tz_bytes body)
{
    assert_true(q->n < QUEUE_MAX);
    q->v[q->n++] = (struct frame){type, lane, {tz_arena_dup(&d->f->a, body.p, body.n), body.n}};
}

/* ---- the server's side ---- */

static void server_send(void *ctx, uint8_t type, uint16_t lane, struct tz_bytes body)
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

static void server_submit(void *ctx, struct tz_sjob *j)
{
    struct desk *d = ctx;
    d->sjobs[d->nsjobs++] = j;
}

static void nothing(void *ctx)
{
    (void)ctx;
}

static void server_close(void *ctx, int code)
{
    ((struct desk *)ctx)->why.code = code;
}

static void server_job(struct desk *d)
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

static void client_send(void *ctx, uint8_t type, uint16_t lane, struct tz_bytes body)
{
    struct desk *d = ctx;
    d->sent[type]++;
    push(d, &d->up, type, lane, body);
}

static void client_submit(void *ctx, struct tz_cjob *j)
{
    struct desk *d = ctx;
    d->cjobs[d->ncjobs++] = j;
}

static void client_event(void *ctx, enum tz_sync_event e)
{
    (void)ctx;
    (void)e;
}

static void client_close(void *ctx, const struct tz_err *err)
{
    struct desk *d = ctx;
    d->closed = true;
    d->why = *err;
}

static void client_job(struct desk *d)
{
    struct tz_cjob *j = d->cjobs[0];
    memmove(d->cjobs, d->cjobs + 1, --d->ncjobs * sizeof *d->cjobs);
    tz_cjob_run(j, d->o);
    tz_sync_on_job(d->sync, j);
}

static void deliver_down(struct desk *d, struct frame f)
{
    struct tz_frame fr = {.type = f.type, .lane = f.lane, .body = f.body};
    if (f.type == TZ_MSG_DIGEST && d->on_digest) {
        d->digests++;
        d->on_digest(d);
    }
    tz_sync_on_frame(d->sync, &fr);
}

static bool step(struct desk *d)
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

static void run(struct desk *d)
{
    while (step(d)) {
        if (d->up.first == d->up.n)
            d->up.first = d->up.n = 0;
        if (d->down.first == d->down.n)
            d->down.first = d->down.n = 0;
    }
}

static void hang_up(struct desk *d)
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

static void connect(struct desk *d)
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

static struct tz_office_options options(struct sx *f)
{
    return (struct tz_office_options){.catalogue = f->s->cat,
                                      .db = {.vfs = TZ_MEMVFS_NAME, .exclusive = true},
                                      .clock = tz_clock_fake(&f->clock),
                                      .random = next_random,
                                      .random_ctx = f};
}

static void reopen(struct desk *d)
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
static struct desk *desk_new(struct sx_dev *dev)
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

static void desk_free(struct desk *d)
{
    if (d->sync)
        hang_up(d);
    tz_office_close(d->o);
    tz_memdisk_free(d->disk);
    free(d);
}

static void on_repaired(void *ctx, const struct tz_repair_report *r)
{
    struct desk *d = ctx;
    assert_false(d->done);
    d->done = true;
    d->report = *r;
}

static void start(struct desk *d, bool dry)
{
    d->done = false;
    assert_int_equal(tz_sync_repair(d->sync, dry, on_repaired, d), 0);
}

/** A repair from end to end: rows found, by kind. */
static void repair(struct desk *d, bool dry, uint64_t changed, uint64_t missing, uint64_t extra)
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
static void assert_same(struct desk *d)
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

static void sql(struct desk *d, const char *fmt, ...) TZ_PRINTF(2, 3);
static void sql(struct desk *d, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    assert_int_equal(tz_db_exec(tz_office_db(d->o), text, &d->f->err), 0);
}

static int64_t query(struct desk *d, const char *text)
{
    int64_t v = -1;
    assert_int_equal(tz_db_query_int(tz_office_db(d->o), text, &v, &d->f->err), 0);
    return v;
}

static struct tz_id org(struct sx *f, const char *name, const char *street)
{
    char n[64];
    char s[64];
    (void)snprintf(n, sizeof n, "name=%s", name);
    (void)snprintf(s, sizeof s, "street_code=%s", street);
    return sx_create(&f->d1, "organisation", n, "district_code=120101", s, NULL);
}

/** Edit the name on this desk; nothing is sent until a session looks. */
static void edit_name(struct desk *d, struct tz_id id, const char *name)
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

static void assert_field(struct desk *d, struct tz_id id, bool view, const char *field, const char *want)
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

static bool named(const struct desk *d, struct tz_id id, enum tz_repair_what what)
{
    for (size_t i = 0; i < d->report.nrows; i++)
        if (tz_id_eq(d->report.rows[i].id, id) && d->report.rows[i].what == what)
            return true;
    return false;
}

/* ---- nothing to do ---- */

static void sound_replicas_of_every_kind_of_reader_have_no_differences(void **state)
{
    struct sx *f = *state;
    org(f, "甲", "120101001");
    org(f, "乙", "120101002");
    sx_org(f, "丙");
    sx_create(&f->d2, "organisation", "name=丁", "district_code=120102", NULL);
    sx_create(&f->d1, "person", "name=张三", "district_code=120101", NULL);
    struct tz_id gone = sx_org(f, "戊");
    sx_applied(sx_delete(&f->d1, "organisation", gone));
    struct sx_dev *readers[] = {&f->d1, &f->fi, &f->s1, &f->c1, &f->d2};
    for (size_t i = 0; i < 5; i++) {
        struct desk *d = desk_new(readers[i]);
        repair(d, false, 0, 0, 0);
        assert_int_equal(d->sent[TZ_MSG_DIGEST_REQUEST], 1); /* the keys say it all */
        assert_int_equal(d->sent[TZ_MSG_DAMAGE], 0);
        assert_same(d);
        desk_free(d);
    }
}

/* ---- damage ---- */

static void exactly_the_damaged_rows_are_put_right(void **state)
{
    struct sx *f = *state;
    struct tz_id changed = org(f, "甲", "120101001");
    struct tz_id missing = org(f, "乙", "120101001");
    struct tz_id fine = org(f, "丙", "120101001");
    struct tz_id moved = org(f, "丁", "120101002");
    struct desk *d = desk_new(&f->d1);
    sql(d, "UPDATE organisation SET address='假' WHERE _id=x'%s'", sx_hex(f, changed));
    sql(d, "DELETE FROM organisation WHERE _id=x'%s'", sx_hex(f, missing));
    sql(d, "UPDATE organisation SET _ver=_ver+1000000 WHERE _id=x'%s'", sx_hex(f, moved));
    sql(d, "INSERT INTO organisation(_id,name,_ver,_district,_street)"
           " VALUES(x'01800000000070008000000000000001','假',5,'120101','120101001')");
    sql(d, "CREATE TEMP TABLE touched AS SELECT _id, 0 AS n FROM organisation");
    sql(d, "CREATE TEMP TRIGGER touch AFTER UPDATE ON organisation BEGIN"
           " UPDATE touched SET n=n+1 WHERE _id=NEW._id; END");
    repair(d, false, 2, 1, 1);
    assert_true(named(d, changed, TZ_REPAIR_CHANGED));
    assert_true(named(d, moved, TZ_REPAIR_CHANGED));
    assert_true(named(d, missing, TZ_REPAIR_MISSING));
    assert_field(d, changed, false, "address", NULL);
    assert_field(d, missing, false, "name", "乙");
    assert_same(d);
    assert_int_equal(query(d, "SELECT sum(n) FROM touched"), 2); /* nobody else was written */
    char text[160];
    (void)snprintf(text, sizeof text, "SELECT n FROM touched WHERE _id=x'%s'", sx_hex(f, fine));
    assert_int_equal(query(d, text), 0);
    assert_int_equal(query(d, "SELECT count(*) FROM set_aside WHERE body<>x'' AND ver=5"), 1); /* kept, not shown */
    struct tz_office_status st;
    assert_int_equal(tz_office_status(d->o, &st, &f->err), 0);
    assert_int_equal(st.set_aside, 0);
    assert_true(d->report.noted);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM incident WHERE instr(detail,'2 changed, 1 missing, 1 extra')>0"),
                     1);
    repair(d, false, 0, 0, 0);
    desk_free(d);
}

static void what_was_taken_out_stays_out(void **state)
{
    struct sx *f = *state;
    org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->d1);
    sql(d, "INSERT INTO organisation(_id,name,_ver,_district,_street)"
           " VALUES(x'01800000000070008000000000000001','假',5,'120101','120101001')");
    repair(d, false, 0, 0, 1);
    reopen(d); /* what is set aside is looked at again at each start */
    connect(d);
    assert_same(d);
    repair(d, false, 0, 0, 0);
    desk_free(d);
}

static void only_telling_writes_nothing(void **state)
{
    struct sx *f = *state;
    struct tz_id a = org(f, "甲", "120101001");
    struct tz_id b = org(f, "乙", "120101001");
    struct desk *d = desk_new(&f->d1);
    sql(d, "UPDATE organisation SET address='假' WHERE _id=x'%s'", sx_hex(f, a));
    sql(d, "DELETE FROM organisation WHERE _id=x'%s'", sx_hex(f, b));
    int64_t before = query(d, "SELECT total_changes()");
    repair(d, true, 1, 1, 0);
    assert_int_equal(query(d, "SELECT total_changes()"), before);
    assert_true(d->report.dry);
    assert_int_equal(d->sent[TZ_MSG_DAMAGE], 0);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM incident"), 0);
    repair(d, false, 1, 1, 0);
    assert_same(d);
    desk_free(d);
}

static void row_in_a_place_outside_the_grant_goes_back_to_its_own(void **state)
{
    struct sx *f = *state;
    struct tz_id a = org(f, "甲", "120101001");
    struct tz_id b = org(f, "乙", "120101001");
    struct desk *d = desk_new(&f->d1);
    sql(d, "UPDATE organisation SET _district='129999', _street='' WHERE _id=x'%s'", sx_hex(f, a));
    sql(d, "UPDATE organisation SET _street='1' WHERE _id=x'%s'", sx_hex(f, b)); /* not even a code */
    assert_same(d);            /* the digest over everything does not know of areas */
    repair(d, false, 0, 2, 1); /* @b's wrong place comes first: out, then in again at the right one */
    assert_int_equal(query(d, "SELECT count(*) FROM organisation WHERE _street='120101001'"), 2);
    assert_int_equal(query(d, "SELECT count(*) FROM set_aside"), 0); /* it is back, so nothing is kept aside */
    repair(d, false, 0, 0, 0);
    desk_free(d);
}

static void record_of_a_foreign_district_is_taken_out_without_asking(void **state)
{
    struct sx *f = *state;
    struct desk *d = desk_new(&f->d1);
    sql(d, "INSERT INTO organisation(_id,name,_ver,_district,_street)"
           " VALUES(x'01800000000070008000000000000001','假',5,'120102','')");
    sql(d, "INSERT INTO raw_row VALUES(999, x'01800000000070008000000000000002', 5, '120101', '', 0, x'0801')");
    repair(d, false, 0, 0, 2);
    assert_int_equal(query(d, "SELECT count(*) FROM organisation"), 0);
    assert_int_equal(query(d, "SELECT count(*) FROM raw_row"), 0);
    assert_int_equal(query(d, "SELECT count(*) FROM set_aside"), 2);
    repair(d, false, 0, 0, 0);
    desk_free(d);
}

static void deleted_here_by_damage_lives_again(void **state)
{
    struct sx *f = *state;
    struct tz_id a = org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->d1);
    sql(d, "INSERT INTO _tombstone SELECT %u,_id,_ver,_district,_street,x'',0,x'' FROM organisation WHERE _id=x'%s'",
        sx_type(f, "organisation")->id, sx_hex(f, a));
    sql(d, "DELETE FROM organisation WHERE _id=x'%s'", sx_hex(f, a));
    repair(d, false, 0, 1, 0);
    assert_int_equal(query(d, "SELECT count(*) FROM _tombstone"), 0);
    assert_same(d);
    desk_free(d);
}

/* ---- pending edits ---- */

static void own_edit_stays_on_top_of_a_repaired_shadow(void **state)
{
    struct sx *f = *state;
    static const char *const bodies[] = {"x'ffff'", "x''", "substr(body, 1, length(body) / 2)"};
    for (size_t i = 0; i < 3; i++) {
        struct tz_id id = org(f, "甲", "120101001");
        struct desk *d = desk_new(&f->d1);
        edit_name(d, id, "改");
        sql(d, "UPDATE _shadow SET body=%s", bodies[i]);
        repair(d, false, 1, 0, 0);
        assert_field(d, id, true, "name", "改");
        assert_field(d, id, false, "name", "甲");
        assert_same(d);
        struct tz_office_status st;
        assert_int_equal(tz_office_status(d->o, &st, &f->err), 0);
        assert_int_equal(st.unsent_changesets, 1);
        desk_free(d);
    }
}

static void damaged_shadow_stops_no_download(void **state)
{
    struct sx *f = *state;
    struct tz_id id = org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->d1);
    edit_name(d, id, "改");
    sql(d, "UPDATE _shadow SET body=x'ffff'");
    sx_see(&f->d1b);
    sx_applied(sx_set(&f->d1b, "organisation", id, "address=新路", NULL));
    tz_session_on_head(d->server, tz_store_head(f->s), NULL, 0);
    run(d);
    assert_false(d->closed);
    assert_field(d, id, false, "address", "新路");
    assert_field(d, id, true, "name", "改");
    repair(d, false, 0, 0, 0); /* what came healed it */
    desk_free(d);
}

static void own_edits_survive_a_record_the_server_does_not_have(void **state)
{
    struct sx *f = *state;
    struct tz_id id = org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->d1);
    edit_name(d, id, "改");
    sql(d, "INSERT INTO _shadow SELECT type, x'01800000000070008000000000000001', state, ver, district, street, body, 0"
           " FROM _shadow"); /* the confirmed image of a record that never was */
    repair(d, false, 0, 0, 1);
    assert_field(d, id, true, "name", "改");
    assert_int_equal(query(d, "SELECT count(*) FROM outbox WHERE outcome=0"), 1);
    assert_same(d);
    desk_free(d);
}

/* ---- much damage ---- */

static void emptied_database_is_filled_again_in_pages(void **state)
{
    struct sx *f = *state;
    enum { N = 12 };
    struct tz_id ids[N];
    for (int i = 0; i < N; i++) {
        ids[i] = org(f, "甲", "120101001");
        sx_fatten(f, ids[i], 60000);
    }
    org(f, "乙", "120101002");
    sx_org(f, "丙");
    struct desk *d = desk_new(&f->d1);
    sql(d, "DELETE FROM organisation");
    sql(d, "DELETE FROM division");
    int64_t divisions = sx_query(f, "SELECT count(*) FROM division");
    repair(d, false, 0, N + 2 + (uint64_t)divisions, 0);
    assert_int_equal(d->report.nrows, TZ_REPAIR_ROWS_NAMED);
    assert_same(d);
    desk_free(d);
}

static void more_invented_rows_than_are_held_at_once_all_go(void **state)
{
    struct sx *f = *state;
    org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->d1);
    sql(d, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<9000)"
           " INSERT INTO organisation(_id,name,_ver,_district,_street)"
           " SELECT randomblob(16),'假',5,'120101','120101001' FROM n");
    repair(d, false, 0, 0, 9000);
    assert_same(d);
    desk_free(d);
}

static void a_page_looks_at_no_more_than_its_own_rows(void **state)
{
    struct sx *f = *state;
    enum { N = 30 };
    for (int i = 0; i < N; i++)
        sx_fatten(f, org(f, "甲", "120101001"), 60000);
    struct desk *d = desk_new(&f->d1);
    sql(d, "UPDATE organisation SET address='假'");
    repair(d, false, N, 0, 0);
    assert_same(d);
    assert_true(d->sent[TZ_MSG_DIGEST_REQUEST] > 2 + 5); /* pages */
    /* once each, and one more a page to see that it is over */
    assert_in_range(d->report.looked, N, N + d->sent[TZ_MSG_DIGEST_REQUEST]);
    desk_free(d);
}

/* ---- the server's word ---- */

static void server_that_may_have_forgotten_keeps_what_only_we_have(void **state)
{
    struct sx *f = *state;
    struct tz_id id = org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->d1);
    d->keeps = true;
    sql(d, "INSERT INTO organisation(_id,name,_ver,_district,_street)"
           " VALUES(x'01800000000070008000000000000001','只此一份',5,'120101','120101001')");
    sql(d, "INSERT INTO organisation(_id,name,_ver,_district,_street)"
           " VALUES(x'01800000000070008000000000000002','区外',5,'120102','')");
    sql(d, "UPDATE organisation SET address='假' WHERE _id=x'%s'", sx_hex(f, id));
    repair(d, false, 1, 0, 0);
    assert_int_equal(d->report.n[TZ_REPAIR_KEPT], 2);
    assert_int_equal(query(d, "SELECT count(*) FROM organisation"), 3);
    assert_int_equal(query(d, "SELECT count(*) FROM set_aside"), 0);
    assert_field(d, id, false, "address", NULL);
    desk_free(d);
}

/* ---- versions ---- */

/** Somebody else saves in this district, and the session hears of it. */
static void neighbour_saves(struct desk *d)
{
    org(d->f, "新", "120101001");
    tz_session_on_head(d->server, tz_store_head(d->f->s), NULL, 0);
}

static void neighbour_saves_once(struct desk *d)
{
    if (d->digests <= 2)
        neighbour_saves(d);
    run(d); /* its rows and checkpoint are here before the answer is */
}

static void answer_that_the_checkpoint_has_passed_is_asked_for_again(void **state)
{
    struct sx *f = *state;
    struct tz_id id = org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->d1);
    sql(d, "UPDATE organisation SET address='假' WHERE _id=x'%s'", sx_hex(f, id));
    d->on_digest = neighbour_saves_once;
    repair(d, false, 1, 0, 0); /* the new rows are nobody's damage */
    assert_true(d->sent[TZ_MSG_DIGEST_REQUEST] > 3);
    assert_same(d);
    desk_free(d);
}

static struct tz_id edited;

/** While the old row is on its way down, the record changes, and its new row is here first. */
static void record_changes_under_its_answer(struct desk *d)
{
    if (d->digests != 3)
        return;
    sx_see(&d->f->d1b);
    sx_applied(sx_set(&d->f->d1b, "organisation", edited, "name=新名", NULL));
    tz_session_on_head(d->server, tz_store_head(d->f->s), NULL, 0);
    run(d);
    assert_field(d, edited, false, "name", "新名");
}

static void old_row_never_takes_the_place_of_a_newer_one(void **state)
{
    struct sx *f = *state;
    edited = org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->d1);
    sql(d, "UPDATE organisation SET address='假'");
    d->on_digest = record_changes_under_its_answer;
    repair(d, false, 0, 0, 0); /* the new row was whole */
    assert_int_equal(d->sent[TZ_MSG_DIGEST_REQUEST], 4);
    assert_field(d, edited, false, "name", "新名");
    assert_same(d);
    desk_free(d);
}

/** Its version here says that it is newer than anything: what comes of it is passed over. */
static void record_moves_under_its_answer(struct desk *d)
{
    if (d->digests != 2)
        return;
    sx_see(&d->f->d1b);
    sx_applied(sx_set(&d->f->d1b, "organisation", edited, "street_code=120101002", NULL));
    tz_session_on_head(d->server, tz_store_head(d->f->s), NULL, 0);
    run(d);
}

static void record_that_moves_meanwhile_is_there_in_the_end(void **state)
{
    struct sx *f = *state;
    edited = org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->d1);
    sql(d, "UPDATE organisation SET _ver=_ver+400");
    d->on_digest = record_moves_under_its_answer;
    repair(d, false, 0, 1, 1); /* out where it was, in where it is */
    assert_field(d, edited, false, "street_code", "120101002");
    assert_same(d);
    desk_free(d);
}

static void neighbour_saves_always(struct desk *d)
{
    neighbour_saves(d);
    run(d);
}

static void server_that_never_stands_still_is_given_up(void **state)
{
    struct sx *f = *state;
    struct desk *d = desk_new(&f->d1);
    d->on_digest = neighbour_saves_always;
    start(d, false);
    run(d);
    assert_true(d->done);
    assert_int_equal(d->report.code, TZ_E_TIMEOUT);
    assert_int_equal(tz_repair_total(&d->report), 0);
    assert_int_equal(d->sent[TZ_MSG_DIGEST_REQUEST], 8);
    d->on_digest = NULL;
    repair(d, false, 0, 0, 0); /* the session goes on, and so may another try */
    desk_free(d);
}

/** The server is asked after a save that the session has not heard of: its answer is ahead of our checkpoint. */
static void answer_from_ahead_waits_for_the_checkpoint(void **state)
{
    struct sx *f = *state;
    org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->d1);
    org(f, "新", "120101001");
    repair(d, false, 0, 0, 0);
    assert_int_equal(d->sent[TZ_MSG_DIGEST_REQUEST], 1);
    assert_same(d); /* it came with the checkpoint that the answer waited for */
    desk_free(d);
}

static void saves_in_other_districts_disturb_nobody(void **state)
{
    struct sx *f = *state;
    org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->d1);
    tz_ver at = tz_sync_counters(d->sync)->checkpoint;
    sx_create(&f->d2, "organisation", "name=丁", "district_code=120102", NULL);
    repair(d, false, 0, 0, 0);
    assert_int_equal(d->sent[TZ_MSG_DIGEST_REQUEST], 1);
    assert_int_equal(tz_sync_counters(d->sync)->checkpoint, at); /* valid where we stood */
    desk_free(d);
}

/** A street's reader and a save in another street of its district: it is not even told that there was one. */
static void saves_in_other_streets_are_not_told(void **state)
{
    struct sx *f = *state;
    org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->s1);
    tz_ver at = tz_sync_counters(d->sync)->checkpoint;
    org(f, "乙", "120101002");
    repair(d, false, 0, 0, 0);
    assert_int_equal(d->sent[TZ_MSG_DIGEST_REQUEST], 1);
    assert_int_equal(tz_sync_counters(d->sync)->checkpoint, at);
    desk_free(d);
}

/* ---- hostile answers ---- */

static void answer(struct desk *d, const struct tz_msg_digest *m)
{
    struct tz_buf b;
    tz_buf_init(&b, TZ_FRAME_BODY_MAX);
    assert_int_equal(tz_msg_put_digest(&b, m), 0);
    struct tz_frame fr = {.type = TZ_MSG_DIGEST, .body = tz_buf_unread(&b)};
    tz_sync_on_frame(d->sync, &fr);
    tz_buf_deinit(&b);
    run(d);
}

static struct tz_msg_digest at_head(struct desk *d, enum tz_digest_round round)
{
    return (struct tz_msg_digest){.round = round, .ver = tz_store_head(d->f->s), .since = 1};
}

/** The client asked; its question is lost, and the test answers. */
static void asked(struct desk *d)
{
    start(d, false);
    assert_int_equal(d->up.n, 1);
    d->up.n = 0;
}

static void assert_broken(struct desk *d)
{
    assert_true(d->closed);
    assert_int_equal(d->why.code, TZ_E_PROTOCOL);
    assert_false(d->done);
}

static void answer_nobody_asked_for_ends_the_session(void **state)
{
    struct sx *f = *state;
    struct desk *d = desk_new(&f->d1);
    struct tz_msg_digest m = at_head(d, TZ_DIGEST_AREAS);
    answer(d, &m);
    assert_broken(d);
    desk_free(d);
}

static void answer_of_another_round_ends_the_session(void **state)
{
    struct sx *f = *state;
    struct desk *d = desk_new(&f->d1);
    struct tz_msg_digest m = at_head(d, TZ_DIGEST_RANGES);
    asked(d);
    answer(d, &m);
    assert_broken(d);
    desk_free(d);
}

static void keys_that_do_not_ascend_end_the_session(void **state)
{
    struct sx *f = *state;
    struct desk *d = desk_new(&f->d1);
    struct tz_bucket e[2] = {{.key = {20, {"120101", ""}}, .sum = {.rows = 1}},
                             {.key = {20, {"120101", ""}}, .sum = {.rows = 1}}};
    struct tz_msg_digest m = at_head(d, TZ_DIGEST_AREAS);
    m.entries = e;
    m.nentries = 2;
    asked(d);
    answer(d, &m);
    assert_broken(d);
    desk_free(d);
}

static void page_without_end_ends_the_session(void **state)
{
    struct sx *f = *state;
    struct desk *d = desk_new(&f->d1);
    struct tz_msg_digest m = at_head(d, TZ_DIGEST_AREAS);
    m.more = true; /* … and nothing in it: one could ask for ever */
    asked(d);
    answer(d, &m);
    assert_broken(d);
    desk_free(d);
}

/** Lead the client to its question for rows, which is lost. */
static void led_to_rows(struct desk *d)
{
    sql(d, "UPDATE organisation SET address='假'");
    start(d, false);
    while (d->sent[TZ_MSG_DIGEST_REQUEST] < 3)
        assert_true(step(d));
    assert_int_equal(d->up.n - d->up.first, 1);
    d->up.first = d->up.n = 0;
}

static void rows_outside_the_question_end_the_session_and_write_nothing(void **state)
{
    struct sx *f = *state;
    for (int wrong = 0; wrong < 4; wrong++) {
        struct tz_id id = org(f, "甲", "120101001");
        struct desk *d = desk_new(&f->d1);
        led_to_rows(d);
        struct tz_msg_row row = {.type = sx_type(f, "organisation")->id,
                                 .id = id,
                                 .ver = 1,
                                 .area = {"120101", "120101001"},
                                 .state = TZ_ROW_LIVE,
                                 .body = tz_bytes_str("\x0a\x01x")};
        struct tz_msg_digest m = at_head(d, TZ_DIGEST_ROWS);
        if (wrong == 0)
            row.area = (struct tz_area){"120101", "120101002"};
        if (wrong == 1)
            row.type++;
        if (wrong == 2)
            row.state = TZ_ROW_DELETED;
        if (wrong == 3)
            row.id.b[9] ^= 1; /* another range, most likely */
        m.rows = &row;
        m.nrows = 1;
        answer(d, &m);
        assert_broken(d);
        assert_int_equal(query(d, "SELECT count(*) FROM organisation WHERE address='假'"),
                         query(d, "SELECT count(*) FROM organisation"));
        desk_free(d);
    }
}

/** What cannot be stored is told as such, and what is held stays. */
static void row_that_does_not_fit_is_set_aside(void **state)
{
    struct sx *f = *state;
    struct tz_id id = org(f, "甲", "120101001");
    struct desk *d = desk_new(&f->d1);
    led_to_rows(d);
    struct tz_msg_row row = {.type = sx_type(f, "organisation")->id,
                             .id = id,
                             .ver = tz_store_head(f->s),
                             .area = {"120101", "120101001"},
                             .state = TZ_ROW_LIVE,
                             .body = tz_bytes_str("\xff\xff")};
    struct tz_msg_digest m = at_head(d, TZ_DIGEST_ROWS);
    m.rows = &row;
    m.nrows = 1;
    answer(d, &m);
    assert_true(d->done);
    assert_int_equal(d->report.n[TZ_REPAIR_UNFIT], 1);
    assert_int_equal(query(d, "SELECT count(*) FROM organisation"), 1);
    struct tz_office_status st;
    assert_int_equal(tz_office_status(d->o, &st, &f->err), 0);
    assert_int_equal(st.set_aside, 1);
    desk_free(d);
}

static void one_repair_at_a_time(void **state)
{
    struct sx *f = *state;
    struct desk *d = desk_new(&f->d1);
    start(d, false);
    assert_int_equal(tz_sync_repair(d->sync, false, on_repaired, d), TZ_E_DB_BUSY);
    run(d);
    assert_true(d->done);
    repair(d, false, 0, 0, 0);
    start(d, false);
    tz_sync_repair_cancel(d->sync);
    assert_false(d->done);
    tz_sync_stop(d->sync);
    assert_int_equal(tz_sync_repair(d->sync, false, on_repaired, d), TZ_E_GONE);
    desk_free(d);
}

/** The server: a second question before the answer, and one outside the grant, end the session. */
static void server_takes_one_question_at_a_time_and_none_outside_the_grant(void **state)
{
    struct sx *f = *state;
    struct tz_msg_digest_request q = {.round = TZ_DIGEST_AREAS};
    struct tz_buf b;
    tz_buf_init(&b, 4096);
    for (int foreign = 0; foreign < 2; foreign++) {
        struct desk *d = desk_new(&f->d1);
        if (foreign) {
            q = (struct tz_msg_digest_request){.round = TZ_DIGEST_RANGES, .nkeys = 1};
            q.keys[0] = (struct tz_bucket_key){sx_type(f, "organisation")->id, {"120102", ""}};
        }
        tz_buf_clear(&b);
        assert_int_equal(tz_msg_put_digest_request(&b, &q), 0);
        for (int i = 0; i < 2 - foreign; i++) {
            struct tz_frame fr = {.type = TZ_MSG_DIGEST_REQUEST, .body = tz_buf_unread(&b)};
            tz_session_on_frame(d->server, &fr);
        }
        while (d->nsjobs)
            server_job(d);
        assert_int_equal(d->why.code, foreign ? TZ_E_AREA : TZ_E_PROTOCOL);
        assert_string_equal(tz_session_state_name(d->server), "closed");
        assert_int_equal(d->down.v[d->down.n - 1].type, TZ_MSG_ERROR);
        desk_free(d);
    }
    tz_buf_deinit(&b);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, sx_setup, sx_teardown)
    const struct CMUnitTest tests[] = {
        T(sound_replicas_of_every_kind_of_reader_have_no_differences),
        T(exactly_the_damaged_rows_are_put_right),
        T(what_was_taken_out_stays_out),
        T(only_telling_writes_nothing),
        T(row_in_a_place_outside_the_grant_goes_back_to_its_own),
        T(record_of_a_foreign_district_is_taken_out_without_asking),
        T(deleted_here_by_damage_lives_again),
        T(own_edit_stays_on_top_of_a_repaired_shadow),
        T(damaged_shadow_stops_no_download),
        T(own_edits_survive_a_record_the_server_does_not_have),
        T(emptied_database_is_filled_again_in_pages),
        T(more_invented_rows_than_are_held_at_once_all_go),
        T(a_page_looks_at_no_more_than_its_own_rows),
        T(server_that_may_have_forgotten_keeps_what_only_we_have),
        T(answer_that_the_checkpoint_has_passed_is_asked_for_again),
        T(old_row_never_takes_the_place_of_a_newer_one),
        T(record_that_moves_meanwhile_is_there_in_the_end),
        T(server_that_never_stands_still_is_given_up),
        T(answer_from_ahead_waits_for_the_checkpoint),
        T(saves_in_other_districts_disturb_nobody),
        T(saves_in_other_streets_are_not_told),
        T(answer_nobody_asked_for_ends_the_session),
        T(answer_of_another_round_ends_the_session),
        T(keys_that_do_not_ascend_end_the_session),
        T(page_without_end_ends_the_session),
        T(rows_outside_the_question_end_the_session_and_write_nothing),
        T(row_that_does_not_fit_is_set_aside),
        T(one_repair_at_a_time),
        T(server_takes_one_question_at_a_time_and_none_outside_the_grant),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
