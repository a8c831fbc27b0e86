/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_STORE_FIXTURE_H
#define TZ_STORE_FIXTURE_H

/*
 * A central store on a disk in memory with the shipped catalogue, a clock that stands still, randomness from a counter,
 * and a few enrolled devices that speak in changesets. Everything asserts: a fixture that cannot do its part fails the
 * test that asked.
 *
 * Fields are written "name=value" as a person would type them; "name=" clears. A device edits on the base of what it
 * last saw (sx_see): everything up to that version and its own saves up to that seq. Until then it works offline on its
 * old view.
 */

#include "memvfs.h"
#include "store_int.h"

#include <jansson.h>

struct sx;

enum { SX_SAVES_KEPT = 8 };

struct sx_dev {
    struct sx *f;
    struct tz_device d;
    struct tz_id user;
    struct tz_id_maker ids;
    uint64_t seq;                               /* last own changeset */
    tz_ver seen;                                /* base version and checkpoint */
    uint64_t seen_seq;                          /* base_seq */
    int64_t skew_ms;                            /* device wall minus true time */
    int64_t offset_ms;                          /* as the handshake measured it: what the server adds */
    uint64_t session;                           /* that it sends in; 0 none */
    struct tz_bytes former;                     /* of its next save */
    uint64_t hlc_step;                          /* makes claims ascend although the clock stands still */
    uint8_t hash[SX_SAVES_KEPT][TZ_HASH_BYTES]; /* of own saves by seq, modulo; for withdrawals */
};

enum { SX_OPS_MAX = 500 };

/** A changeset being put together. */
struct sx_cs {
    struct sx_dev *dev;
    struct tz_changeset cs;
    struct tz_op ops[SX_OPS_MAX];
};

struct sx {
    struct tz_catalogue cat;
    struct tz_clock_fake clock;
    uint64_t random;
    size_t commits_kept; /* see tz_store_options: 1 unless a test says otherwise, so that what is asked of a version is
                            asked of a packed one */
    struct tz_memdisk *disk;
    char path[64];
    struct tz_store *s;
    struct tz_arena a; /* everything of the current test */
    /* FI, FI2: inspectors; D1, D1B: clerks of 120101; D2: clerk of 120102; S1: clerk of street 120101001; C1: central
     * clerk */
    struct sx_dev fi, fi2, d1, d1b, d2, s1, c1;
    struct sx_cs one;             /* of the one-op helpers */
    struct tz_result res;         /* of the last push */
    struct tz_signed_result *all; /* with those it released */
    size_t nall;
    struct tz_bytes raw; /* as it was sent */
    struct tz_apply_out out;
    struct tz_err err;
};

int sx_group_setup(void **state); /* one store with its devices, copied for each test */
int sx_group_teardown(void **state);
int sx_setup(void **state);
int sx_teardown(void **state);

/** A store of its own with what @from has on its disk, whose store must be closed (sx_close). Own with sx_free. */
struct sx *sx_clone(const struct sx *from);
void sx_free(struct sx *f);
void sx_close(struct sx *f);

struct tz_store_options sx_options(struct sx *f);
/** Close and open again what is on the disk. */
void sx_reopen(struct sx *f);
void sx_group(struct sx *f); /* begin */
void sx_commit(struct sx *f);

/** Enrol one more device. */
void sx_join(struct sx *f, struct sx_dev *dev, const char *name, const char *role, const char *area);
/** The device has received everything there is. */
void sx_see(struct sx_dev *dev);

/* ---- changesets ---- */
struct sx_cs *sx_begin(struct sx_dev *dev);
/** "f=v", …, NULL. */
struct tz_id sx_op_create(struct sx_cs *c, const char *type, ...) __attribute__((sentinel));
void sx_op_create_as(struct sx_cs *c, struct tz_id id, const char *type, ...) __attribute__((sentinel));
void sx_op_set(struct sx_cs *c, const char *type, struct tz_id id, ...) __attribute__((sentinel));
/** As sx_resolve below. */
void sx_op_resolve(struct sx_cs *c, struct tz_id case_id, uint32_t generation, ...) __attribute__((sentinel));
/** A step as the author sees it: what its record is and the number of its last step. Texts may be NULL; then "f=v", …,
 * NULL of the record. */
void sx_op_event(struct sx_cs *c, const char *type, struct tz_id id, const char *action, const char *state,
                 uint64_t seq, const char *opinion, const char *evidence, ...) __attribute__((sentinel));
/** The own save @seq, one of the last few. */
void sx_op_withdraw(struct sx_cs *c, uint64_t seq);
struct tz_op *sx_op(struct sx_cs *c, enum tz_op_kind kind, const char *type, struct tz_id id);
/** Apply in a group of its own; the result of this changeset. */
const struct tz_result *sx_push(struct sx_cs *c);
/** Only tz_store_apply, inside the test's own group. Fills f->res. */
int sx_apply(struct sx_cs *c);
int sx_apply_raw(struct sx_dev *dev, struct tz_bytes raw);

/* ---- one op, one changeset ---- */
struct tz_id sx_create(struct sx_dev *dev, const char *type, ...) __attribute__((sentinel)); /* must be applied */
const struct tz_result *sx_set(struct sx_dev *dev, const char *type, struct tz_id id, ...) __attribute__((sentinel));
const struct tz_result *sx_delete(struct sx_dev *dev, const char *type, struct tz_id id);
const struct tz_result *sx_restore(struct sx_dev *dev, const char *type, struct tz_id id);
const struct tz_result *sx_withdraw(struct sx_dev *dev, uint64_t seq);
/** Resolve a case with values for its subject, or with "_deleted=0|1". */
const struct tz_result *sx_resolve(struct sx_dev *dev, struct tz_id case_id, uint32_t generation, ...)
    __attribute__((sentinel));

/** An organisation in 120101, made by D1 and seen by everybody. */
struct tz_id sx_org(struct sx *f, const char *name);

/* ---- what stands ---- */
const struct tz_type *sx_type(struct sx *f, const char *name);
/** The row, live or deleted; NULL when there is none. In f->a. */
const struct tz_row *sx_row(struct sx *f, const char *type, struct tz_id id);
/** As a person reads it; "" for NULL. */
const char *sx_text(struct sx *f, const char *type, struct tz_id id, const char *field);
bool sx_deleted(struct sx *f, const char *type, struct tz_id id);
/** The case about (record, subject) of that generation; NULL when there is none. */
const struct tz_row *sx_case(struct sx *f, struct tz_id target, const char *subject, int64_t generation);
const char *sx_case_text(struct sx *f, const struct tz_row *c, const char *field);
/** Borrowed until the test ends. */
json_t *sx_candidates(struct sx *f, const struct tz_row *c, const char *field);
size_t sx_ncandidates(struct sx *f, const struct tz_row *c);
/** Value of a field in the @i-th candidate, as text. */
const char *sx_candidate(struct sx *f, const struct tz_row *c, size_t i, const char *field);
const char *sx_hex(struct sx *f, struct tz_id id);                    /* 32 digits */
const char *sx_ref(struct sx *f, const char *field, struct tz_id id); /* "field=hex" */
/** Digest over records, feed, claims, cases and the commit log: what a refused changeset must leave as it was. */
void sx_digest(struct sx *f, uint8_t out[32]);
/** The same without the commit log. */
void sx_digest_records(struct sx *f, uint8_t out[32]);
int64_t sx_query(struct sx *f, const char *sql);
void sx_exec(struct sx *f, const char *sql);
/** Take back the schema's steps from the fifth on, as an older program left it. The caller sets user_version. */
void sx_undo_from_step_5(struct sx *f);
/** The organisation holds one field of a newer catalogue, @n bytes with its head, as if an upgrade had been undone. */
void sx_fatten(struct sx *f, struct tz_id org, size_t n);

void sx_expect(const struct tz_result *r, enum tz_outcome outcome, int code);
#define sx_applied(r) sx_expect(r, TZ_OUT_APPLIED, 0)
#define sx_superseded(r) sx_expect(r, TZ_OUT_SUPERSEDED, 0)
#define sx_refused(r, code) sx_expect(r, TZ_OUT_REFUSED, code)
#define sx_text_is(f, type, id, field, want) assert_string_equal(sx_text(f, type, id, field), want)

#endif
