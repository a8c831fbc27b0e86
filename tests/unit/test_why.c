/* SPDX-License-Identifier: Apache-2.0 */
/* A record's changes from the own outbox and from the server, what decided about each value, and the audit log that a
 * device remembers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "frame.h"
#include "office_fixture.h"
#include "why.h"

#include <stdio.h>
#include <string.h>

enum { SAYS_MAX = 16, OTHER = 9 };

/** What the server tells, put together oldest first. */
struct log {
    struct fx *f;
    struct tz_id id;
    struct tz_history_entry e[SAYS_MAX];
    struct tz_history_op op[SAYS_MAX];
    size_t n;
    struct tz_field_stamp stamp[SAYS_MAX];
    size_t nstamps;
    tz_ver born;
    struct tz_changes c;
    struct tz_why_cases *cases;
};

static const struct tz_field *field_of(const struct log *l, const char *name)
{
    const struct tz_field *f = tz_type_field(l->f->org, name);
    assert_non_null(f);
    return f;
}

static struct tz_bytes body_of(struct fx *f, const struct tz_type *t, const char *const *pairs)
{
    struct tz_record *rec = tz_arena_alloc(&f->a, sizeof *rec);
    struct tz_buf b;
    struct tz_err err = {0};
    assert_non_null(rec);
    tz_record_init(rec, t);
    for (size_t i = 0; pairs[i]; i += 2) {
        const struct tz_field *field = tz_type_field(t, pairs[i]);
        assert_non_null(field);
        assert_int_equal(tz_value_parse(field, pairs[i + 1], &f->a, &rec->v[field->index], &err), 0);
    }
    tz_buf_init(&b, TZ_ROW_BYTES_MAX);
    assert_int_equal(tz_record_encode(rec, &b), 0);
    struct tz_bytes out = tz_bytes_of(tz_arena_dup(&f->a, b.p, b.len), b.len);
    tz_buf_deinit(&b);
    return out;
}

/** A judged op of device 9 that says @field = @value at version @ver (also its seq); change more of it after. */
static struct tz_history_op *add(struct log *l, tz_ver ver, enum tz_op_kind kind, const char *field, const char *value,
                                 tz_ver base_ver)
{
    assert_true(l->n < SAYS_MAX);
    struct tz_history_op *h = &l->op[l->n];
    struct tz_history_entry *e = &l->e[l->n++];
    const char *const pairs[] = {field, value, NULL};
    *h = (struct tz_history_op){.op = {.kind = kind,
                                       .base_ver = base_ver,
                                       .values = body_of(l->f, l->f->org, field ? pairs : &pairs[2]),
                                       .action = ""},
                                .result = {.outcome = TZ_OUT_APPLIED}};
    *e = (struct tz_history_entry){.n = ver,
                                   .ver = ver,
                                   .device = OTHER,
                                   .incarnation = 1,
                                   .seq = ver,
                                   .device_name = "other",
                                   .user = {{7}},
                                   .user_code = "u9",
                                   .user_name = "九",
                                   .claimed = tz_hlc_of(1000 * (int64_t)ver, 0),
                                   .effective = tz_hlc_of(1000 * (int64_t)ver, 0),
                                   .reason = "",
                                   .outcome = TZ_OUT_APPLIED,
                                   .ops = h,
                                   .nops = 1};
    return h;
}

static struct tz_history_entry *last(struct log *l)
{
    return &l->e[l->n - 1];
}

static void stamp(struct log *l, const char *field, tz_ver ver)
{
    l->stamp[l->nstamps++] = (struct tz_field_stamp){field_of(l, field)->id, ver, false};
}

/** A case about @subject that holds a value of (device, seq) written at @ver. */
static struct tz_id a_case(struct log *l, uint8_t n, const char *subject, const char *rule, uint32_t device,
                           uint64_t seq, tz_ver ver, const char *values, const char *standing)
{
    char candidates[512];
    char stands[512];
    char target[TZ_ID_HEX + 1];
    const struct tz_type *t = tz_catalogue_type(&l->f->cat, "case");
    struct tz_id id = fx_server_id(n);
    tz_id_print(l->id, target);
    (void)snprintf(candidates, sizeof candidates,
                   "[{\"at\":%u000,\"by\":\"%u.1.%u\",\"device\":%u,\"rule\":\"%s\",\"since\":\"50\",\"user\":"
                   "\"07000000000000000000000000000000\",\"values\":{%s},\"ver\":\"%u\"}]",
                   (unsigned)ver, device, (unsigned)seq, device, rule, values, (unsigned)ver);
    (void)snprintf(stands, sizeof stands,
                   "{\"at\":60000,\"by\":\"%u.1.60\",\"device\":%u,\"user\":\"07000000000000000000000000000000\","
                   "\"values\":{%s},\"ver\":\"60\"}",
                   (unsigned)OTHER, (unsigned)OTHER, standing);
    const char *const pairs[] = {"target_type", "organisation", "target_id", target,  "subject",   subject,      "kind",
                                 "conflict",    "generation",   "1",         "state", "open",      "standing",   stands,
                                 "candidates",  candidates,     "rule",      rule,    "opened_at", "2017-03-05", NULL};
    fx_row_raw(l->f, &(struct tz_msg_row){.type = t->id,
                                          .id = id,
                                          .ver = 90,
                                          .area = {.district = "120101"},
                                          .state = TZ_ROW_LIVE,
                                          .body = body_of(l->f, t, pairs)});
    return id;
}

/** The record as the last checkpoint has it, and everything that was put together. @asked: the server answered. */
static void gather(struct log *l, const char *address, bool asked)
{
    struct tz_history_entry newest[SAYS_MAX];
    struct tz_err err = {0};
    struct tz_buf b;
    fx_row(l->f, l->id, 90, TZ_ROW_LIVE, "120101", "甲", address);
    assert_int_equal(fx_checkpoint(l->f, 90), 0);
    for (size_t i = 0; i < l->n; i++)
        newest[i] = l->e[l->n - 1 - i];
    const struct tz_msg_history m = {
        .entries = newest, .nentries = l->n, .born = l->born, .stamps = l->stamp, .nstamps = l->nstamps};
    tz_buf_init(&b, TZ_FRAME_BODY_MAX);
    assert_int_equal(tz_msg_put_history(&b, &m), 0);
    assert_int_equal(tz_history_here(l->f->o, l->f->org, l->id, &l->f->a, &l->c, &err), 0);
    const struct tz_bytes page = tz_buf_unread(&b);
    assert_int_equal(tz_history_server(&l->c, &page, asked ? 1 : 0, &l->f->a, &err), 0);
    tz_buf_deinit(&b);
    assert_int_equal(tz_why_cases_load(l->f->o, &l->c, &l->f->a, &l->cases, &err), 0);
}

static struct tz_why why(struct log *l, const char *field)
{
    struct tz_why y;
    struct tz_row *row = tz_arena_alloc(&l->f->a, sizeof *row);
    struct tz_err err = {0};
    assert_non_null(row);
    assert_int_equal(tz_office_read_confirmed(l->f->o, l->f->org, l->id, &l->f->a, row, &err), 1);
    assert_int_equal(tz_why_field(&l->c, l->cases, field ? field_of(l, field) : NULL, row, &l->f->a, &y), 0);
    return y;
}

static void expect(const struct tz_why *y, size_t i, const char *value, enum tz_why_rule rule, const char *case_rule,
                   bool stands)
{
    assert_true(i < y->n);
    assert_true(value ? tz_value_is_text(y->v[i].value, value) : y->v[i].value.kind == TZ_V_NULL);
    assert_string_equal(tz_why_rule_name(y->v[i].rule), tz_why_rule_name(rule));
    assert_int_equal(y->v[i].stands, stands);
    if (case_rule)
        assert_string_equal(y->v[i].case_rule, case_rule);
    else
        assert_null(y->v[i].case_rule);
}

static struct log *log_new(struct fx *f)
{
    struct log *l = tz_arena_calloc(&f->a, 1, sizeof *l);
    assert_non_null(l);
    l->f = f;
    l->id = fx_server_id(1);
    l->born = 10;
    return l;
}

/* ---- why ---- */

static void who_saw_the_value_before_is_its_successor(void **state)
{
    struct log *l = log_new(*state);
    add(l, 10, TZ_OP_CREATE, "address", "一路", 0);
    add(l, 20, TZ_OP_SET, "address", "二路", 10);
    add(l, 30, TZ_OP_SET, "address", "三路", 10)->op.base_seq = 20; /* its own, not downloaded yet */
    add(l, 40, TZ_OP_SET, "name", "乙", 30);
    stamp(l, "address", 30);
    gather(l, "三路", true);
    struct tz_why y = why(l, "address");
    assert_int_equal(y.n, 3);
    expect(&y, 0, "一路", TZ_WHY_FIRST, NULL, false);
    expect(&y, 1, "二路", TZ_WHY_SAW, NULL, false);
    expect(&y, 2, "三路", TZ_WHY_SAW, NULL, true);
    assert_int_equal(y.v[2].author.device, OTHER);
    assert_int_equal(y.v[2].author.effective_ms, 30000);
}

static void concurrent_values_have_the_rule_of_their_case(void **state)
{
    struct log *l = log_new(*state);
    add(l, 10, TZ_OP_CREATE, "address", "一路", 0);
    add(l, 20, TZ_OP_SET, "address", "二路", 10);
    add(l, 30, TZ_OP_SET, "address", "三路", 10);
    struct tz_id id = a_case(l, 2, "address", "later", OTHER, 20, 20, "\"address\":\"二路\"", "\"address\":\"三路\"");
    stamp(l, "address", 30);
    gather(l, "三路", true);
    struct tz_why y = why(l, "address");
    expect(&y, 1, "二路", TZ_WHY_SAW, "later", false); /* stood at first, and is in the case since */
    expect(&y, 2, "三路", TZ_WHY_STOOD, "later", true);
    assert_true(tz_id_eq(y.v[1].case_id, id) && tz_id_eq(y.v[2].case_id, id));
    assert_true(tz_id_is_zero(y.v[0].case_id));
}

/** In the place of values: a case that was closed long ago names the fields. */
#define EMPTIED "},\"fields\":[\"address\"],\"nothing\":{"

static void words_of_a_case_closed_long_ago_are_the_servers_to_tell(void **state)
{
    struct log *l = log_new(*state);
    add(l, 10, TZ_OP_CREATE, "address", "一路", 0);
    add(l, 20, TZ_OP_SET, "address", "二路", 10);
    add(l, 30, TZ_OP_SET, "address", "三路", 10);
    struct tz_id id = a_case(l, 2, "address", "later", OTHER, 20, 20, EMPTIED, "\"address\":\"三路\"");
    stamp(l, "address", 30);
    gather(l, "三路", true);
    struct tz_why y = why(l, "address");
    expect(&y, 1, "二路", TZ_WHY_SAW, "later", false); /* the value from the log, the rule from the case */
    expect(&y, 2, "三路", TZ_WHY_STOOD, "later", true);
    assert_true(tz_id_eq(y.v[1].case_id, id));
    assert_false(y.v[1].away);
    gather(l, "三路", false);
    y = why(l, "address");
    assert_int_equal(y.n, 2);
    expect(&y, 0, NULL, TZ_WHY_LOST, "later", false); /* who, when, and by which rule; the value is elsewhere */
    assert_true(y.v[0].away);
    assert_int_equal(y.v[0].author.seq, 20);
    assert_int_equal(why(l, "name").n, 1); /* about the fields that it names, and no others */
}

static void what_lost_on_arrival_is_told_as_lost(void **state)
{
    struct log *l = log_new(*state);
    add(l, 10, TZ_OP_CREATE, "address", "一路", 0);
    add(l, 20, TZ_OP_SET, "address", "二路", 10);
    add(l, 30, TZ_OP_SET, "address", "三路", 10)->result.outcome = TZ_OUT_SUPERSEDED;
    a_case(l, 2, "address", "resolved", OTHER, 30, 30, "\"address\":\"三路\"", "\"address\":\"二路\"");
    stamp(l, "address", 20);
    gather(l, "二路", true);
    struct tz_why y = why(l, "address");
    expect(&y, 1, "二路", TZ_WHY_SAW, NULL, true);
    expect(&y, 2, "三路", TZ_WHY_LOST, "resolved", false);
}

static void what_no_case_tells_is_not_invented(void **state)
{
    struct log *l = log_new(*state);
    add(l, 10, TZ_OP_CREATE, "address", "一路", 0);
    add(l, 20, TZ_OP_SET, "address", "二路", 10);
    add(l, 30, TZ_OP_SET, "address", "三路", 10)->result.outcome = TZ_OUT_SUPERSEDED;
    stamp(l, "address", 20);
    gather(l, "二路", true);
    struct tz_why y = why(l, "address");
    expect(&y, 2, "三路", TZ_WHY_UNKNOWN, NULL, false);
}

static void the_same_value_twice_is_no_conflict(void **state)
{
    struct log *l = log_new(*state);
    add(l, 10, TZ_OP_CREATE, "address", "一路", 0);
    add(l, 20, TZ_OP_SET, "address", "二路", 10);
    add(l, 30, TZ_OP_SET, "address", "二路", 10);
    stamp(l, "address", 30); /* the later of the two has the stamp */
    gather(l, "二路", true);
    struct tz_why y = why(l, "address");
    expect(&y, 1, "二路", TZ_WHY_SAW, NULL, false);
    expect(&y, 2, "二路", TZ_WHY_SAME, NULL, true);
}

static void decisions_name_their_case_and_cleared_values_are_values(void **state)
{
    struct log *l = log_new(*state);
    uint32_t address = field_of(l, "address")->id;
    add(l, 10, TZ_OP_CREATE, "address", "一路", 0);
    struct tz_history_op *h = add(l, 20, TZ_OP_SET, NULL, NULL, 10);
    h->op.cleared = &address;
    h->op.ncleared = 1;
    h = add(l, 30, TZ_OP_RESOLVE, "address", "三路", 20);
    h->case_id = fx_server_id(2);
    h = add(l, 40, TZ_OP_RESOLVE, "address", "四路", 20); /* the second decision */
    h->case_id = fx_server_id(2);
    h->result.outcome = TZ_OUT_SUPERSEDED;
    stamp(l, "address", 30);
    gather(l, "三路", true);
    struct tz_why y = why(l, "address");
    expect(&y, 1, NULL, TZ_WHY_SAW, NULL, false);
    expect(&y, 2, "三路", TZ_WHY_RESOLVED, NULL, true);
    expect(&y, 3, "四路", TZ_WHY_LOST, "resolved", false);
    assert_true(tz_id_eq(y.v[2].case_id, fx_server_id(2)));
}

static void of_concurrent_as_of_dates_the_later_stands_without_a_case(void **state)
{
    struct log *l = log_new(*state);
    add(l, 10, TZ_OP_CREATE, "name", "甲", 0);
    add(l, 20, TZ_OP_SET, "counts_on", "2017-03", 10);
    add(l, 30, TZ_OP_SET, "counts_on", "2017-03-05", 10);
    add(l, 40, TZ_OP_SET, "counts_on", "2017-03-01", 10)->result.outcome = TZ_OUT_SUPERSEDED;
    stamp(l, "counts_on", 30);
    gather(l, NULL, true);
    struct tz_why y = why(l, "counts_on");
    expect(&y, 0, "2017-03", TZ_WHY_SAW, NULL, false);
    expect(&y, 1, "2017-03-05", TZ_WHY_STOOD, "as_of", true);
    expect(&y, 2, "2017-03-01", TZ_WHY_LOST, "as_of", false);
}

static void what_nobody_said_was_given_by_the_server(void **state)
{
    struct log *l = log_new(*state);
    add(l, 10, TZ_OP_CREATE, "name", "甲", 0);
    gather(l, "给定路", true);
    struct tz_why y = why(l, "address");
    assert_int_equal(y.n, 1);
    expect(&y, 0, "给定路", TZ_WHY_SERVER, NULL, true);
    assert_int_equal(y.v[0].author.ver, 10);
}

static void a_version_whose_changes_are_not_known_is_nobodys(void **state)
{
    struct log *l = log_new(*state);
    add(l, 10, TZ_OP_CREATE, "name", "甲", 0);
    stamp(l, "address", 20);
    gather(l, "不知谁路", true);
    struct tz_why y = why(l, "address");
    assert_int_equal(y.n, 1);
    expect(&y, 0, "不知谁路", TZ_WHY_UNKNOWN, NULL, true);
    assert_int_equal(y.v[0].author.ver, 20);
}

static void what_was_said_of_a_record_that_is_part_of_this_one_is_no_beginning(void **state)
{
    struct log *l = log_new(*state);
    add(l, 10, TZ_OP_CREATE, "address", "一路", 0);
    struct tz_history_op *h = add(l, 20, TZ_OP_CREATE, "address", "二路", 0);
    h->as_other = true;
    h->op.other_id = fx_server_id(2);
    struct tz_id id = a_case(l, 2, "address", "later", OTHER, 10, 10, "\"address\":\"一路\"", "\"address\":\"二路\"");
    stamp(l, "address", 20);
    gather(l, "二路", true);
    struct tz_why y = why(l, "address");
    expect(&y, 0, "一路", TZ_WHY_FIRST, "later", false);
    expect(&y, 1, "二路", TZ_WHY_STOOD, "later", true);
    assert_true(tz_id_eq(y.v[1].case_id, id));
    y = why(l, NULL);
    assert_int_equal(y.n, 1); /* it lives since it was made */
    assert_true(y.v[0].rule == TZ_WHY_FIRST && y.v[0].stands);
}

static void what_a_merge_by_itself_brought_is_from_the_merge(void **state)
{
    struct log *l = log_new(*state);
    add(l, 10, TZ_OP_CREATE, "name", "甲", 0);
    struct tz_history_op *h = add(l, 20, TZ_OP_SET, "name", "乙", 10);
    h->op.other_id = fx_server_id(2); /* took it in */
    stamp(l, "address", 20);
    gather(l, "别处来的路", true);
    struct tz_why y = why(l, "address");
    assert_int_equal(y.n, 1);
    expect(&y, 0, "别处来的路", TZ_WHY_MERGED, NULL, true);
}

static void refused_and_erased_changes_never_were_values(void **state)
{
    struct log *l = log_new(*state);
    add(l, 10, TZ_OP_CREATE, "address", "一路", 0);
    add(l, 20, TZ_OP_SET, "address", "二路", 10)->result.outcome = TZ_OUT_REFUSED;
    last(l)->ver = 0;
    add(l, 30, TZ_OP_SET, NULL, NULL, 10);
    last(l)->erased = true;
    last(l)->nops = 0;
    gather(l, "一路", true);
    struct tz_why y = why(l, "address");
    assert_int_equal(y.n, 2);
    expect(&y, 0, "一路", TZ_WHY_FIRST, NULL, true);
    expect(&y, 1, "二路", TZ_WHY_REFUSED, NULL, false);
    assert_int_equal(l->c.n, 3);
    assert_true(l->c.v[0].e.erased);
}

static void a_record_brought_back_says_by_whom(void **state)
{
    struct log *l = log_new(*state);
    add(l, 10, TZ_OP_CREATE, "name", "甲", 0);
    add(l, 20, TZ_OP_DELETE, NULL, NULL, 10);
    add(l, 30, TZ_OP_SET, "address", "二路", 10); /* had not seen it */
    l->stamp[l->nstamps++] = (struct tz_field_stamp){TZ_FIELD_DELETED, 30, false};
    gather(l, "二路", true);
    struct tz_why y = why(l, NULL);
    assert_int_equal(y.n, 3);
    assert_int_equal(y.v[1].value.i, 1);
    assert_int_equal(y.v[2].value.i, 0);
    assert_int_equal(y.v[2].rule, TZ_WHY_REVIVED);
    assert_true(y.v[2].stands);
    assert_int_equal(y.v[2].author.seq, 30);
}

static void additions_to_a_set_are_merged_by_themselves(void **state)
{
    struct log *l = log_new(*state);
    static const struct tz_bytes element = {(const uint8_t *)"x", 1};
    add(l, 10, TZ_OP_CREATE, "name", "甲", 0);
    struct tz_history_op *h = add(l, 20, TZ_OP_ADD, NULL, NULL, 10);
    h->op.field = field_of(l, "address")->id; /* any field will do here */
    h->op.elements = &element;
    h->op.nelements = 1;
    stamp(l, "address", 20);
    gather(l, "x", true);
    struct tz_why y = why(l, "address");
    assert_int_equal(y.n, 2);
    expect(&y, 0, NULL, TZ_WHY_ELEMENTS, NULL, false);
    expect(&y, 1, "x", TZ_WHY_ELEMENTS, NULL, true);
}

/* ---- without a server ---- */

static void cases_tell_of_others_and_the_record_of_what_stands(void **state)
{
    struct log *l = log_new(*state);
    struct tz_id id = a_case(l, 2, "address", "later", OTHER, 20, 20, "\"address\":\"二路\"", "\"address\":\"三路\"");
    gather(l, "三路", false);
    assert_false(l->c.asked);
    struct tz_why y = why(l, "address");
    assert_int_equal(y.n, 2);
    expect(&y, 0, "二路", TZ_WHY_LOST, "later", false);
    expect(&y, 1, "三路", TZ_WHY_UNKNOWN, NULL, true);
    assert_int_equal(y.v[0].author.device, OTHER);
    assert_int_equal(y.v[0].author.effective_ms, 20000);
    assert_true(tz_id_eq(y.v[0].case_id, id));
    y = why(l, "name"); /* nothing but what stands */
    assert_int_equal(y.n, 1);
    expect(&y, 0, "甲", TZ_WHY_UNKNOWN, NULL, true);
    y = why(l, "grid_no");
    assert_int_equal(y.n, 0);
}

/** An own record with two edits: the first is applied at 20, the second not sent. */
static void own_edits(struct log *l)
{
    struct fx *f = l->f;
    struct tz_row *row = tz_arena_alloc(&f->a, sizeof *row);
    struct tz_seen seen;
    uint64_t seq = 0;
    assert_non_null(row);
    l->id = fx_new_org(f, "甲", &seq);
    assert_true(fx_read(f, f->org, l->id, row, &seen));
    assert_int_equal(fx_result(f, seq, TZ_OUT_APPLIED, 10, 0), 0);
    seq = fx_edit(f, l->id, &seen, "address", tz_value_text("一路"));
    assert_int_equal(fx_result(f, seq, TZ_OUT_APPLIED, 20, 0), 0);
    assert_true(fx_read(f, f->org, l->id, row, &seen));
    (void)fx_edit(f, l->id, &seen, "address", tz_value_text("二路"));
}

static void own_saves_are_known_with_what_became_of_them(void **state)
{
    struct log *l = log_new(*state);
    own_edits(l);
    gather(l, "一路", false);
    assert_int_equal(l->c.n, 3);
    assert_int_equal(l->c.v[0].h.result.outcome, TZ_OUT_NONE);
    assert_int_equal(l->c.v[1].e.ver, 20);
    assert_string_equal(l->c.v[1].e.user_name, "一");
    assert_string_equal(l->c.v[1].e.device_name, "desk");
    assert_int_equal(l->c.v[2].h.op.kind, TZ_OP_CREATE);
    struct tz_why y = why(l, "address");
    assert_int_equal(y.n, 2);
    assert_true(y.v[0].stands);
    expect(&y, 1, "二路", TZ_WHY_NOT_YET, NULL, false);
}

static void what_the_server_tells_takes_the_place_of_the_own_copy(void **state)
{
    struct log *l = log_new(*state);
    own_edits(l);
    add(l, 10, TZ_OP_CREATE, "name", "甲", 0);
    last(l)->device = FX_DEVICE;
    last(l)->seq = 1;
    add(l, 20, TZ_OP_SET, "address", "一路", 10);
    last(l)->device = FX_DEVICE;
    last(l)->seq = 2;
    stamp(l, "address", 20);
    gather(l, "一路", true);
    assert_int_equal(l->c.n, 3); /* and the one that it has not seen, on top */
    assert_int_equal(l->c.v[0].e.n, 0);
    assert_int_equal(l->c.v[0].e.seq, 3);
    assert_int_equal(l->c.v[1].e.n, 20);
    assert_true(l->c.complete);
    struct tz_why y = why(l, "address");
    expect(&y, 0, "一路", TZ_WHY_SAW, NULL, true);
    expect(&y, 1, "二路", TZ_WHY_NOT_YET, NULL, false);
}

/* ---- the audit log that is remembered ---- */

static void welcome_says(struct fx *f, enum tz_audit_answer audit)
{
    struct tz_err err = {0};
    assert_int_equal(tz_office_begin(f->o, &err), 0);
    assert_int_equal(tz_office_end(f->o, tz_audit_take(f->o, audit, &err), &err), 0);
}

static void checkpoint_shows(struct fx *f, tz_ver ver, uint64_t n)
{
    struct tz_msg_checkpoint c = {.ver = ver, .audit_n = n};
    struct tz_err err = {0};
    memset(c.audit_hash, (int)n, sizeof c.audit_hash);
    assert_int_equal(tz_office_checkpoint(f->o, NULL, 0, &c, &err), 0);
}

static uint64_t remembered(struct fx *f)
{
    struct tz_msg_hello h;
    struct tz_err err = {0};
    assert_int_equal(tz_office_hello(f->o, "test", &f->a, &h, &err), 0);
    return h.audit_n;
}

static struct tz_office_status status(struct fx *f)
{
    struct tz_office_status st;
    struct tz_err err = {0};
    assert_int_equal(tz_office_status(f->o, &st, &err), 0);
    return st;
}

static void a_changed_log_is_marked_until_somebody_confirms(void **state)
{
    struct fx *f = *state;
    struct tz_err err = {0};
    checkpoint_shows(f, 2, 7);
    welcome_says(f, TZ_AUDIT_SAME);
    assert_false(status(f).audit_changed);
    welcome_says(f, TZ_AUDIT_UNANSWERED); /* an older server says nothing */
    assert_false(status(f).audit_changed);
    f->clock.wall.ms += 1000;
    welcome_says(f, TZ_AUDIT_CHANGED);
    int64_t since = f->clock.wall.ms;
    f->clock.wall.ms += 5000;
    welcome_says(f, TZ_AUDIT_CHANGED);
    welcome_says(f, TZ_AUDIT_SAME); /* put back quietly: it was noticed all the same */
    fx_reopen(f, NULL);
    assert_true(status(f).audit_changed);
    assert_int_equal(status(f).audit_n, 7);
    assert_int_equal(status(f).audit_changed_ms, since);
    checkpoint_shows(f, 3, 9);
    assert_int_equal(remembered(f), 7); /* evidence stays */
    assert_int_equal(tz_office_audit_confirm(f->o, &err), 0);
    assert_false(status(f).audit_changed);
    assert_int_equal(remembered(f), 0);
    checkpoint_shows(f, 4, 11);
    assert_int_equal(remembered(f), 11);
}

static void confirming_without_a_mark_forgets_nothing(void **state)
{
    struct fx *f = *state;
    struct tz_err err = {0};
    checkpoint_shows(f, 2, 7);
    assert_int_equal(tz_office_audit_confirm(f->o, &err), 0);
    assert_int_equal(remembered(f), 7);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(who_saw_the_value_before_is_its_successor),
        T(concurrent_values_have_the_rule_of_their_case),
        T(words_of_a_case_closed_long_ago_are_the_servers_to_tell),
        T(what_lost_on_arrival_is_told_as_lost),
        T(what_no_case_tells_is_not_invented),
        T(the_same_value_twice_is_no_conflict),
        T(decisions_name_their_case_and_cleared_values_are_values),
        T(of_concurrent_as_of_dates_the_later_stands_without_a_case),
        T(what_nobody_said_was_given_by_the_server),
        T(a_version_whose_changes_are_not_known_is_nobodys),
        T(what_was_said_of_a_record_that_is_part_of_this_one_is_no_beginning),
        T(what_a_merge_by_itself_brought_is_from_the_merge),
        T(refused_and_erased_changes_never_were_values),
        T(a_record_brought_back_says_by_whom),
        T(additions_to_a_set_are_merged_by_themselves),
        T(cases_tell_of_others_and_the_record_of_what_stands),
        T(own_saves_are_known_with_what_became_of_them),
        T(what_the_server_tells_takes_the_place_of_the_own_copy),
        T(a_changed_log_is_marked_until_somebody_confirms),
        T(confirming_without_a_mark_forgets_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
