/* SPDX-License-Identifier: Apache-2.0 */

/*
 * HistoryAsk and History: what the audit log says about one record, as far as its reader may see it.
 *
 * A History holds at most TZ_MSG_HISTORY_MAX changesets, each with those of its ops that touched the record. Projection
 * and rights are the store's business (server/store_history.c); here only form is judged.
 */

#include "frame.h"
#include "msg_wire.h"
#include "sync.pb-c.h"
#include <string.h>

enum { ENTRY_BYTES_MAX = TZ_FRAME_BODY_MAX, STAMPS_MAX = TZ_FIELDS_MAX + 1 };

/* ---- rules ---- */

static const struct tz_wire_rule ask_rules[] = {
    TZ_RULE_NUMBER(1),
    TZ_RULE_BYTES(2, TZ_ID_BYTES),
    TZ_RULE_NUMBER(3),
    TZ_RULE_NUMBER(4),
};
static const struct tz_wire_schema ask_schema = TZ_SCHEMA("HistoryAsk", ask_rules);

static const struct tz_wire_rule op_rules[] = {
    TZ_RULE_NUMBER(1),
    TZ_RULE_NUMBER(2),
    TZ_RULE_NUMBER(3),
    TZ_RULE_TEXT_LIST(4, TZ_RESULT_ARGS_MAX, TZ_MSG_ARG_BYTES_MAX),
    TZ_RULE_NUMBER(5),
    TZ_RULE_NUMBER(6),
    TZ_RULE_BYTES(7, TZ_ROW_BYTES_MAX),
    TZ_RULE_NUMBERS(8, TZ_FIELDS_MAX),
    TZ_RULE_NUMBER(9),
    TZ_RULE_BYTES_LIST(10, TZ_OP_ELEMENTS_MAX, TZ_MSG_ELEMENT_BYTES_MAX),
    TZ_RULE_NUMBER(11),
    TZ_RULE_NUMBER(12),
    TZ_RULE_TEXT(13, TZ_MSG_CODE_BYTES_MAX),
    TZ_RULE_BYTES_LIST(14, TZ_RESULT_CASES_MAX, TZ_ID_BYTES),
    TZ_RULE_BYTES(15, TZ_ID_BYTES),
    TZ_RULE_BYTES(16, TZ_ID_BYTES),
    TZ_RULE_NUMBER(17),
    TZ_RULE_NUMBER(18),
};
static const struct tz_wire_schema op_schema = TZ_SCHEMA("HistoryOp", op_rules);

static const struct tz_wire_rule entry_rules[] = {
    TZ_RULE_NUMBER(1),
    TZ_RULE_NUMBER(2),
    TZ_RULE_NUMBER(3),
    TZ_RULE_NUMBER(4),
    TZ_RULE_NUMBER(5),
    TZ_RULE_TEXT(6, TZ_MSG_NAME_BYTES_MAX),
    TZ_RULE_BYTES(7, TZ_ID_BYTES),
    TZ_RULE_TEXT(8, TZ_MSG_CODE_BYTES_MAX),
    TZ_RULE_TEXT(9, TZ_MSG_NAME_BYTES_MAX),
    TZ_RULE_NUMBER(10),
    TZ_RULE_NUMBER(11),
    TZ_RULE_NUMBER(12),
    TZ_RULE_NUMBER(13),
    TZ_RULE_TEXT(14, TZ_MSG_REASON_BYTES_MAX),
    TZ_RULE_NUMBER(15),
    TZ_RULE_NUMBER(16),
    TZ_RULE_NUMBER(17),
    TZ_RULE_MESSAGES(18, TZ_CHANGESET_OPS_MAX, ENTRY_BYTES_MAX, op_schema),
};
static const struct tz_wire_schema entry_schema = TZ_SCHEMA("HistoryEntry", entry_rules);

static const struct tz_wire_rule stamp_rules[] = {
    TZ_RULE_NUMBER(1),
    TZ_RULE_NUMBER(2),
    TZ_RULE_NUMBER(3),
};
static const struct tz_wire_schema stamp_schema = TZ_SCHEMA("FieldStamp", stamp_rules);

static const struct tz_wire_rule history_rules[] = {
    TZ_RULE_MESSAGES(1, TZ_MSG_HISTORY_MAX, ENTRY_BYTES_MAX, entry_schema),
    TZ_RULE_NUMBER(2),
    TZ_RULE_NUMBER(3),
    TZ_RULE_MESSAGES(4, STAMPS_MAX, 32, stamp_schema),
};
static const struct tz_wire_schema history_schema = TZ_SCHEMA("History", history_rules);

/* ---- HistoryAsk ---- */

int tz_msg_put_history_ask(struct tz_buf *out, const struct tz_msg_history_ask *m)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    tz_msg_w_u64(&w, 1, m->type);
    tz_msg_w_id_req(&w, 2, m->id);
    tz_msg_w_u64(&w, 3, m->field);
    tz_msg_w_u64(&w, 4, m->before);
    return tz_msg_end(&w, NULL);
}

int tz_msg_read_history_ask(struct tz_bytes in, struct tz_msg_history_ask *m, struct tz_err *err)
{
    const struct tz_msg_slot slots[] = {
        {1, TZ_SLOT_U32, &m->type}, {2, TZ_SLOT_ID, &m->id}, {3, TZ_SLOT_U32, &m->field}, {4, TZ_SLOT_U64, &m->before}};
    memset(m, 0, sizeof(*m));
    int rc = tz_wire_check(&ask_schema, in, err);
    return rc != 0 ? rc : tz_msg_read_slots("HistoryAsk", in, slots, 4, err);
}

/* ---- writing a History ---- */

static void put_op(struct tz_msg_writer *w, uint32_t number, const struct tz_history_op *h)
{
    const struct tz_op *op = &h->op;
    size_t open = tz_msg_w_open(w);
    tz_msg_w_u64(w, 1, (uint64_t)op->kind);
    tz_msg_w_u64(w, 2, (uint64_t)h->result.outcome);
    tz_msg_w_code(w, 3, h->result.code);
    tz_msg_w_args(w, 4, h->result.args, h->result.nargs, TZ_RESULT_ARGS_MAX);
    tz_msg_w_u64(w, 5, op->base_ver);
    tz_msg_w_u64(w, 6, op->base_seq);
    tz_msg_w_bytes(w, 7, op->values);
    tz_msg_w_numbers(w, 8, op->cleared, op->ncleared);
    tz_msg_w_u64(w, 9, op->field);
    for (size_t i = 0; i < op->nelements; i++)
        tz_msg_w_item(w, 10, op->elements[i]);
    tz_msg_w_u64(w, 11, (uint64_t)op->choice);
    tz_msg_w_u64(w, 12, op->deleted);
    tz_msg_w_text(w, 13, op->action);
    for (size_t i = 0; i < h->result.ncases; i++)
        tz_msg_w_id_req(w, 14, h->result.cases[i]);
    tz_msg_w_id(w, 15, h->case_id);
    tz_msg_w_id(w, 16, op->other_id);
    tz_msg_w_u64(w, 17, h->index);
    tz_msg_w_u64(w, 18, h->as_other);
    tz_msg_w_close(w, number, open);
}

static void put_entry(struct tz_msg_writer *w, uint32_t number, const struct tz_history_entry *e)
{
    size_t open = tz_msg_w_open(w);
    tz_msg_w_u64(w, 1, e->n);
    tz_msg_w_u64(w, 2, e->ver);
    tz_msg_w_u64(w, 3, e->device);
    tz_msg_w_u64(w, 4, e->incarnation);
    tz_msg_w_u64(w, 5, e->seq);
    tz_msg_w_text(w, 6, e->device_name);
    tz_msg_w_id(w, 7, e->user);
    tz_msg_w_text(w, 8, e->user_code);
    tz_msg_w_text(w, 9, e->user_name);
    tz_msg_w_u64(w, 10, e->claimed);
    tz_msg_w_u64(w, 11, tz_zigzag(e->offset_ms));
    tz_msg_w_u64(w, 12, e->effective);
    tz_msg_w_u64(w, 13, tz_zigzag(e->received_ms));
    tz_msg_w_text(w, 14, e->reason);
    tz_msg_w_u64(w, 15, (uint64_t)e->outcome);
    tz_msg_w_u64(w, 16, e->imported);
    tz_msg_w_u64(w, 17, e->erased);
    for (size_t i = 0; i < e->nops && w->rc == 0; i++)
        put_op(w, 18, &e->ops[i]);
    tz_msg_w_close(w, number, open);
}

int tz_msg_put_history_entry(struct tz_buf *out, const struct tz_history_entry *e)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    put_entry(&w, 1, e);
    return tz_msg_end(&w, &history_schema);
}

int tz_msg_put_history(struct tz_buf *out, const struct tz_msg_history *m)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    for (size_t i = 0; i < m->nentries && w.rc == 0; i++)
        put_entry(&w, 1, &m->entries[i]);
    tz_msg_w_u64(&w, 2, m->next);
    tz_msg_w_u64(&w, 3, m->born);
    for (size_t i = 0; i < m->nstamps; i++) {
        size_t open = tz_msg_w_open(&w);
        tz_msg_w_u64(&w, 1, m->stamps[i].field);
        tz_msg_w_u64(&w, 2, m->stamps[i].ver);
        tz_msg_w_u64(&w, 3, m->stamps[i].resolved);
        tz_msg_w_close(&w, 4, open);
    }
    return tz_msg_end(&w, &history_schema);
}

/* ---- reading a History ---- */

static int take_op(const Taizhang__HistoryOp *p, struct tz_arena *a, struct tz_history_op *h, struct tz_err *err)
{
    int rc = tz_msg_take_enum("op kind", p->kind, TZ_OP_CREATE, TZ_OP_WITHDRAW, err);
    if (rc == 0)
        rc = tz_msg_take_enum("choice", p->choice, TZ_CHOICE_NONE, TZ_CHOICE_TYPED, err);
    if (rc == 0)
        rc = tz_msg_take_outcome(p->outcome, p->code, &h->result.outcome, &h->result.code, err);
    if (rc != 0)
        return rc;
    h->op = (struct tz_op){.kind = (enum tz_op_kind)p->kind,
                           .base_ver = p->base_ver,
                           .base_seq = p->base_seq,
                           .values = tz_msg_bytes(p->values),
                           .cleared = p->cleared,
                           .ncleared = p->n_cleared,
                           .field = p->field,
                           .nelements = p->n_elements,
                           .choice = (enum tz_choice)p->choice,
                           .deleted = p->deleted != 0,
                           .action = p->action};
    h->index = p->index;
    h->as_other = p->as_other != 0;
    h->result.nargs = p->n_args;
    for (size_t i = 0; i < p->n_args; i++)
        h->result.args[i] = p->args[i];
    h->result.ncases = p->n_cases;
    rc = tz_msg_take_ids("case id", p->cases, p->n_cases, a, &h->result.cases, err);
    if (rc == 0)
        rc = tz_msg_take_list(p->elements, p->n_elements, a, &h->op.elements, err);
    if (rc == 0)
        rc = tz_msg_take_id_opt("case_id", tz_msg_bytes(p->case_id), &h->case_id, err);
    return rc != 0 ? rc : tz_msg_take_id_opt("other_id", tz_msg_bytes(p->other_id), &h->op.other_id, err);
}

static int take_entry(const Taizhang__HistoryEntry *p, struct tz_arena *a, struct tz_history_entry *e,
                      struct tz_err *err)
{
    int no_code = 0;
    struct tz_history_op *ops = tz_arena_calloc(a, p->n_ops, sizeof(*ops));
    if (ops == NULL)
        return tz_msg_no_room(err);
    *e = (struct tz_history_entry){.n = p->n,
                                   .ver = p->ver,
                                   .device = p->device,
                                   .incarnation = p->incarnation,
                                   .seq = p->seq,
                                   .device_name = p->device_name,
                                   .user_code = p->user_code,
                                   .user_name = p->user_name,
                                   .claimed = p->claimed,
                                   .offset_ms = p->offset_ms,
                                   .effective = p->effective,
                                   .received_ms = p->received_ms,
                                   .reason = p->reason,
                                   .imported = p->imported != 0,
                                   .erased = p->erased != 0,
                                   .ops = ops,
                                   .nops = p->n_ops};
    int rc = tz_msg_take_id_opt("user", tz_msg_bytes(p->user), &e->user, err);
    if (rc == 0)
        rc = tz_msg_take_outcome(p->outcome, 0, &e->outcome, &no_code, err);
    for (size_t i = 0; i < p->n_ops && rc == 0; i++)
        rc = take_op(p->ops[i], a, &ops[i], err);
    return rc;
}

static int take_stamps(const Taizhang__History *p, struct tz_arena *a, struct tz_msg_history *m, struct tz_err *err)
{
    struct tz_field_stamp *stamps = tz_arena_calloc(a, p->n_stamps, sizeof(*stamps));
    if (stamps == NULL)
        return tz_msg_no_room(err);
    for (size_t i = 0; i < p->n_stamps; i++)
        stamps[i] = (struct tz_field_stamp){p->stamps[i]->field, p->stamps[i]->ver, p->stamps[i]->resolved != 0};
    m->stamps = stamps;
    m->nstamps = p->n_stamps;
    return 0;
}

int tz_msg_read_history(struct tz_bytes in, struct tz_arena *a, struct tz_msg_history *m, struct tz_err *err)
{
    ProtobufCMessage *msg;
    memset(m, 0, sizeof(*m));
    int rc = tz_msg_unpack(&taizhang__history__descriptor, &history_schema, in, a, &msg, err);
    if (rc != 0)
        return rc;
    const Taizhang__History *p = (const Taizhang__History *)msg;
    struct tz_history_entry *entries = tz_arena_calloc(a, p->n_entries, sizeof(*entries));
    if (entries == NULL)
        return tz_msg_no_room(err);
    *m = (struct tz_msg_history){.entries = entries, .nentries = p->n_entries, .next = p->next, .born = p->born};
    for (size_t i = 0; i < p->n_entries && rc == 0; i++)
        rc = take_entry(p->entries[i], a, &entries[i], err);
    return rc != 0 ? rc : take_stamps(p, a, m, err);
}
