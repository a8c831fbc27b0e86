/* SPDX-License-Identifier: Apache-2.0 */
/* Counters and how they are shown. Names are stable: monitoring reads them from `taizhangd status --json`. */
#include "metrics.h"

static uint64_t get(const _Atomic uint64_t *v)
{
    return atomic_load_explicit(v, memory_order_relaxed);
}

static void put(json_t *o, const char *key, uint64_t v)
{
    (void)json_object_set_new(o, key, json_integer((json_int_t)v));
}

void tz_metrics_group(struct tz_metrics *m, uint64_t jobs)
{
    atomic_fetch_add_explicit(&m->groups, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->grouped_jobs, jobs, memory_order_relaxed);
    if (jobs > get(&m->group_size_max)) /* one writer: nobody else raises it */
        atomic_store_explicit(&m->group_size_max, jobs, memory_order_relaxed);
}

void tz_metrics_json(const struct tz_metrics *m, json_t *o)
{
    uint64_t groups = get(&m->groups);
    uint64_t jobs = get(&m->grouped_jobs);
    put(o, "accepted", m->accepted);
    put(o, "refused_connections", m->refused_connections);
    put(o, "refused_handshakes", m->refused_handshakes);
    put(o, "frames", m->frames);
    put(o, "bounced", m->bounced);
    put(o, "blocked", m->blocked);
    put(o, "changesets", get(&m->changesets));
    put(o, "groups", groups);
    put(o, "group_size_max", get(&m->group_size_max));
    (void)json_object_set_new(o, "group_size_mean", json_real(groups ? (double)jobs / (double)groups : 0.0));
    put(o, "rollbacks", get(&m->rollbacks));
}
