/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_TWO_OFFICES_H
#define TZ_TWO_OFFICES_H

/*
 * A server's store and two offices of one district, each on a disk in memory, without wire and sessions: what travels
 * is kept in hand. All of it can be copied at any moment, so that what happens next can be tried again and again.
 *
 * Everything asserts but the steps of the script (tw_step), whose error is the answer: the power may go under them.
 */

#include "memvfs.h"
#include "office.h"
#include "store.h"

enum tw_place { TW_SERVER, TW_A, TW_B, TW_PLACES };
enum { TW_ORGS_MAX = 256, TW_TRAVEL_MAX = 128 };

struct tw {
    const struct tz_catalogue *cat;
    struct tz_clock_fake clock;
    uint64_t random;
    struct tz_memdisk *disk[TW_PLACES];
    struct tz_store *store;      /* NULL while closed */
    struct tz_office *office[2]; /* of TW_A, TW_B; NULL while closed */
    struct tz_arena *a;          /* of whoever tries; what travels is in it */
    struct tz_id org[TW_ORGS_MAX];
    size_t norgs, saves;
    struct {
        struct tz_bytes up[TW_TRAVEL_MAX]; /* changesets on their way to the server */
        struct tz_signed_result back[TW_TRAVEL_MAX];
        size_t nup, nback;
    } travel[2];
};

/** All made, enrolled and open. */
struct tw *tw_new(const struct tz_catalogue *cat, struct tz_arena *a);
/** The same on disks of its own, as if the machines had stopped here and everything were on the medium; closed. What it
 * needs from now on comes from @a. */
struct tw *tw_copy(const struct tw *from, struct tz_arena *a);
void tw_free(struct tw *w);
void tw_open(struct tw *w, enum tw_place p);
void tw_close(struct tw *w, enum tw_place p);
struct tz_db *tw_db(struct tw *w, enum tw_place p);
/** Digest of every table: equal when and only when the content is. */
void tw_digest(struct tw *w, enum tw_place p, uint8_t out[32]);

/**
 * One step of a script, one transaction on one disk:
 *   a b  somebody in office A or B saves something; what, follows from how many saves there were
 *   L l  the office takes what it has not sent out of its outbox (A, B)
 *   P p  the server judges what was taken, as one group
 *   R r  the office takes the answers in
 *   W w  the office takes in what a Welcome says
 *   C c  the office makes everything new visible, with its checkpoint
 *   0 1 2  the server's, A's, B's WAL goes into the database
 */
int tw_step(struct tw *w, char step);
/** On whose disk a step writes. */
enum tw_place tw_place_of(char step);
/** The offices meet the server until nothing is left to say; then both hold what the server has for them. */
void tw_converge(struct tw *w);

#endif
