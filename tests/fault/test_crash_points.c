/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A script of 200 steps in two offices and their server, cut off at every write, sync, truncation and deletion that any
 * of the three disks sees in it, and right after each step. Each step is one transaction on one disk, so after the
 * power cut the disk must hold what it held before the step or what it holds after it, table by table, byte by byte;
 * after it, if the step had been acknowledged. From either, the offices and the server must come together again.
 *
 * A step is tried on copies of the world as it was before it: nothing is played from the start. What the medium keeps
 * of the unsynced is random, from the numbers of step and operation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "catalogue_dir.h"
#include "two_offices.h"

#include <stdlib.h>
#include <string.h>

enum { STEPS = 200 };

/** Twenty steps; taken in turn. A and B edit the same records without hearing of each other for a while. */
static const char *const parts[] = {"aaabLPRWC1bbaalprwc0", "babaLPRWC0bbaalprwc2"};
enum { PART = 20 };

static struct {
    struct tz_catalogue cat;
    struct tz_arena kept, scratch; /* of the script itself, and of what is tried */
    uint64_t cuts, before, after;
} T;

/** What a step leads to, without a power cut. */
struct reference {
    char step;
    size_t number;
    enum tw_place place;
    struct tw *from, *to; /* closed */
    uint64_t ops;
    uint8_t before[32], after[32];
};

static uint32_t random32(void *ctx)
{
    uint64_t *x = ctx; /* xorshift64* */
    *x ^= *x >> 12;
    *x ^= *x << 25;
    *x ^= *x >> 27;
    return (uint32_t)((*x * 0x2545F4914F6CDD1Du) >> 32);
}

static bool is_judging(char step)
{
    return step == 'P' || step == 'p';
}

/** Everything that a step reads or writes is open. */
static void open_for(struct tw *w, char step)
{
    bool reads_server = strchr("WwCc", step) != NULL;
    tw_open(w, tw_place_of(step));
    if (is_judging(step))
        tw_open(w, step == 'P' ? TW_A : TW_B);
    if (reads_server)
        tw_open(w, TW_SERVER);
}

static void try_once(struct reference *r)
{
    struct tw *w = tw_copy(r->from, &T.kept);
    open_for(w, r->step);
    tw_digest(w, r->place, r->before);
    uint64_t ops = tz_memdisk_ops(w->disk[r->place], TZ_MEMDISK_ANY);
    int rc = tw_step(w, r->step);
    if (rc)
        fail_msg("step %zu (%c): %s", r->number, r->step, tz_err_info(rc)->symbol);
    r->ops = tz_memdisk_ops(w->disk[r->place], TZ_MEMDISK_ANY) - ops;
    tw_digest(w, r->place, r->after);
    r->to = tw_copy(w, &T.kept);
    tw_free(w);
}

/** The rest of the world goes on from @w: offices and server come together. */
static void comes_together(const struct tw *w)
{
    struct tw *c = tw_copy(w, &T.scratch);
    for (int p = 0; p < TW_PLACES; p++)
        tw_open(c, (enum tw_place)p);
    tw_converge(c);
    tw_free(c);
}

/** The power goes at the @k-th operation of the step; past the last one: when the step has been acknowledged. */
static void cut(const struct reference *r, uint64_t k, bool came_together[2])
{
    struct tw *w = tw_copy(r->from, &T.scratch);
    uint64_t seed = UINT64_C(0x9E3779B97F4A7C15) * (r->number * 1000 + k + 1);
    uint8_t now[32];
    open_for(w, r->step);
    tz_memdisk_crash_at(w->disk[r->place], TZ_MEMDISK_ANY, k);
    int rc = tw_step(w, r->step);
    assert_true(tz_memdisk_is_off(w->disk[r->place]) == (k <= r->ops) && (rc == 0 || k <= r->ops));
    tz_memdisk_crash(w->disk[r->place], random32, &seed);
    for (int p = 0; p < TW_PLACES; p++)
        tw_close(w, (enum tw_place)p);
    tw_open(w, r->place);
    if (tz_db_check(tw_db(w, r->place), false, NULL))
        fail_msg("step %zu (%c), operation %llu: the database is damaged", r->number, r->step, (unsigned long long)k);
    tw_digest(w, r->place, now);
    bool done = memcmp(now, r->after, sizeof now) == 0;
    bool undone = memcmp(now, r->before, sizeof now) == 0;
    if (!done && (!undone || rc == 0))
        fail_msg("step %zu (%c), operation %llu of %llu: %s", r->number, r->step, (unsigned long long)k,
                 (unsigned long long)r->ops, undone ? "acknowledged and gone" : "neither before nor after");
    T.cuts++;
    *(done ? &T.after : &T.before) += 1;
    tw_close(w, r->place);
    if (!came_together[done]) /* the same content, so it is enough to see it once */
        comes_together(w);
    came_together[done] = true;
    tw_free(w);
    tz_arena_reset(&T.scratch);
}

static void walk_step(struct reference *r)
{
    bool came_together[2] = {false, false};
    try_once(r);
    for (uint64_t k = 1; k <= r->ops + 1; k++)
        cut(r, k, came_together);
}

static void every_crash_point_of_the_script_recovers(void **state)
{
    (void)state;
    struct tw *w = tw_new(&T.cat, &T.kept);
    struct tw *at = tw_copy(w, &T.kept);
    uint64_t saves = 0;
    uint64_t ops = 0;
    tw_free(w);
    for (size_t i = 0; i < STEPS; i++) {
        struct reference r = {.step = parts[i / PART % 2][i % PART], .number = i, .from = at};
        r.place = tw_place_of(r.step);
        walk_step(&r);
        saves += r.step == 'a' || r.step == 'b';
        ops += r.ops;
        tw_free(at);
        at = r.to;
    }
    comes_together(at);
    tw_free(at);
    print_message(
        "crash points: %llu operations in %d steps (%llu saves); %llu found as before the step, %llu as after\n",
        (unsigned long long)T.cuts, STEPS, (unsigned long long)saves, (unsigned long long)T.before,
        (unsigned long long)T.after);
    assert_true(T.before > 0 && T.after > 0 && T.cuts == ops + STEPS);
}

static int setup(void **state)
{
    struct tz_err err = {0};
    (void)state;
    tz_arena_init(&T.kept, 512U << 20);
    tz_arena_init(&T.scratch, 64U << 20);
    return tz_catalogue_load_dir(TZ_SOURCE_DIR "/common/catalogue", &T.cat, &err);
}

static int teardown(void **state)
{
    (void)state;
    tz_arena_deinit(&T.kept);
    tz_arena_deinit(&T.scratch);
    tz_catalogue_deinit(&T.cat);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_crash_point_of_the_script_recovers)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
