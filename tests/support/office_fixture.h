/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_OFFICE_FIXTURE_H
#define TZ_OFFICE_FIXTURE_H

/* One office on a temporary database with the shipped catalogue, a clock that stands still, and a server played by
 * hand. */

#include "office_int.h"

enum { FX_DEVICE = 7 };

struct fx {
    struct tz_catalogue cat;
    struct tz_clock_fake clock;
    uint32_t random;
    char dir[64], path[96];
    const char *imports; /* of the next fx_reopen; NULL: none */
    struct tz_office *o;
    const struct tz_type *org;
    struct tz_arena a; /* values of the current test */
    bool reads_secret; /* what the next Welcome says */
    const struct tz_lost_range *lost;
    size_t nlost;
    enum tz_audit_answer audit;
    tz_ver horizon;
    /* Rows being prepared by the hand-played server */
    struct tz_buf rows;
};

int fx_setup(void **state); /* a district clerk of 120101, after Welcome and a first checkpoint at version 1 */
int fx_teardown(void **state);
/** Close and open again with the same catalogue (or @cat). */
void fx_reopen(struct fx *f, const struct tz_catalogue *cat);
struct tz_office_options fx_options(struct fx *f, const struct tz_catalogue *cat);
/** Welcome with the city's area and @n districts. */
void fx_welcome(struct fx *f, const char *role, const char *area, const char *const *districts, size_t n,
                uint32_t incarnation);

/* ---- values ---- */
struct tz_value fx_get(const struct tz_row *row, const char *field);
void fx_set(struct tz_record *rec, bool *names, const char *field, struct tz_value v);
struct tz_value fx_id_value(struct fx *f, struct tz_id id);

/* ---- the person ---- */
struct tz_save *fx_begin(struct fx *f, bool independent);
uint64_t fx_commit(struct tz_save *s);
/** A new organisation in 120101. */
struct tz_id fx_new_org(struct fx *f, const char *name, uint64_t *seq);
/** Read the view. False when there is none. */
bool fx_read(struct fx *f, const struct tz_type *t, struct tz_id id, struct tz_row *row, struct tz_seen *seen);
/** Save one field of an organisation as seen; returns seq. */
uint64_t fx_edit(struct fx *f, struct tz_id id, const struct tz_seen *seen, const char *field, struct tz_value v);
void fx_assert_text(struct fx *f, struct tz_id id, const char *field, const char *want);
/** Own changeset from the outbox table. */
struct tz_changeset fx_changeset(struct fx *f, uint64_t seq);

/* ---- the server ---- */
struct tz_id fx_server_id(uint8_t n);
/** Queue a row of an organisation with a name, and address when not NULL. */
void fx_row(struct fx *f, struct tz_id id, tz_ver ver, enum tz_row_state state, const char *district, const char *name,
            const char *address);
void fx_row_raw(struct fx *f, const struct tz_msg_row *row);
/** Deliver the queued rows and a checkpoint. */
int fx_checkpoint(struct fx *f, tz_ver ver);
int fx_result(struct fx *f, uint64_t seq, enum tz_outcome outcome, tz_ver ver, int code);
/** Outcome of each op given. */
int fx_result_ops(struct fx *f, uint64_t seq, enum tz_outcome outcome, tz_ver ver, const enum tz_outcome *ops,
                  size_t nops);
/** Serialised Result for an own changeset, in f->a. */
struct tz_signed_result fx_signed(struct fx *f, uint64_t seq, enum tz_outcome outcome, tz_ver ver, int code,
                                  const enum tz_outcome *ops, size_t nops);

#endif
