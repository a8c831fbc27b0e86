/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle against the merge rules, by hand-made changesets: who judges the product must be judged first. Device 1 is
 * a district clerk, device 2 a field inspector of the same district, device 3 a supervisor; times are milliseconds
 * after a fixed start.
 */
/* cmocka.h needs the others before it */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "sim.h"

#include <string.h>

enum { START_MS = 1000000 };

static struct tz_catalogue cat;
static const struct tz_type *org, *coverage, *visit;
static const char *const ROLES[] = {"", "D_CLERK", "F_INSP", "D_SUPER"};

struct world {
    struct oracle *o;
    struct tz_arena a;
    uint64_t seq[8];
    struct tz_id unit;
};

static int setup(void **state)
{
    static struct world w;
    struct tz_area city = {0};
    struct tz_value v[TZ_FIELDS_MAX] = {{0}};
    memset(&w, 0, sizeof w);
    tz_arena_init(&w.a, 8 << 20);
    w.o = oracle_new(&cat);
    w.unit.b[0] = 9;
    const struct tz_type *user = tz_catalogue_type(&cat, "user");
    v[0] = tz_value_text("u");
    oracle_seed(w.o, user, w.unit, v, 1, &city);
    oracle_head(w.o, 1, 0);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    oracle_free(w->o);
    tz_arena_deinit(&w->a);
    return 0;
}

static struct tz_id id_of(uint32_t device, uint8_t n)
{
    struct tz_id id = {{0}};
    id.b[0] = n;
    id.b[15] = (uint8_t)device;
    return id;
}

static struct tz_bytes body(struct world *w, const struct tz_record *rec)
{
    struct tz_buf b;
    tz_buf_init(&b, TZ_ROW_BYTES_MAX);
    assert_int_equal(tz_record_encode(rec, &b), 0);
    struct tz_bytes out = tz_bytes_of(tz_arena_dup(&w->a, b.p, b.len), b.len);
    tz_buf_deinit(&b);
    return out;
}

/** One op as a changeset of its own; returns its outcome. */
static const struct oracle_outcome *push(struct world *w, uint32_t device, int64_t at_ms, struct tz_op op,
                                         tz_ver checkpoint)
{
    struct tz_op *ops = tz_arena_dup(&w->a, &op, sizeof op);
    struct tz_changeset *cs = tz_arena_calloc(&w->a, 1, sizeof *cs);
    struct oracle_author who = {
        .known = true, .role = tz_catalogue_role(&cat, ROLES[device]), .received_ms = START_MS + 60000};
    size_t first;
    size_t n;
    memcpy(who.area.district, "120101", 6);
    *cs = (struct tz_changeset){.device = device,
                                .incarnation = 1,
                                .seq = ++w->seq[device],
                                .hlc = tz_hlc_of(START_MS + at_ms, 0),
                                .catalogue_version = cat.version,
                                .base_checkpoint = checkpoint,
                                .ops = ops,
                                .nops = 1};
    cs->user.b[0] = (uint8_t)device;
    oracle_apply(w->o, &who, cs, &first);
    return &oracle_outcomes(w->o, &n)[first];
}

static struct tz_record *record(struct world *w, const struct tz_type *t)
{
    struct tz_record *r = tz_arena_calloc(&w->a, 1, sizeof *r);
    tz_record_init(r, t);
    return r;
}

static void give(struct tz_record *r, const char *field, struct tz_value v)
{
    r->v[tz_type_field(r->type, field)->index] = v;
}

static struct tz_value now_of(struct world *w, struct tz_id id, const char *field)
{
    return oracle_find(w->o, org, id)->v[tz_type_field(org, field)->index];
}

static tz_ver make_org(struct world *w, struct tz_id id)
{
    struct tz_record *r = record(w, org);
    give(r, "name", tz_value_text("N0"));
    give(r, "district_code", tz_value_text("120101"));
    give(r, "employees", tz_value_int(1));
    give(r, "full_members", tz_value_int(1));
    give(r, "activists", tz_value_int(1));
    give(r, "counts_on", tz_value_text("2017-01-01"));
    const struct oracle_outcome *o =
        push(w, tz_id_device(id), 0,
             (struct tz_op){.kind = TZ_OP_CREATE, .type = org->id, .id = id, .values = body(w, r)}, 1);
    assert_int_equal(o->outcome, TZ_OUT_APPLIED);
    return o->ver;
}

static enum tz_outcome set(struct world *w, uint32_t device, int64_t at_ms, struct tz_id id, tz_ver base,
                           uint64_t base_seq, struct tz_record *r)
{
    struct tz_op op = {
        .kind = TZ_OP_SET, .type = org->id, .id = id, .base_ver = base, .base_seq = base_seq, .values = body(w, r)};
    return push(w, device, at_ms, op, base)->outcome;
}

static enum tz_outcome set_name(struct world *w, uint32_t device, int64_t at_ms, struct tz_id id, tz_ver base,
                                const char *name)
{
    struct tz_record *r = record(w, org);
    give(r, "name", tz_value_text(name));
    return set(w, device, at_ms, id, base, 0, r);
}

static enum tz_outcome life(struct world *w, uint32_t device, enum tz_op_kind kind, struct tz_id id, tz_ver base)
{
    return push(w, device, 50, (struct tz_op){.kind = kind, .type = org->id, .id = id, .base_ver = base}, base)
        ->outcome;
}

static size_t ncases(struct world *w)
{
    size_t n;
    (void)oracle_cases(w->o, &n);
    return n;
}

static void successor_applies_without_a_case(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    tz_ver v = make_org(w, id);
    assert_int_equal(set_name(w, 2, 1, id, v, "A"), TZ_OUT_APPLIED);
    assert_int_equal(set_name(w, 1, -500000, id, v + 1, "B"),
                     TZ_OUT_APPLIED); /* a slow clock does not lose a successor */
    assert_true(tz_value_is_text(now_of(w, id, "name"), "B"));
    assert_int_equal(ncases(w), 0);
}

static void later_concurrent_edit_stands_and_the_other_is_a_candidate(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    tz_ver v = make_org(w, id);
    assert_int_equal(set_name(w, 2, 100, id, v, "A"), TZ_OUT_APPLIED);
    assert_int_equal(set_name(w, 3, 200, id, v, "B"), TZ_OUT_APPLIED);
    assert_true(tz_value_is_text(now_of(w, id, "name"), "B"));
    const struct oracle_case *c = oracle_case_find(w->o, org, id, "name", 1);
    assert_non_null(c);
    assert_int_equal(c->ncand, 1);
    assert_int_equal(c->cand[0].device, 2);
    assert_string_equal(c->cand[0].values, "name=\"A\";");
}

static void earlier_concurrent_edit_is_superseded(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    tz_ver v = make_org(w, id);
    assert_int_equal(set_name(w, 3, 200, id, v, "B"), TZ_OUT_APPLIED);
    assert_int_equal(set_name(w, 2, 100, id, v, "A"), TZ_OUT_SUPERSEDED);
    assert_true(tz_value_is_text(now_of(w, id, "name"), "B"));
    assert_string_equal(oracle_case_find(w->o, org, id, "name", 1)->cand[0].values, "name=\"A\";");
}

static void equal_concurrent_values_make_no_case(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    tz_ver v = make_org(w, id);
    assert_int_equal(set_name(w, 2, 100, id, v, "A"), TZ_OUT_APPLIED);
    assert_int_equal(set_name(w, 3, 200, id, v, "A"), TZ_OUT_APPLIED);
    assert_int_equal(ncases(w), 0);
}

static void own_value_that_was_seen_is_no_conflict(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    tz_ver v = make_org(w, id);
    struct tz_record *r = record(w, org);
    assert_int_equal(set_name(w, 2, 1, id, v, "A"), TZ_OUT_APPLIED);
    give(r, "name", tz_value_text("B"));
    assert_int_equal(set(w, 2, 2, id, v, 1, r), TZ_OUT_APPLIED); /* base_seq 1: its own first edit was on the screen */
    assert_int_equal(ncases(w), 0);
}

static void own_value_that_was_not_seen_is_concurrent(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    tz_ver v = make_org(w, id);
    assert_int_equal(set_name(w, 2, 1, id, v, "A"), TZ_OUT_APPLIED);
    assert_int_equal(set_name(w, 2, 2, id, v, "B"), TZ_OUT_APPLIED); /* base_seq 0 */
    assert_int_equal(ncases(w), 1);
}

static void group_members_changed_on_one_side_are_both_kept(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    tz_ver v = make_org(w, id);
    struct tz_record *a = record(w, org);
    struct tz_record *b = record(w, org);
    give(a, "full_members", tz_value_int(5));
    give(a, "counts_on", tz_value_text("2017-03"));
    give(b, "activists", tz_value_int(7));
    give(b, "counts_on", tz_value_text("2017-02-15"));
    assert_int_equal(set(w, 2, 1, id, v, 0, a), TZ_OUT_APPLIED);
    assert_int_equal(set(w, 3, 2, id, v, 0, b), TZ_OUT_APPLIED);
    assert_int_equal(now_of(w, id, "full_members").i, 5);
    assert_int_equal(now_of(w, id, "activists").i, 7);
    assert_true(tz_value_is_text(now_of(w, id, "counts_on"), "2017-03"));
    assert_int_equal(ncases(w), 0);
}

static void group_member_changed_twice_goes_by_the_as_of_date(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    tz_ver v = make_org(w, id);
    struct tz_record *a = record(w, org);
    struct tz_record *b = record(w, org);
    give(a, "full_members", tz_value_int(5));
    give(a, "counts_on", tz_value_text("2017-03-01"));
    give(b, "full_members", tz_value_int(6));
    give(b, "counts_on", tz_value_text("2017-03")); /* the same day, coarser */
    assert_int_equal(set(w, 2, 1, id, v, 0, a), TZ_OUT_APPLIED);
    assert_int_equal(set(w, 3, 9000, id, v, 0, b), TZ_OUT_SUPERSEDED);
    assert_int_equal(now_of(w, id, "full_members").i, 5);
    assert_string_equal(oracle_case_find(w->o, org, id, "members", 1)->cand[0].values,
                        "counts_on=\"2017-03\";full_members=6;");
}

static void delete_that_saw_everything_stands(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    tz_ver v = make_org(w, id);
    assert_int_equal(life(w, 3, TZ_OP_DELETE, id, v), TZ_OUT_APPLIED);
    assert_true(oracle_find(w->o, org, id)->deleted);
    assert_int_equal(set_name(w, 1, 60, id, v + 1, "X"), TZ_OUT_REFUSED); /* it saw the deletion */
    assert_int_equal(life(w, 3, TZ_OP_RESTORE, id, v + 1), TZ_OUT_APPLIED);
    assert_int_equal(ncases(w), 0);
}

static void delete_that_missed_an_edit_is_superseded(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    tz_ver v = make_org(w, id);
    assert_int_equal(set_name(w, 2, 1, id, v, "A"), TZ_OUT_APPLIED);
    assert_int_equal(life(w, 3, TZ_OP_DELETE, id, v), TZ_OUT_SUPERSEDED);
    assert_false(oracle_find(w->o, org, id)->deleted);
    assert_string_equal(oracle_case_find(w->o, org, id, "_deleted", 1)->cand[0].values, "_deleted=1;");
}

static void edit_that_missed_the_deletion_brings_the_record_back(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    tz_ver v = make_org(w, id);
    assert_int_equal(life(w, 3, TZ_OP_DELETE, id, v), TZ_OUT_APPLIED);
    assert_int_equal(set_name(w, 2, 1, id, v, "N0"), TZ_OUT_APPLIED); /* equal to what the deleter saw: nothing */
    assert_true(oracle_find(w->o, org, id)->deleted);
    assert_int_equal(set_name(w, 2, 2, id, v, "A"), TZ_OUT_APPLIED);
    assert_false(oracle_find(w->o, org, id)->deleted);
    assert_int_equal(oracle_case_find(w->o, org, id, "_deleted", 1)->cand[0].device, 3);
}

static enum tz_outcome child(struct world *w, const struct tz_type *t, struct tz_id id, struct tz_id parent,
                             tz_ver checkpoint)
{
    struct tz_record *r = record(w, t);
    struct tz_id *p = tz_arena_dup(&w->a, &parent, sizeof parent);
    give(r, "org_id", tz_value_blob(p->b, TZ_ID_BYTES));
    if (t == visit) {
        give(r, "by_ref", tz_value_blob(w->unit.b, TZ_ID_BYTES));
        give(r, "visited_on", tz_value_text("2017-01-01"));
        give(r, "way", tz_value_text("phone"));
    } else {
        give(r, "mode", tz_value_text("liaison"));
        give(r, "since", tz_value_text("2017"));
    }
    enum tz_op_kind kind = t->append ? TZ_OP_APPEND : TZ_OP_CREATE;
    return push(w, tz_id_device(id), 5, (struct tz_op){.kind = kind, .type = t->id, .id = id, .values = body(w, r)},
                checkpoint)
        ->outcome;
}

static void seen_child_that_blocks_refuses_the_deletion(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    tz_ver v = make_org(w, id);
    assert_int_equal(child(w, coverage, id_of(1, 2), id, v), TZ_OUT_APPLIED);
    assert_int_equal(life(w, 3, TZ_OP_DELETE, id, v + 1), TZ_OUT_REFUSED);
}

static void unseen_child_supersedes_the_deletion(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    tz_ver v = make_org(w, id);
    assert_int_equal(child(w, visit, id_of(2, 2), id, v), TZ_OUT_APPLIED);
    assert_int_equal(life(w, 3, TZ_OP_DELETE, id, v), TZ_OUT_SUPERSEDED);
    assert_int_equal(life(w, 3, TZ_OP_DELETE, id, v + 1), TZ_OUT_APPLIED); /* a visit that was seen does not block */
}

static void child_under_an_unseen_deletion_brings_the_parent_back(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    tz_ver v = make_org(w, id);
    assert_int_equal(life(w, 3, TZ_OP_DELETE, id, v), TZ_OUT_APPLIED);
    assert_int_equal(child(w, visit, id_of(2, 2), id, v), TZ_OUT_APPLIED);
    assert_false(oracle_find(w->o, org, id)->deleted);
    assert_non_null(oracle_case_find(w->o, org, id, "_deleted", 1));
}

/* ---- cases ---- */

static struct tz_id the_case_target;
static bool only_case(void *ctx, struct tz_id case_id, const struct tz_type **type, struct tz_id *target,
                      const char **subject, uint32_t *generation)
{
    (void)ctx;
    *type = org;
    *target = the_case_target;
    *subject = "name";
    *generation = case_id.b[0];
    return true;
}

static enum tz_outcome resolve(struct world *w, uint32_t device, uint8_t generation, tz_ver base, const char *name)
{
    struct tz_record *r = record(w, org);
    give(r, "name", tz_value_text(name));
    struct tz_op op = {.kind = TZ_OP_RESOLVE,
                       .type = tz_catalogue_type(&cat, "case")->id,
                       .id = id_of(0, generation),
                       .base_ver = base,
                       .generation = generation,
                       .choice = TZ_CHOICE_TYPED,
                       .values = body(w, r)};
    return push(w, device, 70, op, base)->outcome;
}

/** "A" lost against "B"; versions v+1 and v+2. */
static tz_ver conflict(struct world *w, struct tz_id id)
{
    tz_ver v = make_org(w, id);
    assert_int_equal(set_name(w, 2, 100, id, v, "A"), TZ_OUT_APPLIED);
    assert_int_equal(set_name(w, 3, 200, id, v, "B"), TZ_OUT_APPLIED);
    the_case_target = id;
    oracle_case_lookup(w->o, only_case, NULL);
    return v;
}

static void resolve_that_saw_everything_closes_the_case(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    tz_ver v = conflict(w, id);
    assert_int_equal(resolve(w, 1, 1, v + 2, "C"), TZ_OUT_APPLIED);
    assert_true(tz_value_is_text(now_of(w, id, "name"), "C"));
    assert_false(oracle_case_find(w->o, org, id, "name", 1)->open);
    assert_int_equal(ncases(w), 1);
}

static void edit_that_missed_the_resolve_never_wins(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    tz_ver v = conflict(w, id);
    assert_int_equal(resolve(w, 1, 1, v + 2, "C"), TZ_OUT_APPLIED);
    assert_int_equal(set_name(w, 3, 50000, id, v + 2, "D"), TZ_OUT_SUPERSEDED);
    assert_true(tz_value_is_text(now_of(w, id, "name"), "C"));
    assert_string_equal(oracle_case_find(w->o, org, id, "name", 2)->cand[0].values, "name=\"D\";");
}

static void resolve_that_missed_a_candidate_opens_the_next_generation(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    tz_ver v = conflict(w, id);
    assert_int_equal(resolve(w, 1, 1, v + 1, "C"), TZ_OUT_APPLIED); /* it saw neither B nor the candidate A */
    const struct oracle_case *c = oracle_case_find(w->o, org, id, "name", 2);
    assert_non_null(c);
    assert_true(c->open);
    assert_int_equal(c->ncand, 2);
}

static void second_resolve_is_nothing_or_a_new_candidate(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    tz_ver v = conflict(w, id);
    assert_int_equal(resolve(w, 1, 1, v + 2, "C"), TZ_OUT_APPLIED);
    assert_int_equal(resolve(w, 3, 1, v + 2, "C"), TZ_OUT_APPLIED);
    assert_int_equal(ncases(w), 1);
    assert_int_equal(resolve(w, 3, 1, v + 2, "D"), TZ_OUT_SUPERSEDED);
    assert_string_equal(oracle_case_find(w->o, org, id, "name", 2)->cand[0].values, "name=\"D\";");
}

static bool case_of_life(void *ctx, struct tz_id case_id, const struct tz_type **type, struct tz_id *target,
                         const char **subject, uint32_t *generation)
{
    (void)only_case(ctx, case_id, type, target, subject, generation);
    *subject = "_deleted";
    return true;
}

static enum tz_outcome decide_deletion(struct world *w, uint32_t device, uint8_t generation, tz_ver base)
{
    struct tz_op op = {.kind = TZ_OP_RESOLVE,
                       .type = tz_catalogue_type(&cat, "case")->id,
                       .id = id_of(0, generation),
                       .base_ver = base,
                       .generation = generation,
                       .field = TZ_FIELD_DELETED,
                       .deleted = true};
    return push(w, device, 70, op, base)->outcome;
}

static void decision_to_delete_that_missed_an_edit_only_joins_the_case(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    tz_ver v = conflict(w, id);
    oracle_case_lookup(w->o, case_of_life, NULL);
    assert_int_equal(life(w, 3, TZ_OP_DELETE, id, v), TZ_OUT_SUPERSEDED);
    assert_int_equal(decide_deletion(w, 1, 1, v + 1), TZ_OUT_SUPERSEDED);
    assert_false(oracle_find(w->o, org, id)->deleted);
    assert_true(oracle_case_find(w->o, org, id, "_deleted", 1)->open);
    assert_int_equal(oracle_case_find(w->o, org, id, "_deleted", 1)->ncand, 2);
    assert_int_equal(decide_deletion(w, 1, 1, v + 4), TZ_OUT_APPLIED);
    assert_true(oracle_find(w->o, org, id)->deleted);
}

static void decision_about_a_field_of_a_deleted_record(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    tz_ver v = conflict(w, id);
    assert_int_equal(life(w, 3, TZ_OP_DELETE, id, v + 2), TZ_OUT_APPLIED);
    assert_int_equal(resolve(w, 1, 1, v + 3, "C"), TZ_OUT_REFUSED); /* it saw the deletion */
    assert_int_equal(resolve(w, 2, 1, v + 2, "C"), TZ_OUT_APPLIED);
    assert_false(oracle_find(w->o, org, id)->deleted);
    assert_true(tz_value_is_text(now_of(w, id, "name"), "C"));
    assert_non_null(oracle_case_find(w->o, org, id, "_deleted", 1));
}

static void decision_may_not_clear_what_is_required(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    tz_ver v = conflict(w, id);
    const uint32_t name = tz_type_field(org, "name")->id;
    struct tz_op op = {.kind = TZ_OP_RESOLVE,
                       .type = tz_catalogue_type(&cat, "case")->id,
                       .id = id_of(0, 1),
                       .base_ver = v + 2,
                       .generation = 1,
                       .cleared = &name,
                       .ncleared = 1};
    assert_int_equal(push(w, 1, 70, op, v + 2)->codes[0], TZ_E_REQUIRED);
}

static void field_that_the_catalogue_lacks_is_refused(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    tz_ver v = make_org(w, id);
    const uint32_t unknown = 15000;
    struct tz_op op = {.kind = TZ_OP_SET, .type = org->id, .id = id, .base_ver = v, .cleared = &unknown, .ncleared = 1};
    assert_int_equal(push(w, 1, 70, op, v)->codes[0], TZ_E_UNKNOWN_FIELD);
}

static void later_word_of_the_same_person_replaces_the_earlier(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    tz_ver v = make_org(w, id);
    assert_int_equal(set_name(w, 3, 5000, id, v, "B"), TZ_OUT_APPLIED);
    assert_int_equal(set_name(w, 2, 100, id, v, "A1"), TZ_OUT_SUPERSEDED);
    assert_int_equal(set_name(w, 2, 200, id, v, "A2"), TZ_OUT_SUPERSEDED);
    const struct oracle_case *c = oracle_case_find(w->o, org, id, "name", 1);
    assert_int_equal(c->ncand, 1);
    assert_string_equal(c->cand[0].values, "name=\"A2\";");
}

/* ---- holes ---- */

static void edit_of_a_refused_record_waits_and_a_mended_create_releases_it(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    struct tz_record *r = record(w, org); /* no name: refused */
    give(r, "district_code", tz_value_text("120101"));
    struct tz_op op = {.kind = TZ_OP_CREATE, .type = org->id, .id = id, .values = body(w, r)};
    assert_int_equal(push(w, 1, 0, op, 1)->outcome, TZ_OUT_REFUSED);
    assert_int_equal(set_name(w, 1, 1, id, 1, "A"), TZ_OUT_WAITING);
    (void)make_org(w, id);
    assert_int_equal(oracle_outcome_of(w->o, 1, 1, 2)->outcome, TZ_OUT_SUPERSEDED); /* what the CREATE says is later */
}

static void withdrawing_a_refused_one_releases_what_waits(void **state)
{
    struct world *w = *state;
    struct tz_id id = id_of(1, 1);
    tz_ver v = make_org(w, id);
    struct tz_record *r = record(w, org);
    give(r, "verified_at", tz_value_int(1)); /* the server's field */
    give(r, "name", tz_value_text("A"));
    assert_int_equal(set(w, 1, 1, id, v, 1, r), TZ_OUT_REFUSED);
    assert_int_equal(set_name(w, 1, 2, id, v, "B"), TZ_OUT_WAITING);
    assert_int_equal(push(w, 1, 3, (struct tz_op){.kind = TZ_OP_WITHDRAW, .target_seq = 2}, v)->outcome,
                     TZ_OUT_APPLIED);
    assert_int_equal(oracle_outcome_of(w->o, 1, 1, 3)->outcome, TZ_OUT_APPLIED);
    assert_true(tz_value_is_text(now_of(w, id, "name"), "B"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(successor_applies_without_a_case),
        T(later_concurrent_edit_stands_and_the_other_is_a_candidate),
        T(earlier_concurrent_edit_is_superseded),
        T(equal_concurrent_values_make_no_case),
        T(own_value_that_was_seen_is_no_conflict),
        T(own_value_that_was_not_seen_is_concurrent),
        T(group_members_changed_on_one_side_are_both_kept),
        T(group_member_changed_twice_goes_by_the_as_of_date),
        T(delete_that_saw_everything_stands),
        T(delete_that_missed_an_edit_is_superseded),
        T(edit_that_missed_the_deletion_brings_the_record_back),
        T(seen_child_that_blocks_refuses_the_deletion),
        T(unseen_child_supersedes_the_deletion),
        T(child_under_an_unseen_deletion_brings_the_parent_back),
        T(resolve_that_saw_everything_closes_the_case),
        T(edit_that_missed_the_resolve_never_wins),
        T(resolve_that_missed_a_candidate_opens_the_next_generation),
        T(second_resolve_is_nothing_or_a_new_candidate),
        T(decision_to_delete_that_missed_an_edit_only_joins_the_case),
        T(decision_about_a_field_of_a_deleted_record),
        T(decision_may_not_clear_what_is_required),
        T(field_that_the_catalogue_lacks_is_refused),
        T(later_word_of_the_same_person_replaces_the_earlier),
        T(edit_of_a_refused_record_waits_and_a_mended_create_releases_it),
        T(withdrawing_a_refused_one_releases_what_waits),
    };
#undef T
    if (sim_catalogue_load(&cat, 0))
        return 1;
    org = tz_catalogue_type(&cat, "organisation");
    coverage = tz_catalogue_type(&cat, "coverage");
    visit = tz_catalogue_type(&cat, "visit");
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    tz_catalogue_deinit(&cat);
    return rc;
}
