/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a row would change of its record, for the person who decides: field, what is there, what the sheet says.
 * Protected values are never spelled out: these words go to the screen and into rejected.csv.
 */
#include "import_int.h"
#include "office_int.h"
#include "utf8.h"

#include <string.h>

enum { VALUE_BYTES_MAX = 256 };

static bool differs(const struct tz_import *im, const struct tz_record *was, size_t i)
{
    return im->plan.names[i] && !tz_value_eq(im->plan.rec.v[i], was->v[i]);
}

/** The title of the record that @v names; NULL when it is not here or has none. */
static const char *ref_title(const struct tz_import *im, const struct tz_field *f, struct tz_value v,
                             struct tz_arena *a)
{
    const struct tz_type *t = f->ref;
    struct tz_row *row = t && t->title_field >= 0 ? tz_arena_alloc(a, sizeof *row) : NULL;
    struct tz_id id;
    if (!row || v.kind != TZ_V_BLOB || v.n != sizeof id.b)
        return NULL;
    memcpy(id.b, v.p, sizeof id.b);
    if (tz_office_read(im->o, t, id, a, row, NULL, NULL, NULL) != 1)
        return NULL;
    const struct tz_field *title = &t->fields[t->title_field];
    struct tz_value name = row->rec.v[t->title_field];
    return title->visibility == TZ_VIS_OPEN && name.kind == TZ_V_TEXT ? tz_arena_dup(a, name.p, name.n) : NULL;
}

/** @v in words; a short copy in @a. */
static const char *words_of(const struct tz_import *im, const struct tz_field *f, struct tz_value v, struct tz_arena *a)
{
    struct tz_buf b;
    if (v.kind == TZ_V_NULL)
        return im->opt->lang == TZ_LANG_ZH ? "（空）" : "(empty)";
    const char *name = f->ftype == TZ_FT_REF ? ref_title(im, f, v, a) : NULL;
    if (name)
        return name;
    tz_buf_init(&b, TZ_ROW_BYTES_MAX);
    int rc = tz_value_print(f, v, im->opt->lang, false, &b);
    size_t n = rc || b.len < VALUE_BYTES_MAX ? b.len : VALUE_BYTES_MAX;
    char *text = rc ? NULL : tz_arena_dup(a, b.p, n);
    if (text && n < b.len)
        text[tz_utf8_cut(text, n)] = '\0';
    tz_buf_deinit(&b);
    if (text && f->ftype == TZ_FT_CODE && (f->limit == 6 || f->limit == 9))
        name = tz_divisions_name(tz_entry_divisions(im->entry), text);
    return name ? name : text ? text : "…";
}

size_t tz_diff_words(const struct tz_import *im, const struct tz_record *was, char *out, size_t out_bytes)
{
    const struct tz_type *t = im->type;
    bool zh = im->opt->lang == TZ_LANG_ZH;
    struct tz_arena a;
    size_t n = 0;
    size_t count = 0;
    tz_arena_init(&a, IMPORT_ROW_ARENA_BYTES);
    *out = '\0';
    for (size_t i = 0; i < t->nfields; i++) {
        const struct tz_field *f = &t->fields[i];
        if (!differs(im, was, i))
            continue;
        const char *before = count++ ? (zh ? "；" : "; ") : "";
        int k = f->visibility == TZ_VIS_OPEN
                    ? snprintf(out + n, out_bytes - n, "%s%s %s → %s", before, f->label[im->opt->lang],
                               words_of(im, f, was->v[i], &a), words_of(im, f, im->plan.rec.v[i], &a))
                    : snprintf(out + n, out_bytes - n, "%s%s %s", before, f->label[im->opt->lang],
                               zh ? "不同（受保护，不列出）" : "differs (protected, not shown)");
        n = k < 0 ? n : n + (size_t)k < out_bytes ? n + (size_t)k : out_bytes - 1;
    }
    if (n == out_bytes - 1)
        out[tz_utf8_cut(out, n)] = '\0';
    tz_arena_deinit(&a);
    return count;
}

const struct tz_field *tz_diff_undated(const struct tz_import *im, const struct tz_record *was)
{
    const struct tz_type *t = im->type;
    for (size_t i = 0; i < t->nfields; i++) {
        if (t->fields[i].group == 0 || !differs(im, was, i))
            continue;
        size_t as_of = t->groups[t->fields[i].group - 1].as_of;
        if (!im->plan.names[as_of] && was->v[as_of].kind != TZ_V_NULL)
            return &t->fields[as_of];
    }
    return NULL;
}
