/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer that speaks the protocol by hand: it never pulls, asks nobody before it edits, guesses ids, and names whatever
 * base it likes. What it makes is valid as bytes; whether it is allowed is the server's question.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK = 4 };

static void send(struct sim_client *c, uint8_t type, uint16_t lane, struct tz_buf *b)
{
    sim_net_send(c->w, c->conn, SIM_CLIENT, type, lane, tz_buf_unread(b));
    tz_buf_deinit(b);
}

void sim_raw_start(struct sim_client *c)
{
    struct tz_buf b;
    tz_buf_init(&b, 4096);
    struct tz_msg_hello h = {.protocol = TZ_PROTOCOL_VERSION,
                             .software = "raw",
                             .catalogue_version = c->w->server.cat->version,
                             .incarnation = 1,
                             .wall_ms = sim_server_wall(c->w).ms + c->skew_ms,
                             .last_seq = c->raw.next_seq - 1};
    c->raw.welcomed = false;
    c->raw.in_flight = 0;
    c->raw.sent = c->raw.answered;
    if (tz_msg_put_hello(&b, &h))
        sim_fail(c->w, "raw hello");
    send(c, TZ_MSG_HELLO, TZ_LANE_CONTROL, &b);
}

static void push(struct sim_client *c)
{
    struct sim_raw *r = &c->raw;
    while (c->conn && r->welcomed && r->sent + 1 < r->next_seq && r->in_flight < TZ_PUSH_IN_FLIGHT_MAX) {
        struct tz_bytes raw[CHUNK];
        size_t n = 0;
        while (n < CHUNK && r->sent + 1 < r->next_seq) {
            const struct sim_saved *s = &c->saved[r->sent++];
            raw[n++] = tz_bytes_of(s->raw, s->n);
        }
        struct tz_buf b;
        tz_buf_init(&b, TZ_FRAME_BODY_MAX);
        if (tz_msg_put_push(&b, raw, n))
            sim_fail(c->w, "raw push");
        r->flight[r->in_flight++].upto = r->sent;
        send(c, TZ_MSG_PUSH, TZ_LANE_UP, &b);
    }
}

static void results(struct sim_client *c, struct tz_bytes body)
{
    struct tz_arena a;
    struct tz_err err = {0};
    struct tz_signed_result *v;
    size_t n = 0;
    tz_arena_init(&a, 4 << 20);
    if (tz_msg_read_results(body, &a, &v, &n, &err))
        sim_fail(c->w, "raw results: %d", err.code);
    for (size_t i = 0; i < n && !c->w->failed; i++) {
        struct tz_result r;
        if (tz_msg_read_result(v[i].result, &a, &r, &err))
            sim_fail(c->w, "raw result: %d", err.code);
        else if (r.seq == c->raw.answered + 1)
            c->raw.answered++;
    }
    tz_arena_deinit(&a);
    struct sim_raw *r = &c->raw;
    while (r->in_flight && r->flight[0].upto <= r->answered) {
        memmove(&r->flight[0], &r->flight[1], (--r->in_flight) * sizeof r->flight[0]);
    }
    push(c);
}

/** The next unasked Results may come. */
static void ping(struct sim_client *c)
{
    struct tz_buf b;
    tz_buf_init(&b, 64);
    if (tz_msg_put_ping(&b, 1))
        sim_fail(c->w, "raw ping");
    send(c, TZ_MSG_PING, TZ_LANE_CONTROL, &b);
}

void sim_raw_on_frame(struct sim_client *c, const struct tz_frame *f)
{
    struct tz_arena a;
    struct tz_err err = {0};
    if (f->type == TZ_MSG_WELCOME) {
        c->raw.welcomed = true;
        push(c);
    } else if (f->type == TZ_MSG_RESULTS && c->raw.welcomed) {
        results(c, f->body);
        if (tz_msg_results_unasked(f->body))
            ping(c);
    } else if (f->type == TZ_MSG_ERROR) {
        struct tz_msg_error e;
        tz_arena_init(&a, 65536);
        if (tz_msg_read_error(f->body, &a, &e, &err) == 0 && e.fatal && e.code != TZ_E_TIMEOUT &&
            e.code != TZ_E_GRANT_CHANGED && (e.code != TZ_E_SERVER_TROUBLE || !c->w->n.disk_full) &&
            e.code != TZ_E_DRAINING)
            sim_fail(c->w, "%s was told %d %s", c->name, e.code, e.nargs ? e.args[0] : "");
        tz_arena_deinit(&a);
    } else if (f->type == TZ_MSG_PING) {
        struct tz_buf b;
        tz_buf_init(&b, 64);
        if (tz_buf_put(&b, f->body.p, f->body.n))
            sim_fail(c->w, "raw pong");
        send(c, TZ_MSG_PONG, TZ_LANE_CONTROL, &b);
    }
}

bool sim_raw_quiet(const struct sim_client *c)
{
    return c->raw.answered + 1 == c->raw.next_seq;
}

/* ---- what it makes ---- */

struct making {
    struct sim_client *c;
    struct sim_rng *r;
    struct tz_arena *a;
    struct tz_op ops[6];
    size_t nops;
};

static struct tz_bytes body_of(struct making *m, const struct tz_record *rec)
{
    struct tz_buf b;
    tz_buf_init(&b, TZ_ROW_BYTES_MAX);
    if (tz_record_encode(rec, &b))
        sim_fail(m->c->w, "raw encode");
    struct tz_bytes u = tz_buf_unread(&b);
    uint8_t *copy = tz_arena_dup(m->a, u.p, u.n);
    struct tz_bytes out = tz_bytes_of(copy, copy ? u.n : 0);
    tz_buf_deinit(&b);
    return out;
}

static void make_create(struct making *m)
{
    struct sim *w = m->c->w;
    static const char *const TYPES[] = {"organisation", "branch", "person", "coverage", "visit",
                                        "meeting",      "user",   "case",   "weak_case"};
    const struct tz_type *t = tz_catalogue_type(w->server.cat, TYPES[sim_below(m->r, sizeof TYPES / sizeof *TYPES)]);
    struct tz_id id = tz_id_make(&m->c->raw.maker,
                                 tz_clock_wall(&(struct tz_clock){.wall = sim_client_clock(m->c).wall, .ctx = m->c}));
    if (sim_chance(m->r, 4))
        id.b[15] ^= 1; /* somebody else's */
    if (w->nrecords && sim_chance(m->r, 4))
        id = w->records[sim_below(m->r, w->nrecords)].id;
    unsigned rec = sim_record_add(w, sim_type_in(w->cat, t), id, m->c->index);
    struct tz_record *in = tz_arena_calloc(m->a, 1, sizeof *in);
    tz_record_init(in, t);
    for (size_t i = 0; i < t->nfields; i++) {
        const struct tz_field *f = &t->fields[i];
        bool keep_out = (f->editors & TZ_ED_S && sim_chance(m->r, 97)) || f->merge == TZ_MERGE_EVENTS;
        if (!keep_out && (f->required == TZ_REQ_SAVE ? sim_chance(m->r, 97) : sim_chance(m->r, 25)))
            in->v[i] = sim_value(w, m->r, f, m->a, rec);
        if (t->district_field == (int)i && sim_chance(m->r, 90))
            in->v[i] = tz_value_textn(m->c->area, 6);
    }
    m->ops[m->nops++] = (struct tz_op){.kind = t->append != sim_chance(m->r, 2) ? TZ_OP_APPEND : TZ_OP_CREATE,
                                       .type = t->id,
                                       .id = id,
                                       .values = body_of(m, in)};
}

static void make_set(struct making *m, const struct sim_record *target, unsigned number)
{
    struct tz_record *in = tz_arena_calloc(m->a, 1, sizeof *in);
    uint32_t *cleared = tz_arena_calloc(m->a, 4, sizeof *cleared);
    struct tz_op *op = &m->ops[m->nops++];
    const struct tz_type *t = sim_type_in(m->c->w->server.cat, target->type);
    tz_record_init(in, t);
    *op = (struct tz_op){.kind = TZ_OP_SET, .type = t->id, .id = target->id, .cleared = cleared};
    for (unsigned k = 1 + (unsigned)sim_below(m->r, 3); k > 0; k--) {
        const struct tz_field *f = &t->fields[sim_below(m->r, t->nfields)];
        if (f->group) /* the as-of date goes with its group */
            in->v[t->groups[f->group - 1].as_of] =
                sim_value(m->c->w, m->r, &t->fields[t->groups[f->group - 1].as_of], m->a, number);
        if (sim_chance(m->r, 85) || in->v[f->index].kind != TZ_V_NULL || op->ncleared)
            in->v[f->index] = sim_value(m->c->w, m->r, f, m->a, number);
        else
            cleared[op->ncleared++] = f->id;
    }
    for (size_t i = 0; i < op->ncleared; i++)
        in->v[tz_type_field_id(t, cleared[i])->index] = tz_value_null();
    op->values = body_of(m, in);
}

/** Elements of some field, which may be a set. */
static void make_elements(struct making *m, const struct sim_record *target)
{
    static const char *const WORDS[] = {"team_incomplete", "support_weak", "secretary_unfit", "no such", ""};
    struct tz_bytes *el = tz_arena_calloc(m->a, 2, sizeof *el);
    const struct tz_field *f = tz_type_field(target->type, "categories");
    if (!f || sim_chance(m->r, 5))
        f = &target->type->fields[sim_below(m->r, sim_type_in(m->c->w->server.cat, target->type)->nfields)];
    for (int i = 0; i < 2; i++)
        el[i] = tz_bytes_str(WORDS[sim_below(m->r, sim_chance(m->r, 95) ? 3 : 5)]);
    m->ops[m->nops++] = (struct tz_op){.kind = sim_chance(m->r, 50) ? TZ_OP_ADD : TZ_OP_REMOVE,
                                       .type = target->type->id,
                                       .id = target->id,
                                       .field = f->id,
                                       .elements = el,
                                       .nelements = sim_below(m->r, 20) ? 1 + sim_below(m->r, 2) : 0};
}

/** A decision about some case, about whatever field it may be. */
static bool make_resolve(struct making *m)
{
    struct sim *w = m->c->w;
    const struct tz_type *t = tz_catalogue_type(w->cat, "organisation");
    struct tz_record *in = tz_arena_calloc(m->a, 1, sizeof *in);
    struct tz_op op = {.kind = TZ_OP_RESOLVE, .type = tz_catalogue_type(w->cat, "case")->id};
    if (!sim_check_any(w, m->r, tz_catalogue_type(w->cat, "case"), &op.id))
        return false;
    tz_record_init(in, t);
    static const char *const FIELDS[] = {"name", "address", "employees", "full_members", "status", "district_code"};
    const struct tz_field *f = tz_type_field(t, FIELDS[sim_below(m->r, sizeof FIELDS / sizeof *FIELDS)]);
    in->v[f->index] = sim_value(w, m->r, f, m->a, 999999); /* nobody's marker */
    op.generation = sim_chance(m->r, 80) ? 1 : 2;
    op.choice = TZ_CHOICE_TYPED;
    op.deleted = sim_chance(m->r, 50);
    if (sim_chance(m->r, 40))
        op.field = TZ_FIELD_DELETED;
    else
        op.values = body_of(m, in);
    m->ops[m->nops++] = op;
    return true;
}

/** Two records of a type that met before, or will: in this order or the other, together or apart. */
static void make_merge(struct making *m, const struct sim_record *one)
{
    struct sim *w = m->c->w;
    const struct sim_record *other = one;
    for (int tries = 0; tries < 20 && (other == one || other->type != one->type); tries++)
        other = &w->records[sim_below(m->r, w->nrecords < 24 ? w->nrecords : 24)];
    m->ops[m->nops++] = (struct tz_op){.kind = sim_chance(m->r, 60) ? TZ_OP_MERGE : TZ_OP_UNMERGE,
                                       .type = one->type->id,
                                       .id = one->id,
                                       .other_id = other->id};
}

static struct tz_id new_id(struct making *m)
{
    return tz_id_make(&m->c->raw.maker,
                      tz_clock_wall(&(struct tz_clock){.wall = sim_client_clock(m->c).wall, .ctx = m->c}));
}

/** A ledger item is opened, or a step of one is proposed. */
static bool make_ledger(struct making *m)
{
    struct sim *w = m->c->w;
    const struct tz_type *t = tz_catalogue_type(w->cat, "ledger_item");
    struct tz_record *in = tz_arena_calloc(m->a, 1, sizeof *in);
    struct tz_record *note = tz_arena_calloc(m->a, 1, sizeof *note);
    bool names[TZ_FIELDS_MAX] = {false};
    struct sim_stepping x;
    if (sim_chance(m->r, 30) || !sim_ledger_step(w, m->r, m->c->area, &x)) {
        if (!sim_ledger_open(w, m->r, t, m->c->area, (unsigned)w->nrecords, m->a, in))
            return false;
        struct tz_id id = new_id(m);
        (void)sim_record_add(w, t, id, m->c->index);
        m->ops[m->nops++] = (struct tz_op){.kind = TZ_OP_CREATE, .type = t->id, .id = id, .values = body_of(m, in)};
        return true;
    }
    unsigned number = (unsigned)(x.item - w->records);
    sim_ledger_say(w, m->r, t, x.step, number, m->a, in, names);
    tz_record_init(note, t->event_type);
    const struct tz_field *opinion = tz_type_field(t->event_type, "opinion");
    if (sim_chance(m->r, 85))
        note->v[opinion->index] = sim_value(w, m->r, opinion, m->a, number);
    if (sim_chance(m->r, 80))
        note->v[tz_type_field(t->event_type, "evidence")->index] = tz_value_text(number % 8 ? SIM_EVIDENCE : "[]");
    if (sim_chance(m->r, 2))
        note->v[tz_type_field(t->event_type, "seq")->index] = tz_value_int(7);
    m->ops[m->nops++] = (struct tz_op){.kind = TZ_OP_EVENT,
                                       .type = t->id,
                                       .id = x.item->id,
                                       .values = body_of(m, in),
                                       .action = x.step->action,
                                       .expected_state = x.state,
                                       .expected_seq = x.seq,
                                       .note = body_of(m, note)};
    return true;
}

static void make_op(struct making *m)
{
    struct sim *w = m->c->w;
    if (sim_chance(m->r, 30) && make_ledger(m))
        return;
    if (w->nrecords == 0 || sim_chance(m->r, 30)) {
        make_create(m);
        return;
    }
    unsigned number = (unsigned)sim_below(m->r, w->nrecords);
    const struct sim_record *target = &w->records[number];
    uint64_t pick = sim_below(m->r, 10);
    if (sim_chance(m->r, 8) && make_resolve(m))
        ;
    else if (sim_chance(m->r, strcmp(target->type->name, "weak_case") == 0 ? 70 : 2))
        make_elements(m, target);
    else if (tz_catalogue_role(w->cat, m->c->role)->supervises && sim_chance(m->r, 15))
        make_merge(m, target);
    else if (pick < 6)
        make_set(m, target, number);
    else
        m->ops[m->nops++] = (struct tz_op){.kind = pick < 8   ? TZ_OP_DELETE
                                                   : pick < 9 ? TZ_OP_RESTORE
                                                              : (enum tz_op_kind)(1 + sim_below(m->r, 11)),
                                           .type = target->type->id,
                                           .id = target->id};
    struct tz_op *op = &m->ops[m->nops - 1];
    if ((op->kind == TZ_OP_MERGE || op->kind == TZ_OP_UNMERGE) && tz_id_is_zero(op->other_id))
        op->other_id = w->records[sim_below(m->r, w->nrecords)].id;
    tz_ver head = w->server.ver_seen;
    uint64_t counter = head & ((UINT64_C(1) << TZ_VER_COUNTER_BITS) - 1);
    op->base_ver = sim_chance(m->r, 50) ? head : head - sim_below(m->r, counter < 30 ? counter : 30);
    op->base_seq = sim_below(m->r, m->c->raw.next_seq);
}

void sim_raw_act(struct sim_client *c, struct sim_rng *r)
{
    struct sim *w = c->w;
    struct tz_arena a;
    tz_arena_init(&a, 8 << 20);
    struct making m = {.c = c, .r = r, .a = &a};
    for (unsigned k = sim_chance(r, 75) ? 1 : 1 + (unsigned)sim_below(r, 4); k > 0; k--)
        make_op(&m);
    struct tz_changeset cs = {.device = c->dev->number,
                              .incarnation = 1,
                              .seq = c->raw.next_seq++,
                              .user = c->dev->users[0],
                              .hlc = tz_hlc_of(sim_server_wall(w).ms + c->skew_ms, 0),
                              .catalogue_version = w->server.cat->version,
                              .reason = "",
                              .independent = sim_chance(r, 25),
                              .base_checkpoint = sim_chance(r, 50) ? w->server.ver_seen : 0,
                              .ops = m.ops,
                              .nops = m.nops};
    if (sim_chance(r, 3) && w->nrecords)
        cs.user = w->records[0].id; /* nobody */
    struct tz_buf b;
    tz_buf_init(&b, TZ_CHANGESET_BYTES_MAX);
    if (tz_msg_put_changeset(&b, &cs))
        sim_fail(w, "raw changeset");
    struct tz_bytes u = tz_buf_unread(&b);
    sim_saves_add(c, cs.seq, u, true);
    w->n.raw_saves++;
    w->n.raw_ops += cs.nops;
    tz_buf_deinit(&b);
    tz_arena_deinit(&a);
    push(c);
}
