/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   copy ─> server-….db.part ─> fsync ─> verify ─> server-….json ─> rename to server-….db ─> delete the oldest
 *
 * Invariants
 *  1. A file with the name of a backup is complete, synced, verified, and has its description beside it.
 *  2. A backup is counted and deleted only while it has the size that its description gives; what else lies in the
 * folder is left alone. Older ones go only after the new one stands; older is what reaches less far (epoch, audit
 * entry), whatever the clock said when it was made.
 *  3. One backup into a folder at a time (an flock there), so leftovers of another are nobody's.
 */
#include "backup.h"

#include "grow.h"
#include "hash.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PAGES_PER_STEP = 512, STEM_BYTES = 64, NAME_BYTES = STEM_BYTES + 16, FORMAT = 1 };

static const char HEAD[] = "server-";
static const char DB[] = ".db";
static const char JSON[] = ".json";
static const char PART[] = ".db.part";

static int io_error(struct tz_err *err, const char *path)
{
    return tz_err_setf(err, errno == ENOSPC ? TZ_E_DISK_FULL : TZ_E_IO, "%s: %s", path, strerror(errno));
}

void tz_backup_stamp(int64_t ms, char out[32])
{
    time_t t = (time_t)(ms / 1000);
    struct tm tm = {0};
    char text[24] = "";
    (void)gmtime_r(&t, &tm);
    (void)strftime(text, sizeof text, "%Y%m%dT%H%M%S", &tm);
    (void)snprintf(out, 32, "%s%03dZ", text, (int)(ms % 1000));
}

static bool ends_with(const char *name, const char *tail)
{
    size_t n = strlen(name);
    size_t k = strlen(tail);
    return n > k && strcmp(name + n - k, tail) == 0;
}

/* ---- the description ---- */

json_t *tz_backup_json(const struct tz_backup_info *i)
{
    char audit[2 * TZ_HASH_BYTES + 1];
    char sha[2 * sizeof i->sha256 + 1];
    (void)tz_hex_encode(tz_bytes_of(i->facts.audit_hash, TZ_HASH_BYTES), audit);
    (void)tz_hex_encode(tz_bytes_of(i->sha256, sizeof i->sha256), sha);
    return json_pack("{s:i,s:s,s:i,s:i,s:I,s:i,s:I,s:s,s:I,s:s,s:I,s:I}", "format", FORMAT, "software", i->software,
                     "schema", (int)i->facts.schema, "catalogue", (int)i->facts.catalogue, "head",
                     (json_int_t)i->facts.head, "epoch", (int)i->facts.epoch, "audit_n", (json_int_t)i->facts.audit_n,
                     "audit_hash", audit, "bytes", (json_int_t)i->bytes, "sha256", sha, "made_ms",
                     (json_int_t)i->made_ms, "verified_ms", (json_int_t)i->verified_ms);
}

static bool take_hash(const json_t *o, const char *key, uint8_t out[32])
{
    const char *hex = json_string_value(json_object_get(o, key));
    return hex && tz_hex_decode(hex, out, 32) == 0;
}

static bool read_info(const json_t *o, struct tz_backup_info *i)
{
    const char *software = json_string_value(json_object_get(o, "software"));
    *i = (struct tz_backup_info){0};
    (void)snprintf(i->software, sizeof i->software, "%s", software ? software : "");
    i->facts.head = (tz_ver)json_integer_value(json_object_get(o, "head"));
    i->facts.epoch = (uint32_t)json_integer_value(json_object_get(o, "epoch"));
    i->facts.audit_n = (uint64_t)json_integer_value(json_object_get(o, "audit_n"));
    i->facts.schema = (uint32_t)json_integer_value(json_object_get(o, "schema"));
    i->facts.catalogue = (uint32_t)json_integer_value(json_object_get(o, "catalogue"));
    i->bytes = (uint64_t)json_integer_value(json_object_get(o, "bytes"));
    i->made_ms = json_integer_value(json_object_get(o, "made_ms"));
    i->verified_ms = json_integer_value(json_object_get(o, "verified_ms"));
    return json_integer_value(json_object_get(o, "format")) == FORMAT && i->verified_ms > 0 &&
           take_hash(o, "audit_hash", i->facts.audit_hash) && take_hash(o, "sha256", i->sha256);
}

/** The description of the backup called @stem; false when there is none that can be read. */
static bool load_info(const struct tz_datadir *d, const char *stem, struct tz_backup_info *i)
{
    char name[NAME_MAX + sizeof JSON];
    struct tz_buf b;
    (void)snprintf(name, sizeof name, "%s%s", stem, JSON);
    int rc = tz_datadir_read(d, name, &b, NULL);
    json_t *o = rc ? NULL : json_loadb((const char *)b.p + b.pos, b.len - b.pos, JSON_REJECT_DUPLICATES, NULL);
    bool good = o && read_info(o, i);
    json_decref(o);
    tz_buf_deinit(&b);
    return good;
}

static int write_info(const struct tz_datadir *d, const char *stem, const struct tz_backup_info *i, struct tz_err *err)
{
    char name[NAME_BYTES];
    json_t *o = tz_backup_json(i);
    char *text = o ? json_dumps(o, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;
    json_decref(o);
    if (!text)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    (void)snprintf(name, sizeof name, "%s%s", stem, JSON);
    int rc = tz_datadir_write_new(d, name, 0600, tz_bytes_str(text), err);
    free(text);
    return rc;
}

/* ---- hash ---- */

/** SHA-256 and length of a file, after an fsync when @sync. */
static int hash_file(const char *path, bool sync, uint8_t sha256[32], uint64_t *bytes, struct tz_err *err)
{
    uint8_t block[64 * 1024];
    struct tz_sha256 h = {0};
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return io_error(err, path);
    int rc = sync && fsync(fd) ? io_error(err, path) : tz_sha256_init(&h);
    *bytes = 0;
    while (!rc && (n = read(fd, block, sizeof block)) > 0) {
        rc = tz_sha256_update(&h, tz_bytes_of(block, (size_t)n));
        *bytes += (uint64_t)n;
    }
    if (!rc && n < 0)
        rc = io_error(err, path);
    if (!rc)
        rc = tz_sha256_final(&h, sha256);
    tz_sha256_deinit(&h);
    (void)close(fd);
    return rc;
}

/* ---- verifying ---- */

static int bad(struct tz_err *err, const char *file, const char *what)
{
    return tz_err_set(err, TZ_E_BACKUP_BAD, file, what, NULL, NULL);
}

/** What is wrong inside the file, as a finding about the backup; what is wrong with this machine stays that. */
static int as_finding(const char *file, int rc, struct tz_err *err)
{
    char text[512];
    struct tz_err why = *err;
    switch (rc) {
    case TZ_E_DB_CORRUPT:
    case TZ_E_DB_FOREIGN:
    case TZ_E_DB_MISSING:
    case TZ_E_VERIFY:
    case TZ_E_DB:
        return bad(err, file, tz_err_text(&why, TZ_LANG_EN, text, sizeof text));
    default:
        return rc;
    }
}

static int compare(const char *file, const struct tz_backup_facts *is, const struct tz_backup_facts *said,
                   struct tz_err *err)
{
    if (is->head != said->head || is->epoch != said->epoch)
        return bad(err, file, "head");
    if (is->audit_n != said->audit_n || memcmp(is->audit_hash, said->audit_hash, sizeof is->audit_hash) != 0)
        return bad(err, file, "audit head");
    return 0;
}

/** Folder and stem of a backup's path. */
static int split(const char *file, struct tz_datadir *d, char stem[NAME_MAX + 1], struct tz_err *err)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(file, '/');
    const char *name = slash ? slash + 1 : file;
    size_t n = slash ? (size_t)(slash - file) : 1;
    if (!ends_with(name, DB) || strlen(name) > NAME_MAX || n >= sizeof folder)
        return bad(err, file, "not the name of a backup (….db)");
    memcpy(folder, slash ? file : ".", n);
    folder[n] = '\0';
    memcpy(stem, name, strlen(name) - strlen(DB));
    stem[strlen(name) - strlen(DB)] = '\0';
    return tz_datadir_init(d, n ? folder : "/", err);
}

int tz_backup_verify(const char *file, const struct tz_store_options *o, struct tz_backup_info *out, struct tz_err *err)
{
    struct tz_datadir d;
    char stem[NAME_MAX + 1];
    uint8_t sha[32];
    uint64_t bytes = 0;
    struct tz_backup_facts facts;
    int rc = split(file, &d, stem, err);
    if (!rc && !load_info(&d, stem, out))
        rc = bad(err, file, "its .json is missing or damaged");
    if (!rc)
        rc = hash_file(file, false, sha, &bytes, err);
    if (!rc && bytes != out->bytes)
        rc = bad(err, file, "size");
    if (!rc && memcmp(sha, out->sha256, sizeof sha) != 0)
        rc = bad(err, file, "SHA-256");
    if (rc)
        return rc;
    rc = tz_store_inspect(file, o, &facts, err);
    return rc ? as_finding(file, rc, err) : compare(file, &facts, &out->facts, err);
}

/* ---- the folder ---- */

struct names {
    char (*v)[STEM_BYTES];
    size_t n, cap;
};

static int names_add(struct names *l, const char *name)
{
    void *v = tz_grow(l->v, l->n, &l->cap, 32, sizeof *l->v);
    if (!v)
        return TZ_E_NOMEM;
    l->v = v;
    memcpy(l->v[l->n++], name, strlen(name) + 1);
    return 0;
}

/** Files that begin like a backup. */
static int list_folder(const struct tz_datadir *d, struct names *out, struct tz_err *err)
{
    DIR *dir = opendir(d->path);
    if (!dir)
        return io_error(err, d->path);
    int rc = 0;
    for (const struct dirent *e; !rc && (e = readdir(dir)) != NULL;)
        if (strncmp(e->d_name, HEAD, sizeof HEAD - 1) == 0 && strlen(e->d_name) < STEM_BYTES)
            rc = names_add(out, e->d_name);
    (void)closedir(dir);
    return rc ? tz_err_set(err, rc, NULL, NULL, NULL, NULL) : 0;
}

static void stem_of(const char *name, const char *tail, char stem[STEM_BYTES])
{
    size_t n = strlen(name) - strlen(tail);
    memcpy(stem, name, n);
    stem[n] = '\0';
}

static bool has_tail(const struct tz_datadir *d, const char *stem, const char *tail)
{
    char name[NAME_BYTES];
    (void)snprintf(name, sizeof name, "%s%s", stem, tail);
    return tz_datadir_has(d, name);
}

static void remove_tail(const struct tz_datadir *d, const char *stem, const char *tail)
{
    char name[NAME_BYTES];
    char path[PATH_MAX];
    (void)snprintf(name, sizeof name, "%s%s", stem, tail);
    (void)unlink(tz_datadir_file(d, name, path));
}

/** What interrupted backups left: half copies, and descriptions of copies that never got their name. */
static void sweep(const struct tz_datadir *d, const struct names *l)
{
    char stem[STEM_BYTES];
    for (size_t i = 0; i < l->n; i++) {
        if (ends_with(l->v[i], PART)) {
            stem_of(l->v[i], PART, stem);
            remove_tail(d, stem, PART);
        } else if (ends_with(l->v[i], JSON)) {
            stem_of(l->v[i], JSON, stem);
            if (!has_tail(d, stem, DB))
                remove_tail(d, stem, JSON);
        }
    }
}

/** A backup that stands, and how far it reaches. */
struct generation {
    char stem[STEM_BYTES];
    struct tz_backup_info info;
};

static bool is_generation(const struct tz_datadir *d, const char *name, struct generation *g)
{
    struct stat st;
    char path[PATH_MAX];
    if (!ends_with(name, DB))
        return false;
    stem_of(name, DB, g->stem);
    return load_info(d, g->stem, &g->info) && stat(tz_datadir_file(d, name, path), &st) == 0 && S_ISREG(st.st_mode) &&
           (uint64_t)st.st_size == g->info.bytes;
}

/** Oldest state first. The clock that named the files may have been wrong; the log's numbers are not. */
static int by_state(const void *a, const void *b)
{
    const struct tz_backup_info *x = &((const struct generation *)a)->info;
    const struct tz_backup_info *y = &((const struct generation *)b)->info;
    if (x->facts.epoch != y->facts.epoch)
        return x->facts.epoch < y->facts.epoch ? -1 : 1;
    if (x->facts.audit_n != y->facts.audit_n)
        return x->facts.audit_n < y->facts.audit_n ? -1 : 1;
    return x->made_ms < y->made_ms ? -1 : x->made_ms > y->made_ms;
}

/** Delete the oldest down to @keep, never the one just @made. */
static int retire(const struct tz_datadir *d, const char *made, unsigned keep, unsigned *kept, unsigned *deleted,
                  struct tz_err *err)
{
    struct names l = {0};
    unsigned most = keep > TZ_BACKUPS_KEPT_LEAST ? keep : TZ_BACKUPS_KEPT_LEAST;
    size_t n = 0;
    int rc = list_folder(d, &l, err);
    struct generation *g = rc ? NULL : calloc(l.n + 1, sizeof *g);
    if (!rc && !g)
        rc = tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    for (size_t i = 0; i < l.n && !rc; i++)
        n += is_generation(d, l.v[i], &g[n]);
    if (!rc)
        qsort(g, n, sizeof *g, by_state);
    *kept = (unsigned)n;
    for (size_t i = 0; i<n && * kept> most; i++) {
        if (strcmp(g[i].stem, made) == 0)
            continue;
        remove_tail(d, g[i].stem, DB);
        remove_tail(d, g[i].stem, JSON);
        (*kept)--;
        (*deleted)++;
    }
    free(g);
    free(l.v);
    return rc ? rc : tz_datadir_sync(d, err);
}

int tz_backup_each(const char *path, void (*cb)(void *ctx, const struct tz_backup_facts *f), void *ctx,
                   struct tz_err *err)
{
    struct tz_datadir d;
    struct names l = {0};
    int rc = tz_datadir_init(&d, path, err);
    if (rc)
        return rc;
    rc = list_folder(&d, &l, err);
    for (size_t i = 0; i < l.n && !rc; i++) {
        struct generation g;
        if (is_generation(&d, l.v[i], &g))
            cb(ctx, &g.info.facts);
    }
    free(l.v);
    tz_datadir_deinit(&d);
    return rc;
}

/* ---- making one ---- */

/** Sync, look at and describe the copy; then it gets its name. */
static int finish(const struct tz_backup_spec *spec, const struct tz_datadir *d, const char *stem, const char *part,
                  struct tz_backup_made *out, struct tz_err *err)
{
    struct tz_backup_info *i = &out->info;
    char name[NAME_BYTES];
    int rc = hash_file(part, true, i->sha256, &i->bytes, err);
    if (!rc)
        rc = tz_store_inspect(part, spec->options, &i->facts, err);
    if (rc)
        return as_finding(part, rc, err);
    i->verified_ms = tz_clock_wall(&tz_clock_system).ms;
    rc = write_info(d, stem, i, err);
    if (rc)
        return rc;
    (void)snprintf(name, sizeof name, "%s%s", stem, DB);
    if (rename(part, tz_datadir_file(d, name, out->file)))
        rc = io_error(err, out->file);
    if (!rc)
        rc = tz_datadir_sync(d, err);
    if (rc)
        remove_tail(d, stem, JSON);
    return rc;
}

static int make_in(const struct tz_backup_spec *spec, const struct tz_datadir *d, struct tz_backup_made *out,
                   struct tz_err *err)
{
    char stem[STEM_BYTES];
    char stamp[32];
    char part[PATH_MAX];
    char name[NAME_BYTES];
    struct names old = {0};
    int rc = list_folder(d, &old, err);
    if (!rc)
        sweep(d, &old);
    free(old.v);
    out->info.made_ms = tz_clock_wall(&tz_clock_system).ms;
    (void)snprintf(out->info.software, sizeof out->info.software, "%s", spec->software);
    tz_backup_stamp(out->info.made_ms, stamp);
    (void)snprintf(stem, sizeof stem, "%s%s", HEAD, stamp);
    if (!rc && has_tail(d, stem, DB))
        rc = tz_err_set(err, TZ_E_DATA_EXISTS, d->path, NULL, NULL, NULL);
    (void)snprintf(name, sizeof name, "%s%s", stem, PART);
    (void)tz_datadir_file(d, name, part);
    if (!rc)
        rc = tz_db_copy(tz_store_db(spec->store), part, PAGES_PER_STEP, spec->progress, spec->progress_ctx, err);
    if (rc)
        return rc;
    rc = finish(spec, d, stem, part, out, err);
    if (rc) {
        (void)unlink(part);
        return rc;
    }
    return retire(d, stem, spec->keep, &out->kept, &out->deleted, err);
}

static int open_folder(const char *path, struct tz_datadir *d, struct tz_err *err)
{
    int rc = tz_datadir_init(d, path, err);
    if (rc)
        return rc;
    if (mkdir(path, 0700) && errno != EEXIST)
        return io_error(err, path);
    return 0;
}

int tz_backup_make(const struct tz_backup_spec *spec, struct tz_backup_made *out, struct tz_err *err)
{
    struct tz_datadir d;
    memset(out, 0, sizeof *out);
    int rc = open_folder(spec->to, &d, err);
    if (!rc)
        rc = tz_datadir_lock(&d, 0, err);
    if (rc)
        return rc;
    rc = make_in(spec, &d, out, err);
    tz_datadir_deinit(&d);
    return rc;
}

/* ---- keys ---- */

/** Under another name first: a copy that stands is replaced by a whole one or not at all. */
static int copy_one(const struct tz_datadir *from, const struct tz_datadir *to, const char *name, struct tz_err *err)
{
    char half[NAME_BYTES];
    char path[PATH_MAX];
    char final[PATH_MAX];
    struct tz_buf b;
    (void)snprintf(half, sizeof half, "%s.part", name);
    (void)unlink(tz_datadir_file(to, half, path));
    int rc = tz_datadir_read(from, name, &b, err);
    if (!rc)
        rc = tz_datadir_write_new(to, half, 0600, tz_buf_unread(&b), err);
    tz_buf_deinit_secret(&b);
    if (!rc && rename(path, tz_datadir_file(to, name, final)))
        rc = io_error(err, final);
    return rc;
}

int tz_backup_keys(const struct tz_datadir *from, const char *to, struct tz_err *err)
{
    static const char *const files[] = {"ca.key", "ca.crt", "server.key", "server.crt", "taizhangd.ini"};
    char path[PATH_MAX];
    struct tz_datadir d;
    int n = snprintf(path, sizeof path, "%s/keys", to);
    int rc =
        n < 0 || (size_t)n >= sizeof path ? tz_err_set(err, TZ_E_IO, to, NULL, NULL, NULL) : open_folder(path, &d, err);
    if (!rc && chmod(path, 0700))
        rc = io_error(err, path);
    for (size_t i = 0; i < sizeof files / sizeof files[0] && !rc; i++)
        if (tz_datadir_has(from, files[i]))
            rc = copy_one(from, &d, files[i], err);
    return rc ? rc : tz_datadir_sync(&d, err);
}
