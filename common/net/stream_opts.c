/* SPDX-License-Identifier: Apache-2.0 */
/* The defaults of a stream, in one table; the reasons for the caps are in the README. */
#include "stream.h"

static size_t or_default(size_t v, size_t fallback)
{
    return v != 0 ? v : fallback;
}

struct tz_stream_opts tz_stream_opts_fill(const struct tz_stream_opts *in)
{
    static const struct tz_stream_opts none;
    const struct tz_stream_opts *o = in != NULL ? in : &none;
    return (struct tz_stream_opts){
        .body_max = or_default(o->body_max, TZ_FRAME_BODY_MAX_ANON),
        .queue_bytes_max = or_default(o->queue_bytes_max, 4 * 1024 * 1024),
        .high_bytes = or_default(o->high_bytes, 1024 * 1024),
        .low_bytes = or_default(o->low_bytes, 256 * 1024),
        .frames_per_turn = (unsigned)or_default(o->frames_per_turn, 64),
        .handshake_ms = (uint32_t)or_default(o->handshake_ms, 5000),
        .idle_ms = (uint32_t)or_default(o->idle_ms, 90 * 1000),
        .close_ms = (uint32_t)or_default(o->close_ms, 1000),
    };
}
