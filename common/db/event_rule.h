/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_EVENT_RULE_H
#define TZ_EVENT_RULE_H

/*
 * May this step of a procedure be taken, and what does it make of the record? One rule over transitions.csv, for the
 * form (so that what can be known to be refused is refused while the person is there) and for the server (which judges
 * again from what stands there). Reads the replica, writes nothing, knows nothing of sessions or outboxes.
 *
 * A refusal is an answer (tz_event_out.code and args, which are codes of the catalogue, never sentences), not an error.
 */

#include "replica.h"

/** So many steps a record may have for one more that leads to no other state (a report). Those that do are taken beyond
 * that: it must come to an end. */
enum { TZ_EVENT_STEPS_MAX = 1000 };

/** A step that was taken, or is proposed. */
struct tz_event {
    const char *action;
    int from; /* index of the state before it; -1 unknown */
    struct tz_id actor;
    uint64_t seq; /* 1, 2, 3 … within the record */
};

/** The steps of one record, ascending. */
struct tz_trail {
    struct tz_event *v;
    size_t n, cap;
    struct tz_arena *a; /* owns v and what it points at */
};
/** The recorded steps of @item, a record of @t, which has a procedure. */
TZ_MUST_USE int tz_trail_read(struct tz_replica *rep, const struct tz_type *t, struct tz_id item, struct tz_arena *a,
                              struct tz_trail *out, struct tz_err *err);
/** One more on top, numbered after the last. Copies @action. */
TZ_MUST_USE int tz_trail_add(struct tz_trail *trail, const char *action, int from, struct tz_id actor);
/** Number of the last step, 0 when there is none. */
uint64_t tz_trail_seq(const struct tz_trail *trail);

struct tz_event_author {
    struct tz_id user;
    const struct tz_role *role;
    struct tz_area area; /* records outside it are nobody's business of his */
    bool city;
    bool decides; /* a supervisor lets in what somebody else said: whose the step is was asked of that one */
};

/** Does the note name a file at least? The field is canonical JSON: a list that begins with an object. */
bool tz_event_evidence(struct tz_value v);

/** What is asked for. */
struct tz_event_ask {
    const char *action;
    const char *expected_state; /* as the author saw the record */
    uint64_t expected_seq;
    const struct tz_record *in; /* fields that the step says, with @names by index; NULL none */
    const bool *names;
    bool opinion, evidence; /* given */
    char today[11];         /* UTC+8 */
};

enum { TZ_EVENT_ARGS_MAX = 3 };
struct tz_event_out {
    int code; /* 0: it may be taken; else why not */
    const char *args[TZ_EVENT_ARGS_MAX];
    size_t nargs;
    const struct tz_step *step;
    int from, to;                        /* states before and after; opening: from -1 */
    struct tz_id unit;                   /* of the author */
    const struct tz_step_effect *number; /* a field is to get a number; NULL none */
};

/**
 * Judge a step of the live record @row, and lay its values, state and effects over row->rec when it may be taken.
 * @trail: the record's steps, on the client with the own pending ones on top (then @row shows those too). What @out and
 * the row get lives in @a.
 */
TZ_MUST_USE int tz_event_judge(struct tz_replica *rep, const struct tz_event_author *who, struct tz_row *row,
                               const struct tz_trail *trail, const struct tz_event_ask *ask, struct tz_arena *a,
                               struct tz_event_out *out, struct tz_err *err);
/**
 * Judge the opening of @rec, a new record of a type with a procedure, and fill in what the opening gives. When it names
 * the record that it reopens, that step is judged as well.
 */
TZ_MUST_USE int tz_event_open(struct tz_replica *rep, const struct tz_event_author *who, struct tz_record *rec,
                              const char today[11], struct tz_arena *a, struct tz_event_out *out, struct tz_err *err);
/** Does the procedure of @t let this role open records? */
bool tz_event_may_open(const struct tz_type *t, const struct tz_role *role);
/** The unit a user acts for: his own, else the committee of his district (for the centre's people, of the city). 1, 0
 * none. */
int tz_event_unit(struct tz_replica *rep, const struct tz_event_author *who, struct tz_arena *a, struct tz_id *out,
                  struct tz_err *err);
/** May whoever opens a record of @t name field @f although only the server edits it? The link to what it reopens. */
bool tz_event_is_link(const struct tz_type *t, const struct tz_field *f);

#endif
