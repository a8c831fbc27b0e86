/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this device must not hold any more: records that left its areas, areas that left its grant, and everything when
 * it is revoked. Their rows go from the tables with the Welcome or the row that says so (grant.c, feed.c); here the
 * rest goes: words about them in settled saves, kept copies of imports, and what the database file still has of all
 * that.
 *
 *   nothing ──records or areas went──> ROWS ──words emptied──> PAGES ──file rewritten, WAL cut off──> RECEIPT
 *   ──noted──> nothing (records only: nothing)
 *
 * Invariants
 *  1. Nothing is emptied before it was handed in and judged: ROWS waits for the outbox, and a save whose answer is not
 *     final, or which is still on the screen, keeps its words. KEPT remembers that there are such: when one of them is
 *     settled, ROWS is owed again.
 *  2. Each step is durable before the next, and may be done again: a crash anywhere is made good by the next session.
 *  3. The receipt goes out only when the file holds nothing any more but what (1) keeps; what leaves while it is on its
 *     way is not what it was about. The caller has the folder's sync lease.
 *  4. A kept sheet names records whether a save came of them or not, so sheets go with any wipe; those with rows that
 *     somebody has to correct, when a save of theirs goes or an area went. SHEETS remembers what an import was reading
 *     just then: the next session looks again.
 *  5. Deleted content is overwritten (secure_delete); the file is written anew because pages that were split or moved
 *     may hold older copies, and the WAL is emptied because it holds the pages as they were.
 */
#include "area_rule.h"
#include "frame.h"
#include "import.h"
#include "log.h"
#include "office_int.h"
#include "planted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char STAGE[] = "wipe";
static const char OWED[] = "wipe.receipt";
static const char KEPT[] = "wipe.kept";
static const char SHEETS[] = "wipe.sheets";
static const char REVOKED[] = "revoked";

/* ---- small marks ---- */

static int mark(struct tz_office *o, const char *key, const char *value, struct tz_err *err)
{
    struct tz_stmt *s = value ? tz_office_sql(o, OS_META_SET, "INSERT OR REPLACE INTO meta VALUES(?, ?)", err)
                              : tz_office_sql(o, OS_META_DEL, "DELETE FROM meta WHERE key = ?", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_text(s, 1, key);
    if (value)
        tz_stmt_bind_text(s, 2, value);
    return tz_stmt_run(s, err);
}

/** The mark's first character; '\0' when there is none. */
static int marked(struct tz_office *o, const char *key, char *out, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_META_GET, "SELECT value FROM meta WHERE key = ?", err);
    *out = '\0';
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_text(s, 1, key);
    int rc = tz_stmt_step(s, err);
    if (rc == 1 && tz_stmt_text(s, 0))
        *out = tz_stmt_text(s, 0)[0];
    tz_stmt_reset(s);
    return rc < 0 ? rc : 0;
}

int tz_wipe_owe(struct tz_office *o, bool receipt, struct tz_err *err)
{
    int rc = mark(o, STAGE, "rows", err);
    return rc || !receipt ? rc : mark(o, OWED, "1", err);
}

int tz_wipe_settled(struct tz_office *o, struct tz_err *err)
{
    char kept;
    int rc = marked(o, KEPT, &kept, err);
    if (rc || !kept)
        return rc;
    rc = mark(o, KEPT, NULL, err);
    return rc ? rc : tz_wipe_owe(o, false, err);
}

int tz_wipe_filled(struct tz_office *o, struct tz_err *err)
{
    int64_t words = 0;
    int rc = tz_db_query_int(o->db, "SELECT EXISTS(SELECT 1 FROM outbox WHERE length(raw) > 0)", &words, err);
    return rc || !words ? rc : tz_wipe_owe(o, false, err);
}

int tz_office_wipe_due(struct tz_office *o, bool *due, struct tz_err *err)
{
    char stage;
    int rc = marked(o, STAGE, &stage, err);
    *due = stage != '\0';
    return rc;
}

/* ---- words in settled saves ---- */

/** Is the record here, under its own name or among those that this catalogue lacks? 1, 0, negative. */
static int is_here(struct tz_office *o, const struct tz_op *op, struct tz_arena *a, struct tz_err *err)
{
    const struct tz_type *t = tz_catalogue_type_id(o->cat, op->type);
    struct tz_image *im = tz_arena_alloc(a, sizeof *im);
    bool shadowed = false;
    if (!im)
        return tz_office_nomem(err);
    if (t) {
        int rc = tz_overlay_confirmed(o, t, op->id, a, im, &shadowed, err);
        return rc ? rc : im->state != TZ_IMAGE_NONE;
    }
    struct tz_stmt *s =
        tz_office_sql(o, OS_RAW_GET, "SELECT ver, district, street FROM raw_row WHERE type = ? AND id = ?", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, op->type);
    tz_stmt_bind_id(s, 2, &op->id);
    int rc = tz_stmt_step(s, err);
    tz_stmt_reset(s);
    return rc;
}

/** Would what the op was to make lie within the grant? 1, 0, negative. */
static int belongs_here(struct tz_office *o, const struct tz_op *op, struct tz_arena *a, struct tz_err *err)
{
    const struct tz_type *t = tz_catalogue_type_id(o->cat, op->type);
    struct tz_record *rec = tz_arena_alloc(a, sizeof *rec);
    struct tz_area area;
    struct tz_err ignored = {0};
    if (!rec)
        return tz_office_nomem(err);
    if (!t || (op->kind != TZ_OP_CREATE && op->kind != TZ_OP_APPEND) ||
        tz_record_decode(t, op->values, a, rec, &ignored))
        return 0;
    int rc = tz_area_of(o->rep, rec, a, &area, err);
    struct tz_stmt *s = rc != 1 ? NULL
                                : tz_office_sql(o, OS_WIPE_GRANTED,
                                                "SELECT 1 FROM grant_area WHERE district = ?1 AND (street = '' OR"
                                                " street = ?2)",
                                                err);
    if (!s)
        return rc == 1 ? tz_office_code(err) : rc;
    tz_stmt_bind_text(s, 1, area.district);
    tz_stmt_bind_text(s, 2, area.street);
    rc = tz_stmt_step(s, err);
    tz_stmt_reset(s);
    return rc;
}

/** A save that still has its words. */
struct wordy {
    uint64_t seq;
    enum tz_outcome outcome;
    bool settled; /* nothing more comes of it, and it is not on the screen */
    struct tz_buf raw, result;
};

/** Did op @i of @cs make anything? What was refused alone (of a sheet) did not; what went under review may have by now:
 * nobody tells its author. */
static bool happened(const struct wordy *w, const struct tz_changeset *cs, const struct tz_result *r, size_t i)
{
    enum tz_outcome oc = r->nops == cs->nops && r->ops[i].outcome ? r->ops[i].outcome : w->outcome;
    return oc == TZ_OUT_APPLIED || oc == TZ_OUT_SUPERSEDED || oc == TZ_OUT_UNDER_REVIEW;
}

/** Does the save say anything about what is not here? What never came to be has not left either: as long as it would
 * lie within the grant, its words are there to be mended. Nor does anybody need words that cannot be read.
 * 1, 0, negative. @import: the sheet it came from. */
static int says_too_much(struct tz_office *o, const struct wordy *w, struct tz_id *import, struct tz_err *err)
{
    struct tz_arena a;
    struct tz_changeset cs = {0};
    struct tz_result r = {0};
    struct tz_err ignored = {0};
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    int rc = tz_msg_read_changeset(tz_buf_unread(&w->raw), &a, &cs, &ignored);
    int here = rc == TZ_E_NOMEM ? tz_office_nomem(err) : rc == 0;
    if (here == 1 && tz_msg_read_result(tz_buf_unread(&w->result), &a, &r, &ignored))
        r.nops = 0;
    for (size_t i = 0; here == 1 && i < cs.nops; i++) {
        if (cs.ops[i].kind == TZ_OP_WITHDRAW)
            continue;
        here = is_here(o, &cs.ops[i], &a, err);
        if (here == 0 && !happened(w, &cs, &r, i))
            here = belongs_here(o, &cs.ops[i], &a, err);
    }
    *import = cs.import_id;
    tz_arena_deinit(&a);
    return here < 0 ? here : here == 0;
}

/** The next save after w->seq that still has words. 1, 0, negative. */
static int next_wordy(struct tz_office *o, struct wordy *w, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_WIPE_NEXT,
                                      "SELECT seq, raw, result, outcome, in_overlay = 0 AND outcome NOT IN (0, 4, 5)"
                                      " AND reoffer = 0 FROM outbox WHERE seq > ? AND length(raw) > 0 ORDER BY seq"
                                      " LIMIT 1",
                                      err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, (int64_t)w->seq);
    int rc = tz_stmt_step(s, err);
    tz_buf_clear(&w->raw);
    tz_buf_clear(&w->result);
    if (rc == 1) {
        struct tz_bytes raw = tz_stmt_blob(s, 1);
        struct tz_bytes result = tz_stmt_blob(s, 2);
        w->seq = (uint64_t)tz_stmt_int(s, 0);
        w->outcome = (enum tz_outcome)tz_stmt_int(s, 3);
        w->settled = tz_stmt_int(s, 4) != 0;
        rc = tz_buf_put(&w->raw, raw.p, raw.n);
        rc = rc ? rc : tz_buf_put(&w->result, result.p, result.n);
        rc = rc ? tz_office_nomem(err) : 1;
    }
    tz_stmt_reset(s);
    return rc;
}

static int empty_save(struct tz_office *o, uint64_t seq, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_WIPE_EMPTY, "UPDATE outbox SET raw = x'' WHERE seq = ?", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, (int64_t)seq);
    return tz_stmt_run(s, err);
}

/** Sheets of saves that have no words here any more: nobody can tell what they are about. @kept: one is being read. */
static int forget_sheets_of_emptied(struct tz_office *o, bool *kept, struct tz_err *err)
{
    struct tz_stmt *s =
        tz_office_sql(o, OS_WIPE_EMPTIED,
                      "SELECT DISTINCT import_id FROM outbox WHERE import_id IS NOT NULL AND length(raw) = 0", err);
    int rc = 0;
    if (!s)
        return tz_office_code(err);
    while (o->imports && (rc = tz_stmt_step(s, err)) == 1) {
        struct tz_id import;
        tz_stmt_id(s, 0, &import);
        *kept = !tz_import_forget(o->imports, import) || *kept;
    }
    tz_stmt_reset(s);
    return rc;
}

/**
 * Empty every settled save that tells of what is no longer here; @n counts them. @kept becomes true when such a save
 * has to keep its words until it is settled (it has no final outcome, is shown over the rows, or is to be offered
 * again), or when the sheet that it was read from is in use. It never becomes false here.
 */
static int empty_saves(struct tz_office *o, uint64_t *n, bool *kept, struct tz_err *err)
{
    struct wordy w = {0};
    int rc;
    tz_buf_init(&w.raw, TZ_CHANGESET_BYTES_MAX);
    tz_buf_init(&w.result, TZ_FRAME_BODY_MAX);
    while ((rc = next_wordy(o, &w, err)) == 1) {
        struct tz_id import = {{0}};
        int much = TZ_PLANTED(WIPED_WORDS_STAY) ? 0 : says_too_much(o, &w, &import, err);
        *kept = *kept || (much == 1 && !w.settled);
        rc = much < 0 ? much : much && w.settled ? empty_save(o, w.seq, err) : 0;
        if (!rc && much && w.settled && !tz_id_is_zero(import) && o->imports) /* the sheet said it, too */
            *kept = !tz_import_forget(o->imports, import) || *kept;
        if (rc)
            break;
        *n += much == 1 && w.settled;
    }
    tz_buf_deinit(&w.raw);
    tz_buf_deinit(&w.result);
    tz_overlay_cache_drop(o);
    return rc ? rc : forget_sheets_of_emptied(o, kept, err);
}

/* ---- sheets ---- */

/** "all" when an area went, also while one was still being read. */
static int forget_sheets(struct tz_office *o, struct tz_err *err)
{
    char owed;
    char was;
    int rc = o->imports ? marked(o, OWED, &owed, err) : 0;
    if (!rc && o->imports)
        rc = marked(o, SHEETS, &was, err);
    if (rc || !o->imports)
        return rc;
    bool all = owed || was == 'a';
    bool gone = tz_import_forget_idle(o->imports, all);
    return mark(o, SHEETS, gone ? NULL : all ? "all" : "finished", err);
}

int tz_wipe_sheets_again(struct tz_office *o, struct tz_err *err)
{
    char left;
    int rc = marked(o, SHEETS, &left, err);
    return rc || !left ? rc : tz_wipe_owe(o, false, err);
}

/* ---- the steps ---- */

static int step_rows(struct tz_office *o, bool *waits, struct tz_err *err)
{
    int64_t unsent = 0;
    uint64_t n = 0;
    bool kept = false;
    int rc = tz_office_begin(o, err);
    if (rc)
        return rc;
    rc = tz_db_query_int(o->db,
                         "SELECT (SELECT count(*) FROM outbox WHERE reoffer = 1 OR (outcome = 0 AND incarnation ="
                         " (SELECT incarnation FROM office))) + (SELECT count(*) FROM refresh)",
                         &unsent, err);
    *waits = !rc && unsent > 0;
    if (!rc && !unsent)
        rc = empty_saves(o, &n, &kept, err);
    if (!rc && !unsent)
        rc = mark(o, KEPT, kept ? "1" : NULL, err);
    if (!rc && !unsent)
        rc = forget_sheets(o, err);
    if (!rc && !unsent)
        rc = mark(o, STAGE, "pages", err);
    rc = tz_office_end(o, rc, err);
    if (!rc && !unsent)
        tz_log(TZ_LOG_INFO, "office", "wiped", "saves=%llu", (unsigned long long)n);
    return rc;
}

static int rewrite(struct tz_office *o, struct tz_err *err)
{
    int rc = tz_db_exec(o->db, "VACUUM", err);
    return rc ? rc : tz_db_checkpoint(o->db, true, err);
}

static int step_pages(struct tz_office *o, struct tz_err *err)
{
    char owed;
    int rc = rewrite(o, err);
    if (!rc)
        rc = tz_office_begin(o, err);
    if (rc)
        return rc;
    rc = marked(o, OWED, &owed, err);
    if (!rc)
        rc = mark(o, STAGE, owed ? "told" : NULL, err);
    return tz_office_end(o, rc, err);
}

int tz_office_wipe(struct tz_office *o, struct tz_wiped *out, struct tz_err *err)
{
    char stage;
    *out = (struct tz_wiped){0};
    int rc = tz_office_load(o, err);
    if (!rc)
        rc = marked(o, STAGE, &stage, err);
    if (!rc && stage == 'r')
        rc = step_rows(o, &out->waits, err);
    if (!rc && !out->waits)
        rc = marked(o, STAGE, &stage, err);
    if (!rc && stage == 'p') {
        rc = step_pages(o, err);
        if (rc == TZ_E_DB_BUSY || rc == TZ_E_DISK_FULL) { /* the next session tries again */
            tz_log(TZ_LOG_WARN, "office", "wipe-later", "code=%d", -rc);
            *err = (struct tz_err){0};
            return 0;
        }
        if (!rc)
            rc = marked(o, STAGE, &stage, err);
    }
    out->receipt = !rc && stage == 't';
    out->ver = o->st.checkpoint;
    return rc;
}

int tz_office_wipe_noted(struct tz_office *o, struct tz_err *err)
{
    char stage;
    int rc = tz_office_begin(o, err);
    if (rc)
        return rc;
    rc = marked(o, STAGE, &stage, err);
    bool told = stage == 't'; /* else more has left since the receipt went out: all of it once more */
    if (!rc && told)
        rc = mark(o, STAGE, NULL, err);
    if (!rc && told)
        rc = mark(o, OWED, NULL, err);
    return tz_office_end(o, rc, err);
}

/* ---- revoked ---- */

/** Applied saves that a restore of the server undid are unsent: nobody else may have their words. */
static int unsend_lost(struct tz_office *o, const struct tz_msg_wipe_order *order, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_WIPE_LOST,
                                      "UPDATE outbox SET outcome = 0, reoffer = 0 WHERE outcome IN (1, 2, 6) AND"
                                      " length(raw) > 0 AND ((ver > ?1 AND ver <= ?2) OR reoffer = 1)",
                                      err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, (int64_t)order->lost_above);
    tz_stmt_bind_int(s, 2, (int64_t)order->lost_upto);
    return tz_stmt_run(s, err);
}

int tz_office_revoked(struct tz_office *o, const struct tz_msg_wipe_order *order, struct tz_err *err)
{
    char was;
    int rc = tz_office_begin(o, err);
    if (rc)
        return rc;
    if (order->device != o->st.id.device)
        rc = tz_err_set(err, TZ_E_PROTOCOL, "another device's session", NULL, NULL, NULL);
    if (!rc)
        rc = marked(o, REVOKED, &was, err);
    if (!rc && !was) /* from here on nothing is saved here any more: all there will ever be to hand in is there */
        rc = mark(o, REVOKED, "1", err);
    if (!rc)
        rc = unsend_lost(o, order, err);
    return tz_office_end(o, rc, err);
}

int tz_wipe_check(struct tz_office *o, struct tz_err *err)
{
    char revoked;
    int rc = marked(o, REVOKED, &revoked, err);
    return rc || !revoked ? rc : tz_err_set(err, TZ_E_HELD_REVOKED, NULL, NULL, NULL, NULL);
}

static int drop_everything(struct tz_office *o, struct tz_err *err)
{
    static const char *const tables[] = {"outbox",      "outbox_touch", "_shadow",    "raw_row",
                                         "set_aside",   "lost_row",     "_tombstone", "grant_area",
                                         "device_user", "cursor",       "refresh"};
    char sql[TZ_NAME_MAX + 32];
    int rc = 0;
    for (size_t i = TZ_PLANTED(ERASE_KEEPS_SAVES) ? 1 : 0; i < sizeof tables / sizeof *tables && !rc; i++) {
        (void)snprintf(sql, sizeof sql, "DELETE FROM \"%s\"", tables[i]);
        rc = tz_db_exec(o->db, sql, err);
    }
    for (size_t i = 0; i < o->cat->ntypes && !rc; i++) {
        (void)snprintf(sql, sizeof sql, "DELETE FROM \"%s\"", o->cat->types[i].name);
        rc = tz_db_exec(o->db, sql, err);
    }
    return rc;
}

int tz_office_erase(struct tz_office *o, uint64_t *saves, struct tz_err *err)
{
    char was;
    char text[24];
    int64_t held = 0;
    int rc = tz_office_begin(o, err);
    if (rc)
        return rc;
    rc = marked(o, REVOKED, &was, err);
    if (!rc)
        rc = tz_db_query_int(o->db,
                             was == '2' ? "SELECT cast(value AS INTEGER) FROM meta WHERE key = 'revoked.saves'"
                                        : "SELECT count(*) FROM outbox WHERE outcome IN (4, 5)",
                             &held, err);
    (void)snprintf(text, sizeof text, "%lld", (long long)held);
    if (!rc && was != '2')
        rc = drop_everything(o, err);
    if (!rc && was != '2')
        rc = mark(o, "revoked.saves", text, err);
    if (!rc && was != '2')
        rc = mark(o, REVOKED, "2", err);
    tz_overlay_cache_drop(o);
    rc = tz_office_end(o, rc, err);
    if (!rc && o->imports)
        tz_import_forget_all(o->imports);
    *saves = (uint64_t)held;
    return rc ? rc : rewrite(o, err);
}
