/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_MERGE_FIXTURE_H
#define TZ_MERGE_FIXTURE_H

/* For tests of records that claim one key and of records that become one, on top of store_fixture.h. */

#include "store_fixture.h"

#include <stdlib.h>
#include <string.h>

#define USCI "usci=91120101MA0T000017"
#define OTHER_USCI "usci=91120101MA0T000025"
#define THIRD_USCI "usci=91120101MA0T000033"

/** @usci NULL: none. Time goes on, so that of two the second was said later. */
static inline struct tz_id org(struct sx_dev *dev, const char *name, const char *district, const char *usci)
{
    struct sx_cs *c = sx_begin(dev);
    struct tz_id id = sx_op_create(c, "organisation", name, district, usci, NULL);
    sx_applied(sx_push(c));
    dev->f->clock.wall.ms += 10;
    return id;
}

/** A supervisor of 120101 and one of the centre, who have seen everything. */
static inline void supervisors(struct sx *f, struct sx_dev *district, struct sx_dev *centre)
{
    sx_join(f, district, "super", "D_SUPER", "120101");
    sx_join(f, centre, "csuper", "C_SUPER", "120000");
    sx_see(district);
    sx_see(centre);
}

static inline const struct tz_result *merge(struct sx_dev *dev, enum tz_op_kind kind, const char *type,
                                            struct tz_id keep, struct tz_id gone)
{
    struct sx_cs *c = sx_begin(dev);
    sx_op(c, kind, type, keep)->other_id = gone;
    return sx_push(c);
}

/** The case about two records; the target is the earlier one. */
static inline const struct tz_row *duplicate_case(struct sx *f, struct tz_id first, struct tz_id second,
                                                  int64_t generation)
{
    char subject[64] = "duplicate:";
    memcpy(subject + 10, sx_hex(f, second), TZ_ID_HEX);
    return sx_case(f, first, subject, generation);
}

static inline bool is_open(struct sx *f, const struct tz_row *c)
{
    return c && strcmp(sx_case_text(f, c, "state"), "open") == 0;
}

/** RESOLVE "both stay". */
static inline const struct tz_result *both_stay(struct sx_dev *dev, const struct tz_row *c)
{
    struct sx_cs *cs = sx_begin(dev);
    struct tz_op *op = sx_op(cs, TZ_OP_RESOLVE, "case", c->id);
    op->generation = (uint32_t)strtoul(sx_case_text(dev->f, c, "generation"), NULL, 10);
    op->choice = TZ_CHOICE_MINE;
    return sx_push(cs);
}

#endif
