/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_SYNC_STATE_H
#define TZ_SYNC_STATE_H

/*
 * What the parts of a session share: its state, and what each part does for the others. Only sync*.c includes this.
 *
 *   sync.c         life, greeting, dispatch, questions, what is next, time
 *   sync_base.c    its end, jobs, small messages: what the others stand on
 *   sync_up.c      what goes up: own saves, numbers of our own, rows that only we may still have
 *   sync_down.c    rows and checkpoints
 *   sync_wipe.c    what must not be here any more
 *   sync_compact.c old own saves in fewer bytes
 *   sync_repair.c  a repair's way to the server and to the office's thread
 *
 * A part changes the state and leaves it at that: after each frame and job sync.c sends what may go up by then and does
 * what is next. All on the session's thread. A function that ends the session has called io.close; nothing is called
 * back after that, so whoever goes on afterwards looks at the state first.
 */

#include "sync_int.h"

/**
 * What goes up, in this order: saves that the server has forgotten; saves under numbers that it has judged, whose
 * answers tell whether these are ours; everything else. When some are another installation's, numbers of our own are
 * asked for before anything else is sent.
 */
enum up_phase { UP_REOFFER, UP_PROVE, UP_NEW };

enum sync_state { SYNC_NEW, SYNC_SAYING, SYNC_GREETING, SYNC_ENTERING, SYNC_RUNNING, SYNC_LEAVING, SYNC_CLOSED };

struct tz_sync {
    struct tz_sync_config cfg;
    struct tz_sync_io io;
    enum sync_state state;
    struct tz_cjob_chain *chain;
    struct tz_sync_counters count;
    struct tz_mono heard; /* last frame */
    bool pinged;
    uint64_t nonce;
    /* up */
    uint32_t in_flight; /* Push frames whose Results are not taken in: each gets one */
    uint32_t push_max;
    uint64_t after_seq; /* everything up to here went out in this session */
    bool loading, look_again, empty;
    enum up_phase phase;
    bool drained;     /* PROVE: everything is out */
    uint64_t judged;  /* greatest number that the server has judged */
    bool forked;      /* some are not ours */
    bool renumbering; /* asked */
    unsigned renumbered;
    struct tz_reoffer_place offered;
    uint32_t result_jobs;
    tz_ver own_ver; /* greatest version of an own result */
    /* down */
    bool filling;
    bool pull_waits;       /* for the outbox to be handed in */
    struct tz_buf pull;    /* then; empty too where no area is granted */
    struct tz_bytes *held; /* owned */
    size_t nheld, held_cap, held_bytes;
    size_t down_jobs;
    uint32_t rows_max;
    /* rows that only we may still have, offered when everything else is done */
    bool lost_done, lost_under_way, window_open;
    struct tz_lost_key lost_at;
    struct tz_lost_key *lost_keys; /* on their way; owned */
    size_t nlost_keys;
    /* what must not be here any more */
    bool wiping;         /* a job is under way, or its receipt is not noted yet */
    bool wiped;          /* nothing was left when last looked */
    bool erasing;        /* LEAVING: nothing is handed in any more */
    uint64_t saves_held; /* LEAVING: what the server took */
    uint64_t waited_at;  /* after_seq when wiping last had to wait, + 1 */
    /* old own saves */
    tz_ver compact_upto;    /* as Welcome said it; 0: nothing is left to be done */
    bool compacting;        /* a step is under way */
    unsigned compact_steps; /* done in this session */
    /* once */
    bool caught_up;
    void (*verified)(void *ctx, const struct tz_msg_verified *v);
    void *verified_ctx;
    struct tz_repair *repair; /* owned; NULL when none is under way */
    void (*repaired)(void *ctx, const struct tz_repair_report *r);
    void *repaired_ctx;
    void (*told)(void *ctx, struct tz_bytes history);
    void *told_ctx;
};

/* sync_base.c */
/** End the session; @err->code 0 is a clean end. A second end is none. */
void tz_sync_close(struct tz_sync *s, const struct tz_err *err);
void tz_sync_fail(struct tz_sync *s, int code, const char *arg);
/** A new job with a copy of @frame (may be none). NULL: the session was closed for want of memory. */
struct tz_cjob *tz_sync_job(struct tz_sync *s, enum tz_cjob_kind kind, const struct tz_bytes *frame);
/** Ping and Pong. */
void tz_sync_send_number(struct tz_sync *s, uint8_t type, uint64_t nonce);
/** Let go of what is held in memory. */
void tz_sync_held_clear(struct tz_sync *s);

/* sync_up.c */
/** Nothing of ours is on its way to be answered. */
bool tz_sync_answered(const struct tz_sync *s);
/** There are numbers to be asked for, and a server that may still give them. */
bool tz_sync_wants_numbers(const struct tz_sync *s);
void tz_sync_send_pull(struct tz_sync *s, struct tz_bytes body);
/** Send what may be sent. */
void tz_sync_up_pump(struct tz_sync *s);
void tz_sync_offer_lost(struct tz_sync *s);
void tz_sync_on_loaded(struct tz_sync *s, struct tz_cjob *j);
void tz_sync_on_results(struct tz_sync *s, const struct tz_frame *f);
void tz_sync_on_results_done(struct tz_sync *s, struct tz_cjob *j);
void tz_sync_on_asked(struct tz_sync *s, struct tz_cjob *j);
void tz_sync_on_renumbered(struct tz_sync *s, const struct tz_frame *f);
void tz_sync_on_made_over(struct tz_sync *s, struct tz_cjob *j);
void tz_sync_on_lost_loaded(struct tz_sync *s, struct tz_cjob *j);
void tz_sync_on_lost_taken(struct tz_sync *s, const struct tz_frame *f);
void tz_sync_on_lost_noted(struct tz_sync *s);

/* sync_down.c */
void tz_sync_on_rows(struct tz_sync *s, const struct tz_frame *f);
void tz_sync_on_checkpoint(struct tz_sync *s, const struct tz_frame *f);
void tz_sync_on_down_done(struct tz_sync *s, struct tz_cjob *j);

/* sync_wipe.c */
void tz_sync_start_wiping(struct tz_sync *s);
void tz_sync_start_erasing(struct tz_sync *s);
void tz_sync_on_wiped(struct tz_sync *s, struct tz_cjob *j);
void tz_sync_on_wipe_noted(struct tz_sync *s, const struct tz_frame *f);
void tz_sync_on_wipe_order(struct tz_sync *s, const struct tz_frame *f);
void tz_sync_on_revoked(struct tz_sync *s, struct tz_cjob *j);
void tz_sync_on_erased(struct tz_sync *s, struct tz_cjob *j);

/* sync_compact.c */
/** Begin the next step if there is one. True: what is caught up waits for it, which it does for a few. */
bool tz_sync_compact(struct tz_sync *s);
void tz_sync_on_compacted(struct tz_sync *s, struct tz_cjob *j);

/* sync_repair.c */
/** One that has told its owner is freed when none of its functions is running. */
void tz_sync_repair_reap(struct tz_sync *s);
void tz_sync_on_digest(struct tz_sync *s, const struct tz_frame *f);
void tz_sync_on_repair_job(struct tz_sync *s, struct tz_cjob *j);

#endif
