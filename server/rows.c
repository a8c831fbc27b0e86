/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A changed record and everything that hangs on it: its table row, its place in the feed, its claims, the area of its
 * dependants.
 *
 * Invariants
 *  1. The feed has exactly one entry per record that is not `leaving`, at the record's own _ver and area.
 *  2. It has one leaving entry per area the record left and has not come back to; left_area says where it stands.
 *  3. A dependant (area rule `parent`) has its parent's area; a move takes it along in the same version.
 *  4. What depends on the data alone and cannot be done (a chain too deep, too many bytes in one version) is
 * TZ_E_LIMIT, never an error of this machine.
 */
#include "area_rule.h"
#include "planted.h"
#include "store_int.h"

#include <string.h>

enum { CHILD_REFS_MAX = 256, CASCADE_DEPTH_MAX = 2 * TZ_AREA_DEPTH_MAX, MOVE_ARENA_BYTES = 8 * 1024 * 1024 };
enum { ROW_HEAD_BYTES = 64, FIELD_HEAD_BYTES = 16 };
enum { MOVED_MAX = TZ_CHANGESET_ROW_BYTES_MAX / ROW_HEAD_BYTES };

const struct tz_type *tz_rows_ref_type(const struct tz_catalogue *cat, const struct tz_record *rec,
                                       const struct tz_field *f)
{
    return tz_area_ref_type(cat, rec, f);
}

size_t tz_rows_child_refs(const struct tz_catalogue *cat, const struct tz_type *t, struct tz_child_ref *out, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < cat->ntypes; i++)
        for (size_t k = 0; k < cat->types[i].nfields; k++) {
            const struct tz_field *f = &cat->types[i].fields[k];
            bool points = (f->ftype == TZ_FT_REF && f->ref == t) || f->ftype == TZ_FT_REF_ANY;
            if (points && n < max)
                out[n++] = (struct tz_child_ref){&cat->types[i], f};
        }
    return n;
}

/* ---- area ---- */

/** The smallest area that holds both: a street's, a district's, or the city's own office (no district reads that). */
static struct tz_area common_area(const struct tz_area *x, const struct tz_area *y)
{
    struct tz_area out = *x;
    if (tz_area_eq(x, y) || y->district[0] == '\0')
        return out;
    if (x->district[0] == '\0')
        return *y;
    memset(&out, 0, sizeof out);
    memcpy(out.district, strcmp(x->district, y->district) == 0 ? x->district : TZ_CITY_CODE, TZ_DISTRICT_BYTES);
    return out;
}

int tz_rows_area(struct tz_store *s, const struct tz_record *rec, struct tz_arena *a, struct tz_area *out,
                 struct tz_err *err)
{
    int rc = tz_area_of(s->rep, rec, a, out, err);
    const struct tz_field *other = rec->type == s->case_type ? tz_type_field(rec->type, "other_id") : NULL;
    if (rc == 1 && other && out->district[0] == '\0' &&
        tz_value_is_text(rec->v[tz_type_field(rec->type, "kind")->index], "late_scope"))
        memcpy(out->district, TZ_CITY_CODE, TZ_DISTRICT_BYTES); /* the centre's, not everybody's */
    struct tz_row *row = NULL;
    struct tz_id id;
    if (rc != 1 || !other || rec->v[other->index].kind != TZ_V_BLOB)
        return rc;
    const struct tz_type *t = tz_rows_ref_type(s->cat, rec, other);
    memcpy(id.b, rec->v[other->index].p, TZ_ID_BYTES);
    row = t ? tz_arena_alloc(a, sizeof *row) : NULL;
    rc = row ? tz_replica_get(s->rep, t, id, a, row, err) : TZ_E_NOMEM;
    if (rc == 1)
        *out = common_area(out, &row->area);
    return rc < 0 ? rc : 1;
}

/** One step up: 1 with the record it has its area from in @parent, 0 there is none, negative. */
static int area_parent(struct tz_store *s, const struct tz_record *rec, struct tz_arena *a, struct tz_row **parent,
                       struct tz_err *err)
{
    if (rec->type->area != TZ_AREA_PARENT)
        return 0;
    const struct tz_type *t = tz_rows_ref_type(s->cat, rec, &rec->type->fields[rec->type->area_field]);
    struct tz_value v = rec->v[rec->type->area_field];
    struct tz_id id;
    if (!t || v.kind != TZ_V_BLOB || v.n != TZ_ID_BYTES)
        return 0;
    *parent = tz_arena_alloc(a, sizeof **parent);
    memcpy(id.b, v.p, TZ_ID_BYTES);
    return *parent ? tz_replica_get(s->rep, t, id, a, *parent, err) : TZ_E_NOMEM;
}

int tz_rows_area_depth(struct tz_store *s, const struct tz_record *rec, struct tz_err *err)
{
    struct tz_arena a;
    struct tz_row *parent = NULL;
    const struct tz_record *at = rec;
    int depth = 0;
    int rc = 1;
    tz_arena_init(&a, MOVE_ARENA_BYTES);
    while (rc == 1 && depth <= TZ_AREA_DEPTH_MAX) {
        rc = area_parent(s, at, &a, &parent, err);
        if (rc == 1) {
            at = &parent->rec;
            depth++;
        }
    }
    rc = tz_rows_code(&a, rc);
    tz_arena_deinit(&a);
    return rc < 0 ? rc : depth;
}

/* ---- limits ---- */

size_t tz_rows_bytes(const struct tz_record *rec)
{
    size_t n = rec->extra.n;
    for (size_t i = 0; i < rec->type->nfields; i++)
        n += rec->v[i].kind == TZ_V_NULL ? 0 : FIELD_HEAD_BYTES + (rec->v[i].kind == TZ_V_INT ? 0 : rec->v[i].n);
    return n;
}

static size_t bytes_of(const struct tz_row *row)
{
    return ROW_HEAD_BYTES + tz_rows_bytes(&row->rec);
}

int tz_rows_code(const struct tz_arena *a, int rc)
{
    return rc == TZ_E_NOMEM && a->exhausted ? TZ_E_LIMIT : rc;
}

/* ---- feed ---- */

static int feed_drop(struct tz_store *s, const struct tz_row *old, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_CHANGE_DROP, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, old->rec.type->tier);
    tz_stmt_bind_text(st, 2, old->area.district);
    tz_stmt_bind_int(st, 3, (int64_t)old->ver);
    tz_stmt_bind_int(st, 4, old->rec.type->id);
    tz_stmt_bind_id(st, 5, &old->id);
    tz_stmt_bind_text(st, 6, old->area.street);
    return tz_stmt_run(st, err);
}

static int feed_put(struct tz_store *s, const struct tz_row *row, const struct tz_area *area, tz_ver ver, bool leaving,
                    struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_CHANGE_PUT, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, row->rec.type->tier);
    tz_stmt_bind_text(st, 2, area->district);
    tz_stmt_bind_int(st, 3, (int64_t)ver);
    tz_stmt_bind_int(st, 4, row->rec.type->id);
    tz_stmt_bind_id(st, 5, &row->id);
    tz_stmt_bind_text(st, 6, area->street);
    tz_stmt_bind_int(st, 7, leaving);
    return tz_stmt_run(st, err);
}

static void bind_left(struct tz_stmt *st, const struct tz_row *row, const struct tz_area *area)
{
    tz_stmt_bind_int(st, 1, row->rec.type->id);
    tz_stmt_bind_id(st, 2, &row->id);
    tz_stmt_bind_text(st, 3, area->district);
    tz_stmt_bind_text(st, 4, area->street);
}

/** The record is (back) in @area: a leaving entry there is no longer true. */
static int feed_returned(struct tz_store *s, const struct tz_row *row, const struct tz_area *area, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_LEFT_GET, err);
    if (!st)
        return TZ_E_DB;
    bind_left(st, row, area);
    int rc = tz_stmt_step(st, err);
    if (rc != 1)
        return rc;
    struct tz_row ghost = {.rec.type = row->rec.type, .id = row->id, .ver = (tz_ver)tz_stmt_int(st, 0), .area = *area};
    tz_stmt_reset(st);
    rc = feed_drop(s, &ghost, err);
    st = rc ? NULL : tz_store_sql(s, TZ_SQL_LEFT_DROP, err);
    if (!st)
        return rc ? rc : TZ_E_DB;
    bind_left(st, row, area);
    return tz_stmt_run(st, err);
}

static int feed_left(struct tz_store *s, const struct tz_row *row, const struct tz_area *area, tz_ver ver,
                     struct tz_err *err)
{
    int rc = feed_returned(s, row, area, err); /* one leaving entry per area at most */
    if (!rc)
        rc = feed_put(s, row, area, ver, true, err);
    struct tz_stmt *st = rc ? NULL : tz_store_sql(s, TZ_SQL_LEFT_PUT, err);
    if (!st)
        return rc ? rc : TZ_E_DB;
    bind_left(st, row, area);
    tz_stmt_bind_int(st, 5, (int64_t)ver);
    return tz_stmt_run(st, err);
}

int tz_rows_forget_leaving(struct tz_store *s, const struct tz_row *left, struct tz_err *err)
{
    return feed_returned(s, left, &left->area, err);
}

/** All areas that the record left. */
static int forget_all_leaving(struct tz_store *s, const struct tz_row *row, struct tz_err *err)
{
    for (;;) {
        struct tz_stmt *st = tz_store_sql(s, TZ_SQL_LEFT_FIRST, err);
        struct tz_area area = {0};
        if (!st)
            return TZ_E_DB;
        tz_stmt_bind_int(st, 1, row->rec.type->id);
        tz_stmt_bind_id(st, 2, &row->id);
        int rc = tz_stmt_step(st, err);
        if (rc != 1)
            return rc;
        const char *district = tz_stmt_text(st, 0);
        const char *street = tz_stmt_text(st, 1);
        memcpy(area.district, district, strnlen(district, TZ_DISTRICT_BYTES - 1));
        memcpy(area.street, street, strnlen(street, TZ_STREET_BYTES - 1));
        tz_stmt_reset(st);
        rc = feed_returned(s, row, &area, err);
        if (rc)
            return rc;
    }
}

/* ---- claims ---- */

/** The key's hash; false when the record claims nothing by it. */
bool tz_rows_claim(struct tz_store *s, const struct tz_record *rec, size_t k, int64_t *out)
{
    const struct tz_key *key = &rec->type->keys[k];
    struct tz_buf b;
    uint8_t head[8] = {(uint8_t)(rec->type->id >> 24),
                       (uint8_t)(rec->type->id >> 16),
                       (uint8_t)(rec->type->id >> 8),
                       (uint8_t)rec->type->id,
                       0,
                       0,
                       (uint8_t)(k >> 8),
                       (uint8_t)k};
    if (!tz_key_claims(rec->type, key, rec->v))
        return false;
    tz_buf_init(&b, TZ_ROW_BYTES_MAX);
    int rc = tz_buf_put(&b, head, sizeof head);
    for (size_t i = 0; i < key->nfields && !rc; i++) {
        struct tz_value v = rec->v[key->fields[i]];
        if (v.kind == TZ_V_INT)
            rc = tz_buf_printf(&b, "i%lld", (long long)v.i);
        else if (v.kind != TZ_V_NULL)
            rc = tz_buf_put(&b, v.p, v.n);
        if (!rc)
            rc = tz_buf_putc(&b, 0);
    }
    if (!rc)
        *out = (int64_t)tz_keyed_hash64(s->claim_key, tz_buf_unread(&b));
    tz_buf_deinit(&b);
    return !rc;
}

static int claim_run(struct tz_store *s, enum tz_sql which, int64_t key, const struct tz_row *row, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, which, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, key);
    tz_stmt_bind_int(st, 2, row->rec.type->id);
    tz_stmt_bind_id(st, 3, &row->id);
    return tz_stmt_run(st, err);
}

/** A tombstone keeps its claim: weak, but a new record of the same key must be linked to it. */
static int claims_update(struct tz_store *s, const struct tz_row *row, const struct tz_row *old, struct tz_err *err)
{
    for (size_t k = 0; k < row->rec.type->nkeys; k++) {
        int64_t was = 0;
        int64_t is = 0;
        bool had = old && tz_rows_claim(s, &old->rec, k, &was);
        bool has = tz_rows_claim(s, &row->rec, k, &is);
        int rc = 0;
        if (had && (!has || was != is))
            rc = claim_run(s, TZ_SQL_CLAIM_DROP, was, row, err);
        if (!rc && has && (!had || was != is))
            rc = claim_run(s, TZ_SQL_CLAIM_PUT, is, row, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- dependants ---- */

struct cascade {
    struct tz_id *ids;
    size_t n, cap;
    struct tz_arena *a;
};

static int collect_id(void *ctx, const struct tz_row *row)
{
    struct cascade *c = ctx;
    if (c->n == MOVED_MAX) /* more than one changeset may write, however small they are */
        return TZ_E_LIMIT;
    if (c->n == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 16;
        struct tz_id *ids = tz_arena_calloc(c->a, cap, sizeof *ids);
        if (!ids)
            return TZ_E_NOMEM;
        if (c->n)
            memcpy(ids, c->ids, c->n * sizeof *ids);
        c->ids = ids;
        c->cap = cap;
    }
    c->ids[c->n++] = row->id;
    return 1;
}

static int rows_put(struct tz_store *s, struct tz_row *row, const struct tz_row *old, tz_ver ver, struct tz_arena *a,
                    unsigned depth, struct tz_err *err);

/** Deleted records of @t that may refer to @id. */
static int collect_tombstones(struct tz_store *s, const struct tz_type *t, struct tz_id id, struct cascade *c,
                              struct tz_err *err)
{
    struct tz_row *found = tz_arena_calloc(c->a, 1, sizeof *found);
    struct tz_stmt *st = found ? tz_store_sql(s, TZ_SQL_TOMBSTONE_NAMING, err) : NULL;
    if (!st)
        return found ? TZ_E_DB : TZ_E_NOMEM;
    tz_stmt_bind_int(st, 1, t->id);
    tz_stmt_bind_id(st, 2, &id);
    int rc;
    while ((rc = tz_stmt_step(st, err)) == 1) {
        (void)tz_stmt_id(st, 0, &found->id);
        rc = collect_id(c, found);
        if (rc < 0)
            break;
    }
    tz_stmt_reset(st);
    return rc < 0 ? rc : 0;
}

static int move_one(struct tz_store *s, const struct tz_type *t, struct tz_id id, tz_ver ver, struct tz_arena *a,
                    unsigned depth, struct tz_err *err)
{
    struct tz_row *old = tz_arena_alloc(a, sizeof *old);
    struct tz_row *row = tz_arena_alloc(a, sizeof *row);
    if (!old || !row)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    int rc = tz_replica_get(s->rep, t, id, a, old, err);
    if (rc <= 0)
        return rc;
    *row = *old;
    rc = tz_rows_area(s, &row->rec, a, &row->area, err);
    if (rc <= 0) /* it is about a record of another type with this id, which does not exist: it stays */
        return rc;
    return tz_area_eq(&row->area, &old->area) ? 0 : rows_put(s, row, old, ver, a, depth + 1, err);
}

/** In memory of its own: a record may have thousands of dependants. */
static int move_child(struct tz_store *s, const struct tz_type *t, struct tz_id id, tz_ver ver, unsigned depth,
                      struct tz_err *err)
{
    struct tz_arena a;
    tz_arena_init(&a, MOVE_ARENA_BYTES);
    int rc = tz_rows_code(&a, move_one(s, t, id, ver, &a, depth, err));
    tz_arena_deinit(&a);
    return rc;
}

static int move_dependants(struct tz_store *s, const struct tz_row *row, tz_ver ver, struct tz_arena *a, unsigned depth,
                           struct tz_err *err)
{
    struct tz_child_ref refs[CHILD_REFS_MAX];
    size_t n = tz_rows_child_refs(s->cat, row->rec.type, refs, CHILD_REFS_MAX);
    if (depth >= CASCADE_DEPTH_MAX)
        return tz_err_set(err, TZ_E_LIMIT, row->rec.type->name, NULL, NULL, NULL);
    for (size_t i = 0; i < n; i++) {
        const struct tz_type *t = refs[i].type;
        bool of_two = t == s->case_type && strcmp(refs[i].field->name, "other_id") == 0;
        if (t->area != TZ_AREA_PARENT || (&t->fields[t->area_field] != refs[i].field && !of_two))
            continue;
        struct cascade c = {.a = a};
        int rc = tz_replica_find(s->rep, refs[i].field, t, tz_value_blob(row->id.b, TZ_ID_BYTES), collect_id, &c, err);
        if (!rc) /* a dependant that comes back later must come back where its parent is */
            rc = collect_tombstones(s, t, row->id, &c, err);
        for (size_t k = 0; k < c.n && !rc; k++)
            rc = move_child(s, t, c.ids[k], ver, depth, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- put ---- */

/** Where it was until now: late edits are judged by what their author could see then. */
static int note_area(struct tz_store *s, const struct tz_row *old, tz_ver ver, struct tz_err *err)
{
    struct tz_stmt *st = tz_store_sql(s, TZ_SQL_AREA_PAST_PUT, err);
    if (!st)
        return TZ_E_DB;
    tz_stmt_bind_int(st, 1, old->rec.type->id);
    tz_stmt_bind_id(st, 2, &old->id);
    tz_stmt_bind_int(st, 3, (int64_t)ver);
    tz_stmt_bind_text(st, 4, old->area.district);
    tz_stmt_bind_text(st, 5, old->area.street);
    return tz_stmt_run(st, err);
}

static void touch(struct tz_store *s, const struct tz_area *area)
{
    for (size_t i = 0; i < s->ntouched && i < TZ_TOUCHED_MAX; i++)
        if (tz_area_eq(&s->touched[i], area))
            return;
    if (s->ntouched < TZ_TOUCHED_MAX)
        s->touched[s->ntouched] = *area;
    s->ntouched += s->ntouched <= TZ_TOUCHED_MAX;
}

static int rows_put(struct tz_store *s, struct tz_row *row, const struct tz_row *old, tz_ver ver, struct tz_arena *a,
                    unsigned depth, struct tz_err *err)
{
    bool moved = old && !tz_area_eq(&old->area, &row->area);
    row->ver = ver;
    if (old && old->ver == ver) /* a version has each row once, as it is in the end */
        s->row_bytes -= bytes_of(old) < s->row_bytes ? bytes_of(old) : s->row_bytes;
    s->row_bytes += bytes_of(row);
    if (s->row_bytes_max && s->row_bytes > s->row_bytes_max) /* whoever pulls must take a version in one piece */
        return tz_err_set(err, TZ_E_LIMIT, row->rec.type->name, NULL, NULL, NULL);
    if (row->rec.type == s->division_type)
        s->ndistricts = 0; /* what is known to exist may have changed */
    touch(s, &row->area);
    if (moved && !TZ_PLANTED(LEFT_UNTOLD))
        touch(s, &old->area);
    int rc = old ? feed_drop(s, old, err) : 0;
    if (!rc && moved)
        rc = note_area(s, old, ver, err);
    if (!rc && moved)
        rc = feed_left(s, row, &old->area, ver, err);
    if (!rc && moved)
        rc = feed_returned(s, row, &row->area, err);
    if (!rc)
        rc = feed_put(s, row, &row->area, ver, false, err);
    if (!rc)
        rc = claims_update(s, row, old, err);
    if (!rc)
        rc = tz_replica_put(s->rep, row, err);
    if (!rc && moved && !TZ_PLANTED(DEPENDANTS_STAY))
        rc = move_dependants(s, row, ver, a, depth, err);
    return rc;
}

int tz_rows_forget(struct tz_store *s, const struct tz_row *row, struct tz_err *err)
{
    int rc = feed_drop(s, row, err);
    if (!rc)
        rc = forget_all_leaving(s, row, err);
    for (size_t k = 0; k < row->rec.type->nkeys && !rc; k++) {
        int64_t key = 0;
        if (tz_rows_claim(s, &row->rec, k, &key))
            rc = claim_run(s, TZ_SQL_CLAIM_DROP, key, row, err);
    }
    return rc ? rc : tz_replica_drop(s->rep, row->rec.type, row->id, err);
}

int tz_rows_put(struct tz_store *s, struct tz_row *row, const struct tz_row *old, tz_ver ver, struct tz_arena *a,
                struct tz_err *err)
{
    return rows_put(s, row, old, ver, a, 0, err);
}
