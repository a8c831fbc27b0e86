/* SPDX-License-Identifier: Apache-2.0 */

/* Messages there and back with distinctive values, and the bytes are those protobuf-c makes of sync.proto. */

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdlib.h>
#include <string.h>

#include "msg_samples.h"

static void assert_bytes(struct tz_bytes b, const char *text)
{
    assert_int_equal(b.n, strlen(text));
    assert_true(tz_bytes_eq(b, tz_bytes_str(text)));
}

static void bytes_are_those_of_protobuf_c(void **state)
{
    (void)state;
    for (size_t i = 0; i < NMESSAGES; i++) {
        tz_buf_clear(&out);
        assert_int_equal(messages[i].put(), 0);
        ProtobufCMessage *m = protobuf_c_message_unpack(messages[i].descriptor, NULL, out.len, out.p);
        assert_non_null(m);
        size_t n = protobuf_c_message_get_packed_size(m);
        uint8_t *again = malloc(n + 1);
        assert_non_null(again);
        assert_int_equal(protobuf_c_message_pack(m, again), n);
        assert_int_equal(n, out.len);
        assert_int_equal(memcmp(again, out.p, n), 0);
        free(again);
        protobuf_c_message_free_unpacked(m, NULL);
    }
}

static void writing_twice_gives_the_same_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < NMESSAGES; i++) {
        tz_buf_clear(&out);
        assert_int_equal(messages[i].put(), 0);
        size_t n = out.len;
        assert_int_equal(messages[i].put(), 0);
        assert_int_equal(out.len, 2 * n);
        assert_int_equal(memcmp(out.p, out.p + n, n), 0);
    }
}

/* ---- there and back ---- */

static void hello_round_trip(void **state)
{
    (void)state;
    struct tz_msg_hello m = a_hello(), r;
    assert_int_equal(tz_msg_put_hello(&out, &m), 0);
    assert_int_equal(tz_msg_read_hello(tz_buf_unread(&out), &arena, &r, &err), 0);
    assert_int_equal(r.protocol, m.protocol);
    assert_string_equal(r.software, m.software);
    assert_int_equal(r.catalogue_version, m.catalogue_version);
    assert_int_equal(r.incarnation, m.incarnation);
    assert_int_equal(r.wall_ms, m.wall_ms);
    assert_int_equal(r.checkpoint, m.checkpoint);
    assert_int_equal(r.audit_n, m.audit_n);
    assert_memory_equal(r.audit_hash, m.audit_hash, TZ_HASH_BYTES);
    assert_int_equal(r.nlost, 3);
    assert_memory_equal(r.lost_seqs, lost, sizeof(lost));
    assert_int_equal(r.last_seq, m.last_seq);
    assert_int_equal(r.heard_seq, m.heard_seq);
}

static void welcome_round_trip(void **state)
{
    (void)state;
    struct tz_msg_welcome m = a_welcome(), r;
    assert_int_equal(tz_msg_put_welcome(&out, &m), 0);
    assert_int_equal(tz_msg_read_welcome(tz_buf_unread(&out), &arena, &r, &err), 0);
    assert_int_equal(r.protocol, m.protocol);
    assert_string_equal(r.software, m.software);
    assert_int_equal(r.catalogue_version, m.catalogue_version);
    assert_int_equal(r.wall_ms, m.wall_ms);
    assert_int_equal(r.epoch, m.epoch);
    assert_int_equal(r.device, m.device);
    assert_int_equal(r.incarnation, m.incarnation);
    assert_string_equal(r.device_name, m.device_name);
    assert_string_equal(r.role, m.role);
    assert_string_equal(r.area, m.area);
    assert_int_equal(r.nareas, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(tz_area_eq(&r.areas[i], &areas[i]));
    assert_true(r.reads_secret);
    assert_int_equal(r.nusers, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_true(tz_id_eq(r.users[i].id, users[i].id));
        assert_string_equal(r.users[i].code, users[i].code);
        assert_string_equal(r.users[i].name, users[i].name);
        assert_string_equal(r.users[i].role, users[i].role);
        assert_int_equal(r.users[i].active, users[i].active);
    }
    assert_int_equal(r.judged_seq, m.judged_seq);
    assert_int_equal(r.head, m.head);
    assert_int_equal(r.audit_n, m.audit_n);
    assert_memory_equal(r.audit_hash, m.audit_hash, TZ_HASH_BYTES);
    assert_int_equal(r.push_in_flight_max, 8);
    assert_int_equal(r.rows_in_flight_max, 4);
    assert_int_equal(r.recovery_until_ms, m.recovery_until_ms);
    assert_int_equal(r.nlost, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(r.lost[i].above, m.lost[i].above);
        assert_int_equal(r.lost[i].upto, m.lost[i].upto);
        assert_int_equal(r.lost[i].epoch, m.lost[i].epoch);
    }
    assert_int_equal(r.audit, TZ_AUDIT_CHANGED);
}

static void error_round_trip(void **state)
{
    (void)state;
    struct tz_msg_error m = an_error(), r;
    assert_int_equal(tz_msg_put_error(&out, &m), 0);
    assert_int_equal(tz_msg_read_error(tz_buf_unread(&out), &arena, &r, &err), 0);
    assert_int_equal(r.code, TZ_E_PROTOCOL);
    assert_int_equal(r.nargs, 2);
    assert_string_equal(r.args[0], "Push 9");
    assert_string_equal(r.args[1], "二");
    assert_true(r.fatal);
}

static void an_unknown_error_number_becomes_an_argument(void **state)
{
    (void)state;
    struct tz_msg_error m = {.code = -54321, .args = {"x"}, .nargs = 1}, r;
    assert_int_equal(tz_msg_put_error(&out, &m), 0);
    assert_int_equal(tz_msg_read_error(tz_buf_unread(&out), &arena, &r, &err), 0);
    assert_int_equal(r.code, TZ_E_PROTOCOL);
    assert_int_equal(r.nargs, 1);
    assert_string_equal(r.args[0], "54321");
}

static void small_messages_round_trip(void **state)
{
    (void)state;
    uint64_t nonce;
    uint32_t frames;
    assert_int_equal(put_ping(), 0);
    assert_int_equal(tz_msg_read_ping(tz_buf_unread(&out), &nonce, &err), 0);
    assert_true(nonce == UINT64_C(0xFEDCBA9876543210));
    tz_buf_clear(&out);
    assert_int_equal(put_ack(), 0);
    assert_int_equal(tz_msg_read_ack(tz_buf_unread(&out), &frames, &err), 0);
    assert_int_equal(frames, UINT32_MAX);
    tz_buf_clear(&out);
    struct tz_msg_checkpoint c;
    uint8_t hash[TZ_HASH_BYTES];
    fill_hash(hash, 3);
    assert_int_equal(put_checkpoint(), 0);
    assert_int_equal(tz_msg_read_checkpoint(tz_buf_unread(&out), &c, &err), 0);
    assert_int_equal(c.ver, 91);
    assert_int_equal(c.audit_n, 4);
    assert_memory_equal(c.audit_hash, hash, TZ_HASH_BYTES);
    tz_buf_clear(&out);
    struct tz_msg_verify v;
    fill_hash(hash, 4);
    assert_int_equal(put_verify(), 0);
    assert_int_equal(tz_msg_read_verify(tz_buf_unread(&out), &v, &err), 0);
    assert_int_equal(v.audit_n, 4);
    assert_memory_equal(v.audit_hash, hash, TZ_HASH_BYTES);
}

static void verified_round_trip(void **state)
{
    (void)state;
    struct tz_msg_verified m = a_verified(), r;
    assert_int_equal(tz_msg_put_verified(&out, &m), 0);
    assert_int_equal(tz_msg_read_verified(tz_buf_unread(&out), &r, &err), 0);
    assert_int_equal(r.ver, 55);
    assert_int_equal(r.rows, 20001);
    assert_memory_equal(r.digest, m.digest, TZ_HASH_BYTES);
    assert_true(r.audit_ok);
    assert_int_equal(r.audit_n, 56);
    assert_memory_equal(r.audit_hash, m.audit_hash, TZ_HASH_BYTES);
}

static void digest_request_round_trip(void **state)
{
    (void)state;
    struct tz_msg_digest_request m = a_digest_request(), r;
    assert_int_equal(tz_msg_put_digest_request(&out, &m), 0);
    assert_int_equal(tz_msg_read_digest_request(tz_buf_unread(&out), &r, &err), 0);
    assert_int_equal(r.round, TZ_DIGEST_ROWS);
    assert_int_equal(r.after.type, 0);
    assert_int_equal(r.nkeys, 1);
    assert_int_equal(tz_bucket_key_cmp(&r.keys[0], &m.keys[0]), 0);
    assert_memory_equal(r.ranges, m.ranges, sizeof m.ranges);
    assert_true(tz_id_eq(r.after_id, m.after_id));
    m = (struct tz_msg_digest_request){.round = TZ_DIGEST_AREAS, .after = {7, {"120104", ""}}};
    tz_buf_clear(&out);
    assert_int_equal(tz_msg_put_digest_request(&out, &m), 0);
    assert_int_equal(tz_msg_read_digest_request(tz_buf_unread(&out), &r, &err), 0);
    assert_int_equal(tz_bucket_key_cmp(&r.after, &m.after), 0);
}

static void digest_round_trip(void **state)
{
    (void)state;
    struct tz_msg_digest m = a_digest(), r;
    assert_int_equal(tz_msg_put_digest(&out, &m), 0);
    assert_int_equal(tz_msg_read_digest(tz_buf_unread(&out), &arena, &r, &err), 0);
    assert_int_equal(r.round, TZ_DIGEST_RANGES);
    assert_int_equal(r.nrows, 3);
    assert_int_equal(r.rows[1].ver, 91);
    assert_int_equal(r.nentries, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(tz_bucket_key_cmp(&r.entries[i].key, &m.entries[i].key), 0);
        assert_int_equal(r.entries[i].range, m.entries[i].range);
        assert_true(tz_bucket_same(&r.entries[i].sum, &m.entries[i].sum));
    }
    assert_int_equal(r.ver, 91);
    assert_int_equal(r.since, 90);
    assert_true(r.more);
    assert_true(r.repair_keeps);
}

static void damage_round_trip(void **state)
{
    (void)state;
    struct tz_msg_damage m = a_damage(), r;
    bool noted = false;
    assert_int_equal(tz_msg_put_damage(&out, &m), 0);
    assert_int_equal(tz_msg_read_damage(tz_buf_unread(&out), &r, &err), 0);
    assert_int_equal(r.nbuckets, 2);
    assert_int_equal(tz_bucket_key_cmp(&r.buckets[0].key, &m.buckets[0].key), 0);
    assert_int_equal(r.buckets[0].range, 200);
    assert_int_equal(r.buckets[0].rows, 3);
    assert_int_equal(r.ver, 91);
    assert_int_equal(r.changed * 10000 + r.missing * 1000 + r.extra * 100 + r.kept * 10 + r.unfit, 12345);
    tz_buf_clear(&out);
    assert_int_equal(tz_msg_put_damage_noted(&out, true), 0);
    assert_int_equal(tz_msg_read_damage_noted(tz_buf_unread(&out), &noted, &err), 0);
    assert_true(noted);
    assert_int_equal(tz_msg_read_damage_noted((struct tz_bytes){0}, &noted, &err), 0);
    assert_false(noted);
}

static void wiping_round_trips(void **state)
{
    (void)state;
    struct tz_msg_wipe_order o = a_wipe_order(), ro;
    struct tz_msg_wipe_receipt m = a_wipe_receipt(), rm;
    bool noted = false;
    assert_int_equal(tz_msg_put_wipe_order(&out, &o), 0);
    assert_int_equal(tz_msg_read_wipe_order(tz_buf_unread(&out), &ro, &err), 0);
    assert_int_equal(ro.device * 1000 + ro.incarnation * 100 + ro.push_in_flight_max * 10 + ro.taking, 7181);
    assert_int_equal(ro.lost_above, 77);
    assert_int_equal(ro.lost_upto, 99);
    o.lost_above = 100; /* ends before it begins */
    tz_buf_clear(&out);
    assert_int_equal(tz_msg_put_wipe_order(&out, &o), 0);
    assert_int_equal(tz_msg_read_wipe_order(tz_buf_unread(&out), &ro, &err), TZ_E_FORMAT);
    tz_buf_clear(&out);
    assert_int_equal(tz_msg_put_wipe_receipt(&out, &m), 0);
    assert_int_equal(tz_msg_read_wipe_receipt(tz_buf_unread(&out), &rm, &err), 0);
    assert_int_equal(rm.ver, 91);
    assert_true(rm.all);
    tz_buf_clear(&out);
    assert_int_equal(tz_msg_put_wipe_noted(&out, true), 0);
    assert_int_equal(tz_msg_read_wipe_noted(tz_buf_unread(&out), &noted, &err), 0);
    assert_true(noted);
}

static void history_ask_round_trip(void **state)
{
    (void)state;
    struct tz_msg_history_ask m = a_history_ask(), r;
    assert_int_equal(put_history_ask(), 0);
    assert_int_equal(tz_msg_read_history_ask(tz_buf_unread(&out), &r, &err), 0);
    assert_int_equal(r.type, m.type);
    assert_true(tz_id_eq(r.id, m.id));
    assert_int_equal(r.field, m.field);
    assert_true(r.before == m.before);
}

static void assert_history_op(const struct tz_history_op *r, const struct tz_history_op *h)
{
    assert_int_equal(r->op.kind, h->op.kind);
    assert_int_equal(r->op.base_ver, h->op.base_ver);
    assert_int_equal(r->op.base_seq, h->op.base_seq);
    assert_true(tz_bytes_eq(r->op.values, h->op.values));
    assert_int_equal(r->op.ncleared, h->op.ncleared);
    for (size_t i = 0; i < h->op.ncleared; i++)
        assert_int_equal(r->op.cleared[i], h->op.cleared[i]);
    assert_int_equal(r->op.field, h->op.field);
    assert_int_equal(r->op.nelements, h->op.nelements);
    for (size_t i = 0; i < h->op.nelements; i++)
        assert_true(tz_bytes_eq(r->op.elements[i], h->op.elements[i]));
    assert_int_equal(r->op.choice, h->op.choice);
    assert_int_equal(r->op.deleted, h->op.deleted);
    assert_string_equal(r->op.action, h->op.action);
    assert_true(tz_id_eq(r->op.other_id, h->op.other_id));
    assert_true(tz_id_eq(r->case_id, h->case_id));
    assert_int_equal(r->index, h->index);
    assert_int_equal(r->as_other, h->as_other);
    assert_int_equal(r->result.outcome, h->result.outcome);
    assert_int_equal(r->result.code, h->result.code);
    assert_int_equal(r->result.nargs, h->result.nargs);
    assert_int_equal(r->result.ncases, h->result.ncases);
    for (size_t i = 0; i < h->result.ncases; i++)
        assert_true(tz_id_eq(r->result.cases[i], h->result.cases[i]));
}

static void history_round_trip(void **state)
{
    (void)state;
    struct tz_msg_history m = a_history(), r;
    assert_int_equal(put_history(), 0);
    assert_int_equal(tz_msg_read_history(tz_buf_unread(&out), &arena, &r, &err), 0);
    assert_int_equal(r.next, 11);
    assert_int_equal(r.born, 7);
    assert_int_equal(r.nstamps, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(r.stamps[i].field, m.stamps[i].field);
        assert_int_equal(r.stamps[i].ver, m.stamps[i].ver);
        assert_int_equal(r.stamps[i].resolved, m.stamps[i].resolved);
    }
    assert_int_equal(r.nentries, 2);
    const struct tz_history_entry *e = &r.entries[0];
    assert_int_equal(e->n, 12);
    assert_int_equal(e->ver, 90);
    assert_int_equal(e->device, 17);
    assert_int_equal(e->incarnation, 2);
    assert_int_equal(e->seq, 42);
    assert_string_equal(e->device_name, "南开区一号机");
    assert_true(tz_id_eq(e->user, an_id(73)));
    assert_string_equal(e->user_code, "zhang");
    assert_string_equal(e->user_name, "张三");
    assert_int_equal(e->claimed, 1234567);
    assert_int_equal(e->offset_ms, -5000);
    assert_int_equal(e->effective, 1234569);
    assert_int_equal(e->received_ms, INT64_C(1700000000123));
    assert_string_equal(e->reason, "补录");
    assert_int_equal(e->outcome, TZ_OUT_SUPERSEDED);
    assert_true(e->imported && !e->erased);
    assert_int_equal(e->nops, 2);
    for (size_t i = 0; i < 2; i++)
        assert_history_op(&e->ops[i], &m.entries[0].ops[i]);
    assert_true(r.entries[1].erased && r.entries[1].nops == 0 && tz_id_is_zero(r.entries[1].user));
}

static void a_history_built_piece_by_piece_is_the_same_message(void **state)
{
    (void)state;
    struct tz_msg_history m = a_history();
    assert_int_equal(put_history(), 0);
    size_t n = out.len;
    for (size_t i = 0; i < m.nentries; i++)
        assert_int_equal(tz_msg_put_history_entry(&out, &m.entries[i]), 0);
    m.nentries = 0;
    assert_int_equal(tz_msg_put_history(&out, &m), 0);
    assert_int_equal(out.len, 2 * n);
    assert_int_equal(memcmp(out.p, out.p + n, n), 0);
}

static void enrolment_round_trip(void **state)
{
    (void)state;
    struct tz_msg_enrol q;
    assert_int_equal(put_enrol(), 0);
    assert_int_equal(tz_msg_read_enrol(tz_buf_unread(&out), &arena, &q, &err), 0);
    assert_int_equal(q.protocol, 1);
    assert_string_equal(q.software, "py 1");
    assert_bytes(q.secret, "0123456789abcdef");
    assert_bytes(q.csr, "csr der");
    tz_buf_clear(&out);
    struct tz_msg_enrolled r;
    assert_int_equal(put_enrolled(), 0);
    assert_int_equal(tz_msg_read_enrolled(tz_buf_unread(&out), &arena, &r, &err), 0);
    assert_bytes(r.certificate, "cert");
    assert_bytes(r.ca, "ca");
    assert_int_equal(r.device, 17);
    assert_int_equal(r.incarnation, 1);
    assert_string_equal(r.name, "机");
    assert_string_equal(r.role, "F_INSP");
    assert_string_equal(r.area, "120104001");
    assert_true(tz_id_eq(r.user, an_id(60)));
}

static void push_and_results_borrow_from_the_frame(void **state)
{
    (void)state;
    struct tz_bytes *sets;
    struct tz_signed_result *r;
    size_t n;
    assert_int_equal(put_push(), 0);
    assert_int_equal(tz_msg_read_push(tz_buf_unread(&out), &arena, &sets, &n, &err), 0);
    assert_int_equal(n, 2);
    assert_bytes(sets[0], "first changeset");
    assert_bytes(sets[1], "second");
    assert_true(sets[0].p > out.p && sets[1].p < out.p + out.len);
    tz_buf_clear(&out);
    struct tz_offered *saves;
    assert_int_equal(put_reoffer(), 0);
    assert_int_equal(tz_msg_read_reoffer(tz_buf_unread(&out), &arena, &saves, &n, &err), 0);
    assert_int_equal(n, 2);
    assert_bytes(saves[0].changeset, "first changeset");
    assert_bytes(saves[0].was.result, "result");
    assert_int_equal(saves[0].was.mac.n, TZ_HASH_BYTES);
    assert_bytes(saves[1].changeset, "second");
    assert_int_equal(saves[1].was.result.n, 0);
    tz_buf_clear(&out);
    assert_int_equal(put_results(), 0);
    assert_int_equal(tz_msg_read_results(tz_buf_unread(&out), &arena, &r, &n, &err), 0);
    assert_int_equal(n, 2);
    assert_bytes(r[0].result, "result");
    assert_bytes(r[0].mac, "0123456789abcdef0123456789abcdef");
    assert_int_equal(r[1].result.n, 0);
    assert_int_equal(r[1].mac.n, 0);
}

static void assert_cursors(const struct tz_cursor *c, size_t n)
{
    assert_int_equal(n, 2);
    for (size_t i = 0; i < n; i++) {
        assert_true(tz_area_eq(&c[i].area, &cursors[i].area));
        assert_int_equal(c[i].tier, cursors[i].tier);
        assert_int_equal(c[i].ver, cursors[i].ver);
    }
}

static void pull_round_trip(void **state)
{
    (void)state;
    struct tz_cursor *c;
    size_t n;
    assert_int_equal(put_pull(), 0);
    assert_int_equal(tz_msg_read_pull(tz_buf_unread(&out), &arena, &c, &n, &err), 0);
    assert_cursors(c, n);
}

static void rows_round_trip(void **state)
{
    (void)state;
    struct tz_msg_rows m = a_rows(), r;
    assert_int_equal(tz_msg_put_rows(&out, &m), 0);
    assert_int_equal(tz_msg_read_rows(tz_buf_unread(&out), &arena, &r, &err), 0);
    assert_int_equal(r.nrows, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(r.rows[i].type, rows[i].type);
        assert_true(tz_id_eq(r.rows[i].id, rows[i].id));
        assert_int_equal(r.rows[i].ver, rows[i].ver);
        assert_true(tz_area_eq(&r.rows[i].area, &rows[i].area));
        assert_int_equal(r.rows[i].state, rows[i].state);
        assert_true(tz_bytes_eq(r.rows[i].body, rows[i].body));
    }
    assert_cursors(r.progress, r.nprogress);
}

static void rows_built_piece_by_piece_are_the_same_message(void **state)
{
    (void)state;
    struct tz_msg_rows m = a_rows();
    assert_int_equal(tz_msg_put_rows(&out, &m), 0);
    size_t n = out.len;
    for (size_t i = 0; i < m.nrows; i++)
        assert_int_equal(tz_msg_put_rows_row(&out, &m.rows[i]), 0);
    for (size_t i = 0; i < m.nprogress; i++)
        assert_int_equal(tz_msg_put_rows_progress(&out, &m.progress[i]), 0);
    assert_int_equal(out.len, 2 * n);
    assert_int_equal(memcmp(out.p, out.p + n, n), 0);
}

static void assert_op(const struct tz_op *r, const struct tz_op *op)
{
    assert_int_equal(r->kind, op->kind);
    assert_int_equal(r->type, op->type);
    assert_true(tz_id_eq(r->id, op->id));
    assert_int_equal(r->base_ver, op->base_ver);
    assert_int_equal(r->base_seq, op->base_seq);
    assert_true(tz_bytes_eq(r->values, op->values));
    assert_int_equal(r->ncleared, op->ncleared);
    for (size_t i = 0; i < op->ncleared; i++)
        assert_int_equal(r->cleared[i], op->cleared[i]);
    assert_int_equal(r->field, op->field);
    assert_int_equal(r->nelements, op->nelements);
    for (size_t i = 0; i < op->nelements; i++)
        assert_true(tz_bytes_eq(r->elements[i], op->elements[i]));
    assert_true(tz_id_eq(r->other_id, op->other_id));
    assert_int_equal(r->generation, op->generation);
    assert_int_equal(r->choice, op->choice);
    assert_string_equal(r->action, op->action);
    assert_string_equal(r->expected_state, op->expected_state);
    assert_int_equal(r->expected_seq, op->expected_seq);
    assert_int_equal(r->target_seq, op->target_seq);
    assert_int_equal(r->deleted, op->deleted);
    assert_true(tz_bytes_eq(r->target_hash, op->target_hash));
    assert_true(tz_bytes_eq(r->note, op->note));
}

static void changeset_round_trip(void **state)
{
    (void)state;
    struct tz_changeset c = a_changeset(), r;
    assert_int_equal(tz_msg_put_changeset(&out, &c), 0);
    assert_int_equal(tz_msg_read_changeset(tz_buf_unread(&out), &arena, &r, &err), 0);
    assert_int_equal(r.device, c.device);
    assert_int_equal(r.incarnation, c.incarnation);
    assert_int_equal(r.seq, c.seq);
    assert_true(tz_id_eq(r.user, c.user));
    assert_int_equal(r.hlc, c.hlc);
    assert_int_equal(r.catalogue_version, c.catalogue_version);
    assert_string_equal(r.reason, c.reason);
    assert_true(r.independent);
    assert_int_equal(r.base_checkpoint, c.base_checkpoint);
    assert_int_equal(r.nops, 2);
    assert_op(&r.ops[0], &ops[0]);
    assert_op(&r.ops[1], &ops[1]);
    assert_true(tz_id_eq(r.import_id, c.import_id));
    assert_bytes(r.signature, "sig");
}

static void result_round_trip(void **state)
{
    (void)state;
    struct tz_result m = a_result(), r;
    assert_int_equal(tz_msg_put_result(&out, &m), 0);
    assert_int_equal(tz_msg_read_result(tz_buf_unread(&out), &arena, &r, &err), 0);
    assert_int_equal(r.incarnation, 2);
    assert_int_equal(r.seq, 42);
    assert_int_equal(r.outcome, TZ_OUT_WAITING);
    assert_int_equal(r.ver, 777);
    assert_int_equal(r.code, TZ_E_DEPENDS);
    assert_int_equal(r.nargs, 1);
    assert_string_equal(r.args[0], "41");
    assert_int_equal(r.blocked_by, 41);
    assert_memory_equal(r.hash, m.hash, TZ_HASH_BYTES);
    assert_int_equal(r.nops, 2);
    const struct tz_op_result *o = &r.ops[0];
    assert_int_equal(o->outcome, TZ_OUT_SUPERSEDED);
    assert_int_equal(o->code, TZ_E_HAS_CHILDREN);
    assert_int_equal(o->nargs, 2);
    assert_string_equal(o->args[0], "2");
    assert_string_equal(o->args[1], "");
    assert_int_equal(o->ncases, 2);
    assert_true(tz_id_eq(o->cases[0], cases[0]) && tz_id_eq(o->cases[1], cases[1]));
    assert_int_equal(o->ngiven, 1);
    assert_int_equal(o->given[0].field, 3);
    assert_bytes(o->given[0].value, "\x1a\x02no");
    assert_true(tz_id_eq(o->alias_of, an_id(42)));
    assert_true(tz_id_eq(o->absorbed, an_id(43)));
    assert_int_equal(r.ops[1].outcome, TZ_OUT_APPLIED);
    assert_int_equal(r.ops[1].code, 0);
}

static void empty_messages_read_as_defaults_where_nothing_is_required(void **state)
{
    (void)state;
    const struct tz_bytes none = {NULL, 0};
    struct tz_msg_hello h;
    assert_int_equal(tz_msg_read_hello(none, &arena, &h, &err), 0);
    assert_string_equal(h.software, "");
    assert_int_equal(h.nlost, 0);
    struct tz_msg_rows r;
    assert_int_equal(tz_msg_read_rows(none, &arena, &r, &err), 0);
    assert_int_equal(r.nrows + r.nprogress, 0);
    assert_int_equal(read_ping(none), 0);
    assert_int_equal(read_changeset(none), TZ_E_FORMAT); /* format 0 */
    assert_int_equal(read_history(none), 0);
    assert_int_equal(read_history_ask(none), TZ_E_FORMAT); /* no id */
    assert_int_equal(read_enrol(none), TZ_E_FORMAT);       /* no secret */
    assert_int_equal(read_enrolled(none), TZ_E_FORMAT);    /* no user */
}

static void names_of_frame_types(void **state)
{
    (void)state;
    assert_string_equal(tz_msg_name(TZ_MSG_HELLO), "Hello");
    assert_string_equal(tz_msg_name(TZ_MSG_VERIFIED), "Verified");
    assert_string_equal(tz_msg_name(0), "unknown");
    assert_string_equal(tz_msg_name(9), "unknown");
    assert_string_equal(tz_msg_name(255), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MSG_TEST(bytes_are_those_of_protobuf_c),
        MSG_TEST(writing_twice_gives_the_same_bytes),
        MSG_TEST(hello_round_trip),
        MSG_TEST(welcome_round_trip),
        MSG_TEST(error_round_trip),
        MSG_TEST(an_unknown_error_number_becomes_an_argument),
        MSG_TEST(small_messages_round_trip),
        MSG_TEST(verified_round_trip),
        MSG_TEST(digest_request_round_trip),
        MSG_TEST(digest_round_trip),
        MSG_TEST(damage_round_trip),
        MSG_TEST(wiping_round_trips),
        MSG_TEST(history_ask_round_trip),
        MSG_TEST(history_round_trip),
        MSG_TEST(a_history_built_piece_by_piece_is_the_same_message),
        MSG_TEST(enrolment_round_trip),
        MSG_TEST(push_and_results_borrow_from_the_frame),
        MSG_TEST(pull_round_trip),
        MSG_TEST(rows_round_trip),
        MSG_TEST(rows_built_piece_by_piece_are_the_same_message),
        MSG_TEST(changeset_round_trip),
        MSG_TEST(result_round_trip),
        MSG_TEST(empty_messages_read_as_defaults_where_nothing_is_required),
        MSG_TEST(names_of_frame_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
