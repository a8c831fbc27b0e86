/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_LOG_H
#define TZ_LOG_H

/*
 * Log lines: "level subsystem event key=value …" on one line, to stderr. Text from peers is escaped; record contents
 * and secrets never appear. Log where an error is handled, once. Any thread (one write per line).
 */

#include "err.h"

enum tz_log_level { TZ_LOG_ERROR, TZ_LOG_WARN, TZ_LOG_INFO, TZ_LOG_DEBUG };

/** Lines above @max are dropped. Default TZ_LOG_INFO. */
void tz_log_level_set(enum tz_log_level max);
/** Replace the sink (tests); NULL restores stderr. @line has no newline. */
void tz_log_sink_set(void (*sink)(void *ctx, enum tz_log_level level, const char *line), void *ctx);

/**
 * @fmt gives "key=value key2=value2"; NULL or "" for none (gcc warns about a literal ""). Values with spaces, quotes or
 * controls go through tz_log_quote.
 */
void tz_log(enum tz_log_level level, const char *subsystem, const char *event, const char *fmt, ...) TZ_PRINTF(4, 5);
/** Quote for a value: "plain" stays, anything else becomes "\"…\"" with \xNN escapes; truncated to fit. Returns @out.
 */
const char *tz_log_quote(const char *s, char *out, size_t out_bytes);

#endif
