/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_SESSION_STATE_H
#define TZ_SESSION_STATE_H

/*
 * What the parts of a session share: its state, and what each part does for the others. Only session*.c includes this.
 *
 *   session.c       life, opening, dispatch of frames and of the store's answers
 *   session_up.c    saves, questions, unasked results
 *   session_down.c  pages of rows, checkpoints, leases
 *   session_job.c   (session_int.h) what the store does for it
 *
 * All on the loop's thread. A function that closes the session has called io.close; whoever goes on afterwards looks at
 * the state first.
 */

#include "session_int.h"
#include "sm.h"

enum { S_GREETING, S_OPENING, S_READY, S_LEAVING, S_ENROLLING, S_CLOSED, S_COUNT };

struct tz_session {
    struct tz_session_config c;
    struct tz_session_io io;
    struct tz_sm sm;
    struct tz_mono heard; /* last frame of the peer, or the start */
    unsigned jobs;        /* at the store */

    struct tz_grant *grant; /* READY; owned */
    int64_t offset_ms;

    unsigned pushes;      /* Push frames not answered yet */
    bool asking;          /* a Renumber or LostRows is not answered yet; one at a time */
    bool verifying;       /* a Verify, DigestRequest or Damage is not answered yet; one at a time */
    bool recounting;      /* a HistoryAsk is not answered yet; one at a time */
    bool telling;         /* an unasked Results is out: no other before the peer's next Ping */
    struct tz_buf untold; /* results for that one, as many as one frame holds */
    size_t nuntold;

    /* down */
    struct tz_cursor *cursors; /* what the peer pulls; owned */
    size_t ncursors;
    bool pulling;              /* a Pull was received */
    bool job_pull;             /* a page is being read */
    bool dirty;                /* the head moved, or the last page was not the end */
    unsigned unacked;          /* Rows and Checkpoint frames without Ack */
    struct frame_node *frames; /* read and not sent; owned */
    bool have_checkpoint;
    struct tz_msg_checkpoint checkpoint; /* to send after the frames */
    tz_ver acking; /* newest Checkpoint sent; the peer holds it when nothing is unacknowledged: a Rows frame after it
                      may be acknowledged before it */
    bool acked;    /* the store was told of one; once an hour is enough for a lease */
    struct tz_wall acked_at; /* when */
};

/* session.c */
void tz_session_close(struct tz_session *s, int code);
/** Tell the peer why, then close. */
void tz_session_fail(struct tz_session *s, const struct tz_err *err, uint16_t lane);
void tz_session_fail_code(struct tz_session *s, int code, const char *what, uint16_t lane);
/** A job, or NULL after closing the session. */
struct tz_sjob *tz_session_job(struct tz_session *s, enum tz_job_kind kind);
/** What was to be read into @j ended with @rc: close with that, and free the job. */
void tz_session_unreadable(struct tz_session *s, struct tz_sjob *j, int rc, uint16_t lane);
/** Hand it to the store. */
void tz_session_submit(struct tz_session *s, struct tz_sjob *j);
/** The job gets a copy of the grant; false: no memory. */
bool tz_session_copy_grant(struct tz_session *s, struct tz_sjob *j);

/* session_up.c */
/** A frame that brings something or asks something, in READY or LEAVING. */
void tz_session_on_asked(struct tz_session *s, const struct tz_frame *f);
void tz_session_on_pushed(struct tz_session *s, struct tz_sjob *j);
/** The answer to a question is there: send it. */
void tz_session_on_answer(struct tz_session *s, struct tz_sjob *j);

/* session_down.c */
/** A grant that ran out in mid-session: closes, and the next session is told what is left of it. */
bool tz_session_ran_out(struct tz_session *s);
/** Send what may be sent, read more when there is room. */
void tz_session_pump_down(struct tz_session *s);
void tz_session_on_page(struct tz_session *s, struct tz_sjob *j);
void tz_session_on_pull(struct tz_session *s, struct tz_bytes body);
void tz_session_on_ack(struct tz_session *s, struct tz_bytes body);

#endif
