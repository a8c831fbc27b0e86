/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_HISTORY_H
#define TZ_HISTORY_H

/*
 * Who changed a record: what this machine knows of itself (its own saves, with what became of them) and what the server
 * told (pages of its audit log), as one list. Works without a server; says what is missing then.
 */

#include "office.h"

#include <jansson.h>

/** One op on the record. */
struct tz_change {
    struct tz_history_entry e; /* n 0: from the own outbox; what only the server knows is 0 or "" then */
    struct tz_history_op h;    /* not valid when e.erased */
    const struct tz_record *rec;
    const bool *names; /* by field index: the op says something about the field, in rec->v */
};

struct tz_changes {
    const struct tz_type *type; /* of the record */
    struct tz_id id;
    const struct tz_type *body; /* of what the ops say: type, or of a case its target's */
    struct tz_change *v;        /* newest first; in the arena */
    size_t n, cap;
    bool asked;       /* the server's pages are in it */
    bool complete;    /* and there are no more */
    uint64_t emptied; /* own saves whose words are not here any more: any of them may be about it */
    tz_ver born;      /* asked: version of the creation, and of what stands in each field */
    const struct tz_field_stamp *stamps;
    size_t nstamps;
};

/** What is known here. Everything lives in @a. TZ_E_NOMEM, and what the database says. */
TZ_MUST_USE int tz_history_here(struct tz_office *o, const struct tz_type *t, struct tz_id id, struct tz_arena *a,
                                struct tz_changes *out, struct tz_err *err);
/** Add the server's @pages (bodies of History messages, newest first), in place of own saves that are in them. */
TZ_MUST_USE int tz_history_server(struct tz_changes *c, const struct tz_bytes *pages, size_t n, struct tz_arena *a,
                                  struct tz_err *err);
/** Version that wrote what stands in @field; 0 when the server was not asked. *@resolved (may be NULL): by a decision.
 */
tz_ver tz_history_stamp(const struct tz_changes *c, uint32_t field, bool *resolved);

/** Stable names: "create" …, "applied" … ("unsent" for no outcome). */
const char *tz_op_kind_name(enum tz_op_kind k);
const char *tz_outcome_name(enum tz_outcome o);

/** Canonical JSON of a value, as dump prints it; null for NULL. */
json_t *tz_history_value_json(const struct tz_field *f, struct tz_value v);
/** One change as an object with stable keys, as `taizhang history --json` prints it. NULL out of memory. */
json_t *tz_history_change_json(const struct tz_changes *c, const struct tz_change *ch);

#endif
