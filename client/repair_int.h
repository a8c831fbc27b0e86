/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_REPAIR_INT_H
#define TZ_REPAIR_INT_H

/* Between repair.c (the session's thread) and repair_job.c (the office's thread): a step is all that passes. */

#include "office_int.h"
#include "repair.h"
#include "sync_int.h"

enum {
    TZ_REPAIR_DIFFS_MAX = 2 * TZ_MSG_DIGEST_AREAS_MAX, /* a page of the server's keys and one of our own */
    TZ_REPAIR_LOCAL_MAX = 8192,                        /* own rows looked at in one step */
};

/** Does an answer of the server concern what is visible here? */
enum tz_repair_at {
    TZ_REPAIR_HERE,
    TZ_REPAIR_EARLY, /* not yet: wait for a checkpoint from `since` on */
    TZ_REPAIR_LATE,  /* not any more: ask again */
};

struct tz_repair_diff {
    struct tz_bucket_key key;
    bool foreign; /* outside the grant: the server has no rows for it and is not asked */
};

struct tz_repair_found {
    struct tz_repair_row row;
    uint8_t range;
};

struct tz_repair_step {
    /* in; the answer is the job's frame, none when the key is foreign */
    struct tz_msg_digest_request ask;
    bool foreign, dry, keeps;
    /* out */
    enum tz_repair_at at;
    tz_ver since, ver;
    bool more; /* AREAS: keys above `through` are left; ROWS: ids above through_id */
    struct tz_bucket_key through;
    struct tz_id through_id;
    struct tz_repair_diff *diffs; /* AREAS; owned */
    size_t ndiffs;
    uint8_t ranges[TZ_MSG_DIGEST_KEYS_MAX][TZ_BUCKET_MAP_BYTES]; /* RANGES: those that differ, by key */
    struct tz_repair_found *found;                               /* ROWS; owned */
    size_t nfound, found_cap;
    uint64_t looked; /* ROWS: own rows read */
};

/** TZ_E_PROTOCOL when the answer does not fit the question. */
TZ_MUST_USE int tz_repair_step_run(struct tz_repair_step *st, const struct tz_bytes *answer, struct tz_office *o,
                                   struct tz_arena *a, struct tz_err *err);
void tz_repair_step_free(struct tz_repair_step *st);

#endif
