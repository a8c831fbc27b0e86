/* SPDX-License-Identifier: Apache-2.0 */
/* Who changed a record, as the audit log has it: the index, its pages, and what each reader may see of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRIES_MAX = 512 };

struct told {
    struct tz_bytes raw; /* of the last page */
    struct tz_msg_history m;
    struct tz_history_entry e[ENTRIES_MAX]; /* of all pages */
    size_t n, pages;
};

static void ask_page(struct sx_dev *d, const struct tz_msg_history_ask *ask, struct told *out)
{
    struct sx *f = d->f;
    struct tz_grant *g = tz_arena_alloc(&f->a, sizeof *g);
    struct tz_buf b;
    assert_non_null(g);
    assert_int_equal(tz_store_grant_of(f->s, &d->d, tz_clock_wall(&f->s->clock).ms, g, &f->err), 0);
    tz_buf_init(&b, TZ_FRAME_BODY_MAX);
    assert_int_equal(tz_store_history(f->s, g, ask, &b, &f->err), 0);
    out->raw = tz_bytes_of(tz_arena_dup(&f->a, b.p, b.len), b.len);
    assert_int_equal(tz_msg_read_history(out->raw, &f->a, &out->m, &f->err), 0);
    tz_buf_deinit(&b);
}

/** Every page, as a client turns them. */
static struct told *ask_field(struct sx_dev *d, const char *type, struct tz_id id, uint32_t field)
{
    struct told *t = tz_arena_calloc(&d->f->a, 1, sizeof *t);
    struct tz_msg_history_ask ask = {.type = sx_type(d->f, type)->id, .id = id, .field = field};
    assert_non_null(t);
    do {
        ask_page(d, &ask, t);
        t->pages++;
        assert_true(t->n + t->m.nentries <= ENTRIES_MAX);
        memcpy(t->e + t->n, t->m.entries, t->m.nentries * sizeof *t->e);
        t->n += t->m.nentries;
        assert_true(t->m.next == 0 || ask.before == 0 || t->m.next < ask.before);
        ask.before = t->m.next;
    } while (ask.before);
    for (size_t i = 1; i < t->n; i++)
        assert_true(t->e[i].n < t->e[i - 1].n);
    return t;
}

static struct told *ask(struct sx_dev *d, const char *type, struct tz_id id)
{
    return ask_field(d, type, id, 0);
}

static uint32_t field_id(struct sx *f, const char *type, const char *field)
{
    const struct tz_field *found = tz_type_field(sx_type(f, type), field);
    assert_non_null(found);
    return found->id;
}

/** What an op says about a field: "" when nothing. */
static const char *said(struct sx *f, const char *type, const struct tz_history_op *h, const char *field)
{
    struct tz_record *rec = tz_arena_alloc(&f->a, sizeof *rec);
    assert_non_null(rec);
    assert_int_equal(tz_record_decode(sx_type(f, type), h->op.values, &f->a, rec, &f->err), 0);
    struct tz_value v = rec->v[tz_type_field(sx_type(f, type), field)->index];
    return v.kind == TZ_V_TEXT ? tz_arena_dup(&f->a, v.p, v.n) : "";
}

static bool contains(struct tz_bytes hay, const char *needle)
{
    return memmem(hay.p, hay.n, needle, strlen(needle)) != NULL;
}

static const struct tz_result *say(struct sx_dev *d, struct tz_id id, const char *what)
{
    d->f->clock.wall.ms += 1000;
    return sx_set(d, "organisation", id, what, NULL);
}

/* ---- what is told ---- */

static void every_change_is_told_newest_first(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    f->d1b.skew_ms = 3600 * 1000; /* an hour fast */
    f->d1b.offset_ms = -3600 * 1000;
    sx_applied(say(&f->d1b, id, "address=一路"));
    struct told *t = ask(&f->d1, "organisation", id);
    assert_int_equal(t->n, 2);
    assert_int_equal(t->m.next, 0);
    const struct tz_history_entry *e = &t->e[0];
    assert_int_equal(e->device, f->d1b.d.number);
    assert_string_equal(e->device_name, f->d1b.d.name);
    assert_true(tz_id_eq(e->user, f->d1b.user));
    assert_string_equal(e->user_code, f->d1b.d.name); /* the fixture's first users are called like their devices */
    assert_string_not_equal(e->user_name, "");
    assert_int_equal(e->seq, f->d1b.seq);
    assert_int_equal(e->outcome, TZ_OUT_APPLIED);
    assert_int_equal(e->ver, tz_store_head(f->s));
    assert_int_equal(e->offset_ms, -3600 * 1000);
    assert_true(tz_hlc_ms(e->claimed) - tz_hlc_ms(e->effective) > 3500 * 1000);
    assert_int_equal(e->received_ms, f->clock.wall.ms);
    assert_int_equal(e->nops, 1);
    assert_int_equal(e->ops[0].op.kind, TZ_OP_SET);
    assert_string_equal(said(f, "organisation", &e->ops[0], "address"), "一路");
    assert_int_equal(t->e[1].device, f->d1.d.number);
    assert_int_equal(t->e[1].ops[0].op.kind, TZ_OP_CREATE);
    assert_string_equal(said(f, "organisation", &t->e[1].ops[0], "name"), "甲公司");
}

static void the_answer_says_which_version_wrote_what_stands(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(say(&f->d1b, id, "address=一路"));
    struct told *t = ask(&f->d1, "organisation", id);
    assert_int_equal(t->m.born, t->e[1].ver);
    assert_int_equal(t->m.nstamps, 1);
    assert_int_equal(t->m.stamps[0].field, field_id(f, "organisation", "address"));
    assert_int_equal(t->m.stamps[0].ver, t->e[0].ver);
    assert_false(t->m.stamps[0].resolved);
}

static void conflict_and_decision_name_the_case(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(say(&f->d1, id, "address=一路"));
    sx_applied(say(&f->fi, id, "address=二路"));
    struct tz_id case_id = sx_case(f, id, "address", 1)->id;
    sx_see(&f->d1);
    sx_applied(sx_resolve(&f->d1, case_id, 1, "address=三路", NULL));
    struct told *t = ask(&f->d1b, "organisation", id);
    assert_int_equal(t->n, 4);
    assert_int_equal(t->e[0].ops[0].op.kind, TZ_OP_RESOLVE);
    assert_true(tz_id_eq(t->e[0].ops[0].case_id, case_id));
    assert_string_equal(said(f, "organisation", &t->e[0].ops[0], "address"), "三路");
    assert_true(t->m.stamps[0].resolved);
    assert_int_equal(t->e[1].ops[0].result.ncases, 1);
    assert_true(tz_id_eq(t->e[1].ops[0].result.cases[0], case_id));
    assert_int_equal(t->e[2].ops[0].result.ncases, 0);
    t = ask(&f->d1b, "case", case_id); /* the decision is in the case's own history too */
    assert_int_equal(t->n, 1);
    assert_string_equal(said(f, "organisation", &t->e[0].ops[0], "address"), "三路");
}

static void only_ops_on_the_record_are_told(void **state)
{
    struct sx *f = *state;
    struct sx_cs *c = sx_begin(&f->d1);
    struct tz_id one = sx_op_create(c, "organisation", "name=甲公司", "district_code=120101", NULL);
    struct tz_id two = sx_op_create(c, "organisation", "name=乙公司", "district_code=120101", NULL);
    c->cs.reason = "补录";
    sx_applied(sx_push(c));
    struct told *t = ask(&f->d1, "organisation", two);
    assert_int_equal(t->n, 1);
    assert_int_equal(t->e[0].nops, 1);
    assert_int_equal(t->e[0].ops[0].index, 1);
    assert_string_equal(t->e[0].reason, "补录");
    assert_false(contains(t->raw, "甲公司"));
    assert_int_equal(ask(&f->d1, "organisation", one)->n, 1);
}

static void a_field_has_the_changes_that_name_it_or_its_group(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(say(&f->d1, id, "address=一路"));
    sx_applied(say(&f->d1, id, "name=乙公司"));
    sx_see(&f->d1);
    sx_applied(say(&f->d1, id, "address="));
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "organisation", id, "full_members=5", "counts_on=2017-03-01", NULL));
    sx_see(&f->d1);
    sx_applied(sx_delete(&f->d1, "organisation", id));
    struct told *t = ask_field(&f->d1, "organisation", id, field_id(f, "organisation", "address"));
    assert_int_equal(t->n, 3); /* created, changed, cleared */
    assert_int_equal(t->e[0].ops[0].op.ncleared, 1);
    assert_int_equal(ask_field(&f->d1, "organisation", id, field_id(f, "organisation", "activists"))->n, 2);
    assert_int_equal(ask_field(&f->d1, "organisation", id, TZ_FIELD_DELETED)->n, 2);
    assert_int_equal(ask(&f->d1, "organisation", id)->n, 6);
}

/* ---- P6 ---- */

static struct tz_bytes answer(struct sx_dev *d, uint32_t type, struct tz_id id, uint32_t field)
{
    struct told t = {0};
    struct tz_msg_history_ask q = {.type = type, .id = id, .field = field};
    ask_page(d, &q, &t);
    return t.raw;
}

static void foreign_unknown_forgotten_and_untyped_look_alike(void **state)
{
    struct sx *f = *state;
    uint32_t org = sx_type(f, "organisation")->id;
    struct tz_id there = sx_org(f, "甲公司");
    struct tz_id gone = sx_org(f, "乙公司");
    struct tz_id never = tz_id_make(&f->d1.ids, f->clock.wall);
    sx_applied(say(&f->d1, there, "address=一路"));
    sx_exec(f, "DELETE FROM organisation WHERE name='乙公司'"); /* as a purge would */
    assert_true(answer(&f->d1, org, there, 0).n > 0);
    struct tz_bytes want = answer(&f->d2, org, never, 0);
    assert_int_equal(want.n, 0);
    assert_true(tz_bytes_eq(answer(&f->d2, org, there, 0), want));
    assert_true(tz_bytes_eq(answer(&f->d2, org, there, 1), want));
    assert_true(tz_bytes_eq(answer(&f->d2, org, gone, 0), want));
    assert_true(tz_bytes_eq(answer(&f->d1, org, gone, 0), want));
    assert_true(tz_bytes_eq(answer(&f->d1, 9999, there, 0), want));
}

static void a_record_that_moved_away_has_no_history_here_any_more(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(say(&f->c1, id, "district_code=120102"));
    assert_int_equal(ask(&f->d1, "organisation", id)->n, 0);
    assert_int_equal(ask(&f->d2, "organisation", id)->n, 2);
}

static void what_was_refused_is_told_to_who_tried_only(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_refused(say(&f->d2, id, "address=二路"), TZ_E_UNKNOWN_RECORD);
    sx_refused(say(&f->d1b, id, "district_code=120102"), TZ_E_AREA);
    assert_int_equal(ask(&f->d1, "organisation", id)->n, 1);
    struct told *t = ask(&f->d1b, "organisation", id);
    assert_int_equal(t->n, 2);
    assert_int_equal(t->e[0].outcome, TZ_OUT_REFUSED);
    assert_int_equal(t->e[0].ops[0].result.code, TZ_E_AREA);
    assert_int_equal(t->e[0].effective, 0);
    assert_int_equal(ask(&f->d2, "organisation", id)->n, 0);
    sx_see(&f->c1);
    sx_applied(say(&f->c1, id, "district_code=120102")); /* now it is d2's */
    t = ask(&f->d2, "organisation", id);
    assert_int_equal(t->n, 3);
    assert_int_equal(t->e[1].ops[0].result.code, TZ_E_UNKNOWN_RECORD);
}

static void refusals_of_strangers_take_no_room_in_a_page(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    for (int i = 0; i < TZ_MSG_HISTORY_MAX + 5; i++) {
        sx_refused(say(&f->d2, id, "address=二路"), TZ_E_UNKNOWN_RECORD);
        sx_applied(sx_withdraw(&f->d2, f->d2.seq)); /* or the next would wait for it */
    }
    struct told *t = ask(&f->d1, "organisation", id);
    assert_int_equal(t->pages, 1);
    assert_int_equal(t->n, 1);
}

static void an_op_that_merely_mentions_a_record_is_not_in_its_history(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    struct tz_id own = sx_create(&f->d2, "organisation", "name=乙公司", "district_code=120102", NULL);
    sx_see(&f->d2);
    struct sx_cs *c = sx_begin(&f->d2);
    sx_op_set(c, "organisation", own, "address=二路", NULL);
    c->ops[0].other_id = id;
    sx_applied(sx_push(c));
    assert_int_equal(ask(&f->d1, "organisation", id)->n, 1);
    assert_int_equal(ask(&f->d2, "organisation", own)->n, 2);
}

static void secrets_reach_their_readers_only(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_create(&f->d1, "person", "name=张三丰", "phone=111", "district_code=120101", NULL);
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "person", id, "phone=13800000001", NULL));
    sx_see(&f->d1);
    sx_applied(sx_set(&f->d1, "person", id, "phone=", NULL));
    struct told *own = ask(&f->d1, "person", id);
    assert_int_equal(own->n, 3);
    assert_string_equal(said(f, "person", &own->e[1].ops[0], "phone"), "13800000001");
    assert_int_equal(own->e[0].ops[0].op.ncleared, 1);
    struct told *c1 = ask(&f->c1, "person", id);
    assert_int_equal(c1->n, 3); /* that something was changed is open */
    assert_false(contains(c1->raw, "张三丰"));
    assert_false(contains(c1->raw, "138000"));
    assert_int_equal(c1->e[0].ops[0].op.ncleared, 0);
    assert_int_equal(c1->m.nstamps, 0);
    assert_int_equal(own->m.nstamps, 1);
    uint32_t phone = field_id(f, "person", "phone");
    assert_int_equal(ask_field(&f->d1, "person", id, phone)->n, 3);
    assert_int_equal(ask_field(&f->c1, "person", id, phone)->n, 1); /* only that it was made */
}

static void decision_about_a_secret_field_is_projected_too(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_create(&f->d1, "person", "name=张三丰", "phone=111", "district_code=120101", NULL);
    f->d1.seen = f->d1b.seen = tz_store_head(f->s);
    f->clock.wall.ms += 1000;
    sx_applied(sx_set(&f->d1, "person", id, "phone=13800000001", NULL));
    f->clock.wall.ms += 1000;
    sx_applied(sx_set(&f->d1b, "person", id, "phone=13800000002", NULL));
    sx_see(&f->d1);
    sx_applied(sx_resolve(&f->d1, sx_case(f, id, "phone", 1)->id, 1, "phone=13800000003", NULL));
    assert_true(contains(ask(&f->d1b, "person", id)->raw, "13800000003"));
    assert_false(contains(ask(&f->c1, "person", id)->raw, "138000"));
    assert_false(contains(ask(&f->c1, "case", sx_case(f, id, "phone", 1)->id)->raw, "138000"));
}

/* ---- bounds ---- */

static void long_histories_come_in_pages(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    for (int i = 0; i < 150; i++) {
        char what[32];
        (void)snprintf(what, sizeof what, "address=%d号", i);
        sx_see(&f->d1);
        sx_applied(say(&f->d1, id, what));
    }
    struct told *t = ask(&f->d1, "organisation", id);
    assert_int_equal(t->pages, 3);
    assert_int_equal(t->n, 151);
    assert_string_equal(said(f, "organisation", &t->e[0].ops[0], "address"), "149号");
    assert_string_equal(said(f, "organisation", &t->e[149].ops[0], "address"), "0号");
    assert_int_equal(t->m.nstamps, 0); /* on the first page only */
}

static void large_changes_make_short_pages_and_none_is_lost(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    char *what = tz_arena_alloc(&f->a, 64 * 1024);
    assert_non_null(what);
    memset(what, 'x', 60 * 1024);
    memcpy(what, "former_names=", 13);
    for (int i = 0; i < 9; i++) {
        what[13] = (char)('a' + i);
        what[60 * 1024] = '\0';
        sx_see(&f->d1);
        sx_applied(say(&f->d1, id, what));
    }
    struct told *t = ask(&f->d1, "organisation", id);
    assert_int_equal(t->n, 10);
    assert_true(t->pages >= 3);
    assert_true(t->raw.n < 256 * 1024);
}

static void erased_bodies_are_told_as_erased(void **state)
{
    struct sx *f = *state;
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(say(&f->d1b, id, "address=一路"));
    sx_exec(f, "DELETE FROM audit_body WHERE n=(SELECT max(n) FROM audit)");
    struct told *t = ask(&f->d1, "organisation", id);
    assert_int_equal(t->n, 2);
    assert_true(t->e[0].erased);
    assert_int_equal(t->e[0].nops, 0);
    assert_int_equal(t->e[0].device, f->d1b.d.number);
    assert_true(tz_id_eq(t->e[0].user, f->d1b.user)); /* the commit table still knows */
    assert_int_equal(t->e[0].outcome, TZ_OUT_APPLIED);
    assert_false(contains(t->raw, "一路"));
}

/* ---- the index ---- */

static void whatever_happens(struct sx *f)
{
    struct tz_id id = sx_org(f, "甲公司");
    sx_applied(say(&f->d1, id, "address=一路"));
    sx_applied(say(&f->fi, id, "address=二路"));
    sx_see(&f->d1);
    sx_applied(sx_resolve(&f->d1, sx_case(f, id, "address", 1)->id, 1, "address=三路", NULL));
    sx_refused(say(&f->d2, id, "address=四路"), TZ_E_UNKNOWN_RECORD);
    struct sx_cs *c = sx_begin(&f->d1b); /* an import, half of it refused */
    sx_op_create(c, "organisation", "name=乙公司", "district_code=120101", NULL);
    sx_op_create(c, "organisation", "name=丙公司", "district_code=120102", NULL);
    c->cs.independent = true;
    sx_applied(sx_push(c));
    struct sx_dev copy = f->d1; /* a copied installation's save is held */
    copy.seq--;
    c = sx_begin(&copy);
    sx_op_set(c, "organisation", id, "address=五路", NULL);
    sx_expect(sx_push(c), TZ_OUT_HELD, TZ_E_FORKED);
}

static int64_t rows_of(struct sx *f, const char *table)
{
    char sql[160];
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM (SELECT type,id,only,n FROM %s)", table);
    return sx_query(f, sql);
}

static void the_step_that_adds_the_index_fills_it_from_the_audit_log(void **state)
{
    struct sx *f = *state;
    whatever_happens(f);
    sx_exec(f, "CREATE TABLE kept AS SELECT * FROM history");
    assert_int_equal(sx_query(f, "SELECT count(*) FROM kept WHERE only>0"), 3); /* refused twice, held once */
    sx_undo_from_step_5(f);
    sx_exec(f, "PRAGMA user_version=4");
    sx_reopen(f);
    assert_int_equal(rows_of(f, "history"), rows_of(f, "kept"));
    assert_int_equal(sx_query(f, "SELECT count(*) FROM (SELECT type,id,only,n FROM history EXCEPT"
                                 " SELECT type,id,only,n FROM kept)"),
                     0);
}

/** A merge concerns both, a later one too; what was refused only who tried. */
static void a_merge_is_in_the_history_of_both(void **state)
{
    struct sx *f = *state;
    struct sx_dev super = {0};
    sx_join(f, &super, "super", "D_SUPER", "120101");
    struct tz_id keep = sx_org(f, "甲公司");
    struct tz_id gone = sx_org(f, "乙公司");
    for (int i = 0; i < 2; i++) {
        struct sx_dev *d = i ? &super : &f->d1;
        struct sx_cs *c = sx_begin(d);
        sx_op(c, TZ_OP_MERGE, "organisation", keep)->other_id = gone;
        assert_int_equal(sx_push(c)->outcome, i ? TZ_OUT_APPLIED : TZ_OUT_REFUSED);
    }
    struct told *of_keep = ask(&super, "organisation", keep);
    struct told *of_gone = ask(&super, "organisation", gone);
    assert_int_equal(of_keep->n, 2);
    assert_int_equal(of_gone->n, 2);
    assert_int_equal(of_keep->e[0].n, of_gone->e[0].n);
    assert_int_equal(of_keep->e[0].ops[0].op.kind, TZ_OP_MERGE);
    assert_true(tz_id_eq(of_keep->e[0].ops[0].op.other_id, gone));
    assert_true(tz_id_eq(of_gone->e[0].ops[0].op.other_id, keep));
    assert_int_equal(ask(&f->d1, "organisation", gone)->n, 3);
}

static void what_became_part_of_another_at_once_is_in_the_history_of_that(void **state)
{
    struct sx *f = *state;
    struct tz_id id[2] = {0};
    for (int i = 0; i < 2; i++) {
        struct sx_cs *c = sx_begin(i ? &f->d1b : &f->d1);
        id[i] = sx_op_create(c, "organisation", "name=甲公司", "district_code=120101", "usci=91120101MA0T000017", NULL);
        const struct tz_result *r = sx_push(c);
        sx_applied(r);
        assert_true(!i || tz_id_eq(r->ops[0].alias_of, id[0]));
    }
    struct told *t = ask(&f->d1, "organisation", id[0]);
    assert_int_equal(t->n, 2);
    assert_int_equal(t->e[0].ops[0].op.kind, TZ_OP_CREATE);
    assert_int_equal(t->e[0].device, f->d1b.d.number);
}

static struct tz_id coded_firm(struct sx_dev *d, const char *usci)
{
    struct sx_cs *c = sx_begin(d);
    struct tz_id id = sx_op_create(c, "organisation", "name=甲公司", "district_code=120101", usci, NULL);
    sx_applied(sx_push(c));
    return id;
}

static void an_edit_by_the_id_that_went_is_in_the_history_of_both(void **state)
{
    struct sx *f = *state;
    struct tz_id a = coded_firm(&f->fi, "usci=91120101MA0T000017");
    struct tz_id b = coded_firm(&f->fi2, "usci=91120101MA0T000017");
    f->clock.wall.ms += 1000;
    const struct tz_result *r = sx_set(&f->fi2, "organisation", b, "address=一路", NULL); /* has not heard */
    sx_applied(r);
    assert_true(tz_id_eq(r->ops[0].alias_of, a));
    struct told *of_a = ask(&f->d1, "organisation", a);
    struct told *of_b = ask(&f->d1, "organisation", b);
    assert_int_equal(of_a->n, 3);
    assert_int_equal(of_b->n, 2);
    assert_string_equal(said(f, "organisation", &of_a->e[0].ops[0], "address"), "一路");
    assert_true(of_a->e[0].ops[0].as_other);
    assert_true(tz_id_eq(of_a->e[0].ops[0].op.other_id, b));
    assert_true(of_a->e[1].ops[0].as_other); /* the creation of b */
    assert_false(of_a->e[2].ops[0].as_other);
    assert_int_equal(of_b->e[0].n, of_a->e[0].n);
    assert_false(of_b->e[0].ops[0].as_other);
    assert_true(tz_id_eq(of_b->e[0].ops[0].op.other_id, a));
}

static void a_merge_set_off_by_an_edit_is_in_the_history_of_both(void **state)
{
    struct sx *f = *state;
    static const char *const USCI[] = {"usci=91120101MA0T000017", "usci=91120101MA0T000025"};
    for (int later = 0; later < 2; later++) { /* the code is said of the one that goes, or of the one that stays */
        struct tz_id a = coded_firm(&f->d1, later ? USCI[1] : NULL);
        struct tz_id b = coded_firm(&f->d1, later ? NULL : USCI[0]);
        sx_see(&f->d1);
        const struct tz_result *r = sx_set(&f->d1, "organisation", later ? b : a, USCI[later], NULL);
        sx_applied(r);
        assert_true(sx_deleted(f, "organisation", b));
        assert_true(tz_id_eq(later ? r->ops[0].alias_of : r->ops[0].absorbed, later ? a : b));
        struct told *of_a = ask(&f->d1, "organisation", a);
        struct told *of_b = ask(&f->d1, "organisation", b);
        assert_int_equal(of_a->n, 2);
        assert_int_equal(of_b->n, 2);
        assert_int_equal(of_a->e[0].n, of_b->e[0].n);
        assert_true(tz_id_eq(of_a->e[0].ops[0].op.other_id, b));
        assert_true(tz_id_eq(of_b->e[0].ops[0].op.other_id, a));
        assert_int_equal(of_a->e[0].ops[0].as_other, later);
        assert_int_equal(ask_field(&f->d1, "organisation", a, field_id(f, "organisation", "address"))->n, 2);
    }
}

static void the_record_that_one_became_part_of_is_named_to_its_readers_only(void **state)
{
    struct sx *f = *state;
    struct tz_id a = coded_firm(&f->fi, "usci=91120101MA0T000017");
    struct tz_id b = coded_firm(&f->fi2, "usci=91120101MA0T000017");
    assert_true(tz_id_eq(ask(&f->d1, "organisation", b)->e[0].ops[0].op.other_id, a));
    sx_see(&f->c1);
    sx_applied(sx_set(&f->c1, "organisation", a, "district_code=120102", NULL));
    struct told *t = ask(&f->d1, "organisation", b);
    assert_int_equal(t->n, 1);
    assert_true(tz_id_is_zero(t->e[0].ops[0].op.other_id));
}

static void what_is_said_by_an_old_id_is_told_to_readers_of_the_record_it_means(void **state)
{
    struct sx *f = *state;
    struct sx_dev super;
    struct tz_id a = coded_firm(&f->d1, "usci=91120101MA0T000017");
    struct sx_cs *c = sx_begin(&f->d2);
    struct tz_id b = sx_op_create(c, "organisation", "name=乙公司", "district_code=120102", NULL);
    sx_applied(sx_push(c));
    sx_join(f, &super, "csuper", "C_SUPER", "120000");
    sx_see(&super);
    c = sx_begin(&super);
    sx_op(c, TZ_OP_MERGE, "organisation", a)->other_id = b;
    sx_applied(sx_push(c));
    sx_see(&f->c1);
    sx_applied(sx_set(&f->c1, "organisation", b, "decoupled_on=2020-01-01", NULL));
    assert_int_equal(ask(&f->d1, "organisation", a)->n, 3);
    assert_int_equal(ask(&f->c1, "organisation", b)->n, 3);
    struct told *t = ask(&f->d2, "organisation", b); /* reads what is left of b, and not a */
    assert_int_equal(t->n, 2);
    assert_int_equal(t->e[0].ops[0].op.kind, TZ_OP_MERGE);
}

static void an_undone_changeset_leaves_no_index_row(void **state)
{
    struct sx *f = *state;
    struct sx_cs *c = sx_begin(&f->d1);
    int64_t before = rows_of(f, "history");
    sx_op_create(c, "organisation", "name=甲公司", "district_code=120101", NULL);
    sx_group(f);
    assert_int_equal(sx_apply(c), 0);
    assert_int_equal(rows_of(f, "history"), before + 1);
    tz_store_group_rollback(f->s);
    assert_int_equal(rows_of(f, "history"), before);
}

#define T(name) cmocka_unit_test_setup_teardown(name, sx_setup, sx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_change_is_told_newest_first),
        T(the_answer_says_which_version_wrote_what_stands),
        T(conflict_and_decision_name_the_case),
        T(only_ops_on_the_record_are_told),
        T(a_field_has_the_changes_that_name_it_or_its_group),
        T(foreign_unknown_forgotten_and_untyped_look_alike),
        T(a_record_that_moved_away_has_no_history_here_any_more),
        T(what_was_refused_is_told_to_who_tried_only),
        T(refusals_of_strangers_take_no_room_in_a_page),
        T(an_op_that_merely_mentions_a_record_is_not_in_its_history),
        T(secrets_reach_their_readers_only),
        T(decision_about_a_secret_field_is_projected_too),
        T(long_histories_come_in_pages),
        T(large_changes_make_short_pages_and_none_is_lost),
        T(erased_bodies_are_told_as_erased),
        T(the_step_that_adds_the_index_fills_it_from_the_audit_log),
        T(a_merge_is_in_the_history_of_both),
        T(what_became_part_of_another_at_once_is_in_the_history_of_that),
        T(an_edit_by_the_id_that_went_is_in_the_history_of_both),
        T(a_merge_set_off_by_an_edit_is_in_the_history_of_both),
        T(the_record_that_one_became_part_of_is_named_to_its_readers_only),
        T(what_is_said_by_an_old_id_is_told_to_readers_of_the_record_it_means),
        T(an_undone_changeset_leaves_no_index_row),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
