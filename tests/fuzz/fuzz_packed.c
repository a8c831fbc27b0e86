/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Laws of what the server keeps in few bytes. The first byte picks which: a pack of commits (without its sum, which
 * would let nothing through), the same with it, a column of numbers, stamps. Whatever the bytes are, nothing is read
 * beside them and no more is made than was asked for; what can be read is written and read again as the same.
 */
#include <string.h>

#include "commit_int.h"
#include "fuzz.h"
#include "rice.h"

enum { INPUT_MAX = 64 * 1024, ARENA_MAX = 16 * 1024 * 1024, OUT_MAX = 1024 * 1024, COLUMN_MAX = 1024 };

static struct tz_commit_run run, again;
static uint64_t column[COLUMN_MAX + 1], column_again[COLUMN_MAX + 1];

/** All but the time of receipt, of which the day is kept: of a day beyond all calendars another comes back. */
static bool same_entry(const struct tz_commit_entry *a, const struct tz_commit_entry *b)
{
    return memcmp(&a->c, &b->c, sizeof a->c) == 0 && a->author == b->author && a->claimed == b->claimed &&
           a->offset_ms == b->offset_ms && a->eff_max == b->eff_max && a->rules == b->rules &&
           a->catalogue == b->catalogue;
}

static void commits(const uint8_t *data, size_t size)
{
    struct tz_buf out;
    tz_ver first = data[0] + UINT64_C(1);
    if (tz_commit_unpack(first, tz_bytes_of(data + 1, size - 1), &run))
        return;
    FUZZ_CHECK(run.n > 0 && run.n <= TZ_COMMIT_PACK_MAX && run.v[0].c.ver == first);
    for (size_t i = 1; i < run.n; i++)
        FUZZ_CHECK(run.v[i].c.ver > run.v[i - 1].c.ver && run.v[i].c.ver <= INT64_MAX);
    tz_buf_init(&out, OUT_MAX);
    FUZZ_CHECK(tz_commit_pack(&run, &out) == 0);
    FUZZ_CHECK(tz_commit_unpack(first, tz_buf_unread(&out), &again) == 0 && again.n == run.n);
    for (size_t i = 0; i < run.n; i++)
        FUZZ_CHECK(same_entry(&run.v[i], &again.v[i]));
    tz_buf_deinit(&out);
}

/** The format of before there was a sum. */
static void commits_unsummed(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size);
    FUZZ_CHECK(copy != NULL);
    memcpy(copy, data, size);
    if (size > 1)
        copy[1] = 1;
    commits(copy, size);
    free(copy);
}

static void numbers(const uint8_t *data, size_t size)
{
    struct tz_bytes in = tz_bytes_of(data + 1, size - 1);
    size_t n = (size_t)data[0] * 4 + 1;
    struct tz_buf out;
    column[n] = UINT64_C(0xA5A5A5A5A5A5A5A5); /* behind the last one */
    int rc = tz_rice_take(&in, column, n);
    FUZZ_CHECK(column[n] == UINT64_C(0xA5A5A5A5A5A5A5A5) && in.n < size);
    if (rc)
        return;
    tz_buf_init(&out, OUT_MAX);
    FUZZ_CHECK(tz_rice_put(&out, column, n) == 0);
    in = tz_buf_unread(&out);
    FUZZ_CHECK(tz_rice_take(&in, column_again, n) == 0 && in.n == 0);
    FUZZ_CHECK(memcmp(column, column_again, n * sizeof *column) == 0);
    tz_buf_deinit(&out);
}

static void stamps(const uint8_t *data, size_t size)
{
    struct tz_arena a;
    struct tz_stamps s;
    struct tz_stamps t;
    struct tz_buf out;
    tz_arena_init(&a, ARENA_MAX);
    tz_buf_init(&out, OUT_MAX);
    tz_stamps_init(&s, &a);
    tz_stamps_init(&t, &a);
    if (tz_stamps_decode(&s, tz_bytes_of(data, size)) == 0) {
        FUZZ_CHECK(tz_stamps_encode(&s, &out) == 0);
        FUZZ_CHECK(tz_stamps_decode(&t, tz_buf_unread(&out)) == 0 && t.n == s.n);
        for (size_t i = 0; i < s.n; i++)
            FUZZ_CHECK(s.v[i].field == t.v[i].field && s.v[i].element == t.v[i].element && s.v[i].ver == t.v[i].ver &&
                       s.v[i].resolved == t.v[i].resolved);
    }
    tz_buf_deinit(&out);
    tz_arena_deinit(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(const uint8_t *, size_t) = {commits_unsummed, commits, numbers, stamps};
    if (size < 3 || size > INPUT_MAX)
        return 0;
    readers[data[0] % 4](data + 1, size - 1);
    return 0;
}
