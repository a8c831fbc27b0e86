/* SPDX-License-Identifier: Apache-2.0 */
/* Settings: precedence, what is refused, and that every default is acceptable to itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "config.h"

static void defaults_are_acceptable(void **state)
{
    struct tz_config c;
    struct tz_err err = {0};
    (void)state;
    tz_config_init(&c);
    for (int k = 0; k < TZ_CONFIG_COUNT; k++) {
        const struct tz_config_item *it = tz_config_item((enum tz_config_key)k);
        assert_int_equal(tz_config_set(&c, (enum tz_config_key)k, it->dflt, TZ_FROM_FILE, &err), 0);
        assert_true(it->help[TZ_LANG_ZH][0] && it->help[TZ_LANG_EN][0]);
        for (int other = 0; other < k; other++)
            assert_string_not_equal(it->env, tz_config_item((enum tz_config_key)other)->env);
    }
    assert_int_equal(tz_config_number(&c, TZ_CONFIG_CONNECTIONS_MAX), 12000);
    assert_string_equal(tz_config_text(&c, TZ_CONFIG_PUBLIC_ADDRESS), "");
}

static char *fake_environment(const char *name)
{
    static char value[] = "10.0.0.1:7";
    return strcmp(name, "TAIZHANGD_LISTEN") == 0 ? value : NULL;
}

static void environment_beats_file_and_flag_beats_both(void **state)
{
    struct tz_config c;
    struct tz_err err = {0};
    (void)state;
    tz_config_init(&c);
    assert_int_equal(c.origin[TZ_CONFIG_LISTEN], TZ_FROM_DEFAULT);
    assert_int_equal(tz_config_parse(&c, "[server]\nlisten = 10.0.0.2:8\nreaders=3 ; threads\n", &err), 0);
    assert_string_equal(tz_config_text(&c, TZ_CONFIG_LISTEN), "10.0.0.2:8");
    assert_int_equal(c.origin[TZ_CONFIG_LISTEN], TZ_FROM_FILE);
    assert_int_equal(tz_config_environment(&c, fake_environment, &err), 0);
    assert_string_equal(tz_config_text(&c, TZ_CONFIG_LISTEN), "10.0.0.1:7");
    assert_int_equal(c.origin[TZ_CONFIG_LISTEN], TZ_FROM_ENVIRONMENT);
    assert_int_equal(tz_config_set(&c, TZ_CONFIG_LISTEN, "10.0.0.3:9", TZ_FROM_FLAG, &err), 0);
    assert_string_equal(tz_config_text(&c, TZ_CONFIG_LISTEN), "10.0.0.3:9");
    assert_int_equal(tz_config_number(&c, TZ_CONFIG_READERS), 3);
    assert_string_equal(tz_config_origin_name(c.origin[TZ_CONFIG_READERS]), "file");
    assert_string_equal(tz_config_origin_name(c.origin[TZ_CONFIG_LOG_LEVEL]), "default");
}

static void bad_values_leave_the_old_ones(void **state)
{
    static const char *const bad[] = {"0", "5", "-1", "2x", "", " 2", "99999999999999999999"};
    char longest[TZ_CONFIG_VALUE_BYTES + 1];
    struct tz_config c;
    struct tz_err err;
    (void)state;
    tz_config_init(&c);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(tz_config_set(&c, TZ_CONFIG_READERS, bad[i], TZ_FROM_FLAG, &err), TZ_E_VALUE);
        assert_string_equal(err.args[0], "readers");
        assert_string_equal(err.args[2], "1-4");
    }
    assert_int_equal(tz_config_set(&c, TZ_CONFIG_LOG_LEVEL, "loud", TZ_FROM_FLAG, &err), TZ_E_VALUE);
    assert_string_equal(err.args[2], "error|warn|info|debug");
    memset(longest, 'a', TZ_CONFIG_VALUE_BYTES);
    longest[TZ_CONFIG_VALUE_BYTES] = '\0';
    assert_int_equal(tz_config_set(&c, TZ_CONFIG_CATALOGUE, longest, TZ_FROM_FLAG, &err), TZ_E_VALUE);
    longest[TZ_CONFIG_VALUE_BYTES - 1] = '\0';
    assert_int_equal(tz_config_set(&c, TZ_CONFIG_CATALOGUE, longest, TZ_FROM_FLAG, &err), 0);
    assert_int_equal(tz_config_number(&c, TZ_CONFIG_READERS), 1);
    assert_int_equal(tz_config_choice(&c, TZ_CONFIG_LOG_LEVEL), 2);
    assert_int_equal(c.origin[TZ_CONFIG_READERS], TZ_FROM_DEFAULT);
}

static void file_with_a_slip_is_refused(void **state)
{
    static const char *const bad[] = {"[server]\nlissten = 1.2.3.4:5\n", "listen = 1.2.3.4:5\n",
                                      "[other]\nlisten = x\n", "[server]\nreaders = many\n",
                                      "[server]\nthis is no setting\n"};
    struct tz_config c;
    struct tz_err err;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tz_config_init(&c);
        assert_int_equal(tz_config_parse(&c, bad[i], &err), TZ_E_VALUE);
    }
    tz_config_init(&c);
    assert_int_equal(tz_config_parse(&c, "; only a comment\n\n[server]\n", &err), 0);
    assert_int_equal(tz_config_parse(&c, "", &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_acceptable),
        cmocka_unit_test(environment_beats_file_and_flag_beats_both),
        cmocka_unit_test(bad_values_leave_the_old_ones),
        cmocka_unit_test(file_with_a_slip_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
