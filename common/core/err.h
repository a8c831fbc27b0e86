/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_ERR_H
#define TZ_ERR_H

/*
 * Errors: stable codes with a class to act on, and a fixed-size text for people.
 *
 * Functions return 0 or a negative TZ_E_* value. Where a person will read it, a `struct tz_err *` collects the
 * arguments of the code's sentence and a technical trail; each level that knows more adds a prefix. All functions here
 * are pure, any thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TZ_MUST_USE __attribute__((warn_unused_result))
#define TZ_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

enum tz_err_code {
#define TZ_ERROR(name, number, code, cls, exit, zh, en, next_zh, next_en) TZ_E_##name = -(number),
#include "errors.def"
#undef TZ_ERROR
};

enum tz_err_class { TZ_ERR_RETRY, TZ_ERR_PEER, TZ_ERR_LOCAL, TZ_ERR_USAGE };

enum tz_lang { TZ_LANG_ZH, TZ_LANG_EN };

enum { TZ_ERR_ARGS_MAX = 4, TZ_ERR_ARG_BYTES = 128, TZ_ERR_TRAIL_BYTES = 320 };

/** An error with what a person needs to know. Zero-initialise; holds no pointers, may be copied. */
struct tz_err {
    int code; /**< 0 or TZ_E_* */
    unsigned nargs;
    char args[TZ_ERR_ARGS_MAX][TZ_ERR_ARG_BYTES]; /**< arguments {1}..{4} of the code's sentence, UTF-8 */
    char trail[TZ_ERR_TRAIL_BYTES]; /**< technical trail, outermost first: "open replica: migrate 4: …" */
};

/** What is known about a code; never NULL (unknown codes give the entry of TZ_E_INTERNAL). Static storage. */
struct tz_err_info {
    int code;
    const char *symbol; /**< "TZ-PUSH-012" */
    enum tz_err_class cls;
    int exit_code;
    const char *text[2]; /**< by enum tz_lang, with {1}..{4} */
    const char *next[2]; /**< the next step, by enum tz_lang */
};
const struct tz_err_info *tz_err_info(int code);
bool tz_err_known(int code);

/** Set @err (may be NULL) to @code with up to four arguments (NULL ends them). Clears the trail. Returns @code. */
int tz_err_set(struct tz_err *err, int code, const char *arg1, const char *arg2, const char *arg3, const char *arg4);
/** Same, one formatted argument. */
int tz_err_setf(struct tz_err *err, int code, const char *fmt, ...) TZ_PRINTF(3, 4);
/** Put "@fmt…: " in front of the trail (no colon before an empty one); returns err->code (or TZ_E_INTERNAL when @err is
 * NULL). */
int tz_err_prefix(struct tz_err *err, const char *fmt, ...) TZ_PRINTF(2, 3);
/** The sentence with its arguments filled in, without the next step. Always terminated; returns @out. */
const char *tz_err_text(const struct tz_err *err, enum tz_lang lang, char *out, size_t out_bytes);
/** The next step, likewise; "" when there is none. */
const char *tz_err_next(const struct tz_err *err, enum tz_lang lang, char *out, size_t out_bytes);

#endif
