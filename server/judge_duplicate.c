/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Business keys after a changeset: who else claims what was claimed just now.
 *
 *   the other is deleted                            a closed case links the two, for information
 *   the author's own doing, and nothing against it  they become one record (judge_merge.c; may_become_one below)
 *   somebody decided that both stay                 nothing
 *   anything else                                   both live, a case for the lowest level that sees both
 *
 * Invariants
 *  1. A clash never changes what the author of a changeset is told, unless he may read both records: the answer is that
 *     of a clean save, and the case lies in an area that he does not read.
 *  2. One open case per pair of records, entered in case_head under both; it closes itself when the clash has gone.
 *  3. Claims are checked when the changeset has been carried out, since only then it is known what it claims.
 *  4. Two about whom there ever was a case, or who came apart, never become one by themselves: their entry in case_head
 *     says so (generation 0: there was no case).
 *  5. However many claim one key, a live one is found, and every case whose clash has gone closes.
 */
#include "case_int.h"
#include "planted.h"

#include <stdio.h>
#include <string.h>

enum { PAGE = 64 };
static const char PREFIX[] = "duplicate:";

static void subject_of(struct tz_id other, char out[TZ_NAME_MAX + 1])
{
    char hex[TZ_ID_HEX + 1];
    tz_id_print(other, hex);
    (void)snprintf(out, TZ_NAME_MAX + 1, "%s%s", PREFIX, hex);
}

bool tz_duplicate_case(const struct tz_judge *j, const struct tz_row *c)
{
    return tz_value_is_text(c->rec.v[tz_case_field(j, "kind")->index], "duplicate");
}

/* ---- what was claimed ---- */

static int claim_add(struct tz_judge *j, struct tz_claimed add)
{
    for (size_t i = j->checked; i < j->nclaims; i++)
        if (j->claims[i].type == add.type && tz_id_eq(j->claims[i].id, add.id)) {
            j->claims[i].keys |= add.keys;
            j->claims[i].own = j->claims[i].own || add.own;
            return 0;
        }
    if (j->nclaims == j->claims_cap) {
        size_t cap = j->claims_cap ? j->claims_cap * 2 : 8;
        struct tz_claimed *v = tz_arena_calloc(j->out, cap, sizeof *v);
        if (!v)
            return TZ_E_NOMEM;
        if (j->nclaims)
            memcpy(v, j->claims, j->nclaims * sizeof *v);
        j->claims = v;
        j->claims_cap = cap;
    }
    j->claims[j->nclaims++] = add;
    return 0;
}

/** Did the author himself make it claim what it does? */
static bool own_claim(const struct tz_judge *j, const struct tz_row *row)
{
    for (size_t i = 0; i < j->nclaims; i++)
        if (j->claims[i].own && j->claims[i].type == row->rec.type && tz_id_eq(j->claims[i].id, row->id))
            return true;
    return false;
}

int tz_duplicate_note(struct tz_judge *j, const struct tz_row *row, const struct tz_row *old)
{
    const struct tz_type *t = row->rec.type;
    uint32_t mask = 0;
    bool moved = old && old->deleted != row->deleted;
    if (t == j->s->case_type)
        return 0;
    for (size_t k = 0; k < t->nkeys && k < 32; k++) {
        int64_t is = 0;
        int64_t was = 0;
        bool has = !row->deleted && tz_rows_claim(j->s, &row->rec, k, &is);
        bool had = old && !old->deleted && tz_rows_claim(j->s, &old->rec, k, &was);
        mask |= has && (!had || was != is) ? 1U << k : 0;
        moved = moved || (had && (!has || was != is));
    }
    bool own = j->target_type == t && tz_id_eq(j->target, row->id);
    return mask || (moved && t->nkeys) ? claim_add(j, (struct tz_claimed){t, row->id, row->born, mask, own}) : 0;
}

static bool same_key(const struct tz_row *a, const struct tz_row *b, const struct tz_key *key)
{
    if (!tz_key_claims(a->rec.type, key, a->rec.v) || !tz_key_claims(b->rec.type, key, b->rec.v))
        return false;
    for (size_t i = 0; i < key->nfields; i++)
        if (!tz_value_eq(a->rec.v[key->fields[i]], b->rec.v[key->fields[i]]))
            return false;
    return true;
}

/** Do the two still claim one key? */
static bool clash(struct tz_store *s, const struct tz_row *a, const struct tz_row *b)
{
    for (size_t k = 0; k < a->rec.type->nkeys; k++) {
        int64_t key;
        if (tz_rows_claim(s, &a->rec, k, &key) && same_key(a, b, &a->rec.type->keys[k]))
            return true;
    }
    return false;
}

static bool same_name(struct tz_judge *j, const struct tz_row *a, const struct tz_row *b)
{
    const struct tz_field *f = tz_type_field(a->rec.type, "name");
    if (!f || a->rec.v[f->index].kind != TZ_V_TEXT || b->rec.v[f->index].kind != TZ_V_TEXT)
        return false;
    const char *x = tz_name_fold(j->a, a->rec.v[f->index]);
    const char *y = tz_name_fold(j->a, b->rec.v[f->index]);
    return x && y && *x && strcmp(x, y) == 0;
}

/* ---- cases ---- */

static int heads_put(struct tz_judge *j, const struct tz_row *a, const struct tz_row *b, const struct tz_case_head *h)
{
    char subject[TZ_NAME_MAX + 1];
    subject_of(b->id, subject);
    int rc = tz_case_head_put(j, a, subject, h);
    subject_of(a->id, subject);
    return rc ? rc : tz_case_head_put(j, b, subject, h);
}

static int head_get(struct tz_judge *j, const struct tz_row *a, const struct tz_row *b, struct tz_case_head *out)
{
    char subject[TZ_NAME_MAX + 1];
    subject_of(b->id, subject);
    return tz_case_head_get(j, a, subject, out);
}

/** Has somebody decided that both stay? 1, 0, negative. */
static int both_stay(struct tz_judge *j, const struct tz_case_head *h)
{
    struct tz_row *c = NULL;
    if (!h->generation || h->open)
        return 0;
    int rc = tz_case_load(j, h->case_id, &c);
    return rc ? rc : tz_value_is_text(c->rec.v[tz_case_field(j, "choice")->index], "mine");
}

int tz_duplicate_parted(struct tz_judge *j, const struct tz_type *t, struct tz_id a, struct tz_id b)
{
    struct tz_row *x = tz_arena_calloc(j->a, 1, sizeof *x);
    struct tz_row *y = tz_arena_calloc(j->a, 1, sizeof *y);
    struct tz_case_head h;
    if (!x || !y)
        return TZ_E_NOMEM;
    x->rec.type = y->rec.type = t;
    x->id = a;
    y->id = b;
    int rc = head_get(j, x, y, &h);
    return rc || h.known ? rc : heads_put(j, x, y, &h);
}

static bool earlier(const struct tz_row *a, const struct tz_row *b)
{
    return a->born != b->born ? a->born < b->born : memcmp(a->id.b, b->id.b, TZ_ID_BYTES) < 0;
}

/** Open (or, for information, enter as closed) the case of two records. The target is the earlier one. */
static int case_about(struct tz_judge *j, const struct tz_row *a, const struct tz_row *b, size_t k, bool open)
{
    struct tz_row *c = tz_arena_calloc(j->a, 1, sizeof *c);
    const struct tz_row *first = earlier(a, b) ? a : b;
    const struct tz_row *second = first == a ? b : a;
    char *subject = tz_arena_alloc(j->a, TZ_NAME_MAX + 1);
    struct tz_case_head h;
    if (!c || !subject)
        return TZ_E_NOMEM;
    subject_of(second->id, subject);
    int rc = tz_case_head_get(j, first, subject, &h);
    if (rc || h.open || (!open && h.generation))
        return rc;
    h = (struct tz_case_head){true, h.generation + 1, open, tz_case_id(first, subject, h.generation + 1)};
    tz_record_init(&c->rec, j->s->case_type);
    c->id = h.case_id;
    c->born = j->edit.ver;
    tz_case_put_text(j, c, "target_type", first->rec.type->name);
    c->rec.v[tz_case_field(j, "target_id")->index] = tz_value_blob(first->id.b, TZ_ID_BYTES);
    c->rec.v[tz_case_field(j, "other_id")->index] = tz_value_blob(second->id.b, TZ_ID_BYTES);
    tz_case_put_text(j, c, "subject", subject);
    tz_case_put_text(j, c, "kind", "duplicate");
    tz_case_put_text(j, c, "key", first->rec.type->keys[k].name);
    tz_case_put_int(j, c, "generation", h.generation);
    tz_case_put_text(j, c, "state", open ? "open" : "closed");
    tz_case_put_int(j, c, "hidden_count", 0);
    tz_case_put_int(j, c, "opened_at", j->received.ms);
    if (!open) {
        tz_case_put_int(j, c, "closed_at", j->received.ms);
        tz_case_put_text(j, c, "choice", "gone");
    }
    rc = tz_rows_area(j->s, &c->rec, j->a, &c->area, j->err);
    if (rc == 1)
        rc = tz_case_store(j, c);
    if (!rc)
        rc = heads_put(j, first, second, &h);
    if (!rc && open && tz_judge_in_area(j, &c->area))
        tz_case_note(j, c->id);
    return rc;
}

static int close_case(struct tz_judge *j, struct tz_id id, const char *choice)
{
    struct tz_row *c = NULL;
    struct tz_row *other = tz_arena_alloc(j->a, sizeof *other);
    struct tz_row *target = tz_arena_alloc(j->a, sizeof *target);
    int rc = other && target ? tz_case_load(j, id, &c) : TZ_E_NOMEM;
    if (rc)
        return rc;
    const struct tz_type *t = tz_rows_ref_type(j->s->cat, &c->rec, tz_case_field(j, "target_id"));
    struct tz_case_head h = {.generation = (uint32_t)c->rec.v[tz_case_field(j, "generation")->index].i, .case_id = id};
    struct tz_id ids[2];
    memcpy(ids[0].b, c->rec.v[tz_case_field(j, "target_id")->index].p, TZ_ID_BYTES);
    memcpy(ids[1].b, c->rec.v[tz_case_field(j, "other_id")->index].p, TZ_ID_BYTES);
    tz_case_put_text(j, c, "state", "closed");
    tz_case_put_text(j, c, "choice", choice);
    tz_case_put_int(j, c, "closed_at", j->received.ms);
    if (strcmp(choice, "gone") != 0) {
        uint8_t *user = tz_arena_dup(j->a, j->edit.user.b, TZ_ID_BYTES);
        if (!user)
            return TZ_E_NOMEM;
        c->rec.v[tz_case_field(j, "closed_by")->index] = tz_value_blob(user, TZ_ID_BYTES);
    }
    target->rec.type = other->rec.type = t;
    target->id = ids[0];
    other->id = ids[1];
    rc = tz_case_store(j, c);
    return rc ? rc : heads_put(j, target, other, &h);
}

struct open_pair {
    const struct tz_row *row;
    char subject[TZ_NAME_MAX + 1];
    struct tz_id case_id, other;
};

/** Open cases of two records, one of them @row, behind @after. */
static int open_pairs(struct tz_judge *j, const struct tz_row *row, const char *after, struct open_pair *out, size_t *n)
{
    struct tz_stmt *st = tz_store_sql(j->s, TZ_SQL_CASE_HEAD_PAIRS, j->err);
    *n = 0;
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, row->rec.type->id);
    tz_stmt_bind_id(st, 2, &row->id);
    tz_stmt_bind_text(st, 3, after);
    tz_stmt_bind_int(st, 4, PAGE);
    int rc;
    while ((rc = tz_stmt_step(st, j->err)) == 1) {
        struct open_pair *p = &out[(*n)++];
        const char *subject = tz_stmt_text(st, 0);
        p->row = row;
        (void)snprintf(p->subject, sizeof p->subject, "%s", subject);
        if (tz_id_parse(subject + sizeof PREFIX - 1, &p->other) || !tz_stmt_id(st, 1, &p->case_id)) {
            rc = tz_err_set(j->err, TZ_E_DB_CORRUPT, "case_head", NULL, NULL, NULL);
            break;
        }
    }
    tz_stmt_reset(st);
    return rc;
}

static int close_if_gone(struct tz_judge *j, void *ctx)
{
    const struct open_pair *p = ctx;
    const struct tz_type *t = p->row->rec.type;
    struct tz_row *other = tz_arena_alloc(j->a, sizeof *other);
    int rc = other ? tz_replica_get(j->s->rep, t, p->other, j->a, other, j->err) : TZ_E_NOMEM;
    if (rc < 0 || (rc == 1 && !p->row->deleted && !other->deleted && clash(j->s, p->row, other)))
        return rc < 0 ? rc : 0;
    tz_ver born = rc == 1 ? other->born : 0;
    rc = close_case(j, p->case_id, "gone");
    /* it may clash with others, who had their case with this one only */
    return rc ? rc : claim_add(j, (struct tz_claimed){t, p->other, born, UINT32_MAX, false});
}

/** Open cases of @row whose clash has gone. */
static int close_gone(struct tz_judge *j, const struct tz_row *row)
{
    struct open_pair *page = tz_arena_calloc(j->a, PAGE, sizeof *page);
    const char *after = PREFIX;
    int rc = page ? 0 : TZ_E_NOMEM;
    for (size_t n = PAGE; n == PAGE && !rc;) {
        rc = open_pairs(j, row, after, page, &n);
        for (size_t i = 0; i < n && !rc; i++)
            rc = tz_judge_apart(j, close_if_gone, &page[i]);
        after = n ? tz_arena_strdup(j->a, page[n - 1].subject) : after;
        rc = rc ? rc : after ? 0 : TZ_E_NOMEM;
    }
    return rc;
}

/* ---- the check ---- */

/** Both live, and claim one key: may they become one without anybody's decision? */
static bool may_become_one(struct tz_judge *j, const struct tz_row *keep, const struct tz_row *gone)
{
    const struct tz_type *t = keep->rec.type;
    bool own = own_claim(j, keep) || own_claim(j, gone);
    bool both_his = tz_judge_in_area(j, &keep->area) && tz_judge_in_area(j, &gone->area);
    bool his_to_end = (t->deleters & j->role->editor) || tz_judge_draft(gone);
    return t->auto_merge && own && both_his && his_to_end && same_name(j, keep, gone);
}

struct meeting {
    const struct tz_row *keep, *gone;
};

static int merge_two(struct tz_judge *j, void *ctx)
{
    const struct meeting *m = ctx;
    return tz_merge_records(j, m->keep->rec.type, m->keep->id, m->gone->id, true);
}

/** 1: they are one record now; 0: that would be too much for one changeset, and nothing has happened; negative. */
static int become_one(struct tz_judge *j, struct meeting *m)
{
    struct tz_merged *const merged = j->merged;
    const size_t ncases = j->res.ncases;
    const size_t nclaims = j->nclaims;
    const size_t row_bytes = j->s->row_bytes;
    int rc = tz_db_savepoint(j->s->db, j->err);
    if (rc)
        return rc;
    rc = tz_judge_apart(j, merge_two, m);
    if (!rc) {
        rc = tz_db_release(j->s->db, j->err);
        return rc ? rc : 1;
    }
    struct tz_err ignored;
    int undone = tz_db_rollback_to(j->s->db, &ignored);
    if (undone || rc != TZ_E_LIMIT)
        return rc;
    if (j->err)
        *j->err = (struct tz_err){0};
    j->merged = merged;
    j->res.ncases = ncases;
    j->nclaims = nclaims;
    j->s->row_bytes = row_bytes;
    j->s->ndistricts = 0;
    return 0;
}

/** @row and the live @other claim one key. 1: they became one record and @row is the one that went, 0, negative. */
static int meet(struct tz_judge *j, const struct tz_row *row, const struct tz_row *other, size_t k)
{
    bool keep_row = earlier(row, other);
    struct meeting m = {keep_row ? row : other, keep_row ? other : row};
    struct tz_case_head h;
    int rc = head_get(j, row, other, &h);
    if (!rc && !h.known && may_become_one(j, m.keep, m.gone))
        rc = become_one(j, &m);
    if (rc)
        return rc < 0 ? rc : !keep_row;
    return case_about(j, row, other, k, true);
}

struct claimants {
    const struct tz_row *row;
    size_t key;
    int64_t hash;
    struct tz_id ids[PAGE]; /* the last page read */
    size_t n;
};

/** The next page of the other claimants: live ones, or deleted ones. */
static int next_claimants(struct tz_judge *j, struct claimants *c, enum tz_sql which)
{
    struct tz_id after = c->n ? c->ids[c->n - 1] : (struct tz_id){{0}};
    struct tz_stmt *st = tz_store_sql(j->s, which, j->err);
    c->n = 0;
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, c->hash);
    tz_stmt_bind_int(st, 2, c->row->rec.type->id);
    tz_stmt_bind_id(st, 3, &c->row->id);
    tz_stmt_bind_id(st, 4, &after);
    tz_stmt_bind_int(st, 5, PAGE);
    int rc;
    while ((rc = tz_stmt_step(st, j->err)) == 1)
        c->n += tz_stmt_id(st, 0, &c->ids[c->n]);
    tz_stmt_reset(st);
    return rc;
}

/** Is there anything to be done about @id, who claims the key (or something of the same hash)? 1 and it in @other, 0,
 * negative. */
static int take_claimant(struct tz_judge *j, const struct claimants *c, struct tz_id id, struct tz_row *other)
{
    struct tz_case_head h;
    int rc = tz_replica_get(j->s->rep, c->row->rec.type, id, j->a, other, j->err);
    if (rc <= 0 || !same_key(c->row, other, &c->row->rec.type->keys[c->key]))
        return rc < 0 ? rc : 0;
    rc = other->deleted ? 0 : head_get(j, c->row, other, &h);
    if (!rc && !other->deleted)
        rc = both_stay(j, &h);
    return rc < 0 ? rc : !rc;
}

/** The first of the key's other claimants about whom nothing is decided, live ones first: one case is enough to find
 * the rest. 1, 0 none, negative. */
static int find_other(struct tz_judge *j, const struct tz_row *row, size_t k, struct tz_row *other)
{
    static const enum tz_sql WHICH[] = {TZ_SQL_CLAIM_LIVE, TZ_SQL_CLAIM_DEAD};
    struct claimants *c = tz_arena_calloc(j->a, 1, sizeof *c);
    int rc = c ? 0 : TZ_E_NOMEM;
    if (rc || !tz_rows_claim(j->s, &row->rec, k, &c->hash))
        return rc;
    c->row = row;
    c->key = k;
    for (int dead = 0; dead < 2 && !rc; dead++) {
        c->n = 0;
        do {
            rc = next_claimants(j, c, WHICH[dead]);
            for (size_t i = 0; i < c->n && !rc; i++)
                rc = take_claimant(j, c, c->ids[i], other);
        } while (c->n == PAGE && !rc);
    }
    return rc;
}

static int check_one(struct tz_judge *j, void *claimed)
{
    const struct tz_claimed *c = claimed;
    struct tz_row *row = tz_arena_alloc(j->a, sizeof *row);
    struct tz_row *other = tz_arena_alloc(j->a, sizeof *other);
    int rc = row && other ? tz_replica_get(j->s->rep, c->type, c->id, j->a, row, j->err) : TZ_E_NOMEM;
    if (rc <= 0)
        return rc;
    rc = TZ_PLANTED(CLASH_STAYS_OPEN) ? 0 : close_gone(j, row);
    for (size_t k = 0; k < c->type->nkeys && !rc && !row->deleted; k++) {
        if (!(c->keys >> k & 1))
            continue;
        rc = find_other(j, row, k, other);
        if (rc == 1)
            rc = other->deleted ? case_about(j, row, other, k, false) : meet(j, row, other, k);
        if (rc == 1)
            return 0; /* the rest is the survivor's affair, who is on the list now */
    }
    return rc;
}

/** The oldest record that is still to be looked at: what becomes of many does not hang on who was written first. */
static struct tz_claimed next_claim(struct tz_judge *j)
{
    size_t best = j->checked;
    for (size_t i = best + 1; i < j->nclaims; i++) {
        const struct tz_claimed *a = &j->claims[i];
        const struct tz_claimed *b = &j->claims[best];
        if (a->born != b->born ? a->born < b->born : memcmp(a->id.b, b->id.b, TZ_ID_BYTES) < 0)
            best = i;
    }
    struct tz_claimed c = j->claims[best];
    j->claims[best] = j->claims[j->checked];
    j->claims[j->checked++] = c;
    return c;
}

int tz_duplicate_check(struct tz_judge *j)
{
    int rc = 0;
    j->target_type = NULL;                                  /* what follows is not the author's own doing */
    for (j->checked = 0; j->checked < j->nclaims && !rc;) { /* the list grows while it is worked off */
        struct tz_claimed c = next_claim(j);
        rc = tz_judge_apart(j, check_one, &c);
    }
    j->nclaims = j->checked = 0;
    return rc;
}

/* ---- deciding ---- */

int tz_duplicate_resolve(struct tz_judge *j, const struct tz_op *op, const struct tz_row *c)
{
    if (!tz_judge_in_area(j, &c->area) || !tz_merge_right(j, NULL))
        return tz_judge_refuse(j, TZ_E_NO_RIGHT_TYPE, "case", NULL);
    if (op->choice != TZ_CHOICE_MINE || op->values.n || op->ncleared || op->field)
        return tz_judge_refuse(j, TZ_E_BAD_OP, "case", NULL);
    if (op->generation != (uint32_t)c->rec.v[tz_case_field(j, "generation")->index].i)
        return tz_judge_refuse(j, TZ_E_CASE_STALE, NULL, NULL);
    if (tz_value_is_text(c->rec.v[tz_case_field(j, "state")->index], "closed"))
        return 0;
    return close_case(j, c->id, "mine");
}
