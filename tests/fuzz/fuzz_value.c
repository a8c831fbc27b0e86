/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Laws of values: the first byte picks a field, the rest is what was typed, and also what a peer sent. What parse
 * gives, check accepts; parsing it again gives the same; what check accepts of a peer's bytes, parse leaves alone; its
 * JSON form is JSON.
 */
#include <stdlib.h>
#include <string.h>

#include "../support/catalogue_fixture.h"
#include "fuzz.h"

enum { INPUT_MAX = 70 * 1024, ARENA_MAX = 8 * 1024 * 1024, TEXT_MAX = 512 * 1024 };

static struct tz_catalogue cat;

static bool round_trips(enum tz_ftype t)
{
    return t != TZ_FT_ENUM && t != TZ_FT_SET && t != TZ_FT_BOOL &&
           t != TZ_FT_REFS; /* printed as labels, words, lists */
}

static void check_value(const struct tz_field *f, struct tz_value v, struct tz_arena *a)
{
    struct tz_buf out;
    struct tz_value again;
    FUZZ_CHECK(tz_value_check(f, v, true, NULL) == 0);
    tz_buf_init(&out, TEXT_MAX);
    FUZZ_CHECK(tz_value_print(f, v, TZ_LANG_ZH, !round_trips(f->ftype), &out) == 0 && tz_buf_putc(&out, 0) == 0);
    if (round_trips(f->ftype)) {
        FUZZ_CHECK(tz_value_parse(f, (const char *)out.p, a, &again, NULL) == 0);
        FUZZ_CHECK(tz_value_eq(v, again));
    }
    tz_buf_clear(&out);
    FUZZ_CHECK(tz_value_json(f, v, &out) == 0 && out.len > 0);
    tz_buf_deinit(&out);
}

static void check_peer(const struct tz_field *f, struct tz_bytes in, struct tz_arena *a)
{
    struct tz_value v = tz_value_textn(in.p, in.n);
    if (tz_ftype_kind(f->ftype) == TZ_V_BLOB)
        v = tz_value_blob(in.p, in.n);
    if (tz_value_check(f, v, true, NULL) != 0 || v.kind != TZ_V_TEXT)
        return;
    struct tz_value typed;
    const char *text = tz_arena_dup(a, in.p, in.n);
    FUZZ_CHECK(text != NULL && tz_value_parse(f, text, a, &typed, NULL) == 0 && tz_value_eq(v, typed));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tz_arena arena;
    struct tz_value v;
    if (size == 0 || size > INPUT_MAX)
        return 0;
    if (cat.ntypes == 0)
        FUZZ_CHECK(catalogue_fixture_load(-1, tz_bytes_of(NULL, 0), &cat, NULL) == 0);
    const struct tz_type *t = tz_catalogue_type(&cat, "thing");
    const struct tz_field *f = &t->fields[data[0] % t->nfields];
    struct tz_err err = {0};
    tz_arena_init(&arena, ARENA_MAX);
    char *text = tz_arena_dup(&arena, data + 1, size - 1);
    FUZZ_CHECK(text != NULL);
    int rc = tz_value_parse(f, text, &arena, &v, &err);
    FUZZ_CHECK(rc == 0 || rc == TZ_E_VALUE || rc == TZ_E_TOO_LONG);
    FUZZ_CHECK(rc == err.code);
    if (rc == 0)
        check_value(f, v, &arena);
    check_peer(f, tz_bytes_of(data + 1, size - 1), &arena);
    tz_arena_deinit(&arena);
    return 0;
}
