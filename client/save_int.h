/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_SAVE_INT_H
#define TZ_SAVE_INT_H

/* A changeset being made, as save*.c, step_save.c and withdrawal.c see it. */

#include "office_int.h"

struct tz_save {
    struct tz_office *o;
    struct tz_author who;
    struct tz_arena a; /* what the ops borrow */
    struct tz_changeset cs;
    struct tz_op ops[TZ_CHANGESET_OPS_MAX];
    size_t ops_max;
    size_t bytes; /* upper estimate of the serialised size */
    bool wrote;   /* something besides ops: a withdrawn unsent save */
    int failed;   /* a write failed half way: nothing of this may be committed */
};

/** Room for @n more ops of @bytes content? */
TZ_MUST_USE int tz_save_room(const struct tz_save *s, size_t n, size_t bytes, struct tz_err *err);
/** The body of @rec, in the save's memory. */
TZ_MUST_USE int tz_save_encode(struct tz_save *s, const struct tz_record *rec, struct tz_bytes *out,
                               struct tz_err *err);
/** Show op number @at on a record: register it and put the changed view row. */
TZ_MUST_USE int tz_save_show(struct tz_save *s, size_t at, const struct tz_type *t, struct tz_id id,
                             struct tz_err *err);
/** What was made so far is one save; go on with another one in the same transaction, in the name of opt->user. */
TZ_MUST_USE int tz_save_next(struct tz_save *s, const struct tz_save_options *opt, struct tz_err *err);
/** Upper estimate of what an op adds to its overhead. */
size_t tz_save_op_bytes(const struct tz_op *op);
/** Append @op (room was checked). Returns its position. */
size_t tz_save_push(struct tz_save *s, const struct tz_op *op, tz_ver checkpoint);
/** The record as the person has it: 0 live, TZ_E_UNKNOWN_RECORD, or TZ_E_DELETED with @row filled. */
TZ_MUST_USE int tz_save_view(struct tz_save *s, const struct tz_type *t, struct tz_id id, struct tz_arena *a,
                             struct tz_row *row, struct tz_err *err);
/** @seen, and what earlier ops of this very save left, which was on the screen as well. */
struct tz_seen tz_save_seen(const struct tz_save *s, struct tz_id id, const struct tz_seen *seen);

#endif
