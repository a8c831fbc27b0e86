/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thin layer over libcrypto's EVP interface (3.0 and later; nothing deprecated).
 *
 * Invariant: a tz_sha256 with a context is always either under way or finished; EVP itself refuses updates after the
 * end. The keyed hash keeps one EVP_MAC_CTX per thread: creating one costs more than hashing a short row. The
 * thread-local pointer is for speed, the pthread key only for its destructor.
 *
 * Not here: passwords, encryption, signatures (pki.c).
 */
#include "hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

int tz_sha256_init(struct tz_sha256 *h)
{
    if (h->ctx == NULL)
        h->ctx = EVP_MD_CTX_new();
    if (h->ctx == NULL || EVP_DigestInit_ex2(h->ctx, EVP_sha256(), NULL) != 1)
        return TZ_E_NOMEM;
    return 0;
}

int tz_sha256_update(struct tz_sha256 *h, struct tz_bytes in)
{
    if (h->ctx == NULL)
        return TZ_E_INTERNAL;
    if (in.n == 0)
        return 0;
    return EVP_DigestUpdate(h->ctx, in.p, in.n) == 1 ? 0 : TZ_E_INTERNAL;
}

int tz_sha256_final(struct tz_sha256 *h, uint8_t out[TZ_SHA256_BYTES])
{
    unsigned n = 0;
    if (h->ctx == NULL || EVP_DigestFinal_ex(h->ctx, out, &n) != 1)
        return TZ_E_INTERNAL;
    return n == TZ_SHA256_BYTES ? 0 : TZ_E_INTERNAL;
}

void tz_sha256_deinit(struct tz_sha256 *h)
{
    EVP_MD_CTX_free(h->ctx);
    h->ctx = NULL;
}

int tz_sha256(struct tz_bytes in, uint8_t out[TZ_SHA256_BYTES])
{
    unsigned n = 0;
    return EVP_Digest(in.n > 0 ? (const void *)in.p : "", in.n, out, &n, EVP_sha256(), NULL) == 1 ? 0 : TZ_E_NOMEM;
}

/* EVP_MAC refuses a NULL key as "keep the old one", and update of NULL is pointless: give it an address for empty
 * inputs. */
static const uint8_t *ptr_or_empty(struct tz_bytes b)
{
    static const uint8_t empty[1];
    return b.n > 0 ? b.p : empty;
}

static bool mac_run(EVP_MAC_CTX *ctx, struct tz_bytes key, struct tz_bytes in, uint8_t out[TZ_SHA256_BYTES])
{
    size_t n = 0;
    return EVP_MAC_init(ctx, ptr_or_empty(key), key.n, NULL) == 1 && EVP_MAC_update(ctx, ptr_or_empty(in), in.n) == 1 &&
           EVP_MAC_final(ctx, out, &n, TZ_SHA256_BYTES) == 1 && n == TZ_SHA256_BYTES;
}

static EVP_MAC_CTX *mac_new(void)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", digest, 0), OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac); /* the context holds its own reference */
    if (ctx != NULL && EVP_MAC_CTX_set_params(ctx, params) != 1) {
        EVP_MAC_CTX_free(ctx);
        ctx = NULL;
    }
    return ctx;
}

int tz_hmac_sha256(struct tz_bytes key, struct tz_bytes in, uint8_t out[TZ_SHA256_BYTES])
{
    EVP_MAC_CTX *ctx = mac_new();
    bool ok = ctx != NULL && mac_run(ctx, key, in, out);
    EVP_MAC_CTX_free(ctx);
    return ok ? 0 : TZ_E_NOMEM;
}

static _Thread_local EVP_MAC_CTX *thread_mac;
static pthread_key_t thread_mac_key;
static pthread_once_t thread_mac_once = PTHREAD_ONCE_INIT;

static void free_thread_mac(void *p)
{
    EVP_MAC_CTX_free((EVP_MAC_CTX *)p);
    thread_mac = NULL;
}

static void make_thread_mac_key(void)
{
    if (pthread_key_create(&thread_mac_key, free_thread_mac) != 0)
        abort();
}

uint64_t tz_keyed_hash64(const uint8_t key[32], struct tz_bytes in)
{
    if (thread_mac == NULL) {
        if (pthread_once(&thread_mac_once, make_thread_mac_key) != 0)
            abort();
        thread_mac = mac_new();
        if (thread_mac == NULL || pthread_setspecific(thread_mac_key, thread_mac) != 0)
            abort();
    }
    uint8_t mac[TZ_SHA256_BYTES];
    if (!mac_run(thread_mac, tz_bytes_of(key, 32), in, mac))
        abort();
    uint64_t h = 0;
    for (size_t i = 0; i < 8; i++)
        h = h << 8 | mac[i];
    return h;
}

bool tz_secret_eq(struct tz_bytes a, struct tz_bytes b)
{
    return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}

int tz_random_bytes(void *p, size_t n)
{
    if (n <= INT32_MAX && RAND_bytes(p, (int)n) == 1)
        return 0;
    memset(p, 0, n);
    return TZ_E_INTERNAL;
}

uint32_t tz_random_u32(void *ctx)
{
    (void)ctx;
    uint32_t v = 0;
    if (tz_random_bytes(&v, sizeof v) != 0)
        abort();
    return v;
}

void tz_secret_zero(void *p, size_t n)
{
    OPENSSL_cleanse(p, n);
}
