/* SPDX-License-Identifier: Apache-2.0 */
/*
 * About three hundred divisions, read once and searched one after the other: nothing here is worth an index.
 *
 * A name finds its division in steps, and the first step that gives an answer decides: the whole name, the name without
 * its last word on both sides, the beginning of exactly one name. Two answers in one step are no answer.
 */
#include "division.h"

#include <stdlib.h>
#include <string.h>

enum { DIVISIONS_MAX = 4096, DIVISION_ARENA_BYTES = 4 * 1024 * 1024 };

struct division {
    const char *code, *name, *stem; /* stem: folded name without its last word */
    const char *former;
};

struct tz_divisions {
    struct tz_arena a;
    struct division *list;
    size_t n;
    int fc, fn, ff; /* indexes of code, name, former_codes */
};

static const char UNKNOWN_CODE[] = "没有这个区划代码 / no such division code";
static const char UNKNOWN_NAME[] = "区划名称无法识别 / division name not recognised";
static const char SEVERAL[] = "名称对应几个区划，请写全 / the name fits several divisions";
static const char OTHER_DISTRICT[] = "街道不属于该区 / the street is not in that district";

/** Longest first: 街道 before 街, so that 大营门街道 and 大营门街 have one stem. */
static const char *const LAST_WORDS[] = {"地区", "街道", "街", "镇", "乡", "区", "县"};

static char *stem_of(struct tz_arena *a, const char *folded)
{
    size_t n = strlen(folded);
    for (size_t i = 0; i < sizeof LAST_WORDS / sizeof *LAST_WORDS; i++) {
        size_t k = strlen(LAST_WORDS[i]);
        if (n > k && memcmp(folded + n - k, LAST_WORDS[i], k) == 0)
            return tz_arena_dup(a, folded, n - k);
    }
    return tz_arena_dup(a, folded, n);
}

static char *text_of(struct tz_arena *a, struct tz_value v)
{
    return v.kind == TZ_V_TEXT ? tz_arena_dup(a, v.p, v.n) : tz_arena_strdup(a, "");
}

static int add(struct tz_divisions *d, const struct tz_value *v)
{
    if (d->n == DIVISIONS_MAX)
        return TZ_E_LIMIT;
    struct division *x = &d->list[d->n];
    x->code = text_of(&d->a, v[d->fc]);
    x->name = tz_name_fold(&d->a, v[d->fn]);
    x->former = text_of(&d->a, d->ff >= 0 ? v[d->ff] : tz_value_null());
    x->stem = x->name ? stem_of(&d->a, x->name) : NULL;
    if (!x->code || !x->name || !x->former || !x->stem)
        return TZ_E_NOMEM;
    d->n++;
    return 0;
}

static int add_row(void *ctx, const struct tz_row *row)
{
    int rc = add(ctx, row->rec.v);
    return rc ? rc : 1;
}

static int index_of(const struct tz_type *t, const char *name)
{
    const struct tz_field *f = tz_type_field(t, name);
    return f ? f->index : -1;
}

static int load(struct tz_divisions *d, struct tz_office *o, struct tz_err *err)
{
    const struct tz_catalogue *cat = tz_replica_catalogue(tz_office_replica(o));
    const struct tz_type *t = tz_catalogue_type(cat, "division");
    if (!t || (d->fc = index_of(t, "code")) < 0 || (d->fn = index_of(t, "name")) < 0)
        return 0; /* a catalogue without divisions: every look-up says unknown */
    d->ff = index_of(t, "former_codes");
    int rc = tz_replica_each(tz_office_replica(o), t, add_row, d, err);
    for (size_t i = 0; i < cat->nrows && !rc && d->n == 0; i++) { /* at the first one, take them all */
        for (; i < cat->nrows && !rc; i++)
            rc = cat->rows[i].type == t ? add(d, cat->rows[i].values) : 0;
    }
    return rc;
}

int tz_divisions_new(struct tz_office *o, struct tz_divisions **out, struct tz_err *err)
{
    struct tz_divisions *d = calloc(1, sizeof *d);
    *out = NULL;
    if (!d)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    tz_arena_init(&d->a, DIVISION_ARENA_BYTES);
    d->list = tz_arena_calloc(&d->a, DIVISIONS_MAX, sizeof *d->list);
    int rc = d->list ? load(d, o, err) : TZ_E_NOMEM;
    if (rc) {
        tz_divisions_free(d);
        return err && !err->code ? tz_err_set(err, rc, "division", NULL, NULL, NULL) : rc;
    }
    *out = d;
    return 0;
}

void tz_divisions_free(struct tz_divisions *d)
{
    if (!d)
        return;
    tz_arena_deinit(&d->a);
    free(d);
}

/** Does @x stand at the asked level, in the asked district? */
static bool eligible(const struct division *x, unsigned chars, const char *district)
{
    if (strlen(x->code) != chars || strcmp(x->code + 2, "0000") == 0) /* the city is no district of itself */
        return false;
    return chars != 9 || district[0] == '\0' || strncmp(x->code, district, 6) == 0;
}

static bool former_code(const struct division *x, const char *text)
{
    size_t n = strlen(text);
    for (const char *at = x->former; (at = strstr(at, text)) != NULL; at += n)
        if ((at == x->former || at[-1] < '0' || at[-1] > '9') && (at[n] < '0' || at[n] > '9'))
            return true;
    return false;
}

static const char *find_code(const struct tz_divisions *d, unsigned chars, const char *district, const char *text,
                             const char **reason)
{
    *reason = UNKNOWN_CODE;
    for (size_t i = 0; i < d->n; i++) {
        const struct division *x = &d->list[i];
        if (strlen(x->code) != chars || (strcmp(x->code, text) != 0 && !former_code(x, text)))
            continue;
        if (eligible(x, chars, district))
            return x->code;
        *reason = OTHER_DISTRICT;
    }
    return NULL;
}

enum step { WHOLE, STEM, BEGINNING, STEPS };

static bool fits(const struct division *x, enum step step, const char *name, const char *stem)
{
    if (step == WHOLE)
        return strcmp(x->name, name) == 0;
    if (step == STEM)
        return strcmp(x->stem, stem) == 0;
    return strncmp(x->name, stem, strlen(stem)) == 0;
}

static const char *find_name(const struct tz_divisions *d, unsigned chars, const char *district, const char *name,
                             const char *stem, const char **reason)
{
    *reason = UNKNOWN_NAME;
    for (enum step step = WHOLE; step < STEPS; step++) {
        const struct division *hit = NULL;
        size_t hits = 0;
        for (size_t i = 0; i < d->n; i++) {
            if (!fits(&d->list[i], step, name, stem))
                continue;
            if (eligible(&d->list[i], chars, district)) {
                hit = &d->list[i];
                hits++;
            } else if (strlen(d->list[i].code) == chars && step != BEGINNING) {
                *reason = OTHER_DISTRICT;
            }
        }
        if (hits == 1)
            return hit->code;
        if (hits > 1) {
            *reason = SEVERAL;
            return NULL;
        }
    }
    return NULL;
}

const char *tz_divisions_find(const struct tz_divisions *d, unsigned chars, const char *district, const char *text,
                              const char **reason)
{
    static const char CITY[] = "天津市";
    struct tz_arena a;
    const char *code = NULL;
    *reason = UNKNOWN_NAME;
    tz_arena_init(&a, 64 * 1024);
    const char *name = tz_name_fold(&a, tz_value_text(text));
    if (name && name[0] && strspn(name, "0123456789") == strlen(name)) {
        code = find_code(d, chars, district, name, reason);
    } else if (name && name[0]) {
        if (strncmp(name, CITY, strlen(CITY)) == 0 && name[strlen(CITY)] != '\0')
            name += strlen(CITY);
        const char *stem = stem_of(&a, name);
        code = stem ? find_name(d, chars, district, name, stem, reason) : NULL;
    }
    tz_arena_deinit(&a);
    return code;
}

const char *tz_divisions_name(const struct tz_divisions *d, const char *code)
{
    for (size_t i = 0; i < d->n; i++)
        if (strcmp(d->list[i].code, code) == 0)
            return d->list[i].name;
    return NULL;
}
