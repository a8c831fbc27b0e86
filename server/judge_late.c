/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order before a restore. Devices hand in again what they had made when they next connect, so an older change may
 * come after a younger one that had seen and replaced it. Judged by arrival the two would be concurrent: the old value
 * could come back, or a case be opened about what never was in dispute.
 *
 * Who wrote a (field, element) of the record since the restore, and came after the old version, is looked up in the
 * audit log, with what it had seen: in its changeset's own words, so with the versions of that time.
 *
 *   the first of them had seen the edit          a successor: the edit is history, nothing happens (QUIETLY)
 *   it had not, but one after it had             both words were there: the edit is a candidate of a case (OPENLY)
 *   none had                                     concurrent: the ordinary rules, with the old effective time (NOT)
 *
 * What it does not do: undo and judge anew what came in first. A chain of three writers that arrives backwards may
 * leave the middle one's word in the log alone, where it was a candidate before.
 */
#include "history_int.h"
#include "lost_int.h"

#include <stdio.h>
#include <string.h>

enum { LATE_ARENA_BYTES = 16 * 1024 * 1024 };

struct late {
    struct tz_judge *j;
    uint32_t field;
    const struct tz_bytes *element;
    tz_ver first; /* least place so far of one that came after; 0 none */
    bool first_saw, any_saw;
};

/** Place in the old order: of what was handed in again its old version, of what is new a later one. */
static tz_ver place_of(const char *meta, tz_ver ver)
{
    const char *was = strstr(meta, " was=");
    unsigned long long old = 0;
    return was && sscanf(was, " was=%llu", &old) == 1 && old ? (tz_ver)old : ver;
}

static bool names_element(const struct tz_op *op, const struct tz_bytes *element)
{
    for (size_t i = 0; i < op->nelements; i++)
        if (tz_bytes_eq(op->elements[i], *element))
            return true;
    return false;
}

/** An edit says something about life only when it had seen the deletion: it was carried out, so the record lived again.
 */
static bool is_edit(enum tz_op_kind k)
{
    return k == TZ_OP_SET || k == TZ_OP_ADD || k == TZ_OP_REMOVE || k == TZ_OP_EVENT;
}

static bool names_field(struct late *l, const struct tz_op *op, struct tz_arena *a)
{
    const struct tz_type *t = tz_catalogue_type_id(l->j->s->cat, op->type);
    if (l->field == TZ_FIELD_DELETED)
        return op->kind == TZ_OP_DELETE || op->kind == TZ_OP_RESTORE || is_edit(op->kind);
    if (l->element)
        return op->kind == TZ_OP_REMOVE && op->field == l->field && names_element(op, l->element);
    for (size_t i = 0; i < op->ncleared; i++)
        if (op->cleared[i] == l->field)
            return op->kind == TZ_OP_SET;
    const struct tz_field *f = t && op->kind == TZ_OP_SET ? tz_type_field_id(t, l->field) : NULL;
    struct tz_record *rec = f ? tz_arena_alloc(a, sizeof *rec) : NULL;
    return rec && !tz_record_decode(t, op->values, a, rec, NULL) && rec->v[f->index].kind != TZ_V_NULL;
}

/** Had the op of @cs seen the edit that is handed in now? */
static bool had_seen(const struct late *l, const struct tz_changeset *cs, const struct tz_op *op)
{
    const struct tz_edit *e = &l->j->edit;
    bool own = cs->device == e->device && cs->incarnation == e->incarnation && cs->seq > e->seq;
    return (tz_lost_is(l->j->s, op->base_ver) && op->base_ver >= e->old_ver) || (own && op->base_seq >= e->seq);
}

static int look(void *ctx, const struct tz_since *one)
{
    struct late *l = ctx;
    const struct tz_op *op = one->op;
    if (one->place <= l->j->edit.old_ver || op->type != l->j->target_type->id || !tz_id_eq(op->id, l->j->target) ||
        !names_field(l, op, one->a))
        return 0;
    bool saw = had_seen(l, one->cs, op);
    if (!saw && l->field == TZ_FIELD_DELETED && is_edit(op->kind))
        return 0;
    bool of_before = tz_lost_is(l->j->s, one->place);
    l->any_saw = l->any_saw || saw;
    if ((of_before || saw) && (l->first == 0 || one->place < l->first)) {
        l->first = one->place;
        l->first_saw = saw;
    }
    return 0;
}

/** The newest audit entry of the backup that undid @ver. */
static int backup_end(struct tz_store *s, tz_ver ver, uint64_t *n, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_LOST_RANGE_AUDIT, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, (int64_t)ver);
    int rc = tz_stmt_step(st, err);
    *n = rc == 1 ? (uint64_t)tz_stmt_int(st, 0) : 0;
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

/** The ops of one audit entry. One whose body was erased says nothing any more. */
static int each_op(const char *meta, struct tz_bytes body, struct tz_arena *a,
                   int (*cb)(void *ctx, const struct tz_since *one), void *ctx)
{
    struct tz_audit_meta m;
    struct tz_changeset cs;
    if (!tz_audit_meta_parse(meta, &m) || body.n == 0)
        return 0;
    int rc = tz_msg_read_changeset(body, a, &cs, NULL);
    for (size_t i = 0; !rc && i < cs.nops; i++)
        rc = cb(ctx, &(struct tz_since){.place = place_of(meta, m.ver), .cs = &cs, .op = &cs.ops[i], .a = a});
    return rc;
}

int tz_late_each(struct tz_store *s, const struct tz_type *t, struct tz_id id, tz_ver lost,
                 int (*cb)(void *ctx, const struct tz_since *one), void *ctx, struct tz_err *err)
{
    uint64_t n = 0;
    int rc = backup_end(s, lost, &n, err);
    struct tz_stmt *st = rc ? NULL : tz_store_sql(s, TZ_SQL_HISTORY_SINCE, err);
    struct tz_arena a;
    if (!st)
        return rc ? rc : TZ_E_DB;
    tz_stmt_bind_int(st, 1, t->id);
    tz_stmt_bind_id(st, 2, &id);
    tz_stmt_bind_int(st, 3, (int64_t)n);
    tz_arena_init(&a, LATE_ARENA_BYTES);
    while ((rc = tz_stmt_step(st, err)) == 1) {
        tz_arena_reset(&a);
        rc = each_op(tz_stmt_text(st, 0), tz_stmt_blob(st, 1), &a, cb, ctx);
        if (rc)
            break;
    }
    tz_stmt_reset(st);
    tz_arena_deinit(&a);
    return rc;
}

enum tz_overtaken tz_judge_overtaken(void *judge, uint32_t field, const struct tz_bytes *element)
{
    struct tz_judge *j = judge;
    struct tz_err err = {0};
    struct late l = {.j = j, .field = field, .element = element};
    int rc = j->target_type ? tz_late_each(j->s, j->target_type, j->target, j->edit.old_ver, look, &l, &err) : 0;
    if (rc < 0) { /* ends the changeset */
        j->s->read_err = err;
        j->s->read_err.code = rc;
    }
    if (rc < 0 || !l.any_saw)
        return TZ_OVERTAKEN_NOT;
    return l.first_saw ? TZ_OVERTAKEN_QUIETLY : TZ_OVERTAKEN_OPENLY;
}
