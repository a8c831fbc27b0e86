/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Laws of every message for any bytes: reading ends with a message, TZ_E_FORMAT or TZ_E_LIMIT; what was read can be
 * written unless it is over a limit; and what was written reads back as the same message, which writes the same bytes
 * again.
 *
 * The first byte of the input selects the message, the rest is its body.
 */
#include <string.h>

#include "fuzz.h"
#include "msg.h"

enum { BUDGET = 8 * 1024 * 1024, OUT_MAX = 2 * 1024 * 1024 };

/* Read @in; when that succeeds, write it to @out. @wrote is the result of writing. */
typedef int (*again_fn)(struct tz_bytes in, struct tz_arena *a, struct tz_buf *out, int *wrote);

#define AGAIN(name, type)                                                                           \
    static int name##_again(struct tz_bytes in, struct tz_arena *a, struct tz_buf *out, int *wrote) \
    {                                                                                               \
        type m;                                                                                     \
        int rc = tz_msg_read_##name(in, a, &m, NULL);                                               \
        if (rc == 0)                                                                                \
            *wrote = tz_msg_put_##name(out, &m);                                                    \
        return rc;                                                                                  \
    }
#define AGAIN_LIST(name, type)                                                                      \
    static int name##_again(struct tz_bytes in, struct tz_arena *a, struct tz_buf *out, int *wrote) \
    {                                                                                               \
        type *m;                                                                                    \
        size_t n;                                                                                   \
        int rc = tz_msg_read_##name(in, a, &m, &n, NULL);                                           \
        if (rc == 0)                                                                                \
            *wrote = tz_msg_put_##name(out, m, n);                                                  \
        return rc;                                                                                  \
    }
#define AGAIN_FLAT(name, type, pass)                                                                \
    static int name##_again(struct tz_bytes in, struct tz_arena *a, struct tz_buf *out, int *wrote) \
    {                                                                                               \
        (void)a;                                                                                    \
        type m;                                                                                     \
        int rc = tz_msg_read_##name(in, &m, NULL);                                                  \
        if (rc == 0)                                                                                \
            *wrote = tz_msg_put_##name(out, pass m);                                                \
        return rc;                                                                                  \
    }

AGAIN(hello, struct tz_msg_hello)
AGAIN(welcome, struct tz_msg_welcome)
AGAIN(error, struct tz_msg_error)
AGAIN_FLAT(ping, uint64_t, )
AGAIN_LIST(push, struct tz_bytes)
AGAIN_LIST(reoffer, struct tz_offered)
AGAIN_FLAT(renumber, struct tz_msg_renumber, &)
AGAIN_FLAT(renumbered, uint32_t, )
AGAIN_LIST(lost_taken, uint32_t)

static int lost_rows_again(struct tz_bytes in, struct tz_arena *a, struct tz_buf *out, int *wrote)
{
    const struct tz_msg_row *rows;
    size_t n;
    int rc = tz_msg_read_lost_rows(in, a, &rows, &n, NULL);
    *wrote = 0;
    tz_buf_clear(out);
    for (size_t i = 0; rc == 0 && i < n && *wrote == 0; i++)
        *wrote = tz_msg_put_rows_row(out, &rows[i]);
    return rc;
}
AGAIN_LIST(results, struct tz_signed_result)
AGAIN_LIST(pull, struct tz_cursor)
AGAIN(rows, struct tz_msg_rows)
AGAIN_FLAT(checkpoint, struct tz_msg_checkpoint, &)
AGAIN_FLAT(ack, uint32_t, )
AGAIN_FLAT(verify, struct tz_msg_verify, &)
AGAIN_FLAT(verified, struct tz_msg_verified, &)
AGAIN(enrol, struct tz_msg_enrol)
AGAIN(enrolled, struct tz_msg_enrolled)
AGAIN(changeset, struct tz_changeset)
AGAIN(result, struct tz_result)
AGAIN_FLAT(digest_request, struct tz_msg_digest_request, &)
AGAIN(digest, struct tz_msg_digest)
AGAIN_FLAT(damage, struct tz_msg_damage, &)
AGAIN_FLAT(damage_noted, bool, )
AGAIN_FLAT(wipe_order, struct tz_msg_wipe_order, &)
AGAIN_FLAT(wipe_receipt, struct tz_msg_wipe_receipt, &)
AGAIN_FLAT(wipe_noted, bool, )
AGAIN_FLAT(history_ask, struct tz_msg_history_ask, &)
AGAIN(history, struct tz_msg_history)

static const again_fn messages[] = {
    hello_again,      welcome_again,      error_again,       ping_again,       push_again,           results_again,
    pull_again,       rows_again,         checkpoint_again,  ack_again,        verify_again,         verified_again,
    enrol_again,      enrolled_again,     changeset_again,   result_again,     digest_request_again, digest_again,
    damage_again,     damage_noted_again, history_ask_again, history_again,    reoffer_again,        renumber_again,
    renumbered_again, lost_taken_again,   lost_rows_again,   wipe_order_again, wipe_receipt_again,   wipe_noted_again,
};

static void try_message(again_fn again, struct tz_bytes in, struct tz_arena *a, struct tz_buf *one, struct tz_buf *two)
{
    int wrote = 0;
    int rc = again(in, a, one, &wrote);
    FUZZ_CHECK(rc == 0 || rc == TZ_E_FORMAT || rc == TZ_E_LIMIT);
    FUZZ_CHECK(a->used_bytes <= BUDGET);
    if (rc != 0)
        return;
    /* Overlong input may pass what its shortest form would not: never the other way round. */
    FUZZ_CHECK(wrote == 0 || wrote == TZ_E_LIMIT);
    if (wrote != 0)
        return;
    FUZZ_CHECK(again(tz_buf_unread(one), a, two, &wrote) == 0 && wrote == 0);
    FUZZ_CHECK(tz_bytes_eq(tz_buf_unread(one), tz_buf_unread(two)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct tz_arena a;
    struct tz_buf one, two;
    tz_arena_init(&a, BUDGET);
    tz_buf_init(&one, OUT_MAX);
    tz_buf_init(&two, OUT_MAX);
    try_message(messages[data[0] % (sizeof messages / sizeof messages[0])], tz_bytes_of(data + 1, size - 1), &a, &one,
                &two);
    tz_arena_deinit(&a);
    tz_buf_deinit(&one);
    tz_buf_deinit(&two);
    return 0;
}
