/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_VALUE_IMPL_H
#define TZ_VALUE_IMPL_H

/*
 * Shared by the value_*.c files only. The pieces work on bytes and say in words what is wrong; value.c alone knows
 * fields and turns a reason into an error. A reason is a static string in both languages, because errors carry
 * arguments, not prose.
 */

#include "catalogue.h"

enum { TZ_JSON_DEPTH_MAX = 32, TZ_CODE_BYTES_MAX = 63 };

/** Largest integer a JSON reader keeps exactly (2^53 − 1); also the cap of every number field. */
#define TZ_NUMBER_MAX INT64_C(9007199254740991)

/* value_text.c: a multi-line text keeps line breaks and tabs, a single line drops breaks and turns tabs into spaces */

/** Valid, trimmed, NFC copy in @a with its length in characters. TZ_E_VALUE + @reason, TZ_E_LIMIT (arena). */
int tz_text_canon(struct tz_arena *a, struct tz_bytes in, bool multiline, struct tz_bytes *out, size_t *nchars,
                  const char **reason);
/** Is it what tz_text_canon would make? NULL and @nchars, or the reason why not. */
const char *tz_text_wrong(struct tz_bytes in, bool multiline, size_t *nchars);
/** Without spaces of any kind at both ends. */
struct tz_bytes tz_text_trim(struct tz_bytes s);
/** Full-width ASCII to ASCII, no spaces, trimmed, into @out (NUL-terminated). False when it does not fit or is not
 * UTF-8. */
bool tz_text_ascii(const char *in, char *out, size_t out_bytes);
/** "9.11E+17": what a spreadsheet makes of a long code. */
bool tz_text_scientific(struct tz_bytes in);
/** Letters, digits, '_', '-', '.': the alphabet of enum codes. */
bool tz_text_is_code(struct tz_bytes in);

/* value_num.c: input as tz_text_ascii leaves it */

const char *tz_num_parse(const char *s, unsigned decimals, int64_t *out);
const char *tz_date_parse(const char *s, char out[11]);
const char *tz_date_wrong(struct tz_bytes in);
/** Bytes of @s (unfolded) that are the day: all of it, but for the midnight a spreadsheet writes behind one. */
size_t tz_date_day(const char *s);
/** @s unfolded, because it may hold a space between date and time. */
const char *tz_instant_parse(const char *s, int64_t *ms);
const char *tz_instant_wrong(int64_t ms);
/** "2017-03-05 08:00:00" at UTC+8, ".123" after it when there are milliseconds. */
void tz_instant_print(int64_t ms, char out[32]);

/* value_json.c */

/** RFC 8785 form of @in appended to @out. TZ_E_VALUE + @reason, TZ_E_LIMIT, TZ_E_NOMEM. */
int tz_json_canon(struct tz_bytes in, struct tz_buf *out, const char **reason);
/** Call @cb with each string of a JSON array of strings. TZ_E_VALUE + @reason, TZ_E_NOMEM, or what @cb returned. */
int tz_json_strings(struct tz_bytes in, int (*cb)(void *ctx, struct tz_bytes s), void *ctx, const char **reason);

#endif
