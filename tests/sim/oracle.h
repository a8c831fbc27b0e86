/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_ORACLE_H
#define TZ_ORACLE_H

/*
 * What should have happened. Takes changesets in the server's order and applies the merge rules with lists and linear
 * searches; shares the catalogue, the codec and value checks with the product, and nothing of merge, replica or store.
 *
 * One row per record: fields with stamps, life with a stamp. Cases by (record, subject, generation). Hung changesets
 * (refused, waiting) per device with what they touch. Everything is kept in one arena until the end.
 */

#include "area.h"
#include "changeset.h"

enum { ORACLE_OPS_MAX = TZ_CHANGESET_OPS_MAX };

struct oracle_stamp {
    tz_ver ver;
    bool resolved;
    tz_ver said; /* whose word it is, where a merge of records brought it; 0: of ver's author */
};

/** When an element of a set was added, if that was not at the record's birth. */
struct oracle_element {
    size_t field;
    struct tz_bytes text;
    tz_ver ver;
};

struct oracle_row {
    const struct tz_type *type;
    struct tz_id id;
    struct tz_value *v; /* by field index */
    struct oracle_stamp *stamp;
    const struct oracle_element *el; /* never changed in place: a change makes a new list */
    size_t nel;
    struct oracle_stamp life;
    bool deleted;
    tz_ver born, ver;
    const char **claims; /* by key, as of when they were last looked at; NULL never */
    bool recheck;        /* a case with another has closed: it may clash with a third */
    unsigned own;        /* last round in which an op that names it changed what it claims */
    struct tz_area area;
    unsigned journal; /* last undo mark it was saved under */
};

struct oracle_candidate {
    uint32_t device, incarnation;
    uint64_t seq;
    struct tz_id user;
    tz_ver ver;                  /* when it was said */
    tz_ver since;                /* when it joined the case */
    bool late;                   /* said when the right to say it had gone */
    const struct tz_value *said; /* of a record to be made: by field index */
    struct tz_id of;             /* said of another record, that became part of this one; zero: of this one */
    const char *values;          /* "name=value;" sorted by name; text in quotes, blobs in hex */
};

struct oracle_case {
    const struct tz_type *type; /* of the target */
    struct tz_id id;            /* target */
    struct tz_id other;         /* of two records that claim one key */
    const char *subject;        /* field, group, "_deleted" or "duplicate:" and the other's id */
    uint32_t generation;
    bool open;
    const char *kind; /* "conflict", "deleted", "duplicate", "late_scope" or "purged" */
    bool went;        /* closed, and its words are with a survivor */
    bool kept;        /* somebody decided that both stay */
    tz_ver born;
    struct tz_area area; /* of a case about a record that does not exist */
    struct oracle_candidate *cand;
    size_t ncand, cap;
    uint64_t hidden; /* words past the cap, which are only counted */
    unsigned journal;
};

/** A step of a procedure that was taken. */
struct oracle_event {
    const struct tz_type *type; /* of the record */
    struct tz_id item;
    uint64_t seq;
    tz_ver ver;
    const char *action, *from, *to; /* codes; "" none */
    int from_state;
    struct tz_id actor;
    int64_t received_ms;
    uint64_t expected_seq;
    struct tz_value opinion, evidence;
};

/** What somebody may do, and where. */
struct oracle_rights {
    bool known; /* the user belongs to the device and is active */
    const struct tz_role *role;
    struct tz_area area;
    bool city;
};

/** Who makes the changeset, as the server's tables have it. */
struct oracle_author {
    bool known; /* the user belongs to the device and is active */
    const struct tz_role *role;
    struct tz_area area;
    bool city;
    struct oracle_rights past; /* when it was made */
    tz_ver past_until;         /* last version that those were good for */
    int64_t offset_ms, received_ms;
};

struct oracle_outcome {
    uint32_t device, incarnation;
    uint64_t seq;
    enum tz_outcome outcome;
    tz_ver ver;
    uint64_t blocked_by;
    bool repeated; /* the answer of another copy, which had brought the same save */
    size_t nops;
    enum tz_outcome *ops;
    int *codes;
};

struct oracle;
struct oracle *oracle_new(const struct tz_catalogue *cat);
void oracle_free(struct oracle *o);
/** The server judges by @now from here on: a version of the oracle's own that lacks what was added later. */
void oracle_catalogue(struct oracle *o, const struct tz_catalogue *now);
/** A row that is there before anything happens (shipped rows, users). */
void oracle_seed(struct oracle *o, const struct tz_type *t, struct tz_id id, const struct tz_value *v, tz_ver ver,
                 const struct tz_area *area);
void oracle_head(struct oracle *o, tz_ver head, tz_hlc eff_max);
/**
 * Judge one changeset (bytes must live as long as the oracle). Its outcome, and those of waiting ones it released, are
 * in oracle_outcomes from @first on.
 */
void oracle_apply(struct oracle *o, const struct oracle_author *who, const struct tz_changeset *cs, size_t *first);
/** It came from a device that is shut out: kept as it is, in its place in time, until somebody settles it. */
void oracle_hold(struct oracle *o, const struct oracle_author *who, const struct tz_changeset *cs);
/** A copy of @device's installation @parent goes on by itself: up to @fork_seq its numbers are @parent's. */
void oracle_installation(struct oracle *o, uint32_t device, uint32_t incarnation, uint32_t parent, uint64_t fork_seq);
/** The installation that number @seq belongs to when @incarnation names it. */
uint32_t oracle_owner(const struct oracle *o, uint32_t device, uint32_t incarnation, uint64_t seq);
/** Held or waiting, it is judged as if nothing stood before it, or (!@judge) refused. False: there is none. */
bool oracle_settle(struct oracle *o, uint32_t device, uint64_t seq, bool judge);
/** A held one was taken back by its author. */
void oracle_drop_held(struct oracle *o, uint32_t device, uint64_t seq);
const struct oracle_outcome *oracle_outcomes(const struct oracle *o, size_t *n);
/** Newest outcome of one changeset, NULL when there is none. */
const struct oracle_outcome *oracle_outcome_of(const struct oracle *o, uint32_t device, uint32_t incarnation,
                                               uint64_t seq);
/** Rows whose version is above @since; the list lives until the next call. */
const struct oracle_row *const *oracle_changed(const struct oracle *o, tz_ver since, size_t *n);
const struct oracle_row *oracle_find(const struct oracle *o, const struct tz_type *t, struct tz_id id);
const struct oracle_case *oracle_cases(const struct oracle *o, size_t *n);
const struct oracle_case *oracle_case_find(const struct oracle *o, const struct tz_type *t, struct tz_id id,
                                           const char *subject, uint32_t generation);
/** The server purged it: late ops on it are late from now on. False when it is not deleted, or something refers to it.
 */
bool oracle_purge(struct oracle *o, const struct tz_type *t, struct tz_id id);
bool oracle_is_purged(const struct oracle *o, const struct tz_type *t, struct tz_id id);
/** Every step taken, in the order of the versions. */
const struct oracle_event *oracle_events(const struct oracle *o, size_t *n);
const struct oracle_event *oracle_event_find(const struct oracle *o, struct tz_id item, uint64_t seq);
/** The smallest area that holds both. */
struct tz_area ora_common_area(const struct tz_area *x, const struct tz_area *y);
/** What ever became part of @id, by whatever steps, and @id itself: their words are in it. At most @max; how many. */
size_t oracle_parts(const struct oracle *o, struct tz_id id, struct tz_id *out, size_t max);
tz_ver oracle_head_ver(const struct oracle *o);
/** "name=value;" with the oracle's spelling of a value; appends. */
void oracle_spell(struct tz_buf *out, const char *name, struct tz_value v);
/** A case's record id → its target; the server derives ids, so the checker tells. */
typedef void (*oracle_author_fn)(void *ctx, const struct tz_changeset *cs, struct oracle_author *who);
/** Rights of whoever made a changeset that waited, as of when it is judged; who->received_ms is that of old. */
void oracle_author_lookup(struct oracle *o, oracle_author_fn fn, void *ctx);
/** The administrator's: the user's record says another role and district ("" none), at the present head. */
void oracle_user(struct oracle *o, struct tz_id user, const char *role, const char *district);
typedef bool (*oracle_case_of_fn)(void *ctx, struct tz_id case_id, const struct tz_type **type, struct tz_id *target,
                                  const char **subject, uint32_t *generation);
void oracle_case_lookup(struct oracle *o, oracle_case_of_fn fn, void *ctx);

#endif
