/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_SESSION_H
#define TZ_SESSION_H

/*
 * One peer's state machine on the server: frames and store results in, frames and jobs out; no I/O, no clock of its
 * own.
 *
 *   GREETING --Hello--> OPENING --opened--> READY --Bye/err--> CLOSED
 *                               --revoked--> LEAVING (hands in, says what it wiped) --> CLOSED
 *   ENROLLING (other ALPN) --Enrol--> … --Enrolled--> CLOSED
 *
 * Lanes are independent: UP takes Push frames (at most TZ_PUSH_IN_FLIGHT_MAX without Results; more is a protocol
 * error), DOWN sends Rows/Checkpoint frames (at most TZ_ROWS_IN_FLIGHT_MAX without Ack). Nothing a peer does makes the
 * session hold more than these caps. The owner executes jobs (tz_session_job_run) on whatever thread owns the store,
 * then hands them back (job_done).
 */

#include "store.h"

struct tz_session;

enum tz_job_kind {
    TZ_JOB_OPEN,
    TZ_JOB_PUSH,
    TZ_JOB_PULL,
    TZ_JOB_VERIFY,
    TZ_JOB_DIGEST,
    TZ_JOB_DAMAGE,
    TZ_JOB_ENROL,
    TZ_JOB_RELEASE,
    TZ_JOB_RECEIPT,
    TZ_JOB_HISTORY,
    TZ_JOB_ACKED,
    TZ_JOB_PURGE,
    TZ_JOB_RENUMBER,
    TZ_JOB_LOST_ROWS
};
/** Which store a job needs: writer jobs are grouped into commits; reader jobs run anywhere. */
enum tz_job_where { TZ_JOB_WRITER, TZ_JOB_READER };

struct tz_sjob; /* opaque; owned by the session until submitted, by the executor until handed back */
enum tz_job_where tz_sjob_where(const struct tz_sjob *j);
/** A reader's job that walks through all that its device may read: one at a time is enough. Its device; 0: it is not
 * one of those. */
uint32_t tz_sjob_walks(const struct tz_sjob *j);
enum tz_job_kind tz_sjob_kind(const struct tz_sjob *j);
uint64_t tz_sjob_session(const struct tz_sjob *j);
void *tz_sjob_node(struct tz_sjob *j); /* room for the executor: the struct tz_job of dbthread.h, first member */
/**
 * Execute on the store. Writer jobs: call between group_begin and group_commit, then tz_sjob_settle once the commit is
 * known. Returns negative only for LOCAL errors: roll the group back and settle every job of it with that code. May be
 * called again after a rollback.
 */
TZ_MUST_USE int tz_sjob_run(struct tz_sjob *j, struct tz_store *s, struct tz_err *err);
/** Commit outcome of a writer job's group: 0 or a TZ_E_* (then its effects never happened). */
void tz_sjob_settle(struct tz_sjob *j, int code);
/**
 * A job of nobody's: judge what was freed and not judged yet. The owner keeps one under way while there is more to do
 * (after opening the store, and whenever a job says so), gives its results to the sessions of its device with
 * tz_session_on_released, and frees it. After one that failed it waits a while; another device's turn comes then.
 */
TZ_MUST_USE int tz_sjob_release_new(struct tz_sjob **out);
/** Freed changesets are left to be judged. Valid after settle. */
bool tz_sjob_release_left(const struct tz_sjob *j);
/** Its group did not commit. Valid after settle. */
bool tz_sjob_failed(const struct tz_sjob *j);
/** RELEASE: whose changesets were judged; 0 nobody's. Valid after settle(0). */
uint32_t tz_sjob_released_device(const struct tz_sjob *j);
/** A job of nobody's, too: one step of purging. The owner runs them one after another while there is more. */
TZ_MUST_USE int tz_sjob_purge_new(const struct tz_purge_rules *rules, struct tz_sjob **out);
/** There is more to purge. Valid after settle. */
bool tz_sjob_purge_left(const struct tz_sjob *j);
/** Areas a PUSH, DAMAGE or RELEASE job changed, so that the owner wakes the sessions that read them. Valid after
 * settle(0). */
bool tz_sjob_changed(const struct tz_sjob *j, const struct tz_area **areas, size_t *n);
/** Changesets a PUSH job carries, 0 for others. */
size_t tz_sjob_changesets(const struct tz_sjob *j);
void tz_sjob_free(struct tz_sjob *j);

struct tz_session_io {
    void (*send)(void *ctx, uint8_t type, uint16_t lane, struct tz_bytes body);
    void (*submit)(void *ctx, struct tz_sjob *job); /* takes */
    void (*authenticated)(void *ctx);               /* raise the frame cap */
    void (*close)(void *ctx, int code);             /* after the frames already sent; no callback follows */
    void *ctx;
};

struct tz_session_config {
    uint64_t id;
    bool enrolling;                            /* ALPN taizhang-enrol/1 */
    uint8_t fingerprint[TZ_FINGERPRINT_BYTES]; /* of the client certificate; unused when enrolling */
    tz_sign_fn sign;                           /* enrolling only */
    struct tz_bytes ca;                        /* DER, borrowed */
    void *sign_ctx;
    struct tz_clock clock;
    const char *software;
    const struct tz_catalogue *catalogue;
};

TZ_MUST_USE int tz_session_new(const struct tz_session_config *c, const struct tz_session_io *io,
                               struct tz_session **out);
/** A session may be freed while jobs run: hand them back with tz_sjob_free then. */
void tz_session_free(struct tz_session *s);
void tz_session_on_frame(struct tz_session *s, const struct tz_frame *f);
void tz_session_on_job(struct tz_session *s, struct tz_sjob *job); /* takes */
/** Results of a settled RELEASE job; those of another device are passed over. Borrows. */
void tz_session_on_released(struct tz_session *s, const struct tz_sjob *job);
/** The head moved in areas of interest (or anywhere: it decides). Idempotent, cheap. */
void tz_session_on_head(struct tz_session *s, tz_ver head, const struct tz_area *areas, size_t n);
/** The device was revoked, the user disabled, or the server drains: say why and close. */
void tz_session_kick(struct tz_session *s, int code);
uint32_t tz_session_device(const struct tz_session *s); /* 0 before authentication */
bool tz_session_idle(const struct tz_session *s); /* no job under way, nothing half done: may be closed when draining */
const char *tz_session_state_name(const struct tz_session *s);
/** Deadline after which the session must be closed with TZ_E_TIMEOUT (no Hello, no Ack, silent peer). */
struct tz_mono tz_session_deadline(const struct tz_session *s);

#endif
