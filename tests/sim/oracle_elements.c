/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle's ADD and REMOVE: elements of a set are joined, and one goes only by the hand of an author who had heard
 * of it.
 */
#include "oracle_int.h"

#include <stdlib.h>
#include <string.h>

size_t ora_split(struct tz_value set, struct tz_bytes *out, size_t max)
{
    size_t n = 0;
    const char *p = set.kind == TZ_V_TEXT ? (const char *)set.p : NULL;
    const char *end = p ? p + set.n : NULL;
    while (p && n < max && (p = memchr(p, '"', (size_t)(end - p))) != NULL) {
        const char *close = memchr(p + 1, '"', (size_t)(end - p - 1));
        out[n++] = tz_bytes_of(p + 1, (size_t)(close - p - 1));
        p = close + 1;
    }
    return n;
}

static int by_text(const void *a, const void *b)
{
    return tz_bytes_cmp(*(const struct tz_bytes *)a, *(const struct tz_bytes *)b);
}

struct tz_value ora_join(struct oracle *o, struct tz_bytes *v, size_t n)
{
    struct tz_buf b;
    int rc = 0;
    tz_buf_init(&b, 1 << 20);
    qsort(v, n, sizeof *v, by_text);
    for (size_t i = 0; i < n; i++)
        rc |= tz_buf_printf(&b, "%s\"%.*s\"", i ? "," : "[", (int)v[i].n, (const char *)v[i].p);
    if (rc || tz_buf_putc(&b, ']'))
        abort();
    struct tz_value out = n ? tz_value_textn(tz_arena_dup(&o->arena, b.p, b.len), b.len) : tz_value_null();
    tz_buf_deinit(&b);
    return out;
}

bool ora_has(const struct tz_bytes *v, size_t n, struct tz_bytes el, size_t *at)
{
    for (size_t i = 0; i < n; i++)
        if (tz_bytes_eq(v[i], el)) {
            *at = i;
            return true;
        }
    return false;
}

void ora_stamp_element(struct oracle *o, struct oracle_row *r, size_t f, struct tz_bytes el, tz_ver ver)
{
    struct oracle_element *v = tz_arena_calloc(&o->arena, r->nel + 1, sizeof *v);
    size_t n = 0;
    for (size_t i = 0; i < r->nel; i++)
        if (r->el[i].field != f || !tz_bytes_eq(r->el[i].text, el))
            v[n++] = r->el[i];
    if (ver)
        v[n++] = (struct oracle_element){f, el, ver};
    r->el = v;
    r->nel = n;
}

tz_ver ora_element_ver(const struct oracle_row *r, size_t f, struct tz_bytes el)
{
    for (size_t i = 0; i < r->nel; i++)
        if (r->el[i].field == f && tz_bytes_eq(r->el[i].text, el))
            return r->el[i].ver;
    return r->born;
}

static void change_elements(struct oracle *o, const struct tz_op *op, struct oracle_row *r, size_t f)
{
    struct tz_bytes v[2 * TZ_SET_ELEMENTS_MAX];
    size_t n = ora_split(r->v[f], v, TZ_SET_ELEMENTS_MAX);
    size_t at = 0;
    ora_touch(o, r);
    for (size_t i = 0; i < op->nelements; i++) {
        bool there = ora_has(v, n, op->elements[i], &at);
        if (op->kind == TZ_OP_ADD) {
            if (!there)
                v[n++] = op->elements[i];
            ora_stamp_element(o, r, f, op->elements[i], o->me.ver);
            ora_wrote(o, r);
        } else if (there && ora_saw(o, ora_element_ver(r, f, op->elements[i]), o->base_ver, o->base_seq)) {
            v[at] = v[--n];
            ora_stamp_element(o, r, f, op->elements[i], 0);
            r->stamp[f].ver = o->me.ver;
            ora_wrote(o, r);
        } else if (there) {
            o->superseded = true; /* somebody put it there whom the author had not heard of */
        }
    }
    r->v[f] = ora_join(o, v, n);
}

/** What the set would be if nobody else had touched it. */
struct tz_value ora_wished(struct oracle *o, const struct tz_op *op, struct tz_value was)
{
    struct tz_bytes v[2 * TZ_SET_ELEMENTS_MAX];
    size_t n = ora_split(was, v, TZ_SET_ELEMENTS_MAX);
    size_t at = 0;
    for (size_t i = 0; i < op->nelements; i++) {
        bool there = ora_has(v, n, op->elements[i], &at);
        if (there && op->kind == TZ_OP_REMOVE)
            v[at] = v[--n];
        else if (!there && op->kind == TZ_OP_ADD)
            v[n++] = op->elements[i];
    }
    return ora_join(o, v, n);
}

int ora_elements_rights(const struct oracle *o, const struct tz_op *op, const struct oracle_row *r,
                        const struct tz_field **out)
{
    const struct tz_field *f = tz_type_field_id(r->type, op->field);
    *out = f;
    if (f && f->merge == TZ_MERGE_EVENTS)
        return TZ_E_EVENTS_LATER;
    if (!f || f->merge != TZ_MERGE_SET || op->nelements == 0)
        return TZ_E_BAD_OP;
    for (size_t i = 0; i < op->nelements; i++)
        for (size_t k = 0; k < op->elements[i].n || k == 0; k++)
            if (op->elements[i].n == 0 || op->elements[i].n > 63 ||
                !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.", op->elements[i].p[k]))
                return TZ_E_VALUE;
    if (!ora_may_edit(o, r, f))
        return TZ_E_NO_RIGHT_FIELD;
    return 0;
}

int ora_op_elements(struct oracle *o, const struct tz_op *op, const struct tz_type *t)
{
    struct tz_value in[TZ_FIELDS_MAX];
    bool names[TZ_FIELDS_MAX] = {false};
    bool done = false;
    if (t->append)
        return TZ_E_APPEND_ONLY;
    if (t->local)
        return TZ_E_NO_RIGHT_TYPE;
    struct oracle_row *r = o->target = ora_target(o, t, op->id);
    const struct tz_field *f = NULL;
    if (!r)
        return ora_elements_gone(o, op, t);
    if (!ora_in_area(o, &r->area))
        return TZ_E_UNKNOWN_RECORD;
    int rc = ora_elements_rights(o, op, r, &f);
    if (rc)
        return rc;
    names[f->index] = true;
    in[f->index] = ora_wished(o, op, r->v[f->index]);
    rc = r->deleted ? ora_set_on_deleted(o, r, in, names, &done) : 0;
    if (rc || done)
        return rc;
    change_elements(o, op, r, f->index);
    return r->v[f->index].kind == TZ_V_NULL && ora_required(o, t, f->index) ? TZ_E_REQUIRED : 0;
}
