/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_SYNC_H
#define TZ_SYNC_H

/*
 * The client's side of a session, without I/O: frames and finished jobs in, frames and jobs out. Mirror of
 * server/session.h.
 *
 *   NEW --start--> GREETING (Hello sent) --Welcome--> RUNNING --Error/close--> CLOSED
 *
 * In RUNNING two independent lanes: UP loads unsent changesets and keeps at most push_in_flight_max Push frames (≤ 256
 * KiB each) without Results; DOWN sends Pull once, takes Rows and Checkpoints, acknowledges each frame with Ack after
 * it is held safely: rows of a delta are held back in memory (at most held_bytes_max) and made visible at the
 * Checkpoint in one transaction; past that, or on a first sync, they are written at once and the replica says it is
 * filling. A full outbox never stops downloads, nor the reverse. Jobs run on the thread that owns the office
 * (tz_cjob_run), then come back with tz_sync_on_job.
 */

#include "frame.h"
#include "office.h"
#include "repair.h"

struct tz_sync;
struct tz_cjob;
/** Runs to completion, own transaction. The outcome stays in the job. */
void tz_cjob_run(struct tz_cjob *j, struct tz_office *o);
void tz_cjob_free(struct tz_cjob *j);

enum tz_sync_event {
    TZ_SYNC_WELCOMED,   /* grant known */
    TZ_SYNC_PROGRESS,   /* counters moved */
    TZ_SYNC_RESULTS,    /* some changesets were judged */
    TZ_SYNC_CHECKPOINT, /* visible state moved */
    TZ_SYNC_CAUGHT_UP, /* once: outbox empty when last looked, checkpoint ≥ the head at Welcome and ≥ every own result's
                          version */
    TZ_SYNC_REPAIR, /* a repair went one step on */
};

struct tz_sync_io {
    void (*send)(void *ctx, uint8_t type, uint16_t lane, struct tz_bytes body);
    void (*submit)(void *ctx, struct tz_cjob *job); /* takes */
    void (*event)(void *ctx, enum tz_sync_event e);
    void (*close)(void *ctx, const struct tz_err *err); /* last callback; err->code 0 = clean */
    void *ctx;
};

struct tz_sync_config {
    const char *software;
    size_t held_bytes_max; /* 0 = 8 MiB */
    struct tz_clock clock;
};

struct tz_sync_counters {
    uint64_t changesets_sent, results, rows, checkpoints;
    uint64_t handed_back; /* own saves that a restore of the server had undone */
    uint64_t renumbered;  /* this folder turned out to be a copy, or put back from one, and got numbers of its own */
    uint64_t made_over;   /* saves that have one now */
    uint64_t applied;     /* own saves that came to their good end in this session */
    uint64_t reviewed;    /* own saves whose right had gone: somebody looks at them */
    tz_ver head;          /* server's head at Welcome */
    tz_ver checkpoint;    /* visible */
};

TZ_MUST_USE int tz_sync_new(const struct tz_sync_config *c, const struct tz_sync_io *io, struct tz_sync **out);
/** Jobs under way may come back later: free them with tz_cjob_free. */
void tz_sync_free(struct tz_sync *s);
void tz_sync_start(struct tz_sync *s);
void tz_sync_on_frame(struct tz_sync *s, const struct tz_frame *f);
void tz_sync_on_job(struct tz_sync *s, struct tz_cjob *job); /* takes */
/** Somebody saved: look into the outbox. Cheap, idempotent. */
void tz_sync_on_outbox(struct tz_sync *s);
/** Ask for the server's whole-scope digest; the answer comes through @cb, once, or never when the session closes. */
void tz_sync_verify(struct tz_sync *s, const struct tz_msg_verify *ask,
                    void (*cb)(void *ctx, const struct tz_msg_verified *v), void *ctx);
/**
 * Compare with the server bucket by bucket and put right what differs (@dry: only tell). One at a time, not beside a
 * Verify. @cb comes once, later, or never when the session closes. TZ_E_GONE when none is running, TZ_E_DB_BUSY,
 * TZ_E_NOMEM: nothing happens.
 */
TZ_MUST_USE int tz_sync_repair(struct tz_sync *s, bool dry, void (*cb)(void *ctx, const struct tz_repair_report *r),
                               void *ctx);
/** Forget a repair: its callback does not come. The session must end soon, because its answer may still come. */
void tz_sync_repair_cancel(struct tz_sync *s);
/** Ask for one page of a record's history; the body of the answer comes through @cb, once, or never when the session
 * closes. One at a time: the answer must have come before the next question. */
void tz_sync_history(struct tz_sync *s, const struct tz_msg_history_ask *ask,
                     void (*cb)(void *ctx, struct tz_bytes history), void *ctx);
/** Close cleanly. Idempotent. */
void tz_sync_stop(struct tz_sync *s);
bool tz_sync_caught_up(const struct tz_sync *s);
const struct tz_sync_counters *tz_sync_counters(const struct tz_sync *s);
/** When nothing was heard by then: send Ping (half way) or close with TZ_E_TIMEOUT. The owner calls tz_sync_on_timer at
 * the deadline. */
struct tz_mono tz_sync_deadline(const struct tz_sync *s);
void tz_sync_on_timer(struct tz_sync *s);

#endif
