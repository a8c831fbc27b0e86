/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_STORE_H
#define TZ_STORE_H

/*
 * The central store in domain words: who exists, what was committed, what a device may read. Hides SQL, so that another
 * store can stand beside the SQLite one.
 *
 * Writing is in commit groups: group_begin, then any number of apply/enrol/…, then group_commit (one fsync). Nothing of
 * a group may be told to anybody before group_commit returned 0. One writer, one thread. Readers are stores opened
 * read-only on threads of their own; each reading call runs in one read transaction of its own. In a simulation one
 * handle serves as both.
 */

#include "area.h"
#include "clock.h"
#include "db.h"
#include "frame.h"
#include "msg.h"
#include "replica.h"

struct tz_store;

enum { TZ_NAME_BYTES = 128, TZ_FINGERPRINT_BYTES = 32 };

/** How far a database was: its epoch and newest audit entry. */
struct tz_journal_head {
    uint32_t epoch;
    uint64_t audit_n;
};

struct tz_store_options {
    const struct tz_catalogue *catalogue; /* borrowed for the store's life */
    struct tz_db_options db;              /* vfs, exclusive, … */
    struct tz_clock clock;
    void (*random)(void *ctx, uint8_t *p, size_t n); /* NULL: the system's; simulations inject theirs */
    void *random_ctx;
    bool readonly;
    size_t commits_kept;     /* newest commits that are never packed; 0 = 64. Tests keep fewer */
    size_t rows_frame_bytes; /* a frame of rows is closed at this size; 0 = TZ_ROWS_FRAME_BYTES, also the greatest */
    /**
     * The journal: who-changes of a group as one line with its line feed, to be made durable before this returns 0.
     * Called on the store's thread by group_commit, before the commit. An error rolls the group back. NULL: no journal.
     */
    int (*journal)(void *ctx, struct tz_bytes line, struct tz_err *err);
    void *journal_ctx;
    struct tz_journal_head known; /* the newest that the journal tells of; zero when it is new */
};

/** Make the database in an empty place: schema, epoch 1, secrets, shipped rows. TZ_E_EXISTS when there is one. */
TZ_MUST_USE int tz_store_create(const char *path, const struct tz_store_options *o, struct tz_err *err);
/** TZ_E_DB_OLD when the journal knows a newer state of it: an older copy was put in its place by hand. */
TZ_MUST_USE int tz_store_open(const char *path, const struct tz_store_options *o, struct tz_store **out,
                              struct tz_err *err);
void tz_store_close(struct tz_store *s);
struct tz_db *tz_store_db(struct tz_store *s);  /* for integrity checks and checkpoints; not for SQL elsewhere */
tz_ver tz_store_head(const struct tz_store *s); /* newest durable version */

/* ---- groups ---- */
TZ_MUST_USE int tz_store_group_begin(struct tz_store *s, struct tz_err *err);
TZ_MUST_USE int tz_store_group_commit(struct tz_store *s, struct tz_err *err);
void tz_store_group_rollback(struct tz_store *s);

/* ---- who ---- */
struct tz_device {
    uint32_t number;
    uint32_t incarnation; /* the greatest one given, until tz_store_installation says which one is meant */
    uint32_t parent;      /* of that one: whose numbers it has up to fork_seq; 0 it is the first */
    uint64_t fork_seq;
    char name[TZ_NAME_BYTES];
    char role[TZ_NAME_BYTES];
    char area[TZ_STREET_BYTES]; /* division code; "120000" = city */
    bool revoked;
    uint64_t last_seq;    /* greatest judged seq of this incarnation */
    int64_t last_seen_ms; /* wall, 0 = never */
    tz_ver checkpoint;    /* as the device last said */
    int64_t acked_ms;     /* when it last said that it holds a whole checkpoint; 0 = never */
    tz_ver grant_since;   /* version that the present grant began with */
    int64_t until_ms;     /* wall: the grant ends then; 0 = open. Ended: area is "" from the next contact on */
    uint64_t unsent;      /* changesets not handed in, as the device last said */
    int64_t wiped_ms;     /* revoked, and it says that nothing is left on it; wall, 0 = not yet */
};

/** What a device may read and do, worked out from its grant. Plain data, copied freely. */
struct tz_grant {
    uint32_t device;
    uint32_t incarnation;
    const struct tz_role *role; /* in the catalogue */
    struct tz_area areas[TZ_MSG_AREAS_MAX];
    size_t nareas;
    bool reads_secret;
    tz_ver since;     /* version that it began with */
    int64_t until_ms; /* wall: it ends then; 0 = open */
};

/** 1 and the device for a certificate fingerprint, 0 unknown. */
int tz_store_device_by_fingerprint(struct tz_store *s, const uint8_t fp[TZ_FINGERPRINT_BYTES], struct tz_device *out,
                                   struct tz_err *err);
int tz_store_device_by_number(struct tz_store *s, uint32_t number, struct tz_device *out, struct tz_err *err);
int tz_store_device_by_name(struct tz_store *s, const char *name, struct tz_device *out, struct tz_err *err);
/** @d is the installation of @incarnation from here on, with its numbers: 1, 0 there is none. */
int tz_store_installation(struct tz_store *s, struct tz_device *d, uint32_t incarnation, struct tz_err *err);
/**
 * In a group: the installation that has @incarnation, up to number @fork_seq, is a copy or was put back from one: it
 * goes on as *@out. @token: 16 bytes that it made up; the same give the same. TZ_E_COPIES: too many.
 */
TZ_MUST_USE int tz_store_renumber(struct tz_store *s, uint32_t device, uint32_t incarnation, struct tz_bytes token,
                                  uint64_t fork_seq, uint32_t *out, struct tz_err *err);
/**
 * What the device may read and write at @now_ms (wall clock): nothing when its grant has ended by then. A session asks
 * as of the moment it greeted, as tz_store_device_expire() was asked before: an end between the two would leave the
 * device with a grant that says neither that it holds nor that it ended.
 */
TZ_MUST_USE int tz_store_grant_of(struct tz_store *s, const struct tz_device *d, int64_t now_ms, struct tz_grant *out,
                                  struct tz_err *err);
typedef int (*tz_device_cb)(void *ctx, const struct tz_device *d);
TZ_MUST_USE int tz_store_devices(struct tz_store *s, tz_device_cb cb, void *ctx, struct tz_err *err);
/** Users of a device: those whose area lies within the device's own and whose role fits its role. Strings live in @a.
 */
TZ_MUST_USE int tz_store_users_of(struct tz_store *s, const struct tz_device *d, struct tz_arena *a,
                                  struct tz_session_user **out, size_t *n, struct tz_err *err);

/* In a group: */
struct tz_invite_spec {
    const char *role, *area,
        *name; /* of the device to be; its first user has the same role and area and the code @name */
};
TZ_MUST_USE int tz_store_invite_add(struct tz_store *s, const struct tz_invite_spec *spec, uint8_t secret[16],
                                    struct tz_err *err);
/** Finds the invite for a secret: what it grants, or TZ_E_INVITE (unknown, or used with another key). Repeating with
 * the same key gives the same device. The certificate is made by @sign (the CA is not the store's). */
struct tz_enrolment {
    struct tz_device device;
    struct tz_id user;
    struct tz_buf certificate; /* DER; caller deinits */
};
typedef int (*tz_sign_fn)(void *ctx, uint32_t device, struct tz_bytes csr, struct tz_buf *certificate,
                          uint8_t fingerprint[TZ_FINGERPRINT_BYTES], struct tz_err *err);
TZ_MUST_USE int tz_store_enrol(struct tz_store *s, struct tz_bytes secret, struct tz_bytes csr,
                               const uint8_t csr_key_hash[32], tz_sign_fn sign, void *sign_ctx,
                               struct tz_enrolment *out, struct tz_err *err);
TZ_MUST_USE int tz_store_device_revoke(struct tz_store *s, uint32_t device, struct tz_err *err);
TZ_MUST_USE int tz_store_user_add(struct tz_store *s, const char *code, const char *name, const char *role,
                                  const char *area, struct tz_id *out, struct tz_err *err);
/** The unit that a user acts for, by codes. TZ_E_NOT_FOUND, TZ_E_VALUE. */
TZ_MUST_USE int tz_store_user_unit(struct tz_store *s, const char *code, const char *unit, struct tz_err *err);
/**
 * The device's grant is another from now on. @role, @area "": as they are. @until_ms: it ends then, 0 never. Its first
 * user's grant goes with it when it was the same. Whoever is connected must be cut off. TZ_E_DEVICE_REVOKED,
 * TZ_E_VALUE.
 */
TZ_MUST_USE int tz_store_device_grant(struct tz_store *s, uint32_t device, const char *role, const char *area,
                                      int64_t until_ms, struct tz_err *err);
/** A grant that has run out by now ends; @d is read again then. Nothing otherwise. */
TZ_MUST_USE int tz_store_device_expire(struct tz_store *s, struct tz_device *d, int64_t now_ms, struct tz_err *err);
/** The user's grant is another from now on. */
TZ_MUST_USE int tz_store_user_grant(struct tz_store *s, const char *code, const char *role, const char *area,
                                    struct tz_err *err);
TZ_MUST_USE int tz_store_user_disable(struct tz_store *s, const char *code, struct tz_err *err);
/** A grant that ended, and whether the device has said that nothing of it is left there. */
struct tz_past_grant {
    char role[TZ_NAME_BYTES], area[TZ_STREET_BYTES];
    tz_ver until; /* last version */
    int64_t ended_ms;
    tz_ver wiped_ver;
    int64_t wiped_ms; /* wall; 0 = not yet */
    bool served;      /* a session was opened under it: the device may hold rows of its area */
};
typedef int (*tz_past_grant_cb)(void *ctx, const struct tz_past_grant *g);
/** Those of a device, oldest first. @cb: 1 goes on, 0 stops, negative is the error. */
TZ_MUST_USE int tz_store_past_grants(struct tz_store *s, uint32_t device, tz_past_grant_cb cb, void *ctx,
                                     struct tz_err *err);
/**
 * The device says that at version @ver it holds nothing outside its present grant; @all: nothing at all, it is revoked.
 * What a grant that ended by then let it keep is known to be gone.
 */
TZ_MUST_USE int tz_store_receipt(struct tz_store *s, uint32_t device, tz_ver ver, bool all, struct tz_err *err);
/** A session starts: remember the clock offset, the checkpoint and declared lost seqs. TZ_E_SERVER_OLDER: the device
 * has seen versions that this database never had. */
TZ_MUST_USE int tz_store_session_begin(struct tz_store *s, uint32_t device, const struct tz_msg_hello *h,
                                       int64_t offset_ms, struct tz_err *err);

/** In a group: the device holds this checkpoint durably. Its lease counts from now. */
TZ_MUST_USE int tz_store_acknowledged(struct tz_store *s, uint32_t device, tz_ver checkpoint, struct tz_err *err);

/**
 * In a group: an incident about what a device says its repair found, in the device's area. @noted false: there are
 * enough of this device and day. @area: where it was written. Nothing that the device names is looked up.
 */
TZ_MUST_USE int tz_store_damage(struct tz_store *s, uint32_t device, const struct tz_msg_damage *m,
                                struct tz_wall received, bool *noted, struct tz_area *area, struct tz_err *err);

/* ---- changesets, in a group ---- */
/** Spent on judging what was freed: calls that share one stop together, however many changesets freed something. */
struct tz_release_budget {
    size_t looks, marks, judged, bytes;
};
struct tz_apply_ctx {
    uint32_t device;      /* of the session */
    uint32_t incarnation; /* of the session; 0: that of the changeset */
    uint64_t session;     /* once a copy is found in it, all of it that is new is held; 0: not remembered */
    int64_t offset_ms;    /* server wall − device wall at the handshake */
    struct tz_wall received;
    struct tz_release_budget *budget;   /* of one Push; NULL: of this call */
    const struct tz_signed_result *was; /* the answer it had before a restore, when it is handed in again; else NULL */
};
struct tz_apply_out {
    struct tz_signed_result
        *results; /* the changeset's own first, then those of others that it released or withdrew; in the arena */
    size_t n;
    const struct tz_area *areas; /* written to; borrowed until the next call. n 0 with changed: anywhere */
    size_t nareas;
    bool changed;
};
/**
 * Judge and apply one changeset. Returns 0 with signed results in @out (in @a) whatever the outcome; negative only for
 * PEER errors (damaged bytes, wrong device, hole in the seqs: nothing was changed, the group goes on) and LOCAL errors
 * (roll the group back). Same bytes again: the stored result, nothing changes.
 *
 * With ctx->was, a changeset that a restore undid comes back: it is judged with its old effective time and in its old
 * order, and its ops count as they had counted. What would be refused waits until the recovery window has ended.
 */
TZ_MUST_USE int tz_store_apply(struct tz_store *s, const struct tz_apply_ctx *ctx, struct tz_bytes raw,
                               struct tz_arena *a, struct tz_apply_out *out, struct tz_err *err);

/**
 * In a group: what waits or is held of a device is settled by the administrator, with a reason: judged now as if
 * nothing stood before it, or refused. Whether the device is revoked does not matter. @incarnation 0: of whichever folder
 * has that number; TZ_E_BACKLOG_COPIES when several have. TZ_E_NOT_FOUND, TZ_E_COPY_HELD.
 */
TZ_MUST_USE int tz_store_backlog_settle(struct tz_store *s, uint32_t device, uint32_t incarnation, uint64_t seq,
                                        bool judge, const char *reason, enum tz_outcome *outcome, struct tz_err *err);

/** May what a revoked device still has not be taken, as its backlog is at its bound? */
TZ_MUST_USE int tz_store_held_full(struct tz_store *s, uint32_t device, bool *full, struct tz_err *err);

/** May there be freed changesets that no call had room to judge? True after open until tz_store_release found none. */
bool tz_store_release_left(const struct tz_store *s);
/**
 * Judge some of them, all of one device, in a group: whoever freed them may never come back. Their results are in @out
 * (in @a), for *@device; 0: nothing was left. Negative only for LOCAL errors.
 */
TZ_MUST_USE int tz_store_release(struct tz_store *s, struct tz_arena *a, uint32_t *device, struct tz_apply_out *out,
                                 struct tz_err *err);

/* ---- what only replicas still have after a restore ---- */
enum tz_lost_verdict { TZ_LOST_UNFIT, TZ_LOST_BACK, TZ_LOST_KEPT };
/**
 * In a group: rows of lost versions that a reader still has, @n of them. @out: BACK, their changes came in again; KEPT,
 * they are here until their authors bring them or people decide; UNFIT, not taken: not the reader's, not sound, or
 * there is no room.
 */
TZ_MUST_USE int tz_store_offer_rows(struct tz_store *s, const struct tz_grant *g, const struct tz_msg_row *rows,
                                    size_t n, enum tz_lost_verdict *out, struct tz_err *err);

/* ---- reading ---- */
/**
 * One page of what changed in the grant's areas since @cursors (updated in place): serialised Rows frames' bodies are
 * handed to
 * @emit, whole versions each, at most @frames_max of them. @done: everything up to @head is out; then @head is the
 * checkpoint. Cursors of areas outside the grant are TZ_E_AREA.
 */
typedef int (*tz_rows_emit_fn)(void *ctx, struct tz_bytes rows_message);
TZ_MUST_USE int tz_store_changes(struct tz_store *s, const struct tz_grant *g, struct tz_cursor *cursors,
                                 size_t ncursors, unsigned frames_max, tz_rows_emit_fn emit, void *emit_ctx, bool *done,
                                 struct tz_msg_checkpoint *head, struct tz_err *err);
/** Whole-scope digest, row count and audit answer at one version. */
TZ_MUST_USE int tz_store_verify(struct tz_store *s, const struct tz_grant *g, const struct tz_msg_verify *ask,
                                struct tz_msg_verified *out, struct tz_err *err);
/**
 * One answer about buckets of the grant's scope (proto/README.md 4.6), a serialised Digest appended to @out; @since as
 * in it. Reads what it asks about once, whatever it is. Keys outside the grant are TZ_E_AREA; a type that this
 * catalogue lacks has no rows.
 */
TZ_MUST_USE int tz_store_digest(struct tz_store *s, const struct tz_grant *g, const struct tz_msg_digest_request *ask,
                                struct tz_buf *out, tz_ver *since, struct tz_err *err);
/** Every live row the grant may read, projected, in (type, id) order. */
TZ_MUST_USE int tz_store_each_row(struct tz_store *s, const struct tz_grant *g,
                                  int (*cb)(void *ctx, const struct tz_row *row), void *ctx, struct tz_err *err);
TZ_MUST_USE int tz_store_audit_head(struct tz_store *s, uint64_t *n, uint8_t hash[TZ_HASH_BYTES], struct tz_err *err);
/** Is entry @n still the one with @hash? True for 0: nothing was remembered. */
TZ_MUST_USE int tz_store_audit_has(struct tz_store *s, uint64_t n, const uint8_t hash[TZ_HASH_BYTES], bool *has,
                                   struct tz_err *err);
/**
 * One page of who changed a record, newest first, as the body of a History frame appended to @out: at most
 * TZ_MSG_HISTORY_MAX changesets and 640 KiB, projected by @g as of now. Nothing is appended for a record that does not
 * exist or that the grant does not reach: the two look alike. What was refused is there for g->device alone.
 */
TZ_MUST_USE int tz_store_history(struct tz_store *s, const struct tz_grant *g, const struct tz_msg_history_ask *ask,
                                 struct tz_buf *out, struct tz_err *err);
typedef void (*tz_pack_cb)(void *ctx, tz_ver first, tz_ver last, bool mendable);
/**
 * Every pack of older commits (store_commit.c) that cannot be read, and whether the audit log has what it takes to
 * rebuild it, which a store that is opened for writing does. Writes nothing.
 */
TZ_MUST_USE int tz_store_commits_check(struct tz_store *s, tz_pack_cb cb, void *ctx, struct tz_err *err);
/** Recompute the audit chain; TZ_E_VERIFY names the first bad entry. */
TZ_MUST_USE int tz_store_audit_check(struct tz_store *s, uint64_t *entries, struct tz_err *err);

/** Outcomes of a device's ops, as first judged. */
struct tz_balance {
    uint64_t applied, superseded, refused, waiting, held, under_review, withdrawn, lost; /* lost: changesets */
    uint64_t changesets;
    uint64_t
        undone; /* changesets whose results a restore forgot, as the device says, and that have not come in again */
    uint64_t missing; /* numbers behind those, up to the last judged one, without a result and not declared lost */
};
TZ_MUST_USE int tz_store_balance(struct tz_store *s, uint32_t device, struct tz_balance *out, struct tz_err *err);

/** What the devices handed in, counted from the audit log and from what waits; devices without changesets are left out.
 * Ascending numbers. */
struct tz_received {
    uint32_t device;
    uint64_t changesets, ops;
};
typedef void (*tz_received_cb)(void *ctx, const struct tz_received *r);
TZ_MUST_USE int tz_store_received(struct tz_store *s, tz_received_cb cb, void *ctx, struct tz_err *err);

/** Users with their grants, by code. @cb: 1 goes on, 0 stops, negative is the error. */
struct tz_user {
    struct tz_id id;
    char code[TZ_NAME_BYTES], name[TZ_NAME_BYTES * 2], role[TZ_NAME_BYTES], area[TZ_STREET_BYTES];
    bool active;
};
TZ_MUST_USE int tz_store_users(struct tz_store *s, int (*cb)(void *ctx, const struct tz_user *u), void *ctx,
                               struct tz_err *err);

/* ---- backup and restore ---- */

/** What a database file holds, as far as one has to know to trust it. */
struct tz_backup_facts {
    tz_ver head;
    uint32_t epoch;
    uint64_t audit_n;
    uint8_t audit_hash[TZ_HASH_BYTES];
    uint32_t schema, catalogue;
};
/**
 * Check a database file that nobody has open: every page, the foreign keys of its schema, the audit chain. Nothing is
 * written. Also for files of an older schema or catalogue. TZ_E_DB_CORRUPT, TZ_E_VERIFY, TZ_E_DB_NEWER; @out may be
 * NULL.
 */
TZ_MUST_USE int tz_store_inspect(const char *path, const struct tz_store_options *o, struct tz_backup_facts *out,
                                 struct tz_err *err);
/** What is left of a database before it is put aside: its WAL goes into the file, its epoch into @epoch. Any error: it
 * cannot be read any more. */
TZ_MUST_USE int tz_store_settle(const char *path, const struct tz_store_options *o, uint32_t *epoch,
                                struct tz_err *err);

/** One line of the journal, read. */
struct tz_journal_line {
    uint32_t epoch;
    uint64_t base_n;         /* newest durable audit entry when it was written */
    uint64_t audit_n;        /* newest entry of its group */
    struct tz_bytes entries; /* borrowed from the line */
};
/** @line with or without its line feed. TZ_E_FORMAT: damaged or cut off. */
TZ_MUST_USE int tz_journal_line_read(struct tz_bytes line, struct tz_journal_line *out);
/** Tell the journal how far the database is, so that an older copy is recognised. Outside groups. */
TZ_MUST_USE int tz_store_mark(struct tz_store *s, struct tz_err *err);

/** A backup on its way to be the database. */
struct tz_restoring {
    struct tz_store *s;
    struct tz_journal_head backup;
    tz_ver restored_to; /* newest version of the backup */
    size_t replayed;    /* changes that came back from the journal */
};
/**
 * Open the copy of a backup at @path and begin the one group in which it becomes the newest state: @epoch, above every
 * epoch ever used; what lay between is lost; the recovery window is open until @until_ms (0: none). End it with
 * tz_restore_end in any case.
 */
TZ_MUST_USE int tz_restore_begin(const char *path, const struct tz_store_options *o, uint32_t epoch, int64_t until_ms,
                                 struct tz_restoring *out, struct tz_err *err);
/** Do again what @line tells, if it is newer than the backup. In the order of the journal. Doing it twice is the same
 * as once. */
TZ_MUST_USE int tz_restore_line(struct tz_restoring *r, const struct tz_journal_line *line, struct tz_err *err);
/** @rc 0: commit; else roll back. Closes. Returns @rc or the commit's error. */
TZ_MUST_USE int tz_restore_end(struct tz_restoring *r, int rc, struct tz_err *err);

/** The newest restore; all zero when there was none. */
struct tz_recovery {
    int64_t until_ms; /* end of its window; 0 closed by hand */
    bool open;
    int64_t restored_ms;
    tz_ver restored_to;
    uint32_t old_epoch, epoch;
};
TZ_MUST_USE int tz_store_recovery(struct tz_store *s, struct tz_recovery *out, struct tz_err *err);
/** In a group: end the window by hand. TZ_E_NO_RECOVERY when none is open. */
TZ_MUST_USE int tz_store_recovery_close(struct tz_store *s, struct tz_err *err);
/** The ranges that restores undid, ascending, the oldest ones merged when there are more than @max. Returns how many.
 */
size_t tz_store_lost_ranges(const struct tz_store *s, struct tz_lost_range *out, size_t max);

/* ---- purging ---- */

struct tz_purge_rules {
    int64_t lease_ms;   /* how long a device may be away and is waited for */
    int64_t purge_ms;   /* how old must be what goes */
    int64_t compact_ms; /* how old must be what is written shorter */
};
static inline struct tz_purge_rules tz_purge_rules_of(unsigned lease_days, unsigned purge_days, unsigned compact_days)
{
    static const int64_t day_ms = 24 * 3600 * 1000;
    return (struct tz_purge_rules){lease_days * day_ms, purge_days * day_ms, compact_days * day_ms};
}
struct tz_purge_done {
    uint64_t records; /* deleted ones that are gone now */
    uint64_t leaving; /* notes about records that left an area */
    uint64_t cases;   /* closed ones whose words are in the audit log alone now; they have changed */
};
/** In a group: one step of bounded work. @more: call again, in another group. */
TZ_MUST_USE int tz_store_purge(struct tz_store *s, const struct tz_purge_rules *r, struct tz_purge_done *done,
                               bool *more, struct tz_err *err);
/** What Welcome says of it: cursors below @horizon are stale. */
TZ_MUST_USE int tz_store_horizon(struct tz_store *s, tz_ver *horizon, struct tz_err *err);
struct tz_purge_state {
    tz_ver lowest;  /* checkpoint acknowledged by all devices in lease; 0 no device is */
    tz_ver aged;    /* old enough up to here, as of the last run */
    tz_ver horizon; /* cursors below it are sent back to the beginning */
    int64_t purged; /* records ever purged */
};
TZ_MUST_USE int tz_store_purge_state(struct tz_store *s, const struct tz_purge_rules *r, struct tz_purge_state *out,
                                     struct tz_err *err);
/** Devices in lease that have not acknowledged what is old enough: purging waits for them. */
TZ_MUST_USE int tz_store_purge_holders(struct tz_store *s, const struct tz_purge_rules *r, tz_device_cb cb, void *ctx,
                                       struct tz_err *err);

/* ---- compaction ---- */

/** How far a backup reaches. */
struct tz_backup_state {
    uint32_t epoch;
    tz_ver head;
};
/** In a group: these backups, all verified, are what @folder (absolute; borrowed) holds now; the least head of each
 * epoch is enough. @n 0: the folder holds none, or is given up; TZ_E_NOT_FOUND when it is not known. */
TZ_MUST_USE int tz_store_backups_told(struct tz_store *s, const char *folder, const struct tz_backup_state *held,
                                      size_t n, unsigned kept, struct tz_err *err);
/** Devices may empty own saves up to this version: every backup that is kept anywhere has it, and it is old enough. 0:
 * nothing. */
TZ_MUST_USE int tz_store_compact_upto(struct tz_store *s, tz_ver *upto, struct tz_err *err);
/** The folder whose backups agree least far, "" when none is known, and how far that is. */
struct tz_backup_folder {
    char path[4096];
    tz_ver upto;
    int64_t told_ms;
};
TZ_MUST_USE int tz_store_backup_oldest(struct tz_store *s, struct tz_backup_folder *out, struct tz_err *err);

/** Is the device waited for? One that never acknowledged a checkpoint holds nothing that could become stale. */
bool tz_lease_in(const struct tz_device *d, int64_t now_ms, int64_t lease_ms);

/** Does the area with code @inner lie within that of @outer? */
bool tz_store_area_within(const char *inner, const char *outer);

/** Waiting and held changesets. */
struct tz_backlog_entry {
    uint32_t device, incarnation;
    uint64_t seq;
    enum tz_outcome outcome;
    uint64_t blocked_by;
    int64_t received_ms;
    bool recovers; /* waits for what others hand in again after a restore: not to be settled by hand */
};
TZ_MUST_USE int tz_store_backlog(struct tz_store *s, int (*cb)(void *ctx, const struct tz_backlog_entry *e), void *ctx,
                                 struct tz_err *err);

#endif
