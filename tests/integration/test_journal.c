/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's file: appended durably, cut where the power went, and damage named by its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hash.h"
#include "journal.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct tz_datadir dir;
static struct tz_journal journal;
static struct tz_err err;
static char path[PATH_MAX];

static int setup(void **state)
{
    char template[] = "/tmp/tz-journal-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(template));
    assert_int_equal(tz_datadir_init(&dir, template, &err), 0);
    tz_datadir_file(&dir, "journal", path);
    assert_int_equal(tz_journal_open(&dir, &journal, &err), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tz_journal_close(&journal);
    (void)unlink(path);
    return rmdir(dir.path);
}

static void reopen(void)
{
    tz_journal_close(&journal);
    assert_int_equal(tz_journal_open(&dir, &journal, &err), 0);
}

/** A good line of that epoch and audit entry. */
static size_t make_line(char out[256], unsigned epoch, unsigned n)
{
    char body[128];
    char digits[65];
    uint8_t hash[32];
    (void)snprintf(body, sizeof body, "%u %u %u\tkind tsome%%20text", epoch, n, n + 1);
    assert_int_equal(tz_sha256(tz_bytes_str(body), hash), 0);
    (void)tz_hex_encode(tz_bytes_of(hash, 8), digits);
    return (size_t)snprintf(out, 256, "%s %s\n", digits, body);
}

static void append(unsigned epoch, unsigned n)
{
    char line[256];
    size_t bytes = make_line(line, epoch, n);
    assert_int_equal(tz_journal_append(&journal, tz_bytes_of(line, bytes), &err), 0);
}

/** Behind the journal's back. */
static void write_raw(const char *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_APPEND);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    assert_int_equal(close(fd), 0);
}

static off_t file_size(void)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static int count_line(void *ctx, const struct tz_journal_line *l)
{
    size_t *n = ctx;
    ++*n;
    assert_int_equal(l->base_n, *n);
    return 0;
}

static size_t count(void)
{
    size_t n = 0;
    assert_int_equal(tz_journal_each(&dir, count_line, &n, &err), 0);
    return n;
}

static void lines_come_back_in_order_and_tell_the_newest_state(void **state)
{
    struct tz_journal_head k;
    (void)state;
    assert_int_equal(journal.known.epoch, 0);
    append(1, 1);
    append(1, 2);
    append(1, 3);
    assert_int_equal(count(), 3);
    assert_int_equal(tz_journal_known(&dir, &k, &err), 0);
    assert_int_equal(k.epoch, 1);
    assert_int_equal(k.audit_n, 3);
    append(4, 1);
    append(1, 99);
    reopen();
    assert_int_equal(journal.known.epoch, 4);
    assert_int_equal(journal.known.audit_n, 1);
}

static void without_a_file_there_is_nothing(void **state)
{
    struct tz_journal_head k = {7, 7};
    (void)state;
    tz_journal_close(&journal);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(count(), 0);
    assert_int_equal(tz_journal_known(&dir, &k, &err), 0);
    assert_int_equal(k.epoch, 0);
}

static void a_last_line_cut_anywhere_goes_and_the_next_one_is_whole(void **state)
{
    char line[256];
    size_t n = make_line(line, 1, 2);
    (void)state;
    append(1, 1);
    off_t good = file_size();
    for (size_t cut = 1; cut < n; cut++) {
        write_raw(line, cut);
        assert_int_equal(count(), 1); /* beside a server it is passed over */
        reopen();
        assert_int_equal(file_size(), good);
    }
    memset(line + 3, 0, 20); /* blocks that never reached the disk */
    write_raw(line, n);
    reopen();
    assert_int_equal(file_size(), good);
    append(1, 2);
    assert_int_equal(count(), 2);
}

static void damage_in_the_middle_stops_a_restore_and_no_server(void **state)
{
    struct tz_journal_head k;
    size_t n = 0;
    (void)state;
    append(1, 1);
    write_raw("0123456789abcdef 1 2 3\n", 23);
    append(1, 3);
    reopen();
    assert_int_equal(journal.known.audit_n, 3);
    append(1, 4);
    assert_int_equal(tz_journal_each(&dir, count_line, &n, &err), TZ_E_JOURNAL_BAD);
    assert_string_equal(err.args[0], path);
    assert_string_equal(err.args[1], "2");
    assert_int_equal(tz_journal_known(&dir, &k, &err), 0);
    assert_int_equal(k.audit_n, 4);
}

static void a_file_of_anything_is_read_in_bounded_memory(void **state)
{
    enum { MIB = 1024 * 1024, MIBS = 40 };
    char *block = calloc(1, MIB);
    size_t n = 0;
    (void)state;
    assert_non_null(block);
    append(1, 1);
    for (int i = 0; i < MIBS; i++)
        write_raw(block, MIB);
    free(block);
    write_raw("\n", 1);
    append(1, 2);
    assert_int_equal(tz_journal_each(&dir, count_line, &n, &err), TZ_E_JOURNAL_BAD);
    reopen();
    assert_int_equal(journal.known.audit_n, 2);
}

static void a_full_disk_leaves_the_file_as_it_was(void **state)
{
    char line[256];
    size_t n = make_line(line, 1, 2);
    struct rlimit was;
    struct rlimit tight;
    (void)state;
    append(1, 1);
    off_t good = file_size();
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    tight = was;
    tight.rlim_cur = (rlim_t)good + 10; /* a write that stops half-way */
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    int rc = tz_journal_append(&journal, tz_bytes_of(line, n), &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    (void)signal(SIGXFSZ, handler);
    assert_int_equal(rc, TZ_E_DISK_FULL);
    assert_int_equal(file_size(), good);
    append(1, 2);
    assert_int_equal(count(), 2);
}

static int count_bases(void *ctx, const struct tz_journal_line *line)
{
    *(uint64_t *)ctx = *(uint64_t *)ctx * 100 + line->audit_n;
    return 0;
}

/** base_n and audit_n apart. */
static void append_group(unsigned epoch, unsigned base_n, unsigned audit_n)
{
    char text[256];
    char line[256];
    uint8_t hash[TZ_SHA256_BYTES];
    char digits[2 * TZ_SHA256_BYTES + 1];
    int n = snprintf(text, sizeof text, "%u %u %u\tinvite n", epoch, base_n, audit_n);
    assert_int_equal(tz_sha256(tz_bytes_of(text, (size_t)n), hash), 0);
    (void)tz_hex_encode(tz_bytes_of(hash, 8), digits);
    n = snprintf(line, sizeof line, "%.16s %s\n", digits, text);
    assert_int_equal(tz_journal_append(&journal, tz_bytes_of(line, (size_t)n), &err), 0);
}

static void what_never_committed_is_not_told(void **state)
{
    uint64_t told = 0;
    (void)state;
    append_group(1, 10, 11);
    append_group(1, 11, 17); /* the power went before COMMIT */
    append_group(1, 11, 12); /* so it did not know of 17 */
    append_group(1, 15, 16);
    append_group(2, 3, 30); /* another epoch says nothing about the one before */
    append_group(3, 30, 31);
    assert_int_equal(tz_journal_each(&dir, count_bases, &told, &err), 0);
    assert_int_equal(told, 1112163031);
}

static void whole_last_line_that_is_damaged_stays(void **state)
{
    char line[256];
    size_t n = make_line(line, 1, 2);
    (void)state;
    append(1, 1);
    line[n - 3] ^= 1;
    write_raw(line, n);
    off_t there = file_size();
    reopen();
    assert_int_equal(file_size(), there);
    reopen();
    assert_int_equal(file_size(), there);
    size_t lines = 0;
    assert_int_equal(tz_journal_each(&dir, count_line, &lines, &err), TZ_E_JOURNAL_BAD);
    assert_string_equal(err.args[1], "2");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(lines_come_back_in_order_and_tell_the_newest_state),
        T(without_a_file_there_is_nothing),
        T(a_last_line_cut_anywhere_goes_and_the_next_one_is_whole),
        T(damage_in_the_middle_stops_a_restore_and_no_server),
        T(a_file_of_anything_is_read_in_bounded_memory),
        T(a_full_disk_leaves_the_file_as_it_was),
        T(what_never_committed_is_not_told),
        T(whole_last_line_that_is_damaged_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
