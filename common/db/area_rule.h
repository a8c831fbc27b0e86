/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_AREA_RULE_H
#define TZ_AREA_RULE_H

/* Where a record belongs by its own content. One rule: the form must not refuse what the server accepts. */

#include "replica.h"

/** Type a reference points at: the field's own, or for ref(any) the one its type field names. NULL when unknown. */
const struct tz_type *tz_area_ref_type(const struct tz_catalogue *cat, const struct tz_record *rec,
                                       const struct tz_field *f);
/** 1 and the area, 0 when the content names none (bad code, unknown parent), negative. */
int tz_area_of(struct tz_replica *rep, const struct tz_record *rec, struct tz_arena *a, struct tz_area *out,
               struct tz_err *err);

#endif
