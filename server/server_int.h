/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_SERVER_INT_H
#define TZ_SERVER_INT_H

/*
 * Inside the running server. Who calls whom:
 *
 *   server.c       start, drain, stop; owns all the rest
 *   conn.c         one connection: stream and session, jobs out and back
 *   control_cmd.c  questions of the administrator's commands
 *   exec.c         the threads behind
 */

#include "dbthread.h"
#include "exec.h"
#include "identity.h"
#include "journal.h"
#include "list.h"
#include "server.h"
#include "stream.h"

#include <uv.h>

enum {
    TZ_SERVER_AREAS_MAX = 64, /* remembered until the next wake; more = everywhere */
    TZ_SERVER_SLOT_BITS = 20, /* of a session id: its place in `slots` */
    TZ_WRITER_HIGH = 1024,    /* jobs waiting for the writer: stop reading from everybody */
    TZ_WRITER_LOW = 256,
    TZ_REFUSALS_PER_SECOND = 20 /* logged; the rest is counted */
};

struct tz_server;

struct tz_conn {
    struct tz_link link; /* in tz_server.conns */
    struct tz_server *s;
    struct tz_stream *stream;
    struct tz_session *session; /* NULL until TLS is up */
    uint64_t id;
    unsigned jobs; /* at the executor */
    bool authenticated, paused;
};

struct tz_server {
    const struct tz_server_options *o;
    struct tz_loop *loop;
    uv_loop_t *uv;
    struct tz_identity id;
    struct tz_tls_config *tls;
    struct tz_journal journal; /* the writer's thread uses it */
    struct tz_exec *exec;
    struct tz_listener *listener;
    struct tz_control *control;
    struct tz_admin_env env;
    char address[TZ_CONFIG_VALUE_BYTES]; /* listened on, with the real port */
    char pin_hex[2 * TZ_PKI_PIN_BYTES + 1];
    struct tz_metrics metrics;
    struct tz_mono started;

    struct tz_list conns;
    struct tz_conn **slots; /* connections_max of them */
    uint32_t *free_slots;
    uint32_t nslots, nfree;
    uint64_t serial;
    size_t nconns, nunauthenticated, unauthenticated_max;
    unsigned refusals_logged; /* in this second */

    uv_timer_t tick, soon, drain;
    unsigned ntimers;       /* initialised */
    struct tz_job *bounced; /* jobs that found no room, newest first; given back on the next turn */
    bool wake, wake_all;    /* heads to tell sessions */
    struct tz_area areas[TZ_SERVER_AREAS_MAX];
    size_t nareas;
    bool blocked;              /* nobody is read */
    bool releasing;            /* a RELEASE job is under way */
    struct tz_mono release_at; /* one failed: try again then; 0 no */
    struct tz_mono purge_at;   /* when the next purge begins; 0: one is under way */
    bool recovering;           /* a recovery window was open at the last tick */

    bool draining, stopping;
    unsigned parts; /* listener, control and executor still to stop */
};

/* conn.c */
void tz_conn_accept(struct tz_server *s, struct uv_stream_s *server);
struct tz_conn *tz_conn_find(struct tz_server *s, uint64_t id);
/** A job came back from the executor, or never got there. */
void tz_conn_job_done(struct tz_server *s, struct tz_sjob *job);
/** Wake the sessions that may read what it changed. */
void tz_conn_note_changes(struct tz_server *s, const struct tz_sjob *job);
/** Say goodbye to a connection, or cut it when it has not come far enough to be told. */
void tz_conn_drain(struct tz_conn *c);
/** Close those whose time is up. */
void tz_conn_deadlines(struct tz_server *s);
/** Results of a RELEASE job go to the sessions of its device. Takes. */
void tz_conn_released(struct tz_server *s, struct tz_sjob *job);
/** Stop reading from everybody while the writer is behind, and start again. */
void tz_conn_flow(struct tz_server *s);

/* server.c */
/** Do deferred things on the next turn of the loop. */
void tz_server_soon(struct tz_server *s);
/** Sessions that read @areas (n 0: all) must look for news; told together on the next turn. */
void tz_server_wake(struct tz_server *s, const struct tz_area *areas, size_t n);
/** A connection ended. */
void tz_server_conn_gone(struct tz_server *s);

/* control_cmd.c */
void tz_control_cmd(void *server, const char *line, struct tz_control_token token);
void tz_control_cmd_done(void *server, struct tz_control_token token, struct tz_admin_outcome *out,
                         const struct tz_err *err);

#endif
