/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_RECOUNT_H
#define TZ_RECOUNT_H

/* What `history` and `why` share: the record, what is known here of its changes, and what the server adds. */

#include "desk.h"
#include "history.h"
#include "inquiry.h"

enum recount_server { RECOUNT_ASKED, RECOUNT_UNREACHABLE, RECOUNT_NOT_ASKED };

struct recount {
    struct desk d;
    const struct tz_type *t;
    struct tz_id id;
    char hex[TZ_ID_HEX + 1];
    struct tz_row *row; /* confirmed; NULL: not on this machine */
    struct tz_changes c;
    struct tz_pages pages;
    enum recount_server server;
};

/**
 * `TYPE ID [WORD] [--server | --offline]` and everything about it. *@word: the third word, NULL; @words: how many are
 * allowed. 0; CLI_USAGE (told); negative: an error in r->d.err. recount_close in all cases.
 */
TZ_MUST_USE int recount_open(struct recount *r, struct cli *c, int argc, char **argv, int words, const char **word);
/** Says what is missing, on stderr. */
void recount_note(const struct recount *r);
/** As desk_close. */
int recount_close(struct recount *r, int rc);

const char *recount_server_name(enum recount_server s);
/** "张三，设备 3（heping）" of who is known. In d->a. */
const char *recount_who(struct recount *r, const struct tz_history_entry *e);
/** The time that counts; the device's own where it differs noticeably. In d->a. */
const char *recount_when(struct recount *r, const struct tz_history_entry *e);
const char *recount_outcome(enum tz_outcome o);

#endif
