/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_ORACLE_INT_H
#define TZ_ORACLE_INT_H

/* Inside the oracle: oracle.c state, order, holes; oracle_op.c one op, with
 * oracle_elements.c its changes of sets and oracle_resolve.c its decisions about cases; oracle_merge.c fields, groups,
 * cases, life; oracle_claims.c who claims what; oracle_pair.c two records become one and come apart. */

#include "oracle.h"

struct ocommit {
    tz_ver ver;
    uint32_t device, incarnation;
    uint64_t seq;
    struct tz_id user;
    tz_hlc effective, eff_max;
};

struct odevice {
    uint32_t number;
    tz_hlc last_effective;
};

struct ofork { /* where a copy went its own way */
    uint32_t device, incarnation, parent;
    uint64_t fork_seq;
};

/** A save that took effect, and that other copies may bring as well: by the hash it had before it was made over. */
struct oformer {
    uint32_t device, incarnation;
    uint64_t seq;
    uint8_t hash[TZ_HASH_BYTES];
};

/** What a hung changeset stands in the way of. */
struct oblock {
    uint32_t device;
    uint64_t seq;
    uint32_t incarnation;
    const struct tz_type *type;
    struct tz_id id;
    uint32_t subject; /* 0 makes the record */
};

struct owaiting {
    struct oracle_author who;
    struct tz_changeset cs;
    tz_hlc effective; /* as of when it came */
};

struct olink {
    struct oracle_row *row;
    size_t field;
    tz_ver before, ver; /* stamp of the reference before and after it was turned */
};

/** A record that became part of another. */
struct oalias {
    const struct tz_type *type;
    struct tz_id id, survivor;
    struct tz_id first; /* survivor; it may have become part of another since */
    tz_ver since, until;
    /* the survivor before: values, stamps, elements; stamps as the merge left them, with ver 0 where it left none */
    struct tz_value *was;
    struct oracle_stamp *before, *after;
    const struct oracle_element *el_before;
    struct oracle_element *el_after;
    size_t nel_before, nel_after;
    struct olink *links;
    size_t nlinks, links_cap;
    size_t *behind; /* aliases that pointed here, by number */
    size_t nbehind;
};

/** Where a record was, up to and without a version. */
struct oplace {
    const struct tz_type *type;
    struct tz_id id;
    tz_ver until;
    struct tz_area area;
};

/** A record that stands only in a case. */
struct olate {
    const struct tz_type *type;
    struct tz_id id;
    uint32_t device;
    struct tz_area area;
};

struct oundo {
    struct oracle_row *row;
    struct oracle_row was;
    struct oracle_case *cas;
    struct oracle_case cwas;
};

/** Positions in a list by hash; 0 is empty (oracle_index.c). */
struct oindex {
    uint32_t *v;
    size_t n, used;
};

struct oracle {
    const struct tz_catalogue *cat;
    const struct tz_catalogue *now; /* the server's at present */
    struct tz_arena arena;
    struct oracle_row **rows; /* pointers: rows stay where they are */
    size_t nrows, rows_cap;
    struct oracle_row **gone; /* purged ones */
    size_t ngone, gone_cap;
    struct oindex row_index, out_index;
    const struct oracle_row **changed; /* for the reader */
    size_t changed_cap;
    struct oracle_case **cases;
    size_t ncases, cases_cap;
    struct oracle_case *flat_cases;
    struct ocommit *commits;
    size_t ncommits, commits_cap;
    struct oracle_event *events;
    size_t nevents, events_cap;
    struct odevice devices[64];
    size_t ndevices;
    struct oblock *blocks;
    size_t nblocks, blocks_cap;
    struct owaiting *waiting;
    size_t nwaiting, waiting_cap;
    struct owaiting *held; /* of devices that are shut out */
    size_t nheld, held_cap;
    struct ofork *forks;
    size_t nforks, forks_cap;
    struct oformer *formers;
    size_t nformers, formers_cap;
    struct oplace *places;
    size_t nplaces, places_cap;
    struct olate *lates;
    size_t nlates, lates_cap;
    struct oracle_outcome *out;
    size_t nout, out_cap;
    tz_ver head;
    tz_hlc eff_max;
    oracle_case_of_fn case_of;
    void *case_ctx;
    oracle_author_fn author;
    void *author_ctx;
    /* the changeset being judged */
    const struct tz_changeset *cs;
    struct oracle_author who;
    struct ocommit me;
    const struct ocommit *real; /* while another's word is laid over a record */
    struct tz_id laid;          /* the record whose words these are */
    struct oracle_row *target;  /* of the op */
    unsigned round;             /* of claims: one per changeset, or op of an import */
    struct oalias *aliases;
    size_t naliases, aliases_cap;
    tz_ver base_ver;
    uint64_t base_seq;
    bool wrote;
    bool waited;  /* the changeset did */
    bool settles; /* it is settled by hand */
    int code;
    bool superseded;
    bool late;      /* the op is looked at with the rights its author had */
    unsigned depth; /* of a revival or a move */
    bool too_deep;
    struct oundo *undo;
    size_t nundo, undo_cap;
    unsigned mark;
};

#define ORACLE_GROW(arr, n, cap)                           \
    do {                                                   \
        if ((n) == (cap)) {                                \
            (cap) = (cap) ? (cap)*2 : 32;                  \
            (arr) = realloc((arr), (cap) * sizeof *(arr)); \
            if (!(arr))                                    \
                abort();                                   \
        }                                                  \
    } while (0)

/* oracle.c */
/** May field @i not be left empty? Nobody is asked for what his catalogue may not ask for. */
bool ora_required(const struct oracle *o, const struct tz_type *t, size_t i);
/* oracle_merge.c */
/** The version of whoever said the value. */
tz_ver ora_said(struct oracle_stamp s);
bool ora_saw(const struct oracle *o, tz_ver stamp, tz_ver base_ver, uint64_t base_seq);
const struct ocommit *ora_commit(const struct oracle *o, tz_ver ver);
/** Before a change: remember how it was. */
void ora_touch(struct oracle *o, struct oracle_row *r);
void ora_undo_to(struct oracle *o, size_t at);
/** @r changes by this commit. */
void ora_wrote(struct oracle *o, struct oracle_row *r);
void ora_merge_set(struct oracle *o, struct oracle_row *r, const struct tz_value *in, const bool *names);
void ora_revive(struct oracle *o, struct oracle_row *r);
void ora_revive_parents(struct oracle *o, struct oracle_row *r);
void ora_case_life(struct oracle *o, const struct oracle_row *r, const struct ocommit *author, const char *values);
void ora_case_close(struct oracle *o, struct oracle_case *c);
/** Before a change of it. */
void ora_touch_case(struct oracle *o, struct oracle_case *c);
void ora_move_dependants(struct oracle *o, struct oracle_row *r);
struct oracle_case *ora_case_newest(const struct oracle *o, const struct oracle_row *r, const char *subject);
void ora_case_join(struct oracle *o, const struct oracle_row *r, const char *subject, const char *kind,
                   struct oracle_candidate c);
struct oracle_candidate ora_candidate(const struct oracle *o, const struct ocommit *author, const char *values);
const char *ora_values(struct oracle *o, const struct tz_type *t, const struct tz_value *v, const bool *which);
const char *ora_subject(const struct tz_type *t, size_t field);
struct oracle_case *ora_case_new(struct oracle *o, const struct oracle_row *r, const char *subject, uint32_t generation,
                                 const char *kind);
/* oracle_claims.c */
/** The changeset (or op of an import) is carried out: who claims what somebody else does? */
void ora_check_claims(struct oracle *o);
/** The op is carried out: did it change what its own record claims? */
void ora_own_claims(struct oracle *o);
/* oracle_pair.c */
/** @by_itself: nobody decided it; what the author may not write in the survivor are words only. */
void ora_become_one(struct oracle *o, struct oracle_row *keep, struct oracle_row *gone, bool by_itself);
/** The record that what stands in field @i was said of, if that became part of @r: by @s, its stamp. Zero: of @r. */
struct tz_id ora_speaker(const struct oracle *o, const struct oracle_row *r, size_t i, struct oracle_stamp s);
/** Nobody has taken it over from who made it. */
bool ora_draft(const struct oracle_row *r);
struct oalias *ora_alias(const struct oracle *o, const struct tz_type *t, struct tz_id id);
/** The record, or where it went. */
struct oracle_row *ora_target(const struct oracle *o, const struct tz_type *t, struct tz_id id);
void ora_redirect(struct oracle *o, const struct tz_type *t, struct tz_value *v, const bool *names);
bool ora_circle(const struct oracle *o, const struct oracle_row *r, const bool *names);
int ora_op_merge(struct oracle *o, const struct tz_op *op, const struct tz_type *t);
int ora_keep_both(struct oracle *o, const struct tz_op *op, struct oracle_case *c);
/* oracle_late.c */
/** The op was refused with @code: are its words kept for somebody who may judge? */
bool ora_late(struct oracle *o, const struct tz_op *op, int code);
/** RESOLVE of a case about a record that does not exist yet. */
int ora_resolve_new(struct oracle *o, const struct tz_op *op, struct oracle_case *c);
/* oracle_purge.c */
struct oracle_row *ora_gone(const struct oracle *o, const struct tz_type *t, struct tz_id id);
/** An op whose record is not there; @in and @names of a SET or ADD. */
int ora_op_gone(struct oracle *o, const struct tz_op *op, const struct tz_type *t, const struct tz_value *in,
                const bool *names);
/** ADD or REMOVE. */
int ora_elements_gone(struct oracle *o, const struct tz_op *op, const struct tz_type *t);
int ora_resolve_gone(struct oracle *o, const struct tz_op *op, struct oracle_case *c);
/* oracle_index.c */
void ora_row_add(struct oracle *o, struct oracle_row *r);
/** A row was taken out: those behind it lie elsewhere. */
void ora_rows_moved(struct oracle *o);
void ora_outcome_add(struct oracle *o, struct oracle_outcome x);
/* oracle_copy.c */
/** Another copy's of the same save took effect: its outcome; NULL: the present changeset is to be judged. */
const struct oracle_outcome *ora_twin(const struct oracle *o);
/** The present changeset took effect under its number. */
void ora_twin_note(struct oracle *o);
/* oracle_event.c */
int ora_op_event(struct oracle *o, const struct tz_op *op, const struct tz_type *t, const struct tz_value *in,
                 const bool *names);
/** @r is being made and begins its procedure; @decided: a supervisor lets in what another has said. */
int ora_opening(struct oracle *o, struct oracle_row *r, bool decided);
/** Does the field say which record a new one reopens? */
bool ora_reopens(const struct tz_type *t, size_t field);
/** May the role open records of @t, if they have a procedure? */
bool ora_opens(const struct tz_type *t, const struct tz_role *role);
/* oracle_op.c */
int ora_take(struct oracle *o, const struct tz_op *op, const struct tz_type *t, struct tz_value *in, bool *names);
int ora_create_rights(const struct oracle *o, const struct tz_type *t, const struct tz_value *in, const bool *names);
/** Rules of fields that an edit breaks. */
int ora_set_rights(const struct oracle *o, const struct oracle_row *r, const struct tz_value *in, const bool *names);
bool ora_may_edit(const struct oracle *o, const struct oracle_row *r, const struct tz_field *f);
/** The server's catalogue lacks a field: whose right it would be, and what it would win against, nobody can say. */
bool ora_names_unknown(const struct tz_op *op, const struct tz_type *t, const struct tz_record *rec);
/** An edit of a deleted record: the code of the refusal; @done there is nothing left to write into it. */
int ora_set_on_deleted(struct oracle *o, struct oracle_row *r, const struct tz_value *in, const bool *names,
                       bool *done);
/** Of those that refer to @r: 1 one the author saw blocks, 2 there is one he did not see, 0 none. */
int ora_children(const struct oracle *o, const struct oracle_row *r);
/** The author had heard of all that stands in @r. */
bool ora_saw_everything(const struct oracle *o, const struct oracle_row *r);
/** The record comes to be as of this commit. */
void ora_make(struct oracle *o, const struct tz_type *t, struct tz_id id, const struct tz_value *v,
              const struct tz_area *area);
int ora_check_area(struct oracle *o, const struct tz_type *t, const struct tz_value *v, struct tz_area *out);
int ora_check_refs(struct oracle *o, const struct tz_type *t, const struct tz_value *v, const bool *names);
/** 0, or the code of the refusal; o->superseded. */
int ora_judge_op(struct oracle *o, const struct tz_op *op);
struct oracle_row *ora_find(const struct oracle *o, const struct tz_type *t, struct tz_id id);
bool ora_in_area(const struct oracle *o, const struct tz_area *a);
bool ora_area_of(const struct oracle *o, const struct tz_type *t, const struct tz_value *v, struct tz_area *out);
const struct tz_type *ora_ref_type(const struct oracle *o, const struct tz_type *t, const struct tz_value *v,
                                   const struct tz_field *f);
/* oracle_elements.c */
/** Rules of fields that a change of elements breaks; @f the set. */
int ora_elements_rights(const struct oracle *o, const struct tz_op *op, const struct oracle_row *r,
                        const struct tz_field **f);
/** What the set would be if nobody else had touched it. */
struct tz_value ora_wished(struct oracle *o, const struct tz_op *op, struct tz_value was);
/** The elements of a set in order, as the canonical text has them. */
size_t ora_split(struct tz_value set, struct tz_bytes *out, size_t max);
struct tz_value ora_join(struct oracle *o, struct tz_bytes *v, size_t n);
bool ora_has(const struct tz_bytes *v, size_t n, struct tz_bytes el, size_t *at);
/** @el of field @f was added by version @ver, or (0) is gone. */
void ora_stamp_element(struct oracle *o, struct oracle_row *r, size_t f, struct tz_bytes el, tz_ver ver);
tz_ver ora_element_ver(const struct oracle_row *r, size_t f, struct tz_bytes el);
int ora_op_elements(struct oracle *o, const struct tz_op *op, const struct tz_type *t);
/* oracle_resolve.c */
int ora_op_resolve(struct oracle *o, const struct tz_op *op);

#endif
