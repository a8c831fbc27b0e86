/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The messages of a session's control lane and of enrolment: Hello, Welcome, Error, Ping, Verify, Verified, Enrol,
 * Enrolled.
 *
 * Each message has, side by side, the rules of what may be in it, its put and its read. What a number or a name means
 * is for the session; here only form is judged. How bytes are written and why reading is guarded: msg_wire.c.
 */

#include "msg_wire.h"
#include "sync.pb-c.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

const char *tz_msg_name(uint8_t type)
{
    static const char *const names[] = {
        [TZ_MSG_HELLO] = "Hello",
        [TZ_MSG_WELCOME] = "Welcome",
        [TZ_MSG_PUSH] = "Push",
        [TZ_MSG_RESULTS] = "Results",
        [TZ_MSG_PULL] = "Pull",
        [TZ_MSG_ROWS] = "Rows",
        [TZ_MSG_CHECKPOINT] = "Checkpoint",
        [TZ_MSG_ACK] = "Ack",
        [TZ_MSG_ERROR] = "Error",
        [TZ_MSG_PING] = "Ping",
        [TZ_MSG_PONG] = "Pong",
        [TZ_MSG_ENROL] = "Enrol",
        [TZ_MSG_ENROLLED] = "Enrolled",
        [TZ_MSG_VERIFY] = "Verify",
        [TZ_MSG_VERIFIED] = "Verified",
        [TZ_MSG_DIGEST_REQUEST] = "DigestRequest",
        [TZ_MSG_DIGEST] = "Digest",
        [TZ_MSG_WIPE_ORDER] = "WipeOrder",
        [TZ_MSG_WIPE_RECEIPT] = "WipeReceipt",
        [TZ_MSG_WIPE_NOTED] = "WipeNoted",
        [TZ_MSG_DAMAGE] = "Damage",
        [TZ_MSG_DAMAGE_NOTED] = "DamageNoted",
        [TZ_MSG_HISTORY_ASK] = "HistoryAsk",
        [TZ_MSG_HISTORY] = "History",
        [TZ_MSG_REOFFER] = "ReOffer",
        [TZ_MSG_LOST_ROWS] = "LostRows",
        [TZ_MSG_LOST_TAKEN] = "LostTaken",
        [TZ_MSG_RENUMBER] = "Renumber",
        [TZ_MSG_RENUMBERED] = "Renumbered",
    };
    const char *name = type < sizeof(names) / sizeof(names[0]) ? names[type] : NULL;
    return name != NULL ? name : "unknown";
}

/* ---- Hello ---- */

static const struct tz_wire_rule hello_rules[] = {
    TZ_RULE_NUMBER(1),
    TZ_RULE_TEXT(2, TZ_MSG_NAME_BYTES_MAX),
    TZ_RULE_NUMBER(3),
    TZ_RULE_NUMBER(4),
    TZ_RULE_NUMBER(5),
    TZ_RULE_NUMBER(6),
    TZ_RULE_NUMBER(7),
    TZ_RULE_BYTES(8, TZ_HASH_BYTES),
    TZ_RULE_NUMBERS(9, TZ_MSG_LOST_MAX),
    TZ_RULE_NUMBER(10),
    TZ_RULE_NUMBER(11),
    TZ_RULE_NUMBER(12),
    TZ_RULE_NUMBER(13),
};
static const struct tz_wire_schema hello_schema = TZ_SCHEMA("Hello", hello_rules);

static void put_lost(struct tz_msg_writer *w, uint32_t number, const uint64_t *seqs, size_t n)
{
    if (n == 0)
        return;
    size_t open = tz_msg_w_open(w);
    for (size_t i = 0; i < n && w->rc == 0; i++)
        w->rc = tz_wire_put_varint(w->out, seqs[i]);
    tz_msg_w_close(w, number, open);
}

int tz_msg_put_hello(struct tz_buf *out, const struct tz_msg_hello *m)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    tz_msg_w_u64(&w, 1, m->protocol);
    tz_msg_w_text(&w, 2, m->software);
    tz_msg_w_u64(&w, 3, m->catalogue_version);
    tz_msg_w_u64(&w, 4, m->incarnation);
    tz_msg_w_u64(&w, 5, tz_zigzag(m->wall_ms));
    tz_msg_w_u64(&w, 6, m->checkpoint);
    tz_msg_w_u64(&w, 7, m->audit_n);
    tz_msg_w_hash(&w, 8, m->audit_hash);
    put_lost(&w, 9, m->lost_seqs, m->nlost);
    tz_msg_w_u64(&w, 10, m->last_seq);
    tz_msg_w_u64(&w, 11, m->heard_seq);
    tz_msg_w_u64(&w, 13, m->unsent);
    return tz_msg_end(&w, &hello_schema);
}

int tz_msg_read_hello(struct tz_bytes in, struct tz_arena *a, struct tz_msg_hello *m, struct tz_err *err)
{
    ProtobufCMessage *msg;
    memset(m, 0, sizeof(*m));
    int rc = tz_msg_unpack(&taizhang__hello__descriptor, &hello_schema, in, a, &msg, err);
    if (rc != 0)
        return rc;
    const Taizhang__Hello *p = (const Taizhang__Hello *)msg;
    *m = (struct tz_msg_hello){.protocol = p->protocol,
                               .software = p->software,
                               .catalogue_version = p->catalogue_version,
                               .incarnation = p->incarnation,
                               .wall_ms = p->wall_ms,
                               .checkpoint = p->checkpoint,
                               .audit_n = p->audit_n,
                               .lost_seqs = p->lost_seqs,
                               .nlost = p->n_lost_seqs,
                               .last_seq = p->last_seq,
                               .heard_seq = p->heard_seq,
                               .unsent = p->unsent};
    return tz_msg_take_hash("audit_hash", tz_msg_bytes(p->audit_hash), m->audit_hash, err);
}

/* ---- Welcome ---- */

static const struct tz_wire_rule area_rules[] = {
    TZ_RULE_TEXT(1, TZ_DISTRICT_BYTES - 1),
    TZ_RULE_TEXT(2, TZ_STREET_BYTES - 1),
};
static const struct tz_wire_schema area_schema = TZ_SCHEMA("Area", area_rules);

static const struct tz_wire_rule user_rules[] = {
    TZ_RULE_BYTES(1, TZ_ID_BYTES),
    TZ_RULE_TEXT(2, TZ_MSG_CODE_BYTES_MAX),
    TZ_RULE_TEXT(3, TZ_MSG_NAME_BYTES_MAX),
    TZ_RULE_TEXT(4, TZ_MSG_CODE_BYTES_MAX),
    TZ_RULE_NUMBER(5),
};
static const struct tz_wire_schema user_schema = TZ_SCHEMA("SessionUser", user_rules);

static const struct tz_wire_rule lost_rules[] = {
    TZ_RULE_NUMBER(1),
    TZ_RULE_NUMBER(2),
    TZ_RULE_NUMBER(3),
};
static const struct tz_wire_schema lost_schema = TZ_SCHEMA("LostRange", lost_rules);

static const struct tz_wire_rule welcome_rules[] = {
    TZ_RULE_NUMBER(1),
    TZ_RULE_TEXT(2, TZ_MSG_NAME_BYTES_MAX),
    TZ_RULE_NUMBER(3),
    TZ_RULE_NUMBER(4),
    TZ_RULE_NUMBER(5),
    TZ_RULE_NUMBER(6),
    TZ_RULE_NUMBER(7),
    TZ_RULE_TEXT(8, TZ_MSG_NAME_BYTES_MAX),
    TZ_RULE_TEXT(9, TZ_MSG_CODE_BYTES_MAX),
    TZ_RULE_TEXT(10, TZ_STREET_BYTES - 1),
    TZ_RULE_MESSAGES(11, TZ_MSG_AREAS_MAX, 64, area_schema),
    TZ_RULE_NUMBER(12),
    TZ_RULE_MESSAGES(13, TZ_MSG_USERS_MAX, 1024, user_schema),
    TZ_RULE_NUMBER(14),
    TZ_RULE_NUMBER(15),
    TZ_RULE_NUMBER(16),
    TZ_RULE_BYTES(17, TZ_HASH_BYTES),
    TZ_RULE_NUMBER(18),
    TZ_RULE_NUMBER(19),
    TZ_RULE_NUMBER(20),
    TZ_RULE_MESSAGES(21, TZ_MSG_LOST_RANGES_MAX, 64, lost_schema),
    TZ_RULE_NUMBER(22),
    TZ_RULE_NUMBER(23),
    TZ_RULE_NUMBER(24),
};
static const struct tz_wire_schema welcome_schema = TZ_SCHEMA("Welcome", welcome_rules);

static void put_area(struct tz_msg_writer *w, uint32_t number, const struct tz_area *a)
{
    size_t open = tz_msg_w_open(w);
    tz_msg_w_area(w, 1, a);
    tz_msg_w_close(w, number, open);
}

static void put_user(struct tz_msg_writer *w, uint32_t number, const struct tz_session_user *u)
{
    size_t open = tz_msg_w_open(w);
    tz_msg_w_id_req(w, 1, u->id);
    tz_msg_w_text(w, 2, u->code);
    tz_msg_w_text(w, 3, u->name);
    tz_msg_w_text(w, 4, u->role);
    tz_msg_w_u64(w, 5, u->active);
    tz_msg_w_close(w, number, open);
}

static void put_lost_range(struct tz_msg_writer *w, uint32_t number, const struct tz_lost_range *r)
{
    size_t open = tz_msg_w_open(w);
    tz_msg_w_u64(w, 1, r->above);
    tz_msg_w_u64(w, 2, r->upto);
    tz_msg_w_u64(w, 3, r->epoch);
    tz_msg_w_close(w, number, open);
}

int tz_msg_put_welcome(struct tz_buf *out, const struct tz_msg_welcome *m)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    tz_msg_w_u64(&w, 1, m->protocol);
    tz_msg_w_text(&w, 2, m->software);
    tz_msg_w_u64(&w, 3, m->catalogue_version);
    tz_msg_w_u64(&w, 4, tz_zigzag(m->wall_ms));
    tz_msg_w_u64(&w, 5, m->epoch);
    tz_msg_w_u64(&w, 6, m->device);
    tz_msg_w_u64(&w, 7, m->incarnation);
    tz_msg_w_text(&w, 8, m->device_name);
    tz_msg_w_text(&w, 9, m->role);
    tz_msg_w_text(&w, 10, m->area);
    for (size_t i = 0; i < m->nareas; i++)
        put_area(&w, 11, &m->areas[i]);
    tz_msg_w_u64(&w, 12, m->reads_secret);
    for (size_t i = 0; i < m->nusers; i++)
        put_user(&w, 13, &m->users[i]);
    tz_msg_w_u64(&w, 14, m->judged_seq);
    tz_msg_w_u64(&w, 15, m->head);
    tz_msg_w_u64(&w, 16, m->audit_n);
    tz_msg_w_hash(&w, 17, m->audit_hash);
    tz_msg_w_u64(&w, 18, m->push_in_flight_max);
    tz_msg_w_u64(&w, 19, m->rows_in_flight_max);
    tz_msg_w_u64(&w, 20, tz_zigzag(m->recovery_until_ms));
    for (size_t i = 0; i < m->nlost; i++)
        put_lost_range(&w, 21, &m->lost[i]);
    tz_msg_w_u64(&w, 22, (uint64_t)m->audit);
    tz_msg_w_u64(&w, 23, m->horizon);
    tz_msg_w_u64(&w, 24, m->compact_upto);
    return tz_msg_end(&w, &welcome_schema);
}

static int take_areas(const Taizhang__Welcome *p, struct tz_arena *a, struct tz_msg_welcome *m, struct tz_err *err)
{
    struct tz_area *areas = tz_arena_calloc(a, p->n_areas, sizeof(*areas));
    if (areas == NULL)
        return tz_msg_no_room(err);
    int rc = 0;
    for (size_t i = 0; i < p->n_areas && rc == 0; i++) {
        const Taizhang__Area *from = p->areas[i];
        rc =
            tz_msg_take_digits("district", tz_bytes_str(from->district), TZ_DISTRICT_BYTES - 1, areas[i].district, err);
        if (rc == 0)
            rc = tz_msg_take_digits("street", tz_bytes_str(from->street), TZ_STREET_BYTES - 1, areas[i].street, err);
    }
    m->areas = areas;
    m->nareas = p->n_areas;
    return rc;
}

static int take_users(const Taizhang__Welcome *p, struct tz_arena *a, struct tz_msg_welcome *m, struct tz_err *err)
{
    struct tz_session_user *users = tz_arena_calloc(a, p->n_users, sizeof(*users));
    if (users == NULL)
        return tz_msg_no_room(err);
    int rc = 0;
    for (size_t i = 0; i < p->n_users && rc == 0; i++) {
        const Taizhang__SessionUser *from = p->users[i];
        users[i] = (struct tz_session_user){
            .code = from->code, .name = from->name, .role = from->role, .active = from->active != 0};
        rc = tz_msg_take_id("user id", tz_msg_bytes(from->id), &users[i].id, err);
    }
    m->users = users;
    m->nusers = p->n_users;
    return rc;
}

static int take_lost(const Taizhang__Welcome *p, struct tz_arena *a, struct tz_msg_welcome *m, struct tz_err *err)
{
    struct tz_lost_range *lost = tz_arena_calloc(a, p->n_lost, sizeof(*lost));
    if (lost == NULL)
        return tz_msg_no_room(err);
    for (size_t i = 0; i < p->n_lost; i++) {
        const Taizhang__LostRange *from = p->lost[i];
        lost[i] = (struct tz_lost_range){from->above, from->upto, from->epoch};
        if (from->above >= from->upto || from->upto > INT64_MAX)
            return tz_err_set(err, TZ_E_FORMAT, "lost range", NULL, NULL, NULL);
    }
    m->lost = lost;
    m->nlost = p->n_lost;
    return 0;
}

int tz_msg_read_welcome(struct tz_bytes in, struct tz_arena *a, struct tz_msg_welcome *m, struct tz_err *err)
{
    ProtobufCMessage *msg;
    memset(m, 0, sizeof(*m));
    int rc = tz_msg_unpack(&taizhang__welcome__descriptor, &welcome_schema, in, a, &msg, err);
    if (rc != 0)
        return rc;
    const Taizhang__Welcome *p = (const Taizhang__Welcome *)msg;
    *m = (struct tz_msg_welcome){.protocol = p->protocol,
                                 .software = p->software,
                                 .catalogue_version = p->catalogue_version,
                                 .wall_ms = p->wall_ms,
                                 .epoch = p->epoch,
                                 .device = p->device,
                                 .incarnation = p->incarnation,
                                 .device_name = p->device_name,
                                 .role = p->role,
                                 .area = p->area,
                                 .reads_secret = p->reads_secret != 0,
                                 .judged_seq = p->judged_seq,
                                 .head = p->head,
                                 .audit_n = p->audit_n,
                                 .push_in_flight_max = p->push_in_flight_max,
                                 .rows_in_flight_max = p->rows_in_flight_max,
                                 .recovery_until_ms = p->recovery_until_ms,
                                 .horizon = p->horizon,
                                 .compact_upto = p->compact_upto};
    rc = tz_msg_take_enum("audit", p->audit, TZ_AUDIT_UNANSWERED, TZ_AUDIT_CHANGED, err);
    if (rc == 0)
        m->audit = (enum tz_audit_answer)p->audit;
    if (rc == 0)
        rc = tz_msg_take_hash("audit_hash", tz_msg_bytes(p->audit_hash), m->audit_hash, err);
    if (rc == 0)
        rc = take_areas(p, a, m, err);
    if (rc == 0)
        rc = take_lost(p, a, m, err);
    return rc != 0 ? rc : take_users(p, a, m, err);
}

/* ---- Error ---- */

static const struct tz_wire_rule error_rules[] = {
    TZ_RULE_NUMBER(1),
    TZ_RULE_TEXT_LIST(2, TZ_ERR_ARGS_MAX, TZ_MSG_ARG_BYTES_MAX),
    TZ_RULE_NUMBER(3),
};
static const struct tz_wire_schema error_schema = TZ_SCHEMA("Error", error_rules);

int tz_msg_put_error(struct tz_buf *out, const struct tz_msg_error *m)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    tz_msg_w_code(&w, 1, m->code);
    tz_msg_w_args(&w, 2, m->args, m->nargs, TZ_ERR_ARGS_MAX);
    tz_msg_w_u64(&w, 3, m->fatal);
    return tz_msg_end(&w, &error_schema);
}

/* A newer peer may know errors this side does not: say which number it was. */
static int take_error_code(uint32_t number, struct tz_arena *a, struct tz_msg_error *m, struct tz_err *err)
{
    if (number <= INT_MAX && tz_err_known(-(int)number)) {
        m->code = -(int)number;
        return 0;
    }
    char text[16];
    snprintf(text, sizeof(text), "%u", (unsigned)number);
    m->code = TZ_E_PROTOCOL;
    m->args[0] = tz_arena_strdup(a, text);
    m->nargs = 1;
    return m->args[0] != NULL ? 0 : tz_msg_no_room(err);
}

int tz_msg_read_error(struct tz_bytes in, struct tz_arena *a, struct tz_msg_error *m, struct tz_err *err)
{
    ProtobufCMessage *msg;
    memset(m, 0, sizeof(*m));
    int rc = tz_msg_unpack(&taizhang__error__descriptor, &error_schema, in, a, &msg, err);
    if (rc != 0)
        return rc;
    const Taizhang__Error *p = (const Taizhang__Error *)msg;
    m->fatal = p->fatal != 0;
    m->nargs = p->n_args;
    for (size_t i = 0; i < p->n_args; i++)
        m->args[i] = p->args[i];
    return take_error_code(p->code, a, m, err);
}

/* ---- Ping, Pong ---- */

static const struct tz_wire_rule ping_rules[] = {TZ_RULE_NUMBER(1)};
static const struct tz_wire_schema ping_schema = TZ_SCHEMA("Ping", ping_rules);

int tz_msg_put_ping(struct tz_buf *out, uint64_t nonce)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    tz_msg_w_u64(&w, 1, nonce);
    return tz_msg_end(&w, NULL);
}

int tz_msg_read_ping(struct tz_bytes in, uint64_t *nonce, struct tz_err *err)
{
    const struct tz_msg_slot slots[] = {{1, TZ_SLOT_U64, nonce}};
    *nonce = 0;
    int rc = tz_wire_check(&ping_schema, in, err);
    return rc != 0 ? rc : tz_msg_read_slots("Ping", in, slots, 1, err);
}

/* ---- Verify, Verified ---- */

static const struct tz_wire_rule verify_rules[] = {
    TZ_RULE_NUMBER(1),
    TZ_RULE_BYTES(2, TZ_HASH_BYTES),
};
static const struct tz_wire_schema verify_schema = TZ_SCHEMA("Verify", verify_rules);

static const struct tz_wire_rule verified_rules[] = {
    TZ_RULE_NUMBER(1), TZ_RULE_NUMBER(2), TZ_RULE_BYTES(3, TZ_HASH_BYTES),
    TZ_RULE_NUMBER(4), TZ_RULE_NUMBER(5), TZ_RULE_BYTES(6, TZ_HASH_BYTES),
};
static const struct tz_wire_schema verified_schema = TZ_SCHEMA("Verified", verified_rules);

int tz_msg_put_verify(struct tz_buf *out, const struct tz_msg_verify *m)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    tz_msg_w_u64(&w, 1, m->audit_n);
    tz_msg_w_hash(&w, 2, m->audit_hash);
    return tz_msg_end(&w, NULL);
}

int tz_msg_read_verify(struct tz_bytes in, struct tz_msg_verify *m, struct tz_err *err)
{
    const struct tz_msg_slot slots[] = {{1, TZ_SLOT_U64, &m->audit_n}, {2, TZ_SLOT_HASH, m->audit_hash}};
    memset(m, 0, sizeof(*m));
    int rc = tz_wire_check(&verify_schema, in, err);
    return rc != 0 ? rc : tz_msg_read_slots("Verify", in, slots, 2, err);
}

int tz_msg_put_verified(struct tz_buf *out, const struct tz_msg_verified *m)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    tz_msg_w_u64(&w, 1, m->ver);
    tz_msg_w_u64(&w, 2, m->rows);
    tz_msg_w_hash(&w, 3, m->digest);
    tz_msg_w_u64(&w, 4, m->audit_ok);
    tz_msg_w_u64(&w, 5, m->audit_n);
    tz_msg_w_hash(&w, 6, m->audit_hash);
    return tz_msg_end(&w, NULL);
}

int tz_msg_read_verified(struct tz_bytes in, struct tz_msg_verified *m, struct tz_err *err)
{
    const struct tz_msg_slot slots[] = {{1, TZ_SLOT_U64, &m->ver},     {2, TZ_SLOT_U64, &m->rows},
                                        {3, TZ_SLOT_HASH, m->digest},  {4, TZ_SLOT_BOOL, &m->audit_ok},
                                        {5, TZ_SLOT_U64, &m->audit_n}, {6, TZ_SLOT_HASH, m->audit_hash}};
    memset(m, 0, sizeof(*m));
    int rc = tz_wire_check(&verified_schema, in, err);
    return rc != 0 ? rc : tz_msg_read_slots("Verified", in, slots, 6, err);
}

/* ---- LostTaken ---- */

static const struct tz_wire_rule lost_taken_rules[] = {
    TZ_RULE_NUMBERS(1, TZ_MSG_LOST_ROWS_MAX),
};
static const struct tz_wire_schema lost_taken_schema = TZ_SCHEMA("LostTaken", lost_taken_rules);

int tz_msg_put_lost_taken(struct tz_buf *out, const uint32_t *verdicts, size_t n)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    tz_msg_w_numbers(&w, 1, verdicts, n);
    return tz_msg_end(&w, &lost_taken_schema);
}

int tz_msg_read_lost_taken(struct tz_bytes in, struct tz_arena *a, uint32_t **verdicts, size_t *n, struct tz_err *err)
{
    ProtobufCMessage *msg;
    *n = 0;
    *verdicts = NULL;
    int rc = tz_msg_unpack(&taizhang__lost_taken__descriptor, &lost_taken_schema, in, a, &msg, err);
    if (rc != 0)
        return rc;
    const Taizhang__LostTaken *p = (const Taizhang__LostTaken *)msg;
    *n = p->n_verdicts;
    *verdicts = p->verdicts;
    return 0;
}

/* ---- Renumber ---- */

static const struct tz_wire_rule renumber_rules[] = {
    TZ_RULE_BYTES(1, TZ_ID_BYTES),
    TZ_RULE_NUMBER(2),
};
static const struct tz_wire_schema renumber_schema = TZ_SCHEMA("Renumber", renumber_rules);

static const struct tz_wire_rule renumbered_rules[] = {
    TZ_RULE_NUMBER(1),
};
static const struct tz_wire_schema renumbered_schema = TZ_SCHEMA("Renumbered", renumbered_rules);

int tz_msg_put_renumber(struct tz_buf *out, const struct tz_msg_renumber *m)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    tz_msg_w_bytes(&w, 1, tz_bytes_of(m->token, sizeof m->token));
    tz_msg_w_u64(&w, 2, m->fork_seq);
    return tz_msg_end(&w, &renumber_schema);
}

int tz_msg_read_renumber(struct tz_bytes in, struct tz_msg_renumber *m, struct tz_err *err)
{
    struct tz_bytes token = {0};
    const struct tz_msg_slot slots[] = {{1, TZ_SLOT_BYTES, &token}, {2, TZ_SLOT_U64, &m->fork_seq}};
    memset(m, 0, sizeof *m);
    int rc = tz_wire_check(&renumber_schema, in, err);
    if (rc == 0)
        rc = tz_msg_read_slots("Renumber", in, slots, 2, err);
    if (rc == 0 && token.n != sizeof m->token)
        rc = tz_err_setf(err, TZ_E_FORMAT, "token of %zu bytes", token.n);
    if (rc == 0)
        memcpy(m->token, token.p, sizeof m->token);
    return rc;
}

int tz_msg_put_renumbered(struct tz_buf *out, uint32_t incarnation)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    tz_msg_w_u64(&w, 1, incarnation);
    return tz_msg_end(&w, &renumbered_schema);
}

int tz_msg_read_renumbered(struct tz_bytes in, uint32_t *incarnation, struct tz_err *err)
{
    const struct tz_msg_slot slots[] = {{1, TZ_SLOT_U32, incarnation}};
    *incarnation = 0;
    int rc = tz_wire_check(&renumbered_schema, in, err);
    return rc != 0 ? rc : tz_msg_read_slots("Renumbered", in, slots, 1, err);
}

/* ---- Enrol, Enrolled ---- */

static const struct tz_wire_rule enrol_rules[] = {
    TZ_RULE_NUMBER(1),
    TZ_RULE_TEXT(2, TZ_MSG_NAME_BYTES_MAX),
    TZ_RULE_BYTES(3, TZ_MSG_SECRET_BYTES),
    TZ_RULE_BYTES(4, TZ_MSG_DER_BYTES_MAX),
};
static const struct tz_wire_schema enrol_schema = TZ_SCHEMA("Enrol", enrol_rules);

static const struct tz_wire_rule enrolled_rules[] = {
    TZ_RULE_BYTES(1, TZ_MSG_DER_BYTES_MAX),
    TZ_RULE_BYTES(2, TZ_MSG_DER_BYTES_MAX),
    TZ_RULE_NUMBER(3),
    TZ_RULE_NUMBER(4),
    TZ_RULE_TEXT(5, TZ_MSG_NAME_BYTES_MAX),
    TZ_RULE_TEXT(6, TZ_MSG_CODE_BYTES_MAX),
    TZ_RULE_TEXT(7, TZ_STREET_BYTES - 1),
    TZ_RULE_BYTES(8, TZ_ID_BYTES),
};
static const struct tz_wire_schema enrolled_schema = TZ_SCHEMA("Enrolled", enrolled_rules);

int tz_msg_put_enrol(struct tz_buf *out, const struct tz_msg_enrol *m)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    if (m->secret.n != TZ_MSG_SECRET_BYTES)
        tz_msg_fail(&w, TZ_E_FORMAT);
    tz_msg_w_u64(&w, 1, m->protocol);
    tz_msg_w_text(&w, 2, m->software);
    tz_msg_w_bytes(&w, 3, m->secret);
    tz_msg_w_bytes(&w, 4, m->csr);
    return tz_msg_end(&w, &enrol_schema);
}

int tz_msg_read_enrol(struct tz_bytes in, struct tz_arena *a, struct tz_msg_enrol *m, struct tz_err *err)
{
    ProtobufCMessage *msg;
    memset(m, 0, sizeof(*m));
    int rc = tz_msg_unpack(&taizhang__enrol__descriptor, &enrol_schema, in, a, &msg, err);
    if (rc != 0)
        return rc;
    const Taizhang__Enrol *p = (const Taizhang__Enrol *)msg;
    *m = (struct tz_msg_enrol){.protocol = p->protocol,
                               .software = p->software,
                               .secret = tz_msg_bytes(p->secret),
                               .csr = tz_msg_bytes(p->csr)};
    if (m->secret.n != TZ_MSG_SECRET_BYTES)
        return tz_err_setf(err, TZ_E_FORMAT, "secret of %zu bytes", m->secret.n);
    return 0;
}

int tz_msg_put_enrolled(struct tz_buf *out, const struct tz_msg_enrolled *m)
{
    struct tz_msg_writer w = tz_msg_begin(out);
    tz_msg_w_bytes(&w, 1, m->certificate);
    tz_msg_w_bytes(&w, 2, m->ca);
    tz_msg_w_u64(&w, 3, m->device);
    tz_msg_w_u64(&w, 4, m->incarnation);
    tz_msg_w_text(&w, 5, m->name);
    tz_msg_w_text(&w, 6, m->role);
    tz_msg_w_text(&w, 7, m->area);
    tz_msg_w_id_req(&w, 8, m->user);
    return tz_msg_end(&w, &enrolled_schema);
}

int tz_msg_read_enrolled(struct tz_bytes in, struct tz_arena *a, struct tz_msg_enrolled *m, struct tz_err *err)
{
    ProtobufCMessage *msg;
    memset(m, 0, sizeof(*m));
    int rc = tz_msg_unpack(&taizhang__enrolled__descriptor, &enrolled_schema, in, a, &msg, err);
    if (rc != 0)
        return rc;
    const Taizhang__Enrolled *p = (const Taizhang__Enrolled *)msg;
    *m = (struct tz_msg_enrolled){.certificate = tz_msg_bytes(p->certificate),
                                  .ca = tz_msg_bytes(p->ca),
                                  .device = p->device,
                                  .incarnation = p->incarnation,
                                  .name = p->name,
                                  .role = p->role,
                                  .area = p->area};
    return tz_msg_take_id("user", tz_msg_bytes(p->user), &m->user, err);
}
