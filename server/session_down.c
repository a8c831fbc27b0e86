/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes down: pages of rows, each read in a job of its own when the peer has acknowledged enough, and a checkpoint
 * behind the last.
 */
#include "session_state.h"

#include <stdlib.h>
#include <string.h>

enum { ACKED_MS = 3600 * 1000, READ_ARENA_BYTES = 8 * 1024 * 1024 };

static void send_down(struct tz_session *s, uint8_t type, struct tz_bytes body)
{
    s->unacked++;
    s->io.send(s->io.ctx, type, TZ_LANE_DOWN, body);
}

static void send_frames(struct tz_session *s)
{
    while (s->frames && s->unacked < TZ_ROWS_IN_FLIGHT_MAX) {
        struct frame_node *f = s->frames;
        s->frames = f->next;
        send_down(s, TZ_MSG_ROWS, tz_bytes_of(f->bytes, f->n));
        free(f);
    }
    if (s->frames || !s->have_checkpoint || s->unacked >= TZ_ROWS_IN_FLIGHT_MAX)
        return;
    struct tz_buf b;
    tz_buf_init(&b, TZ_FRAME_BODY_MAX_ANON);
    s->have_checkpoint = false;
    if (!tz_msg_put_checkpoint(&b, &s->checkpoint))
        send_down(s, TZ_MSG_CHECKPOINT, tz_buf_unread(&b));
    s->acking = s->checkpoint.ver;
    tz_buf_deinit(&b);
}

/** A grant that ran out in mid-session: the next session is told what is left of it. */
bool tz_session_ran_out(struct tz_session *s)
{
    if (s->grant->until_ms == 0 || s->grant->nareas == 0 || tz_clock_wall(&s->c.clock).ms < s->grant->until_ms)
        return false;
    tz_session_fail_code(s, TZ_E_GRANT_CHANGED, NULL, TZ_LANE_CONTROL);
    return true;
}

/** Send what may be sent, read more when there is room. */
void tz_session_pump_down(struct tz_session *s)
{
    if (s->sm.state != S_READY || !s->pulling || tz_session_ran_out(s))
        return;
    send_frames(s);
    if (s->frames || s->have_checkpoint || s->job_pull || !s->dirty || s->unacked >= TZ_ROWS_IN_FLIGHT_MAX)
        return;
    struct tz_sjob *j = tz_session_job(s, TZ_JOB_PULL);
    if (!j)
        return;
    j->ncursors = s->ncursors;
    j->cursors = tz_arena_dup(&j->a, s->cursors, s->ncursors * sizeof *s->cursors);
    if (!j->cursors || !tz_session_copy_grant(s, j)) {
        tz_sjob_free(j);
        tz_session_fail_code(s, TZ_E_NOMEM, NULL, TZ_LANE_DOWN);
        return;
    }
    s->job_pull = true;
    s->dirty = false;
    tz_session_submit(s, j);
}

void tz_session_on_page(struct tz_session *s, struct tz_sjob *j)
{
    s->job_pull = false;
    memcpy(s->cursors, j->cursors, s->ncursors * sizeof *s->cursors);
    s->frames = j->frames;
    j->frames = NULL;
    s->have_checkpoint = j->done;
    s->checkpoint = j->head;
    s->dirty = s->dirty || !j->done;
    tz_session_pump_down(s);
}

void tz_session_on_pull(struct tz_session *s, struct tz_bytes body)
{
    struct tz_arena a;
    struct tz_err err = {0};
    struct tz_cursor *cursors = NULL;
    size_t n = 0;
    if (s->pulling) {
        tz_session_fail_code(s, TZ_E_PROTOCOL, "pull", TZ_LANE_DOWN);
        return;
    }
    tz_arena_init(&a, READ_ARENA_BYTES);
    int rc = tz_msg_read_pull(body, &a, &cursors, &n, &err);
    if (!rc) {
        s->cursors = calloc(n ? n : 1, sizeof *s->cursors);
        rc = s->cursors ? 0 : tz_err_set(&err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    }
    if (!rc && n)
        memcpy(s->cursors, cursors, n * sizeof *cursors);
    tz_arena_deinit(&a);
    if (rc) {
        tz_session_fail(s, &err, TZ_LANE_DOWN);
        return;
    }
    s->ncursors = n;
    s->pulling = true;
    s->dirty = true;
    tz_session_pump_down(s);
}

/** The peer holds a whole checkpoint durably: its lease begins anew. */
static void note_acked(struct tz_session *s)
{
    struct tz_wall now = tz_clock_wall(&s->c.clock);
    tz_ver ver = s->acking;
    s->acking = 0;
    if (s->acked && now.ms >= s->acked_at.ms && now.ms - s->acked_at.ms < ACKED_MS)
        return;
    struct tz_sjob *j = tz_session_job(s, TZ_JOB_ACKED);
    if (!j)
        return;
    j->device = s->grant->device;
    j->acked = ver;
    s->acked = true;
    s->acked_at = now;
    tz_session_submit(s, j);
}

void tz_session_on_ack(struct tz_session *s, struct tz_bytes body)
{
    struct tz_err err = {0};
    uint32_t frames = 0;
    if (tz_msg_read_ack(body, &frames, &err) || frames > s->unacked) {
        tz_session_fail_code(s, TZ_E_PROTOCOL, "ack", TZ_LANE_DOWN);
        return;
    }
    s->unacked -= frames;
    if (s->acking && s->unacked == 0)
        note_acked(s);
    tz_session_pump_down(s);
}

void tz_session_on_head(struct tz_session *s, tz_ver head, const struct tz_area *areas, size_t n)
{
    if (s->sm.state != S_READY || head == 0)
        return;
    bool ours = n == 0;
    for (size_t i = 0; i < n && !ours; i++)
        for (size_t k = 0; k < s->grant->nareas && !ours; k++)
            ours = tz_area_covers(&s->grant->areas[k], &areas[i]);
    if (!ours)
        return;
    s->dirty = true;
    tz_session_pump_down(s);
}
