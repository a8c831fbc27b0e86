/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must not be here any more: after all own saves are answered the words of what left the grant go, and a revoked
 * device erases everything; the server gets a receipt of either.
 */
#include "sync_state.h"

void tz_sync_start_wiping(struct tz_sync *s)
{
    struct tz_cjob *j = tz_sync_job(s, TZ_CJOB_WIPE, NULL);
    if (!j)
        return;
    s->wiping = true;
    s->io.submit(s->io.ctx, j);
}

void tz_sync_start_erasing(struct tz_sync *s)
{
    struct tz_cjob *j = tz_sync_job(s, TZ_CJOB_ERASE, NULL);
    if (!j)
        return;
    s->erasing = true;
    s->io.submit(s->io.ctx, j);
}

static void send_receipt(struct tz_sync *s, tz_ver ver, bool all)
{
    const struct tz_msg_wipe_receipt m = {.ver = ver, .all = all};
    struct tz_buf b;
    tz_buf_init(&b, 64);
    if (tz_msg_put_wipe_receipt(&b, &m))
        tz_sync_fail(s, TZ_E_NOMEM, NULL);
    else
        s->io.send(s->io.ctx, TZ_MSG_WIPE_RECEIPT, TZ_LANE_CONTROL, tz_buf_unread(&b));
    tz_buf_deinit(&b);
}

void tz_sync_on_wiped(struct tz_sync *s, struct tz_cjob *j)
{
    if (j->wiped.waits) {                              /* somebody saved meanwhile: that goes first */
        bool again = s->waited_at != s->after_seq + 1; /* else its answer did not come: the next session sends it */
        s->waited_at = s->after_seq + 1;
        s->wiping = false;
        s->wiped = !again;
        s->look_again = again;
        return;
    }
    if (j->wiped.receipt) {
        send_receipt(s, j->wiped.ver, false);
        return;
    }
    s->wiping = false;
    s->wiped = true;
}

void tz_sync_on_wipe_noted(struct tz_sync *s, const struct tz_frame *f)
{
    struct tz_err err = {0};
    bool noted = false;
    if (tz_msg_read_wipe_noted(f->body, &noted, &err)) {
        tz_sync_close(s, &err);
    } else if (s->state == SYNC_LEAVING && s->erasing) {
        tz_err_setf(&err, TZ_E_WIPED, "%llu", (unsigned long long)s->saves_held);
        tz_sync_close(s, &err);
    } else if (!s->wiping) {
        tz_sync_fail(s, TZ_E_PROTOCOL, "WipeNoted nobody asked for");
    } else if (!noted) { /* the grant changed meanwhile: the next session tells what is to go */
        s->wiping = false;
        s->wiped = true;
    } else {
        struct tz_cjob *j = tz_sync_job(s, TZ_CJOB_WIPED, NULL);
        if (j)
            s->io.submit(s->io.ctx, j);
    }
}

void tz_sync_on_wipe_order(struct tz_sync *s, const struct tz_frame *f)
{
    struct tz_cjob *j = tz_sync_job(s, TZ_CJOB_REVOKED, &f->body);
    if (!j)
        return;
    s->state = SYNC_ENTERING;
    s->io.submit(s->io.ctx, j);
}

void tz_sync_on_revoked(struct tz_sync *s, struct tz_cjob *j)
{
    s->state = SYNC_LEAVING;
    s->push_max = j->push_max;
    s->phase = UP_NEW; /* all that is unsent, as it is */
    s->forked = false;
    s->empty = !j->taking;
    s->look_again = j->taking;
}

void tz_sync_on_erased(struct tz_sync *s, struct tz_cjob *j)
{
    s->saves_held = j->n;
    send_receipt(s, j->ver, true);
}
