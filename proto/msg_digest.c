/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The messages of comparing bucket by bucket: DigestRequest, Digest, Damage, DamageNoted. Read in place, like the
 * messages of rows. What a key or a range means is for the two sides; here only form and number are judged.
 */

#include "msg_wire.h"
#include <string.h>

enum { KEY_BYTES_MAX = 64, ENTRY_BYTES_MAX = 160 };

/* ---- rules ---- */

static const struct tz_wire_rule key_rules[] = {
    TZ_RULE_NUMBER(1),
    TZ_RULE_TEXT(2, TZ_DISTRICT_BYTES - 1),
    TZ_RULE_TEXT(3, TZ_STREET_BYTES - 1),
};
static const struct tz_wire_schema key_schema = TZ_SCHEMA("DigestKey", key_rules);

static const struct tz_wire_rule request_rules[] = {
    TZ_RULE_NUMBER(1),
    TZ_RULE_MESSAGES(2, 1, KEY_BYTES_MAX, key_schema),
    TZ_RULE_MESSAGES(3, TZ_MSG_DIGEST_KEYS_MAX, KEY_BYTES_MAX, key_schema),
    TZ_RULE_BYTES(4, TZ_BUCKET_MAP_BYTES),
    TZ_RULE_BYTES(5, TZ_ID_BYTES),
};
static const struct tz_wire_schema request_schema = TZ_SCHEMA("DigestRequest", request_rules);

static const struct tz_wire_rule entry_rules[] = {
    TZ_RULE_NUMBER(1), TZ_RULE_TEXT(2, TZ_DISTRICT_BYTES - 1), TZ_RULE_TEXT(3, TZ_STREET_BYTES - 1), TZ_RULE_NUMBER(4),
    TZ_RULE_NUMBER(5), TZ_RULE_BYTES(6, TZ_HASH_BYTES),
};
static const struct tz_wire_schema entry_schema = TZ_SCHEMA("DigestEntry", entry_rules);

static const struct tz_wire_rule digest_rules[] = {
    TZ_RULE_MESSAGES(1, TZ_MSG_ROWS_MAX, TZ_ROW_BYTES_MAX + TZ_MSG_ROW_OVERHEAD_BYTES_MAX, tz_msg_row_schema),
    TZ_RULE_MESSAGES(2, TZ_MSG_DIGEST_ENTRIES_MAX, ENTRY_BYTES_MAX, entry_schema),
    TZ_RULE_NUMBER(3),
    TZ_RULE_NUMBER(4),
    TZ_RULE_NUMBER(5),
    TZ_RULE_NUMBER(6),
    TZ_RULE_NUMBER(7),
};
static const struct tz_wire_schema digest_schema = TZ_SCHEMA("Digest", digest_rules);

static const struct tz_wire_rule bucket_rules[] = {
    TZ_RULE_NUMBER(1), TZ_RULE_TEXT(2, TZ_DISTRICT_BYTES - 1), TZ_RULE_TEXT(3, TZ_STREET_BYTES - 1), TZ_RULE_NUMBER(4),
    TZ_RULE_NUMBER(5),
};
static const struct tz_wire_schema bucket_schema = TZ_SCHEMA("DamageBucket", bucket_rules);

static const struct tz_wire_rule damage_rules[] = {
    TZ_RULE_MESSAGES(1, TZ_MSG_DAMAGE_BUCKETS_MAX, KEY_BYTES_MAX, bucket_schema),
    TZ_RULE_NUMBER(2),
    TZ_RULE_NUMBER(3),
    TZ_RULE_NUMBER(4),
    TZ_RULE_NUMBER(5),
    TZ_RULE_NUMBER(6),
    TZ_RULE_NUMBER(7),
};
static const struct tz_wire_schema damage_schema = TZ_SCHEMA("Damage", damage_rules);

static const struct tz_wire_rule noted_rules[] = {TZ_RULE_NUMBER(1)};
static const struct tz_wire_schema noted_schema = TZ_SCHEMA("DamageNoted", noted_rules);

/* ---- parts ---- */

static void put_key_fields(struct tz_msg_writer *w, const struct tz_bucket_key *k)
{
    tz_msg_w_u64(w, 1, k->type);
    tz_msg_w_area(w, 2, &k->area);
}

static void put_key(struct tz_msg_writer *w, uint32_t number, const struct tz_bucket_key *k)
{
    size_t open = tz_msg_w_open(w);
    put_key_fields(w, k);
    tz_msg_w_close(w, number, open);
}

static int read_key(struct tz_bytes b, struct tz_bucket_key *k, struct tz_err *err)
{
    const struct tz_msg_slot slots[] = {
        {1, TZ_SLOT_U32, &k->type}, {2, TZ_SLOT_DISTRICT, k->area.district}, {3, TZ_SLOT_STREET, k->area.street}};
    return tz_msg_read_slots("DigestKey", b, slots, 3, err);
}

static int take_range(uint32_t v, uint8_t *out, struct tz_err *err)
{
    int rc = tz_msg_take_enum("range", v, 0, TZ_BUCKET_RANGES - 1, err);
    if (rc == 0)
        *out = (uint8_t)v;
    return rc;
}

/* ---- DigestRequest ---- */

int tz_msg_put_digest_request(struct tz_buf *out, const struct tz_msg_digest_request *m)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    tz_msg_w_u64(&w, 1, (uint64_t)m->round);
    if (m->after.type != 0)
        put_key(&w, 2, &m->after);
    for (size_t i = 0; i < m->nkeys && w.rc == 0; i++)
        put_key(&w, 3, &m->keys[i]);
    if (m->round == TZ_DIGEST_ROWS)
        tz_msg_w_bytes(&w, 4, tz_bytes_of(m->ranges, sizeof m->ranges));
    tz_msg_w_id(&w, 5, m->after_id);
    return tz_msg_end(&w, &request_schema);
}

/* The lists of a request are short: they are read into its own room. */
static int read_request_keys(struct tz_bytes in, struct tz_msg_digest_request *m, struct tz_err *err)
{
    struct tz_wire_iter it = {.rest = in};
    struct tz_wire_field f;
    int rc = 0;
    while (rc == 0 && tz_wire_next(&it, &f) == 1) {
        if (f.number == 2)
            rc = read_key(f.bytes, &m->after, err);
        else if (f.number == 3)
            rc = read_key(f.bytes, &m->keys[m->nkeys++], err);
    }
    return rc;
}

/* Each round has its own fields, and all of them. */
static int check_request(const struct tz_msg_digest_request *m, size_t map_bytes, struct tz_err *err)
{
    bool after = m->after.type != 0, after_id = !tz_id_is_zero(m->after_id);
    bool good = false;
    switch (m->round) {
    case TZ_DIGEST_AREAS:
        good = m->nkeys == 0 && map_bytes == 0 && !after_id;
        break;
    case TZ_DIGEST_RANGES:
        good = m->nkeys > 0 && map_bytes == 0 && !after && !after_id;
        break;
    case TZ_DIGEST_ROWS:
        good = m->nkeys == 1 && map_bytes == TZ_BUCKET_MAP_BYTES && !after;
        break;
    }
    return good ? 0 : tz_err_setf(err, TZ_E_FORMAT, "DigestRequest of round %d", (int)m->round);
}

int tz_msg_read_digest_request(struct tz_bytes in, struct tz_msg_digest_request *m, struct tz_err *err)
{
    uint32_t round = 0;
    struct tz_bytes map = {0}, after_id = {0};
    const struct tz_msg_slot slots[] = {
        {1, TZ_SLOT_U32, &round}, {4, TZ_SLOT_BYTES, &map}, {5, TZ_SLOT_BYTES, &after_id}};
    memset(m, 0, sizeof(*m));
    int rc = tz_wire_check(&request_schema, in, err);
    if (rc == 0)
        rc = tz_msg_read_slots("DigestRequest", in, slots, 3, err);
    if (rc == 0)
        rc = tz_msg_take_enum("round", round, TZ_DIGEST_AREAS, TZ_DIGEST_ROWS, err);
    if (rc == 0)
        rc = tz_msg_take_id_opt("after_id", after_id, &m->after_id, err);
    if (rc == 0)
        rc = read_request_keys(in, m, err);
    if (rc != 0)
        return rc;
    m->round = (enum tz_digest_round)round;
    if (map.n == sizeof m->ranges)
        memcpy(m->ranges, map.p, map.n);
    return check_request(m, map.n, err);
}

/* ---- Digest ---- */

static void put_entry(struct tz_msg_writer *w, const struct tz_bucket *b)
{
    size_t open = tz_msg_w_open(w);
    put_key_fields(w, &b->key);
    tz_msg_w_u64(w, 4, b->range);
    tz_msg_w_u64(w, 5, b->sum.rows);
    tz_msg_w_hash(w, 6, b->sum.digest);
    tz_msg_w_close(w, 2, open);
}

int tz_msg_put_digest_tail(struct tz_buf *out, const struct tz_msg_digest *m)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    if (m->nentries > TZ_MSG_DIGEST_ENTRIES_MAX)
        tz_msg_fail(&w, TZ_E_LIMIT);
    for (size_t i = 0; i < m->nentries && w.rc == 0; i++)
        put_entry(&w, &m->entries[i]);
    tz_msg_w_u64(&w, 3, (uint64_t)m->round);
    tz_msg_w_u64(&w, 4, m->ver);
    tz_msg_w_u64(&w, 5, m->since);
    tz_msg_w_u64(&w, 6, m->more);
    tz_msg_w_u64(&w, 7, m->repair_keeps);
    return tz_msg_end(&w, NULL);
}

int tz_msg_put_digest(struct tz_buf *out, const struct tz_msg_digest *m)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    if (m->nrows > TZ_MSG_ROWS_MAX)
        tz_msg_fail(&w, TZ_E_LIMIT);
    for (size_t i = 0; i < m->nrows && w.rc == 0; i++)
        w.rc = tz_msg_put_rows_row(out, &m->rows[i]);
    if (w.rc == 0)
        w.rc = tz_msg_put_digest_tail(out, m);
    return tz_msg_end(&w, NULL);
}

static int fill_entry(void *array, size_t i, struct tz_bytes b, struct tz_err *err)
{
    struct tz_bucket *e = (struct tz_bucket *)array + i;
    uint32_t range = 0;
    const struct tz_msg_slot slots[] = {
        {1, TZ_SLOT_U32, &e->key.type},          {2, TZ_SLOT_DISTRICT, e->key.area.district},
        {3, TZ_SLOT_STREET, e->key.area.street}, {4, TZ_SLOT_U32, &range},
        {5, TZ_SLOT_U64, &e->sum.rows},          {6, TZ_SLOT_HASH, e->sum.digest}};
    int rc = tz_msg_read_slots("DigestEntry", b, slots, 6, err);
    return rc != 0 ? rc : take_range(range, &e->range, err);
}

int tz_msg_read_digest(struct tz_bytes in, struct tz_arena *a, struct tz_msg_digest *m, struct tz_err *err)
{
    void *rows = NULL, *entries = NULL;
    uint32_t round = 0;
    const struct tz_msg_slot slots[] = {{3, TZ_SLOT_U32, &round},
                                        {4, TZ_SLOT_U64, &m->ver},
                                        {5, TZ_SLOT_U64, &m->since},
                                        {6, TZ_SLOT_BOOL, &m->more},
                                        {7, TZ_SLOT_BOOL, &m->repair_keeps}};
    memset(m, 0, sizeof(*m));
    int rc = tz_wire_check(&digest_schema, in, err);
    if (rc == 0)
        rc = tz_msg_read_slots("Digest", in, slots, 5, err);
    if (rc == 0)
        rc = tz_msg_take_enum("round", round, TZ_DIGEST_AREAS, TZ_DIGEST_ROWS, err);
    if (rc == 0)
        rc = tz_msg_read_list(in, 1, sizeof(struct tz_msg_row), tz_msg_fill_row, a, &rows, &m->nrows, err);
    if (rc == 0)
        rc = tz_msg_read_list(in, 2, sizeof(struct tz_bucket), fill_entry, a, &entries, &m->nentries, err);
    m->round = (enum tz_digest_round)round;
    m->rows = rows;
    m->entries = entries;
    return rc;
}

/* ---- Damage ---- */

int tz_msg_put_damage(struct tz_buf *out, const struct tz_msg_damage *m)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    for (size_t i = 0; i < m->nbuckets && w.rc == 0; i++) {
        size_t open = tz_msg_w_open(&w);
        put_key_fields(&w, &m->buckets[i].key);
        tz_msg_w_u64(&w, 4, m->buckets[i].range);
        tz_msg_w_u64(&w, 5, m->buckets[i].rows);
        tz_msg_w_close(&w, 1, open);
    }
    tz_msg_w_u64(&w, 2, m->ver);
    tz_msg_w_u64(&w, 3, m->changed);
    tz_msg_w_u64(&w, 4, m->missing);
    tz_msg_w_u64(&w, 5, m->extra);
    tz_msg_w_u64(&w, 6, m->kept);
    tz_msg_w_u64(&w, 7, m->unfit);
    return tz_msg_end(&w, &damage_schema);
}

static int read_damage_bucket(struct tz_bytes in, struct tz_damage_bucket *b, struct tz_err *err)
{
    uint32_t range = 0;
    const struct tz_msg_slot slots[] = {{4, TZ_SLOT_U32, &range}, {5, TZ_SLOT_U32, &b->rows}};
    int rc = read_key(in, &b->key, err);
    if (rc == 0)
        rc = tz_msg_read_slots("DamageBucket", in, slots, 2, err);
    return rc != 0 ? rc : take_range(range, &b->range, err);
}

int tz_msg_read_damage(struct tz_bytes in, struct tz_msg_damage *m, struct tz_err *err)
{
    const struct tz_msg_slot slots[] = {{2, TZ_SLOT_U64, &m->ver},     {3, TZ_SLOT_U64, &m->changed},
                                        {4, TZ_SLOT_U64, &m->missing}, {5, TZ_SLOT_U64, &m->extra},
                                        {6, TZ_SLOT_U64, &m->kept},    {7, TZ_SLOT_U64, &m->unfit}};
    struct tz_wire_iter it = {.rest = in};
    struct tz_wire_field f;
    memset(m, 0, sizeof(*m));
    int rc = tz_wire_check(&damage_schema, in, err);
    if (rc == 0)
        rc = tz_msg_read_slots("Damage", in, slots, 6, err);
    while (rc == 0 && tz_wire_next(&it, &f) == 1)
        if (f.number == 1)
            rc = read_damage_bucket(f.bytes, &m->buckets[m->nbuckets++], err);
    return rc;
}

int tz_msg_put_damage_noted(struct tz_buf *out, bool noted)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    tz_msg_w_u64(&w, 1, noted);
    return tz_msg_end(&w, NULL);
}

int tz_msg_read_damage_noted(struct tz_bytes in, bool *noted, struct tz_err *err)
{
    const struct tz_msg_slot slots[] = {{1, TZ_SLOT_BOOL, noted}};
    *noted = false;
    int rc = tz_wire_check(&noted_schema, in, err);
    return rc != 0 ? rc : tz_msg_read_slots("DamageNoted", in, slots, 1, err);
}
