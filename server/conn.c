/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection: the stream below, the session above, and its jobs on the way to the executor and back.
 *
 *   accept ──> TLS ──on_open──> session ──frames, jobs──> close ──on_close──> gone
 *
 * Invariants
 *  1. A connection lives from accept to on_close. Jobs know it by id only: one that comes back too late finds nobody
 * and is freed.
 *  2. An id is never used again: its high part counts connections, its low part is the place in the table.
 *  3. A job that finds no room at the executor comes back on the next turn, never inside the call that sent it out.
 *
 * Nothing here decides about content; that is the session.
 */
#include "log.h"
#include "loop.h"
#include "server_int.h"

#include <stdlib.h>
#include <string.h>

enum { SLOT_MASK = (1 << TZ_SERVER_SLOT_BITS) - 1, IDLE_MS = 180000 /* the session's own deadlines come first */ };

struct tz_conn *tz_conn_find(struct tz_server *s, uint64_t id)
{
    uint64_t slot = id & SLOT_MASK;
    struct tz_conn *c = slot < s->nslots ? s->slots[slot] : NULL;
    return c && c->id == id ? c : NULL;
}

/* ---- what the session asks for ---- */

static void session_send(void *ctx, uint8_t type, uint16_t lane, struct tz_bytes body)
{
    struct tz_conn *c = ctx;
    int rc = tz_stream_send(c->stream, type, lane, body);
    if (rc && rc != TZ_E_GONE) /* a peer that does not read: its queue has a limit */
        tz_stream_abort(c->stream, rc);
}

static void session_submit(void *ctx, struct tz_sjob *job)
{
    struct tz_conn *c = ctx;
    struct tz_server *s = c->s;
    c->jobs++;
    int rc = s->draining ? TZ_E_DRAINING : tz_exec_submit(s->exec, job);
    if (rc) {
        struct tz_job *n = tz_sjob_node(job);
        tz_sjob_settle(job, rc);
        s->metrics.bounced++;
        n->next = s->bounced;
        s->bounced = n;
        tz_server_soon(s);
    }
    tz_conn_flow(s);
}

static void session_authenticated(void *ctx)
{
    struct tz_conn *c = ctx;
    c->s->nunauthenticated -= !c->authenticated;
    c->authenticated = true;
    tz_stream_limit(c->stream, TZ_FRAME_BODY_MAX);
}

static void session_close(void *ctx, int code)
{
    struct tz_conn *c = ctx;
    tz_stream_close(c->stream, code);
}

/* ---- what the stream tells ---- */

static void on_open(void *ctx, const struct tz_tls_peer *peer)
{
    struct tz_conn *c = ctx;
    struct tz_server *s = c->s;
    const struct tz_session_io io = {session_send, session_submit, session_authenticated, session_close, c};
    struct tz_session_config cfg = {.id = c->id,
                                    .enrolling = peer->alpn == TZ_TLS_ALPN_ENROL,
                                    .sign = tz_identity_sign,
                                    .sign_ctx = &s->id,
                                    .ca = tz_buf_unread(&s->id.ca_der),
                                    .clock = tz_clock_system,
                                    .software = "taizhangd " TZ_VERSION,
                                    .catalogue = s->o->catalogue};
    memcpy(cfg.fingerprint, peer->fingerprint, sizeof cfg.fingerprint);
    if (tz_session_new(&cfg, &io, &c->session))
        tz_stream_abort(c->stream, TZ_E_NOMEM);
    else if (s->draining)
        tz_conn_drain(c);
}

static void on_frame(void *ctx, const struct tz_frame *f)
{
    struct tz_conn *c = ctx;
    c->s->metrics.frames++;
    tz_session_on_frame(c->session, f);
}

static void log_end(struct tz_conn *c, int reason, const struct tz_err *err)
{
    char text[256];
    char quoted[TZ_ERR_ARG_BYTES];
    bool refused = !c->session && !c->s->draining;
    c->s->metrics.refused_handshakes += refused;
    if (refused && c->s->refusals_logged++ >= TZ_REFUSALS_PER_SECOND)
        return;
    tz_log(refused ? TZ_LOG_INFO : TZ_LOG_DEBUG, "conn", refused ? "refused" : "closed", "peer=%s code=%s err=%s",
           tz_stream_remote(c->stream), reason ? tz_err_info(reason)->symbol : "0",
           tz_log_quote(reason ? tz_err_text(err, TZ_LANG_EN, text, sizeof text) : "", quoted, sizeof quoted));
}

static void on_close(void *ctx, int reason, const struct tz_err *err)
{
    struct tz_conn *c = ctx;
    struct tz_server *s = c->s;
    uint64_t slot = c->id & SLOT_MASK;
    log_end(c, reason, err);
    s->slots[slot] = NULL;
    s->free_slots[s->nfree++] = (uint32_t)slot;
    s->nconns--;
    s->nunauthenticated -= !c->authenticated;
    tz_list_remove(&c->link);
    tz_session_free(c->session);
    free(c);
    tz_server_conn_gone(s);
}

void tz_conn_accept(struct tz_server *s, struct uv_stream_s *server)
{
    static const struct tz_stream_opts opts = {.idle_ms = IDLE_MS};
    static const struct tz_stream_cb cb = {.on_open = on_open, .on_frame = on_frame, .on_close = on_close};
    struct tz_err err = {0};
    if (s->draining || s->nunauthenticated >= s->unauthenticated_max || s->nfree == 0)
        return;
    struct tz_conn *c = calloc(1, sizeof *c);
    if (!c)
        return;
    c->s = s;
    if (tz_stream_accept(s->uv, s->tls, server, &opts, &cb, c, &c->stream, &err)) {
        tz_log(TZ_LOG_WARN, "conn", "not accepted", "code=%s", tz_err_info(err.code)->symbol);
        free(c);
        return;
    }
    uint32_t slot = s->free_slots[--s->nfree];
    c->id = ++s->serial << TZ_SERVER_SLOT_BITS | slot;
    s->slots[slot] = c;
    tz_list_push_back(&s->conns, &c->link);
    s->nconns++;
    s->nunauthenticated++;
    s->metrics.accepted++;
    if (s->blocked) {
        c->paused = true;
        tz_stream_pause(c->stream);
    }
}

/* ---- jobs back ---- */

void tz_conn_note_changes(struct tz_server *s, const struct tz_sjob *job)
{
    const struct tz_area *areas = NULL;
    size_t n = 0;
    if (tz_sjob_changed(job, &areas, &n))
        tz_server_wake(s, areas, n);
    else if (tz_sjob_kind(job) == TZ_JOB_ENROL) /* may have made a user, which everybody reads */
        tz_server_wake(s, NULL, 0);
}

void tz_conn_job_done(struct tz_server *s, struct tz_sjob *job)
{
    struct tz_conn *c = tz_conn_find(s, tz_sjob_session(job));
    tz_conn_note_changes(s, job);
    if (!c) {
        tz_sjob_free(job);
        return;
    }
    c->jobs--;
    tz_session_on_job(c->session, job);
    if (s->draining)
        tz_conn_drain(c);
}

void tz_conn_released(struct tz_server *s, struct tz_sjob *job)
{
    tz_conn_note_changes(s, job);
    for (struct tz_link *l = tz_list_first(&s->conns); l; l = tz_list_next(&s->conns, l)) {
        struct tz_conn *c = TZ_LIST_ENTRY(l, struct tz_conn, link);
        if (c->session)
            tz_session_on_released(c->session, job);
    }
    tz_sjob_free(job);
}

/* ---- all of them ---- */

void tz_conn_drain(struct tz_conn *c)
{
    if (!c->session) {
        tz_stream_abort(c->stream, TZ_E_DRAINING);
        return;
    }
    if (!c->paused) {
        c->paused = true;
        tz_stream_pause(c->stream); /* nothing new; what runs is finished */
    }
    if (c->jobs == 0)
        tz_session_kick(c->session, TZ_E_DRAINING);
}

void tz_conn_deadlines(struct tz_server *s)
{
    struct tz_mono now = tz_clock_mono(&tz_clock_system);
    for (struct tz_link *l = tz_list_first(&s->conns); l; l = tz_list_next(&s->conns, l)) {
        struct tz_conn *c = TZ_LIST_ENTRY(l, struct tz_conn, link);
        if (c->session && !c->paused && now.ms >= tz_session_deadline(c->session).ms)
            tz_session_kick(c->session, TZ_E_TIMEOUT);
    }
}

static void pause_all(struct tz_server *s, bool pause)
{
    s->blocked = pause;
    s->metrics.blocked += pause;
    for (struct tz_link *l = tz_list_first(&s->conns); l; l = tz_list_next(&s->conns, l)) {
        struct tz_conn *c = TZ_LIST_ENTRY(l, struct tz_conn, link);
        if (c->paused == pause)
            continue;
        c->paused = pause;
        if (pause)
            tz_stream_pause(c->stream);
        else
            tz_stream_resume(c->stream);
    }
}

void tz_conn_flow(struct tz_server *s)
{
    uint32_t pending = s->draining ? 0 : tz_exec_writer_pending(s->exec);
    if (!s->blocked && pending >= TZ_WRITER_HIGH)
        pause_all(s, true);
    else if (s->blocked && !s->draining && pending <= TZ_WRITER_LOW)
        pause_all(s, false);
}
