/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the person sees: confirmed rows with own pending edits replayed on top.
 *
 * Invariants
 *  1. A record has a row in `_shadow` exactly when an op in the overlay (outbox_touch.until IS NULL) touches it; then
 * the typed table holds the replay, and its _ver is the confirmed version.
 *  2. Replay is plain application in (seq, op) order. Nothing is merged here: what loses, loses at the server.
 *  3. An op that left the overlay stays on record only if it had hidden a confirmed value newer than its base: a form
 * that was opened then still shows the own value, so its save must not claim to have seen the hidden one
 * (tz_overlay_base).
 *
 *   received row ──> shadow ──┐
 *                             ├─ replay ──> typed table (the view)
 *   own ops in the overlay ───┘
 */
#include "log.h"
#include "office_int.h"

#include "planted.h"
#include "set.h"

#include <string.h>

/* ---- confirmed images ---- */

int tz_overlay_image(const struct tz_type *t, struct tz_id id, enum tz_image_state state, tz_ver ver,
                     const struct tz_area *area, struct tz_bytes body, struct tz_arena *a, struct tz_image *out,
                     struct tz_err *err)
{
    memset(&out->row, 0, sizeof out->row);
    tz_record_init(&out->row.rec, t);
    out->state = state;
    out->row.id = id;
    out->row.ver = ver;
    out->row.area = *area;
    out->row.deleted = state == TZ_IMAGE_DELETED;
    if (state == TZ_IMAGE_NONE)
        return 0;
    uint8_t *copy = tz_arena_dup(a, body.p, body.n);
    return copy ? tz_record_decode(t, tz_bytes_of(copy, body.n), a, &out->row.rec, err) : tz_office_nomem(err);
}

static void read_area(const struct tz_stmt *s, int col, struct tz_area *out)
{
    memset(out, 0, sizeof *out);
    struct tz_bytes d = tz_stmt_blob(s, col);
    struct tz_bytes st = tz_stmt_blob(s, col + 1);
    if (d.n && d.n < sizeof out->district)
        memcpy(out->district, d.p, d.n);
    if (st.n && st.n < sizeof out->street)
        memcpy(out->street, st.p, st.n);
}

/** 1 and the shadow, 0 none. */
static int shadow_get(struct tz_office *o, const struct tz_type *t, struct tz_id id, struct tz_arena *a,
                      struct tz_image *out, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_SHADOW_GET, TZ_SHADOW_GET, err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, t->id);
    tz_stmt_bind_id(s, 2, &id);
    int rc = tz_stmt_step(s, err);
    if (rc != 1)
        return rc;
    struct tz_area area;
    read_area(s, 2, &area);
    rc = tz_overlay_image(t, id, (enum tz_image_state)tz_stmt_int(s, 0), (tz_ver)tz_stmt_int(s, 1), &area,
                          tz_stmt_blob(s, 4), a, out, err);
    tz_stmt_reset(s);
    if (rc == TZ_E_FORMAT) { /* damage: the next row of it, or a repair, puts it right; until then nothing must stop */
        tz_log(TZ_LOG_WARN, "overlay", "shadow-damaged", "type=%u", t->id);
        if (err)
            *err = (struct tz_err){0};
        rc = tz_overlay_image(t, id, TZ_IMAGE_NONE, 0, &area, (struct tz_bytes){0}, a, out, err);
    }
    return rc ? rc : 1;
}

int tz_overlay_confirmed(struct tz_office *o, const struct tz_type *t, struct tz_id id, struct tz_arena *a,
                         struct tz_image *out, bool *shadowed, struct tz_err *err)
{
    int rc = shadow_get(o, t, id, a, out, err);
    if (shadowed)
        *shadowed = rc == 1;
    if (rc)
        return rc < 0 ? rc : 0;
    memset(&out->row, 0, sizeof out->row);
    rc = tz_replica_get(o->rep, t, id, a, &out->row, err);
    if (rc < 0)
        return rc;
    if (rc == 0) {
        struct tz_area nowhere = {0};
        return tz_overlay_image(t, id, TZ_IMAGE_NONE, 0, &nowhere, (struct tz_bytes){0}, a, out, err);
    }
    out->state = out->row.deleted ? TZ_IMAGE_DELETED : TZ_IMAGE_LIVE;
    return 0;
}

int tz_overlay_shadow_put(struct tz_office *o, const struct tz_type *t, struct tz_id id, const struct tz_image *im,
                          bool dirty, struct tz_err *err)
{
    struct tz_buf body;
    tz_buf_init(&body, TZ_ROW_BYTES_MAX);
    int rc = im->state == TZ_IMAGE_NONE ? 0 : tz_record_encode(&im->row.rec, &body);
    struct tz_stmt *s = NULL;
    if (rc)
        rc = tz_err_set(err, rc, t->name, NULL, NULL, NULL);
    else
        s = tz_office_sql(o, OS_SHADOW_PUT, "INSERT OR REPLACE INTO _shadow VALUES(?, ?, ?, ?, ?, ?, ?, ?)", err);
    if (s) {
        struct tz_bytes b = tz_buf_unread(&body);
        tz_stmt_bind_int(s, 1, t->id);
        tz_stmt_bind_id(s, 2, &id);
        tz_stmt_bind_int(s, 3, im->state);
        tz_stmt_bind_int(s, 4, (int64_t)im->row.ver);
        tz_stmt_bind_text(s, 5, im->row.area.district);
        tz_stmt_bind_text(s, 6, im->row.area.street);
        tz_stmt_bind_blob(s, 7, b.n ? (const void *)b.p : "", b.n);
        tz_stmt_bind_int(s, 8, dirty);
        rc = tz_stmt_run(s, err);
    } else if (!rc) {
        rc = tz_office_code(err);
    }
    tz_buf_deinit(&body);
    return rc;
}

/* ---- touches ---- */

int tz_overlay_pending(struct tz_office *o, uint32_t type, struct tz_id id, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_TOUCH_ANY, "SELECT 1 FROM _shadow WHERE type = ? AND id = ?", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, type);
    tz_stmt_bind_id(s, 2, &id);
    int rc = tz_stmt_step(s, err);
    tz_stmt_reset(s);
    return rc;
}

static void put_u32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/** Ids of the fields of @t that the op shows its own value of; p NULL means the record as a whole. */
static int fields_shown(const struct tz_op *op, const struct tz_type *t, struct tz_arena *a, struct tz_bytes *out,
                        struct tz_err *err)
{
    *out = (struct tz_bytes){0};
    if (op->kind == TZ_OP_CREATE || op->kind == TZ_OP_APPEND)
        return 0;
    uint8_t *p = tz_arena_calloc(a, 2 * TZ_FIELDS_MAX + 1, 4);
    size_t n = 0;
    if (!p)
        return tz_office_nomem(err);
    bool about_case = op->kind == TZ_OP_RESOLVE && op->type == t->id; /* the values are the target's */
    struct tz_wire_iter it = {op->values};
    struct tz_wire_field w;
    int rc = 0;
    while (!about_case && n < TZ_FIELDS_MAX && (rc = tz_wire_next(&it, &w)) == 1)
        put_u32(p + 4 * n++, w.number);
    if (rc < 0)
        return tz_err_set(err, rc, "outbox", NULL, NULL, NULL);
    for (size_t i = 0; !about_case && i < op->ncleared && n < (size_t)2 * TZ_FIELDS_MAX; i++)
        put_u32(p + 4 * n++, op->cleared[i]);
    if (op->kind == TZ_OP_ADD || op->kind == TZ_OP_REMOVE)
        put_u32(p + 4 * n++, op->field);
    *out = tz_bytes_of(p, 4 * n);
    return 0;
}

static int touch_add(struct tz_office *o, uint32_t type, struct tz_id id, uint64_t seq, size_t op, tz_ver base_ver,
                     struct tz_bytes shown, bool hid, struct tz_err *err)
{
    struct tz_stmt *s =
        tz_office_sql(o, OS_TOUCH_ADD, "INSERT OR REPLACE INTO outbox_touch VALUES(?, ?, ?, ?, ?, ?, ?, NULL)", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, type);
    tz_stmt_bind_id(s, 2, &id);
    tz_stmt_bind_int(s, 3, (int64_t)seq);
    tz_stmt_bind_int(s, 4, (int64_t)op);
    tz_stmt_bind_int(s, 5, (int64_t)base_ver);
    if (shown.p)
        tz_stmt_bind_blob(s, 6, shown.p, shown.n);
    else
        tz_stmt_bind_null(s, 6);
    tz_stmt_bind_int(s, 7, hid);
    return tz_stmt_run(s, err);
}

int tz_overlay_touch(struct tz_office *o, const struct tz_type *t, struct tz_id id, uint64_t seq, size_t op,
                     const struct tz_op *what, struct tz_err *err)
{
    struct tz_arena a;
    struct tz_image im;
    struct tz_bytes shown = {0};
    bool shadowed = false;
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    int rc = tz_overlay_confirmed(o, t, id, &a, &im, &shadowed, err);
    if (!rc && !shadowed)
        rc = tz_overlay_shadow_put(o, t, id, &im, false, err);
    if (!rc)
        rc = fields_shown(what, t, &a, &shown, err);
    /* an inherited base: something is hidden from the start */
    rc = rc ? rc : touch_add(o, t->id, id, seq, op, what->base_ver, shown, what->base_ver < im.row.ver, err);
    tz_arena_deinit(&a);
    return rc;
}

int tz_overlay_mark_hidden(struct tz_office *o, struct tz_err *err)
{
    struct tz_stmt *s =
        tz_office_sql(o, OS_SHADOW_DIRTY,
                      "UPDATE outbox_touch SET hid = 1 WHERE until IS NULL AND hid = 0 AND (type, id) IN"
                      " (SELECT type, id FROM _shadow WHERE dirty = 1)",
                      err);
    int rc = s ? tz_stmt_run(s, err) : tz_office_code(err);
    if (rc)
        return rc;
    s = tz_office_sql(o, OS_SHADOW_CLEAN, "UPDATE _shadow SET dirty = 0 WHERE dirty = 1", err);
    return s ? tz_stmt_run(s, err) : tz_office_code(err);
}

/* ---- own changesets ---- */

void tz_overlay_cache_drop(struct tz_office *o)
{
    for (size_t i = 0; i < TZ_OFFICE_CACHE; i++) {
        o->cache[i].seq = 0;
        tz_arena_reset(&o->cache[i].arena);
    }
}

static int load_changeset(struct tz_office *o, struct tz_cached_changeset *c, uint64_t seq, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_BOX_RAW, "SELECT raw FROM outbox WHERE seq = ?", err);
    if (!s)
        return tz_office_code(err);
    c->seq = 0;
    tz_arena_reset(&c->arena);
    tz_stmt_bind_int(s, 1, (int64_t)seq);
    int rc = tz_stmt_step(s, err);
    if (rc != 1)
        return rc < 0 ? rc : tz_err_setf(err, TZ_E_DB_CORRUPT, "outbox lacks %llu", (unsigned long long)seq);
    struct tz_bytes raw = tz_stmt_blob(s, 0);
    raw.p = tz_arena_dup(&c->arena, raw.p, raw.n);
    tz_stmt_reset(s);
    if (!raw.p)
        return tz_office_nomem(err);
    rc = tz_msg_read_changeset(raw, &c->arena, &c->cs, err);
    if (rc)
        return rc;
    c->seq = seq;
    return 0;
}

int tz_overlay_changeset(struct tz_office *o, uint64_t seq, const struct tz_changeset **out, struct tz_err *err)
{
    if (o->open_cs && o->open_cs->seq == seq) {
        *out = o->open_cs;
        return 0;
    }
    struct tz_cached_changeset *oldest = &o->cache[0];
    for (size_t i = 0; i < TZ_OFFICE_CACHE; i++) {
        struct tz_cached_changeset *c = &o->cache[i];
        if (c->seq == seq) {
            c->used = ++o->cache_clock;
            *out = &c->cs;
            return 0;
        }
        if (c->used < oldest->used)
            oldest = c;
    }
    int rc = load_changeset(o, oldest, seq, err);
    if (rc)
        return rc;
    oldest->used = ++o->cache_clock;
    *out = &oldest->cs;
    return 0;
}

static int op_of(struct tz_office *o, uint64_t seq, uint64_t op, const struct tz_changeset **cs,
                 const struct tz_op **out, struct tz_err *err)
{
    int rc = tz_overlay_changeset(o, seq, cs, err);
    if (rc)
        return rc;
    if (op >= (*cs)->nops)
        return tz_err_setf(err, TZ_E_DB_CORRUPT, "outbox %llu has no op %llu", (unsigned long long)seq,
                           (unsigned long long)op);
    *out = &(*cs)->ops[op];
    return 0;
}

/* ---- replay ---- */

/** The values an op gives, laid over the image: fields it names, and the unknown ones when the record is new. */
static int lay_values(const struct tz_op *op, const struct tz_type *t, struct tz_arena *a, struct tz_image *im,
                      struct tz_err *err)
{
    struct tz_record *in = tz_arena_alloc(a, sizeof *in);
    if (!in)
        return tz_office_nomem(err);
    int rc = tz_record_decode(t, op->values, a, in, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < t->nfields; i++)
        if (in->v[i].kind != TZ_V_NULL)
            im->row.rec.v[i] = in->v[i];
    for (size_t i = 0; i < op->ncleared; i++) {
        const struct tz_field *f = tz_type_field_id(t, op->cleared[i]);
        if (f)
            im->row.rec.v[f->index] = tz_value_null();
    }
    if (im->state == TZ_IMAGE_NONE)
        im->row.rec.extra = in->extra;
    return 0;
}

/** Does the op name what decides where the record belongs? Else the server's answer for the area stands. */
static bool area_named(const struct tz_type *t, const struct tz_record *before, const struct tz_record *after)
{
    int f[] = {t->district_field, t->street_field, t->area_field};
    for (size_t i = 0; i < 3; i++)
        if (f[i] >= 0 && (size_t)f[i] < t->nfields && !tz_value_eq(before->v[f[i]], after->v[f[i]]))
            return true;
    return false;
}

static int apply_values(struct tz_office *o, const struct tz_op *op, const struct tz_type *t, struct tz_arena *a,
                        struct tz_image *im, struct tz_err *err)
{
    struct tz_record *before = tz_arena_alloc(a, sizeof *before);
    if (!before)
        return tz_office_nomem(err);
    *before = im->row.rec;
    bool fresh = im->state == TZ_IMAGE_NONE;
    int rc = lay_values(op, t, a, im, err);
    if (rc)
        return rc;
    im->state = TZ_IMAGE_LIVE; /* also over a deletion: the server brings such a record back */
    im->row.deleted = false;
    if (!fresh && !area_named(t, before, &im->row.rec))
        return 0;
    struct tz_area area = {0};
    rc = tz_check_area_of(o, &im->row.rec, a, &area, err);
    if (rc == 1)
        im->row.area = area;
    return rc < 0 ? rc : 0;
}

static int apply_elements(const struct tz_op *op, const struct tz_type *t, struct tz_arena *a, struct tz_image *im,
                          struct tz_err *err)
{
    const struct tz_field *f = tz_type_field_id(t, op->field);
    if (!f) /* a newer catalogue made it */
        return 0;
    struct tz_value *v = &im->row.rec.v[f->index];
    int rc = tz_set_put(*v, op->elements, op->nelements, op->kind == TZ_OP_ADD, a, v);
    if (rc)
        return tz_err_set(err, rc, f->name, NULL, NULL, NULL);
    im->state = TZ_IMAGE_LIVE; /* as for values: also over a deletion */
    im->row.deleted = false;
    return 0;
}

/** The case itself: shown as closed from now on. */
static void close_case(const struct tz_op *op, const struct tz_type *t, struct tz_image *im)
{
    static const char *const choice[] = {"", "mine", "theirs", "typed"};
    const struct tz_field *state = tz_type_field(t, "state");
    const struct tz_field *made = tz_type_field(t, "choice");
    if (state)
        im->row.rec.v[state->index] = tz_value_text("closed");
    if (made && (unsigned)op->choice < 4)
        im->row.rec.v[made->index] = tz_value_text(choice[op->choice]);
}

static int apply_resolve(struct tz_office *o, const struct tz_op *op, const struct tz_type *t, struct tz_id id,
                         struct tz_arena *a, struct tz_image *im, struct tz_err *err)
{
    if (im->state == TZ_IMAGE_NONE)
        return 0;
    if (op->type == t->id && tz_id_eq(op->id, id)) {
        close_case(op, t, im);
        return 0;
    }
    if (op->field != TZ_FIELD_DELETED)
        return apply_values(o, op, t, a, im, err);
    im->state = op->deleted ? TZ_IMAGE_DELETED : TZ_IMAGE_LIVE;
    im->row.deleted = op->deleted;
    return 0;
}

int tz_overlay_apply(struct tz_office *o, const struct tz_op *op, const struct tz_type *t, struct tz_id id,
                     struct tz_arena *a, struct tz_image *im, struct tz_err *err)
{
    switch (op->kind) {
    case TZ_OP_CREATE:
    case TZ_OP_APPEND:
        im->row.id = id;
        return apply_values(o, op, t, a, im, err);
    case TZ_OP_SET:
        return im->state == TZ_IMAGE_NONE ? 0 : apply_values(o, op, t, a, im, err);
    case TZ_OP_DELETE:
        if (im->state == TZ_IMAGE_LIVE)
            im->state = TZ_IMAGE_DELETED;
        im->row.deleted = im->state == TZ_IMAGE_DELETED;
        return 0;
    case TZ_OP_RESTORE:
        if (im->state == TZ_IMAGE_DELETED)
            im->state = TZ_IMAGE_LIVE;
        im->row.deleted = false;
        return 0;
    case TZ_OP_ADD:
    case TZ_OP_REMOVE:
        return im->state == TZ_IMAGE_NONE ? 0 : apply_elements(op, t, a, im, err);
    case TZ_OP_RESOLVE:
        return apply_resolve(o, op, t, id, a, im, err);
    case TZ_OP_NONE: /* the rest changes nothing a person sees here before the server has judged it */
    case TZ_OP_VOID:
    case TZ_OP_EVENT:
    case TZ_OP_MERGE:
    case TZ_OP_UNMERGE:
    case TZ_OP_WITHDRAW:
    default:
        return 0;
    }
}

int tz_overlay_put(struct tz_office *o, const struct tz_type *t, struct tz_id id, const struct tz_image *im,
                   struct tz_err *err)
{
    if (im->state == TZ_IMAGE_NONE)
        return tz_replica_drop(o->rep, t, id, err);
    return tz_replica_put(o->rep, &im->row, err);
}

struct touch {
    uint64_t seq, op;
};

static bool keep_elements(const struct tz_op *op, struct tz_arena *a, struct tz_op *kept)
{
    struct tz_bytes *el = tz_arena_calloc(a, op->nelements + 1, sizeof *el);
    for (size_t i = 0; el && i < op->nelements; i++) {
        el[i] = tz_bytes_of(tz_arena_dup(a, op->elements[i].p, op->elements[i].n), op->elements[i].n);
        if (!el[i].p)
            return false;
    }
    kept->elements = el;
    return el != NULL;
}

/* What replay borrows from an op must not die when the cache makes room for the next changeset. */
const struct tz_op *tz_overlay_keep_op(const struct tz_op *op, struct tz_arena *a)
{
    struct tz_op *kept = tz_arena_dup(a, op, sizeof *op);
    if (!kept)
        return NULL;
    kept->values.p = tz_arena_dup(a, op->values.p, op->values.n);
    kept->note.p = tz_arena_dup(a, op->note.p, op->note.n);
    kept->action = tz_arena_strdup(a, op->action ? op->action : "");
    kept->expected_state = tz_arena_strdup(a, op->expected_state ? op->expected_state : "");
    uint32_t *cleared = tz_arena_calloc(a, op->ncleared + 1, sizeof *cleared);
    if (!kept->values.p || !kept->note.p || !kept->action || !kept->expected_state || !cleared)
        return NULL;
    if (op->ncleared)
        memcpy(cleared, op->cleared, op->ncleared * sizeof *cleared);
    kept->cleared = cleared;
    return keep_elements(op, a, kept) ? kept : NULL;
}

/** Touches in the overlay, in replay order. */
static int list_touches(struct tz_office *o, uint32_t type, struct tz_id id, struct tz_arena *a, struct touch **out,
                        size_t *n, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_TOUCH_LIST,
                                      "SELECT seq, op, count(*) OVER () FROM outbox_touch WHERE type = ? AND id = ? "
                                      "AND until IS NULL ORDER BY seq, op",
                                      err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, type);
    tz_stmt_bind_id(s, 2, &id);
    *out = NULL;
    *n = 0;
    int rc;
    while ((rc = tz_stmt_step(s, err)) == 1) {
        if (!*out)
            *out = tz_arena_calloc(a, (size_t)tz_stmt_int(s, 2), sizeof **out);
        if (!*out) {
            tz_stmt_reset(s);
            return tz_office_nomem(err);
        }
        (*out)[(*n)++] = (struct touch){(uint64_t)tz_stmt_int(s, 0), (uint64_t)tz_stmt_int(s, 1)};
    }
    return rc;
}

static int replay(struct tz_office *o, const struct tz_type *t, struct tz_id id, const struct touch *touch, size_t n,
                  struct tz_arena *a, struct tz_image *im, struct tz_err *err)
{
    for (size_t i = 0; i < n; i++) {
        const struct tz_changeset *cs;
        const struct tz_op *op = NULL;
        int rc = op_of(o, touch[i].seq, touch[i].op, &cs, &op, err);
        if (!rc && n > 1) {
            op = tz_overlay_keep_op(op, a);
            rc = op ? 0 : tz_office_nomem(err);
        }
        if (!rc)
            rc = tz_overlay_apply(o, op, t, id, a, im, err);
        if (rc)
            return rc;
    }
    return 0;
}

int tz_overlay_recompute(struct tz_office *o, const struct tz_type *t, struct tz_id id, struct tz_err *err)
{
    struct tz_arena a;
    struct tz_image im;
    struct touch *touch = NULL;
    size_t n = 0;
    bool shadowed = false;
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    int rc = list_touches(o, t->id, id, &a, &touch, &n, err);
    if (!rc)
        rc = tz_overlay_confirmed(o, t, id, &a, &im, &shadowed, err);
    if (!rc && shadowed) {
        rc = replay(o, t, id, touch, n, &a, &im, err);
        if (!rc)
            rc = tz_overlay_put(o, t, id, &im, err);
        if (!rc && n == 0) {
            struct tz_stmt *s = tz_office_sql(o, OS_SHADOW_DEL, "DELETE FROM _shadow WHERE type = ? AND id = ?", err);
            if (s) {
                tz_stmt_bind_int(s, 1, t->id);
                tz_stmt_bind_id(s, 2, &id);
            }
            rc = s ? tz_stmt_run(s, err) : tz_office_code(err);
        }
    }
    tz_arena_deinit(&a);
    return rc;
}

/* ---- leaving ---- */

struct record_ref {
    uint32_t type;
    struct tz_id id;
};

/** Records that ops of @seq still touch. */
static int touched_by(struct tz_office *o, uint64_t seq, int op, struct tz_arena *a, struct record_ref **out, size_t *n,
                      struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_TOUCH_OF,
                                      "SELECT DISTINCT type, id FROM outbox_touch WHERE seq = ?1 AND until IS NULL"
                                      " AND (?2 < 0 OR op = ?2)",
                                      err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, (int64_t)seq);
    tz_stmt_bind_int(s, 2, op);
    size_t cap = (size_t)TZ_CHANGESET_OPS_MAX * 2;
    *out = tz_arena_calloc(a, cap, sizeof **out);
    *n = 0;
    if (!*out)
        return tz_office_nomem(err);
    int rc;
    while ((rc = tz_stmt_step(s, err)) == 1 && *n < cap) {
        (*out)[*n].type = (uint32_t)tz_stmt_int(s, 0);
        tz_stmt_id(s, 1, &(*out)[*n].id);
        (*n)++;
    }
    tz_stmt_reset(s);
    return rc < 0 ? rc : 0;
}

static int leave_touches(struct tz_office *o, uint64_t seq, int op, tz_ver until, struct tz_err *err)
{
    struct tz_stmt *s = tz_office_sql(o, OS_TOUCH_LEFT,
                                      "UPDATE outbox_touch SET until = ?3 WHERE seq = ?1 AND until IS NULL AND hid = 1"
                                      " AND (?2 < 0 OR op = ?2)",
                                      err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, (int64_t)seq);
    tz_stmt_bind_int(s, 2, op);
    tz_stmt_bind_int(s, 3, (int64_t)until);
    int rc = tz_stmt_run(s, err);
    if (rc)
        return rc;
    s = tz_office_sql(o, OS_TOUCH_DEL,
                      "DELETE FROM outbox_touch WHERE seq = ?1 AND until IS NULL AND (?2 < 0 OR op = ?2)", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, (int64_t)seq);
    tz_stmt_bind_int(s, 2, op);
    return tz_stmt_run(s, err);
}

int tz_overlay_leave(struct tz_office *o, uint64_t seq, int op, tz_ver until, struct tz_err *err)
{
    struct tz_arena a;
    struct record_ref *rec = NULL;
    size_t n = 0;
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    int rc = touched_by(o, seq, op, &a, &rec, &n, err);
    if (!rc)
        rc = leave_touches(o, seq, op, until, err);
    for (size_t i = 0; i < n && !rc; i++) {
        const struct tz_type *t = tz_catalogue_type_id(o->cat, rec[i].type);
        if (t) /* a type that an older catalogue had no longer has a table to repair */
            rc = tz_overlay_recompute(o, t, rec[i].id, err);
    }
    tz_arena_deinit(&a);
    if (rc)
        return rc;
    struct tz_stmt *s = tz_office_sql(o, OS_BOX_OUT,
                                      "UPDATE outbox SET in_overlay = 0 WHERE seq = ?1 AND NOT EXISTS"
                                      " (SELECT 1 FROM outbox_touch WHERE seq = ?1 AND until IS NULL)",
                                      err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, (int64_t)seq);
    return tz_stmt_run(s, err);
}

/* ---- what an edit saw ---- */

/** What a touch says of its op: every field, or those listed and the rest of their groups. */
static void read_shown(const struct tz_stmt *q, int col, const struct tz_type *t, bool *shown)
{
    bool all = tz_stmt_is_null(q, col);
    struct tz_bytes list = tz_stmt_blob(q, col);
    for (size_t i = 0; i < t->nfields; i++)
        shown[i] = all;
    for (size_t at = 0; !all && at + 4 <= list.n; at += 4) {
        const struct tz_field *f = tz_type_field_id(t, get_u32(list.p + at));
        if (f)
            shown[f->index] = true;
    }
    for (size_t i = 0; i < t->nfields; i++) /* a group is one subject: its as-of date is in every op about it */
        for (size_t k = 0; shown[i] && t->fields[i].group && k < t->nfields; k++)
            if (t->fields[k].group == t->fields[i].group)
                shown[k] = true;
}

int tz_overlay_base(struct tz_office *o, const struct tz_type *t, struct tz_id id, const struct tz_seen *seen,
                    struct tz_bases *out, struct tz_err *err)
{
    out->least = seen->ver;
    for (size_t i = 0; i < TZ_FIELDS_MAX; i++)
        out->ver[i] = seen->ver;
    /* own ops that were on top when the form was read: older than its seq, and not gone before its checkpoint */
    struct tz_stmt *s = tz_office_sql(o, OS_TOUCH_SEEN,
                                      "SELECT base_ver, shown FROM outbox_touch WHERE type = ? AND id = ? AND seq <= ?"
                                      " AND (until IS NULL OR until >= ?) ORDER BY seq, op",
                                      err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, t->id);
    tz_stmt_bind_id(s, 2, &id);
    tz_stmt_bind_int(s, 3, (int64_t)seen->seq);
    tz_stmt_bind_int(s, 4, (int64_t)seen->checkpoint);
    bool shown[TZ_FIELDS_MAX];
    int rc;
    while ((rc = tz_stmt_step(s, err)) == 1) {
        tz_ver base = (tz_ver)tz_stmt_int(s, 0);
        read_shown(s, 1, t, shown);
        for (size_t i = 0; i < t->nfields; i++)
            if (shown[i] && !TZ_PLANTED(BASE_RAISED))
                out->ver[i] = base < seen->ver ? base : seen->ver;
        if (base < out->least)
            out->least = base;
    }
    tz_stmt_reset(s);
    return rc < 0 ? rc : 0;
}
