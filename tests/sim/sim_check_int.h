/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_SIM_CHECK_INT_H
#define TZ_SIM_CHECK_INT_H

/* What every record was, by version: kept from the server's rows after each group, for the checks. */

#include "sim.h"

#include <jansson.h>

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
    tz_ver purged;       /* the deletion that was purged last, of one that the oracle does not know; 0 none was */
    bool emptied;        /* a case whose words are in the audit log alone */
    struct tz_id speaks; /* whose words it carries: its own id, of a case about what is to be made that of the latter */
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
/** It is gone as of @ver. */
void sim_forget_row(struct past *p, tz_ver ver);
/** Whoever may read the record where it is now may hold its markers from now on. */
void sim_note_readers(struct sim *w, const struct tz_row *row);
/** The same of one that did not change, when somebody may read more than before. */
void sim_note_again(struct sim *w, const struct past *p);
/** What a query of one number says; @dflt: nothing. */
int64_t sim_number(struct sim *w, const char *sql, int64_t a, int64_t b, int64_t dflt);
/** What the audit log has new goes into the oracle, in its order. */
void sim_feed_oracle(struct sim *w);
/** oracle_author_fn: a changeset that waited is judged with the rights of the day. */
void sim_author_now(void *ctx, const struct tz_changeset *cs, struct oracle_author *who);
/** The hash of what the server has under a number, judged or kept. False: nothing. */
bool sim_judged_hash(struct sim *w, uint32_t device, uint32_t incarnation, uint64_t seq, uint8_t hash[TZ_HASH_BYTES]);
/** Ops of copies' saves that are held, and have not come in under another number. */
uint64_t sim_held_ops(struct sim *w, uint32_t device);
/** As the server's commit log has it. */
tz_hlc sim_eff_max(struct sim *w, tz_ver ver);
/** By record: may its words be on @c's disk when everything that left is wiped? Freed by the caller. */
bool *sim_wiped_expect(struct sim_client *c);
void sim_wiped_check(struct sim_client *c, const bool *keeps, struct tz_bytes bytes, const char *where);

/** Is some device in its lease, before this group and after it, that has not acknowledged @ver? */
bool sim_purge_waits(struct sim *w, tz_ver ver);
/** The server has emptied cases that had not changed since @limit, in version @ver. */
void sim_compact_step(struct sim *w, tz_ver ver, tz_ver limit);
/** How many saves the office has emptied. */
void sim_compact_count(struct sim_client *c);
/** Does the emptied candidate name what the oracle's said? @values: as in struct oracle_candidate. */
bool sim_compact_same(const json_t *candidate, const char *values);
/** @row, a case with emptied candidates: was that right? */
void sim_compact_case(struct sim *w, const struct tz_row *row, const struct oracle_case *o, const char *what);

/** References of a changed row; those that lead nowhere wait for the end of the group. */
void sim_refs_note(struct sim *w, const struct tz_row *row);
void sim_refs_check(struct sim *w);

#endif
