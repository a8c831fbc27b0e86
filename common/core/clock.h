/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_CLOCK_H
#define TZ_CLOCK_H

/*
 * Time as an interface: wall time for people, monotonic time for deadlines, and two struct types so that they cannot be
 * mixed.
 */

#include <stdint.h>

struct tz_wall { /**< milliseconds since 1970-01-01 UTC; may jump, may be years wrong */
    int64_t ms;
};
struct tz_mono { /**< milliseconds since an arbitrary start; never goes back */
    int64_t ms;
};

struct tz_clock {
    struct tz_wall (*wall)(void *ctx);
    struct tz_mono (*mono)(void *ctx);
    void *ctx; /**< borrowed */
};

/** The machine's clocks. Any thread. */
extern const struct tz_clock tz_clock_system;

/** A clock that moves only when told. The caller keeps @f alive as long as the returned clock. */
struct tz_clock_fake {
    struct tz_wall wall;
    struct tz_mono mono;
};
struct tz_clock tz_clock_fake(struct tz_clock_fake *f);
void tz_clock_fake_advance(struct tz_clock_fake *f, int64_t ms);

static inline struct tz_wall tz_clock_wall(const struct tz_clock *c)
{
    return c->wall(c->ctx);
}
static inline struct tz_mono tz_clock_mono(const struct tz_clock *c)
{
    return c->mono(c->ctx);
}

/** "Today" as the offices mean it: the civil date at UTC+8, whatever the machine's time zone. Writes "YYYY-MM-DD". */
void tz_clock_today(struct tz_wall now, char out[11]);

#endif
