/* SPDX-License-Identifier: Apache-2.0 */
/* See pair_world.h: what became of a world, as lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pair_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void pw_fact(struct pw_facts *f, const char *fmt, ...)
{
    va_list ap;
    assert_true(f->n < PW_FACTS_MAX);
    va_start(ap, fmt);
    int n = vsnprintf(f->line[f->n++], PW_FACT_BYTES, fmt, ap);
    va_end(ap);
    assert_true(n >= 0 && n < PW_FACT_BYTES);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

void pw_sort(struct pw_facts *f)
{
    qsort(f->line, f->n, PW_FACT_BYTES, by_text);
}

const char *pw_join(struct pw *w, const struct pw_facts *f, const char *sep)
{
    enum { BYTES = PW_FACTS_MAX * (PW_FACT_BYTES + 4) };
    char *text = tz_arena_calloc(&w->f->a, 1, BYTES);
    size_t at = 0;
    assert_non_null(text);
    for (size_t i = 0; i < f->n; i++) {
        at += (size_t)snprintf(text + at, BYTES - at, "%s%s", i ? sep : "", f->line[i]);
        assert_true(at < BYTES);
    }
    return text;
}

/* ---- values ---- */

static const char *elements(struct pw *w, struct tz_value v)
{
    char *out = tz_arena_calloc(&w->f->a, 1, v.n + 1);
    size_t n = 0;
    assert_non_null(out);
    for (size_t i = 0; i < v.n; i++)
        if (!strchr("[\"]", v.p[i]))
            out[n++] = v.p[i] == ',' ? '+' : (char)v.p[i];
    return out;
}

const char *pw_value(struct pw *w, struct tz_value v)
{
    char text[PW_FACT_BYTES];
    struct tz_id id;
    if (v.kind == TZ_V_TEXT && v.n && v.p[0] == '[')
        return elements(w, v);
    if (v.kind == TZ_V_TEXT)
        (void)snprintf(text, sizeof text, "%.*s", (int)v.n, (const char *)v.p);
    else if (v.kind == TZ_V_INT)
        (void)snprintf(text, sizeof text, "%lld", (long long)v.i);
    else if (v.kind == TZ_V_BLOB && v.n == TZ_ID_BYTES)
        (void)snprintf(text, sizeof text, "%c", pw_letter(w, (memcpy(id.b, v.p, TZ_ID_BYTES), id)));
    else
        (void)snprintf(text, sizeof text, "-");
    return tz_arena_strdup(&w->f->a, text);
}

/* ---- records ---- */

/** What a record that somebody made shows in any case, so that a cell can name it whoever made it. */
static bool always_shown(const struct pw_rec *r, const struct tz_field *f)
{
    return r->said && (strcmp(f->name, "address") == 0 || strcmp(f->name, "org_id") == 0);
}

static void look_record(struct pw *w, char letter, const struct pw_rec *r, struct pw_facts *out)
{
    const struct tz_row *row = sx_row(w->f, r->type->name, r->id);
    const struct tz_row *was = r->was ? r->was : r->said;
    if (!row)
        return;
    if (r->said || row->deleted != was->deleted)
        pw_fact(out, "%c%c", row->deleted ? '-' : '+', letter);
    for (size_t i = 0; i < r->type->nfields; i++) {
        bool shown = always_shown(r, &r->type->fields[i]) && row->rec.v[i].kind != TZ_V_NULL && !row->deleted;
        if (shown || !tz_value_eq(row->rec.v[i], was->rec.v[i]))
            pw_fact(out, "%c.%s=%s", letter, r->type->fields[i].name, pw_value(w, row->rec.v[i]));
    }
}

/** Merged away where it was not. */
static void look_alias(struct pw *w, char letter, const struct pw_rec *r, struct pw_facts *out)
{
    struct tz_id to;
    const struct tz_row *row = sx_row(w->f, r->type->name, r->id);
    int is = row ? tz_alias_get(w->f->s, r->type, r->id, &to, &w->f->err) : 0;
    assert_true(is >= 0);
    if (is && !(r->was && r->was->deleted))
        pw_fact(out, "%c=>%c", letter, pw_letter(w, to));
    assert_true(!is || row->deleted); /* who lives is nobody's alias */
}

/** Live records of all types but cases, redirects and steps; what has no letter would show here. */
static int64_t count_live(struct pw *w, const struct tz_catalogue *cat)
{
    int64_t n = 0;
    for (size_t i = 0; i < cat->ntypes; i++)
        if (strcmp(cat->types[i].name, "case") != 0 && strcmp(cat->types[i].name, "redirect") != 0 &&
            strcmp(cat->types[i].name, "ledger_event") != 0)
            n += tz_replica_count(w->f->s->rep, &cat->types[i]);
    return n;
}

void pw_look(struct pw *w, struct pw_facts *out)
{
    int64_t balance = 0;
    out->n = 0;
    for (size_t i = 0; i < PW_LETTERS; i++) {
        const struct pw_rec *r = &w->rec[i];
        if (!r->type)
            continue;
        look_record(w, (char)('A' + i), r, out);
        look_alias(w, (char)('A' + i), r, out);
        const struct tz_row *row = sx_row(w->f, r->type->name, r->id);
        balance += (row && !row->deleted) - (r->was && !r->was->deleted);
    }
    if (!w->live_before) /* the world itself */
        w->live_before = count_live(w, w->f->s->cat) - balance;
    assert_int_equal(count_live(w, w->f->s->cat), w->live_before + balance);
    pw_sort(out);
}

/* ---- cases ---- */

static const char *json_text(struct pw *w, const json_t *v)
{
    char text[24];
    if (json_is_string(v)) {
        struct tz_id id;
        const char *s = json_string_value(v);
        if (strlen(s) == TZ_ID_HEX && tz_id_parse(s, &id) == 0)
            return pw_value(w, tz_value_blob(id.b, TZ_ID_BYTES));
        return tz_arena_strdup(&w->f->a, s);
    }
    (void)snprintf(text, sizeof text, json_is_integer(v) ? "%lld" : "-", (long long)json_integer_value(v));
    return tz_arena_strdup(&w->f->a, text);
}

/** {"address":"x"} about address → "x"; more than one → "a=1+b=2". */
static const char *candidate(struct pw *w, const json_t *c, const char *subject)
{
    char text[PW_FACT_BYTES] = "";
    size_t at = 0;
    const char *key;
    json_t *v;
    json_t *values = json_object_get(c, "values");
    if (json_object_size(values) == 1 && json_object_get(values, subject))
        at = (size_t)snprintf(text, sizeof text, "%s", json_text(w, json_object_get(values, subject)));
    else
        json_object_foreach(values, key, v) at +=
            (size_t)snprintf(text + at, sizeof text - at, "%s%s=%s", at ? "+" : "", key, json_text(w, v));
    (void)snprintf(text + at, sizeof text - at, "/%s", json_string_value(json_object_get(c, "rule")));
    return tz_arena_strdup(&w->f->a, text);
}

static const char *candidates(struct pw *w, const struct tz_row *c, const char *subject)
{
    struct pw_facts *each = tz_arena_calloc(&w->f->a, 1, sizeof *each);
    json_t *list = sx_candidates(w->f, c, "candidates");
    for (size_t i = 0; i < json_array_size(list); i++)
        pw_fact(each, "%s", candidate(w, json_array_get(list, i), subject));
    json_decref(list);
    pw_sort(each);
    return pw_join(w, each, " ");
}

/** An open case shows what stands. */
static void check_standing(struct pw *w, const struct tz_row *c, const struct pw_rec *r)
{
    const struct tz_row *row = sx_row(w->f, r->type->name, r->id);
    json_t *standing = sx_candidates(w->f, c, "standing");
    const char *key;
    json_t *v;
    json_object_foreach(json_object_get(standing, "values"), key, v)
    {
        const struct tz_field *f = tz_type_field(r->type, key);
        const char *is = f ? pw_value(w, row->rec.v[f->index]) : row->deleted ? "1" : "0";
        if (strcmp(json_text(w, v), is) != 0)
            fail_msg("the case about %c.%s shows %s, %s stands", pw_letter(w, r->id), key, json_text(w, v), is);
    }
    json_decref(standing);
}

static void look_case(struct pw *w, const struct tz_row *c, struct pw_facts *out)
{
    struct sx *f = w->f;
    const char *subject = sx_case_text(f, c, "subject");
    const char *state = sx_case_text(f, c, "state");
    bool open = strcmp(state, "open") == 0;
    char g[16] = "";
    char about[64];
    struct tz_id target;
    struct tz_id other;
    assert_int_equal(tz_id_parse(sx_case_text(f, c, "target_id"), &target), 0);
    char one = pw_letter(w, target);
    if (strcmp(sx_case_text(f, c, "generation"), "1") != 0)
        (void)snprintf(g, sizeof g, "#%s", sx_case_text(f, c, "generation"));
    if (strcmp(sx_case_text(f, c, "kind"), "duplicate") == 0) {
        assert_int_equal(tz_id_parse(sx_case_text(f, c, "other_id"), &other), 0);
        char two = pw_letter(w, other);
        (void)snprintf(about, sizeof about, "duplicate %c+%c%s", one < two ? one : two, one < two ? two : one, g);
        pw_fact(out, "%s %s%s%s", about, state, open ? "" : " ", open ? "" : sx_case_text(f, c, "choice"));
        return;
    }
    (void)snprintf(about, sizeof about, "%c.%s%s", one, subject, g);
    pw_fact(out, "%s %s %s", about, state, open ? candidates(w, c, subject) : sx_case_text(f, c, "choice"));
    if (open && one != '?')
        check_standing(w, c, &w->rec[one - 'A']);
}

struct case_walk {
    struct tz_id ids[PW_FACTS_MAX];
    size_t n;
};

static int on_case(void *ctx, const struct tz_row *row)
{
    struct case_walk *k = ctx;
    assert_true(k->n < PW_FACTS_MAX);
    k->ids[k->n++] = row->id;
    return 1;
}

void pw_look_cases(struct pw *w, struct pw_facts *out)
{
    const struct pw_facts *before = w->cases_before;
    struct case_walk k = {.n = 0};
    struct pw_facts *all = tz_arena_calloc(&w->f->a, 1, sizeof *all);
    assert_non_null(all);
    assert_int_equal(tz_replica_each(w->f->s->rep, sx_type(w->f, "case"), on_case, &k, &w->f->err), 0);
    for (size_t i = 0; i < k.n; i++)
        look_case(w, sx_row(w->f, "case", k.ids[i]), all);
    out->n = 0;
    for (size_t i = 0; i < all->n; i++) {
        bool old = false;
        for (size_t b = 0; before && b < before->n && !old; b++)
            old = strcmp(before->line[b], all->line[i]) == 0;
        if (!old)
            pw_fact(out, "%s", all->line[i]);
    }
    pw_sort(out);
}

/** "R.address open x/later y/later" → "R.address x y z" with the standing z. */
static void words_of(struct pw *w, const char *line, struct pw_facts *out)
{
    struct pw_facts *words = tz_arena_calloc(&w->f->a, 1, sizeof *words);
    const char *end = strchr(line, ' ');
    size_t about = (size_t)(end - line);
    char field[PW_FACT_BYTES] = "";
    char text[PW_FACT_BYTES];
    (void)snprintf(field, sizeof field, "%.*s", (int)strcspn(line + 2, " #"), line + 2);
    const struct pw_rec *r = &w->rec[line[0] - 'A'];
    const struct tz_field *f = tz_type_field(r->type, field);
    for (const char *p = end + strlen(" open "); *p; p += strcspn(p, " "), p += *p == ' ')
        pw_fact(words, "%.*s", (int)strcspn(p, "/"), p);
    if (f)
        pw_fact(words, "%s", pw_value(w, sx_row(w->f, r->type->name, r->id)->rec.v[f->index]));
    pw_sort(words);
    int at = snprintf(text, sizeof text, "%.*s", (int)about, line);
    for (size_t i = 0; i < words->n; i++)
        if (i == 0 || strcmp(words->line[i], words->line[i - 1]) != 0)
            at += snprintf(text + at, sizeof text - (size_t)at, " %s", words->line[i]);
    pw_fact(out, "%s", text);
}

void pw_look_words(struct pw *w, struct pw_facts *out)
{
    struct pw_facts *cases = tz_arena_calloc(&w->f->a, 1, sizeof *cases);
    assert_non_null(cases);
    pw_look_cases(w, cases);
    out->n = 0;
    for (size_t i = 0; i < cases->n; i++) {
        const char *line = cases->line[i];
        if (line[1] == '.' && strstr(line, " open "))
            words_of(w, line, out);
        else
            pw_fact(out, "%.*s", (int)(strcspn(line, " ") + (line[1] == '.' ? strlen(" closed") : strlen(line))), line);
    }
    pw_sort(out);
}
