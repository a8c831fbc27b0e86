/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_INQUIRY_H
#define TZ_INQUIRY_H

/* A record's history, asked of the server page by page over a running session. */

#include "conn.h"

enum { TZ_INQUIRY_PAGES_MAX = 32 };

/** Bodies of History messages, newest page first; owned. Zeroed: none. */
struct tz_pages {
    struct tz_bytes page[TZ_INQUIRY_PAGES_MAX];
    size_t n;
    uint64_t next; /* what follows is below this audit entry; 0 = nothing */
};
void tz_pages_free(struct tz_pages *p);
/** Append a copy of @body and take its `next`. TZ_E_FORMAT, TZ_E_NOMEM; TZ_E_PROTOCOL when it does not go on downwards.
 */
TZ_MUST_USE int tz_pages_add(struct tz_pages *p, struct tz_bytes body);
/** Is there another page, and room for it? */
bool tz_pages_go_on(const struct tz_pages *p);

struct tz_inquiry;
/**
 * Ask for all pages of @ask into @pages (borrowed until the end). @cb comes once, on the loop, with 0 or TZ_E_*; the
 * object is gone then. @conn must have a running session. TZ_E_NOMEM.
 */
TZ_MUST_USE int tz_inquiry_start(struct tz_conn *conn, const struct tz_msg_history_ask *ask, struct tz_pages *pages,
                                 void (*cb)(void *ctx, int code), void *ctx, struct tz_inquiry **out);
/** The session ended: answers with @code. */
void tz_inquiry_on_end(struct tz_inquiry *q, int code);
/** "Once a second": gives up waiting for an answer that does not come. */
void tz_inquiry_on_tick(struct tz_inquiry *q);

#endif
