/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_CLI_H
#define TZ_CLI_H

/*
 * What the commands of `taizhang` share: the global options, the data folder, the office in it. One process, one
 * thread, one command; commands return the exit code (listed in client/README.md) and print errors with out_error.
 */

#include "office.h"

enum cli_exit {
    CLI_DONE = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_PARTLY = 3, /* something was refused, waits or is an open case */
    CLI_NOT_ENROLLED = 4,
    CLI_UNREACHABLE = 5, /* work is safe */
    CLI_BUSY = 6,
    CLI_INTEGRITY = 7,
    CLI_BAD_INPUT = 8,
    CLI_INCOMPATIBLE = 9,
    CLI_INTERRUPTED = 130,
};

struct cli_command;

/** The command line's global options, and what was opened because of them. Made and freed by main. */
struct cli {
    const char *data;          /* --data, else $TAIZHANG_DATA; NULL: not given */
    const char *user;          /* --user: code or name of another user of this device; NULL: its first user */
    const char *catalogue_dir; /* --catalogue; NULL: searched for */
    bool json;                 /* --json: one object or JSON Lines on stdout */
    enum tz_lang lang;         /* --lang, else LC_ALL, LC_MESSAGES, LANG; Chinese by default */
    const struct cli_command *command;
    struct tz_catalogue catalogue; /* use cli_catalogue */
    bool catalogue_loaded;
    struct tz_office *office; /* use cli_open_office */
};

/** One line of the command table (main.c); help is made from it. */
struct cli_command {
    const char *name;
    const char *usage;   /* arguments and own options, as in help */
    const char *help[2]; /* one sentence, by enum tz_lang */
    /** @argv[0] is the command's name, global options are taken out, optind is reset for getopt_long. Returns the exit
     * code. */
    int (*run)(struct cli *c, int argc, char **argv);
};

/** The data folder; TZ_E_USAGE when none was given. */
TZ_MUST_USE int cli_data(struct cli *c, const char **dir, struct tz_err *err);
/** DIR/@name into @out. TZ_E_USAGE, TZ_E_LIMIT. */
TZ_MUST_USE int cli_path(struct cli *c, const char *name, char *out, size_t out_bytes, struct tz_err *err);
/** The catalogue, loaded on first use; owned by @c. */
TZ_MUST_USE int cli_catalogue(struct cli *c, const struct tz_catalogue **out, struct tz_err *err);
/**
 * The office in the data folder, opened on first use and closed by main. TZ_E_NOT_ENROLLED when the folder has not
 * joined; TZ_E_DB_NEWER, TZ_E_DB_BUSY and the others of tz_office_open.
 */
TZ_MUST_USE int cli_open_office(struct cli *c, struct tz_office **out, struct tz_err *err);
/** Whom saves are in the name of: --user resolved by code, name or id; zero id without --user. TZ_E_USER_DISABLED. */
TZ_MUST_USE int cli_user(struct cli *c, struct tz_id *out, struct tz_err *err);
/** After a save: tell a running agent, so that it sends at once. Best effort, quick, silent. */
void cli_poke(struct cli *c);
/** Wrong arguments: prints the sentence and the command's usage to stderr, returns CLI_USAGE. */
int cli_usage_error(struct cli *c, const char *fmt, ...) TZ_PRINTF(2, 3);
/** The whole command table; ends with a NULL name. */
const struct cli_command *cli_commands(void);

/* connected commands: cmd_join.c, cmd_sync.c, cmd_agent.c, cmd_status.c, cmd_verify.c, cmd_balance.c */
int cmd_join(struct cli *c, int argc, char **argv);
int cmd_sync(struct cli *c, int argc, char **argv);
int cmd_agent(struct cli *c, int argc, char **argv);
int cmd_status(struct cli *c, int argc, char **argv);
int cmd_verify(struct cli *c, int argc, char **argv);
int cmd_balance(struct cli *c, int argc, char **argv);
int cmd_lost(struct cli *c, int argc, char **argv);
/* data commands */
int cmd_add(struct cli *c, int argc, char **argv);
int cmd_edit(struct cli *c, int argc, char **argv);
int cmd_show(struct cli *c, int argc, char **argv);
int cmd_history(struct cli *c, int argc, char **argv);
int cmd_why(struct cli *c, int argc, char **argv);
int cmd_list(struct cli *c, int argc, char **argv);
int cmd_delete(struct cli *c, int argc, char **argv);
int cmd_restore(struct cli *c, int argc, char **argv);
int cmd_withdraw(struct cli *c, int argc, char **argv);
int cmd_cases(struct cli *c, int argc, char **argv);
int cmd_resolve(struct cli *c, int argc, char **argv);
int cmd_ledger(struct cli *c, int argc, char **argv);
int cmd_merge(struct cli *c, int argc, char **argv);
int cmd_unmerge(struct cli *c, int argc, char **argv);
int cmd_import(struct cli *c, int argc, char **argv);
int cmd_dump(struct cli *c, int argc, char **argv);
int cmd_query(struct cli *c, int argc, char **argv);

#endif
