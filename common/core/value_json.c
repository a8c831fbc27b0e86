/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON in one form: RFC 8785 (JCS) restricted to whole numbers of at most 2^53 − 1, so that no number needs rounding
 * rules.
 *
 * Depth is measured on the bytes before jansson sees them, because jansson and the writer below recurse; after that
 * check the recursion is at most TZ_JSON_DEPTH_MAX deep. Keys are sorted by UTF-16 code units as the RFC demands, which
 * differs from byte order only between U+E000–U+FFFF and the planes above.
 */
#include "utf8.h"
#include "value_impl.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char *const BAD_JSON = "不是有效的 JSON / not valid JSON";

int tz_json_string(struct tz_buf *out, const void *p, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    static const char short_form[] = "btn\0fr"; /* \b \t \n – \f \r, from 0x08 */
    const uint8_t *s = p;
    int rc = tz_buf_putc(out, '"');
    size_t plain = 0; /* start of the run that needs no escape */
    for (size_t i = 0; i < n && rc == 0; i++) {
        uint8_t c = s[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        if (i > plain)
            rc = tz_buf_put(out, s + plain, i - plain);
        plain = i + 1;
        char esc[6] = {'\\', (char)c, '0', '0', hex[c >> 4], hex[c & 15]};
        size_t len = 2;
        if (c < 0x20) {
            bool has_short = c >= 0x08 && c <= 0x0D && short_form[c - 0x08] != '\0';
            esc[1] = has_short ? short_form[c - 0x08] : 'u';
            len = has_short ? 2 : 6;
        }
        if (rc == 0)
            rc = tz_buf_put(out, esc, len);
    }
    if (rc == 0 && n > plain)
        rc = tz_buf_put(out, s + plain, n - plain);
    return rc != 0 ? rc : tz_buf_putc(out, '"');
}

static bool too_deep(struct tz_bytes in)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < in.n; i++) {
        uint8_t c = in.p[i];
        if (in_string) {
            i += c == '\\';
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > TZ_JSON_DEPTH_MAX)
                return true;
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return false;
}

static int load(struct tz_bytes in, json_t **out, const char **reason)
{
    if (in.n > TZ_TEXT_BYTES_MAX) {
        *reason = "超过 64 KiB / over 64 KiB";
        return TZ_E_VALUE;
    }
    if (too_deep(in)) {
        *reason = "JSON 嵌套超过 32 层 / JSON nested deeper than 32";
        return TZ_E_VALUE;
    }
    json_error_t err;
    *out = json_loadb((const char *)in.p, in.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &err);
    if (*out != NULL)
        return 0;
    *reason = json_error_code(&err) == json_error_duplicate_key ? "JSON 的键重复 / duplicate key in JSON" : BAD_JSON;
    return json_error_code(&err) == json_error_out_of_memory ? TZ_E_NOMEM : TZ_E_VALUE;
}

struct member {
    const char *key;
    size_t n;
    const json_t *value;
};

/** Order of UTF-16 code units: a character past U+FFFF begins with a unit of D800–DBFF. */
static uint32_t first_unit(uint32_t cp)
{
    return cp > 0xFFFF ? 0xD800 + ((cp - 0x10000) >> 10) : cp;
}

static int member_cmp(const void *pa, const void *pb)
{
    const struct member *a = pa;
    const struct member *b = pb;
    size_t least = a->n < b->n ? a->n : b->n;
    size_t i = 0;
    while (i < least && a->key[i] == b->key[i])
        i++;
    if (i == least)
        return (a->n > b->n) - (a->n < b->n);
    while (i > 0 && ((uint8_t)a->key[i] & 0xC0) == 0x80) /* back to the first byte of the character that differs */
        i--;
    uint32_t ca = 0;
    uint32_t cb = 0;
    (void)tz_utf8_next((const uint8_t *)a->key + i, a->n - i, &ca);
    (void)tz_utf8_next((const uint8_t *)b->key + i, b->n - i, &cb);
    uint32_t ua = first_unit(ca);
    uint32_t ub = first_unit(cb);
    if (ua == ub)
        return (ca > cb) - (ca < cb);
    return ua > ub ? 1 : -1;
}

static int write_json(const json_t *j, struct tz_buf *out, const char **reason);

static int write_object(const json_t *j, struct tz_buf *out, const char **reason)
{
    size_t n = json_object_size(j);
    struct member *m = calloc(n + 1, sizeof *m);
    if (m == NULL)
        return TZ_E_NOMEM;
    json_t *obj = (json_t *)(uintptr_t)j; /* the iterator is not const-correct; nothing is changed */
    size_t i = 0;
    for (void *it = json_object_iter(obj); it != NULL && i < n; it = json_object_iter_next(obj, it), i++)
        m[i] = (struct member){json_object_iter_key(it), json_object_iter_key_len(it), json_object_iter_value(it)};
    qsort(m, n, sizeof *m, member_cmp);
    int rc = tz_buf_putc(out, '{');
    for (i = 0; i < n && rc == 0; i++) {
        if (i > 0)
            rc = tz_buf_putc(out, ',');
        if (rc == 0)
            rc = tz_json_string(out, m[i].key, m[i].n);
        if (rc == 0)
            rc = tz_buf_putc(out, ':');
        if (rc == 0)
            rc = write_json(m[i].value, out, reason);
    }
    free(m);
    return rc != 0 ? rc : tz_buf_putc(out, '}');
}

static int write_array(const json_t *j, struct tz_buf *out, const char **reason)
{
    int rc = tz_buf_putc(out, '[');
    for (size_t i = 0; i < json_array_size(j) && rc == 0; i++) {
        if (i > 0)
            rc = tz_buf_putc(out, ',');
        if (rc == 0)
            rc = write_json(json_array_get(j, i), out, reason);
    }
    return rc != 0 ? rc : tz_buf_putc(out, ']');
}

static int write_integer(json_int_t v, struct tz_buf *out, const char **reason)
{
    if (v > TZ_NUMBER_MAX || v < -TZ_NUMBER_MAX) {
        *reason = "JSON 中的数字太大 / number in JSON too large";
        return TZ_E_VALUE;
    }
    return tz_buf_printf(out, "%lld", (long long)v);
}

/* Recursion: at most TZ_JSON_DEPTH_MAX, see load(). */
static int write_json(const json_t *j, struct tz_buf *out, const char **reason)
{
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        return write_object(j, out, reason);
    case JSON_ARRAY:
        return write_array(j, out, reason);
    case JSON_STRING:
        return tz_json_string(out, json_string_value(j), json_string_length(j));
    case JSON_INTEGER:
        return write_integer(json_integer_value(j), out, reason);
    case JSON_TRUE:
        return tz_buf_puts(out, "true");
    case JSON_FALSE:
        return tz_buf_puts(out, "false");
    case JSON_NULL:
        return tz_buf_puts(out, "null");
    case JSON_REAL:
        break;
    }
    *reason = "JSON 中只能用整数 / only whole numbers in JSON";
    return TZ_E_VALUE;
}

int tz_json_canon(struct tz_bytes in, struct tz_buf *out, const char **reason)
{
    json_t *root = NULL;
    int rc = load(in, &root, reason);
    if (rc == 0)
        rc = write_json(root, out, reason);
    json_decref(root);
    return rc;
}

int tz_json_strings(struct tz_bytes in, int (*cb)(void *ctx, struct tz_bytes s), void *ctx, const char **reason)
{
    json_t *root = NULL;
    int rc = load(in, &root, reason);
    if (rc == 0 && !json_is_array(root)) {
        *reason = "应为 JSON 数组 / expected a JSON array";
        rc = TZ_E_VALUE;
    }
    for (size_t i = 0; rc == 0 && i < json_array_size(root); i++) {
        const json_t *s = json_array_get(root, i);
        if (json_is_string(s)) {
            rc = cb(ctx, tz_bytes_of(json_string_value(s), json_string_length(s)));
        } else {
            *reason = "数组中只能有文字 / only strings in this array";
            rc = TZ_E_VALUE;
        }
    }
    json_decref(root);
    return rc;
}
