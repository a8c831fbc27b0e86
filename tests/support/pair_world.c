/* SPDX-License-Identifier: Apache-2.0 */
/* See the header: the worlds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pair_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOUR_MS = 3600 * 1000 };
#define PW_BRANCH(f, dev, name)                                                                         \
    sx_create(dev, "branch", name, "branch_type=branch", "district_code=120101", "established_on=2020", \
              "term_years=3", NULL)

const char *const pw_worlds[] = {"live", "cases", "lifecase", "dead", "one", "waits", "waits2", NULL};

static void enter(struct pw *w, char letter, const char *type, struct tz_id id)
{
    w->rec[letter - 'A'] = (struct pw_rec){.type = sx_type(w->f, type), .id = id};
}

static void all_see(struct pw *w)
{
    struct sx *f = w->f;
    f->clock.wall.ms += HOUR_MS;
    sx_see(&f->d1);
    sx_see(&f->d1b);
    for (size_t i = 0; i < PW_DEVS; i++)
        sx_see(&w->dev[i]);
}

static struct tz_id id_of(const struct pw *w, char letter)
{
    return w->rec[letter - 'A'].id;
}

static struct tz_id weak(struct sx *f, struct tz_id branch, const char *categories)
{
    return sx_create(&f->d1, "weak_case", sx_ref(f, "branch_id", branch), "year=2017", categories, "plan=old",
                     "due_on=2017-12-31", "acceptance_score=60", NULL);
}

static void step(struct pw *w, struct sx_dev *dev, char letter, uint64_t seq, const char *action, const char *state,
                 const char *value)
{
    struct sx_cs *c = sx_begin(dev);
    sx_op_event(c, "ledger_item", id_of(w, letter), action, state, seq, NULL, value ? "[{}]" : NULL, value, NULL);
    sx_applied(sx_push(c));
}

/** Up to where others have to say something. */
static void ledger(struct pw *w, char letter)
{
    struct sx *f = w->f;
    enter(w, letter, "ledger_item",
          sx_create(&f->d1, "ledger_item", "title=old", "list_type=issue", "source=other", "due_on=2024-12-31",
                    "target_type=organisation", sx_ref(f, "target_id", id_of(w, 'N')),
                    sx_ref(f, "lead_unit", tz_store_fixed_id("unit", tz_bytes_str("GW120101"))), NULL));
    step(w, &w->dev[PW_DEVS - 1], letter, 1, "assign", "opened", NULL);
    step(w, &f->d1b, letter, 2, "sign", "assigned", NULL);
    step(w, &f->d1b, letter, 3, "submit", "rectifying", "result=done");
}

static void live(struct pw *w)
{
    struct sx *f = w->f;
    enter(w, 'R', "organisation",
          sx_create(&f->d1, "organisation", "name=one", "district_code=120101", "address=old", "grid_no=g",
                    "full_members=1", "activists=1", "counts_on=2023-01", NULL));
    enter(w, 'S', "organisation",
          sx_create(&f->d1, "organisation", "name=one", "district_code=120101", "former_names=s", NULL));
    enter(w, 'T', "organisation",
          sx_create(&f->d1, "organisation", "name=two", "district_code=120101", PW_USCI_1, NULL));
    enter(w, 'V', "visit",
          sx_create(&f->d1, "visit", sx_ref(f, "org_id", id_of(w, 'R')), sx_ref(f, "by_ref", f->d1.user),
                    "visited_on=2023-11-01", "way=on_site", NULL));
    enter(w, 'P', "branch", PW_BRANCH(f, &f->d1, "name=p"));
    enter(w, 'Q', "branch", PW_BRANCH(f, &f->d1, "name=q"));
    enter(w, 'W', "weak_case", weak(f, id_of(w, 'P'), "categories=team_incomplete|secretary_unfit|support_weak"));
    enter(w, 'X', "weak_case", weak(f, id_of(w, 'Q'), "categories=team_incomplete|education_lacking"));
    enter(w, 'N', "organisation", sx_create(&f->d1, "organisation", "name=n", "district_code=120101", NULL));
    ledger(w, 'L');
    ledger(w, 'M');
    all_see(w);
}

/** Two clerks wrote the field without hearing of each other: @lost waits in a case, @stands stands. */
static void quarrel(struct pw *w, char letter, const char *lost, const char *stands, const char *date)
{
    struct sx *f = w->f;
    const struct pw_rec *r = &w->rec[letter - 'A'];
    sx_applied(sx_set(&f->d1, r->type->name, r->id, lost, date, NULL));
    f->clock.wall.ms += 1000;
    sx_applied(sx_set(&f->d1b, r->type->name, r->id, stands, date, NULL));
}

static void cases(struct pw *w)
{
    live(w);
    quarrel(w, 'R', "address=lost", "address=stands", NULL);
    quarrel(w, 'R', "grid_no=lost", "grid_no=stands", NULL);
    quarrel(w, 'R', "full_members=2", "full_members=3", "counts_on=2023-02");
    quarrel(w, 'W', "plan=lost", "plan=stands", NULL);
    all_see(w);
}

/** Somebody wanted R and W away while another edited them. */
static void lifecase(struct pw *w)
{
    struct sx *f = w->f;
    live(w);
    sx_applied(sx_set(&f->d1, "organisation", id_of(w, 'R'), "address=kept", NULL));
    sx_superseded(sx_delete(&f->d1b, "organisation", id_of(w, 'R')));
    all_see(w);
}

static void dead(struct pw *w)
{
    struct sx *f = w->f;
    live(w);
    sx_applied(sx_delete(&f->d1, "organisation", id_of(w, 'R')));
    sx_applied(sx_delete(&f->d1, "organisation", id_of(w, 'T')));
    sx_applied(sx_delete(&f->d1, "weak_case", id_of(w, 'W')));
    all_see(w);
}

static void merge(struct pw *w, const char *type, char keep, char gone)
{
    struct sx_cs *c = sx_begin(&w->dev[PW_DEVS - 1]);
    sx_op(c, TZ_OP_MERGE, type, id_of(w, keep))->other_id = id_of(w, gone);
    sx_applied(sx_push(c));
    all_see(w);
}

static void one(struct pw *w)
{
    live(w);
    merge(w, "organisation", 'R', 'S');
    merge(w, "weak_case", 'W', 'X');
    quarrel(w, 'R', "grid_no=lost", "grid_no=stands", NULL);
    all_see(w);
}

/** Somebody's save was refused, and his next one waits for it. */
static void waits_for(struct pw *w, size_t who, const char *next)
{
    struct sx_dev *d = &w->dev[who];
    sx_refused(sx_set(d, "organisation", id_of(w, 'R'), "address=refused", "decoupled_on=2017-01-01", NULL),
               TZ_E_NO_RIGHT_FIELD); /* the second is the centre's */
    w->refused[who] = d->seq;
    assert_int_equal(sx_set(d, "organisation", id_of(w, 'R'), next, NULL)->outcome, TZ_OUT_WAITING);
}

static void waits(struct pw *w)
{
    one(w);
    waits_for(w, 0, "address=waited");
    all_see(w);
}

static void waits2(struct pw *w)
{
    one(w);
    waits_for(w, 0, "address=waited");
    w->f->clock.wall.ms += 1000;
    waits_for(w, 1, "address=waited too");
    all_see(w);
}

static struct tz_row *row_of(struct pw *w, const struct pw_rec *r)
{
    const struct tz_row *row = sx_row(w->f, r->type->name, r->id);
    struct tz_row *copy = tz_arena_dup(&w->f->a, row, sizeof *row);
    assert_non_null(copy);
    return copy;
}

struct pw *pw_build(struct sx *f, const char *name)
{
    static void (*const make[])(struct pw *) = {live, cases, lifecase, dead, one, waits, waits2};
    static const char *const who[PW_DEVS] = {"pa", "pb", "pc"};
    struct pw *w = calloc(1, sizeof *w);
    size_t i = 0;
    assert_non_null(w);
    w->f = f;
    for (size_t k = 0; k < PW_DEVS; k++)
        sx_join(f, &w->dev[k], who[k], "D_SUPER", "120101");
    while (pw_worlds[i] && strcmp(pw_worlds[i], name) != 0)
        i++;
    if (!pw_worlds[i])
        fail_msg("no world %s", name);
    make[i](w);
    for (size_t k = 0; k < PW_LETTERS; k++)
        if (w->rec[k].type)
            w->rec[k].was = row_of(w, &w->rec[k]);
    struct pw_facts *facts = tz_arena_calloc(&f->a, 2, sizeof *facts);
    assert_non_null(facts);
    pw_look(w, &facts[0]);
    assert_int_equal(facts[0].n, 0);
    pw_look_cases(w, &facts[1]);
    w->cases_before = &facts[1];
    sx_close(f);
    return w;
}

struct pw *pw_clone(const struct pw *from)
{
    struct pw *w = malloc(sizeof *w);
    assert_non_null(w);
    *w = *from;
    w->f = sx_clone(from->f);
    for (size_t i = 0; i < PW_DEVS; i++) {
        w->dev[i].f = w->f;
        w->dev[i].ids.random_ctx = &w->dev[i];
        sx_see(&w->dev[i]);
    }
    return w;
}

void pw_free(struct pw *w)
{
    if (!w)
        return;
    sx_free(w->f);
    free(w);
}

char pw_letter(const struct pw *w, struct tz_id id)
{
    for (size_t i = 0; i < PW_LETTERS; i++)
        if (w->rec[i].type && tz_id_eq(w->rec[i].id, id))
            return (char)('A' + i);
    return '?';
}
