/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The messages that carry the load: Push, ReOffer and Results on the up lane, Pull, Rows, Checkpoint and Ack on the
 * down lane.
 *
 * They are read in place: one walk of tz_wire_check, one to count, one to fill an array whose entries borrow from the
 * input. A frame of thousands of rows costs one allocation per list. What the bytes of a changeset, result or record
 * body mean is for others.
 */

#include "msg_wire.h"
#include <string.h>

enum {
    CURSOR_BYTES_MAX = 64,
    SIGNED_OVERHEAD_BYTES_MAX = 128,
};

/* ---- rules ---- */

static const struct tz_wire_rule push_rules[] = {
    TZ_RULE_BYTES_LIST(1, TZ_MSG_CHANGESETS_MAX, TZ_CHANGESET_BYTES_MAX),
};
static const struct tz_wire_schema push_schema = TZ_SCHEMA("Push", push_rules);

static const struct tz_wire_rule signed_rules[] = {
    TZ_RULE_BYTES(1, TZ_MSG_RESULT_BYTES_MAX),
    TZ_RULE_BYTES(2, TZ_HASH_BYTES),
};
static const struct tz_wire_schema signed_schema = TZ_SCHEMA("SignedResult", signed_rules);

static const struct tz_wire_rule results_rules[] = {
    TZ_RULE_MESSAGES(1, TZ_MSG_RESULTS_MAX, TZ_MSG_RESULT_BYTES_MAX + SIGNED_OVERHEAD_BYTES_MAX, signed_schema),
    TZ_RULE_NUMBER(2),
};
static const struct tz_wire_schema results_schema = TZ_SCHEMA("Results", results_rules);

static const struct tz_wire_rule offered_rules[] = {
    TZ_RULE_BYTES(1, TZ_CHANGESET_BYTES_MAX),
    TZ_RULE_BYTES(2, TZ_MSG_RESULT_BYTES_MAX),
    TZ_RULE_BYTES(3, TZ_HASH_BYTES),
};
static const struct tz_wire_schema offered_schema = TZ_SCHEMA("Offered", offered_rules);

static const struct tz_wire_rule reoffer_rules[] = {
    TZ_RULE_MESSAGES(1, TZ_MSG_CHANGESETS_MAX,
                     TZ_CHANGESET_BYTES_MAX + TZ_MSG_RESULT_BYTES_MAX + SIGNED_OVERHEAD_BYTES_MAX, offered_schema),
};
static const struct tz_wire_schema reoffer_schema = TZ_SCHEMA("ReOffer", reoffer_rules);

static const struct tz_wire_rule cursor_rules[] = {
    TZ_RULE_TEXT(1, TZ_DISTRICT_BYTES - 1),
    TZ_RULE_TEXT(2, TZ_STREET_BYTES - 1),
    TZ_RULE_NUMBER(3),
    TZ_RULE_NUMBER(4),
    TZ_RULE_NUMBER(5),
};
static const struct tz_wire_schema cursor_schema = TZ_SCHEMA("Cursor", cursor_rules);

static const struct tz_wire_rule pull_rules[] = {
    TZ_RULE_MESSAGES(1, TZ_MSG_CURSORS_MAX, CURSOR_BYTES_MAX, cursor_schema),
};
static const struct tz_wire_schema pull_schema = TZ_SCHEMA("Pull", pull_rules);

static const struct tz_wire_rule row_rules[] = {
    TZ_RULE_NUMBER(1),
    TZ_RULE_BYTES(2, TZ_ID_BYTES),
    TZ_RULE_NUMBER(3),
    TZ_RULE_TEXT(4, TZ_DISTRICT_BYTES - 1),
    TZ_RULE_TEXT(5, TZ_STREET_BYTES - 1),
    TZ_RULE_NUMBER(6),
    TZ_RULE_BYTES(7, TZ_ROW_BYTES_MAX),
};
const struct tz_wire_schema tz_msg_row_schema = TZ_SCHEMA("Row", row_rules);

static const struct tz_wire_rule rows_rules[] = {
    TZ_RULE_MESSAGES(1, TZ_MSG_ROWS_MAX, TZ_ROW_BYTES_MAX + TZ_MSG_ROW_OVERHEAD_BYTES_MAX, tz_msg_row_schema),
    TZ_RULE_MESSAGES(2, TZ_MSG_CURSORS_MAX, CURSOR_BYTES_MAX, cursor_schema),
};
static const struct tz_wire_schema rows_schema = TZ_SCHEMA("Rows", rows_rules);

static const struct tz_wire_rule checkpoint_rules[] = {
    TZ_RULE_NUMBER(1),
    TZ_RULE_NUMBER(2),
    TZ_RULE_BYTES(3, TZ_HASH_BYTES),
};
static const struct tz_wire_schema checkpoint_schema = TZ_SCHEMA("Checkpoint", checkpoint_rules);

static const struct tz_wire_rule ack_rules[] = {TZ_RULE_NUMBER(1)};
static const struct tz_wire_schema ack_schema = TZ_SCHEMA("Ack", ack_rules);

/* ---- one list of sub-messages or bytes ---- */

int tz_msg_read_list(struct tz_bytes in, uint32_t number, size_t entry_bytes, tz_msg_fill_fn fill, struct tz_arena *a,
                     void **array, size_t *n, struct tz_err *err)
{
    size_t count = tz_msg_count(in, number), i = 0;
    *n = 0;
    *array = tz_arena_calloc(a, count, entry_bytes);
    if (*array == NULL)
        return tz_msg_no_room(err);
    struct tz_wire_iter it = {.rest = in};
    struct tz_wire_field f;
    while (i < count && tz_wire_next(&it, &f) == 1) {
        if (f.number != number)
            continue;
        int rc = fill(*array, i, f.bytes, err);
        if (rc != 0)
            return rc;
        i++;
    }
    *n = count;
    return 0;
}

static int fill_bytes(void *array, size_t i, struct tz_bytes b, struct tz_err *err)
{
    (void)err;
    ((struct tz_bytes *)array)[i] = b;
    return 0;
}

static int fill_signed(void *array, size_t i, struct tz_bytes b, struct tz_err *err)
{
    struct tz_signed_result *r = (struct tz_signed_result *)array + i;
    const struct tz_msg_slot slots[] = {{1, TZ_SLOT_BYTES, &r->result}, {2, TZ_SLOT_BYTES, &r->mac}};
    int rc = tz_msg_read_slots("SignedResult", b, slots, 2, err);
    if (rc == 0 && r->mac.n != 0 && r->mac.n != TZ_HASH_BYTES)
        rc = tz_err_setf(err, TZ_E_FORMAT, "mac of %zu bytes", r->mac.n);
    return rc;
}

static int fill_offered(void *array, size_t i, struct tz_bytes b, struct tz_err *err)
{
    struct tz_offered *o = (struct tz_offered *)array + i;
    const struct tz_msg_slot slots[] = {
        {1, TZ_SLOT_BYTES, &o->changeset}, {2, TZ_SLOT_BYTES, &o->was.result}, {3, TZ_SLOT_BYTES, &o->was.mac}};
    int rc = tz_msg_read_slots("Offered", b, slots, 3, err);
    if (rc == 0 && o->was.mac.n != 0 && o->was.mac.n != TZ_HASH_BYTES)
        rc = tz_err_setf(err, TZ_E_FORMAT, "mac of %zu bytes", o->was.mac.n);
    return rc;
}

static int fill_cursor(void *array, size_t i, struct tz_bytes b, struct tz_err *err)
{
    struct tz_cursor *c = (struct tz_cursor *)array + i;
    const struct tz_msg_slot slots[] = {{1, TZ_SLOT_DISTRICT, c->area.district},
                                        {2, TZ_SLOT_STREET, c->area.street},
                                        {3, TZ_SLOT_U32, &c->tier},
                                        {4, TZ_SLOT_U64, &c->ver},
                                        {5, TZ_SLOT_U64, &c->begun}};
    return tz_msg_read_slots("Cursor", b, slots, 5, err);
}

int tz_msg_fill_row(void *array, size_t i, struct tz_bytes b, struct tz_err *err)
{
    struct tz_msg_row *r = (struct tz_msg_row *)array + i;
    uint32_t state = 0;
    const struct tz_msg_slot slots[] = {{1, TZ_SLOT_U32, &r->type},          {2, TZ_SLOT_ID, &r->id},
                                        {3, TZ_SLOT_U64, &r->ver},           {4, TZ_SLOT_DISTRICT, r->area.district},
                                        {5, TZ_SLOT_STREET, r->area.street}, {6, TZ_SLOT_U32, &state},
                                        {7, TZ_SLOT_BYTES, &r->body}};
    int rc = tz_msg_read_slots("Row", b, slots, 7, err);
    if (rc == 0)
        rc = tz_msg_take_enum("row state", state, TZ_ROW_LIVE, TZ_ROW_LEFT, err);
    if (rc == 0)
        r->state = (enum tz_row_state)state;
    return rc;
}

/* ---- Push ---- */

int tz_msg_put_push(struct tz_buf *out, const struct tz_bytes *changesets, size_t n)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    if (n > TZ_MSG_CHANGESETS_MAX)
        tz_msg_fail(&w, TZ_E_LIMIT);
    for (size_t i = 0; i < n && w.rc == 0; i++) {
        if (changesets[i].n > TZ_CHANGESET_BYTES_MAX)
            tz_msg_fail(&w, TZ_E_LIMIT);
        tz_msg_w_item(&w, 1, changesets[i]);
    }
    return tz_msg_end(&w, NULL);
}

int tz_msg_read_push(struct tz_bytes in, struct tz_arena *a, struct tz_bytes **changesets, size_t *n,
                     struct tz_err *err)
{
    void *array = NULL;
    int rc = tz_wire_check(&push_schema, in, err);
    if (rc == 0)
        rc = tz_msg_read_list(in, 1, sizeof(struct tz_bytes), fill_bytes, a, &array, n, err);
    *changesets = array;
    return rc;
}

/* ---- ReOffer ---- */

int tz_msg_put_reoffer(struct tz_buf *out, const struct tz_offered *saves, size_t n)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    if (n > TZ_MSG_CHANGESETS_MAX)
        tz_msg_fail(&w, TZ_E_LIMIT);
    for (size_t i = 0; i < n && w.rc == 0; i++) {
        const struct tz_offered *o = &saves[i];
        if (o->changeset.n > TZ_CHANGESET_BYTES_MAX || o->was.result.n > TZ_MSG_RESULT_BYTES_MAX ||
            o->was.mac.n > TZ_HASH_BYTES)
            tz_msg_fail(&w, TZ_E_LIMIT);
        size_t open = tz_msg_w_open(&w);
        tz_msg_w_bytes(&w, 1, o->changeset);
        tz_msg_w_bytes(&w, 2, o->was.result);
        tz_msg_w_bytes(&w, 3, o->was.mac);
        tz_msg_w_close(&w, 1, open);
    }
    return tz_msg_end(&w, NULL);
}

int tz_msg_read_reoffer(struct tz_bytes in, struct tz_arena *a, struct tz_offered **saves, size_t *n,
                        struct tz_err *err)
{
    void *array = NULL;
    int rc = tz_wire_check(&reoffer_schema, in, err);
    if (rc == 0)
        rc = tz_msg_read_list(in, 1, sizeof(struct tz_offered), fill_offered, a, &array, n, err);
    *saves = array;
    return rc;
}

/* ---- Results ---- */

int tz_msg_put_results(struct tz_buf *out, const struct tz_signed_result *results, size_t n)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    if (n > TZ_MSG_RESULTS_MAX)
        tz_msg_fail(&w, TZ_E_LIMIT);
    for (size_t i = 0; i < n && w.rc == 0; i++) {
        if (results[i].result.n > TZ_MSG_RESULT_BYTES_MAX || results[i].mac.n > TZ_HASH_BYTES)
            tz_msg_fail(&w, TZ_E_LIMIT);
        size_t open = tz_msg_w_open(&w);
        tz_msg_w_bytes(&w, 1, results[i].result);
        tz_msg_w_bytes(&w, 2, results[i].mac);
        tz_msg_w_close(&w, 1, open);
    }
    return tz_msg_end(&w, NULL);
}

int tz_msg_put_results_unasked(struct tz_buf *out)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    tz_msg_w_u64(&w, 2, 1);
    return tz_msg_end(&w, NULL);
}

bool tz_msg_results_unasked(struct tz_bytes in)
{
    struct tz_wire_iter it = {in};
    struct tz_wire_field f;
    while (tz_wire_next(&it, &f) == 1)
        if (f.number == 2 && f.varint != 0)
            return true;
    return false;
}

int tz_msg_read_results(struct tz_bytes in, struct tz_arena *a, struct tz_signed_result **results, size_t *n,
                        struct tz_err *err)
{
    void *array = NULL;
    int rc = tz_wire_check(&results_schema, in, err);
    if (rc == 0)
        rc = tz_msg_read_list(in, 1, sizeof(struct tz_signed_result), fill_signed, a, &array, n, err);
    *results = array;
    return rc;
}

/* ---- Pull ---- */

static void put_cursor(struct tz_msg_writer *w, uint32_t number, const struct tz_cursor *c)
{
    size_t open = tz_msg_w_open(w);
    tz_msg_w_area(w, 1, &c->area);
    tz_msg_w_u64(w, 3, c->tier);
    tz_msg_w_u64(w, 4, c->ver);
    tz_msg_w_u64(w, 5, c->begun);
    tz_msg_w_close(w, number, open);
}

int tz_msg_put_pull(struct tz_buf *out, const struct tz_cursor *cursors, size_t n)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    for (size_t i = 0; i < n && w.rc == 0; i++)
        put_cursor(&w, 1, &cursors[i]);
    return tz_msg_end(&w, &pull_schema);
}

int tz_msg_read_pull(struct tz_bytes in, struct tz_arena *a, struct tz_cursor **cursors, size_t *n, struct tz_err *err)
{
    void *array = NULL;
    int rc = tz_wire_check(&pull_schema, in, err);
    if (rc == 0)
        rc = tz_msg_read_list(in, 1, sizeof(struct tz_cursor), fill_cursor, a, &array, n, err);
    *cursors = array;
    return rc;
}

/* ---- Rows ---- */

int tz_msg_put_rows_row(struct tz_buf *out, const struct tz_msg_row *row)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    if (row->body.n > TZ_ROW_BYTES_MAX)
        tz_msg_fail(&w, TZ_E_LIMIT);
    size_t open = tz_msg_w_open(&w);
    tz_msg_w_u64(&w, 1, row->type);
    tz_msg_w_id_req(&w, 2, row->id);
    tz_msg_w_u64(&w, 3, row->ver);
    tz_msg_w_area(&w, 4, &row->area);
    tz_msg_w_u64(&w, 6, (uint64_t)row->state);
    tz_msg_w_bytes(&w, 7, row->body);
    tz_msg_w_close(&w, 1, open);
    return tz_msg_end(&w, NULL);
}

int tz_msg_put_rows_progress(struct tz_buf *out, const struct tz_cursor *c)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    struct tz_cursor said = {c->area, c->tier, c->ver, 0};
    put_cursor(&w, 2, &said);
    return tz_msg_end(&w, NULL);
}

int tz_msg_put_rows(struct tz_buf *out, const struct tz_msg_rows *m)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    if (m->nrows > TZ_MSG_ROWS_MAX || m->nprogress > TZ_MSG_CURSORS_MAX)
        tz_msg_fail(&w, TZ_E_LIMIT);
    for (size_t i = 0; i < m->nrows && w.rc == 0; i++)
        w.rc = tz_msg_put_rows_row(out, &m->rows[i]);
    for (size_t i = 0; i < m->nprogress && w.rc == 0; i++)
        put_cursor(&w, 2, &m->progress[i]);
    return tz_msg_end(&w, NULL);
}

int tz_msg_read_rows(struct tz_bytes in, struct tz_arena *a, struct tz_msg_rows *m, struct tz_err *err)
{
    void *rows = NULL, *progress = NULL;
    memset(m, 0, sizeof(*m));
    int rc = tz_wire_check(&rows_schema, in, err);
    if (rc == 0)
        rc = tz_msg_read_list(in, 1, sizeof(struct tz_msg_row), tz_msg_fill_row, a, &rows, &m->nrows, err);
    if (rc == 0)
        rc = tz_msg_read_list(in, 2, sizeof(struct tz_cursor), fill_cursor, a, &progress, &m->nprogress, err);
    m->rows = rows;
    m->progress = progress;
    return rc;
}

/* ---- LostRows ---- */

static const struct tz_wire_rule lost_rows_rules[] = {
    TZ_RULE_MESSAGES(1, TZ_MSG_LOST_ROWS_MAX, TZ_ROW_BYTES_MAX + 128, tz_msg_row_schema),
};
static const struct tz_wire_schema lost_rows_schema = TZ_SCHEMA("LostRows", lost_rows_rules);

int tz_msg_read_lost_rows(struct tz_bytes in, struct tz_arena *a, const struct tz_msg_row **rows, size_t *n,
                          struct tz_err *err)
{
    void *array = NULL;
    int rc = tz_wire_check(&lost_rows_schema, in, err);
    if (rc == 0)
        rc = tz_msg_read_list(in, 1, sizeof(struct tz_msg_row), tz_msg_fill_row, a, &array, n, err);
    *rows = array;
    return rc;
}

/* ---- Checkpoint and Ack ---- */

int tz_msg_put_checkpoint(struct tz_buf *out, const struct tz_msg_checkpoint *m)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    tz_msg_w_u64(&w, 1, m->ver);
    tz_msg_w_u64(&w, 2, m->audit_n);
    tz_msg_w_hash(&w, 3, m->audit_hash);
    return tz_msg_end(&w, NULL);
}

int tz_msg_read_checkpoint(struct tz_bytes in, struct tz_msg_checkpoint *m, struct tz_err *err)
{
    const struct tz_msg_slot slots[] = {
        {1, TZ_SLOT_U64, &m->ver}, {2, TZ_SLOT_U64, &m->audit_n}, {3, TZ_SLOT_HASH, m->audit_hash}};
    memset(m, 0, sizeof(*m));
    int rc = tz_wire_check(&checkpoint_schema, in, err);
    return rc != 0 ? rc : tz_msg_read_slots("Checkpoint", in, slots, 3, err);
}

int tz_msg_put_ack(struct tz_buf *out, uint32_t frames)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    tz_msg_w_u64(&w, 1, frames);
    return tz_msg_end(&w, NULL);
}

int tz_msg_read_ack(struct tz_bytes in, uint32_t *frames, struct tz_err *err)
{
    const struct tz_msg_slot slots[] = {{1, TZ_SLOT_U32, frames}};
    *frames = 0;
    int rc = tz_wire_check(&ack_schema, in, err);
    return rc != 0 ? rc : tz_msg_read_slots("Ack", in, slots, 1, err);
}
