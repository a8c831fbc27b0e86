/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_COMMIT_INT_H
#define TZ_COMMIT_INT_H

/* The commit table: who wrote which version, and when. For the store's files; store_commit.c, commit_pack.c. */

#include "store_int.h"

/** Everything that is kept of a version. */
struct tz_commit_entry {
    struct tz_commit c;
    uint32_t author; /* row of commit_author: (c.device, c.incarnation, c.user) */
    tz_hlc claimed;  /* as the device said */
    int64_t offset_ms;
    tz_hlc eff_max;      /* greatest effective time of all versions up to this one */
    int64_t received_ms; /* packed: the end of its day */
    uint32_t rules, catalogue;
};

enum { TZ_COMMIT_PACK_MAX = 1024 };

/** A run of versions, ascending. */
struct tz_commit_run {
    size_t n;
    struct tz_commit_entry v[TZ_COMMIT_PACK_MAX];
};

/**
 * Append the run's packed form to @out: of each entry all but device, incarnation and user, which its author stands
 * for, and the time of receipt, of which the day is kept. At most TZ_COMMIT_PACK_MAX entries, at least one.
 */
TZ_MUST_USE int tz_commit_pack(const struct tz_commit_run *run, struct tz_buf *out);
/** What pack made, but for what the authors stand for. @first: version of the first. TZ_E_FORMAT. */
TZ_MUST_USE int tz_commit_unpack(tz_ver first, struct tz_bytes packed, struct tz_commit_run *out);

/** The entry of @ver: 1, 0 there is none, negative. */
int tz_commit_find(struct tz_store *s, tz_ver ver, struct tz_commit_entry *out, struct tz_err *err);
/** That of the newest version up to @ver: 1, 0, negative. */
int tz_commit_upto(struct tz_store *s, tz_ver ver, struct tz_commit_entry *out, struct tz_err *err);
/** That of the oldest version above @ver: 1, 0, negative. */
int tz_commit_above(struct tz_store *s, tz_ver ver, struct tz_commit_entry *out, struct tz_err *err);
/** In a group that is about to end: some of the older versions go into packs, if there are enough of them. */
TZ_MUST_USE int tz_commit_tidy(struct tz_store *s, struct tz_err *err);
/** What was read of packs is forgotten: the group that made them is rolled back. */
void tz_commit_forget(struct tz_store *s);

/** Whom the entry's device, incarnation and user stand for: into its author. 1, 0 nobody has been packed yet,
 * negative. */
int tz_commit_author_known(struct tz_store *s, struct tz_commit_entry *e, struct tz_err *err);

/* commit_mend.c */
/**
 * The pack that begins with @first, which cannot be read, made anew from the audit log and appended to @out. Reads
 * only. TZ_E_COMMITS_LOST when that cannot be done; @last is for that message.
 */
TZ_MUST_USE int tz_commit_rebuild(struct tz_store *s, tz_ver first, tz_ver last, struct tz_buf *out,
                                  struct tz_err *err);
/** In a group that is about to end: what can be rebuilt of damaged packs is written, each with an incident. */
TZ_MUST_USE int tz_commit_mend(struct tz_store *s, struct tz_err *err);
/** The same in a group of its own, if there is anything to do. */
TZ_MUST_USE int tz_commit_mend_at_start(struct tz_store *s, struct tz_err *err);

#endif
