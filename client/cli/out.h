/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_OUT_H
#define TZ_OUT_H

/*
 * What the program says: data on stdout, everything else on stderr; text in the person's language, or JSON. One thread.
 */

#include "err.h"

#include <jansson.h>

/** Before anything else; decides language and form for all functions here. */
void out_init(enum tz_lang lang, bool json);
bool out_json_mode(void);
enum tz_lang out_lang(void);

/** The text of the person's language. Both must take the same printf arguments. */
const char *tr(const char *zh, const char *en) __attribute__((format_arg(1), format_arg(2)));

/** A line on stderr. */
void out_note(const char *fmt, ...) TZ_PRINTF(1, 2);
/** A line on stderr that starts with 注意 / Warning. */
void out_warn(const char *fmt, ...) TZ_PRINTF(1, 2);
/**
 * Print the sentence, its symbol, the technical trail and the next step to stderr; with --json one object {"error": …}.
 * Returns the exit code of @err->code.
 */
int out_error(const struct tz_err *err);

/** One object on one line of stdout, keys in the order they were set; takes @j. NULL (out of memory) is an error. 0 or
 * TZ_E_*. */
int out_json(json_t *j);

/** Columns @s takes on a terminal; a Chinese character takes two. Damaged UTF-8 counts one per byte. */
size_t out_width(const char *s);

/** A table of text: collect cells row by row, print once with aligned columns. */
struct out_table {
    size_t ncols;
    size_t ncells, cap;
    char **cells; /* owned; the first ncols are the headings */
    bool failed;  /* out of memory: printing says so */
};
/** @headings are copied; they are the first row. */
void out_table_init(struct out_table *t, const char *const *headings, size_t ncols);
/** Next cell (copied; NULL is empty); after ncols of them a new row starts. Control characters become spaces. */
void out_table_cell(struct out_table *t, const char *text);
/** To stdout; nothing when there are no rows. Frees. 0 or TZ_E_NOMEM. */
int out_table_print(struct out_table *t);

/**
 * A progress line on stderr: only on a terminal, only after one second, at most ten times a second. Zero-initialise
 * with out_progress_start.
 */
struct out_progress {
    int64_t started_ms, drawn_ms;
    bool tty, drawn;
    char label[96];
};
void out_progress_start(struct out_progress *p, const char *label);
/** @total 0: unknown. */
void out_progress_step(struct out_progress *p, uint64_t done, uint64_t total);
/** Takes the line off the screen. */
void out_progress_end(struct out_progress *p);

/** "2017-03-05 14:03" at UTC+8 for a wall time in ms. Returns @out. */
const char *out_time(int64_t wall_ms, char *out, size_t out_bytes);

#endif
