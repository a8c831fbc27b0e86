/* SPDX-License-Identifier: Apache-2.0 */
/* What every part of a session stands on: its end, jobs, small messages. */
#include "sync_state.h"

#include <stdlib.h>
#include <string.h>

void tz_sync_held_clear(struct tz_sync *s)
{
    for (size_t i = 0; i < s->nheld; i++)
        free((void *)(uintptr_t)s->held[i].p);
    free(s->held);
    s->held = NULL;
    s->nheld = s->held_cap = s->held_bytes = 0;
}

void tz_sync_close(struct tz_sync *s, const struct tz_err *err)
{
    if (s->state == SYNC_CLOSED)
        return;
    s->state = SYNC_CLOSED;
    s->verified = NULL;
    s->told = NULL;
    tz_sync_held_clear(s);
    s->io.close(s->io.ctx, err);
}

void tz_sync_fail(struct tz_sync *s, int code, const char *arg)
{
    struct tz_err err = {0};
    tz_err_set(&err, code, arg, NULL, NULL, NULL);
    tz_sync_close(s, &err);
}

struct tz_cjob *tz_sync_job(struct tz_sync *s, enum tz_cjob_kind kind, const struct tz_bytes *frame)
{
    struct tz_cjob *j = calloc(1, sizeof *j);
    if (j) {
        j->kind = kind;
        j->chain = s->chain;
        atomic_fetch_add(&s->chain->refs, 1);
        tz_buf_init(&j->out, TZ_FRAME_BODY_MAX);
    }
    if (j && frame) {
        uint8_t *copy = malloc(frame->n ? frame->n : 1);
        j->frames = calloc(1, sizeof *j->frames);
        if (copy && j->frames) {
            if (frame->n)
                memcpy(copy, frame->p, frame->n);
            j->frames[0] = tz_bytes_of(copy, frame->n);
            j->nframes = 1;
        } else {
            free(copy);
            tz_cjob_free(j);
            j = NULL;
        }
    }
    if (!j)
        tz_sync_fail(s, TZ_E_NOMEM, NULL);
    return j;
}

void tz_sync_send_number(struct tz_sync *s, uint8_t type, uint64_t nonce)
{
    struct tz_buf b;
    tz_buf_init(&b, 64);
    if (tz_msg_put_ping(&b, nonce))
        tz_sync_fail(s, TZ_E_NOMEM, NULL);
    else
        s->io.send(s->io.ctx, type, TZ_LANE_CONTROL, tz_buf_unread(&b));
    tz_buf_deinit(&b);
}
