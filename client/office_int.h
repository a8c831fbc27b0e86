/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_OFFICE_INT_H
#define TZ_OFFICE_INT_H

/*
 * Inside the office. Who calls whom:
 *
 *   save.c ──> check.c (rights, references, areas)     feed.c ──> overlay.c
 *     └──────> overlay.c (touch, replay, base)         outbox.c ──> overlay.c (leave)
 *   grant.c ──> lost.c, refresh.c ──> overlay.c (what a restore of the server undid; what it purged meanwhile)
 *   lost.c ──> reoffer.c (own saves that it undid are handed in again)
 *   confirmed.c reads through the overlay; case_view.c reads a case; office.c opens, and owns the one row of state.
 *
 * All functions here run inside a transaction of their caller unless they say otherwise.
 */

#include "hlc.h"
#include "migrate.h"
#include "office.h"

extern const struct tz_migration tz_client_migrations[];
extern const uint32_t tz_client_migrations_count;

enum {
    TZ_OFFICE_CACHE = 4,                      /* decoded changesets kept for replay */
    TZ_OFFICE_ARENA_BYTES = 64 * 1024 * 1024, /* one call's scratch */
    TZ_OFFICE_CHANGESET_ARENA_BYTES = 16 * 1024 * 1024,
};

/** Prepared statements, by user; the SQL stands beside each office_sql call. */
enum tz_office_stmt {
    OS_AREA_ADD,
    OS_AREA_COVERS,
    OS_ASIDE_ALL,
    OS_ASIDE_DEL,
    OS_ASIDE_LEFT,
    OS_ASIDE_PUT,
    OS_BOX_ADD,
    OS_BOX_BALANCE,
    OS_BOX_EMPTIED,
    OS_BOX_GET,
    OS_BOX_HASH,
    OS_BOX_HEARD,
    OS_BOX_HELD,
    OS_BOX_IN,
    OS_BOX_LOAD,
    OS_BOX_MADE_OVER,
    OS_BOX_OUT,
    OS_BOX_RAW,
    OS_BOX_REACHED,
    OS_BOX_RESULT,
    OS_BOX_SENT,
    OS_BOX_STATUS,
    OS_BOX_TARGET,
    OS_BOX_WITHDRAW,
    OS_COMPACT,
    OS_CURSORS,
    OS_FORK_SEQ,
    OS_CURSOR_ADD,
    OS_CURSOR_ALL,
    OS_CURSOR_BEGUN,
    OS_CURSOR_SET,
    OS_CURSOR_STALE,
    OS_LOST_ADD,
    OS_LOST_CURSORS,
    OS_LOST_FORGET,
    OS_LOST_KNOWN,
    OS_LOST_NEXT,
    OS_LOST_OFFERED,
    OS_LOST_PUT,
    OS_META_DEL,
    OS_META_GET,
    OS_META_SET,
    OS_MISSING_ALL,
    OS_MISSING_DROP,
    OS_MISSING_PUT,
    OS_MISSING_ROW,
    OS_REOFFER_LOAD,
    OS_REOFFER_MARK,
    OS_REOFFER_NEXT,
    OS_RENUMBER_NEXT,
    OS_RAW_ALL,
    OS_RAW_BODY,
    OS_RAW_BUCKET,
    OS_RAW_TYPE,
    OS_RAW_DEL,
    OS_RAW_EACH,
    OS_RAW_GET,
    OS_RAW_PUT,
    OS_REFRESH_ASIDE,
    OS_REFRESH_LEFT,
    OS_REFRESH_SEEN,
    OS_SHADOW_CLEAN,
    OS_SHADOW_CLEAN_ONE,
    OS_SHADOW_DEL,
    OS_SHADOW_DIRTY,
    OS_SHADOW_FIRST_DIRTY,
    OS_SHADOW_GET,
    OS_SHADOW_PUT,
    OS_STATE_READ,
    OS_STATE_WRITE,
    OS_TOUCH_ADD,
    OS_TOUCH_ANY,
    OS_TOUCH_DEL,
    OS_TOUCH_LEFT,
    OS_TOUCH_LIST,
    OS_TOUCH_OF,
    OS_TOUCH_SEEN,
    OS_USERS,
    OS_USER_ADD,
    OS_USER_ROLE,
    OS_WIPE_EMPTIED,
    OS_WIPE_EMPTY,
    OS_WIPE_GRANTED,
    OS_WIPE_NEXT,
    OS_WIPE_LOST,
    OS_COUNT
};

/** The one row of table `office`: who we are and how far we are. */
struct tz_office_state {
    struct tz_identity id;
    uint64_t last_seq;
    tz_hlc last_hlc;
    int64_t id_ms;
    uint16_t id_counter;
    tz_ver checkpoint;
    uint64_t audit_n;
    uint8_t audit_hash[TZ_HASH_BYTES];
    bool filling;
    bool welcomed; /* a grant was received at least once */
    bool reads_secret;
    int64_t last_sync_ms, offset_ms;
};

struct tz_cached_changeset {
    uint64_t seq; /* 0 = empty */
    uint64_t used;
    struct tz_arena arena;
    struct tz_changeset cs;
};

struct tz_office {
    struct tz_db *db;
    struct tz_replica *rep;
    const struct tz_catalogue *cat;
    char *imports; /* folder of the kept sheets; NULL none; owned */
    struct tz_clock clock;
    uint32_t (*random)(void *ctx);
    void *random_ctx;
    struct tz_office_state st; /* as last loaded; authoritative inside a write transaction */
    struct tz_stmt stmts[OS_COUNT];
    struct tz_cached_changeset cache[TZ_OFFICE_CACHE];
    uint64_t cache_clock;
    bool saving;                        /* a tz_save is open */
    const struct tz_changeset *open_cs; /* the one being made: not in the outbox yet */
};

/* ---- office.c ---- */
/** The statement @which, prepared on first use and reset; NULL with @err set. */
struct tz_stmt *tz_office_sql(struct tz_office *o, enum tz_office_stmt which, const char *sql, struct tz_err *err);
TZ_MUST_USE int tz_office_load(struct tz_office *o, struct tz_err *err);
TZ_MUST_USE int tz_office_store(struct tz_office *o, struct tz_err *err);
/** Begin a write transaction and load the state. End with tz_office_end. */
TZ_MUST_USE int tz_office_begin(struct tz_office *o, struct tz_err *err);
/** rc 0: store the state and commit; else roll back and reload. Returns rc or the commit's error. */
TZ_MUST_USE int tz_office_end(struct tz_office *o, int rc, struct tz_err *err);
/** Role name of a user of this device ("" unknown) into @role. */
TZ_MUST_USE int tz_office_user_role(struct tz_office *o, struct tz_id user, char role[TZ_OFFICE_NAME_BYTES],
                                    bool *active, struct tz_err *err);

/* ---- confirmed.c ---- */
/** One snapshot for several reads, and the state as of it; @mine: to be ended with tz_db_rollback. */
TZ_MUST_USE int tz_office_snapshot(struct tz_office *o, bool *mine, struct tz_err *err);
/** Confirmed live rows of a type with ids above @after (zero: all), in id order. One whose stored form is damaged comes
 * without values. */
TZ_MUST_USE int tz_confirmed_each(struct tz_office *o, const struct tz_type *t, struct tz_id after, tz_row_cb cb,
                                  void *ctx, struct tz_err *err);
/** Its body for a digest into @b; one that cannot be encoded is empty, which no record of the server is. */
TZ_MUST_USE int tz_confirmed_body(const struct tz_record *rec, struct tz_buf *b);

/* ---- overlay.c ---- */
/** One shadow by type and id, for OS_SHADOW_GET. */
#define TZ_SHADOW_GET "SELECT state, ver, district, street, body FROM _shadow WHERE type = ? AND id = ?"
enum tz_image_state { TZ_IMAGE_NONE = 0, TZ_IMAGE_LIVE = 1, TZ_IMAGE_DELETED = 2 };
/** A record as it is confirmed, or as replay has it so far. */
struct tz_image {
    enum tz_image_state state;
    struct tz_row row; /* valid unless NONE; then only ver counts */
};
/** Confirmed state: the shadow where there is one, else the table. @shadowed may be NULL. */
TZ_MUST_USE int tz_overlay_confirmed(struct tz_office *o, const struct tz_type *t, struct tz_id id, struct tz_arena *a,
                                     struct tz_image *out, bool *shadowed, struct tz_err *err);
/** What a shadow row's columns say. */
TZ_MUST_USE int tz_overlay_image(const struct tz_type *t, struct tz_id id, enum tz_image_state state, tz_ver ver,
                                 const struct tz_area *area, struct tz_bytes body, struct tz_arena *a,
                                 struct tz_image *out, struct tz_err *err);
TZ_MUST_USE int tz_overlay_shadow_put(struct tz_office *o, const struct tz_type *t, struct tz_id id,
                                      const struct tz_image *im, bool dirty, struct tz_err *err);
/** 1 when an own edit of the record is in the overlay, 0 none. */
int tz_overlay_pending(struct tz_office *o, uint32_t type, struct tz_id id, struct tz_err *err);
/** Register @what, op number @op of changeset @seq, on a record; sets the confirmed image aside if it is the first. */
TZ_MUST_USE int tz_overlay_touch(struct tz_office *o, const struct tz_type *t, struct tz_id id, uint64_t seq, size_t op,
                                 const struct tz_op *what, struct tz_err *err);
/** One op on an image of record (t, id); values borrow from the op and @a. */
TZ_MUST_USE int tz_overlay_apply(struct tz_office *o, const struct tz_op *op, const struct tz_type *t, struct tz_id id,
                                 struct tz_arena *a, struct tz_image *im, struct tz_err *err);
/** Put the view row of a record: confirmed plus everything still in the overlay, or just confirmed, dropping the
 * shadow. */
TZ_MUST_USE int tz_overlay_recompute(struct tz_office *o, const struct tz_type *t, struct tz_id id, struct tz_err *err);
/** Write an image into the typed table. */
TZ_MUST_USE int tz_overlay_put(struct tz_office *o, const struct tz_type *t, struct tz_id id, const struct tz_image *im,
                               struct tz_err *err);
/**
 * Ops of @seq leave the overlay (@op < 0: all that are left). A form read at a checkpoint ≤ @until may have shown them:
 * touches that hid a newer confirmed value stay on record for tz_overlay_base.
 */
TZ_MUST_USE int tz_overlay_leave(struct tz_office *o, uint64_t seq, int op, tz_ver until, struct tz_err *err);
/** After rows were put under pending edits: those edits now hide something. */
TZ_MUST_USE int tz_overlay_mark_hidden(struct tz_office *o, struct tz_err *err);
/** Own op of @seq, from the cache or the outbox; borrowed until the next call. */
TZ_MUST_USE int tz_overlay_changeset(struct tz_office *o, uint64_t seq, const struct tz_changeset **out,
                                     struct tz_err *err);
void tz_overlay_cache_drop(struct tz_office *o);
/** A copy of @op with what it borrows, in @a; NULL when that is exhausted. */
const struct tz_op *tz_overlay_keep_op(const struct tz_op *op, struct tz_arena *a);

/** Bases per field index for an edit of a record by someone who saw @seen; the least of them in @least (never above
 * seen->ver). */
struct tz_bases {
    tz_ver ver[TZ_FIELDS_MAX];
    tz_ver least;
};
TZ_MUST_USE int tz_overlay_base(struct tz_office *o, const struct tz_type *t, struct tz_id id,
                                const struct tz_seen *seen, struct tz_bases *out, struct tz_err *err);

/* ---- check.c ---- */
/** Set @code about something with a label and a name: "职工人数 employees", for readers of either language. */
int tz_check_wrong(int code, const char *label, const char *name, struct tz_err *err);
struct tz_author {
    const struct tz_role *role;
    struct tz_area area; /* where the author may write */
    bool city;
    struct tz_id user;
};
TZ_MUST_USE int tz_check_author(struct tz_office *o, struct tz_id user, struct tz_author *out, struct tz_err *err);
bool tz_check_in_area(const struct tz_author *who, const struct tz_area *area);
/** Where a record belongs by its own content, as the server works it out. 1, 0 parent unknown, negative. */
int tz_check_area_of(struct tz_office *o, const struct tz_record *rec, struct tz_arena *a, struct tz_area *out,
                     struct tz_err *err);
bool tz_check_may_edit(const struct tz_office *o, const struct tz_author *who, const struct tz_row *row,
                       const struct tz_field *f);
/** Right, completeness, values and references of a new record; fills what the device gives. */
TZ_MUST_USE int tz_check_create(struct tz_office *o, const struct tz_author *who, struct tz_record *rec,
                                struct tz_arena *a, struct tz_err *err);
/** Values and references of the named fields; @whole is the record they belong to. */
TZ_MUST_USE int tz_check_values(struct tz_office *o, const struct tz_record *whole, const bool *names,
                                struct tz_arena *a, struct tz_err *err);
/** Rights, values and references of the named fields of @row. */
TZ_MUST_USE int tz_check_set(struct tz_office *o, const struct tz_author *who, const struct tz_row *row,
                             const struct tz_record *in, const bool *names, struct tz_arena *a, struct tz_err *err);
/** TZ_E_HAS_CHILDREN when live records here block the deletion. */
TZ_MUST_USE int tz_check_children(struct tz_office *o, const struct tz_type *t, struct tz_id id, struct tz_err *err);
const struct tz_type *tz_check_any_type(const struct tz_catalogue *cat, const struct tz_record *rec,
                                        const struct tz_field *f);

/* ---- feed.c ---- */
TZ_MUST_USE int tz_feed_row(struct tz_office *o, const struct tz_msg_row *row, struct tz_err *err);
/** In a repair: the live row as the server has it takes the place of whatever is held, whatever its version. @fits
 * false: it cannot be stored and is set aside. */
TZ_MUST_USE int tz_feed_replace(struct tz_office *o, const struct tz_msg_row *row, bool *fits, struct tz_err *err);
/** In a repair: the server has no such row. What is held is set aside (@what without body), then it goes; own edits of
 * it stay. */
TZ_MUST_USE int tz_feed_remove(struct tz_office *o, const struct tz_msg_row *what, struct tz_err *err);
/** set_aside.code of what a repair took out, as SQL text. */
#define TZ_REPAIRED_CODE "-104"
_Static_assert(TZ_E_VERIFY == -104, "TZ_REPAIRED_CODE");
/** Raw rows and rows set aside that this catalogue understands now. */
TZ_MUST_USE int tz_feed_promote(struct tz_office *o, struct tz_err *err);
/** Into the outbox, serialised and hashed. */
TZ_MUST_USE int tz_outbox_add(struct tz_office *o, const struct tz_changeset *cs, struct tz_err *err);
/** An unsent save is taken back: its number stays, its content goes. */
TZ_MUST_USE int tz_outbox_empty(struct tz_office *o, uint64_t seq, struct tz_err *err);
/** Result-bearing changesets up to the visible checkpoint leave the overlay. */
TZ_MUST_USE int tz_outbox_settle(struct tz_office *o, tz_ver checkpoint, tz_ver until, struct tz_err *err);
/** The bytes of a save under another numbering take the place of those it had; it counts as never sent. */
TZ_MUST_USE int tz_outbox_make_over(struct tz_office *o, const struct tz_changeset *cs, struct tz_err *err);

/* ---- withdrawal.c ---- */
/** The save @by did not happen: what it took back is open again. */
TZ_MUST_USE int tz_withdrawal_undo(struct tz_office *o, uint64_t by, struct tz_err *err);

/** The ops of @seq are on top of the confirmed rows again, but for those that were refused alone (by @r; NULL: none).
 */
TZ_MUST_USE int tz_withdrawal_back_on_top(struct tz_office *o, uint64_t seq, const struct tz_result *r,
                                          struct tz_err *err);

/* ---- missing.c ---- */
/** Numbers that were given up and that the server may not know of yet, for Hello. In @a. */
TZ_MUST_USE int tz_missing_told(struct tz_office *o, struct tz_arena *a, const uint64_t **out, size_t *n,
                                struct tz_err *err);

/* ---- reoffer.c ---- */
/** The server forgot answers: saves that had them are to be handed in again, and are on top of the confirmed rows until
 * they count anew. Ranges are written, rows are set aside. */
TZ_MUST_USE int tz_reoffer_mark(struct tz_office *o, uint64_t judged_seq, struct tz_err *err);

/* ---- wipe.c ---- */
/** Records left, or (@receipt) areas: what else says anything of them is to go. In the transaction that drops them. */
TZ_MUST_USE int tz_wipe_owe(struct tz_office *o, bool receipt, struct tz_err *err);
/** A save is settled: if the last wipe left words to some that were not, there is one more to do. */
TZ_MUST_USE int tz_wipe_settled(struct tz_office *o, struct tz_err *err);
/** The replica was filled from nothing: nobody tells it of what left before, and own saves may be about that. */
TZ_MUST_USE int tz_wipe_filled(struct tz_office *o, struct tz_err *err);
/** A session begins: if the last wipe found a sheet being read, it is looked at once more. */
TZ_MUST_USE int tz_wipe_sheets_again(struct tz_office *o, struct tz_err *err);
/** TZ_E_HELD_REVOKED when nothing may be saved here any more. */
TZ_MUST_USE int tz_wipe_check(struct tz_office *o, struct tz_err *err);

/* ---- compact.c ---- */
/** Own saves of which only the entry is left here. */
TZ_MUST_USE int tz_compact_emptied(struct tz_office *o, uint64_t *n, struct tz_err *err);

/* ---- lost.c ---- */
/** SQL, of a row of outbox b: its answer had a version that the server does not have any more. */
#define TZ_ANSWER_LOST                                                                     \
    "(b.outcome IN (1, 2, 6) AND EXISTS (SELECT 1 FROM lost_range r WHERE b.ver > r.above" \
    " AND b.ver <= r.upto))"
/** What the Welcome says that a restore of the server undid: rows of it are set aside, and everything comes anew. */
TZ_MUST_USE int tz_lost_take(struct tz_office *o, const struct tz_msg_welcome *w, struct tz_err *err);
/** The confirmed record goes; own edits of it (@shadowed) stay on top of nothing until the server sends what it has. */
TZ_MUST_USE int tz_lost_forget(struct tz_office *o, const struct tz_type *t, struct tz_id id, bool shadowed,
                               struct tz_err *err);
/** Own saves that the server had applied and does not know any more; how many of them have no words here either
 * (@wordless may be NULL). */
TZ_MUST_USE int tz_lost_saves(struct tz_office *o, uint64_t *n, uint64_t *wordless, struct tz_err *err);

/* ---- refresh.c ---- */
/** Welcome named @horizon: if a cursor here is behind it, everything is to come anew. Changes o->st. */
TZ_MUST_USE int tz_refresh_take(struct tz_office *o, tz_ver horizon, struct tz_err *err);
/** Cursors at 0 begin under @horizon; after everything else in the Welcome that may reset one. */
TZ_MUST_USE int tz_refresh_begun(struct tz_office *o, tz_ver horizon, struct tz_err *err);
/** Has something yet to come again? */
TZ_MUST_USE int tz_refresh_under_way(struct tz_office *o, bool *out, struct tz_err *err);
/** The server has sent this record. */
TZ_MUST_USE int tz_refresh_seen(struct tz_office *o, const struct tz_msg_row *row, struct tz_err *err);
/** All there is has come: what did not, goes. Before st.filling is cleared. */
TZ_MUST_USE int tz_refresh_end(struct tz_office *o, struct tz_err *err);

/* ---- audit.c ---- */
/** Is the remembered audit entry marked as changed? Zeroed when not. */
struct tz_audit_mark {
    bool changed;
    uint64_t n;       /* the entry; 0 = unknown */
    int64_t since_ms; /* wall clock of this machine */
};
TZ_MUST_USE int tz_audit_mark(struct tz_office *o, struct tz_audit_mark *out, struct tz_err *err);
/** What Welcome said about the pair in Hello. */
TZ_MUST_USE int tz_audit_take(struct tz_office *o, enum tz_audit_answer answer, struct tz_err *err);
/** Remember the checkpoint's pair, unless the one remembered is marked. Changes o->st. */
TZ_MUST_USE int tz_audit_move(struct tz_office *o, const struct tz_msg_checkpoint *c, struct tz_err *err);

/* ---- case_view.c ---- */
/** A case as its row shows it. Values in the arena, by field index of the target's type. */
struct tz_case_view {
    const struct tz_type *type;
    struct tz_id target;
    bool life;      /* about the record's deletion */
    bool duplicate; /* two records claim one key: no values */
    bool words;     /* about a record that was purged: nothing stands, candidates may name any field */
    bool whole;     /* about a record that is to be made */
    bool late;      /* its words came when their author had no right to them any more: a supervisor decides */
    struct tz_id other;
    bool names[TZ_FIELDS_MAX];
    uint32_t field; /* id for the op */
    uint32_t generation;
    bool open;
    size_t ncandidates;
};
TZ_MUST_USE int tz_case_read(struct tz_office *o, const struct tz_row *row, struct tz_case_view *out,
                             struct tz_err *err);
/**
 * Values of what stands (@candidate < 0) or of a candidate, from 0: the fields in @named. @deleted: in a case about
 * life, whether that choice is a deleted record. TZ_E_NOT_FOUND when there is no such candidate.
 */
TZ_MUST_USE int tz_case_values(const struct tz_row *row, const struct tz_case_view *cv, int candidate,
                               struct tz_arena *a, struct tz_record *out, bool *named, bool *deleted,
                               struct tz_err *err);

/** Have the words of @candidate (from 0) gone to the audit log? Then which fields it named, by index of the target's
 * type. */
bool tz_case_emptied(const struct tz_row *row, const struct tz_case_view *cv, size_t candidate, bool *named);

/** Who wrote a value of a case, as its JSON says. */
struct tz_case_author {
    bool known; /* it does say */
    uint32_t device, incarnation;
    uint64_t seq;
    struct tz_id user;
    tz_ver ver;
    int64_t at_ms;              /* effective time */
    char rule[TZ_NAME_MAX + 1]; /* what decided against a candidate; "" for what stands */
};
/** Of what stands into @out[0], of the candidates from @out[1] on; @n is 1 + ncandidates of the view. */
void tz_case_authors(const struct tz_row *row, struct tz_case_author *out, size_t n);

/**
 * The time as the server would say it, for dates that people read: this machine's clock corrected by what was measured
 * at the last sync, unless the clock was clearly set since (it went back, or more than 400 days passed).
 */
struct tz_wall tz_office_now(const struct tz_office *o);

int tz_office_nomem(struct tz_err *err);
/** The code of a failed call that reports through @err only. */
static inline int tz_office_code(const struct tz_err *err)
{
    return err && err->code ? err->code : TZ_E_DB;
}

#endif
