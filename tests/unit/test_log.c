/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "sm.h"

static struct {
    unsigned lines;
    enum tz_log_level level;
    char last[2048];
} seen;

static void remember(void *ctx, enum tz_log_level level, const char *line)
{
    (void)ctx;
    seen.lines++;
    seen.level = level;
    snprintf(seen.last, sizeof seen.last, "%s", line);
}

static int fresh(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof seen);
    tz_log_level_set(TZ_LOG_INFO);
    tz_log_sink_set(remember, NULL);
    return 0;
}

static void line_has_level_subsystem_event_and_fields(void **state)
{
    (void)state;
    tz_log(TZ_LOG_WARN, "session", "refused", "session=%d code=%s", 7, "TZ-NET-008");
    assert_string_equal(seen.last, "warn session refused session=7 code=TZ-NET-008");
    assert_int_equal(seen.level, TZ_LOG_WARN);
    tz_log(TZ_LOG_INFO, "server", "ready", NULL);
    assert_string_equal(seen.last, "info server ready");
    tz_log(TZ_LOG_INFO, "server", "ready", "%s", "");
    assert_string_equal(seen.last, "info server ready");
}

static void lines_above_the_level_are_dropped(void **state)
{
    (void)state;
    tz_log(TZ_LOG_DEBUG, "a", "b", NULL);
    assert_int_equal(seen.lines, 0);
    tz_log_level_set(TZ_LOG_DEBUG);
    tz_log(TZ_LOG_DEBUG, "a", "b", NULL);
    assert_int_equal(seen.lines, 1);
    tz_log_level_set(TZ_LOG_ERROR);
    tz_log(TZ_LOG_WARN, "a", "b", NULL);
    assert_int_equal(seen.lines, 1);
}

static void one_event_is_one_line_whatever_is_in_it(void **state)
{
    (void)state;
    tz_log(TZ_LOG_INFO, "a", "b", "v=%s",
           "x\ny\r\x1b[2J\x7f\xff\xC2\x85"
           "中\xE2\x80\xAE");
    assert_string_equal(seen.last, "info a b v=x\\x0Ay\\x0D\\x1B[2J\\x7F\\xFF\\xC2\\x85中\\xE2\\x80\\xAE");
}

static void long_line_is_cut_and_says_so(void **state)
{
    (void)state;
    char text[3000];
    memset(text, 'z', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    tz_log(TZ_LOG_INFO, "a", "b", "v=%s", text);
    size_t n = strlen(seen.last);
    assert_true(n > 900 && n < 1100);
    assert_string_equal(seen.last + n - 3, "...");
    memset(text, '\n', sizeof text - 1);
    tz_log(TZ_LOG_INFO, "a", "b", "v=%s", text);
    n = strlen(seen.last);
    assert_true(n > 900 && n < 1100);
    assert_string_equal(seen.last + n - 3, "...");
}

static void quote_leaves_plain_and_wraps_the_rest(void **state)
{
    (void)state;
    char out[64];
    assert_string_equal(tz_log_quote("plain-1.2:3/x", out, sizeof out), "plain-1.2:3/x");
    assert_string_equal(tz_log_quote("", out, sizeof out), "\"\"");
    assert_string_equal(tz_log_quote("two words", out, sizeof out), "\"two words\"");
    assert_string_equal(tz_log_quote("a=b", out, sizeof out), "\"a=b\"");
    assert_string_equal(tz_log_quote("say \"hi\"\\", out, sizeof out), "\"say \\x22hi\\x22\\x5C\"");
    assert_string_equal(tz_log_quote("a\nlevel=error", out, sizeof out), "\"a\\x0Alevel=error\"");
    assert_string_equal(tz_log_quote("党支部", out, sizeof out), "\"党支部\"");
}

static void quote_fits_any_size(void **state)
{
    (void)state;
    char out[64];
    for (size_t n = 0; n < sizeof out; n++) {
        memset(out, '#', sizeof out);
        const char *q = tz_log_quote("党\n\"支部 and more text than fits in here, surely", out, n);
        assert_true(strlen(q) < n || (n < 3 && q != out));
        assert_int_equal(q[0], '"');
        assert_int_equal(q[strlen(q) - 1], '"');
        if (n < sizeof out)
            assert_int_equal(out[n], '#');
    }
    assert_string_equal(tz_log_quote("plain", out, 6), "plain");
    assert_string_equal(tz_log_quote("plain", out, 5), "\"pl\"");
}

enum { S_HELLO, S_READY, S_CLOSED };
static const struct tz_sm_state states[] = {
    [S_HELLO] = {"hello", 1u << S_READY | 1u << S_CLOSED},
    [S_READY] = {"ready", 1u << S_CLOSED},
    [S_CLOSED] = {"closed", 0},
};

static void state_moves_are_logged(void **state)
{
    (void)state;
    struct tz_sm sm;
    tz_log_level_set(TZ_LOG_DEBUG);
    tz_sm_init(&sm, "session", 7, states, 3);
    assert_string_equal(tz_sm_name(&sm), "hello");
    tz_sm_move(&sm, S_READY, "welcome");
    assert_string_equal(seen.last, "debug session move id=7 old=hello new=ready event=welcome");
    assert_int_equal(sm.state, S_READY);
}

static void undrawn_moves_are_not_allowed(void **state)
{
    (void)state;
    struct tz_sm sm;
    tz_sm_init(&sm, "session", 7, states, 3);
    assert_true(tz_sm_may(&sm, S_READY));
    assert_false(tz_sm_may(&sm, S_HELLO));
    assert_false(tz_sm_may(&sm, 3));
    assert_false(tz_sm_may(&sm, 4000000000u));
    tz_sm_move(&sm, S_CLOSED, "gone");
    assert_false(tz_sm_may(&sm, S_READY) || tz_sm_may(&sm, S_CLOSED));
}

static void undrawn_move_stops_the_program(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct tz_sm sm;
        signal(SIGABRT, SIG_DFL);
        tz_sm_init(&sm, "session", 7, states, 3);
        tz_sm_move(&sm, S_HELLO, "again");
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(line_has_level_subsystem_event_and_fields, fresh),
        cmocka_unit_test_setup(lines_above_the_level_are_dropped, fresh),
        cmocka_unit_test_setup(one_event_is_one_line_whatever_is_in_it, fresh),
        cmocka_unit_test_setup(long_line_is_cut_and_says_so, fresh),
        cmocka_unit_test_setup(quote_leaves_plain_and_wraps_the_rest, fresh),
        cmocka_unit_test_setup(quote_fits_any_size, fresh),
        cmocka_unit_test_setup(state_moves_are_logged, fresh),
        cmocka_unit_test_setup(undrawn_moves_are_not_allowed, fresh),
        cmocka_unit_test_setup(undrawn_move_stops_the_program, fresh),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
