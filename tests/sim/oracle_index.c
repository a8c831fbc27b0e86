/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding rows and outcomes in the oracle's lists without walking them. An entry is a position in the list and is
 * believed only after a look at what lies there, so that lists may be cut back behind the index.
 */
#include "oracle_int.h"

#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t h, const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 1099511628211U;
    return h;
}

static void slot_put(struct oindex *x, uint64_t hash, size_t at)
{
    size_t i = (size_t)(hash ^ hash >> 29) & (x->n - 1);
    while (x->v[i])
        i = (i + 1) & (x->n - 1);
    x->v[i] = (uint32_t)at + 1;
    x->used++;
}

/** Room for one more; true when the table was made anew and is empty. */
static bool grown(struct oindex *x)
{
    if (x->used * 2 < x->n)
        return false;
    x->n = x->n ? x->n * 2 : 1024;
    free(x->v);
    x->v = calloc(x->n, sizeof *x->v);
    if (!x->v)
        abort();
    x->used = 0;
    return true;
}

static uint64_t row_hash(const struct tz_type *t, struct tz_id id)
{
    return mix(14695981039346656037U ^ t->id, id.b, TZ_ID_BYTES);
}

void ora_row_add(struct oracle *o, struct oracle_row *r)
{
    ORACLE_GROW(o->rows, o->nrows, o->rows_cap);
    o->rows[o->nrows++] = r;
    size_t from = grown(&o->row_index) ? 0 : o->nrows - 1;
    for (size_t i = from; i < o->nrows; i++)
        slot_put(&o->row_index, row_hash(o->rows[i]->type, o->rows[i]->id), i);
}

void ora_rows_moved(struct oracle *o)
{
    struct oindex *x = &o->row_index;
    if (x->n)
        memset(x->v, 0, x->n * sizeof *x->v);
    x->used = 0;
    for (size_t i = 0; i < o->nrows; i++)
        slot_put(x, row_hash(o->rows[i]->type, o->rows[i]->id), i);
}

struct oracle_row *ora_find(const struct oracle *o, const struct tz_type *t, struct tz_id id)
{
    const struct oindex *x = &o->row_index;
    uint64_t hash = row_hash(t, id);
    for (size_t i = (size_t)(hash ^ hash >> 29); x->n && x->v[i & (x->n - 1)]; i++) {
        size_t at = x->v[i & (x->n - 1)] - 1;
        if (at < o->nrows && o->rows[at]->type == t && tz_id_eq(o->rows[at]->id, id))
            return o->rows[at];
    }
    return NULL;
}

static uint64_t outcome_hash(uint32_t device, uint32_t incarnation, uint64_t seq)
{
    uint64_t key[2] = {(uint64_t)device << 32 | incarnation, seq};
    return mix(14695981039346656037U, key, sizeof key);
}

void ora_outcome_add(struct oracle *o, struct oracle_outcome x)
{
    ORACLE_GROW(o->out, o->nout, o->out_cap);
    o->out[o->nout++] = x;
    size_t from = grown(&o->out_index) ? 0 : o->nout - 1;
    for (size_t i = from; i < o->nout; i++)
        slot_put(&o->out_index, outcome_hash(o->out[i].device, o->out[i].incarnation, o->out[i].seq), i);
}

const struct oracle_outcome *oracle_outcome_of(const struct oracle *o, uint32_t device, uint32_t incarnation,
                                               uint64_t seq)
{
    const struct oindex *x = &o->out_index;
    const struct oracle_outcome *newest = NULL;
    uint64_t hash = outcome_hash(device, incarnation, seq);
    for (size_t i = (size_t)(hash ^ hash >> 29); x->n && x->v[i & (x->n - 1)]; i++) {
        const struct oracle_outcome *y = &o->out[x->v[i & (x->n - 1)] - 1];
        if (y->device == device && y->incarnation == incarnation && y->seq == seq && (!newest || y > newest))
            newest = y;
    }
    return newest;
}
