/* SPDX-License-Identifier: Apache-2.0 */
/*
 * purge: what the running server does once a day, now. One bounded step after another, each a group of its own, so that
 * nobody waits for long; interrupted at any point it has done the steps that it did.
 */
#include "cli.h"
#include "store.h"

#include <stdio.h>

static json_int_t number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static int step(struct tz_cli *c, struct tz_purge_done *sum, json_int_t *horizon, bool *more)
{
    json_t *r = NULL;
    int rc = tz_cli_change(c, json_pack("{s:s}", "command", "purge"), &r);
    if (rc)
        return rc;
    sum->records += (uint64_t)number(r, "records");
    sum->leaving += (uint64_t)number(r, "leaving");
    sum->cases += (uint64_t)number(r, "cases");
    *horizon = number(r, "horizon");
    *more = json_is_true(json_object_get(r, "more"));
    json_decref(r);
    return 0;
}

static int say_holders(void *ctx, const struct tz_device *d)
{
    struct tz_cli *c = ctx;
    char when[32];
    tz_cli_say(c, tr(c, "等待设备“%s”（最后确认于 %s）", "waiting for device \"%s\" (last acknowledged %s)"), d->name,
               tz_cli_time(d->acked_ms, when));
    return 1;
}

/** Who is waited for; a person wants to know why nothing goes. */
static int tell_holders(struct tz_cli *c)
{
    struct tz_purge_rules rules;
    struct tz_store *s = NULL;
    int rc = tz_cli_store(c, &s);
    tz_cli_purge_rules(c, &rules);
    if (!rc)
        rc = tz_store_purge_holders(s, &rules, say_holders, c, &c->err);
    tz_store_close(s);
    return rc;
}

int tz_cmd_purge(struct tz_cli *c)
{
    struct tz_purge_done sum = {0};
    json_int_t horizon = 0;
    bool more = true;
    int rc = 0;
    while (more && !rc)
        rc = step(c, &sum, &horizon, &more);
    if (rc)
        return rc;
    if (c->json)
        return tz_cli_json(c, json_pack("{s:I,s:I,s:I,s:I}", "records", (json_int_t)sum.records, "leaving",
                                        (json_int_t)sum.leaving, "cases", (json_int_t)sum.cases, "horizon", horizon));
    tz_cli_say(c,
               tr(c, "已清除很久以前删除的记录 %llu 条，离开辖区的标记 %llu 个",
                  "purged %llu records that were deleted long ago and %llu notes about left areas"),
               (unsigned long long)sum.records, (unsigned long long)sum.leaving);
    if (sum.cases)
        tz_cli_say(
            c,
            tr(c, "很久以前处理的 %llu 个冲突只留了目录，当时的值在审计记录里",
               "of %llu cases that were closed long ago only the entry is left; their words are in the audit log"),
            (unsigned long long)sum.cases);
    return tell_holders(c);
}
