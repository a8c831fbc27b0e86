/* SPDX-License-Identifier: Apache-2.0 */
/*
 * P12 by trial: several devices work on a few records, some of the time without having seen each other; the server goes
 * back to a backup of before; what they made is handed in again in every order that keeps each device's own, with
 * repetitions. The records are as they were, and nothing is in dispute that was not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "restore_fixture.h"

enum { TRIALS = 20, STEPS = 14, RECORDS = 3, DEVICES = 4, SAVES_MAX = 64 };

struct kept {
    struct sx_dev *dev;
    struct tz_bytes raw;
    struct tz_signed_result was;
    bool handed_in;
};

struct trial {
    struct sx *f;
    uint64_t rng;
    struct sx_dev *dev[DEVICES];
    struct tz_id id[RECORDS];
    struct kept kept[SAVES_MAX];
    size_t nkept;
};

static unsigned pick(struct trial *t, unsigned n)
{
    t->rng = t->rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(t->rng >> 33) % n;
}

static void keep(struct trial *t, struct sx_dev *d)
{
    assert_true(t->nkept < SAVES_MAX);
    t->kept[t->nkept++] = (struct kept){d, t->f->raw, t->f->all[0], false};
}

/** One save by somebody, of the newest state or of what he last saw. */
static void step(struct trial *t, int n)
{
    struct sx *f = t->f;
    struct sx_dev *d = t->dev[pick(t, DEVICES)];
    struct tz_id id = t->id[pick(t, RECORDS)];
    char name[32];
    char address[32];
    (void)snprintf(name, sizeof name, "name=名称%d", n);
    (void)snprintf(address, sizeof address, "address=地址%d", n);
    f->clock.wall.ms += 60000;
    if (pick(t, 3))
        sx_see(d);
    switch (pick(t, 6)) {
    case 0:
        (void)sx_set(d, "organisation", id, name, address, NULL);
        break;
    case 1:
    case 2:
        (void)sx_set(d, "organisation", id, name, NULL);
        break;
    case 3:
        (void)sx_create(d, "organisation", name, "district_code=120101", NULL);
        break;
    default:
        (void)sx_set(d, "organisation", id, address, NULL);
        break;
    }
    keep(t, d);
}

static void greet(struct sx_dev *d)
{
    struct sx *f = d->f;
    struct tz_msg_hello h = {.protocol = TZ_PROTOCOL_VERSION,
                             .software = "",
                             .incarnation = 1,
                             .checkpoint = d->seen,
                             .last_seq = d->seq,
                             .heard_seq = d->seq};
    sx_group(f);
    assert_int_equal(tz_store_session_begin(f->s, d->d.number, &h, 0, &f->err), 0);
    sx_commit(f);
}

static void hand_in(struct trial *t, struct kept *k)
{
    struct sx *f = t->f;
    struct tz_apply_ctx ctx = {.device = k->dev->d.number, .received = f->clock.wall, .was = &k->was};
    sx_group(f);
    assert_int_equal(tz_store_apply(f->s, &ctx, k->raw, &f->a, &f->out, &f->err), 0);
    sx_commit(f);
    k->handed_in = true;
    for (uint32_t device = 0, i = 0; tz_store_release_left(f->s) && i < 50; i++) {
        sx_group(f);
        assert_int_equal(tz_store_release(f->s, &f->a, &device, &f->out, &f->err), 0);
        sx_commit(f);
    }
}

/** The first save of a random device that is still to be handed in. */
static struct kept *next(struct trial *t)
{
    struct sx_dev *d = t->dev[pick(t, DEVICES)];
    for (size_t i = 0; i < t->nkept; i++)
        if (t->kept[i].dev == d && !t->kept[i].handed_in)
            return &t->kept[i];
    return NULL;
}

static const char STATE[] =
    "SELECT coalesce(group_concat(x,'|'),'') FROM (SELECT hex(_id)||name||coalesce(address,'') AS x"
    " FROM organisation ORDER BY _id)";
static const char DISPUTES[] =
    "SELECT coalesce(group_concat(x,'|'),'') FROM (SELECT DISTINCT hex(target_id)||subject AS x"
    " FROM \"case\" ORDER BY 1)";

static const char *text_of(struct sx *f, const char *sql)
{
    struct tz_stmt st = {0};
    assert_int_equal(tz_db_prepare(tz_store_db(f->s), &st, sql, &f->err), 0);
    assert_int_equal(tz_stmt_step(&st, &f->err), 1);
    const char *out = tz_arena_strdup(&f->a, tz_stmt_text(&st, 0));
    tz_stmt_finalize(&st);
    return out;
}

/** Every dispute of @now is one of @before. */
static void none_is_new(const char *before, const char *now, uint64_t seed)
{
    char *copy = strdup(now);
    char *rest = NULL;
    for (char *x = strtok_r(copy, "|", &rest); x; x = strtok_r(NULL, "|", &rest))
        if (!strstr(before, x))
            fail_msg("seed %llu: a dispute that was not there: %s", (unsigned long long)seed, x);
    free(copy);
}

static void in_whichever_order_they_come_the_records_are_as_they_were(void **state)
{
    struct sx *f = *state;
    for (uint64_t seed = 1; seed <= TRIALS; seed++) {
        struct trial t = {.f = f, .rng = seed, .dev = {&f->d1, &f->d1b, &f->fi, &f->fi2}};
        for (int i = 0; i < RECORDS; i++)
            t.id[i] = sx_org(f, "名称");
        struct tz_memdisk *b = backup(f);
        for (int i = 0; i < STEPS; i++)
            step(&t, i);
        const char *before = text_of(f, STATE);
        const char *disputes = text_of(f, DISPUTES);
        restore_to(f, b, (uint32_t)seed + 1, f->clock.wall.ms + 1000000);
        for (int i = 0; i < DEVICES; i++)
            greet(t.dev[i]);
        for (size_t done = 0; done < t.nkept;) {
            struct kept *k = next(&t);
            if (!k)
                continue;
            hand_in(&t, k);
            done++;
            if (pick(&t, 4) == 0)
                hand_in(&t, k);
        }
        for (size_t i = 0; i < t.nkept; i++) /* and all of them once more */
            hand_in(&t, &t.kept[i]);
        const char *now = text_of(f, STATE);
        if (strcmp(before, now) != 0)
            fail_msg("seed %llu:\n%s\n%s", (unsigned long long)seed, before, now);
        none_is_new(disputes, text_of(f, DISPUTES), seed);
        struct tz_balance account;
        for (int i = 0; i < DEVICES; i++) {
            assert_int_equal(tz_store_balance(f->s, t.dev[i]->d.number, &account, &f->err), 0);
            assert_int_equal(account.missing, 0);
            assert_int_equal(account.waiting, 0);
        }
        tz_arena_reset(&f->a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(in_whichever_order_they_come_the_records_are_as_they_were),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
