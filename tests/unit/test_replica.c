/* SPDX-License-Identifier: Apache-2.0 */
/* Record tables from a catalogue: in, out, away, back; and what happens when the catalogue grows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "catalogue_fixture.h"
#include "memvfs.h"
#include "replica.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fx {
    struct tz_memdisk *disk;
    char path[64];
    struct tz_db *db;
    struct tz_replica *r;
    struct tz_catalogue cat;
    const struct tz_type *thing, *mark;
    struct tz_arena a;
    struct tz_err err;
};

static void open_db(struct fx *f)
{
    const struct tz_db_options o = {.vfs = TZ_MEMVFS_NAME, .exclusive = true};
    assert_int_equal(tz_db_open(f->path, TZ_DB_CREATE, &o, &f->db, &f->err), 0);
}

static int setup(void **state)
{
    struct fx *f = calloc(1, sizeof *f);
    assert_non_null(f);
    tz_memvfs_register();
    tz_memvfs_seed(1);
    f->disk = tz_memdisk_new();
    tz_memdisk_path(f->disk, "t.db", f->path, sizeof f->path);
    tz_arena_init(&f->a, 8 << 20);
    assert_int_equal(catalogue_fixture_load(-1, (struct tz_bytes){0}, &f->cat, &f->err), 0);
    f->thing = tz_catalogue_type(&f->cat, "thing");
    f->mark = tz_catalogue_type(&f->cat, "mark");
    open_db(f);
    assert_int_equal(tz_replica_open(f->db, &f->cat, TZ_SIDE_SERVER, true, &f->r, &f->err), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fx *f = *state;
    tz_replica_close(f->r);
    tz_db_close(f->db);
    tz_memdisk_free(f->disk);
    tz_arena_deinit(&f->a);
    tz_catalogue_deinit(&f->cat);
    free(f);
    return 0;
}

static struct tz_id id_of(uint8_t n)
{
    struct tz_id id = {{0}};
    id.b[15] = n;
    return id;
}

static struct tz_row *thing(struct fx *f, uint8_t n, const char *name)
{
    struct tz_row *row = tz_arena_calloc(&f->a, 1, sizeof *row);
    tz_record_init(&row->rec, f->thing);
    row->id = id_of(n);
    row->ver = 100 + n;
    row->born = 50;
    row->stamps = tz_bytes_str("stamps");
    memcpy(row->area.district, "120101", 7);
    memcpy(row->area.street, "120101001", 10);
    row->rec.v[tz_type_field(f->thing, "name")->index] = tz_value_text(name);
    return row;
}

static void set(struct fx *f, struct tz_row *row, const char *field, const char *v)
{
    const struct tz_field *fd = tz_type_field(row->rec.type, field);
    assert_int_equal(tz_value_parse(fd, v, &f->a, &row->rec.v[fd->index], &f->err), 0);
}

static void put(struct fx *f, const struct tz_row *row)
{
    assert_int_equal(tz_replica_put(f->r, row, &f->err), 0);
}

static struct tz_row *get(struct fx *f, const struct tz_type *t, uint8_t n)
{
    struct tz_row *row = tz_arena_alloc(&f->a, sizeof *row);
    int rc = tz_replica_get(f->r, t, id_of(n), &f->a, row, &f->err);
    assert_true(rc == 0 || rc == 1);
    return rc ? row : NULL;
}

static void assert_same(const struct tz_row *a, const struct tz_row *b)
{
    assert_non_null(b);
    assert_true(tz_id_eq(a->id, b->id));
    assert_int_equal(a->ver, b->ver);
    assert_int_equal(a->born, b->born);
    assert_int_equal(a->deleted, b->deleted);
    assert_true(tz_area_eq(&a->area, &b->area));
    assert_true(tz_bytes_eq(a->stamps, b->stamps));
    assert_true(tz_bytes_eq(a->rec.extra, b->rec.extra));
    for (size_t i = 0; i < a->rec.type->nfields; i++)
        assert_true(tz_value_eq(a->rec.v[i], b->rec.v[i]));
}

/** A row with a value of every type. */
static struct tz_row *full(struct fx *f, uint8_t n)
{
    struct tz_row *row = thing(f, n, "甲");
    static const char *const values[][2] = {{"members", "7"},        {"counted_on", "2023-06"},
                                            {"colour", "red"},       {"price", "12.34"},
                                            {"share", "1.5"},        {"made_at", "2023-01-01"},
                                            {"owner", "张三"},       {"body", "{\"b\":1,\"a\":[]}"},
                                            {"works", "是"},         {"total", "9"},
                                            {"target_type", "thing"}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        set(f, row, values[i][0], values[i][1]);
    row->rec.v[tz_type_field(f->thing, "colours")->index] = tz_value_text("[\"green\",\"red\"]");
    row->rec.v[tz_type_field(f->thing, "target_id")->index] =
        tz_value_blob(tz_arena_dup(&f->a, id_of(9).b, TZ_ID_BYTES), TZ_ID_BYTES);
    return row;
}

static void row_comes_back_as_it_went_in(void **state)
{
    struct fx *f = *state;
    struct tz_row *row = full(f, 1);
    put(f, row);
    assert_same(row, get(f, f->thing, 1));
    assert_null(get(f, f->thing, 2));
    assert_null(get(f, f->mark, 1));
    set(f, row, "name", "乙");
    row->rec.v[tz_type_field(f->thing, "price")->index] = tz_value_null();
    row->ver++;
    put(f, row);
    assert_same(row, get(f, f->thing, 1));
    assert_int_equal(tz_replica_count(f->r, f->thing), 1);
}

static void deleted_rows_are_kept_whole_but_not_counted(void **state)
{
    struct fx *f = *state;
    struct tz_row *row = full(f, 1);
    put(f, row);
    row->deleted = true;
    put(f, row);
    assert_int_equal(tz_replica_count(f->r, f->thing), 0);
    assert_same(row, get(f, f->thing, 1));
    row->deleted = false; /* and back */
    put(f, row);
    assert_int_equal(tz_replica_count(f->r, f->thing), 1);
    assert_same(row, get(f, f->thing, 1));
    int64_t n = -1;
    assert_int_equal(tz_db_query_int(f->db, "SELECT count(*) FROM _tombstone", &n, &f->err), 0);
    assert_int_equal(n, 0);
}

static void drop_forgets_live_and_deleted(void **state)
{
    struct fx *f = *state;
    struct tz_row *row = thing(f, 1, "甲");
    put(f, row);
    assert_int_equal(tz_replica_drop(f->r, f->thing, id_of(1), &f->err), 0);
    assert_null(get(f, f->thing, 1));
    row->deleted = true;
    put(f, row);
    assert_int_equal(tz_replica_drop(f->r, f->thing, id_of(1), &f->err), 0);
    assert_null(get(f, f->thing, 1));
    assert_int_equal(tz_replica_drop(f->r, f->thing, id_of(1), &f->err), 0);
}

struct seen {
    uint8_t ids[16];
    size_t n, stop_at;
};

static int on_row(void *ctx, const struct tz_row *row)
{
    struct seen *s = ctx;
    s->ids[s->n++] = row->id.b[15];
    return s->n == s->stop_at ? 0 : 1;
}

static int on_row_fail(void *ctx, const struct tz_row *row)
{
    (void)row;
    ++*(int *)ctx;
    return TZ_E_LIMIT;
}

static void each_and_find_go_in_id_order_over_the_living(void **state)
{
    struct fx *f = *state;
    const uint8_t order[] = {5, 1, 4, 2, 3};
    for (size_t i = 0; i < 5; i++)
        put(f, thing(f, order[i], order[i] % 2 ? "奇" : "偶"));
    struct tz_row *gone = thing(f, 3, "奇");
    gone->deleted = true;
    put(f, gone);
    struct seen all = {.n = 0};
    assert_int_equal(tz_replica_each(f->r, f->thing, on_row, &all, &f->err), 0);
    assert_int_equal(all.n, 4);
    assert_memory_equal(all.ids, ((uint8_t[]){1, 2, 4, 5}), 4);
    struct seen odd = {.n = 0};
    assert_int_equal(
        tz_replica_find(f->r, tz_type_field(f->thing, "name"), f->thing, tz_value_text("奇"), on_row, &odd, &f->err),
        0);
    assert_int_equal(odd.n, 2);
    assert_memory_equal(odd.ids, ((uint8_t[]){1, 5}), 2);
    struct seen one = {.stop_at = 1};
    assert_int_equal(tz_replica_each(f->r, f->thing, on_row, &one, &f->err), 0);
    assert_int_equal(one.n, 1);
    int calls = 0;
    assert_int_equal(tz_replica_each(f->r, f->thing, on_row_fail, &calls, &f->err), TZ_E_LIMIT);
    assert_int_equal(calls, 1);
}

static void dump_is_one_sorted_line(void **state)
{
    struct fx *f = *state;
    struct tz_row *row = thing(f, 1, "引\"号");
    struct tz_buf b;
    set(f, row, "owner", "张三");
    set(f, row, "members", "7");
    tz_buf_init(&b, 4096);
    assert_int_equal(tz_row_dump(row, false, &b), 0);
    assert_int_equal(tz_buf_putc(&b, 0), 0);
    assert_string_equal((char *)b.p, "{\"_district\":\"120101\",\"_id\":\"00000000000000000000000000000001\","
                                     "\"_street\":\"120101001\",\"_type\":\"thing\",\"_ver\":\"101\","
                                     "\"members\":7,\"name\":\"引\\\"号\"}");
    tz_buf_clear(&b);
    assert_int_equal(tz_row_dump(row, true, &b), 0);
    assert_int_equal(tz_buf_putc(&b, 0), 0);
    assert_non_null(strstr((char *)b.p, "\"owner\":\"张三\""));
    tz_buf_deinit(&b);
}

/* ---- a growing catalogue ---- */

/** The fixture at version 8 with @fields more rows of fields.csv and @types of types.csv. */
static void grown(struct fx *f, const char *types, const char *fields, struct tz_catalogue *out)
{
    struct tz_catalogue_file files[CATALOGUE_FIXTURE_FILES];
    for (size_t i = 0; i < CATALOGUE_FIXTURE_FILES; i++) {
        const char *name = catalogue_fixture[i].name;
        const char *more = strcmp(name, "fields.csv") == 0 ? fields : strcmp(name, "types.csv") == 0 ? types : "";
        struct tz_buf b;
        tz_buf_init(&b, 1 << 16);
        assert_int_equal(
            tz_buf_puts(&b, strcmp(name, "catalogue.csv") == 0 ? "key,value\nversion,8\n" : catalogue_fixture[i].text),
            0);
        assert_int_equal(tz_buf_puts(&b, more), 0);
        files[i] = (struct tz_catalogue_file){name, tz_bytes_of(tz_arena_dup(&f->a, b.p, b.len), b.len)};
        tz_buf_deinit(&b);
    }
    int rc = tz_catalogue_load(files, CATALOGUE_FIXTURE_FILES, out, &f->err);
    if (rc)
        fail_msg("%s", f->err.args[0]);
}

/** Wire form of text field @number. */
static void put_extra(struct tz_buf *b, uint32_t number, const char *v)
{
    assert_int_equal(tz_wire_put_bytes(b, number, tz_bytes_str(v)), 0);
}

static int reopen_with(struct fx *f, const struct tz_catalogue *cat)
{
    tz_replica_close(f->r);
    f->r = NULL;
    return tz_replica_open(f->db, cat, TZ_SIDE_SERVER, true, &f->r, &f->err);
}

static const char NEW_FIELDS[] = "thing,30,motto,格言,motto,str10,,no,,D,no,field,,open,,,,\n"
                                 "thing,31,rank,级,rank,int,,no,,D,no,field,,open,,,,\n";

static void new_column_takes_its_values_out_of_extra(void **state)
{
    struct fx *f = *state;
    struct tz_catalogue next;
    struct tz_buf extra;
    struct tz_row *row = thing(f, 1, "甲");
    struct tz_row *dead = thing(f, 2, "乙");
    tz_buf_init(&extra, 4096);
    put_extra(&extra, 30, "勤");
    put_extra(&extra, 40, "later still");
    row->rec.extra = dead->rec.extra = tz_buf_unread(&extra);
    put(f, row);
    dead->deleted = true;
    put(f, dead);
    assert_same(row, get(f, f->thing, 1));
    grown(f, "", NEW_FIELDS, &next);
    assert_int_equal(reopen_with(f, &next), 0);
    assert_int_equal(tz_replica_data_version(f->r), 8);
    const struct tz_type *t = tz_catalogue_type(&next, "thing");
    const struct tz_row *got[2] = {get(f, t, 1), get(f, t, 2)};
    for (int i = 0; i < 2; i++) {
        assert_non_null(got[i]);
        assert_true(tz_value_is_text(got[i]->rec.v[tz_type_field(t, "motto")->index], "勤"));
        assert_int_equal(got[i]->rec.v[tz_type_field(t, "rank")->index].kind, TZ_V_NULL);
        struct tz_buf rest;
        tz_buf_init(&rest, 4096);
        put_extra(&rest, 40, "later still");
        assert_true(tz_bytes_eq(got[i]->rec.extra, tz_buf_unread(&rest)));
        tz_buf_deinit(&rest);
        assert_int_equal(got[i]->ver, 101 + i); /* growing is not a change of the record */
    }
    tz_buf_deinit(&extra);
    tz_replica_close(f->r);
    f->r = NULL;
    tz_catalogue_deinit(&next);
}

static void value_that_does_not_fit_its_new_column_does_not_stop_the_upgrade(void **state)
{
    struct fx *f = *state;
    struct tz_catalogue next;
    struct tz_buf extra;
    struct tz_row *row = thing(f, 1, "甲");
    tz_buf_init(&extra, 4096);
    put_extra(&extra, 30, "\xff\xfe not text");
    put_extra(&extra, 31, "not a number");
    row->rec.extra = tz_buf_unread(&extra);
    put(f, row);
    struct tz_row *dead = thing(f, 2, "甲");
    dead->rec.extra = row->rec.extra;
    dead->deleted = true;
    put(f, dead);
    grown(f, "", NEW_FIELDS, &next);
    assert_int_equal(reopen_with(f, &next), 0);
    const struct tz_type *t = tz_catalogue_type(&next, "thing");
    for (uint8_t n = 1; n <= 2; n++) {
        const struct tz_row *got = get(f, t, n);
        assert_non_null(got);
        assert_int_equal(got->rec.v[tz_type_field(t, "motto")->index].kind, TZ_V_NULL);
        assert_int_equal(got->rec.v[tz_type_field(t, "rank")->index].kind, TZ_V_NULL);
        assert_int_equal(got->rec.extra.n, 0);
        assert_true(tz_value_is_text(got->rec.v[tz_type_field(t, "name")->index], "甲"));
    }
    tz_buf_deinit(&extra);
    tz_replica_close(f->r);
    f->r = NULL;
    tz_catalogue_deinit(&next);
}

static void new_type_gets_its_table(void **state)
{
    struct fx *f = *state;
    struct tz_catalogue next;
    put(f, thing(f, 1, "甲"));
    grown(f, "8,note,便条,note,1,own,,no,no,no,D,D,text\n",
          "note,1,text,内容,text,text,,yes,,D,no,field,,open,,,,\n"
          "note,2,district_code,所属区,district,code6,,yes,,D,no,field,,open,,,,\n",
          &next);
    assert_int_equal(reopen_with(f, &next), 0);
    assert_int_equal(tz_replica_count(f->r, tz_catalogue_type(&next, "note")), 0);
    assert_int_equal(tz_replica_count(f->r, tz_catalogue_type(&next, "thing")), 1);
    tz_replica_close(f->r);
    f->r = NULL;
    tz_catalogue_deinit(&next);
}

static void server_refuses_an_older_catalogue_than_its_data(void **state)
{
    struct fx *f = *state;
    struct tz_catalogue next;
    grown(f, "", NEW_FIELDS, &next);
    assert_int_equal(reopen_with(f, &next), 0);
    assert_int_equal(reopen_with(f, &f->cat), TZ_E_CATALOGUE_OLD);
    assert_string_equal(f->err.args[0], "7");
    assert_string_equal(f->err.args[1], "8");
    assert_int_equal(tz_replica_open(f->db, &f->cat, TZ_SIDE_CLIENT, true, &f->r, &f->err), 0);
    tz_replica_close(f->r);
    f->r = NULL;
    tz_catalogue_deinit(&next);
}

static void tables_read_as_plain_sql(void **state)
{
    struct fx *f = *state;
    int64_t n = 0;
    put(f, full(f, 1));
    assert_int_equal(
        tz_db_query_int(f->db, "SELECT price FROM thing WHERE name='甲' AND colour='red' AND share=15 AND works=1", &n,
                        &f->err),
        0);
    assert_int_equal(n, 1234);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(row_comes_back_as_it_went_in),
        T(deleted_rows_are_kept_whole_but_not_counted),
        T(drop_forgets_live_and_deleted),
        T(each_and_find_go_in_id_order_over_the_living),
        T(dump_is_one_sorted_line),
        T(new_column_takes_its_values_out_of_extra),
        T(value_that_does_not_fit_its_new_column_does_not_stop_the_upgrade),
        T(new_type_gets_its_table),
        T(server_refuses_an_older_catalogue_than_its_data),
        T(tables_read_as_plain_sql),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
