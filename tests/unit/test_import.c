/* SPDX-License-Identifier: Apache-2.0 */
/* Sheets into records: headings, encodings, what is accepted, and that doing it twice changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "csvread.h"
#include "import_int.h"
#include "office_fixture.h"
#include "usci.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOTES_MAX = 64 };

struct seen_note {
    size_t line;
    enum tz_import_verdict verdict;
    char reason[512];
    char column[64];
};

struct im {
    struct fx *f;
    char dir[64];
    struct seen_note notes[NOTES_MAX];
    size_t nnotes;
    size_t unused_columns;
    uint8_t next_id;
};

static struct im *M;

static int setup(void **state)
{
    int rc = fx_setup(state);
    M = calloc(1, sizeof *M);
    assert_non_null(M);
    M->f = *state;
    memcpy(M->dir, "/tmp/tz-import-XXXXXX", 22);
    assert_non_null(mkdtemp(M->dir));
    return rc;
}

static void remove_all(const char *dir)
{
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[512];
        struct stat st;
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%.200s/%.200s", dir, e->d_name);
        assert_int_equal(lstat(path, &st), 0);
        if (S_ISDIR(st.st_mode))
            remove_all(path);
        else
            unlink(path);
    }
    closedir(d);
    rmdir(dir);
}

static int teardown(void **state)
{
    remove_all(M->dir);
    free(M);
    return fx_teardown(state);
}

static void on_note(void *ctx, const struct tz_import_note *n)
{
    (void)ctx;
    assert_true(M->nnotes < NOTES_MAX);
    struct seen_note *s = &M->notes[M->nnotes++];
    s->line = n->line;
    s->verdict = n->verdict;
    (void)snprintf(s->reason, sizeof s->reason, "%s", n->reason);
    (void)snprintf(s->column, sizeof s->column, "%s", n->column);
}

static void on_column(void *ctx, const char *heading, const struct tz_field *f)
{
    (void)ctx;
    (void)heading;
    M->unused_columns += f == NULL;
}

static struct tz_import_options options(const char *path)
{
    struct tz_import_options o = {
        .type = M->f->org, .path = path, .folder = M->dir, .note = on_note, .column = on_column};
    o.import_id.b[0] = 1;
    o.import_id.b[15] = ++M->next_id;
    M->nnotes = M->unused_columns = 0;
    return o;
}

static const char *sheet(const char *bytes, size_t n)
{
    static char path[96];
    (void)snprintf(path, sizeof path, "%.64s/sheet.csv", M->dir);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
    return path;
}

static const char *sheet_text(const char *text)
{
    return sheet(text, strlen(text));
}

static struct tz_import_result run(const struct tz_import_options *o)
{
    struct tz_import_result r;
    struct tz_err err = {0};
    int rc = tz_import_run(M->f->o, o, &r, &err);
    if (rc)
        fail_msg("%s %s %s", tz_err_info(rc)->symbol, err.args[0], err.args[1]);
    assert_int_equal(r.rows, r.accepted + r.skipped + r.review + r.rejected + r.other + r.held);
    return r;
}

static uint64_t count_orgs(void)
{
    return (uint64_t)tz_replica_count(tz_office_replica(M->f->o), M->f->org);
}

static void find_org(const char *usci, struct tz_row *row)
{
    struct tz_entry *e;
    struct tz_id id;
    struct tz_err err = {0};
    assert_int_equal(tz_entry_new(M->f->o, &e, &err), 0);
    assert_int_equal(tz_entry_find(e, M->f->org, usci, &id, &err), 0);
    assert_true(fx_read(M->f, M->f->org, id, row, NULL));
    tz_entry_free(e);
}

static void whole_city(void)
{
    const char *districts[] = {"120103"};
    fx_welcome(M->f, "D_CLERK", "120000", districts, 1, 1);
}

/* ---- the prepared cases ---- */

struct expected {
    size_t line[64];
    char word[64][16];
    size_t n;
};

static int take_expected(void *ctx, size_t line, const struct tz_bytes *fields, size_t n)
{
    struct expected *e = ctx;
    assert_true(n >= 9 && e->n < 64);
    e->line[e->n] = line;
    (void)snprintf(e->word[e->n++], 16, "%s", (const char *)fields[8].p);
    return 0;
}

static const char *word_for(size_t line)
{
    for (size_t i = 0; i < M->nnotes; i++) {
        if (M->notes[i].line != line)
            continue;
        if (M->notes[i].verdict == TZ_IMPORT_WARN)
            return "警告";
        return M->notes[i].verdict == TZ_IMPORT_REVIEW ? "人工核对" : "拒绝";
    }
    return "";
}

static void check_cases(const char *path, bool dry)
{
    static char text[16 * 1024];
    static const struct tz_csv_limits limits = {32, 4096, 65536};
    struct expected want = {.n = 0};
    FILE *f = fopen(TZ_SOURCE_DIR "/tests/e2e/data/import-cases.csv", "rb");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    assert_int_equal(tz_csv_read(tz_bytes_of(text, n), &limits, take_expected, &want, NULL), 0);
    whole_city();
    struct tz_import_options o = options(path);
    o.dry_run = dry;
    struct tz_import_result r = run(&o);
    uint64_t skipped = 0;
    for (size_t i = 1; i < want.n; i++) {
        const char *got = word_for(want.line[i]);
        skipped += strcmp(want.word[i], "跳过") == 0;
        if (strcmp(want.word[i], "接受") == 0 || strcmp(want.word[i], "跳过") == 0)
            assert_string_equal(got, "");
        else
            assert_string_equal(got, want.word[i]);
    }
    assert_int_equal(r.rows, want.n - 1);
    assert_int_equal(r.skipped, skipped);
    assert_int_equal(M->unused_columns, 2);
    assert_int_equal(count_orgs(), dry ? 0 : r.accepted);
}

static void prepared_cases_are_judged_as_expected(void **state)
{
    (void)state;
    check_cases(TZ_SOURCE_DIR "/tests/e2e/data/import-cases.csv", false);
    struct tz_row row;
    find_org("911201030TLPPDHC5C", &row);
    assert_true(tz_value_is_text(fx_get(&row, "founded_on"), "2017-03-05"));
    find_org("911201030T50QB3D2M", &row);
    assert_true(tz_value_is_text(fx_get(&row, "street_code"), "120103001"));
    find_org("911201030TJH8Y5H32", &row);
    assert_true(tz_value_is_text(fx_get(&row, "district_code"), "120119"));
    find_org("911201030T4GT66F3A", &row);
    assert_true(tz_value_is_text(fx_get(&row, "name"), "天津换行有限公司"));
    find_org("911201030TL8R8LE9G", &row);
    assert_int_equal(fx_get(&row, "employees").i, 1200);
    find_org("911201030T2R9UNJ7K", &row);
    assert_int_equal(fx_get(&row, "employees").kind, TZ_V_NULL);
}

static void dry_run_judges_the_same_and_writes_nothing(void **state)
{
    (void)state;
    check_cases(TZ_SOURCE_DIR "/tests/e2e/data/import-cases.csv", true);
    struct tz_office_status st;
    assert_int_equal(tz_office_status(M->f->o, &st, NULL), 0);
    assert_int_equal(st.last_seq, 0);
    DIR *d = opendir(M->dir);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        assert_int_equal(e->d_name[0], '.');
    closedir(d);
}

static void gb18030_is_found_out_and_means_the_same(void **state)
{
    (void)state;
    check_cases(TZ_SOURCE_DIR "/tests/e2e/data/import-cases.gb18030.csv", false);
    struct tz_row row;
    find_org("911201030T8ERY273L", &row);
    assert_true(tz_value_is_text(fx_get(&row, "name"), "天津㐀䶮生僻字𠮷有限公司"));
}

/* ---- twice, edits, duplicates ---- */

static const char TWO[] = "信用代码,企业名称,区,员工数\r\n"
                          "911201010T0000001Y,甲公司,和平区,3\r\n"
                          ",乙公司,120101,\r\n";

static void same_file_again_changes_nothing(void **state)
{
    (void)state;
    struct tz_import_options o = options(sheet_text(TWO));
    struct tz_import_result r = run(&o);
    assert_int_equal(r.created, 2);
    assert_int_equal(r.changesets, 1);
    assert_int_equal(strlen(r.sha256), 64);
    o = options(sheet_text(TWO));
    r = run(&o);
    assert_int_equal(r.accepted, 0);
    assert_int_equal(r.changesets, 0);
    assert_int_equal(r.skipped + r.review, 2);
    assert_int_equal(count_orgs(), 2);
}

static char edited_words[512];

static void on_edited(void *ctx, const char *title, const char *what)
{
    (void)ctx;
    (void)snprintf(edited_words, sizeof edited_words, "%.200s|%.200s", title, what);
}

static const char EDITED[] = "usci,name,employees,employees_on,address\n911201010T0000001Y,甲公司,4,2023-11-01,\n";

static void differing_row_waits_and_names_what_differs(void **state)
{
    (void)state;
    struct tz_import_options o = options(sheet_text(TWO));
    run(&o);
    for (int dry = 1; dry >= 0; dry--) {
        o = options(sheet_text(EDITED));
        o.dry_run = dry;
        struct tz_import_result r = run(&o);
        assert_int_equal(r.review, 1);
        assert_int_equal(r.differ, 1);
        assert_int_equal(r.changesets, 0);
        assert_int_equal(M->notes[0].verdict, TZ_IMPORT_REVIEW);
        assert_non_null(strstr(M->notes[0].reason, "职工人数 3 → 4"));
    }
    struct tz_row row;
    find_org("911201010T0000001Y", &row);
    assert_int_equal(fx_get(&row, "employees").i, 3);
}

/** Whether a row is there is asked of the records, and whether an import came to something of the saves' entries. */
static void same_file_after_its_saves_were_emptied_changes_nothing(void **state)
{
    (void)state;
    struct tz_err err = {0};
    char path[200];
    struct stat st;
    bool more = false;
    struct tz_import_options o = options(sheet_text(TWO));
    struct tz_import_result r = run(&o);
    assert_int_equal(r.accepted, 2);
    uint64_t n = count_orgs();
    for (uint64_t seq = 1; seq <= r.changesets; seq++)
        assert_int_equal(fx_result(M->f, seq, TZ_OUT_APPLIED, 10, 0), 0);
    assert_int_equal(tz_db_exec(tz_office_db(M->f->o),
                                "UPDATE outbox SET in_overlay = 0; DELETE FROM outbox_touch; DELETE FROM _shadow",
                                &err),
                     0); /* their rows came */
    fx_reopen(M->f, NULL);
    assert_int_equal(tz_office_compact(M->f->o, 10, &more, &err), 0);
    int64_t words = -1;
    assert_int_equal(
        tz_db_query_int(tz_office_db(M->f->o), "SELECT count(*) FROM outbox WHERE length(raw) > 0", &words, &err), 0);
    assert_int_equal(words, 0);
    (void)snprintf(path, sizeof path, "%.80s/import.json", r.kept);
    (void)unlink(path); /* as one that was killed before it wrote that */
    o = options(sheet_text(TWO));
    struct tz_import_result again = run(&o);
    assert_int_equal(again.accepted, 0);
    assert_int_equal(again.skipped, 2);
    assert_int_equal(count_orgs(), n);
    (void)snprintf(path, sizeof path, "%.80s/source.csv", r.kept);
    assert_int_equal(stat(path, &st), 0); /* the first one came to something */
}

static void one_code_twice_in_a_file_never_overwrites(void **state)
{
    (void)state;
    for (int dry = 1; dry >= 0; dry--) {
        struct tz_import_options o =
            options(sheet_text("usci,name,区,employees,address\n911201010T0000001Y,甲公司,和平区,3,一路\n"
                               "911201010T0000001Y,甲公司,和平区,4,一路\n911201010T0000001Y,甲公司,和平区,3,一路\n"));
        o.dry_run = dry;
        o.update = true;
        struct tz_import_result r = run(&o);
        assert_int_equal(r.created, 1);
        assert_int_equal(r.review, 1);
        assert_int_equal(r.skipped, 1);
        assert_non_null(strstr(M->notes[0].reason, "第 2 行"));
    }
    struct tz_row row;
    find_org("911201010T0000001Y", &row);
    assert_int_equal(fx_get(&row, "employees").i, 3);
}

static void old_count_is_not_dated_today(void **state)
{
    (void)state;
    struct tz_import_options o = options(sheet_text(TWO));
    run(&o);
    o = options(sheet_text(EDITED));
    o.update = true;
    assert_int_equal(run(&o).edited, 1);
    o = options(sheet_text("usci,name,employees\n911201010T0000001Y,甲公司,9\n"));
    o.update = true;
    struct tz_import_result r = run(&o);
    assert_int_equal(r.review, 1);
    assert_int_equal(r.differ, 0);
    struct tz_row row;
    find_org("911201010T0000001Y", &row);
    assert_int_equal(fx_get(&row, "employees").i, 4);
    assert_true(tz_value_is_text(fx_get(&row, "employees_on"), "2023-11-01"));
}

static void update_edits_what_differs(void **state)
{
    (void)state;
    struct tz_import_options o = options(sheet_text(TWO));
    run(&o);
    o = options(sheet_text(EDITED));
    o.update = true;
    o.edited = on_edited;
    struct tz_import_result r = run(&o);
    assert_int_equal(r.edited, 1);
    assert_non_null(strstr(edited_words, "甲公司|职工人数 3 → 4"));
    struct tz_row row;
    find_org("911201010T0000001Y", &row);
    assert_int_equal(fx_get(&row, "employees").i, 4);
    struct tz_changeset cs = fx_changeset(M->f, 2);
    assert_true(cs.independent);
    assert_false(tz_id_is_zero(cs.import_id));
    assert_int_equal(cs.nops, 1);
    assert_int_equal(cs.ops[0].kind, TZ_OP_SET);
}

static void same_code_other_name_waits_for_a_person(void **state)
{
    (void)state;
    struct tz_import_options o = options(sheet_text(TWO));
    run(&o);
    o = options(sheet_text("usci,name,district_code\n911201010T0000001Y,丙公司,120101\n"));
    struct tz_import_result r = run(&o);
    assert_int_equal(r.review, 1);
    assert_int_equal(r.changesets, 0);
}

/* ---- columns ---- */

static void maps_and_filters_choose_columns_and_rows(void **state)
{
    (void)state;
    static const char text[] =
        "甲列,name,区,备注\n911201010T0000001Y,甲公司,和平,x\n,乙公司,河西区,y\n,丙公司,没有的区,z\n";
    const char *maps[] = {"甲列=usci"};
    const char *filters[] = {"district_code=和平区"};
    struct tz_import_options o = options(sheet_text(text));
    o.maps = maps;
    o.nmaps = 1;
    o.filters = filters;
    o.nfilters = 1;
    struct tz_import_result r = run(&o);
    assert_int_equal(M->unused_columns, 1);
    assert_int_equal(r.created, 1);
    assert_int_equal(r.other, 2);
    assert_int_equal(r.rejected, 0);
    struct tz_row row;
    find_org("911201010T0000001Y", &row);
}

static void two_columns_of_one_field_must_agree(void **state)
{
    (void)state;
    struct tz_import_options o = options(
        sheet_text("name,district_code,industry_code,industry\n甲公司,120101,E,建筑业\n乙公司,120101,E,制造业\n"));
    struct tz_import_result r = run(&o);
    assert_int_equal(r.created, 1);
    assert_int_equal(r.rejected, 1);
    assert_int_equal(M->notes[0].line, 3);
}

static int try_import(const struct tz_import_options *o, struct tz_err *err)
{
    struct tz_import_result r;
    memset(err, 0, sizeof *err);
    return tz_import_run(M->f->o, o, &r, err);
}

static void file_without_known_columns_is_refused(void **state)
{
    (void)state;
    struct tz_err err;
    struct tz_import_options o = options(sheet_text("a,b\n1,2\n"));
    assert_int_equal(try_import(&o, &err), TZ_E_CSV);
    const char *maps[] = {"没有这列=name"};
    o = options(sheet_text(TWO));
    o.maps = maps;
    o.nmaps = 1;
    assert_int_equal(try_import(&o, &err), TZ_E_USAGE);
}

/* ---- bad rows, bad files ---- */

static void expect_no_sheet(const char *bytes, size_t n, const char *why)
{
    struct tz_err err;
    struct tz_import_options o = options(sheet(bytes, n));
    assert_int_equal(try_import(&o, &err), TZ_E_CSV);
    if (!strstr(err.args[1], why))
        fail_msg("%s, not %s", err.args[1], why);
    DIR *d = opendir(M->dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        assert_true(e->d_name[0] == '.' || strcmp(e->d_name, "sheet.csv") == 0); /* no folder is left */
    closedir(d);
}

static void files_of_other_kinds_are_named_and_leave_nothing(void **state)
{
    (void)state;
    expect_no_sheet("", 0, "空");
    expect_no_sheet("\xEF\xBB\xBF", 3, "空");
    expect_no_sheet("\r\n\r\n", 4, "空");
    expect_no_sheet("PK\3\4whatever", 12, "Excel");
    expect_no_sheet("\xFF\xFEn\0a\0", 6, "UTF-16");
    expect_no_sheet("name;区\n甲;和平区\n", strlen("name;区\n甲;和平区\n"), "分号");
    expect_no_sheet("name\t区\n", strlen("name\t区\n"), "制表符");
    expect_no_sheet("a,b\n", 4, "列");
}

static void shifted_rows_are_rejected_and_short_ones_noted(void **state)
{
    (void)state;
    struct tz_import_options o =
        options(sheet_text("name,district_code,address\n甲公司,120101,路,1号\n乙公司,120101,路,,\n丙公司,120101\n"));
    struct tz_import_result r = run(&o);
    assert_int_equal(r.rejected, 1);
    assert_int_equal(r.created, 2);
    assert_int_equal(r.warned, 1);
    assert_int_equal(M->nnotes, 2);
    assert_int_equal(M->notes[0].line, 2);
    assert_non_null(strstr(M->notes[0].reason, "多出 1 格"));
    assert_int_equal(M->notes[1].verdict, TZ_IMPORT_WARN);
}

static void all_that_is_wrong_with_a_row_is_told_once(void **state)
{
    (void)state;
    struct tz_import_options o = options(sheet_text("name,区,状态,成立日期,员工数\n,和平区,关门,某日,-3\n"));
    run(&o);
    const char *reason = M->notes[0].reason;
    assert_int_equal(M->nnotes, 1);
    assert_null(strstr(reason, "状态 status"));
    assert_true(strncmp(reason, "“关门”", strlen("“关门”")) == 0);
    assert_non_null(strstr(reason, "在营"));
    assert_non_null(strstr(reason, "；成立日期：“某日”"));
    assert_non_null(strstr(reason, "；员工数：“-3”"));
    assert_non_null(strstr(reason, "；name：必填"));
    o = options(sheet_text("usci,name,区,状态,员工数\n12,甲公司,和平区,,\n"));
    run(&o);
    assert_string_equal(M->notes[0].column, "usci");
    assert_null(strstr(reason, "必填")); /* a status has a default */
}

static void lone_dashes_are_empty_cells(void **state)
{
    (void)state;
    struct tz_import_options o = options(
        sheet_text("name,区,address,成立日期,状态\n甲公司,和平区, — ,-,/\n乙公司,和平区,1-2号,2017/3/1 0:00,在营\n"));
    struct tz_import_result r = run(&o);
    assert_int_equal(r.created, 2);
    assert_int_equal(r.warned, 0);
}

static void kept_files_are_private(void **state)
{
    (void)state;
    static const char *const names[] = {"source.csv", "rejected.csv", "import.json"};
    mode_t was = umask(0);
    struct tz_import_options o = options(sheet_text("name,district_code\n甲公司,120101\n乙公司,没有的区\n"));
    struct tz_import_result r = run(&o);
    umask(was);
    for (size_t i = 0; i < 3; i++) {
        char path[640];
        struct stat st;
        (void)snprintf(path, sizeof path, "%s/%s", r.kept, names[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

static void rows_outside_the_area_stay_behind_with_the_reason(void **state)
{
    (void)state;
    char path[640];
    char text[2048] = "";
    struct tz_import_options o =
        options(sheet_text("name,district_code\n\"甲,\"\"公司\",120101\n乙公司,120103\n=丙(),120101\n"));
    struct tz_import_result r = run(&o);
    assert_int_equal(r.created, 1);
    assert_int_equal(r.rejected, 2);
    (void)snprintf(path, sizeof path, "%s/rejected.csv", r.kept);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_true(fread(text, 1, sizeof text - 1, f) > 0);
    fclose(f);
    assert_non_null(strstr(text, "name,district_code,错误说明\r\n"));
    assert_non_null(strstr(text, "乙公司,120103,"));
    assert_non_null(strstr(text, "辖区"));
    assert_non_null(strstr(text, "公式样内容"));
    assert_null(strstr(text, "甲"));
}

static void broken_quotes_leave_nothing_half_done(void **state)
{
    (void)state;
    struct tz_err err;
    struct tz_import_options o = options(sheet_text("name,district_code\n甲公司,120101\n\"乙公司,120101\n"));
    assert_int_equal(try_import(&o, &err), TZ_E_CSV);
    assert_int_equal(count_orgs(), 0);
}

static int no_row(void *ctx, size_t line, const struct tz_bytes *cells, size_t n)
{
    (void)line;
    (void)cells;
    (void)n;
    ++*(size_t *)ctx;
    return 0;
}

static void file_that_cannot_be_read_is_no_empty_file(void **state)
{
    (void)state;
    size_t rows = 0;
    struct tz_err err = {0};
    struct tz_source_info info = {0};
    /* a folder opens like a file and fails at the first read */
    assert_int_equal(tz_source_rows(M->dir, &info, no_row, &rows, NULL, NULL, &err), TZ_E_IO);
    assert_int_equal(rows, 0);
    assert_int_equal(tz_source_scan(M->dir, NULL, TZ_IMPORT_DETECT, &info, &err), TZ_E_NOT_A_FILE);
    assert_string_equal(err.args[0], M->dir);
}

static void all_or_nothing_means_it(void **state)
{
    (void)state;
    struct tz_import_options o = options(sheet_text("name,district_code\n甲公司,120101\n乙公司,没有的区\n"));
    o.all_or_nothing = true;
    struct tz_import_result r = run(&o);
    assert_int_equal(r.accepted, 0);
    assert_int_equal(r.rejected, 1);
    assert_int_equal(count_orgs(), 0);
    o = options(sheet_text("name,district_code\n甲公司,120101\n乙公司,120101\n"));
    o.all_or_nothing = true;
    r = run(&o);
    assert_int_equal(r.accepted, 2);
}

static void bytes_that_are_no_text_reject_their_row_only(void **state)
{
    (void)state;
    static const char text[] = "name,区\n\xff\xfe,120101\n甲公司,120101\n";
    struct tz_import_options o = options(sheet(text, sizeof text - 1));
    o.encoding = TZ_IMPORT_UTF8;
    struct tz_import_result r = run(&o);
    assert_int_equal(r.created, 1);
    assert_int_equal(r.rejected, 1);
}

static void many_rows_become_changesets_of_256(void **state)
{
    (void)state;
    char *text = malloc(64 * 1024);
    assert_non_null(text);
    size_t n = (size_t)snprintf(text, 64, "\xEF\xBB\xBFname,district_code\n");
    for (int i = 0; i < 600; i++)
        n += (size_t)snprintf(text + n, 64, "第%d公司,120101\n", i);
    struct tz_import_options o = options(sheet(text, n));
    struct tz_import_result r = run(&o);
    free(text);
    assert_int_equal(r.created, 600);
    assert_int_equal(r.changesets, 3);
    assert_int_equal(fx_changeset(M->f, 1).nops, 256);
    assert_int_equal(fx_changeset(M->f, 3).nops, 600 - 512);
}

/* ---- references ---- */

static void coverage_names_organisations_and_branches_by_key(void **state)
{
    (void)state;
    struct tz_import_options o = options(sheet_text(TWO));
    run(&o);
    o = options(sheet_text("branch_id,name,branch_type,district_code,established_on,term_years,score,secretary_ref\n"
                           "B0000001,某支部,joint_branch,120101,2012-05-07,3,78.4,P1\n"));
    o.type = tz_catalogue_type(&M->f->cat, "branch");
    assert_int_equal(run(&o).created, 1);
    static const char links[] = "usci,branch_id,mode,since\n"
                                "911201010T0000001Y,B0000001,joint,2015-10-04\n"
                                "911201010T00000022,B0000001,joint,2015-10-04\n";
    for (int i = 0; i < 2; i++) {
        o = options(sheet_text(links));
        o.type = tz_catalogue_type(&M->f->cat, "coverage");
        struct tz_import_result r = run(&o);
        assert_int_equal(r.created, i == 0);
        assert_int_equal(r.skipped, i == 1);
        assert_int_equal(r.rejected, 1);
    }
}

static void credit_codes_are_checked(void **state)
{
    (void)state;
    assert_int_equal(tz_usci_check(tz_bytes_str("91350100M000100Y43")), TZ_USCI_OK);
    assert_int_equal(tz_usci_check(tz_bytes_str("91350100M000100Y44")), TZ_USCI_CHECK);
    assert_int_equal(tz_usci_check(tz_bytes_str("91350100M000100Y4")), TZ_USCI_LENGTH);
    assert_int_equal(tz_usci_check(tz_bytes_str("91350100M000100YI3")), TZ_USCI_ALPHABET);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(prepared_cases_are_judged_as_expected),
        T(dry_run_judges_the_same_and_writes_nothing),
        T(gb18030_is_found_out_and_means_the_same),
        T(same_file_again_changes_nothing),
        T(same_file_after_its_saves_were_emptied_changes_nothing),
        T(differing_row_waits_and_names_what_differs),
        T(one_code_twice_in_a_file_never_overwrites),
        T(old_count_is_not_dated_today),
        T(update_edits_what_differs),
        T(files_of_other_kinds_are_named_and_leave_nothing),
        T(shifted_rows_are_rejected_and_short_ones_noted),
        T(all_that_is_wrong_with_a_row_is_told_once),
        T(lone_dashes_are_empty_cells),
        T(kept_files_are_private),
        T(same_code_other_name_waits_for_a_person),
        T(maps_and_filters_choose_columns_and_rows),
        T(two_columns_of_one_field_must_agree),
        T(file_without_known_columns_is_refused),
        T(rows_outside_the_area_stay_behind_with_the_reason),
        T(broken_quotes_leave_nothing_half_done),
        T(file_that_cannot_be_read_is_no_empty_file),
        T(all_or_nothing_means_it),
        T(bytes_that_are_no_text_reject_their_row_only),
        T(many_rows_become_changesets_of_256),
        T(coverage_names_organisations_and_branches_by_key),
        cmocka_unit_test(credit_codes_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
