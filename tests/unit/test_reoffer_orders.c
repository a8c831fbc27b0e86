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

/* ---- chains ---- */

/** Ways to hand in the saves of a chain: every order that keeps each device's own. */
struct orders {
    struct trial *t;
    size_t order[SAVES_MAX]; /* positions in t->kept */
    void (*each)(struct orders *o);
    size_t n;
};

static void every_order(struct orders *o, size_t at)
{
    struct trial *t = o->t;
    if (at == t->nkept) {
        o->n++;
        o->each(o);
        return;
    }
    for (int d = 0; d < DEVICES; d++)
        for (size_t i = 0; i < t->nkept; i++) {
            if (t->kept[i].dev != t->dev[d] || t->kept[i].handed_in)
                continue;
            o->order[at] = i;
            t->kept[i].handed_in = true;
            every_order(o, at + 1);
            t->kept[i].handed_in = false;
            break; /* only the device's first */
        }
}

/** What a chain leaves behind, in words. */
static const char LEFT[] =
    "SELECT coalesce(group_concat(x,'|'),'') FROM (SELECT hex(_id)||name||coalesce(address,'-') AS x FROM organisation"
    " UNION ALL SELECT hex(_id)||name||coalesce(hex(parent_id),'-') FROM branch"
    " UNION ALL SELECT hex(_id)||categories FROM weak_case ORDER BY 1)";

struct chain {
    const char *script;
    struct trial t;
};

static void set_element(struct sx_dev *d, struct tz_id id, enum tz_op_kind kind, const char *element)
{
    struct sx_cs *c = sx_begin(d);
    struct tz_op *op = sx_op(c, kind, "weak_case", id);
    struct tz_bytes *el = tz_arena_calloc(&d->f->a, 1, sizeof *el);
    *el = tz_bytes_str(element);
    op->field = tz_type_field(sx_type(d->f, "weak_case"), "categories")->id;
    op->elements = el;
    op->nelements = 1;
    (void)sx_push(c);
}

/** Under @parent. */
static struct tz_id branch(struct sx_dev *d, const char *name, struct tz_id parent)
{
    return sx_create(d, "branch", name, "branch_type=branch", "district_code=120101", "established_on=2020",
                     "term_years=3", sx_ref(d->f, "parent_id", parent), NULL);
}

/** Two letters a save: who, and what, always after having seen all that the others did. */
static void play(struct chain *c)
{
    struct trial *t = &c->t;
    struct sx *f = t->f;
    char a[32];
    char b[32];
    for (size_t i = 0; c->script[i]; i += 2) {
        struct sx_dev *d = t->dev[c->script[i] - '0'];
        char what = c->script[i + 1];
        f->clock.wall.ms += 60000;
        (void)snprintf(a, sizeof a, "address=地址%zu", i);
        (void)snprintf(b, sizeof b, "name=名称%zu", i);
        sx_see(d);
        switch (what) {
        case 'c':
            t->id[0] = sx_create(d, "organisation", b, "district_code=120101", NULL);
            break;
        case 'k':
            t->id[1] = branch(d, b, t->id[1]);
            break;
        case 'n':
            (void)sx_set(d, "organisation", t->id[0], b, NULL);
            break;
        case 'b':
            (void)sx_set(d, "organisation", t->id[0], a, b, NULL);
            break;
        case 'd':
            (void)sx_delete(d, "organisation", t->id[0]);
            break;
        case 'r':
            (void)sx_restore(d, "organisation", t->id[0]);
            break;
        case 'p':
            set_element(d, t->id[2], TZ_OP_ADD, "team_incomplete");
            break;
        case 'm':
            set_element(d, t->id[2], TZ_OP_REMOVE, "team_incomplete");
            break;
        default:
            (void)sx_set(d, "organisation", t->id[0], a, NULL);
            break;
        }
        if (f->res.outcome != TZ_OUT_APPLIED)
            fail_msg("%s: save %zu was not applied", c->script, i / 2);
        keep(t, d);
    }
}

/** From the same beginning each time: the devices' numbers, ids and clocks too. */
static void one_order(struct orders *o)
{
    struct trial *t = o->t;
    for (int d = 0; d < DEVICES; d++)
        greet(t->dev[d]);
    for (size_t i = 0; i < t->nkept; i++)
        hand_in(t, &t->kept[o->order[i]]);
    for (size_t i = 0; i < t->nkept; i++)
        t->kept[i].handed_in = true;
}

struct chain_end {
    const char *state, *disputes;
    struct tz_memdisk *before; /* as it was when the chain began */
    uint32_t epoch;
    const char *script;
};
static struct chain_end END;

static void try_order(struct orders *o)
{
    struct sx *f = o->t->f;
    char said[64] = "";
    bool marked[SAVES_MAX];
    for (size_t i = 0; i < o->t->nkept; i++) {
        said[i] = (char)('0' + o->order[i]);
        marked[i] = o->t->kept[i].handed_in;
    }
    restore_to(f, tz_memdisk_clone(END.before), ++END.epoch, f->clock.wall.ms + 1000000);
    one_order(o);
    const char *now = text_of(f, LEFT);
    if (strcmp(END.state, now) != 0)
        fail_msg("%s in order %s:\n%s\n%s", END.script, said, END.state, now);
    none_is_new(END.disputes, text_of(f, DISPUTES), o->n);
    for (int i = 0; i < DEVICES; i++) {
        struct tz_balance account;
        assert_int_equal(tz_store_balance(f->s, o->t->dev[i]->d.number, &account, &f->err), 0);
        if (account.missing || account.waiting)
            fail_msg("%s in order %s: missing %llu, waiting %llu", END.script, said,
                     (unsigned long long)account.missing, (unsigned long long)account.waiting);
    }
    for (size_t i = 0; i < o->t->nkept; i++)
        o->t->kept[i].handed_in = marked[i];
}

/** Three devices, each of which builds on what the others have just made, back and forth. */
static void chains_of_three_come_back_in_every_order(void **state)
{
    static const char *const scripts[] = {
        "0a1a2a0a1a2a", /* one field, round and round */
        "0c1a2a0a1a2n", /* of a record that was made in between */
        "0n1b2a0b1n2a", /* two fields, apart and together */
        "0k1k2k0k1k2k", /* each under the one that another made */
        "0a1d2r0a1a2n", /* deleted, and back */
        "0a1d2r0d1r2a", /* twice */
        "0p1m2p0m1p2a", /* an element in and out */
    };
    struct sx *f = *state;
    struct sx_dev third = {0};
    sx_join(f, &third, "d1c", "D_CLERK", "120101");
    for (size_t k = 0; k < sizeof scripts / sizeof *scripts; k++) {
        struct trial t = {.f = f, .dev = {&f->d1, &f->d1b, &third, &f->fi}};
        struct chain c = {.script = scripts[k]};
        struct orders o = {.t = &t, .each = try_order};
        t.id[0] = sx_org(f, "名称");
        t.id[1] = sx_create(&f->d1, "branch", "name=支部", "branch_type=branch", "district_code=120101",
                            "established_on=2020", "term_years=3", NULL);
        t.id[2] = sx_create(&f->d1, "weak_case", sx_ref(f, "branch_id", t.id[1]), "year=2017",
                            "categories=support_weak", "plan=一支一策", "due_on=2017-12-31", NULL);
        for (int d = 0; d < DEVICES; d++)
            sx_see(t.dev[d]);
        struct tz_memdisk *b = backup(f);
        c.t = t;
        play(&c);
        t = c.t;
        END = (struct chain_end){.state = text_of(f, LEFT),
                                 .disputes = text_of(f, DISPUTES),
                                 .before = b,
                                 .epoch = END.epoch > 1 ? END.epoch : 1,
                                 .script = scripts[k]};
        every_order(&o, 0);
        assert_int_equal(o.n, 90);
        tz_memdisk_free(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(in_whichever_order_they_come_the_records_are_as_they_were),
        T(chains_of_three_come_back_in_every_order),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
