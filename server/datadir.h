/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_DATADIR_H
#define TZ_DATADIR_H

/*
 * The server's data folder: where its files are, and the lock that says who may write.
 *
 *   server.db  journal  ca.key ca.crt  server.key server.crt  taizhangd.ini  lock  control.sock  backups/
 */

#include "buf.h"

#include <limits.h>

enum { TZ_FILE_BYTES_MAX = 64 * 1024 };

struct tz_datadir {
    char path[PATH_MAX];
    int lock; /**< -1 = not held */
};

/** Remember the path. TZ_E_IO when it is too long. Nothing is opened. */
TZ_MUST_USE int tz_datadir_init(struct tz_datadir *d, const char *path, struct tz_err *err);
/** Release the lock if held. */
void tz_datadir_deinit(struct tz_datadir *d);
/** "<folder>/<name>". Returns @out. Paths that do not fit are cut and then not found. */
const char *tz_datadir_file(const struct tz_datadir *d, const char *name, char out[PATH_MAX]);
bool tz_datadir_has(const struct tz_datadir *d, const char *name);

/** The one writer's lock; waits up to @wait_ms for it. TZ_E_DB_BUSY, TZ_E_DB_MISSING (no such folder), TZ_E_IO. */
TZ_MUST_USE int tz_datadir_lock(struct tz_datadir *d, unsigned wait_ms, struct tz_err *err);

/** Read a small file. TZ_E_IO, TZ_E_LIMIT. @out is initialised here and the caller's to deinit, also on error. */
TZ_MUST_USE int tz_datadir_read(const struct tz_datadir *d, const char *name, struct tz_buf *out, struct tz_err *err);
/** Make what was created, renamed or removed in the folder durable. TZ_E_IO. */
TZ_MUST_USE int tz_datadir_sync(const struct tz_datadir *d, struct tz_err *err);
/** Make a file that is not there yet, durably. @mode as open(2). TZ_E_DATA_EXISTS, TZ_E_IO. */
TZ_MUST_USE int tz_datadir_write_new(const struct tz_datadir *d, const char *name, unsigned mode, struct tz_bytes text,
                                     struct tz_err *err);

#endif
