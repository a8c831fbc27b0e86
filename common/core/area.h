/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_AREA_H
#define TZ_AREA_H

/* Areas: where a record belongs, and what a grant covers. */

#include <stdbool.h>

enum { TZ_DISTRICT_BYTES = 7, TZ_STREET_BYTES = 10 }; /* 6 and 9 digits and a NUL */

struct tz_area {
    char district[TZ_DISTRICT_BYTES]; /* "" = the city's own rows */
    char street[TZ_STREET_BYTES];     /* "" = whole district, or a record of no street */
};

static inline bool tz_area_eq(const struct tz_area *a, const struct tz_area *b)
{
    for (unsigned i = 0; i < TZ_DISTRICT_BYTES; i++)
        if (a->district[i] != b->district[i])
            return false;
        else if (a->district[i] == '\0')
            break;
    for (unsigned i = 0; i < TZ_STREET_BYTES; i++)
        if (a->street[i] != b->street[i])
            return false;
        else if (a->street[i] == '\0')
            break;
    return true;
}

/** Does a grant entry cover a record's area? A street-less entry covers its whole district. */
static inline bool tz_area_covers(const struct tz_area *grant, const struct tz_area *record)
{
    for (unsigned i = 0; i < TZ_DISTRICT_BYTES; i++) {
        if (grant->district[i] != record->district[i])
            return false;
        if (grant->district[i] == '\0')
            break;
    }
    if (grant->street[0] == '\0')
        return true;
    for (unsigned i = 0; i < TZ_STREET_BYTES; i++) {
        if (grant->street[i] != record->street[i])
            return false;
        if (grant->street[i] == '\0')
            break;
    }
    return true;
}

#endif
