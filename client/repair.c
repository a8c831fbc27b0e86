/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of a repair. No I/O: questions and jobs out, answers and finished jobs in.
 *
 *            ask ──Digest──> job ──differs──> next question …            nothing left: Damage ──DamageNoted──> DONE
 *             ^               │
 *             └── too late ───┤   (the visible checkpoint has passed the answer; a few times, then it gives up)
 *                             └── too early: PARKED until the checkpoint is there, then the job runs again
 *
 *   keys (a page) ─> ranges of those that differ (16 keys at a time) ─> rows of the ranges, key by key, page by page
 *   and from the first key again as long as a pass put something right: what was damaged may have been passed over
 *   by the feed, on its way to a key that had been compared
 *
 * Invariants
 *  1. One question or one job is under way, never both.
 *  2. What is kept is one page of keys, the ranges of one batch, and a report of fixed size.
 *  3. A key outside the grant is not asked about: its rows are the server's at no version, so the job runs at once.
 *  4. When it gives up (TZ_E_TIMEOUT), what it had put right until then is told and reported all the same.
 */
#include "log.h"
#include "repair_int.h"

#include <stdlib.h>
#include <string.h>

enum { TRIES_MAX = 8 };
enum repair_state { REPAIR_ASKING, REPAIR_WORKING, REPAIR_PARKED, REPAIR_REPORTING, REPAIR_DONE };

struct tz_repair {
    struct tz_repair_io io;
    enum repair_state state;
    struct tz_cjob *parked; /* owned */
    unsigned tries;         /* of the present question */
    struct tz_msg_digest_request ask;
    bool foreign; /* the present key is not asked about */
    bool keeps;   /* as the server last said */
    /* passes over all keys */
    unsigned passes;  /* that are done */
    uint64_t righted; /* rows, before the present pass */
    /* keys */
    bool more;
    struct tz_bucket_key through;
    struct tz_repair_diff *diffs; /* owned */
    size_t ndiffs, next;
    /* ranges */
    struct tz_bucket_key batch[TZ_MSG_DIGEST_KEYS_MAX];
    uint8_t ranges[TZ_MSG_DIGEST_KEYS_MAX][TZ_BUCKET_MAP_BYTES];
    size_t nbatch, in_batch;
    /* what was found */
    struct tz_repair_report report;
    struct tz_msg_damage damage;
};

uint64_t tz_repair_total(const struct tz_repair_report *r)
{
    uint64_t n = 0;
    for (size_t i = 0; i < TZ_REPAIR_WHATS; i++)
        n += r->n[i];
    return n;
}

const char *tz_repair_what_name(enum tz_repair_what w)
{
    static const char *const names[TZ_REPAIR_WHATS] = {"changed", "missing", "extra", "kept", "unfit"};
    return (unsigned)w < TZ_REPAIR_WHATS ? names[w] : "unknown";
}

static void finish(struct tz_repair *r, int code)
{
    r->state = REPAIR_DONE;
    r->report.code = code;
    if (tz_repair_total(&r->report))
        tz_log(TZ_LOG_WARN, "repair", "damage",
               "changed=%llu missing=%llu extra=%llu kept=%llu unfit=%llu dry=%d code=%d",
               (unsigned long long)r->report.n[TZ_REPAIR_CHANGED], (unsigned long long)r->report.n[TZ_REPAIR_MISSING],
               (unsigned long long)r->report.n[TZ_REPAIR_EXTRA], (unsigned long long)r->report.n[TZ_REPAIR_KEPT],
               (unsigned long long)r->report.n[TZ_REPAIR_UNFIT], r->report.dry, -code);
    r->io.done(r->io.ctx, &r->report);
}

/* ---- asking ---- */

static void send_message(struct tz_repair *r, uint8_t type, const struct tz_buf *b)
{
    r->io.send(r->io.ctx, type, tz_buf_unread(b));
}

static void ask(struct tz_repair *r)
{
    struct tz_buf b;
    tz_buf_init(&b, TZ_FRAME_BODY_MAX_ANON);
    r->state = REPAIR_ASKING;
    int rc = tz_msg_put_digest_request(&b, &r->ask);
    if (!rc)
        send_message(r, TZ_MSG_DIGEST_REQUEST, &b);
    tz_buf_deinit(&b);
    if (rc)
        finish(r, rc);
}

static void ask_new(struct tz_repair *r, const struct tz_msg_digest_request *m)
{
    r->ask = *m;
    r->foreign = false;
    r->tries = 0;
    ask(r);
}

static struct tz_cjob *job_new(const struct tz_repair *r)
{
    struct tz_cjob *j = calloc(1, sizeof *j);
    struct tz_repair_step *st = calloc(1, sizeof *st);
    if (!j || !st) {
        free(j);
        free(st);
        return NULL;
    }
    tz_buf_init(&j->out, 1);
    j->kind = TZ_CJOB_REPAIR;
    j->step = st;
    *st = (struct tz_repair_step){.ask = r->ask, .foreign = r->foreign, .dry = r->report.dry, .keeps = r->keeps};
    return j;
}

static void submit(struct tz_repair *r, struct tz_cjob *j)
{
    r->state = REPAIR_WORKING;
    r->io.submit(r->io.ctx, j);
}

/** Rows of a key that only we have. */
static void work_alone(struct tz_repair *r)
{
    struct tz_cjob *j = job_new(r);
    if (j)
        submit(r, j);
    else
        finish(r, TZ_E_NOMEM);
}

/* ---- what comes next ---- */

static void report(struct tz_repair *r)
{
    struct tz_buf b;
    if (r->report.dry || tz_repair_total(&r->report) == 0) {
        finish(r, r->report.code);
        return;
    }
    r->damage.ver = r->report.ver;
    r->damage.changed = r->report.n[TZ_REPAIR_CHANGED];
    r->damage.missing = r->report.n[TZ_REPAIR_MISSING];
    r->damage.extra = r->report.n[TZ_REPAIR_EXTRA];
    r->damage.kept = r->report.n[TZ_REPAIR_KEPT];
    r->damage.unfit = r->report.n[TZ_REPAIR_UNFIT];
    tz_buf_init(&b, TZ_FRAME_BODY_MAX);
    r->state = REPAIR_REPORTING;
    int rc = tz_msg_put_damage(&b, &r->damage);
    if (!rc)
        send_message(r, TZ_MSG_DAMAGE, &b);
    tz_buf_deinit(&b);
    if (rc)
        finish(r, rc);
}

static bool empty_map(const uint8_t map[TZ_BUCKET_MAP_BYTES])
{
    static const uint8_t none[TZ_BUCKET_MAP_BYTES];
    return memcmp(map, none, sizeof none) == 0;
}

/** The next key of the batch that has ranges to look into. False: the batch is done. */
static bool next_rows(struct tz_repair *r, struct tz_id after)
{
    while (r->in_batch < r->nbatch && empty_map(r->ranges[r->in_batch]))
        r->in_batch++;
    if (r->in_batch == r->nbatch)
        return false;
    struct tz_msg_digest_request m = {.round = TZ_DIGEST_ROWS, .nkeys = 1, .after_id = after};
    m.keys[0] = r->batch[r->in_batch];
    memcpy(m.ranges, r->ranges[r->in_batch], sizeof m.ranges);
    if (r->foreign) {
        r->ask = m;
        work_alone(r);
    } else {
        ask_new(r, &m);
    }
    return true;
}

/** A key outside the grant is a batch of its own, all its ranges at once. */
static bool next_foreign(struct tz_repair *r)
{
    static const struct tz_id first;
    if (!r->diffs[r->next].foreign)
        return false;
    r->batch[0] = r->diffs[r->next++].key;
    memset(r->ranges[0], 0xFF, sizeof r->ranges[0]);
    r->nbatch = 1;
    r->in_batch = 0;
    r->foreign = true;
    return next_rows(r, first);
}

static void next_ranges(struct tz_repair *r)
{
    struct tz_msg_digest_request m = {.round = TZ_DIGEST_RANGES};
    while (r->next < r->ndiffs && !r->diffs[r->next].foreign && m.nkeys < TZ_MSG_DIGEST_KEYS_MAX)
        m.keys[m.nkeys++] = r->diffs[r->next++].key;
    memcpy(r->batch, m.keys, sizeof r->batch);
    memset(r->ranges, 0, sizeof r->ranges);
    r->nbatch = m.nkeys;
    r->in_batch = 0;
    ask_new(r, &m);
}

/** All keys have been compared. False: once more, since something was put right. */
static bool pass_was_last(struct tz_repair *r)
{
    const uint64_t *n = r->report.n;
    uint64_t righted = n[TZ_REPAIR_CHANGED] + n[TZ_REPAIR_MISSING] + n[TZ_REPAIR_EXTRA];
    bool last = r->report.dry || righted == r->righted;
    r->righted = righted;
    if (++r->passes < TRIES_MAX || last)
        return last;
    r->report.code = TZ_E_TIMEOUT;
    return true;
}

static void next(struct tz_repair *r)
{
    static const struct tz_id first;
    struct tz_msg_digest_request m = {.round = TZ_DIGEST_AREAS};
    if (next_rows(r, first))
        return;
    r->foreign = false;
    if (r->next < r->ndiffs) {
        if (!next_foreign(r))
            next_ranges(r);
    } else if (r->more) {
        m.after = r->through;
        ask_new(r, &m);
    } else if (pass_was_last(r)) {
        report(r);
    } else {
        ask_new(r, &m);
    }
}

/* ---- what was found ---- */

static void name_row(struct tz_repair *r, const struct tz_repair_found *f)
{
    char hex[TZ_ID_HEX + 1];
    if (r->report.nrows == TZ_REPAIR_ROWS_NAMED)
        return;
    r->report.rows[r->report.nrows++] = f->row;
    tz_id_print(f->row.id, hex);
    tz_log(TZ_LOG_WARN, "repair", "row", "type=%u id=%s found=%s dry=%d", f->row.type, hex,
           tz_repair_what_name(f->row.what), r->report.dry);
}

/** Ranges are met in no order: look among those that were noted of this key. */
static void count_bucket(struct tz_repair *r, const struct tz_repair_found *f)
{
    const struct tz_bucket_key *key = &r->ask.keys[0];
    struct tz_msg_damage *d = &r->damage;
    for (size_t i = 0; i < d->nbuckets; i++)
        if (d->buckets[i].range == f->range && tz_bucket_key_cmp(&d->buckets[i].key, key) == 0) {
            d->buckets[i].rows++;
            return;
        }
    if (d->nbuckets < TZ_MSG_DAMAGE_BUCKETS_MAX && !r->foreign) /* a foreign key may not even have the form of one */
        d->buckets[d->nbuckets++] = (struct tz_damage_bucket){*key, f->range, 1};
}

/** What stays as it is, each pass finds again: it counts once. */
static void take_found(struct tz_repair *r, const struct tz_repair_step *st)
{
    r->report.looked += st->looked;
    for (size_t i = 0; i < st->nfound; i++) {
        enum tz_repair_what what = st->found[i].row.what;
        if (r->passes && (what == TZ_REPAIR_KEPT || what == TZ_REPAIR_UNFIT))
            continue;
        r->report.n[st->found[i].row.what]++;
        name_row(r, &st->found[i]);
        count_bucket(r, &st->found[i]);
    }
}

static void take_areas(struct tz_repair *r, struct tz_repair_step *st)
{
    free(r->diffs);
    r->diffs = st->diffs;
    r->ndiffs = st->ndiffs;
    st->diffs = NULL;
    r->next = 0;
    r->more = st->more;
    r->through = st->through;
}

static void take_ranges(struct tz_repair *r, const struct tz_repair_step *st)
{
    memcpy(r->ranges, st->ranges, sizeof r->ranges);
    for (size_t k = 0; k < r->nbatch && r->passes == 0; k++)
        for (unsigned i = 0; i < TZ_BUCKET_RANGES; i++)
            r->report.buckets += tz_bucket_map_has(r->ranges[k], (uint8_t)i);
}

static void take_step(struct tz_repair *r, struct tz_repair_step *st)
{
    if (!r->foreign) {
        r->keeps = st->keeps;
        r->report.ver = st->ver > r->report.ver ? st->ver : r->report.ver;
    }
    switch (st->ask.round) {
    case TZ_DIGEST_AREAS:
        take_areas(r, st);
        break;
    case TZ_DIGEST_RANGES:
        take_ranges(r, st);
        break;
    case TZ_DIGEST_ROWS:
        take_found(r, st);
        if (st->more && next_rows(r, st->through_id))
            return;
        r->in_batch++;
        break;
    }
    next(r);
}

/* ---- events ---- */

static void too_late(struct tz_repair *r)
{
    if (++r->tries < TRIES_MAX) {
        ask(r);
        return;
    }
    r->report.code = TZ_E_TIMEOUT;
    report(r);
}

static void park(struct tz_repair *r, struct tz_cjob *j)
{
    r->state = REPAIR_PARKED;
    r->parked = j;
}

void tz_repair_on_job(struct tz_repair *r, struct tz_cjob *j)
{
    struct tz_repair_step *st = j->step;
    if (r->state != REPAIR_WORKING) {
        tz_cjob_free(j);
        return;
    }
    if (st->at == TZ_REPAIR_EARLY) {
        park(r, j);
        return;
    }
    if (st->at == TZ_REPAIR_LATE)
        too_late(r);
    else
        take_step(r, st);
    tz_cjob_free(j);
}

void tz_repair_on_checkpoint(struct tz_repair *r)
{
    struct tz_cjob *j = r->parked;
    if (r->state != REPAIR_PARKED || r->io.checkpoint(r->io.ctx) < j->step->since)
        return;
    r->parked = NULL;
    submit(r, j);
}

static int on_digest(struct tz_repair *r, struct tz_bytes body, struct tz_err *err)
{
    struct tz_cjob *j = job_new(r);
    uint8_t *copy = malloc(body.n ? body.n : 1);
    if (j)
        j->frames = calloc(1, sizeof *j->frames);
    if (!j || !copy || !j->frames) {
        free(copy);
        tz_cjob_free(j);
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    }
    if (body.n)
        memcpy(copy, body.p, body.n);
    j->frames[0] = tz_bytes_of(copy, body.n);
    j->nframes = 1;
    submit(r, j);
    return 0;
}

int tz_repair_on_answer(struct tz_repair *r, uint8_t type, struct tz_bytes body, struct tz_err *err)
{
    bool noted = false;
    if (r->state == REPAIR_ASKING && type == TZ_MSG_DIGEST)
        return on_digest(r, body, err);
    if (r->state != REPAIR_REPORTING || type != TZ_MSG_DAMAGE_NOTED)
        return tz_err_set(err, TZ_E_PROTOCOL, "an answer nobody asked for", NULL, NULL, NULL);
    int rc = tz_msg_read_damage_noted(body, &noted, err);
    if (rc)
        return rc;
    r->report.noted = noted;
    finish(r, r->report.code);
    return 0;
}

/* ---- life ---- */

int tz_repair_new(bool dry, const struct tz_repair_io *io, struct tz_repair **out)
{
    struct tz_msg_digest_request first = {.round = TZ_DIGEST_AREAS};
    struct tz_repair *r = calloc(1, sizeof *r);
    *out = r;
    if (!r)
        return TZ_E_NOMEM;
    r->io = *io;
    r->report.dry = dry;
    ask_new(r, &first);
    return 0;
}

bool tz_repair_is_done(const struct tz_repair *r)
{
    return r->state == REPAIR_DONE;
}

void tz_repair_free(struct tz_repair *r)
{
    if (!r)
        return;
    tz_cjob_free(r->parked);
    free(r->diffs);
    free(r);
}
