/* SPDX-License-Identifier: Apache-2.0 */
/*
 * W3 and W7: two offices that stay connected. One saves, the other has it on its disk a moment later. Both are the real
 * client library in this process, each with its own loop turn and database thread, so that the moment of B's commit
 * is known exactly; the server is the real program.
 *
 *   save at A ──durable: the clock starts── poke ─TLS─> server commits ─TLS─> B commits: CHECKPOINT, the clock stops
 */
#include "bench_live.h"
#include "bench.h"

#include "catalogue_dir.h"
#include "conn.h"
#include "folder.h"
#include "loop.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

enum { WARM_UP = 50, SOCKETS_MAX = 256 };

struct live;

struct side {
    struct live *l;
    struct tz_office *office;
    struct tz_conn *conn; /* NULL once stopped */
    const char *dir;
    int lease, socket;
    bool caught_up;
};

struct live {
    struct tz_catalogue catalogue;
    struct tz_loop *loop;
    struct side a, b;
    uv_timer_t next;
    struct tz_id id; /* the record that is edited */
    unsigned done, wanted;
    double saved_at;
    tz_ver before; /* B's checkpoint when A saved */
    double *took;
    uint64_t bytes; /* of B's connection, both ways, when the first counted edit was made */
    bool waiting;
};

/* ---- the edit ---- */

/** On A's database thread. */
static void save(void *ctx, struct tz_office *o)
{
    struct live *l = ctx;
    const struct tz_type *t = tz_catalogue_type(&l->catalogue, "organisation");
    size_t employees = tz_type_field(t, "employees")->index;
    struct tz_err err = {0};
    struct tz_arena a;
    struct tz_row row;
    struct tz_seen seen;
    struct tz_save *s;
    struct tz_record rec;
    bool pending;
    bool names[TZ_FIELDS_MAX] = {false};
    uint64_t seq;
    tz_arena_init(&a, 1 << 20);
    bench_check(tz_office_read(o, t, l->id, &a, &row, &seen, &pending, &err) == 1, "the record is gone");
    tz_record_init(&rec, t);
    names[employees] = true;
    rec.v[employees] = tz_value_int(row.rec.v[employees].i % 1000 + 1);
    bench_check(tz_save_begin(o, &(struct tz_save_options){0}, &s, &err) == 0, "save: %d", err.code);
    bench_check(tz_save_set(s, l->id, &seen, &rec, names, &err) == 0, "save: %d", err.code);
    bench_check(tz_save_commit(s, &seq, &err) == 0 && seq, "save: %d", err.code);
    tz_arena_deinit(&a);
    l->saved_at = bench_now();
}

static void saved(void *ctx)
{
    const struct live *l = ctx;
    tz_conn_poke(l->a.conn);
}

static void stop_both(struct live *l)
{
    tz_conn_stop(l->a.conn);
    tz_conn_stop(l->b.conn);
}

static void on_next(uv_timer_t *h)
{
    struct live *l = h->data;
    l->before = tz_conn_counters(l->b.conn)->checkpoint;
    l->waiting = true;
    bench_check(tz_conn_call(l->a.conn, save, saved, l) == 0, "the office takes no work");
}

/* ---- bytes on the wire ---- */

/** The one TCP connection of this process that is not @other. */
static int find_socket(int other)
{
    for (int fd = 0; fd < SOCKETS_MAX; fd++) {
        struct sockaddr_in peer;
        socklen_t len = sizeof peer;
        if (fd != other && getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && peer.sin_family == AF_INET)
            return fd;
    }
    bench_die("no connection");
}

/* ---- events ---- */

static void open_side(struct live *l, struct side *s);

static void arrived(struct live *l)
{
    l->waiting = false;
    if (l->done == WARM_UP)
        l->bytes = bench_socket_bytes(l->b.socket);
    if (l->done >= WARM_UP)
        l->took[l->done - WARM_UP] = bench_now() - l->saved_at;
    if (++l->done == l->wanted + WARM_UP) {
        l->bytes = bench_socket_bytes(l->b.socket) - l->bytes;
        stop_both(l);
    } else { /* A's own answer and checkpoint come first: the next edit is made by a rested office */
        uv_timer_start(&l->next, on_next, 2, 0);
    }
}

static void on_event(void *ctx, enum tz_sync_event e)
{
    struct side *s = ctx;
    struct live *l = s->l;
    if (e == TZ_SYNC_CAUGHT_UP && !s->caught_up) {
        s->caught_up = true;
        s->socket = find_socket(s == &l->b ? l->a.socket : -1);
        if (s == &l->a)
            open_side(l, &l->b);
        else
            uv_timer_start(&l->next, on_next, 100, 0);
    }
    if (s == &l->b && e == TZ_SYNC_CHECKPOINT && l->waiting && tz_conn_counters(s->conn)->checkpoint > l->before)
        arrived(l);
}

static void on_end(void *ctx, const struct tz_err *err, bool final)
{
    const struct side *s = ctx;
    (void) final;
    bench_check(s->l->done == s->l->wanted + WARM_UP, "a session ended with %d", err->code);
}

static void on_stopped(void *ctx)
{
    struct side *s = ctx;
    s->conn = NULL;
    if (!s->l->a.conn && !s->l->b.conn)
        uv_close((uv_handle_t *)&s->l->next, NULL);
}

/* ---- from here to there ---- */

static void first_record(struct live *l, struct tz_office *o)
{
    struct tz_err err = {0};
    struct tz_stmt st;
    bench_check(tz_db_prepare(tz_office_db(o), &st, "SELECT _id FROM organisation ORDER BY _ver LIMIT 1", &err) == 0 &&
                    tz_stmt_step(&st, &err) == 1 && tz_stmt_id(&st, 0, &l->id),
                "no organisation in the office");
    tz_stmt_finalize(&st);
}

static void open_side(struct live *l, struct side *s)
{
    struct tz_err err = {0};
    const char *dir = s->dir;
    s->l = l;
    bench_check(tz_folder_lease(dir, &s->lease, &err) == 0, "%s is in use", dir);
    bench_check(tz_folder_office(dir, &l->catalogue, &s->office, &err) == 0, "cannot open %s: %d", dir, err.code);
    if (s == &l->a)
        first_record(l, s->office);
    const struct tz_conn_options opt = {
        .loop = tz_loop_uv(l->loop), .office = s->office, .dir = dir, .software = "tz-bench"};
    const struct tz_conn_cb cb = {on_event, on_end, on_stopped, s};
    bench_check(tz_conn_start(&opt, &cb, &s->conn, &err) == 0, "cannot connect %s: %d", dir, err.code);
}

static void close_side(struct side *s)
{
    tz_office_close(s->office);
    tz_folder_lease_release(s->lease);
}

void bench_live(const char *a_dir, const char *b_dir, unsigned edits, struct bench_latency *out)
{
    struct live l = {.wanted = edits, .a.dir = a_dir, .b.dir = b_dir};
    struct tz_err err = {0};
    l.took = calloc(edits, sizeof *l.took);
    bench_check(l.took != NULL, "out of memory");
    bench_check(tz_catalogue_load_dir(TZ_SOURCE_DIR "/common/catalogue", &l.catalogue, &err) == 0, "no catalogue");
    bench_check(tz_loop_new(NULL, NULL, &l.loop, &err) == 0, "no loop");
    uv_timer_init(tz_loop_uv(l.loop), &l.next);
    l.next.data = &l;
    open_side(&l, &l.a);
    tz_loop_run(l.loop);
    bench_check(l.done == edits + WARM_UP, "only %u edits went through", l.done);
    close_side(&l.a);
    close_side(&l.b);
    tz_loop_free(l.loop);
    tz_catalogue_deinit(&l.catalogue);
    *out = (struct bench_latency){bench_quantile(l.took, edits, 50), bench_quantile(l.took, edits, 99),
                                  (double)l.bytes / (edits - 1)};
    free(l.took);
}
