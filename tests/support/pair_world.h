/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_PAIR_WORLD_H
#define TZ_PAIR_WORLD_H

/*
 * Small worlds in which two or three people edit the same records without hearing of each other, in the words of
 * common/core/pairs.csv (MERGE.md, "All pairs", explains them). Knows how to say a thing to the server and how to
 * describe what stands; what should stand is the table's business.
 *
 * A world is made once, closed, and copied for each run. Everybody has received all of it. Records have one letter:
 *
 *   R S T  organisations (S is what merges bring in, T claims a business key)     V  a visit of R
 *   W X    weak cases of branches (they have a set)                               P Q  their branches
 *   L M    ledger items about organisation N, submitted and not verified yet
 *   A B C  whatever the first, second, third person makes
 */

#include "store_fixture.h"

#define PW_USCI_1 "usci=91120101MA0T000017" /* T's */
#define PW_USCI_2 "usci=91120101MA0T000025"

enum { PW_LETTERS = 26, PW_DEVS = 3, PW_FACTS_MAX = 64, PW_FACT_BYTES = 256 };

struct pw_rec {
    const struct tz_type *type; /* NULL: nobody of that letter */
    struct tz_id id;
    struct tz_row *was;  /* in the world, NULL when made later */
    struct tz_row *said; /* made later: what its maker said */
};

/** Lines, sorted by pw_look and pw_sort. */
struct pw_facts {
    size_t n;
    char line[PW_FACTS_MAX][PW_FACT_BYTES];
};

struct pw {
    struct sx *f;
    struct sx_dev dev[PW_DEVS]; /* supervisors of 120101, each with a user of his own */
    struct pw_rec rec[PW_LETTERS];
    uint64_t refused[PW_DEVS]; /* seq of an own refused save that something waits for; 0 none */
    int64_t live_before;       /* live records of the world */
    struct pw_facts *cases_before;
};

/** Names of worlds, NULL at the end. */
extern const char *const pw_worlds[];
/** Build world @name in @f, which is taken, and close its store. */
struct pw *pw_build(struct sx *f, const char *name);
struct pw *pw_clone(const struct pw *from);
void pw_free(struct pw *w);

/* ---- saying ---- */

/**
 * One op, as "set R.address=x", into a changeset of person @who, at @minute after everything in the world. What it is
 * based on is what the person has seen (w->dev[who]). A record that it makes is called @as.
 */
struct sx_cs *pw_say(struct pw *w, size_t who, char as, int minute, const char *text);
/** "create", "set", … of @text into @out. */
void pw_kind(const char *text, char *out, size_t out_bytes);
/** What @text says of its field, as pw_look would print it; "" when it is not about one. */
void pw_said(const char *text, char *out, size_t out_bytes);
/** What @text is about: "R.address", of a set with the element; the letter alone when it is about all of it. */
void pw_target(const char *text, char *out, size_t out_bytes);
/** "applied", "refused:TZ-…", … */
const char *pw_outcome(struct pw *w, const struct tz_result *r);

/* ---- looking ---- */

/** What is different from the world: "R.address=x", "+A" (made, or came back), "-R" (gone), "S=>R" (merged away). */
void pw_look(struct pw *w, struct pw_facts *out);
/** Cases that the world did not have so: "R.address open x/later", "duplicate A+T closed gone". Fails on an open case
 * whose standing values are not the record's. */
void pw_look_cases(struct pw *w, struct pw_facts *out);
/** The words that cases keep, whichever rule kept them and how often: "R.address x y" with what stands among them (of
 * one field), "R.address closed". */
void pw_look_words(struct pw *w, struct pw_facts *out);
void pw_fact(struct pw_facts *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void pw_sort(struct pw_facts *f);
/** All lines, joined by @sep. */
const char *pw_join(struct pw *w, const struct pw_facts *f, const char *sep);

/** A value as pw_look prints it: "-" for none, elements of a set joined by "+", references as letters. */
const char *pw_value(struct pw *w, struct tz_value v);
char pw_letter(const struct pw *w, struct tz_id id); /* '?' */

#endif
