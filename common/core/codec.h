/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_CODEC_H
#define TZ_CODEC_H

/*
 * Record bodies: protobuf wire format, field number = catalogue field id, ascending, minimal varints, no field twice.
 * One body has exactly one encoding, so digests run over it. Also the pre-check that walks any wire message before
 * protobuf-c unpacks it.
 *
 *   INT kinds  wire type 0, zigzag (bool too)          TEXT, BLOB  wire type 2
 *   NULL       absent
 * Fields the catalogue lacks are kept as raw bytes in `extra` (ascending too) and written back at their place.
 */

#include "catalogue.h"
#include "utf8.h"

/** A record's content. Values borrow from where they were read. */
struct tz_record {
    const struct tz_type *type;
    struct tz_value v[TZ_FIELDS_MAX]; /* by field index; entries ≥ type->nfields unused */
    struct tz_bytes extra;            /* unknown fields in wire form, ascending; borrowed */
};

void tz_record_init(struct tz_record *r, const struct tz_type *type);

/** Append the canonical encoding. TZ_E_LIMIT past TZ_ROW_BYTES_MAX or @out's maximum. */
TZ_MUST_USE int tz_record_encode(const struct tz_record *r, struct tz_buf *out);

/**
 * Decode a canonical body: values borrow from @body; unknown fields are collected into @arena. TZ_E_FORMAT when the
 * bytes are not the canonical encoding (order, minimal varints, wire type, UTF-8 not checked here: see tz_value_check).
 */
TZ_MUST_USE int tz_record_decode(const struct tz_type *type, struct tz_bytes body, struct tz_arena *arena,
                                 struct tz_record *out, struct tz_err *err);

/** Iterate fields of any well-formed message; for bodies of unknown types. Returns 1 a field, 0 the end, TZ_E_FORMAT.
 */
struct tz_wire_field {
    uint32_t number;
    unsigned wire_type;    /* 0, 1, 2, 5 */
    uint64_t varint;       /* wire types 0, 1, 5 */
    struct tz_bytes bytes; /* wire type 2 */
    struct tz_bytes raw;   /* whole field with its key */
};
struct tz_wire_iter {
    struct tz_bytes rest;
};
int tz_wire_next(struct tz_wire_iter *it, struct tz_wire_field *out);

/** Strict UTF-8 throughout; U+0000 is a character like any other here. Empty is valid. */
bool tz_utf8_valid(struct tz_bytes b);

/** Primitive writers, minimal varints. */
TZ_MUST_USE int tz_wire_put_varint(struct tz_buf *out, uint64_t v);
/** Take one off the front of @in. TZ_E_FORMAT: cut off, or more than 64 bits. */
TZ_MUST_USE int tz_wire_take_varint(struct tz_bytes *in, uint64_t *v);
TZ_MUST_USE int tz_wire_put_key(struct tz_buf *out, uint32_t number, unsigned wire_type);
TZ_MUST_USE int tz_wire_put_bytes(struct tz_buf *out, uint32_t number, struct tz_bytes b);
static inline uint64_t tz_zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}
static inline int64_t tz_unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/**
 * What a message may contain, so that unpacking it cannot cost more than its size suggests. A table per message type,
 * written beside the message (proto/msg.c); sub-messages point at their own table.
 */
struct tz_wire_rule {
    uint32_t number;
    unsigned wire_type;
    uint32_t count_max;               /* occurrences of this field in one message; packed: elements */
    uint32_t bytes_max;               /* wire type 2: length of one */
    bool packed;                      /* wire type 2 holding packed varints */
    bool utf8;                        /* wire type 2 must be valid UTF-8 without NUL */
    const struct tz_wire_schema *sub; /* wire type 2 holding a message, else NULL */
};
struct tz_wire_schema {
    const char *name;
    const struct tz_wire_rule *rules; /* a limit of 0 means none may be there, not that there is no limit */
    size_t nrules;                    /* at most 64 */
};
enum { TZ_WIRE_DEPTH_MAX = 8 };
/**
 * Walk @msg against @schema without allocating and without recursion on input depth beyond TZ_WIRE_DEPTH_MAX. Unknown
 * field numbers are skipped but counted (at most 64 per message) and may not be groups. TZ_E_FORMAT / TZ_E_LIMIT.
 */
TZ_MUST_USE int tz_wire_check(const struct tz_wire_schema *schema, struct tz_bytes msg, struct tz_err *err);

#endif
