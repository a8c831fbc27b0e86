/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_COMPARE_H
#define TZ_COMPARE_H

/*
 * Verify: is this replica what the server says it should be? Asks for the server's digest, waits until the own
 * checkpoint is there, makes the own digest, compares; asks again when the server has moved on meanwhile. Then bucket
 * by bucket, which finds where it differs and puts that right; when something was, the whole is compared once more.
 */

#include "conn.h"

struct tz_compare;

struct tz_compare_result {
    int code; /* 0 answered; else TZ_E_*: the session ended, or TZ_E_TIMEOUT: versions never met */
    bool same, audit_ok;
    uint64_t rows_here, rows_server;
    tz_ver ver;
    unsigned attempts;
    struct tz_repair_report repair;
};

/**
 * @conn must have a running session. @dry: nothing is put right, only told. @cb comes once, on the loop (also from
 * within this call when a digest cannot be made); the object is gone then. TZ_E_NOMEM.
 */
TZ_MUST_USE int tz_compare_start(struct tz_conn *conn, bool dry,
                                 void (*cb)(void *ctx, const struct tz_compare_result *r), void *ctx,
                                 struct tz_compare **out);
/** From the owner's on_event. */
void tz_compare_on_event(struct tz_compare *p, enum tz_sync_event e);
/** The session ended: answers with @code. */
void tz_compare_on_end(struct tz_compare *p, int code);
/** "Once a second": gives up waiting for a checkpoint that does not come. */
void tz_compare_on_tick(struct tz_compare *p);

#endif
