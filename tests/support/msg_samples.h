/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_MSG_SAMPLES_H
#define TZ_MSG_SAMPLES_H

/* Sample messages for the tests of proto/. Everything is read into `arena` and written to `out`, made new for each
 * test. */

#include "msg.h"
#include "sync.pb-c.h"

enum { BUDGET = 8 * 1024 * 1024, OUT_MAX = 4 * 1024 * 1024, NMESSAGES = 30 };

extern struct tz_arena arena;
extern struct tz_buf out;
extern struct tz_err err;
int msg_set_up(void **state);
int msg_tear_down(void **state);
#define MSG_TEST(f) cmocka_unit_test_setup_teardown(f, msg_set_up, msg_tear_down)

struct tz_id an_id(uint8_t seed);
void fill_hash(uint8_t hash[TZ_HASH_BYTES], uint8_t seed);

/* The samples; what they point to is below and may be changed by a test: building a sample sets it anew. */
struct tz_msg_hello a_hello(void);
struct tz_msg_welcome a_welcome(void);
struct tz_changeset a_changeset(void);
struct tz_result a_result(void);
struct tz_msg_rows a_rows(void);
struct tz_msg_error an_error(void);
struct tz_msg_verified a_verified(void);
struct tz_msg_digest_request a_digest_request(void);
struct tz_msg_digest a_digest(void);
struct tz_msg_wipe_order a_wipe_order(void);
struct tz_msg_wipe_receipt a_wipe_receipt(void);
struct tz_msg_damage a_damage(void);
struct tz_msg_enrol an_enrol(void);
struct tz_msg_enrolled an_enrolled(void);
struct tz_msg_history_ask a_history_ask(void);
struct tz_msg_history a_history(void);
extern const uint64_t lost[3];
extern const struct tz_area areas[3];
extern struct tz_session_user users[2];
extern struct tz_op ops[2];
extern struct tz_id cases[2];
extern struct tz_msg_row rows[3];
extern struct tz_cursor cursors[2];

/* Put the sample to `out`; read @in and forget it. */
int put_hello(void);
int read_hello(struct tz_bytes in);
int put_welcome(void);
int read_welcome(struct tz_bytes in);
int put_error(void);
int read_error(struct tz_bytes in);
int put_ping(void);
int read_ping(struct tz_bytes in);
int put_push(void);
int read_push(struct tz_bytes in);
int put_lost_rows(void);
int read_lost_rows(struct tz_bytes in);
int put_lost_taken(void);
int read_lost_taken(struct tz_bytes in);
int put_renumber(void);
int read_renumber(struct tz_bytes in);
int put_renumbered(void);
int read_renumbered(struct tz_bytes in);
int put_reoffer(void);
int read_reoffer(struct tz_bytes in);
int put_results(void);
int read_results(struct tz_bytes in);
int put_pull(void);
int read_pull(struct tz_bytes in);
int put_rows(void);
int read_rows(struct tz_bytes in);
int put_checkpoint(void);
int read_checkpoint(struct tz_bytes in);
int put_ack(void);
int read_ack(struct tz_bytes in);
int put_verify(void);
int read_verify(struct tz_bytes in);
int put_verified(void);
int read_verified(struct tz_bytes in);
int put_enrol(void);
int read_enrol(struct tz_bytes in);
int put_enrolled(void);
int read_enrolled(struct tz_bytes in);
int put_history_ask(void);
int read_history_ask(struct tz_bytes in);
int put_history(void);
int read_history(struct tz_bytes in);
int put_changeset(void);
int read_changeset(struct tz_bytes in);
int put_result(void);
int read_result(struct tz_bytes in);

int put_digest_request(void);
int read_digest_request(struct tz_bytes in);
int put_digest(void);
int read_digest(struct tz_bytes in);
int put_wipe_order(void);
int read_wipe_order(struct tz_bytes in);
int put_wipe_receipt(void);
int read_wipe_receipt(struct tz_bytes in);
int put_wipe_noted(void);
int read_wipe_noted(struct tz_bytes in);
int put_damage(void);
int read_damage(struct tz_bytes in);
int put_damage_noted(void);
int read_damage_noted(struct tz_bytes in);

struct message {
    const char *name;
    int (*put)(void);
    int (*read)(struct tz_bytes in);
    const ProtobufCMessageDescriptor *descriptor;
};
extern const struct message messages[NMESSAGES];

#endif
