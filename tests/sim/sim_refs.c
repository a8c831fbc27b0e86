/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every reference leads somewhere. The server writes no version in which a record points at an id that never was: live,
 * deleted and merged records are all in the history. A replica's rows are compared with that history at its
 * checkpoints, so there a reference is to a row that the device has, or to one outside its areas, which shows as a
 * stub.
 */
#include "sim_check_int.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct tz_type *ref_type(const struct tz_catalogue *cat, const struct tz_record *rec,
                                      const struct tz_field *f)
{
    char name[TZ_NAME_MAX + 1] = "";
    if (f->ftype == TZ_FT_REF || f->ftype == TZ_FT_REFS)
        return f->ref;
    struct tz_value v = rec->v[f->any_type_field];
    if (v.kind != TZ_V_TEXT || v.n > TZ_NAME_MAX)
        return NULL;
    memcpy(name, v.p, v.n);
    return tz_catalogue_type(cat, strcmp(name, "district") == 0 ? "division" : name);
}

static void note(struct sim *w, const struct tz_row *row, const struct tz_field *f, struct tz_id target)
{
    struct sim_history *h = w->history;
    const struct tz_type *t = ref_type(w->cat, &row->rec, f);
    if (t && sim_past_of(h, t, target, false))
        return;
    if (h->nrefs == h->refs_cap) {
        h->refs_cap = h->refs_cap ? h->refs_cap * 2 : 16;
        h->refs = realloc(h->refs, h->refs_cap * sizeof *h->refs);
        if (!h->refs)
            abort();
    }
    h->refs[h->nrefs++] = (struct open_ref){row->rec.type, row->id, row->ver, f, t, target};
}

/** A case about a record that is to be made points at what is not there yet. */
static bool to_be_made(const struct tz_row *row, const struct tz_field *f)
{
    const struct tz_field *s =
        strcmp(row->rec.type->name, "case") == 0 ? tz_type_field(row->rec.type, "subject") : NULL;
    return s && strcmp(f->name, "target_id") == 0 && tz_value_is_text(row->rec.v[s->index], "_created");
}

void sim_refs_note(struct sim *w, const struct tz_row *row)
{
    const struct tz_type *t = row->rec.type;
    struct tz_id id;
    for (size_t i = 0; i < t->nfields; i++) {
        struct tz_value v = row->rec.v[i];
        char hex[TZ_ID_HEX + 1] = "";
        bool one = t->fields[i].ftype == TZ_FT_REF || t->fields[i].ftype == TZ_FT_REF_ANY;
        if (one && v.kind == TZ_V_BLOB && !to_be_made(row, &t->fields[i])) {
            memcpy(id.b, v.p, TZ_ID_BYTES);
            note(w, row, &t->fields[i], id);
        }
        for (size_t at = 2; t->fields[i].ftype == TZ_FT_REFS && v.kind == TZ_V_TEXT && at + TZ_ID_HEX <= v.n;
             at += TZ_ID_HEX + 3) { /* ["…","…"] */
            memcpy(hex, v.p + at, TZ_ID_HEX);
            if (tz_id_parse(hex, &id))
                sim_fail(w, "%s of a %s is no list of ids", t->fields[i].name, t->name);
            note(w, row, &t->fields[i], id);
        }
    }
}

void sim_refs_check(struct sim *w)
{
    struct sim_history *h = w->history;
    for (size_t i = 0; i < h->nrefs && !w->failed; i++) {
        const struct open_ref *r = &h->refs[i];
        char from[TZ_ID_HEX + 1];
        char to[TZ_ID_HEX + 1];
        if (r->to && sim_past_of(h, r->to, r->target, false))
            continue;
        tz_id_print(r->id, from);
        tz_id_print(r->target, to);
        sim_fail(w, "%s %s at version %" PRIu64 ": %s points at %s %s, which never was", r->type->name, from,
                 r->ver & 0xFFFFFF, r->field->name, r->to ? r->to->name : "?", to);
    }
    h->nrefs = 0;
}
