/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of all pairs (common/core/pairs.csv) walked through the real store: every cell in both orders of arrival,
 * with either of the two being the later by the clock, every changeset once and twice, in one group, in two, and with a
 * restart between. What is expected comes from the table alone.
 *
 * A pair of kinds without a row fails; so does a row that names a kind, a world or a result that does not exist.
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

enum { CELL_COLUMNS = 14, CELLS_MAX = 400, CELL_BYTES = 256, TABLE_BYTES = 128 * 1024 };

/** One row of the table. Index 0: a arrives first; 1: b does. */
struct cell {
    size_t line;
    char world[CELL_BYTES], a[CELL_BYTES], b[CELL_BYTES], clock[CELL_BYTES], result[CELL_BYTES];
    struct {
        char a[CELL_BYTES], b[CELL_BYTES], stands[CELL_BYTES], cases[CELL_BYTES];
    } then[2];
};

static struct {
    struct cell cell[CELLS_MAX];
    size_t n;
    size_t wrong, runs;
} T;

/* ---- the table ---- */

static int on_row(void *ctx, size_t line, const struct tz_bytes *fields, size_t n)
{
    (void)ctx;
    if (line == 1)
        return 0;
    assert_true(T.n < CELLS_MAX);
    if (n != CELL_COLUMNS)
        fail_msg("pairs.csv line %zu has %zu columns", line, n);
    struct cell *c = &T.cell[T.n++];
    char *const to[CELL_COLUMNS - 1] = {c->world,         c->a,         c->b,         c->clock,
                                        c->result,        c->then[0].a, c->then[0].b, c->then[0].stands,
                                        c->then[0].cases, c->then[1].a, c->then[1].b, c->then[1].stands,
                                        c->then[1].cases};
    c->line = line;
    for (size_t i = 0; i < CELL_COLUMNS - 1; i++) {
        assert_true(fields[i].n < CELL_BYTES);
        memcpy(to[i], fields[i].p, fields[i].n + 1);
    }
    return 0;
}

static void read_table(void)
{
    static char text[TABLE_BYTES];
    struct tz_csv_limits limits = {CELL_COLUMNS, CELL_BYTES * 2, CELL_BYTES * CELL_COLUMNS};
    struct tz_csv_pos pos;
    FILE *f = fopen(TZ_SOURCE_DIR "/common/core/pairs.csv", "rb");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text, f);
    assert_true(feof(f));
    (void)fclose(f);
    if (tz_csv_read(tz_bytes_of(text, n), &limits, on_row, NULL, &pos))
        fail_msg("pairs.csv line %zu column %zu", pos.line, pos.column);
}

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/** Without what follows "/": which rule keeps a word may differ although the word does not. */
static void without_rules(const char *text, char out[CELL_BYTES])
{
    size_t n = 0;
    for (bool rule = false; *text; text++) {
        rule = *text == '/' || (rule && *text != ' ' && *text != ';');
        if (!rule)
            out[n++] = *text;
    }
    out[n] = '\0';
}

/** `equal` means what it says; `first-come` is not said where the two orders agree. */
static void check_result(const struct cell *c)
{
    char words[2][CELL_BYTES];
    without_rules(c->then[0].cases, words[0]);
    without_rules(c->then[1].cases, words[1]);
    bool equal = is(c->then[0].stands, c->then[1].stands) && is(words[0], words[1]);
    if (!is(c->result, equal ? "equal" : "first-come"))
        fail_msg("pairs.csv line %zu: the orders are %s", c->line, equal ? "equal" : "not equal");
    size_t k = 0;
    while (pw_worlds[k] && !is(pw_worlds[k], c->world))
        k++;
    if (!pw_worlds[k])
        fail_msg("pairs.csv line %zu: no world %s", c->line, c->world);
    if (!is(c->clock, "any") && !is(c->clock, "a later") && !is(c->clock, "b later"))
        fail_msg("pairs.csv line %zu: clock %s", c->line, c->clock);
}

/* ---- which pairs there must be ---- */

static const char *const kinds[] = {"create", "set",     "clear", "group",   "add",     "remove",   "append", "void",
                                    "delete", "restore", "merge", "unmerge", "resolve", "withdraw", "event"};
enum { KINDS = sizeof kinds / sizeof *kinds };

/** Kinds that write one field, by the fields they can share. */
static unsigned shared_fields(const char *kind)
{
    enum { PLAIN = 1, GROUP = 2, SET = 4 };
    if (is(kind, "set") || is(kind, "clear"))
        return PLAIN;
    if (is(kind, "resolve"))
        return PLAIN | GROUP;
    if (is(kind, "group"))
        return GROUP;
    return is(kind, "add") || is(kind, "remove") ? SET : 0;
}

static size_t kind_of(const struct cell *c, const char *op)
{
    char name[32];
    pw_kind(op, name, sizeof name);
    for (size_t i = 0; i < KINDS; i++)
        if (is(kinds[i], name))
            return i;
    fail_msg("pairs.csv line %zu: %s", c->line, op);
    return 0;
}

static void every_pair_of_kinds_has_a_row(void **state)
{
    bool any[KINDS][KINDS] = {{false}};
    bool same[KINDS][KINDS] = {{false}};
    bool other[KINDS][KINDS] = {{false}};
    size_t missing = 0;
    (void)state;
    for (size_t i = 0; i < T.n; i++) {
        const struct cell *c = &T.cell[i];
        char ta[64];
        char tb[64];
        size_t a = kind_of(c, c->a);
        size_t b = kind_of(c, c->b);
        pw_target(c->a, ta, sizeof ta);
        pw_target(c->b, tb, sizeof tb);
        check_result(c);
        any[a][b] = any[b][a] = true;
        same[a][b] = same[b][a] = same[b][a] || is(ta, tb);
        other[a][b] = other[b][a] = other[b][a] || !is(ta, tb);
    }
    for (size_t a = 0; a < KINDS; a++)
        for (size_t b = a; b < KINDS; b++) {
            bool field = shared_fields(kinds[a]) & shared_fields(kinds[b]);
            bool whole = any[a][b] && (!field || (same[a][b] && other[a][b]));
            missing += !whole;
            if (!whole)
                print_error("pairs.csv: no row for %s and %s%s\n", kinds[a], kinds[b],
                            !any[a][b]   ? ""
                            : same[a][b] ? " of other fields"
                                         : " of the same field");
        }
    assert_int_equal(missing, 0);
}

/* ---- a run ---- */

enum { TWICE = 1, SPLITS = 3 };

struct run {
    const struct cell *c;
    bool a_later, b_first, twice;
    unsigned split; /* 0 one group, 1 two, 2 two with a restart between */
    char got[2][CELL_BYTES];
};

static const char *expand(struct pw *w, const struct run *r, const char *text)
{
    char said[2][CELL_BYTES];
    char *out = tz_arena_calloc(&w->f->a, 1, 4 * CELL_BYTES);
    size_t n = 0;
    pw_said(r->a_later ? r->c->b : r->c->a, said[0], CELL_BYTES);
    pw_said(r->a_later ? r->c->a : r->c->b, said[1], CELL_BYTES);
    while (*text) {
        bool earlier = strncmp(text, "$earlier", 8) == 0;
        bool later = strncmp(text, "$later", 6) == 0;
        if (earlier || later)
            n += (size_t)snprintf(out + n, 4 * CELL_BYTES - n, "%s", said[later]);
        else
            out[n++] = *text;
        assert_true(n < 4 * CELL_BYTES);
        text += earlier ? 8 : later ? 6 : 1;
    }
    return out;
}

/** @text in pieces, expanded, sorted and joined as pw_look does. */
static const char *expected(struct pw *w, const struct run *r, const char *text, const char *between)
{
    struct pw_facts *f = tz_arena_calloc(&w->f->a, 1, sizeof *f);
    const char *p = expand(w, r, text);
    while (*p) {
        const char *end = strstr(p, between);
        size_t n = end ? (size_t)(end - p) : strlen(p);
        pw_fact(f, "%.*s", (int)n, p);
        p += n + (end ? strlen(between) : 0);
    }
    pw_sort(f);
    return pw_join(w, f, between);
}

static void differs(const struct run *r, const char *what, const char *got, const char *want)
{
    if (is(got, want))
        return;
    T.wrong++;
    print_error(
        "pairs.csv line %zu (%s: %s | %s), %c first, %c later%s, split %u: %s\n    is      %s\n    must be %s\n",
        r->c->line, r->c->world, r->c->a, r->c->b, r->b_first ? 'b' : 'a', r->a_later ? 'a' : 'b',
        r->twice ? ", twice" : "", r->split, what, got, want);
}

/** Once or twice; the second time the answer must be the first one, byte for byte. */
static void arrive(struct pw *w, struct run *r, struct sx_cs *c, int side)
{
    assert_int_equal(sx_apply(c), 0);
    (void)snprintf(r->got[side], CELL_BYTES, "%s", pw_outcome(w, &w->f->res));
    struct tz_bytes first = w->f->all[0].result;
    if (!r->twice)
        return;
    assert_int_equal(sx_apply(c), 0);
    assert_int_equal(w->f->nall, 1);
    assert_int_equal(w->f->all[0].result.n, first.n);
    assert_memory_equal(w->f->all[0].result.p, first.p, first.n);
}

static void check(struct pw *w, struct run *r)
{
    const char *const outcomes[2] = {r->c->then[r->b_first].a, r->c->then[r->b_first].b};
    struct pw_facts *facts = tz_arena_calloc(&w->f->a, 1, sizeof *facts);
    for (int side = 0; side < 2; side++) {
        bool later = (side == 0) == r->a_later;
        const char *want = is(outcomes[side], "race") ? (later ? "applied" : "superseded") : outcomes[side];
        differs(r, side ? "b gets" : "a gets", r->got[side], want);
    }
    pw_look(w, facts);
    differs(r, "stands", pw_join(w, facts, " "), expected(w, r, r->c->then[r->b_first].stands, " "));
    pw_look_cases(w, facts);
    differs(r, "cases", pw_join(w, facts, "; "), expected(w, r, r->c->then[r->b_first].cases, "; "));
}

static void run(const struct pw *world, struct run *r)
{
    struct pw *w = pw_clone(world);
    struct sx_cs *cs[2];
    cs[0] = pw_say(w, 0, 'A', r->a_later ? 2 : 1, r->c->a);
    cs[1] = pw_say(w, 1, 'B', r->a_later ? 1 : 2, r->c->b);
    sx_group(w->f);
    arrive(w, r, cs[r->b_first], r->b_first);
    if (r->split)
        sx_commit(w->f);
    if (r->split == 2)
        sx_reopen(w->f);
    if (r->split)
        sx_group(w->f);
    arrive(w, r, cs[!r->b_first], !r->b_first);
    if (r->twice) /* and the first one once more, after the other */
        assert_int_equal(sx_apply(cs[r->b_first]), 0);
    sx_commit(w->f);
    check(w, r);
    T.runs++;
    pw_free(w);
}

static void walk_cell(const struct pw *world, const struct cell *c)
{
    for (int a_later = is(c->clock, "a later"); a_later <= !is(c->clock, "b later"); a_later++)
        for (int b_first = 0; b_first < 2; b_first++)
            for (int twice = 0; twice < 2; twice++)
                for (unsigned split = 0; split < SPLITS; split++)
                    run(world,
                        &(struct run){.c = c, .a_later = a_later, .b_first = b_first, .twice = twice, .split = split});
}

static void every_cell_holds_in_both_orders(void **state)
{
    struct sx *f = *state;
    sx_close(f);
    for (size_t k = 0; pw_worlds[k]; k++) {
        struct pw *world = pw_build(sx_clone(f), pw_worlds[k]);
        for (size_t i = 0; i < T.n; i++)
            if (is(T.cell[i].world, pw_worlds[k]))
                walk_cell(world, &T.cell[i]);
        pw_free(world);
    }
    print_message("pairs: %zu cells, %zu runs\n", T.n, T.runs);
    assert_int_equal(T.wrong, 0);
    assert_true(T.runs >= T.n * 2 * 2 * SPLITS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_of_kinds_has_a_row),
        cmocka_unit_test_setup_teardown(every_cell_holds_in_both_orders, sx_setup, sx_teardown),
    };
    read_table();
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
