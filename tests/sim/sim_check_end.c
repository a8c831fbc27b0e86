/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a seed: nothing acknowledged is missing, every balance adds up, every replica equals its part of the
 * server, digests agree, the log is whole, and no disk holds what its device may not read.
 */
#include "sim_check_int.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

/* NOTHING: the device knows that nothing was written, by what was refused or taken back, and what changed nothing and
 * is wiped by now; the server need not have it again. ENTRY: it was compacted */
enum kept { KEPT_NOTHING, KEPT_WORDS, KEPT_NO_WORDS, KEPT_ENTRY };

/** What the device itself has of a save. */
static enum kept kept_of(struct sim_client *c, uint64_t seq)
{
    struct tz_err err = {0};
    struct tz_stmt st = {0};
    enum kept k = KEPT_WORDS;
    if (!c->office)
        return k;
    int rc = tz_db_prepare(tz_office_db(c->office), &st,
                           "SELECT outcome IN (3, 7) OR (outcome IN (1, 2) AND ver = 0 AND length(raw) = 0), "
                           "length(raw), result IS NULL FROM outbox WHERE seq = ?1",
                           &err);
    tz_stmt_bind_int(&st, 1, (int64_t)seq);
    if (!rc && tz_stmt_step(&st, &err) == 1)
        k = tz_stmt_int(&st, 0)   ? KEPT_NOTHING
            : tz_stmt_int(&st, 1) ? KEPT_WORDS
            : tz_stmt_int(&st, 2) ? KEPT_ENTRY
                                  : KEPT_NO_WORDS;
    tz_stmt_finalize(&st);
    return k;
}

/** After a restore: an answer under its old number; where the words were wiped before, the device says that it is lost.
 */
static void check_answers(struct sim *w, struct sim_client *c)
{
    struct tz_office_status st = {0};
    struct tz_err err = {0};
    uint64_t wiped = 0;
    if (c->office && tz_office_status(c->office, &st, &err))
        sim_fail(w, "%s: status: %d %s", c->name, err.code, err.trail);
    for (size_t i = 0; i < c->nsaved && !c->erased; i++) {
        const struct sim_saved *s = &c->saved[i];
        int64_t outcome = sim_number(w, "SELECT outcome FROM result WHERE device=?1 AND incarnation=1 AND seq=?2",
                                     c->dev->number, (int64_t)s->seq, -1);
        enum kept kept = outcome < 0 ? kept_of(c, s->seq) : KEPT_NOTHING;
        wiped += kept == KEPT_NO_WORDS;
        if (kept == KEPT_WORDS && !s->taken_back)
            sim_fail(w, "P12: after a restore %s seq %" PRIu64 " has no answer", c->name, s->seq);
        if (kept == KEPT_ENTRY)
            sim_fail(w, "P12: %s seq %" PRIu64 " was emptied, and a backup that was kept did not have it", c->name,
                     s->seq);
        if (outcome >= 0 && outcome != TZ_OUT_WAITING && !s->audited)
            sim_fail(w, "P2: %s seq %" PRIu64 " has no audit entry", c->name, s->seq);
    }
    w->n.lost_saves += wiped;
    if (wiped > st.lost_saves)
        sim_fail(w, "P12: %" PRIu64 " saves of %s are lost, and it knows of %" PRIu64, wiped, c->name, st.lost_saves);
}

static void check_saves(struct sim *w, struct sim_client *c)
{
    sim_compact_count(c);
    if (w->blind) {
        check_answers(w, c);
        return;
    }
    if (c->gone) /* what it had not handed in is gone with its disk */
        return;
    if (c->acknowledged && (c->nsaved == 0 || c->saved[c->nsaved - 1].seq < c->acknowledged))
        sim_fail(w, "P1: %s seq %" PRIu64 " was acknowledged and is gone", c->name, c->acknowledged);
    for (size_t i = 0; i < c->nsaved && !w->failed; i++) {
        const struct sim_saved *s = &c->saved[i];
        if (s->seq != i + 1)
            sim_fail(w, "P1: %s seq %zu is missing among its saves", c->name, i + 1);
        const struct oracle_outcome *o = sim_saved_outcome(c, s);
        if (!o && !s->taken_back)
            sim_fail(w, "P1: %s seq %" PRIu64 " (%s) never reached the server", c->name, s->seq,
                     s->acknowledged ? "acknowledged" : "found after a crash");
        else if (o && !o->repeated && !s->audited && o->outcome != TZ_OUT_WAITING)
            sim_fail(w, "P2: %s seq %" PRIu64 " has no audit entry", c->name, s->seq);
    }
}

struct sums {
    uint64_t n[TZ_OUT_WITHDRAWN + 1]; /* ops, by enum tz_outcome */
};

static void add_outcome(struct sums *to, const struct oracle_outcome *o)
{
    for (size_t i = 0; i < o->nops; i++)
        to->n[o->ops[i]]++;
}

static struct sums server_sums(const struct tz_balance *s)
{
    return (struct sums){{[TZ_OUT_APPLIED] = s->applied,
                          [TZ_OUT_SUPERSEDED] = s->superseded,
                          [TZ_OUT_REFUSED] = s->refused,
                          [TZ_OUT_WAITING] = s->waiting,
                          [TZ_OUT_HELD] = s->held,
                          [TZ_OUT_UNDER_REVIEW] = s->under_review,
                          [TZ_OUT_WITHDRAWN] = s->withdrawn}};
}

/** What an installation counts, in the server's way: of what was taken back before it left the machine, the server has
 * judged an empty one. */
static struct sums own_sums(const struct sim_client *c, const struct tz_office_balance *b)
{
    struct sums sums = {{[TZ_OUT_APPLIED] = b->applied,
                         [TZ_OUT_SUPERSEDED] = b->superseded,
                         [TZ_OUT_REFUSED] = b->refused,
                         [TZ_OUT_WAITING] = b->waiting,
                         [TZ_OUT_HELD] = b->held,
                         [TZ_OUT_UNDER_REVIEW] = b->under_review,
                         [TZ_OUT_WITHDRAWN] = b->withdrawn}};
    for (size_t i = 0; i < c->nsaved; i++) {
        const struct sim_saved *s = &c->saved[i];
        const struct oracle_outcome *o = s->emptied ? sim_saved_outcome(c, s) : NULL;
        if (!o)
            continue;
        sums.n[TZ_OUT_WITHDRAWN] -= s->emptied_ops;
        add_outcome(&sums, o);
    }
    return sums;
}

/** What an installation should count: the oracle's word on each of its saves. */
static struct sums saved_sums(const struct sim_client *c)
{
    struct sums sums = {{0}};
    for (size_t i = 0; i < c->nsaved; i++) {
        const struct oracle_outcome *o = sim_saved_outcome(c, &c->saved[i]);
        if (o)
            add_outcome(&sums, o);
    }
    return sums;
}

/** What the server should count of a device that was copied: every save once, and what is held of copies. */
static struct sums device_sums(struct sim *w, uint32_t device)
{
    struct sums sums = {{0}};
    size_t n;
    const struct oracle_outcome *o = oracle_outcomes(w->oracle, &n);
    for (size_t i = 0; i < n; i++)
        if (o[i].device == device && !o[i].repeated &&
            oracle_outcome_of(w->oracle, device, o[i].incarnation, o[i].seq) == &o[i])
            add_outcome(&sums, &o[i]);
    sums.n[TZ_OUT_HELD] = sim_held_ops(w, device);
    return sums;
}

static void compare_sums(struct sim *w, const char *who, const struct sums *is, const struct sums *want)
{
    static const char *const NAMES[] = {"",        "applied", "superseded",   "refused",
                                        "waiting", "held",    "under review", "withdrawn"};
    for (int i = TZ_OUT_APPLIED; i <= TZ_OUT_WITHDRAWN; i++)
        if (is->n[i] != want->n[i])
            sim_fail(w, "P7: %s: %" PRIu64 " ops are %s, and %" PRIu64 " should be", who, is->n[i], NAMES[i],
                     want->n[i]);
}

static uint64_t accounted_for(const struct tz_office_balance *b)
{
    return b->unsent + b->applied + b->superseded + b->refused + b->waiting + b->held + b->under_review + b->withdrawn +
           b->undone + b->lost;
}

/** An installation's own account, and the server's of its device. */
static void check_balance(struct sim *w, struct sim_client *c)
{
    struct tz_err err = {0};
    struct tz_office_balance b = {0};
    struct tz_balance s = {0};
    int rc = tz_store_balance(w->server.store, c->dev->number, &s, &err);
    if (!rc && c->office && !c->shut_out)
        rc = tz_office_balance(c->office, &b, &err);
    if (rc) {
        sim_fail(w, "%s: balance: %d %s", c->name, rc, err.trail);
        return;
    }
    if (!c->office || c->shut_out) /* it has nothing to compare with any more */
        return;
    uint64_t sum = accounted_for(&b);
    if (b.made != sum)
        sim_fail(w, "P7: %s made %" PRIu64 " ops, accounted for %" PRIu64, c->name, b.made, sum);
    /* The server may know better of one that the backup had waiting, and whose words are gone here: it judges that later, and
     * the answer is not asked for again. */
    if (!sim_copies_any(w, c->dev->number) && b.undone_saves < s.undone)
        sim_fail(w, "P7: %s has %" PRIu64 " saves that a restore undid, the server %" PRIu64, c->name, b.undone_saves,
                 s.undone);
    if (w->blind)
        return;
    const struct sums own = own_sums(c, &b);
    const struct sums server = server_sums(&s);
    if (!sim_copies_any(w, c->dev->number)) {
        compare_sums(w, c->name, &own, &server);
        return;
    }
    struct sums want = saved_sums(c);
    compare_sums(w, c->name, &own, &want);
    want = device_sums(w, c->dev->number);
    compare_sums(w, "the server", &server, &want);
    if (s.missing)
        sim_fail(w, "P7: the server misses %" PRIu64 " numbers of %s", s.missing, c->dev->name);
}

static void check_digest(struct sim *w, struct sim_client *c)
{
    struct tz_err err = {0};
    struct tz_device d;
    struct tz_grant *g = calloc(1, sizeof *g);
    struct tz_msg_verified mine = {0};
    struct tz_msg_verified server = {0};
    struct tz_msg_verify ask = {0};
    if (!g)
        abort();
    int rc = tz_store_device_by_number(w->server.store, c->dev->number, &d, &err);
    rc = rc == 1 ? tz_store_grant_of(w->server.store, &d, sim_server_wall(w).ms, g, &err) : rc;
    if (!rc)
        rc = tz_office_digest(c->office, &mine, &err);
    ask.audit_n = mine.audit_n;
    memcpy(ask.audit_hash, mine.audit_hash, TZ_HASH_BYTES);
    if (!rc)
        rc = tz_store_verify(w->server.store, g, &ask, &server, &err);
    if (rc)
        sim_fail(w, "%s: digest: %d %s", c->name, rc, err.trail);
    else if (mine.rows != server.rows || memcmp(mine.digest, server.digest, TZ_HASH_BYTES) != 0)
        sim_fail(w, "P3: %s has %" PRIu64 " rows at %" PRIu64 ", the server %" PRIu64 " at %" PRIu64 ", digests %s",
                 c->name, mine.rows, mine.ver & 0xFFFFFF, server.rows, server.ver & 0xFFFFFF,
                 memcmp(mine.digest, server.digest, TZ_HASH_BYTES) == 0 ? "agree" : "differ");
    else if (!server.audit_ok && !w->blind)
        sim_fail(w, "%s: its audit head is not the server's", c->name);
    free(g);
}

/* ---- view against confirmed ---- */

struct sum {
    uint64_t rows, hash;
};

static int add_row(void *ctx, const struct tz_row *row)
{
    struct sum *s = ctx;
    struct tz_buf b;
    tz_buf_init(&b, TZ_ROW_BYTES_MAX);
    if (tz_row_dump(row, true, &b))
        abort();
    for (size_t i = 0; i < b.len; i++)
        s->hash = (s->hash ^ b.p[i]) * 1099511628211U;
    s->rows++;
    tz_buf_deinit(&b);
    return 1;
}

static void check_view(struct sim *w, struct sim_client *c)
{
    struct tz_err err = {0};
    struct sum view = {0, 7};
    struct sum confirmed = {0, 7};
    int rc = tz_office_each_row(c->office, true, false, add_row, &view, &err);
    if (!rc)
        rc = tz_office_each_row(c->office, false, false, add_row, &confirmed, &err);
    if (rc)
        sim_fail(w, "%s: reading rows: %d %s", c->name, rc, err.trail);
    else if (view.rows != confirmed.rows || view.hash != confirmed.hash)
        sim_fail(w, "%s still shows own edits: %" PRIu64 " rows, confirmed %" PRIu64, c->name, view.rows,
                 confirmed.rows);
}

/* ---- what is on the disk ---- */

static void scan_file(struct sim_client *c, const char *name, const bool *keeps)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(TZ_MEMVFS_NAME);
    char path[128];
    int64_t size = tz_memdisk_size(c->disk, name);
    if (size <= 0)
        return;
    sqlite3_file *f = calloc(1, (size_t)vfs->szOsFile);
    uint8_t *bytes = malloc((size_t)size);
    int flags = SQLITE_OPEN_READWRITE | (strstr(name, "-wal") ? SQLITE_OPEN_WAL : SQLITE_OPEN_MAIN_DB);
    if (!f || !bytes)
        abort();
    if (vfs->xOpen(vfs, tz_memdisk_path(c->disk, name, path, sizeof path), f, flags, NULL) == SQLITE_OK) {
        if (f->pMethods->xRead(f, bytes, (int)size, 0) == SQLITE_OK) {
            sim_check_taint(c, tz_bytes_of(bytes, (size_t)size), "the disk");
            if (keeps)
                sim_wiped_check(c, keeps, tz_bytes_of(bytes, (size_t)size), name);
        }
        f->pMethods->xClose(f);
    }
    free(bytes);
    free(f);
}

/** @settled: nothing hangs, and everything that left is wiped. */
static void check_disk(struct sim_client *c, bool settled)
{
    bool *keeps = settled ? sim_wiped_expect(c) : NULL;
    c->w->n.wiped_searched += settled;
    tz_sync_free(c->sync);
    c->sync = NULL;
    tz_office_close(c->office);
    c->office = NULL;
    c->up = false;
    scan_file(c, "office.db", keeps);
    scan_file(c, "office.db-wal", keeps);
    free(keeps);
}

/** The sums of a device at any moment, and that what it was told is saved is there. */
static void check_office(struct sim *w, struct sim_client *c)
{
    struct tz_err err = {0};
    struct tz_office_balance b = {0};
    int rc = tz_office_balance(c->office, &b, &err);
    if (!rc)
        rc = tz_db_check(tz_office_db(c->office), true, &err);
    uint64_t sum = accounted_for(&b);
    if (rc)
        sim_fail(w, "%s: its database: %d %s", c->name, rc, err.trail);
    else if (b.made != sum)
        sim_fail(w, "P7: %s made %" PRIu64 " ops, accounted for %" PRIu64, c->name, b.made, sum);
    sim_client_record(c, 0);
    if (!c->damaged && !c->shut_out)
        sim_check_checkpoint(c);
}

static void check_server(struct sim *w)
{
    struct tz_err err = {0};
    uint64_t entries = 0;
    int rc = tz_store_audit_check(w->server.store, &entries, &err);
    if (!rc)
        rc = tz_db_check(tz_store_db(w->server.store), true, &err);
    if (rc)
        sim_fail(w, "the server's log or database: %d %s", rc, err.trail);
}

void sim_check_safe(struct sim *w)
{
    if (w->server.up)
        check_server(w);
    for (size_t i = 0; i < w->nclients && !w->failed; i++) {
        struct sim_client *c = &w->clients[i];
        if (c->office && c->up && !tz_memdisk_is_off(c->disk)) {
            check_office(w, c);
            check_disk(c, false);
        }
    }
}

/** Every case the oracle has is on the server, or its rows would have been compared when they changed. */
static void check_cases(struct sim *w)
{
    size_t n;
    const struct oracle_case *v = oracle_cases(w->oracle, &n);
    int64_t have = tz_replica_count(w->server.look, tz_catalogue_type(w->server.cat, "case"));
    if (have != (int64_t)n)
        sim_fail(w, "the server has %" PRId64 " cases, the oracle %zu", have, n);
    w->n.cases_closed = 0;
    for (size_t i = 0; i < n; i++)
        w->n.cases_closed += !v[i].open;
    check_server(w);
}

static int note_hanging(void *ctx, const struct tz_outbox_entry *e)
{
    (void)e;
    *(bool *)ctx = true;
    return 0;
}

/** Where nothing is granted nobody can take anything back, either. */
static bool must_hang(struct sim_client *c)
{
    struct tz_err err = {0};
    bool hangs = false;
    if (c->area[0] == '\0' && tz_office_outbox_each(c->office, true, note_hanging, &hangs, &err))
        sim_fail(c->w, "%s: outbox: %d %s", c->name, err.code, err.trail);
    return hangs;
}

void sim_check_end(struct sim *w, bool settled)
{
    if (w->blind)
        check_server(w);
    else
        check_cases(w);
    for (size_t i = 0; i < w->nclients && !w->failed; i++) {
        struct sim_client *c = &w->clients[i];
        check_saves(w, c);
        check_balance(w, c);
        if (!c->office || w->failed || c->shut_out)
            continue;
        sim_check_checkpoint(c);
        if (!settled)
            continue;
        if (!must_hang(c))
            check_view(w, c);
        check_digest(w, c);
    }
    for (size_t i = 0; i < w->nclients && settled && !w->failed; i++)
        if (w->clients[i].office)
            check_disk(&w->clients[i], !w->clients[i].hurt && !w->blind && !must_hang(&w->clients[i]));
}
