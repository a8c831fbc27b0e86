/* SPDX-License-Identifier: Apache-2.0 */
/* Changes for programs: stable keys, canonical values, versions as text because 64 bits are more than JSON promises. */
#include "history.h"

#include <inttypes.h>
#include <stdio.h>

json_t *tz_history_value_json(const struct tz_field *f, struct tz_value v)
{
    struct tz_buf b;
    tz_buf_init(&b, TZ_ROW_BYTES_MAX);
    json_t *j = tz_value_json(f, v, &b) ? NULL : json_loadb((const char *)b.p, b.len, JSON_DECODE_ANY, NULL);
    tz_buf_deinit(&b);
    return j ? j : json_null();
}

static json_t *id_json(struct tz_id id)
{
    char hex[TZ_ID_HEX + 1];
    if (tz_id_is_zero(id))
        return json_null();
    tz_id_print(id, hex);
    return json_string(hex);
}

static json_t *ver_json(tz_ver ver)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, ver);
    return json_string(text);
}

static const char *text_of(const char *s)
{
    return s ? s : "";
}

static json_t *fields_json(const struct tz_changes *c, const struct tz_change *ch)
{
    json_t *out = json_object();
    for (size_t i = 0; ch->names && i < c->body->nfields; i++)
        if (ch->names[i] && ch->h.op.kind != TZ_OP_ADD && ch->h.op.kind != TZ_OP_REMOVE)
            json_object_set_new(out, c->body->fields[i].name,
                                tz_history_value_json(&c->body->fields[i], ch->rec->v[i]));
    return out;
}

static json_t *elements_json(const struct tz_op *op)
{
    json_t *out = json_array();
    for (size_t i = 0; i < op->nelements; i++)
        json_array_append_new(out, json_stringn((const char *)op->elements[i].p, op->elements[i].n));
    return out;
}

static json_t *cases_json(const struct tz_op_result *r)
{
    json_t *out = json_array();
    for (size_t i = 0; i < r->ncases; i++)
        json_array_append_new(out, id_json(r->cases[i]));
    return out;
}

static json_t *field_json(const struct tz_changes *c, const struct tz_op *op)
{
    const struct tz_field *f = tz_type_field_id(c->body, op->field);
    if (op->field == TZ_FIELD_DELETED)
        return json_string("_deleted");
    return f ? json_string(f->name) : json_null();
}

static json_t *entry_json(const struct tz_history_entry *e)
{
    return json_pack("{s:I,s:o,s:I,s:s,s:I,s:I,s:o,s:s,s:s,s:I,s:I,s:I,s:I,s:s,s:b,s:b}", "n", (json_int_t)e->n, "ver",
                     ver_json(e->ver), "device", (json_int_t)e->device, "device_name", text_of(e->device_name),
                     "incarnation", (json_int_t)e->incarnation, "seq", (json_int_t)e->seq, "user", id_json(e->user),
                     "user_code", text_of(e->user_code), "user_name", text_of(e->user_name), "claimed_ms",
                     (json_int_t)(e->claimed ? tz_hlc_ms(e->claimed) : 0), "offset_ms", (json_int_t)e->offset_ms,
                     "effective_ms", (json_int_t)(e->effective ? tz_hlc_ms(e->effective) : 0), "received_ms",
                     (json_int_t)e->received_ms, "reason", text_of(e->reason), "imported", (int)e->imported, "erased",
                     (int)e->erased);
}

static json_t *op_json(const struct tz_changes *c, const struct tz_change *ch)
{
    static const char *const choices[] = {"", "mine", "theirs", "typed"};
    const struct tz_op *op = &ch->h.op;
    const struct tz_op_result *r = &ch->h.result;
    const char *choice = (unsigned)op->choice <= TZ_CHOICE_TYPED ? choices[op->choice] : "";
    return json_pack("{s:s,s:s,s:s,s:I,s:o,s:o,s:o,s:o,s:o,s:s,s:b,s:s,s:o,s:b,s:o,s:I}", "op",
                     tz_op_kind_name(op->kind), "outcome", tz_outcome_name(r->outcome), "code",
                     r->code ? tz_err_info(r->code)->symbol : "", "index", (json_int_t)ch->h.index, "fields",
                     fields_json(c, ch), "field", field_json(c, op), "elements", elements_json(op), "cases",
                     cases_json(r), "case", id_json(ch->h.case_id), "choice", choice, "deleted", (int)op->deleted,
                     "action", text_of(op->action), "other", id_json(op->other_id), "as_other", (int)ch->h.as_other,
                     "base_ver", ver_json(op->base_ver), "base_seq", (json_int_t)op->base_seq);
}

json_t *tz_history_change_json(const struct tz_changes *c, const struct tz_change *ch)
{
    json_t *out = entry_json(&ch->e);
    json_t *op =
        ch->e.erased ? json_pack("{s:s,s:s}", "op", "", "outcome", tz_outcome_name(ch->e.outcome)) : op_json(c, ch);
    if (out && op && json_object_update(out, op) == 0) {
        json_decref(op);
        return out;
    }
    json_decref(out);
    json_decref(op);
    return NULL;
}
