/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_SERVER_CLI_H
#define TZ_SERVER_CLI_H

/*
 * The command line: one table of commands and one of options make parsing and help. Data goes to stdout, everything
 * else to stderr. Commands return 0 or TZ_E_* with cli.err filled; the exit code follows from the error table.
 */

#include "catalogue.h"
#include "config.h"
#include "datadir.h"

#include <jansson.h>

enum tz_opt {
    TZ_OPT_DATA,
    TZ_OPT_LISTEN,
    TZ_OPT_PUBLIC_ADDRESS,
    TZ_OPT_CONNECTIONS_MAX,
    TZ_OPT_UNAUTHENTICATED_MAX,
    TZ_OPT_READERS,
    TZ_OPT_LOG_LEVEL,
    TZ_OPT_CATALOGUE,
    TZ_OPT_NAME,
    TZ_OPT_ROLE,
    TZ_OPT_AREA,
    TZ_OPT_UNIT,
    TZ_OPT_UNTIL,
    TZ_OPT_REASON,
    TZ_OPT_ADDRESS,
    TZ_OPT_DEVICE,
    TZ_OPT_AS_DEVICE,
    TZ_OPT_TO,
    TZ_OPT_KEEP,
    TZ_OPT_WITH_KEYS,
    TZ_OPT_VERIFY,
    TZ_OPT_FORGET,
    TZ_OPT_CLOSE,
    TZ_OPT_RECOVERY_DAYS,
    TZ_OPT_EPOCH,
    TZ_OPT_ORIGIN,
    TZ_OPT_PROTO,
    TZ_OPT_JSON,
    TZ_OPT_LANG,
    TZ_OPT_HELP,
    TZ_OPT_VERSION,
    TZ_OPT_COUNT
};
#define TZ_OPT_BIT(o) (UINT32_C(1) << (o))

struct tz_store;

struct tz_cli {
    enum tz_lang lang;
    bool json;
    const char *opt[TZ_OPT_COUNT]; /**< NULL = not given; "" for those without a value */
    const char *arg;               /**< the positional argument, NULL when the command has none */
    struct tz_datadir dir;
    struct tz_config config;
    struct tz_catalogue catalogue;
    struct tz_err err;
};

struct tz_command {
    const char *name;    /**< "init", "device list" */
    const char *arg;     /**< name of the positional argument, in brackets when it may be left out; NULL = none */
    const char *next[3]; /**< fixed words that may follow without changing anything ("config show") */
    uint32_t options;    /**< TZ_OPT_BITs beyond those that all take */
    const char *help[2];
    int (*run)(struct tz_cli *c);
};

/** The text of the person's language; both stand side by side where they are used, and both are checked as formats. */
__attribute__((format_arg(2), format_arg(3))) static inline const char *tr(const struct tz_cli *c, const char *zh,
                                                                           const char *en)
{
    return c->lang == TZ_LANG_EN ? en : zh;
}

/** Read config (flags, environment, file) of the data folder, which must hold a server unless @fresh. */
TZ_MUST_USE int tz_cli_open(struct tz_cli *c, bool fresh);
/** The writer's lock: tz_datadir_lock, but TZ_E_SERVER_RUNNING when it is a server that holds it. */
TZ_MUST_USE int tz_cli_lock(struct tz_cli *c, unsigned wait_ms);
/** Load the catalogue the settings name. */
TZ_MUST_USE int tz_cli_catalogue(struct tz_cli *c);
/** tz_cli_open, tz_cli_catalogue and the store, read-only: beside a running server too. */
TZ_MUST_USE int tz_cli_store(struct tz_cli *c, struct tz_store **out);
/** A message for the person, on stderr, with a newline. */
void tz_cli_say(const struct tz_cli *c, const char *fmt, ...) TZ_PRINTF(2, 3);
/** Print @o (taken) as one line. */
int tz_cli_json(struct tz_cli *c, json_t *o);
/** UTC, "2017-03-05T08:00:00Z"; "-" for 0. */
const char *tz_cli_time(int64_t ms, char out[32]);

/** Ask the running server "status" or "online". TZ_E_NOT_RUNNING when there is none. The reply is the caller's. */
TZ_MUST_USE int tz_cli_ask(struct tz_cli *c, const char *command, json_t **reply);

/** Have the running server carry out @q (taken), or do it here under the lock. The reply is the caller's. */
TZ_MUST_USE int tz_cli_change(struct tz_cli *c, json_t *q, json_t **reply);
struct tz_purge_rules;
/** How long devices are waited for, and how old must be what goes; after tz_cli_open. */
void tz_cli_purge_rules(const struct tz_cli *c, struct tz_purge_rules *out);

/* cmd_*.c */
int tz_cmd_init(struct tz_cli *c);
int tz_cmd_serve(struct tz_cli *c);
int tz_cmd_status(struct tz_cli *c);
int tz_cmd_invite(struct tz_cli *c);
int tz_cmd_device_list(struct tz_cli *c);
int tz_cmd_device_show(struct tz_cli *c);
int tz_cmd_device_revoke(struct tz_cli *c);
int tz_cmd_device_grant(struct tz_cli *c);
int tz_cmd_user_grant(struct tz_cli *c);
int tz_cmd_user_add(struct tz_cli *c);
int tz_cmd_user_unit(struct tz_cli *c);
int tz_cmd_user_list(struct tz_cli *c);
int tz_cmd_user_disable(struct tz_cli *c);
int tz_cmd_backlog(struct tz_cli *c);
int tz_cmd_backlog_apply(struct tz_cli *c);
int tz_cmd_backlog_discard(struct tz_cli *c);
int tz_cmd_balance(struct tz_cli *c);
int tz_cmd_dump(struct tz_cli *c);
int tz_cmd_verify(struct tz_cli *c);
int tz_cmd_backup(struct tz_cli *c);
int tz_cmd_restore(struct tz_cli *c);
int tz_cmd_purge(struct tz_cli *c);
/** restore --close: cmd_admin.c. */
int tz_cmd_restore_close(struct tz_cli *c);
int tz_cmd_config(struct tz_cli *c);
int tz_cmd_catalogue(struct tz_cli *c);

#endif
