/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames out of a byte stream, however it was cut (layout in frame.h).
 *
 * 1. The buffer starts at a frame header, or at a part of one. A frame handed out is skipped with `pos` alone, so that
 * its body stays where it is until the next call, which tidies up.
 * 2. What is kept never passes one frame at the cap plus one feed; an over-cap header is refused when its four length
 * bytes are there, before its body is waited for.
 * 3. An error is final: a stream whose framing is lost cannot be found again.
 *
 * No types are known here; that is session business.
 */
#include "frame.h"

#include "planted.h"

static size_t stored_max(size_t body_max)
{
    return TZ_FRAME_HEADER_BYTES + body_max + TZ_FRAME_FEED_MAX;
}

void tz_frame_reader_init(struct tz_frame_reader *r, size_t body_max)
{
    *r = (struct tz_frame_reader){.body_max = body_max};
    tz_buf_init(&r->buf, stored_max(body_max));
}

void tz_frame_reader_deinit(struct tz_frame_reader *r)
{
    tz_buf_deinit(&r->buf);
}

void tz_frame_reader_limit(struct tz_frame_reader *r, size_t body_max)
{
    r->body_max = body_max;
    if (stored_max(body_max) > r->buf.bytes_max) /* a lower cap needs no smaller buffer */
        r->buf.bytes_max = stored_max(body_max);
}

static size_t body_length(const uint8_t *header)
{
    return (size_t)header[0] << 24 | (size_t)header[1] << 16 | (size_t)header[2] << 8 | header[3];
}

static int reader_fail(struct tz_frame_reader *r, int code)
{
    r->failed = code;
    return code;
}

/* The length of the frame the buffer will start with, once @in is there, against the cap. */
static int check_next_length(const struct tz_frame_reader *r, struct tz_bytes in)
{
    struct tz_bytes have = tz_buf_unread(&r->buf);
    uint8_t header[4];
    for (size_t i = 0; i < sizeof header; i++) {
        if (i >= have.n && i - have.n >= in.n)
            return 0;
        header[i] = i < have.n ? have.p[i] : in.p[i - have.n];
    }
    return body_length(header) > r->body_max && !TZ_PLANTED(FRAME_UNCAPPED) ? TZ_E_LIMIT : 0;
}

int tz_frame_feed(struct tz_frame_reader *r, struct tz_bytes in)
{
    if (r->failed)
        return r->failed;
    tz_buf_consume(&r->buf, 0);
    int rc = check_next_length(r, in);
    if (rc == 0)
        rc = tz_buf_put(&r->buf, in.p, in.n);
    return rc < 0 ? reader_fail(r, rc) : 0;
}

int tz_frame_next(struct tz_frame_reader *r, struct tz_frame *out)
{
    if (r->failed)
        return r->failed;
    tz_buf_consume(&r->buf, 0);
    struct tz_bytes have = tz_buf_unread(&r->buf);
    int rc = check_next_length(r, tz_bytes_of(NULL, 0));
    if (rc < 0)
        return reader_fail(r, rc);
    if (have.n >= 6 && have.p[5] != 0) /* compression is never negotiated, the other bits are unknown */
        return reader_fail(r, TZ_E_PROTOCOL);
    if (have.n < TZ_FRAME_HEADER_BYTES || have.n - TZ_FRAME_HEADER_BYTES < body_length(have.p))
        return 0;
    out->type = have.p[4];
    out->flags = have.p[5];
    out->lane = (uint16_t)(have.p[6] << 8 | have.p[7]);
    out->body = tz_bytes_of(have.p + TZ_FRAME_HEADER_BYTES, body_length(have.p));
    r->buf.pos += TZ_FRAME_HEADER_BYTES + out->body.n;
    return 1;
}

int tz_frame_put(struct tz_buf *out, uint8_t type, uint16_t lane, struct tz_bytes body)
{
    if (body.n > TZ_FRAME_BODY_MAX)
        return TZ_E_LIMIT;
    int rc = tz_buf_reserve(out, TZ_FRAME_HEADER_BYTES + body.n); /* all of the frame or nothing */
    if (rc < 0)
        return rc;
    const uint8_t header[TZ_FRAME_HEADER_BYTES] = {
        (uint8_t)(body.n >> 24), (uint8_t)(body.n >> 16), (uint8_t)(body.n >> 8), (uint8_t)body.n, type, 0,
        (uint8_t)(lane >> 8),    (uint8_t)lane,
    };
    rc = tz_buf_put(out, header, sizeof header);
    return rc < 0 ? rc : tz_buf_put(out, body.p, body.n);
}
