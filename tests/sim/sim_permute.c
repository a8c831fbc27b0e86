/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order-freedom (P3): several devices make one changeset each, all from the same base, no two naming the same field or
 * group of a record. Two servers commit them in two random orders and two random groupings; their records must be
 * byte-identical.
 */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORDS = 6, AUTHORS = 7, NAMED_MAX = 256 };

struct permute {
    struct sim_template *tpl;
    struct sim_rng r;
    struct tz_arena a;
    struct tz_bytes raw[AUTHORS + 1]; /* [0] makes the records */
    uint32_t device[AUTHORS + 1];
    struct tz_id ids[RECORDS];
    struct tz_id_maker makers[AUTHORS + 1];
    struct {
        size_t record;
        uint32_t subject;
    } named[NAMED_MAX];
    size_t nnamed;
    tz_ver base;
    struct tz_wall now;
    char *why;
};

static uint32_t some_random(void *ctx)
{
    return (uint32_t)sim_rand(ctx);
}

/** First to name this field or group of this record? */
static bool claim(struct permute *p, size_t record, const struct tz_field *f)
{
    uint32_t subject = f->group ? 100000U + f->group : f->id;
    for (size_t i = 0; i < p->nnamed; i++)
        if (p->named[i].record == record && p->named[i].subject == subject)
            return false;
    p->named[p->nnamed].record = record;
    p->named[p->nnamed++].subject = subject;
    return true;
}

static struct tz_bytes encode(struct permute *p, const struct tz_record *rec)
{
    struct tz_buf b;
    tz_buf_init(&b, TZ_ROW_BYTES_MAX);
    if (tz_record_encode(rec, &b))
        abort();
    struct tz_bytes out = tz_bytes_of(tz_arena_dup(&p->a, b.p, b.len), b.len);
    tz_buf_deinit(&b);
    return out;
}

static struct tz_value some_value(struct permute *p, const struct tz_field *f)
{
    char text[32];
    if (f->ftype == TZ_FT_ENUM)
        return tz_value_text(f->en->values[sim_below(&p->r, f->en->nvalues)].code);
    if (f->ftype == TZ_FT_DATE)
        return tz_value_text("2017-03-01");
    if (tz_ftype_kind(f->ftype) == TZ_V_INT)
        return tz_value_int((int64_t)sim_below(&p->r, 2));
    (void)snprintf(text, sizeof text, "V%llu", (unsigned long long)sim_below(&p->r, 1000));
    return tz_value_text(tz_arena_strdup(&p->a, text));
}

static struct tz_op make_record(struct permute *p, size_t author, struct tz_id *id)
{
    const struct tz_type *t = tz_catalogue_type(&p->tpl->cat, "organisation");
    struct tz_record *in = tz_arena_calloc(&p->a, 1, sizeof *in);
    *id = tz_id_make(&p->makers[author], p->now);
    tz_record_init(in, t);
    in->v[tz_type_field(t, "name")->index] = tz_value_text("ORG");
    in->v[tz_type_field(t, "district_code")->index] = tz_value_text("120101");
    in->v[tz_type_field(t, "employees")->index] = tz_value_int(1);
    return (struct tz_op){.kind = TZ_OP_CREATE, .type = t->id, .id = *id, .values = encode(p, in)};
}

static struct tz_op edit_record(struct permute *p, const struct tz_role *role)
{
    const struct tz_type *t = tz_catalogue_type(&p->tpl->cat, "organisation");
    struct tz_record *in = tz_arena_calloc(&p->a, 1, sizeof *in);
    size_t record = sim_below(&p->r, RECORDS);
    tz_record_init(in, t);
    for (int tries = 0; tries < 6; tries++) {
        const struct tz_field *f = &t->fields[sim_below(&p->r, t->nfields)];
        bool fits = (f->editors & role->editor) && f->ftype != TZ_FT_REF && f->ftype != TZ_FT_CODE && f->limit != 18 &&
                    t->district_field != (int)f->index && t->street_field != (int)f->index;
        if (!fits || !claim(p, record, f))
            continue;
        in->v[f->index] = some_value(p, f);
        if (f->group)
            in->v[t->groups[f->group - 1].as_of] = some_value(p, &t->fields[t->groups[f->group - 1].as_of]);
    }
    return (struct tz_op){
        .kind = TZ_OP_SET, .type = t->id, .id = p->ids[record], .base_ver = p->base, .values = encode(p, in)};
}

static void make_changeset(struct permute *p, size_t author, const struct tz_op *ops, size_t nops)
{
    const struct sim_device *d = &p->tpl->devices[author % 3];
    struct tz_buf b;
    struct tz_changeset cs = {.device = d->number,
                              .incarnation = 1,
                              .seq = author / 3 + 1,
                              .user = d->users[0],
                              .hlc = tz_hlc_of(p->now.ms + (int64_t)sim_below(&p->r, 100000), 0),
                              .catalogue_version = p->tpl->cat.version,
                              .reason = "",
                              .base_checkpoint = p->base,
                              .ops = ops,
                              .nops = nops};
    tz_buf_init(&b, TZ_CHANGESET_BYTES_MAX);
    if (tz_msg_put_changeset(&b, &cs))
        abort();
    p->raw[author] = tz_bytes_of(tz_arena_dup(&p->a, b.p, b.len), b.len);
    p->device[author] = d->number;
    tz_buf_deinit(&b);
}

static struct tz_wall fixed_wall(void *ctx)
{
    return ((struct permute *)ctx)->now;
}

static struct tz_mono fixed_mono(void *ctx)
{
    (void)ctx;
    return (struct tz_mono){0};
}

static void server_random(void *ctx, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)sim_rand(&((struct permute *)ctx)->r);
}

static struct tz_store *open_store(struct permute *p, struct tz_memdisk *disk)
{
    char path[128];
    struct tz_err err = {0};
    struct tz_store *s = NULL;
    struct tz_store_options o = {.catalogue = &p->tpl->cat,
                                 .db = {.vfs = TZ_MEMVFS_NAME, .exclusive = true},
                                 .clock = {fixed_wall, fixed_mono, p},
                                 .random = server_random,
                                 .random_ctx = p};
    if (tz_store_open(tz_memdisk_path(disk, "server.db", path, sizeof path), &o, &s, &err))
        (void)snprintf(p->why, SIM_WHY_BYTES, "open: %s", err.trail);
    return s;
}

/** Commit the changesets in @order, some at a time. */
static int commit(struct permute *p, struct tz_store *s, const size_t *order, size_t n)
{
    struct tz_err err = {0};
    int rc = 0;
    for (size_t at = 0; at < n && !rc;) {
        size_t group = 1 + sim_below(&p->r, n - at);
        rc = tz_store_group_begin(s, &err);
        for (; group > 0 && !rc; group--, at++) {
            struct tz_apply_ctx ctx = {.device = p->device[order[at]], .received = p->now};
            struct tz_apply_out out;
            struct tz_result r;
            rc = tz_store_apply(s, &ctx, p->raw[order[at]], &p->a, &out, &err);
            if (!rc)
                rc = tz_msg_read_result(out.results[0].result, &p->a, &r, &err);
            if (!rc && r.outcome != TZ_OUT_APPLIED)
                rc = tz_err_setf(&err, TZ_E_INTERNAL, "outcome %d code %d", (int)r.outcome, r.code);
        }
        if (!rc)
            rc = tz_store_group_commit(s, &err);
    }
    if (rc)
        (void)snprintf(p->why, SIM_WHY_BYTES, "commit: %d %s %s", rc, err.nargs ? err.args[0] : "", err.trail);
    return rc;
}

static int add_row(void *ctx, const struct tz_row *row)
{
    /* everything but the version, which is the order */
    struct tz_buf *b = ctx;
    struct tz_row plain = *row;
    plain.ver = 0;
    return tz_row_dump(&plain, true, b) || tz_buf_putc(b, '\n') ? TZ_E_NOMEM : 1;
}

static int dump(struct permute *p, struct tz_store *s, struct tz_buf *out)
{
    struct tz_err err = {0};
    struct tz_replica *rep = NULL;
    int rc = tz_replica_open(tz_store_db(s), &p->tpl->cat, TZ_SIDE_SERVER, false, &rep, &err);
    for (size_t i = 0; i < p->tpl->cat.ntypes && !rc; i++)
        rc = tz_replica_each(rep, &p->tpl->cat.types[i], add_row, out, &err);
    tz_replica_close(rep);
    return rc;
}

static void shuffle(struct permute *p, size_t *order, size_t n)
{
    /* a device's own order is kept: authors k and k + 3 are the same device */
    for (size_t i = 0; i < n; i++)
        order[i] = i + 1;
    for (size_t swaps = 0; swaps < n * n; swaps++) {
        size_t i = sim_below(&p->r, n - 1);
        if (order[i] % 3 != order[i + 1] % 3) {
            size_t x = order[i];
            order[i] = order[i + 1];
            order[i + 1] = x;
        }
    }
}

static void make_all(struct permute *p)
{
    for (size_t author = 1; author <= AUTHORS; author++) {
        struct tz_op ops[5];
        struct tz_id id;
        const struct tz_role *role = tz_catalogue_role(&p->tpl->cat, p->tpl->devices[author % 3].role);
        size_t n = 0;
        for (size_t k = 1 + sim_below(&p->r, 3); k > 0; k--)
            ops[n++] = edit_record(p, role);
        if (sim_chance(&p->r, 50))
            ops[n++] = make_record(p, author, &id);
        make_changeset(p, author, ops, n);
    }
}

static int compare_orders(struct permute *p, struct tz_memdisk *base)
{
    struct tz_buf text[2];
    int rc = 0;
    for (int k = 0; k < 2; k++) {
        size_t order[AUTHORS];
        struct tz_memdisk *disk = tz_memdisk_clone(base);
        struct tz_store *s = open_store(p, disk);
        tz_buf_init(&text[k], 4 << 20);
        shuffle(p, order, AUTHORS);
        if (!rc)
            rc = s ? commit(p, s, order, AUTHORS) : -1;
        if (!rc)
            rc = dump(p, s, &text[k]);
        tz_store_close(s);
        tz_memdisk_free(disk);
    }
    if (!rc && !tz_bytes_eq(tz_buf_unread(&text[0]), tz_buf_unread(&text[1]))) {
        size_t at = 0;
        while (at < text[0].len && at < text[1].len && text[0].p[at] == text[1].p[at])
            at++;
        size_t from = at > 150 ? at - 150 : 0;
        (void)snprintf(p->why, SIM_WHY_BYTES, "two orders gave different records:\n%.300s\n%.300s",
                       (const char *)text[0].p + from, (const char *)text[1].p + from);
        rc = -1;
    }
    tz_buf_deinit(&text[0]);
    tz_buf_deinit(&text[1]);
    return rc;
}

int sim_permute(struct sim_template *tpl, uint64_t seed, char why[SIM_WHY_BYTES])
{
    static struct permute p;
    struct tz_op ops[RECORDS];
    size_t first = 0;
    memset(&p, 0, sizeof p);
    p.tpl = tpl;
    p.r = sim_rng_of(seed, 77);
    p.why = why;
    p.now.ms = INT64_C(17167) * 86400000;
    tz_arena_init(&p.a, (size_t)64 << 20);
    for (size_t i = 0; i <= AUTHORS; i++)
        p.makers[i] =
            (struct tz_id_maker){.device = tpl->devices[i % 3].number, .random = some_random, .random_ctx = &p.r};
    for (size_t i = 0; i < RECORDS; i++)
        ops[i] = make_record(&p, 0, &p.ids[i]);
    make_changeset(&p, 0, ops, RECORDS);
    struct tz_memdisk *base = tz_memdisk_clone(tpl->server);
    struct tz_store *s = open_store(&p, base);
    int rc = s ? commit(&p, s, &first, 1) : -1;
    if (!rc)
        p.base = tz_store_head(s);
    tz_store_close(s);
    if (!rc) {
        make_all(&p);
        rc = compare_orders(&p, base);
    }
    tz_memdisk_free(base);
    tz_arena_deinit(&p.a);
    return rc ? -1 : 0;
}
