/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle's view of edits that come when the right to make them has gone. It looks at who had which grant at the
 * version the author had seen, and where the records were then; today's rows have no say but for where they lie.
 */
#include "oracle_int.h"

#include <stdlib.h>
#include <string.h>

/** With the rights that the author had. */
static bool had(const struct oracle *o, const struct tz_area *a)
{
    const struct oracle_rights *p = &o->who.past;
    return p->city || (strcmp(p->area.district, a->district) == 0 &&
                       (p->area.street[0] == '\0' || strcmp(p->area.street, a->street) == 0));
}

static bool has_today(const struct oracle *o, const struct tz_area *a)
{
    return o->who.known && ora_in_area(o, a);
}

static tz_ver seen_up_to(const struct oracle *o)
{
    tz_ver at = o->cs->base_checkpoint <= o->head ? o->cs->base_checkpoint : 0;
    at = o->base_ver > at ? o->base_ver : at;
    return at < o->who.past_until ? at : o->who.past_until;
}

/** Where the record was when the author looked; false: it was not there. */
static bool place_then(const struct oracle *o, const struct oracle_row *r, struct tz_area *out)
{
    const struct ocommit *born = ora_commit(o, r->born);
    tz_ver at = seen_up_to(o);
    tz_ver best = 0;
    if (born && born->device == o->me.device && tz_id_device(r->id) == o->me.device && r->born > at)
        at = r->born;
    if (r->born > at)
        return false;
    *out = r->area;
    for (size_t i = 0; i < o->nplaces; i++) {
        const struct oplace *p = &o->places[i];
        if (p->type != r->type || !tz_id_eq(p->id, r->id) || p->until <= at || (best && p->until >= best))
            continue;
        best = p->until;
        *out = p->area;
    }
    return true;
}

static const struct olate *waiting(const struct oracle *o, const struct tz_type *t, struct tz_id id)
{
    for (size_t i = 0; i < o->nlates; i++)
        if (o->lates[i].type == t && tz_id_eq(o->lates[i].id, id))
            return &o->lates[i];
    return NULL;
}

struct look {
    bool lost; /* a right is gone */
};

static bool could_name(const struct oracle *o, const struct tz_type *t, struct tz_id id, struct look *l)
{
    const struct oracle_row *r = ora_find(o, t, id);
    struct tz_area then;
    if (!r) {
        const struct olate *w = waiting(o, t, id);
        bool his = w && w->device == o->me.device;
        l->lost = l->lost || his;
        return his;
    }
    if (r->area.district[0] == '\0' || has_today(o, &r->area))
        return true;
    l->lost = true;
    return place_then(o, r, &then) && (then.district[0] == '\0' || had(o, &then));
}

static bool refs_good(const struct oracle *o, const struct tz_type *t, const struct tz_value *v, const bool *names,
                      struct look *l)
{
    for (size_t i = 0; i < t->nfields; i++) {
        const struct tz_field *f = &t->fields[i];
        if (!names[i] || v[i].kind != TZ_V_BLOB || (f->ftype != TZ_FT_REF && f->ftype != TZ_FT_REF_ANY))
            continue;
        const struct tz_type *target = ora_ref_type(o, t, v, f);
        struct tz_id id;
        memcpy(id.b, v[i].p, TZ_ID_BYTES);
        if (!target || !could_name(o, target, id, l))
            return false;
    }
    return true;
}

static struct oracle_candidate word(const struct oracle *o, const char *values)
{
    struct oracle_candidate c = ora_candidate(o, &o->me, values);
    c.late = true;
    return c;
}

/** One case a field or group. */
static void words(struct oracle *o, const struct oracle_row *r, const struct tz_value *in, const bool *names)
{
    bool done[TZ_FIELDS_MAX] = {false};
    for (size_t i = 0; i < r->type->nfields; i++) {
        bool which[TZ_FIELDS_MAX] = {false};
        if (!names[i] || done[i])
            continue;
        for (size_t k = i; k < r->type->nfields; k++)
            if (names[k] && strcmp(ora_subject(r->type, k), ora_subject(r->type, i)) == 0)
                which[k] = done[k] = true;
        ora_case_join(o, r, ora_subject(r->type, i), "late_scope", word(o, ora_values(o, r->type, in, which)));
    }
}

/** Words about a record that is to be made complete what the same person, else the same machine, said before. */
static void words_new(struct oracle *o, const struct oracle_row *ghost, const struct tz_value *in, const bool *names)
{
    const struct tz_type *t = ghost->type;
    const struct oracle_case *c = ora_case_newest(o, ghost, "_created");
    struct tz_value *v = tz_arena_calloc(&o->arena, t->nfields, sizeof *v);
    bool which[TZ_FIELDS_MAX];
    const struct tz_value *before = NULL;
    for (size_t i = 0; c && i < c->ncand; i++)
        if (c->cand[i].device == o->me.device && (!before || tz_id_eq(c->cand[i].user, o->me.user)))
            before = c->cand[i].said;
    for (size_t i = 0; i < t->nfields; i++) {
        v[i] = names[i] ? in[i] : before ? before[i] : tz_value_null();
        which[i] = v[i].kind != TZ_V_NULL;
    }
    struct oracle_candidate cand = word(o, ora_values(o, t, v, which));
    cand.said = v;
    ora_case_join(o, ghost, "_created", "late_scope", cand);
}

static bool late_create(struct oracle *o, const struct tz_op *op, const struct tz_type *t, struct look *l)
{
    struct tz_value in[TZ_FIELDS_MAX];
    struct tz_value said[TZ_FIELDS_MAX];
    bool names[TZ_FIELDS_MAX];
    struct tz_area area;
    if (tz_id_device(op->id) != o->me.device || (op->kind == TZ_OP_APPEND) != t->append ||
        ora_take(o, op, t, in, names) || ora_create_rights(o, t, in, names) || !ora_opens(t, o->who.role))
        return false;
    memcpy(said, in, t->nfields * sizeof *in);
    for (size_t i = 0; i < t->nfields; i++) {
        const struct tz_field *f = &t->fields[i];
        if (in[i].kind == TZ_V_NULL)
            in[i] = f->dflt;
        if (in[i].kind == TZ_V_NULL && ora_required(o, t, i))
            return false;
    }
    if (!refs_good(o, t, in, names, l))
        return false;
    if (!ora_area_of(o, t, in, &area)) {
        struct tz_id up;
        if (t->area != TZ_AREA_PARENT || in[t->area_field].kind != TZ_V_BLOB)
            return false;
        memcpy(up.b, in[t->area_field].p, TZ_ID_BYTES);
        const struct olate *w = waiting(o, ora_ref_type(o, t, in, &t->fields[t->area_field]), up);
        if (!w)
            return false;
        area = w->area;
    }
    if ((t->area != TZ_AREA_PARENT && !had(o, &area)) || !l->lost)
        return false;
    if (!waiting(o, t, op->id)) {
        ORACLE_GROW(o->lates, o->nlates, o->lates_cap);
        o->lates[o->nlates++] = (struct olate){t, op->id, o->me.device, area};
    }
    struct oracle_row ghost = {.type = t, .id = op->id, .area = area};
    words_new(o, &ghost, said, names);
    return true;
}

static bool place_good(const struct oracle *o, const struct tz_type *t, const struct tz_area *then,
                       const struct tz_value *in, const bool *names)
{
    int d = t->area == TZ_AREA_OWN ? t->district_field : -1;
    int s = t->area == TZ_AREA_OWN ? t->street_field : -1;
    struct tz_area to = *then;
    bool says_d = d >= 0 && names[d];
    bool says_s = s >= 0 && names[s];
    if (says_d) {
        memset(&to, 0, sizeof to);
        if (in[d].kind == TZ_V_TEXT)
            memcpy(to.district, in[d].p, 6);
    }
    if (says_s && in[s].kind == TZ_V_TEXT) {
        if (to.district[0] == '\0')
            memcpy(to.district, in[s].p, 6);
        memcpy(to.street, in[s].p, 9);
    }
    return (!says_d && !says_s) || had(o, &to);
}

static bool late_fields(struct oracle *o, const struct tz_op *op, const struct oracle_row *r, bool fresh,
                        const struct tz_area *then, struct look *l)
{
    struct tz_value in[TZ_FIELDS_MAX];
    bool names[TZ_FIELDS_MAX];
    if (r->type->append || r->type->local || ora_take(o, op, r->type, in, names) || ora_set_rights(o, r, in, names) ||
        !place_good(o, r->type, then, in, names) || !refs_good(o, r->type, in, names, l) || !l->lost)
        return false;
    if (fresh)
        words_new(o, r, in, names);
    else
        words(o, r, in, names);
    return true;
}

static bool late_elements(struct oracle *o, const struct tz_op *op, const struct oracle_row *r, bool fresh,
                          const struct look *l)
{
    struct tz_value in[TZ_FIELDS_MAX];
    bool names[TZ_FIELDS_MAX] = {false};
    const struct tz_field *f = NULL;
    if (r->type->append || r->type->local || ora_elements_rights(o, op, r, &f) || !l->lost)
        return false;
    names[f->index] = true;
    in[f->index] = ora_wished(o, op, r->v[f->index]);
    if (fresh)
        words_new(o, r, in, names);
    else
        words(o, r, in, names);
    return true;
}

static bool late_life(struct oracle *o, bool del, const struct oracle_row *r, bool fresh, const struct look *l)
{
    if (r->type->append || r->type->local || !(r->type->deleters & o->who.role->editor) || (fresh && !del) || !l->lost)
        return false;
    struct oracle_case *c = fresh ? ora_case_newest(o, r, "_created") : NULL;
    if (c && c->open)
        ora_case_close(o, c);
    if (!fresh)
        ora_case_join(o, r, "_deleted", "late_scope", word(o, del ? "_deleted=1;" : "_deleted=0;"));
    return true;
}

/** What the author had before him, or what he is still to make. */
static bool late_known(struct oracle *o, const struct tz_op *op, const struct tz_type *t, struct look *l)
{
    struct tz_area then = {0};
    const struct oracle_row *r = ora_find(o, t, op->id);
    const struct olate *w = waiting(o, t, op->id);
    bool his = w && w->device == o->me.device;
    struct oracle_row *ghost = tz_arena_calloc(&o->arena, 1, sizeof *ghost);
    bool fresh = !r;
    if (fresh && !his)
        return false;
    if (fresh) {
        ghost->type = t;
        ghost->id = op->id;
        ghost->v = tz_arena_calloc(&o->arena, t->nfields, sizeof *ghost->v);
        ghost->area = then = w->area;
        l->lost = true;
        r = ghost;
    } else if (place_then(o, r, &then)) {
        if (!had(o, &then))
            return false;
        l->lost = l->lost || !has_today(o, &r->area);
    } else if (his) {
        then = r->area;
        l->lost = true;
    } else {
        return false;
    }
    if (!fresh && r->deleted && ora_alias(o, t, op->id))
        r = ora_target(o, t, op->id);
    if (op->kind == TZ_OP_SET)
        return late_fields(o, op, r, fresh, &then, l);
    if (op->kind == TZ_OP_ADD || op->kind == TZ_OP_REMOVE)
        return late_elements(o, op, r, fresh, l);
    return late_life(o, op->kind == TZ_OP_DELETE, r, fresh, l);
}

/** A decision is a word about the record of the case. */
static bool late_decision(struct oracle *o, const struct tz_op *op, struct look *l)
{
    const struct tz_type *t = NULL;
    const char *subject = NULL;
    struct tz_id target;
    struct tz_area then;
    uint32_t generation = 0;
    if (!o->case_of || !o->case_of(o->case_ctx, op->id, &t, &target, &subject, &generation))
        return false;
    const struct oracle_case *c = oracle_case_find(o, t, target, subject, generation);
    const struct oracle_row *r = ora_find(o, t, target);
    if (!c || !r || strcmp(c->kind, "duplicate") == 0 || strcmp(c->subject, "_created") == 0 ||
        c->born > seen_up_to(o) || !place_then(o, r, &then) || !had(o, &then))
        return false;
    bool supervisors = strcmp(c->kind, "late_scope") == 0 && !o->who.role->supervises;
    bool here = o->who.known && has_today(o, &r->area);
    if (supervisors && here)
        return false;
    l->lost = l->lost || !here;
    struct tz_op as = *op;
    as.id = target;
    as.kind = op->field != TZ_FIELD_DELETED ? TZ_OP_SET : op->deleted ? TZ_OP_DELETE : TZ_OP_RESTORE;
    return late_known(o, &as, t, l);
}

static bool rights_missing(int code)
{
    return code == TZ_E_UNKNOWN_RECORD || code == TZ_E_AREA || code == TZ_E_NO_RIGHT_FIELD ||
           code == TZ_E_NO_RIGHT_TYPE || code == TZ_E_REF || code == TZ_E_USER_DISABLED;
}

bool ora_late(struct oracle *o, const struct tz_op *op, int code)
{
    const struct tz_type *t = tz_catalogue_type_id(o->cat, op->type);
    const struct oracle_author today = o->who;
    const struct oracle_rights *p = &today.past;
    struct look l = {.lost = !today.known || today.role != p->role || today.city != p->city ||
                             !tz_area_eq(&today.area, &p->area)};
    if (!t || !p->known || !rights_missing(code))
        return false;
    const struct tz_role *role = o->who.role;
    o->who.role = p->role; /* rights to fields are those of then; areas are compared with both */
    o->late = true;
    enum tz_op_kind k = op->kind;
    bool kept = false;
    if (k == TZ_OP_CREATE || k == TZ_OP_APPEND)
        kept = late_create(o, op, t, &l);
    else if (k == TZ_OP_RESOLVE)
        kept = late_decision(o, op, &l);
    else if (k == TZ_OP_SET || k == TZ_OP_ADD || k == TZ_OP_REMOVE || k == TZ_OP_DELETE || k == TZ_OP_RESTORE)
        kept = late_known(o, op, t, &l);
    o->late = false;
    o->who.role = role;
    o->wrote = o->wrote || kept;
    return kept;
}

int ora_resolve_new(struct oracle *o, const struct tz_op *op, struct oracle_case *c)
{
    const struct tz_type *t = c->type;
    struct tz_value in[TZ_FIELDS_MAX];
    bool names[TZ_FIELDS_MAX];
    struct tz_area area;
    if (!ora_in_area(o, &c->area))
        return TZ_E_UNKNOWN_RECORD;
    if (!o->who.role->supervises)
        return TZ_E_NO_RIGHT_TYPE;
    if (op->generation != c->generation || !c->open)
        return TZ_E_CASE_STALE;
    if (op->choice == TZ_CHOICE_MINE) {
        ora_case_close(o, c);
        return 0;
    }
    o->late = true;
    int rc = ora_take(o, op, t, in, names);
    o->late = false;
    if (rc)
        return rc;
    const char *values = ora_values(o, t, in, names);
    bool said = false;
    for (size_t i = 0; i < c->ncand; i++)
        said = said || strcmp(c->cand[i].values, values) == 0;
    if (!said)
        return TZ_E_BAD_OP;
    ora_redirect(o, t, in, names);
    for (size_t i = 0; i < t->nfields; i++)
        if (in[i].kind == TZ_V_NULL)
            in[i] = t->fields[i].dflt;
    rc = ora_check_refs(o, t, in, names);
    rc = rc ? rc : ora_check_area(o, t, in, &area);
    if (rc)
        return rc;
    if (ora_find(o, t, c->id))
        return TZ_E_EXISTS;
    ora_make(o, t, c->id, in, &area);
    rc = t->nsteps ? ora_opening(o, o->rows[o->nrows - 1], true) : 0;
    if (!rc)
        ora_case_close(o, c);
    return rc;
}
