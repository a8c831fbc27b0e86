/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server goes back to a backup: a copy of its disk between two groups, with the journal that no restore forgets.
 * The product's own code makes it the newest state.
 *
 * From then on the oracle is not asked any more (w->blind): it does not know the order before the restore. What is
 * still checked: nobody who was shut out is let in again; every save that was ever made has an answer under its old
 * number, or its device says that it is lost; every replica equals the server's rows of its version; digests, sums,
 * logs; all is quiet soon after healing.
 */
#include "sim_check_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { DAY_MS = 24 * 3600 * 1000 };

/* ---- the journal ---- */

int sim_restore_note(void *ctx, struct tz_bytes line, struct tz_err *err)
{
    struct sim *w = ctx;
    struct sim_book *b = &w->book;
    struct tz_journal_line l;
    if (b->n == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 16;
        b->v = realloc(b->v, b->cap * sizeof *b->v);
    }
    char *copy = malloc(line.n);
    if (!copy || !b->v)
        abort();
    memcpy(copy, line.p, line.n);
    if (tz_journal_line_read(tz_bytes_of(copy, line.n), &l)) {
        free(copy);
        return tz_err_set(err, TZ_E_FORMAT, "journal", NULL, NULL, NULL);
    }
    b->v[b->n++] = (struct sim_line){copy, line.n, l.epoch, l.base_n, l.audit_n};
    return 0;
}

struct tz_journal_head sim_restore_known(const struct sim *w)
{
    struct tz_journal_head k = {0};
    for (size_t i = 0; i < w->book.n; i++) {
        const struct sim_line *l = &w->book.v[i];
        if (l->epoch > k.epoch || (l->epoch == k.epoch && l->base_n > k.audit_n))
            k = (struct tz_journal_head){l->epoch, l->base_n};
    }
    return k;
}

void sim_restore_prune(struct sim *w)
{
    uint64_t last = (uint64_t)sim_number(w, "SELECT max(n) FROM audit WHERE ?1=?1 AND ?2=?2", 0, 0, 0);
    while (w->book.n && w->book.v[w->book.n - 1].epoch == w->epoch && w->book.v[w->book.n - 1].audit_n > last)
        free(w->book.v[--w->book.n].text); /* of a group that never was: the next line would tell */
}

/* ---- acting ---- */

void sim_restore_backup(struct sim *w)
{
    struct sim_server *v = &w->server;
    if (!w->restores || !v->up || tz_memdisk_is_off(v->disk))
        return;
    struct sim_backup *b = &w->backups[w->nbackups < SIM_BACKUPS ? w->nbackups++ : (w->backup_turn++ % SIM_BACKUPS)];
    tz_memdisk_free(b->disk);
    uint64_t n = (uint64_t)sim_number(w, "SELECT max(n) FROM audit WHERE ?1=?1 AND ?2=?2", 0, 0, 0);
    tz_ver head = tz_store_head(v->store);
    *b = (struct sim_backup){tz_memdisk_clone(v->disk), head, head, n, n};
    w->n.backups++;
    sim_trace(w, "backup at %" PRIu64, b->head & 0xFFFFFF);
    sim_compact_tell(w);
}

/** What was told of versions above it is not so any more. */
static void forget(struct sim *w, struct sim_backup *b)
{
    struct sim_history *h = w->history;
    for (size_t i = 0; i < h->n; i++) {
        while (h->v[i].n && h->v[i].v[h->v[i].n - 1].ver > b->base)
            h->v[i].n--;
        sim_note_again(w, &h->v[i]); /* it lies where it was, and the grants of since then hold */
    }
    for (size_t k = 0; k < w->nclients; k++)
        for (size_t i = 0; i < w->clients[k].nsaved; i++) {
            struct sim_saved *s = &w->clients[k].saved[i];
            s->audited = s->audited && s->audit_n <= b->base_n;
        }
    w->server.audit_seen = b->base_n;
    w->server.ver_seen = b->base;
    w->blind = true;
    for (size_t i = 0; i < w->nbackups; i++) { /* the present one goes on from this */
        struct sim_backup *x = &w->backups[i];
        x->base = x == b || x->base < b->base ? x->base : b->base;
        x->base_n = x == b || x->base_n < b->base_n ? x->base_n : b->base_n;
    }
    b->base = b->head;
    b->base_n = b->audit_n;
}

/** A peer that is made by hand hands in again what has no answer any more. */
static void tell_raw(struct sim *w, struct tz_store *s)
{
    struct tz_err err = {0};
    for (size_t k = 0; k < w->nclients; k++) {
        struct sim_client *c = &w->clients[k];
        struct tz_device d;
        if (!c->dev->raw)
            continue;
        if (tz_store_device_by_number(s, c->dev->number, &d, &err) != 1)
            sim_fail(w, "%s is not in the backup", c->name);
        c->raw.answered = d.last_seq < c->raw.answered ? d.last_seq : c->raw.answered;
        c->raw.sent = c->raw.answered;
        c->raw.welcomed = false; /* answers that are still under way are forgotten, too */
        sim_net_cut(w, c->conn, SIM_CUT_CLEAN);
    }
}

static int renew(struct sim *w, int64_t until_ms, struct tz_err *err)
{
    struct tz_restoring r;
    struct tz_store_options o = sim_server_options(w);
    char path[128];
    int rc = tz_restore_begin(tz_memdisk_path(w->server.disk, "server.db", path, sizeof path), &o, w->epoch, until_ms,
                              &r, err);
    for (size_t i = 0; i < w->book.n && !rc; i++) {
        struct tz_journal_line l;
        rc = tz_journal_line_read(tz_bytes_of(w->book.v[i].text, w->book.v[i].n), &l);
        rc = rc ? rc : tz_restore_line(&r, &l, err);
    }
    if (!rc)
        tell_raw(w, r.s);
    rc = tz_restore_end(&r, rc, err);
    w->n.replayed += r.replayed;
    return rc;
}

void sim_restore_act(struct sim *w, struct sim_rng *r)
{
    static const int64_t WINDOW_MS[] = {0, 20000, 120000, INT64_C(30) * DAY_MS};
    struct tz_err err = {0};
    if (!w->nbackups || !w->server.up)
        return;
    struct sim_backup *b = &w->backups[sim_below(r, w->nbackups)];
    int64_t window = WINDOW_MS[sim_below(r, 4)];
    sim_room_again(w, SIM_OF_SERVER);
    sim_server_crash(w, false);
    tz_memdisk_free(w->server.disk);
    w->server.disk = tz_memdisk_clone(b->disk);
    w->epoch++;
    w->n.restores++;
    w->renewed = true;
    w->lost[w->nlost++ % SIM_LOST] = (struct sim_lost){b->head, (tz_ver)w->epoch << TZ_VER_COUNTER_BITS};
    sim_trace(w, "restored to %" PRIu64 ", window of %" PRId64 " s", b->head & 0xFFFFFF, window / 1000);
    forget(w, b);
    int rc = renew(w, window ? sim_server_wall(w).ms + window : 0, &err);
    if (rc)
        sim_fail(w, "restore: %d %s %s", rc, err.nargs ? err.args[0] : "", err.trail);
}

bool sim_restore_lost(const struct sim *w, tz_ver ver)
{
    for (size_t i = 0; i < w->nlost && i < SIM_LOST; i++)
        if (ver > w->lost[i].above && ver < w->lost[i].upto)
            return true;
    return false;
}

/* ---- at the end ---- */

static int close_window(struct sim *w, void *ctx, struct tz_err *err)
{
    (void)ctx;
    return tz_store_recovery_close(w->server.store, err);
}

void sim_restore_settle(struct sim *w)
{
    struct tz_recovery r;
    struct tz_err err = {0};
    if (!w->nlost || w->failed)
        return;
    if (tz_store_recovery(w->server.store, &r, &err))
        sim_fail(w, "recovery: %d %s", err.code, err.trail);
    else if (r.open)
        (void)sim_server_admin(w, close_window, NULL, 0);
    sim_server_release(w);
}

static bool is_there(struct sim *w, const struct tz_type *t, struct tz_id id)
{
    struct tz_arena a;
    struct tz_err err = {0};
    tz_arena_init(&a, 4 << 20);
    struct tz_row *row = tz_arena_alloc(&a, sizeof *row);
    int rc = tz_replica_get(w->server.look, t, id, &a, row, &err);
    if (rc < 0)
        sim_fail(w, "reading a purged row: %d %s", rc, err.trail);
    tz_arena_deinit(&a);
    return rc == 1;
}

/** What had been purged since the backup is gone at once: the journal says so. */
static void note_purged(struct sim *w)
{
    struct tz_err err = {0};
    struct tz_stmt st = {0};
    int rc = tz_db_prepare(tz_store_db(w->server.store), &st, "SELECT type, id FROM purged", &err);
    while (!rc && (rc = tz_stmt_step(&st, &err)) == 1) {
        struct tz_id id;
        tz_stmt_id(&st, 1, &id);
        const struct tz_type *t = tz_catalogue_type_id(w->cat, (uint32_t)tz_stmt_int(&st, 0));
        struct past *p = sim_past_of(w->history, t, id, false);
        bool gone = p && p->n && !p->v[p->n - 1].deleted && p->v[p->n - 1].ver < w->server.ver_seen;
        if (gone && !is_there(w, t, id)) /* else it was made anew */
            sim_forget_row(p, w->server.ver_seen);
        rc = 0;
    }
    tz_stmt_finalize(&st);
    if (rc < 0)
        sim_fail(w, "purged: %d %s", rc, err.trail);
}

void sim_restore_check(struct sim *w)
{
    if (w->renewed && !w->failed)
        note_purged(w);
    w->renewed = false;
    for (size_t i = 0; i < w->nclients && w->nlost && !w->failed; i++) {
        const struct sim_client *c = &w->clients[i];
        if (c->shut_out && !sim_number(w, "SELECT revoked FROM device WHERE number=?1 AND ?2=?2", c->dev->number, 0, 0))
            sim_fail(w, "P12: after a restore %s is let in again, which was shut out", c->name);
    }
}

void sim_restore_deinit(struct sim *w)
{
    for (size_t i = 0; i < w->nbackups; i++)
        tz_memdisk_free(w->backups[i].disk);
    for (size_t i = 0; i < w->book.n; i++)
        free(w->book.v[i].text);
    free(w->book.v);
}

bool sim_restore_heard(struct sim_client *c)
{
    struct tz_err err = {0};
    int64_t epoch = 0;
    if (!c->w->blind)
        return true;
    if (!c->office || tz_db_query_int(tz_office_db(c->office), "SELECT max(epoch) FROM lost_range", &epoch, &err))
        return false;
    return epoch == (int64_t)c->w->epoch;
}
