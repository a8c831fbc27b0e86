/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_MERGE_INT_H
#define TZ_MERGE_INT_H

/* Shared by the files about records that become one: judge_merge.c (the fields of two), judge_link.c (what points at
 * them), judge_unmerge.c (how they come apart). */

#include "case_int.h"

/* judge_merge.c */
/** Does field @i of the one that goes count? Neither where a record lies nor what its procedure says does. */
bool tz_merge_takes(const struct tz_type *t, size_t i);
/** A record that exists, with its stamps. */
TZ_MUST_USE int tz_merge_load(struct tz_judge *j, const struct tz_type *t, struct tz_id id, struct tz_row **row,
                              struct tz_stamps *stamps);
/** The record that @op says stays, where its alias leads, if the author may merge it. 0 good, 1 answered, negative. */
TZ_MUST_USE int tz_merge_survivor(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t,
                                  struct tz_row **keep);

/* judge_link.c */
/** One of the alias statements (TZ_SQL_ALIAS_PUT, TZ_SQL_ALIAS_DROP) as of this version. */
TZ_MUST_USE int tz_alias_run(struct tz_judge *j, enum tz_sql which, const struct tz_type *t, struct tz_id id,
                             struct tz_id survivor);
/** The record that says where @gone went; @keep NULL: nowhere any more. */
TZ_MUST_USE int tz_alias_record(struct tz_judge *j, const struct tz_row *gone, const struct tz_row *keep);
/** Whatever points at @gone points at @keep, deleted records too, and is noted for UNMERGE. */
TZ_MUST_USE int tz_links_move(struct tz_judge *j, const struct tz_row *gone, const struct tz_row *keep);
/** What was noted, and nobody has touched since, points at @gone again; the notes go. */
TZ_MUST_USE int tz_links_give_back(struct tz_judge *j, const struct tz_type *t, struct tz_id keep, struct tz_id gone);
/** Up from @id by its references to its own type: does the way meet @other? 1 yes, 0 no, negative. */
TZ_MUST_USE int tz_merge_leads_to(struct tz_judge *j, const struct tz_type *t, struct tz_id id, struct tz_id other);

#endif
