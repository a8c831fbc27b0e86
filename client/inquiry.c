/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   ASKING ──History, more follows──> ASKING …     ──History, the end, or as many as are kept──> done
 *
 * The pages are kept as they came; whoever shows them reads them (history.c).
 */
#include "inquiry.h"

#include <stdlib.h>
#include <string.h>

enum { PATIENCE_TICKS = 15 };

void tz_pages_free(struct tz_pages *p)
{
    for (size_t i = 0; i < p->n; i++)
        free((void *)(uintptr_t)p->page[i].p);
    *p = (struct tz_pages){0};
}

int tz_pages_add(struct tz_pages *p, struct tz_bytes body)
{
    struct tz_wire_iter it = {body};
    struct tz_wire_field f;
    uint64_t next = 0;
    int rc;
    while ((rc = tz_wire_next(&it, &f)) == 1)
        if (f.number == 2 && f.wire_type == 0)
            next = f.varint;
    if (rc < 0)
        return TZ_E_FORMAT;
    if (p->n == TZ_INQUIRY_PAGES_MAX || (p->n && next >= p->next))
        return TZ_E_PROTOCOL;
    uint8_t *copy = malloc(body.n ? body.n : 1);
    if (copy == NULL)
        return TZ_E_NOMEM;
    if (body.n)
        memcpy(copy, body.p, body.n);
    p->page[p->n++] = tz_bytes_of(copy, body.n);
    p->next = next;
    return 0;
}

bool tz_pages_go_on(const struct tz_pages *p)
{
    return p->next != 0 && p->n < TZ_INQUIRY_PAGES_MAX;
}

struct tz_inquiry {
    struct tz_conn *conn;
    struct tz_msg_history_ask ask;
    struct tz_pages *pages;
    void (*cb)(void *ctx, int code);
    void *ctx;
    unsigned ticks; /* since the last question */
};

static void finish(struct tz_inquiry *q, int code)
{
    void (*cb)(void *ctx, int code) = q->cb;
    void *ctx = q->ctx;
    free(q);
    cb(ctx, code);
}

static void on_history(void *ctx, struct tz_bytes body);

static void ask_page(struct tz_inquiry *q)
{
    struct tz_sync *s = tz_conn_sync(q->conn);
    q->ticks = 0;
    if (s == NULL)
        finish(q, TZ_E_GONE);
    else
        tz_sync_history(s, &q->ask, on_history, q);
}

static void on_history(void *ctx, struct tz_bytes body)
{
    struct tz_inquiry *q = ctx;
    int rc = tz_pages_add(q->pages, body);
    q->ask.before = q->pages->next;
    if (rc == 0 && tz_pages_go_on(q->pages))
        ask_page(q);
    else
        finish(q, rc);
}

int tz_inquiry_start(struct tz_conn *conn, const struct tz_msg_history_ask *ask, struct tz_pages *pages,
                     void (*cb)(void *ctx, int code), void *ctx, struct tz_inquiry **out)
{
    struct tz_inquiry *q = calloc(1, sizeof *q);
    *out = q;
    if (q == NULL)
        return TZ_E_NOMEM;
    *q = (struct tz_inquiry){.conn = conn, .ask = *ask, .pages = pages, .cb = cb, .ctx = ctx};
    ask_page(q);
    return 0;
}

void tz_inquiry_on_end(struct tz_inquiry *q, int code)
{
    finish(q, code == 0 ? TZ_E_GONE : code);
}

void tz_inquiry_on_tick(struct tz_inquiry *q)
{
    if (++q->ticks < PATIENCE_TICKS)
        return;
    tz_conn_renew(q->conn); /* a late answer must not find us gone */
    finish(q, TZ_E_TIMEOUT);
}
