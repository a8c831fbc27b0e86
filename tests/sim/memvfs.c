/* SPDX-License-Identifier: Apache-2.0
 *
 * SQLite's file and VFS methods over the disks of memdisk.c (see memvfs.h): locks, stale handles, names, the injected
 * time and randomness. What a sync or a crash means is decided there, not here.
 */
#include "memdisk.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

struct handle {
    sqlite3_file base;
    struct tz_memdisk *disk; /* NULL: a nameless file of this handle's own */
    struct memfile *file;
    unsigned epoch;
    int lock;
    bool delete_on_close;
};

static struct {
    uint64_t random;
    int64_t wall_ms;
} world = {.random = 0x9E3779B97F4A7C15u};

/* --- SQLite's file methods --- */

static struct handle *handle_of(sqlite3_file *f)
{
    return (struct handle *)f;
}

static bool is_stale(const struct handle *h)
{
    return h->disk && (h->epoch != h->disk->epoch || h->disk->off);
}

static int io_unlock(sqlite3_file *file, int level);

static int io_close(sqlite3_file *file)
{
    struct handle *h = handle_of(file);
    if (!h->disk) {
        tz_memfile_free(h->file);
        return SQLITE_OK;
    }
    h->disk->open_handles--;
    if (h->epoch == h->disk->epoch) {
        io_unlock(file, SQLITE_LOCK_NONE);
        if (h->delete_on_close)
            tz_memdisk_remove(h->disk, h->file);
    }
    return SQLITE_OK;
}

static int io_read(sqlite3_file *file, void *out, int n, sqlite3_int64 offset)
{
    struct handle *h = handle_of(file);
    if (is_stale(h))
        return SQLITE_IOERR_READ;
    const struct memfile *f = h->file;
    size_t want = (size_t)n, from = (size_t)offset;
    size_t have = from < f->size ? f->size - from : 0;
    if (have >= want) {
        memcpy(out, tz_memfile_bytes(f) + from, want);
        return SQLITE_OK;
    }
    if (have)
        memcpy(out, tz_memfile_bytes(f) + from, have);
    memset((uint8_t *)out + have, 0, want - have); /* SQLite relies on the zeros */
    return SQLITE_IOERR_SHORT_READ;
}

static int io_write(sqlite3_file *file, const void *p, int n, sqlite3_int64 offset)
{
    struct handle *h = handle_of(file);
    if (is_stale(h))
        return SQLITE_IOERR_WRITE;
    int rc = tz_memdisk_enter(h->disk, TZ_MEMDISK_WRITE);
    if (rc != SQLITE_OK)
        return rc;
    if (tz_memdisk_over_capacity(h->disk, h->file, (size_t)offset + (size_t)n))
        return SQLITE_FULL;
    tz_memfile_write(h->file, p, (size_t)n, (size_t)offset);
    return tz_memdisk_leave(h->disk);
}

static int io_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct handle *h = handle_of(file);
    if (is_stale(h))
        return SQLITE_IOERR_TRUNCATE;
    int rc = tz_memdisk_enter(h->disk, TZ_MEMDISK_TRUNCATE);
    if (rc != SQLITE_OK)
        return rc;
    tz_memfile_truncate(h->file, (size_t)size);
    return tz_memdisk_leave(h->disk);
}

static int io_sync(sqlite3_file *file, int flags)
{
    (void)flags;
    struct handle *h = handle_of(file);
    if (is_stale(h))
        return SQLITE_IOERR_FSYNC;
    int rc = tz_memdisk_enter(h->disk, TZ_MEMDISK_SYNC);
    if (rc == SQLITE_OK)
        rc = tz_memdisk_leave(h->disk); /* cut during a sync: nothing of it is certain */
    if (rc != SQLITE_OK || !h->disk)
        return rc;
    if (h->file->created && h->file->journal)
        tz_memdisk_sync_entries(h->disk);
    tz_memfile_settle(h->file);
    return SQLITE_OK;
}

static int io_size(sqlite3_file *file, sqlite3_int64 *out)
{
    struct handle *h = handle_of(file);
    if (is_stale(h))
        return SQLITE_IOERR_FSTAT;
    *out = (sqlite3_int64)h->file->size;
    return SQLITE_OK;
}

/* SQLite's five lock levels (https://www.sqlite.org/lockingv3.html) among the handles of one file. */
static int io_lock(sqlite3_file *file, int level)
{
    struct handle *h = handle_of(file);
    if (is_stale(h))
        return SQLITE_IOERR_LOCK;
    struct memfile *f = h->file;
    bool other = f->writer && f->writer != h;
    if (h->lock >= level)
        return SQLITE_OK;
    if (h->lock == SQLITE_LOCK_NONE) {
        if (other && f->writer_level >= SQLITE_LOCK_PENDING)
            return SQLITE_BUSY;
        f->shared++;
        h->lock = SQLITE_LOCK_SHARED;
    }
    if (level == SQLITE_LOCK_SHARED)
        return SQLITE_OK;
    if (other)
        return SQLITE_BUSY;
    f->writer = h;
    bool readers = level == SQLITE_LOCK_EXCLUSIVE && f->shared > 1;
    f->writer_level = h->lock = readers ? SQLITE_LOCK_PENDING : level;
    return readers ? SQLITE_BUSY : SQLITE_OK;
}

static int io_unlock(sqlite3_file *file, int level)
{
    struct handle *h = handle_of(file);
    if (!h->disk || h->epoch != h->disk->epoch || h->lock <= level) /* a power cut has no say in who locks */
        return SQLITE_OK;
    struct memfile *f = h->file;
    if (f->writer == h) {
        f->writer = NULL;
        f->writer_level = SQLITE_LOCK_NONE;
    }
    if (level == SQLITE_LOCK_NONE)
        f->shared--;
    h->lock = level;
    return SQLITE_OK;
}

static int io_reserved(sqlite3_file *file, int *out)
{
    struct handle *h = handle_of(file);
    if (is_stale(h))
        return SQLITE_IOERR_CHECKRESERVEDLOCK;
    *out = h->file->writer != NULL;
    return SQLITE_OK;
}

static int io_control(sqlite3_file *file, int op, void *arg)
{
    (void)file, (void)op, (void)arg;
    return SQLITE_NOTFOUND;
}

static int io_sector_size(sqlite3_file *file)
{
    (void)file;
    return 4096; /* what the unix VFS says; the crash model is finer, so nothing is gained by luck */
}

static int io_device(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods io_methods = {
    .iVersion = 1,
    .xClose = io_close,
    .xRead = io_read,
    .xWrite = io_write,
    .xTruncate = io_truncate,
    .xSync = io_sync,
    .xFileSize = io_size,
    .xLock = io_lock,
    .xUnlock = io_unlock,
    .xCheckReservedLock = io_reserved,
    .xFileControl = io_control,
    .xSectorSize = io_sector_size,
    .xDeviceCharacteristics = io_device,
};

/* --- SQLite's VFS methods --- */

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out_flags)
{
    (void)vfs;
    struct handle *h = handle_of(file);
    const char *name = NULL;
    *h = (struct handle){0};
    if (path) {
        h->disk = tz_memdisk_of_path(path, &name);
        if (!h->disk || h->disk->off)
            return SQLITE_CANTOPEN;
        h->epoch = h->disk->epoch;
        h->file = tz_memdisk_find(h->disk, name);
        if (!h->file) {
            if (!(flags & SQLITE_OPEN_CREATE))
                return SQLITE_CANTOPEN;
            h->file = tz_memdisk_add(h->disk, name);
            h->file->created = true;
            h->file->journal = (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL)) != 0;
        }
        h->disk->open_handles++;
        h->delete_on_close = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
    } else {
        h->file = tz_memfile_new();
    }
    if (out_flags)
        *out_flags = flags;
    h->base.pMethods = &io_methods;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync_dir)
{
    (void)vfs;
    const char *name = NULL;
    struct tz_memdisk *d = tz_memdisk_of_path(path, &name);
    if (!d || d->off)
        return SQLITE_IOERR_DELETE;
    int rc = tz_memdisk_enter(d, TZ_MEMDISK_DELETE);
    if (rc != SQLITE_OK)
        return rc;
    struct memfile *f = tz_memdisk_find(d, name);
    if (!f)
        return d->off ? SQLITE_IOERR_DELETE : SQLITE_IOERR_DELETE_NOENT;
    if (f->created)
        tz_memdisk_remove(d, f); /* never had an entry on the medium; an older ghost of the name stays */
    else
        f->ghost = true;
    if (sync_dir && !d->off)
        tz_memdisk_sync_entries(d);
    return tz_memdisk_leave(d);
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *out)
{
    (void)vfs, (void)flags;
    const char *name = NULL;
    const struct tz_memdisk *d = tz_memdisk_of_path(path, &name);
    if (d && d->off)
        return SQLITE_IOERR_ACCESS;
    const struct memfile *f = d ? tz_memdisk_find(d, name) : NULL;
    /* As in the unix VFS, an empty file does not exist: SQLite asks about journals. */
    *out = f && (flags != SQLITE_ACCESS_EXISTS || f->size > 0);
    return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int n, char *out)
{
    (void)vfs;
    size_t length = strlen(path);
    if (length >= (size_t)n)
        return SQLITE_CANTOPEN;
    memcpy(out, path, length + 1);
    return SQLITE_OK;
}

static int vfs_random(sqlite3_vfs *vfs, int n, char *out)
{
    (void)vfs;
    for (int i = 0; i < n; i++) { /* xorshift64, Marsaglia 2003 */
        world.random ^= world.random << 13;
        world.random ^= world.random >> 7;
        world.random ^= world.random << 17;
        out[i] = (char)(uint8_t)(world.random >> 32);
    }
    return n;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    return us; /* time stands still here: a busy wait ends after its nominal delays */
}

static int vfs_time64(sqlite3_vfs *vfs, sqlite3_int64 *out)
{
    (void)vfs;
    *out = world.wall_ms + (sqlite3_int64)210866760000000; /* 1970 in milliseconds of the Julian day */
    return SQLITE_OK;
}

static int vfs_time(sqlite3_vfs *vfs, double *out)
{
    sqlite3_int64 ms;
    vfs_time64(vfs, &ms);
    *out = (double)ms / 86400000.0;
    return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int n, char *out)
{
    (void)vfs, (void)n, (void)out;
    return 0;
}

void tz_memvfs_register(void)
{
    static sqlite3_vfs vfs = {
        .iVersion = 2,
        .szOsFile = sizeof(struct handle),
        .mxPathname = 128,
        .zName = TZ_MEMVFS_NAME,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_path,
        .xRandomness = vfs_random,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_time,
        .xGetLastError = vfs_last_error,
        .xCurrentTimeInt64 = vfs_time64,
    };
    int rc = sqlite3_vfs_register(&vfs, 0);
    assert(rc == SQLITE_OK);
    (void)rc;
}

void tz_memvfs_seed(uint32_t seed)
{
    world.random = 0x9E3779B97F4A7C15u ^ ((uint64_t)seed << 16);
    /* 0 would mean real randomness. Seeding again restarts the generator. */
    sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, (int)(seed ? seed : 1u), (sqlite3 *)NULL);
}

void tz_memvfs_time_set(int64_t wall_ms)
{
    world.wall_ms = wall_ms;
}
