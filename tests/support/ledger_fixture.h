/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_LEDGER_FIXTURE_H
#define TZ_LEDGER_FIXTURE_H

/* A district's office with everybody in it, and ledger items that go through the shipped procedure. */

#include "store_fixture.h"

#include <stdio.h>
#include <string.h>

#define ITEM "ledger_item"
#define FILES "[{\"name\":\"a.jpg\",\"sha256\":\"00\",\"size\":1}]"

/** A district's office with everybody in it. */
struct office {
    struct sx *f;
    struct sx_dev super, super2, lead, csuper, sector;
    struct tz_id org;
};

static const char *const UNIT = "GW120101";

static inline struct tz_id unit_id(const char *code)
{
    return tz_store_fixed_id("unit", tz_bytes_str(code));
}

static inline void give_unit(struct sx *f, const char *user, const char *unit)
{
    sx_group(f);
    assert_int_equal(tz_store_user_unit(f->s, user, unit, &f->err), 0);
    sx_commit(f);
}

static inline void office_open(struct office *o, struct sx *f)
{
    *o = (struct office){.f = f};
    sx_join(f, &o->super, "super", "D_SUPER", "120101");
    sx_join(f, &o->super2, "super2", "D_SUPER", "120101");
    sx_join(f, &o->lead, "lead", "D_LEAD", "120101");
    sx_join(f, &o->csuper, "csuper", "C_SUPER", "120000");
    sx_join(f, &o->sector, "sector", "SECTOR", "120000");
    give_unit(f, "sector", UNIT);
    o->org = sx_create(&f->d1, "organisation", "name=甲公司", "kind=enterprise", "subkind=private",
                       "district_code=120101", "street_code=120101001", NULL);
}

static inline struct tz_id open_item(struct office *o, struct sx_dev *dev, const char *severity)
{
    struct sx *f = o->f;
    struct sx_cs *c = sx_begin(dev);
    struct tz_id id = sx_op_create(c, ITEM, "title=消防通道堵塞", "list_type=issue", "source=quarterly_track",
                                   "due_on=2024-12-31", severity, "target_type=organisation",
                                   sx_ref(f, "target_id", o->org), sx_ref(f, "lead_unit", unit_id(UNIT)), NULL);
    sx_applied(sx_push(c));
    return id;
}

/** A step on what stands, in a save of its own. */
static inline const struct tz_result *step_on(struct sx_dev *dev, struct tz_id id, const char *action,
                                              const char *state, uint64_t seq)
{
    struct sx_cs *c = sx_begin(dev);
    bool submit = strcmp(action, "submit") == 0;
    bool hang = strcmp(action, "hang") == 0;
    bool grant = strcmp(action, "grant") == 0;
    const char *value = submit ? "result=已清理" : hang ? "review_on=2024-06-30" : grant ? "due_on=2025-03-31" : NULL;
    bool files = submit || strcmp(action, "verify") == 0;
    sx_op_event(c, ITEM, id, action, state, seq, "同意", files ? FILES : NULL, value, NULL);
    return sx_push(c);
}

static inline uint64_t seq_of(struct sx *f, struct tz_id id)
{
    char sql[200];
    (void)snprintf(sql, sizeof sql, "SELECT max(seq) FROM ledger_event WHERE item_id=x'%s'", sx_hex(f, id));
    return (uint64_t)sx_query(f, sql);
}

#define state_is(f, id, want) sx_text_is(f, ITEM, id, "state", want)

static inline const struct tz_result *next(struct sx_dev *dev, struct tz_id id, const char *action)
{
    return step_on(dev, id, action, sx_text(dev->f, ITEM, id, "state"), seq_of(dev->f, id));
}

/** Bring a new item of the district (or the centre) to a state, each step by somebody else. */
static inline struct tz_id item_in(struct office *o, const char *state, bool centre)
{
    static const char *const WAYS[][8] = {{"opened"},
                                          {"voided", "S void"},
                                          {"assigned", "S assign"},
                                          {"rectifying", "S assign", "L sign"},
                                          {"submitted", "S assign", "L sign", "L submit"},
                                          {"returned", "S assign", "L sign", "L submit", "V return"},
                                          {"verified", "S assign", "L sign", "L submit", "V verify"},
                                          {"suspended", "S assign", "L sign", "S hang"},
                                          {"written_off", "S assign", "L sign", "L submit", "V verify", "S write_off"}};
    struct sx *f = o->f;
    struct tz_id id = open_item(o, centre ? &f->c1 : &f->d1, "severity=normal");
    for (size_t i = 0; i < sizeof WAYS / sizeof *WAYS; i++) {
        if (strcmp(WAYS[i][0], state) != 0)
            continue;
        for (size_t k = 1; k < 8 && WAYS[i][k]; k++) {
            char who = WAYS[i][k][0];
            struct sx_dev *dev = who == 'L' ? &f->d1b : who == 'V' ? &f->fi2 : centre ? &o->csuper : &o->super2;
            sx_applied(next(dev, id, WAYS[i][k] + 2));
        }
    }
    state_is(f, id, state);
    return id;
}

static inline struct tz_id open_under(struct office *o, struct sx_dev *dev, const char *field, struct tz_id parent)
{
    struct sx *f = o->f;
    struct sx_cs *c = sx_begin(dev);
    struct tz_id id = sx_op_create(c, ITEM, "title=下级", "list_type=issue", "source=other", "due_on=2024-12-31",
                                   "target_type=organisation", sx_ref(f, "target_id", o->org),
                                   sx_ref(f, "lead_unit", unit_id(UNIT)), sx_ref(f, field, parent), NULL);
    (void)sx_push(c);
    return id;
}

#endif
