/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_HASH_H
#define TZ_HASH_H

/*
 * SHA-256, HMAC-SHA256, random bytes and comparisons that take the same time whatever they compare. Any thread; one
 * user per struct tz_sha256 at a time. OpenSSL's types stay inside hash.c.
 */

#include "buf.h"

enum { TZ_SHA256_BYTES = 32 };

struct evp_md_ctx_st;
struct tz_sha256 {
    struct evp_md_ctx_st *ctx; /**< owned; NULL when not initialised */
};

/** Start a digest; also restarts one that is under way or done. TZ_E_NOMEM. */
TZ_MUST_USE int tz_sha256_init(struct tz_sha256 *h);
/** TZ_E_INTERNAL when not initialised or already finished. */
TZ_MUST_USE int tz_sha256_update(struct tz_sha256 *h, struct tz_bytes in);
/** Writes the digest. Start again with tz_sha256_init, or end with tz_sha256_deinit. */
TZ_MUST_USE int tz_sha256_final(struct tz_sha256 *h, uint8_t out[TZ_SHA256_BYTES]);
/** Accepts a zeroed struct and a second call. */
void tz_sha256_deinit(struct tz_sha256 *h);

/** One shot. TZ_E_NOMEM. */
TZ_MUST_USE int tz_sha256(struct tz_bytes in, uint8_t out[TZ_SHA256_BYTES]);
/** RFC 2104 over SHA-256, any key length. TZ_E_NOMEM. */
TZ_MUST_USE int tz_hmac_sha256(struct tz_bytes key, struct tz_bytes in, uint8_t out[TZ_SHA256_BYTES]);

/**
 * First 8 bytes of HMAC-SHA256(@key, @in), big-endian. For many small inputs: one context per thread is kept and freed
 * when the thread ends. Cannot fail for the caller: without memory for that one context the program aborts.
 */
uint64_t tz_keyed_hash64(const uint8_t key[32], struct tz_bytes in);

/** Equal length and bytes; time depends on the lengths only. */
bool tz_secret_eq(struct tz_bytes a, struct tz_bytes b);
/** Fill from the system's cryptographic generator. TZ_E_INTERNAL when it fails; @p is then zeroed and must not be used.
 */
TZ_MUST_USE int tz_random_bytes(void *p, size_t n);
/** 32 random bits with the signature of the injected generators (tz_id_maker, tz_backoff); @ctx is not used. Aborts on
 * failure. */
uint32_t tz_random_u32(void *ctx);
/** Overwrite a secret; never optimised away. */
void tz_secret_zero(void *p, size_t n);

#endif
