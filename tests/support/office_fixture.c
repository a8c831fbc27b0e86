/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. Everything asserts: a fixture that cannot do its part fails the test that asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "catalogue_dir.h"
#include "hash.h"
#include "office_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint32_t next_random(void *ctx)
{
    struct fx *f = ctx;
    return f->random += 0x9E3779B9U;
}

struct tz_office_options fx_options(struct fx *f, const struct tz_catalogue *cat)
{
    return (struct tz_office_options){.catalogue = cat,
                                      .clock = tz_clock_fake(&f->clock),
                                      .random = next_random,
                                      .random_ctx = f,
                                      .imports = f->imports};
}

static void check(int rc, const struct tz_err *err)
{
    if (rc)
        fail_msg("error %d: %s (%s)", rc, tz_err_info(rc)->symbol, err->trail[0] ? err->trail : err->args[0]);
}

int fx_setup(void **state)
{
    struct fx *f = calloc(1, sizeof *f);
    struct tz_err err = {0};
    assert_non_null(f);
    *state = f;
    tz_arena_init(&f->a, 64U << 20);
    tz_buf_init(&f->rows, 1U << 20);
    f->clock.wall.ms = INT64_C(1700000000000); /* 2023-11-15 at UTC+8 */
    check(tz_catalogue_load_dir(TZ_SOURCE_DIR "/common/catalogue", &f->cat, &err), &err);
    f->org = tz_catalogue_type(&f->cat, "organisation");
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(f->dir, sizeof f->dir, "%s/tz-office-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof f->path, "%s/office.db", f->dir);
    struct tz_identity id = {
        .device = FX_DEVICE, .incarnation = 1, .name = "desk", .role = "D_CLERK", .area = "120101"};
    id.user.b[15] = 1;
    struct tz_office_options opt = fx_options(f, &f->cat);
    check(tz_office_create(f->path, &opt, &id, &err), &err);
    check(tz_office_open(f->path, &opt, &f->o, &err), &err);
    const char *districts[] = {"120101"};
    fx_welcome(f, "D_CLERK", "120101", districts, 1, 1);
    assert_int_equal(fx_checkpoint(f, 1), 0);
    return 0;
}

int fx_teardown(void **state)
{
    struct fx *f = *state;
    static const char *const tails[] = {"", "-wal", "-shm"};
    char path[128];
    tz_office_close(f->o);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s%s", f->path, tails[i]);
        unlink(path);
    }
    rmdir(f->dir);
    tz_buf_deinit(&f->rows);
    tz_arena_deinit(&f->a);
    tz_catalogue_deinit(&f->cat);
    free(f);
    return 0;
}

void fx_reopen(struct fx *f, const struct tz_catalogue *cat)
{
    struct tz_err err = {0};
    struct tz_office_options opt = fx_options(f, cat ? cat : &f->cat);
    tz_office_close(f->o);
    f->o = NULL;
    check(tz_office_open(f->path, &opt, &f->o, &err), &err);
}

void fx_welcome(struct fx *f, const char *role, const char *area, const char *const *districts, size_t n,
                uint32_t incarnation)
{
    struct tz_err err = {0};
    struct tz_area areas[8] = {{"", ""}};
    for (size_t i = 0; i < n; i++)
        memcpy(areas[i + 1].district, districts[i], 7);
    struct tz_session_user user = {.code = "u1", .name = "一", .role = role, .active = true};
    user.id.b[15] = 1;
    struct tz_msg_welcome w = {.protocol = TZ_PROTOCOL_VERSION,
                               .software = "test",
                               .catalogue_version = f->cat.version,
                               .wall_ms = f->clock.wall.ms,
                               .epoch = 1,
                               .device = FX_DEVICE,
                               .incarnation = incarnation,
                               .device_name = "desk",
                               .role = role,
                               .area = area,
                               .areas = areas,
                               .nareas = n + 1,
                               .users = &user,
                               .nusers = 1,
                               .reads_secret = f->reads_secret,
                               .lost = f->lost,
                               .nlost = f->nlost,
                               .audit = f->audit,
                               .horizon = f->horizon,
                               .push_in_flight_max = 8,
                               .rows_in_flight_max = 4};
    check(tz_office_welcome(f->o, &w, &err), &err);
}

/* ---- values ---- */

struct tz_value fx_get(const struct tz_row *row, const char *field)
{
    const struct tz_field *f = tz_type_field(row->rec.type, field);
    assert_non_null(f);
    return row->rec.v[f->index];
}

void fx_set(struct tz_record *rec, bool *names, const char *field, struct tz_value v)
{
    const struct tz_field *f = tz_type_field(rec->type, field);
    assert_non_null(f);
    rec->v[f->index] = v;
    if (names)
        names[f->index] = true;
}

struct tz_value fx_id_value(struct fx *f, struct tz_id id)
{
    return tz_value_blob(tz_arena_dup(&f->a, id.b, sizeof id.b), sizeof id.b);
}

/* ---- the person ---- */

struct tz_save *fx_begin(struct fx *f, bool independent)
{
    struct tz_save *s = NULL;
    struct tz_err err = {0};
    struct tz_save_options opt = {.independent = independent};
    check(tz_save_begin(f->o, &opt, &s, &err), &err);
    return s;
}

uint64_t fx_commit(struct tz_save *s)
{
    uint64_t seq = 0;
    struct tz_err err = {0};
    check(tz_save_commit(s, &seq, &err), &err);
    return seq;
}

struct tz_id fx_new_org(struct fx *f, const char *name, uint64_t *seq)
{
    struct tz_id id;
    struct tz_record rec;
    struct tz_err err = {0};
    tz_record_init(&rec, f->org);
    fx_set(&rec, NULL, "name", tz_value_text(name));
    fx_set(&rec, NULL, "district_code", tz_value_text("120101"));
    struct tz_save *s = fx_begin(f, false);
    check(tz_save_create(s, &rec, &id, &err), &err);
    uint64_t n = fx_commit(s);
    if (seq)
        *seq = n;
    return id;
}

bool fx_read(struct fx *f, const struct tz_type *t, struct tz_id id, struct tz_row *row, struct tz_seen *seen)
{
    struct tz_err err = {0};
    int rc = tz_office_read(f->o, t, id, &f->a, row, seen, NULL, &err);
    assert_true(rc >= 0);
    return rc == 1;
}

uint64_t fx_edit(struct fx *f, struct tz_id id, const struct tz_seen *seen, const char *field, struct tz_value v)
{
    struct tz_row row;
    struct tz_seen now;
    struct tz_record rec;
    bool names[TZ_FIELDS_MAX] = {false};
    struct tz_err err = {0};
    if (!seen) {
        assert_true(fx_read(f, f->org, id, &row, &now));
        seen = &now;
    }
    tz_record_init(&rec, f->org);
    fx_set(&rec, names, field, v);
    struct tz_save *s = fx_begin(f, false);
    check(tz_save_set(s, id, seen, &rec, names, &err), &err);
    return fx_commit(s);
}

void fx_assert_text(struct fx *f, struct tz_id id, const char *field, const char *want)
{
    struct tz_row row;
    assert_true(fx_read(f, f->org, id, &row, NULL));
    struct tz_value v = fx_get(&row, field);
    if (!want) {
        assert_int_equal(v.kind, TZ_V_NULL);
        return;
    }
    assert_int_equal(v.kind, TZ_V_TEXT);
    assert_int_equal(v.n, strlen(want));
    assert_memory_equal(v.p, want, v.n);
}

static struct tz_bytes raw_of(struct fx *f, uint64_t seq)
{
    struct tz_stmt st = {0};
    assert_int_equal(tz_db_prepare(tz_office_db(f->o), &st, "SELECT raw FROM outbox WHERE seq = ?", NULL), 0);
    tz_stmt_bind_int(&st, 1, (int64_t)seq);
    assert_int_equal(tz_stmt_step(&st, NULL), 1);
    struct tz_bytes raw = tz_stmt_blob(&st, 0);
    raw.p = tz_arena_dup(&f->a, raw.p, raw.n);
    tz_stmt_finalize(&st);
    return raw;
}

struct tz_changeset fx_changeset(struct fx *f, uint64_t seq)
{
    struct tz_changeset cs;
    struct tz_err err = {0};
    check(tz_msg_read_changeset(raw_of(f, seq), &f->a, &cs, &err), &err);
    return cs;
}

/* ---- the server ---- */

struct tz_id fx_server_id(uint8_t n)
{
    struct tz_id id = {{0x01, 0x80}};
    id.b[6] = 0x70;
    id.b[8] = 0x80;
    id.b[11] = n;
    return id;
}

void fx_row_raw(struct fx *f, const struct tz_msg_row *row)
{
    assert_int_equal(tz_msg_put_rows_row(&f->rows, row), 0);
}

void fx_row(struct fx *f, struct tz_id id, tz_ver ver, enum tz_row_state state, const char *district, const char *name,
            const char *address)
{
    struct tz_record rec;
    struct tz_buf body;
    struct tz_msg_row row = {.type = f->org->id, .id = id, .ver = ver, .state = state};
    tz_record_init(&rec, f->org);
    fx_set(&rec, NULL, "name", tz_value_text(name));
    fx_set(&rec, NULL, "address", tz_value_text(address));
    fx_set(&rec, NULL, "district_code", tz_value_text(district));
    fx_set(&rec, NULL, "status", tz_value_text("unverified"));
    tz_buf_init(&body, TZ_ROW_BYTES_MAX);
    if (state != TZ_ROW_LEFT) {
        assert_int_equal(tz_record_encode(&rec, &body), 0);
    }
    memcpy(row.area.district, district, 7);
    row.body = tz_buf_unread(&body);
    fx_row_raw(f, &row);
    tz_buf_deinit(&body);
}

int fx_checkpoint(struct fx *f, tz_ver ver)
{
    struct tz_err err = {0};
    struct tz_msg_checkpoint c = {.ver = ver, .audit_n = ver};
    struct tz_bytes message = tz_buf_unread(&f->rows);
    int rc = tz_office_checkpoint(f->o, &message, message.n ? 1 : 0, &c, &err);
    tz_buf_clear(&f->rows);
    return rc;
}

struct tz_signed_result fx_signed(struct fx *f, uint64_t seq, enum tz_outcome outcome, tz_ver ver, int code,
                                  const enum tz_outcome *ops, size_t nops)
{
    static const uint8_t mac[TZ_HASH_BYTES] = {1};
    struct tz_changeset cs = fx_changeset(f, seq);
    struct tz_op_result *per_op = tz_arena_calloc(&f->a, nops + 1, sizeof *per_op);
    for (size_t i = 0; i < nops; i++)
        per_op[i] = (struct tz_op_result){.outcome = ops[i], .code = ops[i] == TZ_OUT_REFUSED ? TZ_E_VALUE : 0};
    struct tz_result r = {.incarnation = cs.incarnation,
                          .seq = seq,
                          .outcome = outcome,
                          .ver = ver,
                          .code = code,
                          .ops = per_op,
                          .nops = nops};
    assert_int_equal(tz_sha256(raw_of(f, seq), r.hash), 0);
    struct tz_buf b;
    tz_buf_init(&b, 1U << 20);
    assert_int_equal(tz_msg_put_result(&b, &r), 0);
    struct tz_signed_result out = {.result = {tz_arena_dup(&f->a, b.p, b.len), b.len}, .mac = {mac, sizeof mac}};
    tz_buf_deinit(&b);
    return out;
}

int fx_result(struct fx *f, uint64_t seq, enum tz_outcome outcome, tz_ver ver, int code)
{
    struct tz_err err = {0};
    struct tz_signed_result r = fx_signed(f, seq, outcome, ver, code, NULL, 0);
    return tz_office_results(f->o, &r, 1, NULL, &err);
}

int fx_result_ops(struct fx *f, uint64_t seq, enum tz_outcome outcome, tz_ver ver, const enum tz_outcome *ops,
                  size_t nops)
{
    struct tz_err err = {0};
    struct tz_signed_result r = fx_signed(f, seq, outcome, ver, 0, ops, nops);
    return tz_office_results(f->o, &r, 1, NULL, &err);
}
