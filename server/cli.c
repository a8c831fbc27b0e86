/* SPDX-License-Identifier: Apache-2.0 */
/* What several commands need: the data folder, settings in their order of precedence, the catalogue, output. */
#include "cli.h"

#include "catalogue_dir.h"
#include "catalogue_find.h"
#include "control.h"
#include "journal.h"
#include "log.h"
#include "store.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/** Flags that set a setting. */
static const struct {
    enum tz_opt opt;
    enum tz_config_key key;
} FLAGS[] = {{TZ_OPT_LISTEN, TZ_CONFIG_LISTEN},
             {TZ_OPT_PUBLIC_ADDRESS, TZ_CONFIG_PUBLIC_ADDRESS},
             {TZ_OPT_CONNECTIONS_MAX, TZ_CONFIG_CONNECTIONS_MAX},
             {TZ_OPT_UNAUTHENTICATED_MAX, TZ_CONFIG_UNAUTHENTICATED_MAX},
             {TZ_OPT_READERS, TZ_CONFIG_READERS},
             {TZ_OPT_RECOVERY_DAYS, TZ_CONFIG_RECOVERY_DAYS},
             {TZ_OPT_LOG_LEVEL, TZ_CONFIG_LOG_LEVEL},
             {TZ_OPT_CATALOGUE, TZ_CONFIG_CATALOGUE}};

static int load_config(struct tz_cli *c)
{
    char path[PATH_MAX];
    tz_config_init(&c->config);
    int rc = c->dir.path[0] ? tz_config_file(&c->config, tz_datadir_file(&c->dir, "taizhangd.ini", path), &c->err) : 0;
    if (!rc)
        rc = tz_config_environment(&c->config, getenv, &c->err);
    for (size_t i = 0; i < sizeof FLAGS / sizeof FLAGS[0] && !rc; i++)
        if (c->opt[FLAGS[i].opt])
            rc = tz_config_set(&c->config, FLAGS[i].key, c->opt[FLAGS[i].opt], TZ_FROM_FLAG, &c->err);
    if (!rc)
        tz_log_level_set((enum tz_log_level)tz_config_choice(&c->config, TZ_CONFIG_LOG_LEVEL));
    return rc;
}

int tz_cli_open(struct tz_cli *c, bool fresh)
{
    const char *data = c->opt[TZ_OPT_DATA];
    if (!data || !data[0])
        return tz_err_set(&c->err, TZ_E_USAGE, "--data DIR", NULL, NULL, NULL);
    int rc = tz_datadir_init(&c->dir, data, &c->err);
    if (!rc && !fresh && !tz_datadir_has(&c->dir, "server.db"))
        rc = tz_err_set(&c->err, TZ_E_DB_MISSING, data, NULL, NULL, NULL);
    return rc ? rc : load_config(c);
}

int tz_cli_lock(struct tz_cli *c, unsigned wait_ms)
{
    enum { ASK_MS = 2000 };
    char path[PATH_MAX];
    struct tz_buf reply;
    struct tz_err silent = {0};
    int rc = tz_datadir_lock(&c->dir, wait_ms, &c->err);
    if (rc != TZ_E_DB_BUSY)
        return rc;
    tz_buf_init(&reply, TZ_CONTROL_REPLY_MAX);
    const char *socket = tz_datadir_file(&c->dir, "control.sock", path);
    if (tz_control_ask(socket, "{\"command\":\"status\"}", &reply, ASK_MS, &silent) == 0)
        rc = tz_err_set(&c->err, TZ_E_SERVER_RUNNING, c->dir.path, NULL, NULL, NULL);
    tz_buf_deinit(&reply);
    return rc;
}

int tz_cli_catalogue(struct tz_cli *c)
{
    char dir[PATH_MAX];
    if (c->catalogue.ntypes)
        return 0;
    if (!c->dir.path[0]) { /* commands that need no data folder */
        int rc = load_config(c);
        if (rc)
            return rc;
    }
    int rc = tz_catalogue_find(tz_config_text(&c->config, TZ_CONFIG_CATALOGUE), dir);
    return rc ? tz_err_set(&c->err, rc, dir, NULL, NULL, NULL) : tz_catalogue_load_dir(dir, &c->catalogue, &c->err);
}

int tz_cli_store(struct tz_cli *c, struct tz_store **out)
{
    char path[PATH_MAX];
    int rc = tz_cli_open(c, false);
    if (!rc)
        rc = tz_cli_catalogue(c);
    struct tz_store_options o = {.catalogue = &c->catalogue, .clock = tz_clock_system, .readonly = true};
    if (!rc)
        rc = tz_journal_known(&c->dir, &o.known, &c->err);
    return rc ? rc : tz_store_open(tz_datadir_file(&c->dir, "server.db", path), &o, out, &c->err);
}

void tz_cli_say(const struct tz_cli *c, const char *fmt, ...)
{
    va_list ap;
    (void)c;
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fputc('\n', stderr);
}

int tz_cli_json(struct tz_cli *c, json_t *o)
{
    if (!o) /* no memory, or text that is not UTF-8 */
        return tz_err_set(&c->err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    int rc = json_dumpf(o, stdout, JSON_COMPACT);
    json_decref(o);
    if (rc)
        return tz_err_set(&c->err, TZ_E_IO, "stdout", NULL, NULL, NULL);
    return fputc('\n', stdout) == EOF ? tz_err_set(&c->err, TZ_E_IO, "stdout", NULL, NULL, NULL) : 0;
}

const char *tz_cli_time(int64_t ms, char out[32])
{
    time_t t = (time_t)(ms / 1000);
    struct tm tm;
    if (ms <= 0 || !gmtime_r(&t, &tm) || !strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
        memcpy(out, "-", 2);
    return out;
}
