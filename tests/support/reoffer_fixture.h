/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_REOFFER_FIXTURE_H
#define TZ_REOFFER_FIXTURE_H

/* Saves that devices keep with their answers, and hand in again after a restore. For one test program each. */

#include "restore_fixture.h"

enum { WINDOW_MS = 1000000 };

/** A save and its answer, as the device keeps them. */
struct kept {
    struct sx_dev *dev;
    struct tz_bytes raw;
    struct tz_signed_result was;
    struct tz_result res;
};

/** The last push, by @dev. */
static inline struct kept keep(struct sx_dev *dev)
{
    struct sx *f = dev->f;
    return (struct kept){dev, f->raw, f->all[0], f->res};
}

static inline const struct tz_result *hand_in(const struct kept *k)
{
    struct sx *f = k->dev->f;
    struct tz_apply_ctx ctx = {
        .device = k->dev->d.number, .offset_ms = k->dev->offset_ms, .received = f->clock.wall, .was = &k->was};
    sx_group(f);
    assert_int_equal(tz_store_apply(f->s, &ctx, k->raw, &f->a, &f->out, &f->err), 0);
    sx_commit(f);
    f->all = f->out.results;
    f->nall = f->out.n;
    assert_int_equal(tz_msg_read_result(f->all[0].result, &f->a, &f->res, &f->err), 0);
    return &f->res;
}

/** @k, with the answer that it has got now. */
static inline struct kept keep_answer(const struct kept *k)
{
    struct kept now = *k;
    now.was = k->dev->f->all[0];
    now.res = k->dev->f->res;
    return now;
}

static inline void release_all(struct sx *f)
{
    uint32_t device = 0;
    for (int i = 0; i < 100; i++) {
        sx_group(f);
        assert_int_equal(tz_store_release(f->s, &f->a, &device, &f->out, &f->err), 0);
        sx_commit(f);
        if (!tz_store_release_left(f->s))
            return;
    }
    fail_msg("it never ends");
}

static inline void greet(struct sx_dev *d, uint64_t heard)
{
    struct sx *f = d->f;
    struct tz_msg_hello h = {.protocol = TZ_PROTOCOL_VERSION,
                             .software = "",
                             .incarnation = d->d.incarnation,
                             .checkpoint = d->seen,
                             .last_seq = d->seq,
                             .heard_seq = heard};
    sx_group(f);
    assert_int_equal(tz_store_session_begin(f->s, d->d.number, &h, 0, &f->err), 0);
    sx_commit(f);
}

static inline void restore_with_window(struct sx *f, struct tz_memdisk *b)
{
    restore_to(f, b, 2, f->clock.wall.ms + WINDOW_MS);
}

static inline uint64_t missing(struct sx *f, const struct sx_dev *d, struct tz_balance *b)
{
    assert_int_equal(tz_store_balance(f->s, d->d.number, b, &f->err), 0);
    return b->missing;
}

#endif
