/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_SYNC_INT_H
#define TZ_SYNC_INT_H

/* Between sync.c (the session's thread) and sync_job.c (the office's thread): a job is all that passes. */

#include "sync.h"

#include <stdatomic.h>

struct tz_repair_step;

enum tz_cjob_kind {
    TZ_CJOB_HELLO,
    TZ_CJOB_ENTER,
    TZ_CJOB_LOAD,
    TZ_CJOB_RESULTS,
    TZ_CJOB_FILL,
    TZ_CJOB_CHECKPOINT,
    TZ_CJOB_REPAIR,
    TZ_CJOB_RENUMBER, /* ask for numbers */
    TZ_CJOB_LOST_LOAD,
    TZ_CJOB_LOST_TAKE,
    TZ_CJOB_MAKE_OVER, /* take them */
    TZ_CJOB_WIPE,      /* what left the grant, as far as it may go by now */
    TZ_CJOB_WIPED,     /* the server has noted the receipt */
    TZ_CJOB_REVOKED,   /* the order came: nothing is saved any more */
    TZ_CJOB_COMPACT,   /* old own saves lose their words: one step */
    TZ_CJOB_ERASE      /* everything */
};

/**
 * The jobs of one session, in order. What a job does holds only after those before it: a checkpoint that follows rows
 * which could not be stored would put the cursors behind them. So after one that failed no other of the session runs.
 */
struct tz_cjob_chain {
    atomic_uint refs; /* the session and each job */
    int broken;       /* code of the job that failed; the office's thread */
};

struct tz_cjob {
    enum tz_cjob_kind kind;
    struct tz_cjob_chain *chain; /* a reference; NULL: stands alone */
    int code;
    struct tz_err err;
    /* in */
    struct tz_bytes *frames; /* owned copies: Welcome, Results, Rows … */
    size_t nframes;
    struct tz_msg_checkpoint checkpoint;
    const char *software;
    uint64_t after_seq;
    struct tz_lost_key at;    /* LOST_LOAD: after this one */
    struct tz_lost_key *keys; /* LOST_LOAD: out, LOST_TAKE: in; owned */
    size_t nkeys;
    bool window_open;  /* ENTER: out; LOST_*: in */
    uint64_t upto_seq; /* LOAD: none above; ENTER: out, numbers that the server has judged */
    bool behind;       /* ENTER: it has judged more than was ever given here */
    bool reoffer;      /* LOAD: what the server has forgotten, after this place */
    struct tz_reoffer_place place;
    tz_ver compact_upto;         /* ENTER: out; COMPACT: in */
    uint32_t acks;               /* Ack frames owed when done */
    struct tz_repair_step *step; /* REPAIR; owned, in and out */
    /* out */
    struct tz_buf out;             /* Hello, Pull or Push body */
    uint64_t last_seq;             /* LOAD: of the push; 0 = nothing to send */
    size_t n;                      /* LOAD: changesets; RESULTS: results; FILL, CHECKPOINT: rows */
    tz_ver ver;                    /* ENTER: visible checkpoint */
    struct tz_results_taken taken; /* RESULTS */
    bool unasked;                  /* RESULTS: they answer no Push */
    struct tz_wiped wiped;         /* WIPE */
    bool due;                      /* CHECKPOINT, RESULTS: something left, and is to be wiped */
    bool more;                     /* COMPACT: there are others */
    bool taking;                   /* REVOKED: unsent saves may be handed in */
    tz_ver head;                   /* ENTER */
    bool filling;                  /* ENTER */
    bool refreshing;               /* ENTER: `out`, the Pull, waits until the outbox is handed in */
    uint32_t push_max, rows_max;
};

void tz_cjob_chain_unref(struct tz_cjob_chain *c);

#endif
