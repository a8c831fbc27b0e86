/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_MEMDISK_H
#define TZ_MEMDISK_H

/*
 * Inside of memvfs: the disks of memdisk.c as memvfs.c, their only other reader, sees them. Tests use memvfs.h.
 */

#include "memvfs.h"

enum { NAME_BYTES = 96 };

struct blob;
struct undo;

struct memfile {
    struct memfile *next;
    char name[NAME_BYTES];
    struct blob *blob; /* NULL while cap is 0; shared between clones */
    size_t cap, size, durable_size;
    struct undo *undo;
    size_t undo_count, undo_cap;
    uint8_t *changed; /* bitmap of sectors below durable_size that are in undo */
    size_t changed_bytes;
    bool created, ghost; /* no durable entry yet; deleted but the entry is still durable */
    bool journal;        /* WAL or rollback journal: its first sync syncs the directory too */
    unsigned shared;     /* locks: holders of SHARED or more */
    const void *writer;  /* the handle with RESERVED or more */
    int writer_level;
};

struct knob {
    unsigned mask;
    uint64_t at; /* absolute count over mask; 0 = off */
    int rc;
};

struct tz_memdisk {
    size_t slot;
    struct memfile *files;
    unsigned epoch, open_handles;
    uint64_t ops[4];
    struct knob fail, crash;
    bool off;
    uint64_t capacity;
};

/** A file on no disk. */
struct memfile *tz_memfile_new(void);
void tz_memfile_free(struct memfile *f);
const uint8_t *tz_memfile_bytes(const struct memfile *f);
void tz_memfile_write(struct memfile *f, const void *p, size_t n, size_t offset);
/** Only shrinks. */
void tz_memfile_truncate(struct memfile *f, size_t size);
/** Everything of @f is on the medium now. */
void tz_memfile_settle(struct memfile *f);

/** The disk of "/slot/name" and the name in it; NULL when there is none. */
struct tz_memdisk *tz_memdisk_of_path(const char *path, const char **name);
struct memfile *tz_memdisk_find(const struct tz_memdisk *d, const char *name);
struct memfile *tz_memdisk_add(struct tz_memdisk *d, const char *name);
void tz_memdisk_remove(struct tz_memdisk *d, struct memfile *f);
void tz_memdisk_sync_entries(struct tz_memdisk *d);
/** Would @f with @end bytes be too much? */
bool tz_memdisk_over_capacity(const struct tz_memdisk *d, const struct memfile *f, size_t end);
/**
 * Count the operation and ask the knobs; not SQLITE_OK: do not carry it out. At the moment of the power cut the
 * operation is still carried out, and leave gives the error. @d NULL (a nameless file) is always fine.
 */
int tz_memdisk_enter(struct tz_memdisk *d, enum tz_memdisk_op op);
int tz_memdisk_leave(const struct tz_memdisk *d);

#endif
