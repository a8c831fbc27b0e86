/* SPDX-License-Identifier: Apache-2.0 */
/* Buckets as the server answers about them, and the incidents that repairs leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rowsum.h"
#include "store_fixture.h"

#include <stdlib.h>
#include <string.h>

static const struct tz_area STREET = {"120101", "120101001"};

struct asked {
    struct tz_msg_digest m;
    tz_ver since;
    size_t bytes;
};

static int ask_code(struct sx_dev *d, const struct tz_msg_digest_request *q, struct asked *out)
{
    struct sx *f = d->f;
    struct tz_grant *g = tz_arena_alloc(&f->a, sizeof *g);
    struct tz_buf b;
    assert_int_equal(tz_store_grant_of(f->s, &d->d, tz_clock_wall(&f->s->clock).ms, g, &f->err), 0);
    tz_buf_init(&b, TZ_FRAME_BODY_MAX);
    int rc = tz_store_digest(f->s, g, q, &b, &out->since, &f->err);
    out->bytes = b.len;
    if (!rc)
        assert_int_equal(
            tz_msg_read_digest(tz_bytes_of(tz_arena_dup(&f->a, b.p, b.len), b.len), &f->a, &out->m, &f->err), 0);
    tz_buf_deinit(&b);
    return rc;
}

static struct asked ask(struct sx_dev *d, const struct tz_msg_digest_request *q)
{
    struct asked a;
    assert_int_equal(ask_code(d, q, &a), 0);
    assert_int_equal(a.m.round, q->round);
    assert_int_equal(a.m.since, a.since);
    assert_int_equal(a.m.ver, tz_store_head(d->f->s));
    assert_false(a.m.repair_keeps);
    return a;
}

static struct asked areas(struct sx_dev *d)
{
    return ask(d, &(struct tz_msg_digest_request){.round = TZ_DIGEST_AREAS});
}

static const struct tz_bucket *entry(const struct asked *a, struct sx *f, const char *type, struct tz_area area)
{
    for (size_t i = 0; i < a->m.nentries; i++)
        if (a->m.entries[i].key.type == sx_type(f, type)->id && tz_area_eq(&a->m.entries[i].key.area, &area))
            return &a->m.entries[i];
    return NULL;
}

static struct tz_msg_digest_request rows_of(struct sx *f, const char *type, struct tz_area area)
{
    struct tz_msg_digest_request q = {.round = TZ_DIGEST_ROWS, .nkeys = 1, .keys = {{sx_type(f, type)->id, area}}};
    memset(q.ranges, 0xFF, sizeof q.ranges);
    return q;
}

static struct tz_id street_org(struct sx *f, const char *name)
{
    char text[64];
    (void)snprintf(text, sizeof text, "name=%s", name);
    return sx_create(&f->d1, "organisation", text, "district_code=120101", "street_code=120101001", NULL);
}

static void keys_are_the_exact_areas_of_what_the_reader_may_read(void **state)
{
    struct sx *f = *state;
    struct tz_area district = {"120101", ""};
    sx_org(f, "甲");
    street_org(f, "乙");
    street_org(f, "丙");
    sx_create(&f->d2, "organisation", "name=丁", "district_code=120102", NULL);
    struct asked a = areas(&f->d1);
    assert_int_equal(entry(&a, f, "organisation", district)->sum.rows, 1);
    assert_int_equal(entry(&a, f, "organisation", STREET)->sum.rows, 2);
    assert_null(entry(&a, f, "organisation", (struct tz_area){"120102", ""}));
    assert_true(entry(&a, f, "division", (struct tz_area){"", ""})->sum.rows > 300);
    a = areas(&f->s1);
    assert_null(entry(&a, f, "organisation", district));
    assert_int_equal(entry(&a, f, "organisation", STREET)->sum.rows, 2);
    for (size_t i = 1; i < a.m.nentries; i++)
        assert_true(tz_bucket_key_cmp(&a.m.entries[i - 1].key, &a.m.entries[i].key) < 0);
}

static void key_outside_the_grant_is_refused_in_both_rounds(void **state)
{
    struct sx *f = *state;
    struct asked a;
    struct tz_area outside[] = {{"120102", ""}, {"120101", ""}, {"120101", "120101002"}};
    for (size_t i = 0; i < 3; i++) {
        struct tz_msg_digest_request q = rows_of(f, "organisation", outside[i]);
        assert_int_equal(ask_code(&f->s1, &q, &a), TZ_E_AREA);
        q = (struct tz_msg_digest_request){.round = TZ_DIGEST_RANGES, .nkeys = 1};
        q.keys[0] = (struct tz_bucket_key){sx_type(f, "organisation")->id, outside[i]};
        assert_int_equal(ask_code(&f->s1, &q, &a), TZ_E_AREA);
        assert_int_equal(a.bytes, 0);
    }
}

static void ranges_add_up_to_their_key_and_name_the_hash_of_the_id(void **state)
{
    struct sx *f = *state;
    struct tz_id id = street_org(f, "甲");
    for (int i = 0; i < 20; i++)
        street_org(f, "乙");
    struct tz_msg_digest_request q = {.round = TZ_DIGEST_RANGES, .nkeys = 1};
    q.keys[0] = (struct tz_bucket_key){sx_type(f, "organisation")->id, STREET};
    struct asked a = ask(&f->d1, &q);
    struct tz_bucket_sum sum = {0};
    uint8_t hash[32];
    bool found = false;
    assert_int_equal(tz_sha256(tz_bytes_of(id.b, sizeof id.b), hash), 0);
    for (size_t i = 0; i < a.m.nentries; i++) {
        found = found || a.m.entries[i].range == hash[0];
        sum.rows += a.m.entries[i].sum.rows;
        for (size_t k = 0; k < TZ_HASH_BYTES; k++)
            sum.digest[k] ^= a.m.entries[i].sum.digest[k];
    }
    assert_true(found);
    struct asked all = areas(&f->d1);
    assert_true(tz_bucket_same(&sum, &entry(&all, f, "organisation", STREET)->sum));
}

static void type_that_the_catalogue_lacks_has_no_rows(void **state)
{
    struct sx *f = *state;
    struct tz_msg_digest_request q = rows_of(f, "organisation", STREET);
    q.keys[0].type = 60000;
    struct asked a = ask(&f->d1, &q);
    assert_int_equal(a.m.nrows, 0);
    assert_false(a.m.more);
}

/** Projection: sums and rows of a reader without secrets say nothing about them. */
static void secrets_are_in_no_sum_of_who_may_not_read_them(void **state)
{
    struct sx *f = *state;
    struct tz_area where = {"120101", ""};
    struct tz_id p = sx_create(&f->d1, "person", "name=MARKER-ONE", "district_code=120101", NULL);
    struct asked before = areas(&f->fi);
    struct asked clerk = areas(&f->d1);
    assert_false(tz_bucket_same(&entry(&before, f, "person", where)->sum, &entry(&clerk, f, "person", where)->sum));
    struct tz_msg_digest_request q = rows_of(f, "person", where);
    struct asked rows = ask(&f->fi, &q);
    assert_int_equal(rows.m.nrows, 1);
    assert_true(tz_id_eq(rows.m.rows[0].id, p));
    assert_null(memmem(rows.m.rows[0].body.p, rows.m.rows[0].body.n, "MARKER-ONE", 10));
    rows = ask(&f->d1, &q);
    assert_non_null(memmem(rows.m.rows[0].body.p, rows.m.rows[0].body.n, "MARKER-ONE", 10));
}

static void answer_holds_from_the_last_change_of_the_reader_s_areas(void **state)
{
    struct sx *f = *state;
    sx_org(f, "甲");
    tz_ver own = tz_store_head(f->s);
    sx_create(&f->d2, "organisation", "name=丁", "district_code=120102", NULL);
    struct asked a = areas(&f->d1);
    assert_int_equal(a.since, own);
    assert_true(a.m.ver > own);
    a = areas(&f->d2);
    assert_int_equal(a.since, a.m.ver);
    a = areas(&f->s1); /* a street without a record: since its own user came */
    assert_true(a.since < own);
    a = areas(&f->c1); /* sees both */
    assert_int_equal(a.since, a.m.ver);
}

/** Many keys: rows straight into the table, each in a street of its own. */
static void keys_come_in_pages_and_none_is_missing(void **state)
{
    struct sx *f = *state;
    struct tz_msg_digest_request q = {.round = TZ_DIGEST_AREAS};
    size_t keys = 0;
    uint64_t rows = 0;
    unsigned pages = 0;
    static const char *const types[] = {"organisation", "branch"};
    for (int i = 0; i < 2; i++) {
        char sql[400];
        (void)snprintf(sql, sizeof sql,
                       "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i<899)"
                       " INSERT INTO \"%s\"(_id,name,_ver,_district,_street,_age)"
                       " SELECT randomblob(16),'x',1,'120101','120101'||printf('%%03d',i),0 FROM n",
                       types[i]);
        sx_exec(f, sql);
    }
    for (bool more = true; more; pages++) {
        struct asked a = ask(&f->d1, &q);
        assert_true(a.m.nentries <= TZ_MSG_DIGEST_AREAS_MAX);
        for (size_t i = 0; i < a.m.nentries; i++, keys++) {
            assert_true(tz_bucket_key_cmp(&q.after, &a.m.entries[i].key) < 0);
            q.after = a.m.entries[i].key;
            rows += q.after.area.street[0] ? a.m.entries[i].sum.rows : 0;
        }
        more = a.m.more;
    }
    assert_int_equal(pages, 2);
    assert_true(keys >= 1800);
    assert_int_equal(rows, 1800);
}

static void rows_come_in_pages_in_the_order_of_their_ids(void **state)
{
    struct sx *f = *state;
    struct tz_msg_digest_request q = rows_of(f, "organisation", STREET);
    size_t rows = 0;
    unsigned pages = 0;
    for (int i = 0; i < 12; i++)
        sx_fatten(f, street_org(f, "甲"), 60000);
    for (bool more = true; more; pages++) {
        struct asked a = ask(&f->d1, &q);
        assert_true(a.bytes <= TZ_ROWS_FRAME_BYTES + 2 * 60000);
        for (size_t i = 0; i < a.m.nrows; i++, rows++) {
            assert_true(tz_id_cmp(q.after_id, a.m.rows[i].id) < 0);
            q.after_id = a.m.rows[i].id;
        }
        more = a.m.more;
    }
    assert_int_equal(rows, 12);
    assert_int_equal(pages, 3);
}

/** The plan of @sql: an index by area, and nothing to sort. */
static void is_found_by_area(struct sx *f, const char *sql)
{
    char explain[512];
    struct tz_stmt st = {0};
    (void)snprintf(explain, sizeof explain, "EXPLAIN QUERY PLAN %s", sql);
    assert_int_equal(tz_db_prepare(f->s->db, &st, explain, &f->err), 0);
    assert_int_equal(tz_stmt_step(&st, &f->err), 1);
    assert_non_null(strstr(tz_stmt_text(&st, 3), "USING INDEX _a_organisation"));
    assert_int_equal(tz_stmt_step(&st, &f->err), 0);
    tz_stmt_finalize(&st);
}

static void what_others_have_costs_a_question_nothing(void **state)
{
    struct sx *f = *state;
    static const char page[] = "SELECT * FROM organisation WHERE _district='120101' AND _street='120101001'"
                               " AND _id>x'00' ORDER BY _id";
    is_found_by_area(f, page);
    is_found_by_area(f, "SELECT * FROM organisation WHERE _district='120101'");
    /* and in a database of before */
    sx_exec(f, "DROP INDEX _a_organisation; DROP TABLE backup_folder; ALTER TABLE device DROP COLUMN served;"
               "ALTER TABLE grant_past DROP COLUMN served; PRAGMA user_version=14");
    sx_reopen(f);
    is_found_by_area(f, page);
}

/* ---- incidents ---- */

static struct tz_area damage(struct sx_dev *d, bool want_noted)
{
    struct sx *f = d->f;
    struct tz_msg_damage m = {.nbuckets = 1, .changed = 2, .extra = 1};
    struct tz_area area;
    bool noted;
    m.buckets[0] = (struct tz_damage_bucket){{sx_type(f, "organisation")->id, STREET}, 0x3f, 3};
    sx_group(f);
    assert_int_equal(tz_store_damage(f->s, d->d.number, &m, f->clock.wall, &noted, &area, &f->err), 0);
    sx_commit(f);
    assert_int_equal(noted, want_noted);
    return area;
}

static void incident_is_of_the_device_and_its_district(void **state)
{
    struct sx *f = *state;
    tz_ver before = tz_store_head(f->s);
    struct tz_area area = damage(&f->s1, true);
    assert_string_equal(area.district, "120101");
    assert_string_equal(area.street, "");
    assert_true(tz_store_head(f->s) > before);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM incident WHERE code='replica_damage' AND _district='120101'"
                                 " AND district_code='120101' AND happened_at=1700000000000"
                                 " AND instr(detail,'organisation 120101001 3f: 3')>0 AND instr(detail,'2 changed')>0"),
                     1);
    assert_int_equal(sx_query(f, "SELECT device FROM incident"), f->s1.d.number);
    uint64_t entries;
    assert_int_equal(tz_store_audit_check(f->s, &entries, &f->err), 0);
}

static void incidents_of_a_device_and_day_are_few(void **state)
{
    struct sx *f = *state;
    for (int i = 0; i < 4; i++)
        (void)damage(&f->d1, true);
    tz_ver full = tz_store_head(f->s);
    (void)damage(&f->d1, false);
    assert_int_equal(tz_store_head(f->s), full);
    (void)damage(&f->d1b, true); /* another device's day */
    f->clock.wall.ms += 24 * 3600 * 1000;
    (void)damage(&f->d1, true);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM incident"), 6);
}

static void incident_that_everybody_reads_names_no_area(void **state)
{
    struct sx *f = *state;
    struct tz_area area = damage(&f->c1, true);
    assert_string_equal(area.district, "");
    assert_int_equal(sx_query(f, "SELECT count(*) FROM incident WHERE _district='' AND instr(detail,'1201')=0"
                                 " AND instr(detail,'organisation')=0 AND instr(detail,'2 changed')>0"),
                     1);
}

static void revoked_device_reports_nothing(void **state)
{
    struct sx *f = *state;
    struct tz_msg_damage m = {.changed = 1};
    struct tz_area area;
    bool noted;
    sx_group(f);
    assert_int_equal(tz_store_device_revoke(f->s, f->d1.d.number, &f->err), 0);
    assert_int_equal(tz_store_damage(f->s, f->d1.d.number, &m, f->clock.wall, &noted, &area, &f->err), TZ_E_REVOKED);
    sx_commit(f);
    assert_int_equal(sx_query(f, "SELECT count(*) FROM incident"), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, sx_setup, sx_teardown)
    const struct CMUnitTest tests[] = {
        T(keys_are_the_exact_areas_of_what_the_reader_may_read),
        T(key_outside_the_grant_is_refused_in_both_rounds),
        T(ranges_add_up_to_their_key_and_name_the_hash_of_the_id),
        T(type_that_the_catalogue_lacks_has_no_rows),
        T(secrets_are_in_no_sum_of_who_may_not_read_them),
        T(answer_holds_from_the_last_change_of_the_reader_s_areas),
        T(keys_come_in_pages_and_none_is_missing),
        T(rows_come_in_pages_in_the_order_of_their_ids),
        T(what_others_have_costs_a_question_nothing),
        T(incident_is_of_the_device_and_its_district),
        T(incidents_of_a_device_and_day_are_few),
        T(incident_that_everybody_reads_names_no_area),
        T(revoked_device_reports_nothing),
    };
    return cmocka_run_group_tests(tests, sx_group_setup, sx_group_teardown);
}
