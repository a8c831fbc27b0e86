/* SPDX-License-Identifier: Apache-2.0 */
/* The central store of a test and what stands in it; what is saved there is store_fixture_save.c's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "catalogue_dir.h"
#include "commit_int.h"
#include "store_fixture_int.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sx *sx_base;

static uint64_t step(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15)); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static void store_random(void *ctx, uint8_t *p, size_t n)
{
    struct sx *f = ctx;
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)step(&f->random);
}

static uint32_t id_random(void *ctx)
{
    struct sx_dev *d = ctx;
    return (uint32_t)step(&d->f->random);
}

void sx_check(struct sx *f, int rc)
{
    char text[512];
    if (rc)
        fail_msg("error %d: %s (%s)", rc, tz_err_text(&f->err, TZ_LANG_EN, text, sizeof text), f->err.trail);
}

struct tz_store_options sx_options(struct sx *f)
{
    return (struct tz_store_options){.catalogue = &sx_base->cat,
                                     .db = {.vfs = TZ_MEMVFS_NAME, .exclusive = true},
                                     .clock = tz_clock_fake(&f->clock),
                                     .random = store_random,
                                     .random_ctx = f,
                                     .commits_kept = f->commits_kept};
}

void sx_group(struct sx *f)
{
    sx_check(f, tz_store_group_begin(f->s, &f->err));
}

void sx_commit(struct sx *f)
{
    sx_check(f, tz_store_group_commit(f->s, &f->err));
}

static int fake_sign(void *ctx, uint32_t device, struct tz_bytes csr, struct tz_buf *certificate,
                     uint8_t fingerprint[TZ_FINGERPRINT_BYTES], struct tz_err *err)
{
    (void)ctx;
    (void)device;
    (void)err;
    assert_int_equal(tz_sha256(csr, fingerprint), 0);
    return tz_buf_put(certificate, csr.p, csr.n);
}

void sx_join(struct sx *f, struct sx_dev *dev, const char *name, const char *role, const char *area)
{
    struct tz_invite_spec spec = {.role = role, .area = area, .name = name};
    uint8_t secret[16];
    uint8_t key[32];
    struct tz_enrolment e;
    sx_group(f);
    sx_check(f, tz_store_invite_add(f->s, &spec, secret, &f->err));
    sx_check(f, tz_sha256(tz_bytes_str(name), key));
    sx_check(f, tz_store_enrol(f->s, tz_bytes_of(secret, sizeof secret), tz_bytes_str(name), key, fake_sign, NULL, &e,
                               &f->err));
    sx_commit(f);
    *dev = (struct sx_dev){.f = f, .d = e.device, .user = e.user};
    dev->ids = (struct tz_id_maker){.device = e.device.number, .random = id_random, .random_ctx = dev};
    tz_buf_deinit(&e.certificate);
    sx_see(dev);
}

/* ---- life ---- */

static void open_store(struct sx *f)
{
    struct tz_store_options o = sx_options(f);
    sx_check(f, tz_store_open(f->path, &o, &f->s, &f->err));
}

void sx_each_dev(struct sx *f, struct sx_dev *out[7])
{
    struct sx_dev *all[7] = {&f->fi, &f->fi2, &f->d1, &f->d1b, &f->d2, &f->s1, &f->c1};
    memcpy(out, all, sizeof all);
}

int sx_group_setup(void **state)
{
    (void)state;
    sx_base = calloc(1, sizeof *sx_base);
    assert_non_null(sx_base);
    tz_memvfs_register();
    tz_memvfs_seed(1);
    sx_base->clock.wall.ms = INT64_C(1700000000000);
    sx_base->commits_kept = 1;
    sx_base->disk = tz_memdisk_new();
    tz_memdisk_path(sx_base->disk, "central.db", sx_base->path, sizeof sx_base->path);
    sx_check(sx_base, tz_catalogue_load_dir(TZ_SOURCE_DIR "/common/catalogue", &sx_base->cat, &sx_base->err));
    struct tz_store_options o = sx_options(sx_base);
    sx_check(sx_base, tz_store_create(sx_base->path, &o, &sx_base->err));
    open_store(sx_base);
    sx_join(sx_base, &sx_base->fi, "fi", "F_INSP", "120101");
    sx_join(sx_base, &sx_base->fi2, "fi2", "F_INSP", "120101");
    sx_join(sx_base, &sx_base->d1, "d1", "D_CLERK", "120101");
    sx_join(sx_base, &sx_base->d1b, "d1b", "D_CLERK", "120101");
    sx_join(sx_base, &sx_base->d2, "d2", "D_CLERK", "120102");
    sx_join(sx_base, &sx_base->s1, "s1", "S_CLERK", "120101001");
    sx_join(sx_base, &sx_base->c1, "c1", "C_CLERK", "120000");
    tz_store_close(sx_base->s);
    sx_base->s = NULL;
    return 0;
}

int sx_group_teardown(void **state)
{
    (void)state;
    tz_memdisk_free(sx_base->disk);
    tz_catalogue_deinit(&sx_base->cat);
    free(sx_base);
    sx_base = NULL;
    return 0;
}

struct sx *sx_clone(const struct sx *from)
{
    struct sx *f = calloc(1, sizeof *f);
    struct sx_dev *devs[7];
    assert_non_null(f);
    assert_null(from->s);
    *f = *from;
    f->disk = tz_memdisk_clone(from->disk);
    tz_memdisk_path(f->disk, "central.db", f->path, sizeof f->path);
    tz_arena_init(&f->a, 512U << 20);
    sx_each_dev(f, devs);
    open_store(f);
    for (size_t i = 0; i < 7; i++) {
        devs[i]->f = f;
        devs[i]->ids.random_ctx = devs[i];
        sx_see(devs[i]);
    }
    return f;
}

void sx_free(struct sx *f)
{
    tz_store_close(f->s);
    tz_memdisk_free(f->disk);
    tz_arena_deinit(&f->a);
    free(f);
}

int sx_setup(void **state)
{
    *state = sx_clone(sx_base);
    return 0;
}

int sx_teardown(void **state)
{
    sx_free(*state);
    return 0;
}

void sx_close(struct sx *f)
{
    tz_store_close(f->s);
    f->s = NULL;
}

void sx_reopen(struct sx *f)
{
    tz_store_close(f->s);
    open_store(f);
}

void sx_see(struct sx_dev *dev)
{
    dev->seen = tz_store_head(dev->f->s);
    dev->seen_seq = dev->seq;
}

/* ---- what stands ---- */

const struct tz_row *sx_row(struct sx *f, const char *type, struct tz_id id)
{
    struct tz_row *row = tz_arena_alloc(&f->a, sizeof *row);
    int rc = tz_replica_get(f->s->rep, sx_type(f, type), id, &f->a, row, &f->err);
    sx_check(f, rc < 0 ? rc : 0);
    return rc ? row : NULL;
}

static const char *text_of(struct sx *f, const struct tz_row *row, const char *field)
{
    const struct tz_field *fd = tz_type_field(row->rec.type, field);
    assert_non_null(fd);
    struct tz_value v = row->rec.v[fd->index];
    char number[24];
    if (v.kind == TZ_V_NULL)
        return "";
    if (v.kind == TZ_V_INT) {
        (void)snprintf(number, sizeof number, "%lld", (long long)v.i);
        return tz_arena_strdup(&f->a, number);
    }
    if (v.kind == TZ_V_BLOB && v.n == TZ_ID_BYTES) {
        struct tz_id id;
        memcpy(id.b, v.p, sizeof id.b);
        return sx_hex(f, id);
    }
    return tz_arena_dup(&f->a, v.p, v.n);
}

const char *sx_text(struct sx *f, const char *type, struct tz_id id, const char *field)
{
    const struct tz_row *row = sx_row(f, type, id);
    assert_non_null(row);
    return text_of(f, row, field);
}

bool sx_deleted(struct sx *f, const char *type, struct tz_id id)
{
    const struct tz_row *row = sx_row(f, type, id);
    assert_non_null(row);
    return row->deleted;
}

struct case_search {
    const char *subject;
    int64_t generation;
    struct tz_id id;
    bool found;
};

static int on_case(void *ctx, const struct tz_row *row)
{
    struct case_search *s = ctx;
    const struct tz_type *t = row->rec.type;
    if (row->rec.v[tz_type_field(t, "generation")->index].i != s->generation ||
        !tz_value_is_text(row->rec.v[tz_type_field(t, "subject")->index], s->subject))
        return 1;
    s->id = row->id;
    s->found = true;
    return 0;
}

const struct tz_row *sx_case(struct sx *f, struct tz_id target, const char *subject, int64_t generation)
{
    const struct tz_type *t = sx_type(f, "case");
    struct case_search s = {.subject = subject, .generation = generation};
    sx_check(f, tz_replica_find(f->s->rep, tz_type_field(t, "target_id"), t, tz_value_blob(target.b, TZ_ID_BYTES),
                                on_case, &s, &f->err));
    return s.found ? sx_row(f, "case", s.id) : NULL;
}

const char *sx_case_text(struct sx *f, const struct tz_row *c, const char *field)
{
    assert_non_null(c);
    return text_of(f, c, field);
}

json_t *sx_candidates(struct sx *f, const struct tz_row *c, const char *field)
{
    const char *text = sx_case_text(f, c, field);
    return json_loads(text[0] ? text : "[]", 0, NULL);
}

size_t sx_ncandidates(struct sx *f, const struct tz_row *c)
{
    json_t *list = sx_candidates(f, c, "candidates");
    size_t n = json_array_size(list);
    json_decref(list);
    return n;
}

const char *sx_candidate(struct sx *f, const struct tz_row *c, size_t i, const char *field)
{
    json_t *list = sx_candidates(f, c, "candidates");
    const json_t *v = json_object_get(json_object_get(json_array_get(list, i), "values"), field);
    char number[24];
    const char *out = "(none)";
    if (json_is_string(v)) {
        out = tz_arena_strdup(&f->a, json_string_value(v));
    } else if (json_is_integer(v)) {
        (void)snprintf(number, sizeof number, "%lld", (long long)json_integer_value(v));
        out = tz_arena_strdup(&f->a, number);
    } else if (json_is_null(v)) {
        out = "null";
    }
    json_decref(list);
    return out;
}

const char *sx_hex(struct sx *f, struct tz_id id)
{
    char hex[TZ_ID_HEX + 1];
    tz_id_print(id, hex);
    return tz_arena_strdup(&f->a, hex);
}

const char *sx_ref(struct sx *f, const char *field, struct tz_id id)
{
    char arg[128];
    (void)snprintf(arg, sizeof arg, "%s=%s", field, sx_hex(f, id));
    return tz_arena_strdup(&f->a, arg);
}

int64_t sx_query(struct sx *f, const char *sql)
{
    int64_t n = 0;
    sx_check(f, tz_db_query_int(tz_store_db(f->s), sql, &n, &f->err));
    return n;
}

void sx_exec(struct sx *f, const char *sql)
{
    sx_check(f, tz_db_exec(tz_store_db(f->s), sql, &f->err));
}

/** Every row of one table into the digest. */
static void digest_table(struct sx *f, struct tz_sha256 *h, const char *table)
{
    char sql[160];
    sqlite3_stmt *st = NULL;
    (void)snprintf(sql, sizeof sql, "SELECT * FROM \"%s\"", table);
    assert_int_equal(sqlite3_prepare_v2(tz_db_handle(tz_store_db(f->s)), sql, -1, &st, NULL), SQLITE_OK);
    while (sqlite3_step(st) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count(st); i++) {
            const void *p = sqlite3_column_blob(st, i);
            size_t n = (size_t)sqlite3_column_bytes(st, i);
            assert_int_equal(tz_sha256_update(h, tz_bytes_of(&n, sizeof n)), 0);
            if (n)
                assert_int_equal(tz_sha256_update(h, tz_bytes_of(p, n)), 0);
        }
    sqlite3_finalize(st);
}

static void digest(struct sx *f, const char *const *own, size_t n, uint8_t out[32])
{
    struct tz_sha256 h = {0};
    assert_int_equal(tz_sha256_init(&h), 0);
    for (size_t i = 0; i < sx_base->cat.ntypes; i++)
        digest_table(f, &h, sx_base->cat.types[i].name);
    for (size_t i = 0; i < n; i++)
        digest_table(f, &h, own[i]);
    assert_int_equal(tz_sha256_final(&h, out), 0);
    tz_sha256_deinit(&h);
}

static const char *const own_tables[] = {"change",     "left_area",  "claim",      "case_head",
                                         "_tombstone", "commit_log", "commit_pack"};

void sx_digest(struct sx *f, uint8_t out[32])
{
    digest(f, own_tables, 7, out);
}

void sx_digest_records(struct sx *f, uint8_t out[32])
{
    digest(f, own_tables, 5, out);
}

/** Packed versions are rows again. */
static void unpack_commits(struct sx *f)
{
    struct tz_commit_entry e;
    tz_ver newest = (tz_ver)sx_query(f, "SELECT coalesce(max(last),0) FROM commit_pack");
    for (tz_ver at = 0; at < newest; at = e.c.ver) {
        char sql[512];
        assert_int_equal(tz_commit_above(f->s, at, &e, &f->err), 1);
        (void)snprintf(
            sql, sizeof sql,
            "INSERT INTO commit_log(ver,device,incarnation,seq,user,claimed,offset_ms,effective,eff_max,"
            "received_ms,rules,catalogue,hash,old_ver) VALUES(%llu,%u,%u,%llu,x'%s',%llu,%lld,%llu,%llu,%lld,"
            "%u,%u,zeroblob(32),%llu)",
            (unsigned long long)e.c.ver, e.c.device, e.c.incarnation, (unsigned long long)e.c.seq, sx_hex(f, e.c.user),
            (unsigned long long)e.claimed, (long long)e.offset_ms, (unsigned long long)e.c.effective,
            (unsigned long long)e.eff_max, (long long)e.received_ms, e.rules, e.catalogue,
            (unsigned long long)e.c.old_ver);
        sx_exec(f, sql);
    }
}

/** One line a step, oldest last where that matters. */
static const char undo_from_step_5[] =
    "ALTER TABLE device DROP COLUMN served;"
    "DROP TABLE backup_folder;"
    "DROP TABLE commit_pack; DROP TABLE commit_author;"
    "DROP TABLE history;"
    "ALTER TABLE device DROP COLUMN acked_ms;"
    "DROP TABLE numbering;"
    "DROP INDEX backlog_recover; ALTER TABLE backlog DROP COLUMN was; ALTER TABLE backlog DROP COLUMN recover;"
    "ALTER TABLE commit_log DROP COLUMN old_ver;"
    "DROP TABLE grant_past; DROP TABLE area_past; DROP TABLE late_new;"
    "ALTER TABLE device DROP COLUMN grant_since; ALTER TABLE device DROP COLUMN until_ms;"
    "ALTER TABLE device DROP COLUMN unsent; ALTER TABLE device DROP COLUMN wiped_ms;"
    "ALTER TABLE user_grant DROP COLUMN grant_since;"
    "DROP TABLE installation; DROP TABLE former;"
    "DROP TABLE reoffered; DROP TABLE lost_offer;"
    "DROP INDEX alias_survivor; DROP INDEX merged_survivor; DROP INDEX merge_link_of;"
    "ALTER TABLE merged DROP COLUMN turn; ALTER TABLE merged DROP COLUMN after;"
    "ALTER TABLE merged DROP COLUMN before; ALTER TABLE merge_link DROP COLUMN before;";

void sx_undo_from_step_5(struct sx *f)
{
    char sql[256];
    unpack_commits(f);
    for (size_t i = 0; i < sx_base->cat.ntypes; i++) {
        const char *name = sx_base->cat.types[i].name;
        (void)snprintf(sql, sizeof sql,
                       "ALTER TABLE \"%s\" RENAME COLUMN _age TO _born; UPDATE \"%s\" SET _born=_ver-_born", name,
                       name);
        sx_exec(f, sql);
    }
    sx_exec(f, undo_from_step_5);
}

void sx_fatten(struct sx *f, struct tz_id org, size_t n)
{
    static const uint8_t zeros[512 * 1024];
    enum { HEAD_BYTES = 6 };
    struct tz_buf raw;
    struct tz_buf sql;
    assert_true(n < sizeof zeros);
    tz_buf_init(&raw, sizeof zeros);
    tz_buf_init(&sql, 4 * sizeof zeros);
    sx_check(f, tz_wire_put_bytes(&raw, 15000, tz_bytes_of(zeros, n - HEAD_BYTES)));
    sx_check(f, tz_buf_puts(&sql, "UPDATE organisation SET _extra=x'"));
    for (size_t i = 0; i < raw.len; i++)
        sx_check(f, tz_buf_printf(&sql, "%02x", raw.p[i]));
    sx_check(f, tz_buf_printf(&sql, "' WHERE _id=x'%s'", sx_hex(f, org)));
    sx_check(f, tz_buf_putc(&sql, 0));
    sx_exec(f, (const char *)sql.p);
    tz_buf_deinit(&raw);
    tz_buf_deinit(&sql);
}

void sx_expect(const struct tz_result *r, enum tz_outcome outcome, int code)
{
    if (r->outcome != outcome || r->code != code)
        fail_msg("seq %llu: outcome %d code %s, expected %d %s", (unsigned long long)r->seq, (int)r->outcome,
                 r->code ? tz_err_info(r->code)->symbol : "-", (int)outcome, code ? tz_err_info(code)->symbol : "-");
}
