/* SPDX-License-Identifier: Apache-2.0 */
/* Two offices against the real store, without wire or session: what one saves the other sees, and all digests agree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "catalogue_dir.h"
#include "office.h"
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct world {
    struct tz_catalogue cat;
    struct tz_clock_fake clock;
    uint32_t random;
    char dir[64];
    struct tz_store *store;
    struct tz_office *office[2];
    struct tz_arena a;
};

static uint32_t next_random(void *ctx)
{
    struct world *w = ctx;
    return w->random += 0x9E3779B9U;
}

static void check(int rc, const struct tz_err *err)
{
    if (rc)
        fail_msg("error %d: %s %s %s", rc, tz_err_info(rc)->symbol, err->trail, err->args[0]);
}

static int sign_nothing(void *ctx, uint32_t device, struct tz_bytes csr, struct tz_buf *certificate,
                        uint8_t fingerprint[TZ_FINGERPRINT_BYTES], struct tz_err *err)
{
    (void)ctx;
    (void)csr;
    (void)err;
    memset(fingerprint, (int)device, TZ_FINGERPRINT_BYTES);
    return tz_buf_puts(certificate, "certificate");
}

static void path_of(const struct world *w, const char *name, char out[128])
{
    (void)snprintf(out, 128, "%s/%s", w->dir, name);
}

static void enrol(struct world *w, int i, const char *name)
{
    struct tz_err err = {0};
    uint8_t secret[16];
    uint8_t key[32] = {(uint8_t)(i + 1)};
    char path[128];
    struct tz_enrolment e = {0};
    struct tz_invite_spec spec = {"D_CLERK", "120101", name};
    check(tz_store_group_begin(w->store, &err), &err);
    check(tz_store_invite_add(w->store, &spec, secret, &err), &err);
    check(tz_store_enrol(w->store, tz_bytes_of(secret, 16), tz_bytes_str("csr"), key, sign_nothing, NULL, &e, &err),
          &err);
    check(tz_store_group_commit(w->store, &err), &err);
    struct tz_identity id = {.device = e.device.number,
                             .incarnation = e.device.incarnation,
                             .role = "D_CLERK",
                             .area = "120101",
                             .user = e.user};
    (void)snprintf(id.name, sizeof id.name, "%s", name);
    struct tz_office_options o = {
        .catalogue = &w->cat, .clock = tz_clock_fake(&w->clock), .random = next_random, .random_ctx = w};
    path_of(w, name, path);
    check(tz_office_create(path, &o, &id, &err), &err);
    check(tz_office_open(path, &o, &w->office[i], &err), &err);
    tz_buf_deinit(&e.certificate);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct tz_err err = {0};
    char path[128];
    assert_non_null(w);
    *state = w;
    tz_arena_init(&w->a, 256U << 20);
    w->clock.wall.ms = INT64_C(1700000000000);
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(w->dir, sizeof w->dir, "%s/tz-world-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    check(tz_catalogue_load_dir(TZ_SOURCE_DIR "/common/catalogue", &w->cat, &err), &err);
    struct tz_store_options o = {.catalogue = &w->cat, .clock = tz_clock_fake(&w->clock)};
    path_of(w, "server", path);
    check(tz_store_create(path, &o, &err), &err);
    check(tz_store_open(path, &o, &w->store, &err), &err);
    enrol(w, 0, "a");
    enrol(w, 1, "b");
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {"server", "a", "b"};
    static const char *const tails[] = {"", "-wal", "-shm"};
    char path[160];
    for (int i = 0; i < 2; i++)
        tz_office_close(w->office[i]);
    tz_store_close(w->store);
    for (size_t i = 0; i < 9; i++) {
        (void)snprintf(path, sizeof path, "%s/%s%s", w->dir, names[i / 3], tails[i % 3]);
        unlink(path);
    }
    rmdir(w->dir);
    tz_arena_deinit(&w->a);
    tz_catalogue_deinit(&w->cat);
    free(w);
    return 0;
}

/* ---- one sync, without a wire ---- */

static void grant_of(struct world *w, int i, struct tz_device *d, struct tz_grant *g)
{
    struct tz_err err = {0};
    assert_int_equal(tz_store_device_by_number(w->store, tz_office_identity(w->office[i])->device, d, &err), 1);
    check(tz_store_grant_of(w->store, d, w->clock.wall.ms, g, &err), &err);
}

static void push(struct world *w, int i)
{
    struct tz_err err = {0};
    struct tz_bytes *raw;
    uint64_t *seqs;
    size_t n;
    check(tz_office_outbox(w->office[i], 0, UINT64_MAX, 1 << 18, &w->a, &raw, &seqs, &n, &err), &err);
    for (size_t k = 0; k < n; k++) {
        struct tz_apply_ctx ctx = {.device = tz_office_identity(w->office[i])->device, .received = w->clock.wall};
        struct tz_apply_out out;
        check(tz_store_group_begin(w->store, &err), &err);
        check(tz_store_apply(w->store, &ctx, raw[k], &w->a, &out, &err), &err);
        check(tz_store_group_commit(w->store, &err), &err);
        check(tz_office_results(w->office[i], out.results, out.n, NULL, &err), &err);
    }
}

struct messages {
    struct tz_bytes m[64];
    size_t n;
    struct tz_arena *a;
};

static int keep(void *ctx, struct tz_bytes message)
{
    struct messages *k = ctx;
    assert_true(k->n < 64);
    k->m[k->n++] = (struct tz_bytes){tz_arena_dup(k->a, message.p, message.n), message.n};
    return 0;
}

static void pull(struct world *w, int i)
{
    struct tz_err err = {0};
    struct tz_device d;
    struct tz_grant g;
    struct tz_session_user *users;
    struct tz_cursor *cursors;
    struct messages k = {.a = &w->a};
    struct tz_msg_checkpoint head;
    size_t n;
    bool done = false;
    grant_of(w, i, &d, &g);
    struct tz_msg_welcome wel = {.protocol = 1,
                                 .software = "",
                                 .catalogue_version = w->cat.version,
                                 .wall_ms = w->clock.wall.ms,
                                 .device = d.number,
                                 .incarnation = d.incarnation,
                                 .device_name = d.name,
                                 .role = d.role,
                                 .area = d.area,
                                 .areas = g.areas,
                                 .nareas = g.nareas,
                                 .reads_secret = g.reads_secret,
                                 .judged_seq = d.last_seq};
    check(tz_store_users_of(w->store, &d, &w->a, &users, &wel.nusers, &err), &err);
    wel.users = users;
    check(tz_office_welcome(w->office[i], &wel, &err), &err);
    check(tz_office_cursors(w->office[i], &w->a, &cursors, &n, &err), &err);
    while (!done)
        check(tz_store_changes(w->store, &g, cursors, n, 4, keep, &k, &done, &head, &err), &err);
    check(tz_office_checkpoint(w->office[i], k.m, k.n, &head, &err), &err);
}

static void sync_both(struct world *w)
{
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 2; i++) {
            push(w, i);
            pull(w, i);
        }
}

static void assert_same_everywhere(struct world *w)
{
    struct tz_err err = {0};
    for (int i = 0; i < 2; i++) {
        struct tz_device d;
        struct tz_grant g;
        struct tz_msg_verify ask = {0};
        struct tz_msg_verified theirs;
        struct tz_msg_verified mine;
        grant_of(w, i, &d, &g);
        check(tz_store_verify(w->store, &g, &ask, &theirs, &err), &err);
        check(tz_office_digest(w->office[i], &mine, &err), &err);
        assert_int_equal(mine.ver, theirs.ver);
        assert_int_equal(mine.rows, theirs.rows);
        assert_memory_equal(mine.digest, theirs.digest, sizeof mine.digest);
    }
}

/* ---- what people do ---- */

static struct tz_id create_org(struct world *w, int i, const char *name)
{
    const struct tz_type *t = tz_catalogue_type(&w->cat, "organisation");
    struct tz_err err = {0};
    struct tz_record rec;
    struct tz_save *s;
    struct tz_id id;
    uint64_t seq;
    tz_record_init(&rec, t);
    rec.v[tz_type_field(t, "name")->index] = tz_value_text(name);
    rec.v[tz_type_field(t, "district_code")->index] = tz_value_text("120101");
    check(tz_save_begin(w->office[i], NULL, &s, &err), &err);
    check(tz_save_create(s, &rec, &id, &err), &err);
    check(tz_save_commit(s, &seq, &err), &err);
    return id;
}

static void edit_name(struct world *w, int i, struct tz_id id, const char *name)
{
    const struct tz_type *t = tz_catalogue_type(&w->cat, "organisation");
    struct tz_err err = {0};
    struct tz_record rec;
    struct tz_row row;
    struct tz_seen seen;
    struct tz_save *s;
    bool names[TZ_FIELDS_MAX] = {false};
    uint64_t seq;
    assert_int_equal(tz_office_read(w->office[i], t, id, &w->a, &row, &seen, NULL, &err), 1);
    tz_record_init(&rec, t);
    rec.v[tz_type_field(t, "name")->index] = tz_value_text(name);
    names[tz_type_field(t, "name")->index] = true;
    check(tz_save_begin(w->office[i], NULL, &s, &err), &err);
    check(tz_save_set(s, id, &seen, &rec, names, &err), &err);
    check(tz_save_commit(s, &seq, &err), &err);
}

static void assert_name(struct world *w, int i, struct tz_id id, const char *want)
{
    const struct tz_type *t = tz_catalogue_type(&w->cat, "organisation");
    struct tz_row row;
    assert_int_equal(tz_office_read(w->office[i], t, id, &w->a, &row, NULL, NULL, NULL), 1);
    assert_true(tz_value_is_text(row.rec.v[tz_type_field(t, "name")->index], want));
}

static int take_id(void *ctx, const struct tz_row *row)
{
    *(struct tz_id *)ctx = row->id;
    return 0;
}

static void what_one_office_saves_the_other_sees(void **state)
{
    struct world *w = *state;
    struct tz_id id = create_org(w, 0, "甲");
    sync_both(w);
    assert_name(w, 1, id, "甲");
    assert_same_everywhere(w);
    edit_name(w, 1, id, "乙");
    sync_both(w);
    assert_name(w, 0, id, "乙");
    assert_same_everywhere(w);
    struct tz_office_status st;
    assert_int_equal(tz_office_status(w->office[0], &st, NULL), 0);
    assert_int_equal(st.open_cases, 0);
    assert_int_equal(st.unsent_changesets, 0);
}

static void concurrent_edits_make_a_case_that_either_office_resolves(void **state)
{
    struct world *w = *state;
    const struct tz_type *ct = tz_catalogue_type(&w->cat, "case");
    struct tz_err err = {0};
    struct tz_office_status st;
    struct tz_save *s;
    struct tz_id case_id = {{0}};
    uint64_t seq;
    struct tz_id id = create_org(w, 0, "甲");
    sync_both(w);
    edit_name(w, 0, id, "左");
    tz_clock_fake_advance(&w->clock, 1000);
    edit_name(w, 1, id, "右");
    sync_both(w);
    assert_name(w, 0, id, "右");
    assert_name(w, 1, id, "右");
    assert_same_everywhere(w);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tz_office_status(w->office[i], &st, NULL), 0);
        assert_int_equal(st.open_cases, 1);
    }
    check(tz_replica_each(tz_office_replica(w->office[0]), ct, take_id, &case_id, &err), &err);
    check(tz_save_begin(w->office[0], NULL, &s, &err), &err);
    check(tz_save_resolve(s, case_id, TZ_CHOICE_THEIRS, 0, NULL, NULL, &err), &err);
    check(tz_save_commit(s, &seq, &err), &err);
    assert_name(w, 0, id, "左");
    sync_both(w);
    assert_name(w, 1, id, "左");
    assert_same_everywhere(w);
    assert_int_equal(tz_office_status(w->office[1], &st, NULL), 0);
    assert_int_equal(st.open_cases, 0);
    assert_int_equal(tz_office_status(w->office[0], &st, NULL), 0);
    assert_int_equal(st.refused_changesets, 0);
}

static void deleted_record_is_restored_by_the_other_office(void **state)
{
    struct world *w = *state;
    const struct tz_type *t = tz_catalogue_type(&w->cat, "organisation");
    struct tz_err err = {0};
    struct tz_row row;
    struct tz_seen seen;
    struct tz_save *s;
    uint64_t seq;
    struct tz_id id = create_org(w, 0, "甲");
    sync_both(w);
    assert_int_equal(tz_office_read(w->office[0], t, id, &w->a, &row, &seen, NULL, &err), 1);
    check(tz_save_begin(w->office[0], NULL, &s, &err), &err);
    check(tz_save_delete(s, t, id, &seen, &err), &err);
    check(tz_save_commit(s, &seq, &err), &err);
    sync_both(w);
    assert_int_equal(tz_office_read(w->office[1], t, id, &w->a, &row, &seen, NULL, &err), 1);
    assert_true(row.deleted);
    assert_same_everywhere(w);
    check(tz_save_begin(w->office[1], NULL, &s, &err), &err);
    check(tz_save_restore(s, t, id, &seen, &err), &err);
    check(tz_save_commit(s, &seq, &err), &err);
    sync_both(w);
    assert_name(w, 0, id, "甲");
    assert_same_everywhere(w);
}

static void chain_of_unsent_edits_makes_no_case(void **state)
{
    struct world *w = *state;
    struct tz_office_status st;
    struct tz_id id = create_org(w, 0, "甲");
    edit_name(w, 0, id, "乙");
    edit_name(w, 0, id, "丙");
    sync_both(w);
    edit_name(w, 0, id, "丁");
    edit_name(w, 0, id, "戊");
    sync_both(w);
    assert_name(w, 1, id, "戊");
    assert_same_everywhere(w);
    assert_int_equal(tz_office_status(w->office[1], &st, NULL), 0);
    assert_int_equal(st.open_cases, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(what_one_office_saves_the_other_sees),
        T(concurrent_edits_make_a_case_that_either_office_resolves),
        T(deleted_record_is_restored_by_the_other_office),
        T(chain_of_unsent_edits_makes_no_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
