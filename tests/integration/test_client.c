/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client library and joining, as far as they go without a server: mistakes found offline, a key that stays, structs
 * of older callers. What needs a server is in tests/e2e/test_join_sync.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "catalogue_dir.h"
#include "folder.h"
#include "invite.h"
#include "join.h"
#include "round.h"
#include "taizhang/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CATALOGUE TZ_SOURCE_DIR "/common/catalogue"

struct place {
    char dir[64];    /* made */
    char folder[80]; /* not yet */
    char code[TZ_INVITE_CODE_BYTES];
    struct tz_catalogue catalogue;
};

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    struct tz_invite invite = {.address = "127.0.0.1:1"}; /* nobody listens there */
    struct tz_err err = {0};
    assert_non_null(p);
    (void)snprintf(p->dir, sizeof p->dir, "/tmp/tz-client-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    (void)snprintf(p->folder, sizeof p->folder, "%s/office", p->dir);
    assert_int_equal(tz_invite_encode(&invite, p->code), 0);
    assert_int_equal(tz_catalogue_load_dir(CATALOGUE, &p->catalogue, &err), 0);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {TZ_FOLDER_DB, TZ_FOLDER_KEY, TZ_FOLDER_CERT,
                                        TZ_FOLDER_CA, TZ_FOLDER_PIN, TZ_FOLDER_LEASE};
    struct place *p = *state;
    char path[PATH_MAX];
    struct tz_err err = {0};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (tz_folder_path(p->folder, names[i], path, &err) == 0)
            (void)unlink(path);
    (void)rmdir(p->folder);
    (void)rmdir(p->dir);
    tz_catalogue_deinit(&p->catalogue);
    free(p);
    return 0;
}

static bool there(const char *dir, const char *name)
{
    char path[PATH_MAX];
    struct tz_err err = {0};
    assert_int_equal(tz_folder_path(dir, name, path, &err), 0);
    return access(path, F_OK) == 0;
}

static void make_office(struct place *p)
{
    char path[PATH_MAX];
    struct tz_err err = {0};
    struct tz_office_options opt = tz_folder_office_options(&p->catalogue);
    const struct tz_identity id = {.device = 7,
                                   .incarnation = 1,
                                   .name = "a",
                                   .role = "D_CLERK",
                                   .area = "120101",
                                   .address = "127.0.0.1:1",
                                   .user = {{1}}};
    assert_int_equal(tz_folder_make(p->folder, &err), 0);
    assert_int_equal(tz_folder_path(p->folder, TZ_FOLDER_DB, path, &err), 0);
    assert_int_equal(tz_office_create(path, &opt, &id, &err), 0);
}

static void a_typo_is_found_before_anything_is_made(void **state)
{
    struct place *p = *state;
    struct tz_client_error err;
    p->code[10] = p->code[10] == '2' ? '3' : '2';
    assert_int_equal(tz_client_join(p->folder, p->code, CATALOGUE, &err), TZ_E_INVITE_TYPO);
    assert_string_equal(err.symbol, "TZ-NET-021");
    assert_int_equal(err.exit_code, 4);
    assert_int_not_equal(err.next[0], 0);
    assert_int_equal(access(p->folder, F_OK), -1);
}

static void a_failed_join_keeps_its_key_and_uses_it_again(void **state)
{
    struct place *p = *state;
    struct tz_client_error err;
    struct tz_err e = {0};
    struct tz_buf first, second;
    tz_buf_init(&first, 4096);
    tz_buf_init(&second, 4096);
    assert_int_equal(tz_client_join(p->folder, p->code, CATALOGUE, &err), TZ_E_UNREACHABLE);
    assert_int_equal(err.exit_code, 5);
    assert_int_equal(tz_folder_read(p->folder, TZ_FOLDER_KEY, &first, &e), 0);
    assert_int_equal(tz_client_join(p->folder, p->code, CATALOGUE, &err), TZ_E_UNREACHABLE);
    assert_int_equal(tz_folder_read(p->folder, TZ_FOLDER_KEY, &second, &e), 0);
    assert_true(tz_bytes_eq(tz_buf_unread(&first), tz_buf_unread(&second)));
    assert_false(there(p->folder, TZ_FOLDER_DB));
    tz_buf_deinit_secret(&first);
    tz_buf_deinit_secret(&second);
}

static void a_folder_without_office_has_not_joined(void **state)
{
    struct place *p = *state;
    struct tz_client *c;
    struct tz_client_error err;
    assert_int_equal(tz_client_open(p->folder, CATALOGUE, &c, &err), TZ_E_NOT_ENROLLED);
    assert_null(c);
    assert_int_equal(err.exit_code, 4);
    assert_int_equal(tz_client_open(p->folder, CATALOGUE, &c, NULL), TZ_E_NOT_ENROLLED);
    tz_client_close(NULL);
}

static void a_joined_folder_is_not_joined_by_another_invitation(void **state)
{
    struct place *p = *state;
    struct tz_client_error err;
    make_office(p);
    assert_int_equal(tz_client_join(p->folder, p->code, CATALOGUE, &err), TZ_E_JOINED);
    assert_false(there(p->folder, TZ_FOLDER_KEY));
}

static void status_fills_no_more_than_an_older_caller_has(void **state)
{
    struct place *p = *state;
    struct tz_client *c;
    struct tz_client_status st;
    struct tz_client_error err;
    make_office(p);
    assert_int_equal(tz_client_open(p->folder, CATALOGUE, &c, &err), 0);
    memset(&st, 0x55, sizeof st);
    st.size = offsetof(struct tz_client_status, refused_changesets);
    assert_int_equal(tz_client_status(c, &st, &err), 0);
    assert_int_equal(st.unsent_changesets, 0);
    assert_int_equal(st.refused_changesets, 0x5555555555555555);
    st.size = sizeof st;
    assert_int_equal(tz_client_status(c, &st, &err), 0);
    assert_int_equal(st.refused_changesets, 0);
    assert_int_equal(st.size, sizeof st);
    tz_client_close(c);
}

struct told {
    unsigned n;
    char first[2048];
};

static int take_change(void *ctx, const char *json)
{
    struct told *t = ctx;
    if (t->n++ == 0)
        (void)snprintf(t->first, sizeof t->first, "%s", json);
    return 0;
}

static void history_is_told_from_here_and_says_that_the_server_has_more(void **state)
{
    struct place *p = *state;
    struct tz_client *c;
    struct tz_client_error err;
    struct told t = {0};
    int complete = 1;
    const char *never = "0123456789abcdef0123456789abcdef";
    make_office(p);
    assert_int_equal(tz_client_open(p->folder, CATALOGUE, &c, &err), 0);
    assert_int_equal(tz_client_history(c, "nothing", never, 0, take_change, &t, &complete, &err), TZ_E_UNKNOWN_TYPE);
    assert_int_equal(tz_client_history(c, "organisation", never, 0, take_change, &t, &complete, &err), 0);
    assert_int_equal(t.n, 0);
    assert_int_equal(complete, 0);
    assert_int_equal(tz_client_history(c, "organisation", never, 1, take_change, &t, NULL, &err), TZ_E_NOT_ENROLLED);
    tz_client_close(c);
}

static void pages_go_downwards_and_end(void **state)
{
    (void)state;
    struct tz_pages pages = {0};
    struct tz_buf b;
    tz_buf_init(&b, 1024);
    const uint64_t next[] = {90, 50, 50};
    for (size_t i = 0; i < 3; i++) {
        struct tz_msg_history m = {.next = next[i]};
        tz_buf_clear(&b);
        assert_int_equal(tz_msg_put_history(&b, &m), 0);
        assert_int_equal(tz_pages_add(&pages, tz_buf_unread(&b)),
                         i < 2 ? 0 : TZ_E_PROTOCOL); /* else it would never end */
        assert_true(tz_pages_go_on(&pages));
    }
    assert_int_equal(tz_pages_add(&pages, tz_bytes_str("\x10")), TZ_E_FORMAT);
    assert_int_equal(tz_pages_add(&pages, tz_bytes_str("")), 0);
    assert_int_equal(pages.n, 3);
    assert_false(tz_pages_go_on(&pages));
    tz_pages_free(&pages);
    for (uint64_t i = 0; i < TZ_INQUIRY_PAGES_MAX; i++) {
        struct tz_msg_history m = {.next = 1000 - i};
        assert_true(i == 0 || tz_pages_go_on(&pages));
        tz_buf_clear(&b);
        assert_int_equal(tz_msg_put_history(&b, &m), 0);
        assert_int_equal(tz_pages_add(&pages, tz_buf_unread(&b)), 0);
    }
    assert_false(tz_pages_go_on(&pages)); /* as many as are kept, though there are more */
    assert_int_equal(tz_pages_add(&pages, tz_bytes_str("")), TZ_E_PROTOCOL);
    tz_pages_free(&pages);
    tz_buf_deinit(&b);
}

static void sync_without_certificates_says_not_enrolled(void **state)
{
    struct place *p = *state;
    struct tz_client *c;
    struct tz_client_error err;
    make_office(p);
    assert_int_equal(tz_client_open(p->folder, CATALOGUE, &c, &err), 0);
    assert_int_equal(tz_client_sync(c, NULL, NULL, NULL, &err), TZ_E_NOT_ENROLLED);
    tz_client_close(c);
}

static void the_lease_is_for_one(void **state)
{
    struct place *p = *state;
    struct tz_err err = {0};
    int first, second;
    assert_int_equal(tz_folder_make(p->folder, &err), 0);
    assert_int_equal(tz_folder_lease(p->folder, &first, &err), 0);
    assert_int_equal(tz_folder_lease(p->folder, &second, &err), TZ_E_LEASE);
    tz_folder_lease_release(first);
    assert_int_equal(tz_folder_lease(p->folder, &second, &err), 0);
    tz_folder_lease_release(second);
}

static void a_file_is_replaced_whole_and_private(void **state)
{
    struct place *p = *state;
    struct tz_err err = {0};
    struct tz_buf b;
    struct stat st;
    char path[PATH_MAX];
    assert_int_equal(tz_folder_make(p->folder, &err), 0);
    assert_int_equal(tz_folder_write(p->folder, TZ_FOLDER_PIN, tz_bytes_str("a longer text"), &err), 0);
    assert_int_equal(tz_folder_write(p->folder, TZ_FOLDER_PIN, tz_bytes_str("short"), &err), 0);
    tz_buf_init(&b, 64);
    assert_int_equal(tz_folder_read(p->folder, TZ_FOLDER_PIN, &b, &err), 0);
    assert_true(tz_bytes_eq(tz_buf_unread(&b), tz_bytes_str("short")));
    tz_buf_deinit(&b);
    assert_int_equal(tz_folder_path(p->folder, TZ_FOLDER_PIN, path, &err), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_false(there(p->folder, TZ_FOLDER_PIN ".new"));
}

static void reports_survive_the_way_through_the_agent(void **state)
{
    struct tz_round_report in = {.sent = 1,
                                 .answered = 2,
                                 .applied = 3,
                                 .rows = 4,
                                 .refused = 5,
                                 .waiting = 6,
                                 .held = 7,
                                 .cases = 8,
                                 .unsent = 9,
                                 .offset_ms = -10,
                                 .audit_changed = true,
                                 .compared = true};
    struct tz_round_report out;
    (void)state;
    in.compare = (struct tz_compare_result){
        .code = TZ_E_TIMEOUT, .same = true, .rows_here = 11, .rows_server = 12, .ver = 13, .attempts = 5};
    json_t *j = tz_round_json(&in);
    assert_non_null(j);
    tz_round_parse(j, &out);
    json_decref(j);
    assert_int_equal(out.sent + out.answered + out.applied + out.rows + out.refused, 15);
    assert_int_equal(out.waiting * 100 + out.held * 10 + out.cases, 678);
    assert_int_equal(out.unsent, 9);
    assert_int_equal(out.offset_ms, -10);
    assert_true(out.audit_changed);
    assert_true(out.compared && out.compare.same && !out.compare.audit_ok);
    assert_int_equal(out.compare.code, TZ_E_TIMEOUT);
    assert_int_equal(out.compare.rows_here * 100 + out.compare.rows_server, 1112);
    assert_int_equal(out.compare.ver * 10 + out.compare.attempts, 135);
}

static void only_what_passes_is_tried_again(void **state)
{
    (void)state;
    assert_true(tz_conn_passes(TZ_E_UNREACHABLE, false));
    assert_true(tz_conn_passes(TZ_E_TLS, false));
    assert_true(tz_conn_passes(TZ_E_DRAINING, true));
    assert_true(tz_conn_passes(TZ_E_DB, true));
    assert_false(tz_conn_passes(TZ_E_DB, false));
    assert_true(tz_conn_passes(TZ_E_DISK_FULL, false));
    assert_false(tz_conn_passes(TZ_E_REVOKED, true));
    assert_false(tz_conn_passes(TZ_E_SERVER_KEY, false));
    assert_false(tz_conn_passes(TZ_E_VERSION, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_typo_is_found_before_anything_is_made, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_join_keeps_its_key_and_uses_it_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_folder_without_office_has_not_joined, setup, teardown),
        cmocka_unit_test_setup_teardown(a_joined_folder_is_not_joined_by_another_invitation, setup, teardown),
        cmocka_unit_test_setup_teardown(history_is_told_from_here_and_says_that_the_server_has_more, setup, teardown),
        cmocka_unit_test(pages_go_downwards_and_end),
        cmocka_unit_test_setup_teardown(status_fills_no_more_than_an_older_caller_has, setup, teardown),
        cmocka_unit_test_setup_teardown(sync_without_certificates_says_not_enrolled, setup, teardown),
        cmocka_unit_test_setup_teardown(the_lease_is_for_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_is_replaced_whole_and_private, setup, teardown),
        cmocka_unit_test(reports_survive_the_way_through_the_agent),
        cmocka_unit_test(only_what_passes_is_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
