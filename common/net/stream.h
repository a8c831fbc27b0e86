/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_STREAM_H
#define TZ_STREAM_H

/*
 * One connection: uv_tcp + TLS + frames. Frames come in through callbacks, frames go out with tz_stream_send.
 *
 * Everything belongs to the loop's thread. Callbacks never run inside tz_stream_accept, _connect, _resume, _close or
 * _abort; on_close comes exactly once for every stream that was handed out, is the last callback, and the stream is
 * gone when it returns.
 */

#include "frame.h"
#include "tls.h"

struct uv_loop_s;
struct uv_stream_s;
struct tz_stream;

/** All but on_frame and on_close may be NULL. Any of them may call any function on the stream. */
struct tz_stream_cb {
    /** The handshake is done; @peer says what it proved. Sending is allowed from here on. */
    void (*on_open)(void *ctx, const struct tz_tls_peer *peer);
    /** @f and its body are borrowed for the call. */
    void (*on_frame)(void *ctx, const struct tz_frame *f);
    /** Queued bytes fell to the low mark after they had reached the high mark. */
    void (*on_drain)(void *ctx);
    /**
     * @reason is 0 for a clean end by the peer, what was given to tz_stream_close, or TZ_E_*: UNREACHABLE, TIMEOUT,
     * GONE (no close_notify), TLS, SERVER_KEY, LIMIT (frame over the cap), PROTOCOL, NOMEM. @err holds the same code
     * with details.
     */
    void (*on_close)(void *ctx, int reason, const struct tz_err *err);
};

/** Zero in any field takes the default. */
struct tz_stream_opts {
    size_t body_max;          /**< frame bodies accepted at first; TZ_FRAME_BODY_MAX_ANON */
    size_t queue_bytes_max;   /**< tz_stream_send refuses beyond; 4 MiB */
    size_t high_bytes;        /**< tz_stream_writable turns false; 1 MiB */
    size_t low_bytes;         /**< on_drain; 256 KiB */
    unsigned frames_per_turn; /**< then other connections have their turn; 64 */
    uint32_t handshake_ms;    /**< from accept or connect (with name look-up) to on_open; 5000 */
    uint32_t idle_ms;         /**< without a byte in or out, unless paused; 90000 */
    uint32_t close_ms;        /**< for close_notify to leave and the peer to hang up; 1000 */
};

/** @opts (may be NULL) with its zeros replaced by the defaults. */
struct tz_stream_opts tz_stream_opts_fill(const struct tz_stream_opts *opts);

/**
 * Take a waiting connection from a listener's on_accept. @tls (borrowed until on_close), @opts (may be NULL) and @cb
 * are copied or used as said. On error nothing was made and no callback comes: TZ_E_NOMEM, TZ_E_GONE, TZ_E_INTERNAL.
 */
TZ_MUST_USE int tz_stream_accept(struct uv_loop_s *loop, const struct tz_tls_config *tls, struct uv_stream_s *server,
                                 const struct tz_stream_opts *opts, const struct tz_stream_cb *cb, void *ctx,
                                 struct tz_stream **out, struct tz_err *err);
/** Connect to @host (name or number, without brackets). Addresses are tried in the resolver's order; failure is
 * on_close. */
TZ_MUST_USE int tz_stream_connect(struct uv_loop_s *loop, const struct tz_tls_config *tls, const char *host,
                                  uint16_t port, const struct tz_stream_opts *opts, const struct tz_stream_cb *cb,
                                  void *ctx, struct tz_stream **out, struct tz_err *err);

/**
 * Queue one frame (copies). TZ_E_LIMIT past queue_bytes_max or TZ_FRAME_BODY_MAX (nothing is queued, the stream lives),
 * TZ_E_INTERNAL before on_open, TZ_E_GONE once closing, TZ_E_TLS and TZ_E_NOMEM (the stream closes with it).
 */
TZ_MUST_USE int tz_stream_send(struct tz_stream *s, uint8_t type, uint16_t lane, struct tz_bytes body);
/** Bytes on their way to the network, encrypted. */
size_t tz_stream_queued(const struct tz_stream *s);
/** Open and below the high mark. */
bool tz_stream_writable(const struct tz_stream *s);

/** No on_frame after this call until tz_stream_resume; the socket is not read meanwhile. Both are idempotent. */
void tz_stream_pause(struct tz_stream *s);
void tz_stream_resume(struct tz_stream *s);
/** Accept frame bodies up to @body_max from the next frame on. */
void tz_stream_limit(struct tz_stream *s, size_t body_max);

/**
 * End it: what is queued and close_notify still leave, within close_ms. @reason (0 or TZ_E_*) comes back in on_close.
 * Idempotent; the first reason stays. No on_frame, on_open or on_drain after this call.
 */
void tz_stream_close(struct tz_stream *s, int reason);
/** End it without sending anything more; also cuts short a tz_stream_close. */
void tz_stream_abort(struct tz_stream *s, int reason);

/** "192.0.2.1:4711" for logs; "" before the connection is up. */
const char *tz_stream_remote(const struct tz_stream *s);

#endif
