/* SPDX-License-Identifier: Apache-2.0 */
/* Saves into the central store of a test: made op by op, pushed, and what they were answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_fixture_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct tz_type *sx_type(struct sx *f, const char *name)
{
    (void)f;
    const struct tz_type *t = tz_catalogue_type(&sx_base->cat, name);
    assert_non_null(t);
    return t;
}

struct sx_cs *sx_begin(struct sx_dev *dev)
{
    struct sx_cs *c = tz_arena_calloc(&dev->f->a, 1, sizeof *c);
    assert_non_null(c);
    int64_t wall = dev->f->clock.wall.ms + dev->skew_ms;
    c->dev = dev;
    c->cs = (struct tz_changeset){.device = dev->d.number,
                                  .incarnation = dev->d.incarnation,
                                  .former = dev->former,
                                  .seq = ++dev->seq,
                                  .user = dev->user,
                                  .hlc = tz_hlc_of(wall, 0) + ++dev->hlc_step,
                                  .catalogue_version = sx_base->cat.version,
                                  .reason = "",
                                  .base_checkpoint = dev->seen,
                                  .ops = c->ops};
    return c;
}

struct tz_op *sx_op(struct sx_cs *c, enum tz_op_kind kind, const char *type, struct tz_id id)
{
    struct tz_op *op = &c->ops[c->cs.nops++];
    assert_true(c->cs.nops <= SX_OPS_MAX);
    *op = (struct tz_op){.kind = kind,
                         .type = type ? sx_type(c->dev->f, type)->id : 0,
                         .id = id,
                         .base_ver = c->dev->seen,
                         .base_seq = c->dev->seen_seq,
                         .action = "",
                         .expected_state = ""};
    return op;
}

/** "field=value" arguments into the op's values and cleared list. */
static void op_fields(struct sx_cs *c, struct tz_op *op, const struct tz_type *t, va_list ap)
{
    struct sx *f = c->dev->f;
    struct tz_record *rec = tz_arena_alloc(&f->a, sizeof *rec);
    uint32_t *cleared = tz_arena_calloc(&f->a, TZ_FIELDS_MAX, sizeof *cleared);
    struct tz_buf body;
    const char *arg;
    tz_record_init(rec, t);
    while ((arg = va_arg(ap, const char *)) != NULL) {
        char name[TZ_NAME_MAX + 1] = "";
        const char *eq = strchr(arg, '=');
        assert_non_null(eq);
        memcpy(name, arg, (size_t)(eq - arg));
        if (strcmp(name, "_deleted") == 0) {
            op->deleted = eq[1] == '1';
            op->field = TZ_FIELD_DELETED;
            continue;
        }
        const struct tz_field *field = tz_type_field(t, name);
        if (!field)
            fail_msg("%s has no field %s", t->name, name);
        if (eq[1] == '\0')
            cleared[op->ncleared++] = field->id;
        else
            sx_check(f, tz_value_parse(field, eq + 1, &f->a, &rec->v[field->index], &f->err));
    }
    op->cleared = cleared;
    tz_buf_init(&body, TZ_ROW_BYTES_MAX);
    sx_check(f, tz_record_encode(rec, &body));
    struct tz_bytes b = tz_buf_unread(&body);
    op->values = tz_bytes_of(tz_arena_dup(&f->a, b.p, b.n), b.n);
    tz_buf_deinit(&body);
}

static void create_as(struct sx_cs *c, struct tz_id id, const char *type, va_list ap)
{
    const struct tz_type *t = sx_type(c->dev->f, type);
    op_fields(c, sx_op(c, t->append ? TZ_OP_APPEND : TZ_OP_CREATE, type, id), t, ap);
}

void sx_op_create_as(struct sx_cs *c, struct tz_id id, const char *type, ...)
{
    va_list ap;
    va_start(ap, type);
    create_as(c, id, type, ap);
    va_end(ap);
}

struct tz_id sx_op_create(struct sx_cs *c, const char *type, ...)
{
    struct tz_id id = tz_id_make(&c->dev->ids, c->dev->f->clock.wall);
    va_list ap;
    va_start(ap, type);
    create_as(c, id, type, ap);
    va_end(ap);
    return id;
}

void sx_op_set(struct sx_cs *c, const char *type, struct tz_id id, ...)
{
    va_list ap;
    va_start(ap, id);
    op_fields(c, sx_op(c, TZ_OP_SET, type, id), sx_type(c->dev->f, type), ap);
    va_end(ap);
}

/** The fields of a decision about @case_id: those of the record that it is about. */
static struct tz_op *op_resolve(struct sx_cs *c, struct tz_id case_id, uint32_t generation, va_list ap)
{
    struct sx *f = c->dev->f;
    const struct tz_row *row = sx_row(f, "case", case_id);
    assert_non_null(row);
    struct tz_op *op = sx_op(c, TZ_OP_RESOLVE, "case", case_id);
    op->generation = generation;
    op->choice = TZ_CHOICE_TYPED;
    op_fields(c, op, sx_type(f, sx_case_text(f, row, "target_type")), ap);
    return op;
}

void sx_op_resolve(struct sx_cs *c, struct tz_id case_id, uint32_t generation, ...)
{
    va_list ap;
    va_start(ap, generation);
    op_resolve(c, case_id, generation, ap);
    va_end(ap);
}

/** Body of the type of steps. */
static struct tz_bytes note_of(struct sx *f, const struct tz_type *e, const char *opinion, const char *evidence)
{
    struct tz_record *rec = tz_arena_alloc(&f->a, sizeof *rec);
    struct tz_buf body;
    tz_record_init(rec, e);
    rec->v[tz_type_field(e, "opinion")->index] = tz_value_text(opinion);
    rec->v[tz_type_field(e, "evidence")->index] = tz_value_text(evidence);
    tz_buf_init(&body, TZ_ROW_BYTES_MAX);
    sx_check(f, tz_record_encode(rec, &body));
    struct tz_bytes b = tz_buf_unread(&body);
    struct tz_bytes out = tz_bytes_of(tz_arena_dup(&f->a, b.p, b.n), b.n);
    tz_buf_deinit(&body);
    return out;
}

void sx_op_event(struct sx_cs *c, const char *type, struct tz_id id, const char *action, const char *state,
                 uint64_t seq, const char *opinion, const char *evidence, ...)
{
    const struct tz_type *t = sx_type(c->dev->f, type);
    struct tz_op *op = sx_op(c, TZ_OP_EVENT, type, id);
    va_list ap;
    va_start(ap, evidence);
    op_fields(c, op, t, ap);
    va_end(ap);
    op->action = action;
    op->expected_state = state;
    op->expected_seq = seq;
    if (t->event_type && (opinion || evidence))
        op->note = note_of(c->dev->f, t->event_type, opinion, evidence);
}

void sx_op_withdraw(struct sx_cs *c, uint64_t seq)
{
    struct tz_op *op = sx_op(c, TZ_OP_WITHDRAW, NULL, (struct tz_id){{0}});
    assert_true(seq < c->cs.seq && c->cs.seq - seq < SX_SAVES_KEPT);
    op->target_seq = seq;
    op->target_hash = tz_bytes_of(c->dev->hash[seq % SX_SAVES_KEPT], TZ_HASH_BYTES);
}

int sx_apply_raw(struct sx_dev *dev, struct tz_bytes raw)
{
    struct sx *f = dev->f;
    struct tz_apply_ctx ctx = {
        .device = dev->d.number, .session = dev->session, .offset_ms = dev->offset_ms, .received = f->clock.wall};
    f->raw = raw;
    f->err = (struct tz_err){0};
    int rc = tz_store_apply(f->s, &ctx, raw, &f->a, &f->out, &f->err);
    if (rc)
        return rc;
    f->all = f->out.results;
    f->nall = f->out.n;
    assert_true(f->nall >= 1);
    sx_check(f, tz_msg_read_result(f->all[0].result, &f->a, &f->res, &f->err));
    return 0;
}

int sx_apply(struct sx_cs *c)
{
    struct sx *f = c->dev->f;
    struct tz_buf b;
    tz_buf_init(&b, TZ_CHANGESET_BYTES_MAX);
    sx_check(f, tz_msg_put_changeset(&b, &c->cs));
    struct tz_bytes all = tz_buf_unread(&b);
    struct tz_bytes raw = tz_bytes_of(tz_arena_dup(&f->a, all.p, all.n), all.n);
    tz_buf_deinit(&b);
    assert_int_equal(tz_sha256(raw, c->dev->hash[c->cs.seq % SX_SAVES_KEPT]), 0);
    return sx_apply_raw(c->dev, raw);
}

const struct tz_result *sx_push(struct sx_cs *c)
{
    struct sx *f = c->dev->f;
    sx_group(f);
    sx_check(f, sx_apply(c));
    sx_commit(f);
    return &f->res;
}

/* ---- one op ---- */

struct tz_id sx_create(struct sx_dev *dev, const char *type, ...)
{
    struct sx_cs *c = sx_begin(dev);
    struct tz_id id = tz_id_make(&dev->ids, dev->f->clock.wall);
    va_list ap;
    va_start(ap, type);
    create_as(c, id, type, ap);
    va_end(ap);
    sx_expect(sx_push(c), TZ_OUT_APPLIED, 0);
    return id;
}

const struct tz_result *sx_set(struct sx_dev *dev, const char *type, struct tz_id id, ...)
{
    struct sx_cs *c = sx_begin(dev);
    va_list ap;
    va_start(ap, id);
    op_fields(c, sx_op(c, TZ_OP_SET, type, id), sx_type(dev->f, type), ap);
    va_end(ap);
    return sx_push(c);
}

const struct tz_result *sx_delete(struct sx_dev *dev, const char *type, struct tz_id id)
{
    struct sx_cs *c = sx_begin(dev);
    sx_op(c, TZ_OP_DELETE, type, id);
    return sx_push(c);
}

const struct tz_result *sx_restore(struct sx_dev *dev, const char *type, struct tz_id id)
{
    struct sx_cs *c = sx_begin(dev);
    sx_op(c, TZ_OP_RESTORE, type, id);
    return sx_push(c);
}

const struct tz_result *sx_withdraw(struct sx_dev *dev, uint64_t seq)
{
    struct sx_cs *c = sx_begin(dev);
    sx_op_withdraw(c, seq);
    return sx_push(c);
}

const struct tz_result *sx_resolve(struct sx_dev *dev, struct tz_id case_id, uint32_t generation, ...)
{
    struct sx_cs *c = sx_begin(dev);
    va_list ap;
    va_start(ap, generation);
    op_resolve(c, case_id, generation, ap);
    va_end(ap);
    return sx_push(c);
}

struct tz_id sx_org(struct sx *f, const char *name)
{
    char arg[160];
    struct sx_dev *devs[7];
    (void)snprintf(arg, sizeof arg, "name=%s", name);
    struct tz_id id = sx_create(&f->d1, "organisation", arg, "district_code=120101", NULL);
    sx_each_dev(f, devs);
    for (size_t i = 0; i < 7; i++)
        sx_see(devs[i]);
    return id;
}
