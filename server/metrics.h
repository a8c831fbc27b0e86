/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TZ_METRICS_H
#define TZ_METRICS_H

/* Counters since the start. Those of the writer are written on its thread and read on the loop, hence atomic. */

#include <jansson.h>
#include <stdatomic.h>
#include <stdint.h>

struct tz_metrics {
    /* loop */
    uint64_t accepted;            /**< connections let in */
    uint64_t refused_connections; /**< turned away at a cap */
    uint64_t refused_handshakes;  /**< ended before TLS was up */
    uint64_t frames;              /**< received */
    uint64_t bounced;             /**< jobs turned away at a full queue */
    uint64_t blocked;             /**< times all reading stopped until the writer caught up */
    /* writer */
    _Atomic uint64_t changesets;
    _Atomic uint64_t groups;
    _Atomic uint64_t grouped_jobs;
    _Atomic uint64_t group_size_max;
    _Atomic uint64_t rollbacks;
};

/** Add the counters to @o. */
void tz_metrics_json(const struct tz_metrics *m, json_t *o);
/** One committed group of @jobs. Writer thread. */
void tz_metrics_group(struct tz_metrics *m, uint64_t jobs);

#endif
