/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_FRAME_H
#define TZ_FRAME_H

/*
 * Frames on a byte stream:
 *
 *   u32 body length (big-endian, without this header) | u8 type | u8 flags | u16 lane (big-endian) | body
 *
 * flags bit 0 = body compressed with zstd (reserved: negotiated never in this version, so a set bit is an error).
 * The length is compared with the cap before a byte of the body is stored.
 */

#include "buf.h"

enum { TZ_FRAME_HEADER_BYTES = 8, TZ_FRAME_BODY_MAX_ANON = 4 * 1024, TZ_FRAME_BODY_MAX = 1024 * 1024 };
enum { TZ_FRAME_FLAG_ZSTD = 1 };
/* One frame waiting to be completed, plus this much from the stream, fits: feed at most this, then drain. */
enum { TZ_FRAME_FEED_MAX = 256 * 1024 };

struct tz_frame {
    uint8_t type;
    uint8_t flags;
    uint16_t lane;
    struct tz_bytes body; /* borrowed from the reader, until the next call on it */
};

struct tz_frame_reader {
    struct tz_buf buf;
    size_t body_max; /* may be raised with tz_frame_reader_limit after authentication */
    int failed;      /* 0, or the error every later call repeats */
};

void tz_frame_reader_init(struct tz_frame_reader *r, size_t body_max);
void tz_frame_reader_deinit(struct tz_frame_reader *r);
void tz_frame_reader_limit(struct tz_frame_reader *r, size_t body_max);
/**
 * Take in bytes from the stream (copies), at most TZ_FRAME_FEED_MAX of them; call tz_frame_next until 0 in between.
 * TZ_E_LIMIT when the next frame's header announces more than the cap or more was fed than fits, TZ_E_NOMEM.
 */
TZ_MUST_USE int tz_frame_feed(struct tz_frame_reader *r, struct tz_bytes in);
/** 1 and a frame, 0 when more bytes are needed, TZ_E_LIMIT / TZ_E_PROTOCOL (unknown flag bits). After an error the
 * reader is dead. */
int tz_frame_next(struct tz_frame_reader *r, struct tz_frame *out);
/** Append one frame. */
TZ_MUST_USE int tz_frame_put(struct tz_buf *out, uint8_t type, uint16_t lane, struct tz_bytes body);

#endif
