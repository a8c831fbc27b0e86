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

size_t tz_save_op_bytes(const struct tz_op *op)
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
    s->bytes += OP_OVERHEAD_BYTES + tz_save_op_bytes(op);
    if (checkpoint < s->cs.base_checkpoint)
        s->cs.base_checkpoint = checkpoint;
    return at;
}

/** The record as the person has it: 0 live, TZ_E_UNKNOWN_RECORD, or TZ_E_DELETED with @row filled. */
int tz_save_view(struct tz_save *s, const struct tz_type *t, struct tz_id id, struct tz_arena *a, struct tz_row *row,
                 struct tz_err *err)
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

struct tz_seen tz_save_seen(const struct tz_save *s, struct tz_id id, const struct tz_seen *seen)
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
