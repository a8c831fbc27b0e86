/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_CASE_INT_H
#define TZ_CASE_INT_H

/* Pieces of a case's record, shared by judge_case.c (what people say about a value), judge_resolve.c (what is decided)
 * and judge_duplicate.c (two records that claim one key). */

#include "store_int.h"

#include <jansson.h>

#define TZ_CASE_LIFE "_deleted"
#define TZ_CASE_NEW "_created"    /* subject: a record that is to be made */
#define TZ_CASE_LATE "late_scope" /* kind */

/** What a case is about. */
struct tz_case_subject {
    char name[TZ_NAME_MAX + 1];
    bool life;
    bool words;     /* about no value of the record: nothing stands */
    bool secret;    /* such words: for who may read secrets */
    bool whole;     /* a record that is to be made */
    uint16_t group; /* 0 = none */
    int field;      /* index, -1 when a group or life */
};

/** The newest case of (record, subject). */
struct tz_case_head {
    bool known;          /* there is an entry */
    uint32_t generation; /* 0 = no case yet */
    bool open;
    struct tz_id case_id;
};

enum { TZ_CASE_SUBJECTS_MAX = TZ_FIELDS_MAX + 1 };

/** One of the cases of a record. */
struct tz_case_ref {
    struct tz_case_subject s;
    struct tz_id id;
};

/** The newest cases about what people say of a record, the open ones or the closed, into @out[TZ_CASE_SUBJECTS_MAX]. */
TZ_MUST_USE int tz_case_about(struct tz_judge *j, const struct tz_row *row, bool open, struct tz_case_ref *out,
                              size_t *n);
const struct tz_field *tz_case_field(const struct tz_judge *j, const char *name);
void tz_case_put_text(struct tz_judge *j, struct tz_row *c, const char *field, const char *text);
void tz_case_put_int(struct tz_judge *j, struct tz_row *c, const char *field, int64_t v);
TZ_MUST_USE int tz_case_head_get(struct tz_judge *j, const struct tz_row *row, const char *subject,
                                 struct tz_case_head *out);
TZ_MUST_USE int tz_case_head_put(struct tz_judge *j, const struct tz_row *row, const char *subject,
                                 const struct tz_case_head *h);
struct tz_id tz_case_id(const struct tz_row *row, const char *subject, uint32_t generation);
/** Name it in the op's result. */
void tz_case_note(struct tz_judge *j, struct tz_id id);
/** The record of a case that is known to exist. */
TZ_MUST_USE int tz_case_load(struct tz_judge *j, struct tz_id id, struct tz_row **out);
TZ_MUST_USE int tz_case_store(struct tz_judge *j, struct tz_row *c);
int64_t tz_case_get_int(const struct tz_judge *j, const struct tz_row *c, const char *field);

/* ---- subjects ---- */

/** The subject that field @i belongs to. */
struct tz_case_subject tz_case_subject_of(const struct tz_type *t, size_t i);
bool tz_case_subject_parse(const struct tz_type *t, struct tz_value name, struct tz_case_subject *out);
/** Is field @i one of those it is about? */
bool tz_case_in_subject(const struct tz_type *t, const struct tz_case_subject *s, size_t i);
bool tz_case_subject_secret(const struct tz_type *t, const struct tz_case_subject *s);

/* ---- words; json_t is the caller's to free, NULL: no memory ---- */

json_t *tz_case_value_json(struct tz_value v);
/** What @author said. @values is taken. */
json_t *tz_case_candidate(const struct tz_judge *j, struct tz_commit author, const char *rule, json_t *values);
/** @cand is taken: it was said of record @id. */
json_t *tz_case_said_of(json_t *cand, struct tz_id id);
/** The candidate as it joins anew with this commit. */
json_t *tz_case_again(const struct tz_judge *j, const json_t *cand);
/** The candidates in a case's field; empty when it holds none. */
json_t *tz_case_list(struct tz_value v);
/** The words in the case of a record of type @t, about @s. */
json_t *tz_case_words(const struct tz_judge *j, const struct tz_type *t, const struct tz_case_subject *s,
                      const struct tz_row *c);
/** TZ_E_TOO_LONG leaves what was there. */
TZ_MUST_USE int tz_case_put_words(struct tz_judge *j, const struct tz_type *t, const struct tz_case_subject *s,
                                  struct tz_row *c, const json_t *list);
/** Open a case about @s or join the open one. @cand is taken. */
TZ_MUST_USE int tz_case_join(struct tz_judge *j, const struct tz_row *row, const struct tz_case_subject *s,
                             const char *kind, const char *rule, json_t *cand);
/** The same of several, in order; none opens nothing. @words is taken. */
TZ_MUST_USE int tz_case_join_all(struct tz_judge *j, const struct tz_row *row, const struct tz_case_subject *s,
                                 const char *kind, const char *rule, json_t *words);
/** Fill standing of @c from @row. Returns 1 when it changed, 0 when not, negative. */
TZ_MUST_USE int tz_case_set_standing(struct tz_judge *j, struct tz_row *c, const struct tz_row *row,
                                     const struct tz_case_subject *s);
/** About what came when its author had lost the right to it: for supervisors. */
bool tz_case_late_kind(const struct tz_judge *j, const struct tz_row *c);
/** Do @values stand in @c as somebody's late word? In which of its lists, the catalogue of that day said. */
bool tz_case_has_word(const struct tz_judge *j, const struct tz_row *c, const json_t *values);
/** Where @c about @row lies. */
void tz_case_place(const struct tz_judge *j, struct tz_row *c, const struct tz_row *row);
/** Do these values of a record to be made stand in @c as what its author said? */
bool tz_case_has_new(const struct tz_judge *j, const struct tz_row *c, const struct tz_record *in, const bool *names);
/** Close @c, which is about @row, by the author of the op. */
TZ_MUST_USE int tz_case_close(struct tz_judge *j, const struct tz_row *row, struct tz_row *c, const char *choice);

#endif
