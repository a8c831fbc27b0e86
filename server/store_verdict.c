/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A changeset's ops, judged one by one as of its place in time, by its author's rights of today or, where those are
 * gone, of when it was made. What is refused leaves nothing in the records.
 *
 * A savepoint costs a copy of every page that is written in it, and one around each op would copy most pages again and
 * again. Nearly all changesets have nothing refused in them, so the first attempt is made in one savepoint of the whole;
 * only when an op is refused does everything go back and is judged anew, each op in a savepoint of its own.
 */
#include "apply_int.h"
#include "commit_int.h"
#include "log.h"
#include "planted.h"
#include "reason.h"

#include <string.h>

/** The author, from the server's tables. 0 known, 1 refused (code in p->res), negative. */
static int load_author(struct apply *p)
{
    struct tz_judge *j = p->j;
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_USER_GRANT, p->err);
    char area[TZ_STREET_BYTES] = "";
    char hex[TZ_ID_HEX + 1];
    bool active = false;
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_id(st, 1, &p->cs->user);
    int rc = tz_stmt_step(st, p->err);
    if (rc == 1) {
        const char *role = tz_stmt_text(st, 1);
        const char *code = tz_stmt_text(st, 2);
        j->role = role ? tz_catalogue_role(p->s->cat, role) : NULL;
        active = tz_stmt_int(st, 3) != 0;
        memcpy(area, code, strnlen(code, sizeof area - 1));
    }
    tz_stmt_reset(st);
    if (rc < 0)
        return rc;
    if (active && j->role && tz_store_area_within(area, p->dev.area) &&
        tz_who_role_fits(p->s->cat, j->role, p->dev.role)) {
        j->city = strcmp(area, TZ_CITY_CODE) == 0;
        j->area = tz_who_area(area);
        return 0;
    }
    j->role = NULL;
    tz_id_print(p->cs->user, hex);
    p->res.code = TZ_E_USER_DISABLED;
    p->res.args[0] = tz_arena_strdup(p->a, hex);
    p->res.nargs = 1;
    return p->res.args[0] ? 1 : TZ_E_NOMEM;
}

/** The greatest effective time of all that there was up to @ver. */
static int eff_max_at(struct apply *p, tz_ver ver, tz_hlc *out)
{
    struct tz_commit_entry e;
    int rc = tz_commit_upto(p->s, ver, &e, p->err);
    *out = rc == 1 ? e.eff_max : 0;
    return rc < 0 ? rc : 0;
}

int tz_apply_prepare(struct apply *p)
{
    struct tz_judge *j = p->j;
    tz_ver base = 0;
    tz_hlc base_eff = 0;
    tz_hlc last = 0;
    for (size_t i = 0; i < p->cs->nops; i++)
        base = p->cs->ops[i].base_ver > base ? p->cs->ops[i].base_ver : base;
    int rc = eff_max_at(p, base, &base_eff);
    struct tz_stmt *st = rc ? NULL : tz_store_sql(p->s, TZ_SQL_DEVICE_CLOCK, p->err);
    if (!st)
        return rc ? rc : TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    rc = tz_stmt_step(st, p->err);
    if (rc == 1)
        last = (tz_hlc)tz_stmt_int(st, 1);
    tz_stmt_reset(st);
    if (rc < 0)
        return rc;
    j->s = p->s;
    j->cs = p->cs;
    j->received = p->received;
    j->claimed = p->cs->hlc;
    j->offset_ms = p->offset_ms;
    j->wrote = false;
    j->waited = p->waited;
    j->was = NULL;
    j->claims = NULL;
    j->nclaims = j->claims_cap = j->checked = 0;
    j->merged = NULL;
    j->past = (struct tz_rights){0};
    j->past_known = j->late = false;
    j->out = p->a;
    j->err = p->err;
    j->edit = (struct tz_edit){.device = p->device,
                               .incarnation = p->cs->incarnation,
                               .seq = p->cs->seq,
                               .user = p->cs->user,
                               .ver = p->s->group_head + 1,
                               .old_ver = p->old_ver,
                               .overtaken = p->old_ver ? tz_judge_overtaken : NULL};
    rc = tz_installation_ancestors(p, &j->edit);
    if (rc)
        return rc;
    if (!p->effective)
        p->effective = tz_hlc_effective(p->cs->hlc, p->offset_ms, p->received, last, base_eff);
    j->edit.effective = p->effective;
    return 0;
}

static int keep_op_result(struct apply *p, size_t i)
{
    p->ops[i] = p->j->res;
    if (!p->j->res.ncases)
        return 0;
    struct tz_id *cases = tz_arena_dup(p->a, p->j->case_ids, p->j->res.ncases * sizeof *cases);
    p->ops[i].cases = cases;
    return cases ? 0 : TZ_E_NOMEM;
}

/** End the innermost savepoint on an error, so that whoever handles it finds his own. Returns @rc. */
int tz_apply_undo(struct apply *p, int rc)
{
    struct tz_err ignored;
    p->s->ndistricts = 0;
    if (tz_db_rollback_to(p->s->db, &ignored))
        tz_log(TZ_LOG_WARN, "store", "rollback", "code=%d",
               ignored.code); /* the connection is lost, the group with it */
    return rc;
}

/** By today's rights; somebody who has none any more is told so. */
static int judge_today(struct apply *p, const struct tz_op *op)
{
    struct tz_judge *j = p->j;
    if (j->role || op->kind == TZ_OP_WITHDRAW)
        return tz_judge_op(j, op);
    j->res = (struct tz_op_result){.cases = j->case_ids};
    return tz_judge_refuse(j, TZ_E_USER_DISABLED, p->res.args[0], NULL);
}

/** The op was refused, and its writes are undone: did its author have the right when he made it? */
static int judge_late(struct apply *p, const struct tz_op *op)
{
    struct tz_judge *j = p->j;
    size_t bytes = p->s->row_bytes;
    int rc = tz_db_savepoint(p->s->db, p->err);
    if (rc)
        return rc;
    p->s->row_bytes_max = TZ_CHANGESET_ROW_BYTES_MAX;
    rc = tz_rows_code(j->a, tz_late_op(j, op));
    if (rc == 1 && !p->cs->independent && tz_judge_last(p->cs, op)) { /* what the others claim */
        rc = tz_duplicate_check(j);
        rc = rc ? rc : 1;
    }
    p->s->row_bytes_max = 0;
    if (rc < 0 && rc != TZ_E_LIMIT)
        return tz_apply_undo(p, rc);
    if (rc == 1 && j->res.outcome != TZ_OUT_REFUSED)
        return tz_db_release(p->s->db, p->err);
    if (rc == TZ_E_LIMIT) {
        *p->err = (struct tz_err){0};
        (void)tz_judge_refuse(j, TZ_E_LIMIT, "op", NULL);
    }
    p->s->row_bytes = bytes;
    return tz_db_rollback_to(p->s->db, p->err);
}

/** One op, which is not expected to be refused: 1 when it is, and what it wrote is still there. */
static int judge_boldly(struct apply *p, size_t i)
{
    int rc = judge_today(p, &p->cs->ops[i]);
    return rc ? rc : p->j->res.outcome == TZ_OUT_REFUSED;
}

/** One op; what is refused leaves no trace. */
static int judge_one(struct apply *p, size_t i)
{
    struct tz_judge *j = p->j;
    const struct tz_op *op = &p->cs->ops[i];
    bool wrote = j->wrote;
    size_t nclaims = j->nclaims;
    int rc = tz_db_savepoint(p->s->db, p->err);
    if (rc)
        return rc;
    rc = judge_today(p, op);
    if (rc)
        return tz_apply_undo(p, rc);
    if (j->res.outcome != TZ_OUT_REFUSED)
        return tz_db_release(p->s->db, p->err);
    j->wrote = wrote;
    j->nclaims = nclaims < j->nclaims ? nclaims : j->nclaims;
    p->s->ndistricts = 0;
    rc = tz_db_rollback_to(p->s->db, p->err);
    return rc ? rc : judge_late(p, op);
}

/** The reason stands in the audit log and in front of people: it follows the rules of a value. 0 good, 1 refused,
 * negative. */
static int check_reason(struct apply *p)
{
    struct tz_err why = {0};
    int rc = tz_reason_check(p->cs->reason, &why);
    if (!rc)
        return 0;
    p->res.code = rc;
    for (p->res.nargs = 0; p->res.nargs < why.nargs && p->res.nargs < TZ_RESULT_ARGS_MAX; p->res.nargs++) {
        p->res.args[p->res.nargs] = tz_arena_strdup(p->a, why.args[p->res.nargs]);
        if (!p->res.args[p->res.nargs])
            return TZ_E_NOMEM;
    }
    return 1;
}

/** All or nothing: the first refusal refuses every op. */
void tz_apply_refuse_all(struct apply *p, size_t culprit)
{
    for (size_t i = 0; i < p->cs->nops; i++)
        if (i != culprit)
            p->ops[i] = (struct tz_op_result){.outcome = TZ_OUT_REFUSED};
    p->res.outcome = TZ_OUT_REFUSED;
    p->res.ver = 0;
    if (culprit < p->cs->nops) {
        p->res.code = p->ops[culprit].code;
        p->res.nargs = p->ops[culprit].nargs;
        memcpy(p->res.args, p->ops[culprit].args, sizeof p->res.args);
    }
}

enum tz_outcome tz_apply_outcome(const struct apply *p)
{
    enum tz_outcome whole = p->cs->nops ? TZ_OUT_REFUSED : TZ_OUT_APPLIED;
    for (size_t i = 0; i < p->cs->nops; i++) {
        enum tz_outcome o = p->ops[i].outcome;
        if (o == TZ_OUT_UNDER_REVIEW)
            return o;
        if (o != TZ_OUT_REFUSED && whole != TZ_OUT_SUPERSEDED)
            whole = o == TZ_OUT_SUPERSEDED ? o : TZ_OUT_APPLIED;
    }
    return whole;
}

/** @judge_op: one of the two above. 0, 1 when it said so, negative. */
static int judge_ops(struct apply *p, int (*judge_op)(struct apply *p, size_t i))
{
    for (size_t i = 0; i < p->cs->nops; i++) {
        p->j->was = p->was ? &p->was->ops[i] : NULL;
        if (p->j->was && p->j->was->outcome == TZ_OUT_REFUSED) { /* of an import: it stays refused */
            p->ops[i] = *p->j->was;
            continue;
        }
        tz_arena_reset(p->j->a);
        int rc = judge_op(p, i);
        if (!rc)
            rc = keep_op_result(p, i);
        if (rc)
            return rc;
        if (p->ops[i].outcome == TZ_OUT_REFUSED && !p->cs->independent) {
            tz_apply_refuse_all(p, i);
            return 0;
        }
    }
    int rc = tz_results_tell_merged(p);
    if (rc)
        return rc;
    p->res.outcome = tz_apply_outcome(p);
    return 0;
}

static int write_commit(struct apply *p)
{
    const struct tz_edit *e = &p->j->edit;
    struct tz_commit c = {e->ver, e->device, e->incarnation, e->seq, e->user, e->effective, e->old_ver};
    if (p->j->wrote || p->old_ver) { /* handed in again: its place in time, whatever became of it */
        p->res.effective = e->effective;
        p->res.received_ms = p->received.ms;
        p->res.old_ver = p->old_ver;
    }
    if (!p->j->wrote)
        return 0;
    p->res.ver = e->ver;
    return tz_store_commit_row(p->s, &c, p->cs->hlc, p->offset_ms, p->received.ms, p->hash, p->err);
}

/** An op was refused: once more from the state @before, so that only what it wrote goes. The savepoint is a new one. */
static int judge_carefully(struct apply *p, const struct tz_judge *before, const struct tz_result *unanswered)
{
    int rc = tz_db_rollback_to(p->s->db, p->err);
    if (!rc)
        rc = tz_db_savepoint(p->s->db, p->err);
    p->s->ndistricts = 0;
    *p->j = *before;
    p->res = *unanswered;
    return rc ? rc : judge_ops(p, judge_one);
}

/** Judge every op into p->ops. A refused changeset has left nothing in the records. */
int tz_apply_judge(struct apply *p)
{
    int rc = tz_apply_prepare(p);
    if (!rc)
        rc = load_author(p);
    if (rc == 1) { /* he may have been somebody when he made it */
        rc = tz_late_author(p->j);
        rc = rc < 0 ? rc : !p->j->past.role;
    }
    if (!rc)
        rc = check_reason(p);
    if (rc == 1) {
        tz_apply_refuse_all(p, p->cs->nops);
        return 0;
    }
    const struct tz_judge before = *p->j;
    const struct tz_result unanswered = p->res;
    if (!rc)
        rc = tz_db_savepoint(p->s->db, p->err);
    if (rc)
        return rc;
    rc = judge_ops(p, judge_boldly);
    if (rc == 1)
        rc = judge_carefully(p, &before, &unanswered);
    if (rc)
        return tz_apply_undo(p, rc);
    if (p->res.outcome == TZ_OUT_REFUSED && !TZ_PLANTED(REFUSED_HALF_DONE)) {
        p->s->ndistricts = 0; /* one of them may have been its own */
        return tz_db_rollback_to(p->s->db, p->err);
    }
    rc = tz_db_release(p->s->db, p->err);
    return rc ? rc : write_commit(p);
}
