/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent is a connection with retry, a control socket, and a tick that looks into the outbox once a second (another
 * program may have saved and its poke may have been lost).
 *
 * A "sync" begins a fresh session: what it reports as caught up then covers every save before the request, by the same
 * rule as a round of its own. Requests that come during one wait for the next, because they may follow a later save.
 *
 *   askers: NEW ──fresh session begins──> RIDING ──caught up, numbers read──> answered
 *
 * A "history" asks the session that there is, one page for one asker at a time; without a session it fails at once.
 */
#include "agent.h"
#include "control.h"
#include "folder.h"
#include "log.h"
#include "loop.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum asker_kind { ASK_NONE, ASK_SYNC, ASK_VERIFY, ASK_VERIFY_ONLY, ASK_HISTORY };

struct asker {
    enum asker_kind kind;
    bool riding; /* the present session began after the question */
    struct tz_control_token token;
    struct tz_msg_history_ask ask; /* HISTORY */
};

struct agent {
    const struct tz_agent_options *opt;
    struct tz_conn *conn; /* NULL once stopped */
    struct tz_control *control;
    uv_timer_t tick;
    struct asker askers[TZ_CONTROL_ASKERS_MAX];
    struct tz_compare *compare;
    enum asker_kind comparing; /* whom it is for */
    struct asker *asking;      /* whose page is under way */
    bool caught_up, reading, stopping;
    struct tz_office_status now; /* of the riding askers */
    int status_code;
    struct tz_err why; /* a final one */
};

/* ---- replies ---- */

static void reply_json(struct agent *g, struct tz_control_token token, json_t *j)
{
    char *text = j == NULL ? NULL : json_dumps(j, JSON_COMPACT);
    json_decref(j);
    int rc = tz_control_reply(g->control, token, tz_bytes_str(text == NULL ? "" : text));
    if (rc != 0) /* the asker was hung up on, and sees that */
        tz_log(TZ_LOG_WARN, "agent", "reply", "err=%s", tz_err_info(rc)->symbol);
    free(text);
}

static json_t *error_json(const struct tz_err *err)
{
    json_t *args = json_array();
    for (unsigned i = 0; i < err->nargs; i++)
        if (json_array_append_new(args, json_string(err->args[i])) != 0)
            break;
    return json_pack("{s:{s:i, s:o}}", "error", "code", err->code, "args", args);
}

static void fail_askers(struct agent *g, const struct tz_err *err)
{
    for (size_t i = 0; i < TZ_CONTROL_ASKERS_MAX; i++) {
        struct asker *a = &g->askers[i];
        if (a->kind == ASK_NONE)
            continue;
        a->kind = ASK_NONE;
        reply_json(g, a->token, error_json(err));
    }
}

/** Wants a session that began after it asked; a history is asked of the present one. */
static bool wants_ride(const struct asker *a)
{
    return a->kind != ASK_NONE && a->kind != ASK_HISTORY;
}

static bool any(const struct agent *g, enum asker_kind kind, bool riding)
{
    for (size_t i = 0; i < TZ_CONTROL_ASKERS_MAX; i++)
        if (g->askers[i].kind == kind && g->askers[i].riding == riding)
            return true;
    return false;
}

static void answer(struct agent *g, enum asker_kind kind, const struct tz_round_report *r)
{
    for (size_t i = 0; i < TZ_CONTROL_ASKERS_MAX; i++) {
        struct asker *a = &g->askers[i];
        if (a->kind != kind || !a->riding)
            continue;
        a->kind = ASK_NONE;
        reply_json(g, a->token, tz_round_json(r));
    }
}

/* ---- sync requests ---- */

static void begin_rides(struct agent *g);

static void run_status(void *ctx, struct tz_office *o)
{
    struct agent *g = ctx;
    struct tz_err err = {0};
    g->status_code = tz_office_status(o, &g->now, &err);
}

static void on_after(void *ctx)
{
    struct agent *g = ctx;
    struct tz_round_report r = {0};
    g->reading = false;
    tz_round_fill(&r, &g->now, tz_conn_counters(g->conn));
    answer(g, ASK_SYNC, &r);
    begin_rides(g);
}

static void serve_riders(struct agent *g);

static void on_compared(void *ctx, const struct tz_compare_result *result)
{
    struct agent *g = ctx;
    struct tz_round_report r = {.compared = true, .compare = *result};
    g->compare = NULL;
    answer(g, g->comparing, &r);
    if (!g->stopping && g->caught_up)
        serve_riders(g); /* the other kind */
}

/** The riding askers' session has caught up. */
static void serve_riders(struct agent *g)
{
    if (!g->reading && any(g, ASK_SYNC, true))
        g->reading = tz_conn_call(g->conn, run_status, on_after, g) == 0;
    bool dry = !any(g, ASK_VERIFY, true);
    if (g->compare != NULL || (dry && !any(g, ASK_VERIFY_ONLY, true)))
        return;
    g->comparing = dry ? ASK_VERIFY_ONLY : ASK_VERIFY;
    if (tz_compare_start(g->conn, dry, on_compared, g, &g->compare) != 0)
        g->compare = NULL;
}

/** Start a session for those who wait, unless one of theirs is under way. */
static void begin_rides(struct agent *g)
{
    bool waiting = false;
    bool riding = false;
    for (size_t i = 0; i < TZ_CONTROL_ASKERS_MAX; i++) {
        waiting = waiting || (wants_ride(&g->askers[i]) && !g->askers[i].riding);
        riding = riding || (wants_ride(&g->askers[i]) && g->askers[i].riding);
    }
    if (!waiting || riding || g->reading || g->stopping)
        return;
    for (size_t i = 0; i < TZ_CONTROL_ASKERS_MAX; i++)
        g->askers[i].riding = wants_ride(&g->askers[i]);
    g->caught_up = false;
    tz_conn_renew(g->conn);
}

/* ---- history requests ---- */

static void serve_histories(struct agent *g);

static void on_page(void *ctx, struct tz_bytes body)
{
    struct agent *g = ctx;
    struct asker *a = g->asking;
    struct tz_buf text;
    tz_buf_init(&text, TZ_CONTROL_REPLY_MAX);
    int rc = tz_base64_put(&text, body);
    g->asking = NULL;
    a->kind = ASK_NONE;
    reply_json(g, a->token, rc == 0 ? json_pack("{s:s%}", "page", text.p ? (const char *)text.p : "", text.len) : NULL);
    tz_buf_deinit(&text);
    serve_histories(g);
}

static void serve_histories(struct agent *g)
{
    struct tz_sync *s = g->stopping ? NULL : tz_conn_sync(g->conn);
    for (size_t i = 0; s != NULL && g->asking == NULL && i < TZ_CONTROL_ASKERS_MAX; i++)
        if (g->askers[i].kind == ASK_HISTORY) {
            g->asking = &g->askers[i];
            tz_sync_history(s, &g->asking->ask, on_page, g);
        }
}

/** "history TYPE ID FIELD BEFORE" */
static bool read_history(const char *line, struct tz_msg_history_ask *ask)
{
    char hex[TZ_ID_HEX + 1];
    int end = 0;
    memset(ask, 0, sizeof *ask);
    return sscanf(line, "history %" SCNu32 " %32[0-9a-f] %" SCNu32 " %" SCNu64 "%n", &ask->type, hex, &ask->field,
                  &ask->before, &end) == 4 &&
           line[end] == '\0' && tz_id_parse(hex, &ask->id) == 0;
}

/* ---- the connection ---- */

static void stop(struct agent *g)
{
    struct tz_err gone = {0};
    if (g->stopping)
        return;
    g->stopping = true;
    (void)tz_err_set(&gone, TZ_E_GONE, NULL, NULL, NULL, NULL);
    if (g->why.code != 0)
        gone = g->why;
    if (g->compare != NULL)
        tz_compare_on_end(g->compare, TZ_E_GONE);
    g->asking = NULL;
    fail_askers(g, &gone);
    uv_close((uv_handle_t *)&g->tick, NULL);
    tz_conn_stop(g->conn);
    tz_control_stop(g->control, NULL, NULL);
}

static void on_event(void *ctx, enum tz_sync_event e)
{
    struct agent *g = ctx;
    if (g->stopping)
        return;
    if (g->compare != NULL)
        tz_compare_on_event(g->compare, e);
    if (e == TZ_SYNC_WELCOMED) /* what was asked in an earlier session ended with it: it is asked again */
        g->asking = NULL;
    if (e != TZ_SYNC_CAUGHT_UP)
        return;
    g->caught_up = true;
    serve_riders(g);
    serve_histories(g);
}

static void on_end(void *ctx, const struct tz_err *err, bool final)
{
    struct agent *g = ctx;
    if (g->stopping)
        return;
    g->caught_up = false;
    if (g->compare != NULL)
        tz_compare_on_end(g->compare, err->code);
    g->asking = NULL;
    fail_askers(g, err);
    if (!final) {
        if (g->opt->on_end != NULL)
            g->opt->on_end(g->opt->ctx, err);
        return;
    }
    g->why = *err;
    stop(g);
}

static void on_stopped(void *ctx)
{
    struct agent *g = ctx;
    g->conn = NULL;
}

/* ---- requests ---- */

static const char *const state_names[] = {"connecting", "up", "closing", "waiting", "down", "stopping"};

static json_t *status_json(const struct agent *g)
{
    const struct tz_err *why = tz_conn_error(g->conn);
    enum tz_conn_state s = tz_conn_state(g->conn);
    return json_pack("{s:b, s:s, s:b, s:i, s:s}", "connected", s == TZ_CONN_UP, "state", state_names[s], "caught_up",
                     g->caught_up, "pid", (int)getpid(), "error", why->code == 0 ? "" : tz_err_info(why->code)->symbol);
}

/** NULL: there is no room, and the asker was told. */
static struct asker *add_asker(struct agent *g, enum asker_kind kind, struct tz_control_token token)
{
    struct tz_err full = {0};
    for (size_t i = 0; i < TZ_CONTROL_ASKERS_MAX; i++)
        if (g->askers[i].kind == ASK_NONE) {
            g->askers[i] = (struct asker){.kind = kind, .token = token};
            return &g->askers[i];
        }
    (void)tz_err_set(&full, TZ_E_LEASE, NULL, NULL, NULL, NULL);
    reply_json(g, token, error_json(&full));
    return NULL;
}

static void add_history(struct agent *g, const struct tz_msg_history_ask *ask, struct tz_control_token token)
{
    struct tz_err err = *tz_conn_error(g->conn);
    if (tz_conn_state(g->conn) != TZ_CONN_UP || !g->caught_up) {
        if (err.code == 0)
            (void)tz_err_set(&err, TZ_E_GONE, NULL, NULL, NULL, NULL);
        reply_json(g, token, error_json(&err));
        return;
    }
    struct asker *a = add_asker(g, ASK_HISTORY, token);
    if (a != NULL) {
        a->ask = *ask;
        serve_histories(g);
    }
}

static void on_request(void *ctx, const char *line, struct tz_control_token token)
{
    struct agent *g = ctx;
    struct tz_msg_history_ask ask;
    struct tz_err err = {0};
    if (strcmp(line, "poke") == 0) {
        tz_conn_poke(g->conn);
        reply_json(g, token, json_pack("{s:b}", "ok", 1));
    } else if (strcmp(line, "status") == 0) {
        reply_json(g, token, status_json(g));
    } else if (strcmp(line, "sync") == 0) {
        (void)add_asker(g, ASK_SYNC, token);
        begin_rides(g);
    } else if (strcmp(line, "verify") == 0) {
        (void)add_asker(g, ASK_VERIFY, token);
        begin_rides(g);
    } else if (strcmp(line, "verify-only") == 0) {
        (void)add_asker(g, ASK_VERIFY_ONLY, token);
        begin_rides(g);
    } else if (read_history(line, &ask)) {
        add_history(g, &ask, token);
    } else if (strcmp(line, "stop") == 0) {
        reply_json(g, token, json_pack("{s:b}", "ok", 1));
        stop(g);
    } else {
        (void)tz_err_setf(&err, TZ_E_USAGE, "%.40s", line);
        reply_json(g, token, error_json(&err));
    }
}

static void on_tick_cb(uv_timer_t *h)
{
    struct agent *g = h->data;
    if (g->compare != NULL)
        tz_compare_on_tick(g->compare);
    else if (g->caught_up)
        serve_riders(g); /* a job that could not be queued is tried again */
    begin_rides(g);
    tz_conn_poke(g->conn);
}

static void on_signal(void *ctx, int signum)
{
    (void)signum;
    stop(ctx);
}

/* ---- running ---- */

static int start_all(struct agent *g, struct tz_loop *loop, struct tz_err *err)
{
    char path[PATH_MAX];
    const struct tz_conn_options opt = {.loop = tz_loop_uv(loop),
                                        .office = g->opt->office,
                                        .dir = g->opt->dir,
                                        .software = g->opt->software,
                                        .retry = true};
    const struct tz_conn_cb cb = {on_event, on_end, on_stopped, g};
    int rc = tz_folder_path(g->opt->dir, TZ_FOLDER_SOCKET, path, err);
    if (rc == 0)
        rc = tz_control_listen(opt.loop, path, on_request, g, &g->control, err);
    if (rc != 0)
        return rc;
    rc = tz_conn_start(&opt, &cb, &g->conn, err);
    if (rc != 0) {
        tz_control_stop(g->control, NULL, NULL);
        return rc;
    }
    (void)uv_timer_init(opt.loop, &g->tick);
    g->tick.data = g;
    (void)uv_timer_start(&g->tick, on_tick_cb, 1000, 1000);
    g->opt->on_ready(g->opt->ctx);
    return 0;
}

int tz_agent_run(const struct tz_agent_options *opt, struct tz_err *err)
{
    struct agent g = {.opt = opt};
    struct tz_loop *loop;
    int lease;
    int rc = tz_folder_lease(opt->dir, &lease, err);
    if (rc != 0)
        return rc;
    rc = tz_loop_new(on_signal, &g, &loop, err);
    if (rc == 0) {
        rc = start_all(&g, loop, err);
        tz_loop_run(loop);
        tz_loop_free(loop);
    }
    if (rc == 0 && g.why.code != 0) {
        *err = g.why;
        rc = err->code;
    }
    if (rc == TZ_E_WIPED)
        rc = tz_round_wiped(opt->dir, err);
    tz_folder_lease_release(lease);
    return rc;
}

/* ---- asking one ---- */

static int reported_error(const json_t *e, struct tz_err *err)
{
    const json_t *args = json_object_get(e, "args");
    int code = (int)json_integer_value(json_object_get(e, "code"));
    return tz_err_set(err, tz_err_known(code) ? code : TZ_E_INTERNAL, json_string_value(json_array_get(args, 0)),
                      json_string_value(json_array_get(args, 1)), json_string_value(json_array_get(args, 2)), NULL);
}

int tz_agent_ask(const char *dir, const char *request, uint32_t timeout_ms, json_t **out, struct tz_err *err)
{
    char path[PATH_MAX];
    struct tz_buf reply;
    *out = NULL;
    int rc = tz_folder_path(dir, TZ_FOLDER_SOCKET, path, err);
    if (rc != 0)
        return rc;
    tz_buf_init(&reply, TZ_CONTROL_REPLY_MAX);
    rc = tz_control_ask(path, request, &reply, timeout_ms, err);
    if (rc == 0) {
        struct tz_bytes text = tz_buf_unread(&reply);
        *out = json_loadb((const char *)text.p, text.n, 0, NULL);
        const json_t *e = json_object_get(*out, "error");
        if (*out == NULL)
            rc = tz_err_set(err, TZ_E_FORMAT, TZ_FOLDER_SOCKET, NULL, NULL, NULL);
        else if (json_is_object(e))
            rc = reported_error(e, err);
    }
    if (rc != 0 && *out != NULL) {
        json_decref(*out);
        *out = NULL;
    }
    tz_buf_deinit(&reply);
    return rc;
}
