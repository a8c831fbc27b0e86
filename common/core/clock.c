/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's clocks, the fake one, and the civil date of the offices. Pure logic takes a `struct tz_clock` or a
 * time; only programs hand in tz_clock_system. Nothing here trusts the wall clock: see hlc.c for what is done about a
 * wrong one.
 */
#include "clock.h"

#include <stdlib.h>
#include <time.h>

enum { MS_PER_S = 1000, NS_PER_MS = 1000 * 1000 };

static int64_t clock_ms(clockid_t which)
{
    struct timespec ts = {0};
    clock_gettime(which, &ts); /* cannot fail for these two clocks */
    return (int64_t)ts.tv_sec * MS_PER_S + ts.tv_nsec / NS_PER_MS;
}

#ifdef TZ_TEST_CLOCK
/** Builds for tests: programs whose wall clock is wrong by that much, so that months pass at once. */
static int64_t shift_ms(void)
{
    const char *ms = getenv("TAIZHANG_TEST_CLOCK_MS");
    return ms ? strtoll(ms, NULL, 10) : 0;
}
#else
static int64_t shift_ms(void)
{
    return 0;
}
#endif

static struct tz_wall system_wall(void *ctx)
{
    (void)ctx;
    return (struct tz_wall){clock_ms(CLOCK_REALTIME) + shift_ms()};
}

static struct tz_mono system_mono(void *ctx)
{
    (void)ctx;
    return (struct tz_mono){clock_ms(CLOCK_MONOTONIC)};
}

const struct tz_clock tz_clock_system = {.wall = system_wall, .mono = system_mono};

static struct tz_wall fake_wall(void *ctx)
{
    return ((const struct tz_clock_fake *)ctx)->wall;
}

static struct tz_mono fake_mono(void *ctx)
{
    return ((const struct tz_clock_fake *)ctx)->mono;
}

struct tz_clock tz_clock_fake(struct tz_clock_fake *f)
{
    return (struct tz_clock){.wall = fake_wall, .mono = fake_mono, .ctx = f};
}

void tz_clock_fake_advance(struct tz_clock_fake *f, int64_t ms)
{
    f->wall.ms += ms;
    f->mono.ms += ms;
}

static void put_digits(char *out, unsigned value, unsigned digits)
{
    while (digits-- > 0) {
        out[digits] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* Days to civil date: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days. */
void tz_clock_today(struct tz_wall now, char out[11])
{
    const int64_t day_ms = INT64_C(86400000), east8_ms = INT64_C(28800000);
    const int64_t first = -719162, last = 2932896; /* 0001-01-01 and 9999-12-31: a clock beyond them is clamped */
    int64_t day = now.ms / day_ms;
    int64_t rest = now.ms % day_ms;
    if (rest < 0) {
        rest += day_ms;
        day--;
    }
    if (rest + east8_ms >= day_ms)
        day++;
    day = day < first ? first : day > last ? last : day;

    unsigned z = (unsigned)(day + 719468); /* days since 0000-03-01, not negative here */
    unsigned era = z / 146097, doe = z % 146097;
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    unsigned month = mp < 10 ? mp + 3 : mp - 9;
    put_digits(out, era * 400 + yoe + (month <= 2), 4);
    put_digits(out + 5, month, 2);
    put_digits(out + 8, doy - (153 * mp + 2) / 5 + 1, 2);
    out[4] = '-';
    out[7] = '-';
    out[10] = '\0';
}
