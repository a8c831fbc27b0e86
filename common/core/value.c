/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed values: one table of what each field type is stored as, and the dispatch of parse, check and print over field
 * types.
 *
 * 1. Whatever tz_value_parse gives, tz_value_check accepts; whatever tz_value_check accepts has exactly one byte form,
 * so equal values are equal bytes on every machine.
 * 2. Strings inside JSON are kept as they are, not brought to NFC: RFC 8785 compares documents, not words.
 * 3. Check repairs nothing and allocates nothing but for JSON and for text outside the common ranges.
 *
 * The forms themselves are in value_text.c, value_num.c, value_json.c and value_set.c. Masking and rights are
 * elsewhere.
 */
#include "set.h"
#include "utf8.h"
#include "value_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NUMBER_TEXT_BYTES = 96, DIGEST_BYTES = 32, QUOTE_BYTES = 64 };
enum { PART_BYTES_MIN = 4 }; /* of a label's beginning: two characters of Chinese, four letters */

static const char *const NOT_A_CHOICE = "不在可选项中 / not one of the choices";
static const char *const WRONG_KIND = "存储类型不对 / wrong storage kind";

enum tz_vkind tz_ftype_kind(enum tz_ftype t)
{
    switch (t) {
    case TZ_FT_BOOL:
    case TZ_FT_INT:
    case TZ_FT_DEC1:
    case TZ_FT_MONEY:
    case TZ_FT_INSTANT:
        return TZ_V_INT;
    case TZ_FT_REF:
    case TZ_FT_REF_ANY:
    case TZ_FT_DIGEST:
        return TZ_V_BLOB;
    case TZ_FT_ENUM:
    case TZ_FT_STR:
    case TZ_FT_CODE:
    case TZ_FT_TEXT:
    case TZ_FT_SECRET:
    case TZ_FT_DATE:
    case TZ_FT_SET:
    case TZ_FT_REFS:
    case TZ_FT_JSON:
        break;
    }
    return TZ_V_TEXT;
}

struct tz_value tz_value_text(const char *s)
{
    return s == NULL || *s == '\0' ? tz_value_null() : tz_value_textn(s, strlen(s));
}

bool tz_value_eq(struct tz_value a, struct tz_value b)
{
    if (a.kind != b.kind)
        return false;
    if (a.kind == TZ_V_NULL)
        return true;
    if (a.kind == TZ_V_INT)
        return a.i == b.i;
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool tz_value_is_text(struct tz_value v, const char *s)
{
    return v.kind == TZ_V_TEXT && v.n == strlen(s) && memcmp(v.p, s, v.n) == 0;
}

bool tz_value_dup(struct tz_arena *a, struct tz_value v, struct tz_value *out)
{
    *out = v;
    if (v.kind != TZ_V_TEXT && v.kind != TZ_V_BLOB)
        return true;
    out->p = tz_arena_dup(a, v.p, v.n);
    return out->p != NULL;
}

/* errors */

/** Label and code of the field, as errors show it: "职工人数 employees". */
static void field_words(const struct tz_field *f, char out[TZ_ERR_ARG_BYTES])
{
    (void)snprintf(out, TZ_ERR_ARG_BYTES, "%.60s %.60s", f->label[TZ_LANG_ZH] != NULL ? f->label[TZ_LANG_ZH] : "",
                   f->name != NULL ? f->name : "");
}

static int wrong(const struct tz_field *f, struct tz_bytes input, int code, const char *reason, struct tz_err *err)
{
    char label[TZ_ERR_ARG_BYTES];
    char quoted[QUOTE_BYTES + 1] = "";
    field_words(f, label);
    if (f->visibility != TZ_VIS_SECRET &&
        input.p != NULL) { /* a secret is not repeated in an error that may be logged */
        size_t n = input.n < QUOTE_BYTES ? input.n : QUOTE_BYTES;
        for (size_t i = 0; i < n; i++)
            quoted[i] = input.p[i] < 0x20 || input.p[i] == 0x7F ? ' ' : (char)input.p[i];
        if (n < input.n)
            quoted[tz_utf8_cut(quoted, n)] = '\0';
    }
    return tz_err_set(err, code, label, quoted, reason, NULL);
}

static int too_long(const struct tz_field *f, int64_t most, struct tz_err *err)
{
    char label[TZ_ERR_ARG_BYTES];
    char limit[24];
    field_words(f, label);
    (void)snprintf(limit, sizeof limit, "%lld", (long long)most);
    return tz_err_set(err, TZ_E_TOO_LONG, label, limit, NULL, NULL);
}

/* parse */

/** Does @word begin with @text (of @n bytes), and @whole: up to a bracket, is that all of it? */
static bool label_fits(const char *word, const char *text, size_t n, bool whole)
{
    return word != NULL && strncasecmp(word, text, n) == 0 && (!whole || word[n] == '(');
}

/** 在营 for 在营（在册）: the part before a bracket, else the beginning of a label; of one choice only. */
static const struct tz_enum_value *enum_by_part(const struct tz_enum *e, struct tz_arena *a, const char *folded)
{
    size_t n = strlen(folded);
    for (int round = 0; round < 2; round++) {
        const struct tz_enum_value *hit = NULL;
        for (size_t i = 0; i < e->nvalues && (round == 0 || n >= PART_BYTES_MIN); i++)
            for (int lang = 0; lang < 2; lang++) {
                const char *word = tz_name_fold(a, tz_value_text(e->values[i].label[lang]));
                if (e->values[i].retired || !label_fits(word, folded, n, round == 0))
                    continue;
                if (hit != NULL && hit != &e->values[i])
                    return NULL;
                hit = &e->values[i];
            }
        if (hit != NULL)
            return hit;
    }
    return NULL;
}

const struct tz_enum_value *tz_enum_find(const struct tz_enum *e, struct tz_arena *a, struct tz_value text)
{
    const char *folded = tz_name_fold(a, text);
    if (e == NULL || folded == NULL || *folded == '\0')
        return NULL;
    const struct tz_enum_value *exact = tz_enum_code(e, tz_value_text(folded));
    if (exact != NULL)
        return exact;
    for (size_t i = 0; i < e->nvalues; i++) {
        const char *words[3] = {e->values[i].code, e->values[i].label[TZ_LANG_ZH], e->values[i].label[TZ_LANG_EN]};
        for (size_t k = 0; k < 3; k++) {
            const char *word = tz_name_fold(a, tz_value_text(words[k]));
            if (word != NULL && strcasecmp(word, folded) == 0)
                return &e->values[i];
        }
    }
    return enum_by_part(e, a, folded);
}

static bool is_line(enum tz_ftype t)
{
    return t != TZ_FT_TEXT;
}

/** Characters allowed, or NULL. Limits of str and code are in characters; every text also has the bytes of
 * TZ_TEXT_BYTES_MAX. */
static const char *code_wrong(const struct tz_field *f, struct tz_bytes s)
{
    if (tz_text_scientific(s))
        return "代码变成了科学计数，请按文本重新填写 / a code turned into scientific notation";
    if (f->ftype != TZ_FT_CODE)
        return NULL;
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i] | 0x20;
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (c >= 'a' && c <= 'z' && s.p[i] < 0x80)))
            return "代码只能是数字和字母 / a code has digits and letters only";
    }
    return s.n == (size_t)f->limit ? NULL : "代码位数不对 / a code of the wrong length";
}

static int parse_text(const struct tz_field *f, const char *input, struct tz_arena *a, struct tz_value *out,
                      struct tz_err *err)
{
    const char *reason = NULL;
    struct tz_bytes in = tz_bytes_str(input);
    struct tz_bytes s;
    size_t nchars = 0;
    char code[64];
    if (f->ftype == TZ_FT_CODE && tz_text_ascii(input, code, sizeof code)) /* full-width digits, stray spaces */
        in = tz_bytes_str(code);
    int rc = tz_text_canon(a, in, !is_line(f->ftype), &s, &nchars, &reason);
    if (rc == TZ_E_VALUE)
        return wrong(f, in, TZ_E_VALUE, reason, err);
    if (rc != 0)
        return tz_err_setf(err, rc, "text");
    if (s.n == 0)
        return 0;
    if (f->ftype == TZ_FT_CODE || f->ftype == TZ_FT_STR)
        reason = code_wrong(f, s);
    if (reason != NULL)
        return wrong(f, in, TZ_E_VALUE, reason, err);
    if (f->limit > 0 && nchars > (size_t)f->limit)
        return too_long(f, f->limit, err);
    if (s.n > TZ_TEXT_BYTES_MAX)
        return too_long(f, TZ_TEXT_BYTES_MAX / 3, err);
    *out = tz_value_textn(s.p, s.n);
    return 0;
}

static bool cut_suffix(char *s, const char *suffix)
{
    size_t n = strlen(s);
    size_t k = strlen(suffix);
    if (n <= k || strcmp(s + n - k, suffix) != 0)
        return false;
    s[n - k] = '\0';
    return true;
}

/** Units people write behind a number, and the currency sign before one. */
static const char *strip_units(enum tz_ftype t, char *s)
{
    static const char *const of_int[] = {"人", "名", "个", "家", "次", "项", "年", NULL};
    static const char *const of_dec[] = {"分", "%", NULL};
    static const char *const of_money[] = {"元", NULL};
    static const char *const signs[] = {"¥", "￥", NULL};
    const char *const *units = t == TZ_FT_INT ? of_int : t == TZ_FT_DEC1 ? of_dec : of_money;
    for (size_t i = 0; units[i] != NULL; i++)
        if (cut_suffix(s, units[i]))
            break;
    for (size_t i = 0; t == TZ_FT_MONEY && signs[i] != NULL; i++)
        if (strncmp(s, signs[i], strlen(signs[i])) == 0)
            return s + strlen(signs[i]);
    return s;
}

static const char *bool_parse(const char *s, int64_t *out)
{
    static const char *const yes[] = {"是", "有", "yes", "true", "1"};
    static const char *const no[] = {"否", "无", "no", "false", "0"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        *out = strcasecmp(s, yes[i]) == 0;
        if (*out == 1 || strcasecmp(s, no[i]) == 0)
            return NULL;
    }
    return "应为 是 或 否 / expected yes or no";
}

static const char *number_parse(const struct tz_field *f, char *s, int64_t *out)
{
    unsigned decimals = f->ftype == TZ_FT_MONEY ? 2 : f->ftype == TZ_FT_DEC1 ? 1 : 0;
    const char *reason = tz_num_parse(strip_units(f->ftype, s), decimals, out);
    if (reason == NULL && f->ftype == TZ_FT_INT && f->limit > 0 && *out > f->limit)
        reason = "超出上限 / above the maximum";
    return reason;
}

static int parse_int(const struct tz_field *f, const char *input, struct tz_value *out, struct tz_err *err)
{
    char s[NUMBER_TEXT_BYTES];
    int64_t i = 0;
    const char *reason = "太长 / too long";
    if (f->ftype == TZ_FT_INSTANT) {
        reason = tz_instant_parse(input, &i);
    } else if (tz_text_ascii(input, s, sizeof s)) {
        if (*s == '\0')
            return 0;
        reason = f->ftype == TZ_FT_BOOL ? bool_parse(s, &i) : number_parse(f, s, &i);
    }
    if (reason != NULL)
        return wrong(f, tz_bytes_str(input), TZ_E_VALUE, reason, err);
    *out = tz_value_int(i);
    return 0;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static int parse_blob(const struct tz_field *f, const char *input, struct tz_arena *a, struct tz_value *out,
                      struct tz_err *err)
{
    uint8_t bytes[DIGEST_BYTES];
    struct tz_id id;
    bool ok = f->ftype != TZ_FT_DIGEST && tz_id_parse(input, &id) == 0;
    size_t n = TZ_ID_BYTES;
    if (ok) {
        memcpy(bytes, id.b, n);
    } else if (f->ftype == TZ_FT_DIGEST && strlen(input) == (size_t)2 * DIGEST_BYTES) {
        ok = true;
        n = DIGEST_BYTES;
        for (size_t i = 0; i < n && ok; i++) {
            int hi = hex_digit(input[2 * i]);
            int lo = hex_digit(input[2 * i + 1]);
            ok = hi >= 0 && lo >= 0;
            bytes[i] = (uint8_t)(ok ? hi << 4 | lo : 0);
        }
    }
    if (!ok)
        return wrong(f, tz_bytes_str(input), TZ_E_VALUE, "应为十六进制编号 / expected hex digits", err);
    return tz_value_dup(a, tz_value_blob(bytes, n), out) ? 0 : tz_err_setf(err, TZ_E_LIMIT, "memory");
}

static int parse_date(const struct tz_field *f, const char *input, struct tz_arena *a, struct tz_value *out,
                      struct tz_err *err)
{
    char s[NUMBER_TEXT_BYTES];
    char date[11];
    const char *reason = "太长 / too long";
    const char *day = tz_arena_dup(a, input, tz_date_day(input));
    if (day == NULL)
        return tz_err_setf(err, TZ_E_LIMIT, "memory");
    if (tz_text_ascii(day, s, sizeof s)) {
        if (*s == '\0')
            return 0;
        reason = tz_date_parse(s, date);
    }
    if (reason != NULL)
        return wrong(f, tz_bytes_str(input), TZ_E_VALUE, reason, err);
    return tz_value_dup(a, tz_value_text(date), out) ? 0 : tz_err_setf(err, TZ_E_LIMIT, "memory");
}

static int parse_json(const struct tz_field *f, struct tz_bytes in, struct tz_arena *a, struct tz_value *out,
                      struct tz_err *err)
{
    struct tz_buf text;
    const char *reason = NULL;
    if (in.n == 0)
        return 0;
    tz_buf_init(&text, TZ_TEXT_BYTES_MAX);
    int rc = tz_json_canon(in, &text, &reason);
    if (rc == 0 && !tz_value_dup(a, tz_value_textn(text.p, text.len), out))
        rc = TZ_E_NOMEM;
    tz_buf_deinit(&text);
    if (rc == TZ_E_VALUE)
        return wrong(f, in, rc, reason, err);
    return rc == TZ_E_LIMIT ? too_long(f, TZ_TEXT_BYTES_MAX, err) : rc == 0 ? 0 : tz_err_setf(err, rc, "JSON");
}

static int parse_set(const struct tz_field *f, struct tz_bytes in, struct tz_arena *a, struct tz_value *out,
                     struct tz_err *err)
{
    const char *reason = NULL;
    int rc = tz_set_parse(f, in, a, out, &reason);
    if (rc == TZ_E_VALUE)
        return wrong(f, in, rc, reason, err);
    return rc == 0 ? 0 : tz_err_setf(err, rc, "set");
}

/** "可选 / choices: 实地走访、电话、网络", as many as fit. */
static const char *list_choices(const struct tz_enum *e, char out[TZ_ERR_ARG_BYTES])
{
    static const char more[] = "…";
    size_t n = (size_t)snprintf(out, TZ_ERR_ARG_BYTES, "可选 / choices: ");
    bool first = true;
    for (size_t i = 0; i < e->nvalues; i++) {
        const char *label = e->values[i].label[TZ_LANG_ZH];
        if (e->values[i].retired)
            continue;
        if (n + strlen("、") + strlen(label) + sizeof more > TZ_ERR_ARG_BYTES) {
            (void)snprintf(out + n, TZ_ERR_ARG_BYTES - n, "%s", more);
            break;
        }
        n += (size_t)snprintf(out + n, TZ_ERR_ARG_BYTES - n, "%s%s", first ? "" : "、", label);
        first = false;
    }
    return out;
}

static int parse_enum(const struct tz_field *f, struct tz_bytes in, struct tz_arena *a, struct tz_value *out,
                      struct tz_err *err)
{
    const struct tz_enum_value *v = tz_enum_find(f->en, a, tz_value_textn(in.p, in.n));
    char choices[TZ_ERR_ARG_BYTES];
    if (v == NULL)
        return wrong(f, in, TZ_E_VALUE, list_choices(f->en, choices), err);
    *out = tz_value_text(v->code); /* the catalogue outlives every value */
    return 0;
}

int tz_value_parse(const struct tz_field *f, const char *input, struct tz_arena *arena, struct tz_value *out,
                   struct tz_err *err)
{
    *out = tz_value_null();
    size_t nchars = 0;
    const char *reason = NULL;
    struct tz_bytes in;
    if (f->ftype == TZ_FT_STR || f->ftype == TZ_FT_CODE || f->ftype == TZ_FT_TEXT || f->ftype == TZ_FT_SECRET)
        return parse_text(f, input, arena, out, err);
    if (f->ftype == TZ_FT_JSON)
        return parse_json(f, tz_text_trim(tz_bytes_str(input)), arena, out, err);
    int rc = tz_text_canon(arena, tz_bytes_str(input), true, &in, &nchars, &reason);
    if (rc == TZ_E_VALUE)
        return wrong(f, tz_bytes_str(input), rc, reason, err);
    const char *text = rc == 0 ? tz_arena_dup(arena, in.p, in.n) : NULL;
    if (text == NULL)
        return tz_err_setf(err, rc != 0 ? rc : TZ_E_LIMIT, "memory");
    if (in.n == 0)
        return 0;
    switch (tz_ftype_kind(f->ftype)) {
    case TZ_V_INT:
        return parse_int(f, text, out, err);
    case TZ_V_BLOB:
        return parse_blob(f, text, arena, out, err);
    case TZ_V_NULL:
    case TZ_V_TEXT:
        break;
    }
    if (f->ftype == TZ_FT_DATE)
        return parse_date(f, text, arena, out, err);
    return f->ftype == TZ_FT_ENUM ? parse_enum(f, in, arena, out, err) : parse_set(f, in, arena, out, err);
}

/* check */

static int check_int(const struct tz_field *f, int64_t i, struct tz_err *err)
{
    char text[24];
    const char *reason = NULL;
    if (f->ftype == TZ_FT_INSTANT)
        reason = tz_instant_wrong(i);
    else if (i < 0)
        reason = "不能为负数 / must not be negative";
    else if (i > (f->ftype == TZ_FT_BOOL ? 1 : f->ftype == TZ_FT_INT && f->limit > 0 ? f->limit : TZ_NUMBER_MAX))
        reason = "超出上限 / above the maximum";
    if (reason == NULL)
        return 0;
    (void)snprintf(text, sizeof text, "%lld", (long long)i);
    return wrong(f, tz_bytes_str(text), TZ_E_VALUE, reason, err);
}

static int check_plain(const struct tz_field *f, struct tz_bytes s, struct tz_err *err)
{
    size_t nchars = 0;
    const char *reason = tz_text_wrong(s, !is_line(f->ftype), &nchars);
    if (reason == NULL && (f->ftype == TZ_FT_CODE || f->ftype == TZ_FT_STR))
        reason = code_wrong(f, s);
    if (reason != NULL)
        return wrong(f, tz_bytes_of(NULL, 0), TZ_E_VALUE, reason, err);
    return f->limit > 0 && nchars > (size_t)f->limit ? too_long(f, f->limit, err) : 0;
}

static int check_json(const struct tz_field *f, struct tz_bytes s, struct tz_err *err)
{
    struct tz_buf text;
    const char *reason = NULL;
    tz_buf_init(&text, TZ_TEXT_BYTES_MAX);
    int rc = tz_json_canon(s, &text, &reason);
    if (rc == TZ_E_LIMIT || (rc == 0 && !tz_bytes_eq(tz_bytes_of(text.p, text.len), s))) {
        reason = "JSON 不是规范形式 / JSON not in canonical form";
        rc = TZ_E_VALUE;
    }
    tz_buf_deinit(&text);
    if (rc == TZ_E_VALUE)
        return wrong(f, tz_bytes_of(NULL, 0), rc, reason, err);
    return rc == 0 ? 0 : tz_err_setf(err, rc, "JSON");
}

static const char *enum_wrong(const struct tz_field *f, struct tz_value v, bool known_only)
{
    if (!tz_text_is_code(tz_bytes_of(v.p, v.n)))
        return NOT_A_CHOICE;
    return known_only && tz_enum_code(f->en, v) == NULL ? NOT_A_CHOICE : NULL;
}

static int check_text(const struct tz_field *f, struct tz_value v, bool known_only, struct tz_err *err)
{
    struct tz_bytes s = tz_bytes_of(v.p, v.n);
    const char *reason = NULL;
    if (s.n > TZ_TEXT_BYTES_MAX)
        return too_long(f, TZ_TEXT_BYTES_MAX / 3, err);
    if (f->ftype == TZ_FT_JSON)
        return check_json(f, s, err);
    if (f->ftype == TZ_FT_ENUM)
        reason = enum_wrong(f, v, known_only);
    else if (f->ftype == TZ_FT_DATE)
        reason = tz_date_wrong(s);
    else if (f->ftype == TZ_FT_SET || f->ftype == TZ_FT_REFS)
        reason = tz_set_wrong(f, s, known_only);
    else
        return check_plain(f, s, err);
    return reason == NULL ? 0 : wrong(f, tz_bytes_of(NULL, 0), TZ_E_VALUE, reason, err);
}

int tz_value_check(const struct tz_field *f, struct tz_value v, bool known_enums_only, struct tz_err *err)
{
    if (v.kind == TZ_V_NULL)
        return 0;
    if (v.kind != tz_ftype_kind(f->ftype) || (v.kind != TZ_V_INT && v.p == NULL))
        return wrong(f, tz_bytes_of(NULL, 0), TZ_E_FORMAT, WRONG_KIND, err);
    if (v.kind == TZ_V_INT)
        return check_int(f, v.i, err);
    if (v.kind == TZ_V_TEXT)
        return check_text(f, v, known_enums_only, err);
    size_t n = f->ftype == TZ_FT_DIGEST ? (size_t)DIGEST_BYTES : (size_t)TZ_ID_BYTES;
    return v.n == n ? 0 : wrong(f, tz_bytes_of(NULL, 0), TZ_E_FORMAT, "字节数不对 / wrong number of bytes", err);
}

/* print */

static int put_hex(struct tz_buf *out, const uint8_t *p, size_t n)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = tz_buf_printf(out, "%02x", p[i]);
    return rc;
}

static int put_code(const struct tz_field *f, struct tz_bytes code, enum tz_lang lang, bool with_code,
                    struct tz_buf *out)
{
    const struct tz_enum_value *v = tz_enum_code(f->en, tz_value_textn(code.p, code.n));
    if (v == NULL)
        return tz_buf_put(out, code.p, code.n);
    int rc = tz_buf_puts(out, v->label[lang]);
    return rc != 0 || !with_code ? rc : tz_buf_printf(out, " %s", v->code);
}

static int print_set(const struct tz_field *f, struct tz_bytes rest, enum tz_lang lang, bool with_code,
                     struct tz_buf *out)
{
    struct tz_bytes el;
    int rc = 0;
    for (bool first = true; rc == 0 && tz_set_next(&rest, &el); first = false) {
        if (!first)
            rc = tz_buf_puts(out, lang == TZ_LANG_ZH ? "、" : ", ");
        if (rc == 0)
            rc = f->ftype == TZ_FT_SET ? put_code(f, el, lang, with_code, out) : tz_buf_put(out, el.p, el.n);
    }
    return rc;
}

static int print_int(const struct tz_field *f, int64_t i, enum tz_lang lang, struct tz_buf *out)
{
    char text[32];
    const char *sign = i < 0 ? "-" : "";
    uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    if (f->ftype == TZ_FT_BOOL)
        return tz_buf_puts(out, lang == TZ_LANG_ZH ? (i != 0 ? "是" : "否") : (i != 0 ? "yes" : "no"));
    if (f->ftype == TZ_FT_MONEY)
        return tz_buf_printf(out, "%s%llu.%02u", sign, (unsigned long long)(u / 100), (unsigned)(u % 100));
    if (f->ftype == TZ_FT_DEC1)
        return tz_buf_printf(out, "%s%llu.%u", sign, (unsigned long long)(u / 10), (unsigned)(u % 10));
    if (f->ftype == TZ_FT_INSTANT) {
        tz_instant_print(i, text);
        return tz_buf_puts(out, text);
    }
    return tz_buf_printf(out, "%lld", (long long)i);
}

int tz_value_print(const struct tz_field *f, struct tz_value v, enum tz_lang lang, bool with_code, struct tz_buf *out)
{
    switch (v.kind) {
    case TZ_V_NULL:
        return 0;
    case TZ_V_INT:
        return print_int(f, v.i, lang, out);
    case TZ_V_BLOB:
        return put_hex(out, v.p, v.n);
    case TZ_V_TEXT:
        break;
    }
    if (f->ftype == TZ_FT_ENUM)
        return put_code(f, tz_bytes_of(v.p, v.n), lang, with_code, out);
    if (f->ftype == TZ_FT_SET || f->ftype == TZ_FT_REFS)
        return print_set(f, tz_bytes_of(v.p, v.n), lang, with_code, out);
    return tz_buf_put(out, v.p, v.n);
}

int tz_value_json(const struct tz_field *f, struct tz_value v, struct tz_buf *out)
{
    switch (v.kind) {
    case TZ_V_NULL:
        return tz_buf_puts(out, "null");
    case TZ_V_INT:
        return tz_buf_printf(out, "%lld", (long long)v.i);
    case TZ_V_TEXT:
        if (f->ftype == TZ_FT_SET || f->ftype == TZ_FT_REFS || f->ftype == TZ_FT_JSON)
            return tz_buf_put(out, v.p, v.n);
        return tz_json_string(out, v.p, v.n);
    case TZ_V_BLOB:
        break;
    }
    int rc = tz_buf_putc(out, '"');
    if (rc == 0)
        rc = put_hex(out, v.p, v.n);
    return rc != 0 ? rc : tz_buf_putc(out, '"');
}
