/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records that only replicas still have after a restore, offered back row by row.
 *
 *   all it says was handed in again, or the record is the server's own     back: the replica may forget its copy
 *   the recovery window is open                                           kept here (`lost_offer`): its author may come
 *   the window has ended                                                  a case, and the replica may forget it
 *   a case with words of a save that has not come in again                the replica keeps it, and says so
 *
 * A row's version is that of its last change: that this one came back says nothing of those before it, so what the row
 * says is held against the record field by field. What becomes a case, and of which kind, see judge_lost.c.
 *
 * Invariants
 *  1. Nothing here is proved: any reader could have made a row up. So nothing stands before a person has said so.
 *  2. Only rows of the reader's own areas are taken, as he would have been sent them, of a bounded number and size. The
 * newest state counts, but nobody replaces a row of an area that he does not read.
 *  3. A row is answered for when the group is durable, and its copy is here or its change is.
 *  4. A row that cannot be judged (what it is about is damaged, or takes more than there is) leaves nothing, stays and
 * is passed over, so that others and the verdicts behind them need not wait. It is tried again when another is offered,
 * and at each start.
 */
#include "log.h"
#include "lost_int.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { OFFERED_MAX = 100000, CASES_AT_ONCE = 32, ROW_ARENA_BYTES = 16 * 1024 * 1024 };
enum { OFFERED_BYTES_MAX = 256 * 1024 * 1024 }; /* of one device */

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

/** What a device has here already. */
struct room {
    uint64_t rows, bytes; /* that it may still bring */
};

static int count_offered(struct tz_store *s, uint32_t device, struct room *out, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_OFFER_COUNT, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, device);
    int rc = tz_stmt_step(st, err);
    uint64_t rows = rc == 1 ? (uint64_t)tz_stmt_int(st, 0) : 0;
    uint64_t bytes = rc == 1 ? (uint64_t)tz_stmt_int(st, 1) : 0;
    out->rows = rows < OFFERED_MAX ? OFFERED_MAX - rows : 0;
    out->bytes = bytes < OFFERED_BYTES_MAX ? OFFERED_BYTES_MAX - bytes : 0;
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

static int read_row(const struct tz_msg_row *m, const struct tz_type *t, struct tz_arena *a, struct tz_row *out,
                    struct tz_err *err)
{
    memset(out, 0, sizeof *out);
    out->id = m->id;
    out->ver = m->ver;
    out->area = m->area;
    out->deleted = m->state == TZ_ROW_DELETED;
    return tz_record_decode(t, m->body, a, &out->rec, err);
}

/** What the row says that is nowhere else. That its last change came in again says whether it is to live, too. */
static int lost_words(struct tz_store *s, const struct tz_row *was, const struct tz_row *now, bool back,
                      struct tz_arena *a, struct tz_lost_words *out, struct tz_err *err)
{
    int rc = tz_lost_words(s, was, now, a, out, err);
    out->life = out->life && !back;
    return rc;
}

/** Is that worth a question? */
static bool asks(const struct tz_lost_words *w)
{
    return w->n > 0 || w->life;
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

/** Is all that the row says here, or was decided? 1, 0, negative. */
static int is_known(struct tz_store *s, const struct tz_grant *g, const struct tz_type *t, const struct tz_msg_row *m,
                    struct tz_arena *a, struct tz_err *err)
{
    struct tz_row *was = tz_arena_alloc(a, sizeof *was);
    struct tz_row *now = tz_arena_alloc(a, sizeof *now);
    struct tz_lost_words *words = tz_arena_alloc(a, sizeof *words);
    if (!was || !now || !words)
        return TZ_E_NOMEM;
    int rc = tz_purged_get(s, t, m->id, now, err);
    if (rc) /* where others had it nothing is told */
        return rc < 0 ? rc : tz_feed_readable(g, &now->area);
    rc = came_back(s, m->ver, err);
    if (rc != 1)
        return rc;
    rc = tz_replica_get(s->rep, t, m->id, a, now, err);
    if (rc != 1)
        return rc < 0 ? rc : 1;
    rc = read_row(m, t, a, was, err);
    if (!rc)
        rc = lost_words(s, was, now, true, a, words, err);
    return rc ? rc : !asks(words);
}

/** What one reader brought is not another's to replace who could not read it. 1, 0, negative. */
static int may_bring(struct tz_store *s, const struct tz_grant *g, const struct tz_msg_row *m, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_OFFER_AREA, err);
    struct tz_area area = {0};
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, m->type);
    tz_stmt_bind_id(st, 2, &m->id);
    int rc = tz_stmt_step(st, err);
    if (rc == 1) {
        const char *district = tz_stmt_text(st, 0);
        const char *street = tz_stmt_text(st, 1);
        memcpy(area.district, district, strnlen(district, TZ_DISTRICT_BYTES - 1));
        memcpy(area.street, street, strnlen(street, TZ_STREET_BYTES - 1));
    }
    tz_stmt_reset(st);
    return rc < 0 ? rc : rc == 0 || tz_feed_readable(g, &area);
}

/** Has the save that says @by ("device.incarnation.seq") an answer here? The server's own word needs none.
 * 1, 0, negative. */
static int has_answer(struct tz_store *s, const char *by, struct tz_err *err)
{
    unsigned device = 0;
    unsigned incarnation = 0;
    unsigned long long seq = 0;
    if (!by || sscanf(by, "%u.%u.%llu", &device, &incarnation, &seq) != 3 || device == 0)
        return 1;
    struct tz_stmt *st = tz_answer_stmt(s, device, incarnation, seq, err);
    if (!st)
        return TZ_E_DB;
    int rc = tz_stmt_step(st, err);
    tz_stmt_reset(st);
    return rc;
}

/** Have all come in again whose words @m, a case, holds? What they said the server works out anew; of one who never
 * comes the case may be the only place. 1, 0, negative. */
static int speakers_came(struct tz_store *s, const struct tz_type *t, const struct tz_msg_row *m, struct tz_arena *a,
                         struct tz_err *err)
{
    static const char *const LISTS[] = {"candidates", "candidates_secret"};
    struct tz_row *was = tz_arena_alloc(a, sizeof *was);
    int rc = was ? read_row(m, t, a, was, err) : TZ_E_NOMEM;
    int came = 1;
    for (size_t i = 0; i < sizeof LISTS / sizeof *LISTS && !rc && came == 1; i++) {
        struct tz_value v = was->rec.v[tz_type_field(t, LISTS[i])->index];
        json_t *list = v.kind == TZ_V_TEXT ? json_loadb((const char *)v.p, v.n, 0, NULL) : NULL;
        for (size_t k = 0; k < json_array_size(list) && came == 1; k++)
            came = has_answer(s, json_string_value(json_object_get(json_array_get(list, k), "by")), err);
        json_decref(list);
    }
    return rc ? rc : came;
}

static int take_row(struct tz_store *s, const struct tz_grant *g, const struct tz_msg_row *row, struct room *room,
                    struct tz_arena *a, enum tz_lost_verdict *out, struct tz_err *err)
{
    const struct tz_type *t = tz_catalogue_type_id(s->cat, row->type);
    bool sound = t && is_sound(s, g, t, row, a);
    int rc = sound && strcmp(t->name, "case") == 0 ? speakers_came(s, t, row, a, err) : 1;
    *out = t && t->local && rc == 1 ? TZ_LOST_BACK : TZ_LOST_UNFIT;
    if (rc < 0 || !sound || t->local)
        return rc < 0 ? rc : 0;
    rc = is_known(s, g, t, row, a, err);
    if (rc) {
        *out = TZ_LOST_BACK;
        return rc < 0 ? rc : 0;
    }
    rc = room->rows && room->bytes >= row->body.n ? may_bring(s, g, row, err) : 0;
    if (rc != 1)
        return rc;
    room->rows--;
    room->bytes -= row->body.n;
    *out = TZ_LOST_KEPT;
    return keep(s, g->device, row, err);
}

int tz_store_offer_rows(struct tz_store *s, const struct tz_grant *g, const struct tz_msg_row *rows, size_t n,
                        enum tz_lost_verdict *out, struct tz_err *err)
{
    struct room room = {0};
    struct tz_arena a;
    int rc = count_offered(s, g->device, &room, err);
    tz_arena_init(&a, ROW_ARENA_BYTES);
    for (size_t i = 0; i < n && !rc; i++) {
        tz_arena_reset(&a);
        rc = take_row(s, g, &rows[i], &room, &a, &out[i], err);
        if (!rc && out[i] == TZ_LOST_KEPT) { /* no window: it is asked about at once */
            s->release_left = true;
            memset(&s->lost_after, 0, sizeof s->lost_after);
        }
    }
    tz_arena_deinit(&a);
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
    struct tz_lost_words words;
};

/** 1 and the next row, 0 none. */
static int next_offer(struct tz_store *s, struct lost *l, struct tz_arena *a, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_OFFER_NEXT, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, (int64_t)s->lost_after.ver);
    tz_stmt_bind_int(st, 2, s->lost_after.type);
    tz_stmt_bind_id(st, 3, &s->lost_after.id);
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

/** Its maker's own CREATE is here and has not had its verdict, or has had it: then that says what becomes of it. What
 * others were refused under that id says nothing. */
static int maker_came(struct tz_store *s, const struct tz_msg_row *m, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_OFFER_MAKER, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, tz_id_device(m->id));
    tz_stmt_bind_int(st, 2, m->type);
    tz_stmt_bind_id(st, 3, &m->id);
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
static int begin(struct tz_store *s, struct lost *l, bool made, struct tz_arena *a, struct tz_err *err)
{
    tz_ver ver = 0;
    int rc = made ? tz_store_own_commit_as(s, l->m.ver, &l->born, err) : 0;
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

/** Is there anything to ask? 1, 0, negative. */
static int is_asked(struct tz_store *s, struct lost *l, bool here, struct tz_arena *a, struct tz_err *err)
{
    struct tz_row *ghost = tz_arena_alloc(a, sizeof *ghost);
    int back = came_back(s, l->m.ver, err);
    if (back < 0 || !ghost)
        return back < 0 ? back : TZ_E_NOMEM;
    if (here) {
        int rc = lost_words(s, &l->row, &l->now, back == 1, a, &l->words, err);
        return rc ? rc : asks(&l->words);
    }
    int rc = back == 1 ? 1 : maker_came(s, &l->m, err);
    if (rc == 0)
        rc = tz_purged_get(s, l->t, l->m.id, ghost, err);
    return rc < 0 ? rc : rc == 0;
}

static int settle_one(struct tz_store *s, struct lost *l, struct tz_arena *a, struct tz_err *err)
{
    char meta[128];
    char hex[TZ_ID_HEX + 1];
    l->t = tz_catalogue_type_id(s->cat, l->m.type);
    if (!l->t)
        return 0;
    int rc = read_row(&l->m, l->t, a, &l->row, err);
    int here = rc ? rc : tz_replica_get(s->rep, l->t, l->m.id, a, &l->now, err);
    if (here < 0)
        return here;
    rc = is_asked(s, l, here == 1, a, err);
    if (rc != 1)
        return rc < 0 ? rc : 0;
    rc = begin(s, l, !here, a, err);
    if (!rc)
        rc = here ? tz_lost_ask(&l->j, &l->row, &l->now, &l->words, l->by)
                  : tz_lost_bury(&l->j, &l->row, l->born, l->by);
    tz_id_print(l->m.id, hex);
    (void)snprintf(meta, sizeof meta, "lost record type=%u id=%s was=%llu device=%u", l->m.type, hex,
                   (unsigned long long)l->m.ver, l->by.device);
    return rc ? rc : tz_audit_add(s, meta, l->m.body, err);
}

/** Its own fault, or that of what it is about; not one of the machine. */
static bool is_its_own(int rc)
{
    return rc == TZ_E_FORMAT || rc == TZ_E_LIMIT || rc == TZ_E_VALUE || rc == TZ_E_TOO_LONG || rc == TZ_E_DB_CORRUPT ||
           rc == TZ_E_COMMITS_LOST;
}

static int settle_whole(struct tz_store *s, struct lost *l, struct tz_arena *a, struct tz_err *err)
{
    s->read_err = (struct tz_err){0};
    int rc = tz_rows_code(a, settle_one(s, l, a, err));
    if (!rc && s->read_err.code) { /* whose word stands could not be read */
        *err = s->read_err;
        rc = err->code;
    }
    s->read_err = (struct tz_err){0};
    return rc ? rc : drop_offer(s, &l->m, err);
}

static void pass_over(struct tz_store *s, const struct lost *l, int code)
{
    char hex[TZ_ID_HEX + 1];
    tz_id_print(l->m.id, hex);
    tz_log(TZ_LOG_ERROR, "store", "lost_row", "type=%u id=%s ver=%llu code=%s", l->m.type, hex,
           (unsigned long long)l->m.ver, tz_err_info(code)->symbol);
    s->lost_after.ver = l->m.ver;
    s->lost_after.type = l->m.type;
    s->lost_after.id = l->m.id;
}

static int settle_or_pass_over(struct tz_store *s, struct lost *l, struct tz_arena *a, struct tz_err *err)
{
    struct tz_group_state was = tz_group_save(s);
    int rc = tz_db_savepoint(s->db, err);
    if (rc)
        return rc;
    rc = settle_whole(s, l, a, err);
    if (!rc)
        return tz_db_release(s->db, err);
    if (!is_its_own(rc))
        return rc;
    pass_over(s, l, rc);
    *err = (struct tz_err){0};
    tz_group_restore(s, &was);
    return tz_db_rollback_to(s->db, err);
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
        rc = settle_or_pass_over(s, l, &a, err);
    }
    tz_arena_deinit(&a);
    return rc;
}
