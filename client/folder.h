/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_FOLDER_H
#define TZ_FOLDER_H

/*
 * The data folder of a client (mode 0700) and the files in it. Blocking file work; never on a loop thread while
 * sessions run.
 *
 *   office.db    the replica and the outbox
 *   device.key   the private key, 0600, kept whatever happens to a join
 *   device.crt   ca.crt   server.pin     what the server said at enrolment
 *   sync.lock    locked by whoever holds sessions with the server
 *   agent.sock   the running agent's control socket
 */

#include "buf.h"
#include "office.h"

#include <limits.h>

#define TZ_FOLDER_DB "office.db"
#define TZ_FOLDER_KEY "device.key"
#define TZ_FOLDER_CERT "device.crt"
#define TZ_FOLDER_CA "ca.crt"
#define TZ_FOLDER_PIN "server.pin"
#define TZ_FOLDER_REVOKED "revoked"
#define TZ_FOLDER_IMPORTS "imports"
#define TZ_FOLDER_LEASE "sync.lock"
#define TZ_FOLDER_SOCKET "agent.sock"

/** "DIR/NAME" into @out of PATH_MAX. TZ_E_LIMIT. */
TZ_MUST_USE int tz_folder_path(const char *dir, const char *name, char out[PATH_MAX], struct tz_err *err);
/** Make the folder (its parent must exist) with mode 0700; an existing one is fine. TZ_E_IO. */
TZ_MUST_USE int tz_folder_make(const char *dir, struct tz_err *err);
/** Append the file to @out. TZ_E_NOT_FOUND when it is not there, TZ_E_IO, TZ_E_LIMIT. */
TZ_MUST_USE int tz_folder_read(const char *dir, const char *name, struct tz_buf *out, struct tz_err *err);
/** Replace the file: whole or not at all, durable when it returns 0. TZ_E_IO, TZ_E_DISK_FULL. */
TZ_MUST_USE int tz_folder_write(const char *dir, const char *name, struct tz_bytes text, struct tz_err *err);
/** Make the names in a folder durable. TZ_E_IO. */
TZ_MUST_USE int tz_folder_sync(const char *dir, struct tz_err *err);
/** Open the office. TZ_E_NOT_ENROLLED when the folder has not joined, else as tz_office_open. */
TZ_MUST_USE int tz_folder_office(const char *dir, const struct tz_catalogue *catalogue, struct tz_office **out,
                                 struct tz_err *err);
/**
 * The same with nobody else at the database: for a moment's reading when the disk has no room left even for SQLite's
 * -shm file. Everybody else waits meanwhile, so never for long.
 */
TZ_MUST_USE int tz_folder_office_alone(const char *dir, const struct tz_catalogue *catalogue, struct tz_office **out,
                                       struct tz_err *err);
/** System clocks and generator, @catalogue borrowed. */
struct tz_office_options tz_folder_office_options(const struct tz_catalogue *catalogue);
/** Take the sync lease without waiting. TZ_E_LEASE when another program holds it; it falls with the process. */
TZ_MUST_USE int tz_folder_lease(const char *dir, int *fd, struct tz_err *err);
/**
 * The device is shut out and everything was handed in: the folder is emptied, the keys last. @saves: how many saves the
 * server took, kept for whoever asks later. May be called again; whoever opens the folder finishes what was begun, and
 * is told TZ_E_WIPED.
 */
TZ_MUST_USE int tz_folder_erase(const char *dir, const char *saves, struct tz_err *err);
/** Somebody joins anew here: what tells of the revoked device goes. Nothing when there is none. */
TZ_MUST_USE int tz_folder_forget_revoked(const char *dir, struct tz_err *err);
/** -1 is allowed. */
void tz_folder_lease_release(int fd);

#endif
