/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a session asks of the store, executed on whatever thread owns it. A job carries its input and takes its answer
 * home; it never touches the session.
 *
 * Errors of the peer (bad bytes, unknown device, used invite) are the job's answer and do not disturb the group; errors
 * of this machine are returned, so that the executor rolls the whole group back.
 */
#include "log.h"
#include "pki.h"
#include "session_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JOB_ARENA_BYTES = 64 * 1024 * 1024 };
static const int64_t WALL_MS_MAX = 253402300799999; /* the year 9999 */

int tz_sjob_new(enum tz_job_kind kind, uint64_t session, struct tz_sjob **out)
{
    struct tz_sjob *j = calloc(1, sizeof *j);
    *out = j;
    if (!j)
        return TZ_E_NOMEM;
    j->kind = kind;
    j->session = session;
    tz_arena_init(&j->a, JOB_ARENA_BYTES);
    tz_buf_init(&j->reply, TZ_FRAME_BODY_MAX);
    return 0;
}

static void drop_frames(struct tz_sjob *j)
{
    while (j->frames) {
        struct frame_node *next = j->frames->next;
        free(j->frames);
        j->frames = next;
    }
}

void tz_sjob_free(struct tz_sjob *j)
{
    if (!j)
        return;
    drop_frames(j);
    free(j->grant);
    tz_buf_deinit(&j->reply);
    tz_arena_deinit(&j->a);
    free(j);
}

enum tz_job_where tz_sjob_where(const struct tz_sjob *j)
{
    bool reads =
        j->kind == TZ_JOB_PULL || j->kind == TZ_JOB_VERIFY || j->kind == TZ_JOB_DIGEST || j->kind == TZ_JOB_HISTORY;
    return reads ? TZ_JOB_READER : TZ_JOB_WRITER;
}

uint32_t tz_sjob_walks(const struct tz_sjob *j)
{
    return (j->kind == TZ_JOB_VERIFY || j->kind == TZ_JOB_DIGEST) && j->grant ? j->grant->device : 0;
}

enum tz_job_kind tz_sjob_kind(const struct tz_sjob *j)
{
    return j->kind;
}

uint64_t tz_sjob_session(const struct tz_sjob *j)
{
    return j->session;
}

void *tz_sjob_node(struct tz_sjob *j)
{
    return j->executor;
}

/** Errors that are the peer's affair: told to them, the group goes on. FORMAT, LIMIT and VALUE only where the peer's
 * own bytes are read; from anything stored they mean damage here. */
static bool is_peers(enum tz_job_kind kind, int code)
{
    switch (code) {
    case TZ_E_REVOKED:
    case TZ_E_AREA:
    case TZ_E_PROTOCOL:
    case TZ_E_PURGED_PAST:
    case TZ_E_COPIES:
        return true;
    case TZ_E_SERVER_OLDER:
        return kind == TZ_JOB_OPEN;
    case TZ_E_COMMITS_LOST:
    case TZ_E_HELD_FULL:
    case TZ_E_SEQ_HOLE:
        return kind == TZ_JOB_PUSH;
    case TZ_E_FORMAT:
    case TZ_E_LIMIT: /* the store has told its own damage apart */
        return kind == TZ_JOB_PUSH || kind == TZ_JOB_ENROL;
    case TZ_E_INVITE:
    case TZ_E_EXISTS:
    case TZ_E_VALUE:
    case TZ_E_TLS:
        return kind == TZ_JOB_ENROL;
    default:
        return false;
    }
}

/** What cannot be read in the store is damage, whatever the reader calls it. */
static int as_ours(struct tz_sjob *j, int rc)
{
    char what[32];
    if (rc != TZ_E_FORMAT && rc != TZ_E_LIMIT && rc != TZ_E_VALUE)
        return rc;
    (void)snprintf(what, sizeof what, "stored data: %s", tz_err_info(rc)->symbol);
    return tz_err_set(&j->err, TZ_E_DB_CORRUPT, what, NULL, NULL, NULL);
}

/* ---- open ---- */

static int make_welcome(struct tz_sjob *j, struct tz_store *s, const struct tz_device *d)
{
    struct tz_session_user *users = NULL;
    struct tz_lost_range lost[TZ_MSG_LOST_RANGES_MAX];
    struct tz_recovery recovery;
    struct tz_msg_welcome w = {.protocol = TZ_PROTOCOL_VERSION,
                               .software = j->software,
                               .catalogue_version = j->catalogue_version,
                               .wall_ms = j->received.ms,
                               .epoch = (uint32_t)(tz_store_head(s) >> TZ_VER_COUNTER_BITS),
                               .device = d->number,
                               .incarnation = d->incarnation,
                               .device_name = d->name,
                               .role = d->role,
                               .area = d->area,
                               .areas = j->grant->areas,
                               .nareas = j->grant->nareas,
                               .reads_secret = j->grant->reads_secret,
                               .judged_seq = d->last_seq,
                               .head = tz_store_head(s),
                               .push_in_flight_max = TZ_PUSH_IN_FLIGHT_MAX,
                               .rows_in_flight_max = TZ_ROWS_IN_FLIGHT_MAX};
    bool same = false;
    int rc = tz_store_users_of(s, d, &j->a, &users, &w.nusers, &j->err);
    w.users = users;
    if (!rc)
        rc = tz_store_horizon(s, &w.horizon, &j->err);
    w.lost = lost;
    w.nlost = tz_store_lost_ranges(s, lost, TZ_MSG_LOST_RANGES_MAX);
    if (!rc)
        rc = tz_store_recovery(s, &recovery, &j->err);
    if (!rc && recovery.open)
        w.recovery_until_ms = recovery.until_ms;
    if (!rc)
        rc = tz_store_compact_upto(s, &w.compact_upto, &j->err);
    if (!rc)
        rc = tz_store_audit_has(s, j->hello.audit_n, j->hello.audit_hash, &same, &j->err);
    w.audit = same ? TZ_AUDIT_SAME : TZ_AUDIT_CHANGED;
    if (!rc && !same)
        tz_log(TZ_LOG_WARN, "store", "audit_differs", "device=%u audit_n=%llu", d->number,
               (unsigned long long)j->hello.audit_n);
    if (!rc)
        rc = tz_store_audit_head(s, &w.audit_n, w.audit_hash, &j->err);
    return rc ? rc : tz_msg_put_welcome(&j->reply, &w);
}

/** To a device that is shut out: it learns that, which of its saves may have been undone, and nothing else. */
static int make_order(struct tz_sjob *j, struct tz_store *s, const struct tz_device *d)
{
    struct tz_lost_range lost[TZ_MSG_LOST_RANGES_MAX];
    struct tz_msg_wipe_order o = {.device = d->number,
                                  .incarnation = d->incarnation,
                                  .push_in_flight_max = TZ_PUSH_IN_FLIGHT_MAX,
                                  .taking = true};
    size_t n = tz_store_lost_ranges(s, lost, TZ_MSG_LOST_RANGES_MAX);
    for (size_t i = 0; i < n; i++) {
        o.lost_above = i == 0 || lost[i].above < o.lost_above ? lost[i].above : o.lost_above;
        o.lost_upto = lost[i].upto > o.lost_upto ? lost[i].upto : o.lost_upto;
    }
    return tz_msg_put_wipe_order(&j->reply, &o);
}

static int run_open(struct tz_sjob *j, struct tz_store *s)
{
    struct tz_device d;
    int rc = tz_store_device_by_fingerprint(s, j->fingerprint, &d, &j->err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return tz_err_set(&j->err, TZ_E_REVOKED, NULL, NULL, NULL, NULL);
    rc = tz_store_device_expire(s, &d, j->received.ms, &j->err);
    if (!rc)
        rc = tz_store_installation(s, &d, j->hello.incarnation, &j->err); /* which of the device's folders it is */
    if (rc != 1)
        return rc < 0 ? rc : tz_err_set(&j->err, TZ_E_PROTOCOL, "incarnation", NULL, NULL, NULL);
    j->grant = malloc(sizeof *j->grant);
    if (!j->grant)
        return TZ_E_NOMEM;
    rc = tz_store_grant_of(s, &d, j->received.ms, j->grant, &j->err);
    /* An offset is measured, never judged; but a clock outside the calendar says nothing. */
    int64_t wall = j->hello.wall_ms < 0 ? 0 : j->hello.wall_ms > WALL_MS_MAX ? WALL_MS_MAX : j->hello.wall_ms;
    j->offset_ms = j->received.ms - wall;
    if (!rc)
        rc = tz_store_session_begin(s, d.number, &j->hello, j->offset_ms, &j->err);
    j->leaving = d.revoked;
    j->release_left = !rc && tz_store_release_left(s);
    return rc ? rc : d.revoked ? make_order(j, s, &d) : make_welcome(j, s, &d);
}

/* ---- push ---- */

static void add_areas(struct tz_sjob *j, const struct tz_apply_out *out)
{
    if (!out->changed)
        return;
    j->changed = true;
    if (out->nareas == 0)
        j->nareas = TZ_JOB_AREAS_MAX + 1;
    for (size_t i = 0; i < out->nareas && j->nareas <= TZ_JOB_AREAS_MAX; i++) {
        if (j->nareas < TZ_JOB_AREAS_MAX)
            j->areas[j->nareas] = out->areas[i];
        j->nareas++;
    }
}

struct emit {
    struct tz_sjob *j;
    struct frame_node **tail;
};

static int keep_frame(void *ctx, struct tz_bytes rows)
{
    struct emit *e = ctx;
    struct frame_node *f = malloc(sizeof *f + rows.n);
    if (!f)
        return TZ_E_NOMEM;
    f->next = NULL;
    f->n = rows.n;
    memcpy(f->bytes, rows.p, rows.n);
    *e->tail = f;
    e->tail = &f->next;
    return 0;
}

/** Results of earlier changesets, to be sent after those of the Push itself: as many as fit. */
struct late {
    struct tz_buf bytes;
    size_t end[TZ_MSG_RESULTS_MAX];
    size_t n;
};

/** Own results keep the order of the Push; when one does not fit, none after it comes either. */
static int add_results(struct tz_sjob *j, const struct tz_apply_out *out, bool *full, struct late *late)
{
    int rc = 0;
    for (size_t i = 0; i < out->n && !rc; i++) {
        const struct tz_signed_result *r = &out->results[i];
        struct tz_buf *to = i ? &late->bytes : &j->reply;
        size_t n = i ? late->n : j->nresults;
        bool fits = n < TZ_MSG_RESULTS_MAX && to->len + r->result.n + r->mac.n + 32 <= TZ_FRAME_BODY_MAX;
        *full = *full || (i == 0 && !fits);
        if (!fits || (i == 0 && *full))
            continue;                      /* the device asks again in its next session */
        rc = tz_msg_put_results(to, r, 1); /* repeated field: messages concatenate */
        if (i)
            late->end[late->n++] = to->len;
        else
            j->nresults++;
    }
    return rc;
}

static int append_late(struct tz_sjob *j, const struct late *late)
{
    size_t n = late->n;
    while (n && (j->nresults + n > TZ_MSG_RESULTS_MAX || j->reply.len + late->end[n - 1] > TZ_FRAME_BODY_MAX))
        n--;
    j->nresults += n;
    return n ? tz_buf_put(&j->reply, late->bytes.p, late->end[n - 1]) : 0;
}

static int apply_each(struct tz_sjob *j, struct tz_store *s, struct tz_arena *a, struct late *late)
{
    struct tz_release_budget budget = {0};
    struct tz_apply_ctx ctx = {.device = j->grant->device,
                               .incarnation = j->grant->incarnation,
                               .session = j->session,
                               .offset_ms = j->offset_ms,
                               .received = j->received,
                               .budget = &budget};
    struct tz_apply_out out;
    bool full = false;
    int rc = 0;
    for (size_t i = 0; i < j->nchangesets && !rc; i++) {
        tz_arena_reset(a);
        ctx.was = j->offered ? &j->offered[i].was : NULL;
        rc = tz_store_apply(s, &ctx, j->offered ? j->offered[i].changeset : j->changesets[i], a, &out, &j->err);
        if (rc)
            break;
        add_areas(j, &out);
        rc = as_ours(j, add_results(j, &out, &full, late));
    }
    return rc;
}

static int run_push(struct tz_sjob *j, struct tz_store *s)
{
    struct tz_arena a; /* of one changeset */
    struct late *late = malloc(sizeof *late);
    if (!late)
        return TZ_E_NOMEM;
    late->n = 0;
    tz_buf_init(&late->bytes, TZ_FRAME_BODY_MAX);
    tz_arena_init(&a, JOB_ARENA_BYTES);
    int rc = apply_each(j, s, &a, late);
    int more = append_late(j, late);
    j->release_left = tz_store_release_left(s);
    tz_arena_deinit(&a);
    tz_buf_deinit(&late->bytes);
    free(late);
    return rc ? rc : as_ours(j, more);
}

/* ---- release ---- */

int tz_sjob_release_new(struct tz_sjob **out)
{
    return tz_sjob_new(TZ_JOB_RELEASE, 0, out);
}

bool tz_sjob_release_left(const struct tz_sjob *j)
{
    return j->release_left;
}

bool tz_sjob_failed(const struct tz_sjob *j)
{
    return j->code != 0;
}

uint32_t tz_sjob_released_device(const struct tz_sjob *j)
{
    return j->kind == TZ_JOB_RELEASE ? j->device : 0;
}

/** What does not fit the frame is learned when the device sends it again. */
static int run_release(struct tz_sjob *j, struct tz_store *s)
{
    struct tz_arena a;
    struct tz_apply_out out;
    tz_arena_init(&a, JOB_ARENA_BYTES);
    int rc = tz_store_release(s, &a, &j->device, &out, &j->err);
    if (!rc)
        add_areas(j, &out);
    for (size_t i = 0; !rc && i < out.n && j->nresults < TZ_MSG_RESULTS_MAX; i++) {
        const struct tz_signed_result *r = &out.results[i];
        if (j->reply.len + r->result.n + r->mac.n + 64 > TZ_FRAME_BODY_MAX)
            break;
        rc = as_ours(j, tz_msg_put_results(&j->reply, r, 1));
        j->nresults++;
    }
    j->release_left = !rc && tz_store_release_left(s);
    tz_arena_deinit(&a);
    return rc;
}

/* ---- leases and purging ---- */

static int run_acked(struct tz_sjob *j, struct tz_store *s)
{
    return tz_store_acknowledged(s, j->device, j->acked, &j->err);
}

int tz_sjob_purge_new(const struct tz_purge_rules *rules, struct tz_sjob **out)
{
    int rc = tz_sjob_new(TZ_JOB_PURGE, 0, out);
    if (!rc)
        (*out)->rules = *rules;
    return rc;
}

bool tz_sjob_purge_left(const struct tz_sjob *j)
{
    return j->purge_left;
}

static int run_purge(struct tz_sjob *j, struct tz_store *s)
{
    struct tz_purge_done done;
    int rc = tz_store_purge(s, &j->rules, &done, &j->purge_left, &j->err);
    j->changed = !rc && done.cases > 0;
    j->nareas = TZ_JOB_AREAS_MAX + 1; /* anywhere */
    return rc;
}

/* ---- pull, verify, compare, history ---- */

static int run_pull(struct tz_sjob *j, struct tz_store *s)
{
    struct emit e = {j, &j->frames};
    return tz_store_changes(s, j->grant, j->cursors, j->ncursors, TZ_PULL_FRAMES_MAX, keep_frame, &e, &j->done,
                            &j->head, &j->err);
}

static int run_verify(struct tz_sjob *j, struct tz_store *s)
{
    struct tz_msg_verified v;
    int rc = tz_store_verify(s, j->grant, &j->ask, &v, &j->err);
    return rc ? rc : tz_msg_put_verified(&j->reply, &v);
}

static int run_digest(struct tz_sjob *j, struct tz_store *s)
{
    return tz_store_digest(s, j->grant, &j->buckets, &j->reply, &j->since, &j->err);
}

static int run_damage(struct tz_sjob *j, struct tz_store *s)
{
    bool noted = false;
    int rc = tz_store_damage(s, j->grant->device, &j->damage, j->received, &noted, &j->areas[0], &j->err);
    j->changed = noted;
    j->nareas = 1;
    return rc ? rc : tz_msg_put_damage_noted(&j->reply, noted);
}

static int run_renumber(struct tz_sjob *j, struct tz_store *s)
{
    const struct tz_msg_renumber *m = &j->renumber;
    int rc = tz_store_renumber(s, j->grant->device, j->grant->incarnation, tz_bytes_of(m->token, sizeof m->token),
                               m->fork_seq, &j->incarnation, &j->err);
    return rc ? rc : tz_msg_put_renumbered(&j->reply, j->incarnation);
}

static int run_lost_rows(struct tz_sjob *j, struct tz_store *s)
{
    enum tz_lost_verdict *v = tz_arena_calloc(&j->a, j->nlost_rows + 1, sizeof *v);
    uint32_t *out = tz_arena_calloc(&j->a, j->nlost_rows + 1, sizeof *out);
    if (!v || !out)
        return TZ_E_NOMEM;
    int rc = tz_store_offer_rows(s, j->grant, j->lost_rows, j->nlost_rows, v, &j->err);
    for (size_t i = 0; i < j->nlost_rows; i++)
        out[i] = (uint32_t)v[i];
    j->release_left = !rc && tz_store_release_left(s);
    return rc ? rc : tz_msg_put_lost_taken(&j->reply, out, j->nlost_rows);
}

/** Only about the grant of this session, and all only of a revoked one: anything else is not noted. */
static int run_receipt(struct tz_sjob *j, struct tz_store *s)
{
    struct tz_device d;
    int rc = tz_store_device_by_number(s, j->grant->device, &d, &j->err);
    if (rc < 0)
        return rc;
    bool good = rc == 1 && d.revoked == j->receipt.all && d.grant_since == j->grant->since;
    tz_ver head = tz_store_head(s);
    if (good && d.incarnation == 1) /* it says nothing of its copies */
        rc = tz_store_receipt(s, d.number, j->receipt.ver < head ? j->receipt.ver : head, j->receipt.all, &j->err);
    else
        rc = 0;
    return rc ? rc : tz_msg_put_wipe_noted(&j->reply, good);
}

static int run_history(struct tz_sjob *j, struct tz_store *s)
{
    return tz_store_history(s, j->grant, &j->history, &j->reply, &j->err);
}

/* ---- enrol ---- */

/** The request was read before: only VALUE can still be about what the peer brought (its invitation). */
static int enrolled(struct tz_sjob *j, int rc)
{
    return rc == TZ_E_VALUE ? rc : as_ours(j, rc);
}

static int run_enrol(struct tz_sjob *j, struct tz_store *s)
{
    struct tz_enrolment e;
    uint8_t key[TZ_PKI_PIN_BYTES];
    int rc = tz_pki_csr_check(j->enrol.csr, key, &j->err); /* a repeated join has the same key, not the same request */
    if (!rc)
        rc = enrolled(j, tz_store_enrol(s, j->enrol.secret, j->enrol.csr, key, j->sign, j->sign_ctx, &e, &j->err));
    else
        memset(&e, 0, sizeof e);
    if (!rc) {
        struct tz_msg_enrolled m = {.certificate = tz_buf_unread(&e.certificate),
                                    .ca = j->ca,
                                    .device = e.device.number,
                                    .incarnation = e.device.incarnation,
                                    .name = e.device.name,
                                    .role = e.device.role,
                                    .area = e.device.area,
                                    .user = e.user};
        rc = tz_msg_put_enrolled(&j->reply, &m);
    }
    tz_buf_deinit(&e.certificate);
    return rc;
}

/* ---- all ---- */

/** A group that was rolled back runs its jobs again, one by one. */
static void forget_answer(struct tz_sjob *j)
{
    tz_buf_clear(&j->reply);
    j->err = (struct tz_err){0};
    j->changed = false;
    j->leaving = false;
    j->release_left = false;
    j->purge_left = false;
    j->device = j->kind == TZ_JOB_ACKED ? j->device : 0;
    j->nareas = 0;
    j->nresults = 0;
    drop_frames(j);
    if (j->kind == TZ_JOB_OPEN) { /* an answer here, an input elsewhere */
        free(j->grant);
        j->grant = NULL;
    }
}

int tz_sjob_run(struct tz_sjob *j, struct tz_store *s, struct tz_err *err)
{
    static int (*const run[])(struct tz_sjob *, struct tz_store *) = {
        [TZ_JOB_OPEN] = run_open,           [TZ_JOB_PUSH] = run_push,       [TZ_JOB_PULL] = run_pull,
        [TZ_JOB_VERIFY] = run_verify,       [TZ_JOB_DIGEST] = run_digest,   [TZ_JOB_DAMAGE] = run_damage,
        [TZ_JOB_ENROL] = run_enrol,         [TZ_JOB_RELEASE] = run_release, [TZ_JOB_HISTORY] = run_history,
        [TZ_JOB_ACKED] = run_acked,         [TZ_JOB_PURGE] = run_purge,     [TZ_JOB_RENUMBER] = run_renumber,
        [TZ_JOB_LOST_ROWS] = run_lost_rows, [TZ_JOB_RECEIPT] = run_receipt};
    forget_answer(j);
    int rc = run[j->kind](j, s);
    if (rc && !is_peers(j->kind, rc))
        rc = as_ours(j, rc);
    if (rc && j->err.code != rc)
        tz_err_set(&j->err, rc, NULL, NULL, NULL, NULL);
    j->code = rc;
    if (!rc || is_peers(j->kind, rc))
        return 0;
    if (err)
        *err = j->err;
    return rc;
}

void tz_sjob_settle(struct tz_sjob *j, int code)
{
    if (!code)
        return;
    j->code = code;
    j->changed = false;
    j->device = 0;
    j->release_left = j->release_left && j->kind != TZ_JOB_RELEASE; /* one that cannot work must not run for ever */
    j->purge_left = false;
    if (code != TZ_E_COMMITS_LOST ||
        j->err.code != code) /* which versions is no secret; what else there is may be one */
        tz_err_set(&j->err, code, NULL, NULL, NULL, NULL);
    tz_buf_clear(&j->reply); /* results of a group that did not commit never happened */
    drop_frames(j);
}

size_t tz_sjob_changesets(const struct tz_sjob *j)
{
    return j->kind == TZ_JOB_PUSH ? j->nchangesets : 0;
}

bool tz_sjob_changed(const struct tz_sjob *j, const struct tz_area **areas, size_t *n)
{
    *areas = j->areas;
    *n = j->nareas <= TZ_JOB_AREAS_MAX ? j->nareas : 0;
    return j->changed &&
           (j->kind == TZ_JOB_PUSH || j->kind == TZ_JOB_DAMAGE || j->kind == TZ_JOB_RELEASE || j->kind == TZ_JOB_PURGE);
}
