/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_CASE_INT_H
#define TZ_CASE_INT_H

/* Pieces of a case's record, shared by judge_case.c (what people say about a value) and judge_duplicate.c (two records
 * that claim one key). */

#include "store_int.h"

/** The newest case of (record, subject). */
struct tz_case_head {
    uint32_t generation; /* 0 = none yet */
    bool open;
    struct tz_id case_id;
};

const struct tz_field *tz_case_field(const struct tz_judge *j, const char *name);
void tz_case_put_text(struct tz_judge *j, struct tz_row *c, const char *field, const char *text);
void tz_case_put_int(struct tz_judge *j, struct tz_row *c, const char *field, int64_t v);
TZ_MUST_USE int tz_case_head_get(struct tz_judge *j, const struct tz_row *row, const char *subject,
                                 struct tz_case_head *out);
TZ_MUST_USE int tz_case_head_put(struct tz_judge *j, const struct tz_row *row, const char *subject,
                                 const struct tz_case_head *h);
struct tz_id tz_case_id(const struct tz_row *row, const char *subject, uint32_t generation);
/** Name it in the op's result. */
void tz_case_note(struct tz_judge *j, struct tz_id id);
/** The record of a case that is known to exist. */
TZ_MUST_USE int tz_case_load(struct tz_judge *j, struct tz_id id, struct tz_row **out);
TZ_MUST_USE int tz_case_store(struct tz_judge *j, struct tz_row *c);

#endif
