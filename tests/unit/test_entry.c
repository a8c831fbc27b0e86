/* SPDX-License-Identifier: Apache-2.0 */
/* What people type: divisions by name, references by key, rules on single values; and SQL that may only read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "entry.h"
#include "office_fixture.h"
#include "query.h"

#include <string.h>

static struct tz_entry *entry_of(struct fx *f)
{
    struct tz_entry *e;
    assert_int_equal(tz_entry_new(f->o, &e, NULL), 0);
    return e;
}

/* ---- divisions ---- */

static const char *division(struct tz_entry *e, unsigned chars, const char *district, const char *text)
{
    const char *reason;
    const char *code = tz_divisions_find(tz_entry_divisions(e), chars, district, text, &reason);
    if (!code)
        assert_non_null(reason);
    return code ? code : "";
}

static void districts_are_known_by_code_name_short_and_former_name(void **state)
{
    struct tz_entry *e = entry_of(*state);
    static const char *const words[] = {"120119", "120225",       "蓟州区",     "蓟州",
                                        "蓟县",   "天津市蓟州区", " 蓟 州 区 ", "１２０１１９"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        assert_string_equal(division(e, 6, "", words[i]), "120119");
    assert_string_equal(division(e, 6, "", "滨海"), "120116");
    assert_string_equal(division(e, 6, "", "河"), ""); /* 河东, 河西, 河北 */
    assert_string_equal(division(e, 6, "", "塘古区"), "");
    assert_string_equal(division(e, 6, "", "120000"), "");
    assert_string_equal(division(e, 6, "", "99"), "");
    tz_entry_free(e);
}

static void streets_belong_to_their_district(void **state)
{
    struct tz_entry *e = entry_of(*state);
    assert_string_equal(division(e, 9, "120103", "大营门街道"), "120103001");
    assert_string_equal(division(e, 9, "120103", "大营门街"), "120103001");
    assert_string_equal(division(e, 9, "", "大营门"), "120103001");
    assert_string_equal(division(e, 9, "120101", "大营门街道"), "");
    assert_string_equal(division(e, 9, "120101", "120103001"), "");
    tz_entry_free(e);
}

/* ---- values ---- */

static int value(struct fx *f, struct tz_entry *e, const char *field, const char *text, struct tz_value *v,
                 unsigned *warnings)
{
    struct tz_err err = {0};
    *warnings = 0;
    return tz_entry_value(e, NULL, tz_type_field(f->org, field), text, &f->a, v, warnings, &err);
}

static void values_follow_the_rules_of_forms(void **state)
{
    struct fx *f = *state;
    struct tz_entry *e = entry_of(f);
    struct tz_value v;
    unsigned w;
    assert_int_equal(value(f, e, "employees", " １，２００人 ", &v, &w), 0);
    assert_int_equal(v.i, 1200);
    assert_int_equal(value(f, e, "employees", "1,2 人", &v, &w), TZ_E_VALUE);
    assert_int_equal(value(f, e, "employees", "人", &v, &w), TZ_E_VALUE);
    assert_int_equal(value(f, e, "founded_on", "2023-11-15", &v, &w), 0); /* the fixture's today */
    assert_int_equal(w, 0);
    assert_int_equal(value(f, e, "founded_on", "2023-11-16", &v, &w), TZ_E_VALUE);
    assert_int_equal(value(f, e, "founded_on", "2017-03", &v, &w), 0);
    assert_int_equal(w, TZ_WARN_DATE_PART);
    assert_int_equal(value(f, e, "usci", "91350100m000100y43", &v, &w), 0);
    assert_true(tz_value_is_text(v, "91350100M000100Y43"));
    assert_int_equal(value(f, e, "usci", "91350100M000100Y44", &v, &w), 0);
    assert_int_equal(w, TZ_WARN_USCI_CHECK);
    assert_int_equal(value(f, e, "usci", "9.135E+17", &v, &w), TZ_E_VALUE);
    assert_int_equal(value(f, e, "address", "=HYPERLINK(1)", &v, &w), TZ_E_VALUE);
    assert_int_equal(value(f, e, "address", " 　 ", &v, &w), 0);
    assert_int_equal(v.kind, TZ_V_NULL);
    tz_entry_free(e);
}

static void fields_are_read_after_what_they_need(void **state)
{
    struct fx *f = *state;
    struct tz_entry *e = entry_of(f);
    struct tz_record rec;
    bool names[TZ_FIELDS_MAX] = {false};
    struct tz_err err = {0};
    const char *args[] = {"街道=大营门", "district code=河西", "full_members=4", "employees=3"};
    unsigned w = 0;
    tz_record_init(&rec, f->org);
    assert_int_equal(tz_entry_fields(e, args, 4, &f->a, &rec, names, &w, &err), 0);
    assert_int_equal(w, TZ_WARN_MORE_MEMBERS);
    args[1] = "district_code=和平";
    assert_int_equal(tz_entry_fields(e, args, 4, &f->a, &rec, names, &w, &err), TZ_E_VALUE);
    args[0] = "没有=1";
    assert_int_equal(tz_entry_fields(e, args, 1, &f->a, &rec, names, &w, &err), TZ_E_UNKNOWN_FIELD);
    args[0] = "name";
    assert_int_equal(tz_entry_fields(e, args, 1, &f->a, &rec, names, &w, &err), TZ_E_USAGE);
    args[0] = "name=甲";
    args[1] = "名称=乙";
    assert_int_equal(tz_entry_fields(e, args, 2, &f->a, &rec, names, &w, &err), TZ_E_USAGE);
    assert_non_null(strstr(err.args[0], "name"));
    args[0] = "name=\xff\xfe";
    assert_int_equal(tz_entry_fields(e, args, 1, &f->a, &rec, names, &w, &err), TZ_E_VALUE);
    assert_non_null(strstr(err.args[2], "文字编码不对"));
    tz_entry_free(e);
}

static void records_are_found_by_id_or_title_but_not_by_a_guess(void **state)
{
    struct fx *f = *state;
    struct tz_id first = fx_new_org(f, "甲公司", NULL);
    struct tz_id got;
    char hex[TZ_ID_HEX + 1];
    struct tz_err err = {0};
    struct tz_entry *e = entry_of(f);
    tz_id_print(first, hex);
    assert_int_equal(tz_entry_find(e, f->org, hex, &got, &err), 0);
    assert_int_equal(tz_entry_find(e, f->org, "甲公司", &got, &err), 0);
    assert_true(tz_id_eq(first, got));
    assert_int_equal(tz_entry_find(e, f->org, "甲", &got, &err), TZ_E_NOT_FOUND);
    fx_new_org(f, "甲公司", NULL);
    assert_int_equal(tz_entry_find(e, f->org, "甲公司", &got, &err), TZ_E_AMBIGUOUS);
    tz_entry_free(e);
}

/* ---- SQL ---- */

struct answer {
    size_t rows;
    int64_t first;
};

static int on_columns(void *ctx, const char *const *names, size_t n)
{
    (void)ctx;
    assert_true(n > 0 && names[0]);
    return 0;
}

static int on_row(void *ctx, const struct tz_cell *cells, size_t n)
{
    struct answer *a = ctx;
    assert_true(n > 0);
    if (a->rows++ == 0)
        a->first = cells[0].i;
    return 0;
}

static int ask(struct fx *f, const char *sql, struct answer *a)
{
    struct tz_query_handler h = {on_columns, on_row, a};
    struct tz_err err = {0};
    *a = (struct answer){0};
    return tz_query_run(f->o, sql, &h, &err);
}

static void select_reads_the_view(void **state)
{
    struct answer a;
    fx_new_org(*state, "甲公司", NULL);
    assert_int_equal(ask(*state, "SELECT count(*) FROM organisation WHERE district_code = '120101';  ", &a), 0);
    assert_int_equal(a.first, 1);
    assert_int_equal(
        ask(*state, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<9) SELECT i FROM n", &a), 0);
    assert_int_equal(a.rows, 9);
}

static void anything_else_is_refused(void **state)
{
    static const char *const bad[] = {
        "DELETE FROM organisation",
        "UPDATE organisation SET name='x'",
        "DROP TABLE outbox",
        "CREATE TABLE t(a)",
        "PRAGMA user_version=99",
        "PRAGMA query_only=OFF",
        "ATTACH ':memory:' AS x",
        "VACUUM INTO '/dev/null'",
        "BEGIN",
        "SELECT 1; SELECT 2",
        "SELECT load_extension('x')",
        "SELECT * FROM nothing",
        "",
        "-- nothing",
    };
    struct answer a;
    fx_new_org(*state, "甲公司", NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(ask(*state, bad[i], &a), TZ_E_SQL);
    assert_int_equal(ask(*state, "SELECT count(*) FROM organisation", &a), 0);
    assert_int_equal(a.first, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(districts_are_known_by_code_name_short_and_former_name),
        T(streets_belong_to_their_district),
        T(values_follow_the_rules_of_forms),
        T(fields_are_read_after_what_they_need),
        T(records_are_found_by_id_or_title_but_not_by_a_guess),
        T(select_reads_the_view),
        T(anything_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
