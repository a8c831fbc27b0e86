/* SPDX-License-Identifier: Apache-2.0 */
/* The steps that a record has taken, read from their records and put in order. */
#include "event_int.h"

#include <stdlib.h>
#include <string.h>

static int trail_room(struct tz_trail *trail)
{
    if (trail->n < trail->cap)
        return 0;
    size_t cap = trail->cap ? trail->cap * 2 : 16;
    struct tz_event *v = tz_arena_calloc(trail->a, cap, sizeof *v);
    if (!v)
        return TZ_E_NOMEM;
    if (trail->n)
        memcpy(v, trail->v, trail->n * sizeof *v);
    trail->v = v;
    trail->cap = cap;
    return 0;
}

struct reading {
    struct tz_trail *trail;
    const struct tz_type *of; /* the record's type */
};

static int take_event(void *ctx, const struct tz_row *row)
{
    struct reading *g = ctx;
    const struct tz_type *e = row->rec.type;
    struct tz_value action = row->rec.v[tz_type_field(e, "action")->index];
    const struct tz_field *actor = tz_type_field(e, "actor");
    struct tz_event ev = {.from = tz_type_state(g->of, row->rec.v[tz_type_field(e, "from_state")->index]),
                          .seq = (uint64_t)row->rec.v[tz_type_field(e, "seq")->index].i};
    if (actor && row->rec.v[actor->index].kind == TZ_V_BLOB)
        memcpy(ev.actor.b, row->rec.v[actor->index].p, TZ_ID_BYTES);
    ev.action = action.kind == TZ_V_TEXT ? tz_arena_dup(g->trail->a, action.p, action.n) : "";
    if (!ev.action || trail_room(g->trail))
        return TZ_E_NOMEM;
    g->trail->v[g->trail->n++] = ev;
    return 1;
}

static int by_seq(const void *a, const void *b)
{
    const struct tz_event *x = a;
    const struct tz_event *y = b;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

int tz_trail_read(struct tz_replica *rep, const struct tz_type *t, struct tz_id item, struct tz_arena *a,
                  struct tz_trail *out, struct tz_err *err)
{
    const struct tz_type *e = t->event_type;
    struct reading g = {out, t};
    *out = (struct tz_trail){.a = a};
    int rc =
        tz_replica_find(rep, &e->fields[e->area_field], e, tz_value_blob(item.b, TZ_ID_BYTES), take_event, &g, err);
    if (!rc && out->n)
        qsort(out->v, out->n, sizeof *out->v, by_seq);
    return rc;
}

int tz_trail_add(struct tz_trail *trail, const char *action, int from, struct tz_id actor)
{
    char *copy = tz_arena_strdup(trail->a, action);
    if (!copy || trail_room(trail))
        return TZ_E_NOMEM;
    trail->v[trail->n] = (struct tz_event){copy, from, actor, tz_trail_seq(trail) + 1};
    trail->n++;
    return 0;
}

uint64_t tz_trail_seq(const struct tz_trail *trail)
{
    return trail->n ? trail->v[trail->n - 1].seq : 0;
}

const struct tz_event *tz_rule_last(const struct tz_trail *trail, const char *action)
{
    for (size_t i = trail->n; i > 0; i--)
        if (strcmp(trail->v[i - 1].action, action) == 0)
            return &trail->v[i - 1];
    return NULL;
}
