/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_MSG_WIRE_H
#define TZ_MSG_WIRE_H

/*
 * What the msg*.c files share: rule tables in short form, a writer, a reader of flat messages, and the guarded way into
 * protobuf-c. Private to this folder.
 */

#include "msg.h"
#include <protobuf-c/protobuf-c.h>

enum {                              /* caps of single fields, the same in README.md */
       TZ_MSG_NAME_BYTES_MAX = 256, /* software and names of people and devices */
       TZ_MSG_CODE_BYTES_MAX = 63,  /* codes, roles, actions, states */
       TZ_MSG_ARG_BYTES_MAX = 512,
       TZ_MSG_REASON_BYTES_MAX = TZ_REASON_CHARS_MAX * 4,
       TZ_MSG_DER_BYTES_MAX = 4 * 1024,
       TZ_MSG_ELEMENT_BYTES_MAX = 1024,
       TZ_MSG_SECRET_BYTES = 16,
       TZ_MSG_SIGNATURE_BYTES_MAX = 512,
       TZ_MSG_GIVEN_BYTES_MAX = TZ_TEXT_BYTES_MAX + 16,
       TZ_MSG_RESULT_BYTES_MAX = TZ_CHANGESET_BYTES_MAX,
       TZ_MSG_CHANGESET_FORMAT = 1,
       TZ_MSG_ROW_OVERHEAD_BYTES_MAX = 256, /* everything in a Row but its body, unknown fields included */
};

#define TZ_RULE_NUMBER(n)                             \
    {                                                 \
        .number = (n), .wire_type = 0, .count_max = 1 \
    }
#define TZ_RULE_NUMBERS(n, max)                                                                  \
    {                                                                                            \
        .number = (n), .wire_type = 2, .count_max = (max), .bytes_max = (max)*10, .packed = true \
    }
#define TZ_RULE_BYTES(n, bytes)                                             \
    {                                                                       \
        .number = (n), .wire_type = 2, .count_max = 1, .bytes_max = (bytes) \
    }
#define TZ_RULE_TEXT(n, bytes)                                                            \
    {                                                                                     \
        .number = (n), .wire_type = 2, .count_max = 1, .bytes_max = (bytes), .utf8 = true \
    }
#define TZ_RULE_BYTES_LIST(n, max, bytes)                                       \
    {                                                                           \
        .number = (n), .wire_type = 2, .count_max = (max), .bytes_max = (bytes) \
    }
#define TZ_RULE_TEXT_LIST(n, max, bytes)                                                      \
    {                                                                                         \
        .number = (n), .wire_type = 2, .count_max = (max), .bytes_max = (bytes), .utf8 = true \
    }
#define TZ_RULE_MESSAGES(n, max, bytes, schema)                                                   \
    {                                                                                             \
        .number = (n), .wire_type = 2, .count_max = (max), .bytes_max = (bytes), .sub = &(schema) \
    }
#define TZ_SCHEMA(text, table)                                                         \
    {                                                                                  \
        .name = (text), .rules = (table), .nrules = sizeof(table) / sizeof((table)[0]) \
    }

/* ---- writing: the first error sticks, and then nothing stays appended ---- */

struct tz_msg_writer {
    struct tz_buf *out;
    size_t start;
    int rc;
};

struct tz_msg_writer tz_msg_begin(struct tz_buf *out);
/** Returns the first error. With @schema: what was written is held against it too, so that no peer can refuse it. */
TZ_MUST_USE int tz_msg_end(struct tz_msg_writer *w, const struct tz_wire_schema *schema);
void tz_msg_fail(struct tz_msg_writer *w, int code);
/* Proto3 defaults (0, "", zero id or hash) are left out. NULL texts count as "". */
void tz_msg_w_u64(struct tz_msg_writer *w, uint32_t number, uint64_t v);
void tz_msg_w_bytes(struct tz_msg_writer *w, uint32_t number, struct tz_bytes b);
void tz_msg_w_text(struct tz_msg_writer *w, uint32_t number, const char *s);
void tz_msg_w_id(struct tz_msg_writer *w, uint32_t number, struct tz_id id);     /* left out when zero */
void tz_msg_w_id_req(struct tz_msg_writer *w, uint32_t number, struct tz_id id); /* always written */
void tz_msg_w_hash(struct tz_msg_writer *w, uint32_t number, const uint8_t hash[TZ_HASH_BYTES]);
void tz_msg_w_area(struct tz_msg_writer *w, uint32_t number,
                   const struct tz_area *a); /* fields @number and @number + 1 */
void tz_msg_w_args(struct tz_msg_writer *w, uint32_t number, const char *const *args, size_t n, size_t n_max);
/* An element of a repeated field: written even when empty. */
void tz_msg_w_item(struct tz_msg_writer *w, uint32_t number, struct tz_bytes b);
/* A sub-message: write its fields between open and close. */
size_t tz_msg_w_open(struct tz_msg_writer *w);
void tz_msg_w_close(struct tz_msg_writer *w, uint32_t number, size_t open);
/* Packed numbers; left out when there are none. */
void tz_msg_w_numbers(struct tz_msg_writer *w, uint32_t number, const uint32_t *v, size_t n);
/* An error code as the wire has it. */
void tz_msg_w_code(struct tz_msg_writer *w, uint32_t number, int code);

/* ---- reading flat messages without protobuf-c ---- */

enum tz_msg_slot_kind {
    TZ_SLOT_U32,
    TZ_SLOT_U64,
    TZ_SLOT_BOOL,
    TZ_SLOT_ID,       /* required, 16 bytes, into struct tz_id */
    TZ_SLOT_HASH,     /* 32 bytes or empty, into uint8_t[32] */
    TZ_SLOT_DISTRICT, /* into char[TZ_DISTRICT_BYTES] */
    TZ_SLOT_STREET,   /* into char[TZ_STREET_BYTES] */
    TZ_SLOT_BYTES,    /* borrowed, into struct tz_bytes */
};
struct tz_msg_slot {
    uint32_t number;
    enum tz_msg_slot_kind kind;
    void *dst; /* zeroed by the caller */
};
/** Read @in, which tz_wire_check has passed, into @slots; other fields are skipped. @what names the message in errors.
 */
TZ_MUST_USE int tz_msg_read_slots(const char *what, struct tz_bytes in, const struct tz_msg_slot *slots, size_t n,
                                  struct tz_err *err);
/** How many times field @number occurs. @in has passed tz_wire_check. */
size_t tz_msg_count(struct tz_bytes in, uint32_t number);

/** Fills entry @i of an array from the bytes of one element. */
typedef int (*tz_msg_fill_fn)(void *array, size_t i, struct tz_bytes b, struct tz_err *err);
/** Every occurrence of field @number of @in (checked already) through @fill into a zeroed array in @a. */
TZ_MUST_USE int tz_msg_read_list(struct tz_bytes in, uint32_t number, size_t entry_bytes, tz_msg_fill_fn fill,
                                 struct tz_arena *a, void **array, size_t *n, struct tz_err *err);
/** A Row wherever it stands: its rules, and one into an array of struct tz_msg_row. */
extern const struct tz_wire_schema tz_msg_row_schema;
TZ_MUST_USE int tz_msg_fill_row(void *array, size_t i, struct tz_bytes b, struct tz_err *err);

/* ---- reading with protobuf-c ---- */

/** Pre-check against @schema, then unpack into @a. Free nothing. TZ_E_FORMAT, TZ_E_LIMIT (also: arena exhausted). */
TZ_MUST_USE int tz_msg_unpack(const ProtobufCMessageDescriptor *d, const struct tz_wire_schema *schema,
                              struct tz_bytes in, struct tz_arena *a, ProtobufCMessage **out, struct tz_err *err);
/** TZ_E_LIMIT: the arena of a read is exhausted. */
int tz_msg_no_room(struct tz_err *err);
static inline struct tz_bytes tz_msg_bytes(ProtobufCBinaryData b)
{
    return tz_bytes_of(b.data, b.len);
}

/* ---- checks both ways of reading share; @what names the field in errors ---- */

TZ_MUST_USE int tz_msg_take_id(const char *what, struct tz_bytes b, struct tz_id *out, struct tz_err *err);
/** Empty gives the zero id. */
TZ_MUST_USE int tz_msg_take_id_opt(const char *what, struct tz_bytes b, struct tz_id *out, struct tz_err *err);
TZ_MUST_USE int tz_msg_take_hash(const char *what, struct tz_bytes b, uint8_t out[TZ_HASH_BYTES], struct tz_err *err);
/** 0 or exactly @digits decimal digits into @out with a NUL. */
TZ_MUST_USE int tz_msg_take_digits(const char *what, struct tz_bytes b, size_t digits, char *out, struct tz_err *err);
/** An outcome with its error. A code that this side does not know keeps its number: it is stored, and shown by number.
 */
TZ_MUST_USE int tz_msg_take_outcome(int64_t outcome, uint32_t code, enum tz_outcome *out, int *out_code,
                                    struct tz_err *err);
/** A list of ids, each 16 bytes, into @a. @what names one in errors. */
TZ_MUST_USE int tz_msg_take_ids(const char *what, const ProtobufCBinaryData *in, size_t n, struct tz_arena *a,
                                const struct tz_id **out, struct tz_err *err);
/** A list of byte strings, borrowed, into @a. */
TZ_MUST_USE int tz_msg_take_list(const ProtobufCBinaryData *in, size_t n, struct tz_arena *a,
                                 const struct tz_bytes **out, struct tz_err *err);
/** A number between @min and @max. */
TZ_MUST_USE int tz_msg_take_enum(const char *what, int64_t v, int64_t min, int64_t max, struct tz_err *err);

#endif
