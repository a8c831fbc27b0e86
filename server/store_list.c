/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists for the administrator: users with what they may do, and what each device handed in, counted from the audit log
 * and not from the results, so that the balance is checked against something else than itself.
 */
#include "store_int.h"

#include <stdlib.h>
#include <string.h>

static void copy_text(char *out, size_t cap, const char *in)
{
    size_t n = in ? strnlen(in, cap - 1) : 0;
    if (n)
        memcpy(out, in, n);
    out[n] = '\0';
}

/* ---- users ---- */

static int user_name(struct tz_store *s, struct tz_user *u, struct tz_arena *a, struct tz_err *err)
{
    const struct tz_field *f = tz_type_field(s->user_type, "name");
    struct tz_row *row = tz_arena_alloc(a, sizeof *row);
    if (!row)
        return tz_err_set(err, TZ_E_NOMEM, NULL, NULL, NULL, NULL);
    int rc = tz_replica_get(s->rep, s->user_type, u->id, a, row, err);
    struct tz_value v = rc == 1 && f ? row->rec.v[f->index] : tz_value_null();
    copy_text(u->name, sizeof u->name, v.kind == TZ_V_TEXT ? tz_arena_dup(a, v.p, v.n) : u->code);
    return rc < 0 ? rc : 0;
}

int tz_store_users(struct tz_store *s, int (*cb)(void *ctx, const struct tz_user *u), void *ctx, struct tz_err *err)
{
    struct tz_stmt st = {0};
    struct tz_arena a;
    struct tz_user u;
    int rc = tz_db_prepare(s->db, &st, "SELECT user,code,role,area,active FROM user_grant ORDER BY code", err);
    tz_arena_init(&a, 4 * TZ_ROW_BYTES_MAX);
    while (!rc && (rc = tz_stmt_step(&st, err)) == 1) {
        tz_stmt_id(&st, 0, &u.id);
        copy_text(u.code, sizeof u.code, tz_stmt_text(&st, 1));
        copy_text(u.role, sizeof u.role, tz_stmt_text(&st, 2));
        copy_text(u.area, sizeof u.area, tz_stmt_text(&st, 3));
        u.active = tz_stmt_int(&st, 4) != 0;
        tz_arena_reset(&a);
        rc = user_name(s, &u, &a, err);
        int go = rc ? rc : cb(ctx, &u);
        rc = go > 0 ? 0 : go;
        if (go <= 0)
            break;
    }
    tz_arena_deinit(&a);
    tz_stmt_finalize(&st);
    return rc;
}

/* ---- ops handed in ---- */

struct handed_in {
    uint32_t device, incarnation;
    uint64_t seq;
    uint8_t hash[TZ_HASH_BYTES]; /* a copied installation has the same seqs */
    size_t nops;
};

struct list {
    struct handed_in *v;
    size_t n, cap;
};

static int list_add(struct list *l, const struct tz_changeset *cs, const uint8_t hash[TZ_HASH_BYTES])
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 256;
        struct handed_in *v = realloc(l->v, cap * sizeof *v);
        if (!v)
            return TZ_E_NOMEM;
        l->v = v;
        l->cap = cap;
    }
    struct handed_in *h = &l->v[l->n++];
    *h = (struct handed_in){.device = cs->device, .incarnation = cs->incarnation, .seq = cs->seq, .nops = cs->nops};
    memcpy(h->hash, hash, sizeof h->hash);
    return 0;
}

/** The changeset counts when it has the key's result, or was kept as a copied installation's. Fills @hash. */
static int judged(struct tz_stmt *st, const struct tz_changeset *cs, struct tz_bytes raw, uint8_t hash[TZ_HASH_BYTES],
                  struct tz_err *err)
{
    int rc = tz_sha256(raw, hash);
    if (rc)
        return tz_err_set(err, rc, NULL, NULL, NULL, NULL);
    tz_stmt_bind_int(st, 1, cs->device);
    tz_stmt_bind_int(st, 2, cs->incarnation);
    tz_stmt_bind_int(st, 3, (int64_t)cs->seq);
    tz_stmt_bind_blob(st, 4, hash, TZ_HASH_BYTES);
    rc = tz_stmt_step(st, err);
    tz_stmt_reset(st);
    return rc;
}

static int collect(struct tz_store *s, struct list *l, struct tz_err *err)
{
    struct tz_stmt bodies = {0};
    struct tz_stmt result = {0};
    struct tz_arena a;
    struct tz_changeset cs;
    uint8_t hash[TZ_HASH_BYTES];
    int rc = tz_db_prepare(s->db, &bodies,
                           "SELECT b.body FROM audit a JOIN audit_body b ON b.n=a.n"
                           " WHERE a.meta GLOB 'changeset *' AND length(b.body)>0"
                           " UNION ALL SELECT raw FROM backlog WHERE outcome=4", /* no entry until they are judged */
                           err);
    if (!rc)
        rc = tz_db_prepare(
            s->db, &result,
            "SELECT 1 FROM result WHERE device=?1 AND incarnation=?2 AND seq=?3 AND hash=?4 UNION"
            " SELECT 1 FROM backlog WHERE device=?1 AND incarnation=?2 AND seq=?3 AND hash=?4 AND outcome IN (5,7)",
            err);
    tz_arena_init(&a, 64 * 1024 * 1024);
    while (!rc && (rc = tz_stmt_step(&bodies, err)) == 1) {
        struct tz_bytes raw = tz_stmt_blob(&bodies, 0);
        tz_arena_reset(&a);
        rc = tz_msg_read_changeset(raw, &a, &cs, err);
        int ours = rc ? rc : judged(&result, &cs, raw, hash, err);
        rc = ours == 1 ? list_add(l, &cs, hash) : ours;
    }
    tz_arena_deinit(&a);
    tz_stmt_finalize(&bodies);
    tz_stmt_finalize(&result);
    return rc;
}

static int by_key(const void *pa, const void *pb)
{
    const struct handed_in *a = pa;
    const struct handed_in *b = pb;
    if (a->device != b->device)
        return a->device < b->device ? -1 : 1;
    if (a->incarnation != b->incarnation)
        return a->incarnation < b->incarnation ? -1 : 1;
    if (a->seq != b->seq)
        return a->seq < b->seq ? -1 : 1;
    return memcmp(a->hash, b->hash, sizeof a->hash);
}

int tz_store_received(struct tz_store *s, tz_received_cb cb, void *ctx, struct tz_err *err)
{
    struct list l = {0};
    struct tz_received sum = {0};
    int rc = collect(s, &l, err);
    if (l.n)
        qsort(l.v, l.n, sizeof *l.v, by_key);
    for (size_t i = 0; i < l.n && !rc; i++) {
        if (i && by_key(&l.v[i - 1], &l.v[i]) == 0)
            continue; /* judged again after it had waited */
        if (sum.device && sum.device != l.v[i].device) {
            cb(ctx, &sum);
            sum = (struct tz_received){0};
        }
        sum.device = l.v[i].device;
        sum.changesets++;
        sum.ops += l.v[i].nops;
    }
    if (!rc && sum.device)
        cb(ctx, &sum);
    free(l.v);
    return rc;
}
