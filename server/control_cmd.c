/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket's questions: {"command":"status"} and {"command":"online"} are answered from the loop's own
 * numbers, everything else goes to the writer thread as an administrator's change. The socket is 0600: whoever can ask
 * may also read the database.
 */
#include "listener.h"
#include "log.h"
#include "server_int.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void reply(struct tz_server *s, struct tz_control_token token, json_t *o)
{
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    const char *nothing = "{\"error\":{\"number\":2,\"args\":[],\"trail\":\"\"}}"; /* TZ_E_NOMEM */
    int rc = s->control ? tz_control_reply(s->control, token, tz_bytes_str(text ? text : nothing)) : 0;
    if (rc)
        tz_log(TZ_LOG_WARN, "control", "not answered", "code=%s", tz_err_info(rc)->symbol);
    free(text);
    json_decref(o);
}

static void count_sessions(struct tz_server *s, size_t *sessions, size_t *online)
{
    for (struct tz_link *l = tz_list_first(&s->conns); l; l = tz_list_next(&s->conns, l)) {
        struct tz_conn *c = TZ_LIST_ENTRY(l, struct tz_conn, link);
        *sessions += c->session != NULL;
        *online += c->session && tz_session_device(c->session) != 0;
    }
}

static void put(json_t *o, const char *key, uint64_t v)
{
    (void)json_object_set_new(o, key, json_integer((json_int_t)v));
}

static json_t *status(struct tz_server *s)
{
    json_t *o = json_pack("{s:b,s:i,s:s,s:s,s:s,s:b}", "running", 1, "pid", (int)getpid(), "version", TZ_VERSION,
                          "address", s->address, "pin", s->pin_hex, "draining", s->draining);
    size_t rss = 0;
    size_t sessions = 0;
    size_t devices = 0;
    if (!o)
        return NULL;
    (void)uv_resident_set_memory(&rss);
    count_sessions(s, &sessions, &devices);
    put(o, "uptime_s", (uint64_t)((tz_clock_mono(&tz_clock_system).ms - s->started.ms) / 1000));
    put(o, "rss_bytes", rss);
    put(o, "connections", s->nconns);
    put(o, "unauthenticated", s->nunauthenticated);
    put(o, "sessions", sessions);
    put(o, "devices_online", devices); /* one that came back before its old connection ended counts twice */
    put(o, "head", s->exec ? tz_exec_head(s->exec) : 0);
    int64_t until = s->exec ? tz_exec_recovery_until(s->exec) : 0;
    bool open = until > tz_clock_wall(&tz_clock_system).ms;
    (void)json_object_set_new(o, "recovery_open", json_boolean(open));
    put(o, "recovery_until_ms", open ? (uint64_t)until : 0);
    put(o, "writer_pending", s->exec ? tz_exec_writer_pending(s->exec) : 0);
    put(o, "reader_pending", s->exec ? tz_exec_reader_pending(s->exec) : 0);
    s->metrics.refused_connections = s->listener ? tz_listener_refused(s->listener) : s->metrics.refused_connections;
    tz_metrics_json(&s->metrics, o);
    return o;
}

static json_t *online(struct tz_server *s)
{
    json_t *list = json_array();
    for (struct tz_link *l = tz_list_first(&s->conns); l; l = tz_list_next(&s->conns, l)) {
        struct tz_conn *c = TZ_LIST_ENTRY(l, struct tz_conn, link);
        uint32_t device = c->session ? tz_session_device(c->session) : 0;
        if (device)
            (void)json_array_append_new(list, json_integer(device));
    }
    return json_pack("{s:o}", "devices", list);
}

static void refuse(struct tz_server *s, struct tz_control_token token, int code, const char *what)
{
    struct tz_err err;
    (void)tz_err_set(&err, code, what, NULL, NULL, NULL);
    reply(s, token, tz_admin_error_json(&err));
}

void tz_control_cmd(void *server, const char *line, struct tz_control_token token)
{
    struct tz_server *s = server;
    json_t *q = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    const char *command = json_string_value(json_object_get(q, "command"));
    if (!command)
        refuse(s, token, TZ_E_USAGE, "control");
    else if (strcmp(command, "status") == 0)
        reply(s, token, status(s));
    else if (strcmp(command, "online") == 0)
        reply(s, token, online(s));
    else if (s->draining || !s->exec)
        refuse(s, token, TZ_E_DRAINING, NULL);
    else {
        int rc = tz_exec_admin(s->exec, json_incref(q), token);
        if (rc)
            refuse(s, token, rc, NULL);
    }
    json_decref(q);
}

void tz_control_cmd_done(void *server, struct tz_control_token token, struct tz_admin_outcome *out,
                         const struct tz_err *err)
{
    reply(server, token, err->code ? tz_admin_error_json(err) : out->reply);
    out->reply = NULL;
}
