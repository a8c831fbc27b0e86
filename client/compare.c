/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   ASKING ──Verified(v)──> CATCHING (checkpoint ≥ v?) ──> DIGESTING (job) ──own version = v──> REPAIRING ──> done
 *     ^                                                          │ another version, fewer than 5 attempts  │
 *     └──────────────────────────────────────────────────────────┘                                         │
 *     └──────────────────────────── once more when something was put right ───────────────────────────────┘
 *
 * A job may be under way when the session ends; the object lives until it is back.
 */
#include "compare.h"

#include <stdlib.h>
#include <string.h>

enum { ATTEMPTS_MAX = 5, PATIENCE_TICKS = 10, REPAIR_PATIENCE_TICKS = 60 };

enum compare_state { COMPARE_ASKING, COMPARE_CATCHING, COMPARE_DIGESTING, COMPARE_REPAIRING, COMPARE_DONE };

struct tz_compare {
    struct tz_conn *conn;
    void (*cb)(void *ctx, const struct tz_compare_result *r);
    void *ctx;
    enum compare_state state;
    bool dry, repaired;
    bool first; /* the digest under way only learns the audit head to ask about */
    bool job;
    unsigned ticks; /* in this state */
    int code;       /* of the digest job */
    struct tz_msg_verified own, server;
    struct tz_compare_result result;
};

static void ask(struct tz_compare *p);
static void digest(struct tz_compare *p);

/** Tell the owner once; free when no job is out. */
static void finish(struct tz_compare *p, int code)
{
    if (p->state != COMPARE_DONE) {
        p->state = COMPARE_DONE;
        p->result.code = code;
        p->cb(p->ctx, &p->result);
    }
    if (!p->job)
        free(p);
}

static void on_verified(void *ctx, const struct tz_msg_verified *v)
{
    struct tz_compare *p = ctx;
    p->server = *v;
    p->state = COMPARE_CATCHING;
    p->ticks = 0;
    if (tz_conn_counters(p->conn)->checkpoint >= v->ver)
        digest(p);
}

static void ask(struct tz_compare *p)
{
    struct tz_msg_verify m = {.audit_n = p->own.audit_n};
    memcpy(m.audit_hash, p->own.audit_hash, sizeof m.audit_hash);
    struct tz_sync *s = tz_conn_sync(p->conn);
    p->state = COMPARE_ASKING;
    p->first = false;
    p->ticks = 0;
    p->result.attempts++;
    if (s == NULL)
        finish(p, TZ_E_GONE);
    else
        tz_sync_verify(s, &m, on_verified, p);
}

static void run_digest(void *ctx, struct tz_office *o)
{
    struct tz_compare *p = ctx;
    struct tz_err err = {0};
    p->code = tz_office_digest(o, &p->own, &err);
}

static void on_repaired(void *ctx, const struct tz_repair_report *r)
{
    struct tz_compare *p = ctx;
    p->result.repair = *r;
    p->repaired = true;
    p->result.attempts = 0;
    if (r->code != 0 || r->dry || tz_repair_total(r) == 0)
        finish(p, r->code);
    else
        ask(p);
}

static void repair(struct tz_compare *p)
{
    struct tz_sync *s = tz_conn_sync(p->conn);
    p->state = COMPARE_REPAIRING;
    p->ticks = 0;
    int rc = s == NULL ? TZ_E_GONE : tz_sync_repair(s, p->dry, on_repaired, p);
    if (rc != 0)
        finish(p, rc);
}

static void judge(struct tz_compare *p)
{
    p->result.ver = p->own.ver;
    p->result.rows_here = p->own.rows;
    p->result.rows_server = p->server.rows;
    p->result.audit_ok = p->server.audit_ok;
    p->result.same =
        p->own.rows == p->server.rows && memcmp(p->own.digest, p->server.digest, sizeof p->own.digest) == 0;
    if (p->repaired)
        finish(p, 0);
    else
        repair(p);
}

static void on_digest(void *ctx)
{
    struct tz_compare *p = ctx;
    p->job = false;
    if (p->state == COMPARE_DONE)
        free(p);
    else if (p->code != 0)
        finish(p, p->code);
    else if (p->first)
        ask(p);
    else if (p->own.ver == p->server.ver)
        judge(p);
    else if (p->result.attempts < ATTEMPTS_MAX)
        ask(p);
    else
        finish(p, TZ_E_TIMEOUT);
}

static void digest(struct tz_compare *p)
{
    p->state = COMPARE_DIGESTING;
    p->job = true;
    int rc = tz_conn_call(p->conn, run_digest, on_digest, p);
    if (rc == 0)
        return;
    p->job = false;
    finish(p, rc);
}

int tz_compare_start(struct tz_conn *conn, bool dry, void (*cb)(void *ctx, const struct tz_compare_result *r),
                     void *ctx, struct tz_compare **out)
{
    struct tz_compare *p = calloc(1, sizeof *p);
    *out = p;
    if (p == NULL)
        return TZ_E_NOMEM;
    p->conn = conn;
    p->cb = cb;
    p->ctx = ctx;
    p->dry = dry;
    p->first = true;
    digest(p);
    return 0;
}

void tz_compare_on_event(struct tz_compare *p, enum tz_sync_event e)
{
    if (e == TZ_SYNC_CHECKPOINT && p->state == COMPARE_CATCHING &&
        tz_conn_counters(p->conn)->checkpoint >= p->server.ver)
        digest(p);
    else if (e == TZ_SYNC_REPAIR)
        p->ticks = 0;
}

void tz_compare_on_end(struct tz_compare *p, int code)
{
    finish(p, code == 0 ? TZ_E_GONE : code);
}

void tz_compare_on_tick(struct tz_compare *p)
{
    if (p->state != COMPARE_ASKING && p->state != COMPARE_CATCHING && p->state != COMPARE_REPAIRING)
        return;
    if (++p->ticks < (p->state == COMPARE_REPAIRING ? REPAIR_PATIENCE_TICKS : PATIENCE_TICKS))
        return;
    if (p->state == COMPARE_REPAIRING && tz_conn_sync(p->conn) != NULL)
        tz_sync_repair_cancel(tz_conn_sync(p->conn));
    tz_conn_renew(p->conn); /* a late answer must not find us gone */
    finish(p, TZ_E_TIMEOUT);
}
