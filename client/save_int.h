/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_SAVE_INT_H
#define TZ_SAVE_INT_H

/* A changeset being made, as save.c and withdrawal.c see it. */

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
/** Append @op (room was checked). Returns its position. */
size_t tz_save_push(struct tz_save *s, const struct tz_op *op, tz_ver checkpoint);

#endif
