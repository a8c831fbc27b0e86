/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Laws of the CSV reader for any bytes: what comes out does not depend on how the text was cut, every cap holds, and
 * rows written back with quotes read as the same rows.
 */
#include <string.h>

#include "csvread.h"
#include "fuzz.h"

enum { INPUT_MAX = 64 * 1024, OUT_MAX = 8 * INPUT_MAX };

static const struct tz_csv_limits limits = {8, 64, 200};

/* Each field as a quoted cell. */
static int row_cb(void *ctx, size_t line, const struct tz_bytes *fields, size_t n)
{
    struct tz_buf *out = ctx;
    size_t row_bytes = 0;
    FUZZ_CHECK(line > 0 && n > 0 && n <= limits.fields_max);
    for (size_t i = 0; i < n; i++) {
        row_bytes += fields[i].n + 1;
        FUZZ_CHECK(fields[i].n <= limits.field_bytes_max && fields[i].p[fields[i].n] == 0);
        int rc = tz_buf_puts(out, i > 0 ? ",\"" : "\"");
        for (size_t k = 0; k < fields[i].n && rc == 0; k++) {
            if (fields[i].p[k] == '"')
                rc = tz_buf_putc(out, '"');
            if (rc == 0)
                rc = tz_buf_putc(out, fields[i].p[k]);
        }
        FUZZ_CHECK(rc == 0 && tz_buf_putc(out, '"') == 0);
    }
    FUZZ_CHECK(row_bytes <= limits.row_bytes_max);
    FUZZ_CHECK(tz_buf_putc(out, '\n') == 0);
    return 0;
}

static int read_in_pieces(struct tz_bytes in, size_t piece, struct tz_buf *out)
{
    struct tz_csv_reader *r = tz_csv_reader_new(&limits, row_cb, out);
    int rc = 0;
    FUZZ_CHECK(r != NULL);
    for (size_t i = 0; i < in.n && rc == 0; i += piece)
        rc = tz_csv_reader_feed(r, tz_bytes_of(in.p + i, in.n - i < piece ? in.n - i : piece));
    if (rc == 0)
        rc = tz_csv_reader_end(r);
    FUZZ_CHECK(rc == 0 || rc == TZ_E_FORMAT || rc == TZ_E_LIMIT);
    FUZZ_CHECK(rc == 0 || tz_csv_reader_pos(r).line > 0);
    tz_csv_reader_free(r);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tz_buf whole, pieces, again;
    if (size == 0 || size > INPUT_MAX)
        return 0;
    struct tz_bytes in = tz_bytes_of(data + 1, size - 1);
    tz_buf_init(&whole, OUT_MAX);
    tz_buf_init(&pieces, OUT_MAX);
    tz_buf_init(&again, OUT_MAX);
    int rc1 = tz_csv_read(in, &limits, row_cb, &whole, NULL);
    int rc2 = read_in_pieces(in, (size_t)data[0] % 32 + 1, &pieces);
    FUZZ_CHECK((rc1 == 0) == (rc2 == 0)); /* which of two errors is met first may depend on the cut */
    FUZZ_CHECK(tz_bytes_eq(tz_buf_unread(&whole), tz_buf_unread(&pieces)));
    FUZZ_CHECK(tz_csv_read(tz_buf_unread(&whole), &limits, row_cb, &again, NULL) == 0);
    FUZZ_CHECK(tz_bytes_eq(tz_buf_unread(&whole), tz_buf_unread(&again)));
    tz_buf_deinit(&whole);
    tz_buf_deinit(&pieces);
    tz_buf_deinit(&again);
    return 0;
}
