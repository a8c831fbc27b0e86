/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_APPLY_INT_H
#define TZ_APPLY_INT_H

/* A changeset on its way through store_apply.c, and what store_wait.c knows about those that wait. */

#include "store_int.h"

/** One changeset under way. */
struct apply {
    struct tz_store *s;
    uint32_t device;
    struct tz_device dev;
    struct tz_bytes raw;
    uint8_t hash[TZ_HASH_BYTES];
    struct tz_changeset *cs;
    int64_t offset_ms;
    struct tz_wall received;
    struct tz_arena *a; /* results */
    struct tz_err *err;
    struct tz_judge *j;
    struct tz_op_result *ops; /* cs->nops */
    struct tz_result res;
};

/** The least own seq that the changeset depends on and that did not happen; 0 none. */
TZ_MUST_USE int tz_wait_find(struct apply *p, uint64_t *first);
/** Ops that did not happen (by p->ops) block what builds on them. */
TZ_MUST_USE int tz_wait_mark(struct apply *p);
/** CREATEs that were applied mend earlier refused ones of the same id; *released when that freed anything. */
TZ_MUST_USE int tz_wait_mend(struct apply *p, bool *released);
/** Run a statement of (device, incarnation, @seq). */
TZ_MUST_USE int tz_wait_run_seq(struct apply *p, enum tz_sql which, uint64_t seq);

#endif
