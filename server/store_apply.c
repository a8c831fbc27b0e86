/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One changeset from its bytes to its outcome.
 *
 *   known (device, incarnation, seq)? --same hash--> the stored result      --other hash--> held: a copied installation
 *   next seq? --no--> error, nothing stored
 *   depends on an own refused, waiting or held one? --> waiting: kept whole in the backlog
 *   judge every op (each alone when independent) --> applied / refused --> result, audit entry, blocked marks
 *   released others? --> judge them too, in seq order
 *
 * Invariants
 *  1. A (device, incarnation, seq) has one result row from the moment it was judged or put aside; a resend is answered
 * from it.
 *  2. A judged changeset has one audit entry; a waiting one gets it when it is judged or withdrawn.
 *  3. A refused changeset leaves nothing but its result, its audit entry and its marks in `blocked`.
 */
#include "apply_int.h"
#include "log.h"

#include <stdio.h>
#include <string.h>

enum { OP_SCRATCH_BYTES = 8 * 1024 * 1024 };

struct results {
    struct tz_signed_result *v;
    size_t n, cap;
    struct tz_arena *a;
};

static int results_add(struct results *r, struct tz_signed_result one)
{
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 4;
        struct tz_signed_result *v = tz_arena_calloc(r->a, cap, sizeof *v);
        if (!v)
            return TZ_E_NOMEM;
        if (r->n)
            memcpy(v, r->v, r->n * sizeof *v);
        r->v = v;
        r->cap = cap;
    }
    r->v[r->n++] = one;
    return 0;
}

/* ---- results ---- */

static int copy_bytes(struct tz_arena *a, struct tz_bytes in, struct tz_bytes *out)
{
    out->p = tz_arena_dup(a, in.p, in.n);
    out->n = in.n;
    return out->p ? 0 : TZ_E_NOMEM;
}

/** Serialise and prove: HMAC(mac_key, device u32 ‖ result). */
static int sign_result(struct tz_store *s, uint32_t device, const struct tz_result *r, struct tz_arena *a,
                       struct tz_signed_result *out)
{
    struct tz_buf b;
    uint8_t mac[TZ_SHA256_BYTES];
    uint8_t head[4] = {(uint8_t)(device >> 24), (uint8_t)(device >> 16), (uint8_t)(device >> 8), (uint8_t)device};
    tz_buf_init(&b, 4 * TZ_CHANGESET_BYTES_MAX);
    int rc = tz_buf_put(&b, head, sizeof head);
    if (!rc)
        rc = tz_msg_put_result(&b, r);
    struct tz_bytes all = tz_buf_unread(&b);
    if (!rc)
        rc = tz_hmac_sha256(tz_bytes_of(s->mac_key, sizeof s->mac_key), all, mac);
    if (!rc)
        rc = copy_bytes(a, tz_bytes_of(all.p + sizeof head, all.n - sizeof head), &out->result);
    if (!rc)
        rc = copy_bytes(a, tz_bytes_of(mac, sizeof mac), &out->mac);
    tz_buf_deinit(&b);
    return rc;
}

/** Ops by outcome, in the order of the result table's columns. */
static void count_ops(const struct tz_result *r, int64_t count[7])
{
    memset(count, 0, 7 * sizeof *count);
    for (size_t i = 0; i < r->nops; i++) {
        enum tz_outcome o = r->ops[i].outcome;
        if (o >= TZ_OUT_APPLIED && o <= TZ_OUT_WITHDRAWN)
            count[o - TZ_OUT_APPLIED]++;
    }
}

static int store_result(struct tz_store *s, uint32_t device, const struct tz_result *r, struct tz_arena *a,
                        struct tz_signed_result *out, struct tz_err *err)
{
    int64_t count[7];
    int rc = sign_result(s, device, r, a, out);
    struct tz_stmt *st = rc ? NULL : tz_store_sql(s, TZ_SQL_RESULT_PUT, err);
    if (!st)
        return rc ? tz_err_set(err, rc, NULL, NULL, NULL, NULL) : TZ_E_DB;
    count_ops(r, count);
    tz_stmt_bind_int(st, 1, device);
    tz_stmt_bind_int(st, 2, r->incarnation);
    tz_stmt_bind_int(st, 3, (int64_t)r->seq);
    tz_stmt_bind_blob(st, 4, r->hash, TZ_HASH_BYTES);
    tz_stmt_bind_int(st, 5, r->outcome);
    tz_stmt_bind_int(st, 6, (int64_t)r->ver);
    tz_stmt_bind_blob(st, 7, out->result.p, out->result.n);
    tz_stmt_bind_blob(st, 8, out->mac.p, out->mac.n);
    for (int i = 0; i < 7; i++)
        tz_stmt_bind_int(st, 9 + i, count[i]);
    return tz_stmt_run(st, err);
}

static int audit_changeset(struct apply *p)
{
    char meta[160];
    (void)snprintf(meta, sizeof meta, "changeset device=%u incarnation=%u seq=%llu outcome=%d ver=%llu received=%lld",
                   p->device, p->res.incarnation, (unsigned long long)p->res.seq, (int)p->res.outcome,
                   (unsigned long long)p->res.ver, (long long)p->received.ms);
    return tz_audit_add(p->s, meta, p->raw, p->err);
}

/* ---- withdraw ---- */

/** The waiting or held changeset @seq ends as withdrawn. */
static int end_as_withdrawn(struct apply *p, uint64_t seq, struct tz_bytes hash, struct tz_bytes old,
                            struct results *out)
{
    struct tz_result r;
    struct tz_signed_result signed_one;
    int rc = tz_msg_read_result(old, p->a, &r, p->err);
    struct tz_op_result *ops = rc ? NULL : tz_arena_calloc(p->a, r.nops ? r.nops : 1, sizeof *ops);
    if (!ops)
        return rc ? rc : TZ_E_NOMEM;
    for (size_t i = 0; i < r.nops; i++)
        ops[i].outcome = TZ_OUT_WITHDRAWN;
    r.ops = ops;
    r.outcome = TZ_OUT_WITHDRAWN;
    r.code = TZ_E_WITHDRAWN;
    r.nargs = 0;
    r.blocked_by = 0;
    memcpy(r.hash, hash.p, TZ_HASH_BYTES);
    rc = store_result(p->s, p->device, &r, p->a, &signed_one, p->err);
    if (!rc)
        rc = tz_wait_run_seq(p, TZ_SQL_BACKLOG_DROP, seq);
    if (!rc)
        rc = results_add(out, signed_one);
    char meta[96];
    (void)snprintf(meta, sizeof meta, "changeset device=%u incarnation=%u seq=%llu outcome=%d ver=0 received=%lld",
                   p->device, p->cs->incarnation, (unsigned long long)seq, TZ_OUT_WITHDRAWN, (long long)p->received.ms);
    return rc ? rc : tz_audit_add(p->s, meta, (struct tz_bytes){0}, p->err);
}

static int withdraw(struct apply *p, uint64_t seq, bool *released, struct results *out)
{
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_RESULT_GET, p->err);
    struct tz_bytes hash = {0};
    struct tz_bytes old = {0};
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_int(st, 2, p->cs->incarnation);
    tz_stmt_bind_int(st, 3, (int64_t)seq);
    int rc = tz_stmt_step(st, p->err);
    enum tz_outcome was = rc == 1 ? (enum tz_outcome)tz_stmt_int(st, 1) : TZ_OUT_NONE;
    if (rc == 1 && (was == TZ_OUT_WAITING || was == TZ_OUT_HELD)) {
        rc = copy_bytes(p->a, tz_stmt_blob(st, 0), &hash);
        rc = rc ? rc : copy_bytes(p->a, tz_stmt_blob(st, 2), &old);
    }
    tz_stmt_reset(st);
    if (rc < 0 || was == TZ_OUT_NONE)
        return rc < 0 ? rc : 0;
    rc = old.p ? end_as_withdrawn(p, seq, hash, old, out) : 0;
    if (!rc)
        rc = tz_wait_run_seq(p, TZ_SQL_BLOCKED_DROP_SEQ, seq);
    *released = *released || tz_db_changes(p->s->db) > 0;
    return rc;
}

/* ---- judging ---- */

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
    if (active && j->role && tz_who_area_within(area, p->dev.area)) {
        j->city = strcmp(area, TZ_CITY_CODE) == 0;
        j->area = tz_who_area(area);
        return 0;
    }
    tz_id_print(p->cs->user, hex);
    p->res.code = TZ_E_USER_DISABLED;
    p->res.args[0] = tz_arena_strdup(p->a, hex);
    p->res.nargs = 1;
    return p->res.args[0] ? 1 : TZ_E_NOMEM;
}

static int eff_max_at(struct apply *p, tz_ver ver, tz_hlc *out)
{
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_COMMIT_EFF_MAX, p->err);
    *out = 0;
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, (int64_t)ver);
    int rc = tz_stmt_step(st, p->err);
    if (rc == 1)
        *out = (tz_hlc)tz_stmt_int(st, 0);
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

static int prepare_judge(struct apply *p)
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
    if (tz_stmt_step(st, p->err) == 1)
        last = (tz_hlc)tz_stmt_int(st, 1);
    tz_stmt_reset(st);
    j->s = p->s;
    j->cs = p->cs;
    j->received = p->received;
    j->claimed = p->cs->hlc;
    j->offset_ms = p->offset_ms;
    j->wrote = false;
    j->out = p->a;
    j->err = p->err;
    j->edit = (struct tz_edit){.device = p->device,
                               .incarnation = p->cs->incarnation,
                               .seq = p->cs->seq,
                               .user = p->cs->user,
                               .ver = p->s->group_head + 1};
    j->edit.effective = tz_hlc_effective(p->cs->hlc, p->offset_ms, p->received, last, base_eff);
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
static int undo(struct apply *p, int rc)
{
    struct tz_err ignored;
    if (tz_db_rollback_to(p->s->db, &ignored))
        tz_log(TZ_LOG_WARN, "store", "rollback", "code=%d",
               ignored.code); /* the connection is lost, the group with it */
    return rc;
}

/** An op of an import is judged alone. */
static int judge_alone(struct apply *p, size_t i)
{
    bool wrote = p->j->wrote;
    int rc = tz_db_savepoint(p->s->db, p->err);
    if (rc)
        return rc;
    rc = tz_judge_op(p->j, &p->cs->ops[i]);
    if (rc)
        return undo(p, rc);
    if (p->j->res.outcome != TZ_OUT_REFUSED)
        return tz_db_release(p->s->db, p->err);
    p->j->wrote = wrote;
    p->s->ndistricts = 0;
    return tz_db_rollback_to(p->s->db, p->err);
}

/** All or nothing: the first refusal refuses every op. */
static void refuse_all(struct apply *p, size_t culprit)
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

static int judge_ops(struct apply *p)
{
    size_t refused = 0;
    for (size_t i = 0; i < p->cs->nops; i++) {
        tz_arena_reset(p->j->a);
        int rc = p->cs->independent ? judge_alone(p, i) : tz_judge_op(p->j, &p->cs->ops[i]);
        if (!rc)
            rc = keep_op_result(p, i);
        if (rc)
            return rc;
        if (p->ops[i].outcome != TZ_OUT_REFUSED)
            continue;
        refused++;
        if (!p->cs->independent) {
            refuse_all(p, i);
            return 0;
        }
    }
    p->res.outcome = refused && refused == p->cs->nops ? TZ_OUT_REFUSED : TZ_OUT_APPLIED;
    for (size_t i = 0; i < p->cs->nops && p->res.outcome == TZ_OUT_APPLIED; i++)
        if (p->ops[i].outcome == TZ_OUT_SUPERSEDED)
            p->res.outcome = TZ_OUT_SUPERSEDED;
    return 0;
}

static int write_commit(struct apply *p)
{
    const struct tz_edit *e = &p->j->edit;
    struct tz_commit c = {e->ver, e->device, e->incarnation, e->seq, e->user, e->effective};
    if (!p->j->wrote)
        return 0;
    p->res.ver = e->ver;
    return tz_store_commit_row(p->s, &c, p->cs->hlc, p->offset_ms, p->received.ms, p->hash, p->err);
}

static int note_judged(struct apply *p)
{
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_DEVICE_JUDGED, p->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_int(st, 2, (int64_t)p->cs->seq);
    tz_stmt_bind_int(st, 3, (int64_t)p->j->edit.effective);
    return tz_stmt_run(st, p->err);
}

/** Outcome into the tables. @released: somebody else may be judged now. */
static int conclude(struct apply *p, struct tz_signed_result *out, bool *released)
{
    p->res.ops = p->ops;
    p->res.nops = p->cs->nops;
    int rc = tz_wait_mark(p);
    if (!rc)
        rc = tz_wait_mend(p, released);
    if (!rc)
        rc = store_result(p->s, p->device, &p->res, p->a, out, p->err);
    if (!rc)
        rc = audit_changeset(p);
    return rc ? rc : note_judged(p);
}

/** Judge every op into p->ops. A refused changeset has left nothing in the records. */
static int judge_all(struct apply *p)
{
    int rc = prepare_judge(p);
    if (!rc)
        rc = load_author(p);
    if (rc == 1) {
        refuse_all(p, p->cs->nops);
        return 0;
    }
    if (!rc)
        rc = tz_db_savepoint(p->s->db, p->err);
    if (rc)
        return rc;
    rc = judge_ops(p);
    if (rc)
        return undo(p, rc);
    if (p->res.outcome == TZ_OUT_REFUSED) {
        p->s->ndistricts = 0; /* one of them may have been its own */
        return tz_db_rollback_to(p->s->db, p->err);
    }
    rc = tz_db_release(p->s->db, p->err);
    return rc ? rc : write_commit(p);
}

static int judge_now(struct apply *p, struct tz_signed_result *out, bool *released)
{
    int rc = judge_all(p);
    return rc ? rc : conclude(p, out, released);
}

static int put_aside(struct apply *p, uint64_t blocked_by, struct tz_signed_result *out)
{
    char number[24];
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)blocked_by);
    p->res.outcome = TZ_OUT_WAITING;
    p->res.blocked_by = blocked_by;
    p->res.code = TZ_E_DEPENDS;
    p->res.args[0] = tz_arena_strdup(p->a, number);
    p->res.nargs = 1;
    for (size_t i = 0; i < p->cs->nops; i++)
        p->ops[i].outcome = TZ_OUT_WAITING;
    p->res.ops = p->ops;
    p->res.nops = p->cs->nops;
    int rc = p->res.args[0] ? tz_wait_mark(p) : TZ_E_NOMEM;
    if (!rc)
        rc = store_result(p->s, p->device, &p->res, p->a, out, p->err);
    struct tz_stmt *st = rc ? NULL : tz_store_sql(p->s, TZ_SQL_BACKLOG_PUT, p->err);
    if (!st)
        return rc ? rc : TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_int(st, 2, p->cs->incarnation);
    tz_stmt_bind_int(st, 3, (int64_t)p->cs->seq);
    tz_stmt_bind_int(st, 4, TZ_OUT_WAITING);
    tz_stmt_bind_int(st, 5, (int64_t)blocked_by);
    tz_stmt_bind_blob(st, 6, p->raw.p, p->raw.n);
    tz_stmt_bind_int(st, 7, p->received.ms);
    tz_stmt_bind_int(st, 8, p->offset_ms);
    rc = tz_stmt_run(st, p->err);
    p->j->edit.effective = 0; /* no time passed for the device: it was not judged */
    return rc ? rc : note_judged(p);
}

/* ---- entry ---- */

static int apply_init(struct apply *p, struct tz_bytes raw)
{
    p->raw = raw;
    p->cs = tz_arena_calloc(p->a, 1, sizeof *p->cs);
    if (!p->cs)
        return TZ_E_NOMEM;
    int rc = raw.n > TZ_CHANGESET_BYTES_MAX ? TZ_E_LIMIT : tz_msg_read_changeset(raw, p->a, p->cs, p->err);
    if (!rc && p->cs->nops > (p->cs->independent ? TZ_INDEPENDENT_OPS_MAX : TZ_CHANGESET_OPS_MAX))
        rc = tz_err_set(p->err, TZ_E_LIMIT, "ops", NULL, NULL, NULL);
    if (!rc)
        rc = tz_sha256(raw, p->hash);
    p->ops = rc ? NULL : tz_arena_calloc(p->a, p->cs->nops ? p->cs->nops : 1, sizeof *p->ops);
    if (!p->ops)
        return rc ? rc : TZ_E_NOMEM;
    p->res = (struct tz_result){.incarnation = p->cs->incarnation, .seq = p->cs->seq};
    memcpy(p->res.hash, p->hash, TZ_HASH_BYTES);
    return 0;
}

/** Two installations with one identity: the second one's words stay in its outbox. 1, negative. */
static int hold_fork(struct apply *p, struct tz_signed_result *out)
{
    p->res.outcome = TZ_OUT_HELD;
    p->res.code = TZ_E_FORKED;
    for (size_t i = 0; i < p->cs->nops; i++)
        p->ops[i].outcome = TZ_OUT_HELD;
    p->res.ops = p->ops;
    p->res.nops = p->cs->nops;
    int rc = sign_result(p->s, p->device, &p->res, p->a, out);
    return rc ? rc : 1;
}

/** A resend: 1 with the stored answer, 0 never seen, negative. A seq that was passed over as lost can only come from a
 * copy. */
static int answer_resend(struct apply *p, struct tz_signed_result *out)
{
    struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_RESULT_GET, p->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p->device);
    tz_stmt_bind_int(st, 2, p->cs->incarnation);
    tz_stmt_bind_int(st, 3, (int64_t)p->cs->seq);
    int rc = tz_stmt_step(st, p->err);
    if (rc != 1)
        return rc < 0 || p->cs->seq > p->dev.last_seq ? rc : hold_fork(p, out);
    bool same = tz_bytes_eq(tz_stmt_blob(st, 0), tz_bytes_of(p->hash, TZ_HASH_BYTES));
    if (same) {
        rc = copy_bytes(p->a, tz_stmt_blob(st, 2), &out->result);
        rc = rc ? rc : copy_bytes(p->a, tz_stmt_blob(st, 3), &out->mac);
        tz_stmt_reset(st);
        return rc ? rc : 1;
    }
    tz_stmt_reset(st);
    return hold_fork(p, out);
}

static int check_seq(struct apply *p)
{
    for (uint64_t seq = p->dev.last_seq + 1; seq < p->cs->seq; seq++) {
        struct tz_stmt *st = tz_store_sql(p->s, TZ_SQL_LOST_GET, p->err);
        if (!st)
            return TZ_E_DB;
        tz_stmt_bind_int(st, 1, p->device);
        tz_stmt_bind_int(st, 2, p->cs->incarnation);
        tz_stmt_bind_int(st, 3, (int64_t)seq);
        int rc = tz_stmt_step(st, p->err);
        tz_stmt_reset(st);
        if (rc < 0)
            return rc;
        if (rc == 0)
            return tz_err_setf(p->err, TZ_E_SEQ_HOLE, "%llu", (unsigned long long)seq);
    }
    return 0;
}

/** The next waiting changeset after @after, if it may be judged now. 1 judged, 0 no more, negative. */
static int release_next(struct apply *from, uint64_t *after, bool *released, struct results *out)
{
    struct tz_store *s = from->s;
    struct apply p = {.s = s, .device = from->device, .dev = from->dev, .a = from->a, .err = from->err, .j = from->j};
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_BACKLOG_NEXT, p.err);
    struct tz_bytes raw = {0};
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, p.device);
    tz_stmt_bind_int(st, 2, from->cs->incarnation);
    tz_stmt_bind_int(st, 3, (int64_t)*after);
    tz_stmt_bind_int(st, 4, TZ_OUT_WAITING);
    int rc = tz_stmt_step(st, p.err);
    if (rc == 1) {
        *after = (uint64_t)tz_stmt_int(st, 0);
        p.received.ms = tz_stmt_int(st, 2);
        p.offset_ms = tz_stmt_int(st, 3);
        rc = copy_bytes(p.a, tz_stmt_blob(st, 1), &raw);
        rc = rc ? rc : 1;
    }
    tz_stmt_reset(st);
    if (rc != 1)
        return rc;
    uint64_t blocker = 0;
    rc = apply_init(&p, raw);
    if (!rc) /* its own marks are not its blockers: they have its own seq */
        rc = tz_wait_find(&p, &blocker);
    if (rc || blocker)
        return rc ? rc : 1;
    struct tz_signed_result one;
    rc = tz_wait_run_seq(&p, TZ_SQL_BACKLOG_DROP, p.cs->seq);
    if (!rc)
        rc = tz_wait_run_seq(&p, TZ_SQL_BLOCKED_DROP_SEQ, p.cs->seq);
    if (!rc)
        rc = judge_now(&p, &one, released);
    if (!rc)
        rc = results_add(out, one);
    return rc ? rc : 1;
}

/** Passes in seq order, until one mends nothing more: a released CREATE may free earlier ones than itself. */
static int release_waiting(struct apply *p, struct results *out)
{
    bool released = true;
    int rc = 0;
    while (released && rc >= 0) {
        uint64_t after = 0;
        released = false;
        do
            rc = release_next(p, &after, &released, out);
        while (rc == 1);
    }
    return rc;
}

/** What runs ahead of the disk inside a group. */
struct group_state {
    tz_ver head;
    tz_hlc eff_max;
    uint64_t audit_n;
    uint8_t audit_hash[TZ_HASH_BYTES];
};

static struct group_state group_save(const struct tz_store *s)
{
    struct group_state g = {.head = s->group_head, .eff_max = s->group_eff_max, .audit_n = s->group_audit_n};
    memcpy(g.audit_hash, s->group_audit_hash, sizeof g.audit_hash);
    return g;
}

static void group_restore(struct tz_store *s, const struct group_state *was)
{
    s->group_head = was->head;
    s->group_eff_max = was->eff_max;
    s->group_audit_n = was->audit_n;
    memcpy(s->group_audit_hash, was->audit_hash, sizeof was->audit_hash);
}

/** Withdrawals first, since they may free the rest; undone when the changeset is refused. Leaves *blocker, or p->ops
 * judged. */
static int withdraw_and_judge(struct apply *p, uint64_t *blocker, bool *released, struct results *others)
{
    struct group_state was = group_save(p->s);
    int rc = tz_db_savepoint(p->s->db, p->err);
    if (rc)
        return rc;
    for (size_t i = 0; i < p->cs->nops && !rc; i++)
        if (p->cs->ops[i].kind == TZ_OP_WITHDRAW)
            rc = withdraw(p, p->cs->ops[i].target_seq, released, others);
    if (!rc)
        rc = tz_wait_find(p, blocker);
    if (!rc && !*blocker)
        rc = judge_all(p);
    if (rc)
        return undo(p, rc);
    if (p->res.outcome != TZ_OUT_REFUSED)
        return tz_db_release(p->s->db, p->err);
    group_restore(p->s, &was);
    others->n = 0;
    *released = false;
    return tz_db_rollback_to(p->s->db, p->err);
}

static int apply_new(struct apply *p, struct results *out)
{
    uint64_t blocker = 0;
    bool released = false;
    struct tz_signed_result own;
    struct results others = {.a = p->a};
    int rc = check_seq(p);
    if (!rc)
        rc = withdraw_and_judge(p, &blocker, &released, &others);
    if (!rc)
        rc = blocker ? put_aside(p, blocker, &own) : conclude(p, &own, &released);
    if (!rc)
        rc = results_add(out, own);
    for (size_t i = 0; i < others.n && !rc; i++)
        rc = results_add(out, others.v[i]);
    return rc || !released ? rc : release_waiting(p, out);
}

static int apply_checked(struct apply *p, struct results *out)
{
    struct tz_signed_result resent;
    int rc = tz_store_device_by_number(p->s, p->device, &p->dev, p->err);
    if (rc != 1)
        return rc < 0 ? rc : tz_err_set(p->err, TZ_E_REVOKED, NULL, NULL, NULL, NULL);
    if (p->dev.revoked)
        return tz_err_set(p->err, TZ_E_REVOKED, NULL, NULL, NULL, NULL);
    if (p->cs->device != p->device || p->cs->incarnation != p->dev.incarnation || p->cs->seq == 0)
        return tz_err_set(p->err, TZ_E_PROTOCOL, "changeset of another device", NULL, NULL, NULL);
    rc = answer_resend(p, &resent);
    if (rc == 1)
        return results_add(out, resent);
    return rc < 0 ? rc : apply_new(p, out);
}

/** An error leaves no trace: one peer's bad bytes must not undo the group. */
static int apply_or_nothing(struct apply *p, struct results *out, const struct group_state *was)
{
    int rc = apply_checked(p, out);
    if (!rc)
        return tz_db_release(p->s->db, p->err);
    struct tz_err ignored;
    if (tz_db_rollback_to(p->s->db, &ignored))
        return rc; /* the connection is beyond help; the group will be rolled back */
    group_restore(p->s, was);
    return rc;
}

int tz_store_apply(struct tz_store *s, const struct tz_apply_ctx *ctx, struct tz_bytes raw, struct tz_arena *a,
                   struct tz_apply_out *out, struct tz_err *err)
{
    struct tz_err local = {0};
    struct tz_arena scratch;
    struct results results = {.a = a};
    struct apply p = {.s = s,
                      .device = ctx->device,
                      .offset_ms = ctx->offset_ms,
                      .received = ctx->received,
                      .a = a,
                      .err = err ? err : &local};
    struct group_state was = group_save(s);
    tz_arena_init(&scratch, OP_SCRATCH_BYTES);
    s->ntouched = 0;
    *out = (struct tz_apply_out){0};
    p.j = tz_arena_calloc(a, 1, sizeof *p.j);
    int rc = p.j ? 0 : TZ_E_NOMEM;
    if (!rc) {
        p.j->a = &scratch;
        rc = apply_init(&p, raw);
    }
    if (!rc)
        rc = tz_db_savepoint(s->db, p.err);
    if (!rc)
        rc = apply_or_nothing(&p, &results, &was);
    tz_arena_deinit(&scratch);
    if (rc)
        return p.err->code ? rc : tz_err_set(err, rc, NULL, NULL, NULL, NULL);
    out->results = results.v;
    out->n = results.n;
    out->changed = s->group_head != was.head;
    out->areas = s->touched;
    out->nareas = s->ntouched <= TZ_TOUCHED_MAX ? s->ntouched : 0;
    return 0;
}
