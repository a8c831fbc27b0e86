/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Record bodies and wire messages, read without protobuf-c.
 *
 * A record body is canonical: decode(encode(r)) is r, encode(decode(b)) is b, and any other spelling of the same
 * content is refused. That needs, besides the order, minimal varints and no empty strings (empty is NULL, and NULL is
 * absent). Fields of a newer catalogue pass through untouched; they obey the same rules, since the newer side wrote
 * them with this code.
 *
 * tz_wire_check is for messages that protobuf-c will unpack: ordinary protobuf rules for the bytes (any order, long
 * varints), and a table of limits for what may be there. Its stack is an array, so depth costs a peer nothing but a
 * refusal.
 *
 * Whether a value suits its field (enum codes, lengths in characters, UTF-8) is tz_value_check's business.
 */
#include "codec.h"

#include <assert.h>
#include <string.h>

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };
enum { NUMBER_MAX = (1 << 29) - 1, VARINT_BYTES_MAX = 10, RULES_MAX = 64, UNKNOWN_MAX = 64 };

bool tz_utf8_valid(struct tz_bytes b)
{
    uint32_t cp;
    for (size_t i = 0, step; i < b.n; i += step) {
        step = tz_utf8_next(b.p + i, b.n - i, &cp);
        if (step == 0)
            return false;
    }
    return true;
}

/* ---- reading ---- */

/* Takes a varint off the front of @rest. @minimal is cleared (never set) when it could have been shorter. */
static bool take_varint(struct tz_bytes *rest, uint64_t *v, bool *minimal)
{
    uint64_t value = 0;
    size_t max = rest->n < VARINT_BYTES_MAX ? rest->n : VARINT_BYTES_MAX;
    for (size_t i = 0; i < max; i++) {
        uint8_t byte = rest->p[i];
        if (i == VARINT_BYTES_MAX - 1 && byte > 1)
            return false; /* more than 64 bits */
        value |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (byte & 0x80)
            continue;
        if (i > 0 && byte == 0)
            *minimal = false;
        *v = value;
        *rest = tz_bytes_of(rest->p + i + 1, rest->n - i - 1);
        return true;
    }
    return false;
}

static bool take_fixed(struct tz_bytes *rest, size_t bytes, uint64_t *v)
{
    if (rest->n < bytes)
        return false;
    *v = 0;
    for (size_t i = 0; i < bytes; i++)
        *v |= (uint64_t)rest->p[i] << (8 * i);
    *rest = tz_bytes_of(rest->p + bytes, rest->n - bytes);
    return true;
}

static bool take_payload(struct tz_bytes *rest, struct tz_wire_field *f, bool *minimal)
{
    switch (f->wire_type) {
    case WIRE_VARINT:
        return take_varint(rest, &f->varint, minimal);
    case WIRE_FIXED64:
        return take_fixed(rest, 8, &f->varint);
    case WIRE_FIXED32:
        return take_fixed(rest, 4, &f->varint);
    case WIRE_BYTES: {
        uint64_t n;
        if (!take_varint(rest, &n, minimal) || n > rest->n)
            return false;
        f->bytes = tz_bytes_of(rest->p, (size_t)n);
        *rest = tz_bytes_of(rest->p + n, rest->n - (size_t)n);
        return true;
    }
    default:
        return false; /* groups, and what does not exist */
    }
}

static int next_field(struct tz_bytes *rest, struct tz_wire_field *f, bool *minimal)
{
    if (rest->n == 0)
        return 0;
    struct tz_bytes at = *rest;
    uint64_t key;
    if (!take_varint(&at, &key, minimal) || key >> 3 == 0 || key >> 3 > NUMBER_MAX)
        return TZ_E_FORMAT;
    *f = (struct tz_wire_field){.number = (uint32_t)(key >> 3), .wire_type = (unsigned)(key & 7)};
    if (!take_payload(&at, f, minimal))
        return TZ_E_FORMAT;
    f->raw = tz_bytes_of(rest->p, rest->n - at.n);
    *rest = at;
    return 1;
}

int tz_wire_next(struct tz_wire_iter *it, struct tz_wire_field *out)
{
    bool minimal;
    return next_field(&it->rest, out, &minimal);
}

int tz_wire_take_varint(struct tz_bytes *in, uint64_t *v)
{
    bool minimal;
    return take_varint(in, v, &minimal) ? 0 : TZ_E_FORMAT;
}

/* ---- writing ---- */

int tz_wire_put_varint(struct tz_buf *out, uint64_t v)
{
    uint8_t bytes[VARINT_BYTES_MAX];
    size_t n = 0;
    for (; v > 0x7F; v >>= 7)
        bytes[n++] = (uint8_t)(v | 0x80);
    bytes[n++] = (uint8_t)v;
    return tz_buf_put(out, bytes, n);
}

int tz_wire_put_key(struct tz_buf *out, uint32_t number, unsigned wire_type)
{
    return tz_wire_put_varint(out, (uint64_t)number << 3 | wire_type);
}

int tz_wire_put_bytes(struct tz_buf *out, uint32_t number, struct tz_bytes b)
{
    int rc = tz_wire_put_key(out, number, WIRE_BYTES);
    if (rc == 0)
        rc = tz_wire_put_varint(out, b.n);
    return rc < 0 ? rc : tz_buf_put(out, b.p, b.n);
}

/* ---- records ---- */

void tz_record_init(struct tz_record *r, const struct tz_type *type)
{
    memset(r, 0, sizeof *r); /* TZ_V_NULL is 0 */
    r->type = type;
}

/* One field of a canonical body that must come after number @*last. 1, 0 at the end, or TZ_E_FORMAT. */
static int next_canonical(struct tz_bytes *rest, uint32_t *last, struct tz_wire_field *f)
{
    bool minimal = true;
    int rc = next_field(rest, f, &minimal);
    if (rc <= 0)
        return rc;
    bool reserved = f->number == TZ_FIELD_DELETED || (f->number >= 19000 && f->number <= 19999);
    bool kind = f->wire_type == WIRE_VARINT || (f->wire_type == WIRE_BYTES && f->bytes.n > 0);
    if (!minimal || reserved || !kind || f->number <= *last)
        return TZ_E_FORMAT;
    *last = f->number;
    return 1;
}

static bool value_from_wire(const struct tz_field *field, const struct tz_wire_field *f, struct tz_value *v)
{
    enum tz_vkind kind = tz_ftype_kind(field->ftype);
    if ((kind == TZ_V_INT) != (f->wire_type == WIRE_VARINT))
        return false;
    if (kind == TZ_V_INT)
        *v = tz_value_int(tz_unzigzag(f->varint));
    else
        *v = kind == TZ_V_TEXT ? tz_value_textn(f->bytes.p, f->bytes.n) : tz_value_blob(f->bytes.p, f->bytes.n);
    return true;
}

/* Both orders ascend, so the catalogue's fields are walked along instead of looked up. NULL: not in this catalogue. */
static const struct tz_field *field_at(const struct tz_type *type, size_t *index, uint32_t number)
{
    while (*index < type->nfields && type->fields[*index].id < number)
        ++*index;
    return *index < type->nfields && type->fields[*index].id == number ? &type->fields[*index] : NULL;
}

/* Second walk over a body that has been checked: the unknown fields, back to back. */
static bool collect_extra(struct tz_record *r, struct tz_bytes body, size_t extra_bytes, struct tz_arena *arena)
{
    uint8_t *copy = (uint8_t *)tz_arena_alloc(arena, extra_bytes);
    if (!copy)
        return false;
    r->extra = tz_bytes_of(copy, extra_bytes);
    struct tz_wire_field f;
    size_t index = 0;
    bool minimal;
    while (next_field(&body, &f, &minimal) > 0) {
        if (field_at(r->type, &index, f.number))
            continue;
        memcpy(copy, f.raw.p, f.raw.n);
        copy += f.raw.n;
    }
    return true;
}

int tz_record_decode(const struct tz_type *type, struct tz_bytes body, struct tz_arena *arena, struct tz_record *out,
                     struct tz_err *err)
{
    tz_record_init(out, type);
    if (body.n > TZ_ROW_BYTES_MAX)
        return tz_err_setf(err, TZ_E_LIMIT, "%s: %zu bytes", type->name, body.n);
    struct tz_bytes rest = body;
    struct tz_wire_field f = {0};
    size_t index = 0, extra_bytes = 0;
    uint32_t last = 0;
    int rc;
    while ((rc = next_canonical(&rest, &last, &f)) > 0) {
        const struct tz_field *field = field_at(type, &index, f.number);
        if (!field)
            extra_bytes += f.raw.n;
        else if (!value_from_wire(field, &f, &out->v[index]))
            return tz_err_setf(err, TZ_E_FORMAT, "%s.%s: wire type %u", type->name, field->name, f.wire_type);
    }
    if (rc < 0)
        return tz_err_setf(err, rc, "%s: byte %zu after field %u", type->name, body.n - rest.n, last);
    if (extra_bytes > 0 && !collect_extra(out, body, extra_bytes, arena))
        return tz_err_setf(err, TZ_E_LIMIT, "%s: %zu bytes of unknown fields", type->name, extra_bytes);
    return 0;
}

static int put_value(const struct tz_field *field, struct tz_value v, struct tz_buf *out)
{
    if (v.kind == TZ_V_NULL || (v.kind != TZ_V_INT && v.n == 0))
        return 0;
    if (v.kind != tz_ftype_kind(field->ftype))
        return TZ_E_FORMAT;
    if (v.kind != TZ_V_INT)
        return tz_wire_put_bytes(out, field->id, tz_bytes_of(v.p, v.n));
    int rc = tz_wire_put_key(out, field->id, WIRE_VARINT);
    return rc < 0 ? rc : tz_wire_put_varint(out, tz_zigzag(v.i));
}

/* Write the extra fields numbered below @below. A number that @type knows, or one out of order, is our own mistake. */
static int put_extra(struct tz_bytes *extra, uint32_t *last, uint32_t below, struct tz_buf *out)
{
    struct tz_bytes ahead = *extra;
    struct tz_wire_field f;
    uint32_t number = *last;
    int rc;
    while ((rc = next_canonical(&ahead, &number, &f)) > 0 && f.number < below) {
        rc = tz_buf_put(out, f.raw.p, f.raw.n);
        if (rc < 0)
            return rc;
        *extra = ahead;
        *last = number;
    }
    if (rc > 0 && f.number == below)
        return TZ_E_FORMAT;
    return rc < 0 ? rc : 0;
}

static int record_put(const struct tz_record *r, struct tz_buf *out)
{
    struct tz_bytes extra = r->extra;
    uint32_t last = 0;
    for (size_t i = 0; i < r->type->nfields; i++) {
        int rc = put_extra(&extra, &last, r->type->fields[i].id, out);
        if (rc == 0)
            rc = put_value(&r->type->fields[i], r->v[i], out);
        if (rc < 0)
            return rc;
    }
    return put_extra(&extra, &last, UINT32_MAX, out);
}

int tz_record_encode(const struct tz_record *r, struct tz_buf *out)
{
    size_t before = out->len - out->pos;
    int rc = record_put(r, out);
    if (rc == 0 && out->len - out->pos - before > TZ_ROW_BYTES_MAX)
        rc = TZ_E_LIMIT;
    if (rc < 0)
        out->len = out->pos + before; /* no half records */
    return rc;
}

/* ---- wire check ---- */

/* One open message. */
struct level {
    const struct tz_wire_schema *schema;
    struct tz_bytes rest;
    uint32_t unknown;
    uint32_t counts[RULES_MAX]; /* by rule */
};

static void level_open(struct level *l, const struct tz_wire_schema *schema, struct tz_bytes msg)
{
    assert(schema->nrules <= RULES_MAX);
    l->schema = schema;
    l->rest = msg;
    l->unknown = 0;
    memset(l->counts, 0, schema->nrules * sizeof l->counts[0]);
}

static const struct tz_wire_rule *rule_for(const struct tz_wire_schema *schema, uint32_t number)
{
    for (size_t i = 0; i < schema->nrules; i++)
        if (schema->rules[i].number == number)
            return &schema->rules[i];
    return NULL;
}

/* How many elements @f adds: one, or what is packed in it. */
static int count_elements(const struct tz_wire_rule *rule, const struct tz_wire_field *f, size_t *n)
{
    *n = 1;
    if (!rule->packed)
        return 0;
    struct tz_bytes rest = f->bytes;
    uint64_t v;
    bool minimal;
    for (*n = 0; rest.n > 0; ++*n)
        if (!take_varint(&rest, &v, &minimal))
            return TZ_E_FORMAT;
    return 0;
}

static int check_known(struct level *l, const struct tz_wire_rule *rule, const struct tz_wire_field *f)
{
    assert(rule->wire_type == WIRE_BYTES || !(rule->packed || rule->utf8 || rule->sub));
    if (f->wire_type != rule->wire_type)
        return TZ_E_FORMAT;
    if (f->wire_type == WIRE_BYTES && f->bytes.n > rule->bytes_max)
        return TZ_E_LIMIT;
    size_t n;
    int rc = count_elements(rule, f, &n);
    if (rc < 0)
        return rc;
    uint32_t *count = &l->counts[rule - l->schema->rules];
    if (n > rule->count_max - *count)
        return TZ_E_LIMIT;
    *count += (uint32_t)n;
    bool text = !rule->utf8 || f->bytes.n == 0 || (!memchr(f->bytes.p, 0, f->bytes.n) && tz_utf8_valid(f->bytes));
    return text ? 0 : TZ_E_FORMAT;
}

/* Judge the next field of @l. 1 when it opens a sub-message (@sub, @f), 0 when not, an error; @done at the end of @l.
 */
static int level_step(struct level *l, struct tz_wire_field *f, const struct tz_wire_schema **sub, bool *done)
{
    bool minimal;
    int rc = next_field(&l->rest, f, &minimal);
    *done = rc == 0;
    if (rc <= 0)
        return rc;
    const struct tz_wire_rule *rule = rule_for(l->schema, f->number);
    if (!rule)
        return ++l->unknown > UNKNOWN_MAX ? TZ_E_LIMIT : 0;
    rc = check_known(l, rule, f);
    *sub = rule->sub;
    return rc == 0 && rule->sub ? 1 : rc;
}

int tz_wire_check(const struct tz_wire_schema *schema, struct tz_bytes msg, struct tz_err *err)
{
    struct level levels[TZ_WIRE_DEPTH_MAX];
    size_t depth = 1;
    level_open(&levels[0], schema, msg);
    while (depth > 0) {
        struct level *l = &levels[depth - 1];
        struct tz_wire_field f = {0};
        const struct tz_wire_schema *sub = NULL;
        bool done;
        int rc = level_step(l, &f, &sub, &done);
        if (rc > 0 && depth == TZ_WIRE_DEPTH_MAX)
            rc = TZ_E_LIMIT;
        if (rc < 0)
            return tz_err_setf(err, rc, "%s field %u", l->schema->name, f.number);
        if (rc > 0)
            level_open(&levels[depth++], sub, f.bytes);
        else if (done)
            depth--;
    }
    return 0;
}
