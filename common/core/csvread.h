/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_CSVREAD_H
#define TZ_CSVREAD_H

/*
 * RFC 4180 rows from bytes that arrive in pieces. Strict: a quote inside an unquoted field, text after a closing quote
 * and an unclosed quote are errors. Spaces belong to the field. CRLF, LF and CR end a row, empty lines are skipped, a
 * UTF-8 byte order mark at the start is dropped. Bytes are passed on as they are: the caller judges their encoding.
 * Every size has a cap that is compared while reading, so memory stays below row_bytes_max plus a few kilobytes
 * whatever comes. One owner, any thread.
 */

#include "buf.h"

struct tz_csv_limits {
    size_t fields_max;      /**< fields in one row */
    size_t field_bytes_max; /**< bytes of one field */
    size_t row_bytes_max;   /**< bytes of all fields of one row, one more per field counted */
};

/**
 * One row. @line is the line on which the row starts (1-based, lines end at LF); @fields are borrowed for the call, and
 * each is followed by a NUL byte that is not part of it. A result other than 0 ends the reading and is handed back to
 * the caller.
 */
typedef int (*tz_csv_row_cb)(void *ctx, size_t line, const struct tz_bytes *fields, size_t nfields);

/** Where reading stopped: the line, and the 1-based column number, 0 when it is about the row as a whole. */
struct tz_csv_pos {
    size_t line;
    size_t column;
};

struct tz_csv_reader;

/** NULL when out of memory. @ctx is handed to @row_cb and must outlive the reader. */
struct tz_csv_reader *tz_csv_reader_new(const struct tz_csv_limits *limits, tz_csv_row_cb row_cb, void *ctx);
/** Accepts NULL. */
void tz_csv_reader_free(struct tz_csv_reader *r);
/** Take in the next piece. TZ_E_FORMAT (quoting), TZ_E_LIMIT, TZ_E_NOMEM, or the callback's result; the reader is then
 * dead. */
TZ_MUST_USE int tz_csv_reader_feed(struct tz_csv_reader *r, struct tz_bytes in);
/** The end of the input; the last row need not end in a line break. Errors as above. */
TZ_MUST_USE int tz_csv_reader_end(struct tz_csv_reader *r);
struct tz_csv_pos tz_csv_reader_pos(const struct tz_csv_reader *r);

/** The whole of @text at once. @pos (may be NULL) tells where it stopped. */
TZ_MUST_USE int tz_csv_read(struct tz_bytes text, const struct tz_csv_limits *limits, tz_csv_row_cb row_cb, void *ctx,
                            struct tz_csv_pos *pos);

#endif
