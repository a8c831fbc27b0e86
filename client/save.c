/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making one changeset: from the form to the outbox, in one write transaction.
 *
 * Invariants
 *  1. Every check comes before the first write of an op: a refused op leaves the save as it was, and the caller may go
 * on with the next row. A write that fails spoils the whole save; commit then returns that error.
 *  2. seq, hlc and ids come from the state loaded inside the transaction.
 *  3. An op's base never claims more than what was on the screen: see tz_overlay_base. Fields with different bases go
 * into different ops; the members of a group and its as-of date never part. A set goes as the elements that were added
 * and those that were taken out.
 *
 * What the edit means once others have written too is the server's business.
 */
#include "save_int.h"

#include "reason.h"
#include "set.h"

#include <stdlib.h>
#include <string.h>

enum { SAVE_ARENA_BYTES = 4 * 1024 * 1024, OP_OVERHEAD_BYTES = 128, CHANGESET_OVERHEAD_BYTES = 2048 };

/* ---- begin, cancel ---- */

/** A clock that was years ahead and was put right must not stay ahead through its own past. */
static tz_hlc claimed_time(const struct tz_office *o)
{
    enum { AHEAD_MS_MAX = 2 * 60 * 1000 };
    struct tz_wall now = tz_clock_wall(&o->clock);
    bool trusted = tz_hlc_ms(o->st.last_hlc) <= now.ms + AHEAD_MS_MAX;
    return tz_hlc_tick(trusted ? o->st.last_hlc : 0, now);
}

static int save_init(struct tz_save *s, struct tz_office *o, const struct tz_save_options *opt, struct tz_err *err)
{
    struct tz_id user = tz_id_is_zero(opt->user) ? o->st.id.user : opt->user;
    const char *reason;
    int rc = tz_reason_parse(opt->reason, &s->a, &reason, err);
    if (rc)
        return rc;
    s->ops_max = opt->independent ? TZ_INDEPENDENT_OPS_MAX : TZ_CHANGESET_OPS_MAX;
    s->bytes = CHANGESET_OVERHEAD_BYTES + strlen(reason);
    s->cs = (struct tz_changeset){
        .device = o->st.id.device,
        .incarnation = o->st.id.incarnation,
        .seq = o->st.last_seq + 1,
        .user = user,
        .hlc = claimed_time(o),
        .catalogue_version = o->cat->version,
        .reason = reason,
        .independent = opt->independent,
        .base_checkpoint = o->st.checkpoint,
        .ops = s->ops,
        .import_id = opt->import_id,
    };
    o->open_cs = &s->cs;
    return tz_check_author(o, user, &s->who, err);
}

int tz_save_begin(struct tz_office *o, const struct tz_save_options *opt, struct tz_save **out, struct tz_err *err)
{
    static const struct tz_save_options none = {0};
    *out = NULL;
    struct tz_save *s = calloc(1, sizeof *s);
    if (!s)
        return tz_office_nomem(err);
    s->o = o;
    tz_arena_init(&s->a, SAVE_ARENA_BYTES);
    int rc = tz_office_begin(o, err);
    if (rc) {
        tz_arena_deinit(&s->a);
        free(s);
        return rc;
    }
    o->saving = true;
    rc = tz_wipe_check(o, err);
    rc = rc ? rc : save_init(s, o, opt ? opt : &none, err);
    if (rc) {
        tz_save_cancel(s);
        return rc;
    }
    *out = s;
    return 0;
}

static void save_free(struct tz_save *s)
{
    s->o->saving = false;
    s->o->open_cs = NULL;
    tz_arena_deinit(&s->a);
    free(s);
}

void tz_save_cancel(struct tz_save *s)
{
    if (!s)
        return;
    struct tz_office *o = s->o;
    struct tz_err ignored = {0};
    save_free(s);
    int rc = tz_office_end(o, TZ_E_INTERRUPTED, &ignored);
    (void)rc; /* rolling back is the purpose */
}

size_t tz_save_ops(const struct tz_save *s)
{
    return s->cs.nops;
}

/* ---- one op ---- */

int tz_save_room(const struct tz_save *s, size_t n, size_t bytes, struct tz_err *err)
{
    if (s->failed)
        return tz_err_set(err, s->failed, "save", NULL, NULL, NULL);
    if (s->cs.nops + n > s->ops_max)
        return tz_err_setf(err, TZ_E_LIMIT, "%zu", s->ops_max);
    if (s->bytes + bytes + n * OP_OVERHEAD_BYTES > TZ_CHANGESET_BYTES_MAX)
        return tz_err_setf(err, TZ_E_LIMIT, "%d", TZ_CHANGESET_BYTES_MAX);
    return 0;
}

int tz_save_encode(struct tz_save *s, const struct tz_record *rec, struct tz_bytes *out, struct tz_err *err)
{
    struct tz_buf b;
    tz_buf_init(&b, TZ_ROW_BYTES_MAX);
    int rc = tz_record_encode(rec, &b);
    struct tz_bytes body = tz_buf_unread(&b);
    uint8_t *copy = rc ? NULL : tz_arena_dup(&s->a, body.p, body.n);
    tz_buf_deinit(&b);
    if (rc || !copy)
        return tz_err_set(err, rc ? rc : TZ_E_LIMIT, rec->type->name, NULL, NULL, NULL);
    *out = tz_bytes_of(copy, body.n);
    return 0;
}

int tz_save_show(struct tz_save *s, size_t at, const struct tz_type *t, struct tz_id id, struct tz_err *err)
{
    struct tz_arena a;
    struct tz_image im = {0};
    const struct tz_op *op = &s->ops[at];
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    int rc = tz_overlay_touch(s->o, t, id, s->cs.seq, at, op, err);
    if (!rc) {
        rc = tz_replica_get(s->o->rep, t, id, &a, &im.row, err);
        im.state = rc == 1 ? (im.row.deleted ? TZ_IMAGE_DELETED : TZ_IMAGE_LIVE) : TZ_IMAGE_NONE;
        rc = rc < 0 ? rc : 0;
        if (im.state == TZ_IMAGE_NONE)
            tz_record_init(&im.row.rec, t);
    }
    if (!rc)
        rc = tz_overlay_apply(s->o, op, t, id, &a, &im, err);
    if (!rc)
        rc = tz_overlay_put(s->o, t, id, &im, err);
    tz_arena_deinit(&a);
    if (rc)
        s->failed = rc;
    return rc;
}

/** Upper estimate of what an op adds to its overhead. */
static size_t op_bytes(const struct tz_op *op)
{
    size_t n = op->values.n + op->note.n + op->target_hash.n + op->ncleared * 4;
    for (size_t i = 0; i < op->nelements; i++)
        n += op->elements[i].n + 4;
    return n;
}

size_t tz_save_push(struct tz_save *s, const struct tz_op *op, tz_ver checkpoint)
{
    size_t at = s->cs.nops++;
    s->ops[at] = *op;
    s->bytes += OP_OVERHEAD_BYTES + op_bytes(op);
    if (checkpoint < s->cs.base_checkpoint)
        s->cs.base_checkpoint = checkpoint;
    return at;
}

/** The record as the person has it: 0 live, TZ_E_UNKNOWN_RECORD, or TZ_E_DELETED with @row filled. */
static int load_view(struct tz_save *s, const struct tz_type *t, struct tz_id id, struct tz_arena *a,
                     struct tz_row *row, struct tz_err *err)
{
    int rc = tz_replica_get(s->o->rep, t, id, a, row, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return tz_err_set(err, TZ_E_UNKNOWN_RECORD, NULL, NULL, NULL, NULL);
    return row->deleted ? tz_err_set(err, TZ_E_DELETED, NULL, NULL, NULL, NULL) : 0;
}

/** Did an earlier op of this very save touch the record? Then what that op left was on the screen as well. */
static bool touched_here(const struct tz_save *s, struct tz_id id)
{
    for (size_t i = 0; i < s->cs.nops; i++)
        if (tz_id_eq(s->ops[i].id, id))
            return true;
    return false;
}

static struct tz_seen seen_here(const struct tz_save *s, struct tz_id id, const struct tz_seen *seen)
{
    struct tz_seen out = *seen;
    if (touched_here(s, id))
        out.seq = s->cs.seq;
    return out;
}

/* ---- create ---- */

int tz_save_create(struct tz_save *s, const struct tz_record *in, struct tz_id *id, struct tz_err *err)
{
    struct tz_office *o = s->o;
    struct tz_arena a;
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    struct tz_record *rec = tz_arena_dup(&a, in, sizeof *in);
    struct tz_op op = {.kind = in->type->append ? TZ_OP_APPEND : TZ_OP_CREATE, .type = in->type->id};
    int rc = rec ? tz_check_create(o, &s->who, rec, &a, err) : tz_office_nomem(err);
    if (!rc)
        rc = tz_save_encode(s, rec, &op.values, err);
    tz_arena_deinit(&a);
    if (!rc)
        rc = tz_save_room(s, 1, op.values.n, err);
    if (rc)
        return rc;
    struct tz_id_maker maker = {o->st.id.device, o->st.id_ms, o->st.id_counter, o->random, o->random_ctx};
    op.id = tz_id_make(&maker, tz_clock_wall(&o->clock));
    o->st.id_ms = maker.last_ms;
    o->st.id_counter = maker.counter;
    op.base_seq = s->cs.seq;
    size_t at = tz_save_push(s, &op, o->st.checkpoint);
    rc = tz_save_show(s, at, in->type, op.id, err);
    if (!rc)
        *id = op.id;
    return rc;
}

/* ---- set ---- */

/** The edit as it will be sent: what really changes, and the as-of dates that belong to it. */
struct edit {
    const struct tz_record *was; /* the view: what sets differ from */
    struct tz_record in;
    bool names[TZ_FIELDS_MAX];
    char today[11];
};

static bool later(struct tz_value a, struct tz_value b)
{
    uint32_t da;
    uint32_t db;
    unsigned pa;
    unsigned pb;
    tz_date_key(a, &da, &pa);
    tz_date_key(b, &db, &pb);
    return da > db || (da == db && pa > pb);
}

/** Members of a group changed: their as-of date goes along, today's when the person gave none. */
static void date_groups(struct edit *e, const struct tz_row *row, const bool *named)
{
    const struct tz_type *t = row->rec.type;
    for (size_t g = 0; g < t->ngroups; g++) {
        size_t as_of = t->groups[g].as_of;
        bool member = false;
        for (size_t i = 0; i < t->nfields; i++)
            member = member || (e->names[i] && i != as_of && t->fields[i].group == g + 1);
        if (!member)
            continue;
        e->names[as_of] = true;
        if (named[as_of])
            continue;
        struct tz_value today = tz_value_text(e->today);
        struct tz_value was = row->rec.v[as_of];
        e->in.v[as_of] = was.kind == TZ_V_NULL || later(today, was) ? today : was;
    }
}

static bool pick_changes(struct edit *e, const struct tz_office *o, const struct tz_row *row,
                         const struct tz_record *in, const bool *names)
{
    bool any = false;
    e->was = &row->rec;
    tz_record_init(&e->in, row->rec.type);
    memset(e->names, 0, sizeof e->names);
    for (size_t i = 0; i < row->rec.type->nfields; i++) {
        if (!names[i])
            continue;
        e->in.v[i] = in->v[i];
        e->names[i] = !tz_value_eq(in->v[i], row->rec.v[i]);
        any = any || e->names[i];
    }
    tz_clock_today(tz_office_now(o), e->today);
    if (any)
        date_groups(e, row, names);
    return any;
}

/** One op of the fields in @e whose base is @base; takes them out of @left. */
static int set_op(struct tz_save *s, const struct edit *e, const struct tz_bases *bases, tz_ver base, bool *left,
                  struct tz_op *op, struct tz_err *err)
{
    const struct tz_type *t = e->in.type;
    struct tz_record *part = tz_arena_alloc(&s->a, sizeof *part);
    uint32_t *cleared = tz_arena_calloc(&s->a, t->nfields, sizeof *cleared);
    if (!part || !cleared)
        return tz_err_set(err, TZ_E_LIMIT, t->name, NULL, NULL, NULL);
    tz_record_init(part, t);
    op->base_ver = base;
    op->cleared = cleared;
    op->ncleared = 0;
    for (size_t i = 0; i < t->nfields; i++) {
        if (!left[i] || bases->ver[i] != base || t->fields[i].merge == TZ_MERGE_SET)
            continue;
        left[i] = false;
        part->v[i] = e->in.v[i];
        if (part->v[i].kind == TZ_V_NULL)
            cleared[op->ncleared++] = t->fields[i].id;
    }
    return tz_save_encode(s, part, &op->values, err);
}

/** The elements of @v that @other lacks, copied. */
static int elements_of(struct tz_save *s, struct tz_value v, struct tz_value other, struct tz_op *op,
                       struct tz_err *err)
{
    struct tz_bytes rest = v.kind == TZ_V_TEXT ? tz_bytes_of(v.p, v.n) : tz_bytes_of(NULL, 0);
    struct tz_bytes *el = tz_arena_calloc(&s->a, tz_set_count(v) + 1, sizeof *el);
    struct tz_bytes at;
    op->elements = el;
    while (el && tz_set_next(&rest, &at)) {
        if (tz_set_has(other, at))
            continue;
        el[op->nelements] = tz_bytes_of(tz_arena_dup(&s->a, at.p, at.n), at.n);
        if (!el[op->nelements++].p)
            el = NULL;
    }
    return el ? 0 : tz_err_set(err, TZ_E_LIMIT, "elements", NULL, NULL, NULL);
}

/** Ops of one save that are made together, before any of them is shown. */
struct parts {
    struct tz_op ops[2 * TZ_FIELDS_MAX];
    size_t n, bytes;
};

/** ADD and REMOVE of a set field; takes it out of @left. */
static int set_elements(struct tz_save *s, const struct edit *e, size_t i, const struct tz_op *like, bool *left,
                        struct parts *p, struct tz_err *err)
{
    left[i] = false;
    for (int k = 0; k < 2; k++) {
        struct tz_op *op = &p->ops[p->n];
        struct tz_value now = e->in.v[i];
        struct tz_value was = e->was->v[i];
        *op = *like;
        op->kind = k ? TZ_OP_REMOVE : TZ_OP_ADD;
        op->field = e->in.type->fields[i].id;
        int rc = elements_of(s, k ? was : now, k ? now : was, op, err);
        if (rc)
            return rc;
        p->n += op->nelements > 0;
    }
    return 0;
}

static int push_sets(struct tz_save *s, struct tz_id id, const struct edit *e, const struct tz_seen *seen,
                     struct tz_err *err)
{
    const struct tz_type *t = e->in.type;
    struct tz_bases bases;
    struct parts *p = tz_arena_calloc(&s->a, 1, sizeof *p);
    bool left[TZ_FIELDS_MAX];
    struct tz_seen mine = seen_here(s, id, seen);
    int rc =
        p ? tz_overlay_base(s->o, t, id, &mine, &bases, err) : tz_err_set(err, TZ_E_LIMIT, t->name, NULL, NULL, NULL);
    memcpy(left, e->names, sizeof left);
    for (size_t i = 0; i < t->nfields && !rc; i++) {
        struct tz_op like = {.kind = TZ_OP_SET, .type = t->id, .id = id, .base_seq = mine.seq};
        like.base_ver = bases.ver[i];
        if (!left[i])
            continue;
        if (t->fields[i].merge == TZ_MERGE_SET) {
            rc = set_elements(s, e, i, &like, left, p, err);
        } else {
            p->ops[p->n] = like;
            rc = set_op(s, e, &bases, bases.ver[i], left, &p->ops[p->n++], err);
        }
    }
    if (rc)
        return rc;
    for (size_t i = 0; i < p->n; i++)
        p->bytes += op_bytes(&p->ops[i]);
    rc = tz_save_room(s, p->n, p->bytes, err);
    for (size_t i = 0; i < p->n && !rc; i++)
        rc = tz_save_show(s, tz_save_push(s, &p->ops[i], seen->checkpoint), t, id, err);
    return rc;
}

int tz_save_set(struct tz_save *s, struct tz_id id, const struct tz_seen *seen, const struct tz_record *in,
                const bool *names, struct tz_err *err)
{
    struct tz_arena a;
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    struct tz_row *row = tz_arena_alloc(&a, sizeof *row);
    struct edit *e = tz_arena_alloc(&a, sizeof *e);
    int rc = row && e ? load_view(s, in->type, id, &a, row, err) : tz_office_nomem(err);
    if (!rc && pick_changes(e, s->o, row, in, names)) {
        rc = tz_check_set(s->o, &s->who, row, &e->in, e->names, &a, err);
        if (!rc)
            rc = push_sets(s, id, e, seen, err);
    }
    tz_arena_deinit(&a);
    return rc;
}

/* ---- delete, restore ---- */

static int life_rights(const struct tz_save *s, const struct tz_row *row, struct tz_err *err)
{
    const struct tz_type *t = row->rec.type;
    const char *label = t->label[TZ_LANG_ZH];
    if (s->o->st.filling)
        return tz_err_set(err, TZ_E_INCOMPLETE, NULL, NULL, NULL, NULL);
    if (t->append)
        return tz_check_wrong(TZ_E_APPEND_ONLY, label, t->name, err);
    if (t->local || !(t->deleters & s->who.role->editor))
        return tz_check_wrong(TZ_E_NO_RIGHT_TYPE, label, t->name, err);
    return tz_check_in_area(&s->who, &row->area) ? 0 : tz_check_wrong(TZ_E_AREA, label, t->name, err);
}

/** DELETE and RESTORE judge the record as a whole: they saw it only as far as the least base of what was on top of it.
 */
static int push_life(struct tz_save *s, enum tz_op_kind kind, const struct tz_type *t, struct tz_id id,
                     const struct tz_seen *seen, struct tz_err *err)
{
    struct tz_bases bases;
    struct tz_seen mine = seen_here(s, id, seen);
    int rc = tz_overlay_base(s->o, t, id, &mine, &bases, err);
    if (!rc)
        rc = tz_save_room(s, 1, 0, err);
    if (rc)
        return rc;
    struct tz_op op = {.kind = kind, .type = t->id, .id = id, .base_ver = bases.least, .base_seq = mine.seq};
    return tz_save_show(s, tz_save_push(s, &op, seen->checkpoint), t, id, err);
}

int tz_save_delete(struct tz_save *s, const struct tz_type *t, struct tz_id id, const struct tz_seen *seen,
                   struct tz_err *err)
{
    struct tz_arena a;
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    struct tz_row *row = tz_arena_alloc(&a, sizeof *row);
    int rc = row ? load_view(s, t, id, &a, row, err) : tz_office_nomem(err);
    if (!rc)
        rc = life_rights(s, row, err);
    if (!rc)
        rc = tz_check_children(s->o, t, id, err);
    if (!rc)
        rc = push_life(s, TZ_OP_DELETE, t, id, seen, err);
    tz_arena_deinit(&a);
    return rc;
}

int tz_save_restore(struct tz_save *s, const struct tz_type *t, struct tz_id id, const struct tz_seen *seen,
                    struct tz_err *err)
{
    struct tz_arena a;
    struct tz_err live = {0};
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    struct tz_row *row = tz_arena_alloc(&a, sizeof *row);
    int rc = row ? load_view(s, t, id, &a, row, &live) : tz_office_nomem(&live);
    if (rc == 0)
        rc = tz_err_set(err, TZ_E_NOT_DELETED, NULL, NULL, NULL, NULL);
    else if (rc != TZ_E_DELETED) {
        if (err)
            *err = live;
    } else {
        rc = life_rights(s, row, err);
        if (!rc)
            rc = push_life(s, TZ_OP_RESTORE, t, id, seen, err);
    }
    tz_arena_deinit(&a);
    return rc;
}

/* ---- resolve ---- */

static int typed_choice(const struct tz_case_view *cv, const struct tz_record *typed, const bool *names,
                        struct tz_record *out, bool *used, struct tz_err *err)
{
    tz_record_init(out, cv->type);
    for (size_t i = 0; i < cv->type->nfields; i++) {
        const struct tz_field *f = &cv->type->fields[i];
        if (!names[i])
            continue;
        if (cv->life || !cv->names[i])
            return tz_check_wrong(TZ_E_BAD_OP, f->label[TZ_LANG_ZH], f->name, err);
        int rc = tz_value_check(f, typed->v[i], true, err);
        if (rc)
            return rc;
        out->v[i] = typed->v[i];
        used[i] = true;
    }
    return 0;
}

/** May the author decide this case? Whoever may edit its fields. */
static int resolve_rights(const struct tz_save *s, const struct tz_case_view *cv, const struct tz_row *target,
                          const bool *used, struct tz_err *err)
{
    if (!tz_check_in_area(&s->who, &target->area))
        return tz_check_wrong(TZ_E_AREA, cv->type->label[TZ_LANG_ZH], cv->type->name, err);
    if (cv->late && !s->who.role->supervises)
        return tz_check_wrong(TZ_E_NO_RIGHT_TYPE, "转交审核", "late_scope", err);
    if (cv->late) /* the author had the right to what is said yes to; anything else the server judges */
        return 0;
    if (cv->life && !(cv->type->deleters & s->who.role->editor))
        return tz_check_wrong(TZ_E_NO_RIGHT_TYPE, cv->type->label[TZ_LANG_ZH], cv->type->name, err);
    for (size_t i = 0; i < cv->type->nfields; i++)
        if (used[i] && !tz_check_may_edit(s->o, &s->who, target, &cv->type->fields[i]))
            return tz_check_wrong(TZ_E_NO_RIGHT_FIELD, cv->type->fields[i].label[TZ_LANG_ZH], cv->type->fields[i].name,
                                  err);
    return 0;
}

static int push_resolve(struct tz_save *s, const struct tz_row *row, const struct tz_case_view *cv,
                        const struct tz_row *target, struct tz_op *op, const struct tz_record *chosen, const bool *used,
                        struct tz_err *err)
{
    struct tz_bases bases;
    struct tz_seen seen = {target->ver, s->cs.seq, s->o->st.checkpoint};
    uint32_t *cleared = tz_arena_calloc(&s->a, cv->type->nfields, sizeof *cleared);
    int rc = cleared ? tz_overlay_base(s->o, cv->type, cv->target, &seen, &bases, err)
                     : tz_err_set(err, TZ_E_LIMIT, cv->type->name, NULL, NULL, NULL);
    if (rc)
        return rc;
    op->type = row->rec.type->id;
    op->id = row->id;
    op->generation = cv->generation;
    op->field = cv->field;
    op->cleared = cleared;
    op->base_seq = s->cs.seq;
    op->base_ver = row->ver;
    for (size_t i = 0; i < cv->type->nfields; i++) {
        if (used[i] && chosen->v[i].kind == TZ_V_NULL)
            cleared[op->ncleared++] = cv->type->fields[i].id;
        if (cv->names[i] && bases.ver[i] < seen.ver && bases.ver[i] < op->base_ver)
            op->base_ver = bases.ver[i]; /* an own pending value hides what stands */
    }
    rc = tz_save_encode(s, chosen, &op->values, err);
    if (!rc)
        rc = tz_save_room(s, 1, op->values.n + 4 * cv->type->nfields, err);
    if (rc)
        return rc;
    size_t at = tz_save_push(s, op, s->o->st.checkpoint);
    rc = tz_save_show(s, at, row->rec.type, row->id, err);
    return rc ? rc : tz_save_show(s, at, cv->type, cv->target, err);
}

/** The open case, its target, and what they are about. */
static int load_case(struct tz_save *s, struct tz_id case_id, struct tz_arena *a, struct tz_row *row,
                     struct tz_row *target, struct tz_case_view *cv, struct tz_err *err)
{
    const struct tz_type *ct = tz_catalogue_type(s->o->cat, "case");
    if (!ct)
        return tz_err_set(err, TZ_E_UNKNOWN_TYPE, "case", NULL, NULL, NULL);
    int rc = load_view(s, ct, case_id, a, row, err);
    if (!rc)
        rc = tz_case_read(s->o, row, cv, err);
    if (rc)
        return rc;
    if (!cv->open)
        return tz_err_set(err, TZ_E_CASE_STALE, NULL, NULL, NULL, NULL);
    if (cv->words) /* there is none */
        return 0;
    rc = tz_replica_get(s->o->rep, cv->type, cv->target, a, target, err);
    if (rc == 0 && cv->whole)
        return 0;
    if (rc == 0)
        return tz_err_set(err, TZ_E_UNKNOWN_RECORD, NULL, NULL, NULL, NULL);
    return rc < 0 ? rc : 0;
}

/** May the author close a case that is about no value? */
static bool may_close(const struct tz_save *s, const struct tz_case_view *cv)
{
    return cv->duplicate ? s->who.role->supervises : (cv->type->deleters & s->who.role->editor) != 0;
}

/** Two records claim one key, and both stay; or the words about a record that is gone were seen. */
static int keep_as_is(struct tz_save *s, const struct tz_row *row, const struct tz_case_view *cv, enum tz_choice choice,
                      struct tz_err *err)
{
    struct tz_op op = {.kind = TZ_OP_RESOLVE,
                       .type = row->rec.type->id,
                       .id = row->id,
                       .choice = TZ_CHOICE_MINE,
                       .generation = cv->generation,
                       .base_ver = row->ver,
                       .base_seq = s->cs.seq};
    if (choice != TZ_CHOICE_MINE && cv->words)
        return tz_err_set(err, TZ_E_PURGED, NULL, NULL, NULL, NULL);
    if (choice != TZ_CHOICE_MINE)
        return tz_check_wrong(TZ_E_BAD_OP, row->rec.type->label[TZ_LANG_ZH], row->rec.type->name, err);
    if (!may_close(s, cv) || !tz_check_in_area(&s->who, &row->area))
        return tz_check_wrong(TZ_E_NO_RIGHT_TYPE, row->rec.type->label[TZ_LANG_ZH], row->rec.type->name, err);
    int rc = tz_save_room(s, 1, 0, err);
    return rc ? rc : tz_save_show(s, tz_save_push(s, &op, s->o->st.checkpoint), row->rec.type, row->id, err);
}

/** Yes or no to a record that somebody was to make. */
static int make_or_not(struct tz_save *s, const struct tz_row *row, const struct tz_case_view *cv,
                       enum tz_choice choice, unsigned candidate, struct tz_arena *a, struct tz_err *err)
{
    bool used[TZ_FIELDS_MAX] = {false};
    bool ignored = false;
    struct tz_record *chosen = tz_arena_alloc(a, sizeof *chosen);
    struct tz_op op = {.kind = TZ_OP_RESOLVE,
                       .type = row->rec.type->id,
                       .id = row->id,
                       .choice = choice,
                       .generation = cv->generation,
                       .base_ver = row->ver,
                       .base_seq = s->cs.seq};
    if (!chosen)
        return tz_office_nomem(err);
    if (choice == TZ_CHOICE_TYPED || choice == TZ_CHOICE_NONE)
        return tz_check_wrong(TZ_E_BAD_OP, row->rec.type->label[TZ_LANG_ZH], row->rec.type->name, err);
    if (!s->who.role->supervises || !tz_check_in_area(&s->who, &row->area))
        return tz_check_wrong(TZ_E_NO_RIGHT_TYPE, row->rec.type->label[TZ_LANG_ZH], row->rec.type->name, err);
    int rc = choice == TZ_CHOICE_THEIRS ? tz_case_values(row, cv, (int)candidate, a, chosen, used, &ignored, err) : 0;
    if (!rc && choice == TZ_CHOICE_THEIRS)
        rc = tz_save_encode(s, chosen, &op.values, err);
    if (!rc)
        rc = tz_save_room(s, 1, op.values.n, err);
    return rc ? rc : tz_save_show(s, tz_save_push(s, &op, s->o->st.checkpoint), row->rec.type, row->id, err);
}

int tz_save_resolve(struct tz_save *s, struct tz_id case_id, enum tz_choice choice, unsigned candidate,
                    const struct tz_record *typed, const bool *names, struct tz_err *err)
{
    struct tz_arena a;
    struct tz_case_view cv = {0};
    struct tz_op op = {.kind = TZ_OP_RESOLVE, .choice = choice};
    bool used[TZ_FIELDS_MAX] = {false};
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    struct tz_row *row = tz_arena_alloc(&a, sizeof *row);
    struct tz_row *target = tz_arena_alloc(&a, sizeof *target);
    struct tz_record *chosen = tz_arena_alloc(&a, sizeof *chosen);
    int rc = row && target && chosen ? load_case(s, case_id, &a, row, target, &cv, err) : tz_office_nomem(err);
    if (!rc && (cv.duplicate || cv.words)) {
        rc = keep_as_is(s, row, &cv, choice, err);
        tz_arena_deinit(&a);
        return rc;
    }
    if (!rc && cv.whole) {
        rc = make_or_not(s, row, &cv, choice, candidate, &a, err);
        tz_arena_deinit(&a);
        return rc;
    }
    if (!rc && choice != TZ_CHOICE_TYPED)
        rc = tz_case_values(row, &cv, choice == TZ_CHOICE_MINE ? -1 : (int)candidate, &a, chosen, used, &op.deleted,
                            err);
    else if (!rc && typed && names)
        rc = typed_choice(&cv, typed, names, chosen, used, err);
    else if (!rc)
        rc = tz_err_set(err, TZ_E_USAGE, "value", NULL, NULL, NULL);
    if (!rc)
        rc = resolve_rights(s, &cv, target, used, err);
    if (!rc)
        rc = push_resolve(s, row, &cv, target, &op, chosen, used, err);
    tz_arena_deinit(&a);
    return rc;
}

/* ---- merge ---- */

int tz_save_merge(struct tz_save *s, const struct tz_type *t, struct tz_id keep, struct tz_id gone, bool together,
                  struct tz_err *err)
{
    struct tz_arena a;
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    struct tz_row *one = tz_arena_alloc(&a, sizeof *one);
    struct tz_row *two = tz_arena_alloc(&a, sizeof *two);
    int rc = one && two ? load_view(s, t, keep, &a, one, err) : tz_office_nomem(err);
    if (!rc && together)
        rc = load_view(s, t, gone, &a, two, err);
    if (!rc && (t->append || t->local || t->nsteps || !s->who.role->supervises))
        rc = tz_check_wrong(TZ_E_NO_RIGHT_TYPE, t->label[TZ_LANG_ZH], t->name, err);
    if (!rc && (!tz_check_in_area(&s->who, &one->area) || (together && !tz_check_in_area(&s->who, &two->area))))
        rc = tz_check_wrong(TZ_E_AREA, t->label[TZ_LANG_ZH], t->name, err);
    if (!rc && tz_id_eq(keep, gone))
        rc = tz_err_set(err, TZ_E_USAGE, "merge", NULL, NULL, NULL);
    if (!rc)
        rc = tz_save_room(s, 1, TZ_ID_BYTES, err);
    struct tz_op op = {.kind = together ? TZ_OP_MERGE : TZ_OP_UNMERGE,
                       .type = t->id,
                       .id = keep,
                       .other_id = gone,
                       .base_seq = s->cs.seq};
    if (!rc) {
        op.base_ver = together && two->ver < one->ver ? two->ver : one->ver;
        (void)tz_save_push(s, &op,
                           s->o->st.checkpoint); /* what it does is the server's to work out: nothing is shown */
    }
    tz_arena_deinit(&a);
    return rc;
}

/* ---- commit ---- */

static int put_aside(struct tz_save *s, struct tz_err *err)
{
    struct tz_office *o = s->o;
    int rc = tz_outbox_add(o, &s->cs, err);
    if (!rc) {
        o->st.last_seq = s->cs.seq;
        o->st.last_hlc = s->cs.hlc;
    }
    return rc;
}

int tz_save_next(struct tz_save *s, const struct tz_save_options *opt, struct tz_err *err)
{
    int rc = s->failed ? tz_err_set(err, s->failed, "save", NULL, NULL, NULL) : 0;
    if (!rc && s->cs.nops)
        rc = put_aside(s, err);
    if (!rc)
        rc = save_init(s, s->o, opt, err);
    if (rc)
        s->failed = rc;
    return rc;
}

int tz_save_commit(struct tz_save *s, uint64_t *seq, struct tz_err *err)
{
    struct tz_office *o = s->o;
    *seq = 0;
    int rc = s->failed ? tz_err_set(err, s->failed, "save", NULL, NULL, NULL) : 0;
    if (!rc && s->cs.nops == 0 && !s->wrote) {
        tz_save_cancel(s);
        return 0;
    }
    if (!rc && s->cs.nops)
        rc = put_aside(s, err);
    uint64_t given = s->cs.nops ? s->cs.seq : 0;
    save_free(s);
    rc = tz_office_end(o, rc, err);
    if (!rc)
        *seq = given;
    return rc;
}
