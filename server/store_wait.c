/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What depends on what: marks of refused and waiting ops, and the look-up that makes a later own changeset wait for
 * them.
 *
 * A mark is (device, type, id, subject, seq): subject 0 when the op would have made the record, else the field, or of a
 * group its as-of field. A changeset waits for the least seq before its own whose mark it needs or writes over. Other
 * devices never wait.
 *
 * What this does not do: judging, and keeping or releasing what waits. See store_apply.c.
 */
#include "apply_int.h"

#include <string.h>

/** Subject 0 = the record as a whole; else the field, or of a group its as-of field. */
static uint32_t subject_id(const struct tz_type *t, const struct tz_field *f)
{
    return f->group ? t->fields[t->groups[f->group - 1].as_of].id : f->id;
}

typedef int (*touch_fn)(struct apply *p, uint32_t type, struct tz_id id, uint32_t subject, void *ctx);

static bool makes_record(enum tz_op_kind k)
{
    return k == TZ_OP_CREATE || k == TZ_OP_APPEND || k == TZ_OP_RESTORE;
}

/** Every (record, subject) that an op writes. A subject may come more than once. */
static int each_write(struct apply *p, const struct tz_op *op, touch_fn fn, void *ctx)
{
    const struct tz_type *t = tz_catalogue_type_id(p->s->cat, op->type);
    struct tz_wire_iter it = {op->values};
    struct tz_wire_field w;
    int rc = makes_record(op->kind) ? fn(p, op->type, op->id, 0, ctx) : 0;
    if (!t || op->kind != TZ_OP_SET)
        return rc;
    while (!rc && tz_wire_next(&it, &w) == 1) {
        const struct tz_field *f = tz_type_field_id(t, w.number);
        rc = f ? fn(p, op->type, op->id, subject_id(t, f), ctx) : 0;
    }
    for (size_t i = 0; i < op->ncleared && !rc; i++) {
        const struct tz_field *f = tz_type_field_id(t, op->cleared[i]);
        rc = f ? fn(p, op->type, op->id, subject_id(t, f), ctx) : 0;
    }
    return rc;
}

/** A list of references: ["32 hex",…]. */
static int each_listed(struct apply *p, const struct tz_type *target, struct tz_value list, touch_fn fn, void *ctx)
{
    int rc = 0;
    for (size_t at = 2; at + TZ_ID_HEX <= list.n && !rc; at += TZ_ID_HEX + 3) {
        char hex[TZ_ID_HEX + 1] = "";
        struct tz_id id;
        memcpy(hex, list.p + at, TZ_ID_HEX);
        rc = tz_id_parse(hex, &id) ? 0 : fn(p, target->id, id, 0, ctx);
    }
    return rc;
}

/** Every record that an op needs to exist: itself, and what its values refer to. */
static int each_need(struct apply *p, const struct tz_op *op, touch_fn fn, void *ctx)
{
    const struct tz_type *t = tz_catalogue_type_id(p->s->cat, op->type);
    int rc = op->kind == TZ_OP_CREATE || op->kind == TZ_OP_APPEND ? 0 : fn(p, op->type, op->id, 0, ctx);
    struct tz_record *rec = t ? tz_arena_alloc(p->j->a, sizeof *rec) : NULL;
    if (rc || !rec || !op->values.n || tz_record_decode(t, op->values, p->j->a, rec, NULL))
        return rc;
    for (size_t i = 0; i < t->nfields && !rc; i++) {
        const struct tz_field *f = &t->fields[i];
        const struct tz_type *target =
            f->ftype == TZ_FT_REF || f->ftype == TZ_FT_REF_ANY ? tz_rows_ref_type(p->s->cat, rec, f) : NULL;
        struct tz_id id;
        if (f->ftype == TZ_FT_REFS && rec->v[i].kind == TZ_V_TEXT)
            rc = each_listed(p, f->ref, rec->v[i], fn, ctx);
        if (!target || rec->v[i].kind != TZ_V_BLOB || rec->v[i].n != TZ_ID_BYTES)
            continue;
        memcpy(id.b, rec->v[i].p, TZ_ID_BYTES);
        rc = fn(p, target->id, id, 0, ctx);
    }
    return rc;
}

/** @ctx: uint64_t *first — the least own seq that blocks; 0 none. */
static int find_blocker(struct apply *p, uint32_t type, struct tz_id id, uint32_t subject, void *ctx)
{
    uint64_t *first = ctx;
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_BLOCKED_GET, p->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_int(st, 2, type);
    tz_stmt_bind_id(st, 3, &id);
    tz_stmt_bind_int(st, 4, subject);
    tz_stmt_bind_int(st, 5, (int64_t)p->cs->seq);
    int rc = tz_stmt_step(st, p->err);
    uint64_t seq = rc == 1 ? (uint64_t)tz_stmt_int(st, 0) : 0;
    tz_stmt_reset(st);
    if (seq && (!*first || seq < *first))
        *first = seq;
    return rc < 0 ? rc : 0;
}

int tz_wait_find(struct apply *p, uint64_t *first)
{
    *first = 0;
    for (size_t i = 0; i < p->cs->nops; i++) {
        const struct tz_op *op = &p->cs->ops[i];
        if (op->kind == TZ_OP_WITHDRAW)
            continue;
        tz_arena_reset(p->j->a);
        int rc = each_need(p, op, find_blocker, first);
        /* A later CREATE of the same id is the mended one: it waits for nobody. */
        if (!rc && op->kind != TZ_OP_CREATE && op->kind != TZ_OP_APPEND)
            rc = each_write(p, op, find_blocker, first);
        if (rc)
            return rc;
    }
    return 0;
}

static int mark_blocked(struct apply *p, uint32_t type, struct tz_id id, uint32_t subject, void *ctx)
{
    (void)ctx;
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_BLOCKED_PUT, p->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_int(st, 2, type);
    tz_stmt_bind_id(st, 3, &id);
    tz_stmt_bind_int(st, 4, subject);
    tz_stmt_bind_int(st, 5, p->cs->incarnation);
    tz_stmt_bind_int(st, 6, (int64_t)p->cs->seq);
    return tz_stmt_run(st, p->err);
}

int tz_wait_mark(struct apply *p)
{
    for (size_t i = 0; i < p->cs->nops; i++) {
        enum tz_outcome o = p->ops[i].outcome;
        if (o != TZ_OUT_REFUSED && o != TZ_OUT_WAITING && o != TZ_OUT_HELD)
            continue;
        int rc = each_write(p, &p->cs->ops[i], mark_blocked, NULL);
        if (rc)
            return rc;
    }
    return 0;
}

int tz_wait_run_seq(struct apply *p, enum tz_sql which, uint64_t seq)
{
    struct tz_stmt *st = tz_store_sql(p->s, which, p->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_int(st, 2, p->cs->incarnation);
    tz_stmt_bind_int(st, 3, (int64_t)seq);
    return tz_stmt_run(st, p->err);
}

int tz_wait_mend(struct apply *p, bool *released)
{
    for (size_t i = 0; i < p->cs->nops; i++) {
        const struct tz_op *op = &p->cs->ops[i];
        if (!makes_record(op->kind) || p->ops[i].outcome == TZ_OUT_REFUSED)
            continue;
        struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_BLOCKED_MENDED, p->err);
        if (!st)
            return TZ_E_DB;
        tz_stmt_bind_int(st, 1, p->device);
        tz_stmt_bind_int(st, 2, op->type);
        tz_stmt_bind_id(st, 3, &op->id);
        tz_stmt_bind_int(st, 4, (int64_t)p->cs->seq);
        int rc = tz_stmt_run(st, p->err);
        if (rc)
            return rc;
        *released = *released || tz_db_changes(p->s->db) > 0;
    }
    return 0;
}
