/* SPDX-License-Identifier: Apache-2.0 */
/* See pair_world.h: one op in words → one changeset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pair_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MINUTE_MS = 60 * 1000, WORD_BYTES = 160, WORDS_MAX = 4, ELEMENTS_MAX = 4 };

/** "set R.address=x y" → words; the last one takes the rest. */
struct words {
    size_t n;
    char w[WORDS_MAX][WORD_BYTES];
};

static struct words split(const char *text)
{
    struct words out = {0};
    while (*text && out.n < WORDS_MAX) {
        size_t n = strcspn(text, " ");
        assert_true(n > 0 && n < WORD_BYTES);
        memcpy(out.w[out.n], text, n);
        out.w[out.n++][n] = '\0';
        text += n + (text[n] == ' ');
    }
    assert_true(out.n >= 1 && *text == '\0');
    return out;
}

/** "R.address=x": letter, field and value; field and value may be missing. */
struct target {
    char letter;
    char field[WORD_BYTES], value[WORD_BYTES];
};

static struct target target_of(const char *word)
{
    struct target t = {.letter = word[0]};
    assert_true(word[0] >= 'A' && word[0] <= 'Z');
    if (word[1] != '.')
        return t;
    size_t n = strcspn(word + 2, "=");
    memcpy(t.field, word + 2, n);
    if (word[2 + n] == '=')
        memcpy(t.value, word + 3 + n, strlen(word + 3 + n));
    return t;
}

void pw_kind(const char *text, char *out, size_t out_bytes)
{
    (void)snprintf(out, out_bytes, "%s", split(text).w[0]);
}

void pw_target(const char *text, char *out, size_t out_bytes)
{
    struct words s = split(text);
    const char *word = s.n > 1 ? s.w[s.n - 1] : "";
    bool element = strcmp(s.w[0], "add") == 0 || strcmp(s.w[0], "remove") == 0;
    (void)snprintf(out, out_bytes, "%.*s", (int)strcspn(word, element ? "" : "=<"), word);
}

void pw_said(const char *text, char *out, size_t out_bytes)
{
    struct words s = split(text);
    bool clear = strcmp(s.w[0], "clear") == 0;
    bool create = strcmp(s.w[0], "create") == 0;
    const char *eq = s.n > 1 ? strchr(s.w[s.n - 1], create ? '@' : '=') : NULL;
    (void)snprintf(out, out_bytes, "%.*s", eq ? (int)strcspn(eq + 1, "@") : 1, eq ? eq + 1 : clear ? "-" : "");
}

static const struct pw_rec *record(struct pw *w, char letter)
{
    const struct pw_rec *r = &w->rec[letter - 'A'];
    if (!r->type)
        fail_msg("nothing is called %c here", letter);
    return r;
}

/** "field=value" in the arena. */
static const char *arg(struct pw *w, const char *field, const char *value)
{
    char text[2 * WORD_BYTES];
    (void)snprintf(text, sizeof text, "%s=%s", field, value);
    return tz_arena_strdup(&w->f->a, text);
}

/* ---- one function per kind ---- */

static void say_set(struct pw *w, struct sx_cs *c, const struct target *t)
{
    const struct pw_rec *r = record(w, t->letter);
    sx_op_set(c, r->type->name, r->id, arg(w, t->field, t->value), NULL);
}

/** "R.full_members=5@2023-06" */
static const char *dated(struct pw *w, const struct target *t, const char **count)
{
    char value[WORD_BYTES];
    char *at;
    (void)snprintf(value, sizeof value, "%s", t->value);
    at = strchr(value, '@');
    assert_non_null(at);
    *at = '\0';
    *count = arg(w, t->field, value);
    return arg(w, "counts_on", at + 1);
}

static void say_group(struct pw *w, struct sx_cs *c, const struct target *t)
{
    const struct pw_rec *r = record(w, t->letter);
    const char *count;
    const char *date = dated(w, t, &count);
    sx_op_set(c, r->type->name, r->id, count, date, NULL);
}

static void say_elements(struct pw *w, struct sx_cs *c, const struct target *t, enum tz_op_kind kind)
{
    const struct pw_rec *r = record(w, t->letter);
    struct tz_op *op = sx_op(c, kind, r->type->name, r->id);
    struct tz_bytes *el = tz_arena_calloc(&w->f->a, ELEMENTS_MAX, sizeof *el);
    op->field = tz_type_field(r->type, t->field)->id;
    op->elements = el;
    for (const char *p = tz_arena_strdup(&w->f->a, t->value); *p; p += strcspn(p, "+"), p += *p == '+') {
        assert_true(op->nelements < ELEMENTS_MAX);
        el[op->nelements++] = tz_bytes_of(p, strcspn(p, "+"));
    }
}

static void say_life(struct pw *w, struct sx_cs *c, const struct target *t, enum tz_op_kind kind)
{
    const struct pw_rec *r = record(w, t->letter);
    sx_op(c, kind, r->type->name, r->id);
}

/** "R<S" */
static void say_both(struct pw *w, struct sx_cs *c, const char *pair, enum tz_op_kind kind)
{
    assert_true(pair[1] == '<' && pair[3] == '\0');
    const struct pw_rec *keep = record(w, pair[0]);
    sx_op(c, kind, keep->type->name, keep->id)->other_id = record(w, pair[2])->id;
}

static const char *subject_of(const struct pw_rec *r, const char *field)
{
    const struct tz_field *f = tz_type_field(r->type, field);
    return !f || !f->group ? field : r->type->groups[f->group - 1].name;
}

static void say_resolve(struct pw *w, struct sx_cs *c, const struct target *t)
{
    const struct pw_rec *r = record(w, t->letter);
    const struct tz_row *k = sx_case(w->f, r->id, subject_of(r, t->field), 1);
    const char *count;
    if (!k)
        fail_msg("no case about %c.%s", t->letter, t->field);
    if (!strchr(t->value, '@')) {
        sx_op_resolve(c, k->id, 1, arg(w, t->field, t->value), NULL);
        return;
    }
    const char *date = dated(w, t, &count);
    sx_op_resolve(c, k->id, 1, count, date, NULL);
}

/** "L.verify", as L was when its author saw it last. */
static void say_event(struct pw *w, struct sx_cs *c, const struct target *t)
{
    const struct pw_rec *r = record(w, t->letter);
    char sql[256];
    struct tz_value state = r->was->rec.v[r->type->state_field];
    (void)snprintf(sql, sizeof sql, "SELECT max(seq) FROM ledger_event WHERE item_id=x'%s' AND _ver<=%llu",
                   sx_hex(w->f, r->id), (unsigned long long)c->dev->seen);
    sx_op_event(c, r->type->name, r->id, tz_arena_strdup(&w->f->a, t->field), tz_arena_dup(&w->f->a, state.p, state.n),
                (uint64_t)sx_query(w->f, sql), "reason", NULL, NULL);
}

/** What was said of a record that is new, to be compared with what became of it. */
static void note_made(struct pw *w, char letter, const struct tz_op *op)
{
    struct pw_rec *r = &w->rec[letter - 'A'];
    *r = (struct pw_rec){.type = tz_catalogue_type_id(w->f->s->cat, op->type), .id = op->id};
    r->said = tz_arena_calloc(&w->f->a, 1, sizeof *r->said);
    assert_non_null(r->said);
    assert_int_equal(tz_record_decode(r->type, op->values, &w->f->a, &r->said->rec, NULL), 0);
    for (size_t i = 0; i < r->type->nfields; i++)
        if (r->said->rec.v[i].kind == TZ_V_NULL)
            r->said->rec.v[i] = r->type->fields[i].dflt;
}

/** "create coverage R", "create firm K1 NAME@ADDRESS" (or without address), "append visit R" */
static void say_new(struct pw *w, struct sx_cs *c, const struct words *s, char letter)
{
    struct sx *f = w->f;
    if (strcmp(s->w[1], "coverage") == 0) {
        sx_op_create(c, "coverage", sx_ref(f, "org_id", record(w, s->w[2][0])->id), "mode=own", "since=2023-01-01",
                     NULL);
    } else if (strcmp(s->w[1], "visit") == 0) {
        sx_op_create(c, "visit", sx_ref(f, "org_id", record(w, s->w[2][0])->id), sx_ref(f, "by_ref", c->dev->user),
                     "visited_on=2023-11-02", "way=on_site", NULL);
    } else {
        char name[WORD_BYTES];
        const char *address = strchr(s->w[3], '@');
        const char *usci = strcmp(s->w[2], "K1") == 0 ? PW_USCI_1 : PW_USCI_2;
        assert_string_equal(s->w[1], "firm");
        (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(s->w[3], "@"), s->w[3]);
        sx_op_create(c, "organisation", arg(w, "name", name), "district_code=120101", usci,
                     address ? arg(w, "address", address + 1) : NULL, NULL);
    }
    note_made(w, letter, &c->ops[0]);
}

struct sx_cs *pw_say(struct pw *w, size_t who, char as, int minute, const char *text)
{
    struct words s = split(text);
    const char *kind = s.w[0];
    struct target t = {0};
    w->dev[who].skew_ms = (int64_t)minute * MINUTE_MS - 30 * MINUTE_MS; /* all of it before it is received */
    struct sx_cs *c = sx_begin(&w->dev[who]);
    if (s.n == 2 && s.w[1][1] != '<')
        t = target_of(s.w[1]);
    if (strcmp(kind, "set") == 0)
        say_set(w, c, &t);
    else if (strcmp(kind, "clear") == 0) /* no value: cleared */
        say_set(w, c, &t);
    else if (strcmp(kind, "group") == 0)
        say_group(w, c, &t);
    else if (strcmp(kind, "add") == 0)
        say_elements(w, c, &t, TZ_OP_ADD);
    else if (strcmp(kind, "remove") == 0)
        say_elements(w, c, &t, TZ_OP_REMOVE);
    else if (strcmp(kind, "delete") == 0)
        say_life(w, c, &t, TZ_OP_DELETE);
    else if (strcmp(kind, "restore") == 0)
        say_life(w, c, &t, TZ_OP_RESTORE);
    else if (strcmp(kind, "void") == 0)
        say_life(w, c, &t, TZ_OP_VOID);
    else if (strcmp(kind, "merge") == 0)
        say_both(w, c, s.w[1], TZ_OP_MERGE);
    else if (strcmp(kind, "unmerge") == 0)
        say_both(w, c, s.w[1], TZ_OP_UNMERGE);
    else if (strcmp(kind, "resolve") == 0)
        say_resolve(w, c, &t);
    else if (strcmp(kind, "event") == 0)
        say_event(w, c, &t);
    else if (strcmp(kind, "withdraw") == 0)
        sx_op_withdraw(c, w->refused[who]);
    else if (strcmp(kind, "create") == 0 || strcmp(kind, "append") == 0)
        say_new(w, c, &s, as);
    else
        fail_msg("no kind of op is called %s", kind);
    return c;
}

const char *pw_outcome(struct pw *w, const struct tz_result *r)
{
    static const char *const names[] = {"none",    "applied", "superseded",   "refused",
                                        "waiting", "held",    "under_review", "withdrawn"};
    char text[64];
    int code = r->code ? r->code : r->nops ? r->ops[0].code : 0;
    if (r->outcome != TZ_OUT_REFUSED)
        return names[r->outcome];
    (void)snprintf(text, sizeof text, "refused:%s", tz_err_info(code)->symbol);
    return tz_arena_strdup(&w->f->a, text);
}
