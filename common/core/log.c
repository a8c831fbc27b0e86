/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line per event, made in a buffer on the stack and written by one call, so that lines of several threads do not
 * mix and a lack of memory can still be logged.
 *
 * 1. A line never holds a control character, whatever the caller passed: the fields are escaped as a last resort.
 * Callers still quote values, or a peer could add keys of its own.
 * 2. A line that does not fit ends in "...".
 *
 * No files, no rotation, no time stamps: the service manager keeps the journal and stamps it.
 */
#include "log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "utf8.h"

enum { LOG_LINE_BYTES = 1024, LOG_ESCAPE_BYTES = 4, LOG_CHAR_BYTES = 4 * LOG_ESCAPE_BYTES };

static _Atomic enum tz_log_level level_max = TZ_LOG_INFO;
static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the next two */
static void (*sink_fn)(void *ctx, enum tz_log_level level, const char *line);
static void *sink_ctx;

void tz_log_level_set(enum tz_log_level max)
{
    atomic_store_explicit(&level_max, max, memory_order_relaxed);
}

void tz_log_sink_set(void (*sink)(void *ctx, enum tz_log_level level, const char *line), void *ctx)
{
    pthread_mutex_lock(&sink_lock);
    sink_fn = sink;
    sink_ctx = ctx;
    pthread_mutex_unlock(&sink_lock);
}

static const char *level_name(enum tz_log_level level)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    return names[level];
}

/* Characters that would move the cursor, reorder the line or end it in a terminal or a log viewer. */
static bool disrupts(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7F && cp < 0xA0) || cp == 0x200E || cp == 0x200F || (cp >= 0x2028 && cp <= 0x202E) ||
           (cp >= 0x2066 && cp <= 0x2069);
}

/* Append the @n bytes at @s as \xNN. */
static size_t put_escaped(char *out, const char *s, size_t n)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < n; i++) {
        uint8_t c = (uint8_t)s[i];
        memcpy(out + i * LOG_ESCAPE_BYTES, (const char[]){'\\', 'x', hex[c >> 4], hex[c & 15]}, LOG_ESCAPE_BYTES);
    }
    return n * LOG_ESCAPE_BYTES;
}

/*
 * Append the character at *@s to @out, escaped when it must be; moves *@s past it. @quoted also escapes what ends a
 * quoted value. Writes at most LOG_CHAR_BYTES.
 */
static size_t put_char(char *out, const char **s, size_t n, bool quoted)
{
    uint32_t cp = 0;
    size_t step = tz_utf8_next((const uint8_t *)*s, n, &cp);
    const char *at = *s;
    *s += step > 0 ? step : 1;
    if (step == 0 || disrupts(cp) || (quoted && (cp == '"' || cp == '\\')))
        return put_escaped(out, at, step > 0 ? step : 1);
    memcpy(out, at, step);
    return step;
}

static void line_out(enum tz_log_level level, char *line, size_t n)
{
    pthread_mutex_lock(&sink_lock);
    void (*sink)(void *, enum tz_log_level, const char *) = sink_fn;
    void *ctx = sink_ctx;
    pthread_mutex_unlock(&sink_lock);
    if (sink) {
        sink(ctx, level, line); /* outside the lock: a sink may log */
        return;
    }
    line[n] = '\n';
    ssize_t written = write(STDERR_FILENO, line, n + 1);
    (void)written; /* nowhere left to complain */
}

void tz_log(enum tz_log_level level, const char *subsystem, const char *event, const char *fmt, ...)
{
    if (level > atomic_load_explicit(&level_max, memory_order_relaxed))
        return;
    char raw[LOG_LINE_BYTES];
    int head = snprintf(raw, sizeof raw, "%s %s %s", level_name(level), subsystem, event);
    if (head < 0 || (size_t)head + 1 >= sizeof raw)
        return; /* subsystem and event are literals */
    size_t n = (size_t)head;
    raw[n++] = ' ';
    raw[n] = '\0';
    int wanted = 0;
    if (fmt) {
        va_list ap;
        va_start(ap, fmt);
        wanted = vsnprintf(raw + n, sizeof raw - n, fmt, ap);
        va_end(ap);
    }
    size_t raw_bytes = strlen(raw);
    bool cut = wanted >= 0 && (size_t)wanted >= sizeof raw - n;
    if (cut)
        raw_bytes = tz_utf8_cut(raw, raw_bytes);
    if (raw_bytes == n)
        raw_bytes--; /* no fields: no space */

    char line[LOG_LINE_BYTES + LOG_CHAR_BYTES + sizeof "...\n"];
    size_t len = 0;
    const char *s = raw;
    while (s < raw + raw_bytes && len < LOG_LINE_BYTES)
        len += put_char(line + len, &s, (size_t)(raw + raw_bytes - s), false);
    if (cut || s < raw + raw_bytes) {
        memcpy(line + len, "...", 3);
        len += 3;
    }
    line[len] = '\0';
    line_out(level, line, len);
}

static bool is_plain(const char *s)
{
    if (*s == '\0')
        return false;
    for (; *s != '\0'; s++)
        if (*s <= ' ' || *s > '~' || *s == '"' || *s == '\\' || *s == '=')
            return false;
    return true;
}

const char *tz_log_quote(const char *s, char *out, size_t out_bytes)
{
    size_t n = strlen(s);
    if (out_bytes < 3) /* no room for a pair of quotes */
        return "\"\"";
    if (is_plain(s) && n < out_bytes) {
        memcpy(out, s, n + 1);
        return out;
    }
    size_t len = 0;
    out[len++] = '"';
    for (const char *end = s + n; s < end;) {
        char piece[LOG_CHAR_BYTES];
        size_t piece_bytes = put_char(piece, &s, (size_t)(end - s), true);
        if (piece_bytes > out_bytes - 2 - len)
            break;
        memcpy(out + len, piece, piece_bytes);
        len += piece_bytes;
    }
    out[len++] = '"';
    out[len] = '\0';
    return out;
}
