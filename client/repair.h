/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_REPAIR_H
#define TZ_REPAIR_H

/*
 * Finding the buckets in which this replica differs from the server, and putting back those alone. Without I/O: part of
 * a session (tz_sync_repair), which hands over answers, finished jobs and checkpoints.
 */

#include "office.h"

struct tz_repair;
struct tz_cjob;

enum tz_repair_what {
    TZ_REPAIR_CHANGED, /* other content than the server's: put back */
    TZ_REPAIR_MISSING, /* not here: put */
    TZ_REPAIR_EXTRA,   /* not the server's: set aside */
    TZ_REPAIR_KEPT,    /* not the server's: left, because the server wants it so */
    TZ_REPAIR_UNFIT,   /* the server's, but it cannot be stored here: set aside */
    TZ_REPAIR_WHATS
};

struct tz_repair_row {
    uint32_t type;
    struct tz_id id;
    enum tz_repair_what what;
};

enum { TZ_REPAIR_ROWS_NAMED = 200 };

struct tz_repair_report {
    int code;                    /* 0 every bucket was compared; else TZ_E_*, and the rest says how far it came */
    bool dry;                    /* nothing was written */
    uint64_t buckets;            /* that differed at first */
    uint64_t n[TZ_REPAIR_WHATS]; /* rows, by what was found */
    struct tz_repair_row rows[TZ_REPAIR_ROWS_NAMED]; /* the first ones */
    size_t nrows;
    uint64_t looked; /* own rows read to find them, in all pages */
    tz_ver ver;      /* newest version compared with */
    bool noted;      /* the server wrote an incident; it has enough of them otherwise */
};

/** Rows that were found, all kinds. */
uint64_t tz_repair_total(const struct tz_repair_report *r);
/** "changed" … */
const char *tz_repair_what_name(enum tz_repair_what w);

struct tz_repair_io {
    void (*send)(void *ctx, uint8_t type, struct tz_bytes body);
    /** A job of this repair; takes. */
    void (*submit)(void *ctx, struct tz_cjob *job);
    tz_ver (*checkpoint)(void *ctx); /* visible */
    /** Once, last; the repair may be freed after it returned, not inside. */
    void (*done)(void *ctx, const struct tz_repair_report *r);
    void *ctx;
};

/** Starts asking at once. @dry: only tell. TZ_E_NOMEM. */
TZ_MUST_USE int tz_repair_new(bool dry, const struct tz_repair_io *io, struct tz_repair **out);
void tz_repair_free(struct tz_repair *r);
bool tz_repair_is_done(const struct tz_repair *r);
/** A Digest or DamageNoted. TZ_E_PROTOCOL: nobody asked for it; TZ_E_FORMAT. */
TZ_MUST_USE int tz_repair_on_answer(struct tz_repair *r, uint8_t type, struct tz_bytes body, struct tz_err *err);
/** Takes. */
void tz_repair_on_job(struct tz_repair *r, struct tz_cjob *job);
/** The visible state moved. */
void tz_repair_on_checkpoint(struct tz_repair *r);

#endif
