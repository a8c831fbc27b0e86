/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is kept in fewer bytes: up to which version devices may empty own saves, and the words of cases that were closed
 * long ago.
 *
 *   upto = the least of: for each folder with backups, how far all of them agree with this database
 *                        the newest version that is compact_days old, by this machine's clock
 *          0 while no backup is known, and while a recovery window is open
 *
 * A backup agrees up to its head where this database goes on from it. Where one of them went back to an older state
 * since, they agree up to there: this database's epochs are followed back to the backup's. A backup whose epoch is not
 * among them is of a time line that was given up itself; then nothing is said to agree.
 *
 * Why a device that empties a save of a version <= upto can never be asked for it again: what is asked again is what a
 * restore has undone, and a restore to a backup that is kept undoes nothing up to `upto`. Backups that are made later
 * reach farther. A database that was restored says what its backup said, which is less or the same. Versions of a range
 * that is lost here are marked by the device before it looks at `upto` (client/lost.c), and keep their words. Whoever
 * goes back to a copy that was not kept loses what is only there: the devices count it (lost saves).
 *
 * A closed case that has not changed since a version <= upto which every device in lease has acknowledged loses what
 * its candidates said. It keeps who said it, when, of which fields, and the rule that decided; what was said is in the
 * audit log, where `history` and `why` find it. An ordinary version, which the devices receive. Not emptied: what a
 * later judgement may read (is_done), and what no entry of the audit log has (empty_candidate).
 */
#include "case_int.h"
#include "purge_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOKS_MAX = 512, TAKEN_MAX = 32, STEP_ARENA_BYTES = 16 * 1024 * 1024 };

/* ---- backups ---- */

/** Up to where a backup and this database are the same. */
static int agrees(struct tz_store *s, const struct tz_backup_state *b, tz_ver *upto, struct tz_err *err)
{
    uint32_t epoch = s->epoch;
    int rc = 1;
    *upto = b->head;
    while (epoch != b->epoch && rc == 1) {
        struct tz_stmt *st = tz_store_sql(s, TZ_SQL_EPOCH_FROM, err);
        if (!st)
            return TZ_E_DB;
        tz_stmt_bind_int(st, 1, epoch);
        rc = tz_stmt_step(st, err);
        if (rc == 1) {
            tz_ver above = (tz_ver)tz_stmt_int(st, 1);
            uint32_t older = (uint32_t)tz_stmt_int(st, 0);
            *upto = above < *upto ? above : *upto;
            rc = older < epoch; /* else it is damaged */
            epoch = older;
        }
        tz_stmt_reset(st);
    }
    if (rc != 1)
        *upto = 0;
    return rc < 0 ? rc : 0;
}

static int put_folder(struct tz_store *s, const char *folder, unsigned kept, tz_ver upto, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, kept ? TZ_SQL_FOLDER_PUT : TZ_SQL_FOLDER_DROP, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_text(st, 1, folder);
    if (kept) {
        tz_stmt_bind_int(st, 2, kept);
        tz_stmt_bind_int(st, 3, (int64_t)upto);
        tz_stmt_bind_int(st, 4, tz_clock_wall(&s->clock).ms);
    }
    return tz_stmt_run(st, err);
}

int tz_store_backups_told(struct tz_store *s, const char *folder, const struct tz_backup_state *held, size_t n,
                          unsigned kept, struct tz_err *err)
{
    tz_ver least = 0;
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++) {
        tz_ver upto = 0;
        rc = agrees(s, &held[i], &upto, err);
        least = i == 0 || upto < least ? upto : least;
    }
    if (!rc)
        rc = put_folder(s, folder, n ? kept : 0, least, err);
    return rc || n || tz_db_changes(s->db) ? rc : tz_err_set(err, TZ_E_NOT_FOUND, folder, NULL, NULL, NULL);
}

int tz_store_backup_oldest(struct tz_store *s, struct tz_backup_folder *out, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_FOLDER_OLDEST, err);
    *out = (struct tz_backup_folder){.upto = 0};
    if (!st)
        return TZ_E_DB;
    int rc = tz_stmt_step(st, err);
    if (rc == 1) {
        const char *path = tz_stmt_text(st, 0);
        memcpy(out->path, path, strnlen(path, sizeof out->path - 1));
        out->upto = (tz_ver)tz_stmt_int(st, 1);
        out->told_ms = tz_stmt_int(st, 2);
    }
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

/* ---- how far ---- */

int tz_store_compact_upto(struct tz_store *s, tz_ver *upto, struct tz_err *err)
{
    struct tz_recovery recovery = {0};
    struct tz_backup_folder oldest;
    int64_t aged = 0;
    *upto = 0;
    int rc = tz_store_recovery(s, &recovery, err);
    if (!rc)
        rc = tz_store_backup_oldest(s, &oldest, err);
    if (!rc)
        rc = tz_store_meta_int(s, "compact_aged", &aged, err);
    if (!rc && !recovery.open)
        *upto = oldest.upto < (tz_ver)aged ? oldest.upto : (tz_ver)aged;
    return rc;
}

/* ---- closed cases ---- */

/** A walk through closed cases: one step of it. */
struct emptying {
    struct tz_store *s;
    tz_ver limit, ver; /* ver: of the step's commit; 0 none yet */
    unsigned looks, taken;
    struct tz_arena a;
    struct tz_err *err;
};

/** Does the audit log have what it said? Not what a replica brought back after a restore, nor what the server itself
 * had written. */
static bool is_logged(const json_t *cand)
{
    const char *rule = json_string_value(json_object_get(cand, "rule"));
    return json_integer_value(json_object_get(cand, "device")) != 0 && !(rule && strcmp(rule, "lost") == 0);
}

/** The candidate says which fields it named, and no more what; that it wanted the record to live or to be deleted is no
 * word to save. 1 it changed, 0 not, negative. */
static int empty_candidate(json_t *cand)
{
    if (!is_logged(cand))
        return 0;
    json_t *values = json_object_get(cand, "values");
    json_t *fields = json_array();
    const char *name;
    json_t *value;
    void *next;
    int rc = fields ? 0 : TZ_E_NOMEM;
    json_object_foreach_safe(values, next, name, value)
    {
        if (rc || strcmp(name, TZ_CASE_LIFE) == 0)
            continue;
        rc = json_array_append_new(fields, json_string(name)) ? TZ_E_NOMEM : 0;
        if (!rc)
            (void)json_object_del(values, name);
    }
    bool any = !rc && json_array_size(fields) > 0;
    if (any && json_object_size(values) == 0)
        (void)json_object_del(cand, "values");
    if (any)
        rc = json_object_set(cand, "fields", fields) ? TZ_E_NOMEM : 1;
    json_decref(fields);
    return rc;
}

/** One of the lists of words of case @c. 1 it changed, 0 not, negative. */
static int empty_words(struct emptying *e, struct tz_row *c, const char *field)
{
    const struct tz_field *f = tz_type_field(e->s->case_type, field);
    struct tz_value *at = &c->rec.v[f->index];
    json_t *list = at->kind == TZ_V_TEXT ? json_loadb((const char *)at->p, at->n, 0, NULL) : NULL;
    bool changed = false;
    int rc = 0;
    for (size_t i = 0; i < json_array_size(list) && rc >= 0; i++) {
        rc = empty_candidate(json_array_get(list, i));
        changed = changed || rc == 1;
    }
    char *text = rc >= 0 && changed ? json_dumps(list, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (rc >= 0 && changed)
        rc = text ? tz_value_parse(f, text, &e->a, at, e->err) : TZ_E_NOMEM;
    free(text);
    json_decref(list);
    return rc < 0 ? rc : changed;
}

/** Nobody asks for its words again: judge_case.c and those that it serves read the words of open cases, of those that a
 * merge closed (UNMERGE opens them again), and of those that a supervisor decides about late or purged records. Cases
 * of kind `lost` hold what only replicas had. */
static bool is_done(const struct emptying *e, const struct tz_row *c)
{
    static const char *const kinds[] = {"conflict", "deleted"};
    const struct tz_type *t = e->s->case_type;
    struct tz_value kind = c->rec.v[tz_type_field(t, "kind")->index];
    bool known = false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        known = known || tz_value_is_text(kind, kinds[i]);
    return known && !c->deleted && c->ver <= e->limit &&
           tz_value_is_text(c->rec.v[tz_type_field(t, "state")->index], "closed") &&
           !tz_value_is_text(c->rec.v[tz_type_field(t, "choice")->index], "gone");
}

static int empty_case(struct emptying *e, struct tz_id id)
{
    tz_arena_reset(&e->a);
    struct tz_row *old = tz_arena_alloc(&e->a, sizeof *old);
    struct tz_row *c = tz_arena_alloc(&e->a, sizeof *c);
    int rc = old && c ? tz_replica_get(e->s->rep, e->s->case_type, id, &e->a, old, e->err) : TZ_E_NOMEM;
    if (rc < 1)
        return rc;
    *c = *old;
    if (!is_done(e, c))
        return 0;
    int open = empty_words(e, c, "candidates");
    int secret = open < 0 ? open : empty_words(e, c, "candidates_secret");
    if (open < 0 || secret < 0)
        return open < 0 ? open : secret;
    rc = (open || secret) && !e->ver ? tz_store_own_commit(e->s, &e->ver, e->err) : 0;
    if (!rc && (open || secret)) {
        rc = tz_rows_put(e->s, c, old, e->ver, &e->a, e->err);
        e->taken++;
    }
    return rc;
}

/** The next closed cases that are old enough, at most TAKEN_MAX; *@at moves behind what was looked at. */
static int next_cases(struct emptying *e, struct tz_purge_at *at, struct tz_id *out, size_t *n)
{
    struct tz_stmt *st = tz_store_sql(e->s, TZ_SQL_CASE_CLOSED_WALK, e->err);
    int rc = 0;
    *n = 0;
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_id(st, 1, &at->id);
    while (*n < TAKEN_MAX && e->looks < LOOKS_MAX && (rc = tz_stmt_step(st, e->err)) == 1) {
        (void)tz_stmt_id(st, 0, &at->id);
        e->looks++;
        if ((tz_ver)tz_stmt_int(st, 1) <= e->limit)
            out[(*n)++] = at->id;
    }
    tz_stmt_reset(st);
    at->done = rc == 0 && *n < TAKEN_MAX && e->looks < LOOKS_MAX;
    return rc < 0 ? rc : 0;
}

static int empty_cases(struct emptying *e)
{
    struct tz_id found[TAKEN_MAX];
    char meta[96];
    size_t n = 0;
    int rc = next_cases(e, &e->s->purge.cases, found, &n);
    for (size_t i = 0; i < n && !rc; i++)
        rc = empty_case(e, found[i]);
    if (rc || !e->taken)
        return rc;
    (void)snprintf(meta, sizeof meta, "compact ver=%llu limit=%llu cases=%u", (unsigned long long)e->ver,
                   (unsigned long long)e->limit, e->taken);
    return tz_audit_add(e->s, meta, (struct tz_bytes){0}, e->err);
}

int tz_compact_step(struct tz_store *s, const struct tz_purge_rules *r, tz_ver lowest, struct tz_purge_done *done,
                    bool *more, struct tz_err *err)
{
    struct emptying e = {.s = s, .err = err};
    tz_ver aged = 0;
    int rc = tz_purge_aged(s, "compact_aged", r->compact_ms, &aged, more, err);
    if (!rc)
        rc = tz_store_compact_upto(s, &e.limit, err);
    e.limit = lowest < e.limit ? lowest : e.limit;
    if (rc || *more || !e.limit || s->purge.cases.done)
        return rc;
    tz_arena_init(&e.a, STEP_ARENA_BYTES);
    rc = empty_cases(&e);
    tz_arena_deinit(&e.a);
    done->cases = e.taken;
    *more = !rc && !s->purge.cases.done;
    return rc;
}
