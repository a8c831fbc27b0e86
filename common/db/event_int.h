/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_EVENT_INT_H
#define TZ_EVENT_INT_H

/* One judgement of a step, as event_rule.c and event_guard.c see it. */

#include "event_rule.h"

enum { TZ_RULE_LIST_BYTES = 512 };

/** One judgement under way. */
struct tz_rule {
    struct tz_replica *rep;
    const struct tz_catalogue *cat;
    const struct tz_event_author *who;
    const struct tz_type *t;
    struct tz_id id; /* zero: an opening */
    struct tz_record *rec;
    const struct tz_record *was; /* before */
    const struct tz_trail *trail;
    const char *today;
    struct tz_arena *a;
    struct tz_event_out *out;
    struct tz_err *err;
    bool has_unit;
};

/** Say no. Always 1: `return tz_rule_refuse(…)`. Arguments end at the first NULL. */
int tz_rule_refuse(struct tz_rule *r, int code, const char *arg1, const char *arg2, const char *arg3);
int tz_rule_no_memory(struct tz_rule *r);
/** A text value as a string, "" for NULL; NULL: no memory. */
const char *tz_rule_text(struct tz_rule *r, struct tz_value v);
/** A number as a string; NULL: no memory. */
const char *tz_rule_number(struct tz_rule *r, unsigned long long n);
/** "-" for -1. */
const char *tz_rule_state(const struct tz_type *t, int state);
/** The last step of this action, NULL none. */
const struct tz_event *tz_rule_last(const struct tz_trail *trail, const char *action);
/** C or D. */
const char *tz_rule_level(const struct tz_role *role);
/** The record of this type that a field names: 1, 0 none. */
int tz_rule_named(struct tz_rule *r, uint16_t field, struct tz_row **out);

/** Guards about what stands: 0 they hold, 1 refused, negative. @ask NULL: an opening. */
TZ_MUST_USE int tz_rule_guards(struct tz_rule *r, const struct tz_step *s, const struct tz_event_ask *ask);
/** Values, effects and the new state are laid over the record; then the guards about what has come out. */
TZ_MUST_USE int tz_rule_carry_out(struct tz_rule *r, const struct tz_step *s, const struct tz_event_ask *ask);

#endif
