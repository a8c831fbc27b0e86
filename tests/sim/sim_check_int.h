/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_SIM_CHECK_INT_H
#define TZ_SIM_CHECK_INT_H

/* What every record was, by version: kept from the server's rows after each group, for the checks. */

#include "sim.h"

struct snapshot {
    tz_ver ver;
    struct tz_area area;
    bool deleted;
    uint64_t open_hash, secret_hash; /* of the body without and with secret fields */
};
struct past {
    const struct tz_type *type;
    struct tz_id id;
    struct snapshot *v;
    size_t n, cap;
    tz_ver purged; /* the deletion that was purged last, of one that the oracle does not know; 0 none was */
};
struct open_ref { /* to what was not in the history when its record was looked at */
    const struct tz_type *type;
    struct tz_id id;
    tz_ver ver;
    const struct tz_field *field;
    const struct tz_type *to; /* NULL: of no type that there is */
    struct tz_id target;
};
struct sim_history {
    struct open_ref *refs; /* of the group that is looked at */
    size_t nrefs, refs_cap;
    struct past *v;
    size_t n, cap;
    uint32_t *index; /* open addressing, value = position + 1 */
    size_t nindex;
    size_t outcomes_seen;
    uint64_t steps_seen; /* of procedures, on the server */
    bool seeded;
};

struct past *sim_past_of(struct sim_history *h, const struct tz_type *t, struct tz_id id, bool make);
/** Newest snapshot up to @ver, NULL when the record was not there yet. */
const struct snapshot *sim_at_version(const struct past *p, tz_ver ver);
void sim_remember(struct sim *w, const struct tz_row *row);
/** Whoever may read the record where it is now may hold its markers from now on. */
void sim_note_readers(struct sim *w, const struct tz_row *row);

/** References of a changed row; those that lead nowhere wait for the end of the group. */
void sim_refs_note(struct sim *w, const struct tz_row *row);
void sim_refs_check(struct sim *w);

#endif
