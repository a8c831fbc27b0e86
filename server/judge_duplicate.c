/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Business keys after a changeset: who else claims what was claimed just now.
 *
 *   the other is deleted                                        a closed case links the two, for information
 *   same name, both the author's to write, type merges itself   they become one record (judge_merge.c)
 *   anything else                                               both live, a case for the lowest level that sees both
 *
 * Invariants
 *  1. A clash never changes what the author of a changeset is told, unless he may read both records: the answer is that
 *     of a clean save, and the case lies in an area that he does not read.
 *  2. One open case per pair of records, entered in case_head under both; it closes itself when the clash has gone.
 *  3. Claims are checked when the changeset has been carried out, since only then it is known what it claims.
 */
#include "case_int.h"
#include "planted.h"

#include <stdio.h>
#include <string.h>

enum { OTHERS_MAX = 64, PROCESS_BYTES = 8 * 1024 * 1024 };
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

static int claim_add(struct tz_judge *j, const struct tz_type *t, struct tz_id id, tz_ver born, uint32_t keys)
{
    for (size_t i = j->checked; i < j->nclaims; i++)
        if (j->claims[i].type == t && tz_id_eq(j->claims[i].id, id)) {
            j->claims[i].keys |= keys;
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
    j->claims[j->nclaims++] = (struct tz_claimed){t, id, born, keys};
    return 0;
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
    return mask || (moved && t->nkeys) ? claim_add(j, t, row->id, row->born, mask) : 0;
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
    h = (struct tz_case_head){h.generation + 1, open, tz_case_id(first, subject, h.generation + 1)};
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

/** Open cases of @row whose clash has gone. */
static int close_gone(struct tz_judge *j, const struct tz_row *row)
{
    struct {
        struct tz_id case_id, other;
    } open[OTHERS_MAX];
    size_t n = 0;
    struct tz_stmt *st = tz_store_sql(j->s, TZ_SQL_CASE_HEAD_OPEN, j->err);
    struct tz_row *other = tz_arena_alloc(j->a, sizeof *other);
    if (!st || !other)
        return st ? TZ_E_NOMEM : TZ_E_DB;
    tz_stmt_bind_int(st, 1, row->rec.type->id);
    tz_stmt_bind_id(st, 2, &row->id);
    int rc;
    while ((rc = tz_stmt_step(st, j->err)) == 1 && n < OTHERS_MAX) {
        const char *subject = tz_stmt_text(st, 0);
        if (strncmp(subject, PREFIX, sizeof PREFIX - 1) == 0 &&
            tz_id_parse(subject + sizeof PREFIX - 1, &open[n].other) == 0 && tz_stmt_id(st, 1, &open[n].case_id))
            n++;
    }
    tz_stmt_reset(st);
    for (size_t i = 0; i < n && rc >= 0; i++) {
        rc = tz_replica_get(j->s->rep, row->rec.type, open[i].other, j->a, other, j->err);
        tz_ver born = rc == 1 ? other->born : 0;
        bool still = rc == 1 && !row->deleted && !other->deleted && clash(j->s, row, other);
        if (rc >= 0)
            rc = still ? 0 : close_case(j, open[i].case_id, "gone");
        if (!rc && !still) /* it may clash with others, who had their case with this one only */
            rc = claim_add(j, row->rec.type, open[i].other, born, UINT32_MAX);
    }
    return rc < 0 ? rc : 0;
}

/* ---- the check ---- */

/** Ids of other records of the claim. */
static int others_of(struct tz_judge *j, const struct tz_row *row, size_t k, struct tz_id *out, size_t *n)
{
    int64_t key = 0;
    *n = 0;
    if (!tz_rows_claim(j->s, &row->rec, k, &key))
        return 0;
    struct tz_stmt *st = tz_store_sql(j->s, TZ_SQL_CLAIM_OTHERS, j->err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, key);
    tz_stmt_bind_int(st, 2, row->rec.type->id);
    tz_stmt_bind_id(st, 3, &row->id);
    int rc = 1;
    while (rc == 1 && *n < OTHERS_MAX)
        if ((rc = tz_stmt_step(st, j->err)) == 1)
            *n += tz_stmt_id(st, 0, &out[*n]);
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

/** @row and the live @other claim one key. 1: they became one record and @row is the one that went, 0, negative. */
static int meet(struct tz_judge *j, const struct tz_row *row, const struct tz_row *other, size_t k)
{
    bool ours = tz_judge_in_area(j, &row->area) && tz_judge_in_area(j, &other->area);
    if (row->rec.type->auto_merge && ours && !j->parting && same_name(j, row, other)) {
        bool keep_row = earlier(row, other);
        int rc = tz_merge_records(j, row->rec.type, keep_row ? row->id : other->id, keep_row ? other->id : row->id);
        return rc ? rc : !keep_row;
    }
    return case_about(j, row, other, k, true);
}

/** The first of the key's other claimants, live ones first: one case is enough to find the rest. 1, 0 none, negative.
 */
static int find_other(struct tz_judge *j, const struct tz_row *row, size_t k, struct tz_row *other)
{
    struct tz_id ids[OTHERS_MAX];
    size_t n = 0;
    int rc = others_of(j, row, k, ids, &n);
    for (int dead = 0; dead < 2 && !rc; dead++)
        for (size_t i = 0; i < n && !rc; i++) {
            rc = tz_replica_get(j->s->rep, row->rec.type, ids[i], j->a, other, j->err);
            bool claims = rc == 1 && other->deleted == dead && same_key(row, other, &row->rec.type->keys[k]);
            rc = rc < 0 ? rc : 0;
            if (claims && dead) /* one that was merged away claims through its survivor */
                rc = tz_alias_get(j->s, row->rec.type, other->id, NULL, j->err);
            if (rc < 0)
                return rc;
            if (claims && rc == 0)
                return 1;
            rc = 0;
        }
    return rc;
}

static int check_one(struct tz_judge *j, const struct tz_claimed *c)
{
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
    struct tz_arena *const outer = j->a;
    int rc = 0;
    for (j->checked = 0; j->checked < j->nclaims && !rc;) { /* the list grows while it is worked off */
        struct tz_arena a;
        struct tz_claimed c = next_claim(j);
        tz_arena_init(&a, PROCESS_BYTES);
        j->a = &a;
        rc = tz_rows_code(&a, check_one(j, &c));
        j->a = outer;
        tz_arena_deinit(&a);
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
