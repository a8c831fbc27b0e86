/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalogue_dir.h"
#include "catalogue_fixture.h"

static char dir[64];

static void write_text(const char *name, const char *text)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

static void remove_name(const char *name)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(remove(path), 0);
}

static int setup(void **state)
{
    (void)state;
    char path[160];
    (void)snprintf(dir, sizeof dir, "%s", "tz-catalogue-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/rows", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    for (size_t i = 0; i < CATALOGUE_FIXTURE_FILES; i++)
        write_text(catalogue_fixture[i].name, catalogue_fixture[i].text);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < CATALOGUE_FIXTURE_FILES; i++)
        remove_name(catalogue_fixture[i].name);
    remove_name("rows");
    return rmdir(dir);
}

static void shipped_folder_loads(void **state)
{
    (void)state;
    struct tz_catalogue c;
    struct tz_err err = {0};
    assert_int_equal(tz_catalogue_load_dir(TZ_SOURCE_DIR "/common/catalogue", &c, &err), 0);
    assert_non_null(tz_catalogue_type(&c, "organisation"));
    assert_true(c.nrows > 316);
    tz_catalogue_deinit(&c);
}

static void other_files_of_the_folder_are_ignored(void **state)
{
    (void)state;
    struct tz_catalogue c;
    struct tz_err err = {0};
    write_text("README.md", "not a table");
    write_text(".types.csv", "an editor's");
    assert_int_equal(tz_catalogue_load_dir(dir, &c, &err), 0);
    assert_int_equal(c.ntypes, 5);
    assert_int_equal(c.nrows, 2);
    tz_catalogue_deinit(&c);
    remove_name("README.md");
    remove_name(".types.csv");
}

static void mistakes_keep_file_line_and_column(void **state)
{
    (void)state;
    struct tz_catalogue c;
    struct tz_err err = {0};
    write_text("rows/place.csv", "code\n12\n");
    assert_int_equal(tz_catalogue_load_dir(dir, &c, &err), TZ_E_CATALOGUE);
    assert_memory_equal(err.args[0], "rows/place.csv:2:1: ", 20);
    assert_int_equal(c.ntypes, 0);
    write_text("rows/place.csv", catalogue_fixture[CATALOGUE_FIXTURE_FILES - 1].text);
}

static void missing_folder_is_an_io_error(void **state)
{
    (void)state;
    struct tz_catalogue c;
    struct tz_err err = {0};
    assert_int_equal(tz_catalogue_load_dir("/nonexistent/catalogue", &c, &err), TZ_E_IO);
    assert_non_null(strstr(err.args[0], "/nonexistent/catalogue"));
    tz_catalogue_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shipped_folder_loads),
        cmocka_unit_test(other_files_of_the_folder_are_ignored),
        cmocka_unit_test(mistakes_keep_file_line_and_column),
        cmocka_unit_test(missing_folder_is_an_io_error),
    };
    return cmocka_run_group_tests_name("catalogue_dir", tests, setup, teardown);
}
