/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_JOURNAL_H
#define TZ_JOURNAL_H

/*
 * The file DIR/journal: enrolments, invitations, revocations, users and grants, a line for each group that changed any,
 * so that a restore of server.db does not forget them. Append-only; what stands in it is store_journal.c's.
 */

#include "datadir.h"
#include "store.h"

#include <sys/types.h>

struct tz_journal {
    int fd; /**< -1 = closed */
    off_t size;
    bool broken; /**< an append failed and could not be undone: no line may follow */
    struct tz_journal_head known;
};

/**
 * Open for appending, under the folder's lock; made when it is not there. A last line that was cut off is removed;
 * damaged ones are logged and left: only a restore needs them. TZ_E_IO, TZ_E_NOMEM.
 */
TZ_MUST_USE int tz_journal_open(const struct tz_datadir *d, struct tz_journal *out, struct tz_err *err);
/** Accepts one that was never opened but set to fd -1, and a second call. */
void tz_journal_close(struct tz_journal *j);
/** tz_store_options.journal: @journal is a struct tz_journal. Durable when it returns 0; on an error the file is as it
 * was. TZ_E_DISK_FULL, TZ_E_IO, TZ_E_DB_FSYNC. */
int tz_journal_append(void *journal, struct tz_bytes line, struct tz_err *err);

/** Lines in order, beside a server too. A cut-off last line is passed over, and so are those of groups that, as later
 * lines tell, never committed. @cb: 0 goes on. Without a journal none
 * come. TZ_E_JOURNAL_BAD (path, line) for a damaged one. */
typedef int (*tz_journal_cb)(void *ctx, const struct tz_journal_line *line);
TZ_MUST_USE int tz_journal_each(const struct tz_datadir *d, tz_journal_cb cb, void *ctx, struct tz_err *err);
/** The newest state that the journal tells of, whatever else is damaged in it. */
TZ_MUST_USE int tz_journal_known(const struct tz_datadir *d, struct tz_journal_head *out, struct tz_err *err);

#endif
