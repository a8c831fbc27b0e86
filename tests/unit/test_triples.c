/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three changes of one record, some of which saw others, through the real store in every order of arrival that
 * causality allows (common/core/triples.csv). The record and the set of words kept are the same in all of them, or the
 * table names the orders in which they are not: one row per result, and together the rows of a triple name each order
 * once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "csvread.h"
#include "pair_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 10, ROWS_MAX = 200, CELL_BYTES = 256, TABLE_BYTES = 64 * 1024 };

struct triple {
    size_t line;
    char world[CELL_BYTES], op[3][CELL_BYTES], sees[CELL_BYTES], clock[CELL_BYTES], orders[CELL_BYTES];
    char stands[CELL_BYTES], words[CELL_BYTES];
};

static struct {
    struct triple row[ROWS_MAX];
    size_t n, wrong, runs;
} T;

/** How the three know of each other, and the orders in which they can arrive. */
static const struct relation {
    const char *name;
    bool own;          /* b is by the same person, on top of his own a */
    bool b_saw, c_saw; /* b, c were made when a had come down */
    const char *orders;
} relations[] = {
    {"-", false, false, false, "abc acb bac bca cab cba"},
    {"b sees own a", true, false, false, "abc acb cab"},
    {"b sees a", false, true, false, "abc acb"}, /* had c come first, b would have seen that too */
    {"b and c see a", false, true, true, "abc acb"},
};

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static const struct relation *relation_of(const struct triple *t)
{
    for (size_t i = 0; i < sizeof relations / sizeof *relations; i++)
        if (is(relations[i].name, t->sees))
            return &relations[i];
    fail_msg("triples.csv line %zu: %s", t->line, t->sees);
    return NULL;
}

/* ---- the table ---- */

static int on_row(void *ctx, size_t line, const struct tz_bytes *fields, size_t n)
{
    (void)ctx;
    if (line == 1)
        return 0;
    assert_true(T.n < ROWS_MAX);
    if (n != COLUMNS)
        fail_msg("triples.csv line %zu has %zu columns", line, n);
    struct triple *t = &T.row[T.n++];
    char *const to[COLUMNS - 1] = {t->world, t->op[0],  t->op[1],  t->op[2], t->sees,
                                   t->clock, t->orders, t->stands, t->words};
    t->line = line;
    for (size_t i = 0; i < COLUMNS - 1; i++) {
        assert_true(fields[i].n < CELL_BYTES);
        memcpy(to[i], fields[i].p, fields[i].n + 1);
    }
    if (is(t->orders, "all"))
        (void)snprintf(t->orders, CELL_BYTES, "%s", relation_of(t)->orders);
    else if (fields[COLUMNS - 1].n == 0)
        fail_msg("triples.csv line %zu: a result of some orders only, and no word why", line);
    return 0;
}

static void read_table(void)
{
    static char text[TABLE_BYTES];
    struct tz_csv_limits limits = {COLUMNS, CELL_BYTES * 2, CELL_BYTES * COLUMNS};
    struct tz_csv_pos pos;
    FILE *f = fopen(TZ_SOURCE_DIR "/common/core/triples.csv", "rb");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text, f);
    assert_true(feof(f));
    (void)fclose(f);
    if (tz_csv_read(tz_bytes_of(text, n), &limits, on_row, NULL, &pos))
        fail_msg("triples.csv line %zu column %zu", pos.line, pos.column);
}

static bool same_triple(const struct triple *x, const struct triple *y)
{
    return is(x->world, y->world) && is(x->op[0], y->op[0]) && is(x->op[1], y->op[1]) && is(x->op[2], y->op[2]) &&
           is(x->sees, y->sees) && is(x->clock, y->clock);
}

static void rows_of_a_triple_name_each_order_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < T.n; i++) {
        const char *all = relation_of(&T.row[i])->orders;
        for (const char *p = all; *p; p += 3 + (p[3] == ' ')) {
            char order[4] = {p[0], p[1], p[2], '\0'};
            size_t named = 0;
            for (size_t k = 0; k < T.n; k++)
                named += same_triple(&T.row[i], &T.row[k]) && strstr(T.row[k].orders, order);
            if (named != 1)
                fail_msg("triples.csv line %zu: order %s is named %zu times", T.row[i].line, order, named);
        }
        for (const char *p = T.row[i].orders; *p; p += 3 + (p[3] == ' '))
            assert_true(strlen(p) >= 3);
    }
    for (size_t i = 0; i < sizeof relations / sizeof *relations; i++) {
        size_t used = 0;
        for (size_t k = 0; k < T.n; k++)
            used += is(T.row[k].sees, relations[i].name);
        assert_true(used > 0);
    }
}

/* ---- a run ---- */

struct run {
    const struct triple *t;
    const struct relation *rel;
    char clock[4], order[4];
    bool twice;
};

static struct sx_cs *say(struct pw *w, const struct run *r, int i)
{
    size_t who = r->rel->own ? (i == 2 ? 1 : 0) : (size_t)i;
    int minute = 1 + (int)(strchr(r->clock, 'a' + i) - r->clock);
    struct sx_cs *c = pw_say(w, who, (char)('A' + i), minute, r->t->op[i]);
    if (r->rel->own && i == 0)
        w->dev[who].seen_seq = w->dev[who].seq; /* on the screen, although no checkpoint came */
    return c;
}

static void arrive(struct pw *w, const struct run *r, struct sx_cs *c)
{
    sx_group(w->f);
    for (int i = 0; i <= r->twice; i++)
        assert_int_equal(sx_apply(c), 0);
    sx_commit(w->f);
}

static const char *sorted(struct pw *w, const char *text, const char *between)
{
    struct pw_facts *f = tz_arena_calloc(&w->f->a, 1, sizeof *f);
    while (*text) {
        const char *end = strstr(text, between);
        size_t n = end ? (size_t)(end - text) : strlen(text);
        pw_fact(f, "%.*s", (int)n, text);
        text += n + (end ? strlen(between) : 0);
    }
    pw_sort(f);
    return pw_join(w, f, between);
}

static void differs(const struct run *r, const char *what, const char *got, const char *want)
{
    const struct triple *t = r->t;
    if (is(got, want))
        return;
    T.wrong++;
    print_error(
        "triples.csv line %zu (%s: %s | %s | %s, %s), time %s, order %s%s: %s\n    is      %s\n    must be %s\n",
        t->line, t->world, t->op[0], t->op[1], t->op[2], t->sees, r->clock, r->order, r->twice ? ", twice" : "", what,
        got, want);
}

static void run(const struct pw *world, const struct run *r)
{
    struct pw *w = pw_clone(world);
    struct pw_facts *facts = tz_arena_calloc(&w->f->a, 1, sizeof *facts);
    bool saw[3] = {false, r->rel->b_saw, r->rel->c_saw};
    struct sx_cs *cs[3] = {NULL};
    for (int i = 0; i < 3; i++)
        if (!saw[i])
            cs[i] = say(w, r, i);
    for (int k = 0; k < 3; k++) {
        int i = r->order[k] - 'a';
        arrive(w, r, cs[i]);
        for (int s = 1; s < 3 && i == 0; s++) {
            if (saw[s]) {
                sx_see(&w->dev[s]);
                cs[s] = say(w, r, s);
            }
        }
    }
    pw_look(w, facts);
    differs(r, "stands", pw_join(w, facts, " "), sorted(w, r->t->stands, " "));
    pw_look_words(w, facts);
    differs(r, "words", pw_join(w, facts, "; "), sorted(w, r->t->words, "; "));
    T.runs++;
    pw_free(w);
}

static void walk(const struct pw *world, const struct triple *t)
{
    static const char all[] = "abc acb bac bca cab cba";
    const char *clocks = is(t->clock, "any") ? all : t->clock;
    for (const char *c = clocks; *c; c += 3 + (c[3] == ' '))
        for (const char *o = t->orders; *o; o += 3 + (o[3] == ' '))
            for (int twice = 0; twice < 2; twice++) {
                struct run r = {.t = t, .rel = relation_of(t), .twice = twice};
                memcpy(r.clock, c, 3);
                memcpy(r.order, o, 3);
                run(world, &r);
            }
}

static void every_triple_keeps_record_and_words(void **state)
{
    struct sx *f = *state;
    sx_close(f);
    for (size_t k = 0; pw_worlds[k]; k++) {
        struct pw *world = pw_build(sx_clone(f), pw_worlds[k]);
        for (size_t i = 0; i < T.n; i++)
            if (is(T.row[i].world, pw_worlds[k]))
                walk(world, &T.row[i]);
        pw_free(world);
    }
    print_message("triples: %zu rows, %zu runs\n", T.n, T.runs);
    assert_int_equal(T.wrong, 0);
    assert_true(T.n > 0 && T.runs >= 2 * T.n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_a_triple_name_each_order_once),
        cmocka_unit_test_setup_teardown(every_triple_keeps_record_and_words, sx_setup, sx_teardown),
    };
    read_table();
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
