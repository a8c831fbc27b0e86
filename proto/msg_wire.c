/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The shared ground of the msg*.c files.
 *
 * Writing never goes through protobuf-c: a message is appended field by field in ascending order with minimal varints
 * and defaults left out, so one struct has one encoding (changesets are hashed) and nothing is allocated but the
 * output. The bytes are those protobuf-c would make; the unit test compares the two.
 *
 * Reading of envelopes goes through protobuf-c, and only ever after tz_wire_check has bounded depth, counts and
 * lengths: unguarded, a megabyte of input becomes eighty of memory, and nesting is recursion. Its allocator is the
 * caller's arena and its free does nothing, so a hostile message costs at most the arena's budget. Large or frequent
 * messages (Rows, Push, Results, Pull) and those of two or three numbers are read in place with the slot table below
 * instead.
 *
 * Invariants
 *  1 Whatever fails while writing, the output ends where it began.
 *  2 Places in the output are kept relative to the unread part: making room may move the whole.
 *  3 No function here trusts a length that tz_wire_check has not seen.
 */

#include "msg_wire.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing ---- */

struct tz_msg_writer tz_msg_begin(struct tz_buf *out)
{
    return (struct tz_msg_writer){.out = out, .start = out->len - out->pos, .rc = 0};
}

int tz_msg_end(struct tz_msg_writer *w, const struct tz_wire_schema *schema)
{
    struct tz_bytes all = tz_buf_unread(w->out);
    if (w->rc == 0 && schema != NULL && all.n > w->start)
        w->rc = tz_wire_check(schema, tz_bytes_of(all.p + w->start, all.n - w->start), NULL);
    if (w->rc != 0)
        w->out->len = w->out->pos + w->start;
    return w->rc;
}

void tz_msg_fail(struct tz_msg_writer *w, int code)
{
    if (w->rc == 0)
        w->rc = code;
}

void tz_msg_w_u64(struct tz_msg_writer *w, uint32_t number, uint64_t v)
{
    if (w->rc != 0 || v == 0)
        return;
    w->rc = tz_wire_put_key(w->out, number, 0);
    if (w->rc == 0)
        w->rc = tz_wire_put_varint(w->out, v);
}

void tz_msg_w_item(struct tz_msg_writer *w, uint32_t number, struct tz_bytes b)
{
    if (w->rc == 0)
        w->rc = tz_wire_put_bytes(w->out, number, b);
}

void tz_msg_w_bytes(struct tz_msg_writer *w, uint32_t number, struct tz_bytes b)
{
    if (b.n != 0)
        tz_msg_w_item(w, number, b);
}

void tz_msg_w_text(struct tz_msg_writer *w, uint32_t number, const char *s)
{
    if (s != NULL)
        tz_msg_w_bytes(w, number, tz_bytes_of(s, strlen(s)));
}

void tz_msg_w_id_req(struct tz_msg_writer *w, uint32_t number, struct tz_id id)
{
    tz_msg_w_item(w, number, tz_bytes_of(id.b, TZ_ID_BYTES));
}

void tz_msg_w_id(struct tz_msg_writer *w, uint32_t number, struct tz_id id)
{
    if (!tz_id_is_zero(id))
        tz_msg_w_id_req(w, number, id);
}

void tz_msg_w_hash(struct tz_msg_writer *w, uint32_t number, const uint8_t hash[TZ_HASH_BYTES])
{
    static const uint8_t none[TZ_HASH_BYTES];
    if (memcmp(hash, none, TZ_HASH_BYTES) != 0)
        tz_msg_w_item(w, number, tz_bytes_of(hash, TZ_HASH_BYTES));
}

void tz_msg_w_area(struct tz_msg_writer *w, uint32_t number, const struct tz_area *a)
{
    tz_msg_w_text(w, number, a->district);
    tz_msg_w_text(w, number + 1, a->street);
}

void tz_msg_w_args(struct tz_msg_writer *w, uint32_t number, const char *const *args, size_t n, size_t n_max)
{
    if (n > n_max)
        tz_msg_fail(w, TZ_E_LIMIT);
    for (size_t i = 0; i < n && w->rc == 0; i++)
        tz_msg_w_item(w, number, tz_bytes_of(args[i], args[i] != NULL ? strlen(args[i]) : 0));
}

size_t tz_msg_w_open(struct tz_msg_writer *w)
{
    return w->out->len - w->out->pos;
}

/* The length comes first and is known last: the body moves up to make room. It is short, and never moved twice in our
 * nesting. */
void tz_msg_w_close(struct tz_msg_writer *w, uint32_t number, size_t open)
{
    if (w->rc != 0)
        return;
    size_t body = w->out->len - w->out->pos - open;
    w->rc = tz_wire_put_key(w->out, number, 2);
    if (w->rc == 0)
        w->rc = tz_wire_put_varint(w->out, body);
    if (w->rc != 0)
        return;
    uint8_t head[16], *at = w->out->p + w->out->pos + open;
    size_t nhead = w->out->len - w->out->pos - open - body;
    memcpy(head, at + body, nhead);
    memmove(at + nhead, at, body);
    memcpy(at, head, nhead);
}

void tz_msg_w_numbers(struct tz_msg_writer *w, uint32_t number, const uint32_t *v, size_t n)
{
    if (n == 0)
        return;
    size_t open = tz_msg_w_open(w);
    for (size_t i = 0; i < n && w->rc == 0; i++)
        w->rc = tz_wire_put_varint(w->out, v[i]);
    tz_msg_w_close(w, number, open);
}

void tz_msg_w_code(struct tz_msg_writer *w, uint32_t number, int code)
{
    tz_msg_w_u64(w, number, (uint64_t)llabs(code));
}

/* ---- shared checks ---- */

int tz_msg_take_id(const char *what, struct tz_bytes b, struct tz_id *out, struct tz_err *err)
{
    if (b.n != TZ_ID_BYTES)
        return tz_err_setf(err, TZ_E_FORMAT, "%s of %zu bytes", what, b.n);
    memcpy(out->b, b.p, TZ_ID_BYTES);
    return 0;
}

int tz_msg_take_id_opt(const char *what, struct tz_bytes b, struct tz_id *out, struct tz_err *err)
{
    if (b.n != 0)
        return tz_msg_take_id(what, b, out, err);
    memset(out, 0, sizeof(*out));
    return 0;
}

int tz_msg_take_hash(const char *what, struct tz_bytes b, uint8_t out[TZ_HASH_BYTES], struct tz_err *err)
{
    if (b.n != 0 && b.n != TZ_HASH_BYTES)
        return tz_err_setf(err, TZ_E_FORMAT, "%s of %zu bytes", what, b.n);
    memset(out, 0, TZ_HASH_BYTES);
    if (b.n != 0)
        memcpy(out, b.p, TZ_HASH_BYTES);
    return 0;
}

int tz_msg_take_digits(const char *what, struct tz_bytes b, size_t digits, char *out, struct tz_err *err)
{
    out[0] = '\0';
    if (b.n == 0)
        return 0;
    if (b.n != digits)
        return tz_err_setf(err, TZ_E_FORMAT, "%s of %zu digits", what, b.n);
    for (size_t i = 0; i < digits; i++)
        if (b.p[i] < '0' || b.p[i] > '9')
            return tz_err_setf(err, TZ_E_FORMAT, "%s with a byte 0x%02x", what, (unsigned)b.p[i]);
    memcpy(out, b.p, digits);
    out[digits] = '\0';
    return 0;
}

int tz_msg_take_enum(const char *what, int64_t v, int64_t min, int64_t max, struct tz_err *err)
{
    if (v < min || v > max)
        return tz_err_setf(err, TZ_E_FORMAT, "%s %lld", what, (long long)v);
    return 0;
}

int tz_msg_take_outcome(int64_t outcome, uint32_t code, enum tz_outcome *out, int *out_code, struct tz_err *err)
{
    int rc = tz_msg_take_enum("outcome", outcome, TZ_OUT_NONE, TZ_OUT_WITHDRAWN, err);
    if (rc == 0)
        rc = tz_msg_take_enum("code", code, 0, INT_MAX, err);
    if (rc != 0)
        return rc;
    *out = (enum tz_outcome)outcome;
    *out_code = -(int)code;
    return 0;
}

int tz_msg_take_ids(const char *what, const ProtobufCBinaryData *in, size_t n, struct tz_arena *a,
                    const struct tz_id **out, struct tz_err *err)
{
    if (n == 0)
        return 0;
    struct tz_id *ids = tz_arena_calloc(a, n, sizeof(*ids));
    if (ids == NULL)
        return tz_msg_no_room(err);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = tz_msg_take_id(what, tz_msg_bytes(in[i]), &ids[i], err);
    *out = ids;
    return rc;
}

int tz_msg_take_list(const ProtobufCBinaryData *in, size_t n, struct tz_arena *a, const struct tz_bytes **out,
                     struct tz_err *err)
{
    if (n == 0)
        return 0;
    struct tz_bytes *list = tz_arena_calloc(a, n, sizeof(*list));
    if (list == NULL)
        return tz_msg_no_room(err);
    for (size_t i = 0; i < n; i++)
        list[i] = tz_msg_bytes(in[i]);
    *out = list;
    return 0;
}

/* ---- slots ---- */

static int take_number(const struct tz_msg_slot *s, const struct tz_wire_field *f)
{
    if (f->wire_type != 0)
        return TZ_E_FORMAT;
    if (s->kind == TZ_SLOT_U64) {
        *(uint64_t *)s->dst = f->varint;
    } else if (s->kind == TZ_SLOT_BOOL) {
        *(bool *)s->dst = f->varint != 0;
    } else {
        if (f->varint > UINT32_MAX)
            return TZ_E_FORMAT;
        *(uint32_t *)s->dst = (uint32_t)f->varint;
    }
    return 0;
}

static int take_slot(const char *what, const struct tz_msg_slot *s, const struct tz_wire_field *f, struct tz_err *err)
{
    bool number = s->kind == TZ_SLOT_U32 || s->kind == TZ_SLOT_U64 || s->kind == TZ_SLOT_BOOL;
    if (number ? take_number(s, f) != 0 : f->wire_type != 2)
        return tz_err_setf(err, TZ_E_FORMAT, "%s field %u", what, (unsigned)s->number);
    switch (s->kind) {
    case TZ_SLOT_ID:
        return tz_msg_take_id(what, f->bytes, s->dst, err);
    case TZ_SLOT_HASH:
        return tz_msg_take_hash(what, f->bytes, s->dst, err);
    case TZ_SLOT_DISTRICT:
        return tz_msg_take_digits(what, f->bytes, TZ_DISTRICT_BYTES - 1, s->dst, err);
    case TZ_SLOT_STREET:
        return tz_msg_take_digits(what, f->bytes, TZ_STREET_BYTES - 1, s->dst, err);
    case TZ_SLOT_BYTES:
        *(struct tz_bytes *)s->dst = f->bytes;
        return 0;
    case TZ_SLOT_U32:
    case TZ_SLOT_U64:
    case TZ_SLOT_BOOL:
        break;
    }
    return 0;
}

int tz_msg_read_slots(const char *what, struct tz_bytes in, const struct tz_msg_slot *slots, size_t n,
                      struct tz_err *err)
{
    struct tz_wire_iter it = {.rest = in};
    struct tz_wire_field f;
    uint32_t got = 0; /* bit per slot; messages have far fewer than 32 fields */
    int rc;
    while ((rc = tz_wire_next(&it, &f)) == 1)
        for (size_t i = 0; i < n; i++)
            if (slots[i].number == f.number) {
                rc = take_slot(what, &slots[i], &f, err);
                if (rc != 0)
                    return rc;
                got |= UINT32_C(1) << i;
                break;
            }
    if (rc < 0)
        return tz_err_set(err, TZ_E_FORMAT, what, NULL, NULL, NULL);
    for (size_t i = 0; i < n; i++)
        if (slots[i].kind == TZ_SLOT_ID && (got >> i & 1) == 0)
            return tz_err_setf(err, TZ_E_FORMAT, "%s without id", what);
    return 0;
}

size_t tz_msg_count(struct tz_bytes in, uint32_t number)
{
    struct tz_wire_iter it = {.rest = in};
    struct tz_wire_field f;
    size_t n = 0;
    while (tz_wire_next(&it, &f) == 1)
        n += f.number == number;
    return n;
}

/* ---- protobuf-c ---- */

struct alloc_ctx {
    struct tz_arena *arena;
    bool exhausted;
};

static void *arena_alloc(void *ctx, size_t n)
{
    struct alloc_ctx *c = ctx;
    void *p = tz_arena_alloc(c->arena, n);
    if (p == NULL)
        c->exhausted = true;
    return p;
}

static void arena_free(void *ctx, void *p)
{
    (void)ctx;
    (void)p;
}

int tz_msg_no_room(struct tz_err *err)
{
    return tz_err_set(err, TZ_E_LIMIT, "memory for one message", NULL, NULL, NULL);
}

int tz_msg_unpack(const ProtobufCMessageDescriptor *d, const struct tz_wire_schema *schema, struct tz_bytes in,
                  struct tz_arena *a, ProtobufCMessage **out, struct tz_err *err)
{
    static const uint8_t empty[1];
    int rc = tz_wire_check(schema, in, err);
    if (rc != 0)
        return rc;
    struct alloc_ctx ctx = {.arena = a, .exhausted = false};
    ProtobufCAllocator alloc = {.alloc = arena_alloc, .free = arena_free, .allocator_data = &ctx};
    *out = protobuf_c_message_unpack(d, &alloc, in.n, in.n != 0 ? in.p : empty);
    if (*out != NULL)
        return 0;
    return ctx.exhausted ? tz_msg_no_room(err) : tz_err_set(err, TZ_E_FORMAT, schema->name, NULL, NULL, NULL);
}
