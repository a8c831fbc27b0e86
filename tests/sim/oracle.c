/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle's state and order: one changeset at a time, all or nothing (or op by op when independent), what hangs
 * behind what, and what a withdrawal or a mended CREATE sets free.
 */
#include "oracle_int.h"

#include <stdlib.h>
#include <string.h>

struct oracle *oracle_new(const struct tz_catalogue *cat)
{
    struct oracle *o = calloc(1, sizeof *o);
    if (!o)
        abort();
    o->cat = o->now = cat;
    o->mark = 1;
    tz_arena_init(&o->arena, (size_t)8 << 30);
    return o;
}

void oracle_catalogue(struct oracle *o, const struct tz_catalogue *now)
{
    o->now = now;
}

bool ora_required(const struct oracle *o, const struct tz_type *t, size_t i)
{
    const struct tz_type *now = tz_catalogue_type_id(o->now, t->id);
    return now && i < now->nfields && now->fields[i].required == TZ_REQ_SAVE && !(now->fields[i].editors & TZ_ED_S) &&
           o->cs->catalogue_version >= o->now->version;
}

void oracle_free(struct oracle *o)
{
    if (!o)
        return;
    tz_arena_deinit(&o->arena);
    free(o->rows);
    free(o->gone);
    free(o->changed);
    free(o->row_index.v);
    free(o->out_index.v);
    free(o->cases);
    free(o->flat_cases);
    free(o->commits);
    free(o->events);
    free(o->blocks);
    free(o->waiting);
    free(o->held);
    free(o->out);
    free(o->undo);
    free(o->forks);
    free(o->formers);
    free(o->places);
    free(o->lates);
    free(o->aliases);
    free(o);
}

void oracle_case_lookup(struct oracle *o, oracle_case_of_fn fn, void *ctx)
{
    o->case_of = fn;
    o->case_ctx = ctx;
}

void oracle_author_lookup(struct oracle *o, oracle_author_fn fn, void *ctx)
{
    o->author = fn;
    o->author_ctx = ctx;
}

void oracle_user(struct oracle *o, struct tz_id user, const char *role, const char *district)
{
    const struct tz_type *t = tz_catalogue_type(o->cat, "user");
    struct oracle_row *r = ora_find(o, t, user);
    if (!r)
        return;
    const struct tz_value is[] = {tz_value_text(role), district[0] ? tz_value_text(district) : tz_value_null()};
    if (!tz_value_dup(&o->arena, is[0], &r->v[tz_type_field(t, "role")->index]) ||
        !tz_value_dup(&o->arena, is[1], &r->v[tz_type_field(t, "district_code")->index]))
        abort();
    r->ver = o->head;
}

static struct oracle_row *add_row(struct oracle *o, const struct tz_type *t, struct tz_id id)
{
    struct oracle_row *r = tz_arena_calloc(&o->arena, 1, sizeof *r);
    r->type = t;
    r->id = id;
    r->v = tz_arena_calloc(&o->arena, t->nfields, sizeof *r->v);
    r->stamp = tz_arena_calloc(&o->arena, t->nfields, sizeof *r->stamp);
    ora_row_add(o, r);
    return r;
}

void oracle_seed(struct oracle *o, const struct tz_type *t, struct tz_id id, const struct tz_value *v, tz_ver ver,
                 const struct tz_area *area)
{
    struct oracle_row *r = add_row(o, t, id);
    for (size_t i = 0; i < t->nfields; i++) {
        if (!tz_value_dup(&o->arena, v[i], &r->v[i]))
            abort();
        r->stamp[i].ver = ver;
    }
    r->born = r->ver = r->life.ver = ver;
    r->area = *area;
}

void oracle_head(struct oracle *o, tz_ver head, tz_hlc eff_max)
{
    o->head = head;
    o->eff_max = eff_max;
    ORACLE_GROW(o->commits, o->ncommits, o->commits_cap);
    o->commits[o->ncommits++] = (struct ocommit){.ver = head, .effective = eff_max, .eff_max = eff_max};
}

tz_ver oracle_head_ver(const struct oracle *o)
{
    return o->head;
}

const struct oracle_row *oracle_find(const struct oracle *o, const struct tz_type *t, struct tz_id id)
{
    const struct oracle_row *r = ora_find(o, t, id);
    return r ? r : ora_gone(o, t, id);
}

const struct oracle_row *const *oracle_changed(const struct oracle *o, tz_ver since, size_t *n)
{
    struct oracle *w = (struct oracle *)(uintptr_t)o; /* the list is only for the reader */
    *n = 0;
    for (size_t i = 0; i < o->nrows; i++)
        if (o->rows[i]->ver > since) {
            ORACLE_GROW(w->changed, *n, w->changed_cap);
            w->changed[(*n)++] = o->rows[i];
        }
    return w->changed;
}

const struct oracle_case *oracle_cases(const struct oracle *o, size_t *n)
{
    struct oracle *w = (struct oracle *)(uintptr_t)o;
    free(w->flat_cases);
    w->flat_cases = malloc((o->ncases ? o->ncases : 1) * sizeof *w->flat_cases);
    if (!w->flat_cases)
        abort();
    for (size_t i = 0; i < o->ncases; i++)
        w->flat_cases[i] = *o->cases[i];
    *n = o->ncases;
    return w->flat_cases;
}

const struct oracle_case *oracle_case_find(const struct oracle *o, const struct tz_type *t, struct tz_id id,
                                           const char *subject, uint32_t generation)
{
    for (size_t i = 0; i < o->ncases; i++) {
        const struct oracle_case *c = o->cases[i];
        if (c->type == t && tz_id_eq(c->id, id) && c->generation == generation && strcmp(c->subject, subject) == 0)
            return c;
    }
    return NULL;
}

const struct oracle_outcome *oracle_outcomes(const struct oracle *o, size_t *n)
{
    *n = o->nout;
    return o->out;
}

/* ---- what hangs ---- */

typedef bool (*each_fn)(struct oracle *o, const struct tz_type *t, struct tz_id id, uint32_t subject, void *ctx);

static bool makes(enum tz_op_kind k)
{
    return k == TZ_OP_CREATE || k == TZ_OP_APPEND || k == TZ_OP_RESTORE;
}

static uint32_t subject_of(const struct tz_type *t, size_t i)
{
    const struct tz_field *f = &t->fields[i];
    return f->group ? t->fields[t->groups[f->group - 1].as_of].id : f->id;
}

/** What an op writes: the record as a whole when it makes it, else the fields and groups it names. */
static bool each_write(struct oracle *o, const struct tz_op *op, each_fn fn, void *ctx)
{
    const struct tz_type *t = tz_catalogue_type_id(o->cat, op->type);
    struct tz_record rec;
    bool hit = makes(op->kind) && t && fn(o, t, op->id, 0, ctx);
    const struct tz_field *set = t ? tz_type_field_id(t, op->field) : NULL;
    if (set && (op->kind == TZ_OP_ADD || op->kind == TZ_OP_REMOVE))
        return fn(o, t, op->id, subject_of(t, set->index), ctx);
    if (t && t->nsteps && op->kind == TZ_OP_EVENT) /* the next step builds on this one */
        return fn(o, t, op->id, t->fields[t->state_field].id, ctx);
    if (!t || op->kind != TZ_OP_SET || tz_record_decode(t, op->values, &o->arena, &rec, NULL))
        return hit;
    for (size_t i = 0; i < t->nfields; i++) {
        bool named = rec.v[i].kind != TZ_V_NULL;
        for (size_t k = 0; k < op->ncleared; k++)
            named = named || op->cleared[k] == t->fields[i].id;
        if (named)
            hit |= fn(o, t, op->id, subject_of(t, i), ctx);
    }
    return hit;
}

/** What must exist for an op: its record, and what its values point at. */
static bool each_need(struct oracle *o, const struct tz_op *op, each_fn fn, void *ctx)
{
    const struct tz_type *t = tz_catalogue_type_id(o->cat, op->type);
    struct tz_record rec;
    if (!t)
        return false;
    bool hit = op->kind != TZ_OP_CREATE && op->kind != TZ_OP_APPEND && fn(o, t, op->id, 0, ctx);
    if (!op->values.n || tz_record_decode(t, op->values, &o->arena, &rec, NULL))
        return hit;
    for (size_t i = 0; i < t->nfields; i++) {
        const struct tz_field *f = &t->fields[i];
        if ((f->ftype != TZ_FT_REF && f->ftype != TZ_FT_REF_ANY) || rec.v[i].kind != TZ_V_BLOB)
            continue;
        const struct tz_type *target = ora_ref_type(o, t, rec.v, f);
        struct tz_id id;
        memcpy(id.b, rec.v[i].p, TZ_ID_BYTES);
        if (target)
            hit |= fn(o, target, id, 0, ctx);
    }
    return hit;
}

/** Is (incarnation, seq) a number of the line that the present changeset goes on? */
static bool is_own(const struct oracle *o, uint32_t incarnation, uint64_t seq)
{
    return oracle_owner(o, o->cs->device, o->cs->incarnation, seq) == incarnation;
}

/** What the present changeset takes back does not stand in its way. */
static bool takes_back(const struct oracle *o, uint64_t seq)
{
    for (size_t i = 0; i < o->cs->nops; i++)
        if (o->cs->ops[i].kind == TZ_OP_WITHDRAW && o->cs->ops[i].target_seq == seq)
            return true;
    return false;
}

static bool find_block(struct oracle *o, const struct tz_type *t, struct tz_id id, uint32_t subject, void *ctx)
{
    uint64_t *first = ctx;
    bool hit = false;
    for (size_t i = 0; i < o->nblocks; i++) {
        const struct oblock *b = &o->blocks[i];
        if (b->device != o->cs->device || b->type != t || !tz_id_eq(b->id, id) || b->subject != subject ||
            b->seq >= o->cs->seq || !is_own(o, b->incarnation, b->seq) || takes_back(o, b->seq))
            continue;
        hit = true;
        if (!*first || b->seq < *first)
            *first = b->seq;
    }
    return hit;
}

static bool add_block(struct oracle *o, const struct tz_type *t, struct tz_id id, uint32_t subject, void *ctx)
{
    (void)ctx;
    ORACLE_GROW(o->blocks, o->nblocks, o->blocks_cap);
    o->blocks[o->nblocks++] = (struct oblock){o->cs->device, o->cs->seq, o->cs->incarnation, t, id, subject};
    return true;
}

/** The op did not happen: what it would have written hangs, unless it would have made what is there already. */
static void hang(struct oracle *o, const struct tz_op *op)
{
    const struct tz_type *t = tz_catalogue_type_id(o->cat, op->type);
    bool anew = op->kind == TZ_OP_CREATE || op->kind == TZ_OP_APPEND;
    if (!t || !anew || tz_id_device(op->id) != o->cs->device || !ora_find(o, t, op->id))
        (void)each_write(o, op, add_block, NULL);
}

static uint64_t blocked_by(struct oracle *o)
{
    uint64_t first = 0;
    for (size_t i = 0; i < o->cs->nops; i++) {
        const struct tz_op *op = &o->cs->ops[i];
        if (op->kind == TZ_OP_WITHDRAW)
            continue;
        (void)each_need(o, op, find_block, &first);
        if (op->kind != TZ_OP_CREATE && op->kind != TZ_OP_APPEND)
            (void)each_write(o, op, find_block, &first);
    }
    return first;
}

static bool drop_blocks_of(struct oracle *o, uint64_t seq)
{
    size_t n = 0;
    for (size_t i = 0; i < o->nblocks; i++)
        if (o->blocks[i].device != o->cs->device || o->blocks[i].seq != seq ||
            !is_own(o, o->blocks[i].incarnation, seq))
            o->blocks[n++] = o->blocks[i];
    bool any = n != o->nblocks;
    o->nblocks = n;
    return any;
}

/** An applied CREATE mends what earlier ones of the same id left hanging. */
static bool mend(struct oracle *o, const struct oracle_outcome *out)
{
    bool any = false;
    for (size_t i = 0; i < o->cs->nops; i++) {
        const struct tz_op *op = &o->cs->ops[i];
        if (!makes(op->kind) || out->ops[i] == TZ_OUT_REFUSED)
            continue;
        size_t n = 0;
        for (size_t k = 0; k < o->nblocks; k++) {
            const struct oblock *b = &o->blocks[k];
            if (b->device != o->cs->device || b->type->id != op->type || !tz_id_eq(b->id, op->id) || b->subject != 0 ||
                b->seq >= o->cs->seq)
                o->blocks[n++] = *b;
        }
        any = any || n != o->nblocks;
        o->nblocks = n;
    }
    return any;
}

/* ---- judging ---- */

static struct odevice *device_of(struct oracle *o, uint32_t number)
{
    for (size_t i = 0; i < o->ndevices; i++)
        if (o->devices[i].number == number)
            return &o->devices[i];
    if (o->ndevices == sizeof o->devices / sizeof *o->devices)
        abort();
    o->devices[o->ndevices] = (struct odevice){.number = number};
    return &o->devices[o->ndevices++];
}

static tz_hlc at_least(tz_hlc a, tz_hlc b)
{
    return a > b ? a : b;
}

/** The clock's correction, its clamp, then what must come before. */
static tz_hlc effective_of(struct oracle *o, struct odevice *d)
{
    tz_ver base = 0;
    tz_hlc base_eff = 0;
    for (size_t i = 0; i < o->cs->nops; i++)
        base = at_least(base, o->cs->ops[i].base_ver);
    for (size_t i = 0; i < o->ncommits; i++)
        if (o->commits[i].ver <= base)
            base_eff = at_least(base_eff, o->commits[i].eff_max);
    tz_hlc t = tz_hlc_of(tz_hlc_ms(o->cs->hlc) + o->who.offset_ms, (uint16_t)(o->cs->hlc & 0xFFFF));
    tz_hlc latest = tz_hlc_of(o->who.received_ms + 120000, 0);
    if (t > latest)
        t = latest;
    return at_least(t, at_least(d->last_effective + 1, base_eff + 1));
}

static struct oracle_outcome *new_outcome(struct oracle *o)
{
    size_t n = o->cs->nops ? o->cs->nops : 1;
    struct oracle_outcome x = {.device = o->cs->device,
                               .incarnation = o->cs->incarnation,
                               .seq = o->cs->seq,
                               .nops = o->cs->nops,
                               .ops = tz_arena_calloc(&o->arena, n, sizeof *x.ops),
                               .codes = tz_arena_calloc(&o->arena, n, sizeof *x.codes)};
    ora_outcome_add(o, x);
    return &o->out[o->nout - 1];
}

struct kept {
    size_t rows, cases, undo, lates, naliases, events;
    struct oalias *aliases; /* as they were; what they point to is never changed in place. Owned: there may be many */
    bool wrote;
};

static struct kept keep(struct oracle *o)
{
    struct kept k = {o->nrows, o->ncases, o->nundo, o->nlates, o->naliases, o->nevents, NULL, o->wrote};
    o->mark++;
    k.aliases = malloc((o->naliases + 1) * sizeof *o->aliases);
    if (!k.aliases)
        abort();
    if (o->naliases)
        memcpy(k.aliases, o->aliases, o->naliases * sizeof *o->aliases);
    return k;
}

static void keep_done(struct kept *k)
{
    free(k->aliases);
    k->aliases = NULL;
}

static void go_back(struct oracle *o, struct kept k)
{
    ora_undo_to(o, k.undo);
    o->nrows = k.rows;
    o->ncases = k.cases;
    o->nlates = k.lates;
    o->nevents = k.events;
    if (k.naliases)
        memcpy(o->aliases, k.aliases, k.naliases * sizeof *o->aliases);
    o->naliases = k.naliases;
    o->nevents = k.events;
    o->wrote = k.wrote;
}

static void judge_one(struct oracle *o, struct oracle_outcome *x, size_t i)
{
    const struct tz_op *op = &o->cs->ops[i];
    o->superseded = false;
    o->base_ver = op->base_ver <= o->head ? op->base_ver : 0;
    o->base_seq = op->base_seq < o->cs->seq ? op->base_seq : o->cs->seq;
    o->target = NULL;
    o->round += i == 0 || o->cs->independent;
    struct kept k = keep(o);
    x->codes[i] = o->who.known || op->kind == TZ_OP_WITHDRAW ? ora_judge_op(o, op) : TZ_E_USER_DISABLED;
    if (!x->codes[i])
        ora_own_claims(o);
    x->ops[i] = x->codes[i] ? TZ_OUT_REFUSED : o->superseded ? TZ_OUT_SUPERSEDED : TZ_OUT_APPLIED;
    if (x->codes[i])
        go_back(o, k);
    keep_done(&k);
    if (!x->codes[i])
        return;
    o->mark++;
    if (ora_late(o, op, x->codes[i]))
        x->ops[i] = TZ_OUT_UNDER_REVIEW;
}

static void judge_all(struct oracle *o, struct oracle_outcome *x)
{
    struct kept whole = keep(o);
    size_t refused = 0;
    for (size_t i = 0; i < x->nops; i++) {
        struct kept k = {0};
        if (o->cs->independent)
            k = keep(o);
        judge_one(o, x, i);
        if (x->ops[i] != TZ_OUT_REFUSED) {
            if (o->cs->independent || i + 1 == x->nops)
                ora_check_claims(o);
            keep_done(&k);
            continue;
        }
        refused++;
        if (!o->cs->independent)
            break;
        go_back(o, k);
        keep_done(&k);
    }
    bool all = refused && (!o->cs->independent || refused == x->nops);
    if (all)
        go_back(o, whole);
    keep_done(&whole);
    x->outcome = all ? TZ_OUT_REFUSED : TZ_OUT_APPLIED;
    for (size_t i = 0; i < x->nops; i++) {
        if (all)
            x->ops[i] = TZ_OUT_REFUSED;
        else if (x->ops[i] == TZ_OUT_UNDER_REVIEW || (x->ops[i] == TZ_OUT_SUPERSEDED && x->outcome == TZ_OUT_APPLIED))
            x->outcome = x->ops[i];
    }
}

/** Records that this commit moved: where they were before. */
static void note_places(struct oracle *o)
{
    for (size_t i = 0; i < o->nundo; i++) {
        const struct oundo *u = &o->undo[i];
        bool first = u->row != NULL;
        for (size_t k = 0; k < i && first; k++)
            first = o->undo[k].row != u->row;
        if (!first || tz_area_eq(&u->was.area, &u->row->area))
            continue;
        ORACLE_GROW(o->places, o->nplaces, o->places_cap);
        o->places[o->nplaces++] = (struct oplace){u->row->type, u->row->id, o->me.ver, u->was.area};
    }
}

/** @effective: of one that waited, 0 otherwise. */
static void judge_now(struct oracle *o, tz_hlc effective, bool *released)
{
    struct odevice *d = device_of(o, o->cs->device);
    struct oracle_outcome *x = new_outcome(o);
    o->nundo = 0;
    o->wrote = false;
    o->waited = effective != 0 && !o->settles;
    o->me = (struct ocommit){.ver = o->head + 1,
                             .device = o->cs->device,
                             .incarnation = o->cs->incarnation,
                             .seq = o->cs->seq,
                             .user = o->cs->user,
                             .effective = effective ? effective : effective_of(o, d)};
    if (o->who.known || o->who.past.known) {
        judge_all(o, x);
    } else {
        x->outcome = TZ_OUT_REFUSED;
        for (size_t i = 0; i < x->nops; i++)
            x->ops[i] = TZ_OUT_REFUSED;
    }
    d->last_effective = at_least(d->last_effective, o->me.effective);
    if (x->outcome != TZ_OUT_REFUSED && o->wrote) {
        x->ver = ++o->head;
        o->eff_max = at_least(o->eff_max, o->me.effective);
        o->me.eff_max = o->eff_max;
        ORACLE_GROW(o->commits, o->ncommits, o->commits_cap);
        o->commits[o->ncommits++] = o->me;
        note_places(o);
    }
    if (x->outcome != TZ_OUT_REFUSED)
        ora_twin_note(o);
    for (size_t i = 0; i < x->nops; i++)
        if (x->ops[i] == TZ_OUT_REFUSED)
            hang(o, &o->cs->ops[i]);
    *released = mend(o, x) || *released;
}

/** Another copy has brought it: it has that one's answer. */
static bool repeat(struct oracle *o)
{
    const struct oracle_outcome *twin = ora_twin(o);
    if (!twin)
        return false;
    struct oracle_outcome was = *twin;
    struct oracle_outcome *x = new_outcome(o);
    x->outcome = was.outcome;
    x->ver = was.ver;
    x->repeated = true;
    for (size_t i = 0; i < x->nops && i < was.nops; i++) {
        x->ops[i] = was.ops[i];
        x->codes[i] = was.codes[i];
    }
    return true;
}

/** The order of the list: by device, and of one in the order in which they are looked at, an older installation's
 * first. */
static bool comes_after(const struct tz_changeset *a, const struct tz_changeset *b)
{
    if (a->device != b->device)
        return a->device > b->device;
    return a->incarnation != b->incarnation ? a->incarnation > b->incarnation : a->seq > b->seq;
}

static void put_aside(struct oracle *o, uint64_t behind)
{
    struct oracle_outcome *x = new_outcome(o);
    x->outcome = TZ_OUT_WAITING;
    x->blocked_by = behind;
    for (size_t i = 0; i < x->nops; i++) {
        x->ops[i] = TZ_OUT_WAITING;
        hang(o, &o->cs->ops[i]);
    }
    struct odevice *d = device_of(o, o->cs->device);
    d->last_effective = effective_of(o, d);
    ORACLE_GROW(o->waiting, o->nwaiting, o->waiting_cap);
    size_t at = o->nwaiting++;
    for (; at > 0 && comes_after(&o->waiting[at - 1].cs, o->cs); at--)
        o->waiting[at] = o->waiting[at - 1];
    o->waiting[at] = (struct owaiting){o->who, *o->cs, d->last_effective};
}

static void drop_waiting(struct oracle *o, size_t i)
{
    memmove(&o->waiting[i], &o->waiting[i + 1], (o->nwaiting - i - 1) * sizeof *o->waiting);
    o->nwaiting--;
}

static void withdraw(struct oracle *o, uint64_t seq, bool *released)
{
    for (size_t i = 0; i < o->nwaiting; i++) {
        const struct tz_changeset *w = &o->waiting[i].cs;
        if (w->device != o->cs->device || w->seq != seq || !is_own(o, w->incarnation, seq))
            continue;
        const struct tz_changeset *mine = o->cs;
        struct tz_changeset gone = o->waiting[i].cs;
        drop_waiting(o, i);
        o->cs = &gone;
        struct oracle_outcome *x = new_outcome(o);
        x->outcome = TZ_OUT_WITHDRAWN;
        for (size_t k = 0; k < x->nops; k++)
            x->ops[k] = TZ_OUT_WITHDRAWN;
        o->cs = mine;
        break;
    }
    if (seq < o->cs->seq && drop_blocks_of(o, seq))
        *released = true;
}

/** The present changeset waits on, maybe for another than before. */
static void waits_for(struct oracle *o, uint64_t behind)
{
    for (size_t i = o->nout; i > 0; i--) {
        struct oracle_outcome *x = &o->out[i - 1];
        if (x->device != o->cs->device || x->incarnation != o->cs->incarnation || x->seq != o->cs->seq)
            continue;
        x->blocked_by = behind;
        return;
    }
}

/** What it takes back is taken back when it happens itself: not when it waits, nor when it is refused. True when it
 * took something back. */
static bool judge_and_take_back(struct oracle *o, tz_hlc effective, bool *released)
{
    size_t waiting = o->nwaiting;
    bool any = false;
    judge_now(o, effective, released);
    bool happened = o->out[o->nout - 1].outcome != TZ_OUT_REFUSED;
    for (size_t i = 0; i < o->cs->nops && happened; i++)
        if (o->cs->ops[i].kind == TZ_OP_WITHDRAW)
            withdraw(o, o->cs->ops[i].target_seq, &any);
    *released = *released || any;
    return any || o->nwaiting != waiting;
}

/** Waiting ones of this device, in their order; each only waits for earlier ones, so one pass is enough unless one of
 * them takes something back. */
static void release(struct oracle *o)
{
    for (size_t i = 0; i < o->nwaiting;) {
        struct owaiting w = o->waiting[i];
        if (w.cs.device != o->cs->device) {
            i++;
            continue;
        }
        const struct tz_changeset *mine = o->cs;
        o->cs = &w.cs;
        o->who = w.who;
        if (o->author)
            o->author(o->author_ctx, &w.cs, &o->who);
        if (repeat(o)) {
            drop_waiting(o, i);
            (void)drop_blocks_of(o, w.cs.seq);
            o->cs = mine;
            continue;
        }
        uint64_t behind = blocked_by(o);
        if (behind) {
            waits_for(o, behind);
            i++;
        } else {
            bool more = false;
            drop_waiting(o, i);
            (void)drop_blocks_of(o, w.cs.seq);
            if (judge_and_take_back(o, w.effective, &more))
                i = 0;
        }
        o->cs = mine;
    }
}

/* ---- by the administrator ---- */

void oracle_hold(struct oracle *o, const struct oracle_author *who, const struct tz_changeset *cs)
{
    o->who = *who;
    o->cs = cs;
    ORACLE_GROW(o->held, o->nheld, o->held_cap);
    o->held[o->nheld++] = (struct owaiting){*who, *cs, effective_of(o, device_of(o, cs->device))};
    o->cs = NULL;
}

void oracle_drop_held(struct oracle *o, uint32_t device, uint64_t seq)
{
    size_t n = 0;
    for (size_t i = 0; i < o->nheld; i++)
        if (o->held[i].cs.device != device || o->held[i].cs.seq != seq)
            o->held[n++] = o->held[i];
    o->nheld = n;
}

static bool take_out(struct oracle *o, uint32_t device, uint64_t seq, struct owaiting *out)
{
    for (size_t i = 0; i < o->nwaiting; i++)
        if (o->waiting[i].cs.device == device && o->waiting[i].cs.seq == seq) {
            *out = o->waiting[i];
            drop_waiting(o, i);
            return true;
        }
    for (size_t i = 0; i < o->nheld; i++)
        if (o->held[i].cs.device == device && o->held[i].cs.seq == seq) {
            *out = o->held[i];
            oracle_drop_held(o, device, seq);
            return true;
        }
    return false;
}

static void discard(struct oracle *o, tz_hlc effective)
{
    struct odevice *d = device_of(o, o->cs->device);
    struct oracle_outcome *x = new_outcome(o);
    x->outcome = TZ_OUT_REFUSED;
    for (size_t i = 0; i < x->nops; i++) {
        x->ops[i] = TZ_OUT_REFUSED;
        hang(o, &o->cs->ops[i]);
    }
    d->last_effective = at_least(d->last_effective, effective);
}

bool oracle_settle(struct oracle *o, uint32_t device, uint64_t seq, bool judge)
{
    struct owaiting w;
    bool released = false;
    if (!take_out(o, device, seq, &w))
        return false;
    o->cs = &w.cs;
    o->who = w.who;
    if (o->author)
        o->author(o->author_ctx, &w.cs, &o->who);
    (void)drop_blocks_of(o, seq);
    if (judge) {
        o->settles = true;
        (void)judge_and_take_back(o, w.effective, &released);
        o->settles = false;
    } else {
        discard(o, w.effective);
    }
    if (released)
        release(o);
    o->cs = NULL;
    return true;
}

void oracle_apply(struct oracle *o, const struct oracle_author *who, const struct tz_changeset *cs, size_t *first)
{
    bool released = false;
    *first = o->nout;
    o->who = *who;
    o->cs = cs;
    if (repeat(o)) {
        o->cs = NULL;
        return;
    }
    uint64_t behind = blocked_by(o);
    if (behind)
        put_aside(o, behind);
    else
        (void)judge_and_take_back(o, 0, &released);
    if (released)
        release(o);
    o->cs = NULL;
}
