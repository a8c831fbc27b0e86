/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text: UTF-8, NFC, trimmed, without control characters; and the folding under which names are compared.
 *
 * 1. tz_text_wrong says NULL exactly for what tz_text_canon makes: both use the same tests per character.
 * 2. Nearly all text here is CJK and ASCII, where NFC changes nothing; `nfc_stable` names those ranges, and only text
 * outside them goes through utf8proc (which allocates). Characters of these ranges have combining class 0, are
 * NFC_Quick_Check=Yes and never combine with the one before.
 */
#include "utf8.h"
#include "value_impl.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static const char *const NOT_UTF8 = "不是有效的 UTF-8 文字 / not valid UTF-8";
static const char *const CONTROL = "含有控制字符 / contains a control character";

static bool nfc_stable(uint32_t cp)
{
    return cp < 0x300 || (cp >= 0x4E00 && cp <= 0x9FFF) || (cp >= 0x3400 && cp <= 0x4DBF) ||
           (cp >= 0x3001 && cp <= 0x3029) || (cp >= 0x2010 && cp <= 0x2027) || (cp >= 0xFF01 && cp <= 0xFF9D) ||
           (cp >= 0x20000 && cp <= 0x2A6DF) || (cp >= 0x2A700 && cp <= 0x2EBE0) || (cp >= 0x30000 && cp <= 0x323AF);
}

/** Space of any width, and the marks without width that come along when text is copied. */
static bool is_space(uint32_t cp)
{
    return cp == ' ' || (cp >= 0x09 && cp <= 0x0D) || cp == 0x85 || cp == 0xA0 || cp == 0x1680 ||
           (cp >= 0x2000 && cp <= 0x200B) || cp == 0x2028 || cp == 0x2029 || cp == 0x202F || cp == 0x205F ||
           cp == 0x2060 || cp == 0x3000 || cp == 0xFEFF;
}

static bool is_control(uint32_t cp, bool multiline)
{
    if (multiline && (cp == '\n' || cp == '\t'))
        return false;
    return cp < 0x20 || (cp >= 0x7F && cp <= 0x9F);
}

/** NFC of valid UTF-8; the result is the caller's to free(). NULL when memory is out. */
static uint8_t *nfc(const uint8_t *p, size_t n, size_t *out_n)
{
    utf8proc_uint8_t *s = NULL;
    utf8proc_ssize_t len = utf8proc_map(p, (utf8proc_ssize_t)n, &s, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (len < 0)
        return NULL;
    *out_n = (size_t)len;
    return s;
}

static size_t count_chars(struct tz_bytes s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += (s.p[i] & 0xC0) != 0x80;
    return n;
}

struct tz_bytes tz_text_trim(struct tz_bytes s)
{
    uint32_t cp = 0;
    size_t k;
    while ((k = tz_utf8_next(s.p, s.n, &cp)) > 0 && is_space(cp)) {
        s.p += k;
        s.n -= k;
    }
    while (s.n > 0) {
        size_t start = s.n - 1;
        while (start > 0 && (s.p[start] & 0xC0) == 0x80)
            start--;
        if (tz_utf8_next(s.p + start, s.n - start, &cp) != s.n - start || !is_space(cp))
            break;
        s.n = start;
    }
    return s;
}

/** Line breaks to LF (or to nothing), tabs; the rest is copied. Returns the bytes written, or -1 with @reason. */
static ptrdiff_t clean(struct tz_bytes in, bool multiline, uint8_t *out, bool *stable, const char **reason)
{
    size_t o = 0;
    uint32_t cp = 0;
    for (size_t i = 0, k = 0; i < in.n; i += k) {
        k = tz_utf8_next(in.p + i, in.n - i, &cp);
        if (k == 0) {
            *reason = NOT_UTF8;
            return -1;
        }
        if (cp == '\r' || cp == '\n') {
            bool first_of_pair = cp == '\r' && i + 1 < in.n && in.p[i + 1] == '\n';
            if (multiline && !first_of_pair)
                out[o++] = '\n';
        } else if (cp == '\t' && !multiline) {
            out[o++] = ' ';
        } else if (is_control(cp, multiline)) {
            *reason = CONTROL;
            return -1;
        } else {
            memcpy(out + o, in.p + i, k);
            o += k;
            *stable = *stable && nfc_stable(cp);
        }
    }
    return (ptrdiff_t)o;
}

int tz_text_canon(struct tz_arena *a, struct tz_bytes in, bool multiline, struct tz_bytes *out, size_t *nchars,
                  const char **reason)
{
    in = tz_text_trim(in);
    uint8_t *copy = tz_arena_alloc(a, in.n + 1);
    if (copy == NULL)
        return TZ_E_LIMIT;
    bool stable = true;
    ptrdiff_t n = clean(in, multiline, copy, &stable, reason);
    if (n < 0)
        return TZ_E_VALUE;
    *out = tz_bytes_of(copy, (size_t)n);
    if (!stable) {
        size_t len = 0;
        uint8_t *composed = nfc(copy, (size_t)n, &len);
        if (composed == NULL)
            return TZ_E_NOMEM;
        const uint8_t *kept = tz_arena_dup(a, composed, len);
        free(composed);
        if (kept == NULL)
            return TZ_E_LIMIT;
        *out = tz_bytes_of(kept, len);
    }
    *out = tz_text_trim(*out); /* a line break that was dropped may have stood between spaces */
    *nchars = count_chars(*out);
    return 0;
}

const char *tz_text_wrong(struct tz_bytes in, bool multiline, size_t *nchars)
{
    bool stable = true;
    uint32_t cp = 0;
    for (size_t i = 0, k = 0; i < in.n; i += k) {
        k = tz_utf8_next(in.p + i, in.n - i, &cp);
        if (k == 0)
            return NOT_UTF8;
        if (is_control(cp, multiline))
            return CONTROL;
        stable = stable && nfc_stable(cp);
    }
    if (in.n == 0 || tz_text_trim(in).n != in.n)
        return "首尾有空白 / empty, or spaces at an end";
    *nchars = count_chars(in);
    if (stable)
        return NULL;
    size_t len = 0;
    uint8_t *composed = nfc(in.p, in.n, &len);
    bool same = composed != NULL && len == in.n && memcmp(composed, in.p, len) == 0;
    free(composed);
    return same ? NULL : "不是 NFC 形式 / not in NFC";
}

/** One character under folding: 0 drops it. */
static uint32_t fold_char(uint32_t cp)
{
    if (is_space(cp) || (cp >= 0x200C && cp <= 0x200F))
        return 0;
    if (cp >= 0xFF01 && cp <= 0xFF5E)
        return cp - 0xFEE0;
    switch (cp) { /* brackets that only style tells apart */
    case 0x3010:  /* 【 */
    case 0x3014:  /* 〔 */
    case 0x3016:  /* 〖 */
        return '(';
    case 0x3011:
    case 0x3015:
    case 0x3017:
        return ')';
    default:
        return cp;
    }
}

bool tz_text_ascii(const char *in, char *out, size_t out_bytes)
{
    size_t n = strlen(in);
    size_t o = 0;
    uint32_t cp = 0;
    for (size_t i = 0, k = 0; i < n; i += k) {
        k = tz_utf8_next((const uint8_t *)in + i, n - i, &cp);
        if (k == 0 || o + k + 1 > out_bytes)
            return false;
        uint32_t folded = fold_char(cp);
        if (folded == 0)
            continue;
        if (folded < 0x80) {
            out[o++] = (char)folded;
        } else {
            memcpy(out + o, in + i, k);
            o += k;
        }
    }
    if (o >= out_bytes)
        return false;
    out[o] = '\0';
    return true;
}

char *tz_name_fold(struct tz_arena *a, struct tz_value name)
{
    size_t n = name.kind == TZ_V_TEXT ? name.n : 0;
    char *out = tz_arena_alloc(a, n + 1);
    if (out == NULL)
        return NULL;
    size_t o = 0;
    bool stable = true;
    uint32_t cp = 0;
    for (size_t i = 0, k = 0; i < n; i += k) {
        k = tz_utf8_next(name.p + i, n - i, &cp);
        if (k == 0 || cp == 0) { /* names come canonical; anything else ends the comparison here */
            break;
        }
        uint32_t folded = fold_char(cp);
        if (folded != 0) /* never longer than what it stands for */
            o += (size_t)utf8proc_encode_char((utf8proc_int32_t)folded, (utf8proc_uint8_t *)out + o);
        stable = stable && nfc_stable(cp);
    }
    out[o] = '\0';
    if (stable)
        return out;
    size_t len = 0;
    uint8_t *composed = nfc((const uint8_t *)out, o, &len);
    char *kept = composed != NULL ? tz_arena_dup(a, composed, len) : NULL;
    free(composed);
    return kept;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

bool tz_text_scientific(struct tz_bytes in)
{
    size_t i = 0;
    while (i < in.n && is_digit(in.p[i]))
        i++;
    if (i == 0)
        return false;
    if (i < in.n && in.p[i] == '.')
        for (i++; i < in.n && is_digit(in.p[i]);)
            i++;
    if (in.n < i + 3 || (in.p[i] != 'E' && in.p[i] != 'e') || (in.p[i + 1] != '+' && in.p[i + 1] != '-'))
        return false;
    for (i += 2; i < in.n; i++)
        if (!is_digit(in.p[i]))
            return false;
    return true;
}

bool tz_text_is_code(struct tz_bytes in)
{
    if (in.n == 0 || in.n > TZ_CODE_BYTES_MAX)
        return false;
    for (size_t i = 0; i < in.n; i++) {
        uint8_t c = in.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !is_digit(c) && c != '_' && c != '-' && c != '.')
            return false;
    }
    return true;
}
