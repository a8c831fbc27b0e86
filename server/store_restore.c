/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backup becomes the database, and what follows from that for the rest of its life.
 *
 *   versions   … backup's head R │ lost: given once, gone now │ epoch « 48 + counter of R + 1 …
 *                                 above = R          upto = epoch « 48 − 1
 *
 * Invariants
 *  1. The new epoch is above every epoch ever used here, and the counter goes on above the backup's: no version is ever
 * given twice.
 *  2. The restore is one transaction on a file that is nobody's database yet. It ends with a commit of its own, so the
 * head is in the new epoch before anybody asks.
 *  3. A range is lost as seen from this database: its own table says which, and travels with its backups. Of two
 * restores in a row each knows what it undid.
 *  4. Who saw a lost version saw up to `above`.
 */
#include "planted.h"
#include "store_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EPOCH_MAX = 32767 };

/* ---- lost ranges ---- */

static int lost_add(struct tz_store *s, struct tz_lost_range r, struct tz_err *err)
{
    struct tz_lost_range *v = realloc(s->lost, (s->nlost + 1) * sizeof *v);
    if (!v)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    s->lost = v;
    s->lost[s->nlost++] = r;
    return 0;
}

int tz_lost_load(struct tz_store *s, struct tz_err *err)
{
    struct tz_stmt st = {0};
    s->nlost = 0;
    int rc = tz_db_prepare(s->db, &st, "SELECT above,upto,epoch FROM lost_range ORDER BY epoch", err);
    while (!rc && (rc = tz_stmt_step(&st, err)) == 1)
        rc = lost_add(s,
                      (struct tz_lost_range){(tz_ver)tz_stmt_int(&st, 0), (tz_ver)tz_stmt_int(&st, 1),
                                             (uint32_t)tz_stmt_int(&st, 2)},
                      err);
    tz_stmt_finalize(&st);
    return rc;
}

tz_ver tz_lost_floor(const struct tz_store *s, tz_ver said)
{
    for (size_t i = s->nlost; i-- > 0;)
        if (said > s->lost[i].above && said <= s->lost[i].upto)
            return s->lost[i].above;
    return said;
}

bool tz_lost_is(const struct tz_store *s, tz_ver ver)
{
    return tz_lost_floor(s, ver) != ver;
}

size_t tz_store_lost_ranges(const struct tz_store *s, struct tz_lost_range *out, size_t max)
{
    size_t merged = s->nlost > max ? s->nlost - max : 0; /* into the first one that is told */
    for (size_t i = merged; i < s->nlost; i++)
        out[i - merged] = s->lost[i];
    if (merged)
        out[0].above = s->lost[0].above;
    return s->nlost - merged;
}

/* ---- the window ---- */

int tz_store_recovery(struct tz_store *s, struct tz_recovery *out, struct tz_err *err)
{
    struct tz_stmt st = {0};
    *out = (struct tz_recovery){0};
    int rc = tz_db_prepare(s->db, &st,
                           "SELECT above,epoch,old_epoch,restored_ms FROM lost_range ORDER BY epoch DESC LIMIT 1", err);
    if (!rc)
        rc = tz_stmt_step(&st, err);
    if (rc == 1) {
        out->restored_to = (tz_ver)tz_stmt_int(&st, 0);
        out->epoch = (uint32_t)tz_stmt_int(&st, 1);
        out->old_epoch = (uint32_t)tz_stmt_int(&st, 2);
        out->restored_ms = tz_stmt_int(&st, 3);
    }
    tz_stmt_finalize(&st);
    if (rc >= 0)
        rc = tz_store_meta_int(s, "recovery_until", &out->until_ms, err);
    out->open = out->until_ms > tz_clock_wall(&s->clock).ms;
    return rc;
}

int tz_store_recovery_close(struct tz_store *s, struct tz_err *err)
{
    struct tz_recovery r;
    int rc = tz_store_recovery(s, &r, err);
    if (rc)
        return rc;
    if (!r.open)
        return tz_err_set(err, TZ_E_NO_RECOVERY, NULL, NULL, NULL, NULL);
    rc = tz_store_meta_put(s, "recovery_until", tz_value_int(0), err);
    if (!rc)
        rc = tz_audit_add(s, "recovery closed", (struct tz_bytes){0}, err);
    return rc ? rc : tz_reoffer_end(s, err);
}

/* ---- restoring ---- */

static int note_range(struct tz_restoring *r, uint32_t epoch, struct tz_err *err)
{
    struct tz_store *s = r->s;
    struct tz_stmt st = {0};
    struct tz_lost_range range = {r->restored_to, ((tz_ver)epoch << TZ_VER_COUNTER_BITS) - 1, epoch};
    int rc = tz_db_prepare(
        s->db, &st, "INSERT INTO lost_range(epoch,above,upto,old_epoch,audit_n,restored_ms) VALUES(?,?,?,?,?,?)", err);
    if (!rc) {
        tz_stmt_bind_int(&st, 1, epoch);
        tz_stmt_bind_int(&st, 2, (int64_t)range.above);
        tz_stmt_bind_int(&st, 3, (int64_t)range.upto);
        tz_stmt_bind_int(&st, 4, r->backup.epoch);
        tz_stmt_bind_int(&st, 5, (int64_t)r->backup.audit_n);
        tz_stmt_bind_int(&st, 6, tz_clock_wall(&s->clock).ms);
        rc = tz_stmt_run(&st, err);
    }
    tz_stmt_finalize(&st);
    return rc ? rc : lost_add(s, range, err);
}

/** From here on everything is of the new epoch. */
static int raise_epoch(struct tz_restoring *r, uint32_t epoch, int64_t until_ms, struct tz_err *err)
{
    struct tz_store *s = r->s;
    char meta[160];
    tz_ver ver = 0;
    int rc = tz_store_meta_put(s, "epoch", tz_value_int(epoch), err);
    if (!rc)
        rc = tz_store_meta_put(s, "recovery_until", tz_value_int(until_ms), err);
    if (!rc) /* what was sent since the backup nobody knows */
        rc = tz_db_exec(s->db, "UPDATE device SET served=1; UPDATE grant_past SET served=1", err);
    if (!rc)
        rc = note_range(r, epoch, err);
    if (rc)
        return rc;
    s->epoch = epoch;
    s->group_head = (tz_ver)(TZ_PLANTED(EPOCH_KEPT) ? r->backup.epoch : epoch) << TZ_VER_COUNTER_BITS |
                    (r->restored_to & ((UINT64_C(1) << TZ_VER_COUNTER_BITS) - 1));
    (void)snprintf(meta, sizeof meta, "restore epoch=%u old=%u restored_to=%llu audit=%llu", epoch, r->backup.epoch,
                   (unsigned long long)r->restored_to, (unsigned long long)r->backup.audit_n);
    rc = tz_audit_add(s, meta, (struct tz_bytes){0}, err);
    return rc ? rc : tz_store_own_commit(s, &ver, err);
}

int tz_restore_begin(const char *path, const struct tz_store_options *o, uint32_t epoch, int64_t until_ms,
                     struct tz_restoring *out, struct tz_err *err)
{
    *out = (struct tz_restoring){0};
    struct tz_store_options quiet = *o;
    quiet.journal = NULL; /* what comes from the journal is in it */
    int rc = tz_store_open_bare(path, &quiet, &out->s, err);
    if (rc)
        return rc;
    out->backup = (struct tz_journal_head){out->s->epoch, out->s->audit_n};
    out->restored_to = out->s->head;
    if (epoch <= out->s->epoch)
        rc = tz_err_set(err, TZ_E_INTERNAL, "epoch", NULL, NULL, NULL);
    else if (epoch > EPOCH_MAX)
        rc = tz_err_set(err, TZ_E_LIMIT, "epoch", NULL, NULL, NULL);
    else
        rc = tz_store_group_begin(out->s, err);
    return rc ? rc : raise_epoch(out, epoch, until_ms, err);
}

int tz_restore_line(struct tz_restoring *r, const struct tz_journal_line *line, struct tz_err *err)
{
    size_t changed = 0;
    /* An older epoch's lines were carried out by the restore that ended it, and so are in this backup. */
    bool newer = line->epoch > r->backup.epoch || (line->epoch == r->backup.epoch && line->audit_n > r->backup.audit_n);
    if (!newer || line->entries.n == 0 || TZ_PLANTED(REVOKED_FORGOTTEN))
        return 0;
    int rc = tz_journal_replay(r->s, line, &changed, err);
    r->replayed += changed;
    return rc || !changed ? rc : tz_audit_add(r->s, "from the journal", line->entries, err);
}

int tz_restore_end(struct tz_restoring *r, int rc, struct tz_err *err)
{
    if (!r->s)
        return rc;
    if (!rc)
        rc = tz_store_group_commit(r->s, err);
    else
        tz_store_group_rollback(r->s);
    if (!rc) /* the file alone must be the database: it is going to be renamed */
        rc = tz_db_checkpoint(tz_store_db(r->s), true, err);
    tz_store_close(r->s);
    r->s = NULL;
    return rc;
}

/* ---- looking at a file ---- */

/** A store that can do no more than read the tables of every schema so far. */
static int open_to_look(const char *path, const struct tz_store_options *o, struct tz_store **out, struct tz_err *err)
{
    struct tz_db_options db = o->db;
    int64_t schema = 0;
    db.immutable = true;
    db.exclusive = false;
    *out = calloc(1, sizeof **out);
    if (!*out)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    (*out)->cat = o->catalogue;
    int rc = tz_db_open(path, TZ_DB_READ, &db, &(*out)->db, err);
    if (!rc)
        rc = tz_db_query_int((*out)->db, "PRAGMA user_version", &schema, err);
    if (!rc && schema > TZ_SERVER_MIGRATIONS) {
        char found[24];
        char known[24];
        (void)snprintf(found, sizeof found, "%lld", (long long)schema);
        (void)snprintf(known, sizeof known, "%d", TZ_SERVER_MIGRATIONS);
        rc = tz_err_set(err, TZ_E_DB_NEWER, found, known, NULL, NULL);
    }
    return rc;
}

static int read_facts(struct tz_store *s, struct tz_backup_facts *f, struct tz_err *err)
{
    int64_t epoch = 0;
    int64_t head = 0;
    int64_t schema = 0;
    int64_t catalogue = 0;
    int rc = tz_store_meta_int(s, "epoch", &epoch, err);
    if (!rc)
        rc = tz_db_query_int(s->db, "SELECT max(ver) FROM commit_log", &head, err);
    if (!rc)
        rc = tz_db_query_int(s->db, "PRAGMA user_version", &schema, err);
    if (!rc)
        rc = tz_store_meta_int(s, "seeded", &catalogue, err);
    if (!rc)
        rc = tz_store_audit_head(s, &f->audit_n, f->audit_hash, err);
    f->head = (tz_ver)head;
    f->epoch = (uint32_t)epoch;
    f->schema = (uint32_t)schema;
    f->catalogue = (uint32_t)catalogue;
    if (!rc && (epoch < 1 || epoch > EPOCH_MAX || (uint32_t)(f->head >> TZ_VER_COUNTER_BITS) != f->epoch))
        rc = tz_err_set(err, TZ_E_DB_CORRUPT, "epoch", NULL, NULL, NULL);
    return rc;
}

static int foreign_keys(struct tz_db *db, struct tz_err *err)
{
    struct tz_stmt st = {0};
    int rc = tz_db_prepare(db, &st, "PRAGMA foreign_key_check", err);
    if (!rc)
        rc = tz_stmt_step(&st, err);
    if (rc == 1) {
        const char *table = tz_stmt_text(&st, 0);
        rc = tz_err_setf(err, TZ_E_DB_CORRUPT, "foreign key of %s", table ? table : "?");
    }
    tz_stmt_finalize(&st);
    return rc;
}

int tz_store_inspect(const char *path, const struct tz_store_options *o, struct tz_backup_facts *out,
                     struct tz_err *err)
{
    struct tz_store *s = NULL;
    struct tz_backup_facts facts = {0};
    uint64_t entries = 0;
    int rc = open_to_look(path, o, &s, err);
    if (!rc)
        rc = tz_db_check(s->db, false, err);
    if (!rc)
        rc = foreign_keys(s->db, err);
    if (!rc)
        rc = tz_store_audit_check(s, &entries, err);
    if (!rc)
        rc = read_facts(s, &facts, err);
    if (!rc && out)
        *out = facts;
    tz_store_close(s);
    return rc;
}

int tz_store_settle(const char *path, const struct tz_store_options *o, uint32_t *epoch, struct tz_err *err)
{
    struct tz_store s = {0};
    int64_t last = 0;
    int rc = tz_db_open(path, TZ_DB_WRITE, &o->db, &s.db, err);
    int unread = rc ? 0 : tz_store_meta_int(&s, "epoch", &last, err);
    tz_stmt_reset(&s.stmts[TZ_SQL_META_GET]);
    if (!rc) /* pages are copied as they are, whatever they say */
        rc = tz_db_checkpoint(s.db, true, unread ? NULL : err);
    rc = rc ? rc : unread;
    tz_stmt_finalize(&s.stmts[TZ_SQL_META_GET]);
    tz_db_close(s.db);
    *epoch = rc || last < 0 || last > EPOCH_MAX ? 0 : (uint32_t)last;
    return rc;
}
