/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The merge as a table: for each class of field, what two edits of one base become, in both orders of arrival; and the
 * laws of stamps. No store: commits are a small array.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "catalogue_fixture.h"
#include "merge.h"
#include "set.h"

#include <stdio.h>
#include <string.h>

enum { BORN = 10, FIRST = 20, SECOND = 30, COMMITS_MAX = 8 };

struct m {
    struct tz_catalogue cat;
    const struct tz_type *t;
    struct tz_arena a;
    struct tz_commit commits[COMMITS_MAX];
    size_t ncommits;
    struct tz_record cur;
    struct tz_stamps stamps;
    struct tz_merge_out out;
};

static struct tz_commit commit_of(void *ctx, tz_ver ver)
{
    const struct m *m = ctx;
    for (size_t i = 0; i < m->ncommits; i++)
        if (m->commits[i].ver == ver)
            return m->commits[i];
    return (struct tz_commit){0};
}

static int setup(void **state)
{
    static struct m m;
    struct tz_err err = {0};
    memset(&m, 0, sizeof m);
    assert_int_equal(catalogue_fixture_load(-1, (struct tz_bytes){0}, &m.cat, &err), 0);
    m.t = tz_catalogue_type(&m.cat, "thing");
    tz_arena_init(&m.a, 1 << 20);
    tz_record_init(&m.cur, m.t);
    tz_stamps_init(&m.stamps, &m.a);
    m.commits[m.ncommits++] =
        (struct tz_commit){.ver = BORN, .device = 9, .incarnation = 1, .seq = 1, .effective = 100};
    *state = &m;
    return 0;
}

static int teardown(void **state)
{
    struct m *m = *state;
    tz_arena_deinit(&m->a);
    tz_catalogue_deinit(&m->cat);
    return 0;
}

static size_t ix(const struct m *m, const char *field)
{
    return tz_type_field(m->t, field)->index;
}

/** An edit: who, when, on what base, and what it says ("-" = does not name it, NULL = clears). */
struct said {
    uint32_t device, incarnation;
    uint64_t seq;
    tz_hlc effective;
    tz_ver base_ver;
    uint64_t base_seq;
    const char *name;       /* thing.name, a plain field */
    int members;            /* group; -1 = not named, -2 = cleared */
    const char *counted_on; /* its date */
};

static struct said quiet(uint32_t device, tz_hlc effective)
{
    return (struct said){device, 1, 5, effective, BORN, 0, "-", -1, "-"};
}

static void name_text(const struct m *m, struct tz_record *in, bool *names, const char *field, const char *v)
{
    if (v && strcmp(v, "-") == 0)
        return;
    names[ix(m, field)] = true;
    in->v[ix(m, field)] = v ? tz_value_text(v) : tz_value_null();
}

/** Merge @s as commit @ver into the current row. */
static void merge(struct m *m, const struct said *s, tz_ver ver)
{
    struct tz_record in;
    bool names[TZ_FIELDS_MAX] = {false};
    struct tz_edit e = {.device = s->device,
                        .incarnation = s->incarnation,
                        .seq = s->seq,
                        .effective = s->effective,
                        .base_ver = s->base_ver,
                        .base_seq = s->base_seq,
                        .ver = ver};
    tz_record_init(&in, m->t);
    name_text(m, &in, names, "name", s->name);
    name_text(m, &in, names, "counted_on", s->counted_on);
    if (s->members != -1) {
        names[ix(m, "members")] = true;
        in.v[ix(m, "members")] = s->members == -2 ? tz_value_null() : tz_value_int(s->members);
    }
    assert_int_equal(tz_merge_set(m->t, &m->cur, BORN, &m->stamps, &in, names, &e, commit_of, m, &m->out), 0);
    memcpy(m->cur.v, m->out.v, m->t->nfields * sizeof *m->out.v);
    m->commits[m->ncommits++] = (struct tz_commit){
        .ver = ver, .device = s->device, .incarnation = s->incarnation, .seq = s->seq, .effective = s->effective};
}

static void text_is(const struct m *m, const char *field, const char *want)
{
    struct tz_value v = m->cur.v[ix(m, field)];
    if (!want)
        assert_int_equal(v.kind, TZ_V_NULL);
    else if (!tz_value_is_text(v, want))
        fail_msg("%s is %.*s, expected %s", field, (int)v.n, v.n ? (const char *)v.p : "", want);
}

static tz_ver stamp_of(const struct m *m, const char *field)
{
    return tz_stamps_get(&m->stamps, tz_type_field(m->t, field)->id, 0, BORN).ver;
}

static void start(struct m *m, const char *name, const char *colours, int members, const char *counted_on)
{
    m->stamps.n = 0;
    m->ncommits = 1;
    m->cur.v[ix(m, "name")] = name ? tz_value_text(name) : tz_value_null();
    m->cur.v[ix(m, "colours")] = colours ? tz_value_text(colours) : tz_value_null();
    m->cur.v[ix(m, "members")] = members < 0 ? tz_value_null() : tz_value_int(members);
    m->cur.v[ix(m, "counted_on")] = counted_on ? tz_value_text(counted_on) : tz_value_null();
}

/* ---- the pair table: fields ---- */

enum relation { SAW, EARLIER, LATER, SAME_TIME_GREATER_DEVICE, SAME_TIME_LESSER_DEVICE };

struct pair {
    const char *second; /* what the edit says; the standing one says "A" */
    enum relation how;
    bool resolved; /* the standing value was chosen by somebody */
    const char *stands;
    tz_ver stamp;
    int losses;
    bool superseded;
    const char *rule;
};

static const struct pair PAIRS[] = {
    /* saw: a successor, no clock asked */
    {"A", SAW, false, "A", FIRST, 0, false, NULL}, /* changes nothing: restamps nothing */
    {"B", SAW, false, "B", SECOND, 0, false, NULL},
    {"A", SAW, true, "A", FIRST, 0, false, NULL},
    {"B", SAW, true, "B", SECOND, 0, false, NULL},
    {NULL, SAW, false, NULL, SECOND, 0, false, NULL},
    /* concurrent, equal: no case; the stamp is the later one's */
    {"A", EARLIER, false, "A", FIRST, 0, false, NULL},
    {"A", LATER, false, "A", SECOND, 0, false, NULL},
    {"A", SAME_TIME_GREATER_DEVICE, false, "A", SECOND, 0, false, NULL},
    {"A", SAME_TIME_LESSER_DEVICE, false, "A", FIRST, 0, false, NULL},
    {"A", LATER, true, "A", FIRST, 0, false, NULL}, /* stays a decision */
    /* concurrent, different: the later stands, the other is kept */
    {"B", EARLIER, false, "A", FIRST, 1, true, "later"},
    {"B", LATER, false, "B", SECOND, 1, false, "later"},
    {"B", SAME_TIME_GREATER_DEVICE, false, "B", SECOND, 1, false, "later"},
    {"B", SAME_TIME_LESSER_DEVICE, false, "A", FIRST, 1, true, "later"},
    {NULL, LATER, false, NULL, SECOND, 1, false, "later"}, /* clearing is a word like any other */
    {NULL, EARLIER, false, "A", FIRST, 1, true, "later"},
    /* a decision is not undone by who has not heard of it */
    {"B", EARLIER, true, "A", FIRST, 1, true, "resolved"},
    {"B", LATER, true, "A", FIRST, 1, true, "resolved"},
};

static struct said second_of(const struct pair *p)
{
    struct said s = quiet(2, 1000);
    s.base_ver = p->how == SAW ? FIRST : BORN;
    if (p->how == EARLIER || p->how == SAW) /* who saw may have the slower clock */
        s.effective = 500;
    if (p->how == LATER)
        s.effective = 2000;
    if (p->how == SAME_TIME_GREATER_DEVICE)
        s.device = 3;
    if (p->how == SAME_TIME_LESSER_DEVICE)
        s.device = 1;
    return s;
}

/** One line of the table for the field @field, which is text either way. */
static void check_pair(struct m *m, const struct pair *p, const char *field, const char *values[2])
{
    const char *a = values[0];
    const char *b = p->second ? values[p->second[0] - 'A'] : NULL;
    const char *stands = p->stands ? values[p->stands[0] - 'A'] : NULL;
    struct said first = quiet(2, 1000);
    struct said second = second_of(p);
    start(m, NULL, NULL, -1, NULL);
    first.name = a;
    second.name = b;
    first.seq = 4;
    second.seq = 7;
    if (p->how != SAME_TIME_GREATER_DEVICE && p->how != SAME_TIME_LESSER_DEVICE)
        second.device = 3;
    merge(m, &first, FIRST);
    if (p->resolved)
        assert_int_equal(tz_stamps_set(&m->stamps, (struct tz_stamp){tz_type_field(m->t, field)->id, 0, FIRST, true}),
                         0);
    merge(m, &second, SECOND);
    text_is(m, field, stands);
    assert_int_equal(stamp_of(m, field), p->stamp);
    assert_int_equal(m->out.nlosses, p->losses);
    assert_int_equal(m->out.superseded, p->superseded);
    assert_int_equal(m->out.changed, p->stamp == SECOND);
    if (p->losses) {
        const struct tz_loss *l = &m->out.loss[0];
        assert_string_equal(l->rule, p->rule);
        assert_int_equal(l->author.ver, p->superseded ? SECOND : FIRST);
        assert_int_equal(l->field, ix(m, field));
        const char *lost = p->superseded ? b : a;
        assert_true(lost ? tz_value_is_text(l->value, lost) : l->value.kind == TZ_V_NULL);
    }
}

static void pair_table_of_a_field(void **state)
{
    static const char *values[] = {"甲", "乙"};
    for (size_t i = 0; i < sizeof PAIRS / sizeof *PAIRS; i++)
        check_pair(*state, &PAIRS[i], "name", values);
}

/* ---- the pair table: elements of a set ---- */

/** One ADD (+x) or REMOVE (-x) by device 2, on the base @base_ver, as commit @ver. */
static struct tz_elements_out change(struct m *m, const char *what, tz_ver base_ver, tz_ver ver)
{
    struct tz_edit e = {.device = 2, .incarnation = 1, .seq = ver, .base_ver = base_ver, .ver = ver};
    struct tz_bytes el = tz_bytes_str(what + 1);
    struct tz_elements_out out;
    struct tz_value *v = &m->cur.v[ix(m, "colours")];
    assert_int_equal(tz_merge_elements(tz_type_field(m->t, "colours"), *v, BORN, &m->stamps, what[0] == '+', &el, 1, &e,
                                       commit_of, m, &m->a, &out),
                     0);
    *v = out.v;
    m->commits[m->ncommits++] =
        (struct tz_commit){.ver = ver, .device = (uint32_t)ver, .incarnation = 1, .seq = 1, .effective = 100};
    return out;
}

struct element_pair {
    const char *was, *first, *second;
    bool saw; /* the second saw the first */
    const char *stands;
    bool superseded; /* the second */
};

static const struct element_pair ELEMENT_PAIRS[] = {
    /* other elements: both, in either order */
    {"[\"g\"]", "+r", "+b", false, "[\"b\",\"g\",\"r\"]", false},
    {"[\"g\"]", "+r", "-g", false, "[\"r\"]", false},
    {"[\"g\"]", "-g", "+r", false, "[\"r\"]", false},
    {"[\"b\",\"g\"]", "-g", "-b", false, NULL, false},
    /* the same element: an add beats a remove that did not see it, whoever comes first */
    {"[\"g\"]", "+g", "-g", false, "[\"g\"]", true},
    {"[\"g\"]", "-g", "+g", false, "[\"g\"]", false},
    {NULL, "+g", "-g", false, "[\"g\"]", true},
    {NULL, "+g", "+g", false, "[\"g\"]", false},
    {"[\"g\"]", "-g", "-g", false, NULL, false},
    /* who saw it may take it out */
    {NULL, "+g", "-g", true, NULL, false},
    {"[\"g\"]", "+g", "-g", true, NULL, false},
};

static void pair_table_of_the_elements_of_a_set(void **state)
{
    struct m *m = *state;
    for (size_t i = 0; i < sizeof ELEMENT_PAIRS / sizeof *ELEMENT_PAIRS; i++) {
        const struct element_pair *p = &ELEMENT_PAIRS[i];
        start(m, NULL, p->was, -1, NULL);
        (void)change(m, p->first, BORN, FIRST);
        struct tz_elements_out out = change(m, p->second, p->saw ? FIRST : BORN, SECOND);
        text_is(m, "colours", p->stands);
        assert_int_equal(out.superseded, p->superseded);
    }
}

static void removal_leaves_a_stamp_and_no_other_elements(void **state)
{
    struct m *m = *state;
    uint32_t f = tz_type_field(m->t, "colours")->id;
    start(m, NULL, "[\"g\",\"r\"]", -1, NULL);
    (void)change(m, "+b", BORN, FIRST);
    (void)change(m, "-g", BORN, SECOND);
    assert_int_equal(tz_stamps_get(&m->stamps, f, 0, BORN).ver, SECOND); /* a DELETE that did not see it is held up */
    assert_int_equal(tz_stamps_get(&m->stamps, f, tz_element_hash(tz_bytes_str("b")), BORN).ver, FIRST);
    assert_int_equal(tz_stamps_get(&m->stamps, f, tz_element_hash(tz_bytes_str("r")), BORN).ver, BORN);
    struct tz_elements_out out = change(m, "-x", BORN, SECOND + 1); /* is not there: nothing happened */
    assert_false(out.changed || out.superseded);
}

static void set_holds_a_thousand_elements_and_no_more(void **state)
{
    struct m *m = *state;
    static char text[1001][16];
    struct tz_bytes el[1001];
    struct tz_value v = tz_value_null();
    struct tz_value w;
    for (int i = 0; i < 1001; i++) {
        (void)snprintf(text[i], sizeof text[i], "e%d", i);
        el[i] = tz_bytes_str(text[i]);
    }
    assert_int_equal(tz_set_put(v, el, 1000, true, &m->a, &v), 0);
    assert_int_equal(tz_set_count(v), 1000);
    assert_null(tz_value_check(tz_type_field(m->t, "colours"), v, false, NULL) ? "not canonical" : NULL);
    assert_int_equal(tz_set_put(v, &el[1000], 1, true, &m->a, &w), TZ_E_LIMIT);
    assert_int_equal(tz_set_put(v, el, 1001, false, &m->a, &w), 0);
    assert_int_equal(w.kind, TZ_V_NULL);
}

/** Two concurrent edits of fields and groups give the same row whichever arrives first. */
static void order_of_arrival_does_not_matter(void **state)
{
    struct m *m = *state;
    static const char *const names[] = {"-", "甲", "乙", NULL};
    static const int counts[] = {-1, 3, 4, -2};
    static const char *const dates[] = {"-", "2023", "2023-06", "2023-06-01", NULL};
    for (size_t n = 0; n < 4 * 4 * 4 * 4 * 5 * 5; n++) {
        struct said e[2] = {quiet(2, 1000), quiet(3, n % 2 ? 1000 : 900)};
        struct tz_value got[2][TZ_FIELDS_MAX];
        size_t losses[2];
        e[0].name = names[n % 4];
        e[1].name = names[n / 4 % 4];
        e[0].members = counts[n / 16 % 4];
        e[1].members = counts[n / 64 % 4];
        e[0].counted_on = dates[n / 256 % 5];
        e[1].counted_on = dates[n / 1280 % 5];
        for (int order = 0; order < 2; order++) {
            start(m, "旧", NULL, 2, "2022"); /* every edit changes something: others are not sent */
            merge(m, &e[order], FIRST);
            merge(m, &e[!order], SECOND);
            memcpy(got[order], m->cur.v, sizeof got[order]);
            losses[order] = m->out.nlosses;
        }
        assert_true(tz_value_eq(got[0][ix(m, "name")], got[1][ix(m, "name")]));
        bool dated = strcmp(e[0].counted_on ? e[0].counted_on : "", "-") != 0 &&
                     strcmp(e[1].counted_on ? e[1].counted_on : "", "-") != 0;
        if (!dated) /* a SET of a group names its date; the client sees to it */
            continue;
        assert_true(tz_value_eq(got[0][ix(m, "members")], got[1][ix(m, "members")]));
        if (e[0].counted_on && e[1].counted_on)
            assert_true(tz_value_eq(got[0][ix(m, "counted_on")], got[1][ix(m, "counted_on")]));
        assert_int_equal(losses[0], losses[1]);
    }
}

/* ---- groups ---- */

struct dated {
    const char *first, *second; /* as-of dates; NULL = none */
    bool second_is_later;       /* effective time */
    bool second_stands;
    const char *as_of;
    const char *rule;
};

static const struct dated DATES[] = {
    {"2023-05-31", "2023-06-30", false, true, "2023-06-30", "as_of"}, /* a later date beats a later clock */
    {"2023-06-30", "2023-05-31", true, false, "2023-06-30", "as_of"},
    {"2023", "2023-02", false, true, "2023-02", "as_of"}, /* a year is its first day */
    {"2023-02", "2023", true, false, "2023-02", "as_of"},
    {"2023", "2023-01", false, true, "2023-01", "as_of"}, /* same day: the finer wins */
    {"2023-01", "2023-01-01", false, true, "2023-01-01", "as_of"},
    {"2023-01-01", "2023", true, false, "2023-01-01", "as_of"},
    {NULL, "2023", false, true, "2023", "as_of"}, /* no date is earliest */
    {"2023", NULL, true, false, "2023", "as_of"},
    {"2023-06", "2023-06", true, true, "2023-06", "later"}, /* equal dates: the clock */
    {"2023-06", "2023-06", false, false, "2023-06", "later"},
    {NULL, NULL, true, true, NULL, "later"}, /* none against none stays none */
    {NULL, NULL, false, false, NULL, "later"},
};

static void group_goes_by_date_then_by_time(void **state)
{
    struct m *m = *state;
    for (size_t i = 0; i < sizeof DATES / sizeof *DATES; i++) {
        const struct dated *d = &DATES[i];
        struct said a = quiet(2, 1000);
        struct said b = quiet(3, d->second_is_later ? 2000 : 500);
        a.members = 4;
        a.counted_on = d->first;
        b.members = 5;
        b.counted_on = d->second;
        start(m, NULL, NULL, 3, NULL);
        merge(m, &a, FIRST);
        merge(m, &b, SECOND);
        assert_int_equal(m->cur.v[ix(m, "members")].i, d->second_stands ? 5 : 4);
        text_is(m, "counted_on", d->as_of);
        assert_int_equal(m->out.nlosses, 1);
        assert_int_equal(m->out.superseded, !d->second_stands);
        const struct tz_loss *l = &m->out.loss[0];
        assert_int_equal(l->field, ix(m, "members"));
        assert_int_equal(l->value.i, d->second_stands ? 4 : 5);
        assert_string_equal(l->rule, d->rule);
        const char *went_with_it = d->second_stands ? d->first : d->second;
        assert_true(went_with_it ? tz_value_is_text(l->as_of, went_with_it) : l->as_of.kind == TZ_V_NULL);
    }
}

static void as_of_date_makes_no_case_of_its_own(void **state)
{
    struct m *m = *state;
    struct said a = quiet(2, 1000);
    struct said b = quiet(3, 2000);
    start(m, NULL, NULL, 3, NULL);
    a.counted_on = "2023-06";
    b.counted_on = "2023-05";
    merge(m, &a, FIRST);
    merge(m, &b, SECOND);
    text_is(m, "counted_on", "2023-06");
    assert_int_equal(m->out.nlosses, 0);
    assert_false(m->out.superseded);
}

static void member_changed_on_one_side_only_is_kept(void **state)
{
    struct m *m = *state;
    struct said a = quiet(2, 1000);
    struct said b = quiet(3, 500);
    start(m, NULL, NULL, 3, "2023-01");
    a.counted_on = "2023-06"; /* the other side moved the date */
    b.members = 7;
    b.counted_on = "2023-05";
    merge(m, &a, FIRST);
    merge(m, &b, SECOND);
    assert_int_equal(m->cur.v[ix(m, "members")].i, 7);
    text_is(m, "counted_on", "2023-06"); /* the later of the two */
    assert_int_equal(m->out.nlosses, 0);
    assert_false(m->out.superseded);
}

static void successor_may_set_an_earlier_date(void **state)
{
    struct m *m = *state;
    struct said b = quiet(3, 500);
    start(m, NULL, NULL, 3, "2023-06");
    b.members = 2;
    b.counted_on = "2022-12";
    merge(m, &b, SECOND);
    assert_int_equal(m->cur.v[ix(m, "members")].i, 2);
    text_is(m, "counted_on", "2022-12");
    assert_int_equal(m->out.nlosses, 0);
}

/* ---- who saw what ---- */

static void own_word_counts_as_seen_up_to_the_base_seq(void **state)
{
    struct m *m = *state;
    struct said a = quiet(2, 1000);
    struct said b = quiet(2, 500);
    start(m, NULL, NULL, -1, NULL);
    a.name = "甲";
    a.seq = 6;
    b.name = "乙";
    b.seq = 8;
    b.base_seq = 6;
    merge(m, &a, FIRST);
    merge(m, &b, SECOND);
    text_is(m, "name", "乙");
    assert_int_equal(m->out.nlosses, 0);
    start(m, NULL, NULL, -1, NULL);
    b.base_seq = 5; /* a colleague at the same machine had an older form open */
    merge(m, &a, FIRST);
    merge(m, &b, SECOND);
    text_is(m, "name", "甲");
    assert_int_equal(m->out.nlosses, 1);
}

static void other_incarnation_is_concurrent(void **state)
{
    struct m *m = *state;
    struct said a = quiet(2, 1000);
    struct said b = quiet(2, 500);
    start(m, NULL, NULL, -1, NULL);
    a.name = "甲";
    b.name = "乙";
    b.incarnation = 2;
    b.base_seq = 100;
    merge(m, &a, FIRST);
    merge(m, &b, SECOND);
    text_is(m, "name", "甲");
    assert_true(m->out.superseded);
}

static void word_of_before_the_log_is_nobodys(void **state)
{
    struct m *m = *state;
    struct tz_edit e = {.device = 0, .incarnation = 0, .seq = 1, .base_seq = 9};
    assert_false(tz_merge_saw(&e, (struct tz_stamp){.ver = 5}, commit_of, m));
    e.base_ver = 5;
    assert_true(tz_merge_saw(&e, (struct tz_stamp){.ver = 5}, commit_of, m));
}

static void writing_one_field_never_changes_anothers_stamp(void **state)
{
    struct m *m = *state;
    struct said a = quiet(2, 1000);
    start(m, "旧", "[\"red\"]", 1, "2022");
    a.name = "甲";
    a.members = 2;
    a.counted_on = "2023";
    merge(m, &a, FIRST);
    assert_int_equal(m->stamps.n, 3);
    (void)change(m, "-red", BORN, SECOND);
    assert_int_equal(stamp_of(m, "name"), FIRST);
    assert_int_equal(stamp_of(m, "members"), FIRST);
    assert_int_equal(stamp_of(m, "counted_on"), FIRST);
    assert_int_equal(stamp_of(m, "colours"), SECOND);
    assert_int_equal(stamp_of(m, "district_code"), BORN); /* absent = born */
}

/* ---- stamps ---- */

static void stamps_survive_the_packed_form(void **state)
{
    struct m *m = *state;
    struct tz_stamps back;
    struct tz_buf b;
    const struct tz_stamp in[] = {{18000, 0, UINT64_C(3) << 48 | 77, true},
                                  {1, 0, 1, false},
                                  {1, 0xFFFFFFFF, UINT64_C(0x7FFFFFFFFFFFFFFF), false},
                                  {200, 5, 300, true},
                                  {1, 7, 9, true}};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(tz_stamps_set(&m->stamps, in[i]), 0);
    for (size_t i = 1; i < m->stamps.n; i++)
        assert_true(
            m->stamps.v[i - 1].field < m->stamps.v[i].field ||
            (m->stamps.v[i - 1].field == m->stamps.v[i].field && m->stamps.v[i - 1].element < m->stamps.v[i].element));
    tz_buf_init(&b, 4096);
    assert_int_equal(tz_stamps_encode(&m->stamps, &b), 0);
    tz_stamps_init(&back, &m->a);
    assert_int_equal(tz_stamps_decode(&back, tz_buf_unread(&b)), 0);
    assert_int_equal(back.n, 5);
    for (size_t i = 0; i < 5; i++) {
        struct tz_stamp s = tz_stamps_get(&back, in[i].field, in[i].element, 0);
        assert_int_equal(s.ver, in[i].ver);
        assert_int_equal(s.resolved, in[i].resolved);
    }
    for (size_t n = 1; n < b.len; n++) { /* cut short: a whole number of stamps, or damaged */
        int rc = tz_stamps_decode(&back, tz_bytes_of(b.p, n));
        assert_true(rc == 0 || rc == TZ_E_FORMAT);
        assert_true(rc != 0 || back.n < 5);
    }
    tz_stamps_drop(&m->stamps, 1, 7);
    assert_int_equal(tz_stamps_get(&m->stamps, 1, 7, 4).ver, 4);
    assert_int_equal(m->stamps.n, 4);
    tz_buf_deinit(&b);
}

static void stamps_of_an_older_program_are_read(void **state)
{
    struct m *m = *state;
    static const uint8_t old[] = {2,    0, 0, 0, 0, 0x83, 1,    3,    0,    0,    0,    7,    9,   0xA0,
                                  0x99, 2, 0, 0, 0, 0,    0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40};
    struct tz_bytes in = tz_bytes_of(old, sizeof old);
    assert_int_equal(tz_stamps_decode(&m->stamps, in), 0);
    assert_int_equal(m->stamps.n, 3);
    assert_int_equal(tz_stamps_get(&m->stamps, 1, 0, 0).ver, 131);
    assert_true(tz_stamps_get(&m->stamps, 1, 7, 0).resolved);
    assert_int_equal(tz_stamps_get(&m->stamps, 1, 7, 0).ver, 9);
    assert_int_equal(tz_stamps_get(&m->stamps, 18000, 0, 0).ver, UINT64_C(1) << 48 | 1);
}

/** A year of edits: what stands beside a row is some bytes a stamp, not a version each. */
static void stamps_are_small(void **state)
{
    struct m *m = *state;
    struct tz_buf b;
    const tz_ver epoch = UINT64_C(1) << TZ_VER_COUNTER_BITS;
    const struct tz_stamp in[] = {{20, 0, epoch | 20000, false}, {21, 0, epoch | 20000, false},
                                  {9, 0, epoch | 70000, false},  {22, 0, epoch | 71000, false},
                                  {28, 0, epoch | 71000, false}, {29, 0, epoch | 71100, false}};
    for (size_t i = 0; i < sizeof in / sizeof *in; i++)
        assert_int_equal(tz_stamps_set(&m->stamps, in[i]), 0);
    tz_buf_init(&b, 4096);
    assert_int_equal(tz_stamps_encode(&m->stamps, &b), 0);
    assert_int_equal(b.len, 2 + (1 + 3) + 1 + (1 + 3) + (1 + 2) + 1 + (1 + 1));
    tz_buf_deinit(&b);
}

/** A word that a merge of records brought keeps who said it, whichever of the two versions comes first. */
static void who_said_it_survives_the_packed_form(void **state)
{
    struct m *m = *state;
    struct tz_stamps back;
    struct tz_buf b;
    const struct tz_stamp in[] = {{3, 0, 50, true}, {4, 0, 60, false}};
    static const tz_ver said[] = {20, 80};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(tz_stamps_set(&m->stamps, in[i]), 0);
        assert_int_equal(tz_stamps_say(&m->stamps, in[i].field, said[i]), 0);
    }
    tz_buf_init(&b, 4096);
    assert_int_equal(tz_stamps_encode(&m->stamps, &b), 0);
    tz_stamps_init(&back, &m->a);
    assert_int_equal(tz_stamps_decode(&back, tz_buf_unread(&b)), 0);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(tz_stamps_get(&back, in[i].field, 0, 1).ver, in[i].ver);
        assert_int_equal(tz_stamps_get(&back, in[i].field, 0, 1).resolved, in[i].resolved);
        assert_int_equal(tz_stamps_said(&back, in[i].field, 1), said[i]);
    }
    tz_buf_deinit(&b);
}

static void element_hash_is_never_the_fields_own(void **state)
{
    (void)state;
    assert_int_equal(tz_element_hash(tz_bytes_str("a")), 0xE40C292C); /* FNV-1a's published value */
    assert_int_not_equal(tz_element_hash(tz_bytes_str("")), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(pair_table_of_a_field),
        T(pair_table_of_the_elements_of_a_set),
        T(removal_leaves_a_stamp_and_no_other_elements),
        T(set_holds_a_thousand_elements_and_no_more),
        T(order_of_arrival_does_not_matter),
        T(group_goes_by_date_then_by_time),
        T(as_of_date_makes_no_case_of_its_own),
        T(member_changed_on_one_side_only_is_kept),
        T(successor_may_set_an_earlier_date),
        T(own_word_counts_as_seen_up_to_the_base_seq),
        T(other_incarnation_is_concurrent),
        T(word_of_before_the_log_is_nobodys),
        T(writing_one_field_never_changes_anothers_stamp),
        T(stamps_survive_the_packed_form),
        T(stamps_of_an_older_program_are_read),
        T(stamps_are_small),
        T(who_said_it_survives_the_packed_form),
        T(element_hash_is_never_the_fields_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
