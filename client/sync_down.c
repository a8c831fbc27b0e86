/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes down: the rows of a delta are held in memory and shown with their checkpoint; past the cap, or while
 * filling, they are written as they come.
 */
#include "grow.h"
#include "sync_state.h"

#include <stdlib.h>
#include <string.h>

enum {
    HELD_MESSAGES_MAX = 65536, /* many tiny frames cost more than their bytes */
    DOWN_JOBS_SLACK = 2,       /* beyond the announced window: the server may not know yet that we acknowledged */
};

static void send_ack(struct tz_sync *s, uint32_t frames)
{
    struct tz_buf b;
    if (!frames)
        return;
    tz_buf_init(&b, 64);
    if (tz_msg_put_ack(&b, frames))
        tz_sync_fail(s, TZ_E_NOMEM, NULL);
    else
        s->io.send(s->io.ctx, TZ_MSG_ACK, TZ_LANE_DOWN, tz_buf_unread(&b));
    tz_buf_deinit(&b);
}

static void submit_down(struct tz_sync *s, struct tz_cjob *j)
{
    s->down_jobs++;
    s->io.submit(s->io.ctx, j);
}

/** Hand the held messages to a job. */
static void give_held(struct tz_sync *s, struct tz_cjob *j)
{
    free(j->frames);
    j->frames = s->held;
    j->nframes = s->nheld;
    s->held = NULL;
    s->nheld = s->held_cap = s->held_bytes = 0;
}

/** More than is held back: show what there is, and go on as in a first sync until the checkpoint. */
static void start_filling(struct tz_sync *s)
{
    s->filling = true;
    if (s->nheld == 0)
        return;
    struct tz_cjob *j = tz_sync_job(s, TZ_CJOB_FILL, NULL);
    if (!j)
        return;
    give_held(s, j); /* acknowledged when it was held */
    submit_down(s, j);
}

static bool hold(struct tz_sync *s, struct tz_bytes body)
{
    struct tz_bytes *held = tz_grow(s->held, s->nheld, &s->held_cap, 16, sizeof *held);
    if (!held)
        return false;
    s->held = held;
    uint8_t *copy = malloc(body.n ? body.n : 1);
    if (!copy)
        return false;
    if (body.n)
        memcpy(copy, body.p, body.n);
    s->held[s->nheld++] = tz_bytes_of(copy, body.n);
    s->held_bytes += body.n;
    return true;
}

void tz_sync_on_rows(struct tz_sync *s, const struct tz_frame *f)
{
    if (s->down_jobs > s->rows_max + DOWN_JOBS_SLACK) {
        tz_sync_fail(s, TZ_E_PROTOCOL, "more rows than acknowledged");
        return;
    }
    if (!s->filling && (s->held_bytes + f->body.n > s->cfg.held_bytes_max || s->nheld >= HELD_MESSAGES_MAX))
        start_filling(s);
    if (s->state != SYNC_RUNNING)
        return;
    if (!s->filling) {
        if (hold(s, f->body))
            send_ack(s, 1);
        else
            tz_sync_fail(s, TZ_E_NOMEM, NULL);
        return;
    }
    struct tz_cjob *j = tz_sync_job(s, TZ_CJOB_FILL, &f->body);
    if (!j)
        return;
    j->acks = 1;
    submit_down(s, j);
}

void tz_sync_on_checkpoint(struct tz_sync *s, const struct tz_frame *f)
{
    struct tz_msg_checkpoint c;
    struct tz_err err = {0};
    if (tz_msg_read_checkpoint(f->body, &c, &err)) {
        tz_sync_close(s, &err);
        return;
    }
    if (s->down_jobs > s->rows_max + DOWN_JOBS_SLACK) {
        tz_sync_fail(s, TZ_E_PROTOCOL, "more checkpoints than acknowledged");
        return;
    }
    struct tz_cjob *j = tz_sync_job(s, TZ_CJOB_CHECKPOINT, NULL);
    if (!j)
        return;
    give_held(s, j);
    j->checkpoint = c;
    j->acks = 1;
    s->filling = false; /* rows after this belong to the next delta; the job queue keeps the order */
    submit_down(s, j);
}

void tz_sync_on_down_done(struct tz_sync *s, struct tz_cjob *j)
{
    s->down_jobs--;
    s->count.rows += j->n;
    send_ack(s, j->acks);
    if (s->state != SYNC_RUNNING)
        return;
    if (j->kind == TZ_CJOB_CHECKPOINT) {
        s->count.checkpoints++;
        s->count.checkpoint = j->checkpoint.ver;
        s->wiped = s->wiped && !j->due;
        s->io.event(s->io.ctx, TZ_SYNC_CHECKPOINT);
        if (s->repair)
            tz_repair_on_checkpoint(s->repair);
        tz_sync_repair_reap(s);
    } else {
        s->io.event(s->io.ctx, TZ_SYNC_PROGRESS);
    }
}
