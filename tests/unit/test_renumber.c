/* SPDX-License-Identifier: Apache-2.0 */
/* The office: a copied folder, or one that was put back, goes on under numbers of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hash.h"
#include "office_fixture.h"
#include "office_int.h"

#include <string.h>

#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)

static struct tz_msg_renumber ask(struct fx *f)
{
    struct tz_msg_renumber m;
    assert_int_equal(tz_office_renumber_ask(f->o, &m, NULL), 0);
    return m;
}

static void load_hash(struct fx *f, uint64_t seq, uint8_t hash[TZ_HASH_BYTES])
{
    struct tz_bytes *raw;
    uint64_t *seqs;
    size_t n;
    assert_int_equal(tz_office_outbox(f->o, seq - 1, seq, 1 << 18, &f->a, &raw, &seqs, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_int_equal(tz_sha256(raw[0], hash), 0);
}

static void saves_without_an_answer_of_their_own_are_made_over(void **state)
{
    struct fx *f = *state;
    struct tz_row row;
    struct tz_office_balance b;
    uint64_t seq[4];
    uint64_t n = 0;
    struct tz_id id[4];
    uint8_t hash[TZ_HASH_BYTES];
    for (int i = 0; i < 3; i++)
        id[i] = fx_new_org(f, "甲", &seq[i]);
    assert_int_equal(fx_result(f, seq[0], TZ_OUT_APPLIED, 2, 0), 0);
    load_hash(f, seq[1], hash);
    assert_int_equal(fx_result(f, seq[1], TZ_OUT_HELD, 0, TZ_E_FORKED), 0);
    struct tz_msg_renumber first = ask(f);
    assert_int_equal(first.fork_seq, seq[0]);
    fx_reopen(f, &f->cat); /* the process ended before the answer came */
    struct tz_msg_renumber again = ask(f);
    assert_memory_equal(first.token, again.token, sizeof first.token);
    assert_int_equal(tz_office_renumbered(f->o, 2, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_int_equal(tz_office_identity(f->o)->incarnation, 2);
    struct tz_changeset cs = fx_changeset(f, seq[1]);
    assert_int_equal(cs.incarnation, 2);
    assert_int_equal(cs.seq, seq[1]);
    assert_true(tz_bytes_eq(cs.former, tz_bytes_of(hash, sizeof hash)));
    assert_int_equal(fx_changeset(f, seq[0]).incarnation, 1);
    assert_int_equal(tz_office_balance(f->o, &b, NULL), 0);
    assert_int_equal(b.unsent, 2);
    assert_int_equal(b.held, 0);
    for (int i = 0; i < 3; i++)
        assert_true(fx_read(f, f->org, id[i], &row, NULL));
    id[3] = fx_new_org(f, "乙", &seq[3]);
    assert_int_equal(seq[3], seq[2] + 1);
    assert_int_equal(fx_changeset(f, seq[3]).incarnation, 2);
    assert_int_equal(fx_result(f, seq[1], TZ_OUT_APPLIED, 3, 0), 0);
    assert_int_equal(tz_office_balance(f->o, &b, NULL), 0);
    assert_int_equal(b.applied, 2);
    struct tz_msg_renumber next = ask(f); /* once more a copy: another token */
    assert_memory_not_equal(first.token, next.token, sizeof first.token);
}

/** A copy of the copy names the first hash: that is the one that all of them have in common. */
static void made_over_twice_it_keeps_the_first_hash(void **state)
{
    struct fx *f = *state;
    uint64_t seq;
    uint64_t n;
    uint8_t hash[TZ_HASH_BYTES];
    (void)fx_new_org(f, "甲", &seq);
    load_hash(f, seq, hash);
    assert_int_equal(tz_office_renumbered(f->o, 2, &n, NULL), 0);
    assert_int_equal(fx_result(f, seq, TZ_OUT_HELD, 0, TZ_E_FORKED), 0);
    assert_int_equal(tz_office_renumbered(f->o, 5, &n, NULL), 0);
    struct tz_changeset cs = fx_changeset(f, seq);
    assert_int_equal(cs.incarnation, 5);
    assert_true(tz_bytes_eq(cs.former, tz_bytes_of(hash, sizeof hash)));
}

static void a_withdrawal_names_the_new_bytes_of_what_it_takes_back(void **state)
{
    struct fx *f = *state;
    struct tz_err err = {0};
    uint64_t held;
    uint64_t seq = 0;
    uint64_t n;
    uint8_t hash[TZ_HASH_BYTES];
    (void)fx_new_org(f, "甲", &held);
    load_hash(f, held, hash);
    assert_int_equal(fx_result(f, held, TZ_OUT_HELD, 0, TZ_E_FORKED), 0);
    struct tz_save *s = NULL;
    const struct tz_save_options opt = {.independent = false};
    assert_int_equal(tz_save_begin(f->o, &opt, &s, &err), 0);
    assert_int_equal(tz_save_withdraw(s, held, &err), 0);
    assert_int_equal(tz_save_commit(s, &seq, &err), 0);
    assert_int_equal(tz_office_renumbered(f->o, 2, &n, NULL), 0);
    assert_int_equal(n, 2);
    load_hash(f, held, hash);
    struct tz_changeset cs = fx_changeset(f, seq);
    assert_int_equal(cs.ops[0].kind, TZ_OP_WITHDRAW);
    assert_int_equal(cs.ops[0].target_seq, held);
    assert_true(tz_bytes_eq(cs.ops[0].target_hash, tz_bytes_of(hash, sizeof hash)));
}

static void an_incarnation_of_before_is_not_taken(void **state)
{
    struct fx *f = *state;
    uint64_t n;
    assert_int_equal(tz_office_renumbered(f->o, 1, &n, NULL), TZ_E_PROTOCOL);
    assert_int_equal(tz_office_identity(f->o)->incarnation, 1);
}

/* ---- lost ones ---- */

static void exec(struct fx *f, const char *sql)
{
    assert_int_equal(tz_db_exec(f->o->db, sql, NULL), 0);
}

static void saves_that_a_disk_has_lost_are_told_once_somebody_says_so(void **state)
{
    struct fx *f = *state;
    struct tz_msg_hello h;
    struct tz_office_balance b;
    uint64_t seq[4];
    uint64_t gone[8];
    size_t n = 0;
    for (int i = 0; i < 4; i++)
        (void)fx_new_org(f, "甲", &seq[i]);
    assert_int_equal(fx_result(f, seq[0], TZ_OUT_APPLIED, 2, 0), 0);
    assert_int_equal(tz_office_missing(f->o, gone, 8, &n, NULL), 0);
    assert_int_equal(n, 0);
    exec(f, "UPDATE outbox SET raw = x'00' WHERE seq = 2");
    exec(f, "DELETE FROM outbox WHERE seq = 3");
    assert_int_equal(tz_office_missing(f->o, gone, 8, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_int_equal(gone[0], 2);
    assert_int_equal(gone[1], 3);
    assert_int_equal(tz_office_hello(f->o, "x", &f->a, &h, NULL), 0);
    assert_int_equal(h.nlost, 0); /* nobody has said so yet */
    assert_int_equal(tz_office_give_up(f->o, gone, n, NULL), 0);
    assert_int_equal(tz_office_hello(f->o, "x", &f->a, &h, NULL), 0);
    assert_int_equal(h.nlost, 2);
    assert_int_equal(h.lost_seqs[0], 2);
    assert_int_equal(h.lost_seqs[1], 3);
    assert_int_equal(tz_office_missing(f->o, gone, 8, &n, NULL), 0);
    assert_int_equal(n, 0);
    assert_int_equal(tz_office_balance(f->o, &b, NULL), 0);
    assert_int_equal(b.lost, 1); /* of the other nothing was left to count */
    assert_int_equal(b.made, b.applied + b.unsent + b.lost);
    assert_int_equal(fx_result(f, seq[3], TZ_OUT_APPLIED, 3, 0), 0);
    assert_int_equal(tz_office_hello(f->o, "x", &f->a, &h, NULL), 0);
    assert_int_equal(h.nlost, 0); /* the server knows */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(saves_without_an_answer_of_their_own_are_made_over),        T(made_over_twice_it_keeps_the_first_hash),
        T(a_withdrawal_names_the_new_bytes_of_what_it_takes_back),    T(an_incarnation_of_before_is_not_taken),
        T(saves_that_a_disk_has_lost_are_told_once_somebody_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
