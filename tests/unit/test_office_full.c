/* SPDX-License-Identifier: Apache-2.0 */
/* An office is opened on a disk without room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "catalogue_dir.h"
#include "memvfs.h"
#include "office.h"

enum { STEP_BYTES = 2048, ROOM_MAX = 4 << 20 };

static struct tz_clock_fake clock_now = {{INT64_C(1700000000000)}, {0}};

static uint32_t some_random(void *ctx)
{
    return ++*(uint32_t *)ctx;
}

static uint64_t used(const struct tz_memdisk *d)
{
    static const char *const FILES[] = {"office.db", "office.db-wal"};
    uint64_t sum = 0;
    for (size_t i = 0; i < 2; i++)
        sum += tz_memdisk_size(d, FILES[i]) > 0 ? (uint64_t)tz_memdisk_size(d, FILES[i]) : 0;
    return sum;
}

/** As it was before the newest field of an organisation and the newest type. */
static struct tz_catalogue before(const struct tz_catalogue *cat, struct tz_type *types)
{
    struct tz_catalogue older = *cat;
    memcpy(types, cat->types, cat->ntypes * sizeof *types);
    for (size_t i = 0; i < cat->ntypes; i++)
        types[i].nfields -= strcmp(types[i].name, "organisation") == 0;
    older.types = types;
    older.version--;
    return older;
}

static void a_newer_catalogue_waits_for_room(void **state)
{
    static struct tz_type types[TZ_TYPES_MAX];
    struct tz_catalogue cat;
    struct tz_err err = {0};
    struct tz_office *o = NULL;
    uint32_t seed = 1;
    char path[128];
    int refused = 0;
    (void)state;
    tz_memvfs_register();
    assert_int_equal(tz_catalogue_load_dir(TZ_SOURCE_DIR "/common/catalogue", &cat, &err), 0);
    struct tz_catalogue older = before(&cat, types);
    struct tz_memdisk *d = tz_memdisk_new();
    struct tz_office_options opt = {.catalogue = &older,
                                    .db = {.vfs = TZ_MEMVFS_NAME, .exclusive = true},
                                    .clock = tz_clock_fake(&clock_now),
                                    .random = some_random,
                                    .random_ctx = &seed};
    struct tz_identity id = {.device = 7, .incarnation = 1, .name = "desk", .role = "D_CLERK", .area = "120101"};
    (void)tz_memdisk_path(d, "office.db", path, sizeof path);
    assert_int_equal(tz_office_create(path, &opt, &id, &err), 0);
    opt.catalogue = &cat;
    for (uint64_t room = 1; !o && room < ROOM_MAX; room += STEP_BYTES) {
        tz_memdisk_capacity_set(d, used(d) + room);
        int rc = tz_office_open(path, &opt, &o, &err);
        refused += rc == TZ_E_DISK_FULL;
        if (rc)
            assert_int_equal(rc, TZ_E_DISK_FULL);
        assert_true(rc ? !o : tz_office_replica(o) != NULL);
    }
    assert_true(refused > 0); /* or there was room from the beginning */
    assert_non_null(o);
    assert_ptr_equal(tz_replica_catalogue(tz_office_replica(o)), &cat);
    assert_int_equal(tz_replica_data_version(tz_office_replica(o)), cat.version);
    tz_office_close(o);
    tz_memdisk_free(d);
    tz_catalogue_deinit(&cat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_newer_catalogue_waits_for_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
