/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record's changes from two sources: the own outbox and the server's audit log.
 *
 * Invariants
 *  1. A changeset is in the list once. The key is (device, incarnation, seq); what the server says of an own save takes
 * the place of what is known here.
 *  2. Newest first: what the server has not judged yet, by number, then the server's entries as they came; without a
 * server the own saves by number.
 *  3. An own save whose words have gone from here (compact.c, wipe.c) is only counted: nobody can tell whether it is
 * about this record. The server's log has it.
 *  4. Nothing is guessed: times, versions and names that only the server has are 0 or empty.
 */
#include "history.h"
#include "office_int.h"

#include <string.h>

const char *tz_op_kind_name(enum tz_op_kind k)
{
    static const char *const names[] = {"",      "create", "set",     "add",   "remove",  "append",  "void",
                                        "event", "delete", "restore", "merge", "unmerge", "resolve", "withdraw"};
    return (size_t)k < sizeof names / sizeof *names ? names[k] : "";
}

const char *tz_outcome_name(enum tz_outcome o)
{
    static const char *const names[] = {"unsent",  "applied", "superseded",   "refused",
                                        "waiting", "held",    "under_review", "withdrawn"};
    return (size_t)o < sizeof names / sizeof *names ? names[o] : "";
}

/* ---- the list ---- */

static struct tz_change *change_add(struct tz_changes *c, struct tz_arena *a)
{
    if (c->n == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 32;
        struct tz_change *v = tz_arena_alloc(a, cap * sizeof *v);
        if (!v)
            return NULL;
        if (c->n)
            memcpy(v, c->v, c->n * sizeof *v);
        c->v = v;
        c->cap = cap;
    }
    struct tz_change *out = &c->v[c->n++];
    memset(out, 0, sizeof *out);
    return out;
}

static void name_field(struct tz_changes *c, bool *names, uint32_t field)
{
    const struct tz_field *f = tz_type_field_id(c->body, field);
    if (f)
        names[f->index] = true;
}

/** Decode what the op says. A body that this catalogue cannot read says nothing. */
static int read_values(struct tz_changes *c, struct tz_change *ch, struct tz_arena *a)
{
    const struct tz_op *op = &ch->h.op;
    struct tz_record *rec = tz_arena_alloc(a, sizeof *rec);
    bool *names = tz_arena_calloc(a, TZ_FIELDS_MAX, sizeof *names);
    if (!rec || !names)
        return TZ_E_NOMEM;
    if (tz_record_decode(c->body, op->values, a, rec, NULL))
        tz_record_init(rec, c->body);
    for (size_t i = 0; i < c->body->nfields; i++)
        names[i] = rec->v[i].kind != TZ_V_NULL;
    for (size_t i = 0; i < op->ncleared; i++)
        name_field(c, names, op->cleared[i]);
    if (op->kind == TZ_OP_ADD || op->kind == TZ_OP_REMOVE)
        name_field(c, names, op->field);
    ch->rec = rec;
    ch->names = names;
    return 0;
}

/* ---- here ---- */

struct here {
    struct tz_office *o;
    struct tz_changes *c;
    struct tz_arena *a;
    struct tz_session_user *users;
    size_t nusers;
    struct tz_err *err;
};

/** What a case that is held here is about. 1, 0, negative. */
static int case_of(struct here *h, struct tz_id id, struct tz_case_view *out)
{
    const struct tz_type *t = tz_catalogue_type(h->o->cat, "case");
    struct tz_row *row = tz_arena_alloc(h->a, sizeof *row);
    struct tz_err ignored = {0};
    if (!row)
        return TZ_E_NOMEM;
    int rc = t ? tz_office_read(h->o, t, id, h->a, row, NULL, NULL, h->err) : 0;
    return rc == 1 ? tz_case_read(h->o, row, out, &ignored) == 0 : rc;
}

static int concerns(struct here *h, const struct tz_op *op, const struct tz_op_result *r)
{
    struct tz_case_view cv;
    const struct tz_id id = h->c->id;
    bool pairs = op->kind == TZ_OP_MERGE || op->kind == TZ_OP_UNMERGE;
    if (op->type == h->c->type->id && (tz_id_eq(op->id, id) || (pairs && tz_id_eq(op->other_id, id)) ||
                                       tz_id_eq(r->alias_of, id) || tz_id_eq(r->absorbed, id)))
        return op->kind != TZ_OP_WITHDRAW;
    if (op->kind != TZ_OP_RESOLVE)
        return 0;
    int rc = case_of(h, op->id, &cv);
    return rc == 1 ? cv.type == h->c->type && tz_id_eq(cv.target, h->c->id) : rc;
}

static void name_author(struct here *h, struct tz_history_entry *e)
{
    e->device_name = h->o->st.id.name;
    e->user_code = e->user_name = "";
    for (size_t i = 0; i < h->nusers; i++)
        if (tz_id_eq(h->users[i].id, e->user)) {
            e->user_code = h->users[i].code;
            e->user_name = h->users[i].name;
        }
}

static struct tz_bytes copy_blob(struct here *h, const struct tz_stmt *s, int col)
{
    struct tz_bytes b = tz_stmt_blob(s, col);
    return (struct tz_bytes){b.n ? tz_arena_dup(h->a, b.p, b.n) : NULL, b.n};
}

static int add_op(struct here *h, const struct tz_history_entry *e, const struct tz_op *op,
                  const struct tz_op_result *r, size_t index)
{
    struct tz_change *ch = change_add(h->c, h->a);
    if (!ch)
        return TZ_E_NOMEM;
    ch->e = *e;
    ch->h = (struct tz_history_op){.op = *op, .result = *r, .index = (uint32_t)index};
    if (op->kind == TZ_OP_RESOLVE)
        ch->h.case_id = op->id;
    bool pairs = op->kind == TZ_OP_MERGE || op->kind == TZ_OP_UNMERGE;
    if (pairs && tz_id_eq(op->other_id, h->c->id))
        ch->h.op.other_id = op->id;
    if (!pairs && op->kind != TZ_OP_RESOLVE) {
        ch->h.as_other = tz_id_eq(r->alias_of, h->c->id);
        ch->h.op.other_id = !tz_id_eq(op->id, h->c->id)  ? op->id
                            : tz_id_is_zero(r->alias_of) ? r->absorbed
                                                         : r->alias_of;
    }
    return read_values(h->c, ch, h->a);
}

/** An own save: columns raw, outcome, ver, result. */
static int take_own(struct here *h, const struct tz_stmt *s)
{
    struct tz_changeset cs;
    struct tz_result r = {0};
    struct tz_history_entry e = {.device = h->o->st.id.device};
    struct tz_bytes raw = copy_blob(h, s, 0);
    struct tz_bytes result = copy_blob(h, s, 3);
    int rc = tz_msg_read_changeset(raw, h->a, &cs, h->err);
    if (!rc && result.n)
        rc = tz_msg_read_result(result, h->a, &r, h->err);
    if (rc)
        return rc;
    e.outcome = (enum tz_outcome)tz_stmt_int(s, 1);
    e.ver = (tz_ver)tz_stmt_int(s, 2);
    e.incarnation = cs.incarnation;
    e.seq = cs.seq;
    e.user = cs.user;
    e.claimed = cs.hlc;
    e.reason = cs.reason;
    e.imported = !tz_id_is_zero(cs.import_id);
    name_author(h, &e);
    for (size_t i = 0; i < cs.nops; i++) {
        struct tz_op_result one = {.outcome = e.outcome};
        if (r.nops == cs.nops)
            one = r.ops[i];
        rc = concerns(h, &cs.ops[i], &one);
        rc = rc == 1 ? add_op(h, &e, &cs.ops[i], &one, i) : rc;
        if (rc)
            return rc;
    }
    return 0;
}

/** The id of the record, or of a case about it, stands in the bytes of every save that names it. */
static const char OWN_SQL[] =
    "SELECT raw, outcome, ver, result FROM outbox WHERE instr(raw, ?1) > 0 OR EXISTS (SELECT 1 FROM \"case\" c WHERE"
    " c.target_id = ?1 AND instr(raw, c._id) > 0) ORDER BY seq DESC";

int tz_history_here(struct tz_office *o, const struct tz_type *t, struct tz_id id, struct tz_arena *a,
                    struct tz_changes *out, struct tz_err *err)
{
    struct tz_stmt s = {0};
    struct here h = {.o = o, .c = out, .a = a, .err = err};
    struct tz_case_view cv;
    *out = (struct tz_changes){.type = t, .id = id, .body = t};
    int rc = tz_office_load(o, err);
    if (!rc)
        rc = tz_office_users(o, a, &h.users, &h.nusers, err);
    if (!rc && t == tz_catalogue_type(o->cat, "case") && case_of(&h, id, &cv) == 1)
        out->body = cv.type;
    if (!rc)
        rc = tz_db_prepare(o->db, &s, OWN_SQL, err);
    if (!rc)
        tz_stmt_bind_blob(&s, 1, id.b, sizeof id.b);
    while (!rc && (rc = tz_stmt_step(&s, err)) == 1)
        rc = take_own(&h, &s);
    tz_stmt_finalize(&s);
    if (!rc)
        rc = tz_compact_emptied(o, &out->emptied, err);
    return rc == TZ_E_NOMEM && err && !err->code ? tz_office_nomem(err) : rc;
}

/* ---- the server ---- */

static bool same_changeset(const struct tz_history_entry *a, const struct tz_history_entry *b)
{
    return a->device == b->device && a->incarnation == b->incarnation && a->seq == b->seq;
}

static int add_entry(struct tz_changes *c, const struct tz_history_entry *e, struct tz_arena *a)
{
    for (size_t i = 0; i < e->nops || (e->erased && i == 0); i++) {
        struct tz_change *ch = change_add(c, a);
        if (!ch)
            return TZ_E_NOMEM;
        ch->e = *e;
        if (!e->erased)
            ch->h = e->ops[i];
        int rc = read_values(c, ch, a);
        if (rc)
            return rc;
    }
    return 0;
}

/** Own saves that the server has an entry of go; of an erased one the own copy is better than nothing. */
static void drop_known(struct tz_changes *c, size_t own)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->n; i++) {
        bool drop = false;
        for (size_t k = own; i < own && k < c->n && !drop; k++)
            drop = same_changeset(&c->v[i].e, &c->v[k].e) && !c->v[k].e.erased;
        if (!drop)
            c->v[kept++] = c->v[i];
    }
    c->n = kept;
}

int tz_history_server(struct tz_changes *c, const struct tz_bytes *pages, size_t n, struct tz_arena *a,
                      struct tz_err *err)
{
    size_t own = c->n;
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++) {
        struct tz_msg_history m;
        rc = tz_msg_read_history(pages[i], a, &m, err);
        for (size_t k = 0; k < m.nentries && !rc; k++)
            rc = add_entry(c, &m.entries[k], a);
        if (rc)
            break;
        c->complete = m.next == 0;
        if (i == 0) {
            c->born = m.born;
            c->stamps = m.stamps;
            c->nstamps = m.nstamps;
        }
    }
    c->asked = n > 0;
    drop_known(c, own);
    return rc == TZ_E_NOMEM && err && !err->code ? tz_office_nomem(err) : rc;
}

tz_ver tz_history_stamp(const struct tz_changes *c, uint32_t field, bool *resolved)
{
    if (resolved)
        *resolved = false;
    for (size_t i = 0; i < c->nstamps; i++)
        if (c->stamps[i].field == field) {
            if (resolved)
                *resolved = c->stamps[i].resolved;
            return c->stamps[i].ver;
        }
    return c->born;
}
