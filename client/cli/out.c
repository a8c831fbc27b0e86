/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text and JSON output. Data goes to stdout and nothing else does, so that pipes stay clean; sentences and progress go
 * to stderr. Widths follow Unicode East Asian Width through utf8proc, as terminals do. Knows no records: commands
 * decide what to print.
 */
#include "out.h"
#include "clock.h"
#include "grow.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <utf8proc.h>

enum { PROGRESS_AFTER_MS = 1000, PROGRESS_EVERY_MS = 100, BAR_COLUMNS = 30, UTC8_SECONDS = 8 * 3600 };

static enum tz_lang lang;
static bool json_mode;

void out_init(enum tz_lang l, bool json)
{
    lang = l;
    json_mode = json;
}

bool out_json_mode(void)
{
    return json_mode;
}

enum tz_lang out_lang(void)
{
    return lang;
}

const char *tr(const char *zh, const char *en)
{
    return lang == TZ_LANG_ZH ? zh : en;
}

void out_note(const char *fmt, ...)
{
    va_list ap;
    (void)fflush(stdout); /* the order on a terminal is the order it was said in */
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fputc('\n', stderr);
}

void out_warn(const char *fmt, ...)
{
    va_list ap;
    (void)fflush(stdout);
    (void)fputs(tr("注意：", "Warning: "), stderr);
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fputc('\n', stderr);
}

static void error_json(const struct tz_err *err, const struct tz_err_info *info, const char *text, const char *next)
{
    json_t *j = json_pack("{s:{s:s, s:s, s:s, s:s, s:i}}", "error", "code", info->symbol, "text", text, "next", next,
                          "detail", err->trail, "exit", info->exit_code);
    if (j == NULL) /* text that is not UTF-8, or no memory */
        j = json_pack("{s:{s:s, s:i}}", "error", "code", info->symbol, "exit", info->exit_code);
    if (j != NULL)
        (void)json_dumpf(j, stderr, JSON_COMPACT);
    (void)fputc('\n', stderr);
    json_decref(j);
}

int out_error(const struct tz_err *err)
{
    char text[1024];
    char next[512];
    const struct tz_err_info *info = tz_err_info(err->code);
    (void)tz_err_text(err, lang, text, sizeof text);
    (void)tz_err_next(err, lang, next, sizeof next);
    (void)fflush(stdout);
    if (json_mode) {
        error_json(err, info, text, next);
        return info->exit_code;
    }
    (void)fprintf(stderr, "%s [%s]\n", text, info->symbol);
    if (err->trail[0] != '\0')
        (void)fprintf(stderr, tr("  细节：%s\n", "  detail: %s\n"), err->trail);
    if (next[0] != '\0')
        (void)fprintf(stderr, tr("  下一步：%s\n", "  next: %s\n"), next);
    return info->exit_code;
}

int out_json(json_t *j)
{
    if (j == NULL)
        return TZ_E_NOMEM;
    int rc = json_dumpf(j, stdout, JSON_COMPACT);
    if (rc == 0 && fputc('\n', stdout) == EOF)
        rc = -1;
    json_decref(j);
    return rc == 0 ? 0 : TZ_E_IO;
}

size_t out_width(const char *s)
{
    size_t width = 0;
    const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)s;
    while (*p != 0) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate(p, -1, &c);
        if (n <= 0) {
            width++;
            p++;
            continue;
        }
        width += (size_t)utf8proc_charwidth(c);
        p += n;
    }
    return width;
}

/* ---- tables ---- */

void out_table_init(struct out_table *t, const char *const *headings, size_t ncols)
{
    *t = (struct out_table){.ncols = ncols};
    for (size_t i = 0; i < ncols; i++)
        out_table_cell(t, headings[i]);
}

void out_table_cell(struct out_table *t, const char *text)
{
    if (t->failed)
        return;
    char **cells = tz_grow(t->cells, t->ncells, &t->cap, 64, sizeof *cells);
    t->failed = cells == NULL;
    if (t->failed)
        return;
    t->cells = cells;
    char *copy = strdup(text == NULL ? "" : text);
    t->failed = copy == NULL;
    if (copy == NULL)
        return;
    for (char *p = copy; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F)
            *p = ' ';
    t->cells[t->ncells++] = copy;
}

static size_t column_width(const struct out_table *t, size_t col)
{
    size_t width = 0;
    for (size_t i = col; i < t->ncells; i += t->ncols) {
        size_t w = out_width(t->cells[i]);
        if (w > width)
            width = w;
    }
    return width;
}

static void print_cell(const char *text, size_t width, bool last)
{
    (void)fputs(text, stdout);
    if (last) {
        (void)fputc('\n', stdout); /* no trailing blanks */
        return;
    }
    for (size_t w = out_width(text); w < width + 2; w++)
        (void)fputc(' ', stdout);
}

int out_table_print(struct out_table *t)
{
    size_t *widths = calloc(t->ncols + 1, sizeof *widths);
    int rc = t->failed || widths == NULL ? TZ_E_NOMEM : 0;
    for (size_t i = 0; rc == 0 && i < t->ncols; i++)
        widths[i] = column_width(t, i);
    if (rc == 0 && t->ncells > t->ncols)
        for (size_t i = 0; i < t->ncells; i++)
            print_cell(t->cells[i], widths[i % t->ncols], i % t->ncols == t->ncols - 1);
    for (size_t i = 0; i < t->ncells; i++)
        free(t->cells[i]);
    free(t->cells);
    free(widths);
    *t = (struct out_table){0};
    return rc;
}

/* ---- progress ---- */

void out_progress_start(struct out_progress *p, const char *label)
{
    *p = (struct out_progress){.started_ms = tz_clock_mono(&tz_clock_system).ms, .tty = isatty(STDERR_FILENO) == 1};
    (void)snprintf(p->label, sizeof p->label, "%s", label);
}

void out_progress_step(struct out_progress *p, uint64_t done, uint64_t total)
{
    int64_t now = tz_clock_mono(&tz_clock_system).ms;
    if (!p->tty || json_mode || now - p->started_ms < PROGRESS_AFTER_MS || now - p->drawn_ms < PROGRESS_EVERY_MS)
        return;
    p->drawn_ms = now;
    p->drawn = true;
    if (total == 0) {
        (void)fprintf(stderr, "\r\033[K%s %" PRIu64, p->label, done);
        return;
    }
    char bar[BAR_COLUMNS + 1];
    size_t full = done >= total ? BAR_COLUMNS : (size_t)((double)done / (double)total * BAR_COLUMNS);
    memset(bar, '.', BAR_COLUMNS);
    memset(bar, '#', full);
    bar[BAR_COLUMNS] = '\0';
    (void)fprintf(stderr, "\r\033[K%s [%s] %" PRIu64 "/%" PRIu64, p->label, bar, done, total);
}

void out_progress_end(struct out_progress *p)
{
    if (p->drawn)
        (void)fputs("\r\033[K", stderr);
    p->drawn = false;
}

const char *out_time(int64_t wall_ms, char *out, size_t out_bytes)
{
    struct tm tm;
    time_t t = (time_t)(wall_ms / 1000 + UTC8_SECONDS);
    if (gmtime_r(&t, &tm) == NULL || strftime(out, out_bytes, "%Y-%m-%d %H:%M", &tm) == 0)
        (void)snprintf(out, out_bytes, "%" PRId64, wall_ms);
    return out;
}
