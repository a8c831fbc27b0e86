/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_MEMVFS_H
#define TZ_MEMVFS_H

/*
 * Disks in memory for SQLite: what a power cut loses, a full disk, failing writes; no real I/O, no time, nothing random
 * but what is injected. For tests and the simulator.
 *
 * Use: tz_memvfs_register() once; tz_memdisk_new(); open tz_memdisk_path(disk, "office.db") with
 * struct tz_db_options {.vfs = TZ_MEMVFS_NAME, .exclusive = true}. The files have no shared memory (I/O methods version
 * 1), so WAL needs locking_mode=EXCLUSIVE, set before the first read: one connection per database at a time; a second
 * one gets SQLITE_BUSY. All of it belongs to one thread.
 *
 * What is on the medium: a file's content at its last sync. Everything later is unsynced: per 512-byte sector, the
 * size, and the directory entry of created and deleted files. A file's sync makes its own entry durable; the first sync
 * of a new WAL or journal, and a delete with directory sync, make all entries durable, as SQLite's unix VFS does. A
 * sector keeps the bytes that a write does not touch (POWERSAFE_OVERWRITE, as on Linux).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TZ_MEMVFS_NAME "tzmem"

struct tz_memdisk;

/** 32 random bits. */
typedef uint32_t (*tz_memrandom_fn)(void *ctx);

/** Register the VFS (not as default); again does nothing. */
void tz_memvfs_register(void);
/** Seed SQLite's own generator (WAL salts, random()) and this VFS's: the same seed and calls give the same bytes. */
void tz_memvfs_seed(uint32_t seed);
/** What SQLite takes for the time, milliseconds since 1970 UTC. */
void tz_memvfs_time_set(int64_t wall_ms);

struct tz_memdisk *tz_memdisk_new(void);
/** NULL is fine. Its files must be closed. */
void tz_memdisk_free(struct tz_memdisk *d);
/** A new disk with the same files, all durable; content is shared until one of them writes. Knobs are not copied. */
struct tz_memdisk *tz_memdisk_clone(const struct tz_memdisk *src);
/** Put @src's file (durable) in place of @d's; without one in @src the file is removed. It must not be open on @d. */
void tz_memdisk_copy_file(struct tz_memdisk *d, const struct tz_memdisk *src, const char *name);
/** Path to give to SQLite. Returns @out. */
const char *tz_memdisk_path(const struct tz_memdisk *d, const char *name, char *out, size_t out_bytes);
/** Write the disk's files into a real folder, as they are now: "server.db-wal" becomes "@stem.db-wal". 0, -1: errno. */
int tz_memdisk_save(const struct tz_memdisk *d, const char *folder, const char *stem);
/** Size of a file, -1 when there is none. */
int64_t tz_memdisk_size(const struct tz_memdisk *d, const char *name);

/**
 * Power cut and restart: of everything unsynced each sector is kept, lost or torn, sizes and directory entries are old,
 * new or (of what grew) between, as @random says. Open files fail from now on with SQLITE_IOERR and can only be closed;
 * knobs except the capacity are cleared. What survives is durable.
 */
void tz_memdisk_crash(struct tz_memdisk *d, tz_memrandom_fn random, void *ctx);
/** The process died, the machine did not: open files fail from now on, nothing is lost. Knobs stay. */
void tz_memdisk_kill(struct tz_memdisk *d);

enum tz_memdisk_op {
    TZ_MEMDISK_WRITE = 1,
    TZ_MEMDISK_SYNC = 2,
    TZ_MEMDISK_TRUNCATE = 4,
    TZ_MEMDISK_DELETE = 8,
    TZ_MEMDISK_ANY = 15,
};
/** Operations of the kinds in @mask since the disk was made. */
uint64_t tz_memdisk_ops(const struct tz_memdisk *d, unsigned mask);
/** The @k-th operation (1 = the next) of the kinds in @mask fails with @sqlite_rc and does nothing; k 0 clears. */
void tz_memdisk_fail_at(struct tz_memdisk *d, unsigned mask, uint64_t k, int sqlite_rc);
/**
 * At the @k-th operation of the kinds in @mask the power goes: it may have reached the medium in part, and it and all
 * later operations fail with SQLITE_IOERR until tz_memdisk_crash. k 0 clears.
 */
void tz_memdisk_crash_at(struct tz_memdisk *d, unsigned mask, uint64_t k);
/** Has the power gone, so that tz_memdisk_crash is due? */
bool tz_memdisk_is_off(const struct tz_memdisk *d);
/** Growing the sum of all files past @bytes gives SQLITE_FULL; 0 = no limit. */
void tz_memdisk_capacity_set(struct tz_memdisk *d, uint64_t bytes);

#endif
