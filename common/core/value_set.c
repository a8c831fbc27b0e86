/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets: a sorted JSON array of unique strings without spaces, of enum codes (set) or of ids as 32 lower-case hex digits
 * (refs). Elements are plain ASCII, so the canonical form has no escapes and is checked by one pass without a JSON
 * parser.
 */
#include "value_set.h"

#include "set.h"

#include <stdlib.h>
#include <string.h>

struct set_builder {
    const struct tz_field *f;
    struct tz_arena *a;
    struct tz_bytes *el; /* TZ_SET_ELEMENTS_MAX */
    size_t n;
    const char *reason;
};

static int add_code(struct set_builder *b, struct tz_bytes s)
{
    const struct tz_enum_value *v = tz_enum_find(b->f->en, b->a, tz_value_textn(s.p, s.n));
    if (v == NULL) {
        b->reason = "不在可选项中 / not one of the choices";
        return TZ_E_VALUE;
    }
    b->el[b->n++] = tz_bytes_str(v->code);
    return 0;
}

static int add_id(struct set_builder *b, struct tz_bytes s)
{
    char in[40] = {0};
    struct tz_id id;
    if (s.n < sizeof in)
        memcpy(in, s.p, s.n);
    if (s.n >= sizeof in || tz_id_parse(in, &id) != 0) {
        b->reason = "应为 32 位十六进制编号 / expected an id of 32 hex digits";
        return TZ_E_VALUE;
    }
    char *hex = tz_arena_alloc(b->a, TZ_ID_HEX + 1);
    if (hex == NULL)
        return TZ_E_LIMIT;
    tz_id_print(id, hex);
    b->el[b->n++] = tz_bytes_of(hex, TZ_ID_HEX);
    return 0;
}

static int add_element(void *ctx, struct tz_bytes s)
{
    struct set_builder *b = ctx;
    if (b->n >= TZ_SET_ELEMENTS_MAX) {
        b->reason = "超过 1000 项 / more than 1000 elements";
        return TZ_E_VALUE;
    }
    return b->f->ftype == TZ_FT_REFS ? add_id(b, s) : add_code(b, s);
}

/** What a person types: elements between 、 ， ； , ; | or spaces. */
static int add_list(struct set_builder *b, struct tz_bytes in)
{
    static const char *const seps[] = {"、", "，", "；", "　", ",", ";", "|", " ", "\n", "\t"};
    size_t start = 0;
    for (size_t i = 0; i <= in.n;) {
        size_t sep = i == in.n ? 1 : 0;
        for (size_t k = 0; k < sizeof seps / sizeof *seps && sep == 0; k++)
            if (in.n - i >= strlen(seps[k]) && memcmp(in.p + i, seps[k], strlen(seps[k])) == 0)
                sep = strlen(seps[k]);
        if (sep > 0 && i > start) {
            int rc = add_element(b, tz_bytes_of(in.p + start, i - start));
            if (rc != 0)
                return rc;
        }
        if (sep > 0)
            start = i + sep;
        i += sep > 0 ? sep : 1;
    }
    return 0;
}

static int bytes_cmp(const void *a, const void *b)
{
    return tz_bytes_cmp(*(const struct tz_bytes *)a, *(const struct tz_bytes *)b);
}

static int write_set(struct set_builder *b, struct tz_value *out)
{
    size_t bytes = 2;
    qsort(b->el, b->n, sizeof *b->el, bytes_cmp);
    for (size_t i = 0; i < b->n; i++)
        bytes += b->el[i].n + 3;
    char *text = tz_arena_alloc(b->a, bytes);
    if (text == NULL)
        return TZ_E_LIMIT;
    size_t o = 0;
    text[o++] = '[';
    for (size_t i = 0; i < b->n; i++) {
        if (i > 0 && tz_bytes_eq(b->el[i], b->el[i - 1]))
            continue;
        if (i > 0)
            text[o++] = ',';
        text[o++] = '"';
        memcpy(text + o, b->el[i].p, b->el[i].n);
        o += b->el[i].n;
        text[o++] = '"';
    }
    text[o++] = ']';
    *out = b->n == 0 ? tz_value_null() : tz_value_textn(text, o);
    return 0;
}

int tz_set_parse(const struct tz_field *f, struct tz_bytes in, struct tz_arena *a, struct tz_value *out,
                 const char **reason)
{
    struct set_builder b = {.f = f, .a = a};
    b.el = tz_arena_calloc(a, TZ_SET_ELEMENTS_MAX, sizeof *b.el);
    if (b.el == NULL)
        return TZ_E_LIMIT;
    int rc = in.n > 0 && in.p[0] == '[' ? tz_json_strings(in, add_element, &b, reason) : add_list(&b, in);
    if (b.reason != NULL)
        *reason = b.reason;
    return rc != 0 ? rc : write_set(&b, out);
}

const char *tz_set_wrong(const struct tz_field *f, struct tz_bytes in, bool known_enums_only)
{
    struct tz_bytes rest = in;
    struct tz_bytes el;
    struct tz_bytes prev = {NULL, 0};
    size_t n = 0;
    if (in.n == 0 || in.p[0] != '[')
        return "应为 JSON 数组 / expected a JSON array";
    while (tz_set_next(&rest, &el)) {
        if (n > 0 && tz_bytes_cmp(prev, el) >= 0)
            return "集合未排序或有重复 / set not sorted or not unique";
        const char *wrong = tz_set_element_wrong(f, el);
        if (wrong != NULL)
            return wrong;
        if (f->ftype == TZ_FT_SET && known_enums_only && tz_enum_code(f->en, tz_value_textn(el.p, el.n)) == NULL)
            return "不在可选项中 / not one of the choices";
        if (++n > TZ_SET_ELEMENTS_MAX)
            return "超过 1000 项 / more than 1000 elements";
        prev = el;
    }
    return n > 0 && rest.n == 1 && rest.p[0] == ']' ? NULL : "集合格式不对 / set not in canonical form";
}
