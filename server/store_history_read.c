/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One page of a record's history, from the audit log as one reader may see it today.
 *
 * Invariants
 *  1. A record that does not exist, one outside the grant and one of an unknown type have the same history: none.
 *  2. Values, cleared fields and elements are projected by the grant of now, not of then. A case or another record is
 * named only where the reader could read it. So is a field asked about: changes of a secret one are not found by who
 * may not read it.
 *  3. A page reads at most TZ_MSG_HISTORY_MAX bodies, and starts no further one past RAW_BYTES_MAX read or
 * OUT_BYTES_MAX written: however often a record was changed, one question costs the same.
 *  4. An erased body is an entry without ops: that somebody changed something then is known, what is not.
 */
#include "commit_int.h"
#include "history_int.h"

#include <string.h>

enum {
    RAW_BYTES_MAX = 2 * 1024 * 1024,
    OUT_BYTES_MAX = 128 * 1024, /* and one changeset with its result: 640 KiB in all */
    PAGE_ARENA_BYTES = 64 * 1024 * 1024,
};

struct page {
    struct tz_store *s;
    const struct tz_grant *g;
    const struct tz_msg_history_ask *ask;
    const struct tz_type *type;
    struct tz_arena a; /* of one entry */
    struct tz_buf scratch;
    size_t raw_bytes;
    struct tz_err *err;
};

/* ---- what the reader may see ---- */

static bool sees_field(const struct page *p, const struct tz_type *t, uint32_t field)
{
    const struct tz_field *f = tz_type_field_id(t, field);
    if (field == TZ_FIELD_DELETED || p->g->reads_secret)
        return true;
    return f && f->visibility != TZ_VIS_SECRET;
}

/** 1 readable, 0 not there or foreign, negative. */
static int sees_record(struct page *p, const struct tz_type *t, struct tz_id id)
{
    struct tz_row *row = tz_arena_alloc(&p->a, sizeof *row);
    int rc = row ? tz_replica_get(p->s->rep, t, id, &p->a, row, p->err) : TZ_E_NOMEM;
    return rc == 1 ? tz_feed_readable(p->g, &row->area) : rc;
}

static int sees_case(struct page *p, struct tz_id id)
{
    struct tz_history_case c;
    int rc = tz_history_case_of(p->s, id, &c, p->err);
    return rc == 1 ? tz_feed_readable(p->g, &c.area) : rc;
}

/** A body as the reader may see it, in the page's memory; none when it is not the canonical form. */
static int project_body(struct page *p, const struct tz_type *t, struct tz_bytes *body)
{
    struct tz_bytes in = *body;
    *body = (struct tz_bytes){0};
    struct tz_record *rec = tz_arena_alloc(&p->a, sizeof *rec);
    if (!rec)
        return TZ_E_NOMEM;
    if (!t || tz_record_decode(t, in, &p->a, rec, NULL))
        return 0;
    tz_feed_project(p->g, rec);
    tz_buf_clear(&p->scratch);
    int rc = tz_record_encode(rec, &p->scratch);
    if (rc == TZ_E_NOMEM)
        return rc;
    struct tz_bytes out = tz_buf_unread(&p->scratch);
    body->p = rc ? NULL : tz_arena_dup(&p->a, out.p, out.n);
    body->n = body->p ? out.n : 0;
    return rc || body->p ? 0 : TZ_E_NOMEM;
}

static int project_cleared(struct page *p, const struct tz_type *t, struct tz_op *op)
{
    uint32_t *out = tz_arena_calloc(&p->a, op->ncleared + 1, sizeof *out);
    size_t n = 0;
    if (!out)
        return TZ_E_NOMEM;
    for (size_t i = 0; t && i < op->ncleared; i++)
        if (sees_field(p, t, op->cleared[i]))
            out[n++] = op->cleared[i];
    op->cleared = out;
    op->ncleared = n;
    return 0;
}

static int project_cases(struct page *p, struct tz_op_result *r)
{
    struct tz_id *out = tz_arena_calloc(&p->a, r->ncases + 1, sizeof *out);
    size_t n = 0;
    if (!out)
        return TZ_E_NOMEM;
    for (size_t i = 0; i < r->ncases; i++) {
        int rc = sees_case(p, r->cases[i]);
        if (rc < 0)
            return rc;
        if (rc == 1)
            out[n++] = r->cases[i];
    }
    r->cases = out;
    r->ncases = n;
    return 0;
}

/* ---- one op ---- */

/** Type of the op's body; of a RESOLVE the target's. NULL: nothing of it may be shown. Fills h->case_id. */
static int body_type(struct page *p, struct tz_history_op *h, const struct tz_type **out)
{
    struct tz_history_case c;
    *out = tz_catalogue_type_id(p->s->cat, h->op.type);
    if (h->op.kind != TZ_OP_RESOLVE)
        return 0;
    *out = NULL;
    int rc = tz_history_case_of(p->s, h->op.id, &c, p->err);
    if (rc == 1 && tz_feed_readable(p->g, &c.area)) {
        h->case_id = h->op.id;
        *out = c.type;
    }
    return rc < 0 ? rc : 0;
}

/** Of the two records that an op is about, the one that was not asked about; zero: it is about one. */
static struct tz_id other_of(const struct page *p, const struct tz_history_op *h)
{
    const struct tz_op_result *r = &h->result;
    bool named = tz_id_eq(h->op.id, p->ask->id);
    if (tz_history_pairs(h->op.kind))
        return named ? h->op.other_id : h->op.id;
    if (h->op.kind == TZ_OP_RESOLVE)
        return (struct tz_id){{0}};
    return !named ? h->op.id : tz_id_is_zero(r->alias_of) ? r->absorbed : r->alias_of;
}

static int project_other(struct page *p, struct tz_history_op *h)
{
    struct tz_id other = other_of(p, h);
    h->op.other_id = (struct tz_id){{0}};
    h->as_other = !tz_history_pairs(h->op.kind) && tz_id_eq(h->result.alias_of, p->ask->id);
    if (tz_id_is_zero(other))
        return 0;
    int rc = sees_record(p, p->type, other);
    if (rc == 1)
        h->op.other_id = other;
    return rc < 0 ? rc : 0;
}

static int project_op(struct page *p, struct tz_history_op *h)
{
    const struct tz_type *t = NULL;
    int rc = body_type(p, h, &t);
    if (!rc && h->op.values.n)
        rc = project_body(p, t, &h->op.values);
    if (!rc)
        rc = project_cleared(p, t, &h->op);
    if (!rc && h->op.nelements && (!t || !sees_field(p, t, h->op.field)))
        h->op.nelements = 0;
    if (!rc)
        rc = project_other(p, h);
    if (tz_history_is_public(h->result.outcome)) /* arguments are for who was refused */
        h->result.nargs = 0;
    return rc ? rc : project_cases(p, &h->result);
}

/** Of an op that is about two records, the one that it was carried out on; what it said of that is for readers of that.
 * A creation speaks for the record that it made. */
static struct tz_id done_on(const struct page *p, const struct tz_op *op, const struct tz_op_result *r)
{
    bool made = op->kind == TZ_OP_CREATE || op->kind == TZ_OP_APPEND;
    if (tz_history_pairs(op->kind) || (made && tz_id_eq(op->id, p->ask->id)))
        return p->ask->id;
    return tz_id_is_zero(r->alias_of) ? op->id : r->alias_of;
}

/** Does the op concern the record asked about? */
static int concerns(struct page *p, const struct tz_op *op, const struct tz_op_result *r)
{
    struct tz_history_case c;
    const struct tz_id *id = &p->ask->id;
    if (op->kind == TZ_OP_WITHDRAW)
        return 0;
    if (op->type == p->ask->type &&
        (tz_id_eq(op->id, *id) || tz_id_eq(r->alias_of, *id) || tz_id_eq(r->absorbed, *id) ||
         (tz_history_pairs(op->kind) && tz_id_eq(op->other_id, *id)))) {
        struct tz_id on = done_on(p, op, r);
        return tz_id_eq(on, *id) ? 1 : sees_record(p, p->type, on);
    }
    if (op->kind != TZ_OP_RESOLVE)
        return 0;
    int rc = tz_history_case_of(p->s, op->id, &c, p->err);
    return rc == 1 ? c.type == p->type && tz_id_eq(c.target, *id) : rc;
}

static bool same_subject(const struct tz_type *t, uint32_t a, uint32_t b)
{
    const struct tz_field *fa = tz_type_field_id(t, a);
    const struct tz_field *fb = tz_type_field_id(t, b);
    return a == b || (fa && fb && fa->group && fa->group == fb->group);
}

/** Is the field asked about one that the (projected) op named? A creation says something about every field, and so does
 * what makes two records one. */
static bool names_field(const struct page *p, const struct tz_history_op *h)
{
    const struct tz_op *op = &h->op;
    bool one = !tz_id_is_zero(h->result.alias_of) || !tz_id_is_zero(h->result.absorbed);
    struct tz_wire_iter it = {op->values};
    struct tz_wire_field w;
    uint32_t field = p->ask->field;
    if (field == 0 || op->kind == TZ_OP_CREATE || op->kind == TZ_OP_APPEND || tz_history_pairs(op->kind) || one)
        return true;
    if (field == TZ_FIELD_DELETED && (op->kind == TZ_OP_DELETE || op->kind == TZ_OP_RESTORE))
        return true;
    if (op->field && same_subject(p->type, op->field, field))
        return sees_field(p, p->type, field);
    for (size_t i = 0; i < op->ncleared; i++)
        if (same_subject(p->type, op->cleared[i], field))
            return true;
    while (tz_wire_next(&it, &w) == 1)
        if (same_subject(p->type, w.number, field))
            return true;
    return false;
}

/** Ops of @cs about the record that the reader may see, into @e. */
static int take_ops(struct page *p, const struct tz_changeset *cs, const struct tz_op_result *results,
                    struct tz_history_entry *e)
{
    struct tz_history_op *out = tz_arena_calloc(&p->a, cs->nops ? cs->nops : 1, sizeof *out);
    if (!out)
        return TZ_E_NOMEM;
    e->ops = out;
    for (size_t i = 0; i < cs->nops; i++) {
        struct tz_history_op *h = &out[e->nops];
        bool shown = tz_history_is_public(results[i].outcome) || cs->device == p->g->device;
        int rc = shown ? concerns(p, &cs->ops[i], &results[i]) : 0;
        if (rc < 0)
            return rc;
        if (rc == 0)
            continue;
        *h = (struct tz_history_op){.op = cs->ops[i], .result = results[i], .index = (uint32_t)i};
        rc = project_op(p, h);
        if (rc)
            return rc;
        e->nops += names_field(p, h);
    }
    return 0;
}

/* ---- one entry ---- */

static const char *text_copy(struct page *p, const char *text)
{
    return text ? tz_arena_strdup(&p->a, text) : NULL;
}

static int take_user(struct page *p, struct tz_history_entry *e)
{
    const struct tz_field *f = tz_type_field(p->s->user_type, "name");
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_USER_GRANT, p->err);
    struct tz_row *row = tz_arena_alloc(&p->a, sizeof *row);
    if (!st || !row)
        return st ? TZ_E_NOMEM : TZ_E_DB;
    tz_stmt_bind_id(st, 1, &e->user);
    int rc = tz_stmt_step(st, p->err);
    if (rc == 1)
        e->user_code = text_copy(p, tz_stmt_text(st, 0));
    tz_stmt_reset(st);
    if (rc >= 0)
        rc = tz_replica_get(p->s->rep, p->s->user_type, e->user, &p->a, row, p->err);
    if (rc == 1 && f && row->rec.v[f->index].kind == TZ_V_TEXT)
        e->user_name = tz_arena_dup(&p->a, row->rec.v[f->index].p, row->rec.v[f->index].n);
    return rc < 0 ? rc : 0;
}

static int take_device(struct page *p, struct tz_history_entry *e)
{
    struct tz_device d;
    int rc = tz_store_device_by_number(p->s, e->device, &d, p->err);
    if (rc == 1)
        e->device_name = text_copy(p, d.name);
    return rc < 0 ? rc : 0;
}

/** What the commit table knows of a changeset that wrote something. */
static int take_commit(struct page *p, struct tz_history_entry *e)
{
    struct tz_commit_entry c;
    int rc = e->ver ? tz_commit_find(p->s, e->ver, &c, p->err) : 0;
    if (rc == 1) {
        e->user = c.c.user;
        e->claimed = c.claimed;
        e->offset_ms = c.offset_ms;
        e->effective = c.c.effective;
    }
    return rc < 0 ? rc : 0;
}

static int take_body(struct page *p, struct tz_bytes raw, struct tz_history_entry *e)
{
    struct tz_changeset cs;
    struct tz_op_result *results = NULL;
    int rc = tz_msg_read_changeset(raw, &p->a, &cs, p->err);
    if (!rc)
        rc = tz_history_outcomes(p->s, &cs, raw, &p->a, &e->outcome, &results, p->err);
    if (rc)
        return rc;
    e->user = cs.user;
    e->claimed = cs.hlc;
    e->reason = cs.reason;
    e->imported = !tz_id_is_zero(cs.import_id);
    return take_ops(p, &cs, results, e);
}

static int take_entry(struct page *p, uint64_t n, struct tz_history_entry *e)
{
    struct tz_audit_meta m;
    struct tz_bytes raw = {0};
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_HISTORY_ENTRY, p->err);
    *e = (struct tz_history_entry){.n = n};
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, (int64_t)n);
    int rc = tz_stmt_step(st, p->err);
    bool ours = rc == 1 && tz_audit_meta_parse(tz_stmt_text(st, 0), &m);
    struct tz_bytes body = ours ? tz_stmt_blob(st, 1) : raw;
    raw = (struct tz_bytes){body.n ? tz_arena_dup(&p->a, body.p, body.n) : NULL, body.n};
    tz_stmt_reset(st);
    if (rc < 0 || !ours)
        return rc < 0 ? rc : tz_err_set(p->err, TZ_E_DB_CORRUPT, "history", NULL, NULL, NULL);
    if (raw.n && !raw.p)
        return TZ_E_NOMEM;
    p->raw_bytes += raw.n;
    e->ver = m.ver;
    e->device = m.device;
    e->incarnation = m.incarnation;
    e->seq = m.seq;
    e->received_ms = m.received_ms;
    e->outcome = m.outcome;
    e->erased = raw.n == 0;
    rc = raw.n ? take_body(p, raw, e) : 0;
    if (!rc)
        rc = take_commit(p, e);
    if (!rc)
        rc = take_device(p, e);
    return rc || tz_id_is_zero(e->user) ? rc : take_user(p, e);
}

/* ---- the page ---- */

/** Audit entries of the record below @before that the reader may know of, newest first: one more than a page holds. */
static int find_entries(struct page *p, uint64_t *ns, size_t *count)
{
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_HISTORY_PAGE, p->err);
    uint64_t before = p->ask->before;
    int rc = 0;
    *count = 0;
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->ask->type);
    tz_stmt_bind_id(st, 2, &p->ask->id);
    tz_stmt_bind_int(st, 3, p->g->device);
    tz_stmt_bind_int(st, 4, before && before <= INT64_MAX ? (int64_t)before : INT64_MAX);
    tz_stmt_bind_int(st, 5, TZ_MSG_HISTORY_MAX + 1);
    while (*count <= TZ_MSG_HISTORY_MAX && (rc = tz_stmt_step(st, p->err)) == 1)
        ns[(*count)++] = (uint64_t)tz_stmt_int(st, 0);
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

static int put_entries(struct page *p, struct tz_buf *out, uint64_t *next)
{
    uint64_t ns[TZ_MSG_HISTORY_MAX + 1];
    size_t count = 0;
    size_t start = out->len;
    size_t i = 0;
    int rc = find_entries(p, ns, &count);
    for (; !rc && i < count && i < TZ_MSG_HISTORY_MAX; i++) {
        struct tz_history_entry e;
        if (p->raw_bytes >= RAW_BYTES_MAX || out->len - start >= OUT_BYTES_MAX)
            break;
        tz_arena_reset(&p->a);
        rc = take_entry(p, ns[i], &e);
        if (!rc && (e.nops || e.erased))
            rc = tz_msg_put_history_entry(out, &e);
    }
    *next = i < count && i ? ns[i - 1] : 0;
    return rc;
}

/** Which versions wrote what stands, of the fields that the reader sees. */
static int put_stamps(struct page *p, const struct tz_row *row, struct tz_msg_history *m, struct tz_arena *a)
{
    struct tz_stamps all;
    tz_stamps_init(&all, a);
    int rc = tz_stamps_decode(&all, row->stamps);
    struct tz_field_stamp *out = rc ? NULL : tz_arena_calloc(a, all.n + 1, sizeof *out);
    if (!out)
        return rc ? rc : TZ_E_NOMEM;
    for (size_t i = 0; i < all.n && m->nstamps <= TZ_FIELDS_MAX; i++)
        if (all.v[i].element == 0 && !(all.v[i].field & TZ_STAMP_SAID) && sees_field(p, p->type, all.v[i].field))
            out[m->nstamps++] = (struct tz_field_stamp){all.v[i].field, all.v[i].ver, all.v[i].resolved};
    m->stamps = out;
    m->born = row->born;
    return 0;
}

static int put_page(struct page *p, const struct tz_row *row, struct tz_arena *a, struct tz_buf *out)
{
    struct tz_msg_history rest = {0};
    int rc = put_entries(p, out, &rest.next);
    if (!rc && p->ask->before == 0)
        rc = put_stamps(p, row, &rest, a);
    return rc ? rc : tz_msg_put_history(out, &rest); /* messages concatenate */
}

static int find_record(struct page *p, struct tz_row *row, struct tz_arena *a)
{
    p->type = tz_catalogue_type_id(p->s->cat, p->ask->type);
    int rc = p->type ? tz_replica_get(p->s->rep, p->type, p->ask->id, a, row, p->err) : 0;
    return rc == 1 ? tz_feed_readable(p->g, &row->area) : rc;
}

int tz_store_history(struct tz_store *s, const struct tz_grant *g, const struct tz_msg_history_ask *ask,
                     struct tz_buf *out, struct tz_err *err)
{
    struct page p = {.s = s, .g = g, .ask = ask, .err = err};
    struct tz_arena a; /* of the record */
    bool ours = !tz_db_in_transaction(s->db);
    int rc = ours ? tz_db_begin_read(s->db, err) : 0;
    if (rc)
        return rc;
    tz_arena_init(&a, 8 * TZ_ROW_BYTES_MAX);
    tz_arena_init(&p.a, PAGE_ARENA_BYTES);
    tz_buf_init(&p.scratch, TZ_ROW_BYTES_MAX);
    struct tz_row *row = tz_arena_alloc(&a, sizeof *row);
    rc = row ? find_record(&p, row, &a) : TZ_E_NOMEM;
    rc = rc == 1 ? put_page(&p, row, &a, out) : rc;
    tz_buf_deinit(&p.scratch);
    tz_arena_deinit(&p.a);
    tz_arena_deinit(&a);
    if (ours)
        tz_db_rollback(s->db);
    if (rc && err && err->code != rc)
        return tz_err_set(err, rc, NULL, NULL, NULL, NULL);
    return rc;
}
