/* SPDX-License-Identifier: Apache-2.0 */
/* See the header: a field that belongs to no record type. */
#include "reason.h"
#include "catalogue.h"
#include "changeset.h"

#include <string.h>

static const struct tz_field REASON = {
    .name = "reason", .label = {"理由", "reason"}, .ftype = TZ_FT_STR, .limit = TZ_REASON_CHARS_MAX};

int tz_reason_parse(const char *typed, struct tz_arena *a, const char **out, struct tz_err *err)
{
    struct tz_value v;
    *out = "";
    int rc = typed == NULL ? 0 : tz_value_parse(&REASON, typed, a, &v, err);
    if (typed == NULL || rc != 0 || v.kind != TZ_V_TEXT)
        return rc;
    *out = tz_arena_dup(a, v.p, v.n);
    return *out != NULL ? 0 : tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
}

int tz_reason_check(const char *reason, struct tz_err *err)
{
    return reason[0] == '\0' ? 0 : tz_value_check(&REASON, tz_value_text(reason), false, err);
}
