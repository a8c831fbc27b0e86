/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Look-ups in a loaded catalogue. Names are few (tens of types, tens of fields), so they are found by walking; ids are
 * met per value of every record that arrives, so they are found by halving (types and fields ascend by id). Nothing
 * here changes it.
 */
#include "value_set.h"

#include <string.h>
#include <strings.h>

void tz_catalogue_deinit(struct tz_catalogue *c)
{
    tz_arena_deinit(&c->arena);
    *c = (struct tz_catalogue){0};
}

const struct tz_type *tz_catalogue_type(const struct tz_catalogue *c, const char *name)
{
    for (size_t i = 0; i < c->ntypes; i++)
        if (strcmp(c->types[i].name, name) == 0)
            return &c->types[i];
    return NULL;
}

const struct tz_type *tz_catalogue_type_id(const struct tz_catalogue *c, uint32_t id)
{
    size_t low = 0;
    size_t high = c->ntypes;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (c->types[mid].id == id)
            return &c->types[mid];
        if (c->types[mid].id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

const struct tz_role *tz_catalogue_role(const struct tz_catalogue *c, const char *name)
{
    for (size_t i = 0; i < c->nroles; i++)
        if (strcmp(c->roles[i].name, name) == 0)
            return &c->roles[i];
    return NULL;
}

const struct tz_field *tz_type_field(const struct tz_type *t, const char *name)
{
    for (size_t i = 0; i < t->nfields; i++)
        if (strcmp(t->fields[i].name, name) == 0)
            return &t->fields[i];
    return NULL;
}

const struct tz_field *tz_type_field_id(const struct tz_type *t, uint32_t id)
{
    size_t low = 0;
    size_t high = t->nfields;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (t->fields[mid].id == id)
            return &t->fields[mid];
        if (t->fields[mid].id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static bool heading_is(struct tz_arena *scratch, const char *word, const char *folded)
{
    tz_arena_reset(scratch);
    const char *w = tz_name_fold(scratch, tz_value_text(word));
    return w != NULL && strcasecmp(w, folded) == 0;
}

static bool field_has_heading(const struct tz_field *f, struct tz_arena *scratch, const char *folded)
{
    if (heading_is(scratch, f->name, folded) || heading_is(scratch, f->label[TZ_LANG_ZH], folded) ||
        heading_is(scratch, f->label[TZ_LANG_EN], folded))
        return true;
    for (size_t i = 0; f->aliases[i] != NULL; i++)
        if (heading_is(scratch, f->aliases[i], folded))
            return true;
    return false;
}

const struct tz_field *tz_type_field_heading(const struct tz_type *t, const char *heading)
{
    struct tz_arena kept;
    struct tz_arena scratch;
    const struct tz_field *found = NULL;
    tz_arena_init(&kept, 64 * 1024);
    tz_arena_init(&scratch, 64 * 1024);
    const char *folded = strlen(heading) < 4096 ? tz_name_fold(&kept, tz_value_text(heading)) : NULL;
    for (size_t i = 0; folded != NULL && *folded != '\0' && i < t->nfields && found == NULL; i++)
        if (field_has_heading(&t->fields[i], &scratch, folded))
            found = &t->fields[i];
    tz_arena_deinit(&kept);
    tz_arena_deinit(&scratch);
    return found;
}

const struct tz_step *tz_type_step(const struct tz_type *t, int from, const char *action)
{
    for (size_t i = 0; i < t->nsteps; i++) {
        const struct tz_step *s = &t->steps[i];
        bool here = from < 0 ? s->from == 0 : (s->from >> from & 1) != 0;
        if (here && strcmp(s->action, action) == 0)
            return s;
    }
    return NULL;
}

const struct tz_step *tz_type_step_new(const struct tz_type *t)
{
    for (size_t i = 0; i < t->nsteps; i++)
        if (t->steps[i].to == TZ_STEP_NEW)
            return &t->steps[i];
    return NULL;
}

int tz_type_state(const struct tz_type *t, struct tz_value code)
{
    const struct tz_enum *en = t->nsteps ? t->fields[t->state_field].en : NULL;
    for (size_t i = 0; en != NULL && i < en->nvalues; i++)
        if (tz_value_is_text(code, en->values[i].code))
            return (int)i;
    return -1;
}

const struct tz_enum_value *tz_enum_code(const struct tz_enum *e, struct tz_value code)
{
    for (size_t i = 0; e != NULL && i < e->nvalues; i++)
        if (tz_value_is_text(code, e->values[i].code))
            return &e->values[i];
    return NULL;
}

static bool condition_holds(const struct tz_key_when *w, struct tz_value v)
{
    for (size_t i = 0; i < w->ncodes; i++)
        if (tz_value_is_text(v, w->codes[i]))
            return true;
    return w->ncodes == 0 && v.kind == TZ_V_NULL;
}

bool tz_key_claims(const struct tz_type *t, const struct tz_key *key, const struct tz_value *v)
{
    bool any = false;
    for (size_t i = 0; i < key->nwhen; i++)
        if (!condition_holds(&key->when[i], v[key->when[i].field]))
            return false;
    for (size_t i = 0; i < key->nfields; i++) {
        bool given = v[key->fields[i]].kind != TZ_V_NULL;
        if (!given && t->fields[key->fields[i]].required == TZ_REQ_SAVE)
            return false;
        any = any || given;
    }
    return any;
}
