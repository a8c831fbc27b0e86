/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_HISTORY_INT_H
#define TZ_HISTORY_INT_H

/* The index from records to audit entries (store_history.c), and the answers read through it (store_history_read.c). */

#include "store_int.h"

/** What an audit entry of a changeset says of itself, whatever became of its body. */
struct tz_audit_meta {
    uint32_t device, incarnation;
    uint64_t seq;
    enum tz_outcome outcome;
    tz_ver ver, old_ver; /* old_ver: handed in again after a restore, the version it had before; 0: it was not */
    int64_t received_ms;
};
/** False for entries about anything else. */
bool tz_audit_meta_parse(const char *meta, struct tz_audit_meta *out);

/** Outcomes of @cs, whose bytes are @raw, as they stand now: of the changeset into *@whole, of each op into @ops
 * (cs->nops, in @a). Bytes that have no result are a copied installation's: held. */
TZ_MUST_USE int tz_history_outcomes(struct tz_store *s, const struct tz_changeset *cs, struct tz_bytes raw,
                                    struct tz_arena *a, enum tz_outcome *whole, struct tz_op_result **ops,
                                    struct tz_err *err);
/** May others than its device see an op with this outcome in the history of its record? */
bool tz_history_is_public(enum tz_outcome o);
/** Does the op concern `other_id` as well? In every other kind it may hold anything, and means nothing. */
bool tz_history_pairs(enum tz_op_kind k);
/** A case, as far as the index and its readers need it. */
struct tz_history_case {
    const struct tz_type *type; /* of its target */
    struct tz_id target;
    struct tz_area area;
};
/** 1, 0 no such case, negative. */
int tz_history_case_of(struct tz_store *s, struct tz_id id, struct tz_history_case *out, struct tz_err *err);

#endif
