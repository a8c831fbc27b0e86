/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loader on a small catalogue and on broken ones, and the shipped folder against what must be in it. The folder is
 * read by a small reader of this file's own: the library's reader belongs to the layer above.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalogue_fixture.h"

static struct tz_catalogue cat; /* the fixture, loaded */
static struct tz_catalogue shipped;

static const char *const shipped_names[] = {"catalogue.csv",     "types.csv",     "fields.csv",     "enums.csv",
                                            "groups.csv",        "keys.csv",      "roles.csv",      "transitions.csv",
                                            "rows/division.csv", "rows/unit.csv", "rows/param.csv", "rows/form.csv"};
enum { SHIPPED = sizeof shipped_names / sizeof *shipped_names, SHIPPED_BYTES_MAX = 1024 * 1024 };

static uint8_t *read_shipped(const char *name, size_t *n)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/common/catalogue/%s", TZ_SOURCE_DIR, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    uint8_t *p = malloc(SHIPPED_BYTES_MAX);
    assert_non_null(p);
    *n = fread(p, 1, SHIPPED_BYTES_MAX, f);
    assert_in_range(*n, 1, SHIPPED_BYTES_MAX - 1);
    assert_int_equal(fclose(f), 0);
    return p;
}

static int setup(void **state)
{
    (void)state;
    struct tz_catalogue_file files[SHIPPED];
    uint8_t *texts[SHIPPED];
    struct tz_err err = {0};
    for (size_t i = 0; i < SHIPPED; i++) {
        size_t n = 0;
        texts[i] = read_shipped(shipped_names[i], &n);
        files[i] = (struct tz_catalogue_file){shipped_names[i], tz_bytes_of(texts[i], n)};
    }
    int rc = tz_catalogue_load(files, SHIPPED, &shipped, &err);
    for (size_t i = 0; i < SHIPPED; i++)
        free(texts[i]); /* borrowed for the call only */
    if (rc != 0)
        print_error("%s\n", err.args[0]);
    return rc != 0 ? rc : catalogue_fixture_load(-1, tz_bytes_of(NULL, 0), &cat, &err);
}

static int teardown(void **state)
{
    (void)state;
    tz_catalogue_deinit(&cat);
    tz_catalogue_deinit(&shipped);
    tz_catalogue_deinit(&shipped);
    return 0;
}

static const struct tz_type *type(const char *name)
{
    const struct tz_type *t = tz_catalogue_type(&cat, name);
    assert_non_null(t);
    return t;
}

static void tables_become_types_and_fields(void **state)
{
    (void)state;
    assert_int_equal(cat.version, 7);
    assert_int_equal(cat.ntypes, 5);
    const struct tz_type *thing = type("thing");
    assert_int_equal(thing->id, 2);
    assert_int_equal(thing->index, 1);
    assert_int_equal(thing->tier, 1);
    assert_int_equal(thing->area, TZ_AREA_OWN);
    assert_int_equal(thing->district_field, 1);
    assert_int_equal(thing->street_field, -1);
    assert_true(thing->auto_merge && !thing->append && !thing->local);
    assert_int_equal(thing->creators, TZ_ED_F | TZ_ED_D);
    assert_int_equal(thing->deleters, TZ_ED_D);
    const struct tz_field *f = tz_type_field(thing, "members");
    assert_int_equal(f->id, 3);
    assert_int_equal(f->index, 2);
    assert_int_equal(f->ftype, TZ_FT_INT);
    assert_int_equal(f->limit, 20);
    assert_true(f->offline);
    assert_int_equal(f->group, 1);
    assert_string_equal(thing->groups[0].name, "counts");
    assert_int_equal(thing->groups[0].as_of, 3);
    assert_true(tz_value_is_text(tz_type_field(thing, "colour")->dflt, "red"));
    assert_int_equal(tz_type_field(thing, "colour")->required, TZ_REQ_VERIFY);
    assert_ptr_equal(tz_type_field(thing, "others")->ref, thing);
    assert_int_equal(tz_type_field(thing, "others")->merge, TZ_MERGE_SET);
    assert_int_equal(tz_type_field(thing, "target_id")->any_type_field, 14);
    assert_int_equal(tz_type_field(thing, "share")->visibility, TZ_VIS_MASKED);
}

static void parents_keys_roles_and_rows_are_linked(void **state)
{
    (void)state;
    const struct tz_type *mark = type("mark");
    assert_int_equal(mark->area, TZ_AREA_PARENT);
    assert_int_equal(mark->area_field, 0);
    assert_ptr_equal(mark->fields[0].ref, type("thing"));
    assert_int_equal(mark->fields[0].on_delete, TZ_OD_REVIVES);
    assert_int_equal(type("thing")->nkeys, 1);
    assert_int_equal(type("thing")->keys[0].nfields, 2);
    assert_int_equal(type("thing")->keys[0].fields[1], 1);
    const struct tz_role *role = tz_catalogue_role(&cat, "D_TWO");
    assert_int_equal(role->editor, TZ_ED_D);
    assert_int_equal(role->level, TZ_LEVEL_STREET);
    assert_true(role->reads_business && role->reads_secret && role->supervises);
    assert_null(tz_catalogue_role(&cat, "d_two"));
    assert_int_equal(cat.nrows, 2);
    assert_ptr_equal(cat.rows[1].type, type("place"));
    assert_true(tz_value_is_text(cat.rows[1].values[0], "120101"));
    assert_string_equal(cat.rows[1].ref_codes[2], "120000");
    assert_null(cat.rows[0].ref_codes[2]);
}

static void look_ups_find_by_name_and_id(void **state)
{
    (void)state;
    assert_ptr_equal(tz_catalogue_type_id(&cat, 5), type("mark"));
    assert_null(tz_catalogue_type_id(&cat, 3));
    assert_null(tz_catalogue_type_id(&cat, 0));
    assert_null(tz_catalogue_type_id(&cat, 8));
    assert_null(tz_catalogue_type(&cat, "thin"));
    assert_string_equal(tz_type_field_id(type("place"), 4)->name, "parent");
    assert_null(tz_type_field_id(type("place"), 3));
    assert_null(tz_type_field(type("place"), "members"));
    const struct tz_enum *colour = tz_type_field(type("thing"), "colour")->en;
    assert_string_equal(tz_enum_code(colour, tz_value_text("old"))->label[TZ_LANG_ZH], "旧色");
    assert_true(tz_enum_code(colour, tz_value_text("old"))->retired);
    assert_null(tz_enum_code(colour, tz_value_text("红色")));
    assert_null(tz_enum_code(NULL, tz_value_text("red")));
}

static void headings_are_names_labels_and_aliases(void **state)
{
    (void)state;
    static const char *const same[] = {"name", "NAME", " 名 称 ", "名称", "企业名称", "单位　名称", "ｎａｍｅ"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        assert_string_equal(tz_type_field_heading(type("thing"), same[i])->name, "name");
    assert_string_equal(tz_type_field_heading(type("thing"), "Counted On")->name, "counted_on");
    assert_null(tz_type_field_heading(type("thing"), "预期结果"));
    assert_null(tz_type_field_heading(type("thing"), " "));
}

/* broken inputs: one change in one file of the fixture, and where and how the loader says so */

struct broken {
    const char *file;
    const char *from; /* replaced once; NULL: the whole file */
    const char *to;
    const char *where; /* "line:column:" */
    const char *says;
};

static const struct broken broken[] = {
    {"catalogue.csv", "version,7", "version,x", "2:2:", "not a number"},
    {"catalogue.csv", "version,7", "colour,7", "2:1:", "unknown key"},
    {"catalogue.csv", "version,7\n", "version,7\nversion,8\n", "3:1:", "twice"},
    {"catalogue.csv", "version,7\n", "", "1:1:", "version is missing"},
    {"catalogue.csv", NULL, "", "1:1:", "header"},
    {"enums.csv", "enum,code", "enum,kode", "1:2:", "unknown column 'kode'"},
    {"enums.csv", "label_en,retired", "label_en", "1:5:", "column 'retired' is missing"},
    {"enums.csv", "enum,code,label_zh", "enum,code,code", "1:3:", "twice"},
    {"enums.csv", "colour,green", "colour,red", "3:2:", "twice"},
    {"enums.csv", "colour,green", "colour,gr een", "3:2:", "not a code"},
    {"enums.csv", "colour,old", "shade,x,x,x,no\ncolour,old", "5:1:", "goes on"},
    {"enums.csv", "old,yes", "old,maybe", "4:5:", "'maybe'"},
    {"enums.csv", "红色", "", "2:3:", "label is empty"},
    {"enums.csv", "红色", "\xFF", "2:3:", "UTF-8"},
    {"enums.csv", "红色", "\x01", "2:3:", "control"},
    {"enums.csv", "bright red,no", "bright red", "2:5:", "4 cells"},
    {"enums.csv", "红色", "红\"色", "2:3:", "quotes"},
    {"types.csv", "5,mark", "2,mark", "4:1:", "id 2 after 2"},
    {"types.csv", "5,mark", "70000,mark", "4:1:", "not a number from 1 to 65535"},
    {"types.csv", "5,mark", "5,Mark", "4:2:", "not a name"},
    {"types.csv", "5,mark", "5,thing", "4:2:", "twice"},
    {"types.csv", "1,own,", "1,near,", "3:6:", "area_rule"},
    {"types.csv", "0,city,", "0,own,", "2:6:", "district_code"},
    {"types.csv", "parent,thing_id", "parent,", "4:7:", "no field ''"},
    {"types.csv", "parent,thing_id", "parent,note", "4:7:", "not a ref"},
    {"types.csv", "1,own,", "1,own,name", "3:7:", "only area rule"},
    {"types.csv", "1,own,", "1,parent,others", "3:7:", "not a ref"},
    {"types.csv", "no,C,C,code", "yes,C,C,code", "2:11:", "server alone"},
    {"types.csv", "FD,D,name", "FX,D,name", "3:11:", "letters F C D S"},
    {"types.csv", "FD,D,name", "FD,D,nome", "3:13:", "no field 'nome'"},
    {"types.csv", "no,F,,thing_id", "no,F,D,thing_id", "4:12:", "neither deleted nor merged"},
    {"types.csv", NULL,
     "id,type,label_zh,label_en,tier,area_rule,area_field,append,auto_merge,server_only,create,delete,title_field\n",
     "1:1:", "0 types"},
    {"fields.csv", "place,2,name", "plaice,2,name", "3:1:", "unknown type 'plaice'"},
    {"fields.csv", "place,2,name", "place,1,name", "3:2:", "id 1 after 1"},
    {"fields.csv", "place,2,name", "place,18000,name", "3:2:", "1 to 17999"},
    {"fields.csv", "place,2,name", "place,2,code", "3:3:", "'code' twice"},
    {"fields.csv", "place,2,name", "place,2,_name", "3:3:", "not a name"},
    {"fields.csv", "code6", "code", "2:6:", "'code'"},
    {"fields.csv", "code6", "code0", "2:6:", "'code0'"},
    {"fields.csv", "code6", "codes", "2:6:", "'codes'"},
    {"fields.csv", "code6", "varchar", "2:6:", "unknown field type"},
    {"fields.csv", "ref(place)", "ref(palace)", "4:6:", "ref(palace)"},
    {"fields.csv", "refs(thing)", "refs(any)", "11:6:", "refs(any)"},
    {"fields.csv", "price,money", "price,money2", "12:6:", "money2"},
    {"fields.csv", "ref(any),target_type", "ref(any),kind", "20:7:", "no field 'kind'"},
    {"fields.csv", "ref(any),target_type", "ref(any),total", "20:7:", "neither enum nor str"},
    {"fields.csv", "price,money,", "price,money,name", "12:7:", "only ref(any)"},
    {"fields.csv", "verify,colour", "verify,shade", "9:9:", "unknown enum 'shade'"},
    {"fields.csv", "money,,no,", "money,,no,colour", "12:9:", "only enum and set"},
    {"fields.csv", "money,,no,", "money,,perhaps,", "12:8:", "'perhaps'"},
    {"fields.csv", "no,,FD,yes,field,counts", "no,,,yes,field,counts", "7:10:", "somebody"},
    {"fields.csv", "no,,FD,yes,field,counts", "no,,FF,yes,field,counts", "7:10:", "letters F C D S"},
    {"fields.csv", "no,,FD,yes,field,counts", "no,,FD,yes,last,counts", "7:12:", "'last'"},
    {"fields.csv", "no,,FD,yes,field,counts", "no,,FD,yes,set,counts", "7:12:", "set and refs"},
    {"fields.csv", "no,,FD,yes,field,counts", "no,,FD,yes,append,counts", "7:12:", "no append type"},
    {"fields.csv", "no,,FD,yes,field,counts", "no,,FD,yes,field,kounts", "7:13:", "no group 'kounts'"},
    {"fields.csv", "F,yes,append,,open,,,", "F,yes,field,,open,,,", "24:12:", "append type"},
    {"fields.csv", "field,,secret,,,,\n", "field,,open,,,,\n", "16:14:", "visibility secret"},
    {"fields.csv", "open,blocks,", "open,,", "20:15:", "on_target_delete"},
    {"fields.csv", "code6,,yes,,C,no,field,,open,", "code6,,yes,,C,no,field,,open,blocks", "2:15:", "only references"},
    {"fields.csv", ",red,", ",mauve,", "9:16:", "mauve"},
    {"fields.csv", "企业名称|单位名称", "企业名称||单位名称", "5:17:", "empty alias"},
    {"fields.csv", "企业名称|单位名称", "企业名称|人 数", "7:17:", "heading"},
    {"fields.csv", "1 23", "1 24", "2:18:", "1-23"},
    {"groups.csv", "thing,counts", "think,counts", "2:1:", "unknown type"},
    {"groups.csv", "counted_on\n", "counted_on\nthing,counts,counted_on\n", "3:2:", "twice"},
    {"groups.csv", "counted_on", "members", "2:3:", "no date"},
    {"groups.csv", "counted_on", "counted", "2:3:", "no field"},
    {"keys.csv", "name district_code", "name  district_code", "3:3:", "field names"},
    {"keys.csv", "name district_code", "name distract_code", "3:3:", "no field 'distract_code'"},
    {"keys.csv", "place,code", "palace,code", "2:1:", "unknown type"},
    {"keys.csv", "district_code,", "district_code,colour", "3:4:", "conditions are written"},
    {"keys.csv", "district_code,", "district_code,=red", "3:4:", "conditions are written"},
    {"keys.csv", "district_code,", "district_code,color=red", "3:4:", "no field 'color'"},
    {"keys.csv", "district_code,", "district_code,colour=mauve", "3:4:", "no code of colour"},
    {"keys.csv", "district_code,", "district_code,name=red", "3:4:", "no code of name"},
    {"keys.csv", "district_code,", "district_code,colour=red||green", "3:4:", "codes with |"},
    {"roles.csv", "D_TWO", "F_ONE", "3:1:", "twice"},
    {"roles.csv", "D_TWO", "d_two", "3:1:", "role name"},
    {"roles.csv", "F,district", "FD,district", "2:4:", "one editor"},
    {"roles.csv", "F,district", "S,district", "2:4:", "no role"},
    {"roles.csv", "F,district", "F,county", "2:5:", "'county'"},
    {"transitions.csv", "job,-", "jab,-", "2:1:", "unknown type 'jab'"},
    {"transitions.csv", "job,-", "mark,-", "2:1:", "no field state"},
    {"transitions.csv", "job,open,take", "thing,open,take", "3:1:", "become one"},
    {"transitions.csv", "job,open,take", "job,opened,take", "3:2:", "no state"},
    {"transitions.csv", "job,open,take", "job,open||busy,take", "3:2:", "one '|'"},
    {"transitions.csv", "job,open,take", "job,,take", "3:2:", "a state"},
    {"transitions.csv",
     "job,-,open,open,F_ONE|D_TWO,,open:above order:held_on:due_on,no,level=level number=number:J,\n", "",
     "2:2:", "opening (-) comes first"},
    {"transitions.csv", "job,open,take", "job,-,take", "3:3:", "twice for one state"},
    {"transitions.csv", "open,take", "open,steal", "3:3:", "no code of job_action"},
    {"transitions.csv", "busy,end", "busy,hold", "6:3:", "twice for one state"},
    {"transitions.csv", "open,open,F_ONE", "open,=,F_ONE", "2:4:", "no state"},
    {"transitions.csv", "<hold", "<halt", "5:4:", "no code of job_action"},
    {"transitions.csv", "take,busy,F_ONE", "take,busy,", "3:5:", "somebody"},
    {"transitions.csv", "take,busy,F_ONE", "take,busy,F_TWO", "3:5:", "unknown role"},
    {"transitions.csv", "held,D_TWO:level", "held,D_TWO:title", "4:5:", "neither"},
    {"transitions.csv", "due_on!", "due!", "4:6:", "no field"},
    {"transitions.csv", "due_on!", "state!", "4:6:", "follows"},
    {"transitions.csv", ",F_ONE,again_of", ",F_ONE,above again_of", "7:6:", "one field"},
    {"transitions.csv", ",F_ONE,again_of", ",F_ONE,title", "7:6:", "one field"},
    {"transitions.csv", "opinion until", "opinions until", "4:7:", "unknown guard"},
    {"transitions.csv", "opinion until", "opinion:x until", "4:7:", "too few or too many"},
    {"transitions.csv", "until:due_on", "until:title", "4:7:", "no date"},
    {"transitions.csv", "children:above", "children:title", "6:7:", "no reference to a job"},
    {"transitions.csv", "fewer:hold:job.most", "fewer:hold", "6:7:", "too few or too many"},
    {"transitions.csv", "weight,,", "title,,", "6:8:", "neither yes, no"},
    {"transitions.csv", "held_on=today", "held_on", "4:9:", "no effect"},
    {"transitions.csv", "held_on=today", "title=today", "4:9:", "does not fit"},
    {"transitions.csv", "times+1", "times+2", "4:9:", "no effect"},
    {"transitions.csv", "times+1", "state=null", "4:9:", "follows"},
    {"transitions.csv", "due_on+days:held_on", "due_on+days:title", "5:9:", "do not go together"},
    {"transitions.csv", "number=number:J", "number=number:j", "2:9:", "does not fit"},
    {"transitions.csv", "level=level", "level=title", "2:9:", "do not go together"},
    {"transitions.csv", "again_of,,no,", "again_of,,no,times+1", "7:9:", "leaves the record"},
    {"rows/place.csv", "code,name,parent", "code,name,parents", "1:3:", "unknown column"},
    {"rows/place.csv", "120101", "12010", "3:1:", "12010"},
    {"rows/place.csv", "120101", "", "3:1:", "'code' is required"},
    {"rows/place.csv", "和平区", "一二三四五六七八九十一", "3:2:", "longer than 10"},
    {"rows/place.csv", "区,120000", "区,120009", "3:3:", "no shipped row"},
};

static char *replaced(const struct broken *b, const char *text)
{
    const char *at = b->from != NULL ? strstr(text, b->from) : text;
    if (at == NULL)
        fail_msg("%s has no '%s'", b->file, b->from);
    size_t head = (size_t)(at - text);
    const char *tail = b->from != NULL ? at + strlen(b->from) : "";
    size_t n = head + strlen(b->to) + strlen(tail) + 1;
    char *out = malloc(n);
    assert_non_null(out);
    (void)snprintf(out, n, "%.*s%s%s", (int)head, text, b->to, tail);
    return out;
}

static void every_mistake_is_named_with_file_line_and_column(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        const struct broken *b = &broken[i];
        int which = 0;
        while (strcmp(catalogue_fixture[which].name, b->file) != 0)
            which++;
        char *text = replaced(b, catalogue_fixture[which].text);
        struct tz_catalogue c;
        struct tz_err err = {0};
        char want[100];
        (void)snprintf(want, sizeof want, "%s:%s ", b->file, b->where);
        int rc = catalogue_fixture_load(which, tz_bytes_str(text), &c, &err);
        if (rc != TZ_E_CATALOGUE || strncmp(err.args[0], want, strlen(want)) != 0 ||
            strstr(err.args[0], b->says) == NULL)
            fail_msg("case %zu: %d '%s' where '%s… %s' was due", i, rc, err.args[0], want, b->says);
        assert_int_equal(c.ntypes, 0);
        assert_null(c.arena.head);
        free(text);
    }
}

static void area_parents_in_a_circle_are_refused(void **state)
{
    (void)state;
    struct broken ab[] = {{"types.csv", "0,city,", "0,parent,parent", NULL, NULL}};
    char *text = replaced(ab, catalogue_fixture[2].text);
    struct tz_catalogue c;
    struct tz_err err = {0};
    assert_int_equal(catalogue_fixture_load(2, tz_bytes_str(text), &c, &err), TZ_E_CATALOGUE);
    assert_string_equal(err.args[0], "types.csv:2:7: the area of place is its own parent's");
    free(text);
}

static void files_are_known_present_and_single(void **state)
{
    (void)state;
    struct tz_catalogue_file files[CATALOGUE_FIXTURE_FILES + 1];
    struct tz_catalogue c;
    size_t n = CATALOGUE_FIXTURE_FILES;
    for (size_t i = 0; i < n; i++)
        files[i] = (struct tz_catalogue_file){catalogue_fixture[i].name, tz_bytes_str(catalogue_fixture[i].text)};
    static const char *const extra[] = {"colours.csv", "types.csv", "rows/nothing.csv", "rows/place.txt", "rows/"};
    for (size_t i = 0; i < sizeof extra / sizeof *extra; i++) {
        struct tz_err err = {0};
        files[n] = (struct tz_catalogue_file){extra[i], tz_bytes_str("code\n")};
        assert_int_equal(tz_catalogue_load(files, n + 1, &c, &err), TZ_E_CATALOGUE);
        assert_memory_equal(err.args[0], extra[i], strlen(extra[i]));
    }
    for (size_t missing = 0; missing < 7; missing++) { /* the rows are optional, the rest is not */
        struct tz_err err = {0};
        struct tz_catalogue_file kept = files[missing];
        files[missing] = files[n - 1];
        assert_int_equal(tz_catalogue_load(files, n - 1, &c, &err), TZ_E_CATALOGUE);
        assert_memory_equal(err.args[0], kept.name, strlen(kept.name));
        assert_non_null(strstr(err.args[0], "missing"));
        files[missing] = kept;
    }
    assert_int_equal(tz_catalogue_load(files, n - 1, &c, NULL), 0); /* without rows/, and without an error to fill */
    assert_int_equal(c.nrows, 0);
    tz_catalogue_deinit(&c);
}

/** A procedure as its table says it. */
static void procedures_are_linked(void **state)
{
    (void)state;
    const struct tz_type *job = type("job");
    const struct tz_step *s = tz_type_step(job, -1, "open");
    assert_int_equal(job->nsteps, 6);
    assert_ptr_equal(job->event_type, type("job_step"));
    assert_string_equal(job->fields[job->state_field].name, "state");
    assert_int_equal(type("thing")->nsteps, 0);
    int busy = tz_type_state(job, tz_value_text("busy"));
    int held = tz_type_state(job, tz_value_text("held"));
    int done = tz_type_state(job, tz_value_text("done"));
    assert_int_equal(job->final_states, 1U << done); /* another job may follow, this one stays */
    assert_ptr_equal(s, job->steps);
    assert_int_equal(s->nwho, 2);
    assert_int_equal(s->guards[0].kind, TZ_GUARD_OPEN);
    assert_int_equal(s->guards[1].kind, TZ_GUARD_ORDER);
    assert_string_equal(s->effects[1].prefix, "J");
    assert_null(tz_type_step(job, busy, "take"));
    assert_null(tz_type_step(job, -1, "take"));
    s = tz_type_step(job, busy, "hold");
    assert_int_equal(s->to, held);
    assert_ptr_equal(s->who[0].role, tz_catalogue_role(&cat, "D_TWO"));
    assert_int_equal(s->who[0].field, tz_type_field(job, "level")->index);
    assert_true(s->gives[0].must);
    assert_int_equal(s->effects[0].kind, TZ_EFFECT_TODAY);
    assert_int_equal(s->effects[1].kind, TZ_EFFECT_COUNT);
    s = tz_type_step(job, held, "go_on");
    assert_int_equal(s->to, TZ_STEP_BACK);
    assert_string_equal(s->back, "hold");
    assert_int_equal(s->effects[0].kind, TZ_EFFECT_DAYS);
    assert_int_equal(s->effects[1].kind, TZ_EFFECT_NULL);
    s = tz_type_step(job, busy, "end");
    assert_int_equal(s->nguards, 5);
    assert_string_equal(s->guards[0].action, "take");
    assert_string_equal(s->guards[4].param, "job.most");
    assert_int_equal(s->evidence, TZ_EVIDENCE_FIELD);
    s = tz_type_step_new(job);
    assert_string_equal(s->action, "again");
    assert_int_equal(s->link, tz_type_field(job, "again_of")->index);
}

/* the shipped folder */

static const struct tz_type *shipped_type(const char *name)
{
    const struct tz_type *t = tz_catalogue_type(&shipped, name);
    if (t == NULL)
        fail_msg("no type %s", name);
    return t;
}

static void shipped_types_keep_their_ids(void **state)
{
    (void)state;
    static const struct {
        uint32_t id;
        const char *name;
    } ids[] = {{1, "division"},
               {2, "unit"},
               {3, "user"},
               {4, "form"},
               {5, "param"},
               {6, "holiday"},
               {10, "organisation"},
               {11, "site"},
               {12, "branch"},
               {13, "coverage"},
               {14, "post"},
               {15, "person"},
               {16, "instructor"},
               {17, "meeting"},
               {18, "study_event"},
               {19, "training_class"},
               {20, "enrolment"},
               {21, "member_plan"},
               {22, "rating"},
               {23, "weak_case"},
               {24, "ledger_item"},
               {25, "ledger_event"},
               {26, "extension"},
               {27, "notice"},
               {28, "inspection_plan"},
               {29, "inspection"},
               {30, "visit"},
               {31, "centre"},
               {32, "fund"},
               {33, "policy_doc"},
               {34, "survey"},
               {35, "assessment"},
               {36, "accountability"},
               {37, "submission"},
               {38, "alert"},
               {39, "indicator_snapshot"},
               {50, "case"},
               {51, "incident"},
               {52, "redirect"}};
    assert_int_equal(shipped.ntypes, sizeof ids / sizeof *ids);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        assert_int_equal(shipped_type(ids[i].name)->id, ids[i].id);
        assert_true(shipped_type(ids[i].name)->nfields > 0);
    }
}

static void shipped_fields_have_labels_and_unique_ids(void **state)
{
    (void)state;
    size_t total = 0;
    for (size_t i = 0; i < shipped.ntypes; i++) {
        const struct tz_type *t = &shipped.types[i];
        assert_int_equal(t->index, i);
        assert_true(strlen(t->label[TZ_LANG_ZH]) > 0 && strlen(t->label[TZ_LANG_EN]) > 0);
        assert_in_range(t->title_field, 0, t->nfields - 1);
        for (size_t k = 0; k < t->nfields; k++) {
            const struct tz_field *f = &t->fields[k];
            assert_int_equal(f->index, k);
            assert_int_equal(f->id, k + 1); /* the first edition has no gaps */
            assert_true(strlen(f->label[TZ_LANG_ZH]) > 0 && strlen(f->label[TZ_LANG_EN]) > 0);
            assert_true(f->editors != 0);
            assert_ptr_equal(tz_type_field_heading(t, f->label[TZ_LANG_ZH]), f);
            assert_true(!t->local || f->editors == TZ_ED_S);
        }
        total += t->nfields;
    }
    assert_int_equal(total,
                     337 + 1 + 2 + 21 +
                         7); /* the source, fund.receiver_type, a ledger item's suspension, case, incident, redirect */
}

static void shipped_organisation_is_as_the_domain_says(void **state)
{
    (void)state;
    const struct tz_type *org = shipped_type("organisation");
    assert_int_equal(org->area, TZ_AREA_OWN);
    assert_true(org->district_field >= 0 && org->street_field >= 0 && org->auto_merge);
    assert_int_equal(org->creators, TZ_ED_F | TZ_ED_D);
    assert_int_equal(tz_type_field(org, "usci")->required, TZ_REQ_VERIFY);
    assert_int_equal(tz_type_field(org, "employees")->editors, TZ_ED_F | TZ_ED_D);
    assert_true(tz_value_is_text(tz_type_field(org, "status")->dflt, "unverified"));
    assert_int_equal(org->ngroups, 2);
    assert_string_equal(org->fields[org->groups[1].as_of].name, "counts_on");
    assert_int_equal(tz_type_field(org, "activists")->group, tz_type_field(org, "counts_on")->group);
    assert_int_not_equal(tz_type_field(org, "employees")->group, tz_type_field(org, "counts_on")->group);
    assert_string_equal(org->fields[org->keys[0].fields[0]].name, "usci");
    static const char *const headings[][2] = {{"组织名称", "name"},
                                              {"信用代码", "usci"},
                                              {"所属区县", "district_code"},
                                              {"街镇", "street_code"},
                                              {"从业人数", "employees"},
                                              {"党员数", "full_members"},
                                              {"所属街道乡镇", "street_code"},
                                              {"类别", "kind"},
                                              {"industry", "industry_code"}};
    for (size_t i = 0; i < sizeof headings / sizeof *headings; i++)
        assert_string_equal(tz_type_field_heading(org, headings[i][0])->name, headings[i][1]);
    const struct tz_field *industry = tz_type_field(org, "industry_code");
    assert_int_equal(industry->en->nvalues, 20);
    assert_string_equal(tz_enum_code(industry->en, tz_value_text("E"))->label[TZ_LANG_ZH], "建筑业");
}

static void shipped_secrets_are_secret(void **state)
{
    (void)state;
    static const char *const secret[][2] = {{"person", "name"},
                                            {"person", "phone"},
                                            {"person", "id_digest"},
                                            {"case", "standing_secret"},
                                            {"case", "candidates_secret"}};
    size_t count = 0;
    for (size_t i = 0; i < sizeof secret / sizeof *secret; i++)
        assert_int_equal(tz_type_field(shipped_type(secret[i][0]), secret[i][1])->visibility, TZ_VIS_SECRET);
    for (size_t i = 0; i < shipped.ntypes; i++)
        for (size_t k = 0; k < shipped.types[i].nfields; k++)
            count += shipped.types[i].fields[k].visibility == TZ_VIS_SECRET;
    assert_int_equal(count, sizeof secret / sizeof *secret);
    assert_false(tz_catalogue_role(&shipped, "F_INSP")->reads_secret);
    assert_false(tz_catalogue_role(&shipped, "C_SUPER")->reads_secret);
    assert_true(tz_catalogue_role(&shipped, "S_CLERK")->reads_secret);
    assert_false(tz_catalogue_role(&shipped, "AUDITOR")->reads_business);
    assert_int_equal(shipped.nroles, 12);
}

static void shipped_server_types_take_no_create(void **state)
{
    (void)state;
    static const char *const local[] = {"user", "case", "incident", "redirect"};
    size_t count = 0;
    for (size_t i = 0; i < shipped.ntypes; i++)
        count += shipped.types[i].local;
    assert_int_equal(count, sizeof local / sizeof *local);
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        assert_true(shipped_type(local[i])->local);
}

/** Every required field is somebody's to fill, has a default, or is the server's to compute: those are listed. */
static void shipped_required_server_fields_are_known(void **state)
{
    (void)state;
    static const char *const computed =
        " ledger_item.item_no ledger_item.issuer_level ledger_item.opened_on ledger_event.actor"
        " ledger_event.unit ledger_event.at_device ledger_event.expected_seq ledger_event.seq"
        " inspection.form_version inspection.started_at inspection.finished_at"
        " inspection.device_seq submission.district_code ";
    for (size_t i = 0; i < shipped.ntypes; i++) {
        const struct tz_type *t = &shipped.types[i];
        for (size_t k = 0; k < t->nfields && !t->local; k++) {
            const struct tz_field *f = &t->fields[k];
            char name[140];
            (void)snprintf(name, sizeof name, " %s.%s ", t->name, f->name);
            if (f->required == TZ_REQ_SAVE && f->editors == TZ_ED_S && f->dflt.kind == TZ_V_NULL &&
                strstr(computed, name) == NULL)
                fail_msg("nobody fills%s", name);
        }
    }
}

static size_t shipped_rows_of(const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < shipped.nrows; i++)
        n += shipped.rows[i].type == shipped_type(name);
    return n;
}

static const struct tz_shipped_row *shipped_row(const char *type_name, const char *code)
{
    for (size_t i = 0; i < shipped.nrows; i++)
        if (shipped.rows[i].type == shipped_type(type_name) && tz_value_is_text(shipped.rows[i].values[0], code))
            return &shipped.rows[i];
    fail_msg("no %s %s", type_name, code);
    return NULL;
}

static void shipped_rows_are_complete_and_canonical(void **state)
{
    (void)state;
    assert_int_equal(shipped_rows_of("division"), 316);
    assert_int_equal(shipped_rows_of("form"), 6);
    assert_int_equal(shipped_rows_of("unit"), 1 + 16 + 18);
    assert_true(shipped_rows_of("param") >= 40);
    const struct tz_type *division = shipped_type("division");
    size_t former = tz_type_field(division, "former_codes")->index;
    assert_true(tz_value_is_text(shipped_row("division", "120119")->values[former], "120225"));
    assert_true(tz_value_is_text(shipped_row("division", "120117")->values[former], "120221"));
    assert_true(tz_value_is_text(shipped_row("division", "120118")->values[former], "120223"));
    const struct tz_type *form = shipped_type("form");
    assert_int_equal(shipped_row("form", "spot_check")->values[tz_type_field(form, "form_version")->index].i, 0);
    for (size_t i = 0; i < shipped.nrows; i++) {
        const struct tz_shipped_row *row = &shipped.rows[i];
        struct tz_err err = {0};
        for (size_t k = 0; k < row->type->nfields; k++)
            assert_int_equal(tz_value_check(&row->type->fields[k], row->values[k], true, &err), 0);
    }
}

static void every_district_has_a_committee(void **state)
{
    (void)state;
    size_t districts = 0;
    for (size_t i = 0; i < shipped.nrows; i++) {
        const struct tz_shipped_row *d = &shipped.rows[i];
        if (d->type != shipped_type("division") ||
            !tz_value_is_text(d->values[tz_type_field(d->type, "level")->index], "district"))
            continue;
        districts++;
        size_t committees = 0;
        for (size_t k = 0; k < shipped.nrows; k++) {
            const struct tz_shipped_row *u = &shipped.rows[k];
            if (u->type == shipped_type("unit") &&
                tz_value_is_text(u->values[tz_type_field(u->type, "kind")->index], "district_committee") &&
                tz_value_eq(u->values[tz_type_field(u->type, "district_code")->index], d->values[0]))
                committees++;
        }
        assert_int_equal(committees, 1);
    }
    assert_int_equal(districts, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_become_types_and_fields),
        cmocka_unit_test(parents_keys_roles_and_rows_are_linked),
        cmocka_unit_test(look_ups_find_by_name_and_id),
        cmocka_unit_test(headings_are_names_labels_and_aliases),
        cmocka_unit_test(every_mistake_is_named_with_file_line_and_column),
        cmocka_unit_test(area_parents_in_a_circle_are_refused),
        cmocka_unit_test(files_are_known_present_and_single),
        cmocka_unit_test(procedures_are_linked),
        cmocka_unit_test(shipped_types_keep_their_ids),
        cmocka_unit_test(shipped_fields_have_labels_and_unique_ids),
        cmocka_unit_test(shipped_organisation_is_as_the_domain_says),
        cmocka_unit_test(shipped_secrets_are_secret),
        cmocka_unit_test(shipped_server_types_take_no_create),
        cmocka_unit_test(shipped_required_server_fields_are_known),
        cmocka_unit_test(shipped_rows_are_complete_and_canonical),
        cmocka_unit_test(every_district_has_a_committee),
    };
    return cmocka_run_group_tests_name("catalogue", tests, setup, teardown);
}
