/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_VALUE_H
#define TZ_VALUE_H

/*
 * Typed values in their canonical form: the one form that is stored, sent, compared, hashed and dumped.
 *
 *   type          in C    canonical form
 *   enum, str, code, text, secret   TEXT   UTF-8, NFC, no CR, no NUL, trimmed; str/code limited in characters
 *   date          TEXT    "2017", "2017-03" or "2017-03-05"; the length is the precision
 *   bool          INT     0 or 1
 *   int, intN     INT     ≥ 0; intN at most N
 *   dec1          INT     ×10
 *   money         INT     分
 *   instant       INT     milliseconds since 1970 UTC
 *   ref           BLOB    16 bytes
 *   digest        BLOB    32 bytes
 *   set, refs     TEXT    sorted JSON array of unique strings, no spaces (refs: 32 lower-case hex digits)
 *   json          TEXT    RFC 8785 text, integers only
 * An empty input is NULL; NULL is not 0.
 */

#include "arena.h"
#include "id.h"

enum tz_ftype {
    TZ_FT_ENUM,
    TZ_FT_STR,
    TZ_FT_CODE,
    TZ_FT_TEXT,
    TZ_FT_SECRET,
    TZ_FT_DATE,
    TZ_FT_BOOL,
    TZ_FT_INT,
    TZ_FT_DEC1,
    TZ_FT_MONEY,
    TZ_FT_INSTANT,
    TZ_FT_REF,
    TZ_FT_REF_ANY,
    TZ_FT_DIGEST,
    TZ_FT_SET,
    TZ_FT_REFS,
    TZ_FT_JSON,
};

enum tz_vkind { TZ_V_NULL, TZ_V_INT, TZ_V_TEXT, TZ_V_BLOB };

/** One value. p borrows from an arena, a statement or a message; the owner is named where values are handed out. */
struct tz_value {
    enum tz_vkind kind;
    int64_t i;        /**< INT */
    const uint8_t *p; /**< TEXT, BLOB; not NUL-terminated */
    size_t n;         /**< bytes */
};

enum { TZ_TEXT_BYTES_MAX = 64 * 1024, TZ_ROW_BYTES_MAX = 256 * 1024, TZ_SET_ELEMENTS_MAX = 1000 };

struct tz_field; /* catalogue.h */

/** Which storage kind a field type has. */
enum tz_vkind tz_ftype_kind(enum tz_ftype t);

static inline struct tz_value tz_value_null(void)
{
    return (struct tz_value){.kind = TZ_V_NULL};
}
static inline struct tz_value tz_value_int(int64_t i)
{
    return (struct tz_value){.kind = TZ_V_INT, .i = i};
}
struct tz_value tz_value_text(const char *s); /**< borrows @s; "" and NULL give NULL */
static inline struct tz_value tz_value_textn(const void *p, size_t n)
{
    return (struct tz_value){.kind = TZ_V_TEXT, .p = (const uint8_t *)p, .n = n};
}
static inline struct tz_value tz_value_blob(const void *p, size_t n)
{
    return (struct tz_value){.kind = TZ_V_BLOB, .p = (const uint8_t *)p, .n = n};
}
/** Same kind and bytes: canonical values are equal exactly when this holds. */
bool tz_value_eq(struct tz_value a, struct tz_value b);
bool tz_value_is_text(struct tz_value v, const char *s);
/** Copy with its bytes into @a. False when the arena is exhausted. */
bool tz_value_dup(struct tz_arena *a, struct tz_value v, struct tz_value *out);

/**
 * What a person typed (or a cell holds) → canonical value.
 *
 * Enums take the code or either label; dates the forms of DOMAIN: 2017-03-05 2017/3/5 2017.3.5 2017年3月5日 20170305
 * and the year or year-month alone; bool 是/否/有/无/yes/no/true/false/1/0; numbers with full-width digits and
 * thousands separators; money in 元 with up to two decimals; dec1 with one; instant "2017-03-05T08:00:00Z", with
 * +08:00, or a date (00:00 UTC+8); ref and refs 32 hex digits (business keys are resolved by the caller). Codes in
 * scientific notation are refused.
 *
 * @out's bytes live in @arena. Errors: TZ_E_VALUE (field label, input, reason), TZ_E_TOO_LONG. NFC by utf8proc.
 */
TZ_MUST_USE int tz_value_parse(const struct tz_field *f, const char *input, struct tz_arena *arena,
                               struct tz_value *out, struct tz_err *err);

/**
 * Is @v a canonical value of @f? The server asks this of every value a peer sends; nothing is repaired. Enum codes not
 * in the catalogue are accepted only when @known_enums_only is false. TZ_E_VALUE / TZ_E_TOO_LONG / TZ_E_FORMAT.
 */
TZ_MUST_USE int tz_value_check(const struct tz_field *f, struct tz_value v, bool known_enums_only, struct tz_err *err);

/**
 * For people: enum labels in @lang with the code behind it ("非公企业 enterprise" when @with_code), dates as stored,
 * money in 元, bool 是/否, refs as hex. NULL prints "". Appends to @out; TZ_E_LIMIT when full.
 */
TZ_MUST_USE int tz_value_print(const struct tz_field *f, struct tz_value v, enum tz_lang lang, bool with_code,
                               struct tz_buf *out);

/** Canonical JSON of one value as the dump prints it (text escaped per RFC 8785, blobs as hex, set/refs/json verbatim).
 */
TZ_MUST_USE int tz_value_json(const struct tz_field *f, struct tz_value v, struct tz_buf *out);
/** RFC 8785 string with quotes. @n bytes of valid UTF-8. */
TZ_MUST_USE int tz_json_string(struct tz_buf *out, const void *p, size_t n);

/** Names compare after this: NFC, full-width ASCII → half-width, brackets unified, spaces removed. Result in @a; NULL
 * if full. */
char *tz_name_fold(struct tz_arena *a, struct tz_value name);

/**
 * First day a date value may mean, as a comparable number, and its precision (4, 7 or 10 characters); NULL gives 0, 0.
 * "A year or month counts as its first day, ties go to the finer precision" (merge rules, groups).
 */
void tz_date_key(struct tz_value date, uint32_t *yyyymmdd, unsigned *precision);

#endif
