/* SPDX-License-Identifier: Apache-2.0 */
/* A repair (repair.h) inside a session: what it asks goes out on the control lane, its steps run as jobs. */
#include "sync_state.h"

static void repair_send(void *ctx, uint8_t type, struct tz_bytes body)
{
    struct tz_sync *s = ctx;
    s->io.send(s->io.ctx, type, TZ_LANE_CONTROL, body);
}

static void repair_submit(void *ctx, struct tz_cjob *job)
{
    struct tz_sync *s = ctx;
    s->io.submit(s->io.ctx, job);
}

static tz_ver repair_checkpoint(void *ctx)
{
    return ((struct tz_sync *)ctx)->count.checkpoint;
}

static void repair_done(void *ctx, const struct tz_repair_report *r)
{
    struct tz_sync *s = ctx;
    s->repaired(s->repaired_ctx, r);
}

/** One that has told its owner is freed when none of its functions is running. */
void tz_sync_repair_reap(struct tz_sync *s)
{
    if (!s->repair || !tz_repair_is_done(s->repair))
        return;
    tz_repair_free(s->repair);
    s->repair = NULL;
}

int tz_sync_repair(struct tz_sync *s, bool dry, void (*cb)(void *ctx, const struct tz_repair_report *r), void *ctx)
{
    struct tz_repair_io io = {repair_send, repair_submit, repair_checkpoint, repair_done, s};
    tz_sync_repair_reap(s);
    if (s->state != SYNC_RUNNING)
        return TZ_E_GONE;
    if (s->repair || s->verified)
        return TZ_E_DB_BUSY;
    s->repaired = cb;
    s->repaired_ctx = ctx;
    return tz_repair_new(dry, &io, &s->repair);
}

void tz_sync_repair_cancel(struct tz_sync *s)
{
    tz_repair_free(s->repair);
    s->repair = NULL;
}

static void repair_moved(struct tz_sync *s)
{
    tz_sync_repair_reap(s);
    if (s->state == SYNC_RUNNING) /* the owner may have ended it when it was told */
        s->io.event(s->io.ctx, TZ_SYNC_REPAIR);
}

void tz_sync_on_digest(struct tz_sync *s, const struct tz_frame *f)
{
    struct tz_err err = {0};
    int rc = s->repair ? tz_repair_on_answer(s->repair, f->type, f->body, &err)
                       : tz_err_set(&err, TZ_E_PROTOCOL, "an answer nobody asked for", NULL, NULL, NULL);
    if (rc) {
        tz_sync_close(s, &err);
        return;
    }
    repair_moved(s);
}

void tz_sync_on_repair_job(struct tz_sync *s, struct tz_cjob *j)
{
    if (s->repair)
        tz_repair_on_job(s->repair, j);
    else
        tz_cjob_free(j);
    repair_moved(s);
}
