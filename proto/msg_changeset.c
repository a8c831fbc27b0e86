/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Changeset and Result: what travels as bytes inside Push and Results, and is stored and hashed as those bytes.
 *
 * One changeset has one encoding here (ascending fields, minimal varints, defaults left out), and it is hashed when it
 * is made and when it arrives; nobody writes it again in between, so a device that encodes otherwise is heard all the
 * same. Rights and values are not judged here, and nothing is repaired.
 */

#include "msg_wire.h"
#include "sync.pb-c.h"
#include <string.h>

enum { OP_BYTES_MAX = TZ_CHANGESET_BYTES_MAX, OP_RESULT_BYTES_MAX = TZ_MSG_RESULT_BYTES_MAX };

/* ---- rules ---- */

static const struct tz_wire_rule op_rules[] = {
    TZ_RULE_NUMBER(1),
    TZ_RULE_NUMBER(2),
    TZ_RULE_BYTES(3, TZ_ID_BYTES),
    TZ_RULE_NUMBER(4),
    TZ_RULE_NUMBER(5),
    TZ_RULE_BYTES(6, TZ_ROW_BYTES_MAX),
    TZ_RULE_NUMBERS(7, TZ_FIELDS_MAX),
    TZ_RULE_NUMBER(8),
    TZ_RULE_BYTES_LIST(9, TZ_OP_ELEMENTS_MAX, TZ_MSG_ELEMENT_BYTES_MAX),
    TZ_RULE_BYTES(10, TZ_ID_BYTES),
    TZ_RULE_NUMBER(11),
    TZ_RULE_NUMBER(12),
    TZ_RULE_TEXT(13, TZ_MSG_CODE_BYTES_MAX),
    TZ_RULE_TEXT(14, TZ_MSG_CODE_BYTES_MAX),
    TZ_RULE_NUMBER(15),
    TZ_RULE_NUMBER(16),
    TZ_RULE_NUMBER(17),
    TZ_RULE_BYTES(18, TZ_HASH_BYTES),
    TZ_RULE_BYTES(19, TZ_ROW_BYTES_MAX),
};
static const struct tz_wire_schema op_schema = TZ_SCHEMA("Op", op_rules);

static const struct tz_wire_rule changeset_rules[] = {
    TZ_RULE_NUMBER(1),
    TZ_RULE_NUMBER(2),
    TZ_RULE_NUMBER(3),
    TZ_RULE_NUMBER(4),
    TZ_RULE_BYTES(5, TZ_ID_BYTES),
    TZ_RULE_NUMBER(6),
    TZ_RULE_NUMBER(7),
    TZ_RULE_TEXT(8, TZ_MSG_REASON_BYTES_MAX),
    TZ_RULE_NUMBER(9),
    TZ_RULE_NUMBER(10),
    TZ_RULE_MESSAGES(11, TZ_CHANGESET_OPS_MAX, OP_BYTES_MAX, op_schema),
    TZ_RULE_BYTES(12, TZ_ID_BYTES),
    TZ_RULE_BYTES(13, TZ_HASH_BYTES),
    TZ_RULE_BYTES(15, TZ_MSG_SIGNATURE_BYTES_MAX),
};
static const struct tz_wire_schema changeset_schema = TZ_SCHEMA("Changeset", changeset_rules);

static const struct tz_wire_rule given_rules[] = {
    TZ_RULE_NUMBER(1),
    TZ_RULE_BYTES(2, TZ_MSG_GIVEN_BYTES_MAX),
};
static const struct tz_wire_schema given_schema = TZ_SCHEMA("Given", given_rules);

static const struct tz_wire_rule op_result_rules[] = {
    TZ_RULE_NUMBER(1),
    TZ_RULE_NUMBER(2),
    TZ_RULE_TEXT_LIST(3, TZ_RESULT_ARGS_MAX, TZ_MSG_ARG_BYTES_MAX),
    TZ_RULE_BYTES_LIST(4, TZ_RESULT_CASES_MAX, TZ_ID_BYTES),
    TZ_RULE_MESSAGES(5, TZ_RESULT_GIVEN_MAX, TZ_MSG_GIVEN_BYTES_MAX + 64, given_schema),
    TZ_RULE_BYTES(6, TZ_ID_BYTES),
    TZ_RULE_BYTES(7, TZ_ID_BYTES),
};
static const struct tz_wire_schema op_result_schema = TZ_SCHEMA("OpResult", op_result_rules);

static const struct tz_wire_rule result_rules[] = {
    TZ_RULE_NUMBER(1),
    TZ_RULE_NUMBER(2),
    TZ_RULE_NUMBER(3),
    TZ_RULE_NUMBER(4),
    TZ_RULE_NUMBER(5),
    TZ_RULE_TEXT_LIST(6, TZ_RESULT_ARGS_MAX, TZ_MSG_ARG_BYTES_MAX),
    TZ_RULE_NUMBER(7),
    TZ_RULE_MESSAGES(8, TZ_CHANGESET_OPS_MAX, OP_RESULT_BYTES_MAX, op_result_schema),
    TZ_RULE_BYTES(9, TZ_HASH_BYTES),
    TZ_RULE_NUMBER(10),
    TZ_RULE_NUMBER(11),
    TZ_RULE_NUMBER(12),
};
static const struct tz_wire_schema result_schema = TZ_SCHEMA("Result", result_rules);

/* ---- writing a changeset ---- */

static void put_op(struct tz_msg_writer *w, uint32_t number, const struct tz_op *op)
{
    size_t open = tz_msg_w_open(w);
    tz_msg_w_u64(w, 1, (uint64_t)op->kind);
    tz_msg_w_u64(w, 2, op->type);
    tz_msg_w_id(w, 3, op->id);
    tz_msg_w_u64(w, 4, op->base_ver);
    tz_msg_w_u64(w, 5, op->base_seq);
    tz_msg_w_bytes(w, 6, op->values);
    tz_msg_w_numbers(w, 7, op->cleared, op->ncleared);
    tz_msg_w_u64(w, 8, op->field);
    for (size_t i = 0; i < op->nelements; i++)
        tz_msg_w_item(w, 9, op->elements[i]);
    tz_msg_w_id(w, 10, op->other_id);
    tz_msg_w_u64(w, 11, op->generation);
    tz_msg_w_u64(w, 12, (uint64_t)op->choice);
    tz_msg_w_text(w, 13, op->action);
    tz_msg_w_text(w, 14, op->expected_state);
    tz_msg_w_u64(w, 15, op->expected_seq);
    tz_msg_w_u64(w, 16, op->target_seq);
    tz_msg_w_u64(w, 17, op->deleted);
    tz_msg_w_bytes(w, 18, op->target_hash);
    tz_msg_w_bytes(w, 19, op->note);
    tz_msg_w_close(w, number, open);
}

static int check_op_count(const struct tz_changeset *c, struct tz_err *err)
{
    if (c->nops > TZ_CHANGESET_OPS_MAX || (c->independent && c->nops > TZ_INDEPENDENT_OPS_MAX))
        return tz_err_setf(err, TZ_E_LIMIT, "%zu ops", c->nops);
    return 0;
}

int tz_msg_put_changeset(struct tz_buf *out, const struct tz_changeset *c)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    tz_msg_fail(&w, check_op_count(c, NULL));
    tz_msg_w_u64(&w, 1, TZ_MSG_CHANGESET_FORMAT);
    tz_msg_w_u64(&w, 2, c->device);
    tz_msg_w_u64(&w, 3, c->incarnation);
    tz_msg_w_u64(&w, 4, c->seq);
    tz_msg_w_id_req(&w, 5, c->user);
    tz_msg_w_u64(&w, 6, c->hlc);
    tz_msg_w_u64(&w, 7, c->catalogue_version);
    tz_msg_w_text(&w, 8, c->reason);
    tz_msg_w_u64(&w, 9, c->independent);
    tz_msg_w_u64(&w, 10, c->base_checkpoint);
    for (size_t i = 0; i < c->nops && w.rc == 0; i++)
        put_op(&w, 11, &c->ops[i]);
    tz_msg_w_id(&w, 12, c->import_id);
    tz_msg_w_bytes(&w, 13, c->former);
    tz_msg_w_bytes(&w, 15, c->signature);
    if (tz_msg_w_open(&w) - w.start > TZ_CHANGESET_BYTES_MAX)
        tz_msg_fail(&w, TZ_E_LIMIT);
    return tz_msg_end(&w, &changeset_schema);
}

/* ---- reading a changeset ---- */

static int take_op(const Taizhang__Op *p, struct tz_arena *a, struct tz_op *op, struct tz_err *err)
{
    int rc = tz_msg_take_enum("op kind", p->kind, TZ_OP_CREATE, TZ_OP_WITHDRAW, err);
    if (rc == 0)
        rc = tz_msg_take_enum("choice", p->choice, TZ_CHOICE_NONE, TZ_CHOICE_TYPED, err);
    if (rc != 0)
        return rc;
    *op = (struct tz_op){.kind = (enum tz_op_kind)p->kind,
                         .type = p->type,
                         .base_ver = p->base_ver,
                         .base_seq = p->base_seq,
                         .values = tz_msg_bytes(p->values),
                         .cleared = p->cleared,
                         .ncleared = p->n_cleared,
                         .field = p->field,
                         .generation = p->generation,
                         .choice = (enum tz_choice)p->choice,
                         .action = p->action,
                         .expected_state = p->expected_state,
                         .expected_seq = p->expected_seq,
                         .target_seq = p->target_seq,
                         .deleted = p->deleted != 0,
                         .target_hash = tz_msg_bytes(p->target_hash),
                         .note = tz_msg_bytes(p->note)};
    rc = tz_msg_take_id_opt("op id", tz_msg_bytes(p->id), &op->id, err);
    if (rc == 0)
        rc = tz_msg_take_id_opt("other_id", tz_msg_bytes(p->other_id), &op->other_id, err);
    op->nelements = p->n_elements;
    return rc != 0 ? rc : tz_msg_take_list(p->elements, p->n_elements, a, &op->elements, err);
}

static int take_ops(const Taizhang__Changeset *p, struct tz_arena *a, struct tz_changeset *c, struct tz_err *err)
{
    int rc = check_op_count(c, err);
    if (rc != 0)
        return rc;
    struct tz_op *ops = tz_arena_calloc(a, p->n_ops, sizeof(*ops));
    if (ops == NULL)
        return tz_msg_no_room(err);
    for (size_t i = 0; i < p->n_ops && rc == 0; i++)
        rc = take_op(p->ops[i], a, &ops[i], err);
    c->ops = ops;
    return rc;
}

int tz_msg_read_changeset(struct tz_bytes in, struct tz_arena *a, struct tz_changeset *c, struct tz_err *err)
{
    ProtobufCMessage *msg;
    memset(c, 0, sizeof(*c));
    if (in.n > TZ_CHANGESET_BYTES_MAX)
        return tz_err_setf(err, TZ_E_LIMIT, "changeset of %zu bytes", in.n);
    int rc = tz_msg_unpack(&taizhang__changeset__descriptor, &changeset_schema, in, a, &msg, err);
    if (rc != 0)
        return rc;
    const Taizhang__Changeset *p = (const Taizhang__Changeset *)msg;
    if (p->format != TZ_MSG_CHANGESET_FORMAT)
        return tz_err_setf(err, TZ_E_FORMAT, "changeset format %u", (unsigned)p->format);
    *c = (struct tz_changeset){.device = p->device,
                               .incarnation = p->incarnation,
                               .seq = p->seq,
                               .hlc = p->hlc,
                               .catalogue_version = p->catalogue_version,
                               .reason = p->reason,
                               .independent = p->independent != 0,
                               .base_checkpoint = p->base_checkpoint,
                               .nops = p->n_ops,
                               .former = tz_msg_bytes(p->former),
                               .signature = tz_msg_bytes(p->signature)};
    rc = tz_msg_take_id("user", tz_msg_bytes(p->user), &c->user, err);
    if (rc == 0)
        rc = tz_msg_take_id_opt("import_id", tz_msg_bytes(p->import_id), &c->import_id, err);
    return rc != 0 ? rc : take_ops(p, a, c, err);
}

/* ---- writing a result ---- */

static void put_given(struct tz_msg_writer *w, uint32_t number, const struct tz_given *g)
{
    size_t open = tz_msg_w_open(w);
    tz_msg_w_u64(w, 1, g->field);
    tz_msg_w_bytes(w, 2, g->value);
    tz_msg_w_close(w, number, open);
}

static void put_op_result(struct tz_msg_writer *w, uint32_t number, const struct tz_op_result *r)
{
    size_t open = tz_msg_w_open(w);
    tz_msg_w_u64(w, 1, (uint64_t)r->outcome);
    tz_msg_w_code(w, 2, r->code);
    tz_msg_w_args(w, 3, r->args, r->nargs, TZ_RESULT_ARGS_MAX);
    for (size_t i = 0; i < r->ncases; i++)
        tz_msg_w_id_req(w, 4, r->cases[i]);
    for (size_t i = 0; i < r->ngiven; i++)
        put_given(w, 5, &r->given[i]);
    tz_msg_w_id(w, 6, r->alias_of);
    tz_msg_w_id(w, 7, r->absorbed);
    tz_msg_w_close(w, number, open);
}

int tz_msg_put_result(struct tz_buf *out, const struct tz_result *r)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    tz_msg_w_u64(&w, 1, r->incarnation);
    tz_msg_w_u64(&w, 2, r->seq);
    tz_msg_w_u64(&w, 3, (uint64_t)r->outcome);
    tz_msg_w_u64(&w, 4, r->ver);
    tz_msg_w_code(&w, 5, r->code);
    tz_msg_w_args(&w, 6, r->args, r->nargs, TZ_RESULT_ARGS_MAX);
    tz_msg_w_u64(&w, 7, r->blocked_by);
    for (size_t i = 0; i < r->nops && w.rc == 0; i++)
        put_op_result(&w, 8, &r->ops[i]);
    tz_msg_w_hash(&w, 9, r->hash);
    tz_msg_w_u64(&w, 10, r->effective);
    tz_msg_w_u64(&w, 11, tz_zigzag(r->received_ms));
    tz_msg_w_u64(&w, 12, r->old_ver);
    if (tz_msg_w_open(&w) - w.start > TZ_MSG_RESULT_BYTES_MAX)
        tz_msg_fail(&w, TZ_E_LIMIT);
    return tz_msg_end(&w, &result_schema);
}

/* ---- reading a result ---- */

static int take_given(const Taizhang__OpResult *p, struct tz_arena *a, struct tz_op_result *r, struct tz_err *err)
{
    if (p->n_given == 0)
        return 0;
    struct tz_given *given = tz_arena_calloc(a, p->n_given, sizeof(*given));
    if (given == NULL)
        return tz_msg_no_room(err);
    for (size_t i = 0; i < p->n_given; i++)
        given[i] = (struct tz_given){.field = p->given[i]->field, .value = tz_msg_bytes(p->given[i]->value)};
    r->given = given;
    r->ngiven = p->n_given;
    return 0;
}

static int take_op_result(const Taizhang__OpResult *p, struct tz_arena *a, struct tz_op_result *r, struct tz_err *err)
{
    int rc = tz_msg_take_outcome(p->outcome, p->code, &r->outcome, &r->code, err);
    r->nargs = p->n_args;
    for (size_t i = 0; i < p->n_args; i++)
        r->args[i] = p->args[i];
    if (rc == 0)
        rc = tz_msg_take_id_opt("alias_of", tz_msg_bytes(p->alias_of), &r->alias_of, err);
    if (rc == 0)
        rc = tz_msg_take_id_opt("absorbed", tz_msg_bytes(p->absorbed), &r->absorbed, err);
    if (rc == 0)
        rc = tz_msg_take_ids("case id", p->cases, p->n_cases, a, &r->cases, err);
    r->ncases = p->n_cases;
    return rc != 0 ? rc : take_given(p, a, r, err);
}

static int take_op_results(const Taizhang__Result *p, struct tz_arena *a, struct tz_result *r, struct tz_err *err)
{
    struct tz_op_result *ops = tz_arena_calloc(a, p->n_ops, sizeof(*ops));
    if (ops == NULL)
        return tz_msg_no_room(err);
    int rc = 0;
    for (size_t i = 0; i < p->n_ops && rc == 0; i++)
        rc = take_op_result(p->ops[i], a, &ops[i], err);
    r->ops = ops;
    r->nops = p->n_ops;
    return rc;
}

int tz_msg_read_result(struct tz_bytes in, struct tz_arena *a, struct tz_result *r, struct tz_err *err)
{
    ProtobufCMessage *msg;
    memset(r, 0, sizeof(*r));
    if (in.n > TZ_MSG_RESULT_BYTES_MAX)
        return tz_err_setf(err, TZ_E_LIMIT, "result of %zu bytes", in.n);
    int rc = tz_msg_unpack(&taizhang__result__descriptor, &result_schema, in, a, &msg, err);
    if (rc != 0)
        return rc;
    const Taizhang__Result *p = (const Taizhang__Result *)msg;
    *r = (struct tz_result){.incarnation = p->incarnation,
                            .seq = p->seq,
                            .ver = p->ver,
                            .blocked_by = p->blocked_by,
                            .nargs = p->n_args,
                            .effective = p->effective,
                            .received_ms = p->received_ms,
                            .old_ver = p->old_ver};
    for (size_t i = 0; i < p->n_args; i++)
        r->args[i] = p->args[i];
    rc = tz_msg_take_outcome(p->outcome, p->code, &r->outcome, &r->code, err);
    if (rc == 0)
        rc = tz_msg_take_hash("hash", tz_msg_bytes(p->hash), r->hash, err);
    return rc != 0 ? rc : take_op_results(p, a, r, err);
}
