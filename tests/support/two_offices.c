/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. What people do is in two_offices_save.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hash.h"
#include "two_offices_int.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PUSH_BYTES = 64 * 1024, MESSAGES_MAX = 256 };

void tw_check(int rc, const struct tz_err *err)
{
    if (rc)
        fail_msg("error %d: %s %s %s", rc, tz_err_info(rc)->symbol, err->trail, err->args[0]);
}

/* ---- randomness, options ---- */

static uint64_t next(struct tw *w)
{
    uint64_t z = (w->random += UINT64_C(0x9E3779B97F4A7C15)); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static uint32_t id_random(void *ctx)
{
    return (uint32_t)next(ctx);
}

static void store_random(void *ctx, uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)next(ctx);
}

static struct tz_store_options store_options(struct tw *w)
{
    return (struct tz_store_options){.catalogue = w->cat,
                                     .db = {.vfs = TZ_MEMVFS_NAME, .exclusive = true},
                                     .clock = tz_clock_fake(&w->clock),
                                     .random = store_random,
                                     .random_ctx = w};
}

static struct tz_office_options office_options(struct tw *w)
{
    return (struct tz_office_options){.catalogue = w->cat,
                                      .db = {.vfs = TZ_MEMVFS_NAME, .exclusive = true},
                                      .clock = tz_clock_fake(&w->clock),
                                      .random = id_random,
                                      .random_ctx = w};
}

static const char *path_of(const struct tw *w, enum tw_place p, char out[64])
{
    return tz_memdisk_path(w->disk[p], p == TW_SERVER ? "server.db" : "office.db", out, 64);
}

/* ---- life ---- */

static int sign_nothing(void *ctx, uint32_t device, struct tz_bytes csr, struct tz_buf *certificate,
                        uint8_t fingerprint[TZ_FINGERPRINT_BYTES], struct tz_err *err)
{
    (void)ctx;
    (void)csr;
    (void)err;
    memset(fingerprint, (int)device, TZ_FINGERPRINT_BYTES);
    return tz_buf_puts(certificate, "certificate");
}

static void enrol(struct tw *w, enum tw_place p, const char *name)
{
    struct tz_err err = {0};
    char path[64];
    uint8_t secret[16];
    uint8_t key[32] = {(uint8_t)p};
    struct tz_enrolment e = {0};
    struct tz_invite_spec spec = {"D_CLERK", "120101", name};
    tw_check(tz_store_group_begin(w->store, &err), &err);
    tw_check(tz_store_invite_add(w->store, &spec, secret, &err), &err);
    tw_check(tz_store_enrol(w->store, tz_bytes_of(secret, 16), tz_bytes_str("csr"), key, sign_nothing, NULL, &e, &err),
             &err);
    tw_check(tz_store_group_commit(w->store, &err), &err);
    struct tz_identity id = {.device = e.device.number,
                             .incarnation = e.device.incarnation,
                             .role = "D_CLERK",
                             .area = "120101",
                             .user = e.user};
    (void)snprintf(id.name, sizeof id.name, "%s", name);
    struct tz_office_options o = office_options(w);
    tw_check(tz_office_create(path_of(w, p, path), &o, &id, &err), &err);
    tz_buf_deinit(&e.certificate);
    tw_open(w, p);
}

struct tw *tw_new(const struct tz_catalogue *cat, struct tz_arena *a)
{
    struct tw *w = calloc(1, sizeof *w);
    struct tz_err err = {0};
    char path[64];
    assert_non_null(w);
    tz_memvfs_register();
    tz_memvfs_seed(1);
    w->cat = cat;
    w->a = a;
    w->clock.wall.ms = INT64_C(1700000000000);
    for (int p = 0; p < TW_PLACES; p++)
        w->disk[p] = tz_memdisk_new();
    struct tz_store_options o = store_options(w);
    tw_check(tz_store_create(path_of(w, TW_SERVER, path), &o, &err), &err);
    tw_open(w, TW_SERVER);
    enrol(w, TW_A, "a");
    enrol(w, TW_B, "b");
    for (const char *s = "WCwc"; *s; s++)
        assert_int_equal(tw_step(w, *s), 0);
    return w;
}

struct tw *tw_copy(const struct tw *from, struct tz_arena *a)
{
    struct tw *w = malloc(sizeof *w);
    assert_non_null(w);
    *w = *from;
    w->a = a;
    w->store = NULL;
    w->office[0] = w->office[1] = NULL;
    for (int p = 0; p < TW_PLACES; p++)
        w->disk[p] = tz_memdisk_clone(from->disk[p]);
    return w;
}

void tw_free(struct tw *w)
{
    for (int p = 0; w && p < TW_PLACES; p++) {
        tw_close(w, (enum tw_place)p);
        tz_memdisk_free(w->disk[p]);
    }
    free(w);
}

void tw_open(struct tw *w, enum tw_place p)
{
    struct tz_err err = {0};
    char path[64];
    path_of(w, p, path);
    if (p == TW_SERVER && !w->store) {
        struct tz_store_options o = store_options(w);
        tw_check(tz_store_open(path, &o, &w->store, &err), &err);
    } else if (p != TW_SERVER && !w->office[p - TW_A]) {
        struct tz_office_options o = office_options(w);
        tw_check(tz_office_open(path, &o, &w->office[p - TW_A], &err), &err);
    }
}

void tw_close(struct tw *w, enum tw_place p)
{
    if (p == TW_SERVER) {
        tz_store_close(w->store);
        w->store = NULL;
    } else {
        tz_office_close(w->office[p - TW_A]);
        w->office[p - TW_A] = NULL;
    }
}

struct tz_db *tw_db(struct tw *w, enum tw_place p)
{
    return p == TW_SERVER ? tz_store_db(w->store) : tz_office_db(w->office[p - TW_A]);
}

/* ---- content ---- */

static void digest_table(sqlite3 *db, struct tz_sha256 *h, const char *table)
{
    char sql[160];
    sqlite3_stmt *st = NULL;
    (void)snprintf(sql, sizeof sql, "SELECT * FROM \"%s\"", table);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(tz_sha256_update(h, tz_bytes_str(table)), 0);
    while (sqlite3_step(st) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count(st); i++) {
            const void *p = sqlite3_column_blob(st, i);
            size_t n = (size_t)sqlite3_column_bytes(st, i);
            assert_int_equal(tz_sha256_update(h, tz_bytes_of(&n, sizeof n)), 0);
            if (n)
                assert_int_equal(tz_sha256_update(h, tz_bytes_of(p, n)), 0);
        }
    assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
}

void tw_digest(struct tw *w, enum tw_place p, uint8_t out[32])
{
    sqlite3 *db = tz_db_handle(tw_db(w, p));
    struct tz_sha256 h = {0};
    sqlite3_stmt *st = NULL;
    assert_int_equal(tz_sha256_init(&h), 0);
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT name FROM sqlite_schema WHERE type='table' ORDER BY name", -1, &st, NULL),
        SQLITE_OK);
    while (sqlite3_step(st) == SQLITE_ROW)
        digest_table(db, &h, (const char *)sqlite3_column_text(st, 0));
    assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
    assert_int_equal(tz_sha256_final(&h, out), 0);
    tz_sha256_deinit(&h);
}

/* ---- what travels ---- */

static int load(struct tw *w, int i)
{
    struct tz_err err = {0};
    struct tz_bytes *raw;
    uint64_t *seqs;
    size_t n;
    w->travel[i].nup = 0;
    int rc = tz_office_outbox(w->office[i], 0, UINT64_MAX, PUSH_BYTES, w->a, &raw, &seqs, &n, &err);
    for (size_t k = 0; !rc && k < n && k < TW_TRAVEL_MAX; k++)
        w->travel[i].up[w->travel[i].nup++] = raw[k];
    return rc;
}

static int judge(struct tw *w, int i)
{
    struct tz_err err = {0};
    struct tz_apply_ctx ctx = {.device = tz_office_identity(w->office[i])->device, .received = w->clock.wall};
    struct tz_signed_result back[TW_TRAVEL_MAX];
    size_t n = 0;
    int rc = tz_store_group_begin(w->store, &err);
    for (size_t k = 0; k < w->travel[i].nup && !rc; k++) {
        struct tz_apply_out out;
        rc = tz_store_apply(w->store, &ctx, w->travel[i].up[k], w->a, &out, &err);
        for (size_t r = 0; r < out.n && !rc && n < TW_TRAVEL_MAX; r++)
            back[n++] = out.results[r];
    }
    if (!rc)
        rc = tz_store_group_commit(w->store, &err);
    if (rc)
        return rc; /* nobody hears of it */
    memcpy(w->travel[i].back, back, n * sizeof *back);
    w->travel[i].nback = n;
    w->travel[i].nup = 0;
    return 0;
}

static int take(struct tw *w, int i)
{
    struct tz_err err = {0};
    int rc = tz_office_results(w->office[i], w->travel[i].back, w->travel[i].nback, NULL, &err);
    if (!rc)
        w->travel[i].nback = 0;
    return rc;
}

static void grant_of(struct tw *w, int i, struct tz_device *d, struct tz_grant *g)
{
    struct tz_err err = {0};
    assert_int_equal(tz_store_device_by_number(w->store, tz_office_identity(w->office[i])->device, d, &err), 1);
    tw_check(tz_store_grant_of(w->store, d, w->clock.wall.ms, g, &err), &err);
}

static int welcome(struct tw *w, int i)
{
    struct tz_err err = {0};
    struct tz_device d;
    struct tz_grant g;
    struct tz_session_user *users;
    size_t n;
    grant_of(w, i, &d, &g);
    tw_check(tz_store_users_of(w->store, &d, w->a, &users, &n, &err), &err);
    struct tz_msg_welcome wel = {.protocol = 1,
                                 .software = "",
                                 .catalogue_version = w->cat->version,
                                 .wall_ms = w->clock.wall.ms,
                                 .device = d.number,
                                 .incarnation = d.incarnation,
                                 .device_name = d.name,
                                 .role = d.role,
                                 .area = d.area,
                                 .areas = g.areas,
                                 .nareas = g.nareas,
                                 .users = users,
                                 .nusers = n,
                                 .reads_secret = g.reads_secret,
                                 .judged_seq = d.last_seq};
    return tz_office_welcome(w->office[i], &wel, &err);
}

struct messages {
    struct tz_bytes m[MESSAGES_MAX];
    size_t n;
    struct tz_arena *a;
};

static int keep(void *ctx, struct tz_bytes message)
{
    struct messages *k = ctx;
    assert_true(k->n < MESSAGES_MAX);
    k->m[k->n++] = (struct tz_bytes){tz_arena_dup(k->a, message.p, message.n), message.n};
    return 0;
}

static int pull(struct tw *w, int i)
{
    struct tz_err err = {0};
    struct tz_device d;
    struct tz_grant g;
    struct tz_cursor *cursors;
    struct messages k = {.a = w->a};
    struct tz_msg_checkpoint head;
    size_t n;
    grant_of(w, i, &d, &g);
    tw_check(tz_office_cursors(w->office[i], w->a, &cursors, &n, &err), &err);
    for (bool done = false; !done;)
        tw_check(tz_store_changes(w->store, &g, cursors, n, 4, keep, &k, &done, &head, &err), &err);
    return tz_office_checkpoint(w->office[i], k.m, k.n, &head, &err);
}

enum tw_place tw_place_of(char step)
{
    if (step >= '0' && step <= '2')
        return (enum tw_place)(TW_SERVER + (step - '0'));
    if (step == 'P' || step == 'p')
        return TW_SERVER;
    return step == 'a' || strchr("LRWC", step) ? TW_A : TW_B;
}

int tw_step(struct tw *w, char step)
{
    int i = strchr("aLPRWC", step) ? 0 : 1;
    tz_clock_fake_advance(&w->clock, 1000);
    switch (step) {
    case 'a':
    case 'b':
        return tw_save(w, i);
    case 'L':
    case 'l':
        return load(w, i);
    case 'P':
    case 'p':
        return judge(w, i);
    case 'R':
    case 'r':
        return take(w, i);
    case 'W':
    case 'w':
        return welcome(w, i);
    case 'C':
    case 'c':
        return pull(w, i);
    case '0':
    case '1':
    case '2':
        return tz_db_checkpoint(tw_db(w, tw_place_of(step)), true, NULL);
    default:
        fail_msg("no step is called %c", step);
        return TZ_E_INTERNAL;
    }
}

static void same_at(struct tw *w, int i)
{
    struct tz_err err = {0};
    struct tz_device d;
    struct tz_grant g;
    struct tz_msg_verify ask = {0};
    struct tz_msg_verified theirs;
    struct tz_msg_verified mine;
    grant_of(w, i, &d, &g);
    tw_check(tz_store_verify(w->store, &g, &ask, &theirs, &err), &err);
    tw_check(tz_office_digest(w->office[i], &mine, &err), &err);
    assert_int_equal(mine.ver, theirs.ver);
    assert_int_equal(mine.rows, theirs.rows);
    assert_memory_equal(mine.digest, theirs.digest, sizeof mine.digest);
}

void tw_converge(struct tw *w)
{
    for (int round = 0; round < 2; round++)
        for (const char *s = "LPRWClprwc"; *s; s++)
            tw_check(tw_step(w, *s), &(struct tz_err){0});
    for (int i = 0; i < 2; i++)
        same_at(w, i);
}
