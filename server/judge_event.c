/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps of procedures. The rule itself is common/db/event_rule.h; here it is asked about what stands, and what it
 * allows is written: the record with its new state, and the step in a record of its own, in the same version.
 *
 * Invariants
 *  1. A step names the state and the number of the last step that its author saw. First come, first served: whoever
 *     comes second is refused with what stands now; nothing is merged and no case is opened.
 *  2. Steps of a record are numbered 1, 2, 3 …; the opening is the first. The id of a step follows from the record and
 *     the number, so a replay makes the same.
 *  3. Numbers of a series (year and district) have no gaps: the counter moves in the savepoint of the op that got one.
 *  4. What a refusal names are codes of the catalogue, and records in the author's area only.
 */
#include "event_rule.h"
#include "planted.h"
#include "store_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_SERIES = 10, NUMBER_DIGITS = 6 }; /* year and district; then the number */

static struct tz_event_author author(const struct tz_judge *j)
{
    return (struct tz_event_author){.user = j->edit.user, .role = j->role, .area = j->area, .city = j->city};
}

/** The day on which it happened, by the time that counts. */
static void day_of(const struct tz_judge *j, char out[11])
{
    tz_clock_today((struct tz_wall){tz_hlc_ms(j->edit.effective)}, out);
}

/** The rule said no: its words, where the result finds them. */
static int refuse(struct tz_judge *j, const struct tz_event_out *out)
{
    (void)tz_judge_refuse(j, out->code, NULL, NULL);
    for (size_t i = 0; i < out->nargs; i++) {
        j->res.args[i] = tz_arena_strdup(j->out, out->args[i]);
        if (!j->res.args[i])
            return TZ_E_NOMEM;
    }
    j->res.nargs = out->nargs;
    return 0;
}

/* ---- the record of a step ---- */

/** What its author says about a step, beside the record's fields: what the type of steps leaves to people. 0, 1
 * refused. */
static int take_note(struct tz_judge *j, const struct tz_op *op, const struct tz_type *e, struct tz_record *note)
{
    struct tz_err why = {0};
    int rc = tz_record_decode(e, op->note, j->a, note, &why);
    if (rc)
        return tz_judge_refuse(j, TZ_E_BAD_OP, e->name, NULL), 1;
    rc = tz_judge_known_fields(j, &(struct tz_op){.kind = op->kind}, e, note);
    for (size_t i = 0; i < e->nfields && !rc; i++) {
        const struct tz_field *f = &e->fields[i];
        if (note->v[i].kind == TZ_V_NULL)
            continue;
        if (f->editors == TZ_ED_S || f->required == TZ_REQ_SAVE)
            return tz_judge_refuse(j, TZ_E_NO_RIGHT_FIELD, f->name, NULL), 1;
        if (tz_value_check(f, note->v[i], false, &why))
            return tz_judge_refuse(j, TZ_E_VALUE, f->name, NULL), 1;
    }
    return rc;
}

static void put(struct tz_record *rec, const char *name, struct tz_value v)
{
    const struct tz_field *f = tz_type_field(rec->type, name);
    if (f && tz_ftype_kind(f->ftype) == v.kind)
        rec->v[f->index] = v;
}

static struct tz_id step_id(const struct tz_type *e, struct tz_id item, uint64_t seq)
{
    uint8_t key[TZ_ID_BYTES + 8];
    memcpy(key, item.b, TZ_ID_BYTES);
    for (int i = 0; i < 8; i++)
        key[TZ_ID_BYTES + i] = (uint8_t)(seq >> (56 - 8 * i));
    return tz_store_fixed_id(e->name, tz_bytes_of(key, sizeof key));
}

static struct tz_value blob_of(struct tz_judge *j, struct tz_id id)
{
    uint8_t *copy = tz_arena_dup(j->a, id.b, TZ_ID_BYTES);
    return copy ? tz_value_blob(copy, TZ_ID_BYTES) : tz_value_null();
}

static struct tz_value state_value(const struct tz_type *t, int state)
{
    return state < 0 ? tz_value_null() : tz_value_text(t->fields[t->state_field].en->values[state].code);
}

/** Write step @seq of @item. @op NULL: the opening. */
static int record_step(struct tz_judge *j, const struct tz_row *item, const struct tz_event_out *out,
                       const struct tz_op *op, const struct tz_record *note, uint64_t seq)
{
    const struct tz_type *t = item->rec.type;
    const struct tz_type *e = t->event_type;
    struct tz_row *row = tz_arena_calloc(j->a, 1, sizeof *row);
    struct tz_stamps none;
    if (!row)
        return TZ_E_NOMEM;
    if (note)
        row->rec = *note;
    else
        tz_record_init(&row->rec, e);
    row->id = step_id(e, item->id, seq);
    row->born = j->edit.ver;
    row->area = item->area;
    row->rec.v[e->area_field] = blob_of(j, item->id);
    put(&row->rec, "action", tz_value_text(out->step->action));
    put(&row->rec, "from_state", state_value(t, out->from));
    put(&row->rec, "to_state", state_value(t, out->to));
    put(&row->rec, "actor", blob_of(j, j->edit.user));
    put(&row->rec, "unit", blob_of(j, out->unit));
    put(&row->rec, "at_device", tz_value_int((int64_t)tz_hlc_ms(j->claimed)));
    put(&row->rec, "received_at", tz_value_int(j->received.ms));
    put(&row->rec, "expected_state", tz_value_text(op ? op->expected_state : ""));
    put(&row->rec, "expected_seq", tz_value_int(op ? (int64_t)op->expected_seq : 0));
    put(&row->rec, "seq", tz_value_int((int64_t)seq));
    if (row->rec.v[e->area_field].kind == TZ_V_NULL)
        return TZ_E_NOMEM;
    if (tz_judge_size(j, &row->rec))
        return 0;
    tz_stamps_init(&none, j->a);
    return tz_judge_put(j, row, &none);
}

/* ---- EVENT ---- */

/** Fields that the step changed are of this version. */
static int stamp_changes(struct tz_judge *j, const struct tz_record *was, const struct tz_row *row,
                         struct tz_stamps *stamps)
{
    const struct tz_type *t = row->rec.type;
    int rc = 0;
    for (size_t i = 0; i < t->nfields && !rc; i++)
        if (i == t->state_field || !tz_value_eq(was->v[i], row->rec.v[i]))
            rc = tz_stamps_set(stamps, (struct tz_stamp){.field = t->fields[i].id, .ver = j->edit.ver});
    return rc;
}

static int ask_rule(struct tz_judge *j, const struct tz_op *op, struct tz_row *row, const struct tz_record *in,
                    const bool *names, const struct tz_record *note, struct tz_trail *trail, struct tz_event_out *out)
{
    struct tz_event_author who = author(j);
    struct tz_event_ask ask = {.action = op->action,
                               .expected_state = op->expected_state,
                               .expected_seq = op->expected_seq,
                               .in = in,
                               .names = names};
    const struct tz_type *e = row->rec.type->event_type;
    ask.opinion = note->v[tz_type_field(e, "opinion")->index].kind != TZ_V_NULL;
    ask.evidence = tz_event_evidence(note->v[tz_type_field(e, "evidence")->index]);
    day_of(j, ask.today);
    int rc = tz_trail_read(j->s->rep, row->rec.type, row->id, j->a, trail, j->err);
    return rc ? rc : tz_event_judge(j->s->rep, &who, row, trail, &ask, j->a, out, j->err);
}

static int carry_out(struct tz_judge *j, const struct tz_op *op, struct tz_row *row, struct tz_stamps *stamps,
                     const struct tz_record *in, const bool *names, const struct tz_record *note)
{
    struct tz_record *was = tz_arena_dup(j->a, &row->rec, sizeof *was);
    struct tz_event_out out;
    struct tz_trail trail;
    int rc = was ? ask_rule(j, op, row, in, names, note, &trail, &out) : TZ_E_NOMEM;
    if (rc || out.code)
        return rc ? rc : refuse(j, &out);
    rc = tz_judge_size(j, &row->rec);
    if (!rc)
        rc = tz_judge_refs(j, row->rec.type, in, names);
    if (rc)
        return rc < 0 ? rc : 0;
    rc = stamp_changes(j, was, row, stamps);
    if (!rc)
        rc = tz_judge_put(j, row, stamps);
    return rc ? rc : record_step(j, row, &out, op, note, tz_trail_seq(&trail) + 1);
}

int tz_judge_event(struct tz_judge *j, const struct tz_op *op, const struct tz_type *t)
{
    struct tz_row *row = tz_arena_alloc(j->a, sizeof *row);
    struct tz_record *in = tz_arena_alloc(j->a, sizeof *in);
    struct tz_record *note = tz_arena_alloc(j->a, sizeof *note);
    bool names[TZ_FIELDS_MAX];
    struct tz_stamps stamps;
    if (!row || !in || !note)
        return TZ_E_NOMEM;
    if (!t->nsteps)
        return tz_judge_refuse(j, TZ_E_EVENTS_LATER, t->name, NULL);
    int rc = tz_judge_load(j, t, op->id, row, &stamps);
    if (rc < 0)
        return rc;
    if (rc == 0 || !tz_judge_in_area(j, &row->area))
        return tz_judge_refuse(j, TZ_E_UNKNOWN_RECORD, NULL, NULL);
    if (row->deleted)
        return tz_judge_refuse(j, TZ_E_DELETED, NULL, NULL);
    rc = tz_judge_values(j, op, t, in, names);
    if (!rc)
        rc = take_note(j, op, t->event_type, note);
    if (rc)
        return rc < 0 ? rc : 0;
    if (op->ncleared) /* a step says what is, not what is not */
        return tz_judge_refuse(j, TZ_E_BAD_OP, t->name, NULL);
    return carry_out(j, op, row, &stamps, in, names, note);
}

/* ---- openings ---- */

static int next_number(struct tz_judge *j, const struct tz_row *row, const char *prefix, const char **out)
{
    char day[11];
    char series[NUMBER_SERIES + 8];
    char number[64];
    struct tz_stmt *st = tz_store_sql(j->s, TZ_SQL_NUMBER_NEXT, j->err);
    if (!st)
        return TZ_E_DB;
    tz_clock_today(j->received, day); /* the year in which it is given */
    (void)snprintf(series, sizeof series, "%.4s%s", day, row->area.district[0] ? row->area.district : TZ_CITY_CODE);
    tz_stmt_bind_int(st, 1, row->rec.type->id);
    tz_stmt_bind_text(st, 2, series);
    int rc = tz_stmt_step(st, j->err);
    if (rc == 1) {
        long long n = tz_stmt_int(st, 0) - (TZ_PLANTED(NUMBER_REPEATED) && tz_stmt_int(st, 0) > 1);
        (void)snprintf(number, sizeof number, "%s%s%06lld", prefix, series, n);
        rc = tz_stmt_run(st, j->err);
        tz_store_numbered(j->s, row->rec.type->id, series);
    }
    *out = rc ? NULL : tz_arena_strdup(j->out, number);
    return rc < 0 ? rc : *out ? 0 : TZ_E_NOMEM;
}

/** A number of a series, @digits with the series before it, is taken: the next one is above it. */
static int use_number(struct tz_judge *j, const struct tz_row *row, const char *digits)
{
    char series[NUMBER_SERIES + 1] = "";
    struct tz_stmt *st = tz_store_sql(j->s, TZ_SQL_NUMBER_USED, j->err);
    if (!st)
        return TZ_E_DB;
    memcpy(series, digits, NUMBER_SERIES);
    tz_stmt_bind_int(st, 1, row->rec.type->id);
    tz_stmt_bind_text(st, 2, series);
    tz_stmt_bind_int(st, 3, strtoll(digits + NUMBER_SERIES, NULL, 10));
    tz_store_numbered(j->s, row->rec.type->id, series);
    return tz_stmt_run(st, j->err);
}

/** Its maker is told the number. */
static int tell_number(struct tz_judge *j, const struct tz_row *row, size_t field)
{
    struct tz_given *given = tz_arena_calloc(j->out, 1, sizeof *given);
    struct tz_record *one = tz_arena_alloc(j->a, sizeof *one);
    struct tz_buf b;
    if (!given || !one)
        return TZ_E_NOMEM;
    tz_record_init(one, row->rec.type);
    one->v[field] = row->rec.v[field];
    tz_buf_init(&b, TZ_TEXT_BYTES_MAX);
    int rc = tz_record_encode(one, &b);
    struct tz_bytes body = tz_buf_unread(&b);
    uint8_t *copy = rc ? NULL : tz_arena_dup(j->out, body.p, body.n);
    tz_buf_deinit(&b);
    if (!copy)
        return rc ? rc : TZ_E_NOMEM;
    *given = (struct tz_given){row->rec.type->fields[field].id, tz_bytes_of(copy, body.n)};
    j->res.given = given;
    j->res.ngiven = 1;
    return 0;
}

/** Handed in again after a restore: the number it had, which nobody else gets any more. 1, 0 none, negative. */
static int former_number(struct tz_judge *j, const struct tz_row *row, const struct tz_step_effect *number,
                         const char **out)
{
    const struct tz_field *f = &row->rec.type->fields[number->field];
    struct tz_record *rec = j->was && j->was->ngiven ? tz_arena_alloc(j->a, sizeof *rec) : NULL;
    size_t prefix = strlen(number->prefix);
    for (size_t i = 0; rec && i < j->was->ngiven; i++) {
        if (j->was->given[i].field != f->id || tz_record_decode(row->rec.type, j->was->given[i].value, j->a, rec, NULL))
            continue;
        struct tz_value v = rec->v[number->field];
        if (v.kind != TZ_V_TEXT || v.n != prefix + NUMBER_SERIES + NUMBER_DIGITS)
            continue;
        *out = tz_arena_dup(j->out, v.p, v.n);
        if (!*out)
            return TZ_E_NOMEM;
        int rc = use_number(j, row, *out + prefix);
        return rc ? rc : 1;
    }
    return 0;
}

static int give_number(struct tz_judge *j, struct tz_row *row, const struct tz_step_effect *number)
{
    const char *text = NULL;
    int rc = former_number(j, row, number, &text);
    if (rc == 0)
        rc = next_number(j, row, number->prefix, &text);
    if (rc < 0)
        return rc;
    row->rec.v[number->field] = tz_value_text(text);
    return tell_number(j, row, number->field);
}

int tz_judge_opening(struct tz_judge *j, struct tz_row *row, bool decided)
{
    struct tz_event_author who = author(j);
    struct tz_event_out out;
    struct tz_stamps none;
    char day[11];
    day_of(j, day);
    who.decides = decided;
    int rc = tz_event_open(j->s->rep, &who, &row->rec, day, j->a, &out, j->err);
    if (rc || out.code)
        return rc ? rc : refuse(j, &out);
    if (out.number)
        rc = give_number(j, row, out.number);
    if (!rc)
        rc = tz_judge_size(j, &row->rec);
    if (rc)
        return rc < 0 ? rc : 0;
    tz_stamps_init(&none, j->a);
    rc = tz_judge_put(j, row, &none);
    return rc ? rc : record_step(j, row, &out, NULL, NULL, 1);
}
