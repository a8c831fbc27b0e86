/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_CHANGESET_H
#define TZ_CHANGESET_H

/*
 * A save and its outcome, in memory. The wire form is proto/sync.proto; numbers are the same. Pointers borrow from the
 * arena or message the struct was read from.
 */

#include "codec.h"
#include "hlc.h"

typedef uint64_t tz_ver; /* epoch (15 bits) << 48 | counter (48 bits); 0 = none; fits a signed 64-bit column */

enum { TZ_VER_COUNTER_BITS = 48, TZ_CHANGESET_OPS_MAX = 500, TZ_INDEPENDENT_OPS_MAX = 256 };
enum { TZ_CHANGESET_ROW_BYTES_MAX = 8 * 1024 * 1024 }; /* rows that one may write, dependants included */
enum { TZ_CHANGESET_BYTES_MAX = 256 * 1024, TZ_HASH_BYTES = 32, TZ_REASON_CHARS_MAX = 200, TZ_OP_ELEMENTS_MAX = 1000 };

enum tz_op_kind {
    TZ_OP_NONE = 0,
    TZ_OP_CREATE = 1,
    TZ_OP_SET = 2,
    TZ_OP_ADD = 3,
    TZ_OP_REMOVE = 4,
    TZ_OP_APPEND = 5,
    TZ_OP_VOID = 6,
    TZ_OP_EVENT = 7,
    TZ_OP_DELETE = 8,
    TZ_OP_RESTORE = 9,
    TZ_OP_MERGE = 10,
    TZ_OP_UNMERGE = 11,
    TZ_OP_RESOLVE = 12,
    TZ_OP_WITHDRAW = 13,
};
enum tz_choice { TZ_CHOICE_NONE = 0, TZ_CHOICE_MINE = 1, TZ_CHOICE_THEIRS = 2, TZ_CHOICE_TYPED = 3 };
enum tz_outcome {
    TZ_OUT_NONE = 0,
    TZ_OUT_APPLIED = 1,
    TZ_OUT_SUPERSEDED = 2,
    TZ_OUT_REFUSED = 3,
    TZ_OUT_WAITING = 4,
    TZ_OUT_HELD = 5,
    TZ_OUT_UNDER_REVIEW = 6,
    TZ_OUT_WITHDRAWN = 7,
};

struct tz_op {
    enum tz_op_kind kind;
    uint32_t type;
    struct tz_id id;
    tz_ver base_ver;
    uint64_t base_seq;
    struct tz_bytes values; /* record body; empty = none */
    const uint32_t *cleared;
    size_t ncleared;
    uint32_t field;
    const struct tz_bytes *elements;
    size_t nelements;
    struct tz_id other_id; /* zero = none */
    uint32_t generation;
    enum tz_choice choice;
    const char *action;         /* "" = none */
    const char *expected_state; /* "" = none */
    uint64_t expected_seq;
    uint64_t target_seq;
    bool deleted;
    struct tz_bytes target_hash; /* TZ_HASH_BYTES, or empty */
    struct tz_bytes note;        /* EVENT: body of the type that records the steps; empty = none */
};

struct tz_changeset {
    uint32_t device;
    uint32_t incarnation;
    uint64_t seq;
    struct tz_id user;
    tz_hlc hlc;
    uint32_t catalogue_version;
    const char *reason; /* "" = none */
    bool independent;
    tz_ver base_checkpoint;
    const struct tz_op *ops;
    size_t nops;
    struct tz_id import_id; /* zero = none */
    struct tz_bytes former; /* hash that it had under a former number: TZ_HASH_BYTES, or empty */
    struct tz_bytes signature;
};

enum { TZ_RESULT_ARGS_MAX = TZ_ERR_ARGS_MAX, TZ_RESULT_CASES_MAX = 16, TZ_RESULT_GIVEN_MAX = 8 };

struct tz_given {
    uint32_t field;
    struct tz_bytes value; /* record-body encoding of that one field */
};

struct tz_op_result {
    enum tz_outcome outcome;
    int code; /* 0 or TZ_E_* (negative; the wire carries the positive number) */
    const char *args[TZ_RESULT_ARGS_MAX];
    size_t nargs;
    const struct tz_id *cases;
    size_t ncases;
    const struct tz_given *given;
    size_t ngiven;
    struct tz_id alias_of; /* the record that this one is part of: the op was about that; zero = none */
    struct tz_id absorbed; /* a record that became part of this one at once; zero = none */
};

struct tz_result {
    uint32_t incarnation;
    uint64_t seq;
    enum tz_outcome outcome;
    tz_ver ver;
    int code;
    const char *args[TZ_RESULT_ARGS_MAX];
    size_t nargs;
    uint64_t blocked_by;
    const struct tz_op_result *ops;
    size_t nops;
    uint8_t hash[TZ_HASH_BYTES];
    tz_hlc effective;    /* that it counted with; 0: none */
    int64_t received_ms; /* with the effective time */
    tz_ver old_ver;      /* handed in again after a restore: the version it had at first; 0: it was not */
};

#endif
