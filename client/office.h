/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_OFFICE_H
#define TZ_OFFICE_H

/*
 * The local replica of one office or laptop: what the person sees, what is not yet safe, and how the server's answers
 * come in.
 *
 * Invariants
 *  1. Typed tables show the view: confirmed state with own pending edits on top. Only rows with pending edits have
 * their confirmed image aside, in `_shadow`.
 *  2. A save is one changeset in `outbox`, written in the same transaction as the view rows it changes.
 *  3. A Result never writes a row: a pending edit leaves the overlay when its result is stored and the visible
 * checkpoint ≥ its version; a refused, withdrawn one leaves at once; waiting and held ones stay on top.
 *  4. Cursors and checkpoint move in the same transaction as the rows they cover.
 *  5. A download never raises the base of a pending edit: an edit of a field that shows an own pending value inherits
 * that op's base. Several processes may have the same database open (CLI beside agent): every write is BEGIN IMMEDIATE,
 * short, and re-reads seq and hlc inside. Not thread-safe: one handle per thread.
 */

#include "area.h"
#include "clock.h"
#include "db.h"
#include "msg.h"
#include "replica.h"

struct tz_office;

enum { TZ_OFFICE_NAME_BYTES = 128 };

struct tz_identity {
    uint32_t device, incarnation;
    char name[TZ_OFFICE_NAME_BYTES], role[TZ_OFFICE_NAME_BYTES];
    char area[TZ_STREET_BYTES];         /* division code; 120000 = city */
    char address[TZ_OFFICE_NAME_BYTES]; /* host:port of the server */
    struct tz_id user;                  /* the device's first user */
};

struct tz_office_options {
    const struct tz_catalogue *catalogue; /* borrowed */
    struct tz_db_options db;
    struct tz_clock clock;
    const char *imports;           /* folder of the kept sheets, copied; NULL: none */
    uint32_t (*random)(void *ctx); /* for ids */
    void *random_ctx;
};

/** Make the database after enrolment. TZ_E_JOINED when there is one. */
TZ_MUST_USE int tz_office_create(const char *path, const struct tz_office_options *o, const struct tz_identity *id,
                                 struct tz_err *err);
TZ_MUST_USE int tz_office_open(const char *path, const struct tz_office_options *o, struct tz_office **out,
                               struct tz_err *err);
void tz_office_close(struct tz_office *o);
const struct tz_identity *tz_office_identity(const struct tz_office *o);
struct tz_db *tz_office_db(struct tz_office *o);
struct tz_replica *tz_office_replica(struct tz_office *o);

/* ---- reading ---- */
/** What the person saw: goes back into the save. Prints as "ver.seq.checkpoint". */
struct tz_seen {
    tz_ver ver;        /* _ver of the row when it was read; 0 = own new record */
    uint64_t seq;      /* last own seq */
    tz_ver checkpoint; /* then visible */
};
/** The view of one record (live or deleted): 1 found, 0 none. @pending: an own edit of it is not settled. Values live
 * in @a. */
int tz_office_read(struct tz_office *o, const struct tz_type *t, struct tz_id id, struct tz_arena *a,
                   struct tz_row *row, struct tz_seen *seen, bool *pending, struct tz_err *err);
/** Confirmed state, without the overlay: what dump and digests use. 1 found, 0 none. */
int tz_office_read_confirmed(struct tz_office *o, const struct tz_type *t, struct tz_id id, struct tz_arena *a,
                             struct tz_row *row, struct tz_err *err);
/** Every live row in (type, id) order; @view: with own pending edits, else confirmed. TZ_E_INCOMPLETE while filling
 * unless @partial. */
TZ_MUST_USE int tz_office_each_row(struct tz_office *o, bool view, bool partial, tz_row_cb cb, void *ctx,
                                   struct tz_err *err);
/** Whole-scope digest of the confirmed state (proto/README.md, Verify) at the visible checkpoint. */
TZ_MUST_USE int tz_office_digest(struct tz_office *o, struct tz_msg_verified *out, struct tz_err *err);

/* ---- saving ---- */
struct tz_save; /* one changeset being made; holds the write transaction */
struct tz_save_options {
    struct tz_id user;  /* zero = the device's first user */
    const char *reason; /* as typed; at most TZ_REASON_CHARS_MAX characters; NULL = none */
    bool independent;
    struct tz_id import_id; /* zero = none */
};
/** TZ_E_TOO_LONG, TZ_E_VALUE: the reason. TZ_E_USER_DISABLED. */
TZ_MUST_USE int tz_save_begin(struct tz_office *o, const struct tz_save_options *opt, struct tz_save **out,
                              struct tz_err *err);
/** New record (APPEND for append types). @in: values; @id: out. Checks rights, required fields, values, area; fills
 * defaults. */
TZ_MUST_USE int tz_save_create(struct tz_save *s, const struct tz_record *in, struct tz_id *id, struct tz_err *err);
/** Change the named fields; those equal to what was seen are left out (nothing left: no op, still success). A group
 * member changed without its as-of date gets today's. Split into several ops when bases differ (invariant 5). */
TZ_MUST_USE int tz_save_set(struct tz_save *s, struct tz_id id, const struct tz_seen *seen, const struct tz_record *in,
                            const bool *names, struct tz_err *err);
TZ_MUST_USE int tz_save_delete(struct tz_save *s, const struct tz_type *t, struct tz_id id, const struct tz_seen *seen,
                               struct tz_err *err);
TZ_MUST_USE int tz_save_restore(struct tz_save *s, const struct tz_type *t, struct tz_id id, const struct tz_seen *seen,
                                struct tz_err *err);
/** Make one record of two (@together), @keep staying, or take such a pair apart again. A supervisor's decision. */
TZ_MUST_USE int tz_save_merge(struct tz_save *s, const struct tz_type *t, struct tz_id keep, struct tz_id gone,
                              bool together, struct tz_err *err);
/** Close a case. @choice MINE keeps what stands, THEIRS takes candidate number @candidate (from 0), TYPED takes @typed
 * (field or group members by index; @names tells which). */
TZ_MUST_USE int tz_save_resolve(struct tz_save *s, struct tz_id case_id, enum tz_choice choice, unsigned candidate,
                                const struct tz_record *typed, const bool *names, struct tz_err *err);
/** Take back an own refused, waiting or unsent changeset: it leaves the overlay, the server releases what waited for
 * it. */
TZ_MUST_USE int tz_save_withdraw(struct tz_save *s, uint64_t seq, struct tz_err *err);
size_t tz_save_ops(const struct tz_save *s);
/** Durable after this. @seq 0 when there was nothing to save. Frees @s, also on error (then nothing was saved). */
TZ_MUST_USE int tz_save_commit(struct tz_save *s, uint64_t *seq, struct tz_err *err);
void tz_save_cancel(struct tz_save *s);

/* ---- syncing (called by sync.c through jobs) ---- */
TZ_MUST_USE int tz_office_hello(struct tz_office *o, const char *software, struct tz_arena *a, struct tz_msg_hello *out,
                                struct tz_err *err);
/** Remember grant and users; rows and cursors of areas no longer granted are dropped, new areas start at 0 (filling).
 */
TZ_MUST_USE int tz_office_welcome(struct tz_office *o, const struct tz_msg_welcome *w, struct tz_err *err);
/** Own saves above every one that has an answer which a disk has lost, at most @max, ascending. */
TZ_MUST_USE int tz_office_missing(struct tz_office *o, uint64_t *seqs, size_t max, size_t *n, struct tz_err *err);
/** They are gone for good: the server will be told not to wait for them. */
TZ_MUST_USE int tz_office_give_up(struct tz_office *o, const uint64_t *seqs, size_t n, struct tz_err *err);
/** A row of a lost version that is still here. */
struct tz_lost_key {
    uint32_t type;
    struct tz_id id;
    tz_ver ver;
};
enum { TZ_LOST_KEYS_MAX = 256 };
/** Answers of the server about one (proto/README.md, LostTaken). */
enum { TZ_LOST_IS_UNFIT, TZ_LOST_IS_BACK, TZ_LOST_IS_KEPT };
/**
 * Rows after *@at (zero: from the first) that the server is to be offered, as a LostRows message in @out, with their
 * @keys; @n 0 when there are no more. From the first one on, what is here again just as it was is forgotten before.
 * @window_open: those it has taken are left out.
 */
TZ_MUST_USE int tz_office_lost_rows(struct tz_office *o, const struct tz_lost_key *at, bool window_open,
                                    struct tz_buf *out, struct tz_lost_key keys[TZ_LOST_KEYS_MAX], size_t *n,
                                    struct tz_err *err);
/** What the server says of them. */
TZ_MUST_USE int tz_office_lost_taken(struct tz_office *o, const struct tz_lost_key *keys, size_t n,
                                     const uint32_t *verdicts, bool window_open, struct tz_err *err);
/** This folder is a copy, or was put back from one: what to ask for numbers of its own. */
TZ_MUST_USE int tz_office_renumber_ask(struct tz_office *o, struct tz_msg_renumber *out, struct tz_err *err);
/** They are given: the saves without an answer of their own, *@n of them, are made over. One transaction. */
TZ_MUST_USE int tz_office_renumbered(struct tz_office *o, uint32_t incarnation, uint64_t *n, struct tz_err *err);
/** Where handing in again goes on: by old version, then seq. */
struct tz_reoffer_place {
    tz_ver ver;
    uint64_t seq;
};
/** Own saves whose answers a restore of the server undid, with these answers, in the order in which they counted, after
 * *@place, up to @bytes_max. In @a. *@place is that of the last one. */
TZ_MUST_USE int tz_office_reoffer(struct tz_office *o, struct tz_reoffer_place *place, size_t bytes_max,
                                  struct tz_arena *a, struct tz_offered **saves, size_t *n, struct tz_err *err);
/** Own changesets after @after_seq and up to @upto_seq without a final outcome (unsent, or waiting for an answer),
 * ascending, up to @bytes_max. In @a. */
TZ_MUST_USE int tz_office_outbox(struct tz_office *o, uint64_t after_seq, uint64_t upto_seq, size_t bytes_max,
                                 struct tz_arena *a, struct tz_bytes **raw, uint64_t **seqs, size_t *n,
                                 struct tz_err *err);
/** What a Results message meant for own saves. */
struct tz_results_taken {
    uint64_t handed_back; /* saves that the server had forgotten, and has an answer to again */
    uint64_t applied;     /* saves that it ended as applied or superseded: each save once in its life */
    uint64_t reviewed;    /* the same, under review */
    tz_ver ver;           /* greatest version of one */
    bool forked;          /* one is held: the server has another under its number */
};
/** @out may be NULL. */
TZ_MUST_USE int tz_office_results(struct tz_office *o, const struct tz_signed_result *r, size_t n,
                                  struct tz_results_taken *out, struct tz_err *err);
TZ_MUST_USE int tz_office_cursors(struct tz_office *o, struct tz_arena *a, struct tz_cursor **out, size_t *n,
                                  struct tz_err *err);
/** First sync, or more rows than are held back: rows are shown at once, the replica is marked as filling. One
 * transaction. */
TZ_MUST_USE int tz_office_fill(struct tz_office *o, const struct tz_msg_rows *rows, struct tz_err *err);
/** Make held-back @messages (n Rows messages, in order) visible together with checkpoint and cursors. One transaction.
 */
TZ_MUST_USE int tz_office_checkpoint(struct tz_office *o, const struct tz_bytes *messages, size_t n,
                                     const struct tz_msg_checkpoint *c, struct tz_err *err);
bool tz_office_filling(struct tz_office *o);

/* ---- what must not be here any more (wipe.c) ---- */
/** Is anything left to wipe or to be told? */
TZ_MUST_USE int tz_office_wipe_due(struct tz_office *o, bool *due, struct tz_err *err);
struct tz_wiped {
    bool waits;   /* saves are to be handed in first */
    bool receipt; /* the server is to be told: at @ver nothing outside the grant is here */
    tz_ver ver;
};
/** Wipe what left: as far as it may be by now. Nothing due: nothing. */
TZ_MUST_USE int tz_office_wipe(struct tz_office *o, struct tz_wiped *out, struct tz_err *err);
/** The server has noted the receipt. What has left since then is due all the same. */
TZ_MUST_USE int tz_office_wipe_noted(struct tz_office *o, struct tz_err *err);
/** The device is shut out: nothing is saved any more. */
TZ_MUST_USE int tz_office_revoked(struct tz_office *o, const struct tz_msg_wipe_order *order, struct tz_err *err);
/** Then everything goes that could be handed in or read; @saves: how many the server took. May be called again. */
TZ_MUST_USE int tz_office_erase(struct tz_office *o, uint64_t *saves, struct tz_err *err);

/* ---- old saves in fewer bytes (compact.c) ---- */
/** One step of bounded work: own saves up to @upto, as Welcome said it, lose their words. @more: there are others. A
 * full disk or a busy database is no error: then the next session does it. */
TZ_MUST_USE int tz_office_compact(struct tz_office *o, tz_ver upto, bool *more, struct tz_err *err);

/* ---- telling ---- */
struct tz_office_status {
    uint64_t unsent_changesets, unsent_ops; /* not acknowledged */
    uint64_t refused_changesets, waiting_changesets, held_changesets;
    uint64_t partly_changesets, partly_ops; /* applied, but for so many ops that were refused alone */
    uint64_t partly_seq;                    /* the oldest of them */
    uint64_t open_cases, set_aside;         /* set_aside: received rows that did not fit */
    uint64_t last_seq;
    tz_ver checkpoint;
    bool filling;
    bool no_areas;        /* the server grants this device no area: it holds no records, and none are coming */
    int64_t last_sync_ms; /* wall, 0 = never */
    int64_t offset_ms;    /* server − this machine */
    uint64_t rows;        /* live, all types */
    /* The server went back to a backup, and no longer has: received records (kept here aside), own applied saves. */
    uint64_t lost_rows, lost_saves;
    uint64_t lost_words; /* of those saves: the words were wiped or emptied here, so they cannot be handed in again */
    bool audit_changed;  /* the server's audit log is not the one remembered, and nobody has confirmed why */
    uint64_t audit_n;    /* that entry */
    int64_t audit_changed_ms;
};
TZ_MUST_USE int tz_office_status(struct tz_office *o, struct tz_office_status *out, struct tz_err *err);

struct tz_office_balance { /* ops made here, by first outcome */
    uint64_t made, unsent, applied, superseded, refused, waiting, held, under_review, withdrawn;
    uint64_t undone; /* whose answer a restore of the server undid, until there is a new one */
    uint64_t lost;
    uint64_t undone_saves; /* in how many saves; the server counts them so */
};
TZ_MUST_USE int tz_office_balance(struct tz_office *o, struct tz_office_balance *out, struct tz_err *err);

/** An op that the server refused, with what it is about. Borrowed for the callback. */
struct tz_refused_op {
    const struct tz_type *type; /* NULL: not of this catalogue */
    struct tz_id id;
    const char *title; /* of the record, "" where it has none of its own */
    int code;
    const char *args[TZ_RESULT_ARGS_MAX];
    size_t nargs;
};

/** Own changesets that need attention (refused, also in part, waiting, held), oldest first. */
struct tz_outbox_entry {
    uint64_t seq;
    enum tz_outcome outcome; /* NONE = unsent */
    int code;
    const char *args[TZ_RESULT_ARGS_MAX];
    size_t nargs;
    uint64_t blocked_by;
    int64_t saved_ms;
    size_t nops;
    const struct tz_refused_op *refused; /* those with a reason of their own */
    size_t nrefused;
};
TZ_MUST_USE int tz_office_outbox_each(struct tz_office *o, bool attention_only,
                                      int (*cb)(void *ctx, const struct tz_outbox_entry *e), void *ctx,
                                      struct tz_err *err);
/** Users who may work at this device (from the last Welcome). In @a. */
TZ_MUST_USE int tz_office_users(struct tz_office *o, struct tz_arena *a, struct tz_session_user **out, size_t *n,
                                struct tz_err *err);
/** Somebody has found out why the audit log differs: the mark goes, the server's present log is remembered. */
TZ_MUST_USE int tz_office_audit_confirm(struct tz_office *o, struct tz_err *err);
/** Remember a small setting (address, import bookkeeping); value NULL deletes. Reading: "" when absent, in @a. */
TZ_MUST_USE int tz_office_meta_set(struct tz_office *o, const char *key, const char *value, struct tz_err *err);
const char *tz_office_meta(struct tz_office *o, const char *key, struct tz_arena *a);

#endif
