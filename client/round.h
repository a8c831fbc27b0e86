/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_ROUND_H
#define TZ_ROUND_H

/*
 * One round of syncing: connect, until everything saved before is judged and everything written before is here, then
 * stop. Also what is reported about one, also when the agent did it. Blocks; runs a loop of its own.
 */

#include "compare.h"
#include "inquiry.h"

#include <jansson.h>

struct tz_round_report {
    uint64_t sent;     /* changesets that went out */
    uint64_t answered; /* judged */
    uint64_t renumbered,
        made_over; /* this folder is a copy, or was put back from one: it got numbers of its own; saves under them */
    uint64_t handed_back;            /* saves that a restore of the server had undone, and that it has again */
    uint64_t applied;                /* saves that came to a good end now: applied or superseded */
    uint64_t reviewed;               /* saves that a supervisor has to look at first */
    uint64_t rows;                   /* received */
    uint64_t refused, waiting, held; /* now, changesets that need attention */
    uint64_t partly, partly_ops;     /* now, changesets applied but for so many ops */
    uint64_t partly_seq;             /* the oldest of them */
    uint64_t cases;                  /* open now */
    uint64_t unsent;                 /* left */
    int64_t offset_ms;               /* server − this machine */
    bool audit_changed;              /* now: the server's audit log is not the one remembered */
    bool compared;
    struct tz_compare_result compare;
};

/** @after is the office's, @n the session's. */
void tz_round_fill(struct tz_round_report *r, const struct tz_office_status *after, const struct tz_sync_counters *n);
/** As one JSON object, NULL out of memory. */
json_t *tz_round_json(const struct tz_round_report *r);
/** The reverse; what is absent becomes 0. */
void tz_round_parse(const json_t *j, struct tz_round_report *r);

struct tz_round_options {
    const char *dir;
    struct tz_office *office; /* borrowed for the call; used on another thread meanwhile */
    const char *software;
    bool compare;                             /* then verify against the server, and put right what differs … */
    bool dry;                                 /* … or only tell */
    const struct tz_msg_history_ask *history; /* not NULL: then ask this of the server, into @pages */
    struct tz_pages *pages;
    bool signals; /* SIGINT and SIGTERM end the round with TZ_E_INTERRUPTED */
    void (*progress)(void *ctx, const struct tz_sync_counters *n); /* may be NULL */
    void *ctx;
};

/** TZ_E_LEASE when another program is syncing; otherwise how the session ended. @r is filled as far as it came. */
TZ_MUST_USE int tz_round_run(const struct tz_round_options *opt, struct tz_round_report *r, struct tz_err *err);

/** A session ended with TZ_E_WIPED in @err: the folder is emptied. Returns err->code. */
int tz_round_wiped(const char *dir, struct tz_err *err);

#endif
