/* SPDX-License-Identifier: Apache-2.0 */
/* taizhang agent: stay connected until stopped. */
#include "agent.h"
#include "log.h"
#include "out.h"
#include "told.h"

#include <stdio.h>
#include <string.h>

static void on_ready(void *ctx)
{
    const struct tz_office *o = ctx;
    const struct tz_identity *id = tz_office_identity(o); /* written at the opening, read here before any job runs */
    if (out_json_mode())
        (void)out_json(json_pack("{s:b, s:s, s:s}", "ready", 1, "device", id->name, "server", id->address));
    else
        (void)printf(tr("已就绪：%s，服务器 %s\n", "ready: %s, server %s\n"), id->name, id->address);
    (void)fflush(stdout);
}

static void on_end(void *ctx, const struct tz_err *err)
{
    char text[256];
    char quoted[300];
    (void)ctx;
    tz_log(TZ_LOG_WARN, "agent", "disconnected", "code=%s text=%s", tz_err_info(err->code)->symbol,
           tz_log_quote(tz_err_text(err, TZ_LANG_EN, text, sizeof text), quoted, sizeof quoted));
}

static int run(struct cli *c, struct tz_agent_options *opt, struct tz_err *err)
{
    int rc = cli_open_office(c, &opt->office, err);
    if (rc == 0)
        rc = cli_data(c, &opt->dir, err);
    opt->ctx = opt->office;
    return rc == 0 ? tz_agent_run(opt, err) : rc;
}

int cmd_agent(struct cli *c, int argc, char **argv)
{
    struct tz_err err = {0};
    struct tz_agent_options opt = {.software = "taizhang " TZ_VERSION, .on_ready = on_ready, .on_end = on_end};
    if (argc == 2 && strcmp(argv[1], "--stop") == 0) {
        json_t *reply = NULL;
        const char *dir;
        int rc = cli_data(c, &dir, &err);
        if (rc == 0)
            rc = tz_agent_ask(dir, "stop", 5000, &reply, &err);
        json_decref(reply);
        return rc == 0 ? CLI_DONE : out_error(&err);
    }
    if (argc != 1)
        return cli_usage_error(c, "%s", tr("不需要其他内容", "no arguments are needed"));
    if (run(c, &opt, &err) == 0)
        return CLI_DONE;
    int rc = out_error(&err);
    if (c->office != NULL)
        told_unsent(c->office);
    return rc;
}
