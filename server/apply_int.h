/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_APPLY_INT_H
#define TZ_APPLY_INT_H

/* A changeset on its way through store_apply.c and store_verdict.c, its answers (store_result.c), and what store_wait.c
 * knows about those that wait. */

#include "store_int.h"

/** Answers of one call, in the arena. */
struct tz_results {
    struct tz_signed_result *v;
    size_t n, cap;
    struct tz_arena *a;
};

/** One changeset under way. */
struct apply {
    struct tz_store *s;
    uint32_t device;
    uint32_t incarnation; /* of the session; 0: any */
    uint64_t session;
    struct tz_device dev; /* the installation it comes from */
    struct tz_bytes raw;
    uint8_t hash[TZ_HASH_BYTES];
    struct tz_changeset *cs;
    int64_t offset_ms;
    struct tz_wall received;
    tz_hlc effective;            /* of one that waited: as of when it was received; 0 not worked out yet */
    bool waited;                 /* it did */
    bool recovers;               /* it waits for what others may hand in again */
    const struct tz_result *was; /* handed in again after a restore: the answer it had, proved; NULL otherwise */
    tz_ver old_ver;              /* the version it had at first, of a lost range; 0 none */
    tz_ver again_ver;            /* and the one that it had when it had come in again, and was undone again; 0 none */
    struct tz_release_budget *budget;
    struct tz_arena *a; /* results */
    struct tz_err *err;
    struct tz_judge *j;
    struct tz_op_result *ops; /* cs->nops */
    struct tz_result res;
};

/* store_apply.c */
/** Read @raw into @p. FORMAT, LIMIT: the bytes are bad. */
TZ_MUST_USE int tz_apply_init(struct apply *p, struct tz_bytes raw);
/** Was the seq declared lost, of the numbers of the copy that p's save is of? 1, 0, negative. */
int tz_apply_seq_lost(struct apply *p, uint64_t seq);
/** Judge it, or leave the *blocker that it waits for and no trace. Withdrawals and what they freed come into @others.
 */
TZ_MUST_USE int tz_apply_try(struct apply *p, uint64_t *blocker, bool *released, struct tz_results *others);
/** Outcome into the tables. @released: somebody else may be judged now. */
TZ_MUST_USE int tz_apply_conclude(struct apply *p, struct tz_signed_result *out, bool *released);
TZ_MUST_USE int tz_apply_audit(struct apply *p);
/** Its number is used up, its time has passed. */
TZ_MUST_USE int tz_apply_note_judged(struct apply *p);
/** The outcome of the whole, of p->ops. */
enum tz_outcome tz_apply_outcome(const struct apply *p);
/** Its answer is that it waits for @blocked_by. */
TZ_MUST_USE int tz_apply_behind(struct apply *p, uint64_t blocked_by);

/** What the calls below work in: scratch memory, the judge. @scratch is the caller's to deinit, also after an error. */
TZ_MUST_USE int tz_apply_begin(struct apply *p, struct tz_arena *scratch, struct tz_apply_out *out);
/** Withdrawals first, since they may free the rest; then all ops into p->ops. */
TZ_MUST_USE int tz_apply_withdraw_and_judge(struct apply *p, bool *freed, struct tz_results *others);

/* store_verdict.c */
/** Its place in time, into p->j. */
TZ_MUST_USE int tz_apply_prepare(struct apply *p);
/** Judge every op into p->ops. A refused changeset has left nothing in the records. */
TZ_MUST_USE int tz_apply_judge(struct apply *p);
/** All or nothing: the refusal of @culprit refuses every op; with nops, p->res says why. */
void tz_apply_refuse_all(struct apply *p, size_t culprit);
/** End the innermost savepoint on an error, so that whoever handles it finds his own. Returns @rc. */
int tz_apply_undo(struct apply *p, int rc);

/* store_revoked.c */
/** Of a revoked device: held, or refused when it said before that it holds nothing, or when it brings too much. */
TZ_MUST_USE int tz_apply_hold_revoked(struct apply *p, struct tz_signed_result *own);

/* store_result.c */
/** HMAC(mac_key, device u32 ‖ result): the key is in the database from its first day, so a restored one knows it. */
TZ_MUST_USE int tz_results_mac(struct tz_store *s, uint32_t device, struct tz_bytes result,
                               uint8_t mac[TZ_SHA256_BYTES]);
TZ_MUST_USE int tz_results_add(struct tz_results *r, struct tz_signed_result one);
TZ_MUST_USE int tz_results_copy(struct tz_arena *a, struct tz_bytes in, struct tz_bytes *out);
/** Ops whose record became part of another at once, or took one in, say so. */
TZ_MUST_USE int tz_results_tell_merged(struct apply *p);
/** Sign and store; the signed one into @out. */
TZ_MUST_USE int tz_results_store(struct tz_store *s, uint32_t device, const struct tz_result *r, struct tz_arena *a,
                                 struct tz_signed_result *out, struct tz_err *err);
/** The same, of ops that were counted under another number. */
TZ_MUST_USE int tz_results_repeat(struct tz_store *s, uint32_t device, const struct tz_result *r, struct tz_arena *a,
                                  struct tz_signed_result *out, struct tz_err *err);
/** All of p's ops end as @outcome, for a reason that has no arguments; signed into @out, and kept (@store). */
TZ_MUST_USE int tz_results_whole(struct apply *p, enum tz_outcome outcome, int code, bool store,
                                 struct tz_signed_result *out);
/** A resend: 1 with the stored answer (or HELD: a copy's), 0 never seen, negative. */
int tz_results_resend(struct apply *p, struct tz_signed_result *out);
/** The held changeset of these bytes ends as withdrawn, its result in @out; nothing when there is none. */
TZ_MUST_USE int tz_results_withdraw_held(struct apply *p, uint64_t seq, struct tz_bytes hash, struct tz_results *out);
/** Bind p->was, serialised. */
TZ_MUST_USE int tz_results_bind_was(struct apply *p, struct tz_stmt *st, int at);
/** Keep p's bytes in the backlog as @outcome. */
TZ_MUST_USE int tz_results_keep(struct apply *p, enum tz_outcome outcome, uint64_t blocked_by);

/* store_installation.c */
/** Whose numbers those of p's installation go back to, into @e; in p's memory. */
TZ_MUST_USE int tz_installation_ancestors(struct apply *p, struct tz_edit *e);
/** Where a save is by now that had this hash under a former number: 1, 0, negative. */
int tz_former_get(struct apply *p, struct tz_bytes hash, uint32_t *incarnation, uint64_t *seq);
/** Another copy brought it before, and it took effect: 1 with that one's answer; 0 it is to be judged, negative. */
int tz_former_answer(struct apply *p, struct tz_signed_result *out);
/** It has come in, or waits: what was held of it under its former number is that no more. */
TZ_MUST_USE int tz_former_note(struct apply *p);

/* store_reoffer.c */
/** It is handed in again: p->was is its answer of before, if @was proves it. Without proof it is judged as a new one.
 */
TZ_MUST_USE int tz_reoffer_read(struct apply *p, const struct tz_signed_result *was);
/** p->was is what the backlog kept of it; nothing for an empty one. */
TZ_MUST_USE int tz_reoffer_kept(struct apply *p, struct tz_bytes was);
/** May a seq that was passed over come in after all, since a restore forgot its answer? 1, 0, negative. */
int tz_reoffer_forgotten(struct apply *p);
/** It had been refused or withdrawn, and stays so: 1 with its answer stored again, 0 it is to be judged, negative. */
int tz_reoffer_settled(struct apply *p, struct tz_signed_result *out);
/** It was judged into p->ops and p->res: what was applied before counts as it counted then. */
void tz_reoffer_keep_outcomes(struct apply *p);
/** Something of it was refused that may be judged otherwise when others have handed in what they hold: 1, 0, negative.
 */
int tz_reoffer_waits(struct apply *p);
/** It was judged in the end. */
TZ_MUST_USE int tz_reoffer_done(struct apply *p);
/** Its answer is that it waits for the others. */
TZ_MUST_USE int tz_reoffer_behind(struct apply *p);
/** The backlog has it waiting, from before the restore: remember the answer it had since. */
TZ_MUST_USE int tz_reoffer_prove(struct apply *p);

/* store_wait.c */
/** The least own seq that the changeset depends on, that did not happen and that it does not itself take back; 0 none.
 */
TZ_MUST_USE int tz_wait_find(struct apply *p, uint64_t *first);
/** Ops that did not happen (by p->ops) block what builds on them. */
TZ_MUST_USE int tz_wait_mark(struct apply *p);
/** CREATEs that were applied mend earlier refused ones of the same id; *released when that freed anything. */
TZ_MUST_USE int tz_wait_mend(struct apply *p, bool *released);
/** The own earlier changeset that @op names, by number and bytes, is taken back if it waits, is held or was refused. */
TZ_MUST_USE int tz_wait_withdraw(struct apply *p, const struct tz_op *op, bool *released, struct tz_results *out);
/** Judge what waits and may be judged now, as far as p->budget goes; the rest is for later calls (tz_store_release). Of
 * p only the device and where to work count. @fresh: something was freed just now. */
TZ_MUST_USE int tz_wait_release(struct apply *p, bool fresh, struct tz_results *out);

#endif
