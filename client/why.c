/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of one field, oldest first, each with what decided about it when it arrived.
 *
 *   the author had seen what stood (its version ≤ base_ver, or own with seq ≤ base_seq)?  ──> SAW
 *   the same as what stood?                                                               ──> SAME
 *   a candidate by this author in a case about the field, and the op lost something?      ──> LOST, by its rule
 *   what stood is a candidate there, or the op lost nothing?                              ──> STOOD
 *   anything else                                                                         ──> UNKNOWN
 *
 * Invariants
 *  1. These are the rules of common/core/MERGE.md read backwards, from what was kept: outcomes, bases, cases, stamps.
 * Nothing is merged again here. A value may stand at first and be beaten later: its rule is that of its arrival, its
 * case the one that holds it since.
 *  2. Which value stands is the server's word (the stamp) where it was asked; else the newest known value that equals
 * the record's. Where neither finds one, what stands is listed by itself.
 *  3. Values that only a case knows are put in by their version; of one that was closed long ago the rule alone, the
 * value is in the server's log.
 */
#include "why.h"
#include "office_int.h"

#include <string.h>

struct why_case {
    struct tz_id id;
    struct tz_row *row;
    struct tz_case_view view;
    struct tz_case_author *who; /* of what stands, then of each candidate */
    struct why_case *next;
};
struct tz_why_cases {
    struct why_case *first;
};

const char *tz_why_rule_name(enum tz_why_rule r)
{
    static const char *const names[] = {"unknown", "first",   "saw",      "same",   "stood",   "lost",    "resolved",
                                        "merged",  "revived", "elements", "server", "not_yet", "refused", "review"};
    return (size_t)r < sizeof names / sizeof *names ? names[r] : "";
}

/* ---- cases ---- */

struct load {
    struct tz_office *o;
    const struct tz_changes *c;
    struct tz_arena *a;
    struct tz_why_cases *out;
};

static int take_case(void *ctx, const struct tz_row *found)
{
    struct load *l = ctx;
    struct tz_err ignored = {0};
    struct why_case *k = tz_arena_calloc(l->a, 1, sizeof *k);
    struct tz_row *row = tz_arena_alloc(l->a, sizeof *row);
    if (!k || !row)
        return TZ_E_NOMEM;
    k->id = found->id;
    k->row = row;
    /* again by id: what the search hands out is gone after this call */
    int rc = tz_office_read_confirmed(l->o, found->rec.type, found->id, l->a, row, &ignored);
    if (rc == 1 && tz_case_read(l->o, row, &k->view, &ignored) == 0 && k->view.type == l->c->type) {
        k->who = tz_arena_calloc(l->a, 1 + k->view.ncandidates, sizeof *k->who);
        if (!k->who)
            return TZ_E_NOMEM;
        tz_case_authors(row, k->who, 1 + k->view.ncandidates);
        k->next = l->out->first;
        l->out->first = k;
    }
    return rc < 0 ? rc : 1;
}

int tz_why_cases_load(struct tz_office *o, const struct tz_changes *c, struct tz_arena *a, struct tz_why_cases **out,
                      struct tz_err *err)
{
    const struct tz_type *t = tz_catalogue_type(o->cat, "case");
    const struct tz_field *target = t ? tz_type_field(t, "target_id") : NULL;
    *out = tz_arena_calloc(a, 1, sizeof **out);
    struct load l = {o, c, a, *out};
    if (!*out)
        return tz_office_nomem(err);
    int rc = target ? tz_replica_find(o->rep, target, t, tz_value_blob(c->id.b, TZ_ID_BYTES), take_case, &l, err) : 0;
    return rc == TZ_E_NOMEM && err && !err->code ? tz_office_nomem(err) : rc;
}

static bool about(const struct why_case *k, const struct tz_field *f)
{
    return f ? !k->view.life && k->view.names[f->index] : k->view.life;
}

static bool wrote(const struct tz_case_author *c, const struct tz_why_author *a)
{
    return c->known && c->device == a->device && c->incarnation == a->incarnation && c->seq == a->seq;
}

/** The newest case about @f with a candidate by @a; its rule in @rule. */
static const struct why_case *candidate_of(const struct tz_why_cases *cases, const struct tz_field *f,
                                           const struct tz_why_author *a, struct tz_case_author *who)
{
    const struct why_case *found = NULL;
    for (const struct why_case *k = cases->first; k; k = k->next)
        for (size_t i = 1; about(k, f) && i <= k->view.ncandidates; i++) {
            if (!wrote(&k->who[i], a) || (found && found->view.generation > k->view.generation))
                continue;
            found = k;
            *who = k->who[i];
        }
    return found;
}

/* ---- values ---- */

struct walk {
    const struct tz_changes *c;
    const struct tz_why_cases *cases;
    const struct tz_field *f; /* NULL: life */
    struct tz_arena *a;
    struct tz_why *out;
    bool have_prev; /* what stood before is known: */
    struct tz_value prev;
    struct tz_why_author by;
};

static struct tz_why_value *value_add(struct walk *w, size_t at)
{
    struct tz_why *y = w->out;
    if (y->n == y->cap) {
        size_t cap = y->cap ? y->cap * 2 : 16;
        struct tz_why_value *v = tz_arena_alloc(w->a, cap * sizeof *v);
        if (!v)
            return NULL;
        if (y->n)
            memcpy(v, y->v, y->n * sizeof *v);
        y->v = v;
        y->cap = cap;
    }
    memmove(y->v + at + 1, y->v + at, (y->n - at) * sizeof *y->v);
    y->n++;
    memset(&y->v[at], 0, sizeof y->v[at]);
    return &y->v[at];
}

static struct tz_why_author author_of(const struct tz_change *ch)
{
    return (struct tz_why_author){.device = ch->e.device,
                                  .incarnation = ch->e.incarnation,
                                  .seq = ch->e.seq,
                                  .user = ch->e.user,
                                  .ver = ch->e.ver,
                                  .effective_ms = ch->e.effective ? tz_hlc_ms(ch->e.effective) : 0};
}

/** The op made the record; not another one, which is part of it. */
static bool made_it(const struct tz_history_op *h)
{
    return (h->op.kind == TZ_OP_CREATE || h->op.kind == TZ_OP_APPEND) && !h->as_other;
}

/** Does the op say something about the field? Then what. */
static bool says(const struct walk *w, const struct tz_change *ch, struct tz_value *out)
{
    const struct tz_op *op = &ch->h.op;
    bool makes = made_it(&ch->h);
    *out = tz_value_null();
    if (ch->e.erased)
        return false;
    if (!w->f) {
        *out = tz_value_int(op->kind == TZ_OP_DELETE || (op->kind == TZ_OP_RESOLVE && op->deleted));
        return makes || op->kind == TZ_OP_DELETE || op->kind == TZ_OP_RESTORE ||
               (op->kind == TZ_OP_RESOLVE && op->field == TZ_FIELD_DELETED);
    }
    if (w->c->body != w->c->type || !ch->names[w->f->index]) /* decisions say nothing about the case's own fields */
        return false;
    *out = ch->rec->v[w->f->index];
    return true;
}

static bool saw_prev(const struct walk *w, const struct tz_change *ch)
{
    const struct tz_op *op = &ch->h.op;
    if (w->by.ver && w->by.ver <= op->base_ver)
        return true;
    return w->by.seq && w->by.device == ch->e.device && w->by.incarnation == ch->e.incarnation &&
           w->by.seq <= op->base_seq;
}

/** Of two as-of dates the later stands, and makes no case. */
static bool is_as_of(const struct walk *w)
{
    return w->f && w->f->group && w->c->body->groups[w->f->group - 1].as_of == w->f->index;
}

static bool later_date(struct tz_value a, struct tz_value b)
{
    uint32_t day[2];
    unsigned precision[2];
    tz_date_key(a, &day[0], &precision[0]);
    tz_date_key(b, &day[1], &precision[1]);
    return day[0] != day[1] ? day[0] > day[1] : precision[0] > precision[1];
}

static void stood(struct walk *w, const struct tz_why_value *v)
{
    w->have_prev = true;
    w->prev = v->value;
    w->by = v->author;
}

static const char *keep(struct walk *w, const char *rule)
{
    return *rule ? tz_arena_strdup(w->a, rule) : NULL;
}

/** Concurrent with what stood, and different. */
static void judge_concurrent(struct walk *w, struct tz_why_value *v)
{
    struct tz_case_author own;
    struct tz_case_author other;
    bool lost_some = v->change->h.result.outcome == TZ_OUT_SUPERSEDED;
    const struct why_case *mine = candidate_of(w->cases, w->f, &v->author, &own);
    const struct why_case *theirs = w->have_prev ? candidate_of(w->cases, w->f, &w->by, &other) : NULL;
    if (is_as_of(w)) {
        v->rule = later_date(v->value, w->prev) ? TZ_WHY_STOOD : TZ_WHY_LOST;
        v->case_rule = "as_of";
    } else if (lost_some && mine) {
        v->rule = TZ_WHY_LOST;
        v->case_rule = keep(w, own.rule);
        v->case_id = mine->id;
    } else if (theirs || !lost_some) {
        v->rule = w->have_prev ? TZ_WHY_STOOD : TZ_WHY_UNKNOWN;
        v->case_rule = theirs ? keep(w, other.rule) : NULL;
        v->case_id = theirs ? theirs->id : (struct tz_id){{0}};
    }
    if (v->rule == TZ_WHY_STOOD || (v->rule == TZ_WHY_UNKNOWN && !lost_some))
        stood(w, v);
}

static void judge_set(struct walk *w, struct tz_why_value *v)
{
    if (w->have_prev && saw_prev(w, v->change)) {
        v->rule = TZ_WHY_SAW;
        stood(w, v);
    } else if (w->have_prev && tz_value_eq(w->prev, v->value)) {
        v->rule = TZ_WHY_SAME;
    } else {
        judge_concurrent(w, v);
    }
}

static void judge_applied(struct walk *w, struct tz_why_value *v)
{
    const struct tz_history_op *h = &v->change->h;
    switch (h->op.kind) {
    case TZ_OP_CREATE:
    case TZ_OP_APPEND:
        if (!made_it(h)) {
            judge_set(w, v);
            break;
        }
        v->rule = TZ_WHY_FIRST;
        stood(w, v);
        break;
    case TZ_OP_RESOLVE:
        v->rule = h->result.outcome == TZ_OUT_SUPERSEDED ? TZ_WHY_LOST : TZ_WHY_RESOLVED;
        v->case_rule = v->rule == TZ_WHY_LOST ? "resolved" : NULL;
        v->case_id = h->case_id;
        if (v->rule == TZ_WHY_RESOLVED)
            stood(w, v);
        break;
    case TZ_OP_ADD:
    case TZ_OP_REMOVE:
        v->rule = TZ_WHY_ELEMENTS;
        break;
    case TZ_OP_EVENT: /* only a step that saw what stands is applied */
        v->rule = TZ_WHY_SAW;
        stood(w, v);
        break;
    case TZ_OP_NONE:
    case TZ_OP_SET:
    case TZ_OP_VOID:
    case TZ_OP_DELETE:
    case TZ_OP_RESTORE:
    case TZ_OP_MERGE:
    case TZ_OP_UNMERGE:
    case TZ_OP_WITHDRAW:
    default:
        judge_set(w, v);
        break;
    }
}

static void judge(struct walk *w, struct tz_why_value *v)
{
    struct tz_case_author who;
    switch (v->change->h.result.outcome) {
    case TZ_OUT_APPLIED:
    case TZ_OUT_SUPERSEDED:
        judge_applied(w, v);
        break;
    case TZ_OUT_REFUSED:
    case TZ_OUT_WITHDRAWN:
        v->rule = TZ_WHY_REFUSED;
        return;
    case TZ_OUT_UNDER_REVIEW:
        v->rule = TZ_WHY_REVIEW;
        break;
    case TZ_OUT_NONE:
    case TZ_OUT_WAITING:
    case TZ_OUT_HELD:
    default:
        v->rule = TZ_WHY_NOT_YET;
        return;
    }
    const struct why_case *k = tz_id_is_zero(v->case_id) ? candidate_of(w->cases, w->f, &v->author, &who) : NULL;
    if (k) { /* beaten since */
        v->case_id = k->id;
        v->case_rule = keep(w, who.rule);
    }
}

static bool one_changeset(const struct tz_change *a, const struct tz_change *b)
{
    return a->e.device == b->e.device && a->e.incarnation == b->e.incarnation && a->e.seq == b->e.seq;
}

/** A creation that leaves the field empty: whoever saw the record saw that. */
static void begin_empty(struct walk *w, const struct tz_change *ch)
{
    const struct tz_history_op *h = &ch->h;
    if (ch->e.erased || !made_it(h) || (h->result.outcome != TZ_OUT_APPLIED && h->result.outcome != TZ_OUT_SUPERSEDED))
        return;
    const struct tz_why_value none = {.value = tz_value_null(), .author = author_of(ch)};
    stood(w, &none);
}

/** Oldest first; ops of one changeset in their own order. */
static int walk_changes(struct walk *w)
{
    for (size_t end = w->c->n; end > 0;) {
        size_t start = end - 1;
        while (start > 0 && one_changeset(&w->c->v[start - 1], &w->c->v[end - 1]))
            start--;
        for (size_t i = start; i < end; i++) {
            struct tz_value value;
            if (!says(w, &w->c->v[i], &value)) {
                begin_empty(w, &w->c->v[i]);
                continue;
            }
            struct tz_why_value *v = value_add(w, w->out->n);
            if (!v)
                return TZ_E_NOMEM;
            v->value = value;
            v->change = &w->c->v[i];
            v->author = author_of(v->change);
            judge(w, v);
        }
        end = start;
    }
    return 0;
}

/* ---- what only cases know ---- */

static bool listed(const struct tz_why *y, const struct tz_case_author *c)
{
    for (size_t i = 0; i < y->n; i++)
        if (wrote(c, &y->v[i].author))
            return true;
    return false;
}

/** What stands by a change that is known needs no case to say so. */
static bool known_change(const struct tz_changes *c, const struct tz_case_author *a)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->v[i].e.device == a->device && c->v[i].e.incarnation == a->incarnation && c->v[i].e.seq == a->seq)
            return true;
    return false;
}

static int take_case_value(struct walk *w, const struct why_case *k, int candidate)
{
    const struct tz_case_author *who = &k->who[candidate + 1];
    bool deleted = false;
    struct tz_err ignored = {0};
    if (!who->known || listed(w->out, who) || (candidate < 0 && known_change(w->c, who)))
        return 0;
    struct tz_record *rec = tz_arena_alloc(w->a, sizeof *rec);
    bool *named = tz_arena_alloc(w->a, TZ_FIELDS_MAX * sizeof *named);
    if (!rec || !named)
        return TZ_E_NOMEM;
    bool away = w->f && candidate >= 0 && tz_case_emptied(k->row, &k->view, (size_t)candidate, named);
    if (!away && tz_case_values(k->row, &k->view, candidate, w->a, rec, named, &deleted, &ignored))
        return 0;
    if (w->f && !named[w->f->index])
        return 0;
    size_t at = w->out->n;
    while (at > 0 && (w->out->v[at - 1].author.ver == 0 || w->out->v[at - 1].author.ver > who->ver))
        at--;
    struct tz_why_value *v = value_add(w, at);
    if (!v)
        return TZ_E_NOMEM;
    v->value = away ? tz_value_null() : w->f ? rec->v[w->f->index] : tz_value_int(deleted);
    v->away = away;
    v->author = (struct tz_why_author){who->device, who->incarnation, who->seq, who->user, who->ver, who->at_ms};
    v->rule = candidate < 0 ? TZ_WHY_UNKNOWN : TZ_WHY_LOST;
    v->case_id = k->id;
    v->case_rule = keep(w, who->rule);
    return 0;
}

static int walk_cases(struct walk *w)
{
    int rc = 0;
    for (const struct why_case *k = w->cases->first; k && !rc; k = k->next) {
        for (size_t i = 0; about(k, w->f) && i < k->view.ncandidates && !rc; i++)
            rc = take_case_value(w, k, (int)i);
        if (!rc && about(k, w->f))
            rc = take_case_value(w, k, -1);
    }
    return rc;
}

/* ---- what stands ---- */

static bool may_stand(const struct tz_why_value *v)
{
    return v->rule != TZ_WHY_LOST && v->rule != TZ_WHY_NOT_YET && v->rule != TZ_WHY_REFUSED &&
           v->rule != TZ_WHY_REVIEW && v->rule != TZ_WHY_ELEMENTS;
}

/** The newest that fits: by version where the server told it, else by value. */
static struct tz_why_value *find_standing(const struct walk *w, tz_ver ver, struct tz_value current)
{
    for (size_t i = w->out->n; i > 0; i--) {
        struct tz_why_value *v = &w->out->v[i - 1];
        if (may_stand(v) && (ver ? v->author.ver == ver : tz_value_eq(v->value, current)))
            return v;
    }
    return NULL;
}

/** The op made two records one, or apart. */
static bool joined(const struct tz_history_op *h)
{
    return h->op.kind == TZ_OP_MERGE || h->op.kind == TZ_OP_UNMERGE || !tz_id_is_zero(h->op.other_id);
}

/** What stands, though no change says so. */
static int add_standing(struct walk *w, tz_ver ver, struct tz_value current)
{
    struct tz_why_value *v = value_add(w, w->out->n);
    if (!v)
        return TZ_E_NOMEM;
    v->value = current;
    v->author.ver = ver;
    v->stands = true;
    v->rule = TZ_WHY_UNKNOWN;
    for (size_t i = 0; ver && i < w->c->n; i++) {
        const struct tz_change *ch = &w->c->v[i];
        if (ch->e.ver != ver)
            continue;
        v->change = ch;
        v->author = author_of(ch);
        v->rule = ch->e.erased ? TZ_WHY_UNKNOWN : TZ_WHY_SERVER;
        if (!ch->e.erased && joined(&ch->h))
            v->rule = TZ_WHY_MERGED;
        else if (!ch->e.erased && !w->f)
            v->rule = TZ_WHY_REVIVED;
        else if (!ch->e.erased && (ch->h.op.kind == TZ_OP_ADD || ch->h.op.kind == TZ_OP_REMOVE))
            v->rule = TZ_WHY_ELEMENTS;
    }
    return 0;
}

static int mark_standing(struct walk *w, const struct tz_row *row)
{
    if (!row)
        return 0;
    struct tz_value current = w->f ? row->rec.v[w->f->index] : tz_value_int(row->deleted);
    tz_ver ver = w->c->asked ? tz_history_stamp(w->c, w->f ? w->f->id : TZ_FIELD_DELETED, NULL) : 0;
    struct tz_why_value *v = find_standing(w, ver, current);
    if (v) {
        v->stands = true;
        return 0;
    }
    return current.kind == TZ_V_NULL || (!w->f && w->out->n == 0) ? 0 : add_standing(w, ver, current);
}

int tz_why_field(const struct tz_changes *c, const struct tz_why_cases *cases, const struct tz_field *field,
                 const struct tz_row *row, struct tz_arena *a, struct tz_why *out)
{
    *out = (struct tz_why){.field = field};
    struct walk w = {.c = c, .cases = cases, .f = field, .a = a, .out = out};
    int rc = walk_changes(&w);
    if (!rc)
        rc = walk_cases(&w);
    return rc ? rc : mark_standing(&w, row);
}
