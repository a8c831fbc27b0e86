/* SPDX-License-Identifier: Apache-2.0
 *
 * Disks in memory (see memvfs.h).
 *
 * A disk is a short list of files, a file is a content and what of it is not on the medium yet:
 *
 *   bytes   |<---- durable_size ---->|<-- grown since the last sync -->|            (or cut: size < durable_size)
 *   undo    old 512 bytes of every sector changed below durable_size, saved at the first change after a sync
 *   entry   created (no durable entry yet) or deleted (kept as a ghost until the directory is synced)
 *
 * So an append, which is most of what a WAL does, costs nothing extra, a sync costs the number of changed sectors, and
 * a crash is decided from `undo` and the two sizes.
 *
 * Invariants
 *  1. Bytes of the buffer at and after `size` are zero; its capacity is a multiple of the sector and covers both sizes.
 *  2. A buffer shared between clones is copied before the first change.
 *  3. A handle from before a crash or kill (another epoch) touches no file: its memfile may be gone.
 *  4. Nothing here fails for lack of memory: it aborts, being test code with small data.
 *
 * Not modelled: reordering between files beyond "all unsynced things are independent", garbage in synced sectors (bit
 * rot), directories, and files without a name on a medium (SQLite's spilled statement journals live outside every
 * disk).
 */
#include "memdisk.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

enum { SECTOR = 512, CAP_MIN = 8192 };

struct blob { /* shared bytes */
    unsigned refs;
    uint8_t bytes[];
};

struct undo {
    uint32_t sector;
    uint8_t old[SECTOR];
};

static struct {
    struct tz_memdisk **slots;
    size_t count;
} world;

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

static size_t sectors(size_t bytes)
{
    return (bytes + SECTOR - 1) / SECTOR;
}

/* --- files --- */

struct memfile *tz_memfile_new(void)
{
    return must(calloc(1, sizeof(struct memfile)));
}

const uint8_t *tz_memfile_bytes(const struct memfile *f)
{
    return f->blob->bytes;
}

static void blob_unref(struct blob *b)
{
    if (b && --b->refs == 0)
        free(b);
}

void tz_memfile_free(struct memfile *f)
{
    if (!f)
        return;
    blob_unref(f->blob);
    free(f->undo);
    free(f->changed);
    free(f);
}

/* A private buffer of at least @need bytes. */
static void file_own(struct memfile *f, size_t need)
{
    if (need <= f->cap && (!f->blob || f->blob->refs == 1))
        return;
    size_t cap = f->cap ? f->cap : CAP_MIN;
    while (cap < need)
        cap *= 2;
    if (f->blob && f->blob->refs == 1) {
        f->blob = must(realloc(f->blob, sizeof *f->blob + cap));
        memset(f->blob->bytes + f->cap, 0, cap - f->cap);
    } else {
        struct blob *b = must(calloc(1, sizeof *b + cap));
        b->refs = 1;
        if (f->blob)
            memcpy(b->bytes, f->blob->bytes, f->size);
        blob_unref(f->blob);
        f->blob = b;
    }
    f->cap = cap;
}

/* Everything of @f is on the medium now. */
void tz_memfile_settle(struct memfile *f)
{
    for (size_t i = 0; i < f->undo_count; i++)
        f->changed[f->undo[i].sector / 8] = 0;
    f->undo_count = 0;
    f->durable_size = f->size;
    f->created = false;
}

/* Save the old bytes of the durable sectors in [from, to), before they change. */
static void file_remember(struct memfile *f, size_t from, size_t to)
{
    size_t end = sectors(to < f->durable_size ? to : f->durable_size);
    size_t need = (sectors(f->durable_size) + 7) / 8;
    if (from / SECTOR >= end)
        return;
    if (f->changed_bytes < need) {
        f->changed = must(realloc(f->changed, need));
        memset(f->changed + f->changed_bytes, 0, need - f->changed_bytes);
        f->changed_bytes = need;
    }
    for (size_t s = from / SECTOR; s < end; s++) {
        uint8_t bit = (uint8_t)(1u << (s % 8));
        if (f->changed[s / 8] & bit)
            continue;
        f->changed[s / 8] |= bit;
        if (f->undo_count == f->undo_cap) {
            f->undo_cap = f->undo_cap ? f->undo_cap * 2 : 16;
            f->undo = must(realloc(f->undo, f->undo_cap * sizeof *f->undo));
        }
        struct undo *u = &f->undo[f->undo_count++];
        u->sector = (uint32_t)s;
        memcpy(u->old, f->blob->bytes + s * SECTOR, SECTOR);
    }
}

void tz_memfile_write(struct memfile *f, const void *p, size_t n, size_t offset)
{
    file_own(f, offset + n);
    file_remember(f, offset, offset + n);
    memcpy(f->blob->bytes + offset, p, n);
    if (f->size < offset + n)
        f->size = offset + n;
}

void tz_memfile_truncate(struct memfile *f, size_t size)
{
    if (size >= f->size)
        return;
    file_own(f, f->size);
    file_remember(f, size, f->size);
    memset(f->blob->bytes + size, 0, f->size - size);
    f->size = size;
}

/* --- disks --- */

struct memfile *tz_memdisk_find(const struct tz_memdisk *d, const char *name)
{
    struct memfile *f = d->files;
    while (f && (f->ghost || strcmp(f->name, name) != 0))
        f = f->next;
    return f;
}

struct memfile *tz_memdisk_add(struct tz_memdisk *d, const char *name)
{
    struct memfile *f = tz_memfile_new();
    int n = snprintf(f->name, sizeof f->name, "%s", name);
    assert(n > 0 && (size_t)n < sizeof f->name);
    (void)n;
    f->next = d->files;
    d->files = f;
    return f;
}

void tz_memdisk_remove(struct tz_memdisk *d, struct memfile *f)
{
    struct memfile **at = &d->files;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    tz_memfile_free(f);
}

void tz_memdisk_sync_entries(struct tz_memdisk *d)
{
    for (struct memfile *f = d->files, *next; f; f = next) {
        next = f->next;
        f->created = false;
        if (f->ghost)
            tz_memdisk_remove(d, f);
    }
}

static void copy_file(struct tz_memdisk *d, const struct memfile *from)
{
    struct memfile *f = tz_memdisk_add(d, from->name);
    f->journal = from->journal;
    f->blob = from->blob;
    if (f->blob)
        f->blob->refs++;
    f->cap = from->cap;
    f->size = f->durable_size = from->size;
}

struct tz_memdisk *tz_memdisk_new(void)
{
    struct tz_memdisk *d = must(calloc(1, sizeof *d));
    while (d->slot < world.count && world.slots[d->slot])
        d->slot++;
    if (d->slot == world.count) {
        size_t count = world.count ? world.count * 2 : 64;
        world.slots = must(realloc(world.slots, count * sizeof *world.slots));
        memset(world.slots + world.count, 0, (count - world.count) * sizeof *world.slots);
        world.count = count;
    }
    world.slots[d->slot] = d;
    return d;
}

void tz_memdisk_free(struct tz_memdisk *d)
{
    if (!d)
        return;
    assert(d->open_handles == 0);
    world.slots[d->slot] = NULL;
    while (d->files)
        tz_memdisk_remove(d, d->files);
    free(d);
}

struct tz_memdisk *tz_memdisk_clone(const struct tz_memdisk *src)
{
    struct tz_memdisk *d = tz_memdisk_new();
    for (const struct memfile *f = src->files; f; f = f->next)
        if (!f->ghost)
            copy_file(d, f);
    return d;
}

void tz_memdisk_copy_file(struct tz_memdisk *d, const struct tz_memdisk *src, const char *name)
{
    const struct memfile *from = tz_memdisk_find(src, name);
    struct memfile *old = tz_memdisk_find(d, name);
    if (from == old)
        return;
    if (from)
        copy_file(d, from);
    if (old) {
        assert(old->shared == 0);
        tz_memdisk_remove(d, old);
    }
}

static int save_file(const struct memfile *f, const char *folder, const char *stem)
{
    char path[512];
    const char *dot = strchr(f->name, '.');
    int n = snprintf(path, sizeof path, "%s/%s%s", folder, stem, dot ? dot : "");
    FILE *out = n > 0 && (size_t)n < sizeof path ? fopen(path, "wb") : NULL;
    if (!out)
        return -1;
    bool whole = f->size == 0 || fwrite(tz_memfile_bytes(f), 1, f->size, out) == f->size;
    return fclose(out) == 0 && whole ? 0 : -1;
}

int tz_memdisk_save(const struct tz_memdisk *d, const char *folder, const char *stem)
{
    int rc = 0;
    for (const struct memfile *f = d->files; f && !rc; f = f->next)
        rc = f->ghost ? 0 : save_file(f, folder, stem);
    return rc;
}

const char *tz_memdisk_path(const struct tz_memdisk *d, const char *name, char *out, size_t out_bytes)
{
    int n = snprintf(out, out_bytes, "/%zu/%s", d->slot, name);
    assert(n > 0 && (size_t)n < out_bytes);
    (void)n;
    return out;
}

int64_t tz_memdisk_size(const struct tz_memdisk *d, const char *name)
{
    const struct memfile *f = tz_memdisk_find(d, name);
    return f ? (int64_t)f->size : -1;
}

/* --- crash --- */

/* The old bytes come back for a lost sector, in part for a torn one. */
static void sector_crash(uint8_t *now, const uint8_t *old, uint32_t r)
{
    size_t cut = 1 + (r >> 8) % (SECTOR - 1);
    switch (r & 7u) {
    case 0:
    case 1:
        memcpy(now, old, SECTOR);
        break;
    case 2:
        memcpy(now, old, cut);
        break;
    case 3:
        memcpy(now + cut, old + cut, SECTOR - cut);
        break;
    default:
        break; /* it was written */
    }
}

/* Sectors the file grew by hold zeros when lost, sometimes what was on the medium before. */
static void grown_crash(struct memfile *f, tz_memrandom_fn random, void *ctx)
{
    uint8_t old[SECTOR];
    for (size_t s = sectors(f->durable_size); s < sectors(f->size); s++) {
        uint32_t r = random(ctx);
        memset(old, (r & 0x70u) ? 0 : (int)(r >> 24), sizeof old);
        sector_crash(f->blob->bytes + s * SECTOR, old, r);
    }
}

/* Between for a file that grew. A shorter size is one entry in the file system's journal: it got there or not, and a
 * WAL that was cut in its middle would be an old state, which SQLite does not expect
 * (https://www.sqlite.org/atomiccommit.html, "hardware assumptions"). */
static size_t size_crash(size_t a, size_t b, uint32_t r)
{
    size_t low = a < b ? a : b, high = a < b ? b : a;
    if (low == high)
        return low;
    if (b < a)
        return (r & 1u) ? a : b;
    switch (r & 3u) {
    case 0:
        return a;
    case 1:
        return low + (r >> 2) % (high - low);
    default:
        return b;
    }
}

static void file_crash(struct memfile *f, tz_memrandom_fn random, void *ctx)
{
    f->created = false; /* its entry survived, or it would not be here */
    if (f->undo_count == 0 && f->size == f->durable_size)
        return;
    file_own(f, f->size > f->durable_size ? f->size : f->durable_size);
    grown_crash(f, random, ctx);
    for (size_t i = 0; i < f->undo_count; i++) {
        const struct undo *u = &f->undo[i];
        size_t start = (size_t)u->sector * SECTOR;
        uint8_t *now = f->blob->bytes + start;
        if (start + SECTOR > f->size && f->size < f->durable_size) { /* cut off: an undone cut has the old bytes */
            size_t kept = f->size > start ? f->size - start : 0;
            memcpy(now + kept, u->old + kept, SECTOR - kept);
        }
        if (start < f->size)
            sector_crash(now, u->old, random(ctx));
    }
    size_t size = size_crash(f->durable_size, f->size, random(ctx));
    memset(f->blob->bytes + size, 0, f->cap - size);
    f->size = size;
    tz_memfile_settle(f);
}

static void forget_handles(struct tz_memdisk *d)
{
    d->epoch++;
    for (struct memfile *f = d->files; f; f = f->next) {
        f->shared = 0;
        f->writer = NULL;
        f->writer_level = 0;
    }
}

/* A deleted file comes back when its entry survived and no new file of that name did. */
static void entries_crash(struct tz_memdisk *d, tz_memrandom_fn random, void *ctx)
{
    for (struct memfile *f = d->files, *next; f; f = next) {
        next = f->next;
        if (!f->ghost && f->created && (random(ctx) & 1u))
            tz_memdisk_remove(d, f);
    }
    for (struct memfile *f = d->files, *next; f; f = next) {
        next = f->next;
        if (!f->ghost)
            continue;
        if (!tz_memdisk_find(d, f->name) && (random(ctx) & 1u))
            f->ghost = false;
        else
            tz_memdisk_remove(d, f);
    }
}

void tz_memdisk_crash(struct tz_memdisk *d, tz_memrandom_fn random, void *ctx)
{
    entries_crash(d, random, ctx);
    for (struct memfile *f = d->files; f; f = f->next)
        file_crash(f, random, ctx);
    forget_handles(d);
    d->off = false;
    d->fail = d->crash = (struct knob){0};
}

void tz_memdisk_kill(struct tz_memdisk *d)
{
    forget_handles(d);
}

/* --- knobs --- */

uint64_t tz_memdisk_ops(const struct tz_memdisk *d, unsigned mask)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < 4; i++)
        n += (mask >> i & 1u) ? d->ops[i] : 0;
    return n;
}

void tz_memdisk_fail_at(struct tz_memdisk *d, unsigned mask, uint64_t k, int sqlite_rc)
{
    d->fail = (struct knob){mask, k ? tz_memdisk_ops(d, mask) + k : 0, sqlite_rc};
}

void tz_memdisk_crash_at(struct tz_memdisk *d, unsigned mask, uint64_t k)
{
    d->crash = (struct knob){mask, k ? tz_memdisk_ops(d, mask) + k : 0, SQLITE_IOERR};
}

bool tz_memdisk_is_off(const struct tz_memdisk *d)
{
    return d->off;
}

void tz_memdisk_capacity_set(struct tz_memdisk *d, uint64_t bytes)
{
    d->capacity = bytes;
}

static bool knob_hits(const struct tz_memdisk *d, const struct knob *k, enum tz_memdisk_op op)
{
    return k->at && (k->mask & (unsigned)op) && tz_memdisk_ops(d, k->mask) == k->at;
}

/* Count the operation and ask the knobs. At the moment of the power cut d->off goes true and the write is still carried
 * out. */
int tz_memdisk_enter(struct tz_memdisk *d, enum tz_memdisk_op op)
{
    if (!d)
        return SQLITE_OK;
    if (d->off)
        return SQLITE_IOERR;
    for (unsigned i = 0; i < 4; i++)
        d->ops[i] += ((unsigned)op >> i) & 1u;
    if (knob_hits(d, &d->crash, op)) {
        d->off = true;
        return SQLITE_OK;
    }
    if (!knob_hits(d, &d->fail, op))
        return SQLITE_OK;
    d->fail.at = 0;
    return d->fail.rc;
}

int tz_memdisk_leave(const struct tz_memdisk *d)
{
    return d && d->off ? SQLITE_IOERR : SQLITE_OK;
}

bool tz_memdisk_over_capacity(const struct tz_memdisk *d, const struct memfile *f, size_t end)
{
    if (!d || !d->capacity || end <= f->size)
        return false;
    uint64_t sum = end - f->size;
    for (const struct memfile *g = d->files; g; g = g->next)
        sum += g->size;
    return sum > d->capacity;
}

/* "/slot/name" */
struct tz_memdisk *tz_memdisk_of_path(const char *path, const char **name)
{
    char *end;
    if (*path != '/')
        return NULL;
    size_t slot = (size_t)strtoul(path + 1, &end, 10);
    if (end == path + 1 || *end != '/' || slot >= world.count)
        return NULL;
    *name = end + 1;
    return world.slots[slot];
}
