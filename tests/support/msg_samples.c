/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One message of each kind with every field set to a value found nowhere else, and the table of all of them.
 * Shared by test_msg.c and test_msg_refused.c.
 */

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

struct tz_arena arena;
struct tz_buf out;
struct tz_err err;

int msg_set_up(void **state)
{
    (void)state;
    tz_arena_init(&arena, BUDGET);
    tz_buf_init(&out, OUT_MAX);
    memset(&err, 0, sizeof(err));
    return 0;
}

int msg_tear_down(void **state)
{
    (void)state;
    tz_arena_deinit(&arena);
    tz_buf_deinit(&out);
    return 0;
}

struct tz_id an_id(uint8_t seed)
{
    struct tz_id id;
    for (size_t i = 0; i < TZ_ID_BYTES; i++)
        id.b[i] = (uint8_t)(seed + i);
    return id;
}

void fill_hash(uint8_t hash[TZ_HASH_BYTES], uint8_t seed)
{
    for (size_t i = 0; i < TZ_HASH_BYTES; i++)
        hash[i] = (uint8_t)(seed ^ i);
}

/* ---- builders ---- */

const uint64_t lost[] = {3, 300, UINT64_C(1) << 62};
const struct tz_area areas[] = {{"", ""}, {"120104", ""}, {"120105", "120105003"}};

struct tz_msg_hello a_hello(void)
{
    struct tz_msg_hello m = {.protocol = 1,
                             .software = "taizhang 0.1.0",
                             .catalogue_version = 7,
                             .incarnation = 2,
                             .wall_ms = -123456789,
                             .checkpoint = (UINT64_C(3) << 48) | 77,
                             .audit_n = 99,
                             .lost_seqs = lost,
                             .nlost = 3,
                             .last_seq = UINT64_MAX,
                             .heard_seq = 40,
                             .unsent = 3};
    fill_hash(m.audit_hash, 5);
    return m;
}

struct tz_session_user users[2];
static const struct tz_lost_range lost_ranges[2] = {{1000, (UINT64_C(2) << 48) - 1, 2},
                                                    {(UINT64_C(2) << 48) + 1200, (UINT64_C(4) << 48) - 1, 4}};

struct tz_msg_welcome a_welcome(void)
{
    users[0] =
        (struct tz_session_user){.id = an_id(1), .code = "zhang", .name = "张三", .role = "F_INSP", .active = true};
    users[1] =
        (struct tz_session_user){.id = an_id(2), .code = "li", .name = "李四", .role = "D_EDIT", .active = false};
    struct tz_msg_welcome m = {.protocol = 1,
                               .software = "taizhangd 0.1.0",
                               .catalogue_version = 8,
                               .wall_ms = INT64_C(1700000000123),
                               .epoch = 4,
                               .device = 17,
                               .incarnation = 2,
                               .device_name = "南开区一号机",
                               .role = "D_EDIT",
                               .area = "120104",
                               .areas = areas,
                               .nareas = 3,
                               .reads_secret = true,
                               .users = users,
                               .nusers = 2,
                               .judged_seq = 41,
                               .head = (UINT64_C(4) << 48) | 1000,
                               .audit_n = 12,
                               .push_in_flight_max = 8,
                               .rows_in_flight_max = 4,
                               .recovery_until_ms = INT64_C(1702592000123),
                               .lost = lost_ranges,
                               .nlost = 2,
                               .audit = TZ_AUDIT_CHANGED};
    fill_hash(m.audit_hash, 6);
    return m;
}

static const uint32_t cleared[] = {5, 17000, 18000};
static struct tz_bytes elements[2];
struct tz_op ops[2];

struct tz_changeset a_changeset(void)
{
    elements[0] = tz_bytes_str("甲");
    elements[1] = tz_bytes_str("second");
    ops[0] = (struct tz_op){.kind = TZ_OP_RESOLVE,
                            .type = 12,
                            .id = an_id(10),
                            .base_ver = 1234567,
                            .base_seq = 8,
                            .values = tz_bytes_str("body bytes"),
                            .cleared = cleared,
                            .ncleared = 3,
                            .field = 18000,
                            .elements = elements,
                            .nelements = 2,
                            .other_id = an_id(11),
                            .generation = 3,
                            .choice = TZ_CHOICE_TYPED,
                            .action = "submit",
                            .expected_state = "draft",
                            .expected_seq = 9,
                            .target_seq = 4,
                            .deleted = true,
                            .note = tz_bytes_str("note bytes")};
    ops[1] = (struct tz_op){.kind = TZ_OP_WITHDRAW,
                            .action = "",
                            .expected_state = "",
                            .target_seq = 6,
                            .target_hash = tz_bytes_str("0123456789abcdef0123456789ABCDEF")};
    return (struct tz_changeset){.device = 17,
                                 .incarnation = 2,
                                 .seq = 42,
                                 .user = an_id(20),
                                 .hlc = tz_hlc_of(INT64_C(1700000000000), 7),
                                 .catalogue_version = 8,
                                 .reason = "补录",
                                 .independent = true,
                                 .base_checkpoint = 1234566,
                                 .ops = ops,
                                 .nops = 2,
                                 .import_id = an_id(30),
                                 .signature = tz_bytes_str("sig")};
}

struct tz_id cases[2];
static struct tz_given given[1];
static struct tz_op_result op_results[2];

struct tz_result a_result(void)
{
    cases[0] = an_id(40);
    cases[1] = an_id(41);
    given[0] = (struct tz_given){.field = 3, .value = tz_bytes_str("\x1a\x02no")};
    op_results[0] = (struct tz_op_result){.outcome = TZ_OUT_SUPERSEDED,
                                          .code = TZ_E_HAS_CHILDREN,
                                          .args = {"2", ""},
                                          .nargs = 2,
                                          .cases = cases,
                                          .ncases = 2,
                                          .given = given,
                                          .ngiven = 1,
                                          .alias_of = an_id(42),
                                          .absorbed = an_id(43)};
    op_results[1] = (struct tz_op_result){.outcome = TZ_OUT_APPLIED};
    struct tz_result r = {.incarnation = 2,
                          .seq = 42,
                          .outcome = TZ_OUT_WAITING,
                          .ver = 777,
                          .code = TZ_E_DEPENDS,
                          .args = {"41"},
                          .nargs = 1,
                          .blocked_by = 41,
                          .ops = op_results,
                          .nops = 2,
                          .effective = 12345,
                          .received_ms = 678,
                          .old_ver = 9};
    fill_hash(r.hash, 9);
    return r;
}

struct tz_msg_row rows[3];
struct tz_cursor cursors[2];

struct tz_msg_rows a_rows(void)
{
    rows[0] = (struct tz_msg_row){.type = 1,
                                  .id = an_id(50),
                                  .ver = 90,
                                  .area = {"120104", "120104001"},
                                  .state = TZ_ROW_LIVE,
                                  .body = tz_bytes_str("live")};
    rows[1] = (struct tz_msg_row){
        .type = UINT32_MAX, .id = an_id(51), .ver = 91, .state = TZ_ROW_DELETED, .body = tz_bytes_str("dead")};
    rows[2] = (struct tz_msg_row){.type = 2, .id = {{0}}, .ver = 91, .area = {"120105", ""}, .state = TZ_ROW_LEFT};
    cursors[0] = (struct tz_cursor){.area = {"120104", ""}, .tier = 1, .ver = 91};
    cursors[1] = (struct tz_cursor){.area = {"", ""}, .tier = 0, .ver = 0};
    return (struct tz_msg_rows){.rows = rows, .nrows = 3, .progress = cursors, .nprogress = 2};
}

struct tz_msg_error an_error(void)
{
    return (struct tz_msg_error){.code = TZ_E_PROTOCOL, .args = {"Push 9", "二"}, .nargs = 2, .fatal = true};
}

struct tz_msg_verified a_verified(void)
{
    struct tz_msg_verified m = {.ver = 55, .rows = 20001, .audit_ok = true, .audit_n = 56};
    fill_hash(m.digest, 1);
    fill_hash(m.audit_hash, 2);
    return m;
}

struct tz_msg_digest_request a_digest_request(void)
{
    struct tz_msg_digest_request m = {
        .round = TZ_DIGEST_ROWS, .nkeys = 1, .keys = {{2, {"120104", "120104001"}}}, .after_id = an_id(70)};
    tz_bucket_map_put(m.ranges, 0);
    tz_bucket_map_put(m.ranges, 255);
    return m;
}

static struct tz_bucket entries[2];

struct tz_msg_digest a_digest(void)
{
    (void)a_rows();
    entries[0] = (struct tz_bucket){.key = {1, {"", ""}}, .sum = {.rows = 1}};
    entries[1] = (struct tz_bucket){.key = {2, {"120104", ""}}, .range = 255, .sum = {.rows = 20001}};
    fill_hash(entries[1].sum.digest, 7);
    return (struct tz_msg_digest){.round = TZ_DIGEST_RANGES,
                                  .rows = rows,
                                  .nrows = 3,
                                  .entries = entries,
                                  .nentries = 2,
                                  .ver = 91,
                                  .since = 90,
                                  .more = true,
                                  .repair_keeps = true};
}

struct tz_msg_wipe_order a_wipe_order(void)
{
    return (struct tz_msg_wipe_order){
        .device = 7, .incarnation = 1, .push_in_flight_max = 8, .taking = true, .lost_above = 77, .lost_upto = 99};
}

struct tz_msg_wipe_receipt a_wipe_receipt(void)
{
    return (struct tz_msg_wipe_receipt){.ver = 91, .all = true};
}

struct tz_msg_damage a_damage(void)
{
    return (struct tz_msg_damage){.buckets = {{{2, {"120104", "120104001"}}, 200, 3}, {{1, {"", ""}}, 0, 1}},
                                  .nbuckets = 2,
                                  .ver = 91,
                                  .changed = 1,
                                  .missing = 2,
                                  .extra = 3,
                                  .kept = 4,
                                  .unfit = 5};
}

struct tz_msg_enrol an_enrol(void)
{
    return (struct tz_msg_enrol){
        .protocol = 1, .software = "py 1", .secret = tz_bytes_str("0123456789abcdef"), .csr = tz_bytes_str("csr der")};
}

struct tz_msg_enrolled an_enrolled(void)
{
    return (struct tz_msg_enrolled){.certificate = tz_bytes_str("cert"),
                                    .ca = tz_bytes_str("ca"),
                                    .device = 17,
                                    .incarnation = 1,
                                    .name = "机",
                                    .role = "F_INSP",
                                    .area = "120104001",
                                    .user = an_id(60)};
}

struct tz_msg_history_ask a_history_ask(void)
{
    return (struct tz_msg_history_ask){.type = 10, .id = an_id(70), .field = 3, .before = UINT64_C(1) << 40};
}

static struct tz_history_op history_ops[2];
static struct tz_history_entry history_entries[2];
static const struct tz_field_stamp history_stamps[] = {{3, 90, false}, {18000, 91, true}};

struct tz_msg_history a_history(void)
{
    (void)a_changeset(); /* lists */
    (void)a_result();
    history_ops[0] = (struct tz_history_op){.op = {.kind = TZ_OP_RESOLVE,
                                                   .base_ver = 80,
                                                   .base_seq = 5,
                                                   .values = tz_bytes_str("body"),
                                                   .cleared = cleared,
                                                   .ncleared = 3,
                                                   .field = 18000,
                                                   .elements = elements,
                                                   .nelements = 2,
                                                   .choice = TZ_CHOICE_THEIRS,
                                                   .deleted = true,
                                                   .action = "submit",
                                                   .other_id = an_id(71)},
                                            .result = {.outcome = TZ_OUT_REFUSED,
                                                       .code = TZ_E_HAS_CHILDREN,
                                                       .args = {"2", "x"},
                                                       .nargs = 2,
                                                       .cases = cases,
                                                       .ncases = 2},
                                            .case_id = an_id(72),
                                            .index = 4,
                                            .as_other = true};
    history_ops[1] =
        (struct tz_history_op){.op = {.kind = TZ_OP_CREATE, .action = ""}, .result = {.outcome = TZ_OUT_APPLIED}};
    history_entries[0] = (struct tz_history_entry){.n = 12,
                                                   .ver = 90,
                                                   .device = 17,
                                                   .incarnation = 2,
                                                   .seq = 42,
                                                   .device_name = "南开区一号机",
                                                   .user = an_id(73),
                                                   .user_code = "zhang",
                                                   .user_name = "张三",
                                                   .claimed = 1234567,
                                                   .offset_ms = -5000,
                                                   .effective = 1234569,
                                                   .received_ms = INT64_C(1700000000123),
                                                   .reason = "补录",
                                                   .outcome = TZ_OUT_SUPERSEDED,
                                                   .imported = true,
                                                   .ops = history_ops,
                                                   .nops = 2};
    history_entries[1] = (struct tz_history_entry){.n = 11, .device_name = "", .reason = "", .erased = true};
    return (struct tz_msg_history){
        .entries = history_entries, .nentries = 2, .next = 11, .born = 7, .stamps = history_stamps, .nstamps = 2};
}

/* ---- every message in one table: for the laws that hold for all ---- */

int put_hello(void)
{
    struct tz_msg_hello m = a_hello();
    return tz_msg_put_hello(&out, &m);
}
int read_hello(struct tz_bytes in)
{
    struct tz_msg_hello m;
    return tz_msg_read_hello(in, &arena, &m, &err);
}
int put_welcome(void)
{
    struct tz_msg_welcome m = a_welcome();
    return tz_msg_put_welcome(&out, &m);
}
int read_welcome(struct tz_bytes in)
{
    struct tz_msg_welcome m;
    return tz_msg_read_welcome(in, &arena, &m, &err);
}
int put_error(void)
{
    struct tz_msg_error m = an_error();
    return tz_msg_put_error(&out, &m);
}
int read_error(struct tz_bytes in)
{
    struct tz_msg_error m;
    return tz_msg_read_error(in, &arena, &m, &err);
}
int put_ping(void)
{
    return tz_msg_put_ping(&out, UINT64_C(0xFEDCBA9876543210));
}
int read_ping(struct tz_bytes in)
{
    uint64_t nonce;
    return tz_msg_read_ping(in, &nonce, &err);
}
int put_push(void)
{
    const struct tz_bytes sets[] = {tz_bytes_str("first changeset"), tz_bytes_str("second")};
    return tz_msg_put_push(&out, sets, 2);
}
int read_push(struct tz_bytes in)
{
    struct tz_bytes *sets;
    size_t n;
    return tz_msg_read_push(in, &arena, &sets, &n, &err);
}
int put_reoffer(void)
{
    const struct tz_offered saves[] = {
        {tz_bytes_str("first changeset"),
         {.result = tz_bytes_str("result"), .mac = tz_bytes_str("0123456789abcdef0123456789abcdef")}},
        {tz_bytes_str("second"), {.mac = {NULL, 0}}}};
    return tz_msg_put_reoffer(&out, saves, 2);
}
int read_reoffer(struct tz_bytes in)
{
    struct tz_offered *saves;
    size_t n;
    return tz_msg_read_reoffer(in, &arena, &saves, &n, &err);
}
int put_lost_rows(void)
{
    const struct tz_msg_row row = {.type = 10,
                                   .id = an_id(3),
                                   .ver = 99,
                                   .area = {"120101", ""},
                                   .state = TZ_ROW_LIVE,
                                   .body = tz_bytes_str("body")};
    return tz_msg_put_rows_row(&out, &row);
}
int read_lost_rows(struct tz_bytes in)
{
    const struct tz_msg_row *r;
    size_t n;
    return tz_msg_read_lost_rows(in, &arena, &r, &n, &err);
}
int put_lost_taken(void)
{
    static const uint32_t verdicts[] = {1, 0, 2};
    return tz_msg_put_lost_taken(&out, verdicts, 3);
}
int read_lost_taken(struct tz_bytes in)
{
    uint32_t *verdicts;
    size_t n;
    return tz_msg_read_lost_taken(in, &arena, &verdicts, &n, &err);
}
int put_renumber(void)
{
    const struct tz_msg_renumber m = {"0123456789abcde", 42};
    return tz_msg_put_renumber(&out, &m);
}
int read_renumber(struct tz_bytes in)
{
    struct tz_msg_renumber m;
    return tz_msg_read_renumber(in, &m, &err);
}
int put_renumbered(void)
{
    return tz_msg_put_renumbered(&out, 3);
}
int read_renumbered(struct tz_bytes in)
{
    uint32_t incarnation;
    return tz_msg_read_renumbered(in, &incarnation, &err);
}
int put_results(void)
{
    const struct tz_signed_result r[] = {
        {.result = tz_bytes_str("result"), .mac = tz_bytes_str("0123456789abcdef0123456789abcdef")},
        {.mac = {NULL, 0}}};
    return tz_msg_put_results(&out, r, 2);
}
int read_results(struct tz_bytes in)
{
    struct tz_signed_result *r;
    size_t n;
    return tz_msg_read_results(in, &arena, &r, &n, &err);
}
int put_pull(void)
{
    (void)a_rows();
    return tz_msg_put_pull(&out, cursors, 2);
}
int read_pull(struct tz_bytes in)
{
    struct tz_cursor *c;
    size_t n;
    return tz_msg_read_pull(in, &arena, &c, &n, &err);
}
int put_rows(void)
{
    struct tz_msg_rows m = a_rows();
    return tz_msg_put_rows(&out, &m);
}
int read_rows(struct tz_bytes in)
{
    struct tz_msg_rows m;
    return tz_msg_read_rows(in, &arena, &m, &err);
}
int put_checkpoint(void)
{
    struct tz_msg_checkpoint m = {.ver = 91, .audit_n = 4};
    fill_hash(m.audit_hash, 3);
    return tz_msg_put_checkpoint(&out, &m);
}
int read_checkpoint(struct tz_bytes in)
{
    struct tz_msg_checkpoint m;
    return tz_msg_read_checkpoint(in, &m, &err);
}
int put_ack(void)
{
    return tz_msg_put_ack(&out, UINT32_MAX);
}
int read_ack(struct tz_bytes in)
{
    uint32_t frames;
    return tz_msg_read_ack(in, &frames, &err);
}
int put_verify(void)
{
    struct tz_msg_verify m = {.audit_n = 4};
    fill_hash(m.audit_hash, 4);
    return tz_msg_put_verify(&out, &m);
}
int read_verify(struct tz_bytes in)
{
    struct tz_msg_verify m;
    return tz_msg_read_verify(in, &m, &err);
}
int put_verified(void)
{
    struct tz_msg_verified m = a_verified();
    return tz_msg_put_verified(&out, &m);
}
int read_verified(struct tz_bytes in)
{
    struct tz_msg_verified m;
    return tz_msg_read_verified(in, &m, &err);
}
int put_digest_request(void)
{
    struct tz_msg_digest_request m = a_digest_request();
    return tz_msg_put_digest_request(&out, &m);
}
int read_digest_request(struct tz_bytes in)
{
    struct tz_msg_digest_request m;
    return tz_msg_read_digest_request(in, &m, &err);
}
int put_digest(void)
{
    struct tz_msg_digest m = a_digest();
    return tz_msg_put_digest(&out, &m);
}
int read_digest(struct tz_bytes in)
{
    struct tz_msg_digest m;
    return tz_msg_read_digest(in, &arena, &m, &err);
}
int put_wipe_order(void)
{
    struct tz_msg_wipe_order m = a_wipe_order();
    return tz_msg_put_wipe_order(&out, &m);
}
int read_wipe_order(struct tz_bytes in)
{
    struct tz_msg_wipe_order m;
    return tz_msg_read_wipe_order(in, &m, &err);
}
int put_wipe_receipt(void)
{
    struct tz_msg_wipe_receipt m = a_wipe_receipt();
    return tz_msg_put_wipe_receipt(&out, &m);
}
int read_wipe_receipt(struct tz_bytes in)
{
    struct tz_msg_wipe_receipt m;
    return tz_msg_read_wipe_receipt(in, &m, &err);
}
int put_wipe_noted(void)
{
    return tz_msg_put_wipe_noted(&out, true);
}
int read_wipe_noted(struct tz_bytes in)
{
    bool noted;
    return tz_msg_read_wipe_noted(in, &noted, &err);
}
int put_damage(void)
{
    struct tz_msg_damage m = a_damage();
    return tz_msg_put_damage(&out, &m);
}
int read_damage(struct tz_bytes in)
{
    struct tz_msg_damage m;
    return tz_msg_read_damage(in, &m, &err);
}
int put_damage_noted(void)
{
    return tz_msg_put_damage_noted(&out, true);
}
int read_damage_noted(struct tz_bytes in)
{
    bool noted;
    return tz_msg_read_damage_noted(in, &noted, &err);
}
int put_enrol(void)
{
    struct tz_msg_enrol m = an_enrol();
    return tz_msg_put_enrol(&out, &m);
}
int read_enrol(struct tz_bytes in)
{
    struct tz_msg_enrol m;
    return tz_msg_read_enrol(in, &arena, &m, &err);
}
int put_enrolled(void)
{
    struct tz_msg_enrolled m = an_enrolled();
    return tz_msg_put_enrolled(&out, &m);
}
int read_enrolled(struct tz_bytes in)
{
    struct tz_msg_enrolled m;
    return tz_msg_read_enrolled(in, &arena, &m, &err);
}
int put_history_ask(void)
{
    struct tz_msg_history_ask m = a_history_ask();
    return tz_msg_put_history_ask(&out, &m);
}
int read_history_ask(struct tz_bytes in)
{
    struct tz_msg_history_ask m;
    return tz_msg_read_history_ask(in, &m, &err);
}
int put_history(void)
{
    struct tz_msg_history m = a_history();
    return tz_msg_put_history(&out, &m);
}
int read_history(struct tz_bytes in)
{
    struct tz_msg_history m;
    return tz_msg_read_history(in, &arena, &m, &err);
}
int put_changeset(void)
{
    struct tz_changeset c = a_changeset();
    return tz_msg_put_changeset(&out, &c);
}
int read_changeset(struct tz_bytes in)
{
    struct tz_changeset c;
    return tz_msg_read_changeset(in, &arena, &c, &err);
}
int put_result(void)
{
    struct tz_result r = a_result();
    return tz_msg_put_result(&out, &r);
}
int read_result(struct tz_bytes in)
{
    struct tz_result r;
    return tz_msg_read_result(in, &arena, &r, &err);
}

const struct message messages[NMESSAGES] = {
    {"Hello", put_hello, read_hello, &taizhang__hello__descriptor},
    {"Welcome", put_welcome, read_welcome, &taizhang__welcome__descriptor},
    {"Error", put_error, read_error, &taizhang__error__descriptor},
    {"Ping", put_ping, read_ping, &taizhang__ping__descriptor},
    {"Push", put_push, read_push, &taizhang__push__descriptor},
    {"LostRows", put_lost_rows, read_lost_rows, &taizhang__lost_rows__descriptor},
    {"LostTaken", put_lost_taken, read_lost_taken, &taizhang__lost_taken__descriptor},
    {"Renumber", put_renumber, read_renumber, &taizhang__renumber__descriptor},
    {"Renumbered", put_renumbered, read_renumbered, &taizhang__renumbered__descriptor},
    {"ReOffer", put_reoffer, read_reoffer, &taizhang__re_offer__descriptor},
    {"Results", put_results, read_results, &taizhang__results__descriptor},
    {"Pull", put_pull, read_pull, &taizhang__pull__descriptor},
    {"Rows", put_rows, read_rows, &taizhang__rows__descriptor},
    {"Checkpoint", put_checkpoint, read_checkpoint, &taizhang__checkpoint__descriptor},
    {"Ack", put_ack, read_ack, &taizhang__ack__descriptor},
    {"Verify", put_verify, read_verify, &taizhang__verify__descriptor},
    {"Verified", put_verified, read_verified, &taizhang__verified__descriptor},
    {"DigestRequest", put_digest_request, read_digest_request, &taizhang__digest_request__descriptor},
    {"Digest", put_digest, read_digest, &taizhang__digest__descriptor},
    {"WipeOrder", put_wipe_order, read_wipe_order, &taizhang__wipe_order__descriptor},
    {"WipeReceipt", put_wipe_receipt, read_wipe_receipt, &taizhang__wipe_receipt__descriptor},
    {"WipeNoted", put_wipe_noted, read_wipe_noted, &taizhang__wipe_noted__descriptor},
    {"Damage", put_damage, read_damage, &taizhang__damage__descriptor},
    {"DamageNoted", put_damage_noted, read_damage_noted, &taizhang__damage_noted__descriptor},
    {"HistoryAsk", put_history_ask, read_history_ask, &taizhang__history_ask__descriptor},
    {"History", put_history, read_history, &taizhang__history__descriptor},
    {"Enrol", put_enrol, read_enrol, &taizhang__enrol__descriptor},
    {"Enrolled", put_enrolled, read_enrolled, &taizhang__enrolled__descriptor},
    {"Changeset", put_changeset, read_changeset, &taizhang__changeset__descriptor},
    {"Result", put_result, read_result, &taizhang__result__descriptor},
};
_Static_assert(sizeof(messages) / sizeof(messages[0]) == NMESSAGES, "one entry per message");
