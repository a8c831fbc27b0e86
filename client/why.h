/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_WHY_H
#define TZ_WHY_H

/*
 * Why does a field hold what it holds: every value it had, by whom, and what decided. Worked out from the changes
 * (history.h), the cases held here and what stands; where these do not say it, the answer is that it is not known.
 */

#include "history.h"

/** What decided about a value when it arrived. */
enum tz_why_rule {
    TZ_WHY_UNKNOWN,  /* what is known here does not tell */
    TZ_WHY_FIRST,    /* made with the record */
    TZ_WHY_SAW,      /* its author had seen the value before */
    TZ_WHY_SAME,     /* concurrent, and the same */
    TZ_WHY_STOOD,    /* concurrent, and stood: case_rule, and the case holds what lost */
    TZ_WHY_LOST,     /* concurrent, and lost: case_rule, and the case holds it */
    TZ_WHY_RESOLVED, /* decided in a case */
    TZ_WHY_MERGED,   /* two records became one, or came apart */
    TZ_WHY_REVIVED,  /* (life) an edit that had not seen the deletion brought the record back */
    TZ_WHY_ELEMENTS, /* an addition to a set, or a removal: each element is merged by itself */
    TZ_WHY_SERVER,   /* given by the server, or shipped with the product */
    TZ_WHY_NOT_YET,  /* unsent, waiting or held: see the change's outcome */
    TZ_WHY_REFUSED,  /* refused or withdrawn: never was a value */
    TZ_WHY_REVIEW,   /* the right was lost: it waits for somebody who may judge */
};
/** "saw" … */
const char *tz_why_rule_name(enum tz_why_rule r);

struct tz_why_author {
    uint32_t device, incarnation; /* device 0: the server, or not known */
    uint64_t seq;
    struct tz_id user; /* zero: not known */
    tz_ver ver;
    int64_t effective_ms; /* 0: not known */
};

struct tz_why_value {
    struct tz_value value; /* of life: 0 or 1, 1 = deleted */
    struct tz_why_author author;
    const struct tz_change *change; /* NULL: known only from a case, or only as what stands */
    enum tz_why_rule rule;
    const char *case_rule; /* "later", "as_of", …; NULL */
    struct tz_id case_id;  /* holds this value, or what lost against it; zero: none */
    bool stands;
    bool away; /* the value itself is in the server's log alone; then `value` is NULL */
};

struct tz_why {
    const struct tz_field *field; /* NULL: whether the record lives */
    struct tz_why_value *v;       /* oldest first; in the arena */
    size_t n, cap;
};

/** The cases about a record that are held here. */
struct tz_why_cases;
TZ_MUST_USE int tz_why_cases_load(struct tz_office *o, const struct tz_changes *c, struct tz_arena *a,
                                  struct tz_why_cases **out, struct tz_err *err);
/**
 * Values of @field (NULL: life) of the record that @c is about. @row: its confirmed state here, NULL when there is
 * none. In @a; n 0 when nothing ever was said about it. TZ_E_NOMEM.
 */
TZ_MUST_USE int tz_why_field(const struct tz_changes *c, const struct tz_why_cases *cases, const struct tz_field *field,
                             const struct tz_row *row, struct tz_arena *a, struct tz_why *out);

#endif
