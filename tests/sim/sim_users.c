/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people do at an office: new records, edits (some long after they opened the form), deletions, restores,
 * decisions about cases, imports, and mistakes. sim_values.c says what they write.
 */
#include "sim.h"
#include "step.h"

#include <stdlib.h>
#include <string.h>

/* ---- one save ---- */

struct saving {
    struct sim_client *c;
    struct sim_rng *r;
    struct tz_save *s;
    struct tz_arena a;
    struct tz_err err;
    int rc;
    struct tz_id edited; /* what was on the screen, and since when */
    struct tz_seen seen;
};

static void begin(struct saving *x, struct sim_client *c, struct sim_rng *r, bool independent)
{
    struct tz_save_options o = {.reason = "", .independent = independent};
    memset(x, 0, sizeof *x);
    x->c = c;
    x->r = r;
    tz_arena_init(&x->a, 8 << 20);
    if (sim_chance(r, 15))
        o.user = c->dev->users[sim_below(r, c->dev->nusers)];
    x->rc = tz_save_begin(c->office, &o, &x->s, &x->err);
    c->saving = true;
}

/** A mistake that the client noticed is part of life; a broken database is not. */
static void judge_failure(struct saving *x)
{
    switch (x->err.code) {
    case TZ_E_DB:
    case TZ_E_DB_CORRUPT:
    case TZ_E_INTERNAL:
    case TZ_E_IO:
    case TZ_E_DB_FSYNC:
    case TZ_E_DISK_FULL:
    case TZ_E_NOMEM:
    case TZ_E_LIMIT:
        if (!tz_memdisk_is_off(x->c->disk) && !sim_full_explains(x->c->w, x->c->disk_full, x->err.code))
            sim_fail(x->c->w, "%s: a save failed: %d %s %s", x->c->name, x->err.code,
                     x->err.nargs ? x->err.args[0] : "", x->err.trail);
        break;
    default:
        x->c->w->n.invalid_kept_back++;
    }
}

/** An edit must not claim to have seen more than was on the screen: that would be a silent overwrite (P4). A later
 *  op of one save has seen the earlier ones. */
static void check_base(struct saving *x)
{
    struct sim_client *c = x->c;
    struct tz_changeset cs;
    struct tz_arena a;
    struct tz_err err = {0};
    if (tz_id_is_zero(x->edited) || c->nsaved == 0)
        return;
    tz_arena_init(&a, 4 << 20);
    const struct sim_saved *s = &c->saved[c->nsaved - 1];
    if (tz_msg_read_changeset(tz_bytes_of(s->raw, s->n), &a, &cs, &err))
        sim_fail(c->w, "%s saved a changeset that does not decode: %d", c->name, err.code);
    else
        for (size_t i = 0; i < cs.nops; i++) {
            bool at_once = cs.ops[i].base_seq > x->seen.seq; /* it saw the earlier ops of its own save */
            if (tz_id_eq(cs.ops[i].id, x->edited) && !at_once)
                sim_screen_check_base(c, &cs.ops[i], &x->seen);
            if ((cs.ops[i].kind == TZ_OP_SET || cs.ops[i].kind == TZ_OP_ADD || cs.ops[i].kind == TZ_OP_REMOVE) &&
                tz_id_eq(cs.ops[i].id, x->edited) &&
                (cs.ops[i].base_ver > x->seen.ver ||
                 (cs.ops[i].base_seq > x->seen.seq && (i == 0 || cs.ops[i].base_seq != cs.seq))))
                sim_fail(c->w,
                         "P4: %s seq %llu says it saw version %llu, own save %llu; on the screen were %llu, %llu (op "
                         "%zu of %zu)",
                         c->name, (unsigned long long)s->seq, (unsigned long long)cs.ops[i].base_ver & 0xFFFFFF,
                         (unsigned long long)cs.ops[i].base_seq, (unsigned long long)x->seen.ver & 0xFFFFFF,
                         (unsigned long long)x->seen.seq, i, cs.nops);
        }
    tz_arena_deinit(&a);
}

static bool finish(struct saving *x)
{
    struct sim_client *c = x->c;
    uint64_t seq = 0;
    size_t ops = 0;
    c->saving = false;
    if (x->rc) {
        if (x->s)
            tz_save_cancel(x->s);
    } else {
        ops = tz_save_ops(x->s);
        x->rc = tz_save_commit(x->s, &seq, &x->err);
    }
    if (x->rc)
        judge_failure(x);
    sim_trace(c->w, "  %u saves seq %llu: %d %s", c->index, (unsigned long long)seq, x->rc,
              x->rc && x->err.nargs ? x->err.args[0] : "");
    tz_arena_deinit(&x->a);
    bool ok = x->rc == 0;
    if (ok && seq) {
        c->w->n.saves++;
        c->w->n.ops += ops;
        sim_client_record(c, seq);
        check_base(x);
        if (c->sync)
            tz_sync_on_outbox(c->sync);
    }
    (void)sim_client_power(c);
    return ok && seq;
}

/* ---- creating ---- */

static struct tz_id create(struct saving *x, const char *type, struct tz_id parent)
{
    struct sim *w = x->c->w;
    const struct tz_type *t = tz_catalogue_type(x->c->cat, type);
    struct tz_id id = {{0}};
    unsigned number = sim_record_add(w, sim_type_in(w->cat, t), id, x->c->index);
    struct tz_record *in = tz_arena_calloc(&x->a, 1, sizeof *in);
    const struct tz_role *role = tz_catalogue_role(w->cat, x->c->role);
    tz_record_init(in, t);
    for (size_t i = 0; i < t->nfields && !x->rc; i++) {
        const struct tz_field *f = &t->fields[i];
        bool may = (f->editors & role->editor) != 0 || sim_chance(x->r, 1);
        bool want = f->required == TZ_REQ_SAVE ? f->dflt.kind == TZ_V_NULL : sim_chance(x->r, 25);
        if (may && want && f->merge != TZ_MERGE_EVENTS && (int)i != t->street_field)
            in->v[i] = sim_value(w, x->r, f, &x->a, number);
    }
    if (t->district_field >= 0)
        in->v[t->district_field] = sim_chance(x->r, 97) ? tz_value_textn(x->c->area, 6) : tz_value_text("120103");
    if (t->street_field >= 0 && strlen(x->c->area) == 9)
        in->v[t->street_field] = tz_value_textn(x->c->area, 9);
    if (!tz_id_is_zero(parent)) {
        struct tz_id *p = tz_arena_dup(&x->a, &parent, sizeof parent);
        in->v[t->area_field] = tz_value_blob(p->b, TZ_ID_BYTES);
    }
    if (!x->rc)
        x->rc = tz_save_create(x->s, in, &id, &x->err);
    if (!x->rc)
        sim_record_is(w, number, id);
    return id;
}

static unsigned editor_of(const struct sim_client *c)
{
    return tz_catalogue_role(c->w->cat, c->role)->editor;
}

static void act_create(struct sim_client *c, struct sim_rng *r)
{
    static const char *const OWN[] = {"organisation", "organisation", "organisation", "branch", "person"};
    struct saving x;
    begin(&x, c, r, false);
    (void)create(&x, OWN[sim_below(r, editor_of(c) == TZ_ED_F ? 3 : sizeof OWN / sizeof *OWN)], (struct tz_id){{0}});
    finish(&x);
}

static bool look(struct sim_client *c, const struct sim_record *x, struct tz_arena *a, struct tz_row *row,
                 struct tz_seen *seen)
{
    struct tz_err err = {0};
    bool pending;
    const struct tz_type *t = sim_type_in(c->cat, x->type);
    int rc = t ? tz_office_read(c->office, t, x->id, a, row, seen, &pending, &err) : 0;
    if (rc < 0 && !tz_memdisk_is_off(c->disk))
        sim_fail(c->w, "%s: reading: %d %s", c->name, rc, err.trail);
    if (rc == 1)
        sim_row_raise(c->w, row, a);
    if (rc == 1)
        sim_screen_check(c, row, seen);
    return rc == 1;
}

/** A record that this client has on its list. */
static const struct sim_record *pick_visible(struct sim_client *c, struct sim_rng *r, const char *type)
{
    const struct sim_record *found = NULL;
    struct tz_arena a;
    struct tz_seen seen;
    tz_arena_init(&a, 4 << 20);
    struct tz_row *row = tz_arena_alloc(&a, sizeof *row);
    for (int tries = 0; tries < 6 && !found && !c->w->failed; tries++) {
        const struct sim_record *x = sim_pick(c->w, r, type);
        if (x && look(c, x, &a, row, &seen))
            found = x;
    }
    tz_arena_deinit(&a);
    if (!found && sim_chance(r, 5))
        found = sim_pick(c->w, r, type);
    return found && sim_type_in(c->cat, found->type) ? found : NULL;
}

static void act_child(struct sim_client *c, struct sim_rng *r)
{
    static const char *const CHILD[][2] = {{"coverage", "organisation"}, {"visit", "organisation"},
                                           {"visit", "organisation"},    {"meeting", "branch"},
                                           {"weak_case", "branch"},      {"weak_case", "branch"}};
    const char *const *k = CHILD[editor_of(c) == TZ_ED_F ? 1 + sim_below(r, 3) : sim_below(r, 6)];
    const struct sim_record *p = pick_visible(c, r, k[1]);
    struct saving x;
    if (!p)
        return;
    begin(&x, c, r, false);
    (void)create(&x, k[0], p->id);
    finish(&x);
}

static void act_import(struct sim_client *c, struct sim_rng *r)
{
    struct saving x;
    begin(&x, c, r, true);
    for (unsigned n = 2 + (unsigned)sim_below(r, 4); n > 0 && !x.rc; n--)
        (void)create(&x, "organisation", (struct tz_id){{0}});
    if (finish(&x))
        c->w->n.independent++;
}

/* ---- editing ---- */

/** What everybody wants to correct. */
static const char *const HOT[] = {
    "name",      "address", "employees", "employees_on", "full_members",         "activists",
    "counts_on", "basis",   "phone",     "status",       "probationary_members", "categories"};

static void edit(struct saving *x, const struct sim_record *rec, const struct tz_seen *seen)
{
    struct sim *w = x->c->w;
    const struct tz_type *t = sim_type_in(x->c->cat, rec->type);
    const struct tz_role *role = tz_catalogue_role(w->cat, x->c->role);
    struct tz_record *in = tz_arena_calloc(&x->a, 1, sizeof *in);
    bool names[TZ_FIELDS_MAX] = {false};
    tz_record_init(in, t);
    for (unsigned k = 1 + (unsigned)sim_below(x->r, 3), tries = 0; k > 0 && tries < 60; tries++) {
        const struct tz_field *f = tz_type_field(t, HOT[sim_below(x->r, sizeof HOT / sizeof *HOT)]);
        if (tries == 0 && tz_type_field(t, "categories") && sim_chance(x->r, 60))
            f = tz_type_field(t, "categories");
        else if (!f || sim_chance(x->r, 30))
            f = &t->fields[sim_below(x->r, t->nfields)];
        bool place =
            (t->street_field == (int)f->index || t->district_field == (int)f->index) && role->editor != TZ_ED_C;
        if ((!(f->editors & role->editor) && !sim_chance(x->r, 1)) || (place && !sim_chance(x->r, 25)) ||
            names[f->index])
            continue;
        names[f->index] = true;
        if (sim_chance(x->r, 88) || f->required == TZ_REQ_SAVE)
            in->v[f->index] = sim_value(w, x->r, f, &x->a, (unsigned)(rec - w->records));
        k--;
    }
    x->edited = rec->id;
    x->seen = *seen;
    if (!x->rc)
        x->rc = tz_save_set(x->s, rec->id, seen, in, names, &x->err);
}

static void act_edit(struct sim_client *c, struct sim_rng *r)
{
    const struct sim_record *rec = sim_chance(r, 20) ? sim_pick_of(c->w, r, "weak_case") : NULL;
    if (!rec)
        rec = pick_visible(c, r, sim_chance(r, 65) || editor_of(c) == TZ_ED_C ? "organisation" : NULL);
    struct saving x;
    struct tz_row *row;
    struct tz_seen seen;
    if (!rec || rec->type->append)
        return;
    struct tz_arena a;
    tz_arena_init(&a, 4 << 20);
    row = tz_arena_alloc(&a, sizeof *row);
    if (look(c, rec, &a, row, &seen) && sim_chance(r, 50)) {
        begin(&x, c, r, false);
        edit(&x, rec, &seen);
        finish(&x);
    } else if (!sim_client_power(c)) {
        unsigned slot = (unsigned)sim_below(r, SIM_FORMS_MAX);
        struct sim_form *f = &c->forms[slot];
        if (!f->open && look(c, rec, &a, row, &seen)) {
            *f = (struct sim_form){true, rec->type, rec->id, seen, sim_rand(r)};
            sim_at(c->w, 200 + (int64_t)sim_below(r, 60000), SIM_EV_FORM_SAVE, c->index, slot);
        }
    }
    tz_arena_deinit(&a);
}

void sim_user_form_save(struct sim_client *c, unsigned slot)
{
    struct sim_form *f = &c->forms[slot];
    if (!c->up || !f->open)
        return;
    f->open = false;
    if (c->damaged)
        return;
    struct sim_rng r = {f->seed | 1};
    struct saving x;
    int n = sim_record_number(c->w, f->id);
    if (n < 0)
        return;
    begin(&x, c, &r, false);
    edit(&x, &c->w->records[n], &f->seen);
    if (finish(&x))
        c->w->n.forms_late++;
}

/* ---- what a newer catalogue has ---- */

/** A record of a new type, or the new fields of an old one. */
static void act_new(struct sim_client *c, struct sim_rng *r)
{
    static const char *const FIELDS[] = {"slogan", "mascot", "motto", "team_name", "members"};
    bool team = sim_chance(r, 40);
    const struct sim_record *rec = team ? sim_pick_of(c->w, r, "volunteer_team") : pick_visible(c, r, "organisation");
    struct saving x;
    struct tz_seen seen;
    begin(&x, c, r, false);
    struct tz_record *in = tz_arena_calloc(&x.a, 1, sizeof *in);
    struct tz_row *row = tz_arena_alloc(&x.a, sizeof *row);
    bool names[TZ_FIELDS_MAX] = {false};
    if (!x.rc && team && (!rec || sim_chance(r, 30))) {
        (void)create(&x, "volunteer_team", (struct tz_id){{0}});
    } else if (!x.rc && rec && look(c, rec, &x.a, row, &seen)) {
        const struct tz_type *t = sim_type_in(c->cat, rec->type);
        tz_record_init(in, t);
        for (size_t i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++) {
            const struct tz_field *f = tz_type_field(t, FIELDS[i]);
            if (!f || !sim_chance(r, 60))
                continue;
            names[f->index] = true;
            in->v[f->index] = sim_value(c->w, r, f, &x.a, (unsigned)(rec - c->w->records));
        }
        x.edited = rec->id;
        x.seen = seen;
        x.rc = tz_save_set(x.s, rec->id, &seen, in, names, &x.err);
    }
    finish(&x);
}

/* ---- one record of two ---- */

struct redirects {
    const struct tz_type *redirect;
    struct tz_id keep, gone;
    size_t n;
    struct sim_rng *r;
};

/** Any of those that this office has heard of. */
static int note_redirect(void *ctx, const struct tz_row *row)
{
    struct redirects *x = ctx;
    struct tz_value keep = row->rec.v[tz_type_field(x->redirect, "target_id")->index];
    struct tz_value gone = row->rec.v[tz_type_field(x->redirect, "old_id")->index];
    char hex[TZ_ID_HEX + 1] = "";
    if (keep.kind != TZ_V_BLOB || gone.kind != TZ_V_TEXT || gone.n != TZ_ID_HEX || sim_below(x->r, ++x->n) != 0)
        return 1;
    memcpy(hex, gone.p, TZ_ID_HEX);
    memcpy(x->keep.b, keep.p, TZ_ID_BYTES);
    return tz_id_parse(hex, &x->gone) ? TZ_E_INTERNAL : 1;
}

/** A record that this office knows to be part of another; NULL when there is none. */
static const struct sim_record *pick_merged(struct sim_client *c, struct sim_rng *r, struct tz_id *keep)
{
    struct redirects x = {.redirect = tz_catalogue_type(c->cat, "redirect"), .r = r};
    struct tz_err err = {0};
    if (tz_replica_each(tz_office_replica(c->office), x.redirect, note_redirect, &x, &err) && !sim_client_power(c))
        sim_fail(c->w, "%s: redirects: %d", c->name, err.code);
    int n = x.n && c->up ? sim_record_number(c->w, x.gone) : -1;
    *keep = x.keep;
    return n < 0 ? NULL : &c->w->records[n];
}

static void act_unmerge(struct sim_client *c, struct sim_rng *r)
{
    struct tz_id keep;
    const struct sim_record *gone = pick_merged(c, r, &keep);
    struct saving x;
    if (!gone)
        return;
    begin(&x, c, r, false);
    if (!x.rc)
        x.rc = tz_save_merge(x.s, sim_type_in(c->cat, gone->type), keep, gone->id, false, &x.err);
    if (finish(&x))
        c->w->n.unmerges++;
}

static void act_merge(struct sim_client *c, struct sim_rng *r)
{
    static const char *const WHAT[] = {"organisation", "organisation", "organisation",
                                       "weak_case",    "branch",       "coverage"};
    const char *type = WHAT[sim_below(r, sizeof WHAT / sizeof *WHAT)];
    bool few = strcmp(type, "organisation") != 0;
    const struct sim_record *keep = few ? sim_pick_of(c->w, r, type) : pick_visible(c, r, type);
    const struct sim_record *gone = few ? sim_pick_of(c->w, r, type) : pick_visible(c, r, type);
    struct saving x;
    if (!keep || !gone || keep == gone)
        return;
    begin(&x, c, r, false);
    if (!x.rc)
        x.rc = tz_save_merge(x.s, sim_type_in(c->cat, keep->type), keep->id, gone->id, true, &x.err);
    if (finish(&x))
        c->w->n.merges++;
}

/* ---- life, and several at once ---- */

static void act_life(struct sim_client *c, struct sim_rng *r, bool restore)
{
    const struct sim_record *rec = sim_chance(r, 25) ? sim_pick_of(c->w, r, "weak_case") : NULL;
    struct tz_id ignored;
    struct tz_seen seen;
    struct saving x;
    if (restore && sim_chance(r, 25))
        rec = pick_merged(c, r, &ignored);
    if (!rec && c->up)
        rec = pick_visible(c, r, NULL);
    if (!rec)
        return;
    begin(&x, c, r, false);
    struct tz_row *row = tz_arena_alloc(&x.a, sizeof *row);
    if (!x.rc && !look(c, rec, &x.a, row, &seen))
        x.rc = tz_err_set(&x.err, TZ_E_UNKNOWN_RECORD, NULL, NULL, NULL, NULL);
    if (!x.rc)
        x.rc = restore ? tz_save_restore(x.s, sim_type_in(c->cat, rec->type), rec->id, &seen, &x.err)
                       : tz_save_delete(x.s, sim_type_in(c->cat, rec->type), rec->id, &seen, &x.err);
    finish(&x);
}

static void act_several(struct sim_client *c, struct sim_rng *r)
{
    struct saving x;
    begin(&x, c, r, false);
    struct tz_id org = create(&x, "organisation", (struct tz_id){{0}});
    if (!x.rc && sim_chance(r, 50))
        (void)create(&x, sim_chance(r, 50) ? "visit" : "coverage", org);
    for (int k = 0; k < 2 && !x.rc; k++) {
        const struct sim_record *rec = pick_visible(c, r, NULL);
        struct tz_row *row = tz_arena_alloc(&x.a, sizeof *row);
        struct tz_seen seen;
        if (rec && !rec->type->append && !tz_id_eq(rec->id, org) && look(c, rec, &x.a, row, &seen))
            edit(&x, rec, &seen);
    }
    finish(&x);
}

/* ---- cases ---- */

struct open_cases {
    struct tz_id ids[32];
    size_t n;
    const struct tz_field *state;
};

static int note_open(void *ctx, const struct tz_row *row)
{
    struct open_cases *o = ctx;
    bool open = tz_value_is_text(row->rec.v[o->state->index], "open");
    if (o->n < 32 && (open || o->n % 8 == 7))
        o->ids[o->n++] = row->id;
    return 1;
}

static void act_resolve(struct sim_client *c, struct sim_rng *r)
{
    const struct tz_type *t = tz_catalogue_type(c->cat, "case");
    struct open_cases open = {.state = tz_type_field(t, "state")};
    struct tz_err err = {0};
    struct saving x;
    if (tz_replica_each(tz_office_replica(c->office), t, note_open, &open, &err) && !sim_client_power(c))
        sim_fail(c->w, "%s: cases: %d", c->name, err.code);
    if (!c->up || open.n == 0)
        return;
    begin(&x, c, r, false);
    if (!x.rc)
        x.rc =
            tz_save_resolve(x.s, open.ids[sim_below(r, open.n)], sim_chance(r, 50) ? TZ_CHOICE_MINE : TZ_CHOICE_THEIRS,
                            (unsigned)sim_below(r, 2), NULL, NULL, &x.err);
    if (finish(&x))
        c->w->n.resolves++;
}

/* ---- taking back ---- */

/** Found again when the person looks for what hangs: an own save that has not left the machine. */
static int note_unsent(void *ctx, const struct tz_outbox_entry *e)
{
    if (e->outcome == TZ_OUT_NONE)
        *(uint64_t *)ctx = e->seq;
    return 1;
}

/** False: whoever sat there may not work on this machine any more. */
static bool withdraw_one(struct sim_client *c, struct sim_rng *r, uint64_t seq)
{
    struct saving x;
    begin(&x, c, r, false);
    if (!x.rc)
        x.rc = tz_save_withdraw(x.s, seq, &x.err);
    bool asked = !x.rc;
    bool saved = finish(&x);
    if (!c->up || !asked || x.rc)
        return x.rc != TZ_E_USER_DISABLED;
    c->saved[seq - 1].withdrawn = true;
    sim_client_emptied(c);
    c->w->n.withdrawn += saved;
    (void)sim_client_power(c);
    return true;
}

/** The newest save, if it has not been handed out. */
static void withdraw_unsent(struct sim_client *c, struct sim_rng *r)
{
    uint64_t seq = 0;
    struct tz_err err = {0};
    if (tz_office_outbox_each(c->office, false, note_unsent, &seq, &err) && !sim_client_power(c))
        sim_fail(c->w, "%s: outbox: %d %s", c->name, err.code, err.trail);
    if (c->up && seq)
        (void)withdraw_one(c, r, seq);
}

struct attention {
    uint64_t seqs[256];
    size_t n;
};

static int note_attention(void *ctx, const struct tz_outbox_entry *e)
{
    struct attention *a = ctx;
    if (a->n < 256)
        a->seqs[a->n++] = e->seq;
    return 1;
}

/** Those after @upto, oldest first; of many only so many that the server judges all that they free before it answers. */
static size_t leave_some(const struct sim_client *c, struct attention *a)
{
    enum { ANSWERS_A_PUSH = 200 }; /* each may free, or make wait for another, all the others */
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++)
        if (a->seqs[i] > c->taken_back_upto)
            a->seqs[n++] = a->seqs[i];
    size_t most = n * n <= ANSWERS_A_PUSH ? n : ANSWERS_A_PUSH / n + 1;
    a->n = most;
    return n - most;
}

bool sim_user_withdraw(struct sim_client *c, struct sim_rng *r, bool all)
{
    struct attention a = {.n = 0};
    struct tz_err err = {0};
    if (!c->up || c->dev->raw)
        return false;
    if (!all && sim_chance(r, 40)) {
        withdraw_unsent(c, r);
        return false;
    }
    if (tz_office_outbox_each(c->office, true, note_attention, &a, &err) && !sim_client_power(c))
        sim_fail(c->w, "%s: outbox: %d %s", c->name, err.code, err.trail);
    size_t left = all ? leave_some(c, &a) : 0;
    for (size_t i = 0; i < a.n && c->up; i++) {
        enum { TRIES = 16 }; /* somebody else of that machine does it, if anybody may */
        uint64_t seq = a.seqs[all ? i : sim_below(r, a.n)];
        c->taken_back_upto = all ? seq : c->taken_back_upto;
        for (int k = 0; k < TRIES && !withdraw_one(c, r, seq) && all && c->up; k++)
            ;
        if (!all)
            break;
    }
    return left > 0;
}

/* ---- ledger ---- */

static void open_item(struct saving *x)
{
    struct sim *w = x->c->w;
    const struct tz_type *t = tz_catalogue_type(x->c->cat, "ledger_item");
    struct tz_record *in = tz_arena_calloc(&x->a, 1, sizeof *in);
    struct tz_id id = {{0}};
    unsigned number = sim_record_add(w, sim_type_in(w->cat, t), id, x->c->index);
    if (x->rc || !sim_ledger_open(w, x->r, t, x->c->area, number, &x->a, in))
        return;
    x->rc = tz_save_create(x->s, in, &id, &x->err);
    if (!x->rc)
        sim_record_is(w, number, id);
}

/** A step from where the item is on this screen. */
static void take_step(struct saving *x)
{
    struct sim *w = x->c->w;
    struct sim_stepping want;
    struct tz_step_view view;
    struct tz_record *in = tz_arena_calloc(&x->a, 1, sizeof *in);
    bool names[TZ_FIELDS_MAX] = {false};
    if (x->rc)
        return;
    if (!sim_ledger_step(w, x->r, x->c->area, &want)) {
        open_item(x);
        return;
    }
    const struct tz_type *t = sim_type_in(x->c->cat, want.item->type);
    unsigned number = (unsigned)(want.item - w->records);
    int rc = tz_step_view(x->c->office, t, want.item->id, &x->a, &view, &x->err);
    if (rc < 0)
        x->rc = rc;
    if (rc <= 0)
        return;
    const struct tz_step *s = sim_ledger_step_from(t, tz_type_state(t, view.row->rec.v[t->state_field]), x->r);
    if (!s)
        return;
    sim_ledger_say(w, x->r, t, s, number, &x->a, in, names);
    struct tz_value words = sim_value(w, x->r, tz_type_field(t->event_type, "opinion"), &x->a, number);
    char *opinion = tz_arena_calloc(&x->a, 1, words.n + 1);
    memcpy(opinion, words.p, words.n);
    const struct tz_step_said said = {.action = s->action,
                                      .in = in,
                                      .names = names,
                                      .opinion = sim_chance(x->r, 90) ? opinion : NULL,
                                      .evidence = sim_chance(x->r, 85) ? SIM_EVIDENCE : NULL};
    x->rc = tz_save_step(x->s, t, want.item->id, &said, &x->err);
}

static void act_ledger(struct sim_client *c, struct sim_rng *r)
{
    struct saving x;
    begin(&x, c, r, false);
    (sim_chance(r, 25) ? open_item : take_step)(&x);
    finish(&x);
}

struct refused_saves {
    uint64_t seqs[8];
    size_t n;
};

static int note_refused(void *ctx, const struct tz_outbox_entry *e)
{
    struct refused_saves *a = ctx;
    if (e->outcome == TZ_OUT_REFUSED && a->n < sizeof a->seqs / sizeof *a->seqs)
        a->seqs[a->n++] = e->seq;
    return 1;
}

/** A step that came too late is offered again as things stand now; a save that is none says so. */
static void act_again(struct sim_client *c)
{
    struct refused_saves a = {.n = 0};
    struct tz_err err = {0};
    uint64_t last = 0;
    if (tz_office_outbox_each(c->office, true, note_refused, &a, &err) || a.n == 0)
        return;
    int rc = TZ_E_NO_STEP;
    for (size_t i = 0; i < a.n && rc == TZ_E_NO_STEP; i++)
        rc = tz_step_again(c->office, a.seqs[i], &last, &err);
    sim_trace(c->w, "  %u offers again: %d", c->index, rc);
    if (rc == 0) {
        c->w->n.again++;
        sim_client_record(c, last);
        if (c->sync)
            tz_sync_on_outbox(c->sync);
    }
    (void)sim_client_power(c);
}

/* ---- choosing ---- */

void sim_user_act(struct sim_client *c, struct sim_rng *r)
{
    if (!c->up || c->damaged || c->erased || c->area[0] == '\0') /* nothing is granted: there is nothing to work on */
        return;
    if (tz_catalogue_role(c->w->cat, c->role)->supervises && sim_chance(r, 30)) {
        if (sim_chance(r, 60))
            act_merge(c, r);
        else
            act_unmerge(c, r);
        return;
    }
    if (editor_of(c) != 0 && sim_chance(r, 16)) {
        if (sim_chance(r, 85))
            act_ledger(c, r);
        else
            act_again(c);
        return;
    }
    if (tz_catalogue_type(c->cat, "volunteer_team") && editor_of(c) == TZ_ED_D && sim_chance(r, 25)) {
        act_new(c, r);
        return;
    }
    uint64_t pick_what = sim_below(r, 100);
    if (editor_of(c) == TZ_ED_C)
        pick_what = 38 + pick_what * 34 / 100; /* the centre moves organisations, and seldom anything else */
    if (pick_what < 32 && c->w->nrecords > 30 && sim_chance(r, 60))
        pick_what = 40; /* later there is more to correct than to add */
    if (editor_of(c) == 0 && pick_what >= 10)
        return; /* a reader, mostly */
    if (pick_what < 16)
        act_create(c, r);
    else if (pick_what < 32)
        act_child(c, r);
    else if (pick_what < 72)
        act_edit(c, r);
    else if (pick_what < 80)
        act_life(c, r, false);
    else if (pick_what < 84)
        act_life(c, r, true);
    else if (pick_what < 91)
        act_resolve(c, r);
    else if (pick_what < 97)
        act_several(c, r);
    else
        act_import(c, r);
}
