/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a record belongs: in the area that its content names, which must be one of the author's. A record that moves to
 * another district leaves its street behind, since no street lies in two districts.
 */
#include "store_int.h"

#include <string.h>

static int found_one(void *ctx, const struct tz_row *row)
{
    (void)row;
    *(bool *)ctx = true;
    return 0;
}

int tz_judge_district_known(struct tz_judge *j, const struct tz_area *area)
{
    struct tz_store *s = j->s;
    bool found = area->district[0] == '\0';
    for (size_t i = 0; i < s->ndistricts && !found; i++)
        found = memcmp(s->districts[i], area->district, TZ_DISTRICT_BYTES) == 0;
    if (found)
        return 1;
    int rc = tz_replica_find(s->rep, tz_type_field(s->division_type, "code"), s->division_type,
                             tz_value_text(area->district), found_one, &found, j->err);
    if (!rc && found && s->ndistricts < TZ_DISTRICTS_CACHED)
        memcpy(s->districts[s->ndistricts++], area->district, TZ_DISTRICT_BYTES);
    return rc ? rc : found;
}

/** Where the record belongs by its content, if that is somewhere and the author's. 0 good, 1 refused, negative. */
int tz_judge_area(struct tz_judge *j, struct tz_row *row)
{
    struct tz_area area;
    int known = tz_rows_area(j->s, &row->rec, j->a, &area, j->err);
    if (known == 1)
        known = tz_judge_district_known(j, &area);
    if (known < 0)
        return known;
    if (!known || !tz_judge_in_area(j, &area))
        return tz_judge_refuse(j, TZ_E_AREA, row->rec.type->name, NULL), 1;
    row->area = area;
    int depth = tz_rows_area_depth(j->s, &row->rec, j->err);
    if (depth > TZ_AREA_DEPTH_MAX) /* a move takes the whole chain along */
        return tz_judge_refuse(j, TZ_E_LIMIT, row->rec.type->name, NULL), 1;
    return depth < 0 ? depth : 0;
}

/* ---- what a move leaves behind ---- */

/** The street that @row is left with in a district where it does not lie; negative: none. */
static int street_left(const struct tz_row *row, const struct tz_value *before, const bool *names)
{
    const struct tz_type *t = row->rec.type;
    if (t->district_field < 0 || t->street_field < 0 || names[t->street_field] ||
        t->fields[t->street_field].required == TZ_REQ_SAVE)
        return -1;
    struct tz_value d = row->rec.v[t->district_field];
    struct tz_value s = row->rec.v[t->street_field];
    bool moved = d.kind == TZ_V_TEXT && !tz_value_eq(d, before[t->district_field]);
    bool lies = s.kind != TZ_V_TEXT || (s.n > d.n && memcmp(s.p, d.p, d.n) == 0);
    return moved && !lies ? t->street_field : -1;
}

int tz_judge_leave_street(struct tz_judge *j, struct tz_row *row, struct tz_stamps *stamps,
                          const struct tz_value *before, const bool *names, struct tz_merge_out *out)
{
    int at = street_left(row, before, names);
    if (at < 0)
        return 0;
    bool street[TZ_FIELDS_MAX] = {false};
    struct tz_record *none = tz_arena_calloc(j->a, 1, sizeof *none);
    struct tz_merge_out *cleared = tz_arena_alloc(j->a, sizeof *cleared);
    if (!none || !cleared)
        return TZ_E_NOMEM;
    tz_record_init(none, row->rec.type);
    street[at] = true;
    int rc = tz_merge_set(row->rec.type, &row->rec, row->born, stamps, none, street, &j->edit, tz_judge_commit_of, j,
                          cleared);
    if (rc)
        return rc;
    row->rec.v[at] = cleared->v[at];
    for (size_t i = 0; i < cleared->nlosses; i++)
        out->loss[out->nlosses++] = cleared->loss[i];
    return 0;
}
