/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Laws of the catalogue loader: the first byte says which file of the small catalogue the rest of the input stands for.
 * Either the result is well formed all through, or it is empty and the error names a file, a line and a column.
 */
#include <stdio.h>
#include <string.h>

#include "../support/catalogue_fixture.h"
#include "fuzz.h"

enum { INPUT_MAX = 64 * 1024 };

static void check_field(const struct tz_type *t, const struct tz_field *f, size_t k)
{
    FUZZ_CHECK(f->index == k && f->id >= 1 && f->id < TZ_FIELD_DELETED && (k == 0 || f[-1].id < f->id));
    FUZZ_CHECK(tz_type_field(t, f->name) == f && tz_type_field_id(t, f->id) == f);
    FUZZ_CHECK(tz_type_field_heading(t, f->name) == f);
    FUZZ_CHECK(f->label[0][0] != '\0' && f->label[1][0] != '\0' && f->aliases != NULL && f->editors != 0);
    FUZZ_CHECK((f->en != NULL) == (f->ftype == TZ_FT_ENUM || f->ftype == TZ_FT_SET));
    FUZZ_CHECK((f->ref != NULL) == (f->ftype == TZ_FT_REF || f->ftype == TZ_FT_REFS));
    FUZZ_CHECK(f->ftype != TZ_FT_REF_ANY || f->any_type_field < t->nfields);
    FUZZ_CHECK(f->group <= t->ngroups && t->append == (f->merge == TZ_MERGE_APPEND));
    FUZZ_CHECK(tz_value_check(f, f->dflt, true, NULL) == 0);
}

/** Every index and pointer of a step leads somewhere; every state can be left or is final. */
static void check_step(const struct tz_type *t, const struct tz_step *s)
{
    size_t states = t->fields[t->state_field].en->nvalues;
    FUZZ_CHECK((s == t->steps) == (s->from == 0) && (states == 64 || s->from >> states == 0));
    FUZZ_CHECK(s->to >= 0 ? (size_t)s->to < states : s->to >= TZ_STEP_NEW && s->from != 0);
    FUZZ_CHECK((s->to == TZ_STEP_BACK) == (s->back != NULL) && s->nwho > 0);
    FUZZ_CHECK(tz_enum_code(tz_type_field(t->event_type, "action")->en, tz_value_text(s->action)) != NULL);
    FUZZ_CHECK(s->to != TZ_STEP_NEW || (t->fields[s->link].ref == t && s->neffects == 0));
    FUZZ_CHECK(s->evidence != TZ_EVIDENCE_FIELD || s->evidence_field < t->nfields);
    for (size_t i = 0; i < s->nwho; i++)
        FUZZ_CHECK(s->who[i].role != NULL && s->who[i].field < (int)t->nfields);
    for (size_t i = 0; i < s->ngives; i++)
        FUZZ_CHECK(s->gives[i].field < t->nfields && s->gives[i].field != t->state_field);
    for (size_t i = 0; i < s->nguards; i++)
        FUZZ_CHECK(s->guards[i].field < t->nfields && s->guards[i].other < t->nfields);
    for (size_t i = 0; i < s->neffects; i++)
        FUZZ_CHECK(s->effects[i].field < t->nfields && s->effects[i].other < t->nfields &&
                   s->effects[i].field != t->state_field);
    for (size_t i = 0; i < states; i++)
        FUZZ_CHECK((s->from >> i & 1) == 0 || tz_type_step(t, (int)i, s->action) == s);
}

static void check_type(const struct tz_catalogue *c, const struct tz_type *t, size_t i)
{
    FUZZ_CHECK(t->index == i && tz_catalogue_type(c, t->name) == t && tz_catalogue_type_id(c, t->id) == t);
    FUZZ_CHECK(t->nfields > 0 && t->nfields <= TZ_FIELDS_MAX);
    FUZZ_CHECK(t->title_field >= 0 && (size_t)t->title_field < t->nfields);
    FUZZ_CHECK((t->area == TZ_AREA_PARENT) == (t->area_field >= 0));
    FUZZ_CHECK(t->area != TZ_AREA_OWN || t->district_field >= 0 || t->street_field >= 0);
    for (size_t k = 0; k < t->nfields; k++)
        check_field(t, &t->fields[k], k);
    for (size_t k = 0; k < t->nsteps; k++)
        check_step(t, &t->steps[k]);
    for (size_t k = 0; k < t->ngroups; k++)
        FUZZ_CHECK(t->fields[t->groups[k].as_of].group == k + 1);
    for (size_t k = 0; k < t->nkeys; k++)
        for (size_t m = 0; m < t->keys[k].nfields; m++)
            FUZZ_CHECK(t->keys[k].fields[m] < t->nfields);
    for (size_t k = 0; k < t->nkeys; k++)
        for (size_t m = 0; m < t->keys[k].nwhen; m++)
            FUZZ_CHECK(t->keys[k].when[m].field < t->nfields && t->keys[k].when[m].ncodes <= TZ_KEY_CODES_MAX);
}

static void check_catalogue(const struct tz_catalogue *c)
{
    FUZZ_CHECK(c->version > 0 && c->ntypes > 0 && c->ntypes <= TZ_TYPES_MAX);
    for (size_t i = 0; i < c->ntypes; i++)
        check_type(c, &c->types[i], i);
    for (size_t i = 0; i < c->nroles; i++)
        FUZZ_CHECK(tz_catalogue_role(c, c->roles[i].name) == &c->roles[i]);
    for (size_t i = 0; i < c->nrows; i++)
        for (size_t k = 0; k < c->rows[i].type->nfields; k++)
            FUZZ_CHECK(tz_value_check(&c->rows[i].type->fields[k], c->rows[i].values[k], true, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tz_catalogue c;
    struct tz_err err = {0};
    char file[64];
    size_t line = 0;
    size_t column = 0;
    if (size == 0 || size > INPUT_MAX)
        return 0;
    int which = data[0] % (int)CATALOGUE_FIXTURE_FILES;
    int rc = catalogue_fixture_load(which, tz_bytes_of(data + 1, size - 1), &c, &err);
    if (rc == 0) {
        check_catalogue(&c);
    } else {
        FUZZ_CHECK(rc == TZ_E_CATALOGUE && err.code == rc && c.ntypes == 0 && c.arena.head == NULL);
        FUZZ_CHECK(sscanf(err.args[0], "%63[^:]:%zu:%zu:", file, &line, &column) == 3 && line > 0);
    }
    tz_catalogue_deinit(&c);
    return 0;
}
