/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_LOST_INT_H
#define TZ_LOST_INT_H

/* Rows that only replicas still have: taken and picked in store_lost.c, judged in judge_lost.c; the walk over what came
 * in since the restore is judge_late.c's. */

#include "case_int.h"

/** One op in a changeset that came in since the backup that undid a version. */
struct tz_since {
    tz_ver place; /* in the old order: of what was handed in again its old version, of what is new a later one */
    const struct tz_changeset *cs;
    const struct tz_op *op;
    struct tz_arena *a; /* until the next changeset */
};
/** Every op of changesets about the record since the backup that undid @lost, oldest first, those about others in them
 * too. @cb: 0 goes on, negative ends. */
TZ_MUST_USE int tz_late_each(struct tz_store *s, const struct tz_type *t, struct tz_id id, tz_ver lost,
                             int (*cb)(void *ctx, const struct tz_since *one), void *ctx, struct tz_err *err);

/** What a lost row says that is nowhere else. */
struct tz_lost_words {
    bool field[TZ_FIELDS_MAX]; /* by index: its value is not what stands, and nobody has brought or knowingly replaced
                                  it */
    size_t n;                  /* such fields */
    bool life;                 /* so with its being there, or gone */
};
/** @was, a row of a lost version, against the same record @now. In @a. */
TZ_MUST_USE int tz_lost_words(struct tz_store *s, const struct tz_row *was, const struct tz_row *now,
                              struct tz_arena *a, struct tz_lost_words *out, struct tz_err *err);
/** The record is not here: write it as a deleted one, with a case. @born: of its content; @by offered it. */
TZ_MUST_USE int tz_lost_bury(struct tz_judge *j, struct tz_row *was, tz_ver born, struct tz_commit by);
/** It is here: what @words names becomes words in cases. */
TZ_MUST_USE int tz_lost_ask(struct tz_judge *j, const struct tz_row *was, const struct tz_row *now,
                            const struct tz_lost_words *words, struct tz_commit by);
/** The maker of a record that was written from a lost row hands its creation in again, as @row; @old stands.
 * 1: write @row, then call tz_lost_made. 0 answered, negative. */
int tz_lost_make(struct tz_judge *j, const struct tz_row *row, const struct tz_row *old, const bool *names);
/** @row was written: what the lost row said beyond it is asked about. */
TZ_MUST_USE int tz_lost_made(struct tz_judge *j, const struct tz_row *row, const struct tz_row *old);
/** The op carried out handed something in again: what was asked because nobody had brought it is asked no more. */
TZ_MUST_USE int tz_lost_answered(struct tz_judge *j);

#endif
