/* SPDX-License-Identifier: Apache-2.0 */

/* What a device must not hold any more: the order to a revoked one, receipts, and that they were noted. */

#include "msg_wire.h"
#include <string.h>

/* ---- WipeOrder ---- */

static const struct tz_wire_rule order_rules[] = {TZ_RULE_NUMBER(1), TZ_RULE_NUMBER(2), TZ_RULE_NUMBER(3),
                                                  TZ_RULE_NUMBER(4), TZ_RULE_NUMBER(5), TZ_RULE_NUMBER(6)};
static const struct tz_wire_schema order_schema = TZ_SCHEMA("WipeOrder", order_rules);

int tz_msg_put_wipe_order(struct tz_buf *out, const struct tz_msg_wipe_order *m)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    tz_msg_w_u64(&w, 1, m->device);
    tz_msg_w_u64(&w, 2, m->incarnation);
    tz_msg_w_u64(&w, 3, m->push_in_flight_max);
    tz_msg_w_u64(&w, 4, m->taking);
    tz_msg_w_u64(&w, 5, m->lost_above);
    tz_msg_w_u64(&w, 6, m->lost_upto);
    return tz_msg_end(&w, &order_schema);
}

int tz_msg_read_wipe_order(struct tz_bytes in, struct tz_msg_wipe_order *m, struct tz_err *err)
{
    const struct tz_msg_slot slots[] = {
        {1, TZ_SLOT_U32, &m->device},  {2, TZ_SLOT_U32, &m->incarnation}, {3, TZ_SLOT_U32, &m->push_in_flight_max},
        {4, TZ_SLOT_BOOL, &m->taking}, {5, TZ_SLOT_U64, &m->lost_above},  {6, TZ_SLOT_U64, &m->lost_upto}};
    memset(m, 0, sizeof(*m));
    int rc = tz_wire_check(&order_schema, in, err);
    if (rc == 0)
        rc = tz_msg_read_slots("WipeOrder", in, slots, 6, err);
    if (rc == 0 && (m->lost_above > m->lost_upto || m->lost_upto > INT64_MAX))
        rc = tz_err_set(err, TZ_E_FORMAT, "lost versions", NULL, NULL, NULL);
    return rc;
}

/* ---- WipeReceipt ---- */

static const struct tz_wire_rule receipt_rules[] = {TZ_RULE_NUMBER(1), TZ_RULE_NUMBER(2)};
static const struct tz_wire_schema receipt_schema = TZ_SCHEMA("WipeReceipt", receipt_rules);

int tz_msg_put_wipe_receipt(struct tz_buf *out, const struct tz_msg_wipe_receipt *m)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    tz_msg_w_u64(&w, 1, m->ver);
    tz_msg_w_u64(&w, 2, m->all);
    return tz_msg_end(&w, &receipt_schema);
}

int tz_msg_read_wipe_receipt(struct tz_bytes in, struct tz_msg_wipe_receipt *m, struct tz_err *err)
{
    const struct tz_msg_slot slots[] = {{1, TZ_SLOT_U64, &m->ver}, {2, TZ_SLOT_BOOL, &m->all}};
    memset(m, 0, sizeof(*m));
    int rc = tz_wire_check(&receipt_schema, in, err);
    return rc != 0 ? rc : tz_msg_read_slots("WipeReceipt", in, slots, 2, err);
}

/* ---- WipeNoted ---- */

static const struct tz_wire_rule noted_rules[] = {TZ_RULE_NUMBER(1)};
static const struct tz_wire_schema noted_schema = TZ_SCHEMA("WipeNoted", noted_rules);

int tz_msg_put_wipe_noted(struct tz_buf *out, bool noted)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    tz_msg_w_u64(&w, 1, noted);
    return tz_msg_end(&w, &noted_schema);
}

int tz_msg_read_wipe_noted(struct tz_bytes in, bool *noted, struct tz_err *err)
{
    const struct tz_msg_slot slots[] = {{1, TZ_SLOT_BOOL, noted}};
    *noted = false;
    int rc = tz_wire_check(&noted_schema, in, err);
    return rc != 0 ? rc : tz_msg_read_slots("WipeNoted", in, slots, 1, err);
}
