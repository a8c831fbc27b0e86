/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invitation codes; the layout is in invite.h. The checksum finds slips, it does not authenticate: whoever holds a code
 * may use it once, and that is decided by the server that knows the secret. Buffers that held the secret are
 * overwritten.
 */
#include "invite.h"

#include "hash.h"
#include "text.h"

#include <string.h>
#include <strings.h>

enum {
    CHECK_BYTES = 4,
    FIXED_BYTES = TZ_INVITE_PIN_BYTES + TZ_INVITE_SECRET_BYTES,
    PAYLOAD_MAX = FIXED_BYTES + TZ_INVITE_ADDRESS_BYTES - 1 + CHECK_BYTES,
    GROUP = 5,
    CODE_READ_MAX = 1024, /* a code with generous white space; longer is not a code */
};

static const char PREFIX[] = "TZ1";

static int checksum(struct tz_bytes body, uint8_t out[CHECK_BYTES])
{
    struct tz_sha256 h = {0};
    uint8_t digest[TZ_SHA256_BYTES];
    int rc = tz_sha256_init(&h);
    if (rc == 0)
        rc = tz_sha256_update(&h, tz_bytes_of(PREFIX, 3));
    if (rc == 0)
        rc = tz_sha256_update(&h, body);
    if (rc == 0)
        rc = tz_sha256_final(&h, digest);
    if (rc == 0)
        memcpy(out, digest, CHECK_BYTES);
    tz_sha256_deinit(&h);
    return rc;
}

static bool address_ok(const uint8_t *p, size_t n)
{
    bool colon = false;
    for (size_t i = 0; i < n; i++) {
        if (p[i] <= ' ' || p[i] > '~')
            return false;
        colon = colon || p[i] == ':';
    }
    return colon && n < TZ_INVITE_ADDRESS_BYTES;
}

/* "TZ1" and a hyphen before each group of five digits. */
static void print_groups(struct tz_bytes digits, char *out)
{
    memcpy(out, PREFIX, 3);
    size_t at = 3;
    for (size_t i = 0; i < digits.n; i++) {
        if (i % GROUP == 0)
            out[at++] = '-';
        out[at++] = (char)digits.p[i];
    }
    out[at] = '\0';
}

int tz_invite_encode(const struct tz_invite *in, char out[TZ_INVITE_CODE_BYTES])
{
    size_t address_bytes = strnlen(in->address, sizeof in->address);
    out[0] = '\0';
    if (!address_ok((const uint8_t *)in->address, address_bytes))
        return TZ_E_INVITE;
    struct tz_buf payload, digits;
    uint8_t check[CHECK_BYTES];
    tz_buf_init(&payload, PAYLOAD_MAX);
    tz_buf_init(&digits, TZ_INVITE_CODE_BYTES);
    int rc = tz_buf_put(&payload, in->pin, sizeof in->pin);
    if (rc == 0)
        rc = tz_buf_put(&payload, in->secret, sizeof in->secret);
    if (rc == 0)
        rc = tz_buf_put(&payload, in->address, address_bytes);
    if (rc == 0)
        rc = checksum(tz_buf_unread(&payload), check);
    if (rc == 0)
        rc = tz_buf_put(&payload, check, sizeof check);
    if (rc == 0)
        rc = tz_base32_put(&digits, tz_buf_unread(&payload));
    if (rc == 0)
        print_groups(tz_buf_unread(&digits), out);
    tz_buf_deinit_secret(&digits);
    tz_buf_deinit_secret(&payload);
    return rc;
}

static int parse_payload(struct tz_bytes all, struct tz_invite *out)
{
    if (all.n <= FIXED_BYTES + CHECK_BYTES)
        return TZ_E_INVITE;
    struct tz_bytes body = tz_bytes_of(all.p, all.n - CHECK_BYTES);
    uint8_t check[CHECK_BYTES];
    int rc = checksum(body, check);
    if (rc != 0)
        return rc;
    if (memcmp(check, body.p + body.n, CHECK_BYTES) != 0 || !address_ok(body.p + FIXED_BYTES, body.n - FIXED_BYTES))
        return TZ_E_INVITE;
    memcpy(out->pin, body.p, TZ_INVITE_PIN_BYTES);
    memcpy(out->secret, body.p + TZ_INVITE_PIN_BYTES, TZ_INVITE_SECRET_BYTES);
    memcpy(out->address, body.p + FIXED_BYTES, body.n - FIXED_BYTES);
    return 0;
}

int tz_invite_decode(const char *code, struct tz_invite *out)
{
    *out = (struct tz_invite){.address = ""};
    code += strspn(code, " \t\r\n");
    size_t n = strnlen(code, CODE_READ_MAX + 1);
    if (n > CODE_READ_MAX || strncasecmp(code, PREFIX, 3) != 0)
        return TZ_E_INVITE;
    struct tz_buf payload;
    tz_buf_init(&payload, PAYLOAD_MAX);
    int rc = tz_base32_get(&payload, tz_bytes_of(code + 3, n - 3));
    if (rc == 0)
        rc = parse_payload(tz_buf_unread(&payload), out);
    tz_buf_deinit_secret(&payload);
    return rc == 0 || rc == TZ_E_NOMEM ? rc : TZ_E_INVITE;
}
