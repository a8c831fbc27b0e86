/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_SESSION_INT_H
#define TZ_SESSION_INT_H

/* A job as session*.c fill it and session_job.c executes it. Everything a job needs is in it: the session may be gone
 * by then. */

#include "session.h"

enum { TZ_JOB_AREAS_MAX = 32, TZ_PULL_FRAMES_MAX = 4 };

struct frame_node {
    struct frame_node *next;
    size_t n;
    uint8_t bytes[];
};

struct tz_sjob {
    void *executor[5]; /* first: the executor's list node */
    enum tz_job_kind kind;
    uint64_t session;
    struct tz_arena a;
    int code;            /* outcome: 0, or what to tell the peer */
    struct tz_err err;   /* code's arguments */
    struct tz_buf reply; /* the message to send, serialised */

    /* in */
    struct tz_msg_hello hello;                 /* OPEN */
    uint8_t fingerprint[TZ_FINGERPRINT_BYTES]; /* OPEN */
    const char *software;                      /* OPEN; static */
    uint32_t catalogue_version;                /* OPEN */
    struct tz_wall received;                   /* OPEN, PUSH, DAMAGE */
    struct tz_bytes *changesets;               /* PUSH; in the arena */
    struct tz_offered *offered;                /* PUSH: in their place, handed in again */
    size_t nchangesets;
    int64_t offset_ms;                    /* PUSH; OPEN: out */
    struct tz_msg_verify ask;             /* VERIFY */
    struct tz_msg_digest_request buckets; /* DIGEST */
    struct tz_msg_damage damage;          /* DAMAGE */
    struct tz_msg_renumber renumber;      /* RENUMBER */
    const struct tz_msg_row *lost_rows;   /* LOST_ROWS; in the arena */
    size_t nlost_rows;
    uint32_t incarnation;               /* RENUMBER: out */
    struct tz_msg_history_ask history;  /* HISTORY */
    struct tz_msg_enrol enrol;          /* ENROL */
    struct tz_bytes ca;                 /* ENROL; borrowed from the config */
    struct tz_msg_wipe_receipt receipt; /* RECEIPT */
    tz_sign_fn sign;
    void *sign_ctx;
    tz_ver acked;                /* ACKED */
    struct tz_purge_rules rules; /* PURGE */
    struct tz_cursor *cursors;   /* PULL; in the arena, updated */
    size_t ncursors;

    /* out */
    bool leaving;           /* OPEN: the device is revoked; `reply` is a WipeOrder */
    struct tz_grant *grant; /* OPEN: out; others: in (a copy) */
    size_t nresults;        /* PUSH, RELEASE: in `reply` */
    bool changed;           /* PUSH, DAMAGE, RELEASE */
    tz_ver since;           /* DIGEST: the peer must be at a checkpoint from here on */
    bool release_left;      /* OPEN, PUSH, RELEASE */
    uint32_t device;        /* RELEASE: whose; ACKED: in */
    bool purge_left;        /* PURGE */
    struct tz_area areas[TZ_JOB_AREAS_MAX];
    size_t nareas;             /* > TZ_JOB_AREAS_MAX: anywhere */
    struct frame_node *frames; /* PULL: Rows; owned */
    bool done;                 /* PULL: head is a checkpoint */
    struct tz_msg_checkpoint head;
};

TZ_MUST_USE int tz_sjob_new(enum tz_job_kind kind, uint64_t session, struct tz_sjob **out);

#endif
