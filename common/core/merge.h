/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_MERGE_H
#define TZ_MERGE_H

/*
 * The merge of one SET into one record: a pure function of the current row, its stamps and the edit (rules and pair
 * table: MERGE.md of this folder). Only the server calls it for real; the simulator's oracle does not share it.
 */

#include "changeset.h"

/** In `field` of a stamp beside the field's own: whose word the value is, where a merge of records wrote it there. */
#define TZ_STAMP_SAID (UINT32_C(1) << 30)

/** When one field (or one set element) was last written. Absent = the version it was made in, `born`. */
struct tz_stamp {
    uint32_t field;   /* or TZ_FIELD_DELETED; with TZ_STAMP_SAID see there */
    uint32_t element; /* FNV-1a of a set element, 0 for the field itself */
    tz_ver ver;
    bool resolved; /* written by RESOLVE: an edit that did not see it never wins */
};

/** Ascending (field, element). Layout of the packed form: stamps.c. */
struct tz_stamps {
    struct tz_stamp *v;
    size_t n;
    size_t cap;
    struct tz_arena *arena; /* owns v */
};
void tz_stamps_init(struct tz_stamps *s, struct tz_arena *arena);
TZ_MUST_USE int tz_stamps_decode(struct tz_stamps *s, struct tz_bytes packed);
TZ_MUST_USE int tz_stamps_encode(const struct tz_stamps *s, struct tz_buf *out);
/** The stamp of (field, element), or {.ver = born}. */
struct tz_stamp tz_stamps_get(const struct tz_stamps *s, uint32_t field, uint32_t element, tz_ver born);
/** Of a field itself: the value is the word of stamp.ver from now on (tz_stamps_said). */
TZ_MUST_USE int tz_stamps_set(struct tz_stamps *s, struct tz_stamp stamp);
/** Version of whose author said the field's value: its stamp's, unless a merge of records stamped it anew. What was
 * seen goes by the stamp, who said it and when by this. */
tz_ver tz_stamps_said(const struct tz_stamps *s, uint32_t field, tz_ver born);
/** After tz_stamps_set: it is the word of @said. */
TZ_MUST_USE int tz_stamps_say(struct tz_stamps *s, uint32_t field, tz_ver said);
void tz_stamps_drop(struct tz_stamps *s, uint32_t field, uint32_t element);
uint32_t tz_element_hash(struct tz_bytes element);

/** Who wrote a version: a row of the commit table. */
struct tz_commit {
    tz_ver ver;
    uint32_t device, incarnation;
    uint64_t seq;
    struct tz_id user;
    tz_hlc effective;
    tz_ver old_ver; /* handed in again after a restore: the version it had before; 0 otherwise */
};

/** Looks a version up; {0} when unknown (before the log: nobody's). */
typedef struct tz_commit (*tz_commit_of_fn)(void *ctx, tz_ver ver);

/** How an edit that is handed in again stands to later ones that came in before it. */
enum tz_overtaken {
    TZ_OVERTAKEN_NOT,     /* nobody who wrote since had seen it */
    TZ_OVERTAKEN_QUIETLY, /* the next one had: it was a successor, nothing was in dispute */
    TZ_OVERTAKEN_OPENLY,  /* the next one had not, but one after it had: both words were there, in a case */
};

/** An installation of the same device, up to where the edit's own went its way: numbers ≤ upto_seq are of its history.
 */
struct tz_ancestor {
    uint32_t incarnation;
    uint64_t upto_seq;
};

/** The edit being judged. */
struct tz_edit {
    uint32_t device, incarnation;
    uint64_t seq;
    struct tz_id user;
    tz_hlc effective;
    tz_ver base_ver;
    uint64_t base_seq;
    tz_ver ver;   /* the version this commit will have */
    tz_ver birth; /* of a record that its own author made anew while this edit of it waited; what that left empty was
                     seen. 0 none */
    const struct tz_ancestor *ancestors; /* of an installation that is a copy: those that it goes back to; borrowed */
    size_t nancestors;
    tz_ver old_base; /* a base that a restore undid, as the edit names it; 0 none */
    tz_ver old_ver;  /* handed in again after a restore: the version it had; 0 none */
    /** What became of (field, element) after old_ver, before the restore; NULL where that cannot matter. @ctx: of the
     * commit look-up. @element NULL: of the field itself. */
    enum tz_overtaken (*overtaken)(void *ctx, uint32_t field, const struct tz_bytes *element);
};

/** Did the edit see what now stands at @stamp? Stamp ≤ base, or handed in again with an old version ≤ the base it
 * names, or own (of its incarnation, or of one that it goes back to, from before it went its own way) with seq ≤
 * base_seq. */
bool tz_merge_saw(const struct tz_edit *e, struct tz_stamp stamp, tz_commit_of_fn of, void *ctx);
/** Did what stands at @stamp, which the edit did not see, come after it in the order before a restore? */
enum tz_overtaken tz_merge_overtaken(const struct tz_edit *e, struct tz_stamp stamp, const struct tz_bytes *element,
                                     void *ctx);

/** What lost, for the case of its subject (field or group). */
struct tz_loss {
    uint16_t field;          /* index */
    struct tz_value value;   /* the losing value; NULL is a value like any other */
    struct tz_value as_of;   /* group members: the date that went with it */
    struct tz_commit author; /* of the losing value */
    const char *rule;        /* what decided: "later", "as_of", "resolved"; static */
    bool merged;             /* what stood and lost: a merge of records had brought it */
    struct tz_id of;         /* said of another record, that became part of this one; zero: of this one */
};

struct tz_merge_out {
    struct tz_value v[TZ_FIELDS_MAX]; /* new value of every field */
    bool changed;                     /* any value or stamp differs */
    struct tz_loss loss[TZ_FIELDS_MAX];
    size_t nlosses;
    bool superseded; /* at least one value the edit names lost */
};

/**
 * Merge @e (fields @names with values in @in) into (@cur, @stamps, @born).
 *
 * @names  by field index: the edit names this field (in->v[i], NULL when cleared). Fields of class field and group
 *         only; rights are judged before.
 * @stamps is updated in place. TZ_E_NOMEM only.
 */
TZ_MUST_USE int tz_merge_set(const struct tz_type *type, const struct tz_record *cur, tz_ver born,
                             struct tz_stamps *stamps, const struct tz_record *in, const bool *names,
                             const struct tz_edit *e, tz_commit_of_fn of, void *ctx, struct tz_merge_out *out);

/** What one ADD or REMOVE makes of a set. */
struct tz_elements_out {
    struct tz_value v; /* in the arena, or the old one */
    bool changed;      /* value or stamps differ */
    bool superseded;   /* REMOVE: an element that the edit had not seen stands */
};

/**
 * ADD (@add) or REMOVE the @n elements @el of set field @f, whose value is @cur. An element without a stamp has @born;
 * the stamp of the field itself is that of its last removal, so that a DELETE which did not see it is held up.
 *
 * @stamps is updated in place. TZ_E_LIMIT: too many elements; TZ_E_NOMEM.
 */
TZ_MUST_USE int tz_merge_elements(const struct tz_field *f, struct tz_value cur, tz_ver born, struct tz_stamps *stamps,
                                  bool add, const struct tz_bytes *el, size_t n, const struct tz_edit *e,
                                  tz_commit_of_fn of, void *ctx, struct tz_arena *a, struct tz_elements_out *out);

#endif
