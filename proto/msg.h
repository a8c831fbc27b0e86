/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_MSG_H
#define TZ_MSG_H

/*
 * Messages ↔ plain structs. Nothing outside msg*.c sees generated protobuf code.
 *
 * Every tz_msg_read_* first walks the bytes with tz_wire_check against the message's table, then unpacks with
 * protobuf-c into
 * @arena through our allocator, then copies into the struct. Strings and bytes in the result live in @arena (bytes of
 * record bodies and raw changesets may borrow from @in). Errors: TZ_E_FORMAT, TZ_E_LIMIT (PEER class): hang up and
 * tell. Every tz_msg_put_* appends the serialised message to @out. Pure; any thread.
 */

#include "area.h"
#include "bucket.h"
#include "changeset.h"

enum tz_msg_type { /* frame types */
                   TZ_MSG_HELLO = 1,
                   TZ_MSG_WELCOME = 2,
                   TZ_MSG_PUSH = 3,
                   TZ_MSG_RESULTS = 4,
                   TZ_MSG_PULL = 5,
                   TZ_MSG_ROWS = 6,
                   TZ_MSG_CHECKPOINT = 7,
                   TZ_MSG_ACK = 8,
                   TZ_MSG_ERROR = 10,
                   TZ_MSG_PING = 11,
                   TZ_MSG_PONG = 12,
                   TZ_MSG_ENROL = 14,
                   TZ_MSG_ENROLLED = 15,
                   TZ_MSG_VERIFY = 20,
                   TZ_MSG_VERIFIED = 21,
                   TZ_MSG_DIGEST_REQUEST = 22,
                   TZ_MSG_DIGEST = 23,
                   TZ_MSG_WIPE_ORDER = 28,
                   TZ_MSG_WIPE_RECEIPT = 29,
                   TZ_MSG_WIPE_NOTED = 37,
                   TZ_MSG_DAMAGE = 32,
                   TZ_MSG_DAMAGE_NOTED = 33,
                   TZ_MSG_HISTORY_ASK = 24,
                   TZ_MSG_HISTORY = 25,
                   TZ_MSG_REOFFER = 26,
                   TZ_MSG_LOST_ROWS = 27,
                   TZ_MSG_LOST_TAKEN = 36,
                   TZ_MSG_RENUMBER = 34,
                   TZ_MSG_RENUMBERED = 35,
};
enum { TZ_LANE_CONTROL = 0, TZ_LANE_UP = 1, TZ_LANE_DOWN = 2 };
enum { TZ_PROTOCOL_VERSION = 1 };
enum { /* caps, the same in proto/README.md */
       TZ_MSG_AREAS_MAX = 512,
       TZ_MSG_USERS_MAX = 256,
       TZ_MSG_CURSORS_MAX = 1024, /* areas × tiers */
       TZ_MSG_CHANGESETS_MAX = 256,
       TZ_MSG_RESULTS_MAX = 1024,
       TZ_MSG_ROWS_MAX = 8192,
       TZ_MSG_LOST_MAX = 4096,
       TZ_MSG_LOST_RANGES_MAX = 16,
       TZ_MSG_LOST_ROWS_MAX = 1024,
       TZ_MSG_HISTORY_MAX = 64, /* entries of one History */
       TZ_PUSH_IN_FLIGHT_MAX = 8,
       TZ_ROWS_IN_FLIGHT_MAX = 4,
       TZ_ROWS_FRAME_BYTES = 256 * 1024, /* a sender closes a Rows frame at this size; one version is never split */
       TZ_MSG_DIGEST_AREAS_MAX = 1024,   /* entries of round 1 */
       TZ_MSG_DIGEST_KEYS_MAX = 16,      /* asked about at once in round 2 */
       TZ_MSG_DIGEST_ENTRIES_MAX = TZ_MSG_DIGEST_KEYS_MAX * TZ_BUCKET_RANGES,
       TZ_MSG_DAMAGE_BUCKETS_MAX = 64,
};
struct tz_cursor {
    struct tz_area area;
    uint32_t tier;
    tz_ver ver;
    tz_ver begun; /* Pull: the purge horizon as it was when this cursor began at 0 */
};

struct tz_msg_hello {
    uint32_t protocol;
    const char *software;
    uint32_t catalogue_version;
    uint32_t incarnation;
    int64_t wall_ms;
    tz_ver checkpoint;
    uint64_t audit_n;
    uint8_t audit_hash[TZ_HASH_BYTES];
    const uint64_t *lost_seqs;
    size_t nlost;
    uint64_t last_seq;
    uint64_t heard_seq;
    uint64_t unsent;
};

/** Versions that a restore of the server has undone: above < ver <= upto. */
struct tz_lost_range {
    tz_ver above, upto;
    uint32_t epoch; /* that the restore began */
};

struct tz_session_user {
    struct tz_id id;
    const char *code, *name, *role;
    bool active;
};

enum tz_audit_answer { TZ_AUDIT_UNANSWERED = 0, TZ_AUDIT_SAME = 1, TZ_AUDIT_CHANGED = 2 };

struct tz_msg_welcome {
    uint32_t protocol;
    const char *software;
    uint32_t catalogue_version;
    int64_t wall_ms;
    uint32_t epoch;
    uint32_t device;
    uint32_t incarnation;
    const char *device_name, *role, *area;
    const struct tz_area *areas;
    size_t nareas;
    bool reads_secret;
    const struct tz_session_user *users;
    size_t nusers;
    uint64_t judged_seq;
    tz_ver head;
    uint64_t audit_n;
    uint8_t audit_hash[TZ_HASH_BYTES];
    uint32_t push_in_flight_max, rows_in_flight_max;
    int64_t recovery_until_ms; /* 0 = no window is open */
    const struct tz_lost_range *lost;
    size_t nlost;
    enum tz_audit_answer audit;
    tz_ver horizon;      /* newest version of which something was purged; 0 = never */
    tz_ver compact_upto; /* words of own saves up to here may go; 0 = none */
};

/** This folder is a copy, or was put back from one. */
struct tz_msg_renumber {
    uint8_t token[TZ_ID_BYTES]; /* made up and written down before */
    uint64_t fork_seq;          /* up to here its numbers are those of its present incarnation */
};

struct tz_msg_error {
    int code; /* TZ_E_*; a number this side does not know becomes TZ_E_PROTOCOL with the number as argument */
    const char *args[TZ_ERR_ARGS_MAX];
    size_t nargs;
    bool fatal;
};

enum tz_row_state { TZ_ROW_LIVE = 0, TZ_ROW_DELETED = 1, TZ_ROW_LEFT = 2 };

struct tz_msg_row {
    uint32_t type;
    struct tz_id id;
    tz_ver ver;
    struct tz_area area;
    enum tz_row_state state;
    struct tz_bytes body;
};

struct tz_msg_rows {
    const struct tz_msg_row *rows;
    size_t nrows;
    const struct tz_cursor *progress;
    size_t nprogress;
};

struct tz_msg_checkpoint {
    tz_ver ver;
    uint64_t audit_n;
    uint8_t audit_hash[TZ_HASH_BYTES];
};

struct tz_msg_verify {
    uint64_t audit_n;
    uint8_t audit_hash[TZ_HASH_BYTES];
};

struct tz_msg_verified {
    tz_ver ver;
    uint64_t rows;
    uint8_t digest[TZ_HASH_BYTES];
    bool audit_ok;
    uint64_t audit_n;
    uint8_t audit_hash[TZ_HASH_BYTES];
};

enum tz_digest_round { TZ_DIGEST_AREAS = 1, TZ_DIGEST_RANGES = 2, TZ_DIGEST_ROWS = 3 };

struct tz_msg_digest_request {
    enum tz_digest_round round;
    struct tz_bucket_key after;                        /* AREAS; type 0: from the first */
    struct tz_bucket_key keys[TZ_MSG_DIGEST_KEYS_MAX]; /* RANGES: 1 or more; ROWS: 1 */
    size_t nkeys;
    uint8_t ranges[TZ_BUCKET_MAP_BYTES]; /* ROWS */
    struct tz_id after_id;               /* ROWS; zero: from the first */
};

struct tz_msg_digest {
    enum tz_digest_round round;
    const struct tz_msg_row *rows;
    size_t nrows;
    const struct tz_bucket *entries;
    size_t nentries;
    tz_ver ver, since;
    bool more, repair_keeps;
};

/** In the place of Welcome: the device is revoked. */
struct tz_msg_wipe_order {
    uint32_t device, incarnation, push_in_flight_max;
    bool taking;                  /* unsent saves may be handed in */
    tz_ver lost_above, lost_upto; /* and applied ones of these versions, which a restore undid; 0 0 none */
};
/** Nothing outside the grant is on the device any more. */
struct tz_msg_wipe_receipt {
    tz_ver ver;
    bool all;
};

struct tz_damage_bucket {
    struct tz_bucket_key key;
    uint8_t range;
    uint32_t rows;
};

struct tz_msg_damage {
    struct tz_damage_bucket buckets[TZ_MSG_DAMAGE_BUCKETS_MAX];
    size_t nbuckets;
    tz_ver ver;
    uint64_t changed, missing, extra, kept, unfit;
};

struct tz_msg_history_ask {
    uint32_t type;
    struct tz_id id;
    uint32_t field; /* id; 0 = all */
    uint64_t before;
};

/** One op on the record asked about. Of @op count: kind, base_ver, base_seq, values, cleared, field, elements,
 * choice, deleted, action, other_id; of @result: outcome, code, args, cases. */
struct tz_history_op {
    struct tz_op op;
    struct tz_op_result result;
    struct tz_id case_id; /* RESOLVE: the case it decides; zero = not told */
    uint32_t index;       /* in its changeset */
    bool as_other;        /* it names other_id, which is part of the record asked about: a CREATE made that one */
};

struct tz_history_entry {
    uint64_t n; /* audit entry; 0 = not judged by the server (only in what a device knows of itself) */
    tz_ver ver; /* 0 = nothing was written */
    uint32_t device, incarnation;
    uint64_t seq;
    const char *device_name;
    struct tz_id user; /* zero = unknown */
    const char *user_code, *user_name;
    tz_hlc claimed; /* 0 = unknown */
    int64_t offset_ms;
    tz_hlc effective; /* 0 = nothing was written */
    int64_t received_ms;
    const char *reason;
    enum tz_outcome outcome;
    bool imported, erased;
    const struct tz_history_op *ops;
    size_t nops;
};

struct tz_field_stamp {
    uint32_t field;
    tz_ver ver;
    bool resolved;
};

struct tz_msg_history {
    const struct tz_history_entry *entries;
    size_t nentries;
    uint64_t next; /* 0 = no more */
    tz_ver born;
    const struct tz_field_stamp *stamps;
    size_t nstamps;
};

struct tz_msg_enrol {
    uint32_t protocol;
    const char *software;
    struct tz_bytes secret, csr;
};

struct tz_msg_enrolled {
    struct tz_bytes certificate, ca;
    uint32_t device, incarnation;
    const char *name, *role, *area;
    struct tz_id user;
};

struct tz_signed_result {
    struct tz_bytes result; /* serialised Result */
    struct tz_bytes mac;
};
/** A save whose answer a restore of the server undid, with that answer. */
struct tz_offered {
    struct tz_bytes changeset;
    struct tz_signed_result was;
};

TZ_MUST_USE int tz_msg_put_hello(struct tz_buf *out, const struct tz_msg_hello *m);
TZ_MUST_USE int tz_msg_read_hello(struct tz_bytes in, struct tz_arena *a, struct tz_msg_hello *m, struct tz_err *err);
TZ_MUST_USE int tz_msg_put_welcome(struct tz_buf *out, const struct tz_msg_welcome *m);
TZ_MUST_USE int tz_msg_read_welcome(struct tz_bytes in, struct tz_arena *a, struct tz_msg_welcome *m,
                                    struct tz_err *err);
TZ_MUST_USE int tz_msg_put_error(struct tz_buf *out, const struct tz_msg_error *m);
TZ_MUST_USE int tz_msg_read_error(struct tz_bytes in, struct tz_arena *a, struct tz_msg_error *m, struct tz_err *err);
TZ_MUST_USE int tz_msg_put_ping(struct tz_buf *out, uint64_t nonce); /* Pong has the same form */
TZ_MUST_USE int tz_msg_read_ping(struct tz_bytes in, uint64_t *nonce, struct tz_err *err);
/** Rows in the form of a Rows message without progress. */
TZ_MUST_USE int tz_msg_read_lost_rows(struct tz_bytes in, struct tz_arena *a, const struct tz_msg_row **rows, size_t *n,
                                      struct tz_err *err);
TZ_MUST_USE int tz_msg_put_lost_taken(struct tz_buf *out, const uint32_t *verdicts, size_t n);
TZ_MUST_USE int tz_msg_read_lost_taken(struct tz_bytes in, struct tz_arena *a, uint32_t **verdicts, size_t *n,
                                       struct tz_err *err);
TZ_MUST_USE int tz_msg_put_renumber(struct tz_buf *out, const struct tz_msg_renumber *m);
TZ_MUST_USE int tz_msg_read_renumber(struct tz_bytes in, struct tz_msg_renumber *m, struct tz_err *err);
TZ_MUST_USE int tz_msg_put_renumbered(struct tz_buf *out, uint32_t incarnation);
TZ_MUST_USE int tz_msg_read_renumbered(struct tz_bytes in, uint32_t *incarnation, struct tz_err *err);
TZ_MUST_USE int tz_msg_put_push(struct tz_buf *out, const struct tz_bytes *changesets, size_t n);
TZ_MUST_USE int tz_msg_read_push(struct tz_bytes in, struct tz_arena *a, struct tz_bytes **changesets, size_t *n,
                                 struct tz_err *err); /* borrow from @in */
TZ_MUST_USE int tz_msg_put_reoffer(struct tz_buf *out, const struct tz_offered *saves, size_t n);
TZ_MUST_USE int tz_msg_read_reoffer(struct tz_bytes in, struct tz_arena *a, struct tz_offered **saves, size_t *n,
                                    struct tz_err *err);
TZ_MUST_USE int tz_msg_put_results(struct tz_buf *out, const struct tz_signed_result *results, size_t n);
TZ_MUST_USE int tz_msg_read_results(struct tz_bytes in, struct tz_arena *a, struct tz_signed_result **results,
                                    size_t *n, struct tz_err *err); /* borrow from @in */
/** Appended to a Results: it answers no Push. */
TZ_MUST_USE int tz_msg_put_results_unasked(struct tz_buf *out);
/** Of a message that tz_msg_read_results has taken. */
bool tz_msg_results_unasked(struct tz_bytes in);
TZ_MUST_USE int tz_msg_put_pull(struct tz_buf *out, const struct tz_cursor *cursors, size_t n);
TZ_MUST_USE int tz_msg_read_pull(struct tz_bytes in, struct tz_arena *a, struct tz_cursor **cursors, size_t *n,
                                 struct tz_err *err);
TZ_MUST_USE int tz_msg_put_rows(struct tz_buf *out, const struct tz_msg_rows *m);
/** One row in the form it has inside Rows (field 1 with key and length): lets a reader build a frame row by row. */
TZ_MUST_USE int tz_msg_put_rows_row(struct tz_buf *out, const struct tz_msg_row *row);
/** One progress entry in the form it has inside Rows (field 2). */
TZ_MUST_USE int tz_msg_put_rows_progress(struct tz_buf *out, const struct tz_cursor *c);
TZ_MUST_USE int tz_msg_read_rows(struct tz_bytes in, struct tz_arena *a, struct tz_msg_rows *m, struct tz_err *err);
TZ_MUST_USE int tz_msg_put_checkpoint(struct tz_buf *out, const struct tz_msg_checkpoint *m);
TZ_MUST_USE int tz_msg_read_checkpoint(struct tz_bytes in, struct tz_msg_checkpoint *m, struct tz_err *err);
TZ_MUST_USE int tz_msg_put_ack(struct tz_buf *out, uint32_t frames);
TZ_MUST_USE int tz_msg_read_ack(struct tz_bytes in, uint32_t *frames, struct tz_err *err);
TZ_MUST_USE int tz_msg_put_verify(struct tz_buf *out, const struct tz_msg_verify *m);
TZ_MUST_USE int tz_msg_read_verify(struct tz_bytes in, struct tz_msg_verify *m, struct tz_err *err);
TZ_MUST_USE int tz_msg_put_verified(struct tz_buf *out, const struct tz_msg_verified *m);
TZ_MUST_USE int tz_msg_read_verified(struct tz_bytes in, struct tz_msg_verified *m, struct tz_err *err);
TZ_MUST_USE int tz_msg_put_digest_request(struct tz_buf *out, const struct tz_msg_digest_request *m);
TZ_MUST_USE int tz_msg_read_digest_request(struct tz_bytes in, struct tz_msg_digest_request *m, struct tz_err *err);
TZ_MUST_USE int tz_msg_put_digest(struct tz_buf *out, const struct tz_msg_digest *m);
/** Everything but the rows, which tz_msg_put_rows_row wrote before: a Digest has them in the same form as Rows. */
TZ_MUST_USE int tz_msg_put_digest_tail(struct tz_buf *out, const struct tz_msg_digest *m);
TZ_MUST_USE int tz_msg_read_digest(struct tz_bytes in, struct tz_arena *a, struct tz_msg_digest *m, struct tz_err *err);
TZ_MUST_USE int tz_msg_put_wipe_order(struct tz_buf *out, const struct tz_msg_wipe_order *m);
TZ_MUST_USE int tz_msg_read_wipe_order(struct tz_bytes in, struct tz_msg_wipe_order *m, struct tz_err *err);
TZ_MUST_USE int tz_msg_put_wipe_receipt(struct tz_buf *out, const struct tz_msg_wipe_receipt *m);
TZ_MUST_USE int tz_msg_read_wipe_receipt(struct tz_bytes in, struct tz_msg_wipe_receipt *m, struct tz_err *err);
TZ_MUST_USE int tz_msg_put_wipe_noted(struct tz_buf *out, bool noted);
TZ_MUST_USE int tz_msg_read_wipe_noted(struct tz_bytes in, bool *noted, struct tz_err *err);
TZ_MUST_USE int tz_msg_put_damage(struct tz_buf *out, const struct tz_msg_damage *m);
TZ_MUST_USE int tz_msg_read_damage(struct tz_bytes in, struct tz_msg_damage *m, struct tz_err *err);
TZ_MUST_USE int tz_msg_put_damage_noted(struct tz_buf *out, bool noted);
TZ_MUST_USE int tz_msg_read_damage_noted(struct tz_bytes in, bool *noted, struct tz_err *err);
TZ_MUST_USE int tz_msg_put_history_ask(struct tz_buf *out, const struct tz_msg_history_ask *m);
TZ_MUST_USE int tz_msg_read_history_ask(struct tz_bytes in, struct tz_msg_history_ask *m, struct tz_err *err);
TZ_MUST_USE int tz_msg_put_history(struct tz_buf *out, const struct tz_msg_history *m);
TZ_MUST_USE int tz_msg_read_history(struct tz_bytes in, struct tz_arena *a, struct tz_msg_history *m,
                                    struct tz_err *err);
/** One entry in the form it has inside History: lets a reader build the message entry by entry. */
TZ_MUST_USE int tz_msg_put_history_entry(struct tz_buf *out, const struct tz_history_entry *e);
TZ_MUST_USE int tz_msg_put_enrol(struct tz_buf *out, const struct tz_msg_enrol *m);
TZ_MUST_USE int tz_msg_read_enrol(struct tz_bytes in, struct tz_arena *a, struct tz_msg_enrol *m, struct tz_err *err);
TZ_MUST_USE int tz_msg_put_enrolled(struct tz_buf *out, const struct tz_msg_enrolled *m);
TZ_MUST_USE int tz_msg_read_enrolled(struct tz_bytes in, struct tz_arena *a, struct tz_msg_enrolled *m,
                                     struct tz_err *err);

TZ_MUST_USE int tz_msg_put_changeset(struct tz_buf *out, const struct tz_changeset *c);
/** Checks counts, sizes of ids and format number; not rights or values. */
TZ_MUST_USE int tz_msg_read_changeset(struct tz_bytes in, struct tz_arena *a, struct tz_changeset *c,
                                      struct tz_err *err);
TZ_MUST_USE int tz_msg_put_result(struct tz_buf *out, const struct tz_result *r);
TZ_MUST_USE int tz_msg_read_result(struct tz_bytes in, struct tz_arena *a, struct tz_result *r, struct tz_err *err);

/** "Hello" …, or "unknown". */
const char *tz_msg_name(uint8_t type);

#endif
