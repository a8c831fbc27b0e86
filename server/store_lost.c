/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records that only replicas still have after a restore, offered back row by row.
 *
 *   its change was handed in again, or the record is the server's own      back: the replica may forget its copy
 *   the recovery window is open                                           kept here (`lost_offer`): its author may come
 *   the window has ended                                                  a case, and the replica may forget it
 *
 * What becomes a case: a record that is not here is written as a deleted one, with a case of kind `lost` in which a
 * supervisor of the area may bring it back. A record that is here in an older state stays as it is; the fields that
 * differ are candidates of ordinary cases (rule `lost`), so is a deletion.
 *
 * Invariants
 *  1. Nothing here is proved: any reader could have made a row up. So nothing stands before a person has said so.
 *  2. Only rows of the reader's own areas are taken, as he would have been sent them, and of a bounded number.
 *  3. A row is answered for when the group is durable, and its copy is here or its change is.
 */
#include "case_int.h"

#include <stdio.h>
#include <string.h>

enum { OFFERED_MAX = 100000, CASES_AT_ONCE = 32, ROW_ARENA_BYTES = 16 * 1024 * 1024 };
static const char RULE[] = "lost";

/* ---- taking a row ---- */

/** Was the change that made this version handed in again? 1, 0, negative. */
static int came_back(struct tz_store *s, tz_ver ver, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_REOFFERED_GET, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, (int64_t)ver);
    int rc = tz_stmt_step(st, err);
    tz_stmt_reset(st);
    return rc;
}

int tz_lost_came_back(struct tz_store *s, tz_ver old, tz_ver ver, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_REOFFERED_PUT, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, (int64_t)old);
    tz_stmt_bind_int(st, 2, (int64_t)ver);
    return tz_stmt_run(st, err);
}

static int count_offered(struct tz_store *s, uint32_t device, uint64_t *n, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_OFFER_COUNT, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, device);
    int rc = tz_stmt_step(st, err);
    *n = rc == 1 ? (uint64_t)tz_stmt_int(st, 0) : 0;
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

/** Could a reader have been sent it? Its bytes are as canonical as the server's own. */
static bool is_sound(struct tz_store *s, const struct tz_grant *g, const struct tz_type *t,
                     const struct tz_msg_row *row, struct tz_arena *a)
{
    struct tz_record *rec = tz_arena_alloc(a, sizeof *rec);
    bool good = rec && row->state != TZ_ROW_LEFT && tz_feed_readable(g, &row->area) && tz_lost_is(s, row->ver) &&
                !tz_record_decode(t, row->body, a, rec, NULL) && tz_rows_bytes(rec) <= TZ_ROW_BYTES_MAX;
    for (size_t i = 0; good && i < t->nfields; i++)
        if (rec->v[i].kind != TZ_V_NULL && tz_value_check(&t->fields[i], rec->v[i], false, NULL))
            good = false;
    return good;
}

/** The newest state that anybody has is kept. */
static int keep(struct tz_store *s, uint32_t device, const struct tz_msg_row *row, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_OFFER_PUT, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, row->type);
    tz_stmt_bind_id(st, 2, &row->id);
    tz_stmt_bind_int(st, 3, (int64_t)row->ver);
    tz_stmt_bind_text(st, 4, row->area.district);
    tz_stmt_bind_text(st, 5, row->area.street);
    tz_stmt_bind_int(st, 6, row->state);
    tz_stmt_bind_blob(st, 7, row->body.n ? (const void *)row->body.p : "", row->body.n);
    tz_stmt_bind_int(st, 8, device);
    tz_stmt_bind_int(st, 9, tz_clock_wall(&s->clock).ms);
    return tz_stmt_run(st, err);
}

static int take_row(struct tz_store *s, const struct tz_grant *g, const struct tz_msg_row *row, uint64_t *room,
                    enum tz_lost_verdict *out, struct tz_err *err)
{
    const struct tz_type *t = tz_catalogue_type_id(s->cat, row->type);
    struct tz_row ghost;
    struct tz_arena a;
    *out = TZ_LOST_UNFIT;
    if (!t)
        return 0;
    int rc = t->local ? 1 : came_back(s, row->ver, err);
    if (rc == 0)
        rc = tz_purged_get(s, t, row->id, &ghost, err);
    if (rc) {
        *out = TZ_LOST_BACK;
        return rc < 0 ? rc : 0;
    }
    tz_arena_init(&a, ROW_ARENA_BYTES);
    bool sound = *room > 0 && is_sound(s, g, t, row, &a);
    tz_arena_deinit(&a);
    if (!sound)
        return 0;
    --*room;
    *out = TZ_LOST_KEPT;
    return keep(s, g->device, row, err);
}

int tz_store_offer_rows(struct tz_store *s, const struct tz_grant *g, const struct tz_msg_row *rows, size_t n,
                        enum tz_lost_verdict *out, struct tz_err *err)
{
    uint64_t had = 0;
    int rc = count_offered(s, g->device, &had, err);
    uint64_t room = had < OFFERED_MAX ? OFFERED_MAX - had : 0;
    for (size_t i = 0; i < n && !rc; i++)
        rc = take_row(s, g, &rows[i], &room, &out[i], err);
    if (!rc && room < OFFERED_MAX - (had < OFFERED_MAX ? had : OFFERED_MAX))
        s->release_left = true; /* with no window open they become cases at once */
    return rc;
}

/* ---- cases ---- */

/** One row that was offered, and the judge who writes about it. */
struct lost {
    struct tz_judge j;
    struct tz_changeset none;
    struct tz_msg_row m;
    const struct tz_type *t;
    struct tz_commit by; /* who offered it */
    tz_ver born;         /* of its content */
    struct tz_row row;   /* as it was offered */
    struct tz_row now;   /* as it stands */
};

/** 1 and the next row, 0 none. */
static int next_offer(struct tz_store *s, struct lost *l, struct tz_arena *a, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_OFFER_NEXT, err);
    if (!st)
        return TZ_E_DB;
    int rc = tz_stmt_step(st, err);
    if (rc == 1) {
        const char *district = tz_stmt_text(st, 3);
        const char *street = tz_stmt_text(st, 4);
        struct tz_bytes body = tz_stmt_blob(st, 6);
        l->m = (struct tz_msg_row){.type = (uint32_t)tz_stmt_int(st, 0),
                                   .ver = (tz_ver)tz_stmt_int(st, 2),
                                   .state = (enum tz_row_state)tz_stmt_int(st, 5),
                                   .body = {tz_arena_dup(a, body.p, body.n), body.n}};
        tz_stmt_id(st, 1, &l->m.id);
        memcpy(l->m.area.district, district, strnlen(district, TZ_DISTRICT_BYTES - 1));
        memcpy(l->m.area.street, street, strnlen(street, TZ_STREET_BYTES - 1));
        l->by = (struct tz_commit){.device = (uint32_t)tz_stmt_int(st, 7)};
        rc = l->m.body.p ? 1 : TZ_E_NOMEM;
    }
    tz_stmt_reset(st);
    return rc;
}

/** Its maker's CREATE is here and has not had its verdict, or has had it: then that says what becomes of it. */
static int maker_came(struct tz_store *s, const struct tz_msg_row *m, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_OFFER_MAKER, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, m->type);
    tz_stmt_bind_id(st, 2, &m->id);
    int rc = tz_stmt_step(st, err);
    tz_stmt_reset(st);
    return rc;
}

static int drop_offer(struct tz_store *s, const struct tz_msg_row *m, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_OFFER_DROP, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, m->type);
    tz_stmt_bind_id(st, 2, &m->id);
    return tz_stmt_run(st, err);
}

/** Commits of the server's own, for what was and what is now, and the judge who writes in them. */
static int begin(struct tz_store *s, struct lost *l, struct tz_arena *a, struct tz_err *err)
{
    tz_ver ver = 0;
    int rc = tz_store_own_commit_as(s, l->m.ver, &l->born, err);
    if (!rc)
        rc = tz_store_own_commit(s, &ver, err);
    l->j = (struct tz_judge){.s = s,
                             .cs = &l->none,
                             .received = tz_clock_wall(&s->clock),
                             .city = true,
                             .a = a,
                             .out = a,
                             .err = err,
                             .edit = {.ver = ver, .effective = s->group_eff_max}};
    l->j.res.cases = l->j.case_ids;
    l->by.ver = ver;
    l->by.effective = (tz_hlc)l->j.received.ms << 16;
    return rc;
}

/** It is not here: a deleted record until somebody says otherwise. Its content is of before, its deletion is not: an
 * edit by somebody who had it brings it back. */
static int as_deleted(struct lost *l)
{
    struct tz_stamps stamps;
    tz_stamps_init(&stamps, l->j.a);
    l->row.deleted = true;
    l->row.born = l->born;
    int rc = tz_stamps_set(&stamps, (struct tz_stamp){.field = TZ_FIELD_DELETED, .ver = l->j.edit.ver});
    if (!rc)
        rc = tz_judge_put(&l->j, &l->row, &stamps);
    if (rc || l->m.state == TZ_ROW_DELETED) /* it had been deleted: that is how it is now */
        return rc;
    return tz_case_lost(&l->j, &l->row, l->by);
}

/** It is here in an older state: what differs are words in cases. */
static int as_words(struct lost *l)
{
    struct tz_loss *loss = tz_arena_calloc(l->j.a, l->t->nfields + 1, sizeof *loss);
    size_t n = 0;
    if (!loss)
        return TZ_E_NOMEM;
    for (size_t i = 0; i < l->t->nfields; i++) {
        const struct tz_field *f = &l->t->fields[i];
        bool unseen = f->visibility == TZ_VIS_SECRET && l->row.rec.v[i].kind == TZ_V_NULL; /* not told, perhaps */
        if (!unseen && !tz_value_eq(l->row.rec.v[i], l->now.rec.v[i]))
            loss[n++] =
                (struct tz_loss){.field = (uint16_t)i,
                                 .value = l->row.rec.v[i],
                                 .as_of = f->group ? l->row.rec.v[l->t->groups[f->group - 1].as_of] : tz_value_null(),
                                 .author = l->by,
                                 .rule = RULE};
    }
    int rc = tz_case_losses(&l->j, &l->now, loss, n);
    if (!rc && l->m.state == TZ_ROW_DELETED)
        rc = tz_case_deletion(&l->j, &l->now, l->by, RULE);
    return rc;
}

static int settle_one(struct tz_store *s, struct lost *l, struct tz_arena *a, struct tz_err *err)
{
    char meta[128];
    char hex[TZ_ID_HEX + 1];
    l->t = tz_catalogue_type_id(s->cat, l->m.type);
    int rc = l->t ? came_back(s, l->m.ver, err) : 1;
    if (rc == 0)
        rc = maker_came(s, &l->m, err);
    if (rc)
        return rc < 0 ? rc : 0;
    l->row = (struct tz_row){.id = l->m.id, .area = l->m.area};
    rc = tz_record_decode(l->t, l->m.body, a, &l->row.rec, err);
    int here = rc ? rc : tz_replica_get(s->rep, l->t, l->m.id, a, &l->now, err);
    if (here < 0)
        return here;
    if (here && l->now.deleted) /* of before the backup, or somebody was quicker */
        return 0;
    rc = begin(s, l, a, err);
    if (!rc)
        rc = here ? as_words(l) : as_deleted(l);
    tz_id_print(l->m.id, hex);
    (void)snprintf(meta, sizeof meta, "lost record type=%u id=%s was=%llu device=%u", l->m.type, hex,
                   (unsigned long long)l->m.ver, l->by.device);
    return rc ? rc : tz_audit_add(s, meta, l->m.body, err);
}

int tz_lost_settle(struct tz_store *s, bool *more, struct tz_err *err)
{
    struct tz_recovery r;
    struct tz_arena a;
    struct lost *l;
    *more = false;
    if (s->nlost == 0)
        return 0;
    int rc = tz_store_recovery(s, &r, err);
    if (rc || r.open)
        return rc;
    tz_arena_init(&a, ROW_ARENA_BYTES);
    for (int i = 0; i < CASES_AT_ONCE && !rc; i++) {
        tz_arena_reset(&a);
        l = tz_arena_calloc(&a, 1, sizeof *l);
        rc = l ? next_offer(s, l, &a, err) : TZ_E_NOMEM;
        *more = rc == 1;
        if (rc != 1)
            break;
        rc = settle_one(s, l, &a, err);
        if (!rc)
            rc = drop_offer(s, &l->m, err);
    }
    tz_arena_deinit(&a);
    return rc;
}
