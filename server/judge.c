/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judging one op: who may, does it exist for them, do its references hold, then merge.
 *
 * Invariants
 *  1. Rights come from the server's tables (the user's grant), never from the message.
 *  2. A record outside the author's area and one that never existed give the same answer, byte for byte.
 *  3. A refused op leaves no trace in the records; the caller rolls its savepoint back.
 *  4. Nothing a device sends is repaired: a value that is not canonical is refused, so is a field that this catalogue
 *     lacks: nobody could say here who may write it, or what it wins against.
 *  5. What follows from the data alone is an answer to the op, never a LOCAL error: that would undo everybody's group,
 *     and the same bytes would do it again.
 */
#include "event_rule.h"
#include "lost_int.h"
#include "planted.h"
#include "set.h"
#include "store_int.h"

#include <stdio.h>
#include <string.h>

int tz_judge_refuse(struct tz_judge *j, int code, const char *arg1, const char *arg2)
{
    j->res.outcome = TZ_OUT_REFUSED;
    j->res.code = code;
    j->res.nargs = arg1 ? (arg2 ? 2 : 1) : 0;
    j->res.args[0] = arg1;
    j->res.args[1] = arg2;
    j->res.ncases = 0;
    return 0;
}

bool tz_judge_in_area(const struct tz_judge *j, const struct tz_area *record)
{
    return j->city || tz_area_covers(&j->area, record) || TZ_PLANTED(AREA_UNCHECKED);
}

int tz_judge_apart(struct tz_judge *j, int (*fn)(struct tz_judge *j, void *ctx), void *ctx)
{
    struct tz_arena *const outer = j->a;
    struct tz_arena a;
    tz_arena_init(&a, outer->budget_bytes);
    j->a = &a;
    int rc = tz_rows_code(&a, fn(j, ctx));
    j->a = outer;
    tz_arena_deinit(&a);
    return rc;
}

struct tz_commit tz_judge_commit_of(void *judge, tz_ver ver)
{
    struct tz_judge *j = judge;
    if (ver == j->edit.ver)
        return (struct tz_commit){ver,          j->edit.device,    j->edit.incarnation, j->edit.seq,
                                  j->edit.user, j->edit.effective, j->edit.old_ver};
    return tz_store_commit_of(j->s, ver);
}

/** A base beyond what exists claims everything and proves nothing: it counts as having seen nothing, so that cases keep
 * what it hits. One that a restore undid saw up to the backup. */
static tz_ver seen_base(const struct tz_judge *j, tz_ver said)
{
    return said <= j->s->group_head ? tz_lost_floor(j->s, said) : 0;
}

tz_ver tz_judge_checkpoint(const struct tz_judge *j)
{
    return seen_base(j, j->cs->base_checkpoint);
}

/** Rows an author may name: in the area, or the city's own (which everybody reads). */
static bool readable(const struct tz_judge *j, const struct tz_area *record)
{
    return record->district[0] == '\0' || tz_judge_in_area(j, record);
}

int tz_judge_load(struct tz_judge *j, const struct tz_type *t, struct tz_id id, struct tz_row *row,
                  struct tz_stamps *stamps)
{
    struct tz_id survivor;
    int rc = tz_replica_get(j->s->rep, t, id, j->a, row, j->err);
    if (rc == 1 && row->deleted && !TZ_PLANTED(ALIAS_FORGOTTEN)) {
        rc = tz_alias_get(j->s, t, id, &survivor, j->err);
        if (rc >= 0)
            rc = rc ? tz_replica_get(j->s->rep, t, survivor, j->a, row, j->err) : 1;
    }
    if (rc <= 0)
        return rc;
    if (!readable(j, &row->area))
        return 0;
    tz_stamps_init(stamps, j->a);
    rc = tz_stamps_decode(stamps, row->stamps);
    return rc ? rc : 1;
}

bool tz_judge_draft(const struct tz_row *row)
{
    const struct tz_field *status = tz_type_field(row->rec.type, "status");
    return status && status->dflt.kind != TZ_V_NULL && tz_value_eq(row->rec.v[status->index], status->dflt);
}

static bool creator_exception(const struct tz_judge *j, const struct tz_type *t, const struct tz_field *f)
{
    const struct tz_field *status = tz_type_field(t, "status");
    return j->role->editor == TZ_ED_F && status && status->dflt.kind != TZ_V_NULL && f != status &&
           (f->editors & ~(unsigned)TZ_ED_S) != 0;
}

bool tz_judge_may_edit(const struct tz_judge *j, const struct tz_row *row, const struct tz_field *f)
{
    if (f->editors & j->role->editor)
        return true;
    /* late: whether somebody has taken the record over since is not for its author to know */
    return creator_exception(j, row->rec.type, f) && (j->late || tz_judge_draft(row)) &&
           tz_id_device(row->id) == j->edit.device;
}

bool tz_judge_may_merge(const struct tz_judge *j, const struct tz_row *row, const struct tz_field *f)
{
    return (f->editors & j->role->editor) || (creator_exception(j, row->rec.type, f) && tz_judge_draft(row));
}

void tz_judge_writes(struct tz_judge *j, const struct tz_row *row)
{
    j->target_type = row->rec.type;
    j->target = row->id;
}

int tz_judge_size(struct tz_judge *j, const struct tz_record *rec)
{
    return tz_rows_bytes(rec) <= TZ_ROW_BYTES_MAX ? 0 : (tz_judge_refuse(j, TZ_E_LIMIT, rec->type->name, NULL), 1);
}

int tz_judge_put(struct tz_judge *j, struct tz_row *row, const struct tz_stamps *stamps)
{
    struct tz_buf packed;
    tz_buf_init(&packed, 64 * 1024);
    int rc = tz_stamps_encode(stamps, &packed);
    if (!rc) {
        struct tz_bytes b = tz_buf_unread(&packed);
        uint8_t *copy = tz_arena_dup(j->a, b.p, b.n);
        if (copy)
            row->stamps = tz_bytes_of(copy, b.n);
        else
            rc = TZ_E_NOMEM;
    }
    tz_buf_deinit(&packed);
    if (rc)
        return tz_err_set(j->err, rc, NULL, NULL, NULL, NULL);
    struct tz_row *old = tz_arena_alloc(j->a, sizeof *old);
    if (!old)
        return tz_err_set(j->err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    int found = tz_replica_get(j->s->rep, row->rec.type, row->id, j->a, old, j->err);
    if (found < 0)
        return found;
    j->wrote = true;
    rc = tz_duplicate_note(j, row, found ? old : NULL);
    return rc ? rc : tz_rows_put(j->s, row, found ? old : NULL, j->edit.ver, j->a, j->err);
}

/* ---- what the op carries ---- */

int tz_judge_known_fields(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t,
                          const struct tz_record *in)
{
    struct tz_wire_iter it = {in->extra};
    struct tz_wire_field unknown;
    char text[16];
    bool lacks = in->extra.n && tz_wire_next(&it, &unknown) == 1;
    uint32_t number = lacks ? unknown.number : 0;
    for (size_t i = 0; i < op->ncleared && !lacks; i++) {
        number = op->cleared[i];
        lacks = !tz_type_field_id(t, number);
    }
    if (!lacks)
        return 0;
    (void)snprintf(text, sizeof text, "%u", number);
    char *arg = tz_arena_strdup(j->out, text);
    return arg ? (tz_judge_refuse(j, TZ_E_UNKNOWN_FIELD, t->name, arg), 1) : TZ_E_NOMEM;
}

int tz_judge_values(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t, struct tz_record *in,
                    bool *names)
{
    struct tz_err why = {0};
    memset(names, 0, t->nfields * sizeof *names);
    int rc = tz_record_decode(t, op->values, j->a, in, &why);
    if (rc)
        return tz_judge_refuse(j, TZ_E_BAD_OP, t->name, NULL), 1;
    rc = tz_judge_known_fields(j, op, t, in);
    if (rc)
        return rc;
    for (size_t i = 0; i < t->nfields; i++) {
        if (in->v[i].kind == TZ_V_NULL)
            continue;
        names[i] = true;
        if (tz_value_check(&t->fields[i], in->v[i], false, &why))
            return tz_judge_refuse(j, TZ_E_VALUE, t->fields[i].name, NULL), 1;
    }
    for (size_t i = 0; i < op->ncleared; i++) {
        const struct tz_field *f = tz_type_field_id(t, op->cleared[i]);
        if (!f)
            return TZ_E_INTERNAL; /* known_fields let it pass */
        if (names[f->index])
            return tz_judge_refuse(j, TZ_E_BAD_OP, t->name, NULL), 1;
        names[f->index] = true;
    }
    return j->late ? 0
                   : tz_merge_redirect(j, in, names); /* late: what became of a record since is not for its author */
}

/** What a record may not be saved without. A device of an older catalogue may not know that it is asked for. */
bool tz_judge_required(const struct tz_judge *j, const struct tz_field *f)
{
    return f->required == TZ_REQ_SAVE && !(f->editors & TZ_ED_S) && j->cs->catalogue_version >= j->s->cat->version;
}

int tz_judge_set_rights(struct tz_judge *j, const struct tz_row *row, const struct tz_record *in, const bool *names)
{
    const struct tz_type *t = row->rec.type;
    for (size_t i = 0; i < t->nfields; i++) {
        if (!names[i])
            continue;
        if (t->fields[i].merge == TZ_MERGE_EVENTS)
            return tz_judge_refuse(j, TZ_E_EVENTS_LATER, t->name, NULL), 1;
        if (t->fields[i].merge == TZ_MERGE_SET) /* what its writer had not seen cannot be told from what he took out */
            return tz_judge_refuse(j, TZ_E_BAD_OP, t->name, NULL), 1;
        if (!tz_judge_may_edit(j, row, &t->fields[i]))
            return tz_judge_refuse(j, TZ_E_NO_RIGHT_FIELD, t->fields[i].name, NULL), 1;
        if (in->v[i].kind == TZ_V_NULL && tz_judge_required(j, &t->fields[i]))
            return tz_judge_refuse(j, TZ_E_REQUIRED, t->fields[i].name, NULL), 1;
    }
    return 0;
}

/* ---- references ---- */

/** Did the author know that the target was deleted? */
static bool saw_deletion(struct tz_judge *j, const struct tz_row *target, const struct tz_stamps *stamps)
{
    struct tz_edit e = j->edit;
    e.base_ver = tz_judge_checkpoint(j);
    e.old_base = tz_lost_is(j->s, j->cs->base_checkpoint) ? j->cs->base_checkpoint : 0;
    e.base_seq = j->cs->seq - 1;
    return tz_merge_saw(&e, tz_stamps_get(stamps, TZ_FIELD_DELETED, 0, target->born), tz_judge_commit_of, j);
}

static int check_ref(struct tz_judge *j, const struct tz_record *rec, const struct tz_field *f, struct tz_id id)
{
    const struct tz_type *target = f->ref ? f->ref : tz_rows_ref_type(j->s->cat, rec, f);
    struct tz_row *row = tz_arena_alloc(j->a, sizeof *row);
    struct tz_stamps stamps;
    if (!row)
        return TZ_E_NOMEM;
    int found = target ? tz_judge_load(j, target, id, row, &stamps) : 0;
    if (found < 0)
        return found;
    if (!found)
        return tz_judge_refuse(j, TZ_E_REF, f->name, NULL), 1;
    if (!row->deleted || f->on_delete == TZ_OD_IGNORES || TZ_PLANTED(PARENT_STAYS_DELETED))
        return 0;
    if (saw_deletion(j, row, &stamps))
        return tz_judge_refuse(j, TZ_E_REF, f->name, NULL), 1;
    if (!tz_judge_in_area(j, &row->area)) /* the city's: not his to bring back; the reference shows a deleted record */
        return 0;
    return tz_judge_revive(j, row, &stamps, 0);
}

struct one_ref {
    const struct tz_record *rec;
    const struct tz_field *f;
    struct tz_id id;
};

static int check_one_ref(struct tz_judge *j, void *ctx)
{
    const struct one_ref *r = ctx;
    return check_ref(j, r->rec, r->f, r->id);
}

static int check_refs_list(struct tz_judge *j, const struct tz_record *rec, const struct tz_field *f,
                           struct tz_value list)
{
    /* canonical: ["32 hex","32 hex",…] */
    for (size_t at = 2; at + TZ_ID_HEX <= list.n; at += TZ_ID_HEX + 3) {
        char hex[TZ_ID_HEX + 1];
        struct tz_id id;
        memcpy(hex, list.p + at, TZ_ID_HEX);
        hex[TZ_ID_HEX] = '\0';
        if (tz_id_parse(hex, &id))
            return tz_judge_refuse(j, TZ_E_VALUE, f->name, NULL), 1;
        int rc = tz_judge_apart(j, check_one_ref, &(struct one_ref){rec, f, id});
        if (rc)
            return rc;
    }
    return 0;
}

int tz_judge_refs(struct tz_judge *j, const struct tz_type *t, const struct tz_record *rec, const bool *names)
{
    for (size_t i = 0; i < t->nfields; i++) {
        const struct tz_field *f = &t->fields[i];
        struct tz_value v = rec->v[i];
        if (!names[i] || v.kind == TZ_V_NULL)
            continue;
        int rc = 0;
        if (f->ftype == TZ_FT_REF || f->ftype == TZ_FT_REF_ANY) {
            struct tz_id id;
            memcpy(id.b, v.p, sizeof id.b);
            rc = check_ref(j, rec, f, id);
        } else if (f->ftype == TZ_FT_REFS) {
            rc = check_refs_list(j, rec, f, v);
        }
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- create ---- */

static int create_rights(struct tz_judge *j, const struct tz_type *t, const struct tz_record *in, const bool *names)
{
    if (t->local || !(t->creators & j->role->editor))
        return tz_judge_refuse(j, TZ_E_NO_RIGHT_TYPE, t->name, NULL), 1;
    const struct tz_field *status = tz_type_field(t, "status");
    for (size_t i = 0; i < t->nfields; i++) {
        const struct tz_field *f = &t->fields[i];
        if (!names[i] || (f->editors & j->role->editor) || creator_exception(j, t, f))
            continue;
        if (f == status && tz_value_eq(in->v[i], f->dflt)) /* naming the default is not a choice */
            continue;
        if (t->append && (f->editors & TZ_ED_S)) /* computed on the device at the moment it happens */
            continue;
        if (t->district_field == (int)i) /* where it belongs is judged by area */
            continue;
        if (tz_event_is_link(t, f)) /* judged as a step */
            continue;
        return tz_judge_refuse(j, TZ_E_NO_RIGHT_FIELD, f->name, NULL), 1;
    }
    return 0;
}

static int create_complete(struct tz_judge *j, const struct tz_type *t, struct tz_record *in)
{
    for (size_t i = 0; i < t->nfields; i++) {
        const struct tz_field *f = &t->fields[i];
        if (in->v[i].kind == TZ_V_NULL && f->dflt.kind != TZ_V_NULL)
            in->v[i] = f->dflt;
        if (in->v[i].kind == TZ_V_NULL && tz_judge_required(j, f))
            return tz_judge_refuse(j, TZ_E_REQUIRED, f->name, NULL), 1;
    }
    return 0;
}

int tz_judge_new_rights(struct tz_judge *j, const struct tz_type *t, struct tz_record *in, const bool *names)
{
    int rc = create_rights(j, t, in, names);
    return rc ? rc : create_complete(j, t, in);
}

static int judge_create(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t)
{
    struct tz_row *row = tz_arena_calloc(j->a, 1, sizeof *row);
    bool names[TZ_FIELDS_MAX];
    if (!row)
        return TZ_E_NOMEM;
    if (tz_id_device(op->id) != j->edit.device)
        return tz_judge_refuse(j, TZ_E_ID_MAKER, NULL, NULL);
    if ((op->kind == TZ_OP_APPEND) != t->append)
        return tz_judge_refuse(j, TZ_E_BAD_OP, t->name, NULL);
    int rc = tz_judge_values(j, op, t, &row->rec, names);
    if (!rc)
        rc = tz_judge_new_rights(j, t, &row->rec, names);
    if (!rc)
        rc = tz_judge_size(j, &row->rec);
    if (!rc)
        rc = tz_judge_refs(j, t, &row->rec, names);
    if (!rc)
        rc = tz_judge_area(j, row);
    if (rc)
        return rc < 0 ? rc : 0;
    struct tz_row *old = tz_arena_alloc(j->a, sizeof *old);
    if (!old)
        return TZ_E_NOMEM;
    int exists = tz_replica_get(j->s->rep, t, op->id, j->a, old, j->err);
    bool buried = exists == 1;
    if (exists == 1) {
        exists = tz_lost_make(j, row, old, names);
        if (exists != 1)
            return exists;
    } else if (exists == 0) {
        exists = tz_purged_get(j->s, t, op->id, old, j->err);
        if (exists)
            return exists < 0 ? exists : tz_judge_refuse(j, TZ_E_EXISTS, NULL, NULL);
    }
    row->id = op->id;
    row->born = j->edit.ver;
    tz_judge_writes(j, row);
    struct tz_stamps none;
    tz_stamps_init(&none, j->a);
    rc = t->nsteps ? tz_judge_opening(j, row, false) : tz_judge_put(j, row, &none);
    return rc || !buried || j->res.outcome == TZ_OUT_REFUSED ? rc : tz_lost_made(j, row, old);
}

/* ---- set ---- */

static bool differs(const struct tz_row *row, const struct tz_record *in, const bool *names)
{
    for (size_t i = 0; i < row->rec.type->nfields; i++)
        if (names[i] && !tz_value_eq(row->rec.v[i], in->v[i]))
            return true;
    return false;
}

/** An edit of a deleted record: 0 go on (now live), 1 answered, negative LOCAL. */
static int set_on_deleted(struct tz_judge *j, struct tz_row *row, struct tz_stamps *stamps, const struct tz_record *in,
                          const bool *names)
{
    if (tz_merge_saw(&j->edit, tz_stamps_get(stamps, TZ_FIELD_DELETED, 0, row->born), tz_judge_commit_of, j))
        return tz_judge_refuse(j, TZ_E_DELETED, NULL, NULL), 1;
    if (tz_merge_overtaken(&j->edit, (struct tz_stamp){.field = TZ_FIELD_DELETED}, NULL, j))
        return 1; /* handed in again: who deleted the record had seen it */
    if (!differs(row, in, names))
        return 1; /* equal to what the deleter saw: the deletion stands, nothing is lost */
    if (tz_stamps_get(stamps, TZ_FIELD_DELETED, 0, row->born).resolved) {
        int rc = tz_case_edit_of_deleted(j, row, in, names);
        j->res.outcome = TZ_OUT_SUPERSEDED;
        return rc ? rc : 1;
    }
    return tz_judge_revive(j, row, stamps, 0);
}

/** The record of an edit, if the author may see and its type allows it. 0 good, 1 refused, negative. */
static int load_editable(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t, struct tz_row *row,
                         struct tz_stamps *stamps)
{
    if (t->append)
        return tz_judge_refuse(j, TZ_E_APPEND_ONLY, t->name, NULL), 1;
    if (t->local)
        return tz_judge_refuse(j, TZ_E_NO_RIGHT_TYPE, t->name, NULL), 1;
    int rc = tz_judge_load(j, t, op->id, row, stamps);
    if (rc < 0)
        return rc;
    if (rc == 0) {
        rc = tz_purged_op(j, op, t);
        return rc ? rc : 1;
    }
    if (!tz_judge_in_area(j, &row->area))
        return tz_judge_refuse(j, TZ_E_UNKNOWN_RECORD, NULL, NULL), 1;
    tz_judge_writes(j, row);
    return 0;
}

/** The record was made by this device after the edit, which waited for that: version of its birth, else 0. */
static tz_ver own_birth(struct tz_judge *j, const struct tz_row *row)
{
    struct tz_commit c = j->waited ? tz_judge_commit_of(j, row->born) : (struct tz_commit){0};
    bool own = c.ver && c.device == j->edit.device && c.incarnation == j->edit.incarnation && c.seq > j->edit.seq;
    return own ? row->born : 0;
}

static int judge_set(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t)
{
    struct tz_row *row = tz_arena_alloc(j->a, sizeof *row);
    struct tz_record *in = tz_arena_alloc(j->a, sizeof *in);
    struct tz_merge_out *out = tz_arena_alloc(j->a, sizeof *out);
    struct tz_value *was = tz_arena_calloc(j->a, t->nfields, sizeof *was);
    bool names[TZ_FIELDS_MAX];
    struct tz_stamps stamps;
    if (!row || !in || !out || !was)
        return TZ_E_NOMEM;
    int rc = load_editable(j, op, t, row, &stamps);
    if (!rc)
        rc = tz_judge_values(j, op, t, in, names);
    if (!rc)
        rc = tz_judge_set_rights(j, row, in, names);
    if (!rc && row->deleted)
        rc = set_on_deleted(j, row, &stamps, in, names);
    if (rc)
        return rc < 0 ? rc : 0;
    j->edit.birth = own_birth(j, row);
    rc = tz_merge_set(t, &row->rec, row->born, &stamps, in, names, &j->edit, tz_judge_commit_of, j, out);
    if (rc)
        return rc;
    memcpy(was, row->rec.v, t->nfields * sizeof *was);
    memcpy(row->rec.v, out->v, t->nfields * sizeof *out->v);
    rc = tz_judge_leave_street(j, row, &stamps, was, names, out);
    if (!rc)
        rc = tz_judge_size(j, &row->rec);
    if (!rc)
        rc = tz_judge_area(j, row);
    if (!rc)
        rc = tz_merge_circle(j, row, names);
    if (!rc)
        rc = tz_judge_refs(j, t, &row->rec, names);
    if (rc)
        return rc < 0 ? rc : 0;
    if (out->changed)
        rc = tz_judge_put(j, row, &stamps);
    if (!rc)
        rc = tz_case_losses(j, row, out->loss, out->nlosses);
    if (!rc && out->changed)
        rc = tz_case_refresh(j, row);
    if (!rc && out->superseded)
        j->res.outcome = TZ_OUT_SUPERSEDED;
    return rc;
}

/* ---- elements of sets ---- */

int tz_judge_elements_rights(struct tz_judge *j, const struct tz_op *op, const struct tz_row *row,
                             const struct tz_field **out)
{
    const struct tz_type *t = row->rec.type;
    const struct tz_field *f = tz_type_field_id(t, op->field);
    *out = f;
    if (f && f->merge == TZ_MERGE_EVENTS)
        return tz_judge_refuse(j, TZ_E_EVENTS_LATER, t->name, NULL), 1;
    if (!f || f->merge != TZ_MERGE_SET || op->nelements == 0)
        return tz_judge_refuse(j, TZ_E_BAD_OP, t->name, NULL), 1;
    for (size_t i = 0; i < op->nelements; i++)
        if (tz_set_element_wrong(f, op->elements[i]))
            return tz_judge_refuse(j, TZ_E_VALUE, f->name, NULL), 1;
    return tz_judge_may_edit(j, row, f) ? 0 : (tz_judge_refuse(j, TZ_E_NO_RIGHT_FIELD, f->name, NULL), 1);
}

/** References that an ADD brings. 0 good, 1 refused, negative. */
static int check_element_refs(struct tz_judge *j, const struct tz_op *op, const struct tz_record *rec,
                              const struct tz_field *f)
{
    int rc = 0;
    for (size_t i = 0; i < op->nelements && !rc && f->ftype == TZ_FT_REFS && op->kind == TZ_OP_ADD; i++) {
        char hex[TZ_ID_HEX + 1] = "";
        struct tz_id id;
        memcpy(hex, op->elements[i].p, TZ_ID_HEX);
        rc = tz_id_parse(hex, &id) ? TZ_E_INTERNAL : tz_judge_apart(j, check_one_ref, &(struct one_ref){rec, f, id});
    }
    return rc;
}

/** On a deleted record they count like an edit of the whole set. */
static int elements_on_deleted(struct tz_judge *j, const struct tz_op *op, struct tz_row *row, struct tz_stamps *stamps,
                               const struct tz_field *f)
{
    struct tz_record *in = tz_arena_dup(j->a, &row->rec, sizeof *in);
    bool names[TZ_FIELDS_MAX] = {false};
    names[f->index] = true;
    int rc = in ? tz_set_put(row->rec.v[f->index], op->elements, op->nelements, op->kind == TZ_OP_ADD, j->a,
                             &in->v[f->index])
                : TZ_E_NOMEM;
    return rc ? rc : set_on_deleted(j, row, stamps, in, names);
}

static int judge_elements(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t)
{
    struct tz_row *row = tz_arena_alloc(j->a, sizeof *row);
    struct tz_elements_out out;
    struct tz_stamps stamps;
    const struct tz_field *f = NULL;
    if (!row)
        return TZ_E_NOMEM;
    int rc = load_editable(j, op, t, row, &stamps);
    if (!rc)
        rc = tz_judge_elements_rights(j, op, row, &f);
    if (!rc && row->deleted)
        rc = elements_on_deleted(j, op, row, &stamps, f);
    if (rc)
        return rc < 0 ? rc : 0;
    rc = tz_merge_elements(f, row->rec.v[f->index], row->born, &stamps, op->kind == TZ_OP_ADD, op->elements,
                           op->nelements, &j->edit, tz_judge_commit_of, j, j->a, &out);
    if (rc)
        return rc == TZ_E_LIMIT ? tz_judge_refuse(j, TZ_E_LIMIT, f->name, NULL) : rc;
    row->rec.v[f->index] = out.v;
    if (out.v.kind == TZ_V_NULL && tz_judge_required(j, f))
        return tz_judge_refuse(j, TZ_E_REQUIRED, f->name, NULL);
    rc = tz_judge_size(j, &row->rec);
    if (!rc)
        rc = check_element_refs(j, op, &row->rec, f);
    if (rc)
        return rc < 0 ? rc : 0;
    if (out.superseded)
        j->res.outcome = TZ_OUT_SUPERSEDED;
    return out.changed ? tz_judge_put(j, row, &stamps) : 0;
}

/* ---- dispatch ---- */

static int judge_known(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t)
{
    switch (op->kind) {
    case TZ_OP_CREATE:
    case TZ_OP_APPEND:
        return judge_create(j, op, t);
    case TZ_OP_SET:
        return judge_set(j, op, t);
    case TZ_OP_DELETE:
        return tz_judge_delete(j, op, t);
    case TZ_OP_RESTORE:
        return tz_judge_restore(j, op, t);
    case TZ_OP_RESOLVE:
        return tz_judge_resolve(j, op);
    case TZ_OP_EVENT:
        return tz_judge_event(j, op, t);
    case TZ_OP_ADD:
    case TZ_OP_REMOVE:
        return judge_elements(j, op, t);
    case TZ_OP_MERGE:
        return tz_judge_merge(j, op, t);
    case TZ_OP_UNMERGE:
        return tz_judge_unmerge(j, op, t);
    case TZ_OP_VOID:
    case TZ_OP_WITHDRAW:
    case TZ_OP_NONE:
    default:
        return tz_judge_refuse(j, TZ_E_BAD_OP, t->name, NULL);
    }
}

/** What followed from the data is the op's answer; anything else stays an error of this machine. */
static int answer_or_error(struct tz_judge *j, int rc, size_t row_bytes)
{
    rc = tz_rows_code(j->a, rc);
    if (rc == TZ_E_LIMIT) {
        const char *what = j->err && j->err->code == TZ_E_LIMIT && j->err->nargs ? j->err->args[0] : "op";
        char *arg = tz_arena_strdup(j->out, what);
        if (j->err)
            *j->err = (struct tz_err){0};
        rc = arg ? tz_judge_refuse(j, TZ_E_LIMIT, arg, NULL) : TZ_E_NOMEM;
    }
    if (rc < 0 || j->res.outcome == TZ_OUT_REFUSED) {
        j->s->ndistricts = 0; /* one of them may be undone with it */
        j->s->row_bytes = row_bytes;
    }
    if (rc < 0 && j->err && j->err->code == 0)
        tz_err_set(j->err, rc, NULL, NULL, NULL, NULL);
    return rc;
}

bool tz_judge_last(const struct tz_changeset *cs, const struct tz_op *op)
{
    const struct tz_op *next = op + 1;
    while (next < cs->ops + cs->nops && next->kind == TZ_OP_WITHDRAW)
        next++;
    return cs->independent || next == cs->ops + cs->nops;
}

int tz_judge_op(struct tz_judge *j, const struct tz_op *op)
{
    memset(&j->res, 0, sizeof j->res);
    j->res.outcome = TZ_OUT_APPLIED;
    j->res.cases = j->case_ids;
    if (op == j->cs->ops)
        j->s->row_bytes = 0;
    if (op == j->cs->ops || j->cs->independent)
        j->nclaims = j->checked = 0;
    j->target_type = NULL;
    if (op->kind == TZ_OP_WITHDRAW) /* carried out by the apply step, which owns the backlog */
        return 0;
    j->edit.base_ver = seen_base(j, op->base_ver);
    j->edit.old_base = tz_lost_is(j->s, op->base_ver) ? op->base_ver : 0;
    j->edit.base_seq = op->base_seq < j->cs->seq ? op->base_seq : j->cs->seq;
    const struct tz_type *t = tz_catalogue_type_id(j->s->cat, op->type);
    if (!t)
        return tz_judge_refuse(j, TZ_E_UNKNOWN_TYPE, "?", NULL);
    size_t row_bytes = j->s->row_bytes;
    struct tz_merged *merged = j->merged;
    j->s->row_bytes_max = TZ_CHANGESET_ROW_BYTES_MAX;
    int rc = judge_known(j, op, t);
    if (j->target_type == t && j->res.outcome != TZ_OUT_REFUSED && !tz_id_eq(j->target, op->id))
        j->res.alias_of = j->target;
    if (!rc && j->res.outcome != TZ_OUT_REFUSED)
        rc = tz_lost_answered(j);
    if (!rc && j->res.outcome != TZ_OUT_REFUSED && tz_judge_last(j->cs, op))
        rc = tz_duplicate_check(j);
    j->s->row_bytes_max = 0;
    rc = answer_or_error(j, rc, row_bytes);
    if (j->res.outcome == TZ_OUT_REFUSED) {
        j->res.alias_of = (struct tz_id){{0}};
        j->merged = merged;
    }
    return rc;
}
