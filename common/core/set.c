/* SPDX-License-Identifier: Apache-2.0 */
#include "set.h"

#include "value_impl.h"

#include <string.h>

bool tz_set_next(struct tz_bytes *rest, struct tz_bytes *el)
{
    if (rest->n < 3 || (rest->p[0] != '[' && rest->p[0] != ',') || rest->p[1] != '"')
        return false;
    const uint8_t *start = rest->p + 2;
    const uint8_t *quote = memchr(start, '"', rest->n - 2);
    if (quote == NULL)
        return false;
    *el = tz_bytes_of(start, (size_t)(quote - start));
    size_t used = (size_t)(quote - rest->p) + 1;
    rest->p += used;
    rest->n -= used;
    return true;
}

static bool is_id(struct tz_bytes s)
{
    bool ok = s.n == TZ_ID_HEX;
    for (size_t i = 0; i < s.n && ok; i++)
        ok = (s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f');
    return ok;
}

const char *tz_set_element_wrong(const struct tz_field *f, struct tz_bytes el)
{
    bool fine = f->ftype == TZ_FT_REFS ? is_id(el) : tz_text_is_code(el);
    return fine ? NULL : "集合中的项不合要求 / bad element in set";
}

static struct tz_bytes text_of(struct tz_value set)
{
    return set.kind == TZ_V_TEXT ? tz_bytes_of(set.p, set.n) : tz_bytes_of(NULL, 0);
}

bool tz_set_has(struct tz_value set, struct tz_bytes el)
{
    struct tz_bytes rest = text_of(set);
    struct tz_bytes at;
    while (tz_set_next(&rest, &at))
        if (tz_bytes_eq(at, el))
            return true;
    return false;
}

size_t tz_set_count(struct tz_value set)
{
    struct tz_bytes rest = text_of(set);
    struct tz_bytes at;
    size_t n = 0;
    while (tz_set_next(&rest, &at))
        n++;
    return n;
}

/** Position of the first of @v that is not less than @el. */
static size_t find(const struct tz_bytes *v, size_t n, struct tz_bytes el)
{
    size_t lo = 0;
    size_t hi = n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (tz_bytes_cmp(v[mid], el) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/** One element more or less in the sorted @v. */
static void change(struct tz_bytes *v, size_t *n, struct tz_bytes el, bool present)
{
    size_t i = find(v, *n, el);
    bool there = i < *n && tz_bytes_eq(v[i], el);
    if (there && !present) {
        memmove(&v[i], &v[i + 1], (*n - i - 1) * sizeof *v);
        --*n;
    } else if (!there && present) {
        memmove(&v[i + 1], &v[i], (*n - i) * sizeof *v);
        v[i] = el;
        ++*n;
    }
}

static int write_elements(const struct tz_bytes *v, size_t n, struct tz_arena *a, struct tz_value *out)
{
    size_t bytes = 2;
    size_t o = 0;
    for (size_t i = 0; i < n; i++)
        bytes += v[i].n + 3;
    char *text = tz_arena_alloc(a, bytes);
    if (!text)
        return TZ_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        text[o++] = i ? ',' : '[';
        text[o++] = '"';
        memcpy(text + o, v[i].p, v[i].n);
        o += v[i].n;
        text[o++] = '"';
    }
    text[o++] = ']';
    *out = n ? tz_value_textn(text, o) : tz_value_null();
    return 0;
}

int tz_set_put(struct tz_value set, const struct tz_bytes *el, size_t n, bool present, struct tz_arena *a,
               struct tz_value *out)
{
    struct tz_bytes rest = text_of(set);
    size_t count = tz_set_count(set);
    size_t m = 0;
    struct tz_bytes *v = tz_arena_calloc(a, count + n + 1, sizeof *v);
    if (!v)
        return TZ_E_NOMEM;
    while (m < count && tz_set_next(&rest, &v[m]))
        m++;
    for (size_t i = 0; i < n; i++)
        change(v, &m, el[i], present);
    return m > TZ_SET_ELEMENTS_MAX ? TZ_E_LIMIT : write_elements(v, m, a, out);
}
