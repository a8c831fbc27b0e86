/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_LEDGER_H
#define TZ_LEDGER_H

/* What the parts of `taizhang ledger` share. */

#include "desk.h"
#include "step.h"

/** What stands behind the sub-command on the line. */
struct ledger_args {
    const char *opinion, *seen, *state;
    const char *files[16]; /* evidence */
    size_t nfiles;
    bool all;
    const char *const *rest; /* arguments that are no options */
    size_t nrest;
};

/** The type whose records move by steps. TZ_E_UNKNOWN_TYPE: the catalogue has none. */
TZ_MUST_USE int ledger_type(struct desk *d, const struct tz_type **t);
/** An item by number, old number, title or id, with what was proposed here on top. */
TZ_MUST_USE int ledger_item(struct desk *d, const char *name, const struct tz_type **t, struct tz_step_view *v);
/** Labels; the code where there is none. */
const char *ledger_action(const struct tz_type *t, const char *action);
const char *ledger_state(const struct tz_type *t, int state);
/** Own steps that the server has not confirmed: for people in one line; for programs as a list. */
const char *ledger_pending(struct desk *d, const struct tz_type *t, const struct tz_step_view *v);
json_t *ledger_pending_json(struct desk *d, const struct tz_type *t, const struct tz_step_view *v);
/** Why an own step was refused or does not fit, in words; false when there is no reason. */
bool ledger_reason(struct desk *d, const struct tz_step_own *own, struct tz_err *out);

TZ_MUST_USE int ledger_list(struct desk *d, const struct ledger_args *in);
TZ_MUST_USE int ledger_show(struct desk *d, const struct ledger_args *in);

#endif
