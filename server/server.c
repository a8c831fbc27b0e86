/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The running server.
 *
 *   start:  identity, TLS ─> stores and threads ─> control socket ─> listener ─> "ready"
 *   SIGTERM: stop accepting; connections with jobs under way wait for them (DRAIN_MS), then all are told and closed
 *   stop:   no connection left ─> threads end ─> timers close ─> the loop is empty
 *
 * Invariants
 *  1. Every end, also a start that fails half-way, takes the same way out: drain, then stop what exists.
 *  2. The loop never touches the database: start-up opens it before the loop runs, the threads own it afterwards.
 *  3. Sessions hear of a new head once per turn of the loop, however many jobs brought it.
 *
 * A second signal while draining cuts all connections at once.
 */
#include "server_int.h"

#include "addr.h"
#include "listener.h"
#include "log.h"
#include "loop.h"

#include <stdlib.h>
#include <string.h>

enum { TICK_MS = 1000, DRAIN_MS = 3500, CUT_MS = 1000, RELEASE_RETRY_MS = 30000 };
enum { PURGE_FIRST_MS = 60 * 1000, PURGE_EVERY_MS = 24 * 3600 * 1000, PURGE_RETRY_MS = 3600 * 1000 };

/* ---- stopping ---- */

static void on_part_stopped(void *ctx);

static void stop_control(struct tz_server *s)
{
    if (s->control)
        tz_control_stop(s->control, on_part_stopped, s);
    s->control = NULL;
}

static void stop_parts(struct tz_server *s)
{
    if (s->stopping || !s->draining || s->nconns)
        return;
    s->stopping = true;
    if (s->exec)
        tz_exec_stop(s->exec); /* the control socket goes after it: an administrator may still wait for an answer */
    else
        stop_control(s);
    if (s->parts == 0) {
        s->parts = 1;
        on_part_stopped(s);
    }
}

static void on_part_stopped(void *ctx)
{
    struct tz_server *s = ctx;
    if (--s->parts)
        return;
    if (!s->stopping) {
        stop_parts(s);
        return;
    }
    uv_timer_t *const timers[] = {&s->tick, &s->soon, &s->drain};
    for (unsigned i = 0; i < s->ntimers; i++)
        uv_close((uv_handle_t *)timers[i], NULL);
    s->ntimers = 0;
    while (s->bounced) {
        struct tz_job *next = s->bounced->next;
        tz_sjob_free((struct tz_sjob *)(void *)s->bounced);
        s->bounced = next;
    }
}

static void on_exec_stopped(void *ctx)
{
    struct tz_server *s = ctx;
    s->exec = NULL;
    stop_control(s);
    on_part_stopped(s);
}

void tz_server_conn_gone(struct tz_server *s)
{
    stop_parts(s);
}

static void cut_all(struct tz_server *s)
{
    for (struct tz_link *l = tz_list_first(&s->conns); l; l = tz_list_next(&s->conns, l))
        tz_stream_abort(TZ_LIST_ENTRY(l, struct tz_conn, link)->stream, TZ_E_DRAINING);
}

static void on_cut_cb(uv_timer_t *t)
{
    cut_all(t->data);
}

/** Time is up: who still waits for a job is told too, and cut if it does not go. */
static void on_drain_cb(uv_timer_t *t)
{
    struct tz_server *s = t->data;
    for (struct tz_link *l = tz_list_first(&s->conns); l; l = tz_list_next(&s->conns, l)) {
        struct tz_conn *c = TZ_LIST_ENTRY(l, struct tz_conn, link);
        if (c->session)
            tz_session_kick(c->session, TZ_E_DRAINING);
    }
    (void)uv_timer_start(t, on_cut_cb, CUT_MS, 0);
}

static void drain(struct tz_server *s)
{
    if (s->draining) {
        cut_all(s);
        return;
    }
    s->draining = true;
    if (s->listener)
        tz_listener_stop(s->listener, on_part_stopped, s);
    s->listener = NULL;
    for (struct tz_link *l = tz_list_first(&s->conns); l; l = tz_list_next(&s->conns, l))
        tz_conn_drain(TZ_LIST_ENTRY(l, struct tz_conn, link));
    if (s->ntimers)
        (void)uv_timer_start(&s->drain, on_drain_cb, DRAIN_MS, 0);
    stop_parts(s);
}

static void on_signal(void *ctx, int signum)
{
    struct tz_server *s = ctx;
    tz_log(TZ_LOG_INFO, "server", "drain", "signal=%d connections=%zu", signum, s->nconns);
    drain(s);
}

/* ---- deferred work ---- */

static void tell_heads(struct tz_server *s)
{
    tz_ver head = s->exec ? tz_exec_head(s->exec) : 0;
    size_t n = s->wake_all ? 0 : s->nareas;
    if (!s->wake || s->draining)
        return;
    s->wake = false;
    for (struct tz_link *l = tz_list_first(&s->conns); l; l = tz_list_next(&s->conns, l)) {
        struct tz_conn *c = TZ_LIST_ENTRY(l, struct tz_conn, link);
        if (c->session)
            tz_session_on_head(c->session, head, s->areas, n);
    }
    s->wake_all = false;
    s->nareas = 0;
}

static void on_soon_cb(uv_timer_t *t)
{
    struct tz_server *s = t->data;
    struct tz_job *j = s->bounced;
    s->bounced = NULL; /* giving them back may send out others */
    while (j) {
        struct tz_job *next = j->next;
        tz_conn_job_done(s, (struct tz_sjob *)(void *)j);
        j = next;
    }
    tell_heads(s);
}

void tz_server_soon(struct tz_server *s)
{
    if (s->ntimers && !uv_is_active((uv_handle_t *)&s->soon))
        (void)uv_timer_start(&s->soon, on_soon_cb, 0, 0);
}

void tz_server_wake(struct tz_server *s, const struct tz_area *areas, size_t n)
{
    s->wake = true;
    s->wake_all = s->wake_all || n == 0;
    for (size_t i = 0; i < n && !s->wake_all; i++) {
        bool known = false;
        for (size_t k = 0; k < s->nareas && !known; k++)
            known = tz_area_eq(&s->areas[k], &areas[i]);
        if (!known && s->nareas == TZ_SERVER_AREAS_MAX)
            s->wake_all = true;
        else if (!known)
            s->areas[s->nareas++] = areas[i];
    }
    tz_server_soon(s);
}

/** Keep one job that judges what was freed under way. If there is no room for it now, the next Push asks again. */
static void release_more(struct tz_server *s)
{
    struct tz_sjob *job = NULL;
    if (s->draining || s->releasing || tz_sjob_release_new(&job))
        return;
    if (tz_exec_submit(s->exec, job))
        tz_sjob_free(job);
    else
        s->releasing = true;
}

/** Once a day, step by step: a step is a short group among the others. */
static void purge_more(struct tz_server *s)
{
    struct tz_sjob *job = NULL;
    int64_t now = tz_clock_mono(&tz_clock_system).ms;
    s->purge_at.ms = now + PURGE_RETRY_MS;
    if (s->draining || tz_sjob_purge_new(&s->env.purge, &job))
        return;
    if (tz_exec_submit(s->exec, job))
        tz_sjob_free(job);
    else
        s->purge_at.ms = 0;
}

static void on_purged(struct tz_server *s, struct tz_sjob *job)
{
    int64_t wait = tz_sjob_failed(job) ? PURGE_RETRY_MS : PURGE_EVERY_MS;
    bool more = tz_sjob_purge_left(job);
    s->purge_at.ms = tz_clock_mono(&tz_clock_system).ms + wait;
    tz_conn_note_changes(s, job);
    tz_sjob_free(job);
    if (more)
        purge_more(s);
}

/** What waits for the end of the recovery window is judged when it comes, by time or by hand. */
static void watch_window(struct tz_server *s)
{
    bool open = s->exec && tz_exec_recovery_until(s->exec) > tz_clock_wall(&tz_clock_system).ms;
    if (s->recovering && !open)
        release_more(s);
    s->recovering = open;
}

static void on_tick_cb(uv_timer_t *t)
{
    struct tz_server *s = t->data;
    if (s->refusals_logged > TZ_REFUSALS_PER_SECOND)
        tz_log(TZ_LOG_INFO, "conn", "refused more", "count=%u", s->refusals_logged - TZ_REFUSALS_PER_SECOND);
    s->refusals_logged = 0;
    if (s->release_at.ms && tz_clock_mono(&tz_clock_system).ms >= s->release_at.ms) {
        s->release_at.ms = 0;
        release_more(s);
    }
    if (s->purge_at.ms && tz_clock_mono(&tz_clock_system).ms >= s->purge_at.ms)
        purge_more(s);
    watch_window(s);
    tz_conn_deadlines(s);
}

/* ---- executor ---- */

static void on_sjob_done(void *ctx, struct tz_sjob *job)
{
    struct tz_server *s = ctx;
    bool left = tz_sjob_release_left(job);
    if (tz_sjob_kind(job) == TZ_JOB_RELEASE) {
        s->releasing = false;
        if (tz_sjob_failed(job))
            s->release_at.ms = tz_clock_mono(&tz_clock_system).ms + RELEASE_RETRY_MS;
        tz_conn_released(s, job);
    } else if (tz_sjob_kind(job) == TZ_JOB_PURGE) {
        on_purged(s, job);
    } else {
        tz_conn_job_done(s, job);
    }
    if (left)
        release_more(s);
    tz_conn_flow(s);
}

static void cut_device(struct tz_server *s, uint32_t device, int why)
{
    for (struct tz_link *l = tz_list_first(&s->conns); l; l = tz_list_next(&s->conns, l)) {
        struct tz_conn *c = TZ_LIST_ENTRY(l, struct tz_conn, link);
        if (c->session && tz_session_device(c->session) == device)
            tz_session_kick(c->session, why);
    }
}

static void on_admin_done(void *ctx, struct tz_control_token token, struct tz_admin_outcome *out,
                          const struct tz_err *err)
{
    struct tz_server *s = ctx;
    if (out->cut)
        cut_device(s, out->cut,
                   TZ_E_GRANT_CHANGED); /* it comes back and is told what to do, and what became of its saves */
    if (out->rows)
        tz_server_wake(s, NULL, 0);
    tz_control_cmd_done(s, token, out, err);
}

/* ---- accepting ---- */

static void on_accept(void *ctx, struct uv_stream_s *server)
{
    tz_conn_accept(ctx, server);
}

static size_t count_connections(void *ctx)
{
    const struct tz_server *s = ctx;
    return s->nconns;
}

/* ---- starting ---- */

static int make_slots(struct tz_server *s, struct tz_err *err)
{
    s->nslots = tz_config_number(s->o->config, TZ_CONFIG_CONNECTIONS_MAX);
    s->unauthenticated_max = tz_config_number(s->o->config, TZ_CONFIG_UNAUTHENTICATED_MAX);
    s->slots = calloc(s->nslots, sizeof(struct tz_conn *));
    s->free_slots = calloc(s->nslots, sizeof *s->free_slots);
    if (!s->slots || !s->free_slots)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    for (uint32_t i = 0; i < s->nslots; i++)
        s->free_slots[i] = s->nslots - 1 - i;
    s->nfree = s->nslots;
    return 0;
}

static int make_tls(struct tz_server *s, struct tz_err *err)
{
    int rc = tz_identity_load(s->o->dir, &s->id, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < TZ_PKI_PIN_BYTES; i++)
        (void)snprintf(s->pin_hex + 2 * i, 3, "%02x", s->id.pin[i]);
    memcpy(s->env.pin, s->id.pin, sizeof s->env.pin);
    s->env.purge = tz_purge_rules_of(tz_config_number(s->o->config, TZ_CONFIG_LEASE_DAYS),
                                     tz_config_number(s->o->config, TZ_CONFIG_PURGE_DAYS),
                                     tz_config_number(s->o->config, TZ_CONFIG_COMPACT_DAYS));
    const struct tz_tls_server_opts opts = {.ca_cert = tz_buf_unread(&s->id.ca_cert),
                                            .cert = tz_buf_unread(&s->id.server_cert),
                                            .key = tz_buf_unread(&s->id.server_key)};
    return tz_tls_config_server(&opts, &s->tls, err);
}

static int start_timers(struct tz_server *s, struct tz_err *err)
{
    uv_timer_t *const timers[] = {&s->tick, &s->soon, &s->drain};
    for (; s->ntimers < 3; s->ntimers++) {
        int rc = uv_timer_init(s->uv, timers[s->ntimers]);
        if (rc < 0)
            return tz_err_set(err, TZ_E_INTERNAL, uv_strerror(rc), NULL, NULL, NULL);
        timers[s->ntimers]->data = s;
    }
    (void)uv_timer_start(&s->tick, on_tick_cb, TICK_MS, TICK_MS);
    return 0;
}

static int start_exec(struct tz_server *s, struct tz_err *err)
{
    const struct tz_exec_cb cb = {on_sjob_done, on_admin_done, on_exec_stopped};
    int rc = tz_journal_open(s->o->dir, &s->journal, err);
    if (rc)
        return rc;
    const struct tz_store_options so = {.catalogue = s->o->catalogue,
                                        .clock = tz_clock_system,
                                        .journal = tz_journal_append,
                                        .journal_ctx = &s->journal,
                                        .known = s->journal.known};
    char path[PATH_MAX];
    const struct tz_exec_options eo = {.path = tz_datadir_file(s->o->dir, "server.db", path),
                                       .store = &so,
                                       .readers = tz_config_number(s->o->config, TZ_CONFIG_READERS),
                                       .env = &s->env,
                                       .metrics = &s->metrics};
    rc = tz_exec_start(s->uv, &eo, &cb, s, &s->exec, err);
    s->parts += !rc;
    if (!rc)
        release_more(s); /* what a stop left */
    s->purge_at.ms = tz_clock_mono(&tz_clock_system).ms + PURGE_FIRST_MS;
    return rc;
}

static int start_control(struct tz_server *s, struct tz_err *err)
{
    char path[PATH_MAX];
    int rc =
        tz_control_listen(s->uv, tz_datadir_file(s->o->dir, "control.sock", path), tz_control_cmd, s, &s->control, err);
    s->parts += !rc;
    return rc;
}

static int start_listener(struct tz_server *s, struct tz_err *err)
{
    const struct tz_listener_cb cb = {on_accept, count_connections};
    const char *listen = tz_config_text(s->o->config, TZ_CONFIG_LISTEN);
    const char *public_address = tz_config_text(s->o->config, TZ_CONFIG_PUBLIC_ADDRESS);
    struct tz_addr a;
    int rc = tz_addr_parse(listen, &a, err);
    if (!rc)
        rc = tz_listener_start(s->uv, listen, s->nslots, &cb, s, &s->listener, err);
    if (rc)
        return rc;
    s->parts++;
    a.port = tz_listener_port(s->listener);
    (void)tz_addr_print(&a, s->address, sizeof s->address);
    s->env.address = public_address[0] ? public_address : s->address;
    return 0;
}

static void say_ready(struct tz_server *s)
{
    tz_log(TZ_LOG_INFO, "server", "ready", "address=%s", s->address);
    if (s->o->json)
        (void)fprintf(s->o->out, "{\"ready\":true,\"address\":\"%s\",\"pin\":\"%s\"}\n", s->address, s->pin_hex);
    else
        (void)fprintf(s->o->out, "ready address=%s pin=%s\n", s->address, s->pin_hex);
    (void)fflush(s->o->out);
}

static int start(struct tz_server *s, struct tz_err *err)
{
    int rc = make_slots(s, err);
    if (!rc)
        rc = make_tls(s, err);
    if (!rc)
        rc = start_timers(s, err);
    if (!rc)
        rc = start_exec(s, err);
    if (!rc)
        rc = start_control(s, err);
    if (!rc)
        rc = start_listener(s, err);
    return rc;
}

int tz_server_run(const struct tz_server_options *o, struct tz_err *err)
{
    struct tz_server *s = calloc(1, sizeof *s);
    if (!s)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    s->o = o;
    s->env.address = "";
    s->journal.fd = -1;
    s->started = tz_clock_mono(&tz_clock_system);
    s->recovering = true; /* a window that ended while nobody served: its end is looked at once */
    tz_list_init(&s->conns);
    int rc = tz_loop_new(on_signal, s, &s->loop, err);
    if (rc) {
        free(s);
        return rc;
    }
    s->uv = tz_loop_uv(s->loop);
    rc = start(s, err);
    if (rc)
        drain(s);
    else
        say_ready(s);
    tz_loop_run(s->loop);
    tz_loop_free(s->loop);
    tz_tls_config_free(s->tls);
    tz_identity_deinit(&s->id);
    tz_journal_close(&s->journal); /* the writer's thread is gone */
    free(s->slots);
    free(s->free_slots);
    free(s);
    if (!rc)
        tz_log(TZ_LOG_INFO, "server", "stopped", NULL);
    return rc;
}
