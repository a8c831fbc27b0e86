/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of lost versions that are still here (lost_row): offered to the server until their changes came in again, or it
 * has them too.
 *
 *   the record is here again as it was         forgotten, nothing is sent
 *   the server: its change came in again       forgotten
 *   the server keeps it, the window is open    kept here too, not offered again before the window has ended
 *   the server keeps it, the window has ended  forgotten: people decide there
 *   the server does not take it                kept, offered again in the next session
 *
 * Invariant: a row is forgotten only when what it says is durable at the server.
 */
#include "office_int.h"

#include <string.h>

enum { OFFER_BYTES_MAX = 256 * 1024, BATCH = 64 };

/* ---- what came back ---- */

struct kept {
    struct tz_lost_key key;
    enum tz_row_state state;
    struct tz_bytes body;
};

/** Is the confirmed record what the lost row says? 1, 0, negative. */
static int is_back(struct tz_office *o, const struct kept *k, struct tz_arena *a, struct tz_err *err)
{
    const struct tz_type *t = tz_catalogue_type_id(o->cat, k->key.type);
    struct tz_image *im = t ? tz_arena_alloc(a, sizeof *im) : NULL;
    struct tz_buf body;
    if (!im)
        return t ? tz_office_nomem(err) : 0;
    int rc = tz_overlay_confirmed(o, t, k->key.id, a, im, NULL, err);
    enum tz_image_state want = k->state == TZ_ROW_DELETED ? TZ_IMAGE_DELETED : TZ_IMAGE_LIVE;
    if (rc || im->state != want || im->row.ver <= k->key.ver)
        return rc;
    tz_buf_init(&body, TZ_ROW_BYTES_MAX);
    rc = tz_record_encode(&im->row.rec, &body);
    bool same = !rc && tz_bytes_eq(tz_buf_unread(&body), k->body);
    tz_buf_deinit(&body);
    return rc ? tz_err_set(err, rc, t->name, NULL, NULL, NULL) : same;
}

static int forget(struct tz_office *o, const struct tz_lost_key *k, struct tz_err *err)
{
    struct tz_stmt *s =
        tz_office_sql(o, OS_LOST_FORGET, "DELETE FROM lost_row WHERE type = ? AND id = ? AND ver = ?", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, k->type);
    tz_stmt_bind_id(s, 2, &k->id);
    tz_stmt_bind_int(s, 3, (int64_t)k->ver);
    return tz_stmt_run(s, err);
}

/** Up to @max rows after *@at that are to be offered (@closed: also those that were), and no more of them than there is
 * room for in OFFER_BYTES_MAX, but at least one. Their bodies are in @a. */
static int next_rows(struct tz_office *o, const struct tz_lost_key *at, bool closed, struct kept *v, size_t max,
                     struct tz_area *areas, size_t *n, struct tz_arena *a, struct tz_err *err)
{
    size_t bytes = 0;
    struct tz_stmt *s =
        tz_office_sql(o, OS_LOST_NEXT,
                      "SELECT type, id, ver, state, body, district, street FROM lost_row WHERE (type, id,"
                      " ver) > (?1, ?2, ?3) AND (offered = 0 OR ?4) ORDER BY type, id, ver LIMIT ?5",
                      err);
    int rc = 0;
    *n = 0;
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, at->type);
    tz_stmt_bind_id(s, 2, &at->id);
    tz_stmt_bind_int(s, 3, (int64_t)at->ver);
    tz_stmt_bind_int(s, 4, closed);
    tz_stmt_bind_int(s, 5, (int64_t)max);
    while (*n < max && (rc = tz_stmt_step(s, err)) == 1) {
        struct kept *k = &v[*n];
        struct tz_bytes body = tz_stmt_blob(s, 4);
        if (*n && bytes + body.n > OFFER_BYTES_MAX)
            break;
        bytes += body.n;
        const char *district = tz_stmt_text(s, 5);
        const char *street = tz_stmt_text(s, 6);
        *k = (struct kept){.key = {.type = (uint32_t)tz_stmt_int(s, 0), .ver = (tz_ver)tz_stmt_int(s, 2)},
                           .state = (enum tz_row_state)tz_stmt_int(s, 3),
                           .body = {tz_arena_dup(a, body.p, body.n), body.n}};
        tz_stmt_id(s, 1, &k->key.id);
        memset(&areas[*n], 0, sizeof *areas);
        memcpy(areas[*n].district, district, strnlen(district, TZ_DISTRICT_BYTES - 1));
        memcpy(areas[*n].street, street, strnlen(street, TZ_STREET_BYTES - 1));
        if (!k->body.p) {
            rc = tz_office_nomem(err);
            break;
        }
        ++*n;
    }
    tz_stmt_reset(s);
    return rc < 0 ? rc : 0;
}

/** Rows whose record is here again, just so, are forgotten. */
static int forget_returned(struct tz_office *o, struct tz_err *err)
{
    struct tz_lost_key at = {0};
    struct kept v[BATCH];
    struct tz_area areas[BATCH];
    struct tz_arena a;
    size_t n = 0;
    int rc = 0;
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    do {
        tz_arena_reset(&a);
        rc = next_rows(o, &at, true, v, BATCH, areas, &n, &a, err);
        for (size_t i = 0; i < n && rc >= 0; i++) {
            rc = is_back(o, &v[i], &a, err);
            if (rc == 1)
                rc = forget(o, &v[i].key, err);
            at = v[i].key;
        }
    } while (rc >= 0 && n > 0);
    tz_arena_deinit(&a);
    return rc < 0 ? rc : 0;
}

/* ---- offering ---- */

static int put_rows(const struct kept *v, const struct tz_area *areas, size_t n, struct tz_buf *out,
                    struct tz_lost_key *keys, size_t *nkeys)
{
    *nkeys = 0;
    for (size_t i = 0; i < n; i++) {
        const struct tz_msg_row row = {v[i].key.type, v[i].key.id, v[i].key.ver, areas[i], v[i].state, v[i].body};
        int rc = tz_msg_put_rows_row(out, &row);
        if (rc)
            return rc;
        keys[(*nkeys)++] = v[i].key;
    }
    return 0;
}

int tz_office_lost_rows(struct tz_office *o, const struct tz_lost_key *at, bool window_open, struct tz_buf *out,
                        struct tz_lost_key keys[TZ_LOST_KEYS_MAX], size_t *n, struct tz_err *err)
{
    static const struct tz_lost_key first = {0};
    struct tz_arena a;
    size_t found = 0;
    *n = 0;
    int rc = tz_office_begin(o, err);
    if (rc)
        return rc;
    tz_arena_init(&a, TZ_OFFICE_ARENA_BYTES);
    struct kept *v = tz_arena_calloc(&a, TZ_LOST_KEYS_MAX, sizeof *v);
    struct tz_area *areas = tz_arena_calloc(&a, TZ_LOST_KEYS_MAX, sizeof *areas);
    rc = v && areas ? 0 : tz_office_nomem(err);
    if (!rc && memcmp(at, &first, sizeof first) == 0)
        rc = forget_returned(o, err);
    if (!rc)
        rc = next_rows(o, at, !window_open, v, TZ_LOST_KEYS_MAX, areas, &found, &a, err);
    if (!rc)
        rc = put_rows(v, areas, found, out, keys, n);
    tz_arena_deinit(&a);
    return tz_office_end(o, rc, err);
}

static int mark_offered(struct tz_office *o, const struct tz_lost_key *k, struct tz_err *err)
{
    struct tz_stmt *s =
        tz_office_sql(o, OS_LOST_OFFERED, "UPDATE lost_row SET offered = 1 WHERE type = ? AND id = ? AND ver = ?", err);
    if (!s)
        return tz_office_code(err);
    tz_stmt_bind_int(s, 1, k->type);
    tz_stmt_bind_id(s, 2, &k->id);
    tz_stmt_bind_int(s, 3, (int64_t)k->ver);
    return tz_stmt_run(s, err);
}

int tz_office_lost_taken(struct tz_office *o, const struct tz_lost_key *keys, size_t n, const uint32_t *verdicts,
                         bool window_open, struct tz_err *err)
{
    int rc = tz_office_begin(o, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < n && !rc; i++) {
        if (verdicts[i] == TZ_LOST_IS_BACK || (verdicts[i] == TZ_LOST_IS_KEPT && !window_open))
            rc = forget(o, &keys[i], err);
        else if (verdicts[i] == TZ_LOST_IS_KEPT)
            rc = mark_offered(o, &keys[i], err);
    }
    return tz_office_end(o, rc, err);
}
