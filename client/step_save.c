/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proposing a step, and proposing it again after the server has refused it.
 *
 * Invariants
 *  1. A step names the state and number that the person had: of what stands here, own steps under way included. Each of
 *     a chain so names what its predecessor leads to.
 *  2. What can be known to be refused is refused here, before anything is written.
 *  3. Again: the withdrawals are a save of their own, before the new proposals. In one save a second refusal would undo
 *     the withdrawal, and the new proposal would wait for the old one.
 */
#include "save_int.h"
#include "step_int.h"

#include <string.h>

enum { AGAIN_MAX = 256 };

static int refused(const struct tz_event_out *out, struct tz_err *err)
{
    return tz_err_set(err, out->code, out->nargs > 0 ? out->args[0] : NULL, out->nargs > 1 ? out->args[1] : NULL,
                      out->nargs > 2 ? out->args[2] : NULL, NULL);
}

static int behind(uint64_t seq, struct tz_err *err)
{
    return tz_err_setf(err, TZ_E_STEP_BEHIND, "%llu", (unsigned long long)seq);
}

/* ---- one step ---- */

/** Values that the step says, and the note, as bodies. */
static int fill_bodies(struct tz_save *s, const struct tz_type *t, const struct tz_step_said *said, struct tz_op *op,
                       struct tz_err *err)
{
    const struct tz_type *e = t->event_type;
    struct tz_record *rec = tz_arena_alloc(&s->a, sizeof *rec);
    struct tz_record *note = tz_arena_alloc(&s->a, sizeof *note);
    if (!rec || !note)
        return tz_err_set(err, TZ_E_LIMIT, t->name, NULL, NULL, NULL);
    tz_record_init(rec, t);
    tz_record_init(note, e);
    for (size_t i = 0; said->in && i < t->nfields; i++)
        if (said->names[i])
            rec->v[i] = said->in->v[i];
    const struct tz_field *f[2] = {tz_type_field(e, "opinion"), tz_type_field(e, "evidence")};
    note->v[f[0]->index] = tz_value_text(said->opinion);
    note->v[f[1]->index] = tz_value_text(said->evidence);
    for (int i = 0; i < 2; i++)
        if (note->v[f[i]->index].kind != TZ_V_NULL && tz_value_check(f[i], note->v[f[i]->index], true, err))
            return err && err->code ? err->code : TZ_E_VALUE;
    int rc = tz_save_encode(s, rec, &op->values, err);
    return rc ? rc : tz_save_encode(s, note, &op->note, err);
}

/** What a step names must be there and fit its fields, as everywhere; a step empties nothing. */
static int check_values(struct tz_save *s, const struct tz_type *t, const struct tz_step_said *said, struct tz_arena *a,
                        struct tz_err *err)
{
    for (size_t i = 0; said->in && i < t->nfields; i++)
        if (said->names[i] && said->in->v[i].kind == TZ_V_NULL)
            return tz_check_wrong(TZ_E_REQUIRED, t->fields[i].label[TZ_LANG_ZH], t->fields[i].name, err);
    return said->in ? tz_check_values(s->o, said->in, said->names, a, err) : 0;
}

static int judge_here(struct tz_save *s, const struct tz_type *t, struct tz_id id, const struct tz_step_said *said,
                      struct tz_arena *a, struct tz_op *op, struct tz_err *err)
{
    struct tz_step_view v;
    struct tz_event_author who;
    struct tz_event_out out;
    int rc = tz_step_view(s->o, t, id, a, &v, err);
    if (rc <= 0)
        return rc < 0 ? rc : tz_err_set(err, TZ_E_UNKNOWN_RECORD, NULL, NULL, NULL, NULL);
    if (v.behind)
        return behind(v.behind, err);
    if (!tz_check_in_area(&s->who, &v.row->area))
        return tz_err_set(err, TZ_E_UNKNOWN_RECORD, NULL, NULL, NULL, NULL);
    struct tz_value state = v.row->rec.v[t->state_field];
    const char *now = state.kind == TZ_V_TEXT ? tz_arena_dup(&s->a, state.p, state.n) : "-";
    op->base_ver = v.row->ver;
    op->expected_state = said->seen_state ? tz_arena_strdup(&s->a, said->seen_state) : now;
    op->expected_seq = said->seen_state ? said->seen_seq : tz_trail_seq(&v.trail);
    if (!op->expected_state)
        return tz_err_set(err, TZ_E_LIMIT, t->name, NULL, NULL, NULL);
    struct tz_event_ask ask = {.action = op->action,
                               .expected_state = op->expected_state,
                               .expected_seq = op->expected_seq,
                               .in = said->in,
                               .names = said->names,
                               .opinion = said->opinion && *said->opinion,
                               .evidence = tz_event_evidence(tz_value_text(said->evidence))};
    tz_clock_today(tz_office_now(s->o), ask.today);
    rc = tz_step_author(s->o, s->cs.user, &who, err);
    if (!rc)
        rc = tz_event_judge(s->o->rep, &who, v.row, &v.trail, &ask, a, &out, err);
    return rc ? rc : out.code ? refused(&out, err) : 0;
}

int tz_save_step(struct tz_save *s, const struct tz_type *t, struct tz_id id, const struct tz_step_said *said,
                 struct tz_err *err)
{
    struct tz_arena a;
    struct tz_op op = {.kind = TZ_OP_EVENT, .type = t->id, .id = id, .base_seq = s->cs.seq};
    if (!t->nsteps)
        return tz_check_wrong(TZ_E_EVENTS_LATER, t->label[TZ_LANG_ZH], t->name, err);
    if (s->o->st.filling) /* steps may be missing here: the number would be wrong */
        return tz_err_set(err, TZ_E_INCOMPLETE, NULL, NULL, NULL, NULL);
    op.action = tz_arena_strdup(&s->a, said->action);
    if (!op.action)
        return tz_err_set(err, TZ_E_LIMIT, t->name, NULL, NULL, NULL);
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    int rc = judge_here(s, t, id, said, &a, &op, err);
    if (!rc)
        rc = check_values(s, t, said, &a, err);
    tz_arena_deinit(&a);
    if (!rc)
        rc = fill_bodies(s, t, said, &op, err);
    if (!rc)
        rc = tz_save_room(s, 1, op.values.n + op.note.n, err);
    return rc ? rc : tz_save_show(s, tz_save_push(s, &op, s->o->st.checkpoint), t, id, err);
}

static bool may_open(const struct tz_step *s, const struct tz_role *role, int state)
{
    for (size_t i = 0; i < s->nwho && state >= 0 && (s->from >> state & 1); i++)
        if (s->who[i].role == role)
            return true;
    return false;
}

/** Fields that the step must say, as if they were said as they stand: what he would say is not asked yet. */
static bool *must_say(const struct tz_type *t, int state, const char *action, struct tz_arena *a)
{
    bool *names = tz_arena_calloc(a, TZ_FIELDS_MAX, sizeof *names);
    const struct tz_step *s = state >= 0 ? tz_type_step(t, state, action) : NULL;
    for (size_t i = 0; names && s && i < s->ngives; i++)
        names[s->gives[i].field] = s->gives[i].must;
    return names;
}

int tz_step_may(struct tz_office *o, const struct tz_step_view *v, struct tz_id user, const char *action,
                struct tz_err *err)
{
    const struct tz_type *t = v->row->rec.type;
    struct tz_arena a;
    struct tz_event_author who;
    struct tz_event_out out;
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    struct tz_row *row = tz_arena_dup(&a, v->row, sizeof *row);
    struct tz_value state = v->row->rec.v[t->state_field];
    const char *now = state.kind == TZ_V_TEXT ? tz_arena_dup(&a, state.p, state.n) : "-";
    struct tz_event_ask ask = {.action = action,
                               .expected_state = now,
                               .expected_seq = tz_trail_seq(&v->trail),
                               .in = &v->row->rec,
                               .names = must_say(t, tz_type_state(t, state), action, &a),
                               .opinion = true,
                               .evidence = true};
    tz_clock_today(tz_office_now(o), ask.today);
    int rc = row && now && ask.names ? tz_step_author(o, tz_id_is_zero(user) ? o->st.id.user : user, &who, err)
                                     : tz_office_nomem(err);
    const struct tz_step *anew = tz_type_step_new(t);
    bool opens = anew && strcmp(anew->action, action) == 0; /* another record */
    if (!rc && !opens)
        rc = tz_event_judge(o->rep, &who, row, &v->trail, &ask, &a, &out, err);
    bool may = opens ? !rc && may_open(anew, who.role, tz_type_state(t, state))
                     : !rc && (out.code == 0 || out.code == TZ_E_STEP_NOT_LATER);
    tz_arena_deinit(&a);
    return rc ? rc : may;
}

/* ---- again ---- */

/** A step to be proposed anew, with what it was. */
struct renewal {
    uint64_t seq;
    struct tz_id user;
    const struct tz_op *op;
};

/** The one step of save @seq. */
static int step_of(struct tz_office *o, uint64_t seq, struct tz_arena *a, struct renewal *out, struct tz_err *err)
{
    const struct tz_changeset *cs;
    struct tz_stmt s = {0};
    int rc =
        tz_db_prepare(o->db, &s, "SELECT 1 FROM outbox WHERE seq = ? AND withdrawn_by = 0 AND length(raw) > 0", err);
    if (!rc) {
        tz_stmt_bind_int(&s, 1, (int64_t)seq);
        rc = tz_stmt_step(&s, err);
    }
    tz_stmt_finalize(&s);
    rc = rc == 1 ? tz_overlay_changeset(o, seq, &cs, err) : rc == 0 ? 1 : rc;
    if (rc < 0)
        return rc;
    if (rc == 1 || cs->nops != 1 || cs->ops[0].kind != TZ_OP_EVENT)
        return tz_err_setf(err, TZ_E_NO_STEP, "%llu", (unsigned long long)seq);
    *out = (struct renewal){seq, cs->user, tz_overlay_keep_op(&cs->ops[0], a)};
    return out->op ? 0 : tz_office_nomem(err);
}

/** The save and all that stand behind it on the same record. */
static int collect(struct tz_office *o, uint64_t seq, struct tz_arena *a, struct renewal *v, size_t *n,
                   struct tz_err *err)
{
    struct tz_step_view view;
    int rc = step_of(o, seq, a, &v[0], err);
    const struct tz_type *t = rc ? NULL : tz_catalogue_type_id(o->cat, v[0].op->type);
    if (rc || !t || !t->nsteps)
        return rc ? rc : tz_err_setf(err, TZ_E_NO_STEP, "%llu", (unsigned long long)seq);
    rc = tz_step_view(o, t, v[0].op->id, a, &view, err);
    if (rc <= 0)
        return rc < 0 ? rc : tz_err_set(err, TZ_E_UNKNOWN_RECORD, NULL, NULL, NULL, NULL);
    rc = 0;
    *n = 1;
    for (size_t i = 0; i < view.nown && !rc; i++) {
        bool settled = view.own[i].outcome == TZ_OUT_APPLIED || view.own[i].outcome == TZ_OUT_SUPERSEDED;
        if (view.own[i].seq <= v[*n - 1].seq || settled)
            continue;
        if (*n == AGAIN_MAX)
            return tz_err_setf(err, TZ_E_LIMIT, "%d", AGAIN_MAX);
        rc = step_of(o, view.own[i].seq, a, &v[(*n)++], err);
    }
    return rc;
}

static int propose(struct tz_save *s, const struct renewal *r, struct tz_arena *a, struct tz_err *err)
{
    const struct tz_type *t = tz_catalogue_type_id(s->o->cat, r->op->type);
    struct tz_event_ask ask = {0};
    struct tz_record *note = tz_arena_alloc(a, sizeof *note);
    int rc = note ? tz_step_ask(t, r->op, a, &ask, err) : tz_office_nomem(err);
    if (!rc)
        rc = tz_record_decode(t->event_type, r->op->note, a, note, err);
    if (rc)
        return rc;
    struct tz_value opinion = note->v[tz_type_field(t->event_type, "opinion")->index];
    struct tz_value evidence = note->v[tz_type_field(t->event_type, "evidence")->index];
    struct tz_step_said said = {.action = r->op->action, .in = ask.in, .names = ask.names};
    said.opinion = opinion.kind == TZ_V_TEXT ? tz_arena_dup(a, opinion.p, opinion.n) : NULL;
    said.evidence = evidence.kind == TZ_V_TEXT ? tz_arena_dup(a, evidence.p, evidence.n) : NULL;
    return tz_save_step(s, t, r->op->id, &said, err);
}

static int renew(struct tz_office *o, const struct renewal *v, size_t n, struct tz_arena *a, uint64_t *last,
                 struct tz_err *err)
{
    struct tz_save_options opt = {.user = v[0].user};
    struct tz_save *s = NULL;
    int rc = tz_save_begin(o, &opt, &s, err);
    if (rc)
        return rc;
    for (size_t i = n; i > 0 && !rc; i--) /* the newest first: nothing is freed in between */
        rc = tz_save_withdraw(s, v[i - 1].seq, err);
    for (size_t i = 0; i < n && !rc; i++) {
        opt.user = v[i].user;
        rc = tz_save_next(s, &opt, err);
        if (!rc)
            rc = propose(s, &v[i], a, err);
    }
    if (rc) {
        tz_save_cancel(s);
        return rc;
    }
    return tz_save_commit(s, last, err);
}

int tz_step_again(struct tz_office *o, uint64_t seq, uint64_t *last, struct tz_err *err)
{
    struct tz_arena a;
    size_t n = 0;
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    struct renewal *v = tz_arena_calloc(&a, AGAIN_MAX, sizeof *v);
    int rc = v ? collect(o, seq, &a, v, &n, err) : tz_office_nomem(err);
    if (!rc)
        rc = renew(o, v, n, &a, last, err);
    tz_arena_deinit(&a);
    return rc;
}
