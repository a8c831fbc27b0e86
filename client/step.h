/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_STEP_H
#define TZ_STEP_H

/*
 * Steps of procedures at the office: what stands, what was proposed here, and one more proposal. A step is judged at
 * once by the rule that the server uses (common/db/event_rule.h), from what is here; it counts when the server has
 * judged it. The person's view of a record (office.h) shows what is confirmed; proposals are told beside it, never as
 * if they stood.
 */

#include "event_rule.h"
#include "office.h"

/** An own step that the server has not recorded, or not yet shown. */
struct tz_step_own {
    uint64_t seq;            /* of the save; several steps of one save have the same */
    enum tz_outcome outcome; /* NONE unsent; REFUSED */
    struct tz_id user;
    const char *action;
    int to;    /* the state that it leads to; -1 unknown */
    bool fits; /* on top of what stands and of those before it: it can still be taken */
    int code;  /* REFUSED: the server's reason; else, when it does not fit: the rule's */
    const char *args[TZ_RESULT_ARGS_MAX];
    size_t nargs;
};

struct tz_step_view {
    struct tz_row *row;    /* with the own steps that fit on top */
    int confirmed;         /* index of the state that stands; -1: own opening, not confirmed */
    struct tz_trail trail; /* recorded steps, and the own ones that fit */
    size_t nrecorded;
    struct tz_step_own *own; /* ascending */
    size_t nown;
    uint64_t behind; /* the first own save that did not happen: the next step would wait for it. 0 none */
};
/** The live record @id of @t, a type with a procedure: 1, 0 there is none. Lives in @a. */
int tz_step_view(struct tz_office *o, const struct tz_type *t, struct tz_id id, struct tz_arena *a,
                 struct tz_step_view *out, struct tz_err *err);
/** Ids of the records of @t with own steps or openings that are not settled. In @a. */
TZ_MUST_USE int tz_step_open_ids(struct tz_office *o, const struct tz_type *t, struct tz_arena *a, struct tz_id **out,
                                 size_t *n, struct tz_err *err);

/** What the person says. */
struct tz_step_said {
    const char *action;
    const struct tz_record *in; /* fields of the record, with @names by index; NULL none */
    const bool *names;
    const char *opinion, *evidence; /* canonical text and JSON; NULL none */
    const char *seen_state;         /* as the record was on the screen; NULL: as it is here now */
    uint64_t seen_seq;
};
/** TZ_E_STEP_*, TZ_E_STEP_BEHIND; arguments are codes of the catalogue (tz_step_words). */
TZ_MUST_USE int tz_save_step(struct tz_save *s, const struct tz_type *t, struct tz_id id,
                             const struct tz_step_said *said, struct tz_err *err);
/** May @user (zero: the device's first) take this step as it stands here? 1, 0 no, negative. Forms grey out by this. */
int tz_step_may(struct tz_office *o, const struct tz_step_view *v, struct tz_id user, const char *action,
                struct tz_err *err);
/**
 * Offer the step of the own save @seq again as things stand now, in its author's name: that save and those that stand
 * behind it on the same record are taken back, and their steps proposed anew, in one transaction. *@last: number of the
 * last new save. TZ_E_NO_STEP; else why not, and nothing was changed.
 */
TZ_MUST_USE int tz_step_again(struct tz_office *o, uint64_t seq, uint64_t *last, struct tz_err *err);

/** Arguments of TZ_E_STEP_* become words for people: labels for actions, states, levels, roles, fields; names of units.
 * @o may be NULL. */
void tz_step_words(const struct tz_catalogue *cat, struct tz_office *o, enum tz_lang lang, struct tz_err *err);

#endif
