/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Laws of the frame reader for any bytes: what comes out does not depend on how the stream was cut, the frames put back
 * together are the bytes they came from, and no body passes the cap.
 */
#include <string.h>

#include "frame.h"
#include "fuzz.h"

enum { CAP = 512, INPUT_MAX = 64 * 1024 };

/* Feed @in in pieces of @piece; what came out, put back, goes to @out. Returns how it ended: 0 or the error. */
static int read_all(struct tz_bytes in, size_t piece, struct tz_buf *out)
{
    struct tz_frame_reader r;
    struct tz_frame f;
    int rc = 0;
    tz_frame_reader_init(&r, CAP);
    for (size_t i = 0; i < in.n && rc == 0; i += piece) {
        rc = tz_frame_feed(&r, tz_bytes_of(in.p + i, in.n - i < piece ? in.n - i : piece));
        while (rc == 0 && (rc = tz_frame_next(&r, &f)) == 1) {
            FUZZ_CHECK(f.body.n <= CAP && f.flags == 0);
            rc = tz_frame_put(out, f.type, f.lane, f.body);
            FUZZ_CHECK(rc == 0);
        }
    }
    FUZZ_CHECK(rc == 0 || (tz_frame_next(&r, &f) == rc && tz_frame_feed(&r, in) == rc));
    tz_frame_reader_deinit(&r);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tz_buf whole, pieces;
    if (size == 0 || size > INPUT_MAX)
        return 0;
    struct tz_bytes in = tz_bytes_of(data + 1, size - 1);
    tz_buf_init(&whole, INPUT_MAX);
    tz_buf_init(&pieces, INPUT_MAX);
    int rc1 = read_all(in, in.n + 1, &whole);
    int rc2 = read_all(in, (size_t)data[0] % 32 + 1, &pieces);
    struct tz_bytes back = tz_buf_unread(&whole);
    FUZZ_CHECK(rc1 == rc2);
    FUZZ_CHECK(tz_bytes_eq(back, tz_buf_unread(&pieces)));
    FUZZ_CHECK(back.n <= in.n && (back.n == 0 || memcmp(back.p, in.p, back.n) == 0));
    tz_buf_deinit(&whole);
    tz_buf_deinit(&pieces);
    return 0;
}
