/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_STORE_INT_H
#define TZ_STORE_INT_H

/*
 * Inside the SQLite store. Who calls whom:
 *
 *   store_apply.c  one changeset: seen before? in order? depends (store_wait.c)? → judge (store_verdict.c) → result,
 *                  audit, backlog
 *   judge.c        one op: rights, references, merge          judge_life.c  delete, restore, revival
 *   judge_case.c   cases: open, join         judge_resolve.c  cases decided    judge_handover.c  of merged records
 *   judge_event.c  steps of procedures, openings and their numbers
 *   judge_late.c   the order before a restore    judge_review.c  what comes when its right has gone
 *   rows.c         a changed record: table, feed, claims, dependants' areas
 *   store_feed.c   reading; store_digest.c buckets of it; store_damage.c what a repair found
 *   store_installation.c  copies of a device's folder and their numbers
 *   store_who.c    devices, grants; store_user.c  people; store_enrol.c  invitations, enrolment
 *   store_journal.c  changes of those as lines, and back
 *   store_grant.c  grants and areas of earlier versions
 *   store_audit.c  the chain; store_history.c  which entries of it touched a record
 *   store_restore.c  lost ranges, a backup becomes the database; store_reoffer.c  what it undid is handed in again
 *   store_purge.c  what nobody needs any more; judge_purged.c  late edits of it; store_compact.c  what is kept in fewer
 *                  bytes, and up to which version devices may do so
 *   store_answer.c  answers as they are kept
 *   store_commit.c  who wrote a version; commit_pack.c  many of them in few bytes; commit_mend.c  damaged ones rebuilt
 *   store.c  open, groups, seeding
 */

#include "hash.h"
#include "merge.h"
#include "migrate.h"
#include "store.h"

enum { TZ_RULES_VERSION = 1, TZ_SERVER_MIGRATIONS = 17, TZ_TOUCHED_MAX = 32, TZ_DISTRICTS_CACHED = 64 };
extern const struct tz_migration tz_server_migrations[TZ_SERVER_MIGRATIONS];
enum { TZ_REVIVE_DEPTH_MAX = 16, TZ_AREA_DEPTH_MAX = 8 };

/** A reference field somewhere that points at a type: who must be asked when a record of that type goes. */
struct tz_child_ref {
    const struct tz_type *type;
    const struct tz_field *field;
};

/** What read_row in store_commit.c reads, in its order. */
#define TZ_COMMIT_COLUMNS \
    "ver,device,incarnation,seq,user,claimed,offset_ms,effective,eff_max,received_ms,rules,catalogue,old_ver"

/** What read_device in store_who.c reads, in its order. */
#define TZ_DEVICE_COLUMNS                                                                                              \
    "number,incarnation,name,role,area,revoked,last_seq,last_seen_ms,checkpoint,acked_ms,grant_since,until_ms,unsent," \
    "wiped_ms"

/** Statements, prepared on first use (sql.def). */
enum tz_sql {
#define TZ_SQL(name, text) TZ_SQL_##name,
#include "sql.def"
#undef TZ_SQL
    TZ_SQL_COUNT
};

/** Where a walk through a table ended. */
struct tz_purge_at {
    uint32_t type;
    struct tz_id id;
    struct tz_area area;
    bool done; /* at its end */
};
struct tz_purge_walk {
    struct tz_purge_at records, leaving, cases;
};

struct tz_commit_run;
enum { TZ_NUMBERED_MAX = 16 };
/** A session in which a copy was found out. */
enum { TZ_FORKS_KEPT = 64 };
struct tz_fork {
    uint64_t session;
    uint32_t incarnation;
};

struct tz_store {
    struct tz_db *db;
    struct tz_replica *rep;
    const struct tz_catalogue *cat;
    struct tz_clock clock;
    void (*random)(void *ctx, uint8_t *p, size_t n);
    void *random_ctx;
    bool readonly;
    size_t rows_frame_bytes;

    uint32_t epoch;
    uint8_t mac_key[32], claim_key[32];
    tz_ver head;       /* newest durable version */
    tz_ver group_head; /* newest version of the open group */
    tz_hlc eff_max, group_eff_max;
    uint64_t audit_n, group_audit_n;
    uint8_t audit_hash[TZ_HASH_BYTES], group_audit_hash[TZ_HASH_BYTES];
    struct tz_err read_err; /* a look-up that could not say so to its caller; ends the changeset */

    const struct tz_type *case_type, *user_type, *division_type, *redirect_type;
    struct tz_area touched[TZ_TOUCHED_MAX];                 /* areas written since the last tz_store_apply began */
    size_t ntouched;                                        /* past the maximum: anywhere */
    char districts[TZ_DISTRICTS_CACHED][TZ_DISTRICT_BYTES]; /* known to exist */
    size_t ndistricts;
    bool release_left;               /* see tz_store_release_left */
    uint32_t release_turn;           /* device whose turn it was last */
    size_t row_bytes, row_bytes_max; /* rows written by the changeset being judged; maximum 0: not counted */
    int (*journal)(void *ctx, struct tz_bytes line, struct tz_err *err);
    void *journal_ctx;
    struct tz_buf entries;      /* of the open group, for the journal */
    struct tz_purge_walk purge; /* how far the present run of purge steps is */
    struct tz_numbered {        /* series in which the open group gave numbers */
        uint32_t type;
        char series[16];
    } numbered[TZ_NUMBERED_MAX];
    size_t nnumbered;           /* past the maximum: any */
    bool journal_ahead;         /* it was told of a group that is not committed */
    struct tz_lost_range *lost; /* ascending; owned */
    size_t nlost;
    struct {
        tz_ver ver;
        uint32_t type;
        struct tz_id id;
    } lost_after;                        /* the offered row that was passed over last: see store_lost.c */
    size_t commits_kept;                 /* see tz_store_options */
    size_t commit_rows;                  /* rows of commit_log, at least as many as there are */
    struct tz_commit_run *packed;        /* the pack that was read last; owned, NULL before the first */
    tz_ver packed_first, packed_last;    /* what it holds; 0 nothing */
    bool commits_damaged;                /* a pack was rebuilt in memory: to be written at the end of the group */
    struct tz_fork forks[TZ_FORKS_KEPT]; /* a ring */
    size_t nforks;
    struct tz_stmt stmts[TZ_SQL_COUNT];
};

/** What runs ahead of the disk inside a group: goes back with a savepoint. */
struct tz_group_state {
    tz_ver head;
    tz_hlc eff_max;
    uint64_t audit_n;
    uint8_t audit_hash[TZ_HASH_BYTES];
};
struct tz_group_state tz_group_save(const struct tz_store *s);
void tz_group_restore(struct tz_store *s, const struct tz_group_state *was);

/** The statement, reset and ready to bind; NULL with @err set when it cannot be prepared. */
struct tz_stmt *tz_store_sql(struct tz_store *s, enum tz_sql which, struct tz_err *err);

/** A record whose claims a changeset changed. */
struct tz_claimed {
    const struct tz_type *type;
    struct tz_id id;
    tz_ver born;
    uint32_t keys; /* newly claimed, as bits */
    bool own;      /* by an op of the author that names the record, not by what that led to */
};
/** Records that became one by themselves. */
struct tz_merged {
    struct tz_merged *next; /* the one before */
    const struct tz_type *type;
    struct tz_id gone, keep;
};

/** What somebody may do, and where. */
struct tz_rights {
    const struct tz_role *role; /* NULL: nothing */
    struct tz_area area;
    bool city; /* the whole city */
};

/** One changeset being judged. */
struct tz_judge {
    struct tz_store *s;
    const struct tz_changeset *cs;
    struct tz_edit edit; /* base_ver/base_seq of the current op are filled in per op */
    struct tz_wall received;
    tz_hlc claimed;
    int64_t offset_ms;
    bool wrote;                     /* anything: the version is used */
    bool waited;                    /* the changeset did, behind an own one */
    const struct tz_op_result *was; /* handed in again: the answer that the current op had; NULL otherwise */
    /* the author */
    const struct tz_role *role; /* NULL: no right any more (see `past`) */
    struct tz_area area;        /* of the user, within the device's */
    bool city;                  /* the whole city */
    struct tz_rights past;      /* when the edit was made: judge_review.c */
    tz_ver past_until;          /* last version that those were good for */
    bool past_known;            /* both were looked up */
    bool late;                  /* the op is looked at with them */
    struct tz_arena *a;         /* scratch of one op */
    struct tz_arena *out;       /* lives until the result is out */
    struct tz_err *err;         /* LOCAL errors */
    /* what it claims; in `out` */
    struct tz_claimed *claims;
    size_t nclaims, claims_cap, checked;
    struct tz_merged *merged;
    /* the current op */
    const struct tz_type *target_type; /* of the record that it writes; NULL none yet, or two (MERGE, UNMERGE) */
    struct tz_id target;
    /* its answer */
    struct tz_op_result res;
    struct tz_id case_ids[TZ_RESULT_CASES_MAX];
};

/* judge.c */
/** Judge one op. 0 with j->res filled (also when refused), negative only for LOCAL errors. */
TZ_MUST_USE int tz_judge_op(struct tz_judge *j, const struct tz_op *op);
/** Refuse the current op. Always returns 0 so that judges can `return tz_judge_refuse(…)`. */
int tz_judge_refuse(struct tz_judge *j, int code, const char *arg1, const char *arg2);
bool tz_judge_in_area(const struct tz_judge *j, const struct tz_area *record);
/** Load a record that the author may see; 1, 0 (unknown, foreign), negative. */
int tz_judge_load(struct tz_judge *j, const struct tz_type *t, struct tz_id id, struct tz_row *row,
                  struct tz_stamps *stamps);
struct tz_commit tz_judge_commit_of(void *judge, tz_ver ver);
/** The checkpoint the author had; never beyond what exists. */
tz_ver tz_judge_checkpoint(const struct tz_judge *j);
/** May the author's role edit this field of this row (NULL: a record being created)? */
bool tz_judge_may_edit(const struct tz_judge *j, const struct tz_row *row, const struct tz_field *f);
/** Decode and check the op's values and cleared list into @in / @names. 0 good, 1 refused, negative LOCAL. */
int tz_judge_values(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t, struct tz_record *in,
                    bool *names);
/** May the author write the named values into @row, by the rules of fields? 0 good, 1 refused. */
int tz_judge_set_rights(struct tz_judge *j, const struct tz_row *row, const struct tz_record *in, const bool *names);
/** May the author make such a record, and is all there that must be? Defaults are filled in. 0 good, 1 refused. */
int tz_judge_new_rights(struct tz_judge *j, const struct tz_type *t, struct tz_record *in, const bool *names);
/** The set field of an ADD or REMOVE, if its elements are such that the author may change them. 0 good, 1 refused. */
int tz_judge_elements_rights(struct tz_judge *j, const struct tz_op *op, const struct tz_row *row,
                             const struct tz_field **out);
/** Must the author fill this field in? */
bool tz_judge_required(const struct tz_judge *j, const struct tz_field *f);
/** The op carries nothing that this catalogue lacks. 0 good, 1 refused, negative. */
int tz_judge_known_fields(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t,
                          const struct tz_record *in);
/** Decode and check the op's values and cleared list into @in / @names. 0 good, 1 refused, negative LOCAL. */
int tz_judge_values(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t, struct tz_record *in,
                    bool *names);
/** Could every reader be sent it? 0 good, 1 refused. */
int tz_judge_size(struct tz_judge *j, const struct tz_record *rec);
/** The current op writes this record: the one that it names, or where that one went. */
void tz_judge_writes(struct tz_judge *j, const struct tz_row *row);
/** What the changeset claims is checked after this op. Withdrawals change no record. */
bool tz_judge_last(const struct tz_changeset *cs, const struct tz_op *op);
/** A record that nobody has taken over from who made it (its status is the one it began with). */
bool tz_judge_draft(const struct tz_row *row);
/** May what another record says of this field become a word of @row by the author's doing? */
bool tz_judge_may_merge(const struct tz_judge *j, const struct tz_row *row, const struct tz_field *f);
/** Run @fn in memory of its own, of the same budget: there may be thousands of its kind. What does not do with that is
 * TZ_E_LIMIT. */
int tz_judge_apart(struct tz_judge *j, int (*fn)(struct tz_judge *j, void *ctx), void *ctx);
/** Write row and stamps as of this commit. */
TZ_MUST_USE int tz_judge_put(struct tz_judge *j, struct tz_row *row, const struct tz_stamps *stamps);
/** Every reference the named fields make resolves for the author; deleted targets are revived or refused. 0 goes on. 1:
 * refused. */
int tz_judge_refs(struct tz_judge *j, const struct tz_type *t, const struct tz_record *rec, const bool *names);
/* judge_place.c */
/** A record in a district that does not exist would be out of everybody's sight. 1 known, 0 not, negative. */
int tz_judge_district_known(struct tz_judge *j, const struct tz_area *area);
/** Fill row->area from its content, as it will be; it must be the author's. 0 good, 1 refused, negative. */
int tz_judge_area(struct tz_judge *j, struct tz_row *row);
/** After the edit of the fields @names made @row of what was @before: a street that lies in the district it left is
 * cleared, as an edit of the same moment; what that hits unseen joins @out's losses. */
TZ_MUST_USE int tz_judge_leave_street(struct tz_judge *j, struct tz_row *row, struct tz_stamps *stamps,
                                      const struct tz_value *before, const bool *names, struct tz_merge_out *out);

/* judge_event.c */
TZ_MUST_USE int tz_judge_event(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t);
/** @row, a new record of a type with a procedure, is complete and in place: open it, with its number, and write it.
 * @decided: by a supervisor's word about what somebody else said. */
TZ_MUST_USE int tz_judge_opening(struct tz_judge *j, struct tz_row *row, bool decided);

/* judge_late.c */
/** The @judge's edit is handed in again: what became of (field, element) of the record it is about, after it and before
 * the restore? By the changesets that came in since. See merge.h. */
enum tz_overtaken tz_judge_overtaken(void *judge, uint32_t field, const struct tz_bytes *element);

/* judge_life.c */
TZ_MUST_USE int tz_judge_delete(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t);
TZ_MUST_USE int tz_judge_restore(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t);
/** Bring a deleted record back with a case about its deletion, and what it refers to. */
TZ_MUST_USE int tz_judge_revive(struct tz_judge *j, struct tz_row *row, struct tz_stamps *stamps, unsigned depth);
/** A case is decided otherwise than the record stands: by deleting it (@in NULL), or by values for it. 0 the choice may
 * be written (the record is live now), 1 answered: the case stays open, negative. */
TZ_MUST_USE int tz_judge_decision_on_life(struct tz_judge *j, struct tz_row *row, struct tz_stamps *stamps,
                                          const struct tz_record *in, const bool *names);
/** The op as the author of what it says. */
struct tz_commit tz_judge_author(const struct tz_judge *j);
/** What a returning record refers to comes back too: references resolve to live records again. */
TZ_MUST_USE int tz_judge_revive_parents(struct tz_judge *j, const struct tz_row *row, unsigned depth);
/** Live children in the way of deletion: 1 seen ones block, 2 there are unseen ones, 0 none, negative. @count of them,
 * and one as @example. */
int tz_judge_children(struct tz_judge *j, const struct tz_type *t, struct tz_id id, tz_ver base_checkpoint,
                      char example[TZ_ID_HEX + 1], uint64_t *count);
/** Refuse because of them. 0, negative. */
TZ_MUST_USE int tz_judge_refuse_children(struct tz_judge *j, uint64_t count, const char *example);

/* judge_case.c */
/** Losses of one merged SET go into the cases of their fields and groups. */
TZ_MUST_USE int tz_case_losses(struct tz_judge *j, const struct tz_row *row, const struct tz_loss *loss, size_t n);
/** A deletion that did not stand. */
TZ_MUST_USE int tz_case_deletion(struct tz_judge *j, const struct tz_row *row, struct tz_commit author,
                                 const char *rule);
/** A deleted record, that replicas have otherwise: may it live? @by offered it; @names (NULL: none) of the values @in
 * that they have are told. */
TZ_MUST_USE int tz_case_lost(struct tz_judge *j, const struct tz_row *row, const struct tz_record *in,
                             const bool *names, struct tz_commit by);
/** An edit of a record whose deletion was resolved: its values become a candidate about the record's life. */
TZ_MUST_USE int tz_case_edit_of_deleted(struct tz_judge *j, const struct tz_row *row, const struct tz_record *in,
                                        const bool *names);
/** The open cases of a record show what stands now; call after the row was put. */
TZ_MUST_USE int tz_case_refresh(struct tz_judge *j, const struct tz_row *row);

/* judge_handover.c */
/** The words in open cases of @gone go on in cases of @keep; the cases close, also that about its life. */
TZ_MUST_USE int tz_case_hand_over(struct tz_judge *j, const struct tz_row *gone, const struct tz_row *keep);
/** After UNMERGE of what became one by version @since: what was said of @back is its own again, and its cases open. */
TZ_MUST_USE int tz_case_hand_back(struct tz_judge *j, const struct tz_row *keep, const struct tz_row *back,
                                  tz_ver since);

/* judge_resolve.c */
TZ_MUST_USE int tz_judge_resolve(struct tz_judge *j, const struct tz_op *op);
/** What somebody said who had lost the right to say it: a case for a supervisor of where the record lies now. @names
 * NULL: about its life, @deleted. */
TZ_MUST_USE int tz_case_late(struct tz_judge *j, const struct tz_row *row, const struct tz_record *in,
                             const bool *names, bool deleted);
/** The same of a record that was to be made in @area; what was said of it before by the same person is completed. */
TZ_MUST_USE int tz_case_late_new(struct tz_judge *j, const struct tz_row *row, const struct tz_record *in,
                                 const bool *names);

/* judge_review.c */
/** Rights of the author when the changeset was made, which he may have lost since. 0 with j->past, negative. */
TZ_MUST_USE int tz_late_author(struct tz_judge *j);
/** The op was refused (j->res) for want of rights: 1 when its author had them when it was made; then its words are in a
 * case, and j->res says so. 0: it stays refused. Negative: LOCAL. */
int tz_late_op(struct tz_judge *j, const struct tz_op *op);
/** Is the case about a record that does not exist yet? */
bool tz_late_new_case(const struct tz_judge *j, const struct tz_row *c);
/** RESOLVE of such a case: the record is made as its author said, or not. */
TZ_MUST_USE int tz_late_resolve(struct tz_judge *j, const struct tz_op *op, struct tz_row *c);

/* store_grant.c */
/** Rights of @user on @device at version @at, as far as grants that ended are concerned only those whose records are
 * not wiped, or were when the edit came (@received_ms). 1 and @out, 0 none, negative. @until: last version. */
int tz_grant_at(struct tz_store *s, const struct tz_device *d, struct tz_id user, tz_ver at, int64_t received_ms,
                struct tz_rights *out, tz_ver *until, struct tz_err *err);
/** Where the record was at version @at. 1, 0 it was not there yet, negative. */
int tz_area_at(struct tz_store *s, const struct tz_row *row, tz_ver at, struct tz_area *out, struct tz_err *err);
/** Remember a grant that ends with version @until. */
TZ_MUST_USE int tz_grant_ended(struct tz_store *s, uint32_t device, const struct tz_id *user, const char *role,
                               const char *area, tz_ver since, tz_ver until, struct tz_err *err);

/* judge_purged.c */
/** Was it purged? 1 and what is known of it (area, version of its deletion) in @ghost, 0 no, negative. */
int tz_purged_get(struct tz_store *s, const struct tz_type *t, struct tz_id id, struct tz_row *ghost,
                  struct tz_err *err);
/** The op's record is not there: refused as unknown, unless it was purged and the author could read it. 0 answered,
 * negative. */
TZ_MUST_USE int tz_purged_op(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t);
bool tz_purged_case(const struct tz_judge *j, const struct tz_row *c);
/** RESOLVE of such a case: somebody has seen the words. */
TZ_MUST_USE int tz_purged_resolve(struct tz_judge *j, const struct tz_op *op, struct tz_row *c);

/* judge_duplicate.c */
/** The record was written (from @old, NULL: new): remember what it claims now. */
TZ_MUST_USE int tz_duplicate_note(struct tz_judge *j, const struct tz_row *row, const struct tz_row *old);
/** The changeset is carried out: who else claims what it claims? */
TZ_MUST_USE int tz_duplicate_check(struct tz_judge *j);
/** The two came apart: they never become one again by themselves. */
TZ_MUST_USE int tz_duplicate_parted(struct tz_judge *j, const struct tz_type *t, struct tz_id a, struct tz_id b);
bool tz_duplicate_case(const struct tz_judge *j, const struct tz_row *c);
/** RESOLVE of such a case: both stay. */
TZ_MUST_USE int tz_duplicate_resolve(struct tz_judge *j, const struct tz_op *op, const struct tz_row *c);

/* judge_merge.c */
/** May the author merge records (@t NULL: of whatever type)? Supervisors may. */
bool tz_merge_right(const struct tz_judge *j, const struct tz_type *t);
/** @gone becomes part of @keep; both exist and are live. @by_itself: nobody decided it, so the author's rights hold for
 * each field of the survivor: what he may not write is a candidate. */
TZ_MUST_USE int tz_merge_records(struct tz_judge *j, const struct tz_type *t, struct tz_id keep, struct tz_id gone,
                                 bool by_itself);
TZ_MUST_USE int tz_judge_merge(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t);

/* judge_link.c */
/** Where a merged record went: 1 and @survivor (may be NULL), 0 it was not merged, negative. */
int tz_alias_get(struct tz_store *s, const struct tz_type *t, struct tz_id id, struct tz_id *survivor,
                 struct tz_err *err);
/** Of which record that became part of @row the value of field @i was said, by version @said: into @of; zero: its own.
 */
TZ_MUST_USE int tz_alias_speaker(struct tz_judge *j, const struct tz_row *row, size_t i, struct tz_value value,
                                 tz_ver said, struct tz_id *of);
/** References named in @rec lead to survivors. */
TZ_MUST_USE int tz_merge_redirect(struct tz_judge *j, struct tz_record *rec, const bool *names);
/** A named reference to its own type makes a circle: 1 refused, 0, negative. */
int tz_merge_circle(struct tz_judge *j, const struct tz_row *row, const bool *names);

/* judge_unmerge.c */
TZ_MUST_USE int tz_judge_unmerge(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t);

/* rows.c */
/** Hash of business key @k; false when a part is empty (it claims nothing). */
bool tz_rows_claim(struct tz_store *s, const struct tz_record *rec, size_t k, int64_t *out);
/** Where a record belongs by its own content. 1 and the area; 0 when the parent is unknown or the codes are bad;
 * negative. */
int tz_rows_area(struct tz_store *s, const struct tz_record *rec, struct tz_arena *a, struct tz_area *out,
                 struct tz_err *err);
/** How many records up its area comes from (0: its own); stops counting past TZ_AREA_DEPTH_MAX. Negative: error. */
int tz_rows_area_depth(struct tz_store *s, const struct tz_record *rec, struct tz_err *err);
/** At least as many bytes as its body takes, counted without encoding. */
size_t tz_rows_bytes(const struct tz_record *rec);
/** @rc, but TZ_E_LIMIT where it was @a's budget that ended: the data was too much, not the machine too small. */
int tz_rows_code(const struct tz_arena *a, int rc);
/** Store @row at version @ver: table, feed, claims, leaving entries, dependants. @old NULL = new. */
TZ_MUST_USE int tz_rows_put(struct tz_store *s, struct tz_row *row, const struct tz_row *old, tz_ver ver,
                            struct tz_arena *a, struct tz_err *err);
/** The record is gone without a trace: row, place in the feed, leaving entries, claims. */
TZ_MUST_USE int tz_rows_forget(struct tz_store *s, const struct tz_row *row, struct tz_err *err);
/** The leaving entry of a record in @left->area goes. */
TZ_MUST_USE int tz_rows_forget_leaving(struct tz_store *s, const struct tz_row *left, struct tz_err *err);
/** Reference fields that point at @t (ref(any) included), into @out. Returns how many (≤ max). */
size_t tz_rows_child_refs(const struct tz_catalogue *cat, const struct tz_type *t, struct tz_child_ref *out,
                          size_t max);
/** The type a ref(any) of @rec points at; NULL when unnamed or unknown. */
const struct tz_type *tz_rows_ref_type(const struct tz_catalogue *cat, const struct tz_record *rec,
                                       const struct tz_field *f);

/* store_feed.c */
/** May a holder of this grant read records of @area? */
bool tz_feed_readable(const struct tz_grant *g, const struct tz_area *area);
/** Drop what the reader may not see: secret fields, and fields whose class this catalogue does not know. */
void tz_feed_project(const struct tz_grant *g, struct tz_record *rec);
/** A read snapshot, unless a transaction is open. */
TZ_MUST_USE int tz_feed_read_begin(struct tz_store *s, struct tz_err *err);
/** Version and audit head of the snapshot. */
TZ_MUST_USE int tz_feed_head(struct tz_store *s, struct tz_msg_checkpoint *head, struct tz_err *err);

/* store_who.c, store_user.c */
/** At most @cap - 1 bytes of @in (NULL: none), and a NUL. */
void tz_who_copy(char *out, size_t cap, const char *in);
/** Codes and names become fields of a record that everybody receives: the rules of those fields hold. @code: shorter
 * than its field allows, since a device is named like its first user. */
TZ_MUST_USE int tz_who_check_user(struct tz_store *s, const char *code, const char *name, struct tz_err *err);
/** 1 with id, role and area of the user of that code, 0 there is none, negative. */
int tz_who_user_by_code(struct tz_store *s, const char *code, struct tz_id *id, char role[TZ_NAME_BYTES],
                        char area[TZ_STREET_BYTES], struct tz_err *err);
#define TZ_CITY_CODE "120000"
/** Division code → area; the city's code gives the empty one. */
struct tz_area tz_who_area(const char *code);
/** May a user of this role act on a device of that one? Never with other rights than the device was given. */
bool tz_who_role_fits(const struct tz_catalogue *cat, const struct tz_role *user, const char *device_role);

/** Is this a grant that may be given: a known role, an area that fits it? */
TZ_MUST_USE int tz_who_check_grant(struct tz_store *s, const char *role, const char *area, struct tz_err *err);
/** The record of a user, as it will be; @name NULL keeps. */
TZ_MUST_USE int tz_who_put_user(struct tz_store *s, struct tz_id id, const char *code, const char *name,
                                const char *role, const char *area, bool active, struct tz_err *err);

/* store_unit.c */
/** The unit in a user's record; NULL: none of his own. */
TZ_MUST_USE int tz_who_put_unit(struct tz_store *s, struct tz_id user, const struct tz_id *unit, struct tz_err *err);

/* store_journal.c */
enum tz_journal_kind {
    TZ_JOURNAL_DEVICE,
    TZ_JOURNAL_USER,
    TZ_JOURNAL_INVITE,
    TZ_JOURNAL_PURGED,
    TZ_JOURNAL_UNIT,
    TZ_JOURNAL_NUMBERING,
    TZ_JOURNAL_GRANT,
    TZ_JOURNAL_PAST,
    TZ_JOURNAL_INSTALLATION,
    TZ_JOURNAL_KINDS
};
/** Note the present state of one row of who.c's tables for the journal. In a group, after every change to it. */
TZ_MUST_USE int tz_journal_note(struct tz_store *s, enum tz_journal_kind kind, struct tz_value key, struct tz_err *err);
/** A number of the series was given: the journal is told where it stands when the group commits. */
void tz_store_numbered(struct tz_store *s, uint32_t type, const char *series);
/** What the group noted goes to the journal; nothing when there is nothing. */
TZ_MUST_USE int tz_journal_flush(struct tz_store *s, struct tz_err *err);
/** A journal that tells nothing yet gets everything there is. Outside groups. */
TZ_MUST_USE int tz_journal_found(struct tz_store *s, struct tz_err *err);
/** Carry out the entries of @line in the open group. @changed: how many were not so already. */
TZ_MUST_USE int tz_journal_replay(struct tz_store *s, const struct tz_journal_line *line, size_t *changed,
                                  struct tz_err *err);

/* store_restore.c */
/** Read the ranges that restores undid. */
TZ_MUST_USE int tz_lost_load(struct tz_store *s, struct tz_err *err);
/** Whoever saw version @said saw up to this one: itself, or what was left when a restore undid it. */
tz_ver tz_lost_floor(const struct tz_store *s, tz_ver said);
/** Did a restore undo version @ver? */
bool tz_lost_is(const struct tz_store *s, tz_ver ver);

/* store_lost.c */
/** When the recovery window has ended: some of the rows that nobody else brought become cases. @more: there are others.
 */
TZ_MUST_USE int tz_lost_settle(struct tz_store *s, bool *more, struct tz_err *err);
/** The change that had version @old came in again, as @ver. */
TZ_MUST_USE int tz_lost_came_back(struct tz_store *s, tz_ver old, tz_ver ver, struct tz_err *err);

/* store_installation.c */
/** Whose number @seq is, for the installation @d: its own, or that of one it comes from. */
TZ_MUST_USE int tz_installation_owner(struct tz_store *s, const struct tz_device *d, uint64_t seq, uint32_t *out,
                                      struct tz_err *err);
/** Its number is used up; nothing for the first one, whose numbers are in `device`. */
TZ_MUST_USE int tz_installation_judged(struct tz_store *s, uint32_t device, uint32_t incarnation, uint64_t seq,
                                       struct tz_err *err);
/** Up to which number a restore forgot its answers, and to say so. */
TZ_MUST_USE int tz_installation_forgotten(struct tz_store *s, const struct tz_device *d, uint64_t *out,
                                          struct tz_err *err);
TZ_MUST_USE int tz_installation_forget(struct tz_store *s, const struct tz_device *d, uint64_t upto,
                                       struct tz_err *err);
void tz_fork_note(struct tz_store *s, uint64_t session, uint32_t incarnation);
bool tz_fork_known(const struct tz_store *s, uint64_t session, uint32_t incarnation);

/* store_reoffer.c */
/** Whoever waits for what others may hand in again is judged once more, except those of device @except. */
TZ_MUST_USE int tz_reoffer_wake(struct tz_store *s, uint32_t except, struct tz_err *err);
/** When the recovery window has ended: what still waits for it gets its verdict. */
TZ_MUST_USE int tz_reoffer_end(struct tz_store *s, struct tz_err *err);

/* store_history.c */
/** Index audit entry @n: the records that @cs names, with what became of each op. */
TZ_MUST_USE int tz_history_note(struct tz_store *s, uint64_t n, const struct tz_changeset *cs,
                                const struct tz_op_result *results, struct tz_err *err);
/** The step that adds the index: from the audit bodies there are. @store: a struct tz_store whose database is open. */
TZ_MUST_USE int tz_history_backfill(struct tz_db *db, void *store, struct tz_err *err);

/* store_answer.c */
struct tz_answer {
    struct tz_result r;     /* in the arena */
    struct tz_bytes result; /* the same as it was sent */
};
/** What is kept of @r, whose serialised form is @full: into @out, in @a. */
TZ_MUST_USE int tz_answer_keep(const struct tz_result *r, struct tz_bytes full, struct tz_arena *a,
                               struct tz_bytes *out);
/** The answer that stands under a number: 1, 0 there is none, negative. */
int tz_answer_get(struct tz_store *s, uint32_t device, uint32_t incarnation, uint64_t seq, struct tz_arena *a,
                  struct tz_answer *out, struct tz_err *err);
/**
 * To look without reading the answer itself: bound, with the columns hash, outcome, result, ver; the caller steps and
 * resets it. NULL with @err set.
 */
struct tz_stmt *tz_answer_stmt(struct tz_store *s, uint32_t device, uint32_t incarnation, uint64_t seq,
                               struct tz_err *err);

/* store_audit.c */
TZ_MUST_USE int tz_audit_add(struct tz_store *s, const char *meta, struct tz_bytes body, struct tz_err *err);
/** The body of entry @n, in @a: 1, 0 it was erased, negative; TZ_E_VERIFY it is not the one that was written. */
int tz_audit_body(struct tz_store *s, uint64_t n, struct tz_arena *a, struct tz_bytes *out, struct tz_err *err);
/** Remember the newest entry beside the log, in the same transaction: so that a shortened log is found. */
TZ_MUST_USE int tz_audit_head_save(struct tz_store *s, struct tz_err *err);
/** Is the newest entry the remembered one? TZ_E_VERIFY. */
TZ_MUST_USE int tz_audit_head_check(struct tz_store *s, struct tz_err *err);

/* store.c */
/** Open without judging how old it is and without shipped rows. */
TZ_MUST_USE int tz_store_open_bare(const char *path, const struct tz_store_options *o, struct tz_store **out,
                                   struct tz_err *err);
TZ_MUST_USE int tz_store_meta_put(struct tz_store *s, const char *key, struct tz_value v, struct tz_err *err);
/** 0 when there is none. */
TZ_MUST_USE int tz_store_meta_int(struct tz_store *s, const char *key, int64_t *out, struct tz_err *err);
void tz_store_random(struct tz_store *s, void *p, size_t n);
/** Fixed id, maker 0: SHA-256 of the parts, version 8. */
struct tz_id tz_store_fixed_id(const char *type, struct tz_bytes code);

/* store_damage.c */
/** An incident of the server's own, once a day for the same @what. @detail: both languages. */
TZ_MUST_USE int tz_incident_own(struct tz_store *s, const char *code, const char *what, const char *detail,
                                struct tz_err *err);

/* store_commit.c */
/** A version for something the server does itself (shipped rows, users): reserves it and writes its commit row. */
TZ_MUST_USE int tz_store_own_commit(struct tz_store *s, tz_ver *ver, struct tz_err *err);
/** What it writes was there before a restore as version @old_ver: who had seen that has seen it. */
TZ_MUST_USE int tz_store_own_commit_as(struct tz_store *s, tz_ver old_ver, tz_ver *ver, struct tz_err *err);
TZ_MUST_USE int tz_store_commit_row(struct tz_store *s, const struct tz_commit *c, tz_hlc claimed, int64_t offset_ms,
                                    int64_t received_ms, const uint8_t hash[TZ_HASH_BYTES], struct tz_err *err);
/** All zero: nobody's. What could not be read is in s->read_err. */
struct tz_commit tz_store_commit_of(struct tz_store *s, tz_ver ver);

#endif
