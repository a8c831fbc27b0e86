/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes up: own saves in order, numbers of our own when some are another installation's, and rows that only we may
 * still have.
 */
#include "sync_state.h"

#include <stdlib.h>

enum {
    RENUMBERED_MAX = 2,    /* in one session: a server that never agrees must not keep us here */
    RESULT_JOBS_SLACK = 8, /* beyond the Push window: Results that say they answer none; honest is one at a time */
};

bool tz_sync_answered(const struct tz_sync *s)
{
    return !s->loading && s->in_flight == 0 && s->result_jobs == 0;
}

/** There are numbers to be asked for, and a server that may still give them. */
bool tz_sync_wants_numbers(const struct tz_sync *s)
{
    return s->forked && s->renumbered < RENUMBERED_MAX && s->phase != UP_REOFFER &&
           (s->phase != UP_PROVE || s->drained);
}

static void ask_for_numbers(struct tz_sync *s)
{
    struct tz_cjob *j = tz_sync_answered(s) ? tz_sync_job(s, TZ_CJOB_RENUMBER, NULL) : NULL;
    if (!j)
        return;
    s->renumbering = true;
    s->renumbered++;
    s->io.submit(s->io.ctx, j);
}

static void up_load(struct tz_sync *s)
{
    struct tz_cjob *j = tz_sync_job(s, TZ_CJOB_LOAD, NULL);
    if (!j)
        return;
    j->after_seq = s->after_seq;
    j->upto_seq = s->phase == UP_PROVE ? s->judged : UINT64_MAX;
    j->reoffer = s->phase == UP_REOFFER;
    j->place = s->offered;
    s->loading = true;
    s->look_again = false;
    s->io.submit(s->io.ctx, j);
}

void tz_sync_send_pull(struct tz_sync *s, struct tz_bytes body)
{
    s->io.send(s->io.ctx, TZ_MSG_PULL, TZ_LANE_DOWN, body);
    tz_buf_clear(&s->pull);
    s->pull_waits = false;
}

void tz_sync_up_pump(struct tz_sync *s)
{
    bool open = s->state == SYNC_RUNNING || (s->state == SYNC_LEAVING && !s->erasing);
    if (!open || s->loading || s->renumbering)
        return;
    if (tz_sync_wants_numbers(s)) {
        ask_for_numbers(s);
        return;
    }
    if (s->phase == UP_PROVE && s->drained && tz_sync_answered(s)) {
        s->phase = UP_NEW;
        s->look_again = true;
    }
    if (s->look_again && s->in_flight < s->push_max)
        up_load(s);
}

void tz_sync_on_loaded(struct tz_sync *s, struct tz_cjob *j)
{
    s->loading = false;
    s->empty = j->n == 0 && s->phase == UP_NEW;
    s->drained = s->drained || (j->n == 0 && s->phase == UP_PROVE);
    if (j->n == 0 && s->phase == UP_REOFFER) {
        s->phase = UP_PROVE;
        s->look_again = true;
    }
    if (j->n) {
        if (j->reoffer)
            s->offered = j->place;
        else
            s->after_seq = j->last_seq;
        s->in_flight++;
        s->count.changesets_sent += j->reoffer ? 0 : j->n;
        s->look_again = true; /* there may be more */
        s->io.send(s->io.ctx, j->reoffer ? TZ_MSG_REOFFER : TZ_MSG_PUSH, TZ_LANE_UP, tz_buf_unread(&j->out));
        s->io.event(s->io.ctx, TZ_SYNC_PROGRESS);
    }
}

void tz_sync_on_results_done(struct tz_sync *s, struct tz_cjob *j)
{
    s->result_jobs--;
    if (j->unasked) { /* only now: the server may send the next */
        tz_sync_send_number(s, TZ_MSG_PING, ++s->nonce);
        if (s->state != SYNC_RUNNING)
            return;
    }
    if (!j->unasked && s->in_flight == 0) {
        tz_sync_fail(s, TZ_E_PROTOCOL, "results without a push");
        return;
    }
    s->in_flight -= !j->unasked;
    s->count.results += j->n;
    s->count.applied += j->taken.applied;
    s->count.reviewed += j->taken.reviewed;
    s->count.handed_back += j->taken.handed_back;
    s->forked = s->forked || j->taken.forked;
    if (j->taken.ver > s->own_ver)
        s->own_ver = j->taken.ver;
    s->wiped = s->wiped && !j->due;
    s->io.event(s->io.ctx, TZ_SYNC_RESULTS);
}

void tz_sync_on_results(struct tz_sync *s, const struct tz_frame *f)
{
    if (s->result_jobs >= s->push_max + RESULT_JOBS_SLACK) {
        tz_sync_fail(s, TZ_E_PROTOCOL, "more results than pushes");
        return;
    }
    struct tz_cjob *j = tz_sync_job(s, TZ_CJOB_RESULTS, &f->body);
    if (!j)
        return;
    s->result_jobs++;
    s->io.submit(s->io.ctx, j);
}

/* ---- numbers of our own ---- */

void tz_sync_on_asked(struct tz_sync *s, struct tz_cjob *j)
{
    s->io.send(s->io.ctx, TZ_MSG_RENUMBER, TZ_LANE_CONTROL, tz_buf_unread(&j->out));
}

void tz_sync_on_renumbered(struct tz_sync *s, const struct tz_frame *f)
{
    struct tz_cjob *j = NULL;
    if (!s->renumbering)
        tz_sync_fail(s, TZ_E_PROTOCOL, "Renumbered nobody asked for");
    else
        j = tz_sync_job(s, TZ_CJOB_MAKE_OVER, &f->body);
    if (j)
        s->io.submit(s->io.ctx, j);
}

void tz_sync_on_made_over(struct tz_sync *s, struct tz_cjob *j)
{
    s->renumbering = false;
    s->forked = false;
    s->count.renumbered++;
    s->count.made_over += j->n;
    s->phase = UP_NEW;
    s->after_seq = 0; /* what waits under the old numbers is asked about once more */
    s->look_again = true;
}

/* ---- rows of lost versions ---- */

void tz_sync_offer_lost(struct tz_sync *s)
{
    struct tz_cjob *j = s->lost_under_way ? NULL : tz_sync_job(s, TZ_CJOB_LOST_LOAD, NULL);
    if (!j)
        return;
    j->at = s->lost_at;
    j->window_open = s->window_open;
    s->lost_under_way = true;
    s->io.submit(s->io.ctx, j);
}

void tz_sync_on_lost_loaded(struct tz_sync *s, struct tz_cjob *j)
{
    if (j->nkeys == 0) {
        s->lost_under_way = false;
        s->lost_done = true;
        return;
    }
    free(s->lost_keys);
    s->lost_keys = j->keys;
    s->nlost_keys = j->nkeys;
    s->lost_at = j->keys[j->nkeys - 1];
    j->keys = NULL;
    s->io.send(s->io.ctx, TZ_MSG_LOST_ROWS, TZ_LANE_CONTROL, tz_buf_unread(&j->out));
}

void tz_sync_on_lost_taken(struct tz_sync *s, const struct tz_frame *f)
{
    struct tz_cjob *j = NULL;
    if (!s->lost_keys)
        tz_sync_fail(s, TZ_E_PROTOCOL, "LostTaken nobody asked for");
    else
        j = tz_sync_job(s, TZ_CJOB_LOST_TAKE, &f->body);
    if (!j)
        return;
    j->keys = s->lost_keys;
    j->nkeys = s->nlost_keys;
    j->window_open = s->window_open;
    s->lost_keys = NULL;
    s->io.submit(s->io.ctx, j);
}

void tz_sync_on_lost_noted(struct tz_sync *s)
{
    s->lost_under_way = false;
}
