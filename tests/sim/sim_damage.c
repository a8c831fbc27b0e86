/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bad sector, a tool somebody should not have used: confirmed rows of an office change beside every rule, and the
 * next session repairs them bucket by bucket. Nobody works on that machine in between, and its checkpoints are not held
 * against the server's history until the repair says that it is done; from then on all the ordinary checks hold again.
 */
#include "sim.h"

#include <stdio.h>
#include <string.h>

struct victim {
    const struct tz_type *type;
    struct tz_id id;
    uint64_t skip;
    bool found;
};

static int take_victim(void *ctx, const struct tz_row *row)
{
    struct victim *v = ctx;
    v->id = row->id;
    v->found = true;
    return v->skip-- > 0;
}

/** A live row of some type as the table has it: the view, where own edits are on top. */
static int pick(struct sim_client *c, struct sim_rng *r, struct victim *v, struct tz_err *err)
{
    *v = (struct victim){.type = &c->cat->types[sim_below(r, c->cat->ntypes)], .skip = sim_below(r, 12)};
    return tz_replica_each(tz_office_replica(c->office), v->type, take_victim, v, err);
}

static bool shadowed(struct sim_client *c, const struct victim *v)
{
    struct tz_stmt st = {0};
    bool found = !tz_db_prepare(tz_office_db(c->office), &st, "SELECT 1 FROM _shadow WHERE type=?1 AND id=?2", NULL);
    if (found) {
        tz_stmt_bind_int(&st, 1, v->type->id);
        tz_stmt_bind_id(&st, 2, &v->id);
        found = tz_stmt_step(&st, NULL) == 1;
    }
    tz_stmt_finalize(&st);
    return found;
}

/** The row with a text of its own changed, with another id, or gone. */
static int hurt_row(struct sim_client *c, struct sim_rng *r, const struct victim *v, struct tz_err *err)
{
    struct tz_replica *rep = tz_office_replica(c->office);
    struct tz_arena a;
    uint64_t how = sim_below(r, 4);
    tz_arena_init(&a, 4 << 20);
    struct tz_row *row = tz_arena_alloc(&a, sizeof *row);
    int rc = tz_replica_get(rep, v->type, v->id, &a, row, err);
    for (size_t i = 0; rc == 1 && how == 0 && i < v->type->nfields; i++)
        if (row->rec.v[i].kind == TZ_V_TEXT && v->type->fields[i].ftype == TZ_FT_STR)
            row->rec.v[i] = tz_value_text("damaged");
    if (rc == 1 && how == 1)
        row->id.b[1 + sim_below(r, 14)] ^= (uint8_t)(1 + sim_below(r, 255));
    if (rc == 1 && how == 2)
        row->ver += 1 + sim_below(r, 1000);
    if (rc == 1)
        rc = how == 3 ? tz_replica_drop(rep, v->type, v->id, err) : tz_replica_put(rep, row, err);
    tz_arena_deinit(&a);
    return rc;
}

/** Own edits on top: it is the confirmed image that is hurt. */
static int hurt_shadow(struct sim_client *c, struct sim_rng *r, const struct victim *v, struct tz_err *err)
{
    static const char *const how[] = {"body=x''", "body=x'ff'", "ver=ver+1", "state=0"};
    struct tz_stmt st = {0};
    char sql[128];
    (void)snprintf(sql, sizeof sql, "UPDATE _shadow SET %s WHERE type=?1 AND id=?2", how[sim_below(r, 4)]);
    int rc = tz_db_prepare(tz_office_db(c->office), &st, sql, err);
    if (!rc) {
        tz_stmt_bind_int(&st, 1, v->type->id);
        tz_stmt_bind_id(&st, 2, &v->id);
        rc = tz_stmt_run(&st, err);
    }
    tz_stmt_finalize(&st);
    return rc;
}

static int hurt(struct sim_client *c, struct sim_rng *r, struct tz_err *err)
{
    int rc = 0;
    for (uint64_t n = 1 + sim_below(r, 6); n && !rc; n--) {
        struct victim v;
        rc = pick(c, r, &v, err);
        if (rc || !v.found)
            continue;
        c->w->n.rows_damaged++;
        rc = shadowed(c, &v) ? hurt_shadow(c, r, &v, err) : hurt_row(c, r, &v, err);
    }
    return rc;
}

void sim_damage_act(struct sim_client *c, struct sim_rng *r)
{
    struct tz_office_status st;
    struct tz_err err = {0};
    if (!c->up || c->dev->raw || c->damaged || c->w->draining ||
        c->w->restores) /* in a recovery window a repair throws nothing away */
        return;
    if (tz_office_status(c->office, &st, &err) || st.filling || st.checkpoint == 0)
        return;
    c->hurt = true;
    c->damaged = true; /* whatever of it becomes durable */
    int rc = tz_db_begin_immediate(tz_office_db(c->office), &err);
    if (!rc) {
        rc = hurt(c, r, &err);
        rc = rc ? rc : tz_db_commit(tz_office_db(c->office), &err);
        if (rc)
            tz_db_rollback(tz_office_db(c->office));
    }
    if (sim_client_power(c))
        return;
    if (rc && !sim_full_explains(c->w, c->disk_full, rc))
        sim_fail(c->w, "%s: damaging it: %d %s", c->name, rc, err.trail);
    sim_trace(c->w, "  %u is damaged", c->index);
    sim_damage_repair(c);
}

/* ---- repair ---- */

static void on_repaired(void *ctx, const struct tz_repair_report *rep)
{
    struct sim_client *c = ctx;
    sim_trace(c->w, "  %u repaired: %d, %llu rows", c->index, rep->code, (unsigned long long)tz_repair_total(rep));
    c->repairing = false;
    c->w->n.rows_repaired += tz_repair_total(rep);
    if ((rep->n[TZ_REPAIR_KEPT] && !c->w->blind) || rep->n[TZ_REPAIR_UNFIT])
        sim_fail(c->w, "%s: a repair left something as it was", c->name);
    if (rep->code == 0) {
        c->damaged = false;
        c->repaired = true;
        c->w->n.repairs++;
    }
}

void sim_damage_repair(struct sim_client *c)
{
    if (!c->damaged || c->repairing || !c->sync || c->sync_closed || !tz_sync_caught_up(c->sync))
        return;
    if (tz_sync_repair(c->sync, false, on_repaired, c) == 0)
        c->repairing = true;
}
