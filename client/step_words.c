/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Refusals of steps in words. Their arguments are codes (they travel, and the reader's language is not the server's
 * business); here they become labels of the reader's catalogue. A code that it lacks stays as it is.
 */
#include "office_int.h"
#include "step.h"

#include <stdio.h>
#include <string.h>

static bool is_step(int code)
{
    return (code <= TZ_E_STEP_STALE && code >= TZ_E_NO_STEP) || code == TZ_E_STEP_FULL;
}

static const char *code_label(const struct tz_type *t, const char *code, enum tz_lang lang)
{
    for (size_t i = 0; i < t->nfields; i++) {
        const struct tz_enum_value *v = t->fields[i].en ? tz_enum_code(t->fields[i].en, tz_value_text(code)) : NULL;
        if (v && (t->append || t->fields[i].merge == TZ_MERGE_EVENTS))
            return v->label[lang];
    }
    return NULL;
}

static const char *label_of(const struct tz_catalogue *cat, const char *code, enum tz_lang lang)
{
    const struct tz_role *role = tz_catalogue_role(cat, code);
    const char *label = role ? role->label[lang] : NULL;
    for (size_t i = 0; i < cat->ntypes && !label; i++) {
        const struct tz_type *t = &cat->types[i];
        const struct tz_field *f = t->nsteps ? tz_type_field(t, code) : NULL;
        if (!t->nsteps)
            continue;
        label = f ? f->label[lang] : code_label(t->event_type, code, lang);
        label = label ? label : code_label(t, code, lang);
    }
    return label;
}

/** Each word of @arg by its label, in place. */
static void translate(const struct tz_catalogue *cat, enum tz_lang lang, char arg[TZ_ERR_ARG_BYTES])
{
    char text[TZ_ERR_ARG_BYTES];
    char out[TZ_ERR_ARG_BYTES] = "";
    size_t n = 0;
    char *rest = NULL;
    memcpy(text, arg, sizeof text);
    for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        const char *label = label_of(cat, word, lang);
        const char *between = n == 0 ? "" : lang == TZ_LANG_ZH ? "、" : ", ";
        int k = snprintf(out + n, sizeof out - n, "%s%s", between, label ? label : word);
        if (k < 0 || (size_t)k >= sizeof out - n) {
            (void)snprintf(out + n, sizeof out - n, "%s", ""); /* no half characters */
            out[n] = '\0';
            break;
        }
        n += (size_t)k;
    }
    memcpy(arg, out, sizeof out);
}

struct unit_name {
    const struct tz_field *name;
    char *out;
};

static int take_name(void *ctx, const struct tz_row *row)
{
    struct unit_name *u = ctx;
    struct tz_value v = row->rec.v[u->name->index];
    if (v.kind == TZ_V_TEXT && v.n < TZ_ERR_ARG_BYTES)
        (void)snprintf(u->out, TZ_ERR_ARG_BYTES, "%.*s", (int)v.n, (const char *)v.p);
    return 0;
}

void tz_step_words(const struct tz_catalogue *cat, struct tz_office *o, enum tz_lang lang, struct tz_err *err)
{
    if (!is_step(err->code))
        return;
    if (err->code == TZ_E_STEP_UNIT && o && err->nargs > 1) {
        const struct tz_type *unit = tz_catalogue_type(cat, "unit");
        char code[TZ_ERR_ARG_BYTES];
        struct tz_err ignored = {0};
        memcpy(code, err->args[1], sizeof code);
        struct unit_name u = {tz_type_field(unit, "name"), err->args[1]};
        int rc =
            tz_replica_find(o->rep, tz_type_field(unit, "code"), unit, tz_value_text(code), take_name, &u, &ignored);
        (void)rc; /* then the code has to do */
    }
    for (unsigned i = 0; i < err->nargs; i++)
        translate(cat, lang, err->args[i]);
}
