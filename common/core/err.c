/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors as values. The table comes from errors.def; nothing else in the program knows a number or a sentence.
 *
 * 1. A tz_err holds no pointers: arguments are copied, and cut at a character boundary when they are too long.
 * 2. Sentences are filled in here and only here, so that a peer can send number and arguments and never prose.
 *
 * Not here: logging (log.c), and the mapping of library codes, which belongs to the file that talks to the library.
 */
#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "utf8.h"

static const struct tz_err_info infos[] = {
#define TZ_ERROR(name, number, code, cls, exit, zh, en, next_zh, next_en) \
    {TZ_E_##name, code, TZ_ERR_##cls, exit, {zh, en}, {next_zh, next_en}},
#include "errors.def"
#undef TZ_ERROR
};

static const struct tz_err_info *info_find(int code)
{
    for (size_t i = 0; i < sizeof infos / sizeof infos[0]; i++)
        if (infos[i].code == code)
            return &infos[i];
    return NULL;
}

const struct tz_err_info *tz_err_info(int code)
{
    const struct tz_err_info *info = info_find(code);
    return info ? info : info_find(TZ_E_INTERNAL);
}

bool tz_err_known(int code)
{
    return info_find(code) != NULL;
}

/* Copy at most out_bytes - 1 bytes of @s, whole characters only. */
static size_t copy_cut(char *out, size_t out_bytes, const char *s, size_t n)
{
    if (n >= out_bytes)
        n = tz_utf8_cut(s, out_bytes - 1);
    memcpy(out, s, n);
    out[n] = '\0';
    return n;
}

/* vsnprintf cuts bytes, not characters: drop what it left of a half character. */
static void format_cut(char *out, size_t out_bytes, int wanted)
{
    if (wanted < 0)
        out[0] = '\0';
    else if ((size_t)wanted >= out_bytes)
        out[tz_utf8_cut(out, out_bytes - 1)] = '\0';
}

int tz_err_set(struct tz_err *err, int code, const char *arg1, const char *arg2, const char *arg3, const char *arg4)
{
    if (!err)
        return code;
    const char *args[TZ_ERR_ARGS_MAX] = {arg1, arg2, arg3, arg4};
    struct tz_err fresh = {.code = code}; /* the arguments may point into *err */
    while (fresh.nargs < TZ_ERR_ARGS_MAX && args[fresh.nargs]) {
        const char *arg = args[fresh.nargs];
        copy_cut(fresh.args[fresh.nargs], TZ_ERR_ARG_BYTES, arg, strlen(arg));
        fresh.nargs++;
    }
    *err = fresh;
    return code;
}

int tz_err_setf(struct tz_err *err, int code, const char *fmt, ...)
{
    if (!err)
        return code;
    char arg[TZ_ERR_ARG_BYTES];
    va_list ap;
    va_start(ap, fmt);
    int wanted = vsnprintf(arg, sizeof arg, fmt, ap);
    va_end(ap);
    format_cut(arg, sizeof arg, wanted);
    return tz_err_set(err, code, arg, NULL, NULL, NULL);
}

int tz_err_prefix(struct tz_err *err, const char *fmt, ...)
{
    if (!err)
        return TZ_E_INTERNAL;
    char trail[TZ_ERR_TRAIL_BYTES];
    va_list ap;
    va_start(ap, fmt);
    int wanted = vsnprintf(trail, sizeof trail, fmt, ap);
    va_end(ap);
    format_cut(trail, sizeof trail, wanted);
    size_t n = strlen(trail);
    if (err->trail[0] != '\0') { /* the innermost entry stands without a colon */
        n += copy_cut(trail + n, sizeof trail - n, ": ", 2);
        n += copy_cut(trail + n, sizeof trail - n, err->trail, strlen(err->trail));
    }
    memcpy(err->trail, trail, n + 1);
    return err->code;
}

/* The argument that "{k}" at @s stands for, or NULL when @s is plain text. */
static const char *placeholder(const struct tz_err *err, const char *s)
{
    if (s[0] != '{' || s[1] < '1' || s[1] > '0' + TZ_ERR_ARGS_MAX || s[2] != '}')
        return NULL;
    unsigned k = (unsigned)(s[1] - '1');
    return err && k < err->nargs ? err->args[k] : "?";
}

/** The sentence @s with the arguments of @err in its places. */
static const char *fill_in(const struct tz_err *err, const char *s, char *out, size_t out_bytes)
{
    if (out_bytes == 0)
        return "";
    size_t n = 0;
    out[0] = '\0';
    while (*s != '\0' && n + 1 < out_bytes) {
        const char *arg = placeholder(err, s);
        const char *piece = arg ? arg : s;
        size_t piece_bytes = arg ? strlen(arg) : 1 + strcspn(s + 1, "{");
        s += arg ? 3 : piece_bytes;
        size_t copied = copy_cut(out + n, out_bytes - n, piece, piece_bytes);
        n += copied;
        if (copied < piece_bytes)
            break;
    }
    return out;
}

const char *tz_err_text(const struct tz_err *err, enum tz_lang lang, char *out, size_t out_bytes)
{
    return fill_in(err, tz_err_info(err ? err->code : TZ_E_INTERNAL)->text[lang], out, out_bytes);
}

const char *tz_err_next(const struct tz_err *err, enum tz_lang lang, char *out, size_t out_bytes)
{
    return fill_in(err, tz_err_info(err ? err->code : TZ_E_INTERNAL)->next[lang], out, out_bytes);
}
